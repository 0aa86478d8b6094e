//! Subscribers against a sequential model: long random histories over one or several shards that
//! take turns, every answer judged.
//!
//! Claims, after every step:
//!
//! * I1, I3: a lease is of a tuple of the pool that nobody holds and that has rested, to the slice.
//! * I11: a subscriber holds no more ports than its limit, resting ones included, and no more port
//!   blocks; it is refused for that reason only when it is so.
//! * Ports come from port blocks of one's own, of the deterministic range, of the address one is
//!   paired with, as the pool says.
//! * I4: who is refused for want of ports finds none that he could have: none of his own, and no
//!   port block that is nobody's or has rested.
//! * I2: the census balances; it, `Engine::subscribers()`, the books kept of the events, and the
//!   model say the same.
//! * I8: all of that while limits, sizes, exclusions and addresses change.
//!
//! One thing is let pass: a port block whose last port was given back *unused* is noticed by others
//! with the next slice (a sixteenth of the hold-down).

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use natshard::{
    AllocError, Deterministic, DeterministicMap, Engine, EngineConfig, EventBooks, EventConfig,
    EventReader, Lease, PoolConfig, PoolPolicies, PortBlocks, PortRange, Protocol, RawLease,
    Reason, Request, Shard, Strictness, SubscriberCensus, SubscriberLimit, Tick,
};
use proptest::prelude::*;

const HOLD: u64 = 1_600;
const SLICE: u64 = HOLD / 16;
/// Slices a port rests: the hold-down, and the begun one.
const REST: u64 = 17;
const SUBSCRIBERS: [u64; 5] = [0, 1, 2, u64::MAX, 1 << 40];
/// In deterministic pools.
const INDEXES: [u64; 5] = [0, 1, 2, 3, 4];

#[derive(Clone, Copy, Debug)]
enum How {
    Ended,
    Unused,
    Raw,
    Drop,
}

#[derive(Clone, Debug)]
enum Step {
    Allocate {
        shard: usize,
        who: usize,
        protocol: usize,
        count: usize,
        wish: Wish,
    },
    Reserve {
        shard: usize,
        address: usize,
        port: u16,
    },
    Release {
        shard: usize,
        pick: usize,
        how: How,
    },
    /// Everything but so many.
    ReleaseMany {
        shard: usize,
        keep: usize,
    },
    Idle {
        shard: usize,
    },
    Forward {
        slices: u64,
        millis: u64,
    },
    Jump {
        far: usize,
    },
    Reconfigure {
        shape: usize,
    },
}

#[derive(Clone, Copy, Debug)]
enum Wish {
    None,
    Port(u16),
    Address(usize, Strictness),
}

fn strictness() -> impl Strategy<Value = Strictness> {
    prop_oneof![Just(Strictness::Strict), Just(Strictness::Preferred)]
}

fn step() -> impl Strategy<Value = Step> {
    let shard = || 0..3usize;
    let wish = prop_oneof![
        6 => Just(Wish::None),
        1 => (1000..1600u16).prop_map(Wish::Port),
        1 => (0..3usize, strictness()).prop_map(|(at, strictness)| Wish::Address(at, strictness)),
    ];
    let count = prop_oneof![3 => 1..4usize, 2 => 4..80usize, 1 => 80..300usize];
    let how = prop_oneof![
        4 => Just(How::Ended),
        2 => Just(How::Unused),
        1 => Just(How::Raw),
        1 => Just(How::Drop)
    ];
    prop_oneof![
        12 => (shard(), 0..5usize, 0..3usize, count, wish).prop_map(
            |(shard, who, protocol, count, wish)| Step::Allocate { shard, who, protocol, count, wish }
        ),
        1 => (shard(), 0..3usize, 1000..1600u16)
            .prop_map(|(shard, address, port)| Step::Reserve { shard, address, port }),
        6 => (shard(), any::<usize>(), how)
            .prop_map(|(shard, pick, how)| Step::Release { shard, pick, how }),
        3 => (shard(), 0..20usize).prop_map(|(shard, keep)| Step::ReleaseMany { shard, keep }),
        2 => shard().prop_map(|shard| Step::Idle { shard }),
        5 => (0..20u64, 0..SLICE).prop_map(|(slices, millis)| Step::Forward { slices, millis }),
        1 => (0..4usize).prop_map(|far| Step::Jump { far }),
        1 => (0..8usize).prop_map(|shape| Step::Reconfigure { shape }),
    ]
}

