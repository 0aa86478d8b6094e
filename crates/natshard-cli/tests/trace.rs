//! `natshard trace` as it is called.

mod common;
use common::*;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

const HEADER: &str = r#"{"record":"header","number":0,"schema_version":1,"program":"natshard","leases":false,"hold_down_ms":120000,"clock_resolution_ms":0,"shards":1,"pools":[{"name":"cgn","realm":"wan","prefixes":["203.0.113.0/28","2001:db8::/120"],"ports":[1024,65535],"identifiers":[0,65535],"port_block_size":64},{"name":"fixed","realm":"wan","prefixes":["192.0.2.1/32"],"ports":[1024,65535],"identifiers":[1024,65535],"deterministic":{"subscribers":14,"ports":4032,"inside":["100.64.0.0/29","10.0.0.0/29"]}}]}"#;
const CLOCK: &str =
    r#"{"record":"clock","number":1,"time":"2026-01-05T10:00:00.000Z","engine_ms":0}"#;

/// A line about a port block of 64, so many seconds after the beginning.
fn block(number: u64, second: u64, assigned: bool, who: &str, address: &str, first: u16) -> String {
    let (event, name) = match assigned {
        true => (16, "port_block_assigned"),
        false => (17, "port_block_released"),
    };
    format!(
        r#"{{"record":"event","number":{number},"time":"2026-01-05T10:{:02}:{:02}.000Z","engine_ms":{},"sequence":{number},"event":{event},"name":"{name}","pool":"cgn","protocol":"tcp","subscriber":"{who}","address":"{address}","ports":[{first},{}]}}"#,
        second / 60,
        second % 60,
        second * 1000,
        first + 63
    )
}

fn end(number: u64, second: u64) -> String {
    format!(
        r#"{{"record":"end","number":{number},"time":"2026-01-05T10:{:02}:{:02}.000Z","engine_ms":{},"events":{},"lost":0,"by_name":{{}}}}"#,
        second / 60,
        second % 60,
        second * 1000,
        number - 2
    )
}

fn log() -> Vec<String> {
    vec![
        HEADER.into(),
        CLOCK.into(),
        block(2, 60, true, "100.64.3.7", "203.0.113.7", 1024),
        block(3, 61, true, "fd00:0:0:9::/64", "2001:db8::7", 1024),
        block(4, 600, false, "100.64.3.7", "203.0.113.7", 1024),
        block(5, 720, true, "100.64.3.8", "203.0.113.7", 1024),
        end(6, 1800),
    ]
}

fn file(folder: &TempDir, lines: &[String]) -> PathBuf {
    write(folder, "nat.jsonl", (lines.join("\n") + "\n").as_bytes())
}

/// Exit code, answer, talk.
fn trace(arguments: &[&str]) -> (Option<i32>, Value, String) {
    let mut all = vec!["trace", "--format", "json"];
    all.extend(arguments);
    let output = natshard(&all);
    let json = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.code(), json, talk_of(&output))
}

fn who(answer: &Value) -> Vec<&str> {
    let candidates = answer["candidates"].as_array().unwrap().iter();
    candidates
        .map(|it| it["subscriber"].as_str().unwrap())
        .collect()
}

