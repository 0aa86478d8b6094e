//! One block: hand-over between shards, release against recycling, tokens, the grace period.
#![cfg(loom)]

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use loom::sync::Arc;
use loom_tests::{Bug, Cells, Reach, actor, find, prove, thread};
use natshard::model::{OneBlock, PORTS, defer};

/// A block, and a cell per port that only its holder may touch: written at lease and release, it
/// shows at once that nobody else holds the port and that all of the last holder's work is seen.
struct World {
    block: OneBlock,
    cells: Cells<PORTS>,
}

impl World {
    fn new() -> Arc<Self> {
        Arc::new(World {
            block: OneBlock::new(),
            cells: Cells::default(),
        })
    }

    fn hold(&self, port: usize) {
        self.cells.hold(port);
    }
}

/// Two shards race for a free block; the winner leases, releases and cools it; the loser reheats.
fn hand_over([first, second, reheated, skipped]: &[Reach; 4]) {
    let world = World::new();
    let actors: Vec<_> = [0u8, 1]
        .into_iter()
        .map(|shard| {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                let block = &world.block;
                let won = block.claim(shard);
                let ports = won.clone().or_else(|| block.reheat(shard));
                for &port in ports.iter().flatten() {
                    world.hold(port);
                    block.give_back(port);
                }
                if ports.is_some() {
                    block.cool(shard);
                }
                (won.is_some(), ports.map(|ports| ports.len()))
            })
        })
        .collect();
    let results: Vec<_> = actors
        .into_iter()
        .map(|actor| actor.join().unwrap())
        .collect();
    assert_eq!(
        results.iter().filter(|(won, _)| *won).count(),
        1,
        "one claims"
    );
    for (won, ports) in &results {
        match (won, ports) {
            (true, ports) => assert_eq!(*ports, Some(PORTS)),
            (false, Some(_)) => reheated.hit(),
            (false, None) => skipped.hit(),
        }
    }
    if results[0].0 {
        first.hit()
    } else {
        second.hit()
    }
}

#[test]
fn a_block_is_handed_over_whole() {
    let states = [
        "first wins",
        "second wins",
        "loser reheats",
        "loser is too early",
    ];
    prove("block hand-over", states, None, hand_over);
}

#[test]
fn a_block_claimed_without_winning_its_word_is_found() {
    let bug = Bug::BlockClaimChecksThenSets;
    find("block hand-over", bug, None, hand_over);
}

/// A cooling block with one lease: its holder releases, a shard reheats and leases again, a
/// reclaimer condemns and recycles.
fn release_against_recycling([recycled, reheated, both]: &[Reach; 3]) {
    let world = World::new();
    let block = &world.block;
    let ports = block.claim(0).unwrap();
    for &port in &ports[1..] {
        block.give_back(port);
    }
    block.cool(0);
    let holder = {
        let (world, port) = (Arc::clone(&world), ports[0]);
        thread::spawn(move || {
            world.hold(port);
            world.block.give_back(port);
        })
    };
    // No token is about, so there is nobody for the grace period to wait for.
    let reclaimer = {
        let world = Arc::clone(&world);
        thread::spawn(move || world.block.condemn() && world.block.recycle())
    };
    let shard = {
        let world = Arc::clone(&world);
        thread::spawn(move || {
            let ports = world.block.reheat(1);
            for &port in ports.iter().flatten() {
                world.hold(port);
            }
            // Leased on, while the block cools.
            if ports.is_some() {
                world.block.cool(1);
            }
            ports.unwrap_or_default()
        })
    };
    holder.join().unwrap();
    reclaimer.join().unwrap();
    let held = shard.join().unwrap();
    if block.is_free() {
        recycled.hit();
        assert_eq!(block.generation(), 1, "recycled once");
        assert!(held.is_empty(), "recycled although {held:?} is leased");
        // The next generation is whole, and everything before is seen.
        let fresh = block.claim(2).unwrap();
        assert_eq!(fresh.len(), PORTS);
        for port in fresh {
            world.hold(port);
        }
    } else {
        assert_eq!(block.generation(), 0);
    }
    if !held.is_empty() {
        reheated.hit();
        if held.len() == PORTS {
            both.hit();
        }
    }
}

