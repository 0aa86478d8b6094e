//! The way back: which deterministic range a subscriber has.

use std::net::IpAddr;

use natshard::Protocol;

use crate::events::LoggedPool;

/// A range of a subscriber.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Range {
    pub(super) subscriber: String,
    pub(super) pool: String,
    pub(super) protocol: Protocol,
    pub(super) address: IpAddr,
    pub(super) ports: (u16, u16),
    /// The configuration or log it was computed from.
    pub(super) source: String,
}

/// The ranges of a subscriber in these pools.
pub(super) fn ranges<'a>(
    subscriber: &str,
    protocol: Option<Protocol>,
    source: &str,
    pools: impl IntoIterator<Item = &'a LoggedPool>,
) -> Vec<Range> {
    let mut found = Vec::new();
    for pool in pools {
        let (Some(map), Some(index)) = (pool.deterministic_map(), pool.index(subscriber)) else {
            continue;
        };
        for of in Protocol::ALL {
            if protocol.is_some_and(|it| it != of) {
                continue;
            }
            if let Some((address, ports)) = map.range(index, of) {
                found.push(Range {
                    subscriber: pool.subscriber(index),
                    pool: pool.name.clone(),
                    protocol: of,
                    address,
                    ports: (*ports.start(), *ports.end()),
                    source: source.into(),
                });
            }
        }
    }
    found
}
