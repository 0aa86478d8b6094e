//! What a replay writes, and what happens when it cannot.

mod common;
use common::*;

use std::path::Path;
use std::process::{Command, Stdio};

/// Interface, ticks and bytes of a packet.
type Packet = (u32, u64, Vec<u8>);

/// Interface names and packets of a pcapng file of this machine's byte
/// order.
fn read_pcapng(path: &Path) -> (Vec<String>, Vec<Packet>) {
    let bytes = std::fs::read(path).unwrap();
    let word = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
    let (mut names, mut packets) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < bytes.len() {
        let length = word(at + 4) as usize;
        assert_eq!(word(at + length - 4) as usize, length);
        match word(at) {
            1 => {
                let option = u16::from_ne_bytes([bytes[at + 16], bytes[at + 17]]);
                let length = u16::from_ne_bytes([bytes[at + 18], bytes[at + 19]]) as usize;
                assert_eq!(option, 2);
                let name = bytes[at + 20..at + 20 + length].to_vec();
                names.push(String::from_utf8(name).unwrap());
            }
            6 => {
                let captured = word(at + 20) as usize;
                let ticks = u64::from(word(at + 12)) << 32 | u64::from(word(at + 16));
                packets.push((
                    word(at + 8),
                    ticks,
                    bytes[at + 28..at + 28 + captured].to_vec(),
                ));
            }
            _ => {}
        }
        at += length;
    }
    (names, packets)
}

#[test]
fn out_holds_each_translated_packet_on_both_sides_with_its_timestamp() {
    let folder = folder();
    let frames = talk(ETHERNET, CLIENT, SERVER, 5);
    let file = write(&folder, "in.pcap", &pcap(PLAIN, ETHERNET, &frames));
    let out = folder.path().join("out.pcapng");
    replay_well(&["--out", out.to_str().unwrap()], &[&file]);
    let (names, packets) = read_pcapng(&out);
    assert_eq!(names, ["inside", "outside"]);
    assert_eq!(packets.len(), 20);
    for (at, captured) in frames.iter().enumerate() {
        let [first, second] = [&packets[2 * at], &packets[2 * at + 1]];
        let outbound = at % 2 == 0;
        assert_eq!((first.0, second.0), if outbound { (0, 1) } else { (1, 0) });
        let (inside, outside) = if outbound {
            (first, second)
        } else {
            (second, first)
        };
        assert_eq!(inside.2, captured.bytes);
        assert_ne!(outside.2, captured.bytes);
        let nanos = (captured.at.trunc() * 1e9) as u64 + (captured.at.fract() * 1e6) as u64 * 1000;
        assert_eq!((first.1, second.1), (nanos, nanos));
        // 203.0.113.0/24, as the source or the destination.
        let address = if outbound { 26 } else { 30 };
        assert_eq!(outside.2[address..address + 3], [203, 0, 113]);
    }
    // Nothing is left beside it.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn packets_of_several_link_types_get_pairs_of_interfaces() {
    let folder = folder();
    let file = |linktype| {
        let frames = talk(linktype, CLIENT, SERVER, 2);
        write(
            &folder,
            &linktype.to_string(),
            &pcap(PLAIN, linktype, &frames),
        )
    };
    let out = folder.path().join("out.pcapng");
    let options = ["--out", out.to_str().unwrap()];
    replay_well(&options, &[&file(RAW), &file(ETHERNET), &file(SLL)]);
    let (names, packets) = read_pcapng(&out);
    assert_eq!(names, ["inside", "outside"].repeat(3));
    assert_eq!(packets.len(), 3 * 8);
}

#[test]
fn a_full_disk_is_a_clear_error() {
    let folder = folder();
    let file = sample(&folder);
    for option in ["--out", "--report"] {
        let output = natshard(&["replay", option, "/dev/full", file.to_str().unwrap()]);
        let talk = talk_of(&output);
        assert_eq!(output.status.code(), Some(1), "{talk}");
        assert!(
            talk.contains("/dev/full") && talk.contains("No space left"),
            "{talk}"
        );
    }
}

