//! The marks of one page, by one thread. What several do at once is the models' matter.

mod ports;

use super::*;
use crate::block::Rest;
use crate::config::{EngineConfig, PoolConfig};
use crate::engine::Engine;
use crate::fair::titles::Owner;
use crate::fair::unit::Unit;
use crate::hints::{BUCKETS, BlockSet};
use crate::id::ShardId;
use crate::inner::Inner;
use crate::layout::Layout;
use crate::tick::Tick;
use std::collections::BTreeSet;
use std::time::Duration;

const ME: ShardId = ShardId(0);
/// A rest, in slices of a millisecond each.
const REST: u64 = 17;
const NOW: u64 = 1000;
/// A block of the one pool, and blocks of the other.
const THEIRS: usize = 5;
const BLOCK: usize = 200;
const NEXT: usize = 201;

/// An engine of one address, the lower half of which is one pool's, the upper another's.
struct Site {
    _engine: Engine,
    inner: Arc<Inner>,
    layout: Arc<Layout>,
}

impl Site {
    /// With the address just opened, and no mark of a block of interest.
    fn new() -> Self {
        let prefix: ipnet::IpNet = "192.0.2.1/32".parse().unwrap();
        let pool = |name, ports| PoolConfig::new(name).prefix(prefix).ports(ports);
        let config = EngineConfig::new(1)
            .hold_down(Duration::from_millis(16))
            .pool(pool("lower", 1024..=32767))
            .pool(pool("upper", 32768..=65535));
        let engine = Engine::new(config).unwrap();
        let inner = Arc::clone(engine.inner());
        inner.ground.clock.bring(Tick::from_millis(NOW));
        assert_eq!(inner.ground.clock.rest(), REST);
        let layout = inner.layout.load_full();
        let space = &layout.spaces[0];
        let record = space.record(u32::from(std::net::Ipv4Addr::new(192, 0, 2, 1)));
        inner.enlist(&inner.ground.reclaimer.join().pin(), space, record, &layout);
        inner.open(&inner.ground.reclaimer.join().pin(), space, record);
        let site = Site {
            _engine: engine,
            inner,
            layout,
        };
        let members = site.page().record().members();
        assert_eq!(members.len(), 2);
        // Somebody watches, at all times.
        site.page().record().changes.watch(u64::MAX >> 1);
        for member in members {
            member.region.changes.watch(u64::MAX >> 1);
        }
        for block in [THEIRS, BLOCK, NEXT] {
            site.page().unmark(Hint::FREE, block);
        }
        site
    }

    fn page(&self) -> &Page {
        let mut records = self.layout.spaces[0].records();
        records.next().unwrap().page().unwrap()
    }

    fn clock(&self) -> &crate::clock::Clock {
        &self.inner.ground.clock
    }

    /// Has a block leased to the last port.
    fn lease(&self, block: usize) -> BlockRef<'_> {
        let here = self.page().block(block);
        assert!(here.claim(ME));
        here.take_fresh(ME, &Mask::FULL, self.clock());
        here.cool(ME);
        here
    }

    /// Has a block assigned, which is cut into port blocks of one quarter.
    fn assign(&self, block: usize) -> BlockRef<'_> {
        let here = self.page().block(block);
        assert!(here.claim(ME));
        here.take_fresh(ME, &Mask::EMPTY, self.clock());
        self.page().titles_or_new().lay_out(block, 1, &Mask::FULL);
        assert!(here.assign(ME));
        here
    }

    fn give_back(&self, block: usize, ports: &Mask) {
        let moment = self.clock().moment();
        for port in ports.iter() {
            self.page()
                .give_back((block * PORTS + port) as u16, Some(moment));
        }
    }

    /// The marks of a block. Those of the page and those of its regions are the same.
    fn marks(&self, block: usize) -> BTreeSet<String> {
        let page = self.page();
        let kinds = kinds();
        for member in page.record().members() {
            for class in member.region.classes() {
                for &hint in kinds.iter() {
                    let tree = member.region.tree(class);
                    let position = member.position as usize;
                    let hinted = !page.hinted_of(class, hint, member.blocks()).is_empty();
                    let hinted = hinted && (class == 0 || !hint.is_common());
                    let told = tree.next(hint, position) == Some(position);
                    assert_eq!(told, hinted, "{} of class {class}", name(hint));
                }
            }
        }
        let marks = kinds
            .into_iter()
            .filter(|&hint| page.hints.contains(hint, block));
        marks.map(name).collect()
    }

    /// How often something was announced: to all, to the lower pool, to the upper one.
    fn versions(&self) -> [u64; 3] {
        let record = self.page().record();
        let of = |block: usize| {
            let members = record.members().iter();
            let mut members = members.filter(|member| member.blocks().contains(block));
            members.next().unwrap().region.changes.counted().get()
        };
        [record.changes.counted().get(), of(THEIRS), of(BLOCK)]
    }
}

