//! Fragments of copies: datagrams with identifications of their own.
//!
//! A remote host numbers its datagrams for each destination (RFC 6864). Copies of one inside host
//! may share a public address, and what was one datagram to each of them becomes several with one
//! number to that address, which no NAT could tell apart. So each copy's datagrams are numbered
//! anew, one after the other.

use std::net::IpAddr;

use hashbrown::HashMap;
use natshard_nat::packet::{Family, View};

/// Datagrams remembered in each of two generations.
const REMEMBERED: usize = 1 << 16;

/// One datagram of one copy.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Datagram {
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    id: u32,
}

/// Numbers the datagrams of the copies of one shard.
#[derive(Default)]
pub(super) struct Renumber {
    young: HashMap<Datagram, u32>,
    old: HashMap<Datagram, u32>,
    next: u32,
}

impl Renumber {
    /// Gives a fragment, which `view` was taken from, the number of its datagram.
    pub(super) fn fragment(&mut self, frame: &mut [u8], view: &View) {
        let Some(fragment) = view.fragment() else {
            return;
        };
        let datagram = Datagram {
            source: view.source(),
            destination: view.destination(),
            protocol: view.protocol(),
            id: fragment.id,
        };
        let id = match self
            .young
            .get(&datagram)
            .or_else(|| self.old.get(&datagram))
        {
            Some(id) => *id,
            None => {
                self.next = self.next.wrapping_add(1);
                if self.young.len() == REMEMBERED {
                    self.old = std::mem::take(&mut self.young);
                }
                self.young.insert(datagram, self.next);
                self.next
            }
        };
        let network = view.network_offset();
        match view.family() {
            Family::V4 => {
                let id = (id as u16).to_be_bytes();
                let field =
                    |at: usize, frame: &[u8]| u16::from_be_bytes([frame[at], frame[at + 1]]);
                let (sum_at, id_at) = (network + 10, network + 4);
                let old = field(id_at, frame);
                // RFC 1624, equation 3.
                let mut sum = u32::from(!field(sum_at, frame))
                    + u32::from(!old)
                    + u32::from(u16::from_be_bytes(id));
                while sum > 0xffff {
                    sum = (sum & 0xffff) + (sum >> 16);
                }
                frame[sum_at..sum_at + 2].copy_from_slice(&(!(sum as u16)).to_be_bytes());
                frame[id_at..id_at + 2].copy_from_slice(&id);
            }
            // No checksum of IPv6 covers a fragment header.
            Family::V6 => {
                if let Some(at) = fragment_header(&frame[network..view.end()]) {
                    frame[network + at + 4..network + at + 8].copy_from_slice(&id.to_be_bytes());
                }
            }
        }
    }
}

/// Offset of the fragment header in an IPv6 packet.
fn fragment_header(packet: &[u8]) -> Option<usize> {
    let (mut next, mut at) = (*packet.get(6)?, 40);
    loop {
        match next {
            44 => return packet.get(at..at + 8).map(|_| at),
            0 | 43 | 60 => {
                next = *packet.get(at)?;
                at += 8 * (1 + usize::from(*packet.get(at + 1)?));
            }
            _ => return None,
        }
    }
}
