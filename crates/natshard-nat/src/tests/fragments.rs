//! RFC 4787 REQ-14: fragments, in order and out of order.

use super::both::both;
use super::*;

/// A datagram in fragments of 64 bytes of payload.
fn pieces(source: &str, destination: &str, id: u32) -> Vec<Vec<u8>> {
    let payload: Vec<u8> = (0..=255).collect();
    Build::udp(source, destination)
        .id(id)
        .payload(&payload)
        .fragments(64)
}

const PAIRS: [(&str, &str); 2] = [
    ("10.0.0.1:5000", "198.51.100.1:53"),
    ("[fd00::1]:5000", "[2001:db8::1]:53"),
];

both! {
    fn fragments_in_order_share_the_translation_of_the_first<A>() {
        for (inside, remote) in PAIRS {
            let mut lab = Lab::<A>::new(config(|_| ()));
            let outs: Vec<Out> = pieces(inside, remote, 9).iter()
                .map(|piece| lab.give(TENANT_A, piece)).collect();
            let public = outs[0].source();
            let expected = pieces(&public.to_string(), remote, 9);
            for (out, expected) in outs.iter().zip(&expected) {
                assert_eq!(out.direction(), Some(Direction::Outbound));
                assert_eq!(&out.frame, expected);
            }
            for (seen, plain) in
                pieces(remote, &public.to_string(), 77).iter().zip(pieces(remote, inside, 77))
            {
                assert_eq!(lab.give(WORLD, seen).frame, plain);
            }
            assert_eq!(lab.sessions(), 1);
        }
    }

    fn fragments_before_the_first_wait_for_it_and_come_out_with_it<A>() {
        for (inside, remote) in PAIRS {
            let mut lab = Lab::<A>::new(config(|_| ()));
            let sent = pieces(inside, remote, 9);
            for piece in sent[1..].iter().rev() {
                assert_eq!(lab.give(TENANT_A, piece).verdict, Verdict::Held);
            }
            assert_eq!(lab.nat.stats().held, sent.len() as u64 - 1);
            lab.pass(2);
            let public = lab.give(TENANT_A, &sent[0]).source();
            let expected = pieces(&public.to_string(), remote, 9);
            let released: HashSet<_> = lab.log.frames.iter().map(|(_, _, bytes)| bytes.clone()).collect();
            assert_eq!(released, expected[1..].iter().cloned().collect());
            let tokens: HashSet<_> = lab.log.frames.iter().map(|(token, ..)| *token).collect();
            assert_eq!(tokens, (1..sent.len() as u64).collect());
            assert!(lab.log.frames.iter().all(|(_, verdict, _)| matches!(
                verdict,
                Verdict::Translated { direction: Direction::Outbound, to: WORLD }
            )));
            assert_eq!(lab.nat.stats().held, 0);
        }
    }

    fn fragments_whose_first_never_comes_are_dropped_in_time<A>() {
        let mut lab = Lab::<A>::new(config(|_| ()));
        let sent = pieces("10.0.0.1:5000", "198.51.100.1:53", 9);
        lab.give(TENANT_A, &sent[1]);
        lab.pass(14);
        lab.tick();
        assert!(lab.log.frames.is_empty());
        lab.pass(1);
        lab.tick();
        let verdicts: Vec<_> = lab.log.frames.iter().map(|(_, verdict, _)| *verdict).collect();
        assert_eq!(verdicts, [Verdict::Dropped(DropReason::FragmentTimeout)]);
        // The identification may be used again at once.
        lab.give(TENANT_A, &sent[0]).translated();
        lab.give(TENANT_A, &sent[1]).translated();
    }

    fn what_is_held_is_bounded_in_frames_bytes_and_datagrams<A>() {
        let limits = [
            FragmentLimits { held_frames: 3, ..FragmentLimits::default() },
            FragmentLimits { held_bytes: 300, ..FragmentLimits::default() },
        ];
        for fragments in limits {
            let mut lab = Lab::<A>::new(limited(fragments));
            let refused = (0..10)
                .filter(|id| {
                    let sent = pieces("10.0.0.1:5000", "198.51.100.1:53", *id);
                    lab.give(TENANT_A, &sent[1]).dropped() == Some(DropReason::FragmentTableFull)
                })
                .count();
            assert_eq!(refused, 7, "{fragments:?}");
            lab.pass(16);
            lab.idle();
            assert_eq!(lab.nat.stats().held, 0);
            let sent = pieces("10.0.0.1:5000", "198.51.100.1:53", 20);
            assert_eq!(lab.give(TENANT_A, &sent[1]).verdict, Verdict::Held, "room again");
        }
        // Past the number of datagrams the oldest is forgotten.
        let mut lab = Lab::<A>::new(limited(FragmentLimits { datagrams: 4, ..FragmentLimits::default() }));
        for id in 0..10 {
            let sent = pieces("10.0.0.1:5000", "198.51.100.1:53", id);
            assert_eq!(lab.give(TENANT_A, &sent[1]).verdict, Verdict::Held);
        }
        assert_eq!(lab.nat.stats().held, 4);
        assert_eq!(lab.nat.stats().dropped(DropReason::FragmentTableFull), 6);
    }

    /// In IPv4 the protocol tells datagrams apart as well, in IPv6 it does not.
    fn datagrams_of_two_protocols_with_one_identification_are_apart<A>() {
        let mut lab = Lab::<A>::new(config(|_| ()));
        let udp = pieces("10.0.0.1:5000", "198.51.100.1:53", 9);
        let ping = Build::echo_request("10.0.0.1", "198.51.100.1", 7, 1).id(9).payload(&[1; 200]);
        lab.give(TENANT_A, &udp[1]);
        lab.give(TENANT_A, &ping.fragments(64)[0]).translated();
        assert!(lab.log.frames.is_empty());
        lab.give(TENANT_A, &udp[0]).translated();
        assert_eq!(lab.log.frames.len(), 1);
    }

    fn later_fragments_share_the_fate_of_a_first_one_that_did_not_pass<A>() {
        let mut lab = Lab::<A>::new(config(|_| ()));
        let public = lab.udp_out(TENANT_A, "10.0.0.1:5000", "198.51.100.1:53");
        let refused = pieces("192.0.2.1:1", &public.to_string(), 5);
        assert_eq!(lab.give(WORLD, &refused[1]).verdict, Verdict::Held);
        assert_eq!(lab.give(WORLD, &refused[0]).dropped(), Some(DropReason::Filtered));
        let of_dropped = Verdict::Dropped(DropReason::FragmentOfDropped);
        assert_eq!(lab.log.frames[0].1, of_dropped);
        assert_eq!(lab.give(WORLD, &refused[2]).verdict, of_dropped);
        // Without a pool they pass as the first one does.
        let untouched = pieces("192.168.0.1:1", "198.51.100.1:53", 6);
        for piece in &untouched {
            assert_eq!(lab.give(TENANT_A, piece).untouched(), Some(UntouchedReason::NoPool));
        }
    }

    fn fragments_that_cannot_be_ours_are_not_held<A>() {
        let mut lab = Lab::<A>::new(config(|_| ()));
        let later = |source: &str, destination: &str| pieces(source, destination, 1)[1].clone();
        let nowhere = lab.give(VpcId::new(77), &later("10.0.0.1:1", "198.51.100.1:1"));
        assert_eq!(nowhere.untouched(), Some(UntouchedReason::NoPeering));
        let local = lab.give(TENANT_A, &later("10.0.0.1:1", "10.0.0.2:1"));
        assert_eq!(local.untouched(), Some(UntouchedReason::Local));
        let gre = Build::raw(ip("10.0.0.1"), ip("198.51.100.1"), 47, &[0; 8]).payload(&[0; 64]);
        let gre = lab.give(TENANT_A, &gre.fragments(32)[1]);
        assert_eq!(gre.untouched(), Some(UntouchedReason::Protocol));
    }

    fn hairpinned_fragments_have_both_addresses_translated<A>() {
        let mut lab = Lab::<A>::new(config(|behaviour| {
            behaviour.filtering = Filtering::EndpointIndependent;
        }));
        let two = lab.udp_out(TENANT_A, "10.0.0.2:2222", "198.51.100.1:53");
        let sent = pieces("10.0.0.1:1111", &two.to_string(), 8);
        lab.give(TENANT_A, &sent[3]);
        let one = lab.give(TENANT_A, &sent[0]).source();
        let expected = pieces(&one.to_string(), "10.0.0.2:2222", 8);
        assert_eq!(lab.log.frames[0].2, expected[3]);
        assert_eq!(lab.give(TENANT_A, &sent[1]).frame, expected[1]);
    }

    fn shutdown_lets_go_of_held_fragments_and_leases<A>() {
        let mut lab = Lab::<A>::new(config(|_| ()));
        lab.udp_out(TENANT_A, "10.0.0.1:5000", "198.51.100.1:53");
        lab.give(TENANT_A, &pieces("10.0.0.1:5000", "198.51.100.1:53", 9)[1]);
        lab.nat.shutdown(Tick::from_millis(lab.now), &mut lab.log);
        lab.check();
        assert_eq!((lab.sessions(), lab.nat.stats().held, lab.log.frames.len()), (0, 0, 1));
        assert_eq!(lab.nat.stats().sessions_ended(EndReason::Shutdown), 1);
        // And it can go on afterwards.
        lab.udp_out(TENANT_A, "10.0.0.1:5000", "198.51.100.1:53");
        lab.pass(301);
        lab.tick();
        assert_eq!(lab.sessions(), 0);
    }
}

fn limited(fragments: FragmentLimits) -> NatConfig {
    NatConfig::builder()
        .pool(
            NatPool::new("public")
                .realm("wan")
                .prefix(net("203.0.113.0/30")),
        )
        .peering(
            Peering::new("a", TENANT_A, WORLD).source(SourceRule::new(net("10.0.0.0/8"), "public")),
        )
        .fragments(fragments)
        .build()
        .expect("a configuration")
}
