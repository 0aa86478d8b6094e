//! What an event says of the limit that was met, and of the configuration it was met under.

use std::time::Duration;

use natshard::{
    AllocError, Deterministic, Engine, EngineConfig, Event, EventConfig, EventKind, EventSink,
    Holder, Lease, Limit, PoolChange, PoolConfig, PortBlocks, Protocol, Reason, Request, Shard,
    SubscriberLimit, Tick,
};

fn pool(name: &str, prefix: &str) -> PoolConfig {
    PoolConfig::new(name)
        .realm(name)
        .prefix(prefix.parse().unwrap())
}

fn config(capacity: usize) -> EngineConfig {
    EngineConfig::new(2)
        .hold_down(Duration::from_secs(16))
        .events(EventConfig::new(capacity))
        .seed(1)
}

fn drain(engine: &Engine) -> Vec<Event> {
    let mut events = Vec::new();
    let mut reader = engine.events().unwrap();
    reader.drain(&mut |event: &Event| events.push(*event));
    events
}

fn fill(shard: &mut Shard, request: &Request) -> (Vec<Lease>, AllocError) {
    let mut leases = Vec::new();
    let mut burst = shard.burst(Tick::ZERO);
    loop {
        match burst.allocate(request) {
            Ok(lease) => leases.push(lease),
            Err(error) => return (leases, error),
        }
    }
}

/// The limits told when a subscriber takes all it can of these protocols, one after the other.
fn limits(pool: PoolConfig, protocols: &[Protocol]) -> Vec<(Protocol, Limit)> {
    let engine = Engine::new(config(1 << 16).pool(pool)).unwrap();
    let mut shard = engine.shard(0).unwrap();
    let mut leases = Vec::new();
    for &protocol in protocols {
        let request = Request::new(engine.pool("p").unwrap(), protocol).subscriber(3);
        let (had, error) = fill(&mut shard, &request);
        assert_eq!(error, AllocError::SubscriberQuota);
        leases.extend(had);
    }
    let told = drain(&engine).into_iter().filter_map(|event| {
        assert_ne!(event.kind.quota_number(), Some(4));
        match event.kind {
            EventKind::QuotaExceeded {
                protocol,
                holder,
                limit,
            } => {
                assert_eq!(holder, Holder::Subscriber(3));
                assert_eq!(event.kind.quota_number(), Some(3));
                Some((protocol, limit))
            }
            _ => None,
        }
    });
    told.collect()
}

/// RFC 8158 section 4.6.7.3: the configured limit is told with the event.
#[test]
fn a_quota_that_was_exceeded_is_told_with_the_limit_that_was_met() {
    use Protocol::{Icmp, Tcp, Udp};
    let pool = || pool("p", "192.0.2.0/29");
    let ports = SubscriberLimit::new().ports(Tcp, 10).total(25);
    assert_eq!(
        limits(pool().subscriber_limit(ports), &[Tcp, Udp, Icmp]),
        [
            (Tcp, Limit::Ports(10)),
            (Udp, Limit::PortsInAll(25)),
            (Icmp, Limit::PortsInAll(25)),
        ]
    );
    let blocks = PortBlocks::new(64)
        .per_subscriber(3)
        .of_protocol(Protocol::Tcp, 1);
    assert_eq!(
        limits(pool().port_blocks(blocks), &[Tcp, Udp, Icmp]),
        [
            (Tcp, Limit::PortBlocks(1)),
            (Udp, Limit::PortBlocksInAll(3)),
            (Icmp, Limit::PortBlocksInAll(3)),
        ]
    );
    // The protocol's own is told where as much is left of both.
    let both = PortBlocks::new(64).per_subscriber(3).of_protocol(Tcp, 2);
    assert_eq!(
        limits(pool().port_blocks(both), &[Udp, Tcp]),
        [
            (Udp, Limit::PortBlocksInAll(3)),
            (Tcp, Limit::PortBlocksInAll(3))
        ]
    );
    // Where more is left of all, its own.
    assert_eq!(
        limits(pool().port_blocks(both), &[Tcp]),
        [(Tcp, Limit::PortBlocks(2))]
    );
    let ranges = || pool().deterministic(Deterministic::new(100, 500));
    assert_eq!(limits(ranges(), &[Tcp]), [(Tcp, Limit::Range(500))]);
    // Its range, then port blocks beyond it, and last the limit of ports that counts both.
    let overflow = ranges().port_blocks(PortBlocks::new(64).per_subscriber(2));
    assert_eq!(
        limits(overflow.clone(), &[Tcp]),
        [(Tcp, Limit::PortBlocksInAll(2))]
    );
    let both = overflow.subscriber_limit(SubscriberLimit::new().ports(Tcp, 510));
    assert_eq!(limits(both, &[Tcp]), [(Tcp, Limit::Ports(510))]);
    assert_eq!(Limit::Ports(600).amount(), 600);
}

