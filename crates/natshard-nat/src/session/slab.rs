//! Slots that keep their index while they are in use.
//!
//! What a slab is made for lies in one piece; beyond that it grows in chunks, without moving what it
//! holds.

use crate::memory;

const NIL: u32 = u32::MAX;

/// Where `T` has a niche the free list costs no space.
#[derive(Debug)]
enum Slot<T> {
    Used(T),
    /// The next free slot.
    Free(u32),
}

/// A growing array with a free list; the slot freed last is used first, while it is still cached.
#[derive(Debug)]
pub(super) struct Slab<T, const BITS: u32 = 12> {
    /// The slots that there was room for from the beginning.
    first: Vec<Slot<T>>,
    room: u32,
    /// Those after them.
    chunks: Vec<Vec<Slot<T>>>,
    slots: u32,
    free: u32,
    used: usize,
}

impl<T, const BITS: u32> Slab<T, BITS> {
    const CHUNK: usize = 1 << BITS;

    pub(super) fn with_capacity(slots: usize) -> Self {
        let mut first = Vec::with_capacity(slots);
        memory::provide(&mut first);
        Slab {
            first,
            room: slots as u32,
            chunks: Vec::new(),
            slots: 0,
            free: NIL,
            used: 0,
        }
    }

    /// Slots in use.
    pub(super) const fn len(&self) -> usize {
        self.used
    }

    /// Slots there are, free ones included.
    pub(super) const fn slots(&self) -> u32 {
        self.slots
    }

    #[inline(always)]
    fn slot(&self, index: u32) -> Option<&Slot<T>> {
        match self.first.get(index as usize) {
            None => self.later(index),
            slot => slot,
        }
    }

    #[inline]
    fn later(&self, index: u32) -> Option<&Slot<T>> {
        let index = index.checked_sub(self.room)?;
        let chunk = self.chunks.get((index >> BITS) as usize)?;
        chunk.get(index as usize % Self::CHUNK)
    }

    #[inline(always)]
    fn slot_mut(&mut self, index: u32) -> Option<&mut Slot<T>> {
        match self.first.get_mut(index as usize) {
            None => {
                let index = index.checked_sub(self.room)?;
                let chunk = self.chunks.get_mut((index >> BITS) as usize)?;
                chunk.get_mut(index as usize % Self::CHUNK)
            }
            slot => slot,
        }
    }

    /// The slot that the next value goes into.
    #[inline]
    pub(super) const fn next(&self) -> u32 {
        if self.free == NIL {
            self.slots
        } else {
            self.free
        }
    }

    #[inline(always)]
    pub(super) fn insert(&mut self, value: T) -> u32 {
        self.used += 1;
        if self.free == NIL {
            return self.extend(value);
        }
        let index = self.free;
        let slot = self.slot_mut(index).expect("the free list names slots");
        match std::mem::replace(slot, Slot::Used(value)) {
            Slot::Free(next) => self.free = next,
            Slot::Used(_) => unreachable!("the free list names free slots only"),
        }
        index
    }

    /// Uses a slot that was never used.
    fn extend(&mut self, value: T) -> u32 {
        let index = self.slots;
        self.slots += 1;
        match index.checked_sub(self.room) {
            None => self.first.push(Slot::Used(value)),
            Some(later) => {
                let chunk = (later >> BITS) as usize;
                if chunk == self.chunks.len() {
                    self.chunks.push(Vec::with_capacity(Self::CHUNK));
                }
                self.chunks[chunk].push(Slot::Used(value));
            }
        }
        index
    }

    #[inline]
    pub(super) fn remove(&mut self, index: u32) -> T {
        let free = Slot::Free(self.free);
        match self
            .slot_mut(index)
            .map(|slot| std::mem::replace(slot, free))
        {
            Some(Slot::Used(value)) => {
                self.free = index;
                self.used -= 1;
                value
            }
            _ => panic!("slot {index} is not in use"),
        }
    }

    #[inline]
    pub(super) fn get(&self, index: u32) -> Option<&T> {
        match self.slot(index) {
            Some(Slot::Used(value)) => Some(value),
            _ => None,
        }
    }

    #[inline]
    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        match self.slot_mut(index) {
            Some(Slot::Used(value)) => Some(value),
            _ => None,
        }
    }

    /// Begins to fetch a slot.
    #[inline]
    pub(super) fn prefetch(&self, index: u32) {
        if let Some(slot) = self.slot(index) {
            crate::prefetch::line(slot);
        }
    }
}

impl<T, const BITS: u32> std::ops::Index<u32> for Slab<T, BITS> {
    type Output = T;

    #[inline]
    fn index(&self, index: u32) -> &T {
        match self.get(index) {
            Some(value) => value,
            None => panic!("slot {index} is not in use"),
        }
    }
}

impl<T, const BITS: u32> std::ops::IndexMut<u32> for Slab<T, BITS> {
    #[inline]
    fn index_mut(&mut self, index: u32) -> &mut T {
        match self.get_mut(index) {
            Some(value) => value,
            None => panic!("slot {index} is not in use"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_stay_while_in_use_and_are_used_again() {
        let mut slab = Slab::<_>::with_capacity(0);
        let [a, b, c] = ["a", "b", "c"].map(|text| slab.insert(text));
        assert_eq!(slab.remove(b), "b");
        assert_eq!(
            (slab[a], slab[c], slab.get(b), slab.len()),
            ("a", "c", None, 2)
        );
        assert_eq!(slab.insert("d"), b);
        assert_eq!((slab.len(), slab.slots()), (3, 3));
    }

    #[test]
    fn values_stay_where_they_are_while_the_slab_grows() {
        const CHUNK: usize = 1 << 4;
        for capacity in [0, 1, CHUNK - 1, CHUNK + 1, 3 * CHUNK] {
            let mut slab = Slab::<usize, 4>::with_capacity(capacity);
            slab.insert(0);
            let first: *const usize = &slab[0];
            for value in 1..3 * CHUNK {
                assert_eq!(slab.insert(value) as usize, value);
            }
            assert!(std::ptr::eq(first, &slab[0]));
            assert!((0..3 * CHUNK).all(|value| slab[value as u32] == value));
            assert_eq!(slab.get(3 * CHUNK as u32), None);
        }
    }
}
