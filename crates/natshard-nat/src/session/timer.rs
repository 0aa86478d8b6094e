//! A hierarchical timer wheel.
//!
//! A session is entered once, when it is made. Packets only move its deadline, which the wheel does
//! not see: when the entry comes due the wheel asks for the deadline as it is then, and enters the
//! session further on if it has moved. So a packet costs the wheel nothing, and a session is
//! touched once per timeout however much traffic it has.
//!
//! ```text
//! level 0   256 slots of  64 ms      an entry is on the level of the highest 8-bit digit in
//! level 1   256 slots of  16 s       which its unit differs from the wheel's own; when the
//! level 2   256 slots of  70 min     wheel reaches a slot of a higher level, its entries move
//!   ...                              to lower ones. Eight levels hold every `u64` of milliseconds.
//!
//! slot ──▶ block, 64 bytes: 7 x (entry, unit) ──▶ block ──▶ ...
//! ```
//!
//! An entry carries the unit it was entered for, so it moves without a look at the session, which
//! may have ended long ago: an entry that is not the one its session is *armed* with is dropped
//! when its unit comes. A session is armed anew only for an earlier unit or when its entry has come
//! due, so what is left behind is bounded by the deadlines it can have. A bitmap per level finds
//! the next slot that holds anything: a leap of the clock costs as much as a small step.

use natshard::Tick;

/// Milliseconds per unit of the wheel, as a power of two: an entry fires at most so much late.
const GRAIN_BITS: u32 = 6;
const DIGIT_BITS: u32 = 8;
const SLOTS: usize = 1 << DIGIT_BITS;
const LEVELS: usize = (u64::BITS - GRAIN_BITS).div_ceil(DIGIT_BITS) as usize;
/// The furthest that an entry is entered ahead: units are told apart by 32 bits. It is asked for
/// then, after four years, and goes on.
const FURTHEST: u64 = 1 << 31;

/// No block.
const NIL: u32 = u32::MAX;
const BLOCK: usize = 7;
const CHUNK_BITS: u32 = 10;

/// Entries of a slot, the latest last.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Block {
    entries: [(u32, u32); BLOCK],
    next: u32,
    len: u32,
}

const _: () = assert!(size_of::<Block>() == 64);

/// Blocks, in chunks that never move; free ones are linked by `next`.
#[derive(Debug)]
struct Blocks {
    chunks: Vec<Vec<Block>>,
    made: u32,
    free: u32,
}

impl Blocks {
    fn with_capacity(entries: usize) -> Self {
        let chunks = entries.div_ceil(BLOCK << CHUNK_BITS);
        let make = |_| Vec::with_capacity(1 << CHUNK_BITS);
        Blocks {
            chunks: (0..chunks).map(make).collect(),
            made: 0,
            free: NIL,
        }
    }

    #[inline]
    fn get(&self, at: u32) -> &Block {
        &self.chunks[(at >> CHUNK_BITS) as usize][at as usize % (1 << CHUNK_BITS)]
    }

    #[inline]
    fn get_mut(&mut self, at: u32) -> &mut Block {
        &mut self.chunks[(at >> CHUNK_BITS) as usize][at as usize % (1 << CHUNK_BITS)]
    }

    fn make(&mut self, next: u32) -> u32 {
        let block = Block {
            entries: [(0, 0); BLOCK],
            next,
            len: 0,
        };
        if self.free != NIL {
            let at = self.free;
            self.free = self.get(at).next;
            *self.get_mut(at) = block;
            return at;
        }
        let at = self.made;
        let chunk = (at >> CHUNK_BITS) as usize;
        if chunk == self.chunks.len() {
            self.chunks.push(Vec::with_capacity(1 << CHUNK_BITS));
        }
        self.chunks[chunk].push(block);
        self.made += 1;
        at
    }

    fn free(&mut self, at: u32) {
        self.get_mut(at).next = self.free;
        self.free = at;
    }
}

