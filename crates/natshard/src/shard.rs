//! One worker's handle, and what it does between two looks at the clock.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::block::PORTS;
use crate::clock::Moment;
use crate::contiguous::Set;
use crate::error::{AllocError, ReleaseError};
use crate::fair::{self, Claimant, Leasing};
use crate::id::{PoolId, ShardId};
use crate::inner::{Handle, ShardShared};
use crate::lease::{Lease, RawLease, Reason};
use crate::protocol::Protocol;
use crate::reclaim::{Participant, Pin};
use crate::request::Request;
use crate::sweep::{PER_BURST, PER_IDLE};
use crate::tick::Tick;
use crate::worker::{Purpose, Work, Worker};

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
        work.retire_accounts(fair::PER_IDLE);
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
            self.worker.sweep = None;
            self.worker.swept_slice = None;
        }
        let mut work = self.work();
        let wanted = work.shard.wanted.get();
        if wanted != 0 {
            work.shard.wanted.clear_bits(wanted);
            work.surrender_wanted(wanted);
        }
        work.sweep(PER_BURST);
        work.retire_accounts(fair::PER_BURST);
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
        if request.plain {
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

    /// The same for a request that names a tenant, or is for control traffic, and asks for nothing
    /// else in particular.
    fn pop_for_class(&mut self, request: &Request) -> Option<Lease> {
        let worker = &mut *self.worker;
        let pool = worker.layout.pool(request.pool)?;
        if request.is_particular(pool.policy.keeps_books()) {
            return None;
        }
        let claimant = pool.claimant(request);
        let purpose = Purpose {
            claimant,
            ..purpose(request)
        };
        let allocator = worker.allocator(purpose)?;
        let lease = allocator.pop()?;
        if allocator.is_spent() {
            self.retire(purpose);
        }
        Some(lease)
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
        if !request.plain
            && let Some(lease) = self.pop_for_class(request)
        {
            return Ok(lease);
        }
        let layout = Arc::clone(&self.worker.layout);
        let mut work = self.work();
        let result = match layout.pool(request.pool) {
            None => Err(AllocError::NoSuchPool),
            Some(pool) => {
                work.on_behalf(pool, request, |work| work.allocate(&layout, pool, request))
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
        for had in 0..count {
            match self.allocate(request) {
                Ok(lease) => into.push(lease),
                Err(error) if had == 0 => return Err(error),
                Err(_) => return Ok(had),
            }
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
        let layout = Arc::clone(&self.worker.layout);
        let mut work = self.work();
        let result = match layout.pool(request.pool) {
            None => Err(AllocError::NoSuchPool),
            Some(pool) => work.on_behalf(pool, request, |work| {
                let mut set = Set::new(&layout, pool, request, counts, into)?;
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
        let layout = Arc::clone(&self.worker.layout);
        let mut work = self.work();
        let result = match layout.pool(pool) {
            None => Err(AllocError::NoSuchPool),
            Some(found) => work.reserve(&layout, found, protocol, public),
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
        let shard = Some(self.worker.id.as_index());
        let (page, block, slice) = lease.give_back(reason, true, shard, &self.pin);
        let stats = &self.shard().stats;
        stats.released.bump(1);
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
        let moment = (clock.rest() > 0).then(|| clock.moment());
        let slice = moment.map(Moment::slice);
        let here = page.block(block);
        if !here.redeem(raw.generation, port, raw.tag) {
            return Err(ReleaseError::Stale);
        }
        // Only now, when the port is this caller's to give back and its block cannot be free.
        if let Some(slice) = slice {
            page.before_release(block, slice);
        }
        let noted = page.noted(raw.port);
        if noted.0 == 0 {
            here.give_back(port, moment, clock);
        } else {
            let shard = Some(self.worker.id.as_index());
            page.give_back_noted(raw.port, noted, moment, shard, &self.pin);
        }
        page.after_release(block, slice);
        let stats = &self.shard().stats;
        stats.released.bump(1);
        Ok(())
    }
}

/// What a request for everybody else is for.
#[inline]
fn purpose(request: &Request) -> Purpose {
    Purpose {
        pool: request.pool,
        protocol: request.protocol,
        family: request.family,
        claimant: Claimant::OTHERS,
    }
}
