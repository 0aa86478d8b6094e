//! Sessions: a separate object that is passed into the function, so that one table can serve NAT
//! and a firewall, say.

mod entry;
mod express;
mod hash;
mod hosts;
mod index;
mod making;
mod manager;
mod opening;
mod places;
mod shown;
mod slab;
mod table;
mod tcp;
mod timer;

use std::net::{IpAddr, SocketAddr};

use natshard::{Protocol, Reason, Tick};

pub use express::{Hint, Moment, Passage, Travel};
pub use opening::{Admitted, NewLease, Newcomer};
pub use shown::TableSession;
pub use table::SessionTable;
pub use tcp::{TcpPhase, TcpState};

use crate::config::{Filtering, PeeringIndex};
use crate::event::{MappingInfo, SessionInfo};
use crate::packet::PlainPacket;
use crate::port::NatPort;
use crate::reason::EndReason;
use crate::tuple::VpcId;

/// The side a packet of a session comes from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Half {
    /// The inside endpoint sent it.
    Inside,
    /// The remote endpoint sent it.
    Outside,
}

/// What the packets of one half of a session have in common on arrival. The VPC is part of it:
/// two tenants may use the same addresses.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FlowKey {
    /// The VPC the packet comes from.
    pub vpc: VpcId,
    /// Protocol.
    pub protocol: Protocol,
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// Source port; the identifier of an ICMP query.
    pub source_port: NatPort,
    /// Destination port; the identifier of an ICMP query again.
    pub destination_port: NatPort,
}

impl MappingInfo {
    /// What packets of the inside endpoint to a remote one read on arrival.
    pub(crate) const fn question(&self, remote: SocketAddr) -> FlowKey {
        key_between(
            self.inside_vpc,
            self.protocol,
            self.inside,
            remote,
            self.inside,
        )
    }

    /// What answers of a remote endpoint, as it is addressed outside, read on arrival.
    pub(crate) const fn answer(&self, remote: SocketAddr) -> FlowKey {
        key_between(
            self.outside_vpc,
            self.protocol,
            remote,
            self.public,
            self.public,
        )
    }
}

/// Of ICMP both ports are the identifier, which is that of the `mapped` end.
const fn key_between(
    vpc: VpcId,
    protocol: Protocol,
    source: SocketAddr,
    destination: SocketAddr,
    mapped: SocketAddr,
) -> FlowKey {
    let (source_port, destination_port) = match protocol {
        Protocol::Tcp | Protocol::Udp => (source.port(), destination.port()),
        Protocol::Icmp => (mapped.port(), mapped.port()),
    };
    FlowKey {
        vpc,
        protocol,
        source: source.ip(),
        destination: destination.ip(),
        source_port: NatPort::new(source_port),
        destination_port: NatPort::new(destination_port),
    }
}

/// A session of one manager; may be given to another session after this one has ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SessionId(pub u32);

/// A mapping of one manager; may be given to another mapping after this one has ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MappingId(pub u32);

/// One session, as its manager shows it.
pub trait NatSession {
    /// The endpoints.
    fn info(&self) -> SessionInfo;

    /// Its mapping.
    fn mapping(&self) -> MappingId;

    /// When it ends unless it is refreshed.
    fn deadline(&self) -> Tick;

    /// What its TCP segments have shown so far; meaningless for other protocols.
    fn tcp(&self) -> TcpState;

    /// The configuration generation it was last checked against.
    fn generation(&self) -> u32;

    /// Its peering in that generation.
    fn peering(&self) -> PeeringIndex;

    /// Whether its remote endpoint is a public address of ours: packets hairpin.
    fn is_hairpin(&self) -> bool;
}

