//! RFC 5508: queries, and errors that quote translated packets.

use super::both::both;
use super::*;
use crate::packet::{Quoted, QuotedTransport};

/// What the error in a frame quotes: source and destination endpoint.
fn quoted(out: &Out) -> (SocketAddr, SocketAddr) {
    let Transport::IcmpError { quoted, .. } = out.translated().transport() else {
        panic!("no error")
    };
    let (source, destination) = quoted_ports(&quoted);
    (
        SocketAddr::new(quoted.source(), source),
        SocketAddr::new(quoted.destination(), destination),
    )
}

fn quoted_ports(quoted: &Quoted) -> (u16, u16) {
    match quoted.transport() {
        QuotedTransport::Tcp {
            source,
            destination,
            ..
        }
        | QuotedTransport::Udp {
            source,
            destination,
            ..
        } => (source, destination),
        QuotedTransport::IcmpQuery { identifier, .. } => (identifier, identifier),
        other => panic!("no ports in {other:?}"),
    }
}

fn end(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Type and code of "port unreachable" and of "time exceeded", by family.
fn unreachable(v6: bool) -> (u8, u8) {
    if v6 { (1, 4) } else { (3, 3) }
}

both! {
    fn a_query_is_translated_by_its_identifier_and_back<A>() {
        let mut lab = Lab::<A>::new(config(|_| ()));
        for (host, remote) in [("10.0.0.1", "198.51.100.1"), ("fd00::1", "2001:db8::1")] {
            let mut publics = HashSet::new();
            for identifier in [0, 7, 65535] {
                let request = Build::echo_request(host, remote, identifier, 3).payload(b"ping");
                let out = lab.send(TENANT_A, &request);
                let public = out.source();
                assert!(publics.insert(public));
                let seen = Build::echo_reply(remote, &public.ip().to_string(), public.port(), 3);
                let back = lab.send(WORLD, &seen.payload(b"ping"));
                let reply = Build::echo_reply(remote, host, identifier, 3).payload(b"ping");
                assert_eq!(back.frame, reply.frame());
            }
        }
    }

    /// RFC 5508 REQ-1: one mapping for all destinations, as for UDP.
    fn one_identifier_serves_many_destinations<A>() {
        let mut lab = Lab::<A>::new(config(|_| ()));
        let one = lab.send(TENANT_A, &Build::echo_request("10.0.0.1", "198.51.100.1", 7, 1));
        let two = lab.send(TENANT_A, &Build::echo_request("10.0.0.1", "198.51.100.2", 7, 1));
        assert_eq!(one.source(), two.source());
        assert_eq!((lab.sessions(), lab.mappings()), (2, 1));
    }

    fn an_unasked_reply_makes_no_session<A>() {
        let mut lab = Lab::<A>::new(config(|behaviour| {
            behaviour.filtering = Filtering::EndpointIndependent;
        }));
        let public = lab.send(TENANT_A, &Build::echo_request("10.0.0.1", "198.51.100.1", 7, 1)).source();
        let to = public.ip().to_string();
        let reply = lab.send(WORLD, &Build::echo_reply("192.0.2.9", &to, public.port(), 1));
        assert_eq!(reply.dropped(), Some(DropReason::Filtered));
        let request = lab.send(WORLD, &Build::echo_request("192.0.2.9", &to, public.port(), 1));
        assert_eq!(request.destination(), end("10.0.0.1:7"));
    }

    /// REQ-4: an error from a router outside about a packet from inside.
    fn an_error_from_outside_reaches_the_inside_host_with_what_it_had_sent<A>() {
        for (inside, remote, router) in [
            ("10.0.0.1:5000", "198.51.100.1:53", "192.0.2.254"),
            ("[fd00::1]:5000", "[2001:db8::1]:53", "2001:db8:f::1"),
        ] {
            let mut lab = Lab::<A>::new(config(|_| ()));
            let sent = Build::udp(inside, remote).payload(b"question").hop_limit(3);
            let out = lab.send(TENANT_A, &sent);
            let public = out.source();
            // The router quotes the packet as it got it.
            let got = out.frame[14..].to_vec();
            let v6 = public.is_ipv6();
            let (kind, code) = if v6 { (3, 0) } else { (11, 0) };
            let to = public.ip().to_string();
            let error = Build::icmp_error(router, &to, kind, code, &got);
            let back = lab.send(WORLD, &error);
            assert_eq!(back.direction(), Some(Direction::Inbound));
            // What the host would have got without a NAT.
            let host = end(inside).ip().to_string();
            let plain = Build::icmp_error(router, &host, kind, code, &sent.packet());
            assert_eq!(back.frame, plain.frame());
        }
    }

    /// REQ-5: an error from an inside host about a packet from outside.
    fn an_error_from_the_inside_host_leaves_with_the_public_address<A>() {
        for (inside, remote) in [
            ("10.0.0.1:5000", "198.51.100.1:53"),
            ("[fd00::1]:5000", "[2001:db8::1]:53"),
        ] {
            let mut lab = Lab::<A>::new(config(|_| ()));
            let public = lab.send(TENANT_A, &Build::udp(inside, remote)).source();
            let sent = Build::udp(remote, &public.to_string()).payload(b"answer");
            let got = lab.send(WORLD, &sent).frame[14..].to_vec();
            let (kind, code) = unreachable(public.is_ipv6());
            let (host, to) = (end(inside).ip().to_string(), end(remote).ip().to_string());
            let error = Build::icmp_error(&host, &to, kind, code, &got);
            let out = lab.send(TENANT_A, &error);
            assert_eq!(out.direction(), Some(Direction::Outbound));
            let from = public.ip().to_string();
            let plain = Build::icmp_error(&from, &to, kind, code, &sent.packet());
            assert_eq!(out.frame, plain.frame());
        }
    }

    /// An inside router must not show its address outside.
    fn an_error_from_an_inside_router_leaves_with_the_public_address<A>() {
        let mut lab = Lab::<A>::new(config(|_| ()));
        let public = lab.udp_out(TENANT_A, "10.0.0.1:5000", "198.51.100.1:53");
        let got = lab.udp_in("198.51.100.1:53", public).frame[14..].to_vec();
        let error = Build::icmp_error("10.255.0.254", "198.51.100.1", 11, 0, &got);
        let out = lab.send(TENANT_A, &error);
        assert_eq!(out.translated().source(), public.ip());
        assert_eq!(quoted(&out), (end("198.51.100.1:53"), public));
    }

    fn an_error_about_a_tcp_segment_or_a_query_finds_its_session_too<A>() {
        let mut lab = Lab::<A>::new(config(|_| ()));
        let out = lab.tcp_out("10.0.0.1:5000", "198.51.100.1:80", 2);
        let public = out.source();
        let to = public.ip().to_string();
        // As little as RFC 792 asks for: the IP header and eight bytes.
        let error = Build::icmp_error("192.0.2.254", &to, 11, 0, &out.frame[14..14 + 28]);
        let back = lab.send(WORLD, &error);
        assert_eq!(quoted(&back), (end("10.0.0.1:5000"), end("198.51.100.1:80")));
        assert_eq!(back.translated().destination(), ip("10.0.0.1"));

        let out = lab.send(TENANT_A, &Build::echo_request("10.0.0.1", "198.51.100.1", 7, 1));
        let error = Build::icmp_error("192.0.2.254", &to, 11, 0, &out.frame[14..]);
        let back = lab.send(WORLD, &error);
        assert_eq!(quoted(&back).0, end("10.0.0.1:7"));
    }

    /// REQ-4 a) and REQ-5 a): without a session it must not pass.
    fn an_error_that_quotes_no_session_is_dropped<A>() {
        let mut lab = Lab::<A>::new(config(|_| ()));
        let public = lab.udp_out(TENANT_A, "10.0.0.1:5000", "198.51.100.1:53");
        let unmatched = Some(DropReason::IcmpErrorUnmatched);
        let to = public.ip().to_string();
        let other = Build::udp(&public.to_string(), "198.51.100.1:54").packet();
        let out = lab.send(WORLD, &Build::icmp_error("192.0.2.254", &to, 11, 0, &other));
        assert_eq!(out.dropped(), unmatched);
        // The right quote, sent to another of our addresses than the one it came from.
        let quote = Build::udp(&public.to_string(), "198.51.100.1:53").packet();
        let elsewhere = if to == "203.0.113.1" { "203.0.113.2" } else { "203.0.113.1" };
        let out = lab.send(WORLD, &Build::icmp_error("192.0.2.254", elsewhere, 11, 0, &quote));
        assert_eq!(out.dropped(), unmatched);
        let private = Build::udp("198.51.100.1:53", "10.0.0.99:5000").packet();
        let out = lab.send(TENANT_A, &Build::icmp_error("10.0.0.99", "198.51.100.1", 3, 3, &private));
        assert_eq!(out.dropped(), unmatched);
        // Errors among others are none of ours.
        let foreign = Build::udp("198.51.100.2:53", "198.51.100.1:5000").packet();
        let out = lab.send(WORLD, &Build::icmp_error("198.51.100.1", "198.51.100.2", 3, 3, &foreign));
        assert_eq!(out.untouched(), Some(UntouchedReason::NoPeering));
    }

    /// REQ-6: errors do not prolong a session.
    fn errors_do_not_keep_a_session_alive<A>() {
        let mut lab = Lab::<A>::new(config(|behaviour| behaviour.inbound_refresh = true));
        let out = lab.send(TENANT_A, &Build::udp("10.0.0.1:5000", "198.51.100.1:53"));
        let to = out.source().ip().to_string();
        let error = Build::icmp_error("192.0.2.254", &to, 3, 1, &out.frame[14..]);
        for _ in 0..2 {
            lab.pass(140);
            lab.send(WORLD, &error).translated();
        }
        lab.pass(30);
        assert_eq!(lab.send(WORLD, &error).dropped(), Some(DropReason::IcmpErrorUnmatched));
        assert_eq!(lab.nat.stats().sessions_created, 1);
    }

    /// Where the destination is translated too, an error shows the inside nothing but what it knows.
    fn errors_about_translated_destinations_read_as_the_inside_knows_them<A>() {
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
        let sent = Build::udp("10.0.0.1:5000", "172.16.9.7:53");
        let out = lab.send(TENANT_A, &sent);
        let public = out.source().ip().to_string();
        for (from, seen) in [("198.51.100.7", "172.16.9.7"), ("192.0.2.9", "192.0.2.9")] {
            let error = Build::icmp_error(from, &public, 3, 3, &out.frame[14..]);
            let plain = Build::icmp_error(seen, "10.0.0.1", 3, 3, &sent.packet());
            assert_eq!(lab.send(WORLD, &error).frame, plain.frame());
        }
        // And outwards: an error of the inside host about an answer.
        let answer = Build::udp("198.51.100.7:53", &out.source().to_string());
        let got = lab.send(WORLD, &answer).frame[14..].to_vec();
        let error = Build::icmp_error("10.0.0.1", "172.16.9.7", 3, 3, &got);
        let plain = Build::icmp_error(&public, "198.51.100.7", 3, 3, &answer.packet());
        assert_eq!(lab.send(TENANT_A, &error).frame, plain.frame());
    }
}
