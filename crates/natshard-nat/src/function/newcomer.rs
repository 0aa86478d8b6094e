//! The short way of first packets: plain, from inside, of an endpoint that has no mapping, towards
//! somewhere that is nobody's public address.
//!
//! It asks in the order of the long way and comes to the same; what is out of the ordinary is left to
//! that before anything has been changed.

use std::net::{IpAddr, SocketAddr};

use natshard::Reason;

use super::NatBurst;
use super::express::Plain;
use super::flow::{Leg, Outcome, Packet, first_lifetime};
use super::outbound::check_flags;
use crate::addr::is_translatable;
use crate::allocator::{AllocationError, NatAllocator, NatAllocatorBurst, SourceTarget};
use crate::config::{Mapping, Way};
use crate::event::{Event, MappingInfo, Sink};
use crate::packet::{HopLimit, PlainPacket};
use crate::reason::DropReason;
use crate::session::{Admitted, Half, NatSessionManager, NewLease, Newcomer, SessionId};
use crate::tuple::{NatTuple, VpcId};
use crate::verdict::{Direction, Verdict};

impl<'a, A: NatAllocator, M: NatSessionManager<A::Lease>, S: Sink> NatBurst<'a, A, M, S> {
    /// Makes the session of a first packet, a stranger to the table, and lets it travel along; `None`
    /// where it has to go the long way, and changes nothing then.
    pub(super) fn first(
        &mut self,
        frame: &mut [u8],
        vpc: VpcId,
        (packet, hint): &Plain,
    ) -> Option<Outcome> {
        if !A::Burst::LEASES_ONLY {
            return None;
        }
        let config = self.config;
        let way = config.plain_way(vpc, packet)?;
        let behaviour = config.peering(way.peering).behaviour_ref();
        let is_spent = config.hop_limit() == HopLimit::Decrement && packet.hop_limit <= 1;
        let is_odd = is_spent
            || !is_translatable(packet.source())
            || !is_translatable(packet.destination())
            || check_flags(packet.tcp_flags(), behaviour.tcp_pickup).is_err();
        if is_odd {
            return None;
        }
        let shared = behaviour.mapping == Mapping::EndpointIndependent;
        let vpcs = [vpc, way.outside];
        let newcomer = self.sessions.newcomer(vpcs, shared, packet, hint)?;
        Some(self.receive(frame, packet, &way, &newcomer))
    }

    fn receive(
        &mut self,
        frame: &mut [u8],
        packet: &PlainPacket,
        way: &Way,
        newcomer: &Newcomer,
    ) -> Outcome {
        self.make_room()?;
        let [vpc, outside] = newcomer.vpcs();
        // Written once, where it is read: copies of what was just written in parts stall.
        let tuple = || NatTuple {
            source_vpc: vpc,
            destination_vpc: outside,
            source: packet.source(),
            destination: packet.destination(),
            protocol: packet.protocol,
            source_port: packet.source_port(),
            destination_port: packet.destination_port(),
        };
        let config = self.config;
        let peering = config.peering(way.peering);
        let pair = |burst: &Self| burst.sessions.pair(newcomer, packet);
        let request = self.request(peering, tuple(), way.selection(), pair);
        let target = match self.allocator.lease(way.pool, &request) {
            Ok(target) => target,
            Err(error) => self.lease_again(error, way, tuple(), pair)?,
        };
        self.note_leased();
        let behaviour = peering.behaviour_ref();
        let remote_port = packet.destination_port().as_u16();
        let lifetime = first_lifetime(behaviour, packet.protocol, remote_port);
        let public = SocketAddr::new(target.address, target.port.as_u16());
        let new = NewLease {
            lease: target.lease,
            public,
            peering: way.peering,
            deadline: self.now.saturating_add(lifetime),
        };
        let moment = self.moment();
        let Admitted { session, passage } =
            match self.sessions.admit(newcomer, packet, new, &moment) {
                Ok(admitted) => admitted,
                Err(lease) => {
                    self.release(lease, Reason::Unused);
                    return Err(Verdict::Dropped(DropReason::TupleInUse));
                }
            };
        self.sink.event(&Event::LeaseAllocated {
            at: self.now,
            mapping: MappingInfo {
                inside_vpc: vpc,
                outside_vpc: outside,
                protocol: packet.protocol,
                inside: SocketAddr::new(packet.source(), packet.source_port().as_u16()),
                public,
            },
        });
        self.note_created(session, Half::Inside);
        match passage {
            Some(passage) => {
                packet.replace(frame, &passage.replacement, config.hop_limit());
                Ok((Direction::Outbound, passage.to))
            }
            None => self.follow_plain(frame, vpc, packet, session),
        }
    }

    /// Leases once more if that is of use.
    #[cold]
    fn lease_again(
        &mut self,
        error: AllocationError,
        way: &Way,
        tuple: NatTuple,
        pair: impl FnOnce(&Self) -> Option<IpAddr>,
    ) -> Result<SourceTarget<A::Lease>, Verdict> {
        let result = match self.may_retry(error) {
            true => {
                let peering = self.config.peering(way.peering);
                let request = self.request(peering, tuple, way.selection(), pair);
                self.allocator.lease(way.pool, &request)
            }
            false => Err(error),
        };
        result.map_err(|error| self.refused(&tuple, error))
    }

    /// The rest of the long way, for a packet whose session takes no other.
    #[cold]
    fn follow_plain(
        &mut self,
        frame: &mut [u8],
        vpc: VpcId,
        packet: &PlainPacket,
        id: SessionId,
    ) -> Outcome {
        let whole = packet.view(frame).and_then(|view| {
            let packet = Packet::of(&view, vpc, false)?;
            Some((view, packet))
        });
        let Some((view, packet)) = whole else {
            return Err(Verdict::Dropped(DropReason::Malformed));
        };
        let leg = Leg {
            id,
            half: Half::Inside,
            is_new: true,
        };
        self.go_along(frame, &view, &packet, leg)
    }
}
