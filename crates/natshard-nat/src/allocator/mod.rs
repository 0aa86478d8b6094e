//! What the NAT function needs of an allocator, whichever it is.
//!
//! The function never sees the engine: it asks a [`NatAllocator`] for a burst, and the burst for
//! targets. [`NatDefaultAllocator`] is a shard of the engine; [`ReferenceAllocator`] is a slow and
//! obviously right one that passes the same tests.

mod engine;
mod reference;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use natshard::{AllocError, Protocol, Reason, Tick};
use thiserror::Error;

pub use engine::{EngineBurst, NatDefaultAllocator};
pub use reference::{ReferenceAllocator, ReferenceBurst, ReferenceLease};

use crate::config::{NatConfig, NatPool, PoolIndex, Selection, Share, Subscriber};
use crate::port::{NatPort, PortError, UnreservedPort};
use crate::tuple::NatTuple;

/// What a new mapping is asked for: the tuple, and wishes that never are a reason to refuse.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NatRequest {
    /// The tuple of the packet that needs it.
    pub tuple: NatTuple,
    /// What the configuration says about the tuple, where the caller has looked already; always
    /// there in what [`NatAllocatorBurst::lease`] is called with.
    pub selection: Option<Selection>,
    /// A public address to take the tuple from if it can be had: paired pooling.
    pub address: Option<IpAddr>,
    /// A port to be at or near, in its parity: port preservation.
    pub near_port: Option<u16>,
}

impl NatRequest {
    /// The subscriber that asks, where the pool keeps books of subscribers and has this one.
    #[must_use]
    pub fn subscriber(&self, pool: &NatPool) -> Option<Subscriber> {
        pool.subscriber(self.tuple.source_vpc, self.tuple.source)
    }

    /// Which part of the pool is asked for.
    #[must_use]
    pub fn share(&self) -> Share {
        self.selection.map(|it| it.share).unwrap_or_default()
    }
}

impl From<&NatTuple> for NatRequest {
    fn from(tuple: &NatTuple) -> Self {
        NatRequest {
            tuple: *tuple,
            selection: None,
            address: None,
            near_port: None,
        }
    }
}

/// What the source becomes. Holds the right to it.
#[derive(PartialEq, Eq, Debug)]
pub struct SourceTarget<L> {
    /// The right to the public tuple; give it back with [`NatAllocatorBurst::release`].
    pub lease: L,
    /// The public address.
    pub address: IpAddr,
    /// The public port or identifier.
    pub port: UnreservedPort,
}

/// What the destination becomes. Destinations are translated by static rules, which need no lease.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DestinationTarget {
    /// The address.
    pub address: IpAddr,
    /// The port, as the packet carries it.
    pub port: NatPort,
}

/// What a tuple is translated to. A target that is absent leaves its side as it is.
#[derive(PartialEq, Eq, Debug)]
pub struct AllocationResult<L> {
    /// What the source becomes.
    pub source: Option<SourceTarget<L>>,
    /// What the destination becomes.
    pub destination: Option<DestinationTarget>,
}

