//! What one thread does to its shard.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;

use natshard::{
    Burst, Engine, Family, Lease, Parity, Protocol, RawLease, Reason, Request, Shard, Strictness,
    Tick,
};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use crate::judge::Tally;
use crate::oracle::Oracle;
use crate::world::POOLS;

/// What all threads of a round share.
pub struct Shared<'a> {
    pub engine: &'a Engine,
    pub oracle: &'a Oracle,
    pub clock: &'a AtomicU64,
    pub stop: &'a AtomicBool,
    /// Leases on their way to another worker, and whose they were.
    pub market: &'a Mutex<Vec<(u32, Lease)>>,
    pub hold_down: u64,
    /// Nothing is given back.
    pub monotone: bool,
}

pub struct Worker<'a> {
    shared: &'a Shared<'a>,
    index: usize,
    who: u32,
    random: Xoshiro256PlusPlus,
    held: Vec<Lease>,
    /// Tokens that were given back, to try again soon.
    spent: VecDeque<RawLease>,
    dropper: Sender<Lease>,
    tally: Tally,
}

/// What a thread panics with on purpose, between two calls of the engine.
struct Killed;

/// Whether a failpoint threw it, within a call.
pub fn is_thrown(thrown: &(dyn std::any::Any + Send)) -> bool {
    #[cfg(natshard_failpoints)]
    return thrown.is::<natshard::failpoints::Thrown>();
    #[cfg(not(natshard_failpoints))]
    return thrown.is::<std::convert::Infallible>();
}

/// Runs work in which no failpoint throws.
fn calmly<T>(work: impl FnOnce() -> T) -> T {
    #[cfg(natshard_failpoints)]
    return natshard::failpoints::calmly(work);
    #[cfg(not(natshard_failpoints))]
    return work();
}

impl<'a> Worker<'a> {
    pub fn new(shared: &'a Shared<'a>, index: usize, seed: u64, dropper: Sender<Lease>) -> Self {
        Worker {
            shared,
            index,
            who: index as u32,
            random: Xoshiro256PlusPlus::seed_from_u64(seed ^ (index as u64) << 48),
            held: Vec::new(),
            spent: VecDeque::new(),
            dropper,
            tally: Tally::default(),
        }
    }

    fn below(&mut self, end: usize) -> usize {
        (self.random.next_u64() % end as u64) as usize
    }

    fn one_in(&mut self, odds: usize) -> bool {
        self.below(odds) == 0
    }

    /// Works until told to stop; what it holds then, and what it did.
    pub fn work(mut self) -> (Vec<Lease>, Tally) {
        while !self.shared.stop.load(Ordering::Relaxed) {
            let mut shard = calmly(|| self.shared.engine.shard(self.index)).unwrap();
            let life = catch_unwind(AssertUnwindSafe(|| self.live(&mut shard)));
            // With whatever it has in hand. A drop of its own must not be cut short.
            calmly(|| drop(shard));
            match life {
                Ok(()) => {}
                Err(thrown) if thrown.is::<Killed>() => self.tally.killed += 1,
                Err(thrown) if is_thrown(&*thrown) => self.tally.thrown += 1,
                Err(found) => {
                    self.shared.stop.store(true, Ordering::Relaxed);
                    resume_unwind(found)
                }
            }
        }
        for lease in &self.held {
            self.shared.oracle.still(lease, self.who);
        }
        #[cfg(natshard_failpoints)]
        self.tally.windows.add(natshard::failpoints::passed());
        (self.held, self.tally)
    }

