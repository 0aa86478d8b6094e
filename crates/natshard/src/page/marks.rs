//! The marks of a page's blocks: which are worth a visit, why, and by when.

use crate::block::{Mask, PORTS, Phase, Rest};
use crate::fair::{QUARTER, QUARTERS};
use crate::hints::{BlockSet, Hint};
use crate::planted::{self, Bug};

use super::Page;

impl Page {
    /// The class in whose tree of a region a mark of this block stands.
    fn class(&self, hint: Hint, block: usize) -> u8 {
        if hint.is_common() {
            return 0;
        }
        self.tenancy(block).class()
    }

    /// Those of `set` with a hint that one class is to look at.
    pub(crate) fn hinted_of(&self, class: u8, hint: Hint, set: &BlockSet) -> BlockSet {
        let hinted = self.hinted(hint, set);
        match self.tenancies() {
            _ if hint.is_common() => hinted,
            None if class == 0 => hinted,
            None => BlockSet::default(),
            Some(tenancies) => {
                let mut of_class = BlockSet::default();
                for block in hinted.iter() {
                    if tenancies.get(block).class() == class {
                        of_class.insert(block);
                    }
                }
                of_class
            }
        }
    }

    /// The blocks of `set` that have the hint.
    pub(crate) fn hinted(&self, hint: Hint, set: &BlockSet) -> BlockSet {
        self.hints.get(hint).and(set)
    }

    /// Sees to it that marks of this block need no memory later on.
    pub(crate) fn make_room(&self, block: usize, class: u8) {
        for member in self.record().members() {
            if class != 0 && member.blocks().contains(block) {
                member
                    .region
                    .tree(class)
                    .make_room(member.position as usize);
            }
        }
    }

    /// Says that a block is worth a visit; the caller made it so before.
    pub(crate) fn mark(&self, hint: Hint, block: usize) {
        self.hints.set(hint, block);
        // Read after the hint was set: whoever changes it settles the block afterwards.
        let class = self.class(hint, block);
        for member in self.record().members() {
            if member.blocks().contains(block) {
                member
                    .region
                    .tree(class)
                    .set(hint, member.position as usize);
            }
        }
    }

    /// Takes a mark back; the caller looks at the block again afterwards unless it owns it.
    pub(crate) fn unmark(&self, hint: Hint, block: usize) {
        if !self.hints.contains(hint, block) {
            return;
        }
        self.hints.clear(hint, block);
        let class = self.class(hint, block);
        for member in self.record().members() {
            if member.blocks().contains(block) {
                let position = member.position as usize;
                member.region.clear_if(class, hint, position, || {
                    self.hinted_of(class, hint, member.blocks()).is_empty()
                });
            }
        }
    }

    /// Says that something became leasable, after the marks that lead to it.
    pub(crate) fn announce(&self, block: usize) {
        let slice = self.ground.clock.slice();
        self.record().changes.announce(slice);
        for member in self.record().members() {
            if member.blocks().contains(block) {
                member.region.changes.announce(slice);
            }
        }
    }

    /// Makes the marks of a block say what its state and bytes say. Idempotent, for anybody
    /// pinned. Whatever is leasable is announced, so that a search under way looks again: the
    /// caller may have hidden the block while it held it.
    ///
    /// A block that is not free, and not about to be, always stands marked under some slice not
    /// later than the next release into it, or than the first of those that rest in it: a visitor
    /// comes when the rest of that slice is over, and marks it anew. So a release need tell
    /// nobody. What a visitor cannot see yet, a store under way on another core, was made in the
    /// slice he sees or the one before it, and he marks the block under that.
    pub(crate) fn settle(&self, block: usize) {
        let here = self.block(block);
        let clock = &self.ground.clock;
        loop {
            match here.state().phase() {
                Phase::Free => {
                    self.mark(Hint::FREE, block);
                    self.announce(block);
                    return;
                }
                // What it has to give is its owner's to say when it lets go.
                Phase::Heating => {
                    let before = clock.slice();
                    self.mark(Hint::resting(visit_slice(None, before)), block);
                    if clock.slice() == before {
                        return;
                    }
                    continue;
                }
                Phase::Assigned => {
                    if self.settle_assigned(block) {
                        return;
                    }
                    continue;
                }
                Phase::Cooling => {}
            }
            let before = clock.slice();
            self.sort(block, &here.rest(clock, clock.rest()), before, None);
            if clock.slice() == before {
                return;
            }
            // So much time may have passed meanwhile that the mark is taken for a later one.
        }
    }

    /// Marks a cooling block as a look at it says, which was taken in the slice `before` or later;
    /// says under which slice it is to be visited: that of the longest-resting of its ports, or as
    /// if none was resting yet. `visited`: the mark that led to it, and that is about to go.
    pub(crate) fn sort(
        &self,
        block: usize,
        rest: &Rest,
        before: u64,
        visited: Option<Hint>,
    ) -> u64 {
        // While it is on offer and can neither be recycled nor be half rested any sooner, whoever
        // takes it on sees for himself what else has rested by then.
        let waits = !rest.rested.is_empty() && 2 * (rest.released.count() as usize) < PORTS;
        let slice = visit_slice(rest.earliest.filter(|_| !waits), before);
        let visit = Hint::resting(slice);
        if !self.is_visited_by(block, before, slice, visited) {
            self.mark(visit, block);
        }
        if !rest.rested.is_empty() {
            if rest.is_over() && !self.block(block).hot().deferred.get() {
                // For the next sweep to condemn.
                self.mark(Hint::due(before, self.ground.clock.rest()), block);
            }
            self.offer(block, rest.rested.count() as usize);
        }
        slice
    }

