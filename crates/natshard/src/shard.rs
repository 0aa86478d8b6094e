//! One worker's handle, and what it does between two looks at the clock.

use std::net::SocketAddr;
use std::ptr::NonNull;
use std::sync::Arc;

use crate::block::PORTS;
use crate::clock::Moment;
use crate::contiguous::Set;
use crate::error::{AllocError, ReleaseError};
use crate::fair::{self, Leasing};
use crate::ground::Ground;
use crate::id::{PoolId, ShardId};
use crate::inner::{Handle, Inner, ShardShared};
use crate::layout::{Layout, PoolLayout};
use crate::lease::{Lease, LeaseWord, RawLease, Reason};
use crate::protocol::Protocol;
use crate::reclaim::{Participant, Pin};
use crate::request::Request;
use crate::standing::Standing;
use crate::sweep::PER_IDLE;
use crate::tick::Tick;
use crate::worker::{HOT, Purpose, Work, Worker};

/// One worker's private half of the engine. `Send`, not `Sync`; taken once, given back on drop
/// with everything in its hands, also while a panic unwinds.
#[derive(Debug)]
pub struct Shard {
    worker: Worker,
    /// What it works by.
    layout: Arc<Layout>,
    // Dropped before the handle: what it deferred is handed over while the engine lives.
    participant: Participant,
    handle: Arc<Handle>,
}

impl Shard {
    /// The caller has raised the shard's `taken` flag.
    pub(crate) fn new(handle: &Arc<Handle>, id: ShardId) -> Self {
        Shard {
            worker: Worker::new(&handle.inner, id),
            layout: handle.inner.layout.load_full(),
            participant: handle.inner.ground.reclaimer.join(),
            handle: Arc::clone(handle),
        }
    }

    /// Which shard this is.
    #[must_use]
    pub fn id(&self) -> ShardId {
        self.worker.id
    }

    #[cfg(test)]
    pub(crate) fn worker(&self) -> &Worker {
        &self.worker
    }

    /// Begins a burst at this tick: pins the epoch once, takes the time from the caller once, and
    /// does a bounded amount of housekeeping. Keep it short: memory is reclaimed only once the
    /// bursts of that moment have ended.
    pub fn burst(&mut self, now: Tick) -> Burst<'_> {
        let Shard {
            worker,
            layout,
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
        if inner.published_version.get() != layout.version {
            adopt_layout(worker, layout, inner, &pin);
        }
        let plain_moment = inner.ground.clock.plain_moment();
        let mut burst = Burst {
            worker,
            layout,
            pin,
            ground: &inner.ground,
            shard,
            plain_moment,
            plain: LeaseWord::plain_of(inner.ground.ordinal),
            refusal: AllocError::NoSuchPool,
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
        work.retire_accounts(fair::PER_IDLE);
        work.seal();
        work.leave();
        drop(burst);
        for _ in 0..3 {
            self.participant.pin().flush();
        }
    }
}

impl Drop for Shard {
    fn drop(&mut self) {
        let pin = self.participant.pin();
        let mut work = self.worker.at(&self.handle.inner, &self.layout, &pin);
        work.surrender_all();
        work.seal();
        work.leave();
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
    layout: &'a Arc<Layout>,
    pin: Pin<'a>,
    ground: &'a Ground,
    shard: &'a ShardShared,
    /// The moment in which a release is plain, and what the word of a plain lease says.
    plain_moment: Moment,
    plain: u64,
    /// Why the last request was refused.
    refusal: AllocError,
    handle: &'a Arc<Handle>,
}

impl Burst<'_> {
    pub(crate) fn work(&mut self) -> Work<'_> {
        self.worker.at(&self.handle.inner, self.layout, &self.pin)
    }

    #[inline]
    fn begin(&mut self) {
        let wanted = self.shard.wanted.get();
        if wanted != 0 {
            self.shard.wanted.clear_bits(wanted);
            self.work().surrender_wanted(wanted);
        }
        if !self.shard.ripe.is_quiet() {
            self.work().recycle_one();
        }
        let slice = self.ground.clock.moment().slice();
        let swept = self.worker.swept;
        if swept.is_none_or(|(began, _)| began.slice() != slice) {
            self.sweep();
        }
        self.work().retire_in_time(slice);
    }

    #[cold]
    fn sweep(&mut self) {
        let budget = self.work().sweep_budget();
        self.work().sweep_routinely(budget);
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
        // A request that asks for more than its slot says has one that nobody serves.
        let hot = &self.worker.hot[request.slot as usize % HOT];
        let lease = hot.pop(request.slot);
        // Registers hold an option of a lease, but not a result of one.
        let lease = lease.or_else(|| self.allocate_warm(request));
        lease.ok_or(self.refusal)
    }

