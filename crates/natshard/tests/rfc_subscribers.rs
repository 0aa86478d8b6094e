//! Subscribers by the sentences of RFC 6888, 7422 and 7768; `docs/src/rfc.md` names them.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use natshard::{
    AllocError, Deterministic, Engine, EngineConfig, Event, EventConfig, EventKind, Lease,
    PoolConfig, PortBlocks, Protocol, Reason, Request, Strictness, SubscriberLimit, Tick,
};

const HOLD: u64 = 16_000;
/// What was released at 0 has rested, and it is noticed.
const RESTED: u64 = HOLD + HOLD / 8;

fn at(millis: u64) -> Tick {
    Tick::from_millis(millis)
}

fn pool(prefix: &str) -> PoolConfig {
    PoolConfig::new("pool").prefix(prefix.parse().unwrap())
}

fn engine(shards: usize, events: EventConfig, pool: PoolConfig) -> Engine {
    let config = EngineConfig::new(shards)
        .hold_down(Duration::from_millis(HOLD))
        .events(events)
        .seed(1)
        .pool(pool);
    Engine::new(config).unwrap()
}

fn request(engine: &Engine, protocol: Protocol, subscriber: u64) -> Request {
    Request::new(engine.pool("pool").unwrap(), protocol).subscriber(subscriber)
}

fn drain(engine: &Engine) -> Vec<Event> {
    let mut events = Vec::new();
    let mut reader = engine.events().unwrap();
    reader.drain(&mut |event: &Event| events.push(*event));
    events
}

fn numbers(events: &[Event]) -> Vec<Option<u8>> {
    events.iter().map(|event| event.kind.number()).collect()
}

/// RFC 6888 REQ-4 with one subscriber served by all shards at once: never above its limit.
#[test]
fn racing_shards_never_exceed_a_subscribers_limit() {
    const LIMIT: u16 = 100;
    const SHARDS: usize = 4;
    let limit = SubscriberLimit::new().ports(Protocol::Udp, LIMIT);
    let pool = pool("192.0.2.0/28").subscriber_limit(limit);
    let engine = engine(SHARDS, EventConfig::default(), pool);
    let own = request(&engine, Protocol::Udp, 3);
    let (charged, refused) = (AtomicU32::new(0), AtomicU32::new(0));
    let start = Barrier::new(SHARDS);
    std::thread::scope(|scope| {
        for index in 0..SHARDS {
            let (engine, charged, refused, start) = (&engine, &charged, &refused, &start);
            scope.spawn(move || {
                let mut shard = engine.shard(index).unwrap();
                let mut held = Vec::new();
                start.wait();
                for step in 0..2_000 {
                    let mut burst = shard.burst(at(0));
                    for _ in 0..60 {
                        match burst.allocate(&own) {
                            Ok(lease) => {
                                let now = charged.fetch_add(1, SeqCst) + 1;
                                assert!(now <= u32::from(LIMIT), "{now} at once");
                                held.push(lease);
                            }
                            Err(error) => {
                                assert_eq!(error, AllocError::SubscriberQuota);
                                refused.fetch_add(1, SeqCst);
                            }
                        }
                    }
                    // One of them was used: it rests, and still counts. 80 will, if there are so many.
                    if step % 100 == 0 {
                        held.pop().into_iter().for_each(|it| burst.release(it));
                    }
                    if step % 16 == 0 {
                        std::thread::yield_now();
                    }
                    for lease in held.drain(..) {
                        charged.fetch_sub(1, SeqCst);
                        burst.release_with(lease, Reason::Unused);
                    }
                }
            });
        }
    });
    let resting = charged.load(SeqCst);
    assert!(resting > 0 && refused.load(SeqCst) > 0, "{resting} rest");
    let mut shard = engine.shard(0).unwrap();
    let mut had = Vec::new();
    let mut burst = shard.burst(at(0));
    while let Ok(lease) = burst.allocate(&own) {
        had.push(lease);
    }
    assert_eq!(had.len() as u32, u32::from(LIMIT) - resting, "and exactly");
    burst.release_batch(&mut had);
}

