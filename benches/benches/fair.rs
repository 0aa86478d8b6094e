//! What fair shares cost: one lease and one release on behalf of subscribers and tenants, beside a
//! pool without any policy. What a flood by one costs the others: `natshard bench flood`.

use std::collections::VecDeque;
use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use natshard::{
    Deterministic, Engine, EngineConfig, PoolConfig, PoolId, PortBlocks, Protocol, Request, Shard,
    Strictness, SubscriberLimit, TenantShare, Tick,
};

const BURST: u64 = 32;
const SUBSCRIBERS: u64 = 1_000;
const WINDOW: usize = 4 * SUBSCRIBERS as usize;

fn pool() -> PoolConfig {
    PoolConfig::new("p").prefix("203.0.112.0/25".parse().expect("a prefix"))
}

fn engine(shards: usize, pool: PoolConfig) -> (Engine, PoolId) {
    let config = EngineConfig::new(shards)
        .seed(1)
        .hold_down(Duration::from_secs(1));
    let engine = Engine::new(config.pool(pool)).expect("a sound configuration");
    let id = engine.pool("p").expect("configured");
    (engine, id)
}

/// Leases and releases for one subscriber after the other, in bursts of 32, a millisecond apart.
struct Own {
    shard: Shard,
    now: u64,
    next: u64,
    window: VecDeque<natshard::Lease>,
    refused: u64,
}

impl Own {
    fn new(engine: &Engine) -> Self {
        Own {
            shard: engine.shard(0).expect("nobody has it"),
            now: 0,
            next: 0,
            window: VecDeque::with_capacity(WINDOW + 1),
            refused: 0,
        }
    }

    fn run(&mut self, operations: u64, request: impl Fn(u64) -> Request) -> Duration {
        let started = Instant::now();
        for _ in 0..operations.div_ceil(BURST) {
            self.now += 1;
            let mut burst = self.shard.burst(Tick::from_millis(self.now));
            for _ in 0..BURST {
                self.next = (self.next + 1) % SUBSCRIBERS;
                match burst.allocate(&request(self.next)) {
                    Ok(lease) => self.window.push_back(lease),
                    Err(_) => self.refused += 1,
                }
                if self.window.len() > WINDOW {
                    let lease = self.window.pop_front().expect("longer than the window");
                    burst.release(black_box(lease));
                }
            }
        }
        started.elapsed()
    }
}

/// What policies cost, each beside the pool without any.
fn policies(criterion: &mut Criterion) {
    let limit = SubscriberLimit::new().ports(Protocol::Tcp, 2_000);
    let blocks = PortBlocks::new(256).per_subscriber(4);
    let mut group = criterion.benchmark_group("fair");
    for (what, pool, names) in [
        ("none", pool(), false),
        ("limit", pool().subscriber_limit(limit), true),
        (
            "limit, paired",
            pool().subscriber_limit(limit).pairing(Strictness::Strict),
            true,
        ),
        ("port blocks of 256", pool().port_blocks(blocks), true),
        (
            "deterministic",
            pool().deterministic(Deterministic::new(SUBSCRIBERS, 2016)),
            true,
        ),
        (
            "tenants",
            pool().tenant(TenantShare::new(1).minimum(2_000)),
            false,
        ),
    ] {
        group.bench_function(BenchmarkId::new("own", what), |bencher| {
            let (engine, id) = engine(1, pool.clone());
            let mut own = Own::new(&engine);
            let request = |subscriber| {
                let request = Request::new(id, Protocol::Tcp);
                if names {
                    request.subscriber(subscriber)
                } else if what == "tenants" {
                    request.tenant(1)
                } else {
                    request
                }
            };
            own.run(1_000_000, request);
            bencher.iter_custom(|operations| own.run(operations, request));
            assert_eq!(own.refused, 0, "the pool is large enough");
        });
    }
    group.finish();
}

criterion_group!(benches, policies);
criterion_main!(benches);
