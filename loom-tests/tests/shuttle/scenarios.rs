//! The scenarios.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use natshard::planted::Bug;
use natshard::{
    AllocError, Burst, Lease, PortBlocks, RawLease, Reason, Request, Shard, SubscriberLimit,
};
use natshard::{PoolConfig, Protocol};
use shuttle::thread;

use crate::harness::{Reach, find, sample};
use crate::world::{Draws, SHARDS, World, at, config, pool};

/// Runs one thread per shard, and says what they still held.
fn all_shards(
    world: &Arc<World>,
    seed: u64,
    work: impl Fn(&World, &mut Shard, &mut Draws) -> Vec<Lease> + Send + Sync + 'static,
    also: impl FnOnce(&World) + Send + 'static,
) -> Vec<Lease> {
    let work = Arc::new(work);
    let threads: Vec<_> = (0..SHARDS)
        .map(|index| {
            let (world, work) = (Arc::clone(world), Arc::clone(&work));
            thread::spawn(move || {
                let mut shard = world.engine.shard(index).unwrap();
                let mut draws = Draws::new(seed ^ (index as u64) << 32);
                work(&world, &mut shard, &mut draws)
            })
        })
        .collect();
    also(world);
    let held = threads.into_iter().flat_map(|one| one.join().unwrap());
    held.collect()
}

/// Gives a lease back in one of the ways there are.
fn give_back(world: &World, burst: &mut Burst<'_>, lease: Lease, way: u64, now: u64) {
    world.released(&lease, now);
    match way % 4 {
        0 => drop(lease),
        1 => assert_eq!(burst.release_raw(lease.into_raw()), Ok(())),
        _ => burst.release(lease),
    }
}

fn count(reach: &AtomicU64, by: u64) {
    reach.fetch_add(by, Ordering::SeqCst);
}

/// Six blocks for eight shards, without a rest: blocks are claimed, spent, cooled, reheated and
/// recycled all the time, and each refusal is one of a pool in which others hold everything.
fn blocks(seed: u64, reach: &Reach<3>) {
    let world = Arc::new(World::new(0, &[pool("p", "203.0.113.0/31", 768)]));
    let refusals = Arc::clone(reach);
    let work = move |world: &World, shard: &mut Shard, draws: &mut Draws| {
        let request = world.request("p");
        let mut held = Vec::new();
        for _ in 0..3 {
            let mut burst = shard.burst(at(0));
            for _ in 0..draws.below(300) {
                match burst.allocate(&request) {
                    Ok(lease) => {
                        world.leased(&lease);
                        held.push(lease);
                    }
                    Err(error) => {
                        assert_eq!(error, AllocError::PoolFull);
                        count(&refusals[0], 1);
                        break;
                    }
                }
            }
            for _ in 0..draws.below(held.len() as u64 + 1) {
                let lease = held.swap_remove(draws.below(held.len() as u64) as usize);
                give_back(world, &mut burst, lease, draws.below(8), 0);
            }
            drop(burst);
            if draws.below(2) == 0 {
                shard.idle(at(0));
            }
        }
        held
    };
    let held = all_shards(&world, seed, work, |_| ());
    let stats = world.engine.stats();
    let reheated = stats.shards.iter().map(|one| one.blocks_reheated);
    count(&reach[1], reheated.sum());
    count(&reach[2], stats.dropped_leases);
    world.settle(held, "p", 2 * 768);
}

const BLOCKS: [&str; 3] = ["refused", "reheated", "dropped"];

#[test]
fn eight_shards_share_whole_blocks() {
    sample("blocks", BLOCKS, blocks);
}

#[test]
fn a_block_claimed_without_comparing_is_found_among_eight_shards() {
    find("blocks", Bug::BlockClaimChecksThenSets, blocks);
}

