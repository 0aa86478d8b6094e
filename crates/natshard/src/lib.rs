#![doc = include_str!("../../../README.md")]
#![deny(unsafe_op_in_unsafe_fn)]
#![warn(missing_docs)]

mod accounting;
mod address;
mod bag;
mod block;
mod census;
mod changes;
mod chunks;
mod clock;
mod config;
mod config_error;
mod contiguous;
mod engine;
mod error;
mod event;
#[cfg(natshard_failpoints)]
#[doc(hidden)]
pub mod failpoints;
mod fair;
mod fields;
mod grace;
mod ground;
mod hints;
mod id;
mod inner;
mod layout;
mod lease;
#[cfg(loom)]
#[doc(hidden)]
pub mod model;
mod page;
#[cfg(shuttle)]
#[doc(hidden)]
pub mod planted;
#[cfg(not(shuttle))]
mod planted;
mod port_allocator;
mod portset;
mod protocol;
mod queue;
mod reclaim;
mod refill;
mod region;
mod request;
mod requests;
mod rounds;
mod segments;
mod shard;
mod space;
mod standing;
mod stats;
#[cfg(test)]
mod steps;
mod sweep;
mod sync;
mod take;
mod tell;
#[cfg(test)]
mod testing;
mod tick;
mod trie;
mod wish;
mod worker;

pub use census::{BlockCensus, Census, PoolCensus};
pub use config::{EngineConfig, PoolConfig, PortOrder};
pub use config_error::{ConfigError, ConfigFault};
pub use engine::{Engine, Reconfigured, Steering};
pub use error::{AllocError, ReleaseError, ShardError};
pub use event::{
    Event, EventBooks, EventConfig, EventContradiction, EventKind, EventReader, EventSink, Holder,
    Limit, PoolBooks, PoolChange, PortRange,
};
pub use fair::{
    Deterministic, DeterministicMap, PoolPolicies, PoolShares, PortBlocks, ShareCensus,
    SubscriberCensus, SubscriberLimit, SubscriberPorts, TenantShare, Threshold,
};
pub use id::{PoolId, RealmId, ShardId};
pub use lease::{Lease, RawLease, Reason};
pub use protocol::Protocol;
pub use request::{Family, Parity, Request, Strictness};
pub use shard::{Burst, Shard};
pub use stats::{PoolStats, ShardStats, Stats};
pub use tick::Tick;
