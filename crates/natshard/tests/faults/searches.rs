//! Refused although there is room, or never answered: what threads and counters do to a search.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use natshard::{
    AllocError, Engine, EngineConfig, Lease, Parity, Protocol, Reason, Request, Strictness,
};

use super::{HOLD, RESTED, all, at, balanced, ends, engine, pool, restless};

/// F15: while an address was handed back it was in neither list, and the pool looked empty. Here
/// one thread takes addresses down as fast as it can while the other needs all of them.
#[test]
fn f15_an_address_being_taken_down_can_be_had_at_every_moment() {
    const REST: u64 = 16;
    let one = pool("p", "203.0.113.0/31").ports(1024..=1279);
    let config = EngineConfig::new(2).hold_down(Duration::from_millis(REST));
    let engine = Engine::new(config.pool(one)).unwrap();
    let request = Request::new(engine.pool("p").unwrap(), Protocol::Tcp);
    let mut taker = engine.shard(0).unwrap();
    let mut closer = engine.shard(1).unwrap();
    let start = Barrier::new(2);
    let (rounds, mut late) = (3_000, 0);
    std::thread::scope(|scope| {
        let start = &start;
        scope.spawn(move || {
            for round in 0..rounds {
                start.wait();
                // Every block rests since a second: housekeeping recycles and takes down.
                for step in 0..4 {
                    closer.idle(at(round * 1_000 + step * 4 * REST));
                }
                start.wait();
            }
        });
        for round in 0..rounds {
            start.wait();
            for step in 0..(round % 7) * 50 {
                std::hint::black_box(step);
            }
            let mut held = Vec::new();
            let mut burst = taker.burst(at(round * 1_000));
            let had = burst.allocate_batch(&request, 512, &mut held);
            let missed = 512 - had.unwrap_or(0);
            if missed > 0 {
                // The scheduler stopped the other shard while it judged a block: nothing else may be.
                // (Of an address that it has decided to take down nothing is missed.)
                late += 1;
                assert_eq!(missed, 256, "round {round}: {had:?}");
                start.wait();
                let had = burst.allocate_batch(&request, missed, &mut held);
                assert_eq!(had, Ok(missed), "round {round}");
            }
            burst.release_batch(&mut held);
            drop(burst);
            taker.idle(at(round * 1_000));
            if missed == 0 {
                start.wait();
            }
        }
    });
    assert!(late <= rounds / 100, "{late} of {rounds} rounds");
    balanced(&engine);
    let stats = engine.stats();
    let closed: u64 = stats
        .shards
        .iter()
        .map(|shard| shard.addresses_closed)
        .sum();
    assert!(closed > 100, "no address was taken down: {stats:?}");
}

/// F16: a scan found nothing of its own, the draw came after somebody else's, and whoever lost it
/// was refused. There is one block for each of two racing shards: both must get one.
#[test]
fn f16_who_loses_a_race_looks_again() {
    let (engine, request) = restless(2, pool("p", "203.0.113.0/32").ports(1024..=1535));
    let start = Barrier::new(2);
    std::thread::scope(|scope| {
        for index in 0..2 {
            let (engine, start) = (&engine, &start);
            scope.spawn(move || {
                let mut shard = engine.shard(index).unwrap();
                for round in 0..10_000 {
                    start.wait();
                    let mut burst = shard.burst(at(0));
                    let lease = burst.allocate(&request);
                    let lease = lease.unwrap_or_else(|error| panic!("round {round}: {error}"));
                    start.wait();
                    burst.release_with(lease, Reason::Unused);
                    drop(burst);
                    shard.idle(at(0));
                }
            });
        }
    });
    assert_eq!(engine.stats().refused(AllocError::PoolFull), 0);
    balanced(&engine);
}

/// F20: a search without an end when every port of an address was in use, or a crash. Every kind
/// of request of a full pool is answered, and soon.
#[test]
fn f20_every_search_of_a_full_pool_ends() {
    ends("a request of a full pool", || {
        let (engine, request) = engine(2, pool("p", "203.0.113.0/28"));
        let id = engine.pool("p").unwrap();
        let mut shards = [0, 1].map(|index| engine.shard(index).unwrap());
        let held = all(&mut shards[0], &request, 0);
        assert_eq!(held.len(), 16 * 64_512);
        let address = "203.0.113.3".parse().unwrap();
        let strict = request.address(address, Strictness::Strict);
        let began = Instant::now();
        for round in 0..500 {
            let mut burst = shards[round % 2].burst(at(round as u64));
            let mut into = Vec::new();
            for asked in [
                request,
                request.near_port(40_000),
                request.parity(Parity::Odd),
                request.address(address, Strictness::Preferred),
            ] {
                assert_eq!(burst.allocate(&asked), Err(AllocError::PoolFull));
            }
            assert_eq!(burst.allocate(&strict), Err(AllocError::AddressFull));
            assert!(burst.allocate_set(&request, 2, &mut into).is_err());
            let taken = burst.reserve(id, Protocol::Tcp, held[round].addr());
            assert_eq!(taken, Err(AllocError::InUse));
        }
        // A scan of the million ports for each of these would take minutes.
        assert!(began.elapsed() < Duration::from_secs(10));
        assert_eq!(balanced(&engine).total.leased, held.len() as u64);
    });
}

