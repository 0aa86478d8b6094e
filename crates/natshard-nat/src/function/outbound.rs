//! New sessions from inside.

use std::net::{IpAddr, SocketAddr};

use natshard::{AllocError, Protocol};

use super::NatBurst;
use super::flow::{Leg, Packet, first_lifetime};
use crate::allocator::{
    AllocationError, AllocationResult, NatAllocator, NatAllocatorBurst, NatRequest,
};
use crate::config::{
    Mapping, NatPool, Peering, PeeringIndex, PoolIndex, Pooling, PortPolicy, Route, Selection,
    TcpPickup,
};
use crate::event::{Event, MappingInfo, Sink};
use crate::packet::TcpFlags;
use crate::reason::{DropReason, UntouchedReason};
use crate::session::{FlowKey, Half, MappingId, NatSessionManager, NewMapping, NewSession};
use crate::tuple::{NatTuple, VpcId};
use crate::verdict::Verdict;

/// Whether the configuration's word on a tuple is what a mapping has.
pub(super) fn is_given(
    config: &crate::config::NatConfig,
    selection: &Selection,
    mapping: &MappingInfo,
) -> bool {
    let gives = |pool: PoolIndex| {
        let public = mapping.public;
        config
            .pool(pool)
            .gives(mapping.protocol, public.ip(), public.port())
    };
    match selection.source {
        None => mapping.public == mapping.inside,
        Some(pool) => gives(pool) || selection.privileged.is_some_and(gives),
    }
}

impl<'a, A: NatAllocator, M: NatSessionManager<A::Lease>, S: Sink> NatBurst<'a, A, M, S> {
    /// The peering that a packet takes, its tuple there and what is to become of it.
    pub(super) fn selection(
        &self,
        key: &FlowKey,
    ) -> Result<(PeeringIndex, NatTuple, Selection), UntouchedReason> {
        let index = match self.config.route(key.vpc, key.destination) {
            None => return Err(UntouchedReason::NoPeering),
            Some(Route::Local) => return Err(UntouchedReason::Local),
            Some(Route::Peering(index)) => index,
        };
        let tuple = NatTuple {
            source_vpc: key.vpc,
            destination_vpc: self.config.peering(index).outside_vpc(),
            source: key.source,
            destination: key.destination,
            protocol: key.protocol,
            source_port: key.source_port,
            destination_port: key.destination_port,
        };
        let selection = self.config.select_in(index, &tuple);
        if selection.is_empty() {
            return Err(UntouchedReason::NoPool);
        }
        Ok((index, tuple, selection))
    }

    /// A session for the first packet of a flow from inside.
    pub(super) fn open_outbound(&mut self, packet: &Packet) -> Result<Leg, Verdict> {
        let key = &packet.key;
        let (index, tuple, selection) = self.selection(key).map_err(Verdict::Untouched)?;
        if packet.spent {
            return Err(Verdict::Dropped(DropReason::TtlExceeded));
        }
        let peering = self.config.peering(index);
        check_flags(packet.flags, peering.behaviour_ref().tcp_pickup)?;
        let remote = key.remote(key.destination_endpoint());
        let remote_outside = match selection.destination {
            Some(address) => SocketAddr::new(address, remote.port()),
            None => remote,
        };
        let hairpin = self.is_public(tuple.destination_vpc, key.protocol, remote_outside);
        if hairpin && !peering.behaviour_ref().hairpinning {
            return Err(Verdict::Dropped(DropReason::HairpinOff));
        }
        if hairpin && !self.is_owned(tuple.destination_vpc, key.protocol, remote_outside) {
            return Err(Verdict::Dropped(DropReason::NoMapping));
        }
        self.make_room()?;
        let mapping = match self.shared_mapping(peering, &tuple, &selection) {
            Some(mapping) => {
                self.check_unique(&self.sessions.mapping(mapping), remote_outside)?;
                NewMapping::Existing(mapping)
            }
            None => self.new_mapping(peering, &tuple, &selection, remote_outside)?,
        };
        let lifetime = first_lifetime(peering.behaviour_ref(), key.protocol, remote.port());
        let session = NewSession {
            mapping,
            peering: index,
            remote,
            remote_outside,
            deadline: self.now.saturating_add(lifetime),
            generation: self.generation,
            hairpin,
        };
        Ok(self.create(session, Half::Inside))
    }