/// What the wheel asks of those it has entries of.
pub(super) trait Armed {
    /// The deadline of an entry; `None` if it is not armed with that unit.
    fn deadline(&self, entry: u32, unit: u32) -> Option<Tick>;

    /// Arms an entry with a unit.
    fn arm(&mut self, entry: u32, unit: u32);
}

/// The wheel.
#[derive(Debug)]
pub(super) struct Wheel {
    /// Everything before this unit has fired.
    now: u64,
    /// No slot that holds anything begins before this unit.
    next: u64,
    /// Level of the slot that is being moved to lower levels: the one at `now`.
    cascading: Option<usize>,
    occupied: [[u64; SLOTS / 64]; LEVELS],
    /// The block that entries of a slot are put into.
    heads: [[u32; SLOTS]; LEVELS],
    blocks: Blocks,
}

/// The first unit in which something due at `deadline` may fire.
const fn unit_after(deadline: Tick) -> u64 {
    deadline.as_millis().div_ceil(1 << GRAIN_BITS)
}

const fn digit(unit: u64, level: usize) -> usize {
    (unit >> (DIGIT_BITS as usize * level)) as usize % SLOTS
}

impl Wheel {
    pub(super) fn with_capacity(entries: usize) -> Self {
        Wheel {
            now: 0,
            next: 0,
            cascading: None,
            occupied: [[0; SLOTS / 64]; LEVELS],
            heads: [[NIL; SLOTS]; LEVELS],
            blocks: Blocks::with_capacity(entries),
        }
    }

    /// The unit that an entry with that deadline is asked for in.
    fn unit(&self, deadline: Tick) -> u64 {
        unit_after(deadline).clamp(self.now, self.now.saturating_add(FURTHEST - 1))
    }

    /// Enters something that is in no list, to be asked for at `deadline`: the unit it is armed
    /// with.
    pub(super) fn insert(&mut self, entry: u32, deadline: Tick) -> u32 {
        let unit = self.unit(deadline);
        self.put(entry, unit);
        unit as u32
    }

    /// Enters something armed with `armed` again if it is to be asked for earlier than that.
    pub(super) fn hasten(&mut self, entry: u32, armed: u32, deadline: Tick) -> u32 {
        let ahead = u64::from(armed.wrapping_sub(self.now as u32));
        // What is armed with a unit gone by is being fired.
        if ahead >= FURTHEST || self.unit(deadline) >= self.now + ahead {
            return armed;
        }
        self.insert(entry, deadline)
    }

    fn put(&mut self, entry: u32, unit: u64) {
        let differing = (unit ^ self.now).checked_ilog2().unwrap_or(0);
        let level = (differing / DIGIT_BITS) as usize;
        let slot = digit(unit, level);
        let below = DIGIT_BITS * level as u32;
        self.next = self.next.min(unit >> below << below);
        let mut head = self.heads[level][slot];
        if head == NIL || self.blocks.get(head).len as usize == BLOCK {
            head = self.blocks.make(head);
            self.heads[level][slot] = head;
            self.occupied[level][slot / 64] |= 1 << (slot % 64);
        }
        let block = self.blocks.get_mut(head);
        block.entries[block.len as usize] = (entry, unit as u32);
        block.len += 1;
    }

    /// Takes the latest entry of a slot out.
    fn pop(&mut self, level: usize, slot: usize) {
        let head = self.heads[level][slot];
        let block = self.blocks.get_mut(head);
        block.len -= 1;
        if block.len > 0 {
            return;
        }
        let next = block.next;
        self.blocks.free(head);
        self.heads[level][slot] = next;
        if next == NIL {
            self.occupied[level][slot / 64] &= !(1 << (slot % 64));
        }
    }

    /// Forgets an entry if that is cheap: if it has just come due. Another one stays until its
    /// unit comes, and is nobody's then.
    pub(super) fn remove(&mut self, entry: u32, armed: u32) {
        let slot = digit(self.now, 0);
        if self.latest(0, slot) == Some((entry, armed)) {
            self.pop(0, slot);
        }
    }

