//! A wish for an address of one family was granted to a request for the other, and a port block was
//! assigned for nothing where the wish was strict.

use std::net::IpAddr;

use natshard::{AllocError, Family, PortBlocks, Protocol, Strictness, SubscriberLimit};

use crate::subscribers::{at, both_families, engine, request};

#[test]
fn an_address_of_another_family_than_asked_for_is_not_given() {
    let four: IpAddr = "192.0.2.1".parse().unwrap();
    for blocks in [None, Some(PortBlocks::new(64).per_subscriber(4))] {
        let mut pool = both_families();
        pool = match blocks {
            Some(blocks) => pool.port_blocks(blocks),
            None => pool.subscriber_limit(SubscriberLimit::new().total(1000)),
        };
        let engine = engine(pool);
        let mut shard = engine.shard(0).unwrap();
        let mut burst = shard.burst(at(0));
        let six = request(&engine, Protocol::Tcp, 1).family(Family::V6);
        let strict = six.address(four, Strictness::Strict);
        assert_eq!(
            burst.allocate(&strict).unwrap_err(),
            AllocError::NoSuchFamily
        );
        let preferred = six.address(four, Strictness::Preferred);
        let lease = burst.allocate(&preferred).unwrap();
        assert!(lease.addr().is_ipv6(), "{}", lease.addr());
        drop(burst);
        let blocks: usize = engine
            .subscribers()
            .iter()
            .map(|one| one.blocks.len())
            .sum();
        assert!(blocks <= 1, "no block for nothing: {blocks}");
    }
}
