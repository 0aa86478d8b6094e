//! Checks of what a configuration says against itself: names, references, pools.

use std::collections::HashMap;

use ipnet::IpNet;

use super::diagnostic::{At, Diagnostic, Sink};
use super::model::{ExclusionModel, Model, PoolModel};
use super::word;

/// Most addresses of an exclusion that has ports as well.
pub(crate) const MAX_EXCLUDED_HOSTS: u128 = 4096;

/// Checks names, pools and realms. What would be found a second time by whoever builds the engine
/// is taken out of the model.
pub(crate) fn check(model: &mut Model, sink: &mut Sink) {
    unique(model.pools.iter().map(|it| &it.name), "pool", sink);
    unique(model.vpcs.iter().map(|it| &it.name), "VPC", sink);
    unique(model.peerings.iter().map(|it| &it.name), "peering", sink);
    if let Some(realms) = &model.realms {
        unique(realms.iter(), "realm", sink);
    }
    if model.pools.is_empty() && !model.only_faulty_pools {
        sink.push_absence(
            Diagnostic::error(0..0, "the configuration has no pool").help(
                "add `[[external-ip-address-pool]]` with `name = \"internet\"` and \
                 `external-ip-pool = [\"203.0.113.0/28\"]`",
            ),
        );
    }
    if let Some(realms) = &model.realms {
        let known: Vec<&At<String>> = realms.iter().collect();
        for pool in &mut model.pools {
            realm_of(pool, &known, sink);
        }
    }
    for pool in &mut model.pools {
        unicast(pool, sink);
        overlaps(pool, sink);
        exclusions(pool, sink);
    }
    for vpc in &mut model.vpcs {
        repeated(&mut vpc.inside, "inside prefix", sink);
    }
}

/// A pool's realm is one of those stated; of a single one it need not be said.
fn realm_of(pool: &mut PoolModel, known: &[&At<String>], sink: &mut Sink) {
    match (&pool.realm, known) {
        (Some(realm), _) => {
            reference(realm, known, "realm", sink);
        }
        (None, [only]) => pool.realm = Some(At::new(only.value.clone(), pool.span.clone())),
        (None, _) => sink.push_absence(
            Diagnostic::error(pool.span.clone(), "a pool has no `realm`")
                .label("`external-realms` are stated, so each pool must name one")
                .help(format!(
                    "add `realm = \"{}\"`",
                    known
                        .first()
                        .map_or("internet".into(), |it| word::shown(&it.value))
                )),
        ),
    }
}

/// Names must differ.
fn unique<'a>(names: impl Iterator<Item = &'a At<String>>, what: &str, sink: &mut Sink) {
    let mut seen: HashMap<&str, &At<String>> = HashMap::new();
    for name in names {
        match seen.get(name.value.as_str()) {
            Some(first) => sink.push(
                Diagnostic::error(
                    name.span.clone(),
                    format!("{what} `{}` is named twice", word::shown(&name.value)),
                )
                .label("the second")
                .related(first.span.clone(), "the first")
                .help("give one of them another name"),
            ),
            None => {
                seen.insert(&name.value, name);
            }
        }
    }
}

/// Whether a name is one of those that are there; a fault otherwise.
pub(crate) fn reference(
    name: &At<String>,
    known: &[&At<String>],
    what: &str,
    sink: &mut Sink,
) -> bool {
    if known.iter().any(|it| it.value == name.value) {
        return true;
    }
    let mut names: Vec<_> = known.iter().map(|it| word::shown(&it.value)).collect();
    names.sort_unstable();
    names.dedup();
    let help = match word::closest(&name.value, names.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `\"{near}\"`?"),
        None if names.is_empty() => format!("there is no {what} at all: add one"),
        None if names.len() <= 8 => format!("there is {}", word::list(&names)),
        None => format!("name one of the {} that are there", names.len()),
    };
    sink.push_absence(
        Diagnostic::error(
            name.span.clone(),
            format!("there is no {what} `{}`", word::shown(&name.value)),
        )
        .label(format!("no such {what}"))
        .help(help),
    );
    false
}

/// Prefixes that no packet may come from (RFC 6890, RFC 4291), and whether they are a fault.
const SPECIAL: [(&str, &str, bool); 10] = [
    ("0.0.0.0/8", "\"this network\"", true),
    ("127.0.0.0/8", "loopback", true),
    ("224.0.0.0/4", "multicast", true),
    ("255.255.255.255/32", "the broadcast address", true),
    ("::/128", "the unspecified address", true),
    ("::1/128", "loopback", true),
    ("ff00::/8", "multicast", true),
    ("::ffff:0:0/96", "mapped IPv4 addresses", true),
    ("169.254.0.0/16", "link-local", false),
    ("fe80::/10", "link-local", false),
];

