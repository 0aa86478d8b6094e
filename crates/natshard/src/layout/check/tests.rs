use std::time::Duration;

use super::*;

fn pool(name: &str) -> PoolConfig {
    PoolConfig::new(name).prefix("192.0.2.0/29".parse().unwrap())
}

fn faults(config: &EngineConfig) -> Vec<ConfigFault> {
    check(config).err().map_or_else(Vec::new, |it| it.faults)
}

/// As many as there may be, and one more.
fn assert_limit(what: &str, config: impl Fn(usize) -> EngineConfig, most: usize) {
    assert_eq!(faults(&config(most)), []);
    let over = faults(&config(most + 1));
    let [fault] = &over[..] else {
        panic!("{what}: {over:?}");
    };
    assert!(
        matches!(fault, ConfigFault::TooMany { what: of, count, limit }
            if *of == what && *count == most + 1 && *limit == most),
        "{fault:?}"
    );
}

#[test]
fn limits_are_exact() {
    let one = || EngineConfig::new(1).pool(pool("p"));
    let subscribers = |count| one().max_subscribers(count as u32);
    assert_limit("subscribers", subscribers, 1 << 30);
    let pools = |count| {
        let pools = (0..count).map(|number| pool(&format!("pool {number}")));
        pools.fold(EngineConfig::new(1), EngineConfig::pool)
    };
    assert_limit("pools", pools, 4096);
    // A prefix of each of so many windows of 2^32 addresses.
    let windows = |count| {
        let prefixes = (0..count as u128).map(|number| {
            let address = std::net::Ipv6Addr::from_bits((0x2001_0db8 << 32 | number) << 64);
            format!("{address}/128").parse().unwrap()
        });
        let pool = prefixes.fold(PoolConfig::new("p"), PoolConfig::prefix);
        EngineConfig::new(1).pool(pool)
    };
    let what = "/96 windows of IPv6 prefixes";
    assert_limit(what, windows, 16_384);
    let preopen = |count| EngineConfig::new(1).pool(pool("p").preopen(count));
    assert_limit("addresses to open ahead", preopen, 1 << 20);
    for (shards, is_fault) in [
        (0, true),
        (1, false),
        (EngineConfig::MAX_SHARDS, false),
        (EngineConfig::MAX_SHARDS + 1, true),
    ] {
        let found = faults(&EngineConfig::new(shards).pool(pool("p")));
        let expected = is_fault.then_some(ConfigFault::Shards(shards));
        assert_eq!(found, Vec::from_iter(expected));
    }
    let month = Duration::from_hours(30 * 24);
    for (rest, is_fault) in [(month, false), (month + Duration::from_secs(1), true)] {
        let found = faults(&one().hold_down(rest));
        let expected = is_fault.then_some(ConfigFault::HoldDown(rest));
        assert_eq!(found, Vec::from_iter(expected));
    }
}

/// What is wrong with one pool.
fn of(pool: PoolConfig) -> Vec<ConfigFault> {
    let mut faults = Vec::new();
    check_pool(3, &pool, &mut faults);
    faults
}

