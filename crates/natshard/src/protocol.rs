//! The three port spaces of an address.

use std::fmt;

/// A transport whose ports (or identifiers) the engine leases. The three spaces are apart: a TCP
/// lease says nothing about the UDP port of the same number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Protocol {
    /// TCP ports (RFC 9293).
    Tcp = 0,
    /// UDP ports (RFC 768).
    Udp = 1,
    /// Query identifiers of ICMP (RFC 5508), and of ICMPv6 on an IPv6 address.
    Icmp = 2,
}

impl Protocol {
    /// Every protocol, in the order of [`as_index`](Self::as_index).
    pub const ALL: [Protocol; 3] = [Protocol::Tcp, Protocol::Udp, Protocol::Icmp];

    /// A dense index, for arrays by protocol.
    #[must_use]
    pub const fn as_index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Icmp => "icmp",
        })
    }
}
