//! Configurations that change under live sessions.

use super::both::both;
use super::*;

fn over(prefix: &str, withdrawn: Withdrawn, private: &str) -> NatConfig {
    NatConfig::builder()
        .pool(
            NatPool::new("public")
                .realm("wan")
                .prefix(net(prefix))
                .ports(2000..=2999),
        )
        .peering(Peering::new("a", TENANT_A, WORLD).source(SourceRule::new(net(private), "public")))
        .withdrawn(withdrawn)
        .build()
        .expect("a configuration")
}

both! {
    fn a_session_that_the_new_configuration_bears_is_kept<A>() {
        let mut lab = Lab::<A>::new(over("203.0.113.0/30", Withdrawn::End, "10.0.0.0/8"));
        let public = lab.udp_out(TENANT_A, "10.0.0.1:5000", "198.51.100.1:53");
        lab.publish(over("203.0.113.0/30", Withdrawn::End, "10.0.0.0/16"));
        assert_eq!(lab.udp_out(TENANT_A, "10.0.0.1:5000", "198.51.100.1:53"), public);
        assert!(lab.udp_in("198.51.100.1:53", public).direction().is_some());
        assert_eq!(lab.nat.stats().sessions_created, 1);
    }

    fn a_session_without_a_rule_ends_with_its_next_packet_or_by_housekeeping<A>() {
        for by_packet in [true, false] {
            let mut lab = Lab::<A>::new(over("203.0.113.0/30", Withdrawn::Drain, "10.0.0.0/8"));
            let public = lab.udp_out(TENANT_A, "10.0.0.1:5000", "198.51.100.1:53");
            lab.publish(over("203.0.113.0/30", Withdrawn::Drain, "10.1.0.0/16"));
            if by_packet {
                let out = lab.udp_in("198.51.100.1:53", public);
                assert_eq!(out.dropped(), Some(DropReason::NoMapping));
                let out = lab.send(TENANT_A, &Build::udp("10.0.0.1:5000", "198.51.100.1:53"));
                assert_eq!(out.untouched(), Some(UntouchedReason::NoPool));
            } else {
                lab.tick();
            }
            assert_eq!((lab.sessions(), lab.mappings()), (0, 0));
            assert_eq!(lab.nat.stats().sessions_ended(EndReason::Reconfigured), 1);
        }
    }

    fn f29_sessions_of_a_withdrawn_address_drain_and_new_ones_go_elsewhere<A>() {
        let mut lab = Lab::<A>::new(both_prefixes(Withdrawn::Drain));
        let public = lab.udp_out(TENANT_A, "10.0.0.1:5000", "198.51.100.1:53");
        let gone = if net("203.0.113.0/30").contains(&public.ip()) { "203.0.113.4/30" } else { "203.0.113.0/30" };
        lab.publish(over(gone, Withdrawn::Drain, "10.0.0.0/8"));
        assert_eq!(lab.udp_out(TENANT_A, "10.0.0.1:5000", "198.51.100.1:53"), public, "it goes on");
        assert!(lab.udp_in("198.51.100.1:53", public).direction().is_some());
        let elsewhere = lab.udp_out(TENANT_A, "10.0.0.1:5000", "198.51.100.2:53");
        assert!(net(gone).contains(&elsewhere.ip()), "{elsewhere}");
        let uninvited = lab.udp_in("198.51.100.1:99", public);
        assert!(uninvited.direction().is_none(), "no new session joins");
        assert_eq!(lab.mappings(), 2);
        lab.pass(301);
        lab.tick();
        assert_eq!(lab.mappings(), 0, "and it does not stay for ever");
    }

    fn sessions_of_a_withdrawn_address_can_be_ended_and_are_made_anew_not_doubled<A>() {
        let mut lab = Lab::<A>::new(both_prefixes(Withdrawn::End));
        let public = lab.udp_out(TENANT_A, "10.0.0.1:5000", "198.51.100.1:53");
        let gone = if net("203.0.113.0/30").contains(&public.ip()) { "203.0.113.4/30" } else { "203.0.113.0/30" };
        lab.publish(over(gone, Withdrawn::End, "10.0.0.0/8"));
        let moved = lab.udp_out(TENANT_A, "10.0.0.1:5000", "198.51.100.1:53");
        assert!(net(gone).contains(&moved.ip()));
        assert_eq!((lab.sessions(), lab.mappings()), (1, 1));
    }

    fn changed_timeouts_hold_from_the_next_packet_on<A>() {
        let mut lab = Lab::<A>::new(config(|_| ()));
        lab.udp_out(TENANT_A, "10.0.0.1:5000", "198.51.100.1:53");
        lab.publish(config(|behaviour| behaviour.timeouts.udp = Duration::from_secs(130)));
        lab.udp_out(TENANT_A, "10.0.0.1:5000", "198.51.100.1:53");
        lab.pass(131);
        lab.tick();
        assert_eq!(lab.sessions(), 0);
    }

    fn housekeeping_reaches_every_session_in_bounded_steps<A>() {
        let mut lab = Lab::<A>::new(over("203.0.113.0/30", Withdrawn::End, "10.0.0.0/8"));
        for port in 0..500 {
            lab.udp_out(TENANT_A, &format!("10.0.0.1:{}", 1000 + port), "198.51.100.1:53");
        }
        lab.publish(over("203.0.113.0/30", Withdrawn::End, "10.1.0.0/16"));
        lab.tick();
        assert!(lab.sessions() >= 500 - 64);
        for _ in 0..8 {
            lab.tick();
        }
        assert_eq!(lab.sessions(), 0);
    }

    fn a_packet_is_judged_by_the_new_configuration_before_housekeeping_has_come_by<A>() {
        let mut lab = Lab::<A>::new(over("203.0.113.0/30", Withdrawn::End, "10.0.0.0/8"));
        let publics: Vec<_> = (0..300)
            .map(|port| {
                lab.udp_out(TENANT_A, &format!("10.0.0.1:{}", 1000 + port), "198.51.100.1:53")
            })
            .collect();
        lab.publish(over("203.0.113.0/30", Withdrawn::End, "10.1.0.0/16"));
        let out = lab.send(TENANT_A, &Build::udp("10.0.0.1:1299", "198.51.100.1:53"));
        assert_eq!(out.untouched(), Some(UntouchedReason::NoPool));
        let back = lab.udp_in("198.51.100.1:53", publics[298]);
        assert_eq!(back.dropped(), Some(DropReason::NoMapping));
        assert!(lab.sessions() > 100);
    }

    fn no_session_joins_a_withdrawn_mapping_before_housekeeping_has_come_by<A>() {
        let mut lab = Lab::<A>::new(both_prefixes(Withdrawn::Drain));
        let publics: Vec<_> = (0..300)
            .map(|port| {
                lab.udp_out(TENANT_A, &format!("10.0.0.1:{}", 1000 + port), "198.51.100.1:53")
            })
            .collect();
        let public = publics[298];
        let gone = net("203.0.113.0/30").contains(&public.ip());
        let left = if gone { "203.0.113.4/30" } else { "203.0.113.0/30" };
        lab.publish(over(left, Withdrawn::Drain, "10.0.0.0/8"));
        let joining = lab.udp_in("198.51.100.1:99", public);
        assert_eq!(joining.dropped(), Some(DropReason::NoMapping));
        assert!(lab.udp_in("198.51.100.1:53", public).direction().is_some());
        assert_eq!(lab.sessions(), 300);
        // Nor from inside: the endpoint has another mapping from now on, and only one.
        let anew = lab.udp_out(TENANT_A, "10.0.0.1:1297", "198.51.100.2:53");
        assert!(net(left).contains(&anew.ip()));
        assert_eq!(lab.udp_out(TENANT_A, "10.0.0.1:1297", "198.51.100.3:53"), anew);
        assert_eq!(lab.udp_out(TENANT_A, "10.0.0.1:1297", "198.51.100.1:53"), publics[297]);
        for _ in 0..10 {
            lab.tick();
            assert_eq!(lab.udp_out(TENANT_A, "10.0.0.1:1297", "198.51.100.4:53"), anew);
        }
    }

    fn a_session_whose_kind_of_translation_changes_ends_whatever_may_drain<A>() {
        let with = |source: bool, destination: bool| {
            let peering = Peering::new("a", TENANT_A, WORLD);
            let peering = match source {
                true => peering.source(SourceRule::new(net("10.0.0.0/8"), "public")),
                false => peering,
            };
            let peering = match destination {
                true => peering
                    .destination(DestinationRule::new(net("172.16.9.0/24"), net("198.51.100.0/24"))),
                false => peering,
            };
            NatConfig::builder()
                .pool(NatPool::new("public").realm("wan").prefix(net("203.0.113.0/30")))
                .peering(peering)
                .build()
                .unwrap()
        };
        // The destination rule stays or goes, the source rule goes: both sessions end.
        for (before, after) in [
            ((true, true), (false, true)),
            ((false, true), (true, true)),
            ((true, true), (true, false)),
        ] {
            let mut lab = Lab::<A>::new(with(before.0, before.1));
            lab.send(TENANT_A, &Build::udp("10.0.0.1:5000", "172.16.9.7:53")).translated();
            lab.publish(with(after.0, after.1));
            lab.tick();
            assert_eq!(lab.sessions(), 0, "{before:?} to {after:?}");
        }
    }

    fn a_session_ends_when_its_remote_endpoint_becomes_a_public_address_of_ours<A>() {
        let mut lab = Lab::<A>::new(over("203.0.113.0/30", Withdrawn::Drain, "10.0.0.0/8"));
        lab.udp_out(TENANT_A, "10.0.0.1:5000", "203.0.113.5:53");
        lab.publish(both_prefixes(Withdrawn::Drain));
        let out = lab.send(TENANT_A, &Build::udp("10.0.0.1:5000", "203.0.113.5:53"));
        assert_eq!(out.dropped(), Some(DropReason::NoMapping));
        assert_eq!(lab.nat.stats().sessions_ended(EndReason::Reconfigured), 1);
    }

    fn a_new_session_on_an_older_mapping_goes_by_the_new_configuration<A>() {
        let peering = |name: &str, vpc, udp| Peering::new(name, vpc, WORLD)
            .source(SourceRule::new(net("10.0.0.0/8"), "public"))
            .behaviour(Behaviour {
                timeouts: Timeouts { udp: Duration::from_secs(udp), ..Timeouts::default() },
                ..Behaviour::default()
            });
        let with = |peerings: Vec<Peering>| {
            let pool = NatPool::new("public").realm("wan").prefix(net("203.0.113.0/30"));
            let config = NatConfig::builder().pool(pool);
            peerings.into_iter().fold(config, |config, peering| config.peering(peering)).build().unwrap()
        };
        let both = with(vec![peering("a", TENANT_A, 300), peering("b", TENANT_B, 300)]);
        let mut lab = Lab::<A>::new(both);
        for port in 0..300 {
            lab.udp_out(TENANT_B, &format!("10.0.0.1:{}", 1000 + port), "198.51.100.1:53");
        }
        // The peering keeps its name and changes its place, and its timeout.
        lab.publish(with(vec![peering("b", TENANT_B, 900)]));
        lab.udp_out(TENANT_B, "10.0.0.1:1299", "198.51.100.2:53");
        lab.pass(600);
        lab.idle();
        assert_eq!(lab.sessions(), 1);
        lab.pass(301);
        lab.idle();
        assert_eq!(lab.sessions(), 0);
    }

    fn a_removed_peering_ends_its_sessions_and_leaves_the_other_tenant_alone<A>() {
        let mut lab = Lab::<A>::new(config(|_| ()));
        lab.udp_out(TENANT_A, "10.0.0.1:5000", "198.51.100.1:53");
        let public = lab.udp_out(TENANT_B, "10.0.0.1:5000", "198.51.100.1:53");
        let only_b = NatConfig::builder()
            .pool(NatPool::new("public").realm("wan").prefix(net("203.0.113.0/30")))
            .peering(Peering::new("b", TENANT_B, WORLD).source(SourceRule::new(net("10.0.0.0/8"), "public")))
            .build()
            .unwrap();
        lab.publish(only_b);
        lab.tick();
        assert_eq!(lab.sessions(), 1);
        assert!(lab.udp_in("198.51.100.1:53", public).direction().is_some());
        let out = lab.send(TENANT_A, &Build::udp("10.0.0.1:5000", "198.51.100.1:53"));
        assert_eq!(out.untouched(), Some(UntouchedReason::NoPeering));
    }
}

