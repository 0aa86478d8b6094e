//! The owner-only half of a heating block.
//!
//! ```text
//!   PortAllocator (one shard's own)            Page (shared)
//!   page, block, first port, tags?       ----> block.state = Heating(shard)
//!        |                                     byte of each port taken = held
//!        v
//!   Tray (written by the shard, read by the census)
//!   order: [17, 203, 4, ...]   left: 2   the next one is 203
//! ```

use std::ptr::NonNull;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

use crate::block::{Mask, PORTS};
use crate::config::PortOrder;
use crate::id::PoolId;
use crate::lease::{Lease, LeaseWord};
use crate::page::Page;
use crate::region::Lap;
use crate::space::Record;
use crate::sync::{Counter, Link, Row, Small};

/// The unissued ports of one heating block: written by its shard alone, read by the census; on
/// cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Tray {
    page: Link<Page>,
    block: Small,
    /// How many ports were taken.
    len: Counter,
    /// How many of them were not issued yet: the first ones of `order`, of which the last is next.
    left: Counter,
    pool: Counter,
    order: Row<PORTS>,
}

impl Tray {
    /// The block and its unissued ports, if a block is being heated here.
    pub(crate) fn unissued(&self) -> Option<(*const Page, usize, Mask)> {
        let page = self.page.get();
        if page.is_null() {
            return None;
        }
        let ports = 0..self.left.get() as usize;
        let ports = ports.map(|place| self.order.get(place) as usize).collect();
        Some((page, self.block.get() as usize, ports))
    }

    /// The ports that are among the unissued ones twice: none, if all is well.
    pub(crate) fn repeated(&self) -> Mask {
        let (mut seen, mut repeated) = (Mask::EMPTY, Mask::EMPTY);
        for place in 0..self.left.get() as usize {
            let port = self.order.get(place) as usize;
            if seen.contains(port) {
                repeated.insert(port);
            }
            seen.insert(port);
        }
        repeated
    }

    /// The pool leased for, and how many ports were issued since the block was taken on.
    pub(crate) fn issued(&self) -> Option<(PoolId, u64)> {
        let pool = PoolId(self.pool.get() as u16);
        let issued = self.len.get().saturating_sub(self.left.get());
        (!self.page.get().is_null()).then_some((pool, issued))
    }
}

/// A block that a shard owns, and what it took of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found<'a> {
    pub(crate) page: &'a Page,
    pub(crate) block: usize,
    pub(crate) taken: Mask,
    /// If it was reheated, so that tags matter: what else of it was nobody's.
    pub(crate) resting: Option<Mask>,
    pub(crate) pool: PoolId,
    pub(crate) flags: u8,
    /// The slice in which it was taken.
    pub(crate) slice: u64,
}

/// What an allocator had of a block that it let go of.
#[derive(Debug)]
pub(crate) struct Unloaded {
    pub(crate) page: NonNull<Page>,
    pub(crate) block: usize,
    pub(crate) unissued: Mask,
    pub(crate) pool: PoolId,
    pub(crate) issued: u64,
    /// The slice in which it was taken.
    pub(crate) since: u64,
    /// Whether every port of it was, from free.
    pub(crate) whole: bool,
    /// What else of it was nobody's then.
    pub(crate) resting: Mask,
}

/// One shard's private allocator over its current heating block. Allocation is a pop.
#[derive(Debug)]
pub struct PortAllocator {
    tray: NonNull<Tray>,
    page: Option<NonNull<Page>>,
    /// The lease of the block's first port; of a reheated block without its tag.
    first: LeaseWord,
    /// Whether tags have to be looked up: the block was reheated.
    mixed: bool,
    block: u8,
    /// Who can call back the block that it heats.
    pub(crate) bell: u64,
    /// Where searches of this allocator's pool go on.
    pub(crate) lap: Lap,
    /// The position of the address that gave a free block last, where shards stay at theirs, and
    /// from which of its blocks on the next one is taken.
    pub(crate) stays_at: Option<(usize, usize)>,
    /// The slice in which the block was taken on.
    since: u64,
    /// Whether every port of it was, from free.
    whole: bool,
    /// What else of it was nobody's then.
    resting: Mask,
    /// The block it gave back last with ports unissued, by its address's record, which lives as
    /// long as the engine.
    pub(crate) left: Option<(NonNull<Record>, usize)>,
}

