//! One engine, from its first lease to its last port.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use natshard::{Engine, Lease, Protocol, Request, Tick};

use crate::args::Args;
use crate::judge::{Tally, Windows};
use crate::oracle::Oracle;
use crate::worker::{Shared, Worker};
use crate::world::{self, ADDRESSES, PORTS};

/// What a round is.
pub struct Plan {
    seed: u64,
    shards: usize,
    hold_down: u64,
    monotone: bool,
    panics: bool,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan {
            shards, hold_down, ..
        } = self;
        write!(f, "{shards} shards, {hold_down} ms of rest")?;
        if self.monotone {
            write!(f, ", nothing given back")?;
        }
        if self.panics {
            write!(f, ", panics within calls")?;
        }
        Ok(())
    }
}

impl Plan {
    pub fn drawn(args: &Args, round: u64, seed: u64) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, |cores| cores.get());
        let many = (2 * cores + 1).min(32);
        let by_turns = if round % 2 == 1 { 2 } else { many };
        Plan {
            seed,
            shards: args.shards.unwrap_or(by_turns),
            hold_down: [160, 32, 0, 1_600][(seed % 4) as usize],
            monotone: round.is_multiple_of(3),
            panics: args.panics && round.is_multiple_of(2),
        }
    }

    /// Holds this thread in windows from now on.
    fn arm(&self, _who: u64) {
        #[cfg(natshard_failpoints)]
        {
            let policy = natshard::failpoints::Policy {
                yields: 3_000,
                spins: 500,
                sleeps: 30_000,
                panics: if self.panics { 100_000 } else { 0 },
            };
            natshard::failpoints::arm(policy, self.seed.wrapping_mul(2 * _who + 1));
        }
    }
}

/// Ends the round when its thread does, also in a panic.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs a round; fails when anything is found.
pub fn run(plan: &Plan, time: Duration, windows: &mut Windows) -> Tally {
    let config = world::shape(plan.shards, plan.hold_down, plan.seed);
    let engine = Engine::new(config).unwrap();
    let oracle = Oracle::new(ADDRESSES, plan.hold_down);
    let (clock, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let market = Mutex::new(Vec::new());
    let shared = Shared {
        engine: &engine,
        oracle: &oracle,
        clock: &clock,
        stop: &stop,
        market: &market,
        hold_down: plan.hold_down,
        monotone: plan.monotone,
    };
    let (dropper, dropped) = mpsc::channel::<Lease>();
    let mut tally = Tally::default();
    let mut held = Vec::new();
    let end = Instant::now() + time;
    std::thread::scope(|scope| {
        let shared = &shared;
        // Leases of all shards end here too, on a thread that has none.
        let drops = scope.spawn(move || {
            plan.arm(1_000);
            let drop = |lease: Lease| {
                let done = catch_unwind(AssertUnwindSafe(|| drop(lease)));
                u64::from(done.is_err_and(|thrown| crate::worker::is_thrown(&*thrown)))
            };
            dropped.into_iter().map(drop).sum::<u64>()
        });
        let workers: Vec<_> = (0..plan.shards)
            .map(|index| {
                let dropper = dropper.clone();
                scope.spawn(move || {
                    plan.arm(index as u64);
                    Worker::new(shared, index, plan.seed, dropper).work()
                })
            })
            .collect();
        drop(dropper);
        let swaps = scope.spawn(move || change(plan, shared, end));
        for worker in workers {
            let (leases, done) = worker.join().expect("a worker found something");
            held.extend(leases);
            tally.add(done);
        }
        tally.thrown += drops.join().unwrap();
        tally.swaps = swaps.join().expect("a reconfiguration found something");
    });
    held.extend(
        market
            .into_inner()
            .unwrap()
            .into_iter()
            .map(|(_, lease)| lease),
    );
    settle(plan, &engine, held, clock.into_inner(), tally.thrown);
    if plan.monotone {
        assert_eq!(oracle.different(), tally.leased);
    }
    windows.merge(&tally.windows);
    tally
}

/// Changes the configuration, and looks at everything that can be looked at, until the end.
fn change(plan: &Plan, shared: &Shared<'_>, end: Instant) -> u64 {
    let _ends = Ends(shared.stop);
    let mut swaps = 0;
    let steering = shared.engine.steering();
    while Instant::now() < end && !shared.stop.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(5 + swaps % 40));
        let census = shared.engine.census();
        assert!(census.pools.len() >= 5, "{census:?}");
        let stats = shared.engine.stats();
        assert!(stats.allocated() >= stats.released().saturating_sub(1 << 20));
        let realm = shared.engine.realm("default").unwrap();
        for protocol in Protocol::ALL {
            let public = format!("203.0.113.{}:1500", swaps % 16).parse().unwrap();
            let owner = steering.owner(realm, protocol, public);
            assert!(owner.is_none_or(|shard| shard.as_index() < plan.shards));
        }
        drop(shared.engine.subscribers());
        swaps += 1;
        let next = world::shape(plan.shards, plan.hold_down, plan.seed + swaps);
        shared.engine.reconfigure(next).unwrap();
    }
    swaps
}

/// Everything balances, and once all of it is given back and has rested, all of it is there.
fn settle(plan: &Plan, engine: &Engine, held: Vec<Lease>, now: u64, thrown: u64) {
    let census = engine.census();
    assert!(census.total.balances(), "{}", census.total);
    // A block may have been counted and not claimed, or the other way round.
    assert!(thrown > 0 || census.contradictions == 0, "{census:?}");
    assert!(census.draining.balances(), "{}", census.draining);
    for (name, pool) in &census.pools {
        assert!(pool.balances(), "{name}: {pool}");
    }
    let leased = census.total.leased + census.draining.leased;
    // A panic within a call loses what was on its way, a lease for one.
    let lost = leased - held.len() as u64;
    assert!(thrown > 0 || lost == 0, "{lost} leases lost");
    let mut shard = engine.shard(0).unwrap();
    let mut held = held;
    shard.burst(Tick::from_millis(now)).release_batch(&mut held);
    let census = engine.census();
    let leased = census.total.leased + census.draining.leased;
    assert_eq!((leased, census.total.unissued <= (1 << 16)), (lost, true));

    engine
        .reconfigure(world::whole(plan.shards, plan.hold_down))
        .unwrap();
    let mut later = now;
    // Housekeeping is bounded per step; books of subscribers end within two hold-downs.
    for _ in 0..300 {
        later += plan.hold_down / 8 + 1;
        shard.idle(Tick::from_millis(later));
    }
    let (mut all, mut had) = (Vec::new(), 0);
    for protocol in Protocol::ALL {
        let request = Request::new(engine.pool("whole").unwrap(), protocol);
        let mut burst = shard.burst(Tick::from_millis(later));
        had += burst
            .allocate_batch(&request, 1 << 20, &mut all)
            .unwrap_or(0) as u64;
    }
    let capacity = 3 * ADDRESSES as u64 * u64::from(PORTS);
    let census = engine.census();
    assert!(census.total.balances(), "{}", census.total);
    if thrown > 0 {
        // Blocks that were between two states stay there; nobody else's port is touched.
        println!(
            "  {thrown} panics within calls cost {} ports",
            capacity - had
        );
        return;
    }
    assert_eq!(census.contradictions, 0);
    assert_eq!(had, capacity, "not every port came back");
    assert_eq!(census.total.leased, capacity);
    let left = engine.subscribers();
    assert!(left.is_empty(), "{left:?}");
}
