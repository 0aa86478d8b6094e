//! Subscribers: what one of them may have, and that the others do not suffer (RFC 6888, RFC 7422).

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use natshard::{PortBlocks, Strictness, SubscriberLimit, TenantShare};

use super::both::both;
use super::*;

/// Four IPv4 addresses and an IPv6 prefix with that policy. Two VPCs have the same IPv4 addresses;
/// the IPv6 ones are the first one's.
fn served(
    policy: impl FnOnce(NatPool) -> NatPool,
    behaviour: impl FnOnce(&mut Behaviour),
) -> NatConfig {
    let mut with = Behaviour::default();
    behaviour(&mut with);
    let pool = NatPool::new("public")
        .realm("wan")
        .prefix(net("203.0.113.0/30"))
        .prefix(net("2001:db8:cafe::/126"));
    let peering = |name: &str, vpc| {
        Peering::new(name, vpc, WORLD)
            .source(SourceRule::new(net("10.0.0.0/8"), "public"))
            .behaviour(with.clone())
    };
    let v6 = SourceRule::new(net("fd00::/8"), "public");
    NatConfig::builder()
        .pool(policy(pool))
        .peering(peering("a", TENANT_A).source(v6))
        .peering(peering("b", TENANT_B))
        .build()
        .expect("a configuration")
}

/// IPv4 addresses alone for one VPC alone, whose hosts a deterministic pool can number.
fn computed(policy: impl FnOnce(NatPool) -> NatPool) -> NatConfig {
    let pool = NatPool::new("public").prefix(net("203.0.113.0/30"));
    let rule = SourceRule::new(net("10.0.0.0/8"), "public");
    NatConfig::builder()
        .pool(policy(pool))
        .peering(Peering::new("a", TENANT_A, WORLD).source(rule))
        .build()
        .expect("a configuration")
}

fn limited(limit: SubscriberLimit) -> NatConfig {
    served(|pool| pool.subscriber_limit(limit), |_| ())
}

impl<A: Make> Lab<A> {
    /// UDP from inside with a source port; what came of it.
    fn try_udp(&mut self, from: VpcId, host: &str, port: u16) -> Out {
        let (source, remote) = match host.contains(':') {
            false => (format!("{host}:{port}"), "198.51.100.1:53"),
            true => (format!("[{host}]:{port}"), "[2001:db8::1]:53"),
        };
        self.send(from, &Build::udp(&source, remote))
    }

    fn refused(&self, reason: AllocError) -> u64 {
        self.nat.stats().leases_refused(reason)
    }
}

/// Lets the hold-down pass, and the eighth of it that its end may be noticed late.
const RESTED: u64 = 120 + 15 + 1;

