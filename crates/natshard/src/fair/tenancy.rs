//! For whom each block of a page is held.
//!
//! A block of a pool that keeps shares is counted to a class of that pool from the moment it is
//! claimed until it is free again, and **tenancy** is where that is remembered: pool, class, and
//! the generation of the block for which it holds.
//!
//! # Protocol
//!
//! * **Claim**: whoever won the block writes its tenancy over whatever is there, and gives back to
//!   the quota what it wrote over.
//! * **Free**: whoever recycled a block, or abandons it, takes the tenancy of that generation away
//!   and gives it back to the quota, unless a claim was faster, which then did.
//! * **Rebook** (a pool's addresses or tenants have changed): the owner of a block, or the one who
//!   reconfigures if the block is handed out, counts it where it belongs by now, writes that over
//!   what it saw, and looks at the block again: if its generation is over, it takes away what it
//!   wrote, as for a free block.
//!
//! Each change is one compare-and-swap, and the one that wins it settles what it replaced. The
//! generation keeps a late one from taking the next owner's tenancy for its own.

use crate::block::BlockState;
use crate::fair::quota::ClassNumber;
use crate::hints::BLOCKS;
use crate::id::PoolId;
use crate::planted::{self, Bug};
use crate::sync::Word;

/// For whom a block is held: bit 0 says whether for anybody, class in bits 8-15, pool in bits
/// 16-31, generation in bits 32-63.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Tenancy(u64);

impl Tenancy {
    /// Counted to nobody.
    pub(crate) const NONE: Tenancy = Tenancy(0);

    pub(crate) const fn new(pool: PoolId, class: ClassNumber, generation: u32) -> Self {
        Tenancy((generation as u64) << 32 | (pool.0 as u64) << 16 | (class as u64) << 8 | 1)
    }

    pub(crate) const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// The class it is counted to; zero, everybody else, where it is counted to nobody.
    pub(crate) const fn class(self) -> ClassNumber {
        (self.0 >> 8) as u8
    }

    pub(crate) const fn pool(self) -> PoolId {
        PoolId((self.0 >> 16) as u16)
    }

    const fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// The tenancies of the blocks of a page.
#[derive(Debug)]
pub(crate) struct Tenancies([Word; BLOCKS]);

impl Default for Tenancies {
    fn default() -> Self {
        Tenancies(std::array::from_fn(|_| Word::new(Tenancy::NONE.0)))
    }
}

impl Tenancies {
    pub(crate) fn get(&self, block: usize) -> Tenancy {
        Tenancy(self.0[block].get())
    }

    /// Writes a tenancy over whatever is there; what that was is the caller's to give back.
    pub(crate) fn replace(&self, block: usize, new: Tenancy) -> Tenancy {
        let word = &self.0[block];
        let mut old = word.get();
        while let Err(found) = word.exchange(old, new.0) {
            old = found;
        }
        Tenancy(old)
    }

    /// Counts a block that is handed out as `wanted` says of what it is counted as. `count` hears of
    /// a tenancy before it is written, `give` of one that is no longer there. Whether it changed.
    pub(crate) fn rebook(
        &self,
        block: usize,
        state: impl Fn() -> BlockState,
        wanted: impl Fn(Tenancy, u32) -> Tenancy,
        count: impl Fn(Tenancy),
        give: impl Fn(Tenancy),
    ) -> bool {
        loop {
            let seen = self.get(block);
            let now = state();
            if !now.is_handed_out() {
                return false;
            }
            // Of an earlier generation: somebody is about to take it away, or we do.
            let stale = seen.generation() != now.generation();
            let current = if stale { Tenancy::NONE } else { seen };
            let new = wanted(current, now.generation());
            if new == seen {
                return false;
            }
            count(new);
            if planted::on(Bug::RebookChecksThenSets) {
                self.0[block].set(new.0);
            } else if self.0[block].exchange(seen.0, new.0).is_err() {
                give(new);
                continue;
            }
            give(seen);
            if !planted::on(Bug::RebookTrustsTheFirstLook)
                && state().generation() != now.generation()
            {
                // Recycled meanwhile, by somebody who did not see this.
                give(self.remove(block, now.generation()));
            }
            return true;
        }
    }

    /// Takes away the tenancy of a generation that is over, if it is still there; it is the
    /// caller's to give back.
    pub(crate) fn remove(&self, block: usize, generation: u32) -> Tenancy {
        let word = &self.0[block];
        let mut old = word.get();
        loop {
            let seen = Tenancy(old);
            let late =
                seen.generation() != generation && !planted::on(Bug::TenancyWithoutGeneration);
            if seen.is_none() || late {
                return Tenancy::NONE;
            }
            match word.exchange(old, Tenancy::NONE.0) {
                Ok(()) => return seen,
                Err(found) => old = found,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenancy_says_what_was_put_into_it() {
        for pool in [0, 1, u16::MAX] {
            for class in [0, 1, 251] {
                for generation in [0, 7, u32::MAX] {
                    let tenancy = Tenancy::new(PoolId(pool), class, generation);
                    assert!(!tenancy.is_none());
                    assert_eq!(tenancy.pool(), PoolId(pool));
                    assert_eq!(tenancy.class(), class);
                    assert_eq!(tenancy.generation(), generation);
                }
            }
        }
        assert_eq!(Tenancy::NONE.class(), 0);
    }

    #[test]
    fn what_is_over_takes_only_its_own_away() {
        let tenancies = Tenancies::default();
        let (first, second) = (Tenancy::new(PoolId(1), 2, 4), Tenancy::new(PoolId(1), 2, 5));
        assert_eq!(tenancies.replace(3, first), Tenancy::NONE);
        assert_eq!(tenancies.remove(3, 5), Tenancy::NONE);
        // Claimed in the next generation before the last one was cleared away.
        assert_eq!(tenancies.replace(3, second), first);
        assert_eq!(tenancies.remove(3, 4), Tenancy::NONE);
        assert_eq!(tenancies.get(3), second);
        assert_eq!(tenancies.remove(3, 5), second);
        assert!(tenancies.get(3).is_none());
    }
}
