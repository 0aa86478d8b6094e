//! The default table as a [`NatSessionManager`].

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use natshard::{Protocol, Tick};

use super::entry::{Addr, Key, Listing, Mapping, NONE, Outcome, Session};
use super::table::{SessionTable, flow_of};
use super::{
    FlowKey, Half, MappingId, NatSession, NatSessionManager, NewMapping, NewSession, Removed,
    RemovedMapping, SessionId, TcpState,
};
use crate::config::{Filtering, PeeringIndex};
use crate::event::{MappingInfo, SessionInfo};
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
        let key = Key::of_flow(key);
        let entry = self.flows.find(self.hash(&key), |entry| {
            let (index, half) = flow_of(*entry);
            self.flow_key(index, half) == key
        })?;
        let (index, half) = flow_of(*entry);
        Some((SessionId(index), half))
    }

    #[inline]
    fn session(&self, id: SessionId) -> TableSession {
        let session = &self.sessions[id.0];
        let mapping = &self.mappings[session.mapping];
        TableSession {
            inside: (mapping.inside, mapping.inside_port),
            public: (mapping.public, mapping.public_port),
            remote: (session.remote, session.remote_port),
            remote_outside: self.remote_outside(session),
            inside_vpc: mapping.inside_vpc,
            outside_vpc: mapping.outside_vpc,
            deadline: session.deadline,
            mapping: MappingId(session.mapping),
            generation: session.generation,
            peering: mapping.peering,
            protocol: mapping.protocol,
            v6: mapping.v6,
            tcp: session.tcp,
            hairpin: session.hairpin,
        }
    }

    fn mapping_of_inside(
        &self,
        inside_vpc: VpcId,
        outside_vpc: VpcId,
        protocol: Protocol,
        inside: SocketAddr,
    ) -> Option<MappingId> {
        let key = Key::of_inside(inside_vpc, outside_vpc, protocol, inside);
        let found = self.by_inside.find(self.hash(&key), |index| {
            self.mappings[*index].inside_key() == key
        })?;
        Some(MappingId(*found))
    }

    fn mapping_of_public(
        &self,
        outside_vpc: VpcId,
        protocol: Protocol,
        public: SocketAddr,
    ) -> Option<MappingId> {
        let key = Key::of_public(outside_vpc, protocol, public);
        let found = self.by_public.find(self.hash(&key), |index| {
            self.mappings[*index].public_key() == key
        })?;
        Some(MappingId(*found))
    }

    fn mapping(&self, id: MappingId) -> MappingInfo {
        self.mappings[id.0].info()
    }

    fn admits(&self, mapping: MappingId, remote: SocketAddr, filtering: Filtering) -> bool {
        match filtering {
            Filtering::EndpointIndependent => true,
            Filtering::AddressDependent => {
                let key = Key::of_peer(mapping.0, Addr::of(remote.ip()));
                let is_peer = |index: &u32| {
                    let session = &self.sessions[*index];
                    Key::of_peer(session.mapping, self.remote_outside(session).0) == key
                };
                self.peers.find(self.hash(&key), is_peer).is_some()
            }
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
        self.hosts
            .public_address(inside_vpc, outside_vpc, host, &self.hasher)
    }

    fn insert(&mut self, new: NewSession<L>) -> SessionId {
        assert!(!self.is_full(), "the session table is full");
        let mapping = match new.mapping {
            NewMapping::Existing(id) => id.0,
            NewMapping::New {
                lease,
                info,
                endpoint_independent,
            } => self.insert_mapping(Mapping {
                inside: Addr::of(info.inside.ip()),
                public: Addr::of(info.public.ip()),
                inside_vpc: info.inside_vpc,
                outside_vpc: info.outside_vpc,
                peering: new.peering,
                sessions: 0,
                inside_port: info.inside.port(),
                public_port: info.public.port(),
                protocol: info.protocol,
                v6: info.inside.is_ipv6(),
                listing: match endpoint_independent {
                    true => Listing::ByBoth,
                    false => Listing::ByPublic,
                },
                outcome: Outcome::Unused,
                lease,
            }),
        };
        self.mappings[mapping].sessions += 1;
        self.mappings[mapping].peering = new.peering;
        let redirect = if new.remote == new.remote_outside {
            NONE
        } else {
            self.redirects
                .insert((Addr::of(new.remote_outside.ip()), new.remote_outside.port()))
        };
        let index = self.sessions.insert(Session {
            remote: Addr::of(new.remote.ip()),
            deadline: new.deadline,
            mapping,
            generation: new.generation,
            redirect,
            peer_next: NONE,
            peer_prev: NONE,
            remote_port: new.remote.port(),
            tcp: TcpState::NEW,
            hairpin: new.hairpin,
        });
        self.sessions[index].peer_next = index;
        self.sessions[index].peer_prev = index;
        self.join_peers(index);
        self.list_flows(index);
        self.wheel.insert(index, new.deadline);
        SessionId(index)
    }

    fn refresh(&mut self, id: SessionId, tcp: TcpState, deadline: Tick) {
        let session = &mut self.sessions[id.0];
        session.tcp = tcp;
        let before = std::mem::replace(&mut session.deadline, deadline);
        if deadline < before {
            self.wheel.remove(id.0);
            self.wheel.insert(id.0, deadline);
        }
    }

    fn checked(&mut self, id: SessionId, generation: u32, peering: PeeringIndex) {
        let session = &mut self.sessions[id.0];
        session.generation = generation;
        self.mappings[session.mapping].peering = peering;
    }

    fn withdraw(&mut self, mapping: MappingId) {
        self.unlist(mapping.0);
    }

    fn remove(&mut self, id: SessionId, reason: EndReason) -> Removed<L> {
        let info = self.session(id).info();
        self.unlist_flows(id.0);
        self.leave_peers(id.0);
        self.wheel.remove(id.0);
        let session = self.sessions.remove(id.0);
        if session.redirect != NONE {
            self.redirects.remove(session.redirect);
        }
        let mapping = &mut self.mappings[session.mapping];
        mapping.sessions -= 1;
        mapping.outcome = mapping.outcome.and(reason);
        let last = mapping.sessions == 0;
        Removed {
            session: info,
            mapping: last.then(|| {
                self.unlist(session.mapping);
                let mapping = self.mappings.remove(session.mapping);
                RemovedMapping {
                    info: mapping.info(),
                    reason: mapping.outcome.reason(),
                    lease: mapping.lease,
                }
            }),
        }
    }

    fn expired(&mut self, now: Tick, budget: &mut usize) -> Option<SessionId> {
        let sessions = &self.sessions;
        self.wheel
            .due(now, budget, |index| sessions[index].deadline)
            .map(SessionId)
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

/// A session of a [`SessionTable`], as it was when it was asked for.
#[derive(Clone, Copy)]
pub struct TableSession {
    inside: (Addr, u16),
    public: (Addr, u16),
    remote: (Addr, u16),
    remote_outside: (Addr, u16),
    inside_vpc: VpcId,
    outside_vpc: VpcId,
    deadline: Tick,
    mapping: MappingId,
    generation: u32,
    peering: PeeringIndex,
    protocol: Protocol,
    v6: bool,
    tcp: TcpState,
    hairpin: bool,
}

impl NatSession for TableSession {
    #[inline]
    fn info(&self) -> SessionInfo {
        let end = |(address, port): (Addr, u16)| SocketAddr::new(address.ip(self.v6), port);
        SessionInfo {
            mapping: MappingInfo {
                inside_vpc: self.inside_vpc,
                outside_vpc: self.outside_vpc,
                protocol: self.protocol,
                inside: end(self.inside),
                public: end(self.public),
            },
            remote: end(self.remote),
            remote_outside: end(self.remote_outside),
        }
    }

    fn mapping(&self) -> MappingId {
        self.mapping
    }

    fn deadline(&self) -> Tick {
        self.deadline
    }

    fn tcp(&self) -> TcpState {
        self.tcp
    }

    fn generation(&self) -> u32 {
        self.generation
    }

    fn peering(&self) -> PeeringIndex {
        self.peering
    }

    fn is_hairpin(&self) -> bool {
        self.hairpin
    }
}

impl fmt::Debug for TableSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableSession")
            .field("info", &self.info())
            .field("deadline", &self.deadline)
            .field("tcp", &self.tcp)
            .finish_non_exhaustive()
    }
}
