//! Lookups, and faults.

use std::net::IpAddr;

use ipnet::IpNet;
use natshard::Protocol;

use super::*;
use crate::port::NatPort;
use crate::tuple::NatTuple;

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

const IN: VpcId = VpcId::new(1);
const OUT: VpcId = VpcId::new(2);

fn pool(name: &str, prefix: &str) -> NatPool {
    NatPool::new(name).realm("wan").prefix(net(prefix))
}

fn tuple(source: &str, port: u16, protocol: Protocol) -> NatTuple {
    NatTuple {
        source_vpc: IN,
        destination_vpc: OUT,
        source: ip(source),
        destination: ip("198.51.100.9"),
        protocol,
        source_port: NatPort::new(port),
        destination_port: NatPort::new(80),
    }
}

#[test]
fn the_longest_private_prefix_for_the_protocol_gives_the_pool() {
    let config = NatConfig::builder()
        .pool(pool("wide", "203.0.113.0/28"))
        .pool(pool("narrow", "203.0.113.16/28"))
        .pool(pool("low", "203.0.113.32/28").ports(1..=1023))
        .peering(
            Peering::new("p", IN, OUT)
                .source(SourceRule::new(net("10.0.0.0/8"), "wide").privileged_pool("low"))
                .source(SourceRule::new(net("10.1.0.0/16"), "narrow").protocol(Protocol::Udp))
                .destination(DestinationRule::new(
                    net("198.51.100.0/24"),
                    net("172.16.5.0/24"),
                )),
        )
        .build()
        .unwrap();
    let name = |source, port, protocol| {
        let selection = config.select(&tuple(source, port, protocol));
        let pool = |index: Option<PoolIndex>| index.map(|index| config.pool(index).name());
        (pool(selection.source), pool(selection.privileged))
    };
    assert_eq!(name("10.2.0.1", 5000, Protocol::Tcp), (Some("wide"), None));
    assert_eq!(name("10.1.0.1", 5000, Protocol::Tcp), (Some("wide"), None));
    assert_eq!(
        name("10.1.0.1", 5000, Protocol::Udp),
        (Some("narrow"), None)
    );
    assert_eq!(
        name("10.2.0.1", 600, Protocol::Tcp),
        (Some("wide"), Some("low"))
    );
    assert_eq!(name("10.2.0.1", 600, Protocol::Icmp), (Some("wide"), None));
    assert_eq!(name("192.168.0.1", 5000, Protocol::Tcp), (None, None));
    let selection = config.select(&tuple("10.2.0.1", 5000, Protocol::Tcp));
    assert_eq!(selection.destination, Some(ip("172.16.5.9")));
}

#[test]
fn a_longer_prefix_decides_between_local_and_remote() {
    let config = NatConfig::builder()
        .pool(pool("p", "203.0.113.0/28"))
        .peering(Peering::new("all", IN, OUT).source(SourceRule::new(net("10.0.0.0/8"), "p")))
        .peering(Peering::new("some", IN, VpcId::new(3)).remote(net("10.9.0.0/16")))
        .build()
        .unwrap();
    assert_eq!(config.route(IN, ip("10.1.2.3")), Some(Route::Local));
    assert_eq!(
        config.route(IN, ip("10.9.2.3")),
        Some(Route::Peering(PeeringIndex(1)))
    );
    assert_eq!(
        config.route(IN, ip("8.8.8.8")),
        Some(Route::Peering(PeeringIndex(0)))
    );
    assert_eq!(
        config.route(IN, ip("2001:db8::1")),
        Some(Route::Peering(PeeringIndex(0)))
    );
    assert_eq!(config.route(OUT, ip("10.1.2.3")), None);
    assert_eq!(
        config.public_pool(OUT, ip("203.0.113.7")),
        Some(PoolIndex(0))
    );
    assert_eq!(config.public_pool(IN, ip("203.0.113.7")), None);
    assert!(config.knows(VpcId::new(3)) && !config.knows(VpcId::new(4)));
}

