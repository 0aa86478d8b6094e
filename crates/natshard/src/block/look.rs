//! A look at all ports of a block at once: a copy of their bytes, and what can be read off it.

use super::{Mask, PORTS};
use crate::clock::{Moment, stamp};

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
fn judge_sixteen(ports: &[u8; PORTS], now: Moment, rest: u8) -> Rest {
    use std::arch::x86_64::{
        __m128i, _mm_add_epi8, _mm_and_si128, _mm_andnot_si128, _mm_cmpeq_epi8, _mm_cmpgt_epi8,
        _mm_loadu_si128, _mm_max_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8,
        _mm_setzero_si128, _mm_storeu_si128, _mm_sub_epi8,
    };
    // Signed comparisons: held ports are zero or negative, ages are at most 125.
    let (zero, one) = (_mm_setzero_si128(), _mm_set1_epi8(1));
    let idle = _mm_set1_epi8(stamp::IDLE.cast_signed());
    let cycle = _mm_set1_epi8(stamp::CYCLE.cast_signed());
    let moment = _mm_set1_epi8(now.stamp().cast_signed());
    let short = _mm_set1_epi8(rest.wrapping_sub(1).cast_signed());
    let (mut released, mut rested, mut oldest) = (Mask::EMPTY, Mask::EMPTY, zero);
    for (index, chunk) in ports.chunks_exact(16).enumerate() {
        // SAFETY: the chunk has sixteen bytes.
        let bytes = unsafe { _mm_loadu_si128(chunk.as_ptr().cast::<__m128i>()) };
        let nobodys = _mm_cmpgt_epi8(bytes, zero);
        let wrapped = _mm_and_si128(_mm_cmpgt_epi8(bytes, moment), cycle);
        let age = _mm_add_epi8(_mm_sub_epi8(moment, bytes), wrapped);
        let long = _mm_or_si128(_mm_cmpeq_epi8(bytes, idle), _mm_cmpgt_epi8(age, short));
        let resting = _mm_andnot_si128(long, nobodys);
        oldest = _mm_max_epu8(oldest, _mm_and_si128(resting, _mm_add_epi8(age, one)));
        let (word, shift) = (index / 4, index % 4 * 16);
        let rests = _mm_movemask_epi8(_mm_and_si128(nobodys, long));
        rested.0[word] |= u64::from(rests.cast_unsigned() as u16) << shift;
        released.0[word] |= u64::from(_mm_movemask_epi8(nobodys).cast_unsigned() as u16) << shift;
    }
    let mut lanes = [0u8; 16];
    // SAFETY: sixteen bytes of this function's own.
    unsafe { _mm_storeu_si128(lanes.as_mut_ptr().cast::<__m128i>(), oldest) };
    let oldest = lanes.into_iter().max().and_then(|age| age.checked_sub(1));
    Rest {
        released,
        rested,
        earliest: oldest.map(|age| now.slices_ago(age)),
    }
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
            let now = Moment::FIRST.after(1_000 + u64::from(draw()));
            for rest in [0, 1, 5, 17, 18] {
                assert_eq!(look.judge(now, rest), look.judge_one_by_one(now, rest));
            }
        }
        assert_eq!(Look([stamp::HELD; PORTS]).nobodys(), Mask::EMPTY);
        assert_eq!(Look([stamp::IDLE; PORTS]).nobodys(), Mask::FULL);
        assert_eq!(Look([stamp::IDLE; PORTS]).stamped(), Mask::EMPTY);
        assert_eq!(Look([5; PORTS]).stamped(), Mask::FULL);
    }
}
