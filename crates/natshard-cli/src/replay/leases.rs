//! Where ports fell: as many leases as the report can draw, evenly from all of them.

use std::net::SocketAddr;

use natshard::{Protocol, Tick};

/// One lease.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeaseSample {
    /// When it was given.
    pub(crate) at: Tick,
    /// Its tuple.
    pub(crate) public: SocketAddr,
    /// Its protocol.
    pub(crate) protocol: Protocol,
}

/// Every so-manieth lease.
#[derive(Debug)]
pub(crate) struct Leases {
    limit: usize,
    stride: u64,
    total: u64,
    kept: Vec<LeaseSample>,
}

impl Leases {
    /// Keeps at most `limit`.
    pub(super) fn new(limit: usize) -> Self {
        Leases {
            limit,
            stride: 1,
            total: 0,
            kept: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, lease: LeaseSample) {
        self.total += 1;
        if self.limit == 0 || !(self.total - 1).is_multiple_of(self.stride) {
            return;
        }
        if self.kept.len() == self.limit {
            let mut nth = 0;
            self.kept.retain(|_| {
                nth += 1;
                nth % 2 == 1
            });
            self.stride *= 2;
            if !(self.total - 1).is_multiple_of(self.stride) {
                return;
            }
        }
        self.kept.push(lease);
    }

    /// All there were, and those that were kept.
    pub(crate) fn into_parts(self) -> (u64, Vec<LeaseSample>) {
        (self.total, self.kept)
    }
}
