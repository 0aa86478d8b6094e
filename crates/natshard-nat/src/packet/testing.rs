//! Builds frames with right checksums, for tests.
//!
//! ```ignore
//! let frame = Build::udp("10.0.0.1:5353", "203.0.113.9:53").payload(b"query").vlan(7).frame();
//! ```

use std::net::{IpAddr, SocketAddr};

use super::TcpFlags;

/// A packet to be built.
#[derive(Clone, Debug)]
pub(crate) struct Build {
    source: IpAddr,
    destination: IpAddr,
    hop_limit: u8,
    id: u32,
    options: Vec<u8>,
    extensions: Vec<(u8, Vec<u8>)>,
    protocol: u8,
    /// Transport header with a zero checksum.
    header: Vec<u8>,
    checksum_at: Option<usize>,
    payload: Vec<u8>,
    checksum: Fill,
    link: Vec<u8>,
    ethertype_at: usize,
    pppoe_at: Option<usize>,
    trailer: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum Fill {
    Right,
    Set(u16),
}

fn socket(text: &str) -> SocketAddr {
    text.parse().expect("a socket address")
}

impl Build {
    /// A packet of any protocol, with `header` as its transport header.
    pub fn raw(source: IpAddr, destination: IpAddr, protocol: u8, header: &[u8]) -> Self {
        assert_eq!(source.is_ipv4(), destination.is_ipv4());
        let mut link = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
        link.extend(if source.is_ipv4() { 0x0800u16 } else { 0x86dd }.to_be_bytes());
        Self {
            source,
            destination,
            hop_limit: 64,
            id: 0x1234,
            options: Vec::new(),
            extensions: Vec::new(),
            protocol,
            header: header.to_vec(),
            checksum_at: None,
            payload: Vec::new(),
            checksum: Fill::Right,
            link,
            ethertype_at: 12,
            pppoe_at: None,
            trailer: Vec::new(),
        }
    }

    /// A TCP segment between two socket addresses, flags ACK.
    pub fn tcp(source: &str, destination: &str) -> Self {
        Self::tcp_between(socket(source), socket(destination))
    }

    /// A TCP segment between two socket addresses, flags ACK.
    pub fn tcp_between(source: SocketAddr, destination: SocketAddr) -> Self {
        let mut header = ports(source, destination);
        header.extend([
            0,
            0,
            0,
            1,
            0,
            0,
            0,
            2,
            0x50,
            TcpFlags::ACK,
            0x20,
            0,
            0,
            0,
            0,
            0,
        ]);
        let mut build = Self::raw(source.ip(), destination.ip(), 6, &header);
        build.checksum_at = Some(16);
        build
    }

    /// A UDP datagram between two socket addresses.
    pub fn udp(source: &str, destination: &str) -> Self {
        Self::udp_between(socket(source), socket(destination))
    }

    /// A UDP datagram between two socket addresses.
    pub fn udp_between(source: SocketAddr, destination: SocketAddr) -> Self {
        let mut header = ports(source, destination);
        header.extend([0; 4]);
        let mut build = Self::raw(source.ip(), destination.ip(), 17, &header);
        build.checksum_at = Some(6);
        build
    }

    /// An ICMP or ICMPv6 message; `rest` are the four bytes behind the checksum.
    pub fn icmp(source: IpAddr, destination: IpAddr, kind: u8, code: u8, rest: [u8; 4]) -> Self {
        let protocol = if source.is_ipv4() { 1 } else { 58 };
        let mut header = vec![kind, code, 0, 0];
        header.extend(rest);
        let mut build = Self::raw(source, destination, protocol, &header);
        build.checksum_at = Some(2);
        build
    }

    /// An echo request.
    pub fn echo_request(source: &str, destination: &str, identifier: u16, sequence: u16) -> Self {
        Self::echo(source, destination, [8, 128], identifier, sequence)
    }

    /// An echo reply.
    pub fn echo_reply(source: &str, destination: &str, identifier: u16, sequence: u16) -> Self {
        Self::echo(source, destination, [0, 129], identifier, sequence)
    }

