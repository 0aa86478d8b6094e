//! The state word of a block and its transitions, as pure functions on a copy.
//!
//! ```text
//!                claim                      cool
//!        Free ----------> Heating(shard) ----------> Cooling
//!         ^  <----------                 <----------  |  |
//!         |    abandon                     reheat     |  | condemn
//!         |                                           v  v
//!         +------------------ recycle ------ Cooling, condemned
//!                            (generation + 1, a grace period later)
//!
//!                claim                      assign               condemn
//!        Free ----------> Heating(shard) ----------> Assigned ------------> Assigned, condemned
//!         ^                                             <------------------  |
//!         |                                                    pardon       |
//!         +------------------------------- recycle --------------------------+
//! ```

use crate::id::ShardId;

/// What a block is being used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Phase {
    /// Every port is nobody's; any shard may claim the block.
    Free = 0,
    /// One shard allocates from it; only that shard may take ports or move the phase.
    Heating = 1,
    /// Handed out: ports come back one by one and rest.
    Cooling = 2,
    /// Its ports belong to subscribers; any shard takes them, each by winning its stamp.
    Assigned = 10,
}

const PHASE: u64 = 0b1011;
const CONDEMNED: u64 = 0b0100;
const PHASE_AND_CONDEMNED: u64 = 0b1111;
const SHARD_SHIFT: u32 = 8;
const SHARD: u64 = 0xff00;
const GENERATION_SHIFT: u32 = 32;

/// The packed state word: phase in bits 0-1 and 3, condemned in bit 2, the shard that heated it last in
/// bits 8-15, the generation in bits 32-63.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlockState(u64);

impl BlockState {
    /// A free block of this generation.
    #[must_use]
    pub fn free(generation: u32) -> Self {
        BlockState(u64::from(generation) << GENERATION_SHIFT)
    }

    /// The state of a word.
    #[must_use]
    pub fn from_bits(bits: u64) -> Self {
        BlockState(bits)
    }

    /// The word.
    #[must_use]
    pub fn to_bits(self) -> u64 {
        self.0
    }

    /// The phase.
    #[must_use]
    pub fn phase(self) -> Phase {
        match self.0 & PHASE {
            0 => Phase::Free,
            1 => Phase::Heating,
            2 => Phase::Cooling,
            _ => Phase::Assigned,
        }
    }

    /// Whether its ports come back and rest while nobody heats it.
    #[must_use]
    pub fn is_handed_out(self) -> bool {
        // Cooling and assigned differ in bit 3 only.
        self.0 & 0b11 == Phase::Cooling as u64
    }

    /// Whether a reclaimer found it empty and deferred its recycling to the epoch.
    #[must_use]
    pub fn is_condemned(self) -> bool {
        self.0 & CONDEMNED != 0
    }

    /// The shard that heats it, or heated it last.
    #[must_use]
    pub fn shard(self) -> ShardId {
        ShardId((self.0 >> SHARD_SHIFT) as u8)
    }

    /// How often the block was recycled, modulo 2^32.
    #[must_use]
    pub fn generation(self) -> u32 {
        (self.0 >> GENERATION_SHIFT) as u32
    }

    fn with(self, phase: Phase) -> Self {
        BlockState((self.0 & !PHASE_AND_CONDEMNED) + phase as u64)
    }

    fn by(self, shard: ShardId) -> Self {
        BlockState((self.0 & !SHARD) + (u64::from(shard.0) << SHARD_SHIFT))
    }

    /// Free to heating: the shard owns it.
    #[must_use]
    pub fn claim(self, shard: ShardId) -> Option<Self> {
        match self.phase() {
            Phase::Free => Some(self.with(Phase::Heating).by(shard)),
            _ => None,
        }
    }

    /// Heating back to free in the same generation: nothing was ever issued from it.
    #[must_use]
    pub fn abandon(self, shard: ShardId) -> Option<Self> {
        if self.is_heated_by(shard) {
            Some(self.with(Phase::Free))
        } else {
            None
        }
    }

    /// Heating to cooling, by its owner.
    #[must_use]
    pub fn cool(self, shard: ShardId) -> Option<Self> {
        if self.is_heated_by(shard) {
            Some(self.with(Phase::Cooling))
        } else {
            None
        }
    }

    /// Cooling, condemned or not, to heating: the shard owns it, the generation stays.
    #[must_use]
    pub fn reheat(self, shard: ShardId) -> Option<Self> {
        match self.phase() {
            Phase::Cooling => Some(self.with(Phase::Heating).by(shard)),
            _ => None,
        }
    }

    /// Heating to assigned, by its owner.
    #[must_use]
    pub fn assign(self, shard: ShardId) -> Option<Self> {
        if self.is_heated_by(shard) {
            Some(self.with(Phase::Assigned))
        } else {
            None
        }
    }

    /// Marks a cooling or assigned block for recycling; exactly one reclaimer wins this.
    #[must_use]
    pub fn condemn(self) -> Option<Self> {
        match self.phase() {
            Phase::Cooling | Phase::Assigned if !self.is_condemned() => {
                Some(BlockState(self.0 + CONDEMNED))
            }
            _ => None,
        }
    }

