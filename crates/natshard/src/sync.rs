//! The only module that names an atomic type, and the only one that knows of loom.
//!
//! Call sites choose no memory ordering; the wrapper they use does, once:
//!
//! * [`Word`], [`Flag`] and [`Link`] carry the protocol. Nearly every step of it is "write mine,
//!   then read yours" (clear a hint, then look at the block again; give back a port that need not
//!   rest, then look at the phase), which needs a total order, so all of their operations are
//!   sequentially consistent. On x86-64 that costs nothing for loads and read-modify-writes; a plain store
//!   becomes an exchange, and none stands on the hot path.
//! * [`Bytes`], [`Row`] and [`Small`] are relaxed where nothing else is said: each value is written
//!   before, and read after, an operation on the `Word` that hands it over, and that operation
//!   orders it. A byte that says whether a port is held carries the protocol as well: a release
//!   publishes it, and whoever judges the block reads it in the total order.
//! * [`Counter`] is relaxed: it is a statistic, or has one writer that alone relies on it.
//!
//! Under `cfg(loom)` a protocol load (but for that of a [`Link`]) is a compare-exchange that
//! changes nothing, with acquire ordering. There are two reasons. loom treats a sequentially
//! consistent load as an acquire load
//! that may return an old value, which the language forbids; a read-modify-write returns the
//! latest, so that interleaving alone gives the total order. And loom remembers only the latest
//! access to an object when it decides which orders to try: a thread that loads a word before it
//! changes it hides the loads that others made in between, and executions are missed (its reach
//! counter showed a queue that was never found to have room). Read-modify-writes all conflict with
//! each other, which makes remembering the latest enough. Stores of protocol values are swaps there
//! for the same reason: loom does not know that what a read-modify-write writes stands right behind
//! what it read, so that a store by another thread, made after it, could be taken for the older of
//! the two, and a release be lost that no machine loses. (A swap goes on with the release sequence
//! that a store ends, so that somebody who relied on an earlier writer's work by reading the value
//! of a later one would not be found out.)
//!
//! What lies between two steps of the protocol is a *window*. Under `cfg(natshard_failpoints)` each
//! is announced to [`failpoints`](crate::failpoints), where a thread can be held; under
//! `cfg(shuttle)` each is a point at which its scheduler may switch threads. There the atomics are
//! those of `std`, between which nothing else runs: shuttle's own are the same with a switch before
//! each, but are larger, and the layout of a whole block is what its scenarios are about.

#[cfg(loom)]
use loom::sync::atomic as imp;
#[cfg(not(loom))]
use std::sync::atomic as imp;
use std::sync::atomic::Ordering;

#[cfg(natshard_failpoints)]
use crate::failpoints::window;

#[cfg(all(test, not(any(natshard_failpoints, shuttle))))]
use crate::steps::take as window;

/// Before each step of the protocol.
#[cfg(not(any(test, natshard_failpoints, shuttle)))]
#[inline(always)]
fn window() {}

/// Before each step of the protocol: here another thread may go on.
#[cfg(shuttle)]
fn window() {
    shuttle::thread_local! {
        static SWITCH: shuttle::sync::atomic::AtomicBool =
            shuttle::sync::atomic::AtomicBool::new(false);
    }
    // While a thread's locals are taken down there is nothing left to interleave with.
    let _ = SWITCH.try_with(|switch| switch.load(Ordering::SeqCst));
}

/// Whether this is a build for models, in which sizes shrink so that rare paths are common.
pub(crate) const MODEL: bool = cfg!(loom);

/// A sequentially consistent load.
#[cfg(not(loom))]
macro_rules! load {
    ($atomic:expr, $any:expr) => {
        $atomic.load(Ordering::SeqCst)
    };
}

/// A sequentially consistent load, as a read-modify-write that changes nothing.
#[cfg(loom)]
macro_rules! load {
    ($atomic:expr, $any:expr) => {
        match $atomic.compare_exchange($any, $any, Ordering::Acquire, Ordering::Acquire) {
            Ok(value) | Err(value) => value,
        }
    };
}

/// A store of a protocol value.
#[cfg(not(loom))]
macro_rules! store {
    ($atomic:expr, $value:expr, $order:expr) => {
        $atomic.store($value, $order)
    };
}

