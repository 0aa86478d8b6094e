//! What a stream of events comes to: who holds what, kept from the events alone.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};

use thiserror::Error;

use super::{Event, EventKind, EventSink, PortRange};
use crate::id::PoolId;
use crate::protocol::Protocol;

/// How many contradictions are kept; further ones are only counted.
const KEPT: usize = 64;

/// An event that contradicts those before it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Error)]
#[non_exhaustive]
pub enum EventContradiction {
    /// Its number is not larger than that of an event before it.
    #[error("event {0} comes after one with a larger number")]
    OutOfOrder(u64),
    /// It gives out what was given out and not given back.
    #[error("event {0} gives out what is held")]
    Held(u64),
    /// It takes back what nobody holds.
    #[error("event {0} takes back what nobody holds")]
    NotHeld(u64),
    /// It takes back from one subscriber what another one holds.
    #[error("event {0} takes back what somebody else holds")]
    HeldByOther(u64),
}

/// What one pool has given out, by its events.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PoolBooks {
    leases: HashMap<(Protocol, SocketAddr), Option<u64>>,
    /// By protocol, address and first port: the last port, and whose.
    blocks: BTreeMap<(Protocol, IpAddr, u16), (u16, u64)>,
    bound: HashMap<u64, IpAddr>,
    raised: BTreeSet<Protocol>,
}

impl PoolBooks {
    /// The tuples leased, each with its subscriber where that was told, in no order. Empty unless
    /// leases are told.
    pub fn leases(&self) -> impl Iterator<Item = (Protocol, SocketAddr, Option<u64>)> {
        let leases = self.leases.iter();
        leases.map(|(&(protocol, public), &subscriber)| (protocol, public, subscriber))
    }

    /// How many tuples are leased.
    #[must_use]
    pub fn leased(&self) -> u64 {
        self.leases.len() as u64
    }

    /// The port blocks assigned and whose they are, in the order of their ports.
    pub fn port_blocks(&self) -> impl Iterator<Item = (PortRange, u64)> {
        let blocks = self.blocks.iter();
        blocks.map(|(&(protocol, address, first), &(last, subscriber))| {
            let ports = PortRange {
                protocol,
                address,
                first,
                last,
            };
            (ports, subscriber)
        })
    }

    /// Whose port block a public tuple lies in.
    #[must_use]
    pub fn holder(&self, protocol: Protocol, public: SocketAddr) -> Option<u64> {
        let key = (protocol, public.ip(), public.port());
        let (&(of, address, _), &(last, subscriber)) = self.blocks.range(..=key).next_back()?;
        let holds = (of, address) == (key.0, key.1) && public.port() <= last;
        holds.then_some(subscriber)
    }

    /// The address a subscriber is paired with.
    #[must_use]
    pub fn address(&self, subscriber: u64) -> Option<IpAddr> {
        self.bound.get(&subscriber).copied()
    }

    /// The subscribers that are paired with an address, in no order.
    pub fn bound(&self) -> impl Iterator<Item = (u64, IpAddr)> {
        self.bound.iter().map(|(&who, &address)| (who, address))
    }

    /// Whether the pool is as full as its threshold says.
    #[must_use]
    pub fn is_raised(&self, protocol: Protocol) -> bool {
        self.raised.contains(&protocol)
    }

    /// What keeps a range from being assigned.
    fn overlaps(&self, ports: PortRange) -> bool {
        let key = |port| (ports.protocol, ports.address, port);
        let before = self.blocks.range(..=key(ports.last)).next_back();
        before.is_some_and(|(&(protocol, address, _), &(last, _))| {
            (protocol, address) == (ports.protocol, ports.address) && last >= ports.first
        })
    }

    fn apply(&mut self, event: &Event) -> Result<(), EventContradiction> {
        use EventContradiction::{Held, HeldByOther, NotHeld};
        let number = event.sequence;
        match event.kind {
            EventKind::PortAssigned {
                protocol,
                public,
                subscriber,
            } => match self.leases.insert((protocol, public), subscriber) {
                None => Ok(()),
                Some(_) => Err(Held(number)),
            },
            EventKind::PortReleased {
                protocol,
                public,
                subscriber,
            } => match self.leases.remove(&(protocol, public)) {
                None => Err(NotHeld(number)),
                // The one who gives back need not say for whom it was.
                Some(of) if subscriber.is_some() && of.is_some() && of != subscriber => {
                    Err(HeldByOther(number))
                }
                Some(_) => Ok(()),
            },
            EventKind::PortBlockAssigned { subscriber, ports } => {
                if self.overlaps(ports) {
                    return Err(Held(number));
                }
                let key = (ports.protocol, ports.address, ports.first);
                self.blocks.insert(key, (ports.last, subscriber));
                Ok(())
            }
            EventKind::PortBlockReleased { subscriber, ports } => {
                let key = (ports.protocol, ports.address, ports.first);
                match self.blocks.get(&key) {
                    Some(&(last, of)) if last == ports.last && of == subscriber => {
                        self.blocks.remove(&key);
                        Ok(())
                    }
                    Some(_) => Err(HeldByOther(number)),
                    None => Err(NotHeld(number)),
                }
            }
            EventKind::AddressBound {
                subscriber,
                address,
            } => match self.bound.insert(subscriber, address) {
                None => Ok(()),
                Some(_) => Err(Held(number)),
            },
            EventKind::AddressUnbound {
                subscriber,
                address,
            } => match self.bound.remove(&subscriber) {
                None => Err(NotHeld(number)),
                Some(of) if of != address => Err(HeldByOther(number)),
                Some(_) => Ok(()),
            },
            EventKind::ThresholdRaised { protocol, .. } => match self.raised.insert(protocol) {
                true => Ok(()),
                false => Err(Held(number)),
            },
            EventKind::ThresholdCleared { protocol, .. } => match self.raised.remove(&protocol) {
                true => Ok(()),
                false => Err(NotHeld(number)),
            },
            EventKind::AddressesExhausted { .. }
            | EventKind::PortsExhausted { .. }
            | EventKind::QuotaExceeded { .. }
            | EventKind::SubscribersExceeded { .. }
            | EventKind::PoolConfigured { .. } => Ok(()),
        }
    }
}

