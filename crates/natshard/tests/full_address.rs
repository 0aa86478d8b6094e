//! A search of an address in vain is not made again before there is something to be found: and then
//! it is, whatever made it so.

use std::time::Duration;

use natshard::{
    AllocError, Burst, Engine, EngineConfig, Lease, PoolConfig, Protocol, Reason, Request,
    Strictness, Tick,
};

const REST: u64 = 8_000;

/// Two shards over two addresses of two blocks each; requests for the first address.
fn engine() -> (Engine, Request) {
    let pool = PoolConfig::new("p")
        .prefix("203.0.113.0/31".parse().unwrap())
        .ports(1024..=1535);
    let config = EngineConfig::new(2).hold_down(Duration::from_millis(REST));
    let engine = Engine::new(config.pool(pool)).unwrap();
    let request = Request::new(engine.pool("p").unwrap(), Protocol::Udp);
    let address = "203.0.113.0".parse().unwrap();
    (engine, request.address(address, Strictness::Strict))
}

/// Every port of the address that can be had; it is refused twice after them.
fn fill(burst: &mut Burst<'_>, request: &Request) -> Vec<Lease> {
    let leases: Vec<_> = std::iter::from_fn(|| burst.allocate(request).ok()).collect();
    assert_eq!(burst.allocate(request), Err(AllocError::AddressFull));
    leases
}

#[test]
fn a_port_that_need_not_rest_is_had_at_once() {
    let (engine, request) = engine();
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(Tick::from_millis(1));
    let mut leases = fill(&mut burst, &request);
    assert_eq!(leases.len(), 512);
    for _ in 0..10 {
        let lease = leases.swap_remove(100);
        let public = lease.addr();
        burst.release_with(lease, Reason::Unused);
        let again = burst.allocate(&request).unwrap();
        assert_eq!(again.addr(), public);
        leases.push(again);
        assert_eq!(burst.allocate(&request), Err(AllocError::AddressFull));
    }
}

#[test]
fn a_port_that_has_rested_is_had() {
    let (engine, request) = engine();
    let mut shard = engine.shard(0).unwrap();
    let mut leases = fill(&mut shard.burst(Tick::from_millis(1)), &request);
    for round in 0..4 {
        let now = 1 + round * 3 * REST;
        let mut burst = shard.burst(Tick::from_millis(now));
        let lease = leases.swap_remove(7);
        let public = lease.addr();
        burst.release(lease);
        assert_eq!(burst.allocate(&request), Err(AllocError::AddressFull));
        drop(burst);
        // An eighth of the rest late, at the most.
        let mut burst = shard.burst(Tick::from_millis(now + REST + REST / 8 + 1));
        let again = burst.allocate(&request).unwrap();
        assert_eq!(again.addr(), public);
        leases.push(again);
        assert_eq!(burst.allocate(&request), Err(AllocError::AddressFull));
    }
}

#[test]
fn a_port_out_of_another_hand_is_had() {
    let (engine, request) = engine();
    let mut mine = engine.shard(0).unwrap();
    let mut other = engine.shard(1).unwrap();
    let now = Tick::from_millis(1);
    // The other shard has a block of the address in hand, and lets go of it at its next burst.
    let held = other.burst(now).allocate(&request).unwrap();
    let leases = fill(&mut mine.burst(now), &request);
    assert_eq!(leases.len(), 256);
    drop(other.burst(now));
    assert_eq!(fill(&mut mine.burst(now), &request).len(), 255);
    drop(held);
}