/// F21: counters that said free, or full, and lied: one wrapped to 65,535 (or to nothing) at the
/// size of an address. All 65,536 identifiers of ICMP, to both ends and back.
#[test]
fn f21_counters_are_right_at_both_ends() {
    let (engine, _) = engine(2, pool("p", "203.0.113.0/32"));
    let request = Request::new(engine.pool("p").unwrap(), Protocol::Icmp);
    let mut shards = [0, 1].map(|index| engine.shard(index).unwrap());
    let capacity = 65_536 + 2 * 64_512;
    for round in 0..4u64 {
        let now = round * 2 * HOLD;
        let mut held = all(&mut shards[0], &request, now);
        assert_eq!(held.len(), 65_536, "round {round}");
        let census = balanced(&engine).total;
        assert_eq!((census.capacity, census.leased), (capacity, 65_536));
        assert_eq!(census.free + census.unissued + census.cooling, 2 * 64_512);
        // One back, one out, at the very end.
        for _ in 0..100 {
            let mut burst = shards[1].burst(at(now));
            assert_eq!(burst.allocate(&request), Err(AllocError::PoolFull));
            burst.release_with(held.swap_remove(0), Reason::Unused);
            held.push(burst.allocate(&request).unwrap());
            assert_eq!(burst.allocate(&request), Err(AllocError::PoolFull));
        }
        // Out of every pool, 65,536 leases drain.
        let none = EngineConfig::new(2).pool(pool("other", "198.51.100.0/32"));
        let done = engine.reconfigure(none).unwrap();
        assert_eq!(done.draining_leases, 65_536);
        assert_eq!(engine.census().draining.leased, 65_536);
        let back = EngineConfig::new(2).pool(pool("p", "203.0.113.0/32"));
        assert_eq!(engine.reconfigure(back).unwrap().draining_leases, 0);
        shards[1].burst(at(now)).release_batch(&mut held);
        let census = balanced(&engine).total;
        assert_eq!((census.leased, census.cooling), (0, 65_536));
        // And down to nothing, once all of it has rested and was recycled.
        for step in 0..600 {
            shards[0].idle(at(now + RESTED + step));
        }
        let census = balanced(&engine).total;
        assert_eq!(census.free, capacity, "{census}");
    }
}

/// F21, with threads: what the books say while two threads give and take at both ends of a pool
/// is never more than there is, and exact in the end.
#[test]
fn f21_books_of_racing_threads_never_wrap() {
    let (engine, request) = restless(3, pool("p", "203.0.113.0/32").ports(1024..=1279));
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..2)
            .map(|index| {
                let engine = &engine;
                scope.spawn(move || {
                    let mut shard = engine.shard(index).unwrap();
                    for _ in 0..3_000 {
                        let mut held: Vec<Lease> = all(&mut shard, &request, 0);
                        shard.burst(at(0)).release_batch(&mut held);
                        shard.idle(at(0));
                    }
                })
            })
            .collect();
        let (engine, stop) = (&engine, &stop);
        scope.spawn(move || {
            while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                let census = engine.census().total;
                for part in [census.free, census.unissued, census.leased, census.cooling] {
                    assert!(part <= census.capacity, "{census}");
                }
                let stats = engine.stats();
                assert!(stats.open_addresses <= 3 && stats.awaiting_grace <= 1 << 16);
                std::thread::yield_now();
            }
        });
        let failed = workers
            .into_iter()
            .map(|worker| worker.join())
            .any(|ended| ended.is_err());
        stop.store(true, std::sync::atomic::Ordering::SeqCst);
        assert!(!failed, "a worker panicked");
    });
    let stats = engine.stats();
    assert_eq!(stats.allocated(), stats.released());
    assert_eq!(balanced(&engine).total.leased, 0);
}
