//! The default session manager: one table, private to one function instance.

use std::fmt;

use natshard::Tick;

use super::entry::{End, Ends, Key, Listing, Mapping, Pair, REDIRECT, Redirect, Session, Wide};
use super::hash::Secret;
use super::hosts::Hosts;
use super::index::Index;
use super::places::{Places, ends_in};
use super::shown::TableSession;
use super::slab::Slab;
use super::timer::{Armed, Wheel};
use super::{Half, NatSessionManager, SessionId};
use crate::addr::Addr;
use crate::tuple::VpcId;

/// The default [`NatSessionManager`].
///
/// Memory per IPv4 session with a mapping of its own, everything told: 64 bytes for the session, 48
/// for the mapping with an engine lease, 9 in the timer wheel, and four index entries of 6.4 to 9.6
/// bytes each: 147 to 160, 152 on the average. Further sessions of a mapping cost 64 bytes, 9, and
/// three entries. IPv6 costs 56 bytes more per session and 40 per mapping, a destination that is
/// translated 48 more per session, an inside host with mappings 48 and an entry.
///
/// Nothing is moved in one go when a table grows: sessions lie in chunks, and the indices move a
/// bucket with every insertion. [`preallocated`](Self::preallocated) takes all memory at the
/// beginning. A full table refuses; it never overwrites a session.
pub struct SessionTable<L> {
    pub(super) limit: usize,
    pub(super) sessions: Slab<Session>,
    pub(super) mappings: Slab<Mapping<L>>,
    /// Addresses of IPv6 sessions and mappings.
    pub(super) wides: Slab<Wide>,
    pub(super) pairs: Slab<Pair>,
    /// Remote endpoints of the few sessions whose destination is translated.
    pub(super) redirects: Slab<Redirect>,
    /// Both halves of every session: its index twice, plus one for the outside half.
    pub(super) flows: Index,
    pub(super) by_inside: Index,
    pub(super) by_public: Index,
    /// One session of each ring of sessions with the same mapping and remote address, of crowded
    /// mappings.
    pub(super) peers: Index,
    /// Mappings in `by_public` by the hash of their public address: most remote addresses are
    /// nobody's, and need no look at the index.
    pub(super) publics: Box<[u32; PUBLICS]>,
    pub(super) hosts: Hosts,
    pub(super) wheel: Wheel,
    pub(super) secret: Secret,
    /// Where the latest mapping leads to.
    pub(super) last_outside: VpcId,
    /// The generation that a sweep looks for older sessions than, and where it is.
    pub(super) sweep: (u32, u32),
}

pub(super) const PUBLICS: usize = 2048;

/// What a mapping is entered under.
#[derive(Clone, Copy, Debug)]
pub(super) struct MappingHashes {
    pub(super) inside: u32,
    pub(super) public: u32,
    pub(super) host: u32,
    /// Where the host is, if that is known.
    pub(super) place: Option<u32>,
}

/// The place of a public address of a VPC among [`SessionTable::publics`]. Not secret: whoever sends
/// to addresses that share a place with a public one has them looked up, and that is all.
#[inline]
pub(super) const fn public_place(outside: VpcId, public: Addr) -> usize {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let Addr([high, low]) = public;
    let vpc = (outside.as_u32() as u64).rotate_right(24);
    let mixed = (high.rotate_left(32) ^ low ^ vpc).wrapping_mul(ODD);
    (mixed >> (u64::BITS - PUBLICS.ilog2())) as usize
}

impl<L> SessionTable<L> {
    /// The most sessions that a table can have.
    pub const MAX_SESSIONS: usize = (1 << 30) - 1;

