//! Port blocks of subscribers' own (RFC 6888 REQ-13, REQ-14).

use std::net::IpAddr;
use std::sync::Arc;

use rand_chacha::rand_core::Rng;

use crate::block::{Mask, PORTS, Phase};
use crate::error::AllocError;
use crate::event::{EventKind, PortRange};
use crate::fair::policy::PortBlocks;
use crate::fair::titles::{Missed, Owner, Unclaimed};
use crate::fair::unit::{PortBlock, QUARTER, QUARTERS, Unit};
use crate::fair::{Books, Claimed};
use crate::hints::Hint;
use crate::id::PoolId;
use crate::inner::PoolCounters;
use crate::layout::{Layout, PoolLayout};
use crate::lease::Lease;
use crate::page::Page;
use crate::region::Region;
use crate::request::{Family, Request};
use crate::space::SpaceId;
use crate::sweep::PER_REFILL;
use crate::wish::Wish;
use crate::worker::{Work, below};

/// What a refill looks for when it is to find a port block instead of a block to heat.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Assigning {
    owner: Owner,
    size: u16,
    found: Option<PortBlock>,
}

/// Whether a request may be served from a port block.
pub(super) fn serves(
    layout: &Layout,
    request: &Request,
    address: Option<IpAddr>,
    block: &PortBlock,
) -> bool {
    let space = layout.spaces.get(usize::from(block.at.space));
    space.is_some_and(|space| {
        let at = space.window.address(block.at.key);
        space.protocol == request.protocol
            && address.is_none_or(|address| address == at)
            && request.family.is_none_or(|family| family == Family::of(at))
    })
}

