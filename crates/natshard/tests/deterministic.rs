//! Deterministic ranges (RFC 7422): the computation against an enumeration.
//!
//! Claims: every subscriber has its own ports of one address, the same address in all protocols;
//! ranges are disjoint, in the pool, and never meet the overflow; the reverse of the forward
//! computation is the identity; tuples of nobody belong to nobody; what does not fit is refused
//! with what would fit.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use ipnet::IpNet;
use natshard::{
    ConfigFault, Deterministic, DeterministicMap, Engine, EngineConfig, PoolConfig, Protocol,
};
use proptest::prelude::*;

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn pool(prefixes: &[&str], subscribers: u64, ports: u16) -> PoolConfig {
    prefixes
        .iter()
        .fold(PoolConfig::new("p"), |pool, prefix| {
            pool.prefix(net(prefix))
        })
        .deterministic(Deterministic::new(subscribers, ports))
}

#[track_caller]
fn map(pool: &PoolConfig) -> DeterministicMap {
    pool.deterministic_map().expect("a sound configuration")
}

#[track_caller]
fn faults(pool: PoolConfig) -> Vec<ConfigFault> {
    assert_eq!(pool.deterministic_map(), None);
    let error = Engine::new(EngineConfig::new(1).pool(pool)).unwrap_err();
    error.faults().to_vec()
}

/// RFC 7422, section 2.3: fourteen subscribers behind 192.0.2.1, system ports reserved, D = 2.
#[test]
fn the_example_of_rfc_7422() {
    let pool = pool(&["192.0.2.1/32"], 14, 4032);
    let map = map(&pool);
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        for (subscriber, ports) in [
            (0, 1024..=5055),
            (1, 5056..=9087),
            (2, 9088..=13119),
            (12, 49408..=53439),
            (13, 53440..=57471),
        ] {
            let expected = Some((ip("192.0.2.1"), ports));
            assert_eq!(map.range(subscriber, protocol), expected);
        }
        assert_eq!(map.range(14, protocol), None);
        assert_eq!(map.overflow(protocol), 57472..=65535);
        assert_eq!(map.subscriber(protocol, ip("192.0.2.1"), 2001), Some(0));
        assert_eq!(map.subscriber(protocol, ip("192.0.2.1"), 58204), None);
        assert_eq!(map.subscriber(protocol, ip("192.0.2.1"), 1023), None);
        assert_eq!(map.subscriber(protocol, ip("192.0.2.2"), 2001), None);
    }
    let (address, identifiers) = map.range(1, Protocol::Icmp).unwrap();
    assert_eq!((address, identifiers), (ip("192.0.2.1"), 4032..=8063));
    assert_eq!(map.overflow(Protocol::Icmp), 56448..=65535);
}

/// C is no larger than it must be, so each address has dynamic ports.
#[test]
fn subscribers_are_spread_over_all_addresses() {
    let map = map(&pool(&["203.0.113.0/30"], 10, 1000));
    assert_eq!(map.subscribers_per_address(), 3);
    assert_eq!(map.addresses(), 4);
    assert_eq!(
        map.range(9, Protocol::Tcp),
        Some((ip("203.0.113.3"), 1024..=2023))
    );
    // The range a further subscriber would get is nobody's, and not dynamic either.
    assert_eq!(map.subscriber(Protocol::Tcp, ip("203.0.113.3"), 2024), None);
    assert_eq!(map.overflow(Protocol::Tcp), 4024..=65535);
}

#[test]
fn an_address_can_be_full_to_the_last_port() {
    let full = pool(&["203.0.113.0/32"], 2, 32768)
        .ports(1..=65535)
        .identifiers(0..=65535);
    // Port 0 is missing: one subscriber only.
    assert!(matches!(
        faults(full)[..],
        [ConfigFault::DeterministicAddresses {
            most: 1,
            needed: 2,
            addresses: 1,
            ..
        }]
    ));
    let map = map(&pool(&["203.0.113.0/32"], 63, 1024));
    let last = map.range(62, Protocol::Tcp);
    assert_eq!(last, Some((ip("203.0.113.0"), 64512..=65535)));
    assert!(map.overflow(Protocol::Tcp).is_empty());
    assert_eq!(map.overflow(Protocol::Icmp), 64512..=65535);
}

#[test]
fn a_single_port_each_of_every_port_there_is() {
    let map = map(&pool(&["203.0.113.0/32"], 65535, 1).ports(1..=65535));
    assert_eq!(
        map.range(65534, Protocol::Udp),
        Some((ip("203.0.113.0"), 65535..=65535))
    );
    assert!(map.overflow(Protocol::Udp).is_empty());
    assert_eq!(
        map.subscriber(Protocol::Udp, ip("203.0.113.0"), 65535),
        Some(65534)
    );
}