#[test]
fn f23_every_fault_is_reported_at_once_and_none_panics() {
    let mut twice = Peering::new("a", IN, IN)
        .source(SourceRule::new(net("10.0.0.1/8"), "nowhere"))
        .source(SourceRule::new(net("fd00::/8"), "x"))
        .source(SourceRule::new(net("10.0.0.0/8"), "y"))
        .source(SourceRule::new(net("10.0.0.0/8"), "y"))
        .destination(DestinationRule::new(net("10.0.0.0/8"), net("fd00::/8")))
        .remote(net("10.0.0.0/8"));
    twice.behaviour.timeouts.icmp = std::time::Duration::ZERO;
    let error = NatConfig::builder()
        .pool(pool("x", "203.0.113.0/28"))
        .pool(pool("x", "203.0.113.0/28"))
        .pool(
            NatPool::new("y")
                .realm("other")
                .prefix(net("203.0.113.0/28")),
        )
        .peering(twice.clone())
        .peering(twice)
        .build()
        .unwrap_err();
    let has = |wanted: fn(&NatConfigFault) -> bool| error.faults().iter().any(wanted);
    assert!(has(|f| matches!(f, NatConfigFault::DuplicatePool(_))));
    assert!(has(|f| matches!(f, NatConfigFault::DuplicatePeering(_))));
    assert!(has(|f| matches!(f, NatConfigFault::DuplicatePair { .. })));
    assert!(has(|f| matches!(f, NatConfigFault::SamePeer { .. })));
    assert!(has(|f| matches!(f, NatConfigFault::UnknownPool { .. })));
    assert!(has(|f| matches!(f, NatConfigFault::MixedRealms { .. })));
    assert!(has(|f| matches!(f, NatConfigFault::NoSuchFamily { .. })));
    assert!(has(|f| matches!(f, NatConfigFault::HostBits { .. })));
    assert!(has(|f| matches!(f, NatConfigFault::DuplicateRule { .. })));
    assert!(has(|f| matches!(f, NatConfigFault::UnequalPrefixes { .. })));
    assert!(has(|f| matches!(f, NatConfigFault::AmbiguousRemote { .. })));
    assert!(has(|f| matches!(f, NatConfigFault::ZeroTimeout { .. })));
    assert!(error.to_string().contains("peering `a`"));
}

#[test]
fn a_rule_names_the_share_of_its_sources() {
    let config = NatConfig::builder()
        .pool(pool("p", "203.0.113.0/28"))
        .peering(
            Peering::new("p", IN, OUT)
                .source(SourceRule::new(net("10.0.0.0/8"), "p").tenant(7))
                .source(SourceRule::new(net("10.0.0.1/32"), "p").control(true)),
        )
        .build()
        .unwrap();
    let share = |source| config.select(&tuple(source, 1, Protocol::Udp)).share;
    let tenant = Share {
        tenant: Some(7),
        control: false,
    };
    let control = Share {
        tenant: None,
        control: true,
    };
    assert_eq!(share("10.0.0.2"), tenant);
    assert_eq!(share("10.0.0.1"), control);
    assert_eq!(share("192.168.0.1"), Share::default());
}

mod subscribers {
    use natshard::{Deterministic, PoolConfig, SubscriberLimit};

    use super::*;

    /// Builds with two VPCs whose sources these pools serve; the faults in words.
    fn faults(pool: NatPool, vpcs: [(u32, &str); 2]) -> Vec<String> {
        let name = pool.name().to_owned();
        let mut builder = NatConfig::builder().pool(pool);
        for (index, (vpc, private)) in vpcs.into_iter().enumerate() {
            builder = builder.peering(
                Peering::new(format!("peering {index}"), VpcId::new(vpc), OUT)
                    .source(SourceRule::new(net(private), &name)),
            );
        }
        match builder.build() {
            Ok(_) => Vec::new(),
            Err(error) => error.faults().iter().map(ToString::to_string).collect(),
        }
    }

    fn limited() -> NatPool {
        pool("p", "203.0.113.0/28")
            .prefix(net("2001:db8:1::/64"))
            .subscriber_limit(SubscriberLimit::new().total(9))
    }

