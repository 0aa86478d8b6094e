//! A region: addresses and blocks that belong to the same pools.

use std::sync::Arc;

use crossbeam_utils::CachePadded;

use crate::block::Mask;
use crate::changes::Changes;
use crate::hints::{BLOCKS, BUCKETS, BlockSet, Hint, HintTree};
use crate::id::PoolId;
use crate::page::Page;
use crate::portset::PortSet;
use crate::queue::BlockQueue;
use crate::segments::Segments;
use crate::space::{Record, Space};
use crate::sync::{Counter, Link, MODEL, Word};

/// The most entries a queue is made with; blocks beyond are found through the occupancy words.
const QUEUE_LIMIT: usize = 1 << 14;

/// What a region is, apart from what goes on in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct RegionSpec {
    /// Disjoint, ascending key ranges.
    pub(crate) ranges: Vec<(u32, u32)>,
    pub(crate) blocks: BlockSet,
    /// The pools that may lease from it, each with the ports it may lease.
    pub(crate) pools: Vec<(PoolId, Arc<PortSet>)>,
}

/// How far the searches of an allocator have come: they take each block of an address once, then
/// go on to the next address. Those that were taken longest ago have the most ports that have rested
/// since, so that a nearly full pool is searched as seldom as can be.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Lap {
    /// The address's.
    pub(crate) position: usize,
    /// Blocks of it that were taken since the lap came to it.
    had: BlockSet,
    /// From which block on the next one is looked for.
    pub(crate) spin: usize,
}

impl Lap {
    /// A block was taken.
    fn has(&mut self, position: usize, block: usize) {
        if position != self.position {
            (self.position, self.had) = (position, BlockSet::default());
        }
        self.had.insert(block);
    }

    /// Goes on from this block on; says which one is likely to be next then, of those that have the
    /// hint.
    pub(crate) fn turn(&mut self, spin: usize, page: &Page, hint: Hint) -> Option<usize> {
        self.spin = spin;
        let left = page.hints.get(hint).without(&self.had);
        left.iter_from(spin).next()
    }
}

/// Addresses of one space and blocks of each that belong to the same set of pools.
#[derive(Debug)]
pub struct Region {
    pub(crate) space: Arc<Space>,
    pub(crate) spec: RegionSpec,
    pub(crate) blocks: BlockSet,
    /// How many of them were enlisted in order; raised by whoever completes the next.
    cursor: Word,
    /// The records enlisted, by position.
    positions: Segments<Link<Record>>,
    next_position: Word,
    pub(crate) hints: HintTree,
    /// The same for blocks held for further classes of a pool that shares its blocks out, by class
    /// less one; `hints` is that of everybody else, and of all for hints they have in common.
    classes: Segments<HintTree, 1>,
    /// The largest class that has a tree.
    last_class: Word,
    /// Made when the first block is queued.
    queue: Link<BlockQueue>,
    queue_limit: usize,
    /// What became leasable.
    pub(crate) changes: CachePadded<Changes>,
    /// How many clearings of hints are under way.
    clearing: CachePadded<Word>,
    /// The last slice by which every hint then rested had been visited.
    pub(crate) swept: Word,
    pub(crate) open: Counter,
    /// Addresses to keep open.
    pub(crate) keep_open: u64,
}

// SAFETY: positions hold pointers to records of `space`, which the region keeps alive, and which
// are `Sync`.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

impl Region {
    pub(crate) fn new(space: &Arc<Space>, spec: RegionSpec, keep_open: u64) -> Self {
        let addresses: u64 = spec
            .ranges
            .iter()
            .map(|&(low, high)| u64::from(high - low) + 1)
            .sum();
        let blocks = usize::try_from(addresses)
            .unwrap_or(usize::MAX)
            .saturating_mul(spec.blocks.len());
        Region {
            space: Arc::clone(space),
            blocks: spec.blocks,
            spec,
            cursor: Word::new(0),
            positions: Segments::default(),
            next_position: Word::new(0),
            hints: HintTree::default(),
            classes: Segments::default(),
            last_class: Word::new(0),
            queue: Link::default(),
            // In a model with room for a block that is queued twice.
            queue_limit: blocks.min(QUEUE_LIMIT) * if MODEL { 2 } else { 1 },
            changes: CachePadded::default(),
            clearing: CachePadded::new(Word::new(0)),
            swept: Word::new(0),
            open: Counter::default(),
            keep_open,
        }
    }

