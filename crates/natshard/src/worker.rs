//! What a shard owns: its allocators, and the ways it comes by blocks.

use std::sync::Arc;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::address::AddressBook;
use crate::bag::Bag;
use crate::block::{Mask, Phase};
use crate::clock::Moment;
use crate::config::PortOrder;
use crate::contiguous::SetRefusal;
use crate::event::Alarms;
use crate::fair::{Assigning, Claimant, Claimed};
use crate::hints::{BLOCKS, Hint};
use crate::id::{PoolId, ShardId};
use crate::inner::{BATCH, Batch, Inner, ShardShared};
use crate::layout::{Layout, PoolLayout};
use crate::lease::{Lease, REUSE_CLOSED};
use crate::page::Page;
use crate::planted::{self, Bug};
use crate::port_allocator::{Hot, PortAllocator, Unloaded, shuffle};
use crate::protocol::Protocol;
use crate::reclaim::Pin;
use crate::refill::Refusal;
use crate::request::{Family, slot};
use crate::rounds::Rounds;
use crate::space::{Record, Space};
use crate::standing::Standing;
use crate::sweep::Sweep;

/// What a search for a block is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Purpose {
    pub(crate) pool: PoolId,
    pub(crate) protocol: Protocol,
    pub(crate) family: Option<Family>,
    pub(crate) claimant: Claimant,
}

impl Purpose {
    /// Dense: pools (for everybody else) and seats (of the other classes) by turns.
    pub(crate) fn index(self) -> usize {
        let number = match self.claimant.seat {
            0 => 2 * self.pool.as_index(),
            seat => 2 * seat as usize + 1,
        };
        slot(number, self.protocol, self.family)
    }
}

/// How many kinds of requests the fast path remembers.
pub(crate) const HOT: usize = 4;

/// The owner-only half of a shard.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) id: ShardId,
    pub(crate) allocators: Vec<PortAllocator>,
    /// What the fast path pops from, by the last bits of the slot.
    pub(crate) hot: [Hot; HOT],
    /// The refusals that the fast path knows again, in the same way.
    pub(crate) standing: [Standing; HOT],
    /// By [`Purpose::index`]: one more than the allocator, or zero.
    general: Vec<u32>,
    /// The same for whoever asks for nothing in particular; stays empty where each lease is told, or
    /// drawn from many hands.
    quick: Vec<u32>,
    pub(crate) tells_leases: bool,
    /// Whether leases are drawn from many hands, which are by [`Purpose::index`].
    pub(crate) hardened: bool,
    pub(crate) bags: Vec<Bag>,
    /// What was told of exhaustion.
    pub(crate) alarms: Alarms,
    pub(crate) refusals: Vec<Option<Refusal>>,
    /// The same for sets, by [`Purpose::index`].
    pub(crate) set_refusals: Vec<Option<SetRefusal>>,
    /// Where searches for sets go on.
    pub(crate) set_cursor: usize,
    /// How often an allocator took on a block.
    pub(crate) loads: u64,
    /// Allocators of single addresses.
    pub(crate) by_address: AddressBook,
    pub(crate) random: ChaCha8Rng,
    /// The batch being filled.
    batch: Option<usize>,
    /// The sweep under way.
    pub(crate) sweep: Option<Sweep>,
    /// The moment the last one that came to its end began in, if it was of this layout, and whether
    /// it was a thorough one.
    pub(crate) swept: Option<(Moment, bool)>,
    /// The same, of whichever layout.
    pub(crate) swept_ever: Moment,
    pub(crate) rounds: Rounds,
    /// What the search under way looks for, if it is a port block.
    pub(crate) assigning: Option<Assigning>,
    /// On whose behalf the request under way is.
    pub(crate) claimant: Claimant,
    /// Whether the search under way came by a free block that this one may not have.
    pub(crate) short: bool,
    /// Where the round of active subscribers goes on.
    pub(crate) next_active: u64,
    /// How many of them are still to be looked at in the slice `retired_in`.
    pub(crate) retiring: u64,
    pub(crate) retired_in: u64,
}