impl Drop for Site {
    /// No lease keeps the page when the engine goes.
    fn drop(&mut self) {
        for block in [THEIRS, BLOCK, NEXT] {
            self.page().block(block).put_back(&Mask::FULL);
        }
    }
}

fn kinds() -> Vec<Hint> {
    let resting = (0..BUCKETS as u64).map(Hint::resting);
    [Hint::FREE, Hint::HALF, Hint::RIPE, Hint::CLOSABLE]
        .into_iter()
        .chain(resting)
        .collect()
}

/// Resting hints by their slice, of those about now.
fn name(hint: Hint) -> String {
    match hint {
        Hint::FREE => "free".into(),
        Hint::HALF => "half".into(),
        Hint::RIPE => "ripe".into(),
        Hint::CLOSABLE => "closable".into(),
        _ => {
            let slice = (NOW - 20..).find(|&slice| Hint::resting(slice) == hint);
            slice.unwrap().to_string()
        }
    }
}

fn set<const N: usize>(marks: [&str; N]) -> BTreeSet<String> {
    marks.into_iter().map(str::to_owned).collect()
}

fn ports(ports: impl IntoIterator<Item = usize>) -> Mask {
    ports.into_iter().collect()
}

#[test]
fn a_mark_is_told_to_the_regions_of_its_block() {
    let site = Site::new();
    let page = site.page();
    let count = |hint| {
        page.record()
            .members()
            .iter()
            .filter(|member| member.region.hints.next(hint, 0) == Some(member.position as usize))
            .count()
    };
    page.mark(Hint::RIPE, BLOCK);
    page.mark(Hint::RIPE, NEXT);
    assert_eq!(count(Hint::RIPE), 1);
    page.unmark(Hint::HALF, BLOCK);
    page.unmark(Hint::RIPE, BLOCK);
    assert_eq!(site.marks(BLOCK), set([]));
    assert_eq!(site.marks(NEXT), set(["ripe"]));
    assert_eq!(count(Hint::RIPE), 1, "there is another");
    page.mark(Hint::RIPE, THEIRS);
    assert_eq!(count(Hint::RIPE), 2);
    page.unmark(Hint::RIPE, NEXT);
    assert_eq!((count(Hint::RIPE), site.marks(THEIRS)), (1, set(["ripe"])));
    let before = site.versions();
    page.announce(BLOCK);
    let after = site.versions();
    let told: Vec<_> = after
        .iter()
        .zip(before)
        .map(|(after, before)| after - before)
        .collect();
    assert_eq!(told, [1, 0, 1]);
}

#[test]
fn a_block_is_marked_as_its_state_says() {
    let site = Site::new();
    let page = site.page();
    let told = |settle: &dyn Fn()| {
        let before = site.versions();
        settle();
        site.versions()[2] - before[2]
    };
    assert_eq!(told(&|| page.settle(BLOCK)), 1);
    assert_eq!(site.marks(BLOCK), set(["free"]));
    page.unmark(Hint::FREE, BLOCK);
    let here = page.block(BLOCK);
    assert!(here.claim(ME));
    here.take_fresh(ME, &Mask::FULL, site.clock());
    assert_eq!(told(&|| page.settle(BLOCK)), 0);
    assert_eq!(site.marks(BLOCK), set(["999"]), "for what was missed");
    here.cool(ME);
    assert_eq!(told(&|| page.settle(BLOCK)), 0);
    assert_eq!(site.marks(BLOCK), set(["999"]));
    site.give_back(BLOCK, &ports([3]));
    assert_eq!(told(&|| page.settle(BLOCK)), 0);
    site.clock().bring(Tick::from_millis(NOW + REST));
    assert_eq!(told(&|| page.settle(BLOCK)), 1);
    assert!(site.marks(BLOCK).contains("ripe"));
}