/// RFC 8158 section 4.6.7.4, natQuotaExceededEvent 4.
#[test]
fn a_flood_of_subscribers_too_many_is_told_once() {
    let limit = SubscriberLimit::new().ports(Protocol::Tcp, 10);
    let pool = pool("p", "192.0.2.0/29").subscriber_limit(limit);
    let engine = Engine::new(config(64).max_subscribers(100).pool(pool)).unwrap();
    let request = Request::new(engine.pool("p").unwrap(), Protocol::Tcp);
    let mut shards = [0, 1].map(|shard| engine.shard(shard).unwrap());
    let mut leases = Vec::new();
    let mut refused = 0;
    for subscriber in 0..5_000 {
        let shard = &mut shards[subscriber as usize % 2];
        let had = shard
            .burst(Tick::from_millis(subscriber))
            .allocate(&request.subscriber(subscriber));
        match had {
            Ok(lease) => leases.push(lease),
            Err(error) => {
                assert_eq!(error, AllocError::SubscribersFull);
                refused += 1;
            }
        }
    }
    assert_eq!((leases.len(), refused), (100, 4_900));
    let told: Vec<_> = drain(&engine).into_iter().map(|it| it.kind).collect();
    assert_eq!(told, [EventKind::SubscribersExceeded { limit: 100 }]);
    assert_eq!(
        (told[0].number(), told[0].quota_number()),
        (Some(13), Some(4))
    );
}

/// An event that found its ring full is told by the next refusal: there would be no other.
#[test]
fn a_flood_of_subscribers_too_many_is_told_even_if_the_ring_was_full() {
    struct Told(Vec<EventKind>, u64);
    impl EventSink for Told {
        fn event(&mut self, event: &Event) {
            self.0.push(event.kind);
        }

        fn lost(&mut self, _: Option<usize>, events: u64) {
            self.1 += events;
        }
    }
    let limit = SubscriberLimit::new().ports(Protocol::Tcp, 1);
    let pool = pool("p", "192.0.2.0/29").subscriber_limit(limit);
    let engine = Engine::new(config(1).max_subscribers(1).pool(pool)).unwrap();
    let request = Request::new(engine.pool("p").unwrap(), Protocol::Tcp);
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(Tick::ZERO);
    let _lease = burst.allocate(&request.subscriber(1)).unwrap();
    burst.allocate(&request.subscriber(1)).unwrap_err();
    let mut reader = engine.events().unwrap();
    burst.allocate(&request.subscriber(2)).unwrap_err();
    let mut told = Told(Vec::new(), 0);
    reader.drain(&mut told);
    assert!(matches!(told.0[..], [EventKind::QuotaExceeded { .. }]));
    assert_eq!(told.1, 1);
    for _ in 0..100 {
        burst.allocate(&request.subscriber(2)).unwrap_err();
    }
    reader.drain(&mut told);
    let told_then = &told.0[1..];
    assert_eq!(told_then, [EventKind::SubscribersExceeded { limit: 1 }]);
    assert_eq!(told.1, 1, "and no more of them were lost");
}

/// RFC 7422 section 3: each change of the parameters is recorded.
#[test]
fn a_change_of_the_configuration_is_told_pool_by_pool_before_what_it_allows() {
    let blocks = |pool: PoolConfig, size| pool.port_blocks(PortBlocks::new(size));
    let ranges =
        |ports| pool("computed", "198.51.100.0/29").deterministic(Deterministic::new(100, ports));
    let before = config(1 << 10)
        .pool(blocks(pool("changed", "192.0.2.0/29"), 64))
        .pool(blocks(pool("kept", "192.0.2.8/29"), 64))
        .pool(blocks(pool("removed", "192.0.2.16/29"), 64))
        .pool(ranges(500));
    let after = config(1 << 10)
        .pool(blocks(pool("kept", "192.0.2.8/29"), 64))
        .pool(blocks(pool("added", "192.0.2.24/29"), 64))
        .pool(blocks(pool("changed", "192.0.2.0/29"), 128))
        .pool(ranges(600));
    let engine = Engine::new(before.clone()).unwrap();
    let removed = engine.pool("removed").unwrap();
    let mut shard = engine.shard(0).unwrap();
    let now = Tick::from_millis(5_000);
    let of = |name: &str, subscriber| {
        Request::new(engine.pool(name).unwrap(), Protocol::Tcp).subscriber(subscriber)
    };
    let _first = shard.burst(now).allocate(&of("changed", 1)).unwrap();
    engine.reconfigure(before).unwrap();
    engine.reconfigure(after).unwrap();
    let _second = shard.burst(now).allocate(&of("added", 2)).unwrap();
    let events = drain(&engine);
    let kinds: Vec<_> = events
        .iter()
        .map(|event| {
            assert_eq!(event.at, now);
            match event.kind {
                EventKind::PoolConfigured { change } => Ok((event.pool, change)),
                kind => Err(kind.name()),
            }
        })
        .collect();
    let id = |name: &str| engine.pool(name).unwrap();
    assert_eq!(
        kinds,
        [
            Err("port_block_assigned"),
            Ok((id("changed"), PoolChange::Changed)),
            Ok((id("computed"), PoolChange::Changed)),
            Ok((id("added"), PoolChange::Added)),
            Ok((removed, PoolChange::Removed)),
            Err("port_block_assigned"),
        ]
    );
}

