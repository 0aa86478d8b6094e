//! What becomes of packets: which side they are from, what is counted for what.

mod common;
use common::*;

use serde_json::json;

fn ethernet(at: f64, packet: &[u8]) -> Frame {
    frame(at, on_link(ETHERNET, packet))
}

fn replay_frames(frames: &[Frame], options: &[&str]) -> serde_json::Value {
    let folder = folder();
    let file = write(&folder, "capture.pcap", &pcap(PLAIN, ETHERNET, frames));
    replay_well(options, &[&file])
}

#[test]
fn packets_are_sorted_by_the_side_they_come_from() {
    let inside = "10.1.1.1:5000";
    let frames = [
        ethernet(1.0, &udp(inside, "192.168.7.7:53", b"a")),
        ethernet(2.0, &udp("8.8.8.8:53", "9.9.9.9:53", b"b")),
        ethernet(3.0, &udp(inside, "239.255.255.250:1900", b"c")),
        ethernet(4.0, &udp(inside, "255.255.255.255:67", b"d")),
        ethernet(5.0, &udp("8.8.8.8:53", inside, b"e")),
        ethernet(6.0, &udp(inside, "8.8.8.8:53", b"f")),
        ethernet(7.0, &udp("8.8.8.8:53", inside, b"g")),
        frame(8.0, [&[0xff; 12][..], &[8, 6], &[0; 46]].concat()),
        frame(
            9.0,
            on_link(ETHERNET, &udp(inside, "8.8.8.8:53", b"h"))[..30].to_vec(),
        ),
    ];
    let json = replay_frames(&frames, &[]);
    assert_eq!(
        json["packets"],
        json!({
            "read": 9,
            "translated": 2,
            "inside_to_outside": 1,
            "outside_to_inside": 1,
            "untouched": {
                "inside_to_inside": 1,
                "outside_to_outside": 1,
                "not_unicast": 2,
                "no_outbound_before": 1,
                "not_ip": 1,
            },
            "dropped": { "truncated_ip": 1 },
        })
    );
    assert_eq!(json["verify"]["round_trips"], 1);
}

#[test]
fn queries_and_errors_of_icmp_make_round_trips() {
    let host = "192.168.1.10";
    let request = udp(CLIENT, SERVER, b"who is there?");
    let opened = tcp("192.168.1.10:41000", SERVER, 2, b"");
    let frames = [
        ethernet(1.0, &echo(host, "198.18.0.1", 8, 77)),
        ethernet(1.1, &echo("198.18.0.1", host, 0, 77)),
        ethernet(2.0, &echo("fd00::1", "2001:2::1", 128, 0)),
        ethernet(2.1, &echo("2001:2::1", "fd00::1", 129, 0)),
        ethernet(3.0, &request),
        // Quoted whole, by the host itself and by a router on the way.
        ethernet(3.1, &icmp_error("93.184.216.34", host, 3, 3, &request)),
        ethernet(3.2, &icmp_error("198.18.9.9", host, 11, 0, &request[..28])),
        ethernet(4.0, &opened),
        ethernet(4.1, &icmp_error("198.18.9.9", host, 3, 4, &opened[..28])),
        // About nothing that was ever sent.
        ethernet(
            5.0,
            &icmp_error("198.18.9.9", host, 3, 1, &udp(CLIENT, "1.2.3.4:5", b"x")),
        ),
    ];
    let json = replay_frames(&frames, &[]);
    assert_eq!(json["verify"]["round_trips"], 5, "{json:#}");
    assert_eq!(json["packets"]["inside_to_outside"], 4);
    assert_eq!(
        json["packets"]["untouched"],
        json!({ "no_outbound_before": 1 })
    );
}

