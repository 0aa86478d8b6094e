//! A set of ports of one block.

use super::{PORTS, WORDS};

/// A set of ports of one block, as a bit per port.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Mask(pub [u64; WORDS]);

impl Mask {
    /// No port.
    pub const EMPTY: Mask = Mask([0; WORDS]);

    /// Every port of a block.
    pub const FULL: Mask =
        Mask([u64::MAX.unbounded_shr(64u32.saturating_sub(PORTS as u32)); WORDS]);

    /// Whether the set has the port.
    #[must_use]
    pub fn contains(&self, port: usize) -> bool {
        self.0[port / 64] & (1 << (port % 64)) != 0
    }

    /// Adds a port.
    pub fn insert(&mut self, port: usize) {
        self.0[port / 64] |= 1 << (port % 64);
    }

    /// Takes a port out.
    pub fn remove(&mut self, port: usize) {
        self.0[port / 64] &= !(1 << (port % 64));
    }

    /// What both have.
    #[must_use]
    pub fn and(&self, other: &Mask) -> Mask {
        Mask(std::array::from_fn(|word| self.0[word] & other.0[word]))
    }

    /// What this has and the other has not.
    #[must_use]
    pub fn without(&self, other: &Mask) -> Mask {
        Mask(std::array::from_fn(|word| self.0[word] & !other.0[word]))
    }

    /// What either has.
    #[must_use]
    pub fn or(&self, other: &Mask) -> Mask {
        Mask(std::array::from_fn(|word| self.0[word] | other.0[word]))
    }

    /// How many ports.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|&word| word == 0)
    }

    /// The port of this rank, counting from zero.
    #[must_use]
    pub fn nth(&self, mut rank: u32) -> Option<usize> {
        for (index, &word) in self.0.iter().enumerate() {
            let here = word.count_ones();
            if rank < here {
                let mut word = word;
                for _ in 0..rank {
                    word &= word - 1;
                }
                return Some(index * 64 + word.trailing_zeros() as usize);
            }
            rank -= here;
        }
        None
    }

    /// Writes the ports, ascending, to the front of `list`; says how many they are.
    pub(crate) fn list(&self, list: &mut [u8; PORTS]) -> usize {
        let mut len = 0;
        for (index, &word) in self.0.iter().enumerate() {
            let mut word = word;
            while word != 0 {
                list[len % PORTS] = (index * 64 + word.trailing_zeros() as usize) as u8;
                len += 1;
                word &= word - 1;
            }
        }
        len
    }

    /// The ports, ascending.
    pub fn iter(&self) -> impl Iterator<Item = usize> + use<> {
        let words = self.0;
        (0..WORDS).flat_map(move |index| {
            let mut word = words[index];
            std::iter::from_fn(move || {
                if word == 0 {
                    return None;
                }
                let bit = word.trailing_zeros() as usize;
                word &= word - 1;
                Some(index * 64 + bit)
            })
        })
    }
}

impl FromIterator<usize> for Mask {
    fn from_iter<T: IntoIterator<Item = usize>>(ports: T) -> Self {
        let mut mask = Mask::EMPTY;
        for port in ports {
            mask.insert(port);
        }
        mask
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Sets of ports, some thin, some thick, one empty and one full; and each as numbers.
    fn sets() -> Vec<(Mask, BTreeSet<usize>)> {
        let mut masks = vec![Mask::EMPTY, Mask([u64::MAX; WORDS])];
        let mut random = 3u64;
        for round in 0..300 {
            masks.push(Mask(std::array::from_fn(|_| {
                random = random
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                match round % 3 {
                    0 => random & (random >> 31) & (random << 17),
                    1 => random,
                    _ => random | (random >> 31) | (random << 17),
                }
            })));
        }
        let numbers = |mask: &Mask| {
            let bit = |port: usize| mask.0[port / 64] >> (port % 64) & 1 == 1;
            (0..PORTS).filter(|&port| bit(port)).collect()
        };
        masks.iter().map(|mask| (*mask, numbers(mask))).collect()
    }

    #[test]
    fn sets_of_ports_are_as_sets_of_numbers() {
        let mut before = (Mask::EMPTY, BTreeSet::new());
        for (mask, ports) in sets() {
            assert!(mask.iter().eq(ports.iter().copied()));
            assert!((0..PORTS).all(|port| mask.contains(port) == ports.contains(&port)));
            assert_eq!(mask.count() as usize, ports.len());
            assert_eq!(mask.is_empty(), ports.is_empty());
            for rank in 0..=PORTS {
                assert_eq!(mask.nth(rank as u32), ports.iter().nth(rank).copied());
            }
            let mut list = [0; PORTS];
            let len = mask.list(&mut list);
            assert!(
                list[..len]
                    .iter()
                    .map(|&port| usize::from(port))
                    .eq(ports.clone())
            );
            let numbers = |mask: Mask| mask.iter().collect::<BTreeSet<_>>();
            assert_eq!(numbers(mask.and(&before.0)), &ports & &before.1);
            assert_eq!(numbers(mask.or(&before.0)), &ports | &before.1);
            assert_eq!(numbers(mask.without(&before.0)), &ports - &before.1);
            before = (mask, ports);
        }
        assert_eq!(Mask::FULL, Mask([u64::MAX; WORDS]));
    }

    #[test]
    fn ports_come_and_go_one_by_one() {
        for (mask, ports) in sets() {
            let twice = ports.iter().chain(&ports).copied();
            assert_eq!(twice.clone().collect::<Mask>(), mask);
            let mut rest = Mask::FULL;
            for port in twice {
                rest.remove(port);
            }
            assert_eq!(rest, Mask::FULL.without(&mask));
        }
    }
}
