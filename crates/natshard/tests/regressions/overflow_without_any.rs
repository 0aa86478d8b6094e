//! Where no port of a block can be a port block's, the block was assigned all the same; where the
//! overflow was empty, all addresses were opened in search of it.

use natshard::{AllocError, Deterministic, PortBlocks, Protocol};

use crate::subscribers::{at, engine, fill, pool, request};

#[test]
fn a_search_for_overflow_leaves_blocks_without_any_alone() {
    // Two ranges of 32,256 ports each fill the 64,512 ports: no overflow.
    let full = Deterministic::new(2 * 256, 32_256);
    let blocks = PortBlocks::new(64);
    let of = |mode| pool("10.0.0.0/24").deterministic(mode).port_blocks(blocks);
    let engine = engine(of(full));
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(at(0));
    let tcp = request(&engine, Protocol::Tcp, 5);
    let (held, error) = fill(&mut burst, &tcp);
    assert_eq!(
        (held.len(), error),
        (32_256, AllocError::SubscriberQuota),
        "nothing beyond its range"
    );
    drop(burst);
    assert_eq!(engine.stats().open_addresses, 1);
    // One port block of overflow on each address: only its block is assigned.
    let engine = self::engine(of(Deterministic::new(2 * 256, 32_224)));
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(at(0));
    let (held, _) = fill(&mut burst, &request(&engine, Protocol::Tcp, 5));
    assert_eq!(held.len(), 32_224 + 4 * 64);
    drop(burst);
    let assigned = engine.census().blocks.assigned;
    assert_eq!(assigned, 32_224_u64.div_ceil(256) + 4);
}
