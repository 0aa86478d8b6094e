//! Slots that keep their index while they are in use.

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
pub(super) struct Slab<T> {
    slots: Vec<Slot<T>>,
    free: u32,
    used: usize,
}

impl<T> Slab<T> {
    pub(super) fn with_capacity(slots: usize) -> Self {
        Slab {
            slots: Vec::with_capacity(slots),
            free: NIL,
            used: 0,
        }
    }

    /// Slots in use.
    pub(super) const fn len(&self) -> usize {
        self.used
    }

    /// Slots there are, free ones included.
    pub(super) fn slots(&self) -> u32 {
        self.slots.len() as u32
    }

    pub(super) fn insert(&mut self, value: T) -> u32 {
        self.used += 1;
        if self.free == NIL {
            let index = self.slots();
            self.slots.push(Slot::Used(value));
            return index;
        }
        let index = self.free;
        match std::mem::replace(&mut self.slots[index as usize], Slot::Used(value)) {
            Slot::Free(next) => self.free = next,
            Slot::Used(_) => unreachable!("the free list names free slots only"),
        }
        index
    }

    pub(super) fn remove(&mut self, index: u32) -> T {
        match std::mem::replace(&mut self.slots[index as usize], Slot::Free(self.free)) {
            Slot::Used(value) => {
                self.free = index;
                self.used -= 1;
                value
            }
            Slot::Free(_) => panic!("slot {index} is not in use"),
        }
    }

    pub(super) fn get(&self, index: u32) -> Option<&T> {
        match self.slots.get(index as usize) {
            Some(Slot::Used(value)) => Some(value),
            _ => None,
        }
    }
}

impl<T> std::ops::Index<u32> for Slab<T> {
    type Output = T;

    fn index(&self, index: u32) -> &T {
        match &self.slots[index as usize] {
            Slot::Used(value) => value,
            Slot::Free(_) => panic!("slot {index} is not in use"),
        }
    }
}

impl<T> std::ops::IndexMut<u32> for Slab<T> {
    fn index_mut(&mut self, index: u32) -> &mut T {
        match &mut self.slots[index as usize] {
            Slot::Used(value) => value,
            Slot::Free(_) => panic!("slot {index} is not in use"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_stay_while_in_use_and_are_used_again() {
        let mut slab = Slab::with_capacity(0);
        let [a, b, c] = ["a", "b", "c"].map(|text| slab.insert(text));
        assert_eq!(slab.remove(b), "b");
        assert_eq!(
            (slab[a], slab[c], slab.get(b), slab.len()),
            ("a", "c", None, 2)
        );
        assert_eq!(slab.insert("d"), b);
        assert_eq!((slab.len(), slab.slots()), (3, 3));
    }
}
