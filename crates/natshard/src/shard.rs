//! One worker's handle, and what it does between two looks at the clock.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::block::{Mask, PORTS, Phase};
use crate::error::{AllocError, ReleaseError};
use crate::hints::{BlockSet, Hint};
use crate::id::{PoolId, ShardId};
use crate::inner::{Handle, ShardShared};
use crate::layout::{Layout, PoolLayout};
use crate::lease::{Lease, RawLease, Reason};
use crate::page::Page;
use crate::protocol::Protocol;
use crate::reclaim::{Participant, Pin};
use crate::region::Region;
use crate::request::{Family, Request, Strictness};
use crate::space::Window;
use crate::sweep::{PER_BURST, PER_IDLE};
use crate::tick::Tick;
use crate::worker::{Purpose, Work, Worker, want_of};

/// One worker's private half of the engine. `Send`, not `Sync`; taken once, given back on drop
/// with everything in its hands, also while a panic unwinds.
#[derive(Debug)]
pub struct Shard {
    worker: Worker,
    // Dropped before the handle: what it deferred is handed over while the engine lives.
    participant: Participant,
    handle: Arc<Handle>,
}

impl Shard {
    /// The caller has raised the shard's `taken` flag.
    pub(crate) fn new(handle: &Arc<Handle>, id: ShardId) -> Self {
        Shard {
            worker: Worker::new(&handle.inner, id),
            participant: handle.inner.ground.reclaimer.join(),
            handle: Arc::clone(handle),
        }
    }

    /// Which shard this is.
    #[must_use]
    pub fn id(&self) -> ShardId {
        self.worker.id
    }

    /// Begins a burst at this tick: pins the epoch once, takes the time from the caller once, and
    /// does a bounded amount of housekeeping. Keep it short: memory is reclaimed only once the
    /// bursts of that moment have ended.
    pub fn burst(&mut self, now: Tick) -> Burst<'_> {
        let Shard {
            worker,
            participant,
            handle,
        } = self;
        let inner = &handle.inner;
        let pin = participant.pin();
        let shard: &ShardShared = &inner.shards[worker.id.as_index()];
        shard.stats.bursts.bump(1);
        if inner.ground.clock.bring(now) {
            shard.stats.ticks_backwards.bump(1);
        }
        let mut burst = Burst {
            worker,
            pin,
            handle,
        };
        burst.begin();
        burst
    }

    /// What a shard calls before it sleeps: gives its unissued ports back, does more housekeeping
    /// than a burst does, and hands what it deferred to the others.
    pub fn idle(&mut self, now: Tick) {
        let mut burst = self.burst(now);
        let mut work = burst.work();
        work.surrender_all();
        work.sweep(PER_IDLE);
        work.seal();
        drop(burst);
        for _ in 0..3 {
            self.participant.pin().flush();
        }
    }
}

impl Drop for Shard {
    fn drop(&mut self) {
        let pin = self.participant.pin();
        let mut work = self.worker.at(&self.handle.inner, &pin);
        work.surrender_all();
        work.seal();
        pin.flush();
        drop(pin);
        let shard = &self.handle.inner.shards[self.worker.id.as_index()];
        shard.tray_count.set(0);
        shard.taken.set(false);
    }
}

/// A shard at work: any number of operations at one moment of engine time.
#[derive(Debug)]
pub struct Burst<'a> {
    worker: &'a mut Worker,
    pin: Pin<'a>,
    handle: &'a Arc<Handle>,
}

