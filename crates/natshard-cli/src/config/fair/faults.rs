//! Faults of policies that only the builders of the engine and of the NAT function find, with their
//! places.

use std::net::IpAddr;

use natshard::{ConfigFault, Protocol};
use natshard_nat::NatConfigFault;

use super::model::FairModel;
use crate::config::convert::Converted;
use crate::config::diagnostic::{Diagnostic, Span};
use crate::config::model::{Model, PoolModel};
use crate::config::word;

/// A fault of policies that the engine found; `None` if it is of another kind.
pub(crate) fn engine(fault: &ConfigFault, model: &Model) -> Option<Diagnostic> {
    let find = |name: &str| model.pools.iter().find(|it| it.name.value == name);
    let fair = |name: &str| find(name).map(|it| &it.fair);
    let name = |name: &str| find(name).map_or(0..0, |it| it.name.span.clone());
    let diagnostic = match fault {
        ConfigFault::DeterministicNone { pool, what } => Diagnostic::error(
            ranges(fair(pool)).unwrap_or_else(|| name(pool)),
            format!("deterministic with 0 {what}"),
        )
        .help("give at least 1"),
        ConfigFault::DeterministicPorts { pool, ports, most } => Diagnostic::error(
            ports_each(fair(pool)).unwrap_or_else(|| name(pool)),
            format!("{ports} ports for each subscriber are more than an address has"),
        )
        .label("no address can hold them")
        .help(format!(
            "give at most {most}, or widen `port-set-restrict` and `identifiers`"
        )),
        ConfigFault::DeterministicAddresses {
            pool,
            subscribers,
            ports,
            most,
            needed,
            addresses,
        } => {
            let each = subscribers.div_ceil((*addresses).max(1));
            let room = find(pool).map_or(0, least_range) / each.max(1);
            Diagnostic::error(
                ports_each(fair(pool)).unwrap_or_else(|| name(pool)),
                format!(
                    "{} subscribers with {ports} ports each, {most} to an address, need {} \
                     addresses, and the pool has {}",
                    grouped(*subscribers),
                    grouped(*needed),
                    grouped(*addresses)
                ),
            )
            .label("too many ports for so many subscribers")
            .help(match room {
                0 => "add addresses to `external-ip-pool`".into(),
                room => format!("give at most {room}, or add addresses to `external-ip-pool`"),
            })
        }
        ConfigFault::DeterministicExclusion {
            pool,
            ports,
            subscriber,
            range,
        } => {
            let exclusion = find(pool).and_then(|it| {
                let mut all = it.exclusions.iter().filter_map(|it| it.ports.as_ref());
                all.find(|it| it.value == *ports)
            });
            Diagnostic::error(
                exclusion.map_or_else(|| name(pool), |it| it.span.clone()),
                format!(
                    "excludes ports of subscriber {subscriber}, whose range is {}",
                    word::range(range)
                ),
            )
            .label("computed for a subscriber")
            .help("exclude ports beyond the deterministic ranges, or narrow `port-set-restrict`")
        }
        ConfigFault::TenantTwice { pool, tenant } => {
            let all = fair(pool)
                .map(|it| it.tenants.as_slice())
                .unwrap_or_default();
            let mut same = all.iter().filter(|it| it.id.value == *tenant);
            let first = same.next().map_or(0..0, |it| it.id.span.clone());
            let second = same.next_back().map_or(0..0, |it| it.id.span.clone());
            Diagnostic::error(
                second,
                format!("tenant {tenant} has two shares of one pool"),
            )
            .label("the second")
            .related(first, "the first")
            .help("make one of them")
        }
        ConfigFault::TenantRange {
            pool,
            tenant,
            minimum,
            maximum,
        } => {
            let mut all = fair(pool).into_iter().flat_map(|it| &it.tenants);
            let share = all.find(|it| it.id.value == *tenant);
            let minimum_at = share.and_then(|it| it.minimum.as_ref());
            let maximum_at = share.and_then(|it| it.maximum.as_ref());
            let fault = Diagnostic::error(
                minimum_at.map_or_else(|| name(pool), |it| it.span.clone()),
                format!("tenant {tenant} is guaranteed {minimum} blocks and may have {maximum}"),
            )
            .label("more than it may have");
            match maximum_at {
                Some(it) => fault.related(it.span.clone(), "the most it may have"),
                None => fault,
            }
            .help(format!("give a `minimum` of at most {maximum}"))
        }
        ConfigFault::GuaranteesExceed {
            pool,
            protocol,
            guaranteed,
            blocks,
        } => {
            let fair = fair(pool);
            let largest = fair.and_then(|it| {
                let minima = it.tenants.iter().filter_map(|it| it.minimum.as_ref());
                minima.chain(&it.headroom).max_by_key(|it| it.value)
            });
            Diagnostic::error(
                largest.map_or_else(|| name(pool), |it| it.span.clone()),
                format!(
                    "pool `{}` guarantees {} blocks, tenants and headroom together, and has {} of \
                     {protocol}",
                    word::shown(pool),
                    grouped(*guaranteed),
                    grouped(*blocks)
                ),
            )
            .label("the largest of them")
            .help(format!(
                "guarantee at most {blocks} in all, or add addresses: each has {} blocks of 256 \
                 {}",
                find(pool).map_or(0, |it| blocks_of_address(it, *protocol)),
                match protocol {
                    Protocol::Icmp => "identifiers",
                    _ => "ports",
                }
            ))
        }
        ConfigFault::ThresholdRange { pool, raise, clear } => Diagnostic::error(
            fair(pool)
                .and_then(|it| it.usage.as_ref())
                .map_or_else(|| name(pool), |it| it.span.clone()),
            format!("raised at {raise} % and cleared at {clear} %"),
        )
        .help("raise at 1 to 100, and clear below that"),
        ConfigFault::PortBlockSize { pool, size } => Diagnostic::error(
            port_set(fair(pool)).unwrap_or_else(|| name(pool)),
            format!("a port set cannot have {size} ports"),
        )
        .help("give 64, 128 or 256"),
        ConfigFault::PortBlockCount { pool, count, of } => Diagnostic::error(
            port_set(fair(pool)).unwrap_or_else(|| name(pool)),
            format!("{count} port sets{of} for each subscriber"),
        )
        .help(format!("give 1 to {}", natshard::PortBlocks::MAX)),
        ConfigFault::SharedBlocks {
            pool,
            what,
            other,
            protocol,
            address,
            ports,
        } => Diagnostic::error(
            prefix(find(pool), *address).unwrap_or_else(|| name(pool)),
            format!(
                "pool `{}` has {}, and shares {protocol} block {} of {address} with pool `{}`",
                word::shown(pool),
                in_words(what),
                word::range(ports),
                word::shown(other)
            ),
        )
        .label("must be this pool's alone")
        .related(
            prefix(find(other), *address).unwrap_or_else(|| name(other)),
            "and is in here as well",
        )
        .help(
            "give them distinct prefixes, or ranges of ports and of identifiers that meet at a \
             multiple of 256",
        ),
        _ => return None,
    };
    Some(diagnostic)
}