#[test]
fn f06_a_block_is_recycled_once_and_only_when_empty() {
    let states = ["recycled", "reheated", "reheated whole"];
    prove(
        "release against recycling",
        states,
        Some(4),
        release_against_recycling,
    );
}

#[test]
fn a_reclaimer_that_checks_then_acts_is_found() {
    let name = "release against recycling";
    find(
        name,
        Bug::ReclaimerChecksThenActs,
        Some(4),
        release_against_recycling,
    );
}

/// Two reclaimers and the last release; who recycles the block leases all of it anew.
fn two_reclaimers([recycled, not_yet]: &[Reach; 2]) {
    let world = World::new();
    let ports = world.block.claim(0).unwrap();
    for &port in &ports[1..] {
        world.block.give_back(port);
    }
    world.block.cool(0);
    let holder = {
        let (world, port) = (Arc::clone(&world), ports[0]);
        thread::spawn(move || {
            world.hold(port);
            world.block.give_back(port);
        })
    };
    let reclaimers: Vec<_> = (0..2)
        .map(|_| {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                let done = world.block.condemn() && world.block.recycle();
                if done {
                    let fresh = world.block.claim(1).expect("nobody else wants it");
                    fresh.into_iter().for_each(|port| world.hold(port));
                    world.block.cool(1);
                }
                done
            })
        })
        .collect();
    holder.join().unwrap();
    let done = reclaimers.into_iter().map(|actor| actor.join().unwrap());
    let done = done.filter(|&done| done).count();
    assert!(done <= 1, "recycled twice");
    assert_eq!(world.block.generation() as usize, done);
    if done == 1 {
        recycled.hit();
        assert!(!world.block.has_free_port(), "a lease is lost");
    } else {
        not_yet.hit();
    }
}

#[test]
fn two_reclaimers_recycle_a_block_once() {
    prove(
        "two reclaimers",
        ["recycled", "too early"],
        Some(5),
        two_reclaimers,
    );
}

#[test]
fn two_reclaimers_that_look_first_are_found() {
    let bug = Bug::ReclaimerChecksThenActs;
    find("two reclaimers", bug, Some(5), two_reclaimers);
}

/// Two reclaimers, and a shard that reheats the block between their condemnations and lets go of it:
/// whoever condemned it last recycles it, and nobody else for him.
fn late_deferral([recycled, reheated, outstanding]: &[Reach; 3]) {
    let world = World::new();
    for &port in &world.block.claim(0).unwrap() {
        world.block.give_back(port);
    }
    world.block.cool(0);
    // Kept beside the model: executions run one thread at a time.
    let last = std::sync::Arc::new(AtomicUsize::new(0));
    let reclaimers = [1, 2].map(|me| {
        let last = std::sync::Arc::clone(&last);
        actor(&world, move |world| {
            if !world.block.condemn() {
                return (false, false);
            }
            last.store(me, SeqCst);
            let done = world.block.recycle();
            if done {
                let last = last.load(SeqCst);
                assert_eq!(last, me, "recycled by the deferral of another condemnation");
            }
            (true, done)
        })
    });
    let shard = actor(&world, |world| {
        let ports = world.block.reheat(3);
        for &port in ports.iter().flatten() {
            world.hold(port);
            world.block.give_back(port);
        }
        if ports.is_some() {
            world.block.cool(3);
        }
        ports.is_some()
    });
    let done = reclaimers.map(|reclaimer| reclaimer.join().unwrap());
    let heated = shard.join().unwrap();
    match done.map(|(_, recycled)| recycled) {
        [true, true] => panic!("recycled twice"),
        [false, false] => assert_eq!(world.block.generation(), 0),
        _ => {
            assert_eq!(world.block.generation(), 1);
            recycled.hit();
        }
    }
    if heated {
        reheated.hit();
    }
    if done.contains(&(true, false)) {
        outstanding.hit();
    }
}