/// Lifetimes of all lengths, some for ever, while time passes on its own: ports rest, blocks are
/// reheated with what has rested, and recycled.
fn rests(seed: u64, reach: &Reach<2>) {
    const HOLD: u64 = 16;
    let world = Arc::new(World::new(HOLD, &[pool("p", "203.0.113.0/31", 768)]));
    let work = |world: &World, shard: &mut Shard, draws: &mut Draws| {
        let request = world.request("p");
        let mut held: Vec<(u64, Lease)> = Vec::new();
        for _ in 0..10 {
            let now = world.pass(draws.below(3 * HOLD));
            let mut burst = shard.burst(at(now));
            let due: Vec<_> = held.extract_if(.., |(until, _)| *until <= now).collect();
            for (_, lease) in due {
                give_back(world, &mut burst, lease, draws.below(8), now);
            }
            for _ in 0..draws.below(80) {
                let Ok(lease) = burst.allocate(&request) else {
                    break;
                };
                world.leased(&lease);
                let life = match draws.below(400) {
                    0 => 1 << 20,
                    _ => draws.below(2 * HOLD),
                };
                held.push((now + life, lease));
            }
            drop(burst);
            if draws.below(3) == 0 {
                shard.idle(at(now));
            }
        }
        held.into_iter().map(|(_, lease)| lease).collect()
    };
    let held = all_shards(&world, seed, work, |_| ());
    let stats = world.engine.stats();
    let shards = stats.shards.iter();
    let (reheated, recycled) = shards.fold((0, 0), |(reheated, recycled), one| {
        (
            reheated + one.blocks_reheated,
            recycled + one.blocks_recycled,
        )
    });
    count(&reach[0], reheated);
    count(&reach[1], recycled);
    world.settle(held, "p", 2 * 768);
}

#[test]
fn lifetimes_of_all_lengths_rest_and_come_back() {
    let states = ["reheated", "recycled"];
    sample("rests", states, rests);
}

#[test]
fn a_visitor_that_trusts_its_mark_is_found_among_eight_shards() {
    find("rests", Bug::VisitTrustsItsMark, rests);
}

fn shapes() -> [Vec<PoolConfig>; 3] {
    let address = "203.0.113.1".parse().unwrap();
    [
        vec![
            pool("a", "203.0.113.0/31", 512),
            pool("b", "203.0.113.1/32", 512),
        ],
        vec![
            pool("a", "203.0.113.1/32", 300),
            pool("b", "203.0.113.0/31", 512).exclude(address, 1100..=1400),
        ],
        vec![pool("b", "203.0.113.0/31", 400)],
    ]
}

/// Two pools that overlap differently from one moment to the next.
fn swaps(seed: u64, reach: &Reach<3>) {
    let world = Arc::new(World::new(0, &shapes()[0]));
    let ids = ["a", "b"].map(|name| world.engine.pool(name).unwrap());
    let refusals = Arc::clone(reach);
    let work = move |world: &World, shard: &mut Shard, draws: &mut Draws| {
        let mut held: Vec<Lease> = Vec::new();
        for _ in 0..5 {
            let mut burst = shard.burst(at(0));
            for _ in 0..draws.below(60) {
                let request = Request::new(ids[draws.below(2) as usize], Protocol::Tcp);
                match burst.allocate(&request) {
                    Ok(lease) => {
                        world.leased(&lease);
                        held.push(lease);
                    }
                    Err(_) => count(&refusals[0], 1),
                }
                if draws.below(3) == 0 && !held.is_empty() {
                    let lease = held.swap_remove(draws.below(held.len() as u64) as usize);
                    give_back(world, &mut burst, lease, draws.below(8), 0);
                }
            }
        }
        held
    };
    let changes = Arc::clone(reach);
    let held = all_shards(&world, seed, work, move |world| {
        let mut draws = Draws::new(seed);
        for _ in 0..4 {
            thread::yield_now();
            let next = &shapes()[draws.below(3) as usize];
            let done = world.engine.reconfigure(config(0, next)).unwrap();
            count(&changes[1], 1);
            count(&changes[2], done.draining_leases);
        }
    });
    world.engine.reconfigure(config(0, &shapes()[0])).unwrap();
    world.settle(held, "a", 2 * 512);
}

#[test]
fn reconfiguration_among_eight_shards_doubles_and_loses_nothing() {
    sample("swaps", ["refused", "swapped", "drained"], swaps);
}

#[test]
fn a_block_claimed_without_comparing_is_found_while_pools_change() {
    find("swaps", Bug::BlockClaimChecksThenSets, swaps);
}

