//! Occupancy words with summaries: which addresses have a block worth a visit, and why.
//!
//! A page has a word set per [`Hint`] over its blocks; a region has a [`HintTree`] per hint over
//! its addresses, 64-ary, so that the next address with a hint is found in a few loads however
//! large the pool. Hints never lie by omission: whoever makes something leasable sets the hint
//! before it says so, and whoever clears a hint looks again afterwards and restores it if it was
//! wrong. They may lie by excess; the state word of the block is the truth.

use crate::block::PORTS;
use crate::planted::{self, Bug};
use crate::segments::Segments;
use crate::sync::{MODEL, Word};

/// Blocks of an address and protocol.
pub const BLOCKS: usize = if MODEL { 2 } else { 65536 / PORTS };
/// 64-bit words of a set of blocks.
pub const BLOCK_WORDS: usize = BLOCKS.div_ceil(64);

/// Resting hints are told apart by slice modulo this.
pub(crate) const BUCKETS: usize = if MODEL { 4 } else { 32 };
/// How many kinds of hints there are.
pub(crate) const KINDS: usize = 4 + BUCKETS;

/// Why a block is worth a visit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hint(u8);

impl Hint {
    /// A free block (or, at an address, one that is not open and could be).
    pub(crate) const FREE: Hint = Hint(0);
    /// A cooling block at least half of whose ports have rested.
    pub(crate) const HALF: Hint = Hint(1);
    /// A cooling block with some rested port.
    pub(crate) const RIPE: Hint = Hint(2);
    /// An open address all of whose blocks are free.
    pub(crate) const CLOSABLE: Hint = Hint(3);

    /// A cooling block whose longest-resting port was released in this slice.
    pub(crate) fn resting(slice: u64) -> Hint {
        Hint(4 + (slice % BUCKETS as u64) as u8)
    }

    /// A block that the next sweep is to visit: the hint of a port which has rested just so long.
    /// Before one hold-down has passed there is no such slice, and its hint all the same.
    pub(crate) fn due(now: u64, rest: u64) -> Hint {
        Hint::resting(now.wrapping_sub(rest))
    }

    /// The resting hints of slices whose ports have rested by `now`; all of them when hints may be
    /// older than the ring of buckets can tell, as `swept` (the last slice by which every rested
    /// one had been visited) says.
    pub(crate) fn rested(now: u64, rest: u64, swept: u64) -> impl Iterator<Item = Hint> {
        let buckets = BUCKETS as u64;
        let told_apart = Self::are_told_apart(now, rest, swept);
        let kept = if told_apart { rest } else { 0 };
        (kept..buckets).map(move |age| Hint::resting(now.wrapping_sub(age)))
    }

    /// Whether no resting hint is so old that its bucket has come round.
    pub(crate) fn are_told_apart(now: u64, rest: u64, swept: u64) -> bool {
        now.saturating_sub(swept) < (BUCKETS as u64).saturating_sub(rest)
    }

    /// Whether it is the same to all classes of a pool that shares its blocks out.
    pub(crate) fn is_common(self) -> bool {
        self == Hint::FREE || self == Hint::CLOSABLE
    }

    #[inline]
    fn index(self) -> usize {
        self.0 as usize
    }
}

/// A set of blocks of one address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct BlockSet(pub(crate) [u64; BLOCK_WORDS]);

impl BlockSet {
    pub(crate) fn insert(&mut self, block: usize) {
        self.0[block / 64] |= 1 << (block % 64);
    }

    pub(crate) fn contains(&self, block: usize) -> bool {
        self.0[block / 64] & (1 << (block % 64)) != 0
    }

    pub(crate) fn and(&self, other: &BlockSet) -> BlockSet {
        BlockSet(std::array::from_fn(|word| self.0[word] & other.0[word]))
    }

    pub(crate) fn without(&self, other: &BlockSet) -> BlockSet {
        BlockSet(std::array::from_fn(|word| self.0[word] & !other.0[word]))
    }

