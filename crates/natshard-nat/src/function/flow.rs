//! The common path: from a packet to its session, and to the rewritten frame.

use std::net::SocketAddr;
use std::time::Duration;

use natshard::Protocol;

use super::NatBurst;
use super::express::{Express, Plain};
use crate::allocator::{NatAllocator, NatAllocatorBurst};
use crate::config::Behaviour;
use crate::event::{Event, Sink};
use crate::packet::{Edit, EditError, Endpoint, HopLimit, TcpFlags, Transport, View, apply};
use crate::port::NatPort;
use crate::reason::{DropReason, EndReason};
use crate::session::{
    FlowKey, Half, NatSession, NatSessionManager, NewSession, SessionId, TcpPhase, TcpState,
};
use crate::tuple::VpcId;
use crate::verdict::{Direction, Verdict};

/// Which way a packet went and where it is to be sent, or the verdict that ended its way.
pub(super) type Outcome = Result<(Direction, VpcId), Verdict>;

/// What decides about a packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet {
    pub(super) key: FlowKey,
    /// Of a TCP segment.
    pub(super) flags: Option<TcpFlags>,
    /// An ICMP reply, which answers a session and makes none inwards.
    pub(super) is_reply: bool,
    /// Its hop limit is used up, so it may not make a session.
    pub(super) spent: bool,
}

/// A session that a packet travels along, and the side it comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leg {
    pub(super) id: SessionId,
    pub(super) half: Half,
    /// The packet made the session.
    pub(super) is_new: bool,
}

/// What the two ends of a packet become.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rewrite {
    pub(super) source: Option<SocketAddr>,
    pub(super) destination: Option<SocketAddr>,
    /// What the identifier of an ICMP query becomes.
    pub(super) identifier: Option<u16>,
}

impl Rewrite {
    /// As an edit of a packet of that protocol.
    pub(super) fn edit(&self, protocol: Protocol, hop_limit: HopLimit) -> Edit {
        let end = |end: SocketAddr, port: Option<u16>| Endpoint {
            address: end.ip(),
            port: match protocol {
                Protocol::Tcp | Protocol::Udp => Some(end.port()),
                Protocol::Icmp => port,
            },
        };
        let mut edit = Edit {
            source: self.source.map(|source| end(source, self.identifier)),
            destination: self.destination.map(|destination| end(destination, None)),
            hop_limit,
        };
        // The identifier goes with whichever end is rewritten.
        if edit.source.is_none() {
            edit.destination = self
                .destination
                .map(|destination| end(destination, self.identifier));
        }
        edit
    }
}

impl Packet {
    /// `None` for a packet without ports or identifier.
    pub(super) fn of(view: &View, vpc: VpcId, spent: bool) -> Option<Self> {
        let (protocol, source_port, destination_port, flags, is_reply) = match view.transport() {
            Transport::Tcp {
                source,
                destination,
                flags,
            } => (Protocol::Tcp, source, destination, Some(flags), false),
            Transport::Udp {
                source,
                destination,
                ..
            } => (Protocol::Udp, source, destination, None, false),
            Transport::IcmpQuery {
                identifier,
                is_request,
                ..
            } => (Protocol::Icmp, identifier, identifier, None, !is_request),
            _ => return None,
        };
        Some(Packet {
            key: FlowKey {
                vpc,
                protocol,
                source: view.source(),
                destination: view.destination(),
                source_port: NatPort::new(source_port),
                destination_port: NatPort::new(destination_port),
            },
            flags,
            is_reply,
            spent,
        })
    }
}

impl FlowKey {
    pub(super) const fn source_endpoint(&self) -> SocketAddr {
        SocketAddr::new(self.source, self.source_port.as_u16())
    }

    pub(super) const fn destination_endpoint(&self) -> SocketAddr {
        SocketAddr::new(self.destination, self.destination_port.as_u16())
    }

    /// The remote end: without the identifier, which is the mapping's, if it is ICMP.
    pub(super) const fn remote(&self, end: SocketAddr) -> SocketAddr {
        match self.protocol {
            Protocol::Tcp | Protocol::Udp => end,
            Protocol::Icmp => SocketAddr::new(end.ip(), 0),
        }
    }
}