    fn echo(source: &str, destination: &str, kinds: [u8; 2], id: u16, sequence: u16) -> Self {
        let source: IpAddr = source.parse().expect("an address");
        let destination = destination.parse().expect("an address");
        let kind = kinds[usize::from(source.is_ipv6())];
        let ([a, b], [c, d]) = (id.to_be_bytes(), sequence.to_be_bytes());
        Self::icmp(source, destination, kind, 0, [a, b, c, d])
    }

    /// An ICMP or ICMPv6 error that quotes the start of an IP packet.
    pub fn icmp_error(source: &str, destination: &str, kind: u8, code: u8, quote: &[u8]) -> Self {
        let source = source.parse().expect("an address");
        let destination = destination.parse().expect("an address");
        Self::icmp(source, destination, kind, code, [0; 4]).payload(quote)
    }

    /// Payload behind the transport header.
    pub fn payload(mut self, payload: &[u8]) -> Self {
        self.payload = payload.to_vec();
        self
    }

    /// TCP flags, from the constants of [`TcpFlags`].
    pub fn flags(mut self, flags: u8) -> Self {
        assert_eq!(self.protocol, 6);
        self.header[13] = flags;
        self
    }

    /// TTL or hop limit.
    pub fn hop_limit(mut self, hop_limit: u8) -> Self {
        self.hop_limit = hop_limit;
        self
    }

    /// IPv4 identification, or that of the IPv6 fragment header.
    pub fn id(mut self, id: u32) -> Self {
        self.id = id;
        self
    }

    /// IPv4 options; padded to a multiple of four bytes.
    pub fn options(mut self, options: &[u8]) -> Self {
        assert!(self.source.is_ipv4() && options.len() <= 40);
        self.options = options.to_vec();
        self.options.resize(options.len().next_multiple_of(4), 0);
        self
    }

    /// An IPv6 extension header: its number and its bytes, the first of which is overwritten with
    /// the next header.
    pub fn extension(mut self, number: u8, bytes: &[u8]) -> Self {
        assert!(self.source.is_ipv6() && bytes.len().is_multiple_of(8));
        self.extensions.push((number, bytes.to_vec()));
        self
    }

    /// Writes this into the transport checksum field instead of the right value.
    pub fn checksum(mut self, checksum: u16) -> Self {
        self.checksum = Fill::Set(checksum);
        self
    }

    /// One more VLAN tag, inside those already there.
    pub fn vlan(mut self, vlan: u16) -> Self {
        assert!(self.pppoe_at.is_none());
        let at = self.ethertype_at;
        self.link.splice(at..at, [0x81, 0x00]);
        self.link.splice(at + 2..at + 2, vlan.to_be_bytes());
        self.ethertype_at += 4;
        self
    }

    /// A PPPoE session.
    pub fn pppoe(mut self, session: u16) -> Self {
        self.link.truncate(self.ethertype_at);
        self.link.extend([0x88, 0x64]);
        self.pppoe_at = Some(self.link.len());
        self.link.extend([0x11, 0]);
        self.link.extend(session.to_be_bytes());
        self.link.extend([0, 0, 0]);
        self.link
            .push(if self.source.is_ipv4() { 0x21 } else { 0x57 });
        self
    }

    /// Bytes behind the IP packet: Ethernet padding or a trailer.
    pub fn trailer(mut self, trailer: &[u8]) -> Self {
        self.trailer = trailer.to_vec();
        self
    }

    /// The Ethernet frame.
    pub fn frame(&self) -> Vec<u8> {
        self.ethernet(&self.packet())
    }

    /// The Ethernet frames of the datagram cut into fragments of at most `size` bytes of payload.
    pub fn fragments(&self, size: usize) -> Vec<Vec<u8>> {
        assert!(size.is_multiple_of(8) && size > 0);
        let datagram = self.datagram();
        let count = datagram.len().div_ceil(size);
        (datagram.chunks(size).enumerate())
            .map(|(index, chunk)| {
                let field = u16::try_from(index * size).expect("an offset");
                let more = index + 1 < count;
                self.ethernet(&self.ip(chunk, Some((field, more))))
            })
            .collect()
    }

    /// The IP packet alone.
    pub fn packet(&self) -> Vec<u8> {
        self.ip(&self.datagram(), None)
    }