#[test]
fn prefixes_count_in_the_order_given_and_without_excluded_addresses() {
    let pool = pool(
        &["203.0.113.128/31", "198.51.100.0/30", "2001:db8::/126"],
        8,
        10_000,
    )
    .exclude_addresses(net("198.51.100.0/31"))
    .exclude_addresses(net("2001:db8::2/127"));
    let map = map(&pool);
    let places: Vec<IpAddr> = (0..8)
        .step_by(2)
        .map(|s| map.range(s, Protocol::Tcp).unwrap().0)
        .collect();
    let expected = [
        "203.0.113.128",
        "203.0.113.129",
        "198.51.100.2",
        "198.51.100.3",
    ]
    .map(ip);
    assert_eq!(map.subscribers_per_address(), 2);
    assert_eq!(places, expected);
    assert_eq!(
        map.subscriber(Protocol::Tcp, ip("198.51.100.0"), 1024),
        None
    );
    assert_eq!(
        map.subscriber(Protocol::Tcp, ip("198.51.100.2"), 1024),
        Some(4)
    );
}

/// An engine has the first 2^32 addresses of a prefix; the computation must agree.
#[test]
fn a_wide_prefix_is_cut_like_the_engine_cuts_it() {
    let map = map(&pool(&["2001:db8::/64"], 1 << 32, 1000));
    assert_eq!(map.subscribers_per_address(), 1);
    let (last, _) = map.range((1 << 32) - 1, Protocol::Tcp).unwrap();
    assert_eq!(last, ip("2001:db8::ffff:ffff"));
    assert_eq!(
        map.subscriber(Protocol::Tcp, last, 1024),
        Some((1 << 32) - 1)
    );
    assert_eq!(
        map.subscriber(Protocol::Tcp, ip("2001:db8::1:0:0"), 1024),
        None
    );
}

#[test]
fn what_does_not_fit_is_refused_with_what_would() {
    let faults_of = |pool| {
        let faults = faults(pool);
        assert_eq!(faults.len(), 1, "{faults:?}");
        faults[0].to_string()
    };
    assert_eq!(
        faults_of(pool(&["203.0.113.0/28"], 1000, 2000)),
        "pool `p`: 1000 subscribers with 2000 ports each, at most 32 to an address, need 32 \
         addresses, and it has 16: add addresses, or give fewer ports"
    );
    // One ICMP identifier range too short decides for all protocols.
    assert_eq!(
        faults_of(pool(&["203.0.113.0/28"], 1000, 2000).identifiers(0..=9999)),
        "pool `p`: 1000 subscribers with 2000 ports each, at most 5 to an address, need 200 \
         addresses, and it has 16: add addresses, or give fewer ports"
    );
    assert_eq!(
        faults_of(pool(&["203.0.113.0/28"], 1, 2000).ports(1024..=2047)),
        "pool `p`: 2000 ports for each subscriber are more than its port and identifier ranges \
         hold: give at most 1024"
    );
    assert_eq!(
        faults_of(pool(&["203.0.113.0/28"], 0, 2000)),
        "pool `p`: deterministic with 0 subscribers: give at least 1"
    );
    assert_eq!(
        faults_of(pool(&["203.0.113.0/28"], 1, 0)),
        "pool `p`: deterministic with 0 ports: give at least 1"
    );
}

#[test]
fn an_exclusion_must_not_take_a_subscribers_ports() {
    let base = || pool(&["203.0.113.0/31"], 5, 1000);
    // C = 3: 203.0.113.0 has 0, 1, 2; 203.0.113.1 has 3 and 4, and room for one more.
    let refused = faults(base().exclude(ip("203.0.113.1"), 3000..=3030));
    assert_eq!(
        refused[0].to_string(),
        "pool `p`: the exclusion of ports 3000-3030 takes ports from deterministic subscriber 4, \
         whose range is 2024-3023: exclude dynamic ports only, or narrow the pool's port range"
    );
    assert!(matches!(
        faults(base().exclude_ports(1..=1024))[..],
        [ConfigFault::DeterministicExclusion { subscriber: 0, .. }]
    ));
    map(&base().exclude(ip("203.0.113.1"), 3024..=4023));
    map(&base().exclude_ports(4024..=65535));
    map(&base().exclude_ports(1..=1023));
}

/// This address and those after it.
fn following(first: IpAddr, count: u128) -> impl Iterator<Item = IpAddr> {
    (0..count).map(move |n| match first {
        IpAddr::V4(v4) => IpAddr::V4((u32::from(v4) + n as u32).into()),
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) + n).into()),
    })
}

