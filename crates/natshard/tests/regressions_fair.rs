//! One test per defect of subscribers, port blocks, pairing, deterministic ranges and events that
//! was found and mended.

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

/// A release met a slot of its subscriber 65,538 slices old, whose tag read as 3 slices, and
/// waited for it to come due.
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

/// A search that found a block with a free quarter but no free port block announced the block
/// again, and so looked again.
#[test]
fn a_search_ends_where_quarters_are_free_but_no_port_block_is() {
    ends(|| {
        let blocks = PortBlocks::new(256);
        let narrow = |pool: PoolConfig| pool.ports(1024..=1279);
        let engine = engine(narrow(pool("192.0.2.1/32")).port_blocks(blocks));
        let mut shard = engine.shard(0).unwrap();
        let mut burst = shard.burst(at(0));
        let tcp = request(&engine, Protocol::Tcp, 1);
        let fixed = "192.0.2.1:1030".parse().unwrap();
        let reserved = burst.reserve(tcp.pool(), Protocol::Tcp, fixed).unwrap();
        assert_eq!(burst.allocate(&tcp).unwrap_err(), AllocError::PoolFull);
        let own = tcp.address("192.0.2.1".parse().unwrap(), Strictness::Strict);
        assert_eq!(burst.allocate(&own).unwrap_err(), AllocError::AddressFull);
        // The quarter comes back when it has rested, and with it the port block.
        burst.release(reserved);
        drop(burst);
        let mut burst = shard.burst(at(2 * HOLD));
        let lease = burst.allocate(&tcp).expect("the whole block is free again");
        burst.release(lease);
    });
}

#[test]
fn port_blocks_of_another_size_are_had_as_soon_as_the_size_is_changed() {
    ends(|| {
        let of = |size| {
            let blocks = PortBlocks::new(size).per_subscriber(1);
            let pool = pool("192.0.2.1/32").ports(1024..=1279).port_blocks(blocks);
            config(1, pool).seed(1)
        };
        let engine = Engine::new(of(64)).unwrap();
        let mut shard = engine.shard(0).unwrap();
        let first = request(&engine, Protocol::Tcp, 1);
        let _held = shard.burst(at(0)).allocate(&first).unwrap();
        engine.reconfigure(of(256)).unwrap();
        let second = request(&engine, Protocol::Tcp, 2);
        for _ in 0..2 {
            let error = shard.burst(at(1)).allocate(&second).unwrap_err();
            assert_eq!(error, AllocError::PoolFull);
        }
        engine.reconfigure(of(128)).unwrap();
        let mut burst = shard.burst(at(2));
        let (held, error) = fill(&mut burst, &second);
        assert_eq!((held.len(), error), (128, AllocError::SubscriberQuota));
        drop(burst);
        engine.reconfigure(of(64)).unwrap();
        let mut burst = shard.burst(at(3));
        let third = request(&engine, Protocol::Tcp, 3);
        let (held, error) = fill(&mut burst, &third);
        assert_eq!((held.len(), error), (64, AllocError::SubscriberQuota));
    });
}

/// Quarters without a port that a port block can have stayed so until their block was recycled.
#[test]
fn ports_no_longer_excluded_can_be_had_of_blocks_in_use() {
    ends(|| {
        let of = |excluded| {
            let blocks = PortBlocks::new(64).per_subscriber(4);
            let pool = pool("192.0.2.1/32").ports(1024..=1279).port_blocks(blocks);
            let pool = match excluded {
                true => pool.exclude_ports(1088..=1279),
                false => pool,
            };
            config(1, pool).seed(1)
        };
        let engine = Engine::new(of(true)).unwrap();
        let mut shard = engine.shard(0).unwrap();
        let tcp = request(&engine, Protocol::Tcp, 1);
        let (mut held, error) = fill(&mut shard.burst(at(0)), &tcp);
        assert_eq!((held.len(), error), (64, AllocError::PoolFull));
        engine.reconfigure(of(false)).unwrap();
        let (more, error) = fill(&mut shard.burst(at(1)), &tcp);
        assert_eq!((more.len(), error), (192, AllocError::SubscriberQuota));
        held.extend(more);
        engine.reconfigure(of(true)).unwrap();
        let other = request(&engine, Protocol::Tcp, 2);
        let error = shard.burst(at(2)).allocate(&other).unwrap_err();
        assert_eq!(error, AllocError::PoolFull);
        shard.burst(at(2)).release_batch(&mut held);
        let (held, error) = fill(&mut shard.burst(at(2 * HOLD)), &other);
        assert_eq!((held.len(), error), (64, AllocError::PoolFull));
        engine.reconfigure(of(false)).unwrap();
        let (more, error) = fill(&mut shard.burst(at(2 * HOLD)), &other);
        assert_eq!((more.len(), error), (192, AllocError::SubscriberQuota));
        drop(held);
    });
}

