//! A search that found a block with a free quarter but no free port block announced the block
//! again, and so looked again.

use natshard::{AllocError, PoolConfig, PortBlocks, Protocol, Strictness};

use crate::subscribers::{HOLD, at, ends, engine, pool, request};

#[test]
fn a_search_ends_where_quarters_are_free_but_no_port_block_is() {
    ends(|| {
        let blocks = PortBlocks::new(256);
        let narrow = |pool: PoolConfig| pool.ports(1024..=1279);
        let engine = engine(narrow(pool("192.0.2.1/32")).port_blocks(blocks));
        let mut shard = engine.shard(0).unwrap();
        let mut burst = shard.burst(at(0));
        let tcp = request(&engine, Protocol::Tcp, 1);
        let fixed = "192.0.2.1:1030".parse().unwrap();
        let reserved = burst.reserve(tcp.pool(), Protocol::Tcp, fixed).unwrap();
        assert_eq!(burst.allocate(&tcp).unwrap_err(), AllocError::PoolFull);
        let own = tcp.address("192.0.2.1".parse().unwrap(), Strictness::Strict);
        assert_eq!(burst.allocate(&own).unwrap_err(), AllocError::AddressFull);
        // The quarter comes back when it has rested, and with it the port block.
        burst.release(reserved);
        drop(burst);
        let mut burst = shard.burst(at(2 * HOLD));
        let lease = burst.allocate(&tcp).expect("the whole block is free again");
        burst.release(lease);
    });
}
