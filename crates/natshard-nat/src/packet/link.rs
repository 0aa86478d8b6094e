//! Link types, and the way from the start of a frame to its IP packet.

use super::bytes::be16;
use super::{Family, Payload, Skip};

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const PPPOE_SESSION: u16 = 0x8864;
const PPP_IPV4: u16 = 0x0021;
const PPP_IPV6: u16 = 0x0057;
/// Version 1, type 1, code 0: PPPoE session data (RFC 2516).
const PPPOE_DATA: u16 = 0x1100;

/// The link layer in front of the IP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Link {
    /// Ethernet II, with any stack of VLAN tags and PPPoE sessions.
    Ethernet,
    /// No link header: the frame starts with the IP version nibble.
    RawIp,
    /// Linux cooked capture (`LINKTYPE_LINUX_SLL`).
    LinuxCooked,
    /// Linux cooked capture, version 2 (`LINKTYPE_LINUX_SLL2`).
    LinuxCooked2,
    /// BSD loopback: a four-byte address family in either byte order.
    Loopback,
}

/// Where in a frame the IP packet lies.
pub(super) struct Carried {
    /// Offset of the IP header.
    pub start: usize,
    /// The IP packet and what may be padding behind it end here.
    pub limit: usize,
    /// The version that the link layer names; `None` where only the IP header tells.
    pub family: Option<Family>,
}

impl Link {
    /// The link type of a `LINKTYPE_*` value from a pcap or pcapng file; `None` where frames of
    /// that type are not understood.
    #[must_use]
    pub const fn from_pcap(linktype: u32) -> Option<Self> {
        match linktype {
            1 => Some(Self::Ethernet),
            // 12 and 14 are DLT_RAW as older BSD tools wrote it; 228 and 229 promise one version,
            // which the version nibble repeats.
            12 | 14 | 101 | 228 | 229 => Some(Self::RawIp),
            113 => Some(Self::LinuxCooked),
            276 => Some(Self::LinuxCooked2),
            0 | 108 => Some(Self::Loopback),
            _ => None,
        }
    }

    pub(super) fn carried(self, frame: &[u8]) -> Result<Carried, Skip> {
        match self {
            Self::Ethernet => by_ethertype(frame, 12, 14),
            Self::LinuxCooked => by_ethertype(frame, 14, 16),
            Self::LinuxCooked2 => by_ethertype(frame, 0, 20),
            Self::RawIp => Ok(Carried {
                start: 0,
                limit: frame.len(),
                family: None,
            }),
            Self::Loopback => loopback(frame),
        }
    }
}

/// Follows the ethertype at `at`, whose payload is at `next`, through tags and sessions.
fn by_ethertype(frame: &[u8], at: usize, mut next: usize) -> Result<Carried, Skip> {
    let mut ethertype = be16(frame, at).ok_or(Skip::TruncatedLink)?;
    if next > frame.len() {
        return Err(Skip::TruncatedLink);
    }
    loop {
        let family = match ethertype {
            IPV4 => Family::V4,
            IPV6 => Family::V6,
            0x8100 | 0x88a8 | 0x9100 => {
                ethertype = be16(frame, next + 2).ok_or(Skip::TruncatedLink)?;
                next += 4;
                continue;
            }
            PPPOE_SESSION => return pppoe(frame, next),
            other => return Err(Skip::NotIp(Payload::Ethertype(other))),
        };
        return Ok(Carried {
            start: next,
            limit: frame.len(),
            family: Some(family),
        });
    }
}

fn pppoe(frame: &[u8], at: usize) -> Result<Carried, Skip> {
    let code = be16(frame, at).ok_or(Skip::TruncatedLink)?;
    if code != PPPOE_DATA {
        return Err(Skip::NotIp(Payload::Ethertype(PPPOE_SESSION)));
    }
    let length = usize::from(be16(frame, at + 4).ok_or(Skip::TruncatedLink)?);
    let protocol = be16(frame, at + 6).ok_or(Skip::TruncatedLink)?;
    if length < 2 {
        return Err(Skip::TruncatedLink);
    }
    let family = match protocol {
        PPP_IPV4 => Family::V4,
        PPP_IPV6 => Family::V6,
        other => return Err(Skip::NotIp(Payload::Ppp(other))),
    };
    Ok(Carried {
        start: at + 8,
        limit: frame.len().min(at + 6 + length),
        family: Some(family),
    })
}

fn loopback(frame: &[u8]) -> Result<Carried, Skip> {
    let header = frame.first_chunk::<4>().ok_or(Skip::TruncatedLink)?;
    let big = u32::from_be_bytes(*header);
    // The family is written in the byte order of the machine that captured; it is a small number,
    // so the order that makes it small is the right one.
    let value = big.min(big.swap_bytes());
    let family = match value {
        2 => Family::V4,
        // AF_INET6 of Linux, NetBSD and OpenBSD, FreeBSD, Darwin.
        10 | 24 | 28 | 30 => Family::V6,
        other => return Err(Skip::NotIp(Payload::Family(other))),
    };
    Ok(Carried {
        start: 4,
        limit: frame.len(),
        family: Some(family),
    })
}
