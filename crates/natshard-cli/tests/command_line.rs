//! The frame of the program: help, versions, completions, exit codes.

mod common;
use common::*;

#[test]
fn help_and_version_are_data_and_mistakes_are_usage_errors() {
    for arguments in [
        &["--help"][..],
        &["--version"],
        &["replay", "--help"],
        &["check", "-h"],
    ] {
        let output = natshard(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(!output.stdout.is_empty());
    }
    for arguments in [
        &[][..],
        &["replay", "--no-such-option"],
        &["replay", "--shards", "0"],
        &["replay", "--shards", "129"],
        &["replay", "--amplify", "0"],
        &["replay", "--seed", "x"],
        &["replay", "--format", "xml"],
        &["completions", "nosuchshell"],
        &["replay", "-", "-"],
        &["replay", "-", "--config", "-"],
        &["plan", "--from-replay", "-", "--config", "-"],
        &[
            "trace",
            "-",
            "-",
            "192.0.2.1:1",
            "--at",
            "2026-01-05T10:00:00Z",
        ],
        &["check"],
    ] {
        let output = natshard(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn the_help_of_replay_names_every_option_of_the_contract() {
    let help = natshard(&["replay", "--help"]).stdout;
    let help = String::from_utf8(help).unwrap();
    for option in [
        "--config",
        "--out",
        "--report",
        "--format",
        "--shards",
        "--amplify",
        "--seed",
        "[FILE]...",
    ] {
        assert!(help.contains(option), "{option}");
    }
}

/// A page of the book.
fn page(name: &str) -> String {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::read_to_string(root.join("docs/src").join(name)).unwrap()
}

#[test]
fn the_book_has_every_option_in_its_tables() {
    for command in ["replay", "plan", "trace"] {
        let help = String::from_utf8(natshard(&[command, "--help"]).stdout).unwrap();
        let page = page(&format!("{command}.md"));
        let rows: String = page.lines().filter(|it| it.starts_with('|')).collect();
        let options = help
            .lines()
            // What begins further in is text that was wrapped.
            .filter_map(|line| line.strip_prefix("      "))
            .filter(|line| line.starts_with("--"))
            .map(|line| line.split([' ', '=']).next().unwrap());
        let options: Vec<_> = options.filter(|it| *it != "--color").collect();
        assert!(options.len() > 5, "{help}");
        for option in options {
            assert!(rows.contains(&format!("`{option}")), "{command} {option}");
        }
    }
}

#[test]
fn completions_and_manual_pages_are_written_to_stdout() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = natshard(&["completions", shell]);
        assert_eq!(output.status.code(), Some(0));
        assert!(
            String::from_utf8(output.stdout)
                .unwrap()
                .contains("amplify"),
            "{shell}"
        );
    }
    let page = String::from_utf8(natshard(&["man"]).stdout).unwrap();
    assert!(page.contains(".TH natshard 1") && page.contains("EXIT") | page.contains("Exit"));
    let page = String::from_utf8(natshard(&["man", "replay"]).stdout).unwrap();
    assert!(page.contains(".TH natshard-replay 1") && page.contains("amplify"));
    let output = natshard(&["man", "nosuchcommand"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(talk_of(&output).contains("replay"));
}

#[test]
fn a_wrong_configuration_is_exit_code_3_and_a_missing_one_1() {
    let folder = folder();
    let file = sample(&folder);
    let wrong = write(
        &folder,
        "wrong.toml",
        b"[[external-ip-address-pool]]\nnamee = 1\n",
    );
    let missing = folder.path().join("missing.toml");
    for (config, code) in [(&wrong, 3), (&missing, 1)] {
        let (exit, json, talk) = replay(&["--config", config.to_str().unwrap()], &[&file]);
        assert_eq!(exit, Some(code), "{talk}");
        assert!(
            talk.contains(config.file_name().unwrap().to_str().unwrap()),
            "{talk}"
        );
        assert_eq!(json, serde_json::Value::Null);
    }
}

#[test]
fn json_has_the_keys_of_schema_version_1() {
    let folder = folder();
    let json = replay_well(&[], &[&sample(&folder)]);
    assert_eq!(json["schema_version"], 1);
    for (section, keys) in [
        (
            "packets",
            &[
                "read",
                "translated",
                "inside_to_outside",
                "outside_to_inside",
                "untouched",
                "dropped",
            ][..],
        ),
        ("sessions", &["created", "expired", "peak"]),
        ("leases", &["allocated", "released", "peak", "refused"]),
        (
            "verify",
            &[
                "round_trips",
                "round_trip_mismatches",
                "bad_checksums",
                "duplicate_tuples",
                "hold_down_violations",
                "census_errors",
            ],
        ),
    ] {
        for key in keys {
            assert!(!json[section][key].is_null(), "{section}.{key}");
        }
    }
    assert!(json["elapsed_ms"].is_u64() && json["packets_per_second"].is_u64());
}

#[test]
fn no_line_of_a_result_ends_with_blanks_and_one_is_no_plural() {
    let folder = folder();
    let one = &talk(ETHERNET, CLIENT, SERVER, 1)[..1];
    let capture = write(&folder, "one.pcap", &pcap(PLAIN, ETHERNET, one));
    let log = folder.path().join("nat.jsonl");
    let replayed = ["replay", capture.to_str().unwrap()];
    let logged = [&replayed[..], &["--events", log.to_str().unwrap()]].concat();
    let config = |name: &str| format!("{}/examples-config/{name}", env!("CARGO_MANIFEST_DIR"));
    let (checked, fixed) = (config("tenants.toml"), config("deterministic.toml"));
    let plan = "plan --subscribers 1000 --activity 0.5 --ports 50 --moments 10";
    for words in [
        logged,
        vec!["replay", "--config", &checked],
        vec!["check", &checked],
        vec!["trace", "--config", &fixed, "203.0.113.3:5000"],
        vec!["trace", "--config", &fixed, "--subscriber", "100.64.2.147"],
        plan.split(' ').collect(),
        vec!["bench", "--quick", "--only", "memory"],
    ] {
        for color in ["never", "always"] {
            let output = natshard(&[&words[..], &["--color", color]].concat());
            let text = String::from_utf8(output.stdout).unwrap();
            assert!(text.lines().count() > 2, "{words:?}: {text}");
            for line in text.lines() {
                let line = line.trim_end_matches("\x1b[0m");
                assert_eq!(line, line.trim_end(), "{words:?}");
            }
        }
    }
    let text = String::from_utf8(natshard(&replayed).stdout).unwrap();
    assert!(text.contains(": 1 packet in "), "{text}");
}
