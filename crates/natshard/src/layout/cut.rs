//! The address ranges of a space that every pool treats alike, and the blocks that the same pools
//! may lease from.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;
use std::sync::Arc;

use ipnet::IpNet;

use super::Share;
use crate::config::PoolConfig;
use crate::fields::{join_long, join_short};
use crate::hints::{BLOCKS, BlockSet};
use crate::id::PoolId;
use crate::portset::PortSet;
use crate::protocol::Protocol;
use crate::space::Window;

/// The keys of a prefix within its window.
pub(crate) fn keys(net: &IpNet) -> (Window, u32, u32) {
    let (window, low) = Window::of(net.network());
    let host_bits = u32::from(net.max_prefix_len() - net.prefix_len());
    let high = if host_bits >= 32 {
        u32::MAX
    } else {
        join_short([low, ((1u64 << host_bits) - 1) as u32])
    };
    (window, low, high)
}

/// The keys of an exclusion within a window, if it reaches into it.
pub(super) fn clip(net: &IpNet, window: Window) -> Option<(u32, u32)> {
    match (net, window) {
        (IpNet::V4(_), Window::V4) => {
            let (_, low, high) = keys(net);
            Some((low, high))
        }
        (IpNet::V6(net), Window::V6(base)) => {
            let low = u128::from(net.network()).max(base);
            let high = u128::from(net.broadcast()).min(join_long([base, u128::from(u32::MAX)]));
            (low <= high).then_some((low as u32, high as u32))
        }
        _ => None,
    }
}

/// Makes each distinct port set once.
#[derive(Default)]
pub(crate) struct PortSets(HashMap<(Ranges, Ranges), Arc<PortSet>>);

type Ranges = Vec<RangeInclusive<u16>>;

impl PortSets {
    fn get(&mut self, with: &RangeInclusive<u16>, without: &[RangeInclusive<u16>]) -> Arc<PortSet> {
        let key = (vec![with.clone()], without.to_vec());
        Arc::clone(
            self.0
                .entry(key)
                .or_insert_with_key(|(with, without)| Arc::new(PortSet::new(with, without))),
        )
    }
}

/// What a pool makes of an address range.
fn share(
    pool: &PoolConfig,
    id: PoolId,
    protocol: Protocol,
    window: Window,
    low: u32,
    sets: &mut PortSets,
) -> Share {
    let range = match protocol {
        Protocol::Tcp | Protocol::Udp => &pool.ports,
        Protocol::Icmp => &pool.identifiers,
    };
    let mut without = Vec::new();
    for exclusion in &pool.exclusions {
        let here = exclusion.net.as_ref().is_none_or(|net| {
            clip(net, window).is_some_and(|(first, last)| first <= low && low <= last)
        });
        match (&exclusion.ports, protocol) {
            _ if !here => {}
            (None, _) => without.push(0..=u16::MAX),
            (Some(ports), Protocol::Tcp | Protocol::Udp) => without.push(ports.clone()),
            (Some(_), Protocol::Icmp) => {}
        }
    }
    Share {
        pool: id,
        range: sets.get(range, &[]),
        lease: sets.get(range, &without),
    }
}

/// Cuts one space: its atoms, and the shares of each.
pub(crate) fn cut(
    pools: &[(PoolId, &PoolConfig)],
    protocol: Protocol,
    window: Window,
    sets: &mut PortSets,
) -> Vec<(u32, u32, Vec<Share>)> {
    let mut starts = vec![];
    let mut held: Vec<Vec<(u32, u32)>> = vec![];
    for (_, pool) in pools {
        let mut ranges: Vec<(u32, u32)> = vec![];
        for prefix in &pool.prefixes {
            let (of, low, high) = keys(prefix);
            if of == window {
                ranges.push((low, high));
            }
        }
        ranges.sort_unstable();
        let exclusions = pool
            .exclusions
            .iter()
            .filter_map(|exclusion| clip(exclusion.net.as_ref()?, window));
        for (low, high) in ranges.iter().copied().chain(exclusions) {
            starts.push(u64::from(low));
            starts.push(u64::from(high) + 1);
        }
        held.push(ranges);
    }
    starts.sort_unstable();
    starts.dedup();
    let mut atoms: Vec<(u32, u32, Vec<Share>)> = vec![];
    for bounds in starts.windows(2) {
        let (low, high) = (bounds[0] as u32, (bounds[1] - 1) as u32);
        let shares: Vec<Share> = pools
            .iter()
            .zip(&held)
            .filter(|(_, ranges)| {
                let after = ranges.partition_point(|&(first, _)| first <= low);
                after > 0 && low <= ranges[after - 1].1
            })
            .map(|(&(id, pool), _)| share(pool, id, protocol, window, low, sets))
            .collect();
        match atoms.last_mut() {
            _ if shares.is_empty() => {}
            Some((_, last, same)) if *last == low.wrapping_sub(1) && *same == shares => {
                *last = high
            }
            _ => atoms.push((low, high, shares)),
        }
    }
    atoms
}

/// The pools that share some blocks, each with the ports it may lease.
pub(super) type Sharers = Vec<(PoolId, Arc<PortSet>)>;

/// Groups the blocks of a class by the pools that may lease from them.
pub(super) fn group_blocks(shares: &[Share]) -> Vec<(BlockSet, Sharers)> {
    let reach: Vec<_> = shares.iter().map(|share| share.lease.blocks()).collect();
    let mut groups: BTreeMap<Vec<usize>, BlockSet> = BTreeMap::new();
    for block in 0..BLOCKS {
        let sharing: Vec<usize> = (0..shares.len())
            .filter(|&share| reach[share].contains(block))
            .collect();
        if !sharing.is_empty() {
            groups.entry(sharing).or_default().insert(block);
        }
    }
    groups
        .into_iter()
        .map(|(sharing, blocks)| {
            let pools = sharing
                .iter()
                .map(|&share| (shares[share].pool, Arc::clone(&shares[share].lease)));
            (blocks, pools.collect())
        })
        .collect()
}

#[cfg(test)]
mod tests;
