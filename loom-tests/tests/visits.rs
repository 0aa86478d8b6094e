//! A block that is not free always stands marked for a visit in time, whatever its visitor meets.
#![cfg(loom)]

use loom::sync::Arc;
use loom_tests::{Bug, Reach, Site, actor, find, prove};
use natshard::model::{Address, Hands, Lease, PORTS};

/// When the block was taken on: visitors look for it a rest later.
const TAKEN: u64 = 4;
const DUE: u64 = TAKEN + Address::REST;

/// Swept in the slice after the leases, so that slices are told apart from then on.
fn leased(shards: usize) -> (Arc<Site>, [Lease; PORTS]) {
    let (address, leases) = Address::leased(TAKEN, shards);
    address.bring(TAKEN + 1);
    address.hands(0).sweep();
    (Site::new(address), leases)
}

/// Releases a lease. Says when a visitor has to come: he who looks until the release is done
/// sees it, or marks the block under the slice before.
fn release(site: &Site, lease: Lease) -> u64 {
    site.hold(&lease);
    let released = site.address.release(lease);
    released.max(site.address.slice() - 1) + Address::REST
}

/// Goes on slice by slice, with a sweep in each, and leases at that moment: whatever was due
/// must be there.
fn lease_at(site: &Site, slice: u64, hands: &mut Hands) -> Lease {
    assert!(
        site.address.is_marked(),
        "nobody would visit the block any more"
    );
    for now in site.address.slice() + 1..slice {
        site.address.bring(now);
        hands.sweep();
    }
    site.address.bring(slice);
    let before = site.address.marks();
    let Some(lease) = hands.allocate() else {
        let after = site.address.marks();
        panic!("rested by {slice} and not found: {before}; then {after}");
    };
    site.hold(&lease);
    lease
}

/// A port is released while the block is visited, and time goes on meanwhile.
fn release_against_visit([before, at, after]: &[Reach; 3]) {
    let (world, [kept, lease]) = leased(2);
    let holder = actor(&world, |world| release(world, lease));
    let mut hands = world.address.hands(1);
    let visitor = actor(&world, move |world| {
        world.address.bring(DUE);
        let early = world.address.nobodys() > 0;
        hands.sweep();
        (hands, early, world.address.nobodys() > 0)
    });
    let due = holder.join().unwrap();
    let (mut hands, early, seen) = visitor.join().unwrap();
    match (early, seen) {
        (true, _) => before.hit(),
        (false, true) => at.hit(),
        (false, false) => after.hit(),
    }
    drop(lease_at(&world, due, &mut hands));
    drop(kept);
}

#[test]
fn a_release_is_found_whatever_visitor_missed_it() {
    let states = ["released before the visit", "during it", "after it"];
    prove("release against visit", states, None, release_against_visit);
}

#[test]
fn a_visitor_who_marks_under_his_own_slice_is_found() {
    let bug = Bug::VisitMarksUnderNow;
    find("release against visit", bug, None, release_against_visit);
}

/// A port is released in the slice in which another one of the block has rested, while somebody
/// takes the block on: no port is had before it has rested.
fn release_against_judge([rested, nothing, seen]: &[Reach; 3]) {
    let (world, [first, second]) = leased(2);
    let port = |lease: &Lease| usize::from(lease.addr().port()) % PORTS;
    let first_port = port(&first);
    world.hold(&first);
    let over = world.address.release(first) + Address::REST;
    let holder = actor(&world, move |world| {
        world.address.bring(over);
        release(world, second)
    });
    let mut hands = world.address.hands(1);
    let taker = actor(&world, move |world| {
        let had = hands.take_on(&world.address);
        let leases: Vec<_> = std::iter::from_fn(|| had.then(|| hands.pop()).flatten()).collect();
        leases.iter().for_each(|lease| world.hold(lease));
        hands.surrender();
        let (now, released) = (world.address.slice(), world.address.nobodys() > 0);
        (hands, leases, now, released)
    });
    let due = holder.join().unwrap();
    let (mut hands, leases, now, released) = taker.join().unwrap();
    for lease in &leases {
        let rested_at = if port(lease) == first_port { over } else { due };
        assert!(
            now >= rested_at,
            "had in {now}, and rests until {rested_at}"
        );
    }
    match leases.is_empty() {
        true => nothing.hit(),
        false => rested.hit(),
    }
    if !leases.is_empty() && released {
        seen.hit();
    }
    drop(lease_at(&world, due, &mut hands));
}

#[test]
fn no_port_is_had_before_it_has_rested() {
    let states = [
        "had what has rested",
        "had nothing",
        "while the other one rests",
    ];
    let (name, model) = ("release against judge", release_against_judge);
    prove(name, states, Some(4), model);
}

#[test]
fn a_judge_who_reads_the_time_first_is_found() {
    let bug = Bug::JudgeReadsTheTimeFirst;
    let (name, model) = ("release against judge", release_against_judge);
    find(name, bug, Some(4), model);
}

