//! What the engine is measured against. Each does less than the engine does: none lets ports rest
//! by the clock, none says why it refuses, and only some are exact at exhaustion.

mod blocks;
mod gateway;
mod locked;
mod nothing;
mod probing;
mod shared;

pub use blocks::LocalBlocks;
pub use gateway::Gateway;
pub use locked::{LockedBitmap, LockedQueue};
pub use nothing::{Counter, Harness};
pub use probing::Probing;
pub use shared::{Queue, ShardedSlab};

/// The ports of one address from 1024 on.
pub const PORTS_PER_ADDRESS: u32 = 64_512;
