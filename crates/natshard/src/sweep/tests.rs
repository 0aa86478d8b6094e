//! Sweeps of one shard, visit by visit.

use super::*;
use crate::block::Mask;
use crate::config::{EngineConfig, PoolConfig};
use crate::engine::Engine;
use crate::id::ShardId;
use crate::inner::Inner;
use crate::layout::Layout;
use crate::protocol::Protocol;
use crate::request::Request;
use crate::space::Record;
use crate::tick::Tick;
use crate::worker::Worker;
use std::cell::RefCell;
use std::time::Duration;

const ME: ShardId = ShardId(0);
/// A rest, in slices of a millisecond each.
const REST: u64 = 17;
const NOW: u64 = 1000;

/// The mark of what has rested just now.
fn due() -> Hint {
    Hint::resting(NOW - REST)
}

/// An engine of a few open addresses, and a shard of it.
struct Yard {
    worker: RefCell<Worker>,
    layout: Arc<Layout>,
    inner: Arc<Inner>,
    engine: Engine,
    addresses: usize,
}

/// What a block is when a sweep comes to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// Cooling, and leased to the last port.
    Held,
    /// Cooling, with a port that rests.
    Resting,
    /// In somebody's hand.
    Heating,
}
use Kind::{Heating, Held, Resting};

impl Yard {
    /// With so many addresses, all open, of which so many are to stay so; in the slice `NOW`, when
    /// all that rested before was visited.
    fn new(addresses: usize, keep_open: usize) -> Self {
        let pool = PoolConfig::new("pool")
            .prefix("192.0.2.0/29".parse().unwrap())
            .preopen(keep_open);
        let hold_down = Duration::from_millis(16);
        let config = EngineConfig::new(1).hold_down(hold_down).seed(1).pool(pool);
        let engine = Engine::new(config).unwrap();
        let inner = Arc::clone(engine.inner());
        inner.ground.clock.bring(Tick::from_millis(NOW));
        assert_eq!(inner.ground.clock.rest(), REST);
        let layout = inner.layout.load_full();
        let mut worker = Worker::new(&inner, ME);
        worker.swept_ever = inner.ground.clock.moment();
        let yard = Yard {
            worker: RefCell::new(worker),
            layout,
            inner,
            engine,
            addresses,
        };
        let participant = yard.inner.ground.reclaimer.join();
        let space = &yard.region().space;
        for number in 0..addresses {
            let record = space.record(yard.region().address_at(number as u64).unwrap());
            yard.inner
                .enlist(&participant.pin(), space, record, &yard.layout);
            yard.inner.open(&participant.pin(), space, record);
            // Somebody watches, at all times.
            record.changes.watch(u64::MAX >> 1);
            assert_eq!(record.members()[0].position as usize, number);
        }
        for region in &yard.layout.regions {
            region.swept.set(NOW - 1);
        }
        drop(participant);
        yard
    }

    fn region(&self) -> &Arc<Region> {
        &self.layout.regions[0]
    }

    fn record(&self, address: usize) -> &Record {
        self.region().record(address).unwrap()
    }

    fn page(&self, address: usize) -> &Page {
        self.record(address).page().unwrap()
    }

    fn clock(&self) -> &crate::clock::Clock {
        &self.inner.ground.clock
    }

