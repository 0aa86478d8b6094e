//! Peerings that take from pools what those do not grant, and grants that nobody takes.

use ipnet::IpNet;
use natshard_nat::Pooling;

use super::convert::tenants;
use super::model::{ShareModel, TenantRef};
use crate::config::diagnostic::{At, Diagnostic, Sink};
use crate::config::lint::{overlap, texts};
use crate::config::model::{Model, PeeringModel, PoolModel, SourceModel};
use crate::config::word;

/// Checks what peerings say of the policies of their pools.
pub(super) fn check(model: &Model, sink: &mut Sink) {
    for peering in &model.peerings {
        shares(model, peering, sink);
        for source in &peering.sources {
            computed(model, peering, source, sink);
        }
    }
    unclaimed(model, sink);
}

/// Whether what a peering says of its share has a pool to say it to.
fn shares(model: &Model, peering: &PeeringModel, sink: &mut Sink) {
    let everything: Vec<&SourceModel> = peering.sources.iter().collect();
    share(model, &peering.share, &everything, sink);
    for source in &peering.sources {
        share(model, &source.share, &[source], sink);
    }
    let arbitrary = peering.behaviour.pooling == Pooling::Arbitrary;
    let pairing = pools_of(model, &everything).find_map(|it| it.fair.pairing.as_ref());
    if let Some(pairing) = pairing.filter(|_| arbitrary) {
        sink.push(
            Diagnostic::warning(
                peering.span.clone(),
                "`address-allocation-type = \"arbitrary\"` has no effect",
            )
            .related(pairing.span.clone(), "the pool pairs its subscribers")
            .help("drop one of the two"),
        );
    }
}

fn share(model: &Model, share: &ShareModel, sources: &[&SourceModel], sink: &mut Sink) {
    if let Some(tenant) = &share.tenant {
        if !tenants(model).any(|it| it.is(&tenant.value)) {
            unknown(model, tenant, sink);
        } else {
            let mut pools = pools_of(model, sources).filter(|it| it.fair.keeps_tenants());
            let without =
                pools.find(|pool| !pool.fair.tenants.iter().any(|it| it.is(&tenant.value)));
            if let Some(pool) = without {
                sink.push(
                    Diagnostic::warning(
                        tenant.span.clone(),
                        format!(
                            "pool `{}` has no share for this tenant",
                            word::shown(&pool.name.value)
                        ),
                    )
                    .label("gets what is nobody's")
                    .related(pool.name.span.clone(), "this pool")
                    .help("add `[[external-ip-address-pool.tenant]]` to it"),
                );
            }
        }
    }
    if let Some(control) = share.control.as_ref().filter(|it| it.value) {
        let has_headroom = |pool: &PoolModel| {
            let headroom = pool.fair.headroom.as_ref();
            headroom.is_some_and(|it| it.value > 0)
        };
        if !pools_of(model, sources).any(has_headroom) {
            sink.push(
                Diagnostic::warning(control.span.clone(), "`control` has no effect")
                    .label("none of its pools has `headroom`")
                    .help("add `headroom = 4` to the pool, in blocks of 256 ports"),
            );
        }
    }
}

fn unknown(model: &Model, tenant: &At<TenantRef>, sink: &mut Sink) {
    let said = match &tenant.value {
        TenantRef::Id(id) => id.to_string(),
        TenantRef::Name(name) => word::shown(name),
    };
    let mut known: Vec<String> = tenants(model)
        .map(|it| match &it.name {
            Some(name) => word::shown(&name.value),
            None => it.id.value.to_string(),
        })
        .collect();
    known.sort_unstable();
    known.dedup();
    let help = match word::closest(&said, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => {
            "no pool has a tenant: add `[[external-ip-address-pool.tenant]]` to one".into()
        }
        None if known.len() <= 8 => format!("there is {}", word::list(&known)),
        None => format!("name one of the {} that are there", known.len()),
    };
    sink.push_absence(
        Diagnostic::error(tenant.span.clone(), format!("there is no tenant `{said}`"))
            .label("no such tenant")
            .help(help),
    );
}

/// Sources that a deterministic pool has no ranges for.
fn computed(model: &Model, peering: &PeeringModel, source: &SourceModel, sink: &mut Sink) {
    let vpc = model
        .vpcs
        .iter()
        .find(|it| it.name.value == peering.source_vpc.value);
    let inherited = vpc.map(|it| it.inside.as_slice()).unwrap_or_default();
    let prefixes = match source.prefixes.as_slice() {
        [] => inherited,
        own => own,
    };
    for pool in pools_of(model, &[source]) {
        let Some(ranges) = &pool.fair.deterministic else {
            continue;
        };
        let inside: Vec<IpNet> = ranges.inside.iter().map(|it| it.value).collect();
        let v4 = |net: &IpNet| net.addr().is_ipv4();
        for private in prefixes {
            let family = v4(&private.value);
            let served = pool.prefixes.iter().any(|it| v4(&it.value) == family);
            if !served || inside.iter().any(|it| it.contains(&private.value)) {
                continue;
            }
            let what = match inside.iter().any(|it| overlap(it, &private.value)) {
                true => "some hosts of",
                false => "all hosts of",
            };
            let message = format!(
                "{what} {} have no range in pool `{}`",
                private.value,
                word::shown(&pool.name.value)
            );
            let at = match private.span.is_empty() {
                true => ranges.span.clone(),
                false => private.span.clone(),
            };
            sink.push(
                Diagnostic::warning(at, message)
                    .label("they will be refused")
                    .help(format!(
                        "its inside prefixes are {}: let `private-prefixes` name the same, or add \
                         to them",
                        word::list(&texts(inside.iter().take(6)))
                    )),
            );
        }
    }
}

/// Shares that nobody may take from.
fn unclaimed(model: &Model, sink: &mut Sink) {
    let all = || {
        let peerings = model.peerings.iter();
        peerings.flat_map(|it| {
            let own = it.sources.iter().map(|source| &source.share);
            std::iter::once(&it.share).chain(own)
        })
    };
    for tenant in tenants(model) {
        let claimed = |it: &ShareModel| it.tenant.as_ref().is_some_and(|it| tenant.is(&it.value));
        if !all().any(claimed) {
            sink.push_absence(
                Diagnostic::warning(
                    tenant.id.span.clone(),
                    format!("no peering is of tenant {}", tenant.id.value),
                )
                .label("nobody gets this share")
                .help(format!(
                    "add `tenant = {}` to a `[[peering]]` or a `[[peering.source]]`",
                    tenant.id.value
                )),
            );
        }
    }
    let control = all().any(|it| it.control.as_ref().is_some_and(|it| it.value));
    for pool in &model.pools {
        if let Some(headroom) = pool.fair.headroom.as_ref().filter(|it| it.value > 0)
            && !control
        {
            sink.push_absence(
                Diagnostic::warning(headroom.span.clone(), "nobody may use this headroom")
                    .label("blocks that stay empty")
                    .help("add `control = true` to a `[[peering]]` or a `[[peering.source]]`"),
            );
        }
    }
}

/// The pools that some rules name.
fn pools_of<'m>(
    model: &'m Model,
    sources: &[&SourceModel],
) -> impl Iterator<Item = &'m PoolModel> + use<'m> {
    let names: Vec<String> = sources
        .iter()
        .flat_map(|it| it.pools.iter().chain(&it.privileged))
        .map(|it| it.value.clone())
        .collect();
    let pools = model.pools.iter();
    pools.filter(move |pool| names.contains(&pool.name.value))
}