#[test]
fn the_holder_of_a_public_tuple_is_named() {
    let folder = folder();
    let log = file(&folder, &log());
    let log = log.to_str().unwrap();
    // The same moment, in three zones, one of which is in its summer's or winter's time.
    for at in [
        "2026-01-05T10:05:00Z",
        "2026-01-05T11:05:00+01:00",
        "2026-01-05 04:35:00-05:30",
    ] {
        let (code, answer, talk) = trace(&[log, "203.0.113.7:1040", "--at", at]);
        assert_eq!((code, talk.as_str()), (Some(0), ""), "{at}");
        assert_eq!(who(&answer), ["100.64.3.7"], "{at}");
        let it = &answer["candidates"][0];
        assert_eq!(it["from"], "2026-01-05T10:01:00.000Z");
        assert_eq!(it["until"], "2026-01-05T10:10:00.000Z");
        assert_eq!(
            (&it["source"], &it["match"], &it["certain"]),
            (&"port_block".into(), &"held".into(), &true.into())
        );
        assert_eq!(it["ports"], serde_json::json!([1024, 1087]));
    }
    let (code, answer, _) = trace(&[log, "[2001:db8::7]:1087", "--at", "2026-01-05T10:05:00Z"]);
    assert_eq!((code, who(&answer)), (Some(0), vec!["fd00:0:0:9::/64"]));
    // Written otherwise, the address is the same.
    let (code, _, _) = trace(&[
        log,
        "[2001:0DB8:0:0::0:7]:1087",
        "--at",
        "2026-01-05T10:05:00Z",
    ]);
    assert_eq!(code, Some(0));
}

#[test]
fn the_exit_code_says_whether_anybody_is_possible() {
    let folder = folder();
    let log = file(&folder, &log());
    let log = log.to_str().unwrap();
    for (at, options, code, expected) in [
        ("2026-01-05T10:11:00.000Z", vec![], Some(1), vec![]),
        (
            "2026-01-05T10:10:05.000Z",
            vec![],
            Some(0),
            vec!["100.64.3.7"],
        ),
        (
            "2026-01-05T10:10:05.000Z",
            vec!["--within", "4.9"],
            Some(1),
            vec![],
        ),
        (
            "2026-01-05T10:11:00.000Z",
            vec!["--within", "60"],
            Some(0),
            vec!["100.64.3.7", "100.64.3.8"],
        ),
        (
            "2026-01-05T10:05:00Z",
            vec!["--protocol", "udp"],
            Some(1),
            vec![],
        ),
        ("2026-01-05T09:00:00Z", vec![], Some(1), vec![]),
        ("2026-01-05T19:00:00Z", vec![], Some(1), vec![]),
    ] {
        let mut arguments = vec![log, "203.0.113.7:1040", "--at", at];
        arguments.extend(options);
        let (got, answer, talk) = trace(&arguments);
        assert_eq!(
            (got, who(&answer)),
            (code, expected),
            "{arguments:?} {talk}"
        );
        assert_eq!(answer["found"], got == Some(0));
    }
}

