//! Bounded housekeeping: what rested by now is sorted, recycled, and memory given back.
//!
//! A routine sweep leaves what has rested for just so long to the shard that let go of it, which
//! visits it on its rounds, and takes it up one slice later: two shards that visit the same blocks
//! in the same moment take their cache lines from each other. A thorough one, before memory grows and
//! before a refusal, visits all that has rested.

use std::sync::Arc;

use crate::block::{BlockState, PORTS, Phase};
use crate::clock::Moment;
use crate::hints::{BlockSet, Hint};
use crate::page::Page;
use crate::planted::{self, Bug};
use crate::region::Region;
use crate::space::Record;
use crate::worker::Work;

/// Blocks visited per burst (I9), while sweeps keep up with the time.
const PER_BURST: usize = 4;
/// The more slices they lag behind, the more: twice as many for each, up to
/// `PER_BURST << MOST_DOUBLED`, so that they catch up before the ring of hints comes round, with one
/// burst in a slice as with many. A clock that leaps counts as one that went on for a rest.
const MOST_DOUBLED: u8 = 12;
/// Blocks visited before a refill opens a further address.
pub(crate) const PER_REFILL: usize = 128;
/// Blocks visited per call of `idle`.
pub(crate) const PER_IDLE: usize = 4096;

/// Blocks held to the last port that are visited at once, and how many of them count as one visit.
const AT_ONCE: usize = 64;
const HELD_FOR_ONE: usize = 16;
/// How many blocks ahead their memory is asked for.
const AHEAD: usize = 3;

/// Where a shard's sweep stands. A sweep goes on where the last burst left it, and looks at the
/// hints that were due when it began, so that it ends however much is listed meanwhile.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Sweep {
    /// When it began.
    began: Moment,
    /// Whether it visits also what has rested for just so long.
    thorough: bool,
    /// What `Region::swept` was when the sweep came to the region.
    swept: Option<u64>,
    region: usize,
    class: u8,
    hint: usize,
    position: usize,
    block: usize,
}

impl Sweep {
    /// By which slice whatever it visits had rested.
    fn reaches(&self) -> u64 {
        let slice = self.began.slice();
        slice.saturating_sub(u64::from(!self.thorough))
    }
}