    fn fixed(inside: &[&str]) -> NatPool {
        let inside: Vec<IpNet> = inside.iter().map(|it| it.parse().unwrap()).collect();
        pool("p", "203.0.113.0/28").deterministic(inside, 100)
    }

    #[test]
    fn f05_hosts_of_two_vpcs_must_not_become_one_subscriber() {
        let none: [String; 0] = [];
        // The VPC is in the number of an IPv4 host.
        assert_eq!(
            faults(limited(), [(1, "10.0.0.0/8"), (3, "10.0.0.0/8")]),
            none
        );
        assert_eq!(
            faults(limited(), [(1, "fd00::/16"), (3, "fd01::/16")]),
            none
        );
        let shared = faults(limited(), [(1, "fd00::/16"), (3, "fd00:1::/32")]);
        assert_eq!(
            shared,
            [
                "pool `p` keeps books of subscribers, and hosts of fd00::/16 in vpc1 and of \
              fd00:1::/32 in vpc3 would be the same ones: give each VPC a pool of its own"
            ]
        );
        // Prefixes apart, in one /64.
        assert_eq!(
            faults(limited(), [(1, "fd00::1:0/112"), (3, "fd00::2:0/112")]).len(),
            1
        );
        let wide = limited().subscriber_mask_v6(48);
        assert_eq!(
            faults(wide, [(1, "fd00:0:0:1::/64"), (3, "fd00:0:0:2::/64")]).len(),
            1
        );
        // A pool without books does not mind.
        let plain = pool("p", "203.0.113.0/28").prefix(net("2001:db8:1::/64"));
        assert_eq!(faults(plain, [(1, "fd00::/16"), (3, "fd00::/16")]), none);
        // In a deterministic pool the VPC of an IPv4 host is not in its number either.
        let outside = [(1, "10.0.0.0/24"), (3, "10.0.1.0/24")];
        assert_eq!(faults(fixed(&["10.0.0.0/24"]), outside), none);
        let fixed = fixed(&["10.0.0.0/24"]);
        assert_eq!(
            faults(fixed, [(1, "10.0.0.0/24"), (3, "10.0.0.0/25")]).len(),
            1
        );
    }

    #[test]
    fn numbers_of_vpcs_must_fit() {
        let largest = (Numbering::VPCS - 1, "10.0.0.0/8");
        assert!(faults(limited(), [largest, (1, "10.0.0.0/8")]).is_empty());
        let said = faults(
            limited(),
            [(Numbering::VPCS, "10.0.0.0/8"), (1, "10.0.0.0/8")],
        );
        assert_eq!(said.len(), 1);
        assert!(said[0].contains("16777216 or more"), "{said:?}");
    }

    #[test]
    fn masks_and_inside_prefixes_that_cannot_be() {
        let vpcs = [(1, "10.0.0.0/8"), (3, "192.168.0.0/16")];
        let mask = |bits| faults(limited().subscriber_mask_v6(bits), vpcs);
        assert!(mask(0)[0].ends_with("a subscriber mask of 0 bits: give 1 to 64"));
        assert!(mask(65)[0].ends_with("a subscriber mask of 65 bits: give 1 to 64"));
        assert!(mask(1).is_empty());
        let said = faults(fixed(&["10.0.0.1/24", "10.0.0.128/25", "fd00::/65"]), vpcs);
        assert_eq!(said.len(), 4, "{said:?}");
        assert!(said[0].contains("of IPv4 and of IPv6: make a pool of each"));
        assert!(said[1].contains("has host bits set: write 10.0.0.0/24"));
        assert!(said[2].contains("10.0.0.1/24 and 10.0.0.128/25 overlap"));
        assert!(said[3].contains("fd00::/65 is less than a subscriber"));
        let engine = PoolConfig::new("p")
            .prefix(net("203.0.113.0/28"))
            .prefix(net("2001:db8:1::/64"))
            .realm("wan")
            .deterministic(Deterministic::new(8, 100));
        let said = faults(engine.into(), vpcs);
        assert!(said[0].contains("has no inside prefixes"), "{said:?}");
    }
}
