//! The concurrent units, opened up for the models of `loom-tests`. Exists under `cfg(loom)` only.
#![allow(missing_docs, reason = "the models are its documentation")]

mod assigned;
mod books;
pub mod lifecycle;
mod pages;
mod swaps;
mod visits;

use std::time::Duration;

pub use crate::block::PORTS;
use crate::block::{Block, BlockRef, Cold, Mask, Phase};
use crate::changes::Changes;
use crate::clock::Clock;
use crate::fair::quota::Quota;
pub use crate::fair::quota::Source;
use crate::fair::{Tenancies, Tenancy};
use crate::grace::Ripe;
use crate::hints::{Hint, HintTree};
use crate::id::{PoolId, ShardId};
pub use crate::lease::Lease;
use crate::page::Closing;
pub use crate::planted::{Bug, plant};
use crate::queue::BlockQueue;
use crate::reclaim::Reclaimer;
pub use crate::reclaim::{Participant, Pin};
use crate::sync::{Word, spoil};
pub use assigned::{Assigned, Claim, Quarters, Take};
pub use books::{Account, Ledger};
pub use pages::Abandoned;
pub use swaps::Shape;
pub use visits::{Address, Hands};

/// Runs something, of which compare-and-swap number `at` fails for no reason; whether one did.
pub fn spoiled<T>(at: usize, run: impl FnOnce() -> T) -> (T, bool) {
    spoil::arm(at);
    let result = run();
    (result, spoil::disarm())
}

/// The block queue.
pub struct Queue(BlockQueue);

impl Queue {
    pub fn new(capacity: usize) -> Self {
        Queue(BlockQueue::new(capacity))
    }

    pub fn push(&self, value: u32) -> bool {
        self.0.push(value)
    }

    pub fn pop(&self) -> Option<u32> {
        self.0.pop()
    }
}

/// The clock of a hold-down of 16 ms, whose slices are a millisecond.
pub struct Time(Clock);

impl Time {
    pub fn new() -> Self {
        Time(Clock::new(Duration::from_millis(16)))
    }

    /// Brings a tick, as a burst does, and says the slice that a release in it would bear.
    pub fn bring(&self, millis: u64) -> u64 {
        self.0.bring(crate::tick::Tick::from_millis(millis));
        self.0.slice()
    }
}

/// How an attempt to take a page down ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Closed {
    Gone,
    /// Somebody else was at it.
    NotBegun,
    /// A block was in use.
    GivenUp,
    /// A claim took the mark away.
    TakenAway,
}

/// A page of two blocks, as far as its taking down is concerned.
#[derive(Default)]
pub struct Page {
    closing: Closing,
    claimed: Word,
}

impl Page {
    /// Takes it down if nothing of it is claimed.
    pub fn close(&self) -> Closed {
        let Some(marked) = self.closing.begin() else {
            return Closed::NotBegun;
        };
        if self.claimed.get() != 0 {
            self.closing.give_up(marked);
            return Closed::GivenUp;
        }
        match self.closing.decide(marked) {
            true => Closed::Gone,
            false => Closed::TakenAway,
        }
    }

    /// Claims a block; `false` if the page is gone, and nothing claimed.
    pub fn claim(&self) -> bool {
        self.claimed.add(1);
        let kept = self.closing.keep();
        if !kept {
            self.claimed.subtract(1);
        }
        kept
    }

    pub fn free(&self) {
        self.claimed.subtract(1);
    }

    pub fn is_gone(&self) -> bool {
        self.closing.is_gone()
    }
}

/// The ripe batches of a shard.
#[derive(Default)]
pub struct Batches(Ripe);

impl Batches {
    /// Whose shard has bursts.
    pub fn of_a_present_shard() -> Self {
        let batches = Batches::default();
        batches.0.come();
        batches
    }

    pub fn come(&self) {
        self.0.come();
    }

    /// Whether the caller is to recycle the batch.
    pub fn ripen(&self, batch: usize) -> bool {
        self.0.ripen(batch)
    }

    pub fn take_one(&self) -> Option<usize> {
        self.0.take_one()
    }

    /// How many of them the shard that leaves is to recycle.
    pub fn leave(&self) -> usize {
        self.0.leave().count()
    }
}

/// An address that can become leasable, and who searches it and refuses.
pub struct Searched {
    time: Time,
    marks: HintTree,
    changes: Changes,
}

