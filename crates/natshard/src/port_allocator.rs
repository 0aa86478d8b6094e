//! The owner-only half of a heating block.
//!
//! ```text
//!   PortAllocator (one shard's own)            Page (shared)
//!   page, block, first port, len, tags?  ----> block.state = Heating(shard)
//!        |                                     block.bits  = 0 for each port taken
//!        v
//!   Tray (written by the shard, read by the census)
//!   order: [17, 203, 4, ...]   issued: 2
//! ```

use std::ptr::NonNull;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

use crate::block::{Mask, PORTS};
use crate::config::PortOrder;
use crate::id::PoolId;
use crate::lease::Lease;
use crate::page::Page;
use crate::space::Record;
use crate::sync::{Counter, Link, Small};

/// The unissued ports of one heating block: written by its shard alone, read by the census.
#[derive(Debug)]
pub struct Tray {
    page: Link<Page>,
    block: Small,
    len: Counter,
    issued: Counter,
    pool: Counter,
    order: [Small; PORTS],
}

impl Default for Tray {
    fn default() -> Self {
        Tray {
            page: Link::default(),
            block: Small::default(),
            len: Counter::default(),
            issued: Counter::default(),
            pool: Counter::default(),
            order: std::array::from_fn(|_| Small::default()),
        }
    }
}

impl Tray {
    /// The block and its unissued ports, if a block is being heated here.
    pub(crate) fn unissued(&self) -> Option<(*const Page, usize, Mask)> {
        let page = self.page.get();
        if page.is_null() {
            return None;
        }
        let ports = self.issued.get() as usize..self.len.get() as usize;
        let ports = ports
            .map(|place| self.order[place].get() as usize)
            .collect();
        Some((page, self.block.get() as usize, ports))
    }

    /// The pool leased for, and how many ports were issued since the block was taken on.
    pub(crate) fn issued(&self) -> Option<(PoolId, u64)> {
        let pool = PoolId(self.pool.get() as u16);
        (!self.page.get().is_null()).then(|| (pool, self.issued.get()))
    }
}

/// A block that a shard owns, and what it took of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found<'a> {
    pub(crate) page: &'a Page,
    pub(crate) block: usize,
    pub(crate) taken: Mask,
    /// Whether it was reheated, so that tags matter.
    pub(crate) mixed: bool,
    pub(crate) pool: PoolId,
    pub(crate) flags: u8,
}

/// One shard's private allocator over its current heating block. Allocation is a pop.
#[derive(Debug)]
pub struct PortAllocator {
    page: Option<NonNull<Page>>,
    tray: NonNull<Tray>,
    block: u8,
    /// Whether tags have to be looked up: the block was reheated.
    mixed: bool,
    flags: u8,
    /// Who can call back the block that it heats.
    pub(crate) bell: u64,
    /// Where searches of this allocator's pool go on.
    pub(crate) cursor: usize,
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
            page: None,
            tray: NonNull::from(tray),
            block: 0,
            mixed: false,
            flags: 0,
            bell: 0,
            cursor: 0,
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
            mixed,
            pool,
            flags,
        } = found;
        debug_assert!(self.page.is_none());
        let mut ports = [0u8; PORTS];
        let mut len = 0;
        for port in taken.iter() {
            ports[len] = port as u8;
            len += 1;
        }
        if order == PortOrder::Random {
            shuffle(&mut ports[..len], random);
        }
        let tray = self.tray();
        for (place, &port) in tray.order.iter().zip(&ports[..len]) {
            place.set(port);
        }
        tray.len.set(len as u64);
        tray.issued.set(0);
        tray.block.set(block as u8);
        tray.pool.set(u64::from(pool.0));
        tray.page.set(std::ptr::from_ref(page).cast_mut());
        self.page = Some(NonNull::from(page));
        self.block = block as u8;
        self.mixed = mixed;
        self.flags = flags;
    }

    /// The next port of the order, if one is left. Touches only memory this shard alone writes.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Lease> {
        // SAFETY: as in `block`.
        let page = unsafe { self.page?.as_ref() };
        let tray = self.tray();
        let issued = tray.issued.get();
        if issued == tray.len.get() {
            return None;
        }
        let port = tray.order[issued as usize].get() as usize;
        tray.issued.set(issued + 1);
        Some(self.lease(page, port))
    }

    #[inline]
    fn lease(&self, page: &Page, port: usize) -> Lease {
        let tag = if self.mixed {
            page.block(self.block as usize).tag(port)
        } else {
            0
        };
        Lease::new(
            page,
            (self.block as usize * PORTS + port) as u16,
            tag,
            self.flags,
        )
    }

    /// Whether every port taken was issued.
    #[inline]
    pub(crate) fn is_spent(&self) -> bool {
        let tray = self.tray();
        tray.issued.get() == tray.len.get()
    }

    /// The next port of the order for which `wish` holds, out of turn.
    pub(crate) fn pop_where(&mut self, wish: impl Fn(usize) -> bool) -> Option<Lease> {
        let (page, _) = self.block()?;
        let tray = self.tray();
        let issued = tray.issued.get() as usize;
        let place = (issued..tray.len.get() as usize)
            .find(|&place| wish(tray.order[place].get() as usize))?;
        let port = tray.order[place].get();
        tray.order[place].set(tray.order[issued].get());
        tray.order[issued].set(port);
        tray.issued.set(issued as u64 + 1);
        Some(self.lease(page, port as usize))
    }

    /// Marks ports of those not issued yet as issued, out of turn; the caller leases them.
    pub(crate) fn issue(&mut self, ports: &Mask) {
        let tray = self.tray();
        let first = tray.issued.get() as usize;
        let mut issued = first;
        for place in first..tray.len.get() as usize {
            let port = tray.order[place].get();
            if ports.contains(port as usize) {
                tray.order[place].set(tray.order[issued].get());
                tray.order[issued].set(port);
                issued += 1;
            }
        }
        tray.issued.set(issued as u64);
    }

    /// The ports taken and not issued.
    pub(crate) fn unissued(&self) -> Mask {
        self.tray()
            .unissued()
            .map_or(Mask::EMPTY, |(_, _, ports)| ports)
    }

    /// Lets go of the block: it, its unissued ports, the pool, and how many were issued.
    pub(crate) fn unload(&mut self) -> Option<(NonNull<Page>, usize, Mask, PoolId, u64)> {
        let unissued = self.unissued();
        let page = self.page.take()?;
        let tray = self.tray();
        tray.page.set(std::ptr::null_mut());
        let pool = PoolId(tray.pool.get() as u16);
        let issued = tray.issued.get();
        // Empty-handed is spent.
        tray.len.set(0);
        tray.issued.set(0);
        Some((page, self.block as usize, unissued, pool, issued))
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
mod tests {
    use super::*;
    use rand_chacha::rand_core::SeedableRng;

    #[test]
    fn a_shuffle_is_a_permutation_and_about_even() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut first = [0u32; 256];
        for _ in 0..25_600 {
            let mut items: [u8; 256] = std::array::from_fn(|index| index as u8);
            shuffle(&mut items, &mut random);
            first[items[0] as usize] += 1;
            let mut sorted = items;
            sorted.sort_unstable();
            assert_eq!(sorted, std::array::from_fn(|index| index as u8));
        }
        // 100 expected, standard deviation 10.
        assert!(
            first.iter().all(|&count| (45..=160).contains(&count)),
            "{first:?}"
        );
    }
}
