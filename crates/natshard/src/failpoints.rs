//! Threads held in the windows between two steps of the protocol.
//!
//! Exists under `cfg(natshard_failpoints)` only. Each operation of `sync` that carries the protocol
//! announces its window here first. What happens in it is decided by the thread's own seeded
//! policy: nothing, a yield, a spin, a sleep, or a panic. Nothing is shared between threads, so
//! that the failpoints order no access that the engine left without order.
//!
//! A panic is thrown only where the policy allows it at that moment ([`Policy::panics`], outside of
//! [`calmly`] and of unwinding). The engine promises nothing to who panics within it, and no code of
//! its own does: what survives one anyway is that no tuple has two owners, that the others go on,
//! and that the books balance; ports on their way may be lost. In deferred work and while a
//! configuration is changed a panic would be somebody else's, and none is thrown.
#![allow(missing_docs, reason = "the soak test is its documentation")]

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::panic::Location;
use std::time::Duration;

/// How often, of so many windows, each thing happens; zero is never.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Policy {
    pub yields: u32,
    pub spins: u32,
    pub sleeps: u32,
    pub panics: u32,
}

/// What a thread went through in one window.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Passed {
    pub reached: u64,
    pub held: u64,
    pub panicked: u64,
}

/// What a panic of a failpoint carries.
#[derive(Debug)]
pub struct Thrown;

thread_local! {
    static POLICY: Cell<Policy> = const { Cell::new(Policy { yields: 0, spins: 0, sleeps: 0, panics: 0 }) };
    static RANDOM: Cell<u64> = const { Cell::new(1) };
    static PASSED: RefCell<HashMap<(&'static str, u32), Passed>> = RefCell::default();
}

/// Sets what happens to this thread from now on.
pub fn arm(policy: Policy, seed: u64) {
    POLICY.set(policy);
    RANDOM.set(seed | 1);
}

/// What this thread went through so far, by file and line; forgets it.
pub fn passed() -> HashMap<(&'static str, u32), Passed> {
    PASSED.take()
}

/// Runs work in which no panic is thrown.
pub fn calmly<T>(work: impl FnOnce() -> T) -> T {
    let policy = POLICY.get();
    POLICY.set(Policy {
        panics: 0,
        ..policy
    });
    let result = work();
    POLICY.set(policy);
    result
}

/// One in so many.
fn draw(odds: u32) -> bool {
    if odds == 0 {
        return false;
    }
    let random = RANDOM
        .get()
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    RANDOM.set(random);
    (random >> 33).is_multiple_of(u64::from(odds))
}

/// So often a window is passed by a thread before it becomes a usual one.
const RARE: u64 = 16;

#[track_caller]
pub(crate) fn window() {
    let Ok(policy) = POLICY.try_with(Cell::get) else {
        return;
    };
    if policy == Policy::default() {
        return;
    }
    let site = Location::caller();
    let site = (site.file(), site.line());
    let Ok(before) = PASSED.try_with(|passed| passed.borrow().get(&site).copied()) else {
        return;
    };
    let mut here = before.unwrap_or_default();
    here.reached += 1;
    // Windows seldom reached are held in more often, so that each is.
    let rare = here.reached <= RARE;
    let odds = |usual: u32| if rare { usual.min(2) } else { usual };
    let held = if draw(odds(policy.sleeps)) {
        std::thread::sleep(Duration::from_micros(50));
        true
    } else if draw(odds(policy.yields)) {
        std::thread::yield_now();
        true
    } else if draw(policy.spins) {
        for _ in 0..500 {
            std::hint::spin_loop();
        }
        true
    } else {
        false
    };
    here.held += u64::from(held);
    let rarely = if rare {
        policy.panics.min(500)
    } else {
        policy.panics
    };
    let panics = !std::thread::panicking() && draw(rarely);
    here.panicked += u64::from(panics);
    let _ = PASSED.try_with(|passed| passed.borrow_mut().insert(site, here));
    if panics {
        std::panic::resume_unwind(Box::new(Thrown));
    }
}
