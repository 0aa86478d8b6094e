//! Where a shard looks for its next block, and what it remembers of having looked in vain.

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::config::PoolConfig;
use crate::engine::Engine;
use crate::error::AllocError;
use crate::hints::BLOCKS;
use crate::lease::{Lease, Reason};
use crate::port_allocator::PortAllocator;
use crate::protocol::Protocol;
use crate::request::Request;
use crate::shard::Shard;
use crate::testing::{REST, config, purpose};
use crate::tick::Tick;

fn pool(name: &str) -> PoolConfig {
    PoolConfig::new(name)
        .prefix("203.0.113.0/32".parse().unwrap())
        .ports(1024..=2047)
}

fn request(engine: &Engine, pool: &str, protocol: Protocol) -> Request {
    Request::new(engine.pool(pool).unwrap(), protocol)
}

fn lease(shard: &mut Shard, request: &Request) -> Lease {
    let mut burst = shard.burst(Tick::from_millis(1));
    burst.allocate(request).unwrap()
}

/// Every port there is, and a refusal.
fn exhaust(shard: &mut Shard, request: &Request, millis: u64) -> Vec<Lease> {
    let mut leases = Vec::new();
    let mut burst = shard.burst(Tick::from_millis(millis));
    burst
        .allocate_batch(request, usize::MAX, &mut leases)
        .unwrap();
    assert_eq!(burst.allocate(request), Err(AllocError::PoolFull));
    leases
}

/// An engine of so many shards with two addresses of eight blocks each.
fn two_addresses(shards: usize) -> (Engine, Request, Vec<Shard>) {
    let pool = PoolConfig::new("p").prefix("203.0.113.0/31".parse().unwrap());
    let engine = Engine::new(config(shards).pool(pool.ports(1024..=3071).preopen(2))).unwrap();
    let request = request(&engine, "p", Protocol::Udp);
    let shards = (0..shards)
        .map(|index| engine.shard(index).unwrap())
        .collect();
    (engine, request, shards)
}

#[test]
fn shards_stay_at_an_address_each_while_it_has_free_blocks() {
    let (_engine, request, mut shards) = two_addresses(2);
    let addresses = [0, 1].map(|_| BTreeSet::new());
    let mut addresses: Vec<_> = addresses.into_iter().zip(&mut shards).collect();
    let mut leases = Vec::new();
    for _ in 0..8 * 256 {
        for (addresses, shard) in &mut addresses {
            let lease = lease(shard, &request);
            addresses.insert(lease.addr().ip());
            leases.push(lease);
        }
    }
    for (addresses, _) in &addresses {
        assert_eq!(addresses.len(), 1, "a block of the other's address");
    }
    assert_ne!(addresses[0].0, addresses[1].0);
}

/// Of several shards, for it is found by way of that one; a single shard takes the oldest.
#[test]
fn of_an_address_the_first_free_block_queues() {
    for (shards, expected) in [(1, 16), (2, 2)] {
        let (engine, request, mut shards) = two_addresses(shards);
        let leases = exhaust(&mut shards[0], &request, 1);
        assert_eq!(leases.len(), 16 * 256);
        drop(leases);
        for millis in [2, 2 * REST, 4 * REST, 6 * REST] {
            for shard in &mut shards {
                shard.idle(Tick::from_millis(millis));
            }
        }
        let layout = engine.inner().layout.load_full();
        let region = layout
            .pools()
            .next()
            .unwrap()
            .regions(Protocol::Udp, None)
            .next()
            .unwrap();
        let queued = std::iter::from_fn(|| region.dequeue()).filter(|&entry| {
            let page = region
                .record((entry >> 8) as usize)
                .and_then(Record::page)
                .unwrap();
            page.block((entry & 0xff) as usize).state().phase() == Phase::Free
        });
        assert_eq!(queued.count(), expected);
    }
}

#[test]
fn a_refusal_stands_until_something_could_be_had() {
    let engine = Engine::new(config(2).pool(pool("p"))).unwrap();
    let request = request(&engine, "p", Protocol::Udp);
    let mut shard = engine.shard(0).unwrap();
    let mut leases = exhaust(&mut shard, &request, 1);
    let stands = |shard: &mut Shard, millis| {
        let mut burst = shard.burst(Tick::from_millis(millis));
        let work = burst.work();
        let purpose = purpose(&request);
        let known = work.worker.refusals[purpose.index()].unwrap();
        let pool = work.layout.pool(purpose.pool).unwrap();
        work.stands(&known, pool, purpose)
    };
    assert!(stands(&mut shard, 1));
    // A port that rests changes nothing, nor does time within a slice.
    drop(leases.pop());
    assert!(stands(&mut shard, 2));
    // Anybody's port that need not rest does.
    let mut other = engine.shard(1).unwrap();
    let mut burst = other.burst(Tick::from_millis(2));
    burst.release_with(leases.pop().unwrap(), Reason::Unused);
    drop(burst);
    assert!(!stands(&mut shard, 2));
    leases.push(
        shard
            .burst(Tick::from_millis(2))
            .allocate(&request)
            .unwrap(),
    );
    let refused = shard.burst(Tick::from_millis(2)).allocate(&request);
    assert_eq!(refused, Err(AllocError::PoolFull));
    assert!(stands(&mut shard, 2));
    // So does another slice, and another configuration.
    assert!(!stands(&mut shard, REST));
    let refused = shard.burst(Tick::from_millis(REST)).allocate(&request);
    assert_eq!(refused, Err(AllocError::PoolFull));
    assert!(stands(&mut shard, REST));
    engine
        .reconfigure(config(2).pool(pool("p").preopen(1)))
        .unwrap();
    drop(shard.burst(Tick::from_millis(REST)));
    let remembered = &shard.worker().refusals;
    let known = remembered.get(purpose(&request).index()).copied().flatten();
    assert!(known.is_none() || !stands(&mut shard, REST));
}

