//! A hierarchical timer wheel over the slots of a slab.
//!
//! A session is linked once, when it is made. Packets only move its deadline, which the wheel does
//! not see: when the slot it was linked under comes due the wheel asks for the deadline as it is
//! then, and links the entry further on if it has moved. So a packet costs no list surgery, and a
//! session is touched once per timeout however much traffic it has.
//!
//! ```text
//! level 0   64 slots of   64 ms      an entry is on the level of the highest 6-bit digit in
//! level 1   64 slots of 4096 ms      which its time differs from the wheel's own; when the
//! level 2   64 slots of  4.4 min     wheel reaches a slot of a higher level, its entries move
//!   ...                              to lower ones. Ten levels hold every `u64` of milliseconds.
//! ```
//!
//! A bitmap per level finds the next slot that holds anything, so a leap of the clock costs as
//! much as a small step. Lists are doubly linked by index, eight bytes per slot of the slab.

use natshard::Tick;

/// Milliseconds per unit of the wheel, as a power of two: an entry fires at most so much late.
const GRAIN_BITS: u32 = 6;
const DIGIT_BITS: u32 = 6;
const SLOTS: usize = 1 << DIGIT_BITS;
const LEVELS: usize = (u64::BITS - GRAIN_BITS).div_ceil(DIGIT_BITS) as usize;

/// End of a list.
const NIL: u32 = u32::MAX;
/// Previous link of an entry that is in no list.
const UNLINKED: u32 = u32::MAX;
/// Set in the previous link of a list's first entry; the other bits then name the list.
const HEAD: u32 = 1 << 31;

#[derive(Clone, Copy, Debug)]
struct Link {
    next: u32,
    prev: u32,
}