/// What a look at a cooling block leads to, for one that stands marked nowhere yet.
#[test]
fn a_cooling_block_is_marked_for_its_next_visit_and_as_what_it_has_to_give() {
    let few = |count: usize| Mask::range(0, count);
    for (released, rested, earliest, deferred, expected) in [
        (0, 0, None, false, set(["999"])),
        (9, 0, Some(990), false, set(["990"])),
        (200, 0, Some(984), false, set(["984"])),
        // On offer, and whoever takes it on sees for himself.
        (9, 2, Some(990), false, set(["999", "ripe"])),
        (127, 2, Some(990), false, set(["999", "ripe"])),
        // Half of it can be had once the others have rested.
        (128, 2, Some(990), false, set(["990", "ripe"])),
        (200, 127, Some(990), false, set(["990", "ripe"])),
        (200, 128, Some(990), false, set(["990", "half"])),
        (255, 255, None, false, set(["999", "half"])),
        // For the next sweep to condemn.
        (256, 256, None, false, set(["999", "983", "half"])),
        (256, 256, None, true, set(["999", "half"])),
    ] {
        let site = Site::new();
        let page = site.page();
        let here = site.lease(BLOCK);
        here.hot().deferred.set(deferred);
        let rest = Rest {
            released: few(released),
            rested: few(rested),
            earliest,
        };
        let before = site.versions()[2];
        let slice = match (earliest, expected.contains("999")) {
            (Some(slice), false) => slice,
            _ => 999,
        };
        assert!(page.sort(BLOCK, &rest, NOW, None) == slice);
        assert_eq!(site.marks(BLOCK), expected, "{rest:?}");
        assert_eq!(site.versions()[2] - before, u64::from(rested > 0));
        here.hot().deferred.set(false);
    }
}

#[test]
fn a_block_that_stands_marked_for_an_earlier_visit_needs_no_other() {
    for (stands, visited, tenants, added) in [
        (Some(984), None, false, false),
        (Some(990), None, false, false),
        // It comes too late, or should have come already.
        (Some(991), None, false, true),
        (Some(983), None, false, true),
        // It is about to go.
        (Some(987), Some(987), false, true),
        (Some(987), Some(986), false, false),
        // It may be another class's.
        (Some(987), None, true, true),
        (None, None, false, true),
    ] {
        let site = Site::new();
        let page = site.page();
        site.lease(BLOCK);
        if tenants {
            page.tenancies_or_new();
        }
        if let Some(slice) = stands {
            page.mark(Hint::resting(slice), BLOCK);
        }
        let rest = Rest {
            released: Mask::range(0, 3),
            rested: Mask::EMPTY,
            earliest: Some(990),
        };
        let visit = page.sort(BLOCK, &rest, NOW, visited.map(Hint::resting));
        assert_eq!(visit, 990);
        let mut expected: BTreeSet<_> = stands.iter().map(u64::to_string).collect();
        if added {
            expected.insert("990".into());
        }
        assert_eq!(site.marks(BLOCK), expected, "{stands:?} {visited:?}");
    }
}

#[test]
fn blocks_held_to_the_last_port_are_put_off_together() {
    let site = Site::new();
    let page = site.page();
    let (old, visited) = (Hint::resting(981), Hint::resting(988));
    let mut blocks = BlockSet::default();
    for block in [BLOCK, NEXT] {
        site.lease(block);
        page.mark(old, block);
        blocks.insert(block);
    }
    page.mark(old, THEIRS);
    page.mark(visited, NEXT);
    page.put_off(old, NOW, &blocks);
    assert_eq!(site.marks(BLOCK), set(["999"]));
    assert_eq!(site.marks(NEXT), set(["988"]), "soon enough");
    assert_eq!(site.marks(THEIRS), set(["981"]), "not one of them");
    let mut theirs = BlockSet::default();
    theirs.insert(THEIRS);
    page.put_off(old, NOW, &theirs);
    assert_eq!(site.marks(THEIRS), set(["999"]));
}

