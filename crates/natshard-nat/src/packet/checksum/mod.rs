//! Internet checksums: incremental update and, apart from it, verification from scratch.
//!
//! # Why the update is exactly invertible
//!
//! Checksum arithmetic is arithmetic modulo 65535, and a 16-bit field has two ways to write zero:
//! `0x0000` and `0xffff`. A plain RFC 1624 update sends both of them to the same value, so undoing
//! it cannot restore both. But a correct sender only ever writes one of the two:
//!
//! * The sum of bytes that are not all zero is never `0x0000`, so its complement is never `0xffff`
//!   (RFC 1624 section 3). An IPv4 header, and a pseudo-header, are never all zero, nor is an ICMP
//!   message, with one exception: an echo reply whose identifier, sequence number and data are all
//!   zero. Its checksum is `0xffff`.
//! * UDP writes `0xffff` for zero, because `0x0000` says that there is no checksum (RFC 768).
//!
//! So each field has one *proper* zero (`Zero`) and 65535 proper values, on which an update is a
//! permutation: a rotation by the difference. The 65536th value, the *improper* zero, always stays
//! the improper zero. In all, the update is a permutation of the 65536 values of the field; right
//! stays right, wrong stays wrong, and undoing a translation restores every value.
//!
//! What this costs: a sender that writes the improper zero (`0xffff` in IPv4, TCP, ICMP) breaks RFC
//! 1624, but a receiver that merely sums up would accept it. Such a packet counts as one with a
//! wrong checksum here, and that is what it leaves as. One cannot have both: if the improper zero
//! were translated to the value a receiver accepts, the way back could not tell the two zeros apart.

mod verify;

pub use verify::{ChecksumState, Verdict, verify};

/// Which way of writing zero a checksum field uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Zero {
    /// `0x0000`: everything but the following.
    Plus,
    /// `0xffff`: UDP, and an ICMP message that is all zero.
    Minus,
}

impl Zero {
    const fn proper(self) -> u16 {
        match self {
            Self::Plus => 0x0000,
            Self::Minus => 0xffff,
        }
    }

    const fn improper(self) -> u16 {
        !self.proper()
    }
}

/// The difference that replaced words make to a checksum, modulo 65535.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Delta(u32);

impl Delta {
    /// A difference that was noted before.
    pub const fn new(difference: u16) -> Self {
        Delta(difference as u32)
    }

    /// A sum of differences, each of which is `old + !new` or was noted before; a few at most.
    #[inline]
    pub const fn of_sum(sum: u32) -> Self {
        Delta(sum)
    }

    /// The difference, to be noted.
    pub const fn value(self) -> u16 {
        fold(self.0) as u16
    }

    /// The difference that the opposite replacement makes.
    pub const fn reversed(self) -> Self {
        Delta(0xffff - fold(self.0))
    }

    /// Takes note that `old` becomes `new`.
    pub const fn replace(&mut self, old: u16, new: u16) {
        // RFC 1624 equation 3 (m for old, m' for new): HC' = ~(~HC + ~m + m'). As the checksum is
        // minus the sum, that is HC + m - m', and -m' is ~m' modulo 65535.
        self.0 = fold(self.0 + old as u32 + (!new) as u32);
    }

    /// Takes note of all that `other` noted.
    pub const fn add(&mut self, other: Self) {
        self.0 = fold(self.0 + other.0);
    }

    /// The checksum after the words were replaced. The proper zero may differ before and after,
    /// if the words decide whether a message is all zero.
    pub const fn update(self, checksum: u16, before: Zero, after: Zero) -> u16 {
        let sum = fold(self.0 + checksum as u32) as u16;
        // Zero in either way of writing it.
        let is_zero = sum == 0 || sum == 0xffff;
        let updated = if is_zero { after.proper() } else { sum };
        if checksum == before.improper() {
            after.improper()
        } else {
            updated
        }
    }
}

