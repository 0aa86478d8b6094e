//! Configuration snapshots: pools, peerings, and the tables a packet is looked up in.

mod behaviour;
mod build;
mod fair;
mod fault;
mod inside;
mod lifetimes;
mod lookup;
mod peering;
mod pool;
mod store;
mod subscriber;
mod timeouts;
mod way;

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use natshard::Protocol;

pub use behaviour::{Behaviour, Filtering, Mapping, Pooling, PortPolicy, TcpPickup};
pub use build::NatConfigBuilder;
pub use fault::{NatConfigError, NatConfigFault};
pub use inside::InsidePrefixes;
pub(crate) use lifetimes::Lifetimes;
pub use peering::{DestinationRule, Peering, Share, SourceRule};
pub use pool::NatPool;
pub(crate) use store::ConfigCache;
pub use store::ConfigStore;
pub use subscriber::{Numbering, Subscriber, SubscriberName, SubscriberNameError};
pub use timeouts::Timeouts;
pub(crate) use way::Way;

use self::lookup::{ByVpc, Longest, Sorted};
use crate::packet::HopLimit;
use crate::tuple::{NatTuple, VpcId};

/// A pool of one configuration snapshot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PoolIndex(u16);

impl PoolIndex {
    /// The position in [`NatConfig::pools`].
    #[must_use]
    pub const fn as_index(self) -> usize {
        self.0 as usize
    }
}

/// A peering of one configuration snapshot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PeeringIndex(u32);

impl PeeringIndex {
    /// The position in [`NatConfig::peerings`].
    #[must_use]
    pub const fn as_index(self) -> usize {
        self.0 as usize
    }
}

/// What becomes of sessions whose public tuple the current configuration no longer gives to their
/// inside endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Withdrawn {
    /// They go on until they end by themselves or time out; no new session joins their mapping.
    #[default]
    Drain,
    /// They end; the next packet from inside makes a new session by the new configuration.
    End,
}

/// How much is kept of datagrams whose fragment with the ports has not come yet, and for how long
/// the translation of a first fragment is remembered.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FragmentLimits {
    /// Datagrams remembered at once.
    pub datagrams: usize,
    /// Frames held at once.
    pub held_frames: usize,
    /// Bytes of frames held at once.
    pub held_bytes: usize,
    /// How long a datagram is remembered from its first sight, and so the longest hold.
    pub timeout: Duration,
}

impl Default for FragmentLimits {
    /// 4096 datagrams, 1024 frames, 4 MiB, 15 s.
    fn default() -> Self {
        FragmentLimits {
            datagrams: 4096,
            held_frames: 1024,
            held_bytes: 4 << 20,
            timeout: Duration::from_secs(15),
        }
    }
}

/// Where a destination lies, seen from a VPC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Route {
    /// Through this peering.
    Peering(PeeringIndex),
    /// In the VPC itself: one of its private prefixes.
    Local,
}

/// The pools that serve one source.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct SourcePools {
    pool: PoolIndex,
    privileged: Option<PoolIndex>,
    share: Share,
}

/// What the peering of a tuple's VPC pair says about it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Selection {
    /// The pool a source target is leased from; `None` leaves the source as it is.
    pub source: Option<PoolIndex>,
    /// A pool to try before that one, for a source port below 1024.
    pub privileged: Option<PoolIndex>,
    /// Which part of those pools the source may take from.
    pub share: Share,
    /// What the destination address becomes; `None` leaves it as it is.
    pub destination: Option<IpAddr>,
}

impl Selection {
    /// Whether neither direction is translated.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.source.is_none() && self.destination.is_none()
    }
}

/// A peering with its lookup tables.
#[derive(Clone, Debug)]
pub(crate) struct PeeringTable {
    peering: Peering,
    sources: [Longest<SourcePools>; Protocol::ALL.len()],
    /// Outer and inner prefix of the rule for an outer address.
    destinations: Longest<(IpNet, IpNet)>,
    /// Inner and outer prefix of the rule for an inner address.
    outers: Longest<(IpNet, IpNet)>,
}

/// An immutable configuration of the NAT function.
#[derive(Clone, Debug)]
pub struct NatConfig {
    pools: Vec<NatPool>,
    peerings: Vec<PeeringTable>,
    /// By [`PeeringIndex`].
    lifetimes: Vec<Lifetimes>,
    pairs: Sorted<(VpcId, VpcId), PeeringIndex>,
    routes: ByVpc<Longest<Route>>,
    publics: ByVpc<Longest<PoolIndex>>,
    hop_limit: HopLimit,
    withdrawn: Withdrawn,
    fragments: FragmentLimits,
}

impl NatConfig {
    /// Begins an empty configuration.
    #[must_use]
    pub fn builder() -> NatConfigBuilder {
        NatConfigBuilder::default()
    }