/// A port is released while another one of the block, which has rested, is offered, leased and let
/// go of.
fn release_against_offer([early, late]: &[Reach; 2]) {
    let (world, [first, second]) = leased(2);
    let rested = usize::from(first.addr().port()) % PORTS;
    // As if in the slice before.
    world.address.release_at(first, TAKEN);
    let holder = actor(&world, |world| release(world, second));
    let mut hands = world.address.hands(1);
    let visitor = actor(&world, move |world| {
        world.address.bring(DUE);
        hands.sweep();
        let lease = hands.allocate().expect("what has rested");
        world.hold(&lease);
        let seen = world.address.nobodys() > 0;
        (hands, lease, seen)
    });
    let due = holder.join().unwrap();
    let (mut hands, lease, seen) = visitor.join().unwrap();
    assert_eq!(usize::from(lease.addr().port()) % PORTS, rested);
    if seen {
        early.hit()
    } else {
        late.hit()
    }
    drop(lease_at(&world, due, &mut hands));
}

#[test]
fn a_release_into_a_block_that_is_offered_is_found_in_time() {
    let states = ["released before it was let go of", "after"];
    let (name, model) = ("release against offer", release_against_offer);
    prove(name, states, Some(4), model);
}

#[test]
fn an_owner_who_marks_under_his_own_slice_is_found() {
    let bug = Bug::VisitMarksUnderNow;
    find("release against offer", bug, Some(4), release_against_offer);
}

/// Two shards sweep in one slice while a port is released.
fn two_visitors([both, neither, one]: &[Reach; 3]) {
    let (world, [kept, lease]) = leased(3);
    let holder = actor(&world, |world| release(world, lease));
    let visitor = |shard| {
        let mut hands = world.address.hands(shard);
        actor(&world, move |world| {
            world.address.bring(DUE);
            hands.sweep();
            (hands, world.address.nobodys() > 0)
        })
    };
    let visitors = [visitor(1), visitor(2)];
    let due = holder.join().unwrap();
    let [(mut hands, first), (_second, second)] = visitors.map(|actor| actor.join().unwrap());
    match (first, second) {
        (true, true) => both.hit(),
        (false, false) => neither.hit(),
        _ => one.hit(),
    }
    drop(lease_at(&world, due, &mut hands));
    drop(kept);
}

#[test]
fn two_visitors_leave_a_block_marked() {
    let states = ["both see it", "neither does", "one does"];
    prove("two visitors", states, Some(2), two_visitors);
}

#[test]
fn a_visitor_among_two_who_marks_under_his_own_slice_is_found() {
    find(
        "two visitors",
        Bug::VisitMarksUnderNow,
        Some(2),
        two_visitors,
    );
}

/// A visitor is so slow that the bucket he found the block in comes round, and is where others have
/// marked it since.
fn a_slow_visitor([slow, usual]: &[Reach; 2]) {
    let (world, [kept, lease]) = leased(3);
    let mut hands = world.address.hands(1);
    let visitor = actor(&world, move |world| {
        world.address.bring(DUE);
        hands.sweep();
        world.address.slice() > DUE
    });
    let mut hands = world.address.hands(2);
    let others = actor(&world, move |world| {
        for slice in [DUE + 1, DUE + 2] {
            world.address.bring(slice);
            hands.sweep();
        }
        let due = release(world, lease);
        world.address.bring(DUE + 3);
        hands.sweep();
        (hands, due)
    });
    if visitor.join().unwrap() {
        slow.hit()
    } else {
        usual.hit()
    }
    let (mut hands, due) = others.join().unwrap();
    drop(lease_at(&world, due, &mut hands));
    drop(kept);
}

#[test]
fn a_visitor_who_is_a_lap_late_takes_no_newer_mark_away() {
    let states = ["overtaken", "in time"];
    prove("a slow visitor", states, Some(2), a_slow_visitor);
}

#[test]
fn a_visitor_who_trusts_his_mark_is_found() {
    find(
        "a slow visitor",
        Bug::VisitTrustsItsMark,
        Some(2),
        a_slow_visitor,
    );
}

/// A block is claimed while time goes on and everything is swept.
fn claim_against_time([late, usual]: &[Reach; 2]) {
    let (address, hands) = Address::heated(TAKEN, 3, 0);
    drop(hands);
    assert!(address.is_free(), "given back untouched");
    let world = Site::new(address);
    let mut hands = world.address.hands(1);
    let owner = actor(&world, move |world| {
        let leases = std::array::from_fn(|_| hands.allocate().expect("a free block"));
        (leases, world.address.slice() > TAKEN)
    });
    let mut hands = world.address.hands(2);
    let sweeper = actor(&world, move |world| {
        world.address.bring(TAKEN + 3);
        hands.sweep();
        hands
    });
    let (leases, passed): ([Lease; PORTS], bool) = owner.join().unwrap();
    let mut hands = sweeper.join().unwrap();
    if passed {
        late.hit()
    } else {
        usual.hit()
    }
    let [kept, lease] = leases;
    let due = release(&world, lease);
    drop(lease_at(&world, due, &mut hands));
    drop(kept);
}

#[test]
fn a_block_is_visited_a_rest_after_it_was_claimed() {
    let states = ["time went on", "in one slice"];
    prove("claim against time", states, Some(3), claim_against_time);
}

#[test]
fn a_block_taken_on_after_its_mark_is_found() {
    let bug = Bug::TakenAfterItsMark;
    find("claim against time", bug, Some(3), claim_against_time);
}
