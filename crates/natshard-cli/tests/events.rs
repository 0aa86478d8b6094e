//! `natshard replay --events`: what the log says is what happened.

mod common;
use common::*;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde_json::Value;

/// Replays with a log and reads it.
fn logged(options: &[&str], files: &[&Path]) -> (Value, Vec<Value>) {
    let folder = folder();
    let log = folder.path().join("log.jsonl");
    let mut all = vec!["--events", log.to_str().unwrap()];
    all.extend(options);
    let json = replay_well(&all, files);
    (json, lines(&log))
}

fn lines(log: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(log).unwrap();
    assert!(text.ends_with('\n'));
    let lines = text.lines().map(|it| serde_json::from_str(it).unwrap());
    lines.collect()
}

fn of<'a>(lines: &'a [Value], record: &str) -> Vec<&'a Value> {
    lines.iter().filter(|it| it["record"] == record).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[test]
fn a_log_has_header_clock_events_and_end_numbered_without_a_gap() {
    let folder = folder();
    let (json, lines) = logged(&[], &[&sample(&folder)]);
    for (number, line) in lines.iter().enumerate() {
        assert_eq!(line["number"], number);
    }
    let kinds: Vec<&str> = lines.iter().map(|it| text(&it["record"])).collect();
    assert_eq!(kinds, ["header", "clock", "event", "end"]);
    let header = &lines[0];
    assert_eq!(header["schema_version"], 1);
    assert_eq!(header["hold_down_ms"], 120_000);
    assert_eq!(header["leases"], true);
    assert_eq!(header["pools"][0]["name"], json["pools"][0]["name"]);
    let capture = text(&lines[1]["capture"]);
    assert!(capture.ends_with("sample.pcap"), "{capture}");
    assert_eq!(lines[1]["time"], "1970-01-01T00:16:40.000Z");
    let event = &lines[2];
    assert_eq!(
        (&event["event"], &event["name"]),
        (&8.into(), &"port_assigned".into())
    );
    assert_eq!(event["time"], "1970-01-01T00:16:40.000Z");
    assert_eq!(
        (&event["protocol"], &event["subscriber"]),
        (&"udp".into(), &"192.168.1.10".into())
    );
    assert_eq!(event["address"], "203.0.113.0");
    // That the program ends all sessions at its end is not part of the capture.
    assert_eq!(lines[3]["by_name"]["port_released"], Value::Null);
    assert_eq!(
        (&lines[3]["events"], &lines[3]["lost"]),
        (&1.into(), &0.into())
    );
}

/// Many hosts, several shards, sessions that end in a long pause: each lease is in the log, and
/// nobody has what another has.
#[test]
fn every_lease_and_release_is_in_the_log_and_no_two_overlap() {
    let folder = folder();
    let mut frames = Vec::new();
    for host in 0..200 {
        for round in 0..3 {
            let at = 1000.0 + f64::from(round) * 900.0 + f64::from(host) / 50.0;
            let client = format!("192.168.2.{}:{}", host + 1, 2000 + round);
            frames.push(frame(at, on_link(ETHERNET, &udp(&client, SERVER, b"x"))));
        }
    }
    frames.sort_by(|a, b| a.at.total_cmp(&b.at));
    let file = write(&folder, "many.pcap", &pcap(PLAIN, ETHERNET, &frames));
    for options in [
        &["--shards", "1"][..],
        &["--shards", "3"],
        &["--amplify", "7", "--shards", "2"],
    ] {
        let (json, lines) = logged(options, &[&file]);
        let events = of(&lines, "event");
        let count = |name: &str| events.iter().filter(|it| it["name"] == name).count();
        assert_eq!(json["leases"]["allocated"], count("port_assigned"));
        assert!(
            count("port_released") > 300,
            "{options:?}: {}",
            count("port_released")
        );
        assert_eq!(of(&lines, "lost").len(), 0);
        let mut held: HashMap<String, String> = HashMap::new();
        let mut before = None;
        for event in &events {
            let sequence = event["sequence"].as_u64();
            assert!(sequence > before, "{event}");
            before = sequence;
            let tuple = format!(
                "{} {} {}",
                event["protocol"], event["address"], event["ports"]
            );
            if event["name"] == "port_assigned" {
                let who = text(&event["subscriber"]).to_owned();
                assert_eq!(held.insert(tuple, who), None, "{event}");
            } else {
                assert!(held.remove(&tuple).is_some(), "{event}");
            }
        }
        let leased: u64 = json["pools"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["leased"].as_u64().unwrap())
            .sum();
        assert_eq!(held.len() as u64, leased, "{options:?}");
    }
}

#[test]
fn a_run_with_a_seed_writes_the_same_log_again() {
    let folder = folder();
    let frames: Vec<Frame> = (0..60)
        .map(|host| {
            let client = format!("192.168.3.{}:4000", host + 1);
            frame(
                1000.0 + f64::from(host) * 30.0,
                on_link(ETHERNET, &udp(&client, SERVER, b"x")),
            )
        })
        .collect();
    let file = write(&folder, "hosts.pcap", &pcap(PLAIN, ETHERNET, &frames));
    let options = ["--seed", "5", "--shards", "3"];
    let (_, first) = logged(&options, &[&file]);
    let (_, second) = logged(&options, &[&file]);
    assert!(first.len() > 60);
    assert_eq!(first, second);
}

