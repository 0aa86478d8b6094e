//! How sessions and mappings lie in memory, and the keys they are found by.
//!
//! ```text
//!            inside half  ─┐   ┌────────────┐       ┌──────────────────┐
//!  packet ─▶ flow key ─────┼──▶│ Session 48 │──────▶│ Mapping 72       │
//!            outside half ─┘   │ remote     │       │ inside, public,  │
//!                              │ deadline   │       │ lease            │
//!                              └────────────┘       └──────────────────┘
//!                                (+ 8 in the wheel)   ▲ by inside, by public
//! ```
//!
//! A session holds what is its own, the remote endpoint and its timer; all that the sessions of an
//! inside endpoint have in common is in their mapping. Both halves of a session are two index
//! entries of one number, so neither can outlive the other.

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

use natshard::{Protocol, Reason, Tick};

use super::{FlowKey, Half, TcpState};
use crate::event::MappingInfo;
use crate::reason::EndReason;
use crate::tuple::VpcId;

/// No index.
pub(super) const NONE: u32 = u32::MAX;

/// An address of either family; which one is noted elsewhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Addr([u64; 2]);

impl Addr {
    pub(super) const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Addr([0, address.to_bits() as u64]),
            IpAddr::V6(address) => {
                let bits = address.to_bits();
                Addr([(bits >> 64) as u64, bits as u64])
            }
        }
    }

    pub(super) const fn ip(self, v6: bool) -> IpAddr {
        let Addr([high, low]) = self;
        if v6 {
            IpAddr::V6(std::net::Ipv6Addr::from_bits(
                (high as u128) << 64 | low as u128,
            ))
        } else {
            IpAddr::V4(std::net::Ipv4Addr::from_bits(low as u32))
        }
    }
}

/// What packets or endpoints are found by, all of it compared: addresses, ports, protocol, family
/// and VPC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Key {
    source: Addr,
    destination: Addr,
    ports: u32,
    vpc: u32,
    /// Protocol and family.
    kind: u32,
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Addr([a, b]) = self.source;
        let Addr([c, d]) = self.destination;
        state.write_u64(a);
        state.write_u64(b);
        state.write_u64(c);
        state.write_u64(d);
        state.write_u64(u64::from(self.ports) << 32 | u64::from(self.vpc));
        state.write_u32(self.kind);
    }
}

const fn kind(protocol: Protocol, v6: bool) -> u32 {
    (protocol as u32) << 1 | v6 as u32
}

const fn both(source: u16, destination: u16) -> u32 {
    (source as u32) << 16 | destination as u32
}

impl Key {
    pub(super) const fn of_flow(flow: &FlowKey) -> Self {
        Key {
            source: Addr::of(flow.source),
            destination: Addr::of(flow.destination),
            ports: both(flow.source_port.as_u16(), flow.destination_port.as_u16()),
            vpc: flow.vpc.as_u32(),
            kind: kind(flow.protocol, flow.source.is_ipv6()),
        }
    }

    pub(super) const fn of_inside(
        inside_vpc: VpcId,
        outside_vpc: VpcId,
        protocol: Protocol,
        inside: SocketAddr,
    ) -> Self {
        Key {
            source: Addr::of(inside.ip()),
            destination: Addr([0, outside_vpc.as_u32() as u64]),
            ports: both(inside.port(), 0),
            vpc: inside_vpc.as_u32(),
            kind: kind(protocol, inside.is_ipv6()),
        }
    }

    pub(super) const fn of_public(
        outside_vpc: VpcId,
        protocol: Protocol,
        public: SocketAddr,
    ) -> Self {
        Key {
            source: Addr([0, 0]),
            destination: Addr::of(public.ip()),
            ports: both(0, public.port()),
            vpc: outside_vpc.as_u32(),
            kind: kind(protocol, public.is_ipv6()),
        }
    }

    /// The sessions of a mapping with one remote address.
    pub(super) const fn of_peer(mapping: u32, remote: Addr) -> Self {
        Key {
            source: remote,
            destination: Addr([0, 0]),
            ports: mapping,
            vpc: 0,
            kind: 0,
        }
    }

    pub(super) const fn of_host(inside_vpc: VpcId, outside_vpc: VpcId, host: IpAddr) -> Self {
        Key {
            source: Addr::of(host),
            destination: Addr([0, outside_vpc.as_u32() as u64]),
            ports: 0,
            vpc: inside_vpc.as_u32(),
            kind: host.is_ipv6() as u32,
        }
    }
}

/// What is a session's own.
#[derive(Debug)]
pub(super) struct Session {
    /// The remote address as the inside uses it.
    pub(super) remote: Addr,
    pub(super) deadline: Tick,
    pub(super) mapping: u32,
    pub(super) generation: u32,
    /// Where the remote endpoint outside is kept if it differs, or [`NONE`].
    pub(super) redirect: u32,
    /// Ring of the sessions of this mapping with the same remote address outside.
    pub(super) peer_next: u32,
    pub(super) peer_prev: u32,
    /// 0 for ICMP, whose identifier is in the mapping.
    pub(super) remote_port: u16,
    pub(super) tcp: TcpState,
    pub(super) hairpin: bool,
}

