//! Census and counters.

use std::collections::{BTreeMap, HashMap};

use crate::block::{BlockState, Look, Mask, PORTS, Phase};
use crate::census::{Census, PoolCensus};
use crate::fair;
use crate::hints::BLOCKS;
use crate::id::ShardId;
use crate::inner::Inner;
use crate::layout::{Class, Layout, SpaceLayout};
use crate::page::Page;
use crate::portset::PortSet;
use crate::reclaim::Pin;
use crate::stats::{PoolStats, ShardStats, Stats};

/// The unissued ports of every block that somebody has in hand: whose each of them are.
type Hands = HashMap<(*const Page, usize), Vec<(ShardId, Mask)>>;

fn hands(inner: &Inner) -> Hands {
    let mut hands = Hands::new();
    for (number, shard) in inner.shards.iter().enumerate() {
        let trays = (0..shard.tray_count.get() as usize).filter_map(|index| shard.trays.get(index));
        for tray in trays {
            let Some((page, block, unissued)) = tray.unissued() else {
                continue;
            };
            // What an order holds twice is in two hands.
            let ports = [unissued, tray.repeated()];
            let ports = ports.into_iter().filter(|ports| !ports.is_empty());
            let hand = hands.entry((page, block)).or_default();
            hand.extend(ports.map(|ports| (ShardId(number as u8), ports)));
        }
    }
    hands
}

/// The ports of a block that two words disagree about.
fn contradicted(state: BlockState, look: &Look, hands: &[(ShardId, Mask)]) -> Mask {
    let (mut wrong, mut in_hand) = (Mask::EMPTY, Mask::EMPTY);
    for (shard, ports) in hands {
        wrong = wrong.or(&in_hand.and(ports));
        in_hand = in_hand.or(ports);
        if !state.is_heated_by(*shard) {
            wrong = wrong.or(ports);
        }
    }
    match state.phase() {
        // Whoever abandons a block leaves its ports held by nobody. None of a block that was
        // reheated is left so.
        Phase::Free => wrong.or(&look.owned()),
        Phase::Heating | Phase::Cooling | Phase::Assigned => {
            wrong.or(&in_hand.and(&look.nobodys()))
        }
    }
}

/// The ports of a block, by what becomes of them.
#[derive(Clone, Copy, Default)]
struct Parts {
    free: Mask,
    unissued: Mask,
    leased: Mask,
    cooling: Mask,
}

impl Parts {
    fn of(state: BlockState, look: &Look, hands: &[(ShardId, Mask)]) -> Self {
        let hand = hands
            .iter()
            .fold(Mask::EMPTY, |all, (_, ports)| all.or(ports));
        let released = look.nobodys();
        let (cooling, unissued) = match state.phase() {
            Phase::Heating | Phase::Cooling => (released, hand.without(&released)),
            // In nobody's hand: who comes first takes one.
            Phase::Assigned => (look.stamped(), released.without(&look.stamped())),
            Phase::Free => {
                return Parts {
                    free: Mask::FULL,
                    ..Parts::default()
                };
            }
        };
        let leased = Mask::FULL.without(&released).without(&unissued);
        Parts {
            free: Mask::EMPTY,
            unissued,
            leased,
            cooling,
        }
    }

    fn count(&self, within: &Mask) -> PoolCensus {
        let count = |mask: &Mask| u64::from(mask.and(within).count());
        PoolCensus {
            free: count(&self.free),
            unissued: count(&self.unissued),
            leased: count(&self.leased),
            cooling: count(&self.cooling),
            ..PoolCensus::default()
        }
    }
}

/// Capacity and exclusions of a class, and the ports of those of its addresses that are not open.
fn outline(range: &PortSet, lease: &PortSet, addresses: u64, opened: u64) -> PoolCensus {
    PoolCensus {
        capacity: range.len() * addresses,
        // Saturating: of more pages than addresses the books do not balance.
        free: lease.len() * addresses.saturating_sub(opened),
        excluded: (range.len() - lease.len()) * addresses,
        ..PoolCensus::default()
    }
}

