//! Found by the soak test: a search for a port block that did not end.
//!
//! Without a hold-down each round of the search swept anew, what it swept was announced, and what
//! was announced made it look again. It took a port block of several quarters of which one was at
//! rest (so that each sweep came by its block), and another quarter that was nobody's and no port
//! block either (so that it was announced).

use std::sync::mpsc;
use std::time::Duration;

use natshard::{AllocError, Engine, EngineConfig, PoolConfig, PortBlocks, Protocol, Request, Tick};

#[test]
fn a_search_without_hold_down_ends_where_half_of_a_port_block_is_at_rest() {
    let (done, end) = mpsc::channel();
    std::thread::spawn(move || {
        let pool = PoolConfig::new("p")
            .prefix("192.0.2.1/32".parse().unwrap())
            .ports(1024..=1279)
            .port_blocks(PortBlocks::new(128).per_subscriber(1));
        let config = EngineConfig::new(1).hold_down(Duration::ZERO).pool(pool);
        let engine = Engine::new(config).unwrap();
        let pool = engine.pool("p").unwrap();
        let of = |subscriber| Request::new(pool, Protocol::Tcp).subscriber(subscriber);
        let mut shard = engine.shard(0).unwrap();
        let mut burst = shard.burst(Tick::ZERO);
        let mut leases = Vec::new();
        assert_eq!(burst.allocate_batch(&of(1), 128, &mut leases), Ok(128));
        // A quarter of the other half is reserved, so that there is no port block left.
        let half = |port: u16| (port - 1024) / 128;
        let other = 1 - half(leases[0].addr().port());
        let fixed = format!("192.0.2.1:{}", 1024 + 128 * other);
        let reserved = burst.reserve(pool, Protocol::Tcp, fixed.parse().unwrap());
        let reserved = reserved.unwrap();
        // A quarter of the subscriber's half comes to rest.
        let first = leases
            .iter()
            .map(|lease| lease.addr().port())
            .min()
            .unwrap();
        let (resting, kept): (Vec<_>, Vec<_>) = leases
            .into_iter()
            .partition(|lease| lease.addr().port() < first + 64);
        assert_eq!(resting.len(), 64);
        resting.into_iter().for_each(|lease| burst.release(lease));
        assert_eq!(burst.allocate(&of(2)), Err(AllocError::PoolFull));
        // What is released meanwhile is found all the same.
        burst.release(reserved);
        let lease = burst.allocate(&of(2)).expect("the other half is free");
        assert_eq!(half(lease.addr().port()), other);
        burst.release(lease);
        kept.into_iter().for_each(|lease| burst.release(lease));
        done.send(()).unwrap();
    });
    end.recv_timeout(Duration::from_secs(20)).expect("it ends");
}
