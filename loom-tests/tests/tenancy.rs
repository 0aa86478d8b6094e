//! For whom a block is held: whatever meets whatever, what is counted is what is held.
#![cfg(loom)]

use loom::sync::Arc;
use loom::sync::atomic::{AtomicI64, Ordering::SeqCst};
use loom_tests::{Bug, Reach, actor, find, prove};
use natshard::model::Held;

const OTHERS: u8 = 0;
const TENANT: u8 = 2;

/// A block and the counts of the two classes.
struct World {
    block: Held,
    held: [AtomicI64; 2],
}

impl World {
    /// A block that is handed out and condemned, counted to a class or to nobody.
    fn condemned(class: Option<u8>) -> Arc<Self> {
        let world = Arc::new(World {
            block: Held::new(),
            held: [AtomicI64::new(0), AtomicI64::new(0)],
        });
        assert!(world.claim(1, class));
        assert!(world.block.condemn());
        world
    }

    fn of(&self, class: u8) -> &AtomicI64 {
        &self.held[usize::from(class == TENANT)]
    }

    fn count(&self, class: u8) {
        self.of(class).fetch_add(1, SeqCst);
    }

    fn give(&self, class: u8) {
        let before = self.of(class).fetch_sub(1, SeqCst);
        assert!(before > 0, "class {class} gives back what it has not");
    }

    fn claim(&self, shard: u8, class: Option<u8>) -> bool {
        self.block
            .claim(shard, class, |one| self.count(one), |one| self.give(one))
    }

    fn recycle(&self) -> bool {
        self.block.recycle(|one| self.give(one))
    }

    fn rebook(&self, class: Option<u8>) -> bool {
        self.block
            .rebook(class, |one| self.count(one), |one| self.give(one))
    }

    /// At rest the counts say what the block says.
    fn check(&self) {
        let class = self.block.class();
        for one in [OTHERS, TENANT] {
            let counted = self.of(one).load(SeqCst);
            assert_eq!(counted, i64::from(class == Some(one)), "class {one}");
        }
        assert!(
            class.is_none() || !self.block.is_free(),
            "a free block is held"
        );
    }
}

/// The block is recycled while another shard of the same tenant claims it again.
fn recycled_and_claimed([claimed, between, early]: &[Reach; 3]) {
    let world = World::condemned(Some(TENANT));
    let recycler = actor(&world, World::recycle);
    let claimer = actor(&world, |world| {
        let claimed = world.claim(2, Some(TENANT));
        // Whether the recycler has yet to end what was.
        (claimed, world.held[1].load(SeqCst) == 2)
    });
    assert!(recycler.join().unwrap());
    let (done, both) = claimer.join().unwrap();
    match (done, both) {
        (true, false) => claimed.hit(),
        (true, true) => between.hit(),
        (false, _) => early.hit(),
    }
    assert_eq!(world.block.class(), done.then_some(TENANT));
    world.check();
}

const RECYCLED: [&str; 3] = ["claimed", "claimed before the end", "came too early"];

#[test]
fn a_block_claimed_anew_keeps_its_tenancy() {
    prove(
        "tenancy, recycled and claimed",
        RECYCLED,
        None,
        recycled_and_claimed,
    );
}

#[test]
fn a_tenancy_taken_away_whatever_its_generation_is_found() {
    find(
        "tenancy, recycled and claimed",
        Bug::TenancyWithoutGeneration,
        None,
        recycled_and_claimed,
    );
}

/// The block is recycled while a reconfiguration counts it to others.
fn recycled_and_rebooked([before, after]: &[Reach; 2], from: Option<u8>, to: Option<u8>) {
    let world = World::condemned(from);
    let recycler = actor(&world, World::recycle);
    let control = actor(&world, move |world| world.rebook(to));
    assert!(recycler.join().unwrap());
    if control.join().unwrap() {
        before.hit();
    } else {
        after.hit();
    }
    assert!(world.block.is_free());
    assert_eq!(world.block.class(), None);
    world.check();
}

const REBOOKED: [&str; 2] = ["counted anew", "found it free"];

#[test]
fn a_block_counted_anew_while_it_is_recycled_is_counted_to_nobody() {
    prove("tenancy, recycled and moved", REBOOKED, None, |reach| {
        recycled_and_rebooked(reach, Some(TENANT), Some(OTHERS));
    });
    prove("tenancy, recycled and begun", REBOOKED, None, |reach| {
        recycled_and_rebooked(reach, None, Some(OTHERS));
    });
    prove("tenancy, recycled and ended", REBOOKED, None, |reach| {
        recycled_and_rebooked(reach, Some(TENANT), None);
    });
}

#[test]
fn a_block_counted_anew_without_another_look_is_found() {
    find(
        "tenancy, recycled and begun",
        Bug::RebookTrustsTheFirstLook,
        None,
        |reach| recycled_and_rebooked(reach, None, Some(OTHERS)),
    );
}

#[test]
fn a_move_that_writes_over_what_it_did_not_see_is_found() {
    let bug = Bug::RebookChecksThenSets;
    find("tenancy, recycled and moved", bug, None, |reach| {
        recycled_and_rebooked(reach, Some(TENANT), Some(OTHERS));
    });
}

#[test]
fn an_end_that_writes_over_what_it_did_not_see_is_found() {
    let bug = Bug::RebookChecksThenSets;
    find("tenancy, recycled and ended", bug, None, |reach| {
        recycled_and_rebooked(reach, Some(TENANT), None);
    });
}

/// All three at once: recycled, claimed again by a shard of the old configuration, and counted to
/// others by the new one; whoever claimed it looks at it afterwards, as shards do.
fn all_three([free, claimed, moved]: &[Reach; 3]) {
    let world = World::condemned(Some(TENANT));
    let recycler = actor(&world, World::recycle);
    let claimer = actor(&world, |world| {
        let done = world.claim(2, Some(TENANT));
        (done, done && world.rebook(Some(OTHERS)))
    });
    let control = actor(&world, |world| world.rebook(Some(OTHERS)));
    assert!(recycler.join().unwrap());
    let (done, rebooked) = claimer.join().unwrap();
    let by_control = control.join().unwrap();
    assert_eq!(world.block.class(), done.then_some(OTHERS));
    match (done, rebooked, by_control) {
        (false, _, _) => free.hit(),
        (true, true, _) => claimed.hit(),
        (true, false, true) => moved.hit(),
        (true, false, false) => panic!("nobody counted it anew"),
    }
    world.check();
}

#[test]
fn claim_recycling_and_reconfiguration_agree() {
    let states = [
        "free in the end",
        "its claimer moved it",
        "the control moved it",
    ];
    prove("tenancy, all three", states, Some(3), all_three);
}

#[test]
fn a_tenancy_taken_away_whatever_its_generation_is_found_among_three() {
    let bug = Bug::TenancyWithoutGeneration;
    find("tenancy, all three", bug, Some(3), all_three);
}
