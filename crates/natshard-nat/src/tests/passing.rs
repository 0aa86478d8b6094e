//! What passes untouched, and what malformed bytes do.

use super::both::both;
use super::*;
use crate::packet::HopLimit;

both! {
    fn what_no_rule_is_for_passes_untouched_and_makes_no_entry<A>() {
        let mut lab = Lab::<A>::new(config(|_| ()));
        let udp = Build::udp;
        let nowhere = VpcId::new(77);
        for (vpc, build, reason) in [
            (nowhere, udp("10.0.0.1:1", "198.51.100.1:1"), UntouchedReason::NoPeering),
            (WORLD, udp("198.51.100.1:1", "198.51.100.2:1"), UntouchedReason::NoPeering),
            (TENANT_A, udp("10.0.0.1:1", "10.9.9.9:1"), UntouchedReason::Local),
            (TENANT_A, udp("192.168.0.1:1", "198.51.100.1:1"), UntouchedReason::NoPool),
            (TENANT_A, udp("10.0.0.1:1", "224.0.0.251:5353"), UntouchedReason::NotUnicast),
            (TENANT_A, udp("0.0.0.0:68", "255.255.255.255:67"), UntouchedReason::NotUnicast),
            (TENANT_A, udp("[fe80::1]:1", "[2001:db8::1]:1"), UntouchedReason::NotUnicast),
            (
                TENANT_A,
                Build::raw(ip("10.0.0.1"), ip("198.51.100.1"), 47, &[0; 8]),
                UntouchedReason::Protocol,
            ),
            (
                TENANT_A,
                Build::raw(ip("10.0.0.1"), ip("198.51.100.1"), 132, &[0; 12]),
                UntouchedReason::Protocol,
            ),
            (
                TENANT_A,
                Build::icmp(ip("10.0.0.1"), ip("198.51.100.1"), 5, 0, [0; 4]).payload(&[0; 28]),
                UntouchedReason::IcmpOther,
            ),
        ] {
            let out = lab.send(vpc, &build);
            assert_eq!(out.untouched(), Some(reason), "{build:?}");
        }
        assert_eq!((lab.sessions(), lab.nat.stats().leases_allocated), (0, 0));
        assert!(lab.log.events.is_empty());
    }

    fn frames_that_are_no_packets_are_counted_and_never_fatal<A>() {
        let mut lab = Lab::<A>::new(config(|_| ()));
        let arp = [[0u8; 12].as_slice(), &[0x08, 0x06], &[0; 28]].concat();
        assert_eq!(lab.give(TENANT_A, &arp).untouched(), Some(UntouchedReason::NotIp));
        let whole = Build::tcp("10.0.0.1:1", "198.51.100.1:1").frame();
        for length in 0..whole.len() {
            let out = lab.give(TENANT_A, &whole[..length]);
            assert!(out.dropped().is_some(), "{length}: {:?}", out.verdict);
        }
        assert!(lab.nat.stats().dropped(DropReason::TruncatedTransport) > 0);
        assert_eq!(lab.sessions(), 0);
        // Where nothing is translated nothing is judged.
        let out = lab.give(VpcId::new(77), &whole[..30]);
        assert_eq!(out.untouched(), Some(UntouchedReason::NoPeering));
    }

    fn the_hop_limit_is_kept_or_used_up_as_configured<A>() {
        let with = |hop_limit| {
            NatConfig::builder()
                .pool(NatPool::new("public").realm("wan").prefix(net("203.0.113.0/30")))
                .peering(
                    Peering::new("a", TENANT_A, WORLD)
                        .source(SourceRule::new(net("10.0.0.0/8"), "public")),
                )
                .hop_limit(hop_limit)
                .build()
                .unwrap()
        };
        let packet = |limit| Build::udp("10.0.0.1:5000", "198.51.100.1:53").hop_limit(limit);
        let mut lab = Lab::<A>::new(with(HopLimit::Keep));
        assert_eq!(lab.send(TENANT_A, &packet(1)).translated().hop_limit(), 1);
        let mut lab = Lab::<A>::new(with(HopLimit::Decrement));
        let spent = lab.send(TENANT_A, &packet(1));
        assert_eq!(spent.dropped(), Some(DropReason::TtlExceeded));
        assert_eq!((lab.sessions(), lab.nat.stats().leases_allocated), (0, 0));
        assert_eq!(lab.send(TENANT_A, &packet(2)).translated().hop_limit(), 1);
        let spent = lab.send(TENANT_A, &packet(1));
        assert_eq!(spent.dropped(), Some(DropReason::TtlExceeded));
    }

    fn a_udp_packet_without_checksum_stays_without<A>() {
        let mut lab = Lab::<A>::new(config(|_| ()));
        let build = Build::udp("10.0.0.1:5000", "198.51.100.1:53").checksum(0);
        let view = lab.send(TENANT_A, &build).translated();
        assert!(matches!(view.transport(), Transport::Udp { has_checksum: false, .. }));
    }
}
