//! A refusal that stands, as the fast path knows it again.

use std::ptr::NonNull;

use crate::sync::{Counter, Word};

/// What has to be as it was for a pool of one region, whose blocks are anybody's, to refuse a
/// request like the last one it refused. Valid while the shard works by the same layout.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    /// The slot of such requests.
    pub(crate) slot: u32,
    /// How often something became leasable.
    pub(crate) version: u64,
    pub(crate) slice: u64,
    /// How often this shard took on a block.
    pub(crate) loads: u64,
    /// Where `version` is counted: a word of a region of the layout.
    pub(crate) counted: NonNull<Word>,
    /// Where refusals are: a counter of this shard.
    pub(crate) refusals: NonNull<Counter>,
}

// SAFETY: it refers to what is `Sync`, and is used only by the shard it belongs to.
unsafe impl Send for Standing {}

impl Standing {
    /// No refusal.
    pub(crate) const NONE: Standing = Standing {
        slot: u32::MAX - 1,
        version: 0,
        slice: 0,
        loads: 0,
        counted: NonNull::dangling(),
        refusals: NonNull::dangling(),
    };

    /// Refuses a request of that slot once more, if nothing has changed.
    #[inline]
    pub(crate) fn refuses(&self, slot: u32, slice: u64, loads: u64) -> bool {
        if self.slot != slot || self.slice != slice || self.loads != loads {
            return false;
        }
        // SAFETY: its slot is that of a request, so it was made by `Burst::refuse_again`. The
        // region lives as long as the layout that the shard works by, and whoever adopts another
        // one forgets this; the counter lives as long as the engine.
        let (counted, refusals) = unsafe { (self.counted.as_ref(), self.refusals.as_ref()) };
        if counted.get() != self.version {
            return false;
        }
        refusals.bump(1);
        true
    }
}
