//! Who owns a port block: claimed, taken from, given back, and recycled with its block.
#![cfg(loom)]

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering::SeqCst};
use loom_tests::{Bug, Cells, Reach, actor, find, prove, thread};
use natshard::model::{Assigned, Claim, PORTS, Quarters, Take, spoiled};

/// An assigned block, a cell per port that only its holder may touch, and whether the first
/// account remembers the port block of the first quarter.
struct World {
    block: Assigned,
    cells: Cells<PORTS>,
    remembers: AtomicBool,
}

const FIRST: Quarters = (0, 1);
const SECOND: Quarters = (1, 1);
const BOTH: Quarters = (0, 2);

impl World {
    fn new() -> Arc<Self> {
        Arc::new(World {
            block: Assigned::new(false),
            cells: Cells::default(),
            remembers: AtomicBool::new(false),
        })
    }

    /// With a port block of account 0.
    fn owned(quarters: Quarters) -> Arc<Self> {
        let world = World::new();
        assert_eq!(world.block.claim(quarters, 0), Claim::Got);
        world.remembers.store(true, SeqCst);
        world
    }

    fn hold(&self, port: usize) {
        self.cells.hold(port);
    }

    /// Takes a port and holds it.
    fn take(&self, shard: u8, quarters: Quarters, account: u32) -> Take {
        let taken = self.block.take(shard, quarters, account);
        if let Take::Got(port) = taken {
            self.hold(port);
        }
        taken
    }

    /// Gives the first quarter back on behalf of account 0, if that remembers it.
    fn give_first(&self) -> bool {
        self.block
            .give_unit_back(FIRST, 0, || self.remembers.swap(false, SeqCst))
    }
}

/// A port block is given back while a shard takes a port of it, and another account wants it.
fn give_against_take([kept, late, vain, passed]: &[Reach; 4]) {
    let world = World::owned(FIRST);
    let taker = actor(&world, |world| world.take(1, FIRST, 0));
    let giver = actor(&world, World::give_first);
    let other = actor(&world, |world| {
        let claimed = world.block.claim(FIRST, 1);
        (claimed, world.take(2, FIRST, 1))
    });
    let taken = taker.join().unwrap();
    let given = giver.join().unwrap();
    let (claimed, other) = other.join().unwrap();
    match taken {
        Take::Got(_) => {
            kept.hit();
            assert!(!given, "given back with a lease in it");
            assert_eq!(world.block.owner(0), Some(0), "leased and not owned");
            assert_eq!((claimed, other), (Claim::Owned, Take::Nothing));
        }
        Take::Nothing => late.hit(),
        Take::PutBack => vain.hit(),
    }
    let remembered = world.remembers.load(SeqCst);
    assert_eq!(remembered, !given, "remembered as long as it is owned");
    let owner = (claimed == Claim::Got).then_some(1);
    assert_eq!(world.block.owner(0), if given { owner } else { Some(0) });
    let held = [taken, other].map(|take| matches!(take, Take::Got(_)));
    assert_eq!(world.block.is_taken(0), held.contains(&true), "or lost");
    if other == Take::Got(0) {
        passed.hit();
    } else if claimed == Claim::Got {
        // Somebody had it in his hand for a moment.
        assert_eq!(world.take(2, FIRST, 1), Take::Got(0), "the port is lost");
    }
}

#[test]
fn a_port_block_is_not_given_back_with_a_lease_in_it() {
    let states = [
        "kept and taken from",
        "given back before",
        "taken and put back",
        "taken from by the next owner",
    ];
    prove("give against take", states, Some(4), give_against_take);
}

#[test]
fn a_giving_back_without_another_look_is_found() {
    let bug = Bug::GiveWithoutRecheck;
    find("give against take", bug, Some(4), give_against_take);
}

#[test]
fn a_take_that_trusts_the_first_look_is_found() {
    let bug = Bug::TakeTrustsTheFirstLook;
    find("give against take", bug, Some(4), give_against_take);
}

