//! Time that jumps, stands still, goes back and ends; and addresses that leave.

use std::collections::HashSet;

use natshard::{AllocError, Engine, EngineConfig, Protocol, Request};

use super::{HOLD, RESTED, all, at, balanced, engine, pool};

/// F27: counters that wrapped, clocks that went back, ticks that overflowed after hours. Whatever
/// lies between two releases, a port rests its hold-down and no more than an eighth longer.
#[test]
fn f27_rests_are_right_across_every_jump_of_time() {
    // Stamps are a byte of sixteenths of a hold-down: jumps around each wrap, and far beyond.
    let slice = HOLD / 16;
    let mut jumps: Vec<u64> = [1u64, 16, 17, 18, 126, 127, 128, 129, 254, 255, 256, 257]
        .iter()
        .flat_map(|slices| [slices * slice - 1, slices * slice, slices * slice + 1])
        .collect();
    jumps.extend([1 << 31, 1 << 32, (1 << 32) + 1, 1 << 48, 1 << 62]);
    let (engine, request) = engine(2, pool("p", "203.0.113.0/32").ports(1024..=1279));
    let mut shards = [0, 1].map(|index| engine.shard(index).unwrap());
    let mut now = 0;
    for (round, jump) in jumps.into_iter().enumerate() {
        now += jump + RESTED;
        let mut leases = all(&mut shards[round % 2], &request, now);
        assert_eq!(leases.len(), 256, "jump {jump}: not all had rested");
        // Most now, some later, so that blocks hold stamps of different ages.
        let later = leases.split_off(200);
        shards[(round + 1) % 2]
            .burst(at(now))
            .release_batch(&mut leases);
        let early = all(&mut shards[round % 2], &request, now + HOLD - 1);
        assert_eq!(early.len(), 0, "jump {jump}: had before their time");
        let rested = all(&mut shards[round % 2], &request, now + RESTED);
        assert_eq!(rested.len(), 200, "jump {jump}: rested and not had");
        now += RESTED;
        // A clock that goes back stands still.
        let past = shards[0].burst(at(now / 2)).now();
        assert_eq!(past, at(now));
        drop((later, rested));
    }
    let stats = engine.stats();
    assert!(stats.shards.iter().any(|shard| shard.ticks_backwards > 10));
    assert_eq!(balanced(&engine).total.cooling, 256);
}

/// F27, at the end of time: nothing overflows, and what can never rest any more is not given.
#[test]
fn f27_the_last_ticks_there_are() {
    let (engine, request) = engine(1, pool("p", "203.0.113.0/32").ports(1024..=1279));
    let mut shard = engine.shard(0).unwrap();
    let mut leases = all(&mut shard, &request, u64::MAX - 2 * HOLD);
    assert_eq!(leases.len(), 256);
    shard
        .burst(at(u64::MAX - 2 * HOLD))
        .release_batch(&mut leases);
    let mut leases = all(&mut shard, &request, u64::MAX - HOLD / 2);
    assert_eq!(leases.len(), 256);
    shard.burst(at(u64::MAX - 1)).release_batch(&mut leases);
    for now in [u64::MAX - 1, u64::MAX, 0, u64::MAX] {
        let refused = shard.burst(at(now)).allocate(&request);
        assert_eq!(refused, Err(AllocError::PoolFull));
        shard.idle(at(now));
    }
    assert_eq!(balanced(&engine).total.cooling, 256);
}

/// F29: removing an address killed its sessions, or kept them for ever.
#[test]
fn f29_an_address_that_is_removed_keeps_its_leases_and_only_those() {
    let of = |prefix: &str| EngineConfig::new(2).pool(pool("p", prefix).ports(1024..=1279));
    let engine = Engine::new(of("203.0.113.0/31")).unwrap();
    let (id, realm) = (engine.pool("p").unwrap(), engine.realm("default").unwrap());
    let request = Request::new(id, Protocol::Tcp);
    let mut shards = [0, 1].map(|index| engine.shard(index).unwrap());
    let held = all(&mut shards[0], &request, 0);
    assert_eq!(held.len(), 512);
    let done = engine.reconfigure(of("203.0.113.0/32")).unwrap();
    assert_eq!((done.draining_addresses, done.draining_leases), (1, 256));
    // None is killed: each is still its shard's.
    for lease in &held {
        let owner = engine.owner(realm, Protocol::Tcp, lease.addr());
        assert_eq!(owner.map(|shard| shard.as_index()), Some(0), "{lease:?}");
    }
    // None is kept for ever: as they end they are gone, and are not given again.
    let gone: std::net::IpAddr = "203.0.113.1".parse().unwrap();
    let mut now = 0;
    let (leaving, staying): (Vec<_>, Vec<_>) = held
        .into_iter()
        .partition(|lease| lease.addr().ip() == gone);
    let removed: HashSet<_> = leaving.iter().map(natshard::Lease::addr).collect();
    for (left, lease) in leaving.into_iter().enumerate() {
        now += 10;
        let mut burst = shards[left % 2].burst(at(now));
        burst.release(lease);
        drop(burst);
        assert_eq!(engine.census().draining.leased, 255 - left as u64);
    }
    drop(staying);
    let again = all(&mut shards[1], &request, now + RESTED);
    assert_eq!(again.len(), 256);
    assert!(again.iter().all(|lease| !removed.contains(&lease.addr())));
    for step in 0..40 {
        shards[0].idle(at(now + RESTED + step * HOLD / 8));
        shards[1].idle(at(now + RESTED + step * HOLD / 8));
    }
    assert_eq!(balanced(&engine).draining, Default::default());
}