fn base(addresses: &[&str]) -> PoolConfig {
    let pool = PoolConfig::new("pool")
        .ports(1024..=1535)
        .identifiers(0..=255);
    let prefixes = addresses.iter().map(|prefix| prefix.parse().unwrap());
    prefixes.fold(pool, PoolConfig::prefix)
}

const BOTH: [&str; 1] = ["192.0.2.0/31"];
const HALF: [&str; 1] = ["192.0.2.1/32"];
const MORE: [&str; 2] = ["192.0.2.0/31", "2001:db8::/128"];

fn limit(tcp: u16, total: u32) -> SubscriberLimit {
    SubscriberLimit::new()
        .ports(Protocol::Tcp, tcp)
        .total(total)
}

/// The shapes of one kind of pool; a history stays within its kind.
fn shapes(kind: usize) -> Vec<PoolConfig> {
    let blocks = |size, most| PortBlocks::new(size).per_subscriber(most);
    match kind {
        // Limits and pairing.
        0 => vec![
            base(&BOTH).subscriber_limit(limit(300, 400)),
            base(&BOTH).pairing(Strictness::Strict),
            base(&BOTH)
                .pairing(Strictness::Preferred)
                .subscriber_limit(limit(600, 700)),
            base(&HALF).pairing(Strictness::Strict),
            base(&MORE)
                .pairing(Strictness::Strict)
                .subscriber_limit(limit(5, 9)),
            base(&BOTH)
                .subscriber_limit(limit(0, 100))
                .exclude_ports(1100..=1300),
        ],
        // Port blocks.
        1 => vec![
            base(&BOTH).port_blocks(blocks(64, 4)),
            base(&BOTH).port_blocks(blocks(128, 3).of_protocol(Protocol::Udp, 1)),
            base(&BOTH).port_blocks(blocks(256, 2)),
            base(&BOTH)
                .port_blocks(blocks(64, 16))
                .subscriber_limit(limit(100, 200)),
            base(&HALF).port_blocks(blocks(64, 4)),
            base(&BOTH)
                .port_blocks(blocks(64, 6))
                .exclude_ports(1100..=1300),
            base(&MORE).port_blocks(blocks(128, 5)),
        ],
        // Port blocks and pairing.
        2 => vec![
            base(&BOTH)
                .port_blocks(blocks(64, 4))
                .pairing(Strictness::Strict),
            base(&BOTH)
                .port_blocks(blocks(128, 4))
                .pairing(Strictness::Preferred),
            base(&HALF)
                .port_blocks(blocks(64, 3))
                .pairing(Strictness::Strict),
            base(&MORE)
                .port_blocks(blocks(256, 9))
                .pairing(Strictness::Preferred),
            base(&BOTH)
                .port_blocks(blocks(64, 9))
                .pairing(Strictness::Strict)
                .subscriber_limit(limit(90, 200)),
        ],
        // Deterministic ranges.
        3 => vec![
            base(&BOTH).deterministic(Deterministic::new(5, 70)),
            base(&BOTH).deterministic(Deterministic::new(4, 100)),
            base(&MORE).deterministic(Deterministic::new(5, 50)),
            base(&BOTH)
                .deterministic(Deterministic::new(5, 70))
                .subscriber_limit(limit(40, 90)),
        ],
        // And overflow.
        _ => vec![
            base(&BOTH)
                .deterministic(Deterministic::new(5, 70))
                .port_blocks(blocks(64, 3)),
            base(&BOTH)
                .deterministic(Deterministic::new(5, 25))
                .port_blocks(blocks(128, 4)),
            base(&BOTH)
                .deterministic(Deterministic::new(5, 40))
                .port_blocks(blocks(64, 16))
                .pairing(Strictness::Strict),
            base(&BOTH)
                .deterministic(Deterministic::new(3, 80))
                .port_blocks(blocks(64, 2))
                .pairing(Strictness::Preferred),
        ],
    }
}

/// What became of a tuple that was leased once.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Cell {
    Leased,
    /// Rests since this slice, on somebody's account.
    Resting(u64, Option<u64>),
}

type Tuple = (Protocol, SocketAddr);

struct Held {
    lease: Lease,
    tuple: Tuple,
    subscriber: Option<u64>,
}