    /// Asks for the memory of the block that whoever comes next is likely to take from the queue.
    pub(crate) fn prefetch_next(&self) {
        // SAFETY: as in `dequeue`.
        let entry = unsafe { self.queue.get().as_ref() }.and_then(BlockQueue::peek);
        let Some((position, block)) = entry.map(|entry| ((entry >> 8) as usize, entry & 0xff))
        else {
            return;
        };
        if let Some(page) = self.record(position).and_then(Record::page) {
            page.block(block as usize).prefetch();
        }
    }

    /// The oldest entry of the block queue.
    pub(crate) fn dequeue(&self) -> Option<u32> {
        // SAFETY: a non-null link holds a box leaked by `enqueue`, freed only with the region.
        unsafe { self.queue.get().as_ref() }?.pop()
    }

    /// Appends to the block queue; `false` when it is full.
    pub(crate) fn enqueue(&self, entry: u32) -> bool {
        if self.queue.get().is_null() {
            let fresh = Box::into_raw(Box::new(BlockQueue::new(self.queue_limit)));
            if self.queue.exchange(std::ptr::null_mut(), fresh).is_err() {
                // SAFETY: nobody saw `fresh`.
                drop(unsafe { Box::from_raw(fresh) });
            }
        }
        // SAFETY: as in `dequeue`.
        unsafe { &*self.queue.get() }.push(entry)
    }

    /// The hints of one class.
    pub(crate) fn tree(&self, class: u8) -> &HintTree {
        let Some(further) = class.checked_sub(1) else {
            return &self.hints;
        };
        if self.last_class.get() < u64::from(class) {
            self.last_class.raise(class.into());
        }
        self.classes.get_or_grow(further.into())
    }

    /// Every class that may have hints here.
    pub(crate) fn classes(&self) -> impl Iterator<Item = u8> + use<> {
        0..=self.last_class.get() as u8
    }

    /// The ports of a block that a pool may lease here.
    pub(crate) fn mask(&self, pool: PoolId, block: usize) -> Mask {
        let found = self.spec.pools.iter().find(|&&(id, _)| id == pool);
        found.map_or(Mask::EMPTY, |(_, ports)| ports.block(block))
    }

    /// The key of the next address to enlist, and its number.
    pub(crate) fn next_address(&self) -> Option<(u64, u32)> {
        let number = self.cursor.get();
        self.address_at(number).map(|key| (number, key))
    }

    /// The key of an address by its number.
    pub(crate) fn address_at(&self, mut number: u64) -> Option<u32> {
        for &(low, high) in &self.spec.ranges {
            let len = u64::from(high - low) + 1;
            if number < len {
                return Some(low + number as u32);
            }
            number -= len;
        }
        None
    }

    /// How many blocks all of its addresses have.
    pub(crate) fn blocks_in_all(&self) -> u64 {
        self.addresses() * self.blocks.len() as u64
    }

    /// How many addresses there are.
    pub(crate) fn addresses(&self) -> u64 {
        let ranges = self.spec.ranges.iter();
        ranges.map(|&(low, high)| u64::from(high - low) + 1).sum()
    }

    /// Says that an address is enlisted; of several that helped, one moves the cursor.
    pub(crate) fn enlisted(&self, number: u64) {
        let _ = self.cursor.exchange(number, number + 1);
    }

    /// A position for a record to be.
    pub(crate) fn reserve_position(&self) -> Option<u32> {
        let position = self.next_position.add(1);
        (position < HintTree::CAPACITY.min(Segments::<Link<Record>>::CAPACITY) as u64)
            .then_some(position as u32)
    }

    /// Puts a record at its position and hints at what it has; the record's members say so
    /// already, so marks made at the same time reach this region too.
    pub(crate) fn seat(&self, record: &Record, position: u32) {
        let position = position as usize;
        self.positions
            .get_or_grow(position)
            .set(std::ptr::from_ref(record).cast_mut());
        let Some(page) = record.page() else {
            self.hints.set(Hint::FREE, position);
            return;
        };
        if page.is_all_free() {
            self.hints.set(Hint::CLOSABLE, position);
        }
        for block in self.blocks.iter() {
            for hint in [Hint::FREE, Hint::HALF, Hint::RIPE]
                .into_iter()
                .chain((0..BUCKETS as u64).map(Hint::resting))
            {
                if page.hints.contains(hint, block) {
                    let class = if hint.is_common() {
                        0
                    } else {
                        page.tenancy(block).class()
                    };
                    self.tree(class).set(hint, position);
                }
            }
        }
    }

