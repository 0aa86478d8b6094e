//! Policies of a pool that contradict each other, or have no effect.

use std::ops::RangeInclusive;

use natshard::Protocol;
use natshard_nat::NatPool;

use super::claims;
use super::convert::tenants;
use crate::config::diagnostic::{At, Diagnostic, Sink};
use crate::config::model::{Model, PoolModel};
use crate::config::word;

/// Checks pools, made of the model one by one, and who takes from them.
pub(crate) fn check(model: &Model, pools: &[NatPool], sink: &mut Sink) {
    for (pool, built) in model.pools.iter().zip(pools) {
        subscribers(pool, sink);
        limits(pool, sink);
        if pool.fair.port_set.is_some() {
            edges(pool, built, sink);
        }
    }
    names(model, sink);
    claims::check(model, sink);
}

/// Keys about subscribers that say nothing beside the others.
fn subscribers(pool: &PoolModel, sink: &mut Sink) {
    let fair = &pool.fair;
    if let Some(mask) = &fair.mask_v6 {
        let why = if !fair.keeps_subscribers() {
            "the pool tells no subscribers apart"
        } else if fair.deterministic.is_some() {
            "the subscribers of a deterministic pool are each a /64"
        } else {
            ""
        };
        if !why.is_empty() {
            sink.push(
                Diagnostic::warning(mask.span.clone(), "`subscriber-mask-v6` has no effect")
                    .label(why)
                    .help("drop it, or give the pool a `port-quota`, `port-set` or `pairing`"),
            );
        }
    }
    if let (Some(pairing), Some(ranges)) = (&fair.pairing, &fair.deterministic) {
        sink.push(
            Diagnostic::warning(pairing.span.clone(), "`pairing` has no effect")
                .label("the address of a subscriber is computed")
                .related(ranges.span.clone(), "by this")
                .help("drop it: deterministic ranges are of one address in all protocols"),
        );
    }
}

/// Limits that others make needless.
fn limits(pool: &PoolModel, sink: &mut Sink) {
    let fair = &pool.fair;
    let Some(quota) = &fair.quota else { return };
    if let (Some(set), None) = (&fair.port_set, &fair.deterministic) {
        let (blocks, size) = (set.value, u32::from(set.value.size()));
        let capacity = |count: u8| u32::from(count) * size;
        let total = capacity(blocks.most());
        let of = |protocol| {
            let count = blocks.most_of(protocol).unwrap_or(blocks.most());
            capacity(count).min(total)
        };
        let words = Protocol::ALL.into_iter().filter_map(|protocol| {
            let limit = u32::from(quota.value.of(protocol)?);
            (limit > of(protocol)).then(|| format!("{limit} {protocol} ports"))
        });
        let in_all = quota.value.of_all().filter(|limit| *limit > total);
        let words: Vec<_> = words
            .chain(in_all.map(|limit| format!("{limit} ports in all")))
            .collect();
        if let Some(first) = words.first() {
            sink.push(
                Diagnostic::warning(
                    quota.span.clone(),
                    format!("a quota of {first} is more than the port sets of a subscriber hold"),
                )
                .label("limits nothing")
                .related(
                    set.span.clone(),
                    format!("{total} ports in {} sets at most", blocks.most()),
                )
                .help("lower the quota, raise `per-subscriber`, or drop one of them"),
            );
        }
    }
    let Some(ranges) = &fair.deterministic else {
        return;
    };
    let short = Protocol::ALL.into_iter().find(|it| {
        quota
            .value
            .of(*it)
            .is_some_and(|limit| limit < ranges.ports.value)
    });
    if let Some(protocol) = short {
        sink.push(
            Diagnostic::warning(
                quota.span.clone(),
                format!(
                    "the quota of {protocol} ports is less than the {} computed for a subscriber",
                    ranges.ports.value
                ),
            )
            .label("leaves some of them idle")
            .related(ranges.ports.span.clone(), "computed for each")
            .help("raise the quota, or compute fewer"),
        );
    }
}

/// Port sets that the edge of a range cuts, which count as whole ones.
fn edges(pool: &PoolModel, built: &NatPool, sink: &mut Sink) {
    let Some(set) = &pool.fair.port_set else {
        return;
    };
    let size = u32::from(set.value.size());
    let cut = |range: &RangeInclusive<u16>| {
        !range.is_empty()
            && (!u32::from(*range.start()).is_multiple_of(size)
                || !(u32::from(*range.end()) + 1).is_multiple_of(size))
    };
    let ranges = built.as_engine().deterministic_map();
    for (protocol, key) in [
        (Protocol::Tcp, "port-set-restrict"),
        (Protocol::Icmp, "identifiers"),
    ] {
        let range = match &ranges {
            Some(ranges) => ranges.overflow(protocol),
            None => built.range(protocol).clone(),
        };
        if !cut(&range) {
            continue;
        }
        let help = match &ranges {
            Some(_) => format!(
                "choose `ports` so that {}, the ports that are nobody's by computation, begin at a \
                 multiple of {size}",
                word::range(&range)
            ),
            None => format!("let `{key}` begin and end at a multiple of {size}"),
        };
        sink.push(
            Diagnostic::warning(
                set.span.clone(),
                format!(
                    "port sets of {size} ports are cut at the edge of {}",
                    word::range(&range)
                ),
            )
            .label("a cut one has fewer ports, and counts as one")
            .help(help),
        );
    }
}

/// One number, one name.
fn names(model: &Model, sink: &mut Sink) {
    let mut seen: Vec<(&At<u32>, &At<String>)> = Vec::new();
    for tenant in tenants(model) {
        let Some(name) = &tenant.name else { continue };
        let other = seen
            .iter()
            .find(|(id, known)| (known.value == name.value) != (id.value == tenant.id.value));
        if let Some((id, known)) = other {
            sink.push(
                Diagnostic::error(
                    name.span.clone(),
                    format!(
                        "tenant {} is called `{}` and tenant {} `{}`",
                        tenant.id.value,
                        word::shown(&name.value),
                        id.value,
                        word::shown(&known.value)
                    ),
                )
                .label("one name, one number")
                .related(known.span.clone(), "the other")
                .help("give each tenant one `id` and one `name` in all pools"),
            );
        }
        seen.push((&tenant.id, name));
    }
}
