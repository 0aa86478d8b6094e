//! Cheap counters, published by each shard at the end of its bursts.

use std::collections::BTreeMap;

use crate::error::AllocError;
use crate::fair::PoolShares;

/// The counters of one shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ShardStats {
    /// Bursts begun.
    pub bursts: u64,
    /// Leases given, reservations included.
    pub allocated: u64,
    /// Leases released through this shard's bursts.
    pub released: u64,
    /// Blocks taken from free.
    pub blocks_claimed: u64,
    /// Cooling blocks taken back to heating.
    pub blocks_reheated: u64,
    /// Blocks recycled to a new generation by deferred work this shard ran.
    pub blocks_recycled: u64,
    /// Addresses opened.
    pub addresses_opened: u64,
    /// Address memory given back.
    pub addresses_closed: u64,
    /// Leases given although a wish (`address`, `near_port`) could not be met.
    pub wishes_departed: u64,
    /// Ports leased before their hold-down was over because too many were cooling.
    pub served_early: u64,
    /// Bursts whose tick lay before engine time.
    pub ticks_backwards: u64,
    /// Batches of deferred recycling given to the epoch: what it may allocate for.
    pub epoch_batches: u64,
    /// Refusals, in the order of [`AllocError::ALL`].
    pub refused: [u64; AllocError::ALL.len()],
}

impl ShardStats {
    /// How often this shard refused for that reason.
    #[must_use]
    pub fn refused(&self, reason: AllocError) -> u64 {
        self.refused[reason as usize]
    }
}

/// The counters of one pool, over all shards.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PoolStats {
    /// Leases given.
    pub allocated: u64,
    /// Refusals, in the order of [`AllocError::ALL`].
    pub refused: [u64; AllocError::ALL.len()],
    /// Port blocks assigned to subscribers.
    pub port_blocks_assigned: u64,
    /// Port blocks that came back from subscribers.
    pub port_blocks_released: u64,
}

/// The counters of an engine.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// By shard.
    pub shards: Vec<ShardStats>,
    /// By pool name.
    pub pools: BTreeMap<String, PoolStats>,
    /// Who holds what of each pool that shares its blocks out (tenants, headroom, or a threshold),
    /// by pool name and protocol; as the books have it.
    pub shares: BTreeMap<String, Vec<PoolShares>>,
    /// Leases that were dropped instead of released.
    pub dropped_leases: u64,
    /// Raw tokens that were refused.
    pub refused_tokens: u64,
    /// Addresses open at this moment.
    pub open_addresses: u64,
    /// Blocks that wait for a grace period of the epoch; grows while a shard is stalled in a
    /// burst.
    pub awaiting_grace: u64,
    /// Subscribers whose books are kept, those that hold nothing included.
    pub subscribers: u64,
    /// Events that found their ring full.
    pub lost_events: u64,
}

impl Stats {
    /// Leases given by all shards.
    #[must_use]
    pub fn allocated(&self) -> u64 {
        self.shards.iter().map(|shard| shard.allocated).sum()
    }

    /// Leases given back in any way.
    #[must_use]
    pub fn released(&self) -> u64 {
        self.shards.iter().map(|shard| shard.released).sum::<u64>() + self.dropped_leases
    }

    /// How often all shards refused for that reason.
    #[must_use]
    pub fn refused(&self, reason: AllocError) -> u64 {
        self.shards.iter().map(|shard| shard.refused(reason)).sum()
    }
}
