//! What a logger or an accountant wants to know (RFC 6888 REQ-12, RFC 8158).

use std::net::SocketAddr;

use natshard::{AllocError, Protocol, Reason, Tick};

use crate::packet::Link;
use crate::reason::EndReason;
use crate::tuple::{NatTuple, VpcId};
use crate::verdict::Verdict;

/// A mapping: the binding of an inside endpoint to a public tuple.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct MappingInfo {
    /// The VPC of the inside endpoint.
    pub inside_vpc: VpcId,
    /// The VPC it is translated towards.
    pub outside_vpc: VpcId,
    /// Protocol.
    pub protocol: Protocol,
    /// The inside endpoint; for ICMP the port is the identifier.
    pub inside: SocketAddr,
    /// The public tuple.
    pub public: SocketAddr,
}

/// A session: one remote endpoint talking through one mapping, both directions.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SessionInfo {
    /// The mapping.
    pub mapping: MappingInfo,
    /// The remote endpoint as the inside endpoint addresses it.
    pub remote: SocketAddr,
    /// The remote endpoint as it is addressed outside; differs from `remote` only where a
    /// destination rule translates it.
    pub remote_outside: SocketAddr,
}

/// Something that happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A public tuple was leased for an inside endpoint.
    LeaseAllocated {
        /// When.
        at: Tick,
        /// The new mapping.
        mapping: MappingInfo,
    },
    /// A mapping ended with its last session, and its tuple was given back.
    LeaseReleased {
        /// When.
        at: Tick,
        /// The mapping that was.
        mapping: MappingInfo,
        /// What the allocator was told: whether the port needs to rest.
        reason: Reason,
    },
    /// The allocator had no public tuple to give.
    LeaseRefused {
        /// When.
        at: Tick,
        /// The packet that asked for one.
        tuple: NatTuple,
        /// Why.
        reason: AllocError,
    },
    /// A session began.
    SessionCreated {
        /// When.
        at: Tick,
        /// The session.
        session: SessionInfo,
        /// Whether its first packet came from inside.
        outbound: bool,
    },
    /// A session ended.
    SessionEnded {
        /// When.
        at: Tick,
        /// The session that was.
        session: SessionInfo,
        /// Why.
        reason: EndReason,
    },
}

/// A fragment that had been held, with its final verdict: never [`Verdict::Held`].
#[derive(Debug)]
pub struct ReleasedFrame<'a> {
    /// The frame, translated if the verdict says so.
    pub bytes: &'a mut [u8],
    /// Its link layer, as it was given.
    pub link: Link,
    /// The VPC it came from.
    pub from: VpcId,
    /// The token its [`Ingress`](crate::Ingress) bore.
    pub token: u64,
    /// What became of it.
    pub verdict: Verdict,
}

/// Where a burst reports to. Both methods do nothing unless overridden; `()` ignores everything.
pub trait Sink {
    /// Whether [`event`](Self::event) does anything with the event that a session began or ended;
    /// where it does not, none is made.
    fn listens(&self) -> bool {
        true
    }

    /// Something happened.
    fn event(&mut self, event: &Event) {
        let _ = event;
    }

    /// A held fragment has got its verdict.
    fn frame(&mut self, frame: ReleasedFrame<'_>) {
        let _ = frame;
    }
}

impl Sink for () {
    #[inline]
    fn listens(&self) -> bool {
        false
    }
}

impl<S: Sink + ?Sized> Sink for &mut S {
    fn listens(&self) -> bool {
        (**self).listens()
    }

    fn event(&mut self, event: &Event) {
        (**self).event(event);
    }

    fn frame(&mut self, frame: ReleasedFrame<'_>) {
        (**self).frame(frame);
    }
}

/// Every event of a burst in order; released frames are dropped.
impl Sink for Vec<Event> {
    fn event(&mut self, event: &Event) {
        self.push(*event);
    }
}
