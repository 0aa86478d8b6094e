//! Counters of one function instance.

use natshard::AllocError;

use crate::reason::{DropReason, EndReason, UntouchedReason};
use crate::verdict::{Direction, Verdict};

/// Counters of one function instance. A held fragment is counted when it gets its final verdict,
/// so that `packets` always is the sum of the verdicts plus what is being held.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NatStats {
    /// Packets given to `process`.
    pub packets: u64,
    /// Translated, in the order of [`Direction::ALL`].
    pub translated: [u64; 3],
    /// Untouched, in the order of [`UntouchedReason::ALL`].
    pub untouched: [u64; UntouchedReason::COUNT],
    /// Dropped, in the order of [`DropReason::ALL`].
    pub dropped: [u64; DropReason::COUNT],
    /// Fragments held at this moment.
    pub held: u64,
    /// Sessions begun.
    pub sessions_created: u64,
    /// Sessions ended, in the order of [`EndReason::ALL`].
    pub sessions_ended: [u64; EndReason::COUNT],
    /// The most sessions there were at once.
    pub sessions_peak: u64,
    /// Leases taken.
    pub leases_allocated: u64,
    /// Leases given back.
    pub leases_released: u64,
    /// The most leases there were at once.
    pub leases_peak: u64,
    /// Leases refused, in the order of [`AllocError::ALL`].
    pub leases_refused: [u64; AllocError::ALL.len()],
    /// Bursts whose tick lay before an earlier one.
    pub ticks_backwards: u64,
}

impl NatStats {
    /// Translated in that direction.
    #[must_use]
    pub const fn translated(&self, direction: Direction) -> u64 {
        self.translated[direction.as_index()]
    }

    /// Untouched for that reason.
    #[must_use]
    pub const fn untouched(&self, reason: UntouchedReason) -> u64 {
        self.untouched[reason.as_index()]
    }

    /// Dropped for that reason.
    #[must_use]
    pub const fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped[reason.as_index()]
    }

    /// Sessions ended for that reason.
    #[must_use]
    pub const fn sessions_ended(&self, reason: EndReason) -> u64 {
        self.sessions_ended[reason.as_index()]
    }

    /// Leases refused for that reason.
    #[must_use]
    pub const fn leases_refused(&self, reason: AllocError) -> u64 {
        self.leases_refused[reason as usize]
    }

    pub(crate) const fn count(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Translated { direction, .. } => self.translated[direction.as_index()] += 1,
            Verdict::Untouched(reason) => self.untouched[reason.as_index()] += 1,
            Verdict::Dropped(reason) => self.dropped[reason.as_index()] += 1,
            Verdict::Held => self.held += 1,
        }
    }
}
