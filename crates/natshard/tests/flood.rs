//! One subscriber floods for ten simulated minutes; the others notice nothing.
//!
//! Refusals are counted here. What a flood costs the others in time is measured by the bench
//! `fair`, in one run with and without it.

use std::collections::VecDeque;
use std::time::Duration;

use natshard::{
    AllocError, Engine, EngineConfig, Lease, PoolConfig, PortBlocks, Protocol, Request, Strictness,
    SubscriberLimit, Tick,
};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

const MINUTES: u64 = 10;
/// Milliseconds between two bursts.
const STEP: u64 = 50;
const OTHERS: u64 = 200;
/// Ports each of the others holds at most, those that rest included.
const SHARE: u16 = 256;
const FLOOD: u64 = 1 << 33;

/// A subscriber that leases and releases at a steady rate within its share.
struct Steady {
    held: VecDeque<(u64, Lease)>,
    /// Ends of rests.
    resting: VecDeque<u64>,
}

/// The refusals of the others, the leases they got, and how often the flood was refused.
fn run(pool: PoolConfig) -> (Vec<AllocError>, u64, u64) {
    let hold_down = 12_000;
    let config = EngineConfig::new(2).hold_down(Duration::from_millis(hold_down));
    let engine = Engine::new(config.pool(pool)).unwrap();
    let id = engine.pool("pool").unwrap();
    let mut shards = [engine.shard(0).unwrap(), engine.shard(1).unwrap()];
    let mut random = Xoshiro256PlusPlus::seed_from_u64(7);
    let mut others: Vec<Steady> = (0..OTHERS)
        .map(|_| Steady {
            held: VecDeque::new(),
            resting: VecDeque::new(),
        })
        .collect();
    let (mut refusals, mut had, mut flooded) = (Vec::new(), 0, 0);
    let mut loot: VecDeque<Lease> = VecDeque::new();
    for now in (0..MINUTES * 60_000).step_by(STEP as usize) {
        for (index, shard) in shards.iter_mut().enumerate() {
            let mut burst = shard.burst(Tick::from_millis(now));
            // The flood: as much as it gets, on every shard, all of it returned now and then.
            let flood = Request::new(id, Protocol::Udp).subscriber(FLOOD);
            for _ in 0..200 {
                match burst.allocate(&flood) {
                    Ok(lease) => loot.push_back(lease),
                    Err(_) => flooded += 1,
                }
            }
            if now % 1000 == 0 {
                for lease in loot.drain(..loot.len() / 2) {
                    burst.release(lease);
                }
            }
            for (number, one) in others.iter_mut().enumerate() {
                if number % 2 != index {
                    continue;
                }
                while one.held.front().is_some_and(|(until, _)| *until <= now) {
                    let (_, lease) = one.held.pop_front().unwrap();
                    burst.release(lease);
                    // With the coarseness of an eighth that is promised.
                    one.resting
                        .push_back(now + hold_down + hold_down / 8 + STEP);
                }
                while one.resting.front().is_some_and(|until| *until <= now) {
                    one.resting.pop_front();
                }
                let share = usize::from(SHARE);
                if random.next_u32() % 4 == 0 && one.held.len() + one.resting.len() < share {
                    let own = Request::new(id, Protocol::Udp).subscriber(number as u64);
                    match burst.allocate(&own) {
                        Ok(lease) => {
                            had += 1;
                            one.held.push_back((now + 2000, lease));
                        }
                        Err(error) => refusals.push(error),
                    }
                }
            }
        }
    }
    drop(others);
    drop(loot);
    let census = engine.census();
    assert!(census.total.balances(), "{}", census.total);
    assert_eq!(census.contradictions, 0);
    (refusals, had, flooded)
}

#[test]
fn a_flood_by_one_subscriber_leaves_the_others_their_share() {
    // Room for everybody's share and not much more: 201 x 256 ports of 64,512.
    let base = || PoolConfig::new("pool").prefix("192.0.2.1/32".parse().unwrap());
    let limit = SubscriberLimit::new().ports(Protocol::Udp, SHARE);
    let blocks = PortBlocks::new(64).per_subscriber(4);
    for (what, pool) in [
        ("limited", base().subscriber_limit(limit)),
        ("port blocks", base().port_blocks(blocks)),
        (
            "paired",
            base().subscriber_limit(limit).pairing(Strictness::Strict),
        ),
    ] {
        let (refusals, had, flooded) = run(pool);
        println!("{what}: the flood was refused {flooded} times, the others had {had} leases");
        assert!(flooded > 500_000, "{what}: {flooded} is no flood");
        assert!(had > 200_000, "{what}: {had}");
        assert_eq!(refusals, [], "{what}");
    }
}

/// The twin: without a limit the same flood starves the others.
#[test]
fn without_a_limit_the_flood_starves_the_others() {
    let pool = PoolConfig::new("pool").prefix("192.0.2.1/32".parse().unwrap());
    let (refusals, _, _) = run(pool);
    assert!(refusals.len() > 10_000, "{}", refusals.len());
}