    fn work<T>(&self, run: impl FnOnce(&mut Work<'_>) -> T) -> T {
        let participant = self.inner.ground.reclaimer.join();
        let pin = participant.pin();
        let mut worker = self.worker.borrow_mut();
        run(&mut worker.at(&self.inner, &self.layout, &pin))
    }

    fn sweep(&self, budget: usize) {
        self.work(|work| work.sweep(budget));
    }

    /// Lets so many slices pass, one by one.
    fn wait(&self, slices: u64) {
        for _ in 0..slices {
            self.clock()
                .bring(Tick::from_millis(self.clock().slice() + 1));
        }
    }

    /// Makes a free block one of this kind, which stands marked so and not otherwise.
    fn put(&self, address: usize, block: usize, kind: Kind, hint: Hint) {
        let page = self.page(address);
        let here = page.block(block);
        page.unmark(Hint::FREE, block);
        assert!(here.claim(ME));
        here.take_fresh(ME, &Mask::FULL, self.clock());
        if kind != Heating {
            here.cool(ME);
        }
        if kind == Resting {
            let moment = self.clock().moment();
            here.give_back(3, moment, self.clock());
        }
        page.mark(hint, block);
    }

    /// Which blocks of an address still stand marked so.
    fn left(&self, address: usize, hint: Hint) -> Vec<usize> {
        let hinted = self.page(address).hinted(hint, &self.region().blocks);
        hinted.iter().collect()
    }

    fn is_swept(&self) -> bool {
        let now = self.clock().slice();
        self.work(|work| work.is_swept(now))
    }
}

impl Drop for Yard {
    /// No lease keeps a page when the engine goes.
    fn drop(&mut self) {
        for address in 0..self.addresses {
            for block in 0..crate::hints::BLOCKS {
                if let Some(page) = self.record(address).page() {
                    page.block(block).put_back(&Mask::FULL);
                }
            }
        }
    }
}

#[test]
fn a_burst_visits_the_more_the_longer_sweeps_lag() {
    let yard = Yard::new(1, 1);
    let mut budgets = vec![];
    for _ in 0..=20 {
        budgets.push(yard.work(|work| work.sweep_budget()));
        yard.wait(1);
    }
    assert_eq!(budgets[..6], [4, 4, 8, 16, 32, 64]);
    assert_eq!(budgets[12..16], [4 << 11, 4 << 12, 4 << 12, 4 << 12]);
}

#[test]
fn a_sweep_goes_on_where_its_budget_ended() {
    let yard = Yard::new(3, 1);
    for address in [0, 2] {
        for block in [10, 20, 30, 63, 64] {
            yard.put(address, block, Resting, due());
        }
    }
    yard.put(1, 7, Resting, Hint::resting(NOW - REST - 2));
    yard.sweep(0);
    assert_eq!(yard.left(0, due()), [10, 20, 30, 63, 64]);
    yard.sweep(3);
    assert_eq!(yard.left(0, due()), [63, 64]);
    yard.sweep(4);
    assert_eq!(
        (yard.left(0, due()), yard.left(2, due())),
        (vec![], vec![30, 63, 64])
    );
    yard.sweep(3);
    assert_eq!(yard.left(2, due()), []);
    assert_eq!(yard.left(1, Hint::resting(NOW - REST - 2)), [7]);
    assert!(!yard.is_swept());
    assert_eq!(yard.region().swept.get(), NOW - 1);
    // From slice to slice it is the same sweep.
    yard.wait(1);
    yard.sweep(1);
    assert_eq!(yard.left(1, Hint::resting(NOW - REST - 2)), []);
    assert_eq!(
        yard.worker.borrow().swept.map(|(began, _)| began.slice()),
        Some(NOW)
    );
    assert_eq!(yard.worker.borrow().swept_ever.slice(), NOW);
    for region in &yard.layout.regions {
        assert_eq!(region.swept.get(), NOW);
    }
    assert!(!yard.is_swept());
    yard.sweep(0);
    assert!(yard.is_swept(), "there was nothing to visit");
    // What rests was sorted to where its rest says, and is not due.
    for address in [0, 2] {
        assert_eq!(yard.left(address, Hint::resting(NOW)), [10, 20, 30, 63, 64]);
    }
    yard.work(|work| {
        work.sweep_anew();
        assert!(!work.is_swept(NOW + 1) && work.worker.sweep.is_none());
    });
}

#[test]
fn a_sweep_looks_at_its_slice_only_once() {
    let yard = Yard::new(1, 1);
    yard.sweep(0);
    assert!(yard.is_swept());
    yard.put(0, 9, Resting, due());
    yard.sweep(10);
    assert_eq!(yard.left(0, due()), [9]);
    yard.work(|work| work.sweep_anew());
    yard.sweep(10);
    assert_eq!(yard.left(0, due()), []);
}

/// Blocks in hand stay marked, so that only where the sweep stands tells what was visited.
#[test]
fn a_sweep_visits_nothing_twice() {
    let yard = Yard::new(2, 1);
    let older = Hint::resting(NOW - REST - 1);
    for (address, hint) in [(0, due()), (1, due()), (0, older)] {
        for block in 20..23 {
            let block = if hint == older { 100 + block } else { block };
            yard.put(address, block, Heating, hint);
        }
    }
    for visited in 1..=9 {
        yard.sweep(1);
        assert_eq!(yard.is_swept(), visited == 9, "{visited}");
    }
}

#[test]
fn a_sweep_begins_an_address_with_its_first_block() {
    let yard = Yard::new(2, 1);
    for block in [50, 60] {
        yard.put(0, block, Resting, due());
    }
    yard.put(1, 5, Resting, due());
    yard.sweep(1);
    // Somebody else visited the rest of the first address meanwhile.
    yard.page(0).unmark(due(), 60);
    yard.sweep(1);
    assert_eq!(yard.left(1, due()), []);
}

#[test]
fn sixteen_blocks_held_to_the_last_port_are_one_visit() {
    let yard = Yard::new(1, 1);
    for block in 0..40 {
        yard.put(0, block + 100, Held, due());
    }
    let put_off = Hint::resting(NOW - 1);
    yard.sweep(1);
    assert_eq!(yard.left(0, due()).len(), 24);
    assert_eq!(yard.left(0, put_off), Vec::from_iter(100..116));
    yard.sweep(2);
    assert_eq!(yard.left(0, put_off), Vec::from_iter(100..140));
    assert!(yard.is_swept());

    let yard = Yard::new(1, 1);
    for block in 100..200 {
        yard.put(0, block, Held, due());
    }
    yard.sweep(100);
    assert_eq!(yard.left(0, due()), [], "the others one by one");
    assert!(yard.is_swept());
    let yard = Yard::new(1, 1);
    for block in 100..200 {
        yard.put(0, block, Held, due());
    }
    yard.sweep(4 + 7);
    assert_eq!(yard.left(0, due()).len(), 100 - 64 - 7);
}

#[test]
fn blocks_of_other_kinds_are_visited_each_by_itself() {
    let yard = Yard::new(1, 1);
    let kinds = [Held, Resting, Held, Heating, Held, Resting, Held, Held];
    for (block, kind) in kinds.into_iter().enumerate() {
        yard.put(0, 50 + block, kind, due());
    }
    // As many others as the budget has visits are as far as it looks ahead.
    yard.sweep(1);
    assert_eq!(yard.left(0, due()), [51, 52, 53, 54, 55, 56, 57]);
    yard.sweep(2);
    assert_eq!(yard.left(0, due()), [53, 54, 55, 56, 57]);
    yard.sweep(2);
    assert_eq!(yard.left(0, due()), [53, 55, 56, 57]);
    yard.sweep(3);
    assert_eq!(yard.left(0, due()), [53]);
    assert!(yard.is_swept());
}

#[test]
fn blocks_are_visited_one_by_one_where_hints_cannot_be_told_apart() {
    for (swept, wait, tenants, told_apart) in [
        (NOW - 1, 0, false, true),
        (NOW - 14, 0, false, true),
        (NOW - 15, 0, false, false),
        (NOW - 1, 1, false, false),
        (NOW - 1, 0, true, false),
    ] {
        let yard = Yard::new(1, 1);
        for block in [5, 6, 7] {
            yard.put(0, block, Held, due());
        }
        yard.region().swept.set(swept);
        if tenants {
            yard.page(0).tenancies_or_new();
        }
        yard.sweep(0);
        yard.wait(wait);
        yard.sweep(1);
        let left = if told_apart { vec![] } else { vec![6, 7] };
        assert_eq!(yard.left(0, due()), left, "{swept} {wait} {tenants}");
    }
}

#[test]
fn what_was_marked_since_the_clock_leapt_is_not_put_off() {
    let yard = Yard::new(1, 1);
    let hint = Hint::resting(NOW - 1);
    yard.put(0, 5, Held, hint);
    let page = yard.page(0);
    let mut hinted = BlockSet::default();
    hinted.insert(5);
    let mut budget = 3;
    let held = yard.work(|work| work.put_off_held(page, &hinted, hint, (0, NOW), &mut budget));
    assert!(held.is_empty() && budget == 3);
    assert_eq!(yard.left(0, hint), [5]);
}

#[test]
fn a_sweep_looks_through_every_class_and_counts_each_as_a_visit() {
    let yard = Yard::new(1, 1);
    yard.region().tree(3);
    yard.sweep(0);
    assert!(!yard.is_swept(), "class 0 only");
    yard.sweep(2);
    assert!(!yard.is_swept(), "and two more");
    yard.sweep(1);
    assert!(yard.is_swept());
    yard.wait(1);
    yard.put(0, 5, Resting, Hint::resting(NOW + 1 - REST));
    yard.sweep(4);
    assert!(yard.is_swept(), "a block and three classes");
}

#[test]
fn a_visit_leaves_a_block_as_its_phase_says() {
    let yard = Yard::new(1, 1);
    let page = yard.page(0);
    let marks = |block: usize| -> Vec<Hint> {
        let resting = (0..32).map(Hint::resting);
        let hints = [Hint::FREE, Hint::HALF, Hint::RIPE]
            .into_iter()
            .chain(resting);
        hints
            .filter(|&hint| page.hints.contains(hint, block))
            .collect()
    };
    let version = || page.record().changes.counted().get();
    let due = due();
    let visit = |yard: &Yard, block: usize, told_apart: bool| {
        let before = version();
        yard.work(|work| work.visit(page, block, due, told_apart.then_some(NOW)));
        version() - before
    };
    // Free: nothing is due, and there is nothing to tell.
    page.unmark(Hint::FREE, 1);
    page.mark(due, 1);
    assert_eq!(visit(&yard, 1, true), 0);
    assert_eq!(marks(1), []);
    // In hand: its owner's.
    yard.put(0, 2, Heating, due);
    assert_eq!(visit(&yard, 2, true), 0);
    assert_eq!(marks(2), [due]);
    // Cooling, with something to give: it is told of once, or twice where the mark may be
    // somebody else's.
    for (block, told_apart, told) in [(3, true, 1), (4, false, 2)] {
        yard.put(0, block, Held, due);
        page.block(block).give_back_idle(9);
        assert_eq!(visit(&yard, block, told_apart), told);
        assert_eq!(marks(block), [Hint::RIPE, Hint::resting(NOW - 1)]);
    }
    // Where it belongs, and not due yet.
    yard.put(0, 5, Held, due);
    let older = yard.clock().moment();
    yard.wait(1);
    page.block(5).give_back(7, older, yard.clock());
    page.mark(Hint::resting(NOW), 5);
    yard.work(|work| work.visit(page, 5, Hint::resting(NOW), Some(NOW + 1)));
    assert!(page.hints.contains(Hint::resting(NOW), 5));
}

#[test]
fn an_empty_block_is_recycled_or_stays_due() {
    let yard = Yard::new(1, 1);
    let page = yard.page(0);
    let due = due();
    let visit = |yard: &Yard, block: usize| {
        let before = page.record().changes.counted().get();
        yard.work(|work| work.visit(page, block, due, Some(NOW)));
        page.record().changes.counted().get() - before
    };
    let offered = |block: usize| page.hints.contains(Hint::HALF, block);
    for block in [1, 2, 3] {
        yard.put(0, block, Held, due);
        page.block(block).put_back(&Mask::FULL);
    }
    // No batch is to be had: the next sweep comes again.
    let shard = &yard.inner.shards[0];
    for batch in &shard.batches {
        batch.busy.set(true);
    }
    assert!(visit(&yard, 1) > 0);
    assert!(page.hints.contains(due, 1) && offered(1));
    assert!(!page.block(1).state().is_condemned());
    // It waits for the end of an earlier condemnation, which settles it.
    page.block(2).hot().deferred.set(true);
    assert_eq!(visit(&yard, 2), 1);
    assert!(!page.hints.contains(due, 2) && offered(2));
    page.block(2).hot().deferred.set(false);
    for batch in &yard.inner.shards[0].batches {
        batch.busy.set(false);
    }
    assert_eq!(visit(&yard, 3), 1);
    assert!(page.block(3).state().is_condemned());
    assert!(!page.hints.contains(due, 3) && offered(3));
}

#[test]
fn a_block_in_hand_is_refreshed_by_its_shard() {
    let yard = Yard::new(1, 1);
    let pool = yard.engine.pool("pool").unwrap();
    let request = Request::new(pool, Protocol::ALL[0]);
    let block = yard.work(|work| {
        let purpose = work.purpose(&request);
        let allocator = work.worker.allocator_index(work.shard, purpose);
        assert!(work.refill(allocator, purpose, true));
        let (_, block) = work.worker.allocators[allocator].block().unwrap();
        block
    });
    let here = yard.page(0).block(block);
    assert_eq!(here.state().phase(), Phase::Heating);
    here.give_back(30, yard.clock().moment(), yard.clock());
    yard.wait(100);
    assert_eq!(here.look().stamped().count(), 1);
    yard.sweep(0);
    assert_eq!(here.look().stamped().count(), 0);
    yard.work(|work| work.surrender_all());
}

#[test]
fn an_address_is_closed_when_it_was_free_for_a_rest_and_another_one_is() {
    let open = |yard: &Yard| yard.region().open.get();
    let sweep = |yard: &Yard| {
        yard.work(|work| work.sweep_anew());
        yard.sweep(100);
    };
    for (keep_open, left) in [(1, 1), (2, 2), (3, 3)] {
        let yard = Yard::new(3, keep_open);
        for address in 0..3 {
            yard.page(address).free_since.set(NOW);
            yard.region().hints.set(Hint::CLOSABLE, address);
        }
        yard.wait(REST - 1);
        sweep(&yard);
        assert_eq!(open(&yard), 3, "not yet");
        yard.wait(1);
        for round in 1..4 {
            sweep(&yard);
            assert_eq!(open(&yard), left.max(3 - round), "one at a time");
        }
    }
    // One in use does not serve whoever asks meanwhile.
    let yard = Yard::new(2, 1);
    yard.put(1, 5, Held, Hint::resting(NOW));
    yard.page(1).count_taken();
    for address in 0..2 {
        yard.region().hints.set(Hint::CLOSABLE, address);
    }
    yard.wait(3 * REST);
    sweep(&yard);
    assert_eq!(open(&yard), 2);
    let closable = |yard: &Yard, from| {
        let region = Arc::clone(yard.region());
        yard.work(|work| work.next_closable(&region, from))
    };
    assert_eq!(closable(&yard, 0), Some(0));
    assert_eq!(closable(&yard, 1), None);
    assert_eq!(yard.region().hints.next(Hint::CLOSABLE, 1), None, "it lied");
}

/// A reservation that met the page of an address which had just been taken down, and was linked
/// still, claimed its block over and over, without end.
#[test]
fn an_address_whose_page_is_gone_is_opened_anew_by_whoever_comes_by() {
    let yard = Yard::new(1, 1);
    let layout = Arc::clone(&yard.layout);
    let pool = layout.pool(yard.engine.pool("pool").unwrap()).unwrap();
    let address = yard.page(0).tuple(1100);
    let request = Request::new(pool.id, Protocol::Tcp);
    for (bound, found) in [(false, false), (true, false), (false, true), (true, true)] {
        // Decided, and its shard was stopped before it had unlinked it.
        let gone = yard.work(|work| {
            let (page, _) = work
                .page_of(&layout, pool, Protocol::Tcp, address.ip())
                .unwrap();
            std::ptr::from_ref(page)
        });
        // SAFETY: it is linked until somebody comes by below, and not followed after that.
        let gone = unsafe { &*gone };
        let marked = gone.closing.begin().unwrap();
        assert!(gone.closing.decide(marked));
        if found {
            // Found before that, and claimed now.
            let choose = |ports: &Mask| ports.iter().next();
            let had = yard.work(|work| work.take_one(gone, 7, &Mask::FULL, pool, &choose));
            assert_eq!(had.err(), Some(crate::AllocError::InUse));
        }
        let lease = yard.work(|work| match bound {
            true => work.allocate_at(&layout, pool, &request, address.ip()),
            false => work.reserve(&layout, pool, Protocol::Tcp, address),
        });
        let lease = lease.unwrap();
        assert_eq!(lease.addr().ip(), address.ip());
        assert!(!std::ptr::eq(lease.page(), gone), "another page");
        yard.work(|work| {
            work.release_unused(lease);
            work.surrender_all();
        });
    }
}
