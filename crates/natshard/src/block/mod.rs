//! A block: 256 consecutive ports of one address and protocol.
//!
//! # Protocol
//!
//! The state word says whose the block is. A byte per port (see [`stamp`]) says whether the port is
//! held or nobody's, and if it is nobody's, since when. Each byte has one writer at a time:
//!
//! * **Holder** of a lease: writes its own port's byte, once, when it gives the port back: one
//!   plain store, whatever the phase, from any core. It looks at nothing afterwards. A block that
//!   is not free always stands marked for a visit (see [`Page::settle`](crate::page::Page::settle)),
//!   so that nobody need be told of a port that has begun to rest.
//! * **Owner** (the shard in a heating state word): the only one to take ports that are nobody's.
//! * **Reclaimer** (any shard): wins `condemn` on the state word, *then* verifies that every port
//!   is nobody's and rested; pardons the block otherwise. Two reclaimers that both looked first
//!   would both recycle (F6). A release that it does not see yet only makes it pardon.
//! * After the grace period of the epoch, `recycle` moves a block that is still condemned to free
//!   in the next generation. A block reheated meanwhile has lost the mark, and keeps its
//!   generation. At most one deferral is outstanding per block (`deferred`), so a late one cannot
//!   take a second condemnation for its own.
//! * **Refresher** (a visitor of a cooling block, or the owner of a heating one): forgets stamps of
//!   ports that have rested before their cycle comes round. `judging` keeps it and an owner that
//!   takes ports apart.
//!
//! Tags tell leases of one port and generation apart: a reheat gives each port it takes the next
//! even tag; a raw release moves the tag of its token to the odd number above by
//! compare-and-swap, which only one of several repeated releases can do. A tag repeats after 128
//! reheats of one port within one generation.

mod look;
mod mask;
mod runs;
mod shared;
mod state;

use look::judge;
pub(crate) use look::{Look, Rest};
pub use mask::Mask;
pub(crate) use runs::Run;
pub(crate) use shared::Taken;
pub use state::{BlockState, Phase};

use crate::clock::{Clock, Moment, stamp};
use crate::hints::BLOCKS;
use crate::id::ShardId;
use crate::planted::{self, Bug};
use crate::sync::{Bytes, Flag, MODEL, Small, Word, prefetch};

/// Ports of a block.
pub const PORTS: usize = if MODEL { 2 } else { 256 };
/// 64-bit words of a set of ports.
pub const WORDS: usize = PORTS.div_ceil(64);

/// Rested stamps of a block are forgotten by the first visitor so many slices after the last time.
/// Visits are a rest apart, so that no stamp grows as old as a cycle before.
const REFRESHED_AFTER: u64 = if MODEL { 1 } else { 47 };

/// The state of a block and what shards that look for one note about it. A release touches none of
/// it.
#[derive(Debug)]
#[repr(align(64))]
pub struct Block {
    /// [`BlockState`]; moved by compare-and-swap, except by the owner.
    state: Word,
    /// The slice in which its owner took it on, or in which rested stamps were forgotten last.
    refreshed: Word,
    /// A port that need not rest came back while somebody heated the block: its owner settles it
    /// when it lets go.
    pub(crate) nudged: Flag,
    /// Whether the block stands in a queue.
    pub(crate) queued: Flag,
    /// Whether a deferred recycling is outstanding.
    pub(crate) deferred: Flag,
    /// Raised by whoever judges rested ports to take them, and by whoever refreshes stamps: the
    /// two exclude each other. Nobody waits for it.
    judging: Flag,
    tags_dirty: Flag,
    /// Whether its bytes were ever written.
    used: Flag,
    /// The shard that claimed this generation from free.
    origin: Small,
}

const _: () = assert!(
    MODEL || size_of::<Block>() == 64,
    "a block's state is one cache line"
);

