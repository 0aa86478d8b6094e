//! The keys, in the words of RFC 8512 where it has them.

use natshard::{PortBlocks, Protocol, Strictness, SubscriberLimit, Threshold};
use toml::de::DeValue;

use super::model::{DeterministicModel, FairModel, ShareModel, TenantModel, TenantRef};
use crate::config::diagnostic::{At, Diagnostic, Sink};
use crate::config::section::{Entry, Section};
use crate::config::value;

const PROTOCOLS: [(&str, Protocol); 3] = [
    ("tcp", Protocol::Tcp),
    ("udp", Protocol::Udp),
    ("icmp", Protocol::Icmp),
];

/// Sizes of a port set.
pub(super) const SIZES: [u64; 3] = [64, 128, 256];

/// The policies of a pool.
pub(crate) fn policies(section: &mut Section<'_>, sink: &mut Sink) -> FairModel {
    let quota = section.table("port-quota", "a port quota", sink);
    let port_set = section.table("port-set", "a port set", sink);
    let words = [
        ("strict", Strictness::Strict),
        ("preferred", Strictness::Preferred),
    ];
    let pairing = section.take("pairing");
    let deterministic = section.table("deterministic", "`deterministic`", sink);
    let mask_v6 = section.take("subscriber-mask-v6");
    let tenants = section.tables("tenant", "a tenant", sink);
    let headroom = section.take("headroom");
    let usage = section.table("notify-pool-usage", "`notify-pool-usage`", sink);
    FairModel {
        quota: quota.and_then(|it| port_quota(it, sink)),
        port_set: port_set.and_then(|it| blocks(it, sink)),
        pairing: pairing.and_then(|it| Some(At::new(it.word(&words, sink)?, it.span()))),
        deterministic: deterministic.and_then(|it| ranges(it, sink)),
        mask_v6: mask_v6.and_then(|it| small(&it, 1, 64, sink)),
        tenants: tenants
            .into_iter()
            .filter_map(|it| tenant(it, sink))
            .collect(),
        headroom: headroom.and_then(|it| blocks_of(&it, sink)),
        usage: usage.and_then(|it| thresholds(it, sink)),
    }
}

/// What a peering, or a rule of it, says about its share.
pub(crate) fn share(section: &mut Section<'_>, sink: &mut Sink) -> ShareModel {
    let tenant = section.take("tenant");
    let control = section.take("control");
    ShareModel {
        tenant: tenant.and_then(|entry| match entry.value() {
            DeValue::Integer(_) => {
                let id = entry.number(0, u64::from(u32::MAX), sink)?;
                Some(At::new(TenantRef::Id(id.value as u32), id.span))
            }
            DeValue::String(_) => {
                let name = value::name(&entry, sink)?;
                Some(At::new(TenantRef::Name(name.value), name.span))
            }
            _ => {
                sink.push(entry.wrong_type("the `id` or the `name` of a tenant"));
                None
            }
        }),
        control: control.and_then(|it| Some(At::new(it.boolean(sink)?, it.span()))),
    }
}

/// `port-quota = { tcp = 1000, total = 2000 }`.
fn port_quota(mut section: Section<'_>, sink: &mut Sink) -> Option<At<SubscriberLimit>> {
    let span = section.span();
    let mut limit = SubscriberLimit::new();
    for (key, protocol) in PROTOCOLS {
        let entry = section.take(key);
        let most = u64::from(SubscriberLimit::MOST);
        if let Some(ports) = entry.and_then(|it| it.number(0, most, sink)) {
            limit = limit.ports(protocol, ports.value as u16);
        }
    }
    let most = u64::from(SubscriberLimit::MOST) * PROTOCOLS.len() as u64;
    let total = section.take("total");
    if let Some(ports) = total.and_then(|it| it.number(1, most, sink)) {
        limit = limit.total(ports.value as u32);
    }
    if section.is_empty() {
        sink.push_absence(
            Diagnostic::error(span.clone(), "the quota limits nothing")
                .help("give `tcp`, `udp`, `icmp` or `total`: how many ports a subscriber may hold"),
        );
    }
    section.finish(sink);
    (limit != SubscriberLimit::new()).then(|| At::new(limit, span))
}

