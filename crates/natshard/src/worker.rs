//! What a shard owns: its allocators, and the ways it comes by blocks.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::block::{Mask, PORTS, Phase};
use crate::hints::{BLOCKS, BlockSet, Hint};
use crate::id::{PoolId, ShardId};
use crate::inner::{BATCH, Batch, Inner, ShardShared};
use crate::layout::{Layout, PoolLayout};
use crate::lease::REUSE_CLOSED;
use crate::page::Page;
use crate::port_allocator::{Found, PortAllocator, shuffle};
use crate::protocol::Protocol;
use crate::reclaim::Pin;
use crate::region::Region;
use crate::request::Family;
use crate::space::{Record, Space};

/// Allocators for single addresses that a shard keeps at once; past that the oldest gives its
/// ports back.
const ADDRESS_ALLOCATORS: usize = 256;

/// What a search for a block is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Purpose {
    pub(crate) pool: PoolId,
    pub(crate) protocol: Protocol,
    pub(crate) family: Option<Family>,
}

impl Purpose {
    fn index(self) -> usize {
        let family = match self.family {
            None => 0,
            Some(Family::V4) => 1,
            Some(Family::V6) => 2,
        };
        (self.pool.as_index() * 3 + self.protocol.as_index()) * 3 + family
    }
}

/// A refusal that stands until something becomes leasable or a slice passes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Refusal {
    version: u64,
    slice: u64,
    layout: u64,
}

/// The owner-only half of a shard.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) id: ShardId,
    pub(crate) layout: Arc<Layout>,
    pub(crate) allocators: Vec<PortAllocator>,
    /// By [`Purpose::index`]: one more than the allocator, or zero.
    general: Vec<u32>,
    refusals: Vec<Option<Refusal>>,
    by_address: HashMap<(Purpose, IpAddr), usize>,
    /// The allocators of `by_address`, in a ring.
    address_ring: Vec<(Purpose, IpAddr)>,
    address_hand: usize,
    random: ChaCha8Rng,
    /// The batch being filled.
    batch: Option<usize>,
    /// Which region the sweep is at, and the slice it is for.
    pub(crate) sweep_at: usize,
    pub(crate) swept_slice: Option<u64>,
}

impl Worker {
    pub(crate) fn new(inner: &Inner, id: ShardId) -> Self {
        let random = match inner.seed {
            Some(seed) => ChaCha8Rng::seed_from_u64(seed.wrapping_add(u64::from(id.0) << 32)),
            None => {
                let mut key = [0u8; 32];
                match getrandom::fill(&mut key) {
                    Ok(()) => ChaCha8Rng::from_seed(key),
                    // No entropy source at all: still a different order per shard and process.
                    Err(_) => ChaCha8Rng::seed_from_u64(
                        std::ptr::from_ref(inner) as u64 ^ u64::from(id.0),
                    ),
                }
            }
        };
        Worker {
            id,
            layout: inner.layout.load_full(),
            allocators: Vec::new(),
            general: Vec::new(),
            refusals: Vec::new(),
            by_address: HashMap::new(),
            address_ring: Vec::new(),
            address_hand: 0,
            random,
            batch: None,
            sweep_at: 0,
            swept_slice: None,
        }
    }

    /// The allocator of a purpose, if it ever had one. On the hot path.
    #[inline]
    pub(crate) fn allocator(&mut self, purpose: Purpose) -> Option<&mut PortAllocator> {
        let number = *self.general.get(purpose.index())?;
        self.allocators.get_mut((number as usize).wrapping_sub(1))
    }

    fn new_allocator(&mut self, shard: &ShardShared) -> usize {
        let index = self.allocators.len();
        self.allocators
            .push(PortAllocator::new(shard.trays.get_or_grow(index)));
        shard.tray_count.set(index as u64 + 1);
        index
    }

