//! Verification from scratch. Shares no code with the incremental path, so that each checks the
//! other.

use crate::packet::{Family, QuotedTransport, Transport, View};

/// What one checksum field was found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It is what a correct sender writes.
    Right,
    /// It is not.
    Wrong,
    /// There is none: IPv6 header, UDP without checksum, protocols that have none or whose
    /// checksum is not known here.
    Absent,
    /// The bytes it covers are not all there: cut by the capture, in other fragments, or of a
    /// length that the IP header leaves open.
    Unverifiable,
}

/// The checksums of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChecksumState {
    /// IPv4 header checksum.
    pub ip: Verdict,
    /// TCP, UDP, ICMP or ICMPv6 checksum.
    pub transport: Verdict,
    /// IPv4 header checksum of the packet that an ICMP error quotes; absent where nothing is
    /// quoted.
    pub quoted_ip: Verdict,
    /// Transport checksum of the packet that an ICMP error quotes.
    pub quoted_transport: Verdict,
}

/// Which rules the checksum of a transport header follows.
#[derive(Clone, Copy)]
enum Rules {
    Tcp,
    Udp,
    Icmp,
    IcmpV6,
    LaterFragment,
    Unknown,
}

/// One IP packet, outer or quoted.
struct Packet<'f> {
    /// From the IP header to the end of the packet.
    bytes: &'f [u8],
    family: Family,
    /// Offset of the transport header in `bytes`.
    transport_at: usize,
    rules: Rules,
    /// Neither cut nor a fragment.
    whole: bool,
}

/// Computes every checksum of the frame that `view` was taken from.
///
/// # Panics
/// If `frame` is shorter than the one the view was taken from.
#[must_use]
pub fn verify(frame: &[u8], view: &View) -> ChecksumState {
    let outer = Packet {
        bytes: &frame[view.network..view.end],
        family: view.family(),
        transport_at: view.transport_at - view.network,
        rules: match (view.transport, view.family()) {
            (Transport::Tcp { .. }, _) => Rules::Tcp,
            (Transport::Udp { .. }, _) => Rules::Udp,
            (Transport::LaterFragment { .. }, _) => Rules::LaterFragment,
            (Transport::Other(_), _) => Rules::Unknown,
            (_, Family::V4) => Rules::Icmp,
            (_, Family::V6) => Rules::IcmpV6,
        },
        whole: !view.cut && view.fragment.is_none(),
    };
    let mut state = ChecksumState {
        ip: outer.header(),
        transport: outer.transport(),
        quoted_ip: Verdict::Absent,
        quoted_transport: Verdict::Absent,
    };
    if let Transport::IcmpError { quoted, .. } = view.transport {
        let inner = Packet {
            bytes: &frame[quoted.network..quoted.end],
            family: Family::of(quoted.source),
            transport_at: quoted.transport_at - quoted.network,
            rules: match (quoted.transport, Family::of(quoted.source)) {
                (QuotedTransport::Tcp { .. }, _) => Rules::Tcp,
                (QuotedTransport::Udp { .. }, _) => Rules::Udp,
                (QuotedTransport::LaterFragment { .. }, _) => Rules::LaterFragment,
                (QuotedTransport::Other(_), _) => Rules::Unknown,
                (QuotedTransport::IcmpQuery { .. }, Family::V4) => Rules::Icmp,
                (QuotedTransport::IcmpQuery { .. }, Family::V6) => Rules::IcmpV6,
            },
            whole: !quoted.cut && quoted.fragment.is_none(),
        };
        state.quoted_ip = inner.header();
        state.quoted_transport = inner.transport();
    }
    state
}

impl Packet<'_> {
    fn header(&self) -> Verdict {
        match self.family {
            Family::V6 => Verdict::Absent,
            Family::V4 => {
                let length = usize::from(self.bytes[0] & 0x0f) * 4;
                verdict(
                    &[&self.bytes[..10], &self.bytes[12..length]],
                    &self.bytes[10..12],
                    false,
                )
            }
        }
    }

    fn transport(&self) -> Verdict {
        let segment = &self.bytes[self.transport_at..];
        let (field_at, protocol) = match self.rules {
            Rules::Unknown => return Verdict::Absent,
            Rules::LaterFragment => return Verdict::Unverifiable,
            Rules::Tcp => (16, Some(6)),
            Rules::Udp => (6, Some(17)),
            Rules::IcmpV6 => (2, Some(58)),
            Rules::Icmp => (2, None),
        };
        let Some(field) = segment.get(field_at..field_at + 2) else {
            return Verdict::Unverifiable;
        };
        let udp = matches!(self.rules, Rules::Udp);
        if udp && field == [0, 0] {
            return Verdict::Absent;
        }
        if !self.whole || self.length_is_open() {
            return Verdict::Unverifiable;
        }
        let segment = if udp {
            // What the datagram does not claim is not covered.
            let length = usize::from(u16::from_be_bytes([segment[4], segment[5]]));
            match segment.get(..length) {
                Some(datagram) if length >= 8 => datagram,
                _ => return Verdict::Wrong,
            }
        } else {
            segment
        };
        let (before, after) = (&segment[..field_at], &segment[field_at + 2..]);
        match protocol {
            None => verdict(&[before, after], field, udp),
            Some(protocol) => {
                let addresses = match self.family {
                    Family::V4 => &self.bytes[12..20],
                    Family::V6 => &self.bytes[8..40],
                };
                let [.., a, b, c, d] = segment.len().to_be_bytes();
                let tail = [a, b, c, d, 0, 0, 0, protocol];
                verdict(&[addresses, &tail, before, after], field, udp)
            }
        }
    }

    /// Segmentation offload and jumbograms leave the length field of the IP header at zero.
    fn length_is_open(&self) -> bool {
        let field = match self.family {
            Family::V4 => &self.bytes[2..4],
            Family::V6 => &self.bytes[4..6],
        };
        field == [0, 0]
    }
}

/// Compares `field` with the checksum of `parts`, of which only the last may be of odd length.
fn verdict(parts: &[&[u8]], field: &[u8], udp: bool) -> Verdict {
    let mut sum = 0u64;
    for part in parts {
        for (position, &byte) in part.iter().enumerate() {
            sum += u64::from(byte) << if position % 2 == 0 { 8 } else { 0 };
        }
    }
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    let computed = match 0xffff - sum {
        0 if udp => 0xffff,
        other => other,
    };
    if u64::from(field[0]) << 8 | u64::from(field[1]) == computed {
        Verdict::Right
    } else {
        Verdict::Wrong
    }
}
