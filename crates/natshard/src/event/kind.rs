//! What an event says.

use std::net::{IpAddr, SocketAddr};

use crate::id::PoolId;
use crate::protocol::Protocol;
use crate::tick::Tick;

/// Consecutive ports (or ICMP identifiers) of one address and protocol.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PortRange {
    /// The protocol.
    pub protocol: Protocol,
    /// The public address.
    pub address: IpAddr,
    /// The first port.
    pub first: u16,
    /// The last port.
    pub last: u16,
}

/// Whose limit was met.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Holder {
    /// A subscriber.
    Subscriber(u64),
    /// A tenant the pool names.
    Tenant(u32),
    /// Control traffic, of a pool with headroom.
    Control,
    /// Tenants the pool does not name, and requests without one.
    Others,
}

/// Which limit was met, and how much it allows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum Limit {
    /// Ports of that protocol for each subscriber, those that rest included.
    Ports(u32),
    /// Ports of all protocols together for each subscriber.
    PortsInAll(u32),
    /// Port blocks of that protocol for each subscriber.
    PortBlocks(u32),
    /// Port blocks of all protocols together for each subscriber.
    PortBlocksInAll(u32),
    /// Ports of the deterministic range of each subscriber.
    Range(u32),
    /// Blocks (256 ports) of that protocol for this tenant at most.
    Blocks(u32),
    /// Blocks of that protocol that nobody has guaranteed and that are left: this tenant, or
    /// control traffic, or everybody else holds so many, and the rest is kept for others.
    Unguaranteed(u32),
}

impl Limit {
    /// How much it allows.
    #[must_use]
    pub const fn amount(self) -> u32 {
        match self {
            Limit::Ports(amount)
            | Limit::PortsInAll(amount)
            | Limit::PortBlocks(amount)
            | Limit::PortBlocksInAll(amount)
            | Limit::Range(amount)
            | Limit::Blocks(amount)
            | Limit::Unguaranteed(amount) => amount,
        }
    }

    /// A short, stable name for logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Limit::Ports(_) => "ports",
            Limit::PortsInAll(_) => "ports_in_all",
            Limit::PortBlocks(_) => "port_blocks",
            Limit::PortBlocksInAll(_) => "port_blocks_in_all",
            Limit::Range(_) => "range",
            Limit::Blocks(_) => "blocks",
            Limit::Unguaranteed(_) => "unguaranteed",
        }
    }
}

/// What became of a pool's configuration.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum PoolChange {
    /// The pool is new.
    Added,
    /// It is configured otherwise than before.
    Changed,
    /// The configuration has it no longer.
    Removed,
}

impl PoolChange {
    /// A short, stable name for logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            PoolChange::Added => "added",
            PoolChange::Changed => "changed",
            PoolChange::Removed => "removed",
        }
    }
}

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum EventKind {
    /// No address of the pool has a leasable port (natEvent 3). Told once, until a lease of that
    /// pool and protocol is had again.
    AddressesExhausted {
        /// The protocol.
        protocol: Protocol,
    },
    /// A port was leased (natEvent 8, NAT44 BIB create; no number for IPv6). Only where leases
    /// are told.
    PortAssigned {
        /// The protocol.
        protocol: Protocol,
        /// The public tuple.
        public: SocketAddr,
        /// For whom, if the request said.
        subscriber: Option<u64>,
    },
    /// A port was given back (natEvent 9; no number for IPv6) and begins to rest. Only where
    /// leases are told.
    PortReleased {
        /// The protocol.
        protocol: Protocol,
        /// The public tuple.
        public: SocketAddr,
        /// Who had it, if the pool keeps books of subscribers.
        subscriber: Option<u64>,
    },
    /// One address has no leasable port left for a request bound to it (natEvent 12).
    PortsExhausted {
        /// The protocol.
        protocol: Protocol,
        /// The address.
        address: IpAddr,
    },
    /// A limit was met (natEvent 13). Told once, until the holder is below it again.
    QuotaExceeded {
        /// The protocol.
        protocol: Protocol,
        /// Whose.
        holder: Holder,
        /// Which, of those that were met the narrowest.
        limit: Limit,
    },
    /// A subscriber was refused because there is no room for the books of a further one
    /// (natEvent 13, natQuotaExceededEvent 4). Told once by an engine, until a further one was
    /// met after all; and not under any protocol.
    SubscribersExceeded {
        /// How many there can be, of all pools together.
        limit: u32,
    },
    /// The configuration of the pool changed (no number in RFC 8158). Told by
    /// [`Engine::reconfigure`](crate::Engine::reconfigure), for each pool whose configuration is
    /// another than before: whatever the new one allows has a larger number.
    PoolConfigured {
        /// How.
        change: PoolChange,
    },
    /// A subscriber was paired with an address (natEvent 14, address binding create).
    AddressBound {
        /// Whom.
        subscriber: u64,
        /// The address.
        address: IpAddr,
    },
    /// A subscriber holds no port any more and lost its pairing (natEvent 15).
    AddressUnbound {
        /// Whom.
        subscriber: u64,
        /// The address.
        address: IpAddr,
    },
    /// A port block was assigned (natEvent 16).
    PortBlockAssigned {
        /// To whom.
        subscriber: u64,
        /// Which ports.
        ports: PortRange,
    },
    /// A port block came back, every port of it rested (natEvent 17).
    PortBlockReleased {
        /// Who had it.
        subscriber: u64,
        /// Which ports.
        ports: PortRange,
    },
    /// The pool became as full as its threshold says (natEvent 18, natThresholdEvent 1).
    ThresholdRaised {
        /// The protocol.
        protocol: Protocol,
        /// Blocks held.
        held: u64,
        /// Blocks there are.
        blocks: u64,
    },
    /// The pool is no longer that full (natEvent 18, natThresholdEvent 2).
    ThresholdCleared {
        /// The protocol.
        protocol: Protocol,
        /// Blocks held.
        held: u64,
        /// Blocks there are.
        blocks: u64,
    },
}

