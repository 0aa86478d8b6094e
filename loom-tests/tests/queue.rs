//! The block queue: nothing lost, nothing doubled, first in first out, around its end.
#![cfg(loom)]

use loom::sync::Arc;
use loom_tests::{Bug, Reach, find, prove, thread};
use natshard::model::Queue;

/// Two consumers and a producer at a queue of two cells that has wrapped once.
fn two_consumers([both, one_each, full]: &[Reach; 3]) {
    let queue = Arc::new(Queue::new(2));
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

/// Two producers race for the last cell; a consumer makes room.
fn two_producers([full, empty, wrapped]: &[Reach; 3]) {
    let queue = Arc::new(Queue::new(2));
    assert!(queue.push(1));
    let produce = |value: u32| {
        let queue = Arc::clone(&queue);
        thread::spawn(move || queue.push(value))
    };
    let (two, three) = (produce(2), produce(3));
    let consumer = {
        let queue = Arc::clone(&queue);
        thread::spawn(move || queue.pop())
    };
    let pushed = [two.join().unwrap(), three.join().unwrap()];
    let popped = consumer.join().unwrap();
    assert_eq!(popped, Some(1), "the oldest was there all along");
    let rest: Vec<u32> = std::iter::from_fn(|| queue.pop()).collect();
    let count = pushed.iter().filter(|&&done| done).count();
    assert_eq!(rest.len(), count);
    assert!(count >= 1, "one of two finds room");
    if count == 1 {
        full.hit();
    } else {
        wrapped.hit();
    }
    if queue.pop().is_none() {
        empty.hit();
    }
}

#[test]
fn producers_race_for_the_last_cell() {
    prove(
        "queue, two producers",
        ["full", "empty", "wrapped"],
        Some(4),
        two_producers,
    );
}