#[test]
fn an_output_among_the_result_is_refused_and_leaves_nothing() {
    let folder = folder();
    let file = sample(&folder);
    for option in ["--out", "--report", "--events"] {
        for stdout in ["-", "/dev/stdout", "/dev/fd/1"] {
            let arguments = ["replay", option, stdout, file.to_str().unwrap()];
            let output = Command::new(env!("CARGO_BIN_EXE_natshard"))
                .args(arguments)
                .current_dir(folder.path())
                .output()
                .unwrap();
            let talk = talk_of(&output);
            assert_eq!(output.status.code(), Some(2), "{talk}");
            assert!(
                talk.contains(&format!("name a file for {option}")),
                "{talk}"
            );
            assert!(output.stdout.is_empty());
        }
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn an_output_that_cannot_be_made_is_a_clear_error_and_leaves_nothing() {
    let folder = folder();
    let file = sample(&folder);
    let missing = folder.path().join("no-such-folder/out.pcapng");
    for option in ["--out", "--report"] {
        for bad in [missing.as_path(), folder.path()] {
            let (code, _, talk) = replay(&[option, bad.to_str().unwrap()], &[&file]);
            assert_eq!(code, Some(1), "{talk}");
            assert!(talk.contains(bad.to_str().unwrap()), "{talk}");
        }
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_capture_that_fails_half_way_leaves_no_half_of_an_output() {
    let folder = folder();
    let good = sample(&folder);
    let out = folder.path().join("out.pcapng");
    std::fs::write(&out, b"what was here before").unwrap();
    // Read as a pipe, so that it is met only when the first one is replayed.
    let pipe = Path::new("/dev/null");
    let (code, _, talk) = replay(&["--out", out.to_str().unwrap()], &[&good, pipe]);
    assert_eq!(code, Some(1), "{talk}");
    assert_eq!(std::fs::read(&out).unwrap(), b"what was here before");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn an_input_is_never_overwritten() {
    let folder = folder();
    let file = sample(&folder);
    let before = std::fs::read(&file).unwrap();
    let link = folder.path().join("link.pcap");
    std::os::unix::fs::symlink(&file, &link).unwrap();
    for option in ["--out", "--report"] {
        let (code, _, talk) = replay(&[option, link.to_str().unwrap()], &[&file]);
        assert_eq!(code, Some(2), "{talk}");
        assert!(talk.contains("overwritten"), "{talk}");
    }
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[test]
fn the_report_is_a_page_about_this_run() {
    let folder = folder();
    let file = sample(&folder);
    let report = folder.path().join("r.html");
    replay_well(
        &["--report", report.to_str().unwrap(), "--shards", "2"],
        &[&file],
    );
    let page = std::fs::read_to_string(&report).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>"));
    for piece in ["sample.pcap", "203.0.113.0/24", "<svg", "--shards 2"] {
        assert!(page.contains(piece), "{piece}");
    }
}

#[test]
fn the_table_says_what_a_colleague_would_ask() {
    let folder = folder();
    let file = sample(&folder);
    let output = natshard(&["replay", file.to_str().unwrap()]);
    let text = String::from_utf8(output.stdout).unwrap();
    for piece in [
        "inside to outside",
        "sessions",
        "203.0.113.0/24",
        "byte for byte",
        "PASS",
    ] {
        assert!(text.contains(piece), "{piece} in\n{text}");
    }
    assert!(!text.contains('\x1b'), "colours where there is no terminal");
    assert_eq!(
        output.stderr, b"",
        "no progress bar where there is no terminal"
    );
    let coloured = natshard(&["replay", "--color", "always", file.to_str().unwrap()]);
    assert!(
        String::from_utf8(coloured.stdout)
            .unwrap()
            .contains("\x1b[1;32mPASS")
    );
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let folder = folder();
    let file = sample(&folder);
    for arguments in [
        vec!["replay", file.to_str().unwrap()],
        vec!["completions", "zsh"],
        vec!["man", "replay"],
    ] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_natshard"))
            .args(&arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert_eq!(output.stderr, b"", "{arguments:?}");
    }
}

#[test]
fn messages_about_an_output_name_it_and_not_the_temporary_file() {
    let folder = folder();
    let file = sample(&folder);
    let missing = folder.path().join("no-such-folder/out.pcapng");
    let (_, _, talk) = replay(&["--out", missing.to_str().unwrap()], &[&file]);
    assert!(talk.contains("No such file or directory"), "{talk}");
    assert_eq!(talk.matches("no-such-folder").count(), 1, "{talk}");
}
