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
    /// its way to join it.
    fn a_mapping_that_ends_while_it_is_joined_takes_nobody_along<A>() {
        let mut lab = Lab::<A>::new(config(|behaviour| {
            behaviour.filtering = Filtering::EndpointIndependent;
        }));
        let publics: Vec<_> = (0..300)
            .map(|port| {
                lab.udp_out(TENANT_A, &format!("10.0.0.1:{}", 1000 + port), "198.51.100.1:53")
            })
            .collect();
        lab.pass(301);
        for public in publics.iter().chain(&publics) {
            let out = lab.udp_in("192.0.2.99:7", *public);
            let gone = out.dropped() == Some(DropReason::NoMapping);
            assert!(gone || out.direction() == Some(Direction::Inbound), "{:?}", out.verdict);
        }
    }
}
