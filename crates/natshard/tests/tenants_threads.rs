//! Shares under threads: maxima and guarantees hold at every moment, and books and blocks agree
//! whenever nobody works, whatever was reconfigured meanwhile.

#[path = "common/oracle.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod oracle;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::time::Duration;

use natshard::{
    AllocError, Engine, EngineConfig, EventBooks, EventConfig, Lease, PoolConfig, Protocol, Reason,
    Request, Strictness, TenantShare, Threshold, Tick,
};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use oracle::Oracle;

const HOLD: u64 = 16_000;

fn at(millis: u64) -> Tick {
    Tick::from_millis(millis)
}

fn tenant(number: u32, minimum: u32, maximum: u32) -> TenantShare {
    TenantShare::new(number).minimum(minimum).maximum(maximum)
}

fn config(shards: usize, pools: impl IntoIterator<Item = PoolConfig>) -> EngineConfig {
    let config = EngineConfig::new(shards)
        .hold_down(Duration::from_millis(HOLD))
        .events(EventConfig::new(1 << 16));
    pools.into_iter().fold(config, EngineConfig::pool)
}

fn pool(name: &str, prefix: &str) -> PoolConfig {
    PoolConfig::new(name)
        .prefix(prefix.parse().unwrap())
        .ports(1024..=2047)
}

#[test]
fn maxima_hold_and_guarantees_are_met_at_every_moment() {
    const THREADS: usize = 3;
    // 16 blocks: 4 guaranteed to tenant 1, which has at most 5; 4 to tenant 2.
    let shape = pool("p", "203.0.113.0/30")
        .tenant(tenant(1, 4, 5))
        .tenant(tenant(2, 4, 32));
    let engine = Engine::new(config(THREADS, [shape])).unwrap();
    let request = Request::new(engine.pool("p").unwrap(), Protocol::Tcp);
    let clock = AtomicU64::new(0);
    let most = AtomicU64::new(0);
    let refused = [const { AtomicU64::new(0) }; 3];
    let leased = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let held_by_two = |engine: &Engine| engine.stats().shares["p"][0].shares[2].held;
    std::thread::scope(|scope| {
        let mut workers = Vec::new();
        for index in 0..THREADS {
            let (engine, clock, refused, leased) = (&engine, &clock, &refused, &leased);
            workers.push(scope.spawn(move || {
                let mut random = Xoshiro256PlusPlus::seed_from_u64(index as u64);
                let mut shard = engine.shard(index).unwrap();
                let mut held: Vec<(usize, Lease)> = Vec::new();
                for step in 0..6_000 {
                    let now = clock.fetch_add(random.next_u64() % 200, SeqCst);
                    let mut burst = shard.burst(at(now));
                    for _ in 0..24 {
                        let draw = random.next_u32();
                        if draw % 16 < 13 {
                            // Tenant 2 is served by one thread alone.
                            let class = match draw >> 4 & 7 {
                                0..=3 => 0,
                                6 | 7 if index == 2 => 2,
                                _ => 1,
                            };
                            let request = match class {
                                0 => request,
                                class => request.tenant(class as u32),
                            };
                            let before = (class == 2).then(|| held_by_two(engine));
                            match burst.allocate(&request) {
                                Ok(lease) => {
                                    leased.fetch_add(1, SeqCst);
                                    held.push((class, lease));
                                }
                                Err(error) => {
                                    assert!(matches!(
                                        error,
                                        AllocError::TenantQuota | AllocError::PoolFull
                                    ));
                                    refused[class].fetch_add(1, SeqCst);
                                    // What it held can only have become less since.
                                    assert!(before.is_none_or(|held| held >= 4), "{before:?}");
                                }
                            }
                        } else if !held.is_empty() {
                            let pick = random.next_u32() as usize % held.len();
                            burst.release(held.swap_remove(pick).1);
                        }
                    }
                    drop(burst);
                    if step % 50 == 0 {
                        shard.idle(at(now));
                    }
                }
            }));
        }
        let (engine, most, stop) = (&engine, &most, &stop);
        scope.spawn(move || {
            while !stop.load(SeqCst) {
                let stats = engine.stats();
                let tcp = &stats.shares["p"][0];
                most.fetch_max(tcp.shares[1].held, SeqCst);
                // A block is counted before it is claimed and after it is free.
                assert!(tcp.shares.iter().all(|share| share.held <= 16));
                std::thread::yield_now();
            }
        });
        for worker in workers {
            worker.join().unwrap();
        }
        stop.store(true, SeqCst);
    });
    assert_eq!(
        most.into_inner(),
        5,
        "the maximum is reached, and never exceeded"
    );
    assert!(leased.into_inner() > 20_000);
    assert!(
        refused.iter().all(|count| count.load(SeqCst) > 20),
        "{refused:?}"
    );
    let census = engine.census();
    assert!(census.total.balances(), "{}", census.total);
    assert_eq!(census.contradictions, 0);
    assert_eq!(census.shares, engine.stats().shares);
}

