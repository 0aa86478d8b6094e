//! The block queue: nothing lost, nothing doubled, first in first out, around its end.
#![cfg(loom)]

use loom::sync::Arc;
use loom_tests::{Bug, Reach, find, prove, thread};
use natshard::model::Queue;

/// An empty queue of two cells, each of which has been filled and emptied once.
fn wrapped_once() -> Arc<Queue> {
    let queue = Queue::new(2);
    for value in [8, 9] {
        assert!(queue.push(value));
        assert_eq!(queue.pop(), Some(value));
    }
    Arc::new(queue)
}

/// Two consumers and a producer at a full queue of two cells that has wrapped once.
fn two_consumers([both, one_each, full]: &[Reach; 3]) {
    let queue = wrapped_once();
    assert!(queue.push(1));
    assert!(queue.push(2));
    let producer = {
        let queue = Arc::clone(&queue);
        thread::spawn(move || queue.push(3))
    };
    let consume = |pops: usize| {
        let queue = Arc::clone(&queue);
        thread::spawn(move || (0..pops).filter_map(|_| queue.pop()).collect::<Vec<_>>())
    };
    let (first, second) = (consume(2), consume(1));
    let pushed = producer.join().unwrap();
    let (first, second) = (first.join().unwrap(), second.join().unwrap());
    let mut all: Vec<u32> = first.iter().chain(&second).copied().collect();
    assert!(
        first.is_sorted() && second.is_sorted(),
        "out of order: {first:?} {second:?}"
    );
    while let Some(value) = queue.pop() {
        all.push(value);
    }
    all.sort_unstable();
    let expected: &[u32] = if pushed { &[1, 2, 3] } else { &[1, 2] };
    assert_eq!(all, expected);
    if !pushed {
        full.hit();
    }
    if first.len() == 2 && second.len() == 1 {
        both.hit();
    }
    if first.contains(&1) && second.contains(&2) {
        one_each.hit();
    }
}

#[test]
fn a_queue_neither_loses_nor_doubles() {
    let states = ["all taken at once", "one each", "found full"];
    prove("queue, two consumers", states, Some(4), two_consumers);
}

#[test]
fn a_consumer_that_does_not_claim_its_cell_is_found() {
    find(
        "queue, two consumers",
        Bug::QueueTakesWithoutClaiming,
        Some(4),
        two_consumers,
    );
}

/// Two producers race for the last cell of a queue that is empty when they begin; a consumer meets
/// it so, or makes room.
fn two_producers([full, empty, wrapped]: &[Reach; 3]) {
    let queue = wrapped_once();
    let produce = |values: &'static [u32]| {
        let queue = Arc::clone(&queue);
        let push = move |value: &u32| queue.push(*value).then_some(*value);
        thread::spawn(move || values.iter().filter_map(push).collect::<Vec<_>>())
    };
    let (low, high) = (produce(&[1, 2]), produce(&[3]));
    let consumer = {
        let queue = Arc::clone(&queue);
        thread::spawn(move || queue.pop())
    };
    let mut pushed = low.join().unwrap();
    pushed.extend(high.join().unwrap());
    let popped = consumer.join().unwrap();
    let rest = std::iter::from_fn(|| queue.pop());
    let mut all: Vec<u32> = popped.into_iter().chain(rest).collect();
    let low: Vec<u32> = all.iter().copied().filter(|&value| value < 3).collect();
    assert!(low.is_sorted(), "out of order: {all:?}");
    all.sort_unstable();
    assert_eq!(all, pushed, "lost or doubled");
    assert!(pushed.len() >= 2, "there is room for two");
    match pushed.len() {
        2 => full.hit(),
        _ => wrapped.hit(),
    }
    if popped.is_none() {
        empty.hit();
    }
}

#[test]
fn producers_race_for_the_last_cell() {
    prove(
        "queue, two producers",
        ["full", "met empty", "room was made"],
        Some(3),
        two_producers,
    );
}

#[test]
fn a_producer_that_does_not_win_its_cell_is_found() {
    let bug = Bug::QueuePushesWithoutClaiming;
    find("queue, two producers", bug, Some(3), two_producers);
}
