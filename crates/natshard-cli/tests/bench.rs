//! `natshard bench`: what its output is made of, not what it measures.

mod common;
use common::*;
use serde_json::Value;

#[test]
fn json_has_the_keys_of_the_contract() {
    let output = natshard(&[
        "bench",
        "--quick",
        "--threads",
        "1",
        "--only",
        "open address",
        "--only",
        "new flow",
        "--only",
        "memory",
        "--format",
        "json",
    ]);
    let talk = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{talk}");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["schema_version"], 1);
    assert_eq!(found["quick"], true);
    assert!(found["machine"]["processor"].is_string());
    let results = found["results"].as_array().unwrap();
    assert!(results.len() >= 4, "{results:?}");
    for row in results {
        assert!(row["case"].is_string() && row["implementation"].is_string());
        assert_eq!(row["threads"], 1);
        assert_eq!(row["refused"], 0);
        let figure = |key: &str| row["ns_per_op"][key].as_f64().unwrap();
        let (min, median, p99) = (figure("min"), figure("median"), figure("p99"));
        assert!(0.0 < min && min <= median && median <= p99, "{row}");
    }
    let memory = found["memory"].as_array().unwrap();
    let bytes = |what: &str| {
        let row = memory.iter().find(|it| it["what"] == what);
        row.unwrap_or_else(|| panic!("{what}: {memory:?}"))["bytes"]
            .as_f64()
            .unwrap()
    };
    assert_eq!(bytes("lease"), 16.0);
    // The program counts its heap: what is opened costs something.
    assert!(bytes("opened address, every port leased once") > 0.1);
}

#[test]
fn the_table_names_the_machine_the_switches_and_the_baseline() {
    let arguments = ["bench", "--quick", "--threads", "1", "--only", "new flow"];
    let output = natshard(&arguments);
    assert_eq!(output.status.code(), Some(0));
    let table = String::from_utf8(output.stdout).unwrap();
    let table = table.split_whitespace().collect::<Vec<_>>().join(" ");
    for word in [
        "hold-down 120 s",
        "bursts of 32",
        "ratio: to harness only",
        "a quick look",
    ] {
        assert!(table.contains(word), "{word}: {table}");
    }
}

#[test]
fn what_it_does_not_know_is_a_usage_error() {
    for arguments in [
        &["bench", "--only", "no such case"][..],
        &["bench", "--threads", "0"],
        &["bench", "--format", "xml"],
    ] {
        let output = natshard(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}
