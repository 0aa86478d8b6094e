//! The short way through the table, for packets in plain form of established sessions.
//!
//! One look at the index and one at the session's line: what the packet must read, whether the
//! session lives, what the packet becomes, and the new deadline are all there. Whatever is out of
//! the ordinary is left to the long way, before anything has been changed.

use natshard::{Protocol, Tick};

use super::entry::{End, Ends, Key, Kind, PLAIN, REDIRECT, Session, Wide};
use super::slab::Slab;
use super::table::{HALVES, SessionTable, flow_of};
use super::{Half, TcpPhase};
use crate::addr::Addr;
use crate::config::NatConfig;
use crate::packet::{self, PlainPacket, Replacement};
use crate::tuple::VpcId;

/// What a manager needs to know about a burst to let packets travel.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// The time.
    pub now: Tick,
    /// The configuration's generation.
    pub generation: u32,
    /// The configuration.
    pub config: &'a NatConfig,
}

/// Where a [`SessionTable`] is to look for the session of a plain packet. Never wrong: what it
/// leads to is compared with the packet, and looked for again if it is another's.
#[derive(Clone, Copy, Debug)]
pub struct Hint {
    pub(super) hash: u32,
    /// An index entry that may be the packet's.
    entry: Option<u32>,
}

impl Hint {
    /// Of managers that give none.
    pub const NONE: Hint = Hint {
        hash: 0,
        entry: None,
    };
}

/// What becomes of a plain packet that has travelled along a session: one end is replaced.
#[derive(Clone, Copy, Debug)]
pub struct Passage {
    pub(crate) half: Half,
    pub(crate) to: VpcId,
    pub(crate) replacement: Replacement,
}

/// What came of letting a plain packet travel.
#[derive(Clone, Copy, Debug)]
pub enum Travel {
    /// It went along its session.
    Along(Passage),
    /// Surely no session is its own. Nothing has been changed.
    Stranger,
    /// It has to be looked at more closely. Nothing has been changed.
    Closer,
}

/// Sessions of a table that does not fit the caches: from here on it pays to look ahead. Few, so
/// that tests do both.
const MISSES: usize = if cfg!(test) { 8 } else { 4096 };

#[inline(always)]
fn key_of(vpc: VpcId, packet: &PlainPacket) -> Key {
    Key {
        source: packet.source,
        destination: packet.destination,
        ports: packet.ports,
        vpc: vpc.as_u32(),
        kind: Kind::of(packet.protocol, packet.v6),
    }
}

/// What a packet reads, where it is: copies of it would want more registers than there are.
#[derive(Clone, Copy)]
struct Reading<'a> {
    packet: &'a PlainPacket,
    vpc: u32,
    kind: Kind,
}

impl Reading<'_> {
    /// Whether the packet belongs to a half of a session, which takes the short way.
    #[inline(always)]
    fn is_of_half(self, wides: &Slab<Wide>, session: &Session, half: Half) -> bool {
        let (at, packet) = (half as usize, self.packet);
        let ports = u32::from(session.ports[at]) << 16 | u32::from(session.ports[at + 1]);
        if session.kind != self.kind
            || ports != packet.ports
            || session.vpcs[at].as_u32() != self.vpc
        {
            return false;
        }
        if packet.v6 {
            return reads_wide(&wides[session.addresses[0]], at, packet);
        }
        session.addresses[at] == packet.source.low()
            && session.addresses[at + 1] == packet.destination.low()
    }
}

/// Apart, so that what IPv6 needs does not take registers from IPv4.
#[inline(never)]
fn reads_wide(wide: &Wide, at: usize, packet: &PlainPacket) -> bool {
    wide.addresses[at] == packet.source && wide.addresses[at + 1] == packet.destination
}

impl<L> SessionTable<L> {
    #[inline(always)]
    pub(super) fn hint_of(&self, vpc: VpcId, packet: &PlainPacket) -> Hint {
        Hint {
            hash: self.secret.hash(&key_of(vpc, packet)),
            entry: None,
        }
    }

    /// Begins to fetch the bucket that a packet's session is found in.
    #[inline(always)]
    pub(super) fn fetch_hinted(&self, hint: &Hint) {
        self.flows.prefetch(hint.hash);
    }

    /// The line of the session that is probably the packet's, being fetched. Without one the
    /// packet will ask for its mapping.
    #[inline]
    pub(super) fn approach_to(&self, vpc: VpcId, packet: &PlainPacket, hint: &mut Hint) {
        hint.entry = self.flows.find(hint.hash, |_| true);
        if let Some(entry) = hint.entry {
            self.sessions.prefetch(flow_of(entry).0);
            return;
        }
        if self.sessions.len() < MISSES {
            return;
        }
        // Most inside VPCs are translated towards one outside.
        let vpcs = [vpc, self.last_outside];
        let kind = Kind::of(packet.protocol, packet.v6);
        let inside = Key::of_inside(vpcs, kind, packet.source, (packet.ports >> 16) as u16);
        self.by_inside.prefetch(self.secret.hash(&inside));
        let host = Key::of_host(vpcs, packet.v6, packet.source);
        self.hosts.prefetch(self.secret.hash(&host));
    }

