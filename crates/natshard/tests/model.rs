//! The engine against a sequential model: long random histories, compared after every step.
//!
//! Claims:
//! * I1: a lease is of a tuple that nobody holds, in the pool asked.
//! * I2: the census has the model's capacity, exclusions and leases, per pool and in all, and nothing
//!   contradicts itself, after every step; what rests is among what it says is cooling.
//! * I3: a tuple is not leased before its hold-down is over, unless it was given back as unused.
//! * I4: a refusal, once the other shards have given back what they hold unissued, means that
//!   every tuple of the pool is leased, or was released less than 9/8 of a hold-down ago.
//! * I6: a raw token is accepted exactly once, and only while its lease lives; one of another engine
//!   never is, nor is a lease of it anything to this engine.
//! * I8: all of that across reconfigurations; I12: the reason given is the one true one.
//!
//! All of it up to the last ticks there are.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::LazyLock;
use std::time::Duration;

use natshard::{
    AllocError, Engine, EngineConfig, Lease, PoolConfig, Protocol, RawLease, Reason, ReleaseError,
    Request, Shard, Tick,
};
use proptest::prelude::*;

const SHARDS: usize = 2;

#[derive(Clone, Debug)]
enum Step {
    Allocate {
        shard: usize,
        pool: usize,
        protocol: Protocol,
        count: usize,
    },
    /// The same by `allocate_batch`.
    Batch {
        shard: usize,
        pool: usize,
        protocol: Protocol,
        count: usize,
    },
    Reserve {
        shard: usize,
        pool: usize,
        protocol: Protocol,
        address: u8,
        port: u16,
    },
    Release {
        shard: usize,
        pick: usize,
        how: How,
    },
    ReleaseMany {
        shard: usize,
        keep: usize,
    },
    /// The same by `release_batch`.
    ReleaseBatch {
        shard: usize,
        keep: usize,
    },
    StaleToken {
        shard: usize,
        pick: usize,
    },
    /// A token and a lease of another engine are given back here.
    Foreign {
        shard: usize,
    },
    Idle {
        shard: usize,
    },
    Burst {
        shard: usize,
    },
    Replace {
        shard: usize,
    },
    Forward {
        eighths: u64,
        millis: u64,
    },
    Jump {
        holds: u64,
    },
    Backward,
    Reconfigure {
        shape: usize,
    },
}

#[derive(Clone, Copy, Debug)]
enum How {
    Ended,
    Unused,
    Closed,
    Raw,
    Drop,
}

fn step() -> impl Strategy<Value = Step> {
    let shard = 0..SHARDS;
    let pool = 0usize..2;
    let protocol = prop_oneof![
        4 => Just(Protocol::Tcp),
        1 => Just(Protocol::Udp),
        1 => Just(Protocol::Icmp),
    ];
    let count = prop_oneof![Just(1usize), Just(7), Just(300), Just(2000)];
    let wish = (shard.clone(), pool.clone(), protocol.clone(), count);
    prop_oneof![
        4 => wish.clone().prop_map(|(shard, pool, protocol, count)| {
            Step::Allocate { shard, pool, protocol, count }
        }),
        2 => wish.prop_map(|(shard, pool, protocol, count)| {
            Step::Batch { shard, pool, protocol, count }
        }),
        3 => (shard.clone(), pool, protocol, 0u8..5, 1000u16..1700)
            .prop_map(|(shard, pool, protocol, address, port)| {
                Step::Reserve { shard, pool, protocol, address, port }
            }),
        6 => (shard.clone(), any::<usize>(), prop_oneof![
                Just(How::Ended), Just(How::Unused), Just(How::Closed), Just(How::Raw), Just(How::Drop)])
            .prop_map(|(shard, pick, how)| Step::Release { shard, pick, how }),
        2 => (shard.clone(), 0usize..6).prop_map(|(shard, keep)| Step::ReleaseMany { shard, keep }),
        1 => (shard.clone(), 0usize..6).prop_map(|(shard, keep)| Step::ReleaseBatch { shard, keep }),
        2 => (shard.clone(), any::<usize>()).prop_map(|(shard, pick)| Step::StaleToken { shard, pick }),
        1 => shard.clone().prop_map(|shard| Step::Foreign { shard }),
        2 => shard.clone().prop_map(|shard| Step::Idle { shard }),
        2 => shard.clone().prop_map(|shard| Step::Burst { shard }),
        1 => shard.prop_map(|shard| Step::Replace { shard }),
        5 => (0u64..12, 0u64..30).prop_map(|(eighths, millis)| Step::Forward { eighths, millis }),
        1 => prop_oneof![0u64..20, Just(127 / 16), 1_000_000u64..1_000_100]
            .prop_map(|holds| Step::Jump { holds }),
        1 => Just(Step::Backward),
        1 => (0usize..4).prop_map(|shape| Step::Reconfigure { shape }),
    ]
}

