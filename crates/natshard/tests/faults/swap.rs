//! F2 beyond its original scale.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use natshard::{Engine, EngineConfig, Lease, PoolConfig, Protocol, Request};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use super::oracle::Oracle;
use super::{all, at, balanced, pool};

/// Leases each shard carries, at least.
const EACH: usize = 155_000;
const REST: u64 = 400;

/// Two pools that overlap differently in each.
fn shapes() -> Vec<EngineConfig> {
    let of = |pools: [PoolConfig; 2]| {
        let all = EngineConfig::new(2).hold_down(Duration::from_millis(REST));
        pools.into_iter().fold(all, EngineConfig::pool)
    };
    let address = "203.0.113.9".parse().unwrap();
    vec![
        of([pool("a", "203.0.113.0/28"), pool("b", "203.0.113.8/29")]),
        of([pool("a", "203.0.113.0/29"), pool("b", "203.0.113.0/28")]),
        of([
            pool("a", "203.0.113.0/28").ports(1024..=40_000),
            pool("b", "203.0.113.0/28").ports(30_000..=65_535),
        ]),
        of([
            pool("a", "203.0.113.8/29").exclude(address, 5_000..=50_000),
            pool("b", "203.0.113.0/28"),
        ]),
    ]
}

/// F2: old and new allocator both handed out a tuple while a configuration was swapped: 288,000
/// loads, 2 duplicates. Here more than 300,000 leases are carried over every swap while two
/// threads lease and release; none is doubled, none lost.
#[test]
fn f02_300_000_leases_are_carried_over_swaps_under_load() {
    let shapes = shapes();
    let engine = Engine::new(shapes[0].clone()).unwrap();
    let realm = engine.realm("default").unwrap();
    let oracle = Oracle::new(16, REST);
    let (stop, clock) = (AtomicBool::new(false), AtomicU64::new(0));
    let live = [AtomicU64::new(0), AtomicU64::new(0)];
    let (mut swaps, mut least) = (0, u64::MAX);
    let held: Vec<Lease> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2)
            .map(|index| {
                let (engine, oracle, stop, clock) = (&engine, &oracle, &stop, &clock);
                let live = &live[index];
                scope.spawn(move || work(index, engine, oracle, stop, clock, live))
            })
            .collect();
        let count = || live.iter().map(|one| one.load(Ordering::SeqCst)).sum();
        let working = || threads.iter().all(|thread| !thread.is_finished());
        while count() < 2 * EACH as u64 && working() {
            std::thread::sleep(Duration::from_millis(1));
        }
        while swaps < 120 && working() {
            least = least.min(count());
            swaps += 1;
            engine.reconfigure(shapes[swaps % 4].clone()).unwrap();
            least = least.min(count());
            std::thread::sleep(Duration::from_millis(4));
        }
        stop.store(true, Ordering::SeqCst);
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    let stats = engine.stats();
    println!(
        "{swaps} swaps, at least {least} leases carried over each, {} leased in all",
        stats.allocated()
    );
    assert!(least >= 300_000, "only {least} were carried over");
    assert!(stats.allocated() > least + 100_000, "there was no load");

    // None lost: each is still of the one who has it, and the engine knows it and nothing more.
    let census = balanced(&engine);
    let leased = census.total.leased + census.draining.leased;
    assert_eq!(leased, held.len() as u64);
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(at(clock.load(Ordering::SeqCst)));
    for lease in held {
        assert!(engine.owner(realm, Protocol::Tcp, lease.addr()).is_some());
        burst.release_raw(lease.into_raw()).unwrap();
    }
    drop(burst);
    assert_eq!(engine.census().draining.leased, 0);
    // And every port of the widest shape is leasable once it has rested.
    engine.reconfigure(shapes[0].clone()).unwrap();
    let request = Request::new(engine.pool("a").unwrap(), Protocol::Tcp);
    let now = clock.load(Ordering::SeqCst) + REST + REST / 8;
    assert_eq!(all(&mut shard, &request, now).len(), 16 * 64_512);
    balanced(&engine);
}

fn work(
    index: usize,
    engine: &Engine,
    oracle: &Oracle,
    stop: &AtomicBool,
    clock: &AtomicU64,
    live: &AtomicU64,
) -> Vec<Lease> {
    let who = index as u32;
    let mut random = Xoshiro256PlusPlus::seed_from_u64(who.into());
    let pools = ["a", "b"].map(|name| engine.pool(name).unwrap());
    let mut shard = engine.shard(index).unwrap();
    let mut held: Vec<Lease> = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        // A release is stamped with a time before it, a lease judged by one after it.
        let now = clock.fetch_add(1, Ordering::SeqCst);
        let mut burst = shard.burst(at(now));
        for _ in 0..128 {
            if held.len() > EACH && random.next_u32() & 1 == 0 {
                let lease = held.swap_remove(random.next_u64() as usize % held.len());
                oracle.released(&lease, who, now);
                match random.next_u32() % 8 {
                    0 => drop(lease),
                    1 => burst.release_raw(lease.into_raw()).unwrap(),
                    _ => burst.release(lease),
                }
            } else if held.len() < EACH + 20_000 {
                let pool = pools[random.next_u32() as usize & 1];
                if let Ok(lease) = burst.allocate(&Request::new(pool, Protocol::Tcp)) {
                    oracle.leased(&lease, who, clock.load(Ordering::SeqCst));
                    held.push(lease);
                }
            }
        }
        live.store(held.len() as u64, Ordering::SeqCst);
    }
    for lease in &held {
        oracle.still(lease, who);
    }
    held
}
