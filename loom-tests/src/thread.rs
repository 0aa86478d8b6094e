//! loom's threads, counted: the table of models says how many actors each has.

use std::sync::atomic::{AtomicUsize, Ordering};

pub use loom::thread::{JoinHandle, yield_now};

static SPAWNED: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

/// Words of an actor's stack: an engine's visit and refill do not fit into loom's usual 4,096.
const STACK: usize = 1 << 14;

/// As [`loom::thread::spawn`], with a larger stack.
pub fn spawn<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    SPAWNED.fetch_add(1, Ordering::SeqCst);
    let builder = loom::thread::Builder::new().stack_size(STACK);
    builder.spawn(run).expect("loom starts every thread")
}

/// Before each execution.
pub(crate) fn begin() {
    SPAWNED.store(0, Ordering::SeqCst);
}

/// After each execution.
pub(crate) fn end() {
    MOST.fetch_max(SPAWNED.load(Ordering::SeqCst), Ordering::SeqCst);
}

/// The most actors of an execution since this was asked last.
pub(crate) fn most() -> usize {
    MOST.swap(0, Ordering::SeqCst)
}
