//! Exact accounting of every port (I2).

use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;

use crate::fair::PoolShares;

/// The ports of one pool, or of a whole engine, by what becomes of them.
///
/// At quiescence (no burst open anywhere) `capacity = free + unissued + leased + cooling +
/// excluded`, exactly; while shards work it is a snapshot without that promise.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PoolCensus {
    /// Every port of every address of the prefixes within the port ranges, all protocols.
    pub capacity: u64,
    /// Ports of blocks nobody has taken since they were last recycled, unopened ones included.
    pub free: u64,
    /// Ports that lie in a shard's heating block, or in a block of port blocks or deterministic
    /// ranges, and were not leased yet (or are known to have rested).
    pub unissued: u64,
    /// Ports leased to somebody.
    pub leased: u64,
    /// Released ports of heating and cooling blocks, whether they have rested enough or not.
    pub cooling: u64,
    /// Ports within the ranges that exclusions keep from being given out.
    pub excluded: u64,
}

impl PoolCensus {
    /// Whether the books balance.
    #[must_use]
    pub const fn balances(&self) -> bool {
        self.capacity == self.free + self.unissued + self.leased + self.cooling + self.excluded
    }
}

impl AddAssign for PoolCensus {
    fn add_assign(&mut self, other: Self) {
        self.capacity += other.capacity;
        self.free += other.free;
        self.unissued += other.unissued;
        self.leased += other.leased;
        self.cooling += other.cooling;
        self.excluded += other.excluded;
    }
}

impl fmt::Display for PoolCensus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "capacity {} = free {} + unissued {} + leased {} + cooling {} + excluded {}",
            self.capacity, self.free, self.unissued, self.leased, self.cooling, self.excluded
        )
    }
}

/// A census of an engine, recomputed from the atomic words themselves.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Census {
    /// All pools; a port that several pools share counts once.
    pub total: PoolCensus,
    /// Ports of addresses that no pool holds any longer: only those that are not free yet.
    pub draining: PoolCensus,
    /// By pool name; pools that overlap each count the ports they share.
    pub pools: BTreeMap<String, PoolCensus>,
    /// Who holds what of each pool that shares its blocks out (tenants, headroom, or a threshold),
    /// by pool name and protocol; counted from the blocks themselves.
    pub shares: BTreeMap<String, Vec<PoolShares>>,
    /// Ports that two words disagree about: in two hands, in the hand of a shard that does not heat
    /// their block, in a hand though nobody's, issued though their block is free, or of free blocks
    /// that their address does not count. Zero at quiescence, whatever was done before; a snapshot
    /// without that promise while shards work.
    pub contradictions: u64,
    /// How many blocks (of opened addresses, all protocols) are free, heating and cooling.
    pub blocks: BlockCensus,
}

/// Blocks of opened addresses by phase.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BlockCensus {
    /// Free blocks.
    pub free: u64,
    /// Blocks some shard allocates from.
    pub heating: u64,
    /// Blocks handed out, waiting to be reclaimed.
    pub cooling: u64,
    /// Blocks whose ports belong to subscribers.
    pub assigned: u64,
}
