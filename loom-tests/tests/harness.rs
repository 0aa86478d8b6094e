//! The harness itself: a model that proves nothing must fail (F31).
#![cfg(loom)]

use loom_tests::{Bug, Reach, find, prove, thread};

/// A model that passed because nothing happened in it.
#[test]
#[should_panic(expected = "was never reached: the model proves nothing")]
fn f31_a_model_in_which_nothing_of_interest_happens_fails() {
    prove(
        "harness, vacuous",
        ["never"],
        None,
        |[never]: &[Reach; 1]| {
            let flag = loom::sync::Arc::new(loom::sync::atomic::AtomicBool::new(false));
            let other = flag.clone();
            let writer = thread::spawn(move || {
                other.store(true, loom::sync::atomic::Ordering::SeqCst);
                other.store(true, loom::sync::atomic::Ordering::SeqCst);
            });
            writer.join().unwrap();
            if !flag.load(loom::sync::atomic::Ordering::SeqCst) {
                never.hit();
            }
        },
    );
}

/// A twin whose bug is never found.
#[test]
#[should_panic(expected = "was not found")]
fn f31_a_twin_whose_bug_is_not_found_fails() {
    find(
        "harness, blind",
        Bug::TimeBeforeSlice,
        None,
        |_: &[Reach; 0]| {
            thread::spawn(|| ()).join().unwrap();
        },
    );
}

/// An exploration that is not over at its bound.
#[test]
#[should_panic(expected = "exceeded maximum number of branches")]
fn f31_an_exploration_that_does_not_finish_fails() {
    prove(
        "harness, endless",
        ["begun"],
        None,
        |[begun]: &[Reach; 1]| {
            begun.hit();
            let waiter = thread::spawn(|| {
                let flag = loom::sync::atomic::AtomicBool::new(false);
                while !flag.load(loom::sync::atomic::Ordering::SeqCst) {
                    thread::yield_now();
                }
            });
            waiter.join().unwrap();
        },
    );
}
