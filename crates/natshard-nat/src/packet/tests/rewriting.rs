//! What an edit writes.

use super::{edited, end, ip, to, view_of};
use crate::packet::checksum::{ChecksumState, Verdict, verify};
use crate::packet::testing::Build;
use crate::packet::*;

#[test]
fn an_edit_writes_what_a_sender_with_that_address_would_have_sent() {
    for (before, after, edit) in [
        (
            Build::tcp("10.0.0.1:40000", "203.0.113.9:443").payload(b"GET /"),
            Build::tcp("198.51.100.7:1024", "203.0.113.9:443").payload(b"GET /"),
            to(end("198.51.100.7", 1024), None),
        ),
        (
            Build::udp("203.0.113.9:53", "198.51.100.7:1024")
                .payload(b"odd")
                .vlan(4)
                .pppoe(1),
            Build::udp("203.0.113.9:53", "10.0.0.1:40000")
                .payload(b"odd")
                .vlan(4)
                .pppoe(1),
            to(None, end("10.0.0.1", 40000)),
        ),
        (
            Build::tcp("[fd00::1]:9", "[2001:db8::9]:443").extension(60, &[0; 8]),
            Build::tcp("[2001:db8:ffff::ffff]:0", "[fd00::2]:65535").extension(60, &[0; 8]),
            to(end("2001:db8:ffff::ffff", 0), end("fd00::2", 65535)),
        ),
        (
            Build::echo_request("10.0.0.1", "203.0.113.9", 7, 1).payload(b"ping"),
            Build::echo_request("198.51.100.7", "203.0.113.9", 65535, 1).payload(b"ping"),
            to(end("198.51.100.7", 65535), None),
        ),
        (
            Build::echo_reply("2001:db8::9", "2001:db8::1", 7, 1),
            Build::echo_reply("2001:db8::9", "fd00::1", 0, 1),
            to(None, end("fd00::1", 0)),
        ),
        (
            Build::raw(ip("10.0.0.1"), ip("203.0.113.9"), 47, &[0; 12]),
            Build::raw(ip("198.51.100.7"), ip("203.0.113.9"), 47, &[0; 12]),
            to(end("198.51.100.7", None), None),
        ),
        (
            Build::icmp(ip("fd00::1"), ip("fd00::9"), 135, 0, [0; 4]),
            Build::icmp(ip("fd00::2"), ip("fd00::9"), 135, 0, [0; 4]),
            to(end("fd00::2", None), None),
        ),
    ] {
        let mut frame = before.trailer(&[0xee; 7]).frame();
        edited(&mut frame, &edit).unwrap();
        assert_eq!(frame, after.trailer(&[0xee; 7]).frame());
    }
}

#[test]
fn fragments_of_a_translated_datagram_are_fragments_of_the_translation() {
    for (before, after, address) in [
        (
            Build::udp("10.0.0.1:40000", "203.0.113.9:53").payload(&[3; 90]),
            Build::udp("198.51.100.7:1024", "203.0.113.9:53").payload(&[3; 90]),
            "198.51.100.7",
        ),
        (
            Build::tcp("[fd00::1]:40000", "[2001:db8::9]:53").payload(&[3; 90]),
            Build::tcp("[2001:db8::1]:1024", "[2001:db8::9]:53").payload(&[3; 90]),
            "2001:db8::1",
        ),
    ] {
        for (index, (mut frame, expected)) in before
            .fragments(40)
            .into_iter()
            .zip(after.fragments(40))
            .enumerate()
        {
            let port = (index == 0).then_some(1024);
            edited(&mut frame, &to(end(address, port), None)).unwrap();
            assert_eq!(frame, expected);
        }
    }
}

#[test]
fn the_hop_limit_is_decremented_and_never_to_zero() {
    let edit = Edit {
        hop_limit: HopLimit::Decrement,
        ..Edit::default()
    };
    for build in [
        Build::udp("10.0.0.1:1", "203.0.113.9:2"),
        Build::udp("[fd00::1]:1", "[2001:db8::9]:2"),
        // No endpoint changes, so any protocol will do.
        Build::raw(ip("10.0.0.1"), ip("203.0.113.9"), 51, &[0; 12]),
    ] {
        let mut frame = build.clone().hop_limit(2).frame();
        edited(&mut frame, &edit).unwrap();
        assert_eq!(frame, build.clone().hop_limit(1).frame());
        for hop_limit in [0, 1] {
            let mut frame = build.clone().hop_limit(hop_limit).frame();
            let before = frame.clone();
            assert_eq!(edited(&mut frame, &edit), Err(EditError::HopLimitExceeded));
            assert_eq!(frame, before);
        }
    }
}

