//! The short ways of a burst: each is taken where it may be, and only there.

use super::*;
use crate::config::PoolConfig;
use crate::engine::Engine;
use crate::fair::TenantShare;
use crate::protocol::Protocol;
use crate::request::{Family, Parity, Strictness};
use crate::testing::{begin, config};

fn engine(pool: PoolConfig) -> (Engine, Shard, Request) {
    let pool = pool
        .prefix("203.0.113.0/32".parse().unwrap())
        .ports(1024..=1535);
    begin(config(2).pool(pool))
}

fn exhaust(shard: &mut Shard, request: &Request) -> Vec<Lease> {
    let mut leases = Vec::new();
    let mut burst = shard.burst(Tick::ZERO);
    burst
        .allocate_batch(request, usize::MAX, &mut leases)
        .unwrap();
    leases
}

#[test]
fn a_batch_of_nothing_is_refused_unless_nothing_was_asked() {
    let (_engine, mut shard, request) = engine(PoolConfig::new("p"));
    let mut leases = exhaust(&mut shard, &request);
    assert_eq!(leases.len(), 512);
    let mut burst = shard.burst(Tick::ZERO);
    let refused = burst.allocate_batch(&request, 3, &mut leases);
    assert_eq!(refused, Err(AllocError::PoolFull));
    assert_eq!(burst.allocate_batch(&request, 0, &mut leases), Ok(0));
    burst.release_with(leases.pop().unwrap(), Reason::Unused);
    assert_eq!(burst.allocate_batch(&request, 3, &mut leases), Ok(1));
    assert_eq!(leases.len(), 512);
}

#[test]
fn a_refusal_is_known_again_until_something_could_be_had() {
    let (engine, mut shard, request) = engine(PoolConfig::new("p"));
    let mut leases = exhaust(&mut shard, &request);
    let slot = request.slot as usize % HOT;
    let refuse = |shard: &mut Shard| {
        let mut burst = shard.burst(Tick::ZERO);
        let known = burst.refuse_again(&request);
        assert_eq!(burst.allocate(&request), Err(AllocError::PoolFull));
        known
    };
    refuse(&mut shard);
    assert_eq!(refuse(&mut shard), Some(AllocError::PoolFull));
    let (loads, slice) = (shard.worker.loads, shard.handle.inner.ground.clock.slice());
    let stands = |shard: &Shard, slice, loads| {
        shard.worker.standing[slot].refuses(request.slot, slice, loads)
    };
    let refused = |engine: &Engine| engine.stats().refused(AllocError::PoolFull);
    let before = refused(&engine);
    assert!(stands(&shard, slice, loads));
    assert_eq!(refused(&engine), before + 1);
    assert!(!stands(&shard, slice + 1, loads));
    assert!(!stands(&shard, slice, loads + 1));
    assert!(!shard.worker.standing[slot].refuses(request.slot ^ 4, slice, loads));
    // What another shard gives back counts.
    let mut other = engine.shard(1).unwrap();
    let mut burst = other.burst(Tick::ZERO);
    burst.release_with(leases.pop().unwrap(), Reason::Unused);
    assert!(!stands(&shard, slice, loads));
    assert_eq!(refused(&engine), before + 1);
    assert_eq!(shard.burst(Tick::ZERO).refuse_again(&request), None);
    // Another configuration, too.
    leases.extend(exhaust(&mut shard, &request));
    refuse(&mut shard);
    refuse(&mut shard);
    let loads = shard.worker.loads;
    assert!(stands(&shard, slice, loads));
    let config = engine.inner().layout.load().config.clone();
    engine.reconfigure(config).unwrap();
    drop(shard.burst(Tick::ZERO));
    assert!(!stands(&shard, slice, loads));
}

#[test]
fn requests_of_a_class_are_served_from_its_hand() {
    let share = TenantShare::new(5).minimum(1);
    let (_engine, mut shard, request) = engine(PoolConfig::new("p").tenant(share).headroom(1));
    let tenant = request.tenant(5);
    for request in [tenant, request.control()] {
        let mut burst = shard.burst(Tick::ZERO);
        assert!(burst.pop_for_class(&request).is_none());
        let first = burst.allocate(&request).unwrap();
        let second = burst.pop_for_class(&request).unwrap();
        let block = |lease: &Lease| lease.addr().port() / 256;
        assert_eq!(block(&first), block(&second));
    }
    // Who asks for more is not.
    let mut burst = shard.burst(Tick::ZERO);
    assert!(burst.pop_for_class(&tenant.parity(Parity::Odd)).is_none());
    let odd = burst.allocate(&tenant.parity(Parity::Odd)).unwrap();
    assert_eq!(Parity::of(odd.addr().port()), Parity::Odd);
}

#[test]
fn who_asks_for_nothing_in_particular_has_a_purpose() {
    let (_engine, mut shard, request) = engine(PoolConfig::new("p"));
    let burst = shard.burst(Tick::ZERO);
    let general = |request: &Request| general_purpose(burst.layout, request).is_some();
    let family = request.family(Family::V4);
    for request in [request, family, request.tenant(1), request.control()] {
        assert!(general(&request), "{request:?}");
    }
    // Nobody keeps books of this one.
    assert!(general(&request.subscriber(7)));
    let address = "203.0.113.0".parse().unwrap();
    for request in [
        request.address(address, Strictness::Preferred),
        request.near_port(1024),
        request.parity(Parity::Even),
    ] {
        assert!(!general(&request), "{request:?}");
    }
}

#[test]
fn of_a_subscriber_whose_books_are_kept_nothing_is_general() {
    let limit = crate::fair::SubscriberLimit::new().ports(Protocol::Udp, 9);
    let (_engine, mut shard, request) = engine(PoolConfig::new("p").subscriber_limit(limit));
    let burst = shard.burst(Tick::ZERO);
    let general = |request: &Request| general_purpose(burst.layout, request).is_some();
    assert!(general(&request));
    assert!(!general(&request.subscriber(7)));
}
