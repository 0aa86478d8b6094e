//! What a frame was found to hold.

use std::net::IpAddr;

/// IP version of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

/// Fragment fields of a packet that is one of several fragments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fragment {
    /// Identification: 16 bits in IPv4, 32 in IPv6. Unique per source, destination and, in IPv4,
    /// protocol.
    pub id: u32,
    /// Where this fragment's payload starts in the datagram, in bytes.
    pub offset_bytes: u16,
    /// More fragments follow.
    pub more: bool,
}

impl Fragment {
    /// Whether this is the fragment that carries the transport header.
    #[must_use]
    pub const fn is_first(self) -> bool {
        self.offset_bytes == 0
    }
}

/// Flags of a TCP segment, as in byte 13 of its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// Bit of FIN.
    pub const FIN: u8 = 0x01;
    /// Bit of SYN.
    pub const SYN: u8 = 0x02;
    /// Bit of RST.
    pub const RST: u8 = 0x04;
    /// Bit of ACK.
    pub const ACK: u8 = 0x10;

    /// FIN: the sender has no more data.
    #[must_use]
    pub const fn fin(self) -> bool {
        self.0 & Self::FIN != 0
    }

    /// SYN: opens a connection.
    #[must_use]
    pub const fn syn(self) -> bool {
        self.0 & Self::SYN != 0
    }

    /// RST: aborts the connection.
    #[must_use]
    pub const fn rst(self) -> bool {
        self.0 & Self::RST != 0
    }

    /// ACK: the acknowledgment field is valid.
    #[must_use]
    pub const fn ack(self) -> bool {
        self.0 & Self::ACK != 0
    }
}

/// Which ICMP query a message belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IcmpQueryKind {
    /// Echo (ICMP 8/0, ICMPv6 128/129).
    Echo,
    /// Timestamp (ICMP 13/14).
    Timestamp,
    /// Information (ICMP 15/16, deprecated).
    Information,
    /// Address mask (ICMP 17/18, deprecated).
    AddressMask,
}

/// Which error an ICMP message reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IcmpErrorKind {
    /// Destination unreachable (ICMP 3, ICMPv6 1); in ICMP also "fragmentation needed".
    Unreachable,
    /// Source quench (ICMP 4, deprecated).
    SourceQuench,
    /// Packet too big (ICMPv6 2).
    PacketTooBig,
    /// Time exceeded (ICMP 11, ICMPv6 3).
    TimeExceeded,
    /// Parameter problem (ICMP 12, ICMPv6 4).
    ParameterProblem,
}

/// The transport header of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    Tcp {
        /// Source port.
        source: u16,
        /// Destination port.
        destination: u16,
        /// Flags.
        flags: TcpFlags,
    },
    /// UDP.
    Udp {
        /// Source port.
        source: u16,
        /// Destination port.
        destination: u16,
        /// False where the checksum field is zero: none was computed.
        has_checksum: bool,
    },
    /// An ICMP or ICMPv6 query or its answer.
    IcmpQuery {
        /// Query identifier, which plays the part of the port.
        identifier: u16,
        /// Request, as opposed to reply.
        is_request: bool,
        /// Which query.
        kind: IcmpQueryKind,
    },
    /// An ICMP or ICMPv6 error message.
    IcmpError {
        /// Which error.
        kind: IcmpErrorKind,
        /// The packet the error is about.
        quoted: Quoted,
    },
    /// Any other ICMP or ICMPv6 message: redirect, router and neighbour discovery, MLD, ...
    IcmpOther {
        /// Message type.
        kind: u8,
    },
    /// A fragment without the transport header.
    LaterFragment {
        /// Protocol of the datagram (in IPv6 the next header named by the fragment header).
        protocol: u8,
    },
    /// Any other protocol; the authentication header and what follows it included.
    Other(u8),
}

/// The packet quoted in an ICMP error: as much of it as the error carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quoted {
    pub(super) network: usize,
    pub(super) transport_at: usize,
    pub(super) end: usize,
    pub(super) cut: bool,
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) fragment: Option<Fragment>,
    pub(super) transport: QuotedTransport,
}

impl Quoted {
    /// Source address: who sent the packet that the error is about.
    #[must_use]
    pub const fn source(&self) -> IpAddr {
        self.source
    }

