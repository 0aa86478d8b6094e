//! One capture file as a stream of records.

use std::io::{ErrorKind, Read};
use std::ops::Range;

use byteorder_slice::{BigEndian, LittleEndian};
use pcap_file::Endianness;
use pcap_file::pcap::{PcapHeader, PcapParseError, PcapTsResolution, RawPcapPacket};
use pcap_file::pcapng::{RawBlock, RawBlockParseError};

use super::error::{Complaint, NotACapture};
use super::pcapng::Section;

/// The longest record that is believed: twice what any capture program writes by default for the
/// largest frames (Wireshark refuses more than 256 KiB per packet).
const MAX_RECORD: usize = 1 << 20;
/// The longest pcapng block of another kind: name resolution, decryption secrets and the like.
const MAX_BLOCK: usize = 64 << 20;
/// How much is read at once.
const CHUNK: usize = 256 << 10;

/// One captured frame; [`Reader::frame`] has its bytes until the next one is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// Nanoseconds since 1970, as captured.
    pub(crate) at: u64,
    /// `LINKTYPE_*`, or `None` where the file names an interface that it does not describe.
    pub(crate) linktype: Option<u32>,
    /// Length of the frame on the wire; fewer bytes may have been captured.
    pub(crate) wire_len: u32,
    /// Where its bytes are; seen from the end of its header while it is being decoded.
    pub(super) data: Range<usize>,
}

enum Format {
    Pcap(PcapHeader),
    PcapNg(Section),
}

/// Reads a capture from any stream of bytes.
pub(crate) struct Reader<R> {
    input: R,
    format: Format,
    buffer: Vec<u8>,
    /// The unread part of `buffer` starts here.
    start: usize,
    /// Offset in the file of `buffer[start]`.
    offset: u64,
    ended: bool,
}

