//! A stale token against recycling, on crossbeam-epoch itself rather than its stand-in.
#![cfg(all(loom, crossbeam_loom))]

use loom::sync::Arc;
use loom_tests::{Bug, Reach, actor, find, prove};
use natshard::model::{OneBlock, defer, flush};

/// A token is given back while its copy is, and while the block is condemned, waits for its grace
/// period, is recycled and leased anew: a token accepted is never one of an earlier generation.
fn stale_token([early, late, anew, waited]: &[Reach; 4]) {
    let block = Arc::new(OneBlock::new());
    let ports = block.claim(0).expect("a fresh block");
    let port = ports[0];
    for &other in &ports[1..] {
        block.give_back(other);
    }
    block.cool(0);
    let repeat = actor(&block, move |block| {
        let participant = block.join();
        let pin = participant.pin();
        block.give_back_raw(&pin, 0, port, 0)
    });
    let owner = {
        let other = Arc::clone(&block);
        actor(&block, move |block| {
            let participant = block.join();
            let pin = participant.pin();
            let done = block.give_back_raw(&pin, 0, port, 0);
            let condemned = block.condemn();
            if condemned {
                // SAFETY: the closure owns what it uses.
                unsafe {
                    defer(&pin, move || {
                        other.recycle();
                    })
                };
            }
            drop(pin);
            // Two turns of the epoch, and one to collect in.
            for _ in 0..3 {
                flush(&participant.pin());
            }
            (done, condemned, block.claim(1).is_some())
        })
    };
    let repeated = repeat.join().unwrap();
    let (done, condemned, fresh) = owner.join().unwrap();
    assert!(repeated != done, "accepted exactly once: {repeated} {done}");
    if repeated {
        early.hit()
    } else {
        late.hit()
    }
    if fresh {
        anew.hit();
        assert!(
            !block.has_free_port(),
            "a new lease was freed by an old token"
        );
    } else if condemned {
        waited.hit();
    }
    // What waits refers to the block, and the block to what waits.
    let participant = block.join();
    for _ in 0..3 {
        flush(&participant.pin());
    }
    assert_eq!(
        block.generation(),
        u32::from(condemned),
        "recycled in the end"
    );
}

#[test]
fn a_stale_token_frees_no_new_lease_on_the_real_epoch() {
    let states = [
        "the repeat came first",
        "the owner came first",
        "leased anew",
        "its grace period was not over",
    ];
    prove("stale token, real epoch", states, Some(2), stale_token);
}

#[test]
fn recycling_without_the_real_grace_period_is_found() {
    let bug = Bug::RecycleWithoutGrace;
    find("stale token, real epoch", bug, Some(2), stale_token);
}
