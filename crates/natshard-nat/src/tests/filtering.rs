//! RFC 4787 section 5: who may send inwards.

use super::both::both;
use super::*;

fn filtering<A: Make>(filtering: Filtering) -> (Lab<A>, SocketAddr) {
    let mut lab = Lab::<A>::new(config(|behaviour| behaviour.filtering = filtering));
    let public = lab.udp_out(TENANT_A, "10.0.0.1:5000", "198.51.100.1:53");
    assert_eq!(
        lab.udp_in("198.51.100.1:53", public).direction(),
        Some(Direction::Inbound)
    );
    (lab, public)
}

both! {
    fn endpoint_independent_filtering_lets_everybody_in<A>() {
        let (mut lab, public) = filtering::<A>(Filtering::EndpointIndependent);
        let out = lab.udp_in("192.0.2.99:7", public);
        assert_eq!(out.destination(), "10.0.0.1:5000".parse().unwrap());
        // And the answer goes out through the same mapping.
        assert_eq!(lab.udp_out(TENANT_A, "10.0.0.1:5000", "192.0.2.99:7"), public);
        assert_eq!((lab.sessions(), lab.mappings()), (2, 1));
    }

    fn address_dependent_filtering_is_the_default_and_ignores_the_port<A>() {
        assert_eq!(Behaviour::default().filtering, Filtering::AddressDependent);
        let (mut lab, public) = filtering::<A>(Filtering::AddressDependent);
        assert!(lab.udp_in("198.51.100.1:9999", public).direction().is_some());
        let other = lab.udp_in("192.0.2.99:53", public);
        assert_eq!(other.dropped(), Some(DropReason::Filtered));
    }

    fn address_dependent_filtering_closes_with_the_last_session_to_that_address<A>() {
        let (mut lab, public) = filtering::<A>(Filtering::AddressDependent);
        lab.pass(200);
        lab.udp_out(TENANT_A, "10.0.0.1:5000", "192.0.2.2:53");
        assert!(lab.udp_in("198.51.100.1:1000", public).direction().is_some());
        lab.pass(200);
        lab.udp_out(TENANT_A, "10.0.0.1:5000", "192.0.2.2:53");
        // The session to port 53 is over, the one from port 1000 is not.
        assert!(lab.udp_in("198.51.100.1:1001", public).direction().is_some());
        for _ in 0..3 {
            lab.pass(200);
            lab.udp_out(TENANT_A, "10.0.0.1:5000", "192.0.2.2:53");
        }
        assert_eq!(lab.udp_in("198.51.100.1:1002", public).dropped(), Some(DropReason::Filtered));
        assert!(lab.udp_in("192.0.2.2:53", public).direction().is_some());
    }

    fn address_and_port_dependent_filtering_lets_only_the_remote_endpoint_in<A>() {
        let (mut lab, public) = filtering::<A>(Filtering::AddressAndPortDependent);
        let other_port = lab.udp_in("198.51.100.1:9999", public);
        assert_eq!(other_port.dropped(), Some(DropReason::Filtered));
        let other = lab.udp_in("192.0.2.99:53", public);
        assert_eq!(other.dropped(), Some(DropReason::Filtered));
        assert_eq!(lab.sessions(), 1, "what is refused leaves nothing behind");
    }

    fn a_public_tuple_that_nobody_has_is_nobodys<A>() {
        let (mut lab, public) = filtering::<A>(Filtering::EndpointIndependent);
        let other = SocketAddr::new(public.ip(), public.port() ^ 1);
        assert_eq!(lab.udp_in("198.51.100.1:53", other).dropped(), Some(DropReason::NoMapping));
        let tcp = lab.tcp_in("198.51.100.1:53", public, 2);
        assert_eq!(tcp.dropped(), Some(DropReason::NoMapping), "protocols are apart");
    }

    /// A private source address in a packet from outside is spoofed; it gets nothing, and costs
    /// the mapping nothing.
    fn a_source_that_answers_would_not_reach_is_dropped<A>() {
        let (mut lab, public) = filtering::<A>(Filtering::EndpointIndependent);
        let spoofed = lab.udp_in("10.0.0.99:53", public);
        assert_eq!(spoofed.dropped(), Some(DropReason::NoWayBack));
        assert!(lab.udp_in("192.0.2.99:7", public).direction().is_some());
    }

    /// What is overdue and has not been swept yet may go at any moment, also while a packet is on
    /// its way to join it. All in one burst, so that expiry creeps along with the packets.
    fn a_mapping_that_ends_while_it_is_joined_takes_nobody_along<A>() {
        for backwards in [false, true] {
            let mut lab = Lab::<A>::new(config(|behaviour| {
                behaviour.filtering = Filtering::EndpointIndependent;
            }));
            let mut publics: Vec<_> = (0..600)
                .map(|port| {
                    lab.udp_out(TENANT_A, &format!("10.0.0.1:{}", 1000 + port), "198.51.100.1:53")
                })
                .collect();
            if backwards {
                publics.reverse();
            }
            lab.pass(301);
            let mut burst = lab.nat.burst(Tick::from_millis(lab.now), &mut lab.log);
            for public in publics.iter().chain(&publics) {
                let mut frame = Build::udp("192.0.2.99:7", &public.to_string()).frame();
                let ingress = Ingress { link: Link::Ethernet, vpc: WORLD, token: 0 };
                match burst.process(&mut frame, ingress) {
                    Verdict::Dropped(DropReason::NoMapping) => {}
                    Verdict::Translated { direction: Direction::Inbound, .. } => {}
                    other => panic!("{other:?}"),
                }
            }
            drop(burst);
            lab.check();
        }
    }

    /// Where each destination has a mapping of its own, a remote endpoint could reach an inside
    /// endpoint by two of them, and the answers could go by one only.
    fn a_remote_endpoint_has_one_session_with_an_inside_endpoint<A>() {
        let mut lab = Lab::<A>::new(config(|behaviour| {
            behaviour.mapping = Mapping::AddressAndPortDependent;
            behaviour.filtering = Filtering::EndpointIndependent;
        }));
        let one = lab.udp_out(TENANT_A, "10.0.0.1:5000", "198.51.100.1:53");
        let two = lab.udp_out(TENANT_A, "10.0.0.1:5000", "198.51.100.2:53");
        assert!(lab.udp_in("198.51.100.1:53", one).direction().is_some());
        assert_eq!(lab.udp_in("198.51.100.1:53", two).dropped(), Some(DropReason::TupleInUse));
        assert!(lab.udp_in("192.0.2.9:9", two).direction().is_some());
        assert_eq!(lab.udp_in("192.0.2.9:9", one).dropped(), Some(DropReason::TupleInUse));
    }
}
