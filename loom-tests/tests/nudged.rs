//! A release that need not rest is leasable at once, and so tells: the owner of the block, or
//! whoever looks for one.
#![cfg(loom)]

use loom::sync::Arc;
use loom_tests::{Bug, Reach, Site, actor, find, prove};
use natshard::model::{Address, Hands, Lease, PORTS, spoiled};

const NOW: u64 = 4;

fn heated(shards: usize) -> (Arc<Site>, Hands) {
    let (address, hands) = Address::heated(NOW, shards, 0);
    (Site::new(address), hands)
}

/// Whatever is not held can be leased, at once.
fn check(site: &Site, held: Vec<Lease>, hands: &mut Hands) {
    assert!(site.address.is_marked(), "nobody would visit the block");
    let mut leases = held;
    while let Some(lease) = hands.allocate() {
        site.hold(&lease);
        leases.push(lease);
    }
    assert_eq!(leases.len(), PORTS, "{}", site.address.marks());
    assert_eq!(site.address.leased_ports(), PORTS as u64);
}

/// A port need not rest, while the owner of its block issues the last port and lets go.
fn nudge_against_letting_go([during, heard, late]: &[Reach; 3]) {
    let (world, mut hands) = heated(2);
    let first = hands.pop().expect("a fresh block");
    let releaser = actor(&world, |world| {
        world.hold(&first);
        world.address.release_unused(first);
    });
    let owner = actor(&world, move |world| {
        let last = hands.pop().expect("the other port");
        world.hold(&last);
        (hands, last, world.address.is_nudged())
    });
    releaser.join().unwrap();
    let (hands, last, behind) = owner.join().unwrap();
    match (world.address.is_nudged(), behind) {
        (true, true) => during.hit(),
        (true, false) => late.hit(),
        (false, _) => heard.hit(),
    }
    drop(hands);
    check(&world, vec![last], &mut world.address.hands(1));
}

#[test]
fn a_port_that_rests_not_is_found_when_its_block_is_let_go_of() {
    let states = [
        "told as he let go",
        "told in time, or not the owner's any more",
        "told too late",
    ];
    let (name, model) = ("nudge against letting go", nudge_against_letting_go);
    prove(name, states, Some(3), model);
}

#[test]
fn a_nudge_that_trusts_the_first_look_is_found() {
    let bug = Bug::NudgeTrustsTheFirstLook;
    let (name, model) = ("nudge against letting go", nudge_against_letting_go);
    find(name, bug, Some(3), model);
}

/// The same, with a block of which a port was not issued, and another shard that takes what it
/// finds meanwhile.
fn nudge_against_new_owner([took_none, took_one, took_both]: &[Reach; 3]) {
    let (world, mut hands) = heated(2);
    let first = hands.pop().expect("a fresh block");
    let releaser = actor(&world, |world| {
        world.hold(&first);
        world.address.release_unused(first);
    });
    let owner = actor(&world, move |_| hands.surrender());
    let mut hands = world.address.hands(1);
    let taker = actor(&world, move |world| {
        hands.take_on(&world.address);
        let leases: Vec<_> = std::iter::from_fn(|| hands.pop()).collect();
        for lease in &leases {
            world.hold(lease);
        }
        (hands, leases)
    });
    releaser.join().unwrap();
    owner.join().unwrap();
    let (mut hands, held) = taker.join().unwrap();
    match held.len() {
        0 => took_none.hit(),
        1 => took_one.hit(),
        _ => took_both.hit(),
    }
    check(&world, held, &mut hands);
}

#[test]
fn a_port_that_rests_not_is_found_whoever_owns_its_block() {
    let states = ["nothing to take yet", "one port taken", "both"];
    let (name, model) = ("nudge against new owner", nudge_against_new_owner);
    prove(name, states, Some(2), model);
}

#[test]
fn a_new_owner_who_lets_go_without_a_look_is_found() {
    let bug = Bug::SpentTakenForWhole;
    let (name, model) = ("nudge against new owner", nudge_against_new_owner);
    find(name, bug, Some(2), model);
}

/// The owner's letting go loses its compare-and-swap for no reason: it tries again.
fn spoiled_letting_go([spoilt]: &[Reach; 1]) {
    let (world, mut hands) = heated(2);
    let first = hands.pop().expect("a fresh block");
    let releaser = actor(&world, |world| {
        world.hold(&first);
        world.address.release_unused(first);
    });
    let owner = actor(&world, move |_| {
        let (last, failed) = spoiled(0, || hands.pop().expect("the other port"));
        (hands, last, failed)
    });
    releaser.join().unwrap();
    let (hands, last, failed) = owner.join().unwrap();
    if failed {
        spoilt.hit();
    }
    drop(hands);
    check(&world, vec![last], &mut world.address.hands(1));
}

#[test]
fn a_letting_go_that_fails_for_no_reason_is_tried_again() {
    let states = ["lost for no reason"];
    prove("a spoiled letting go", states, Some(2), spoiled_letting_go);
}

#[test]
fn a_letting_go_that_is_not_tried_again_is_found() {
    let bug = Bug::TransitionTriesOnce;
    find("a spoiled letting go", bug, Some(2), spoiled_letting_go);
}
