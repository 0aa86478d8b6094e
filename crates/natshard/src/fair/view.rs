//! What a pool's configuration says, for those who work by it beside the engine: a NAT function, a
//! reference implementation, a reader of logs.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;

use super::{Deterministic, PortBlocks, SubscriberLimit, TenantShare, Threshold};
use crate::config::PoolConfig;
use crate::protocol::Protocol;
use crate::request::Strictness;

/// What a pool grants to subscribers and tenants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PoolPolicies<'a> {
    /// How many ports a subscriber may hold.
    pub limit: SubscriberLimit,
    /// The port blocks of subscribers' own.
    pub port_blocks: Option<PortBlocks>,
    /// Whether subscribers are paired with an address.
    pub pairing: Option<Strictness>,
    /// The deterministic ranges.
    pub deterministic: Option<Deterministic>,
    /// The tenants with a share.
    pub tenants: &'a [TenantShare],
    /// Blocks of each protocol kept for control traffic.
    pub headroom: u32,
    /// When events tell that the pool is nearly full.
    pub threshold: Option<Threshold>,
}

impl PoolPolicies<'_> {
    /// Whether books of subscribers are kept, so that requests should name theirs.
    #[must_use]
    pub fn keeps_subscribers(&self) -> bool {
        self.limit.is_any() || self.pairing.is_some() || self.needs_subscribers()
    }

    /// Whether requests that name no subscriber are refused.
    #[must_use]
    pub const fn needs_subscribers(&self) -> bool {
        self.port_blocks.is_some() || self.deterministic.is_some()
    }

    /// Whether blocks are shared out, so that requests should name their tenant.
    #[must_use]
    pub const fn keeps_tenants(&self) -> bool {
        !self.tenants.is_empty() || self.headroom > 0
    }
}

impl PoolConfig {
    /// What the pool grants to subscribers and tenants.
    #[must_use]
    pub fn policies(&self) -> PoolPolicies<'_> {
        PoolPolicies {
            limit: self.limit,
            port_blocks: self.port_blocks,
            pairing: self.pairing,
            deterministic: self.deterministic,
            tenants: &self.tenants,
            headroom: self.headroom,
            threshold: self.threshold,
        }
    }

    /// The name of the realm.
    #[must_use]
    pub fn realm_name(&self) -> &str {
        &self.realm
    }

    /// The prefixes.
    #[must_use]
    pub fn prefixes(&self) -> &[IpNet] {
        &self.prefixes
    }

    /// The ports, or for ICMP the identifiers, that the pool gives out.
    #[must_use]
    pub const fn range(&self, protocol: Protocol) -> &RangeInclusive<u16> {
        match protocol {
            Protocol::Tcp | Protocol::Udp => &self.ports,
            Protocol::Icmp => &self.identifiers,
        }
    }

    /// The addresses that are not given out in any protocol.
    pub fn excluded_addresses(&self) -> impl Iterator<Item = IpNet> {
        let whole = self.exclusions.iter().filter(|it| it.ports.is_none());
        whole.filter_map(|it| it.net)
    }

    /// Whether the address lies in one of the prefixes.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.prefixes.iter().any(|prefix| holds(prefix, address))
    }

    /// Whether the pool gives out this tuple.
    #[must_use]
    pub fn gives(&self, protocol: Protocol, address: IpAddr, port: u16) -> bool {
        self.contains(address)
            && self.range(protocol).contains(&port)
            && !self.exclusions.iter().any(|exclusion| {
                exclusion.net.is_none_or(|net| net.contains(&address))
                    && match &exclusion.ports {
                        None => true,
                        Some(ports) => protocol != Protocol::Icmp && ports.contains(&port),
                    }
            })
    }

    /// Whether ports of closed connections need not rest.
    #[must_use]
    pub const fn reuses_closed(&self) -> bool {
        self.reuse_closed
    }
}

impl SubscriberLimit {
    /// How many ports of this protocol a subscriber may hold, if that is limited.
    #[must_use]
    pub const fn of(&self, protocol: Protocol) -> Option<u16> {
        self.each[protocol.as_index()]
    }

    /// How many it may hold of all protocols together, if that is limited.
    #[must_use]
    pub const fn of_all(&self) -> Option<u32> {
        self.total
    }
}

impl PortBlocks {
    /// Ports of a port block.
    #[must_use]
    pub const fn size(&self) -> u16 {
        self.size
    }

    /// The most for each subscriber, all protocols together.
    #[must_use]
    pub const fn most(&self) -> u8 {
        self.total
    }

    /// The most of this protocol for each subscriber, if that is limited apart.
    #[must_use]
    pub const fn most_of(&self, protocol: Protocol) -> Option<u8> {
        self.each[protocol.as_index()]
    }
}

impl TenantShare {
    /// Whose.
    #[must_use]
    pub const fn id(&self) -> u32 {
        self.tenant
    }

    /// Blocks of each protocol that are guaranteed.
    #[must_use]
    pub const fn guaranteed(&self) -> u32 {
        self.minimum
    }

    /// The most blocks of each protocol; `u32::MAX` where there is no maximum.
    #[must_use]
    pub const fn most(&self) -> u32 {
        self.maximum
    }
}

impl Threshold {
    /// Raised at so many per cent.
    #[must_use]
    pub const fn raised_at(&self) -> u8 {
        self.raise
    }

    /// Cleared at so many per cent.
    #[must_use]
    pub const fn cleared_at(&self) -> u8 {
        self.clear
    }
}

impl Deterministic {
    /// How many subscribers.
    #[must_use]
    pub const fn subscribers(&self) -> u64 {
        self.subscribers
    }

    /// Ports of each.
    #[must_use]
    pub const fn ports(&self) -> u16 {
        self.ports
    }
}

/// Whether the address lies in the prefix; asked for every lease that a NAT is given.
#[inline]
fn holds(prefix: &IpNet, address: IpAddr) -> bool {
    match (prefix, address) {
        (IpNet::V4(prefix), IpAddr::V4(address)) => {
            let differing = prefix.addr().to_bits() ^ address.to_bits();
            differing.leading_zeros() >= u32::from(prefix.prefix_len())
        }
        (IpNet::V6(prefix), IpAddr::V6(address)) => {
            let differing = prefix.addr().to_bits() ^ address.to_bits();
            differing.leading_zeros() >= u32::from(prefix.prefix_len())
        }
        _ => false,
    }
}
