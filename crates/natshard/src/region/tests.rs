//! Searches of a region, address by address.

use std::sync::Arc;

use super::*;
use crate::config::{EngineConfig, PoolConfig};
use crate::engine::Engine;
use crate::reclaim::Participant;

const ADDRESSES: usize = 5;

/// An engine whose one region has so many open addresses, in the order of their positions.
struct Ground {
    region: Arc<Region>,
    // It keeps what the region refers to.
    participant: Participant,
    engine: Engine,
}

impl Ground {
    fn new() -> Self {
        let pool = PoolConfig::new("p").prefix("192.0.2.0/29".parse().unwrap());
        let engine = Engine::new(EngineConfig::new(1).seed(1).pool(pool)).unwrap();
        let inner = engine.inner();
        let layout = inner.layout.load_full();
        let region = Arc::clone(&layout.regions[0]);
        let participant = inner.ground.reclaimer.join();
        let pin = participant.pin();
        for number in 0..ADDRESSES {
            let key = region.address_at(number as u64).unwrap();
            let record = region.space.record(key);
            inner.enlist(&pin, &region.space, record, &layout);
            inner.open(&pin, &region.space, record);
        }
        drop(pin);
        Ground {
            region,
            participant,
            engine,
        }
    }

    fn page(&self, position: usize) -> &Page {
        self.region.record(position).and_then(Record::page).unwrap()
    }

    /// Which blocks a search sees that begins at `from` and takes the one after so many; where it
    /// ends.
    fn search(
        &self,
        (class, exhaustive): (u8, bool),
        (from, spin): (usize, usize),
        count: usize,
    ) -> (Vec<(usize, usize)>, usize) {
        let _pin = self.participant.pin();
        let mut seen = Vec::new();
        let mut lap = Lap {
            position: from,
            spin,
            ..Lap::default()
        };
        let blocks = &self.region.blocks;
        let visit = |record: &Record, page: &Page, block| {
            assert!(std::ptr::eq(page.record(), record));
            let position = (0..).find(|&it| std::ptr::eq(self.page(it), page));
            seen.push((position.unwrap(), block));
            (seen.len() == count).then_some(block)
        };
        let hint = Hint::HALF;
        let found = self
            .region
            .search(class, hint, &mut lap, exhaustive, blocks, visit);
        assert_eq!(found, (seen.len() == count).then(|| seen[count - 1].1));
        (seen, lap.position)
    }
}

#[test]
fn a_search_begins_where_the_last_one_found_something_and_comes_round() {
    let ground = Ground::new();
    assert_eq!(ground.region.seats(), ADDRESSES);
    assert_eq!(ground.engine.stats().open_addresses, ADDRESSES as u64);
    let all = [(1, 7), (1, 9), (3, 7), (4, 200)];
    for (position, block) in all {
        ground.page(position).mark(Hint::HALF, block);
    }
    for exhaustive in [false, true] {
        let how = (0, exhaustive);
        let turned = |first: usize| {
            let mut order = all.to_vec();
            order.rotate_left(first);
            order
        };
        // In vain: it stays where it was.
        for (from, first) in [(0, 0), (1, 0), (2, 2), (3, 2), (4, 3), (5, 0)] {
            assert_eq!(ground.search(how, (from, 0), 9), (turned(first), from));
        }
        // Within an address it begins with the block it is told, and sees the others after it.
        let seen = vec![(1, 9), (1, 7), (3, 7)];
        assert_eq!(ground.search(how, (0, 8), 3), (seen, 3));
        let (seen, end) = ground.search(how, (4, 0), 2);
        assert_eq!((seen, end), (vec![(4, 200), (1, 7)], 1));
    }
}

#[test]
fn a_lap_has_each_block_of_an_address_once_before_the_next_address() {
    let ground = Ground::new();
    let _pin = ground.participant.pin();
    for (position, block) in [(1, 7), (1, 9), (1, 200), (3, 7)] {
        ground.page(position).mark(Hint::HALF, block);
    }
    let mut lap = Lap {
        position: 1,
        spin: 9,
        ..Lap::default()
    };
    let mut take = || {
        let blocks = &ground.region.blocks;
        let visit = |_: &Record, page: &Page, block| {
            let position = (0..).find(|&it| std::ptr::eq(ground.page(it), page));
            Some((position.unwrap(), block))
        };
        ground
            .region
            .search(0, Hint::HALF, &mut lap, false, blocks, visit)
    };
    // All of them go on having the hint.
    let mut taken = std::iter::from_fn(&mut take);
    let first: Vec<_> = taken.by_ref().take(4).collect();
    assert_eq!(first, [(1, 9), (1, 200), (1, 7), (3, 7)]);
    // It has been away from the first address since.
    let second: Vec<_> = taken.take(4).collect();
    assert_eq!(second, first);
    // Where nothing else is to be had, what the lap has had is.
    ground.page(1).hints.clear(Hint::HALF, 7);
    ground.page(1).hints.clear(Hint::HALF, 9);
    ground.page(1).hints.clear(Hint::HALF, 200);
    assert_eq!([take(), take()], [Some((3, 7)); 2]);
}

