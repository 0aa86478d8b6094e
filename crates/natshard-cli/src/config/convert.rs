//! From the model to what the engine and the NAT function are built from.

use std::ops::RangeInclusive;

use ipnet::IpNet;
use natshard::{EngineConfig, Protocol};
use natshard_nat::{
    DestinationRule, FragmentLimits, NatConfig, NatPool, Peering, SourceRule, VpcId,
};

use super::diagnostic::{At, Diagnostic, Sink, Span};
use super::lint::{addresses, overlap, reference, texts};
use super::model::{Model, PeeringModel, PoolModel, SourceModel, VpcModel};
use super::{Vpc, word};

/// What the inside is where the configuration has no VPC: RFC 1918, RFC 6598, RFC 4193.
pub(crate) const PRIVATE: [&str; 5] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "fc00::/7",
];

/// One rule as it is given to the NAT function, and where it was written.
struct Rule {
    private: At<IpNet>,
    protocols: Vec<Protocol>,
}

/// Pools, VPCs and peerings with the places they were written at.
pub(crate) struct Converted {
    /// The pools, one for each of the model.
    pub(crate) pools: Vec<NatPool>,
    /// The VPCs, in the order of their ids.
    pub(crate) vpcs: Vec<Vpc>,
    /// The peerings.
    pub(crate) peerings: Vec<Peering>,
    /// Where each peering was written.
    pub(crate) spans: Vec<Span>,
}

/// Makes the model into pools, VPCs and peerings; references that lead nowhere are faults.
pub(crate) fn convert(model: &mut Model, sink: &mut Sink) -> Converted {
    defaults(model, sink);
    let pools = model.pools.iter().map(pool).collect();
    let vpcs: Vec<Vpc> = model
        .vpcs
        .iter()
        .zip(1..)
        .map(|(vpc, id)| Vpc {
            id: VpcId::new(id),
            name: vpc.name.value.clone(),
            inside: vpc.inside.iter().map(|it| it.value).collect(),
        })
        .collect();
    let mut converter = Converter {
        model,
        vpcs: &vpcs,
        used: vec![false; model.pools.len()],
        misnamed: false,
        sink,
    };
    let mut peerings = Vec::new();
    let mut spans = Vec::new();
    for peering in &model.peerings {
        if let Some(converted) = converter.peering(peering) {
            peerings.push(converted);
            spans.push(peering.span.clone());
        }
    }
    converter.unused();
    Converted {
        pools,
        vpcs,
        peerings,
        spans,
    }
}

/// Without VPCs there is an inside of private addresses and an outside of all others; without
/// peerings either, the one is translated towards the other by every pool.
fn defaults(model: &mut Model, sink: &mut Sink) {
    if !model.vpcs.is_empty() {
        if model.peerings.is_empty() {
            sink.push_absence(
                Diagnostic::warning(
                    model.vpcs[0].name.span.clone(),
                    "there are VPCs but no peering: nothing will be translated",
                )
                .help("add `[[peering]]` with `source-vpc`, `destination-vpc` and `pools`"),
            );
        }
        return;
    }
    let inside = PRIVATE.iter().filter_map(|net| net.parse().ok());
    model.vpcs = vec![
        VpcModel {
            name: At::new("inside".into(), 0..0),
            inside: inside.map(|net: IpNet| At::new(net, 0..0)).collect(),
        },
        VpcModel {
            name: At::new("outside".into(), 0..0),
            inside: Vec::new(),
        },
    ];
    if !model.peerings.is_empty() || model.pools.is_empty() {
        return;
    }
    let span = model.pools[0].span.clone();
    let names = model.pools.iter().map(|pool| pool.name.clone());
    model.peerings.push(PeeringModel {
        name: At::new("inside to outside".into(), span.clone()),
        source_vpc: model.vpcs[0].name.clone(),
        destination_vpc: model.vpcs[1].name.clone(),
        remotes: Vec::new(),
        sources: vec![SourceModel {
            span: span.clone(),
            prefixes: Vec::new(),
            pools: names.collect(),
            protocols: Vec::new(),
            privileged: None,
        }],
        destinations: Vec::new(),
        behaviour: natshard_nat::Behaviour {
            timeouts: model.timeouts.clone(),
            ..Default::default()
        },
        span,
    });
}

fn pool(model: &PoolModel) -> NatPool {
    let mut pool = NatPool::new(&model.name.value)
        .realm(model.realm())
        .ports(model.ports())
        .identifiers(model.identifiers.clone())
        .reuse_closed(model.reuse_closed)
        .preopen(model.preopen);
    for prefix in &model.prefixes {
        pool = pool.prefix(prefix.value);
    }
    for exclusion in &model.exclusions {
        let address = exclusion.address.as_ref().map(|it| it.value);
        let ports: Option<RangeInclusive<u16>> =
            exclusion.ports.as_ref().map(|it| it.value.clone());
        pool = match (address, ports) {
            (Some(net), None) => pool.exclude_addresses(net),
            (None, Some(ports)) => pool.exclude_ports(ports),
            (Some(net), Some(ports)) => {
                // The number was bounded when the model was checked.
                let mut pool = pool;
                let mut address = net.network();
                for _ in 0..addresses(&net) {
                    pool = pool.exclude(address, ports.clone());
                    let Some(next) = next(address) else { break };
                    address = next;
                }
                pool
            }
            (None, None) => pool,
        };
    }
    pool
}

/// The address after this one.
fn next(address: std::net::IpAddr) -> Option<std::net::IpAddr> {
    use std::net::IpAddr;
    match address {
        IpAddr::V4(it) => Some(IpAddr::V4(it.to_bits().checked_add(1)?.into())),
        IpAddr::V6(it) => Some(IpAddr::V6(it.to_bits().checked_add(1)?.into())),
    }
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
                out.push(self.rule(pool, privileged.flatten(), rule));
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
                        "put all prefixes into one pool, or add a `[[peering.source]]` with \
                         `private-prefixes` and `pools` for each",
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

/// The engine that these pools would have, opening nothing ahead of traffic: to let it find what
/// is wrong with them.
pub(crate) fn engine(model: &Model, converted: &Converted) -> EngineConfig {
    let shards = model.engine.shards.as_ref().map_or(1, |it| it.value);
    let mut engine = EngineConfig::new(shards).hold_down(model.engine.hold_down);
    for pool in &converted.pools {
        engine = engine.pool(pool.clone().preopen(0).to_engine());
    }
    engine
}

/// The configuration of the NAT function, still to be checked by its builder.
pub(crate) fn nat(model: &Model, converted: &Converted) -> natshard_nat::NatConfigBuilder {
    let mut fragments = FragmentLimits::default();
    if let Some(limit) = model.nat.fragments_limit {
        fragments.held_frames = limit;
    }
    if let Some(timeout) = model.nat.fragment_timeout {
        fragments.timeout = timeout;
    }
    let mut builder = NatConfig::builder()
        .hop_limit(model.nat.ttl)
        .withdrawn(model.nat.withdrawn)
        .fragments(fragments);
    for pool in &converted.pools {
        builder = builder.pool(pool.clone());
    }
    for peering in &converted.peerings {
        builder = builder.peering(peering.clone());
    }
    builder
}
