//! Contradictions, planted one by one, and whether the census sees them.

use std::sync::Arc;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::*;
use crate::config::{EngineConfig, PoolConfig, PortOrder};
use crate::engine::Engine;
use crate::port_allocator::{Found, PortAllocator};
use crate::space::Space;

const ME: ShardId = ShardId(0);
const YOU: ShardId = ShardId(1);
/// A block of the pool, the next one, and one of no pool.
const BLOCK: usize = 8;
const NEXT: usize = 9;
const OUTSIDE: usize = 200;

fn ports(list: &[usize]) -> Mask {
    list.iter().copied().collect()
}

/// An engine of two shards, of whose one address eight blocks are a pool's. It is open, and nothing
/// of it is in use.
struct Site {
    engine: Engine,
    inner: Arc<Inner>,
    layout: Arc<Layout>,
}

impl Site {
    fn new() -> Self {
        let pool = PoolConfig::new("p")
            .prefix("192.0.2.1/32".parse().unwrap())
            .ports(2048..=4095);
        let engine = Engine::new(EngineConfig::new(2).pool(pool)).unwrap();
        let inner = Arc::clone(engine.inner());
        let layout = inner.layout.load_full();
        let site = Site {
            engine,
            inner,
            layout,
        };
        let record = site.space().record(0xc000_0201);
        let participant = site.inner.ground.reclaimer.join();
        let (inner, pin) = (&site.inner, participant.pin());
        inner.enlist(&pin, site.space(), record, &site.layout);
        inner.open(&pin, site.space(), record);
        site
    }

    fn space(&self) -> &Space {
        &self.layout.spaces[0]
    }

    fn page(&self) -> &Page {
        let mut records = self.space().records();
        records.next().unwrap().page().unwrap()
    }

    /// Has a shard heat a block, with these ports taken; whoever took the others gave them back.
    fn heat(&self, shard: ShardId, block: usize, taken: &Mask) {
        let here = self.page().block(block);
        assert!(here.claim(shard));
        self.page().count_taken();
        here.take_fresh(shard, taken, &self.inner.ground.clock);
    }

    /// Puts ports of a block in a shard's hand, whatever its words say.
    fn hand(&self, shard: ShardId, page: &Page, block: usize, taken: &Mask) -> PortAllocator {
        let shared = &self.inner.shards[shard.as_index()];
        let index = shared.tray_count.get();
        let tray = shared.trays.get_or_grow(index as usize);
        shared.tray_count.set(index + 1);
        let mut allocator = PortAllocator::new(tray);
        let found = Found {
            page,
            block,
            taken: *taken,
            resting: None,
            pool: self.engine.pool("p").unwrap(),
            flags: 0,
            slice: 0,
        };
        let mut random = ChaCha8Rng::seed_from_u64(1);
        allocator.load(&found, PortOrder::Linear, &mut random);
        allocator
    }

    /// Counts once. Every equation that the books have holds, whatever contradicts itself.
    fn contradictions(&self) -> u64 {
        let census = self.engine.census();
        assert!(census.total.balances(), "{}", census.total);
        assert!(census.pools["p"].balances(), "{}", census.pools["p"]);
        assert!(census.draining.balances(), "{}", census.draining);
        census.contradictions
    }
}

impl Drop for Site {
    /// Leaves nothing held, for the page to be freed.
    fn drop(&mut self) {
        for block in [BLOCK, NEXT, OUTSIDE] {
            self.page().block(block).put_back(&Mask::FULL);
        }
    }
}

#[test]
fn what_is_as_it_should_be_contradicts_nothing() {
    let site = Site::new();
    assert_eq!(site.contradictions(), 0);
    let taken = ports(&[1, 2, 3, 250]);
    for (shard, block) in [(ME, BLOCK), (YOU, NEXT), (YOU, OUTSIDE)] {
        site.heat(shard, block, &taken);
        site.hand(shard, site.page(), block, &taken);
    }
    assert_eq!(site.contradictions(), 0);
    let census = site.engine.census();
    assert_eq!((census.total.unissued, census.draining.unissued), (8, 4));
}

#[test]
fn a_port_in_two_hands_is_counted() {
    let site = Site::new();
    site.heat(ME, BLOCK, &Mask::FULL);
    let mut first = site.hand(ME, site.page(), BLOCK, &ports(&[1, 2, 3, 4]));
    let mut other = site.hand(ME, site.page(), BLOCK, &ports(&[3, 4, 5]));
    assert_eq!(site.contradictions(), 2);
    // Issued by the one, it still is in the other one's hand alone.
    first.issue(&ports(&[4]));
    assert_eq!(site.contradictions(), 1);
    other.unload();
    assert_eq!(site.contradictions(), 0);
}

