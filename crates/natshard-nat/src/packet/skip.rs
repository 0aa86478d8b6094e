//! Why a frame cannot be translated.

use std::fmt;

/// Why [`dissect`](super::dissect()) gave no view of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Skip {
    /// The link layer carries something else than IPv4 or IPv6.
    NotIp(Payload),
    /// The frame ends inside the link header.
    TruncatedLink,
    /// The frame or packet ends inside the IP header or an IPv6 extension header.
    TruncatedIp,
    /// The frame or packet ends inside the transport header.
    TruncatedTransport,
    /// The IP version nibble is neither 4 nor 6, or not what the link layer promised.
    BadIpVersion(u8),
    /// The IPv4 header length is below 20 bytes.
    BadHeaderLength,
    /// The IPv4 total length is smaller than the header.
    BadTotalLength,
    /// The TCP data offset or the UDP length contradicts the length of the IP packet.
    BadTransportLength,
    /// An ICMP error whose quoted packet is missing, cut inside its headers or malformed.
    BadQuote,
    /// A source route still has hops to visit: the destination address is not the final one that
    /// the transport checksum covers ([RFC 8200 section 8.1]; [RFC 7126] advises to drop these).
    ///
    /// [RFC 8200 section 8.1]: https://www.rfc-editor.org/rfc/rfc8200#section-8.1
    /// [RFC 7126]: https://www.rfc-editor.org/rfc/rfc7126
    SourceRouted,
    /// More IPv6 extension headers than are walked.
    TooManyExtensions,
}

/// What a frame carries that is not IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Payload {
    /// An ethertype; below 0x0600 it is the length of an IEEE 802.3 frame.
    Ethertype(u16),
    /// A PPP protocol number in a PPPoE session.
    Ppp(u16),
    /// An address family of a BSD loopback header.
    Family(u32),
}

impl Skip {
    /// Stable `snake_case` name, for counters and JSON keys.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotIp(_) => "not_ip",
            Self::TruncatedLink => "truncated_link",
            Self::TruncatedIp => "truncated_ip",
            Self::TruncatedTransport => "truncated_transport",
            Self::BadIpVersion(_) => "bad_ip_version",
            Self::BadHeaderLength => "bad_header_length",
            Self::BadTotalLength => "bad_total_length",
            Self::BadTransportLength => "bad_transport_length",
            Self::BadQuote => "bad_quote",
            Self::SourceRouted => "source_routed",
            Self::TooManyExtensions => "too_many_extensions",
        }
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotIp(payload) => write!(f, "not IP: {payload}"),
            Self::TruncatedLink => f.write_str("the frame ends inside the link header"),
            Self::TruncatedIp => f.write_str("the packet ends inside the IP header"),
            Self::TruncatedTransport => f.write_str("the packet ends inside the transport header"),
            Self::BadIpVersion(version) => write!(f, "IP version {version} where 4 or 6 belongs"),
            Self::BadHeaderLength => f.write_str("the IPv4 header length is below 20 bytes"),
            Self::BadTotalLength => f.write_str("the IPv4 total length is below the header length"),
            Self::BadTransportLength => {
                f.write_str("the TCP or UDP length contradicts the IP length")
            }
            Self::BadQuote => f.write_str("the ICMP error quotes no complete packet header"),
            Self::SourceRouted => f.write_str("source-routed and not at its last hop"),
            Self::TooManyExtensions => f.write_str("too many IPv6 extension headers"),
        }
    }
}

impl std::error::Error for Skip {}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Ethertype(0x0806) => f.write_str("ARP"),
            Self::Ethertype(0x8035) => f.write_str("RARP"),
            Self::Ethertype(0x8847 | 0x8848) => f.write_str("MPLS"),
            Self::Ethertype(0x8863) => f.write_str("PPPoE discovery"),
            Self::Ethertype(0x8864) => f.write_str("PPPoE session without data"),
            Self::Ethertype(0x888e) => f.write_str("EAPOL"),
            Self::Ethertype(0x88cc) => f.write_str("LLDP"),
            Self::Ethertype(0x88e5) => f.write_str("MACsec"),
            Self::Ethertype(0x88f7) => f.write_str("PTP"),
            Self::Ethertype(length @ ..0x0600) => write!(f, "IEEE 802.3 frame of {length} bytes"),
            Self::Ethertype(ethertype) => write!(f, "ethertype {ethertype:#06x}"),
            Self::Ppp(protocol) => write!(f, "PPP protocol {protocol:#06x}"),
            Self::Family(family) => write!(f, "address family {family}"),
        }
    }
}
