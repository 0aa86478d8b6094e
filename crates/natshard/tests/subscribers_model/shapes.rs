//! The pools that histories are of.

use natshard::{Deterministic, PoolConfig, PortBlocks, Protocol, Strictness, SubscriberLimit};

pub(crate) fn base(addresses: &[&str]) -> PoolConfig {
    let pool = PoolConfig::new("pool")
        .ports(1024..=1535)
        .identifiers(0..=255);
    let prefixes = addresses.iter().map(|prefix| prefix.parse().unwrap());
    prefixes.fold(pool, PoolConfig::prefix)
}

pub(crate) const BOTH: [&str; 1] = ["192.0.2.0/31"];
pub(crate) const HALF: [&str; 1] = ["192.0.2.1/32"];
pub(crate) const MORE: [&str; 2] = ["192.0.2.0/31", "2001:db8::/128"];

pub(crate) fn limit(tcp: u16, total: u32) -> SubscriberLimit {
    SubscriberLimit::new()
        .ports(Protocol::Tcp, tcp)
        .total(total)
}

/// The shapes of one kind of pool; a history stays within its kind.
pub(crate) fn shapes(kind: usize) -> Vec<PoolConfig> {
    let blocks = |size, most| PortBlocks::new(size).per_subscriber(most);
    match kind {
        // Limits and pairing.
        0 => vec![
            base(&BOTH).subscriber_limit(limit(300, 400)),
            base(&BOTH).pairing(Strictness::Strict),
            base(&BOTH)
                .pairing(Strictness::Preferred)
                .subscriber_limit(limit(600, 700)),
            base(&HALF).pairing(Strictness::Strict),
            base(&MORE)
                .pairing(Strictness::Strict)
                .subscriber_limit(limit(5, 9)),
            base(&BOTH)
                .subscriber_limit(limit(0, 100))
                .exclude_ports(1100..=1300),
        ],
        // Port blocks.
        1 => vec![
            base(&BOTH).port_blocks(blocks(64, 4)),
            base(&BOTH).port_blocks(blocks(128, 3).of_protocol(Protocol::Udp, 1)),
            base(&BOTH).port_blocks(blocks(256, 2)),
            base(&BOTH)
                .port_blocks(blocks(64, 16))
                .subscriber_limit(limit(100, 200)),
            base(&HALF).port_blocks(blocks(64, 4)),
            base(&BOTH)
                .port_blocks(blocks(64, 6))
                .exclude_ports(1100..=1300),
            base(&MORE).port_blocks(blocks(128, 5)),
        ],
        // Port blocks and pairing.
        2 => vec![
            base(&BOTH)
                .port_blocks(blocks(64, 4))
                .pairing(Strictness::Strict),
            base(&BOTH)
                .port_blocks(blocks(128, 4))
                .pairing(Strictness::Preferred),
            base(&HALF)
                .port_blocks(blocks(64, 3))
                .pairing(Strictness::Strict),
            base(&MORE)
                .port_blocks(blocks(256, 9))
                .pairing(Strictness::Preferred),
            base(&BOTH)
                .port_blocks(blocks(64, 9))
                .pairing(Strictness::Strict)
                .subscriber_limit(limit(90, 200)),
        ],
        // Deterministic ranges.
        3 => vec![
            base(&BOTH).deterministic(Deterministic::new(5, 70)),
            base(&BOTH).deterministic(Deterministic::new(4, 100)),
            base(&MORE).deterministic(Deterministic::new(5, 50)),
            base(&BOTH)
                .deterministic(Deterministic::new(5, 70))
                .subscriber_limit(limit(40, 90)),
        ],
        // And overflow.
        _ => vec![
            base(&BOTH)
                .deterministic(Deterministic::new(5, 70))
                .port_blocks(blocks(64, 3)),
            base(&BOTH)
                .deterministic(Deterministic::new(5, 25))
                .port_blocks(blocks(128, 4)),
            base(&BOTH)
                .deterministic(Deterministic::new(5, 40))
                .port_blocks(blocks(64, 16))
                .pairing(Strictness::Strict),
            base(&BOTH)
                .deterministic(Deterministic::new(3, 80))
                .port_blocks(blocks(64, 2))
                .pairing(Strictness::Preferred),
        ],
    }
}
