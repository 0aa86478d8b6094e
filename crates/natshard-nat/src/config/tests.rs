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
