//! A look at all ports of a block at once: a copy of their bytes, and what can be read off it.

use super::{Mask, PORTS};
use crate::clock::{Moment, stamp};

/// What tells marks of owners from all else, of sixteen bytes.
const OWNERS: u128 = u128::from_ne_bytes([0x80; 16]);

/// The bytes of a block's ports, as they were.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look(pub(super) [u8; PORTS]);

/// What resting the released ports of a block have had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Rest {
    /// Every port that is nobody's.
    pub(crate) released: Mask,
    /// Those of them that have rested.
    pub(crate) rested: Mask,
    /// The slice in which the longest-resting of the others was released.
    pub(crate) earliest: Option<u64>,
}

impl Rest {
    /// Whether the whole block could be recycled.
    pub(crate) fn is_over(&self) -> bool {
        self.rested == Mask::FULL
    }
}

impl Look {
    /// The ports that are nobody's.
    pub(crate) fn nobodys(&self) -> Mask {
        self.judge(Moment::NEVER, 0).released
    }

    /// The ports that were released and may be resting.
    pub(crate) fn stamped(&self) -> Mask {
        let idle = self.0.iter().enumerate();
        let idle = idle.filter(|&(_, &byte)| byte == stamp::IDLE);
        self.nobodys()
            .without(&idle.map(|(port, _)| port).collect())
    }

    /// The ports that a shard issued from a reheated or assigned block, and that nobody gave back.
    pub(crate) fn owned(&self) -> Mask {
        let is_owned = |byte: u8| stamp::owner(byte).is_some();
        let mut owned = Mask::EMPTY;
        for (chunk, bytes) in self.0.chunks(16).enumerate() {
            // Hardly ever any: a census asks this of every free block.
            let wide = bytes.try_into().map(u128::from_ne_bytes);
            if wide.is_ok_and(|wide| wide & OWNERS == 0) {
                continue;
            }
            for (port, &byte) in bytes.iter().enumerate() {
                if is_owned(byte) {
                    owned.insert(chunk * 16 + port);
                }
            }
        }
        owned
    }

    /// Judges the ports: which have rested for `rest` slices at this moment.
    #[inline]
    pub(crate) fn judge(&self, now: Moment, rest: u8) -> Rest {
        #[cfg(all(target_arch = "x86_64", not(loom)))]
        {
            // SAFETY: every x86-64 processor has SSE2.
            unsafe { judge_sixteen(&self.0, now, rest) }
        }
        #[cfg(not(all(target_arch = "x86_64", not(loom))))]
        {
            self.judge_one_by_one(now, rest)
        }
    }

    #[cfg(any(test, not(all(target_arch = "x86_64", not(loom)))))]
    fn judge_one_by_one(&self, now: Moment, rest: u8) -> Rest {
        let mut judged = Rest {
            released: Mask::EMPTY,
            rested: Mask::EMPTY,
            earliest: None,
        };
        let mut oldest = None;
        for (port, &byte) in self.0.iter().enumerate() {
            if !stamp::is_nobodys(byte) {
                continue;
            }
            judged.released.insert(port);
            let age = stamp::age(byte, now.stamp());
            if byte == stamp::IDLE || age >= rest {
                judged.rested.insert(port);
            } else {
                oldest = oldest.max(Some(age));
            }
        }
        judged.earliest = oldest.map(|age| now.slices_ago(age));
        judged
    }
}

/// Judges sixteen ports at a time.
#[cfg(all(target_arch = "x86_64", not(loom)))]
#[target_feature(enable = "sse2")]
#[inline]
fn judge_sixteen(ports: &[u8; PORTS], now: Moment, rest: u8) -> Rest {
    let (released, resting) = match now.stamp().checked_sub(rest) {
        Some(_) => sort_sixteen::<false>(ports, now.stamp(), rest),
        None => sort_sixteen::<true>(ports, now.stamp(), rest),
    };
    let earliest = match resting.is_empty() {
        true => None,
        false => Some(now.slices_ago(oldest_of_sixteen(ports, now.stamp(), rest))),
    };
    Rest {
        released,
        rested: released.without(&resting),
        earliest,
    }
}

