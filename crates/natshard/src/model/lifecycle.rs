//! The transitions of a block's state word, for the explicit-state model.

use crate::id::ShardId;

pub use crate::block::{BlockState, Phase};

/// The shard of that number.
pub fn shard(number: u8) -> ShardId {
    ShardId(number)
}