impl Worker {
    pub(crate) fn new(inner: &Inner, id: ShardId) -> Self {
        let random = match inner.seed {
            Some(seed) => ChaCha8Rng::seed_from_u64(seed.wrapping_add(u64::from(id.0) << 32)),
            None => {
                let mut key = [0u8; 32];
                match getrandom::fill(&mut key) {
                    Ok(()) => ChaCha8Rng::from_seed(key),
                    // No entropy source at all: still a different order per shard and process.
                    Err(_) => ChaCha8Rng::seed_from_u64(
                        std::ptr::from_ref(inner) as u64 ^ u64::from(id.0),
                    ),
                }
            }
        };
        Worker {
            id,
            allocators: Vec::new(),
            hot: [Hot::NONE; HOT],
            standing: [Standing::NONE; HOT],
            general: Vec::new(),
            quick: Vec::new(),
            hardened: inner.order == PortOrder::Hardened,
            bags: Vec::new(),
            tells_leases: inner.ground.events.as_ref().is_some_and(|all| all.leases),
            alarms: Alarms::default(),
            refusals: Vec::new(),
            set_refusals: Vec::new(),
            set_cursor: 0,
            loads: 0,
            by_address: AddressBook::new(),
            random,
            batch: None,
            sweep: None,
            swept: None,
            swept_ever: inner.ground.clock.moment(),
            rounds: Rounds::default(),
            assigning: None,
            claimant: Claimant::OTHERS,
            short: false,
            next_active: 0,
            retiring: 0,
            retired_in: 0,
        }
    }

    /// The number of the allocator of a slot, if it ever had one and nothing is told of leases.
    pub(crate) fn quick_index(&self, slot: usize) -> Option<usize> {
        let number = *self.quick.get(slot)?;
        (number as usize).checked_sub(1)
    }

    /// Has the fast path pop from that allocator, until its block is let go of.
    pub(crate) fn heat(&mut self, slot: u32, allocator: usize) {
        if let Some(hot) = self.allocators[allocator].hot(slot) {
            self.hot[slot as usize % HOT] = hot;
        }
    }

    /// The number of the allocator of a purpose, if it ever had one.
    pub(crate) fn general_index(&self, purpose: Purpose) -> Option<usize> {
        let number = *self.general.get(purpose.index())?;
        (number as usize).checked_sub(1)
    }

    /// A block to begin a search at, each as likely as another.
    pub(crate) fn spin(&mut self) -> usize {
        self.random.next_u32() as usize % BLOCKS
    }

    pub(crate) fn new_allocator(&mut self, shard: &ShardShared) -> usize {
        let index = self.allocators.len();
        let mut allocator = PortAllocator::new(shard.trays.get_or_grow(index));
        allocator.lap.spin = self.spin();
        self.allocators.push(allocator);
        shard.tray_count.set(index as u64 + 1);
        index
    }

    pub(crate) fn allocator_index(&mut self, shard: &ShardShared, purpose: Purpose) -> usize {
        let index = purpose.index();
        if self.general.len() <= index {
            self.general.resize(index + 1, 0);
            self.refusals.resize(index + 1, None);
        }
        if self.general[index] == 0 {
            self.general[index] = self.new_allocator(shard) as u32 + 1;
            if !self.tells_leases && !self.hardened {
                self.quick.clone_from(&self.general);
            }
        }
        self.general[index] as usize - 1
    }

    /// A shard at work: everything it needs while pinned.
    pub(crate) fn at<'a>(
        &'a mut self,
        inner: &'a Arc<Inner>,
        layout: &'a Arc<Layout>,
        pin: &'a Pin<'a>,
    ) -> Work<'a> {
        let shard = &inner.shards[self.id.as_index()];
        Work {
            worker: self,
            inner,
            layout,
            pin,
            shard,
        }
    }
}