/// Why there is no [`AllocationResult`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Error)]
pub enum AllocationError {
    /// The allocator refused, for that reason.
    #[error(transparent)]
    Refused(#[from] AllocError),
    /// The allocator gave a port that its pool does not give out; it was given back.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The pool has a policy that the allocator does not know.
    #[error("the allocator does not know the pool's {0}")]
    Unsupported(&'static str),
    /// The tuple is not of the family of the method called.
    #[error("the tuple is not of the address family asked for")]
    Family,
}

/// An allocator of public tuples, private to one function instance.
pub trait NatAllocator {
    /// The right to one public tuple. Dropping it must give it back as well, if less cheaply.
    type Lease: fmt::Debug;

    /// See [`NatAllocatorBurst`].
    type Burst<'a>: NatAllocatorBurst<Lease = Self::Lease>
    where
        Self: 'a;

    /// Begins a burst at that time, under that configuration.
    fn burst<'a>(&'a mut self, now: Tick, config: &'a Arc<NatConfig>) -> Self::Burst<'a>;

    /// What is to be done before the caller sleeps.
    fn idle(&mut self, now: Tick);
}

/// An allocator between two looks at the clock.
pub trait NatAllocatorBurst {
    /// The right to one public tuple.
    type Lease;

    /// Whether [`allocate_v4`](Self::allocate_v4) and [`allocate_v6`](Self::allocate_v6) are those
    /// of this trait, so that [`lease`](Self::lease) may be called in their place for a source that
    /// one pool serves: on the short way of first packets, which is closed otherwise.
    const LEASES_ONLY: bool = false;

    /// The configuration of the burst.
    fn config(&self) -> &NatConfig;

    /// Leases a tuple of `pool`, of the family of `request.tuple`, on behalf of the subscriber that
    /// its source is ([`NatPool::subscriber`](crate::NatPool::subscriber)) and of the share that
    /// its selection names, where the pool has policies about them.
    ///
    /// # Errors
    /// [`AllocationError::Refused`] and [`AllocationError::Port`].
    fn lease(
        &mut self,
        pool: PoolIndex,
        request: &NatRequest,
    ) -> Result<SourceTarget<Self::Lease>, AllocationError>;

    /// Gives a lease back; the reason says whether its port needs to rest.
    fn release(&mut self, lease: Self::Lease, reason: Reason);

    /// Whether another allocator over the same pools holds this tuple of `pool`: packets to it are
    /// for the function instance over that allocator.
    fn is_elsewhere(&self, pool: PoolIndex, protocol: Protocol, public: SocketAddr) -> bool {
        let _ = (pool, protocol, public);
        false
    }

    /// What an IPv4 tuple is to be translated to, by the configuration's pools and rules. Takes a
    /// `&NatTuple` or a [`NatRequest`] with wishes.
    ///
    /// # Errors
    /// [`AllocationError`]; nothing stays leased then.
    #[inline]
    fn allocate_v4(
        &mut self,
        request: impl Into<NatRequest>,
    ) -> Result<AllocationResult<Self::Lease>, AllocationError> {
        let request = request.into();
        match (request.tuple.source, request.tuple.destination) {
            (IpAddr::V4(_), IpAddr::V4(_)) => allocate(self, request),
            _ => Err(AllocationError::Family),
        }
    }

    /// What an IPv6 tuple is to be translated to; as [`allocate_v4`](Self::allocate_v4).
    ///
    /// # Errors
    /// [`AllocationError`]; nothing stays leased then.
    #[inline]
    fn allocate_v6(
        &mut self,
        request: impl Into<NatRequest>,
    ) -> Result<AllocationResult<Self::Lease>, AllocationError> {
        let request = request.into();
        match (request.tuple.source, request.tuple.destination) {
            (IpAddr::V6(_), IpAddr::V6(_)) => allocate(self, request),
            _ => Err(AllocationError::Family),
        }
    }
}

/// The part of an allocation that is the same for every allocator and both families.
#[inline(always)]
fn allocate<B: NatAllocatorBurst + ?Sized>(
    burst: &mut B,
    mut request: NatRequest,
) -> Result<AllocationResult<B::Lease>, AllocationError> {
    let selection = match request.selection {
        Some(selection) => selection,
        None => burst.config().select(&request.tuple),
    };
    request.selection = Some(selection);
    let privileged = selection
        .privileged
        .and_then(|pool| burst.lease(pool, &request).ok());
    let source = match (privileged, selection.source) {
        (Some(target), _) => Some(target),
        (None, Some(pool)) => Some(burst.lease(pool, &request)?),
        (None, None) => None,
    };
    Ok(AllocationResult {
        source,
        destination: selection.destination.map(|address| DestinationTarget {
            address,
            port: request.tuple.destination_port,
        }),
    })
}
