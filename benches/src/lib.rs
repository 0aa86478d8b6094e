//! References the engine is measured against, in the same run: each does less than the engine
//! does (no hold-down, no sharing, no exact exhaustion), and says so.

use std::collections::VecDeque;
use std::sync::Mutex;

/// What a bench asks of an allocator of ports.
pub trait Ports {
    /// Leases a port.
    fn lease(&mut self) -> Option<u32>;
    /// Gives one back.
    fn give_back(&mut self, port: u32);
}

/// One 256-bit block of a single thread: finds the first zero. No rest, nothing shared.
#[derive(Debug)]
pub struct LocalBlocks {
    words: Vec<u64>,
    at: usize,
}

impl LocalBlocks {
    /// So many ports, in words of 64.
    #[must_use]
    pub fn new(ports: usize) -> Self {
        LocalBlocks {
            words: vec![0; ports.div_ceil(64)],
            at: 0,
        }
    }
}

impl Ports for LocalBlocks {
    #[inline]
    fn lease(&mut self) -> Option<u32> {
        for _ in 0..=self.words.len() {
            let word = &mut self.words[self.at];
            if *word != u64::MAX {
                let bit = (!*word).trailing_zeros();
                *word |= 1 << bit;
                return Some(self.at as u32 * 64 + bit);
            }
            self.at = (self.at + 1) % self.words.len();
        }
        None
    }

    #[inline]
    fn give_back(&mut self, port: u32) {
        self.words[port as usize / 64] &= !(1 << (port % 64));
    }
}

/// A first-in-first-out free list behind a mutex. No rest but its length.
#[derive(Debug)]
pub struct LockedQueue(Mutex<VecDeque<u32>>);

impl LockedQueue {
    /// So many ports.
    #[must_use]
    pub fn new(ports: u32) -> Self {
        LockedQueue(Mutex::new((0..ports).collect()))
    }
}

impl Ports for LockedQueue {
    #[inline]
    fn lease(&mut self) -> Option<u32> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .pop_front()
    }

    #[inline]
    fn give_back(&mut self, port: u32) {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .push_back(port);
    }
}
