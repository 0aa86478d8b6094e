//! Pools as the NAT function knows them, and as the engine is told of them.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;
use natshard::{PoolConfig, Protocol};

/// Ports or addresses of a pool that are not given out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Exclusion {
    /// Where; `None` is everywhere in the pool.
    pub(crate) net: Option<IpNet>,
    /// Which TCP and UDP ports; `None` is all of the address, ICMP identifiers as well.
    pub(crate) ports: Option<RangeInclusive<u16>>,
}

/// A named set of public prefixes with port ranges, in one realm.
///
/// The same description serves the function, which must know its public addresses when it meets
/// one, and the allocator: [`to_engine`](Self::to_engine) for the engine, the pool itself for the
/// reference implementation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NatPool {
    pub(crate) name: String,
    pub(crate) realm: String,
    pub(crate) prefixes: Vec<IpNet>,
    pub(crate) ports: RangeInclusive<u16>,
    pub(crate) identifiers: RangeInclusive<u16>,
    pub(crate) exclusions: Vec<Exclusion>,
    pub(crate) reuse_closed: bool,
    pub(crate) preopen: usize,
}

impl NatPool {
    /// A pool without prefixes yet, in the realm `default`, with TCP and UDP ports 1024 to 65535
    /// and all ICMP identifiers.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        NatPool {
            name: name.into(),
            realm: "default".into(),
            prefixes: Vec::new(),
            ports: 1024..=65535,
            identifiers: 0..=65535,
            exclusions: Vec::new(),
            reuse_closed: false,
            preopen: 0,
        }
    }

    /// The realm in which the pool's tuples are unique.
    #[must_use]
    pub fn realm(mut self, realm: impl Into<String>) -> Self {
        self.realm = realm.into();
        self
    }

    /// Adds the addresses of a prefix.
    #[must_use]
    pub fn prefix(mut self, prefix: IpNet) -> Self {
        self.prefixes.push(prefix);
        self
    }

    /// The TCP and UDP ports given out. Well-known ones are given out if this range holds them.
    #[must_use]
    pub fn ports(mut self, ports: RangeInclusive<u16>) -> Self {
        self.ports = ports;
        self
    }

    /// The ICMP identifiers given out.
    #[must_use]
    pub fn identifiers(mut self, identifiers: RangeInclusive<u16>) -> Self {
        self.identifiers = identifiers;
        self
    }

    /// Keeps TCP and UDP ports of one address from being given out.
    #[must_use]
    pub fn exclude(mut self, address: IpAddr, ports: RangeInclusive<u16>) -> Self {
        self.exclusions.push(Exclusion {
            net: Some(address.into()),
            ports: Some(ports),
        });
        self
    }

    /// Keeps TCP and UDP ports of every address from being given out.
    #[must_use]
    pub fn exclude_ports(mut self, ports: RangeInclusive<u16>) -> Self {
        self.exclusions.push(Exclusion {
            net: None,
            ports: Some(ports),
        });
        self
    }

    /// Keeps whole addresses from being given out, in every protocol.
    #[must_use]
    pub fn exclude_addresses(mut self, net: IpNet) -> Self {
        self.exclusions.push(Exclusion {
            net: Some(net),
            ports: None,
        });
        self
    }

    /// Lets the port of a TCP connection that was seen to close be leased again without a rest
    /// (RFC 6888 REQ-8 A).
    #[must_use]
    pub fn reuse_closed(mut self, yes: bool) -> Self {
        self.reuse_closed = yes;
        self
    }

    /// Opens so many addresses ahead of traffic.
    #[must_use]
    pub fn preopen(mut self, addresses: usize) -> Self {
        self.preopen = addresses;
        self
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
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
    pub fn range(&self, protocol: Protocol) -> &RangeInclusive<u16> {
        match protocol {
            Protocol::Tcp | Protocol::Udp => &self.ports,
            Protocol::Icmp => &self.identifiers,
        }
    }

    /// Whether the address is one of the pool's.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.prefixes.iter().any(|prefix| prefix.contains(&address))
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

    /// The same pool for `natshard::EngineConfig::pool`.
    #[must_use]
    pub fn to_engine(&self) -> PoolConfig {
        let mut pool = PoolConfig::new(&self.name)
            .realm(&self.realm)
            .ports(self.ports.clone())
            .identifiers(self.identifiers.clone())
            .reuse_closed(self.reuse_closed)
            .preopen(self.preopen);
        for prefix in &self.prefixes {
            pool = pool.prefix(*prefix);
        }
        for exclusion in &self.exclusions {
            pool = match (exclusion.net, exclusion.ports.clone()) {
                (Some(net), None) => pool.exclude_addresses(net),
                // The engine excludes port ranges by address, so a net is one only if it is a host.
                (Some(net), Some(ports)) => pool.exclude(net.addr(), ports),
                (None, Some(ports)) => pool.exclude_ports(ports),
                (None, None) => pool,
            };
        }
        pool
    }
}
