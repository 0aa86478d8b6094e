//! One tenant floods for ten simulated minutes; the others notice nothing (I11).
//!
//! Refusals are counted here, and what it costs the others in blocks taken on: the rest of an
//! allocation is a pop, whoever else is there. What it costs in time is measured by the bench
//! `fair`.

use std::collections::VecDeque;
use std::time::Duration;

use natshard::{
    AllocError, Engine, EngineConfig, Lease, PoolConfig, Protocol, Request, TenantShare, Tick,
};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

const HOLD: u64 = 120_000;
const MINUTES: u64 = 10;
/// Milliseconds between two bursts.
const STEP: u64 = 50;
/// Guaranteed to each of the others, in blocks and ports.
const MINIMUM: u32 = 8;
const SHARE: usize = MINIMUM as usize * 256;
const FLOOD: u32 = 1000;

/// A tenant that leases and releases at a steady rate and uses its guarantee to the last port.
struct Steady {
    request: Request,
    held: VecDeque<(u64, Lease)>,
    /// Ends of rests.
    resting: VecDeque<u64>,
    random: Xoshiro256PlusPlus,
    had: u64,
    refused: Vec<AllocError>,
}

impl Steady {
    fn new(request: Request, seed: u64) -> Self {
        Steady {
            request,
            held: VecDeque::new(),
            resting: VecDeque::new(),
            random: Xoshiro256PlusPlus::seed_from_u64(seed),
            had: 0,
            refused: Vec::new(),
        }
    }

    fn step(&mut self, burst: &mut natshard::Burst<'_>, now: u64) {
        while self.held.front().is_some_and(|(until, _)| *until <= now) {
            let (_, lease) = self.held.pop_front().unwrap();
            burst.release(lease);
            // With the coarseness of an eighth that is promised.
            self.resting.push_back(now + HOLD + HOLD / 8 + STEP);
        }
        while self.resting.front().is_some_and(|until| *until <= now) {
            self.resting.pop_front();
        }
        for _ in 0..self.random.next_u32() % 4 {
            if self.held.len() + self.resting.len() == SHARE {
                break;
            }
            match burst.allocate(&self.request) {
                Ok(lease) => {
                    self.had += 1;
                    let lives = 10_000 + u64::from(self.random.next_u32() % 3) * STEP;
                    self.held.push_back((now + lives, lease));
                }
                Err(error) => self.refused.push(error),
            }
        }
        // Lives differ: keep them in the order of their ends.
        let mut ends: Vec<_> = self.held.drain(..).collect();
        ends.sort_unstable_by_key(|&(until, _)| until);
        self.held.extend(ends);
    }
}

struct Outcome {
    refused: Vec<AllocError>,
    /// Leases the others had.
    had: u64,
    /// Blocks that each shard took on; the others are on the first.
    loads: [u64; 2],
    flooded: u64,
}

/// The others on one shard, the flood on the same one or on another.
fn run(pool: PoolConfig, flood_on: Option<usize>) -> Outcome {
    let config = EngineConfig::new(2)
        .hold_down(Duration::from_millis(HOLD))
        .seed(11);
    let engine = Engine::new(config.pool(pool)).unwrap();
    let request = Request::new(engine.pool("p").unwrap(), Protocol::Udp);
    let mut shards = [engine.shard(0).unwrap(), engine.shard(1).unwrap()];
    let mut others: Vec<Steady> = (0..4)
        .map(|number| Steady::new(request.tenant(number), number.into()))
        .collect();
    let mut loot: VecDeque<Lease> = VecDeque::new();
    let mut flooded = 0;
    for now in (0..MINUTES * 60_000).step_by(STEP as usize) {
        for (index, shard) in shards.iter_mut().enumerate() {
            let mut burst = shard.burst(Tick::from_millis(now));
            if flood_on == Some(index) {
                // As much as it gets, by its own name and as one that the pool does not know.
                for step in 0..100u32 {
                    let of = FLOOD + step % 2;
                    match burst.allocate(&request.tenant(of)) {
                        Ok(lease) => loot.push_back(lease),
                        Err(_) => flooded += 1,
                    }
                }
                if now % 10_000 == 0 {
                    for lease in loot.drain(..loot.len() / 2) {
                        burst.release(lease);
                    }
                }
            }
            if index == 0 {
                for other in &mut others {
                    other.step(&mut burst, now);
                }
            }
        }
    }
    let stats = engine.stats();
    let outcome = Outcome {
        refused: others.iter().flat_map(|one| one.refused.clone()).collect(),
        had: others.iter().map(|one| one.had).sum(),
        loads: [0, 1].map(|index: usize| {
            let shard = &stats.shards[index];
            shard.blocks_claimed + shard.blocks_reheated
        }),
        flooded,
    };
    let census = engine.census();
    assert!(census.total.balances(), "{}", census.total);
    assert_eq!(census.contradictions, 0);
    assert_eq!(census.shares, stats.shares);
    outcome
}

/// 64 blocks; the guarantees are half of them.
fn pool() -> PoolConfig {
    PoolConfig::new("p")
        .prefix("203.0.113.0/30".parse().unwrap())
        .ports(1024..=5119)
        .tenant(TenantShare::new(FLOOD))
}

fn guaranteed() -> PoolConfig {
    (0..4).fold(pool(), |pool, number| {
        pool.tenant(TenantShare::new(number).minimum(MINIMUM))
    })
}

#[test]
fn a_flood_by_one_tenant_leaves_the_others_their_guarantee() {
    let quiet = run(guaranteed(), None);
    let apart = run(guaranteed(), Some(1));
    let beside = run(guaranteed(), Some(0));
    for (what, outcome) in [("none", &quiet), ("apart", &apart), ("beside", &beside)] {
        let Outcome {
            had,
            loads,
            flooded,
            ..
        } = outcome;
        println!(
            "flood {what}: refused {flooded} times; the others had {had} leases; \
             blocks taken on: {loads:?}"
        );
        assert_eq!(outcome.refused, [], "{what}");
        assert!(outcome.had > 30_000, "{what}: {}", outcome.had);
    }
    assert!(apart.flooded > 1_000_000 && beside.flooded > 1_000_000);
    assert_eq!(quiet.had, apart.had, "the same demand was met");
    // A block that is reheated has half of its ports at least, and mostly more.
    let (before, after) = (quiet.loads[0], apart.loads[0]);
    assert!(
        after <= 2 * before,
        "{after} blocks, {before} without a flood"
    );
    // On one shard neither takes the other's blocks out of its hands.
    let (apart, beside) = (apart.loads[0] + apart.loads[1], beside.loads[0]);
    assert!(
        beside <= apart + apart / 4,
        "{beside} blocks, {apart} apart"
    );
}

/// The twin: without guarantees the same flood starves the others.
#[test]
fn without_a_guarantee_the_flood_starves_the_others() {
    let outcome = run(pool(), Some(1));
    assert!(outcome.refused.len() > 10_000, "{}", outcome.refused.len());
}
