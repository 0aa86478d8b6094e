//! F2 beyond its original scale.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use natshard::{Engine, EngineConfig, Lease, PoolConfig, Protocol, Request};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use super::oracle::Oracle;
use super::{all, at, balanced, pool};

/// Ports of an address, where no pool has fewer.
const PORTS: usize = 64_512;

/// Two pools that overlap differently in each, of so many times fewer ports.
fn shapes(rest: u64, scale: u16) -> Vec<EngineConfig> {
    let pool = |name, prefix| pool(name, prefix).ports(1024..=1024 + 64_511 / scale);
    let port = |port: u16| 1024 + (port - 1024) / scale;
    let of = |pools: [PoolConfig; 2]| {
        let all = EngineConfig::new(2).hold_down(Duration::from_millis(rest));
        pools.into_iter().fold(all, EngineConfig::pool)
    };
    let address = "203.0.113.9".parse().unwrap();
    vec![
        of([pool("a", "203.0.113.0/28"), pool("b", "203.0.113.8/29")]),
        of([pool("a", "203.0.113.0/29"), pool("b", "203.0.113.0/28")]),
        of([
            pool("a", "203.0.113.0/28").ports(1024..=port(40_000)),
            pool("b", "203.0.113.0/28").ports(port(30_000)..=port(65_535)),
        ]),
        of([
            pool("a", "203.0.113.8/29").exclude(address, port(5_000)..=port(50_000)),
            pool("b", "203.0.113.0/28"),
        ]),
    ]
}

/// F2: old and new allocator both handed out a tuple while a configuration was swapped: 288,000
/// loads, 2 duplicates. Here more than 300,000 leases are carried over every swap while two
/// threads lease and release; none is doubled, none lost.
#[test]
fn f02_300_000_leases_are_carried_over_swaps_under_load() {
    carry(155_000, 1, 400, 300_000, 120);
}

/// The same with less, at the pace of a race detector, and with ports that are soon another's.
#[test]
fn f02_leases_are_carried_over_some_swaps_under_load() {
    carry(4_000, 64, 1, 7_000, 12);
}

/// Two shards that hold some `each` leases have at least so many of them carried over each of so many
/// swaps. What they share beside the engine is relaxed, so that the order between two holders of a
/// tuple is the engine's (F35).
fn carry(each: usize, scale: u16, rest: u64, at_least: u64, wanted: usize) {
    let shapes = shapes(rest, scale);
    let engine = Engine::new(shapes[0].clone()).unwrap();
    let realm = engine.realm("default").unwrap();
    let oracle = Oracle::new(16, rest);
    let (stop, clock) = (AtomicBool::new(false), AtomicU64::new(0));
    let live = [AtomicU64::new(0), AtomicU64::new(0)];
    let (mut swaps, mut least) = (0, u64::MAX);
    let held: Vec<Lease> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2)
            .map(|index| {
                let (engine, oracle, stop, clock) = (&engine, &oracle, &stop, &clock);
                let live = &live[index];
                scope.spawn(move || work(index, each, engine, oracle, stop, clock, live))
            })
            .collect();
        let count = || live.iter().map(|one| one.load(Relaxed)).sum();
        let working = || threads.iter().all(|thread| !thread.is_finished());
        while count() < 2 * each as u64 && working() {
            std::thread::sleep(Duration::from_millis(1));
        }
        // So many, and until enough came and went.
        let load = |least| engine.stats().allocated().saturating_sub(least) > at_least / 3;
        while (swaps < wanted || !load(least)) && working() {
            least = least.min(count());
            swaps += 1;
            engine.reconfigure(shapes[swaps % 4].clone()).unwrap();
            least = least.min(count());
            std::thread::sleep(Duration::from_millis(4));
        }
        stop.store(true, Relaxed);
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
    assert!(least >= at_least, "only {least} were carried over");
    let load = stats.allocated() - least;
    assert!(load > at_least / 3, "only {load} came and went");

    // None lost: each is still of the one who has it, and the engine knows it and nothing more.
    let census = balanced(&engine);
    let leased = census.total.leased + census.draining.leased;
    assert_eq!(leased, held.len() as u64);
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(at(clock.load(Relaxed)));
    for lease in held {
        assert!(engine.owner(realm, Protocol::Tcp, lease.addr()).is_some());
        burst.release_raw(lease.into_raw()).unwrap();
    }
    drop(burst);
    assert_eq!(engine.census().draining.leased, 0);
    // And every port of the widest shape is leasable once it has rested.
    engine.reconfigure(shapes[0].clone()).unwrap();
    let request = Request::new(engine.pool("a").unwrap(), Protocol::Tcp);
    let now = clock.load(Relaxed) + rest + rest / 8 + 2;
    assert_eq!(
        all(&mut shard, &request, now).len(),
        16 * PORTS / usize::from(scale)
    );
    balanced(&engine);
}

fn work(
    index: usize,
    each: usize,
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
    while !stop.load(Relaxed) {
        // A release is stamped with a time before it, a lease judged by one after it.
        let now = clock.fetch_add(1, Relaxed);
        let mut burst = shard.burst(at(now));
        for _ in 0..128 {
            if held.len() > each && random.next_u32() & 1 == 0 {
                let lease = held.swap_remove(random.next_u64() as usize % held.len());
                oracle.released(&lease, who, now);
                match random.next_u32() % 8 {
                    0 => drop(lease),
                    1 => burst.release_raw(lease.into_raw()).unwrap(),
                    _ => burst.release(lease),
                }
                if random.next_u32() % 2048 == 0 {
                    // Stopped in a burst: others have what was just given back before it goes on.
                    std::thread::sleep(Duration::from_millis(1));
                }
            } else if held.len() < each + each / 8 {
                let pool = pools[random.next_u32() as usize & 1];
                if let Ok(lease) = burst.allocate(&Request::new(pool, Protocol::Tcp)) {
                    oracle.leased(&lease, who, clock.load(Relaxed));
                    held.push(lease);
                }
            }
        }
        live.store(held.len() as u64, Relaxed);
    }
    for lease in &held {
        oracle.still(lease, who);
    }
    held
}
