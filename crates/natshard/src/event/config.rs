//! Which events are told.

/// Which events an engine tells, and how many it can hold back until they are drained.
///
/// The default tells none and costs nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct EventConfig {
    pub(crate) capacity: usize,
    pub(crate) leases: bool,
}

impl EventConfig {
    /// Port blocks, address bindings, quotas, exhaustion and thresholds; each shard can hold back
    /// so many (64 bytes each) until they are drained, and further ones are counted as lost.
    #[must_use]
    pub const fn new(capacity: usize) -> Self {
        EventConfig {
            capacity,
            leases: false,
        }
    }

    /// Each lease and release as well (RFC 8158 mapping events). Takes the fast path away from
    /// every pool: for pools without port blocks, where the log would otherwise say nothing.
    #[must_use]
    pub const fn leases(mut self, yes: bool) -> Self {
        self.leases = yes;
        self
    }

    /// Whether nothing is told.
    pub(crate) const fn is_off(&self) -> bool {
        self.capacity == 0
    }
}
