//! Engine time.

use std::fmt;
use std::time::Duration;

/// A moment of engine time: milliseconds of one clock shared by all shards.
///
/// The engine never reads a clock. Its time is the largest tick any burst has brought; a smaller
/// one counts as that and is counted in [`Stats::ticks_backwards`](crate::Stats).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Tick(u64);

impl Tick {
    /// The beginning of engine time.
    pub const ZERO: Tick = Tick(0);

    /// A tick of so many milliseconds.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Tick(millis)
    }

    /// The milliseconds of this tick.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// This tick and `after` later; stays at the last representable tick instead of wrapping.
    #[must_use]
    pub const fn saturating_add(self, after: Duration) -> Self {
        let millis = after.as_millis();
        let millis = if millis > u64::MAX as u128 {
            u64::MAX
        } else {
            millis as u64
        };
        Tick(self.0.saturating_add(millis))
    }
}

impl fmt::Display for Tick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.0)
    }
}