    #[inline]
    fn latest(&self, level: usize, slot: usize) -> Option<(u32, u32)> {
        let head = self.heads[level][slot];
        if head == NIL {
            return None;
        }
        let block = self.blocks.get(head);
        Some(block.entries[block.len as usize - 1])
    }

    /// The entry that comes `ahead` places after the one that [`due`](Self::due) has told.
    #[inline]
    pub(super) fn upcoming(&self, ahead: usize) -> Option<u32> {
        let head = self.heads[0][digit(self.now, 0)];
        if head == NIL {
            return None;
        }
        let block = self.blocks.get(head);
        let (block, at) = match (block.len as usize).checked_sub(1 + ahead) {
            Some(at) => (block, at),
            None if block.next == NIL => return None,
            None => (
                self.blocks.get(block.next),
                (BLOCK + block.len as usize).checked_sub(1 + ahead)?,
            ),
        };
        Some(block.entries[at].0)
    }

    /// The next entry whose deadline is not after `now`; it stays entered. Every block moved and
    /// every entry asked for costs one of `budget`, and `None` means that none is due or the budget
    /// is spent.
    pub(super) fn due(
        &mut self,
        now: Tick,
        budget: &mut usize,
        entries: &mut impl Armed,
    ) -> Option<u32> {
        let target = now.as_millis() >> GRAIN_BITS;
        if target < self.next && self.cascading.is_none() {
            return None;
        }
        while *budget > 0 {
            if let Some(level) = self.cascading {
                let slot = digit(self.now, level);
                let head = self.heads[level][slot];
                if head == NIL {
                    self.cascading = None;
                } else {
                    *budget -= 1;
                    self.lower(level, slot);
                }
                continue;
            }
            let first = self.first();
            let start = first.map_or(u64::MAX, |(level, slot)| self.start_of(level, slot));
            let (level, slot) = match first {
                Some(first) if start <= target => first,
                _ => {
                    self.now = self.now.max(target);
                    self.next = start;
                    return None;
                }
            };
            self.now = start;
            if level > 0 {
                self.cascading = Some(level);
                continue;
            }
            let (entry, unit) = self.latest(0, slot)?;
            *budget -= 1;
            match entries.deadline(entry, unit) {
                None => self.pop(0, slot),
                Some(deadline) if unit_after(deadline) <= start => return Some(entry),
                Some(deadline) => {
                    self.pop(0, slot);
                    let unit = self.insert(entry, deadline);
                    entries.arm(entry, unit);
                }
            }
        }
        None
    }

    /// Moves one block of a slot of a higher level, which begins at `now`, to lower ones.
    fn lower(&mut self, level: usize, slot: usize) {
        let head = self.heads[level][slot];
        let Block { entries, next, len } = *self.blocks.get(head);
        self.blocks.free(head);
        self.heads[level][slot] = next;
        if next == NIL {
            self.occupied[level][slot / 64] &= !(1 << (slot % 64));
        }
        for (entry, unit) in &entries[..len as usize] {
            let ahead = u64::from(unit.wrapping_sub(self.now as u32));
            self.put(*entry, self.now + ahead);
        }
    }

    /// The first slot that holds anything.
    fn first(&self) -> Option<(usize, usize)> {
        for (level, words) in self.occupied.iter().enumerate() {
            if let Some(word) = words.iter().position(|word| *word != 0) {
                return Some((level, word * 64 + words[word].trailing_zeros() as usize));
            }
        }
        None
    }

    /// The first unit of a slot that lies ahead: its digit, under the wheel's own higher ones.
    const fn start_of(&self, level: usize, slot: usize) -> u64 {
        let below = DIGIT_BITS as usize * level;
        let above = below + DIGIT_BITS as usize;
        let high = if above < u64::BITS as usize {
            self.now >> above << above
        } else {
            0
        };
        high | (slot as u64) << below
    }
}

#[cfg(test)]
mod tests;
