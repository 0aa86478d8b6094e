//! How many steps of the protocol an operation takes, counted.
//!
//! A step is an access to a word that other cores read or write in the order of the protocol
//! (`sync`): what an operation costs beside the instructions of its own core, and the same on every
//! machine. Unit tests only.

use std::cell::Cell;

// Debug assertions look, too, and are counted.
#[cfg(debug_assertions)]
mod tests;

thread_local! {
    static TAKEN: Cell<u64> = const { Cell::new(0) };
}

/// This thread is about to take one.
pub(crate) fn take() {
    // While a thread's locals are taken down nobody counts.
    let _ = TAKEN.try_with(|taken| taken.set(taken.get() + 1));
}

/// What work gives, and how many steps it took.
pub(crate) fn of<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let before = TAKEN.get();
    let done = work();
    (done, TAKEN.get() - before)
}