    /// Whether a remote endpoint is a public address of ours.
    pub(super) fn is_public(&self, vpc: VpcId, protocol: Protocol, remote: SocketAddr) -> bool {
        self.config.public_pool(vpc, remote.ip()).is_some()
            || self
                .sessions
                .mapping_of_public(vpc, protocol, remote)
                .is_some()
    }

    /// Whether anybody holds a public tuple. Of ICMP nobody knows before the packet has its public
    /// identifier.
    fn is_owned(&self, vpc: VpcId, protocol: Protocol, public: SocketAddr) -> bool {
        protocol == Protocol::Icmp
            || self
                .sessions
                .mapping_of_public(vpc, protocol, public)
                .is_some()
            || self.is_elsewhere(vpc, protocol, public)
    }

    /// The endpoint-independent mapping of the tuple's source, if there is one that the current
    /// configuration would give; another one takes no further sessions.
    fn shared_mapping(
        &mut self,
        peering: &Peering,
        tuple: &NatTuple,
        selection: &Selection,
    ) -> Option<MappingId> {
        if peering.behaviour_ref().mapping != Mapping::EndpointIndependent {
            return None;
        }
        let mapping = self.sessions.mapping_of_inside(
            tuple.source_vpc,
            tuple.destination_vpc,
            tuple.protocol,
            tuple.source_endpoint(),
        )?;
        if is_given(self.config, selection, &self.sessions.mapping(mapping)) {
            return Some(mapping);
        }
        self.sessions.withdraw(mapping);
        None
    }

    /// Leases a public tuple for the tuple's source.
    fn new_mapping(
        &mut self,
        peering: &Peering,
        tuple: &NatTuple,
        selection: &Selection,
        remote_outside: SocketAddr,
    ) -> Result<NewMapping<A::Lease>, Verdict> {
        let request = |burst: &Self| {
            let paired = |burst: &Self| {
                let sessions = &burst.sessions;
                sessions.paired_address(tuple.source_vpc, tuple.destination_vpc, tuple.source)
            };
            burst.request(peering, *tuple, *selection, paired)
        };
        let result = match self.allocate(request(self)) {
            Err(error) => match self.may_retry(error) {
                true => self.allocate(request(self)),
                false => Err(error),
            },
            result => result,
        };
        let source = result.map_err(|error| self.refused(tuple, error))?.source;
        if source.is_some() {
            self.note_leased();
        }
        let public = source.as_ref().map_or(tuple.source_endpoint(), |target| {
            SocketAddr::new(target.address, target.port.as_u16())
        });
        let lease = source.map(|target| target.lease);
        let info = MappingInfo {
            inside_vpc: tuple.source_vpc,
            outside_vpc: tuple.destination_vpc,
            protocol: tuple.protocol,
            inside: tuple.source_endpoint(),
            public,
        };
        self.sessions.expect(&info, remote_outside);
        if let Err(verdict) = self.check_unique(&info, remote_outside) {
            if let Some(lease) = lease {
                self.release(lease, natshard::Reason::Unused);
            }
            return Err(verdict);
        }
        if lease.is_some() {
            self.sink.event(&Event::LeaseAllocated {
                at: self.now,
                mapping: info,
            });
        }
        Ok(NewMapping::New {
            lease,
            info,
            endpoint_independent: peering.behaviour_ref().mapping == Mapping::EndpointIndependent,
        })
    }

    /// Whether sessions have ended whose time was over, and may have held what was wanted.
    #[cold]
    pub(super) fn may_retry(&mut self, error: AllocationError) -> bool {
        matches!(error, AllocationError::Refused(reason) if reason.is_exhaustion())
            && self.expire(super::LAST_RESORT)
    }

    pub(super) const fn note_leased(&mut self) {
        let stats = &mut *self.stats;
        stats.leases_allocated += 1;
        let leases = stats.leases_allocated - stats.leases_released;
        if leases > stats.leases_peak {
            stats.leases_peak = leases;
        }
    }

