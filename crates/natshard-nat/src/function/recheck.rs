//! Sessions made under an older configuration: kept, drained or ended, never doubled.
//!
//! Every session knows the configuration generation it was last checked against. One that is
//! behind is checked when its next packet comes, and a sweep of a few table slots per burst
//! reaches those without packets.

use super::NatBurst;
use super::outbound::is_given;
use crate::allocator::NatAllocator;
use crate::config::Withdrawn;
use crate::event::Sink;
use crate::reason::EndReason;
use crate::session::{NatSession, NatSessionManager, SessionId};

impl<'a, A: NatAllocator, M: NatSessionManager<A::Lease>, S: Sink> NatBurst<'a, A, M, S> {
    /// Checks a session against the current configuration; whether it goes on.
    pub(super) fn recheck(&mut self, id: SessionId) -> bool {
        let session = self.sessions.session(id);
        let (info, was_hairpin) = (session.info(), session.is_hairpin());
        let mapping = info.mapping;
        let outward = mapping.question(info.remote);
        let hairpin = self.is_public(mapping.outside_vpc, mapping.protocol, info.remote_outside);
        let translated = mapping.public != mapping.inside;
        let found = self
            .selection(&outward)
            .ok()
            .filter(|(_, tuple, selection)| {
                tuple.destination_vpc == mapping.outside_vpc
                    && selection.source.is_some() == translated
                    && selection.destination.unwrap_or(info.remote.ip()) == info.remote_outside.ip()
                    && hairpin == was_hairpin
            });
        let Some((peering, _, selection)) = found else {
            self.end(id, EndReason::Reconfigured);
            return false;
        };
        // One that drains is joined by no new session: whoever wants to looks at this again.
        let given = is_given(self.config, &selection, &mapping);
        if !given && self.config.withdrawn() == Withdrawn::End {
            self.end(id, EndReason::Reconfigured);
            return false;
        }
        self.sessions.checked(id, self.generation, peering);
        true
    }

    /// Checks sessions of older configurations, at most `budget` table slots.
    pub(super) fn recheck_some(&mut self, mut budget: usize) {
        while let Some(id) = self.sessions.unchecked(self.generation, &mut budget) {
            self.recheck(id);
        }
    }
}
