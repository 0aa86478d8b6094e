//! Dissection of ICMP and ICMPv6: queries, errors and what they quote.

use super::{INSIDE, INSIDE6, OUTSIDE, OUTSIDE6, ethernet, ip};
use crate::packet::testing::Build;
use crate::packet::*;

#[test]
fn icmp_queries_of_every_kind() {
    use IcmpQueryKind::*;
    let (a, b) = (ip("10.0.0.1"), ip("203.0.113.9"));
    for (kind, query, is_request) in [
        (8, Echo, true),
        (0, Echo, false),
        (13, Timestamp, true),
        (14, Timestamp, false),
        (15, Information, true),
        (16, Information, false),
        (17, AddressMask, true),
        (18, AddressMask, false),
    ] {
        let view = ethernet(&Build::icmp(a, b, kind, 0, [0xab, 0xcd, 0, 1])).unwrap();
        let expected = Transport::IcmpQuery {
            identifier: 0xabcd,
            is_request,
            kind: query,
        };
        assert_eq!(view.transport(), expected);
        assert_eq!(view.protocol(), 1);
    }
    for (build, is_request) in [
        (Build::echo_request("fd00::1", "2001:db8::9", 7, 1), true),
        (Build::echo_reply("fd00::1", "2001:db8::9", 7, 1), false),
    ] {
        let view = ethernet(&build).unwrap();
        let expected = Transport::IcmpQuery {
            identifier: 7,
            is_request,
            kind: Echo,
        };
        assert_eq!((view.transport(), view.protocol()), (expected, 58));
    }
}

#[test]
fn other_icmp_messages_are_named_by_type() {
    // Redirect, router solicitation; neighbour solicitation, MLD report.
    for kind in [5, 10] {
        let build = Build::icmp(ip("10.0.0.1"), ip("10.0.0.2"), kind, 0, [0; 4]);
        assert_eq!(
            ethernet(&build).unwrap().transport(),
            Transport::IcmpOther { kind }
        );
    }
    for kind in [135, 143] {
        let build = Build::icmp(ip("fe80::1"), ip("ff02::1"), kind, 0, [0; 4]);
        assert_eq!(
            ethernet(&build).unwrap().transport(),
            Transport::IcmpOther { kind }
        );
    }
}