const _: () = assert!(size_of::<Option<Session>>() == 48);

/// Who finds a mapping, to make a session on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Listing {
    /// Nobody: it was withdrawn.
    Unlisted,
    /// Packets from new remote endpoints.
    ByPublic,
    /// Those, and packets of its inside endpoint to new ones.
    ByBoth,
}

/// How the sessions of a mapping have ended so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    /// None has, or none carried a packet.
    Unused,
    /// All were TCP connections that closed.
    Closed,
    /// Some ended otherwise.
    Ended,
}

impl Outcome {
    pub(super) const fn and(self, reason: EndReason) -> Self {
        match (self, reason) {
            (outcome, EndReason::Unused) => outcome,
            (Outcome::Unused | Outcome::Closed, EndReason::Closed) => Outcome::Closed,
            _ => Outcome::Ended,
        }
    }

    pub(super) const fn reason(self) -> Reason {
        match self {
            Outcome::Unused => Reason::Unused,
            Outcome::Closed => Reason::Closed,
            Outcome::Ended => Reason::Ended,
        }
    }
}

/// What the sessions of an inside endpoint have in common.
#[derive(Debug)]
pub(super) struct Mapping<L> {
    pub(super) inside: Addr,
    pub(super) public: Addr,
    pub(super) inside_vpc: VpcId,
    pub(super) outside_vpc: VpcId,
    pub(super) peering: crate::config::PeeringIndex,
    /// Sessions that use it: it ends with the last.
    pub(super) sessions: u32,
    pub(super) inside_port: u16,
    pub(super) public_port: u16,
    pub(super) protocol: Protocol,
    pub(super) v6: bool,
    pub(super) listing: Listing,
    pub(super) outcome: Outcome,
    pub(super) lease: Option<L>,
}

// Neither the `Option` of a lease nor the slot of the slab may cost anything: both have a niche.
const _: () = assert!(size_of::<Option<Mapping<natshard::Lease>>>() == 72);

impl<L> Mapping<L> {
    pub(super) const fn inside(&self) -> SocketAddr {
        SocketAddr::new(self.inside.ip(self.v6), self.inside_port)
    }

    pub(super) const fn public(&self) -> SocketAddr {
        SocketAddr::new(self.public.ip(self.v6), self.public_port)
    }

    pub(super) const fn info(&self) -> MappingInfo {
        MappingInfo {
            inside_vpc: self.inside_vpc,
            outside_vpc: self.outside_vpc,
            protocol: self.protocol,
            inside: self.inside(),
            public: self.public(),
        }
    }

    pub(super) const fn inside_key(&self) -> Key {
        Key::of_inside(
            self.inside_vpc,
            self.outside_vpc,
            self.protocol,
            self.inside(),
        )
    }

    pub(super) const fn public_key(&self) -> Key {
        Key::of_public(self.outside_vpc, self.protocol, self.public())
    }

    pub(super) const fn host_key(&self) -> Key {
        Key::of_host(self.inside_vpc, self.outside_vpc, self.inside.ip(self.v6))
    }

    /// What packets of one half of a session read on arrival.
    pub(super) const fn flow_key(
        &self,
        half: Half,
        remote: (Addr, u16),
        remote_outside: (Addr, u16),
    ) -> Key {
        let icmp = matches!(self.protocol, Protocol::Icmp);
        let kind = kind(self.protocol, self.v6);
        match half {
            Half::Inside => Key {
                source: self.inside,
                destination: remote.0,
                ports: both(
                    self.inside_port,
                    if icmp { self.inside_port } else { remote.1 },
                ),
                vpc: self.inside_vpc.as_u32(),
                kind,
            },
            Half::Outside => Key {
                source: remote_outside.0,
                destination: self.public,
                ports: both(
                    if icmp {
                        self.public_port
                    } else {
                        remote_outside.1
                    },
                    self.public_port,
                ),
                vpc: self.outside_vpc.as_u32(),
                kind,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_rests_unless_all_its_sessions_closed_or_none_was_used() {
        use EndReason::{Closed, Expired, Unused};
        let reason = |ends: &[EndReason]| {
            ends.iter()
                .fold(Outcome::Unused, |outcome, end| outcome.and(*end))
                .reason()
        };
        assert_eq!(reason(&[Unused]), Reason::Unused);
        assert_eq!(reason(&[Closed, Unused, Closed]), Reason::Closed);
        assert_eq!(reason(&[Closed, Expired]), Reason::Ended);
        assert_eq!(reason(&[Expired, Closed, Unused]), Reason::Ended);
    }
}
