//! A page is taken down while its block is reserved, given back or claimed; it is left to its leases;
//! its block stands in the queue once.
#![cfg(loom)]

use loom::sync::Arc;
use loom_tests::{Bug, Reach, Site, actor, find, find_endless, prove};
use natshard::model::{Abandoned, Address, Hands, Lease, PORTS};

const NOW: u64 = 4;

/// Leases are of the page that is open, what is not leased can be, and the page knows how many
/// of its blocks are free.
fn check(site: &Site, mut leases: Vec<Lease>, mut hands: Hands) {
    while let Some(lease) = hands.allocate() {
        site.hold(&lease);
        leases.push(lease);
    }
    assert_eq!(leases.len(), PORTS, "lost with a page");
    for lease in &leases {
        assert!(site.address.keeps(lease), "of a page that is gone");
    }
    assert!(site.address.counts_free(Address::BLOCKS - 1), "miscounted");
}

/// A port is reserved by its number while the page of its address is taken down.
fn reservation_against_closing([kept, anew, met]: &[Reach; 3]) {
    let world = Site::new(Address::free(NOW, 2));
    let closer = actor(&world, |world| world.address.close());
    let mut hands = world.address.hands(1);
    let reserver = actor(&world, move |world| {
        let before = world.address.is_gone();
        let lease = hands.reserve(0);
        lease.iter().for_each(|lease| world.hold(lease));
        (hands, lease, before)
    });
    let closed = closer.join().unwrap();
    let (hands, lease, before) = reserver.join().unwrap();
    let lease = lease.expect("nobody else wants it");
    match closed {
        true => anew.hit(),
        false => kept.hit(),
    }
    if before {
        met.hit();
    }
    check(&world, vec![lease], hands);
}

#[test]
fn a_reservation_has_its_port_whether_or_not_its_page_goes() {
    let states = ["kept", "opened anew", "met a page that was gone"];
    let (name, model) = ("reservation against closing", reservation_against_closing);
    prove(name, states, Some(3), model);
}

#[test]
fn a_reservation_that_goes_round_at_a_page_that_is_gone_is_found() {
    let (name, model) = ("reservation against closing", reservation_against_closing);
    find_endless(name, Bug::GoneTakenForLost, Some(3), model);
}

/// An owner gives a block back of which nothing was issued, while another shard looks for one and a
/// third takes the page down.
fn untouched_against_closing([closed, claimed, nothing]: &[Reach; 3]) {
    let (address, mut hands) = Address::heated(NOW, 3, 0);
    let world = Site::new(address);
    let owner = actor(&world, move |_| hands.surrender());
    let mut hands = world.address.hands(1);
    let claimer = actor(&world, move |world| {
        let lease = hands.reserve(0);
        lease.iter().for_each(|lease| world.hold(lease));
        (hands, lease)
    });
    let closer = actor(&world, |world| world.address.close());
    owner.join().unwrap();
    let (hands, lease) = claimer.join().unwrap();
    if closer.join().unwrap() {
        closed.hit();
    }
    match &lease {
        Some(_) => claimed.hit(),
        None => nothing.hit(),
    }
    check(&world, Vec::from_iter(lease), hands);
}

#[test]
fn a_block_given_back_untouched_is_had_or_goes_with_its_page() {
    let states = ["the page went", "claimed", "came too early"];
    let (name, model) = ("untouched block against closing", untouched_against_closing);
    prove(name, states, Some(2), model);
}

#[test]
fn a_page_that_goes_with_a_block_claimed_is_found() {
    let (name, model) = ("untouched block against closing", untouched_against_closing);
    find(name, Bug::ClosesOverAClaim, Some(2), model);
}

/// The two last leases of a page that its engine has left to them are dropped at once.
fn two_last_leases([first, second]: &[Reach; 2]) {
    let (address, leases) = Address::leased(NOW, 1);
    let left = Arc::new(address.abandon());
    assert!(!left.is_all_gone(), "freed under its leases");
    let droppers = leases.map(|lease| actor(&left, |left| left.end(lease)));
    let told = droppers.map(|dropper| dropper.join().unwrap());
    match &told {
        [Some(_), None] => first.hit(),
        [None, Some(_)] => second.hit(),
        [Some(_), Some(_)] => panic!("both are to free the page"),
        [None, None] => panic!("nobody is to free the page"),
    }
    for page in told.into_iter().flatten() {
        left.free(page);
    }
    assert!(left.is_all_gone());
}

#[test]
fn of_two_last_leases_one_frees_the_page() {
    let states = ["the first frees it", "the second frees it"];
    prove("two last leases", states, Some(4), two_last_leases);
}

#[test]
fn a_page_freed_by_both_of_its_last_leases_is_found() {
    find(
        "two last leases",
        Bug::LastLeaseUnwon,
        Some(4),
        two_last_leases,
    );
}

/// The engine ends while the last lease of its page is dropped.
fn last_lease_against_the_end([before, after]: &[Reach; 2]) {
    let (address, [lease, other]) = Address::leased(NOW, 1);
    drop(other);
    let left = Arc::new(Abandoned::of(&address));
    let ending = actor(&left, move |_| drop(address));
    let dropper = actor(&left, move |left| {
        let ended = left.is_orphaned();
        drop(lease);
        ended
    });
    ending.join().unwrap();
    match dropper.join().unwrap() {
        true => after.hit(),
        false => before.hit(),
    }
    assert!(left.is_all_gone(), "nobody frees the page");
}

#[test]
fn a_page_is_freed_by_the_end_of_its_engine_or_by_its_last_lease() {
    let states = ["the lease came first", "the engine came first"];
    let (name, model) = ("last lease against the end", last_lease_against_the_end);
    prove(name, states, Some(3), model);
}

#[test]
fn a_page_left_after_the_look_is_found() {
    let (name, model) = ("last lease against the end", last_lease_against_the_end);
    find(name, Bug::AbandonsAfterTheLook, Some(3), model);
}

/// A shard takes the block from the queue and gives it back untouched, while another one finds it by
/// its name and does likewise.
fn queued_once([by_name, by_queue, both]: &[Reach; 3]) {
    let world = Site::new(Address::free(NOW, 3));
    let mut hands = world.address.hands(1);
    let first = actor(&world, move |world| {
        let had = hands.take_queued(&world.address);
        hands.surrender();
        (hands, had)
    });
    let mut hands = world.address.hands(2);
    let second = actor(&world, move |world| {
        let had = hands.take_on(&world.address);
        hands.surrender();
        (hands, had)
    });
    let (_first, queue) = first.join().unwrap();
    let (_second, name) = second.join().unwrap();
    match (name, queue) {
        (true, false) => by_name.hit(),
        (false, true) => by_queue.hit(),
        (true, true) => both.hit(),
        (false, false) => panic!("it was free all along"),
    }
    assert!(world.address.is_free());
    assert!(world.address.is_queued(), "free, and in no queue");
    assert_eq!(world.address.count_queued(), 1, "in the queue");
}

#[test]
fn a_free_block_stands_in_the_queue_once() {
    let states = ["by name", "from the queue", "one after the other"];
    prove("queued once", states, Some(3), queued_once);
}

#[test]
fn a_block_queued_twice_is_found() {
    find(
        "queued once",
        Bug::EnqueueChecksThenSets,
        Some(3),
        queued_once,
    );
}

#[test]
fn a_block_lost_to_the_queue_is_found() {
    find(
        "queued once",
        Bug::UnqueuesAfterTheAttempt,
        Some(3),
        queued_once,
    );
}
