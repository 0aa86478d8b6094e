//! The time was raised before the slice: a shard that found the time there already stamped its
//! releases with the slice before.

use std::sync::atomic::{AtomicU64, Ordering};

use natshard::{Engine, EngineConfig, Protocol, Request};

use crate::plain::{HOLD, at, pool};

#[test]
fn a_release_after_a_tick_that_another_shard_brings_rests_from_that_tick() {
    let engine = Engine::new(EngineConfig::new(2).pool(pool("p", "203.0.113.0/32"))).unwrap();
    let request = Request::new(engine.pool("p").unwrap(), Protocol::Tcp);
    let now = AtomicU64::new(0);
    let barrier = std::sync::Barrier::new(2);
    std::thread::scope(|scope| {
        let (engine, now, barrier) = (&engine, &now, &barrier);
        scope.spawn(move || {
            let mut shard = engine.shard(1).unwrap();
            for _ in 0..3_000 {
                barrier.wait();
                drop(shard.burst(at(now.load(Ordering::SeqCst))));
                barrier.wait();
            }
        });
        let mut shard = engine.shard(0).unwrap();
        for _ in 0..3_000 {
            let mut held = Vec::new();
            let then = now.load(Ordering::SeqCst);
            shard
                .burst(at(then))
                .allocate_batch(&request, 256, &mut held)
                .unwrap();
            let next = then + HOLD;
            now.store(next, Ordering::SeqCst);
            barrier.wait();
            shard.burst(at(next)).release_batch(&mut held);
            barrier.wait();
            let early = shard.burst(at(next + HOLD / 2)).allocate(&request);
            assert!(early.is_err(), "{early:?} rested half of its hold-down");
            now.store(next + 2 * HOLD, Ordering::SeqCst);
        }
    });
}
