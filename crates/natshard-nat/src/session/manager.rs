//! The default table as a [`NatSessionManager`].

use std::net::{IpAddr, SocketAddr};

use natshard::{Protocol, Tick};

use super::entry::{Ends, HAIRPIN, Key, Kind, PLAIN, REDIRECT, end_of};
use super::shown::{TableSession, info_of};
use super::table::SessionTable;
use super::{
    Admitted, FlowKey, Half, Hint, MappingId, Moment, NatSessionManager, NewLease, NewMapping,
    NewSession, Newcomer, Removed, RemovedMapping, SessionId, TcpState, Travel,
};
use crate::addr::{Addr, is_translatable};
use crate::config::{Filtering, PeeringIndex};
use crate::event::MappingInfo;
use crate::packet::PlainPacket;
use crate::reason::EndReason;
use crate::tuple::VpcId;

impl<L> NatSessionManager<L> for SessionTable<L> {
    type Session = TableSession;

    fn len(&self) -> usize {
        self.sessions.len()
    }

    fn mappings(&self) -> usize {
        self.mappings.len()
    }

    fn is_full(&self) -> bool {
        self.sessions.len() >= self.limit
    }

    fn find(&self, key: &FlowKey) -> Option<(SessionId, Half)> {
        let (index, half) = self.find_flow(&Key::of_flow(key))?;
        Some((SessionId(index), half))
    }

    #[inline]
    fn session(&self, id: SessionId) -> TableSession {
        let session = &self.sessions[id.0];
        let [remote, remote_outside] = self.remotes(session);
        TableSession {
            ends: self.ends_of(session),
            remote,
            remote_outside,
            deadline: session.deadline,
            mapping: MappingId(session.mapping),
            generation: session.generation,
            peering: session.peering,
            tcp: session.tcp,
            hairpin: session.flags & HAIRPIN != 0,
        }
    }

    #[inline]
    fn tcp(&self, id: SessionId) -> TcpState {
        self.sessions[id.0].tcp
    }

    fn mapping_of_inside(
        &self,
        inside_vpc: VpcId,
        outside_vpc: VpcId,
        protocol: Protocol,
        inside: SocketAddr,
    ) -> Option<MappingId> {
        let kind = Kind::of(protocol, inside.is_ipv6());
        let (address, port) = end_of(inside);
        let key = Key::of_inside([inside_vpc, outside_vpc], kind, address, port);
        self.inside_mapping(self.secret.hash(&key), &key)
    }

    fn mapping_of_public(
        &self,
        outside_vpc: VpcId,
        protocol: Protocol,
        public: SocketAddr,
    ) -> Option<MappingId> {
        let kind = Kind::of(protocol, public.is_ipv6());
        let found = self.public_mapping(outside_vpc, kind, end_of(public))?;
        Some(MappingId(found))
    }

    fn mapping(&self, id: MappingId) -> MappingInfo {
        self.ends(&self.mappings[id.0]).info()
    }

    fn admits(&self, mapping: MappingId, remote: SocketAddr, filtering: Filtering) -> bool {
        match filtering {
            Filtering::EndpointIndependent => true,
            Filtering::AddressDependent => self.has_peer(mapping.0, end_of(remote)),
            // Its port counts as well, and then it would have a session.
            Filtering::AddressAndPortDependent => false,
        }
    }

    fn paired_address(
        &self,
        inside_vpc: VpcId,
        outside_vpc: VpcId,
        host: IpAddr,
    ) -> Option<IpAddr> {
        let key = Key::of_host([inside_vpc, outside_vpc], host.is_ipv6(), Addr::of(host));
        let place = self.hosts.place(&key, self.secret.hash(&key));
        let public = self.hosts.public_address(place, &key)?;
        Some(public.ip(host.is_ipv6()))
    }

    #[inline]
    fn expect(&self, mapping: &MappingInfo, remote_outside: SocketAddr) {
        self.fetch_expected(&Ends::of(mapping), end_of(remote_outside));
    }

    fn insert(&mut self, new: NewSession<L>) -> SessionId {
        assert!(!self.is_full(), "the session table is full");
        let (mapping, ends) = match new.mapping {
            NewMapping::Existing(id) => (id.0, self.ends(&self.mappings[id.0])),
            NewMapping::New {
                lease,
                info,
                endpoint_independent,
            } => {
                let ends = Ends::of(&info);
                let mapping = self.mapping_with(&ends, lease, endpoint_independent);
                let hashes = self.mapping_hashes(&ends);
                (self.insert_mapping(mapping, &ends, &hashes), ends)
            }
        };
        let remotes = [end_of(new.remote), end_of(new.remote_outside)];
        let [remote, outside] = remotes;
        let mut flags = 0;
        if remote != outside {
            flags |= REDIRECT;
        } else if !new.hairpin
            && ends.is_plain()
            && is_translatable(new.remote.ip())
            && is_translatable(ends.tuples()[0].ip())
        {
            flags |= PLAIN;
        }
        if new.hairpin {
            flags |= HAIRPIN;
        }
        let made = (mapping, new.peering, new.generation, new.deadline);
        let index = self.insert_session(&ends, remotes, flags, made);
        let keys = [ends.question_key(remote), ends.answer_key(outside)];
        self.list_flows(index, self.flow_hashes(&keys));
        SessionId(index)
    }

