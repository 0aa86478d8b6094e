//! Captures that are cut, damaged, empty, missing or something else; and several at once.

mod common;
use common::*;

use std::path::Path;

#[test]
fn a_capture_cut_inside_a_record_gives_what_is_before_it_and_a_warning() {
    let folder = folder();
    let frames = talk(ETHERNET, CLIENT, SERVER, 3);
    let whole = pcap(PLAIN, ETHERNET, &frames);
    let record = 16 + frames[0].bytes.len();
    for missing in [1, 5, record - 1, record - 16, record - 10] {
        let file = write(&folder, "cut.pcap", &whole[..whole.len() - missing]);
        let (code, json, talk) = replay(&[], &[&file]);
        assert_eq!(code, Some(0), "{talk}");
        assert_eq!(json["packets"]["read"], 5);
        assert_eq!(json["captures_cut_short"], 1);
        assert_balanced(&json);
        let offset = 24 + 5 * record;
        assert!(talk.contains("cut.pcap"), "{talk}");
        assert!(talk.contains(&format!("byte {offset}")), "{talk}");
    }
    // Cut between two records nobody can tell from a shorter capture.
    let file = write(&folder, "short.pcap", &whole[..whole.len() - record]);
    let (code, json, talk) = replay(&[], &[&file]);
    assert_eq!(
        (code, &json["packets"]["read"]),
        (Some(0), &5.into()),
        "{talk}"
    );
    assert_eq!(talk, "");
}

