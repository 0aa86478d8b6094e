//! Ports of an assigned block, each taken by winning its stamp.
#![cfg(loom)]

use loom::sync::Arc;
use loom_tests::{Bug, Cells, Reach, actor, find, prove};
use natshard::model::{Assigned, PORTS, spoiled};

/// An assigned block, and a cell per port that only its holder may touch.
struct World {
    block: Assigned,
    cells: Cells<PORTS>,
}

const PORT: usize = 0;

impl World {
    fn new(rests: bool) -> Arc<Self> {
        Arc::new(World {
            block: Assigned::new(rests),
            cells: Cells::default(),
        })
    }

    /// With the port leased.
    fn leased(rests: bool) -> Arc<Self> {
        let world = World::new(rests);
        assert!(world.block.take_port(0, PORT));
        world
    }

    fn hold(&self) {
        self.cells.hold(PORT);
    }

    /// Leased or to be had, and not both.
    fn check(&self, held: bool) {
        assert_eq!(
            self.block.is_taken(PORT),
            held,
            "held and not taken, or lost"
        );
        if !held {
            self.block.bring(100);
            assert!(self.block.at_rest().contains(&PORT), "the port is lost");
        }
    }
}

/// Two shards take one port; who got it gives it back.
fn two_takers([one, both]: &[Reach; 2]) {
    let world = World::new(false);
    let taker = |shard| {
        actor(&world, move |world| {
            let got = world.block.take_port(shard, PORT);
            if got {
                world.hold();
                world.block.release(PORT);
            }
            got
        })
    };
    let actors = [taker(1), taker(2)];
    match actors.map(|actor| actor.join().unwrap()) {
        [true, true] => both.hit(),
        [false, false] => panic!("a port that had rested was nobody's"),
        _ => one.hit(),
    }
    world.check(false);
}

#[test]
fn a_port_of_an_assigned_block_is_taken_by_one_shard() {
    let states = ["one was too late", "one after the other"];
    prove("two takers", states, None, two_takers);
}

#[test]
fn a_port_taken_without_its_stamp_is_found() {
    find("two takers", Bug::TakeWithoutStamp, None, two_takers);
}

/// A port is released while two shards take it.
fn release_against_takers([early, got, twice]: &[Reach; 3]) {
    let world = World::leased(false);
    let holder = actor(&world, |world| {
        world.hold();
        world.block.release(PORT);
    });
    let taker = |shard, keeps: bool| {
        actor(&world, move |world| {
            let got = world.block.take_port(shard, PORT);
            if got {
                world.hold();
                if !keeps {
                    world.block.release(PORT);
                }
            }
            got
        })
    };
    let (first, second) = (taker(1, false), taker(2, true));
    holder.join().unwrap();
    let first = first.join().unwrap();
    let second = second.join().unwrap();
    match (first, second) {
        (true, true) => twice.hit(),
        (false, false) => early.hit(),
        _ => got.hit(),
    }
    world.check(second);
}

#[test]
fn a_port_under_release_is_not_taken() {
    let states = ["not released yet", "taken once", "taken twice"];
    prove(
        "release against takers",
        states,
        Some(3),
        release_against_takers,
    );
}

#[test]
fn a_held_port_that_is_taken_is_found() {
    let bug = Bug::TakeOfAHeldPort;
    find(
        "release against takers",
        bug,
        Some(3),
        release_against_takers,
    );
}

/// A port is released while time passes; who takes it must find that it has rested.
fn rest_against_taker([rested, resting, unreleased]: &[Reach; 3]) {
    let world = World::leased(true);
    let holder = actor(&world, |world| {
        world.hold();
        // No later than the moment it releases in.
        let slice = world.block.slice();
        world.block.release(PORT);
        slice
    });
    let clock = actor(&world, |world| {
        world.block.bring(1);
        world.block.bring(Assigned::REST);
    });
    let taker = actor(&world, |world| {
        let leased = world.block.is_taken(PORT);
        let got = world.block.take_port(1, PORT);
        if got {
            world.hold();
        }
        (got, leased, world.block.slice())
    });
    let released = holder.join().unwrap();
    clock.join().unwrap();
    let (got, leased, slice) = taker.join().unwrap();
    if got {
        rested.hit();
        assert!(
            slice >= released + Assigned::REST,
            "released in {released} and taken by {slice}"
        );
    } else if leased {
        unreleased.hit();
    } else {
        resting.hit();
    }
    world.check(got);
}

#[test]
fn a_port_of_an_assigned_block_rests() {
    let states = ["taken", "it rests", "not released yet"];
    prove("rest against taker", states, Some(4), rest_against_taker);
}

#[test]
fn a_time_read_before_the_byte_is_found() {
    let bug = Bug::TakeReadsTheTimeFirst;
    find("rest against taker", bug, Some(4), rest_against_taker);
}

/// Stamps of rested ports are forgotten while a shard takes one and gives it back: then it rests
/// anew.
fn refresh_against_taker([took, missed]: &[Reach; 2]) {
    let world = World::leased(true);
    world.block.release(PORT);
    world.block.bring(Assigned::REST);
    let refresher = actor(&world, |world| world.block.refresh());
    let taker = actor(&world, |world| {
        let got = world.block.take_port(1, PORT);
        if got {
            world.hold();
            world.block.release(PORT);
        }
        got
    });
    refresher.join().unwrap();
    let got = taker.join().unwrap();
    assert_eq!(
        world.block.at_rest().contains(&PORT),
        !got,
        "released this moment, and has rested"
    );
    if got {
        took.hit()
    } else {
        missed.hit()
    }
    world.check(false);
}

#[test]
fn a_forgotten_stamp_is_never_a_newer_one() {
    let states = ["taken", "being forgotten"];
    prove("refresh against taker", states, None, refresh_against_taker);
}

#[test]
fn a_newer_stamp_that_is_forgotten_is_found() {
    let bug = Bug::TakeWithoutStamp;
    find("refresh against taker", bug, None, refresh_against_taker);
}

/// Two shards take one port, and one of them loses a stamp for no reason.
fn spoiled_taker([spoilt, had]: &[Reach; 2]) {
    let world = World::leased(false);
    world.block.release(PORT);
    let taker = actor(&world, |world| {
        spoiled(0, || world.block.take_port(1, PORT))
    });
    let other = actor(&world, |world| {
        let got = world.block.take_port(2, PORT);
        if got {
            world.hold();
            world.block.release(PORT);
        }
        got
    });
    let (got, failed) = taker.join().unwrap();
    let other = other.join().unwrap();
    assert!(!got || !failed, "it had one try");
    if failed {
        spoilt.hit();
        assert!(other, "nobody else wanted it");
    }
    if other {
        had.hit();
    }
    world.check(got);
}

#[test]
fn a_stamp_lost_for_no_reason_leaves_nothing_behind() {
    let states = ["lost for no reason", "taken by the other"];
    prove("a spoiled taker", states, None, spoiled_taker);
}

#[test]
fn a_taker_that_does_not_win_its_stamp_is_found() {
    find(
        "a spoiled taker",
        Bug::TakeWithoutStamp,
        None,
        spoiled_taker,
    );
}
