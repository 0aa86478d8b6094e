//! Engine time: a burst's releases bear the slice of its tick, whoever brought that.
#![cfg(loom)]

use loom::sync::Arc;
use loom_tests::{Bug, Reach, find, prove, thread};
use natshard::model::Time;

/// Two shards bring ticks at once.
fn two_shards([first, second]: &[Reach; 2]) {
    let time = Arc::new(Time::new());
    let actors: Vec<_> = [100u64, 100]
        .into_iter()
        .map(|tick| {
            let time = Arc::clone(&time);
            thread::spawn(move || {
                let before = time.bring(0);
                let slice = time.bring(tick);
                assert_eq!(slice, tick, "a release would bear an older slice");
                before < slice
            })
        })
        .collect();
    let seen: Vec<bool> = actors
        .into_iter()
        .map(|actor| actor.join().unwrap())
        .collect();
    if seen[0] {
        first.hit();
    }
    if seen[1] {
        second.hit();
    }
}

#[test]
fn time_and_slice_are_raised_in_an_order_nobody_can_fall_between() {
    let states = ["the first saw time pass", "the second saw time pass"];
    prove("clock", states, None, two_shards);
}

#[test]
fn time_raised_before_its_slice_is_found() {
    find("clock", Bug::TimeBeforeSlice, None, two_shards);
}
