//! The faults of a configuration.

use std::collections::BTreeSet;

use ipnet::IpNet;

use super::cut::{PortSets, clip, cut, keys};
use crate::config::{EngineConfig, PoolConfig};
use crate::config_error::{ConfigError, ConfigFault};
use crate::fair;
use crate::id::PoolId;
use crate::protocol::Protocol;

/// Finds every fault of a configuration.
pub(crate) fn check(config: &EngineConfig) -> Result<(), ConfigError> {
    let mut faults = Vec::new();
    if !(1..=EngineConfig::MAX_SHARDS).contains(&config.shards) {
        faults.push(ConfigFault::Shards(config.shards));
    }
    if config.hold_down.as_secs() > 30 * 86_400 {
        faults.push(ConfigFault::HoldDown(config.hold_down));
    }
    if config.max_subscribers > 1 << 30 {
        faults.push(ConfigFault::TooMany {
            what: "subscribers",
            count: config.max_subscribers as usize,
            limit: 1 << 30,
        });
    }
    if config.pools.len() > 4096 {
        faults.push(ConfigFault::TooMany {
            what: "pools",
            count: config.pools.len(),
            limit: 4096,
        });
    }
    let windows: BTreeSet<_> = config
        .pools
        .iter()
        .flat_map(|pool| {
            pool.prefixes
                .iter()
                .map(|prefix| (&pool.realm, keys(prefix).0))
        })
        .collect();
    if windows.len() > 16_384 {
        let what = "/96 windows of IPv6 prefixes";
        faults.push(ConfigFault::TooMany {
            what,
            count: windows.len(),
            limit: 16_384,
        });
    }
    for pool in config.pools.iter().filter(|pool| pool.preopen > 1 << 20) {
        let what = "addresses to open ahead";
        faults.push(ConfigFault::TooMany {
            what,
            count: pool.preopen,
            limit: 1 << 20,
        });
    }
    let mut seen = BTreeSet::new();
    for (index, pool) in config.pools.iter().enumerate() {
        check_pool(index, pool, &mut faults);
        if !seen.insert(&pool.name) {
            faults.push(ConfigFault::DuplicatePool(pool.name.clone()));
        }
    }
    fair::check::sharing(&config.pools, &mut faults);
    if faults.is_empty() {
        Ok(())
    } else {
        Err(ConfigError { faults })
    }
}

pub(crate) fn check_pool(index: usize, pool: &PoolConfig, faults: &mut Vec<ConfigFault>) {
    let before = faults.len();
    let name = || pool.name.clone();
    if pool.name.is_empty() {
        faults.push(ConfigFault::EmptyName(index, "name"));
    }
    if pool.realm.is_empty() {
        faults.push(ConfigFault::EmptyName(index, "realm"));
    }
    if pool.prefixes.is_empty() {
        faults.push(ConfigFault::NoPrefix(name()));
    }
    for prefix in &pool.prefixes {
        if prefix.addr() != prefix.network() {
            faults.push(ConfigFault::HostBits {
                pool: name(),
                prefix: *prefix,
            });
        }
    }
    let mut sorted = pool.prefixes.clone();
    sorted.sort_by_key(|prefix| (prefix.network(), prefix.prefix_len()));
    let mut widest: Option<IpNet> = None;
    for second in sorted {
        match widest.filter(|first| first.contains(&second.network())) {
            Some(first) => faults.push(ConfigFault::OverlappingPrefixes {
                pool: name(),
                first,
                second,
            }),
            None => widest = Some(second),
        }
    }
    for (what, range) in [
        ("port range", &pool.ports),
        ("identifier range", &pool.identifiers),
    ] {
        if range.is_empty() {
            faults.push(ConfigFault::EmptyRange {
                pool: name(),
                what,
                range: range.clone(),
            });
        }
    }
    if *pool.ports.start() == 0 && !pool.ports.is_empty() {
        faults.push(ConfigFault::PortZero(name()));
    }
    for exclusion in &pool.exclusions {
        if let Some(range) = exclusion.ports.as_ref().filter(|range| range.is_empty()) {
            let what = "excluded port range";
            faults.push(ConfigFault::EmptyRange {
                pool: name(),
                what,
                range: range.clone(),
            });
        }
        if let Some(net) = exclusion.net {
            let reaches = |prefix: &IpNet| {
                clip(&net, keys(prefix).0).is_some_and(|(low, high)| {
                    let (_, first, last) = keys(prefix);
                    low <= last && first <= high
                })
            };
            if !pool.prefixes.iter().any(reaches) {
                faults.push(ConfigFault::ExclusionOutside { pool: name(), net });
            }
        }
    }
    if faults.len() == before && leaves_nothing(pool) {
        faults.push(ConfigFault::NothingLeft(name()));
    }
    if faults.len() == before {
        faults.extend(fair::deterministic::fault(pool));
    }
    fair::check::pool(pool, faults.len() == before, faults);
}

fn leaves_nothing(pool: &PoolConfig) -> bool {
    let mut sets = PortSets::default();
    let id = PoolId(0);
    let windows: BTreeSet<_> = pool.prefixes.iter().map(|prefix| keys(prefix).0).collect();
    windows.into_iter().all(|window| {
        Protocol::ALL.into_iter().all(|protocol| {
            let atoms = cut(&[(id, pool)], protocol, window, &mut sets);
            atoms
                .iter()
                .all(|(_, _, shares)| shares.iter().all(|share| share.lease.len() == 0))
        })
    })
}

#[cfg(test)]
mod tests;
