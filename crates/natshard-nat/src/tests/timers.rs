//! How long sessions live: RFC 4787 REQ-5 and REQ-6, RFC 5508 REQ-2.

use super::both::both;
use super::*;

both! {
    fn f28_a_udp_mapping_lives_five_minutes_without_traffic<A>() {
        let mut lab = Lab::<A>::new(config(|_| ()));
        let public = lab.udp_out(TENANT_A, "10.0.0.1:5000", "198.51.100.1:53");
        lab.pass(299);
        assert_eq!(lab.udp_in("198.51.100.1:53", public).direction(), Some(Direction::Inbound));
        lab.pass(1);
        // Exactly at its end, whether housekeeping has come by or not.
        assert_eq!(lab.udp_in("198.51.100.1:53", public).dropped(), Some(DropReason::NoMapping));
        assert_eq!((lab.sessions(), lab.mappings()), (0, 0));
    }

    fn outbound_packets_prolong_and_inbound_ones_only_if_configured<A>() {
        for inbound_refresh in [false, true] {
            let mut lab = Lab::<A>::new(config(|behaviour| {
                behaviour.inbound_refresh = inbound_refresh;
            }));
            let public = lab.udp_out(TENANT_A, "10.0.0.1:5000", "198.51.100.1:53");
            lab.pass(200);
            assert_eq!(lab.udp_out(TENANT_A, "10.0.0.1:5000", "198.51.100.1:53"), public);
            lab.pass(200);
            assert!(lab.udp_in("198.51.100.1:53", public).direction().is_some());
            lab.pass(200);
            assert_eq!(lab.udp_in("198.51.100.1:53", public).direction().is_some(), inbound_refresh);
        }
    }

    fn a_well_known_port_may_have_a_shorter_timeout<A>() {
        let mut lab = Lab::<A>::new(config(|behaviour| {
            behaviour.timeouts.udp_well_known = vec![(53, Duration::from_secs(20))];
        }));
        lab.udp_out(TENANT_A, "10.0.0.1:5000", "198.51.100.1:53");
        lab.udp_out(TENANT_A, "10.0.0.1:5000", "198.51.100.1:123");
        lab.pass(21);
        lab.tick();
        assert_eq!(lab.sessions(), 1);
    }

    fn an_icmp_query_lives_a_minute<A>() {
        let mut lab = Lab::<A>::new(config(|_| ()));
        lab.send(TENANT_A, &Build::echo_request("10.0.0.1", "198.51.100.1", 7, 1)).translated();
        lab.pass(59);
        lab.tick();
        assert_eq!(lab.sessions(), 1);
        lab.pass(2);
        lab.tick();
        assert_eq!(lab.sessions(), 0);
    }

    fn i3_a_released_port_rests_before_it_is_leased_again<A>() {
        let one = |pool: NatPool| pool.ports(2000..=2000)
            .exclude_addresses(net("203.0.113.0/31")).exclude_addresses(net("203.0.113.2/32"));
        let mut lab = Lab::<A>::new(config_with(one, |_| ()));
        let public = lab.udp_out(TENANT_A, "10.0.0.1:5000", "198.51.100.1:53");
        lab.pass(301);
        lab.idle();
        assert_eq!(lab.mappings(), 0);
        lab.pass(119);
        let early = lab.send(TENANT_A, &Build::udp("10.0.0.2:5000", "198.51.100.1:53"));
        assert_eq!(early.dropped(), Some(DropReason::PoolExhausted));
        // A rested port may be noticed an eighth of the hold-down late (I4).
        lab.pass(1 + 15);
        lab.idle();
        assert_eq!(lab.udp_out(TENANT_A, "10.0.0.2:5000", "198.51.100.1:53"), public);
    }

    fn expiry_is_bounded_per_burst_and_idle_does_all<A>() {
        let mut lab = Lab::<A>::new(config(|_| ()));
        for port in 0..600 {
            let source = format!("10.0.0.1:{}", 1000 + port);
            lab.udp_out(TENANT_A, &source, "198.51.100.1:53");
        }
        lab.pass(301);
        lab.tick();
        assert!(lab.sessions() >= 600 - 64);
        // An entry is looked at once per level of the wheel that it comes down from, and once to
        // end it.
        for _ in 0..600 * 4 / 64 {
            lab.tick();
        }
        assert_eq!(lab.sessions(), 0);
        for port in 0..600 {
            let source = format!("10.0.0.1:{}", 1000 + port);
            lab.udp_out(TENANT_A, &source, "198.51.100.1:53");
        }
        lab.pass(301);
        lab.idle();
        assert_eq!(lab.sessions(), 0);
    }

    fn f27_a_clock_that_goes_back_counts_as_standing_still<A>() {
        let mut lab = Lab::<A>::new(config(|_| ()));
        let public = lab.udp_out(TENANT_A, "10.0.0.1:5000", "198.51.100.1:53");
        lab.now -= 500_000;
        assert!(lab.udp_in("198.51.100.1:53", public).direction().is_some());
        assert_eq!(lab.udp_out(TENANT_A, "10.0.0.1:5000", "198.51.100.1:53"), public);
        assert_eq!(lab.nat.stats().ticks_backwards, 2);
        lab.now += 500_000;
        lab.pass(299);
        lab.tick();
        assert_eq!(lab.sessions(), 1);
    }
}
