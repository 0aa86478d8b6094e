//! Events by the sentences of RFC 8158, one by one; `docs/src/rfc.md` names them.

use std::net::IpAddr;
use std::time::Duration;

use natshard::{
    AllocError, Engine, EngineConfig, Event, EventConfig, EventKind, EventSink, Holder, Lease,
    Limit, PoolChange, PoolConfig, PortRange, Protocol, Reason, Request, Strictness, Tick,
};

const HOLD: u64 = 16_000;

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

/// RFC 8158 section 4.3, table 2; 1 and 2 are historic, and IPv6 to IPv6 has no number.
#[test]
fn events_have_the_numbers_of_rfc_8158() {
    let protocol = Protocol::Tcp;
    let address: IpAddr = "192.0.2.1".parse().unwrap();
    let ports = PortRange {
        protocol,
        address,
        first: 1024,
        last: 1087,
    };
    let (subscriber, held, blocks) = (7, 6, 8);
    let assigned = |public: &str| EventKind::PortAssigned {
        protocol,
        public: public.parse().unwrap(),
        subscriber: None,
    };
    let released = |public: &str| EventKind::PortReleased {
        protocol,
        public: public.parse().unwrap(),
        subscriber: None,
    };
    let (v4, v6) = ("192.0.2.1:1024", "[2001:db8::1]:1024");
    for (kind, number, name) in [
        (
            EventKind::AddressesExhausted { protocol },
            Some(3),
            "addresses_exhausted",
        ),
        (assigned(v4), Some(8), "port_assigned"),
        (released(v4), Some(9), "port_released"),
        (assigned(v6), None, "port_assigned"),
        (released(v6), None, "port_released"),
        (
            EventKind::PortsExhausted { protocol, address },
            Some(12),
            "ports_exhausted",
        ),
        (
            EventKind::QuotaExceeded {
                protocol,
                holder: Holder::Subscriber(subscriber),
                limit: Limit::Ports(100),
            },
            Some(13),
            "quota_exceeded",
        ),
        (
            EventKind::SubscribersExceeded { limit: 1000 },
            Some(13),
            "subscribers_exceeded",
        ),
        (
            EventKind::PoolConfigured {
                change: PoolChange::Changed,
            },
            None,
            "pool_configured",
        ),
        (
            EventKind::AddressBound {
                subscriber,
                address,
            },
            Some(14),
            "address_bound",
        ),
        (
            EventKind::AddressUnbound {
                subscriber,
                address,
            },
            Some(15),
            "address_unbound",
        ),
        (
            EventKind::PortBlockAssigned { subscriber, ports },
            Some(16),
            "port_block_assigned",
        ),
        (
            EventKind::PortBlockReleased { subscriber, ports },
            Some(17),
            "port_block_released",
        ),
        (
            EventKind::ThresholdRaised {
                protocol,
                held,
                blocks,
            },
            Some(18),
            "threshold_raised",
        ),
        (
            EventKind::ThresholdCleared {
                protocol,
                held,
                blocks,
            },
            Some(18),
            "threshold_cleared",
        ),
    ] {
        assert_eq!((kind.number(), kind.name()), (number, name), "{kind:?}");
    }
}

