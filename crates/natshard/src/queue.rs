//! The block queue: a bounded FIFO of block names, lock-free in the literal sense.
//!
//! Each cell is one word `{lap, filled, value}`; `head` and `tail` count. Whoever finds a counter
//! lagging behind its cell helps it on, so a stalled producer or consumer stops nobody, and some
//! operation always completes. There is no allocation per push, and the memory is sequential.
//!
//! | cell at position `p` of lap `l` | means |
//! |---|---|
//! | `{l, empty}` | nothing was pushed at `p` yet |
//! | `{l, filled, v}` | `v` was pushed and not yet popped |
//! | `{l + 1, empty}` | it was popped; ready for the next lap |
//!
//! A lap is 31 bits: a thread would have to sleep for 2^31 laps to mistake one for another.
//! The queue is a hint; a full queue refuses, and the block is found through the occupancy words.

use crate::planted::{self, Bug};
use crate::sync::Word;
use crossbeam_utils::CachePadded;

const FILLED: u64 = 1 << 32;
const LAP_SHIFT: u32 = 33;

const fn lap_word(lap: u64) -> u64 {
    lap << LAP_SHIFT
}

/// A lock-free FIFO of 32-bit values.
#[derive(Debug)]
pub struct BlockQueue {
    head: CachePadded<Word>,
    tail: CachePadded<Word>,
    cells: Box<[Word]>,
}

impl BlockQueue {
    /// An empty queue for so many values, rounded up to a power of two.
    pub(crate) fn new(capacity: usize) -> Self {
        let capacity = capacity.max(1).next_power_of_two();
        BlockQueue {
            head: CachePadded::new(Word::new(0)),
            tail: CachePadded::new(Word::new(0)),
            cells: (0..capacity).map(|_| Word::new(0)).collect(),
        }
    }

    fn cell(&self, position: u64) -> (&Word, u64) {
        let capacity = self.cells.len() as u64;
        (
            &self.cells[(position & (capacity - 1)) as usize],
            lap_word(position / capacity),
        )
    }

    /// Appends a value; `false` when the queue is full.
    pub(crate) fn push(&self, value: u32) -> bool {
        loop {
            let tail = self.tail.get();
            let (cell, lap) = self.cell(tail);
            let found = cell.get();
            if found == lap {
                let filled = lap + FILLED + u64::from(value);
                if planted::on(Bug::QueuePushesWithoutClaiming) {
                    cell.set(filled);
                    let _ = self.tail.exchange(tail, tail.wrapping_add(1));
                    return true;
                }
                if cell.exchange(lap, filled).is_ok() {
                    // A failure means that somebody helped.
                    let _ = self.tail.exchange(tail, tail.wrapping_add(1));
                    return true;
                }
            } else if found >> LAP_SHIFT == lap >> LAP_SHIFT || found == lap + lap_word(1) {
                // Pushed (and perhaps popped) already: the counter lags.
                let _ = self.tail.exchange(tail, tail.wrapping_add(1));
            } else if self.tail.get() == tail {
                // The cell still holds the previous lap's value.
                return false;
            }
        }
    }

    /// The oldest value, if there is one and nobody else is quicker: for a hint to the processor.
    pub(crate) fn peek(&self) -> Option<u32> {
        let (cell, _) = self.cell(self.head.get());
        let found = cell.get();
        (found & FILLED != 0).then_some(found as u32)
    }

    /// Takes the oldest value.
    pub(crate) fn pop(&self) -> Option<u32> {
        loop {
            let head = self.head.get();
            let (cell, lap) = self.cell(head);
            let found = cell.get();
            if found >> LAP_SHIFT == lap >> LAP_SHIFT {
                if found & FILLED == 0 {
                    if self.head.get() == head {
                        return None;
                    }
                    continue;
                }
                let popped = lap + lap_word(1);
                if planted::on(Bug::QueueTakesWithoutClaiming) {
                    cell.set(popped);
                    let _ = self.head.exchange(head, head.wrapping_add(1));
                    return Some(found as u32);
                }
                if cell.exchange(found, popped).is_ok() {
                    let _ = self.head.exchange(head, head.wrapping_add(1));
                    return Some(found as u32);
                }
            } else {
                // Popped already, perhaps filled again: the counter lags.
                let _ = self.head.exchange(head, head.wrapping_add(1));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    #[test]
    fn is_first_in_first_out_over_many_laps() {
        let queue = BlockQueue::new(4);
        let mut model = VecDeque::new();
        let mut random = 1u64;
        for value in 0..10_000u32 {
            random = random
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            assert_eq!(queue.peek(), model.front().copied());
            if random >> 63 == 0 {
                let fits = model.len() < 4;
                assert_eq!(queue.push(value), fits);
                if fits {
                    model.push_back(value);
                }
            } else {
                assert_eq!(queue.pop(), model.pop_front());
            }
        }
    }

    /// Whoever was to move a counter on sleeps: the next one does it, and the sleeper's move then
    /// comes too late.
    #[test]
    fn a_counter_that_lags_is_helped_on() {
        for capacity in [1u64, 2, 4] {
            let queue = BlockQueue::new(capacity as usize);
            let lag = |counter: &Word| counter.set(counter.get() - 1);
            for position in 0..6 * capacity {
                let value = 1000 + position as u32;
                assert!(queue.push(value));
                lag(&queue.tail);
                if capacity > 1 {
                    assert!(queue.push(value + 1), "behind what was just pushed");
                } else {
                    assert!(!queue.push(value + 1), "full all the same");
                }
                assert_eq!(queue.pop(), Some(value));
                lag(&queue.head);
                if capacity > 1 {
                    assert_eq!(queue.pop(), Some(value + 1));
                    lag(&queue.head);
                }
                assert_eq!(queue.pop(), None);
                assert_eq!(queue.head.get(), queue.tail.get());
                lag(&queue.tail);
                assert!(queue.push(value), "behind what was just popped");
                lag(&queue.head);
                assert_eq!(
                    queue.pop(),
                    Some(value),
                    "in the next lap, or the next cell"
                );
            }
        }
    }

    #[test]
    fn threads_neither_lose_nor_repeat_a_value() {
        const EACH: u32 = 20_000;
        let queue = BlockQueue::new(64);
        let seen: Vec<Word> = (0..3 * EACH).map(|_| Word::new(0)).collect();
        std::thread::scope(|scope| {
            for producer in 0..3u32 {
                let queue = &queue;
                scope.spawn(move || {
                    for value in producer * EACH..(producer + 1) * EACH {
                        while !queue.push(value) {
                            std::thread::yield_now();
                        }
                    }
                });
            }
            for _ in 0..3 {
                scope.spawn(|| {
                    let mut got = 0;
                    let mut last = [None; 3];
                    while got < EACH {
                        let Some(value) = queue.pop() else {
                            std::thread::yield_now();
                            continue;
                        };
                        assert_eq!(seen[value as usize].add(1), 0, "{value} came twice");
                        let producer = (value / EACH) as usize;
                        assert!(last[producer] < Some(value), "out of order");
                        last[producer] = Some(value);
                        got += 1;
                    }
                });
            }
        });
        assert!(seen.iter().all(|count| count.get() == 1));
        assert_eq!(queue.pop(), None);
    }
}
