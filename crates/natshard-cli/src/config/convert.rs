//! From the model to what the engine and the NAT function are built from.

use std::ops::RangeInclusive;

use ipnet::IpNet;
use natshard::EngineConfig;
use natshard_nat::{FragmentLimits, NatConfig, NatPool, Peering, VpcId};

use super::diagnostic::{At, Diagnostic, Sink};
use super::fair::ShareModel;
use super::lint::addresses;
use super::model::{Model, PeeringModel, PoolModel, SourceModel, VpcModel};
use super::{Vpc, fair, peer};

/// What the inside is where the configuration has no VPC: RFC 1918, RFC 6598, RFC 4193.
pub(crate) const PRIVATE: [&str; 5] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "fc00::/7",
];

/// Pools, VPCs and peerings with the places they were written at.
pub(crate) struct Converted {
    /// The pools, one for each of the model.
    pub(crate) pools: Vec<NatPool>,
    /// The VPCs, in the order of their ids.
    pub(crate) vpcs: Vec<Vpc>,
    /// The peerings.
    pub(crate) peerings: Vec<Peering>,
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
    let peerings = peer::peerings(model, &vpcs, sink);
    Converted {
        pools,
        vpcs,
        peerings,
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
            share: ShareModel::default(),
        }],
        destinations: Vec::new(),
        share: ShareModel::default(),
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
    fair::apply(&model.fair, pool)
}

/// The address after this one.
fn next(address: std::net::IpAddr) -> Option<std::net::IpAddr> {
    use std::net::IpAddr;
    match address {
        IpAddr::V4(it) => Some(IpAddr::V4(it.to_bits().checked_add(1)?.into())),
        IpAddr::V6(it) => Some(IpAddr::V6(it.to_bits().checked_add(1)?.into())),
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
