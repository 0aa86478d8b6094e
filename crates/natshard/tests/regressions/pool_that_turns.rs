//! Ports put back, and those judged twice, left the count of cooling ports below zero, which is
//! above every cap.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use natshard::{Deterministic, Engine, Lease, PortBlocks, Protocol, Strictness};

use crate::subscribers::{HOLD, SLICE, at, config, pool, request};

#[test]
fn tuples_are_never_given_out_twice_by_a_pool_that_turns() {
    let address: IpAddr = "192.0.2.1".parse().unwrap();
    let base = || pool("192.0.2.1/32").ports(1024..=2047);
    let turns = [
        base(),
        base().port_blocks(PortBlocks::new(64).per_subscriber(16)),
        base().deterministic(Deterministic::new(4, 200)),
        base()
            .deterministic(Deterministic::new(4, 100))
            .port_blocks(PortBlocks::new(128).per_subscriber(16)),
        base().port_blocks(PortBlocks::new(256).per_subscriber(16)),
        base().pairing(Strictness::Preferred),
    ];
    let engine = Engine::new(config(1, turns[0].clone()).seed(1)).unwrap();
    let mut shard = engine.shard(0).unwrap();
    let mut held: Vec<Lease> = Vec::new();
    for round in 0..60u64 {
        let turn = turns[round as usize * 5 % turns.len()].clone();
        engine.reconfigure(config(1, turn).seed(1)).unwrap();
        let mut burst = shard.burst(at(round * 3 * SLICE));
        for subscriber in 0..4 {
            for _ in 0..60 {
                let tcp = request(&engine, Protocol::Tcp, subscriber);
                held.extend(burst.allocate(&tcp));
            }
        }
        let tuples: BTreeSet<SocketAddr> = held.iter().map(Lease::addr).collect();
        assert_eq!(tuples.len(), held.len());
        assert!(tuples.iter().all(|public| public.ip() == address));
        let keep = held.len() / 3;
        for lease in held.drain(keep..) {
            burst.release(lease);
        }
        drop(burst);
        let census = engine.census();
        assert!(census.total.balances(), "{}", census.total);
        assert_eq!(census.contradictions, 0);
    }
    drop(held);
    for round in 0..4 {
        shard.idle(at((100 + round) * HOLD));
    }
    let census = engine.census();
    assert_eq!(census.total.free, census.total.capacity, "{census:?}");
    assert_eq!(engine.subscribers(), []);
}
