//! Exact exhaustion, with threads and with holes (I4), and the oracle of one cell per tuple.
//!
//! What threads share beside the engine is relaxed, or touched when nobody works: else it would make
//! the order between two holders of a tuple that the engine owes them.

#[path = "common/oracle.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod oracle;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use natshard::{
    AllocError, Engine, EngineConfig, Lease, PoolConfig, Protocol, Request, Shard, Tick,
};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use oracle::Oracle;

const HOLD: u64 = 120_000;
const ADDRESSES: usize = 16;
const PORTS: usize = ADDRESSES * (65_536 - 1024);

fn at(millis: u64) -> Tick {
    Tick::from_millis(millis)
}

fn engine(shards: usize) -> (Engine, Request) {
    let pool = PoolConfig::new("p").prefix("203.0.113.0/28".parse().unwrap());
    let engine = Engine::new(EngineConfig::new(shards).pool(pool)).unwrap();
    let request = Request::new(engine.pool("p").unwrap(), Protocol::Tcp);
    (engine, request)
}

fn oracle() -> Oracle {
    Oracle::new(ADDRESSES, HOLD)
}

#[track_caller]
fn assert_census(engine: &Engine, leased: usize, cooling: usize) {
    let census = engine.census();
    assert!(census.total.balances(), "{}", census.total);
    assert_eq!(census.contradictions, 0);
    assert_eq!(
        (census.total.leased, census.total.cooling),
        (leased as u64, cooling as u64)
    );
}

fn fill(shard: &mut Shard, request: &Request, now: u64, oracle: &Oracle) -> Vec<Lease> {
    let mut leases = Vec::new();
    loop {
        let mut burst = shard.burst(at(now));
        for _ in 0..32 {
            match burst.allocate(request) {
                Ok(lease) => {
                    oracle.leased(&lease, 0, now);
                    leases.push(lease);
                }
                Err(error) => {
                    assert_eq!(error, AllocError::PoolFull);
                    return leases;
                }
            }
        }
    }
}

#[test]
fn two_shards_in_turn_fill_to_the_last_port() {
    let (engine, request) = engine(2);
    let oracle = oracle();
    let mut shards = [engine.shard(0).unwrap(), engine.shard(1).unwrap()];
    let mut leases = Vec::new();
    let mut refused = [false; 2];
    while refused != [true; 2] {
        for (shard, refused) in shards.iter_mut().zip(&mut refused) {
            let mut burst = shard.burst(at(0));
            for _ in 0..32 {
                match burst.allocate(&request) {
                    Ok(lease) => {
                        oracle.leased(&lease, 0, 0);
                        leases.push(lease);
                        *refused = false;
                    }
                    Err(_) => *refused = true,
                }
            }
        }
    }
    assert_eq!(leases.len(), PORTS);
    assert_census(&engine, PORTS, 0);
}

