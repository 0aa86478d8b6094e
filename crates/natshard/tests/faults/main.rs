//! Faults of comparable systems that the engine must not have, each test under its number in
//! `docs/src/faults.md`, which says for every one what it was and why it cannot happen here.

mod claims;
mod double;
#[path = "../common/oracle.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod oracle;
mod order;
mod owners;
mod reasons;
mod refused;
mod searches;
mod swap;
mod time;

use std::sync::mpsc;
use std::time::Duration;

use natshard::{Census, Engine, EngineConfig, Lease, PoolConfig, Protocol, Request, Shard, Tick};

const HOLD: u64 = 120_000;
/// From a release until the port is leasable for certain.
const RESTED: u64 = HOLD + HOLD / 8;

fn at(millis: u64) -> Tick {
    Tick::from_millis(millis)
}

fn pool(name: &str, prefix: &str) -> PoolConfig {
    PoolConfig::new(name).prefix(prefix.parse().unwrap())
}

fn engine(shards: usize, pool: PoolConfig) -> (Engine, Request) {
    let name = pool.name().to_owned();
    let engine = Engine::new(EngineConfig::new(shards).pool(pool)).unwrap();
    let request = Request::new(engine.pool(&name).unwrap(), Protocol::Tcp);
    (engine, request)
}

/// The same, without hold-down.
fn restless(shards: usize, pool: PoolConfig) -> (Engine, Request) {
    let name = pool.name().to_owned();
    let config = EngineConfig::new(shards).hold_down(Duration::ZERO);
    let engine = Engine::new(config.pool(pool)).unwrap();
    let request = Request::new(engine.pool(&name).unwrap(), Protocol::Tcp);
    (engine, request)
}

/// Everything there is, in one burst.
fn all(shard: &mut Shard, request: &Request, now: u64) -> Vec<Lease> {
    let mut leases = Vec::new();
    let _ = shard
        .burst(at(now))
        .allocate_batch(request, 1 << 22, &mut leases);
    leases
}

#[track_caller]
fn balanced(engine: &Engine) -> Census {
    let census = engine.census();
    assert!(census.total.balances(), "total: {}", census.total);
    assert_eq!(census.contradictions, 0);
    assert!(census.draining.balances(), "draining: {}", census.draining);
    for (name, pool) in &census.pools {
        assert!(pool.balances(), "{name}: {pool}");
    }
    census
}

/// Runs `work` and fails if it does not end in time.
#[track_caller]
fn ends<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, end) = mpsc::channel();
    let worker = std::thread::spawn(move || drop(done.send(work())));
    match end.recv_timeout(Duration::from_secs(120)) {
        Ok(result) => {
            worker.join().unwrap();
            result
        }
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("{what} does not end"),
        Err(mpsc::RecvTimeoutError::Disconnected) => panic!("{what} panicked"),
    }
}
