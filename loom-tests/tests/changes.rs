//! Refusals that stand: nothing becomes leasable without ending those of its slice.
#![cfg(loom)]

use loom::sync::Arc;
use loom_tests::{Bug, Reach, actor, find, prove};
use natshard::model::Searched;

/// The slice in which it begins.
const NOW: u64 = 5;

/// A shard searches and refuses, another one offers something, and a third brings the next slice.
fn refusal([found, stood, ended, late]: &[Reach; 4]) {
    let pool = Arc::new(Searched::new(NOW));
    let searcher = actor(&pool, |pool| pool.refuse());
    let releaser = actor(&pool, |pool| pool.offer());
    let clock = actor(&pool, |pool| pool.bring(NOW + 1));
    let refused = searcher.join().unwrap();
    releaser.join().unwrap();
    clock.join().unwrap();
    match refused {
        None => found.hit(),
        Some(refusal) => {
            assert!(!pool.stands(refusal), "refused what was on offer");
            if refusal.0 == NOW {
                ended.hit()
            } else {
                late.hit()
            }
            stood.hit();
        }
    }
}

#[test]
fn no_refusal_outlives_what_ends_it() {
    let states = [
        "found, or to be searched again",
        "refused",
        "ended by the next slice or the count",
        "refused in the next slice, ended by the count",
    ];
    prove("refusal that stands", states, Some(3), refusal);
}

#[test]
fn a_search_that_does_not_watch_is_found() {
    let bug = Bug::SearchesUnwatched;
    find("refusal that stands", bug, Some(3), refusal);
}
