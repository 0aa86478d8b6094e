//! What tests of one pool share.

use natshard::{PoolConfig, Tick};

pub const HOLD: u64 = 120_000;

pub fn at(millis: u64) -> Tick {
    Tick::from_millis(millis)
}

pub fn pool(name: &str, prefix: &str) -> PoolConfig {
    PoolConfig::new(name)
        .prefix(prefix.parse().unwrap())
        .ports(1024..=1279)
}
