//! Several captures as one: in order, each beginning where the one before ended.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::error::Complaint;
use super::reader::{Reader, Record};

/// What lies between the last packet of a capture and the first of the next.
const GAP: u64 = 1_000_000;

/// One capture to replay.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// A file, a pipe or a device.
    File(PathBuf),
    /// What is piped into the program.
    Stdin,
    /// A capture that is part of the program.
    Embedded {
        /// What messages call it.
        name: &'static str,
        /// The capture.
        bytes: &'static [u8],
    },
}

impl Source {
    /// Opens it and reads its header.
    ///
    /// # Errors
    /// When it cannot be opened, or is no capture.
    pub(crate) fn open(&self) -> Result<Reader<Box<dyn Read + Send>>> {
        let input: Box<dyn Read + Send> = match self {
            Source::File(path) => {
                let file = File::open(path).with_context(|| format!("cannot open {self}"))?;
                if file.metadata().is_ok_and(|meta| meta.is_dir()) {
                    anyhow::bail!("cannot read {self}: it is a directory; name the captures in it");
                }
                Box::new(file)
            }
            Source::Stdin => Box::new(io::stdin()),
            Source::Embedded { bytes, .. } => Box::new(Cursor::new(*bytes)),
        };
        Reader::new(input).with_context(|| format!("cannot read {self}"))
    }

    /// Whether reading it twice gives the same packets twice.
    pub(crate) fn is_repeatable(&self) -> bool {
        match self {
            Source::File(path) => fs::metadata(path).is_ok_and(|meta| meta.is_file()),
            Source::Stdin => false,
            Source::Embedded { .. } => true,
        }
    }

    /// The file, where it is one.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Source::File(path) => Some(path),
            Source::Stdin | Source::Embedded { .. } => None,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::File(path) => path.display().fmt(f),
            Source::Stdin => f.write_str("stdin"),
            Source::Embedded { name, .. } => f.write_str(name),
        }
    }
}

/// A frame with its place in the whole replay.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    /// Nanoseconds of replay time: since the first packet of the first capture, never less than
    /// before.
    pub(crate) clock: u64,
    /// Nanoseconds since 1970, as captured.
    pub(crate) at: u64,
    /// Which of the captures it is from, those without a frame not counted.
    pub(crate) capture: usize,
    /// `LINKTYPE_*`, where the file has one for it.
    pub(crate) linktype: Option<u32>,
    /// Length on the wire.
    pub(crate) wire_len: u32,
    /// The bytes captured.
    pub(crate) data: &'a [u8],
}

/// When a capture begins: by its own clock and in the replay.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Segment {
    /// The capture.
    pub(crate) name: String,
    /// Nanoseconds since 1970 of its first packet.
    pub(crate) at: u64,
    /// Nanoseconds of replay time of the same.
    pub(crate) clock: u64,
}

/// The frames of several captures.
pub(crate) struct Sequence<'s> {
    waiting: std::slice::Iter<'s, Source>,
    current: Option<Current<'s>>,
    clock: u64,
    segments: Vec<Segment>,
    /// Captures that ended before their end, with the reason.
    complaints: Vec<(&'s Source, Complaint)>,
}

struct Current<'s> {
    source: &'s Source,
    reader: Reader<Box<dyn Read + Send>>,
    /// Timestamp of its first frame, and the replay time of it.
    begins: Option<(u64, u64)>,
    record: Option<Record>,
}

impl<'s> Sequence<'s> {
    /// Of these captures, none of which is opened yet.
    pub(crate) fn new(sources: &'s [Source]) -> Self {
        Sequence {
            waiting: sources.iter(),
            current: None,
            clock: 0,
            segments: Vec::new(),
            complaints: Vec::new(),
        }
    }

    /// The next frame; `None` after the last capture.
    ///
    /// # Errors
    /// When a capture cannot be opened or is none. One that is cut or damaged further down is
    /// noted instead, see [`complaints`](Self::complaints).
    pub(crate) fn next(&mut self) -> Result<Option<Frame<'_>>> {
        loop {
            let Some(current) = &mut self.current else {
                let Some(source) = self.waiting.next() else {
                    return Ok(None);
                };
                self.current = Some(Current {
                    source,
                    reader: source.open()?,
                    begins: None,
                    record: None,
                });
                continue;
            };
            match current.reader.next() {
                Ok(Some(record)) => {
                    current.record = Some(record);
                    break;
                }
                Ok(None) => {}
                Err(complaint) => self.complaints.push((current.source, complaint)),
            }
            // The gap is only for a capture that took time.
            if current.begins.is_some() {
                self.clock += GAP;
            }
            self.current = None;
        }
        Ok(self.frame())
    }

    fn frame(&mut self) -> Option<Frame<'_>> {
        let current = self.current.as_mut()?;
        let record = current.record.as_ref()?;
        let (first, since) = *current.begins.get_or_insert_with(|| {
            self.segments.push(Segment {
                name: current.source.to_string(),
                at: record.at,
                clock: self.clock,
            });
            (record.at, self.clock)
        });
        // Packets that were captured out of order happen when they are met.
        let clock = since.saturating_add(record.at.saturating_sub(first));
        self.clock = self.clock.max(clock);
        Some(Frame {
            clock: self.clock,
            at: record.at,
            capture: self.segments.len() - 1,
            linktype: record.linktype,
            wire_len: record.wire_len,
            data: current.reader.frame(record),
        })
    }

    /// The captures whose first packet was met.
    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The captures that ended before their end, with the reason.
    pub(crate) fn into_complaints(self) -> Vec<(String, Complaint)> {
        let complaints = self.complaints.into_iter();
        complaints
            .map(|(source, why)| (source.to_string(), why))
            .collect()
    }
}
