//! A shard in a burst of before a reconfiguration met what another one did after it, in an
//! address space it did not know.

use std::collections::BTreeSet;
use std::net::IpAddr;

use natshard::{
    AllocError, Engine, Family, PoolConfig, PortBlocks, Protocol, Strictness, SubscriberLimit,
};

use crate::subscribers::{at, config, fill, request};

#[test]
fn a_burst_begun_before_a_reconfiguration_meets_blocks_and_pairings_of_after_it() {
    for paired in [false, true] {
        for blocks in [false, true] {
            let of = |prefixes: &[&str]| {
                let mut pool = PoolConfig::new("pool");
                for prefix in prefixes {
                    pool = pool.prefix(prefix.parse().unwrap());
                }
                if blocks {
                    pool = pool.port_blocks(PortBlocks::new(64).per_subscriber(2));
                } else {
                    pool = pool.subscriber_limit(SubscriberLimit::new().total(128));
                }
                if paired {
                    pool = pool.pairing(Strictness::Strict);
                }
                config(2, pool).seed(1)
            };
            let engine = Engine::new(of(&["192.0.2.0/30"])).unwrap();
            let [mut old, mut new] = [0, 1].map(|index| engine.shard(index).unwrap());
            let mut before = old.burst(at(0));
            engine
                .reconfigure(of(&["192.0.2.0/30", "2001:db8::/120"]))
                .unwrap();
            let mut after = new.burst(at(0));
            let tcp = request(&engine, Protocol::Tcp, 7);
            let six = after.allocate(&tcp.family(Family::V6)).unwrap();
            match before.allocate(&tcp) {
                Ok(lease) => assert!(!paired && lease.addr().is_ipv4()),
                Err(error) => assert_eq!((error, paired), (AllocError::OutsidePool, true)),
            }
            // At the limit it looks at every block.
            let _ = fill(&mut before, &tcp);
            drop(before);
            let (held, _) = fill(&mut old.burst(at(0)), &tcp);
            if paired {
                let at: BTreeSet<IpAddr> = held.iter().map(|lease| lease.addr().ip()).collect();
                assert_eq!(at, BTreeSet::from([six.addr().ip()]), "one address");
            }
            assert_eq!(engine.subscribers().len(), 1);
        }
    }
}
