//! Runs: consecutive ports of a set. Pure functions; the longest takes some hundred instructions.

use super::{Mask, PORTS, WORDS};
use crate::request::Parity;

/// A run that is looked for: so many consecutive ports, the first perhaps even or odd.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Run {
    pub(crate) count: usize,
    pub(crate) parity: Option<Parity>,
}

impl Run {
    /// How many ports into a run of ports from `start` on its first one of the right parity is.
    fn lead(self, start: usize) -> usize {
        let wrong = |parity: Parity| usize::from(!parity.is_of(start));
        self.parity.map_or(0, wrong)
    }

    /// How far apart the starts are at which a maximal run is cut into runs of this length.
    fn step(self) -> usize {
        match self.parity {
            Some(_) => self.count.next_multiple_of(2),
            None => self.count,
        }
    }

    /// Into how many runs like this one a maximal run can be cut in which `room` of them begin,
    /// the first at `start`.
    fn slots(self, start: usize, room: usize) -> usize {
        room.saturating_sub(self.lead(start)).div_ceil(self.step())
    }
}

impl Mask {
    /// `count` ports from `start` on, as far as the block goes.
    pub(crate) fn range(start: usize, count: usize) -> Mask {
        let mut mask = Mask::EMPTY;
        let end = start.saturating_add(count).min(PORTS);
        for word in 0..WORDS {
            let (low, high) = (word * 64, word * 64 + 64);
            let (from, to) = (start.max(low), end.min(high));
            if from < to {
                mask.0[word] = (u64::MAX >> (64 - (to - from))) << (from - low);
            }
        }
        mask
    }

    /// The ports that are `by` above one of these, moved down to it.
    fn shifted_down(&self, by: usize) -> Mask {
        let (words, bits) = (by / 64, by % 64);
        let mut moved = self.0;
        if words > 0 {
            moved = std::array::from_fn(|index| self.0.get(index + words).copied().unwrap_or(0));
        }
        if bits > 0 {
            let above = |index: usize| {
                if index + 1 < WORDS {
                    moved[index + 1]
                } else {
                    0
                }
            };
            moved =
                std::array::from_fn(|index| (moved[index] >> bits) + (above(index) << (64 - bits)));
        }
        Mask(moved)
    }

    /// The ports at which `count` consecutive ones of this set begin.
    pub(crate) fn starts(&self, count: usize) -> Mask {
        let (mut starts, mut len) = (*self, 1);
        while len < count {
            let longer = count.min(2 * len);
            starts = starts.and(&starts.shifted_down(longer - len));
            len = longer;
        }
        starts
    }

    /// Those of the set that are even, or odd.
    pub(crate) fn of_parity(&self, parity: Parity) -> Mask {
        let wanted = match parity {
            Parity::Even => u64::MAX / 3,
            Parity::Odd => u64::MAX / 3 * 2,
        };
        Mask(self.0.map(|word| word & wanted))
    }

    /// Whether the set has such a run.
    pub(crate) fn has_run(&self, run: Run) -> bool {
        let starts = self.starts(run.count);
        !run.parity
            .map_or(starts, |parity| starts.of_parity(parity))
            .is_empty()
    }

    /// The length of the longest run that begins with this parity.
    pub(crate) fn longest_run(&self, parity: Option<Parity>) -> usize {
        // Where 1, 2, 4, ... consecutive ports begin.
        let mut doubled = [Mask::EMPTY; PORTS.ilog2() as usize + 1];
        doubled[0] = *self;
        for power in 1..doubled.len() {
            let half = doubled[power - 1];
            doubled[power] = half.and(&half.shifted_down(1 << (power - 1)));
        }
        // The bits of the length, the highest first.
        let (mut starts, mut len) = (parity.map_or(Mask::FULL, |p| Mask::FULL.of_parity(p)), 0);
        for power in (0..doubled.len()).rev() {
            let longer = starts.and(&doubled[power].shifted_down(len));
            if !longer.is_empty() {
                (starts, len) = (longer, len + (1 << power));
            }
        }
        len
    }

    /// The maximal runs, ascending: where each begins, and how long it is.
    pub(crate) fn runs(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (ports, gaps) = (*self, Mask::FULL.without(self));
        let mut from = 0;
        std::iter::from_fn(move || {
            let start = ports.next_port(from)?;
            from = gaps.next_port(start).unwrap_or(PORTS);
            Some((start, from - start))
        })
    }

    /// The first port of the set from `from` on.
    fn next_port(&self, from: usize) -> Option<usize> {
        let mut index = from / 64;
        let mut word = *self.0.get(index)? & (u64::MAX << (from % 64));
        while word == 0 {
            index += 1;
            word = *self.0.get(index)?;
        }
        Some(index * 64 + word.trailing_zeros() as usize)
    }