struct World {
    engine: Engine,
    shards: Vec<Shard>,
    reader: EventReader,
    books: EventBooks,
    pool: PoolConfig,
    map: Option<DeterministicMap>,
    now: u64,
    cells: BTreeMap<Tuple, Cell>,
    held: Vec<Held>,
    /// In which slice a port of this 64 was last given back unused.
    unused: BTreeMap<(Protocol, IpAddr, u16), u64>,
    kind: usize,
    refusals: BTreeMap<&'static str, u32>,
}

fn config(pool: &PoolConfig, shards: usize) -> EngineConfig {
    EngineConfig::new(shards)
        .hold_down(Duration::from_millis(HOLD))
        .events(EventConfig::new(1 << 14).leases(true))
        .seed(7)
        .pool(pool.clone())
}

fn quarter((protocol, public): Tuple) -> (Protocol, IpAddr, u16) {
    (protocol, public.ip(), public.port() / 64)
}

impl World {
    fn new(kind: usize, shards: usize) -> Self {
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

    fn slice(&self) -> u64 {
        self.now / SLICE
    }

    fn policies(&self) -> PoolPolicies<'_> {
        self.pool.policies()
    }

    fn subscriber(&self, who: usize) -> u64 {
        if self.kind >= 3 {
            INDEXES[who]
        } else {
            SUBSCRIBERS[who]
        }
    }

