//! The short way for packets in plain form: TCP or UDP, whole, without IP options or extension
//! headers, straight behind Ethernet with at most two VLAN tags, or without link header.
//!
//! Nearly all packets are, so these few comparisons stand in for [`dissect`](super::dissect()) and
//! [`apply`](super::apply). Nothing is decided here: a packet that is plain is one whose
//! [`View`](super::View) says the same, and one that is not goes the long way, malformed or not.

use std::net::IpAddr;

use natshard::Protocol;

use super::checksum::{Delta, Zero};
use super::{HopLimit, Link, TcpFlags, Transport, View};
use crate::addr::Addr;
use crate::port::NatPort;

const TCP: u8 = 6;
const UDP: u8 = 17;

/// A packet in plain form: what there is to know about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PlainPacket {
    pub(crate) source: Addr,
    pub(crate) destination: Addr,
    /// Source port above, destination port below.
    pub(crate) ports: u32,
    pub(crate) protocol: Protocol,
    pub(crate) v6: bool,
    /// None are set in UDP.
    pub(crate) flags: TcpFlags,
    pub(crate) hop_limit: u8,
    network: u8,
}

/// Which end of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    Source,
    Destination,
}

/// What one end of a plain packet becomes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Replacement {
    pub(crate) end: End,
    pub(crate) address: Addr,
    pub(crate) port: u16,
    /// The difference that the address makes to a checksum.
    pub(crate) address_delta: u16,
}

impl Replacement {
    /// The difference that an address makes in place of another.
    pub(crate) fn delta(old: Addr, new: Addr) -> u16 {
        // What holds for the sum of 16-bit words holds for that of longer ones: 65535 divides
        // 2^32 - 1. A word of zero that becomes zero adds 65535, which is nothing.
        let [a, b] = old.0;
        let [c, d] = new.0;
        let fold = |sum: u64| (sum >> 16) + (sum & 0xffff);
        if (a | c == 0) & ((b | d) >> 32 == 0) {
            // IPv4: what the upper words would add is nothing.
            return fold(fold(fold(b + u64::from(!(d as u32))))) as u16;
        }
        let halves = |word: u64| (word >> 32) + (word & 0xffff_ffff);
        let sum = halves(a) + halves(b) + halves(!c) + halves(!d);
        fold(fold(fold(sum))) as u16
    }

    /// The difference that the opposite replacement makes.
    #[inline]
    pub(crate) const fn reversed(delta: u16) -> u16 {
        Delta::new(delta).reversed().value()
    }
}

impl PlainPacket {
    /// The packet of a frame, if it is plain.
    #[inline(always)]
    #[must_use]
    pub fn of(link: Link, frame: &[u8]) -> Option<Self> {
        let (network, version) = match link {
            Link::Ethernet => ethernet(frame)?,
            Link::RawIp => (0, frame.first()? >> 4),
            Link::LinuxCooked | Link::LinuxCooked2 | Link::Loopback => return None,
        };
        let packet = frame.get(usize::from(network)..)?;
        match version {
            4 => v4(packet, network),
            6 => v6(packet, network),
            _ => None,
        }
    }

    /// Of a TCP segment.
    #[inline]
    pub(crate) fn tcp_flags(&self) -> Option<TcpFlags> {
        (self.protocol == Protocol::Tcp).then_some(self.flags)
    }

    #[inline]
    pub(crate) const fn source(&self) -> IpAddr {
        self.source.ip(self.v6)
    }

    #[inline]
    pub(crate) const fn destination(&self) -> IpAddr {
        self.destination.ip(self.v6)
    }

    #[inline]
    pub(crate) const fn source_port(&self) -> NatPort {
        NatPort::new((self.ports >> 16) as u16)
    }

    #[inline]
    pub(crate) const fn destination_port(&self) -> NatPort {
        NatPort::new(self.ports as u16)
    }

    /// What [`dissect`](super::dissect()) says about the frame this packet is of.
    pub(crate) fn view(&self, frame: &[u8]) -> Option<View> {
        let network = usize::from(self.network);
        let packet = frame.get(network..)?;
        let (header, length_at) = if self.v6 { (40, 4) } else { (20, 2) };
        let length = usize::from(be16(packet, length_at)?);
        let transport_at = network + header;
        let (source, destination) = ((self.ports >> 16) as u16, self.ports as u16);
        Some(View {
            network,
            transport_at,
            end: network + length + if self.v6 { header } else { 0 },
            cut: false,
            hop_limit: self.hop_limit,
            source: self.source.ip(self.v6),
            destination: self.destination.ip(self.v6),
            fragment: None,
            transport: match self.protocol {
                Protocol::Tcp => Transport::Tcp {
                    source,
                    destination,
                    flags: self.flags,
                },
                Protocol::Udp | Protocol::Icmp => Transport::Udp {
                    source,
                    destination,
                    has_checksum: be16(frame, transport_at + 6)? != 0,
                },
            },
        })
    }

