//! Who owns the port blocks of a page.
//!
//! The owner word of a port block's first quarter says whose it is; the words of its other
//! quarters say that they are taken.
//!
//! # Protocol
//!
//! * **Claim** ([`Titles::claim_in`]): the first word from nobody's to the account's, then the
//!   others; then the block must be assigned, and stay so ([`BlockRef::keep_assigned`]). The
//!   account remembers the port block last, after the assignment was told.
//! * **Take** ([`Titles::take`]): [`BlockRef::take_shared`], then look at the first word again: if
//!   it is the account's, the port is; if it is being given back, that is undone first; else the
//!   port is put back.
//! * **Give back**: the first word is marked, *then* every port must be nobody's and rested, else
//!   the mark is taken back. Marking and taking wait for nothing: whoever comes second undoes the
//!   other. A version in the word tells one marking from the next. Before others can have it the
//!   account forgets it; one that it does not remember is still being assigned, and stays.
//! * The block is recycled once no word is owned, looked at after it was condemned
//!   ([`BlockRef::condemn_unless`]).

use crate::block::{BlockRef, Mask, Taken};
use crate::clock::Clock;
use crate::fair::unit::{QUARTERS, Unit};
use crate::fields::join;
use crate::hints::BLOCKS;
use crate::id::ShardId;
use crate::planted::{self, Bug};
use crate::sync::Word;

/// Who owns a port block: nobody (zero), a reservation, or an account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Owner(u32);

impl Owner {
    pub(crate) const NOBODY: Owner = Owner(0);
    /// Leases made by [`Burst::reserve`](crate::Burst::reserve).
    pub(crate) const RESERVED: Owner = Owner(u32::MAX);
    /// Being given back, and owned no more.
    const LEAVING: Owner = Owner(u32::MAX - 1);
    /// Nobody's, and no port block to be had when the block was cut up: every port excluded, or
    /// of deterministic ranges.
    const NOTHING: Owner = Owner(u32::MAX - 2);

    pub(crate) const fn account(number: u32) -> Self {
        Owner(number + 1)
    }

    /// Whether it can be claimed.
    fn is_free(self) -> bool {
        self == Owner::NOBODY || self == Owner::NOTHING
    }

    /// The account's number, if it is an account.
    pub(crate) fn number(self) -> Option<u32> {
        let number = self.0.checked_sub(1)?;
        (number < Owner::NOTHING.0 - 1).then_some(number)
    }
}

/// An owner word: owner in bits 0-31, whether it is being given back in bit 32, and a version
/// that every change raises in bits 33-63.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Title(u64);

const GIVING: u64 = 1 << 32;
const VERSION: u64 = 1 << 33;

impl Title {
    fn owner(self) -> Owner {
        Owner(self.0 as u32)
    }

    fn is_giving(self) -> bool {
        self.0 & GIVING != 0
    }

    fn next(self, owner: Owner, giving: bool) -> Self {
        let version = (self.0 & !(VERSION - 1)).wrapping_add(VERSION);
        let giving = if giving { GIVING } else { 0 };
        Title(join([version, giving, u64::from(owner.0)]))
    }
}

/// Why a port block could not be claimed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unclaimed {
    /// It is somebody's.
    Owned,
    /// The block is assigned no longer.
    Recycled,
}

/// Why no port was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Missed {
    /// The port block is not the owner's, or has no rested port of those.
    Nothing,
    /// One was taken before it showed that the port block is the owner's no longer, and was put
    /// back: the block is to be settled.
    PutBack,
}

/// The owner words of a page.
#[derive(Debug)]
pub(crate) struct Titles(Box<[Word]>);

impl Titles {
    pub(crate) fn new() -> Self {
        Titles((0..BLOCKS * QUARTERS).map(|_| Word::new(0)).collect())
    }

    fn word(&self, block: usize, quarter: usize) -> &Word {
        &self.0[block * QUARTERS + quarter]
    }

    /// Who owns a quarter.
    pub(crate) fn owner(&self, block: usize, quarter: usize) -> Owner {
        Title(self.word(block, quarter).get()).owner()
    }

