//! Frames of flows by number, made without a heap.

use std::net::Ipv4Addr;

/// An Ethernet frame of the least length, without its check sequence.
pub type Frame = [u8; 60];

const IP: usize = 14;
const L4: usize = IP + 20;
/// A value that is not zero, so that it has to be updated; it is wrong, and stays so.
const CHECKSUM: u16 = 0x1234;

/// What the transport header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    /// 18 bytes of payload.
    Udp,
    /// Without payload, with these flags.
    Tcp(u8),
}

/// The flag that opens a connection.
pub const SYN: u8 = 0x02;
/// The flag of everything after that.
pub const ACK: u8 = 0x10;

/// A flow's inside endpoint: 64 flows to a host.
#[must_use]
pub fn inside(flow: u32) -> (Ipv4Addr, u16) {
    let host = Ipv4Addr::from_bits(0x0a00_0001 + flow / 64);
    (host, 20_000 + (flow % 64) as u16 * 7)
}

/// Its endpoint outside.
#[must_use]
pub fn outside(flow: u32) -> (Ipv4Addr, u16) {
    (Ipv4Addr::from_bits(0xc633_6401 + flow % 200), 443)
}

/// A frame between two endpoints.
#[must_use]
pub fn frame(transport: Transport, from: (Ipv4Addr, u16), to: (Ipv4Addr, u16)) -> Frame {
    let mut frame = [0; 60];
    frame[..12].copy_from_slice(&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]);
    frame[12..14].copy_from_slice(&[8, 0]);
    let protocol = match transport {
        Transport::Udp => 17,
        Transport::Tcp(_) => 6,
    };
    frame[IP..IP + 12].copy_from_slice(&[0x45, 0, 0, 46, 0, 0, 0x40, 0, 64, protocol, 0, 0]);
    frame[IP + 12..IP + 16].copy_from_slice(&from.0.octets());
    frame[IP + 16..L4].copy_from_slice(&to.0.octets());
    let sum = ip_checksum(&frame[IP..L4]);
    frame[IP + 10..IP + 12].copy_from_slice(&sum.to_be_bytes());
    frame[L4..L4 + 2].copy_from_slice(&from.1.to_be_bytes());
    frame[L4 + 2..L4 + 4].copy_from_slice(&to.1.to_be_bytes());
    match transport {
        Transport::Udp => {
            frame[L4 + 4..L4 + 6].copy_from_slice(&26u16.to_be_bytes());
            frame[L4 + 6..L4 + 8].copy_from_slice(&CHECKSUM.to_be_bytes());
        }
        Transport::Tcp(flags) => {
            frame[L4 + 12] = 5 << 4;
            frame[L4 + 13] = flags;
            frame[L4 + 14..L4 + 16].copy_from_slice(&[0xff, 0xff]);
            frame[L4 + 16..L4 + 18].copy_from_slice(&CHECKSUM.to_be_bytes());
        }
    }
    frame
}

/// The endpoint a frame comes from.
#[must_use]
pub fn source(frame: &Frame) -> (Ipv4Addr, u16) {
    let address = &frame[IP + 12..IP + 16];
    let octets = [address[0], address[1], address[2], address[3]];
    (
        octets.into(),
        u16::from_be_bytes([frame[L4], frame[L4 + 1]]),
    )
}

fn ip_checksum(header: &[u8]) -> u16 {
    let words = header.chunks_exact(2);
    let sum: u32 = words
        .map(|it| u32::from(it[0]) << 8 | u32::from(it[1]))
        .sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    !((sum & 0xffff) + (sum >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_checksum_is_right() {
        for flow in [0, 77, 999_999] {
            let frame = frame(Transport::Udp, inside(flow), outside(flow));
            // Over a header with its checksum in place the sum is all ones.
            assert_eq!(ip_checksum(&frame[IP..L4]), 0);
            assert_eq!(source(&frame), inside(flow));
        }
    }
}
