//! Everything wrong with a configuration, at once.

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;
use thiserror::Error;

use crate::fair::PortBlocks;
use crate::protocol::Protocol;

/// One fault of a configuration.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum ConfigFault {
    /// The number of shards is out of range.
    #[error("{0} shards asked for: give 1 to 128")]
    Shards(usize),
    /// The hold-down cannot be represented.
    #[error("hold-down of {0:?} is too long: give at most 30 days")]
    HoldDown(std::time::Duration),
    /// Two pools bear one name.
    #[error("pool `{0}` is named twice: names must be unique")]
    DuplicatePool(String),
    /// A pool or realm without a name.
    #[error("pool number {0} has an empty {1}: give it one")]
    EmptyName(usize, &'static str),
    /// A pool without addresses.
    #[error("pool `{0}` has no prefix: give at least one")]
    NoPrefix(String),
    /// A prefix with host bits set.
    #[error("pool `{pool}`: prefix {prefix} has host bits set: write {}", prefix.trunc())]
    HostBits {
        /// The pool.
        pool: String,
        /// The prefix as given.
        prefix: IpNet,
    },
    /// Two prefixes of one pool share addresses.
    #[error("pool `{pool}`: prefixes {first} and {second} overlap: drop the longer one")]
    OverlappingPrefixes {
        /// The pool.
        pool: String,
        /// The first of the two.
        first: IpNet,
        /// The second of the two.
        second: IpNet,
    },
    /// A range that ends before it starts.
    #[error("pool `{pool}`: {what} {}-{} is empty: the first must not be larger than the last", range.start(), range.end())]
    EmptyRange {
        /// The pool.
        pool: String,
        /// Which range.
        what: &'static str,
        /// The range as given.
        range: RangeInclusive<u16>,
    },
    /// TCP and UDP port 0 cannot be given out.
    #[error("pool `{0}`: port 0 cannot be given out: start the range at 1 or above")]
    PortZero(String),
    /// An exclusion outside the pool.
    #[error("pool `{pool}`: exclusion of {net} is outside its prefixes: it would exclude nothing")]
    ExclusionOutside {
        /// The pool.
        pool: String,
        /// The addresses excluded.
        net: IpNet,
    },
    /// A pool of which exclusions leave nothing.
    #[error("pool `{0}`: its exclusions leave no port at all")]
    NothingLeft(String),
    /// Deterministic ranges for nobody, or of nothing.
    #[error("pool `{pool}`: deterministic with 0 {what}: give at least 1")]
    DeterministicNone {
        /// The pool.
        pool: String,
        /// What there is none of.
        what: &'static str,
    },
    /// A deterministic range that no address can hold.
    #[error(
        "pool `{pool}`: {ports} ports for each subscriber are more than its port and identifier \
         ranges hold: give at most {most}"
    )]
    DeterministicPorts {
        /// The pool.
        pool: String,
        /// How many ports each subscriber is to have.
        ports: u16,
        /// How many ports there are.
        most: u16,
    },
    /// Too few addresses for the deterministic ranges.
    #[error(
        "pool `{pool}`: {subscribers} subscribers with {ports} ports each, at most {most} to an \
         address, need {needed} addresses, and it has {addresses}: add addresses, or give fewer \
         ports"
    )]
    DeterministicAddresses {
        /// The pool.
        pool: String,
        /// How many subscribers there are to be.
        subscribers: u64,
        /// How many ports each is to have.
        ports: u16,
        /// How many subscribers one address can hold.
        most: u64,
        /// How many addresses they need.
        needed: u64,
        /// How many there are.
        addresses: u64,
    },
    /// An exclusion that takes ports from a subscriber.
    #[error(
        "pool `{pool}`: the exclusion of ports {}-{} takes ports from deterministic subscriber \
         {subscriber}, whose range is {}-{}: exclude dynamic ports only, or narrow the pool's port \
         range",
        ports.start(), ports.end(), range.start(), range.end()
    )]
    DeterministicExclusion {
        /// The pool.
        pool: String,
        /// The ports excluded.
        ports: RangeInclusive<u16>,
        /// A subscriber it takes ports from.
        subscriber: u64,
        /// The ports of that subscriber.
        range: RangeInclusive<u16>,
    },
    /// One tenant named twice.
    #[error("pool `{pool}`: tenant {tenant} is named twice: give it one share")]
    TenantTwice {
        /// The pool.
        pool: String,
        /// The tenant.
        tenant: u32,
    },
    /// A tenant guaranteed more than it may have.
    #[error(
        "pool `{pool}`: tenant {tenant} is guaranteed {minimum} blocks and may have {maximum}: the \
         minimum must not be larger than the maximum"
    )]
    TenantRange {
        /// The pool.
        pool: String,
        /// The tenant.
        tenant: u32,
        /// Blocks guaranteed to it.
        minimum: u32,
        /// Blocks it may have.
        maximum: u32,
    },
    /// More guaranteed than there is.
    #[error(
        "pool `{pool}`: {guaranteed} blocks are guaranteed (minima of tenants and headroom), and \
         it has {blocks} blocks of {protocol}: add addresses, or guarantee less"
    )]
    GuaranteesExceed {
        /// The pool.
        pool: String,
        /// The protocol.
        protocol: Protocol,
        /// The sum of all minima and the headroom.
        guaranteed: u64,
        /// The blocks of 256 ports or identifiers there are.
        blocks: u64,
    },
    /// Shares of what subscribers have by computation.
    #[error(
        "pool `{pool}` has deterministic ranges and {shares}: what a subscriber has by computation \
         cannot be kept for others: use a pool for each"
    )]
    SharesOfRanges {
        /// The pool.
        pool: String,
        /// Which shares.
        shares: &'static str,
    },
    /// A threshold that can never be raised, or never cleared.
    #[error(
        "pool `{pool}`: threshold raised at {raise} % and cleared at {clear} %: raise at 1 to 100, \
         and clear below that"
    )]
    ThresholdRange {
        /// The pool.
        pool: String,
        /// Raised at so many per cent.
        raise: u8,
        /// Cleared at so many.
        clear: u8,
    },
    /// A size that port blocks cannot have.
    #[error("pool `{pool}`: port blocks of {size} ports: give 64, 128 or 256")]
    PortBlockSize {
        /// The pool.
        pool: String,
        /// The size asked for.
        size: u16,
    },
    /// More port blocks for a subscriber than its books can hold, or none.
    #[error(
        "pool `{pool}`: {count} port blocks for each subscriber{of}: give 1 to {}",
        PortBlocks::MAX
    )]
    PortBlockCount {
        /// The pool.
        pool: String,
        /// How many were asked for.
        count: u8,
        /// Of one protocol, or of all.
        of: &'static str,
    },
    /// A pool whose blocks are counted or assigned shares some with another.
    #[error(
        "pool `{pool}` has {what} and shares {protocol} block {}-{} of {address} with pool \
         `{other}`: give them disjoint prefixes, or ranges of ports and of identifiers that meet \
         at a multiple of 256",
        ports.start(), ports.end()
    )]
    SharedBlocks {
        /// The pool.
        pool: String,
        /// What keeps it from sharing blocks.
        what: &'static str,
        /// Whom it shares with.
        other: String,
        /// The protocol.
        protocol: Protocol,
        /// The first address of those shared.
        address: IpAddr,
        /// The ports of the first block shared there.
        ports: RangeInclusive<u16>,
    },
    /// Too many of something for the engine's index widths.
    #[error("{what}: {count} is more than the {limit} an engine can hold")]
    TooMany {
        /// What there are too many of.
        what: &'static str,
        /// How many were given.
        count: usize,
        /// How many there may be.
        limit: usize,
    },
    /// Something a running engine cannot change.
    #[error("{0} cannot be changed while the engine runs: build a new engine")]
    Immutable(&'static str),
}

/// Why an engine could not be built or reconfigured: every fault found, none left for a second
/// try.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    pub(crate) faults: Vec<ConfigFault>,
}

impl ConfigError {
    /// The faults, in the order of the configuration.
    #[must_use]
    pub fn faults(&self) -> &[ConfigFault] {
        &self.faults
    }
}

impl fmt::Display for ConfigError {
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

impl std::error::Error for ConfigError {}
