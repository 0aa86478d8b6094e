//! The tables of a configuration file and their keys, in the words of RFC 8512 where it has them.

use std::time::Duration;

use ipnet::IpNet;
use natshard::{EngineConfig, PortOrder, Protocol};
use natshard_nat::packet::HopLimit;
use natshard_nat::{SessionTable, Withdrawn};
use toml::de::DeTable;

use super::behaviour;
use super::diagnostic::{At, Diagnostic, Sink};
use super::fair::{self, ShareModel};
use super::model::{
    DestinationModel, EngineModel, ExclusionModel, Model, NatModel, PeeringModel, PoolModel,
    SourceModel, VpcModel,
};
use super::section::Section;
use super::value;

/// Most sessions of a shard.
const MAX_SESSIONS: u64 = SessionTable::<()>::MAX_SESSIONS as u64;

const PROTOCOLS: [(&str, Protocol); 3] = [
    ("tcp", Protocol::Tcp),
    ("udp", Protocol::Udp),
    ("icmp", Protocol::Icmp),
];

/// The whole file.
pub(crate) fn file(document: &DeTable<'_>, sink: &mut Sink) -> Model {
    let mut root = Section::new(document, 0..0, "the configuration");
    let timers = root.table("timers", "`[timers]`", sink);
    let (defaults, global) = behaviour::timers(timers, sink);
    let engine = root.table("engine", "`[engine]`", sink);
    let engine = engine_table(engine, &global, sink);
    let nat = root.table("nat", "`[nat]`", sink);
    let nat = nat_table(nat, global.fragment_timeout, sink);
    let realms = root
        .take("external-realms")
        .map(|entry| value::names(&entry, sink));
    let before = sink.len();
    let pools: Vec<PoolModel> = root
        .tables("external-ip-address-pool", "a pool", sink)
        .into_iter()
        .filter_map(|section| pool(section, sink))
        .collect();
    let only_faulty_pools = pools.is_empty() && sink.len() > before;
    let vpcs = root
        .tables("vpc", "a VPC", sink)
        .into_iter()
        .filter_map(|section| vpc(section, sink))
        .collect();
    let peerings = root
        .tables("peering", "a peering", sink)
        .into_iter()
        .enumerate()
        .filter_map(|(index, section)| peering(index, section, &defaults, sink))
        .collect();
    root.finish(sink);
    Model {
        engine,
        nat,
        realms,
        pools,
        only_faulty_pools,
        vpcs,
        peerings,
        timeouts: defaults,
    }
}

fn engine_table(
    section: Option<Section<'_>>,
    global: &behaviour::GlobalTimers,
    sink: &mut Sink,
) -> EngineModel {
    let mut model = EngineModel {
        shards: None,
        port_order: PortOrder::default(),
        seed: None,
        hold_down: global.hold_down,
        hold_down_max: global.hold_down_max,
        max_subscribers: None,
    };
    let Some(mut section) = section else {
        return model;
    };
    if let Some(entry) = section.take("shards") {
        model.shards = entry
            .number(1, EngineConfig::MAX_SHARDS as u64, sink)
            .map(|shards| At::new(shards.value as usize, shards.span));
    }
    if let Some(entry) = section.take("port-order") {
        let words = [
            ("random", PortOrder::Random),
            ("hardened", PortOrder::Hardened),
            ("linear", PortOrder::Linear),
        ];
        if let Some(order) = entry.word(&words, sink) {
            model.port_order = order;
            if order == PortOrder::Linear {
                sink.push(
                    entry
                        .warning("with linear order the next port is easily guessed")
                        .help("write `\"random\"` (RFC 6056) unless this is a test or a closed network"),
                );
            }
        }
    }
    if let Some(entry) = section.take("seed") {
        model.seed = entry.number(0, u64::MAX, sink).map(|seed| seed.value);
    }
    if let Some(entry) = section.take("limit-subscribers") {
        model.max_subscribers = entry
            .number(1, u64::from(u32::MAX), sink)
            .map(|limit| limit.value as u32);
    }
    section.finish(sink);
    model
}

