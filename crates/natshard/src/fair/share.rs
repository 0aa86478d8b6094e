//! Blocks are counted to whom they are held for: at claims, when they come free, and when the
//! configuration changes.

use std::sync::Arc;

use crate::error::AllocError;
use crate::event::EventKind;
use crate::fair::quota::ClassNumber;
use crate::fair::sharing::{Claimant, OTHERS};
use crate::fair::tally::Tally;
use crate::fair::tenancy::Tenancy;
use crate::hints::Hint;
use crate::id::PoolId;
use crate::inner::Inner;
use crate::layout::{Layout, PoolLayout};
use crate::page::Page;
use crate::planted::{self, Bug};
use crate::protocol::Protocol;
use crate::request::Request;
use crate::worker::{Purpose, Work};

/// What became of the attempt to claim a free block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Claimed {
    /// It is this shard's.
    Yes,
    /// It is free no longer.
    Lost,
    /// Its page is gone: the address is to be opened anew.
    Gone,
    /// Whoever asks has no share left.
    Short,
}

impl Inner {
    pub(crate) fn tally(&self, pool: PoolId, protocol: Protocol) -> &Tally {
        &self.tallies.get_or_grow(pool.as_index())[protocol.as_index()]
    }

    /// A block is no longer held for whom it was. Before this it was made to be found, so that a
    /// class within its guarantee finds it.
    pub(crate) fn give(&self, tenancy: Tenancy, protocol: Protocol, shard: Option<usize>) {
        if tenancy.is_none() {
            return;
        }
        self.tally(tenancy.pool(), protocol).give(tenancy.class());
        self.mind(tenancy.pool(), protocol, shard);
    }

    /// Counts, and tells, if a pool became as full as its threshold says, or is so no longer.
    pub(crate) fn mind(&self, pool: PoolId, protocol: Protocol, shard: Option<usize>) {
        // Counted whether anybody is told or not.
        let events = self.ground.events.as_ref();
        let draw = || events.map(|events| events.draw());
        self.tally(pool, protocol)
            .mind(protocol, draw, |sequence, kind| {
                if let (Some(events), Some(sequence)) = (events, sequence) {
                    events.tell(shard, sequence, self.ground.clock.now(), pool, kind);
                }
            });
    }

    /// Counts a block that is handed out to whom this layout says.
    pub(crate) fn rebook(&self, layout: &Layout, page: &Page, block: usize) {
        if !layout.shares && page.tenancies().is_none() {
            return;
        }
        let pool = layout.sharing_pool(page, block);
        let wanted = |current: Tenancy, generation| {
            let Some((pool, sharing)) = pool else {
                return Tenancy::NONE;
            };
            let stays =
                !current.is_none() && current.pool() == pool && sharing.names(current.class());
            let class = if stays { current.class() } else { OTHERS };
            Tenancy::new(pool, class, generation)
        };
        let count = |new: Tenancy| {
            if !new.is_none() {
                self.tally(new.pool(), page.protocol).force(new.class());
                self.mind(new.pool(), page.protocol, None);
            }
        };
        let give = |old: Tenancy| self.give(old, page.protocol, None);
        let tenancies = page.tenancies_or_new();
        let state = || page.block(block).state();
        if tenancies.rebook(block, state, wanted, count, give) {
            // Its marks may stand in the trees of another class.
            page.settle(block);
        }
    }

    /// What of a new layout leaves less to borrow; before any shard works by it.
    pub(crate) fn tighten(&self, before: Option<&Layout>, after: &Layout) {
        for (pool, protocol) in sharing_pools(after) {
            let Some(sharing) = &pool.sharing else {
                continue;
            };
            let tally = self.tally(pool.id, protocol);
            for (class, _, minimum, _) in sharing.classes() {
                if minimum > tally.holding(class).minimum() {
                    tally.guarantee(class, minimum);
                }
            }
            let shared = before
                .and_then(|before| before.pool(pool.id))
                .is_some_and(|pool| pool.sharing.is_some());
            let blocks = sharing.blocks[protocol.as_index()];
            // Where shares begin nobody relies on them yet.
            if blocks < tally.blocks() || !shared {
                tally.resize(blocks);
            }
        }
    }

    /// The rest of it; after the layout was published. What a pool that shares nothing any more
    /// had in its books stays there until it does again.
    pub(crate) fn loosen(&self, after: &Layout) {
        for (pool, protocol) in sharing_pools(after) {
            let Some(sharing) = &pool.sharing else {
                continue;
            };
            let tally = self.tally(pool.id, protocol);
            let former = sharing.former().map(|(class, _)| (class, 0, u32::MAX));
            let named = sharing.classes();
            let named = named.map(|(class, _, minimum, maximum)| (class, minimum, maximum));
            for (class, minimum, maximum) in named.chain(former) {
                tally.limit(class, maximum);
                if minimum < tally.holding(class).minimum() {
                    tally.guarantee(class, minimum);
                }
            }
            tally.resize(sharing.blocks[protocol.as_index()]);
            tally.watch(sharing.threshold);
            self.mind(pool.id, protocol, None);
        }
    }
}

/// The pools of a layout that share their blocks out, in each protocol.
fn sharing_pools(layout: &Layout) -> impl Iterator<Item = (&Arc<PoolLayout>, Protocol)> {
    let sharing = layout.pools().filter(|pool| pool.sharing.is_some());
    sharing.flat_map(|pool| Protocol::ALL.map(|protocol| (pool, protocol)))
}