    /// From a block in hand, if it is of another kind than the last ones, nearly spent or was
    /// reheated.
    #[inline(never)]
    fn allocate_warm(&mut self, request: &Request) -> Option<Lease> {
        let hot = &self.worker.hot[request.slot as usize % HOT];
        if let Some(lease) = hot.pop_reheated(request.slot) {
            return Some(lease);
        }
        let standing = &self.worker.standing[request.slot as usize % HOT];
        let slice = self.ground.clock.slice();
        if standing.refuses(request.slot, slice, self.worker.loads) {
            self.refusal = AllocError::PoolFull;
            return None;
        }
        let allocator = self.worker.quick_index(request.slot as usize);
        if let Some(allocator) = allocator
            && let Some(lease) = self.work().pop(allocator)
        {
            self.worker.heat(request.slot, allocator);
            return Some(lease);
        }
        if let Some(lease) = self.work().pop_at_address(request) {
            return Some(lease);
        }
        if let Some(error) = self.refuse_again(request) {
            self.refusal = error;
            return None;
        }
        let result = self.allocate_slow(request);
        if let Some(allocator) = self.worker.quick_index(request.slot as usize) {
            self.worker.heat(request.slot, allocator);
        }
        result.map_err(|error| self.refusal = error).ok()
    }

    /// The refusal of a request like one that was refused before, if nothing has happened since that
    /// could have made a port leasable: a comparison of a few words.
    fn refuse_again(&mut self, request: &Request) -> Option<AllocError> {
        let (pool, purpose) = general_purpose(self.layout, request)?;
        if pool.policy.is_exclusive() {
            return None;
        }
        let known = (*self.worker.refusals.get(purpose.index())?)?;
        let mut work = self.work();
        if !work.stands(&known, pool, purpose) {
            return None;
        }
        let error = work.on_behalf(pool, request, |work| {
            work.reason(pool, request.protocol, AllocError::PoolFull)
        });
        work.refused(request, error);
        let shard = self.shard.pools.get_or_grow(request.pool.as_index());
        let mut regions = pool.regions(request.protocol, request.family);
        if let (Some(region), None) = (regions.next(), regions.next())
            && request.is_plain()
            && pool.sharing.is_none()
            && self.ground.events.is_none()
        {
            self.worker.standing[request.slot as usize % HOT] = Standing {
                slot: request.slot,
                version: known.version,
                slice: known.slice,
                loads: known.loads,
                counted: NonNull::from(region.changes.counted()),
                refusals: NonNull::from(&shard.refused[error as usize]),
            };
        }
        Some(error)
    }

    /// The same for a request that names a tenant, or is for control traffic, and asks for nothing
    /// else in particular.
    fn pop_for_class(&mut self, request: &Request) -> Option<Lease> {
        let (_, purpose) = general_purpose(self.layout, request)?;
        let allocator = self.worker.quick_index(purpose.index())?;
        self.work().pop(allocator)
    }

    #[cold]
    fn allocate_slow(&mut self, request: &Request) -> Result<Lease, AllocError> {
        if !request.is_plain()
            && let Some(lease) = self.pop_for_class(request)
        {
            return Ok(lease);
        }
        let layout = self.layout;
        let mut work = self.work();
        let result = match layout.pool(request.pool) {
            None => Err(AllocError::NoSuchPool),
            Some(pool) => {
                work.on_behalf(pool, request, |work| work.allocate(layout, pool, request))
            }
        };
        match result {
            Ok(lease) => Ok(work.told(request.pool, request.subscriber, lease)),
            Err(error) => {
                work.refused(request, error);
                Err(error)
            }
        }
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
        let mut had = 0;
        while had < count {
            let hot = &self.worker.hot[request.slot as usize % HOT];
            let more = hot.pop_many(request.slot, count - had, into);
            had += more;
            if more > 0 {
                continue;
            }
            match self.allocate_warm(request) {
                Some(lease) => into.push(lease),
                None if had == 0 => return Err(self.refusal),
                None => return Ok(had),
            }
            had += 1;
        }
        Ok(count)
    }

    /// Leases exactly `count` consecutive ports of one address, ascending, into `into`, or none
    /// (RFC 7753); with [`Request::parity`] the first of them has that parity, so that two from an
    /// even one are a pair for RTP and RTCP. Each is a lease by itself.
    ///
    /// All of them lie within a block of 256, drawn at random from the places of one. Zero asks
    /// for nothing.
    ///
    /// # Errors
    ///
    /// `NoContiguous` when nowhere that many lay side by side (those in the hands of other shards
    /// come with their next burst), `SetTooLarge` for more than 256; else as
    /// [`allocate`](Self::allocate). Nothing is leased then.
    pub fn allocate_set(
        &mut self,
        request: &Request,
        count: usize,
        into: &mut Vec<Lease>,
    ) -> Result<usize, AllocError> {
        self.allocate_set_up_to(request, count, count, into)
    }

