//! Translation over every value of a checksum field, the two zeros above all.

use super::{edited, end, to, view_of};
use crate::packet::checksum::{Verdict, verify};
use crate::packet::testing::Build;
use crate::packet::*;

#[test]
fn a_udp_zero_checksum_stays_zero() {
    for (source, destination, address) in [
        ("10.0.0.1:1", "203.0.113.9:2", "198.51.100.7"),
        ("[fd00::1]:1", "[2001:db8::9]:2", "2001:db8::7"),
    ] {
        let mut frame = Build::udp(source, destination).checksum(0).frame();
        let view = edited(&mut frame, &to(end(address, 1024), None)).unwrap();
        assert_eq!(
            view.transport(),
            Transport::Udp {
                source: 1024,
                destination: 2,
                has_checksum: false
            }
        );
        assert_eq!(verify(&frame, &view).transport, Verdict::Absent);
    }
}

/// Every source port, so that the checksum passes through all values, zero among them.
#[test]
fn a_checksum_that_becomes_zero_is_written_as_the_protocol_asks() {
    for (build, at, zero) in [
        (Build::udp("10.0.0.1:1", "203.0.113.9:2"), 40, 0xffff),
        (Build::udp("[fd00::1]:1", "[2001:db8::9]:2"), 60, 0xffff),
        (Build::tcp("10.0.0.1:1", "203.0.113.9:2"), 50, 0x0000),
        (
            Build::echo_request("10.0.0.1", "203.0.113.9", 1, 1),
            36,
            0x0000,
        ),
    ] {
        let original = build.frame();
        let view = view_of(&original);
        let mut zeros = 0;
        for port in 0..=65535 {
            let mut frame = original.clone();
            let source = Some(Endpoint {
                address: view.source(),
                port: Some(port),
            });
            apply(&mut frame, &view, &to(source, None)).unwrap();
            let view = view_of(&frame);
            assert_eq!(
                verify(&frame, &view).transport,
                Verdict::Right,
                "port {port}"
            );
            let checksum = u16::from_be_bytes([frame[at], frame[at + 1]]);
            assert_ne!(checksum, !zero);
            zeros += u32::from(checksum == zero);
            let back = Some(Endpoint {
                address: view.source(),
                port: Some(1),
            });
            apply(&mut frame, &view, &to(back, None)).unwrap();
            assert_eq!(frame, original);
        }
        assert!((1..=2).contains(&zeros), "{zeros}");
    }
}

/// All zero but for the identifier: the sum of the message reaches 0x0000, whose complement is the
/// 0xffff that no other message has.
#[test]
fn an_echo_reply_of_nothing_but_zeros_is_translated_both_ways() {
    let zero = Build::echo_reply("203.0.113.9", "198.51.100.7", 0, 0).payload(&[0; 33]);
    for identifier in 0..=65535 {
        let other = Build::echo_reply("203.0.113.9", "10.0.0.1", identifier, 0).payload(&[0; 33]);
        let mut frame = zero.frame();
        edited(&mut frame, &to(None, end("10.0.0.1", identifier))).unwrap();
        assert_eq!(frame, other.frame());
        edited(&mut frame, &to(None, end("198.51.100.7", 0))).unwrap();
        assert_eq!(frame, zero.frame());
    }
}

/// Identifier and sequence number are zero, but the data are not: the sum is 0xffff, not 0x0000.
#[test]
fn an_echo_reply_with_data_is_not_all_zero() {
    let mut data = [0; 34];
    data[32..].fill(0xff);
    let reply = |to: &str, identifier| {
        Build::echo_reply("203.0.113.9", to, identifier, 0)
            .payload(&data)
            .frame()
    };
    for identifier in 0..=65535 {
        let mut frame = reply("198.51.100.7", 0);
        edited(&mut frame, &to(None, end("10.0.0.1", identifier))).unwrap();
        assert_eq!(frame, reply("10.0.0.1", identifier));
    }
}

/// Every value of every checksum field comes back, whatever the translation.
#[test]
fn every_checksum_value_survives_the_round_trip() {
    let zeros = Build::echo_reply("10.0.0.1", "203.0.113.9", 0, 0);
    for (build, at) in [
        (Build::tcp("10.0.0.1:1", "203.0.113.9:2"), 50),
        (Build::udp("10.0.0.1:1", "203.0.113.9:2"), 40),
        (Build::echo_request("10.0.0.1", "203.0.113.9", 1, 2), 36),
        (zeros, 36),
        (Build::tcp("10.0.0.1:1", "203.0.113.9:2"), 24),
    ] {
        let mut original = build.frame();
        for (address, port) in [
            ("10.0.0.1", 1),
            ("198.51.100.7", 61234),
            ("10.0.0.1", 0xffff),
        ] {
            for checksum in 0..=0xffffu16 {
                original[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
                let mut frame = original.clone();
                let before = view_of(&frame);
                let forth = Edit {
                    source: end(address, port),
                    ..Edit::default()
                };
                apply(&mut frame, &before, &forth).unwrap();
                let there = view_of(&frame);
                // Right stays right and wrong stays wrong.
                assert_eq!(verify(&original, &before), verify(&frame, &there));
                let port = match before.transport() {
                    Transport::IcmpQuery { identifier, .. } => identifier,
                    _ => 1,
                };
                apply(&mut frame, &there, &to(end("10.0.0.1", port), None)).unwrap();
                assert_eq!(frame, original, "{checksum:#06x}");
            }
        }
    }
}
