//! How a shard comes by its next block, and how it knows that there is none.

use std::sync::Arc;

use crate::block::Phase;
use crate::hints::{BlockSet, Hint};
use crate::layout::PoolLayout;
use crate::page::Page;
use crate::planted::{self, Bug};
use crate::port_allocator::Found;
use crate::region::{Lap, Region};
use crate::space::Record;
use crate::sweep::PER_REFILL;
use crate::sync::MODEL;
use crate::worker::{Purpose, Work};

/// Where a refill looks, in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Early,
    Free,
    Half,
    NewAddress,
    Holes,
    Everything,
}

/// A refusal that stands until something becomes leasable or a slice passes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Refusal {
    pub(crate) version: u64,
    pub(crate) slice: u64,
    layout: u64,
    /// What this shard's own other hands hold is leasable too.
    pub(crate) loads: u64,
    /// What others gave back of shares.
    shares: u64,
}

impl Work<'_> {
    /// Loads an allocator with ports of some block of its purpose, in this order: its own last
    /// one, if it gave that back half unissued or more; rested free blocks; cooling blocks at
    /// least half of whose ports have rested; a new address; any hole; and, with `hands`, what this
    /// shard's other hands hold. `false` means that no port was leasable.
    pub(crate) fn refill(&mut self, allocator: usize, purpose: Purpose, hands: bool) -> bool {
        let layout = self.layout;
        let Some(pool) = layout.pool(purpose.pool) else {
            return false;
        };
        let (mut surrendered, mut before) = (false, None);
        loop {
            self.worker.short = false;
            let known = self.worker.refusals[purpose.index()];
            if known.is_some_and(|known| self.stands(&known, pool, purpose)) {
                return false;
            }
            self.surrender(allocator);
            if self.try_left(allocator, pool, purpose) {
                return true;
            }
            if self
                .stages()
                .iter()
                .any(|&stage| self.try_stage(allocator, pool, purpose, stage))
            {
                return true;
            }
            let mut regions = pool.regions(purpose.protocol, purpose.family);
            if regions.clone().any(|region| region.is_clearing())
                && regions.any(|region| self.try_region(allocator, pool, region, Stage::Everything))
            {
                return true;
            }
            if !hands {
                return false;
            }
            if !surrendered {
                // Ports in this shard's own other hands are leasable too.
                surrendered = true;
                self.surrender_shared(pool, purpose);
                continue;
            }
            if before == Some(self.moment(pool, purpose)) {
                self.worker.refusals[purpose.index()] = before;
                return false;
            }
            // Nothing was found, or not everything was seen: once more, and watching.
            before = Some(self.watch(pool, purpose));
        }
    }

    /// Finds a port block, in this order: of assigned blocks with room; of free blocks; of a new
    /// address; of those that have rested and that nobody has looked at since. `false` means that
    /// there was none.
    pub(crate) fn find_unit(
        &mut self,
        allocator: usize,
        pool: &PoolLayout,
        purpose: Purpose,
    ) -> bool {
        if self.rest() == 0 {
            // What was released since the last sweep is due as well. Once per search: what a sweep
            // comes by it announces, and whoever finds that looks again.
            self.sweep_anew();
        }
        loop {
            let before = self.watch(pool, purpose);
            self.worker.short = false;
            let near = [Stage::Half, Stage::Free, Stage::NewAddress];
            let found = near
                .into_iter()
                .any(|stage| self.try_stage(allocator, pool, purpose, stage))
                || self.sweep_for_units(|work| {
                    [Stage::Half, Stage::Free]
                        .into_iter()
                        .any(|stage| work.try_regions(allocator, pool, purpose, stage))
                })
                || pool
                    .regions(purpose.protocol, purpose.family)
                    .any(|region| {
                        region.is_clearing()
                            && self.try_region(allocator, pool, region, Stage::Everything)
                    });
            if found || self.moment(pool, purpose) == before {
                return found;
            }
        }
    }

    /// Gives the blocks in this shard's hands back that the purpose could be served from.
    pub(crate) fn surrender_shared(&mut self, pool: &PoolLayout, purpose: Purpose) {
        for allocator in 0..self.worker.allocators.len() {
            let held = self.worker.allocators[allocator].block();
            let shared = held.is_some_and(|(page, block)| {
                // What is held for another class stays in its hands: it could not be had anyway.
                self.is_ours(pool, page, block)
                    && page.record().members().iter().any(|member| {
                        let mut regions = pool.regions(purpose.protocol, purpose.family);
                        member.blocks().contains(block)
                            && regions.any(|region| Arc::ptr_eq(region, &member.region))
                    })
            });
            if shared {
                self.surrender(allocator);
            }
        }
    }

    /// Whether as many ports cool as may.
    pub(crate) fn is_at_the_cap(&self) -> bool {
        let clock = &self.inner.ground.clock;
        clock.is_counting() && clock.cooling() >= self.inner.max_cooling
    }

    /// Where to look, in order. At the cap of cooling ports whatever has rested comes first, then
    /// the longest-resting before their time, so that no further port has to cool.
    fn stages(&self) -> &'static [Stage] {
        if self.is_at_the_cap() {
            &[
                Stage::Half,
                Stage::Holes,
                Stage::Early,
                Stage::Free,
                Stage::NewAddress,
            ]
        } else {
            &[Stage::Free, Stage::Half, Stage::NewAddress, Stage::Holes]
        }
    }

    fn try_stage(
        &mut self,
        allocator: usize,
        pool: &PoolLayout,
        purpose: Purpose,
        stage: Stage,
    ) -> bool {
        if stage == Stage::NewAddress {
            // Before memory grows: whatever awaits its grace period could be free soon, and
            // blocks that nobody has looked at since they rested can be had.
            let sealed = self.seal();
            let swept = self.is_swept(self.inner.ground.clock.slice());
            self.sweep(PER_REFILL);
            let mut again = |stage| self.try_stage(allocator, pool, purpose, stage);
            if (sealed || !swept) && (again(Stage::Free) || again(Stage::Half)) {
                return true;
            }
        }
        let claims = matches!(stage, Stage::Free | Stage::NewAddress);
        if claims && self.is_refused(pool, purpose.protocol) {
            return false;
        }
        self.try_regions(allocator, pool, purpose, stage)
    }

    fn try_regions(
        &mut self,
        allocator: usize,
        pool: &PoolLayout,
        purpose: Purpose,
        stage: Stage,
    ) -> bool {
        let mut regions = pool.regions(purpose.protocol, purpose.family);
        regions.any(|region| self.try_region(allocator, pool, region, stage))
    }

    /// The block this allocator gave back last with ports unissued, if at least half of it can
    /// be had: otherwise each `idle` would cost a fresh block.
    fn try_left(&mut self, allocator: usize, pool: &PoolLayout, purpose: Purpose) -> bool {
        let Some((record, block)) = self.worker.allocators[allocator].left.take() else {
            return false;
        };
        // SAFETY: records live as long as the engine.
        let Some(page) = unsafe { record.as_ref() }.page() else {
            return false;
        };
        let mut regions = pool.regions(purpose.protocol, purpose.family);
        let members = page.record().members();
        let ours = regions.find(|region| {
            region.blocks.contains(block)
                && members
                    .iter()
                    .any(|member| Arc::ptr_eq(&member.region, region))
        });
        let half = page.hints.contains(Hint::HALF, block);
        ours.is_some_and(|region| {
            half && self.load(allocator, pool, region, page, block, self.rest())
        })
    }

    /// Whether a refusal stands at this moment.
    pub(crate) fn stands(&self, known: &Refusal, pool: &PoolLayout, purpose: Purpose) -> bool {
        *known == self.moment(pool, purpose) && self.rest() > 0
    }

    /// The moment in which a search begins that may end in a refusal: whatever becomes leasable
    /// from here on is counted.
    pub(crate) fn watch(&self, pool: &PoolLayout, purpose: Purpose) -> Refusal {
        let slice = self.inner.ground.clock.slice();
        for region in pool.regions(purpose.protocol, purpose.family) {
            region.changes.watch(slice);
        }
        self.moment_in(slice, pool, purpose)
    }

    /// What must not have changed for a search without result to mean that there was nothing.
    pub(crate) fn moment(&self, pool: &PoolLayout, purpose: Purpose) -> Refusal {
        self.moment_in(self.inner.ground.clock.slice(), pool, purpose)
    }

    fn moment_in(&self, slice: u64, pool: &PoolLayout, purpose: Purpose) -> Refusal {
        let regions = pool.regions(purpose.protocol, purpose.family);
        Refusal {
            version: regions.fold(0, |sum, region| {
                sum.wrapping_add(region.changes.counted().get())
            }),
            slice,
            layout: self.layout.version,
            loads: self.worker.loads,
            shares: self
                .tally(pool, purpose.protocol)
                .map_or(0, |tally| tally.version()),
        }
    }

    fn try_region(
        &mut self,
        allocator: usize,
        pool: &PoolLayout,
        region: &Arc<Region>,
        stage: Stage,
    ) -> bool {
        if self.looks_at(pool, region).is_empty() {
            return false;
        }
        match stage {
            Stage::Early => self.try_early(allocator, pool, region),
            Stage::Free => {
                self.worker.short = false;
                self.try_here(allocator, pool, region)
                    || self.try_queue(allocator, pool, region)
                    || self.try_hint(allocator, pool, region, Hint::FREE, None)
            }
            Stage::Half => self.try_hint(allocator, pool, region, Hint::HALF, None),
            Stage::NewAddress => self.try_new_address(allocator, pool, region),
            Stage::Holes => self.try_holes(allocator, pool, region),
            Stage::Everything => self.try_everything(allocator, pool, region),
        }
    }

    pub(crate) fn load(
        &mut self,
        allocator: usize,
        pool: &PoolLayout,
        region: &Region,
        page: &Page,
        block: usize,
        rest: u64,
    ) -> bool {
        if self.worker.assigning.is_some() {
            return self.assign_from(pool, region, page, block);
        }
        let wanted = region.mask(pool.id, block);
        let before = self.inner.ground.clock.slice();
        let Some((taken, resting)) = self.acquire(pool, page, block, &wanted, rest) else {
            return false;
        };
        let bell = pool.bell(page.protocol, self.class(pool));
        let worker = &mut *self.worker;
        worker.loads += 1;
        let found = Found {
            page,
            block,
            taken,
            resting,
            pool: pool.id,
            flags: Self::flags(pool),
            // No later than the mark it was claimed under, and no earlier than the look that told
            // what else of it is nobody's.
            slice: match resting {
                None if !planted::on(Bug::TakenAfterItsMark) => before,
                _ => self.inner.ground.clock.slice(),
            },
        };
        worker.allocators[allocator].bell = bell;
        worker.allocators[allocator].load(&found, self.inner.order, &mut worker.random);
        true
    }

    /// The blocks of a region that the search under way can find something in.
    fn looks_at(&self, pool: &PoolLayout, region: &Region) -> BlockSet {
        if self.worker.assigning.is_some() {
            pool.assignable(region)
        } else {
            region.blocks
        }
    }

    pub(crate) fn try_queue(
        &mut self,
        allocator: usize,
        pool: &PoolLayout,
        region: &Arc<Region>,
    ) -> bool {
        if self.looks_at(pool, region) != region.blocks {
            // Most of what it would take from the queue is of no use to it.
            return false;
        }
        while !self.worker.short
            && let Some(entry) = region.dequeue()
        {
            let (position, block) = ((entry >> 8) as usize, (entry & 0xff) as usize);
            let Some(page) = region.record(position).and_then(Record::page) else {
                continue;
            };
            // Before the attempt: whoever frees the block from now on queues it again.
            let late = planted::on(Bug::UnqueuesAfterTheAttempt);
            if !late {
                page.block(block).hot().queued.set(false);
            }
            // The queue is a hint: the block may have been found another way meanwhile.
            let free = page.block(block).state().phase() == Phase::Free;
            let loaded = free && self.load(allocator, pool, region, page, block, self.rest());
            if late {
                page.block(block).hot().queued.set(false);
            }
            if loaded {
                if self.inner.stays() {
                    self.stay_at(allocator, position);
                } else if !MODEL {
                    region.prefetch_next();
                }
                return true;
            }
        }
        false
    }

    /// A free block of the address that gave one last, where shards stay at theirs; any as likely
    /// as another. Asks for the memory of the one to come.
    fn try_here(&mut self, allocator: usize, pool: &PoolLayout, region: &Arc<Region>) -> bool {
        let Some((position, from)) = self.worker.allocators[allocator].stays_at else {
            return false;
        };
        let Some(page) = region.record(position).and_then(Record::page) else {
            return false;
        };
        let blocks = self.looks_at(pool, region);
        for block in page.hinted(Hint::FREE, &blocks).iter_from(from) {
            if self.load(allocator, pool, region, page, block, self.rest()) {
                let next = self.stay_at(allocator, position);
                if !MODEL {
                    let left = page.hinted(Hint::FREE, &blocks);
                    let next = left.iter_from(next).next();
                    next.iter().for_each(|&next| page.block(next).prefetch());
                }
                return true;
            }
            if self.worker.short {
                return false;
            }
        }
        false
    }

    /// Goes on with the address at this position; says from which of its blocks on.
    fn stay_at(&mut self, allocator: usize, position: usize) -> usize {
        let next = self.worker.spin();
        self.worker.allocators[allocator].stays_at = Some((position, next));
        next
    }

    pub(crate) fn rest(&self) -> u64 {
        self.inner.ground.clock.rest()
    }

    fn try_hint(
        &mut self,
        allocator: usize,
        pool: &PoolLayout,
        region: &Arc<Region>,
        hint: Hint,
        rest: Option<u64>,
    ) -> bool {
        let rest = rest.unwrap_or(self.rest());
        let mut lap = self.worker.allocators[allocator].lap;
        let class = self.class(pool);
        let blocks = self.looks_at(pool, region);
        let found = region.search(class, hint, &mut lap, false, &blocks, |_, page, block| {
            let done = self.load(allocator, pool, region, page, block, rest);
            (done || self.gives_up(hint)).then_some(done)
        });
        if found == Some(true) {
            let page = region.record(lap.position).and_then(Record::page);
            let next =
                page.and_then(|page| Some((page, lap.turn(self.worker.spin(), page, hint)?)));
            if let Some((page, next)) = next.filter(|_| !MODEL) {
                page.block(next).prefetch_with_tags();
            }
        }
        self.worker.allocators[allocator].lap = lap;
        if hint == Hint::FREE && found == Some(true) && self.inner.stays() {
            self.stay_at(allocator, lap.position);
        }
        found == Some(true)
    }

    /// Whether to end a search without result: there is no use in trying further free blocks once
    /// one was refused for want of a share.
    fn gives_up(&self, hint: Hint) -> bool {
        hint == Hint::FREE && self.worker.short
    }

    /// The longest-rested are served before their time.
    fn try_early(&mut self, allocator: usize, pool: &PoolLayout, region: &Arc<Region>) -> bool {
        let now = self.inner.ground.clock.slice();
        (0..=self.rest()).rev().any(|age| {
            self.try_hint(
                allocator,
                pool,
                region,
                Hint::resting(now.saturating_sub(age)),
                Some(age),
            )
        })
    }

    fn try_new_address(
        &mut self,
        allocator: usize,
        pool: &PoolLayout,
        region: &Arc<Region>,
    ) -> bool {
        let layout = self.layout;
        self.worker.short = false;
        loop {
            if let Some(record) = region.closed_address() {
                let page = self.open(&region.space, record);
                let spin = self.worker.spin();
                let free = page.hinted(Hint::FREE, &self.looks_at(pool, region));
                for block in free.iter_from(spin) {
                    if self.load(allocator, pool, region, page, block, self.rest()) {
                        return true;
                    }
                    if self.worker.short {
                        return false;
                    }
                }
            }
            // Another shard's half-done enlisting is completed here rather than waited for.
            let Some((number, key)) = region.next_address() else {
                return self.try_queue(allocator, pool, region);
            };
            let record = region.space.record(key);
            self.inner.enlist(self.pin, &region.space, record, layout);
            region.enlisted(number);
            self.open(&region.space, record);
            if self.try_queue(allocator, pool, region)
                || self.try_hint(allocator, pool, region, Hint::FREE, None)
            {
                return true;
            }
            if self.worker.short {
                return false;
            }
        }
    }

    fn try_holes(&mut self, allocator: usize, pool: &PoolLayout, region: &Arc<Region>) -> bool {
        if self.try_hint(allocator, pool, region, Hint::RIPE, None) {
            return true;
        }
        let now = self.inner.ground.clock.slice();
        Hint::rested(now, self.rest(), region.swept.get())
            .any(|hint| self.try_hint(allocator, pool, region, hint, None))
    }

    /// Every block of every open address: when a summary may be hiding something at this moment.
    fn try_everything(
        &mut self,
        allocator: usize,
        pool: &PoolLayout,
        region: &Arc<Region>,
    ) -> bool {
        let now = self.inner.ground.clock.slice();
        let hints = [Hint::FREE, Hint::HALF, Hint::RIPE].into_iter();
        let rest = self.rest();
        for hint in hints.chain(Hint::rested(now, rest, region.swept.get())) {
            let class = self.class(pool);
            let blocks = self.looks_at(pool, region);
            let lap = &mut Lap::default();
            let found = region.search(class, hint, lap, true, &blocks, |_, page, block| {
                let done = self.load(allocator, pool, region, page, block, rest);
                (done || self.gives_up(hint)).then_some(done)
            });
            if found == Some(true) {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests;
