//! Taking ports of an assigned block, which no shard owns.
//!
//! The byte of a port is its lock. Whoever wants a port that is nobody's and has rested wins the
//! byte by compare-and-swap, from what it judged to its own mark. Nobody else can win a byte that
//! bears a mark, so the tag is the winner's to write, and so is the byte, to give the port back.

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
        // From now on any shard may write them, without saying so.
        self.block.tags_dirty.set(true);
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
        let mut left = self.look().nobodys().and(wanted);
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
        let byte = self.win(port, stamp::of_owner(shard), clock)?;
        if clock.is_counting() && byte != stamp::IDLE {
            clock.count_warmed(1);
        }
        // If a token of an earlier lease is about, that lease was given back by it, and it finds the
        // tag odd until now and another one from now on.
        let place = self.base + port;
        let tag = self.cold.tags.get(place);
        self.cold.tags.set(place, (tag | 1).wrapping_add(1));
        Some(Taken { port })
    }

    /// Wins the byte of a port that is nobody's and has rested, and says what it was. Until the
    /// winner writes it again nobody else can take the port.
    fn win(&self, port: usize, mark: u8, clock: &Clock) -> Option<u8> {
        let place = self.base + port;
        let early = planted::on(Bug::TakeReadsTheTimeFirst).then(|| clock.moment());
        let can_be_had = |byte| {
            planted::on(Bug::TakeOfAHeldPort)
                || self.is_rested(byte, early.unwrap_or_else(|| clock.moment()), clock)
        };
        let byte = self.cold.stamps.acquire(place);
        if !can_be_had(byte) {
            return None;
        }
        if planted::on(Bug::TakeWithoutStamp) {
            self.cold.stamps.set(place, mark);
        } else if !self.cold.stamps.exchange(place, byte, mark) {
            return None;
        }
        // The byte won may have been written after the look, with a stamp that has come round.
        if can_be_had(byte) {
            return Some(byte);
        }
        self.cold.stamps.publish(place, byte);
        None
    }

    /// Forgets the stamp of a port if it has rested; whether it had one.
    pub(super) fn forget(&self, port: usize, clock: &Clock) -> bool {
        if self.cold.stamps.get(self.base + port) == stamp::IDLE {
            return false;
        }
        let won = self.win(port, stamp::FORGETTING, clock);
        if won.is_some() {
            self.cold.stamps.publish(self.base + port, stamp::IDLE);
        }
        won.is_some_and(|byte| byte != stamp::IDLE)
    }

    /// Puts back a port taken in vain. It had rested, and was counted so: it bears no stamp again.
    pub(crate) fn put_back_taken(&self, taken: Taken) {
        self.give_back_idle(taken.port);
    }

    /// Those of these ports that are nobody's and have rested.
    pub(crate) fn at_rest(&self, clock: &Clock, ports: &Mask) -> Mask {
        self.rest(clock, clock.rest()).rested.and(ports)
    }

    /// Whether each of these ports is nobody's and has rested.
    pub(crate) fn is_at_rest(&self, clock: &Clock, ports: &Mask) -> bool {
        self.at_rest(clock, ports) == *ports
    }
}