/// A store of a protocol value, as a read-modify-write that acquires nothing.
#[cfg(loom)]
macro_rules! store {
    ($atomic:expr, $value:expr, $order:expr) => {{
        let _: Ordering = $order;
        $atomic.swap($value, Ordering::Release);
    }};
}

mod bytes;

pub use bytes::{Bytes, Row};

/// What this thread wrote before is seen by whoever looks after the fence of his own.
pub(crate) fn fence() {
    imp::fence(Ordering::SeqCst);
}

/// Compare-and-swap that fails for no reason, once per thread of a model that asks for it.
///
/// Every compare-and-swap here is the strong one, so the engine never sees such a failure. Where
/// a protocol says that whoever loses one may give up, giving up has to leave nothing behind, and
/// this is how the models reach it at each place.
#[cfg(loom)]
pub(crate) mod spoil {
    use std::cell::Cell;

    loom::thread_local! {
        static LEFT: Cell<Option<usize>> = Cell::new(None);
    }

    /// Has the next compare-and-swap of this thread but `skip` fail.
    pub(crate) fn arm(skip: usize) {
        LEFT.with(|left| left.set(Some(skip)));
    }

    /// No more of that; whether one failed.
    pub(crate) fn disarm() -> bool {
        LEFT.with(|left| left.take().is_none())
    }

    /// Whether this one is to fail.
    pub(super) fn is_due() -> bool {
        LEFT.with(|left| {
            let now = left.get();
            left.set(now.and_then(|skip| skip.checked_sub(1)));
            now == Some(0)
        })
    }
}

/// Outside of models none does.
#[cfg(not(loom))]
mod spoil {
    #[inline(always)]
    pub(super) const fn is_due() -> bool {
        false
    }
}

/// A 64-bit protocol word; sequentially consistent.
#[derive(Debug)]
#[repr(transparent)]
pub struct Word(imp::AtomicU64);

impl Word {
    pub(crate) fn new(value: u64) -> Self {
        Word(imp::AtomicU64::new(value))
    }

    #[cfg_attr(natshard_failpoints, track_caller)]
    #[inline]
    pub(crate) fn get(&self) -> u64 {
        window();
        load!(self.0, 0)
    }

    #[cfg_attr(natshard_failpoints, track_caller)]
    #[inline]
    pub(crate) fn set(&self, value: u64) {
        window();
        store!(self.0, value, Ordering::SeqCst);
    }

    /// Sets bits and says what the word was before. With the result unused this is one locked
    /// `or`, without a compare-exchange loop.
    #[cfg_attr(natshard_failpoints, track_caller)]
    #[inline]
    pub(crate) fn set_bits(&self, mask: u64) -> u64 {
        window();
        self.0.fetch_or(mask, Ordering::SeqCst)
    }

    #[cfg_attr(natshard_failpoints, track_caller)]
    #[inline]
    pub(crate) fn clear_bits(&self, mask: u64) -> u64 {
        window();
        self.0.fetch_and(!mask, Ordering::SeqCst)
    }

    #[cfg_attr(natshard_failpoints, track_caller)]
    #[inline]
    pub(crate) fn add(&self, value: u64) -> u64 {
        window();
        self.0.fetch_add(value, Ordering::SeqCst)
    }

    #[cfg_attr(natshard_failpoints, track_caller)]
    #[inline]
    pub(crate) fn subtract(&self, value: u64) -> u64 {
        window();
        self.0.fetch_sub(value, Ordering::SeqCst)
    }

    /// Raises the word to `value` if it is smaller; says what it was before.
    #[cfg_attr(natshard_failpoints, track_caller)]
    #[inline]
    pub(crate) fn raise(&self, value: u64) -> u64 {
        window();
        self.0.fetch_max(value, Ordering::SeqCst)
    }

    /// Compare-and-swap; `Err` carries what was found.
    #[cfg_attr(natshard_failpoints, track_caller)]
    #[inline]
    pub(crate) fn exchange(&self, old: u64, new: u64) -> Result<(), u64> {
        window();
        if spoil::is_due() {
            return Err(self.get());
        }
        let done = self
            .0
            .compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst);
        done.map(drop)
    }
}

