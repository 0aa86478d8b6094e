//! From the peerings of the model to those of the NAT function: who is served from where.

use ipnet::IpNet;
use natshard::Protocol;
use natshard_nat::{DestinationRule, Peering, SourceRule};

use super::diagnostic::{At, Diagnostic, Sink};
use super::lint::{overlap, reference, texts};
use super::model::{Model, PeeringModel, SourceModel};
use super::{Vpc, fair, word};

/// One rule as it is given to the NAT function, and where it was written.
struct Rule {
    private: At<IpNet>,
    protocols: Vec<Protocol>,
}

/// The peerings of the model; references that lead nowhere, and rules that cannot be, are faults.
pub(crate) fn peerings(model: &Model, vpcs: &[Vpc], sink: &mut Sink) -> Vec<Peering> {
    let mut converter = Converter {
        model,
        vpcs,
        used: vec![false; model.pools.len()],
        misnamed: false,
        sink,
    };
    let peerings = model
        .peerings
        .iter()
        .filter_map(|it| converter.peering(it))
        .collect();
    converter.unused();
    peerings
}

struct Converter<'a> {
    model: &'a Model,
    vpcs: &'a [Vpc],
    used: Vec<bool>,
    /// Whether some name led nowhere, which may have been meant for any pool.
    misnamed: bool,
    sink: &'a mut Sink,
}

