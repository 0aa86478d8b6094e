//! `natshard check` as a user meets it: what goes where, and the exit codes.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples-config")
}

fn check(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_natshard"))
        .arg("check")
        .args(arguments)
        .current_dir(examples())
        .output()
        .expect("the program starts")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("the program writes UTF-8")
}

/// Exit code, stdout and stderr.
fn said(arguments: &[&str]) -> (i32, String, String) {
    let output = check(arguments);
    (
        output.status.code().expect("it was not killed"),
        text(&output.stdout).into(),
        text(&output.stderr).into(),
    )
}

#[test]
fn examples_are_understood_without_a_warning() {
    for (name, words) in [
        (
            "minimal.toml",
            ["internet", "1,032,192", "inside to outside"],
        ),
        (
            "carrier-grade.toml",
            ["subscribers", "65,632", "fd00:64::/32"],
        ),
        (
            "two-tenants.toml",
            ["tenant-b", "524,288", "port-preservation"],
        ),
        (
            "port-sets.toml",
            ["128 ports, 8 per subscriber, icmp 2", "total 600", "/56"],
        ),
        (
            "deterministic.toml",
            ["768 subscribers", "10.0.0.0/24", "48 to an address"],
        ),
        (
            "tenants.toml",
            ["gold (7): 1000 blocks", "500 at most", "16 blocks"],
        ),
    ] {
        let (code, out, talk) = said(&[name]);
        assert_eq!((code, talk.as_str()), (0, ""), "{name}");
        for word in words {
            assert!(out.contains(word), "{name}: {word}\n{out}");
        }
    }
}

#[test]
fn faults_are_talk_and_end_with_3() {
    let (code, out, talk) = said(&["faulty.toml"]);
    assert_eq!((code, out.as_str()), (3, ""));
    let expected = std::fs::read_to_string(examples().join("faulty.txt")).unwrap();
    assert_eq!(talk, expected);
    assert!(
        !talk.contains('\u{1b}'),
        "no colours where nobody sees them"
    );
}

#[test]
fn json_has_every_fault_with_line_column_and_help() {
    let (code, out, talk) = said(&["--format", "json", "faulty.toml"]);
    assert_eq!((code, talk.as_str()), (3, ""));
    let document: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(document["schema_version"], 1);
    assert_eq!(document["valid"], false);
    assert_eq!(document["configuration"], Value::Null);
    let faults = document["diagnostics"].as_array().unwrap();
    let table = std::fs::read_to_string(examples().join("faulty.txt")).unwrap();
    let headed = |word: &str| table.lines().filter(|it| it.starts_with(word)).count();
    assert_eq!(faults.len(), headed("error: ") + headed("warning: "));
    for fault in faults {
        assert!(matches!(
            fault["severity"].as_str(),
            Some("error" | "warning")
        ));
        assert!(!fault["message"].as_str().unwrap().is_empty());
        assert_eq!(fault["file"], "faulty.toml");
        let place = format!("faulty.toml:{}:{}", fault["line"], fault["column"]);
        assert!(table.contains(&place), "{place}");
    }
    assert_eq!(faults[0]["help"], "give 1 to 128");
}

#[test]
fn json_says_what_was_understood() {
    let (code, out, talk) = said(&["--format", "json", "carrier-grade.toml"]);
    assert_eq!((code, talk.as_str()), (0, ""));
    let document: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(document["valid"], true);
    assert_eq!(document["diagnostics"], serde_json::json!([]));
    let pool = &document["configuration"]["pools"][0];
    assert_eq!(pool["name"], "subscribers");
    assert_eq!(pool["addresses"], 65_632);
    assert_eq!(pool["ports"], serde_json::json!([1024, 65535]));
    assert_eq!(
        document["configuration"]["peerings"][0]["mapping_type"],
        "eim"
    );
}

#[test]
fn warnings_alone_end_with_0_and_stay_off_stdout() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("short.toml");
    let pool =
        "[[external-ip-address-pool]]\nname = \"p\"\nexternal-ip-pool = \"203.0.113.0/28\"\n";
    std::fs::write(&path, format!("[timers]\nudp-timeout = 30\n{pool}")).unwrap();
    let (code, out, talk) = said(&[path.to_str().unwrap()]);
    assert_eq!(code, 0);
    assert!(
        talk.starts_with("warning: `udp-timeout` of 30 s is short of"),
        "{talk}"
    );
    assert!(talk.ends_with(": 1 warning\n"), "{talk}");
    assert!(
        out.contains("203.0.113.0/28") && !out.contains("warning"),
        "{out}"
    );
}

#[test]
fn files_that_cannot_be_read_end_with_1() {
    let (code, out, talk) = said(&["missing.toml"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(
        talk.contains("cannot read missing.toml: there is no such file"),
        "{talk}"
    );
    let (code, _, talk) = said(&["."]);
    assert_eq!(code, 1);
    assert!(talk.contains("cannot read .: it is a directory"), "{talk}");
    let (code, out, _) = said(&["--format", "json", "missing.toml"]);
    assert_eq!(code, 1);
    let document: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(document["diagnostics"][0]["line"], Value::Null);
}

#[test]
fn files_that_are_no_configuration_end_with_3() {
    let folder = tempfile::tempdir().unwrap();
    let huge = vec![b'\n'; (4 << 20) + 1];
    for (name, bytes, expected) in [
        ("empty", &b""[..], "the configuration is empty"),
        (
            "latin-1",
            b"# caf\xe9\n",
            "not UTF-8: byte 0xe9 at offset 5",
        ),
        ("zeros", &[0; 4096], "error: "),
        ("huge", &huge, "larger than 4 MiB"),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let (code, out, talk) = said(&[path.to_str().unwrap()]);
        assert_eq!((code, out.as_str()), (3, ""), "{name}");
        assert!(talk.contains(expected), "{name}: {talk}");
    }
}

#[test]
fn a_configuration_comes_from_stdin_too() {
    let file = || std::fs::File::open(examples().join("minimal.toml")).unwrap();
    let check = |options: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_natshard"))
            .args(options)
            .stdin(file())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{options:?}");
        text(&output.stdout).to_owned()
    };
    let understood = check(&["check", "-"]);
    assert!(understood.starts_with("stdin: "), "{understood}");
    let json: Value = serde_json::from_str(&check(&["check", "-", "--format", "json"])).unwrap();
    assert_eq!(
        (&json["valid"], &json["file"]),
        (&true.into(), &"stdin".into())
    );
    // For other commands it is the same.
    let replayed = check(&["replay", "--config", "-"]);
    assert!(replayed.contains("203.0.113.0/28"), "{replayed}");
}

#[test]
fn a_command_line_without_a_file_ends_with_2() {
    let (code, _, talk) = said(&[]);
    assert_eq!(code, 2, "{talk}");
    let (code, _, talk) = said(&["--format", "yaml", "minimal.toml"]);
    assert_eq!(code, 2, "{talk}");
}
