//! Addresses that a pool left behind, with a lease in them when it did, were never closed.

use natshard::{Engine, EngineConfig, Protocol, Request};

use crate::plain::{HOLD, at, pool};

#[test]
fn addresses_of_pools_that_moved_on_come_back_to_the_last() {
    let config = |step: usize| EngineConfig::new(1).pool(pool("p", &format!("10.0.{step}.0/24")));
    let engine = Engine::new(config(0)).unwrap();
    let request = Request::new(engine.pool("p").unwrap(), Protocol::Tcp);
    let mut shard = engine.shard(0).unwrap();
    let mut now = 0;
    for step in 1..20 {
        let lease = shard.burst(at(now)).allocate(&request).unwrap();
        engine.reconfigure(config(step)).unwrap();
        shard.burst(at(now)).release(lease);
        for _ in 0..60 {
            now += HOLD / 8;
            shard.idle(at(now));
        }
    }
    assert!(
        engine.stats().open_addresses <= 1,
        "{:?}",
        engine.stats().open_addresses
    );
}