/// Three shards at once want one of two free blocks of one address: whoever comes too late gives
/// the share he took for it back.
#[test]
fn a_claim_that_comes_too_late_costs_no_share() {
    const THREADS: usize = 3;
    let shape = PoolConfig::new("p")
        .prefix("203.0.113.0/32".parse().unwrap())
        .ports(1024..=1535)
        .tenant(tenant(1, 2, 2));
    let engine = Engine::new(config(THREADS, [shape])).unwrap();
    let address = "203.0.113.0".parse().unwrap();
    let request = Request::new(engine.pool("p").unwrap(), Protocol::Tcp)
        .tenant(1)
        .address(address, Strictness::Strict);
    let had = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for index in 0..THREADS {
            let (engine, had) = (&engine, &had);
            scope.spawn(move || {
                let mut shard = engine.shard(index).unwrap();
                for _ in 0..60_000 {
                    let lease = shard.burst(at(0)).allocate(&request);
                    if let Ok(lease) = lease {
                        had.fetch_add(1, SeqCst);
                        shard.burst(at(0)).release_with(lease, Reason::Unused);
                    }
                    // The block comes free again at once: its ports need no rest.
                    shard.idle(at(0));
                }
            });
        }
    });
    assert!(had.into_inner() > 10_000);
    let shares = engine.stats().shares;
    assert_eq!(engine.census().shares, shares);
}

/// Tenants come, go and change, pools exchange addresses and stop or begin to share, while two
/// shards lease on behalf of everybody.
#[test]
fn shares_change_under_load_and_the_books_stay_right() {
    let (low, high, all) = ("203.0.113.0/30", "203.0.113.4/30", "203.0.113.0/29");
    let shapes = [
        config(
            2,
            [pool("a", all)
                .tenant(tenant(1, 8, 16))
                .tenant(tenant(2, 4, 32))
                .headroom(2)],
        ),
        config(
            2,
            [pool("a", all)
                .tenant(tenant(1, 2, 6))
                .tenant(tenant(3, 20, 32))],
        ),
        config(2, [pool("a", all)]),
        config(
            2,
            [
                pool("a", low)
                    .tenant(tenant(1, 4, 16))
                    .threshold(Threshold::new(60, 40)),
                pool("b", high).tenant(tenant(2, 3, 9)).headroom(5),
            ],
        ),
        config(2, [pool("b", all).threshold(Threshold::new(90, 50))]),
        config(
            2,
            [pool("a", high).tenant(tenant(3, 10, 16)), pool("b", low)],
        ),
    ];
    let engine = Engine::new(shapes[0].clone()).unwrap();
    // What the threads share beside the engine is relaxed, so that the order between two holders of
    // a tuple is the engine's (F35).
    let oracle = Oracle::new(8, HOLD);
    let mut reader = engine.events().unwrap();
    let mut books = EventBooks::default();
    let total = AtomicU64::new(0);
    let clock = AtomicU64::new(0);
    let mut random = Xoshiro256PlusPlus::seed_from_u64(17);
    for round in 0..12u64 {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for index in 0..2usize {
                let (engine, oracle, stop) = (&engine, &oracle, &stop);
                let (total, clock, who) = (&total, &clock, index as u32);
                scope.spawn(move || {
                    let mut random = Xoshiro256PlusPlus::seed_from_u64(round << 8 | index as u64);
                    let mut shard = engine.shard(index).unwrap();
                    let mut held: Vec<Lease> = Vec::new();
                    let mut now = 0;
                    while !stop.load(Relaxed) {
                        now = clock.fetch_add(random.next_u64() % 1500, Relaxed);
                        let mut burst = shard.burst(at(now));
                        for _ in 0..64 {
                            let draw = random.next_u32();
                            if held.len() < 3000 && draw % 4 != 0 {
                                let name = if draw & 4 == 0 { "a" } else { "b" };
                                let Some(pool) = engine.pool(name) else {
                                    continue;
                                };
                                let request = Request::new(pool, Protocol::Tcp);
                                let request = match draw >> 3 & 7 {
                                    0 | 1 => request,
                                    2 => request.control(),
                                    number => request.tenant(number % 3 + 1),
                                };
                                if let Ok(lease) = burst.allocate(&request) {
                                    oracle.leased(&lease, who, clock.load(Relaxed));
                                    total.fetch_add(1, Relaxed);
                                    held.push(lease);
                                }
                            } else if !held.is_empty() {
                                let pick = random.next_u32() as usize % held.len();
                                let lease = held.swap_remove(pick);
                                oracle.released(&lease, who, now);
                                burst.release(lease);
                            }
                        }
                        drop(burst);
                        if random.next_u32() % 32 == 0 {
                            shard.idle(at(now));
                        }
                    }
                    for lease in held {
                        oracle.released(&lease, who, now);
                        drop(lease);
                    }
                });
            }
            for _ in 0..25 {
                let shape = &shapes[random.next_u32() as usize % shapes.len()];
                engine.reconfigure(shape.clone()).unwrap();
                std::thread::sleep(Duration::from_millis(2));
            }
            stop.store(true, Relaxed);
        });
        let census = engine.census();
        assert!(census.total.balances(), "{}", census.total);
        assert_eq!(census.contradictions, 0);
        assert_eq!(census.shares, engine.stats().shares, "round {round}");
        reader.drain(&mut books);
    }
    assert!(total.into_inner() > 50_000);
    // Everything rests, and goes back to whom it belongs.
    engine.reconfigure(shapes[0].clone()).unwrap();
    let mut now = clock.into_inner();
    let mut shards = [engine.shard(0).unwrap(), engine.shard(1).unwrap()];
    for _ in 0..3 {
        now += HOLD + HOLD / 8;
        shards.iter_mut().for_each(|shard| shard.idle(at(now)));
    }
    let census = engine.census();
    assert_eq!(census.shares, engine.stats().shares);
    let tcp = &census.shares["a"][0];
    assert_eq!((tcp.blocks, tcp.lendable), (32, 32 - 8 - 4 - 2));
    assert!(tcp.shares.iter().all(|share| share.held == 0), "{tcp:?}");
    reader.drain(&mut books);
    assert_eq!(books.contradictions(), []);
    assert!(books.events() > 100 && books.events_lost() == 0);
}