// SAFETY: the allocator is the one writer of its tray, which lives as long as the engine its
// shard keeps alive; the page lives as long as the shard heats one of its blocks.
unsafe impl Send for PortAllocator {}

impl PortAllocator {
    /// An allocator without a block. `tray` outlives it and has no other writer.
    pub(crate) fn new(tray: &Tray) -> Self {
        PortAllocator {
            tray: NonNull::from(tray),
            page: None,
            first: LeaseWord::default(),
            mixed: false,
            block: 0,
            bell: 0,
            lap: Lap::default(),
            stays_at: None,
            since: 0,
            whole: false,
            resting: Mask::EMPTY,
            left: None,
        }
    }

    #[inline]
    fn tray(&self) -> &Tray {
        // SAFETY: by the contract of `new`.
        unsafe { self.tray.as_ref() }
    }

    /// The page and number of the block being heated.
    #[inline]
    pub(crate) fn block(&self) -> Option<(&Page, usize)> {
        // SAFETY: the block is heated by this shard, so its page cannot be closed.
        self.page
            .map(|page| (unsafe { page.as_ref() }, self.block as usize))
    }

    /// Takes on a block whose ports the shard just took.
    pub(crate) fn load(&mut self, found: &Found<'_>, order: PortOrder, random: &mut ChaCha8Rng) {
        let &Found {
            page,
            block,
            taken,
            resting,
            pool,
            flags,
            slice,
        } = found;
        debug_assert!(self.page.is_none());
        let whole = taken == Mask::FULL;
        let mut ports = [0u8; PORTS];
        let len = if whole { PORTS } else { taken.list(&mut ports) };
        match (order, whole) {
            (PortOrder::Random | PortOrder::Hardened, true) => deal(&mut ports, random),
            (PortOrder::Random | PortOrder::Hardened, false) => {
                shuffle(&mut ports[..len], random);
            }
            (PortOrder::Linear, true) => {
                ports = std::array::from_fn(|place| (PORTS - 1 - place) as u8);
            }
            (PortOrder::Linear, false) => ports[..len].reverse(),
        }
        let tray = self.tray();
        tray.order.write(&ports);
        tray.len.set(len as u64);
        tray.left.set(len as u64);
        tray.block.set(block as u8);
        tray.pool.set(u64::from(pool.0));
        tray.page.set(std::ptr::from_ref(page).cast_mut());
        self.page = Some(NonNull::from(page));
        self.block = block as u8;
        self.mixed = resting.is_some();
        self.first = LeaseWord::new((block * PORTS) as u16, 0, flags, page.ground.ordinal);
        self.since = slice;
        self.whole = whole && resting.is_none();
        self.resting = resting.unwrap_or(Mask::EMPTY);
    }

    /// The next port of the order, if one is left, and whether it was the last. Touches only
    /// memory this shard alone writes.
    pub(crate) fn pop(&mut self) -> Option<(Lease, bool)> {
        let (page, _) = self.block()?;
        let tray = self.tray();
        let left = tray.left.get().checked_sub(1)?;
        let port = tray.order.get(left as usize) as usize;
        tray.left.set(left);
        Some((self.lease(page, port), left == 0))
    }

    /// What it takes to pop for requests of this slot.
    pub(crate) fn hot(&self, slot: u32) -> Option<Hot> {
        Some(Hot {
            slot: if self.mixed { Hot::NOBODY } else { slot },
            reheated: if self.mixed { slot } else { Hot::NOBODY },
            block: self.block,
            tray: self.tray,
            page: self.page?,
            first: self.first,
        })
    }

    fn lease(&self, page: &Page, port: usize) -> Lease {
        lease(page, self.first, port, self.mixed, self.block)
    }

    /// Ports of the block were taken that were nobody's when it was taken on.
    pub(crate) fn has_taken(&mut self, ports: &Mask) {
        self.resting = self.resting.without(ports);
    }

    /// Whether every port taken was issued.
    #[inline]
    pub(crate) fn is_spent(&self) -> bool {
        let tray = self.tray();
        tray.left.get() == 0
    }

