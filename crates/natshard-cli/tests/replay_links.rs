//! Every link type, byte order and resolution that a capture can have.

mod common;
use common::*;

fn round_trips(linktype: u32, layout: Layout, client: &str, server: &str) -> u64 {
    let folder = folder();
    let frames = talk(linktype, client, server, 3);
    let file = write(&folder, "capture.pcap", &pcap(layout, linktype, &frames));
    let json = replay_well(&[], &[&file]);
    assert_eq!(json["packets"]["read"], 6);
    assert_eq!(json["packets"]["inside_to_outside"], 3);
    json["verify"]["round_trips"].as_u64().unwrap()
}

#[test]
fn each_link_type_makes_round_trips_in_ipv4_and_ipv6() {
    for linktype in [NULL, ETHERNET, 12, RAW, LOOP, SLL, SLL2] {
        assert_eq!(
            round_trips(linktype, PLAIN, CLIENT, SERVER),
            3,
            "{linktype}"
        );
        assert_eq!(
            round_trips(linktype, PLAIN, CLIENT6, SERVER6),
            3,
            "{linktype} v6"
        );
    }
    assert_eq!(round_trips(IPV4, PLAIN, CLIENT, SERVER), 3);
    assert_eq!(round_trips(229, PLAIN, CLIENT6, SERVER6), 3);
}

#[test]
fn each_byte_order_and_resolution_of_pcap_is_read() {
    for big_endian in [false, true] {
        for nanos in [false, true] {
            let layout = Layout { big_endian, nanos };
            assert_eq!(round_trips(ETHERNET, layout, CLIENT, SERVER), 3);
        }
    }
}

#[test]
fn frames_under_vlan_tags_and_pppoe_make_round_trips() {
    let tag = |bytes: Vec<u8>, header: &[u8], keep: usize| {
        [&bytes[..12], header, &bytes[keep..]].concat()
    };
    let folder = folder();
    for (name, header, keep) in [
        ("vlan", &[0x81, 0, 0, 7][..], 12),
        ("qinq", &[0x88, 0xa8, 0, 7, 0x81, 0, 0, 8][..], 12),
        // The length of a session's data is that of its PPP frame: filled in below.
        (
            "pppoe",
            &[0x88, 0x64, 0x11, 0, 0, 1, 0, 34, 0, 0x21][..],
            14,
        ),
    ] {
        let mut frames = talk(ETHERNET, CLIENT, SERVER, 2);
        for frame in &mut frames {
            frame.bytes = tag(std::mem::take(&mut frame.bytes), header, keep);
        }
        let file = write(&folder, name, &pcap(PLAIN, ETHERNET, &frames));
        let json = replay_well(&[], &[&file]);
        assert_eq!(json["verify"]["round_trips"], 2, "{name}: {json:#}");
    }
}

#[test]
fn an_unknown_link_type_is_counted_packet_by_packet() {
    let folder = folder();
    let frames = talk(CISCO_HDLC, CLIENT, SERVER, 3);
    let file = write(&folder, "hdlc.pcap", &pcap(PLAIN, CISCO_HDLC, &frames));
    let json = replay_well(&[], &[&file]);
    assert_eq!(json["packets"]["untouched"]["unsupported_link"], 6);
    assert_eq!(json["packets"]["read"], 6);
}

/// A pcapng block.
fn block(big_endian: bool, kind: u32, body: &[u8]) -> Vec<u8> {
    let word = |it: u32| match big_endian {
        true => it.to_be_bytes(),
        false => it.to_le_bytes(),
    };
    let mut padded = body.to_vec();
    padded.resize(body.len().next_multiple_of(4), 0);
    let length = word(padded.len() as u32 + 12);
    [&word(kind)[..], &length, &padded, &length].concat()
}

/// A section with an interface of microseconds and one of 2^-20 seconds, the first with an offset
/// of an hour, and a request and its reply on each; then a simple packet.
fn section(big_endian: bool) -> Vec<u8> {
    let word = |it: u32| match big_endian {
        true => it.to_be_bytes(),
        false => it.to_le_bytes(),
    };
    let half = |it: u16| match big_endian {
        true => it.to_be_bytes(),
        false => it.to_le_bytes(),
    };
    let option = |code: u16, value: &[u8]| {
        let mut padded = value.to_vec();
        padded.resize(value.len().next_multiple_of(4), 0);
        [&half(code)[..], &half(value.len() as u16), &padded].concat()
    };
    let interface =
        |linktype: u16, options: &[u8]| [&half(linktype)[..], &half(0), &word(0), options].concat();
    let packet = |interface: u32, ticks: u64, bytes: &[u8]| {
        let length = word(bytes.len() as u32);
        [
            &word(interface)[..],
            &word((ticks >> 32) as u32),
            &word(ticks as u32),
            &length,
            &length,
            bytes,
        ]
        .concat()
    };
    let hour = match big_endian {
        true => 3600_i64.to_be_bytes(),
        false => 3600_i64.to_le_bytes(),
    };
    let (request, reply) = (udp(CLIENT, SERVER, b"ab"), udp(SERVER, CLIENT, b"ba"));
    let mut header = word(0x1a2b_3c4d).to_vec();
    header.extend(half(1));
    header.extend(half(0));
    header.extend([0xff; 8]);
    // A comment that is no UTF-8 and an option that claims more than there is.
    let odd = [&option(1, &[0xff, 0xfe])[..], &half(2), &half(999)].concat();
    let micros = [&option(14, &hour)[..], &odd].concat();
    [
        block(big_endian, 0x0a0d_0d0a, &header),
        block(big_endian, 1, &interface(1, &micros)),
        block(big_endian, 1, &interface(101, &option(9, &[0x94]))),
        block(big_endian, 0xbad, b"whatever it is"),
        block(
            big_endian,
            6,
            &packet(0, 1_000_000, &on_link(ETHERNET, &request)),
        ),
        block(big_endian, 6, &packet(1, 3602 << 20, &reply)),
        block(big_endian, 6, &packet(9, 0, &reply)),
        block(
            big_endian,
            3,
            &[
                &word(on_link(ETHERNET, &request).len() as u32)[..],
                &on_link(ETHERNET, &request),
            ]
            .concat(),
        ),
    ]
    .concat()
}

#[test]
fn pcapng_of_both_byte_orders_with_several_sections_and_interfaces_is_read() {
    let folder = folder();
    let file = [section(false), section(true)].concat();
    let file = write(&folder, "sections.pcapng", &file);
    let json = replay_well(&[], &[&file]);
    assert_eq!(json["packets"]["read"], 8);
    assert_eq!(json["verify"]["round_trips"], 2);
    assert_eq!(json["packets"]["inside_to_outside"], 4);
    // The interface that no block describes.
    assert_eq!(json["packets"]["untouched"]["unsupported_link"], 2);
    // One second from the request at 3601 to the reply at 3602, whatever the units.
    let seconds = json["simulated_seconds"].as_f64().unwrap();
    assert!((seconds - 1.0).abs() < 1e-3, "{seconds}");
}
