//! Consecutive ports: finding a block with a run of leasable ones, and taking it whole.
//!
//! # Where a run comes from
//!
//! In this order: the block in hand, whose ports are given out one by one anyway; of a few torn
//! (cooling) blocks the one whose longest run is the shortest that will do; a free block; a new
//! address; any run there is. So small sets end up beside each other, and whole blocks stay for
//! large ones. Within a block the place is drawn at random ([`Mask::pick_run`]).
//!
//! # When it is refused
//!
//! Unlike a single port, a run cannot be told from the hints: every block that they lead to has to
//! be looked at. Before a refusal this shard's own blocks are given back, so that ports in hand
//! and ports released meanwhile count together; and should anything have become leasable during
//! the search, every block of every open address is looked at, whatever the hints say. That
//! bounds the search: a run that was there all the time is found, and nobody is waited for.

mod find;
mod request;
mod stages;
mod wishes;

use std::ptr::NonNull;
use std::sync::Arc;

use crate::block::{Mask, PORTS, Run};
use crate::fair::quota::ClassNumber;
use crate::hints::{BLOCK_WORDS, BLOCKS, BlockSet, Hint};
use crate::layout::{Class, PoolLayout};
use crate::page::Page;
use crate::refill::Refusal;
use crate::region::Region;
use crate::request::{Family, Parity};
use crate::worker::Purpose;

pub(crate) use request::Set;

/// Ports below it are well-known (RFC 4787 REQ-3 a).
const UNPRIVILEGED: u16 = 1024;

/// Where a run may lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    Anywhere,
    /// In the class of this port: below 1024, or from 1024 on.
    ClassOf(u16),
    /// From this port on.
    At(u16),
}

impl Place {
    /// The blocks in which such a run may lie.
    fn blocks(self) -> BlockSet {
        let limit = UNPRIVILEGED as usize / PORTS;
        let mut blocks = BlockSet::default();
        for block in 0..BLOCKS {
            let allowed = match self {
                Place::Anywhere => return BlockSet([u64::MAX; BLOCK_WORDS]),
                Place::ClassOf(port) => (block < limit) == (port < UNPRIVILEGED),
                Place::At(port) => block == port as usize / PORTS,
            };
            if allowed {
                blocks.insert(block);
            }
        }
        blocks
    }
}

/// What is looked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Sought {
    /// As many ports as this, at least one and at most a block.
    pub(crate) most: usize,
    /// At least as many as this, and at least one.
    pub(crate) least: usize,
    /// Of the first port.
    pub(crate) parity: Option<Parity>,
    pub(crate) place: Place,
}

impl Sought {
    fn run(&self, count: usize) -> Run {
        let parity = self.parity;
        Run { count, parity }
    }

    /// Whether it may lie in a block of this number.
    pub(crate) fn may_lie_in(&self, block: usize) -> bool {
        self.place.blocks().contains(block)
    }

    /// Whether these ports of a block it may lie in have a run of at least `floor`.
    pub(crate) fn fits(&self, ports: &Mask, floor: usize) -> bool {
        match self.place {
            Place::At(_) => !self.pick(ports, self.most, 0).is_empty(),
            _ => ports.has_run(self.run(floor)),
        }
    }

    /// The longest run of ports that fit.
    pub(crate) fn longest(&self, ports: &Mask) -> usize {
        match self.place {
            Place::At(_) => self.most,
            _ => ports.longest_run(self.parity),
        }
    }

    /// A run of `count` of these ports, or nothing; `draw` is a random number.
    pub(crate) fn pick(&self, ports: &Mask, count: usize, draw: u32) -> Mask {
        let Place::At(port) = self.place else {
            return ports.pick_run(self.run(count), draw);
        };
        let run = Mask::range(port as usize % PORTS, count);
        if run.count() as usize == count && run.without(ports).is_empty() {
            run
        } else {
            Mask::EMPTY
        }
    }
}

/// How hard to search.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Effort {
    /// A bounded number of blocks, for the whole of what is wished for: it can be departed from.
    Little,
    /// Until it is certain that there is none.
    All,
}

/// What became of a search.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// So many consecutive ports were leased.
    Had(usize),
    /// There was no such run; nothing is said about single ports.
    NoRun,
    /// No block there could ever have such a run.
    Never,
    /// Not a single port of the places searched was leasable.
    Full,
}

/// A refusal that stands until something becomes leasable or a slice passes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SetRefusal {
    moment: Refusal,
    least: usize,
    parity: Option<Parity>,
    outcome: Outcome,
}

impl SetRefusal {
    /// Whether it says that this cannot be had either.
    fn covers(&self, sought: &Sought, now: Refusal) -> bool {
        self.moment == now
            && self.least <= sought.least
            && (self.parity.is_none() || self.parity == sought.parity)
    }
}

/// A block with a run that was seen.
#[derive(Clone, Copy, Debug)]
struct Spot {
    page: NonNull<Page>,
    block: usize,
    /// The ports of it that may be taken.
    wanted: Mask,
}

/// One search: where, for what, and what it has seen.
pub(crate) struct Search<'s> {
    pub(crate) pool: &'s PoolLayout,
    pub(crate) purpose: Purpose,
    /// The one address to search.
    page: Option<&'s Page>,
    /// On whose behalf, in a pool that shares its blocks out.
    class: ClassNumber,
    regions: [&'s [Arc<Region>]; 2],
    /// Where the run may lie.
    blocks: BlockSet,
    pub(crate) sought: Sought,
    effort: Effort,
    draw: u32,
    /// The longest run shorter than the most and no shorter than the least, and where it is.
    best: Option<(usize, Spot)>,
    /// Whether any port was leasable.
    any: bool,
}

