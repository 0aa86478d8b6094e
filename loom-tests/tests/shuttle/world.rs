//! An engine, who holds what of it, and what must be so at the end.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use natshard::{Engine, EngineConfig, Lease, PoolConfig, Protocol, Request, Shard, Tick};

pub const SHARDS: usize = 8;

pub fn at(millis: u64) -> Tick {
    Tick::from_millis(millis)
}

pub fn pool(name: &str, prefix: &str, ports: u16) -> PoolConfig {
    PoolConfig::new(name)
        .prefix(prefix.parse().unwrap())
        .ports(1024..=1023 + ports)
}

pub fn config(hold_down: u64, pools: &[PoolConfig]) -> EngineConfig {
    let base = EngineConfig::new(SHARDS)
        .hold_down(Duration::from_millis(hold_down))
        .seed(1);
    pools.iter().cloned().fold(base, EngineConfig::pool)
}

/// Draws, without a part in the schedule.
pub struct Draws(u64);

impl Draws {
    pub fn new(seed: u64) -> Self {
        let mut draws = Draws(seed | 1);
        draws.below(2);
        draws
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// What all threads of an execution share. Threads take turns, and none is switched away from
/// while it holds one of these locks, which are no steps of the protocol.
pub struct World {
    pub engine: Engine,
    pub hold_down: u64,
    pub clock: AtomicU64,
    holders: Mutex<HashMap<SocketAddr, Cell>>,
}

#[derive(Clone, Copy)]
enum Cell {
    Held,
    Released(u64),
}

impl World {
    pub fn new(hold_down: u64, pools: &[PoolConfig]) -> Self {
        World {
            engine: Engine::new(config(hold_down, pools)).unwrap(),
            hold_down,
            clock: AtomicU64::new(0),
            holders: Mutex::default(),
        }
    }

    pub fn request(&self, name: &str) -> Request {
        Request::new(self.engine.pool(name).unwrap(), Protocol::Tcp)
    }

    pub fn pass(&self, millis: u64) -> u64 {
        self.clock.fetch_add(millis, Ordering::SeqCst) + millis
    }

    pub fn now(&self) -> u64 {
        self.clock.load(Ordering::SeqCst)
    }

    /// A lease was had: nobody holds it, and it has rested.
    pub fn leased(&self, lease: &Lease) {
        let now = self.now();
        let before = self
            .holders
            .lock()
            .unwrap()
            .insert(lease.addr(), Cell::Held);
        match before {
            None => {}
            Some(Cell::Held) => panic!("{lease:?} has two owners"),
            Some(Cell::Released(then)) => {
                assert!(now >= then + self.hold_down, "{lease:?}: {then} to {now}");
            }
        }
    }

    /// A lease is about to be given back, at a time not after engine time.
    pub fn released(&self, lease: &Lease, now: u64) {
        let mut holders = self.holders.lock().unwrap();
        let before = holders.insert(lease.addr(), Cell::Released(now));
        assert!(matches!(before, Some(Cell::Held)), "{lease:?} was not held");
    }

    /// A lease is about to be given back that needs no rest.
    pub fn unused(&self, lease: &Lease) {
        let before = self.holders.lock().unwrap().remove(&lease.addr());
        assert!(matches!(before, Some(Cell::Held)), "{lease:?} was not held");
    }

    /// Everything balances; once all is given back and rested, these many ports can be had.
    pub fn settle(&self, held: Vec<Lease>, name: &str, ports: usize) {
        let census = self.engine.census();
        assert!(census.total.balances(), "{}", census.total);
        assert_eq!(census.contradictions, 0);
        assert!(census.draining.balances(), "{}", census.draining);
        let leased = census.total.leased + census.draining.leased;
        assert_eq!(leased, held.len() as u64, "{}", census.total);
        let now = self.now();
        let mut shard = self.engine.shard(0).unwrap();
        let mut burst = shard.burst(at(now));
        for lease in held {
            self.released(&lease, now);
            burst.release(lease);
        }
        drop(burst);
        // A scenario holds threads anywhere for as long as it likes. One that was held for seven
        // hold-downs in the middle of a release, or with a block in hand, has ports that may be
        // noticed a hold-down late ("what wraps" in the state machine); none is lost.
        let late = now + self.hold_down + self.hold_down / 8;
        drop(shard.burst(at(late)));
        let rested = late + self.hold_down + self.hold_down / 8;
        self.clock.store(rested, Ordering::SeqCst);
        let request = self.request(name);
        let all = self.fill(&mut shard, &request, rested);
        assert_eq!(all.len(), ports, "not every port came back");
        let census = self.engine.census();
        assert!(census.total.balances(), "{}", census.total);
        assert_eq!(census.contradictions, 0);
    }

    pub fn fill(&self, shard: &mut Shard, request: &Request, now: u64) -> Vec<Lease> {
        let mut leases = Vec::new();
        let mut burst = shard.burst(at(now));
        let _ = burst.allocate_batch(request, 1 << 16, &mut leases);
        leases.iter().for_each(|lease| self.leased(lease));
        leases
    }
}