impl EventKind {
    /// The natEvent number (IPFIX information element 230) of RFC 8158; it has none for mappings
    /// of IPv6 to IPv6 addresses, nor for a change of the configuration.
    #[must_use]
    pub const fn number(&self) -> Option<u8> {
        Some(match self {
            EventKind::AddressesExhausted { .. } => 3,
            EventKind::PortAssigned { public, .. } if public.is_ipv4() => 8,
            EventKind::PortReleased { public, .. } if public.is_ipv4() => 9,
            EventKind::PortAssigned { .. }
            | EventKind::PortReleased { .. }
            | EventKind::PoolConfigured { .. } => return None,
            EventKind::PortsExhausted { .. } => 12,
            EventKind::QuotaExceeded { .. } | EventKind::SubscribersExceeded { .. } => 13,
            EventKind::AddressBound { .. } => 14,
            EventKind::AddressUnbound { .. } => 15,
            EventKind::PortBlockAssigned { .. } => 16,
            EventKind::PortBlockReleased { .. } => 17,
            EventKind::ThresholdRaised { .. } | EventKind::ThresholdCleared { .. } => 18,
        })
    }

    /// The number of the limit that was met (natQuotaExceededEvent, IPFIX information element 466)
    /// of RFC 8158, which has none for tenants.
    #[must_use]
    pub const fn quota_number(&self) -> Option<u8> {
        match self {
            EventKind::QuotaExceeded {
                holder: Holder::Subscriber(_),
                ..
            } => Some(3),
            EventKind::SubscribersExceeded { .. } => Some(4),
            _ => None,
        }
    }

    /// A short, stable name for logs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            EventKind::AddressesExhausted { .. } => "addresses_exhausted",
            EventKind::PortAssigned { .. } => "port_assigned",
            EventKind::PortReleased { .. } => "port_released",
            EventKind::PortsExhausted { .. } => "ports_exhausted",
            EventKind::QuotaExceeded { .. } => "quota_exceeded",
            EventKind::SubscribersExceeded { .. } => "subscribers_exceeded",
            EventKind::PoolConfigured { .. } => "pool_configured",
            EventKind::AddressBound { .. } => "address_bound",
            EventKind::AddressUnbound { .. } => "address_unbound",
            EventKind::PortBlockAssigned { .. } => "port_block_assigned",
            EventKind::PortBlockReleased { .. } => "port_block_released",
            EventKind::ThresholdRaised { .. } => "threshold_raised",
            EventKind::ThresholdCleared { .. } => "threshold_cleared",
        }
    }
}

/// One event.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Event {
    /// The order of events over all shards: of two that concern the same ports, the one that
    /// happened first has the smaller number. Numbers may be missing.
    pub sequence: u64,
    /// Engine time.
    pub at: Tick,
    /// The pool.
    pub pool: PoolId,
    /// What happened.
    pub kind: EventKind,
}