impl Searched {
    /// In this slice, without anything leasable.
    pub fn new(slice: u64) -> Self {
        let time = Time::new();
        time.bring(slice);
        let marks = HintTree::default();
        // Loads of links are weaker in a model than they are.
        marks.make_room(0);
        Searched {
            time,
            marks,
            changes: Changes::default(),
        }
    }

    pub fn bring(&self, slice: u64) {
        self.time.bring(slice);
    }

    /// Something becomes leasable.
    pub fn offer(&self) {
        self.marks.set(Hint::RIPE, 0);
        self.changes.announce(self.time.0.slice());
    }

    fn moment(&self, slice: u64) -> (u64, u64) {
        (slice, self.changes.counted().get())
    }

    /// A search; the moment in which it refuses, unless it found something or has to search again.
    pub fn refuse(&self) -> Option<(u64, u64)> {
        let slice = self.time.0.slice();
        self.changes.watch(slice);
        let before = self.moment(slice);
        let nothing = self.marks.next(Hint::RIPE, 0).is_none();
        (nothing && self.moment(self.time.0.slice()) == before).then_some(before)
    }

    /// Whether a refusal would be repeated without a search.
    pub fn stands(&self, refusal: (u64, u64)) -> bool {
        self.moment(self.time.0.slice()) == refusal
    }
}

/// A tree of hints over two groups of addresses.
#[derive(Default)]
pub struct Tree(HintTree);

impl Tree {
    pub fn set(&self, position: usize) {
        self.0.set(Hint::RIPE, position);
    }

    pub fn clear(&self, position: usize) {
        self.0.clear(Hint::RIPE, position);
    }

    pub fn next(&self, from: usize) -> Option<usize> {
        self.0.next(Hint::RIPE, from)
    }
}

/// The quota of a pool's classes.
pub struct Shares(Quota);

impl Shares {
    /// So many blocks, and a class with a minimum.
    pub fn new(total: i64, class: u8, minimum: u32) -> Self {
        let quota = Quota::default();
        quota.resize(total);
        quota.guarantee(class, minimum);
        Shares(quota)
    }

    pub fn take(&self, class: u8) -> Option<Source> {
        self.0.take(class).ok()
    }

    pub fn give(&self, class: u8) {
        self.0.give(class);
    }

    pub fn force(&self, class: u8) {
        self.0.force(class);
    }

    pub fn guarantee(&self, class: u8, minimum: u32) {
        self.0.guarantee(class, minimum);
    }

    pub fn held(&self, class: u8) -> u32 {
        self.0.holding(class).held()
    }

    pub fn minimum(&self, class: u8) -> u32 {
        self.0.holding(class).minimum()
    }

    pub fn pot(&self) -> i64 {
        self.0.pot()
    }
}

/// A block, for whom it is held, and the claims and ends that go with it. `count` and `give` hear,
/// by class, what a quota would be told.
pub struct Held {
    block: Block,
    cold: Cold,
    clock: Clock,
    tenancies: Tenancies,
}

const POOL: PoolId = PoolId(7);

impl Held {
    pub fn new() -> Self {
        Held {
            block: Block::new(0),
            cold: Cold::new(),
            clock: Clock::new(Duration::ZERO),
            tenancies: Tenancies::default(),
        }
    }