#[test]
fn a_reheated_block_is_on_offer_no_longer() {
    let site = Site::new();
    let page = site.page();
    let here = site.lease(BLOCK);
    for deferred in [false, true] {
        for hint in [Hint::HALF, Hint::RIPE] {
            page.mark(hint, BLOCK);
        }
        here.hot().deferred.set(deferred);
        page.mark_reheated(BLOCK);
        let visit = if deferred { set(["1000"]) } else { set([]) };
        assert_eq!(
            site.marks(BLOCK),
            visit,
            "its visits end when it is condemned"
        );
    }
    here.hot().deferred.set(false);
}

#[test]
fn a_release_that_need_not_rest_is_found() {
    let release = |site: &Site, block: usize| {
        let before = site.versions()[2];
        site.page().give_back((block * PORTS + 7) as u16, None);
        site.page().after_idle_release(block);
        site.versions()[2] - before
    };
    // By its owner, later on.
    let site = Site::new();
    let here = site.page().block(BLOCK);
    assert!(here.claim(ME));
    here.take_fresh(ME, &Mask::FULL, site.clock());
    assert_eq!(release(&site, BLOCK), 0);
    assert!(here.hot().nudged.get());
    assert_eq!(site.marks(BLOCK), set([]));
    here.hot().nudged.set(false);
    // By new marks.
    here.cool(ME);
    assert_eq!(release(&site, BLOCK), 1);
    assert_eq!(site.marks(BLOCK), set(["999", "ripe"]));
    assert!(!here.hot().nudged.get());
    // By those it has, but where blocks are somebody's and others may not see them.
    for hint in [Hint::RIPE, Hint::HALF] {
        let site = Site::new();
        site.lease(BLOCK);
        site.page().mark(hint, BLOCK);
        assert_eq!(release(&site, BLOCK), 1);
        assert_eq!(site.marks(BLOCK), set([name(hint).as_str()]));
        site.page().tenancies_or_new();
        assert_eq!(release(&site, BLOCK), 1);
        assert!(site.marks(BLOCK).is_superset(&set(["999", "ripe"])));
    }
    // As a port of a port block.
    let site = Site::new();
    let here = site.assign(BLOCK);
    here.hot().deferred.set(true);
    assert_eq!(release(&site, BLOCK), 1);
    assert_eq!(site.marks(BLOCK), set(["999", "half"]));
    here.hot().deferred.set(false);
    // Not at all, where the engine has recycled the block since.
    let site = Site::new();
    assert_eq!(release(&site, BLOCK), 0);
    assert_eq!(site.marks(BLOCK), set([]));
}

#[test]
fn an_assigned_block_is_marked_for_whoever_wants_or_leaves_a_port_block() {
    let site = Site::new();
    let page = site.page();
    let here = site.assign(BLOCK);
    let titles = page.titles().unwrap();
    let unit = |first, count| Unit {
        block: BLOCK,
        first,
        count,
    };
    let claim = |first, count| titles.claim_in(unit(first, count), Owner::account(8), here);
    let settled = || {
        for hint in kinds() {
            page.unmark(hint, BLOCK);
        }
        let before = site.versions()[2];
        page.settle(BLOCK);
        (site.marks(BLOCK), site.versions()[2] - before)
    };
    assert_eq!(
        settled(),
        (set(["999", "983", "half"]), 1),
        "empty, and nobody's"
    );
    here.hot().deferred.set(true);
    assert_eq!(settled(), (set(["999", "half"]), 1), "it is being recycled");
    here.hot().deferred.set(false);
    let held: Mask = ports([70]);
    assert!(here.try_take(70, ME, site.clock()).is_some());
    assert_eq!(settled(), (set(["999", "half"]), 1), "a port of it is held");
    claim(1, 1).unwrap();
    assert_eq!(
        settled(),
        (set(["999", "half"]), 1),
        "and that one's account needs it"
    );
    claim(0, 1).unwrap();
    assert_eq!(
        settled(),
        (set(["999", "983", "half"]), 1),
        "an account has no use for its own"
    );
    claim(2, 2).unwrap();
    assert_eq!(
        settled(),
        (set(["999", "983"]), 0),
        "there is no room for others"
    );
    site.give_back(BLOCK, &held);
    site.clock().bring(Tick::from_millis(NOW + 2));
    assert!(here.try_take(200, ME, site.clock()).is_some());
    for port in [10, 150] {
        assert!(here.try_take(port, ME, site.clock()).is_some());
    }
    site.give_back(BLOCK, &ports([10]));
    assert_eq!(
        settled(),
        (set(["1000"]), 0),
        "the longest-resting was released then"
    );
}