    fn refresh(&mut self, id: SessionId, tcp: TcpState, deadline: Tick) {
        let session = &mut self.sessions[id.0];
        session.tcp = tcp;
        let before = std::mem::replace(&mut session.deadline, deadline);
        if deadline < before {
            session.armed = self.wheel.hasten(id.0, session.armed, deadline);
        }
    }

    fn checked(&mut self, id: SessionId, generation: u32, peering: PeeringIndex) {
        let session = &mut self.sessions[id.0];
        session.generation = generation;
        session.peering = peering;
    }

    fn withdraw(&mut self, mapping: MappingId) {
        let ends = self.ends(&self.mappings[mapping.0]);
        self.unlist(mapping.0, &ends);
    }

    #[inline]
    fn remove(&mut self, id: SessionId, reason: EndReason) -> Removed<L> {
        let session = &self.sessions[id.0];
        let (ends, [remote, outside]) = (self.ends_of(session), self.remotes(session));
        let info = info_of(&ends, remote, outside);
        let keys = [ends.question_key(remote), ends.answer_key(outside)];
        self.unlist_flows(id.0, self.flow_hashes(&keys));
        self.leave_peers(id.0);
        let session = self.sessions.remove(id.0);
        self.wheel.remove(id.0, session.armed);
        self.clear(&session);
        let mapping = &mut self.mappings[session.mapping];
        mapping.sessions -= 1;
        mapping.outcome = mapping.outcome.and(reason);
        let last = mapping.sessions == 0;
        Removed {
            session: info,
            mapping: last.then(|| {
                self.unlist(session.mapping, &ends);
                let mapping = self.mappings.remove(session.mapping);
                if mapping.kind.is_v6() {
                    self.pairs.remove(mapping.inside);
                }
                RemovedMapping {
                    info: info.mapping,
                    reason: mapping.outcome.reason(),
                    lease: mapping.lease,
                }
            }),
        }
    }

    #[inline]
    fn hint(&self, vpc: VpcId, packet: &PlainPacket) -> Hint {
        self.hint_of(vpc, packet)
    }

    #[inline]
    fn fetch(&self, hint: &Hint) {
        self.fetch_hinted(hint);
    }

    #[inline]
    fn approach(&self, vpc: VpcId, packet: &PlainPacket, hint: &mut Hint) {
        self.approach_to(vpc, packet, hint);
    }

    #[inline(always)]
    fn travel(
        &mut self,
        vpc: VpcId,
        packet: &PlainPacket,
        hint: &Hint,
        moment: &Moment<'_>,
    ) -> Travel {
        self.travel_along(vpc, packet, hint, moment)
    }

    #[inline]
    fn newcomer(
        &self,
        vpcs: [VpcId; 2],
        endpoint_independent: bool,
        packet: &PlainPacket,
        hint: &Hint,
    ) -> Option<Newcomer> {
        self.newcomer_of(vpcs, endpoint_independent, packet, hint)
    }

    #[inline]
    fn pair(&self, newcomer: &Newcomer, packet: &PlainPacket) -> Option<IpAddr> {
        Some(self.pair_of(newcomer, packet)?.ip(packet.v6))
    }

    #[inline]
    fn admit(
        &mut self,
        newcomer: &Newcomer,
        packet: &PlainPacket,
        new: NewLease<L>,
        moment: &Moment<'_>,
    ) -> Result<Admitted, L> {
        self.admit_newcomer(newcomer, packet, new, moment)
    }

    fn expired(&mut self, now: Tick, budget: &mut usize) -> Option<SessionId> {
        let due = self.wheel.due(now, budget, &mut self.sessions)?;
        self.fetch_upcoming();
        Some(SessionId(due))
    }

    fn unchecked(&mut self, generation: u32, budget: &mut usize) -> Option<SessionId> {
        if self.sweep.0 != generation {
            self.sweep = (generation, 0);
        }
        while *budget > 0 && self.sweep.1 < self.sessions.slots() {
            let index = self.sweep.1;
            self.sweep.1 += 1;
            *budget -= 1;
            if self
                .sessions
                .get(index)
                .is_some_and(|session| session.generation != generation)
            {
                return Some(SessionId(index));
            }
        }
        None
    }
}