/// Reduces modulo 65535, to at most 0xffff, which is zero again.
const fn fold(sum: u32) -> u32 {
    let sum = (sum & 0xffff) + (sum >> 16);
    (sum & 0xffff) + (sum >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EDGES: [u16; 12] = [
        0x0000, 0x0001, 0x0002, 0x00ff, 0x0100, 0x7fff, 0x8000, 0x8001, 0xff00, 0xfffd, 0xfffe,
        0xffff,
    ];

    fn delta(old: u16, new: u16) -> Delta {
        let mut delta = Delta::default();
        delta.replace(old, new);
        delta
    }

    /// Pairs of replaced words: every pair of edges, and a spread of others.
    fn pairs() -> impl Iterator<Item = (u16, u16)> {
        let edges = EDGES
            .into_iter()
            .flat_map(|old| EDGES.into_iter().map(move |new| (old, new)));
        let spread = (0..200u16).map(|i| (i.wrapping_mul(40_503), i.wrapping_mul(25_717) ^ 0x5aa5));
        edges.chain(spread)
    }

    const TURNS: [(Zero, Zero); 4] = [
        (Zero::Plus, Zero::Plus),
        (Zero::Minus, Zero::Minus),
        (Zero::Plus, Zero::Minus),
        (Zero::Minus, Zero::Plus),
    ];

    #[test]
    fn update_is_a_permutation_of_all_values_and_its_inverse_undoes_it() {
        for (old, new) in pairs() {
            for (before, after) in TURNS {
                let mut hit = vec![false; 0x1_0000];
                for checksum in 0..=0xffff {
                    let there = delta(old, new).update(checksum, before, after);
                    let back = delta(new, old).update(there, after, before);
                    assert_eq!(back, checksum, "{old:#06x} -> {new:#06x}, {before:?}");
                    assert!(!std::mem::replace(&mut hit[usize::from(there)], true));
                }
            }
        }
    }

    #[test]
    fn update_keeps_the_error_of_every_value() {
        for (old, new) in pairs() {
            for checksum in 0..=0xffffu16 {
                let there = delta(old, new).update(checksum, Zero::Plus, Zero::Plus);
                if checksum == 0xffff {
                    assert_eq!(there, 0xffff);
                    continue;
                }
                // checksum + sum is the same before and after, modulo 65535.
                let before = (u32::from(checksum) + u32::from(old)) % 0xffff;
                let after = (u32::from(there) + u32::from(new)) % 0xffff;
                assert_eq!(before, after, "{checksum:#06x}: {old:#06x} -> {new:#06x}");
                assert_ne!(there, 0xffff);
            }
        }
    }

    #[test]
    fn no_difference_changes_nothing() {
        for word in EDGES {
            for checksum in 0..=0xffff {
                for zero in [Zero::Plus, Zero::Minus] {
                    assert_eq!(delta(word, word).update(checksum, zero, zero), checksum);
                }
            }
        }
    }

    /// Differences that are zero modulo 65535 although the words differ.
    #[test]
    fn the_two_zeros_as_data_words_make_no_difference() {
        for checksum in 0..=0xffff {
            for (old, new) in [(0, 0xffff), (0xffff, 0)] {
                let there = delta(old, new).update(checksum, Zero::Plus, Zero::Plus);
                assert_eq!(there, checksum);
            }
        }
    }

    #[test]
    fn proper_zero_is_written_where_the_update_reaches_zero() {
        // 5 - (7 - 2) = 0
        assert_eq!(delta(2, 7).update(5, Zero::Plus, Zero::Plus), 0x0000);
        assert_eq!(delta(2, 7).update(5, Zero::Minus, Zero::Minus), 0xffff);
        assert_eq!(delta(7, 2).update(0x0000, Zero::Plus, Zero::Plus), 5);
        assert_eq!(delta(7, 2).update(0xffff, Zero::Minus, Zero::Minus), 5);
        // The improper zeros are kept.
        assert_eq!(delta(7, 2).update(0xffff, Zero::Plus, Zero::Plus), 0xffff);
        assert_eq!(delta(7, 2).update(0x0000, Zero::Minus, Zero::Minus), 0x0000);
    }

    /// RFC 1624 section 4: HC = 0xDD2F, m = 0x5555, m' = 0x3285, and HC' = 0x0000, where RFC 1141
    /// gives 0xFFFF.
    #[test]
    fn rfc_1624_example() {
        let there = delta(0x5555, 0x3285).update(0xdd2f, Zero::Plus, Zero::Plus);
        assert_eq!(there, 0x0000);
    }

    #[test]
    fn a_difference_survives_being_noted_and_its_reverse_undoes_it() {
        for (old, new) in pairs() {
            let noted = Delta::new(delta(old, new).value());
            for checksum in EDGES {
                for zero in [Zero::Plus, Zero::Minus] {
                    let there = delta(old, new).update(checksum, zero, zero);
                    assert_eq!(noted.update(checksum, zero, zero), there);
                    assert_eq!(noted.reversed().update(there, zero, zero), checksum);
                }
            }
        }
    }

    #[test]
    fn noted_differences_add_up() {
        let mut sum = delta(0x1234, 0xfedc);
        sum.add(delta(0xffff, 0x0001));
        sum.replace(0x8000, 0x7fff);
        for checksum in 0..=0xffff {
            let mut step = delta(0x1234, 0xfedc).update(checksum, Zero::Plus, Zero::Plus);
            step = delta(0xffff, 0x0001).update(step, Zero::Plus, Zero::Plus);
            step = delta(0x8000, 0x7fff).update(step, Zero::Plus, Zero::Plus);
            assert_eq!(sum.update(checksum, Zero::Plus, Zero::Plus), step);
        }
    }
}
