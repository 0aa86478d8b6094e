//! Captures made by hand, and the program run on them.
#![allow(dead_code, reason = "every test file uses a part of it")]

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// `LINKTYPE_*` values.
pub const NULL: u32 = 0;
pub const ETHERNET: u32 = 1;
pub const RAW: u32 = 101;
pub const LOOP: u32 = 108;
pub const SLL: u32 = 113;
pub const IPV4: u32 = 228;
pub const SLL2: u32 = 276;
pub const CISCO_HDLC: u32 = 104;

/// An inside host and what it talks to.
pub const CLIENT: &str = "192.168.1.10:40000";
pub const SERVER: &str = "93.184.216.34:80";
pub const CLIENT6: &str = "[fd00::10]:40000";
pub const SERVER6: &str = "[2606:2800:220:1::1]:80";

/// One captured frame.
#[derive(Clone)]
pub struct Frame {
    pub at: f64,
    pub bytes: Vec<u8>,
}

pub fn frame(at: f64, bytes: Vec<u8>) -> Frame {
    Frame { at, bytes }
}

fn end(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn sum(bytes: &[u8]) -> u32 {
    bytes
        .chunks(2)
        .map(|it| u32::from(it[0]) << 8 | it.get(1).map_or(0, |it| u32::from(*it)))
        .sum()
}

fn folded(mut sum: u32) -> [u8; 2] {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(it) => it.octets().to_vec(),
        IpAddr::V6(it) => it.octets().to_vec(),
    }
}

/// An IP packet with a payload whose checksum, at that offset, is computed here; `None` for none.
pub fn ip(
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    mut payload: Vec<u8>,
    checksum_at: Option<usize>,
) -> Vec<u8> {
    if let Some(at) = checksum_at {
        let mut total = sum(&payload);
        if protocol != 1 {
            total += sum(&octets(source)) + sum(&octets(destination));
            total += u32::from(protocol) + payload.len() as u32;
        }
        let checksum = match folded(total) {
            [0, 0] => [0xff, 0xff],
            other => other,
        };
        payload[at..at + 2].copy_from_slice(&checksum);
    }
    let mut packet = match (source, destination) {
        (IpAddr::V4(_), IpAddr::V4(_)) => {
            let mut header = vec![0x45, 0];
            header.extend((20 + payload.len() as u16).to_be_bytes());
            header.extend([0, 1, 0x40, 0, 64, protocol, 0, 0]);
            header.extend(octets(source));
            header.extend(octets(destination));
            let checksum = folded(sum(&header));
            header[10..12].copy_from_slice(&checksum);
            header
        }
        _ => {
            let mut header = vec![0x60, 0, 0, 0];
            header.extend((payload.len() as u16).to_be_bytes());
            header.extend([protocol, 64]);
            header.extend(octets(source));
            header.extend(octets(destination));
            header
        }
    };
    packet.extend(payload);
    packet
}

pub fn udp(source: &str, destination: &str, data: &[u8]) -> Vec<u8> {
    let (source, destination) = (end(source), end(destination));
    let mut payload = Vec::new();
    payload.extend(source.port().to_be_bytes());
    payload.extend(destination.port().to_be_bytes());
    payload.extend((8 + data.len() as u16).to_be_bytes());
    payload.extend([0, 0]);
    payload.extend(data);
    ip(source.ip(), destination.ip(), 17, payload, Some(6))
}

/// `flags` as in the TCP header: 2 SYN, 16 ACK, 1 FIN.
pub fn tcp(source: &str, destination: &str, flags: u8, data: &[u8]) -> Vec<u8> {
    let (source, destination) = (end(source), end(destination));
    let mut payload = Vec::new();
    payload.extend(source.port().to_be_bytes());
    payload.extend(destination.port().to_be_bytes());
    payload.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    payload.extend(data);
    ip(source.ip(), destination.ip(), 6, payload, Some(16))
}

/// An echo request (type 8 or 128) or reply (0 or 129).
pub fn echo(source: &str, destination: &str, kind: u8, identifier: u16) -> Vec<u8> {
    let mut payload = vec![kind, 0, 0, 0];
    payload.extend(identifier.to_be_bytes());
    payload.extend([0, 1, b'p', b'i', b'n', b'g']);
    let protocol = if kind >= 128 { 58 } else { 1 };
    ip(
        source.parse().unwrap(),
        destination.parse().unwrap(),
        protocol,
        payload,
        Some(2),
    )
}

/// An ICMP error of that type and code about `quoted`.
pub fn icmp_error(source: &str, destination: &str, kind: u8, code: u8, quoted: &[u8]) -> Vec<u8> {
    let mut payload = vec![kind, code, 0, 0, 0, 0, 0, 0];
    payload.extend(quoted);
    ip(
        source.parse().unwrap(),
        destination.parse().unwrap(),
        1,
        payload,
        Some(2),
    )
}

