//! Which events are told.

use std::time::Duration;

/// Which events an engine tells, and how many it can hold back until they are drained.
///
/// The default tells none and costs nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct EventConfig {
    pub(crate) capacity: usize,
    pub(crate) leases: bool,
    pub(crate) interval: Duration,
}

impl EventConfig {
    /// Port blocks, address bindings, quotas, exhaustion and thresholds; each shard can hold back
    /// so many (64 bytes each) until they are drained, and further ones are counted as lost.
    #[must_use]
    pub const fn new(capacity: usize) -> Self {
        EventConfig {
            capacity,
            leases: false,
            interval: Duration::from_secs(10),
        }
    }

    /// Each lease and release as well (RFC 8158 mapping events). Takes the fast path away from
    /// every pool: for pools without port blocks, where the log would otherwise say nothing.
    #[must_use]
    pub const fn leases(mut self, yes: bool) -> Self {
        self.leases = yes;
        self
    }

    /// The least time between two events of one shard that say the same pool or address is
    /// exhausted (RFC 8158 section 5.2); 10 s by default.
    #[must_use]
    pub const fn interval(mut self, least: Duration) -> Self {
        self.interval = least;
        self
    }

    /// Whether nothing is told.
    pub(crate) const fn is_off(&self) -> bool {
        self.capacity == 0
    }
}