/// The same, and the taker gives its port back: two shards of one account, and one port block
/// that goes when it is at rest.
fn give_against_lease([given, undone]: &[Reach; 2]) {
    let world = World::owned(FIRST);
    let taker = actor(&world, |world| {
        let taken = world.take(1, FIRST, 0);
        if let Take::Got(port) = taken {
            world.block.release(port);
        }
        taken
    });
    let giver = actor(&world, World::give_first);
    let taken = taker.join().unwrap();
    if giver.join().unwrap() {
        given.hit();
    } else {
        undone.hit();
        assert_ne!(taken, Take::Nothing, "neither taken nor given back");
        assert!(world.give_first(), "at rest, and cannot be given back");
    }
    assert!(world.block.is_unowned());
    assert!(!world.remembers.load(SeqCst));
    assert_eq!(world.block.at_rest().len(), PORTS, "a port is lost");
}

#[test]
fn a_port_block_at_rest_can_be_given_back() {
    let states = ["given back", "a giving back undone"];
    prove("give against lease", states, None, give_against_lease);
}

#[test]
fn a_mark_that_stays_behind_is_found() {
    let bug = Bug::GiveLeavesItsMark;
    find("give against lease", bug, None, give_against_lease);
}

/// Two shards take the two ports of one port block.
fn two_ports_for_two([first, second]: &[Reach; 2]) {
    let world = World::owned(BOTH);
    let taker = |shard| actor(&world, move |world| world.take(shard, BOTH, 0));
    let actors = [taker(1), taker(2)];
    match actors.map(|actor| actor.join().unwrap()) {
        [Take::Got(0), Take::Got(1)] => first.hit(),
        [Take::Got(1), Take::Got(0)] => second.hit(),
        other => panic!("two ports for two shards: {other:?}"),
    }
}

#[test]
fn two_shards_get_the_two_ports_of_a_port_block() {
    let states = ["the first got the first", "the second got the first"];
    prove("two ports for two", states, None, two_ports_for_two);
}

#[test]
fn a_port_block_whose_stamps_are_not_won_is_found() {
    let bug = Bug::TakeWithoutStamp;
    find("two ports for two", bug, None, two_ports_for_two);
}

/// Two accounts claim port blocks of different sizes that overlap.
fn overlapping_claims([whole, part]: &[Reach; 2]) {
    let world = World::new();
    let claimer = |quarters, account| {
        actor(&world, move |world| {
            let claimed = world.block.claim(quarters, account);
            if claimed == Claim::Got {
                world.hold(1);
            }
            claimed
        })
    };
    let actors = [claimer(BOTH, 0), claimer(SECOND, 1)];
    let owners = match actors.map(|actor| actor.join().unwrap()) {
        [Claim::Got, Claim::Owned] => {
            whole.hit();
            [Some(0), Some(0)]
        }
        [Claim::Owned, Claim::Got] => {
            part.hit();
            [None, Some(1)]
        }
        other => panic!("one gets it: {other:?}"),
    };
    assert_eq!([0, 1].map(|quarter| world.block.owner(quarter)), owners);
}

#[test]
fn of_two_overlapping_port_blocks_one_is_claimed() {
    let states = ["the larger", "the smaller"];
    prove("overlapping claims", states, None, overlapping_claims);
}

#[test]
fn a_claim_that_checks_then_sets_is_found() {
    let bug = Bug::ClaimChecksThenSets;
    find("overlapping claims", bug, None, overlapping_claims);
}

/// Condemns the block, and has it recycled a grace period later.
fn condemn(world: &Arc<World>, pin: &natshard::model::Pin<'_>) -> bool {
    let condemned = world.block.condemn();
    if condemned {
        let world = Arc::clone(world);
        // SAFETY: the closure owns what it uses.
        unsafe {
            natshard::model::defer(pin, move || {
                world.block.recycle();
            });
        }
    }
    condemned
}

