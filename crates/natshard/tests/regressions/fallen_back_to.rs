//! A subscriber that had fallen back to a port block elsewhere could not have more than one port
//! of it: at its own address it was at its limit of port blocks, and was told so.

use natshard::{AllocError, PortBlocks, Protocol, Strictness};

use crate::subscribers::{at, engine, fill, pool, request};

#[test]
fn a_port_block_fallen_back_to_serves_until_it_is_full() {
    let blocks = PortBlocks::new(64).per_subscriber(2);
    let pool = pool("192.0.2.0/31").ports(1024..=1279).port_blocks(blocks);
    let engine = engine(pool.pairing(Strictness::Preferred));
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(at(0));
    let own = request(&engine, Protocol::Tcp, 1);
    let first = burst.allocate(&own).unwrap();
    let mut others = Vec::new();
    for subscriber in 2..=3 {
        let there = request(&engine, Protocol::Tcp, subscriber);
        let there = there.address(first.addr().ip(), Strictness::Strict);
        others.extend(fill(&mut burst, &there).0);
    }
    assert_eq!(others.len(), 3 * 64, "its address is full");
    let (held, error) = fill(&mut burst, &own);
    assert_eq!((held.len(), error), (127, AllocError::SubscriberQuota));
}
