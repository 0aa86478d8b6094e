//! Without a hold-down a port block is free as soon as its last port is: a sweep of the same
//! millisecond had passed it by.

use std::time::Duration;

use natshard::{Engine, PortBlocks, Protocol};

use crate::subscribers::{at, config, pool, request};

#[test]
fn without_a_hold_down_port_blocks_are_free_at_once() {
    let blocks = PortBlocks::new(256).per_subscriber(1);
    let pool = pool("192.0.2.1/32").ports(1024..=1279).port_blocks(blocks);
    let config = config(1, pool).hold_down(Duration::ZERO).seed(1);
    let engine = Engine::new(config).unwrap();
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(at(0));
    for subscriber in 0..100 {
        let tcp = request(&engine, Protocol::Tcp, subscriber);
        let lease = burst.allocate(&tcp).expect("nobody has anything");
        burst.release(lease);
    }
}
