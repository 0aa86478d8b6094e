//! Orders of ports, and what the fast path takes from a hand.

use std::collections::BTreeSet;

use rand_chacha::rand_core::SeedableRng;

use super::*;
use crate::config::PoolConfig;
use crate::engine::Engine;
use crate::lease::RawLease;
use crate::request::Request;
use crate::shard::Shard;
use crate::testing::{REST, begin, config};
use crate::tick::Tick;
use crate::worker::HOT;

#[test]
fn a_shuffle_is_a_permutation_and_about_even() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let (mut first, mut last) = ([0u32; 256], [0u32; 256]);
    for _ in 0..6_400 {
        let mut items: [u8; 256] = std::array::from_fn(|index| index as u8);
        shuffle(&mut items, &mut random);
        first[items[0] as usize] += 1;
        let mut dealt = [0; 256];
        deal(&mut dealt, &mut random);
        last[dealt[255] as usize] += 1;
        for mut items in [items, dealt] {
            items.sort_unstable();
            assert_eq!(items, std::array::from_fn(|index| index as u8));
        }
    }
    // 25 expected, standard deviation 5.
    for counts in [first, last] {
        let even = counts.iter().all(|count| (3..=55).contains(count));
        assert!(even, "{counts:?}");
    }
}

/// A pool of one block.
fn engine() -> (Engine, Shard, Request) {
    let pool = PoolConfig::new("p")
        .prefix("203.0.113.0/32".parse().unwrap())
        .ports(1024..=1279);
    begin(config(1).pool(pool))
}

fn hot(shard: &Shard, request: &Request) -> Hot {
    shard.worker().hot[request.slot as usize % HOT]
}

fn port(lease: &Lease) -> u16 {
    lease.addr().port()
}

#[test]
fn the_fast_path_has_what_is_in_hand_but_for_the_last_port() {
    let (_engine, mut shard, request) = engine();
    let mut leases = vec![shard.burst(Tick::ZERO).allocate(&request).unwrap()];
    let hot = hot(&shard, &request);
    assert!(hot.pop(request.slot ^ 1).is_none());
    assert!(hot.pop_reheated(request.slot).is_none());
    assert_eq!(hot.pop_many(request.slot ^ 1, 5, &mut leases), 0);
    leases.extend((0..100).map_while(|_| hot.pop(request.slot)));
    assert_eq!(leases.len(), 101);
    assert_eq!(hot.pop_many(request.slot, 50, &mut leases), 50);
    assert_eq!(hot.pop_many(request.slot, 0, &mut leases), 0);
    assert_eq!(hot.pop_many(request.slot, 500, &mut leases), 104);
    assert_eq!(leases.len(), 255);
    // The last one spends the block.
    assert!(hot.pop(request.slot).is_none());
    assert_eq!(hot.pop_many(request.slot, 1, &mut leases), 0);
    leases.push(shard.burst(Tick::ZERO).allocate(&request).unwrap());
    let ports: BTreeSet<_> = leases.iter().map(port).collect();
    assert!(ports.into_iter().eq(1024..=1279));
}

/// In order that all tokens of the block's earlier leases stay stale.
#[test]
fn the_fast_path_of_a_reheated_block_looks_tags_up() {
    let (_engine, mut shard, request) = engine();
    let mut leases = Vec::new();
    let mut burst = shard.burst(Tick::ZERO);
    burst.allocate_batch(&request, 256, &mut leases).unwrap();
    let returned = leases.split_off(56).into_iter().map(Lease::into_raw);
    let returned: Vec<_> = returned.collect();
    for &token in &returned {
        burst.release_raw(token).unwrap();
    }
    drop(burst);
    let mut burst = shard.burst(Tick::from_millis(2 * REST));
    leases = vec![burst.allocate(&request).unwrap()];
    drop(burst);
    let hot = hot(&shard, &request);
    assert!(hot.pop(request.slot).is_none());
    assert!(hot.pop_reheated(request.slot ^ 1).is_none());
    leases.extend((0..50).map_while(|_| hot.pop_reheated(request.slot)));
    assert_eq!(hot.pop_many(request.slot, 500, &mut leases), 148);
    assert!(hot.pop_reheated(request.slot).is_none());
    let told = |token: &RawLease| (token.port, token.tag);
    let again: Vec<_> = leases.into_iter().map(Lease::into_raw).collect();
    let again: BTreeSet<_> = again.iter().map(told).collect();
    let former: BTreeSet<_> = returned.iter().map(told).collect();
    assert_eq!(again.len(), 199);
    assert!(again.is_disjoint(&former));
}

#[test]
fn a_port_is_had_out_of_turn_and_the_others_in_theirs() {
    let (_engine, mut shard, request) = engine();
    let mut leases = vec![shard.burst(Tick::ZERO).allocate(&request).unwrap()];
    let mut burst = shard.burst(Tick::ZERO);
    let work = burst.work();
    let hand = &mut work.worker.allocators[0];
    for round in 0..40 {
        let before = hand.unissued();
        let wanted = before.iter().nth(round).unwrap();
        let lease = hand.pop_where(|port| port == wanted).unwrap();
        assert_eq!(usize::from(port(&lease)), 1024 + wanted);
        assert_eq!(
            before.without(&hand.unissued()).iter().collect::<Vec<_>>(),
            [wanted]
        );
        leases.push(lease);
    }
    let none = hand.pop_where(|port| port == usize::from(leases[0].addr().port()) - 1024);
    assert!(none.is_none());
    let some: Mask = hand.unissued().iter().take(30).collect();
    hand.issue(&some);
    assert_eq!(hand.left(), 256 - 41 - 30);
    assert!(hand.unissued().and(&some).is_empty());
    drop(burst);
    while let Some((lease, _)) = shard.burst(Tick::ZERO).work().worker.allocators[0].pop() {
        assert!(!some.contains(usize::from(port(&lease)) - 1024));
        leases.push(lease);
    }
    let ports: BTreeSet<_> = leases.iter().map(port).collect();
    assert_eq!((leases.len(), ports.len()), (226, 226));
}
