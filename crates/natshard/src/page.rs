//! A page: the blocks of one open address and protocol.

mod closing;
mod marks;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::block::{Block, BlockRef, Cold, Mask, PORTS, Phase};
use crate::chunks::Chunks;
use crate::clock::Moment;
use crate::event::EventKind;
use crate::fair::{Books, Tenancies, Tenancy, Titles};
use crate::fields::join;
use crate::ground::Ground;
use crate::hints::{BLOCKS, Hint, PageHints};
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