/// RFC 8158 sections 4.6.5 and 4.6.6: 12 for an address, 3 for the pool, each by protocol.
#[test]
fn a_full_address_is_told_as_12_a_full_pool_as_3_and_each_by_protocol() {
    let pool = pool("192.0.2.0/31")
        .ports(1024..=1279)
        .pairing(Strictness::Strict);
    let engine = engine(1, EventConfig::new(1024), pool);
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(at(0));
    let mut held: Vec<Lease> = Vec::new();
    let fill = |burst: &mut natshard::Burst<'_>, held: &mut Vec<Lease>, subscriber| {
        let own = request(&engine, Protocol::Tcp, subscriber);
        loop {
            match burst.allocate(&own) {
                Ok(lease) => held.push(lease),
                Err(error) => return error,
            }
        }
    };
    for _ in 0..50 {
        assert_eq!(fill(&mut burst, &mut held, 5), AllocError::AddressFull);
    }
    let first = held[0].addr().ip();
    // The other protocol has ports of that address, and says nothing.
    let udp = burst.allocate(&request(&engine, Protocol::Udp, 5)).unwrap();
    assert_eq!(udp.addr().ip(), first);
    let protocol = Protocol::Tcp;
    let kinds = |events: Vec<Event>| events.iter().map(|it| it.kind).collect::<Vec<_>>();
    let bound = |subscriber, address| EventKind::AddressBound {
        subscriber,
        address,
    };
    let full = |address| EventKind::PortsExhausted { protocol, address };
    assert_eq!(kinds(drain(&engine)), [bound(5, first), full(first)]);
    assert_eq!(fill(&mut burst, &mut held, 6), AllocError::AddressFull);
    let second = held.last().unwrap().addr().ip();
    assert_ne!(first, second);
    for _ in 0..50 {
        assert_eq!(fill(&mut burst, &mut held, 7), AllocError::PoolFull);
    }
    let none = EventKind::AddressesExhausted { protocol };
    let expected = [bound(6, second), full(second), none];
    assert_eq!(kinds(drain(&engine)), expected);
}

/// RFC 8158 section 5.2: at the edge of exhaustion, where every other request is refused, there is
/// one event an interval.
#[test]
fn exhaustion_is_told_at_most_once_an_interval() {
    let config = EventConfig::new(1024).interval(Duration::from_secs(10));
    let engine = engine(1, config, pool("192.0.2.0/32").ports(1024..=1279));
    let request = Request::new(engine.pool("pool").unwrap(), Protocol::Tcp);
    let mut shard = engine.shard(0).unwrap();
    let mut held = Vec::new();
    assert_eq!(
        shard.burst(at(0)).allocate_batch(&request, 256, &mut held),
        Ok(256)
    );
    let mut events = Vec::new();
    for step in 0..10_000 {
        let mut burst = shard.burst(at(step * 10));
        assert_eq!(burst.allocate(&request), Err(AllocError::PoolFull));
        burst.release_with(held.pop().unwrap(), Reason::Unused);
        held.push(burst.allocate(&request).unwrap());
        drop(burst);
        events.extend(drain(&engine));
    }
    assert_eq!(numbers(&events), [Some(3); 10], "in 100 s");
    let apart = |pair: &[Event]| pair[1].at.as_millis() - pair[0].at.as_millis();
    assert!(events.windows(2).all(|pair| apart(pair) >= 10_000));
}

/// RFC 8158 section 2 wants no event lost: the packet path does not wait, so what is lost is told.
#[test]
fn a_full_ring_loses_events_and_says_how_many() {
    #[derive(Default)]
    struct Sink {
        numbers: Vec<u64>,
        lost: Vec<(Option<usize>, u64)>,
    }
    impl EventSink for Sink {
        fn event(&mut self, event: &Event) {
            self.numbers.push(event.sequence);
        }

        fn lost(&mut self, shard: Option<usize>, events: u64) {
            self.lost.push((shard, events));
        }
    }
    let config = EventConfig::new(8).leases(true);
    let engine = engine(2, config, pool("192.0.2.0/30"));
    let request = Request::new(engine.pool("pool").unwrap(), Protocol::Tcp);
    let mut reader = engine.events().unwrap();
    let mut shard = engine.shard(1).unwrap();
    let mut held = Vec::new();
    for round in 0..3 {
        let mut sink = Sink::default();
        let had = shard
            .burst(at(0))
            .allocate_batch(&request, 100, &mut held)
            .unwrap();
        assert_eq!(had, 100, "and nothing waited");
        assert_eq!(reader.drain(&mut sink), 8);
        let first = sink.numbers[0];
        assert_eq!(sink.numbers, (first..first + 8).collect::<Vec<_>>());
        assert_eq!(first, round * 100 + sink.numbers[0] % 100);
        assert_eq!(sink.lost, [(Some(1), 92)]);
        let mut again = Sink::default();
        assert_eq!(reader.drain(&mut again), 0);
        assert_eq!(again.lost, [], "told once");
    }
}
