//! Pools as the NAT function knows them, and as the engine is told of them.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;
use natshard::{
    Deterministic, PoolConfig, PoolPolicies, PortBlocks, Protocol, Strictness, SubscriberLimit,
    TenantShare, Threshold,
};

use super::inside::InsidePrefixes;
use super::subscriber::{Numbering, Subscriber};
use crate::tuple::VpcId;

/// A named set of public prefixes with port ranges and policies, in one realm: an engine's
/// [`PoolConfig`], and who its subscribers are.
///
/// The same description serves the function, which must know its public addresses when it meets
/// one, and the allocator: [`to_engine`](Self::to_engine) for the engine, the pool itself for the
/// reference implementation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NatPool {
    engine: PoolConfig,
    numbering: Numbering,
}

/// Builder methods that are those of [`PoolConfig`], name by name.
macro_rules! as_in_the_engine {
    ($($name:ident($($argument:ident: $type:ty),+);)+) => {
        impl NatPool {
            $(
                #[doc = concat!("[`PoolConfig::", stringify!($name), "`].")]
                #[must_use]
                pub fn $name(mut self, $($argument: $type),+) -> Self {
                    self.engine = self.engine.$name($($argument),+);
                    self
                }
            )+
        }
    };
}

as_in_the_engine! {
    realm(realm: impl Into<String>);
    prefix(prefix: IpNet);
    ports(ports: RangeInclusive<u16>);
    identifiers(identifiers: RangeInclusive<u16>);
    exclude(address: IpAddr, ports: RangeInclusive<u16>);
    exclude_ports(ports: RangeInclusive<u16>);
    exclude_addresses(net: IpNet);
    reuse_closed(yes: bool);
    preopen(addresses: usize);
    subscriber_limit(limit: SubscriberLimit);
    port_blocks(blocks: PortBlocks);
    pairing(strictness: Strictness);
    tenant(share: TenantShare);
    headroom(blocks: u32);
    threshold(threshold: Threshold);
}

impl NatPool {
    /// A pool without prefixes yet, in the realm `default`, with TCP and UDP ports 1024 to 65535
    /// and all ICMP identifiers.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        PoolConfig::new(name).into()
    }

    /// Computes the address and the ports of each subscriber (RFC 7422): so many ports of each
    /// protocol for every IPv4 address, and every /64 of IPv6, of these inside prefixes, in order.
    /// Other hosts are refused.
    #[must_use]
    pub fn deterministic(mut self, inside: impl IntoIterator<Item = IpNet>, ports: u16) -> Self {
        let inside = InsidePrefixes::new(inside);
        let mode = Deterministic::new(inside.subscribers(), ports);
        self.engine = self.engine.deterministic(mode);
        self.numbering = Numbering::Inside(inside);
        self
    }

    /// How many bits (1 to 64) of an inside IPv6 address tell one subscriber from another
    /// (RFC 8512 `subscriber-mask-v6`); 64 by default. A host that is delegated a shorter prefix
    /// has many of 64 bits, and as many times the limits. Nothing to deterministic pools.
    #[must_use]
    pub fn subscriber_mask_v6(mut self, bits: u8) -> Self {
        if let Numbering::Hosts { mask_v6 } = &mut self.numbering {
            *mask_v6 = bits;
        }
        self
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.engine.name()
    }

    /// The name of the realm.
    #[must_use]
    pub fn realm_name(&self) -> &str {
        self.engine.realm_name()
    }

    /// The prefixes.
    #[must_use]
    pub fn prefixes(&self) -> &[IpNet] {
        self.engine.prefixes()
    }

    /// The ports, or for ICMP the identifiers, that the pool gives out.
    #[must_use]
    pub fn range(&self, protocol: Protocol) -> &RangeInclusive<u16> {
        self.engine.range(protocol)
    }

    /// Whether the address is one of the pool's.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.engine.contains(address)
    }

    /// Whether the pool gives out this tuple.
    #[must_use]
    pub fn gives(&self, protocol: Protocol, address: IpAddr, port: u16) -> bool {
        self.engine.gives(protocol, address, port)
    }

    /// The addresses that are not given out in any protocol.
    pub fn excluded_addresses(&self) -> impl Iterator<Item = IpNet> {
        self.engine.excluded_addresses()
    }

    /// What the pool grants to subscribers and tenants.
    #[must_use]
    pub fn policies(&self) -> PoolPolicies<'_> {
        self.engine.policies()
    }

    /// How its subscribers are numbered.
    #[must_use]
    pub const fn numbering(&self) -> &Numbering {
        &self.numbering
    }

    /// The subscriber that an inside host is, where the pool keeps books of them and has this one.
    #[must_use]
    pub fn subscriber(&self, vpc: VpcId, host: IpAddr) -> Option<Subscriber> {
        match self.policies().keeps_subscribers() {
            true => self.numbering.subscriber(vpc, host),
            false => None,
        }
    }

    /// Whether the pool itself pairs a subscriber with an address, by pairing or by computation.
    pub(crate) fn pairs(&self) -> bool {
        let policies = self.policies();
        policies.pairing.is_some() || policies.deterministic.is_some()
    }

    /// The pool as the engine has it.
    #[must_use]
    pub const fn as_engine(&self) -> &PoolConfig {
        &self.engine
    }

    /// The same pool for `natshard::EngineConfig::pool`.
    #[must_use]
    pub fn to_engine(&self) -> PoolConfig {
        self.engine.clone()
    }
}

/// The subscribers of a pool made so are its inside hosts; one with deterministic ranges needs
/// [`NatPool::deterministic`], which says whose they are.
impl From<PoolConfig> for NatPool {
    fn from(engine: PoolConfig) -> Self {
        NatPool {
            engine,
            numbering: Numbering::default(),
        }
    }
}