    /// Whether nobody owns any quarter of a block.
    pub(crate) fn is_unowned(&self, block: usize) -> bool {
        (0..QUARTERS).all(|quarter| self.owner(block, quarter).is_free())
    }

    /// Whether a quarter has an owner who could give it back.
    pub(crate) fn is_held(&self, block: usize, quarter: usize) -> bool {
        let owner = self.owner(block, quarter);
        owner == Owner::RESERVED || owner.number().is_some()
    }

    /// Whether some quarter is worth a look by whoever wants a port block.
    pub(crate) fn has_room(&self, block: usize) -> bool {
        (0..QUARTERS).any(|quarter| self.owner(block, quarter) == Owner::NOBODY)
    }

    /// Whether a port block can be claimed.
    pub(crate) fn is_free(&self, unit: Unit) -> bool {
        let mut quarters = unit.quarters();
        quarters.all(|quarter| self.owner(unit.block, quarter).is_free())
    }

    /// Says which port blocks of a block are worth a look: those with some port of `ports`. The
    /// caller heats the block, so that only claims which are about to be undone meet this.
    pub(crate) fn lay_out(&self, block: usize, size: u16, ports: &Mask) {
        for unit in Unit::all(block, size) {
            let owner = if unit.ports().and(ports).is_empty() {
                Owner::NOTHING
            } else {
                Owner::NOBODY
            };
            for quarter in unit.quarters() {
                let word = self.word(block, quarter);
                let seen = Title(word.get());
                if seen.owner().is_free() && seen.owner() != owner {
                    let _ = word.exchange(seen.0, seen.next(owner, false).0);
                }
            }
        }
    }

    /// Says that every quarter of a block that is nobody's is worth a look: what can be claimed is
    /// another matter from now on.
    pub(crate) fn look_again(&self, block: usize) {
        for quarter in 0..QUARTERS {
            let word = self.word(block, quarter);
            let seen = Title(word.get());
            if seen.owner() == Owner::NOTHING {
                // Whoever is faster claims it.
                let _ = word.exchange(seen.0, seen.next(Owner::NOBODY, false).0);
            }
        }
    }

    /// Claims a port block of a block that is assigned, and keeps it so during this burst.
    pub(crate) fn claim_in(
        &self,
        unit: Unit,
        owner: Owner,
        here: BlockRef<'_>,
    ) -> Result<(), Unclaimed> {
        if !self.claim(unit, owner) {
            return Err(Unclaimed::Owned);
        }
        if !planted::on(Bug::ClaimWithoutKeeping) && !here.keep_assigned() {
            self.disclaim(unit);
            return Err(Unclaimed::Recycled);
        }
        Ok(())
    }

    /// Claims the quarters of a port block for an owner; all or none.
    fn claim(&self, unit: Unit, owner: Owner) -> bool {
        for (done, quarter) in unit.quarters().enumerate() {
            let word = self.word(unit.block, quarter);
            let seen = Title(word.get());
            let new = seen.next(owner, false);
            let won = seen.owner().is_free()
                && if planted::on(Bug::ClaimChecksThenSets) {
                    word.set(new.0);
                    true
                } else {
                    word.exchange(seen.0, new.0).is_ok()
                };
            if !won {
                let undone = if planted::on(Bug::ClaimUndoesTheWhole) {
                    unit.count
                } else if planted::on(Bug::ClaimLeavesItsFirst) {
                    0
                } else {
                    done
                };
                for quarter in unit.quarters().take(undone) {
                    self.vacate(unit.block, quarter);
                }
                return false;
            }
        }
        true
    }

    /// Makes a quarter nobody's. Only for one that the caller alone can change.
    fn vacate(&self, block: usize, quarter: usize) {
        let word = self.word(block, quarter);
        word.set(Title(word.get()).next(Owner::NOBODY, false).0);
    }

    /// Undoes a claim of a block that turned out not to be assigned.
    fn disclaim(&self, unit: Unit) {
        for quarter in unit.quarters().rev() {
            self.vacate(unit.block, quarter);
        }
    }

