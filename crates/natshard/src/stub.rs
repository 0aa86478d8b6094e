//! Signatures of the concurrent core, whose bodies are on their way.
#![allow(missing_docs, unused_variables, clippy::todo)]
use crate::*;
use std::marker::PhantomData;
use std::net::SocketAddr;

#[derive(Clone)]
pub struct Engine;
pub struct Shard;
pub struct Burst<'a>(PhantomData<&'a mut Shard>);
#[derive(Debug)]
pub struct Lease;
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RawLease;
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Reason {
    /// The session ended or expired: the port rests.
    #[default]
    Ended,
    /// Never seen on the wire: need not rest.
    Unused,
    /// TCP connection seen to close: need not rest where the pool says so.
    Closed,
}
/// What a reconfiguration did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Reconfigured {
    pub added: Vec<String>,
    pub removed: Vec<String>,
    /// Addresses that no pool holds any longer and that have leases.
    pub draining_addresses: u64,
    pub draining_leases: u64,
}

impl Engine {
    pub fn new(config: EngineConfig) -> Result<Engine, ConfigError> {
        todo!()
    }
    pub fn pool(&self, name: &str) -> Option<PoolId> {
        todo!()
    }
    pub fn realm(&self, name: &str) -> Option<RealmId> {
        todo!()
    }
    pub fn shard(&self, index: usize) -> Result<Shard, ShardError> {
        todo!()
    }
    pub fn shards(&self) -> usize {
        todo!()
    }
    pub fn owner(&self, realm: RealmId, protocol: Protocol, public: SocketAddr) -> Option<ShardId> {
        todo!()
    }
    pub fn reconfigure(&self, config: EngineConfig) -> Result<Reconfigured, ConfigError> {
        todo!()
    }
    pub fn census(&self) -> Census {
        todo!()
    }
    pub fn stats(&self) -> Stats {
        todo!()
    }
}
impl Shard {
    pub fn id(&self) -> ShardId {
        todo!()
    }
    pub fn burst(&mut self, now: Tick) -> Burst<'_> {
        todo!()
    }
    pub fn idle(&mut self, now: Tick) {
        todo!()
    }
}
impl Burst<'_> {
    pub fn allocate(&mut self, request: &Request) -> Result<Lease, AllocError> {
        todo!()
    }
    pub fn allocate_batch(
        &mut self,
        request: &Request,
        count: usize,
        into: &mut Vec<Lease>,
    ) -> Result<usize, AllocError> {
        todo!()
    }
    pub fn reserve(
        &mut self,
        pool: PoolId,
        protocol: Protocol,
        public: SocketAddr,
    ) -> Result<Lease, AllocError> {
        todo!()
    }
    pub fn release(&mut self, lease: Lease) {
        todo!()
    }
    pub fn release_with(&mut self, lease: Lease, reason: Reason) {
        todo!()
    }
    pub fn release_batch(&mut self, leases: &mut Vec<Lease>) {
        todo!()
    }
    pub fn release_raw(&mut self, raw: RawLease) -> Result<(), ReleaseError> {
        todo!()
    }
    pub fn now(&self) -> Tick {
        todo!()
    }
}
impl Lease {
    pub fn addr(&self) -> SocketAddr {
        todo!()
    }
    pub fn protocol(&self) -> Protocol {
        todo!()
    }
    pub fn into_raw(self) -> RawLease {
        todo!()
    }
}
impl RawLease {
    pub fn to_bits(self) -> u128 {
        todo!()
    }
    pub fn from_bits(bits: u128) -> RawLease {
        todo!()
    }
}
