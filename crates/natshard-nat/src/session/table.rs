//! The default session manager: one table, private to one function instance.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use ahash::RandomState;
use hashbrown::HashTable;
use natshard::{Protocol, Tick};

use super::entry::{Addr, Key, Mapping, NONE, Outcome, Session};
use super::slab::Slab;
use super::timer::Wheel;
use super::{
    FlowKey, Half, MappingId, NatSession, NatSessionManager, NewMapping, NewSession, Removed,
    RemovedMapping, SessionId, TcpState,
};
use crate::config::{Filtering, PeeringIndex};
use crate::event::{MappingInfo, SessionInfo};
use crate::reason::EndReason;
use crate::tuple::VpcId;

/// The default [`NatSessionManager`].
///
/// Memory per session, with a mapping of its own, everything told: 56 bytes for the session with
/// its timer, 80 for the mapping with an engine lease, and five index entries of five bytes at a
/// load of 44 to 88 %; further sessions of a mapping cost 56 bytes and three entries. Tables made
/// by [`new`](Self::new) grow by doubling, which moves them in one go: a worker that must not stop
/// for that takes [`preallocated`](Self::preallocated). A full table refuses; it never overwrites
/// a session.
pub struct SessionTable<L> {
    limit: usize,
    sessions: Slab<Session>,
    mappings: Slab<Mapping<L>>,
    /// Remote endpoints outside, of the few sessions whose destination is translated.
    redirects: Slab<(Addr, u16)>,
    /// Both halves of every session: its index twice, plus one for the outside half.
    flows: HashTable<u32>,
    by_inside: HashTable<u32>,
    by_public: HashTable<u32>,
    /// One session of each ring of sessions with the same mapping and remote address.
    peers: HashTable<u32>,
    hosts: HashTable<Host>,
    wheel: Wheel,
    hasher: RandomState,
    /// The generation that a sweep looks for older sessions than, and where it is.
    sweep: (u32, u32),
}

/// An inside host with mappings.
#[derive(Debug)]
struct Host {
    key: Key,
    /// Mappings it has.
    mappings: u32,
    /// The public address of the latest one.
    public: Addr,
}

impl<L> SessionTable<L> {
    /// The most sessions that a table can have.
    pub const MAX_SESSIONS: usize = (1 << 30) - 1;

    /// A table of at most so many sessions that grows as they come.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self::with_capacity(limit, 0)
    }

    /// A table of so many sessions whose memory is all there from the beginning.
    #[must_use]
    pub fn preallocated(limit: usize) -> Self {
        Self::with_capacity(limit, limit.min(Self::MAX_SESSIONS))
    }

    fn with_capacity(limit: usize, capacity: usize) -> Self {
        SessionTable {
            limit: limit.min(Self::MAX_SESSIONS),
            sessions: Slab::with_capacity(capacity),
            mappings: Slab::with_capacity(capacity),
            redirects: Slab::with_capacity(0),
            flows: HashTable::with_capacity(capacity * 2),
            by_inside: HashTable::with_capacity(capacity),
            by_public: HashTable::with_capacity(capacity),
            peers: HashTable::with_capacity(capacity),
            hosts: HashTable::new(),
            wheel: Wheel::with_capacity(capacity),
            hasher: RandomState::new(),
            sweep: (0, 0),
        }
    }

    /// Every session, in no order. Looks at every slot: for inspection, not for packets.
    pub fn iter(&self) -> impl Iterator<Item = TableSession> {
        (0..self.sessions.slots())
            .filter(|index| self.sessions.get(*index).is_some())
            .map(|index| self.session(SessionId(index)))
    }

    fn remote_outside(&self, session: &Session) -> (Addr, u16) {
        remote_outside(&self.redirects, session)
    }

    fn hash(&self, key: &Key) -> u64 {
        self.hasher.hash_one(key)
    }

    fn insert_mapping(&mut self, mapping: Mapping<L>) -> u32 {
        let (inside_key, public_key) = (mapping.inside_key(), mapping.public_key());
        let (host_key, public) = (mapping.host_key(), mapping.public);
        let by_inside = mapping.by_inside;
        let index = self.mappings.insert(mapping);
        let (mappings, hasher) = (&self.mappings, &self.hasher);
        if by_inside {
            let rehash = |index: &u32| hasher.hash_one(mappings[*index].inside_key());
            self.by_inside
                .insert_unique(hasher.hash_one(inside_key), index, rehash);
        }
        let rehash = |index: &u32| hasher.hash_one(mappings[*index].public_key());
        self.by_public
            .insert_unique(hasher.hash_one(public_key), index, rehash);
        let hash = hasher.hash_one(host_key);
        let host = self.hosts.entry(
            hash,
            |host| host.key == host_key,
            |host| hasher.hash_one(host.key),
        );
        let mut host = host.or_insert(Host {
            key: host_key,
            mappings: 0,
            public,
        });
        host.get_mut().mappings += 1;
        host.get_mut().public = public;
        index
    }

    /// Takes a mapping out of the indices that lead new sessions to it.
    fn unlist(&mut self, index: u32) {
        let mapping = &mut self.mappings[index];
        if std::mem::take(&mut mapping.by_inside) {
            let hash = self.hasher.hash_one(mapping.inside_key());
            remove_index(&mut self.by_inside, hash, index);
        }
        if std::mem::take(&mut mapping.by_public) {
            let hash = self.hasher.hash_one(mapping.public_key());
            remove_index(&mut self.by_public, hash, index);
            let key = mapping.host_key();
            let hash = self.hasher.hash_one(key);
            let host = self.hosts.find_entry(hash, |host| host.key == key);
            let mut host = host.expect("a listed mapping counts for its host");
            host.get_mut().mappings -= 1;
            if host.get().mappings == 0 {
                host.remove();
            }
        }
    }

    /// Enters a session into the ring of those with the same mapping and remote address.
    fn join_peers(&mut self, index: u32) {
        let session = &self.sessions[index];
        let key = Key::of_peer(session.mapping, self.remote_outside(session).0);
        let hash = self.hash(&key);
        let (sessions, redirects) = (&self.sessions, &self.redirects);
        let key_of = |index: u32| {
            let session = &sessions[index];
            Key::of_peer(session.mapping, remote_outside(redirects, session).0)
        };
        match self
            .peers
            .find(hash, |other| key_of(*other) == key)
            .copied()
        {
            None => {
                let rehash = |index: &u32| self.hasher.hash_one(key_of(*index));
                self.peers.insert_unique(hash, index, rehash);
            }
            Some(first) => {
                let next = self.sessions[first].peer_next;
                self.sessions[index].peer_next = next;
                self.sessions[index].peer_prev = first;
                self.sessions[first].peer_next = index;
                self.sessions[next].peer_prev = index;
            }
        }
    }

    fn leave_peers(&mut self, index: u32) {
        let session = &self.sessions[index];
        let (next, prev) = (session.peer_next, session.peer_prev);
        let hash = self.hash(&Key::of_peer(
            session.mapping,
            self.remote_outside(session).0,
        ));
        if let Ok(mut entry) = self.peers.find_entry(hash, |other| *other == index) {
            if next == index {
                entry.remove();
            } else {
                *entry.get_mut() = next;
            }
        }
        self.sessions[prev].peer_next = next;
        self.sessions[next].peer_prev = prev;
    }

    fn flow_key(&self, index: u32, half: Half) -> Key {
        flow_key(&self.sessions, &self.mappings, &self.redirects, index, half)
    }
}