/// Cuts the payload of an IPv4 packet into fragments of so many bytes.
fn fragments(packet: &[u8], size: usize, id: u16) -> Vec<Vec<u8>> {
    let (header, payload) = packet.split_at(20);
    let count = payload.len().div_ceil(size);
    let fragment = |(at, part): (usize, &[u8])| {
        let mut header = header.to_vec();
        let more = if at + 1 < count { 0x2000 } else { 0 };
        header[2..4].copy_from_slice(&((20 + part.len()) as u16).to_be_bytes());
        header[4..6].copy_from_slice(&id.to_be_bytes());
        header[6..8].copy_from_slice(&((at * size / 8) as u16 | more).to_be_bytes());
        header[10..12].fill(0);
        let mut sum: u32 = header
            .chunks(2)
            .map(|it| u32::from(u16::from_be_bytes([it[0], it[1]])))
            .sum();
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        header[10..12].copy_from_slice(&(!(sum as u16)).to_be_bytes());
        [header, part.to_vec()].concat()
    };
    payload.chunks(size).enumerate().map(fragment).collect()
}

#[test]
fn fragments_make_round_trips_in_any_order() {
    let data = [7; 200];
    let out = fragments(&udp(CLIENT, SERVER, &data), 64, 9);
    let back = fragments(&udp(SERVER, CLIENT, &data), 64, 10);
    assert_eq!((out.len(), back.len()), (4, 4));
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 0, 3, 2]] {
        let mut frames = Vec::new();
        for (turn, fragment) in order.iter().enumerate() {
            frames.push(ethernet(1.0 + turn as f64 / 100.0, &out[*fragment]));
        }
        for (turn, fragment) in order.iter().enumerate() {
            frames.push(ethernet(2.0 + turn as f64 / 100.0, &back[*fragment]));
        }
        let json = replay_frames(&frames, &[]);
        assert_eq!(
            json["packets"]["inside_to_outside"], 4,
            "{order:?} {json:#}"
        );
        assert_eq!(json["verify"]["round_trips"], 4, "{order:?} {json:#}");
    }
}

#[test]
fn a_fragment_whose_first_never_comes_is_dropped_and_counted() {
    let out = fragments(&udp(CLIENT, SERVER, &[7; 200]), 64, 9);
    let frames: Vec<_> = out[1..].iter().map(|it| ethernet(1.0, it)).collect();
    let json = replay_frames(&frames, &[]);
    assert_eq!(total(&json["packets"]["dropped"]), 3, "{json:#}");
}

#[test]
fn a_wrong_checksum_stays_wrong_and_a_missing_one_missing() {
    let mut wrong = udp(CLIENT, SERVER, b"abc");
    wrong[26] ^= 0xff;
    let mut none = udp(SERVER, CLIENT, b"abc");
    none[26..28].fill(0);
    let frames = [ethernet(1.0, &wrong), ethernet(2.0, &none)];
    let json = replay_frames(&frames, &[]);
    assert_eq!(json["verify"]["round_trips"], 1, "{json:#}");
    assert_eq!(json["packets"]["translated"], 2);
}

#[test]
fn default_pools_keep_out_of_the_way_of_the_capture() {
    let frames = [
        ethernet(1.0, &udp(CLIENT, "203.0.113.5:53", b"a")),
        ethernet(1.1, &udp("203.0.113.5:53", CLIENT, b"b")),
        ethernet(2.0, &udp(CLIENT6, "[2001:db8::5]:53", b"c")),
        ethernet(2.1, &udp("[2001:db8::5]:53", CLIENT6, b"d")),
    ];
    let json = replay_frames(&frames, &[]);
    assert_eq!(json["verify"]["round_trips"], 2, "{json:#}");
    assert_eq!(json["pools"][0]["prefixes"], json!(["198.51.100.0/24"]));
    assert_eq!(json["pools"][1]["prefixes"], json!(["2001:db8:ffff::/64"]));
}

#[test]
fn a_remote_address_that_is_in_a_pool_anyway_is_left_alone() {
    let folder = folder();
    let config = write(
        &folder,
        "c.toml",
        br#"
[[external-ip-address-pool]]
name = "wan"
external-ip-pool = ["198.18.0.0/24"]
"#,
    );
    let frames = [
        ethernet(1.0, &udp(CLIENT, "198.18.0.9:53", b"a")),
        ethernet(1.1, &udp("198.18.0.9:53", CLIENT, b"b")),
        ethernet(2.0, &udp(CLIENT, "198.18.1.9:53", b"c")),
    ];
    let json = replay_frames(&frames, &["--config", config.to_str().unwrap()]);
    assert_eq!(json["packets"]["untouched"], json!({ "remote_in_pool": 2 }));
    assert_eq!(json["packets"]["translated"], 1);
}