/// A port block is claimed while its block, which is nobody's, is condemned, recycled, and used
/// for something else.
fn claim_against_recycling([claimed, pardoned, recycled, disclaimed]: &[Reach; 4]) {
    let world = World::new();
    let claimer = {
        let world = Arc::clone(&world);
        thread::spawn(move || {
            let participant = world.block.join();
            let pin = participant.pin();
            let claim = world.block.claim(FIRST, 0);
            if claim == Claim::Got {
                assert_eq!(world.take(1, FIRST, 0), Take::Got(0));
            }
            drop(pin);
            claim
        })
    };
    let reclaimer = {
        let world = Arc::clone(&world);
        thread::spawn(move || {
            let participant = world.block.join();
            let pin = participant.pin();
            let condemned = condemn(&world, &pin);
            drop(pin);
            let pin = participant.pin();
            let heated = world.block.heat(2);
            if heated {
                (0..PORTS).for_each(|port| world.hold(port));
            }
            drop(pin);
            (condemned, heated)
        })
    };
    let claim = claimer.join().unwrap();
    let (condemned, heated) = reclaimer.join().unwrap();
    assert!(condemned || !heated);
    match claim {
        Claim::Got => {
            claimed.hit();
            assert!(world.block.is_assigned() && !world.block.is_condemned());
            assert_eq!(world.block.owner(0), Some(0));
            assert!(!heated, "two owners");
            if condemned {
                pardoned.hit();
            }
        }
        Claim::Owned => panic!("owned by {:?}", world.block.owner(0)),
        Claim::Recycled => {
            disclaimed.hit();
            assert!(heated);
            assert!(world.block.is_unowned(), "an owner word stays behind");
        }
    }
    if heated {
        recycled.hit();
    }
}

#[test]
fn a_port_block_is_claimed_or_its_block_recycled() {
    let states = [
        "claimed",
        "claimed after it was condemned",
        "recycled",
        "claimed in vain",
    ];
    prove(
        "claim against recycling",
        states,
        Some(5),
        claim_against_recycling,
    );
}

#[test]
fn a_claim_that_does_not_keep_its_block_is_found() {
    let bug = Bug::ClaimWithoutKeeping;
    find(
        "claim against recycling",
        bug,
        Some(5),
        claim_against_recycling,
    );
}

#[test]
fn a_reclaimer_that_looks_at_the_owners_first_is_found() {
    let bug = Bug::CondemnLooksAtOwnersFirst;
    find(
        "claim against recycling",
        bug,
        Some(5),
        claim_against_recycling,
    );
}

/// Account 0 gave its port block back and has it assigned anew, while a shard of it that still
/// knows the earlier one gives that back, and another account claims whatever is nobody's.
fn late_giving([kept, given, passed]: &[Reach; 3]) {
    let world = World::new();
    let assigner = actor(&world, |world| {
        let claim = world.block.claim(FIRST, 0);
        if claim == Claim::Got {
            assert!(!world.remembers.swap(true, SeqCst), "remembered twice");
        }
        claim
    });
    let giver = actor(&world, World::give_first);
    let other = actor(&world, |world| {
        let claim = world.block.claim(FIRST, 1);
        if claim == Claim::Got {
            world.hold(0);
        }
        claim
    });
    let assigned = assigner.join().unwrap();
    let gave = giver.join().unwrap();
    let other = other.join().unwrap();
    let remembered = world.remembers.load(SeqCst);
    assert_eq!(remembered, assigned == Claim::Got && !gave);
    assert!(!gave || assigned == Claim::Got, "given and not owned");
    let owner = match (remembered, other) {
        (true, _) => {
            kept.hit();
            Some(0)
        }
        (false, Claim::Got) => {
            if gave {
                passed.hit();
            }
            Some(1)
        }
        (false, _) => {
            given.hit();
            None
        }
    };
    assert_eq!(world.block.owner(0), owner, "whose it is, and who knows");
}

#[test]
fn a_port_block_that_is_remembered_is_owned() {
    let states = ["assigned", "given back", "given back and claimed"];
    prove("late giving back", states, Some(4), late_giving);
}

