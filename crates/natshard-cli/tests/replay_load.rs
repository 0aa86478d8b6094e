//! Many hosts and many shards.

mod common;
use common::*;

use std::path::PathBuf;

/// Hosts that each talk to a few servers, with TCP connections, queries and pings.
fn office(folder: &tempfile::TempDir) -> PathBuf {
    let mut frames = Vec::new();
    let mut push = |at: f64, packet: Vec<u8>| frames.push(frame(at, on_link(ETHERNET, &packet)));
    for host in 1..=12_u32 {
        let start = f64::from(host) / 10.0;
        for server in 1..=3_u32 {
            let client = format!("10.0.0.{host}:{}", 3000 + 10 * host + server);
            let remote = format!("198.18.0.{server}:443");
            let at = start + f64::from(server) * 3.0;
            push(at, tcp(&client, &remote, 2, b""));
            push(at + 0.01, tcp(&remote, &client, 18, b""));
            push(at + 0.02, tcp(&client, &remote, 16, b"GET"));
            push(at + 0.03, tcp(&remote, &client, 16, b"a page"));
            push(at + 0.04, udp(&client, &remote, b"?"));
            push(at + 0.05, udp(&remote, &client, b"!"));
        }
        let (me, it) = (format!("10.0.0.{host}"), "198.18.0.9");
        push(start, echo(&me, it, 8, 5));
        push(start + 0.01, echo(it, &me, 0, 5));
    }
    frames.sort_by(|a, b| a.at.total_cmp(&b.at));
    write(folder, "office.pcap", &pcap(PLAIN, ETHERNET, &frames))
}

/// Packets of one office, and of those the replies.
const PACKETS: u64 = 12 * (3 * 6 + 2);
const REPLIES: u64 = PACKETS / 2;

#[test]
fn any_number_of_shards_gives_the_same_answer() {
    let folder = folder();
    let file = office(&folder);
    let one = replay_well(&[], &[&file]);
    assert_eq!(one["verify"]["round_trips"], REPLIES);
    for shards in ["2", "3", "8", "128"] {
        let many = replay_well(&["--shards", shards], &[&file]);
        for key in ["packets", "sessions", "leases", "verify"] {
            assert_eq!(many[key], one[key], "{shards} shards, {key}");
        }
    }
}

#[test]
fn amplified_hosts_do_all_that_the_one_did() {
    let folder = folder();
    let file = office(&folder);
    for (amplify, shards) in [(2_u64, "1"), (40, "1"), (40, "3")] {
        let json = replay_well(
            &["--amplify", &amplify.to_string(), "--shards", shards],
            &[&file],
        );
        assert_eq!(json["packets"]["read"], PACKETS * amplify);
        assert_eq!(json["packets"]["translated"], PACKETS * amplify);
        assert_eq!(json["verify"]["round_trips"], REPLIES * amplify);
        assert_eq!(json["leases"]["refused"], serde_json::json!({}));
        assert_eq!(json["amplify"], amplify);
    }
}

#[test]
fn only_packets_of_inside_hosts_are_amplified() {
    let folder = folder();
    let frames = [
        frame(
            1.0,
            on_link(ETHERNET, &udp("10.1.1.1:1", "8.8.8.8:53", b"a")),
        ),
        frame(
            2.0,
            on_link(ETHERNET, &udp("10.1.1.1:1", "10.1.1.2:53", b"b")),
        ),
        frame(
            3.0,
            on_link(ETHERNET, &udp("8.8.8.8:53", "9.9.9.9:53", b"c")),
        ),
    ];
    let file = write(&folder, "mixed.pcap", &pcap(PLAIN, ETHERNET, &frames));
    let json = replay_well(&["--amplify", "10"], &[&file]);
    assert_eq!(json["packets"]["translated"], 10);
    assert_eq!(
        json["packets"]["untouched"],
        serde_json::json!({ "inside_to_inside": 10, "outside_to_outside": 1 })
    );
}

#[test]
fn more_copies_than_addresses_are_refused_with_what_to_do() {
    let folder = folder();
    let config = write(
        &folder,
        "small.toml",
        br#"
[[external-ip-address-pool]]
name = "wan"
external-ip-pool = ["203.0.113.0/24"]

[[vpc]]
name = "lan"
inside-prefixes = ["10.0.0.0/24"]

[[vpc]]
name = "wan"

[[peering]]
name = "lan to wan"
source-vpc = "lan"
destination-vpc = "wan"
source = [{ pools = ["wan"] }]
"#,
    );
    let file = office(&folder);
    let options = ["--config", config.to_str().unwrap(), "--amplify", "100"];
    let (code, _, talk) = replay(&options, &[&file]);
    assert_eq!(code, Some(2), "{talk}");
    assert!(
        talk.contains("10.0.0.0/24") && talk.contains("--amplify 100"),
        "{talk}"
    );
    replay_well(
        &["--config", config.to_str().unwrap(), "--amplify", "20"],
        &[&file],
    );
}

#[test]
fn a_seed_makes_every_byte_of_the_output_the_same() {
    let folder = folder();
    let file = office(&folder);
    let run = |name: &str, seed: &str, shards: &str| {
        let out = folder.path().join(name);
        let out_text = out.to_str().unwrap();
        let options = [
            "--seed",
            seed,
            "--shards",
            shards,
            "--amplify",
            "5",
            "--out",
            out_text,
        ];
        replay_well(&options, &[&file]);
        std::fs::read(out).unwrap()
    };
    for shards in ["1", "3"] {
        let first = run("first", "11", shards);
        assert!(first == run("second", "11", shards), "{shards} shards");
        assert!(first != run("third", "12", shards), "{shards} shards");
    }
}