#[test]
fn each_fault_of_a_pool_is_found_where_it_is_and_nowhere_else() {
    let net = |text: &str| text.parse::<IpNet>().unwrap();
    let name = || "p".to_owned();
    assert_eq!(of(pool("p")), []);
    assert_eq!(of(pool("")), [ConfigFault::EmptyName(3, "name")]);
    assert_eq!(
        of(pool("p").realm("")),
        [ConfigFault::EmptyName(3, "realm")]
    );
    assert_eq!(of(PoolConfig::new("p")), [ConfigFault::NoPrefix(name())]);
    let host_bits = ConfigFault::HostBits {
        pool: name(),
        prefix: net("192.0.3.1/24"),
    };
    assert_eq!(of(pool("p").prefix(net("192.0.3.1/24"))), [host_bits]);
    // Side by side is no overlap; the widest is named, whatever comes between.
    assert_eq!(of(pool("p").prefix(net("192.0.2.8/29"))), []);
    let overlap = |second| ConfigFault::OverlappingPrefixes {
        pool: name(),
        first: net("192.0.2.0/29"),
        second: net(second),
    };
    let inside = pool("p")
        .prefix(net("192.0.2.6/31"))
        .prefix(net("192.0.2.2/32"));
    assert_eq!(
        of(inside),
        [overlap("192.0.2.2/32"), overlap("192.0.2.6/31")]
    );
    #[expect(clippy::reversed_empty_ranges, reason = "that is the fault")]
    let empty = 9..=8;
    let range = |what| ConfigFault::EmptyRange {
        pool: name(),
        what,
        range: empty.clone(),
    };
    assert_eq!(of(pool("p").ports(empty.clone())), [range("port range")]);
    let identifiers = pool("p").identifiers(empty.clone());
    assert_eq!(of(identifiers), [range("identifier range")]);
    let excluded = pool("p").exclude_ports(empty.clone());
    assert_eq!(of(excluded), [range("excluded port range")]);
    assert_eq!(of(pool("p").ports(0..=9)), [ConfigFault::PortZero(name())]);
    assert_eq!(of(pool("p").ports(1..=9)), []);
    for (text, inside) in [
        ("192.0.2.7/32", true),
        ("192.0.2.0/32", true),
        ("192.0.2.0/28", true),
        ("192.0.2.8/32", false),
        ("192.0.1.255/32", false),
        ("2001:db8::/32", false),
    ] {
        let net = net(text);
        let outside = ConfigFault::ExclusionOutside { pool: name(), net };
        let expected = Vec::from_iter((!inside).then_some(outside));
        let without = pool("p").prefix("192.0.2.16/32".parse().unwrap());
        let found = of(without.exclude_addresses(net));
        assert_eq!(found, expected, "{text}");
    }
    let nothing = pool("p").exclude_addresses(net("192.0.2.0/29"));
    assert_eq!(of(nothing), [ConfigFault::NothingLeft(name())]);
    let some = pool("p").exclude_addresses(net("192.0.2.0/30"));
    assert_eq!(of(some), []);
    // Identifiers are left.
    assert_eq!(of(pool("p").exclude_ports(0..=u16::MAX)), []);
}

#[test]
fn faults_of_all_pools_are_told_at_once() {
    let config = EngineConfig::new(0)
        .pool(pool("p"))
        .pool(PoolConfig::new("q"))
        .pool(pool("p"));
    let expected = [
        ConfigFault::Shards(0),
        ConfigFault::NoPrefix("q".into()),
        ConfigFault::DuplicatePool("p".into()),
    ];
    assert_eq!(faults(&config), expected);
}

#[test]
fn faults_of_shares_and_thresholds_are_found_alone_and_together() {
    use crate::fair::{Deterministic, TenantShare, Threshold};
    let name = || "p".to_owned();
    for (raise, clear, is_fault) in [
        (1, 0, false),
        (100, 99, false),
        (0, 0, true),
        (0, 5, true),
        (101, 50, true),
        (150, 200, true),
        (50, 50, true),
        (50, 49, false),
    ] {
        let found = of(pool("p").threshold(Threshold::new(raise, clear)));
        let fault = ConfigFault::ThresholdRange {
            pool: name(),
            raise,
            clear,
        };
        let expected = Vec::from_iter(is_fault.then_some(fault));
        assert_eq!(found, expected, "{raise} and {clear}");
    }
    let ranges = pool("p").deterministic(Deterministic::new(8, 100));
    assert_eq!(of(ranges.clone()), []);
    let fault = |shares| {
        let pool = name();
        ConfigFault::SharesOfRanges { pool, shares }
    };
    let tenant = TenantShare::new(1).minimum(1);
    assert_eq!(of(ranges.clone().headroom(1)), [fault("headroom")]);
    assert_eq!(of(ranges.clone().tenant(tenant)), [fault("tenants")]);
    let both = ranges.headroom(1).tenant(tenant);
    assert_eq!(of(both), [fault("tenants")]);
    let upside_down = TenantShare::new(3).minimum(5).maximum(4);
    let range = ConfigFault::TenantRange {
        pool: name(),
        tenant: 3,
        minimum: 5,
        maximum: 4,
    };
    assert_eq!(of(pool("p").tenant(upside_down)), [range]);
    assert_eq!(of(pool("p").tenant(tenant.maximum(1))), []);
}