fn both_prefixes(withdrawn: Withdrawn) -> NatConfig {
    NatConfig::builder()
        .pool(
            NatPool::new("public")
                .realm("wan")
                .prefix(net("203.0.113.0/30"))
                .prefix(net("203.0.113.4/30"))
                .ports(2000..=2999),
        )
        .peering(
            Peering::new("a", TENANT_A, WORLD).source(SourceRule::new(net("10.0.0.0/8"), "public")),
        )
        .withdrawn(withdrawn)
        .build()
        .expect("a configuration")
}

/// A configuration that the engine was not told of yet: nothing is translated to addresses that
/// the function does not know as its own.
#[test]
fn what_the_engine_gives_beyond_the_pool_is_refused_and_given_back() {
    let config = over("203.0.113.0/30", Withdrawn::Drain, "10.0.0.0/8");
    let mut lab = Lab::<NatDefaultAllocator>::new(config);
    lab.store
        .publish(over("203.0.113.4/30", Withdrawn::Drain, "10.0.0.0/8"));
    let out = lab.send(TENANT_A, &Build::udp("10.0.0.1:5000", "198.51.100.1:53"));
    assert_eq!(out.dropped(), Some(DropReason::AllocationRefused));
    assert_eq!(lab.nat.stats().leases_refused(AllocError::OutsidePool), 1);
    lab.publish(over("203.0.113.4/30", Withdrawn::Drain, "10.0.0.0/8"));
    lab.udp_out(TENANT_A, "10.0.0.1:5000", "198.51.100.1:53");
}
