//! New sessions from outside, through a mapping that an inside endpoint has made.

use std::net::SocketAddr;

use super::NatBurst;
use super::flow::{Leg, Packet, first_lifetime};
use super::outbound::is_given;
use crate::allocator::NatAllocator;
use crate::event::Sink;
use crate::reason::DropReason;
use crate::session::{Half, MappingId, NatSessionManager, NewMapping, NewSession};
use crate::verdict::Verdict;

impl<'a, A: NatAllocator, M: NatSessionManager<A::Lease>, S: Sink> NatBurst<'a, A, M, S> {
    /// A session for a packet from a remote endpoint that has none, as far as the filtering of the
    /// mapping allows it. A TCP connection must begin with its SYN (RFC 5382 REQ-3); what is
    /// refused is dropped without an answer (REQ-4 leaves the answer to the gateway).
    pub(super) fn open_inbound(
        &mut self,
        mapping: MappingId,
        packet: &Packet,
    ) -> Result<Leg, Verdict> {
        let drop = |reason| Err(Verdict::Dropped(reason));
        let key = &packet.key;
        let info = self.sessions.mapping(mapping);
        let Some(index) = self.config.peering_of(info.inside_vpc, info.outside_vpc) else {
            self.sessions.withdraw(mapping);
            return drop(DropReason::NoMapping);
        };
        if packet.spent {
            return drop(DropReason::TtlExceeded);
        }
        let behaviour = self.config.peering(index).behaviour_ref();
        let remote_outside = key.remote(key.source_endpoint());
        if packet.is_reply
            || !self
                .sessions
                .admits(mapping, remote_outside, behaviour.filtering)
        {
            return drop(DropReason::Filtered);
        }
        match packet.flags {
            Some(flags) if flags.syn() && (flags.fin() || flags.rst()) => {
                return drop(DropReason::BadTcpFlags);
            }
            Some(flags) if !flags.syn() || flags.ack() => return drop(DropReason::NotSyn),
            _ => {}
        }
        let remote = SocketAddr::new(
            self.config.outer_of(index, remote_outside.ip()),
            remote_outside.port(),
        );
        // What the inside endpoint will answer with: the configuration must lead that back the
        // same way, and no other mapping may have that session already.
        let answers = info.question(remote);
        let hairpin = self.is_public(info.outside_vpc, info.protocol, remote_outside);
        match self.selection(&answers) {
            Ok((way, _, selection))
                if way == index
                    && selection.destination.unwrap_or(remote.ip()) == remote_outside.ip() =>
            {
                if !is_given(self.config, &selection, &info) {
                    self.sessions.withdraw(mapping);
                    return drop(DropReason::NoMapping);
                }
            }
            _ => return drop(DropReason::NoWayBack),
        }
        if self.sessions.find(&answers).is_some() {
            return drop(DropReason::TupleInUse);
        }
        self.make_room()?;
        // The mapping itself may have been overdue, and gone to make room.
        let public = self
            .sessions
            .mapping_of_public(info.outside_vpc, info.protocol, info.public);
        if public != Some(mapping) {
            return drop(DropReason::NoMapping);
        }
        let lifetime = first_lifetime(behaviour, info.protocol, remote.port());
        let session = NewSession {
            mapping: NewMapping::Existing(mapping),
            peering: index,
            remote,
            remote_outside,
            deadline: self.now.saturating_add(lifetime),
            generation: self.generation,
            hairpin,
        };
        Ok(self.create(session, Half::Outside))
    }
}
