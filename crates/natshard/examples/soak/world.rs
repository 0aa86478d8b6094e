//! The pools of a round, and what they turn into while it runs.
//!
//! All of them lie in 203.0.113.0/28, realm `default`:
//!
//! ```text
//!   .0 - .7    `wide` and `narrow`, which overlap differently all the time
//!   .8 .9      `limited`: limits per subscriber, paired with an address
//!   .10 .11    `blocks`: port blocks of subscribers
//!   .12 .13    `shared`: tenants with guarantees and maxima, headroom
//!   .14 .15    `fleeting`: there only at times
//! ```

use std::time::Duration;

use natshard::{
    EngineConfig, PoolConfig, PortBlocks, Protocol, Strictness, SubscriberLimit, TenantShare,
};

pub const ADDRESSES: usize = 16;
pub const POOLS: [&str; 6] = ["wide", "narrow", "limited", "blocks", "shared", "fleeting"];
/// Ports of one address and protocol.
pub const PORTS: u16 = 1024;
const FIRST: u16 = 1024;
/// The most TCP or UDP ports a subscriber of `limited` may hold, resting ones included.
pub const LIMIT: u16 = 64;

fn pool(name: &str, prefix: &str) -> PoolConfig {
    let ports = FIRST..=FIRST + PORTS - 1;
    let base = PoolConfig::new(name)
        .ports(ports)
        .identifiers(0..=PORTS - 1);
    base.prefix(prefix.parse().unwrap())
}

/// The pools of that shape.
pub fn shape(shards: usize, hold_down: u64, number: u64) -> EngineConfig {
    let address = |last: u8| format!("203.0.113.{last}").parse().unwrap();
    let (wide, narrow) = match number % 5 {
        0 => (
            pool("wide", "203.0.113.0/29"),
            pool("narrow", "203.0.113.4/30"),
        ),
        1 => (
            pool("wide", "203.0.113.0/30"),
            pool("narrow", "203.0.113.0/29"),
        ),
        2 => (
            pool("wide", "203.0.113.0/29").ports(1024..=1700),
            pool("narrow", "203.0.113.0/29").ports(1500..=2047),
        ),
        3 => (
            pool("wide", "203.0.113.0/29").exclude(address(5), 1100..=1900),
            pool("narrow", "203.0.113.2/31"),
        ),
        _ => (
            pool("wide", "203.0.113.4/30"),
            pool("narrow", "203.0.113.0/30").exclude_ports(1024..=1100),
        ),
    };
    let limit = SubscriberLimit::new()
        .ports(Protocol::Tcp, LIMIT)
        .ports(Protocol::Udp, LIMIT - (number % 3) as u16);
    let limited = pool("limited", "203.0.113.8/31").subscriber_limit(limit);
    let limited = match number % 4 {
        0 => limited.pairing(Strictness::Strict),
        1 => limited.pairing(Strictness::Preferred),
        _ => limited,
    };
    let size = [64, 128, 256][number as usize % 3];
    let blocks = pool("blocks", "203.0.113.10/31").port_blocks(PortBlocks::new(size));
    let shared = pool("shared", "203.0.113.12/31")
        .tenant(TenantShare::new(1).minimum(2))
        .tenant(
            TenantShare::new(2)
                .minimum(1)
                .maximum(2 + (number % 3) as u32),
        )
        .headroom((number % 2) as u32);
    let config = EngineConfig::new(shards)
        .hold_down(Duration::from_millis(hold_down))
        .pool(wide)
        .pool(narrow)
        .pool(limited)
        .pool(blocks)
        .pool(shared);
    match number % 3 {
        0 => config.pool(pool("fleeting", "203.0.113.14/31")),
        _ => config,
    }
}

/// One pool of everything, to see that everything is there.
pub fn whole(shards: usize, hold_down: u64) -> EngineConfig {
    EngineConfig::new(shards)
        .hold_down(Duration::from_millis(hold_down))
        .pool(pool("whole", "203.0.113.0/28"))
}