/// Runs `work`, which recycles, once every pin of this moment has ended.
///
/// # Safety
///
/// As for [`Pin::defer`].
pub(crate) unsafe fn after_grace(pin: &Pin<'_>, work: impl FnOnce() + 'static) {
    if planted::on(Bug::RecycleWithoutGrace) {
        work();
    } else {
        // SAFETY: passed on to the caller.
        unsafe { pin.defer(work) };
    }
}

/// A random number below a bound, each as likely as any other but for a 2^-24th of its likelihood
/// where the bound is at most 256.
pub(crate) fn below(random: &mut impl Rng, bound: u32) -> u32 {
    ((u64::from(random.next_u32()) * u64::from(bound)) >> 32) as u32
}

/// A worker while it is pinned.
pub(crate) struct Work<'a> {
    pub(crate) worker: &'a mut Worker,
    pub(crate) inner: &'a Arc<Inner>,
    /// What this shard works by.
    pub(crate) layout: &'a Arc<Layout>,
    pub(crate) pin: &'a Pin<'a>,
    pub(crate) shard: &'a ShardShared,
}

impl<'a> Work<'a> {
    pub(crate) fn id(&self) -> ShardId {
        self.worker.id
    }

    /// Whether the layout this shard works by is the latest.
    pub(crate) fn is_up_to_date(&self) -> bool {
        self.inner.latest_version.get() == self.layout.version
    }

    pub(crate) fn flags(pool: &PoolLayout) -> u8 {
        if pool.reuse_closed { REUSE_CLOSED } else { 0 }
    }

    /// Takes ports of `wanted` from a block, whatever phase it is in; says which, and if the block was
    /// reheated, what else of it is nobody's. Looks before it takes, so that a block without any
    /// stays as it is.
    pub(crate) fn acquire(
        &mut self,
        pool: &PoolLayout,
        page: &Page,
        block: usize,
        wanted: &Mask,
        rest: u64,
    ) -> Option<(Mask, Option<Mask>)> {
        if wanted.is_empty() {
            return None;
        }
        let here = page.block(block);
        match here.state().phase() {
            Phase::Free if self.claim(pool, page, block) == Claimed::Yes => {
                here.take_fresh(self.id(), wanted, &self.inner.ground.clock);
                self.shard.stats.blocks_claimed.bump(1);
                Some((*wanted, None))
            }
            Phase::Cooling => {
                let clock = &self.inner.ground.clock;
                // Where every port will do, the hint that led here is as good as a longer look.
                let nothing = match *wanted == Mask::FULL {
                    true => !here.has_released(),
                    false => here.rest(clock, rest).rested.and(wanted).is_empty(),
                };
                if !self.is_ours(pool, page, block)
                    || nothing
                    || here.is_judged()
                    || !here.reheat(self.id())
                {
                    return None;
                }
                page.mark_reheated(block);
                let (judged, others) = here.judge_and_take(
                    self.id(),
                    clock,
                    rest,
                    |rested| rested.and(wanted),
                    |taken| self.count_early(page, block, taken, rest),
                );
                if judged.is_empty() {
                    here.cool(self.id());
                    self.let_go(page, block);
                    return None;
                }
                self.shard.stats.blocks_reheated.bump(1);
                Some((judged, Some(others)))
            }
            _ => None,
        }
    }

    /// Accounts for ports about to be taken before their time.
    pub(crate) fn count_early(&self, page: &Page, block: usize, ports: &Mask, rest: u64) {
        let clock = &self.inner.ground.clock;
        if rest < clock.rest() {
            let rested = page.block(block).rest(clock, clock.rest()).rested;
            self.shard
                .stats
                .served_early
                .bump(u64::from(ports.without(&rested).count()));
        }
    }

    fn abandon(&self, page: &Page, block: usize) {
        let generation = page.block(block).state().generation();
        let tenancy = page.end_tenancy(block, generation);
        if page.block(block).abandon(self.id()) {
            self.inner.freed(page, block);
        }
        let shard = Some(self.id().as_index());
        self.inner.give(tenancy, page.protocol, shard);
    }

