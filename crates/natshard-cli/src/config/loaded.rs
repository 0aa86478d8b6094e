//! A configuration that can be used.

use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use ipnet::IpNet;
use natshard::{EngineConfig, PortOrder};
use natshard_nat::{NatConfig, NatPool, VpcId};
use serde_json::{Value, json};

use super::behaviour::{FILTERINGS, MAPPINGS, PICKUPS, POOLINGS, PORT_POLICIES, word};
use super::convert::Converted;
use super::diagnostic::{Diagnostic, Source};
use super::fair::Fair;
use super::lint::{addresses, texts};
use super::model::{Model, PoolModel};
use super::render;

/// Addresses that an engine uses of one prefix.
const USED_OF_PREFIX: u128 = 1 << 32;

/// A VPC of a configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Vpc {
    /// What packets of it are handed to the NAT function with.
    pub(crate) id: VpcId,
    /// Its name.
    pub(crate) name: String,
    /// Its own addresses; a VPC without any is an outside.
    pub(crate) inside: Vec<IpNet>,
}

/// A pool of a configuration, for tables.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Pool {
    /// Its name.
    pub(crate) name: String,
    /// Its realm.
    pub(crate) realm: String,
    /// Its prefixes.
    pub(crate) prefixes: Vec<IpNet>,
    /// TCP and UDP ports.
    pub(crate) ports: RangeInclusive<u16>,
    /// ICMP identifiers.
    pub(crate) identifiers: RangeInclusive<u16>,
    /// Addresses, excluded ones included.
    pub(crate) addresses: u128,
    /// Ports of one protocol, TCP or UDP, exclusions not taken off.
    pub(crate) port_count: u128,
    /// How many exclusions there are.
    pub(crate) exclusions: usize,
    /// What it grants to subscribers and tenants.
    pub(crate) fair: Fair,
}

impl Pool {
    fn of(model: &PoolModel, built: &NatPool) -> Self {
        let prefixes: Vec<IpNet> = model.prefixes.iter().map(|it| it.value).collect();
        let addresses = prefixes
            .iter()
            .map(|net| addresses(net).min(USED_OF_PREFIX))
            .fold(0, u128::saturating_add);
        let ports = model.ports();
        Pool {
            name: model.name.value.clone(),
            realm: model.realm().to_owned(),
            port_count: addresses * u128::try_from(ports.len()).unwrap_or(0),
            prefixes,
            ports,
            identifiers: model.identifiers.clone(),
            addresses,
            exclusions: model.exclusions.len(),
            fair: Fair::of(&model.fair, built),
        }
    }
}

/// A peering in the words of the configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PeeringWords<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// `source-vpc`.
    pub(crate) source: &'a str,
    /// `destination-vpc`.
    pub(crate) destination: &'a str,
    /// `mapping-type`.
    pub(crate) mapping: &'static str,
    /// `filtering-type`.
    pub(crate) filtering: &'static str,
    /// `address-allocation-type`.
    pub(crate) pooling: &'static str,
    /// `port-allocation-type`.
    pub(crate) ports: &'static str,
    /// `tcp-pickup`.
    pub(crate) pickup: &'static str,
    /// `hairpinning`.
    pub(crate) hairpinning: bool,
}

/// A configuration without a fault; warnings it may have.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    source: Source,
    warnings: Vec<Diagnostic>,
    shards: Option<usize>,
    seed: Option<u64>,
    port_order: PortOrder,
    hold_down: Duration,
    hold_down_max: Option<u64>,
    max_subscribers: Option<u32>,
    session_limit: Option<usize>,
    engine_pools: Vec<NatPool>,
    nat: NatConfig,
    pools: Vec<Pool>,
    vpcs: Vec<Vpc>,
}

impl Loaded {
    pub(super) fn new(
        source: Source,
        model: &Model,
        converted: Converted,
        nat: NatConfig,
        warnings: Vec<Diagnostic>,
    ) -> Self {
        Loaded {
            source,
            warnings,
            shards: model.engine.shards.as_ref().map(|it| it.value),
            seed: model.engine.seed,
            port_order: model.engine.port_order,
            hold_down: model.engine.hold_down,
            hold_down_max: model.engine.hold_down_max,
            max_subscribers: model.engine.max_subscribers,
            session_limit: model.nat.session_limit,
            pools: model
                .pools
                .iter()
                .zip(&converted.pools)
                .map(|(pool, built)| Pool::of(pool, built))
                .collect(),
            engine_pools: converted.pools,
            nat,
            vpcs: converted.vpcs,
        }
    }