/// Pools `a` and `b` in four shapes: overlapping, split, with exclusions, and one of them gone. What a
/// connection that was seen to close had of `b` need not rest.
fn shape(index: usize, hold: u64) -> EngineConfig {
    let pool = |name: &str, prefix: &str, ports| {
        PoolConfig::new(name)
            .prefix(prefix.parse().unwrap())
            .ports(RangeInclusive::clone(&ports))
            .identifiers(ports)
            .reuse_closed(name == "b")
    };
    let config = EngineConfig::new(SHARDS)
        .seed(11)
        .hold_down(Duration::from_millis(hold));
    match index {
        0 => config
            .pool(pool("a", "203.0.113.0/31", 1024..=1535))
            .pool(pool("b", "203.0.113.1/32", 1200..=1600)),
        1 => config
            .pool(pool("a", "203.0.113.0/31", 1024..=1279))
            .pool(pool("b", "203.0.113.0/31", 1280..=1535)),
        2 => config
            .pool(
                pool("a", "203.0.113.0/31", 1024..=1535)
                    .exclude("203.0.113.0".parse().unwrap(), 1100..=1400),
            )
            .pool(pool("b", "203.0.113.2/32", 1024..=1535)),
        _ => config.pool(pool("b", "203.0.113.0/30", 1024..=1300)),
    }
}

/// Whether an address is in a pool of a shape, told from the text above by other means.
fn has_address(shape: usize, pool: usize, address: u8) -> bool {
    match (shape, pool) {
        (0..=2, 0) | (1, 1) => address < 2,
        (0, 1) => address == 1,
        (2, 1) => address == 2,
        (3, 1) => address < 4,
        _ => false,
    }
}

/// Whether a tuple counts to the capacity of a pool of a shape.
fn in_range(shape: usize, pool: usize, (_, address, port): Key) -> bool {
    let ports = match (shape, pool) {
        (0 | 2, 0) | (2, 1) => 1024..=1535,
        (0, 1) => 1200..=1600,
        (1, 0) => 1024..=1279,
        (1, 1) => 1280..=1535,
        _ => 1024..=1300,
    };
    has_address(shape, pool, address) && ports.contains(&port)
}

/// Whether a pool of a shape leases a tuple.
fn in_pool(shape: usize, pool: usize, key: Key) -> bool {
    let (protocol, address, port) = key;
    let excluded = (shape, pool, address) == (2, 0, 0)
        && (1100..=1400).contains(&port)
        // Exclusions are of ports.
        && protocol != Protocol::Icmp.as_index();
    in_range(shape, pool, key) && !excluded
}

/// Every tuple that a test could come across.
fn every_tuple() -> impl Iterator<Item = Key> {
    (0..Protocol::ALL.len()).flat_map(tuples_of)
}

fn tuples_of(protocol: usize) -> impl Iterator<Item = Key> {
    (0..5).flat_map(move |address| (1000..1700).map(move |port| (protocol, address, port)))
}

/// Capacity and exclusions of pool `a`, of `b`, and of both together, by shape.
static CAPACITIES: LazyLock<[[(u64, u64); 3]; 4]> = LazyLock::new(|| {
    std::array::from_fn(|shape| {
        let count = |is: &dyn Fn(usize, Key) -> bool, pools: &[usize]| {
            let any = |key| pools.iter().any(|&pool| is(pool, key));
            every_tuple().filter(|&key| any(key)).count() as u64
        };
        [&[0][..], &[1], &[0, 1]].map(|pools| {
            let capacity = count(&|pool, key| in_range(shape, pool, key), pools);
            let lent = count(&|pool, key| in_pool(shape, pool, key), pools);
            (capacity, capacity - lent)
        })
    })
});