impl Work<'_> {
    /// How many blocks a burst visits.
    pub(crate) fn sweep_budget(&self) -> usize {
        // Layouts that follow each other faster than sweeps end are no excuse.
        let lag = self
            .inner
            .ground
            .clock
            .moment()
            .since(self.worker.swept_ever);
        // In each slice the last sweep was of the one before.
        PER_BURST << lag.saturating_sub(1).min(MOST_DOUBLED)
    }

    /// What a burst does in a new slice: visits up to `budget` blocks whose ports have rested, its
    /// own first.
    pub(crate) fn sweep_routinely(&mut self, budget: usize) {
        let budget = self.make_rounds(budget);
        if budget > 0 {
            // What need not rest is nobody's to come back for.
            self.sweep_on(budget, self.rest() == 0);
        }
    }

    /// Visits up to `budget` blocks whose ports have rested.
    pub(crate) fn sweep(&mut self, budget: usize) {
        self.sweep_on(budget, true);
    }

    fn sweep_on(&mut self, mut budget: usize, thorough: bool) {
        let moment = self.inner.ground.clock.moment();
        let now = moment.slice();
        if thorough {
            self.inner.recycle_all();
        }
        if self.is_swept(now) {
            return;
        }
        self.refresh_hands();
        let layout = self.layout;
        let regions = || layout.regions.iter().chain(&layout.retired);
        let under_way = self.worker.sweep;
        let under_way = under_way.filter(|sweep| sweep.thorough || !thorough);
        let mut sweep = under_way.unwrap_or(Sweep {
            began: moment,
            thorough,
            ..Sweep::default()
        });
        while let Some(region) = regions().nth(sweep.region) {
            if !self.sweep_region(region, &mut sweep, &mut budget) {
                self.worker.sweep = Some(sweep);
                return;
            }
            region.swept.raise(sweep.reaches());
            let retired = sweep.region >= layout.regions.len();
            self.close_one(region, now, retired);
            sweep = Sweep {
                began: sweep.began,
                thorough: sweep.thorough,
                region: sweep.region + 1,
                ..Sweep::default()
            };
        }
        self.seal();
        self.worker.sweep = None;
        self.worker.swept = Some((sweep.began, sweep.thorough));
        self.worker.swept_ever = sweep.began;
    }

    /// Whether a thorough sweep that began in this slice has come to its end.
    pub(crate) fn is_swept(&self, slice: u64) -> bool {
        let swept = self.worker.swept;
        swept.is_some_and(|(began, thorough)| thorough && began.slice() == slice)
    }

    /// Blocks in this shard's hands are nobody else's to refresh.
    pub(crate) fn refresh_hands(&self) {
        for allocator in &self.worker.allocators {
            if let Some((page, block)) = allocator.block() {
                page.block(block).refresh(&self.inner.ground.clock);
            }
        }
    }

    /// Has the next sweep begin at the beginning, also if this slice was swept.
    pub(crate) fn sweep_anew(&mut self) {
        (self.worker.sweep, self.worker.swept) = (None, None);
    }

    /// Whether the region is done with.
    fn sweep_region(
        &mut self,
        region: &Arc<Region>,
        sweep: &mut Sweep,
        budget: &mut usize,
    ) -> bool {
        sweep.swept.get_or_insert_with(|| region.swept.get());
        for class in region.classes().skip(sweep.class.into()) {
            if !self.sweep_class(region, class, sweep, budget) {
                return false;
            }
            (sweep.class, sweep.hint) = (class + 1, 0);
            // To look through the hints of a class is work too, even if there are none.
            *budget = budget.saturating_sub(class.min(1).into());
        }
        true
    }

    /// Whether the class is done with.
    fn sweep_class(
        &mut self,
        region: &Arc<Region>,
        class: u8,
        sweep: &mut Sweep,
        budget: &mut usize,
    ) -> bool {
        if class > 0 && *budget == 0 {
            return false;
        }
        let rest = self.inner.ground.clock.rest();
        let swept = sweep.swept.unwrap_or(0);
        let began = sweep.began.slice();
        let told_apart =
            Hint::are_told_apart(began, rest, swept) && began == self.inner.ground.clock.slice();
        let told_apart = told_apart.then_some(began);
        let tree = region.tree(class);
        // What another shard comes back for. (Port blocks and tenants' blocks are not had before
        // they were visited, and so that is not put off.)
        let left = (!sweep.thorough && told_apart.is_some()).then(|| Hint::due(began, rest));
        for hint in Hint::rested(began, rest, swept).skip(sweep.hint) {
            while let Some(position) = tree.next(hint, sweep.position) {
                if position > sweep.position {
                    (sweep.position, sweep.block) = (position, 0);
                }
                let page = region.record(position).and_then(Record::page);
                if let Some(page) = page.filter(|page| left != Some(hint) || page.keeps_books()) {
                    let hinted = page.hinted_of(class, hint, &region.blocks);
                    if hinted.is_empty() {
                        region.forget(class, hint, position, page);
                    }
                    let done = sweep.block;
                    let held = match told_apart {
                        Some(now) if page.tenancies().is_none() => {
                            self.put_off_held(page, &hinted, hint, (done, now), budget)
                        }
                        _ => BlockSet::default(),
                    };
                    for block in hinted.without(&held).at_least(done).iter() {
                        if *budget == 0 {
                            return false;
                        }
                        *budget -= 1;
                        self.visit(page, block, hint, told_apart);
                        sweep.block = block + 1;
                    }
                }
                (sweep.position, sweep.block) = (position + 1, 0);
            }
            (sweep.hint, sweep.position, sweep.block) = (sweep.hint + 1, 0, 0);
        }
        true
    }

    /// Visits those of the blocks from `from` on that cool and are held to the last port, all at
    /// once, and says which they were: of a pool that is nearly full they are most. Sixteen of them
    /// cost about as much as one of another kind. `before`: the slice in which marks are told apart.
    fn put_off_held(
        &mut self,
        page: &Page,
        hinted: &BlockSet,
        hint: Hint,
        (from, before): (usize, u64),
        budget: &mut usize,
    ) -> BlockSet {
        let clock = &self.inner.ground.clock;
        let (mut held, mut seen) = (BlockSet::default(), [BlockState::from_bits(0); AT_ONCE]);
        let most = AT_ONCE.min(budget.saturating_mul(HELD_FOR_ONE));
        // Those of another kind are visited next, and are in the caches then.
        let (mut count, mut others) = (0, 0);
        let due = hinted.at_least(from);
        let mut ahead = due.iter().skip(AHEAD);
        for block in due.iter() {
            if count == most || others == *budget {
                break;
            }
            if let Some(next) = ahead.next() {
                page.block(next).prefetch();
            }
            let here = page.block(block);
            seen[count] = here.state();
            if seen[count].phase() == Phase::Cooling && !here.has_released() {
                here.was_held(before);
                held.insert(block);
                count += 1;
            } else {
                others += 1;
            }
        }
        if count == 0 || Hint::resting(before.saturating_sub(1)) == hint {
            // The latter once in a blue moon: when the clock leapt since the sweep began.
            return BlockSet::default();
        }
        *budget -= count.div_ceil(HELD_FOR_ONE);
        page.put_off(hint, before, &held);
        let late = clock.slice() != before;
        for (block, seen) in held.iter().zip(seen) {
            if late || page.block(block).state() != seen {
                // As after any visit.
                page.settle(block);
            }
        }
        held
    }

    /// Sorts a block to where its ports' rest says, or has it recycled. Says under which slice it
    /// was marked anew, if it goes on cooling.
    ///
    /// `told_apart`: in which slice no new mark can be taken for this one.
    pub(crate) fn visit(
        &mut self,
        page: &Page,
        block: usize,
        hint: Hint,
        told_apart: Option<u64>,
    ) -> Option<u64> {
        let here = page.block(block);
        let clock = &self.inner.ground.clock;
        match here.state().phase() {
            Phase::Free => {
                page.unmark(hint, block);
                if here.state().phase() != Phase::Free {
                    // Claimed meanwhile, and perhaps marked before the mark was taken away.
                    page.settle(block);
                }
                return None;
            }
            // It stays where it is: under the slice in which it was taken on, or, if that was a rest
            // ago, until its owner settles it.
            Phase::Heating => return None,
            Phase::Assigned => {
                self.reclaim_units(page, block);
                here.refresh(clock);
            }
            Phase::Cooling => {
                return self.visit_cooling(page, block, hint, told_apart);
            }
        }
        // Sorted into its new place before it is taken out of the old one, and looked at again
        // afterwards.
        page.settle(block);
        page.unmark(hint, block);
        page.settle(block);
        None
    }

    fn visit_cooling(
        &mut self,
        page: &Page,
        block: usize,
        hint: Hint,
        told_apart: Option<u64>,
    ) -> Option<u64> {
        let here = page.block(block);
        let clock = &self.inner.ground.clock;
        let (seen, before) = (here.state(), clock.slice());
        let rest = here.rest(clock, clock.rest());
        let mut marked = None;
        let expected = if !rest.is_over() {
            // Sorted into its new place before it is taken out of the old one.
            let slice = page.sort(block, &rest, before, Some(hint));
            if Hint::resting(slice) == hint {
                // In its right place, and not due yet.
                return None;
            }
            marked = Some(slice);
            if rest.released.is_empty() {
                here.was_held(before);
            } else {
                here.refresh(clock);
            }
            seen
        } else if self.condemn_rested(page, block) {
            // Until it is free it can be reheated.
            page.offer(block, PORTS);
            seen.condemn().unwrap_or(seen)
        } else if here.hot().deferred.get() && here.refresh_now(clock) {
            // It waits for a grace period, its own or that of an earlier condemnation which it was
            // reheated out of; either way it is settled at its end, and can be reheated until then,
            // however late that is.
            page.offer(block, PORTS);
            seen
        } else {
            // All batches are under way: it stays where the next sweep finds it.
            page.settle(block);
            return None;
        };
        page.unmark(hint, block);
        if planted::on(Bug::VisitTrustsItsMark) {
            return marked;
        }
        if told_apart != Some(clock.slice()) || here.state() != expected {
            // Somebody else may have marked it under this very hint, or so much time may have
            // passed that the new mark is taken for a later one.
            page.settle(block);
        }
        marked
    }

    /// Gives back the memory of one address that has been free for a hold-down.
    ///
    /// Another free address is left open beside it, so that who asks next need not open one anew. A
    /// retired region serves nobody.
    fn close_one(&mut self, region: &Arc<Region>, now: u64, retired: bool) {
        if !retired && region.open.get() <= region.keep_open {
            return;
        }
        let Some(position) = self.next_closable(region, 0) else {
            return;
        };
        if !retired && self.next_closable(region, position + 1).is_none() {
            return;
        }
        let Some(record) = region.record(position) else {
            return;
        };
        let since = record.page().map_or(0, |page| page.free_since.get());
        if now < since.saturating_add(self.inner.ground.clock.rest()) {
            return;
        }
        region.hints.clear(Hint::CLOSABLE, position);
        if self.inner.close(self.pin, record) {
            self.shard.stats.addresses_closed.bump(1);
        }
    }

    /// The next open address all of whose blocks are free.
    fn next_closable(&self, region: &Arc<Region>, mut from: usize) -> Option<usize> {
        // Bounded: each step takes a hint away that no longer holds, or ends the search.
        loop {
            let position = region.hints.next(Hint::CLOSABLE, from)?;
            let page = region.record(position).and_then(|record| record.page());
            if page.is_some_and(|page| page.is_all_free()) {
                return Some(position);
            }
            // Whoever frees its last block hints at it again.
            region.hints.clear(Hint::CLOSABLE, position);
            if page.is_some_and(|page| page.is_all_free()) {
                region.hints.set(Hint::CLOSABLE, position);
                return Some(position);
            }
            from = position + 1;
        }
    }
}

#[cfg(test)]
mod tests;