/// A fault of policies that the NAT function's builder found; `None` if it is of another kind.
pub(crate) fn nat(
    fault: &NatConfigFault,
    model: &Model,
    converted: &Converted,
) -> Option<Diagnostic> {
    let find = |name: &str| model.pools.iter().find(|it| it.name.value == name);
    let fair = |name: &str| find(name).map(|it| &it.fair);
    let inside = |pool: &str, prefix: &ipnet::IpNet| {
        let ranges = fair(pool).and_then(|it| it.deterministic.as_ref());
        let mut all = ranges.into_iter().flat_map(|it| &it.inside);
        let found = all.rfind(|it| it.value == *prefix);
        found.map_or(0..0, |it| it.span.clone())
    };
    let diagnostic = match fault {
        NatConfigFault::InsideTooLong { pool, prefix } => Diagnostic::error(
            inside(pool, prefix),
            format!("{prefix} is less than one subscriber"),
        )
        .label("a subscriber is a /64 of IPv6")
        .help("give 64 bits or fewer"),
        NatConfigFault::InsideOverlap {
            pool,
            first,
            second,
        } => {
            let ranges = fair(pool).and_then(|it| it.deterministic.as_ref());
            let mut all = ranges.into_iter().flat_map(|it| &it.inside);
            let first_at = all.find(|it| it.value == *first);
            Diagnostic::error(
                inside(pool, second),
                format!("inside prefixes {first} and {second} overlap"),
            )
            .label("the same hosts again")
            .related(first_at.map_or(0..0, |it| it.span.clone()), "already here")
            .help("drop the longer one of the two")
        }
        NatConfigFault::MixedFamilies(pool) => Diagnostic::error(
            ranges(fair(pool)).unwrap_or(0..0),
            format!(
                "deterministic pool `{}` has prefixes, inside or public, of IPv4 and of IPv6",
                word::shown(pool)
            ),
        )
        .label("numbers hosts of one family only")
        .help("make a pool of each"),
        NatConfigFault::SharedSubscribers {
            pool,
            first,
            first_vpc,
            second,
            second_vpc,
        } => {
            let vpc = |id| {
                let vpc = converted.vpcs.iter().find(|it| it.id == id);
                vpc.map_or_else(String::new, |it| word::shown(&it.name))
            };
            Diagnostic::error(
                find(pool).map_or(0..0, |it| it.name.span.clone()),
                format!(
                    "subscribers of pool `{}` cannot be told apart: {first} of VPC `{}` and \
                     {second} of VPC `{}`",
                    word::shown(pool),
                    vpc(*first_vpc),
                    vpc(*second_vpc)
                ),
            )
            .label("serves both")
            .help("give each of the two VPCs a pool of its own, or distinct prefixes")
        }
        _ => return None,
    };
    Some(diagnostic)
}

fn ranges(fair: Option<&FairModel>) -> Option<Span> {
    Some(fair?.deterministic.as_ref()?.span.clone())
}

fn ports_each(fair: Option<&FairModel>) -> Option<Span> {
    Some(fair?.deterministic.as_ref()?.ports.span.clone())
}

fn port_set(fair: Option<&FairModel>) -> Option<Span> {
    Some(fair?.port_set.as_ref()?.span.clone())
}

/// The prefix of a pool that an address is in.
fn prefix(pool: Option<&PoolModel>, address: IpAddr) -> Option<Span> {
    let prefix = pool?.prefixes.iter().find(|it| it.value.contains(&address));
    Some(prefix?.span.clone())
}

/// The engine's words in those of this file.
fn in_words(what: &str) -> &str {
    match what {
        "port blocks" => "port sets",
        "a threshold" => "`notify-pool-usage`",
        other => other,
    }
}

/// Ports of an address, in the protocol that has fewest.
fn least_range(pool: &PoolModel) -> u64 {
    pool.ports().len().min(pool.identifiers.len()) as u64
}

fn blocks_of_address(pool: &PoolModel, protocol: Protocol) -> u32 {
    let range = match protocol {
        Protocol::Tcp | Protocol::Udp => pool.ports(),
        Protocol::Icmp => pool.identifiers.clone(),
    };
    u32::from(range.end() / 256) - u32::from(range.start() / 256) + 1
}

fn grouped(number: u64) -> String {
    word::grouped(number.into())
}
