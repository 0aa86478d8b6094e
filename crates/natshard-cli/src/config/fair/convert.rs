//! From the model to the policies of a pool and the share of a rule.

use natshard::TenantShare;
use natshard_nat::{NatPool, SourceRule};

use super::model::{FairModel, ShareModel, TenantModel, TenantRef};
use crate::config::model::Model;

/// The pool with its policies.
pub(crate) fn apply(model: &FairModel, mut pool: NatPool) -> NatPool {
    if let Some(limit) = &model.quota {
        pool = pool.subscriber_limit(limit.value);
    }
    if let Some(blocks) = &model.port_set {
        pool = pool.port_blocks(blocks.value);
    }
    if let Some(strictness) = &model.pairing {
        pool = pool.pairing(strictness.value);
    }
    if let Some(mask) = &model.mask_v6 {
        pool = pool.subscriber_mask_v6(mask.value);
    }
    if let Some(ranges) = &model.deterministic {
        let inside = ranges.inside.iter().map(|it| it.value);
        pool = pool.deterministic(inside, ranges.ports.value);
    }
    for tenant in &model.tenants {
        let mut share = TenantShare::new(tenant.id.value);
        if let Some(minimum) = &tenant.minimum {
            share = share.minimum(minimum.value);
        }
        if let Some(maximum) = &tenant.maximum {
            share = share.maximum(maximum.value);
        }
        pool = pool.tenant(share);
    }
    if let Some(headroom) = &model.headroom {
        pool = pool.headroom(headroom.value);
    }
    if let Some(threshold) = &model.usage {
        pool = pool.threshold(threshold.value);
    }
    pool
}

/// The rule with its share: what it says itself counts more than what its peering says.
pub(crate) fn share(
    model: &Model,
    peering: &ShareModel,
    own: &ShareModel,
    mut rule: SourceRule,
) -> SourceRule {
    let tenant = own.tenant.as_ref().or(peering.tenant.as_ref());
    if let Some(id) = tenant.and_then(|it| find(model, &it.value)) {
        rule = rule.tenant(id);
    }
    let control = own.control.as_ref().or(peering.control.as_ref());
    rule.control(control.is_some_and(|it| it.value))
}

/// The number of a tenant that some pool has.
fn find(model: &Model, tenant: &TenantRef) -> Option<u32> {
    tenants(model)
        .find(|it| it.is(tenant))
        .map(|it| it.id.value)
}

/// The tenants of all pools.
pub(super) fn tenants(model: &Model) -> impl Iterator<Item = &TenantModel> {
    model.pools.iter().flat_map(|it| &it.fair.tenants)
}

impl TenantModel {
    /// Whether a peering means this one.
    pub(super) fn is(&self, tenant: &TenantRef) -> bool {
        match tenant {
            TenantRef::Id(id) => self.id.value == *id,
            TenantRef::Name(name) => self.name.as_ref().is_some_and(|it| it.value == *name),
        }
    }
}
