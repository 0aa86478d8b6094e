//! The engine with a window of live leases: each shard releases its own.

use std::hint::black_box;

use natshard::{Burst, Engine, Lease, PoolConfig, Request, Shard, Tick};

use super::case::Worker;
use super::pools::{BURST, EVERY, Rest, Time, engine};
use super::window::{Live, Ring};

/// Leases one and releases another, the oldest if nothing else is said, in bursts of 32.
pub struct Own<L = Ring<Lease>> {
    /// Keeps the engine's time in step over its shards.
    engine: Engine,
    shard: Shard,
    request: Request,
    time: Time,
    live: L,
}

/// Shards of one engine in their steady state: everything leased at first was released, rested
/// and was leased again.
///
/// # Panics
///
/// When the pool is too small for that.
#[must_use]
pub fn team(shards: usize, window: usize, pool: PoolConfig, rest: Rest) -> Vec<Own> {
    let (engine, request) = engine(shards, pool, rest);
    let mut team: Vec<Own> = (0..shards)
        .map(|at| Own::new(&engine, at, request, window, rest.step))
        .collect();
    // All of them time and again, that none runs ahead of the others.
    let bursts = rest.bursts() * 3 / 2;
    for _ in 0..bursts.div_ceil(64) {
        for own in &mut team {
            own.prepare();
            assert_eq!(own.run(64 * BURST), 0, "the pool is large enough");
        }
    }
    team
}

impl Own {
    fn new(engine: &Engine, shard: usize, request: Request, window: usize, step: u64) -> Self {
        let mut shard = engine.shard(shard).expect("nobody has it");
        let mut time = Time::new(step).stepping(EVERY);
        let mut leases = Vec::with_capacity(window);
        while leases.len() < window {
            let count = (window - leases.len()).min(BURST as usize);
            let had = shard
                .burst(time.tick())
                .allocate_batch(&request, count, &mut leases);
            assert_eq!(had, Ok(count), "the pool is large enough");
        }
        Own::of(engine.clone(), shard, request, time, leases)
    }

    /// The same by the batch.
    #[must_use]
    pub fn batched(self) -> Batches {
        Batches {
            own: self,
            batch: Vec::with_capacity(BURST as usize),
        }
    }
}

impl<L: Live<Lease>> Own<L> {
    /// A shard that has these live leases.
    #[must_use]
    pub fn of(
        engine: Engine,
        shard: Shard,
        request: Request,
        time: Time,
        live: Vec<Lease>,
    ) -> Self {
        Own {
            engine,
            shard,
            request,
            time,
            live: L::of(live),
        }
    }

    /// What an operation needs.
    pub fn parts(&mut self) -> (Beginning<'_>, &Request, &mut L) {
        let beginning = Beginning {
            shard: &mut self.shard,
            now: self.time.tick(),
        };
        (beginning, &self.request, &mut self.live)
    }

    /// Its engine.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }
}

impl<L: Live<Lease>> Worker for Own<L> {
    fn prepare(&mut self) {
        self.time.catch_up(&self.engine);
    }

    fn run(&mut self, operations: u64) -> u64 {
        let mut refused = 0;
        for _ in 0..operations / BURST {
            let mut burst = self.shard.burst(self.time.tick());
            for _ in 0..BURST {
                match black_box(&mut burst).allocate(black_box(&self.request)) {
                    Ok(lease) => burst.release(black_box(self.live.swap(lease))),
                    Err(_) => refused += 1,
                }
            }
        }
        refused
    }
}

/// A burst that is about to begin.
pub struct Beginning<'a> {
    shard: &'a mut Shard,
    now: Tick,
}

impl Beginning<'_> {
    /// Begins it.
    #[inline]
    pub fn begin(&mut self) -> Burst<'_> {
        self.shard.burst(self.now)
    }
}

/// Leases 32 and releases the 32 oldest, in a burst.
pub struct Batches {
    own: Own,
    batch: Vec<Lease>,
}

impl Worker for Batches {
    fn prepare(&mut self) {
        self.own.prepare();
    }

    fn run(&mut self, operations: u64) -> u64 {
        let (own, mut refused) = (&mut self.own, 0);
        for _ in 0..operations / BURST {
            let mut burst = own.shard.burst(own.time.tick());
            let count = BURST as usize;
            let had = burst.allocate_batch(black_box(&own.request), count, &mut self.batch);
            refused += BURST - had.unwrap_or(0) as u64;
            for lease in &mut self.batch {
                std::mem::swap(own.live.exchange(), lease);
            }
            burst.release_batch(black_box(&mut self.batch));
        }
        refused
    }
}