    /// Gives an allocator's block and unissued ports back.
    pub(crate) fn surrender(&mut self, allocator: usize) {
        let Some(Unloaded {
            page,
            block,
            unissued,
            pool,
            issued,
            since,
            whole,
            resting,
        }) = self.worker.allocators[allocator].unload()
        else {
            return;
        };
        self.worker.hot = [Hot::NONE; HOT];
        self.shard
            .pools
            .get_or_grow(pool.as_index())
            .allocated
            .bump(issued);
        // SAFETY: the block is still heated by this shard, so its page is open; from here on the
        // pin keeps it.
        let page = unsafe { page.as_ref() };
        let here = page.block(block);
        if issued == 0 && here.is_pristine(&unissued) {
            self.abandon(page, block);
            return;
        }
        if !unissued.is_empty() {
            self.worker.allocators[allocator].left = Some((page.record().into(), block));
        }
        let clock = &self.inner.ground.clock;
        let is_fresh = || clock.slice() < since.saturating_add(clock.rest());
        if !is_fresh() {
            // Whatever was nobody's when the block was taken on has rested, however far its stamps
            // have come round since.
            clock.count_warmed(here.count_stamped(clock, &resting));
            here.put_back(&resting);
        }
        here.put_back(&unissued);
        here.cool(self.id());
        // Whether it is fresh is asked again: who came by while it was heated left it as it was.
        if (whole && unissued.is_empty() || planted::on(Bug::SpentTakenForWhole))
            && is_fresh()
            && self.is_up_to_date()
            && !here.hot().nudged.get()
        {
            // Taken whole less than a rest ago, and leased to the last port: nothing of it can have
            // rested, and its first visit is still to come.
            self.worker.rounds.add(page, block, since);
            return;
        }
        here.hot().nudged.set(false);
        self.let_go(page, block);
        if page.hints.contains(Hint::HALF, block) {
            // Else it cannot be empty and rested.
            self.condemn(page, block);
        }
    }

    /// The next port in hand, if there is one.
    pub(crate) fn pop(&mut self, allocator: usize) -> Option<Lease> {
        let (lease, spent) = self.worker.allocators[allocator].pop()?;
        if spent {
            self.surrender(allocator);
        }
        Some(lease)
    }

    /// Lets go of a block as soon as its last port is issued: from then on it cools.
    #[inline]
    pub(crate) fn retire_if_spent(&mut self, allocator: usize) {
        if self.worker.allocators[allocator].is_spent() {
            self.surrender(allocator);
        }
    }

    /// Gives back what is in those hands that somebody asked for.
    pub(crate) fn surrender_wanted(&mut self, wanted: u64) {
        for allocator in 0..self.worker.allocators.len() {
            if self.worker.allocators[allocator].bell & wanted != 0 {
                self.surrender(allocator);
            }
        }
    }

    /// Gives everything in hand back.
    pub(crate) fn surrender_all(&mut self) {
        for allocator in 0..self.worker.allocators.len() {
            self.surrender(allocator);
        }
    }

    /// Condemns a block if it is empty and rested, and defers its recycling.
    pub(crate) fn condemn(&mut self, page: &Page, block: usize) -> bool {
        let clock = &self.inner.ground.clock;
        let rest = page.block(block).rest(clock, clock.rest());
        rest.is_over() && self.condemn_rested(page, block)
    }

    /// The same for one that was seen to be so.
    pub(crate) fn condemn_rested(&mut self, page: &Page, block: usize) -> bool {
        let here = page.block(block);
        let clock = &self.inner.ground.clock;
        let Some(number) = self.open_batch() else {
            return false;
        };
        if !here.begin_deferral() {
            return false;
        }
        if !here.condemn_unless(clock, || !page.is_unowned(block)) {
            here.hot().deferred.set(false);
            page.settle(block);
            return false;
        }
        let batch: &Batch = &self.shard.batches[number];
        batch.push(page, block);
        if batch.len.get() as usize == BATCH {
            self.seal();
        }
        true
    }