    pub(crate) fn or(&self, other: &BlockSet) -> BlockSet {
        BlockSet(std::array::from_fn(|word| self.0[word] | other.0[word]))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|&word| word == 0)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Those at or above `start`.
    pub(crate) fn at_least(&self, start: usize) -> BlockSet {
        BlockSet(std::array::from_fn(|word| {
            let below = start.saturating_sub(word * 64).min(64) as u32;
            self.0[word] & u64::MAX.checked_shl(below).unwrap_or(0)
        }))
    }

    /// The blocks, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> + use<> {
        let words = self.0.into_iter().enumerate();
        words.flat_map(|(word, mut left)| {
            std::iter::from_fn(move || {
                let bit = left.trailing_zeros() as usize;
                left &= left.wrapping_sub(1);
                (bit < 64).then_some(word * 64 + bit)
            })
        })
    }

    /// The blocks from `start` on, then those before it.
    pub(crate) fn iter_from(&self, start: usize) -> impl Iterator<Item = usize> + use<> {
        let from = self.at_least(start);
        from.iter().chain(self.without(&from).iter())
    }
}

/// The hints of one page, over its blocks.
#[derive(Debug)]
pub struct PageHints {
    words: [[Word; BLOCK_WORDS]; KINDS],
}

impl PageHints {
    /// Hints that say every block is free.
    pub(crate) fn all_free() -> Self {
        let hints = PageHints {
            words: std::array::from_fn(|_| Default::default()),
        };
        for block in 0..BLOCKS {
            hints.set(Hint::FREE, block);
        }
        hints
    }

    pub(crate) fn set(&self, hint: Hint, block: usize) {
        if !self.contains(hint, block) {
            self.words[hint.index()][block / 64].set_bits(1 << (block % 64));
        }
    }

    pub(crate) fn clear(&self, hint: Hint, block: usize) {
        self.words[hint.index()][block / 64].clear_bits(1 << (block % 64));
    }

    pub(crate) fn contains(&self, hint: Hint, block: usize) -> bool {
        self.words[hint.index()][block / 64].get() & (1 << (block % 64)) != 0
    }

    /// Sets the hint for all of these blocks.
    pub(crate) fn set_all(&self, hint: Hint, blocks: &BlockSet) {
        for (word, &blocks) in self.words[hint.index()].iter().zip(&blocks.0) {
            if blocks != 0 {
                word.set_bits(blocks);
            }
        }
    }

    /// Clears the hint for all of these blocks.
    pub(crate) fn clear_all(&self, hint: Hint, blocks: &BlockSet) {
        for (word, &blocks) in self.words[hint.index()].iter().zip(&blocks.0) {
            if blocks != 0 {
                word.clear_bits(blocks);
            }
        }
    }

    pub(crate) fn get(&self, hint: Hint) -> BlockSet {
        BlockSet(std::array::from_fn(|word| {
            self.words[hint.index()][word].get()
        }))
    }
}

const LEVELS: usize = if MODEL { 2 } else { 4 };

/// The words of 64 addresses (or of 64 such groups, one level up), one per hint.
#[derive(Debug)]
struct Rack([Word; KINDS]);

impl Default for Rack {
    fn default() -> Self {
        Rack(std::array::from_fn(|_| Word::new(0)))
    }
}

/// The hints of a region, over the positions of its addresses.
#[derive(Debug)]
pub struct HintTree {
    levels: [Segments<Rack, 1>; LEVELS],
    /// The last group of the lowest level that there may be hints in; raised before one is set
    /// there.
    last: Word,
}

impl Default for HintTree {
    fn default() -> Self {
        HintTree {
            levels: std::array::from_fn(|_| Segments::default()),
            last: Word::new(0),
        }
    }
}

impl HintTree {
    /// How many addresses a tree can tell apart.
    pub(crate) const CAPACITY: usize = 1 << (6 * LEVELS);