/// What found the ring full is counted, shard by shard, and told to the reader once.
#[test]
fn events_that_were_lost_are_told_with_the_shard_that_lost_them() {
    #[derive(Default)]
    struct Sink {
        events: usize,
        lost: Vec<(Option<usize>, u64)>,
    }
    impl EventSink for Sink {
        fn event(&mut self, _: &Event) {
            self.events += 1;
        }
        fn lost(&mut self, shard: Option<usize>, events: u64) {
            self.lost.push((shard, events));
        }
    }
    let config = EngineConfig::new(2).events(EventConfig::new(16).leases(true));
    let engine = Engine::new(config.pool(pool("p", "192.0.2.0/29"))).unwrap();
    let request = Request::new(engine.pool("p").unwrap(), Protocol::Udp);
    let mut shards = [0, 1].map(|number| engine.shard(number).unwrap());
    let mut reader = engine.events().unwrap();
    let mut lease = |shard: usize, count: usize| {
        let mut burst = shards[shard].burst(Tick::ZERO);
        let leases: Vec<_> = (0..count)
            .map(|_| burst.allocate(&request).unwrap())
            .collect();
        leases
    };
    let mut drain = || {
        let mut sink = Sink::default();
        assert_eq!(reader.drain(&mut sink), sink.events);
        (sink.events, sink.lost)
    };
    let first = lease(0, 16);
    assert_eq!((drain(), engine.stats().lost_events), ((16, vec![]), 0));
    let second = lease(0, 21);
    let third = lease(1, 19);
    let lost = vec![(Some(0), 5), (Some(1), 3)];
    assert_eq!((drain(), engine.stats().lost_events), ((32, lost), 8));
    assert_eq!(drain(), (0, vec![]));
    // Leases that are dropped are no shard's.
    drop((first, second));
    let fourth = lease(1, 18);
    let lost = vec![(Some(1), 2), (None, 37 - 16)];
    assert_eq!((drain(), engine.stats().lost_events), ((32, lost), 31));
    drop((third, fourth));
}

/// A subscriber at its limit is told of once, and again after it was well below it; each protocol by
/// itself.
#[test]
fn a_quota_is_told_again_after_its_subscriber_recovered() {
    let limit = SubscriberLimit::new()
        .ports(Protocol::Udp, 16)
        .ports(Protocol::Tcp, 16);
    let engine = Engine::new(config(64).pool(pool("p", "192.0.2.0/29").subscriber_limit(limit)));
    let engine = engine.unwrap();
    let [udp, tcp] = [Protocol::Udp, Protocol::Tcp]
        .map(|protocol| Request::new(engine.pool("p").unwrap(), protocol).subscriber(5));
    let mut shard = engine.shard(0).unwrap();
    let told = || {
        let exceeded = |event: &Event| matches!(event.kind, EventKind::QuotaExceeded { .. });
        drain(&engine)
            .iter()
            .filter(|event| exceeded(event))
            .count()
    };
    let (mut held, error) = fill(&mut shard, &udp);
    assert_eq!((held.len(), error), (16, AllocError::SubscriberQuota));
    assert_eq!(told(), 1);
    let (none, _) = fill(&mut shard, &udp);
    assert_eq!((none.len(), told()), (0, 0));
    let (others, _) = fill(&mut shard, &tcp);
    assert_eq!((others.len(), told()), (16, 1));
    // After each of these numbers come back it fills up again; an eighth of the limit must have been
    // to spare beside the lease after it.
    for (back, again) in [(1, 0), (3, 0), (4, 1), (1, 0), (9, 1)] {
        let mut burst = shard.burst(Tick::ZERO);
        for lease in held.drain(..back) {
            burst.release_with(lease, Reason::Unused);
        }
        drop(burst);
        let (more, _) = fill(&mut shard, &udp);
        assert_eq!((more.len(), told()), (back, again), "{back}");
        held.extend(more);
    }
    let (none, _) = fill(&mut shard, &tcp);
    assert_eq!((none.len(), told()), (0, 0));
}
