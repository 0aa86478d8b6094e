//! A pool as a log describes it: enough to compute its deterministic ranges.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;
use natshard::{Deterministic, DeterministicMap, PoolConfig, Protocol, SubscriberLimit};
use natshard_nat::{InsidePrefixes, NatPool, Numbering, SubscriberName};
use serde::{Deserialize, Serialize};

/// A pool.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub(crate) struct LoggedPool {
    /// Its name.
    pub(crate) name: String,
    /// The realm its tuples are unique in.
    pub(crate) realm: String,
    /// Its addresses.
    pub(crate) prefixes: Vec<IpNet>,
    /// TCP and UDP ports, first and last.
    pub(crate) ports: (u16, u16),
    /// ICMP identifiers, first and last.
    pub(crate) identifiers: (u16, u16),
    /// Addresses that are not given out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) excluded_addresses: Vec<IpNet>,
    /// How many ports a subscriber's port block has; none without port blocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) port_block_size: Option<u16>,
    /// The parameters of its computation, if it is deterministic (RFC 7422).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) deterministic: Option<LoggedDeterministic>,
    /// How much a subscriber may hold, if that is limited (M of RFC 7422).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) subscriber_limit: Option<LoggedLimit>,
}

/// The most ports of a subscriber, those that rest included.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub(crate) struct LoggedLimit {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tcp: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    udp: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    icmp: Option<u16>,
    /// Of all together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    total: Option<u32>,
}

impl LoggedLimit {
    fn of(limit: &SubscriberLimit) -> Option<Self> {
        let logged = LoggedLimit {
            tcp: limit.of(Protocol::Tcp),
            udp: limit.of(Protocol::Udp),
            icmp: limit.of(Protocol::Icmp),
            total: limit.of_all(),
        };
        (*limit != SubscriberLimit::new()).then_some(logged)
    }
}

/// Parameters of deterministic ranges.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub(crate) struct LoggedDeterministic {
    /// How many subscribers.
    pub(crate) subscribers: u64,
    /// How many ports each.
    pub(crate) ports: u16,
    /// The inside prefixes whose hosts they are, in order; none where they are mere numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) inside: Vec<IpNet>,
}

impl LoggedPool {
    /// A pool as the NAT is configured with it.
    pub(crate) fn of(pool: &NatPool) -> Self {
        let bounds = |protocol| {
            let range = pool.range(protocol);
            (*range.start(), *range.end())
        };
        let policies = pool.policies();
        LoggedPool {
            name: pool.name().into(),
            realm: pool.realm_name().into(),
            prefixes: pool.prefixes().to_vec(),
            ports: bounds(Protocol::Tcp),
            identifiers: bounds(Protocol::Icmp),
            excluded_addresses: pool.as_engine().excluded_addresses().collect(),
            port_block_size: policies.port_blocks.map(|it| it.size()),
            deterministic: policies.deterministic.map(|it| LoggedDeterministic {
                subscribers: it.subscribers(),
                ports: it.ports(),
                inside: match pool.numbering() {
                    Numbering::Inside(inside) => inside.prefixes().to_vec(),
                    Numbering::Hosts { .. } => Vec::new(),
                },
            }),
            subscriber_limit: LoggedLimit::of(&policies.limit),
        }
    }

    /// The ranges of its subscribers, if it is deterministic.
    pub(crate) fn deterministic_map(&self) -> Option<DeterministicMap> {
        let mode = self.deterministic.as_ref()?;
        let range = |(first, last): (u16, u16)| -> RangeInclusive<u16> { first..=last };
        let mut pool = PoolConfig::new(&self.name)
            .ports(range(self.ports))
            .identifiers(range(self.identifiers))
            .deterministic(Deterministic::new(mode.subscribers, mode.ports));
        for prefix in &self.prefixes {
            pool = pool.prefix(*prefix);
        }
        for net in &self.excluded_addresses {
            pool = pool.exclude_addresses(*net);
        }
        pool.deterministic_map()
    }

    /// Whether an address is one of the pool's.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        self.prefixes.iter().any(|it| it.contains(&address))
            && !self
                .excluded_addresses
                .iter()
                .any(|it| it.contains(&address))
    }

    fn inside(&self) -> InsidePrefixes {
        let prefixes = self.deterministic.iter().flat_map(|it| &it.inside);
        prefixes.copied().collect()
    }

    /// What a subscriber of that index is called.
    pub(crate) fn subscriber(&self, index: u64) -> String {
        let name = self.inside().name(index);
        name.map_or_else(|| index.to_string(), |it| it.to_string())
    }

    /// The index of a subscriber by an address of it, by its prefix, or by the index itself.
    pub(crate) fn index(&self, subscriber: &str) -> Option<u64> {
        if let Ok(index) = subscriber.parse() {
            return Some(index);
        }
        let address = match subscriber.parse::<IpAddr>() {
            Ok(address) => address,
            Err(_) => subscriber.parse::<SubscriberName>().ok()?.first_address(),
        };
        self.inside().number(address)
    }

    /// Whether it gives out that port or identifier.
    pub(crate) fn gives(&self, protocol: Protocol, port: u16) -> bool {
        let (first, last) = match protocol {
            Protocol::Tcp | Protocol::Udp => self.ports,
            Protocol::Icmp => self.identifiers,
        };
        (first..=last).contains(&port)
    }
}