#[derive(Clone, Copy, PartialEq, Debug)]
enum Tuple {
    Leased,
    /// Released at that engine time.
    Resting(u64),
}

/// Protocol, last octet of the address, port.
type Key = (usize, u8, u16);

const POOLS: [&str; 2] = ["a", "b"];

struct World {
    engine: Engine,
    shards: Vec<Option<Shard>>,
    hold: u64,
    shape: usize,
    now: u64,
    /// What is not simply free, and how many shapes there had been when it was leased.
    tuples: BTreeMap<Key, (Tuple, usize)>,
    /// With the pool that each was leased of.
    held: Vec<(Lease, usize)>,
    spent: Vec<RawLease>,
    /// How many shapes there have been.
    shapes: usize,
    /// By pool and address: how many shapes there had been when it was taken out of the pool.
    left: BTreeMap<(usize, u8), usize>,
    /// Addresses that may have been opened, by protocol.
    touched: BTreeSet<(usize, u8)>,
    other: Option<(Request, Shard)>,
}

fn key(lease: &Lease) -> Key {
    let std::net::IpAddr::V4(ip) = lease.addr().ip() else {
        panic!("IPv4 only")
    };
    let (protocol, port) = (lease.protocol().as_index(), lease.addr().port());
    (protocol, ip.octets()[3], port)
}

impl World {
    fn new(hold: u64) -> Self {
        let engine = Engine::new(shape(0, hold)).unwrap();
        let shards = (0..SHARDS)
            .map(|index| Some(engine.shard(index).unwrap()))
            .collect();
        World {
            engine,
            shards,
            hold,
            shape: 0,
            now: 0,
            tuples: BTreeMap::new(),
            held: vec![],
            spent: vec![],
            shapes: 1,
            left: BTreeMap::new(),
            touched: BTreeSet::new(),
            other: None,
        }
    }

    fn request(&self, pool: usize, protocol: Protocol) -> Option<Request> {
        let id = self.engine.pool(POOLS[pool]);
        assert_eq!(id.is_some(), (self.shape, pool) != (3, 0));
        id.map(|id| Request::new(id, protocol))
    }

    fn tick(&self) -> Tick {
        Tick::from_millis(self.now)
    }

    fn shard(&mut self, index: usize) -> &mut Shard {
        self.shards[index].as_mut().unwrap()
    }

    fn accept(&mut self, pool: usize, lease: Lease) {
        let key = key(&lease);
        assert!(
            in_pool(self.shape, pool, key),
            "{lease:?} is not of the pool"
        );
        match self.tuples.insert(key, (Tuple::Leased, self.shapes)) {
            None => {}
            Some((Tuple::Leased, _)) => panic!("{lease:?} has two owners"),
            Some((Tuple::Resting(since), _)) => {
                assert!(
                    self.now - since >= self.hold,
                    "{lease:?} rested from {since} to {}",
                    self.now
                );
            }
        }
        let (protocol, address, _) = key;
        self.touched.insert((protocol, address));
        self.held.push((lease, pool));
    }

    /// Whether a tuple of a pool must be leasable.
    fn is_leasable(&self, key: Key) -> bool {
        // Beyond 2^56 slices time stands still.
        let slice = self.hold.div_ceil(16).max(1);
        let last = (u64::MAX >> 8)
            .saturating_mul(slice)
            .saturating_add(slice - 1);
        let rested = self.hold + self.hold / 8 + 2;
        match self.tuples.get(&key) {
            None => true,
            Some((Tuple::Leased, _)) => false,
            Some(&(Tuple::Resting(since), _)) => {
                self.hold == 0 || self.now.min(last).saturating_sub(since) >= rested
            }
        }
    }

    /// A tuple of the pool that must be leasable, if there is one.
    fn leasable(&self, pool: usize, protocol: Protocol) -> Option<Key> {
        let mut all = tuples_of(protocol.as_index());
        all.find(|&key| in_pool(self.shape, pool, key) && self.is_leasable(key))
    }

