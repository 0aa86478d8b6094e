//! Dissection of link layers: what carries an IP packet, and what does not.

use super::{INSIDE, INSIDE6, OUTSIDE, OUTSIDE6, ethernet};
use crate::packet::testing::Build;
use crate::packet::*;

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

#[test]
fn a_pppoe_length_without_room_for_the_protocol_is_a_truncated_link() {
    let mut frame = Build::udp(INSIDE, OUTSIDE).pppoe(9).frame();
    frame[18..20].copy_from_slice(&[0, 1]);
    assert_eq!(dissect(Link::Ethernet, &frame), Err(Skip::TruncatedLink));
}