#[test]
fn questions_that_are_none_are_usage_errors_that_say_what_is_missing() {
    let folder = folder();
    let log = file(&folder, &log());
    let log = log.to_str().unwrap();
    let at = "2026-01-05T10:05:00Z";
    for (arguments, said) in [
        (vec![log, "203.0.113.7:1040"], "--at TIME"),
        (
            vec![log, "203.0.113.7:1040", "--at", "2026-01-05T10:05:00"],
            "no zone",
        ),
        (
            vec![log, "203.0.113.7:1040", "--at", "2026-01-05 10:05:00"],
            "+01:00",
        ),
        (vec![log, "203.0.113.7:1040", "--at", "noon"], "RFC 3339"),
        (vec![log, "203.0.113.7", "--at", at], "no port"),
        (vec![log, "2001:db8::7", "--at", at], "[2001:db8::7]:40000"),
        (vec!["203.0.113.7:1040", log, "--at", at], "after the logs"),
        (
            vec![log, "203.0.113.7:1040", "--at", at, "--within", "soon"],
            "--within",
        ),
        (vec!["203.0.113.7:1040", "--at", at], "name a log"),
        (vec![], "203.0.113.7:40000"),
        (
            vec![log, "203.0.113.7:1040", "--at", at, "--protocol", "sctp"],
            "sctp",
        ),
    ] {
        let (code, _, talk) = trace(&arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {talk}");
        assert!(talk.contains(said), "{arguments:?}: {talk}");
    }
}

#[test]
fn a_bad_line_is_named_with_what_to_do() {
    let folder = folder();
    let at = ["203.0.113.7:1040", "--at", "2026-01-05T10:05:00Z"];
    let ask = |bytes: &[u8]| {
        let file = write(&folder, "bad.jsonl", bytes);
        let mut arguments = vec![file.to_str().unwrap().to_owned()];
        arguments.extend(at.map(str::to_owned));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (code, answer, talk) = trace(&arguments);
        (code, answer, talk)
    };
    let with = |line: usize, text: &str| {
        let mut lines = log();
        lines[line] = text.into();
        (lines.join("\n") + "\n").into_bytes()
    };
    for (text, said) in [
        ("{\"record\":\"event\",\"number\":4}", "missing field"),
        ("not json", "expected"),
        ("{}", "record"),
        (
            &block(4, 600, false, "x", "203.0.113.7", 1024).replace("tcp", "sctp"),
            "`sctp` is no protocol",
        ),
        (
            &block(4, 600, false, "x", "203.0.113.7", 1024).replace("[1024,1087]", "[1087,1024]"),
            "ports 1087 to 1024",
        ),
        (
            &block(4, 600, false, "x", "203.0.113.7", 1024)
                .replace("\"ports\":[1024,1087]", "\"port\":1"),
            "lacks `ports`",
        ),
        (
            &block(4, 600, false, "x", "203.0.113.7", 1024).replace("10:10:00.000Z", "10:10:00"),
            "a time such as",
        ),
    ] {
        let (code, _, talk) = ask(&with(4, text));
        assert_eq!(code, Some(1), "{text}: {talk}");
        assert!(
            talk.contains("line 5") && talk.contains(said),
            "{text}: {talk}"
        );
        assert!(talk.contains("take the line out"), "{talk}");
    }
    // What was said to do works, and the answer tells of it.
    let mut lines = log();
    lines.remove(4);
    let (code, answer, _) = ask((lines.join("\n") + "\n").as_bytes());
    assert_eq!(code, Some(0));
    assert_eq!(answer["candidates"][0]["certain"], false);
    assert_eq!(answer["logs"][0]["lacks"], 1);
    // Files that are no logs.
    for (bytes, said) in [
        (&b""[..], "empty"),
        (b"\x1f\x8b\x08\x00rest", "zcat"),
        (b"\xa1\xb2\xc3\xd4", "no event log"),
        (b"{\"schema_version\":1}\n", "no event log"),
    ] {
        let (code, _, talk) = ask(bytes);
        assert_eq!(code, Some(1), "{talk}");
        assert!(talk.contains(said), "{talk}");
    }
    let newer = HEADER.replace("\"schema_version\":1", "\"schema_version\":2");
    let with_less = newer.replace("\"hold_down_ms\"", "\"rest_ms\"");
    assert_ne!(with_less, newer);
    for newer in [newer, with_less] {
        let (code, _, talk) = ask(&with(0, &newer));
        assert_eq!(code, Some(1));
        assert!(talk.contains("schema version 2"), "{talk}");
        assert!(!talk.contains("no event log"), "{talk}");
    }
    let (code, _, talk) = trace(&[
        "/none/such.jsonl",
        "203.0.113.7:1040",
        "--at",
        "2026-01-05T10:05:00Z",
    ]);
    assert_eq!(code, Some(1));
    assert!(talk.contains("/none/such.jsonl"), "{talk}");
}

#[test]
fn a_log_that_was_cut_says_how_far_it_is_good() {
    let folder = folder();
    let whole = log().join("\n") + "\n";
    let cut = &whole[..whole.len() - 30];
    let file = write(&folder, "cut.jsonl", cut.as_bytes());
    let (code, answer, _) = trace(&[
        file.to_str().unwrap(),
        "203.0.113.7:1040",
        "--at",
        "2026-01-05T10:05:00Z",
    ]);
    assert_eq!(code, Some(0));
    let note = answer["notes"][0].as_str().unwrap();
    assert!(
        note.contains("in the middle of a line") && note.contains("10:12:00.000Z"),
        "{note}"
    );
    assert_eq!(answer["logs"][0]["complete"], false);
}

#[test]
fn stdin_and_several_logs_are_read() {
    let folder = folder();
    let lines = log();
    let text = lines.join("\n") + "\n";
    let mut child = Command::new(env!("CARGO_BIN_EXE_natshard"))
        .args([
            "trace",
            "-",
            "203.0.113.7:1040",
            "--at",
            "2026-01-05T10:05:00Z",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(
        shown.contains("100.64.3.7") && shown.contains("1024-1087"),
        "{shown}"
    );
    // In pieces, the later first.
    let (head, tail) = lines.split_at(3);
    let first = write(&folder, "a", (head.join("\n") + "\n").as_bytes());
    let second = write(&folder, "b", (tail.join("\n") + "\n").as_bytes());
    let (code, answer, _) = trace(&[
        second.to_str().unwrap(),
        first.to_str().unwrap(),
        "203.0.113.7:1040",
        "--at",
        "2026-01-05T10:05:00Z",
    ]);
    assert_eq!((code, who(&answer)), (Some(0), vec!["100.64.3.7"]));
    assert_eq!(answer["notes"], serde_json::json!([]));
}

/// RFC 7422, section 2.3: by the parameters in the header, without any event.
#[test]
fn deterministic_pools_are_computed_both_ways() {
    let folder = folder();
    let log = file(&folder, &log());
    let log = log.to_str().unwrap();
    let at = "2026-01-05T10:05:00Z";
    let (code, answer, _) = trace(&[log, "192.0.2.1:2001", "--at", at, "--protocol", "udp"]);
    assert_eq!((code, who(&answer)), (Some(0), vec!["100.64.0.0"]));
    let it = &answer["candidates"][0];
    assert_eq!(
        (&it["source"], &it["certain"]),
        (&"computed".into(), &true.into())
    );
    assert_eq!(it["ports"], serde_json::json!([1024, 5055]));
    // In all protocols, the same subscriber.
    let (_, answer, _) = trace(&[log, "192.0.2.1:40000", "--at", at]);
    assert_eq!(who(&answer), ["10.0.0.1"; 3]);
    // Dynamic ports are nobody's by computation.
    let (code, _, _) = trace(&[log, "192.0.2.1:58204", "--at", at]);
    assert_eq!(code, Some(1));
    // A time that the log does not cover makes it uncertain.
    let (code, answer, _) = trace(&[log, "192.0.2.1:2001", "--at", "2027-01-05T10:05:00Z"]);
    assert_eq!(code, Some(0));
    assert_eq!(answer["candidates"][0]["certain"], false);
    for (name, expected) in [
        ("100.64.0.1", [5056, 9087]),
        ("10.0.0.5", [53440, 57471]),
        ("9", [37312, 41343]),
    ] {
        let output = natshard(&["trace", log, "--subscriber", name, "--format", "json"]);
        assert_eq!(output.status.code(), Some(0), "{}", talk_of(&output));
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        let ranges = json["ranges"].as_array().unwrap();
        assert_eq!(ranges.len(), 3);
        assert_eq!(ranges[0]["address"], "192.0.2.1");
        assert_eq!(ranges[0]["ports"], serde_json::json!(expected), "{name}");
    }
    for nobody in ["14", "10.0.0.6", "203.0.113.1", "nobody"] {
        let output = natshard(&["trace", log, "--subscriber", nobody]);
        assert_eq!(output.status.code(), Some(1), "{nobody}");
    }
}

/// What a trace says of each packet of a replay is what the packet was inside.
#[test]
fn the_trace_of_every_translated_packet_is_its_inside_host() {
    let folder = folder();
    let mut frames = Vec::new();
    for host in 0..12 {
        for round in 0..2 {
            let at = 1000.0 + f64::from(round) * 700.0 + f64::from(host) * 3.0;
            let client = format!("192.168.5.{}:{}", host + 1, 3000 + round);
            let bytes = match host % 3 {
                0 => tcp(&client, SERVER, 2, b""),
                1 => udp(&client, SERVER, b"x"),
                _ => echo(
                    &format!("192.168.5.{}", host + 1),
                    "93.184.216.34",
                    8,
                    700 + round as u16,
                ),
            };
            frames.push(frame(at, bytes));
        }
    }
    frames.sort_by(|a, b| a.at.total_cmp(&b.at));
    let capture = write(&folder, "in.pcap", &pcap(PLAIN, RAW, &frames));
    let (log, out) = (folder.path().join("log"), folder.path().join("out.pcapng"));
    let files = [
        "--events",
        log.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
    ];
    replay_well(&files, &[&capture]);
    let mut asked = 0;
    for (inside, outside, nanos) in pairs(&out) {
        let source = |packet: &[u8]| {
            format!(
                "{}.{}.{}.{}",
                packet[12], packet[13], packet[14], packet[15]
            )
        };
        let (protocol, at) = match outside[9] {
            6 => ("tcp", 20),
            17 => ("udp", 20),
            _ => ("icmp", 24),
        };
        let port = u16::from_be_bytes([outside[at], outside[at + 1]]);
        let seconds = nanos / 1_000_000_000;
        let time = format!(
            "1970-01-01T00:{:02}:{:02}.{:03}Z",
            seconds / 60,
            seconds % 60,
            nanos / 1_000_000 % 1000
        );
        let public = format!("{}:{port}", source(&outside));
        let (code, answer, talk) = trace(&[
            log.to_str().unwrap(),
            &public,
            "--at",
            &time,
            "--protocol",
            protocol,
        ]);
        assert_eq!(code, Some(0), "{public} at {time}: {talk} {answer:#}");
        assert_eq!(
            who(&answer),
            [source(&inside)],
            "{public} at {time}: {answer:#}"
        );
        asked += 1;
    }
    assert_eq!(asked, frames.len());
}

/// Inside and outside of each packet that went out, and when.
fn pairs(out: &Path) -> Vec<(Vec<u8>, Vec<u8>, u64)> {
    let bytes = std::fs::read(out).unwrap();
    let word = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
    let mut packets = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if word(at) == 6 {
            let captured = word(at + 20) as usize;
            let nanos = u64::from(word(at + 12)) << 32 | u64::from(word(at + 16));
            packets.push((bytes[at + 28..at + 28 + captured].to_vec(), nanos));
        }
        at += word(at + 4) as usize;
    }
    packets
        .chunks(2)
        .map(|it| (it[0].0.clone(), it[1].0.clone(), it[0].1))
        .collect()
}

#[test]
fn the_book_has_every_key_of_the_json() {
    let folder = folder();
    let log = file(&folder, &log());
    let log = log.to_str().unwrap();
    let (_, answer, _) = trace(&[log, "203.0.113.7:1040", "--at", "2026-01-05T10:11:00.000Z"]);
    let (_, held, _) = trace(&[log, "203.0.113.7:1040", "--at", "2026-01-05T10:05:00Z"]);
    let (_, ranges, _) = trace(&[log, "--subscriber", "100.64.0.1"]);
    let objects = [
        &answer,
        &held["candidates"][0],
        &answer["neighbours"][0],
        &held["logs"][0],
        &ranges,
        &ranges["ranges"][0],
    ];
    let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/json.md");
    let book = std::fs::read_to_string(book).unwrap();
    let section = book
        .split("\n## ")
        .find(|it| it.starts_with("`natshard trace"));
    let section = section.unwrap();
    for object in objects {
        for key in object.as_object().unwrap().keys() {
            let named = [format!("`{key}`"), format!("`{key}[]"), format!(".{key}")];
            let is_named = named.iter().any(|it| section.contains(it));
            assert!(is_named || key == "schema_version", "{key}");
        }
    }
}