/// A shard stands still in the middle of a burst, with a block in hand, until all the others are
/// done: what is not in its hands they have.
fn stall(seed: u64, reach: &Reach<2>) {
    const HOLD: u64 = 16;
    let world = Arc::new(World::new(HOLD, &[pool("p", "203.0.113.0/32", 1536)]));
    let mut stalled = world.engine.shard(0).unwrap();
    let mut burst = stalled.burst(at(0));
    let one = burst.allocate(&world.request("p")).unwrap();
    world.leased(&one);
    let threads: Vec<_> = (1..SHARDS)
        .map(|index| {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                let mut draws = Draws::new(seed ^ (index as u64) << 32);
                let mut shard = world.engine.shard(index).unwrap();
                let request = world.request("p");
                for _ in 0..6 {
                    let now = world.pass(draws.below(2 * HOLD));
                    let mut held = Vec::new();
                    let mut burst = shard.burst(at(now));
                    for _ in 0..draws.below(150) {
                        let Ok(lease) = burst.allocate(&request) else {
                            break;
                        };
                        world.leased(&lease);
                        held.push(lease);
                    }
                    for lease in held {
                        give_back(&world, &mut burst, lease, draws.below(8), now);
                    }
                    drop(burst);
                    shard.idle(at(now));
                }
            })
        })
        .collect();
    for one in threads {
        one.join().unwrap();
    }
    let stats = world.engine.stats();
    count(&reach[0], stats.awaiting_grace);
    count(
        &reach[1],
        stats.shards.iter().map(|one| one.blocks_reheated).sum(),
    );
    // The others get everything that is not in its hands, however long it sleeps.
    // Twice, as in `World::settle`.
    let mut shard = world.engine.shard(1).unwrap();
    shard.idle(at(world.pass(2 * HOLD)));
    let now = world.pass(2 * HOLD);
    let all = world.fill(&mut shard, &world.request("p"), now);
    assert_eq!(all.len(), 1536 - 256);
    world.released(&one, now);
    burst.release(one);
    drop(burst);
    drop(stalled);
    drop(shard);
    world.settle(all, "p", 1536);
}

#[test]
fn a_shard_that_stands_still_takes_nothing_from_the_others() {
    sample(
        "stall",
        ["waited for its grace", "reheated meanwhile"],
        stall,
    );
}

#[test]
fn a_reclaimer_that_looks_first_is_found_beside_a_shard_that_stands_still() {
    find("stall", Bug::ReclaimerChecksThenActs, stall);
}

/// Tokens, copied and used by whoever comes by them: each is accepted once.
fn tokens(seed: u64, reach: &Reach<2>) {
    let world = Arc::new(World::new(0, &[pool("p", "203.0.113.0/32", 512)]));
    let tokens: Arc<std::sync::Mutex<Vec<RawLease>>> = Arc::default();
    let accepted = Arc::new(AtomicU64::new(0));
    let issued = Arc::new(AtomicU64::new(0));
    let (given, taken, reached) = (
        Arc::clone(&issued),
        Arc::clone(&accepted),
        Arc::clone(reach),
    );
    let shared = Arc::clone(&tokens);
    let work = move |world: &World, shard: &mut Shard, draws: &mut Draws| {
        let request = world.request("p");
        for _ in 0..4 {
            let mut burst = shard.burst(at(0));
            for _ in 0..draws.below(60) {
                if let Ok(lease) = burst.allocate(&request) {
                    let raw = lease.into_raw();
                    given.fetch_add(1, Ordering::SeqCst);
                    let mut tokens = shared.lock().unwrap();
                    tokens.push(raw);
                    // A copy of some token, perhaps used long ago.
                    let copy = tokens[draws.below(tokens.len() as u64) as usize];
                    tokens.push(copy);
                }
            }
            for _ in 0..draws.below(100) {
                let raw = {
                    let mut tokens = shared.lock().unwrap();
                    if tokens.is_empty() {
                        break;
                    }
                    let place = draws.below(tokens.len() as u64) as usize;
                    match draws.below(4) {
                        0 => tokens[place],
                        _ => tokens.swap_remove(place),
                    }
                };
                match burst.release_raw(raw) {
                    Ok(()) => count(&taken, 1),
                    Err(_) => count(&reached[0], 1),
                }
            }
        }
        Vec::new()
    };
    let held = all_shards(&world, seed, work, |_| ());
    assert!(held.is_empty());
    let mut shard = world.engine.shard(1).unwrap();
    let mut burst = shard.burst(at(0));
    for raw in std::mem::take(&mut *tokens.lock().unwrap()) {
        count(&accepted, u64::from(burst.release_raw(raw).is_ok()));
    }
    drop(burst);
    drop(shard);
    assert_eq!(
        accepted.load(Ordering::SeqCst),
        issued.load(Ordering::SeqCst),
        "each token once"
    );
    count(
        &reach[1],
        world
            .engine
            .stats()
            .shards
            .iter()
            .map(|one| one.blocks_reheated)
            .sum(),
    );
    world.settle(Vec::new(), "p", 512);
}

