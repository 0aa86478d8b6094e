//! One peering: which private prefixes of one VPC are translated towards another, and how.

use ipnet::IpNet;
use natshard::Protocol;

use super::behaviour::Behaviour;
use crate::tuple::VpcId;

/// Which pools serve the sources in a private prefix.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceRule {
    pub(crate) private: IpNet,
    pub(crate) protocols: Option<Vec<Protocol>>,
    pub(crate) pool: String,
    pub(crate) privileged_pool: Option<String>,
    pub(crate) share: Share,
}

/// Which part of a pool's blocks sources may take from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Share {
    /// The tenant whose share of the pool is asked for; without one, what is nobody's.
    pub tenant: Option<u32>,
    /// Whether the pool's headroom may be used: for control traffic.
    pub control: bool,
}

impl SourceRule {
    /// Sources in `private` are translated to a tuple of the pool of that name.
    #[must_use]
    pub fn new(private: IpNet, pool: impl Into<String>) -> Self {
        SourceRule {
            private,
            protocols: None,
            pool: pool.into(),
            privileged_pool: None,
            share: Share::default(),
        }
    }

    /// Only this protocol, and others named in further calls; all of them without any.
    #[must_use]
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocols.get_or_insert_default().push(protocol);
        self
    }

    /// TCP and UDP sources with a port below 1024 are served from this pool first, whose range
    /// should be a part of 1 to 1023: they stay in their class (RFC 4787 REQ-3 a).
    #[must_use]
    pub fn privileged_pool(mut self, pool: impl Into<String>) -> Self {
        self.privileged_pool = Some(pool.into());
        self
    }

    /// The sources are that tenant's: they get its share of the pool
    /// ([`PoolConfig::tenant`](natshard::PoolConfig::tenant)).
    #[must_use]
    pub const fn tenant(mut self, tenant: u32) -> Self {
        self.share.tenant = Some(tenant);
        self
    }

    /// The sources are control traffic: they may use the headroom of the pool
    /// ([`PoolConfig::headroom`](natshard::PoolConfig::headroom)).
    #[must_use]
    pub const fn control(mut self, yes: bool) -> Self {
        self.share.control = yes;
        self
    }
}

/// A static translation of destinations: addresses of `outer`, which the inside uses, become the
/// addresses of `inner` with the same host part. Ports stay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DestinationRule {
    pub(crate) outer: IpNet,
    pub(crate) inner: IpNet,
}

impl DestinationRule {
    /// Both prefixes must be of one family and length.
    #[must_use]
    pub const fn new(outer: IpNet, inner: IpNet) -> Self {
        DestinationRule { outer, inner }
    }
}

/// A peering of two VPCs, seen from the one whose addresses are private.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peering {
    pub(crate) name: String,
    pub(crate) inside: VpcId,
    pub(crate) outside: VpcId,
    pub(crate) remotes: Vec<IpNet>,
    pub(crate) sources: Vec<SourceRule>,
    pub(crate) destinations: Vec<DestinationRule>,
    pub(crate) behaviour: Behaviour,
}

impl Peering {
    /// A peering that translates nothing yet and leads everywhere.
    #[must_use]
    pub fn new(name: impl Into<String>, inside: VpcId, outside: VpcId) -> Self {
        Peering {
            name: name.into(),
            inside,
            outside,
            remotes: Vec::new(),
            sources: Vec::new(),
            destinations: Vec::new(),
            behaviour: Behaviour::default(),
        }
    }

    /// A prefix that this peering leads to; all addresses without any. Where a destination lies
    /// in several prefixes of a VPC's peerings the longest decides, and a private prefix of the
    /// VPC itself that is longer still makes the packet local.
    #[must_use]
    pub fn remote(mut self, prefix: IpNet) -> Self {
        self.remotes.push(prefix);
        self
    }

    /// Adds a rule for sources; the longest prefix that holds one for the packet's protocol wins.
    #[must_use]
    pub fn source(mut self, rule: SourceRule) -> Self {
        self.sources.push(rule);
        self
    }

    /// Adds a rule for destinations; the longest prefix wins.
    #[must_use]
    pub fn destination(mut self, rule: DestinationRule) -> Self {
        self.destinations.push(rule);
        self
    }

    /// How it translates.
    #[must_use]
    pub fn behaviour(mut self, behaviour: Behaviour) -> Self {
        self.behaviour = behaviour;
        self
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The VPC whose addresses are private.
    #[must_use]
    pub const fn inside_vpc(&self) -> VpcId {
        self.inside
    }

    /// The VPC they are translated towards.
    #[must_use]
    pub const fn outside_vpc(&self) -> VpcId {
        self.outside
    }

    /// How it translates.
    #[must_use]
    pub const fn behaviour_ref(&self) -> &Behaviour {
        &self.behaviour
    }
}
