//! Where the words that an edit touches lie, for a packet and for a quoted one alike.

use super::checksum::Zero;
use super::{Family, IcmpQueryKind, Quoted, QuotedTransport, Transport, View};

/// Places of one IP packet. Every offset but those in [`Layout::zero`] is inside the packet,
/// because dissection has read it.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    pub family: Family,
    network: usize,
    end: usize,
    pub ports: Ports,
    pub checksum: Option<Checksum>,
    /// Set where the addresses must not change: the protocol, for the error message.
    pub unsupported: Option<u8>,
}

/// Where the ports are.
#[derive(Clone, Copy)]
pub(super) enum Ports {
    None,
    /// Source port here, destination port right behind it.
    Pair(usize),
    /// ICMP query identifier.
    Identifier(usize),
}

/// A transport checksum.
#[derive(Clone, Copy)]
pub(super) struct Checksum {
    pub at: usize,
    /// By way of the pseudo-header.
    pub covers_addresses: bool,
    style: Style,
}

#[derive(Clone, Copy)]
enum Style {
    Udp,
    /// ICMP echo reply, which may be all zero.
    EchoReply,
    Plain,
}

impl Layout {
    pub fn of(view: &View) -> Self {
        let at = view.transport_at;
        let mut layout = Self::bare(view.family(), view.network, view.end);
        match view.transport {
            Transport::Tcp { .. } => layout.tcp(at, true),
            Transport::Udp { .. } => layout.udp(at, true),
            Transport::IcmpQuery {
                kind, is_request, ..
            } => layout.icmp_query(at, kind, is_request),
            Transport::IcmpError { .. } | Transport::IcmpOther { .. } => layout.icmp(at),
            Transport::LaterFragment { protocol } => {
                layout.unsupported = refused(protocol, true);
            }
            Transport::Other(protocol) => layout.unsupported = refused(protocol, false),
        }
        layout
    }

    pub fn of_quoted(quoted: &Quoted) -> Self {
        let at = quoted.transport_at;
        let family = Family::of(quoted.source);
        let mut layout = Self::bare(family, quoted.network, quoted.end);
        match quoted.transport {
            QuotedTransport::Tcp {
                checksum_quoted, ..
            } => layout.tcp(at, checksum_quoted),
            QuotedTransport::Udp {
                checksum_quoted, ..
            } => layout.udp(at, checksum_quoted),
            QuotedTransport::IcmpQuery {
                kind, is_request, ..
            } => layout.icmp_query(at, kind, is_request),
            // No checksum to keep right: what is quoted of these is not looked at.
            QuotedTransport::LaterFragment { .. } | QuotedTransport::Other(_) => {}
        }
        layout
    }

    fn bare(family: Family, network: usize, end: usize) -> Self {
        Self {
            family,
            network,
            end,
            ports: Ports::None,
            checksum: None,
            unsupported: None,
        }
    }

    fn tcp(&mut self, at: usize, checksum: bool) {
        self.ports = Ports::Pair(at);
        self.checksum = checksum.then_some(Checksum {
            at: at + 16,
            covers_addresses: true,
            style: Style::Plain,
        });
    }

    fn udp(&mut self, at: usize, checksum: bool) {
        self.ports = Ports::Pair(at);
        self.checksum = checksum.then_some(Checksum {
            at: at + 6,
            covers_addresses: true,
            style: Style::Udp,
        });
    }

    fn icmp(&mut self, at: usize) {
        self.checksum = Some(Checksum {
            at: at + 2,
            covers_addresses: self.family == Family::V6,
            style: Style::Plain,
        });
    }

    fn icmp_query(&mut self, at: usize, kind: IcmpQueryKind, is_request: bool) {
        self.icmp(at);
        self.ports = Ports::Identifier(at + 4);
        if let (Family::V4, IcmpQueryKind::Echo, false, Some(checksum)) =
            (self.family, kind, is_request, &mut self.checksum)
        {
            checksum.style = Style::EchoReply;
        }
    }

    /// Offsets of the source and destination address.
    pub fn addresses(&self) -> (usize, usize) {
        match self.family {
            Family::V4 => (self.network + 12, self.network + 16),
            Family::V6 => (self.network + 8, self.network + 24),
        }
    }

    /// Offset of the hop limit, and of the 16-bit word it is part of.
    pub fn hop_limit(&self) -> (usize, usize) {
        match self.family {
            Family::V4 => (self.network + 8, self.network + 8),
            Family::V6 => (self.network + 7, self.network + 6),
        }
    }

    /// Offset of the IPv4 header checksum.
    pub fn header_checksum(&self) -> Option<usize> {
        match self.family {
            Family::V4 => Some(self.network + 10),
            Family::V6 => None,
        }
    }

    /// Offsets of what stands for the source port and for the destination port.
    pub fn port_offsets(&self) -> (Option<usize>, Option<usize>) {
        match self.ports {
            Ports::None => (None, None),
            Ports::Pair(at) => (Some(at), Some(at + 2)),
            Ports::Identifier(at) => (Some(at), Some(at)),
        }
    }

    /// The proper zero of the transport checksum, as the frame now reads.
    pub fn zero(&self, frame: &[u8], checksum: Checksum) -> Zero {
        match checksum.style {
            Style::Plain => Zero::Plus,
            Style::Udp => Zero::Minus,
            Style::EchoReply => {
                let type_and_code = &frame[checksum.at - 2..checksum.at];
                let rest = &frame[checksum.at + 2..self.end];
                // Nearly always decided by the identifier or the sequence number.
                if type_and_code.iter().chain(rest).all(|&byte| byte == 0) {
                    Zero::Minus
                } else {
                    Zero::Plus
                }
            }
        }
    }
}

/// Whether addresses of a protocol whose transport header is not known here must be left alone;
/// then its number again. `in_fragment`: the header is in another fragment, which is judged by its
/// own view, so that only protocols refused there need to be refused here.
fn refused(protocol: u8, in_fragment: bool) -> Option<u8> {
    let free = match protocol {
        // IP in IP, IPv6 in IP, GRE, ESP, EtherIP, L2TP, SCTP (a CRC over the packet alone).
        4 | 41 | 47 | 50 | 97 | 115 | 132 => true,
        // TCP, UDP, ICMP, ICMPv6, or IPv6 options that one of them may follow.
        1 | 6 | 17 | 58 | 60 => in_fragment,
        // Among them UDP-Lite, DCCP, PIM and OSPFv3, whose checksums cover the addresses, and the
        // authentication header, which signs them.
        _ => false,
    };
    (!free).then_some(protocol)
}