#[test]
fn an_error_and_its_quote_are_translated_together() {
    // An outside router answers a translated packet; the error goes on to the inside host.
    let quote = |source: &str| {
        Build::udp(source, "203.0.113.9:53")
            .payload(b"query")
            .packet()
    };
    let error = |to: &str, quote: &[u8]| Build::icmp_error("192.0.2.1", to, 11, 0, quote).frame();
    let mut frame = error("198.51.100.7", &quote("198.51.100.7:1024"));
    let view = view_of(&frame);
    let outer = to(None, end("10.0.0.1", None));
    let quoted = to(end("10.0.0.1", 40000), None);
    apply_quoted(&mut frame, &view, &outer, &quoted).unwrap();
    assert_eq!(frame, error("10.0.0.1", &quote("10.0.0.1:40000")));
    assert_eq!(
        verify(&frame, &view_of(&frame)),
        ChecksumState {
            ip: Verdict::Right,
            transport: Verdict::Right,
            quoted_ip: Verdict::Right,
            quoted_transport: Verdict::Right,
        }
    );

    let quote = |source: &str| {
        Build::tcp(source, "[2001:db8::9]:53")
            .payload(&[5; 64])
            .packet()
    };
    let error = |to: &str, quote: &[u8]| Build::icmp_error("2001:db8::1", to, 2, 0, quote).frame();
    let mut frame = error("2001:db8::7", &quote("[2001:db8::7]:1024"));
    let view = view_of(&frame);
    let edit = Edit {
        hop_limit: HopLimit::Decrement,
        ..to(None, end("fd00::1", None))
    };
    apply_quoted(&mut frame, &view, &edit, &to(end("fd00::1", 40000), None)).unwrap();
    let mut expected = error("fd00::1", &quote("[fd00::1]:40000"));
    expected[21] -= 1;
    assert_eq!(frame, expected);
}

#[test]
fn a_quote_that_ends_before_the_checksum_keeps_the_icmp_checksum_right() {
    let quote = |source: &str| Build::tcp(source, "203.0.113.9:80").packet()[..28].to_vec();
    let error = |to: &str, quote: &[u8]| Build::icmp_error("192.0.2.1", to, 3, 1, quote).frame();
    let mut frame = error("198.51.100.7", &quote("198.51.100.7:1024"));
    let view = view_of(&frame);
    let quoted = to(end("10.0.0.1", 40000), None);
    apply_quoted(&mut frame, &view, &to(None, end("10.0.0.1", None)), &quoted).unwrap();
    assert_eq!(frame, error("10.0.0.1", &quote("10.0.0.1:40000")));
    assert_eq!(
        verify(&frame, &view_of(&frame)).quoted_transport,
        Verdict::Unverifiable
    );
}

#[test]
fn a_quoted_query_is_translated_by_its_identifier() {
    let quote = |source: &str, id| Build::echo_request(source, "203.0.113.9", id, 3).packet();
    let error = |to: &str, quote: &[u8]| Build::icmp_error("192.0.2.1", to, 11, 0, quote).frame();
    let mut frame = error("198.51.100.7", &quote("198.51.100.7", 1024));
    let view = view_of(&frame);
    let quoted = to(end("10.0.0.1", 7), None);
    apply_quoted(&mut frame, &view, &to(None, end("10.0.0.1", None)), &quoted).unwrap();
    assert_eq!(frame, error("10.0.0.1", &quote("10.0.0.1", 7)));
}

