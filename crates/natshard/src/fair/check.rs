//! Faults of the policies towards subscribers and tenants.
//!
//! Blocks are what shares are counted in and what port blocks are cut from, so a pool that does
//! either has its blocks to itself: it must share none with another pool of its realm.

use std::collections::{BTreeMap, BTreeSet};

use crate::block::PORTS;
use crate::config::PoolConfig;
use crate::config_error::ConfigFault;
use crate::fair::{PortBlocks, Threshold};
use crate::id::PoolId;
use crate::layout::{PortSets, cut, keys};
use crate::protocol::Protocol;
use crate::space::Window;

/// Tenants of one pool over the life of an engine.
pub(crate) const MAX_TENANTS: usize = 250;

/// One protocol of each kind of range: TCP and UDP have the same ports.
const RANGES: [Protocol; 2] = [Protocol::Tcp, Protocol::Icmp];

/// What is wrong with the policies of one pool; `sound` if nothing else is.
pub(crate) fn pool(pool: &PoolConfig, sound: bool, faults: &mut Vec<ConfigFault>) {
    let name = || pool.name.clone();
    let mut seen = BTreeSet::new();
    for share in &pool.tenants {
        if !seen.insert(share.tenant) {
            faults.push(ConfigFault::TenantTwice {
                pool: name(),
                tenant: share.tenant,
            });
        }
        if share.minimum > share.maximum {
            faults.push(ConfigFault::TenantRange {
                pool: name(),
                tenant: share.tenant,
                minimum: share.minimum,
                maximum: share.maximum,
            });
        }
    }
    if seen.len() > MAX_TENANTS {
        faults.push(ConfigFault::TooMany {
            what: "tenants of one pool",
            count: seen.len(),
            limit: MAX_TENANTS,
        });
    }
    let shares = if pool.tenants.is_empty() {
        "headroom"
    } else {
        "tenants"
    };
    if pool.deterministic.is_some() && (!pool.tenants.is_empty() || pool.headroom > 0) {
        faults.push(ConfigFault::SharesOfRanges {
            pool: name(),
            shares,
        });
    }
    if let Some(Threshold { raise, clear }) = pool.threshold
        && !(1..=100).contains(&raise) | (clear >= raise)
    {
        faults.push(ConfigFault::ThresholdRange {
            pool: name(),
            raise,
            clear,
        });
    }
    if let Some(blocks) = &pool.port_blocks {
        port_blocks(pool, blocks, faults);
    }
    if sound {
        guarantees(pool, faults);
    }
}

fn port_blocks(pool: &PoolConfig, blocks: &PortBlocks, faults: &mut Vec<ConfigFault>) {
    if ![64, 128, 256].contains(&blocks.size) {
        faults.push(ConfigFault::PortBlockSize {
            pool: pool.name.clone(),
            size: blocks.size,
        });
    }
    let [tcp, udp, icmp] = blocks.each;
    for (count, of) in [
        (Some(blocks.total), ""),
        (tcp, " in TCP"),
        (udp, " in UDP"),
        (icmp, " in ICMP"),
    ] {
        if let Some(count) = count
            && !(1..=PortBlocks::MAX).contains(&count)
        {
            faults.push(ConfigFault::PortBlockCount {
                pool: pool.name.clone(),
                count,
                of,
            });
        }
    }
}

/// Whether all that is guaranteed could be had at once, in each protocol.
fn guarantees(pool: &PoolConfig, faults: &mut Vec<ConfigFault>) {
    let minima = pool.tenants.iter().map(|share| u64::from(share.minimum));
    let guaranteed = minima.sum::<u64>() + u64::from(pool.headroom);
    if guaranteed == 0 {
        return;
    }
    for protocol in RANGES {
        let blocks = blocks(pool, protocol);
        if guaranteed > blocks {
            faults.push(ConfigFault::GuaranteesExceed {
                pool: pool.name.clone(),
                protocol,
                guaranteed,
                blocks,
            });
        }
    }
}

/// How many blocks a pool can lease from.
fn blocks(pool: &PoolConfig, protocol: Protocol) -> u64 {
    let mut sets = PortSets::default();
    let windows: BTreeSet<Window> = pool.prefixes.iter().map(|prefix| keys(prefix).0).collect();
    let atoms = windows
        .into_iter()
        .flat_map(|window| cut(&[(PoolId(0), pool)], protocol, window, &mut sets));
    let counts = atoms.map(|(low, high, shares)| {
        let each: usize = shares.iter().map(|share| share.lease.blocks().len()).sum();
        (u64::from(high - low) + 1) * each as u64
    });
    counts.sum()
}

/// What keeps a pool from sharing blocks with another.
fn exclusive(pool: &PoolConfig) -> Option<&'static str> {
    if !pool.tenants.is_empty() {
        Some("tenants")
    } else if pool.headroom > 0 {
        Some("headroom")
    } else if pool.threshold.is_some() {
        Some("a threshold")
    } else if pool.port_blocks.is_some() {
        Some("port blocks")
    } else {
        pool.deterministic.map(|_| "deterministic ranges")
    }
}

/// Finds the pools that must have their blocks to themselves and share some; each pair and kind of
/// range once.
pub(crate) fn sharing(pools: &[PoolConfig], faults: &mut Vec<ConfigFault>) {
    if pools.len() > usize::from(u16::MAX) || !pools.iter().any(|pool| exclusive(pool).is_some()) {
        return;
    }
    let mut windows: BTreeMap<(&str, Window), Vec<(PoolId, &PoolConfig)>> = BTreeMap::new();
    for (index, pool) in pools.iter().enumerate() {
        let of_pool: BTreeSet<_> = pool.prefixes.iter().map(|prefix| keys(prefix).0).collect();
        for window in of_pool {
            let members = windows.entry((&pool.realm, window)).or_default();
            members.push((PoolId(index as u16), pool));
        }
    }
    let mut sets = PortSets::default();
    let mut told = BTreeSet::new();
    for (&(_, window), members) in &windows {
        if members.len() < 2 || !members.iter().any(|(_, pool)| exclusive(pool).is_some()) {
            continue;
        }
        for protocol in RANGES {
            for (low, _, shares) in cut(members, protocol, window, &mut sets) {
                for (index, first) in shares.iter().enumerate() {
                    for second in &shares[index + 1..] {
                        let common = first.lease.blocks().and(&second.lease.blocks());
                        let Some(block) = common.iter().next() else {
                            continue;
                        };
                        // The one that must not share comes first.
                        let pair = [(first, second), (second, first)];
                        let pair = pair.map(|(one, other)| (one.pool, other.pool));
                        let fault = pair.into_iter().find_map(|(one, other)| {
                            let what = exclusive(&pools[one.as_index()])?;
                            told.insert((first.pool, second.pool, protocol)).then(|| {
                                ConfigFault::SharedBlocks {
                                    pool: pools[one.as_index()].name.clone(),
                                    what,
                                    other: pools[other.as_index()].name.clone(),
                                    protocol,
                                    address: window.address(low),
                                    ports: (block * PORTS) as u16
                                        ..=(block * PORTS + PORTS - 1) as u16,
                                }
                            })
                        });
                        faults.extend(fault);
                    }
                }
            }
        }
    }
}
