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
        self.index.find(hash, |at| self.hosts[at].key() == *key)
    }

    /// Begins to fetch what a host is found by.
    #[inline]
    pub(super) fn prefetch(&self, hash: u32) {
        self.index.prefetch(hash);
    }

    /// Counts a new mapping.
    pub(super) fn join(&mut self, ends: &Ends, hash: u32, secret: &Secret) {
        let key = ends.host_key();
        let at = match self.find(&key, hash) {
            Some(at) => at,
            None => {
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
        };
        let host = &mut self.hosts[at];
        host.mappings += 1;
        host.public = ends.public;
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

    /// The public address of the host's latest mapping.
    #[inline]
    pub(super) fn public_address(&self, key: &Key, hash: u32) -> Option<Addr> {
        let at = self.find(key, hash)?;
        Some(self.hosts[at].public)
    }
}
