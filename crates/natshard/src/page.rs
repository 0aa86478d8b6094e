//! A page: the blocks of one open address and protocol.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::block::{Block, BlockRef, Cold, Mask, PORTS, Phase};
use crate::chunks::Chunks;
use crate::clock::Moment;
use crate::event::EventKind;
use crate::fair::{Books, QUARTER, QUARTERS, Tenancies, Tenancy, Titles};
use crate::ground::Ground;
use crate::hints::{BLOCKS, BlockSet, Hint, PageHints};
use crate::id::{PoolId, RealmId};
use crate::lease::{CHARGED, TOLD};
use crate::protocol::Protocol;
use crate::reclaim::Pin;
use crate::space::{Record, Space, SpaceId};
use crate::sync::{Counter, Flag, Link, Word};

/// The blocks of one open address.
///
/// Freed through the epoch once all of its blocks are closed, or, when the engine has gone, once
/// its last lease is.
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
            free_since: Word::new(0),
            abandoned: Flag::default(),
            freed: Flag::default(),
            cold: Cold::new(BLOCKS),
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
        for member in self.record().members() {
            if member.blocks().contains(block) {
                member.region.version.add(1);
            }
        }
    }

    /// Makes the marks of a block say what its state and bits say. Idempotent, for anybody
    /// pinned. A block that somebody heats is left to its owner, who settles it when it cools.
    ///
    /// Whatever is leasable is announced, so that a search under way looks again: the caller may
    /// have hidden the block while it held it.
    pub(crate) fn settle(&self, block: usize) {
        let here = self.block(block);
        let clock = &self.ground.clock;
        loop {
            let state = here.state();
            match state.phase() {
                Phase::Free => {
                    self.mark(Hint::FREE, block);
                    self.announce(block);
                    return;
                }
                Phase::Heating | Phase::Closed => return,
                Phase::Assigned => {
                    if self.settle_assigned(block) {
                        return;
                    }
                    continue;
                }
                Phase::Cooling => {}
            }
            let rest = here.rest(clock, clock.rest());
            let rested = rest.rested.count() as usize;
            if rested > 0 {
                self.mark(
                    if 2 * rested >= PORTS {
                        Hint::HALF
                    } else {
                        Hint::RIPE
                    },
                    block,
                );
                if rest.is_over() && !here.hot().deferred.get() {
                    // For the next sweep to condemn.
                    self.mark(Hint::due(clock.slice(), clock.rest()), block);
                }
                self.announce(block);
            }
            if let Some(slice) = rest.earliest {
                here.hot().listed.set(true);
                self.mark(Hint::resting(slice), block);
                return;
            }
            here.hot().listed.set(false);
            // A holder that released meanwhile saw `listed` and left the block to us.
            if here.bits() == rest.released {
                return;
            }
        }
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
        let rest = here.rest(clock, clock.rest());
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
        if let Some(slice) = rest.earliest {
            here.hot().listed.set(true);
            self.mark(Hint::resting(slice), block);
            return true;
        }
        here.hot().listed.set(false);
        here.bits() == rest.released
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

    /// What a releaser does before it stamps its port: sees to it that the stamp cannot be
    /// confused with those of ports released a cycle of slices ago.
    ///
    /// Should two first releases after so long meet in one block, the second goes on without: a
    /// port released a whole cycle ago may then be noticed late, never early.
    #[inline]
    pub(crate) fn before_release(&self, block: usize, now: u64) {
        if self.block(block).is_stale(now) {
            self.refresh(block);
        }
    }

    #[cold]
    fn refresh(&self, block: usize) {
        if self.block(block).refresh(&self.ground.clock) {
            self.settle(block);
        }
    }

    /// Remembers what the lease of a port knows and its token has no room for.
    pub(crate) fn note(&self, port: u16, flags: u8, note: u32) {
        let noted = flags & (CHARGED | TOLD);
        if noted != 0 {
            let word = u64::from(noted) << 32 | u64::from(note);
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
        let here = self.block(usize::from(port) / PORTS);
        here.give_back(usize::from(port) % PORTS, moment, &ground.clock);
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

    /// What a releaser does after its port's bit is set: see that a cooling block is listed.
    #[inline]
    pub(crate) fn after_release(&self, block: usize, slice: Option<u64>) {
        let here = self.block(block);
        if !here.state().is_handed_out() {
            return;
        }
        let resting = self.ground.clock.rest() > 0;
        match slice {
            None if resting => self.settle(block),
            slice => {
                if !here.hot().listed.get() {
                    self.list(block, slice.unwrap_or_else(|| self.ground.clock.slice()));
                }
                if !resting {
                    // Where nothing rests, a listed port is a leasable one.
                    self.announce(block);
                }
            }
        }
    }

    #[cold]
    fn list(&self, block: usize, slice: u64) {
        if self.block(block).hot().listed.raise() {
            self.mark(Hint::resting(slice), block);
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

    /// Closes every block; `false`, and everything as it was, when one is in use.
    pub(crate) fn close(&self) -> bool {
        for block in 0..BLOCKS {
            if !self.block(block).close() {
                for closed in 0..block {
                    self.block(closed).unclose();
                    self.settle(closed);
                }
                return false;
            }
        }
        true
    }

    /// A generation that no block of the page has had.
    pub(crate) fn next_generation(&self) -> u32 {
        let generations = (0..BLOCKS).map(|block| self.block(block).state().generation());
        generations.max().unwrap_or(0).wrapping_add(1)
    }

    /// Leaves the page to its leases; whether there are none and the caller is to free it.
    pub(crate) fn abandon(&self) -> bool {
        self.abandoned.set(true);
        self.is_last()
    }

    /// Whether the page was abandoned and its last lease is gone: exactly one caller is told so,
    /// and frees the page through the epoch.
    pub(crate) fn is_last(&self) -> bool {
        self.abandoned.get()
            && (0..BLOCKS).all(|block| self.is_given_back(block))
            && self.freed.raise()
    }

    /// Whether every port of a block is nobody's.
    fn is_given_back(&self, block: usize) -> bool {
        self.block(block).bits() == crate::block::Mask::FULL
    }

    /// The blocks of `set` that have the hint.
    pub(crate) fn hinted(&self, hint: Hint, set: &BlockSet) -> BlockSet {
        self.hints.get(hint).and(set)
    }
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