#[test]
fn where_nothing_rests_no_refusal_stands() {
    let config = config(2).hold_down(Duration::ZERO);
    let engine = Engine::new(config.pool(pool("p"))).unwrap();
    let request = request(&engine, "p", Protocol::Udp);
    let mut shard = engine.shard(0).unwrap();
    let _leases = exhaust(&mut shard, &request, 1);
    let mut burst = shard.burst(Tick::from_millis(1));
    let work = burst.work();
    let (purpose, layout) = (purpose(&request), work.layout);
    let pool = layout.pool(purpose.pool).unwrap();
    let now = work.moment(pool, purpose);
    assert!(!work.stands(&now, pool, purpose));
}

#[test]
fn a_block_given_back_half_unissued_is_the_next_one_again() {
    let engine = Engine::new(config(2).pool(pool("p"))).unwrap();
    let request = request(&engine, "p", Protocol::Udp);
    let mut shard = engine.shard(0).unwrap();
    let claimed = |engine: &Engine| engine.stats().shards[0].blocks_claimed;
    let mut leases = Vec::new();
    for _ in 0..128 {
        leases.push(lease(&mut shard, &request));
        shard.idle(Tick::from_millis(1));
    }
    assert_eq!(claimed(&engine), 1);
    let blocks: BTreeSet<_> = leases
        .iter()
        .map(|lease| lease.addr().port() / 256)
        .collect();
    assert_eq!(blocks.len(), 1);
    // With less than half of it left a fresh one is better.
    leases.push(lease(&mut shard, &request));
    shard.idle(Tick::from_millis(1));
    leases.push(lease(&mut shard, &request));
    assert_eq!(claimed(&engine), 2);
}

/// Before a refusal a shard gives back what of its own could serve the request, and nothing else.
#[test]
fn only_hands_that_could_serve_a_request_are_given_back_for_it() {
    let elsewhere = pool("q").realm("elsewhere");
    let engine = Engine::new(config(2).pool(pool("p")).pool(elsewhere)).unwrap();
    let udp = request(&engine, "p", Protocol::Udp);
    let others = [
        request(&engine, "p", Protocol::Tcp),
        request(&engine, "q", Protocol::Udp),
    ];
    let mut shard = engine.shard(0).unwrap();
    let mut kept = Vec::new();
    for request in &others {
        kept.push(lease(&mut shard, request));
    }
    let left = |shard: &Shard| {
        let hands = shard.worker().allocators.iter();
        hands.map(PortAllocator::left).collect::<Vec<_>>()
    };
    assert_eq!(left(&shard), [255, 255]);
    let leases = exhaust(&mut shard, &udp, 1);
    assert_eq!(leases.len(), 1024);
    assert_eq!(left(&shard)[..2], [255, 255]);
    // Of one family, of which it has none: everything of the pool's that is of the other stays.
    let v6 = udp.family(crate::request::Family::V6);
    let refused = shard.burst(Tick::from_millis(1)).allocate(&v6);
    assert_eq!(refused, Err(AllocError::NoSuchFamily));
    assert_eq!(left(&shard)[..2], [255, 255]);
}

#[test]
fn nothing_is_served_early_below_the_cap() {
    let one_block = pool("p").ports(1024..=1279);
    let engine = Engine::new(config(2).max_cooling(100).pool(one_block)).unwrap();
    let request = request(&engine, "p", Protocol::Udp);
    let mut shard = engine.shard(0).unwrap();
    let mut leases = exhaust(&mut shard, &request, 1);
    let mut burst = shard.burst(Tick::from_millis(1));
    burst.release_batch(&mut leases.split_off(157));
    assert_eq!(burst.allocate(&request), Err(AllocError::PoolFull));
    assert!(!burst.work().is_at_the_cap());
    drop(burst);
    let mut burst = shard.burst(Tick::from_millis(REST / 4));
    assert_eq!(burst.allocate(&request), Err(AllocError::PoolFull));
    burst.release(leases.pop().unwrap());
    assert!(burst.work().is_at_the_cap());
    drop(burst);
    assert_eq!(engine.stats().shards[0].served_early, 0);
    let mut burst = shard.burst(Tick::from_millis(REST / 2));
    leases.push(burst.allocate(&request).unwrap());
    drop(burst);
    // All that rested since the beginning come with it.
    assert_eq!(engine.stats().shards[0].served_early, 99);
}

#[test]
fn searches_begin_with_any_block() {
    let engine = Engine::new(config(2).pool(pool("p"))).unwrap();
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(Tick::ZERO);
    let work = burst.work();
    let begun: BTreeSet<_> = (0..4096).map(|_| work.worker.spin()).collect();
    assert!(begun.len() > BLOCKS - 10, "{}", begun.len());
    assert!(begun.iter().all(|&block| block < BLOCKS));
}