/// `port-set = { port-set-size = 64, per-subscriber = 4, tcp = 2 }`.
fn blocks(mut section: Section<'_>, sink: &mut Sink) -> Option<At<PortBlocks>> {
    let span = section.span();
    let size = section
        .require("port-set-size", "64", sink)
        .and_then(|entry| {
            let size = entry.number(1, 65_536, sink)?;
            if SIZES.contains(&size.value) {
                return Some(size.value as u16);
            }
            sink.push(
                entry
                    .error(format!("a port set cannot have {} ports", size.value))
                    .label("no such size")
                    .help("give 64, 128 or 256"),
            );
            None
        });
    let most = u64::from(PortBlocks::MAX);
    let total = section.take("per-subscriber");
    let total = total.and_then(|it| it.number(1, most, sink));
    let each = PROTOCOLS.map(|(key, protocol)| {
        let entry = section.take(key);
        Some((protocol, entry?.number(1, most, sink)?))
    });
    section.finish(sink);
    let mut blocks = PortBlocks::new(size?);
    if let Some(total) = total {
        blocks = blocks.per_subscriber(total.value as u8);
    }
    for (protocol, count) in each.into_iter().flatten() {
        if count.value > u64::from(blocks.most()) {
            sink.push(
                Diagnostic::warning(
                    count.span,
                    format!(
                        "{} port sets of {protocol}, where a subscriber has {} in all",
                        count.value,
                        blocks.most()
                    ),
                )
                .label("limits nothing")
                .help("raise `per-subscriber`, or drop this"),
            );
        }
        blocks = blocks.of_protocol(protocol, count.value as u8);
    }
    Some(At::new(blocks, span))
}

/// `deterministic = { inside-prefixes = ["100.64.0.0/22"], ports = 1008 }`.
fn ranges(mut section: Section<'_>, sink: &mut Sink) -> Option<DeterministicModel> {
    let span = section.span();
    let inside = section.require("inside-prefixes", "[\"100.64.0.0/22\"]", sink);
    let ports = section.require("ports", "1008", sink);
    section.finish(sink);
    let inside = inside.map(|entry| {
        if entry.items().is_empty() {
            sink.push(
                entry
                    .error("there is no inside prefix")
                    .help("write at least one, `[\"100.64.0.0/22\"]` for example"),
            );
        }
        value::prefixes(&entry, sink)
    });
    let ports = ports.and_then(|it| it.number(1, 65_535, sink));
    let (inside, ports) = (inside?, ports?);
    (!inside.is_empty()).then(|| DeterministicModel {
        span,
        inside,
        ports: At::new(ports.value as u16, ports.span),
    })
}

/// `[[external-ip-address-pool.tenant]]`.
fn tenant(mut section: Section<'_>, sink: &mut Sink) -> Option<TenantModel> {
    let id = section
        .require("id", "7", sink)
        .and_then(|it| it.number(0, u64::from(u32::MAX), sink));
    let name = section
        .take("name")
        .and_then(|entry| value::name(&entry, sink));
    let minimum = section.take("minimum").and_then(|it| blocks_of(&it, sink));
    let maximum = section.take("maximum").and_then(|it| blocks_of(&it, sink));
    section.finish(sink);
    let id = id?;
    Some(TenantModel {
        id: At::new(id.value as u32, id.span),
        name,
        minimum,
        maximum,
    })
}

/// `notify-pool-usage = { high-threshold = 90, low-threshold = 80 }`.
fn thresholds(mut section: Section<'_>, sink: &mut Sink) -> Option<At<Threshold>> {
    let span = section.span();
    let high = section
        .require("high-threshold", "90", sink)
        .and_then(|it| small(&it, 1, 100, sink));
    let low = section.take("low-threshold");
    let asked = low.is_some();
    let low = low.and_then(|it| small(&it, 0, 99, sink));
    section.finish(sink);
    let high = high?;
    let low = match (low, asked) {
        (Some(low), _) => low,
        (None, true) => return None,
        // Some way below, lest it goes up and down with every packet.
        (None, false) => At::new(high.value.saturating_sub(10), span.clone()),
    };
    if low.value >= high.value {
        sink.push(
            Diagnostic::error(
                low.span,
                format!(
                    "`low-threshold` of {} % is not below `high-threshold` of {} %",
                    low.value, high.value
                ),
            )
            .label("would be cleared as soon as it is raised")
            .related(high.span, "raised here")
            .help(format!("give less than {}", high.value)),
        );
        return None;
    }
    Some(At::new(Threshold::new(high.value, low.value), span))
}

/// A number of blocks.
fn blocks_of(entry: &Entry<'_>, sink: &mut Sink) -> Option<At<u32>> {
    let blocks = entry.number(0, u64::from(u32::MAX), sink)?;
    Some(At::new(blocks.value as u32, blocks.span))
}

fn small(entry: &Entry<'_>, from: u8, to: u8, sink: &mut Sink) -> Option<At<u8>> {
    let number = entry.number(from.into(), to.into(), sink)?;
    Some(At::new(number.value as u8, number.span))
}
