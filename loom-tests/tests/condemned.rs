//! A block is condemned, reheated, refreshed and recycled: who is at its bytes is alone there, and
//! nothing of it is lost.
#![cfg(loom)]

use loom::sync::Arc;
use loom_tests::{Bug, Reach, Site, actor, find, prove};
use natshard::model::{Address, Hands, Lease, PORTS, spoiled};

const TAKEN: u64 = 4;
const DUE: u64 = TAKEN + Address::REST;

/// Both ports leased in one slice, so many of them released in it and at rest, and time to
/// visit the block.
fn rested(shards: usize, released: usize) -> (Arc<Site>, Vec<Lease>) {
    let (address, leases) = Address::leased(TAKEN, shards);
    let mut leases = Vec::from(leases);
    for lease in leases.drain(..released) {
        address.release(lease);
    }
    address.bring(TAKEN + 1);
    address.hands(0).sweep();
    address.bring(DUE);
    (Site::new(address), leases)
}

/// Condemned by who let go of it, and still marked for a visit under the slice before; what was
/// condemned is in his hands yet.
fn condemned(shards: usize) -> (Arc<Site>, Hands) {
    let (address, mut hands) = Address::heated(TAKEN, shards, 0);
    address.release(hands.pop().expect("a fresh block"));
    address.bring(DUE);
    hands.surrender();
    // Nor is it marked under the slice it was taken on in.
    address.hands(1).visit(&address, TAKEN, true);
    (Site::new(address), hands)
}

/// Takes the block on, and leases so many ports of it.
fn take(site: &Site, hands: &mut Hands, ports: usize) -> Vec<Lease> {
    let had = hands.take_on(&site.address);
    let leases = std::iter::from_fn(|| had.then(|| hands.pop()).flatten());
    let leases: Vec<_> = leases.take(ports).collect();
    leases.iter().for_each(|lease| site.hold(lease));
    leases
}

/// What is not held is nobody's, and can be leased at once.
fn check(site: &Site, mut leases: Vec<Lease>, hands: &mut Hands) {
    let free = PORTS - leases.len();
    assert_eq!(site.address.nobodys(), free, "{}", site.address.marks());
    check_found(site);
    while let Some(lease) = hands.allocate() {
        site.hold(&lease);
        leases.push(lease);
    }
    assert_eq!(leases.len(), PORTS, "{}", site.address.marks());
}

/// A visitor comes, or none has to.
fn check_found(site: &Site) {
    let address = &site.address;
    assert!(
        address.is_free() || address.is_marked(),
        "{}",
        address.marks()
    );
}

/// A block at rest is visited, condemned and recycled, while another shard reheats it and leases
/// what it finds.
fn condemn_against_reheat([recycled, whole, vain]: &[Reach; 3]) {
    let (world, _) = rested(3, PORTS);
    let mut hands = world.address.hands(1);
    let visitor = actor(&world, move |_| hands.sweep());
    let mut hands = world.address.hands(2);
    let taker = actor(&world, move |world| {
        let leases = take(world, &mut hands, PORTS);
        hands.surrender();
        (hands, leases)
    });
    visitor.join().unwrap();
    let (mut hands, leases) = taker.join().unwrap();
    match (world.address.generation(), leases.len()) {
        (0, PORTS) => whole.hit(),
        (0, _) => vain.hit(),
        _ => recycled.hit(),
    }
    check(&world, leases, &mut hands);
}

#[test]
fn a_block_is_condemned_or_reheated() {
    let states = ["recycled", "reheated whole", "reheated in vain"];
    let (name, model) = ("condemn against reheat", condemn_against_reheat);
    prove(name, states, Some(3), model);
}

#[test]
fn a_reclaimer_at_the_bytes_of_an_owner_is_found() {
    let bug = Bug::CondemnWhileJudged;
    let (name, model) = ("condemn against reheat", condemn_against_reheat);
    find(name, bug, Some(3), model);
}

