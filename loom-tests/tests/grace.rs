//! Batches whose grace period is over: each is recycled once, and none is left to a shard that is
//! away.
#![cfg(loom)]

use loom::sync::Arc;
use loom_tests::{Bug, Reach, actor, find, prove};
use natshard::model::Batches;

/// Two grace periods end while the shard takes a batch and leaves, and another shard looks for what
/// it can have.
fn hand_over([collector, owner, leaving, other]: &[Reach; 4]) {
    let batches = Arc::new(Batches::of_a_present_shard());
    let collecting = actor(&batches, |batches| {
        usize::from(batches.ripen(0)) + usize::from(batches.ripen(1))
    });
    let shard = actor(&batches, |batches| {
        let took = usize::from(batches.take_one().is_some());
        (took, batches.leave())
    });
    let searching = actor(&batches, |batches| {
        usize::from(batches.take_one().is_some())
    });
    let collected = collecting.join().unwrap();
    let (took, left) = shard.join().unwrap();
    let searched = searching.join().unwrap();
    assert_eq!(batches.take_one(), None, "left to a shard that is away");
    assert_eq!(collected + took + left + searched, 2, "each once");
    for (reach, count) in [
        (collector, collected),
        (owner, took),
        (leaving, left),
        (other, searched),
    ] {
        if count > 0 {
            reach.hit();
        }
    }
}

#[test]
fn a_ripe_batch_is_recycled_once_by_somebody_who_is_there() {
    let states = [
        "by the collecting thread",
        "by its shard",
        "by its shard as it left",
        "by another shard",
    ];
    prove("ripe batches", states, Some(4), hand_over);
}

#[test]
fn a_batch_left_to_who_just_left_is_found() {
    find("ripe batches", Bug::RipensAfterTheLook, Some(4), hand_over);
}

/// The shard comes back while a grace period ends.
fn coming_back([at_once, later]: &[Reach; 2]) {
    let batches = Arc::new(Batches::default());
    let collecting = actor(&batches, |batches| usize::from(batches.ripen(0)));
    let shard = actor(&batches, |batches| {
        batches.come();
        usize::from(batches.take_one().is_some())
    });
    let (collected, took) = (collecting.join().unwrap(), shard.join().unwrap());
    // Its next burst.
    let after = usize::from(batches.take_one().is_some());
    assert_eq!(collected + took + after, 1, "once");
    if collected == 1 {
        at_once.hit();
    } else {
        later.hit();
    }
}

#[test]
fn a_shard_that_comes_back_finds_what_ripened_meanwhile() {
    let states = ["by the collecting thread", "by its shard"];
    prove("ripe batches, coming back", states, None, coming_back);
}

#[test]
fn a_batch_lost_to_who_comes_back_is_found() {
    let bug = Bug::ComesOverWhatIsRipe;
    find("ripe batches, coming back", bug, None, coming_back);
}
