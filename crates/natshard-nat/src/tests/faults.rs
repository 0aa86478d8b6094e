//! Faults of comparable systems that this one must not have, each under its number in the
//! project's list.

use super::both::both;
use super::flags::{ACK, FIN, SYN};
use super::*;

both! {
    /// F4: the lease lived in one half of a flow pair; that half expired while the other still
    /// translated, and the tuple went to another tenant.
    fn f04_lease_lives_with_both_halves<A>() {
        let one = |pool: NatPool| pool.ports(2000..=2000)
            .exclude_addresses(net("203.0.113.0/31")).exclude_addresses(net("203.0.113.2/32"));
        let config = config_with(one, |behaviour| behaviour.inbound_refresh = true);
        let mut lab = Lab::<A>::sized(config, Duration::ZERO, 100);
        let public = lab.udp_out(TENANT_A, "10.0.0.1:5000", "198.51.100.1:53");
        for _ in 0..20 {
            // Only one half sees packets, for far longer than the timeout of the other.
            lab.pass(250);
            assert!(lab.udp_in("198.51.100.1:53", public).direction().is_some());
            let other = lab.send(TENANT_B, &Build::udp("10.0.0.1:5000", "198.51.100.1:53"));
            assert_eq!(other.dropped(), Some(DropReason::PoolExhausted));
        }
        // The silent half works as if it had never been silent.
        assert_eq!(lab.udp_out(TENANT_A, "10.0.0.1:5000", "198.51.100.1:53"), public);
        // And when the session ends, both halves do, and only then the tuple is free.
        lab.pass(301);
        assert_eq!(lab.udp_out(TENANT_B, "10.0.0.1:5000", "198.51.100.1:53"), public);
        let back = lab.udp_in("198.51.100.1:53", public);
        assert_eq!(back.verdict, Verdict::Translated { direction: Direction::Inbound, to: TENANT_B });
    }

    /// F3: every copy of a cloneable handle freed the port. Here a lease is moved, never copied:
    /// the books balance over many sessions of one mapping that end one by one.
    fn f03_a_mapping_gives_its_lease_back_once<A>() {
        let mut lab = Lab::<A>::new(config(|_| ()));
        for remote in 1..=20 {
            lab.udp_out(TENANT_A, "10.0.0.1:5000", &format!("198.51.100.{remote}:53"));
            lab.pass(10);
        }
        for left in (0..20).rev() {
            lab.pass(if left == 19 { 101 } else { 10 });
            lab.idle();
            assert_eq!(lab.sessions(), left);
            assert_eq!(lab.nat.stats().leases_released, u64::from(left == 0));
        }
    }

    /// F5: tenants with the same private prefix overwrote each other.
    fn f05_tenants_with_the_same_prefix_are_apart<A>() {
        let mut lab = Lab::<A>::new(config(|_| ()));
        for protocol in [Protocol::Udp, Protocol::Tcp] {
            let build = |source: &str, destination: &str| match protocol {
                Protocol::Udp => Build::udp(source, destination),
                _ => Build::tcp(source, destination).flags(SYN),
            };
            let packet = build("10.0.0.1:5000", "198.51.100.1:53");
            let a = lab.send(TENANT_A, &packet).source();
            let b = lab.send(TENANT_B, &packet).source();
            assert_ne!(a, b);
            for (public, vpc) in [(a, TENANT_A), (b, TENANT_B)] {
                let back = lab.send(WORLD, &build("198.51.100.1:53", &public.to_string()));
                assert_eq!(back.destination(), "10.0.0.1:5000".parse().unwrap());
                assert_eq!(back.verdict, Verdict::Translated { direction: Direction::Inbound, to: vpc });
            }
        }
    }

    /// F5, once more: without source translation the addresses of two tenants do clash outside,
    /// and the second one is refused rather than given the first one's answers.
    fn f05_untranslated_sources_of_two_tenants_do_not_take_over<A>() {
        let peering = |name: &str, vpc| Peering::new(name, vpc, WORLD)
            .destination(DestinationRule::new(net("172.16.0.0/24"), net("198.51.100.0/24")));
        let config = NatConfig::builder().peering(peering("a", TENANT_A)).peering(peering("b", TENANT_B));
        let config = config
            .pool(NatPool::new("unused").prefix(net("203.0.113.0/32")))
            .build()
            .unwrap();
        let mut lab = Lab::<A>::new(config);
        let packet = Build::udp("10.0.0.1:5000", "172.16.0.1:53");
        lab.send(TENANT_A, &packet).translated();
        assert_eq!(lab.send(TENANT_B, &packet).dropped(), Some(DropReason::TupleInUse));
        let back = lab.send(WORLD, &Build::udp("198.51.100.1:53", "10.0.0.1:5000"));
        assert_eq!(back.verdict, Verdict::Translated { direction: Direction::Inbound, to: TENANT_A });
    }

    /// F8: a full table overwrote "some previous unlucky session".
    fn f08_a_full_table_refuses_and_overwrites_nothing<A>() {
        let mut lab = Lab::<A>::sized(config(|_| ()), Duration::ZERO, 50);
        let publics: Vec<_> = (0..50)
            .map(|port| lab.udp_out(TENANT_A, &format!("10.0.0.1:{}", 1000 + port), "198.51.100.1:53"))
            .collect();
        let full = lab.send(TENANT_A, &Build::udp("10.0.0.2:1", "198.51.100.1:53"));
        assert_eq!(full.dropped(), Some(DropReason::SessionTableFull));
        let full = lab.udp_in("198.51.100.1:54", publics[0]);
        assert_eq!(full.dropped(), Some(DropReason::SessionTableFull));
        assert_eq!(lab.nat.stats().leases_allocated, 50, "no lease without a session");
        for (port, public) in publics.iter().enumerate() {
            let back = lab.udp_in("198.51.100.1:53", *public);
            assert_eq!(back.destination().port(), 1000 + port as u16);
        }
        // Sessions whose time is over make room at once, whatever housekeeping has done.
        lab.pass(301);
        for port in 0..50 {
            lab.udp_out(TENANT_A, &format!("10.0.0.3:{}", 1000 + port), "198.51.100.1:53");
        }
    }

    /// F9: of two ranges claimed on one address the second overwrote the first.
    fn f09_every_excluded_range_of_an_address_holds<A>() {
        let one = |pool: NatPool| pool.ports(2000..=2009)
            .exclude_addresses(net("203.0.113.0/31")).exclude_addresses(net("203.0.113.2/32"))
            .exclude(ip("203.0.113.3"), 2000..=2002).exclude(ip("203.0.113.3"), 2005..=2007);
        let mut lab = Lab::<A>::new(config_with(one, |_| ()));
        let ports: std::collections::BTreeSet<_> = (1..=4)
            .map(|host| lab.udp_out(TENANT_A, &format!("10.0.0.{host}:1"), "198.51.100.1:53").port())
            .collect();
        assert_eq!(ports.into_iter().collect::<Vec<_>>(), [2003, 2004, 2008, 2009]);
        let full = lab.send(TENANT_A, &Build::udp("10.0.0.5:1", "198.51.100.1:53"));
        assert_eq!(full.dropped(), Some(DropReason::PoolExhausted));
    }

    /// F23: an IPv6 range wider than /96.
    fn f23_a_wide_ipv6_pool_works_at_once<A>() {
        let config = NatConfig::builder()
            .pool(NatPool::new("wide").prefix(net("2001:db8:1::/64")))
            .peering(
                Peering::new("a", TENANT_A, WORLD).source(SourceRule::new(net("fd00::/8"), "wide")),
            )
            .build()
            .unwrap();
        let mut lab = Lab::<A>::new(config);
        let public = lab.udp_out(TENANT_A, "[fd00::1]:5000", "[2001:db8::1]:53");
        assert!(net("2001:db8:1::/64").contains(&public.ip()));
        let back = lab.udp_in("[2001:db8::1]:53", public);
        assert_eq!(back.destination(), "[fd00::1]:5000".parse().unwrap());
    }

    /// F19: ports that were never given back; an ICMP key that differed between take and give.
    fn f19_every_port_comes_back_in_every_protocol<A>() {
        let config = config_with(|pool| pool.ports(2000..=2009).identifiers(0..=9), |_| ());
        let mut lab = Lab::<A>::sized(config, Duration::ZERO, 1000);
        for _ in 0..30 {
            for host in 1..=20 {
                lab.udp_out(TENANT_A, &format!("10.0.0.{host}:5000"), "198.51.100.1:53");
                let inside = format!("10.0.0.{host}:5000");
                let public = lab.tcp_out(&inside, "198.51.100.1:80", SYN).source();
                lab.tcp_in("198.51.100.1:80", public, SYN | ACK).translated();
                lab.tcp_in("198.51.100.1:80", public, FIN | ACK).translated();
                lab.tcp_out(&inside, "198.51.100.1:80", FIN | ACK).translated();
                let ping = Build::echo_request(&format!("10.0.0.{host}"), "198.51.100.1", 9, 1);
                lab.send(TENANT_A, &ping).translated();
            }
            assert_eq!(lab.mappings(), 60);
            lab.pass(400);
            lab.idle();
            assert_eq!((lab.sessions(), lab.mappings()), (0, 0));
        }
        assert_eq!(lab.nat.stats().dropped(DropReason::PoolExhausted), 0);
    }

    /// F25: exhaustion reported as an internal error, and the other way round.
    fn f25_exhaustion_is_told_from_other_refusals<A>() {
        let mut lab = Lab::<A>::new(config_with(|pool| pool.ports(2000..=2000), |_| ()));
        for host in 1..=4 {
            lab.udp_out(TENANT_A, &format!("10.0.0.{host}:5000"), "198.51.100.1:53");
        }
        let full = lab.send(TENANT_A, &Build::udp("10.0.0.9:5000", "198.51.100.1:53"));
        assert_eq!(full.dropped(), Some(DropReason::PoolExhausted));
        assert_eq!(lab.nat.stats().leases_refused(AllocError::PoolFull), 1);
        assert!(matches!(
            lab.log.events.last(),
            Some(Event::LeaseRefused { reason: AllocError::PoolFull, .. })
        ));
        // The other protocols and families have room.
        lab.tcp_out("10.0.0.9:5000", "198.51.100.1:80", SYN).translated();
        lab.send(TENANT_A, &Build::udp("[fd00::1]:1", "[2001:db8::1]:53")).translated();
    }

    /// I4 at this level: sessions whose time is over do not keep a pool full.
    fn i04_overdue_sessions_do_not_keep_a_pool_full<A>() {
        let config = config_with(|pool| pool.ports(2000..=2099), |_| ());
        let mut lab = Lab::<A>::sized(config, Duration::ZERO, 1000);
        for port in 0..400 {
            lab.udp_out(TENANT_A, &format!("10.0.0.1:{}", 1000 + port), "198.51.100.1:53");
        }
        lab.pass(301);
        for port in 0..400 {
            lab.udp_out(TENANT_A, &format!("10.0.0.2:{}", 1000 + port), "198.51.100.1:53");
        }
    }

    /// RFC 6888 REQ-12: what a logger needs, in order, once.
    fn events_tell_the_life_of_a_session<A>() {
        let mut lab = Lab::<A>::new(config(|_| ()));
        let public = lab.udp_out(TENANT_A, "10.0.0.1:5000", "198.51.100.1:53");
        lab.pass(301);
        lab.tick();
        let [
            Event::LeaseAllocated { at, mapping },
            Event::SessionCreated { session, outbound: true, .. },
            Event::SessionEnded { session: ended, reason: EndReason::Expired, .. },
            Event::LeaseReleased { mapping: released, reason: Reason::Ended, at: end },
        ] = lab.log.events[..]
        else {
            panic!("{:#?}", lab.log.events)
        };
        assert_eq!((at.as_millis(), end.as_millis()), (1_000_000, 1_301_000));
        assert_eq!(mapping.public, public);
        assert_eq!(mapping.inside, "10.0.0.1:5000".parse().unwrap());
        assert_eq!((mapping.inside_vpc, mapping.outside_vpc), (TENANT_A, WORLD));
        assert_eq!(session.remote, "198.51.100.1:53".parse().unwrap());
        assert_eq!((session, mapping), (ended, released));
    }

    /// F24, F22: a function that is dropped, also in a panic, gives its leases back.
    fn f24_a_dropped_function_gives_its_leases_back<A>() {
        let config = std::sync::Arc::new(config(|_| ()));
        let mut allocator = A::make(&config, Duration::ZERO);
        let mut burst = allocator.burst(Tick::from_millis(1), &config);
        let tuple = NatTuple {
            source_vpc: TENANT_A,
            destination_vpc: WORLD,
            source: ip("10.0.0.1"),
            destination: ip("198.51.100.1"),
            protocol: Protocol::Udp,
            source_port: NatPort::new(5000),
            destination_port: NatPort::new(53),
        };
        let result = burst.allocate_v4(&tuple).unwrap();
        drop(burst);
        assert_eq!(allocator.leased(), 1);
        drop(result);
        assert_eq!(allocator.leased(), 0);
    }
}

/// F19, with nothing but the engine to ask: sessions of a dropped function leave no lease behind.
#[test]
fn f24_the_engine_has_every_lease_back_when_a_function_is_dropped() {
    let mut lab = Lab::<NatDefaultAllocator>::new(config(|_| ()));
    for port in 0..100 {
        lab.udp_out(
            TENANT_A,
            &format!("10.0.0.1:{}", 1000 + port),
            "198.51.100.1:53",
        );
    }
    let engine = lab.nat.allocator().engine().clone();
    assert_eq!(engine.census().total.leased, 100);
    drop(lab);
    let census = engine.census();
    assert_eq!((census.total.leased, census.total.balances()), (0, true));
    assert_eq!(census.contradictions, 0);
}