    /// Destination address of the quoted packet.
    #[must_use]
    pub const fn destination(&self) -> IpAddr {
        self.destination
    }

    /// Fragment fields, where the quoted packet is a fragment.
    #[must_use]
    pub const fn fragment(&self) -> Option<Fragment> {
        self.fragment
    }

    /// Transport header of the quoted packet.
    #[must_use]
    pub const fn transport(&self) -> QuotedTransport {
        self.transport
    }

    /// Offset of the quoted IP header in the frame.
    #[must_use]
    pub const fn network_offset(&self) -> usize {
        self.network
    }

    /// Offset of the quoted transport header in the frame.
    #[must_use]
    pub const fn transport_offset(&self) -> usize {
        self.transport_at
    }

    /// Offset behind the last quoted byte in the frame.
    #[must_use]
    pub const fn end(&self) -> usize {
        self.end
    }

    /// Whether the error quotes less than the whole packet.
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        self.cut
    }
}

/// The transport header of a quoted packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuotedTransport {
    /// TCP.
    Tcp {
        /// Source port.
        source: u16,
        /// Destination port.
        destination: u16,
        /// Whether the quote reaches the checksum.
        checksum_quoted: bool,
    },
    /// UDP.
    Udp {
        /// Source port.
        source: u16,
        /// Destination port.
        destination: u16,
        /// Whether the quote reaches the checksum and it is not zero.
        checksum_quoted: bool,
    },
    /// An ICMP or ICMPv6 query.
    IcmpQuery {
        /// Query identifier.
        identifier: u16,
        /// Request, as opposed to reply.
        is_request: bool,
        /// Which query.
        kind: IcmpQueryKind,
    },
    /// A fragment without the transport header.
    LaterFragment {
        /// Protocol of the datagram.
        protocol: u8,
    },
    /// Any other protocol or ICMP message.
    Other(u8),
}

/// Where the parts of a frame are and what they say. Valid for the bytes it was taken from, until
/// they are edited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    pub(super) network: usize,
    pub(super) transport_at: usize,
    pub(super) end: usize,
    pub(super) cut: bool,
    pub(super) hop_limit: u8,
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) fragment: Option<Fragment>,
    pub(super) transport: Transport,
}

impl View {
    /// IP version.
    #[must_use]
    pub const fn family(&self) -> Family {
        Family::of(self.source)
    }

    /// Source address.
    #[must_use]
    pub const fn source(&self) -> IpAddr {
        self.source
    }

    /// Destination address.
    #[must_use]
    pub const fn destination(&self) -> IpAddr {
        self.destination
    }

    /// TTL or hop limit.
    #[must_use]
    pub const fn hop_limit(&self) -> u8 {
        self.hop_limit
    }

    /// Fragment fields; `None` for a whole datagram (an IPv6 atomic fragment is whole, RFC 6946).
    #[must_use]
    pub const fn fragment(&self) -> Option<Fragment> {
        self.fragment
    }

    /// Transport header.
    #[must_use]
    pub const fn transport(&self) -> Transport {
        self.transport
    }

    /// IP protocol number of the transport header.
    #[must_use]
    pub const fn protocol(&self) -> u8 {
        match self.transport {
            Transport::Tcp { .. } => 6,
            Transport::Udp { .. } => 17,
            Transport::IcmpQuery { .. }
            | Transport::IcmpError { .. }
            | Transport::IcmpOther { .. } => match self.source {
                IpAddr::V4(_) => 1,
                IpAddr::V6(_) => 58,
            },
            Transport::LaterFragment { protocol } | Transport::Other(protocol) => protocol,
        }
    }

    /// Offset of the IP header in the frame.
    #[must_use]
    pub const fn network_offset(&self) -> usize {
        self.network
    }

    /// Offset of the transport header in the frame (of the payload, in a later fragment).
    #[must_use]
    pub const fn transport_offset(&self) -> usize {
        self.transport_at
    }

    /// Offset behind the last byte of the IP packet in the frame.
    #[must_use]
    pub const fn end(&self) -> usize {
        self.end
    }

    /// Whether the frame holds fewer bytes than the IP header announces.
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        self.cut
    }
}
