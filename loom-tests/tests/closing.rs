//! Taking down a page against claims of its blocks.
#![cfg(loom)]

use loom::sync::Arc;
use loom_tests::{Bug, Reach, actor, find, prove};
use natshard::model::{Closed, Page};

/// Two shards take the page down while a third claims a block, and frees it or keeps it.
fn claim_against_closing([kept, gone, neither, taken_away]: &[Reach; 4], frees: bool) {
    let page = Arc::new(Page::default());
    let claimer = actor(&page, move |page| {
        let had = page.claim();
        assert!(!(had && page.is_gone()), "a block of a page that is gone");
        if had && frees {
            page.free();
        }
        had
    });
    let closers = [0, 1].map(|_| actor(&page, |page| page.close()));
    let had = claimer.join().unwrap();
    let closed = closers.map(|closer| closer.join().unwrap());
    assert!(closed != [Closed::Gone; 2], "taken down twice");
    assert_eq!(page.is_gone(), closed.contains(&Closed::Gone));
    if !frees {
        assert!(!(had && page.is_gone()), "a block of a page that is gone");
    }
    match (had, page.is_gone()) {
        (_, true) => gone.hit(),
        (true, false) => kept.hit(),
        (false, false) => unreachable!("refused by nobody"),
    }
    if !closed.contains(&Closed::Gone) {
        neither.hit();
    }
    if closed.contains(&Closed::TakenAway) {
        taken_away.hit();
    }
}

const STATES: [&str; 4] = [
    "kept",
    "gone",
    "taken down by neither",
    "a mark was taken away",
];

/// Whoever claims keeps what he claimed.
fn claim(reach: &[Reach; 4]) {
    claim_against_closing(reach, false);
}

/// He looks whether the page is there while he has the block, and frees it then.
fn claim_and_end(reach: &[Reach; 4]) {
    claim_against_closing(reach, true);
}

#[test]
fn a_claimed_block_keeps_its_page() {
    prove("claim against closing", STATES, Some(4), claim);
}

#[test]
fn a_page_that_goes_over_a_claim_is_found() {
    let bug = Bug::ClosesOverAClaim;
    find("claim against closing", bug, Some(4), claim);
}

#[test]
fn an_attempt_does_not_decide_by_the_mark_of_another() {
    let name = "claim and end against closing";
    prove(name, STATES, Some(4), claim_and_end);
}

#[test]
fn a_page_that_goes_by_the_mark_of_another_attempt_is_found() {
    let (name, bug) = ("claim and end against closing", Bug::DecidesByAnyMark);
    find(name, bug, Some(4), claim_and_end);
}
