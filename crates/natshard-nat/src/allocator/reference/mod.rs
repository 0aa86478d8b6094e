//! A second allocator: single-threaded, slow, and obviously right.
//!
//! Every allocation walks the addresses and ports of the pool in order and takes the first that
//! nobody holds, that has rested, and that the pool's policies leave to the subscriber. Leases
//! return themselves when they are dropped.

mod books;
mod search;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use natshard::{AllocError, Reason, Tick};

use self::books::{Books, Key};
use self::search::{Search, key};
use super::{AllocationError, NatAllocator, NatAllocatorBurst, NatRequest, SourceTarget};
use crate::config::{NatConfig, PoolIndex};
use crate::port::UnreservedPort;

/// An allocator of which one can see at a glance that it is right.
///
/// It knows limits of subscribers, port blocks, pairing and deterministic ranges. It has no blocks
/// that tenants could share, and refuses pools with tenants or headroom
/// ([`AllocationError::Unsupported`]).
#[derive(Debug)]
pub struct ReferenceAllocator {
    books: Rc<RefCell<Books>>,
}

impl ReferenceAllocator {
    /// An allocator whose released ports rest that long.
    #[must_use]
    pub fn new(hold_down: Duration) -> Self {
        ReferenceAllocator {
            books: Rc::new(RefCell::new(Books::new(hold_down))),
        }
    }

    /// How many tuples are leased.
    #[must_use]
    pub fn leased(&self) -> usize {
        self.books.borrow().leased()
    }
}

impl NatAllocator for ReferenceAllocator {
    type Lease = ReferenceLease;
    type Burst<'a> = ReferenceBurst<'a>;

    fn burst<'a>(&'a mut self, now: Tick, config: &'a Arc<NatConfig>) -> ReferenceBurst<'a> {
        let mut books = self.books.borrow_mut();
        books.now = books.now.max(now);
        drop(books);
        ReferenceBurst {
            books: &self.books,
            config,
        }
    }

    fn idle(&mut self, now: Tick) {
        let mut books = self.books.borrow_mut();
        books.now = books.now.max(now);
        books.forget_rested();
    }
}

/// A burst of a [`ReferenceAllocator`].
#[derive(Debug)]
pub struct ReferenceBurst<'a> {
    books: &'a Rc<RefCell<Books>>,
    config: &'a NatConfig,
}

impl NatAllocatorBurst for ReferenceBurst<'_> {
    type Lease = ReferenceLease;

    const LEASES_ONLY: bool = true;

    fn config(&self) -> &NatConfig {
        self.config
    }

    fn lease(
        &mut self,
        index: PoolIndex,
        request: &NatRequest,
    ) -> Result<SourceTarget<ReferenceLease>, AllocationError> {
        let pool = self.config.pool(index);
        let policies = pool.policies();
        if policies.keeps_tenants() {
            return Err(AllocationError::Unsupported("tenants and headroom"));
        }
        let v4 = request.tuple.source.is_ipv4();
        if !pool.prefixes().iter().any(|net| net.addr().is_ipv4() == v4) {
            return Err(AllocError::NoSuchFamily.into());
        }
        let protocol = request.tuple.protocol;
        let holder = request.subscriber(pool);
        let holder = holder.map(|subscriber| (pool.name().to_owned(), subscriber));
        let mut books = self.books.borrow_mut();
        let paired = holder.as_ref().and_then(|holder| books.pairing(holder));
        let search = Search {
            books: &books,
            pool,
            request,
        };
        let public = match &holder {
            Some(holder) if books.has_quota(holder, protocol, &policies.limit) => {
                search.of_subscriber(holder, paired)?
            }
            Some(_) => return Err(AllocError::SubscriberQuota.into()),
            None if policies.needs_subscribers() => {
                return Err(AllocError::SubscriberMissing.into());
            }
            None => search.anybodys()?,
        };
        let range = pool.range(protocol);
        let port = UnreservedPort::within(protocol, public.port(), *range.start(), *range.end())?;
        let key = key(pool, protocol, public);
        books.take(key.clone(), holder);
        Ok(SourceTarget {
            lease: ReferenceLease {
                books: Rc::clone(self.books),
                key,
                reuse_closed: pool.as_engine().reuses_closed(),
                reason: Reason::Ended,
            },
            address: public.ip(),
            port,
        })
    }

    fn release(&mut self, mut lease: ReferenceLease, reason: Reason) {
        lease.reason = reason;
    }
}

/// The right to one tuple of a [`ReferenceAllocator`].
#[derive(Debug)]
pub struct ReferenceLease {
    books: Rc<RefCell<Books>>,
    key: Key,
    reuse_closed: bool,
    /// What it is given back for: a lease that is dropped has ended like any other.
    reason: Reason,
}

impl Drop for ReferenceLease {
    fn drop(&mut self) {
        let rests = match self.reason {
            Reason::Ended => true,
            Reason::Unused => false,
            Reason::Closed => !self.reuse_closed,
        };
        self.books.borrow_mut().give_back(&self.key, rests);
    }
}
