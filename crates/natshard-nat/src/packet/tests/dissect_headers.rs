//! Dissection of IP and transport headers: whole, in fragments, cut, and malformed.

use super::{INSIDE, INSIDE6, OUTSIDE, OUTSIDE6, ethernet, ip};
use crate::packet::testing::Build;
use crate::packet::*;

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
fn an_atomic_header_behind_a_fragment_header_does_not_make_the_datagram_whole() {
    let build = Build::udp(INSIDE6, OUTSIDE6)
        .extension(44, &[0, 0, 0, 1, 0, 0, 0, 9])
        .extension(44, &[0, 0, 0, 0, 0, 0, 0, 8]);
    let fragment = Fragment {
        id: 9,
        offset_bytes: 0,
        more: true,
    };
    assert_eq!(ethernet(&build).unwrap().fragment(), Some(fragment));
}

#[test]
fn reserved_bits_are_not_part_of_the_fragment_offset() {
    let build = Build::udp(INSIDE6, OUTSIDE6).extension(44, &[0, 0xff, 0, 6, 0, 0, 0, 9]);
    assert_eq!(ethernet(&build).unwrap().fragment(), None);
    let mut frame = Build::udp(INSIDE, OUTSIDE).frame();
    frame[20] = 0xc0; // Reserved and "don't fragment".
    assert_eq!(dissect(Link::Ethernet, &frame).unwrap().fragment(), None);
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
    for (option, pointer, pending) in [
        (131, 4, true),
        (137, 4, true),
        (131, 7, true),
        (131, 8, false),
    ] {
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
