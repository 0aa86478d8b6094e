//! A lock-free vector that only grows and never moves what it holds.

use crate::sync::{Link, MODEL};

const USUAL: usize = if MODEL { 2 } else { 64 };
const SEGMENTS: usize = if MODEL { 3 } else { 20 };

/// Elements in segments of `FIRST` (64 if nothing is said), twice that, four times that, ...; each
/// segment is allocated when first asked for.
#[derive(Debug)]
pub struct Segments<T, const FIRST: usize = USUAL> {
    heads: [Link<Box<[T]>>; SEGMENTS],
}

impl<T, const FIRST: usize> Default for Segments<T, FIRST> {
    fn default() -> Self {
        Segments {
            heads: std::array::from_fn(|_| Link::default()),
        }
    }
}

/// The segment of an index, the position in it and the segment's length.
fn place<const FIRST: usize>(index: usize) -> (usize, usize, usize) {
    let segment = (index / FIRST + 1).ilog2() as usize;
    (
        segment,
        index - FIRST * ((1 << segment) - 1),
        FIRST << segment,
    )
}

impl<T: Default, const FIRST: usize> Segments<T, FIRST> {
    /// How many elements there can be.
    pub(crate) const CAPACITY: usize = FIRST * ((1 << SEGMENTS) - 1);

    /// The element, if its segment was ever asked for.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        let (segment, offset, _) = place::<FIRST>(index);
        // SAFETY: a non-null link holds a box leaked by `get_or_grow`, which is freed only when
        // the whole vector is dropped.
        let elements = unsafe { self.heads[segment].get().as_ref() }?;
        Some(&elements[offset])
    }

    /// The first element, if its segment was ever asked for.
    #[inline]
    pub(crate) fn first(&self) -> Option<&T> {
        // SAFETY: as in `get`.
        unsafe { self.heads[0].get().as_ref() }?.first()
    }

    /// The first element; allocates its segment where there is none.
    #[inline]
    pub(crate) fn first_or_grow(&self) -> &T {
        self.first().unwrap_or_else(|| self.get_or_grow(0))
    }

    /// The element; allocates its segment where there is none.
    ///
    /// # Panics
    ///
    /// At [`CAPACITY`](Self::CAPACITY) and beyond.
    pub(crate) fn get_or_grow(&self, index: usize) -> &T {
        if let Some(element) = self.get(index) {
            return element;
        }
        let (segment, offset, len) = place::<FIRST>(index);
        let fresh: Box<[T]> = (0..len).map(|_| T::default()).collect();
        let fresh = Box::into_raw(Box::new(fresh));
        let elements = match self.heads[segment].exchange(std::ptr::null_mut(), fresh) {
            Ok(()) => fresh,
            Err(winner) => {
                // SAFETY: nobody saw `fresh`.
                drop(unsafe { Box::from_raw(fresh) });
                winner
            }
        };
        // SAFETY: as in `get`.
        unsafe { &(&*elements)[offset] }
    }
}

impl<T, const FIRST: usize> Drop for Segments<T, FIRST> {
    fn drop(&mut self) {
        for head in &self.heads {
            let elements = head.get();
            if !elements.is_null() {
                // SAFETY: the vector owns its segments and nobody can borrow from it any more.
                drop(unsafe { Box::from_raw(elements) });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places<const FIRST: usize>() {
        let mut expected = (0, 0);
        for index in 0..10_000 {
            let (segment, offset, len) = place::<FIRST>(index);
            assert_eq!((segment, offset), expected);
            expected = if offset + 1 == len {
                (segment + 1, 0)
            } else {
                (segment, offset + 1)
            };
        }
        let last = Segments::<u8, FIRST>::CAPACITY - 1;
        assert_eq!(place::<FIRST>(last).0, SEGMENTS - 1);
    }

    #[test]
    fn places_are_dense_and_disjoint() {
        places::<USUAL>();
        places::<1>();
    }

    #[test]
    fn elements_stay_where_they_are() {
        let vector: Segments<crate::sync::Counter> = Segments::default();
        assert!(vector.get(1000).is_none());
        let element: *const _ = vector.get_or_grow(1000);
        vector.get_or_grow(1000).set(7);
        vector.get_or_grow(0).set(1);
        assert_eq!(vector.get(1000).unwrap().get(), 7);
        assert_eq!(std::ptr::from_ref(vector.get(1000).unwrap()), element);
    }
}