    fn here(&self) -> BlockRef<'_> {
        BlockRef::new(&self.block, &self.cold, 0)
    }

    fn told(tenancy: Tenancy, hear: impl Fn(u8)) {
        if !tenancy.is_none() {
            hear(tenancy.class());
        }
    }

    /// Claims the block for a class, or for nobody, and lets go of it; whether it was free.
    pub fn claim(
        &self,
        shard: u8,
        class: Option<u8>,
        count: impl Fn(u8),
        give: impl Fn(u8),
    ) -> bool {
        if let Some(class) = class {
            count(class);
        }
        let here = self.here();
        if !here.claim(ShardId(shard)) {
            if let Some(class) = class {
                give(class);
            }
            return false;
        }
        here.take_fresh(ShardId(shard), &Mask::EMPTY, &self.clock);
        let generation = here.state().generation();
        let new = class.map_or(Tenancy::NONE, |class| Tenancy::new(POOL, class, generation));
        Self::told(self.tenancies.replace(0, new), give);
        here.cool(ShardId(shard));
        true
    }

    /// Condemns the block, which is empty.
    pub fn condemn(&self) -> bool {
        self.here().condemn(&self.clock)
    }

    /// Recycles the condemned block.
    pub fn recycle(&self, give: impl Fn(u8)) -> bool {
        let generation = self.here().state().generation();
        let recycled = self.here().recycle();
        if recycled {
            Self::told(self.tenancies.remove(0, generation), give);
        }
        recycled
    }

    /// Counts the block to a class of another configuration, or to nobody, if it is handed out.
    pub fn rebook(&self, class: Option<u8>, count: impl Fn(u8), give: impl Fn(u8)) -> bool {
        self.tenancies.rebook(
            0,
            || self.here().state(),
            |_, generation| {
                class.map_or(Tenancy::NONE, |class| Tenancy::new(POOL, class, generation))
            },
            |new| Self::told(new, &count),
            |old| Self::told(old, &give),
        )
    }

    /// The class it is counted to.
    pub fn class(&self) -> Option<u8> {
        let tenancy = self.tenancies.get(0);
        (!tenancy.is_none()).then(|| tenancy.class())
    }

    pub fn is_free(&self) -> bool {
        self.here().state().phase() == Phase::Free
    }

    pub fn generation(&self) -> u32 {
        self.here().state().generation()
    }
}

/// One block with its clock and epoch; ports need no rest.
pub struct OneBlock {
    block: Block,
    cold: Cold,
    clock: Clock,
    reclaimer: Reclaimer,
}

impl OneBlock {
    pub fn new() -> Self {
        OneBlock {
            block: Block::new(0),
            cold: Cold::new(),
            clock: Clock::new(Duration::ZERO),
            reclaimer: Reclaimer::default(),
        }
    }

    fn here(&self) -> BlockRef<'_> {
        BlockRef::new(&self.block, &self.cold, 0)
    }

    pub fn join(&self) -> Participant {
        self.reclaimer.join()
    }

    /// Claims a free block; the ports taken.
    pub fn claim(&self, shard: u8) -> Option<Vec<usize>> {
        let here = self.here();
        let won = here.claim(ShardId(shard));
        won.then(|| {
            here.take_fresh(ShardId(shard), &Mask::FULL, &self.clock);
            Mask::FULL.iter().collect()
        })
    }

    /// Reheats a cooling block; the ports taken.
    pub fn reheat(&self, shard: u8) -> Option<Vec<usize>> {
        let here = self.here();
        here.reheat(ShardId(shard)).then(|| {
            let rest = self.clock.rest();
            here.judge_and_take(ShardId(shard), &self.clock, rest, |rested| *rested, |_| ())
                .0
                .iter()
                .collect()
        })
    }

    pub fn cool(&self, shard: u8) {
        self.here().cool(ShardId(shard));
    }

    pub fn has_free_port(&self) -> bool {
        !self.here().nobodys().is_empty()
    }

    /// The plain release: one store that nothing is ordered after.
    pub fn give_back(&self, port: usize) {
        self.here()
            .give_back(port, self.clock.moment(), &self.clock);
    }

    pub fn tag(&self, port: usize) -> u8 {
        self.here().tag(port)
    }

    pub fn generation(&self) -> u32 {
        self.here().state().generation()
    }

    pub fn is_free(&self) -> bool {
        self.here().state().phase() == Phase::Free
    }

    /// Whether the token was accepted. The caller is pinned.
    pub fn give_back_raw(&self, _pin: &Pin<'_>, generation: u32, port: usize, tag: u8) -> bool {
        let won = self.here().redeem(generation, port, tag);
        if won {
            self.give_back(port);
        }
        won
    }

    pub fn condemn(&self) -> bool {
        self.here().begin_deferral() && {
            let won = self.here().condemn(&self.clock);
            if !won {
                self.block.deferred.set(false);
            }
            won
        }
    }

    /// Recycles a condemned block.
    pub fn recycle(&self) -> bool {
        let done = self.here().recycle();
        self.block.deferred.set(false);
        done
    }
}

/// Hands over what was deferred and collects what is due.
pub fn flush(pin: &Pin<'_>) {
    pin.flush();
}

/// Has something recycled past the bursts of this moment, as the engine does.
///
/// # Safety
///
/// As for `Pin::defer`.
pub unsafe fn defer(pin: &Pin<'_>, work: impl FnOnce() + 'static) {
    // SAFETY: passed on to the caller.
    unsafe { crate::worker::after_grace(pin, work) };
}
