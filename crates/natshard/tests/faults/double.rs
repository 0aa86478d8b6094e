//! One tuple, two leases.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};

use natshard::{Lease, Protocol, RawLease, ReleaseError, Request, SubscriberLimit};

use super::oracle::Oracle;
use super::{HOLD, RESTED, all, at, balanced, engine, pool, restless};
use natshard::{AllocError, Engine, EngineConfig};

/// F1: pools over identical and partly overlapping public ranges handed out the same tuple.
#[test]
fn f01_identical_and_partly_overlapping_pools_of_racing_shards() {
    let pools = [
        pool("a", "203.0.113.0/29").ports(1024..=3071),
        pool("twin", "203.0.113.0/29").ports(1024..=3071),
        pool("part", "203.0.113.4/30").ports(2000..=5000),
        pool("crumb", "203.0.113.6/32").ports(1024..=1600),
    ];
    let names = ["a", "twin", "part", "crumb"];
    let config = pools.into_iter().fold(EngineConfig::new(2), |all, one| {
        all.hold_down(std::time::Duration::from_millis(HOLD))
            .pool(one)
    });
    let engine = Engine::new(config).unwrap();
    let oracle = Oracle::new(8, HOLD);
    let leased = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for index in 0..2 {
            let (engine, oracle, leased) = (&engine, &oracle, &leased);
            scope.spawn(move || {
                let mut shard = engine.shard(index).unwrap();
                let requests = names.map(|name| engine.pool(name).unwrap());
                let requests = requests.map(|pool| Request::new(pool, Protocol::Udp));
                let mut refused = 0;
                while refused < 50 {
                    let mut burst = shard.burst(at(0));
                    let mut had = 0;
                    for turn in 0..64 {
                        if let Ok(lease) = burst.allocate(&requests[(turn + index) % 4]) {
                            // Nothing is given back: each tuple comes once at most.
                            oracle.first(&lease);
                            had += 1;
                            std::mem::forget(lease);
                        }
                    }
                    leased.fetch_add(had, Ordering::SeqCst);
                    refused = if had == 0 { refused + 1 } else { 0 };
                    std::thread::yield_now();
                }
            });
        }
    });
    // The union: 8 addresses of 2048, and 4 of them up to port 5000.
    assert_eq!(leased.into_inner(), 8 * 2048 + 4 * (5000 - 3071));
    let census = balanced(&engine);
    assert_eq!(
        census.pools["a"].leased + census.pools["twin"].leased,
        2 * 8 * 2048
    );
    assert_eq!(census.pools["crumb"].leased, 577);
}

/// F3: a cloneable handle, of which every copy freed the port.
#[test]
fn f03_a_lease_is_given_back_once_however_many_copies_there_are() {
    // A lease has no copies: each of these has two candidates, and does not compile, if it had.
    trait NotClone<A> {
        fn check() {}
    }
    impl<T> NotClone<()> for T {}
    impl<T: Clone> NotClone<u8> for T {}
    <Lease as NotClone<_>>::check();
    <natshard::Shard as NotClone<_>>::check();

    let (engine, request) = engine(2, pool("p", "203.0.113.0/32").ports(1024..=1279));
    let copies = [engine.clone(), engine.clone()];
    let mut shards = [0, 1].map(|index| engine.shard(index).unwrap());
    let lease = shards[0].burst(at(0)).allocate(&request).unwrap();
    let addr = lease.addr();
    drop(copies);
    assert_eq!(
        engine.census().total.leased,
        1,
        "engine handles own no lease"
    );
    // A token has as many copies as anybody likes: one of them counts.
    let raw = lease.into_raw();
    let tokens: Vec<RawLease> = vec![raw; 8];
    let racing = Barrier::new(2);
    let won: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = shards
            .iter_mut()
            .map(|shard| {
                let (tokens, racing) = (&tokens[..], &racing);
                scope.spawn(move || {
                    let mut burst = shard.burst(at(0));
                    racing.wait();
                    let given = tokens.iter().map(|&raw| burst.release_raw(raw));
                    given.filter(Result::is_ok).count() as u64
                })
            })
            .collect();
        threads.into_iter().map(|one| one.join().unwrap()).sum()
    });
    assert_eq!(won, 1);
    let census = balanced(&engine);
    assert_eq!((census.total.leased, census.total.cooling), (0, 1));
    // And none of them gives back the lease of who has the tuple next.
    shards[0].idle(at(RESTED));
    let held = all(&mut shards[1], &request, RESTED);
    assert!(held.iter().any(|lease| lease.addr() == addr));
    for &copy in &tokens {
        let late = shards[0].burst(at(RESTED)).release_raw(copy);
        assert_eq!(late, Err(ReleaseError::Stale));
    }
    assert_eq!(engine.census().total.leased, 256);
}

