//! Whether translation changed anything that is not its business.

use std::net::IpAddr;
use std::ops::Range;

use super::wire::Ip;

/// What a NAT is configured to change besides sources.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Licence {
    /// TTL and hop limit, by one.
    pub(crate) hop_limit: bool,
    /// Destination addresses.
    pub(crate) destinations: bool,
}

/// Whether an outbound packet differs in more than its source address, its source port or query
/// identifier, its checksums and what the licence covers; in an ICMP error, the same of the other
/// end in the packet it quotes. `ip` is the packet within `before`.
pub(crate) fn strayed(before: &[u8], after: &[u8], ip: &Ip<'_>, licence: Licence) -> bool {
    if before.len() != after.len() {
        return true;
    }
    let mut fields = Fields {
        frame: before,
        ranges: Vec::with_capacity(12),
    };
    fields.packet(ip, true, licence);
    if let Some(quoted) = ip.quoted() {
        fields.packet(&quoted, false, licence);
    }
    let mut at = 0;
    for range in fields.ranges {
        if before.get(at..range.start) != after.get(at..range.start) {
            return true;
        }
        at = range.end;
    }
    before.get(at..) != after.get(at..)
}

/// Fields that may change, ascending.
struct Fields<'f> {
    frame: &'f [u8],
    ranges: Vec<Range<usize>>,
}

impl Fields<'_> {
    /// Adds a field at an offset of a part of the frame.
    fn add(&mut self, part: &[u8], field: Range<usize>) {
        let from = part.as_ptr() as usize - self.frame.as_ptr() as usize;
        // A quoted or captured packet may end before the field does.
        let end = (from + field.end).min(from + part.len());
        let start = (from + field.start).min(end);
        self.ranges.push(start..end);
    }

    /// Adds the fields of a packet that was sent by the inside host (`is_outer`), or that an error
    /// of it quotes.
    fn packet(&mut self, ip: &Ip<'_>, is_outer: bool, licence: Licence) {
        let source = is_outer || licence.destinations;
        let destination = !is_outer || licence.destinations;
        let hop_limit = is_outer && licence.hop_limit;
        let header = ip.header;
        match ip.source {
            IpAddr::V4(_) => {
                if hop_limit {
                    self.add(header, 8..9);
                }
                self.add(header, 10..12);
                if source {
                    self.add(header, 12..16);
                }
                if destination {
                    self.add(header, 16..20);
                }
            }
            IpAddr::V6(_) => {
                if hop_limit {
                    self.add(header, 7..8);
                }
                if source {
                    self.add(header, 8..24);
                }
                if destination {
                    self.add(header, 24..40);
                }
            }
        }
        let Some(checksum) = ip.checksum_at() else {
            return;
        };
        let port = if is_outer { 0..2 } else { 2..4 };
        match ip.protocol {
            6 | 17 => {
                self.add(ip.payload, port);
                self.add(ip.payload, checksum..checksum + 2);
            }
            // Of an error the identifier is not one, and stays.
            _ if ip.quoted().is_some() => self.add(ip.payload, checksum..checksum + 2),
            _ => self.add(ip.payload, checksum..checksum + 4),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed_at(frame: &[u8], at: usize, licence: Licence) -> bool {
        let mut after = frame.to_vec();
        after[at] ^= 0x40;
        strayed(frame, &after, &Ip::of_frame(101, frame).unwrap(), licence)
    }

    /// The bytes of a frame that may change.
    fn free(frame: &[u8], licence: Licence) -> Vec<usize> {
        let bytes = 0..frame.len();
        bytes
            .filter(|at| !changed_at(frame, *at, licence))
            .collect()
    }

    fn packet(protocol: u8, payload: &[u8]) -> Vec<u8> {
        let length = (20 + payload.len()) as u8;
        let mut packet = vec![0x45, 0, 0, length, 0, 1, 0, 0, 64, protocol, 0, 0];
        packet.extend([10, 0, 0, 1, 198, 18, 0, 1]);
        packet.extend(payload);
        // What follows an IP packet on Ethernet.
        packet.extend([0; 3]);
        packet
    }

    #[test]
    fn of_udp_only_source_port_and_checksums_may_change() {
        let frame = packet(17, &[0x0f, 0xa0, 0, 53, 0, 12, 1, 2, 9, 9, 9, 9]);
        let expected = [10, 11, 12, 13, 14, 15, 20, 21, 26, 27];
        assert_eq!(free(&frame, Licence::default()), expected);
    }

    #[test]
    fn a_licence_covers_what_it_says() {
        let frame = packet(17, &[0x0f, 0xa0, 0, 53, 0, 12, 1, 2, 9, 9, 9, 9]);
        let hop_limit = Licence {
            hop_limit: true,
            ..Licence::default()
        };
        assert!(free(&frame, hop_limit).contains(&8));
        let destinations = Licence {
            destinations: true,
            ..Licence::default()
        };
        let free = free(&frame, destinations);
        assert!((16..20).all(|at| free.contains(&at)) && !free.contains(&22));
    }

    #[test]
    fn of_a_query_only_the_identifier_and_of_an_error_only_the_quoted_inside_end_may_change() {
        let query = packet(1, &[8, 0, 1, 1, 0, 7, 0, 1, 9, 9]);
        assert_eq!(
            free(&query, Licence::default()),
            [10, 11, 12, 13, 14, 15, 22, 23, 24, 25]
        );
        let mut quoted = packet(17, &[0, 53, 0x0f, 0xa0, 0, 12, 1, 2]);
        quoted.truncate(28);
        let error = packet(1, &[&[3, 3, 1, 1, 0, 0, 0, 0][..], &quoted].concat());
        // Its own addresses and checksum, then those of the quoted packet.
        let expected = [
            10, 11, 12, 13, 14, 15, 22, 23, 38, 39, 44, 45, 46, 47, 50, 51, 54, 55,
        ];
        assert_eq!(free(&error, Licence::default()), expected);
    }

    #[test]
    fn of_a_later_fragment_only_the_source_may_change() {
        let mut frame = packet(17, &[1; 12]);
        frame[7] = 2;
        assert_eq!(free(&frame, Licence::default()), [10, 11, 12, 13, 14, 15]);
    }

    #[test]
    fn a_frame_of_another_length_has_strayed() {
        let frame = packet(17, &[1; 12]);
        let ip = Ip::of_frame(101, &frame).unwrap();
        assert!(strayed(&frame, &frame[1..], &ip, Licence::default()));
    }
}
