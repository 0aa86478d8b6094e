//! What each class holds of the pools that share their blocks out, from the books and from the
//! blocks themselves.

use std::collections::{BTreeMap, HashMap};

use crate::event::Holder;
use crate::fair::quota::ClassNumber;
use crate::fair::tally::Tally;
use crate::hints::BLOCKS;
use crate::id::PoolId;
use crate::inner::Inner;
use crate::layout::Layout;
use crate::protocol::Protocol;
use crate::reclaim::Pin;

/// How the blocks (256 ports) of one pool and protocol are shared out.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct PoolShares {
    /// The protocol.
    pub protocol: Protocol,
    /// Blocks there are.
    pub blocks: u64,
    /// Blocks that may be borrowed: neither held nor guaranteed. Below zero when more is
    /// guaranteed than others leave at present, after a reconfiguration.
    pub lendable: i64,
    /// Whether the pool is as full as its threshold says; never without one.
    pub raised: bool,
    /// How often it became so.
    pub times_raised: u64,
    /// Everybody else, control traffic where there is headroom, and tenants by number.
    pub shares: Vec<ShareCensus>,
}

/// What one tenant, control traffic, or everybody else has of a pool, in blocks of one protocol.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ShareCensus {
    /// Who. A tenant that the configuration does not name any more is listed for as long as blocks
    /// are held for it.
    pub holder: Holder,
    /// Blocks held, those that rest included.
    pub held: u64,
    /// Blocks guaranteed: the minimum of a tenant, or the headroom.
    pub minimum: u32,
    /// Blocks it may hold, if there is a maximum.
    pub maximum: Option<u32>,
}

/// By name of the pool; by protocol.
pub(crate) type Shares = BTreeMap<String, Vec<PoolShares>>;

/// As the books of the shares have it.
pub(crate) fn in_books(inner: &Inner, layout: &Layout) -> Shares {
    let held = |pool, protocol, class| {
        let tally = inner.tally(pool, protocol);
        u64::from(tally.holding(class).held())
    };
    list(inner, layout, held, |tally, _| tally.pot())
}

/// As the blocks have it.
pub(crate) fn in_blocks(inner: &Inner, layout: &Layout, _pin: &Pin<'_>) -> Shares {
    let mut counts: HashMap<(PoolId, Protocol, ClassNumber), u64> = HashMap::new();
    for space in &layout.spaces {
        let pages = space.records().filter_map(|record| record.page());
        for tenancies in pages.filter_map(|page| page.tenancies()) {
            let held = (0..BLOCKS).map(|block| tenancies.get(block));
            for held in held.filter(|held| !held.is_none()) {
                let key = (held.pool(), space.protocol, held.class());
                *counts.entry(key).or_default() += 1;
            }
        }
    }
    let held = |pool, protocol, class| {
        let count = counts.get(&(pool, protocol, class));
        count.copied().unwrap_or(0)
    };
    let lendable = |tally: &Tally, shares: &[ShareCensus]| {
        let reserved = shares.iter().map(|one| one.held.max(one.minimum.into()));
        tally.blocks() as i64 - reserved.sum::<u64>() as i64
    };
    list(inner, layout, held, lendable)
}

fn list(
    inner: &Inner,
    layout: &Layout,
    held: impl Fn(PoolId, Protocol, ClassNumber) -> u64,
    lendable: impl Fn(&Tally, &[ShareCensus]) -> i64,
) -> Shares {
    let mut all = Shares::new();
    for pool in layout.pools() {
        let Some(sharing) = &pool.sharing else {
            continue;
        };
        let of = |protocol| {
            let tally = inner.tally(pool.id, protocol);
            let named = sharing.classes().map(|(class, holder, ..)| (class, holder));
            let former = sharing.former();
            let former = former.filter(|&(class, _)| held(pool.id, protocol, class) > 0);
            let share = |(class, holder)| {
                let maximum = tally.maximum(class);
                ShareCensus {
                    holder,
                    held: held(pool.id, protocol, class),
                    minimum: tally.holding(class).minimum(),
                    maximum: (maximum != u32::MAX).then_some(maximum),
                }
            };
            let shares: Vec<_> = named.chain(former).map(share).collect();
            let (raised, times_raised) = tally.alarm();
            PoolShares {
                protocol,
                raised,
                times_raised,
                blocks: tally.blocks(),
                lendable: lendable(tally, &shares),
                shares,
            }
        };
        all.insert(pool.name.clone(), Protocol::ALL.map(of).into());
    }
    all
}
