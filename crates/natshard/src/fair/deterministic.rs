//! Deterministic ranges (RFC 7422): from a subscriber to its address and ports by computation.

/// So many subscribers, each with so many ports of each protocol (RFC 7422).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Deterministic {
    pub(crate) subscribers: u64,
    pub(crate) ports: u16,
}

impl Deterministic {
    /// Subscribers 0 to `subscribers - 1`, each with `ports` consecutive ports of each protocol.
    #[must_use]
    pub const fn new(subscribers: u64, ports: u16) -> Self {
        Deterministic { subscribers, ports }
    }
}