/// What a session is made of.
#[derive(Debug)]
pub struct NewSession<L> {
    /// The mapping it uses.
    pub mapping: NewMapping<L>,
    /// The peering of both, in the generation below.
    pub peering: PeeringIndex,
    /// The remote endpoint as the inside addresses it.
    pub remote: SocketAddr,
    /// The remote endpoint as it is addressed outside.
    pub remote_outside: SocketAddr,
    /// When it ends unless it is refreshed.
    pub deadline: Tick,
    /// The configuration generation it was made under.
    pub generation: u32,
    /// Whether its remote endpoint is a public address of ours.
    pub hairpin: bool,
}

/// The mapping of a new session.
#[derive(Debug)]
pub enum NewMapping<L> {
    /// One that exists.
    Existing(MappingId),
    /// A new one, which lives as long as it has a session.
    New {
        /// The lease of its public tuple: it belongs to the mapping, not to a session, and not to
        /// one half of it. `None` where sources are not translated.
        lease: Option<L>,
        /// Its endpoints.
        info: MappingInfo,
        /// Whether further sessions of the inside endpoint share it.
        endpoint_independent: bool,
    },
}

/// What is left of a session that was removed.
#[derive(Debug)]
pub struct Removed<L> {
    /// The session that was.
    pub session: SessionInfo,
    /// Its mapping, if that was the last session of it.
    pub mapping: Option<RemovedMapping<L>>,
}

/// What is left of a mapping whose last session was removed.
#[derive(Debug)]
pub struct RemovedMapping<L> {
    /// The mapping that was.
    pub info: MappingInfo,
    /// Its lease.
    pub lease: Option<L>,
    /// What the lease is to be given back for: [`Reason::Closed`] if all its sessions closed,
    /// [`Reason::Unused`] if none carried a packet.
    pub reason: Reason,
}

/// Keeps mappings and sessions of one function instance, and finds them.
///
/// Both halves of a session are one entry: they begin and end together. A mapping ends with its
/// last session and hands its lease to whoever removed that.
pub trait NatSessionManager<L> {
    /// How a session is shown: as it was when it was asked for.
    type Session: NatSession;

    /// Sessions at this moment.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Mappings, hence leases, at this moment.
    fn mappings(&self) -> usize;

    /// Whether no further session can be taken in.
    fn is_full(&self) -> bool;

    /// The session that a packet belongs to, and the half of it. It may be past its deadline.
    fn find(&self, key: &FlowKey) -> Option<(SessionId, Half)>;

    /// Shows a session.
    ///
    /// # Panics
    /// If it has ended.
    fn session(&self, id: SessionId) -> Self::Session;

    /// What the TCP segments of a session have shown so far.
    ///
    /// # Panics
    /// If it has ended.
    fn tcp(&self, id: SessionId) -> TcpState {
        self.session(id).tcp()
    }

    /// The endpoint-independent mapping of an inside endpoint towards a VPC.
    fn mapping_of_inside(
        &self,
        inside_vpc: VpcId,
        outside_vpc: VpcId,
        protocol: Protocol,
        inside: SocketAddr,
    ) -> Option<MappingId>;

    /// The mapping that owns a public tuple.
    fn mapping_of_public(
        &self,
        outside_vpc: VpcId,
        protocol: Protocol,
        public: SocketAddr,
    ) -> Option<MappingId>;

    /// The endpoints of a mapping.
    ///
    /// # Panics
    /// If it has ended.
    fn mapping(&self, id: MappingId) -> MappingInfo;

    /// Whether a remote endpoint without a session may send to a mapping.
    fn admits(&self, mapping: MappingId, remote: SocketAddr, filtering: Filtering) -> bool;

    /// The public address that mappings of an inside host share, of its own family.
    fn paired_address(&self, inside_vpc: VpcId, outside_vpc: VpcId, host: IpAddr)
    -> Option<IpAddr>;

    /// Begins to fetch what [`insert`](Self::insert) will look at for a session of that new mapping
    /// towards that remote endpoint.
    fn expect(&self, mapping: &MappingInfo, remote_outside: SocketAddr) {
        let _ = (mapping, remote_outside);
    }