/// The ports that are nobody's, and those of them that rest: whose stamps are the last `rest` ones up to
/// `now`. `WRAPS`: they go round the end of the cycle.
#[cfg(all(target_arch = "x86_64", not(loom)))]
#[target_feature(enable = "sse2")]
#[inline]
fn sort_sixteen<const WRAPS: bool>(ports: &[u8; PORTS], now: u8, rest: u8) -> (Mask, Mask) {
    use std::arch::x86_64::{
        _mm_and_si128, _mm_andnot_si128, _mm_cmpgt_epi8, _mm_movemask_epi8, _mm_or_si128,
        _mm_set1_epi8, _mm_setzero_si128,
    };
    // Signed comparisons: held ports are zero or negative. An idle one is above all stamps.
    let (zero, now_wide) = (_mm_setzero_si128(), _mm_set1_epi8(now.cast_signed()));
    let below = match WRAPS {
        true => now + stamp::CYCLE - rest,
        false => now - rest,
    };
    let below = _mm_set1_epi8(below.cast_signed());
    let idle = _mm_set1_epi8(stamp::IDLE.cast_signed());
    let (mut released, mut resting) = (Mask::EMPTY, Mask::EMPTY);
    for (word, ports) in ports.chunks_exact(64).enumerate() {
        // Four at a time and written out, so that no shift is by a variable.
        let (mut nobodys_here, mut rests_here) = (0, 0);
        for part in 0..4 {
            let bytes = sixteen(&ports[part * 16..][..16]);
            let nobodys = _mm_cmpgt_epi8(bytes, zero);
            let later = _mm_cmpgt_epi8(bytes, below);
            let after = _mm_cmpgt_epi8(bytes, now_wide);
            let rests = match WRAPS {
                // Up to now, or in the end of the last cycle.
                true => _mm_or_si128(
                    _mm_andnot_si128(after, nobodys),
                    _mm_and_si128(later, _mm_cmpgt_epi8(idle, bytes)),
                ),
                false => _mm_andnot_si128(after, later),
            };
            let bits = |wide| u64::from(_mm_movemask_epi8(wide).cast_unsigned()) << (part * 16);
            nobodys_here |= bits(nobodys);
            rests_here |= bits(rests);
        }
        (released.0[word], resting.0[word]) = (nobodys_here, rests_here);
    }
    (released, resting)
}

/// How many slices ago the longest-resting port was released, of those that rest.
#[cfg(all(target_arch = "x86_64", not(loom)))]
#[target_feature(enable = "sse2")]
#[inline]
fn oldest_of_sixteen(ports: &[u8; PORTS], now: u8, rest: u8) -> u8 {
    use std::arch::x86_64::{
        __m128i, _mm_add_epi8, _mm_and_si128, _mm_cmpgt_epi8, _mm_max_epu8, _mm_min_epu8,
        _mm_set1_epi8, _mm_setzero_si128, _mm_storeu_si128, _mm_sub_epi8,
    };
    let zero = _mm_setzero_si128();
    let now = _mm_set1_epi8(now.cast_signed());
    let cycle = _mm_set1_epi8(stamp::CYCLE.cast_signed());
    let idle = _mm_set1_epi8(stamp::IDLE.cast_signed());
    let rest = _mm_set1_epi8(rest.cast_signed());
    let mut oldest = zero;
    for chunk in ports.chunks_exact(16) {
        let bytes = sixteen(chunk);
        // Of a stamp after now the difference is negative, that is large, and a cycle more is not.
        let age = _mm_sub_epi8(now, bytes);
        let age = _mm_min_epu8(age, _mm_add_epi8(age, cycle));
        let stamped = _mm_and_si128(_mm_cmpgt_epi8(bytes, zero), _mm_cmpgt_epi8(idle, bytes));
        let rests = _mm_and_si128(stamped, _mm_cmpgt_epi8(rest, age));
        oldest = _mm_max_epu8(oldest, _mm_and_si128(rests, age));
    }
    let mut lanes = [0u8; 16];
    // SAFETY: sixteen bytes of this function's own.
    unsafe { _mm_storeu_si128(lanes.as_mut_ptr().cast::<__m128i>(), oldest) };
    lanes.into_iter().max().unwrap_or(0)
}

#[cfg(all(target_arch = "x86_64", not(loom)))]
#[target_feature(enable = "sse2")]
#[inline]
fn sixteen(chunk: &[u8]) -> std::arch::x86_64::__m128i {
    assert!(chunk.len() == 16);
    // SAFETY: there are sixteen bytes, by the assertion.
    unsafe { std::arch::x86_64::_mm_loadu_si128(chunk.as_ptr().cast()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_at_a_time_is_as_one_by_one() {
        let mut random = 1u64;
        let mut draw = || {
            random = random
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (random >> 56) as u8
        };
        for round in 0..2_000u32 {
            let mut look = Look(std::array::from_fn(|_| draw()));
            if round % 3 == 0 {
                // Nothing held.
                look.0 = look.0.map(|byte| (byte & 0x7f).max(1));
            }
            let now = Moment::FIRST.after(1_000 + u64::from(round) % 126);
            for rest in [0, 1, 2, 5, 17, 18] {
                assert_eq!(look.judge(now, rest), look.judge_one_by_one(now, rest));
            }
        }
        assert_eq!(Look([stamp::HELD; PORTS]).nobodys(), Mask::EMPTY);
        assert_eq!(Look([stamp::IDLE; PORTS]).nobodys(), Mask::FULL);
        assert_eq!(Look([stamp::IDLE; PORTS]).stamped(), Mask::EMPTY);
        assert_eq!(Look([5; PORTS]).stamped(), Mask::FULL);
        assert_eq!(Look([127; PORTS]).owned(), Mask::EMPTY);
        assert_eq!(Look([128; PORTS]).owned(), Mask::FULL);
        let mut look = Look([0; PORTS]);
        look.0[77] = 255;
        assert_eq!(look.owned(), [77].into_iter().collect());
    }
}