    /// Whether blocks of it were ever held for somebody.
    pub(crate) fn keeps_books(&self) -> bool {
        self.titles().is_some() || self.tenancies().is_some()
    }

    /// Whether a block, looked at in the slice `before`, stands marked for a visit that is not due
    /// yet and comes no later than that of `slice`. Marks that are due do not count: somebody may
    /// have looked at the block already, and be about to take that mark away. (So old a mark that it
    /// is taken for one of them does count: it is as good, for whoever takes it away settles the
    /// block afterwards. But not the one that the caller takes away himself.) Nor does any count
    /// where blocks go from class to class: it may stand in the tree of another one.
    fn is_visited_by(&self, block: usize, before: u64, slice: u64, visited: Option<Hint>) -> bool {
        self.tenancies().is_none()
            && self
                .visits(before, slice, visited)
                .any(|visit| self.hints.contains(visit, block))
    }

    /// The hints of visits that are not due in the slice `before`, up to that of another one,
    /// without one.
    fn visits(&self, before: u64, slice: u64, visited: Option<Hint>) -> impl Iterator<Item = Hint> {
        let due = before.saturating_sub(self.ground.clock.rest());
        let visits = (due + 1..=slice).map(Hint::resting);
        visits.filter(move |&visit| Some(visit) != visited)
    }

    /// What [`sort`](Self::sort) and [`unmark`](Self::unmark) do, for cooling blocks of which not a
    /// port was nobody's in the slice `before` or later; in a page whose blocks are anybody's.
    pub(crate) fn put_off(&self, hint: Hint, before: u64, blocks: &BlockSet) {
        let slice = visit_slice(None, before);
        let visits = self.visits(before, slice, Some(hint));
        let visited = visits.fold(BlockSet::default(), |all, visit| {
            all.or(&self.hints.get(visit))
        });
        let (visit, marked) = (Hint::resting(slice), blocks.without(&visited));
        debug_assert!(visit != hint, "what rested long ago is not what rests");
        self.hints.set_all(visit, &marked);
        for member in self.record().members() {
            if !member.blocks().and(&marked).is_empty() {
                let position = member.position as usize;
                member.region.hints.set(visit, position);
            }
        }
        self.hints.clear_all(hint, blocks);
        for member in self.record().members() {
            if !member.blocks().and(blocks).is_empty() {
                let position = member.position as usize;
                member.region.clear_if(0, hint, position, || {
                    self.hinted_of(0, hint, member.blocks()).is_empty()
                });
            }
        }
    }

    /// Marks a cooling block of whose ports so many can be had, and says so.
    pub(crate) fn offer(&self, block: usize, rested: usize) {
        let half = 2 * rested >= PORTS;
        self.mark(if half { Hint::HALF } else { Hint::RIPE }, block);
        self.announce(block);
    }

    /// Takes a block that was just reheated off offer, and marks it for a visit if its visits ended
    /// when it was condemned; the owner's.
    pub(crate) fn mark_reheated(&self, block: usize) {
        self.unmark(Hint::HALF, block);
        self.unmark(Hint::RIPE, block);
        if self.block(block).hot().deferred.get() {
            self.mark_taken(block);
        }
    }

    /// Marks a block just taken on for its first visit; the owner's. If he is so slow that this
    /// slice is over before the mark is made, he settles the block when he lets go of it, because
    /// he has had it for longer than a rest by then.
    pub(crate) fn mark_taken(&self, block: usize) {
        self.mark(Hint::resting(self.ground.clock.slice()), block);
    }

    /// The same for an assigned block: whether its marks say what is so. Rested ports are their
    /// owners' to find; the marks tell of port blocks that are nobody's, and of those to give back.
    fn settle_assigned(&self, block: usize) -> bool {
        let here = self.block(block);
        let clock = &self.ground.clock;
        let titles = self.titles();
        if titles.is_some_and(|titles| titles.has_room(block)) {
            self.mark(Hint::HALF, block);
            self.announce(block);
        }
        let before = clock.slice();
        let rest = here.rest(clock, clock.rest());
        self.mark(Hint::resting(visit_slice(rest.earliest, before)), block);
        let told_apart = clock.slice() == before;
        let quarters = (0..QUARTERS).filter(|&quarter| {
            let ports = Mask::range(quarter * QUARTER, QUARTER);
            ports.without(&rest.rested).is_empty()
        });
        let leaves = rest.is_over()
            || titles.is_some_and(|titles| quarters.into_iter().any(|q| titles.is_held(block, q)));
        if leaves && !here.hot().deferred.get() {
            // For the next sweep to give back or condemn.
            self.mark(Hint::due(clock.slice(), clock.rest()), block);
        }
        told_apart && here.state().phase() == Phase::Assigned
    }

    /// Which port blocks can be had may be another matter from now on: whatever is nobody's is to
    /// be looked at again.
    pub(crate) fn recut(&self, block: usize) {
        let Some(titles) = self.titles() else { return };
        titles.look_again(block);
        if self.block(block).state().phase() == Phase::Assigned {
            self.settle(block);
        }
    }
}

/// Under which slice to mark a block for its next visit: that in which the longest-resting of its
/// ports was released, or, if a look later than `before` saw none, that of what it may have missed.
fn visit_slice(earliest: Option<u64>, before: u64) -> u64 {
    let margin = u64::from(!planted::on(Bug::VisitMarksUnderNow));
    earliest.unwrap_or(before.saturating_sub(margin))
}
