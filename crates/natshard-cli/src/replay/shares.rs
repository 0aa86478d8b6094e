//! Subscribers and tenants: who had what of the pools when the traffic ended, and who was refused.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use natshard::{AllocError, Census, Engine, Holder, PoolShares, Stats, Threshold};
use natshard_nat::VpcId;
use serde_json::{Value, json};

use super::plan::Plan;

/// The most hosts that are named as refused most often.
const HOSTS: usize = 5;

/// The refusals that are about what one may have, and not about what there is.
pub(super) const QUOTAS: [AllocError; 4] = [
    AllocError::SubscriberQuota,
    AllocError::SubscribersFull,
    AllocError::SubscriberMissing,
    AllocError::TenantQuota,
];

/// How often each inside host was refused more than it may have.
pub(crate) type Refused = HashMap<(VpcId, IpAddr), u64>;

/// What subscribers and tenants had.
#[derive(Clone, Debug, Default)]
pub(super) struct Shares {
    /// Of pools that keep books of subscribers, where there are any.
    pub(super) subscribers: Option<Subscribers>,
    /// Of pools that share their blocks out, or have a threshold: each protocol.
    pub(super) tenants: Vec<Shared>,
    /// The hosts refused most often, the first most of all.
    pub(super) refused_most: Vec<(String, u64)>,
    /// How many hosts were refused.
    pub(super) refused_hosts: u64,
}

/// What subscribers had.
#[derive(Clone, Debug, Default)]
pub(super) struct Subscribers {
    /// Met at all, those who hold nothing any more included.
    pub(super) known: u64,
    /// The pools that keep books of them.
    pub(super) pools: Vec<OfPool>,
}

/// What subscribers had of one pool.
#[derive(Clone, Debug, Default)]
pub(super) struct OfPool {
    pub(super) name: String,
    /// Subscribers that held a port, or had one resting, when the traffic ended.
    pub(super) active: u64,
    /// Port blocks assigned and given back, where the pool has them.
    pub(super) port_blocks: Option<(u64, u64)>,
    /// Refusals for want of a quota, by reason.
    pub(super) refused: BTreeMap<&'static str, u64>,
}

/// How the blocks of one pool and protocol were shared out when the traffic ended.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) pool: String,
    pub(super) threshold: Option<Threshold>,
    pub(super) books: PoolShares,
}

impl Shares {
    /// Takes stock; nobody may be at work.
    pub(super) fn take(engine: &Engine, plan: &Plan, census: &Census) -> Self {
        let stats = engine.stats();
        let pools = plan.nat.pools().iter();
        let shared = pools.flat_map(|pool| {
            let threshold = pool.policies().threshold;
            let books = census.shares.get(pool.name()).into_iter().flatten();
            books.map(move |books| Shared {
                pool: pool.name().into(),
                threshold,
                books: books.clone(),
            })
        });
        Shares {
            subscribers: subscribers(engine, plan, &stats),
            tenants: shared.collect(),
            refused_most: Vec::new(),
            refused_hosts: 0,
        }
    }

    /// Names the hosts that were refused most often.
    pub(super) fn refused(&mut self, plan: &Plan, refused: Refused) {
        self.refused_hosts = refused.len() as u64;
        let name = |(vpc, host): (VpcId, IpAddr)| {
            let of = plan.inside_vpcs.iter().find(|(id, _)| *id == vpc);
            match of.filter(|_| plan.inside_vpcs.len() > 1) {
                Some((_, vpc)) => format!("{vpc}/{host}"),
                None => host.to_string(),
            }
        };
        let mut hosts: Vec<_> = refused.into_iter().collect();
        hosts.sort_unstable_by_key(|&(host, times)| (std::cmp::Reverse(times), host));
        hosts.truncate(HOSTS);
        self.refused_most = hosts
            .into_iter()
            .map(|(host, times)| (name(host), times))
            .collect();
    }

    /// For the JSON document.
    pub(super) fn subscribers_json(&self) -> Value {
        let Some(subscribers) = &self.subscribers else {
            return Value::Null;
        };
        let pools = subscribers.pools.iter().map(|it| {
            json!({
                "name": it.name,
                "active": it.active,
                "port_blocks": it.port_blocks.map(|(assigned, released)| json!({
                    "assigned": assigned,
                    "released": released,
                })),
                "refused": it.refused,
            })
        });
        json!({
            "known": subscribers.known,
            "active": subscribers.active(),
            "pools": pools.collect::<Vec<_>>(),
        })
    }

    /// For the JSON document.
    pub(super) fn tenants_json(&self) -> Value {
        let all = self.tenants.iter().map(|it| {
            let books = &it.books;
            let shares = books.shares.iter().map(|share| {
                let (holder, tenant) = match share.holder {
                    Holder::Tenant(tenant) => ("tenant", Some(tenant)),
                    Holder::Control => ("control", None),
                    Holder::Others | Holder::Subscriber(_) => ("others", None),
                };
                json!({
                    "holder": holder,
                    "tenant": tenant,
                    "held": share.held,
                    "minimum": share.minimum,
                    "maximum": share.maximum,
                })
            });
            json!({
                "pool": it.pool,
                "protocol": books.protocol.to_string().to_lowercase(),
                "blocks": books.blocks,
                "held": books.shares.iter().map(|share| share.held).sum::<u64>(),
                "lendable": books.lendable,
                "threshold": it.threshold.map(|threshold| json!({
                    "high": threshold.raised_at(),
                    "low": threshold.cleared_at(),
                    "times_raised": books.times_raised,
                    "raised": books.raised,
                })),
                "shares": shares.collect::<Vec<_>>(),
            })
        });
        Value::Array(all.collect())
    }

    /// For the JSON document.
    pub(super) fn refused_json(&self) -> Value {
        let hosts = self.refused_most.iter();
        let hosts = hosts.map(|(host, times)| json!({ "host": host, "times": times }));
        json!({ "count": self.refused_hosts, "most": hosts.collect::<Vec<_>>() })
    }
}

impl Subscribers {
    /// Subscribers that held something of any pool: one of two pools counts twice.
    pub(super) fn active(&self) -> u64 {
        self.pools.iter().map(|it| it.active).sum()
    }

    /// Port blocks assigned and given back, where any pool has them.
    pub(super) fn port_blocks(&self) -> Option<(u64, u64)> {
        let all = self.pools.iter().filter_map(|it| it.port_blocks);
        all.reduce(|sum, it| (sum.0 + it.0, sum.1 + it.1))
    }
}

fn subscribers(engine: &Engine, plan: &Plan, stats: &Stats) -> Option<Subscribers> {
    let pools = plan.nat.pools().iter();
    let mut pools: Vec<OfPool> = pools
        .filter(|pool| pool.policies().keeps_subscribers())
        .map(|pool| {
            let counters = stats.pools.get(pool.name()).copied().unwrap_or_default();
            let has_blocks = pool.policies().port_blocks.is_some();
            let refused = QUOTAS.map(|it| (it.name(), counters.refused[it as usize]));
            OfPool {
                name: pool.name().into(),
                active: 0,
                port_blocks: has_blocks
                    .then_some((counters.port_blocks_assigned, counters.port_blocks_released)),
                refused: refused.into_iter().filter(|it| it.1 > 0).collect(),
            }
        })
        .collect();
    for subscriber in engine.subscribers() {
        let of = pools.iter_mut().find(|it| it.name == subscriber.pool);
        if let Some(of) = of {
            of.active += 1;
        }
    }
    (!pools.is_empty()).then_some(Subscribers {
        known: stats.subscribers,
        pools,
    })
}