    /// Begins to fetch what the next sessions to expire will want when they are removed: the line of
    /// one, and what the line of an earlier one, which has been fetched, leads to.
    pub(super) fn fetch_upcoming(&self) {
        if self.sessions.len() < MISSES {
            return;
        }
        if let Some(index) = self.wheel.upcoming(6) {
            self.sessions.prefetch(index);
        }
        let next = self.wheel.upcoming(3);
        let Some(session) = next.and_then(|index| self.sessions.get(index)) else {
            return;
        };
        self.mappings.prefetch(session.mapping);
        if session.kind.is_v6() || session.flags & REDIRECT != 0 {
            return;
        }
        let hash = |key: &Key| self.secret.hash(key);
        for half in HALVES {
            self.flows.prefetch(hash(&self.key_of_half(session, half)));
        }
        let ends = self.ends_of(session);
        self.by_inside.prefetch(hash(&ends.inside_key()));
        self.by_public.prefetch(hash(&ends.public_key()));
        self.hosts.prefetch(hash(&ends.host_key()));
    }

    /// Begins to fetch the buckets that a new mapping and the outside half of its session go into.
    #[inline]
    pub(super) fn fetch_expected(&self, ends: &Ends, remote_outside: End) {
        self.by_public
            .prefetch(self.secret.hash(&ends.public_key()));
        self.flows
            .prefetch(self.secret.hash(&ends.answer_key(remote_outside)));
    }

    /// Lets a packet travel along its session: notes what it shows and moves the deadline.
    #[inline(always)]
    pub(super) fn travel_along(
        &mut self,
        vpc: VpcId,
        packet: &PlainPacket,
        hint: &Hint,
        moment: &Moment<'_>,
    ) -> Travel {
        let reading = Reading {
            packet,
            vpc: vpc.as_u32(),
            kind: Kind::of(packet.protocol, packet.v6),
        };
        // Nearly always the first entry that looks like it is the packet's, or there is none.
        let (entry, others) = match hint.entry {
            None => self.flows.glance(hint.hash),
            hinted => (hinted, true),
        };
        let Some(entry) = entry else {
            return match others {
                false => Travel::Stranger,
                true => self.travel_searching(reading, hint, moment),
            };
        };
        let (index, half) = flow_of(entry);
        match self.sessions.get_mut(index) {
            Some(session)
                if session.flags & PLAIN != 0 && reading.is_of_half(&self.wides, session, half) =>
            {
                match pass(session, &self.wides, half, packet, moment) {
                    Some(passage) => Travel::Along(passage),
                    None => Travel::Closer,
                }
            }
            _ => self.travel_searching(reading, hint, moment),
        }
    }

    /// The same, of whatever entry.
    #[inline(never)]
    fn travel_searching(
        &mut self,
        reading: Reading<'_>,
        hint: &Hint,
        moment: &Moment<'_>,
    ) -> Travel {
        let mut odd = false;
        let is_it = |entry| {
            let (index, half) = flow_of(entry);
            match self.sessions.get(index) {
                None => false,
                // What its packets read is not all in the line.
                Some(session) if session.flags & PLAIN == 0 => {
                    odd = true;
                    false
                }
                Some(session) => reading.is_of_half(&self.wides, session, half),
            }
        };
        let Some(entry) = self.flows.find(hint.hash, is_it) else {
            return if odd {
                Travel::Closer
            } else {
                Travel::Stranger
            };
        };
        let (index, half) = flow_of(entry);
        match self.pass(index, half, reading.packet, moment) {
            Some(passage) => Travel::Along(passage),
            None => Travel::Closer,
        }
    }

    /// Lets a packet travel along a session that it is known to belong to; `None` if it has to go
    /// the long way, and nothing has been changed then.
    #[inline]
    pub(super) fn pass(
        &mut self,
        index: u32,
        half: Half,
        packet: &PlainPacket,
        moment: &Moment<'_>,
    ) -> Option<Passage> {
        let session = self.sessions.get_mut(index)?;
        pass(session, &self.wides, half, packet, moment)
    }
}

#[inline(always)]
fn pass(
    session: &mut Session,
    wides: &Slab<Wide>,
    half: Half,
    packet: &PlainPacket,
    moment: &Moment<'_>,
) -> Option<Passage> {
    if session.deadline <= moment.now || session.generation != moment.generation {
        return None;
    }
    let lifetimes = moment.config.lifetimes(session.peering);
    let mut tcp = session.tcp;
    let mut lifetime = lifetimes.of_plain(packet.protocol, half == Half::Outside);
    // Nearly all packets are past this without a guess about their protocol.
    if (packet.protocol == Protocol::Tcp) & !tcp.stays(packet.flags) {
        tcp = tcp.after(half, packet.flags);
        lifetime = match tcp.phase() {
            TcpPhase::Established => lifetimes.tcp_established,
            TcpPhase::Opening => lifetimes.tcp_transitory,
            TcpPhase::Closed | TcpPhase::Reset => return None,
        };
    } else if lifetimes.has_well_known && packet.protocol == Protocol::Udp && lifetime != 0 {
        lifetime = lifetimes.of_udp(session.ports[1]);
    }
    // A lifetime of zero, which does not prolong the session, ends now, before its deadline.
    let deadline = Tick::from_millis(moment.now.as_millis().saturating_add(lifetime));
    if (deadline < session.deadline) & (lifetime != 0) {
        // The timer wheel has to know.
        return None;
    }
    session.deadline = session.deadline.max(deadline);
    session.tcp = tcp;
    let from_inside = half == Half::Inside;
    let at = if from_inside { 2 } else { 0 };
    let there = session.address_delta;
    let back = Replacement::reversed(there);
    let address_delta = if from_inside { there } else { back };
    let end = if from_inside {
        packet::End::Source
    } else {
        packet::End::Destination
    };
    let address = if packet.v6 {
        wides[session.addresses[0]].addresses[at]
    } else {
        Addr::v4(session.addresses[at])
    };
    Some(Passage {
        half,
        to: session.vpcs[1 - half as usize],
        replacement: Replacement {
            end,
            address,
            port: session.ports[at],
            address_delta,
        },
    })
}