impl PoolLayout {
    /// Which hands are called back when a class of this pool finds nothing: its own, or, where
    /// pools may overlap, those of all such pools. One bit of 64.
    pub(crate) fn bell(&self, protocol: Protocol, class: ClassNumber) -> u64 {
        if self.sharing.is_none() {
            return 1 << 63;
        }
        let number = usize::from(class) * 3 + protocol.as_index() + self.id.as_index() * 7;
        1 << (number % 63)
    }
}

impl PoolLayout {
    /// On whose behalf a request to this pool is.
    pub(crate) fn claimant(&self, request: &Request) -> Claimant {
        let sharing = self.sharing.as_ref();
        sharing.map_or(Claimant::OTHERS, |sharing| sharing.claimant(request))
    }
}

impl<'a> Work<'a> {
    /// Does something on behalf of whoever a request names.
    pub(crate) fn on_behalf<T>(
        &mut self,
        pool: &PoolLayout,
        request: &Request,
        work: impl FnOnce(&mut Self) -> T,
    ) -> T {
        self.worker.claimant = pool.claimant(request);
        let result = work(self);
        self.worker.claimant = Claimant::OTHERS;
        result
    }

    /// What a request on behalf of whoever asks is for.
    pub(crate) fn purpose(&self, request: &Request) -> Purpose {
        Purpose {
            pool: request.pool,
            protocol: request.protocol,
            family: request.family,
            claimant: self.worker.claimant,
        }
    }

    /// The class on whose behalf this shard looks for blocks of a pool.
    pub(crate) fn class(&self, pool: &PoolLayout) -> ClassNumber {
        if pool.sharing.is_none() {
            OTHERS
        } else {
            self.worker.claimant.class
        }
    }

    /// The books of a pool that shares its blocks out.
    pub(crate) fn tally(&self, pool: &PoolLayout, protocol: Protocol) -> Option<&Tally> {
        pool.sharing.as_ref()?;
        Some(self.inner.tally(pool.id, protocol))
    }

    /// Whether whoever asks can have no free block of a pool at this moment.
    pub(crate) fn is_refused(&self, pool: &PoolLayout, protocol: Protocol) -> bool {
        self.tally(pool, protocol)
            .is_some_and(|tally| tally.refuses(self.class(pool)))
    }

    /// Why a request that found nothing was refused: `TenantQuota` if there was something that
    /// whoever asks may not have, else `otherwise`.
    pub(crate) fn reason(
        &self,
        pool: &PoolLayout,
        protocol: Protocol,
        otherwise: AllocError,
    ) -> AllocError {
        let tally = self.tally(pool, protocol);
        match tally.and_then(|tally| tally.short(self.class(pool))) {
            Some(_) => AllocError::TenantQuota,
            None => otherwise,
        }
    }

    /// Whether a block is held for the class of whoever asks.
    pub(crate) fn is_ours(&self, pool: &PoolLayout, page: &Page, block: usize) -> bool {
        pool.sharing.is_none() || page.tenancy(block).class() == self.class(pool)
    }

    /// Claims a free block on behalf of whoever asks, if he has a share left.
    pub(crate) fn claim(&mut self, pool: &PoolLayout, page: &Page, block: usize) -> Claimed {
        let class = self.class(pool);
        let tally = self.tally(pool, page.protocol);
        if let Some(tally) = tally
            && tally.take(class).is_err()
        {
            self.worker.short = true;
            return Claimed::Short;
        }
        let here = page.block(block);
        if !here.claim(self.id()) {
            if let Some(tally) = tally {
                tally.give(class);
            }
            return Claimed::Lost;
        }
        page.count_taken();
        if !page.closing.keep() {
            // It was decided before that its page goes.
            here.abandon(self.id());
            page.count_free();
            if let Some(tally) = tally {
                tally.give(class);
            }
            self.inner.unlink(self.pin, page);
            if planted::on(Bug::GoneTakenForLost) {
                return Claimed::Lost;
            }
            return Claimed::Gone;
        }
        for hint in [Hint::FREE, Hint::HALF, Hint::RIPE] {
            page.unmark(hint, block);
        }
        let shard = Some(self.id().as_index());
        if pool.sharing.is_some() {
            let new = Tenancy::new(pool.id, class, here.state().generation());
            let old = page.tenancies_or_new().replace(block, new);
            page.make_room(block, class);
            self.inner.give(old, page.protocol, shard);
            self.inner.mind(pool.id, page.protocol, shard);
        } else if let Some(tenancies) = page.tenancies() {
            let old = tenancies.replace(block, Tenancy::NONE);
            self.inner.give(old, page.protocol, shard);
        }
        // In the tree of the class it is held for.
        page.mark_taken(block);
        Claimed::Yes
    }

    /// What the owner of a block does after it let go of it: if the configuration has changed
    /// since it took the block on, sees to it that it is counted to whom it should be.
    ///
    /// Whoever reconfigures says so first and looks at the blocks second; the owner lets go first
    /// and looks second: one of the two finds the block.
    pub(crate) fn let_go(&self, page: &Page, block: usize) {
        if !self.is_up_to_date() {
            let latest = self.inner.latest.load_full();
            self.inner.rebook(&latest, page, block);
        }
        page.settle(block);
    }

    /// Tells, once, that a class had its share.
    pub(crate) fn tell_short(&self, request: &Request) {
        let layout = self.layout;
        let Some(pool) = layout.pool(request.pool) else {
            return;
        };
        let Some(sharing) = &pool.sharing else { return };
        let protocol = request.protocol;
        let class = sharing.claimant(request).class;
        let tally = self.inner.tally(pool.id, protocol);
        if self.inner.ground.events.is_some() && tally.tell_once(class) {
            let kind = EventKind::QuotaExceeded {
                protocol,
                holder: sharing.holder(class),
                limit: tally.met(class),
            };
            self.tell(pool.id, kind);
        }
    }
}