    /// Has the other shards give back what they have in hand.
    fn idle_others(&mut self, shard: usize) {
        let tick = self.tick();
        for other in (0..SHARDS).filter(|&other| other != shard) {
            self.shard(other).idle(tick);
        }
    }

    fn refused(&self, pool: usize, protocol: Protocol, error: AllocError) {
        assert_eq!(error, AllocError::PoolFull);
        assert_eq!(
            self.leasable(pool, protocol),
            None,
            "refused at {}",
            self.now
        );
    }

    fn allocate(&mut self, shard: usize, pool: usize, protocol: Protocol, count: usize) {
        let Some(request) = self.request(pool, protocol) else {
            return;
        };
        let tick = self.tick();
        for _ in 0..count {
            let mut result = self.shard(shard).burst(tick).allocate(&request);
            if result.is_err() {
                self.idle_others(shard);
                result = self.shard(shard).burst(tick).allocate(&request);
            }
            match result {
                Ok(lease) => self.accept(pool, lease),
                Err(error) => return self.refused(pool, protocol, error),
            }
        }
    }

    fn allocate_batch(&mut self, shard: usize, pool: usize, protocol: Protocol, count: usize) {
        let Some(request) = self.request(pool, protocol) else {
            return;
        };
        let tick = self.tick();
        let mut leases = Vec::new();
        for _ in 0..2 {
            let (before, wanted) = (leases.len(), count - leases.len());
            let mut burst = self.shard(shard).burst(tick);
            let result = burst.allocate_batch(&request, wanted, &mut leases);
            drop(burst);
            match result {
                Ok(had) => assert_eq!(had, leases.len() - before),
                Err(error) => {
                    assert_eq!((error, leases.len()), (AllocError::PoolFull, before));
                    assert!(wanted > 0);
                }
            }
            self.idle_others(shard);
        }
        assert!(leases.len() <= count);
        let all = leases.len() == count;
        for lease in leases {
            self.accept(pool, lease);
        }
        if !all {
            self.refused(pool, protocol, AllocError::PoolFull);
        }
    }

    fn was_released(&mut self, key: Key, rests: bool) {
        if rests {
            let since = self.tuples[&key].1;
            self.tuples.insert(key, (Tuple::Resting(self.now), since));
        } else {
            self.tuples.remove(&key);
        }
    }

    fn release(&mut self, shard: usize, pick: usize, how: How) {
        if self.held.is_empty() {
            return;
        }
        let index = pick % self.held.len();
        let (lease, pool) = self.held.swap_remove(index);
        let key = key(&lease);
        let tick = self.tick();
        let mut burst = self.shards[shard].as_mut().unwrap().burst(tick);
        let mut rests = true;
        match how {
            How::Ended => burst.release(lease),
            How::Unused => {
                burst.release_with(lease, Reason::Unused);
                rests = false;
            }
            How::Closed => {
                burst.release_with(lease, Reason::Closed);
                rests = POOLS[pool] != "b";
            }
            How::Raw => {
                let raw = lease.into_raw();
                burst.release_raw(raw).unwrap();
                self.spent.push(raw);
            }
            How::Drop => drop(lease),
        }
        drop(burst);
        self.was_released(key, rests);
    }

    /// How many leases to give back for `keep` sixths of them to go, and which.
    fn many(&self, keep: usize) -> impl Iterator<Item = usize> + use<> {
        let (now, held) = (self.now as usize, self.held.len());
        let gone = held * keep / 6;
        (0..gone).map(move |gone| now.wrapping_mul(31).wrapping_add((held - gone) * 7))
    }

    fn release_batch(&mut self, shard: usize, keep: usize) {
        let mut leases = Vec::new();
        for pick in self.many(keep) {
            let pick = pick % self.held.len();
            leases.push(self.held.swap_remove(pick).0);
        }
        let keys: Vec<_> = leases.iter().map(key).collect();
        let tick = self.tick();
        self.shard(shard).burst(tick).release_batch(&mut leases);
        assert!(leases.is_empty());
        for key in keys {
            self.was_released(key, true);
        }
    }

