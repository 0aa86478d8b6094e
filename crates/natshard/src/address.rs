//! Allocators of single addresses, for paired pooling (RFC 4787 REQ-2).
//!
//! A NAT that pairs asks for an address with nearly every new mapping, so the allocators of the
//! addresses asked for lately are found by one look at a small table of the shard's own.

use std::net::IpAddr;

use crate::hints::Hint;
use crate::layout::{Class, PoolLayout};
use crate::lease::Lease;
use crate::page::Page;
use crate::request::{Family, Request, slot};
use crate::worker::{Purpose, Work, Worker};

/// Allocators for single addresses that a shard keeps at once; past that the oldest gives its
/// ports back.
const MOST: usize = 256;
const CHAINS: usize = 2 * MOST;

/// What an allocator of a single address serves: the [`Purpose::index`] of the requests, of either
/// family, and the address.
type Wanted = (u32, IpAddr);

#[derive(Debug)]
struct Entry {
    wanted: Wanted,
    allocator: usize,
    /// The next of its chain, plus one.
    next: u16,
    /// When the address was last searched in vain.
    refused: Option<Refused>,
}

/// What must not have changed at an address for a search in vain to mean that there is nothing,
/// beside what is in this shard's own hands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Refused {
    version: u64,
    slice: u64,
    layout: u64,
}

/// The allocators of single addresses: chains by a hash, and a ring by age.
///
/// Public addresses are the configuration's and the engine's choice, nobody sends them to collide:
/// the hash has no secret.
#[derive(Debug)]
pub(crate) struct AddressBook {
    /// Entries in the order in which they came, around the oldest.
    entries: Vec<Entry>,
    oldest: usize,
    /// The first of each chain, plus one.
    chains: Box<[u16; CHAINS]>,
}

impl AddressBook {
    pub(crate) fn new() -> Self {
        AddressBook {
            entries: Vec::new(),
            oldest: 0,
            chains: Box::new([0; CHAINS]),
        }
    }

    #[inline]
    fn chain((slot, address): &Wanted) -> usize {
        let bits = match address {
            IpAddr::V4(address) => u64::from(address.to_bits()),
            IpAddr::V6(address) => {
                let bits = address.to_bits();
                (bits >> 64) as u64 ^ (bits as u64).rotate_left(32)
            }
        };
        let mixed = (bits ^ u64::from(*slot) << 48).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> (u64::BITS - CHAINS.ilog2())) as usize
    }

    #[inline]
    fn find(&self, wanted: &Wanted) -> Option<usize> {
        Some(self.entries[self.place(wanted)?].allocator)
    }

    /// Which entry it is.
    #[inline]
    fn place(&self, wanted: &Wanted) -> Option<usize> {
        let mut next = self.chains[Self::chain(wanted)];
        while let Some(entry) = self.entries.get(usize::from(next).wrapping_sub(1)) {
            if entry.wanted == *wanted {
                return Some(usize::from(next) - 1);
            }
            next = entry.next;
        }
        None
    }

    /// Forgets the oldest entry, if there is no room for another: its allocator.
    fn make_room(&mut self) -> Option<usize> {
        if self.entries.len() < MOST {
            return None;
        }
        let gone = &self.entries[self.oldest];
        let (chain, after) = (Self::chain(&gone.wanted), gone.next);
        let place = self.oldest as u16 + 1;
        if self.chains[chain] == place {
            self.chains[chain] = after;
        } else if let Some(before) = self.entries.iter_mut().find(|it| it.next == place) {
            before.next = after;
        }
        Some(self.entries[self.oldest].allocator)
    }

    /// Enters an allocator, in the place of the oldest entry if there is no room for another.
    fn enter(&mut self, wanted: Wanted, allocator: usize) -> usize {
        let chain = Self::chain(&wanted);
        let entry = Entry {
            wanted,
            allocator,
            next: self.chains[chain],
            refused: None,
        };
        let place = if self.entries.len() < MOST {
            self.entries.push(entry);
            self.entries.len() - 1
        } else {
            let place = self.oldest;
            self.oldest = (place + 1) % MOST;
            self.entries[place] = entry;
            place
        };
        self.chains[chain] = place as u16 + 1;
        place
    }
}

impl Worker {
    /// The allocator of one address for a purpose, whatever the family that names, if it has been
    /// asked for lately.
    pub(crate) fn address_index(&self, purpose: Purpose, address: IpAddr) -> Option<usize> {
        self.by_address.find(&wanted(purpose, address))
    }

