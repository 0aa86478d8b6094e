//! A page: the blocks of one open address and protocol.

mod closing;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::block::{Block, BlockRef, Cold, Mask, PORTS, Phase, Rest};
use crate::chunks::Chunks;
use crate::clock::Moment;
use crate::event::EventKind;
use crate::fair::{Books, QUARTER, QUARTERS, Tenancies, Tenancy, Titles};
use crate::fields::join;
use crate::ground::Ground;
use crate::hints::{BLOCKS, BlockSet, Hint, PageHints};
use crate::id::{PoolId, RealmId};
use crate::lease::{CHARGED, NOTED, TOLD};
use crate::planted::{self, Bug};
use crate::protocol::Protocol;
use crate::reclaim::Pin;
use crate::space::{Record, Space, SpaceId};
use crate::sync::{Counter, Flag, Link, Word};
pub(crate) use closing::Closing;

/// The blocks of one open address.
///
/// Freed through the epoch once it is [gone](Closing), all of its blocks being free, or, when the
/// engine has gone, once its last lease is.
#[derive(Debug)]
pub struct Page {
    pub(crate) ground: Arc<Ground>,
    /// Valid while the engine is not orphaned, for whoever is pinned.
    record: *const Record,
    pub(crate) address: IpAddr,
    pub(crate) protocol: Protocol,
    pub(crate) realm: RealmId,
    pub(crate) space: SpaceId,
    pub(crate) key: u32,
    pub(crate) hints: PageHints,
    /// How many blocks are free.
    free: Word,
    pub(crate) closing: Closing,
    /// The slice in which all blocks became free.
    pub(crate) free_since: Word,
    /// Raised by the engine's end: the last lease frees the page.
    abandoned: Flag,
    freed: Flag,
    cold: Cold,
    blocks: Box<[Block]>,
    /// Who owns which port block, once one was assigned.
    titles: Link<Titles>,
    /// For whom each block is held, once one was for somebody of a pool that shares its blocks
    /// out.
    tenancies: Link<Tenancies>,
    /// For ports leased to subscribers, or in a pool that tells leases, and turned into tokens:
    /// what [`Lease`](crate::Lease) knows and a token has no room for.
    pub(crate) ledger: Chunks<Counter>,
}

// SAFETY: `record` is only followed by `Page::record`, whose callers are pinned while the engine
// lives; records are `Sync`. Everything else is `Send` and `Sync` by itself.
unsafe impl Send for Page {}
// SAFETY: as above.
unsafe impl Sync for Page {}

impl Page {
    pub(crate) fn new(
        ground: &Arc<Ground>,
        space: &Space,
        record: &Record,
        generation: u32,
    ) -> Self {
        Page {
            ground: Arc::clone(ground),
            record,
            address: space.window.address(record.key),
            protocol: space.protocol,
            realm: space.realm,
            space: space.id,
            key: record.key,
            hints: PageHints::all_free(),
            free: Word::new(BLOCKS as u64),
            closing: Closing::default(),
            free_since: Word::new(0),
            abandoned: Flag::default(),
            freed: Flag::default(),
            cold: Cold::new(),
            blocks: (0..BLOCKS).map(|_| Block::new(generation)).collect(),
            titles: Link::default(),
            tenancies: Link::default(),
            ledger: Chunks::default(),
        }
    }

    /// The owners of port blocks, if one was ever assigned here.
    pub(crate) fn titles(&self) -> Option<&Titles> {
        // SAFETY: a non-null link holds a box leaked by `titles_or_new`, freed with the page.
        unsafe { self.titles.get().as_ref() }
    }

    /// The owners of port blocks.
    pub(crate) fn titles_or_new(&self) -> &Titles {
        if let Some(titles) = self.titles() {
            return titles;
        }
        let fresh = Box::into_raw(Box::new(Titles::new()));
        let titles = match self.titles.exchange(std::ptr::null_mut(), fresh) {
            Ok(()) => fresh,
            Err(winner) => {
                // SAFETY: nobody saw `fresh`.
                drop(unsafe { Box::from_raw(fresh) });
                winner
            }
        };
        // SAFETY: as in `titles`.
        unsafe { &*titles }
    }

    /// For whom blocks are held, if any ever was.
    pub(crate) fn tenancies(&self) -> Option<&Tenancies> {
        // SAFETY: a non-null link holds a box leaked by `tenancies_or_new`, freed with the page.
        unsafe { self.tenancies.get().as_ref() }
    }