#[test]
fn icmp_of_the_other_version_is_just_a_protocol() {
    let build = Build::raw(
        ip("10.0.0.1"),
        ip("10.0.0.2"),
        58,
        &[128, 0, 0, 0, 0, 0, 0, 0],
    );
    assert_eq!(ethernet(&build).unwrap().transport(), Transport::Other(58));
    let build = Build::raw(ip("fd00::1"), ip("fd00::2"), 1, &[8, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(ethernet(&build).unwrap().transport(), Transport::Other(1));
}

fn quoted(view: &View) -> Quoted {
    match view.transport() {
        Transport::IcmpError { quoted, .. } => quoted,
        other => panic!("{other:?}"),
    }
}

#[test]
fn errors_show_the_packet_they_quote() {
    use IcmpErrorKind::*;
    let udp = Build::udp("198.51.100.1:5000", "203.0.113.9:53")
        .payload(b"abc")
        .packet();
    for (kind, expected) in [
        (3, Unreachable),
        (4, SourceQuench),
        (11, TimeExceeded),
        (12, ParameterProblem),
    ] {
        let build = Build::icmp_error("192.0.2.1", "198.51.100.1", kind, 1, &udp);
        let view = ethernet(&build).unwrap();
        assert!(matches!(view.transport(), Transport::IcmpError { kind, .. } if kind == expected));
        let quoted = quoted(&view);
        assert_eq!(
            (quoted.source(), quoted.destination()),
            (ip("198.51.100.1"), ip("203.0.113.9"))
        );
        assert_eq!(
            (quoted.network_offset(), quoted.transport_offset()),
            (42, 62)
        );
        assert_eq!((quoted.end(), quoted.is_cut()), (view.end(), false));
        assert_eq!(
            quoted.transport(),
            QuotedTransport::Udp {
                source: 5000,
                destination: 53,
                checksum_quoted: true
            }
        );
    }
    let tcp6 = Build::tcp(INSIDE6, OUTSIDE6).packet();
    for (kind, expected) in [
        (1, Unreachable),
        (2, PacketTooBig),
        (3, TimeExceeded),
        (4, ParameterProblem),
    ] {
        let build = Build::icmp_error("2001:db8::1", "fd00::1", kind, 0, &tcp6);
        let view = ethernet(&build).unwrap();
        assert!(matches!(view.transport(), Transport::IcmpError { kind, .. } if kind == expected));
        assert_eq!(
            quoted(&view).transport(),
            QuotedTransport::Tcp {
                source: 40000,
                destination: 443,
                checksum_quoted: true
            }
        );
    }
}

#[test]
fn eight_quoted_bytes_are_enough() {
    let error = |packet: &[u8]| {
        let quote = &packet[..28];
        ethernet(&Build::icmp_error("192.0.2.1", "10.0.0.1", 3, 3, quote)).unwrap()
    };
    let view = error(&Build::tcp(INSIDE, OUTSIDE).packet());
    assert!(quoted(&view).is_cut());
    assert_eq!(
        quoted(&view).transport(),
        QuotedTransport::Tcp {
            source: 40000,
            destination: 443,
            checksum_quoted: false
        }
    );
    let view = error(&Build::udp(INSIDE, OUTSIDE).payload(&[1; 99]).packet());
    assert_eq!(
        quoted(&view).transport(),
        QuotedTransport::Udp {
            source: 40000,
            destination: 443,
            checksum_quoted: true
        }
    );
    let view = error(&Build::udp(INSIDE, OUTSIDE).checksum(0).packet());
    assert_eq!(
        quoted(&view).transport(),
        QuotedTransport::Udp {
            source: 40000,
            destination: 443,
            checksum_quoted: false
        }
    );
    let view = error(
        &Build::echo_request("10.0.0.1", "203.0.113.9", 77, 1)
            .payload(&[1; 9])
            .packet(),
    );
    assert_eq!(
        quoted(&view).transport(),
        QuotedTransport::IcmpQuery {
            identifier: 77,
            is_request: true,
            kind: IcmpQueryKind::Echo
        }
    );
}

#[test]
fn a_quoted_later_fragment_has_no_ports() {
    let fragments = Build::udp(INSIDE, OUTSIDE)
        .payload(&[1; 64])
        .id(5)
        .fragments(32);
    let view = ethernet(&Build::icmp_error(
        "192.0.2.1",
        "10.0.0.1",
        11,
        1,
        &fragments[1][14..],
    ))
    .unwrap();
    assert_eq!(
        quoted(&view).transport(),
        QuotedTransport::LaterFragment { protocol: 17 }
    );
    assert_eq!(
        quoted(&view).fragment(),
        Some(Fragment {
            id: 5,
            offset_bytes: 32,
            more: true
        })
    );
}

#[test]
fn a_quote_without_ports_is_a_bad_quote() {
    let packet = Build::udp(INSIDE, OUTSIDE).packet();
    for length in [0, 1, 19, 20, 23] {
        let build = Build::icmp_error("192.0.2.1", "10.0.0.1", 3, 3, &packet[..length]);
        assert_eq!(ethernet(&build), Err(Skip::BadQuote), "{length} bytes");
    }
    let other = Build::udp(INSIDE6, OUTSIDE6).packet();
    let build = Build::icmp_error("192.0.2.1", "10.0.0.1", 3, 3, &other);
    assert_eq!(ethernet(&build), Err(Skip::BadQuote));
}

/// Some stacks store another value in the total length before they quote it.
#[test]
fn a_quoted_total_length_below_the_header_is_overlooked() {
    let mut packet = Build::udp(INSIDE, OUTSIDE).packet();
    packet[2..4].copy_from_slice(&8u16.to_be_bytes());
    let view = ethernet(&Build::icmp_error("192.0.2.1", "10.0.0.1", 3, 3, &packet)).unwrap();
    assert!(matches!(
        quoted(&view).transport(),
        QuotedTransport::Udp { source: 40000, .. }
    ));
}
