//! What an engine is made of.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use ipnet::IpNet;

use crate::event::EventConfig;
use crate::fair::{Deterministic, PortBlocks, SubscriberLimit, TenantShare, Threshold};
use crate::request::Strictness;

/// The order in which the ports of a block are given out.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum PortOrder {
    /// Shuffled by a keyed cipher stream (RFC 6056; I10).
    #[default]
    Random,
    /// The same, out of many blocks at once: the next port is any of about four thousand, where the
    /// pool has so many left. A lease costs some ten times as much, and each shard has up to 64
    /// blocks in hand for each kind of request (which come back when others ask). A request that
    /// names an address, and so any of a subscriber that is paired with one, is served from one
    /// block at a time all the same.
    Hardened,
    /// Ascending: the next port is easily guessed. For tests and closed networks.
    Linear,
}

/// One port exclusion of a pool.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Exclusion {
    /// The addresses it holds for; `None` is all of the pool.
    pub(crate) net: Option<IpNet>,
    /// The TCP and UDP ports; `None` is the whole address, ICMP identifiers as well.
    pub(crate) ports: Option<RangeInclusive<u16>>,
}

/// A named set of public prefixes with a port range, exclusions and policies, in one realm.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PoolConfig {
    pub(crate) name: String,
    pub(crate) realm: String,
    pub(crate) prefixes: Vec<IpNet>,
    pub(crate) ports: RangeInclusive<u16>,
    pub(crate) identifiers: RangeInclusive<u16>,
    pub(crate) exclusions: Vec<Exclusion>,
    pub(crate) reuse_closed: bool,
    pub(crate) preopen: usize,
    pub(crate) limit: SubscriberLimit,
    pub(crate) port_blocks: Option<PortBlocks>,
    pub(crate) pairing: Option<Strictness>,
    pub(crate) deterministic: Option<Deterministic>,
    pub(crate) tenants: Vec<TenantShare>,
    pub(crate) headroom: u32,
    pub(crate) threshold: Option<Threshold>,
}