impl Burst<'_> {
    fn work(&mut self) -> Work<'_> {
        self.worker.at(&self.handle.inner, &self.pin)
    }

    fn begin(&mut self) {
        let current = self.handle.inner.layout.load();
        if current.version != self.worker.layout.version {
            let current = Arc::clone(&current);
            self.work().surrender_all();
            self.worker.layout = current;
            self.worker.sweep_at = 0;
            self.worker.swept_slice = None;
        }
        let mut work = self.work();
        if work.shard.wanted.get() {
            work.shard.wanted.set(false);
            work.surrender_all();
        }
        work.sweep(PER_BURST);
    }

    /// Engine time: this burst's tick, or a later one that another shard brought.
    #[must_use]
    pub fn now(&self) -> Tick {
        self.handle.inner.ground.clock.now()
    }

    /// Leases a port.
    ///
    /// # Errors
    ///
    /// Says why there is none; see [`AllocError`].
    #[inline]
    pub fn allocate(&mut self, request: &Request) -> Result<Lease, AllocError> {
        if request.address.is_none() && request.near_port.is_none() {
            let purpose = purpose(request);
            if let Some(allocator) = self.worker.allocator(purpose)
                && let Some(lease) = allocator.pop()
            {
                if allocator.is_spent() {
                    self.retire(purpose);
                }
                return Ok(lease);
            }
        }
        self.allocate_slow(request)
    }

    #[cold]
    fn retire(&mut self, purpose: Purpose) {
        let mut work = self.work();
        let allocator = work.worker.allocator_index(work.shard, purpose);
        work.retire_if_spent(allocator);
    }

    fn shard(&self) -> &ShardShared {
        &self.handle.inner.shards[self.worker.id.as_index()]
    }

    #[cold]
    fn allocate_slow(&mut self, request: &Request) -> Result<Lease, AllocError> {
        let layout = Arc::clone(&self.worker.layout);
        let mut work = self.work();
        let result = match layout.pool(request.pool) {
            None => Err(AllocError::NoSuchPool),
            Some(pool) => work.allocate(&layout, pool, request),
        };
        if let Err(error) = result {
            work.count_refusal(request.pool, error);
        }
        result
    }

    /// Leases up to `count` ports into `into`; says how many were had.
    ///
    /// # Errors
    ///
    /// Only when not a single one was had, and `count` is not zero.
    pub fn allocate_batch(
        &mut self,
        request: &Request,
        count: usize,
        into: &mut Vec<Lease>,
    ) -> Result<usize, AllocError> {
        into.reserve(count.min(65_536));
        for had in 0..count {
            match self.allocate(request) {
                Ok(lease) => into.push(lease),
                Err(error) if had == 0 => return Err(error),
                Err(_) => return Ok(had),
            }
        }
        Ok(count)
    }

    /// Leases exactly this tuple.
    ///
    /// # Errors
    ///
    /// `InUse` while it is leased, rests, or lies in another shard's hands (which come empty at
    /// its next burst); `Excluded`, `Draining`, `OutsidePool`, `NoSuchPool`.
    pub fn reserve(
        &mut self,
        pool: PoolId,
        protocol: Protocol,
        public: SocketAddr,
    ) -> Result<Lease, AllocError> {
        let layout = Arc::clone(&self.worker.layout);
        let mut work = self.work();
        let result = match layout.pool(pool) {
            None => Err(AllocError::NoSuchPool),
            Some(found) => work.reserve(&layout, found, protocol, public),
        };
        if let Err(error) = result {
            work.count_refusal(pool, error);
        }
        result
    }

    /// Gives a lease back; its port rests for the hold-down.
    #[inline]
    pub fn release(&mut self, lease: Lease) {
        self.release_with(lease, Reason::Ended);
    }

    /// Gives a lease back and says why, which decides whether its port has to rest. A lease of
    /// another engine is dropped.
    #[inline]
    pub fn release_with(&mut self, lease: Lease, reason: Reason) {
        let ground = &self.handle.inner.ground;
        if !Arc::ptr_eq(&lease.page().ground, ground) {
            drop(lease);
            return;
        }
        let (page, block, slice) = lease.give_back(reason, true);
        let stats = &self.shard().stats;
        stats.released.bump(1);
        if slice.is_some() {
            stats.cooled.bump(1);
        }
        // SAFETY: the page was open while the port was leased, in this burst, whose pin keeps it.
        unsafe { page.as_ref() }.after_release(block, slice);
    }

    /// Gives many leases back, and leaves the vector empty.
    pub fn release_batch(&mut self, leases: &mut Vec<Lease>) {
        for lease in leases.drain(..) {
            self.release(lease);
        }
    }

    /// Gives a lease back by its token; its port rests.
    ///
    /// # Errors
    ///
    /// When the token is of another engine, or the lease was given back before: nothing is
    /// changed (I6).
    pub fn release_raw(&mut self, raw: RawLease) -> Result<(), ReleaseError> {
        let done = self.try_release_raw(raw);
        if done.is_err() {
            self.handle.inner.ground.refused_tokens.add(1);
        }
        done
    }

    fn try_release_raw(&mut self, raw: RawLease) -> Result<(), ReleaseError> {
        let inner = &self.handle.inner;
        if raw.nonce != inner.ground.nonce {
            return Err(ReleaseError::Foreign);
        }
        let latest = inner.latest.load();
        let space = latest
            .spaces
            .get(raw.space as usize)
            .ok_or(ReleaseError::Foreign)?;
        let page = space
            .get(raw.key)
            .and_then(|record| record.page())
            .ok_or(ReleaseError::Stale)?;
        let (block, port) = (raw.port as usize / PORTS, raw.port as usize % PORTS);
        let clock = &inner.ground.clock;
        let slice = (clock.rest() > 0).then(|| clock.slice());
        if slice.is_some() {
            page.before_release(block);
        }
        if !page
            .block(block)
            .give_back_raw(raw.generation, port, raw.tag, slice)
        {
            return Err(ReleaseError::Stale);
        }
        page.after_release(block, slice);
        let stats = &self.shard().stats;
        stats.released.bump(1);
        stats.cooled.bump(u64::from(slice.is_some()));
        Ok(())
    }
}

