//! Sets of consecutive ports that are a subscriber's before they are leased: of its port blocks,
//! and of its deterministic range.
//!
//! No shard owns an assigned block, so the ports of a run are won one by one, each as a single
//! port is, and ascending, so that of two overlapping runs one gets all. Who loses one on the way
//! puts back what it has and looks again.

use std::net::IpAddr;

use super::assign::serves;
use super::ranges::within;
use super::titles::Owner;
use super::unit::PortBlock;
use super::{Books, DeterministicMap, PortBlocks};
use crate::block::{Mask, PORTS, Taken};
use crate::contiguous::{Set, Sought};
use crate::error::AllocError;
use crate::page::Page;
use crate::request::Family;
use crate::space::SpaceId;
use crate::worker::Work;

/// How often a run is looked for again after others were faster.
const TRIES: usize = 4;

/// Ports of an assigned block that a subscriber may take.
#[derive(Clone, Copy)]
struct Plot<'p> {
    page: &'p Page,
    block: usize,
    ports: Mask,
}

/// The best of the plots looked at: how many ports its longest run has, at most as many as are
/// sought.
type Best<'p> = Option<(usize, Plot<'p>)>;

impl Work<'_> {
    /// A set of the subscriber's deterministic range; `SubscriberQuota` when none of it is left.
    pub(crate) fn set_in_range(
        &mut self,
        set: &mut Set<'_>,
        ranges: &DeterministicMap,
        subscriber: u64,
    ) -> Result<(), AllocError> {
        let (pool, request) = (set.pool, set.request);
        let (address, range) = ranges
            .range(subscriber, request.protocol)
            .ok_or(AllocError::SubscriberMissing)?;
        let of = Family::of(address);
        if request.family.is_some_and(|family| family != of) {
            return Err(AllocError::NoSuchFamily);
        }
        let (page, class) = self.page_of(set.layout, pool, request.protocol, address)?;
        let (first, last) = (
            usize::from(*range.start()) / PORTS,
            usize::from(*range.end()) / PORTS,
        );
        let mut any = false;
        for (sought, departs) in set.wishes(self).into_iter().flatten() {
            for _ in 0..TRIES {
                let mut best = None;
                for block in first..=last {
                    let ports = class.mask(pool.id, block).and(&within(block, &range));
                    if !ports.is_empty() && self.make_assigned(page, pool, block) {
                        let plot = Plot { page, block, ports };
                        any |= self.improve(&mut best, sought, plot);
                    }
                }
                let Some((count, plot)) = best else { break };
                // Condemned meanwhile: it waits for this burst, and stays.
                let stays = |_: &Self, _: &Mask| page.block(plot.block).keep_assigned();
                if self.take_run(set, sought, count, &plot, stays) {
                    self.count_departed(departs);
                    return Ok(());
                }
            }
        }
        Err(if any {
            AllocError::NoContiguous
        } else {
            AllocError::SubscriberQuota
        })
    }

    /// A set of the subscriber's port blocks, or of one further; of this address, if one is named.
    pub(crate) fn set_in_blocks(
        &mut self,
        set: &mut Set<'_>,
        books: &Books<'_>,
        blocks: PortBlocks,
        address: Option<IpAddr>,
    ) -> Result<(), AllocError> {
        let size = usize::from(blocks.size);
        let mut refused = None;
        // A further block helps once: what it could not serve, another could not either.
        let mut further = set.least <= size;
        loop {
            let mut best_len = 0;
            for (sought, departs) in set.wishes(self).into_iter().flatten() {
                for _ in 0..TRIES {
                    let Some((count, plot)) = self.best_of_blocks(set, sought, books, address)
                    else {
                        break;
                    };
                    best_len = best_len.max(count);
                    if further && count < set.most.min(size) {
                        break;
                    }
                    let here = plot.page.block(plot.block);
                    if self.take_run(set, sought, count, &plot, |work, run| {
                        let owned = work.owned_ports(plot.page, plot.block, books);
                        run.without(&owned).is_empty() && here.keep_assigned()
                    }) {
                        self.count_departed(departs);
                        return Ok(());
                    }
                }
            }
            if !further {
                return Err(refused.unwrap_or(AllocError::NoContiguous));
            }
            further = false;
            let (layout, pool, request) = (set.layout, set.pool, set.request);
            let assigned = self.assign_further(layout, pool, request, books, blocks, address);
            refused = assigned.err();
        }
    }

    /// The longest run of the subscriber's port blocks; those of one block count together.
    fn best_of_blocks<'s>(
        &self,
        set: &Set<'s>,
        sought: Sought,
        books: &Books<'_>,
        address: Option<IpAddr>,
    ) -> Best<'s> {
        let (layout, pool, request) = (set.layout, set.pool, set.request);
        let mut best = None;
        for own in books.blocks().map(PortBlock::from_bits) {
            let (at, block) = (own.at, own.unit.block);
            if !serves(layout, request, address, &own) {
                continue;
            }
            let space = &layout.spaces[usize::from(at.space)];
            let page = space.get(at.key).and_then(|record| record.page());
            let class = layout.class(SpaceId(at.space), at.key);
            let (Some(page), Some(class)) = (page, class) else {
                continue;
            };
            let owned = self.owned_ports(page, block, books);
            if !owned.is_empty() && page.block(block).keep_assigned() {
                let mask = class.mask(pool.id, block);
                let ports = pool.dynamic(space.protocol, block, mask).and(&owned);
                self.improve(&mut best, sought, Plot { page, block, ports });
            }
        }
        best
    }

    /// The ports of a block that lie in port blocks of the subscriber.
    fn owned_ports(&self, page: &Page, block: usize, books: &Books<'_>) -> Mask {
        let Some(titles) = page.titles() else {
            return Mask::EMPTY;
        };
        let owner = Owner::account(books.number);
        let own = books.blocks().map(PortBlock::from_bits);
        let here = own.filter(|own| own.at == page.pairing() && own.unit.block == block);
        let owned = here.filter(|own| titles.is_owned(own.unit, owner));
        owned.fold(Mask::EMPTY, |ports, own| ports.or(&own.unit.ports()))
    }

    /// Puts a plot in place of the best if it has a longer run; whether it has any port at rest.
    fn improve<'p>(&self, best: &mut Best<'p>, sought: Sought, plot: Plot<'p>) -> bool {
        let here = plot.page.block(plot.block);
        let rested = here.at_rest(&self.inner.ground.clock, &plot.ports);
        let floor = best.map_or(sought.least, |(len, _)| len + 1);
        if floor <= sought.most && sought.may_lie_in(plot.block) && sought.fits(&rested, floor) {
            *best = Some((sought.longest(&rested).min(sought.most), plot));
        }
        !rested.is_empty()
    }

    /// Leases a run of `count` ports of a plot, if they are `ours` once they were taken.
    fn take_run(
        &mut self,
        set: &mut Set<'_>,
        sought: Sought,
        count: usize,
        plot: &Plot<'_>,
        ours: impl FnOnce(&Self, &Mask) -> bool,
    ) -> bool {
        let &Plot { page, block, .. } = plot;
        let here = page.block(block);
        let draw = self.draw_place();
        let clock = &self.inner.ground.clock;
        let run = sought.pick(&here.at_rest(clock, &plot.ports), count, draw);
        let mut taken: [Option<Taken>; PORTS] = [None; PORTS];
        let mut all = !run.is_empty();
        for port in run.iter() {
            taken[port] = here.try_take(port, self.id(), clock);
            all = taken[port].is_some();
            if !all {
                break;
            }
        }
        if all && ours(self, &run) {
            for port in run.iter() {
                let lease = self.assigned_lease(page, set.pool, block, port);
                set.into.push(lease);
            }
            return true;
        }
        for taken in taken.into_iter().flatten() {
            here.put_back_taken(taken);
        }
        page.settle(block);
        false
    }
}
