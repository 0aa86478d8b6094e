//! What a frame is found to hold, and why not.

use std::net::IpAddr;

use crate::packet::testing::Build;
use crate::packet::*;

const INSIDE: &str = "10.0.0.1:40000";
const OUTSIDE: &str = "203.0.113.9:443";
const INSIDE6: &str = "[fd00::1]:40000";
const OUTSIDE6: &str = "[2001:db8::9]:443";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn ethernet(build: &Build) -> Result<View, Skip> {
    dissect(Link::Ethernet, &build.frame())
}

#[test]
fn tcp_over_ipv4() {
    let view = ethernet(
        &Build::tcp(INSIDE, OUTSIDE)
            .flags(TcpFlags::SYN | TcpFlags::ACK)
            .hop_limit(9),
    )
    .unwrap();
    assert_eq!(view.family(), Family::V4);
    assert_eq!(view.source(), ip("10.0.0.1"));
    assert_eq!(view.destination(), ip("203.0.113.9"));
    assert_eq!((view.hop_limit(), view.protocol()), (9, 6));
    assert_eq!(
        (view.network_offset(), view.transport_offset(), view.end()),
        (14, 34, 54)
    );
    assert!(!view.is_cut());
    let Transport::Tcp {
        source,
        destination,
        flags,
    } = view.transport()
    else {
        panic!("{view:?}");
    };
    assert_eq!((source, destination), (40000, 443));
    assert_eq!(
        (flags.syn(), flags.ack(), flags.fin(), flags.rst()),
        (true, true, false, false)
    );
}

