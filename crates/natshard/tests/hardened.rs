//! The hardened order: ports of many blocks in hand at once.
//!
//! Claims:
//! * Every port of a pool is had, once, and the next request is refused (I1, I4).
//! * What one shard has in hand another gets, after the first one's next burst (I8).
//! * The census balances, and `idle` gives everything in hand back (I2).
//! * Ports come out of many blocks at once.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use natshard::{
    AllocError, Engine, EngineConfig, Lease, PoolConfig, PortOrder, Protocol, Request, Shard, Tick,
};

const HOLD: u64 = 1_000;

fn engine(shards: usize, prefix: &str, ports: std::ops::RangeInclusive<u16>) -> (Engine, Request) {
    let pool = PoolConfig::new("p")
        .prefix(prefix.parse().unwrap())
        .ports(ports);
    let config = EngineConfig::new(shards)
        .seed(7)
        .hold_down(Duration::from_millis(HOLD))
        .port_order(PortOrder::Hardened)
        .pool(pool);
    let engine = Engine::new(config).unwrap();
    let request = Request::new(engine.pool("p").unwrap(), Protocol::Tcp);
    (engine, request)
}

fn at(millis: u64) -> Tick {
    Tick::from_millis(millis)
}

fn distinct(leases: &[Lease]) -> HashSet<SocketAddr> {
    let tuples: HashSet<_> = leases.iter().map(Lease::addr).collect();
    assert_eq!(tuples.len(), leases.len(), "a tuple came twice");
    tuples
}

/// Leases until refused.
fn all(shard: &mut Shard, request: &Request, now: u64) -> Vec<Lease> {
    let mut burst = shard.burst(at(now));
    let mut leases = Vec::new();
    loop {
        match burst.allocate(request) {
            Ok(lease) => leases.push(lease),
            Err(error) => {
                assert_eq!(error, AllocError::PoolFull);
                return leases;
            }
        }
    }
}

#[test]
fn every_port_is_had_once_and_again_after_its_rest() {
    let (engine, request) = engine(1, "192.0.2.0/30", 1_000..=9_999);
    let mut shard = engine.shard(0).unwrap();
    for round in 0..3 {
        let now = round * 2 * HOLD;
        let mut leases = all(&mut shard, &request, now);
        assert_eq!(distinct(&leases).len(), 4 * 9_000);
        let census = engine.census();
        assert!(census.total.balances(), "{}", census.total);
        assert_eq!(census.contradictions, 0);
        shard.burst(at(now)).release_batch(&mut leases);
        assert_eq!(all(&mut shard, &request, now).len(), 0, "they rest");
    }
}

#[test]
fn what_is_in_hand_comes_when_others_ask() {
    let (engine, request) = engine(2, "192.0.2.1/32", 1_024..=2_047);
    let [mut first, mut second] = [0, 1].map(|index| engine.shard(index).unwrap());
    let mut leases = vec![first.burst(at(0)).allocate(&request).unwrap()];
    let had = second.burst(at(0)).allocate(&request);
    assert_eq!(had.err(), Some(AllocError::PoolFull), "all is in hand");
    drop(first.burst(at(0)));
    leases.extend(all(&mut second, &request, 0));
    assert_eq!(distinct(&leases).len(), 1_024);
    let census = engine.census();
    assert!(census.total.balances(), "{}", census.total);
    assert_eq!(census.contradictions, 0);
}

#[test]
fn ports_come_out_of_many_blocks_and_idle_gives_them_back() {
    let (engine, request) = engine(1, "192.0.2.0/28", 1_024..=65_535);
    let mut shard = engine.shard(0).unwrap();
    let (mut live, mut seed) = (Vec::new(), 1u64);
    for now in 0..3 * HOLD {
        let mut burst = shard.burst(at(now));
        for _ in 0..32 {
            live.push(burst.allocate(&request).unwrap());
            if live.len() > 2_000 {
                seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1);
                let place = (seed >> 33) as usize % live.len();
                burst.release(live.swap_remove(place));
            }
        }
    }
    distinct(&live);
    let mut burst = shard.burst(at(3 * HOLD));
    let mut next = Vec::new();
    burst.allocate_batch(&request, 256, &mut next).unwrap();
    let blocks: HashSet<_> = next
        .iter()
        .map(|lease| (lease.addr().ip(), lease.addr().port() / 256))
        .collect();
    assert!(blocks.len() > 20, "only {} blocks", blocks.len());
    drop(burst);
    let census = engine.census();
    assert!(census.total.balances());
    assert_eq!(census.contradictions, 0);
    assert!(
        (3_500..=4_200).contains(&census.total.unissued),
        "{census:?}"
    );
    shard.idle(at(3 * HOLD));
    let census = engine.census();
    assert!(census.total.balances());
    assert_eq!(census.contradictions, 0);
    assert_eq!(census.total.unissued, 0);
    assert_eq!(census.total.leased, (live.len() + next.len()) as u64);
}