    /// For whom blocks are held.
    pub(crate) fn tenancies_or_new(&self) -> &Tenancies {
        if let Some(tenancies) = self.tenancies() {
            return tenancies;
        }
        let fresh = Box::into_raw(Box::default());
        let tenancies = match self.tenancies.exchange(std::ptr::null_mut(), fresh) {
            Ok(()) => fresh,
            Err(winner) => {
                // SAFETY: nobody saw `fresh`.
                drop(unsafe { Box::from_raw(fresh) });
                winner
            }
        };
        // SAFETY: as in `tenancies`.
        unsafe { &*tenancies }
    }

    /// For whom a block is held.
    pub(crate) fn tenancy(&self, block: usize) -> Tenancy {
        self.tenancies()
            .map_or(Tenancy::NONE, |tenancies| tenancies.get(block))
    }

    /// Ends the tenancy of a generation that is over; it is the caller's to give back.
    pub(crate) fn end_tenancy(&self, block: usize, generation: u32) -> Tenancy {
        self.tenancies().map_or(Tenancy::NONE, |tenancies| {
            tenancies.remove(block, generation)
        })
    }

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

    /// Whether nobody owns a port block of this block.
    pub(crate) fn is_unowned(&self, block: usize) -> bool {
        self.titles().is_none_or(|titles| titles.is_unowned(block))
    }