#[test]
fn a_block_is_recycled_by_who_condemned_it() {
    let states = ["recycled", "reheated", "a deferral found it reheated"];
    prove("late deferral", states, Some(4), late_deferral);
}

#[test]
fn a_condemnation_under_an_outstanding_deferral_is_found() {
    let bug = Bug::DeferralBegunTwice;
    find("late deferral", bug, Some(4), late_deferral);
}

/// A token is given back by two threads at once.
fn repeated_token([first, second]: &[Reach; 2]) {
    let world = World::new();
    let port = world.block.claim(0).unwrap()[0];
    let tag = world.block.tag(port);
    world.block.cool(0);
    let actors: Vec<_> = (0..2)
        .map(|_| {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                let participant = world.block.join();
                let pin = participant.pin();
                world.block.give_back_raw(&pin, 0, port, tag)
            })
        })
        .collect();
    let done: Vec<bool> = actors
        .into_iter()
        .map(|actor| actor.join().unwrap())
        .collect();
    assert_eq!(
        done.iter().filter(|&&done| done).count(),
        1,
        "accepted once"
    );
    if done[0] { first.hit() } else { second.hit() }
}

#[test]
fn a_repeated_token_is_accepted_once() {
    prove(
        "repeated token",
        ["by the first", "by the second"],
        None,
        repeated_token,
    );
}

#[test]
fn a_token_compared_before_the_act_is_found() {
    find(
        "repeated token",
        Bug::RawReleaseChecksThenActs,
        None,
        repeated_token,
    );
}

/// A token is given back twice, while the block is emptied, recycled and leased anew: the second
/// time must not free the new lease.
fn stale_token([stale, releaser, anew]: &[Reach; 3]) {
    let world = World::new();
    let ports = world.block.claim(0).unwrap();
    let port = ports[0];
    for &other in &ports[1..] {
        world.block.give_back(other);
    }
    world.block.cool(0);
    let repeat = {
        let world = Arc::clone(&world);
        thread::spawn(move || {
            let participant = world.block.join();
            let pin = participant.pin();
            world.block.give_back_raw(&pin, 0, port, 0)
        })
    };
    let owner = {
        let world = Arc::clone(&world);
        thread::spawn(move || {
            let participant = world.block.join();
            let pin = participant.pin();
            let done = world.block.give_back_raw(&pin, 0, port, 0);
            if world.block.condemn() {
                let world = Arc::clone(&world);
                // SAFETY: the closure owns what it uses.
                unsafe {
                    defer(&pin, move || {
                        world.block.recycle();
                    })
                };
            }
            drop(pin);
            let pin = participant.pin();
            let fresh = world.block.claim(1).is_some();
            drop(pin);
            (done, fresh)
        })
    };
    let repeated = repeat.join().unwrap();
    let (done, fresh) = owner.join().unwrap();
    assert!(repeated != done, "accepted exactly once: {repeated} {done}");
    if repeated {
        stale.hit()
    } else {
        releaser.hit()
    }
    if fresh {
        anew.hit();
        assert!(
            !world.block.has_free_port(),
            "the new lease was freed by an old token"
        );
    }
}

#[test]
fn a_stale_token_cannot_free_a_lease_of_the_next_generation() {
    let states = [
        "the repeat came first",
        "the owner came first",
        "leased anew",
    ];
    prove("stale token", states, Some(5), stale_token);
}

#[test]
fn recycling_without_a_grace_period_is_found() {
    find(
        "stale token",
        Bug::RecycleWithoutGrace,
        Some(5),
        stale_token,
    );
}

#[test]
fn a_bit_of_the_next_generation_taken_for_one_of_this_is_found() {
    find(
        "stale token",
        Bug::RawReleaseTrustsTheFirstLook,
        Some(5),
        stale_token,
    );
}
