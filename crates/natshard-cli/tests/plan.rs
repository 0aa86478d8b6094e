//! `natshard plan`: what it says, what it refuses, and that its two halves agree.

mod common;
use common::*;

use serde_json::Value;

/// Runs `natshard plan --format json` and expects it to be content.
fn plan(options: &str) -> Value {
    let (code, json, talk) = try_plan(options);
    assert_eq!(code, Some(0), "{options}: {talk}");
    json
}

fn try_plan(options: &str) -> (Option<i32>, Value, String) {
    let words = ["plan", "--format", "json"].into_iter();
    let arguments: Vec<_> = words.chain(options.split_whitespace()).collect();
    let output = natshard(&arguments);
    let json = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.code(), json, talk_of(&output))
}

fn figure(json: &Value) -> f64 {
    json.as_f64()
        .unwrap_or_else(|| panic!("{json} is no number"))
}

const SMALL: &str = "--subscribers 3000 --activity 0.4 --ports 30 --usable-ports 1024-3071";

#[test]
fn the_engine_refuses_what_was_computed_whatever_the_pooling() {
    for how in [
        "--pooling paired",
        "--pooling shared",
        "--pooling paired --ports-p99 200 --block-size 64",
        "--pooling shared --ports-p99 200 --block-size 16 --max-blocks 4",
        "--pooling paired --session-rate 0.2 --hold-down 60s --moments 70",
        "--pooling shared --session-rate 0.2 --hold-down 60s --moments 70",
        "--pooling paired --distribution poisson --refusal 1e-7",
    ] {
        let it = plan(&format!("{SMALL} {how}"));
        assert_eq!(it["simulation"]["confirmed"], true, "{how}: {it:#}");
        let runs = it["simulation"]["runs"].as_array().unwrap();
        let addresses = it["addresses"].as_u64().unwrap();
        assert!(
            runs.iter()
                .all(|it| it["exact"] == true && it["verdict"] != "differs")
        );
        assert!(runs.iter().any(|it| it["addresses"] == addresses));
        // With fewer addresses more is refused, and seen to be.
        let bounded = match how.contains("shared") {
            true => "short",
            false => "refused",
        };
        let seen = |run: &Value| match bounded {
            "short" => figure(&run["short"]["mean"]),
            _ => figure(&run["refused_share"]["mean"]),
        };
        for run in runs {
            let computed = figure(&run["computed"][bounded]);
            match run["addresses"].as_u64().unwrap() < addresses {
                true => assert!(
                    computed > figure(&it["refusal"]) && seen(run) > 0.0,
                    "{run:#}"
                ),
                false => assert!(computed <= figure(&it["refusal"]), "{run:#}"),
            }
        }
        assert!(
            runs.iter().any(|it| it["addresses"] == addresses - 1),
            "{how}"
        );
    }
}

#[test]
fn what_is_needed_lies_in_the_order_it_must() {
    let it = plan(&format!("{SMALL} --no-simulate"));
    let space = &it["spaces"][0];
    let needed = |how: &str| space[how]["addresses"].as_u64().unwrap();
    assert!(needed("average") <= needed("shared"));
    assert!(needed("shared") < needed("paired"));
    assert!(needed("paired") < needed("deterministic"));
    assert_eq!(it["addresses"], needed("paired"));
    assert_eq!(it["simulation"]["confirmed"], Value::Null);
    // The average refuses far more than was asked for.
    assert!(figure(&space["average"]["paired"]["refused"]) > 0.01);
    assert!(figure(&space["paired"]["error"]) < 1e-9);
    let curve = it["curve"].as_array().unwrap();
    for pair in curve.windows(2) {
        let [more, less] = [&pair[0], &pair[1]].map(|it| figure(&it["paired"]["refused"]));
        assert!(less <= more, "{pair:#?}");
    }
}

