//! A lease as a value: what it equals, and what becomes of it where nothing has to rest.

use std::time::Duration;

use natshard::{
    AllocError, Engine, EngineConfig, Lease, PoolConfig, PortOrder, Protocol, Reason, Request, Tick,
};

fn engine(prefix: &str, hold_down: Duration) -> (Engine, Request) {
    let pool = PoolConfig::new("p")
        .prefix(prefix.parse().unwrap())
        .ports(1024..=1535);
    let config = EngineConfig::new(2)
        .hold_down(hold_down)
        .port_order(PortOrder::Linear);
    let engine = Engine::new(config.pool(pool)).unwrap();
    let request = Request::new(engine.pool("p").unwrap(), Protocol::Udp);
    (engine, request)
}

/// Every port of the pool.
fn fill(engine: &Engine, request: &Request) -> Vec<Lease> {
    let mut shard = engine.shard(0).unwrap();
    let mut leases = Vec::new();
    let mut burst = shard.burst(Tick::ZERO);
    burst
        .allocate_batch(request, usize::MAX, &mut leases)
        .unwrap();
    assert_eq!(burst.allocate(request), Err(AllocError::PoolFull));
    leases.sort_by_key(Lease::addr);
    leases
}

#[test]
fn a_lease_equals_itself_and_no_other_of_its_port_or_address() {
    let (engine, request) = engine("203.0.113.0/31", Duration::from_secs(8));
    let leases = fill(&engine, &request);
    assert_eq!(leases.len(), 1024);
    let (first, second) = leases.split_at(512);
    assert_eq!(first[7].addr().port(), second[7].addr().port());
    for (place, lease) in first.iter().enumerate() {
        assert!(first.iter().position(|it| it == lease) == Some(place));
        assert!(!second.contains(lease));
    }
    let text = format!("{:?}", first[7]);
    assert_eq!(text, "Lease(udp 203.0.113.0:1031)");
}

#[test]
fn where_nothing_rests_a_port_is_had_again_at_once_however_it_came_back() {
    let (engine, request) = engine("203.0.113.0/32", Duration::ZERO);
    let mut leases = fill(&engine, &request);
    let mut shard = engine.shard(1).unwrap();
    let mut burst = shard.burst(Tick::ZERO);
    let ways: [fn(&mut natshard::Burst<'_>, Lease); 4] = [
        |burst, lease| burst.release(lease),
        |burst, lease| burst.release_with(lease, Reason::Closed),
        |burst, lease| burst.release_raw(lease.into_raw()).unwrap(),
        |_, lease| drop(lease),
    ];
    for round in 0..40 {
        assert_eq!(burst.allocate(&request), Err(AllocError::PoolFull));
        let lease = leases.swap_remove(round * 11);
        let public = lease.addr();
        ways[round % 4](&mut burst, lease);
        let again = burst.allocate(&request);
        let again = again.unwrap_or_else(|error| panic!("round {round}: {error}"));
        assert_eq!(again.addr(), public);
        leases.push(again);
    }
}