    fn reserve(
        &mut self,
        shard: usize,
        pool: usize,
        (protocol, address, port): (Protocol, u8, u16),
    ) {
        let Some(request) = self.request(pool, protocol) else {
            return;
        };
        let key = (protocol.as_index(), address, port);
        let tick = self.tick();
        let public: SocketAddr = format!("203.0.113.{address}:{port}").parse().unwrap();
        let reserve = |world: &mut World| {
            let mut burst = world.shard(shard).burst(tick);
            burst.reserve(request.pool(), protocol, public)
        };
        let mut result = reserve(self);
        if result.is_err() {
            for other in (0..SHARDS).filter(|&other| other != shard) {
                drop(self.shard(other).burst(tick));
            }
            result = reserve(self);
        }
        let ours = in_pool(self.shape, pool, key);
        match result {
            Ok(lease) => self.accept(pool, lease),
            Err(AllocError::InUse) => {
                assert!(ours);
                assert!(!self.is_leasable(key), "{public} refused at {}", self.now);
            }
            Err(error) => {
                assert!(!ours, "{public}: {error}");
                if let Some(expected) = self.refusal(pool, key) {
                    assert_eq!(error, expected, "{public} of {}", POOLS[pool]);
                } else {
                    // Whether it drains still depends on how far housekeeping is.
                    let either = [AllocError::Draining, AllocError::OutsidePool];
                    assert!(either.contains(&error), "{public}: {error}");
                }
            }
        }
        if has_address(self.shape, pool, address) {
            self.touched.insert((protocol.as_index(), address));
        }
    }

    /// Why a tuple that a pool does not lease is refused; `None` if its address was the pool's once and
    /// has nothing any more that could be draining, but may be open all the same.
    fn refusal(&self, pool: usize, (protocol, address, _): Key) -> Option<AllocError> {
        if has_address(self.shape, pool, address) {
            return Some(AllocError::Excluded);
        }
        let Some(&left) = self.left.get(&(pool, address)) else {
            return Some(AllocError::OutsidePool);
        };
        if !self.touched.contains(&(protocol, address)) {
            return Some(AllocError::OutsidePool);
        }
        let mut there = self
            .tuples
            .range((protocol, address, 0)..=(protocol, address, u16::MAX));
        let drains = there.any(|(_, &(tuple, since))| {
            let is_busy = match tuple {
                Tuple::Leased => true,
                Tuple::Resting(since) => self.now - since < self.hold,
            };
            // Since before the address was taken out.
            is_busy && since <= left
        });
        drains.then_some(AllocError::Draining)
    }

    fn foreign(&mut self, shard: usize) {
        let tick = self.tick();
        let (request, other) = self.other.get_or_insert_with(|| {
            let engine = Engine::new(shape(0, self.hold).seed(12)).unwrap();
            let request = Request::new(engine.pool("a").unwrap(), Protocol::Tcp);
            (request, engine.shard(0).unwrap())
        });
        let mut there = other.burst(tick);
        let (token, lease) = (there.allocate(request), there.allocate(request));
        let (token, lease) = (token.unwrap().into_raw(), lease.unwrap());
        let mut burst = self.shards[shard].as_mut().unwrap().burst(tick);
        assert_eq!(burst.release_raw(token), Err(ReleaseError::Foreign));
        burst.release(lease);
        drop(burst);
        // That changed nothing: there it still is what it was.
        assert_eq!(there.release_raw(token), Ok(()));
    }

    fn reconfigure(&mut self, next: usize) {
        self.engine.reconfigure(shape(next, self.hold)).unwrap();
        for pool in 0..POOLS.len() {
            for address in 0..5 {
                if has_address(next, pool, address) {
                    self.left.remove(&(pool, address));
                } else if has_address(self.shape, pool, address) {
                    self.left.insert((pool, address), self.shapes);
                }
            }
        }
        self.shape = next;
        self.shapes += 1;
        let tick = self.tick();
        // Leases of the old shape end with the bursts of that time.
        for index in 0..SHARDS {
            drop(self.shard(index).burst(tick));
        }
    }

