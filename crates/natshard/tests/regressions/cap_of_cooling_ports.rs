//! Leases that were dropped did not count towards the cap of cooling ports, and at the cap ports were
//! served before their time although others had rested.

use std::time::Duration;

use natshard::{Engine, EngineConfig, PoolConfig, Protocol, Request};

use crate::plain::{HOLD, at};

#[test]
fn the_cap_counts_dropped_leases_and_prefers_what_has_rested() {
    let config = |cap| {
        EngineConfig::new(1)
            .max_cooling(cap)
            .hold_down(Duration::from_secs(120))
            .pool(PoolConfig::new("p").prefix("203.0.113.0/28".parse().unwrap()))
    };
    let engine = Engine::new(config(1000)).unwrap();
    let request = Request::new(engine.pool("p").unwrap(), Protocol::Tcp);
    let mut shard = engine.shard(0).unwrap();
    for round in 0..300 {
        let mut burst = shard.burst(at(round));
        let mut held = Vec::new();
        burst.allocate_batch(&request, 50, &mut held).unwrap();
    }
    let cooling = engine.census().total.cooling;
    assert!(cooling < 2_000, "{cooling} of 15,000 dropped leases cool");
    assert!(engine.stats().shards[0].served_early > 0);
    // A block pinned by one lease: what has rested of it is served, nothing early.
    let engine = Engine::new(config(300)).unwrap();
    let request = Request::new(engine.pool("p").unwrap(), Protocol::Tcp);
    let mut shard = engine.shard(0).unwrap();
    let mut held = Vec::new();
    shard
        .burst(at(0))
        .allocate_batch(&request, 256, &mut held)
        .unwrap();
    let pin = held.pop();
    shard.burst(at(0)).release_batch(&mut held);
    shard
        .burst(at(2 * HOLD))
        .allocate_batch(&request, 50, &mut held)
        .unwrap();
    shard.burst(at(2 * HOLD)).release_batch(&mut held);
    shard
        .burst(at(2 * HOLD))
        .allocate_batch(&request, 100, &mut held)
        .unwrap();
    assert_eq!(engine.stats().shards[0].served_early, 0);
    drop(pin);
}