impl<'s> Search<'s> {
    /// All of a pool.
    pub(crate) fn pool(pool: &'s PoolLayout, purpose: Purpose, sought: Sought) -> Self {
        let [v4, v6] = &pool.regions[purpose.protocol.as_index()];
        let slice = |regions: &'s Vec<Arc<Region>>, family| {
            let wanted = purpose.family.is_none_or(|which| which == family);
            if wanted { regions.as_slice() } else { &[] }
        };
        Search {
            pool,
            purpose,
            page: None,
            class: purpose.claimant.class,
            regions: [slice(v4, Family::V4), slice(v6, Family::V6)],
            blocks: sought.place.blocks(),
            sought,
            effort: Effort::Little,
            draw: 0,
            best: None,
            any: false,
        }
    }

    /// One open address of a pool.
    pub(crate) fn address(
        pool: &'s PoolLayout,
        purpose: Purpose,
        sought: Sought,
        page: &'s Page,
        class: &'s Class,
    ) -> Self {
        let regions: [&[Arc<Region>]; 2] = [&class.regions, &[]];
        Search {
            regions,
            page: Some(page),
            ..Search::pool(pool, purpose, sought)
        }
    }

    fn regions(&self) -> impl Iterator<Item = &'s Arc<Region>> + use<'s> {
        let pool = self.pool.id;
        let ours = move |region: &&Arc<Region>| region.spec.pools.iter().any(|&(id, _)| id == pool);
        self.regions.into_iter().flatten().filter(ours)
    }

    /// The class of a port, where the pool gives out ports of both.
    fn class_of(&self, port: u16) -> Place {
        let has = |port: u16| {
            let class = Place::ClassOf(port).blocks();
            let mut regions = self.regions();
            regions.any(|region| !region.blocks.and(&class).is_empty())
        };
        if has(0) && has(UNPRIVILEGED) {
            Place::ClassOf(port)
        } else {
            Place::Anywhere
        }
    }

    /// The blocks of a region in which the run may lie.
    fn blocks(&self, region: &Region) -> BlockSet {
        region.blocks.and(&self.blocks)
    }

    /// The longest run that a region can ever serve, as far as it is wished for.
    fn reach(&self, region: &Region) -> usize {
        let sought = self.sought;
        let blocks = self.blocks(region);
        let ports = || blocks.iter().map(|block| region.mask(self.pool.id, block));
        if ports().any(|ports| sought.fits(&ports, sought.most)) {
            return sought.most;
        }
        let short = ports().filter(|ports| sought.fits(ports, sought.least));
        short.map(|ports| sought.longest(&ports)).max().unwrap_or(0)
    }

    /// The length of the longest run that is shorter than the most, or zero.
    fn best_len(&self) -> usize {
        self.best.map_or(0, |(len, _)| len)
    }

    /// Goes on for another run.
    pub(crate) fn seek(&mut self, sought: Sought) {
        self.sought = sought;
        self.blocks = sought.place.blocks();
        self.best = None;
    }

    /// Whether refusals of this search are worth remembering.
    fn is_general(&self) -> bool {
        self.page.is_none() && self.sought.place == Place::Anywhere
    }
}

/// Where a walk over hinted blocks goes on, and how far it may go.
struct Walk {
    /// The position of the address to begin with; where the last walk found something.
    cursor: usize,
    /// The block to begin with.
    spin: usize,
    /// How many addresses it may look at.
    budget: usize,
}

impl Search<'_> {
    /// Offers the blocks of a region with a hint to `visit` until it says that it is done.
    fn walk_hinted(
        &mut self,
        region: &Region,
        hint: Hint,
        walk: &mut Walk,
        mut visit: impl FnMut(&mut Self, &Page, usize) -> bool,
    ) -> bool {
        let blocks = self.blocks(region);
        let spin = walk.spin;
        let class = if hint.is_common() { 0 } else { self.class };
        let tree = region.tree(class);
        let mut offer = |search: &mut Self, page: &Page| {
            let mut hinted = page.hinted_of(class, hint, &blocks).iter_from(spin);
            hinted.any(|block| visit(search, page, block))
        };
        if let Some(page) = self.page {
            return offer(self, page);
        }
        let start = walk.cursor;
        for (low, high) in [(start, usize::MAX), (0, start)] {
            let mut from = low;
            while let Some(position) = tree.next(hint, from).filter(|&next| next < high) {
                if walk.budget == 0 {
                    return false;
                }
                walk.budget -= 1;
                if let Some(page) = region.record(position).and_then(|record| record.page()) {
                    if offer(self, page) {
                        walk.cursor = position;
                        return true;
                    }
                    if class != 0 {
                        region.forget(class, hint, position, page);
                    }
                }
                from = position + 1;
            }
        }
        false
    }

    /// Offers every block of a region to `visit`, whatever the hints say, until it is done.
    fn walk_all(
        &mut self,
        region: &Region,
        mut visit: impl FnMut(&mut Self, &Page, usize) -> bool,
    ) -> bool {
        let blocks = self.blocks(region);
        let mut offer =
            |search: &mut Self, page: &Page| blocks.iter().any(|block| visit(search, page, block));
        if let Some(page) = self.page {
            return offer(self, page);
        }
        let records = (0..region.seats()).filter_map(|position| region.record(position));
        let mut pages = records.filter_map(|record| record.page());
        pages.any(|page| offer(self, page))
    }
}
