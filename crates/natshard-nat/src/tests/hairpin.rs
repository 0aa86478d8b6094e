//! RFC 4787 REQ-9, RFC 5508 REQ-7: inside endpoints that talk to each other's public tuples.

use super::both::both;
use super::flags::{ACK, SYN};
use super::*;

fn to(public: SocketAddr) -> String {
    public.to_string()
}

/// Two inside hosts of which each has a mapping; their public endpoints.
fn two<A: Make>(filtering: Filtering) -> (Lab<A>, SocketAddr, SocketAddr) {
    let mut lab = Lab::<A>::new(config(|behaviour| behaviour.filtering = filtering));
    let one = lab.udp_out(TENANT_A, "10.0.0.1:1111", "198.51.100.1:53");
    let two = lab.udp_out(TENANT_A, "10.0.0.2:2222", "198.51.100.1:53");
    (lab, one, two)
}

both! {
    fn both_ends_of_a_hairpinned_packet_are_translated<A>() {
        let (mut lab, one, two) = two::<A>(Filtering::EndpointIndependent);
        let out = lab.send(TENANT_A, &Build::udp("10.0.0.1:1111", &to(two)).payload(b"hello"));
        assert_eq!(out.verdict, Verdict::Translated { direction: Direction::Hairpin, to: TENANT_A });
        assert_eq!((out.source(), out.destination()), (one, "10.0.0.2:2222".parse().unwrap()));
        let back = lab.send(TENANT_A, &Build::udp("10.0.0.2:2222", &to(one)));
        assert_eq!((back.source(), back.destination()), (two, "10.0.0.1:1111".parse().unwrap()));
        assert_eq!(lab.mappings(), 2);
    }

    fn tenants_reach_each_other_by_public_tuples_as_well<A>() {
        let (mut lab, one, _) = two::<A>(Filtering::EndpointIndependent);
        let out = lab.send(TENANT_B, &Build::udp("10.0.0.1:1111", &to(one)));
        assert_eq!(out.verdict, Verdict::Translated { direction: Direction::Hairpin, to: TENANT_A });
        let back = lab.send(TENANT_A, &Build::udp("10.0.0.1:1111", &to(out.source())));
        assert_eq!(back.verdict, Verdict::Translated { direction: Direction::Hairpin, to: TENANT_B });
        assert_eq!(back.source(), one);
    }

    fn filtering_holds_for_hairpinned_packets<A>() {
        let (mut lab, one, two) = two::<A>(Filtering::AddressAndPortDependent);
        let out = lab.send(TENANT_A, &Build::udp("10.0.0.1:1111", &to(two)));
        assert_eq!(out.dropped(), Some(DropReason::Filtered));
        // Once the other end has sent too, both have sessions: hole punching.
        let out = lab.send(TENANT_A, &Build::udp("10.0.0.2:2222", &to(one)));
        assert_eq!(out.direction(), Some(Direction::Hairpin));
        let out = lab.send(TENANT_A, &Build::udp("10.0.0.1:1111", &to(two)));
        assert_eq!(out.direction(), Some(Direction::Hairpin));
    }

    fn a_tcp_connection_hairpins_and_closes<A>() {
        let mut lab = Lab::<A>::new(config(|behaviour| {
            behaviour.filtering = Filtering::EndpointIndependent;
        }));
        let server = lab.tcp_out("10.0.0.2:80", "198.51.100.1:80", SYN).source();
        let out = lab.tcp_out("10.0.0.1:1111", &to(server), SYN);
        assert_eq!(out.direction(), Some(Direction::Hairpin));
        let client = out.source();
        lab.tcp_out("10.0.0.2:80", &to(client), SYN | ACK).translated();
        lab.tcp_out("10.0.0.1:1111", &to(server), ACK).translated();
        lab.pass(7000);
        lab.idle();
        assert_eq!(lab.sessions(), 2, "established on both legs");
    }

    fn hairpinning_can_be_turned_off_and_does_not_reach_for_unowned_tuples<A>() {
        let (mut lab, _, two) = two::<A>(Filtering::EndpointIndependent);
        let free = SocketAddr::new(two.ip(), two.port() ^ 64);
        let out = lab.send(TENANT_A, &Build::udp("10.0.0.3:3333", &to(free)));
        assert_eq!(out.dropped(), Some(DropReason::NoMapping));
        let mut lab = Lab::<A>::new(config(|behaviour| behaviour.hairpinning = false));
        let two = lab.udp_out(TENANT_A, "10.0.0.2:2222", "198.51.100.1:53");
        let out = lab.send(TENANT_A, &Build::udp("10.0.0.1:1111", &to(two)));
        assert_eq!(out.dropped(), Some(DropReason::HairpinOff));
    }

    fn an_error_about_a_hairpinned_packet_finds_its_sender<A>() {
        let (mut lab, one, two) = two::<A>(Filtering::EndpointIndependent);
        let sent = Build::udp("10.0.0.1:1111", &to(two)).payload(b"hello");
        let got = lab.send(TENANT_A, &sent).frame[14..].to_vec();
        let error = Build::icmp_error("10.0.0.2", &one.ip().to_string(), 3, 3, &got);
        let out = lab.send(TENANT_A, &error);
        assert_eq!(out.verdict, Verdict::Translated { direction: Direction::Hairpin, to: TENANT_A });
        let plain = Build::icmp_error(&two.ip().to_string(), "10.0.0.1", 3, 3, &sent.packet());
        assert_eq!(out.frame, plain.frame());
    }

    fn an_endpoint_reaches_itself_by_its_own_public_tuple<A>() {
        let (mut lab, one, _) = two::<A>(Filtering::AddressAndPortDependent);
        let out = lab.send(TENANT_A, &Build::udp("10.0.0.1:1111", &to(one)));
        assert_eq!((out.source(), out.destination()), (one, "10.0.0.1:1111".parse().unwrap()));
        let id = lab.send(TENANT_A, &Build::echo_request("10.0.0.1", "198.51.100.1", 7, 1)).source();
        let ping = Build::echo_request("10.0.0.1", &id.ip().to_string(), 7, 1);
        let out = lab.send(TENANT_A, &ping);
        assert_eq!((out.source().ip(), out.destination()), (id.ip(), "10.0.0.1:7".parse().unwrap()));
    }
}
