use std::collections::BTreeSet;

use super::*;

#[test]
fn accounts_are_found_by_pool_and_subscriber_and_by_nothing_else() {
    let table = Table::new(1 << 20);
    assert_eq!(
        (table.find(0, 0), table.len(), table.size.get()),
        (None, 0, 1)
    );
    let many = 10_000;
    let mut numbers = BTreeSet::new();
    for subscriber in 0..many {
        let pool = (subscriber % 3) as u16;
        let number = table.find_or_insert(pool, subscriber).unwrap();
        assert!(numbers.insert(number));
        assert_eq!(table.find_or_insert(pool, subscriber), Some(number));
        let account = table.account(number).unwrap();
        assert_eq!(account.subscriber.get(), subscriber);
        assert_eq!((account.active.get() >> 32) as u16, pool);
    }
    assert!(numbers.into_iter().eq(0..many as u32));
    assert_eq!(table.len(), many);
    for subscriber in 0..many {
        let pool = (subscriber % 3) as u16;
        let number = table.find(pool, subscriber).unwrap();
        assert_eq!(table.account(number).unwrap().subscriber.get(), subscriber);
        assert_eq!(table.find(pool + 1, subscriber), None);
        assert_eq!(table.find(pool, subscriber + many), None);
    }
    // As many buckets as keep chains short, and no more.
    assert_eq!(table.size.get(), 2048);
    let used = table.dummies_used.get();
    assert!((1_024..=2048).contains(&used), "{used} of 2048 buckets");
}

/// From the dummy of its bucket an account is a few steps away, however many there are.
#[test]
fn chains_are_short() {
    let table = Table::new(1 << 20);
    for subscriber in 0..20_000 {
        table.find_or_insert(7, subscriber << 8).unwrap();
        assert!(table.size.get() * LOAD >= table.len());
    }
    let mut longest = 0;
    for bucket in 0..table.size.get() as u32 {
        let Some(mut chain) = table.bucket(bucket) else {
            panic!("bucket {bucket} has no dummy");
        };
        let mut steps = 0;
        loop {
            let next = Entry(chain.get() as u32);
            if next == Entry::END || next.0 & DUMMY != 0 {
                break;
            }
            steps += 1;
            chain = table.chain(next).unwrap();
        }
        longest = longest.max(steps);
    }
    // Five on the average, by the law of Poisson.
    assert!((6..=25).contains(&longest), "{longest}");
}

/// One list, in the order of reversed hashes: dummies before the accounts of their buckets.
#[test]
fn the_list_is_in_order() {
    let table = Table::new(1 << 20);
    for subscriber in 0..3_000 {
        table.find_or_insert(1, subscriber).unwrap();
    }
    let mut chain = table.bucket(0).unwrap();
    let (mut before, mut accounts, mut dummies) = (0, 0, 1);
    loop {
        let next = Entry(chain.get() as u32);
        if next == Entry::END {
            break;
        }
        chain = table.chain(next).unwrap();
        let order = (chain.get() >> 32) as u32;
        assert!(order >= before);
        before = order;
        let is_dummy = next.0 & DUMMY != 0;
        assert_eq!(is_dummy, order.is_multiple_of(2));
        if is_dummy {
            dummies += 1;
        } else {
            accounts += 1;
        }
    }
    assert_eq!((accounts, dummies), (3_000, table.dummies_used.get()));
}

#[test]
fn hashes_are_spread_and_leave_the_top_bit() {
    let table = Table::new(1);
    let hashes = (0..10_000).map(|subscriber| table.hash((subscriber % 2) as u16, subscriber));
    let hashes: BTreeSet<_> = hashes.collect();
    assert!(hashes.len() > 9_990, "{}", hashes.len());
    assert!(hashes.iter().all(|hash| hash & DUMMY == 0));
    let (even, high) = (
        hashes.iter().filter(|hash| **hash % 2 == 0).count(),
        hashes.iter().filter(|hash| **hash >> 30 == 1).count(),
    );
    assert!((4_700..5_300).contains(&even) && (4_700..5_300).contains(&high));
}

#[test]
fn there_is_room_for_so_many_and_that_is_told_once() {
    let table = Table::new(100);
    assert_eq!(table.most(), 100);
    assert!((0..100).all(|subscriber| table.find_or_insert(0, subscriber).is_some()));
    assert_eq!((table.find_or_insert(0, 100), table.len()), (None, 100));
    assert!((0..100).all(|subscriber| table.find_or_insert(0, subscriber).is_some()));
    assert!(table.tell_full_once());
    assert!(!table.tell_full_once());
    table.untell_full();
    assert!(table.tell_full_once());
}

#[test]
fn entries_keep_their_numbers_and_kinds_apart() {
    for number in [0, 1, 7, 0x3fff_ffff] {
        let (account, dummy) = (Entry::account(number), Entry::dummy(number));
        assert_eq!((account.number(), dummy.number()), (number, number));
        assert_eq!((account.0 & DUMMY, dummy.0 & DUMMY), (0, DUMMY));
        assert!(account != Entry::END && dummy != Entry::END);
        let both = link(0x8765_4321, dummy);
        assert_eq!(((both >> 32) as u32, both as u32), (0x8765_4321, dummy.0));
    }
}