    fn addresses(&self) -> Vec<IpAddr> {
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
    fn is_at_rest(&self, tuple: &Tuple) -> bool {
        match self.cells.get(tuple) {
            None => true,
            Some(Cell::Leased) => false,
            Some(Cell::Resting(since, _)) => self.slice() - since >= REST,
        }
    }

    fn tuples(&self, ports: PortRange) -> impl Iterator<Item = Tuple> {
        let all = ports.first..=ports.last;
        all.map(move |port| (ports.protocol, SocketAddr::new(ports.address, port)))
    }

    /// Whether the pool gives out a tuple at all.
    fn is_given(&self, (protocol, public): Tuple) -> bool {
        self.pool.gives(protocol, public.ip(), public.port())
    }

    /// Whether a tuple can be of a port block.
    fn is_dynamic(&self, (protocol, public): Tuple) -> bool {
        let own = self.map.as_ref();
        self.is_given((protocol, public))
            && own.is_none_or(|map| map.overflow(protocol).contains(&public.port()))
    }

    fn range_at_rest(&self, ports: PortRange) -> bool {
        self.tuples(ports).all(|tuple| self.is_at_rest(&tuple))
    }

    /// Whether something of these ports was given back unused in this slice.
    fn is_fresh(&self, ports: PortRange) -> bool {
        let mut quarters = ports.first / 64..=ports.last / 64;
        quarters.any(|quarter| {
            let key = (ports.protocol, ports.address, quarter);
            self.unused.get(&key) == Some(&self.slice())
        })
    }

    /// Ports on a subscriber's account: leased, and resting.
    fn account(&self, subscriber: u64) -> [(u32, u32); 3] {
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

    fn limit_allows(&self, subscriber: u64, protocol: Protocol) -> bool {
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

    /// Port blocks that are nobody's, or could be given back.
    fn free_blocks(
        &self,
        protocol: Protocol,
        at: Option<IpAddr>,
        census: &[SubscriberCensus],
    ) -> Vec<PortRange> {
        let Some(blocks) = self.policies().port_blocks else {
            return Vec::new();
        };
        let range = self.pool.range(protocol);
        let size = blocks.size();
        let mut free = Vec::new();
        for address in self.addresses() {
            if at.is_some_and(|at| at != address) {
                continue;
            }
            for unit in range.start() / size..=range.end() / size {
                let ports = PortRange {
                    protocol,
                    address,
                    first: unit * size,
                    last: unit * size + (size - 1),
                };
                let assigned = census.iter().flat_map(|one| &one.blocks);
                let mut held = assigned.filter(|block| overlap(block, &ports));
                let usable = self.tuples(ports).any(|tuple| self.is_dynamic(tuple))
                    && self.range_at_rest(ports)
                    && held.all(|block| self.range_at_rest(*block) && !self.is_fresh(*block))
                    && !self.is_fresh(ports);
                // A quarter of it may still be a reservation's or another size's.
                if usable {
                    free.push(ports);
                }
            }
        }
        free
    }

    fn own_blocks(&self, census: &[SubscriberCensus], subscriber: u64) -> Vec<PortRange> {
        let own = census.iter().find(|one| one.subscriber == subscriber);
        own.map_or_else(Vec::new, |own| own.blocks.clone())
    }

    /// What of its own port blocks a subscriber could have.
    fn own_ports(
        &self,
        own: &[PortRange],
        protocol: Protocol,
        at: Option<IpAddr>,
    ) -> Option<Tuple> {
        let own = own.iter().filter(|block| block.protocol == protocol);
        let own = own.filter(|block| at.is_none_or(|at| at == block.address));
        let mut tuples = own.flat_map(|block| self.tuples(*block));
        tuples.find(|tuple| self.is_dynamic(*tuple) && self.is_at_rest(tuple))
    }

    /// Whether a subscriber may have one port block more, once those that rest are given back.
    fn may_have_block(&self, own: &[PortRange], protocol: Protocol) -> bool {
        let blocks = self.policies().port_blocks.unwrap();
        let stay = |block: &&PortRange| !self.range_at_rest(**block);
        let all = own.iter().filter(stay).count();
        let of = own
            .iter()
            .filter(stay)
            .filter(|block| block.protocol == protocol);
        all < usize::from(blocks.most())
            && blocks
                .most_of(protocol)
                .is_none_or(|most| of.count() < most.into())
    }

    /// What there is for a subscriber out of port blocks, at one address or anywhere.
    fn in_blocks(&self, subscriber: u64, protocol: Protocol, at: Option<IpAddr>) -> Option<String> {
        let census = self.engine.subscribers();
        let own = self.own_blocks(&census, subscriber);
        if let Some(tuple) = self.own_ports(&own, protocol, at) {
            return Some(format!("{tuple:?} of its own {own:?}"));
        }
        if !self.may_have_block(&own, protocol) {
            return None;
        }
        let free = self.free_blocks(protocol, at, &census);
        free.first().map(|ports| format!("{ports:?} of {census:?}"))
    }

    /// What there is out of the whole pool, at one address or anywhere.
    fn in_pool(&self, protocol: Protocol, at: Option<IpAddr>) -> Option<String> {
        let range = self.pool.range(protocol).clone();
        let addresses = self.addresses();
        let addresses = addresses
            .into_iter()
            .filter(|&address| at.is_none_or(|at| at == address));
        let mut tuples = addresses.flat_map(|address| {
            range
                .clone()
                .map(move |port| (protocol, SocketAddr::new(address, port)))
        });
        let found = tuples.find(|&tuple| self.is_given(tuple) && self.is_at_rest(&tuple));
        found.map(|tuple| format!("{tuple:?}"))
    }

    /// What of its deterministic range a subscriber could have.
    fn in_range(&self, subscriber: u64, protocol: Protocol) -> Option<String> {
        let (address, range) = self.map.as_ref()?.range(subscriber, protocol)?;
        let mut tuples = range.map(|port| (protocol, SocketAddr::new(address, port)));
        let found = tuples.find(|tuple| self.is_at_rest(tuple));
        found.map(|tuple| format!("{tuple:?}"))
    }

    /// What there is at an address, or anywhere, by the pool's way.
    fn there(&self, subscriber: u64, protocol: Protocol, at: Option<IpAddr>) -> Option<String> {
        match self.policies().port_blocks {
            Some(_) => self.in_blocks(subscriber, protocol, at),
            None => self.in_pool(protocol, at),
        }
    }

    /// Something that a request could have been served from.
    fn missed(
        &self,
        subscriber: u64,
        protocol: Protocol,
        wish: Wish,
        paired: Option<IpAddr>,
    ) -> Option<String> {
        let wished = match wish {
            Wish::Address(at, strictness) => Some((self.address(at), strictness)),
            _ => None,
        };
        if let Some(map) = &self.map {
            let (own, _) = map.range(subscriber, protocol)?;
            if let Some((at, Strictness::Strict)) = wished
                && at != own
            {
                return self.in_blocks_if_any(subscriber, protocol, Some(at));
            }
            let strict = self.policies().pairing == Some(Strictness::Strict)
                || matches!(wished, Some((_, Strictness::Strict)));
            let at = strict.then_some(own);
            return self
                .in_range(subscriber, protocol)
                .or_else(|| self.in_blocks_if_any(subscriber, protocol, at));
        }
        if let Some((at, strictness)) = wished {
            let at = (strictness == Strictness::Strict).then_some(at);
            return self.there(subscriber, protocol, at);
        }
        // A pairing with an address that is the pool's no longer is given up.
        let paired = paired.filter(|&at| self.pool.contains(at));
        let at = paired.filter(|_| self.policies().pairing == Some(Strictness::Strict));
        self.there(subscriber, protocol, at)
    }

    fn in_blocks_if_any(
        &self,
        subscriber: u64,
        protocol: Protocol,
        at: Option<IpAddr>,
    ) -> Option<String> {
        self.policies().port_blocks?;
        self.in_blocks(subscriber, protocol, at)
    }

    fn address(&self, at: usize) -> IpAddr {
        let addresses = self.addresses();
        addresses[at % addresses.len()]
    }

    fn drain(&mut self) {
        self.reader.drain(&mut self.books);
        assert_eq!(self.books.contradictions(), []);
        assert_eq!(self.books.events_lost(), 0);
    }

    fn bound(&self, subscriber: u64) -> Option<IpAddr> {
        self.books
            .pools()
            .find_map(|(_, books)| books.address(subscriber))
    }

    fn allocate(&mut self, shard: usize, subscriber: u64, protocol: Protocol, wish: Wish) -> bool {
        let mut request =
            Request::new(self.engine.pool("pool").unwrap(), protocol).subscriber(subscriber);
        match wish {
            Wish::None => {}
            Wish::Port(port) => request = request.near_port(port),
            Wish::Address(at, strictness) => {
                request = request.address(self.address(at), strictness)
            }
        }
        // Who holds nothing may have lost his pairing by then.
        let holds = self.account(subscriber) != [(0, 0); 3];
        let paired = self.bound(subscriber).filter(|_| holds);
        let shard = shard % self.shards.len();
        let mut had = self.shards[shard]
            .burst(Tick::from_millis(self.now))
            .allocate(&request);
        if had.as_ref().is_err_and(|error| error.is_exhaustion()) && self.shards.len() > 1 {
            // What others hold unissued comes back when they have nothing to do.
            for other in &mut self.shards {
                other.idle(Tick::from_millis(self.now));
            }
            had = self.shards[shard]
                .burst(Tick::from_millis(self.now))
                .allocate(&request);
        }
        self.drain();
        let allowed = self.limit_allows(subscriber, protocol);
        match had {
            Ok(lease) => {
                assert!(allowed, "beyond the limit");
                self.granted(lease, subscriber, protocol, wish, paired);
                true
            }
            Err(error) => {
                *self.refusals.entry(error.name()).or_default() += 1;
                match error {
                    AllocError::SubscriberMissing => {
                        let map = self.map.as_ref().unwrap();
                        assert!(subscriber >= map.subscribers());
                    }
                    AllocError::SubscriberQuota if !allowed => {}
                    AllocError::SubscriberQuota
                    | AllocError::PoolFull
                    | AllocError::AddressFull => {
                        assert!(allowed, "{error:?}, and at its limit");
                        let missed = self.missed(subscriber, protocol, wish, paired);
                        assert_eq!(missed, None, "{error:?} at {}", self.now);
                        let quota = error == AllocError::SubscriberQuota;
                        assert!(!quota || self.kind > 0);
                    }
                    // An address of a wish that is wholly excluded, or of another shape.
                    error => panic!("{error:?}"),
                }
                false
            }
        }
    }

    fn granted(
        &mut self,
        lease: Lease,
        subscriber: u64,
        protocol: Protocol,
        wish: Wish,
        paired: Option<IpAddr>,
    ) {
        let tuple = (lease.protocol(), lease.addr());
        let (_, public) = tuple;
        assert_eq!(lease.protocol(), protocol);
        assert!(self.is_given(tuple), "{public} is not the pool's");
        assert!(
            self.is_at_rest(&tuple),
            "{public}: {:?} at {}",
            self.cells.get(&tuple),
            self.now
        );
        if let Wish::Address(at, Strictness::Strict) = wish {
            assert_eq!(public.ip(), self.address(at));
        }
        let policies = self.policies();
        let in_range = self
            .map
            .as_ref()
            .and_then(|map| map.range(subscriber, protocol));
        let in_range =
            in_range.is_some_and(|(at, range)| at == public.ip() && range.contains(&public.port()));
        assert!(in_range || self.map.is_none() || policies.port_blocks.is_some());
        if policies.port_blocks.is_some() && !in_range {
            let owner = self
                .books
                .pools()
                .find_map(|(_, books)| books.holder(protocol, public));
            assert_eq!(owner, Some(subscriber), "{public}");
        }
        let bound = matches!(wish, Wish::Address(..)) || self.map.is_some();
        if let Some(strictness) = policies.pairing.filter(|_| !bound) {
            let now = self.bound(subscriber);
            assert!(now.is_some(), "not paired");
            let stays = paired.is_some_and(|at| self.pool.contains(at));
            assert!(!stays || now == paired, "moved from {paired:?} to {now:?}");
            assert!(strictness == Strictness::Preferred || now == Some(public.ip()));
        }
        self.cells.insert(tuple, Cell::Leased);
        self.held.push(Held {
            lease,
            tuple,
            subscriber: Some(subscriber),
        });
    }

    fn reserve(&mut self, shard: usize, address: usize, port: u16) {
        let public = SocketAddr::new(self.address(address), port);
        let tuple = (Protocol::Tcp, public);
        let pool = self.engine.pool("pool").unwrap();
        let shard = shard % self.shards.len();
        if self.kind == 0 {
            for other in &mut self.shards {
                other.idle(Tick::from_millis(self.now));
            }
        }
        let mut burst = self.shards[shard].burst(Tick::from_millis(self.now));
        let had = burst.reserve(pool, Protocol::Tcp, public);
        drop(burst);
        self.drain();
        let mut books = self.books.pools();
        let owner = books.find_map(|(_, books)| books.holder(Protocol::Tcp, public));
        let reservable = match self.kind {
            0 => self.is_given(tuple),
            _ => self.is_dynamic(tuple) && self.policies().port_blocks.is_some(),
        };
        match had {
            Ok(lease) => {
                assert!(reservable && self.is_at_rest(&tuple));
                assert_eq!(owner, None, "{public}");
                self.cells.insert(tuple, Cell::Leased);
                self.held.push(Held {
                    lease,
                    tuple,
                    subscriber: None,
                });
            }
            Err(AllocError::Excluded) => assert!(!reservable, "{public}"),
            Err(AllocError::InUse) => {
                assert!(
                    !self.is_at_rest(&tuple) || owner.is_some(),
                    "{public} could be had"
                );
            }
            Err(error) => panic!("{error:?}"),
        }
    }

    fn release(&mut self, shard: usize, pick: usize, how: How) {
        if self.held.is_empty() {
            return;
        }
        let held = self.held.swap_remove(pick % self.held.len());
        let shard = shard % self.shards.len();
        let mut burst = self.shards[shard].burst(Tick::from_millis(self.now));
        match how {
            How::Ended => burst.release(held.lease),
            How::Unused => burst.release_with(held.lease, Reason::Unused),
            How::Drop => drop(held.lease),
            How::Raw => {
                let raw: RawLease = held.lease.into_raw();
                burst.release_raw(raw).unwrap();
                assert!(burst.release_raw(raw).is_err());
            }
        }
        drop(burst);
        if matches!(how, How::Unused) {
            self.cells.remove(&held.tuple);
            self.unused.insert(quarter(held.tuple), self.slice());
        } else {
            let cell = Cell::Resting(self.slice(), held.subscriber);
            self.cells.insert(held.tuple, cell);
        }
    }

    /// Everybody says the same.
    fn agree(&mut self) {
        self.drain();
        let census = self.engine.census();
        assert!(census.total.balances(), "{}", census.total);
        let leased = census.total.leased + census.draining.leased;
        assert_eq!(leased, self.held.len() as u64);
        let said = self.engine.subscribers();
        for who in 0..5 {
            let subscriber = self.subscriber(who);
            let one = said.iter().find(|one| one.subscriber == subscriber);
            let ports = one.map_or([(0, 0); 3], |one| {
                one.ports.map(|ports| (ports.leased, ports.resting))
            });
            assert_eq!(
                ports,
                self.account(subscriber),
                "of {subscriber} at {}",
                self.now
            );
        }
        let blocks = said.iter();
        let blocks = blocks.flat_map(|one| one.blocks.iter().map(|&ports| (ports, one.subscriber)));
        let told = self
            .books
            .pools()
            .flat_map(|(_, books)| books.port_blocks());
        assert_eq!(
            blocks.collect::<BTreeSet<_>>(),
            told.collect::<BTreeSet<_>>()
        );
        let bound = said
            .iter()
            .filter_map(|one| Some((one.subscriber, one.address?)));
        let told = self.books.pools().flat_map(|(_, books)| books.bound());
        assert_eq!(
            bound.collect::<BTreeSet<_>>(),
            told.collect::<BTreeSet<_>>()
        );
        let told = self.books.pools().flat_map(|(_, books)| books.leases());
        let told: BTreeSet<_> = told.collect();
        let held = self.held.iter();
        let held = held.map(|held| (held.tuple.0, held.tuple.1, held.subscriber));
        assert_eq!(told, held.collect::<BTreeSet<_>>());
        // An assigned port block has a port that is not at rest, or rests until it is noticed.
        let mut seen: Vec<PortRange> = said.iter().flat_map(|one| one.blocks.clone()).collect();
        seen.sort_unstable();
        assert!(
            seen.windows(2).all(|two| !overlap(&two[0], &two[1])),
            "{seen:?}"
        );
    }

    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Allocate {
                shard,
                who,
                protocol,
                count,
                wish,
            } => {
                let subscriber = self.subscriber(who);
                for _ in 0..count {
                    if !self.allocate(shard, subscriber, Protocol::ALL[protocol], wish) {
                        break;
                    }
                }
            }
            Step::Reserve {
                shard,
                address,
                port,
            } => self.reserve(shard, address, port),
            Step::Release { shard, pick, how } => self.release(shard, pick, how),
            Step::ReleaseMany { shard, keep } => {
                while self.held.len() > keep {
                    let pick = self.now as usize ^ self.held.len().wrapping_mul(0x9e37_79b9);
                    self.release(shard, pick, How::Ended);
                }
            }
            Step::Idle { shard } => {
                let shard = shard % self.shards.len();
                self.shards[shard].idle(Tick::from_millis(self.now));
            }
            Step::Forward { slices, millis } => self.now += slices * SLICE + millis,
            Step::Jump { far } => {
                self.now += [2 * HOLD, 127 * SLICE, 65_535 * SLICE + 3 * SLICE, 1 << 40][far];
            }
            Step::Reconfigure { shape } => {
                let shapes = shapes(self.kind);
                let pool = shapes[shape % shapes.len()].clone();
                self.map = pool.deterministic_map();
                let config = config(&pool, self.shards.len());
                self.pool = pool;
                self.engine.reconfigure(config).unwrap();
            }
        }
        // The engine's time is that of the latest burst.
        drop(self.shards[0].burst(Tick::from_millis(self.now)));
    }

    fn finish(&mut self) {
        while !self.held.is_empty() {
            self.release(0, 0, How::Ended);
        }
        for _ in 0..4 {
            self.now += 2 * HOLD;
            for shard in &mut self.shards {
                shard.idle(Tick::from_millis(self.now));
            }
        }
        self.agree();
        assert_eq!(self.engine.subscribers(), []);
        let census = self.engine.census();
        assert_eq!(
            census.total.free + census.total.excluded,
            census.total.capacity
        );
    }
}

fn overlap(one: &PortRange, other: &PortRange) -> bool {
    (one.protocol, one.address) == (other.protocol, other.address)
        && one.first <= other.last
        && other.first <= one.last
}

fn play(kind: usize, shards: usize, steps: &[Step]) {
    let mut world = World::new(kind, shards);
    for step in steps {
        world.apply(step);
        world.agree();
    }
    world.finish();
}

fn cases() -> ProptestConfig {
    // `PROPTEST_CASES` makes it more.
    let mut config = ProptestConfig::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 120;
    }
    config.max_shrink_iters = 2_000;
    config
}

fn history() -> impl Strategy<Value = (usize, Vec<Step>)> {
    (1..4usize, prop::collection::vec(step(), 1..60))
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn limits_and_pairing((shards, steps) in history()) {
        play(0, shards, &steps);
    }

    #[test]
    fn port_blocks((shards, steps) in history()) {
        play(1, shards, &steps);
    }

    #[test]
    fn port_blocks_and_pairing((shards, steps) in history()) {
        play(2, shards, &steps);
    }

    #[test]
    fn deterministic_ranges((shards, steps) in history()) {
        play(3, shards, &steps);
    }

    #[test]
    fn deterministic_ranges_and_overflow((shards, steps) in history()) {
        play(4, shards, &steps);
    }
}
