//! Batches whose grace period is over, and whose it is to recycle them.
//!
//! The epoch runs deferred work on whichever thread collects. Were the blocks recycled there, their
//! lines would go to a core that has no use for them; so what is deferred only says that a batch is
//! ripe, and the shard that filled it recycles it at its next burst. A shard that is away (it called
//! `idle`, or was dropped) has nobody to do that, and then the collecting thread does it. One word says
//! both, so that no batch is left to somebody who just left.
//!
//! ```text
//!   collecting thread                     the shard
//!   ripen: set bit                        come:  set PRESENT
//!     PRESENT was set: leave it           take:  clear one bit, recycle
//!     it was not:      take and recycle   leave: clear everything, recycle what was set
//! ```

use crate::planted::{self, Bug};
use crate::sync::Word;

/// Whether the shard has bursts.
const PRESENT: u64 = 1 << 63;

/// The ripe batches of a shard, a bit each.
#[derive(Debug, Default)]
pub struct Ripe(Word);

impl Ripe {
    /// Whether there is nothing to do for a shard that has bursts.
    #[inline]
    pub(crate) fn is_quiet(&self) -> bool {
        self.0.get() == PRESENT
    }

    /// The shard has bursts from now on.
    pub(crate) fn come(&self) {
        if planted::on(Bug::ComesOverWhatIsRipe) {
            self.0.set(PRESENT);
        } else if self.0.get() & PRESENT == 0 {
            self.0.set_bits(PRESENT);
        }
    }

    /// The grace period of a batch is over; whether the caller is to recycle it.
    pub(crate) fn ripen(&self, batch: usize) -> bool {
        let bit = 1 << batch;
        let looked = planted::on(Bug::RipensAfterTheLook).then(|| self.0.get());
        let seen = self.0.set_bits(bit);
        let away = looked.unwrap_or(seen) & PRESENT == 0;
        // Unless somebody took it meanwhile.
        away && self.take(bit) != 0
    }

    /// Takes one batch, if any is ripe; the caller recycles it.
    pub(crate) fn take_one(&self) -> Option<usize> {
        let ripe = self.0.get() & !PRESENT;
        let first = ripe & ripe.wrapping_neg();
        (first != 0 && self.take(first) != 0).then(|| first.trailing_zeros() as usize)
    }

    /// Takes one bit, or none if somebody else did.
    fn take(&self, bit: u64) -> u64 {
        self.0.clear_bits(bit) & bit
    }

    /// The shard has no bursts for now; the caller recycles those batches.
    pub(crate) fn leave(&self) -> impl Iterator<Item = usize> + use<> {
        let ripe = self.0.clear_bits(u64::MAX) & !PRESENT;
        (0..63).filter(move |batch| ripe & 1 << batch != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_for_the_shard_while_it_is_there() {
        let ripe = Ripe::default();
        assert!(!ripe.is_quiet(), "it has not come yet");
        assert!(ripe.ripen(3), "nobody is there");
        assert_eq!(ripe.take_one(), None);
        ripe.come();
        ripe.come();
        assert!(ripe.is_quiet());
        for batch in [5, 3, 15] {
            assert!(!ripe.ripen(batch));
            assert!(!ripe.is_quiet());
        }
        assert_eq!(ripe.take_one(), Some(3));
        assert_eq!(ripe.take(1 << 3), 0, "taken already");
        assert_eq!(ripe.leave().collect::<Vec<_>>(), [5, 15]);
        assert_eq!(ripe.leave().count(), 0);
        assert!(ripe.ripen(15), "nobody is there");
        ripe.come();
        assert!(ripe.is_quiet(), "taken by whoever ripened it");
    }
}