    /// One run of the set that is like `run`, or nothing.
    ///
    /// Each maximal run is cut into as many pieces of that length as it has room for; `draw`, a
    /// random number, says which of all the pieces it is. So what has room for *n* such runs
    /// serves *n*, whichever are drawn; with starts anywhere two runs could leave a gap between
    /// them that is too short for a third.
    pub(crate) fn pick_run(&self, run: Run, draw: u32) -> Mask {
        let starts = self.starts(run.count);
        let slots = |(start, room)| run.slots(start, room);
        let all: usize = starts.runs().map(slots).sum();
        // All of them are at most 256: the bias is below 2^-24.
        let mut chosen = ((u64::from(draw) * all as u64) >> 32) as usize;
        for (start, room) in starts.runs() {
            let here = run.slots(start, room);
            if chosen < here {
                let first = start + run.lead(start) + chosen * run.step();
                return Mask::range(first, run.count);
            }
            chosen -= here;
        }
        Mask::EMPTY
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PARITIES: [Option<Parity>; 3] = [None, Some(Parity::Even), Some(Parity::Odd)];

    /// Port by port, from the definition.
    fn naive_starts(mask: &Mask, run: Run) -> Vec<usize> {
        (0..PORTS)
            .filter(|&start| run.parity.is_none_or(|parity| parity.is_of(start)))
            .filter(|&start| start + run.count <= PORTS)
            .filter(|&start| (start..start + run.count).all(|port| mask.contains(port)))
            .collect()
    }

    /// How many disjoint runs fit: the leftmost first, which is optimal for equal lengths.
    fn naive_room(mask: &Mask, run: Run) -> usize {
        let (mut from, mut room) = (0, 0);
        for start in naive_starts(mask, run) {
            if start >= from {
                (from, room) = (start + run.count, room + 1);
            }
        }
        room
    }

    fn check(mask: &Mask, run: Run, draw: u32) {
        let starts = naive_starts(mask, run);
        assert_eq!(mask.has_run(run), !starts.is_empty(), "{mask:?} {run:?}");
        let any = Run {
            parity: None,
            ..run
        };
        let found: Vec<usize> = mask.starts(run.count).iter().collect();
        assert_eq!(found, naive_starts(mask, any), "{mask:?} {run:?}");
        let picked = mask.pick_run(run, draw);
        if starts.is_empty() {
            assert!(picked.is_empty(), "{mask:?} {run:?}");
        } else {
            assert_eq!(picked.count() as usize, run.count);
            let first = picked.iter().next().unwrap();
            assert!(starts.contains(&first), "{mask:?} {run:?}: {first}");
            assert_eq!(picked, (first..first + run.count).collect());
            // No draw spoils the room for others.
            let room = naive_room(mask, run);
            assert_eq!(naive_room(&mask.without(&picked), run), room - 1);
        }
        let length = |start| {
            (start..PORTS)
                .take_while(|&port| mask.contains(port))
                .count()
        };
        let one = Run { count: 1, ..run };
        let longest = naive_starts(mask, one).into_iter().map(length).max();
        assert_eq!(mask.longest_run(run.parity), longest.unwrap_or(0));
    }

    /// Every set of 10 neighbouring ports, at the block's begin, across two words and at the
    /// block's end; every length and parity.
    #[test]
    fn every_small_set_is_searched_as_the_definition_says() {
        for offset in [0, 59, 246] {
            for bits in 0..1u32 << 10 {
                let small = (0..10).filter(|bit| bits & 1 << bit != 0);
                let mask: Mask = small.map(|port| port + offset).collect();
                for parity in PARITIES {
                    for count in 1..=11 {
                        check(&mask, Run { count, parity }, bits << 22 | 0x3f_ffff);
                    }
                }
            }
        }
    }

    #[test]
    fn full_and_empty_blocks_at_every_length() {
        for parity in PARITIES {
            for count in 1..=PORTS {
                let run = Run { count, parity };
                for draw in [0, 1 << 31, u32::MAX] {
                    check(&Mask::FULL, run, draw);
                    check(&Mask::EMPTY, run, draw);
                }
            }
        }
        assert!(Mask::FULL.starts(PORTS + 1).is_empty());
        assert!(!Mask::FULL.has_run(Run {
            count: 1 << 20,
            parity: None
        }));
    }

    #[test]
    fn ranges_end_with_the_block() {
        for (start, count) in [
            (0, 0),
            (0, 256),
            (255, 1),
            (255, 9),
            (63, 2),
            (64, 64),
            (300, 1),
        ] {
            let expected: Mask = (start..(start + count).min(PORTS)).collect();
            assert_eq!(Mask::range(start, count), expected, "{start} {count}");
        }
    }

    /// Of a full block each of the 128 pairs is drawn about as often: 7 bits.
    #[test]
    fn every_place_of_a_run_is_drawn_as_often() {
        let run = Run {
            count: 2,
            parity: Some(Parity::Even),
        };
        let mut drawn = [0u32; PORTS];
        let draws = 128 * 1000u32;
        for draw in 0..draws {
            let draw = (u64::from(draw) * (1 << 32) / u64::from(draws)) as u32;
            let first = Mask::FULL.pick_run(run, draw).iter().next().unwrap();
            drawn[first] += 1;
        }
        for (port, &count) in drawn.iter().enumerate() {
            let expected = if port % 2 == 0 { 1000 } else { 0 };
            assert!(count.abs_diff(expected) <= 1, "{port}: {count}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_sets_are_searched_as_the_definition_says(
            words in any::<[u64; WORDS]>(),
            others in any::<[u64; WORDS]>(),
            denser in any::<bool>(),
            count in prop_oneof![1usize..12, 1usize..=PORTS],
            parity in prop::sample::select(PARITIES.to_vec()),
            draw in any::<u32>(),
        ) {
            let (first, second) = (Mask(words), Mask(others));
            let mask = if denser { first.or(&second) } else { first.and(&second) };
            check(&mask, Run { count, parity }, draw);
        }
    }
}