    /// The pools, by [`PoolIndex`].
    #[must_use]
    pub fn pools(&self) -> &[NatPool] {
        &self.pools
    }

    /// The pool behind an index of this snapshot.
    ///
    /// # Panics
    /// If the index is of another snapshot with more pools.
    #[must_use]
    pub fn pool(&self, index: PoolIndex) -> &NatPool {
        &self.pools[index.as_index()]
    }

    /// The peerings, by [`PeeringIndex`].
    pub fn peerings(&self) -> impl ExactSizeIterator<Item = &Peering> {
        self.peerings.iter().map(|table| &table.peering)
    }

    /// The peering behind an index of this snapshot.
    ///
    /// # Panics
    /// If the index is of another snapshot with more peerings.
    #[must_use]
    pub fn peering(&self, index: PeeringIndex) -> &Peering {
        &self.peerings[index.as_index()].peering
    }

    /// The timeouts of the peering behind an index of this snapshot.
    #[inline]
    pub(crate) fn lifetimes(&self, index: PeeringIndex) -> &Lifetimes {
        &self.lifetimes[index.as_index()]
    }

    /// The peering that translates from one VPC towards another.
    #[must_use]
    pub fn peering_of(&self, inside: VpcId, outside: VpcId) -> Option<PeeringIndex> {
        self.pairs.get((inside, outside)).copied()
    }

    /// Where a packet from `vpc` to `destination` goes.
    #[must_use]
    #[inline(always)]
    pub fn route(&self, vpc: VpcId, destination: IpAddr) -> Option<Route> {
        self.routes.get(vpc)?.get(destination).copied()
    }

    /// What the peering of the tuple's VPC pair says about it: the longest private prefix that
    /// holds the source gives its pool, the longest destination rule the new destination.
    #[must_use]
    pub fn select(&self, tuple: &NatTuple) -> Selection {
        match self.peering_of(tuple.source_vpc, tuple.destination_vpc) {
            Some(peering) => self.select_in(peering, tuple),
            None => Selection::default(),
        }
    }

    pub(crate) fn select_in(&self, peering: PeeringIndex, tuple: &NatTuple) -> Selection {
        let table = &self.peerings[peering.as_index()];
        let source = table.sources[tuple.protocol.as_index()]
            .get(tuple.source)
            .copied();
        let privileged = tuple.protocol != Protocol::Icmp && tuple.source_port.is_well_known();
        Selection {
            source: source.map(|pools| pools.pool),
            privileged: source.and_then(|pools| pools.privileged.filter(|_| privileged)),
            share: source.map(|pools| pools.share).unwrap_or_default(),
            destination: table
                .destinations
                .get(tuple.destination)
                .map(|(outer, inner)| rebase(tuple.destination, *outer, *inner)),
        }
    }

    /// The address by which the inside of a peering knows an address of its outside.
    pub(crate) fn outer_of(&self, peering: PeeringIndex, address: IpAddr) -> IpAddr {
        let outers = &self.peerings[peering.as_index()].outers;
        match outers.get(address) {
            Some((inner, outer)) => rebase(address, *inner, *outer),
            None => address,
        }
    }

    /// The pool that an address seen in the VPC `outside` belongs to, if it is one of ours there.
    #[must_use]
    #[inline(always)]
    pub fn public_pool(&self, outside: VpcId, address: IpAddr) -> Option<PoolIndex> {
        self.publics.get(outside)?.get(address).copied()
    }

    /// Whether any peering begins or ends in that VPC.
    #[must_use]
    pub fn knows(&self, vpc: VpcId) -> bool {
        self.routes.get(vpc).is_some() || self.publics.get(vpc).is_some()
    }

    /// What becomes of TTL and hop limit.
    #[must_use]
    pub const fn hop_limit(&self) -> HopLimit {
        self.hop_limit
    }

    /// What becomes of sessions whose public tuple was withdrawn.
    #[must_use]
    pub const fn withdrawn(&self) -> Withdrawn {
        self.withdrawn
    }

    /// Bounds of the fragment table.
    #[must_use]
    pub const fn fragments(&self) -> FragmentLimits {
        self.fragments
    }
}

/// The address with the network part of `to` and the host part it has in `from`.
fn rebase(address: IpAddr, from: IpNet, to: IpNet) -> IpAddr {
    match (address, from.hostmask(), to.network()) {
        (IpAddr::V4(address), IpAddr::V4(host), IpAddr::V4(network)) => {
            (address & host | network).into()
        }
        (IpAddr::V6(address), IpAddr::V6(host), IpAddr::V6(network)) => {
            (address & host | network).into()
        }
        // Rules are checked to be of one family when the configuration is built.
        _ => address,
    }
}

#[cfg(test)]
mod tests;
