//! What is taken from the heap, counted while somebody wants to know.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

/// The system's allocator, which counts when it is asked to; the program installs it as its global
/// one. Otherwise it costs one load and a branch.
#[derive(Debug)]
pub struct Counting;

static ON: AtomicBool = AtomicBool::new(false);
static LIVE: AtomicI64 = AtomicI64::new(0);

fn count(bytes: i64) {
    if ON.load(Ordering::Relaxed) {
        LIVE.fetch_add(bytes, Ordering::Relaxed);
    }
}

// SAFETY: every call is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: the caller's promises are what the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        // SAFETY: as above; the pointer came from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as i64 - layout.size() as i64);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// How many bytes `make` leaves allocated, and what it made. Meant for one thread at a time.
pub fn cost<T>(make: impl FnOnce() -> T) -> (i64, T) {
    ON.store(true, Ordering::Relaxed);
    let before = LIVE.load(Ordering::Relaxed);
    let made = make();
    let bytes = LIVE.load(Ordering::Relaxed) - before;
    ON.store(false, Ordering::Relaxed);
    (bytes, made)
}

/// Whether [`Counting`] is the allocator of this process.
#[must_use]
pub fn is_counted() -> bool {
    // An allocation that nobody looks at may be left out.
    cost(|| std::hint::black_box(Box::new([0u8; 64]))).0 == 64
}