impl Default for Word {
    fn default() -> Self {
        Word::new(0)
    }
}

/// A protocol flag; sequentially consistent.
#[derive(Debug)]
pub struct Flag(imp::AtomicBool);

impl Flag {
    pub(crate) fn new(value: bool) -> Self {
        Flag(imp::AtomicBool::new(value))
    }

    #[cfg_attr(natshard_failpoints, track_caller)]
    #[inline]
    pub(crate) fn get(&self) -> bool {
        window();
        load!(self.0, false)
    }

    #[cfg_attr(natshard_failpoints, track_caller)]
    #[inline]
    pub(crate) fn set(&self, value: bool) {
        window();
        store!(self.0, value, Ordering::SeqCst);
    }

    /// Raises the flag; whether it was down, that is, whether the caller was the one to raise it.
    #[cfg_attr(natshard_failpoints, track_caller)]
    #[inline]
    pub(crate) fn raise(&self) -> bool {
        window();
        let before = self.0.swap(true, Ordering::SeqCst);
        !before
    }
}

impl Default for Flag {
    fn default() -> Self {
        Flag::new(false)
    }
}

/// A shared pointer word; sequentially consistent. Null is `None`.
///
/// Under `cfg(loom)` reading it is an ordinary acquire load, so that readers do not conflict with
/// each other: whoever reads an old pointer learns the new one when it tries to set its own, and
/// what a link leads to is told of by a `Word` or kept by the epoch.
#[derive(Debug)]
pub struct Link<T>(imp::AtomicPtr<T>);

impl<T> Link<T> {
    #[cfg_attr(natshard_failpoints, track_caller)]
    #[inline]
    pub(crate) fn get(&self) -> *mut T {
        window();
        self.0.load(if MODEL {
            Ordering::Acquire
        } else {
            Ordering::SeqCst
        })
    }

    #[cfg_attr(natshard_failpoints, track_caller)]
    #[inline]
    pub(crate) fn set(&self, value: *mut T) {
        window();
        self.0.store(value, Ordering::SeqCst);
    }

    /// Compare-and-swap; `Err` carries what was found.
    #[cfg_attr(natshard_failpoints, track_caller)]
    #[inline]
    pub(crate) fn exchange(&self, old: *mut T, new: *mut T) -> Result<(), *mut T> {
        window();
        let done = self
            .0
            .compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst);
        done.map(drop)
    }
}

impl<T> Default for Link<T> {
    fn default() -> Self {
        Link(imp::AtomicPtr::new(std::ptr::null_mut()))
    }
}

/// One relaxed byte, ordered by the `Word` operation that hands it over.
#[derive(Debug, Default)]
pub struct Small(imp::AtomicU8);

impl Small {
    #[inline]
    pub(crate) fn get(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn set(&self, value: u8) {
        self.0.store(value, Ordering::Relaxed);
    }
}

/// A relaxed number with one writer at a time, or one whose exactness nobody relies on.
#[derive(Debug, Default)]
pub struct Counter(imp::AtomicU64);

impl Counter {
    #[inline]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Stores; only the one writer may.
    #[inline]
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Adds without a locked instruction; only the one writer may.
    #[inline]
    pub(crate) fn bump(&self, by: u64) {
        self.set(self.get().wrapping_add(by));
    }

    /// Adds from any thread.
    #[inline]
    pub(crate) fn add(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    /// Subtracts from any thread.
    #[inline]
    pub(crate) fn subtract(&self, by: u64) {
        self.0.fetch_sub(by, Ordering::Relaxed);
    }

    /// A number nobody else is given. One word has one order of changes, and who draws before he
    /// publishes something draws a smaller number than who draws after he saw it: that much holds
    /// for relaxed operations on one word (coherence).
    #[inline]
    pub(crate) fn draw(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// A number that no other caller in this process is given; `None` once there are no more. Relaxed,
/// as [`Counter::draw`] is.
pub(crate) fn ordinal() -> Option<u32> {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed).try_into().ok()
}

/// Asks for the cache line of something that is about to be looked at; a hint to the processor.
#[inline(always)]
pub(crate) fn prefetch<T>(what: &T) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: every x86-64 processor has it, and it reads nothing as far as the program can
        // tell.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(what).cast::<i8>()) };
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = what;
}
