//! The one address again: its page is taken down, or left to its leases; its block is queued. Here the
//! record is followed, for the page goes.

use std::net::SocketAddr;
use std::ptr::NonNull;
use std::sync::Arc;

use super::visits::{Address, BLOCK, Hands};
use crate::block::PORTS;
use crate::ground::Ground;
use crate::hints::BLOCKS;
use crate::lease::{Lease, RawLease, free_page};
use crate::page::Page;
use crate::protocol::Protocol;
use crate::region::Region;

impl Address {
    /// At this slice, open, and its block free.
    pub fn free(slice: u64, shards: usize) -> Self {
        let (address, hands) = Address::heated(slice, shards, 0);
        drop(hands);
        assert!(address.is_free() && address.is_queued());
        address
    }

    fn region(&self) -> &Region {
        &self.record().members()[0].region
    }

    /// Takes the page down if all of its blocks are free; whether it did.
    pub fn close(&self) -> bool {
        let participant = self.inner.ground.reclaimer.join();
        let pin = participant.pin();
        self.inner.close(&pin, self.record())
    }

    /// Whether a page is linked.
    pub fn is_open(&self) -> bool {
        self.record().page().is_some()
    }

    /// Whether the page that is linked is gone.
    pub fn is_gone(&self) -> bool {
        self.record()
            .page()
            .is_some_and(|page| page.closing.is_gone())
    }

    /// Whether a lease is of the page that is open, and that page is to stay.
    pub fn keeps(&self, lease: &Lease) -> bool {
        let page = self.record().page();
        page.is_some_and(|page| std::ptr::eq(page, lease.page()) && !page.closing.is_gone())
    }

    /// Whether the page that is open says of so many blocks that they are free.
    pub fn counts_free(&self, blocks: usize) -> bool {
        let page = self.record().page();
        page.is_some_and(|page| page.count_free_now() == blocks)
    }

    /// Blocks of an address.
    pub const BLOCKS: usize = BLOCKS;

    /// Whether the block is said to stand in the queue.
    pub fn is_queued(&self) -> bool {
        let page = self.record().page().expect("an open address");
        page.block(BLOCK).hot().queued.get()
    }

    /// How often the block stands in the queue; empties it.
    pub fn count_queued(&self) -> usize {
        let entries = std::iter::from_fn(|| self.region().dequeue());
        entries
            .filter(|entry| *entry as usize & 0xff == BLOCK)
            .count()
    }

    /// Ends the engine: the page is its leases'.
    pub fn abandon(self) -> Abandoned {
        let ground = Arc::clone(&self.inner.ground);
        drop(self);
        Abandoned { ground }
    }
}

/// What is left of an engine whose leases outlive it.
pub struct Abandoned {
    ground: Arc<Ground>,
}

impl Abandoned {
    /// That of an engine which is to end.
    pub fn of(address: &Address) -> Self {
        let ground = Arc::clone(&address.inner.ground);
        Abandoned { ground }
    }

    /// Whether the engine has ended.
    pub fn is_orphaned(&self) -> bool {
        self.ground.orphaned.get()
    }

    /// Gives a lease back as its drop does, and frees nothing; the page, if the caller was told to
    /// free it.
    pub fn end(&self, lease: Lease) -> Option<Freed> {
        let participant = self.ground.reclaimer.join();
        let pin = participant.pin();
        let (page, last) = lease.end(&self.ground, &pin);
        last.then_some(Freed(page))
    }

    /// Frees a page.
    pub fn free(&self, page: Freed) {
        let participant = self.ground.reclaimer.join();
        let pin = participant.pin();
        // SAFETY: as for the drop of a lease.
        unsafe { free_page(&pin, page.0.as_ptr()) };
    }

    /// Whether every page is gone.
    pub fn is_all_gone(&self) -> bool {
        Arc::strong_count(&self.ground) == 1
    }
}

/// A page to be freed.
pub struct Freed(NonNull<Page>);

// SAFETY: a page may be freed on any thread.
unsafe impl Send for Freed {}

impl Hands {
    /// Reserves a port of the block by its number.
    pub fn reserve(&mut self, port: usize) -> Option<Lease> {
        let request = self.request();
        let address = "192.0.2.1".parse().expect("an address");
        let public = SocketAddr::new(address, (BLOCK * PORTS + port) as u16);
        self.burst(|work| {
            let layout = work.layout;
            let pool = layout.pool(request.pool).expect("the pool");
            work.reserve(layout, pool, Protocol::Tcp, public).ok()
        })
    }

    /// Takes the block on if it stands in the queue and is free.
    pub fn take_queued(&mut self, address: &Address) -> bool {
        let request = self.request();
        self.burst(|work| {
            let pool = work.layout.pool(request.pool).expect("the pool");
            let purpose = work.purpose(&request);
            let allocator = work.worker.allocator_index(work.shard, purpose);
            let region = &address.record().members()[0].region;
            work.try_queue(allocator, pool, region)
        })
    }

    /// Condemns the block if it is empty and rested, and hands it over to the epoch.
    pub fn condemn(&mut self, address: &Address) -> bool {
        self.burst(|work| {
            let page = address.record().page().expect("an open address");
            work.condemn(page, BLOCK) && work.seal()
        })
    }

    /// Gives a token back, as a burst does; whether it was accepted.
    pub fn release_raw(&mut self, address: &Address, raw: RawLease) -> bool {
        self.burst(|work| {
            let page = address.record().page().expect("an open address");
            let port = raw.port as usize % PORTS;
            let won = page.block(BLOCK).redeem(raw.generation, port, raw.tag);
            if won {
                page.give_back(raw.port, Some(work.inner.ground.clock.moment()));
            }
            won
        })
    }
}
