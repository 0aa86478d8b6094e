//! What outlives an engine for as long as one of its leases does.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::clock::Clock;
use crate::reclaim::Reclaimer;
use crate::sync::{Counter, Flag};

/// The part of an engine that its pages hold on to.
#[derive(Debug)]
pub struct Ground {
    pub(crate) reclaimer: Reclaimer,
    pub(crate) clock: Clock,
    /// Tells the raw tokens of engines of this process apart; 24 bits.
    pub(crate) nonce: u32,
    /// Raised when the last engine and shard handle is gone: pages belong to their leases now.
    pub(crate) orphaned: Flag,
    pub(crate) dropped_leases: Counter,
    pub(crate) refused_tokens: Counter,
    pub(crate) open_addresses: Counter,
    pub(crate) awaiting_grace: Counter,
}

impl Ground {
    pub(crate) fn new(clock: Clock) -> Self {
        // Not part of any protocol, hence not of `sync`: it merely numbers engines.
        static NEXT: AtomicU32 = AtomicU32::new(1);
        Ground {
            reclaimer: Reclaimer::default(),
            clock,
            nonce: NEXT.fetch_add(1, Ordering::Relaxed) & 0xff_ffff,
            orphaned: Flag::default(),
            dropped_leases: Counter::default(),
            refused_tokens: Counter::default(),
            open_addresses: Counter::default(),
            awaiting_grace: Counter::default(),
        }
    }

    /// Pushes deferred work through the epoch as far as the pins of others allow.
    pub(crate) fn settle(&self) {
        let participant = self.reclaimer.join();
        for _ in 0..8 {
            participant.pin().flush();
        }
    }
}
