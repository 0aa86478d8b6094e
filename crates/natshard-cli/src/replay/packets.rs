//! Translated packets on their way to the capture that `--out` names.

use std::ops::Range;

use anyhow::Result;

use super::ledger::Pending;
use crate::capture::{Side, Writer};

/// One packet on both sides.
#[derive(Clone, Debug)]
struct Packet {
    place: (u64, u32),
    at: u64,
    wire_len: u32,
    linktype: u16,
    inside: Range<usize>,
    outside: Range<usize>,
    outbound: bool,
}

/// Translated packets of one window.
#[derive(Debug, Default)]
pub(crate) struct Packets {
    packets: Vec<Packet>,
    bytes: Vec<u8>,
}

impl Packets {
    /// Adds a packet as it was on both sides.
    pub(super) fn push(
        &mut self,
        pending: &Pending,
        inside: &[u8],
        outside: &[u8],
        outbound: bool,
    ) {
        let mut keep = |frame: &[u8]| {
            let from = self.bytes.len();
            self.bytes.extend_from_slice(frame);
            from..self.bytes.len()
        };
        let packet = Packet {
            place: pending.place,
            at: pending.at,
            wire_len: pending.wire_len,
            linktype: pending.linktype,
            inside: keep(inside),
            outside: keep(outside),
            outbound,
        };
        self.packets.push(packet);
    }

    /// Writes what all shards have of one window, in the order of the capture, each packet first
    /// on the side that it came from.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn write(windows: &[Packets], writer: &mut Writer) -> Result<()> {
        let mut all: Vec<(&Packet, &[u8])> = windows
            .iter()
            .flat_map(|it| {
                it.packets
                    .iter()
                    .map(|packet| (packet, it.bytes.as_slice()))
            })
            .collect();
        all.sort_by_key(|(packet, _)| packet.place);
        for (packet, bytes) in all {
            let mut sides = [
                (Side::Inside, &packet.inside),
                (Side::Outside, &packet.outside),
            ];
            if !packet.outbound {
                sides.reverse();
            }
            for (side, range) in sides {
                writer.packet(
                    side,
                    packet.linktype,
                    packet.at,
                    packet.wire_len,
                    &bytes[range.clone()],
                )?;
            }
        }
        Ok(())
    }
}
