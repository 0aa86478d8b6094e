//! Port blocks: which ports, and how an account remembers them.
//!
//! An assigned block (256 ports) is cut into port blocks of one, two or four quarters.

use crate::block::{Mask, PORTS};
use crate::fair::account::Pairing;
use crate::fields::join;

/// Ports of a quarter of a block.
pub(crate) const QUARTER: usize = if PORTS >= 4 { PORTS / 4 } else { 1 };
/// Quarters of a block.
pub(crate) const QUARTERS: usize = PORTS / QUARTER;

/// A port block within a page: a block of it, and consecutive quarters of that.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Unit {
    pub(crate) block: usize,
    pub(crate) first: usize,
    pub(crate) count: usize,
}

impl Unit {
    /// The port blocks of so many ports that a block is cut into.
    pub(crate) fn all(block: usize, size: u16) -> impl Iterator<Item = Unit> {
        let count = (usize::from(size) / QUARTER).clamp(1, QUARTERS);
        (0..QUARTERS).step_by(count).map(move |first| Unit {
            block,
            first,
            count,
        })
    }

    pub(super) fn quarters(self) -> std::ops::Range<usize> {
        self.first..self.first + self.count
    }

    /// Its ports, within the block.
    pub(crate) fn ports(self) -> Mask {
        Mask::range(self.first * QUARTER, self.count * QUARTER)
    }

    /// Its first and last port.
    pub(crate) fn range(self) -> (u16, u16) {
        let base = self.block * PORTS;
        let first = base + self.first * QUARTER;
        let last = base + (self.first + self.count) * QUARTER - 1;
        (first as u16, last as u16)
    }
}

/// A port block as an account remembers it: where, and which.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PortBlock {
    pub(crate) at: Pairing,
    pub(crate) unit: Unit,
}

impl PortBlock {
    /// Bit 0 is one; block in bits 1-8, first quarter in 9-10, quarters less one in 11-12, key in
    /// 13-44, space in 45-60.
    pub(crate) fn to_bits(self) -> u64 {
        join([
            1,
            (self.unit.block as u64) << 1,
            (self.unit.first as u64) << 9,
            (self.unit.count as u64 - 1) << 11,
            u64::from(self.at.key) << 13,
            u64::from(self.at.space) << 45,
        ])
    }

    pub(crate) fn from_bits(bits: u64) -> Self {
        PortBlock {
            at: Pairing {
                space: (bits >> 45) as u16,
                key: (bits >> 13) as u32,
            },
            unit: Unit {
                block: (bits >> 1) as u8 as usize,
                first: (bits >> 9) as usize & 3,
                count: ((bits >> 11) as usize & 3) + 1,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_block_survives_its_bits() {
        for (space, key) in [(0, 0), (u16::MAX, u32::MAX), (7, 0xc000_0201)] {
            for block in [0, 1, 255] {
                for size in [64, 128, 256] {
                    for unit in Unit::all(block, size) {
                        let at = Pairing { space, key };
                        let whole = PortBlock { at, unit };
                        assert_ne!(whole.to_bits(), 0);
                        assert_eq!(PortBlock::from_bits(whole.to_bits()), whole);
                    }
                }
            }
        }
    }

    #[test]
    fn port_blocks_cut_a_block_without_gap() {
        for size in [64u16, 128, 256] {
            let mut next = 512;
            for unit in Unit::all(2, size) {
                assert_eq!(unit.range().0, next);
                assert_eq!(unit.range().1 - unit.range().0 + 1, size);
                assert_eq!(unit.ports().count(), u32::from(size));
                next = unit.range().1 + 1;
            }
            assert_eq!(next, 768);
        }
    }
}
