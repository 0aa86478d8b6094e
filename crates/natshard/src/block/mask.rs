//! A set of ports of one block.

use super::{PORTS, WORDS};

/// A set of ports of one block, as a bit per port.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Mask(pub [u64; WORDS]);

impl Mask {
    /// No port.
    pub const EMPTY: Mask = Mask([0; WORDS]);

    /// Every port of a block.
    pub const FULL: Mask = Mask(
        [if PORTS < 64 {
            (1 << PORTS) - 1
        } else {
            u64::MAX
        }; WORDS],
    );

    /// Whether the set has the port.
    #[must_use]
    pub const fn contains(&self, port: usize) -> bool {
        self.0[port / 64] & (1 << (port % 64)) != 0
    }

    /// Adds a port.
    pub const fn insert(&mut self, port: usize) {
        self.0[port / 64] |= 1 << (port % 64);
    }

    /// Takes a port out.
    pub const fn remove(&mut self, port: usize) {
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