/// Each capture has its own clock; a window of the replay never spans two.
#[test]
fn times_are_those_of_each_capture() {
    let folder = folder();
    let at =
        |seconds: f64, client: &str| frame(seconds, on_link(ETHERNET, &udp(client, SERVER, b"x")));
    let monday = [
        at(1000.0, "192.168.1.1:1000"),
        at(1000.5, "192.168.1.2:1000"),
    ];
    // A year later, and one that was captured before both.
    let later = [at(31_537_000.0, "192.168.1.3:1000")];
    let earlier = [at(500.25, "192.168.1.4:1000")];
    let names = ["monday.pcap", "later.pcap", "earlier.pcap"];
    let files: Vec<_> = [&monday[..], &later, &earlier]
        .iter()
        .zip(names)
        .map(|(frames, name)| write(&folder, name, &pcap(PLAIN, ETHERNET, frames)))
        .collect();
    let files: Vec<&Path> = files.iter().map(|it| it.as_path()).collect();
    let (_, lines) = logged(&[], &files);
    let times: BTreeMap<&str, &str> = of(&lines, "event")
        .iter()
        .map(|it| (text(&it["subscriber"]), text(&it["time"])))
        .collect();
    let expected = [
        ("192.168.1.1", "1970-01-01T00:16:40.000Z"),
        ("192.168.1.2", "1970-01-01T00:16:40.500Z"),
        ("192.168.1.3", "1971-01-01T00:16:40.000Z"),
        ("192.168.1.4", "1970-01-01T00:08:20.250Z"),
    ];
    assert_eq!(times, BTreeMap::from(expected));
    let clocks: Vec<(u64, &str)> = of(&lines, "clock")
        .iter()
        .map(|it| (it["engine_ms"].as_u64().unwrap(), text(&it["capture"])))
        .collect();
    assert_eq!(clocks.len(), 3);
    for ((engine, capture), (expected, name)) in
        clocks
            .iter()
            .zip([(0, names[0]), (501, names[1]), (502, names[2])])
    {
        assert_eq!(*engine, expected);
        assert!(capture.ends_with(name));
    }
}

#[test]
fn a_log_that_cannot_be_written_is_an_error_and_leaves_nothing() {
    let folder = folder();
    let file = sample(&folder);
    let into = |log: &str| {
        let output = natshard(&["replay", file.to_str().unwrap(), "--events", log]);
        (output.status.code(), talk_of(&output))
    };
    for stdout in ["-", "/dev/stdout"] {
        let (code, talk) = into(stdout);
        assert_eq!(code, Some(2), "{talk}");
        assert!(talk.contains("name a file"), "{talk}");
    }
    let (code, talk) = into(file.to_str().unwrap());
    assert_eq!(code, Some(2), "{talk}");
    let missing = folder.path().join("none/log.jsonl");
    let (code, talk) = into(missing.to_str().unwrap());
    assert_eq!(code, Some(1), "{talk}");
    assert!(talk.contains("log.jsonl"), "{talk}");
    let (code, talk) = into("/dev/full");
    assert_eq!(code, Some(1), "{talk}");
    assert!(talk.contains("/dev/full"), "{talk}");
    let twice = folder.path().join("both");
    let twice = twice.to_str().unwrap();
    let output = natshard(&[
        "replay",
        file.to_str().unwrap(),
        "--events",
        twice,
        "--out",
        twice,
    ]);
    assert_eq!(output.status.code(), Some(2));
    assert!(talk_of(&output).contains("two outputs"));
    // Only the capture is there.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// A quota is told with its limit, and a flood of subscribers too many with one event.
#[test]
fn limits_that_were_met_are_in_the_log() {
    let folder = folder();
    let config = folder.path().join("c.toml");
    let text_of = "[engine]\nlimit-subscribers = 3\n\
        [[external-ip-address-pool]]\nname = \"p\"\nexternal-ip-pool = \"203.0.113.0/26\"\n\
        port-quota = { tcp = 2, total = 3 }\n";
    std::fs::write(&config, text_of).unwrap();
    let (json, lines) = logged(&["--config", config.to_str().unwrap()], &[]);
    let pool = &lines[0]["pools"][0];
    assert_eq!(
        pool["subscriber_limit"],
        serde_json::json!({"tcp": 2, "total": 3})
    );
    let events = of(&lines, "event");
    let named = |name: &str| -> Vec<&Value> {
        let all = events.iter().filter(|it| it["name"] == name);
        all.copied().collect()
    };
    let quotas = named("quota_exceeded");
    assert!(!quotas.is_empty());
    for quota in quotas {
        let limit = (&quota["limit"], text(&quota["limit_of"]));
        assert!(limit == (&3.into(), "ports_in_all") || limit == (&2.into(), "ports"));
        assert_eq!(
            (&quota["event"], &quota["quota_event"]),
            (&13.into(), &3.into())
        );
    }
    let refused = &json["leases"]["refused"]["subscribers_full"];
    assert!(refused.as_u64().unwrap() > 100, "{refused}");
    let full = named("subscribers_exceeded");
    let [full] = full[..] else {
        panic!("{} events of {refused} refusals", full.len());
    };
    assert_eq!(
        (&full["limit"], &full["limit_of"]),
        (&3.into(), &"subscribers".into())
    );
    assert_eq!(
        (&full["event"], &full["quota_event"]),
        (&13.into(), &4.into())
    );
    assert_eq!(full["subscriber"], Value::Null);
}
