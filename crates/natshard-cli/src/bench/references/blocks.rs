//! The strong one: what a thread can do that shares nothing.

use crate::bench::window::Ports;

/// Blocks of 256 ports that belong to one thread: takes the first port that is free of the
/// current block, and goes on to the next block that has one when it is full. No rest, no random
/// order, nothing shared.
#[derive(Debug)]
pub struct LocalBlocks {
    /// A set bit is a port in use.
    blocks: Vec<[u64; 4]>,
    at: usize,
}

impl LocalBlocks {
    /// So many ports, a multiple of 256.
    #[must_use]
    pub fn new(ports: u32) -> Self {
        LocalBlocks {
            blocks: vec![[0; 4]; ports as usize / 256],
            at: 0,
        }
    }

    /// Leases this very port.
    #[inline]
    pub fn reserve(&mut self, port: u32) -> bool {
        let word = &mut self.blocks[port as usize / 256][port as usize / 64 % 4];
        let bit = 1 << (port % 64);
        let free = *word & bit == 0;
        *word |= bit;
        free
    }

    #[inline]
    fn take(&mut self) -> Option<u32> {
        let block = &mut self.blocks[self.at];
        for (index, word) in block.iter_mut().enumerate() {
            if *word != u64::MAX {
                let bit = (!*word).trailing_zeros();
                *word |= 1 << bit;
                return Some(self.at as u32 * 256 + index as u32 * 64 + bit);
            }
        }
        None
    }

    #[cold]
    fn next(&mut self) -> Option<u32> {
        for _ in 0..self.blocks.len() {
            self.at = if self.at + 1 == self.blocks.len() {
                0
            } else {
                self.at + 1
            };
            if let Some(port) = self.take() {
                return Some(port);
            }
        }
        None
    }
}

impl Ports for LocalBlocks {
    type Lease = u32;

    #[inline]
    fn lease(&mut self) -> Option<u32> {
        match self.take() {
            Some(port) => Some(port),
            None => self.next(),
        }
    }

    #[inline]
    fn give_back(&mut self, port: u32) {
        self.blocks[port as usize / 256][port as usize / 64 % 4] &= !(1 << (port % 64));
    }
}
