//! The books of a subscriber: limits, rest, retirement, pairing, port blocks.
#![cfg(loom)]

use std::sync::Arc;

use loom_tests::{Bug, Cells, History, Reach, find, find_endless, prove, thread};
use natshard::model::{Account, Ledger, Pin};

/// The books of two subscribers; cells that only whoever holds what they stand for touches; and
/// what the first held when.
struct World {
    ledger: Ledger,
    history: History,
    cells: Cells<2>,
}

impl World {
    /// The first subscriber has an active part already, and so many leases.
    fn new(rests: bool, limit: u16, leases: usize) -> Arc<Self> {
        let world = World {
            ledger: Ledger::new(rests, limit),
            history: History::new(if rests { Ledger::REST } else { 0 }),
            cells: Cells::default(),
        };
        assert_eq!(world.ledger.meet(0), 0);
        assert_eq!(world.ledger.meet(1), 1);
        world.main(|account| {
            assert!(account.charge(unpaired));
            account.uncharge();
            for _ in 0..leases {
                assert!(world.charge(account));
            }
        });
        Arc::new(world)
    }

    /// What loom's main thread does before it spawns, or after it has joined.
    fn main<T>(&self, run: impl FnOnce(&Account<'_>) -> T) -> T {
        let pin = self.ledger.pretend();
        run(&self.ledger.account(0, &pin))
    }

    fn hold(&self, cell: usize) {
        self.cells.hold(cell);
    }

    fn charge(&self, account: &Account<'_>) -> bool {
        self.history.charge(|| account.charge(unpaired))
    }

    fn uncharge(&self, account: &Account<'_>) {
        self.history.uncharge(|| account.uncharge());
    }

    fn release(&self, account: &Account<'_>) {
        self.history.release(|| account.release());
    }

    fn bring(&self, slice: u64) {
        self.history.bring(slice, || self.ledger.bring(slice));
    }

    /// Everything held until now, less what is `leased`, comes back once it has rested; then the
    /// active part can be had back.
    fn ends(&self, leased: u16) {
        let pin = self.ledger.pretend();
        let account = self.ledger.account(0, &pin);
        self.ledger.bring(100);
        assert_eq!(account.held(), leased, "held and not leased");
        for _ in 0..leased {
            account.uncharge();
        }
        assert!(account.blocks().is_empty());
        if account.part().is_some() {
            assert!(account.retire(), "at rest");
        }
        assert_eq!((account.part(), account.pairing()), (None, None));
    }
}

/// For a subscriber that is not paired.
fn unpaired(key: u32) {
    panic!("the pairing with {key} ended");
}

/// Runs something with the first subscriber's books, in a thread of its own.
fn actor<T: Send + 'static>(
    world: &Arc<World>,
    run: impl FnOnce(&World, &Account<'_>) -> T + Send + 'static,
) -> thread::JoinHandle<T> {
    let world = Arc::clone(world);
    thread::spawn(move || {
        let pin: Pin<'_> = world.ledger.pretend();
        run(&world, &world.ledger.account(0, &pin))
    })
}

/// Two shards charge the one port that is left; who got it gives it back unused.
fn two_chargers([refused, both]: &[Reach; 2]) {
    let world = World::new(false, 1, 0);
    let charger = || {
        actor(&world, |world, account| {
            let charged = world.charge(account);
            if charged {
                world.hold(0);
                world.uncharge(account);
            }
            charged
        })
    };
    let actors = [charger(), charger()];
    let charged = actors.map(|actor| actor.join().unwrap());
    world.history.check(1);
    if charged == [true, true] {
        both.hit();
    } else {
        refused.hit();
    }
    world.ends(0);
}

#[test]
fn a_limit_is_never_exceeded_by_two_shards() {
    let states = ["one refused", "one after the other"];
    prove("two chargers", states, None, two_chargers);
}

#[test]
fn a_charge_that_checks_then_adds_is_found() {
    find(
        "two chargers",
        Bug::ChargeChecksThenAdds,
        None,
        two_chargers,
    );
}

/// Three shards and two ports; who got one keeps it.
fn three_chargers([last]: &[Reach; 1]) {
    let world = World::new(false, 2, 0);
    let charger = || actor(&world, World::charge);
    let actors = [charger(), charger(), charger()];
    let charged = actors.map(|actor| actor.join().unwrap());
    world.history.check(2);
    assert_eq!(charged.iter().filter(|&&charged| charged).count(), 2);
    if charged == [false, true, true] {
        last.hit();
    }
    world.ends(2);
}

#[test]
fn of_three_shards_two_get_the_last_two_ports() {
    let states = ["the first refused"];
    prove("three chargers", states, Some(3), three_chargers);
}

#[test]
fn a_charge_that_checks_then_adds_is_found_among_three() {
    let bug = Bug::ChargeChecksThenAdds;
    find("three chargers", bug, Some(3), three_chargers);
}

/// A port is given back, rests, and has rested, while another shard charges at the limit.
fn release_against_charge([refused, late, had]: &[Reach; 3]) {
    let world = World::new(true, 1, 1);
    let releaser = actor(&world, |world, account| {
        world.hold(0);
        world.release(account);
    });
    let clock = actor(&world, |world, _| {
        world.bring(1);
        world.bring(Ledger::REST);
    });
    let charger = actor(&world, |world, account| {
        let before = world.ledger.slice();
        let charged = world.charge(account);
        if charged {
            world.hold(0);
        }
        (before, charged)
    });
    releaser.join().unwrap();
    clock.join().unwrap();
    let (before, charged) = charger.join().unwrap();
    world.history.check(1);
    if charged {
        had.hit();
    } else if before == Ledger::REST {
        // Given back too late to have rested.
        late.hit();
    } else {
        refused.hit();
    }
    world.ends(charged.into());
}

#[test]
fn a_port_counts_until_it_has_rested() {
    let states = ["refused", "refused after a late release", "charged"];
    prove(
        "release against charge",
        states,
        Some(3),
        release_against_charge,
    );
}

#[test]
fn a_settler_who_reads_the_time_first_is_found() {
    let bug = Bug::SettleReadsTheTimeFirst;
    find(
        "release against charge",
        bug,
        Some(3),
        release_against_charge,
    );
}

/// Two ports have rested, in two slots; two shards find that out at once.
fn two_settlers([settled, idle]: &[Reach; 2]) {
    let world = World::new(true, 2, 2);
    let pin = world.ledger.pretend();
    let account = world.ledger.account(0, &pin);
    world.release(&account);
    world.bring(1);
    world.release(&account);
    world.bring(1 + Ledger::REST);
    let charger = actor(&world, |world, account| {
        assert!(world.charge(account), "nothing was held");
        assert!(world.charge(account), "one was held");
    });
    let settler = actor(&world, |_, account| account.settle());
    charger.join().unwrap();
    if settler.join().unwrap() {
        settled.hit();
    } else {
        idle.hit();
    }
    assert!(!world.charge(&account), "two were held");
    world.history.check(2);
    world.ends(2);
}

#[test]
fn what_has_rested_is_raised_once_by_two_shards() {
    let states = ["there was something to settle", "it was settled"];
    prove("two settlers", states, Some(3), two_settlers);
}

#[test]
fn a_slot_cleared_before_its_count_is_raised_is_found() {
    let bug = Bug::SlotClearedBeforeRaised;
    find("two settlers", bug, Some(3), two_settlers);
}

#[test]
fn a_raise_that_trusts_the_first_look_is_found() {
    let bug = Bug::SlotRaiseTrustsTheFirstLook;
    find("two settlers", bug, Some(3), two_settlers);
}

/// A release finds its slot taken by an earlier round, which has rested; another shard charges.
fn slot_of_an_earlier_round([charger_settled, releaser_settled]: &[Reach; 2]) {
    let world = World::new(true, 3, 3);
    let pin = world.ledger.pretend();
    let account = world.ledger.account(0, &pin);
    world.release(&account);
    world.bring(Ledger::REST - 1);
    world.release(&account);
    world.bring(Ledger::REST + 1);
    let releaser = actor(&world, World::release);
    let charger = actor(&world, |world, account| {
        let due = account.settle();
        assert!(world.charge(account), "two were held");
        due
    });
    releaser.join().unwrap();
    if charger.join().unwrap() {
        charger_settled.hit();
    } else {
        releaser_settled.hit();
    }
    assert!(!world.charge(&account), "three were held");
    world.history.check(3);
    world.ends(1);
}

#[test]
fn a_release_loses_nothing_of_an_earlier_round() {
    let states = ["settled by the charger", "settled by the releaser"];
    prove(
        "slot of an earlier round",
        states,
        Some(3),
        slot_of_an_earlier_round,
    );
}

#[test]
fn a_slot_written_over_is_found() {
    let bug = Bug::ReleaseOverwritesASlot;
    find(
        "slot of an earlier round",
        bug,
        Some(3),
        slot_of_an_earlier_round,
    );
}

/// Three shards give back; one of them has time pass and takes the active part away under the
/// others, who have counted their release and not yet noted when it was.
fn release_against_retirement([retired, anew, busy]: &[Reach; 3]) {
    let world = World::new(true, 3, 3);
    let releaser = || actor(&world, World::release);
    let (first, second) = (releaser(), releaser());
    let reclaimer = actor(&world, |world, account| {
        world.release(account);
        world.bring(Ledger::REST);
        let retired = account.retire();
        world.bring(Ledger::REST + 1);
        retired
    });
    first.join().unwrap();
    second.join().unwrap();
    let pin = world.ledger.pretend();
    let account = world.ledger.account(0, &pin);
    if !reclaimer.join().unwrap() {
        busy.hit();
    } else {
        retired.hit();
        assert!(world.charge(&account));
        if account.part() != Some(0) {
            anew.hit();
        }
        world.uncharge(&account);
    }
    world.history.check(3);
    world.ends(0);
}

#[test]
fn a_release_outlives_the_active_part() {
    let states = ["retired", "with another part", "not at rest yet"];
    prove(
        "release against retirement",
        states,
        Some(2),
        release_against_retirement,
    );
}

#[test]
fn a_release_that_waits_for_a_retired_part_is_found() {
    let bug = Bug::ReleaseWaitsForARetiredPart;
    find_endless(
        "release against retirement",
        bug,
        Some(2),
        release_against_retirement,
    );
}

/// A paired subscriber at rest loses its active part while a shard charges it and pairs it.
fn charge_against_retirement([kept, anew, completed, refused]: &[Reach; 4]) {
    let world = World::new(false, 1, 1);
    let pin = world.ledger.pretend();
    let account = world.ledger.account(0, &pin);
    assert_eq!(account.pair(7), (7, true));
    account.uncharge();
    let reclaimer = actor(&world, |_, account| (account.retire(), account.ended()));
    let charger = actor(&world, |_, account| {
        let mut ended = None;
        assert!(account.charge(|key| ended = Some(key)));
        let (paired, fresh) = account.pair(8);
        // As long as the charge lasts, so do both.
        for _ in 0..2 {
            assert_eq!(account.pairing(), Some(paired));
            assert!(account.part().is_some(), "charged without an active part");
        }
        (ended, fresh)
    });
    let (retired, first) = reclaimer.join().unwrap();
    let (second, fresh) = charger.join().unwrap();
    let ended = first.or(second);
    assert!(first.is_none() || second.is_none(), "ended twice");
    assert_eq!(ended, fresh.then_some(7), "one begins where one ends");
    assert_eq!(retired, fresh);
    if fresh {
        anew.hit()
    } else {
        kept.hit()
    }
    if second.is_some() {
        completed.hit();
    }
    if !retired {
        refused.hit();
    }
    world.ends(1);
}

#[test]
fn what_is_charged_is_not_retired() {
    let states = [
        "pairing kept",
        "ended and made anew",
        "completed by the charger",
        "not at rest",
    ];
    prove(
        "charge against retirement",
        states,
        Some(4),
        charge_against_retirement,
    );
}

#[test]
fn a_retirement_that_trusts_the_first_look_is_found() {
    let bug = Bug::RetireTrustsTheFirstLook;
    find(
        "charge against retirement",
        bug,
        Some(4),
        charge_against_retirement,
    );
}

/// Two retirements follow each other while a shard charges, and may have to complete both: each
/// pairing that ends is told of once.
fn every_ending_is_told([both, one, two]: &[Reach; 3]) {
    let world = World::new(false, 1, 1);
    let pin = world.ledger.pretend();
    let account = world.ledger.account(0, &pin);
    assert_eq!(account.pair(7), (7, true));
    account.uncharge();
    let reclaimer = actor(&world, |_, account| {
        let mut ended = Vec::new();
        account.retire();
        ended.extend(account.ended());
        if account.charge(|key| ended.push(key)) {
            account.pair(8);
            account.uncharge();
            account.retire();
            ended.extend(account.ended());
        }
        ended
    });
    let charger = actor(&world, |_, account| {
        let mut ended = Vec::new();
        if account.charge(|key| ended.push(key)) {
            account.uncharge();
        }
        ended
    });
    let mut ended = reclaimer.join().unwrap();
    let other = charger.join().unwrap();
    match other.len() {
        0 => {}
        1 => one.hit(),
        _ => two.hit(),
    }
    ended.extend(other);
    ended.extend(account.pairing());
    ended.sort_unstable();
    let begun: &[u32] = if ended.contains(&8) { &[7, 8] } else { &[7] };
    assert_eq!(ended, begun, "each ends once, or lasts");
    if begun.len() == 2 {
        both.hit();
    }
    world.ends(0);
}

#[test]
fn every_pairing_that_ends_is_told_of_once() {
    let states = [
        "two pairings",
        "one ended by the charger",
        "both ended by the charger",
    ];
    prove("two retirements", states, Some(3), every_ending_is_told);
}

#[test]
fn an_ending_that_is_forgotten_is_found() {
    let bug = Bug::EndingForgotten;
    find("two retirements", bug, Some(3), every_ending_is_told);
}

/// A port block is charged, and its port taken back unused, while the subscriber is retired.
fn block_against_retirement([kept, gone, busy]: &[Reach; 3]) {
    let world = World::new(false, 1, 0);
    let charger = actor(&world, |_, account| {
        assert!(account.charge(unpaired));
        assert!(account.charge_block(1));
        account.note_block(5);
        account.uncharge();
    });
    let reclaimer = actor(&world, |_, account| account.retire());
    charger.join().unwrap();
    let retired = reclaimer.join().unwrap();
    let pin = world.ledger.pretend();
    let account = world.ledger.account(0, &pin);
    assert_eq!(account.blocks(), [5]);
    assert!(!account.retire(), "it holds a block");
    match (retired, account.part()) {
        (true, Some(0)) => kept.hit(),
        (true, _) => gone.hit(),
        (false, _) => busy.hit(),
    }
    assert!(account.forget_block(5));
    account.uncharge_block();
    world.ends(0);
}

#[test]
fn a_subscriber_with_a_port_block_keeps_its_active_part() {
    let states = ["retired and kept", "retired before", "not at rest"];
    prove(
        "block against retirement",
        states,
        Some(4),
        block_against_retirement,
    );
}

#[test]
fn a_retirement_that_forgets_the_blocks_is_found() {
    let bug = Bug::RetireForgetsBlocks;
    find(
        "block against retirement",
        bug,
        Some(4),
        block_against_retirement,
    );
}

/// The same, and the port block is given back while both complete the retirement: they may not
/// have seen the same, and must agree all the same on whether everything stays.
fn block_given_back_while_retiring([kept, gone, busy]: &[Reach; 3]) {
    let world = World::new(false, 2, 1);
    let pin = world.ledger.pretend();
    let account = world.ledger.account(0, &pin);
    assert_eq!(account.pair(7), (7, true));
    account.uncharge();
    let holder = actor(&world, |_, account| {
        let mut ended = None;
        assert!(account.charge(|key| ended = Some(key)));
        assert!(account.charge_block(1));
        account.note_block(5);
        account.uncharge();
        assert!(account.forget_block(5), "noted and not given back");
        account.uncharge_block();
        assert!(account.charge(|key| ended = Some(key)));
        (account.part(), ended)
    });
    let reclaimer = actor(&world, |_, account| (account.retire(), account.ended()));
    let (part, first) = holder.join().unwrap();
    let (retired, second) = reclaimer.join().unwrap();
    let ended = first.or(second);
    assert!(first.is_none() || second.is_none(), "ended twice");
    assert_eq!(ended.is_none(), account.pairing().is_some());
    assert_eq!(account.part(), part);
    assert_eq!(ended.is_some(), part != Some(0), "all of it stays or none");
    match (retired, part) {
        (true, Some(0)) => kept.hit(),
        (true, _) => gone.hit(),
        (false, _) => busy.hit(),
    }
    world.ends(1);
}

#[test]
fn a_block_given_back_while_retiring_leaves_nothing_behind() {
    let states = ["all was kept", "all was taken", "not at rest"];
    prove(
        "block given back while retiring",
        states,
        Some(4),
        block_given_back_while_retiring,
    );
}

#[test]
fn retirers_that_disagree_are_found() {
    let bug = Bug::RetirersDisagree;
    find(
        "block given back while retiring",
        bug,
        Some(4),
        block_given_back_while_retiring,
    );
}

/// An active part is taken back and lent to another subscriber while somebody looks at it.
fn reuse_of_a_part([reused, apart, looked]: &[Reach; 3]) {
    let world = World::new(false, 1, 0);
    let looker = {
        let world = Arc::clone(&world);
        thread::spawn(move || {
            let participant = world.ledger.join();
            let pin = participant.pin();
            let part = world.ledger.account(0, &pin).part();
            if let Some(part) = part {
                world.cells.look(part as usize);
            }
            part
        })
    };
    let reclaimer = {
        let world = Arc::clone(&world);
        thread::spawn(move || {
            let participant = world.ledger.join();
            let pin = participant.pin();
            assert!(world.ledger.account(0, &pin).retire());
            drop(pin);
            let pin = participant.pin();
            let other = world.ledger.account(1, &pin);
            assert!(other.charge(unpaired));
            let part = other.part().unwrap();
            world.hold(part as usize);
            part
        })
    };
    let seen = looker.join().unwrap();
    let part = reclaimer.join().unwrap();
    if part == 0 {
        reused.hit()
    } else {
        apart.hit()
    }
    if seen.is_some() {
        looked.hit();
    }
    world.ends(0);
}

#[test]
fn an_active_part_is_not_lent_again_while_somebody_looks() {
    let states = ["lent again", "another was lent", "looked at"];
    prove("reuse of an active part", states, None, reuse_of_a_part);
}

#[test]
fn an_active_part_lent_again_at_once_is_found() {
    let bug = Bug::ReuseWithoutGrace;
    find("reuse of an active part", bug, None, reuse_of_a_part);
}
