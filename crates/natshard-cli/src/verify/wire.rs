//! Where the headers of a frame are: the verifier's own reading of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP: u8 = 1;
const ICMP6: u8 = 58;

/// An IP packet within a frame, or quoted within another packet.
#[derive(Clone, Debug)]
pub(crate) struct Ip<'f> {
    pub(super) header: &'f [u8],
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    /// Protocol of the payload.
    pub(crate) protocol: u8,
    /// What follows the headers, as far as it was captured.
    pub(super) payload: &'f [u8],
    /// Bytes of payload that the headers announce.
    pub(super) payload_len: usize,
    /// Offset of the payload in its datagram.
    pub(super) fragment_offset: usize,
    /// Whether more fragments follow.
    pub(super) more_fragments: bool,
}

/// One end of a flow as the wire shows it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct WireEnd {
    /// IP protocol number; ICMP and ICMPv6 are told apart by the address.
    pub(crate) protocol: u8,
    /// Port, or identifier of an ICMP query.
    pub(crate) port: u16,
    /// Address.
    pub(crate) address: IpAddr,
}

impl<'f> Ip<'f> {
    /// The outermost IP packet of a frame of this `LINKTYPE_*`.
    pub(crate) fn of_frame(linktype: u16, frame: &'f [u8]) -> Option<Self> {
        Self::parse(frame.get(network(linktype, frame)?..)?)
    }

    /// The packet that begins here.
    pub(super) fn parse(packet: &'f [u8]) -> Option<Self> {
        match packet.first()? >> 4 {
            4 => Self::v4(packet),
            6 => Self::v6(packet),
            _ => None,
        }
    }

    fn v4(packet: &'f [u8]) -> Option<Self> {
        let length = usize::from(packet.first()? & 15) * 4;
        let header = packet.get(..length.max(20))?;
        // Segmentation offload leaves 0 here: all that is there.
        let total = match be16(header, 2)? {
            0 => packet.len(),
            total => usize::from(total),
        };
        let fragment = be16(header, 6)?;
        Some(Ip {
            source: IpAddr::from(<[u8; 4]>::try_from(&header[12..16]).ok()?),
            destination: IpAddr::from(<[u8; 4]>::try_from(&header[16..20]).ok()?),
            protocol: header[9],
            payload: packet.get(length..total.min(packet.len()))?,
            payload_len: total.checked_sub(length)?,
            fragment_offset: usize::from(fragment & 0x1fff) * 8,
            more_fragments: fragment & 0x2000 != 0,
            header: &header[..length],
        })
    }

    fn v6(packet: &'f [u8]) -> Option<Self> {
        let header = packet.get(..40)?;
        let end = match be16(header, 4)? {
            0 if header[6] != 0 => packet.len(),
            length => 40 + usize::from(length),
        };
        let mut at = 40;
        let mut next = header[6];
        let mut fragment = (0, false);
        loop {
            let length = match next {
                0 | 43 | 60 => 8 * (1 + usize::from(*packet.get(at + 1)?)),
                44 => {
                    let field = be16(packet, at + 2)?;
                    fragment = (usize::from(field & !7), field & 1 != 0);
                    8
                }
                _ => break,
            };
            next = *packet.get(at)?;
            at += length;
            // What follows the header of a later fragment is data.
            if fragment.0 != 0 {
                break;
            }
        }
        Some(Ip {
            source: IpAddr::from(<[u8; 16]>::try_from(&header[8..24]).ok()?),
            destination: IpAddr::from(<[u8; 16]>::try_from(&header[24..40]).ok()?),
            protocol: next,
            payload: packet.get(at..end.min(packet.len()))?,
            payload_len: end.checked_sub(at)?,
            fragment_offset: fragment.0,
            more_fragments: fragment.1,
            header,
        })
    }

    /// Whether every byte that the transport checksum covers is here.
    pub(super) fn is_whole(&self) -> bool {
        self.fragment_offset == 0 && !self.more_fragments && self.payload.len() >= self.payload_len
    }

