//! What pcapng blocks say. The framing is the library's; their contents are read here, leniently:
//! an option that is malformed is ignored, since no option is worth losing a packet for.

use pcap_file::Endianness;
use pcap_file::pcapng::blocks::{
    ENHANCED_PACKET_BLOCK, INTERFACE_DESCRIPTION_BLOCK, PACKET_BLOCK, SECTION_HEADER_BLOCK,
    SIMPLE_PACKET_BLOCK,
};

use super::reader::Record;

/// More interfaces than this in one section are not described but spoilt.
const MAX_INTERFACES: usize = 1 << 16;

struct Interface {
    linktype: u32,
    snap_len: u32,
    /// Ticks per second.
    resolution: Resolution,
    /// Seconds to add to every timestamp.
    offset: i64,
}

#[derive(Clone, Copy)]
enum Resolution {
    Decimal(u32),
    Binary(u32),
}

impl Resolution {
    fn nanos(self, ticks: u64) -> u128 {
        let ticks = u128::from(ticks);
        match self {
            Resolution::Decimal(digits @ ..=9) => ticks * 10u128.pow(9 - digits),
            Resolution::Decimal(digits) => 10u128
                .checked_pow(digits - 9)
                .map_or(0, |divisor| ticks / divisor),
            Resolution::Binary(bits @ ..=64) => (ticks * 1_000_000_000) >> bits,
            Resolution::Binary(_) => 0,
        }
    }
}

/// A section of a pcapng file: what later blocks are read by.
pub(super) struct Section {
    pub(super) endianness: Endianness,
    interfaces: Vec<Interface>,
    /// The last timestamp, for simple packet blocks, which have none.
    last: u64,
}

impl Default for Section {
    fn default() -> Self {
        Section {
            endianness: Endianness::Big,
            interfaces: Vec::new(),
            last: 0,
        }
    }
}

impl Section {
    /// Whether these four bytes are the byte-order magic of a section header.
    pub(super) fn is_magic(bytes: &[u8]) -> bool {
        matches!(bytes, [0x1a, 0x2b, 0x3c, 0x4d] | [0x4d, 0x3c, 0x2b, 0x1a])
    }

    /// Takes note of a block, or finds the packet in it; the range is one of `body`.
    pub(super) fn take(&mut self, kind: u32, body: &[u8]) -> Result<Option<Record>, &'static str> {
        match kind {
            SECTION_HEADER_BLOCK => {
                // The library has seen to the magic.
                self.endianness = match body {
                    [0x1a, ..] => Endianness::Big,
                    _ => Endianness::Little,
                };
                self.interfaces.clear();
                Ok(None)
            }
            INTERFACE_DESCRIPTION_BLOCK => {
                if self.interfaces.len() == MAX_INTERFACES {
                    return Err("more interfaces than any capture has");
                }
                let interface = self.interface(body).ok_or("interface block too short")?;
                self.interfaces.push(interface);
                Ok(None)
            }
            ENHANCED_PACKET_BLOCK => {
                let field = |at| self.u32(body, at).ok_or("packet block too short");
                let interface = field(0)? as usize;
                self.packet(
                    body,
                    interface,
                    [field(4)?, field(8)?, field(12)?, field(16)?],
                )
            }
            PACKET_BLOCK => {
                let field = |at| self.u32(body, at).ok_or("packet block too short");
                let interface = self.u16(body, 0).ok_or("packet block too short")?;
                self.packet(
                    body,
                    usize::from(interface),
                    [field(4)?, field(8)?, field(12)?, field(16)?],
                )
            }
            SIMPLE_PACKET_BLOCK => {
                let wire_len = self.u32(body, 0).ok_or("packet block too short")?;
                let interface = self.interfaces.first();
                let snap_len = match interface {
                    Some(Interface { snap_len: 1.., .. }) => interface.map(|it| it.snap_len),
                    _ => None,
                };
                let length = wire_len.min(snap_len.unwrap_or(u32::MAX)) as usize;
                if length > body.len() - 4 {
                    return Err("a packet longer than its block");
                }
                Ok(Some(Record {
                    at: self.last,
                    linktype: interface.map(|it| it.linktype),
                    wire_len,
                    data: 4..4 + length,
                }))
            }
            _ => Ok(None),
        }
    }

    fn packet(
        &mut self,
        body: &[u8],
        interface: usize,
        [high, low, captured, wire_len]: [u32; 4],
    ) -> Result<Option<Record>, &'static str> {
        let captured = captured as usize;
        if captured > body.len() - 20 {
            return Err("a packet longer than its block");
        }
        let interface = self.interfaces.get(interface);
        let ticks = u64::from(high) << 32 | u64::from(low);
        let at = match interface {
            Some(interface) => {
                let nanos = interface.resolution.nanos(ticks).min(i128::MAX as u128) as i128;
                let nanos = nanos.saturating_add(i128::from(interface.offset) * 1_000_000_000);
                nanos.clamp(0, i128::from(u64::MAX)) as u64
            }
            None => self.last,
        };
        self.last = at;
        Ok(Some(Record {
            at,
            linktype: interface.map(|it| it.linktype),
            wire_len,
            data: 20..20 + captured,
        }))
    }

    fn interface(&self, body: &[u8]) -> Option<Interface> {
        let mut interface = Interface {
            linktype: u32::from(self.u16(body, 0)?),
            snap_len: self.u32(body, 4)?,
            resolution: Resolution::Decimal(6),
            offset: 0,
        };
        let mut at = 8;
        while let (Some(code @ 1..), Some(length)) = (self.u16(body, at), self.u16(body, at + 2)) {
            let length = usize::from(length);
            let Some(value) = body.get(at + 4..at + 4 + length) else {
                break;
            };
            match (code, value) {
                (9, &[resolution]) => {
                    interface.resolution = match resolution {
                        0..0x80 => Resolution::Decimal(resolution.into()),
                        _ => Resolution::Binary(u32::from(resolution) & 0x7f),
                    }
                }
                (14, value) if length == 8 => {
                    let words = (self.u32(value, 0)?, self.u32(value, 4)?);
                    let (high, low) = match self.endianness {
                        Endianness::Big => words,
                        Endianness::Little => (words.1, words.0),
                    };
                    interface.offset = (u64::from(high) << 32 | u64::from(low)) as i64;
                }
                _ => {}
            }
            at += 4 + length.next_multiple_of(4);
        }
        Some(interface)
    }

    fn u16(&self, bytes: &[u8], at: usize) -> Option<u16> {
        let bytes = bytes.get(at..at + 2)?.try_into().ok()?;
        Some(match self.endianness {
            Endianness::Big => u16::from_be_bytes(bytes),
            Endianness::Little => u16::from_le_bytes(bytes),
        })
    }

    fn u32(&self, bytes: &[u8], at: usize) -> Option<u32> {
        let bytes = bytes.get(at..at + 4)?.try_into().ok()?;
        Some(match self.endianness {
            Endianness::Big => u32::from_be_bytes(bytes),
            Endianness::Little => u32::from_le_bytes(bytes),
        })
    }
}