    /// A table of at most so many sessions that grows as they come.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self::with_capacity(limit, 0)
    }

    /// A table of so many sessions whose memory is all there from the beginning, unless IPv6 or
    /// translated destinations want more; in huge pages where the system has them (Linux, unless
    /// `/sys/kernel/mm/transparent_hugepage/enabled` says `never`).
    #[must_use]
    pub fn preallocated(limit: usize) -> Self {
        Self::with_capacity(limit, limit.min(Self::MAX_SESSIONS))
    }

    fn with_capacity(limit: usize, capacity: usize) -> Self {
        SessionTable {
            limit: limit.min(Self::MAX_SESSIONS),
            sessions: Slab::with_capacity(capacity),
            mappings: Slab::with_capacity(capacity),
            wides: Slab::with_capacity(0),
            pairs: Slab::with_capacity(0),
            redirects: Slab::with_capacity(0),
            flows: Index::with_capacity(capacity * 2),
            by_inside: Index::with_capacity(capacity),
            by_public: Index::with_capacity(capacity),
            peers: Index::with_capacity(0),
            publics: Box::new([0; PUBLICS]),
            hosts: Hosts::new(),
            wheel: Wheel::with_capacity(capacity),
            secret: Secret::new(),
            last_outside: VpcId::default(),
            sweep: (0, 0),
        }
    }

    /// Every session, in no order. Looks at every slot: for inspection, not for packets.
    pub fn iter(&self) -> impl Iterator<Item = TableSession> {
        (0..self.sessions.slots())
            .filter(|index| self.sessions.get(*index).is_some())
            .map(|index| self.session(SessionId(index)))
    }

    fn places(&self) -> Places<'_> {
        Places {
            wides: &self.wides,
            redirects: &self.redirects,
        }
    }

    #[inline]
    pub(super) fn remote_outside(&self, session: &Session) -> End {
        self.places().remotes(session)[1]
    }

    /// The remote endpoint as the inside addresses it, and as it is addressed outside.
    #[inline]
    pub(super) fn remotes(&self, session: &Session) -> [End; 2] {
        self.places().remotes(session)
    }

    /// The ends of a session's mapping, without a look at that.
    #[inline]
    pub(super) fn ends_of(&self, session: &Session) -> Ends {
        self.places().ends(session)
    }

    #[inline]
    pub(super) fn ends(&self, mapping: &Mapping<L>) -> Ends {
        ends_in(&self.pairs, mapping)
    }

    #[inline(always)]
    pub(super) fn insert_mapping(
        &mut self,
        mapping: Mapping<L>,
        ends: &Ends,
        hashes: &MappingHashes,
    ) -> u32 {
        self.last_outside = ends.vpcs[1];
        let by_inside = mapping.listing == Listing::ByBoth;
        let index = self.mappings.insert(mapping);
        let (mappings, pairs, secret) = (&self.mappings, &self.pairs, &self.secret);
        if by_inside {
            self.by_inside.insert(hashes.inside, index, |index| {
                secret.hash(&ends_in(pairs, &mappings[index]).inside_key())
            });
        }
        self.by_public.insert(hashes.public, index, |index| {
            secret.hash(&ends_in(pairs, &mappings[index]).public_key())
        });
        self.publics[public_place(ends.vpcs[1], ends.public)] += 1;
        self.hosts.join(ends, hashes.place, hashes.host, secret);
        index
    }

    pub(super) fn mapping_hashes(&self, ends: &Ends) -> MappingHashes {
        MappingHashes {
            inside: self.secret.hash(&ends.inside_key()),
            public: self.secret.hash(&ends.public_key()),
            host: self.secret.hash(&ends.host_key()),
            place: None,
        }
    }

    pub(super) fn flow_hashes(&self, keys: &[Key; 2]) -> [u32; 2] {
        keys.each_ref().map(|key| self.secret.hash(key))
    }

    /// Takes a mapping out of the indices that lead new sessions to it.
    pub(super) fn unlist(&mut self, index: u32, ends: &Ends) {
        let mapping = &mut self.mappings[index];
        let listing = std::mem::replace(&mut mapping.listing, Listing::Unlisted);
        if listing == Listing::Unlisted {
            return;
        }
        if listing == Listing::ByBoth {
            let hash = self.secret.hash(&ends.inside_key());
            self.by_inside.remove(hash, index);
        }
        let hash = self.secret.hash(&ends.public_key());
        self.by_public.remove(hash, index);
        self.publics[public_place(ends.vpcs[1], ends.public)] -= 1;
        self.hosts.leave(ends, &self.secret);
    }

    /// Counts a new session for its mapping, and where that has others enters it into the ring of
    /// those with the same remote address.
    #[inline]
    pub(super) fn join_peers(&mut self, index: u32, mapping: u32) {
        let mapping = &mut self.mappings[mapping];
        mapping.sessions += 1;
        if mapping.crowded {
            self.enter_ring(index);
        } else if mapping.sessions == 1 {
            mapping.first = index;
        } else {
            mapping.crowded = true;
            let first = mapping.first;
            self.enter_ring(first);
            self.enter_ring(index);
        }
    }

    fn peer_key(&self, session: &Session) -> Key {
        self.places().peer_key(session)
    }

    fn enter_ring(&mut self, index: u32) {
        let key = self.peer_key(&self.sessions[index]);
        let hash = self.secret.hash(&key);
        let same = |other: u32| self.peer_key(&self.sessions[other]) == key;
        match self.peers.find(hash, same) {
            None => {
                let places = Places {
                    wides: &self.wides,
                    redirects: &self.redirects,
                };
                let (sessions, secret) = (&self.sessions, &self.secret);
                self.peers.insert(hash, index, |other| {
                    secret.hash(&places.peer_key(&sessions[other]))
                });
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

    /// Takes a session out of its ring.
    pub(super) fn leave_peers(&mut self, index: u32) {
        let session = &self.sessions[index];
        if !self.mappings[session.mapping].crowded {
            return;
        }
        let (next, prev) = (session.peer_next, session.peer_prev);
        let hash = self.secret.hash(&self.peer_key(session));
        if next == index {
            self.peers.remove(hash, index);
            return;
        }
        // Nothing happens if another session stands for the ring.
        self.peers.replace(hash, index, next);
        self.sessions[prev].peer_next = next;
        self.sessions[next].peer_prev = prev;
    }

    /// Whether a mapping has a session with that remote address outside.
    pub(super) fn has_peer(&self, index: u32, remote: End) -> bool {
        let mapping = &self.mappings[index];
        if !mapping.crowded {
            let session = &self.sessions[mapping.first];
            return self.remote_outside(session).0 == remote.0;
        }
        let key = Key::of_peer(index, mapping.kind.is_v6(), remote.0);
        let same = |other: u32| self.peer_key(&self.sessions[other]) == key;
        self.peers.find(self.secret.hash(&key), same).is_some()
    }

    /// Lets both halves of a session be found. No other session may have packets that read the same.
    #[inline(always)]
    pub(super) fn list_flows(&mut self, index: u32, hashes: [u32; 2]) {
        for (half, hash) in HALVES.into_iter().zip(hashes) {
            debug_assert!(
                {
                    let key = self.flow_key(index, half);
                    let same = self.flows.find(hash, |entry| self.reads(entry, &key));
                    hash == self.secret.hash(&key) && same.is_none()
                },
                "two sessions with the same packets, or one under another's hash"
            );
            let places = Places {
                wides: &self.wides,
                redirects: &self.redirects,
            };
            let (sessions, secret) = (&self.sessions, &self.secret);
            self.flows.insert(hash, flow_entry(index, half), |entry| {
                let (index, half) = flow_of(entry);
                secret.hash(&places.flow_key(&sessions[index], half))
            });
        }
    }

    pub(super) fn unlist_flows(&mut self, index: u32, hashes: [u32; 2]) {
        for (half, hash) in HALVES.into_iter().zip(hashes) {
            self.flows.remove(hash, flow_entry(index, half));
        }
    }

    #[inline]
    pub(super) fn flow_key(&self, index: u32, half: Half) -> Key {
        self.key_of_half(&self.sessions[index], half)
    }

    /// What packets of one half of a session read on arrival.
    #[inline]
    pub(super) fn key_of_half(&self, session: &Session, half: Half) -> Key {
        self.places().flow_key(session, half)
    }

    /// Whether packets of an index entry read so.
    pub(super) fn reads(&self, entry: u32, key: &Key) -> bool {
        let (index, half) = flow_of(entry);
        self.flow_key(index, half) == *key
    }

    #[inline]
    pub(super) fn find_flow(&self, key: &Key) -> Option<(u32, Half)> {
        let hash = self.secret.hash(key);
        let entry = self.flows.find(hash, |entry| self.reads(entry, key))?;
        Some(flow_of(entry))
    }

    /// Gives back what a session has beside its line.
    pub(super) fn clear(&mut self, session: &Session) {
        if session.flags & REDIRECT != 0 {
            self.redirects.remove(session.addresses[1]);
        }
        if session.kind.is_v6() {
            self.wides.remove(session.addresses[0]);
        }
    }
}

impl Armed for Slab<Session> {
    fn deadline(&self, entry: u32, unit: u32) -> Option<Tick> {
        let session = self.get(entry)?;
        (session.armed == unit).then_some(session.deadline)
    }

    fn arm(&mut self, entry: u32, unit: u32) {
        self[entry].armed = unit;
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

pub(super) const HALVES: [Half; 2] = [Half::Inside, Half::Outside];

/// The index entry of one half of a session.
const fn flow_entry(index: u32, half: Half) -> u32 {
    index << 1 | half as u32
}

/// The session and half behind an index entry.
#[inline]
pub(super) const fn flow_of(entry: u32) -> (u32, Half) {
    let half = match entry & 1 {
        0 => Half::Inside,
        _ => Half::Outside,
    };
    (entry >> 1, half)
}
