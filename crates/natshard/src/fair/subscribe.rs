//! Leases on behalf of a subscriber: charge first, then find a port by the pool's policy.

use std::net::IpAddr;
use std::sync::Arc;

use crate::config::PoolConfig;
use crate::error::AllocError;
use crate::event::{EventKind, Holder};
use crate::fair::{Books, DeterministicMap, PortBlocks, SubscriberLimit};
use crate::id::PoolId;
use crate::layout::{Layout, PoolLayout};
use crate::lease::{CHARGED, Lease};
use crate::protocol::Protocol;
use crate::request::{Family, Request, Strictness};
use crate::worker::Work;

/// A pool's policies towards subscribers, as a layout has them.
#[derive(Clone, Debug, Default)]
pub(crate) struct SubscriberPolicy {
    pub(crate) limit: SubscriberLimit,
    pub(crate) blocks: Option<PortBlocks>,
    pub(crate) pairing: Option<Strictness>,
    pub(crate) ranges: Option<DeterministicMap>,
}

impl SubscriberPolicy {
    pub(crate) fn of(pool: &PoolConfig) -> Self {
        SubscriberPolicy {
            limit: pool.limit,
            blocks: pool.port_blocks,
            pairing: pool.pairing,
            ranges: pool.deterministic_map(),
        }
    }

    /// Whether books of subscribers are kept.
    pub(crate) fn keeps_books(&self) -> bool {
        self.limit.is_any() || self.is_exclusive() || self.pairing.is_some()
    }

    /// Whether ports belong to subscribers before they are leased, so that a request must name
    /// one.
    pub(crate) fn is_exclusive(&self) -> bool {
        self.blocks.is_some() || self.ranges.is_some()
    }
}

impl<'a> Work<'a> {
    /// The books of a subscriber; `None` when the table is full.
    pub(super) fn books_of(&self, pool: PoolId, subscriber: u64) -> Option<Books<'a>> {
        let ground = &self.inner.ground;
        let number = ground.accounts.find_or_insert(pool.0, subscriber)?;
        ground.books(number, self.pin)
    }

    /// A lease on behalf of a subscriber of a pool that keeps books.
    pub(crate) fn allocate_for(
        &mut self,
        layout: &Arc<Layout>,
        pool: &PoolLayout,
        request: &Request,
        subscriber: u64,
    ) -> Result<Lease, AllocError> {
        let protocol = request.protocol;
        let books = self
            .books_of(pool.id, subscriber)
            .ok_or(AllocError::SubscribersFull)?;
        let charged = books.charge(protocol, 1, &pool.policy.limit);
        self.tell_unbound(&books);
        let had = if charged {
            self.allocate_charged(layout, pool, request, &books)
        } else {
            Err(AllocError::SubscriberQuota)
        };
        match had {
            Ok(lease) => {
                books.recover(protocol, &pool.policy.limit);
                Ok(lease.noted(CHARGED, books.number))
            }
            Err(error) => {
                if error == AllocError::SubscriberQuota {
                    self.tell_quota(pool.id, protocol, &books);
                }
                if charged {
                    books.uncharge(protocol, 1);
                }
                Err(error)
            }
        }
    }

    /// Tells that a subscriber met its limit, once an episode.
    pub(super) fn tell_quota(&self, pool: PoolId, protocol: Protocol, books: &Books<'_>) {
        if books.tell_once(protocol) {
            let holder = Holder::Subscriber(books.subscriber());
            self.tell(pool, EventKind::QuotaExceeded { protocol, holder });
        }
    }

    /// A lease that is paid for.
    fn allocate_charged(
        &mut self,
        layout: &Arc<Layout>,
        pool: &PoolLayout,
        request: &Request,
        books: &Books<'_>,
    ) -> Result<Lease, AllocError> {
        if let Some(ranges) = &pool.policy.ranges {
            return self.allocate_computed(layout, pool, request, books, ranges);
        }
        match (pool.policy.pairing, request.address) {
            (Some(strictness), None) => {
                self.allocate_paired(layout, pool, request, books, strictness)
            }
            (_, Some((address, strictness))) => {
                match self.lease_at(layout, pool, request, books, Some(address)) {
                    Err(_) if strictness == Strictness::Preferred => {
                        self.shard.stats.wishes_departed.bump(1);
                        self.lease_at(layout, pool, request, books, None)
                    }
                    had => had,
                }
            }
            (None, None) => self.lease_at(layout, pool, request, books, None),
        }
    }

    /// A lease of one address, or of any; out of the subscriber's port blocks where the pool has
    /// them.
    pub(super) fn lease_at(
        &mut self,
        layout: &Arc<Layout>,
        pool: &PoolLayout,
        request: &Request,
        books: &Books<'_>,
        address: Option<IpAddr>,
    ) -> Result<Lease, AllocError> {
        let family = address.map(Family::of);
        if family.is_some_and(|of| request.family.is_some_and(|asked| asked != of)) {
            return Err(AllocError::NoSuchFamily);
        }
        match (pool.policy.blocks, address) {
            (Some(blocks), _) => {
                self.allocate_in_blocks(layout, pool, request, books, blocks, address)
            }
            (None, Some(address)) => self.allocate_at(layout, pool, request, address),
            (None, None) => {
                let anywhere = Request {
                    address: None,
                    ..*request
                };
                self.allocate_shared(layout, pool, &anywhere)
            }
        }
    }
}