#[test]
fn every_token_is_accepted_once() {
    sample("tokens", ["refused as stale", "reheated"], tokens);
}

#[test]
fn a_token_compared_before_the_act_is_found_among_whole_blocks() {
    find("tokens", Bug::RawReleaseChecksThenActs, tokens);
}

/// Subscribers with port blocks of their own, and a limit, on every shard at once.
fn subscribers(seed: u64, reach: &Reach<2>) {
    const HOLD: u64 = 16;
    let limit = SubscriberLimit::new().ports(Protocol::Tcp, 90);
    let blocks = pool("blocks", "203.0.113.0/32", 512)
        .port_blocks(PortBlocks::new(64).per_subscriber(2))
        .subscriber_limit(limit);
    let world = Arc::new(World::new(HOLD, &[blocks]));
    let refusals = Arc::clone(reach);
    let work = move |world: &World, shard: &mut Shard, draws: &mut Draws| {
        let mut held: Vec<Lease> = Vec::new();
        for _ in 0..5 {
            let now = world.pass(draws.below(HOLD));
            let mut burst = shard.burst(at(now));
            for _ in 0..draws.below(50) {
                let request = world.request("blocks").subscriber(draws.below(5));
                match burst.allocate(&request) {
                    Ok(lease) => {
                        world.leased(&lease);
                        held.push(lease);
                    }
                    Err(AllocError::SubscriberQuota) => count(&refusals[0], 1),
                    Err(_) => count(&refusals[1], 1),
                }
            }
            for _ in 0..draws.below(held.len() as u64 + 1) {
                let lease = held.swap_remove(draws.below(held.len() as u64) as usize);
                if draws.below(3) == 0 {
                    world.unused(&lease);
                    burst.release_with(lease, Reason::Unused);
                } else {
                    give_back(world, &mut burst, lease, draws.below(8), now);
                }
            }
            drop(burst);
            for one in world.engine.subscribers() {
                assert!(one.ports[0].leased <= 90, "{one:?}");
            }
        }
        held
    };
    let held = all_shards(&world, seed, work, |_| ());
    let census = world.engine.census();
    assert!(census.total.balances(), "{}", census.total);
    assert_eq!(census.contradictions, 0);
    assert_eq!(census.total.leased, held.len() as u64);
    drop(held);
    let mut shard = world.engine.shard(0).unwrap();
    for step in 1..40 {
        shard.idle(at(world.now() + step * HOLD));
    }
    assert!(world.engine.subscribers().is_empty());
    let census = world.engine.census().total;
    assert_eq!(census.free, census.capacity, "{census}");
}

#[test]
fn limits_and_port_blocks_of_racing_shards_hold() {
    let states = ["refused by the limit", "refused otherwise"];
    sample("subscribers", states, subscribers);
}

#[test]
fn a_charge_that_looks_first_is_found_among_eight_shards() {
    find("subscribers", Bug::ChargeChecksThenAdds, subscribers);
}

#[test]
fn a_port_taken_without_its_stamp_is_found_among_eight_shards() {
    find("subscribers", Bug::TakeWithoutStamp, subscribers);
}