impl<'a, A: NatAllocator, M: NatSessionManager<A::Lease>, S: Sink> NatBurst<'a, A, M, S> {
    /// A TCP or UDP packet or an ICMP query.
    pub(super) fn flow(
        &mut self,
        frame: &mut [u8],
        view: &View,
        vpc: VpcId,
        plain: Option<&Plain>,
    ) -> Outcome {
        let Some(packet) = Packet::of(view, vpc, self.is_spent(view)) else {
            return Err(Verdict::Dropped(DropReason::Malformed));
        };
        let first = match self.live(&packet.key) {
            Some(leg) => leg,
            None => self.open(&packet)?,
        };
        if packet.spent {
            return Err(Verdict::Dropped(DropReason::TtlExceeded));
        }
        // Now that it has a session, the short way may be open.
        if first.is_new
            && let Some(plain) = plain
            && let Express::Gone(direction, to) = self.express_after(frame, vpc, plain)
        {
            return Ok((direction, to));
        }
        self.go_along(frame, view, &packet, first)
    }

    /// Lets a packet travel along a session, and a second one if it comes back in.
    pub(super) fn go_along(
        &mut self,
        frame: &mut [u8],
        view: &View,
        packet: &Packet,
        first: Leg,
    ) -> Outcome {
        let mut rewrite = Rewrite::default();
        let (mut direction, mut to, hairpin) = self.travel(first, packet, &mut rewrite);
        let mut second = None;
        if hairpin {
            let returning = self.returning(first, packet);
            second = self.second_leg(&returning)?;
            if let Some(leg) = second {
                (_, to, _) = self.travel(leg, &returning, &mut rewrite);
                direction = Direction::Hairpin;
            }
        }
        let edit = rewrite.edit(packet.key.protocol, self.config.hop_limit());
        match apply(frame, view, &edit) {
            Ok(()) => Ok((direction, to)),
            Err(error) => {
                // A session whose first packet does not leave never was one.
                for leg in second.into_iter().chain([first]).filter(|leg| leg.is_new) {
                    self.end(leg.id, EndReason::Unused);
                }
                Err(edit_refused(error))
            }
        }
    }

    /// Whether the packet may go no further.
    pub(super) fn is_spent(&self, view: &View) -> bool {
        self.config.hop_limit() == HopLimit::Decrement && view.hop_limit() <= 1
    }

    /// The session of a packet, if it has one whose time is not over and that the current
    /// configuration bears.
    pub(super) fn live(&mut self, key: &FlowKey) -> Option<Leg> {
        let (id, half) = self.sessions.find(key)?;
        let session = self.sessions.session(id);
        if session.deadline() <= self.now {
            self.end(id, self.how_expired(id));
            return None;
        }
        if session.generation() != self.generation && !self.recheck(id) {
            return None;
        }
        Some(Leg {
            id,
            half,
            is_new: false,
        })
    }

    /// A session for a packet that has none.
    fn open(&mut self, packet: &Packet) -> Result<Leg, Verdict> {
        let key = &packet.key;
        let public = key.destination_endpoint();
        if let Some(mapping) = self
            .sessions
            .mapping_of_public(key.vpc, key.protocol, public)
        {
            return self.open_inbound(mapping, packet);
        }
        if self.config.public_pool(key.vpc, key.destination).is_some() {
            return Err(Verdict::Dropped(DropReason::NoMapping));
        }
        self.open_outbound(packet)
    }

    /// Takes a session in whose room and uniqueness were checked.
    pub(super) fn create(&mut self, session: NewSession<A::Lease>, half: Half) -> Leg {
        let id = self.sessions.insert(session);
        self.note_created(id, half);
        Leg {
            id,
            half,
            is_new: true,
        }
    }

    pub(super) fn note_created(&mut self, id: SessionId, half: Half) {
        self.stats.sessions_created += 1;
        self.stats.sessions_peak = self.stats.sessions_peak.max(self.sessions.len() as u64);
        if self.sink.listens() {
            self.sink.event(&Event::SessionCreated {
                at: self.now,
                session: self.sessions.session(id).info(),
                outbound: half == Half::Inside,
            });
        }
    }

    /// Makes room for one more session, of those whose time is over.
    pub(super) fn make_room(&mut self) -> Result<(), Verdict> {
        self.expire(2);
        if self.sessions.is_full() {
            self.expire(super::LAST_RESORT);
        }
        match self.sessions.is_full() {
            true => Err(Verdict::Dropped(DropReason::SessionTableFull)),
            false => Ok(()),
        }
    }

