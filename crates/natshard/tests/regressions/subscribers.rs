//! What tests of subscribers, port blocks and pairing share.

use std::sync::mpsc;
use std::time::Duration;

use natshard::{
    AllocError, Burst, Engine, EngineConfig, EventConfig, Lease, PoolConfig, Protocol, Request,
    Tick,
};

pub const HOLD: u64 = 16_000;
/// A slice is a sixteenth of the hold-down.
pub const SLICE: u64 = HOLD / 16;

pub fn at(millis: u64) -> Tick {
    Tick::from_millis(millis)
}

pub fn pool(prefix: &str) -> PoolConfig {
    PoolConfig::new("pool").prefix(prefix.parse().unwrap())
}

pub fn config(shards: usize, pool: PoolConfig) -> EngineConfig {
    EngineConfig::new(shards)
        .hold_down(Duration::from_millis(HOLD))
        .events(EventConfig::new(1 << 16))
        .pool(pool)
}

pub fn engine(pool: PoolConfig) -> Engine {
    Engine::new(config(1, pool).seed(1)).unwrap()
}

pub fn request(engine: &Engine, protocol: Protocol, subscriber: u64) -> Request {
    Request::new(engine.pool("pool").unwrap(), protocol).subscriber(subscriber)
}

pub fn fill(burst: &mut Burst<'_>, request: &Request) -> (Vec<Lease>, AllocError) {
    let mut leases = Vec::new();
    loop {
        match burst.allocate(request) {
            Ok(lease) => leases.push(lease),
            Err(error) => return (leases, error),
        }
    }
}

/// Fails when `work` does not end: what went round for ever must not stop the tests.
pub fn ends<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, end) = mpsc::channel();
    std::thread::spawn(move || done.send(work()));
    end.recv_timeout(Duration::from_secs(60))
        .expect("it went round for ever, or panicked")
}

pub fn both_families() -> PoolConfig {
    pool("192.0.2.0/31").prefix("2001:db8::/127".parse().unwrap())
}