/// RFC 6888 REQ-2: one address "regardless of the transport protocol", whichever shard serves it.
#[test]
fn racing_shards_pair_a_subscriber_with_one_address() {
    let pool = pool("192.0.2.0/28").pairing(Strictness::Strict);
    let engine = engine(3, EventConfig::new(4096), pool);
    const SUBSCRIBERS: u64 = 1_000;
    let start = Barrier::new(3);
    let had = std::thread::scope(|scope| {
        let threads = Protocol::ALL.map(|protocol| {
            let (engine, start) = (&engine, &start);
            scope.spawn(move || {
                let mut shard = engine.shard(protocol as usize).unwrap();
                start.wait();
                let mut had = Vec::new();
                for subscriber in 0..SUBSCRIBERS {
                    let mut burst = shard.burst(at(0));
                    had.push(
                        burst
                            .allocate(&request(engine, protocol, subscriber))
                            .unwrap(),
                    );
                    if subscriber % 8 == 0 {
                        std::thread::yield_now();
                    }
                }
                had
            })
        });
        threads.map(|thread| thread.join().unwrap())
    });
    let mut bound = HashMap::new();
    for event in drain(&engine) {
        if let EventKind::AddressBound {
            subscriber,
            address,
        } = event.kind
        {
            assert_eq!(bound.insert(subscriber, address), None, "bound twice");
        }
    }
    for subscriber in 0..SUBSCRIBERS {
        let of = |leases: &Vec<Lease>| leases[subscriber as usize].addr().ip();
        let addresses: BTreeSet<IpAddr> = had.iter().map(of).collect();
        assert_eq!(Vec::from_iter(addresses), [bound[&subscriber]]);
    }
}

/// RFC 7422 section 2, steps 3 and 4, with the figures of section 2.3: the range first, then
/// dynamic blocks up to M = 5040, which counts both.
#[test]
fn a_range_is_used_first_and_the_limit_counts_its_ports_and_the_overflow() {
    let limit = SubscriberLimit::new().ports(Protocol::Udp, 5040);
    let pool = pool("192.0.2.0/31")
        .deterministic(Deterministic::new(28, 4032))
        .port_blocks(PortBlocks::new(64).per_subscriber(16))
        .subscriber_limit(limit);
    let map = pool.deterministic_map().unwrap();
    let engine = engine(2, EventConfig::new(1024), pool);
    let mut shards = [engine.shard(0).unwrap(), engine.shard(1).unwrap()];
    let own = request(&engine, Protocol::Udp, 3);
    let (address, range) = map.range(3, Protocol::Udp).unwrap();
    let mine = |public: SocketAddr| public.ip() == address && range.contains(&public.port());
    let mut held = Vec::new();
    let refused = loop {
        let shard = &mut shards[held.len() % 2];
        match shard.burst(at(0)).allocate(&own) {
            Ok(lease) => held.push(lease),
            Err(error) => break error,
        }
    };
    assert_eq!((held.len(), refused), (5040, AllocError::SubscriberQuota));
    for (index, lease) in held.iter().enumerate() {
        assert_eq!(
            mine(lease.addr()),
            index < 4032,
            "{index}: {}",
            lease.addr()
        );
    }
    let overflow = map.overflow(Protocol::Udp);
    assert!(
        held[4032..]
            .iter()
            .all(|it| overflow.contains(&it.addr().port()))
    );
    // "SHOULD allocate ports randomly within the port range".
    let follows = |pair: &[Lease]| pair[1].addr().port() == pair[0].addr().port() + 1;
    let in_line = held[..4032].windows(2).filter(|pair| follows(pair)).count();
    assert!(in_line < 400, "{in_line} of 4031 follow each other");
    // A record for each dynamic block of 64, and none for the range.
    let blocks = numbers(&drain(&engine));
    assert_eq!(blocks.iter().filter(|it| **it == Some(16)).count(), 16);
    // A port of the range rests like any other, and is the first to be had again.
    let mut shard = shards;
    let freed = held.swap_remove(100);
    let public = freed.addr();
    shard[0].burst(at(1)).release(freed);
    for now in [1, HOLD] {
        let error = shard[1].burst(at(now)).allocate(&own).unwrap_err();
        assert_eq!(error, AllocError::SubscriberQuota);
    }
    let again = shard[1].burst(at(1 + RESTED)).allocate(&own).unwrap();
    assert_eq!(again.addr(), public);
}

/// A port of a deterministic range is its subscriber's: no reservation gets it.
#[test]
fn a_port_of_a_subscribers_range_cannot_be_reserved() {
    let pool = pool("192.0.2.0/31")
        .deterministic(Deterministic::new(28, 4032))
        .port_blocks(PortBlocks::new(64));
    let map = pool.deterministic_map().unwrap();
    let engine = engine(1, EventConfig::default(), pool);
    let id = engine.pool("pool").unwrap();
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(at(0));
    for subscriber in 0..28 {
        let (address, range) = map.range(subscriber, Protocol::Tcp).unwrap();
        for port in [*range.start(), *range.end()] {
            let public = SocketAddr::new(address, port);
            let refused = burst.reserve(id, Protocol::Tcp, public);
            assert_eq!(refused, Err(AllocError::Excluded), "{public}");
        }
        let dynamic = SocketAddr::new(address, *map.overflow(Protocol::Tcp).end());
        let lease = burst.reserve(id, Protocol::Tcp, dynamic).unwrap();
        burst.release_with(lease, Reason::Unused);
    }
}