    /// How many ports are in hand.
    #[inline]
    pub(crate) fn left(&self) -> usize {
        self.tray().left.get() as usize
    }

    /// The places of the ports not issued yet, the next one first.
    fn places(&self) -> std::iter::Rev<std::ops::Range<usize>> {
        (0..self.tray().left.get() as usize).rev()
    }

    /// The next port of the order for which `wish` holds, out of turn.
    pub(crate) fn pop_where(&mut self, wish: impl Fn(usize) -> bool) -> Option<Lease> {
        let (page, _) = self.block()?;
        let order = &self.tray().order;
        let next = self.places().next()?;
        let place = self
            .places()
            .find(|&place| wish(order.get(place) as usize))?;
        let port = order.get(place);
        order.set(place, order.get(next));
        order.set(next, port);
        self.tray().left.set(next as u64);
        Some(self.lease(page, port as usize))
    }

    /// Marks ports of those not issued yet as issued, out of turn; the caller leases them.
    pub(crate) fn issue(&mut self, ports: &Mask) {
        let order = &self.tray().order;
        let mut left = self.tray().left.get() as usize;
        for place in self.places() {
            let port = order.get(place);
            if ports.contains(port as usize) {
                left -= 1;
                order.set(place, order.get(left));
                order.set(left, port);
            }
        }
        self.tray().left.set(left as u64);
    }

    /// The ports taken and not issued.
    pub(crate) fn unissued(&self) -> Mask {
        self.tray()
            .unissued()
            .map_or(Mask::EMPTY, |(_, _, ports)| ports)
    }

    /// Has one place of the order hold what another one holds.
    #[cfg(test)]
    pub(crate) fn repeat(&self, place: usize, of: usize) {
        let order = &self.tray().order;
        order.set(place, order.get(of));
    }

    /// Lets go of the block.
    pub(crate) fn unload(&mut self) -> Option<Unloaded> {
        let unissued = self.unissued();
        let page = self.page.take()?;
        let tray = self.tray();
        tray.page.set(std::ptr::null_mut());
        let pool = PoolId(tray.pool.get() as u16);
        let issued = tray.len.get() - tray.left.get();
        // Empty-handed is spent.
        tray.len.set(0);
        tray.left.set(0);
        Some(Unloaded {
            page,
            block: self.block as usize,
            unissued,
            pool,
            issued,
            since: self.since,
            whole: self.whole,
            resting: self.resting,
        })
    }
}

/// The lease of a port of a block, of which `first` is that of its first port without a tag; `mixed`:
/// it was reheated, and the port's tag has to be looked up.
#[inline]
fn lease(page: &Page, first: LeaseWord, port: usize, mixed: bool, block: u8) -> Lease {
    let mut word = first.with_port(port);
    if mixed {
        word = word.with_tag(page.block(block.into()).tag(port));
    }
    Lease::of_word(page, word)
}

/// A copy of what an allocator's pop needs, for the fast path: valid as long as the allocator heats
/// the block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hot {
    tray: NonNull<Tray>,
    page: NonNull<Page>,
    first: LeaseWord,
    /// The slot of the requests it serves, if their ports have no tags yet.
    slot: u32,
    /// The same if they have, for the block was reheated.
    reheated: u32,
    block: u8,
}

// SAFETY: as for the allocator.
unsafe impl Send for Hot {}

impl Hot {
    /// The slot of no request.
    const NOBODY: u32 = u32::MAX - 1;

    /// Serves nobody.
    pub(crate) const NONE: Hot = Hot {
        tray: NonNull::dangling(),
        page: NonNull::dangling(),
        first: LeaseWord::new(0, 0, 0, 0),
        slot: Hot::NOBODY,
        reheated: Hot::NOBODY,
        block: 0,
    };

    /// Tray and page of one that serves somebody.
    ///
    /// # Safety
    ///
    /// It has the slot of a request, and so was made by [`PortAllocator::hot`]. Whoever lets go of
    /// a block forgets those that were made while it was heated.
    #[inline]
    unsafe fn parts(&self) -> (&Tray, &Page) {
        // SAFETY: tray and page live while the allocator heats the block.
        unsafe { (self.tray.as_ref(), self.page.as_ref()) }
    }