    /// A block by number.
    #[inline]
    pub(crate) fn block(&self, index: usize) -> BlockRef<'_> {
        BlockRef::new(&self.blocks[index], &self.cold, index)
    }

    /// The public tuple of a port.
    pub(crate) fn tuple(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.address, port)
    }

    /// The record. The caller is pinned and the engine alive.
    pub(crate) fn record(&self) -> &Record {
        // SAFETY: records live as long as the engine; the caller vouches for it.
        unsafe { &*self.record }
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

    /// Remembers what the lease of a port knows and its token has no room for.
    pub(crate) fn note(&self, port: u16, flags: u8, note: u32) {
        let noted = flags & NOTED;
        if noted != 0 {
            let word = join([u64::from(noted) << 32, u64::from(note)]);
            self.ledger.get_or_grow(port.into()).set(word);
        } else if let Some(word) = self.ledger.get(port.into()) {
            word.set(0);
        }
    }

    /// What [`note`](Self::note) remembers of a port; the caller has redeemed its token.
    pub(crate) fn noted(&self, port: u16) -> (u8, u32) {
        let word = self.ledger.get(port.into()).map_or(0, Counter::get);
        ((word >> 32) as u8, word as u32)
    }

    /// Gives back a port that is charged to an account, or whose release is told.
    #[cold]
    pub(crate) fn give_back_noted(
        &self,
        port: u16,
        (flags, note): (u8, u32),
        moment: Option<Moment>,
        shard: Option<usize>,
        pin: &Pin<'_>,
    ) {
        let ground = &*self.ground;
        let charged = (flags & CHARGED != 0).then(|| ground.books(note, pin));
        let told = ground.events.as_ref().filter(|_| flags & TOLD != 0);
        // Before anybody else can have the port.
        let sequence = told.map(|events| events.draw());
        self.give_back(port, moment);
        let books = charged.flatten();
        if let Some(books) = &books {
            match moment {
                Some(_) => books.release(self.protocol),
                None => books.uncharge(self.protocol, 1),
            }
        }
        if let (Some(events), Some(sequence)) = (told, sequence) {
            let pool = books.as_ref().map_or(note as u16, Books::pool);
            let kind = EventKind::PortReleased {
                protocol: self.protocol,
                public: self.tuple(port),
                subscriber: books.as_ref().map(Books::subscriber),
            };
            events.tell(shard, sequence, ground.clock.now(), PoolId(pool), kind);
        }
    }

    /// Gives a leased port back with the stamp of this moment: one store. For a port that rests, in
    /// an engine that does not count those.
    #[inline]
    pub(crate) fn give_back_stamped(&self, port: u16, stamp: u8) {
        self.cold.stamps.publish(port.into(), stamp);
    }

    /// Gives a leased port back, which rests from `moment` on, or need not rest.
    #[inline]
    pub(crate) fn give_back(&self, port: u16, moment: Option<Moment>) {
        let here = self.block(usize::from(port) / PORTS);
        let port = usize::from(port) % PORTS;
        match moment {
            Some(moment) => here.give_back(port, moment, &self.ground.clock),
            None => here.give_back_idle(port),
        }
    }

    /// What a releaser does after it gave a port back that need not rest: sees that it is found.
    /// One that rests is found by a visit.
    pub(crate) fn after_idle_release(&self, block: usize) {
        let here = self.block(block);
        if here.state().phase() == Phase::Heating {
            here.hot().nudged.set(true);
            let trusts = planted::on(Bug::NudgeTrustsTheFirstLook);
            if trusts || here.state().phase() == Phase::Heating {
                // Its owner looks at the flag after it let go.
                return;
            }
        }
        let phase = here.state().phase();
        let marked =
            self.hints.contains(Hint::HALF, block) || self.hints.contains(Hint::RIPE, block);
        if phase == Phase::Cooling && marked && self.tenancies().is_none() {
            // Anybody may have it, and whoever takes the mark away looks at the block afterwards.
            self.announce(block);
        } else if matches!(phase, Phase::Cooling | Phase::Assigned) {
            self.settle(block);
        }
    }

    /// A block became free; whether all of them are.
    pub(crate) fn count_free(&self) -> bool {
        self.free.add(1) + 1 == BLOCKS as u64
    }

    /// A block is free no longer.
    pub(crate) fn count_taken(&self) {
        self.free.subtract(1);
    }

    /// How many blocks are free at this moment.
    pub(crate) fn count_free_now(&self) -> usize {
        self.free.get() as usize
    }

    /// Whether every block is free.
    pub(crate) fn is_all_free(&self) -> bool {
        self.free.get() == BLOCKS as u64
    }

    /// Has the page gone if every block is free; whether it did.
    pub(crate) fn close(&self) -> bool {
        let Some(marked) = self.closing.begin() else {
            return false;
        };
        if self.is_all_free() {
            return self.closing.decide(marked);
        }
        self.closing.give_up(marked);
        false
    }

    /// A generation that no block of the page has had.
    pub(crate) fn next_generation(&self) -> u32 {
        let generations = (0..BLOCKS).map(|block| self.block(block).state().generation());
        generations.max().unwrap_or(0).wrapping_add(1)
    }

    /// Leaves the page to its leases; whether there are none and the caller is to free it.
    pub(crate) fn abandon(&self) -> bool {
        if planted::on(Bug::AbandonsAfterTheLook) {
            let last = (0..BLOCKS).all(|block| self.is_given_back(block));
            self.abandoned.set(true);
            return last && self.freed.raise();
        }
        self.abandoned.set(true);
        self.is_last()
    }

    /// Whether the page was abandoned and its last lease is gone: exactly one caller is told so,
    /// and frees the page through the epoch.
    pub(crate) fn is_last(&self) -> bool {
        self.abandoned.get()
            && (0..BLOCKS).all(|block| self.is_given_back(block))
            && (self.freed.raise() || planted::on(Bug::LastLeaseUnwon))
    }

    /// Whether every port of a block is nobody's.
    fn is_given_back(&self, block: usize) -> bool {
        self.block(block).nobodys() == Mask::FULL
    }

    /// The blocks of `set` that have the hint.
    pub(crate) fn hinted(&self, hint: Hint, set: &BlockSet) -> BlockSet {
        self.hints.get(hint).and(set)
    }
}

/// Under which slice to mark a block for its next visit: that in which the longest-resting of its
/// ports was released, or, if a look later than `before` saw none, that of what it may have missed.
fn visit_slice(earliest: Option<u64>, before: u64) -> u64 {
    let margin = u64::from(!planted::on(Bug::VisitMarksUnderNow));
    earliest.unwrap_or(before.saturating_sub(margin))
}

impl Drop for Page {
    fn drop(&mut self) {
        let titles = self.titles.get();
        if !titles.is_null() {
            // SAFETY: the page owns its titles and is going away.
            drop(unsafe { Box::from_raw(titles) });
        }
        let tenancies = self.tenancies.get();
        if !tenancies.is_null() {
            // SAFETY: the page owns its tenancies and is going away.
            drop(unsafe { Box::from_raw(tenancies) });
        }
    }
}

#[cfg(test)]
mod tests;
