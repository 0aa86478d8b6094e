//! A subscriber at its limit of port blocks was told so before it was seen that the address it was
//! paired with is the pool's no longer, and stayed paired with it.

use std::net::IpAddr;

use natshard::{Engine, PortBlocks, Protocol, Strictness};

use crate::subscribers::{at, config, pool, request};

#[test]
fn a_pairing_with_an_address_that_is_gone_ends_also_at_the_limit_of_port_blocks() {
    let of = |prefix| {
        let blocks = PortBlocks::new(64).per_subscriber(2);
        let pool = pool(prefix).port_blocks(blocks);
        config(1, pool.pairing(Strictness::Strict)).seed(1)
    };
    let engine = Engine::new(of("192.0.2.0/31")).unwrap();
    let mut shard = engine.shard(0).unwrap();
    let own = request(&engine, Protocol::Tcp, 1);
    let mut burst = shard.burst(at(0));
    let first = burst.allocate(&own).unwrap();
    let (gone, stays) = match first.addr().ip() == "192.0.2.0".parse::<IpAddr>().unwrap() {
        true => ("192.0.2.0", "192.0.2.1"),
        false => ("192.0.2.1", "192.0.2.0"),
    };
    assert_eq!(first.addr().ip().to_string(), gone);
    let udp = request(&engine, Protocol::Udp, 1);
    let there = udp.address(stays.parse().unwrap(), Strictness::Strict);
    let _second = burst.allocate(&there).unwrap();
    drop(burst);
    engine.reconfigure(of(&format!("{stays}/32"))).unwrap();
    let mut burst = shard.burst(at(1));
    let third = burst.allocate(&udp).expect("its block there has room");
    assert_eq!(third.addr().ip().to_string(), stays);
}
