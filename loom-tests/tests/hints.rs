//! Summaries of the occupancy words.
#![cfg(loom)]

use loom::sync::Arc;
use loom_tests::{Bug, Reach, find, prove, thread};
use natshard::model::Tree;

/// One address loses its hint while its neighbour gets one: the neighbour's must be found.
fn set_against_clear([during, after]: &[Reach; 2]) {
    let tree = Arc::new(Tree::default());
    tree.set(64);
    let clearer = {
        let tree = Arc::clone(&tree);
        thread::spawn(move || tree.clear(64))
    };
    let setter = {
        let tree = Arc::clone(&tree);
        thread::spawn(move || {
            tree.set(65);
            tree.next(0)
        })
    };
    let seen = setter.join().unwrap();
    clearer.join().unwrap();
    if seen == Some(64) {
        during.hit()
    } else {
        after.hit()
    }
    assert_eq!(
        tree.next(0),
        Some(65),
        "a hint is hidden behind its summary"
    );
}

#[test]
fn a_cleared_summary_hides_nothing() {
    prove(
        "hint summaries",
        ["set before cleared", "set after cleared"],
        None,
        set_against_clear,
    );
}

#[test]
fn a_summary_cleared_without_another_look_is_found() {
    find(
        "hint summaries",
        Bug::ClearWithoutRecheck,
        None,
        set_against_clear,
    );
}
