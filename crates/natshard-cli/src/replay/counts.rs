//! What became of the packets.

use std::collections::BTreeMap;
use std::ops::AddAssign;

/// Packets by what became of them; after amplification.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Counts {
    /// All of them.
    pub(crate) read: u64,
    /// Translated on their way out.
    pub(crate) inside_to_outside: u64,
    /// Translated on their way in.
    pub(crate) outside_to_inside: u64,
    /// Passed as they were, by reason.
    pub(crate) untouched: BTreeMap<&'static str, u64>,
    /// Not passed, by reason.
    pub(crate) dropped: BTreeMap<&'static str, u64>,
}

impl Counts {
    /// Translated either way.
    pub(crate) fn translated(&self) -> u64 {
        self.inside_to_outside + self.outside_to_inside
    }

    /// Whether every packet read is accounted for.
    pub(crate) fn balance(&self) -> bool {
        let elsewhere: u64 = self.untouched.values().chain(self.dropped.values()).sum();
        self.read == self.translated() + elsewhere
    }

    /// So many more passed untouched for that reason.
    pub(crate) fn untouched(&mut self, reason: &'static str, packets: u64) {
        *self.untouched.entry(reason).or_default() += packets;
    }

    /// So many more were dropped for that reason.
    pub(crate) fn dropped(&mut self, reason: &'static str, packets: u64) {
        *self.dropped.entry(reason).or_default() += packets;
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.read += other.read;
        self.inside_to_outside += other.inside_to_outside;
        self.outside_to_inside += other.outside_to_inside;
        for (reason, packets) in other.untouched {
            self.untouched(reason, packets);
        }
        for (reason, packets) in other.dropped {
            self.dropped(reason, packets);
        }
    }
}