    /// Notes that the packet travels along a session, and what it becomes there: which way it goes,
    /// where to, and whether it is to come back in.
    fn travel(
        &mut self,
        leg: Leg,
        packet: &Packet,
        rewrite: &mut Rewrite,
    ) -> (Direction, VpcId, bool) {
        let session = self.sessions.session(leg.id);
        let info = session.info();
        let behaviour = self.config.peering(session.peering()).behaviour_ref();
        let before = session.tcp();
        let tcp = packet
            .flags
            .map_or(before, |flags| before.after(leg.half, flags));
        let deadline = match lifetime(behaviour, packet, leg, before, tcp, info.remote.port()) {
            Some(timeout) => self.now.saturating_add(timeout),
            None => session.deadline(),
        };
        self.sessions.refresh(leg.id, tcp, deadline);
        let mapping = &info.mapping;
        match leg.half {
            Half::Inside => {
                if mapping.public != mapping.inside {
                    rewrite.source = Some(mapping.public);
                    rewrite.identifier = Some(mapping.public.port());
                }
                if info.remote_outside != info.remote {
                    rewrite.destination = Some(info.remote_outside);
                }
                (
                    Direction::Outbound,
                    mapping.outside_vpc,
                    session.is_hairpin(),
                )
            }
            Half::Outside => {
                if mapping.public != mapping.inside {
                    rewrite.destination = Some(mapping.inside);
                    rewrite.identifier = Some(mapping.inside.port());
                }
                if info.remote_outside != info.remote {
                    rewrite.source = Some(info.remote);
                }
                (Direction::Inbound, mapping.inside_vpc, false)
            }
        }
    }

    /// The packet as it would come back to us, once it has left towards a public address of ours.
    fn returning(&self, leg: Leg, packet: &Packet) -> Packet {
        let info = self.sessions.session(leg.id).info();
        let source_port = NatPort::new(info.mapping.public.port());
        let destination_port = match packet.key.protocol {
            Protocol::Tcp | Protocol::Udp => NatPort::new(info.remote_outside.port()),
            Protocol::Icmp => source_port,
        };
        Packet {
            key: FlowKey {
                vpc: info.mapping.outside_vpc,
                protocol: packet.key.protocol,
                source: info.mapping.public.ip(),
                destination: info.remote_outside.ip(),
                source_port,
                destination_port,
            },
            ..*packet
        }
    }

    /// The second leg of a packet towards a public address of ours; `None` if it is for another
    /// function instance to travel.
    fn second_leg(&mut self, packet: &Packet) -> Result<Option<Leg>, Verdict> {
        let key = &packet.key;
        if let Some(leg) = self.live(key) {
            return Ok(Some(leg));
        }
        let public = key.destination_endpoint();
        match self
            .sessions
            .mapping_of_public(key.vpc, key.protocol, public)
        {
            Some(mapping) => self.open_inbound(mapping, packet).map(Some),
            None if self.is_elsewhere(key.vpc, key.protocol, public) => Ok(None),
            None => Err(Verdict::Dropped(DropReason::NoMapping)),
        }
    }

    /// Whether another function instance over the same pools has a mapping with that tuple.
    pub(super) fn is_elsewhere(&self, vpc: VpcId, protocol: Protocol, public: SocketAddr) -> bool {
        let pool = self.config.public_pool(vpc, public.ip());
        pool.is_some_and(|pool| self.allocator.is_elsewhere(pool, protocol, public))
    }
}

/// How long the session lives from this packet on; `None` if it does not prolong it.
fn lifetime(
    behaviour: &Behaviour,
    packet: &Packet,
    leg: Leg,
    before: TcpState,
    after: TcpState,
    remote_port: u16,
) -> Option<Duration> {
    let timeouts = &behaviour.timeouts;
    let prolongs = leg.half == Half::Inside || leg.is_new || behaviour.inbound_refresh;
    match packet.key.protocol {
        Protocol::Udp => prolongs.then(|| timeouts.of_udp(remote_port)),
        Protocol::Icmp => prolongs.then_some(timeouts.icmp),
        Protocol::Tcp => match after.phase() {
            TcpPhase::Established => Some(timeouts.tcp_established),
            TcpPhase::Opening => Some(timeouts.tcp_transitory),
            // Stray segments do not keep a connection that is over.
            phase if phase == before.phase() => None,
            TcpPhase::Closed | TcpPhase::Reset => Some(timeouts.tcp_transitory),
        },
    }
}

/// How long a session lives before its first packet has been noted.
pub(super) fn first_lifetime(
    behaviour: &Behaviour,
    protocol: Protocol,
    remote_port: u16,
) -> Duration {
    match protocol {
        Protocol::Tcp => behaviour.timeouts.tcp_transitory,
        Protocol::Udp => behaviour.timeouts.of_udp(remote_port),
        Protocol::Icmp => behaviour.timeouts.icmp,
    }
}

/// The verdict on a packet whose rewrite was refused.
pub(super) const fn edit_refused(error: EditError) -> Verdict {
    Verdict::Dropped(match error {
        EditError::HopLimitExceeded => DropReason::TtlExceeded,
        _ => DropReason::Rewrite,
    })
}