/// The same, and whoever condemns loses its first compare-and-swap for no reason.
fn spoiled_condemning([spoilt]: &[Reach; 1]) {
    let (world, _) = rested(3, PORTS);
    let mut hands = world.address.hands(1);
    let visitor = actor(&world, move |world| {
        let visit = || hands.visit(&world.address, TAKEN, true);
        spoiled(0, visit).1
    });
    let mut hands = world.address.hands(2);
    let taker = actor(&world, move |world| {
        let leases = take(world, &mut hands, PORTS);
        hands.surrender();
        (hands, leases)
    });
    if visitor.join().unwrap() {
        spoilt.hit();
    }
    let (mut hands, leases) = taker.join().unwrap();
    check(&world, leases, &mut hands);
}

#[test]
fn a_condemnation_lost_for_no_reason_leaves_nothing_behind() {
    let states = ["lost for no reason"];
    prove("a spoiled condemning", states, Some(2), spoiled_condemning);
}

#[test]
fn a_reclaimer_that_stays_at_the_bytes_is_found() {
    let bug = Bug::CondemnKeepsJudging;
    find("a spoiled condemning", bug, Some(2), spoiled_condemning);
}

/// A stamp is forgotten by a visitor, while another shard leases its port, forgets stamps of the
/// block in its hand and lets go of it.
fn refresh_against_reheat([got, judged]: &[Reach; 2]) {
    let (world, leases) = rested(3, 1);
    let mut hands = world.address.hands(1);
    let visitor = actor(&world, move |world| {
        hands.visit(&world.address, TAKEN, true)
    });
    let mut hands = world.address.hands(2);
    let taker = actor(&world, move |world| {
        let had = hands.take_on(&world.address);
        hands.refresh();
        let lease = had.then(|| hands.pop().expect("the port that has rested"));
        lease.iter().for_each(|lease| world.hold(lease));
        (hands, Vec::from_iter(lease))
    });
    visitor.join().unwrap();
    let (mut hands, mut taken) = taker.join().unwrap();
    if taken.is_empty() {
        judged.hit()
    } else {
        got.hit()
    }
    taken.extend(leases);
    check(&world, taken, &mut hands);
}

#[test]
fn a_stamp_is_forgotten_or_taken() {
    let states = ["leased", "somebody was at the bytes"];
    let (name, model) = ("refresh against reheat", refresh_against_reheat);
    prove(name, states, Some(3), model);
}

#[test]
fn a_stamp_forgotten_under_an_owner_is_found() {
    let bug = Bug::RefreshWhileJudged;
    let (name, model) = ("refresh against reheat", refresh_against_reheat);
    find(name, bug, Some(3), model);
}

/// A condemned block is recycled and claimed, while a visitor, who came too late for the grace
/// period to wait for him, looks at it under a mark whose bucket has come round. Its new owner
/// forgets what has rested in it.
fn recycling_against_visit([claimed, reheated, seen]: &[Reach; 3]) {
    let (world, mut hands) = condemned(3);
    // A lap after the slice that the block is marked under.
    let marked = DUE - 1;
    world.address.bring(marked + 4);
    let mut other = world.address.hands(1);
    let recycler = actor(&world, move |world| {
        hands.seal();
        let leases = take(world, &mut other, 1);
        other.refresh();
        (other, leases)
    });
    let mut hands = world.address.hands(2);
    let visitor = actor(&world, move |world| {
        let early = world.address.generation() == 0;
        hands.visit(&world.address, marked, false);
        early && world.address.generation() == 1
    });
    let (mut hands, leases) = recycler.join().unwrap();
    if visitor.join().unwrap() {
        seen.hit();
    }
    match (leases.len(), world.address.generation()) {
        (0, _) => {}
        (_, 0) => reheated.hit(),
        _ => claimed.hit(),
    }
    check_found(&world);
    hands.surrender();
    check(&world, leases, &mut hands);
}

