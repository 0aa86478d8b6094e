//! A lock-free, sharded IP/port allocator engine for stateful NAT.
#![deny(unsafe_op_in_unsafe_fn)]
#![warn(missing_docs)]

mod census;
mod config;
mod config_error;
mod error;
mod id;
mod protocol;
mod request;
mod stats;
mod stub;
mod tick;

pub use census::{BlockCensus, Census, PoolCensus};
pub use config::{EngineConfig, PoolConfig, PortOrder};
pub use config_error::{ConfigError, ConfigFault};
pub use error::{AllocError, ReleaseError, ShardError};
pub use id::{PoolId, RealmId, ShardId};
pub use protocol::Protocol;
pub use request::{Family, Request, Strictness};
pub use stats::{PoolStats, ShardStats, Stats};
pub use stub::{Burst, Engine, Lease, RawLease, Reason, Reconfigured, Shard};
pub use tick::Tick;