#[test]
fn a_port_block_given_back_unremembered_is_found() {
    let bug = Bug::GiveWhatIsNotRemembered;
    find("late giving back", bug, Some(4), late_giving);
}

/// A claim of two quarters loses a compare-and-swap for no reason, the first or the second, while
/// another account claims the second.
fn spoiled_claim(at: usize, [spoilt]: &[Reach; 1]) {
    let world = World::new();
    let larger = actor(&world, move |world| {
        spoiled(at, || world.block.claim(BOTH, 0))
    });
    let smaller = actor(&world, |world| world.block.claim(SECOND, 1));
    let (claim, failed) = larger.join().unwrap();
    if failed {
        spoilt.hit();
    }
    assert_eq!(
        claim,
        Claim::Owned,
        "it had one try, or was too late for it"
    );
    assert_eq!(smaller.join().unwrap(), Claim::Got);
    let owners = [0, 1].map(|quarter| world.block.owner(quarter));
    assert_eq!(owners, [None, Some(1)]);
}

#[test]
fn a_claim_lost_for_no_reason_leaves_nothing_behind() {
    for (at, name) in [
        (0, "a claim spoiled at once"),
        (1, "a claim spoiled half way"),
    ] {
        prove(name, ["lost for no reason"], None, move |reach| {
            spoiled_claim(at, reach);
        });
    }
}

#[test]
fn a_claim_that_undoes_what_is_not_its_own_is_found() {
    let bug = Bug::ClaimUndoesTheWhole;
    find("a claim spoiled at once", bug, None, |reach| {
        spoiled_claim(0, reach);
    });
}

#[test]
fn a_claim_that_keeps_half_is_found() {
    let bug = Bug::ClaimLeavesItsFirst;
    find("a claim spoiled half way", bug, None, |reach| {
        spoiled_claim(1, reach);
    });
}

/// A giving back loses a compare-and-swap for no reason (the mark, or what makes it certain), and
/// so does a taker that undoes it.
fn spoiled_giving(at: usize, [spoilt, undone]: &[Reach; 2]) {
    let world = World::owned(FIRST);
    let giver = actor(&world, move |world| spoiled(at, || world.give_first()));
    let taker = actor(&world, |world| spoiled(0, || world.take(1, FIRST, 0)));
    let (given, failed) = giver.join().unwrap();
    let (taken, missed) = taker.join().unwrap();
    if failed {
        spoilt.hit();
        assert!(!given, "it had one try");
    }
    if missed && taken != Take::Nothing {
        // It met the mark, and tried again.
        undone.hit();
    }
    let leased = matches!(taken, Take::Got(_));
    assert!(!(given && leased), "given back with a lease in it");
    assert_eq!(world.block.is_taken(0), leased);
    assert_eq!(world.block.owner(0), (!given).then_some(0));
    assert_eq!(world.remembers.load(SeqCst), !given);
    // Whatever was left behind, the account can go on.
    if !given && !leased {
        assert_eq!(world.take(1, FIRST, 0), Take::Got(0));
    }
}

#[test]
fn a_giving_back_lost_for_no_reason_can_be_undone() {
    prove("a spoiled mark", ["lost for no reason"], None, spoiled_mark);
    let states = ["lost for no reason", "undone at the second try"];
    prove("a spoiled giving back", states, None, |reach| {
        spoiled_giving(1, reach);
    });
}

fn spoiled_mark([spoilt]: &[Reach; 1]) {
    spoiled_giving(0, &[spoilt.clone(), Reach::default()]);
}

#[test]
fn a_mark_that_was_not_won_is_found() {
    find("a spoiled mark", Bug::GiveUnwon, None, spoiled_mark);
}

#[test]
fn a_giving_back_that_was_not_won_is_found() {
    let bug = Bug::GiveUnwon;
    find("a spoiled giving back", bug, None, |reach| {
        spoiled_giving(1, reach);
    });
}
