//! What is leased on behalf of a subscriber, and by which of the pool's policies.

use std::net::IpAddr;
use std::sync::Arc;

use crate::error::AllocError;
use crate::fair::{Books, DeterministicMap};
use crate::layout::{Layout, PoolLayout};
use crate::lease::{CHARGED, Lease};
use crate::page::Page;
use crate::request::{Family, Request, Strictness};
use crate::worker::Work;

/// A port, or several side by side. Whoever is asked to lease them has not leased them yet.
pub(crate) trait Leasing {
    /// What was asked for.
    fn request(&self) -> &Request;

    /// How many ports, at least and at most.
    fn ports(&self) -> (u16, u16);

    /// Makes it at most so many.
    fn narrow(&mut self, most: u16);

    /// Leases it out of the subscriber's deterministic range.
    fn lease_in_range(
        &mut self,
        work: &mut Work<'_>,
        books: &Books<'_>,
        ranges: &DeterministicMap,
    ) -> Result<(), AllocError>;

    /// Leases it at one address, of the family asked for, or at any; out of the subscriber's port
    /// blocks where the pool has them.
    fn lease_there(
        &mut self,
        work: &mut Work<'_>,
        books: &Books<'_>,
        address: Option<IpAddr>,
    ) -> Result<(), AllocError>;

    /// How many ports were leased.
    fn had(&self) -> u16;

    /// The page of what was leased.
    fn page(&self) -> Option<&Page>;

    /// Has the leases bear the number of the account they are charged to.
    fn charge_to(&mut self, account: u32);

    /// Gives back what was leased, of which nobody was told.
    fn undo(&mut self, work: &mut Work<'_>);

    /// Leases it at one address, or at any.
    fn lease_at(
        &mut self,
        work: &mut Work<'_>,
        books: &Books<'_>,
        address: Option<IpAddr>,
    ) -> Result<(), AllocError> {
        let (family, asked) = (address.map(Family::of), self.request().family);
        if family.is_some_and(|of| asked.is_some_and(|asked| asked != of)) {
            return Err(AllocError::NoSuchFamily);
        }
        self.lease_there(work, books, address)
    }
}

/// One port.
struct One<'r> {
    layout: &'r Arc<Layout>,
    pool: &'r PoolLayout,
    request: &'r Request,
    lease: Option<Lease>,
}

impl Leasing for One<'_> {
    fn request(&self) -> &Request {
        self.request
    }

    fn ports(&self) -> (u16, u16) {
        (1, 1)
    }

    fn narrow(&mut self, _: u16) {}

    fn lease_in_range(
        &mut self,
        work: &mut Work<'_>,
        books: &Books<'_>,
        ranges: &DeterministicMap,
    ) -> Result<(), AllocError> {
        let subscriber = books.subscriber();
        let (layout, pool, request) = (self.layout, self.pool, self.request);
        self.lease = Some(work.allocate_in_range(layout, pool, request, ranges, subscriber)?);
        Ok(())
    }

    fn lease_there(
        &mut self,
        work: &mut Work<'_>,
        books: &Books<'_>,
        address: Option<IpAddr>,
    ) -> Result<(), AllocError> {
        let (layout, pool, request) = (self.layout, self.pool, self.request);
        let had = match (pool.policy.blocks, address) {
            (Some(blocks), _) => {
                work.allocate_in_blocks(layout, pool, request, books, blocks, address)
            }
            (None, Some(address)) => work.allocate_at(layout, pool, request, address),
            (None, None) => {
                let anywhere = Request {
                    address: None,
                    ..*request
                };
                work.allocate_shared(layout, pool, &anywhere)
            }
        };
        self.lease = Some(had?);
        Ok(())
    }

    fn had(&self) -> u16 {
        self.lease.is_some().into()
    }

    fn page(&self) -> Option<&Page> {
        self.lease.as_ref().map(Lease::page)
    }

    fn charge_to(&mut self, account: u32) {
        let lease = self.lease.take();
        self.lease = lease.map(|lease| lease.noted(CHARGED, account));
    }

    fn undo(&mut self, work: &mut Work<'_>) {
        if let Some(lease) = self.lease.take() {
            work.release_unused(lease);
        }
    }
}