    /// Compares the census with what the model knows.
    fn agree(&self) {
        let census = self.engine.census();
        assert_eq!(census.contradictions, 0);
        assert!(census.draining.balances(), "{}", census.draining);
        let names = POOLS.map(|name| census.pools.get(name));
        let everything = [names[0], names[1], Some(&census.total)];
        // Of pool `a`, of `b`, of both together and of neither: leased; resting, and not rested yet;
        // resting.
        let mut counts = [[0u64; 3]; 4];
        for (&key, &(tuple, _)) in &self.tuples {
            let [a, b] = [0, 1].map(|pool| in_pool(self.shape, pool, key));
            let counted = match tuple {
                Tuple::Leased => [1, 0, 0],
                Tuple::Resting(since) => [0, u64::from(self.now - since < self.hold), 1],
            };
            for (counts, _) in counts
                .iter_mut()
                .zip([a, b, a || b, !a && !b])
                .filter(|of| of.1)
            {
                for (count, one) in counts.iter_mut().zip(counted) {
                    *count += one;
                }
            }
        }
        let told = everything.into_iter().zip(CAPACITIES[self.shape]);
        for ((books, told), [leased, rest, _]) in told.zip(counts) {
            let Some(books) = books else {
                assert_eq!(told, (0, 0));
                continue;
            };
            assert!(books.balances(), "{books}");
            assert_eq!((books.capacity, books.excluded), told, "{books}");
            assert_eq!(books.leased, leased, "{books}");
            // Ports that were given back out of a hand, and have no rest, count as well.
            assert!(books.cooling >= rest, "{rest} rest: {books}");
        }
        let [leased, rest, released] = counts[3];
        let books = census.draining;
        assert_eq!(books.leased, leased, "{books}");
        let cooling = rest..=released;
        assert!(cooling.contains(&books.cooling), "{cooling:?}: {books}");
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Allocate {
                shard,
                pool,
                protocol,
                count,
            } => self.allocate(shard, pool, protocol, count),
            Step::Batch {
                shard,
                pool,
                protocol,
                count,
            } => self.allocate_batch(shard, pool, protocol, count),
            Step::Reserve {
                shard,
                pool,
                protocol,
                address,
                port,
            } => self.reserve(shard, pool, (protocol, address, port)),
            Step::Release { shard, pick, how } => self.release(shard, pick, how),
            Step::ReleaseMany { shard, keep } => {
                for pick in self.many(keep) {
                    self.release(shard, pick, How::Ended);
                }
            }
            Step::ReleaseBatch { shard, keep } => self.release_batch(shard, keep),
            Step::Foreign { shard } => self.foreign(shard),
            Step::StaleToken { shard, pick } => {
                if !self.spent.is_empty() {
                    let raw = self.spent[pick % self.spent.len()];
                    let tick = self.tick();
                    let result = self.shard(shard).burst(tick).release_raw(raw);
                    assert_eq!(result, Err(ReleaseError::Stale));
                }
            }
            Step::Idle { shard } => {
                let tick = self.tick();
                self.shard(shard).idle(tick);
            }
            Step::Burst { shard } => {
                let tick = self.tick();
                drop(self.shard(shard).burst(tick));
            }
            Step::Replace { shard } => {
                self.shards[shard] = None;
                self.shards[shard] = Some(self.engine.shard(shard).unwrap());
            }
            Step::Forward { eighths, millis } => {
                self.now = self.now.saturating_add(self.hold * eighths / 8 + millis);
                let tick = self.tick();
                drop(self.shard(0).burst(tick));
            }
            Step::Jump { holds } => {
                self.now = self.now.saturating_add(self.hold.max(1) * holds);
                let tick = self.tick();
                drop(self.shard(1).burst(tick));
            }
            Step::Backward => {
                let earlier = Tick::from_millis(self.now / 2);
                drop(self.shard(0).burst(earlier));
            }
            Step::Reconfigure { shape } => self.reconfigure(shape),
        }
        self.agree();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn histories_agree_with_the_model(
        hold in prop_oneof![4 => Just(1000u64), 1 => Just(0), 1 => Just(1), 1 => Just(120_000)],
        steps in prop::collection::vec(step(), 1..120),
        // The end of time, so many eighths of a hold-down before the last tick, and what is done then.
        end in prop::option::weighted(0.2, (0u64..24, prop::collection::vec(step(), 1..30))),
    ) {
        let mut world = World::new(hold);
        for step in &steps {
            world.run(step);
        }
        if let Some((eighths, steps)) = end {
            world.now = world.now.max(u64::MAX - hold * eighths / 8);
            for step in &steps {
                world.run(step);
            }
        }
    }
}
