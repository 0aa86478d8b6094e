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
    /// of IPv6 to IPv6 addresses.
    #[must_use]
    pub const fn number(&self) -> Option<u8> {
        Some(match self {
            EventKind::AddressesExhausted { .. } => 3,
            EventKind::PortAssigned { public, .. } if public.is_ipv4() => 8,
            EventKind::PortReleased { public, .. } if public.is_ipv4() => 9,
            EventKind::PortAssigned { .. } | EventKind::PortReleased { .. } => return None,
            EventKind::PortsExhausted { .. } => 12,
            EventKind::QuotaExceeded { .. } => 13,
            EventKind::AddressBound { .. } => 14,
            EventKind::AddressUnbound { .. } => 15,
            EventKind::PortBlockAssigned { .. } => 16,
            EventKind::PortBlockReleased { .. } => 17,
            EventKind::ThresholdRaised { .. } | EventKind::ThresholdCleared { .. } => 18,
        })
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