impl Work<'_> {
    /// A lease on behalf of a subscriber of a pool that keeps books.
    pub(crate) fn allocate_for(
        &mut self,
        layout: &Arc<Layout>,
        pool: &PoolLayout,
        request: &Request,
        subscriber: u64,
    ) -> Result<Lease, AllocError> {
        let mut one = One {
            layout,
            pool,
            request,
            lease: None,
        };
        self.lease_for(layout, pool, &mut one, subscriber)?;
        one.lease.ok_or(AllocError::PoolFull)
    }

    /// Leases on behalf of a subscriber of a pool that keeps books: charges as many ports as its
    /// limit leaves, then finds them.
    pub(crate) fn lease_for(
        &mut self,
        layout: &Layout,
        pool: &PoolLayout,
        leasing: &mut dyn Leasing,
        subscriber: u64,
    ) -> Result<(), AllocError> {
        let books = self
            .books_of(pool.id, subscriber)
            .ok_or(AllocError::SubscribersFull)?;
        let had = self.charge_and_lease(layout, pool, leasing, &books);
        let full = had == Err(AllocError::AddressFull);
        if full && pool.policy.pairing == Some(Strictness::Strict) && self.retire_at_once(&books) {
            // It holds nothing, so that its pairing was over before; nobody had come by to see it.
            return self.charge_and_lease(layout, pool, leasing, &books);
        }
        had
    }

    fn charge_and_lease(
        &mut self,
        layout: &Layout,
        pool: &PoolLayout,
        leasing: &mut dyn Leasing,
        books: &Books<'_>,
    ) -> Result<(), AllocError> {
        let (protocol, limit) = (leasing.request().protocol, &pool.policy.limit);
        let (least, most) = leasing.ports();
        let charged = self.charge(books, || books.charge_most(protocol, least, most, limit));
        let had = match charged {
            Some(ports) => {
                leasing.narrow(ports);
                self.lease_charged(layout, pool, leasing, books)
            }
            None => Err(AllocError::SubscriberQuota),
        };
        if had == Err(AllocError::SubscriberQuota) {
            self.tell_quota(pool, protocol, books, charged.is_some());
        }
        // Charged before it was known how many there are to be had.
        books.uncharge(protocol, charged.unwrap_or(0) - leasing.had());
        had?;
        books.recover(protocol, limit);
        leasing.charge_to(books.number);
        Ok(())
    }

    /// Leases what is paid for, by the policies of the pool.
    fn lease_charged(
        &mut self,
        layout: &Layout,
        pool: &PoolLayout,
        leasing: &mut dyn Leasing,
        books: &Books<'_>,
    ) -> Result<(), AllocError> {
        if let Some(ranges) = &pool.policy.ranges {
            return self.lease_computed(pool, leasing, books, ranges);
        }
        match (pool.policy.pairing, leasing.request().address) {
            (Some(strictness), None) => self.lease_paired(layout, pool, leasing, books, strictness),
            (_, Some((address, strictness))) => {
                match leasing.lease_at(self, books, Some(address)) {
                    Err(_) if strictness == Strictness::Preferred => {
                        self.count_departed(true);
                        leasing.lease_at(self, books, None)
                    }
                    had => had,
                }
            }
            (None, None) => leasing.lease_at(self, books, None),
        }
    }

    /// Leases out of the subscriber's own range, or beyond it where the pool has port blocks.
    fn lease_computed(
        &mut self,
        pool: &PoolLayout,
        leasing: &mut dyn Leasing,
        books: &Books<'_>,
        ranges: &DeterministicMap,
    ) -> Result<(), AllocError> {
        let (protocol, wished) = (leasing.request().protocol, leasing.request().address);
        let own = ranges.range(books.subscriber(), protocol);
        let (own, _) = own.ok_or(AllocError::SubscriberMissing)?;
        let overflows = pool.policy.blocks.is_some() && !ranges.overflow(protocol).is_empty();
        if let Some((address, strictness)) = wished.filter(|&(address, _)| address != own) {
            // Its range is not there.
            let had = match overflows {
                true => leasing.lease_at(self, books, Some(address)),
                false => Err(AllocError::AddressFull),
            };
            if had.is_ok() || strictness == Strictness::Strict {
                return had;
            }
            self.count_departed(true);
        }
        match leasing.lease_in_range(self, books, ranges) {
            Err(
                AllocError::SubscriberQuota | AllocError::AddressFull | AllocError::NoContiguous,
            ) if overflows => {}
            had => return had,
        }
        // What is bound to an address is bound to that of its range, unless it wished for another.
        let wished = wished.filter(|&(address, _)| address == own);
        let bound = [
            pool.policy.pairing,
            wished.map(|(_, strictness)| strictness),
        ];
        if bound == [None, None] {
            return leasing.lease_at(self, books, None);
        }
        let had = leasing.lease_at(self, books, Some(own));
        if had.is_ok() || bound.contains(&Some(Strictness::Strict)) {
            return had;
        }
        self.count_departed(true);
        leasing.lease_at(self, books, None)
    }
}
