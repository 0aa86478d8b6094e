//! A block: 256 consecutive ports of one address and protocol.
//!
//! # Protocol
//!
//! The state word says whose the block is. `bits` has a one for every port that is nobody's: free,
//! or released and perhaps still resting. A zero is a port that is leased, or lies unissued in the
//! owner's hand.
//!
//! * **Owner** (the shard in a heating state word): the only one to turn ones into zeros.
//! * **Holder** of a lease: turns its own zero into a one, with one locked `or`, whatever the
//!   phase. It writes the port's stamp before that.
//! * **Reclaimer** (any shard): wins `condemn` on the state word, *then* verifies that every bit is
//!   one and rested; pardons the block otherwise. Two reclaimers that both looked first would both
//!   recycle (F6).
//! * After the grace period of the epoch, `recycle` moves a block that is still condemned to free
//!   in the next generation. A block reheated meanwhile has lost the mark, and keeps its
//!   generation. At most one deferral is outstanding per block (`deferred`), so a late one cannot
//!   take a second condemnation for its own.
//!
//! Tags tell leases of one port and generation apart: a reheat gives each port it takes the next
//! even tag; a raw release moves the tag of its token to the odd number above by
//! compare-and-swap, which only one of several repeated releases can do. A tag repeats after 128
//! reheats of one port within one generation.

mod mask;
mod runs;
mod shared;
mod state;

pub use mask::Mask;
pub(crate) use runs::Run;
pub(crate) use shared::Taken;
pub use state::{BlockState, Phase};

use crate::clock::{Clock, Moment, stamp};
use crate::id::ShardId;
use crate::planted::{self, Bug};
use crate::sync::{Bytes, Flag, MODEL, Small, Word};

/// Ports of a block.
pub const PORTS: usize = if MODEL { 2 } else { 256 };
/// 64-bit words of a set of ports.
pub const WORDS: usize = PORTS.div_ceil(64);

/// The hot part of a block: one cache line.
#[derive(Debug)]
#[repr(align(64))]
pub struct Block {
    /// [`BlockState`]; moved by compare-and-swap, except by the owner.
    state: Word,
    /// A one for each port that is nobody's.
    bits: [Word; WORDS],
    /// The latest slice of any release; only rises.
    last_release: Word,
    /// The slice of the latest refresh: stamps of ports released since are unambiguous for a
    /// cycle from here.
    refreshed: Word,
    /// Whether a resting hint stands for the block's released ports.
    pub(crate) listed: Flag,
    /// Whether the block stands in a queue.
    pub(crate) queued: Flag,
    /// Whether a deferred recycling is outstanding.
    pub(crate) deferred: Flag,
    /// Raised by whoever judges rested ports to take them, and by whoever refreshes stamps: the
    /// two exclude each other. Nobody waits for it.
    judging: Flag,
    tags_dirty: Flag,
    stamps_dirty: Flag,
    /// The shard that claimed this generation from free.
    origin: Small,
}

const _: () = assert!(
    MODEL || size_of::<Block>() == 64,
    "a block's hot part is one cache line"
);

impl Block {
    /// A free block.
    pub(crate) fn new(generation: u32) -> Self {
        Block {
            state: Word::new(BlockState::free(generation).to_bits()),
            bits: std::array::from_fn(|word| Word::new(Mask::FULL.0[word])),
            last_release: Word::new(0),
            refreshed: Word::new(0),
            listed: Flag::default(),
            queued: Flag::default(),
            deferred: Flag::default(),
            judging: Flag::default(),
            tags_dirty: Flag::default(),
            stamps_dirty: Flag::default(),
            origin: Small::default(),
        }
    }
}

/// The cold part of a page's blocks: a stamp and a tag per port. Untouched, it costs no memory.
#[derive(Debug)]
pub struct Cold {
    stamps: Bytes,
    tags: Bytes,
}

impl Cold {
    /// The cold part of so many blocks.
    pub(crate) fn new(blocks: usize) -> Self {
        Cold {
            stamps: Bytes::zeroed(blocks * PORTS),
            tags: Bytes::zeroed(blocks * PORTS),
        }
    }
}