    /// Takes a session in.
    ///
    /// The caller has made sure that no packet would belong to it and to another session.
    ///
    /// # Panics
    /// If the manager is full.
    fn insert(&mut self, session: NewSession<L>) -> SessionId;

    /// Notes what a packet has shown, and the deadline it moved.
    fn refresh(&mut self, id: SessionId, tcp: TcpState, deadline: Tick);

    /// Notes that a session was checked against a configuration, in which its peering is that.
    fn checked(&mut self, id: SessionId, generation: u32, peering: PeeringIndex);

    /// Keeps new sessions from joining a mapping; those it has go on.
    fn withdraw(&mut self, mapping: MappingId);

    /// Removes a session, which ended for that reason.
    ///
    /// # Panics
    /// If it has ended before.
    fn remove(&mut self, id: SessionId, reason: EndReason) -> Removed<L>;

    /// Where to look for the session of a packet in plain form.
    ///
    /// This method and the three that follow are the short way: a manager that does not override
    /// them sees every packet by [`find`](Self::find) and [`refresh`](Self::refresh), with the
    /// same results. One that wraps a manager passes them on, or keeps them to see every packet.
    fn hint(&self, vpc: VpcId, packet: &PlainPacket) -> Hint {
        let _ = (vpc, packet);
        Hint::NONE
    }

    /// Begins to fetch what a hint leads to; called if there is something else to do meanwhile.
    fn fetch(&self, hint: &Hint) {
        let _ = hint;
    }

    /// Begins to fetch what [`travel`](Self::travel) will look at, now that what the hint leads to
    /// has been fetched.
    fn approach(&self, vpc: VpcId, packet: &PlainPacket, hint: &mut Hint) {
        let _ = (vpc, packet, hint);
    }

    /// Lets a packet travel along its session, if it has one that lives and is not to be looked at
    /// more closely: notes what the packet shows, and moves the deadline.
    fn travel(
        &mut self,
        vpc: VpcId,
        packet: &PlainPacket,
        hint: &Hint,
        moment: &Moment<'_>,
    ) -> Travel {
        let _ = (vpc, packet, hint, moment);
        Travel::Closer
    }

    /// The sender of a [`Stranger`](Travel::Stranger) that goes from one VPC to the other, if it
    /// is to have a mapping of its own, and does not send to a public tuple of either.
    ///
    /// This method and the two that follow are the short way of first packets; what is said of
    /// [`hint`](Self::hint) holds for them.
    fn newcomer(
        &self,
        vpcs: [VpcId; 2],
        endpoint_independent: bool,
        packet: &PlainPacket,
        hint: &Hint,
    ) -> Option<Newcomer> {
        let _ = (vpcs, endpoint_independent, packet, hint);
        None
    }

    /// The public address that mappings of the newcomer's host share.
    fn pair(&self, newcomer: &Newcomer, packet: &PlainPacket) -> Option<IpAddr> {
        let [inside, outside] = newcomer.vpcs();
        self.paired_address(inside, outside, packet.source())
    }

    /// Takes the session of a newcomer in and lets its packet [`travel`](Self::travel) along it.
    ///
    /// # Errors
    /// The lease, if answers could be mistaken for those of another session.
    ///
    /// # Panics
    /// If the manager is full.
    fn admit(
        &mut self,
        newcomer: &Newcomer,
        packet: &PlainPacket,
        new: NewLease<L>,
        moment: &Moment<'_>,
    ) -> Result<Admitted, L> {
        let _ = (newcomer, packet, moment);
        Err(new.lease)
    }

    /// The next session whose deadline is not after `now`. Costs one of `budget` for every entry
    /// looked at; `None` when there is none or the budget is spent.
    fn expired(&mut self, now: Tick, budget: &mut usize) -> Option<SessionId>;

    /// The next session that was not checked against `generation`; as [`expired`](Self::expired).
    fn unchecked(&mut self, generation: u32, budget: &mut usize) -> Option<SessionId>;
}

#[cfg(test)]
mod tests;
