//! A configuration is put in force while a shard leases by the one before it, or by the new one.
#![cfg(loom)]

use loom::sync::Arc;
use loom_tests::{Bug, Reach, Site, actor, find, prove};
use natshard::model::{Address, Lease, PORTS, Shape};

const NOW: u64 = 4;

/// A free block, two shards.
fn site() -> Arc<Site> {
    Site::new(Address::free(NOW, 2))
}

/// The same a rest later, when nobody has to come by any more, and the page may go with its address.
fn rested() -> Arc<Site> {
    let address = Address::free(NOW, 2);
    address.bring(NOW + Address::REST);
    address.hands(0).sweep();
    Site::new(address)
}

/// Everything that these hands can have of the address, touched.
fn rest_of(site: &Site, allocate: impl FnMut() -> Option<Lease>) -> Vec<Lease> {
    let had: Vec<Lease> = std::iter::from_fn(allocate).collect();
    had.iter().for_each(|lease| site.hold(lease));
    had
}

/// A further pool takes part in an address while a shard leases a port of it and gives the rest of
/// the block back: it is not refused meanwhile, and what it gave back is found by the new pool.
fn further_pool([before, after]: &[Reach; 2]) {
    let site = rested();
    let control = actor(&site, |site| site.address.swap(Shape::Shared));
    let worker = actor(&site, |site| {
        let mut hands = site.address.hands(1);
        let lease = hands.allocate().expect("nobody else wants it");
        site.hold(&lease);
        (hands.sees_other(), lease)
    });
    control.join().unwrap();
    let (later, lease) = worker.join().unwrap();
    if later {
        after.hit()
    } else {
        before.hit()
    }
    let mut hands = site.address.hands(0);
    let others = rest_of(&site, || hands.allocate_other());
    assert_eq!(others.len(), PORTS - 1, "lost in a swap");
    drop(lease);
}

#[test]
fn nothing_is_refused_or_lost_while_a_further_pool_takes_part() {
    let (name, states) = (
        "swap, a further pool",
        ["by the earlier layout", "by the later"],
    );
    prove(name, states, Some(1), further_pool);
}

#[test]
fn a_region_told_before_its_address_is_a_member_is_found() {
    let bug = Bug::SeatsBeforeItEnlists;
    find("swap, a further pool", bug, Some(1), further_pool);
}

/// Two pools lease of one address, one of them since a moment ago.
fn two_pools([newer, older, later]: &[Reach; 3]) {
    let site = site();
    let newcomer = actor(&site, |site| {
        site.address.swap(Shape::Shared);
        let mut hands = site.address.hands(0);
        let lease = hands.allocate_other();
        lease.iter().for_each(|lease| site.hold(lease));
        (hands, lease)
    });
    let worker = actor(&site, |site| {
        let mut hands = site.address.hands(1);
        let lease = hands.allocate();
        lease.iter().for_each(|lease| site.hold(lease));
        (hands, lease)
    });
    let (hands, newcomers) = newcomer.join().unwrap();
    let (others, workers) = worker.join().unwrap();
    if others.sees_other() {
        later.hit();
    }
    let newest = newcomers.is_some();
    let mut leases: Vec<Lease> = newcomers.into_iter().chain(workers).collect();
    // Whoever had the block has both of its ports in hand.
    assert_eq!(leases.len(), 1, "one block in two hands");
    if newest {
        newer.hit()
    } else {
        older.hit()
    }
    drop((hands, others));
    let mut hands = site.address.hands(0);
    leases.extend(rest_of(&site, || hands.allocate_other()));
    assert_eq!(leases.len(), PORTS, "lost or doubled in a swap");
}

#[test]
fn two_pools_of_one_address_double_and_lose_nothing() {
    let states = [
        "the new pool had it",
        "the other had it",
        "by the later layout",
    ];
    prove("swap, two pools", states, Some(2), two_pools);
}

#[test]
fn a_block_claimed_without_winning_its_word_is_found_by_two_pools() {
    let bug = Bug::BlockClaimChecksThenSets;
    find("swap, two pools", bug, Some(2), two_pools);
}

/// An address is no pool's any more, and its page goes if it can, while a shard leases of it; and it
/// comes back.
fn drained([before, after, closed]: &[Reach; 3]) {
    let site = rested();
    let control = actor(&site, |site| {
        site.address.swap(Shape::Elsewhere);
        site.address.hands(0).sweep();
        !site.address.is_open()
    });
    let worker = actor(&site, |site| {
        let mut hands = site.address.hands(1);
        let lease = hands.allocate().expect("nobody else wants it");
        (hands.sees_address(), lease)
    });
    if control.join().unwrap() {
        closed.hit();
    }
    let (earlier, lease) = worker.join().unwrap();
    assert_eq!(site.address.has(&lease), earlier);
    if earlier {
        before.hit()
    } else {
        after.hit()
    }
    let mut hands = site.address.hands(0);
    let elsewhere = hands.allocate().expect("another address");
    assert!(!site.address.has(&elsewhere), "leased while it drains");
    drop(hands);
    site.address.swap(Shape::First);
    let mut hands = site.address.hands(0);
    let back = rest_of(&site, || hands.allocate());
    assert_eq!(
        back.len(),
        PORTS - usize::from(earlier),
        "lost or doubled while it drained"
    );
    drop((lease, elsewhere));
}

#[test]
fn an_address_that_drains_is_not_leased_and_comes_back_whole() {
    let states = ["by the earlier layout", "by the later", "its page went"];
    prove("swap, drained and back", states, Some(2), drained);
}

#[test]
fn a_page_that_drains_over_a_claim_is_found() {
    let bug = Bug::ClosesOverAClaim;
    find("swap, drained and back", bug, Some(2), drained);
}
