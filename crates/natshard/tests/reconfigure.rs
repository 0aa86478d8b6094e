//! Live reconfiguration: adding, draining, bringing back, changing overlaps (I8).

#[path = "common/oracle.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod oracle;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use natshard::{
    AllocError, ConfigFault, Engine, EngineConfig, Lease, PoolConfig, Protocol, Request, Tick,
};

use oracle::Oracle;

const HOLD: u64 = 120_000;

fn at(millis: u64) -> Tick {
    Tick::from_millis(millis)
}

fn pool(name: &str, prefix: &str) -> PoolConfig {
    PoolConfig::new(name)
        .prefix(prefix.parse().unwrap())
        .ports(1024..=2047)
}

fn config(pools: &[PoolConfig]) -> EngineConfig {
    pools
        .iter()
        .cloned()
        .fold(EngineConfig::new(2).seed(5), EngineConfig::pool)
}

#[test]
fn f29_a_pool_drains_keeps_its_leases_and_comes_back() {
    let (a, b) = (pool("a", "203.0.113.0/30"), pool("b", "198.51.100.0/30"));
    let engine = Engine::new(config(&[a.clone(), b.clone()])).unwrap();
    let id = engine.pool("a").unwrap();
    let request = Request::new(id, Protocol::Tcp);
    let mut shard = engine.shard(0).unwrap();
    let mut leases = Vec::new();
    shard
        .burst(at(0))
        .allocate_batch(&request, 300, &mut leases)
        .unwrap();
    let addrs: HashSet<_> = leases.iter().map(natshard::Lease::addr).collect();

    let done = engine
        .reconfigure(config(std::slice::from_ref(&b)))
        .unwrap();
    assert_eq!(
        (done.removed.as_slice(), done.draining_leases),
        (&["a".to_owned()][..], 300)
    );
    assert_eq!(engine.pool("a"), None);
    let mut burst = shard.burst(at(1));
    assert_eq!(burst.allocate(&request), Err(AllocError::NoSuchPool));
    drop(burst);
    let census = engine.census();
    assert_eq!((census.draining.leased, census.draining.unissued), (300, 0));
    assert!(census.total.balances() && census.draining.balances());
    assert_eq!(census.contradictions, 0);

    // Back while its leases live: same number, and nothing of theirs is given out again.
    engine.reconfigure(config(&[a.clone(), b.clone()])).unwrap();
    assert_eq!(engine.pool("a"), Some(id));
    let mut more = Vec::new();
    let got = shard
        .burst(at(2))
        .allocate_batch(&request, 9999, &mut more)
        .unwrap();
    assert_eq!(got, 4096 - 300);
    assert!(more.iter().all(|lease| !addrs.contains(&lease.addr())));
    assert_eq!(engine.census().pools["a"].leased, 4096);

    // Drained to the end, its memory comes back.
    engine.reconfigure(config(&[b])).unwrap();
    let mut burst = shard.burst(at(3));
    burst.release_batch(&mut leases);
    burst.release_batch(&mut more);
    drop(burst);
    for step in 0..64 {
        shard.idle(at(3 + step * HOLD / 8));
    }
    let census = engine.census();
    assert_eq!(census.draining, Default::default());
    assert!(engine.stats().open_addresses <= 1, "{:?}", engine.stats());
}

#[test]
fn draining_says_so() {
    let both = pool("a", "203.0.113.0/31");
    let half = pool("a", "203.0.113.0/32");
    let engine = Engine::new(config(&[both])).unwrap();
    let id = engine.pool("a").unwrap();
    let mut shard = engine.shard(0).unwrap();
    let fixed = "203.0.113.1:1500".parse().unwrap();
    let lease = shard
        .burst(at(0))
        .reserve(id, Protocol::Tcp, fixed)
        .unwrap();
    engine.reconfigure(config(&[half])).unwrap();
    let again = shard
        .burst(at(0))
        .reserve(id, Protocol::Tcp, "203.0.113.1:1501".parse().unwrap());
    assert_eq!(again, Err(AllocError::Draining));
    let never = shard
        .burst(at(0))
        .reserve(id, Protocol::Udp, "203.0.113.2:1501".parse().unwrap());
    assert_eq!(never, Err(AllocError::OutsidePool));
    shard.burst(at(0)).release(lease);
}

#[test]
fn what_cannot_change_is_refused_and_nothing_happens() {
    let a = pool("a", "203.0.113.0/30");
    let engine = Engine::new(config(std::slice::from_ref(&a))).unwrap();
    let error = engine
        .reconfigure(EngineConfig::new(3).pool(a))
        .unwrap_err();
    let immutable = |fault: &&ConfigFault| matches!(fault, ConfigFault::Immutable(_));
    assert_eq!(
        error.faults().iter().filter(immutable).count(),
        2,
        "shards and seed: {error}"
    );
    assert!(engine.pool("a").is_some());
}

#[test]
fn f02_overlaps_change_under_load_without_a_duplicate() {
    let shapes = [
        config(&[pool("a", "203.0.113.0/29"), pool("b", "203.0.113.4/30")]),
        config(&[
            pool("a", "203.0.113.0/30"),
            pool("b", "203.0.113.0/29").ports(1500..=1800),
        ]),
        config(&[
            pool("a", "203.0.113.0/29").exclude("203.0.113.2".parse().unwrap(), 1100..=1900),
            pool("b", "203.0.113.0/31"),
        ]),
        config(&[pool("b", "203.0.113.0/29")]),
    ];
    let engine = Engine::new(shapes[0].clone()).unwrap();
    // What the threads share beside the engine is relaxed, so that the order between two holders of
    // a tuple is the engine's (F35).
    let oracle = Oracle::new(8, HOLD);
    let (stop, clock, total) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let (a, b) = (engine.pool("a").unwrap(), engine.pool("b").unwrap());
    std::thread::scope(|scope| {
        for index in 0..2usize {
            let (engine, oracle, stop) = (&engine, &oracle, &stop);
            let (clock, total) = (&clock, &total);
            scope.spawn(move || {
                let who = index as u32;
                let mut shard = engine.shard(index).unwrap();
                let mut held: Vec<Lease> = Vec::new();
                let mut random = index as u64 + 1;
                let mut now = 0;
                while !stop.load(Relaxed) {
                    now = clock.fetch_add(1_500, Relaxed);
                    let mut burst = shard.burst(at(now));
                    for _ in 0..64 {
                        random = random
                            .wrapping_mul(6364136223846793005)
                            .wrapping_add(1442695040888963407);
                        if held.len() < 1500 && random >> 62 != 0 {
                            let request = Request::new(
                                if random >> 40 & 1 == 0 { a } else { b },
                                Protocol::Tcp,
                            );
                            if let Ok(lease) = burst.allocate(&request) {
                                oracle.leased(&lease, who, clock.load(Relaxed));
                                total.fetch_add(1, Relaxed);
                                held.push(lease);
                            }
                        } else if !held.is_empty() {
                            let lease = held.swap_remove((random >> 20) as usize % held.len());
                            oracle.released(&lease, who, now);
                            burst.release(lease);
                        }
                    }
                }
                for lease in held {
                    oracle.released(&lease, who, now);
                    drop(lease);
                }
            });
        }
        for round in 0..300 {
            engine
                .reconfigure(shapes[round % shapes.len()].clone())
                .unwrap();
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        stop.store(true, Relaxed);
    });
    assert!(total.into_inner() > 5_000);
    let census = engine.census();
    assert_eq!((census.total.leased, census.draining.leased), (0, 0));
    assert!(census.total.balances());
    assert_eq!(census.contradictions, 0);
}