    fn open_batch(&mut self) -> Option<usize> {
        if self.worker.batch.is_none() {
            self.worker.batch = self
                .shard
                .batches
                .iter()
                .position(|batch| !batch.busy.get());
        }
        self.worker.batch
    }

    /// Hands the batch being filled to the epoch; whether there was one.
    pub(crate) fn seal(&mut self) -> bool {
        let Some(number) = self.worker.batch else {
            return false;
        };
        let batch = &self.shard.batches[number];
        if batch.len.get() == 0 {
            return false;
        }
        self.worker.batch = None;
        batch.busy.set(true);
        self.shard.stats.epoch_batches.bump(1);
        let inner = Arc::clone(self.inner);
        let shard = self.id().as_index();
        // SAFETY: the closure owns what it refers to, all of it usable from any thread.
        unsafe { after_grace(self.pin, move || inner.ripen(shard, number)) };
        // The epoch would hold it back until 64 closures have come together.
        self.pin.flush();
        true
    }

    /// Recycles one batch of this shard's that is ripe.
    #[cold]
    pub(crate) fn recycle_one(&self) {
        self.shard.ripe.come();
        if let Some(batch) = self.shard.ripe.take_one() {
            self.inner.recycle(self.id().as_index(), batch);
        }
    }

    /// The shard has no bursts for now: leaves it to others to recycle.
    pub(crate) fn leave(&self) {
        for batch in self.shard.ripe.leave() {
            self.inner.recycle(self.id().as_index(), batch);
        }
    }

    /// Opens an enlisted address and queues its blocks in random order.
    pub(crate) fn open<'p>(&mut self, space: &Space, record: &'p Record) -> &'p Page {
        let (page, fresh) = self.inner.open(self.pin, space, record);
        if fresh {
            self.shard.stats.addresses_opened.bump(1);
            let mut order: [u8; BLOCKS] = std::array::from_fn(|block| block as u8);
            shuffle(&mut order, &mut self.worker.random);
            self.inner
                .queue_opened(page, order.into_iter().map(usize::from));
        }
        page
    }

    /// Asks the other shards for the ports in their hands that whoever asks could have.
    pub(crate) fn want(&self, pool: &PoolLayout, protocol: Protocol) {
        let bell = pool.bell(protocol, self.class(pool));
        for (index, other) in self.inner.shards.iter().enumerate() {
            if index != self.id().as_index() {
                want_of(other, bell);
            }
        }
    }

    /// The allocator that heats this block for this shard.
    pub(crate) fn allocator_of(&self, page: &Page, block: usize) -> Option<usize> {
        self.worker.allocators.iter().position(|allocator| {
            allocator
                .block()
                .is_some_and(|(held, number)| std::ptr::eq(held, page) && number == block)
        })
    }
}

/// Asks one shard for the ports in those of its hands.
pub(crate) fn want_of(shard: &ShardShared, bell: u64) {
    if shard.wanted.get() & bell != bell {
        shard.wanted.set_bits(bell);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_purpose_has_an_index_of_its_own() {
        let mut seen = std::collections::BTreeSet::new();
        for number in 0..6 {
            // Seats are numbered from one, over all pools.
            let seats = [(number, 0), (0, u32::from(number) + 1)];
            for (pool, seat) in seats {
                for protocol in Protocol::ALL {
                    for family in [None, Some(Family::V4), Some(Family::V6)] {
                        let class = Claimant::OTHERS.class;
                        let claimant = Claimant { class, seat };
                        let purpose = Purpose {
                            pool: PoolId(number.min(pool)),
                            protocol,
                            family,
                            claimant,
                        };
                        assert!(seen.insert(purpose.index()), "{purpose:?}");
                    }
                }
            }
        }
        // Without gaps but for that of the seat zero, which is everybody else's.
        let slots = 9;
        assert!(
            seen.into_iter().eq((0..slots)
                .chain(2 * slots..12 * slots)
                .chain(13 * slots..14 * slots))
        );
    }
}
