//! Pairing: one public address for each subscriber, across protocols (RFC 6888 REQ-2).

use std::net::IpAddr;

use rand_chacha::rand_core::Rng;

use crate::error::AllocError;
use crate::event::EventKind;
use crate::fair::{Books, Leasing, Pairing};
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
    pub(super) fn lease_paired(
        &mut self,
        layout: &Layout,
        pool: &PoolLayout,
        leasing: &mut dyn Leasing,
        books: &Books<'_>,
        strictness: Strictness,
    ) -> Result<(), AllocError> {
        loop {
            let Some(paired) = books.pairing() else {
                self.lease_unpaired(pool, leasing, books)?;
                let Some(page) = leasing.page() else {
                    return Ok(());
                };
                let (at, address) = (page.pairing(), page.address);
                let (paired, fresh) = books.pair(at);
                let subscriber = books.subscriber();
                if let Some(sequence) = fresh {
                    let kind = EventKind::AddressBound {
                        subscriber,
                        address,
                    };
                    self.tell_as(sequence, pool.id, kind);
                }
                if fresh.is_some() || self.inner.address_of(layout, paired) == address {
                    return Ok(());
                }
                // Another shard was faster, at another address.
                leasing.undo(self);
                continue;
            };
            let address = self.inner.address_of(layout, paired);
            let error = match leasing.lease_at(self, books, Some(address)) {
                Err(error) => error,
                Ok(()) => return Ok(()),
            };
            // A shard that works by an earlier layout cannot know: the address may be new.
            if is_gone(error) && self.is_up_to_date() {
                self.count_departed(true);
                books.unpair(paired);
                self.tell_unbound(books);
                continue;
            }
            if strictness == Strictness::Strict {
                return Err(error);
            }
            // Also where it can have no further port block: one it has elsewhere may have room.
            let had = leasing.lease_at(self, books, None);
            self.count_departed(had.is_ok());
            return had;
        }
    }

    /// Leases for a subscriber without an address: at the emptier of two drawn ones, else at any.
    fn lease_unpaired(
        &mut self,
        pool: &PoolLayout,
        leasing: &mut dyn Leasing,
        books: &Books<'_>,
    ) -> Result<(), AllocError> {
        let mut drawn: [Option<(usize, IpAddr)>; CHOICES] =
            std::array::from_fn(|_| self.draw_address(pool, leasing.request()));
        drawn.sort_unstable_by_key(|drawn| std::cmp::Reverse(drawn.map(|(free, _)| free)));
        for (_, address) in drawn.into_iter().flatten() {
            let had = leasing.lease_at(self, books, Some(address));
            if had.is_ok() {
                return had;
            }
        }
        leasing.lease_at(self, books, None)
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
    pub(crate) fn release_unused(&mut self, lease: Lease) {
        let shard = Some(self.id().as_index());
        let block = lease.block();
        let page = lease.give_back(Reason::Unused, true, shard, self.pin);
        // SAFETY: the page was open while the port was leased, in this burst, whose pin keeps it.
        let page = unsafe { page.as_ref() };
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