    pub(crate) fn allocator_index(&mut self, shard: &ShardShared, purpose: Purpose) -> usize {
        let index = purpose.index();
        if self.general.len() <= index {
            self.general.resize(index + 1, 0);
            self.refusals.resize(index + 1, None);
        }
        if self.general[index] == 0 {
            self.general[index] = self.new_allocator(shard) as u32 + 1;
        }
        self.general[index] as usize - 1
    }

    /// A shard at work: everything it needs while pinned.
    pub(crate) fn at<'a>(&'a mut self, inner: &'a Arc<Inner>, pin: &'a Pin<'a>) -> Work<'a> {
        let shard = &inner.shards[self.id.as_index()];
        Work {
            worker: self,
            inner,
            pin,
            shard,
        }
    }
}

/// A worker while it is pinned.
pub(crate) struct Work<'a> {
    pub(crate) worker: &'a mut Worker,
    pub(crate) inner: &'a Arc<Inner>,
    pub(crate) pin: &'a Pin<'a>,
    pub(crate) shard: &'a ShardShared,
}

impl Work<'_> {
    fn id(&self) -> ShardId {
        self.worker.id
    }

    pub(crate) fn flags(pool: &PoolLayout) -> u8 {
        if pool.reuse_closed { REUSE_CLOSED } else { 0 }
    }

    /// Takes ports of `wanted` from a block, whatever phase it is in; says which, and whether the
    /// block was reheated. Looks before it takes, so that a block without any stays as it is.
    fn acquire(
        &mut self,
        page: &Page,
        block: usize,
        wanted: &Mask,
        rest: u64,
    ) -> Option<(Mask, bool)> {
        let here = page.block(block);
        match here.state().phase() {
            Phase::Free if here.claim(self.id()) => {
                page.count_taken();
                for hint in [Hint::FREE, Hint::HALF, Hint::RIPE] {
                    page.unmark(hint, block);
                }
                let taken = here.take_fresh(self.id(), wanted, &self.inner.ground.clock);
                if taken.is_empty() {
                    self.abandon(page, block, &taken);
                    return None;
                }
                self.shard.stats.blocks_claimed.bump(1);
                Some((taken, false))
            }
            Phase::Cooling => {
                let clock = &self.inner.ground.clock;
                if here.rest(clock, rest).rested.and(wanted).is_empty() || !here.reheat(self.id()) {
                    return None;
                }
                page.unmark(Hint::HALF, block);
                page.unmark(Hint::RIPE, block);
                let judged = here.judge_and_take(
                    self.id(),
                    clock,
                    rest,
                    |rested| rested.and(wanted),
                    |taken| self.count_warmed(page, block, taken, rest),
                );
                if judged.is_empty() {
                    here.cool(self.id());
                    page.settle(block);
                    return None;
                }
                self.shard.stats.blocks_reheated.bump(1);
                Some((judged, true))
            }
            _ => None,
        }
    }

    /// Accounts for ports about to be taken from a reheated block.
    pub(crate) fn count_warmed(&self, page: &Page, block: usize, ports: &Mask, rest: u64) {
        if self.inner.max_cooling == u64::MAX {
            return;
        }
        let here = page.block(block);
        self.shard
            .stats
            .warmed
            .add(ports.iter().filter(|&port| here.is_stamped(port)).count() as u64);
        let clock = &self.inner.ground.clock;
        if rest < clock.rest() {
            let rested = here.rest(clock, clock.rest()).rested;
            self.shard
                .stats
                .served_early
                .bump(u64::from(ports.without(&rested).count()));
        }
    }

    fn abandon(&self, page: &Page, block: usize, unissued: &Mask) {
        if page.block(block).abandon(self.id(), unissued) {
            page.count_free();
            page.settle(block);
            self.inner.enqueue(page, block);
        }
    }

    /// Gives an allocator's block and unissued ports back.
    pub(crate) fn surrender(&mut self, allocator: usize) {
        let Some((page, block, unissued, pool, issued)) =
            self.worker.allocators[allocator].unload()
        else {
            return;
        };
        self.shard
            .pools
            .get_or_grow(pool.as_index())
            .allocated
            .bump(issued);
        // SAFETY: the block is still heated by this shard, so its page is open; from here on the
        // pin keeps it.
        let page = unsafe { page.as_ref() };
        let here = page.block(block);
        if issued == 0 && here.is_pristine(&unissued) {
            self.abandon(page, block, &unissued);
            return;
        }
        here.put_back(&unissued);
        here.cool(self.id());
        page.settle(block);
        self.condemn(page, block);
    }

    /// Lets go of a block as soon as its last port is issued: from then on it cools.
    #[inline]
    pub(crate) fn retire_if_spent(&mut self, allocator: usize) {
        if self.worker.allocators[allocator].is_spent() {
            self.surrender(allocator);
        }
    }

    /// Gives everything in hand back.
    pub(crate) fn surrender_all(&mut self) {
        for allocator in 0..self.worker.allocators.len() {
            self.surrender(allocator);
        }
    }

    /// Condemns a block if it is empty and rested, and defers its recycling.
    pub(crate) fn condemn(&mut self, page: &Page, block: usize) -> bool {
        let here = page.block(block);
        let clock = &self.inner.ground.clock;
        if !here.rest(clock, clock.rest()).is_over() {
            return false;
        }
        let Some(number) = self.open_batch() else {
            return false;
        };
        if !here.hot().deferred.raise() {
            return false;
        }
        if !here.condemn(clock) {
            here.hot().deferred.set(false);
            page.settle(block);
            return false;
        }
        self.inner.ground.awaiting_grace.add(1);
        let batch: &Batch = &self.shard.batches[number];
        batch.push(page, block);
        if batch.len.get() as usize == BATCH {
            self.seal();
        }
        true
    }

    fn open_batch(&mut self) -> Option<usize> {
        if self.worker.batch.is_none() {
            self.worker.batch = self
                .shard
                .batches
                .iter()
                .position(|batch| !batch.busy.get());
        }
        self.worker.batch
    }

    /// Hands the batch being filled to the epoch.
    pub(crate) fn seal(&mut self) {
        let Some(number) = self.worker.batch else {
            return;
        };
        let batch = &self.shard.batches[number];
        if batch.len.get() == 0 {
            return;
        }
        self.worker.batch = None;
        batch.busy.set(true);
        self.shard.stats.epoch_batches.bump(1);
        let inner = Arc::clone(self.inner);
        let shard = self.id().as_index();
        // SAFETY: the closure owns what it refers to, all of it usable from any thread.
        unsafe { self.pin.defer(move || inner.recycle(shard, number)) };
    }

    /// Opens an enlisted address and queues its blocks in random order.
    pub(crate) fn open<'p>(&mut self, space: &Space, record: &'p Record) -> &'p Page {
        let (page, fresh) = self.inner.open(space, record);
        if fresh {
            self.shard.stats.addresses_opened.bump(1);
            let mut order: [u8; BLOCKS] = std::array::from_fn(|block| block as u8);
            shuffle(&mut order, &mut self.worker.random);
            for block in order {
                self.inner.enqueue(page, block as usize);
            }
        }
        page
    }

    /// Loads an allocator with ports of some block of its purpose, in the order of DESIGN: rested
    /// free blocks; cooling blocks at least half of whose ports have rested; a new address; any
    /// hole. `false` means that no port was leasable.
    pub(crate) fn refill(&mut self, allocator: usize, purpose: Purpose) -> bool {
        let layout = Arc::clone(&self.worker.layout);
        let Some(pool) = layout.pool(purpose.pool) else {
            return false;
        };
        let mut surrendered = false;
        loop {
            let before = self.moment(pool, purpose);
            let known = self.worker.refusals[purpose.index()];
            if known == Some(before) && self.inner.ground.clock.rest() > 0 {
                return false;
            }
            self.surrender(allocator);
            for region in pool.regions(purpose.protocol, purpose.family) {
                if self.from_region(allocator, pool, region, Stage::Early)
                    || self.from_region(allocator, pool, region, Stage::Free)
                {
                    return true;
                }
            }
            // Whatever awaits its grace period could be free soon.
            self.seal();
            for stage in [Stage::Half, Stage::NewAddress, Stage::Holes] {
                for region in pool.regions(purpose.protocol, purpose.family) {
                    if self.from_region(allocator, pool, region, stage) {
                        return true;
                    }
                }
            }
            let mut regions = pool.regions(purpose.protocol, purpose.family);
            if regions.clone().any(|region| region.is_clearing())
                && regions
                    .any(|region| self.from_region(allocator, pool, region, Stage::Everything))
            {
                return true;
            }
            if !surrendered {
                // Ports in this shard's own other hands are leasable too.
                surrendered = true;
                self.surrender_shared(pool, purpose);
                continue;
            }
            if self.moment(pool, purpose) == before {
                self.worker.refusals[purpose.index()] = Some(before);
                return false;
            }
        }
    }

    /// Gives the blocks in this shard's hands back that the purpose could be served from.
    fn surrender_shared(&mut self, pool: &PoolLayout, purpose: Purpose) {
        for allocator in 0..self.worker.allocators.len() {
            let held = self.worker.allocators[allocator].block();
            let shared = held.is_some_and(|(page, block)| {
                page.record().members().iter().any(|member| {
                    let mut regions = pool.regions(purpose.protocol, purpose.family);
                    member.blocks().contains(block)
                        && regions.any(|region| Arc::ptr_eq(region, &member.region))
                })
            });
            if shared {
                self.surrender(allocator);
            }
        }
    }

    /// What must not have changed for a search without result to mean that there was nothing.
    fn moment(&self, pool: &PoolLayout, purpose: Purpose) -> Refusal {
        let regions = pool.regions(purpose.protocol, purpose.family);
        Refusal {
            version: regions.fold(0, |sum, region| sum.wrapping_add(region.version.get())),
            slice: self.inner.ground.clock.slice(),
            layout: self.worker.layout.version,
        }
    }

    fn from_region(
        &mut self,
        allocator: usize,
        pool: &PoolLayout,
        region: &Arc<Region>,
        stage: Stage,
    ) -> bool {
        match stage {
            Stage::Early => self.early(allocator, pool, region),
            Stage::Free => {
                self.from_queue(allocator, pool, region)
                    || self.from_hint(allocator, pool, region, Hint::FREE, None)
            }
            Stage::Half => self.from_hint(allocator, pool, region, Hint::HALF, None),
            Stage::NewAddress => self.from_new_address(allocator, pool, region),
            Stage::Holes => self.from_holes(allocator, pool, region),
            Stage::Everything => self.from_everything(allocator, pool, region),
        }
    }

    fn load(
        &mut self,
        allocator: usize,
        pool: &PoolLayout,
        page: &Page,
        block: usize,
        wanted: &Mask,
        rest: u64,
    ) -> bool {
        let Some((taken, mixed)) = self.acquire(page, block, wanted, rest) else {
            return false;
        };
        let worker = &mut *self.worker;
        let found = Found {
            page,
            block,
            taken,
            mixed,
            pool: pool.id,
            flags: Self::flags(pool),
        };
        worker.allocators[allocator].load(&found, self.inner.order, &mut worker.random);
        true
    }

    fn from_queue(&mut self, allocator: usize, pool: &PoolLayout, region: &Arc<Region>) -> bool {
        while let Some(entry) = region.queue.pop() {
            let (position, block) = ((entry >> 8) as usize, (entry & 0xff) as usize);
            let Some(page) = region.record(position).and_then(Record::page) else {
                continue;
            };
            // Before the attempt: whoever frees the block from now on queues it again.
            page.block(block).hot().queued.set(false);
            // The queue is a hint: the block may have been found another way meanwhile.
            let wanted = region.mask(pool.id, block);
            let free = page.block(block).state().phase() == Phase::Free;
            if free && self.load(allocator, pool, page, block, &wanted, self.rest()) {
                return true;
            }
        }
        false
    }

    fn rest(&self) -> u64 {
        self.inner.ground.clock.rest()
    }

    fn from_hint(
        &mut self,
        allocator: usize,
        pool: &PoolLayout,
        region: &Arc<Region>,
        hint: Hint,
        rest: Option<u64>,
    ) -> bool {
        let rest = rest.unwrap_or(self.rest());
        let mut cursor = self.worker.allocators[allocator].cursor;
        let spin = self.spin();
        let found = region.search(hint, &mut cursor, false, spin, |_, page, block| {
            self.load(
                allocator,
                pool,
                page,
                block,
                &region.mask(pool.id, block),
                rest,
            )
            .then_some(())
        });
        self.worker.allocators[allocator].cursor = cursor;
        found.is_some()
    }

    fn spin(&mut self) -> usize {
        self.worker.random.next_u32() as usize % BLOCKS
    }

    /// At the cap of cooling ports, the longest-rested are served before their time.
    fn early(&mut self, allocator: usize, pool: &PoolLayout, region: &Arc<Region>) -> bool {
        if self.inner.max_cooling == u64::MAX || self.inner.cooling() < self.inner.max_cooling {
            return false;
        }
        let now = self.inner.ground.clock.slice();
        (0..=self.rest()).rev().any(|age| {
            self.from_hint(
                allocator,
                pool,
                region,
                Hint::resting(now.saturating_sub(age)),
                Some(age),
            )
        })
    }

    fn from_new_address(
        &mut self,
        allocator: usize,
        pool: &PoolLayout,
        region: &Arc<Region>,
    ) -> bool {
        let layout = Arc::clone(&self.worker.layout);
        loop {
            if let Some(record) = region.closed_address() {
                let page = self.open(&region.space, record);
                let spin = self.spin();
                for block in page.hinted(Hint::FREE, &region.blocks).iter_from(spin) {
                    if self.load(
                        allocator,
                        pool,
                        page,
                        block,
                        &region.mask(pool.id, block),
                        self.rest(),
                    ) {
                        return true;
                    }
                }
            }
            // Another shard's half-done enlisting is completed here rather than waited for.
            let Some((number, key)) = region.next_address() else {
                return self.from_queue(allocator, pool, region);
            };
            let record = region.space.record(key);
            self.inner.enlist(self.pin, &region.space, record, &layout);
            region.enlisted(number);
            self.open(&region.space, record);
            if self.from_queue(allocator, pool, region)
                || self.from_hint(allocator, pool, region, Hint::FREE, None)
            {
                return true;
            }
        }
    }

    fn from_holes(&mut self, allocator: usize, pool: &PoolLayout, region: &Arc<Region>) -> bool {
        if self.from_hint(allocator, pool, region, Hint::RIPE, None) {
            return true;
        }
        let now = self.inner.ground.clock.slice();
        Hint::rested(now, self.rest(), region.swept.get())
            .any(|hint| self.from_hint(allocator, pool, region, hint, None))
    }

    /// Every block of every open address: when a summary may be hiding something at this moment.
    fn from_everything(
        &mut self,
        allocator: usize,
        pool: &PoolLayout,
        region: &Arc<Region>,
    ) -> bool {
        let now = self.inner.ground.clock.slice();
        let hints = [Hint::FREE, Hint::HALF, Hint::RIPE].into_iter();
        let rest = self.rest();
        for hint in hints.chain(Hint::rested(now, rest, region.swept.get())) {
            let found = region.search(hint, &mut 0, true, 0, |_, page, block| {
                self.load(
                    allocator,
                    pool,
                    page,
                    block,
                    &region.mask(pool.id, block),
                    rest,
                )
                .then_some(())
            });
            if found.is_some() {
                return true;
            }
        }
        false
    }

    /// Asks the other shards for the ports in their hands.
    pub(crate) fn want(&self) {
        for (index, other) in self.inner.shards.iter().enumerate() {
            if index != self.id().as_index() {
                want_of(other);
            }
        }
    }

    /// The allocator of one address, loaded; `None` when the address has no port left.
    pub(crate) fn address_allocator(
        &mut self,
        purpose: Purpose,
        pool: &PoolLayout,
        page: &Page,
        blocks: &[(BlockSet, Arc<Region>)],
    ) -> Option<usize> {
        let allocator = self.address_allocator_index(purpose, page.address);
        if !self.worker.allocators[allocator].is_spent() {
            return Some(allocator);
        }
        self.surrender(allocator);
        if self.load_at_address(allocator, pool, page, blocks) {
            return Some(allocator);
        }
        // Ports of this address in this shard's own other hands.
        for other in 0..self.worker.allocators.len() {
            let here = self.worker.allocators[other].block();
            if here.is_some_and(|(held, _)| std::ptr::eq(held, page)) {
                self.surrender(other);
            }
        }
        self.load_at_address(allocator, pool, page, blocks)
            .then_some(allocator)
    }

    fn load_at_address(
        &mut self,
        allocator: usize,
        pool: &PoolLayout,
        page: &Page,
        blocks: &[(BlockSet, Arc<Region>)],
    ) -> bool {
        let spin = self.spin();
        let now = self.inner.ground.clock.slice();
        let swept = blocks
            .iter()
            .map(|(_, region)| region.swept.get())
            .min()
            .unwrap_or(0);
        let rest = self.rest();
        let hints = [Hint::FREE, Hint::HALF, Hint::RIPE].into_iter();
        for hint in hints.chain(Hint::rested(now, rest, swept)) {
            for (set, region) in blocks {
                for block in page.hinted(hint, set).iter_from(spin) {
                    if self.load(
                        allocator,
                        pool,
                        page,
                        block,
                        &region.mask(pool.id, block),
                        rest,
                    ) {
                        return true;
                    }
                }
            }
        }
        false
    }

    fn address_allocator_index(&mut self, purpose: Purpose, address: IpAddr) -> usize {
        if let Some(&index) = self.worker.by_address.get(&(purpose, address)) {
            return index;
        }
        let worker = &mut *self.worker;
        let index = if worker.address_ring.len() < ADDRESS_ALLOCATORS {
            worker.address_ring.push((purpose, address));
            worker.new_allocator(self.shard)
        } else {
            let hand = worker.address_hand;
            worker.address_hand = (hand + 1) % ADDRESS_ALLOCATORS;
            let oldest = std::mem::replace(&mut worker.address_ring[hand], (purpose, address));
            let index = worker.by_address.remove(&oldest);
            match index {
                Some(index) => {
                    self.surrender(index);
                    index
                }
                None => self.worker.new_allocator(self.shard),
            }
        };
        self.worker.by_address.insert((purpose, address), index);
        index
    }

    /// The allocator that heats this block for this shard.
    pub(crate) fn allocator_of(&self, page: &Page, block: usize) -> Option<usize> {
        self.worker.allocators.iter().position(|allocator| {
            allocator
                .block()
                .is_some_and(|(held, number)| std::ptr::eq(held, page) && number == block)
        })
    }
}

/// Asks one shard for the ports in its hands.
pub(crate) fn want_of(shard: &ShardShared) {
    if !shard.wanted.get() {
        shard.wanted.set(true);
    }
}

/// Where a refill looks, in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Early,
    Free,
    Half,
    NewAddress,
    Holes,
    Everything,
}

const _: () = assert!(PORTS <= 256);