/// A shard in a burst of before a reconfiguration met what another one did after it, in an
/// address space it did not know.
#[test]
fn a_burst_begun_before_a_reconfiguration_meets_blocks_and_pairings_of_after_it() {
    for paired in [false, true] {
        for blocks in [false, true] {
            let of = |prefixes: &[&str]| {
                let mut pool = PoolConfig::new("pool");
                for prefix in prefixes {
                    pool = pool.prefix(prefix.parse().unwrap());
                }
                if blocks {
                    pool = pool.port_blocks(PortBlocks::new(64).per_subscriber(2));
                } else {
                    pool = pool.subscriber_limit(SubscriberLimit::new().total(128));
                }
                if paired {
                    pool = pool.pairing(Strictness::Strict);
                }
                config(2, pool).seed(1)
            };
            let engine = Engine::new(of(&["192.0.2.0/30"])).unwrap();
            let [mut old, mut new] = [0, 1].map(|index| engine.shard(index).unwrap());
            let mut before = old.burst(at(0));
            engine
                .reconfigure(of(&["192.0.2.0/30", "2001:db8::/120"]))
                .unwrap();
            let mut after = new.burst(at(0));
            let tcp = request(&engine, Protocol::Tcp, 7);
            let six = after.allocate(&tcp.family(Family::V6)).unwrap();
            match before.allocate(&tcp) {
                Ok(lease) => assert!(!paired && lease.addr().is_ipv4()),
                Err(error) => assert_eq!((error, paired), (AllocError::OutsidePool, true)),
            }
            // At the limit it looks at every block.
            let _ = fill(&mut before, &tcp);
            drop(before);
            let (held, _) = fill(&mut old.burst(at(0)), &tcp);
            if paired {
                let at: BTreeSet<IpAddr> = held.iter().map(|lease| lease.addr().ip()).collect();
                assert_eq!(at, BTreeSet::from([six.addr().ip()]), "one address");
            }
            assert_eq!(engine.subscribers().len(), 1);
        }
    }
}

fn both_families() -> PoolConfig {
    pool("192.0.2.0/31").prefix("2001:db8::/127".parse().unwrap())
}

#[test]
fn an_address_of_another_family_than_asked_for_is_not_given() {
    let four: IpAddr = "192.0.2.1".parse().unwrap();
    for blocks in [None, Some(PortBlocks::new(64).per_subscriber(4))] {
        let mut pool = both_families();
        pool = match blocks {
            Some(blocks) => pool.port_blocks(blocks),
            None => pool.subscriber_limit(SubscriberLimit::new().total(1000)),
        };
        let engine = engine(pool);
        let mut shard = engine.shard(0).unwrap();
        let mut burst = shard.burst(at(0));
        let six = request(&engine, Protocol::Tcp, 1).family(Family::V6);
        let strict = six.address(four, Strictness::Strict);
        assert_eq!(
            burst.allocate(&strict).unwrap_err(),
            AllocError::NoSuchFamily
        );
        let preferred = six.address(four, Strictness::Preferred);
        let lease = burst.allocate(&preferred).unwrap();
        assert!(lease.addr().is_ipv6(), "{}", lease.addr());
        drop(burst);
        let blocks: usize = engine
            .subscribers()
            .iter()
            .map(|one| one.blocks.len())
            .sum();
        assert!(blocks <= 1, "no block for nothing: {blocks}");
    }
}

