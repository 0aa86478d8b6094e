//! Subscribers: limits (RFC 6888 REQ-4, REQ-8), port blocks (REQ-13, REQ-14), pairing (REQ-2) and
//! deterministic ranges (RFC 7422).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use natshard::{
    AllocError, Burst, Deterministic, Engine, EngineConfig, Event, EventConfig, EventKind, Lease,
    PoolConfig, PortBlocks, Protocol, Reason, Request, Strictness, SubscriberLimit, Tick,
};

const HOLD: u64 = 16_000;

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
        .seed(1)
        .pool(pool)
}

fn engine(pool: PoolConfig) -> Engine {
    Engine::new(config(1, pool)).unwrap()
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

fn drain(engine: &Engine) -> Vec<Event> {
    let mut events = Vec::new();
    let mut reader = engine.events().unwrap();
    reader.drain(&mut |event: &Event| events.push(*event));
    events
}

fn balances(engine: &Engine) {
    let census = engine.census();
    assert!(census.total.balances(), "{}", census.total);
    assert_eq!(census.contradictions, 0);
    for (name, pool) in &census.pools {
        assert!(pool.balances(), "{name}: {pool}");
    }
}

#[test]
fn a_limit_is_met_exactly_and_resting_ports_count() {
    let limit = SubscriberLimit::new()
        .ports(Protocol::Tcp, 10)
        .ports(Protocol::Udp, 5)
        .total(12);
    let engine = engine(pool("192.0.2.0/30").subscriber_limit(limit));
    let mut shard = engine.shard(0).unwrap();
    let tcp = request(&engine, Protocol::Tcp, 7);
    let udp = request(&engine, Protocol::Udp, 7);
    let mut burst = shard.burst(at(0));
    let (mut held, error) = fill(&mut burst, &tcp);
    assert_eq!((held.len(), error), (10, AllocError::SubscriberQuota));
    assert!(!error.is_exhaustion());
    let (more, error) = fill(&mut burst, &udp);
    assert_eq!(
        (more.len(), error),
        (2, AllocError::SubscriberQuota),
        "the total"
    );
    // Others are not concerned, nor are requests without a subscriber.
    let other = request(&engine, Protocol::Tcp, 8);
    let (others, _) = fill(&mut burst, &other);
    assert_eq!(others.len(), 10);
    let nobody = burst
        .allocate(&Request::new(tcp.pool(), Protocol::Tcp))
        .unwrap();
    burst.release(nobody);
    // A port that rests still counts; one given back unused does not.
    burst.release(held.pop().unwrap());
    assert_eq!(
        burst.allocate(&tcp).unwrap_err(),
        AllocError::SubscriberQuota
    );
    burst.release_with(held.pop().unwrap(), Reason::Unused);
    held.push(burst.allocate(&tcp).unwrap());
    assert_eq!(
        burst.allocate(&tcp).unwrap_err(),
        AllocError::SubscriberQuota
    );
    drop(burst);
    let mut burst = shard.burst(at(HOLD - 1));
    assert_eq!(
        burst.allocate(&tcp).unwrap_err(),
        AllocError::SubscriberQuota
    );
    drop(burst);
    let mut burst = shard.burst(at(HOLD + HOLD / 8));
    held.push(burst.allocate(&tcp).expect("it has rested"));
    assert_eq!(
        burst.allocate(&tcp).unwrap_err(),
        AllocError::SubscriberQuota
    );
    drop(burst);
    balances(&engine);
    let quotas = drain(&engine)
        .iter()
        .filter(|event| matches!(event.kind, EventKind::QuotaExceeded { .. }))
        .count();
    assert!((2..8).contains(&quotas), "told once an episode: {quotas}");
}

#[test]
fn dropped_and_raw_leases_are_given_back_to_their_subscriber() {
    let limit = SubscriberLimit::new().ports(Protocol::Tcp, 3);
    let engine = engine(pool("192.0.2.0/30").subscriber_limit(limit));
    let mut shard = engine.shard(0).unwrap();
    let tcp = request(&engine, Protocol::Tcp, 1 << 40);
    let mut burst = shard.burst(at(0));
    let (mut held, _) = fill(&mut burst, &tcp);
    drop(held.pop());
    let raw = held.pop().unwrap().into_raw();
    burst.release_raw(raw).unwrap();
    assert!(burst.release_raw(raw).is_err());
    burst.release(held.pop().unwrap());
    drop(burst);
    let one = &engine.subscribers()[0];
    assert_eq!((one.ports[0].leased, one.ports[0].resting), (0, 3));
    let mut burst = shard.burst(at(2 * HOLD));
    let (held, _) = fill(&mut burst, &tcp);
    assert_eq!(held.len(), 3);
    drop(held);
    drop(burst);
    shard.idle(at(4 * HOLD));
    shard.idle(at(4 * HOLD));
    assert_eq!(engine.subscribers(), [], "at rest");
}

#[test]
fn ports_come_from_blocks_of_ones_own_and_blocks_come_back() {
    for size in [64u16, 128, 256] {
        let blocks = PortBlocks::new(size).per_subscriber(3);
        let engine = engine(pool("192.0.2.0/30").port_blocks(blocks));
        let mut shard = engine.shard(0).unwrap();
        let mut owners: BTreeMap<(IpAddr, u16), u64> = BTreeMap::new();
        let mut all = Vec::new();
        let mut burst = shard.burst(at(0));
        for subscriber in 0..50 {
            let tcp = request(&engine, Protocol::Tcp, subscriber);
            let (held, error) = fill(&mut burst, &tcp);
            assert_eq!(error, AllocError::SubscriberQuota);
            assert_eq!(held.len(), 3 * usize::from(size), "{size}");
            for lease in &held {
                let public = lease.addr();
                let unit = (public.ip(), public.port() / size);
                let owner = *owners.entry(unit).or_insert(subscriber);
                assert_eq!(owner, subscriber, "{public} is another's");
            }
            all.extend(held);
        }
        drop(burst);
        balances(&engine);
        assert_eq!(owners.len(), 150);
        let distinct: BTreeSet<_> = all.iter().map(Lease::addr).collect();
        assert_eq!(distinct.len(), all.len());
        let events = drain(&engine);
        let assigned: Vec<_> = events
            .iter()
            .filter_map(|event| match event.kind {
                EventKind::PortBlockAssigned { subscriber, ports } => Some((subscriber, ports)),
                _ => None,
            })
            .collect();
        assert_eq!(assigned.len(), 150, "a record for each block");
        for (subscriber, ports) in assigned {
            assert_eq!(ports.last - ports.first + 1, size);
            assert_eq!(owners[&(ports.address, ports.first / size)], subscriber);
        }
        let census = engine.subscribers();
        assert_eq!(census.len(), 50);
        assert!(census.iter().all(|one| one.blocks.len() == 3));
        // All but one port of each subscriber go back: the blocks of that one stay.
        let mut kept: HashMap<u64, Lease> = HashMap::new();
        let mut burst = shard.burst(at(1000));
        for lease in all {
            let public = lease.addr();
            let owner = owners[&(public.ip(), public.port() / size)];
            if let std::collections::hash_map::Entry::Vacant(place) = kept.entry(owner) {
                place.insert(lease);
            } else {
                burst.release(lease);
            }
        }
        drop(burst);
        shard.idle(at(1000 + HOLD / 2));
        assert!(engine.subscribers().iter().all(|one| one.blocks.len() == 3));
        shard.idle(at(1000 + HOLD + HOLD / 8));
        let census = engine.subscribers();
        assert_eq!(census.len(), 50);
        assert!(
            census.iter().all(|one| one.blocks.len() == 1),
            "{size}: {census:?}"
        );
        let released = drain(&engine)
            .iter()
            .filter(|event| matches!(event.kind, EventKind::PortBlockReleased { .. }))
            .count();
        assert_eq!(released, 100);
        let mut burst = shard.burst(at(2 * HOLD));
        kept.into_values().for_each(|lease| burst.release(lease));
        drop(burst);
        for _ in 0..3 {
            shard.idle(at(4 * HOLD));
        }
        assert_eq!(engine.subscribers(), []);
        let census = engine.census();
        assert_eq!(census.total.capacity, census.total.free, "{census:?}");
    }
}

#[test]
fn every_port_of_a_pool_of_port_blocks_can_be_had() {
    let blocks = PortBlocks::new(64).per_subscriber(2);
    let pool = pool("192.0.2.0/31")
        .port_blocks(blocks)
        .ports(1000..=9999)
        .exclude_ports(5000..=5100);
    let engine = engine(pool);
    let mut shard = engine.shard(0).unwrap();
    for round in 0..4 {
        let mut burst = shard.burst(at(round * 2 * HOLD));
        let mut all = Vec::new();
        for subscriber in 0.. {
            let tcp = request(&engine, Protocol::Tcp, round * 1000 + subscriber);
            let (held, error) = fill(&mut burst, &tcp);
            let full = held.is_empty();
            all.extend(held);
            if full {
                assert_eq!(error, AllocError::PoolFull);
                break;
            }
        }
        assert_eq!(all.len(), 2 * (9000 - 101), "round {round}");
        burst.release_batch(&mut all);
    }
    balances(&engine);
}

#[test]
fn a_request_without_a_subscriber_is_refused_where_ports_are_subscribers() {
    let engine = engine(pool("192.0.2.0/31").port_blocks(PortBlocks::new(64)));
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(at(0));
    let plain = Request::new(engine.pool("pool").unwrap(), Protocol::Udp);
    assert_eq!(
        burst.allocate(&plain).unwrap_err(),
        AllocError::SubscriberMissing
    );
    let fixed = "192.0.2.1:5000".parse().unwrap();
    let lease = burst.reserve(plain.pool(), Protocol::Udp, fixed).unwrap();
    assert_eq!(
        burst
            .reserve(plain.pool(), Protocol::Udp, fixed)
            .unwrap_err(),
        AllocError::InUse
    );
    for subscriber in 0..4000 {
        let own = request(&engine, Protocol::Udp, subscriber);
        let Ok(lease) = burst.allocate(&own) else {
            break;
        };
        let public = lease.addr();
        assert!(public.ip() != fixed.ip() || public.port() / 64 != fixed.port() / 64);
        std::mem::forget(lease);
    }
    burst.release(lease);
}

#[test]
fn a_subscriber_keeps_one_address_across_protocols() {
    for blocks in [None, Some(PortBlocks::new(64).per_subscriber(8))] {
        let mut pool = pool("192.0.2.0/28").pairing(Strictness::Strict);
        if let Some(blocks) = blocks {
            pool = pool.port_blocks(blocks);
        }
        let engine = engine(pool);
        let mut shard = engine.shard(0).unwrap();
        let mut burst = shard.burst(at(0));
        let mut all = Vec::new();
        let mut used: BTreeMap<IpAddr, usize> = BTreeMap::new();
        for subscriber in 0..200 {
            let mut own: BTreeSet<IpAddr> = BTreeSet::new();
            for round in 0..60 {
                let protocol = Protocol::ALL[round % 3];
                let lease = burst
                    .allocate(&request(&engine, protocol, subscriber))
                    .unwrap();
                own.insert(lease.addr().ip());
                all.push(lease);
            }
            assert_eq!(own.len(), 1, "subscriber {subscriber}");
            *used.entry(own.pop_first().unwrap()).or_default() += 1;
        }
        assert!(used.len() >= 12, "spread: {used:?}");
        burst.release_batch(&mut all);
        drop(burst);
        balances(&engine);
        for _ in 0..3 {
            shard.idle(at(2 * HOLD));
        }
        let events = drain(&engine);
        let bound = |name| {
            events
                .iter()
                .filter(|event| event.kind.name() == name)
                .count()
        };
        assert_eq!(bound("address_bound"), 200);
        assert_eq!(bound("address_unbound"), 200);
    }
}

#[test]
fn strict_pairing_refuses_and_preferred_pairing_falls_back() {
    for strictness in [Strictness::Strict, Strictness::Preferred] {
        let pool = pool("192.0.2.0/31").ports(1024..=2047).pairing(strictness);
        let engine = engine(pool);
        let mut shard = engine.shard(0).unwrap();
        let mut burst = shard.burst(at(0));
        let own = request(&engine, Protocol::Tcp, 5);
        let (held, error) = fill(&mut burst, &own);
        match strictness {
            Strictness::Strict => {
                assert_eq!((held.len(), error), (1024, AllocError::AddressFull));
            }
            Strictness::Preferred => {
                assert_eq!((held.len(), error), (2048, AllocError::PoolFull));
                drop(burst);
                assert!(engine.stats().shards[0].wishes_departed >= 1024);
            }
        }
    }
}

#[test]
fn deterministic_ranges_are_what_the_computation_says() {
    let mode = Deterministic::new(28, 4032);
    let pool = pool("192.0.2.0/31").deterministic(mode);
    let map = pool.deterministic_map().unwrap();
    let engine = engine(pool);
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(at(0));
    for subscriber in 0..28 {
        for protocol in Protocol::ALL {
            let own = request(&engine, protocol, subscriber);
            let (held, error) = fill(&mut burst, &own);
            assert_eq!((held.len(), error), (4032, AllocError::SubscriberQuota));
            let (address, range) = map.range(subscriber, protocol).unwrap();
            for lease in &held {
                assert_eq!(lease.addr().ip(), address);
                assert!(range.contains(&lease.addr().port()));
            }
            held.into_iter().for_each(|lease| burst.release(lease));
        }
    }
    let nobody = request(&engine, Protocol::Tcp, 28);
    assert_eq!(
        burst.allocate(&nobody).unwrap_err(),
        AllocError::SubscriberMissing
    );
    drop(burst);
    balances(&engine);
    assert!(
        drain(&engine)
            .iter()
            .all(|event| event.kind.number() == Some(13)),
        "nothing to log"
    );
}

#[test]
fn deterministic_overflow_comes_in_port_blocks_and_is_told() {
    let mode = Deterministic::new(28, 4032);
    let blocks = PortBlocks::new(64).per_subscriber(2);
    let pool = pool("192.0.2.0/31").deterministic(mode).port_blocks(blocks);
    let map = pool.deterministic_map().unwrap();
    let engine = engine(pool);
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(at(0));
    let own = request(&engine, Protocol::Udp, 3);
    let (mut held, error) = fill(&mut burst, &own);
    assert_eq!(
        (held.len(), error),
        (4032 + 128, AllocError::SubscriberQuota)
    );
    let (address, range) = map.range(3, Protocol::Udp).unwrap();
    let overflow = map.overflow(Protocol::Udp);
    for lease in &held {
        let public = lease.addr();
        let own = public.ip() == address && range.contains(&public.port());
        assert!(own || overflow.contains(&public.port()), "{public}");
    }
    burst.release_batch(&mut held);
    drop(burst);
    shard.idle(at(2 * HOLD));
    shard.idle(at(2 * HOLD));
    let events = drain(&engine);
    let count = |number| {
        events
            .iter()
            .filter(|event| event.kind.number() == Some(number))
            .count()
    };
    assert_eq!((count(16), count(17)), (2, 2));
    balances(&engine);
}

/// Of a pool whose addresses are treated differently each is drawn, not those of the first kind alone.
#[test]
fn subscribers_are_spread_over_addresses_of_every_kind() {
    let pool = PoolConfig::new("p")
        .prefix("192.0.2.0/32".parse().unwrap())
        .prefix("198.51.100.0/32".parse().unwrap())
        .exclude("198.51.100.0".parse().unwrap(), 5060..=5061)
        .subscriber_limit(SubscriberLimit::new().ports(Protocol::Udp, 9))
        .pairing(Strictness::Strict);
    let engine = Engine::new(EngineConfig::new(1).seed(1).pool(pool)).unwrap();
    let request = Request::new(engine.pool("p").unwrap(), Protocol::Udp);
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(Tick::ZERO);
    let mut at = std::collections::BTreeMap::new();
    let leases: Vec<_> = (0..200)
        .map(|subscriber| burst.allocate(&request.subscriber(subscriber)).unwrap())
        .collect();
    for lease in &leases {
        *at.entry(lease.addr().ip()).or_insert(0) += 1;
    }
    let counts: Vec<u32> = at.into_values().collect();
    assert!(
        matches!(counts[..], [first, second] if first.abs_diff(second) < 60),
        "{counts:?}"
    );
}