    fn allocate(
        &mut self,
        request: NatRequest,
    ) -> Result<AllocationResult<A::Lease>, AllocationError> {
        match request.tuple.source {
            IpAddr::V4(_) => self.allocator.allocate_v4(request),
            IpAddr::V6(_) => self.allocator.allocate_v6(request),
        }
    }

    /// The tuple with the wishes of the peering's behaviour; `paired` is the public address that
    /// mappings of its source share.
    #[inline(always)]
    pub(super) fn request(
        &self,
        peering: &Peering,
        tuple: NatTuple,
        selection: Selection,
        paired: impl FnOnce(&Self) -> Option<IpAddr>,
    ) -> NatRequest {
        let behaviour = peering.behaviour_ref();
        let pool = selection.source.map(|pool| self.config.pool(pool));
        let address = match behaviour.pooling {
            Pooling::Arbitrary => None,
            // Over all shards and protocols, and exactly.
            Pooling::Paired if pool.is_some_and(NatPool::pairs) => None,
            Pooling::Paired => {
                paired(self).filter(|address| pool.is_some_and(|pool| pool.contains(*address)))
            }
        };
        let port = tuple.source_port.as_u16();
        let near_port = match behaviour.port_policy {
            PortPolicy::Random => None,
            PortPolicy::Preserve => Some(port),
            PortPolicy::Parity => pool.map(|pool| {
                let range = pool.range(tuple.protocol);
                let (first, last) = (u64::from(*range.start()), u64::from(*range.end()));
                let at = first + self.random_number() % (last.saturating_sub(first) + 1);
                at as u16 & !1 | port & 1
            }),
        };
        NatRequest {
            tuple,
            selection: Some(selection),
            address,
            near_port,
        }
    }

    /// A number that nobody outside can foretell: a keyed hash of a counter.
    fn random_number(&self) -> u64 {
        self.random.hash_one(self.stats.leases_allocated)
    }

    /// Notes a refused allocation.
    #[cold]
    pub(super) fn refused(&mut self, tuple: &NatTuple, error: AllocationError) -> Verdict {
        let reason = match error {
            AllocationError::Refused(reason) => reason,
            // The allocator broke its own pool's rules, or cannot keep them.
            AllocationError::Port(_) | AllocationError::Unsupported(_) => AllocError::Excluded,
            AllocationError::Family => AllocError::NoSuchFamily,
        };
        self.stats.leases_refused[reason as usize] += 1;
        self.sink.event(&Event::LeaseRefused {
            at: self.now,
            tuple: *tuple,
            reason,
        });
        Verdict::Dropped(match reason {
            AllocError::SubscriberQuota => DropReason::SubscriberQuota,
            AllocError::TenantQuota => DropReason::TenantQuota,
            reason if reason.is_exhaustion() => DropReason::PoolExhausted,
            _ => DropReason::AllocationRefused,
        })
    }

    /// Whether answers to a session of that mapping could be mistaken for those of another one. They
    /// cannot where sources are leased; without a lease the addresses of two VPCs may clash.
    fn check_unique(
        &self,
        mapping: &MappingInfo,
        remote_outside: SocketAddr,
    ) -> Result<(), Verdict> {
        match self.sessions.find(&mapping.answer(remote_outside)) {
            Some(_) => Err(Verdict::Dropped(DropReason::TupleInUse)),
            None => Ok(()),
        }
    }
}

/// Whether a segment that belongs to no session may make one.
pub(super) fn check_flags(flags: Option<TcpFlags>, pickup: TcpPickup) -> Result<(), Verdict> {
    let Some(flags) = flags else { return Ok(()) };
    if flags.syn() && (flags.fin() || flags.rst()) {
        return Err(Verdict::Dropped(DropReason::BadTcpFlags));
    }
    if pickup == TcpPickup::Strict && (!flags.syn() || flags.ack()) {
        return Err(Verdict::Dropped(DropReason::NotSyn));
    }
    Ok(())
}
