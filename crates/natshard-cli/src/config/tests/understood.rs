//! What arrives of a right configuration.

use std::net::IpAddr;
use std::time::Duration;

use natshard::{EngineConfig, PoolConfig, PortOrder, Protocol};
use natshard_nat::packet::HopLimit;
use natshard_nat::{
    Filtering, Mapping, NatPort, NatTuple, Pooling, PortPolicy, TcpPickup, VpcId, Withdrawn,
};

use super::super::grouped;
use super::{CARRIER_GRADE, MINIMAL, POOL, TWO_TENANTS, understand};

#[test]
fn the_least_configuration_translates_private_addresses() {
    let loaded = understand(MINIMAL).unwrap();
    assert_eq!(loaded.warnings(), []);
    assert_eq!(
        loaded.engine(None, None),
        EngineConfig::new(1)
            .pool(PoolConfig::new("internet").prefix("203.0.113.0/28".parse().unwrap()))
    );
    let [inside, outside] = loaded.vpcs() else {
        panic!("{:?}", loaded.vpcs())
    };
    assert_eq!(
        (inside.name.as_str(), outside.name.as_str()),
        ("inside", "outside")
    );
    assert_eq!(inside.inside.len(), 5);
    assert!(loaded.nat().peering_of(inside.id, outside.id).is_some());
    assert_eq!(loaded.pools()[0].addresses, 16);
    assert_eq!(loaded.pools()[0].port_count, 1_032_192);
}

#[test]
fn every_key_arrives_in_engine_and_function() {
    let loaded = understand(CARRIER_GRADE).unwrap();
    assert_eq!(loaded.warnings(), []);
    let net = |text: &str| text.parse().unwrap();
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    assert_eq!(
        loaded.engine(None, None),
        EngineConfig::new(2)
            .hold_down(Duration::from_secs(120))
            .max_cooling(500_000)
            .port_order(PortOrder::Random)
            .pool(
                PoolConfig::new("subscribers")
                    .realm("internet")
                    .prefix(net("203.0.113.0/26"))
                    .prefix(net("198.51.100.64/27"))
                    .prefix(net("2001:db8:ffff::/112"))
                    .ports(1024..=65535)
                    .exclude_addresses(net("203.0.113.1/32"))
                    .exclude(ip("203.0.113.2"), 8080..=8090)
                    .exclude_ports(5060..=5061)
                    .reuse_closed(true)
                    .preopen(16)
            )
            .pool(
                PoolConfig::new("privileged")
                    .realm("internet")
                    .prefix(net("203.0.113.64/30"))
                    .ports(512..=1023)
            )
    );
    assert_eq!(loaded.engine(Some(7), Some(9)), {
        let engine = loaded.engine(Some(7), None);
        engine.seed(9)
    });
    assert_eq!(loaded.session_limit(), Some(2_000_000));
    assert_eq!(loaded.hold_down_max(), Some(500_000));
    let nat = loaded.nat();
    assert_eq!(nat.hop_limit(), HopLimit::Decrement);
    assert_eq!(nat.withdrawn(), Withdrawn::Drain);
    assert_eq!(nat.fragments().held_frames, 1024);
    assert_eq!(nat.fragments().timeout, Duration::from_secs(15));
    let peering = nat.peerings().next().unwrap();
    assert_eq!(peering.name(), "subscribers to internet");
    let behaviour = peering.behaviour_ref();
    assert_eq!(behaviour.timeouts.of_udp(53), Duration::from_secs(20));
    assert_eq!(behaviour.timeouts.of_udp(54), Duration::from_secs(300));
    let tuple = |source: &str, port: u16| NatTuple {
        source_vpc: VpcId::new(1),
        destination_vpc: VpcId::new(2),
        source: ip(source),
        destination: ip("192.0.2.1"),
        protocol: Protocol::Udp,
        source_port: NatPort::new(port),
        destination_port: NatPort::new(53),
    };
    let served = nat.select(&tuple("100.64.3.4", 700));
    assert_eq!(nat.pool(served.source.unwrap()).name(), "subscribers");
    assert_eq!(nat.pool(served.privileged.unwrap()).name(), "privileged");
    // The privileged pool has no IPv6 address, so it must not serve IPv6 sources.
    let served = nat.select(&tuple("fd00:64::1", 700));
    assert_eq!(served.privileged, None);
    assert!(nat.select(&tuple("10.0.0.1", 5000)).is_empty());
}