#[test]
fn a_subscriber_paired_in_one_family_is_told_so_in_the_other() {
    for blocks in [None, Some(PortBlocks::new(64).per_subscriber(4))] {
        for strictness in [Strictness::Strict, Strictness::Preferred] {
            let mut pool = both_families().pairing(strictness);
            if let Some(blocks) = blocks {
                pool = pool.port_blocks(blocks);
            }
            let engine = engine(pool);
            let mut shard = engine.shard(0).unwrap();
            let mut burst = shard.burst(at(0));
            let tcp = request(&engine, Protocol::Tcp, 1);
            let four = burst.allocate(&tcp.family(Family::V4)).unwrap();
            assert!(four.addr().is_ipv4());
            let six = burst.allocate(&tcp.family(Family::V6));
            match strictness {
                Strictness::Strict => assert_eq!(six.unwrap_err(), AllocError::NoSuchFamily),
                Strictness::Preferred => assert!(six.unwrap().addr().is_ipv6()),
            }
            let again = burst.allocate(&tcp).unwrap();
            assert_eq!(again.addr().ip(), four.addr().ip());
        }
    }
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

/// Where no port of a block can be a port block's, the block was assigned all the same; where the
/// overflow was empty, all addresses were opened in search of it.
#[test]
fn a_search_for_overflow_leaves_blocks_without_any_alone() {
    // Two ranges of 32,256 ports each fill the 64,512 ports: no overflow.
    let full = Deterministic::new(2 * 256, 32_256);
    let blocks = PortBlocks::new(64);
    let of = |mode| pool("10.0.0.0/24").deterministic(mode).port_blocks(blocks);
    let engine = engine(of(full));
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(at(0));
    let tcp = request(&engine, Protocol::Tcp, 5);
    let (held, error) = fill(&mut burst, &tcp);
    assert_eq!(
        (held.len(), error),
        (32_256, AllocError::SubscriberQuota),
        "nothing beyond its range"
    );
    drop(burst);
    assert_eq!(engine.stats().open_addresses, 1);
    // One port block of overflow on each address: only its block is assigned.
    let engine = self::engine(of(Deterministic::new(2 * 256, 32_224)));
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(at(0));
    let (held, _) = fill(&mut burst, &request(&engine, Protocol::Tcp, 5));
    assert_eq!(held.len(), 32_224 + 4 * 64);
    drop(burst);
    let assigned = engine.census().blocks.assigned;
    assert_eq!(assigned, 32_224_u64.div_ceil(256) + 4);
}

#[test]
fn a_strict_wish_for_an_address_holds_in_deterministic_pools() {
    for blocks in [false, true] {
        let mut pool = pool("192.0.2.0/31").deterministic(Deterministic::new(4, 1000));
        if blocks {
            pool = pool.port_blocks(PortBlocks::new(64));
        }
        let map = pool.deterministic_map().unwrap();
        let (own, _) = map.range(0, Protocol::Tcp).unwrap();
        let (other, _) = map.range(3, Protocol::Tcp).unwrap();
        assert_ne!(own, other);
        let engine = engine(pool);
        let mut shard = engine.shard(0).unwrap();
        let mut burst = shard.burst(at(0));
        let tcp = request(&engine, Protocol::Tcp, 0);
        for strictness in [Strictness::Strict, Strictness::Preferred] {
            let lease = burst.allocate(&tcp.address(own, strictness)).unwrap();
            assert_eq!(lease.addr().ip(), own);
            match (burst.allocate(&tcp.address(other, strictness)), blocks) {
                (Ok(lease), true) => assert_eq!(lease.addr().ip(), other, "overflow there"),
                (Ok(lease), false) => {
                    assert_eq!(strictness, Strictness::Preferred);
                    assert_eq!(lease.addr().ip(), own);
                }
                (Err(error), _) => {
                    assert_eq!((error, blocks), (AllocError::AddressFull, false));
                    assert_eq!(strictness, Strictness::Strict);
                }
            }
        }
    }
}

#[test]
fn overflow_keeps_to_a_strictly_paired_address() {
    let pool = pool("192.0.2.0/28")
        .deterministic(Deterministic::new(16, 29_952))
        .port_blocks(PortBlocks::new(64).per_subscriber(16))
        .pairing(Strictness::Strict);
    let engine = engine(pool);
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(at(0));
    let (held, _) = fill(&mut burst, &request(&engine, Protocol::Tcp, 3));
    let at: BTreeSet<IpAddr> = held.iter().map(|lease| lease.addr().ip()).collect();
    assert_eq!(at.len(), 1, "{at:?}");
    assert_eq!(held.len(), 29_952 + 16 * 64);
}

/// Each port block was asked for the port, and then for its parity, before the next.
#[test]
fn a_wished_port_is_had_from_whichever_own_block_it_lies_in() {
    let blocks = PortBlocks::new(64).per_subscriber(4);
    let engine = engine(pool("192.0.2.1/32").port_blocks(blocks));
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(at(0));
    let tcp = request(&engine, Protocol::Tcp, 3);
    let (mut held, _) = fill(&mut burst, &tcp);
    for lease in std::mem::take(&mut held) {
        burst.release_with(lease, Reason::Unused);
    }
    drop(burst);
    let own = engine.subscribers()[0].blocks.clone();
    assert_eq!(own.len(), 4);
    let mut burst = shard.burst(at(0));
    for ports in own {
        let lease = burst.allocate(&tcp.near_port(ports.first + 5)).unwrap();
        assert_eq!(lease.addr().port(), ports.first + 5);
        held.push(lease);
    }
}

/// Without a hold-down a port block is free as soon as its last port is: a sweep of the same
/// millisecond had passed it by.
#[test]
fn without_a_hold_down_port_blocks_are_free_at_once() {
    let blocks = PortBlocks::new(256).per_subscriber(1);
    let pool = pool("192.0.2.1/32").ports(1024..=1279).port_blocks(blocks);
    let config = config(1, pool).hold_down(Duration::ZERO).seed(1);
    let engine = Engine::new(config).unwrap();
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(at(0));
    for subscriber in 0..100 {
        let tcp = request(&engine, Protocol::Tcp, subscriber);
        let lease = burst.allocate(&tcp).expect("nobody has anything");
        burst.release(lease);
    }
}

/// A subscriber whose last port has rested stays paired until housekeeping comes by.
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

/// Ports put back, and those judged twice, left the count of cooling ports below zero, which is
/// above every cap.
#[test]
fn tuples_are_never_given_out_twice_by_a_pool_that_turns() {
    let address: IpAddr = "192.0.2.1".parse().unwrap();
    let base = || pool("192.0.2.1/32").ports(1024..=2047);
    let turns = [
        base(),
        base().port_blocks(PortBlocks::new(64).per_subscriber(16)),
        base().deterministic(Deterministic::new(4, 200)),
        base()
            .deterministic(Deterministic::new(4, 100))
            .port_blocks(PortBlocks::new(128).per_subscriber(16)),
        base().port_blocks(PortBlocks::new(256).per_subscriber(16)),
        base().pairing(Strictness::Preferred),
    ];
    let engine = Engine::new(config(1, turns[0].clone()).seed(1)).unwrap();
    let mut shard = engine.shard(0).unwrap();
    let mut held: Vec<Lease> = Vec::new();
    for round in 0..60u64 {
        let turn = turns[round as usize * 5 % turns.len()].clone();
        engine.reconfigure(config(1, turn).seed(1)).unwrap();
        let mut burst = shard.burst(at(round * 3 * SLICE));
        for subscriber in 0..4 {
            for _ in 0..60 {
                let tcp = request(&engine, Protocol::Tcp, subscriber);
                held.extend(burst.allocate(&tcp));
            }
        }
        let tuples: BTreeSet<SocketAddr> = held.iter().map(Lease::addr).collect();
        assert_eq!(tuples.len(), held.len());
        assert!(tuples.iter().all(|public| public.ip() == address));
        let keep = held.len() / 3;
        for lease in held.drain(keep..) {
            burst.release(lease);
        }
        drop(burst);
        let census = engine.census();
        assert!(census.total.balances(), "{}", census.total);
        assert_eq!(census.contradictions, 0);
    }
    drop(held);
    for round in 0..4 {
        shard.idle(at((100 + round) * HOLD));
    }
    let census = engine.census();
    assert_eq!(census.total.free, census.total.capacity, "{census:?}");
    assert_eq!(engine.subscribers(), []);
}

/// A subscriber that had fallen back to a port block elsewhere could not have more than one port
/// of it: at its own address it was at its limit of port blocks, and was told so.
#[test]
fn a_port_block_fallen_back_to_serves_until_it_is_full() {
    let blocks = PortBlocks::new(64).per_subscriber(2);
    let pool = pool("192.0.2.0/31").ports(1024..=1279).port_blocks(blocks);
    let engine = engine(pool.pairing(Strictness::Preferred));
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(at(0));
    let own = request(&engine, Protocol::Tcp, 1);
    let first = burst.allocate(&own).unwrap();
    let mut others = Vec::new();
    for subscriber in 2..=3 {
        let there = request(&engine, Protocol::Tcp, subscriber);
        let there = there.address(first.addr().ip(), Strictness::Strict);
        others.extend(fill(&mut burst, &there).0);
    }
    assert_eq!(others.len(), 3 * 64, "its address is full");
    let (held, error) = fill(&mut burst, &own);
    assert_eq!((held.len(), error), (127, AllocError::SubscriberQuota));
}

/// A subscriber at its limit of port blocks was told so before it was seen that the address it was
/// paired with is the pool's no longer, and stayed paired with it.
#[test]
fn a_pairing_with_an_address_that_is_gone_ends_also_at_the_limit_of_port_blocks() {
    let of = |prefix| {
        let blocks = PortBlocks::new(64).per_subscriber(2);
        let pool = pool(prefix).port_blocks(blocks);
        config(1, pool.pairing(Strictness::Strict)).seed(1)
    };
    let engine = Engine::new(of("192.0.2.0/31")).unwrap();
    let mut shard = engine.shard(0).unwrap();
    let own = request(&engine, Protocol::Tcp, 1);
    let mut burst = shard.burst(at(0));
    let first = burst.allocate(&own).unwrap();
    let (gone, stays) = match first.addr().ip() == "192.0.2.0".parse::<IpAddr>().unwrap() {
        true => ("192.0.2.0", "192.0.2.1"),
        false => ("192.0.2.1", "192.0.2.0"),
    };
    assert_eq!(first.addr().ip().to_string(), gone);
    let udp = request(&engine, Protocol::Udp, 1);
    let there = udp.address(stays.parse().unwrap(), Strictness::Strict);
    let _second = burst.allocate(&there).unwrap();
    drop(burst);
    engine.reconfigure(of(&format!("{stays}/32"))).unwrap();
    let mut burst = shard.burst(at(1));
    let third = burst.allocate(&udp).expect("its block there has room");
    assert_eq!(third.addr().ip().to_string(), stays);
}

/// A strict wish for the address of one's range gave way to a pairing by preference.
#[test]
fn the_stricter_of_a_wish_and_a_pairing_binds_overflow() {
    let blocks = PortBlocks::new(64).per_subscriber(16);
    let pool = pool("192.0.2.0/31")
        .ports(1024..=2047)
        .deterministic(Deterministic::new(4, 480))
        .port_blocks(blocks)
        .pairing(Strictness::Preferred);
    let (own, _) = pool
        .deterministic_map()
        .unwrap()
        .range(0, Protocol::Tcp)
        .unwrap();
    let engine = engine(pool);
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(at(0));
    let tcp = request(&engine, Protocol::Tcp, 0);
    let (held, error) = fill(&mut burst, &tcp.address(own, Strictness::Strict));
    assert_eq!((held.len(), error), (480 + 64, AllocError::AddressFull));
    assert!(held.iter().all(|lease| lease.addr().ip() == own));
    let (more, error) = fill(&mut burst, &tcp);
    assert_eq!((more.len(), error), (64, AllocError::PoolFull));
}

/// A subscriber that held nothing any more was refused at the address it had been paired with, as long
/// as no round of active subscribers had come by to end the pairing.
#[test]
fn who_holds_nothing_is_bound_to_no_address() {
    let engine = engine(
        pool("192.0.2.0/31")
            .ports(1024..=1279)
            .pairing(Strictness::Strict),
    );
    let mut shard = engine.shard(0).unwrap();
    let request = |subscriber| request(&engine, Protocol::Tcp, subscriber);
    let mut burst = shard.burst(at(0));
    // So many that the round does not come to the last one.
    let others: Vec<_> = (1..=40)
        .map(|other| burst.allocate(&request(other)).unwrap())
        .collect();
    let lease = burst.allocate(&request(99)).unwrap();
    let address = lease.addr().ip();
    burst.release(lease);
    drop(burst);
    let mut burst = shard.burst(at(HOLD + 2 * SLICE));
    let there = |subscriber| request(subscriber).address(address, Strictness::Strict);
    let (full, error) = fill(&mut burst, &there(1));
    assert_eq!(error, AllocError::AddressFull);
    let lease = burst.allocate(&request(99)).unwrap();
    assert_ne!(lease.addr().ip(), address);
    for lease in full.into_iter().chain(others).chain([lease]) {
        burst.release(lease);
    }
}
