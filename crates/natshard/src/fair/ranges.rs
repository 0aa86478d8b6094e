//! Deterministic ranges at work (RFC 7422).

use std::sync::Arc;

use rand_chacha::rand_core::Rng;

use crate::block::{Mask, PORTS, Phase};
use crate::error::AllocError;
use crate::fair::{Claimed, DeterministicMap};
use crate::hints::BlockSet;
use crate::layout::{Layout, PoolLayout};
use crate::lease::Lease;
use crate::page::Page;
use crate::protocol::Protocol;
use crate::region::Region;
use crate::request::{Family, Request};
use crate::worker::{Work, below};

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

impl PoolLayout {
    /// The blocks of a region that have port blocks.
    pub(crate) fn assignable(&self, region: &Region) -> BlockSet {
        if self.policy.blocks.is_none() {
            return BlockSet::default();
        }
        let protocol = region.space.protocol;
        let Some(ranges) = self.policy.ranges.as_ref() else {
            return region.blocks;
        };
        let overflow = ranges.overflow(protocol);
        let mut blocks = BlockSet::default();
        if overflow.is_empty() {
            return blocks;
        }
        let (first, last) = (
            usize::from(*overflow.start()) / PORTS,
            usize::from(*overflow.end()) / PORTS,
        );
        for block in region
            .blocks
            .iter()
            .filter(|block| (first..=last).contains(block))
        {
            // The first one can be cut by a range, with what is left of it excluded.
            let mask = region.mask(self.id, block);
            if block > first || !self.dynamic(protocol, block, mask).is_empty() {
                blocks.insert(block);
            }
        }
        blocks
    }
}

/// The ports of a block that lie in a range.
pub(super) fn within(block: usize, range: &std::ops::RangeInclusive<u16>) -> Mask {
    let base = block * PORTS;
    let (first, last) = (usize::from(*range.start()), usize::from(*range.end()));
    if range.is_empty() || last < base || first >= base + PORTS {
        return Mask::EMPTY;
    }
    let first = first.max(base);
    Mask::range(first - base, last - first + 1)
}

/// How often a block is looked at that another shard is having assigned at this moment.
const LOOKS: u32 = 64;

impl Work<'_> {
    /// A port of the subscriber's own range. `SubscriberQuota` when it has none left, and
    /// `AddressFull` when part of its range is in other hands: at the moment another shard has it
    /// assigned, or while leases last that were made before the pool had ranges.
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
        let mut elsewhere = false;
        for wish in request.wishes() {
            for step in 0..blocks {
                let block = first + (start + step) % blocks;
                let own = class.mask(pool.id, block).and(&within(block, &range));
                let wanted = own.and(&wish.ports(block));
                if wanted.is_empty() {
                    continue;
                }
                if !self.make_assigned(page, pool, block) {
                    elsewhere = true;
                    continue;
                }
                if let Some(port) = self.take_in_range(page, block, &wanted) {
                    self.shard
                        .stats
                        .wishes_departed
                        .bump(u64::from(request.departs(wish)));
                    return Ok(self.assigned_lease(page, pool, block, port));
                }
            }
        }
        Err(match elsewhere {
            true => self.reason(pool, request.protocol, AllocError::AddressFull),
            false => AllocError::SubscriberQuota,
        })
    }

    /// Takes a port of an assigned block that is kept so.
    fn take_in_range(&mut self, page: &Page, block: usize, wanted: &Mask) -> Option<usize> {
        let here = page.block(block);
        let random = &mut self.worker.random;
        let draw = |bound| below(random, bound);
        let clock = &self.inner.ground.clock;
        let taken = here.take_shared(self.worker.id, clock, wanted, draw)?;
        // Condemned meanwhile: it waits for this burst, and stays.
        if !here.keep_assigned() {
            here.put_back_taken(taken);
            page.settle(block);
            return None;
        }
        Some(taken.port)
    }

    /// Sees to it that a block is assigned and stays so during this burst; `false` when it serves
    /// something else.
    pub(super) fn make_assigned(&mut self, page: &Page, pool: &PoolLayout, block: usize) -> bool {
        let here = page.block(block);
        for _ in 0..LOOKS {
            if here.keep_assigned() {
                return true;
            }
            match here.state().phase() {
                Phase::Free => {
                    let size = pool.policy.blocks.map_or(64, |blocks| blocks.size);
                    let ports = pool.dynamic(page.protocol, block, Mask::FULL);
                    let claimed = self.convert(pool, page, block, size, &ports);
                    if matches!(claimed, Claimed::Short | Claimed::Gone) {
                        return false;
                    }
                }
                // Most likely it is assigned in a moment. Nobody waits for that.
                Phase::Heating => std::hint::spin_loop(),
                Phase::Cooling | Phase::Assigned => return false,
            }
        }
        self.want(pool, page.protocol);
        here.keep_assigned()
    }
}

#[cfg(test)]
mod tests;