/// What resting the released ports of a block have had.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rest {
    /// Every port that is nobody's.
    pub(crate) released: Mask,
    /// Those of them that have rested.
    pub(crate) rested: Mask,
    /// The slice in which the longest-resting of the others was released.
    pub(crate) earliest: Option<u64>,
}

impl Rest {
    /// Whether the whole block could be recycled.
    pub(crate) fn is_over(&self) -> bool {
        self.rested == Mask::FULL
    }
}

/// One block of a page, hot and cold part.
#[derive(Clone, Copy, Debug)]
pub struct BlockRef<'a> {
    block: &'a Block,
    cold: &'a Cold,
    base: usize,
}

impl<'a> BlockRef<'a> {
    /// Block number `index` of a page.
    pub(crate) fn new(block: &'a Block, cold: &'a Cold, index: usize) -> Self {
        BlockRef {
            block,
            cold,
            base: index * PORTS,
        }
    }

    pub(crate) fn hot(&self) -> &'a Block {
        self.block
    }

    #[inline]
    pub(crate) fn state(&self) -> BlockState {
        BlockState::from_bits(self.block.state.get())
    }

    /// Applies a transition by compare-and-swap until it holds or does not apply.
    fn transition(&self, step: impl Fn(BlockState) -> Option<BlockState>) -> Option<BlockState> {
        let mut old = self.block.state.get();
        loop {
            let new = step(BlockState::from_bits(old))?;
            match self.block.state.exchange(old, new.to_bits()) {
                Ok(()) => return Some(new),
                Err(found) => old = found,
            }
        }
    }

    /// The ports that are nobody's.
    #[inline]
    pub(crate) fn bits(&self) -> Mask {
        Mask(std::array::from_fn(|word| self.block.bits[word].get()))
    }

    /// Free to heating. The winner calls [`take_fresh`](Self::take_fresh).
    pub(crate) fn claim(&self, shard: ShardId) -> bool {
        self.transition(|state| state.claim(shard)).is_some()
    }

    /// Takes the ports of `wanted` from a block just claimed; says which it got.
    pub(crate) fn take_fresh(&self, shard: ShardId, wanted: &Mask, clock: &Clock) -> Mask {
        let hot = self.block;
        hot.refreshed.set(clock.slice());
        hot.origin.set(shard.0);
        if hot.tags_dirty.get() {
            for port in 0..PORTS {
                self.cold.tags.set(self.base + port, 0);
            }
            hot.tags_dirty.set(false);
        }
        if hot.stamps_dirty.get() {
            for port in 0..PORTS {
                self.cold.stamps.set(self.base + port, stamp::NONE);
            }
            hot.stamps_dirty.set(false);
        }
        let taken = self.bits().and(wanted);
        self.remove_bits(&taken);
        taken
    }

    /// Cooling to heating, in the same generation. The winner calls
    /// [`judge_and_take`](Self::judge_and_take), then lets go with [`cool`](Self::cool).
    pub(crate) fn reheat(&self, shard: ShardId) -> bool {
        self.transition(|state| state.reheat(shard)).is_some()
    }

    /// Takes ports the owner has judged leasable.
    fn take_owned(&self, shard: ShardId, taken: &Mask) {
        if taken.is_empty() {
            return;
        }
        self.block.tags_dirty.set(true);
        self.block.stamps_dirty.set(true);
        for port in taken.iter() {
            let tag = self.cold.tags.get(self.base + port);
            self.cold
                .tags
                .set(self.base + port, (tag | 1).wrapping_add(1));
            self.cold
                .stamps
                .set(self.base + port, stamp::of_owner(shard));
        }
        self.remove_bits(taken);
    }

    fn remove_bits(&self, taken: &Mask) {
        for (word, &mask) in taken.0.iter().enumerate() {
            if mask != 0 {
                self.block.bits[word].clear_bits(mask);
            }
        }
    }

    /// Whether nothing of this generation was ever issued: with `unissued` put back the block is
    /// as it was when it was claimed.
    pub(crate) fn is_pristine(&self, unissued: &Mask) -> bool {
        let hot = self.block;
        !hot.tags_dirty.get() && !hot.stamps_dirty.get() && self.bits().or(unissued) == Mask::FULL
    }

    /// Heating to free, by an owner that puts back everything it took; nothing was issued.
    pub(crate) fn abandon(&self, shard: ShardId, unissued: &Mask) -> bool {
        self.put_bits(unissued);
        self.transition(|state| state.abandon(shard)).is_some()
    }

    /// Puts unissued ports back, which need no rest; the owner's.
    pub(crate) fn put_back(&self, unissued: &Mask) {
        for port in unissued.iter() {
            self.cold.stamps.set(self.base + port, stamp::NONE);
        }
        self.put_bits(unissued);
    }

    fn put_bits(&self, ports: &Mask) {
        for (word, &mask) in ports.0.iter().enumerate() {
            if mask != 0 {
                self.block.bits[word].set_bits(mask);
            }
        }
    }

    /// Heating to cooling; the owner's last step, after which it owns nothing of the block.
    pub(crate) fn cool(&self, shard: ShardId) {
        let done = self.transition(|state| state.cool(shard));
        debug_assert!(done.is_some(), "only the owner cools a block");
    }

    /// The tag that a lease of this port bears now.
    #[inline]
    pub(crate) fn tag(&self, port: usize) -> u8 {
        self.cold.tags.get(self.base + port)
    }

    /// Gives a leased port back. `moment` is `None` when it need not rest.
    #[inline]
    pub(crate) fn give_back(&self, port: usize, moment: Option<Moment>, clock: &Clock) {
        match moment {
            Some(moment) => {
                self.cold.stamps.set(self.base + port, moment.stamp());
                if !self.block.stamps_dirty.get() {
                    self.block.stamps_dirty.set(true);
                }
                clock.count_cooled();
                if self.block.last_release.get() < moment.slice() {
                    self.block.last_release.raise(moment.slice());
                }
            }
            None => self.cold.stamps.set(self.base + port, stamp::NONE),
        }
        self.block.bits[port / 64].set_bits(1 << (port % 64));
    }

    /// Whether a raw token is the current one of a leased port; if so, it no longer is, and the
    /// caller gives the port back.
    ///
    /// The caller is pinned, so that the generation it compares cannot be recycled before it is
    /// done.
    pub(crate) fn redeem(&self, generation: u32, port: usize, tag: u8) -> bool {
        let state = self.state();
        let live = state.generation() == generation
            && matches!(
                state.phase(),
                Phase::Heating | Phase::Cooling | Phase::Assigned
            )
            && tag.is_multiple_of(2)
            && !self.bits().contains(port)
            // The bit seen was of this generation only if the block still is: the caller may have
            // pinned after the block was condemned, too late for the grace period to wait for it.
            && (planted::on(Bug::RawReleaseTrustsTheFirstLook)
                || self.state().generation() == generation);
        if !live {
            return false;
        }
        self.block.tags_dirty.set(true);
        if planted::on(Bug::RawReleaseChecksThenActs) {
            self.tag(port) == tag
        } else {
            self.cold.tags.exchange(self.base + port, tag, tag + 1)
        }
    }

    /// Judges the released ports: which have rested for `rest` slices.
    pub(crate) fn rest(&self, clock: &Clock, rest: u64) -> Rest {
        let released = self.bits();
        let last = self.block.last_release.get();
        // After the bits: see `Clock::slice`.
        let now = clock.slice();
        if rest == 0 || now.saturating_sub(last) >= rest || !self.block.stamps_dirty.get() {
            return Rest {
                released,
                rested: released,
                earliest: None,
            };
        }
        let mut rested = Mask::EMPTY;
        let mut oldest = None;
        for port in released.iter() {
            match self.cold.stamps.get(self.base + port) {
                stamp::NONE => rested.insert(port),
                // Only whoever does not own the block can see this: the owner is taking the port.
                owner if stamp::owner(owner).is_some() => {}
                written => {
                    let age = stamp::age(written, now);
                    if age >= rest {
                        rested.insert(port);
                    } else {
                        oldest = oldest.max(Some(age));
                    }
                }
            }
        }
        Rest {
            released,
            rested,
            earliest: oldest.map(|age| now.saturating_sub(age)),
        }
    }

    /// Whether stamps of this block could soon be taken for those of a later cycle.
    #[inline]
    pub(crate) fn is_stale(&self, now: u64) -> bool {
        now.saturating_sub(self.block.refreshed.get()) >= stamp::CYCLE / 2
    }

    /// Whether somebody judges or refreshes the block at this moment.
    pub(crate) fn is_judged(&self) -> bool {
        self.block.judging.get()
    }

    /// Forgets the stamps of ports that have rested, unless somebody is judging the block, who
    /// does it in our stead; whether it was done here.
    pub(crate) fn refresh(&self, clock: &Clock) -> bool {
        let judge = self.block.judging.raise();
        if judge {
            self.forget_rested(clock);
            self.block.judging.set(false);
        }
        judge
    }

    /// The caller has raised `judging`, so that no owner takes a port meanwhile. Ports of an
    /// assigned block can be taken and released all the same: each stamp is won before it goes.
    fn forget_rested(&self, clock: &Clock) {
        let bits = self.bits();
        let forgotten = bits.iter().filter(|&port| self.forget(port, clock)).count() as u64;
        if clock.is_counting() {
            clock.count_warmed(forgotten);
        }
        self.block.refreshed.set(clock.slice());
    }

    /// Whether a stamp says that a port which is nobody's has rested. Read before the time: it is
    /// of no later slice.
    fn is_rested(&self, stamp: u8, clock: &Clock) -> bool {
        stamp == stamp::NONE
            || (stamp::owner(stamp).is_none() && {
                let now = clock.slice();
                clock.rest() == 0
                    || now.saturating_sub(self.block.last_release.get()) >= clock.rest()
                    || stamp::age(stamp, now) >= clock.rest()
            })
    }

    /// Judges the ports of a block this shard owns and takes those that `choose` picks of the
    /// rested ones; `account` hears of them before their stamps are gone. Takes none while
    /// somebody refreshes the block.
    pub(crate) fn judge_and_take(
        &self,
        shard: ShardId,
        clock: &Clock,
        rest: u64,
        choose: impl FnOnce(&Mask) -> Mask,
        account: impl FnOnce(&Mask),
    ) -> Mask {
        if !self.block.judging.raise() {
            return Mask::EMPTY;
        }
        if self.is_stale(clock.slice()) {
            self.forget_rested(clock);
        }
        let taken = choose(&self.rest(clock, rest).rested);
        account(&taken);
        clock.count_warmed(self.count_stamped(clock, &taken));
        self.take_owned(shard, &taken);
        self.block.judging.set(false);
        taken
    }

    /// How many of these released ports bear a stamp; zero where that is not counted.
    pub(crate) fn count_stamped(&self, clock: &Clock, ports: &Mask) -> u64 {
        if !clock.is_counting() {
            return 0;
        }
        ports.iter().filter(|&port| self.is_stamped(port)).count() as u64
    }

    /// Whether this nobody's port was ever released in this generation and has a stamp.
    pub(crate) fn is_stamped(&self, port: usize) -> bool {
        self.block.stamps_dirty.get() && self.cold.stamps.get(self.base + port) != stamp::NONE
    }

    /// Marks an empty and rested cooling block for recycling. At most one caller wins, and only
    /// when it verified the block *after* the mark.
    pub(crate) fn condemn(&self, clock: &Clock) -> bool {
        if planted::on(Bug::ReclaimerChecksThenActs) {
            // F6: what was seen is no longer so when the state is moved.
            return self.rest(clock, clock.rest()).is_over()
                && self.transition(BlockState::condemn).is_some();
        }
        if self.transition(BlockState::condemn).is_none() {
            return false;
        }
        if self.rest(clock, clock.rest()).is_over() {
            return true;
        }
        self.transition(BlockState::pardon);
        false
    }

    /// Moves a block that is still condemned to free in the next generation.
    pub(crate) fn recycle(&self) -> bool {
        self.transition(BlockState::recycle).is_some()
    }

    /// Free to closed.
    pub(crate) fn close(&self) -> bool {
        self.transition(BlockState::close).is_some()
    }

    /// Closed to free.
    pub(crate) fn unclose(&self) {
        self.transition(BlockState::unclose);
    }

    /// The shard that issued a port which is now leased or in a hand; `None` while it is being
    /// released.
    pub(crate) fn issuer(&self, port: usize) -> Option<ShardId> {
        match self.cold.stamps.get(self.base + port) {
            stamp::NONE => Some(ShardId(self.block.origin.get())),
            written => stamp::owner(written),
        }
    }
}
