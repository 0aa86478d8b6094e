//! The function itself: packets and time in, verdicts and events out.
//!
//! ```text
//!  frame, Ingress                                                    Sink: events, held frames
//!     │                                                                 ▲
//!     ▼                                                                 │
//!  dissect ──skip──▶ Untouched / Dropped                     housekeeping at burst begin:
//!     │                                                      expired sessions, sessions of older
//!     ├─ later fragment ─▶ fragment table ─▶ Held or addresses only   configurations, fragments
//!     ├─ ICMP error ─────▶ session of the quoted packet ─▶ both headers rewritten
//!     ▼
//!  flow key ─▶ session table ──hit──▶ leg ───────────────────────┐
//!     │ miss                                                     │
//!     ├─ destination is a mapping's ─▶ filtering ─▶ new session ─┤ inbound leg
//!     └─ longest-prefix route, rule ─▶ mapping or lease          │
//!              │ none: Untouched            └─▶ new session ─────┤ outbound leg
//!                                                                ▼
//!                        towards one of our own public addresses: a second, inbound leg
//!                                                                │
//!                                                                ▼
//!                                       timers, TCP state; one rewrite of the frame
//! ```

mod express;
mod flow;
mod fragment;
mod icmp;
mod inbound;
mod newcomer;
mod outbound;
mod recheck;

use std::sync::Arc;

use ahash::RandomState;
use natshard::{Reason, Tick};

use self::express::Plain;
use self::fragment::FragmentTable;
use crate::addr::is_translatable;
use crate::allocator::{NatAllocator, NatAllocatorBurst};
use crate::config::{ConfigCache, ConfigStore, NatConfig};
use crate::event::{Event, Sink};
use crate::packet::{Link, Transport, View, dissect};
use crate::reason::{DropReason, EndReason, UntouchedReason};
use crate::session::{NatSessionManager, SessionId, TcpPhase};
use crate::stats::NatStats;
use crate::tuple::VpcId;
use crate::verdict::Verdict;

/// Entries of the session table that a burst looks at to find expired sessions, and again to find
/// sessions of older configurations. Each new session looks at two more, so that expiry keeps up.
const HOUSEKEEPING: usize = 64;
/// Entries looked at before a session or lease is refused.
const LAST_RESORT: usize = 1024;

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
    // Mappings hold leases: they go before the allocator does.
    sessions: M,
    allocator: A,
    cache: ConfigCache,
    config: Arc<NatConfig>,
    /// Counts the configurations this function has seen.
    generation: u32,
    now: Tick,
    fragments: FragmentTable,
    stats: NatStats,
    random: RandomState,
}

impl<A: NatAllocator, M: NatSessionManager<A::Lease>> NatFunction<A, M> {
    /// A function over that configuration, allocator and session manager.
    pub fn new(config: impl Into<ConfigStore>, allocator: A, sessions: M) -> Self {
        let mut cache = config.into().cache();
        let config = Arc::clone(cache.load());
        NatFunction {
            sessions,
            allocator,
            cache,
            config,
            generation: 0,
            now: Tick::ZERO,
            fragments: FragmentTable::default(),
            stats: NatStats::default(),
            random: RandomState::new(),
        }
    }

    /// Begins a burst at that time: takes the current configuration, expires sessions and looks
    /// sessions of older configurations over, a bounded number of each. Events and released
    /// fragments go to `sink`. A time before that of an earlier burst counts as that one's.
    pub fn burst<'a, S: Sink>(&'a mut self, now: Tick, sink: &'a mut S) -> NatBurst<'a, A, M, S> {
        let mut burst = self.begin(now, sink);
        burst.housekeeping(HOUSEKEEPING);
        burst
    }

    /// What is to be done before the caller sleeps: all housekeeping that is due, however much.
    pub fn idle<S: Sink>(&mut self, now: Tick, sink: &mut S) {
        self.begin(now, sink).housekeeping(usize::MAX);
        self.allocator.idle(self.now);
    }

    /// Ends every session and gives every lease and held fragment back. Dropping the function
    /// gives the leases back as well, without events.
    pub fn shutdown<S: Sink>(&mut self, now: Tick, sink: &mut S) {
        // No session was checked against a generation that begins only now.
        self.generation = self.generation.wrapping_add(1);
        self.begin(now, sink).shutdown();
        self.allocator.idle(self.now);
    }

    fn begin<'a, S: Sink>(&'a mut self, now: Tick, sink: &'a mut S) -> NatBurst<'a, A, M, S> {
        if now < self.now {
            self.stats.ticks_backwards += 1;
        }
        self.now = self.now.max(now);
        let current = self.cache.load();
        if !Arc::ptr_eq(current, &self.config) {
            self.config = Arc::clone(current);
            self.generation = self.generation.wrapping_add(1);
        }
        NatBurst {
            now: self.now,
            config: &self.config,
            generation: self.generation,
            allocator: self.allocator.burst(self.now, &self.config),
            sessions: &mut self.sessions,
            fragments: &mut self.fragments,
            stats: &mut self.stats,
            random: &self.random,
            sink,
        }
    }

