//! Bounded housekeeping: what rested by now is sorted, recycled, and memory given back.

use std::sync::Arc;

use crate::block::Phase;
use crate::hints::Hint;
use crate::page::Page;
use crate::region::Region;
use crate::worker::Work;

/// Blocks visited per burst (I9).
pub(crate) const PER_BURST: usize = 4;
/// Blocks visited before a refill opens a further address.
pub(crate) const PER_REFILL: usize = 128;
/// Blocks visited per call of `idle`.
pub(crate) const PER_IDLE: usize = 4096;

/// Where a shard's sweep stands. A sweep goes on where the last burst left it, and looks at the
/// hints that were due when it began, so that it ends however much is listed meanwhile.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Sweep {
    /// The slice it began in.
    began: u64,
    /// What `Region::swept` was when the sweep came to the region.
    swept: Option<u64>,
    region: usize,
    class: u8,
    hint: usize,
    position: usize,
    block: usize,
}

impl Work<'_> {
    /// Visits up to `budget` blocks whose ports have rested.
    pub(crate) fn sweep(&mut self, mut budget: usize) {
        let now = self.inner.ground.clock.slice();
        if self.worker.swept_slice == Some(now) {
            return;
        }
        let layout = Arc::clone(&self.worker.layout);
        let regions = || layout.regions.iter().chain(&layout.retired);
        let mut sweep = self.worker.sweep.unwrap_or(Sweep {
            began: now,
            ..Sweep::default()
        });
        while let Some(region) = regions().nth(sweep.region) {
            if !self.sweep_region(region, &mut sweep, &mut budget) {
                self.worker.sweep = Some(sweep);
                return;
            }
            region.swept.raise(sweep.began);
            let retired = sweep.region >= layout.regions.len();
            self.close_one(region, now, retired);
            sweep = Sweep {
                began: sweep.began,
                region: sweep.region + 1,
                ..Sweep::default()
            };
        }
        self.seal();
        self.worker.sweep = None;
        self.worker.swept_slice = Some(sweep.began);
    }

    /// Has the next sweep begin at the beginning, also if this slice was swept.
    pub(crate) fn sweep_anew(&mut self) {
        (self.worker.sweep, self.worker.swept_slice) = (None, None);
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
        let tree = region.tree(class);
        for hint in Hint::rested(sweep.began, rest, swept).skip(sweep.hint) {
            while let Some(position) = tree.next(hint, sweep.position) {
                if position > sweep.position {
                    (sweep.position, sweep.block) = (position, 0);
                }
                if let Some(page) = region.record(position).and_then(|record| record.page()) {
                    let hinted = page.hinted_of(class, hint, &region.blocks);
                    if hinted.is_empty() {
                        region.forget(class, hint, position, page);
                    }
                    let done = sweep.block;
                    for block in hinted.iter().skip_while(|&block| block < done) {
                        if *budget == 0 {
                            return false;
                        }
                        *budget -= 1;
                        self.visit(page, block, hint);
                        sweep.block = block + 1;
                    }
                }
                (sweep.position, sweep.block) = (position + 1, 0);
            }
            (sweep.hint, sweep.position, sweep.block) = (sweep.hint + 1, 0, 0);
        }
        true
    }

    /// Sorts a block to where its ports' rest says, or has it recycled.
    fn visit(&mut self, page: &Page, block: usize, hint: Hint) {
        let here = page.block(block);
        let clock = &self.inner.ground.clock;
        let rest = here.rest(clock, clock.rest());
        if here.state().phase() == Phase::Assigned {
            self.reclaim_units(page, block);
        }
        let cooling = here.state().phase() == Phase::Cooling;
        if cooling
            && rest
                .earliest
                .is_some_and(|slice| Hint::resting(slice) == hint)
        {
            // In its right place, and not due yet.
            if !rest.rested.is_empty() {
                page.settle(block);
            }
            return;
        }
        if cooling && rest.is_over() && !here.hot().deferred.get() && !self.condemn(page, block) {
            // All batches are under way: it stays where the next sweep finds it, and can be
            // reheated meanwhile.
            page.settle(block);
            return;
        }
        // Sorted into its new place before it is taken out of the old one, and looked at again
        // afterwards.
        page.settle(block);
        page.unmark(hint, block);
        page.settle(block);
    }

    /// Gives back the memory of one address that has been free for a hold-down.
    ///
    /// While its blocks are closed nobody can have them, so another free address is left open
    /// beside it, which serves whoever asks in that moment. A retired region serves nobody.
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