/// Books kept from an engine's events alone, to be compared with what the engine itself says; or
/// to know, in another process, who holds what.
///
/// Events must come in the order of their numbers: [`EventReader::drain`] has them so when no
/// shard writes one meanwhile. What contradicts earlier events is noted, not hidden; so is what
/// was lost, after which the books may be wrong.
///
/// ```
/// use natshard::{
///     Engine, EngineConfig, EventBooks, EventConfig, PoolConfig, Protocol, Request, Tick,
/// };
///
/// let pool = PoolConfig::new("p").prefix("203.0.113.0/28".parse()?);
/// let events = EventConfig::new(1024).leases(true);
/// let engine = Engine::new(EngineConfig::new(1).pool(pool).events(events))?;
/// let id = engine.pool("p").unwrap();
/// let mut reader = engine.events().unwrap();
/// let mut shard = engine.shard(0)?;
/// let lease = shard.burst(Tick::ZERO).allocate(&Request::new(id, Protocol::Udp))?;
///
/// let mut books = EventBooks::default();
/// reader.drain(&mut books);
/// assert_eq!(books.pool(id).unwrap().leased(), engine.census().total.leased);
/// # drop(lease);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [`EventReader::drain`]: crate::EventReader::drain
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EventBooks {
    pools: BTreeMap<PoolId, PoolBooks>,
    next: u64,
    events: u64,
    lost: u64,
    contradictions: Vec<EventContradiction>,
    contradicted: u64,
}

impl EventBooks {
    /// What a pool has given out; `None` before its first event.
    #[must_use]
    pub fn pool(&self, pool: PoolId) -> Option<&PoolBooks> {
        self.pools.get(&pool)
    }

    /// Every pool there was an event of.
    pub fn pools(&self) -> impl Iterator<Item = (PoolId, &PoolBooks)> {
        self.pools.iter().map(|(&id, books)| (id, books))
    }

    /// How many events were taken.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }

    /// How many were lost, as the reader said. The books can be wrong if it is not 0.
    #[must_use]
    pub fn events_lost(&self) -> u64 {
        self.lost
    }

    /// How many events contradicted those before them.
    #[must_use]
    pub fn contradicted(&self) -> u64 {
        self.contradicted
    }

    /// The first of the contradictions.
    #[must_use]
    pub fn contradictions(&self) -> &[EventContradiction] {
        &self.contradictions
    }

    fn note(&mut self, contradiction: EventContradiction) {
        self.contradicted += 1;
        if self.contradictions.len() < KEPT {
            self.contradictions.push(contradiction);
        }
    }
}

impl EventSink for EventBooks {
    fn event(&mut self, event: &Event) {
        self.events += 1;
        if event.sequence < self.next {
            self.note(EventContradiction::OutOfOrder(event.sequence));
        }
        self.next = self.next.max(event.sequence.saturating_add(1));
        if let Err(contradiction) = self.pools.entry(event.pool).or_default().apply(event) {
            self.note(contradiction);
        }
    }