both! {
    /// RFC 6888 REQ-4: at its limit a subscriber is refused, and counted; nobody else is.
    fn at_its_limit_a_subscriber_alone_is_refused<A>() {
        let mut lab = Lab::<A>::new(limited(SubscriberLimit::new().ports(Protocol::Udp, 3)));
        for port in 1..=3 {
            assert!(lab.try_udp(TENANT_A, "10.0.0.1", port).direction().is_some());
        }
        for port in 4..=9 {
            let out = lab.try_udp(TENANT_A, "10.0.0.1", port);
            assert_eq!(out.dropped(), Some(DropReason::SubscriberQuota));
        }
        assert_eq!(lab.refused(AllocError::SubscriberQuota), 6);
        assert_eq!(lab.nat.stats().dropped(DropReason::SubscriberQuota), 6);
        // Another remote endpoint is no other mapping, so it takes no port.
        let same = lab.send(TENANT_A, &Build::udp("10.0.0.1:1", "198.51.100.2:53"));
        assert!(same.direction().is_some());
        // Another protocol, another host, the same host of another VPC.
        assert!(lab.tcp_out("10.0.0.1:1", "198.51.100.1:80", flags::SYN).direction().is_some());
        assert!(lab.try_udp(TENANT_A, "10.0.0.2", 1).direction().is_some());
        assert!(lab.try_udp(TENANT_B, "10.0.0.1", 1).direction().is_some());
        assert_eq!(lab.refused(AllocError::SubscriberQuota), 6);
    }

    /// RFC 6888 REQ-8: a port that rests still counts.
    fn ports_that_rest_count_and_rested_ones_do_not<A>() {
        let mut lab = Lab::<A>::new(limited(SubscriberLimit::new().ports(Protocol::Udp, 2)));
        for port in 1..=2 {
            assert!(lab.try_udp(TENANT_A, "10.0.0.1", port).direction().is_some());
        }
        lab.pass(301);
        lab.idle();
        assert_eq!(lab.mappings(), 0);
        let out = lab.try_udp(TENANT_A, "10.0.0.1", 3);
        assert_eq!(out.dropped(), Some(DropReason::SubscriberQuota));
        lab.pass(RESTED);
        lab.idle();
        for port in 3..=4 {
            assert!(lab.try_udp(TENANT_A, "10.0.0.1", port).direction().is_some());
        }
        let out = lab.try_udp(TENANT_A, "10.0.0.1", 5);
        assert_eq!(out.dropped(), Some(DropReason::SubscriberQuota));
    }

    fn a_total_limits_all_protocols_together<A>() {
        let limit = SubscriberLimit::new().ports(Protocol::Icmp, 1).total(3);
        let mut lab = Lab::<A>::new(limited(limit));
        let echo = |lab: &mut Lab<A>, identifier| {
            lab.send(TENANT_A, &Build::echo_request("10.0.0.1", "198.51.100.1", identifier, 0))
        };
        assert!(echo(&mut lab, 1).direction().is_some());
        assert_eq!(echo(&mut lab, 2).dropped(), Some(DropReason::SubscriberQuota));
        assert!(lab.try_udp(TENANT_A, "10.0.0.1", 1).direction().is_some());
        assert!(lab.tcp_out("10.0.0.1:1", "198.51.100.1:80", flags::SYN).direction().is_some());
        assert_eq!(
            lab.try_udp(TENANT_A, "10.0.0.1", 2).dropped(),
            Some(DropReason::SubscriberQuota)
        );
    }

    fn the_hosts_of_an_ipv6_prefix_are_one_subscriber<A>() {
        let limit = SubscriberLimit::new().total(2);
        for (bits, other) in [(64, "fd00:0:0:1::1"), (56, "fd00:0:0:100::1")] {
            let pool = |pool: NatPool| pool.subscriber_limit(limit).subscriber_mask_v6(bits);
            let mut lab = Lab::<A>::new(served(pool, |_| ()));
            assert!(lab.try_udp(TENANT_A, "fd00::1", 1).direction().is_some());
            assert!(lab.try_udp(TENANT_A, "fd00::2", 1).direction().is_some());
            let third = lab.try_udp(TENANT_A, "fd00::3", 1);
            assert_eq!(third.dropped(), Some(DropReason::SubscriberQuota));
            let next = lab.try_udp(TENANT_A, "fd00:0:0:ff::3", 1);
            assert_eq!(next.direction().is_some(), bits == 64);
            assert!(lab.try_udp(TENANT_A, other, 1).direction().is_some());
        }
    }

    /// RFC 6888 REQ-13, REQ-14: ports of a subscriber come from port blocks of its own.
    fn every_port_block_has_one_subscriber<A>() {
        let blocks = PortBlocks::new(64).per_subscriber(3).of_protocol(Protocol::Udp, 2);
        let mut lab = Lab::<A>::new(served(|pool| pool.port_blocks(blocks), |_| ()));
        let mut owners: BTreeMap<(IpAddr, u16), String> = BTreeMap::new();
        let hosts = ["10.0.0.1", "10.0.0.2", "10.0.0.3"];
        for port in 1..=128 {
            for host in hosts {
                let public = lab.try_udp(TENANT_A, host, port).source();
                let block = (public.ip(), public.port() / 64);
                let owner = owners.entry(block).or_insert_with(|| host.to_owned());
                assert_eq!(owner, host, "{public}");
            }
        }
        assert_eq!(owners.len(), 6, "two full port blocks each");
        let out = lab.try_udp(TENANT_A, "10.0.0.1", 129);
        assert_eq!(out.dropped(), Some(DropReason::SubscriberQuota));
        let tcp = |lab: &mut Lab<A>, port| {
            lab.tcp_out(&format!("10.0.0.1:{port}"), "198.51.100.1:80", flags::SYN)
        };
        for port in 1..=64 {
            assert!(tcp(&mut lab, port).direction().is_some());
        }
        // Three in all.
        assert_eq!(tcp(&mut lab, 65).dropped(), Some(DropReason::SubscriberQuota));
    }

    /// RFC 6888 REQ-2: one public address over all protocols; strict keeps to it when it is full.
    fn strict_pairing_refuses_rather_than_leave_the_address<A>() {
        // Eight ports of each protocol and address.
        let pool = |pool: NatPool| {
            pool.ports(2000..=2007).identifiers(2000..=2007).pairing(Strictness::Strict)
        };
        // What peerings say of pooling is nothing to a pool that pairs.
        let mut lab = Lab::<A>::new(served(pool, |it| it.pooling = Pooling::Arbitrary));
        let first = lab.try_udp(TENANT_A, "10.0.0.1", 1).source().ip();
        for port in 2..=8 {
            assert_eq!(lab.try_udp(TENANT_A, "10.0.0.1", port).source().ip(), first);
        }
        let out = lab.try_udp(TENANT_A, "10.0.0.1", 9);
        assert_eq!(out.dropped(), Some(DropReason::PoolExhausted));
        assert_eq!(lab.refused(AllocError::AddressFull), 1);
        let tcp = lab.tcp_out("10.0.0.1:1", "198.51.100.1:80", flags::SYN);
        assert_eq!(tcp.source().ip(), first);
        let echo = Build::echo_request("10.0.0.1", "198.51.100.1", 5, 0);
        assert_eq!(lab.send(TENANT_A, &echo).source().ip(), first);
    }

    fn preferred_pairing_leaves_the_address_when_it_is_full<A>() {
        let pool = |pool: NatPool| pool.ports(2000..=2007).pairing(Strictness::Preferred);
        let mut lab = Lab::<A>::new(served(pool, |_| ()));
        let publics: Vec<_> = (1..=32)
            .map(|port| lab.try_udp(TENANT_A, "10.0.0.1", port).source().ip())
            .collect();
        assert_eq!(publics[..8], [publics[0]; 8]);
        assert_eq!(publics.iter().collect::<HashSet<_>>().len(), 4);
        let out = lab.try_udp(TENANT_A, "10.0.0.1", 33);
        assert_eq!(out.dropped(), Some(DropReason::PoolExhausted));
    }

    /// RFC 7422: the public tuple is computed, and traced back by computation.
    fn deterministic_ranges_can_be_computed_from_outside<A>() {
        let inside = [net("10.0.0.0/29"), net("10.7.0.0/29")];
        let config = computed(|pool| pool.ports(2000..=2099).deterministic(inside, 10));
        let pool = config.pools()[0].clone();
        let map = pool.as_engine().deterministic_map().unwrap();
        let mut lab = Lab::<A>::new(config);
        for (host, index) in [("10.0.0.0", 0), ("10.0.0.7", 7), ("10.7.0.3", 11)] {
            let subscriber = pool.subscriber(TENANT_A, ip(host)).unwrap();
            assert_eq!(subscriber.number(), index);
            let (address, ports): (IpAddr, RangeInclusive<u16>) =
                map.range(index, Protocol::Udp).unwrap();
            for port in 1..=10 {
                let public = lab.try_udp(TENANT_A, host, port).source();
                assert_eq!(public.ip(), address);
                assert!(ports.contains(&public.port()));
                let traced = map.subscriber(Protocol::Udp, public.ip(), public.port());
                assert_eq!(traced, Some(index));
            }
            let out = lab.try_udp(TENANT_A, host, 11);
            assert_eq!(out.dropped(), Some(DropReason::SubscriberQuota));
        }
    }

    fn hosts_that_are_no_subscribers_are_refused_where_all_must_be<A>() {
        let config = computed(|pool| pool.deterministic([net("10.0.0.0/29")], 100));
        let mut lab = Lab::<A>::new(config);
        let out = lab.try_udp(TENANT_A, "10.0.0.8", 1);
        assert_eq!(out.dropped(), Some(DropReason::AllocationRefused));
        assert_eq!(lab.refused(AllocError::SubscriberMissing), 1);
        assert!(lab.try_udp(TENANT_A, "10.0.0.7", 1).direction().is_some());
    }

    /// RFC 7422 section 2: ports that are nobody's by computation go to whoever needs more.
    fn a_full_deterministic_range_overflows_into_port_blocks<A>() {
        let pool = |pool: NatPool| {
            let blocks = PortBlocks::new(64).per_subscriber(1);
            pool.ports(1024..=2047).deterministic([net("10.0.0.0/29")], 32).port_blocks(blocks)
        };
        let config = computed(pool);
        let map = config.pools()[0].as_engine().deterministic_map().unwrap();
        let mut lab = Lab::<A>::new(config);
        let mut own = 0;
        for port in 1..=96 {
            let public = lab.try_udp(TENANT_A, "10.0.0.3", port).source();
            match map.subscriber(Protocol::Udp, public.ip(), public.port()) {
                Some(3) => own += 1,
                None => assert!(map.overflow(Protocol::Udp).contains(&public.port())),
                Some(other) => panic!("{public} is {other}'s"),
            }
        }
        assert_eq!(own, 32);
        let out = lab.try_udp(TENANT_A, "10.0.0.3", 97);
        assert_eq!(out.dropped(), Some(DropReason::SubscriberQuota));
    }

    /// The allocator alone, without a selection: the subscriber is named all the same.
    fn an_allocation_by_the_tuple_alone_names_the_subscriber<A>() {
        let limit = SubscriberLimit::new().total(1);
        let config = std::sync::Arc::new(limited(limit));
        let mut allocator = A::make(&config, Duration::ZERO);
        let mut burst = allocator.burst(Tick::from_millis(1), &config);
        let tuple = |host: &str, port| NatTuple {
            source_vpc: TENANT_A,
            destination_vpc: WORLD,
            source: ip(host),
            destination: ip("198.51.100.1"),
            protocol: Protocol::Udp,
            source_port: NatPort::new(port),
            destination_port: NatPort::new(53),
        };
        let first = burst.allocate_v4(&tuple("10.0.0.1", 1)).unwrap();
        let second = burst.allocate_v4(&tuple("10.0.0.1", 2)).unwrap_err();
        assert_eq!(second, AllocationError::Refused(AllocError::SubscriberQuota));
        let other = burst.allocate_v4(&tuple("10.0.0.2", 1)).unwrap();
        for result in [first, other] {
            burst.release(result.source.unwrap().lease, Reason::Unused);
        }
        drop(burst);
        assert_eq!(allocator.leased(), 0);
    }
}

#[test]
fn the_reference_refuses_what_it_does_not_know() {
    let shared = |pool: NatPool| pool.tenant(TenantShare::new(7).minimum(1));
    for pool in [shared, |pool: NatPool| pool.headroom(1)] {
        let config = std::sync::Arc::new(served(pool, |_| ()));
        let mut allocator = ReferenceAllocator::new(Duration::ZERO);
        let mut burst = allocator.burst(Tick::from_millis(1), &config);
        let tuple = NatTuple {
            source_vpc: TENANT_A,
            destination_vpc: WORLD,
            source: ip("10.0.0.1"),
            destination: ip("198.51.100.1"),
            protocol: Protocol::Udp,
            source_port: NatPort::new(1),
            destination_port: NatPort::new(53),
        };
        let error = burst.allocate_v4(&tuple).unwrap_err();
        assert_eq!(error, AllocationError::Unsupported("tenants and headroom"));
        assert!(error.to_string().contains("tenants and headroom"));
    }
}
