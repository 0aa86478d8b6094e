//! Taking chosen ports out of a block, whatever its phase, without heating it for long.

use crate::block::{Mask, PORTS, Phase};
use crate::error::AllocError;
use crate::fair::Claimed;
use crate::layout::PoolLayout;
use crate::lease::Lease;
use crate::page::Page;
use crate::request::Parity;
use crate::worker::{Work, want_of};

/// Chooses among the leasable ports of a block: all that it says, or none.
pub(crate) type Choice<'c> = &'c dyn Fn(&Mask) -> Mask;

impl Work<'_> {
    /// Leases the ports that `choose` says of a block's leasable ones, those that have rested for
    /// `rest` slices, and hands them to `give`, ascending; says which they were. All or none: the
    /// block is asked again once it is this shard's own.
    pub(crate) fn take(
        &mut self,
        page: &Page,
        block: usize,
        pool: &PoolLayout,
        rest: u64,
        choose: Choice<'_>,
        give: &mut dyn FnMut(Lease),
    ) -> Mask {
        let here = page.block(block);
        let me = self.worker.id;
        let flags = Self::flags(pool);
        let mut lease = |ports: &Mask| {
            for port in ports.iter() {
                let number = (block * PORTS + port) as u16;
                give(Lease::new(page, number, here.tag(port), flags));
            }
        };
        loop {
            let state = here.state();
            match state.phase() {
                Phase::Free => {
                    let ports = choose(&Mask::FULL);
                    if ports.is_empty() {
                        return Mask::EMPTY;
                    }
                    match self.claim(pool, page, block) {
                        Claimed::Yes => {}
                        Claimed::Lost => continue,
                        Claimed::Short | Claimed::Gone => return Mask::EMPTY,
                    }
                    here.take_fresh(me, &ports, &self.inner.ground.clock);
                    self.shard.stats.blocks_claimed.bump(1);
                    self.count_allocated(pool, &ports);
                    // The leases exist before the block is let go of.
                    lease(&ports);
                    here.cool(me);
                    self.let_go(page, block);
                    return ports;
                }
                Phase::Cooling | Phase::Heating if !self.is_ours(pool, page, block) => {
                    return Mask::EMPTY;
                }
                Phase::Cooling => {
                    let clock = &self.inner.ground.clock;
                    if choose(&here.rest(clock, rest).rested).is_empty() {
                        return Mask::EMPTY;
                    }
                    if !here.reheat(me) {
                        continue;
                    }
                    page.mark_reheated(block);
                    let taken = self.take_owned(page, block, pool, rest, choose);
                    lease(&taken);
                    here.cool(me);
                    self.let_go(page, block);
                    return taken;
                }
                Phase::Heating if state.shard() == me => {
                    if let Some(allocator) = self.allocator_of(page, block) {
                        let hand = &mut self.worker.allocators[allocator];
                        let ports = choose(&hand.unissued());
                        if !ports.is_empty() {
                            hand.issue(&ports);
                            // The policies are those of the pool asked, whichever heats it.
                            lease(&ports);
                            self.retire_if_spent(allocator);
                            return ports;
                        }
                    }
                    // Released ports of the block, which this shard owns.
                    let taken = self.take_owned(page, block, pool, rest, choose);
                    if let Some(allocator) = self.allocator_of(page, block) {
                        self.worker.allocators[allocator].has_taken(&taken);
                    }
                    lease(&taken);
                    return taken;
                }
                Phase::Heating => {
                    let bell = pool.bell(page.protocol, self.class(pool));
                    want_of(&self.inner.shards[state.shard().as_index()], bell);
                    return Mask::EMPTY;
                }
                // A subscriber's, or not to be had.
                Phase::Assigned => return Mask::EMPTY,
            }
        }
    }

    /// One port of `wanted`, the one that `choose` says of the leasable ones.
    pub(crate) fn take_one(
        &mut self,
        page: &Page,
        block: usize,
        wanted: &Mask,
        pool: &PoolLayout,
        choose: &dyn Fn(&Mask) -> Option<usize>,
    ) -> Result<Lease, AllocError> {
        self.worker.short = false;
        let mut lease = None;
        let choose = |ports: &Mask| choose(&ports.and(wanted)).into_iter().collect();
        self.take(page, block, pool, self.rest(), &choose, &mut |one| {
            lease = Some(one)
        });
        lease.ok_or(if self.worker.short {
            AllocError::TenantQuota
        } else {
            AllocError::InUse
        })
    }

    fn count_allocated(&self, pool: &PoolLayout, ports: &Mask) {
        self.shard
            .pools
            .get_or_grow(pool.id.as_index())
            .allocated
            .bump(u64::from(ports.count()));
    }

    /// Takes released ports of a block that this shard heats.
    fn take_owned(
        &self,
        page: &Page,
        block: usize,
        pool: &PoolLayout,
        rest: u64,
        choose: Choice<'_>,
    ) -> Mask {
        let (taken, _) = page.block(block).judge_and_take(
            self.worker.id,
            &self.inner.ground.clock,
            rest,
            |rested| choose(rested),
            |taken| self.count_early(page, block, taken, rest),
        );
        self.count_allocated(pool, &taken);
        taken
    }
}

/// The closest port of this parity.
pub(crate) fn nearest(ports: &Mask, port: usize, parity: Parity) -> Option<usize> {
    ports
        .of_parity(parity)
        .iter()
        .min_by_key(|other| other.abs_diff(port))
}
