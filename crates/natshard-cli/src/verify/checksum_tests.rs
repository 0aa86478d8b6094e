//! The verifier catches checksums that translation spoils, and only those.

use super::*;

/// A UDP packet from 192.168.1.2:4000 to 198.18.0.1:53 with right checksums.
fn udp() -> Vec<u8> {
    let mut packet = vec![
        0x45, 0, 0, 32, 0, 1, 0, 0, 64, 17, 0, 0, 192, 168, 1, 2, 198, 18, 0, 1, 0x0f, 0xa0, 0, 53,
        0, 12, 0, 0, b'a', b'b', b'c', b'd',
    ];
    repair(&mut packet);
    packet
}

/// Recomputes both checksums of such a packet.
fn repair(packet: &mut [u8]) {
    packet[10..12].fill(0);
    let header = !fold(sum(&packet[..20]));
    packet[10..12].copy_from_slice(&header.to_be_bytes());
    packet[26..28].fill(0);
    let total = sum(&packet[12..]) + 17 + 12;
    let transport = !fold(total);
    packet[26..28].copy_from_slice(&transport.to_be_bytes());
}

fn translated(repaired: bool) -> Vec<u8> {
    let mut packet = udp();
    packet[12..16].copy_from_slice(&[203, 0, 113, 7]);
    packet[20..22].copy_from_slice(&50000_u16.to_be_bytes());
    if repaired {
        repair(&mut packet);
    }
    packet
}

fn spoilt_by(before: &[u8], after: &[u8]) -> u64 {
    spoilt(&Ip::parse(before).unwrap(), &Ip::parse(after).unwrap())
}

#[test]
fn a_right_translation_spoils_nothing() {
    assert_eq!(spoilt_by(&udp(), &udp()), 0);
    assert_eq!(spoilt_by(&udp(), &translated(true)), 0);
}

#[test]
fn forgotten_checksums_are_caught_in_header_and_transport() {
    assert_eq!(spoilt_by(&udp(), &translated(false)), 2);
    let mut only_transport = translated(true);
    only_transport[26] ^= 0x10;
    assert_eq!(spoilt_by(&udp(), &only_transport), 1);
}

#[test]
fn a_checksum_that_vanishes_is_caught() {
    let mut after = translated(true);
    after[26..28].fill(0);
    assert_eq!(spoilt_by(&udp(), &after), 1);
}

#[test]
fn what_was_wrong_before_is_nobodys_fault() {
    let mut before = udp();
    before[26] ^= 1;
    before[10] ^= 1;
    assert_eq!(spoilt_by(&before, &translated(false)), 0);
}

#[test]
fn udp_without_a_checksum_has_none_to_spoil() {
    let mut before = udp();
    before[26..28].fill(0);
    let mut after = translated(true);
    after[26..28].fill(0);
    assert_eq!(spoilt_by(&before, &after), 0);
}

/// The first fragment of the packet, its last bytes being elsewhere.
fn first_fragment(mut packet: Vec<u8>) -> Vec<u8> {
    packet.truncate(30);
    packet[2..4].copy_from_slice(&30_u16.to_be_bytes());
    packet[6] |= 0x20;
    packet[10..12].fill(0);
    let header = !fold(sum(&packet[..20]));
    packet[10..12].copy_from_slice(&header.to_be_bytes());
    packet
}

#[test]
fn the_checksum_of_a_fragmented_datagram_is_held_to_its_sum() {
    let before = first_fragment(udp());
    assert_eq!(spoilt_by(&before, &first_fragment(translated(true))), 0);
    assert_eq!(spoilt_by(&before, &first_fragment(translated(false))), 1);
}

#[test]
fn a_packet_that_the_capture_cut_is_held_to_its_sum() {
    let cut = |mut packet: Vec<u8>| {
        packet.truncate(30);
        packet
    };
    let before = cut(udp());
    assert_eq!(spoilt_by(&before, &cut(translated(true))), 0);
    assert_eq!(spoilt_by(&before, &cut(translated(false))), 2);
}

/// An ICMP error that quotes a packet.
fn error_about(quoted: &[u8]) -> Vec<u8> {
    let mut packet = vec![
        0x45, 0, 0, 0, 0, 2, 0, 0, 64, 1, 0, 0, 198, 18, 0, 1, 192, 168, 1, 2,
    ];
    packet.extend([3, 3, 0, 0, 0, 0, 0, 0]);
    packet.extend(quoted);
    let length = packet.len() as u16;
    packet[2..4].copy_from_slice(&length.to_be_bytes());
    let header = !fold(sum(&packet[..20]));
    packet[10..12].copy_from_slice(&header.to_be_bytes());
    let message = !fold(sum(&packet[20..]));
    packet[22..24].copy_from_slice(&message.to_be_bytes());
    packet
}

#[test]
fn checksums_of_a_quoted_packet_are_looked_at_too() {
    let before = error_about(&udp());
    assert_eq!(spoilt_by(&before, &error_about(&translated(true))), 0);
    // The ICMP checksum itself is right in both; the two of the quoted packet are not.
    assert_eq!(spoilt_by(&before, &error_about(&translated(false))), 2);
}

#[test]
fn each_flipped_bit_of_a_checksum_is_caught() {
    for at in [10, 11, 26, 27] {
        for bit in 0..8 {
            let mut after = udp();
            after[at] ^= 1 << bit;
            assert_eq!(spoilt_by(&udp(), &after), 1, "byte {at}, bit {bit}");
        }
    }
}

#[test]
fn ipv6_has_a_transport_checksum_alone() {
    let mut packet = vec![0x60, 0, 0, 0, 0, 12, 17, 64];
    packet.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    packet.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    packet.extend([0x0f, 0xa0, 0, 53, 0, 12, 0, 0, 1, 2, 3, 4]);
    let total = sum(&packet[8..]) + 17 + 12;
    let transport = !fold(total);
    packet[46..48].copy_from_slice(&transport.to_be_bytes());
    assert_eq!(spoilt_by(&packet, &packet), 0);
    let mut after = packet.clone();
    after[9] = 7;
    assert_eq!(spoilt_by(&packet, &after), 1);
}
