//! How sessions and mappings lie in memory, and the keys they are found by.
//!
//! ```text
//!            inside half  ─┐   ┌────────────┐       ┌──────────────────┐
//!  packet ─▶ flow key ─────┼──▶│ Session 64 │──────▶│ Mapping 48       │
//!            outside half ─┘   │ all that a │       │ inside, public,  │
//!                              │ packet asks│       │ lease            │
//!                              └────────────┘       └──────────────────┘
//!                                                     ▲ by inside, by public
//! ```
//!
//! A session is one cache line, and a packet of an established one touches nothing else. What does
//! not fit there lies apart: IPv6 addresses ([`Wide`], [`Pair`]) and remote endpoints of sessions
//! whose destination is translated ([`Redirect`]). Both halves of a session are two index entries
//! of one number, so neither can outlive the other.

use std::net::SocketAddr;

use natshard::{Protocol, Reason, Tick};

use super::{FlowKey, TcpState};
use crate::addr::{Addr, is_translatable};
use crate::config::PeeringIndex;
use crate::reason::EndReason;
use crate::tuple::VpcId;

/// No index.
pub(super) const NONE: u32 = u32::MAX;

/// Protocol and address family.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Kind {
    Tcp4,
    Tcp6,
    Udp4,
    Udp6,
    Icmp4,
    Icmp6,
}

impl Kind {
    pub(super) const COUNT: usize = 6;

    #[inline]
    pub(super) const fn of(protocol: Protocol, v6: bool) -> Self {
        // Looked up rather than branched to: which packet is of which protocol is not to be foreseen.
        const KINDS: [[Kind; 2]; 3] = [
            [Kind::Tcp4, Kind::Tcp6],
            [Kind::Udp4, Kind::Udp6],
            [Kind::Icmp4, Kind::Icmp6],
        ];
        KINDS[protocol.as_index()][v6 as usize]
    }

    #[inline]
    pub(super) const fn is_v6(self) -> bool {
        self as u8 & 1 != 0
    }

    #[inline]
    pub(super) const fn is_icmp(self) -> bool {
        matches!(self, Kind::Icmp4 | Kind::Icmp6)
    }

    #[inline]
    pub(super) const fn protocol(self) -> Protocol {
        match self {
            Kind::Tcp4 | Kind::Tcp6 => Protocol::Tcp,
            Kind::Udp4 | Kind::Udp6 => Protocol::Udp,
            Kind::Icmp4 | Kind::Icmp6 => Protocol::Icmp,
        }
    }
}

/// What packets or endpoints are found by, all of it compared: addresses, ports, VPC, protocol and
/// family.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Key {
    pub(super) source: Addr,
    pub(super) destination: Addr,
    /// Source port above, destination port below.
    pub(super) ports: u32,
    pub(super) vpc: u32,
    pub(super) kind: Kind,
}

pub(super) const fn both(source: u16, destination: u16) -> u32 {
    (source as u32) << 16 | destination as u32
}

impl Key {
    #[inline]
    pub(super) const fn of_flow(flow: &FlowKey) -> Self {
        Key {
            source: Addr::of(flow.source),
            destination: Addr::of(flow.destination),
            ports: both(flow.source_port.as_u16(), flow.destination_port.as_u16()),
            vpc: flow.vpc.as_u32(),
            kind: Kind::of(flow.protocol, flow.source.is_ipv6()),
        }
    }

    /// Of an inside endpoint and the VPC it is translated towards.
    #[inline]
    pub(super) const fn of_inside(
        vpcs: [VpcId; 2],
        kind: Kind,
        inside: Addr,
        inside_port: u16,
    ) -> Self {
        Key {
            source: inside,
            destination: Addr::v4(vpcs[1].as_u32()),
            ports: both(inside_port, 0),
            vpc: vpcs[0].as_u32(),
            kind,
        }
    }

    /// Of a public tuple.
    #[inline]
    pub(super) const fn of_public(
        outside_vpc: VpcId,
        kind: Kind,
        public: Addr,
        public_port: u16,
    ) -> Self {
        Key {
            source: Addr([0, 0]),
            destination: public,
            ports: both(0, public_port),
            vpc: outside_vpc.as_u32(),
            kind,
        }
    }

    /// Of the sessions of a mapping with one remote address.
    #[inline]
    pub(super) const fn of_peer(mapping: u32, v6: bool, remote: Addr) -> Self {
        Key {
            source: remote,
            destination: Addr([0, 0]),
            ports: mapping,
            vpc: 0,
            kind: Kind::of(Protocol::Tcp, v6),
        }
    }

    /// Of an inside host and the VPC it is translated towards.
    #[inline]
    pub(super) const fn of_host(vpcs: [VpcId; 2], v6: bool, host: Addr) -> Self {
        Key::of_inside(vpcs, Kind::of(Protocol::Tcp, v6), host, 0)
    }
}

/// Set where packets in plain form take the short way: TCP or UDP, the source translated and
/// nothing else, no hairpin.
pub(super) const PLAIN: u8 = 1;
/// Set where the remote endpoint is a [`Redirect`].
pub(super) const REDIRECT: u8 = 1 << 1;
pub(super) const HAIRPIN: u8 = 1 << 2;

