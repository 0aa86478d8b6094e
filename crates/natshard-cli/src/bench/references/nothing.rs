//! Bounds from below: what the harness costs, and the least an allocator can do.

use std::num::NonZeroU64;

use crate::bench::window::Ports;

/// Hands out the same token, the size of a lease, and does nothing: the cost of the harness.
#[derive(Debug, Default)]
pub struct Harness;

/// As large as a lease of the engine.
pub type Token = (NonZeroU64, u64);

impl Ports for Harness {
    type Lease = Token;

    #[inline]
    fn lease(&mut self) -> Option<Token> {
        Some((NonZeroU64::MIN, 0))
    }

    #[inline]
    fn give_back(&mut self, _: Token) {}
}

/// A counter of one thread: never gives the same port while 2^32 others were not given, and does
/// not know what is in use.
#[derive(Debug, Default)]
pub struct Counter(u32);

impl Ports for Counter {
    type Lease = u32;

    #[inline]
    fn lease(&mut self) -> Option<u32> {
        self.0 = self.0.wrapping_add(1);
        Some(self.0)
    }

    #[inline]
    fn give_back(&mut self, _: u32) {}
}