#[test]
fn sessions_end_in_the_pauses_of_a_capture() {
    let frames = [
        ethernet(1.0, &udp(CLIENT, SERVER, b"a")),
        ethernet(1000.0, &udp("192.168.1.11:4", SERVER, b"b")),
        ethernet(1000.1, &udp(SERVER, CLIENT, b"far too late")),
    ];
    let json = replay_frames(&frames, &[]);
    assert_eq!(json["sessions"]["created"], 2, "{json:#}");
    assert_eq!(json["sessions"]["expired"], 1);
    assert_eq!(json["sessions"]["peak"], 1);
    assert_eq!(json["leases"]["released"], 1);
    assert_eq!(json["packets"]["dropped"], json!({ "no_mapping": 1 }));
}

#[test]
fn refused_leases_are_counted_and_not_fatal() {
    let folder = folder();
    let config = write(
        &folder,
        "small.toml",
        br#"
[[external-ip-address-pool]]
name = "wan"
external-ip-pool = ["198.18.0.1/32"]
port-set-restrict = "1024-1279"
"#,
    );
    let clients = (0..400_u16).map(|it| format!("192.168.1.10:{}", 2000 + it));
    let frames: Vec<_> = clients
        .map(|it| ethernet(1.0, &udp(&it, SERVER, b"a")))
        .collect();
    let json = replay_frames(&frames, &["--config", config.to_str().unwrap()]);
    assert_eq!(json["leases"]["allocated"], 256, "{json:#}");
    assert_eq!(json["leases"]["refused"], json!({ "pool_full": 144 }));
    assert_eq!(json["packets"]["dropped"], json!({ "pool_exhausted": 144 }));
}

#[test]
fn a_replay_that_translated_nothing_asks_whether_the_inside_is_right() {
    let folder = folder();
    let file = sample(&folder);
    let config = |inside: &str| {
        let text = format!(
            "[[external-ip-address-pool]]\nname = \"p\"\nexternal-ip-pool = \"203.0.113.0/28\"\n\
             [[vpc]]\nname = \"in\"\ninside-prefixes = [\"{inside}\"]\n[[vpc]]\nname = \"out\"\n\
             [[peering]]\nsource-vpc = \"in\"\ndestination-vpc = \"out\"\npools = [\"p\"]\n"
        );
        write(&folder, "nat.toml", text.as_bytes())
    };
    let wrong = config("10.9.0.0/16");
    let (code, json, talk) = replay(&["--config", wrong.to_str().unwrap()], &[&file]);
    assert_eq!(code, Some(0), "{talk}");
    let warning = "no packet was translated: is the inside right? It is 10.9.0.0/16 by the \
                   configuration";
    assert_eq!(json["warnings"], serde_json::json!([warning]));
    assert!(talk.contains(&format!("warning: {warning}\n")), "{talk}");
    // With the right one nothing is said.
    let right = config("192.168.1.0/24");
    let (_, json, talk) = replay(&["--config", right.to_str().unwrap()], &[&file]);
    assert_eq!(
        (&json["warnings"], talk.as_str()),
        (&serde_json::json!([]), "")
    );

    // Without a configuration the private addresses are inside.
    let frames = talk_of_strangers();
    let file = write(&folder, "strangers.pcap", &pcap(PLAIN, ETHERNET, &frames));
    let (_, _, talk) = replay(&[], &[&file]);
    assert!(
        talk.contains("is the inside right? It is 10.0.0.0/8, "),
        "{talk}"
    );
    assert!(talk.contains("--config names another"), "{talk}");
    // Where no side was right, and where there is nothing to translate.
    let odd = write(&folder, "odd.pcap", &pcap(PLAIN, CISCO_HDLC, &frames));
    let (_, _, talk) = replay(&[], &[&odd]);
    assert!(talk.contains("because of `unsupported_link`"), "{talk}");
    let none = write(&folder, "none.pcap", &pcap(PLAIN, ETHERNET, &[]));
    let (_, _, talk) = replay(&[], &[&none]);
    assert_eq!(talk, "");
}

fn talk_of_strangers() -> Vec<Frame> {
    talk(ETHERNET, "1.1.1.1:1", SERVER, 2)
}