impl PoolConfig {
    /// A pool without prefixes yet, in the realm `default`, with ports 1024 to 65535 and all
    /// ICMP identifiers.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        PoolConfig {
            name: name.into(),
            realm: "default".into(),
            prefixes: Vec::new(),
            ports: 1024..=65535,
            identifiers: 0..=65535,
            exclusions: Vec::new(),
            reuse_closed: false,
            preopen: 0,
            limit: SubscriberLimit::default(),
            port_blocks: None,
            pairing: None,
            deterministic: None,
            tenants: Vec::new(),
            headroom: 0,
            threshold: None,
        }
    }

    /// The realm (RFC 2663) in which the pool's tuples are unique.
    #[must_use]
    pub fn realm(mut self, realm: impl Into<String>) -> Self {
        self.realm = realm.into();
        self
    }

    /// Adds the addresses of a prefix, the first 2^32 of them where there are more.
    #[must_use]
    pub fn prefix(mut self, prefix: IpNet) -> Self {
        self.prefixes.push(prefix);
        self
    }

    /// The TCP and UDP ports given out.
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

    /// Keeps TCP and UDP ports of one address from being given out, for port forwarding say.
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

    /// Lets a port released with [`Reason::Closed`](crate::Reason::Closed) be leased again
    /// without a rest (RFC 6888 REQ-8 A). Off by default.
    #[must_use]
    pub fn reuse_closed(mut self, yes: bool) -> Self {
        self.reuse_closed = yes;
        self
    }

    /// Opens so many addresses ahead of traffic, in every protocol.
    #[must_use]
    pub fn preopen(mut self, addresses: usize) -> Self {
        self.preopen = addresses;
        self
    }

    /// How many ports one subscriber may hold; resting ones count (RFC 6888 REQ-4, REQ-8).
    /// Unlimited by default.
    #[must_use]
    pub fn subscriber_limit(mut self, limit: SubscriberLimit) -> Self {
        self.limit = limit;
        self
    }

    /// Gives each subscriber port blocks of its own (RFC 6888 REQ-13, REQ-14): a record per block
    /// is log enough. Requests must then name a subscriber. The pool must not overlap another.
    #[must_use]
    pub fn port_blocks(mut self, blocks: PortBlocks) -> Self {
        self.port_blocks = Some(blocks);
        self
    }

    /// Pairs each subscriber with one public address across TCP, UDP and ICMP for as long as it
    /// holds a port (RFC 6888 REQ-2, RFC 4787 REQ-2): strict refuses with `AddressFull` when the
    /// address has no port left, preferred falls back to the pool and counts that.
    #[must_use]
    pub fn pairing(mut self, strictness: Strictness) -> Self {
        self.pairing = Some(strictness);
        self
    }

    /// Computes each subscriber's address and port range (RFC 7422). Requests must then name a
    /// subscriber by its index. The pool must not overlap another.
    #[must_use]
    pub fn deterministic(mut self, mode: Deterministic) -> Self {
        self.deterministic = Some(mode);
        self
    }

    /// Adds a tenant with a guaranteed minimum and a maximum. The pool must not overlap another.
    #[must_use]
    pub fn tenant(mut self, share: TenantShare) -> Self {
        self.tenants.push(share);
        self
    }

    /// Keeps so many blocks of each protocol for requests made with
    /// [`Request::control`](crate::Request::control). The pool must not overlap another.
    #[must_use]
    pub fn headroom(mut self, blocks: u32) -> Self {
        self.headroom = blocks;
        self
    }

    /// Has events tell when the pool becomes this full, and when it is no longer. The pool must
    /// not overlap another.
    #[must_use]
    pub fn threshold(mut self, threshold: Threshold) -> Self {
        self.threshold = Some(threshold);
        self
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Everything an engine is built from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EngineConfig {
    pub(crate) shards: usize,
    pub(crate) hold_down: Duration,
    pub(crate) pools: Vec<PoolConfig>,
    pub(crate) seed: Option<u64>,
    pub(crate) port_order: PortOrder,
    pub(crate) max_cooling: u64,
    pub(crate) events: EventConfig,
    pub(crate) max_subscribers: u32,
}

impl EngineConfig {
    /// The most shards an engine can have.
    pub const MAX_SHARDS: usize = 128;

    /// An engine of so many shards (1 to [`MAX_SHARDS`](Self::MAX_SHARDS)) and no pool yet, with
    /// a hold-down of 120 s.
    #[must_use]
    pub fn new(shards: usize) -> Self {
        EngineConfig {
            shards,
            hold_down: Duration::from_secs(120),
            pools: Vec::new(),
            seed: None,
            port_order: PortOrder::default(),
            max_cooling: u64::MAX,
            events: EventConfig::default(),
            max_subscribers: 1 << 22,
        }
    }

    /// How long a released port rests before it is leased again (RFC 6888 REQ-8); zero turns
    /// resting off. Milliseconds count, finer parts round up.
    #[must_use]
    pub fn hold_down(mut self, rest: Duration) -> Self {
        self.hold_down = rest;
        self
    }

    /// Adds a pool.
    #[must_use]
    pub fn pool(mut self, pool: PoolConfig) -> Self {
        self.pools.push(pool);
        self
    }

    /// Makes port and block order reproducible, hence predictable: for simulation and tests.
    /// Without it they are keyed by the operating system.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The order of ports inside a block.
    #[must_use]
    pub fn port_order(mut self, order: PortOrder) -> Self {
        self.port_order = order;
        self
    }

    /// How many ports may cool at once; past that the longest-rested are served before their
    /// hold-down is over, and counted in `Stats::served_early`. Unlimited by default.
    #[must_use]
    pub fn max_cooling(mut self, ports: u64) -> Self {
        self.max_cooling = ports;
        self
    }

    /// Which events are told, and how many each shard can hold back until they are drained. None
    /// by default.
    #[must_use]
    pub fn events(mut self, events: EventConfig) -> Self {
        self.events = events;
        self
    }

    /// Of how many subscribers books can be kept, those without a port included; 4,194,304 by
    /// default. Further ones are refused with `SubscribersFull`. At most 64 bytes each, and only
    /// once they are met.
    #[must_use]
    pub fn max_subscribers(mut self, subscribers: u32) -> Self {
        self.max_subscribers = subscribers;
        self
    }
}
