//! The function itself: packets and time in, verdicts and events out.

use std::sync::Arc;

use natshard::Tick;

use crate::allocator::NatAllocator;
use crate::config::{ConfigCache, ConfigStore, NatConfig};
use crate::event::Sink;
use crate::packet::Link;
use crate::session::NatSessionManager;
use crate::stats::NatStats;
use crate::tuple::VpcId;
use crate::verdict::Verdict;

/// Where a frame comes from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Ingress {
    /// Its link layer.
    pub link: Link,
    /// The VPC it comes from.
    pub vpc: VpcId,
    /// Anything; comes back with the frame if it is held.
    pub token: u64,
}

/// A NAT function instance: one per shard, private to its worker.
pub struct NatFunction<A: NatAllocator, M> {
    config: Arc<NatConfig>,
    cache: ConfigCache,
    allocator: A,
    sessions: M,
    stats: NatStats,
}

impl<A: NatAllocator, M: NatSessionManager<A::Lease>> NatFunction<A, M> {
    /// A function over that configuration, allocator and session manager.
    pub fn new(config: impl Into<ConfigStore>, allocator: A, sessions: M) -> Self {
        let _ = (config.into(), allocator, sessions);
        todo!()
    }

    /// Begins a burst at that time. Expires sessions and looks sessions of older configurations
    /// over, a bounded number of each. Events and released fragments go to `sink`.
    pub fn burst<'a, S: Sink>(&'a mut self, now: Tick, sink: &'a mut S) -> NatBurst<'a, A, M, S> {
        let _ = (now, sink);
        todo!()
    }

    /// What is to be done before the caller sleeps: all housekeeping that is due.
    pub fn idle<S: Sink>(&mut self, now: Tick, sink: &mut S) {
        let _ = (now, sink);
        todo!()
    }

    /// Ends every session and gives every lease and held fragment back. Dropping the function
    /// gives the leases back as well, without events.
    pub fn shutdown<S: Sink>(&mut self, now: Tick, sink: &mut S) {
        let _ = (now, sink);
        todo!()
    }

    /// Counters.
    #[must_use]
    pub fn stats(&self) -> &NatStats {
        &self.stats
    }

    /// The sessions.
    #[must_use]
    pub fn sessions(&self) -> &M {
        &self.sessions
    }

    /// The allocator.
    #[must_use]
    pub fn allocator(&self) -> &A {
        &self.allocator
    }
}

/// A function between two looks at the clock.
pub struct NatBurst<'a, A: NatAllocator + 'a, M, S> {
    now: Tick,
    allocator: A::Burst<'a>,
    sessions: &'a mut M,
    sink: &'a mut S,
    stats: &'a mut NatStats,
}

impl<'a, A: NatAllocator, M: NatSessionManager<A::Lease>, S: Sink> NatBurst<'a, A, M, S> {
    /// Translates one frame in place.
    pub fn process(&mut self, frame: &mut [u8], ingress: Ingress) -> Verdict {
        let _ = (frame, ingress);
        todo!()
    }
}
