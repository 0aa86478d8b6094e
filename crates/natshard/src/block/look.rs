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
        judge(&self.0, now, rest)
    }
}

/// Judges ports: which have rested for `rest` slices at this moment.
#[inline]
pub(super) fn judge(ports: &[u8; PORTS], now: Moment, rest: u8) -> Rest {
    #[cfg(all(target_arch = "x86_64", not(loom)))]
    {
        // SAFETY: every x86-64 processor has SSE2.
        unsafe {
            match now.stamp().checked_sub(rest) {
                Some(_) => judge_sixteen::<false>(ports, now, rest),
                None => judge_sixteen::<true>(ports, now, rest),
            }
        }
    }
    #[cfg(not(all(target_arch = "x86_64", not(loom))))]
    {
        judge_one_by_one(ports, now, rest)
    }
}

#[cfg(any(test, not(all(target_arch = "x86_64", not(loom)))))]
fn judge_one_by_one(ports: &[u8; PORTS], now: Moment, rest: u8) -> Rest {
    let mut judged = Rest {
        released: Mask::EMPTY,
        rested: Mask::EMPTY,
        earliest: None,
    };
    let mut oldest = None;
    for (port, &byte) in ports.iter().enumerate() {
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

/// Judges sixteen ports at a time, by how many stamps each was released after the oldest of the last
/// `rest` stamps: those that rest less than `rest`, the longest-resting the least. `WRAPS`: the last
/// `rest` stamps go round the end of the cycle.
#[cfg(all(target_arch = "x86_64", not(loom)))]
#[target_feature(enable = "sse2")]
#[inline]
fn judge_sixteen<const WRAPS: bool>(ports: &[u8; PORTS], now: Moment, rest: u8) -> Rest {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_cmpgt_epi8, _mm_cvtsi128_si32, _mm_max_epu8, _mm_min_epu8,
        _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8, _mm_srli_si128, _mm_sub_epi8,
    };
    let all = |byte: u8| _mm_set1_epi8(byte.cast_signed());
    let oldest = (now.stamp() + 1).wrapping_sub(rest);
    let (zero, rest_wide, mut least) = (all(0), all(rest), all(u8::MAX));
    let (mut released, mut resting) = (Mask::EMPTY, Mask::EMPTY);
    for (word, ports) in ports.chunks_exact(64).enumerate() {
        // Four at a time and written out, so that no shift is by a variable.
        let (mut released_here, mut others_here) = (0, 0);
        for part in 0..4 {
            let bytes = sixteen(&ports[part * 16..][..16]);
            // Whatever bears none of those stamps comes out as `rest` or more.
            let mut after = _mm_sub_epi8(bytes, all(oldest));
            if WRAPS {
                // A stamp of the last cycle comes out a cycle too large; what bears no stamp may come out
                // as if it had one of them.
                after = _mm_min_epu8(after, _mm_sub_epi8(after, all(stamp::CYCLE)));
                let unstamped = _mm_cmpgt_epi8(all(1), bytes);
                let unstamped = _mm_or_si128(unstamped, _mm_cmpeq_epi8(bytes, all(stamp::IDLE)));
                after = _mm_or_si128(after, unstamped);
            }
            least = _mm_min_epu8(least, after);
            let others = _mm_cmpeq_epi8(_mm_max_epu8(after, rest_wide), after);
            let bits = |wide| u64::from(_mm_movemask_epi8(wide).cast_unsigned()) << (part * 16);
            // Signed: held ports are zero or negative.
            released_here |= bits(_mm_cmpgt_epi8(bytes, zero));
            others_here |= bits(others);
        }
        (released.0[word], resting.0[word]) = (released_here, !others_here);
    }
    let earliest = match resting.is_empty() {
        true => None,
        false => {
            least = _mm_min_epu8(least, _mm_srli_si128::<8>(least));
            least = _mm_min_epu8(least, _mm_srli_si128::<4>(least));
            least = _mm_min_epu8(least, _mm_srli_si128::<2>(least));
            least = _mm_min_epu8(least, _mm_srli_si128::<1>(least));
            let least = _mm_cvtsi128_si32(least) as u8;
            Some(now.slices_ago(rest - 1 - least))
        }
    };
    Rest {
        released,
        rested: released.without(&resting),
        earliest,
    }
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
                assert_eq!(look.judge(now, rest), judge_one_by_one(&look.0, now, rest));
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