    fn lost(&mut self, _shard: Option<usize>, events: u64) {
        self.lost += events;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tick::Tick;

    fn public(port: u16) -> SocketAddr {
        SocketAddr::new("203.0.113.1".parse().unwrap(), port)
    }

    fn ports(first: u16, last: u16) -> PortRange {
        PortRange {
            protocol: Protocol::Tcp,
            address: public(0).ip(),
            first,
            last,
        }
    }

    fn kept(kinds: &[EventKind]) -> EventBooks {
        let mut books = EventBooks::default();
        for (sequence, &kind) in kinds.iter().enumerate() {
            books.event(&Event {
                sequence: sequence as u64,
                at: Tick::ZERO,
                pool: PoolId(3),
                kind,
            });
        }
        books
    }

    fn assigned(port: u16, subscriber: Option<u64>) -> EventKind {
        EventKind::PortAssigned {
            protocol: Protocol::Udp,
            public: public(port),
            subscriber,
        }
    }

    fn released(port: u16, subscriber: Option<u64>) -> EventKind {
        EventKind::PortReleased {
            protocol: Protocol::Udp,
            public: public(port),
            subscriber,
        }
    }

    fn block(subscriber: u64, first: u16, last: u16) -> EventKind {
        let ports = ports(first, last);
        EventKind::PortBlockAssigned { subscriber, ports }
    }

    fn unblock(subscriber: u64, first: u16, last: u16) -> EventKind {
        let ports = ports(first, last);
        EventKind::PortBlockReleased { subscriber, ports }
    }

    #[test]
    fn leases_are_those_assigned_and_not_released() {
        let books = kept(&[
            assigned(5000, Some(7)),
            assigned(5001, None),
            assigned(5002, Some(8)),
            released(5000, None),
            released(5001, None),
        ]);
        let pool = books.pool(PoolId(3)).unwrap();
        let leases: Vec<_> = pool.leases().collect();
        assert_eq!(leases, [(Protocol::Udp, public(5002), Some(8))]);
        assert_eq!((pool.leased(), books.events()), (1, 5));
        assert_eq!(books.contradicted(), 0);
        assert_eq!(books.pool(PoolId(2)), None);
    }

    #[test]
    fn a_port_block_is_held_from_its_first_port_to_its_last() {
        let books = kept(&[
            block(7, 1024, 1087),
            block(8, 1088, 1151),
            unblock(7, 1024, 1087),
        ]);
        let pool = books.pool(PoolId(3)).unwrap();
        let tcp = |port| pool.holder(Protocol::Tcp, public(port));
        assert_eq!(
            [1087, 1088, 1151, 1152].map(tcp),
            [None, Some(8), Some(8), None]
        );
        assert_eq!(pool.holder(Protocol::Udp, public(1100)), None);
        let blocks: Vec<_> = pool.port_blocks().collect();
        assert_eq!(blocks, [(ports(1088, 1151), 8)]);
    }

    #[test]
    fn pairings_and_thresholds_are_kept_until_they_end() {
        let address = public(0).ip();
        let bound = |subscriber| EventKind::AddressBound {
            subscriber,
            address,
        };
        let raised = EventKind::ThresholdRaised {
            protocol: Protocol::Tcp,
            held: 9,
            blocks: 10,
        };
        let unbound = EventKind::AddressUnbound {
            subscriber: 1,
            address,
        };
        let books = kept(&[bound(1), bound(2), unbound, raised]);
        let pool = books.pool(PoolId(3)).unwrap();
        assert_eq!((pool.address(1), pool.address(2)), (None, Some(address)));
        assert_eq!(pool.bound().collect::<Vec<_>>(), [(2, address)]);
        assert!(pool.is_raised(Protocol::Tcp) && !pool.is_raised(Protocol::Udp));
        assert_eq!(books.contradicted(), 0);
    }

    #[test]
    fn every_contradiction_is_noted() {
        use EventContradiction::{Held, HeldByOther, NotHeld, OutOfOrder};
        let of = |kinds: &[EventKind]| kept(kinds).contradictions().to_vec();
        assert_eq!(of(&[assigned(1, None), assigned(1, None)]), [Held(1)]);
        assert_eq!(of(&[released(1, None)]), [NotHeld(0)]);
        assert_eq!(
            of(&[assigned(1, Some(2)), released(1, Some(3))]),
            [HeldByOther(1)]
        );
        for (first, last) in [(1024, 1087), (1030, 1040), (1000, 1024), (1087, 1090)] {
            assert_eq!(
                of(&[block(1, 1024, 1087), block(2, first, last)]),
                [Held(1)]
            );
        }
        assert_eq!(of(&[block(1, 1024, 1087), block(2, 1088, 1151)]), []);
        assert_eq!(of(&[unblock(1, 1024, 1087)]), [NotHeld(0)]);
        assert_eq!(
            of(&[block(1, 1024, 1087), unblock(2, 1024, 1087)]),
            [HeldByOther(1)]
        );
        let mut books = kept(&[assigned(1, None), assigned(2, None)]);
        books.event(&Event {
            sequence: 1,
            at: Tick::ZERO,
            pool: PoolId(3),
            kind: assigned(3, None),
        });
        assert_eq!(books.contradictions(), [OutOfOrder(1)]);
        let many: Vec<_> = (0..2 * KEPT as u16)
            .map(|port| released(port, None))
            .collect();
        let books = kept(&many);
        assert_eq!(books.contradicted(), 2 * KEPT as u64);
        assert_eq!(books.contradictions().len(), KEPT);
    }

    #[test]
    fn losses_are_counted() {
        let mut books = EventBooks::default();
        EventSink::lost(&mut books, Some(1), 3);
        EventSink::lost(&mut books, None, 4);
        assert_eq!(books.events_lost(), 7);
    }
}
