//! A second allocator: single-threaded, slow, and obviously right.
//!
//! Every allocation walks the addresses and ports of the pool in order and takes the first that
//! nobody holds and that has rested. Leases return themselves when they are dropped.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use natshard::{AllocError, Protocol, Reason, Tick};

use super::{AllocationError, NatAllocator, NatAllocatorBurst, NatRequest, SourceTarget};
use crate::config::{NatConfig, NatPool, PoolIndex};
use crate::port::UnreservedPort;

/// A public tuple with its realm.
type Key = (String, Protocol, SocketAddr);

#[derive(Debug, Default)]
struct Books {
    now: Tick,
    hold_down: Duration,
    leased: BTreeSet<Key>,
    /// Until when a released tuple rests.
    resting: BTreeMap<Key, Tick>,
}

impl Books {
    fn is_leasable(&self, key: &Key) -> bool {
        !self.leased.contains(key) && self.resting.get(key).is_none_or(|until| *until <= self.now)
    }

    fn give_back(&mut self, key: &Key, rests: bool) {
        assert!(self.leased.remove(key), "{key:?} was not leased");
        if rests {
            let until = self.now.saturating_add(self.hold_down);
            self.resting.insert(key.clone(), until);
        }
    }
}

/// An allocator of which one can see at a glance that it is right.
#[derive(Debug)]
pub struct ReferenceAllocator {
    books: Rc<RefCell<Books>>,
}

impl ReferenceAllocator {
    /// An allocator whose released ports rest that long.
    #[must_use]
    pub fn new(hold_down: Duration) -> Self {
        ReferenceAllocator {
            books: Rc::new(RefCell::new(Books {
                hold_down,
                ..Books::default()
            })),
        }
    }

    /// How many tuples are leased.
    #[must_use]
    pub fn leased(&self) -> usize {
        self.books.borrow().leased.len()
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
        let now = books.now;
        books.resting.retain(|_, until| *until > now);
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

    fn config(&self) -> &NatConfig {
        self.config
    }

    fn lease(
        &mut self,
        index: PoolIndex,
        request: &NatRequest,
    ) -> Result<SourceTarget<ReferenceLease>, AllocationError> {
        let pool = self.config.pool(index);
        let protocol = request.tuple.protocol;
        let wanted = request.address.filter(|address| pool.contains(*address));
        let others = addresses(pool, request.tuple.source.is_ipv4())
            .filter(|address| Some(*address) != wanted);
        let mut any_address = false;
        for address in wanted.into_iter().chain(others) {
            any_address = true;
            for port in ports(pool, protocol, request.near_port) {
                if !pool.gives(protocol, address, port) {
                    continue;
                }
                let key = (
                    pool.realm_name().to_owned(),
                    protocol,
                    SocketAddr::new(address, port),
                );
                let mut books = self.books.borrow_mut();
                if books.is_leasable(&key) {
                    let range = pool.range(protocol);
                    let port =
                        UnreservedPort::within(protocol, port, *range.start(), *range.end())?;
                    books.resting.remove(&key);
                    books.leased.insert(key.clone());
                    let lease = ReferenceLease {
                        books: Rc::clone(self.books),
                        key,
                        reuse_closed: pool.reuse_closed,
                        reason: Reason::Ended,
                    };
                    return Ok(SourceTarget {
                        lease,
                        address,
                        port,
                    });
                }
            }
        }
        let reason = if any_address {
            AllocError::PoolFull
        } else {
            AllocError::NoSuchFamily
        };
        Err(reason.into())
    }

    fn release(&mut self, mut lease: ReferenceLease, reason: Reason) {
        lease.reason = reason;
    }
}

/// Every address of the pool's prefixes of one family.
fn addresses(pool: &NatPool, v4: bool) -> impl Iterator<Item = IpAddr> {
    pool.prefixes()
        .iter()
        .filter(move |net| net.addr().is_ipv4() == v4)
        .flat_map(move |net| {
            let (first, last) = match net {
                IpNet::V4(net) => (
                    net.network().to_bits().into(),
                    net.broadcast().to_bits().into(),
                ),
                IpNet::V6(net) => (net.network().to_bits(), net.broadcast().to_bits()),
            };
            (first..=last).map(move |bits: u128| {
                if v4 {
                    IpAddr::V4((bits as u32).into())
                } else {
                    IpAddr::V6(bits.into())
                }
            })
        })
}

/// Every port of the pool: first the wish, then its parity by distance, then all others.
fn ports(pool: &NatPool, protocol: Protocol, near: Option<u16>) -> impl Iterator<Item = u16> {
    let range = pool.range(protocol).clone();
    let wished = near.map(|near| {
        let mut order: Vec<u16> = range.clone().collect();
        order.sort_by_key(|port| ((port ^ near) & 1, port.abs_diff(near)));
        order
    });
    let plain = wished.is_none().then_some(range);
    wished
        .into_iter()
        .flatten()
        .chain(plain.into_iter().flatten())
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
