//! Whether a page is being taken down: decided by one word, and hidden from nobody before.
//!
//! ```text
//!          begin                       decide
//!   open ---------> marked (attempt n) ---------> gone
//!     ^                |
//!     +----------------+  whoever claims a block meanwhile, or finds one in use
//! ```
//!
//! Whoever claims a block counts it first and looks at this word then; who takes the page down marks it
//! first and looks at the count then. So one of the two sees the other: either the mark is taken
//! away, or the page is gone and the claim is undone. Nobody waits, and a shard that stops half way
//! keeps nothing from anybody: its mark is taken away by the next claim, and a page that is gone is
//! unlinked by whoever comes by (see [`Inner::unlink`](crate::inner::Inner::unlink)).

use crate::planted::{self, Bug};
use crate::sync::Word;

const MARKED: u64 = 1;
const GONE: u64 = 2;
const STATE: u64 = 3;
/// Attempts are numbered, so that a late one does not decide by the mark of another.
const ATTEMPT: u64 = 4;

/// Where the taking down of a page stands.
#[derive(Debug, Default)]
pub struct Closing(Word);

impl Closing {
    /// Marks the page; `None` when somebody else has. The caller looks whether every block is free,
    /// then [decides](Self::decide) or [gives up](Self::give_up).
    pub(crate) fn begin(&self) -> Option<u64> {
        let seen = self.0.get();
        if seen & STATE != 0 {
            return None;
        }
        let marked = seen + ATTEMPT + MARKED;
        self.0.exchange(seen, marked).ok().map(|()| marked)
    }

    /// Has the page gone, unless somebody claimed a block since it was marked.
    pub(crate) fn decide(&self, marked: u64) -> bool {
        let gone = marked - MARKED + GONE;
        if planted::on(Bug::ClosesOverAClaim) {
            self.0.set(gone);
            return true;
        }
        if planted::on(Bug::DecidesByAnyMark) {
            let seen = self.0.get();
            return seen & STATE == MARKED && self.0.exchange(seen, seen - MARKED + GONE).is_ok();
        }
        self.0.exchange(marked, gone).is_ok()
    }

    /// A block is in use.
    pub(crate) fn give_up(&self, marked: u64) {
        let _ = self.0.exchange(marked, marked - MARKED);
    }

    /// Whether the page is gone: its address is open no longer, though it may be linked still.
    pub(crate) fn is_gone(&self) -> bool {
        self.0.get() & STATE == GONE
    }

    /// Keeps the page for a block that was claimed, and counted; `false` when it is gone, and the
    /// claim to be undone.
    pub(crate) fn keep(&self) -> bool {
        loop {
            let seen = self.0.get();
            match seen & STATE {
                GONE => return false,
                MARKED => {
                    if self.0.exchange(seen, seen - MARKED).is_ok() {
                        return true;
                    }
                }
                _ => return true,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_kept_by_a_claim_or_gone() {
        let closing = Closing::default();
        assert!(closing.keep() && !closing.is_gone());
        let first = closing.begin().unwrap();
        assert_eq!(closing.begin(), None, "under way");
        assert!(closing.keep(), "claimed meanwhile");
        assert!(!closing.decide(first) && !closing.is_gone());
        let second = closing.begin().unwrap();
        closing.give_up(first);
        assert!(!closing.decide(first), "of an earlier attempt");
        closing.give_up(second);
        assert!(!closing.decide(second));
        let third = closing.begin().unwrap();
        assert!(closing.decide(third) && closing.is_gone());
        assert!(!closing.keep());
        assert_eq!(closing.begin(), None);
        closing.give_up(third);
        assert!(closing.is_gone(), "for good");
    }
}
