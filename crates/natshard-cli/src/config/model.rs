//! What a configuration says, every value with its place; not yet checked against each other.

use std::ops::RangeInclusive;
use std::time::Duration;

use ipnet::IpNet;
use natshard::{PortOrder, Protocol};
use natshard_nat::packet::HopLimit;
use natshard_nat::{Behaviour, Timeouts, Withdrawn};

use super::diagnostic::{At, Span};
use super::fair::{FairModel, ShareModel};

/// A whole file.
#[derive(Debug)]
pub(crate) struct Model {
    /// `[engine]`.
    pub(crate) engine: EngineModel,
    /// `[nat]`.
    pub(crate) nat: NatModel,
    /// `external-realms`, where given.
    pub(crate) realms: Option<Vec<At<String>>>,
    /// `[[external-ip-address-pool]]`.
    pub(crate) pools: Vec<PoolModel>,
    /// Whether there are pools, none of which could be understood.
    pub(crate) only_faulty_pools: bool,
    /// `[[vpc]]`.
    pub(crate) vpcs: Vec<VpcModel>,
    /// `[[peering]]`.
    pub(crate) peerings: Vec<PeeringModel>,
    /// `[timers]`, as far as it is about sessions.
    pub(crate) timeouts: Timeouts,
}

/// What the engine is told besides its pools.
#[derive(Debug)]
pub(crate) struct EngineModel {
    /// How many shards, where given.
    pub(crate) shards: Option<At<usize>>,
    /// The order of ports in a block.
    pub(crate) port_order: PortOrder,
    /// The seed of a reproducible run.
    pub(crate) seed: Option<u64>,
    /// How long a released port rests.
    pub(crate) hold_down: Duration,
    /// How many ports may rest at once.
    pub(crate) hold_down_max: Option<u64>,
    /// Of how many subscribers books can be kept.
    pub(crate) max_subscribers: Option<u32>,
}

/// What the NAT function is told besides its pools and peerings.
#[derive(Debug)]
pub(crate) struct NatModel {
    /// What becomes of the time to live.
    pub(crate) ttl: HopLimit,
    /// What becomes of sessions whose public tuple is withdrawn.
    pub(crate) withdrawn: Withdrawn,
    /// The most sessions of a shard.
    pub(crate) session_limit: Option<usize>,
    /// The most fragments held at once.
    pub(crate) fragments_limit: Option<usize>,
    /// How long a fragment is held.
    pub(crate) fragment_timeout: Option<Duration>,
}

/// A pool.
#[derive(Debug)]
pub(crate) struct PoolModel {
    /// Its header.
    pub(crate) span: Span,
    /// Its name.
    pub(crate) name: At<String>,
    /// Its realm, where given.
    pub(crate) realm: Option<At<String>>,
    /// Its prefixes.
    pub(crate) prefixes: Vec<At<IpNet>>,
    /// TCP and UDP ports, where given.
    pub(crate) ports: Option<At<RangeInclusive<u16>>>,
    /// ICMP identifiers.
    pub(crate) identifiers: RangeInclusive<u16>,
    /// What is not given out.
    pub(crate) exclusions: Vec<ExclusionModel>,
    /// Whether ports of closed TCP connections need not rest.
    pub(crate) reuse_closed: bool,
    /// How many addresses are opened ahead of traffic.
    pub(crate) preopen: usize,
    /// What it grants to subscribers and tenants.
    pub(crate) fair: FairModel,
    /// Whether its prefixes could be read, some of them at least.
    pub(crate) complete: bool,
}

impl PoolModel {
    /// Its realm.
    pub(crate) fn realm(&self) -> &str {
        self.realm
            .as_ref()
            .map_or("default", |it| it.value.as_str())
    }

    /// TCP and UDP ports given out.
    pub(crate) fn ports(&self) -> RangeInclusive<u16> {
        self.ports
            .as_ref()
            .map_or(1024..=65535, |it| it.value.clone())
    }
}

/// Addresses, ports, or ports of addresses that a pool does not give out.
#[derive(Debug)]
pub(crate) struct ExclusionModel {
    /// The addresses; all without.
    pub(crate) address: Option<At<IpNet>>,
    /// The TCP and UDP ports; the whole address without.
    pub(crate) ports: Option<At<RangeInclusive<u16>>>,
}

/// A VPC.
#[derive(Debug)]
pub(crate) struct VpcModel {
    /// Its name.
    pub(crate) name: At<String>,
    /// Its addresses.
    pub(crate) inside: Vec<At<IpNet>>,
}

/// Which pool serves which sources.
#[derive(Debug)]
pub(crate) struct SourceModel {
    /// All of it.
    pub(crate) span: Span,
    /// The private prefixes; those of the VPC without any.
    pub(crate) prefixes: Vec<At<IpNet>>,
    /// The pools, one per address family.
    pub(crate) pools: Vec<At<String>>,
    /// The protocols; all without any.
    pub(crate) protocols: Vec<At<Protocol>>,
    /// The pool of sources with a port below 1024.
    pub(crate) privileged: Option<At<String>>,
    /// Which part of the pools they may take from; what the peering says without.
    pub(crate) share: ShareModel,
}

/// A static translation of destinations.
#[derive(Debug)]
pub(crate) struct DestinationModel {
    /// What the inside uses.
    pub(crate) outer: At<IpNet>,
    /// What is behind it.
    pub(crate) inner: At<IpNet>,
}

/// A peering.
#[derive(Debug)]
pub(crate) struct PeeringModel {
    /// Its header.
    pub(crate) span: Span,
    /// Its name.
    pub(crate) name: At<String>,
    /// The VPC whose addresses are private.
    pub(crate) source_vpc: At<String>,
    /// The VPC it leads to.
    pub(crate) destination_vpc: At<String>,
    /// The prefixes it leads to; everywhere without any.
    pub(crate) remotes: Vec<At<IpNet>>,
    /// Who is served from where.
    pub(crate) sources: Vec<SourceModel>,
    /// Destinations translated.
    pub(crate) destinations: Vec<DestinationModel>,
    /// Which part of its pools it may take from.
    pub(crate) share: ShareModel,
    /// How it translates.
    pub(crate) behaviour: Behaviour,
}
