//! Each port block was asked for the port, and then for its parity, before the next.

use natshard::{PortBlocks, Protocol, Reason};

use crate::subscribers::{at, engine, fill, pool, request};

#[test]
fn a_wished_port_is_had_from_whichever_own_block_it_lies_in() {
    let blocks = PortBlocks::new(64).per_subscriber(4);
    let engine = engine(pool("192.0.2.1/32").port_blocks(blocks));
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(at(0));
    let tcp = request(&engine, Protocol::Tcp, 3);
    let (mut held, _) = fill(&mut burst, &tcp);
    for lease in std::mem::take(&mut held) {
        burst.release_with(lease, Reason::Unused);
    }
    drop(burst);
    let own = engine.subscribers()[0].blocks.clone();
    assert_eq!(own.len(), 4);
    let mut burst = shard.burst(at(0));
    for ports in own {
        let lease = burst.allocate(&tcp.near_port(ports.first + 5)).unwrap();
        assert_eq!(lease.addr().port(), ports.first + 5);
        held.push(lease);
    }
}