    /// Puts another end in the place of one and updates what checksums there are; takes the hop
    /// off. `frame` is the one the packet is of, its hop limit is more than 1 if one is to be taken
    /// off.
    #[inline(always)]
    pub(crate) fn replace(&self, frame: &mut [u8], new: &Replacement, hop_limit: HopLimit) {
        let Some(packet) = frame.get_mut(usize::from(self.network)..) else {
            return;
        };
        let second = new.end == End::Destination;
        let below = if second { 0 } else { 16 };
        let old_port = self.ports >> below & 0xffff;
        let ports = self.ports & !(0xffff << below) | u32::from(new.port) << below;
        let at = if self.v6 {
            if hop_limit == HopLimit::Decrement {
                packet[7] -= 1;
            }
            let [high, low] = new.address.0;
            let address_at = if second { 24 } else { 8 };
            let octets = (u128::from(high) << 64 | u128::from(low)).to_be_bytes();
            packet[address_at..address_at + 16].copy_from_slice(&octets);
            40
        } else {
            let Some(header) = packet.first_chunk_mut::<20>() else {
                return;
            };
            let mut sum = u32::from(new.address_delta);
            if hop_limit == HopLimit::Decrement {
                header[8] -= 1;
                // From n to n - 1 in the upper half of a word.
                sum += 0x0100;
            }
            let old = u16::from_be_bytes([header[10], header[11]]);
            let checksum = Delta::of_sum(sum).update(old, Zero::Plus, Zero::Plus);
            header[10..12].copy_from_slice(&checksum.to_be_bytes());
            let address_at = if second { 16 } else { 12 };
            header[address_at..address_at + 4].copy_from_slice(&new.address.low().to_be_bytes());
            20
        };
        let is_tcp = self.protocol == Protocol::Tcp;
        let Some(transport) = packet.get_mut(at..) else {
            return;
        };
        if let Some(both) = transport.first_chunk_mut() {
            *both = ports.to_be_bytes();
        }
        let checksum_at = if is_tcp { 16 } else { 6 };
        let zero = if is_tcp { Zero::Plus } else { Zero::Minus };
        if let Some([high, low]) = transport.get_mut(checksum_at..checksum_at + 2) {
            let old = u16::from_be_bytes([*high, *low]);
            let change = old_port + u32::from(!new.port);
            let delta = Delta::of_sum(u32::from(new.address_delta) + change);
            [*high, *low] = delta.update(old, zero, zero).to_be_bytes();
        }
    }
}

#[inline]
fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    let word: &[u8; 2] = bytes.get(at..at + 2)?.try_into().ok()?;
    Some(u16::from_be_bytes(*word))
}

/// Where the payload of a frame with at most two tags begins, and its IP version.
#[inline]
fn ethernet(frame: &[u8]) -> Option<(u8, u8)> {
    let mut next = 14;
    loop {
        match be16(frame, usize::from(next) - 2)? {
            0x0800 => return Some((next, 4)),
            0x86dd => return Some((next, 6)),
            0x8100 | 0x88a8 | 0x9100 if next < 22 => next += 4,
            _ => return None,
        }
    }
}

#[inline]
fn v4(packet: &[u8], network: u8) -> Option<PlainPacket> {
    let header: &[u8; 28] = packet.first_chunk()?;
    let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let is_fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0;
    if header[0] != 0x45 || total > packet.len() || is_fragment {
        return None;
    }
    let word = |at: usize| u32::from_be_bytes([0, 1, 2, 3].map(|byte| header[at + byte]));
    let (protocol, flags) = transport(header[9], packet, 20, total)?;
    Some(PlainPacket {
        source: Addr::v4(word(12)),
        destination: Addr::v4(word(16)),
        ports: word(20),
        protocol,
        v6: false,
        flags,
        hop_limit: header[8],
        network,
    })
}

#[inline]
fn v6(packet: &[u8], network: u8) -> Option<PlainPacket> {
    let header: &[u8; 48] = packet.first_chunk()?;
    let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
    if header[0] >> 4 != 6 || length == 0 || 40 + length > packet.len() {
        return None;
    }
    let word =
        |at: usize| u64::from_be_bytes([0, 1, 2, 3, 4, 5, 6, 7].map(|byte| header[at + byte]));
    let (protocol, flags) = transport(header[6], packet, 40, 40 + length)?;
    Some(PlainPacket {
        source: Addr([word(8), word(16)]),
        destination: Addr([word(24), word(32)]),
        ports: (word(40) >> 32) as u32,
        protocol,
        v6: true,
        flags,
        hop_limit: header[7],
        network,
    })
}

/// Protocol and TCP flags, if the header at `at` agrees with the packet's length.
///
/// Both protocols are read before it is known which one it is: which packet is of which is not to
/// be foreseen, and a wrong guess of the processor costs more than all of this.
#[inline(always)]
fn transport(protocol: u8, packet: &[u8], at: usize, total: usize) -> Option<(Protocol, TcpFlags)> {
    let length = total.checked_sub(at)?;
    let header: &[u8; 14] = match packet.get(at..)?.first_chunk() {
        Some(header) => header,
        // So short is only a UDP datagram without a frame around it.
        None => return short_udp(protocol, packet, at, length),
    };
    let is_tcp = protocol == TCP;
    let datagram = usize::from(u16::from_be_bytes([header[4], header[5]]));
    let segment = usize::from(header[12] >> 4) * 4;
    let (size, least) = if is_tcp { (segment, 20) } else { (datagram, 8) };
    let is_known = is_tcp | (protocol == UDP);
    if !is_known | (size < least) | (size > length) {
        return None;
    }
    let flags = header[13] & if is_tcp { 0xff } else { 0 };
    let protocol = if is_tcp { Protocol::Tcp } else { Protocol::Udp };
    Some((protocol, TcpFlags(flags)))
}

#[cold]
fn short_udp(
    protocol: u8,
    packet: &[u8],
    at: usize,
    length: usize,
) -> Option<(Protocol, TcpFlags)> {
    let datagram = usize::from(be16(packet, at + 4)?);
    (protocol == UDP && datagram >= 8 && datagram <= length).then_some((Protocol::Udp, TcpFlags(0)))
}
