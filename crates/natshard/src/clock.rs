//! Engine time as the blocks see it: coarse slices of the hold-down, and stamps of one byte.
//!
//! A **slice** is a sixteenth of the hold-down (at least a millisecond). A port released in slice
//! `s` has rested once slice `s + REST` has begun, where `REST` is 17 (the hold-down in whole
//! slices, and the begun one): never early, and late by less than two slices, that is an eighth of
//! the hold-down (I3, I4).

use std::cmp::Ordering;
use std::time::Duration;

use crossbeam_utils::CachePadded;

use crate::planted::{self, Bug};
use crate::sync::{Counter, Word};
use crate::tick::Tick;

/// What the byte of a port says. It is the truth about the port, and the only thing that a release
/// writes.
///
/// | byte | the port is |
/// |---|---|
/// | `0` | held (leased, or in its shard's hand), issued by the first owner of the generation |
/// | `1..=126` | nobody's: released in a slice with this stamp |
/// | `127` | nobody's, and need not rest |
/// | `128..` | held, issued by this shard after a reheat, or out of a port block |
///
/// In a free block the bytes mean nothing: its next owner writes them anew.
pub(crate) mod stamp {
    use crate::id::ShardId;

    /// Stamps are told apart modulo this.
    pub(crate) const CYCLE: u8 = 126;
    /// Held, and issued by the block's first owner.
    pub(crate) const HELD: u8 = 0;
    /// Nobody's, and needs no rest.
    pub(crate) const IDLE: u8 = 127;
    /// Somebody is about to forget the stamp. Shard 127 has the same mark, which does no harm: a
    /// mark only keeps others off, and nobody compares two.
    pub(crate) const FORGETTING: u8 = 0xff;

    /// The first stamp.
    pub(crate) const FIRST: u8 = 1;
    /// The mark of shard 0; those of the others follow.
    const OWNED: u8 = 128;

    /// The stamp so many slices after another.
    pub(crate) fn after(stamp: u8, slices: u64) -> u8 {
        ((u64::from(stamp) - 1 + slices) % u64::from(CYCLE)) as u8 + 1
    }

    /// The stamp of a port that a shard issues from a reheated block.
    #[inline]
    pub(crate) fn of_owner(shard: ShardId) -> u8 {
        OWNED + shard.0
    }

    /// The shard of an owner's stamp.
    #[inline]
    pub(crate) fn owner(stamp: u8) -> Option<ShardId> {
        stamp.checked_sub(OWNED).map(ShardId)
    }

    /// Whether the port is nobody's.
    #[inline]
    pub(crate) fn is_nobodys(stamp: u8) -> bool {
        (FIRST..=IDLE).contains(&stamp)
    }

    /// How many slices ago the port was released, if its stamp is of the last cycle; `now` is the
    /// stamp of a release at this moment.
    #[inline]
    pub(crate) fn age(stamp: u8, now: u8) -> u8 {
        if stamp <= now {
            now - stamp
        } else {
            now + CYCLE - stamp
        }
    }
}

/// A slice and the stamp of a release in it: slice in bits 8-63, stamp in bits 0-7. Later moments
/// are larger words, but for their stamps.
///
/// Stamps follow the slices one by one, and step over a gap of more than a rest as if it were
/// just that: whatever was released before it has rested, and needs no further telling apart. So a
/// clock that leaps does not bring stamps of long ago round again.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Moment(u64);

impl Moment {
    /// No moment there is.
    pub(crate) const NEVER: Moment = Moment(0);
    /// The last slice told apart: further ones count as it.
    const LAST: u64 = u64::MAX >> 8;
    pub(crate) const FIRST: Moment = Moment(stamp::FIRST as u64);

    fn new(slice: u64, stamp: u8) -> Self {
        Moment((slice << 8) + u64::from(stamp))
    }

    /// The moment of a later slice; `None` when it is not later.
    fn later(self, slice: u64, rest: u64) -> Option<Self> {
        let slice = slice.min(Self::LAST);
        let gap = slice.checked_sub(self.slice())?;
        if gap == 0 {
            return None;
        }
        Some(Moment::new(
            slice,
            stamp::after(self.stamp(), gap.min(rest + 1)),
        ))
    }

