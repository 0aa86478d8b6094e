//! Allocators of single addresses, for paired pooling (RFC 4787 REQ-2).

use std::net::IpAddr;

use crate::hints::Hint;
use crate::layout::{Class, PoolLayout};
use crate::page::Page;
use crate::worker::{Purpose, Work};

/// Allocators for single addresses that a shard keeps at once; past that the oldest gives its
/// ports back.
const ADDRESS_ALLOCATORS: usize = 256;

impl Work<'_> {
    /// The allocator of one address, loaded; `None` when the address has no port left.
    pub(crate) fn address_allocator(
        &mut self,
        purpose: Purpose,
        pool: &PoolLayout,
        page: &Page,
        class: &Class,
    ) -> Option<usize> {
        let allocator = self.address_allocator_index(purpose, page.address);
        if !self.worker.allocators[allocator].is_spent() {
            return Some(allocator);
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
        self.load_at_address(allocator, pool, page, class)
            .then_some(allocator)
    }

    fn load_at_address(
        &mut self,
        allocator: usize,
        pool: &PoolLayout,
        page: &Page,
        class: &Class,
    ) -> bool {
        let spin = self.spin();
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

    fn address_allocator_index(&mut self, purpose: Purpose, address: IpAddr) -> usize {
        if let Some(&index) = self.worker.by_address.get(&(purpose, address)) {
            return index;
        }
        let worker = &mut *self.worker;
        let index = if worker.address_ring.len() < ADDRESS_ALLOCATORS {
            worker.address_ring.push((purpose, address));
            worker.new_allocator(self.shard)
        } else {
            let hand = worker.address_hand;
            worker.address_hand = (hand + 1) % ADDRESS_ALLOCATORS;
            let oldest = std::mem::replace(&mut worker.address_ring[hand], (purpose, address));
            let index = worker.by_address.remove(&oldest);
            match index {
                Some(index) => {
                    self.surrender(index);
                    index
                }
                None => self.worker.new_allocator(self.shard),
            }
        };
        self.worker.by_address.insert((purpose, address), index);
        index
    }
}
