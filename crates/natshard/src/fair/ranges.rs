//! Deterministic ranges at work (RFC 7422).

use std::sync::Arc;

use rand_chacha::rand_core::Rng;

use crate::block::{Mask, PORTS, Phase};
use crate::error::AllocError;
use crate::fair::{Claimed, DeterministicMap};
use crate::layout::{Layout, PoolLayout};
use crate::lease::Lease;
use crate::page::Page;
use crate::protocol::Protocol;
use crate::request::{Family, Request};
use crate::worker::Work;

impl PoolLayout {
    /// Those of `mask`, leasable ports of a block, that port blocks can be made of.
    pub(crate) fn dynamic(&self, protocol: Protocol, block: usize, mask: Mask) -> Mask {
        if self.policy.blocks.is_none() {
            return Mask::EMPTY;
        }
        match &self.policy.ranges {
            None => mask,
            Some(ranges) => mask.and(&within(block, &ranges.overflow(protocol))),
        }
    }
}

/// The ports of a block that lie in a range.
pub(super) fn within(block: usize, range: &std::ops::RangeInclusive<u16>) -> Mask {
    let base = block * PORTS;
    let (first, last) = (usize::from(*range.start()), usize::from(*range.end()));
    if range.is_empty() || last < base || first >= base + PORTS {
        return Mask::EMPTY;
    }
    let (first, last) = (first.max(base), last.min(base + PORTS - 1));
    Mask::range(first - base, last - first + 1)
}

impl Work<'_> {
    /// A port of the subscriber's own range. `SubscriberQuota` when it has none left.
    pub(super) fn allocate_in_range(
        &mut self,
        layout: &Arc<Layout>,
        pool: &PoolLayout,
        request: &Request,
        ranges: &DeterministicMap,
        subscriber: u64,
    ) -> Result<Lease, AllocError> {
        let (address, range) = ranges
            .range(subscriber, request.protocol)
            .ok_or(AllocError::SubscriberMissing)?;
        if request
            .family
            .is_some_and(|family| family != Family::of(address))
        {
            return Err(AllocError::NoSuchFamily);
        }
        let (page, class) = self.page_of(layout, pool, request.protocol, address)?;
        let (first, last) = (
            usize::from(*range.start()) / PORTS,
            usize::from(*range.end()) / PORTS,
        );
        let blocks = last - first + 1;
        let start = self.worker.random.next_u32() as usize % blocks;
        for wish in request.wishes() {
            for step in 0..blocks {
                let block = first + (start + step) % blocks;
                let own = class.mask(pool.id, block).and(&within(block, &range));
                let wanted = own.and(&wish.ports(block));
                if let Some(port) = self.take_in_range(page, pool, block, &wanted) {
                    self.shard
                        .stats
                        .wishes_departed
                        .bump(u64::from(request.departs(wish)));
                    return Ok(self.assigned_lease(page, pool, block, port));
                }
            }
        }
        Err(AllocError::SubscriberQuota)
    }

    fn take_in_range(
        &mut self,
        page: &Page,
        pool: &PoolLayout,
        block: usize,
        wanted: &Mask,
    ) -> Option<usize> {
        if wanted.is_empty() || !self.make_assigned(page, pool, block) {
            return None;
        }
        let here = page.block(block);
        page.before_release(block, self.inner.ground.clock.slice());
        let random = &mut self.worker.random;
        let draw = |below: u32| ((u64::from(random.next_u32()) * u64::from(below)) >> 32) as u32;
        let clock = &self.inner.ground.clock;
        let taken = here.take_shared(self.worker.id, clock, wanted, draw)?;
        // Condemned meanwhile: it waits for this burst, and stays.
        if !here.keep_assigned() {
            here.put_back_taken(taken);
            return None;
        }
        Some(taken.port)
    }

    /// Sees to it that a block is assigned and stays so during this burst; `false` when it serves
    /// something else.
    pub(super) fn make_assigned(&mut self, page: &Page, pool: &PoolLayout, block: usize) -> bool {
        let here = page.block(block);
        while !here.keep_assigned() {
            if here.state().phase() != Phase::Free {
                return false;
            }
            let size = pool.policy.blocks.map_or(64, |blocks| blocks.size);
            let ports = pool.dynamic(page.protocol, block, Mask::FULL);
            if self.convert(pool, page, block, size, &ports) == Claimed::Short {
                return false;
            }
        }
        true
    }
}
