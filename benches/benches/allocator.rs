//! *own*: one shard leases and releases its own ports with a window of live leases, time moving
//! on so that ports really pass through hold-down, cooling and recycling; and references that do
//! none of that, measured in the same run.

use std::collections::VecDeque;
use std::hint::black_box;
use std::time::Instant;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use crossbeam_queue::ArrayQueue;
use natshard::{Engine, EngineConfig, PoolConfig, Protocol, Request, Tick};
use natshard_benches::{LocalBlocks, LockedQueue, Ports};

const BURST: u64 = 32;
const WINDOW: usize = 1_000;
const PORTS: u32 = 64_512;

/// One lease and one release per operation, in bursts of 32, a millisecond apart.
fn own(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("own");
    for hold_down in [0u64, 1_000] {
        group.bench_function(
            BenchmarkId::new("natshard, hold-down ms", hold_down),
            |bencher| {
                let pool = PoolConfig::new("p").prefix("203.0.113.0/28".parse().expect("a prefix"));
                let config = EngineConfig::new(1)
                    .seed(1)
                    .hold_down(std::time::Duration::from_millis(hold_down));
                let engine = Engine::new(config.pool(pool)).expect("a sound configuration");
                let request = Request::new(engine.pool("p").expect("configured"), Protocol::Tcp);
                let mut shard = engine.shard(0).expect("nobody has it");
                let mut now = 0;
                let mut window = VecDeque::with_capacity(WINDOW + 1);
                let mut refused = 0;
                let mut run = |operations: u64| {
                    let started = Instant::now();
                    for _ in 0..operations.div_ceil(BURST) {
                        now += 1;
                        let mut burst = shard.burst(Tick::from_millis(now));
                        for _ in 0..BURST {
                            match burst.allocate(&request) {
                                Ok(lease) => window.push_back(lease),
                                Err(_) => refused += 1,
                            }
                            if window.len() > WINDOW {
                                let lease = window.pop_front().expect("longer than the window");
                                burst.release(black_box(lease));
                            }
                        }
                    }
                    started.elapsed()
                };
                // Into the steady state: every address opened, ports coming back from their rest.
                run(2_000_000);
                bencher.iter_custom(&mut run);
                assert_eq!(refused, 0, "the pool is large enough");
            },
        );
    }
    reference(
        &mut group,
        "thread-local words",
        &mut LocalBlocks::new(PORTS as usize),
    );
    reference(&mut group, "Mutex<VecDeque>", &mut LockedQueue::new(PORTS));
    reference(&mut group, "ArrayQueue", &mut Queue::new());
    group.finish();
}

type Group<'a> = criterion::BenchmarkGroup<'a, criterion::measurement::WallTime>;

fn reference(group: &mut Group<'_>, name: &str, ports: &mut impl Ports) {
    group.bench_function(name, |bencher| {
        let mut window = VecDeque::with_capacity(WINDOW + 1);
        bencher.iter(|| {
            window.push_back(ports.lease().expect("the pool is large enough"));
            if window.len() > WINDOW {
                ports.give_back(black_box(
                    window.pop_front().expect("longer than the window"),
                ));
            }
        });
        for port in window {
            ports.give_back(port);
        }
    });
}

/// crossbeam's bounded queue as a free list.
struct Queue(ArrayQueue<u32>);

impl Queue {
    fn new() -> Self {
        let queue = ArrayQueue::new(PORTS as usize);
        (0..PORTS).for_each(|port| queue.push(port).expect("as large as the pool"));
        Queue(queue)
    }
}

impl Ports for Queue {
    fn lease(&mut self) -> Option<u32> {
        self.0.pop()
    }

    fn give_back(&mut self, port: u32) {
        self.0.push(port).expect("as large as the pool");
    }
}

criterion_group!(benches, own);
criterion_main!(benches);