    /// As [`allocate_set`](Self::allocate_set), with as many ports as can be had side by side: at
    /// most `most` (256 where that is more), at least `least` (one where that is zero). Says how
    /// many they are.
    ///
    /// # Errors
    ///
    /// As for `allocate_set`, about `least` ports.
    pub fn allocate_set_up_to(
        &mut self,
        request: &Request,
        most: usize,
        least: usize,
        into: &mut Vec<Lease>,
    ) -> Result<usize, AllocError> {
        if most == 0 {
            return Ok(0);
        }
        let counts = (least.clamp(1, most), most);
        let layout = self.layout;
        let mut work = self.work();
        let result = match layout.pool(request.pool) {
            None => Err(AllocError::NoSuchPool),
            Some(pool) => work.on_behalf(pool, request, |work| {
                let mut set = Set::new(layout, pool, request, counts, into)?;
                work.allocate_set(&mut set)?;
                Ok(set.had().into())
            }),
        };
        if let Err(error) = result {
            work.refused(request, error);
        }
        result
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
        let layout = self.layout;
        let mut work = self.work();
        let result = match layout.pool(pool) {
            None => Err(AllocError::NoSuchPool),
            Some(found) => work.reserve(layout, found, protocol, public),
        };
        match result {
            Ok(lease) => Ok(work.told(pool, None, lease)),
            Err(error) => {
                work.count_refusal(pool, error);
                Err(error)
            }
        }
    }

    /// Gives a lease back; its port rests for the hold-down.
    #[inline]
    pub fn release(&mut self, lease: Lease) {
        let moment = self.ground.clock.moment();
        if moment == self.plain_moment {
            match lease.give_back_plain(self.plain, moment.stamp()) {
                Ok(()) => self.shard.stats.released.bump(1),
                Err(lease) => self.release_slow(lease, Reason::Ended),
            }
        } else {
            self.release_slow(lease, Reason::Ended);
        }
    }

    /// Gives a lease back and says why, which decides whether its port has to rest. A lease of
    /// another engine is dropped.
    #[inline]
    pub fn release_with(&mut self, lease: Lease, reason: Reason) {
        if reason == Reason::Ended {
            self.release(lease);
        } else {
            self.release_slow(lease, reason);
        }
    }

    #[cold]
    fn release_slow(&mut self, lease: Lease, reason: Reason) {
        if !std::ptr::eq(Arc::as_ptr(&lease.page().ground), self.ground) {
            drop(lease);
            return;
        }
        // Another shard may have moved the time on in the course of this burst.
        self.plain_moment = self.ground.clock.plain_moment();
        let shard = Some(self.worker.id.as_index());
        lease.give_back(reason, true, shard, &self.pin);
        self.shard.stats.released.bump(1);
    }

    /// Gives many leases back, and leaves the vector empty.
    pub fn release_batch(&mut self, leases: &mut Vec<Lease>) {
        let moment = self.ground.clock.moment();
        if moment != self.plain_moment {
            leases.drain(..).for_each(|lease| self.release(lease));
            return;
        }
        let mut released = 0;
        for lease in leases.drain(..) {
            match lease.give_back_plain(self.plain, moment.stamp()) {
                Ok(()) => released += 1,
                Err(lease) => self.release_slow(lease, Reason::Ended),
            }
        }
        self.shard.stats.released.bump(released);
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
        if raw.seal != inner.ground.seal(raw.body()) {
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
        if !page.block(block).redeem(raw.generation, port, raw.tag) {
            return Err(ReleaseError::Stale);
        }
        let moment = (clock.rest() > 0).then(|| clock.moment());
        let noted = page.noted(raw.port);
        if noted.0 == 0 {
            page.give_back(raw.port, moment);
        } else {
            let shard = Some(self.worker.id.as_index());
            page.give_back_noted(raw.port, noted, moment, shard, &self.pin);
        }
        if moment.is_none() {
            page.after_idle_release(block);
        }
        self.shard.stats.released.bump(1);
        Ok(())
    }
}

/// Works by the layout that was published since.
#[cold]
fn adopt_layout(worker: &mut Worker, layout: &mut Arc<Layout>, inner: &Arc<Inner>, pin: &Pin<'_>) {
    let current = inner.layout.load_full();
    worker.at(inner, layout, pin).surrender_all();
    *layout = current;
    worker.standing = [Standing::NONE; HOT];
    worker.sweep = None;
    worker.swept = None;
}

/// The pool a request asks and what it is for, if it asks for nothing in particular but may be on
/// somebody's behalf.
#[inline]
fn general_purpose<'l>(layout: &'l Layout, request: &Request) -> Option<(&'l PoolLayout, Purpose)> {
    let pool = layout.pool(request.pool)?;
    let purpose = Purpose {
        pool: request.pool,
        protocol: request.protocol,
        family: request.family,
        claimant: pool.claimant(request),
    };
    (!request.is_particular(pool.policy.keeps_books())).then_some((pool, purpose))
}

#[cfg(test)]
mod tests;