#[test]
fn two_threads_at_once_with_random_releases_fill_to_the_last_port() {
    let (engine, request) = engine(2);
    let oracle = oracle();
    let held: Mutex<Vec<Lease>> = Mutex::new(Vec::new());
    let count = AtomicUsize::new(0);
    let cooling = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for index in 0..2 {
            let (engine, oracle, held, count, cooling) =
                (&engine, &oracle, &held, &count, &cooling);
            scope.spawn(move || {
                let who = index as u32;
                let mut random = Xoshiro256PlusPlus::seed_from_u64(who.into());
                let mut shard = engine.shard(index).unwrap();
                let mut mine = Vec::new();
                let mut idle = 0;
                // Every port is leased once; a fifth of them is released again on the way, some
                // by drop, and rests to the end of the test.
                while idle < 50 {
                    let mut burst = shard.burst(at(0));
                    let mut had = 0;
                    for _ in 0..32 {
                        if let Ok(lease) = burst.allocate(&request) {
                            oracle.leased(&lease, who, 0);
                            had += 1;
                            mine.push(lease);
                            if random.next_u32() % 5 == 0 {
                                let lease =
                                    mine.swap_remove(random.next_u32() as usize % mine.len());
                                oracle.released(&lease, who, 0);
                                cooling.fetch_add(1, Relaxed);
                                if random.next_u32() % 4 == 0 {
                                    drop(lease)
                                } else {
                                    burst.release(lease)
                                }
                            }
                        }
                    }
                    count.fetch_add(had, Relaxed);
                    idle = if had == 0 { idle + 1 } else { 0 };
                    if had == 0 {
                        std::thread::yield_now();
                    }
                }
                held.lock().unwrap().append(&mut mine);
            });
        }
    });
    assert_eq!(count.into_inner(), PORTS, "all 1,032,192 ports, each once");
    let cooling = cooling.into_inner();
    assert!(cooling > PORTS / 6);
    assert_census(&engine, PORTS - cooling, cooling);
    // Once they have rested, every one of them is there again.
    let mut shard = engine.shard(1).unwrap();
    let again = fill(&mut shard, &request, HOLD + HOLD / 8, &oracle);
    assert_eq!(again.len(), cooling);
    assert_census(&engine, PORTS, 0);
}

#[test]
fn random_holes_at_95_and_99_9_percent_are_each_obtained_once_they_rested() {
    for per_mille in [950, 999] {
        let (engine, request) = engine(2);
        let oracle = oracle();
        let mut random = Xoshiro256PlusPlus::seed_from_u64(per_mille);
        let mut shards = [engine.shard(0).unwrap(), engine.shard(1).unwrap()];
        let mut leases = fill(&mut shards[0], &request, 0, &oracle);
        assert_eq!(leases.len(), PORTS);
        let mut now = 0;
        for round in 0..3 {
            let holes = PORTS * (1000 - per_mille as usize) / 1000;
            // Released by the shard that did not lease them, over half a hold-down.
            let (releaser, taker) = (round % 2, (round + 1) % 2);
            for step in 0..holes {
                let lease = leases.swap_remove(random.next_u64() as usize % leases.len());
                let then = now + (step * 60_000 / holes) as u64;
                let mut burst = shards[releaser].burst(at(then));
                oracle.released(&lease, 0, then);
                burst.release(lease);
            }
            assert_census(&engine, PORTS - holes, holes);
            // When the first half is due, with the eighth of a hold-down by which a rest may be
            // noticed late, all of that half is had, and nothing of the last quarter.
            let early = now + 30_000 + HOLD + HOLD / 8;
            let got = fill(&mut shards[taker], &request, early, &oracle);
            assert!(
                (holes / 2..=holes * 3 / 4 + 1).contains(&got.len()),
                "{} of {holes}",
                got.len()
            );
            leases.extend(got);
            let late = now + 60_000 + HOLD + HOLD / 8;
            leases.extend(fill(&mut shards[taker], &request, late, &oracle));
            assert_eq!(leases.len(), PORTS, "{per_mille} round {round}: every hole");
            assert_census(&engine, PORTS, 0);
            shards[taker].idle(at(late));
            now = late;
        }
    }
}

#[test]
fn long_lived_leases_do_not_pin_their_blocks() {
    // One lease in each block stays for ever; everything else comes and goes (F12).
    let (engine, request) = engine(1);
    let oracle = oracle();
    let mut shard = engine.shard(0).unwrap();
    let mut pinned = Vec::new();
    let mut now = 0;
    for round in 0..6 {
        let leases = fill(&mut shard, &request, now, &oracle);
        assert_eq!(leases.len() + pinned.len(), PORTS, "round {round}");
        let mut burst = shard.burst(at(now));
        let mut blocks = std::collections::HashSet::new();
        for lease in leases {
            let block = (lease.addr().ip(), lease.addr().port() / 256);
            if round == 0 && blocks.insert(block) {
                pinned.push(lease);
            } else {
                oracle.released(&lease, 0, now);
                burst.release(lease);
            }
        }
        drop(burst);
        assert_census(&engine, pinned.len(), PORTS - pinned.len());
        // Odd steps, so that stamps of one byte wrap in every way.
        now += HOLD * (9 * round + 2) + 12_345;
    }
    assert_eq!(pinned.len(), ADDRESSES * 252);
}

