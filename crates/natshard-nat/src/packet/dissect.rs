//! From bytes to a [`View`].

use super::bytes::be16;
use super::ip::Ip;
use super::{
    Family, IcmpErrorKind, IcmpQueryKind, Link, Quoted, QuotedTransport, Skip, TcpFlags, Transport,
    View,
};

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

/// Finds the outermost IP packet of a frame and decodes its headers.
///
/// The payload may be missing: a frame that a capture cut short has a view as long as the fixed
/// parts of its headers are there (TCP options need not be). An IPv4 total length or IPv6 payload
/// length of zero, as segmentation offload leaves it in captures, stands for the rest of the frame.
///
/// # Errors
/// [`Skip`] says why the frame holds no packet that can be translated.
pub fn dissect(link: Link, frame: &[u8]) -> Result<View, Skip> {
    let carried = link.carried(frame)?;
    let bytes = &frame[..carried.limit];
    let ip = Ip::parse(bytes, carried.start, carried.family)?;
    if ip
        .announced
        .is_some_and(|announced| announced < ip.transport_at)
    {
        return Err(Skip::BadTotalLength);
    }
    let end = ip.end(bytes);
    Ok(View {
        network: carried.start,
        transport_at: ip.transport_at,
        end,
        cut: ip.is_cut(bytes),
        hop_limit: ip.hop_limit,
        source: ip.source,
        destination: ip.destination,
        fragment: ip.fragment,
        transport: transport(&bytes[..end], &ip)?,
    })
}

fn transport(packet: &[u8], ip: &Ip) -> Result<Transport, Skip> {
    if ip.is_later_fragment() {
        return Ok(Transport::LaterFragment {
            protocol: ip.protocol,
        });
    }
    match (ip.protocol, Family::of(ip.source)) {
        (TCP, _) => tcp(packet, ip),
        (UDP, _) => udp(packet, ip),
        (ICMP, Family::V4) | (ICMPV6, Family::V6) => icmp(packet, ip),
        (other, _) => Ok(Transport::Other(other)),
    }
}

/// The bytes that the datagram has from the transport header on; `None` where the IP header does
/// not tell: an open length, or a first fragment.
fn datagram_length(ip: &Ip) -> Option<usize> {
    match ip.fragment {
        Some(_) => None,
        None => ip.announced.map(|announced| announced - ip.transport_at),
    }
}

fn tcp(packet: &[u8], ip: &Ip) -> Result<Transport, Skip> {
    let header: &[u8; 20] = packet
        .get(ip.transport_at..)
        .and_then(|rest| rest.first_chunk())
        .ok_or(Skip::TruncatedTransport)?;
    let header_length = usize::from(header[12] >> 4) * 4;
    if header_length < 20 || datagram_length(ip).is_some_and(|length| header_length > length) {
        return Err(Skip::BadTransportLength);
    }
    Ok(Transport::Tcp {
        source: u16::from_be_bytes([header[0], header[1]]),
        destination: u16::from_be_bytes([header[2], header[3]]),
        flags: TcpFlags(header[13]),
    })
}

fn udp(packet: &[u8], ip: &Ip) -> Result<Transport, Skip> {
    let header: &[u8; 8] = packet
        .get(ip.transport_at..)
        .and_then(|rest| rest.first_chunk())
        .ok_or(Skip::TruncatedTransport)?;
    let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
    // Zero stands for "as long as the jumbogram" (RFC 2675).
    let open = length == 0 && ip.announced.is_none();
    if !open && (length < 8 || datagram_length(ip).is_some_and(|whole| length > whole)) {
        return Err(Skip::BadTransportLength);
    }
    Ok(Transport::Udp {
        source: u16::from_be_bytes([header[0], header[1]]),
        destination: u16::from_be_bytes([header[2], header[3]]),
        has_checksum: header[6..] != [0, 0],
    })
}

/// What an ICMP or ICMPv6 message type means to a translator.
enum Message {
    Query(IcmpQueryKind, bool),
    Error(IcmpErrorKind),
    Other,
}

