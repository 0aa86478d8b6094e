//! Numbers and memory of active parts: neither is lost, and of memory not more is kept than is to be.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::reclaim::Reclaimer;

#[test]
fn a_stack_gives_back_what_was_pushed_the_last_first() {
    let stack = Stack::default();
    let links = RefCell::new(BTreeMap::new());
    let push = |number| {
        stack.push(number, |next| {
            links.borrow_mut().insert(number, next);
        });
    };
    let pop = || stack.pop(|number| links.borrow().get(&number).copied());
    let changes = || stack.0.get() >> 32;
    assert_eq!(pop(), None);
    for number in [7, 0, 3] {
        push(number);
    }
    assert_eq!(changes(), 3);
    assert_eq!([pop(), pop()], [Some(3), Some(0)]);
    push(9);
    assert_eq!([pop(), pop(), pop()], [Some(9), Some(7), None]);
    // Also of what went and came back a top is told apart.
    assert_eq!(changes(), 8);
    stack.0.set(u64::from(u32::MAX) << 32);
    push(5);
    assert_eq!((changes(), pop()), (0, Some(5)));
}

#[test]
fn a_part_that_was_never_lent_is_the_next_one() {
    let actives = Actives::default();
    let numbers: Vec<_> = (0..3).map(|_| actives.take().0).collect();
    assert_eq!((&numbers[..], actives.len()), (&[0, 1, 2][..], 3));
    let part = std::ptr::from_ref(actives.get(1).unwrap());
    actives.give(1);
    let (number, again) = actives.take();
    assert_eq!(
        (number, std::ptr::from_ref(again), actives.len()),
        (1, part, 3)
    );
    assert_eq!(actives.warm_len.get(), 0);
}

#[test]
fn a_part_says_whose_it_is_until_it_is_forsaken() {
    let actives = Actives::default();
    let (number, part) = actives.take();
    assert_eq!(actives.owner(number), None);
    part.owner.set(5);
    assert_eq!(actives.owner(number), Some(4));
    actives.forsake(number);
    assert_eq!(actives.owner(number), None);
    assert_eq!(actives.owner(number + 1), None);
}

/// Of parts that nobody has any more so many are kept warm; of the others the memory goes after a
/// grace period, and the numbers are kept.
#[test]
fn numbers_are_used_again_and_memory_beyond_some_is_freed() {
    let reclaimer = Reclaimer::default();
    let participant = reclaimer.join();
    let actives = Arc::new(Actives::default());
    let many = WARM as u32 + 300;
    let numbers: Vec<u32> = (0..many).map(|_| actives.take().0).collect();
    assert!(numbers.iter().copied().eq(0..many));
    let early = participant.pin();
    let held = actives.get(many - 1).unwrap();
    {
        let other = reclaimer.join();
        let pin = other.pin();
        for some in numbers.chunks(100) {
            actives.retire(some, &pin);
        }
    }
    // Whoever came before still sees what he had; whoever comes now does not find what goes.
    held.owner.set(1);
    let living = || {
        (0..many)
            .filter(|&number| actives.get(number).is_some())
            .count()
    };
    assert_eq!((living(), actives.warm_len.get()), (WARM as usize, WARM));
    assert_eq!(
        actives.take().0,
        many,
        "nothing is had before the grace period is over"
    );
    drop(early);
    for _ in 0..1_000 {
        participant.pin().flush();
    }
    let again: BTreeSet<u32> = (0..many).map(|_| actives.take().0).collect();
    assert!(again.into_iter().eq(0..many));
    assert_eq!((living(), actives.warm_len.get()), (many as usize, 0));
    assert_eq!(actives.len(), u64::from(many) + 1);
}
