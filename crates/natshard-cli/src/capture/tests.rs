//! Captures that nobody wrote on purpose.

use std::io::{Cursor, Read};

use proptest::prelude::*;

use super::error::{Complaint, NotACapture};
use super::reader::{Reader, Record};

/// A small capture of each format, byte order and resolution.
fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (magic, big_endian) in [
        ([0xd4, 0xc3, 0xb2, 0xa1], false),
        ([0x4d, 0x3c, 0xb2, 0xa1], false),
        ([0xa1, 0xb2, 0xc3, 0xd4], true),
        ([0xa1, 0xb2, 0x3c, 0x4d], true),
    ] {
        let word = |it: u32| match big_endian {
            true => it.to_be_bytes(),
            false => it.to_le_bytes(),
        };
        let mut file = magic.to_vec();
        file.extend(match big_endian {
            true => [0, 2, 0, 4],
            false => [2, 0, 4, 0],
        });
        for field in [0, 0, 65535, 1] {
            file.extend(word(field));
        }
        for length in [4_u32, 60, 0, 33] {
            for field in [1_600_000_000, 5, length, length] {
                file.extend(word(field));
            }
            file.extend(vec![7; length as usize]);
        }
        seeds.push(file);
    }
    for big_endian in [false, true] {
        let word = |it: u32| match big_endian {
            true => it.to_be_bytes(),
            false => it.to_le_bytes(),
        };
        let block = |kind: u32, body: &[u8]| {
            let length = word(body.len() as u32 + 12);
            [&word(kind)[..], &length, body, &length].concat()
        };
        let header = [&word(0x1a2b_3c4d)[..], &[1, 0, 0, 0], &[0xff; 8]].concat();
        let linktype = if big_endian { [0, 1] } else { [1, 0] };
        let interface = [&linktype[..], &[0; 2], &word(0)].concat();
        let packet = |length: u32| {
            let mut body = Vec::new();
            for field in [0, 0x5000, 77, length, length] {
                body.extend(word(field));
            }
            body.extend(vec![9; length.next_multiple_of(4) as usize]);
            body
        };
        seeds.push(
            [
                block(0x0a0d_0d0a, &header),
                block(1, &interface),
                block(6, &packet(61)),
                block(3, &[&word(8)[..], &[3; 8]].concat()),
                block(2, &packet(4)),
            ]
            .concat(),
        );
    }
    seeds
}

/// Gives a few bytes at a time.
struct Trickle<'b>(&'b [u8], usize);

impl Read for Trickle<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let length = self.1.min(into.len()).min(self.0.len());
        let (now, later) = self.0.split_at(length);
        into[..length].copy_from_slice(now);
        self.0 = later;
        Ok(length)
    }
}

/// All records and how the file ends, as far as it can be read.
type Contents = Result<(Vec<(Record, Vec<u8>)>, Option<String>), String>;

fn read_all(input: impl Read) -> Contents {
    let mut reader = Reader::new(input).map_err(|error| error.to_string())?;
    let mut records = Vec::new();
    loop {
        match reader.next() {
            Ok(Some(mut record)) => {
                let bytes = reader.frame(&record).to_vec();
                // Where the bytes lay in the buffer depends on how they came.
                record.data = 0..bytes.len();
                records.push((record, bytes));
            }
            Ok(None) => return Ok((records, None)),
            Err(complaint) => {
                assert!(
                    matches!(reader.next(), Ok(None)),
                    "nothing comes after a complaint"
                );
                return Ok((records, Some(complaint.to_string())));
            }
        }
    }
}

#[test]
fn each_format_is_read_to_its_end() {
    for (at, seed) in seeds().into_iter().enumerate() {
        let (records, complaint) = read_all(Cursor::new(seed)).unwrap();
        assert_eq!(complaint, None, "{at}");
        assert_eq!(records.len(), if at < 4 { 4 } else { 3 }, "{at}");
        assert!(records.iter().all(|(it, _)| it.linktype == Some(1)), "{at}");
    }
}

#[test]
fn a_capture_cut_anywhere_says_so_unless_it_ends_with_a_record() {
    for seed in seeds() {
        let (whole, _) = read_all(Cursor::new(&seed)).unwrap();
        for length in 0..seed.len() {
            match read_all(Cursor::new(&seed[..length])) {
                Ok((records, complaint)) => {
                    assert!(whole.starts_with(&records));
                    if let Some(complaint) = complaint {
                        assert!(complaint.contains("cut short"), "{complaint}");
                    }
                }
                Err(error) => assert!(length < 28, "{length}: {error}"),
            }
        }
    }
}

#[test]
fn an_io_error_is_passed_on_and_what_came_before_is_kept() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the cable was pulled"))
        }
    }
    assert!(matches!(Reader::new(Broken), Err(NotACapture::Io(_))));
    let seed = &seeds()[0];
    let mut reader = Reader::new(Cursor::new(seed).chain(Broken)).unwrap();
    let mut records = 0;
    let complaint = loop {
        match reader.next() {
            Ok(Some(_)) => records += 1,
            Ok(None) => panic!("the error was lost"),
            Err(complaint) => break complaint,
        }
    };
    assert_eq!(records, 4);
    assert!(matches!(complaint, Complaint::Io { at, .. } if at == seed.len() as u64));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("PROPTEST_CASES").ok().and_then(|it| it.parse().ok()).unwrap_or(2000)
    ))]

    /// Whatever the bytes: no panic, an end, and the same whether they come at once or in pieces.
    #[test]
    fn mutated_captures_are_read_the_same_in_one_piece_and_in_many(
        seed in proptest::sample::select(seeds()),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        tail in prop::collection::vec(any::<u8>(), 0..40),
        piece in 1_usize..40,
    ) {
        let mut bytes = seed;
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.extend(tail);
        let at_once = read_all(Cursor::new(&bytes));
        let in_pieces = read_all(Trickle(&bytes, piece));
        prop_assert_eq!(&at_once, &in_pieces);
        if let Ok((records, _)) = at_once {
            let used: usize = records.iter().map(|(_, bytes)| bytes.len()).sum();
            prop_assert!(used <= bytes.len(), "more was read than there is");
        }
    }

    /// What is no capture at all.
    #[test]
    fn arbitrary_bytes_are_refused_or_read_to_an_end(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let _ = read_all(Cursor::new(bytes));
    }
}
