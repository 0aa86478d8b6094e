use std::sync::Arc;

use super::*;
use crate::config::{EngineConfig, PoolConfig};
use crate::fair::{Deterministic, PortBlocks};
use crate::layout::Names;

#[test]
fn the_ports_of_a_block_within_a_range_are_those_of_both() {
    let edges = [
        0,
        1,
        255,
        256,
        257,
        300,
        511,
        512,
        513,
        1000,
        u16::MAX - 1,
        u16::MAX,
    ];
    for first in edges {
        for last in edges {
            for block in [0, 1, 2, 3, 255] {
                let expected = (0..PORTS).filter(|port| {
                    (usize::from(first)..=usize::from(last)).contains(&(block * PORTS + port))
                });
                let ports = within(block, &(first..=last));
                assert!(ports.iter().eq(expected), "{block}: {first} to {last}");
            }
        }
    }
}

/// Which blocks of a pool its port blocks may be cut from.
fn assignable(pool: PoolConfig) -> Vec<usize> {
    let pool = pool.prefix("192.0.2.0/32".parse().unwrap());
    let config = EngineConfig::new(1).pool(pool);
    let layout = Layout::build(config, &mut Names::default(), None);
    let pool = layout.pools().next().unwrap();
    let mut regions = pool.regions(Protocol::Udp, None);
    let blocks = regions.next().map(|region| pool.assignable(region));
    assert!(regions.next().is_none());
    blocks.unwrap().iter().collect()
}

#[test]
fn port_blocks_are_cut_from_what_ranges_leave() {
    let pool = || PoolConfig::new("p").ports(1024..=4095);
    assert_eq!(assignable(pool()), []);
    let blocks = PortBlocks::new(64);
    assert!(assignable(pool().port_blocks(blocks)).into_iter().eq(4..16));
    // Ranges up to 2047: eight blocks are left.
    let ranges = |subscribers| {
        let mode = Deterministic::new(subscribers, 128);
        pool().deterministic(mode).port_blocks(blocks)
    };
    assert!(assignable(ranges(8)).into_iter().eq(8..16));
    // Up to 2175: the second half of the ninth block is left, too.
    assert!(assignable(ranges(9)).into_iter().eq(8..16));
    assert!(assignable(ranges(10)).into_iter().eq(9..16));
    // Unless it is excluded.
    let without = ranges(9).exclude_ports(2176..=2303);
    assert!(assignable(without).into_iter().eq(9..16));
    // The last port of the pool lies within a block, and among the first of it.
    let wide = ranges(8).ports(1024..=65_000);
    assert!(assignable(wide).into_iter().eq(8..254));
    // All of them are ranges.
    assert_eq!(assignable(ranges(24)), []);
    let none = pool().deterministic(Deterministic::new(8, 128));
    assert_eq!(assignable(none), []);
}

#[test]
fn hands_of_each_class_and_protocol_have_a_bell_of_their_own() {
    use crate::fair::TenantShare;
    let prefix = |pool: PoolConfig, text: &str| pool.prefix(text.parse().unwrap());
    let shared = (1..=20).fold(PoolConfig::new("p"), |pool, tenant| {
        pool.tenant(TenantShare::new(tenant))
    });
    let config = EngineConfig::new(1)
        .pool(prefix(shared, "192.0.2.0/32"))
        .pool(prefix(PoolConfig::new("q").headroom(1), "192.0.2.1/32"))
        .pool(prefix(PoolConfig::new("r"), "192.0.2.2/32"));
    let layout = Layout::build(config, &mut Names::default(), None);
    let pools: Vec<_> = layout.pools().map(Arc::clone).collect();
    let bells = |pool: &PoolLayout| {
        let all = (0..20).flat_map(|class| Protocol::ALL.map(|protocol| (class, protocol)));
        let bells = all.map(|(class, protocol)| pool.bell(protocol, class));
        bells.collect::<Vec<u64>>()
    };
    let distinct = |bells: &[u64]| {
        assert!(bells.iter().all(|bell| bell.is_power_of_two()));
        bells
            .iter()
            .copied()
            .collect::<std::collections::BTreeSet<_>>()
    };
    let first = bells(&pools[0]);
    assert_eq!(distinct(&first).len(), 60);
    assert!(!distinct(&first).contains(&(1 << 63)));
    let second = bells(&pools[1]);
    assert_eq!(distinct(&second).len(), 60);
    assert!(
        first
            .iter()
            .zip(&second)
            .all(|(first, second)| first != second)
    );
    // Where blocks are anybody's there is one for all.
    assert_eq!(distinct(&bells(&pools[2])), [1 << 63].into());
}