    /// Takes the mark back: the block was not empty after all.
    #[must_use]
    pub fn pardon(self) -> Option<Self> {
        match self.phase() {
            Phase::Cooling | Phase::Assigned if self.is_condemned() => {
                Some(BlockState(self.0 - CONDEMNED))
            }
            _ => None,
        }
    }

    /// A condemned block to free, in the next generation, after its grace period.
    #[must_use]
    pub fn recycle(self) -> Option<Self> {
        match self.phase() {
            Phase::Cooling | Phase::Assigned if self.is_condemned() => {
                Some(BlockState::free(self.generation().wrapping_add(1)))
            }
            _ => None,
        }
    }

    /// Whether it is this shard that heats it.
    #[must_use]
    pub fn is_heated_by(self, shard: ShardId) -> bool {
        self.phase() == Phase::Heating && self.shard() == shard
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: ShardId = ShardId(3);
    const YOU: ShardId = ShardId(127);

    /// Every shape of state word a block can be in, for a few shards and generations.
    fn every_state() -> Vec<BlockState> {
        let mut states = Vec::new();
        for generation in [0, 1, 77, u32::MAX] {
            let free = BlockState::free(generation);
            states.push(free);
            for shard in [ShardId(0), ME, YOU] {
                let heating = free.claim(shard).unwrap();
                let cooling = heating.cool(shard).unwrap();
                states.extend([heating, cooling, cooling.condemn().unwrap()]);
                let assigned = heating.assign(shard).unwrap();
                states.extend([assigned, assigned.condemn().unwrap()]);
            }
        }
        states
    }

    #[test]
    fn each_transition_leaves_exactly_the_phases_it_may() {
        for state in every_state() {
            let (phase, condemned) = (state.phase(), state.is_condemned());
            let mine = phase == Phase::Heating && state.shard() == ME;
            let cooling = phase == Phase::Cooling;
            let given = cooling || phase == Phase::Assigned;
            assert_eq!(state.is_handed_out(), given, "{state:?}");
            assert_eq!(state.claim(ME).is_some(), phase == Phase::Free, "{state:?}");
            assert_eq!(state.abandon(ME).is_some(), mine, "{state:?}");
            assert_eq!(state.cool(ME).is_some(), mine, "{state:?}");
            assert_eq!(state.assign(ME).is_some(), mine, "{state:?}");
            assert_eq!(state.reheat(ME).is_some(), cooling, "{state:?}");
            assert_eq!(state.condemn().is_some(), given && !condemned, "{state:?}");
            assert_eq!(state.pardon().is_some(), given && condemned, "{state:?}");
            assert_eq!(state.recycle().is_some(), given && condemned, "{state:?}");
        }
    }

    #[test]
    fn each_transition_goes_where_it_says_and_keeps_the_rest() {
        for state in every_state() {
            let generation = state.generation();
            for (next, phase, condemned, shard) in [
                (state.claim(ME), Phase::Heating, false, ME),
                (state.abandon(ME), Phase::Free, false, ME),
                (state.cool(ME), Phase::Cooling, false, ME),
                (state.reheat(ME), Phase::Heating, false, ME),
                (state.assign(ME), Phase::Assigned, false, ME),
                (state.condemn(), state.phase(), true, state.shard()),
                (state.pardon(), state.phase(), false, state.shard()),
            ] {
                let Some(next) = next else { continue };
                assert_eq!(next.phase(), phase, "{state:?}");
                assert_eq!(next.is_condemned(), condemned, "{state:?}");
                assert_eq!(next.shard(), shard, "{state:?}");
                assert_eq!(next.generation(), generation, "{state:?}");
                assert_ne!(next, state);
            }
            if let Some(next) = state.recycle() {
                assert_eq!(next, BlockState::free(generation.wrapping_add(1)));
            }
        }
    }

    #[test]
    fn the_word_of_a_state_is_laid_out_as_it_says() {
        let heating = BlockState::free(0xabcd_ef01).claim(YOU).unwrap();
        assert_eq!(heating.to_bits(), 0xabcd_ef01_0000_7f01);
        let cooling = heating.cool(YOU).unwrap();
        assert_eq!(cooling.to_bits(), 0xabcd_ef01_0000_7f02);
        let condemned = heating.assign(YOU).unwrap().condemn().unwrap();
        assert_eq!(condemned.to_bits(), 0xabcd_ef01_0000_7f0e);
        for state in every_state() {
            assert_eq!(BlockState::from_bits(state.to_bits()), state);
        }
    }

    #[test]
    fn a_shard_cannot_move_a_block_that_another_heats() {
        let theirs = BlockState::free(1).claim(YOU).unwrap();
        assert_eq!(theirs.cool(ME), None);
        assert_eq!(theirs.abandon(ME), None);
        assert_eq!(theirs.claim(ME), None);
        assert_eq!(theirs.reheat(ME), None);
    }
}