impl Converter<'_> {
    fn peering(&mut self, model: &PeeringModel) -> Option<Peering> {
        let source = self.vpc(&model.source_vpc);
        let destination = self.vpc(&model.destination_vpc);
        let known = source.is_some() && destination.is_some();
        let mut rules = Vec::new();
        for it in &model.sources {
            self.source(model, it, source, &mut rules);
        }
        if model.sources.is_empty() && model.destinations.is_empty() {
            self.sink.push_absence(
                Diagnostic::warning(model.span.clone(), "this peering translates nothing").help(
                    "add `pools = [\"name of a pool\"]`, unless packets are to pass untouched",
                ),
            );
        }
        if !known {
            return None;
        }
        let (source, destination) = (source?, destination?);
        if source == destination {
            self.sink.push(
                Diagnostic::error(
                    model.destination_vpc.span.clone(),
                    format!(
                        "VPC `{}` is peered with itself",
                        word::shown(&model.source_vpc.value)
                    ),
                )
                .label("the same as the source")
                .related(model.source_vpc.span.clone(), "the source")
                .help("name another VPC as the destination"),
            );
            return None;
        }
        let mut peering = Peering::new(
            &model.name.value,
            self.vpcs[source].id,
            self.vpcs[destination].id,
        )
        .behaviour(model.behaviour.clone());
        for remote in &model.remotes {
            peering = peering.remote(remote.value);
        }
        for rule in rules {
            peering = peering.source(rule);
        }
        for rule in &model.destinations {
            let (outer, inner) = (rule.outer.value, rule.inner.value);
            if outer.addr().is_ipv4() != inner.addr().is_ipv4()
                || outer.prefix_len() != inner.prefix_len()
            {
                self.sink.push(
                    Diagnostic::error(
                        rule.inner.span.clone(),
                        format!("{outer} cannot be translated to {inner} address by address"),
                    )
                    .label("of another size or family")
                    .related(rule.outer.span.clone(), "this prefix")
                    .help("give two prefixes of one family and length"),
                );
                continue;
            }
            peering = peering.destination(DestinationRule::new(outer, inner));
        }
        Some(peering)
    }

    fn vpc(&mut self, name: &At<String>) -> Option<usize> {
        let known: Vec<_> = self.model.vpcs.iter().map(|it| &it.name).collect();
        reference(name, &known, "VPC", self.sink)
            .then(|| known.iter().position(|it| it.value == name.value))
            .flatten()
    }

    fn pool(&mut self, name: &At<String>) -> Option<usize> {
        let known: Vec<_> = self.model.pools.iter().map(|it| &it.name).collect();
        if !reference(name, &known, "pool", self.sink) {
            self.misnamed = true;
            return None;
        }
        let index = known.iter().position(|it| it.value == name.value)?;
        self.used[index] = true;
        Some(index)
    }

    /// The rules that one `source` stands for: one per private prefix, each with the pool of its
    /// family.
    fn source(
        &mut self,
        peering: &PeeringModel,
        model: &SourceModel,
        vpc: Option<usize>,
        out: &mut Vec<SourceRule>,
    ) {
        let pools: Vec<usize> = model.pools.iter().filter_map(|it| self.pool(it)).collect();
        let privileged = model.privileged.as_ref().map(|it| self.pool(it));
        if let (Some(Some(pool)), Some(name)) = (privileged, &model.privileged) {
            self.privileged(pool, name);
        }
        let complete = pools.len() == model.pools.len();
        let Some(vpc) = vpc else { return };
        let inherited = model.prefixes.is_empty();
        let inside = &self.model.vpcs[vpc].inside;
        let prefixes = if inherited { inside } else { &model.prefixes };
        if prefixes.is_empty() {
            self.sink.push_absence(
                Diagnostic::error(
                    model.span.clone(),
                    format!(
                        "there is no private prefix: VPC `{}` has no `inside-prefixes`",
                        word::shown(&peering.source_vpc.value)
                    ),
                )
                .help("add `private-prefixes = [\"10.0.0.0/8\"]` here or `inside-prefixes` to the VPC"),
            );
        }
        for private in prefixes {
            if !inherited
                && !inside.is_empty()
                && !inside.iter().any(|it| it.value.contains(&private.value))
            {
                self.sink.push(
                    Diagnostic::warning(
                        private.span.clone(),
                        format!(
                            "{} is not inside VPC `{}`",
                            private.value,
                            word::shown(&peering.source_vpc.value)
                        ),
                    )
                    .label("no source will match")
                    .help(format!(
                        "its inside prefixes are {}",
                        word::list(&texts(inside.iter().map(|it| &it.value).take(6)))
                    )),
                );
            }
            let rule = Rule {
                private: private.clone(),
                protocols: model.protocols.iter().map(|it| it.value).collect(),
            };
            let serving = self.serving(&pools, &rule, model, inherited && complete);
            if let Some(pool) = serving {
                self.not_inside(pool, &rule, model);
                let rule = self.rule(pool, privileged.flatten(), rule);
                out.push(fair::share(self.model, &peering.share, &model.share, rule));
            }
        }
    }

    /// The one pool that has addresses of the rule's family.
    fn serving(
        &mut self,
        pools: &[usize],
        rule: &Rule,
        model: &SourceModel,
        inherited: bool,
    ) -> Option<usize> {
        let family = if rule.private.value.addr().is_ipv4() {
            "IPv4"
        } else {
            "IPv6"
        };
        let serving: Vec<usize> = pools
            .iter()
            .copied()
            .filter(|pool| self.has_family(*pool, &rule.private.value))
            .collect();
        let name = |pool: usize| word::shown(&self.model.pools[pool].name.value);
        match serving.as_slice() {
            [one] => Some(*one),
            [first, second, ..] => {
                self.sink.push(
                    Diagnostic::error(
                        model.span.clone(),
                        format!(
                            "pools `{}` and `{}` both have {family} addresses",
                            name(*first),
                            name(*second)
                        ),
                    )
                    .label("only one of them can serve a private prefix")
                    .help(
                        "put all prefixes into one pool, or say in a `[[peering]]` which one \
                         serves whom: a `[[peering.source]]` with `private-prefixes` and `pools` \
                         for each",
                    ),
                );
                None
            }
            [] => {
                // A VPC of both families may be translated in one only.
                if !inherited
                    && pools.iter().all(|pool| self.model.pools[*pool].complete)
                    && !pools.is_empty()
                {
                    self.sink.push(
                        Diagnostic::error(
                            rule.private.span.clone(),
                            format!("no pool for {} has {family} addresses", rule.private.value),
                        )
                        .label(format!("{family} sources"))
                        .related(model.span.clone(), "pools named here")
                        .help(format!("name a pool with {family} prefixes as well")),
                    );
                }
                None
            }
        }
    }

    fn has_family(&self, pool: usize, net: &IpNet) -> bool {
        self.model.pools[pool]
            .prefixes
            .iter()
            .any(|it| it.value.addr().is_ipv4() == net.addr().is_ipv4())
    }

    /// A public address that is a private one as well could not be told from a host.
    fn not_inside(&mut self, pool: usize, rule: &Rule, model: &SourceModel) {
        let pool = &self.model.pools[pool];
        for prefix in &pool.prefixes {
            if !overlap(&prefix.value, &rule.private.value) {
                continue;
            }
            let mut fault = Diagnostic::error(
                prefix.span.clone(),
                format!(
                    "{} of pool `{}` overlaps {}, which it translates",
                    prefix.value,
                    word::shown(&pool.name.value),
                    rule.private.value
                ),
            )
            .label("public and private at once");
            if !rule.private.span.is_empty() {
                fault = fault.related(rule.private.span.clone(), "the private prefix");
            } else {
                fault = fault.related(model.span.clone(), "translated by default");
            }
            self.sink.push(fault.help(
                "take other public addresses, or state the private ones: `[[vpc]]` with \
                 `inside-prefixes`",
            ));
        }
    }

    fn privileged(&mut self, pool: usize, name: &At<String>) {
        let pool = &self.model.pools[pool];
        let written = pool.ports.as_ref().map_or(&pool.span, |it| &it.span);
        if *pool.ports().end() > 1023 {
            self.sink.push(
                Diagnostic::warning(
                    name.span.clone(),
                    format!(
                        "pool `{}` gives out ports above 1023",
                        word::shown(&name.value)
                    ),
                )
                .label("does not keep sources in their class (RFC 4787 REQ-3 a)")
                .related(written.clone(), "its ports")
                .help("give that pool `port-set-restrict = \"1-1023\"` or a part of it"),
            );
        }
    }

    fn rule(&self, pool: usize, privileged: Option<usize>, rule: Rule) -> SourceRule {
        let name = |pool: usize| self.model.pools[pool].name.value.as_str();
        let mut converted = SourceRule::new(rule.private.value, name(pool));
        for protocol in rule.protocols {
            converted = converted.protocol(protocol);
        }
        // A privileged pool of the other family cannot serve this prefix.
        match privileged {
            Some(pool) if self.has_family(pool, &rule.private.value) => {
                converted.privileged_pool(name(pool))
            }
            _ => converted,
        }
    }

    /// A pool that nobody uses is probably a mistake.
    fn unused(&mut self) {
        if self.misnamed {
            return;
        }
        let used: Vec<&str> = self
            .model
            .pools
            .iter()
            .zip(&self.used)
            .filter_map(|(pool, used)| used.then_some(pool.name.value.as_str()))
            .collect();
        for pool in &self.model.pools {
            if !used.contains(&pool.name.value.as_str()) {
                self.sink.push_absence(
                    Diagnostic::warning(
                        pool.name.span.clone(),
                        format!("no peering uses pool `{}`", word::shown(&pool.name.value)),
                    )
                    .help(format!(
                        "name it in the `pools` of a `[[peering]]`, or drop it: `pools = [\"{}\"]`",
                        word::shown(&pool.name.value)
                    )),
                );
            }
        }
    }
}