/// A session: everything that a packet asks for.
///
/// What the two halves read on arrival lies side by side: half 0, from inside, has `[0]` and `[1]`
/// of addresses and ports as source and destination, half 1 has `[1]` and `[2]`.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Session {
    /// Inside, remote, public. Of IPv6 the first is the index of a [`Wide`], and the others mean
    /// nothing; with [`REDIRECT`] the second is the index of a [`Redirect`].
    pub(super) addresses: [u32; 3],
    /// Inside, outside.
    pub(super) vpcs: [VpcId; 2],
    /// Inside, remote, public. The remote one is 0 for ICMP, whose identifier is the mapping's.
    pub(super) ports: [u16; 3],
    /// The difference to a checksum that the public address makes in place of the inside one.
    pub(super) address_delta: u16,
    /// Ring of the sessions of a mapping with the same remote address outside.
    pub(super) peer_next: u32,
    pub(super) deadline: Tick,
    pub(super) mapping: u32,
    pub(super) generation: u32,
    pub(super) peering: PeeringIndex,
    /// The wheel's unit in which it is asked for.
    pub(super) armed: u32,
    pub(super) peer_prev: u32,
    pub(super) kind: Kind,
    pub(super) flags: u8,
    pub(super) tcp: TcpState,
}

const _: () = assert!(size_of::<Option<Session>>() == 64);

/// The addresses of an IPv6 session.
#[derive(Debug)]
pub(super) struct Wide {
    /// As in [`Session::addresses`].
    pub(super) addresses: [Addr; 3],
}

/// The remote endpoint of a session whose destination is translated.
#[derive(Debug)]
pub(super) struct Redirect {
    /// As the inside addresses it.
    pub(super) remote: Addr,
    /// As it is addressed outside.
    pub(super) outside: Addr,
    pub(super) outside_port: u16,
}

/// The addresses of an IPv6 mapping.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) inside: Addr,
    pub(super) public: Addr,
}

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
    /// Of IPv6 the index of a [`Pair`].
    pub(super) inside: u32,
    pub(super) public: u32,
    /// Inside, outside.
    pub(super) vpcs: [VpcId; 2],
    pub(super) inside_port: u16,
    pub(super) public_port: u16,
    /// Sessions that use it: it ends with the last.
    pub(super) sessions: u32,
    /// Its first session; it may have ended if the mapping is `crowded`.
    pub(super) first: u32,
    pub(super) kind: Kind,
    pub(super) listing: Listing,
    pub(super) outcome: Outcome,
    /// It has had two sessions at once: they are found by their remote addresses.
    pub(super) crowded: bool,
    pub(super) lease: Option<L>,
}

// Neither the `Option` of a lease nor the slot of the slab may cost anything: both have a niche.
const _: () = assert!(size_of::<Option<Mapping<natshard::Lease>>>() == 48);

/// The ends of a mapping, of either family.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    pub(super) vpcs: [VpcId; 2],
    pub(super) kind: Kind,
    pub(super) inside: Addr,
    pub(super) inside_port: u16,
    pub(super) public: Addr,
    pub(super) public_port: u16,
}

impl Ends {
    #[inline]
    pub(super) const fn inside_key(&self) -> Key {
        Key::of_inside(self.vpcs, self.kind, self.inside, self.inside_port)
    }

    #[inline]
    pub(super) const fn public_key(&self) -> Key {
        Key::of_public(self.vpcs[1], self.kind, self.public, self.public_port)
    }

    /// What packets to a remote endpoint read on arrival.
    #[inline]
    pub(super) const fn question_key(&self, remote: End) -> Key {
        let (remote, port) = remote;
        let port = if self.kind.is_icmp() {
            self.inside_port
        } else {
            port
        };
        Key {
            source: self.inside,
            destination: remote,
            ports: both(self.inside_port, port),
            vpc: self.vpcs[0].as_u32(),
            kind: self.kind,
        }
    }

    /// What answers from a remote endpoint read on arrival.
    #[inline]
    pub(super) const fn answer_key(&self, remote_outside: End) -> Key {
        let (remote, port) = remote_outside;
        let port = if self.kind.is_icmp() {
            self.public_port
        } else {
            port
        };
        Key {
            source: remote,
            destination: self.public,
            ports: both(port, self.public_port),
            vpc: self.vpcs[1].as_u32(),
            kind: self.kind,
        }
    }

    #[inline]
    pub(super) const fn host_key(&self) -> Key {
        Key::of_host(self.vpcs, self.kind.is_v6(), self.inside)
    }

    /// Whether packets in plain form of a session towards a remote address that is the same on
    /// both sides may take the short way: the source is translated, to an address that the long way
    /// does not look at more closely. Nor must it look so at the other two.
    #[inline]
    pub(super) fn is_plain(&self) -> bool {
        let is_translated = self.inside_port != self.public_port || self.inside != self.public;
        !self.kind.is_icmp() && is_translated && is_translatable(self.public.ip(self.kind.is_v6()))
    }

    /// The inside and the public tuple.
    #[inline]
    pub(super) const fn tuples(&self) -> [SocketAddr; 2] {
        let v6 = self.kind.is_v6();
        [
            SocketAddr::new(self.inside.ip(v6), self.inside_port),
            SocketAddr::new(self.public.ip(v6), self.public_port),
        ]
    }
}

/// An address and port.
pub(super) type End = (Addr, u16);

pub(super) const fn end_of(end: SocketAddr) -> End {
    (Addr::of(end.ip()), end.port())
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
