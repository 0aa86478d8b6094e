//! The engine, and what the model knows of every tuple.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use natshard::{
    DeterministicMap, Engine, EngineConfig, EventBooks, EventConfig, EventReader, Lease,
    PoolConfig, PoolPolicies, PortRange, Protocol, Shard, SubscriberLimit,
};

use crate::shapes::shapes;

pub(crate) const HOLD: u64 = 1_600;
pub(crate) const SLICE: u64 = HOLD / 16;
/// Slices a port rests: the hold-down, and the begun one.
pub(crate) const REST: u64 = 17;
pub(crate) const SUBSCRIBERS: [u64; 5] = [0, 1, 2, u64::MAX, 1 << 40];
/// In deterministic pools.
pub(crate) const INDEXES: [u64; 5] = [0, 1, 2, 3, 4];

/// What became of a tuple that was leased once.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Cell {
    Leased,
    /// Rests since this slice, on somebody's account.
    Resting(u64, Option<u64>),
}

pub(crate) type Tuple = (Protocol, SocketAddr);

pub(crate) struct Held {
    pub(crate) lease: Lease,
    pub(crate) tuple: Tuple,
    pub(crate) subscriber: Option<u64>,
}

pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) shards: Vec<Shard>,
    pub(crate) reader: EventReader,
    pub(crate) books: EventBooks,
    pub(crate) pool: PoolConfig,
    pub(crate) map: Option<DeterministicMap>,
    pub(crate) now: u64,
    pub(crate) cells: BTreeMap<Tuple, Cell>,
    pub(crate) held: Vec<Held>,
    /// In which slice a port of this 64 was last given back unused.
    pub(crate) unused: BTreeMap<(Protocol, IpAddr, u16), u64>,
    pub(crate) kind: usize,
    pub(crate) refusals: BTreeMap<&'static str, u32>,
}

pub(crate) fn config(pool: &PoolConfig, shards: usize) -> EngineConfig {
    EngineConfig::new(shards)
        .hold_down(Duration::from_millis(HOLD))
        .events(EventConfig::new(1 << 14).leases(true))
        .seed(7)
        .pool(pool.clone())
}

pub(crate) fn quarter((protocol, public): Tuple) -> (Protocol, IpAddr, u16) {
    (protocol, public.ip(), public.port() / 64)
}

impl World {
    pub(crate) fn new(kind: usize, shards: usize) -> Self {
        let pool = shapes(kind).swap_remove(0);
        let engine = Engine::new(config(&pool, shards)).unwrap();
        World {
            shards: (0..shards)
                .map(|index| engine.shard(index).unwrap())
                .collect(),
            reader: engine.events().unwrap(),
            books: EventBooks::default(),
            map: pool.deterministic_map(),
            pool,
            engine,
            now: 0,
            cells: BTreeMap::new(),
            held: Vec::new(),
            unused: BTreeMap::new(),
            kind,
            refusals: BTreeMap::new(),
        }
    }

    pub(crate) fn slice(&self) -> u64 {
        self.now / SLICE
    }

    pub(crate) fn policies(&self) -> PoolPolicies<'_> {
        self.pool.policies()
    }

    pub(crate) fn subscriber(&self, who: usize) -> u64 {
        if self.kind >= 3 {
            INDEXES[who]
        } else {
            SUBSCRIBERS[who]
        }
    }

    pub(crate) fn addresses(&self) -> Vec<IpAddr> {
        let prefixes = self.pool.prefixes().iter();
        let all = prefixes.flat_map(|prefix| {
            let hosts: Vec<IpAddr> = match prefix {
                ipnet::IpNet::V4(net) => net.hosts().map(IpAddr::V4).collect(),
                ipnet::IpNet::V6(net) => net.hosts().map(IpAddr::V6).collect(),
            };
            hosts
        });
        all.collect()
    }

    /// Nobody's, and rested.
    pub(crate) fn is_at_rest(&self, tuple: &Tuple) -> bool {
        match self.cells.get(tuple) {
            None => true,
            Some(Cell::Leased) => false,
            Some(Cell::Resting(since, _)) => self.slice() - since >= REST,
        }
    }

    pub(crate) fn tuples(&self, ports: PortRange) -> impl Iterator<Item = Tuple> {
        let all = ports.first..=ports.last;
        all.map(move |port| (ports.protocol, SocketAddr::new(ports.address, port)))
    }

    /// Whether the pool gives out a tuple at all.
    pub(crate) fn is_given(&self, (protocol, public): Tuple) -> bool {
        self.pool.gives(protocol, public.ip(), public.port())
    }

    /// Whether a tuple can be of a port block.
    pub(crate) fn is_dynamic(&self, (protocol, public): Tuple) -> bool {
        let own = self.map.as_ref();
        self.is_given((protocol, public))
            && own.is_none_or(|map| map.overflow(protocol).contains(&public.port()))
    }

    pub(crate) fn range_at_rest(&self, ports: PortRange) -> bool {
        self.tuples(ports).all(|tuple| self.is_at_rest(&tuple))
    }

    /// Whether something of these ports was given back unused in this slice.
    pub(crate) fn is_fresh(&self, ports: PortRange) -> bool {
        let mut quarters = ports.first / 64..=ports.last / 64;
        quarters.any(|quarter| {
            let key = (ports.protocol, ports.address, quarter);
            self.unused.get(&key) == Some(&self.slice())
        })
    }

    /// Ports on a subscriber's account: leased, and resting.
    pub(crate) fn account(&self, subscriber: u64) -> [(u32, u32); 3] {
        let mut all = [(0, 0); 3];
        for held in &self.held {
            if held.subscriber == Some(subscriber) {
                all[held.tuple.0.as_index()].0 += 1;
            }
        }
        for ((protocol, _), cell) in &self.cells {
            if let Cell::Resting(since, Some(whose)) = cell
                && *whose == subscriber
                && self.slice() - since < REST
            {
                all[protocol.as_index()].1 += 1;
            }
        }
        all
    }

    pub(crate) fn limit_allows(&self, subscriber: u64, protocol: Protocol) -> bool {
        let limit = self.policies().limit;
        let held = self
            .account(subscriber)
            .map(|(leased, resting)| leased + resting);
        let each = limit.of(protocol).unwrap_or(SubscriberLimit::MOST);
        held[protocol.as_index()] < each.into()
            && limit
                .of_all()
                .is_none_or(|all| held.iter().sum::<u32>() < all)
    }
}

pub(crate) fn overlap(one: &PortRange, other: &PortRange) -> bool {
    (one.protocol, one.address) == (other.protocol, other.address)
        && one.first <= other.last
        && other.first <= one.last
}
