//! RFC 4787 section 4: mapping, pooling, ports.

use super::both::both;
use super::*;

both! {
    fn an_inside_endpoint_has_one_public_tuple_for_all_destinations<A>() {
        let mut lab = Lab::<A>::new(config(|_| ()));
        let first = lab.udp_out(TENANT_A, "10.0.0.1:5000", "198.51.100.1:53");
        let second = lab.udp_out(TENANT_A, "10.0.0.1:5000", "198.51.100.2:123");
        assert_eq!(first, second);
        assert_eq!((lab.sessions(), lab.mappings()), (2, 1));
        let other = lab.udp_out(TENANT_A, "10.0.0.1:5001", "198.51.100.1:53");
        assert_ne!(first, other);
    }

    fn address_and_port_dependent_mapping_has_one_per_destination<A>() {
        let mut lab = Lab::<A>::new(config(|behaviour| {
            behaviour.mapping = Mapping::AddressAndPortDependent;
        }));
        let first = lab.udp_out(TENANT_A, "10.0.0.1:5000", "198.51.100.1:53");
        let second = lab.udp_out(TENANT_A, "10.0.0.1:5000", "198.51.100.1:54");
        assert_ne!(first, second);
        assert_eq!(lab.udp_out(TENANT_A, "10.0.0.1:5000", "198.51.100.1:53"), first);
        assert_eq!((lab.sessions(), lab.mappings()), (2, 2));
    }

    fn a_reply_comes_back_byte_for_byte<A>() {
        let mut lab = Lab::<A>::new(config(|_| ()));
        for (inside, remote) in [
            ("10.1.2.3:40000", "198.51.100.7:443"),
            ("[fd00::5]:40000", "[2001:db8::7]:443"),
        ] {
            for vlan in [false, true] {
                let tag = |build: Build| if vlan { build.vlan(42) } else { build };
                let out = lab.send(TENANT_A, &tag(Build::udp(inside, remote).payload(b"question")));
                assert_eq!(out.direction(), Some(Direction::Outbound));
                let public = out.source();
                assert_ne!(public, inside.parse().unwrap());
                let reply = tag(Build::udp(remote, inside).payload(b"answer"));
                let seen = tag(Build::udp(remote, &public.to_string()).payload(b"answer"));
                let back = lab.send(WORLD, &seen);
                assert_eq!(back.direction(), Some(Direction::Inbound));
                assert_eq!(back.frame, reply.frame());
            }
        }
    }

    fn mappings_of_a_host_share_an_address_where_pooling_is_paired<A>() {
        let mut lab = Lab::<A>::new(config_with(|pool| pool.ports(2000..=2015), |_| ()));
        let one = lab.udp_out(TENANT_A, "10.0.0.1:5000", "198.51.100.1:53").ip();
        for host in 2..=10 {
            lab.udp_out(TENANT_A, &format!("10.0.0.{host}:5000"), "198.51.100.1:53");
        }
        for port in 5001..5006 {
            let public = lab.udp_out(TENANT_A, &format!("10.0.0.1:{port}"), "198.51.100.1:53");
            assert_eq!(public.ip(), one);
        }
        let tcp = lab.tcp_out("10.0.0.1:5000", "198.51.100.1:80", 2).source();
        assert_eq!(tcp.ip(), one, "paired across protocols");
    }

    fn f11_a_full_paired_address_is_left_for_another_one<A>() {
        let mut lab = Lab::<A>::new(config_with(|pool| pool.ports(2000..=2003), |_| ()));
        let publics: HashSet<_> = (0..16)
            .map(|port| {
                lab.udp_out(TENANT_A, &format!("10.0.0.1:{}", 5000 + port), "198.51.100.1:53")
            })
            .collect();
        assert_eq!(publics.len(), 16, "every port of all four addresses");
        let full = lab.send(TENANT_A, &Build::udp("10.0.0.1:9", "198.51.100.1:53"));
        assert_eq!(full.dropped(), Some(DropReason::PoolExhausted));
    }

    fn a_preserved_port_is_kept_where_it_can_be_had<A>() {
        let mut lab = Lab::<A>::new(config(|behaviour| {
            behaviour.port_policy = PortPolicy::Preserve;
        }));
        let first = lab.udp_out(TENANT_A, "10.0.0.1:5000", "198.51.100.1:53");
        assert_eq!(first.port(), 5000);
        let mut taken = HashSet::from([first]);
        for host in 2..=8 {
            let source = format!("10.0.0.{host}:5000");
            let public = lab.udp_out(TENANT_A, &source, "198.51.100.1:53");
            assert_eq!(public.port() % 2, 0, "{public}");
            assert!(taken.insert(public));
        }
    }

    fn parity_is_kept<A>() {
        let mut lab = Lab::<A>::new(config(|behaviour| {
            behaviour.port_policy = PortPolicy::Parity;
        }));
        let mut differing = 0;
        for port in 5000..5040u16 {
            let source = format!("10.0.0.1:{port}");
            let public = lab.udp_out(TENANT_A, &source, "198.51.100.1:53");
            assert_eq!(public.port() % 2, port % 2);
            differing += usize::from(public.port() != port);
        }
        assert!(differing > 30, "parity is not preservation");
    }

    /// RFC 4787 REQ-3 a): by default a well-known source port gets one above; with a pool for the
    /// class it stays in its class; and either way it is restored on the way back.
    fn a_privileged_source_port_is_restored_and_kept_in_its_class_by_policy<A>() {
        let pools = |privileged: bool| {
            let rule = SourceRule::new(net("10.0.0.0/8"), "public");
            let rule = if privileged { rule.privileged_pool("low") } else { rule };
            NatConfig::builder()
                .pool(NatPool::new("public").realm("wan").prefix(net("203.0.113.0/30")))
                .pool(NatPool::new("low").realm("wan").prefix(net("203.0.113.0/32")).ports(600..=601))
                .peering(Peering::new("a", TENANT_A, WORLD).source(rule))
                .build()
                .unwrap()
        };
        let mut lab = Lab::<A>::new(pools(false));
        let public = lab.udp_out(TENANT_A, "10.0.0.1:123", "198.51.100.1:123");
        assert!(public.port() >= 1024);
        assert_eq!(lab.udp_in("198.51.100.1:123", public).destination().port(), 123);

        let mut lab = Lab::<A>::new(pools(true));
        let low = |lab: &mut Lab<A>, host: u8| {
            lab.udp_out(TENANT_A, &format!("10.0.0.{host}:123"), "198.51.100.1:123").port()
        };
        let ports = HashSet::from([low(&mut lab, 1), low(&mut lab, 2)]);
        assert_eq!(ports, HashSet::from([600, 601]));
        assert!(low(&mut lab, 3) >= 1024, "the class is full: better any port than none");
        assert!(lab.udp_out(TENANT_A, "10.0.0.9:5000", "198.51.100.1:1").port() >= 1024);
    }

    fn destination_rules_translate_static_and_back<A>() {
        let config = NatConfig::builder()
            .pool(NatPool::new("public").realm("wan").prefix(net("203.0.113.0/30")))
            .peering(
                Peering::new("a", TENANT_A, WORLD)
                    .source(SourceRule::new(net("10.0.0.0/8"), "public"))
                    .destination(DestinationRule::new(net("172.16.9.0/24"), net("198.51.100.0/24"))),
            )
            .build()
            .unwrap();
        let mut lab = Lab::<A>::new(config);
        let out = lab.send(TENANT_A, &Build::tcp("10.0.0.1:5000", "172.16.9.7:80").flags(2));
        assert_eq!(out.destination(), "198.51.100.7:80".parse().unwrap());
        let back = lab.tcp_in("198.51.100.7:80", out.source(), 0x12);
        assert_eq!(back.source(), "172.16.9.7:80".parse().unwrap());
        assert_eq!(back.destination(), "10.0.0.1:5000".parse().unwrap());
        // Sources outside the rules keep their address; the destination is translated alone.
        let out = lab.send(TENANT_A, &Build::udp("192.168.0.1:5000", "172.16.9.7:53"));
        assert_eq!(out.source(), "192.168.0.1:5000".parse().unwrap());
        assert_eq!(out.destination(), "198.51.100.7:53".parse().unwrap());
        let back = lab.udp_in("198.51.100.7:53", out.source());
        assert_eq!(back.source(), "172.16.9.7:53".parse().unwrap());
        assert_eq!(lab.nat.stats().leases_allocated, 1);
    }

    fn two_names_of_one_destination_cannot_have_the_same_answers<A>() {
        let config = NatConfig::builder()
            .pool(NatPool::new("public").realm("wan").prefix(net("203.0.113.0/30")))
            .peering(
                Peering::new("a", TENANT_A, WORLD)
                    .source(SourceRule::new(net("10.0.0.0/8"), "public"))
                    .destination(DestinationRule::new(net("172.16.9.0/24"), net("198.51.100.0/24")))
                    .destination(DestinationRule::new(net("172.17.9.0/24"), net("198.51.100.0/24"))),
            )
            .build()
            .unwrap();
        let mut lab = Lab::<A>::new(config);
        lab.udp_out(TENANT_A, "10.0.0.1:5000", "172.16.9.7:80");
        let second = lab.send(TENANT_A, &Build::udp("10.0.0.1:5000", "172.17.9.7:80"));
        assert_eq!(second.dropped(), Some(DropReason::TupleInUse));
        lab.udp_out(TENANT_A, "10.0.0.1:5001", "172.17.9.7:80");
    }

    /// The allocator alone, by the names of the trait.
    fn an_allocation_has_a_target_for_each_direction_that_is_translated<A>() {
        let config = std::sync::Arc::new(config(|_| ()));
        let mut allocator = A::make(&config, Duration::ZERO);
        let mut burst = allocator.burst(Tick::from_millis(1), &config);
        let mut tuple = NatTuple {
            source_vpc: TENANT_A,
            destination_vpc: WORLD,
            source: ip("10.0.0.1"),
            destination: ip("198.51.100.1"),
            protocol: Protocol::Udp,
            source_port: NatPort::new(5000),
            destination_port: NatPort::new(53),
        };
        let result = burst.allocate_v4(&tuple).unwrap();
        let target = result.source.unwrap();
        assert!(net("203.0.113.0/30").contains(&target.address));
        assert!(target.port.as_u16() >= 1024);
        assert_eq!(result.destination, None);
        burst.release(target.lease, Reason::Ended);
        assert_eq!(burst.allocate_v6(&tuple).unwrap_err(), AllocationError::Family);
        tuple.source = ip("192.168.0.1");
        let result = burst.allocate_v4(&tuple).unwrap();
        assert!(result.source.is_none() && result.destination.is_none());
        drop(burst);
        assert_eq!(allocator.leased(), 0);
    }
}
