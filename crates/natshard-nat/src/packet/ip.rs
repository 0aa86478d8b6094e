//! IPv4 and IPv6 headers, for the outermost packet and for one quoted in an ICMP error alike.

use std::net::IpAddr;

use super::bytes::{be32, ipv4, ipv6};
use super::{Family, Fragment, Skip};

/// More extension headers than any honest packet has; RFC 8504 section 5.3 lets a node limit them.
const MAX_EXTENSIONS: usize = 16;

/// A decoded IP header, extension headers included.
pub(super) struct Ip {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub hop_limit: u8,
    pub protocol: u8,
    pub transport_at: usize,
    /// Where the packet ends according to its header; `None` where the header leaves it open
    /// (segmentation offload, jumbogram). May lie beyond the frame and, malformed, before the
    /// transport header.
    pub announced: Option<usize>,
    pub fragment: Option<Fragment>,
}

impl Ip {
    /// Decodes the header at `start`. Reads nothing beyond `bytes`.
    pub fn parse(bytes: &[u8], start: usize, expected: Option<Family>) -> Result<Self, Skip> {
        let version = bytes.get(start).ok_or(Skip::TruncatedIp)? >> 4;
        match (version, expected) {
            (4, None | Some(Family::V4)) => v4(bytes, start),
            (6, None | Some(Family::V6)) => v6(bytes, start),
            _ => Err(Skip::BadIpVersion(version)),
        }
    }

    /// Where the packet ends in `bytes`.
    pub fn end(&self, bytes: &[u8]) -> usize {
        self.announced
            .map_or(bytes.len(), |announced| announced.min(bytes.len()))
    }

    /// Whether `bytes` hold less than the header announces.
    pub fn is_cut(&self, bytes: &[u8]) -> bool {
        self.announced
            .is_some_and(|announced| announced > bytes.len())
    }

    /// Whether this is a fragment without the transport header.
    pub fn is_later_fragment(&self) -> bool {
        self.fragment.is_some_and(|fragment| !fragment.is_first())
    }
}

fn v4(bytes: &[u8], start: usize) -> Result<Ip, Skip> {
    let header: &[u8; 20] = bytes
        .get(start..)
        .and_then(|rest| rest.first_chunk())
        .ok_or(Skip::TruncatedIp)?;
    let header_length = usize::from(header[0] & 0x0f) * 4;
    if header_length < 20 {
        return Err(Skip::BadHeaderLength);
    }
    let announced = match usize::from(u16::from_be_bytes([header[2], header[3]])) {
        0 => None,
        length => Some(start + length),
    };
    let transport_at = start + header_length;
    let options = bytes
        .get(start + 20..transport_at)
        .ok_or(Skip::TruncatedIp)?;
    if source_route_pending(options) {
        return Err(Skip::SourceRouted);
    }
    let word = u16::from_be_bytes([header[6], header[7]]);
    Ok(Ip {
        source: ipv4(header, 12).ok_or(Skip::TruncatedIp)?,
        destination: ipv4(header, 16).ok_or(Skip::TruncatedIp)?,
        hop_limit: header[8],
        protocol: header[9],
        transport_at,
        announced,
        fragment: fragment(
            u32::from(u16::from_be_bytes([header[4], header[5]])),
            (word & 0x1fff) << 3,
            word & 0x2000 != 0,
        ),
    })
}

/// Whether IPv4 options hold a loose or strict source route with hops left to visit.
fn source_route_pending(mut options: &[u8]) -> bool {
    const END: u8 = 0;
    const NO_OPERATION: u8 = 1;
    const LOOSE: u8 = 131;
    const STRICT: u8 = 137;
    loop {
        options = match *options {
            [] | [END, ..] => return false,
            [NO_OPERATION, ref rest @ ..] => rest,
            [LOOSE | STRICT, length, pointer, ..] if pointer <= length => return true,
            [_, length, ..] if length >= 2 => match options.get(usize::from(length)..) {
                Some(rest) => rest,
                None => return false,
            },
            _ => return false,
        };
    }
}

fn v6(bytes: &[u8], start: usize) -> Result<Ip, Skip> {
    const HOP_BY_HOP: u8 = 0;
    const ROUTING: u8 = 43;
    const FRAGMENT: u8 = 44;
    const NO_NEXT_HEADER: u8 = 59;
    const DESTINATION_OPTIONS: u8 = 60;

    let header: &[u8; 40] = bytes
        .get(start..)
        .and_then(|rest| rest.first_chunk())
        .ok_or(Skip::TruncatedIp)?;
    let mut protocol = header[6];
    let mut at = start + 40;
    let announced = match usize::from(u16::from_be_bytes([header[4], header[5]])) {
        0 if protocol != NO_NEXT_HEADER => None,
        length => Some(at + length),
    };
    let end = announced.map_or(bytes.len(), |announced| announced.min(bytes.len()));
    let bytes = &bytes[..end];
    let mut found: Option<Fragment> = None;
    let mut extensions = 0;
    // Behind a later fragment's header lies the middle of the datagram, whatever it looks like.
    while found.is_none_or(Fragment::is_first) {
        let length = match protocol {
            HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS => {
                let word = be32(bytes, at).ok_or(Skip::TruncatedIp)?;
                let [next, length, _, segments_left] = word.to_be_bytes();
                if protocol == ROUTING && segments_left > 0 {
                    return Err(Skip::SourceRouted);
                }
                protocol = next;
                (usize::from(length) + 1) * 8
            }
            FRAGMENT => {
                let first = be32(bytes, at).ok_or(Skip::TruncatedIp)?;
                let id = be32(bytes, at + 4).ok_or(Skip::TruncatedIp)?;
                let [next, _, high, low] = first.to_be_bytes();
                let word = u16::from_be_bytes([high, low]);
                found = fragment(id, word & 0xfff8, word & 1 != 0).or(found);
                protocol = next;
                8
            }
            _ => break,
        };
        at += length;
        extensions += 1;
        if at > end {
            return Err(Skip::TruncatedIp);
        }
        if extensions > MAX_EXTENSIONS {
            return Err(Skip::TooManyExtensions);
        }
    }
    Ok(Ip {
        source: ipv6(header, 8).ok_or(Skip::TruncatedIp)?,
        destination: ipv6(header, 24).ok_or(Skip::TruncatedIp)?,
        hop_limit: header[7],
        protocol,
        transport_at: at,
        announced,
        fragment: found,
    })
}

/// `None` for a datagram that is whole, an IPv6 atomic fragment (RFC 6946) included.
fn fragment(id: u32, offset_bytes: u16, more: bool) -> Option<Fragment> {
    (more || offset_bytes > 0).then_some(Fragment {
        id,
        offset_bytes,
        more,
    })
}
