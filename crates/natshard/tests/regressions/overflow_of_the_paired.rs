//! The overflow of a deterministic range, which comes in port blocks, was had at any address, also by a
//! subscriber strictly paired with one.

use std::collections::BTreeSet;
use std::net::IpAddr;

use natshard::{Deterministic, PortBlocks, Protocol, Strictness};

use crate::subscribers::{at, engine, fill, pool, request};

#[test]
fn overflow_keeps_to_a_strictly_paired_address() {
    let pool = pool("192.0.2.0/28")
        .deterministic(Deterministic::new(16, 29_952))
        .port_blocks(PortBlocks::new(64).per_subscriber(16))
        .pairing(Strictness::Strict);
    let engine = engine(pool);
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(at(0));
    let (held, _) = fill(&mut burst, &request(&engine, Protocol::Tcp, 3));
    let at: BTreeSet<IpAddr> = held.iter().map(|lease| lease.addr().ip()).collect();
    assert_eq!(at.len(), 1, "{at:?}");
    assert_eq!(held.len(), 29_952 + 16 * 64);
}