/// The wheel. Entries are indices below 2^31.
#[derive(Debug)]
pub(super) struct Wheel {
    /// Everything before this unit has fired.
    now: u64,
    /// Level of the slot that is being moved to lower levels: the one at `now`.
    cascading: Option<usize>,
    occupied: [u64; LEVELS],
    heads: [[u32; SLOTS]; LEVELS],
    links: Vec<Link>,
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
            cascading: None,
            occupied: [0; LEVELS],
            heads: [[NIL; SLOTS]; LEVELS],
            links: Vec::with_capacity(entries),
        }
    }

    /// Links an entry, which must be in no list, so that it is asked for at `deadline`.
    pub(super) fn insert(&mut self, entry: u32, deadline: Tick) {
        let index = entry as usize;
        if index >= self.links.len() {
            let unlinked = Link {
                next: NIL,
                prev: UNLINKED,
            };
            self.links.resize(index + 1, unlinked);
        }
        debug_assert_eq!(self.links[index].prev, UNLINKED);
        let at = unit_after(deadline).max(self.now);
        let differing = (at ^ self.now).checked_ilog2().unwrap_or(0);
        let level = (differing / DIGIT_BITS) as usize;
        let slot = digit(at, level);
        let head = self.heads[level][slot];
        self.links[index] = Link {
            next: head,
            prev: HEAD | (level * SLOTS + slot) as u32,
        };
        if head != NIL {
            self.links[head as usize].prev = entry;
        }
        self.heads[level][slot] = entry;
        self.occupied[level] |= 1 << slot;
    }

    /// Takes an entry out.
    pub(super) fn remove(&mut self, entry: u32) {
        let link = &mut self.links[entry as usize];
        let Link { next, prev } = *link;
        debug_assert_ne!(prev, UNLINKED);
        link.prev = UNLINKED;
        if next != NIL {
            self.links[next as usize].prev = prev;
        }
        if prev & HEAD == 0 {
            self.links[prev as usize].next = next;
            return;
        }
        let list = (prev & !HEAD) as usize;
        let (level, slot) = (list / SLOTS, list % SLOTS);
        self.heads[level][slot] = next;
        if next == NIL {
            self.occupied[level] &= !(1 << slot);
        }
    }

    /// The next entry whose deadline is not after `now`; it stays linked. Every entry looked at
    /// costs one of `budget`, and `None` means that none is due or the budget is spent.
    pub(super) fn due(
        &mut self,
        now: Tick,
        budget: &mut usize,
        deadline: impl Fn(u32) -> Tick,
    ) -> Option<u32> {
        let target = now.as_millis() >> GRAIN_BITS;
        while *budget > 0 {
            if let Some(level) = self.cascading {
                let entry = self.heads[level][digit(self.now, level)];
                if entry == NIL {
                    self.cascading = None;
                } else {
                    *budget -= 1;
                    self.remove(entry);
                    self.insert(entry, deadline(entry));
                }
                continue;
            }
            let Some(level) = self.occupied.iter().position(|slots| *slots != 0) else {
                self.now = self.now.max(target);
                return None;
            };
            let slot = self.occupied[level].trailing_zeros() as usize;
            let start = self.start_of(level, slot);
            if start > target {
                self.now = self.now.max(target);
                return None;
            }
            self.now = start;
            if level > 0 {
                self.cascading = Some(level);
                continue;
            }
            *budget -= 1;
            let entry = self.heads[level][slot];
            let wanted = deadline(entry);
            if unit_after(wanted) <= start {
                return Some(entry);
            }
            self.remove(entry);
            self.insert(entry, wanted);
        }
        None
    }

    /// The first unit of a slot that lies ahead: its digit, under the wheel's own higher ones.
    const fn start_of(&self, level: usize, slot: usize) -> u64 {
        let below = DIGIT_BITS as usize * level;
        let above = below + DIGIT_BITS as usize;
        self.now >> above << above | (slot as u64) << below
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn ms(millis: u64) -> Tick {
        Tick::from_millis(millis)
    }

    fn drain(wheel: &mut Wheel, now: Tick, deadlines: &mut BTreeMap<u32, Tick>) -> Vec<u32> {
        let mut fired = Vec::new();
        let mut budget = usize::MAX;
        while let Some(entry) = wheel.due(now, &mut budget, |entry| deadlines[&entry]) {
            wheel.remove(entry);
            deadlines.remove(&entry);
            fired.push(entry);
        }
        fired
    }

    #[test]
    fn nothing_fires_early_and_nothing_more_than_a_grain_late() {
        let mut wheel = Wheel::with_capacity(0);
        let mut deadlines = BTreeMap::from([(0, ms(1000)), (1, ms(300_000)), (2, ms(7_440_000))]);
        for (&entry, &at) in &deadlines {
            wheel.insert(entry, at);
        }
        for (entry, at) in deadlines.clone() {
            let before = ms(at.as_millis() - 1);
            assert_eq!(drain(&mut wheel, before, &mut deadlines), []);
            let after = ms(at.as_millis() + (1 << GRAIN_BITS));
            assert_eq!(drain(&mut wheel, after, &mut deadlines), [entry]);
        }
    }

    #[test]
    fn f27_ticks_from_the_whole_u64_range_work() {
        let mut wheel = Wheel::with_capacity(0);
        let start = 1 << 62;
        let mut deadlines = BTreeMap::from([(0, ms(start + 5000)), (1, ms(u64::MAX))]);
        assert_eq!(drain(&mut wheel, ms(start), &mut BTreeMap::new()), []);
        for (&entry, &at) in &deadlines {
            wheel.insert(entry, at);
        }
        assert_eq!(drain(&mut wheel, ms(start + 4999), &mut deadlines), []);
        assert_eq!(drain(&mut wheel, ms(start + 6000), &mut deadlines), [0]);
        assert_eq!(drain(&mut wheel, ms(u64::MAX - 64), &mut deadlines), []);
    }

    #[test]
    fn a_spent_budget_loses_nothing() {
        let mut wheel = Wheel::with_capacity(0);
        let mut deadlines: BTreeMap<u32, Tick> = (0..1000)
            .map(|entry| (entry, ms(5_000 + u64::from(entry) * 997)))
            .collect();
        for (&entry, &at) in &deadlines {
            wheel.insert(entry, at);
        }
        let mut fired = 0;
        for _ in 0..100_000 {
            let mut budget = 3;
            while let Some(entry) =
                wheel.due(ms(10_000_000), &mut budget, |entry| deadlines[&entry])
            {
                wheel.remove(entry);
                deadlines.remove(&entry);
                fired += 1;
            }
        }
        assert_eq!(fired, 1000);
    }

    proptest! {
        /// Against a sorted map: after every step exactly the entries more than a grain overdue
        /// are gone, and none that is not due.
        #[test]
        fn agrees_with_a_sorted_map(
            steps in prop::collection::vec((0u32..40, 0u64..9_000_000, 0u64..400_000), 1..200),
            small_budget in any::<bool>(),
        ) {
            let mut wheel = Wheel::with_capacity(0);
            let mut deadlines: BTreeMap<u32, Tick> = BTreeMap::new();
            let mut now = 0;
            for (entry, timeout, step) in steps {
                let at = ms(now + timeout);
                match deadlines.get(&entry).copied() {
                    // Moved on: the wheel is not told. Moved back: it is.
                    Some(before) if at >= before => { deadlines.insert(entry, at); }
                    Some(_) => {
                        wheel.remove(entry);
                        wheel.insert(entry, at);
                        deadlines.insert(entry, at);
                    }
                    None => {
                        wheel.insert(entry, at);
                        deadlines.insert(entry, at);
                    }
                }
                now += step;
                let mut rounds = 0;
                loop {
                    let mut budget = if small_budget { 1 } else { usize::MAX };
                    let Some(entry) = wheel.due(ms(now), &mut budget, |e| deadlines[&e]) else {
                        if budget == 0 && rounds < 1000 { rounds += 1; continue; }
                        break;
                    };
                    prop_assert!(deadlines[&entry].as_millis() <= now);
                    wheel.remove(entry);
                    deadlines.remove(&entry);
                }
                prop_assert!(deadlines.values().all(|at| at.as_millis() + (1 << GRAIN_BITS) > now));
            }
        }
    }
}