    /// The next port of the order for a request of that slot. Not the last one: to issue that, and
    /// so spend the block, is not for the fast path.
    #[inline]
    pub(crate) fn pop(&self, slot: u32) -> Option<Lease> {
        if slot != self.slot {
            return None;
        }
        // SAFETY: its slot is that of a request.
        let (tray, page) = unsafe { self.parts() };
        Some(Lease::of_word(page, self.first.with_port(next(tray)?)))
    }

    /// The same from a reheated block.
    pub(crate) fn pop_reheated(&self, slot: u32) -> Option<Lease> {
        if slot != self.reheated {
            return None;
        }
        // SAFETY: its slot is that of a request.
        let (tray, page) = unsafe { self.parts() };
        Some(lease(page, self.first, next(tray)?, true, self.block))
    }

    /// The next ports of the order, up to so many and without the last one, for requests of that
    /// slot; says how many they were.
    #[inline]
    pub(crate) fn pop_many(&self, slot: u32, count: usize, into: &mut Vec<Lease>) -> usize {
        if slot != self.slot && slot != self.reheated {
            return 0;
        }
        // SAFETY: as in `pop`.
        let (tray, page) = unsafe { self.parts() };
        let left = tray.left.get() as usize;
        let count = count.min(left.saturating_sub(1));
        let places = (left - count..left).rev();
        let mixed = slot == self.reheated;
        into.extend(places.map(|place| {
            let port = tray.order.get(place % PORTS);
            lease(page, self.first, port.into(), mixed, self.block)
        }));
        tray.left.set((left - count) as u64);
        count
    }
}

/// Issues the next port of the order, unless it is the last one.
#[inline]
fn next(tray: &Tray) -> Option<usize> {
    let left = tray.left.get();
    if left <= 1 {
        return None;
    }
    tray.left.set(left - 1);
    Some(tray.order.get((left - 1) as usize % PORTS).into())
}

/// How many places are drawn from one random word.
const PER_WORD: usize = 6;

/// Puts every port of a block there in random order: Fisher-Yates from the inside out. One word of 64 random
/// bits is drawn from for several places in turn (Brackett-Rozinsky and Lemire, "Batched ranged
/// random integer generation", 2024): multiplied by the number of places, its upper half is a
/// place, and its lower half is left for the next. Without their rejections the bias of a draw is
/// at most 2^-16 of its probability: there are at most 2^48 ways to draw six.
fn deal(ports: &mut [u8; PORTS], random: &mut ChaCha8Rng) {
    let mut words = [0u8; PORTS.div_ceil(PER_WORD) * 8];
    random.fill_bytes(&mut words);
    let mut words = words.chunks_exact(8);
    let mut word = || words.next().and_then(|word| word.try_into().ok());
    let mut insert = |port: usize, left: &mut u64| {
        let product = u128::from(*left) * u128::from(port as u64 + 1);
        *left = product as u64;
        let place = (product >> 64) as usize;
        ports[port] = ports[place % PORTS];
        ports[place % PORTS] = port as u8;
    };
    let whole = PORTS / PER_WORD * PER_WORD;
    for first in (0..whole).step_by(PER_WORD) {
        let mut left = word().map_or(0, u64::from_le_bytes);
        for step in 0..PER_WORD {
            insert(first + step, &mut left);
        }
    }
    let mut left = word().map_or(0, u64::from_le_bytes);
    for port in whole..PORTS {
        insert(port, &mut left);
    }
}

/// Fisher-Yates with 16-bit draws; the bias of a draw is below 2^-8 of its probability.
pub(crate) fn shuffle<T>(items: &mut [T], random: &mut ChaCha8Rng) {
    let mut draws = [0u8; 2 * PORTS];
    for chunk_end in (1..items.len()).rev() {
        let used = (items.len() - 1 - chunk_end) % PORTS;
        if used == 0 {
            let wanted = chunk_end.min(PORTS) * 2;
            random.fill_bytes(&mut draws[..wanted]);
        }
        let draw = u16::from_le_bytes([draws[2 * used], draws[2 * used + 1]]);
        let other = (u32::from(draw) * (chunk_end as u32 + 1)) >> 16;
        items.swap(chunk_end, other as usize);
    }
}

#[cfg(test)]
mod tests;
