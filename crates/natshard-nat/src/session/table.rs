//! The default session manager: one table, private to one function instance.

use std::fmt;

use ahash::RandomState;
use hashbrown::HashTable;

use super::entry::{Addr, Key, Listing, Mapping, NONE, Session};
use super::hosts::Hosts;
use super::manager::TableSession;
use super::slab::Slab;
use super::timer::Wheel;
use super::{Half, NatSessionManager, SessionId};

/// The default [`NatSessionManager`].
///
/// Memory per session, with a mapping of its own, everything told: 56 bytes for the session with
/// its timer, 72 for the mapping with an engine lease, and five index entries of five bytes at a
/// load of 44 to 88 %, so 157 to 185; further sessions of a mapping cost 56 bytes and three
/// entries. The indices are fullest just below a power of two times 7/8: 917,504 sessions, say.
/// An inside host with mappings costs an index entry of 48 bytes.
///
/// Tables made by [`new`](Self::new) grow by doubling, which moves them in one go: a worker that
/// must not stop for that takes [`preallocated`](Self::preallocated). A full table refuses; it
/// never overwrites a session.
pub struct SessionTable<L> {
    pub(super) limit: usize,
    pub(super) sessions: Slab<Session>,
    pub(super) mappings: Slab<Mapping<L>>,
    /// Remote endpoints outside, of the few sessions whose destination is translated.
    pub(super) redirects: Slab<(Addr, u16)>,
    /// Both halves of every session: its index twice, plus one for the outside half.
    pub(super) flows: HashTable<u32>,
    pub(super) by_inside: HashTable<u32>,
    pub(super) by_public: HashTable<u32>,
    /// One session of each ring of sessions with the same mapping and remote address.
    pub(super) peers: HashTable<u32>,
    pub(super) hosts: Hosts,
    pub(super) wheel: Wheel,
    pub(super) hasher: RandomState,
    /// The generation that a sweep looks for older sessions than, and where it is.
    pub(super) sweep: (u32, u32),
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
            hosts: Hosts::default(),
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

    pub(super) fn remote_outside(&self, session: &Session) -> (Addr, u16) {
        remote_outside(&self.redirects, session)
    }

    pub(super) fn hash(&self, key: &Key) -> u64 {
        self.hasher.hash_one(key)
    }

    pub(super) fn insert_mapping(&mut self, mapping: Mapping<L>) -> u32 {
        let (inside_key, public_key) = (mapping.inside_key(), mapping.public_key());
        let by_inside = mapping.listing == Listing::ByBoth;
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
        self.hosts.join(&self.mappings[index], &self.hasher);
        index
    }

    /// Takes a mapping out of the indices that lead new sessions to it.
    pub(super) fn unlist(&mut self, index: u32) {
        let mapping = &mut self.mappings[index];
        let listing = std::mem::replace(&mut mapping.listing, Listing::Unlisted);
        if listing == Listing::Unlisted {
            return;
        }
        if listing == Listing::ByBoth {
            let hash = self.hasher.hash_one(mapping.inside_key());
            remove_index(&mut self.by_inside, hash, index);
        }
        let hash = self.hasher.hash_one(mapping.public_key());
        remove_index(&mut self.by_public, hash, index);
        self.hosts.leave(&self.mappings[index], &self.hasher);
    }

    /// Enters a session into the ring of those with the same mapping and remote address.
    pub(super) fn join_peers(&mut self, index: u32) {
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

    pub(super) fn leave_peers(&mut self, index: u32) {
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

    /// Lets both halves of a session be found.
    ///
    /// # Panics
    /// If another session has packets that read the same.
    pub(super) fn list_flows(&mut self, index: u32) {
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
    }

    pub(super) fn unlist_flows(&mut self, index: u32) {
        for half in HALVES {
            let hash = self.hash(&self.flow_key(index, half));
            remove_index(&mut self.flows, hash, flow_entry(index, half));
        }
    }

    pub(super) fn flow_key(&self, index: u32, half: Half) -> Key {
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
pub(super) const fn flow_of(entry: u32) -> (u32, Half) {
    (entry >> 1, HALVES[(entry & 1) as usize])
}