#[test]
fn threads_churn_with_a_moving_clock_and_nothing_is_lost_or_doubled() {
    let pool = PoolConfig::new("p")
        .prefix("203.0.113.0/30".parse().unwrap())
        .ports(1024..=4095);
    let engine = Engine::new(EngineConfig::new(3).pool(pool)).unwrap();
    let request = Request::new(engine.pool("p").unwrap(), Protocol::Tcp);
    let oracle = oracle();
    const NOBODYS: u32 = 99;
    // A clock that all threads read; a release is stamped before, a lease judged after, so the
    // oracle errs on the safe side of nobody. Leases change hands between two lives of a thread only.
    let clock = AtomicU64::new(0);
    let given: Mutex<Vec<Lease>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for index in 0..3 {
            let (engine, oracle, clock, given) = (&engine, &oracle, &clock, &given);
            scope.spawn(move || {
                let who = index as u32;
                let mut random = Xoshiro256PlusPlus::seed_from_u64(99 + index as u64);
                let mut mine: Vec<Lease> = Vec::new();
                for _ in 0..4 {
                    let mut shard = engine.shard(index).unwrap();
                    for step in 0..2_000 {
                        // A rest is some forty bursts: a shard that is stopped for so long has not
                        // met the next holder of what it gave back.
                        let now = clock.fetch_add(random.next_u64() % 6_000, Relaxed);
                        let mut burst = shard.burst(at(now));
                        for _ in 0..16 {
                            let draw = random.next_u32() % 100;
                            if draw < 52 {
                                if let Ok(lease) = burst.allocate(&request) {
                                    oracle.leased(&lease, who, clock.load(Relaxed));
                                    mine.push(lease);
                                }
                            } else if !mine.is_empty() {
                                let at = random.next_u32() as usize % mine.len();
                                let lease = mine.swap_remove(at);
                                oracle.released(&lease, who, now);
                                match draw % 8 {
                                    0 => drop(lease),
                                    1 => burst.release_raw(lease.into_raw()).unwrap(),
                                    _ => burst.release(lease),
                                }
                            }
                        }
                        drop(burst);
                        if step % 97 == 0 {
                            shard.idle(at(now));
                        }
                    }
                    drop(shard);
                    // Half of what it has, for half of what others gave.
                    let mut given = given.lock().unwrap();
                    let theirs = given.len() / 2;
                    let theirs = given.split_off(theirs);
                    for lease in mine.drain(mine.len() / 2..) {
                        oracle.handed(&lease, who, NOBODYS);
                        given.push(lease);
                    }
                    for lease in theirs {
                        oracle.handed(&lease, NOBODYS, who);
                        mine.push(lease);
                    }
                }
                let mut given = given.lock().unwrap();
                for lease in mine {
                    oracle.handed(&lease, who, NOBODYS);
                    given.push(lease);
                }
            });
        }
    });
    let left = given.into_inner().unwrap();
    let census = engine.census();
    assert!(census.total.balances(), "{}", census.total);
    assert_eq!(census.contradictions, 0);
    assert_eq!(census.total.leased, left.len() as u64);
    assert_eq!(census.total.unissued, 0);
    drop(left);
    assert_eq!(engine.census().total.leased, 0);
    // Everything is leasable again.
    let now = clock.into_inner() + HOLD + HOLD / 8;
    let mut shard = engine.shard(0).unwrap();
    let mut all = Vec::new();
    assert_eq!(
        shard
            .burst(at(now))
            .allocate_batch(&request, 1 << 20, &mut all),
        Ok(4 * 3072)
    );
}
