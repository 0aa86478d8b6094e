//! Time at its very end: requests are answered as ever, and nobody is alarmed twice.

use natshard::{AllocError, Protocol, Request};

use crate::subscribers::{at, engine, pool};

#[test]
fn time_at_its_very_end_alarms_nobody_twice() {
    let engine = engine(pool("192.0.2.1/32").ports(5000..=5000));
    let mut shard = engine.shard(0).unwrap();
    let plain = Request::new(engine.pool("pool").unwrap(), Protocol::Tcp);
    let mut burst = shard.burst(at(u64::MAX));
    let _held = burst.allocate(&plain).unwrap();
    for _ in 0..3 {
        assert_eq!(burst.allocate(&plain).unwrap_err(), AllocError::PoolFull);
    }
}