#[test]
fn a_lap_says_which_block_is_next() {
    let ground = Ground::new();
    let _pin = ground.participant.pin();
    let page = ground.page(2);
    for block in [7, 9, 200] {
        page.mark(Hint::HALF, block);
    }
    let mut lap = Lap::default();
    lap.has(2, 9);
    assert_eq!(lap.turn(8, page, Hint::HALF), Some(200));
    assert_eq!((lap.position, lap.spin), (2, 8));
    assert_eq!(lap.turn(201, page, Hint::HALF), Some(7));
    lap.has(2, 7);
    lap.has(2, 200);
    assert_eq!(lap.turn(0, page, Hint::HALF), None);
    lap.has(3, 7);
    assert_eq!(lap.turn(0, page, Hint::HALF), Some(9));
}

#[test]
fn an_exhaustive_search_does_not_trust_summaries() {
    let ground = Ground::new();
    for position in [0, 2, 4] {
        ground.page(position).hints.set(Hint::HALF, 50);
    }
    assert_eq!(ground.search((0, false), (0, 0), 9).0, []);
    let all = vec![(0, 50), (2, 50), (4, 50)];
    assert_eq!(ground.search((0, true), (0, 0), 9).0, all);
    assert!(!ground.region.is_clearing());
}

#[test]
fn a_mark_goes_from_the_tree_of_a_class_that_has_nothing_there() {
    let ground = Ground::new();
    let tree = ground.region.tree(3);
    assert!(ground.region.classes().eq(0..=3));
    tree.set(Hint::HALF, 2);
    ground.page(2).mark(Hint::HALF, 9);
    // It is everybody's, and not that class's.
    assert_eq!(ground.search((3, true), (0, 0), 9).0, []);
    assert_eq!(tree.next(Hint::HALF, 0), Some(2));
    assert_eq!(ground.search((3, false), (0, 0), 9).0, []);
    assert_eq!(tree.next(Hint::HALF, 0), None);
    assert_eq!(ground.search((0, false), (0, 0), 9).0, [(2, 9)]);
}

#[test]
fn a_summary_is_told_to_be_in_doubt_while_it_is_cleared() {
    let ground = Ground::new();
    let region = &ground.region;
    let tree = region.tree(0);
    tree.set(Hint::HALF, 1);
    region.clear_if(0, Hint::HALF, 1, || false);
    assert_eq!(tree.next(Hint::HALF, 0), Some(1));
    let looks = std::cell::Cell::new(0);
    let look = |empty: [bool; 2]| {
        looks.set(0);
        region.clear_if(0, Hint::HALF, 1, || {
            let look = looks.replace(looks.get() + 1);
            assert_eq!(region.is_clearing(), look == 1);
            assert_eq!(tree.next(Hint::HALF, 0).is_none(), look == 1);
            empty[look]
        });
        assert_eq!((looks.get(), region.is_clearing()), (2, false));
        tree.next(Hint::HALF, 0)
    };
    // Something came while it was taken away.
    assert_eq!(look([true, false]), Some(1));
    assert_eq!(look([true, true]), None);
}

#[test]
fn a_free_block_is_queued_by_its_place_and_once() {
    let ground = Ground::new();
    let (inner, region) = (ground.engine.inner(), &ground.region);
    let _pin = ground.participant.pin();
    while region.dequeue().is_some() {}
    let (page, block) = (ground.page(2), 9);
    let queued = &page.block(block).hot().queued;
    queued.set(false);
    for _ in 0..3 {
        inner.enqueue(page, block);
        assert!(queued.get());
    }
    assert_eq!(region.dequeue(), Some(2 << 8 | 9));
    assert_eq!(region.dequeue(), None);
    // It counts as queued until whoever took it there says otherwise.
    inner.enqueue(page, block);
    assert_eq!(region.dequeue(), None);
    queued.set(false);
    inner.enqueue(page, block);
    assert_eq!(region.dequeue(), Some(2 << 8 | 9));
    // A block of no region is in no queue.
    let outside = (0..BLOCKS)
        .find(|&block| !region.blocks.contains(block))
        .unwrap();
    page.block(outside).hot().queued.set(false);
    inner.enqueue(page, outside);
    assert!(!page.block(outside).hot().queued.get());
}