impl<R: Read> Reader<R> {
    /// Reads the header of a capture.
    ///
    /// # Errors
    /// [`NotACapture`] for anything but a pcap or pcapng file.
    pub(crate) fn new(input: R) -> Result<Self, NotACapture> {
        let header = PcapHeader::default();
        let mut reader = Reader {
            input,
            format: Format::Pcap(header),
            buffer: Vec::new(),
            start: 0,
            offset: 0,
            ended: false,
        };
        while reader.rest().len() < 28 && !reader.ended {
            reader.fill()?;
        }
        let first = reader.rest();
        if first.is_empty() {
            return Err(NotACapture::Empty);
        }
        if first.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]) {
            if first.len() < 28 {
                return Err(NotACapture::HeaderCut(first.len() as u64));
            }
            if !Section::is_magic(&first[8..12]) {
                return Err(NotACapture::BadHeader("no byte-order magic".into()));
            }
            // The header itself is the first block of the stream.
            reader.format = Format::PcapNg(Section::default());
            return Ok(reader);
        }
        match PcapHeader::from_slice(first) {
            Ok((_, header)) => {
                reader.format = Format::Pcap(header);
                reader.consume(24);
                Ok(reader)
            }
            Err(PcapParseError::IncompleteBuffer(..)) if is_pcap_magic(first) => {
                Err(NotACapture::HeaderCut(first.len() as u64))
            }
            Err(_) => Err(NotACapture::foreign(first)),
        }
    }

    /// The next frame; `None` at the end of the file.
    ///
    /// # Errors
    /// [`Complaint`] where the rest of the file cannot be used; there is nothing after it.
    pub(crate) fn next(&mut self) -> Result<Option<Record>, Complaint> {
        loop {
            let step = match &mut self.format {
                Format::Pcap(header) => pcap_step(header, &self.buffer[self.start..]),
                Format::PcapNg(section) => pcapng_step(section, &self.buffer[self.start..]),
            };
            match step {
                Step::Packet(length, mut record) => {
                    record.data = self.start + record.data.start..self.start + record.data.end;
                    self.consume(length);
                    return Ok(Some(record));
                }
                Step::Other(length) => self.consume(length),
                Step::Damaged(what) => {
                    self.ended = true;
                    self.start = self.buffer.len();
                    return Err(Complaint::Damaged {
                        at: self.offset,
                        what,
                    });
                }
                Step::More(needs) => {
                    let has = self.rest().len();
                    if self.ended {
                        self.start = self.buffer.len();
                        if has == 0 {
                            return Ok(None);
                        }
                        return Err(Complaint::Cut {
                            at: self.offset,
                            needs: needs as u64,
                            has: has as u64,
                        });
                    }
                    if let Err(error) = self.fill() {
                        self.ended = true;
                        self.start = self.buffer.len();
                        return Err(Complaint::Io {
                            at: self.offset,
                            error,
                        });
                    }
                }
            }
        }
    }

    /// The bytes of the record that [`next`](Self::next) gave last.
    pub(crate) fn frame(&self, record: &Record) -> &[u8] {
        &self.buffer[record.data.clone()]
    }

    fn rest(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    fn consume(&mut self, length: usize) {
        self.start += length;
        self.offset += length as u64;
    }

    /// Reads another chunk behind what is unread. The buffer grows by what arrives, never by what
    /// a length field claims.
    fn fill(&mut self) -> std::io::Result<()> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let had = self.buffer.len();
        self.buffer.resize(had + CHUNK, 0);
        let got = loop {
            match self.input.read(&mut self.buffer[had..]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        let got = got.inspect_err(|_| self.buffer.truncate(had))?;
        self.buffer.truncate(had + got);
        self.ended = got == 0;
        Ok(())
    }
}

enum Step {
    /// A record of so many bytes with a packet in it.
    Packet(usize, Record),
    /// A record of so many bytes with nothing to replay.
    Other(usize),
    /// The record needs so many bytes.
    More(usize),
    Damaged(String),
}

fn is_pcap_magic(first: &[u8]) -> bool {
    matches!(
        first,
        [0xa1, 0xb2, 0xc3, 0xd4, ..]
            | [0xd4, 0xc3, 0xb2, 0xa1, ..]
            | [0xa1, 0xb2, 0x3c, 0x4d, ..]
            | [0x4d, 0x3c, 0xb2, 0xa1, ..]
    )
}

fn pcap_step(header: &PcapHeader, rest: &[u8]) -> Step {
    const RECORD_HEADER: usize = 16;
    let parsed = match header.endianness {
        Endianness::Big => RawPcapPacket::from_slice::<BigEndian>(rest),
        Endianness::Little => RawPcapPacket::from_slice::<LittleEndian>(rest),
    };
    match parsed {
        Ok((_, raw)) => {
            let length = raw.data.len();
            if length > MAX_RECORD {
                return Step::Damaged(too_long(length));
            }
            let fraction = match header.ts_resolution {
                PcapTsResolution::MicroSecond => u64::from(raw.ts_frac) * 1000,
                PcapTsResolution::NanoSecond => u64::from(raw.ts_frac),
            };
            let packet = Record {
                at: u64::from(raw.ts_sec) * 1_000_000_000 + fraction,
                // The upper bits tell of a frame check sequence.
                linktype: Some(u32::from(header.datalink) & 0xffff),
                wire_len: raw.orig_len,
                data: RECORD_HEADER..RECORD_HEADER + length,
            };
            Step::Packet(RECORD_HEADER + length, packet)
        }
        Err(PcapParseError::IncompleteBuffer(needs, _)) if rest.len() < RECORD_HEADER => {
            Step::More(needs)
        }
        Err(PcapParseError::IncompleteBuffer(needs, _)) if needs > MAX_RECORD => {
            Step::Damaged(too_long(needs))
        }
        Err(PcapParseError::IncompleteBuffer(needs, _)) => Step::More(RECORD_HEADER + needs),
        Err(error) => Step::Damaged(error.to_string()),
    }
}

fn pcapng_step(section: &mut Section, rest: &[u8]) -> Step {
    let parsed = match section.endianness {
        Endianness::Big => RawBlock::from_slice::<BigEndian>(rest),
        Endianness::Little => RawBlock::from_slice::<LittleEndian>(rest),
    };
    match parsed {
        Ok((_, block)) => {
            let length = block.initial_len as usize;
            match section.take(block.type_, &block.body) {
                Ok(Some(packet)) if packet.data.len() > MAX_RECORD => {
                    Step::Damaged(too_long(packet.data.len()))
                }
                Ok(Some(mut packet)) => {
                    // Behind the block's type and length.
                    packet.data = packet.data.start + 8..packet.data.end + 8;
                    Step::Packet(length, packet)
                }
                Ok(None) => Step::Other(length),
                Err(what) => Step::Damaged(what.into()),
            }
        }
        Err(RawBlockParseError::IncompleteBuffer(..)) if rest.len() < 12 => Step::More(12),
        Err(RawBlockParseError::IncompleteBuffer(needs, _)) if needs > MAX_BLOCK => {
            Step::Damaged(format!("a block of {needs} bytes"))
        }
        Err(RawBlockParseError::IncompleteBuffer(needs, _)) => Step::More(needs + 8),
        Err(error) => Step::Damaged(error.to_string()),
    }
}

fn too_long(length: usize) -> String {
    format!("a packet of {length} bytes, no capture holds one above {MAX_RECORD}")
}