    /// Whether a port block is this owner's, and stays so: a giving back under way is undone.
    pub(crate) fn is_owned(&self, unit: Unit, owner: Owner) -> bool {
        let word = self.word(unit.block, unit.first);
        loop {
            let seen = Title(word.get());
            if seen.owner() != owner {
                return false;
            }
            if !seen.is_giving() {
                return true;
            }
            // The one giving it back finds the version changed.
            if word.exchange(seen.0, seen.next(owner, false).0).is_ok() {
                return true;
            }
        }
    }

    /// Takes one of these ports, which lie in a port block, if that is this owner's. `ready` runs
    /// once it is certain that the block stays assigned during this burst; `draw` is as for
    /// [`BlockRef::take_shared`].
    #[inline]
    pub(crate) fn take(
        &self,
        unit: Unit,
        owner: Owner,
        here: BlockRef<'_>,
        (shard, clock): (ShardId, &Clock),
        wanted: &Mask,
        draw: impl FnMut(u32) -> u32,
    ) -> Result<Taken, Missed> {
        if wanted.is_empty() || !self.is_owned(unit, owner) || !here.keep_assigned() {
            return Err(Missed::Nothing);
        }
        let taken = here.take_shared(shard, clock, wanted, draw);
        let taken = taken.ok_or(Missed::Nothing)?;
        if !planted::on(Bug::TakeTrustsTheFirstLook) && !self.is_owned(unit, owner) {
            here.put_back_taken(taken);
            return Err(Missed::PutBack);
        }
        Ok(taken)
    }

    /// Gives a port block back if all of its ports are nobody's and have rested. `last` runs when
    /// that is certain and before anybody else can have it; if it says no, the owner keeps it.
    pub(crate) fn give_back(
        &self,
        unit: Unit,
        owner: Owner,
        here: BlockRef<'_>,
        clock: &Clock,
        last: impl FnOnce() -> bool,
    ) -> bool {
        if !here.is_at_rest(clock, &unit.ports()) {
            return false;
        }
        let word = self.word(unit.block, unit.first);
        let seen = Title(word.get());
        if seen.owner() != owner || seen.is_giving() {
            return false;
        }
        let lost = |old: Title, new: Title| {
            word.exchange(old.0, new.0).is_err() && !planted::on(Bug::GiveUnwon)
        };
        let giving = seen.next(owner, true);
        if lost(seen, giving) {
            return false;
        }
        if !planted::on(Bug::GiveWithoutRecheck) && !here.is_at_rest(clock, &unit.ports()) {
            if !planted::on(Bug::GiveLeavesItsMark) {
                let _ = word.exchange(giving.0, giving.next(owner, false).0);
            }
            return false;
        }
        let leaving = giving.next(Owner::LEAVING, false);
        if lost(giving, leaving) {
            return false;
        }
        if !last() && !planted::on(Bug::GiveWhatIsNotRemembered) {
            // Unless it is being disclaimed.
            let _ = word.exchange(leaving.0, leaving.next(owner, false).0);
            return false;
        }
        for quarter in unit.quarters().skip(1) {
            self.vacate(unit.block, quarter);
        }
        word.set(leaving.next(Owner::NOBODY, false).0);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_all_or_none() {
        let titles = Titles::new();
        let (me, you) = (Owner::account(1), Owner::account(2));
        let [first, second] = [0, 1].map(|index| Unit::all(3, 128).nth(index).unwrap());
        assert!(titles.claim(first, me));
        assert!(!titles.claim(first, you));
        let whole = Unit::all(3, 256).next().unwrap();
        assert!(!titles.claim(whole, you));
        assert!(
            titles.claim(second, you),
            "nothing of the failed claim is left"
        );
        assert_eq!(titles.owner(3, 3), you);
        assert!(titles.is_owned(first, me));
        assert!(!titles.is_owned(first, you));
        assert!(!titles.is_unowned(3));
        assert!(titles.is_unowned(4));
    }
}
