//! Bounded housekeeping: what rested by now is sorted, recycled, and memory given back.

use std::sync::Arc;

use crate::block::Phase;
use crate::hints::Hint;
use crate::region::Region;
use crate::worker::Work;

/// Blocks visited per burst (I9).
pub(crate) const PER_BURST: usize = 4;
/// Blocks visited per call of `idle`.
pub(crate) const PER_IDLE: usize = 4096;

impl Work<'_> {
    /// Visits up to `budget` blocks whose ports have rested, once per slice each.
    pub(crate) fn sweep(&mut self, mut budget: usize) {
        let now = self.inner.ground.clock.slice();
        if self.worker.swept_slice == Some(now) {
            return;
        }
        let layout = Arc::clone(&self.worker.layout);
        let count = layout.regions.len() + layout.retired.len();
        while self.worker.sweep_at < count {
            let at = self.worker.sweep_at;
            let region = layout
                .regions
                .get(at)
                .unwrap_or_else(|| &layout.retired[at - layout.regions.len()]);
            if !self.sweep_region(region, now, &mut budget) {
                return;
            }
            self.worker.sweep_at += 1;
        }
        self.seal();
        self.worker.sweep_at = 0;
        self.worker.swept_slice = Some(now);
    }

    /// Whether the region is done with.
    fn sweep_region(&mut self, region: &Arc<Region>, now: u64, budget: &mut usize) -> bool {
        let rest = self.inner.ground.clock.rest();
        for hint in Hint::rested(now, rest, region.swept.get()) {
            let mut from = 0;
            let stopped = region.search(hint, &mut from, false, 0, |_, page, block| {
                if *budget == 0 {
                    return Some(());
                }
                *budget -= 1;
                let here = page.block(block);
                let rested = here.rest(&self.inner.ground.clock, rest);
                let cooling = here.state().phase() == Phase::Cooling;
                if cooling
                    && rested
                        .earliest
                        .is_some_and(|slice| Hint::resting(slice) == hint)
                {
                    // In its right place, and not due yet.
                    if !rested.rested.is_empty() {
                        page.settle(block);
                    }
                    return None;
                }
                if cooling
                    && rested.is_over()
                    && !here.hot().deferred.get()
                    && !self.condemn(page, block)
                {
                    // All batches are under way: stays where the next sweep finds it. It can be
                    // reheated meanwhile.
                    page.settle(block);
                    return None;
                }
                // Sorted into its new place before it is taken out of the old one, and looked at
                // again afterwards.
                page.settle(block);
                page.unmark(hint, block);
                page.settle(block);
                None
            });
            if stopped.is_some() {
                return false;
            }
        }
        region.swept.raise(now);
        self.close_one(region, now);
        true
    }

    /// Gives back the memory of one address that has been free for a hold-down.
    fn close_one(&mut self, region: &Arc<Region>, now: u64) {
        if region.open.get() <= region.keep_open {
            return;
        }
        let Some(position) = region.hints.next(Hint::CLOSABLE, 0) else {
            return;
        };
        let Some(record) = region.record(position) else {
            return;
        };
        let Some(page) = record.page() else {
            region.hints.clear(Hint::CLOSABLE, position);
            return;
        };
        if !page.is_all_free() {
            // Whoever frees its last block hints at it again.
            region.hints.clear(Hint::CLOSABLE, position);
            if page.is_all_free() {
                region.hints.set(Hint::CLOSABLE, position);
            }
            return;
        }
        if now < page.free_since.get() + self.inner.ground.clock.rest() {
            return;
        }
        region.hints.clear(Hint::CLOSABLE, position);
        if self.inner.close(self.pin, record) {
            self.shard.stats.addresses_closed.bump(1);
        }
    }
}