    /// The same for a request that asks for nothing but an address, on nobody's behalf.
    #[inline]
    pub(crate) fn quick_address_index(&self, request: &Request) -> Option<usize> {
        let (address, _) = request.address?;
        let particular = request.near_port.is_some()
            | request.parity.is_some()
            | request.subscriber.is_some()
            | request.tenant.is_some()
            | request.control
            | (request.family.is_some() & (request.family != Some(Family::of(address))))
            | self.tells_leases;
        if particular || self.alarms.is_any() {
            return None;
        }
        let slot = slot(2 * request.pool.as_index(), request.protocol, None);
        self.by_address.find(&(slot as u32, address))
    }
}

fn wanted(purpose: Purpose, address: IpAddr) -> Wanted {
    let purpose = Purpose {
        family: None,
        ..purpose
    };
    (purpose.index() as u32, address)
}

impl Work<'_> {
    /// The next port in hand at the address asked for, for a request that asks for nothing else. A
    /// block in hand was taken on under the layout this shard works by, and for this pool.
    #[inline]
    pub(crate) fn pop_at_address(&mut self, request: &Request) -> Option<Lease> {
        let allocator = self.worker.quick_address_index(request)?;
        self.pop(allocator)
    }

    /// The allocator of one address, loaded; `None` when the address has no port left.
    pub(crate) fn address_allocator(
        &mut self,
        purpose: Purpose,
        pool: &PoolLayout,
        page: &Page,
        class: &Class,
    ) -> Option<usize> {
        let place = self.address_place(purpose, page.address);
        let allocator = self.worker.by_address.entries[place].allocator;
        if !self.worker.allocators[allocator].is_spent() {
            return Some(allocator);
        }
        let slice = self.inner.ground.clock.slice();
        page.record().changes.watch(slice);
        let before = self.address_moment(page, slice);
        let known = self.worker.by_address.entries[place].refused;
        // Without a rest a release announces nothing, nor does a share that is given back.
        let is_told = self.rest() > 0 && pool.sharing.is_none();
        if is_told && known == Some(before) && !self.has_hand_at(page) {
            return None;
        }
        self.surrender(allocator);
        if self.load_at_address(allocator, pool, page, class) {
            return Some(allocator);
        }
        // Ports of this address in this shard's own other hands.
        for other in 0..self.worker.allocators.len() {
            let here = self.worker.allocators[other].block();
            let same = |held: &Page| std::ptr::eq(held, page);
            if here.is_some_and(|(held, block)| same(held) && self.is_ours(pool, page, block)) {
                self.surrender(other);
            }
        }
        if self.load_at_address(allocator, pool, page, class) {
            return Some(allocator);
        }
        if self.address_moment(page, self.inner.ground.clock.slice()) == before {
            self.worker.by_address.entries[place].refused = Some(before);
        }
        None
    }

    fn address_moment(&self, page: &Page, slice: u64) -> Refused {
        Refused {
            version: page.record().changes.counted().get(),
            slice,
            layout: self.layout.version,
        }
    }

    /// Whether a block of an address is in this shard's hands.
    fn has_hand_at(&self, page: &Page) -> bool {
        let hands = self.worker.allocators.iter();
        let mut pages = hands.filter_map(|hand| hand.block());
        pages.any(|(held, _)| std::ptr::eq(held, page))
    }

    fn load_at_address(
        &mut self,
        allocator: usize,
        pool: &PoolLayout,
        page: &Page,
        class: &Class,
    ) -> bool {
        let spin = self.worker.spin();
        let now = self.inner.ground.clock.slice();
        let swept = class
            .regions
            .iter()
            .map(|region| region.swept.get())
            .min()
            .unwrap_or(0);
        let rest = self.rest();
        let hints = [Hint::FREE, Hint::HALF, Hint::RIPE].into_iter();
        for hint in hints.chain(Hint::rested(now, rest, swept)) {
            for region in &class.regions {
                for block in page.hinted(hint, &region.blocks).iter_from(spin) {
                    if self.load(allocator, pool, region, page, block, rest) {
                        return true;
                    }
                }
            }
        }
        false
    }

    fn address_place(&mut self, purpose: Purpose, address: IpAddr) -> usize {
        let wanted = wanted(purpose, address);
        if let Some(place) = self.worker.by_address.place(&wanted) {
            return place;
        }
        let index = match self.worker.by_address.make_room() {
            Some(index) => {
                self.surrender(index);
                index
            }
            None => self.worker.new_allocator(self.shard),
        };
        self.worker.by_address.enter(wanted, index)
    }
}

#[cfg(test)]
mod tests;