#[test]
fn port_blocks_that_were_not_to_be_had_are_looked_at_again() {
    let site = Site::new();
    let page = site.page();
    page.recut(BLOCK);
    assert!(page.titles().is_none());
    let here = site.assign(BLOCK);
    let titles = page.titles().unwrap();
    titles.lay_out(BLOCK, 1, &Mask::EMPTY);
    titles.lay_out(NEXT, 1, &Mask::EMPTY);
    assert!(!titles.has_room(BLOCK) && !titles.has_room(NEXT));
    here.hot().deferred.set(true);
    page.recut(BLOCK);
    page.recut(NEXT);
    here.hot().deferred.set(false);
    assert!(titles.has_room(BLOCK) && titles.has_room(NEXT));
    assert_eq!(site.marks(BLOCK), set(["999", "half"]));
    assert_eq!(site.marks(NEXT), set([]), "it is not assigned");
    assert!(page.is_unowned(BLOCK));
    let unit = Unit {
        block: BLOCK,
        first: 3,
        count: 1,
    };
    titles.claim_in(unit, Owner::RESERVED, here).unwrap();
    assert!(!page.is_unowned(BLOCK) && page.is_unowned(NEXT));
}

#[test]
fn marks_of_a_class_are_for_that_class() {
    let site = Site::new();
    let page = site.page();
    let upper = {
        let mut members = page.record().members().iter();
        members
            .find(|member| member.blocks().contains(BLOCK))
            .unwrap()
    };
    let lower = {
        let mut members = page.record().members().iter();
        members
            .find(|member| member.blocks().contains(THEIRS))
            .unwrap()
    };
    let blocks = |class, hint| {
        let found = page.hinted_of(class, hint, upper.blocks());
        found.iter().collect::<Vec<_>>()
    };
    assert!(page.is_unowned(BLOCK), "nothing was ever assigned");
    page.mark(Hint::RIPE, BLOCK);
    assert_eq!(blocks(0, Hint::RIPE), [BLOCK]);
    assert_eq!(blocks(3, Hint::RIPE), [], "no block was ever a class's");
    page.unmark(Hint::RIPE, BLOCK);

    page.make_room(BLOCK, 0);
    assert!(upper.region.classes().eq(0..=0));
    page.make_room(BLOCK, 2);
    assert!(upper.region.classes().eq(0..=2));
    assert!(lower.region.classes().eq(0..=0));

    let tenancy = Tenancy::new(PoolId(0), 3, 0);
    page.tenancies_or_new().replace(BLOCK, tenancy);
    assert_eq!(page.tenancy(BLOCK), tenancy);
    assert_eq!(page.tenancy(NEXT), Tenancy::NONE);
    for block in [BLOCK, NEXT] {
        page.mark(Hint::RIPE, block);
        page.mark(Hint::FREE, block);
    }
    assert_eq!(blocks(0, Hint::RIPE), [NEXT]);
    assert_eq!(blocks(3, Hint::RIPE), [BLOCK]);
    assert_eq!(blocks(2, Hint::RIPE), []);
    assert_eq!(
        blocks(3, Hint::FREE),
        blocks(0, Hint::FREE),
        "free blocks are anybody's"
    );
    let position = upper.position as usize;
    let told = |class, hint| upper.region.tree(class).next(hint, 0) == Some(position);
    assert!(told(0, Hint::RIPE) && told(3, Hint::RIPE) && !told(2, Hint::RIPE));
    assert!(told(0, Hint::FREE) && !told(3, Hint::FREE));
    assert_eq!(site.marks(BLOCK), set(["free", "ripe"]));
    page.unmark(Hint::RIPE, BLOCK);
    assert!(told(0, Hint::RIPE) && !told(3, Hint::RIPE));

    assert_eq!(page.end_tenancy(BLOCK, 1), Tenancy::NONE);
    assert_eq!(page.end_tenancy(BLOCK, 0), tenancy);
    assert_eq!(page.tenancy(BLOCK), Tenancy::NONE);
}