/// Puts an IP packet behind the header of a link type.
pub fn on_link(linktype: u32, packet: &[u8]) -> Vec<u8> {
    let is_v6 = packet[0] >> 4 == 6;
    let ethertype: [u8; 2] = if is_v6 { [0x86, 0xdd] } else { [0x08, 0x00] };
    let mut bytes = match linktype {
        NULL => vec![if is_v6 { 10 } else { 2 }, 0, 0, 0],
        LOOP => vec![0, 0, 0, if is_v6 { 24 } else { 2 }],
        ETHERNET => [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2], &ethertype[..]].concat(),
        SLL => [&[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0], &ethertype[..]].concat(),
        SLL2 => [
            &ethertype[..],
            &[0, 0, 0, 0, 0, 1, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0],
        ]
        .concat(),
        _ => Vec::new(),
    };
    bytes.extend(packet);
    bytes
}

/// How a pcap file is laid out.
#[derive(Clone, Copy)]
pub struct Layout {
    pub big_endian: bool,
    pub nanos: bool,
}

pub const PLAIN: Layout = Layout {
    big_endian: false,
    nanos: false,
};

/// A pcap file.
pub fn pcap(layout: Layout, linktype: u32, frames: &[Frame]) -> Vec<u8> {
    let word = |it: u32| match layout.big_endian {
        true => it.to_be_bytes(),
        false => it.to_le_bytes(),
    };
    let half = |it: u16| match layout.big_endian {
        true => it.to_be_bytes(),
        false => it.to_le_bytes(),
    };
    let (magic, ticks) = match layout.nanos {
        true => (0xa1b2_3c4d, 1e9),
        false => (0xa1b2_c3d4, 1e6),
    };
    let mut file = word(magic).to_vec();
    file.extend(half(2));
    file.extend(half(4));
    for field in [0, 0, 65535, linktype] {
        file.extend(word(field));
    }
    for frame in frames {
        file.extend(word(frame.at as u32));
        file.extend(word((frame.at.fract() * ticks) as u32));
        file.extend(word(frame.bytes.len() as u32));
        file.extend(word(frame.bytes.len() as u32));
        file.extend(&frame.bytes);
    }
    file
}

/// A flow: a request every second and its reply, `turns` times.
pub fn talk(linktype: u32, client: &str, server: &str, turns: u32) -> Vec<Frame> {
    let mut frames = Vec::new();
    for turn in 0..turns {
        let at = 1000.0 + f64::from(turn);
        let data = turn.to_be_bytes();
        frames.push(frame(at, on_link(linktype, &udp(client, server, &data))));
        frames.push(frame(
            at + 0.02,
            on_link(linktype, &udp(server, client, &data)),
        ));
    }
    frames
}

/// A folder for one test.
pub fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Writes a file into it.
pub fn write(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// A capture of one flow with five replies.
pub fn sample(folder: &TempDir) -> PathBuf {
    let frames = talk(ETHERNET, CLIENT, SERVER, 5);
    write(folder, "sample.pcap", &pcap(PLAIN, ETHERNET, &frames))
}

/// The program with arguments.
pub fn natshard<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_natshard"))
        .args(arguments)
        .output()
        .unwrap()
}

/// The program with arguments and these bytes on stdin, which it may leave unread.
pub fn natshard_with_stdin(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_natshard"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let _ = stdin.write_all(input);
        });
        child.wait_with_output().unwrap()
    })
}

/// What a run said on stderr.
pub fn talk_of(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// `natshard replay --format json` on files, with more options.
pub fn replay(options: &[&str], files: &[&Path]) -> (Option<i32>, Value, String) {
    let mut arguments = vec!["replay".to_string(), "--format".into(), "json".into()];
    arguments.extend(options.iter().map(ToString::to_string));
    arguments.extend(files.iter().map(|it| it.display().to_string()));
    let output = natshard(&arguments);
    let talk = talk_of(&output);
    let json = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.code(), json, talk)
}

/// A replay that must be faultless.
pub fn replay_well(options: &[&str], files: &[&Path]) -> Value {
    let (code, json, talk) = replay(options, files);
    assert_eq!(code, Some(0), "{talk}\n{json:#}");
    assert_balanced(&json);
    for fault in [
        "round_trip_mismatches",
        "bad_checksums",
        "duplicate_tuples",
        "hold_down_violations",
        "census_errors",
    ] {
        assert_eq!(json["verify"][fault], 0, "{fault}: {json:#}");
    }
    json
}

/// The sum of a map of counts.
pub fn total(counts: &Value) -> u64 {
    counts
        .as_object()
        .unwrap()
        .values()
        .map(|it| it.as_u64().unwrap())
        .sum()
}

/// Every packet read must be accounted for.
pub fn assert_balanced(json: &Value) {
    let packets = &json["packets"];
    let field = |name: &str| packets[name].as_u64().unwrap();
    assert_eq!(
        field("translated"),
        field("inside_to_outside") + field("outside_to_inside")
    );
    assert_eq!(
        field("read"),
        field("translated") + total(&packets["untouched"]) + total(&packets["dropped"]),
        "{json:#}"
    );
}
