//! Faults that only the builders of the engine and of the NAT function find, with their places.

use natshard::{ConfigFault, EngineConfig};
use natshard_nat::{NatConfigFault, VpcId};

use super::convert::Converted;
use super::diagnostic::{Diagnostic, Sink, Span};
use super::model::{Model, PeeringModel, PoolModel};
use super::{fair, word};

/// A fault that the NAT function's builder found. `None` if it was reported before.
pub(crate) fn nat(
    fault: &NatConfigFault,
    model: &Model,
    converted: &Converted,
    sink: &Sink,
) -> Option<Diagnostic> {
    let place = |name: &str| {
        let peering = find_peering(model, name);
        peering.map_or(0..0, |it| it.span.clone())
    };
    let vpc = |id: VpcId| {
        let vpc = converted.vpcs.iter().find(|it| it.id == id);
        vpc.map_or_else(|| id.to_string(), |it| word::shown(&it.name))
    };
    let diagnostic = match fault {
        NatConfigFault::DuplicatePair {
            first,
            second,
            inside,
            outside,
        } => {
            // The last of the two, also where both have one name.
            let second = model.peerings.iter().rfind(|it| it.name.value == *second);
            Diagnostic::error(
                second.map_or(0..0, |it| it.span.clone()),
                format!(
                    "two peerings lead from VPC `{}` to VPC `{}`",
                    vpc(*inside),
                    vpc(*outside)
                ),
            )
            .label("the second")
            .related(place(first), "the first")
            .help("make one of them, with a `[[peering.source]]` for each kind of source")
        }
        NatConfigFault::MixedRealms {
            peering,
            pool,
            realm,
            expected,
            outside,
        } => Diagnostic::error(
            pool_span(model, peering, pool),
            format!(
                "pool `{}` is of realm `{}`, but others towards VPC `{}` are of realm `{}`",
                word::shown(pool),
                word::shown(realm),
                vpc(*outside),
                word::shown(expected)
            ),
        )
        .label("another realm")
        .help("one VPC is one realm: take a pool of that realm, or mend the pool's `realm`"),
        NatConfigFault::DuplicateRule {
            peering,
            private,
            protocol,
        } => Diagnostic::error(
            source_span(model, peering, |net| net == private),
            format!(
                "two rules of peering `{}` are for {protocol} sources in {private}",
                word::shown(peering)
            ),
        )
        .help("drop one of them, or give them different `protocols`"),
        NatConfigFault::DuplicateDestination { peering, outer } => {
            let rules = find_peering(model, peering).map(|it| it.destinations.as_slice());
            let rule = rules
                .unwrap_or_default()
                .iter()
                .rfind(|it| it.outer.value == *outer);
            Diagnostic::error(
                rule.map_or_else(|| place(peering), |it| it.outer.span.clone()),
                format!("destination {outer} is translated twice"),
            )
            .help("drop one of the rules")
        }
        NatConfigFault::AmbiguousRemote {
            vpc: from,
            prefix,
            first,
            second,
        } => {
            let of = |it: &&PeeringModel| {
                it.remotes.iter().any(|remote| remote.value == *prefix)
                    || (it.remotes.is_empty() && prefix.prefix_len() == 0)
            };
            let named =
                |text: &str| text.replace(&from.to_string(), &format!("VPC `{}`", vpc(*from)));
            let written = model.peerings.iter().rfind(of);
            let span = written.map_or(0..0, |it| {
                let remote = it.remotes.iter().find(|remote| remote.value == *prefix);
                remote.map_or_else(|| it.span.clone(), |remote| remote.span.clone())
            });
            Diagnostic::error(
                span,
                format!(
                    "from VPC `{}`, {prefix} leads both to {} and to {}",
                    vpc(*from),
                    named(first),
                    named(second)
                ),
            )
            .label("ambiguous")
            .help("give the peerings of a VPC distinct `destination-prefixes`; the longest decides")
        }
        other => match fair::faults::nat(other, model, converted) {
            Some(diagnostic) => diagnostic,
            // Found before, with a better place; whoever gets here nonetheless reads the plain
            // text.
            None if sink.has_errors() => return None,
            None => Diagnostic::error(0..0, other.to_string()),
        },
    };
    Some(diagnostic)
}

/// A fault that the engine found. `None` if it was reported before.
pub(crate) fn engine(fault: &ConfigFault, model: &Model, sink: &Sink) -> Option<Diagnostic> {
    let pool = |name: &str| model.pools.iter().find(|it| it.name.value == name);
    let span = |it: Option<&PoolModel>| it.map_or(0..0, |it| it.name.span.clone());
    let diagnostic = match fault {
        ConfigFault::NothingLeft(name) => Diagnostic::error(
            span(pool(name)),
            format!(
                "the exclusions of pool `{}` leave nothing",
                word::shown(name)
            ),
        )
        .label("not a single port or identifier is left")
        .help("drop an exclusion or add a prefix"),
        ConfigFault::ExclusionOutside { pool: name, net } => {
            let exclusion = pool(name).and_then(|it| {
                it.exclusions
                    .iter()
                    .filter_map(|it| it.address.as_ref())
                    .find(|it| it.value.contains(net))
            });
            Diagnostic::error(
                exclusion.map_or_else(|| span(pool(name)), |it| it.span.clone()),
                format!("exclusion of {net} is outside what the pool uses"),
            )
            .label("excludes nothing")
            .help("of an IPv6 prefix shorter than /96 the first 2^32 addresses are used")
        }
        ConfigFault::Shards(count) => Diagnostic::error(
            model
                .engine
                .shards
                .as_ref()
                .map_or(0..0, |it| it.span.clone()),
            format!("{count} shards cannot be had"),
        )
        .help(format!("give 1 to {}", EngineConfig::MAX_SHARDS)),
        other => match fair::faults::engine(other, model) {
            Some(diagnostic) => diagnostic,
            None if sink.has_errors() => return None,
            None => Diagnostic::error(0..0, other.to_string()),
        },
    };
    Some(diagnostic)
}

fn find_peering<'m>(model: &'m Model, name: &str) -> Option<&'m PeeringModel> {
    model.peerings.iter().find(|it| it.name.value == name)
}

/// Where a peering names a pool.
fn pool_span(model: &Model, peering: &str, pool: &str) -> Span {
    let Some(peering) = find_peering(model, peering) else {
        return 0..0;
    };
    let mut names = peering
        .sources
        .iter()
        .flat_map(|it| it.pools.iter().chain(&it.privileged));
    names
        .find(|it| it.value == pool)
        .map_or_else(|| peering.span.clone(), |it| it.span.clone())
}

/// The last private prefix of a peering for which `is` says yes.
fn source_span(model: &Model, peering: &str, is: impl Fn(&ipnet::IpNet) -> bool) -> Span {
    let Some(peering) = find_peering(model, peering) else {
        return 0..0;
    };
    let prefixes = peering.sources.iter().flat_map(|it| &it.prefixes);
    prefixes.filter(|it| is(&it.value)).last().map_or_else(
        || {
            peering
                .sources
                .last()
                .map_or_else(|| peering.span.clone(), |it| it.span.clone())
        },
        |it| it.span.clone(),
    )
}
