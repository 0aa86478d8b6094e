//! The public address that the mappings of an inside host share.

use super::entry::{Ends, Key};
use super::hash::Secret;
use super::index::Index;
use super::slab::Slab;
use crate::addr::Addr;
use crate::tuple::VpcId;

/// An inside host with mappings.
#[derive(Debug)]
struct Host {
    host: Addr,
    /// The public address of its latest mapping.
    public: Addr,
    vpcs: [VpcId; 2],
    /// Mappings it has that may be joined.
    mappings: u32,
    v6: bool,
}

const _: () = assert!(size_of::<Option<Host>>() == 48);

impl Host {
    #[inline]
    fn is(&self, key: &Key) -> bool {
        let [inside, outside] = self.vpcs;
        (self.host == key.source)
            & (outside.as_u32() == key.destination.low())
            & (inside.as_u32() == key.vpc)
            & (self.v6 == key.kind.is_v6())
    }

    const fn key(&self) -> Key {
        Key::of_host(self.vpcs, self.v6, self.host)
    }
}

/// Inside hosts with mappings that may be joined.
#[derive(Debug)]
pub(super) struct Hosts {
    hosts: Slab<Host>,
    index: Index,
}

impl Hosts {
    pub(super) fn new() -> Self {
        Hosts {
            hosts: Slab::with_capacity(0),
            index: Index::with_capacity(0),
        }
    }

    #[inline]
    fn find(&self, key: &Key, hash: u32) -> Option<u32> {
        self.index.find(hash, |at| self.hosts[at].is(key))
    }

    /// Begins to fetch what a host is found by.
    #[inline]
    pub(super) fn prefetch(&self, hash: u32) {
        self.index.prefetch(hash);
    }

    /// The host of a key.
    #[inline]
    pub(super) fn place(&self, key: &Key, hash: u32) -> Option<u32> {
        self.find(key, hash)
    }

    /// The host that was at a place and may have gone since.
    #[inline]
    fn still_at(&self, place: Option<u32>, key: &Key) -> Option<u32> {
        let host = self.hosts.get(place?)?;
        place.filter(|_| host.is(key))
    }

    /// Counts a new mapping of a host that was at a place, if it was anywhere.
    #[inline]
    pub(super) fn join(&mut self, ends: &Ends, place: Option<u32>, hash: u32, secret: &Secret) {
        let at = match self.still_at(place, &ends.host_key()) {
            Some(at) => at,
            None => self.enter(ends, hash, secret),
        };
        let host = &mut self.hosts[at];
        host.mappings += 1;
        host.public = ends.public;
    }

    fn enter(&mut self, ends: &Ends, hash: u32, secret: &Secret) -> u32 {
        if let Some(at) = self.find(&ends.host_key(), hash) {
            return at;
        }
        let at = self.hosts.insert(Host {
            host: ends.inside,
            public: ends.public,
            vpcs: ends.vpcs,
            mappings: 0,
            v6: ends.kind.is_v6(),
        });
        let hosts = &self.hosts;
        self.index
            .insert(hash, at, |at| secret.hash(&hosts[at].key()));
        at
    }

    /// Takes a mapping off the count; the last one takes the host with it.
    pub(super) fn leave(&mut self, ends: &Ends, secret: &Secret) {
        let key = ends.host_key();
        let hash = secret.hash(&key);
        let at = self
            .find(&key, hash)
            .expect("a listed mapping counts for its host");
        self.hosts[at].mappings -= 1;
        if self.hosts[at].mappings == 0 {
            self.index.remove(hash, at);
            self.hosts.remove(at);
        }
    }

    /// The public address of the latest mapping of the host that was at a place.
    #[inline]
    pub(super) fn public_address(&self, place: Option<u32>, key: &Key) -> Option<Addr> {
        let at = self.still_at(place, key)?;
        Some(self.hosts[at].public)
    }
}