    /// How many positions there are; the last of them may be without a record yet.
    pub(crate) fn seats(&self) -> usize {
        self.next_position.get() as usize
    }

    /// The record at a position.
    pub(crate) fn record(&self, position: usize) -> Option<&Record> {
        // SAFETY: set by `seat` from a record of `space`, which lives as long as the region.
        unsafe { self.positions.get(position)?.get().as_ref() }
    }

    /// Clears an address's hint if `empty` says so, and looks again afterwards.
    pub(crate) fn clear_if(
        &self,
        class: u8,
        hint: Hint,
        position: usize,
        empty: impl Fn() -> bool,
    ) {
        if !empty() {
            return;
        }
        let tree = self.tree(class);
        self.clearing.add(1);
        tree.clear(hint, position);
        if !empty() {
            tree.set(hint, position);
        }
        self.clearing.subtract(1);
    }

    /// Whether a summary may hide a hint at this moment.
    pub(crate) fn is_clearing(&self) -> bool {
        self.clearing.get() != 0
    }

    /// Offers the blocks of a class with a hint to `visit` until it takes one, on with the lap.
    ///
    /// Within an address it looks at these blocks of the region's.
    /// `exhaustive` looks at every address rather than trust the summaries.
    pub(crate) fn search<T>(
        &self,
        class: u8,
        hint: Hint,
        lap: &mut Lap,
        exhaustive: bool,
        blocks: &BlockSet,
        mut visit: impl FnMut(&Record, &Page, usize) -> Option<T>,
    ) -> Option<T> {
        let start = lap.position;
        let class = if hint.is_common() { 0 } else { class };
        let tree = self.tree(class);
        // Blocks that the lap has had come last.
        let mut had = None;
        for (low, high) in [(start, usize::MAX), (0, start)] {
            let mut position = low;
            while position < high {
                let next = if exhaustive {
                    (position < self.next_position.get() as usize).then_some(position)
                } else {
                    tree.next(hint, position)
                };
                let Some(next) = next.filter(|&next| next < high) else {
                    break;
                };
                if let Some((record, page)) = self.record(next).and_then(|r| Some((r, r.page()?))) {
                    let mut hinted = page.hinted_of(class, hint, blocks);
                    if class != 0 && hinted.is_empty() && !exhaustive {
                        self.forget(class, hint, next, page);
                    }
                    if next == start {
                        had = Some((record, page, hinted.and(&lap.had)));
                        hinted = hinted.without(&lap.had);
                    }
                    for block in hinted.iter_from(lap.spin) {
                        if let Some(found) = visit(record, page, block) {
                            lap.has(next, block);
                            return Some(found);
                        }
                    }
                }
                position = next + 1;
            }
        }
        let (record, page, hinted) = had?;
        hinted
            .iter_from(lap.spin)
            .find_map(|block| visit(record, page, block))
    }

    /// Takes back a hint of a class none of whose blocks of that address has it any longer: its
    /// blocks have gone to other classes since.
    pub(crate) fn forget(&self, class: u8, hint: Hint, position: usize, page: &Page) {
        self.clear_if(class, hint, position, || {
            page.hinted_of(class, hint, &self.blocks).is_empty()
        });
    }

    /// A record that is enlisted, hinted at as free, and not open.
    pub(crate) fn closed_address(&self) -> Option<&Record> {
        let mut position = 0;
        loop {
            let next = self.hints.next(Hint::FREE, position)?;
            match self.record(next) {
                Some(record) if record.page().is_none() => return Some(record),
                _ => position = next + 1,
            }
        }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        let queue = self.queue.get();
        if !queue.is_null() {
            // SAFETY: the region owns its queue and is going away.
            drop(unsafe { Box::from_raw(queue) });
        }
    }
}

const _: () = assert!(BLOCKS <= 256, "block numbers fit a byte");

#[cfg(test)]
mod tests;