#[test]
fn tenants_with_the_same_addresses_are_kept_apart() {
    let loaded = understand(TWO_TENANTS).unwrap();
    assert_eq!(loaded.warnings(), []);
    let words: Vec<_> = loaded.peerings().collect();
    assert_eq!(words.len(), 3);
    assert_eq!((words[0].source, words[0].pickup), ("tenant-a", "strict"));
    assert_eq!(
        (words[2].source, words[2].ports),
        ("tenant-b", "port-preservation")
    );
    let behaviour = loaded.nat().peerings().next().unwrap().behaviour_ref();
    assert_eq!(behaviour.timeouts.udp, Duration::from_secs(120));
    assert_eq!(behaviour.timeouts.icmp, Duration::from_secs(60));
}

#[test]
fn every_word_of_rfc_8512_means_what_it_says() {
    let vpcs = "[[vpc]]\nname = \"a\"\ninside-prefixes = \"10.0.0.0/8\"\n[[vpc]]\nname = \"b\"\n\
                [[peering]]\nsource-vpc = \"a\"\ndestination-vpc = \"b\"\npools = \"internet\"\n";
    let behaviour = |line: &str| {
        let loaded = understand(&format!("{POOL}{vpcs}{line}\n")).unwrap();
        let peering = loaded.nat().peerings().next().unwrap().clone();
        peering.behaviour_ref().clone()
    };
    let all = |mapping: &str, filtering: &str| {
        let it = behaviour(&format!(
            "mapping-type = \"{mapping}\"\nfiltering-type = \"{filtering}\""
        ));
        (it.mapping, it.filtering)
    };
    let independent = (Mapping::EndpointIndependent, Filtering::EndpointIndependent);
    let dependent = (
        Mapping::AddressAndPortDependent,
        Filtering::AddressAndPortDependent,
    );
    assert_eq!(all("eim", "eif"), independent);
    assert_eq!(
        all("endpoint-independent", "endpoint-independent"),
        independent
    );
    assert_eq!(all("edm", "edf"), dependent);
    assert_eq!(
        all("address-and-port-dependent", "address-and-port-dependent"),
        dependent
    );
    assert_eq!(all("eim", "adf").1, Filtering::AddressDependent);
    assert_eq!(
        all("eim", "address-dependent").1,
        Filtering::AddressDependent
    );
    let of = behaviour;
    assert_eq!(
        of("address-allocation-type = \"arbitrary\"").pooling,
        Pooling::Arbitrary
    );
    assert_eq!(
        of("address-allocation-type = \"paired\"").pooling,
        Pooling::Paired
    );
    let ports = |word: &str| of(&format!("port-allocation-type = \"{word}\"")).port_policy;
    assert_eq!(ports("random"), PortPolicy::Random);
    assert_eq!(ports("port-preservation"), PortPolicy::Preserve);
    assert_eq!(ports("port-parity-preservation"), PortPolicy::Parity);
    assert_eq!(of("tcp-pickup = \"strict\"").tcp_pickup, TcpPickup::Strict);
    assert!(!of("hairpinning = false").hairpinning);
    assert!(of("inbound-refresh = true").inbound_refresh);
}

#[test]
fn the_book_has_the_most_sessions_that_can_be_asked_for() {
    let book = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/src/configuration.md"
    );
    let book = std::fs::read_to_string(book).unwrap();
    let most = natshard_nat::SessionTable::<()>::MAX_SESSIONS;
    let row = format!("| `limit-per-instance` | 1 to {} ", grouped(most as u128));
    assert!(book.contains(&row), "{row}");
    let asks = |limit| understand(&format!("{POOL}[nat]\nlimit-per-instance = {limit}\n"));
    assert_eq!(asks(most).unwrap().session_limit(), Some(most));
    assert!(asks(most + 1).is_err());
}
