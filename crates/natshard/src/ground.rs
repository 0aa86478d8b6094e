//! What outlives an engine for as long as one of its leases does.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;

use crossbeam_queue::ArrayQueue;

use crate::clock::Clock;
use crate::event::EventRings;
use crate::fair::{Books, Table};
use crate::reclaim::{Participant, Pin, Reclaimer};
use crate::sync::{Counter, Flag, MODEL};

/// The part of an engine that its pages hold on to.
#[derive(Debug)]
pub struct Ground {
    /// Which engine of this process it is: its leases bear the number.
    pub(crate) ordinal: u32,
    pub(crate) reclaimer: Reclaimer,
    /// Participants for passers-by (dropped leases, a census), so that each need not register
    /// anew: thousands of registrations under one long pin would be walked by every collection.
    spare: ArrayQueue<Participant>,
    pub(crate) clock: Clock,
    /// Seals raw tokens: keyed anew for each engine.
    seal: RandomState,
    /// Pages that wait for their grace period.
    pub(crate) unlinked_pages: Counter,
    /// Raised when the last engine and shard handle is gone: pages belong to their leases now.
    pub(crate) orphaned: Flag,
    pub(crate) dropped_leases: Counter,
    pub(crate) refused_tokens: Counter,
    pub(crate) open_addresses: Counter,
    /// The books of subscribers.
    pub(crate) accounts: Table,
    /// Where events wait, if any are told.
    pub(crate) events: Option<Arc<EventRings>>,
    /// Whether somebody reads them.
    pub(crate) events_taken: Arc<Flag>,
}

impl Ground {
    /// `ordinal` is no other engine's.
    pub(crate) fn new(
        ordinal: u32,
        clock: Clock,
        events: Option<Arc<EventRings>>,
        accounts: Table,
    ) -> Self {
        Ground {
            ordinal,
            reclaimer: Reclaimer::default(),
            spare: ArrayQueue::new(16),
            clock,
            seal: RandomState::new(),
            unlinked_pages: Counter::default(),
            orphaned: Flag::default(),
            dropped_leases: Counter::default(),
            refused_tokens: Counter::default(),
            open_addresses: Counter::default(),
            accounts,
            events,
            events_taken: Arc::default(),
        }
    }

    /// The books of an account by its number.
    pub(crate) fn books<'a>(&'a self, number: u32, pin: &'a Pin<'a>) -> Option<Books<'a>> {
        let events = self.events.as_deref();
        Books::open(&self.accounts, number, &self.clock, events, pin)
    }

    /// A participant for one visit.
    pub(crate) fn visit(&self) -> Visit<'_> {
        let participant = self.spare.pop().unwrap_or_else(|| self.reclaimer.join());
        Visit {
            ground: self,
            participant: Some(participant),
        }
    }

    /// The 24 bits that make a token one of this engine's.
    pub(crate) fn seal(&self, body: impl Hash) -> u32 {
        self.seal.hash_one(body) as u32 & 0xff_ffff
    }

    /// Pushes deferred work through the epoch as far as the pins of others allow.
    pub(crate) fn settle(&self) {
        let participant = self.reclaimer.join();
        // In a model, whoever unpins last collects.
        let (least, most) = if MODEL { (1, 1) } else { (8, 10_000) };
        let mut rounds = 0;
        // A round frees some hundred pages; one that frees none is held up by somebody's pin, and
        // that somebody settles after it.
        while rounds < least || (self.unlinked_pages.get() > 0 && rounds < most) {
            participant.pin().flush();
            rounds += 1;
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