    /// Sets a hint. Complete before it returns: summaries first seen set stay or are restored by
    /// whoever is clearing them.
    pub(crate) fn set(&self, hint: Hint, position: usize) {
        let group = (position / 64) as u64;
        if group > self.last.get() {
            self.last.raise(group);
        }
        self.set_from(0, hint, position);
    }

    fn set_from(&self, level: usize, hint: Hint, mut position: usize) {
        for racks in &self.levels[level..] {
            let group = position / 64;
            let rack = match group {
                // Nearly always: all but huge pools have one group of each level but the lowest.
                0 => racks.first_or_grow(),
                _ => racks.get_or_grow(group),
            };
            let word = &rack.0[hint.index()];
            let bit = 1 << (position % 64);
            if word.get() & bit == 0 {
                word.set_bits(bit);
            }
            position /= 64;
        }
    }

    /// Sees to it that setting a hint there takes no memory.
    pub(crate) fn make_room(&self, mut position: usize) {
        for racks in &self.levels {
            position /= 64;
            racks.get_or_grow(position);
        }
    }

    /// Clears a hint, and the summaries above that become empty.
    ///
    /// While it runs a summary may hide a hint that was set at the same time; callers announce
    /// it (see `Region::clear`).
    pub(crate) fn clear(&self, hint: Hint, position: usize) {
        let Some(rack) = self.levels[0].get(position / 64) else {
            return;
        };
        let group = &rack.0[hint.index()];
        let bit = 1 << (position % 64);
        if group.clear_bits(bit) & !bit == 0 {
            self.clear_above(hint, position, group);
        }
    }

    /// Clears the summaries above a group of the lowest level that was seen empty.
    fn clear_above<'a>(&'a self, hint: Hint, mut position: usize, mut below: &'a Word) {
        for level in 1..LEVELS {
            // Once, then look at the group again.
            position /= 64;
            let Some(rack) = self.levels[level].get(position / 64) else {
                return;
            };
            let above = &rack.0[hint.index()];
            let bit = 1 << (position % 64);
            let others = above.clear_bits(bit) & !bit != 0;
            if !planted::on(Bug::ClearWithoutRecheck) && below.get() != 0 {
                self.set_from(level, hint, position);
                return;
            }
            if others {
                return;
            }
            below = above;
        }
    }

    /// The first position at or after `from` with the hint.
    #[inline]
    pub(crate) fn next(&self, hint: Hint, from: usize) -> Option<usize> {
        let group = from / 64;
        let rest = self.word(0, group, hint) & (u64::MAX << (from % 64));
        if rest != 0 {
            return Some(group * 64 + rest.trailing_zeros() as usize);
        }
        if group as u64 >= self.last.get() {
            return None;
        }
        self.next_group(0, hint, group)
    }

    #[inline]
    fn word(&self, level: usize, group: usize, hint: Hint) -> u64 {
        let racks = &self.levels[level];
        let rack = match group {
            0 => racks.first(),
            _ => racks.get(group),
        };
        rack.map_or(0, |rack| rack.0[hint.index()].get())
    }

    /// The first position of a level with the hint, in a group behind this one.
    fn next_group(&self, level: usize, hint: Hint, mut group: usize) -> Option<usize> {
        loop {
            group = self.next_at(level + 1, hint, group + 1)?;
            let found = self.word(level, group, hint);
            if found != 0 {
                return Some(group * 64 + found.trailing_zeros() as usize);
            }
        }
    }

    /// The first position of a level with the hint from this one on. Above the highest there is
    /// one position, which summarises all, and nothing behind it.
    fn next_at(&self, level: usize, hint: Hint, from: usize) -> Option<usize> {
        if from >= Self::CAPACITY >> (6 * level) {
            return None;
        }
        let group = from / 64;
        let rest = self.word(level, group, hint) & (u64::MAX << (from % 64));
        if rest != 0 {
            return Some(group * 64 + rest.trailing_zeros() as usize);
        }
        self.next_group(level, hint, group)
    }
}

#[cfg(test)]
mod tests;
