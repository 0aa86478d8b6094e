//! An engine of one address with one block of two ports: leases, sweeps and recycling, as shards do
//! them.

use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

use crate::block::{BlockRef, PORTS, Phase};
use crate::clock::stamp;
use crate::config::{EngineConfig, PoolConfig};
use crate::engine::Engine;
use crate::hints::{BUCKETS, Hint};
use crate::id::ShardId;
use crate::inner::Inner;
use crate::layout::Layout;
use crate::lease::{Lease, LeaseWord, Reason};
use crate::page::Page;
use crate::protocol::Protocol;
use crate::reclaim::Participant;
use crate::request::Request;
use crate::space::Record;
use crate::tick::Tick;
use crate::worker::{Work, Worker};

/// The one block whose ports the pool may lease.
pub(super) const BLOCK: usize = 1;

/// The address. A tick is a slice, and a port rests for [`REST`](Self::REST) of them.
pub struct Address {
    /// Dropped first: what its end leaves to others they do while `engine` is there.
    page: NonNull<Page>,
    record: NonNull<Record>,
    pub(super) inner: Arc<Inner>,
    pub(super) engine: Engine,
}

/// A configuration without pools.
pub(super) fn config(shards: usize) -> EngineConfig {
    EngineConfig::new(shards)
        .hold_down(Duration::from_millis(Address::REST - 1))
        .seed(1)
}

/// A pool of the block's ports at these addresses.
pub(super) fn pool(name: &str, prefix: &str) -> PoolConfig {
    let first = (BLOCK * PORTS) as u16;
    let ports = first..=first + PORTS as u16 - 1;
    PoolConfig::new(name)
        .prefix(prefix.parse().expect("a prefix"))
        .ports(ports.clone())
        .identifiers(ports)
}

// SAFETY: the page is `Sync`, and open as long as nobody takes it down: models in which somebody does
// follow the record instead (see `pages`).
unsafe impl Send for Address {}
// SAFETY: as above.
unsafe impl Sync for Address {}

impl Address {
    pub const REST: u64 = 2;

    /// At this slice, with both ports leased in it by shard 0, which has let go of the block, and
    /// nothing else about.
    pub fn leased(slice: u64, shards: usize) -> (Self, [Lease; PORTS]) {
        let (address, mut hands) = Self::heated(slice, shards, 0);
        let leases = std::array::from_fn(|_| hands.allocate().expect("a fresh block"));
        (address, leases)
    }

    /// At this slice, with the block in the hands of a shard that has not leased anything of it.
    pub fn heated(slice: u64, shards: usize, shard: u8) -> (Self, Hands) {
        let config = config(shards).pool(pool("pool", "192.0.2.1/32"));
        let engine = Engine::new(config).expect("a configuration without fault");
        let inner = Arc::clone(engine.inner());
        assert_eq!(inner.ground.clock.rest(), Self::REST);
        inner.ground.clock.bring(Tick::from_millis(slice));
        let mut hands = Hands::new(&inner, shard);
        hands.worker.swept_ever = inner.ground.clock.moment();
        let page = hands.heat();
        for region in &inner.layout.load().regions {
            region.swept.raise(slice);
        }
        // SAFETY: the page is open.
        let record = unsafe { page.as_ref() }.record().into();
        let address = Address {
            page,
            record,
            inner,
            engine,
        };
        (address, hands)
    }

    /// The record, which outlives the page.
    pub(super) fn record(&self) -> &Record {
        // SAFETY: records live as long as the engine.
        unsafe { self.record.as_ref() }
    }

    fn page(&self) -> &Page {
        // SAFETY: see above.
        unsafe { self.page.as_ref() }
    }

    fn here(&self) -> BlockRef<'_> {
        self.page().block(BLOCK)
    }

    /// The hands of a shard, empty.
    pub fn hands(&self, shard: u8) -> Hands {
        Hands::new(&self.inner, shard)
    }

    /// Brings a tick.
    pub fn bring(&self, slice: u64) {
        self.inner.ground.clock.bring(Tick::from_millis(slice));
    }

    pub fn slice(&self) -> u64 {
        self.inner.ground.clock.slice()
    }

    /// Releases a lease as a burst does: reads the moment and writes the stamp. Says the slice.
    pub fn release(&self, lease: Lease) -> u64 {
        let moment = self.inner.ground.clock.moment();
        let done = lease.give_back_plain(self.plain(), moment.stamp());
        assert!(done.is_ok(), "nothing about this lease is unusual");
        moment.slice()
    }

    /// The same, by somebody who read the moment in that slice of the last few.
    pub fn release_at(&self, lease: Lease, slice: u64) {
        let moment = self.inner.ground.clock.moment();
        let stamp = stamp::after(
            moment.stamp(),
            u64::from(stamp::CYCLE) + slice - moment.slice(),
        );
        let done = lease.give_back_plain(self.plain(), stamp);
        assert!(done.is_ok(), "nothing about this lease is unusual");
    }

    fn plain(&self) -> u64 {
        LeaseWord::plain_of(self.inner.ground.ordinal)
    }

    /// Releases a lease whose port need not rest.
    pub fn release_unused(&self, lease: Lease) {
        let pin = self.inner.ground.reclaimer.pretend();
        lease.give_back(Reason::Unused, true, None, &pin);
    }

    pub fn is_free(&self) -> bool {
        self.here().state().phase() == Phase::Free
    }

    pub fn generation(&self) -> u32 {
        self.here().state().generation()
    }

    /// Whether the block stands marked for a visit, on its page and among all addresses.
    pub fn is_marked(&self) -> bool {
        let member = &self.page().record().members()[0];
        let (tree, position) = (&member.region.hints, member.position as usize);
        (0..BUCKETS as u64).map(Hint::resting).any(|hint| {
            self.page().hints.contains(hint, BLOCK) && tree.next(hint, position) == Some(position)
        })
    }

    /// For messages: the slices of the buckets it is marked in, what hints the tree has.
    pub fn marks(&self) -> String {
        let member = &self.page().record().members()[0];
        let (tree, position) = (&member.region.hints, member.position as usize);
        let marks = |has: &dyn Fn(Hint) -> bool| -> Vec<u64> {
            (0..BUCKETS as u64)
                .filter(|&bucket| has(Hint::resting(bucket)))
                .collect()
        };
        format!(
            "{:?}, marked {:?}, in the tree {:?}, swept {}, now {}, bytes {:?}",
            self.here().state(),
            marks(&|hint| self.page().hints.contains(hint, BLOCK)),
            marks(&|hint| tree.next(hint, position) == Some(position)),
            member.region.swept.get(),
            self.slice(),
            self.here().look(),
        )
    }

    /// The ports that are nobody's.
    pub fn nobodys(&self) -> usize {
        self.here().nobodys().count() as usize
    }

    /// Whether somebody has the block in hand.
    pub fn is_heated(&self) -> bool {
        self.here().state().phase() == Phase::Heating
    }

    /// Whether its owner was told of a release that rests not, and has not heard of it.
    pub fn is_nudged(&self) -> bool {
        self.here().hot().nudged.get()
    }

    /// Leased ports, by the engine's census.
    pub fn leased_ports(&self) -> u64 {
        self.engine.census().total.leased
    }
}

