//! Sets and single leases by racing threads: no tuple has two owners, none is lost.
//!
//! What the threads share beside the engine is relaxed, so that the order between two holders of a
//! tuple is the engine's (F35).

#[path = "common/oracle.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod oracle;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use natshard::{
    AllocError, Engine, EngineConfig, Lease, Parity, PoolConfig, Protocol, Request, Tick,
};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use oracle::Oracle;

const HOLD: u64 = 160;

fn work(
    engine: &Engine,
    index: usize,
    oracle: &Oracle,
    time: &AtomicU64,
) -> (Vec<Lease>, [u64; 3]) {
    let who = index as u32;
    let request = Request::new(engine.pool("p").unwrap(), Protocol::Udp);
    let mut random = Xoshiro256PlusPlus::seed_from_u64(index as u64);
    let mut shard = engine.shard(index).unwrap();
    let mut held: Vec<Lease> = Vec::new();
    let mut seen = [0; 3];
    for round in 0..3000u64 {
        time.fetch_add(round % 31, Relaxed);
        let mut burst = shard.burst(Tick::from_millis(time.load(Relaxed)));
        for _ in 0..8 {
            let count = [1, 1, 2, 2, 7, 32, 100, 256][random.next_u32() as usize % 8];
            let mut leases = Vec::new();
            let result = match random.next_u32() % 4 {
                0 => burst.allocate_batch(&request, count, &mut leases),
                1 => burst.allocate_set_up_to(&request, count, 1, &mut leases),
                2 => burst.allocate_set(&request.parity(Parity::Even), count, &mut leases),
                _ => burst.allocate_set(&request, count, &mut leases),
            };
            match result {
                Ok(_) => seen[0] += 1,
                Err(AllocError::NoContiguous) => seen[1] += 1,
                Err(error) => {
                    assert_eq!(error, AllocError::PoolFull);
                    seen[2] += 1;
                }
            }
            for lease in &leases {
                oracle.leased(lease, who, burst.now().as_millis());
            }
            held.extend(leases);
            // More than half of the pool between the threads.
            while held.len() > 600 {
                let lease = held.swap_remove(random.next_u32() as usize % held.len());
                oracle.released(&lease, who, burst.now().as_millis());
                match random.next_u32() % 8 {
                    0 => drop(lease),
                    1 => burst.release_raw(lease.into_raw()).unwrap(),
                    _ => burst.release(lease),
                }
            }
        }
        drop(burst);
        if random.next_u32() % 16 == 0 {
            shard.idle(Tick::from_millis(time.load(Relaxed)));
        }
    }
    (held, seen)
}

#[test]
fn sets_and_singles_of_racing_threads_are_disjoint_and_nothing_is_lost() {
    let pool = PoolConfig::new("p")
        .prefix("203.0.113.0/31".parse().unwrap())
        .ports(1024..=2047);
    let config = EngineConfig::new(2)
        .hold_down(Duration::from_millis(HOLD))
        .pool(pool);
    let engine = Engine::new(config).unwrap();
    let oracle = Oracle::new(2, HOLD);
    let time = AtomicU64::new(0);
    let results: Vec<_> = std::thread::scope(|scope| {
        let (engine, oracle, time) = (&engine, &oracle, &time);
        let threads = [0, 1].map(|index| scope.spawn(move || work(engine, index, oracle, time)));
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let held: Vec<&Lease> = results.iter().flat_map(|(held, _)| held).collect();
    let seen = |kind: usize| results.iter().map(|(_, seen)| seen[kind]).sum::<u64>();
    println!("{} {} {}", seen(0), seen(1), seen(2));
    assert!(seen(0) > 1000, "sets are had");
    assert!(seen(1) > 100, "and refused");
    let census = engine.census();
    assert!(census.total.balances(), "{}", census.total);
    assert_eq!(census.contradictions, 0);
    assert_eq!(census.total.leased, held.len() as u64);
    for (who, (held, _)) in results.iter().enumerate() {
        held.iter()
            .for_each(|lease| oracle.still(lease, who as u32));
    }
}
