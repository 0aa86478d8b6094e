//! The default allocator: one shard of the engine.

use std::net::SocketAddr;
use std::sync::Arc;

use natshard::{
    AllocError, Burst, Engine, Family, Lease, PoolId, Protocol, RealmId, Reason, Request, Shard,
    ShardError, ShardId, Strictness, Tick,
};

use super::{AllocationError, NatAllocator, NatAllocatorBurst, NatRequest, SourceTarget};
use crate::config::{NatConfig, NatPool, PoolIndex};
use crate::port::UnreservedPort;

/// A [`NatAllocator`] over one shard of an engine. The pools of the NAT configuration are found in
/// the engine by name.
pub struct NatDefaultAllocator {
    engine: Engine,
    shard: Shard,
    /// Whether the engine tells each lease, and so for whom it is.
    names_all: bool,
    /// The configuration that `pools` was resolved for.
    config: Option<Arc<NatConfig>>,
    /// Engine pools by [`PoolIndex`]; `None` until the engine has one of that name.
    pools: Vec<Option<PoolId>>,
    /// Engine realms, likewise.
    realms: Vec<Option<RealmId>>,
}

impl NatDefaultAllocator {
    /// Takes shard number `index` of the engine.
    ///
    /// # Errors
    /// [`ShardError`] if it is taken or there is none.
    pub fn new(engine: &Engine, index: usize) -> Result<Self, ShardError> {
        Ok(NatDefaultAllocator {
            engine: engine.clone(),
            shard: engine.shard(index)?,
            names_all: engine.tells_leases(),
            config: None,
            pools: Vec::new(),
            realms: Vec::new(),
        })
    }

    /// The engine.
    #[must_use]
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    fn resolve(&mut self, config: &Arc<NatConfig>) {
        let known = self.config.as_ref();
        if known.is_some_and(|known| Arc::ptr_eq(known, config)) {
            return;
        }
        let (engine, pools) = (&self.engine, config.pools());
        self.pools.clear();
        self.pools
            .extend(pools.iter().map(|pool| engine.pool(pool.name())));
        self.realms.clear();
        self.realms
            .extend(pools.iter().map(|pool| engine.realm(pool.realm_name())));
        self.config = Some(Arc::clone(config));
    }
}

impl NatAllocator for NatDefaultAllocator {
    type Lease = Lease;
    type Burst<'a> = EngineBurst<'a>;

    fn burst<'a>(&'a mut self, now: Tick, config: &'a Arc<NatConfig>) -> EngineBurst<'a> {
        self.resolve(config);
        EngineBurst {
            shard: self.shard.id(),
            names_all: self.names_all,
            burst: self.shard.burst(now),
            engine: &self.engine,
            pools: &mut self.pools,
            realms: &self.realms,
            config,
        }
    }

    fn idle(&mut self, now: Tick) {
        self.shard.idle(now);
    }
}

/// A burst of the engine's shard.
pub struct EngineBurst<'a> {
    shard: ShardId,
    /// Whether every request names its subscriber.
    names_all: bool,
    burst: Burst<'a>,
    engine: &'a Engine,
    pools: &'a mut [Option<PoolId>],
    realms: &'a [Option<RealmId>],
    config: &'a NatConfig,
}

impl NatAllocatorBurst for EngineBurst<'_> {
    type Lease = Lease;

    const LEASES_ONLY: bool = true;

    fn config(&self) -> &NatConfig {
        self.config
    }

    #[inline]
    fn lease(
        &mut self,
        index: PoolIndex,
        request: &NatRequest,
    ) -> Result<SourceTarget<Lease>, AllocationError> {
        let pool = self.config.pool(index);
        let id = &mut self.pools[index.as_index()];
        // The engine may be told of a pool after the function was.
        let id = id.or_else(|| {
            *id = self.engine.pool(pool.name());
            *id
        });
        let tuple = &request.tuple;
        let mut wanted = Request::new(id.ok_or(AllocError::NoSuchPool)?, tuple.protocol)
            .family(Family::of(tuple.source));
        if let Some(address) = request.address {
            wanted = wanted.address(address, Strictness::Preferred);
        }
        if let Some(port) = request.near_port {
            wanted = wanted.near_port(port);
        }
        // Named only where the pool has books or a log wants to know: a request without a name is
        // served faster.
        let subscriber = match self.names_all {
            true => pool.numbering().subscriber(tuple.source_vpc, tuple.source),
            false => request.subscriber(pool),
        };
        if let Some(subscriber) = subscriber {
            wanted = wanted.subscriber(subscriber.number());
        }
        if pool.policies().keeps_tenants() {
            let share = request.share();
            if let Some(tenant) = share.tenant {
                wanted = wanted.tenant(tenant);
            }
            if share.control {
                wanted = wanted.control();
            }
        }
        let lease = self.burst.allocate(&wanted)?;
        let public = lease.addr();
        match check(pool, tuple.protocol, public) {
            Ok(port) => Ok(SourceTarget {
                lease,
                address: public.ip(),
                port,
            }),
            Err(error) => {
                self.burst.release_with(lease, Reason::Unused);
                Err(error)
            }
        }
    }

    fn release(&mut self, lease: Lease, reason: Reason) {
        self.burst.release_with(lease, reason);
    }

    fn is_elsewhere(&self, pool: PoolIndex, protocol: Protocol, public: SocketAddr) -> bool {
        let realm = self.realms[pool.as_index()];
        let owner = realm.and_then(|realm| self.engine.owner(realm, protocol, public));
        owner.is_some_and(|owner| owner != self.shard)
    }
}

/// Whether the pool as the function knows it gives out what the engine's pool of that name gave:
/// while a configuration changes the two may differ.
fn check(
    pool: &NatPool,
    protocol: Protocol,
    public: SocketAddr,
) -> Result<UnreservedPort, AllocationError> {
    if !pool.contains(public.ip()) {
        return Err(AllocError::OutsidePool.into());
    }
    let range = pool.range(protocol);
    Ok(UnreservedPort::within(
        protocol,
        public.port(),
        *range.start(),
        *range.end(),
    )?)
}