#[test]
fn each_protocol_has_ports_of_its_own_and_the_neediest_decides() {
    let it = plan(
        "--subscribers 20000 --activity 0.5 --ports icmp=1,udp=40,tcp=20 --session-rate udp=0.5 \
         --no-simulate",
    );
    let names: Vec<_> = it["spaces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["protocol"].clone())
        .collect();
    assert_eq!(names, ["tcp", "udp", "icmp"]);
    assert_eq!(it["deciding"], "udp");
    let spaces = &it["spaces"];
    assert_eq!(spaces[2]["ports_per_address"], 65_536);
    assert_eq!(it["addresses"], spaces[1]["paired"]["addresses"]);
    // Little: half a session a second rests 120 s.
    let resting = figure(&spaces[1]["taken"]["mean"]) - figure(&spaces[1]["leased"]["mean"]);
    assert!((resting - 60.0).abs() < 1e-6, "{resting}");
    assert_eq!(spaces[0]["taken"], spaces[0]["leased"]);
}

#[test]
fn a_limit_refuses_before_the_pool_does_and_needs_no_address() {
    let without = plan(&format!("{SMALL} --no-simulate"));
    let with = plan(&format!("{SMALL} --max-ports 40 --no-simulate"));
    let least = |it: &Value| it["addresses"].as_u64().unwrap();
    assert!(least(&with) < least(&without));
    assert!(figure(&with["spaces"][0]["refused_by_limit"]) > 0.1);
    assert_eq!(figure(&without["spaces"][0]["refused_by_limit"]), 0.0);
}

#[test]
fn a_million_subscribers_in_blocks_are_a_matter_of_seconds() {
    let it = plan(
        "--subscribers 1000000 --activity 0.3 --ports 80 --ports-p99 600 --block-size 128 \
         --max-blocks 8 --no-simulate",
    );
    let addresses = it["addresses"].as_u64().unwrap();
    assert!((700..1000).contains(&addresses), "{addresses}");
}

#[test]
fn a_seed_repeats_a_run_and_another_draws_another() {
    let run =
        |seed: &str| plan(&format!("{SMALL} --moments 20 --seed {seed}"))["simulation"].clone();
    assert_eq!(run("5"), run("5"));
    assert_ne!(run("5")["runs"][0]["asked"], run("6")["runs"][0]["asked"]);
}

#[test]
fn a_histogram_is_a_law_like_any_other() {
    let folder = folder();
    let file = write(
        &folder,
        "ports.csv",
        b"ports,subscribers\n10,1\n# and\n30;1\n",
    );
    let it = plan(&format!(
        "--subscribers 1000 --activity 1 --histogram {} --usable-ports 1-1000 --no-simulate",
        file.display()
    ));
    assert_eq!(figure(&it["spaces"][0]["leased"]["mean"]), 20.0);
    let wrong = write(&folder, "wrong.csv", b"1 2\n3 4 5\n");
    let (code, _, talk) = try_plan(&format!(
        "--subscribers 1000 --activity 1 --histogram {}",
        wrong.display()
    ));
    assert_eq!(code, Some(1));
    assert!(talk.contains("wrong.csv:2: `3 4 5`"), "{talk}");
}

#[test]
fn of_a_histogram_without_an_end_no_more_is_read_than_one_has() {
    // A pipe does not say beforehand how much will come.
    let mut endless = vec![b'#'; 17 << 20];
    endless.extend(b"\n10 1\n");
    let words = "plan --subscribers 10 --activity 1 --no-simulate --histogram /dev/stdin";
    let words: Vec<_> = words.split(' ').collect();
    let output = natshard_with_stdin(&words, &endless);
    assert_eq!(output.status.code(), Some(1));
    let talk = talk_of(&output);
    assert!(talk.contains("larger than 16777216 bytes"), "{talk}");
    assert_eq!(
        natshard_with_stdin(&words, b"10 1\n").status.code(),
        Some(0)
    );
}

#[test]
fn a_capture_shows_who_is_active_and_what_those_lease() {
    let mut frames = Vec::new();
    let mut say = |at: f64, from: &str, to: &str| {
        frames.push(frame(at, on_link(ETHERNET, &udp(from, to, b"hello"))));
    };
    // Three ports of one host, one of them towards two remote ends; one of another; and a third
    // host that comes last.
    say(0.0, "10.0.0.1:1001", "192.0.2.1:53");
    say(0.1, "10.0.0.1:1002", "192.0.2.1:53");
    say(0.2, "10.0.0.1:1003", "192.0.2.1:53");
    say(0.3, "10.0.0.1:1003", "192.0.2.2:53");
    say(0.4, "10.0.0.2:1001", "192.0.2.1:53");
    say(10.0, "10.0.0.3:1001", "192.0.2.1:53");
    let folder = folder();
    let file = write(&folder, "a.pcap", &pcap(PLAIN, ETHERNET, &frames));
    let file = file.to_str().unwrap();
    let (code, it, talk) = try_plan(&format!("--from-replay {file} --no-simulate"));
    assert_eq!(code, Some(0), "{talk}");
    // Few hosts are a bad sample, and that is said.
    assert!(
        talk.contains("warning") && talk.contains("3 hosts"),
        "{talk}"
    );
    let seen = &it["observed"];
    assert_eq!((&seen["hosts"], &it["subscribers"]), (&3.into(), &3.into()));
    // Looked at in seconds 0 to 10; the first look sees the first lease only.
    let near = |left: f64, right: f64| assert!((left - right).abs() < 1e-9, "{left} {right}");
    near(figure(&it["activity"]), (11.0 + 10.0 + 1.0) / 33.0);
    let space = &it["spaces"][0];
    assert_eq!(space["protocol"], "udp");
    near(
        figure(&space["leased"]["mean"]),
        (1.0 + 10.0 * 3.0 + 10.0 + 1.0) / 22.0,
    );
    // What the options say counts more.
    let it = plan(&format!(
        "--subscribers 5000 --activity 50% --from-replay {file} --pooling shared --moments 20"
    ));
    assert_eq!(
        (&it["subscribers"], figure(&it["activity"])),
        (&5000.into(), 0.5)
    );
    assert_eq!(it["simulation"]["confirmed"], true);
}

#[test]
fn without_a_file_the_sample_is_replayed() {
    let it = plan("--subscribers 100 --from-replay --no-simulate");
    assert_eq!(
        it["observed"]["captures"],
        serde_json::json!(["sample capture"])
    );
    assert!(it["addresses"].as_u64().unwrap() >= 1);
}

#[test]
fn what_cannot_be_is_a_usage_error_that_says_what_to_do() {
    for (options, word) in [
        ("", "--ports"),
        ("--subscribers 10 --ports 5", "--activity"),
        ("--subscribers 10 --activity 0 --ports 5", "30%"),
        ("--subscribers 10 --activity 1 --ports 0", "tcp=80"),
        (
            "--subscribers 10 --activity 1 --ports 5 --block-size 100",
            "64 or 128",
        ),
        (
            "--subscribers 10 --activity 1 --ports 5 --max-blocks 2",
            "--block-size",
        ),
        (
            "--subscribers 10 --activity 1 --ports 5 --ports-p99 1000",
            "--histogram",
        ),
        (
            "--subscribers 10 --activity 1 --ports 5 --distribution log-normal",
            "--ports-p99",
        ),
        (
            "--subscribers 10 --activity 1 --ports 5 --ports-p99 9 --distribution fixed",
            "log-normal",
        ),
        (
            "--subscribers 10 --activity 1 --ports tcp=5 --session-rate 1",
            "tcp=0.5",
        ),
        (
            "--subscribers 10 --activity 1 --ports 5 --usable-ports 9-1",
            "1024-65535",
        ),
        (
            "--subscribers 10 --activity 1 --ports 5 --config c.toml",
            "--from-replay",
        ),
        (
            "--subscribers 10 --activity 1 --ports 5 --refusal 0.9",
            "0.5",
        ),
        (
            "--subscribers 10 --activity 1 --ports 5 --hold-down 1y",
            "120s",
        ),
        (
            "--subscribers 10 --activity 1 --ports 5 --hold-down 1s",
            "--session-rate or --from-replay",
        ),
        (
            "--subscribers 10 --activity 1 --ports 5 --refusal 0",
            "from 1e-12 to 0.5, or per cent: 1e-4 or 0.01%",
        ),
        (
            "--subscribers 10 --activity 1 --ports 5 --refusal 1",
            "from 1e-12 to 0.5, or per cent: 1e-4 or 0.01%",
        ),
        ("--subscribers 10 --activity 1 --ports 70000", "65536"),
        (
            "--subscribers 10 --from-replay --session-rate 1",
            "--session-rate",
        ),
    ] {
        let (code, json, talk) = try_plan(options);
        assert_eq!(code, Some(2), "{options}: {talk}");
        assert_eq!(json, Value::Null);
        assert!(talk.contains(word), "{options}: {talk}");
    }
}

#[test]
fn what_fails_says_why() {
    let folder = folder();
    let wrong = write(
        &folder,
        "wrong.toml",
        b"[[external-ip-address-pool]]\nnamee = 1\n",
    );
    let quiet = write(&folder, "quiet.pcap", &pcap(PLAIN, ETHERNET, &[]));
    for (options, code, word) in [
        (
            "--from-replay /nowhere.pcap".to_string(),
            1,
            "/nowhere.pcap",
        ),
        (
            format!("--from-replay {}", quiet.display()),
            1,
            "no inside host",
        ),
        (
            format!("--from-replay --config {}", wrong.display()),
            3,
            "wrong.toml",
        ),
        (
            "--subscribers 10 --activity 1 --histogram /nowhere.csv".into(),
            1,
            "/nowhere.csv",
        ),
        (
            "--subscribers 10 --activity 1 --ports 3000 --usable-ports 1-4000".into(),
            1,
            "--max-ports",
        ),
    ] {
        let (found, json, talk) = try_plan(&options);
        assert_eq!(found, Some(code), "{options}: {talk}");
        assert_eq!(json, Value::Null);
        assert!(talk.contains(word), "{options}: {talk}");
    }
}

#[test]
fn the_table_says_the_same_in_words() {
    let words = format!("plan {SMALL}");
    let output = natshard(&words.split_whitespace().collect::<Vec<_>>());
    let text = String::from_utf8(output.stdout).unwrap();
    let json = plan(SMALL);
    let answer = format!("CONFIRMED  {} addresses, paired", json["addresses"]);
    assert!(text.contains(&answer), "{text}");
    for word in [
        "3,000 subscribers, 40 % of them active",
        "shared pooling",
        "RFC 7422",
        "seed 1",
        "agrees",
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
    assert!(!text.contains('\x1b'));
}
