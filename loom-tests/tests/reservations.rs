//! A port is reserved by its number while its block is leased from, drained or recycled; what an owner
//! gives back unissued is had by others.
#![cfg(loom)]

use loom_tests::{Bug, Reach, Site, actor, find, prove};
use natshard::model::{Address, Hands, Lease, PORTS, Shape};

const NOW: u64 = 4;
const RESTED: u64 = NOW + Address::REST;

/// Whatever else can be had, touched: with what is held that is all there is.
fn check(site: &Site, held: Vec<Lease>, mut hands: Hands) {
    let mut leases = held;
    while let Some(lease) = hands.allocate() {
        site.hold(&lease);
        leases.push(lease);
    }
    assert_eq!(leases.len(), PORTS, "lost or doubled");
}

/// A free block is wanted for a reservation by one shard and for any port by another.
fn against_allocation([one, other, both]: &[Reach; 3]) {
    let site = Site::new(Address::free(NOW, 3));
    let mut hands = site.address.hands(1);
    let reserver = actor(&site, move |site| {
        let lease = hands.reserve(0);
        lease.iter().for_each(|lease| site.hold(lease));
        lease
    });
    let mut hands = site.address.hands(2);
    let taker = actor(&site, move |site| {
        let lease = hands.allocate();
        lease.iter().for_each(|lease| site.hold(lease));
        lease
    });
    let (reserved, taken) = (reserver.join().unwrap(), taker.join().unwrap());
    match (&reserved, &taken) {
        (Some(_), None) => one.hit(),
        (None, Some(_)) => other.hit(),
        (Some(_), Some(_)) => both.hit(),
        (None, None) => panic!("it was free all along"),
    }
    let held = reserved.into_iter().chain(taken).collect();
    check(&site, held, site.address.hands(0));
}

#[test]
fn a_reservation_and_a_lease_share_a_block_or_one_of_them_has_it() {
    let states = ["reserved", "leased", "both"];
    let name = "reservation against allocation";
    prove(name, states, Some(2), against_allocation);
}

#[test]
fn a_block_reserved_without_winning_its_word_is_found() {
    let (name, bug) = (
        "reservation against allocation",
        Bug::BlockClaimChecksThenSets,
    );
    find(name, bug, Some(2), against_allocation);
}

/// A port is reserved while its address drains and comes back.
fn against_drain([reserved, refused]: &[Reach; 2]) {
    let address = Address::free(NOW, 2);
    address.bring(RESTED);
    address.hands(0).sweep();
    let site = Site::new(address);
    let control = actor(&site, |site| {
        site.address.swap(Shape::Elsewhere);
        site.address.hands(0).sweep();
    });
    let reserver = actor(&site, |site| {
        let mut hands = site.address.hands(1);
        let (seen, lease) = (hands.sees_address(), hands.reserve(0));
        assert_eq!(lease.is_some(), seen, "as the layout says it works by");
        lease.iter().for_each(|lease| site.hold(lease));
        lease
    });
    control.join().unwrap();
    let lease = reserver.join().unwrap();
    match &lease {
        Some(_) => reserved.hit(),
        None => refused.hit(),
    }
    site.address.swap(Shape::First);
    let hands = site.address.hands(0);
    check(&site, Vec::from_iter(lease), hands);
}

#[test]
fn a_reservation_at_an_address_that_drains_holds_or_is_refused() {
    let states = ["by the earlier layout", "by the later"];
    prove("reservation against drain", states, Some(2), against_drain);
}

#[test]
fn a_page_that_drains_over_a_reservation_is_found() {
    let (name, bug) = ("reservation against drain", Bug::ClosesOverAClaim);
    find(name, bug, Some(2), against_drain);
}

/// A port that has rested is reserved while its block is recycled.
fn against_recycling([before, after, vain]: &[Reach; 3]) {
    let (address, leases) = Address::leased(NOW, 3);
    for lease in leases {
        address.release(lease);
    }
    address.bring(RESTED);
    let site = Site::new(address);
    let generation = site.address.generation();
    let reclaimer = actor(&site, |site| {
        let mut hands = site.address.hands(1);
        hands.condemn(&site.address);
    });
    let mut hands = site.address.hands(2);
    let reserver = actor(&site, move |site| {
        let lease = hands.reserve(0);
        lease.iter().for_each(|lease| site.hold(lease));
        lease
    });
    reclaimer.join().unwrap();
    let lease = reserver.join().unwrap();
    match &lease {
        Some(_) if site.address.generation() == generation => before.hit(),
        Some(_) => after.hit(),
        None => vain.hit(),
    }
    check(&site, Vec::from_iter(lease), site.address.hands(0));
}

#[test]
fn a_reservation_meets_a_block_before_or_after_it_is_recycled() {
    let states = ["before", "after", "while it was judged"];
    let name = "reservation against recycling";
    prove(name, states, Some(3), against_recycling);
}

#[test]
fn a_block_recycled_over_a_reservation_is_found() {
    let (name, bug) = (
        "reservation against recycling",
        Bug::ReclaimerChecksThenActs,
    );
    find(name, bug, Some(3), against_recycling);
}

/// A shard leases one port of its block and goes idle, while another wants a port.
fn idle_against_allocation([had, early]: &[Reach; 2]) {
    let (address, mut owner) = Address::heated(NOW, 3, 1);
    let site = Site::new(address);
    let lease = owner.allocate().expect("of the block in hand");
    site.hold(&lease);
    let idler = actor(&site, move |_| drop(owner));
    let mut hands = site.address.hands(2);
    let taker = actor(&site, move |site| {
        let lease = hands.allocate();
        lease.iter().for_each(|lease| site.hold(lease));
        lease
    });
    idler.join().unwrap();
    let taken = taker.join().unwrap();
    match &taken {
        Some(_) => had.hit(),
        None => early.hit(),
    }
    let held = [Some(lease), taken].into_iter().flatten().collect();
    check(&site, held, site.address.hands(0));
}

#[test]
fn what_a_shard_that_leaves_had_in_hand_is_had_by_others() {
    let name = "leaving against allocation";
    prove(
        name,
        ["had", "came too early"],
        Some(3),
        idle_against_allocation,
    );
}

#[test]
fn a_shard_that_leaves_without_a_look_is_found() {
    let name = "leaving against allocation";
    find(
        name,
        Bug::SpentTakenForWhole,
        Some(3),
        idle_against_allocation,
    );
}