    /// The engine of this configuration. What the command line says of shards and seed counts
    /// more than what the file says; without either there is one shard and no seed.
    pub(crate) fn engine(&self, shards: Option<usize>, seed: Option<u64>) -> EngineConfig {
        let mut engine = EngineConfig::new(shards.or(self.shards).unwrap_or(1))
            .hold_down(self.hold_down)
            .port_order(self.port_order);
        if let Some(seed) = seed.or(self.seed) {
            engine = engine.seed(seed);
        }
        if let Some(most) = self.max_subscribers {
            engine = engine.max_subscribers(most);
        }
        if let Some(most) = self.hold_down_max {
            engine = engine.max_cooling(most);
        }
        for pool in &self.engine_pools {
            engine = engine.pool(pool.to_engine());
        }
        engine
    }

    /// The NAT function of this configuration.
    pub(crate) fn nat(&self) -> &NatConfig {
        &self.nat
    }

    /// How many shards the file asks for.
    pub(crate) fn shards(&self) -> Option<usize> {
        self.shards
    }

    /// The seed the file asks for.
    pub(crate) fn seed(&self) -> Option<u64> {
        self.seed
    }

    /// How long a released port rests.
    pub(crate) fn hold_down(&self) -> Duration {
        self.hold_down
    }

    /// How many ports may rest at once, if that is limited.
    pub(crate) fn hold_down_max(&self) -> Option<u64> {
        self.hold_down_max
    }

    /// The most sessions of a shard, if that is limited.
    pub(crate) fn session_limit(&self) -> Option<usize> {
        self.session_limit
    }

    /// The pools.
    pub(crate) fn pools(&self) -> &[Pool] {
        &self.pools
    }

    /// The VPCs. Without any in the file they are `inside`, with the private addresses, and
    /// `outside`.
    pub(crate) fn vpcs(&self) -> &[Vpc] {
        &self.vpcs
    }

    /// What is odd about the configuration.
    #[cfg(test)]
    pub(crate) fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// The warnings as text with carets.
    pub(crate) fn render_warnings(&self, colour: bool) -> String {
        render::all(&self.source, &self.warnings, colour)
    }

    /// The warnings as JSON.
    pub(crate) fn warnings_json(&self) -> Value {
        render::all_json(&self.source, &self.warnings)
    }

    /// What was understood, as JSON.
    pub(crate) fn to_json(&self) -> Value {
        let pools: Vec<Value> = self
            .pools
            .iter()
            .map(|pool| {
                json!({
                    "name": pool.name,
                    "realm": pool.realm,
                    "prefixes": texts(pool.prefixes.iter()),
                    "ports": [pool.ports.start(), pool.ports.end()],
                    "identifiers": [pool.identifiers.start(), pool.identifiers.end()],
                    "addresses": count(pool.addresses),
                    "ports_per_protocol": count(pool.port_count),
                    "exclusions": pool.exclusions,
                    "policies": pool.fair.to_json(),
                })
            })
            .collect();
        let vpcs: Vec<Value> = self
            .vpcs
            .iter()
            .map(|vpc| json!({ "name": vpc.name, "inside_prefixes": texts(vpc.inside.iter()) }))
            .collect();
        let peerings: Vec<Value> = self
            .peerings()
            .map(|it| {
                json!({
                    "name": it.name,
                    "source_vpc": it.source,
                    "destination_vpc": it.destination,
                    "mapping_type": it.mapping,
                    "filtering_type": it.filtering,
                    "address_allocation_type": it.pooling,
                    "port_allocation_type": it.ports,
                    "tcp_pickup": it.pickup,
                    "hairpinning": it.hairpinning,
                })
            })
            .collect();
        json!({
            "shards": self.shards,
            "seed": self.seed,
            "hold_down_seconds": self.hold_down.as_secs(),
            "pools": pools,
            "vpcs": vpcs,
            "peerings": peerings,
        })
    }

    /// The peerings, in words.
    pub(crate) fn peerings(&self) -> impl Iterator<Item = PeeringWords<'_>> {
        self.nat.peerings().map(|it| {
            let of = it.behaviour_ref();
            PeeringWords {
                name: it.name(),
                source: self.vpc_name(it.inside_vpc()),
                destination: self.vpc_name(it.outside_vpc()),
                mapping: word(&MAPPINGS, of.mapping),
                filtering: word(&FILTERINGS, of.filtering),
                pooling: word(&POOLINGS, of.pooling),
                ports: word(&PORT_POLICIES, of.port_policy),
                pickup: word(&PICKUPS, of.tcp_pickup),
                hairpinning: of.hairpinning,
            }
        })
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        self.source.path()
    }

    /// The name of a VPC.
    pub(crate) fn vpc_name(&self, id: VpcId) -> &str {
        let vpc = self.vpcs.iter().find(|it| it.id == id);
        vpc.map_or("unknown", |it| it.name.as_str())
    }
}

/// A count that JSON readers can hold: those beyond 2^64 do not occur with 2^32 addresses a prefix
/// and the prefixes an engine takes.
fn count(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