    /// Counters.
    #[must_use]
    pub const fn stats(&self) -> &NatStats {
        &self.stats
    }

    /// The sessions.
    #[must_use]
    pub const fn sessions(&self) -> &M {
        &self.sessions
    }

    /// The allocator.
    #[must_use]
    pub const fn allocator(&self) -> &A {
        &self.allocator
    }
}

/// A function between two looks at the clock.
pub struct NatBurst<'a, A: NatAllocator + 'a, M, S> {
    now: Tick,
    config: &'a NatConfig,
    generation: u32,
    allocator: A::Burst<'a>,
    sessions: &'a mut M,
    fragments: &'a mut FragmentTable,
    stats: &'a mut NatStats,
    random: &'a RandomState,
    sink: &'a mut S,
}

impl<'a, A: NatAllocator, M: NatSessionManager<A::Lease>, S: Sink> NatBurst<'a, A, M, S> {
    fn frame(&mut self, frame: &mut [u8], ingress: Ingress, plain: Option<&Plain>) -> Verdict {
        let view = plain.and_then(|(packet, _)| packet.view(frame));
        let view = match view.map_or_else(|| dissect(ingress.link, frame), Ok) {
            Ok(view) => view,
            Err(skip) => {
                return match DropReason::of_skip(skip) {
                    None => Verdict::Untouched(UntouchedReason::NotIp),
                    // Where nothing is translated, malformed packets are not ours to judge.
                    Some(_) if !self.config.knows(ingress.vpc) => {
                        Verdict::Untouched(UntouchedReason::NoPeering)
                    }
                    Some(reason) => Verdict::Dropped(reason),
                };
            }
        };
        if !is_translatable(view.source()) || !is_translatable(view.destination()) {
            return Verdict::Untouched(UntouchedReason::NotUnicast);
        }
        match view.fragment() {
            None => self.packet(frame, &view, ingress.vpc, plain),
            Some(fragment) => self.fragment(frame, &view, fragment, ingress),
        }
    }

    /// A packet with its transport header: whole, or the first fragment.
    fn packet(
        &mut self,
        frame: &mut [u8],
        view: &View,
        vpc: VpcId,
        plain: Option<&Plain>,
    ) -> Verdict {
        let result = match view.transport() {
            Transport::Tcp { .. } | Transport::Udp { .. } | Transport::IcmpQuery { .. } => {
                self.flow(frame, view, vpc, plain)
            }
            Transport::IcmpError { quoted, .. } => self.icmp_error(frame, view, &quoted, vpc),
            Transport::IcmpOther { .. } => Err(Verdict::Untouched(UntouchedReason::IcmpOther)),
            Transport::LaterFragment { .. } | Transport::Other(_) => {
                Err(Verdict::Untouched(UntouchedReason::Protocol))
            }
        };
        match result {
            Ok((direction, to)) => Verdict::Translated { direction, to },
            Err(verdict) => verdict,
        }
    }

    /// Expiry, sessions of older configurations, and fragments, each at most `budget` entries.
    fn housekeeping(&mut self, budget: usize) {
        self.expire(budget);
        self.recheck_some(budget);
        self.expire_fragments(budget);
    }

    /// Ends sessions whose time is over; whether there was one.
    fn expire(&mut self, mut budget: usize) -> bool {
        let mut any = false;
        while let Some(id) = self.sessions.expired(self.now, &mut budget) {
            self.end(id, self.how_expired(id));
            any = true;
        }
        any
    }

    fn how_expired(&self, id: SessionId) -> EndReason {
        match self.sessions.tcp(id).phase() {
            TcpPhase::Closed => EndReason::Closed,
            _ => EndReason::Expired,
        }
    }

    /// Ends a session, and with the last one of its mapping gives the lease back.
    fn end(&mut self, id: SessionId, reason: EndReason) {
        let removed = self.sessions.remove(id, reason);
        self.stats.sessions_ended[reason.as_index()] += 1;
        self.sink.event(&Event::SessionEnded {
            at: self.now,
            session: removed.session,
            reason,
        });
        let Some(mapping) = removed.mapping else {
            return;
        };
        if let Some(lease) = mapping.lease {
            self.release(lease, mapping.reason);
            self.sink.event(&Event::LeaseReleased {
                at: self.now,
                mapping: mapping.info,
                reason: mapping.reason,
            });
        }
    }

    fn release(&mut self, lease: A::Lease, reason: Reason) {
        self.allocator.release(lease, reason);
        self.stats.leases_released += 1;
    }

    fn shutdown(&mut self) {
        let mut budget = usize::MAX;
        while let Some(id) = self.sessions.unchecked(self.generation, &mut budget) {
            self.end(id, EndReason::Shutdown);
        }
        self.abandon_fragments();
    }
}