/// RFC 7768 sections 2 and 5: "no block should ever be reassigned until it has been idle at least
/// for the duration given by the guard timer", and one record when it comes and one when it goes.
#[test]
fn a_port_block_changes_hands_after_a_hold_down() {
    let pool = pool("192.0.2.0/32")
        .ports(1024..=1279)
        .port_blocks(PortBlocks::new(64).per_subscriber(1));
    let engine = engine(1, EventConfig::new(1024), pool);
    let mut shard = engine.shard(0).unwrap();
    let udp = |subscriber| request(&engine, Protocol::Udp, subscriber);
    let mut held: Vec<Lease> = (0..4)
        .map(|subscriber| shard.burst(at(0)).allocate(&udp(subscriber)).unwrap())
        .collect();
    let block = |public: SocketAddr| public.port() / 64;
    let freed = held.remove(2);
    let of = block(freed.addr());
    shard.burst(at(1000)).release(freed);
    for now in [1000, 1000 + HOLD / 2, 1000 + HOLD - 1] {
        let refused = shard.burst(at(now)).allocate(&udp(4));
        assert_eq!(refused, Err(AllocError::PoolFull), "at {now}");
    }
    let next = shard.burst(at(1000 + RESTED)).allocate(&udp(4)).unwrap();
    assert_eq!(block(next.addr()), of);
    let story: Vec<_> = drain(&engine)
        .iter()
        .filter_map(|event| match event.kind {
            EventKind::PortBlockAssigned { subscriber, ports } if ports.first / 64 == of => {
                Some((16, subscriber, event.at.as_millis()))
            }
            EventKind::PortBlockReleased { subscriber, ports } if ports.first / 64 == of => {
                Some((17, subscriber, event.at.as_millis()))
            }
            _ => None,
        })
        .collect();
    let [(16, 2, 0), (17, 2, released), (16, 4, assigned)] = story[..] else {
        panic!("{story:?}");
    };
    assert!(released >= 1000 + HOLD && assigned >= released);
}

/// RFC 7768 section 2: who needs less again gives blocks back, though it goes on.
#[test]
fn a_subscriber_that_needs_less_gives_port_blocks_back() {
    let pool = pool("192.0.2.0/30").port_blocks(PortBlocks::new(64).per_subscriber(4));
    let engine = engine(1, EventConfig::new(1024), pool);
    let mut shard = engine.shard(0).unwrap();
    let own = request(&engine, Protocol::Tcp, 9);
    let mut held = Vec::new();
    shard
        .burst(at(0))
        .allocate_batch(&own, 200, &mut held)
        .unwrap();
    assert_eq!(engine.subscribers()[0].blocks.len(), 4);
    shard.burst(at(0)).release_batch(&mut held);
    // A port at a time, each for a second: with those that rest, 19 at once.
    for second in 1..100 {
        let mut burst = shard.burst(at(second * 1000));
        held.into_iter().for_each(|lease| burst.release(lease));
        held = vec![burst.allocate(&own).unwrap()];
        drop(burst);
        shard.idle(at(second * 1000));
    }
    assert_eq!(engine.subscribers()[0].blocks.len(), 1);
    let count = |number| {
        let numbers = numbers(&drain(&engine));
        numbers.iter().filter(|it| **it == Some(number)).count()
    };
    assert_eq!(count(17), 3);
}

/// RFC 7768 section 5: blocks, and ports in them, are drawn; by the engine's key.
#[test]
fn port_blocks_and_their_ports_are_drawn_by_the_key() {
    let ports = |seed| {
        let pool = pool("192.0.2.0/30").port_blocks(PortBlocks::new(64));
        let config = EngineConfig::new(1).seed(seed).pool(pool);
        let engine = Engine::new(config).unwrap();
        let mut shard = engine.shard(0).unwrap();
        let mut burst = shard.burst(at(0));
        let mut had = Vec::new();
        for subscriber in 0..50 {
            let own = request(&engine, Protocol::Tcp, subscriber);
            burst.allocate_batch(&own, 16, &mut had).unwrap();
        }
        had.iter().map(Lease::addr).collect::<Vec<_>>()
    };
    let (one, two) = (ports(1), ports(2));
    assert_eq!(one, ports(1), "a key says it all");
    let same = one.iter().zip(&two).filter(|(a, b)| a == b).count();
    assert!(same < 20, "{same} of 800");
    // Inside a block: 16 draws out of 64 do not come in line.
    let follows = |pair: &[SocketAddr]| pair[1].port() == pair[0].port() + 1;
    let in_line = one.windows(2).filter(|pair| follows(pair)).count();
    assert!(in_line < 80, "{in_line} of 799 follow each other");
}