impl Block {
    /// A free block.
    pub(crate) fn new(generation: u32) -> Self {
        Block {
            state: Word::new(BlockState::free(generation).to_bits()),
            refreshed: Word::new(0),
            nudged: Flag::default(),
            queued: Flag::default(),
            deferred: Flag::default(),
            judging: Flag::default(),
            tags_dirty: Flag::default(),
            used: Flag::default(),
            origin: Small::default(),
        }
    }
}

/// A byte and a tag per port of a page's blocks. Untouched, they cost no memory: bytes are written
/// as ports come back, tags at the first reheat.
#[derive(Debug)]
pub struct Cold {
    pub(crate) stamps: Bytes<{ PORTS * BLOCKS }>,
    tags: Bytes<{ PORTS * BLOCKS }>,
}

impl Cold {
    /// The cold part of a page.
    pub(crate) fn new() -> Self {
        Cold {
            stamps: Bytes::zeroed(),
            tags: Bytes::zeroed(),
        }
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
                Err(_) if planted::on(Bug::TransitionTriesOnce) => return None,
                Err(found) => old = found,
            }
        }
    }

    /// The bytes of its ports at this moment.
    #[inline]
    pub(crate) fn look(&self) -> Look {
        Look(self.cold.stamps.snapshot::<PORTS>(self.base))
    }

    /// The ports that are nobody's.
    pub(crate) fn nobodys(&self) -> Mask {
        match self.state().phase() {
            Phase::Free => Mask::FULL,
            Phase::Heating | Phase::Cooling | Phase::Assigned => self.look().nobodys(),
        }
    }

    /// Whether one port is held.
    fn is_held(&self, port: usize) -> bool {
        !stamp::is_nobodys(self.cold.stamps.acquire(self.base + port))
    }

    /// Free to heating. The winner calls [`take_fresh`](Self::take_fresh).
    pub(crate) fn claim(&self, shard: ShardId) -> bool {
        if planted::on(Bug::BlockClaimChecksThenSets) {
            let claimed = self.state().claim(shard);
            return claimed
                .map(|new| self.block.state.set(new.to_bits()))
                .is_some();
        }
        self.transition(|state| state.claim(shard)).is_some()
    }

    /// Takes the ports of `wanted` from a block just claimed; the others are nobody's, and need
    /// not rest.
    pub(crate) fn take_fresh(&self, shard: ShardId, wanted: &Mask, clock: &Clock) {
        let hot = self.block;
        hot.refreshed.set(clock.slice());
        hot.origin.set(shard.0);
        let stamps = &self.cold.stamps;
        if hot.tags_dirty.get() {
            self.cold.tags.fill(self.base, PORTS, 0);
            hot.tags_dirty.set(false);
        }
        if *wanted == Mask::FULL && !hot.used.get() {
            // Held is what untouched memory says.
            hot.used.set(true);
            return;
        }
        hot.used.set(true);
        // Runs, for that is what is usually left over: nothing, all, or what lies outside a range.
        stamps.fill(self.base, PORTS, stamp::HELD);
        for (start, count) in Mask::FULL.without(wanted).runs() {
            stamps.fill(self.base + start, count, stamp::IDLE);
        }
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
        for port in taken.iter() {
            let place = self.base + port;
            let tag = self.cold.tags.get(place);
            self.cold.tags.set(place, (tag | 1).wrapping_add(1));
            self.cold.stamps.set(place, stamp::of_owner(shard));
        }
    }

    /// Whether nothing of this generation was ever issued: with `unissued` put back the block is
    /// as it was when it was claimed.
    pub(crate) fn is_pristine(&self, unissued: &Mask) -> bool {
        let look = self.look();
        !self.block.tags_dirty.get()
            && look.stamped().is_empty()
            && look.nobodys().or(unissued) == Mask::FULL
    }

    /// Heating to free, by an owner whose ports are all in its hand; nothing was issued.
    pub(crate) fn abandon(&self, shard: ShardId) -> bool {
        self.transition(|state| state.abandon(shard)).is_some()
    }

    /// Puts unissued ports back, which need no rest; the owner's.
    pub(crate) fn put_back(&self, unissued: &Mask) {
        for port in unissued.iter() {
            self.cold.stamps.set(self.base + port, stamp::IDLE);
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

    /// Gives a leased port back, which rests from `moment` on.
    #[inline]
    pub(crate) fn give_back(&self, port: usize, moment: Moment, clock: &Clock) {
        clock.count_cooled();
        self.cold.stamps.publish(self.base + port, moment.stamp());
    }

    /// Gives a leased port back that need not rest. The caller looks at the block afterwards, to
    /// see that it is found, and so this is ordered before that.
    pub(crate) fn give_back_idle(&self, port: usize) {
        self.cold
            .stamps
            .publish_ordered(self.base + port, stamp::IDLE);
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
            && self.is_held(port)
            // What was seen was of this generation only if the block still is: the caller may have
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

    /// Judges the ports of a block that is not free: which have rested for `rest` slices.
    pub(crate) fn rest(&self, clock: &Clock, rest: u64) -> Rest {
        let early = planted::on(Bug::JudgeReadsTheTimeFirst).then(|| clock.moment());
        self.cold.stamps.seen(self.base, |ports| {
            // After the bytes: see `Clock::moment`.
            judge(ports, early.unwrap_or_else(|| clock.moment()), rest as u8)
        })
    }

    /// Whether stamps of this block could come round before the next visit but one.
    fn is_stale(&self, now: u64) -> bool {
        now.saturating_sub(self.block.refreshed.get()) >= REFRESHED_AFTER
    }

    /// Whether somebody judges or refreshes the block at this moment.
    pub(crate) fn is_judged(&self) -> bool {
        self.block.judging.get()
    }

    /// Asks for its memory, for a look or a claim that is about to come.
    #[inline]
    pub(crate) fn prefetch(&self) {
        prefetch(self.block);
        self.cold.stamps.prefetch::<PORTS>(self.base);
    }

    /// The same for a reheat.
    pub(crate) fn prefetch_with_tags(&self) {
        self.prefetch();
        self.cold.tags.prefetch::<PORTS>(self.base);
    }

    /// Whether some port may be nobody's.
    pub(crate) fn has_released(&self) -> bool {
        self.cold.stamps.any_positive::<PORTS>(self.base)
    }

    /// Every port was held in the slice `before` or later: there is no older stamp to forget.
    pub(crate) fn was_held(&self, before: u64) {
        if self.is_stale(before) {
            self.block.refreshed.set(before.saturating_sub(1));
        }
    }

    /// Forgets the stamps of ports that have rested, where they are old enough to come round some
    /// day. For visitors of a cooling or assigned block, and for the owner of a heating one.
    pub(crate) fn refresh(&self, clock: &Clock) {
        if self.is_stale(clock.slice()) {
            self.refresh_now(clock);
        }
    }

    /// The same, however old they are; `false` when somebody else is at the bytes.
    pub(crate) fn refresh_now(&self, clock: &Clock) -> bool {
        let judge = self.block.judging.raise() || planted::on(Bug::RefreshWhileJudged);
        if judge {
            self.forget_rested(clock);
            self.block.judging.set(false);
        }
        judge
    }

    /// The caller has raised `judging`, so that no owner takes a port meanwhile, and each stamp is
    /// won before it goes, for ports of an assigned block can be taken all the same.
    fn forget_rested(&self, clock: &Clock) {
        // Where a visitor finds the block condemned it may be free, and claimed, before the visitor
        // is done: he may have pinned too late for the grace period to wait for him. One that is
        // condemned from here on is not recycled before he is.
        if self.state().is_condemned() {
            return;
        }
        let rested = self.rest(clock, clock.rest()).rested;
        let forgotten = rested.iter().filter(|&port| self.forget(port, clock));
        let forgotten = forgotten.count() as u64;
        if clock.is_counting() {
            clock.count_warmed(forgotten);
        }
        self.block.refreshed.set(clock.slice());
    }

    /// Whether a byte says that its port is nobody's and has rested. It was read before the moment,
    /// and so bears the stamp of no later one.
    fn is_rested(&self, byte: u8, moment: Moment, clock: &Clock) -> bool {
        stamp::is_nobodys(byte)
            && (byte == stamp::IDLE || u64::from(stamp::age(byte, moment.stamp())) >= clock.rest())
    }

    /// Judges the ports of a block this shard owns and takes those that `choose` picks of the
    /// rested ones; `account` hears of them before their stamps are gone. Says which it took, and
    /// which others are nobody's. Takes none while somebody refreshes the block.
    pub(crate) fn judge_and_take(
        &self,
        shard: ShardId,
        clock: &Clock,
        rest: u64,
        choose: impl FnOnce(&Mask) -> Mask,
        account: impl FnOnce(&Mask),
    ) -> (Mask, Mask) {
        if !self.block.judging.raise() {
            return (Mask::EMPTY, Mask::EMPTY);
        }
        let judged = self.rest(clock, rest);
        let taken = choose(&judged.rested);
        account(&taken);
        clock.count_warmed(self.count_stamped(clock, &taken));
        self.take_owned(shard, &taken);
        self.block.judging.set(false);
        (taken, judged.released.without(&taken))
    }

    /// How many of these ports bear a stamp; zero where that is not counted.
    pub(crate) fn count_stamped(&self, clock: &Clock, ports: &Mask) -> u64 {
        if !clock.is_counting() {
            return 0;
        }
        self.look().stamped().and(ports).count().into()
    }

    /// Marks an empty and rested cooling block for recycling. At most one caller wins, and only
    /// when it verified the block *after* the mark.
    pub(crate) fn condemn(&self, clock: &Clock) -> bool {
        if planted::on(Bug::ReclaimerChecksThenActs) {
            // F6: what was seen is no longer so when the state is moved.
            return self.rest(clock, clock.rest()).is_over()
                && self.transition(BlockState::condemn).is_some();
        }
        // Whoever judges or refreshes the block is at its bytes: the next sweep comes again.
        if !planted::on(Bug::CondemnWhileJudged) && !self.block.judging.raise() {
            return false;
        }
        let condemned = self.condemn_judged(clock);
        if condemned || !planted::on(Bug::CondemnKeepsJudging) {
            self.block.judging.set(false);
        }
        condemned
    }

    /// The caller has raised `judging`.
    fn condemn_judged(&self, clock: &Clock) -> bool {
        let Some(state) = self.transition(BlockState::condemn) else {
            return false;
        };
        let look = self.look();
        if !look.judge(clock.moment(), clock.rest() as u8).is_over() {
            self.transition(BlockState::pardon);
            return false;
        }
        // It may wait for its grace period for long, and be reheated then: stamps would come round.
        if state.phase() == Phase::Cooling {
            // Nobody holds a port of it, and whoever reheats it takes none while it is judged.
            clock.count_warmed(self.count_stamped(clock, &Mask::FULL));
            self.cold.stamps.fill(self.base, PORTS, stamp::IDLE);
        } else {
            let forgotten = (0..PORTS).filter(|&port| self.forget(port, clock)).count();
            if clock.is_counting() {
                clock.count_warmed(forgotten as u64);
            }
        }
        true
    }

    /// Whether the caller may condemn the block and defer its recycling: nobody else's deferral is
    /// outstanding.
    pub(crate) fn begin_deferral(&self) -> bool {
        self.block.deferred.raise() || planted::on(Bug::DeferralBegunTwice)
    }

    /// Moves a block that is still condemned to free in the next generation.
    pub(crate) fn recycle(&self) -> bool {
        self.transition(BlockState::recycle).is_some()
    }

    /// The shard that issued a port of a block that is not free; `None` where it is nobody's.
    pub(crate) fn issuer(&self, port: usize) -> Option<ShardId> {
        match self.cold.stamps.get(self.base + port) {
            stamp::HELD => Some(ShardId(self.block.origin.get())),
            written => stamp::owner(written),
        }
    }
}

#[cfg(test)]
mod tests;
