//! Engine time as the blocks see it: coarse slices of the hold-down, and stamps of one byte.
//!
//! A **slice** is a sixteenth of the hold-down (at least a millisecond). A port released in slice
//! `s` has rested once slice `s + REST` has begun, where `REST` is 17 (the hold-down in whole
//! slices, and the begun one): never early, and late by less than two slices, that is an eighth of
//! the hold-down (I3, I4).

use std::time::Duration;

use crate::planted::{self, Bug};
use crate::sync::{Counter, Word};
use crate::tick::Tick;

/// What the byte of a port says.
///
/// While the port is nobody's: `0` it need not rest (or is known to have), `1..=127` it was
/// released in a slice that is this modulo 127. While it is leased or in a shard's hand: `0` the
/// block's first owner of this generation issued it, `128..` another shard did, after a reheat.
/// The two never meet: only the holder of a port, or the owner of its block, writes its byte.
pub(crate) mod stamp {
    use crate::id::ShardId;

    /// Slices are told apart modulo this.
    pub(crate) const CYCLE: u64 = 127;
    /// Needs no rest; or issued by the block's first owner.
    pub(crate) const NONE: u8 = 0;

    /// Somebody is about to forget the stamp. Shard 127 has the same mark, which does no harm: a
    /// mark only keeps others off, and nobody compares two.
    pub(crate) const FORGETTING: u8 = 0xff;

    /// The stamp of a release in this slice.
    pub(crate) const fn of_slice(slice: u64) -> u8 {
        (slice % CYCLE) as u8 + 1
    }

    /// The stamp of a port that a shard issues from a reheated block.
    #[inline]
    pub(crate) fn of_owner(shard: ShardId) -> u8 {
        shard.0 | 0x80
    }

    /// The shard of an owner's stamp.
    #[inline]
    pub(crate) fn owner(stamp: u8) -> Option<ShardId> {
        (stamp & 0x80 != 0).then_some(ShardId(stamp & 0x7f))
    }

    /// How many slices ago a port was released, if it was at most a cycle ago.
    #[inline]
    pub(crate) fn age(stamp: u8, now: u64) -> u64 {
        (now % CYCLE + CYCLE - u64::from(stamp - 1)) % CYCLE
    }
}

/// A slice and the stamp of a release in it: slice in bits 8-63, stamp in bits 0-7, so that a
/// release need not divide. Later slices are larger words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Moment(u64);

impl Moment {
    /// The last slice told apart: further ones count as it.
    const LAST: u64 = (1 << 56) - 1;

    const fn of_slice(slice: u64) -> Self {
        let slice = if slice < Self::LAST {
            slice
        } else {
            Self::LAST
        };
        Moment(slice << 8 | stamp::of_slice(slice) as u64)
    }

    #[inline]
    pub(crate) const fn slice(self) -> u64 {
        self.0 >> 8
    }

    #[inline]
    pub(crate) const fn stamp(self) -> u8 {
        self.0 as u8
    }
}

/// The engine's clock: the largest tick seen.
#[derive(Debug)]
pub struct Clock {
    millis: Word,
    /// The slice it lies in, as a [`Moment`].
    moment: Word,
    slice_millis: u64,
    rest: u64,
    /// Whether ports that rest are counted: only where there is a cap on them.
    counting: bool,
    cooling: Counter,
}

impl Clock {
    /// A clock at zero for this hold-down.
    pub(crate) fn new(hold_down: Duration) -> Self {
        let millis = hold_down.as_nanos().div_ceil(1_000_000) as u64;
        let slice_millis = millis.div_ceil(16).max(1);
        let rest = if millis == 0 {
            0
        } else {
            millis.div_ceil(slice_millis) + 1
        };
        Clock {
            millis: Word::new(0),
            moment: Word::new(Moment::of_slice(0).0),
            slice_millis,
            rest,
            counting: false,
            cooling: Counter::default(),
        }
    }

    /// Brings a tick; whether it lay before engine time.
    #[inline]
    pub(crate) fn bring(&self, tick: Tick) -> bool {
        let seen = self.millis.get();
        if tick.as_millis() > seen {
            // The slice first: whoever finds the time raised finds the slice raised, so that no
            // release after it bears an older one.
            let moment = Moment::of_slice(tick.as_millis() / self.slice_millis);
            if planted::on(Bug::TimeBeforeSlice) {
                self.millis.raise(tick.as_millis());
            }
            self.moment.raise(moment.0);
            self.millis.raise(tick.as_millis());
        }
        tick.as_millis() < seen
    }

    /// Has ports that rest counted.
    pub(crate) fn counting(mut self, yes: bool) -> Self {
        self.counting = yes;
        self
    }

    #[inline]
    pub(crate) fn is_counting(&self) -> bool {
        self.counting
    }

    /// A port was stamped.
    #[inline]
    pub(crate) fn count_cooled(&self) {
        if self.counting {
            self.cooling.add(1);
        }
    }

    /// So many stamped ports are leased again, free, or known to have rested.
    pub(crate) fn count_warmed(&self, ports: u64) {
        self.cooling.subtract(ports);
    }

    /// How many ports bear a stamp; zero when they are not counted.
    pub(crate) fn cooling(&self) -> u64 {
        self.cooling.get()
    }

    /// Engine time.
    pub(crate) fn now(&self) -> Tick {
        Tick::from_millis(self.millis.get())
    }

    /// The current slice.
    ///
    /// Whoever judges a rest must read this *after* the bits of the block: then no release whose
    /// bit was seen bears a later slice.
    #[inline]
    pub(crate) fn slice(&self) -> u64 {
        self.moment().slice()
    }

    /// The current slice and its stamp; see [`slice`](Self::slice).
    #[inline]
    pub(crate) fn moment(&self) -> Moment {
        Moment(self.moment.get())
    }

    /// How many slices a port rests; zero when resting is off.
    #[inline]
    pub(crate) fn rest(&self) -> u64 {
        self.rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rest_is_never_short_and_at_most_an_eighth_long() {
        for hold_down in [1u64, 2, 7, 8, 9, 15, 16, 17, 100, 1_000, 120_000, 999_999] {
            let clock = Clock::new(Duration::from_millis(hold_down));
            for released in [0, 1, 3, hold_down / 3, 7 * hold_down + 5] {
                let due = (released / clock.slice_millis + clock.rest) * clock.slice_millis;
                assert!(due >= released + hold_down, "{hold_down} {released}");
                let late = due - released - hold_down;
                assert!(
                    late <= hold_down.div_ceil(8) + 1,
                    "{hold_down} {released}: {late}"
                );
            }
        }
    }

    #[test]
    fn stamps_tell_ages_within_a_cycle() {
        for released in 0..300u64 {
            for age in 0..stamp::CYCLE {
                assert_eq!(stamp::age(stamp::of_slice(released), released + age), age);
            }
        }
    }

    #[test]
    fn time_never_goes_back() {
        let clock = Clock::new(Duration::from_secs(120));
        assert!(!clock.bring(Tick::from_millis(u64::MAX)));
        assert!(clock.bring(Tick::from_millis(5)));
        assert_eq!(clock.now().as_millis(), u64::MAX);
    }
}
