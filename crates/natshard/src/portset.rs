//! A set of the ports of one address.

use std::ops::RangeInclusive;

use crate::block::{Mask, PORTS};
use crate::hints::{BLOCKS, BlockSet};

/// Which of 65,536 ports (or identifiers) a pool may lease at an address; 8 KB, shared by all
/// addresses with the same set.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PortSet(Box<[Mask]>);

impl std::fmt::Debug for PortSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PortSet({} ports)", self.len())
    }
}

impl PortSet {
    /// The ports of the ranges of `with` that are in none of `without`.
    pub(crate) fn new(with: &[RangeInclusive<u16>], without: &[RangeInclusive<u16>]) -> Self {
        let mut set = PortSet(vec![Mask::EMPTY; BLOCKS].into_boxed_slice());
        for port in with.iter().cloned().flatten() {
            if let Some(mask) = set.0.get_mut(port as usize / PORTS) {
                mask.insert(port as usize % PORTS);
            }
        }
        for port in without.iter().cloned().flatten() {
            if let Some(mask) = set.0.get_mut(port as usize / PORTS) {
                mask.remove(port as usize % PORTS);
            }
        }
        set
    }

    /// No port.
    pub(crate) fn empty() -> Self {
        PortSet::new(&[], &[])
    }

    /// The ports of one block.
    #[inline]
    pub(crate) fn block(&self, block: usize) -> Mask {
        self.0[block]
    }

    /// Adds the ports of another.
    pub(crate) fn add(&mut self, other: &PortSet) {
        for (mask, other) in self.0.iter_mut().zip(&other.0) {
            *mask = mask.or(other);
        }
    }

    /// How many ports.
    pub(crate) fn len(&self) -> u64 {
        self.0.iter().map(|mask| u64::from(mask.count())).sum()
    }

    /// The blocks with at least one port.
    pub(crate) fn blocks(&self) -> BlockSet {
        let mut set = BlockSet::default();
        for (block, mask) in self.0.iter().enumerate() {
            if !mask.is_empty() {
                set.insert(block);
            }
        }
        set
    }
}
