//! What a configuration says of itself is what it was given.

use std::net::IpAddr;

use natshard::{
    Deterministic, Limit, PoolChange, PoolConfig, PortBlocks, Protocol, Strictness,
    SubscriberLimit, TenantShare, Threshold,
};

fn pool() -> PoolConfig {
    PoolConfig::new("p").prefix("192.0.2.0/29".parse().unwrap())
}

#[test]
fn a_pool_says_what_it_is() {
    let pool = pool()
        .realm("wan")
        .ports(1024..=2047)
        .identifiers(5..=9)
        .prefix("2001:db8::/64".parse().unwrap())
        .exclude("192.0.2.1".parse().unwrap(), 1100..=1101)
        .exclude_ports(1200..=1200)
        .exclude_addresses("192.0.2.4/31".parse().unwrap())
        .reuse_closed(true);
    assert_eq!((pool.name(), pool.realm_name()), ("p", "wan"));
    assert_eq!(PoolConfig::new("q").realm_name(), "default");
    assert!(pool.reuses_closed() && !pool.clone().reuse_closed(false).reuses_closed());
    let prefixes: Vec<_> = pool.prefixes().iter().map(ToString::to_string).collect();
    assert_eq!(prefixes, ["192.0.2.0/29", "2001:db8::/64"]);
    assert_eq!(*pool.range(Protocol::Tcp), 1024..=2047);
    assert_eq!(*pool.range(Protocol::Udp), 1024..=2047);
    assert_eq!(*pool.range(Protocol::Icmp), 5..=9);
    let gone: Vec<_> = pool
        .excluded_addresses()
        .map(|net| net.to_string())
        .collect();
    assert_eq!(gone, ["192.0.2.4/31"]);
    let at = |text: &str| text.parse::<IpAddr>().unwrap();
    for (address, inside) in [
        ("192.0.2.7", true),
        ("192.0.2.8", false),
        ("2001:db8::7", true),
        ("2001:db9::", false),
    ] {
        assert_eq!(pool.contains(at(address)), inside, "{address}");
    }
    for (protocol, address, port, given) in [
        (Protocol::Udp, "192.0.2.0", 1024, true),
        (Protocol::Udp, "192.0.2.0", 1023, false),
        (Protocol::Udp, "192.0.2.0", 2048, false),
        (Protocol::Udp, "192.0.2.8", 1024, false),
        (Protocol::Udp, "192.0.2.1", 1100, false),
        (Protocol::Udp, "192.0.2.1", 1102, true),
        (Protocol::Udp, "192.0.2.2", 1100, true),
        (Protocol::Tcp, "192.0.2.2", 1200, false),
        (Protocol::Tcp, "192.0.2.5", 1300, false),
        // Excluded ports are no identifiers; excluded addresses have none.
        (Protocol::Icmp, "192.0.2.1", 5, true),
        (Protocol::Icmp, "192.0.2.4", 5, false),
        (Protocol::Icmp, "192.0.2.1", 10, false),
    ] {
        let gives = pool.gives(protocol, at(address), port);
        assert_eq!(gives, given, "{protocol} {address} {port}");
    }
}

#[test]
fn policies_say_who_has_to_be_named() {
    let says = |pool: PoolConfig| {
        let policies = pool.policies();
        let subscribers = (policies.keeps_subscribers(), policies.needs_subscribers());
        (subscribers, policies.keeps_tenants())
    };
    let limit = SubscriberLimit::new();
    let nothing = ((false, false), false);
    assert_eq!(says(pool()), nothing);
    assert_eq!(says(pool().subscriber_limit(limit)), nothing);
    let kept = ((true, false), false);
    assert_eq!(says(pool().subscriber_limit(limit.total(9))), kept);
    let tcp = limit.ports(Protocol::Tcp, 9);
    assert_eq!(says(pool().subscriber_limit(tcp)), kept);
    assert_eq!(says(pool().pairing(Strictness::Strict)), kept);
    let needed = ((true, true), false);
    assert_eq!(says(pool().port_blocks(PortBlocks::new(64))), needed);
    assert_eq!(
        says(pool().deterministic(Deterministic::new(8, 100))),
        needed
    );
    let tenants = ((false, false), true);
    assert_eq!(says(pool().tenant(TenantShare::new(1))), tenants);
    assert_eq!(says(pool().headroom(1)), tenants);
    assert_eq!(says(pool().headroom(0)), nothing);
}

#[test]
fn each_policy_says_what_it_was_given() {
    let limit = SubscriberLimit::new().ports(Protocol::Udp, 9).total(70);
    assert_eq!(
        Protocol::ALL.map(|protocol| limit.of(protocol)),
        [None, Some(9), None]
    );
    assert_eq!(limit.of_all(), Some(70));
    let blocks = PortBlocks::new(128).per_subscriber(5);
    assert_eq!((blocks.size(), blocks.most()), (128, 5));
    assert_eq!(
        Protocol::ALL.map(|protocol| blocks.most_of(protocol)),
        [None; 3]
    );
    let blocks = blocks.of_protocol(Protocol::Tcp, 3);
    assert_eq!(
        Protocol::ALL.map(|protocol| blocks.most_of(protocol)),
        [Some(3), None, None]
    );
    let share = TenantShare::new(7);
    assert_eq!(
        (share.id(), share.guaranteed(), share.most()),
        (7, 0, u32::MAX)
    );
    let share = share.minimum(3).maximum(20);
    assert_eq!((share.id(), share.guaranteed(), share.most()), (7, 3, 20));
    let threshold = Threshold::new(90, 70);
    assert_eq!((threshold.raised_at(), threshold.cleared_at()), (90, 70));
    let ranges = Deterministic::new(500, 64);
    assert_eq!((ranges.subscribers(), ranges.ports()), (500, 64));
    let all = pool()
        .subscriber_limit(limit)
        .port_blocks(blocks)
        .pairing(Strictness::Strict)
        .tenant(share)
        .headroom(4)
        .threshold(threshold);
    let policies = all.policies();
    assert_eq!(
        (policies.limit, policies.port_blocks),
        (limit, Some(blocks))
    );
    assert_eq!(policies.pairing, Some(Strictness::Strict));
    assert_eq!(policies.deterministic, None);
    assert_eq!((policies.tenants, policies.headroom), (&[share][..], 4));
    assert_eq!(policies.threshold, Some(threshold));
}

#[test]
fn limits_and_changes_have_names_of_their_own() {
    let limits = [
        (Limit::Ports(1), "ports"),
        (Limit::PortsInAll(2), "ports_in_all"),
        (Limit::PortBlocks(3), "port_blocks"),
        (Limit::PortBlocksInAll(4), "port_blocks_in_all"),
        (Limit::Range(5), "range"),
        (Limit::Blocks(6), "blocks"),
        (Limit::Unguaranteed(7), "unguaranteed"),
    ];
    for (amount, (limit, name)) in (1..).zip(limits) {
        assert_eq!((limit.name(), limit.amount()), (name, amount));
    }
    let changes = [PoolChange::Added, PoolChange::Changed, PoolChange::Removed];
    assert_eq!(
        changes.map(PoolChange::name),
        ["added", "changed", "removed"]
    );
}
