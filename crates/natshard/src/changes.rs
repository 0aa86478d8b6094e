//! A count of what became leasable, kept while somebody watches.
//!
//! A search that ends without result means that there was nothing, if nothing became leasable
//! meanwhile. To know that, the count is read before and after it. But a word that every core writes
//! whenever a block comes back is dear, and nearly every search finds something; so only those that
//! did not watch, and search once more, and what nobody watches is not counted.
//!
//! Who makes something leasable marks it first and then looks whether somebody watches; who searches
//! watches first and then looks for marks. One of the two sees the other.

use crate::planted::{self, Bug};
use crate::sync::Word;

/// What became leasable somewhere.
#[derive(Debug, Default)]
pub struct Changes {
    /// How often something did while somebody watched.
    counted: Word,
    /// The last slice in which somebody watched. No refusal stands longer than its slice.
    watched: Word,
}

impl Changes {
    /// Something became leasable, in a slice not before this one, and the marks say so.
    #[inline]
    pub(crate) fn announce(&self, slice: u64) {
        // A slice more, for the clock may move on between two looks at it.
        if self.watched.get() + 1 >= slice {
            self.counted.add(1);
        }
    }

    /// From here on everything is counted that becomes leasable in this slice.
    pub(crate) fn watch(&self, slice: u64) {
        if !planted::on(Bug::SearchesUnwatched) && self.watched.get() < slice {
            self.watched.raise(slice);
        }
    }

    /// How often something became leasable, as far as it was counted.
    #[inline]
    pub(crate) fn counted(&self) -> &Word {
        &self.counted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_somebody_watches_is_counted() {
        let changes = Changes::default();
        changes.announce(5);
        assert_eq!(changes.counted().get(), 0);
        changes.watch(5);
        changes.watch(4);
        for (slice, counted) in [(5, 1), (4, 2), (6, 3), (7, 3)] {
            changes.announce(slice);
            assert_eq!(changes.counted().get(), counted, "in slice {slice}");
        }
        changes.watch(8);
        changes.announce(7);
        assert_eq!(changes.counted().get(), 4);
    }
}