#[test]
fn a_port_in_the_hand_of_one_who_does_not_heat_its_block_is_counted() {
    let site = Site::new();
    site.heat(ME, BLOCK, &Mask::FULL);
    let taken = ports(&[7, 8]);
    site.hand(ME, site.page(), BLOCK, &taken);
    site.hand(YOU, site.page(), BLOCK, &ports(&[9]));
    assert_eq!(site.contradictions(), 1, "another's");
    site.page().block(BLOCK).cool(ME);
    assert_eq!(site.contradictions(), 3, "nobody's");
}

#[test]
fn a_port_in_a_hand_whose_block_is_assigned_is_counted() {
    let site = Site::new();
    site.heat(ME, BLOCK, &Mask::FULL);
    site.hand(ME, site.page(), BLOCK, &ports(&[7, 8, 9]));
    assert!(site.page().block(BLOCK).assign(ME));
    assert_eq!(site.contradictions(), 3);
}

#[test]
fn a_port_in_a_hand_though_it_is_nobodys_is_counted() {
    let site = Site::new();
    let taken = ports(&[1, 2, 3, 4, 5]);
    // Whether a pool holds it or not.
    for (block, before) in [(BLOCK, 0), (OUTSIDE, 3)] {
        site.heat(ME, block, &taken);
        site.hand(ME, site.page(), block, &taken);
        assert_eq!(site.contradictions(), before);
        site.page().block(block).put_back(&ports(&[2, 4]));
        let moment = site.inner.ground.clock.moment();
        let resting = (block * PORTS + 5) as u16;
        site.page().give_back(resting, Some(moment));
        assert_eq!(site.contradictions(), before + 3);
    }
}

#[test]
fn a_port_in_a_hand_though_its_block_is_free_is_counted() {
    let site = Site::new();
    site.hand(ME, site.page(), BLOCK, &ports(&[0, 255]));
    assert_eq!(site.contradictions(), 2);
    site.hand(YOU, site.page(), OUTSIDE, &ports(&[0]));
    assert_eq!(site.contradictions(), 3);
}

#[test]
fn a_port_issued_though_its_block_is_free_is_counted() {
    let site = Site::new();
    site.heat(ME, BLOCK, &Mask::EMPTY);
    let here = site.page().block(BLOCK);
    let clock = &site.inner.ground.clock;
    here.judge_and_take(ME, clock, clock.rest(), |_| ports(&[3, 4]), |_| ());
    assert_eq!(site.engine.census().total.leased, 2);
    assert!(here.abandon(ME));
    site.page().count_free();
    assert_eq!(site.contradictions(), 2);
}

#[test]
fn a_block_that_its_address_counts_wrongly_is_counted() {
    let site = Site::new();
    site.page().count_taken();
    assert_eq!(site.contradictions(), PORTS as u64);
    site.page().count_free();
    site.page().count_free();
    assert_eq!(site.contradictions(), PORTS as u64);
}

#[test]
fn a_port_in_a_hand_though_its_address_is_not_open_is_counted() {
    let site = Site::new();
    let record = site.space().record(0xc000_0201);
    let gone = Page::new(&site.inner.ground, site.space(), record, 0);
    let mut hand = site.hand(ME, &gone, BLOCK, &ports(&[1, 2, 3]));
    assert_eq!(site.contradictions(), 3);
    hand.unload();
    assert_eq!(site.contradictions(), 0);
}

#[test]
fn an_order_that_holds_a_port_twice_is_counted() {
    let site = Site::new();
    site.heat(ME, BLOCK, &Mask::FULL);
    let hand = site.hand(ME, site.page(), BLOCK, &Mask::FULL);
    hand.repeat(17, 200);
    assert_eq!(site.contradictions(), 1);
}

/// A page too many: more addresses are open than there are.
#[test]
fn an_address_that_is_open_twice_is_out_of_balance() {
    let lease = PortSet::new(&[2048..=4095], &[]);
    let open = |opened| outline(&lease, &lease, 1, opened);
    assert_eq!((open(0).free, open(1).free), (2048, 0));
    let mut books = open(2);
    for _ in 0..2 {
        books += PoolCensus {
            free: 2048,
            ..PoolCensus::default()
        };
    }
    assert!(!books.balances(), "{books}");
}
