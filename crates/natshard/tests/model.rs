//! The engine against a sequential model: long random histories, compared after every step.
//!
//! Claims:
//! * I1: a lease is of a tuple that nobody holds, in the pool asked.
//! * I2: the census balances and counts the model's leases, after every step.
//! * I3: a tuple is not leased before its hold-down is over, unless it was given back as unused.
//! * I4: a refusal, once the other shards have given back what they hold unissued, means that
//!   every tuple of the pool is leased, or was released less than 9/8 of a hold-down ago.
//! * I6: a raw token is accepted exactly once, and only while its lease lives.
//! * I8: all of that across reconfigurations; I12: the reasons given are the true ones.

use std::collections::BTreeMap;
use std::net::SocketAddr;
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
        count: usize,
    },
    Reserve {
        shard: usize,
        pool: usize,
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
    StaleToken {
        shard: usize,
        pick: usize,
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
    Raw,
    Drop,
}

fn step() -> impl Strategy<Value = Step> {
    let shard = 0..SHARDS;
    let pool = 0usize..2;
    prop_oneof![
        6 => (shard.clone(), pool.clone(), prop_oneof![Just(1), Just(7), Just(300), Just(2000)])
            .prop_map(|(shard, pool, count)| Step::Allocate { shard, pool, count }),
        3 => (shard.clone(), pool, 0u8..3, 1000u16..1700)
            .prop_map(|(shard, pool, address, port)| Step::Reserve { shard, pool, address, port }),
        6 => (shard.clone(), any::<usize>(), prop_oneof![
                Just(How::Ended), Just(How::Unused), Just(How::Raw), Just(How::Drop)])
            .prop_map(|(shard, pick, how)| Step::Release { shard, pick, how }),
        3 => (shard.clone(), 0usize..6).prop_map(|(shard, keep)| Step::ReleaseMany { shard, keep }),
        2 => (shard.clone(), any::<usize>()).prop_map(|(shard, pick)| Step::StaleToken { shard, pick }),
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

/// Pools `a` and `b` in four shapes: overlapping, split, with exclusions, and one of them gone.
fn shape(index: usize, hold: u64) -> EngineConfig {
    let pool = |name: &str, prefix: &str, ports| {
        PoolConfig::new(name)
            .prefix(prefix.parse().unwrap())
            .ports(ports)
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

/// Whether a tuple is in a pool of a shape, told from the text above by other means.
fn in_pool(shape: usize, pool: usize, address: u8, port: u16) -> bool {
    match (shape, pool) {
        (0, 0) => address < 2 && (1024..=1535).contains(&port),
        (0, 1) => address == 1 && (1200..=1600).contains(&port),
        (1, 0) => address < 2 && (1024..=1279).contains(&port),
        (1, 1) => address < 2 && (1280..=1535).contains(&port),
        (2, 0) => {
            address < 2
                && (1024..=1535).contains(&port)
                && !(address == 0 && (1100..=1400).contains(&port))
        }
        (2, 1) => address == 2 && (1024..=1535).contains(&port),
        (3, 1) => (1024..=1300).contains(&port),
        _ => false,
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Tuple {
    Leased,
    /// Released at that engine time.
    Resting(u64),
}

struct World {
    engine: Engine,
    shards: Vec<Option<Shard>>,
    hold: u64,
    shape: usize,
    now: u64,
    /// What is not simply free.
    tuples: BTreeMap<(u8, u16), Tuple>,
    held: Vec<Lease>,
    spent: Vec<RawLease>,
}

fn key(addr: SocketAddr) -> (u8, u16) {
    let std::net::IpAddr::V4(ip) = addr.ip() else {
        panic!("IPv4 only")
    };
    (ip.octets()[3], addr.port())
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
        }
    }

    fn request(&self, pool: usize) -> Option<Request> {
        let name = ["a", "b"][pool];
        self.engine
            .pool(name)
            .map(|id| Request::new(id, Protocol::Tcp))
    }

    fn tick(&self) -> Tick {
        Tick::from_millis(self.now)
    }

    fn shard(&mut self, index: usize) -> &mut Shard {
        self.shards[index].as_mut().unwrap()
    }

    fn accept(&mut self, pool: usize, lease: Lease) {
        let (address, port) = key(lease.addr());
        assert!(
            in_pool(self.shape, pool, address, port),
            "{lease:?} is not of the pool"
        );
        match self.tuples.insert((address, port), Tuple::Leased) {
            None => {}
            Some(Tuple::Leased) => panic!("{lease:?} has two owners"),
            Some(Tuple::Resting(since)) => {
                assert!(
                    self.now >= since + self.hold,
                    "{lease:?} rested from {since} to {}",
                    self.now
                );
            }
        }
        self.held.push(lease);
    }

    /// A tuple of the pool that must be leasable, if there is one.
    fn leasable(&self, pool: usize) -> Option<(u8, u16)> {
        let late = self.hold + self.hold / 8 + 2;
        (0..4u8)
            .flat_map(|address| (1000..1700u16).map(move |port| (address, port)))
            .find(|&(address, port)| {
                in_pool(self.shape, pool, address, port)
                    && match self.tuples.get(&(address, port)) {
                        None => true,
                        Some(Tuple::Leased) => false,
                        Some(Tuple::Resting(since)) => {
                            self.hold == 0 || self.now >= since.saturating_add(late)
                        }
                    }
            })
    }

    fn allocate(&mut self, shard: usize, pool: usize, count: usize) {
        let Some(request) = self.request(pool) else {
            return;
        };
        let tick = self.tick();
        for _ in 0..count {
            let mut result = self.shard(shard).burst(tick).allocate(&request);
            if result.is_err() {
                for other in (0..SHARDS).filter(|&other| other != shard) {
                    self.shard(other).idle(tick);
                }
                result = self.shard(shard).burst(tick).allocate(&request);
            }
            match result {
                Ok(lease) => self.accept(pool, lease),
                Err(error) => {
                    assert_eq!(error, AllocError::PoolFull);
                    assert_eq!(self.leasable(pool), None, "refused at {}", self.now);
                    return;
                }
            }
        }
    }

    fn release(&mut self, shard: usize, pick: usize, how: How) {
        if self.held.is_empty() {
            return;
        }
        let index = pick % self.held.len();
        let lease = self.held.swap_remove(index);
        let tuple = key(lease.addr());
        let tick = self.tick();
        let mut burst = self.shards[shard].as_mut().unwrap().burst(tick);
        let mut rests = true;
        match how {
            How::Ended => burst.release(lease),
            How::Unused => {
                burst.release_with(lease, Reason::Unused);
                rests = false;
            }
            How::Raw => {
                let raw = lease.into_raw();
                burst.release_raw(raw).unwrap();
                self.spent.push(raw);
            }
            How::Drop => drop(lease),
        }
        drop(burst);
        if rests {
            self.tuples.insert(tuple, Tuple::Resting(self.now));
        } else {
            self.tuples.remove(&tuple);
        }
    }

    fn reserve(&mut self, shard: usize, pool: usize, address: u8, port: u16) {
        let Some(request) = self.request(pool) else {
            return;
        };
        let tick = self.tick();
        let public: SocketAddr = format!("203.0.113.{address}:{port}").parse().unwrap();
        let reserve = |world: &mut World| {
            world
                .shard(shard)
                .burst(tick)
                .reserve(request.pool(), Protocol::Tcp, public)
        };
        let mut result = reserve(self);
        if result.is_err() {
            for other in (0..SHARDS).filter(|&other| other != shard) {
                drop(self.shard(other).burst(tick));
            }
            result = reserve(self);
        }
        let ours = in_pool(self.shape, pool, address, port);
        match result {
            Ok(lease) => self.accept(pool, lease),
            Err(AllocError::InUse) => {
                assert!(ours);
                let free = match self.tuples.get(&(address, port)) {
                    None => true,
                    Some(Tuple::Leased) => false,
                    Some(Tuple::Resting(since)) => {
                        self.now >= since.saturating_add(self.hold + self.hold / 8 + 2)
                    }
                };
                assert!(!free, "{public} refused at {}", self.now);
            }
            Err(error) => {
                assert!(!ours, "{public}: {error}");
                let known = [
                    AllocError::Excluded,
                    AllocError::OutsidePool,
                    AllocError::Draining,
                ];
                assert!(known.contains(&error), "{error}");
            }
        }
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Allocate { shard, pool, count } => self.allocate(shard, pool, count),
            Step::Reserve {
                shard,
                pool,
                address,
                port,
            } => self.reserve(shard, pool, address, port),
            Step::Release { shard, pick, how } => self.release(shard, pick, how),
            Step::ReleaseMany { shard, keep } => {
                for _ in 0..self.held.len() * keep / 6 {
                    self.release(
                        shard,
                        self.now as usize * 31 + self.held.len() * 7,
                        How::Ended,
                    );
                }
            }
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
            Step::Reconfigure { shape: next } => {
                self.engine.reconfigure(shape(next, self.hold)).unwrap();
                self.shape = next;
                let tick = self.tick();
                // Leases of the old shape end with the bursts of that time.
                for index in 0..SHARDS {
                    drop(self.shard(index).burst(tick));
                }
            }
        }
        let census = self.engine.census();
        assert!(census.total.balances(), "{}", census.total);
        assert_eq!(census.contradictions, 0);
        assert!(census.draining.balances(), "{}", census.draining);
        for pool in census.pools.values() {
            assert!(pool.balances(), "{pool}");
        }
        assert_eq!(
            census.total.leased + census.draining.leased,
            self.held.len() as u64
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn histories_agree_with_the_model(
        hold in prop_oneof![4 => Just(1000u64), 1 => Just(0), 1 => Just(1), 1 => Just(120_000)],
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut world = World::new(hold);
        for step in &steps {
            world.run(step);
        }
    }
}
