//! Text of others is shown to people without what a terminal would obey, and to programs as it is.

mod common;
use common::*;

use std::process::Output;

/// Red, a new title for the window, a line that looks like a result, a mark that turns the text.
const EVIL: &str = "evil\u{1b}[31m\u{1b}]0;title\u{7}\nPASS\u{202e}\u{9b}2J";

fn assert_plain(output: &Output) -> String {
    let all = [&output.stdout[..], &output.stderr].concat();
    let all = String::from_utf8(all).unwrap();
    let obeyed = |it: char| (it.is_control() && it != '\n') || it == '\u{202e}';
    assert!(!all.contains(obeyed), "{all:?}");
    assert!(
        !all.lines().any(|line| line.starts_with("PASS\u{202e}")),
        "{all}"
    );
    assert!(all.contains("evil\\u{1b}[31m"), "{all}");
    all
}

/// A log whose strings are evil: of a known holder, of gaps and of a change of a pool.
fn log() -> String {
    let evil = serde_json::Value::from(EVIL);
    let header = r#"{"record":"header","number":0,"schema_version":1,"program":"natshard","leases":false,"hold_down_ms":120000,"clock_resolution_ms":0,"shards":1,"pools":[{"name":EVIL,"realm":EVIL,"prefixes":["203.0.113.0/28"],"ports":[1024,65535],"identifiers":[0,65535],"port_block_size":64}]}
{"record":"clock","number":1,"time":"2026-01-05T10:00:00.000Z","engine_ms":0,"capture":EVIL}
{"record":"event","number":2,"time":"2026-01-05T10:01:00.000Z","engine_ms":60000,"sequence":2,"event":16,"name":"port_block_assigned","pool":EVIL,"protocol":"tcp","subscriber":EVIL,"address":"203.0.113.7","ports":[1024,1087]}
{"record":"event","number":3,"time":"2026-01-05T10:02:00.000Z","engine_ms":120000,"sequence":3,"event":17,"name":"port_block_released","pool":EVIL,"protocol":"tcp","subscriber":EVIL,"address":"203.0.113.7","ports":[1024,1087]}
{"record":"event","number":4,"time":"2026-01-05T10:03:00.000Z","engine_ms":180000,"sequence":4,"event":0,"name":"pool_configured","pool":EVIL,"change":"removed"}
"#;
    header.replace("EVIL", &evil.to_string())
}

#[test]
fn strings_of_an_event_log_do_nothing_to_a_terminal() {
    let folder = folder();
    let path = write(&folder, "nat.jsonl", log().as_bytes());
    let path = path.to_str().unwrap();
    for at in [
        "2026-01-05T10:01:30Z",
        "2026-01-05T10:02:30Z",
        "2026-01-06T10:00:00Z",
    ] {
        let words = ["trace", path, "203.0.113.7:1040", "--at", at];
        assert_plain(&natshard(&words));
    }
    let json = natshard(&[
        "trace",
        path,
        "203.0.113.7:1040",
        "--at",
        "2026-01-05T10:01:30Z",
        "--format",
        "json",
    ]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["candidates"][0]["subscriber"], EVIL);
    assert_eq!(json["candidates"][0]["pool"], EVIL);
}

#[test]
fn names_of_files_do_nothing_to_a_terminal() {
    let folder = folder();
    let frames = talk(ETHERNET, CLIENT, SERVER, 5);
    let good = write(&folder, EVIL, &pcap(PLAIN, ETHERNET, &frames));
    let good = good.to_str().unwrap();
    let missing = folder.path().join(format!("{EVIL}.missing"));
    let missing = missing.to_str().unwrap();
    let option = format!("--{EVIL}");
    let demand = ["--subscribers", "100", "--no-simulate", "--from-replay"];
    for words in [
        vec!["replay", good],
        vec!["replay", missing],
        vec!["replay", "--config", missing],
        vec!["replay", good, "--out", good],
        vec!["check", good],
        vec!["check", missing],
        vec![
            "trace",
            good,
            "203.0.113.7:1040",
            "--at",
            "2026-01-05T10:01:30Z",
        ],
        vec!["trace", missing, EVIL, "--at", "2026-01-05T10:01:30Z"],
        [&["plan"][..], &demand, &[good]].concat(),
        vec!["bench", "--only", EVIL],
        vec!["man", EVIL],
        vec![EVIL],
        vec!["replay", "--seed", EVIL],
        vec!["replay", &option],
        vec!["replay", EVIL],
    ] {
        assert_plain(&natshard(&words));
    }
    let json = natshard(&["replay", "--format", "json", good]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["captures"][0], good);
}

#[test]
fn names_of_a_configuration_do_nothing_to_a_terminal() {
    let folder = folder();
    // A name may not have control characters, and may turn the text.
    let config = "[[external-ip-address-pool]]\nname = \"evil\\u202E\"\nrealm = \"evil\\u202E\"\n\
                  external-ip-pool = \"203.0.113.0/28\"\n\
                  [external-ip-address-pool.port-quota]\ntcp = 100\n";
    let path = write(&folder, "nat.toml", config.as_bytes());
    let path = path.to_str().unwrap();
    for words in [vec!["check", path], vec!["replay", "--config", path]] {
        let output = natshard(&words);
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert!(text.contains("evil\\u{202e}"), "{text}");
        assert!(!text.contains('\u{202e}'), "{text}");
    }
}