/// A pool must have addresses that packets can come from.
fn unicast(pool: &mut PoolModel, sink: &mut Sink) {
    let special = SPECIAL.map(|(net, what, fault)| (net.parse::<IpNet>(), what, fault));
    pool.prefixes.retain(|it| {
        let found = special.iter().find_map(|(net, what, fault)| {
            let net = net.as_ref().ok()?;
            overlap(net, &it.value).then_some((net, what, *fault))
        });
        let Some((net, what, fault)) = found else {
            return true;
        };
        let message = if net.contains(&it.value) {
            format!("{} is {what}", it.value)
        } else {
            format!("{} holds {net}, which is {what}", it.value)
        };
        let diagnostic = if fault {
            Diagnostic::error(it.span.clone(), message).label("no packet may come from there")
        } else {
            Diagnostic::warning(it.span.clone(), message).label("no router forwards it")
        };
        sink.push(diagnostic.help("give unicast addresses that are routed to this NAT"));
        !fault
    });
}

/// Prefixes of one pool must not share addresses; of two that do, the longer one is taken out.
fn overlaps(pool: &mut PoolModel, sink: &mut Sink) {
    let mut order: Vec<usize> = (0..pool.prefixes.len()).collect();
    // A prefix comes before those inside it, so that only neighbours of the stack can hold it.
    order.sort_by_key(|index| {
        let net = pool.prefixes[*index].value;
        (net.network(), net.prefix_len(), *index)
    });
    let mut dropped = vec![false; pool.prefixes.len()];
    let mut open: Option<usize> = None;
    for index in order {
        let net = &pool.prefixes[index];
        match open {
            Some(outer) if pool.prefixes[outer].value.contains(&net.value) => {
                let outer = &pool.prefixes[outer];
                dropped[index] = true;
                let message = if outer.value == net.value {
                    format!("prefix {} is given twice", net.value)
                } else {
                    format!("prefix {} lies inside {}", net.value, outer.value)
                };
                sink.push(
                    Diagnostic::error(net.span.clone(), message)
                        .label("the same addresses again")
                        .related(outer.span.clone(), "already here")
                        .help("drop the longer one of the two"),
                );
            }
            _ => open = Some(index),
        }
    }
    let mut index = 0;
    pool.prefixes.retain(|_| {
        index += 1;
        !dropped[index - 1]
    });
}

/// Exclusions must take something away from the pool.
fn exclusions(pool: &mut PoolModel, sink: &mut Sink) {
    let prefixes: Vec<IpNet> = pool.prefixes.iter().map(|it| it.value).collect();
    let (complete, ports) = (pool.complete, pool.ports());
    pool.exclusions.retain(|it| {
        if let Some(address) = &it.address
            && complete
            && !prefixes.iter().any(|net| overlap(net, &address.value))
        {
            sink.push_absence(
                Diagnostic::error(
                    address.span.clone(),
                    format!("exclusion of {} is outside the pool", address.value),
                )
                .label("excludes nothing")
                .help(format!(
                    "the pool has {}",
                    word::list(&texts(prefixes.iter().take(6)))
                )),
            );
            return false;
        }
        if let Some(excluded) = &it.ports
            && (excluded.value.end() < ports.start() || excluded.value.start() > ports.end())
        {
            sink.push(
                Diagnostic::warning(
                    excluded.span.clone(),
                    format!(
                        "exclusion of ports {} is outside the range of the pool",
                        word::range(&excluded.value)
                    ),
                )
                .label("excludes nothing")
                .help(format!(
                    "the pool gives out {}: drop the exclusion or mend its ports",
                    word::range(&ports)
                )),
            );
            return false;
        }
        !too_many_hosts(it, sink)
    });
}

fn too_many_hosts(exclusion: &ExclusionModel, sink: &mut Sink) -> bool {
    let (Some(address), Some(_)) = (&exclusion.address, &exclusion.ports) else {
        return false;
    };
    let hosts = addresses(&address.value);
    if hosts <= MAX_EXCLUDED_HOSTS {
        return false;
    }
    sink.push(
        Diagnostic::error(
            address.span.clone(),
            format!(
                "ports of {} addresses are excluded one by one",
                word::grouped(hosts)
            ),
        )
        .label("too large a prefix together with `ports`")
        .help(format!(
            "give a prefix of at most {} addresses, or leave out `address` or `ports`",
            word::grouped(MAX_EXCLUDED_HOSTS)
        )),
    );
    true
}

/// The same prefix twice in a list is one too many, but does no harm.
fn repeated(prefixes: &mut Vec<At<IpNet>>, what: &str, sink: &mut Sink) {
    let mut seen: HashMap<IpNet, std::ops::Range<usize>> = HashMap::new();
    prefixes.retain(|it| {
        if let Some(first) = seen.get(&it.value) {
            sink.push(
                Diagnostic::warning(
                    it.span.clone(),
                    format!("{what} {} is given twice", it.value),
                )
                .label("the second")
                .related(first.clone(), "the first")
                .help("drop one of them"),
            );
            return false;
        }
        seen.insert(it.value, it.span.clone());
        true
    });
}

/// Whether two prefixes share an address.
pub(crate) fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(b) || b.contains(a)
}

/// How many addresses a prefix has.
pub(crate) fn addresses(net: &IpNet) -> u128 {
    1_u128
        .checked_shl(u32::from(net.max_prefix_len() - net.prefix_len()))
        .unwrap_or(u128::MAX)
}

/// Prefixes as text.
pub(crate) fn texts<'a>(nets: impl Iterator<Item = &'a IpNet>) -> Vec<String> {
    nets.map(IpNet::to_string).collect()
}
