//! Taking down a page against claims of its blocks.
#![cfg(loom)]

use loom::sync::Arc;
use loom_tests::{Bug, Reach, actor, find, prove};
use natshard::model::Page;

/// Two shards take the page down while a third claims a block, and frees it or keeps it.
fn claim_against_closing([kept, gone, neither]: &[Reach; 3], frees: bool) {
    let page = Arc::new(Page::default());
    let claimer = actor(&page, move |page| {
        let had = page.claim();
        if had && frees {
            page.free();
        }
        had
    });
    let closers = [0, 1].map(|_| actor(&page, |page| page.close()));
    let had = claimer.join().unwrap();
    let closed = closers.map(|closer| closer.join().unwrap());
    assert!(closed != [true, true], "taken down twice");
    assert_eq!(page.is_gone(), closed.contains(&true));
    if !frees {
        assert!(!(had && page.is_gone()), "a block of a page that is gone");
    }
    match (had, page.is_gone()) {
        (_, true) => gone.hit(),
        (true, false) => kept.hit(),
        (false, false) => unreachable!("refused by nobody"),
    }
    if closed == [false, false] {
        neither.hit();
    }
}

#[test]
fn a_claimed_block_keeps_its_page() {
    let states = ["kept", "gone", "taken down by neither"];
    prove("claim against closing", states, Some(4), |reach| {
        claim_against_closing(reach, false);
    });
}

#[test]
fn a_page_that_goes_over_a_claim_is_found() {
    find(
        "claim against closing",
        Bug::ClosesOverAClaim,
        Some(4),
        |reach| {
            claim_against_closing(reach, false);
        },
    );
}

#[test]
fn an_attempt_does_not_decide_by_the_mark_of_another() {
    let states = ["kept", "gone", "taken down by neither"];
    prove("claim and end against closing", states, Some(4), |reach| {
        claim_against_closing(reach, true);
    });
}