    /// The life of one shard; it may end in the middle of a burst.
    fn live(&mut self, shard: &mut Shard) {
        for _ in 0..20 + self.below(400) {
            if self.shared.stop.load(Ordering::Relaxed) {
                return;
            }
            let step = match self.below(1_000) {
                0 => self.shared.hold_down * 2,
                1 => self.shared.hold_down * 16 + self.below(7) as u64,
                2 => 1 << 20,
                other => (other % 3) as u64,
            };
            let ago = if self.one_in(50) { self.below(500) } else { 0 };
            let now = self.shared.clock.fetch_add(step, Ordering::Relaxed) + step;
            // A clock that lags counts as standing still.
            let mut burst = shard.burst(Tick::from_millis(now.saturating_sub(ago as u64)));
            let now = if ago > 0 {
                burst.now().as_millis()
            } else {
                now
            };
            for _ in 0..1 + self.below(64) {
                self.operate(&mut burst, now);
            }
            if self.one_in(500) {
                resume_unwind(Box::new(Killed));
            }
            if self.one_in(200) {
                // Stalled, pinned, with a block in hand.
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            drop(burst);
            if self.one_in(30) {
                shard.idle(Tick::from_millis(now));
            }
        }
    }

    fn request(&mut self) -> Option<Request> {
        let name = POOLS[self.below(POOLS.len())];
        let pool = self.shared.engine.pool(name)?;
        let protocol = Protocol::ALL[self.below(3)];
        let mut request = Request::new(pool, protocol);
        match name {
            "limited" | "blocks" => {
                let subscriber = self.below(if name == "limited" { 40 } else { 24 });
                request = request.subscriber(subscriber as u64);
            }
            "shared" if self.one_in(8) => request = request.control(),
            "shared" => request = request.tenant(self.below(4) as u32),
            _ => {}
        }
        if self.one_in(6) {
            request = match self.below(4) {
                0 => request.family(Family::V4),
                1 => request.near_port(1024 + self.below(1100) as u16),
                2 => request.parity(Parity::Odd),
                _ => {
                    let address = format!("203.0.113.{}", self.below(16)).parse().unwrap();
                    let strict = self.one_in(2);
                    request.address(
                        address,
                        if strict {
                            Strictness::Strict
                        } else {
                            Strictness::Preferred
                        },
                    )
                }
            };
        }
        Some(request)
    }

    /// Takes on what was had.
    fn had(&mut self, lease: Lease) {
        let now = self.shared.clock.load(Ordering::Relaxed);
        self.tally.leased += 1;
        if self.shared.monotone {
            self.shared.oracle.first(&lease);
        }
        self.shared.oracle.leased(&lease, self.who, now);
        self.held.push(lease);
    }

    fn operate(&mut self, burst: &mut Burst<'_>, now: u64) {
        let full = self.held.len() > 3_000;
        match self.below(100) {
            0..48 if !full => {
                let Some(request) = self.request() else {
                    return;
                };
                match burst.allocate(&request) {
                    Ok(lease) => self.had(lease),
                    Err(_) => self.tally.refused += 1,
                }
            }
            48..52 if !full => {
                let Some(request) = self.request() else {
                    return;
                };
                let (count, mut into) = (1 + self.below(40), Vec::new());
                let had = if self.one_in(2) {
                    burst.allocate_batch(&request, count, &mut into)
                } else {
                    burst.allocate_set_up_to(&request, 1 + count / 4, 1, &mut into)
                };
                assert_eq!(had.unwrap_or(0), into.len());
                into.into_iter().for_each(|lease| self.had(lease));
            }
            52..56 => {
                let name = POOLS[self.below(POOLS.len())];
                let Some(pool) = self.shared.engine.pool(name) else {
                    return;
                };
                let (address, port) = (self.below(16), 1000 + self.below(1100));
                let public = format!("203.0.113.{address}:{port}").parse().unwrap();
                match burst.reserve(pool, Protocol::ALL[self.below(3)], public) {
                    Ok(lease) => self.had(lease),
                    Err(_) => self.tally.refused += 1,
                }
            }
            56..60 => self.retry(burst),
            60..63 => self.trade(now),
            _ if !self.shared.monotone => self.give_back(burst, now),
            _ => {}
        }
    }

    fn give_back(&mut self, burst: &mut Burst<'_>, now: u64) {
        // Mostly one, at times most of it, so that blocks empty.
        let many = if self.one_in(400) { self.held.len() } else { 1 };
        for _ in 0..many {
            if self.held.is_empty() {
                return;
            }
            let place = self.below(self.held.len());
            let lease = self.held.swap_remove(place);
            self.tally.released += 1;
            let way = self.below(16);
            if way == 0 {
                self.shared.oracle.unused(&lease, self.who);
                burst.release_with(lease, Reason::Unused);
                continue;
            }
            self.shared.oracle.released(&lease, self.who, now);
            match way {
                1 => drop(lease),
                2 => self.dropper.send(lease).unwrap(),
                3..6 => {
                    let raw = RawLease::from_bits(lease.into_raw().to_bits());
                    assert_eq!(burst.release_raw(raw), Ok(()));
                    self.spent.push_back(raw);
                    self.spent.truncate(32);
                }
                _ => burst.release(lease),
            }
        }
    }

    /// Tokens that were given back are refused.
    fn retry(&mut self, burst: &mut Burst<'_>) {
        let Some(raw) = self.spent.pop_front() else {
            return;
        };
        assert!(burst.release_raw(raw).is_err(), "{raw:?} was taken twice");
        self.tally.stale += 1;
    }

    /// Hands leases to other workers, or takes on theirs.
    fn trade(&mut self, _now: u64) {
        let mut market = self.shared.market.lock().unwrap();
        if market.len() > 200 || market.len() > 20 && self.one_in(2) {
            let (from, lease) = market.pop().unwrap();
            drop(market);
            self.shared.oracle.handed(&lease, from, self.who);
            self.held.push(lease);
        } else if let Some(lease) = self.held.pop() {
            market.push((self.who, lease));
        }
    }
}
