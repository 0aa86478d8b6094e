//! The public address that the mappings of an inside host share.

use std::net::IpAddr;

use ahash::RandomState;
use hashbrown::HashTable;

use super::entry::{Addr, Key, Mapping};
use crate::tuple::VpcId;

/// An inside host with mappings.
#[derive(Debug)]
struct Host {
    host: Addr,
    /// The public address of its latest mapping.
    public: Addr,
    inside_vpc: VpcId,
    outside_vpc: VpcId,
    /// Mappings it has that may be joined.
    mappings: u32,
    v6: bool,
}

const _: () = assert!(size_of::<Host>() == 48);

impl Host {
    const fn key(&self) -> Key {
        Key::of_host(self.inside_vpc, self.outside_vpc, self.host.ip(self.v6))
    }
}

/// Inside hosts with mappings that may be joined.
#[derive(Debug, Default)]
pub(super) struct Hosts(HashTable<Host>);

impl Hosts {
    /// Counts a new mapping.
    pub(super) fn join<L>(&mut self, mapping: &Mapping<L>, hasher: &RandomState) {
        let new = Host {
            host: mapping.inside,
            public: mapping.public,
            inside_vpc: mapping.inside_vpc,
            outside_vpc: mapping.outside_vpc,
            mappings: 0,
            v6: mapping.v6,
        };
        let key = new.key();
        let same = |host: &Host| host.key() == key;
        let rehash = |host: &Host| hasher.hash_one(host.key());
        let mut host = self
            .0
            .entry(hasher.hash_one(key), same, rehash)
            .or_insert(new);
        host.get_mut().mappings += 1;
        host.get_mut().public = mapping.public;
    }

    /// Takes a mapping off the count; the last one takes the host with it.
    pub(super) fn leave<L>(&mut self, mapping: &Mapping<L>, hasher: &RandomState) {
        let key = mapping.host_key();
        let host = self
            .0
            .find_entry(hasher.hash_one(key), |host| host.key() == key);
        let mut host = host.expect("a listed mapping counts for its host");
        host.get_mut().mappings -= 1;
        if host.get().mappings == 0 {
            host.remove();
        }
    }

    /// The public address of the host's latest mapping.
    pub(super) fn public_address(
        &self,
        inside_vpc: VpcId,
        outside_vpc: VpcId,
        host: IpAddr,
        hasher: &RandomState,
    ) -> Option<IpAddr> {
        let key = Key::of_host(inside_vpc, outside_vpc, host);
        let found = self
            .0
            .find(hasher.hash_one(key), |host| host.key() == key)?;
        Some(found.public.ip(found.v6))
    }
}