    #[inline]
    pub(crate) fn slice(self) -> u64 {
        self.0 >> 8
    }

    #[inline]
    pub(crate) fn stamp(self) -> u8 {
        self.0 as u8
    }

    /// The slice so many stamps ago, of those that have not rested.
    #[inline]
    pub(crate) fn slices_ago(self, age: u8) -> u64 {
        self.slice().saturating_sub(age.into())
    }

    /// The moment so many slices later, one by one.
    #[cfg(test)]
    pub(crate) fn after(self, slices: u64) -> Self {
        Moment::new(self.slice() + slices, stamp::after(self.stamp(), slices))
    }

    /// How many stamps lie between an earlier moment and this one, if it is less than a cycle.
    pub(crate) fn since(self, earlier: Moment) -> u8 {
        stamp::age(earlier.stamp(), self.stamp())
    }
}

/// The engine's clock: the largest tick seen.
#[derive(Debug)]
pub struct Clock {
    /// Written by whoever brings a new millisecond, and so apart from what every release reads.
    millis: CachePadded<Word>,
    /// The slice it lies in, as a [`Moment`].
    moment: Word,
    slice_millis: u64,
    rest: u64,
    /// Whether ports that rest are counted: only where there is a cap on them.
    counting: bool,
    /// Written at releases, where it is at all.
    cooling: CachePadded<Counter>,
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
            millis: CachePadded::new(Word::new(0)),
            moment: Word::new(Moment::FIRST.0),
            slice_millis,
            rest,
            counting: false,
            cooling: CachePadded::default(),
        }
    }

    /// Brings a tick; whether it lay before engine time.
    #[inline]
    pub(crate) fn bring(&self, tick: Tick) -> bool {
        match tick.cmp(&self.now()) {
            Ordering::Less => return true,
            Ordering::Equal => {}
            Ordering::Greater => {
                // The slice first: whoever finds the time raised finds the slice raised, so that
                // no release after it bears an older one.
                if planted::on(Bug::TimeBeforeSlice) {
                    self.millis.raise(tick.as_millis());
                }
                self.bring_slice(tick.as_millis() / self.slice_millis);
                self.millis.raise(tick.as_millis());
            }
        }
        false
    }

    /// Moves the moment on to a slice, if it has not come that far.
    fn bring_slice(&self, slice: u64) {
        let mut seen = self.moment.get();
        while let Some(moment) = Moment(seen).later(slice, self.rest) {
            match self.moment.exchange(seen, moment.0) {
                Ok(()) => return,
                Err(found) => seen = found,
            }
        }
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
        // Whoever does not count shares no line for it.
        if ports != 0 {
            self.cooling.subtract(ports);
        }
    }

    /// How many ports bear a stamp; zero when they are not counted.
    pub(crate) fn cooling(&self) -> u64 {
        self.cooling.get()
    }

    /// Engine time.
    pub(crate) fn now(&self) -> Tick {
        Tick::from_millis(self.millis.get())
    }

    /// The current moment if a port released now is nothing out of the ordinary: it rests, and that
    /// is not counted.
    #[inline]
    pub(crate) fn plain_moment(&self) -> Moment {
        if self.rest > 0 && !self.counting {
            self.moment()
        } else {
            Moment::NEVER
        }
    }

    /// The current slice.
    ///
    /// Whoever judges a rest must read this *after* the bytes of the block: then no release whose
    /// byte was seen bears a later slice.
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
    use crate::id::ShardId;

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
        for first in 0..300u64 {
            let released = stamp::after(stamp::FIRST, first);
            assert!(stamp::is_nobodys(released) && released != stamp::IDLE);
            for age in 0..u64::from(stamp::CYCLE) {
                let now = stamp::after(released, age);
                assert_eq!(u64::from(stamp::age(released, now)), age);
            }
        }
    }

    #[test]
    fn a_slice_is_a_sixteenth_of_the_hold_down() {
        let clock = Clock::new(Duration::from_secs(120));
        for (millis, slice) in [(0, 0), (7_499, 0), (7_500, 1), (74_999, 9), (75_000, 10)] {
            clock.bring(Tick::from_millis(millis));
            assert_eq!((clock.slice(), clock.now().as_millis()), (slice, millis));
        }
    }

    #[test]
    fn a_leap_counts_as_a_rest_and_a_slice() {
        let clock = Clock::new(Duration::from_millis(16));
        for leap in [1u64, 2, 17, 18, 19, 1_000, 126, 127, 126 * 7, 1 << 40] {
            let before = clock.moment();
            let millis = clock.now().as_millis() + leap;
            assert!(!clock.bring(Tick::from_millis(millis)));
            let expected = leap.min(clock.rest() + 1);
            assert_eq!(u64::from(clock.moment().since(before)), expected);
            assert_eq!(clock.slice(), millis);
        }
    }

    /// A slice is a millisecond here, so that there are as many as there can be.
    #[test]
    fn time_never_goes_back() {
        let clock = Clock::new(Duration::from_millis(16));
        assert!(!clock.bring(Tick::from_millis(u64::MAX)));
        assert_eq!(
            clock.slice(),
            (1 << 56) - 1,
            "further ones count as the last"
        );
        assert_eq!(clock.moment().stamp(), stamp::after(stamp::FIRST, 18));
        let last = clock.moment();
        assert!(clock.bring(Tick::from_millis(5)));
        assert!(clock.bring(Tick::from_millis(u64::MAX - 1)));
        assert!(
            !clock.bring(Tick::from_millis(u64::MAX)),
            "no step is no step back"
        );
        assert_eq!(clock.now().as_millis(), u64::MAX);
        assert_eq!(clock.moment(), last);
    }

    /// 0 and 128 to 255: held. 1 to 126: released. 127: never was.
    #[test]
    fn each_byte_says_one_thing() {
        assert_eq!(stamp::owner(stamp::HELD), None);
        assert!(!stamp::is_nobodys(stamp::HELD));
        for byte in 1..=127 {
            assert!(stamp::is_nobodys(byte), "{byte}");
            assert_eq!(stamp::owner(byte), None, "{byte}");
        }
        for shard in (0..128).map(ShardId) {
            let mark = stamp::of_owner(shard);
            assert_eq!(mark, 128 + shard.0);
            assert!(!stamp::is_nobodys(mark));
            assert_eq!(stamp::owner(mark), Some(shard));
        }
        assert_eq!(stamp::FORGETTING, stamp::of_owner(ShardId(127)));
    }

    #[test]
    fn ages_count_from_the_slice_and_end_at_the_first() {
        let moment = Moment::FIRST.after(5);
        assert_eq!(
            [0, 5, 6, 125].map(|age| moment.slices_ago(age)),
            [5, 0, 0, 0]
        );
        assert_eq!(moment.since(Moment::FIRST.after(2)), 3);
        assert_eq!(Moment::FIRST.after(126).stamp(), stamp::FIRST);
    }

    #[test]
    fn what_rests_is_counted_where_there_is_a_cap_on_it() {
        let hold_down = Duration::from_secs(1);
        for (clock, counting) in [
            (Clock::new(hold_down), false),
            (Clock::new(hold_down).counting(true), true),
        ] {
            assert_eq!(clock.is_counting(), counting);
            clock.count_cooled();
            clock.count_cooled();
            assert_eq!(clock.cooling(), if counting { 2 } else { 0 });
            if counting {
                clock.count_warmed(2);
            }
            assert_eq!(clock.cooling(), 0);
        }
    }

    #[test]
    fn a_release_is_plain_where_it_rests_uncounted() {
        let plain = |hold_down, counting| {
            let clock = Clock::new(Duration::from_millis(hold_down)).counting(counting);
            clock.bring(Tick::from_millis(70));
            assert_eq!(clock.rest() > 0, hold_down > 0);
            match clock.plain_moment() {
                Moment::NEVER => false,
                moment => moment == clock.moment(),
            }
        };
        assert!(plain(16, false));
        assert!(!plain(16, true));
        assert!(!plain(0, false));
        assert!(!plain(0, true));
    }
}
