//! A lock-free vector that grows by small steps and never moves what it holds.

use crate::segments::Segments;
use crate::sync::{Link, MODEL};

/// Elements of one chunk.
const CHUNK: usize = if MODEL { 4 } else { 256 };

/// Elements in chunks of 256, each allocated when first asked for: at most one chunk is paid for
/// and not used, where [`Segments`] may have as much again as is used.
#[derive(Debug)]
pub struct Chunks<T>(Segments<Chunk<T>>);

/// One chunk, or none yet.
#[derive(Debug)]
struct Chunk<T>(Link<Box<[T]>>);

impl<T> Default for Chunk<T> {
    fn default() -> Self {
        Chunk(Link::default())
    }
}

impl<T> Default for Chunks<T> {
    fn default() -> Self {
        Chunks(Segments::default())
    }
}

impl<T: Default> Chunks<T> {
    /// The element, if its chunk was ever asked for.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        let chunk = self.0.get(index / CHUNK)?;
        // SAFETY: a non-null link holds a box leaked by `get_or_grow`, freed only with the chunk.
        let elements = unsafe { chunk.0.get().as_ref() }?;
        Some(&elements[index % CHUNK])
    }

    /// The element; allocates its chunk where there is none.
    pub(crate) fn get_or_grow(&self, index: usize) -> &T {
        if let Some(element) = self.get(index) {
            return element;
        }
        let chunk = self.0.get_or_grow(index / CHUNK);
        let fresh: Box<[T]> = (0..CHUNK).map(|_| T::default()).collect();
        let fresh = Box::into_raw(Box::new(fresh));
        let elements = match chunk.0.exchange(std::ptr::null_mut(), fresh) {
            Ok(()) => fresh,
            Err(winner) => {
                // SAFETY: nobody saw `fresh`.
                drop(unsafe { Box::from_raw(fresh) });
                winner
            }
        };
        // SAFETY: as in `get`.
        unsafe { &(&*elements)[index % CHUNK] }
    }
}

impl<T> Drop for Chunk<T> {
    fn drop(&mut self) {
        let elements = self.0.get();
        if !elements.is_null() {
            // SAFETY: the chunk owns its elements and nobody can borrow from it any more.
            drop(unsafe { Box::from_raw(elements) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_stay_where_they_are() {
        let vector: Chunks<crate::sync::Counter> = Chunks::default();
        assert!(vector.get(100_000).is_none());
        let element: *const _ = vector.get_or_grow(100_000);
        vector.get_or_grow(100_000).set(7);
        for index in 0..1000 {
            vector.get_or_grow(index).set(index as u64);
        }
        assert_eq!(vector.get(100_000).unwrap().get(), 7);
        assert_eq!(std::ptr::from_ref(vector.get(100_000).unwrap()), element);
        assert_eq!(vector.get(999).unwrap().get(), 999);
    }

    #[test]
    fn what_was_grown_is_dropped_once() {
        use std::cell::Cell;
        thread_local! {
            static DROPPED: Cell<usize> = const { Cell::new(0) };
        }
        #[derive(Default)]
        struct Counted;
        impl Drop for Counted {
            fn drop(&mut self) {
                DROPPED.set(DROPPED.get() + 1);
            }
        }
        let vector: Chunks<Counted> = Chunks::default();
        vector.get_or_grow(0);
        vector.get_or_grow(3 * CHUNK);
        drop(vector);
        assert_eq!(DROPPED.get(), 2 * CHUNK);
    }
}