/// What one shard has in its hands.
pub struct Hands {
    /// The stacks of models are small.
    worker: Box<Worker>,
    pub(super) layout: Arc<Layout>,
    participant: Participant,
    inner: Arc<Inner>,
}

impl Hands {
    fn new(inner: &Arc<Inner>, shard: u8) -> Self {
        Hands {
            worker: Box::new(Worker::new(inner, ShardId(shard))),
            layout: inner.layout.load_full(),
            participant: inner.ground.reclaimer.join(),
            inner: Arc::clone(inner),
        }
    }

    /// In a burst, without what bursts begin with.
    pub(super) fn burst<T>(&mut self, run: impl FnOnce(&mut Work<'_>) -> T) -> T {
        let pin = self.participant.pin();
        run(&mut self.worker.at(&self.inner, &self.layout, &pin))
    }

    pub(super) fn request(&self) -> Request {
        let pool = self.layout.pool_named("pool").expect("the pool");
        Request::new(pool, Protocol::Tcp)
    }

    fn heat(&mut self) -> NonNull<Page> {
        let request = self.request();
        self.burst(|work| {
            let purpose = work.purpose(&request);
            let allocator = work.worker.allocator_index(work.shard, purpose);
            assert!(work.refill(allocator, purpose, true), "a fresh pool");
            let (page, block) = work.worker.allocators[allocator].block().expect("a block");
            assert_eq!(block, BLOCK);
            page.into()
        })
    }

    /// Leases a port, whatever it takes.
    pub fn allocate(&mut self) -> Option<Lease> {
        self.allocate_for(&self.request())
    }

    /// Leases a port that is asked for so.
    pub(super) fn allocate_for(&mut self, request: &Request) -> Option<Lease> {
        self.burst(|work| {
            let layout = work.layout;
            let pool = layout.pool(request.pool).expect("the pool");
            work.allocate(layout, pool, request).ok()
        })
    }

    /// Takes the block on if it can be had at this moment and is found by its marks; whether it
    /// is in hand.
    pub fn take_on(&mut self, address: &Address) -> bool {
        let request = self.request();
        self.burst(|work| {
            let pool = work.layout.pool(request.pool).expect("the pool");
            let purpose = work.purpose(&request);
            let allocator = work.worker.allocator_index(work.shard, purpose);
            let region = &address.page().record().members()[0].region;
            let rest = work.inner.ground.clock.rest();
            work.load(allocator, pool, region, address.page(), BLOCK, rest)
        })
    }

    /// The next port in hand, if there is one.
    pub fn pop(&mut self) -> Option<Lease> {
        self.burst(|work| work.pop(0))
    }

    /// Gives back whatever is in hand.
    pub fn surrender(&mut self) {
        self.burst(|work| work.surrender_all());
    }

    /// Forgets rested stamps of the block in hand.
    pub fn refresh(&mut self) {
        self.burst(|work| work.refresh_hands());
    }

    /// A whole sweep.
    pub fn sweep(&mut self) {
        self.burst(|work| work.sweep(usize::MAX));
    }

    /// Visits the block, found under the mark of this slice.
    pub fn visit(&mut self, address: &Address, slice: u64, told_apart: bool) {
        self.burst(|work| {
            let told_apart = told_apart.then(|| work.inner.ground.clock.slice());
            work.visit(address.page(), BLOCK, Hint::resting(slice), told_apart)
        });
    }

    /// Hands what was condemned over to the epoch.
    pub fn seal(&mut self) {
        self.burst(|work| work.seal());
    }
}

impl Drop for Hands {
    fn drop(&mut self) {
        self.burst(|work| {
            work.surrender_all();
            work.seal();
        });
    }
}