#[test]
fn what_is_no_capture_is_an_error_that_names_file_and_reason() {
    let folder = folder();
    for (name, bytes, reason) in [
        ("empty", &b""[..], "empty (0 bytes)"),
        ("text", b"hello, this is a text file and not a capture", "not a pcap or pcapng"),
        ("gzip", b"\x1f\x8b\x08\x00\x00\x00\x00\x00 and so on and so on, for ever", "gunzip"),
        ("header", b"\xd4\xc3\xb2\xa1\x02\x00\x04\x00", "inside its header"),
        ("one", b"\xd4", "not a pcap or pcapng"),
        ("ng", b"\x0a\x0d\x0d\x0a\x1c\x00\x00\x00", "inside its header"),
        (
            "magic",
            b"\x0a\x0d\x0d\x0a\x1c\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\x1c\x00\x00\x00",
            "byte-order magic",
        ),
    ] {
        let file = write(&folder, name, bytes);
        let output = natshard(&["replay".as_ref(), file.as_os_str()]);
        let talk = talk_of(&output);
        assert_eq!(output.status.code(), Some(1), "{talk}");
        assert!(talk.contains(name) && talk.contains(reason), "{talk}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_missing_file_and_a_directory_are_errors_before_anything_is_replayed() {
    let folder = folder();
    let good = sample(&folder);
    for bad in [
        folder.path().join("missing.pcap"),
        folder.path().to_path_buf(),
    ] {
        let output = natshard(&["replay".as_ref(), good.as_os_str(), bad.as_os_str()]);
        let talk = talk_of(&output);
        assert_eq!(output.status.code(), Some(1), "{talk}");
        assert!(talk.contains(bad.to_str().unwrap()), "{talk}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_capture_without_packets_is_fine() {
    let folder = folder();
    let file = write(&folder, "none.pcap", &pcap(PLAIN, ETHERNET, &[]));
    let out = folder.path().join("out.pcapng");
    let json = replay_well(&["--out", out.to_str().unwrap()], &[&file]);
    assert_eq!(json["packets"]["read"], 0);
    assert_eq!(json["packets_per_second"], 0);
    // What it writes is a capture without packets as well.
    assert_eq!(replay_well(&[], &[&out])["packets"]["read"], 0);
}

#[test]
fn flipped_bits_end_in_a_clear_error_or_in_counted_packets() {
    let folder = folder();
    let plain = pcap(PLAIN, ETHERNET, &talk(ETHERNET, CLIENT, SERVER, 4));
    let first = folder.path().join("translated.pcapng");
    let file = write(&folder, "plain.pcap", &plain);
    replay_well(&["--out", first.to_str().unwrap()], &[&file]);
    let pcapng = std::fs::read(&first).unwrap();
    let mut state = 88_172_645_463_325_252_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    for round in 0..120 {
        let mut bytes = if round % 2 == 0 {
            plain.clone()
        } else {
            pcapng.clone()
        };
        for _ in 0..=round % 5 {
            let at = random(bytes.len());
            bytes[at] ^= 1 << random(8);
        }
        let file = write(&folder, "flipped", &bytes);
        let (code, json, talk) = replay(&[], &[&file]);
        match code {
            Some(0) => assert_balanced(&json),
            Some(1) => assert!(talk.contains("flipped"), "{talk}"),
            other => panic!("{other:?}: {talk}\n{json:#}"),
        }
    }
}

#[test]
fn a_length_that_cannot_be_ends_the_file_without_a_huge_allocation() {
    let folder = folder();
    let mut file = pcap(PLAIN, ETHERNET, &talk(ETHERNET, CLIENT, SERVER, 1));
    let whole = file.len();
    file.extend([0; 8]);
    file.extend(0x7fff_ffff_u32.to_le_bytes());
    file.extend([0; 60]);
    let file = write(&folder, "huge.pcap", &file);
    let (code, json, talk) = replay(&[], &[&file]);
    assert_eq!(
        (code, &json["packets"]["read"]),
        (Some(0), &2.into()),
        "{talk}"
    );
    assert!(talk.contains(&format!("damaged at byte {whole}")), "{talk}");
}

#[test]
fn each_file_begins_where_the_one_before_ended_and_sessions_live_on() {
    let folder = folder();
    let data = on_link(ETHERNET, &udp(CLIENT, SERVER, b"question"));
    let answer = on_link(ETHERNET, &udp(SERVER, CLIENT, b"answer"));
    // The reply was captured decades before the request.
    let asks = write(
        &folder,
        "asks.pcap",
        &pcap(
            PLAIN,
            ETHERNET,
            &[frame(2e9, data.clone()), frame(2e9 + 7.0, data)],
        ),
    );
    let answers = write(
        &folder,
        "answers.pcap",
        &pcap(
            PLAIN,
            ETHERNET,
            &[frame(5.0, answer.clone()), frame(8.0, answer)],
        ),
    );
    let json = replay_well(&[], &[&asks, &answers]);
    assert_eq!(json["verify"]["round_trips"], 2);
    assert_eq!(json["sessions"]["created"], 1);
    let seconds = json["simulated_seconds"].as_f64().unwrap();
    assert!((seconds - 10.0).abs() < 0.1, "{seconds}");
    // The other way round nobody knows the flow yet.
    let json = replay_well(&[], &[&answers, &asks]);
    assert_eq!(json["packets"]["untouched"]["no_outbound_before"], 2);
    assert_eq!(json["verify"]["round_trips"], 0);
}

#[test]
fn a_pipe_is_replayed_like_a_file() {
    let capture = pcap(PLAIN, ETHERNET, &talk(ETHERNET, CLIENT, SERVER, 4));
    for (file, name) in [("/dev/stdin", "/dev/stdin"), ("-", "stdin")] {
        let words = ["replay", "--format", "json", file];
        let output = natshard_with_stdin(&words, &capture);
        assert_eq!(output.status.code(), Some(0), "{}", talk_of(&output));
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(json["verify"]["round_trips"], 4);
        assert_eq!(json["captures"], serde_json::json!([name]));
    }
    let demand = ["--subscribers", "9", "--no-simulate", "--format", "json"];
    let words = [&["plan", "--from-replay", "-"][..], &demand].concat();
    let output = natshard_with_stdin(&words, &capture);
    assert_eq!(output.status.code(), Some(0), "{}", talk_of(&output));
}

#[test]
fn what_comes_from_stdin_is_not_written_over() {
    let folder = folder();
    let file = sample(&folder);
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_natshard"))
        .args(["replay", "-", "--out"])
        .arg(&file)
        .stdin(std::fs::File::open(&file).unwrap())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(talk_of(&output).contains("would be overwritten"));
}

#[test]
fn what_cannot_be_read_is_said_once() {
    let output = natshard(&["replay", "/proc/self/mem"]);
    assert_eq!(output.status.code(), Some(1));
    let talk = talk_of(&output);
    assert_eq!(talk.matches("os error").count(), 1, "{talk}");
}

#[test]
fn without_a_file_the_sample_capture_is_replayed() {
    let json = replay_well(&[], &[]);
    assert!(
        json["verify"]["round_trips"].as_u64().unwrap() > 100,
        "{json:#}"
    );
    assert!(
        json["packets"]["translated"].as_u64() > Some(1000),
        "{json:#}"
    );
}

/// Set `NATSHARD_CAPTURES` to a folder of captures to run all of them, each alone and all at once.
#[test]
fn every_capture_of_a_folder_is_replayed_without_a_fault() {
    let Some(folder) = std::env::var_os("NATSHARD_CAPTURES") else {
        eprintln!("skipped: NATSHARD_CAPTURES names no folder of captures");
        return;
    };
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|it| it.unwrap().path())
        .filter(|it| {
            it.extension()
                .is_some_and(|it| it == "pcap" || it == "pcapng")
        })
        .collect();
    files.sort();
    assert!(
        !files.is_empty(),
        "no captures in {}",
        Path::new(&folder).display()
    );
    let mut alone = 0;
    for file in &files {
        eprintln!("{}", file.display());
        alone += replay_well(&[], &[file])["verify"]["round_trips"]
            .as_u64()
            .unwrap();
    }
    let all: Vec<&Path> = files.iter().map(AsRef::as_ref).collect();
    for shards in ["1", "3"] {
        let together = replay_well(&["--shards", shards], &all);
        let together = together["verify"]["round_trips"].as_u64().unwrap();
        assert!(together >= alone, "{together} together, {alone} alone");
    }
}
