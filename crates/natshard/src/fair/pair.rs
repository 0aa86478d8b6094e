//! Pairing: one public address for each subscriber, across protocols (RFC 6888 REQ-2).

use std::net::IpAddr;
use std::sync::Arc;

use rand_chacha::rand_core::Rng;

use crate::error::AllocError;
use crate::event::EventKind;
use crate::fair::{Books, Pairing};
use crate::hints::BLOCKS;
use crate::layout::{Layout, PoolLayout};
use crate::lease::{Lease, Reason};
use crate::request::{Request, Strictness};
use crate::worker::Work;

/// Whether an address is the pool's no longer.
fn is_gone(error: AllocError) -> bool {
    matches!(
        error,
        AllocError::Draining | AllocError::OutsidePool | AllocError::Excluded
    )
}

/// Addresses drawn for a subscriber that has none; it gets the one with more free blocks.
const CHOICES: usize = 2;

impl Work<'_> {
    pub(super) fn allocate_paired(
        &mut self,
        layout: &Arc<Layout>,
        pool: &PoolLayout,
        request: &Request,
        books: &Books<'_>,
        strictness: Strictness,
    ) -> Result<Lease, AllocError> {
        loop {
            let Some(paired) = books.pairing() else {
                let lease = self.allocate_unpaired(layout, pool, request, books)?;
                let at = lease.page().pairing();
                let (paired, fresh) = books.pair(at);
                let subscriber = books.subscriber();
                if let Some(sequence) = fresh {
                    let address = lease.page().address;
                    let kind = EventKind::AddressBound {
                        subscriber,
                        address,
                    };
                    self.tell_as(sequence, pool.id, kind);
                }
                if fresh.is_some() || self.inner.address_of(layout, paired) == lease.addr().ip() {
                    return Ok(lease);
                }
                // Another shard was faster, at another address.
                self.release_unused(lease);
                continue;
            };
            let address = self.inner.address_of(layout, paired);
            let error = match self.lease_at(layout, pool, request, books, Some(address)) {
                Err(AllocError::SubscriberQuota) => return Err(AllocError::SubscriberQuota),
                Err(error) => error,
                Ok(lease) => return Ok(lease),
            };
            // A shard that works by an earlier layout cannot know: the address may be new.
            if is_gone(error) && self.is_up_to_date() {
                self.shard.stats.wishes_departed.bump(1);
                books.unpair(paired);
                self.tell_unbound(books);
                continue;
            }
            if strictness == Strictness::Strict {
                return Err(error);
            }
            self.shard.stats.wishes_departed.bump(1);
            return self.lease_at(layout, pool, request, books, None);
        }
    }

    /// A lease for a subscriber without an address: at the emptier of two drawn ones, else at any.
    fn allocate_unpaired(
        &mut self,
        layout: &Arc<Layout>,
        pool: &PoolLayout,
        request: &Request,
        books: &Books<'_>,
    ) -> Result<Lease, AllocError> {
        let mut drawn: [Option<(usize, IpAddr)>; CHOICES] =
            std::array::from_fn(|_| self.draw_address(pool, request));
        drawn.sort_unstable_by_key(|drawn| std::cmp::Reverse(drawn.map(|(free, _)| free)));
        for (_, address) in drawn.into_iter().flatten() {
            match self.lease_at(layout, pool, request, books, Some(address)) {
                Err(AllocError::AddressFull | AllocError::Excluded) => {}
                had => return had,
            }
        }
        self.lease_at(layout, pool, request, books, None)
    }

    /// An address of the pool, drawn evenly, and how many of its blocks are free.
    fn draw_address(&mut self, pool: &PoolLayout, request: &Request) -> Option<(usize, IpAddr)> {
        let regions = pool.regions(request.protocol, request.family);
        let all: u64 = regions.clone().map(|region| region.addresses()).sum();
        let draw = self.worker.random.next_u64();
        // The bias is below 2^-32 of a probability, for there are at most 2^32 addresses a region.
        let mut number = ((u128::from(draw) * u128::from(all)) >> 64) as u64;
        for region in regions {
            if let Some(key) = region.address_at(number) {
                let page = region.space.get(key).and_then(|record| record.page());
                let free = page.map_or(BLOCKS, |page| page.count_free_now());
                return Some((free, region.space.window.address(key)));
            }
            number -= region.addresses();
        }
        None
    }

    /// Gives back a lease that nobody was told of, and is not charged.
    pub(super) fn release_unused(&mut self, lease: Lease) {
        let shard = Some(self.id().as_index());
        let (page, block, slice) = lease.give_back(Reason::Unused, true, shard, self.pin);
        // SAFETY: the page was open while the port was leased, in this burst, whose pin keeps it.
        let page = unsafe { page.as_ref() };
        page.after_release(block, slice);
        self.reclaim_units(page, block);
    }
}

impl crate::page::Page {
    /// The address as an account remembers it.
    pub(crate) fn pairing(&self) -> Pairing {
        Pairing {
            space: self.space.0,
            key: self.key,
        }
    }
}
