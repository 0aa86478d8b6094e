//! A strict wish for the address of one's range gave way to a pairing by preference.

use natshard::{AllocError, Deterministic, PortBlocks, Protocol, Strictness};

use crate::subscribers::{at, engine, fill, pool, request};

#[test]
fn the_stricter_of_a_wish_and_a_pairing_binds_overflow() {
    let blocks = PortBlocks::new(64).per_subscriber(16);
    let pool = pool("192.0.2.0/31")
        .ports(1024..=2047)
        .deterministic(Deterministic::new(4, 480))
        .port_blocks(blocks)
        .pairing(Strictness::Preferred);
    let (own, _) = pool
        .deterministic_map()
        .unwrap()
        .range(0, Protocol::Tcp)
        .unwrap();
    let engine = engine(pool);
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(at(0));
    let tcp = request(&engine, Protocol::Tcp, 0);
    let (held, error) = fill(&mut burst, &tcp.address(own, Strictness::Strict));
    assert_eq!((held.len(), error), (480 + 64, AllocError::AddressFull));
    assert!(held.iter().all(|lease| lease.addr().ip() == own));
    let (more, error) = fill(&mut burst, &tcp);
    assert_eq!((more.len(), error), (64, AllocError::PoolFull));
}