#[test]
fn udp_over_ipv6_behind_extension_headers() {
    let build = Build::udp(INSIDE6, OUTSIDE6)
        .extension(0, &[0, 0, 5, 2, 0, 0, 1, 0])
        .extension(43, &[0, 0, 4, 0, 0, 0, 0, 0])
        .extension(60, &[0, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let view = ethernet(&build).unwrap();
    assert_eq!(
        (view.source(), view.destination()),
        (ip("fd00::1"), ip("2001:db8::9"))
    );
    assert_eq!(
        (view.network_offset(), view.transport_offset()),
        (14, 14 + 40 + 8 + 8 + 16)
    );
    assert_eq!(
        view.transport(),
        Transport::Udp {
            source: 40000,
            destination: 443,
            has_checksum: true
        }
    );
}

#[test]
fn ipv4_options_move_the_transport_header() {
    let view = ethernet(&Build::tcp(INSIDE, OUTSIDE).options(&[148, 4, 0, 0])).unwrap();
    assert_eq!(view.transport_offset(), 14 + 24);
}

#[test]
fn vlan_stack_and_pppoe() {
    let plain = Build::udp(INSIDE, OUTSIDE).payload(b"x");
    for (build, offset) in [
        (plain.clone().vlan(5), 18),
        (plain.clone().vlan(5).vlan(6).vlan(7), 26),
        (plain.clone().pppoe(9), 22),
        (plain.clone().vlan(5).vlan(6).pppoe(9), 30),
        (Build::udp(INSIDE6, OUTSIDE6).vlan(5).pppoe(9), 26),
    ] {
        let view = ethernet(&build).unwrap();
        assert_eq!(view.network_offset(), offset);
        assert_eq!(view.protocol(), 17);
    }
    for tag in [[0x88, 0xa8], [0x91, 0x00]] {
        let mut frame = plain.clone().vlan(5).frame();
        frame[12..14].copy_from_slice(&tag);
        assert_eq!(
            dissect(Link::Ethernet, &frame).unwrap().network_offset(),
            18
        );
    }
}

#[test]
fn pppoe_length_ends_the_packet_before_the_trailer() {
    let mut frame = Build::udp(INSIDE, OUTSIDE)
        .pppoe(9)
        .trailer(&[7; 20])
        .frame();
    // An open total length would run to the end of the frame without it.
    frame[22 + 2..22 + 4].fill(0);
    assert_eq!(
        dissect(Link::Ethernet, &frame).unwrap().end(),
        frame.len() - 20
    );
}

#[test]
fn every_link_type_leads_to_the_same_packet() {
    let packet = Build::tcp(INSIDE, OUTSIDE).packet();
    let packet6 = Build::tcp(INSIDE6, OUTSIDE6).packet();
    let behind = |header: &[u8], packet: &[u8]| [header, packet].concat();
    let mut cooked = [0u8; 16];
    cooked[14] = 0x08;
    let mut cooked2 = [0u8; 20];
    cooked2[0] = 0x08;
    let mut frames = vec![
        (Link::RawIp, packet.clone(), 0),
        (Link::RawIp, packet6.clone(), 0),
        (Link::LinuxCooked, behind(&cooked, &packet), 16),
        (Link::LinuxCooked2, behind(&cooked2, &packet), 20),
    ];
    for family in [24u32, 28, 30, 10] {
        frames.push((Link::Loopback, behind(&family.to_be_bytes(), &packet6), 4));
        frames.push((Link::Loopback, behind(&family.to_le_bytes(), &packet6), 4));
    }
    frames.push((Link::Loopback, behind(&2u32.to_be_bytes(), &packet), 4));
    frames.push((Link::Loopback, behind(&2u32.to_le_bytes(), &packet), 4));
    for (link, frame, offset) in frames {
        let view = dissect(link, &frame).unwrap();
        assert_eq!(view.network_offset(), offset);
        assert!(matches!(
            view.transport(),
            Transport::Tcp { source: 40000, .. }
        ));
        assert_eq!(view.end(), frame.len());
    }
    for (linktype, link) in [
        (1, Some(Link::Ethernet)),
        (101, Some(Link::RawIp)),
        (113, Some(Link::LinuxCooked)),
        (276, Some(Link::LinuxCooked2)),
        (0, Some(Link::Loopback)),
        (108, Some(Link::Loopback)),
        (127, None),
    ] {
        assert_eq!(Link::from_pcap(linktype), link);
    }
}

#[test]
fn trailers_are_not_part_of_the_packet() {
    let view = ethernet(&Build::udp(INSIDE, OUTSIDE).trailer(&[1; 18])).unwrap();
    assert_eq!(view.end(), 14 + 28);
    let view = ethernet(&Build::udp(INSIDE6, OUTSIDE6).trailer(&[1; 18])).unwrap();
    assert_eq!(view.end(), 14 + 48);
}

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

#[test]
fn fragments_are_told_apart() {
    let build = Build::udp(INSIDE, OUTSIDE).payload(&[1; 92]).id(0xbeef);
    let frames = build.fragments(40);
    let views: Vec<View> = frames
        .iter()
        .map(|frame| dissect(Link::Ethernet, frame).unwrap())
        .collect();
    assert_eq!(views.len(), 3);
    let offsets = [(0, true), (40, true), (80, false)];
    for (view, (offset_bytes, more)) in views.iter().zip(offsets) {
        assert_eq!(
            view.fragment(),
            Some(Fragment {
                id: 0xbeef,
                offset_bytes,
                more
            })
        );
        assert_eq!(view.protocol(), 17);
    }
    assert!(matches!(
        views[0].transport(),
        Transport::Udp { source: 40000, .. }
    ));
    assert_eq!(
        views[1].transport(),
        Transport::LaterFragment { protocol: 17 }
    );

    let build = Build::udp(INSIDE6, OUTSIDE6)
        .payload(&[1; 92])
        .id(0xdead_beef);
    let views: Vec<View> = (build.fragments(56).iter())
        .map(|frame| dissect(Link::Ethernet, frame).unwrap())
        .collect();
    assert_eq!(views.len(), 2);
    assert_eq!(
        views[1].fragment(),
        Some(Fragment {
            id: 0xdead_beef,
            offset_bytes: 56,
            more: false
        })
    );
    assert_eq!(
        views[1].transport(),
        Transport::LaterFragment { protocol: 17 }
    );
}

#[test]
fn an_atomic_fragment_is_a_whole_datagram() {
    let view = ethernet(&Build::udp(INSIDE6, OUTSIDE6).extension(44, &[0, 0, 0, 0, 0, 0, 0, 9]));
    assert_eq!(view.unwrap().fragment(), None);
}

#[test]
fn what_follows_a_later_fragments_header_is_not_walked() {
    // The fragment says that destination options follow; what follows is data.
    let mut build = Build::raw(ip("fd00::1"), ip("fd00::2"), 60, &[0xff; 16]);
    build = build.extension(44, &[0, 0, 0, 8, 0, 0, 0, 9]);
    assert_eq!(
        ethernet(&build).unwrap().transport(),
        Transport::LaterFragment { protocol: 60 }
    );
}

#[test]
fn tunnels_and_authentication_headers_are_other_protocols() {
    let inner = Build::udp(INSIDE, OUTSIDE).packet();
    let (a, b) = (ip("10.0.0.1"), ip("203.0.113.9"));
    for protocol in [4, 41, 47, 50, 51, 132, 59] {
        let view = ethernet(&Build::raw(a, b, protocol, &inner)).unwrap();
        assert_eq!(view.transport(), Transport::Other(protocol));
        assert_eq!(view.source(), a);
    }
    let build = Build::raw(ip("fd00::1"), ip("fd00::2"), 51, &[17, 4, 0, 0, 0, 0, 0, 0]);
    assert_eq!(ethernet(&build).unwrap().transport(), Transport::Other(51));
}

#[test]
fn a_capture_cut_in_the_payload_still_has_a_view() {
    let mut frame = Build::tcp(INSIDE, OUTSIDE).payload(&[9; 100]).frame();
    frame.truncate(54);
    let view = dissect(Link::Ethernet, &frame).unwrap();
    assert!(view.is_cut());
    assert_eq!(view.end(), 54);
    frame.truncate(53);
    assert_eq!(
        dissect(Link::Ethernet, &frame),
        Err(Skip::TruncatedTransport)
    );
}

#[test]
fn a_zero_length_means_to_the_end_of_the_frame() {
    let mut frame = Build::tcp(INSIDE, OUTSIDE).payload(&[9; 100]).frame();
    frame[16..18].fill(0);
    let view = dissect(Link::Ethernet, &frame).unwrap();
    assert_eq!((view.end(), view.is_cut()), (frame.len(), false));
    let mut frame = Build::tcp(INSIDE6, OUTSIDE6).payload(&[9; 100]).frame();
    frame[18..20].fill(0);
    assert_eq!(dissect(Link::Ethernet, &frame).unwrap().end(), frame.len());
    let mut jumbo = Build::udp(INSIDE6, OUTSIDE6)
        .extension(0, &[0, 0, 194, 4, 0, 1, 0, 0])
        .frame();
    jumbo[18..20].fill(0);
    jumbo[66..68].fill(0);
    assert!(matches!(
        dissect(Link::Ethernet, &jumbo).unwrap().transport(),
        Transport::Udp { source: 40000, .. }
    ));
}

#[test]
fn every_cut_inside_the_headers_is_named() {
    let frame = Build::udp(INSIDE, OUTSIDE).vlan(3).frame();
    for length in 0..frame.len() {
        let expected = match length {
            0..18 => Skip::TruncatedLink,
            18..38 => Skip::TruncatedIp,
            _ => Skip::TruncatedTransport,
        };
        assert_eq!(
            dissect(Link::Ethernet, &frame[..length]),
            Err(expected),
            "{length} bytes"
        );
    }
    let frame = Build::udp(INSIDE6, OUTSIDE6)
        .extension(60, &[0; 8])
        .pppoe(3)
        .frame();
    for length in 0..frame.len() {
        let expected = match length {
            0..22 => Skip::TruncatedLink,
            22..70 => Skip::TruncatedIp,
            _ => Skip::TruncatedTransport,
        };
        assert_eq!(
            dissect(Link::Ethernet, &frame[..length]),
            Err(expected),
            "{length} bytes"
        );
    }
}

#[test]
fn malformed_headers_are_named() {
    let base = Build::tcp(INSIDE, OUTSIDE).frame();
    let with = |at: usize, byte: u8| {
        let mut frame = base.clone();
        frame[at] = byte;
        dissect(Link::Ethernet, &frame)
    };
    assert_eq!(with(14, 0x65), Err(Skip::BadIpVersion(6)));
    assert_eq!(with(14, 0x44), Err(Skip::BadHeaderLength));
    assert_eq!(with(14, 0x4f), Err(Skip::TruncatedIp));
    assert_eq!(with(17, 19), Err(Skip::BadTotalLength));
    assert_eq!(with(17, 39), Err(Skip::TruncatedTransport));
    assert_eq!(with(46, 0x40), Err(Skip::BadTransportLength));
    assert_eq!(with(46, 0x60), Err(Skip::BadTransportLength));
    let mut frame = Build::udp(INSIDE, OUTSIDE).frame();
    frame[39] = 7;
    assert_eq!(
        dissect(Link::Ethernet, &frame),
        Err(Skip::BadTransportLength)
    );
    frame[39] = 9;
    assert_eq!(
        dissect(Link::Ethernet, &frame),
        Err(Skip::BadTransportLength)
    );
    assert_eq!(
        dissect(Link::RawIp, &[0x50; 40]),
        Err(Skip::BadIpVersion(5))
    );
    assert_eq!(dissect(Link::RawIp, &[]), Err(Skip::TruncatedIp));
}

#[test]
fn pending_source_routes_are_refused() {
    // Loose and strict route, one address, pointer at it (4) and behind it (8); behind a no-op.
    for (option, pointer, pending) in [(131, 4, true), (137, 4, true), (131, 8, false)] {
        let options = [1, option, 7, pointer, 192, 0, 2, 1];
        let found = ethernet(&Build::tcp(INSIDE, OUTSIDE).options(&options));
        assert_eq!(
            found == Err(Skip::SourceRouted),
            pending,
            "{option} {pointer}"
        );
    }
    let mut route = [0u8; 24];
    (route[1], route[3]) = (2, 1);
    let build = Build::tcp(INSIDE6, OUTSIDE6).extension(43, &route);
    assert_eq!(ethernet(&build), Err(Skip::SourceRouted));
}

#[test]
fn extension_headers_are_walked_up_to_a_limit() {
    let chain = |length| {
        (0..length).fold(Build::udp(INSIDE6, OUTSIDE6), |build, _| {
            build.extension(60, &[0; 8])
        })
    };
    assert!(ethernet(&chain(16)).is_ok());
    assert_eq!(ethernet(&chain(17)), Err(Skip::TooManyExtensions));
}

#[test]
fn foreign_frames_are_named() {
    let frame = |ethertype: u16| {
        let mut frame = vec![0; 60];
        frame[12..14].copy_from_slice(&ethertype.to_be_bytes());
        dissect(Link::Ethernet, &frame).unwrap_err()
    };
    for (ethertype, text) in [
        (0x0806, "not IP: ARP"),
        (0x0026, "not IP: IEEE 802.3 frame of 38 bytes"),
        (0x1234, "not IP: ethertype 0x1234"),
        (0x8864, "not IP: PPPoE session without data"),
    ] {
        assert_eq!(frame(ethertype), Skip::NotIp(Payload::Ethertype(ethertype)));
        assert_eq!(frame(ethertype).to_string(), text);
        assert_eq!(frame(ethertype).name(), "not_ip");
    }
    let mut lcp = Build::udp(INSIDE, OUTSIDE).pppoe(1).frame();
    lcp[20..22].copy_from_slice(&[0xc0, 0x21]);
    assert_eq!(
        dissect(Link::Ethernet, &lcp),
        Err(Skip::NotIp(Payload::Ppp(0xc021)))
    );
    assert_eq!(
        dissect(Link::Loopback, &[0, 0, 0, 7, 0, 0]),
        Err(Skip::NotIp(Payload::Family(7)))
    );
}