    fn ethernet(&self, packet: &[u8]) -> Vec<u8> {
        let mut frame = self.link.clone();
        if let Some(at) = self.pppoe_at {
            let length = u16::try_from(packet.len() + 2).expect("a PPPoE length");
            frame[at + 4..at + 6].copy_from_slice(&length.to_be_bytes());
        }
        frame.extend(packet);
        frame.extend(&self.trailer);
        frame
    }

    /// Transport header and payload.
    fn datagram(&self) -> Vec<u8> {
        let mut datagram = self.header.clone();
        datagram.extend(&self.payload);
        let length = u32::try_from(datagram.len()).expect("a length");
        if self.protocol == 17 && self.checksum_at.is_some() {
            datagram[4..6].copy_from_slice(&length.to_be_bytes()[2..]);
        }
        let Some(at) = self.checksum_at else {
            return datagram;
        };
        let checksum = match self.checksum {
            Fill::Set(checksum) => checksum,
            Fill::Right => {
                let mut covered = Vec::new();
                if self.protocol != 1 {
                    covered.extend(self.octets());
                    covered.extend(length.to_be_bytes());
                    covered.extend([0, 0, 0, self.protocol]);
                }
                covered.extend(&datagram);
                match (checksum(&covered), self.protocol) {
                    (0, 17) => 0xffff,
                    (checksum, _) => checksum,
                }
            }
        };
        datagram[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
        datagram
    }

    fn octets(&self) -> Vec<u8> {
        [self.source, self.destination]
            .into_iter()
            .flat_map(|address| match address {
                IpAddr::V4(address) => address.octets().to_vec(),
                IpAddr::V6(address) => address.octets().to_vec(),
            })
            .collect()
    }

    fn ip(&self, content: &[u8], fragment: Option<(u16, bool)>) -> Vec<u8> {
        if self.source.is_ipv4() {
            self.ipv4(content, fragment)
        } else {
            self.ipv6(content, fragment)
        }
    }

    fn ipv4(&self, content: &[u8], fragment: Option<(u16, bool)>) -> Vec<u8> {
        let header_length = 20 + self.options.len();
        let total = u16::try_from(header_length + content.len()).expect("a total length");
        let (offset, more) = fragment.unwrap_or_default();
        let field = (offset / 8) | if more { 0x2000 } else { 0 };
        let mut packet = vec![
            0x40 | u8::try_from(header_length / 4).expect("at most 60"),
            0,
        ];
        packet.extend(total.to_be_bytes());
        packet.extend(&self.id.to_be_bytes()[2..]);
        packet.extend(field.to_be_bytes());
        packet.extend([self.hop_limit, self.protocol, 0, 0]);
        packet.extend(self.octets());
        packet.extend(&self.options);
        let checksum = checksum(&packet);
        packet[10..12].copy_from_slice(&checksum.to_be_bytes());
        packet.extend(content);
        packet
    }

    fn ipv6(&self, content: &[u8], fragment: Option<(u16, bool)>) -> Vec<u8> {
        let mut chain = self.extensions.clone();
        if let Some((offset, more)) = fragment {
            let mut header = vec![0, 0];
            header.extend((offset | u16::from(more)).to_be_bytes());
            header.extend(self.id.to_be_bytes());
            chain.push((44, header));
        }
        let mut next: Vec<u8> = chain.iter().map(|(number, _)| *number).collect();
        next.push(self.protocol);
        let extensions: usize = chain.iter().map(|(_, bytes)| bytes.len()).sum();
        let length = u16::try_from(extensions + content.len()).expect("a payload length");
        let mut packet = vec![0x60, 0, 0, 0];
        packet.extend(length.to_be_bytes());
        packet.extend([next[0], self.hop_limit]);
        packet.extend(self.octets());
        for ((_, bytes), next) in chain.iter().zip(&next[1..]) {
            packet.push(*next);
            packet.extend(&bytes[1..]);
        }
        packet.extend(content);
        packet
    }
}

fn ports(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    [source.port(), destination.port()]
        .into_iter()
        .flat_map(u16::to_be_bytes)
        .collect()
}

/// The checksum of bytes whose checksum field is zero.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks(2)
        .map(|word| u32::from(word[0]) * 256 + word.get(1).copied().map_or(0, u32::from));
    let sum = words.fold(0, |sum, word| {
        let sum = sum + word;
        if sum > 0xffff { sum - 0xffff } else { sum }
    });
    !u16::try_from(sum).expect("folded")
}
