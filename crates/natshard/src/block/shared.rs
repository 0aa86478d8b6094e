//! Taking ports of an assigned block, which no shard owns.
//!
//! The stamp of a port is its lock. Whoever wants a port that is nobody's (its bit is one) and has
//! rested (its stamp says so) wins the stamp by compare-and-swap, from what it judged to its own
//! mark, and only then clears the bit. If the bit was clear already, a release is under way that
//! has written its stamp and not yet set its bit: the stamp is put back. Nobody else can win a
//! stamp that bears a mark, so tag and bit are the winner's to write. Giving back what was taken
//! in vain sets the bit first and the stamp, which is the lock, last.

use crate::block::{BlockRef, BlockState, Mask, Phase};
use crate::clock::{Clock, stamp};
use crate::id::ShardId;
use crate::planted::{self, Bug};

/// A port taken out of an assigned block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Taken {
    pub(crate) port: usize,
}

/// How often a port is drawn blindly before all are looked at.
const DRAWS: u32 = 8;

impl BlockRef<'_> {
    /// Heating to assigned; the owner's last step. The block was just claimed and nothing taken.
    pub(crate) fn assign(&self, shard: ShardId) -> bool {
        // From now on any shard may write both, without saying so.
        self.block.tags_dirty.set(true);
        self.block.stamps_dirty.set(true);
        self.transition(|state| state.assign(shard)).is_some()
    }

    /// Sees to it that an assigned block is not recycled during the caller's burst; `false` when
    /// it is no longer assigned.
    ///
    /// A condemnation from here on waits for the burst, and one deferral at most is outstanding:
    /// what was condemned before cannot be recycled in its stead.
    pub(crate) fn keep_assigned(&self) -> bool {
        loop {
            let state = self.state();
            match (state.phase(), state.is_condemned()) {
                (Phase::Assigned, false) => return true,
                (Phase::Assigned, true) => {
                    self.transition(BlockState::pardon);
                }
                _ => return false,
            }
        }
    }

    /// [`condemn`](Self::condemn), unless the block turns out to be somebody's *after* the mark:
    /// whoever claims something of it before that has to see it kept.
    pub(crate) fn condemn_unless(&self, clock: &Clock, owned: impl Fn() -> bool) -> bool {
        if planted::on(Bug::CondemnLooksAtOwnersFirst) {
            return !owned() && self.condemn(clock);
        }
        if !self.condemn(clock) {
            return false;
        }
        if owned() {
            self.keep_assigned();
        }
        self.state().is_condemned()
    }

    /// Takes one of these ports that has rested, drawn evenly by `draw` (a number below its
    /// argument). The caller has called [`keep_assigned`](Self::keep_assigned) in this burst, and
    /// afterwards looks whether the port was its to take.
    pub(crate) fn take_shared(
        &self,
        shard: ShardId,
        clock: &Clock,
        wanted: &Mask,
        mut draw: impl FnMut(u32) -> u32,
    ) -> Option<Taken> {
        let mut left = self.bits().and(wanted);
        let mut draws = 0;
        while !left.is_empty() {
            let port = left.nth(draw(left.count()))?;
            match self.try_take(port, shard, clock) {
                Some(taken) => return Some(taken),
                // Even, because what is thrown away was not leasable.
                None => left.remove(port),
            }
            draws += 1;
            if draws == DRAWS {
                left = self.at_rest(clock, &left);
            }
        }
        None
    }

    /// Takes this port if it is nobody's and has rested.
    pub(crate) fn try_take(&self, port: usize, shard: ShardId, clock: &Clock) -> Option<Taken> {
        let stamp = self.win(port, stamp::of_owner(shard), clock)?;
        if clock.is_counting() && stamp != stamp::NONE {
            clock.count_warmed(1);
        }
        let place = self.base + port;
        let tag = self.cold.tags.get(place);
        // Before the bit: a stale token that finds the port leased finds the new tag.
        self.cold.tags.set(place, (tag | 1).wrapping_add(1));
        self.block.bits[port / 64].clear_bits(1 << (port % 64));
        Some(Taken { port })
    }

    /// Wins the stamp of a port that is nobody's and has rested, and says what it was. Until the
    /// winner writes it again nobody else can take the port.
    fn win(&self, port: usize, mark: u8, clock: &Clock) -> Option<u8> {
        let place = self.base + port;
        let stamp = self.cold.stamps.acquire(place);
        if !self.is_rested(stamp, clock) {
            return None;
        }
        if planted::on(Bug::TakeWithoutStamp) {
            self.cold.stamps.set(place, mark);
        } else if !self.cold.stamps.exchange(place, stamp, mark) {
            return None;
        }
        // A release writes its stamp, then raises the latest release of the block, then sets the
        // bit. Where the bit is set, all of that is over, and the stamp can be judged for good.
        let released = self.block.bits[port / 64].get() & (1 << (port % 64)) != 0;
        let released = released || planted::on(Bug::TakeOfAPortUnderRelease);
        if released && (planted::on(Bug::TakeJudgesRestOnce) || self.is_rested(stamp, clock)) {
            return Some(stamp);
        }
        self.cold.stamps.publish(place, stamp);
        None
    }

    /// Forgets the stamp of a port if it has rested; whether it had one.
    pub(super) fn forget(&self, port: usize, clock: &Clock) -> bool {
        if self.cold.stamps.get(self.base + port) == stamp::NONE {
            return false;
        }
        let won = self.win(port, stamp::FORGETTING, clock);
        if let Some(stamp) = won {
            self.cold.stamps.publish(self.base + port, stamp::NONE);
            return stamp != stamp::NONE;
        }
        false
    }

    /// Puts back a port taken in vain. It had rested, and was counted so: it bears no stamp again.
    pub(crate) fn put_back_taken(&self, taken: Taken) {
        let Taken { port } = taken;
        self.block.bits[port / 64].set_bits(1 << (port % 64));
        self.cold.stamps.publish(self.base + port, stamp::NONE);
    }

    /// Those of these ports that are nobody's and have rested.
    pub(crate) fn at_rest(&self, clock: &Clock, ports: &Mask) -> Mask {
        let released = self.bits().and(ports);
        let rested = released.iter().filter(|&port| {
            let stamp = self.cold.stamps.acquire(self.base + port);
            self.is_rested(stamp, clock)
        });
        rested.collect()
    }

    /// Whether each of these ports is nobody's and has rested.
    pub(crate) fn is_at_rest(&self, clock: &Clock, ports: &Mask) -> bool {
        self.at_rest(clock, ports) == *ports
    }
}