    /// What the transport checksum covers, and the length in its pseudo-header: of UDP what the
    /// UDP header says, for there may be something behind it.
    pub(super) fn covered(&self) -> (&'f [u8], usize) {
        match (self.protocol, be16(self.payload, 4)) {
            (UDP, Some(length))
                if self.is_whole() && (8..=self.payload.len()).contains(&length.into()) =>
            {
                (&self.payload[..length.into()], length.into())
            }
            _ => (self.payload, self.payload_len),
        }
    }

    /// Where the transport checksum is within the payload; `None` where there is none to check.
    pub(super) fn checksum_at(&self) -> Option<usize> {
        if self.fragment_offset != 0 {
            return None;
        }
        match (self.protocol, self.source) {
            (TCP, _) => Some(16),
            (UDP, _) => Some(6),
            (ICMP, IpAddr::V4(_)) | (ICMP6, IpAddr::V6(_)) => Some(2),
            _ => None,
        }
    }

    /// Whether it is UDP that says that it has no checksum.
    pub(super) fn is_unchecked_udp(&self) -> bool {
        self.protocol == UDP && be16(self.payload, 6) == Some(0)
    }

    /// The packet that an ICMP error quotes.
    pub(super) fn quoted(&self) -> Option<Ip<'f>> {
        if self.fragment_offset != 0 {
            return None;
        }
        let is_error = match (self.protocol, self.source) {
            (ICMP, IpAddr::V4(_)) => matches!(self.payload.first()?, 3 | 4 | 11 | 12),
            (ICMP6, IpAddr::V6(_)) => matches!(self.payload.first()?, 1..=4),
            _ => false,
        };
        if is_error {
            Self::parse(self.payload.get(8..)?)
        } else {
            None
        }
    }

    /// The sending end, where the packet shows its port.
    pub(crate) fn sender(&self) -> Option<WireEnd> {
        self.end(self.source, 0)
    }

    fn end(&self, address: IpAddr, port_at: usize) -> Option<WireEnd> {
        if self.fragment_offset != 0 {
            return None;
        }
        let port = match (self.protocol, address) {
            (TCP | UDP, _) => be16(self.payload, port_at)?,
            (ICMP, IpAddr::V4(_)) => match self.payload.first()? {
                0 | 8 | 13..=18 => be16(self.payload, 4)?,
                _ => return None,
            },
            (ICMP6, IpAddr::V6(_)) => match self.payload.first()? {
                128 | 129 => be16(self.payload, 4)?,
                _ => return None,
            },
            _ => return None,
        };
        Some(WireEnd {
            protocol: self.protocol,
            port,
            address,
        })
    }
}

/// Offset of the IP header.
fn network(linktype: u16, frame: &[u8]) -> Option<usize> {
    match linktype {
        1 => tagged(frame, 12, 14),
        113 => tagged(frame, 14, 16),
        276 => tagged(frame, 0, 20),
        0 | 108 => Some(4),
        12 | 14 | 101 | 228 | 229 => Some(0),
        _ => None,
    }
}

/// Walks from the ethertype at `at`, whose payload begins at `next`, over VLAN tags and PPPoE.
fn tagged(frame: &[u8], mut at: usize, mut next: usize) -> Option<usize> {
    loop {
        match be16(frame, at)? {
            0x8100 | 0x88a8 | 0x9100 => {
                at = next + 2;
                next += 4;
            }
            0x0800 | 0x86dd => return Some(next),
            0x8864 => {
                return match be16(frame, next + 6)? {
                    0x0021 | 0x0057 => Some(next + 8),
                    _ => None,
                };
            }
            _ => return None,
        }
    }
}

/// Two bytes in network order.
pub(super) fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    let two: Range<usize> = at..at + 2;
    Some(u16::from_be_bytes(bytes.get(two)?.try_into().ok()?))
}

/// An address as the bytes that a pseudo-header has of it.
pub(super) fn octets(address: IpAddr) -> ([u8; 16], usize) {
    match address {
        IpAddr::V4(address) => {
            let mut all = [0; 16];
            all[..4].copy_from_slice(&Ipv4Addr::octets(&address));
            (all, 4)
        }
        IpAddr::V6(address) => (Ipv6Addr::octets(&address), 16),
    }
}
