//! What every worker of a replay shares.

use std::net::IpAddr;

use natshard::{Engine, RealmId};
use natshard_nat::packet::HopLimit;
use natshard_nat::{ConfigStore, VpcId};

use super::plan::Plan;
use super::tap::Tap;
use crate::verify::stray::Licence;

/// What every worker of a replay shares.
pub(crate) struct Context {
    /// What is replayed with.
    pub(crate) plan: Plan,
    /// The same for the NAT functions.
    pub(crate) config: ConfigStore,
    /// The engine behind them.
    pub(crate) engine: Engine,
    /// How many workers there are.
    pub(crate) shards: usize,
    /// What becomes of TTL and hop limit.
    pub(crate) hop_limit: HopLimit,
    /// What the NAT may change of an outbound packet besides its source.
    pub(crate) licence: Licence,
    /// Whether translated packets are kept for `--out`.
    pub(crate) keep_packets: bool,
    /// How many leases each worker keeps for the report; 0 without one.
    pub(crate) keep_leases: usize,
    /// Where the engine's events go for `--events`.
    pub(crate) tap: Option<Tap>,
    /// The realms of all pools.
    realms: Vec<RealmId>,
    /// The position in `realms` of each pool's.
    realm_of_pool: Vec<u32>,
}

impl Context {
    /// For that many workers over that engine.
    pub(crate) fn new(
        plan: Plan,
        engine: Engine,
        shards: usize,
        keep_packets: bool,
        keep_leases: usize,
    ) -> Self {
        let mut names: Vec<&str> = Vec::new();
        let realm_of_pool = plan
            .nat
            .pools()
            .iter()
            .map(|pool| {
                let name = pool.realm_name();
                let at = names.iter().position(|it| *it == name).unwrap_or_else(|| {
                    names.push(name);
                    names.len() - 1
                });
                at as u32
            })
            .collect();
        let realms = names.iter().filter_map(|name| engine.realm(name)).collect();
        Context {
            tap: Tap::new(&engine),
            config: ConfigStore::new(plan.nat.clone()),
            hop_limit: plan.nat.hop_limit(),
            licence: Licence {
                hop_limit: plan.nat.hop_limit() == HopLimit::Decrement,
                destinations: !plan.is_default,
            },
            engine,
            shards,
            keep_packets,
            keep_leases,
            realms,
            realm_of_pool,
            plan,
        }
    }

    /// The number of the realm that a public address belongs to, seen from the VPC it is public
    /// in.
    pub(crate) fn realm(&self, vpc: VpcId, public: IpAddr) -> Option<u32> {
        if self.realms.len() == 1 {
            return Some(0);
        }
        let pool = self.plan.nat.public_pool(vpc, public)?;
        Some(self.realm_of_pool[pool.as_index()])
    }

    /// Whether ports of that address need no rest after a connection that was seen to close.
    pub(crate) fn reuses_closed(&self, vpc: VpcId, public: IpAddr) -> bool {
        let Some(pool) = self.plan.nat.public_pool(vpc, public) else {
            return false;
        };
        self.plan.nat.pool(pool).as_engine().reuses_closed()
    }

    /// The engine's name for a realm of that number.
    pub(crate) fn realm_id(&self, realm: u32) -> Option<RealmId> {
        self.realms.get(realm as usize).copied()
    }
}
