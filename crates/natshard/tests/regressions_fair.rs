//! One test per defect of subscribers, port blocks, pairing, deterministic ranges and events that
//! was found and mended.

#![allow(unused)]
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc;
use std::time::Duration;

use natshard::{
    AllocError, Burst, Deterministic, Engine, EngineConfig, EventBooks, EventConfig, Family, Lease,
    PoolConfig, PortBlocks, Protocol, Reason, Request, Strictness, SubscriberLimit, Tick,
};

const HOLD: u64 = 16_000;
/// A slice is a sixteenth of the hold-down.
const SLICE: u64 = HOLD / 16;

fn at(millis: u64) -> Tick {
    Tick::from_millis(millis)
}

fn pool(prefix: &str) -> PoolConfig {
    PoolConfig::new("pool").prefix(prefix.parse().unwrap())
}

fn config(shards: usize, pool: PoolConfig) -> EngineConfig {
    EngineConfig::new(shards)
        .hold_down(Duration::from_millis(HOLD))
        .events(EventConfig::new(1 << 16))
        .pool(pool)
}

fn engine(pool: PoolConfig) -> Engine {
    Engine::new(config(1, pool).seed(1)).unwrap()
}

fn request(engine: &Engine, protocol: Protocol, subscriber: u64) -> Request {
    Request::new(engine.pool("pool").unwrap(), protocol).subscriber(subscriber)
}

fn fill(burst: &mut Burst<'_>, request: &Request) -> (Vec<Lease>, AllocError) {
    let mut leases = Vec::new();
    loop {
        match burst.allocate(request) {
            Ok(lease) => leases.push(lease),
            Err(error) => return (leases, error),
        }
    }
}

/// Fails when `work` does not end: what went round for ever must not stop the tests.
fn ends<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, end) = mpsc::channel();
    std::thread::spawn(move || done.send(work()));
    end.recv_timeout(Duration::from_secs(60))
        .expect("it went round for ever, or panicked")
}

#[test]
fn a_release_after_the_tags_of_slices_have_come_round_ends() {
    ends(|| {
        for gap in 65_530..65_560 {
            let limit = SubscriberLimit::new().ports(Protocol::Tcp, 2);
            let engine = engine(pool("192.0.2.0/30").subscriber_limit(limit));
            let mut shard = engine.shard(0).unwrap();
            let mut burst = shard.burst(at(0));
            // More than housekeeping looks at in one burst.
            let mut kept = Vec::new();
            for subscriber in 0..12 {
                let own = request(&engine, Protocol::Tcp, subscriber);
                let (mut held, _) = fill(&mut burst, &own);
                burst.release(held.pop().unwrap());
                kept.push((own, held.pop().unwrap()));
            }
            drop(burst);
            let mut burst = shard.burst(at(gap * SLICE));
            for (index, (own, lease)) in kept.into_iter().enumerate() {
                if index % 2 == 0 {
                    burst.release(lease);
                    let _lease = burst.allocate(&own).expect("one rested long ago");
                } else {
                    let _lease = burst.allocate(&own).expect("one rested long ago");
                    burst.release(lease);
                }
            }
        }
    });
}

#[test]
fn time_at_its_very_end_alarms_nobody_twice() {
    let engine = engine(pool("192.0.2.1/32").ports(5000..=5000));
    let mut shard = engine.shard(0).unwrap();
    let plain = Request::new(engine.pool("pool").unwrap(), Protocol::Tcp);
    let mut burst = shard.burst(at(u64::MAX));
    let _held = burst.allocate(&plain).unwrap();
    for _ in 0..3 {
        assert_eq!(burst.allocate(&plain).unwrap_err(), AllocError::PoolFull);
    }
}

#[test]
fn a_pairing_is_in_the_census_as_long_as_it_is_in_the_books_of_events() {
    let limit = SubscriberLimit::new().total(20);
    let pool = pool("192.0.2.0/30")
        .pairing(Strictness::Strict)
        .subscriber_limit(limit);
    let engine = engine(pool);
    let mut shard = engine.shard(0).unwrap();
    let mut reader = engine.events().unwrap();
    let mut books = EventBooks::default();
    for round in 0..20 {
        let mut burst = shard.burst(at(round * SLICE * 3));
        for subscriber in 0..30 {
            if (subscriber + round) % 7 < 2 {
                let tcp = request(&engine, Protocol::Tcp, subscriber);
                let lease = burst.allocate(&tcp).unwrap();
                burst.release(lease);
            }
        }
        drop(burst);
        reader.drain(&mut books);
        let told: BTreeSet<(u64, IpAddr)> =
            books.pools().flat_map(|(_, pool)| pool.bound()).collect();
        let census = engine.subscribers();
        let census = census
            .iter()
            .filter_map(|one| Some((one.subscriber, one.address?)));
        assert_eq!(census.collect::<BTreeSet<_>>(), told, "round {round}");
        assert_eq!(books.contradictions(), []);
    }
}