fn union(class: &Class, part: impl Fn(&crate::layout::Share) -> &PortSet) -> PortSet {
    let mut all = PortSet::empty();
    for share in &class.shares {
        all.add(part(share));
    }
    all
}

pub(crate) fn census(inner: &Inner, pin: &Pin<'_>) -> Census {
    let layout = inner.layout.load_full();
    let mut hands = hands(inner);
    let mut census = Census::default();
    let mut pools: Vec<PoolCensus> = Vec::new();
    let size = layout
        .pools()
        .map(|pool| pool.id.as_index() + 1)
        .max()
        .unwrap_or(0);
    pools.resize(size, PoolCensus::default());
    let nothing = SpaceLayout::default();
    for space in &layout.spaces {
        let here = layout
            .space_layouts
            .get(space.id.0 as usize)
            .unwrap_or(&nothing);
        let mut unions: HashMap<*const Class, PortSet> = HashMap::new();
        let mut opened: HashMap<*const Class, u64> = HashMap::new();
        for class in &here.classes {
            let lease = union(class, |share| &share.lease);
            unions.insert(std::ptr::from_ref(class), lease);
        }
        for record in space.records() {
            let Some(page) = record.page() else { continue };
            let class = here.class(record.key);
            let union = class.and_then(|class| unions.get(&std::ptr::from_ref(class)));
            if let Some(class) = class {
                *opened.entry(std::ptr::from_ref(class)).or_default() += 1;
            }
            let mut free_blocks = 0;
            for block in 0..BLOCKS {
                let held = page.block(block);
                let (state, look) = (held.state(), held.look());
                match state.phase() {
                    Phase::Free => free_blocks += 1,
                    Phase::Heating => census.blocks.heating += 1,
                    Phase::Cooling => census.blocks.cooling += 1,
                    Phase::Assigned => census.blocks.assigned += 1,
                }
                let hand = hands.remove(&(std::ptr::from_ref(page), block));
                let hand = hand.unwrap_or_default();
                let parts = Parts::of(state, &look, &hand);
                for share in class.iter().flat_map(|class| &class.shares) {
                    pools[share.pool.as_index()] += parts.count(&share.lease.block(block));
                }
                let leasable = union.map_or(Mask::EMPTY, |union| union.block(block));
                census.total += parts.count(&leasable);
                add_draining(&mut census.draining, &look, &parts, &leasable);
                census.contradictions += u64::from(contradicted(state, &look, &hand).count());
            }
            census.blocks.free += free_blocks;
            let counted = page.count_free_now() as u64;
            census.contradictions += counted.abs_diff(free_blocks) * PORTS as u64;
        }
        for class in &here.classes {
            let (addresses, key) = (class.addresses, std::ptr::from_ref(class));
            let opened = opened.get(&key).copied().unwrap_or(0);
            for share in &class.shares {
                pools[share.pool.as_index()] +=
                    outline(&share.range, &share.lease, addresses, opened);
            }
            let range = union(class, |share| &share.range);
            census.total += outline(&range, &unions[&key], addresses, opened);
        }
    }
    // Of pages that are open no longer.
    let lost = hands.into_values().flatten();
    census.contradictions += lost.map(|(_, ports)| u64::from(ports.count())).sum::<u64>();
    census.shares = fair::in_blocks(inner, &layout, pin);
    for pool in layout.pools() {
        census
            .pools
            .insert(pool.name.clone(), pools[pool.id.as_index()]);
    }
    census
}

/// Ports that no pool may lease: those leased, in a hand, or released and resting.
fn add_draining(draining: &mut PoolCensus, look: &Look, parts: &Parts, leasable: &Mask) {
    let outside = Mask::FULL.without(leasable);
    let cooling = parts.cooling.and(&outside);
    let cooling = cooling.and(&look.stamped());
    let busy = Parts {
        free: Mask::EMPTY,
        cooling,
        ..*parts
    };
    let busy = busy.count(&outside);
    draining.capacity += busy.unissued + busy.leased + busy.cooling;
    *draining += busy;
}

