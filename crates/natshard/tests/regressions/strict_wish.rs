//! A strict wish for an address was not regarded in a deterministic pool.

use natshard::{AllocError, Deterministic, PortBlocks, Protocol, Strictness};

use crate::subscribers::{at, engine, pool, request};

#[test]
fn a_strict_wish_for_an_address_holds_in_deterministic_pools() {
    for blocks in [false, true] {
        let mut pool = pool("192.0.2.0/31").deterministic(Deterministic::new(4, 1000));
        if blocks {
            pool = pool.port_blocks(PortBlocks::new(64));
        }
        let map = pool.deterministic_map().unwrap();
        let (own, _) = map.range(0, Protocol::Tcp).unwrap();
        let (other, _) = map.range(3, Protocol::Tcp).unwrap();
        assert_ne!(own, other);
        let engine = engine(pool);
        let mut shard = engine.shard(0).unwrap();
        let mut burst = shard.burst(at(0));
        let tcp = request(&engine, Protocol::Tcp, 0);
        for strictness in [Strictness::Strict, Strictness::Preferred] {
            let lease = burst.allocate(&tcp.address(own, strictness)).unwrap();
            assert_eq!(lease.addr().ip(), own);
            match (burst.allocate(&tcp.address(other, strictness)), blocks) {
                (Ok(lease), true) => assert_eq!(lease.addr().ip(), other, "overflow there"),
                (Ok(lease), false) => {
                    assert_eq!(strictness, Strictness::Preferred);
                    assert_eq!(lease.addr().ip(), own);
                }
                (Err(error), _) => {
                    assert_eq!((error, blocks), (AllocError::AddressFull, false));
                    assert_eq!(strictness, Strictness::Strict);
                }
            }
        }
    }
}