impl<L> fmt::Debug for SessionTable<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionTable")
            .field("limit", &self.limit)
            .field("sessions", &self.sessions.len())
            .field("mappings", &self.mappings.len())
            .finish_non_exhaustive()
    }
}

fn remove_index(table: &mut HashTable<u32>, hash: u64, index: u32) {
    if let Ok(entry) = table.find_entry(hash, |other| *other == index) {
        entry.remove();
    }
}

fn remote_outside(redirects: &Slab<(Addr, u16)>, session: &Session) -> (Addr, u16) {
    match session.redirect {
        NONE => (session.remote, session.remote_port),
        redirect => redirects[redirect],
    }
}

fn flow_key<L>(
    sessions: &Slab<Session>,
    mappings: &Slab<Mapping<L>>,
    redirects: &Slab<(Addr, u16)>,
    index: u32,
    half: Half,
) -> Key {
    let session = &sessions[index];
    mappings[session.mapping].flow_key(
        half,
        (session.remote, session.remote_port),
        remote_outside(redirects, session),
    )
}

const HALVES: [Half; 2] = [Half::Inside, Half::Outside];

/// The index entry of one half of a session.
const fn flow_entry(index: u32, half: Half) -> u32 {
    index << 1 | half as u32
}

/// The session and half behind an index entry.
const fn flow_of(entry: u32) -> (u32, Half) {
    (entry >> 1, HALVES[(entry & 1) as usize])
}

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
            info: mapping.session_info(session, self.remote_outside(session)),
            deadline: session.deadline,
            mapping: MappingId(session.mapping),
            generation: session.generation,
            peering: mapping.peering,
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
        let key = Key::of_host(inside_vpc, outside_vpc, host);
        let host_of = self.hosts.find(self.hash(&key), |entry| entry.key == key)?;
        Some(host_of.public.ip(host.is_ipv6()))
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
                by_inside: endpoint_independent,
                by_public: true,
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
        for half in HALVES {
            let key = self.flow_key(index, half);
            let hash = self.hash(&key);
            let (sessions, mappings, redirects) = (&self.sessions, &self.mappings, &self.redirects);
            let key_of = |entry: &u32| {
                let (index, half) = flow_of(*entry);
                flow_key(sessions, mappings, redirects, index, half)
            };
            let taken = self.flows.find(hash, |entry| key_of(entry) == key);
            assert!(taken.is_none(), "two sessions with the same packets");
            let rehash = |entry: &u32| self.hasher.hash_one(key_of(entry));
            self.flows
                .insert_unique(hash, flow_entry(index, half), rehash);
        }
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
        for half in HALVES {
            let hash = self.hash(&self.flow_key(id.0, half));
            remove_index(&mut self.flows, hash, flow_entry(id.0, half));
        }
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

/// A session of a [`SessionTable`].
#[derive(Clone, Copy, Debug)]
pub struct TableSession {
    info: SessionInfo,
    deadline: Tick,
    mapping: MappingId,
    generation: u32,
    peering: PeeringIndex,
    tcp: TcpState,
    hairpin: bool,
}

impl NatSession for TableSession {
    fn info(&self) -> SessionInfo {
        self.info
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