fn nat_table(
    section: Option<Section<'_>>,
    fragment_timeout: Option<Duration>,
    sink: &mut Sink,
) -> NatModel {
    let mut model = NatModel {
        ttl: HopLimit::Keep,
        withdrawn: Withdrawn::default(),
        session_limit: None,
        fragments_limit: None,
        fragment_timeout,
    };
    let Some(mut section) = section else {
        return model;
    };
    if let Some(entry) = section.take("ttl") {
        let words = [("keep", HopLimit::Keep), ("decrement", HopLimit::Decrement)];
        model.ttl = entry.word(&words, sink).unwrap_or(model.ttl);
    }
    if let Some(entry) = section.take("withdrawn") {
        let words = [("drain", Withdrawn::Drain), ("end", Withdrawn::End)];
        model.withdrawn = entry.word(&words, sink).unwrap_or(model.withdrawn);
    }
    if let Some(entry) = section.take("limit-per-instance") {
        model.session_limit = entry
            .number(1, MAX_SESSIONS, sink)
            .map(|limit| limit.value as usize);
    }
    if let Some(entry) = section.take("fragments-limit") {
        model.fragments_limit = entry
            .number(0, 1 << 20, sink)
            .map(|limit| limit.value as usize);
    }
    section.finish(sink);
    model
}

fn pool(mut section: Section<'_>, sink: &mut Sink) -> Option<PoolModel> {
    let name = section
        .require("name", "\"internet\"", sink)
        .and_then(|entry| value::name(&entry, sink));
    let realm = match section.take("realm") {
        Some(entry) => value::name(&entry, sink),
        None => None,
    };
    let prefixes = section.require("external-ip-pool", "[\"203.0.113.0/28\"]", sink);
    let whole = prefixes.is_some();
    let prefixes: Vec<At<IpNet>> = prefixes
        .map(|entry| {
            let items = entry.items();
            if items.is_empty() {
                sink.push(
                    entry
                        .error("the pool has no prefix")
                        .help("write at least one, `[\"203.0.113.0/28\"]` for example"),
                );
            }
            items
                .iter()
                .filter_map(|item| value::prefix(item, sink))
                .collect()
        })
        .unwrap_or_default();
    let ports = section.take("port-set-restrict").map(|entry| {
        // Of a range that cannot be read, nothing is known but that it was not the default.
        value::range(&entry, 1, sink).unwrap_or_else(|| At::new(1..=65535, entry.span()))
    });
    let identifiers = section
        .take("identifiers")
        .and_then(|entry| value::range(&entry, 0, sink));
    let exclusions = section
        .tables("exclude", "an exclusion", sink)
        .into_iter()
        .filter_map(|section| exclusion(section, sink))
        .collect();
    let reuse_closed = section
        .take("reuse-closed")
        .and_then(|entry| entry.boolean(sink));
    let preopen = section
        .take("preopen")
        .and_then(|entry| entry.number(0, MAX_PREOPEN, sink));
    let fair = fair::policies(&mut section, sink);
    let span = section.span();
    section.finish(sink);
    Some(PoolModel {
        fair,
        name: name?,
        realm,
        complete: whole && !prefixes.is_empty(),
        prefixes,
        ports,
        identifiers: identifiers.map_or(0..=65535, |it| it.value),
        exclusions,
        reuse_closed: reuse_closed.unwrap_or(false),
        preopen: preopen.map_or(0, |preopen| preopen.value as usize),
        span,
    })
}

/// Most addresses opened ahead of traffic: each takes some 100 KiB.
const MAX_PREOPEN: u64 = 65_536;

fn exclusion(mut section: Section<'_>, sink: &mut Sink) -> Option<ExclusionModel> {
    let address = section.take("address");
    let ports = section.take("ports");
    let (span, is_empty) = (section.span(), section.is_empty());
    let (asked_address, asked_ports) = (address.is_some(), ports.is_some());
    let model = ExclusionModel {
        address: address.and_then(|entry| value::prefix(&entry, sink)),
        ports: ports.and_then(|entry| value::range(&entry, 0, sink)),
    };
    section.finish(sink);
    if is_empty {
        sink.push_absence(
            Diagnostic::error(span, "the exclusion excludes nothing")
                .help("give `address`, `ports` or both"),
        );
    }
    if !asked_address && !asked_ports {
        return None;
    }
    // Half of an exclusion would exclude more than was meant.
    (asked_address == model.address.is_some() && asked_ports == model.ports.is_some())
        .then_some(model)
}

