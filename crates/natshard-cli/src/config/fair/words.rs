//! Policies in words, for `check` and for the tables of a replay.

use natshard::{PoolPolicies, Protocol, Strictness};
use natshard_nat::{NatPool, Numbering};
use serde_json::{Map, Value, json};

use super::model::FairModel;
use crate::config::lint::texts;

/// A tenant of a pool.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Tenant {
    /// Its number.
    pub(crate) id: u32,
    /// What people call it.
    pub(crate) name: Option<String>,
}

impl Tenant {
    /// `gold (7)`, or `7`.
    pub(crate) fn label(&self) -> String {
        match &self.name {
            Some(name) => format!("{name} ({})", self.id),
            None => self.id.to_string(),
        }
    }
}

/// The policies of a pool, and the names of its tenants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Fair {
    pool: NatPool,
    tenants: Vec<Tenant>,
}

impl Fair {
    /// Of a pool that was made of this model.
    pub(crate) fn of(model: &FairModel, pool: &NatPool) -> Self {
        let tenants = model.tenants.iter().map(|it| Tenant {
            id: it.id.value,
            name: it.name.as_ref().map(|it| it.value.clone()),
        });
        Fair {
            pool: pool.clone(),
            tenants: tenants.collect(),
        }
    }

    /// Whether the pool has any policy.
    pub(crate) fn is_any(&self) -> bool {
        let policies = self.pool.policies();
        policies.keeps_subscribers() || policies.keeps_tenants() || policies.threshold.is_some()
    }

    /// A line for each policy: what, and how much.
    pub(crate) fn lines(&self) -> Vec<(String, String)> {
        let policies = self.pool.policies();
        let mut lines = Vec::new();
        let mut line = |what: &str, text: String| lines.push((what.to_owned(), text));
        let quota: Vec<String> = quota(&policies)
            .into_iter()
            .map(|(of, ports)| format!("{of} {ports}"))
            .collect();
        if !quota.is_empty() {
            line("port-quota", quota.join(", "));
        }
        if let Some(blocks) = policies.port_blocks {
            let each = Protocol::ALL.into_iter().filter_map(|protocol| {
                let most = blocks.most_of(protocol)?;
                Some(format!(", {protocol} {most}"))
            });
            line(
                "port-set",
                format!(
                    "{} ports, {} per subscriber{}",
                    blocks.size(),
                    blocks.most(),
                    each.collect::<String>()
                ),
            );
        }
        if let Some(strictness) = policies.pairing {
            line("pairing", word(strictness).into());
        }
        if let Numbering::Hosts {
            mask_v6: mask @ ..64,
        } = self.pool.numbering()
        {
            line("subscriber-mask-v6", format!("/{mask}"));
        }
        if let (Some(mode), Numbering::Inside(inside)) =
            (policies.deterministic, self.pool.numbering())
        {
            let prefixes = texts(inside.prefixes().iter()).join(", ");
            let per_address = self.pool.as_engine().deterministic_map();
            let per_address = per_address.map_or(0, |it| it.subscribers_per_address());
            line(
                "deterministic",
                format!(
                    "{} ports for each of {} subscribers ({prefixes}), {per_address} to an address",
                    mode.ports(),
                    crate::config::grouped(mode.subscribers().into()),
                ),
            );
        }
        for (tenant, share) in self.tenants.iter().zip(policies.tenants) {
            let most = match share.most() {
                u32::MAX => "no maximum".into(),
                most => format!("{most} at most"),
            };
            line(
                "tenant",
                format!(
                    "{}: {} blocks guaranteed, {most}",
                    tenant.label(),
                    share.guaranteed()
                ),
            );
        }
        if policies.headroom > 0 {
            line(
                "headroom",
                format!("{} blocks for control traffic", policies.headroom),
            );
        }
        if let Some(threshold) = policies.threshold {
            line(
                "notify-pool-usage",
                format!(
                    "raised at {} %, cleared at {} %",
                    threshold.raised_at(),
                    threshold.cleared_at()
                ),
            );
        }
        lines
    }

    /// The same as JSON; `null` without any policy.
    pub(crate) fn to_json(&self) -> Value {
        if !self.is_any() {
            return Value::Null;
        }
        let policies = self.pool.policies();
        let quota: Map<String, Value> = quota(&policies)
            .into_iter()
            .map(|(of, ports)| (of.to_owned(), ports.into()))
            .collect();
        let blocks = policies.port_blocks.map(|blocks| {
            let mut set = json!({
                "port_set_size": blocks.size(),
                "per_subscriber": blocks.most(),
            });
            for protocol in Protocol::ALL {
                if let Some(most) = blocks.most_of(protocol) {
                    set[protocol.to_string()] = most.into();
                }
            }
            set
        });
        let computed = policies.deterministic.map(|mode| {
            let inside = match self.pool.numbering() {
                Numbering::Inside(inside) => inside.prefixes(),
                Numbering::Hosts { .. } => &[],
            };
            json!({
                "inside_prefixes": texts(inside.iter()),
                "subscribers": mode.subscribers(),
                "ports": mode.ports(),
            })
        });
        let tenants: Vec<Value> = self
            .tenants
            .iter()
            .zip(policies.tenants)
            .map(|(tenant, share)| {
                json!({
                    "id": tenant.id,
                    "name": tenant.name,
                    "minimum": share.guaranteed(),
                    "maximum": (share.most() != u32::MAX).then_some(share.most()),
                })
            })
            .collect();
        json!({
            "port_quota": quota,
            "port_set": blocks,
            "pairing": policies.pairing.map(word),
            "deterministic": computed,
            "subscriber_mask_v6": match self.pool.numbering() {
                Numbering::Hosts { mask_v6 } if policies.keeps_subscribers() => Some(*mask_v6),
                _ => None,
            },
            "tenants": tenants,
            "headroom": policies.headroom,
            "notify_pool_usage": policies.threshold.map(|it| json!({
                "high_threshold": it.raised_at(),
                "low_threshold": it.cleared_at(),
            })),
        })
    }
}

/// What is limited, and to how many ports.
fn quota(policies: &PoolPolicies<'_>) -> Vec<(&'static str, u32)> {
    let names = [
        ("tcp", Protocol::Tcp),
        ("udp", Protocol::Udp),
        ("icmp", Protocol::Icmp),
    ];
    let each = names
        .into_iter()
        .filter_map(|(name, protocol)| Some((name, policies.limit.of(protocol)?.into())));
    let total = policies.limit.of_all().map(|ports| ("total", ports));
    each.chain(total).collect()
}

const fn word(strictness: Strictness) -> &'static str {
    match strictness {
        Strictness::Strict => "strict",
        Strictness::Preferred => "preferred",
    }
}
