//! What verification from scratch finds.

use crate::packet::checksum::{Verdict, verify};
use crate::packet::testing::Build;
use crate::packet::*;

fn check(frame: &[u8]) -> checksum::ChecksumState {
    verify(frame, &dissect(Link::Ethernet, frame).unwrap())
}

/// The worked example of many textbooks, so that the builder is not its own judge.
#[test]
fn a_header_with_a_known_checksum_is_right() {
    let header = [
        0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8, 0x00,
        0x01, 0xc0, 0xa8, 0x00, 0xc7,
    ];
    let mut packet = header.to_vec();
    packet.extend([0, 53, 0, 53, 0, 95, 0, 0]);
    packet.resize(0x73, 0);
    let view = dissect(Link::RawIp, &packet).unwrap();
    assert_eq!(verify(&packet, &view).ip, Verdict::Right);
    packet[11] ^= 1;
    assert_eq!(verify(&packet, &view).ip, Verdict::Wrong);
}

#[test]
fn every_flipped_bit_of_a_packet_is_noticed() {
    for build in [
        Build::tcp("10.0.0.1:1", "203.0.113.9:2").payload(b"odd"),
        Build::udp("10.0.0.1:1", "203.0.113.9:2").payload(b"even"),
        Build::udp("[fd00::1]:1", "[2001:db8::9]:2").payload(b"odd"),
        Build::echo_reply("10.0.0.1", "203.0.113.9", 1, 2).payload(b"ping"),
        Build::echo_reply("fd00::1", "2001:db8::9", 1, 2).payload(b"ping"),
    ] {
        let frame = build.frame();
        let whole = dissect(Link::Ethernet, &frame).unwrap();
        assert_eq!(verify(&frame, &whole).transport, Verdict::Right);
        for at in whole.transport_offset()..whole.end() {
            for bit in 0..8 {
                let mut frame = frame.clone();
                frame[at] ^= 1 << bit;
                // Some flips change what the packet is; the rest must be noticed.
                let Ok(view) = dissect(Link::Ethernet, &frame) else {
                    continue;
                };
                let found = verify(&frame, &view).transport;
                assert_ne!(found, Verdict::Right, "byte {at} bit {bit}");
            }
        }
    }
}

#[test]
fn what_cannot_be_verified_says_so() {
    use Verdict::{Absent, Right, Unverifiable, Wrong};
    let udp = Build::udp("10.0.0.1:1", "203.0.113.9:2").payload(&[1; 90]);
    let udp6 = Build::udp("[fd00::1]:1", "[2001:db8::9]:2").payload(&[1; 90]);

    let mut cut = udp.frame();
    cut.truncate(60);
    assert_eq!(
        (check(&cut).ip, check(&cut).transport),
        (Right, Unverifiable)
    );
    let mut open = udp.frame();
    open[16..18].fill(0);
    assert_eq!(
        (check(&open).ip, check(&open).transport),
        (Wrong, Unverifiable)
    );
    let mut open = udp6.frame();
    open[18..20].fill(0);
    assert_eq!(
        (check(&open).ip, check(&open).transport),
        (Absent, Unverifiable)
    );
    for fragment in udp.fragments(40) {
        assert_eq!(
            (check(&fragment).ip, check(&fragment).transport),
            (Right, Unverifiable)
        );
    }
    let unsummed = udp.checksum(0).frame();
    assert_eq!(
        (check(&unsummed).ip, check(&unsummed).transport),
        (Right, Absent)
    );
    let gre = Build::raw(
        "10.0.0.1".parse().unwrap(),
        "10.0.0.2".parse().unwrap(),
        47,
        &[0; 4],
    );
    assert_eq!(check(&gre.frame()).transport, Absent);
}

#[test]
fn bytes_behind_the_udp_datagram_are_not_covered() {
    // A UDP length below the IP length: legal, and the rest belongs to nobody (RFC 9868).
    let source = "10.0.0.1".parse().unwrap();
    let plain = Build::udp("10.0.0.1:1", "10.0.0.2:2")
        .payload(b"data")
        .packet();
    let (header, rest) = (&plain[20..28], &plain[28..]);
    let surplus = [rest, b"surplus"].concat();
    let frame = Build::raw(source, "10.0.0.2".parse().unwrap(), 17, header)
        .payload(&surplus)
        .frame();
    assert_eq!(check(&frame).transport, Verdict::Right);
}

#[test]
fn the_quoted_packet_is_verified_too() {
    let quote = Build::udp("10.0.0.1:1", "203.0.113.9:2")
        .payload(b"data")
        .packet();
    let error = |quote: &[u8]| Build::icmp_error("192.0.2.1", "10.0.0.1", 3, 3, quote).frame();
    let state = check(&error(&quote));
    assert_eq!(
        (state.quoted_ip, state.quoted_transport),
        (Verdict::Right, Verdict::Right)
    );
    let mut bad = quote.clone();
    bad[8] = 1;
    bad[27] ^= 1;
    let state = check(&error(&bad));
    assert_eq!(
        (state.quoted_ip, state.quoted_transport),
        (Verdict::Wrong, Verdict::Wrong)
    );
    assert_eq!(
        (state.ip, state.transport),
        (Verdict::Right, Verdict::Right)
    );
    assert_eq!(
        check(&error(&quote[..28])).quoted_transport,
        Verdict::Unverifiable
    );
}
