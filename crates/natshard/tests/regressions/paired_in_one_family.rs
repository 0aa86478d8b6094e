//! A subscriber paired with an address of one family that asked for the other: strictly paired it was
//! not told that there is none, and otherwise it lost its pairing.

use natshard::{AllocError, Family, PortBlocks, Protocol, Strictness};

use crate::subscribers::{at, both_families, engine, request};

#[test]
fn a_subscriber_paired_in_one_family_is_told_so_in_the_other() {
    for blocks in [None, Some(PortBlocks::new(64).per_subscriber(4))] {
        for strictness in [Strictness::Strict, Strictness::Preferred] {
            let mut pool = both_families().pairing(strictness);
            if let Some(blocks) = blocks {
                pool = pool.port_blocks(blocks);
            }
            let engine = engine(pool);
            let mut shard = engine.shard(0).unwrap();
            let mut burst = shard.burst(at(0));
            let tcp = request(&engine, Protocol::Tcp, 1);
            let four = burst.allocate(&tcp.family(Family::V4)).unwrap();
            assert!(four.addr().is_ipv4());
            let six = burst.allocate(&tcp.family(Family::V6));
            match strictness {
                Strictness::Strict => assert_eq!(six.unwrap_err(), AllocError::NoSuchFamily),
                Strictness::Preferred => assert!(six.unwrap().addr().is_ipv6()),
            }
            let again = burst.allocate(&tcp).unwrap();
            assert_eq!(again.addr().ip(), four.addr().ip());
        }
    }
}