fn vpc(mut section: Section<'_>, sink: &mut Sink) -> Option<VpcModel> {
    let name = section
        .require("name", "\"tenant-a\"", sink)
        .and_then(|entry| value::name(&entry, sink));
    let inside = section
        .take("inside-prefixes")
        .map(|entry| value::prefixes(&entry, sink))
        .unwrap_or_default();
    section.finish(sink);
    Some(VpcModel {
        name: name?,
        inside,
    })
}

fn peering(
    index: usize,
    mut section: Section<'_>,
    defaults: &behaviour::TimersModel,
    sink: &mut Sink,
) -> Option<PeeringModel> {
    let span = section.span();
    let name = match section.take("name") {
        Some(entry) => value::name(&entry, sink)?,
        None => At::new(format!("peering {}", index + 1), span.clone()),
    };
    let source_vpc = section
        .require("source-vpc", "\"tenant-a\"", sink)
        .and_then(|entry| value::name(&entry, sink));
    let destination_vpc = section
        .require("destination-vpc", "\"internet\"", sink)
        .and_then(|entry| value::name(&entry, sink));
    let remotes = section
        .take("destination-prefixes")
        .map(|entry| value::prefixes(&entry, sink))
        .unwrap_or_default();
    let mut sources = Vec::new();
    let private = section
        .take("private-prefixes")
        .map(|entry| (value::prefixes(&entry, sink), entry.span()));
    match (section.take("pools"), private) {
        (Some(entry), private) => sources.push(SourceModel {
            span: entry.span(),
            pools: value::names(&entry, sink),
            prefixes: private.map(|(prefixes, _)| prefixes).unwrap_or_default(),
            protocols: Vec::new(),
            privileged: None,
            share: ShareModel::default(),
        }),
        (None, Some((_, span))) => sink.push_absence(
            Diagnostic::error(span, "`private-prefixes` without `pools`")
                .help("add `pools = [\"name of a pool\"]`"),
        ),
        (None, None) => {}
    }
    for section in section.tables("source", "a source rule", sink) {
        sources.extend(source(section, sink));
    }
    let destinations = section
        .tables("dst-ip-address-pool", "a destination rule", sink)
        .into_iter()
        .filter_map(|section| destination(section, sink))
        .collect();
    let share = fair::read_share(&mut section, sink);
    let behaviour = behaviour::of_peering(&mut section, defaults, sink);
    section.finish(sink);
    Some(PeeringModel {
        span,
        name,
        source_vpc: source_vpc?,
        destination_vpc: destination_vpc?,
        remotes,
        sources,
        destinations,
        share,
        behaviour,
    })
}

fn source(mut section: Section<'_>, sink: &mut Sink) -> Option<SourceModel> {
    let prefixes = section
        .take("private-prefixes")
        .map(|entry| value::prefixes(&entry, sink))
        .unwrap_or_default();
    let pools = section.require("pools", "[\"internet\"]", sink);
    let protocols = section.take("protocols").map(|entry| {
        let items = entry.items();
        items
            .iter()
            .filter_map(|item| Some(At::new(item.word(&PROTOCOLS, sink)?, item.span())))
            .collect::<Vec<_>>()
    });
    let privileged = section
        .take("privileged-pool")
        .and_then(|entry| value::name(&entry, sink));
    let share = fair::read_share(&mut section, sink);
    let span = section.span();
    section.finish(sink);
    Some(SourceModel {
        share,
        span,
        prefixes,
        pools: value::names(&pools?, sink),
        protocols: protocols.unwrap_or_default(),
        privileged,
    })
}

fn destination(mut section: Section<'_>, sink: &mut Sink) -> Option<DestinationModel> {
    let outer = section
        .require("dst-in-ip-pool", "\"198.51.100.0/24\"", sink)
        .and_then(|entry| value::prefix(&entry, sink));
    let inner = section
        .require("dst-out-ip-pool", "\"172.16.5.0/24\"", sink)
        .and_then(|entry| value::prefix(&entry, sink));
    section.finish(sink);
    Some(DestinationModel {
        outer: outer?,
        inner: inner?,
    })
}
