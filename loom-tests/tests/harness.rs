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

/// A model whose one actor has nobody to meet.
#[test]
#[should_panic(expected = "one actor alone meets nobody")]
fn f31_a_model_of_one_actor_fails() {
    prove("harness, alone", ["done"], None, |[done]: &[Reach; 1]| {
        thread::spawn(|| ()).join().unwrap();
        done.hit();
    });
}

/// A twin that is explored further than its model.
#[test]
#[should_panic(expected = "model and twin have the same bound")]
fn f31_a_twin_with_a_bound_of_its_own_fails() {
    let model = |_: &[Reach; 0]| {
        for actor in [thread::spawn(|| ()), thread::spawn(|| ())] {
            actor.join().unwrap();
        }
    };
    prove("harness, further", [], Some(3), model);
    find("harness, further", Bug::TimeBeforeSlice, None, model);
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