#[test]
fn a_block_claimed_anew_keeps_its_mark_whoever_visits_it() {
    let states = ["claimed anew", "reheated", "recycled during the visit"];
    let (name, model) = ("recycling against visit", recycling_against_visit);
    prove(name, states, Some(3), model);
}

#[test]
fn a_mark_of_a_new_owner_taken_away_is_found() {
    let bug = Bug::VisitTrustsItsMark;
    let (name, model) = ("recycling against visit", recycling_against_visit);
    find(name, bug, Some(3), model);
}

/// A block whose deferral ends is reheated, and kept in hand.
fn deferral_against_reheat([recycled, kept]: &[Reach; 2]) {
    let (world, mut hands) = condemned(2);
    // Until then nobody has to come.
    world.address.hands(1).visit(&world.address, DUE - 1, true);
    assert!(!world.address.is_marked());
    let recycler = actor(&world, move |_| hands.seal());
    let mut hands = world.address.hands(1);
    let taker = actor(&world, move |world| {
        let leases = take(world, &mut hands, 1);
        (hands, leases)
    });
    recycler.join().unwrap();
    let (mut hands, leases) = taker.join().unwrap();
    if world.address.generation() == 0 {
        kept.hit()
    } else {
        recycled.hit()
    }
    check_found(&world);
    hands.surrender();
    check(&world, leases, &mut hands);
}

#[test]
fn a_block_reheated_as_its_deferral_ends_stands_marked() {
    let states = ["recycled", "reheated before"];
    let (name, model) = ("deferral against reheat", deferral_against_reheat);
    prove(name, states, Some(4), model);
}

#[test]
fn a_deferral_that_forgets_the_reheated_is_found() {
    let bug = Bug::RecycleForgetsTheReheated;
    let (name, model) = ("deferral against reheat", deferral_against_reheat);
    find(name, bug, Some(4), model);
}

/// A token is given back twice, while the engine condemns the block, has it recycled after the grace
/// period and leases it anew: the second time must not free a new lease.
fn token_against_recycling([repeat, owner, anew, reheated]: &[Reach; 4]) {
    let (address, [first, second]) = Address::leased(TAKEN, 3);
    let raw = first.into_raw();
    address.release(second);
    let world = Site::new(address);
    let mut hands = world.address.hands(2);
    let again = actor(&world, move |world| hands.release_raw(&world.address, raw));
    let mut hands = world.address.hands(1);
    let shard = actor(&world, move |world| {
        let done = hands.release_raw(&world.address, raw);
        world.address.bring(DUE);
        let condemned = hands.condemn(&world.address);
        let mut leases = take(world, &mut hands, PORTS);
        if leases.is_empty() {
            // It became free between the look and the reheat.
            leases = take(world, &mut hands, PORTS);
        }
        (hands, done, condemned, leases)
    });
    let repeated = again.join().unwrap();
    let (_hands, done, condemned, leases) = shard.join().unwrap();
    assert!(repeated != done, "accepted exactly once: {repeated} {done}");
    match repeated {
        true => repeat.hit(),
        false => owner.hit(),
    }
    if condemned {
        assert_eq!(leases.len(), PORTS, "it was at rest");
        match world.address.generation() {
            0 => reheated.hit(),
            _ => anew.hit(),
        }
    }
    let free = PORTS - leases.len();
    assert_eq!(world.address.nobodys(), free, "a new lease was freed");
}

#[test]
fn a_stale_token_frees_no_lease_of_a_recycled_block() {
    let states = [
        "the repeat came first",
        "the owner came first",
        "leased anew",
        "reheated, for its grace period was not over",
    ];
    let (name, model) = ("token against recycling", token_against_recycling);
    prove(name, states, Some(3), model);
}

#[test]
fn a_block_recycled_under_a_token_is_found() {
    let bug = Bug::RecycleWithoutGrace;
    let (name, model) = ("token against recycling", token_against_recycling);
    find(name, bug, Some(3), model);
}