/// F7: neighbouring workers shared a word of a bitmap and changed it without atomicity.
#[test]
fn f07_threads_that_share_a_word_lose_no_port_of_it() {
    // The bytes of 64 ports: one cache line.
    let (engine, request) = restless(2, pool("p", "203.0.113.0/32").ports(1024..=1087));
    let mut shard = engine.shard(0).unwrap();
    let mut other = engine.shard(1).unwrap();
    let (sender, receiver) = std::sync::mpsc::sync_channel::<Vec<Lease>>(0);
    let done = Barrier::new(2);
    std::thread::scope(|scope| {
        let done = &done;
        scope.spawn(move || {
            for (round, theirs) in receiver.iter().enumerate() {
                let mut burst = other.burst(at(0));
                for lease in theirs {
                    match round % 3 {
                        0 => burst.release(lease),
                        1 => drop(lease),
                        _ => burst.release_raw(lease.into_raw()).unwrap(),
                    }
                }
                drop(burst);
                done.wait();
            }
        });
        for round in 0..4_000 {
            let leases = all(&mut shard, &request, 0);
            assert_eq!(leases.len(), 64, "round {round}: a port was lost");
            // Odd and even ones, so that both threads are at the same line all the time.
            let (mine, theirs) = leases
                .into_iter()
                .partition(|lease: &Lease| lease.addr().port().is_multiple_of(2));
            sender.send(theirs).unwrap();
            let mut burst = shard.burst(at(0));
            let mine: Vec<Lease> = mine;
            for lease in mine {
                burst.release(lease);
            }
            drop(burst);
            done.wait();
        }
        drop(sender);
    });
    assert_eq!(balanced(&engine).total.leased, 0);
}

/// F8: when the table was full a live session was overwritten, "some previous unlucky session".
#[test]
fn f08_a_full_pool_takes_nothing_from_anybody() {
    let limit = SubscriberLimit::new().ports(Protocol::Tcp, 4);
    let one = pool("p", "203.0.113.0/32").ports(1024..=1279);
    let config = EngineConfig::new(2)
        .max_subscribers(64)
        .pool(one.subscriber_limit(limit));
    let engine = Engine::new(config).unwrap();
    let (pool, realm) = (engine.pool("p").unwrap(), engine.realm("default").unwrap());
    let of = |subscriber| Request::new(pool, Protocol::Tcp).subscriber(subscriber);
    let mut shards = [0, 1].map(|index| engine.shard(index).unwrap());
    // 64 subscribers of 4 ports each: the table and the pool are full at once.
    let mut held = Vec::new();
    for subscriber in 0..64 {
        let mut burst = shards[0].burst(at(0));
        for _ in 0..4 {
            held.push(burst.allocate(&of(subscriber)).unwrap());
        }
    }
    for round in 0..1_000 {
        for shard in &mut shards {
            let mut burst = shard.burst(at(round));
            let refused = burst.allocate(&of(1_000 + round));
            assert_eq!(refused, Err(AllocError::SubscribersFull));
            let refused = burst.allocate(&of(round % 64));
            assert_eq!(refused, Err(AllocError::SubscriberQuota));
            let refused = burst.allocate(&Request::new(pool, Protocol::Tcp));
            assert_eq!(refused, Err(AllocError::PoolFull));
            let taken = held[round as usize % held.len()].addr();
            let refused = burst.reserve(pool, Protocol::Tcp, taken);
            assert_eq!(refused, Err(AllocError::InUse));
        }
    }
    assert_eq!(engine.census().total.leased, 256);
    for lease in held {
        let owner = engine.owner(realm, Protocol::Tcp, lease.addr());
        assert_eq!(owner.map(|shard| shard.as_index()), Some(0), "{lease:?}");
        let raw = lease.into_raw();
        assert_eq!(shards[1].burst(at(2_000)).release_raw(raw), Ok(()));
    }
    let census = balanced(&engine);
    assert_eq!((census.total.leased, census.total.cooling), (0, 256));
}

/// F35: a record made after the call takes a fast reuse for a duplicate, and a duplicate for a
/// fast reuse. The cells tell them apart: here a duplicate, a lease before its rest, and a second
/// release are put before the oracle, and it must see each.
#[test]
fn f35_the_oracle_sees_what_it_is_there_for() {
    let seen = |act: &(dyn Fn(&Oracle, &Lease) + std::panic::RefUnwindSafe)| {
        let (engine, request) = engine(1, pool("p", "203.0.113.0/32"));
        let lease = engine.shard(0).unwrap().burst(at(0)).allocate(&request);
        let oracle = Oracle::new(1, HOLD);
        let lease = lease.unwrap();
        let act = std::panic::AssertUnwindSafe(|| act(&oracle, &lease));
        std::panic::catch_unwind(act).is_err()
    };
    assert!(seen(&|oracle, lease| {
        oracle.leased(lease, 1, 0);
        oracle.leased(lease, 2, 0);
    }));
    assert!(seen(&|oracle, lease| {
        oracle.leased(lease, 1, 0);
        oracle.released(lease, 1, 5);
        oracle.leased(lease, 2, 4 + HOLD);
    }));
    assert!(seen(&|oracle, lease| {
        oracle.leased(lease, 1, 0);
        oracle.released(lease, 1, 5);
        oracle.released(lease, 1, 5);
    }));
    assert!(seen(&|oracle, lease| {
        oracle.first(lease);
        oracle.first(lease);
    }));
    // A reuse that is fast and right.
    assert!(!seen(&|oracle, lease| {
        oracle.leased(lease, 1, 0);
        oracle.released(lease, 1, 5);
        oracle.leased(lease, 2, 5 + HOLD);
        oracle.handed(lease, 2, 1);
        oracle.unused(lease, 1);
        oracle.leased(lease, 2, 5 + HOLD);
    }));
}