#[inline]
fn purpose(request: &Request) -> Purpose {
    Purpose {
        pool: request.pool,
        protocol: request.protocol,
        family: request.family,
    }
}

/// Chooses a port among those leasable.
type Choice<'c> = &'c dyn Fn(&Mask) -> Option<usize>;

impl Work<'_> {
    fn allocate(
        &mut self,
        layout: &Arc<Layout>,
        pool: &PoolLayout,
        request: &Request,
    ) -> Result<Lease, AllocError> {
        if request.family.is_some()
            && pool
                .regions(request.protocol, request.family)
                .next()
                .is_none()
        {
            return Err(AllocError::NoSuchFamily);
        }
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
        let purpose = purpose(request);
        let allocator = self.worker.allocator_index(self.shard, purpose);
        if self.worker.allocators[allocator].is_spent() && !self.refill(allocator, purpose) {
            self.want();
            return Err(AllocError::PoolFull);
        }
        if let Some(near) = request.near_port {
            if request.address.is_none()
                && let Some((page, _)) = self.worker.allocators[allocator].block()
            {
                let public = page.tuple(near);
                if let Ok(lease) = self.reserve(layout, pool, request.protocol, public) {
                    return Ok(lease);
                }
            }
            return self.pop_near(allocator, purpose, near);
        }
        let lease = self.worker.allocators[allocator].pop();
        self.retire_if_spent(allocator);
        lease.ok_or(AllocError::PoolFull)
    }

    fn count_refusal(&self, pool: PoolId, error: AllocError) {
        self.shard.pools.get_or_grow(pool.as_index()).refused[error as usize].bump(1);
    }

    /// A port of this parity from an allocator that has one left, or the next one.
    fn pop_near(
        &mut self,
        allocator: usize,
        purpose: Purpose,
        near: u16,
    ) -> Result<Lease, AllocError> {
        if self.worker.allocators[allocator].is_spent() && !self.refill(allocator, purpose) {
            return Err(AllocError::PoolFull);
        }
        let parity = near as usize % 2;
        let same = self.worker.allocators[allocator].pop_where(|port| port % 2 == parity);
        if same.is_none() {
            self.shard.stats.wishes_departed.bump(1);
        }
        let lease = same.or_else(|| self.worker.allocators[allocator].pop());
        self.retire_if_spent(allocator);
        lease.ok_or(AllocError::PoolFull)
    }

    /// A port of one address.
    fn allocate_at(
        &mut self,
        layout: &Arc<Layout>,
        pool: &PoolLayout,
        request: &Request,
        address: std::net::IpAddr,
    ) -> Result<Lease, AllocError> {
        let (page, blocks) = self.page_of(layout, pool, request.protocol, address)?;
        if let Some(near) = request.near_port {
            let (block, port) = (near as usize / PORTS, near as usize % PORTS);
            let wanted = wanted_of(&blocks, pool, block);
            if !wanted.is_empty() {
                let choose = |ports: &Mask| nearest(ports, port);
                if let Ok(lease) = self.take_one(page, block, &wanted, pool, &choose) {
                    return Ok(lease);
                }
            }
        }
        let purpose = Purpose {
            family: None,
            ..purpose(request)
        };
        let Some(allocator) = self.address_allocator(purpose, pool, page, &blocks) else {
            self.want();
            return Err(AllocError::AddressFull);
        };
        if let Some(near) = request.near_port {
            let parity = near as usize % 2;
            let same = self.worker.allocators[allocator].pop_where(|port| port % 2 == parity);
            if let Some(lease) = same {
                self.retire_if_spent(allocator);
                return Ok(lease);
            }
            self.shard.stats.wishes_departed.bump(1);
        }
        let lease = self.worker.allocators[allocator].pop();
        self.retire_if_spent(allocator);
        lease.ok_or(AllocError::AddressFull)
    }

    /// The open page of an address of the pool, and the blocks the pool may lease from there.
    #[allow(
        clippy::type_complexity,
        reason = "a pair of what its two callers need"
    )]
    fn page_of<'p>(
        &mut self,
        layout: &Arc<Layout>,
        pool: &PoolLayout,
        protocol: Protocol,
        address: std::net::IpAddr,
    ) -> Result<(&'p Page, Vec<(BlockSet, Arc<Region>)>), AllocError> {
        let (window, key) = Window::of(address);
        let space = layout
            .find_space(pool.realm, protocol, window)
            .ok_or(AllocError::OutsidePool)?;
        let class = layout.class(space.id, key);
        let share = class.and_then(|class| class.shares.iter().find(|share| share.pool == pool.id));
        if share.is_none() {
            let record = space.get(key);
            let drains = record.is_some_and(|record| {
                let was_ours =
                    |region: &Arc<Region>| region.spec.pools.iter().any(|&(id, _)| id == pool.id);
                record.page().is_some()
                    && record
                        .members()
                        .iter()
                        .any(|member| was_ours(&member.region))
            });
            return Err(if drains {
                AllocError::Draining
            } else {
                AllocError::OutsidePool
            });
        }
        let regions = class.iter().flat_map(|class| &class.regions);
        let ours = regions.filter(|region| region.spec.pools.iter().any(|&(id, _)| id == pool.id));
        let blocks: Vec<_> = ours
            .map(|region| (region.blocks, Arc::clone(region)))
            .collect();
        if blocks.is_empty() {
            return Err(AllocError::Excluded);
        }
        let record = space.record(key);
        self.inner.enlist(self.pin, space, record, layout);
        let page: *const Page = self.open(space, record);
        // SAFETY: open, or unlinked since this burst's pin was taken, which keeps it.
        Ok((unsafe { &*page }, blocks))
    }

    pub(crate) fn reserve(
        &mut self,
        layout: &Arc<Layout>,
        pool: &PoolLayout,
        protocol: Protocol,
        public: SocketAddr,
    ) -> Result<Lease, AllocError> {
        let (page, blocks) = self.page_of(layout, pool, protocol, public.ip())?;
        let (block, port) = (
            public.port() as usize / PORTS,
            public.port() as usize % PORTS,
        );
        let wanted = wanted_of(&blocks, pool, block);
        if !wanted.contains(port) {
            return Err(AllocError::Excluded);
        }
        let only: Mask = [port].into_iter().collect();
        self.take_one(page, block, &only, pool, &|ports| {
            ports.contains(port).then_some(port)
        })
    }

    /// Takes one port out of a block without heating it for long.
    fn take_one(
        &mut self,
        page: &Page,
        block: usize,
        wanted: &Mask,
        pool: &PoolLayout,
        choose: Choice<'_>,
    ) -> Result<Lease, AllocError> {
        let here = page.block(block);
        let me = self.worker.id;
        let clock = &self.inner.ground.clock;
        let lease = |port: usize| {
            Lease::new(
                page,
                (block * PORTS + port) as u16,
                here.tag(port),
                Self::flags(pool),
            )
        };
        loop {
            let state = here.state();
            match state.phase() {
                Phase::Free => {
                    if !here.claim(me) {
                        continue;
                    }
                    page.count_taken();
                    for hint in [Hint::FREE, Hint::HALF, Hint::RIPE] {
                        page.unmark(hint, block);
                    }
                    let only: Mask = choose(wanted).into_iter().collect();
                    let taken = here.take_fresh(me, &only, clock);
                    self.shard.stats.blocks_claimed.bump(1);
                    self.count_single(pool, taken.count());
                    // The lease exists before the block is let go of.
                    let lease = taken.iter().next().map(lease);
                    here.cool(me);
                    page.settle(block);
                    return lease.ok_or(AllocError::InUse);
                }
                Phase::Cooling => {
                    let rest = here.rest(clock, clock.rest());
                    if choose(&rest.rested.and(wanted)).is_none() {
                        return Err(AllocError::InUse);
                    }
                    if !here.reheat(me) {
                        continue;
                    }
                    page.unmark(Hint::HALF, block);
                    page.unmark(Hint::RIPE, block);
                    let lease = self
                        .take_owned(page, block, wanted, pool, choose)
                        .map(lease);
                    here.cool(me);
                    page.settle(block);
                    return lease.ok_or(AllocError::InUse);
                }
                Phase::Heating if state.shard() == me => {
                    let allocator = self.allocator_of(page, block);
                    if let Some(allocator) = allocator {
                        let hand = &mut self.worker.allocators[allocator];
                        if let Some(port) = choose(&hand.unissued().and(wanted)) {
                            let lease = hand.pop_where(|place| place == port);
                            self.retire_if_spent(allocator);
                            return lease.ok_or(AllocError::InUse);
                        }
                    }
                    // Released ports of the block, which this shard owns.
                    let port = self.take_owned(page, block, wanted, pool, choose);
                    return port.map(lease).ok_or(AllocError::InUse);
                }
                Phase::Heating => {
                    want_of(&self.inner.shards[state.shard().as_index()]);
                    return Err(AllocError::InUse);
                }
                Phase::Closed => return Err(AllocError::InUse),
            }
        }
    }

    fn count_single(&self, pool: &PoolLayout, ports: u32) {
        self.shard
            .pools
            .get_or_grow(pool.id.as_index())
            .allocated
            .bump(u64::from(ports));
    }

    fn take_owned(
        &self,
        page: &Page,
        block: usize,
        wanted: &Mask,
        pool: &PoolLayout,
        choose: Choice<'_>,
    ) -> Option<usize> {
        let clock = &self.inner.ground.clock;
        let taken = page.block(block).judge_and_take(
            self.worker.id,
            clock,
            clock.rest(),
            |rested| choose(&rested.and(wanted)).into_iter().collect(),
            |taken| self.count_warmed(page, block, taken, clock.rest()),
        );
        let port = taken.iter().next()?;
        self.count_single(pool, 1);
        Some(port)
    }
}

fn wanted_of(blocks: &[(BlockSet, Arc<Region>)], pool: &PoolLayout, block: usize) -> Mask {
    let region = blocks.iter().find(|(set, _)| set.contains(block));
    region.map_or(Mask::EMPTY, |(_, region)| region.mask(pool.id, block))
}

/// The port itself, or the closest of its parity.
fn nearest(ports: &Mask, port: usize) -> Option<usize> {
    ports
        .iter()
        .filter(|other| other % 2 == port % 2)
        .min_by_key(|other| other.abs_diff(port))
}