impl Work<'_> {
    /// A port of one of the subscriber's port blocks, or of a further one; of this address, if
    /// one is named.
    pub(super) fn allocate_in_blocks(
        &mut self,
        layout: &Arc<Layout>,
        pool: &PoolLayout,
        request: &Request,
        books: &Books<'_>,
        blocks: PortBlocks,
        address: Option<IpAddr>,
    ) -> Result<Lease, AllocError> {
        loop {
            let before = books.blocks_now();
            for wish in request.wishes() {
                let own = books.blocks().map(PortBlock::from_bits);
                for block in own.filter(|block| serves(layout, request, address, block)) {
                    if let Some(lease) = self.take_from(layout, pool, wish, block, books) {
                        let departed = request.departs(wish);
                        self.shard.stats.wishes_departed.bump(u64::from(departed));
                        return Ok(lease);
                    }
                }
            }
            let assigned = self.assign_further(layout, pool, request, books, blocks, address);
            // Where another shard had one assigned meanwhile, there are ports to be had.
            if assigned.is_err() && books.blocks_now() == before {
                assigned?;
            }
        }
    }

    /// Charges and assigns a further port block, of this address if one is named.
    pub(super) fn assign_further(
        &mut self,
        layout: &Arc<Layout>,
        pool: &PoolLayout,
        request: &Request,
        books: &Books<'_>,
        blocks: PortBlocks,
        address: Option<IpAddr>,
    ) -> Result<(), AllocError> {
        if let Some(address) = address {
            // Rather than that the subscriber has its limit: it would stay paired with an address
            // that is the pool's no longer.
            Self::class_of(layout, pool, request.protocol, address)?;
        }
        if !self.charge_block(layout, books, request, blocks) {
            return Err(AllocError::SubscriberQuota);
        }
        let assigned = self.assign(layout, pool, request, books, blocks.size, address);
        if assigned.is_err() {
            books.uncharge_block(request.protocol);
        }
        assigned
    }

    /// Charges a port block; at the limit, gives those back that have rested, and tries again.
    fn charge_block(
        &mut self,
        layout: &Layout,
        books: &Books<'_>,
        request: &Request,
        blocks: PortBlocks,
    ) -> bool {
        let total = blocks.total.into();
        let each = blocks.each[request.protocol.as_index()].map_or(total, u16::from);
        if books.charge_block(request.protocol, each, total) {
            return true;
        }
        for block in books.blocks().map(PortBlock::from_bits) {
            let space = layout.spaces.get(usize::from(block.at.space));
            let record = space.and_then(|space| space.get(block.at.key));
            if let Some(page) = record.and_then(|record| record.page()) {
                self.give_unit_back(page, block.unit, books);
            }
        }
        books.charge_block(request.protocol, each, total)
    }

    /// Takes a port of a port block; `None` when it has no rested one, or is the subscriber's no
    /// longer.
    fn take_from(
        &mut self,
        layout: &Layout,
        pool: &PoolLayout,
        wish: Wish,
        block: PortBlock,
        books: &Books<'_>,
    ) -> Option<Lease> {
        let space = layout.spaces.get(usize::from(block.at.space))?;
        let page = space.get(block.at.key)?.page()?;
        let class = layout.class(SpaceId(block.at.space), block.at.key)?;
        let unit = block.unit;
        let wanted = pool
            .dynamic(space.protocol, unit.block, class.mask(pool.id, unit.block))
            .and(&unit.ports())
            .and(&wish.ports(unit.block));
        let owner = Owner::account(books.number);
        let port = self.take_owned_by(page, unit, owner, &wanted)?;
        Some(self.assigned_lease(page, pool, unit.block, port))
    }

    /// Takes a port of a port block if it is this owner's.
    fn take_owned_by(
        &mut self,
        page: &Page,
        unit: Unit,
        owner: Owner,
        wanted: &Mask,
    ) -> Option<usize> {
        let titles = page.titles()?;
        let clock = &self.inner.ground.clock;
        let random = &mut self.worker.random;
        let draw = |bound| below(random, bound);
        let taken = titles.take(
            unit,
            owner,
            page.block(unit.block),
            (self.worker.id, clock),
            wanted,
            draw,
        );
        match taken {
            Ok(taken) => Some(taken.port),
            Err(Missed::Nothing) => None,
            Err(Missed::PutBack) => {
                page.settle(unit.block);
                None
            }
        }
    }

    /// This shard's counters of a pool.
    fn count_of(&self, pool: PoolId) -> &PoolCounters {
        self.shard.pools.get_or_grow(pool.as_index())
    }

    /// The lease of a port taken out of an assigned block.
    pub(super) fn assigned_lease(
        &self,
        page: &Page,
        pool: &PoolLayout,
        block: usize,
        port: usize,
    ) -> Lease {
        self.count_of(pool.id).allocated.bump(1);
        let tag = page.block(block).tag(port);
        let number = (block * PORTS + port) as u16;
        Lease::new(page, number, tag, Self::flags(pool))
    }

    /// Assigns a further port block to the subscriber, who has been charged for it.
    fn assign(
        &mut self,
        layout: &Arc<Layout>,
        pool: &PoolLayout,
        request: &Request,
        books: &Books<'_>,
        size: u16,
        address: Option<IpAddr>,
    ) -> Result<(), AllocError> {
        self.worker.assigning = Some(Assigning {
            owner: Owner::account(books.number),
            size,
            found: None,
        });
        let searched = match address {
            Some(address) => self.search_address(layout, pool, request, address),
            None => self.search_pool(pool, request),
        };
        let found = self.worker.assigning.take().and_then(|search| search.found);
        let Some(block) = found else {
            return Err(searched.err().unwrap_or(AllocError::PoolFull));
        };
        let kind = EventKind::PortBlockAssigned {
            subscriber: books.subscriber(),
            ports: self.inner.port_range(layout, block),
        };
        self.tell(pool.id, kind);
        self.count_of(pool.id).port_blocks_assigned.bump(1);
        // Only now can it be given back: whoever does tells of it later.
        books.note_block(block.to_bits());
        Ok(())
    }

    fn search_pool(&mut self, pool: &PoolLayout, request: &Request) -> Result<(), AllocError> {
        let purpose = self.purpose(request);
        let allocator = self.worker.allocator_index(self.shard, purpose);
        if self.find_unit(allocator, pool, purpose) {
            return Ok(());
        }
        Err(self.reason(pool, request.protocol, AllocError::PoolFull))
    }

    fn search_address(
        &mut self,
        layout: &Arc<Layout>,
        pool: &PoolLayout,
        request: &Request,
        address: IpAddr,
    ) -> Result<(), AllocError> {
        let (page, class) = self.page_of(layout, pool, request.protocol, address)?;
        let mut reclaimed = false;
        loop {
            for hint in [Hint::HALF, Hint::FREE] {
                for region in &class.regions {
                    let spin = self.worker.spin();
                    for block in page.hinted(hint, &region.blocks).iter_from(spin) {
                        if self.assign_from(pool, region, page, block) {
                            return Ok(());
                        }
                    }
                }
            }
            if reclaimed {
                let free =
                    |region: &Arc<Region>| !page.hinted(Hint::FREE, &region.blocks).is_empty();
                return Err(if class.regions.iter().any(free) {
                    self.reason(pool, request.protocol, AllocError::AddressFull)
                } else {
                    AllocError::AddressFull
                });
            }
            reclaimed = true;
            self.inner.recycle_all();
            let now = self.inner.ground.clock.slice();
            for region in &class.regions {
                for hint in Hint::rested(now, self.rest(), region.swept.get()) {
                    for block in page.hinted(hint, &region.blocks).iter() {
                        self.reclaim_units(page, block);
                    }
                }
            }
        }
    }

    /// Claims a port block of this block, which a search came by; whether it got one.
    pub(crate) fn assign_from(
        &mut self,
        pool: &PoolLayout,
        region: &Region,
        page: &Page,
        block: usize,
    ) -> bool {
        let Some(search) = self.worker.assigning else {
            return false;
        };
        let here = page.block(block);
        let mask = region.mask(pool.id, block);
        let ports = pool.dynamic(page.protocol, block, mask);
        match here.state().phase() {
            Phase::Free if ports.is_empty() => return false,
            Phase::Free => {
                if self.convert(pool, page, block, search.size, &ports) != Claimed::Yes {
                    return false;
                }
            }
            Phase::Assigned => {}
            _ => return false,
        }
        if !self.is_ours(pool, page, block) {
            return false;
        }
        let titles = page.titles_or_new();
        let units: Vec4 = Unit::all(block, search.size).collect();
        let start = self.worker.random.next_u32() as usize;
        for index in 0..units.len {
            let unit = units.list[(start + index) % units.len];
            if unit.ports().and(&ports).is_empty() {
                continue;
            }
            match titles.claim_in(unit, search.owner, here) {
                Ok(()) => {}
                Err(Unclaimed::Owned) => continue,
                Err(Unclaimed::Recycled) => {
                    // Whoever had the block assigned since has found these quarters taken.
                    page.settle(block);
                    return false;
                }
            }
            if !titles.has_room(block) {
                page.unmark(Hint::HALF, block);
                page.settle(block);
            }
            let at = page.pairing();
            let found = Some(PortBlock { at, unit });
            self.worker.assigning = Some(Assigning { found, ..search });
            return true;
        }
        // The hint was wrong: what is nobody's is no port block of this pool, as this layout has
        // it. What came free meanwhile, or is one in a later layout, is marked again; nothing
        // else, for a mark is announced, and who finds nothing looks again after that.
        if self.is_up_to_date() {
            page.unmark(Hint::HALF, block);
            let mut units = units.list[..units.len].iter();
            let free =
                units.any(|&unit| !unit.ports().and(&ports).is_empty() && titles.is_free(unit));
            if free || !self.is_up_to_date() {
                page.settle(block);
            }
        }
        false
    }

    /// Free to assigned: with port blocks of `size` ports wherever one has some port of `ports`.
    pub(super) fn convert(
        &mut self,
        pool: &PoolLayout,
        page: &Page,
        block: usize,
        size: u16,
        ports: &Mask,
    ) -> Claimed {
        let here = page.block(block);
        let claimed = self.claim(pool, page, block);
        if claimed != Claimed::Yes {
            return claimed;
        }
        here.take_fresh(self.id(), &Mask::EMPTY, &self.inner.ground.clock);
        let titles = page.titles_or_new();
        titles.lay_out(block, size, ports);
        if !self.is_up_to_date() {
            // Whoever reconfigures says so first and looks at the quarters second.
            titles.look_again(block);
        }
        self.shard.stats.blocks_claimed.bump(1);
        let done = here.assign(self.id());
        debug_assert!(done, "only the owner assigns a block");
        self.let_go(page, block);
        Claimed::Yes
    }

    /// Gives a port block back if every port of it has rested; whether it was.
    fn give_unit_back(&mut self, page: &Page, unit: Unit, books: &Books<'_>) -> bool {
        let Some(titles) = page.titles() else {
            return false;
        };
        let ground = &self.inner.ground;
        let block = PortBlock {
            at: page.pairing(),
            unit,
        };
        let last = || {
            if !books.forget_block(block.to_bits()) {
                // It was given back before, and is being assigned to the same subscriber again.
                return false;
            }
            books.uncharge_block(page.protocol);
            let (first, last) = unit.range();
            let kind = EventKind::PortBlockReleased {
                subscriber: books.subscriber(),
                ports: PortRange {
                    protocol: page.protocol,
                    address: page.address,
                    first,
                    last,
                },
            };
            let pool = PoolId(books.pool());
            self.tell(pool, kind);
            self.count_of(pool).port_blocks_released.bump(1);
            true
        };
        let owner = Owner::account(books.number);
        let given = titles.give_back(unit, owner, page.block(unit.block), &ground.clock, last);
        if given {
            page.settle(unit.block);
        }
        given
    }

    /// Gives back every port block of a block that has rested, and the block once none is left.
    pub(crate) fn reclaim_units(&mut self, page: &Page, block: usize) {
        let Some(titles) = page.titles() else {
            return;
        };
        if page.block(block).state().phase() != Phase::Assigned {
            return;
        }
        let ground = &self.inner.ground;
        let mut given = false;
        for quarter in 0..QUARTERS {
            let owner = titles.owner(block, quarter);
            if owner == Owner::RESERVED {
                let unit = Unit {
                    block,
                    first: quarter,
                    count: 1,
                };
                given |= titles.give_back(unit, owner, page.block(block), &ground.clock, || true);
            }
            let books = owner
                .number()
                .and_then(|number| ground.books(number, self.pin));
            let Some(books) = books else { continue };
            let own = books.blocks().map(PortBlock::from_bits);
            let here = own.filter(|own| {
                own.at == page.pairing() && own.unit.block == block && own.unit.first == quarter
            });
            for own in here {
                given |= self.give_unit_back(page, own.unit, &books);
            }
        }
        if given {
            page.settle(block);
        }
        if titles.is_unowned(block) {
            self.condemn(page, block);
        }
    }

    /// Leases exactly this port in a pool of port blocks: out of a quarter that is no
    /// subscriber's, and becomes none's while something of it is reserved. Ports of deterministic
    /// ranges are their subscribers'.
    pub(crate) fn reserve_apart(
        &mut self,
        page: &Page,
        block: usize,
        port: usize,
        pool: &PoolLayout,
    ) -> Result<Lease, AllocError> {
        let size = pool.policy.blocks.map_or(64, |blocks| blocks.size);
        let dynamic = pool.dynamic(page.protocol, block, Mask::FULL);
        if !dynamic.contains(port) {
            return Err(AllocError::Excluded);
        }
        let here = page.block(block);
        while !here.keep_assigned() {
            if here.state().phase() != Phase::Free {
                return Err(AllocError::InUse);
            }
            match self.convert(pool, page, block, size, &dynamic) {
                Claimed::Short => return Err(AllocError::TenantQuota),
                Claimed::Gone => return Err(AllocError::InUse),
                Claimed::Yes | Claimed::Lost => {}
            }
        }
        let unit = Unit {
            block,
            first: port / QUARTER,
            count: 1,
        };
        let titles = page.titles_or_new();
        let claimed = titles.claim_in(unit, Owner::RESERVED, here);
        if claimed == Err(Unclaimed::Recycled) {
            return Err(AllocError::InUse);
        }
        let only = [port].into_iter().collect();
        let taken = self.take_owned_by(page, unit, Owner::RESERVED, &only);
        if taken.is_none() && claimed.is_ok() {
            self.reclaim_units(page, block);
        }
        let port = taken.ok_or(AllocError::InUse)?;
        Ok(self.assigned_lease(page, pool, block, port))
    }

    /// Sweeps until something can be claimed, or everything due was looked at.
    pub(crate) fn sweep_for_units(&mut self, mut found: impl FnMut(&mut Self) -> bool) -> bool {
        loop {
            let now = self.inner.ground.clock.slice();
            let done = self.is_swept(now);
            self.sweep(PER_REFILL);
            if found(self) {
                return true;
            }
            if done {
                return false;
            }
        }
    }
}

/// The port blocks of one block, without a heap.
#[derive(Default)]
struct Vec4 {
    list: [Unit; QUARTERS],
    len: usize,
}

impl FromIterator<Unit> for Vec4 {
    fn from_iter<T: IntoIterator<Item = Unit>>(units: T) -> Self {
        let mut all = Vec4::default();
        for unit in units {
            all.list[all.len] = unit;
            all.len += 1;
        }
        all
    }
}