/// The addresses with leases on tuples that no pool holds, and those leases.
pub(crate) fn draining(inner: &Inner, layout: &Layout, _pin: &Pin<'_>) -> (u64, u64) {
    let hands = hands(inner);
    let (mut addresses, mut leases) = (0, 0);
    for space in &layout.spaces {
        for record in space.records() {
            let Some(page) = record.page() else { continue };
            let class = layout.class(space.id, record.key);
            let leasable = class.map(|class| union(class, |share| &share.lease));
            let mut here = 0;
            for block in 0..BLOCKS {
                let hand = hands.get(&(std::ptr::from_ref(page), block));
                let hand = hand.map_or(&[][..], |hand| hand);
                let held = page.block(block);
                let parts = Parts::of(held.state(), &held.look(), hand);
                let leasable = leasable
                    .as_ref()
                    .map_or(Mask::EMPTY, |ports| ports.block(block));
                here += parts.count(&Mask::FULL.without(&leasable)).leased;
            }
            addresses += u64::from(here > 0);
            leases += here;
        }
    }
    (addresses, leases)
}

pub(crate) fn stats(inner: &Inner) -> Stats {
    let layout = inner.layout.load_full();
    let mut pools: BTreeMap<String, PoolStats> = BTreeMap::new();
    let mut shards = Vec::new();
    for shared in &inner.shards {
        let counters = &shared.stats;
        let mut shard = ShardStats {
            bursts: counters.bursts.get(),
            released: counters.released.get(),
            blocks_claimed: counters.blocks_claimed.get(),
            blocks_reheated: counters.blocks_reheated.get(),
            blocks_recycled: counters.blocks_recycled.get(),
            addresses_opened: counters.addresses_opened.get(),
            addresses_closed: counters.addresses_closed.get(),
            wishes_departed: counters.wishes_departed.get(),
            served_early: counters.served_early.get(),
            ticks_backwards: counters.ticks_backwards.get(),
            epoch_batches: counters.epoch_batches.get(),
            ..ShardStats::default()
        };
        let trays =
            (0..shared.tray_count.get() as usize).filter_map(|index| shared.trays.get(index));
        let mut in_hand: HashMap<usize, u64> = HashMap::new();
        for (pool, issued) in trays.filter_map(|tray| tray.issued()) {
            *in_hand.entry(pool.as_index()).or_default() += issued;
        }
        // Every pool there ever was, so that the shard's sums stay whole.
        let mut index = 0;
        while let Some(counters) = shared.pools.get(index) {
            let allocated = counters.allocated.get() + in_hand.get(&index).copied().unwrap_or(0);
            shard.allocated += allocated;
            let name = layout
                .pools()
                .find(|pool| pool.id.as_index() == index)
                .map(|pool| &pool.name);
            let pool = name.map(|name| pools.entry(name.clone()).or_default());
            if let Some(pool) = pool {
                pool.allocated += allocated;
                for (sum, refused) in pool.refused.iter_mut().zip(&counters.refused) {
                    *sum += refused.get();
                }
                pool.port_blocks_assigned += counters.port_blocks_assigned.get();
                pool.port_blocks_released += counters.port_blocks_released.get();
            }
            for (sum, refused) in shard.refused.iter_mut().zip(&counters.refused) {
                *sum += refused.get();
            }
            index += 1;
        }
        shards.push(shard);
    }
    let ground = &inner.ground;
    let batches = inner.shards.iter().flat_map(|shard| &shard.batches);
    Stats {
        shards,
        pools,
        shares: fair::in_books(inner, &layout),
        dropped_leases: ground.dropped_leases.get(),
        refused_tokens: ground.refused_tokens.get(),
        open_addresses: ground.open_addresses.get(),
        awaiting_grace: batches.map(|batch| batch.len.get()).sum(),
        subscribers: ground.accounts.len(),
        lost_events: ground.events.as_ref().map_or(0, |events| events.lost()),
    }
}

#[cfg(test)]
mod tests;
