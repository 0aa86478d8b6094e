//! What outlives an engine for as long as one of its leases does.

use std::sync::atomic::{AtomicU32, Ordering};

use crossbeam_queue::ArrayQueue;

use crate::clock::Clock;
use crate::reclaim::{Participant, Pin, Reclaimer};
use crate::sync::{Counter, Flag};

/// The part of an engine that its pages hold on to.
#[derive(Debug)]
pub struct Ground {
    pub(crate) reclaimer: Reclaimer,
    /// Participants for passers-by (dropped leases, a census), so that each need not register
    /// anew: thousands of registrations under one long pin would be walked by every collection.
    spare: ArrayQueue<Participant>,
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
            spare: ArrayQueue::new(16),
            clock,
            nonce: NEXT.fetch_add(1, Ordering::Relaxed) & 0xff_ffff,
            orphaned: Flag::default(),
            dropped_leases: Counter::default(),
            refused_tokens: Counter::default(),
            open_addresses: Counter::default(),
            awaiting_grace: Counter::default(),
        }
    }

    /// A participant for one visit.
    pub(crate) fn visit(&self) -> Visit<'_> {
        let participant = self.spare.pop().unwrap_or_else(|| self.reclaimer.join());
        Visit {
            ground: self,
            participant: Some(participant),
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

/// A borrowed participant; goes back to the spare ones.
#[derive(Debug)]
pub(crate) struct Visit<'a> {
    ground: &'a Ground,
    participant: Option<Participant>,
}

impl Visit<'_> {
    /// See [`Participant::pin`].
    pub(crate) fn pin(&self) -> Pin<'_> {
        // Taken only on drop.
        self.participant
            .as_ref()
            .expect("a visit has its participant")
            .pin()
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        // When the engine has gone a spare participant could keep what it deferred for ever, and
        // that could be a page, which keeps the ground: let it hand everything over instead.
        if let Some(participant) = self.participant.take()
            && !self.ground.orphaned.get()
        {
            let _ = self.ground.spare.push(participant);
        }
    }
}