/// Pools small enough to enumerate every tuple of.
fn any_pool() -> impl Strategy<Value = PoolConfig> {
    let prefixes = prop::sample::subsequence(
        vec![
            "203.0.113.0/29",
            "198.51.100.8/30",
            "192.0.2.255/32",
            "2001:db8::/125",
        ],
        1..=4,
    )
    .prop_shuffle();
    let holes = prop::sample::subsequence(
        vec![
            "203.0.113.2/31",
            "203.0.113.7/32",
            "2001:db8::/127",
            "203.0.113.4/30",
            "198.51.100.0/22",
        ],
        0..=3,
    );
    let first = 1..=1500_u16;
    let identifier = 0..=100_u16;
    (
        prefixes,
        holes,
        first,
        50..=400_u16,
        identifier,
        50..=400_u16,
        1..=60_u64,
        1..=60_u16,
    )
        .prop_map(
            |(prefixes, holes, first, len, id, ids, subscribers, ports)| {
                let base = pool(&prefixes, subscribers, ports)
                    .ports(first..=first + len - 1)
                    .identifiers(id..=id + ids - 1);
                // Holes of these prefixes only: any other is a fault.
                let meets = |hole: &IpNet| {
                    prefixes
                        .iter()
                        .any(|prefix| hole.contains(&net(prefix)) || net(prefix).contains(hole))
                };
                let holes = holes.into_iter().map(net).filter(meets);
                holes.fold(base, PoolConfig::exclude_addresses)
            },
        )
}

static REFUSED: AtomicU32 = AtomicU32::new(0);

#[test]
fn computation_and_enumeration_agree_and_most_pools_are_sound() {
    computation_and_enumeration_agree();
    let (refused, cases) = (REFUSED.load(Relaxed), ProptestConfig::default().cases);
    assert!(refused < cases / 2, "{refused} of {cases} pools had faults");
}

proptest! {
    fn computation_and_enumeration_agree(pool in any_pool()) {
        let engine = Engine::new(EngineConfig::new(1).pool(pool.clone()));
        let Some(map) = pool.deterministic_map() else {
            prop_assert!(engine.is_err());
            REFUSED.fetch_add(1, Relaxed);
            return Ok(());
        };
        for protocol in Protocol::ALL {
            // Every tuple a subscriber has, once.
            let mut owners: HashMap<(IpAddr, u16), u64> = HashMap::new();
            let mut before = None;
            for subscriber in 0..map.subscribers() {
                let (address, ports) = map.range(subscriber, protocol).unwrap();
                let tcp = map.range(subscriber, Protocol::Tcp).unwrap();
                prop_assert_eq!(address, tcp.0, "one address in all protocols");
                prop_assert_eq!(ports.len(), usize::from(map.ports_each()));
                // In order: the ports go on where those before ended, or at the next address.
                if let Some((earlier, last)) = before.replace((address, *ports.end())) {
                    prop_assert!(earlier != address || last + 1 == *ports.start());
                }
                for port in ports {
                    prop_assert!(!map.overflow(protocol).contains(&port));
                    prop_assert_eq!(owners.insert((address, port), subscriber), None);
                }
            }
            prop_assert_eq!(map.range(map.subscribers(), protocol), None);
            prop_assert_eq!(map.range(u64::MAX, protocol), None);
            let used: std::collections::HashSet<IpAddr> =
                owners.keys().map(|&(address, _)| address).collect();
            prop_assert_eq!(used.len() as u64, map.addresses());
            // Every tuple there is, and those around them, computed back.
            for first in ["203.0.113.0", "198.51.100.0", "192.0.2.250", "2001:db8::"] {
                for address in following(ip(first), 12) {
                    for port in 0..=2000 {
                        prop_assert_eq!(
                            map.subscriber(protocol, address, port),
                            owners.get(&(address, port)).copied(),
                            "{} {} {}", protocol, address, port
                        );
                    }
                }
            }
        }
    }
}

/// The subscriber named is the one at the lowest address that the exclusion meets.
#[test]
fn an_exclusion_is_told_with_the_first_subscriber_it_meets() {
    // Two subscribers an address: 1024 to 1123 and 1124 to 1223.
    let pool = pool(
        &["192.0.2.0/31", "198.51.100.8/30", "2001:db8::/127"],
        16,
        100,
    );
    let met = |pool: PoolConfig| {
        let error = Engine::new(EngineConfig::new(1).pool(pool)).err()?;
        match error.faults() {
            [ConfigFault::DeterministicExclusion { subscriber, .. }] => Some(*subscriber),
            other => panic!("{other:?}"),
        }
    };
    let first = 1024..=1024;
    assert_eq!(met(pool.clone().exclude_ports(first.clone())), Some(0));
    assert_eq!(met(pool.clone().exclude_ports(1124..=1200)), Some(1));
    for (address, subscriber) in [
        ("192.0.2.0", 0),
        ("192.0.2.1", 2),
        ("198.51.100.8", 4),
        ("198.51.100.11", 10),
        ("2001:db8::", 12),
        ("2001:db8::1", 14),
    ] {
        let without = pool.clone().exclude(ip(address), first.clone());
        assert_eq!(met(without), Some(subscriber), "{address}");
        let without = pool.clone().exclude(ip(address), 1124..=1124);
        assert_eq!(met(without), Some(subscriber + 1), "{address}");
        // What is nobody's port may be excluded.
        assert_eq!(met(pool.clone().exclude(ip(address), 1224..=2000)), None);
    }
}
