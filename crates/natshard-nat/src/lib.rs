//! Sans-IO NAT function over the `natshard` allocator engine.
//!
//! Packets and time go in, verdicts and events come out; no sockets, no threads, no clock. One
//! [`NatFunction`] per shard of the engine, each private to its worker:
//!
//! ```text
//!   NatConfig ── ConfigStore ─────────────┐ snapshots, swapped without a lock
//!                                         ▼
//!   frame, VPC, time ──▶ NatFunction<A: NatAllocator, M: NatSessionManager> ──▶ Verdict
//!                          │                     │                         └──▶ Sink: events,
//!                          ▼                     ▼                              held fragments
//!                 NatDefaultAllocator       SessionTable
//!                 ReferenceAllocator        (or a table that serves a firewall too)
//! ```
//!
//! ```
//! use std::time::Duration;
//!
//! use natshard::{Engine, EngineConfig};
//! use natshard_nat::packet::Link;
//! use natshard_nat::{
//!     Direction, Ingress, NatConfig, NatDefaultAllocator, NatFunction, NatPool, Peering,
//!     SessionTable, SourceRule, Tick, Verdict, VpcId,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (inside, outside) = (VpcId::new(1), VpcId::new(2));
//! let config = NatConfig::builder()
//!     .pool(NatPool::new("internet").realm("wan").prefix("203.0.113.0/28".parse()?))
//!     .peering(
//!         Peering::new("lan to internet", inside, outside)
//!             .source(SourceRule::new("10.0.0.0/8".parse()?, "internet")),
//!     )
//!     .build()?;
//! let engine = EngineConfig::new(1).hold_down(Duration::from_secs(120));
//! let engine = Engine::new(
//!     config.pools().iter().fold(engine, |engine, pool| engine.pool(pool.to_engine())),
//! )?;
//! let allocator = NatDefaultAllocator::new(&engine, 0)?;
//! let mut nat = NatFunction::new(config, allocator, SessionTable::new(1_000_000));
//!
//! // UDP from 10.0.0.1 port 5000 to 198.51.100.1 port 53, no link header.
//! let mut packet = [
//!     0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 198, 51, 100, 1, //
//!     0x13, 0x88, 0, 53, 0, 8, 0, 0,
//! ];
//! let ingress = Ingress { link: Link::RawIp, vpc: inside, token: 0 };
//! let mut events = Vec::new();
//! let verdict = nat.burst(Tick::from_millis(0), &mut events).process(&mut packet, ingress);
//! assert_eq!(verdict, Verdict::Translated { direction: Direction::Outbound, to: outside });
//! assert_eq!(packet[12..15], [203, 0, 113]);
//! assert_eq!(events.len(), 2); // a lease and a session
//! # Ok(())
//! # }
//! ```
//!
//! # What it does, in the words of the RFCs
//!
//! | | |
//! |---|---|
//! | mapping | endpoint-independent, or address-and-port-dependent ([`Mapping`]) |
//! | filtering | endpoint-independent, address-dependent (default), address-and-port-dependent ([`Filtering`]) |
//! | pooling, ports | paired or arbitrary; random, parity kept, or preserved; a privileged class ([`Pooling`], [`PortPolicy`], [`SourceRule::privileged_pool`]) |
//! | hairpinning | TCP, UDP and ICMP errors, also between tenants and across shards (RFC 4787 REQ-9, RFC 5508 REQ-7) |
//! | timers | per protocol and phase ([`Timeouts`]), exact for packets; housekeeping is at most 64 ms late |
//! | TCP | state by flags of both ends, RST undone by later traffic (RFC 7857), simultaneous open, loose or strict pickup ([`TcpPickup`]) |
//! | ICMP | queries by identifier; errors along the session they quote, in both directions (RFC 5508) |
//! | fragments | in any order; held within [`FragmentLimits`] (RFC 4787 REQ-14) |
//! | destinations | static prefix to prefix ([`DestinationRule`]) |
//! | reconfiguration | sessions kept, drained or ended ([`ConfigStore::publish`], [`Withdrawn`]) |
//! | several shards | [`Steerer`] says which instance a packet is for |
//!
//! # Limits
//!
//! * IP protocols other than TCP, UDP, ICMP and ICMPv6 pass untouched
//!   ([`UntouchedReason::Protocol`]), with private addresses if they have any: a firewall has to
//!   stop them. The same holds for packets from outside that are addressed to a private address.
//! * All ports of a pool's addresses are the pool's: a packet to one that no mapping owns is dropped
//!   ([`DropReason::NoMapping`]). Services of the gateway itself need an address of their own, or a
//!   look at the packet first.
//! * No payload is looked at: no application gateways (FTP, SIP, ...), no port forwarding, no
//!   translation between IPv4 and IPv6.
//! * TCP sequence numbers are not tracked. A forged RST shortens a session to the transitory
//!   timeout until the next segment, and nothing more.
//! * ICMP errors are translated, not generated: not for spent hop limits, refused allocations or
//!   filtered packets. [`Verdict`] says what happened, and the gateway answers if it wants to.
//! * An ICMP query cannot hairpin to another endpoint: the identifier it arrives with is its
//!   sender's.
//! * A peering is one per pair of VPCs, and all pools towards one VPC are of one realm.

pub mod packet;

mod addr;
mod allocator;
mod config;
mod event;
mod function;
mod memory;
mod port;
mod prefetch;
mod reason;
pub mod session;
mod stats;
mod steer;
mod tuple;
mod verdict;

pub use allocator::{
    AllocationError, AllocationResult, DestinationTarget, EngineBurst, NatAllocator,
    NatAllocatorBurst, NatDefaultAllocator, NatRequest, ReferenceAllocator, ReferenceBurst,
    ReferenceLease, SourceTarget,
};
pub use config::{
    Behaviour, ConfigStore, DestinationRule, Filtering, FragmentLimits, InsidePrefixes, Mapping,
    NatConfig, NatConfigBuilder, NatConfigError, NatConfigFault, NatPool, Numbering, Peering,
    PeeringIndex, PoolIndex, Pooling, PortPolicy, Route, Selection, Share, SourceRule, Subscriber,
    SubscriberName, SubscriberNameError, TcpPickup, Timeouts, Withdrawn,
};
pub use event::{Event, MappingInfo, ReleasedFrame, SessionInfo, Sink};
pub use function::{Ingress, NatBurst, NatFunction};
pub use natshard::{AllocError, Protocol, Reason, Tick};
pub use port::{NatPort, PortError, UnreservedPort};
pub use reason::{DropReason, EndReason, UntouchedReason};
pub use session::{NatSession, NatSessionManager, SessionTable};
pub use stats::NatStats;
pub use steer::{Steer, Steerer};
pub use tuple::{NatTuple, VpcId};
pub use verdict::{Direction, Verdict};

#[cfg(test)]
mod tests;