impl Message {
    const fn of(family: Family, kind: u8) -> Self {
        match family {
            Family::V4 => match kind {
                0 => Self::Query(IcmpQueryKind::Echo, false),
                3 => Self::Error(IcmpErrorKind::Unreachable),
                4 => Self::Error(IcmpErrorKind::SourceQuench),
                8 => Self::Query(IcmpQueryKind::Echo, true),
                11 => Self::Error(IcmpErrorKind::TimeExceeded),
                12 => Self::Error(IcmpErrorKind::ParameterProblem),
                13 => Self::Query(IcmpQueryKind::Timestamp, true),
                14 => Self::Query(IcmpQueryKind::Timestamp, false),
                15 => Self::Query(IcmpQueryKind::Information, true),
                16 => Self::Query(IcmpQueryKind::Information, false),
                17 => Self::Query(IcmpQueryKind::AddressMask, true),
                18 => Self::Query(IcmpQueryKind::AddressMask, false),
                _ => Self::Other,
            },
            Family::V6 => match kind {
                1 => Self::Error(IcmpErrorKind::Unreachable),
                2 => Self::Error(IcmpErrorKind::PacketTooBig),
                3 => Self::Error(IcmpErrorKind::TimeExceeded),
                4 => Self::Error(IcmpErrorKind::ParameterProblem),
                128 => Self::Query(IcmpQueryKind::Echo, true),
                129 => Self::Query(IcmpQueryKind::Echo, false),
                _ => Self::Other,
            },
        }
    }
}

fn icmp(packet: &[u8], ip: &Ip) -> Result<Transport, Skip> {
    let at = ip.transport_at;
    let family = Family::of(ip.source);
    // Every message has a type, a code and a checksum; what follows depends on the type.
    be16(packet, at + 2).ok_or(Skip::TruncatedTransport)?;
    let kind = packet[at];
    let rest_at = at + 8;
    match Message::of(family, kind) {
        Message::Other => Ok(Transport::IcmpOther { kind }),
        _ if packet.len() < rest_at => Err(Skip::TruncatedTransport),
        Message::Query(kind, is_request) => Ok(Transport::IcmpQuery {
            identifier: be16(packet, at + 4).ok_or(Skip::TruncatedTransport)?,
            is_request,
            kind,
        }),
        Message::Error(kind) => Ok(Transport::IcmpError {
            kind,
            quoted: quoted(packet, rest_at, family).ok_or(Skip::BadQuote)?,
        }),
    }
}

/// The packet quoted at `start`, if its addresses and ports are there.
fn quoted(packet: &[u8], start: usize, family: Family) -> Option<Quoted> {
    let mut ip = Ip::parse(packet, start, Some(family)).ok()?;
    if ip
        .announced
        .is_some_and(|announced| announced < ip.transport_at)
    {
        // Some hosts quote the total length after having used the field for other purposes.
        ip.announced = None;
    }
    let end = ip.end(packet);
    Some(Quoted {
        network: start,
        transport_at: ip.transport_at,
        end,
        cut: ip.is_cut(packet),
        source: ip.source,
        destination: ip.destination,
        fragment: ip.fragment,
        transport: quoted_transport(&packet[..end], &ip)?,
    })
}

/// RFC 792 promises eight bytes of the quoted datagram, so no more is asked for.
fn quoted_transport(quote: &[u8], ip: &Ip) -> Option<QuotedTransport> {
    if ip.is_later_fragment() {
        return Some(QuotedTransport::LaterFragment {
            protocol: ip.protocol,
        });
    }
    let at = ip.transport_at;
    let word = |offset| be16(quote, at + offset);
    let family = Family::of(ip.source);
    match (ip.protocol, family) {
        (TCP, _) => Some(QuotedTransport::Tcp {
            source: word(0)?,
            destination: word(2)?,
            checksum_quoted: word(16).is_some(),
        }),
        (UDP, _) => Some(QuotedTransport::Udp {
            source: word(0)?,
            destination: word(2)?,
            checksum_quoted: word(6).is_some_and(|checksum| checksum != 0),
        }),
        (ICMP, Family::V4) | (ICMPV6, Family::V6) => {
            let [kind, _] = word(0)?.to_be_bytes();
            match Message::of(family, kind) {
                Message::Query(kind, is_request) => Some(QuotedTransport::IcmpQuery {
                    identifier: word(4)?,
                    is_request,
                    kind,
                }),
                Message::Error(_) | Message::Other => Some(QuotedTransport::Other(ip.protocol)),
            }
        }
        (other, _) => Some(QuotedTransport::Other(other)),
    }
}
