//! Requests that are more than a pop: addresses, ports near another, reservations.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::block::{Mask, PORTS};
use crate::contiguous::Search;
use crate::error::AllocError;
use crate::hints::Hint;
use crate::id::PoolId;
use crate::layout::{Class, Layout, PoolLayout};
use crate::lease::Lease;
use crate::page::Page;
use crate::protocol::Protocol;
use crate::region::Region;
use crate::request::{Family, Parity, Request, Strictness};
use crate::space::{Space, Window};
use crate::take::nearest;
use crate::worker::{Purpose, Work};

impl Work<'_> {
    pub(crate) fn allocate(
        &mut self,
        layout: &Arc<Layout>,
        pool: &PoolLayout,
        request: &Request,
    ) -> Result<Lease, AllocError> {
        self.check_family(pool, request)?;
        if pool.policy.keeps_books()
            && let Some(subscriber) = request.subscriber
        {
            return self.allocate_for(layout, pool, request, subscriber);
        }
        if pool.policy.is_exclusive() {
            return Err(AllocError::SubscriberMissing);
        }
        self.allocate_shared(layout, pool, request)
    }

    /// A lease of ports that are anybody's.
    pub(crate) fn allocate_shared(
        &mut self,
        layout: &Arc<Layout>,
        pool: &PoolLayout,
        request: &Request,
    ) -> Result<Lease, AllocError> {
        if let Some((address, strictness)) = request.address {
            let family = request
                .family
                .is_none_or(|family| family == Family::of(address));
            let had = if family {
                self.allocate_at(layout, pool, request, address)
            } else {
                Err(AllocError::NoSuchFamily)
            };
            match had {
                Err(_) if strictness == Strictness::Preferred => {
                    self.shard.stats.wishes_departed.bump(1);
                }
                had => return had,
            }
        }
        let purpose = self.purpose(request);
        let Some(allocator) = self.hand_for(purpose) else {
            self.want(pool, request.protocol);
            return Err(self.reason(pool, request.protocol, AllocError::PoolFull));
        };
        if request.near_port.is_some() || request.parity.is_some() {
            if let Some(near) = request.near_port
                && request.address.is_none()
                && request
                    .parity
                    .is_none_or(|parity| parity == Parity::of(near))
                && let Some((page, _)) = self.worker.allocators[allocator].block()
            {
                let public = page.tuple(near);
                if let Ok(lease) = self.reserve(layout, pool, request.protocol, public) {
                    return Ok(lease);
                }
            }
            let search = Search::single(pool, purpose, None);
            let lease = self.pop_wished(allocator, search, request);
            return lease.ok_or(AllocError::PoolFull);
        }
        self.pop(allocator).ok_or(AllocError::PoolFull)
    }

    /// A hand with a port for this purpose, if there is one to be had.
    fn hand_for(&mut self, purpose: Purpose) -> Option<usize> {
        if self.worker.hardened {
            return self.draw_hand(purpose);
        }
        let allocator = self.worker.allocator_index(self.shard, purpose);
        let loaded = !self.worker.allocators[allocator].is_spent();
        (loaded || self.refill(allocator, purpose, true)).then_some(allocator)
    }

    /// Whether the pool has addresses of the family asked for.
    pub(crate) fn check_family(
        &self,
        pool: &PoolLayout,
        request: &Request,
    ) -> Result<(), AllocError> {
        let mut regions = pool.regions(request.protocol, request.family);
        if request.family.is_some() && regions.next().is_none() {
            return Err(AllocError::NoSuchFamily);
        }
        Ok(())
    }

    pub(crate) fn count_refusal(&self, pool: PoolId, error: AllocError) {
        self.shard.pools.get_or_grow(pool.as_index()).refused[error as usize].bump(1);
    }

    /// A port of one address.
    pub(crate) fn allocate_at(
        &mut self,
        layout: &Arc<Layout>,
        pool: &PoolLayout,
        request: &Request,
        address: IpAddr,
    ) -> Result<Lease, AllocError> {
        let there = |work: &mut Self, page: &Page, class: &Class| {
            work.allocate_there(page, class, pool, request)
        };
        self.while_open(layout, pool, (request.protocol, address), there)
    }

    /// Opens an address of the pool and has `lease` there; once more if its page was taken down
    /// meanwhile.
    fn while_open(
        &mut self,
        layout: &Layout,
        pool: &PoolLayout,
        (protocol, address): (Protocol, IpAddr),
        lease: impl Fn(&mut Self, &Page, &Class) -> Result<Lease, AllocError>,
    ) -> Result<Lease, AllocError> {
        loop {
            let (page, class) = self.page_of(layout, pool, protocol, address)?;
            let had = lease(self, page, class);
            if had.is_ok() || !page.closing.is_gone() {
                return had;
            }
        }
    }

    fn allocate_there(
        &mut self,
        page: &Page,
        class: &Class,
        pool: &PoolLayout,
        request: &Request,
    ) -> Result<Lease, AllocError> {
        if let Some(near) = request.near_port {
            let (block, port) = (near as usize / PORTS, near as usize % PORTS);
            let wanted = class.mask(pool.id, block);
            if !wanted.is_empty() {
                let parity = request.parity.unwrap_or(Parity::of(near));
                let choose = |ports: &Mask| nearest(ports, port, parity);
                if let Ok(lease) = self.take_one(page, block, &wanted, pool, &choose) {
                    return Ok(lease);
                }
            }
        }
        let purpose = self.purpose(request);
        let Some(allocator) = self.address_allocator(purpose, pool, page, class) else {
            self.want(pool, request.protocol);
            let free = |region: &Arc<Region>| !page.hinted(Hint::FREE, &region.blocks).is_empty();
            if class.regions.iter().any(free) {
                return Err(self.reason(pool, request.protocol, AllocError::AddressFull));
            }
            return Err(AllocError::AddressFull);
        };
        if request.near_port.is_some() || request.parity.is_some() {
            let search = Search::single(pool, purpose, Some((page, class)));
            let lease = self.pop_wished(allocator, search, request);
            return lease.ok_or(AllocError::AddressFull);
        }
        self.pop(allocator).ok_or(AllocError::AddressFull)
    }

    /// The open page of an address of the pool, and the class of the address.
    pub(crate) fn page_of<'p>(
        &mut self,
        layout: &'p Layout,
        pool: &PoolLayout,
        protocol: Protocol,
        address: IpAddr,
    ) -> Result<(&'p Page, &'p Class), AllocError> {
        let (space, key, class) = Self::class_of(layout, pool, protocol, address)?;
        let record = space.record(key);
        self.inner.enlist(self.pin, space, record, layout);
        Ok((self.open(space, record), class))
    }

    /// The class of an address of the pool, and where it is.
    pub(crate) fn class_of<'p>(
        layout: &'p Layout,
        pool: &PoolLayout,
        protocol: Protocol,
        address: IpAddr,
    ) -> Result<(&'p Space, u32, &'p Class), AllocError> {
        let (window, key) = Window::of(address);
        let space = layout
            .find_space(pool.realm, protocol, window)
            .ok_or(AllocError::OutsidePool)?;
        let ours = |region: &Region| region.spec.pools.iter().any(|&(id, _)| id == pool.id);
        let class = layout.class(space.id, key);
        let class = class.filter(|class| class.shares.iter().any(|share| share.pool == pool.id));
        let Some(class) = class else {
            let drains = space.get(key).is_some_and(|record| {
                let mut members = record.members().iter();
                record.page().is_some() && members.any(|member| ours(&member.region))
            });
            return Err(if drains {
                AllocError::Draining
            } else {
                AllocError::OutsidePool
            });
        };
        if !class.regions.iter().any(|region| ours(region)) {
            return Err(AllocError::Excluded);
        }
        Ok((space, key, class))
    }

    pub(crate) fn reserve(
        &mut self,
        layout: &Arc<Layout>,
        pool: &PoolLayout,
        protocol: Protocol,
        public: SocketAddr,
    ) -> Result<Lease, AllocError> {
        let there = |work: &mut Self, page: &Page, class: &Class| {
            work.reserve_at(page, class, pool, public)
        };
        self.while_open(layout, pool, (protocol, public.ip()), there)
    }

    fn reserve_at(
        &mut self,
        page: &Page,
        class: &Class,
        pool: &PoolLayout,
        public: SocketAddr,
    ) -> Result<Lease, AllocError> {
        let (block, port) = (
            public.port() as usize / PORTS,
            public.port() as usize % PORTS,
        );
        let wanted = class.mask(pool.id, block);
        if !wanted.contains(port) {
            return Err(AllocError::Excluded);
        }
        if pool.policy.is_exclusive() {
            return self.reserve_apart(page, block, port, pool);
        }
        let only: Mask = [port].into_iter().collect();
        self.take_one(page, block, &only, pool, &|ports| {
            ports.contains(port).then_some(port)
        })
    }
}
