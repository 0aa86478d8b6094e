//! The wheel against a sorted map, and at the edges of its arithmetic.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn ms(millis: u64) -> Tick {
    Tick::from_millis(millis)
}

/// Deadlines, and the unit that each is armed with.
#[derive(Default)]
struct Book(BTreeMap<u32, (Tick, u32)>);

impl Armed for Book {
    fn deadline(&self, entry: u32, unit: u32) -> Option<Tick> {
        let (deadline, armed) = self.0.get(&entry)?;
        (*armed == unit).then_some(*deadline)
    }

    fn arm(&mut self, entry: u32, unit: u32) {
        self.0.get_mut(&entry).expect("it was asked for").1 = unit;
    }
}

impl Book {
    fn insert(&mut self, wheel: &mut Wheel, entry: u32, at: Tick) {
        self.0.insert(entry, (at, wheel.insert(entry, at)));
    }

    fn remove(&mut self, wheel: &mut Wheel, entry: u32) {
        let (_, armed) = self.0.remove(&entry).expect("it is there");
        wheel.remove(entry, armed);
    }

    fn move_to(&mut self, wheel: &mut Wheel, entry: u32, at: Tick) {
        let (deadline, armed) = self.0.get_mut(&entry).expect("it is there");
        if at < *deadline {
            *armed = wheel.hasten(entry, *armed, at);
        }
        *deadline = at;
    }
}

fn entered(wheel: &Wheel) -> usize {
    let mut count = 0;
    for mut head in wheel.heads.iter().flatten().copied() {
        while head != NIL {
            count += wheel.blocks.get(head).len as usize;
            head = wheel.blocks.get(head).next;
        }
    }
    count
}

fn drain(wheel: &mut Wheel, now: Tick, book: &mut Book) -> Vec<u32> {
    let mut fired = Vec::new();
    let mut budget = usize::MAX;
    while let Some(entry) = wheel.due(now, &mut budget, book) {
        book.remove(wheel, entry);
        fired.push(entry);
    }
    fired
}

#[test]
fn nothing_fires_early_and_nothing_more_than_a_grain_late() {
    let mut wheel = Wheel::with_capacity(0);
    let mut book = Book::default();
    let deadlines = [(0, ms(1000)), (1, ms(300_000)), (2, ms(7_440_000))];
    for (entry, at) in deadlines {
        book.insert(&mut wheel, entry, at);
    }
    for (entry, at) in deadlines {
        let before = ms(at.as_millis() - 1);
        assert_eq!(drain(&mut wheel, before, &mut book), []);
        let after = ms(at.as_millis() + (1 << GRAIN_BITS));
        assert_eq!(drain(&mut wheel, after, &mut book), [entry]);
    }
}

#[test]
fn f27_ticks_from_the_whole_u64_range_work() {
    let mut wheel = Wheel::with_capacity(0);
    let mut book = Book::default();
    let start = 1 << 62;
    assert_eq!(drain(&mut wheel, ms(start), &mut book), []);
    for (entry, at) in [(0, ms(start + 5000)), (1, ms(u64::MAX))] {
        book.insert(&mut wheel, entry, at);
    }
    assert_eq!(drain(&mut wheel, ms(start + 4999), &mut book), []);
    assert_eq!(drain(&mut wheel, ms(start + 6000), &mut book), [0]);
    assert_eq!(drain(&mut wheel, ms(u64::MAX - 64), &mut book), []);
    assert_eq!(book.0.len(), 1);
}

#[test]
fn f27_units_wrap_at_32_bits() {
    let wrap = 1_u64 << 32 << GRAIN_BITS;
    for lead in [1, 1000, 1 << 20, (1 << 31) - 1, 1 << 31, 1 << 33] {
        let mut wheel = Wheel::with_capacity(0);
        let mut book = Book::default();
        let start = wrap - 500;
        assert_eq!(drain(&mut wheel, ms(start), &mut book), []);
        let at = start + (lead << GRAIN_BITS);
        book.insert(&mut wheel, 9, ms(at));
        assert_eq!(drain(&mut wheel, ms(at - 1), &mut book), [], "{lead}");
        assert_eq!(drain(&mut wheel, ms(at + 64), &mut book), [9], "{lead}");
    }
}

#[test]
fn a_spent_budget_loses_nothing() {
    let mut wheel = Wheel::with_capacity(0);
    let mut book = Book::default();
    for entry in 0..1000 {
        book.insert(&mut wheel, entry, ms(5_000 + u64::from(entry) * 997));
    }
    let mut fired = 0;
    for _ in 0..100_000 {
        let mut budget = 3;
        while let Some(entry) = wheel.due(ms(10_000_000), &mut budget, &mut book) {
            book.remove(&mut wheel, entry);
            fired += 1;
        }
    }
    assert_eq!((fired, entered(&wheel)), (1000, 0));
}

/// A connection that is reset and goes on, again and again.
#[test]
fn deadlines_that_move_to_and_fro_leave_little_behind() {
    let mut wheel = Wheel::with_capacity(0);
    let mut book = Book::default();
    book.insert(&mut wheel, 0, ms(240_000));
    for now in (0..10_000_000).step_by(1000) {
        book.move_to(&mut wheel, 0, ms(now + 7_440_000));
        book.move_to(&mut wheel, 0, ms(now + 240_000));
        assert_eq!(drain(&mut wheel, ms(now), &mut book), []);
        assert!(entered(&wheel) <= 2 + 7440 / 240, "{}", entered(&wheel));
    }
}

proptest! {
    /// Against a sorted map: after every step exactly the entries more than a grain overdue
    /// are gone, and none that is not due.
    #[test]
    fn agrees_with_a_sorted_map(
        start in prop_oneof![Just(0u64), Just((1u64 << 38) - 1_000_000), 0u64..1 << 45],
        steps in prop::collection::vec(
            (0u32..40, 0u64..9_000_000, 0u64..400_000, 0u8..8), 1..200),
        small_budget in any::<bool>(),
    ) {
        let mut wheel = Wheel::with_capacity(0);
        let mut book = Book::default();
        let mut now = start;
        drain(&mut wheel, ms(now), &mut book);
        for (entry, timeout, step, remove) in steps {
            let at = ms(now + timeout);
            if !book.0.contains_key(&entry) {
                book.insert(&mut wheel, entry, at);
            } else if remove == 0 {
                // Before its time: something else may get its number.
                book.remove(&mut wheel, entry);
            } else {
                book.move_to(&mut wheel, entry, at);
            }
            now += step;
            let mut rounds = 0;
            loop {
                let mut budget = if small_budget { 1 } else { usize::MAX };
                let Some(entry) = wheel.due(ms(now), &mut budget, &mut book) else {
                    if budget == 0 && rounds < 1000 { rounds += 1; continue; }
                    break;
                };
                prop_assert!(book.0[&entry].0.as_millis() <= now);
                book.remove(&mut wheel, entry);
            }
            prop_assert!(book.0.values().all(|(at, _)| at.as_millis() + (1 << GRAIN_BITS) > now));
        }
    }
}
