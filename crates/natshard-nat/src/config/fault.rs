//! Everything wrong with a configuration, at once.

use std::fmt;

use ipnet::IpNet;
use thiserror::Error;

use crate::tuple::VpcId;

/// One fault of a NAT configuration.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum NatConfigFault {
    /// Two pools bear one name.
    #[error("pool `{0}` is named twice: names must be unique")]
    DuplicatePool(String),
    /// Two peerings bear one name.
    #[error("peering `{0}` is named twice: names must be unique")]
    DuplicatePeering(String),
    /// Two peerings translate from one VPC to the same other one.
    #[error(
        "peerings `{first}` and `{second}` both go from {inside} to {outside}: merge their rules"
    )]
    DuplicatePair {
        /// The first peering.
        first: String,
        /// The second peering.
        second: String,
        /// Their inside.
        inside: VpcId,
        /// Their outside.
        outside: VpcId,
    },
    /// A peering of a VPC with itself.
    #[error("peering `{peering}` leads from {vpc} to itself: give it another outside")]
    SamePeer {
        /// The peering.
        peering: String,
        /// The VPC.
        vpc: VpcId,
    },
    /// A rule names a pool that is not there.
    #[error("peering `{peering}`: there is no pool `{pool}`: name one of the configured pools")]
    UnknownPool {
        /// The peering.
        peering: String,
        /// The name given.
        pool: String,
    },
    /// Pools of different realms translate towards one VPC.
    #[error(
        "peering `{peering}`: pool `{pool}` is of realm `{realm}`, others towards {outside} are \
         of realm `{expected}`: one VPC is one realm"
    )]
    MixedRealms {
        /// The peering.
        peering: String,
        /// The pool.
        pool: String,
        /// Its realm.
        realm: String,
        /// The realm of the pool named before.
        expected: String,
        /// The VPC.
        outside: VpcId,
    },
    /// A pool has no address of the family its rule is for.
    #[error(
        "peering `{peering}`: pool `{pool}` has no {family} address for sources in {private}: \
         add a prefix or take another pool"
    )]
    NoSuchFamily {
        /// The peering.
        peering: String,
        /// The pool.
        pool: String,
        /// The rule's private prefix.
        private: IpNet,
        /// Its family.
        family: &'static str,
    },
    /// A prefix with host bits set.
    #[error("peering `{peering}`: {what} {prefix} has host bits set: write {}", prefix.trunc())]
    HostBits {
        /// The peering.
        peering: String,
        /// What the prefix is.
        what: &'static str,
        /// The prefix.
        prefix: IpNet,
    },
    /// Two rules of a peering are for the same sources.
    #[error("peering `{peering}`: two rules for {protocol} sources in {private}: drop one")]
    DuplicateRule {
        /// The peering.
        peering: String,
        /// The private prefix.
        private: IpNet,
        /// The protocol.
        protocol: natshard::Protocol,
    },
    /// Two destination rules of a peering are for the same prefix.
    #[error("peering `{peering}`: two destination rules for {outer}: drop one")]
    DuplicateDestination {
        /// The peering.
        peering: String,
        /// The prefix.
        outer: IpNet,
    },
    /// A destination rule between prefixes of different size or family.
    #[error(
        "peering `{peering}`: destination rule from {outer} to {inner}: both prefixes must be of \
         one family and length"
    )]
    UnequalPrefixes {
        /// The peering.
        peering: String,
        /// The prefix the inside uses.
        outer: IpNet,
        /// The prefix it is translated to.
        inner: IpNet,
    },
    /// A destination prefix of one VPC leads to two others, or is its own private prefix.
    #[error("{vpc}: {prefix} leads both to {first} and to {second}: destinations must be distinct")]
    AmbiguousRemote {
        /// The VPC the packets come from.
        vpc: VpcId,
        /// The prefix.
        prefix: IpNet,
        /// Where it leads by the first statement.
        first: String,
        /// Where it leads by the second.
        second: String,
    },
    /// A timeout of zero.
    #[error("peering `{peering}`: timeout {timeout} is zero: sessions would end at once")]
    ZeroTimeout {
        /// The peering.
        peering: String,
        /// Which timeout.
        timeout: &'static str,
    },
    /// A mask that tells no subscribers apart, or reaches beyond what numbers can hold.
    #[error("pool `{pool}`: a subscriber mask of {bits} bits: give 1 to 64")]
    SubscriberMask {
        /// The pool.
        pool: String,
        /// The bits asked for.
        bits: u8,
    },
    /// Deterministic ranges of nobody knows whom.
    #[error(
        "pool `{0}` is deterministic and has no inside prefixes: build it with \
         `NatPool::deterministic`"
    )]
    NoInside(String),
    /// Deterministic ranges that would give IPv6 addresses to IPv4 hosts, or the reverse.
    #[error(
        "pool `{0}` is deterministic and has prefixes, inside or public, of IPv4 and of IPv6: make \
         a pool of each"
    )]
    MixedFamilies(String),
    /// An inside prefix of a deterministic pool with host bits set.
    #[error("pool `{pool}`: inside prefix {prefix} has host bits set: write {}", prefix.trunc())]
    InsideHostBits {
        /// The pool.
        pool: String,
        /// The prefix.
        prefix: IpNet,
    },
    /// An inside prefix of a deterministic pool that is a part of one subscriber.
    #[error(
        "pool `{pool}`: inside prefix {prefix} is less than a subscriber, which is a /64 of IPv6: \
         give 64 bits or fewer"
    )]
    InsideTooLong {
        /// The pool.
        pool: String,
        /// The prefix.
        prefix: IpNet,
    },
    /// Inside prefixes of a deterministic pool that share hosts.
    #[error("pool `{pool}`: inside prefixes {first} and {second} overlap: drop the longer one")]
    InsideOverlap {
        /// The pool.
        pool: String,
        /// The first of the two.
        first: IpNet,
        /// The second of the two.
        second: IpNet,
    },
    /// A VPC whose number does not fit into those of subscribers.
    #[error(
        "peering `{peering}`: pool `{pool}` keeps books of subscribers, and {vpc} has a number of \
         {limit} or more: number its VPC below"
    )]
    VpcNumber {
        /// The peering.
        peering: String,
        /// The pool.
        pool: String,
        /// The VPC.
        vpc: VpcId,
        /// Numbers must be below.
        limit: u32,
    },
    /// Hosts of two VPCs that would be one subscriber.
    #[error(
        "pool `{pool}` keeps books of subscribers, and hosts of {first} in {first_vpc} and of \
         {second} in {second_vpc} would be the same ones: give each VPC a pool of its own"
    )]
    SharedSubscribers {
        /// The pool.
        pool: String,
        /// Private prefix of the first.
        first: IpNet,
        /// Its VPC.
        first_vpc: VpcId,
        /// Private prefix of the second.
        second: IpNet,
        /// Its VPC.
        second_vpc: VpcId,
    },
    /// More of something than there are indices.
    #[error("{count} {what} are more than the {limit} that a configuration can hold")]
    TooMany {
        /// What there are too many of.
        what: &'static str,
        /// How many were given.
        count: usize,
        /// How many there may be.
        limit: usize,
    },
}

/// Why a configuration was refused: every fault found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NatConfigError {
    pub(crate) faults: Vec<NatConfigFault>,
}

impl NatConfigError {
    /// The faults, in the order of the configuration.
    #[must_use]
    pub fn faults(&self) -> &[NatConfigFault] {
        &self.faults
    }
}

impl fmt::Display for NatConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for NatConfigError {}