#[test]
fn setters_write_and_keep_the_view_in_step() {
    let mut frame = Build::tcp("10.0.0.1:40000", "203.0.113.9:443").frame();
    let mut view = view_of(&frame);
    view.set_source(&mut frame, ip("198.51.100.7")).unwrap();
    view.set_source_port(&mut frame, 22).unwrap();
    view.set_destination(&mut frame, ip("192.0.2.2")).unwrap();
    view.set_destination_port(&mut frame, 0).unwrap();
    assert_eq!(frame, Build::tcp("198.51.100.7:22", "192.0.2.2:0").frame());
    assert_eq!(view, view_of(&frame));

    let mut frame = Build::echo_request("10.0.0.1", "203.0.113.9", 1, 1).frame();
    let mut view = view_of(&frame);
    view.set_source_port(&mut frame, 0).unwrap();
    assert_eq!(view, view_of(&frame));
    view.set_destination_port(&mut frame, 9).unwrap();
    assert_eq!(view, view_of(&frame));
    assert_eq!(
        frame,
        Build::echo_request("10.0.0.1", "203.0.113.9", 9, 1).frame()
    );
}

#[test]
fn refused_edits_change_nothing() {
    let udp = Build::udp("10.0.0.1:1", "203.0.113.9:2");
    let query = Build::echo_request("10.0.0.1", "203.0.113.9", 1, 1);
    let gre = Build::raw(ip("10.0.0.1"), ip("203.0.113.9"), 47, &[0; 12]);
    let signed = Build::raw(ip("10.0.0.1"), ip("203.0.113.9"), 51, &[0; 12]);
    let error = Build::icmp_error("10.0.0.1", "203.0.113.9", 3, 1, &udp.packet());
    for (build, edit, expected) in [
        (
            &udp,
            to(end("198.51.100.7", 5), end("fd00::1", 5)),
            EditError::WrongFamily {
                address: ip("fd00::1"),
                family: Family::V4,
            },
        ),
        (
            &query,
            to(end("198.51.100.7", 5), end("192.0.2.1", 6)),
            EditError::TwoIdentifiers {
                source_port: 5,
                destination_port: 6,
            },
        ),
        (&gre, to(end("198.51.100.7", 5), None), EditError::NoPort),
        (&error, to(end("198.51.100.7", 5), None), EditError::NoPort),
        (
            &signed,
            to(end("198.51.100.7", None), None),
            EditError::UnsupportedProtocol(51),
        ),
    ] {
        let mut frame = build.frame();
        assert_eq!(edited(&mut frame, &edit), Err(expected));
        assert_eq!(frame, build.frame());
    }

    let mut frame = udp.frame();
    let view = view_of(&frame);
    let none = Edit::default();
    assert_eq!(
        apply_quoted(&mut frame, &view, &none, &none),
        Err(EditError::NotAnError)
    );
    let last = frame.len() - 1;
    assert_eq!(
        apply(&mut frame[..last], &view, &none),
        Err(EditError::StaleView)
    );

    let mut frame = error.frame();
    let view = view_of(&frame);
    let hop = Edit {
        hop_limit: HopLimit::Decrement,
        ..none
    };
    assert_eq!(
        apply_quoted(&mut frame, &view, &none, &hop),
        Err(EditError::QuotedHopLimit)
    );
    let last = frame.len() - 1;
    assert_eq!(
        apply_quoted(&mut frame[..last], &view, &none, &none),
        Err(EditError::StaleView)
    );
    let port = to(end("10.0.0.1", 5), None);
    assert_eq!(
        apply_quoted(&mut frame, &view, &port, &none),
        Err(EditError::NoPort)
    );
    assert_eq!(frame, error.frame());
    let mut view6 = view;
    assert!(view6.set_source(&mut frame, ip("fd00::1")).is_err());
    assert_eq!(view6, view);
    assert_eq!(
        EditError::WrongFamily {
            address: ip("fd00::1"),
            family: Family::V4
        }
        .to_string(),
        "fd00::1 cannot stand in an IPv4 packet"
    );
}

#[test]
fn the_same_identifier_for_both_ends_of_a_query_is_fine() {
    let mut frame = Build::echo_request("10.0.0.1", "203.0.113.9", 1, 1).frame();
    edited(&mut frame, &to(end("10.0.0.2", 5), end("192.0.2.1", 5))).unwrap();
    assert_eq!(
        frame,
        Build::echo_request("10.0.0.2", "192.0.2.1", 5, 1).frame()
    );
}
