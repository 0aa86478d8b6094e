//! The public surface, one behaviour at a time.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use natshard::{
    AllocError, Census, ConfigFault, Engine, EngineConfig, Family, Lease, PoolConfig, PortOrder,
    Protocol, Reason, ReleaseError, Request, Shard, ShardError, Strictness, Tick,
};

const HOLD: u64 = 120_000;

fn at(millis: u64) -> Tick {
    Tick::from_millis(millis)
}

fn small() -> PoolConfig {
    PoolConfig::new("p")
        .prefix("203.0.113.0/31".parse().unwrap())
        .ports(1024..=2047)
}

fn engine(shards: usize, pool: PoolConfig) -> Engine {
    Engine::new(EngineConfig::new(shards).seed(7).pool(pool)).unwrap()
}

#[track_caller]
fn balanced(engine: &Engine) -> Census {
    let census = engine.census();
    assert!(census.total.balances(), "total: {}", census.total);
    assert_eq!(census.contradictions, 0);
    assert!(census.draining.balances(), "draining: {}", census.draining);
    for (name, pool) in &census.pools {
        assert!(pool.balances(), "{name}: {pool}");
    }
    census
}

#[test]
fn the_example_of_the_contract_runs() {
    let engine = Engine::new(
        EngineConfig::new(4)
            .hold_down(Duration::from_secs(120))
            .pool(
                PoolConfig::new("internet")
                    .realm("wan")
                    .prefix("203.0.113.0/28".parse().unwrap())
                    .ports(1024..=65535)
                    .exclude("203.0.113.5".parse().unwrap(), 8080..=8090),
            ),
    )
    .unwrap();
    let pool = engine.pool("internet").unwrap();
    let realm = engine.realm("wan").unwrap();
    let mut shard = engine.shard(0).unwrap();
    assert_eq!(engine.shard(0).unwrap_err(), ShardError::Taken(0));
    assert_eq!(
        engine.shard(4).unwrap_err(),
        ShardError::OutOfRange {
            asked: 4,
            shards: 4
        }
    );
    let mut burst = shard.burst(at(0));
    let request = Request::new(pool, Protocol::Tcp);
    let lease = burst.allocate(&request).unwrap();
    let public: SocketAddr = lease.addr();
    assert!(public.port() >= 1024);
    assert_eq!(
        engine
            .owner(realm, Protocol::Tcp, public)
            .map(|s| s.as_index()),
        Some(0)
    );
    assert_eq!(engine.owner(realm, Protocol::Udp, public), None);
    burst.release(lease);
    assert_eq!(engine.owner(realm, Protocol::Tcp, public), None);
    let mut leases = Vec::new();
    assert_eq!(burst.allocate_batch(&request, 32, &mut leases), Ok(32));
    let fixed = burst
        .reserve(pool, Protocol::Udp, "203.0.113.7:40000".parse().unwrap())
        .unwrap();
    assert_eq!(fixed.addr(), "203.0.113.7:40000".parse().unwrap());
    let raw = fixed.into_raw();
    burst
        .release_raw(natshard::RawLease::from_bits(raw.to_bits()))
        .unwrap();
    assert_eq!(burst.release_raw(raw), Err(ReleaseError::Stale));
    drop(burst);
    shard.idle(at(5));
    let census = balanced(&engine);
    let one = 64_512 * 2 + 65_536;
    assert_eq!(census.total.capacity, 16 * one);
    assert_eq!(census.total.excluded, 22);
    assert_eq!(census.total.leased, 32);
    assert_eq!(engine.stats().allocated(), 34);
    assert_eq!(engine.stats().pools["internet"].allocated, 34);
    assert_eq!(engine.stats().released(), 2);
    assert_eq!(engine.stats().refused_tokens, 1);
}

#[test]
fn every_port_once_then_exhaustion_then_every_port_again_after_the_hold_down() {
    let engine = engine(1, small());
    let pool = engine.pool("p").unwrap();
    let mut shard = engine.shard(0).unwrap();
    let request = Request::new(pool, Protocol::Tcp);
    let mut seen = HashSet::new();
    let mut leases = Vec::new();
    let mut burst = shard.burst(at(0));
    while let Ok(lease) = burst.allocate(&request) {
        assert!(seen.insert(lease.addr()), "{lease:?} twice");
        leases.push(lease);
    }
    assert_eq!(seen.len(), 2048);
    assert_eq!(burst.allocate(&request), Err(AllocError::PoolFull));
    assert!(AllocError::PoolFull.is_exhaustion());
    burst.release_batch(&mut leases);
    assert_eq!(
        burst.allocate(&request),
        Err(AllocError::PoolFull),
        "all of them rest"
    );
    drop(burst);
    let census = balanced(&engine);
    assert_eq!((census.total.cooling, census.total.leased), (2048, 0));
    let mut burst = shard.burst(at(HOLD - 1));
    assert_eq!(
        burst.allocate(&request),
        Err(AllocError::PoolFull),
        "a millisecond early"
    );
    drop(burst);
    let mut burst = shard.burst(at(HOLD + HOLD / 8));
    let got = burst.allocate_batch(&request, 5000, &mut leases).unwrap();
    assert_eq!(got, 2048, "an eighth late at most");
    drop(burst);
    assert_eq!(engine.stats().refused(AllocError::PoolFull), 5);
    balanced(&engine);
}

#[test]
fn empty_blocks_are_recycled_and_addresses_closed() {
    let engine = engine(2, small());
    let pool = engine.pool("p").unwrap();
    let mut shard = engine.shard(0).unwrap();
    let mut leases = Vec::new();
    let mut burst = shard.burst(at(0));
    for protocol in Protocol::ALL {
        while let Ok(lease) = burst.allocate(&Request::new(pool, protocol)) {
            leases.push(lease);
        }
    }
    assert_eq!(engine.stats().open_addresses, 6);
    burst.release_batch(&mut leases);
    drop(burst);
    for step in 0..100 {
        shard.idle(at(2 * HOLD + step * HOLD / 8));
    }
    let stats = engine.stats();
    assert!(stats.shards[0].blocks_recycled >= 8, "{stats:?}");
    assert_eq!(stats.awaiting_grace, 0);
    assert_eq!(
        stats.open_addresses, 3,
        "one stays open per protocol: {stats:?}"
    );
    let census = balanced(&engine);
    assert_eq!(census.total.free, census.total.capacity);
    // What was closed can be opened again, and old tokens do not fit it.
    let mut burst = shard.burst(at(100 * HOLD));
    let mut again = 0;
    while let Ok(lease) = burst.allocate(&Request::new(pool, Protocol::Tcp)) {
        again += 1;
        leases.push(lease);
    }
    assert_eq!(again, 2048);
}

#[test]
fn tokens_of_an_earlier_life_of_an_address_are_stale() {
    let engine = engine(1, small());
    let pool = engine.pool("p").unwrap();
    let mut shard = engine.shard(0).unwrap();
    let mut tokens = Vec::new();
    let mut seen = HashSet::new();
    let mut now = 0;
    for _ in 0..4 {
        let mut burst = shard.burst(at(now));
        while let Ok(lease) = burst.allocate(&Request::new(pool, Protocol::Udp)) {
            let raw = lease.into_raw();
            assert!(seen.insert(raw), "a token came twice");
            tokens.push(raw);
        }
        let live = tokens.len() - 2048;
        for &old in &tokens[..live] {
            assert_eq!(burst.release_raw(old), Err(ReleaseError::Stale));
        }
        for &raw in &tokens[live..] {
            assert_eq!(burst.release_raw(raw), Ok(()));
            assert_eq!(burst.release_raw(raw), Err(ReleaseError::Stale));
        }
        drop(burst);
        for _ in 0..40 {
            now += HOLD / 8;
            shard.idle(at(now));
        }
    }
    assert_eq!(tokens.len(), 4 * 2048);
    assert_eq!(balanced(&engine).total.leased, 0);
    let closed: u64 = engine
        .stats()
        .shards
        .iter()
        .map(|shard| shard.addresses_closed)
        .sum();
    assert!(closed > 0, "each life was the first one of its address");
}

#[test]
fn tokens_of_a_reheated_block_are_told_apart() {
    let engine = Engine::new(
        EngineConfig::new(1).seed(1).hold_down(Duration::ZERO).pool(
            small()
                .prefix("198.51.100.1/32".parse().unwrap())
                .ports(1024..=1279),
        ),
    )
    .unwrap();
    let pool = engine.pool("p").unwrap();
    let request = Request::new(pool, Protocol::Tcp);
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(at(0));
    let pinned: Vec<_> = std::iter::from_fn(|| burst.allocate(&request).ok()).collect();
    assert_eq!(pinned.len(), 3 * 256);
    let mut keep = pinned;
    let mut stale = Vec::new();
    // One port goes round and round in a block whose others stay leased.
    let mut raw = keep.pop().unwrap().into_raw();
    for round in 0..100 {
        burst.release_raw(raw).unwrap();
        stale.push(raw);
        let lease = burst
            .allocate(&request)
            .unwrap_or_else(|error| panic!("{round}: {error}"));
        raw = lease.into_raw();
        for &old in &stale {
            assert_eq!(
                burst.release_raw(old),
                Err(ReleaseError::Stale),
                "round {round}"
            );
        }
    }
    burst.release_raw(raw).unwrap();
}

#[test]
fn a_foreign_token_and_lease_leave_the_engine_alone() {
    let (one, two) = (engine(1, small()), engine(1, small()));
    let (mut first, mut second) = (one.shard(0).unwrap(), two.shard(0).unwrap());
    let request = Request::new(one.pool("p").unwrap(), Protocol::Tcp);
    let raw = first.burst(at(0)).allocate(&request).unwrap().into_raw();
    let lease = first.burst(at(0)).allocate(&request).unwrap();
    let own = second.burst(at(0)).allocate(&request).unwrap();
    assert_eq!(
        second.burst(at(0)).release_raw(raw),
        Err(ReleaseError::Foreign)
    );
    second.burst(at(0)).release(lease);
    assert_eq!(one.census().total.leased, 1, "only the raw one");
    assert_eq!(one.stats().dropped_leases, 1);
    assert_eq!(two.census().total.leased, 1);
    drop(own);
    first.burst(at(0)).release_raw(raw).unwrap();
}

#[test]
fn an_unused_port_need_not_rest_and_a_closed_one_by_policy() {
    for (reuse, reason, rests) in [
        (false, Reason::Unused, false),
        (false, Reason::Closed, true),
        (true, Reason::Closed, false),
        (true, Reason::Ended, true),
    ] {
        let engine = engine(1, small().reuse_closed(reuse));
        let request = Request::new(engine.pool("p").unwrap(), Protocol::Tcp);
        let mut shard = engine.shard(0).unwrap();
        let mut burst = shard.burst(at(0));
        let mut leases: Vec<_> = std::iter::from_fn(|| burst.allocate(&request).ok()).collect();
        let lease = leases.swap_remove(1000);
        let addr = lease.addr();
        burst.release_with(lease, reason);
        match burst.allocate(&request) {
            Ok(lease) => {
                assert!(!rests, "{reuse} {reason:?}");
                assert_eq!(lease.addr(), addr);
            }
            Err(error) => assert!(rests, "{reuse} {reason:?} {error:?}"),
        }
    }
}

#[test]
fn reserve_says_why_not() {
    let engine = engine(
        2,
        small().exclude("203.0.113.1".parse().unwrap(), 1500..=1501),
    );
    let pool = engine.pool("p").unwrap();
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(at(0));
    let mut reserve = |text: &str| burst.reserve(pool, Protocol::Tcp, text.parse().unwrap());
    let kept = reserve("203.0.113.1:1499").unwrap();
    assert_eq!(reserve("203.0.113.1:1499"), Err(AllocError::InUse));
    assert_eq!(reserve("203.0.113.1:1500"), Err(AllocError::Excluded));
    assert!(
        reserve("203.0.113.0:1500").is_ok(),
        "the exclusion is of one address"
    );
    assert_eq!(
        reserve("203.0.113.0:1500"),
        Err(AllocError::InUse),
        "dropped, it rests"
    );
    assert_eq!(reserve("203.0.113.0:80"), Err(AllocError::Excluded));
    assert_eq!(reserve("203.0.113.2:1500"), Err(AllocError::OutsidePool));
    assert_eq!(reserve("[2001:db8::1]:1500"), Err(AllocError::OutsidePool));
    for protocol in [Protocol::Udp, Protocol::Icmp] {
        assert!(
            burst.reserve(pool, protocol, kept.addr()).is_ok(),
            "protocols are apart"
        );
    }
}

#[test]
fn reserve_gets_what_lies_unissued_with_another_shard_after_one_burst_of_it() {
    let engine = engine(2, small());
    let pool = engine.pool("p").unwrap();
    let (mut me, mut other) = (engine.shard(0).unwrap(), engine.shard(1).unwrap());
    let held = other
        .burst(at(0))
        .allocate(&Request::new(pool, Protocol::Tcp))
        .unwrap();
    let block = held.addr().port() / 256 * 256;
    let wanted = (block..block + 256)
        .find(|&port| port != held.addr().port())
        .unwrap();
    let public = SocketAddr::new(held.addr().ip(), wanted);
    let reserve =
        |shard: &mut natshard::Shard| shard.burst(at(0)).reserve(pool, Protocol::Tcp, public);
    assert_eq!(reserve(&mut me), Err(AllocError::InUse));
    drop(other.burst(at(1)));
    let lease = reserve(&mut me).unwrap();
    assert_eq!(reserve(&mut other), Err(AllocError::InUse));
    drop(lease);
    balanced(&engine);
}

#[test]
fn f13_an_idle_shard_with_one_port_does_not_cap_the_pool() {
    let engine = engine(2, small());
    let request = Request::new(engine.pool("p").unwrap(), Protocol::Tcp);
    let (mut busy, mut idle) = (engine.shard(0).unwrap(), engine.shard(1).unwrap());
    let one = idle.burst(at(0)).allocate(&request).unwrap();
    idle.idle(at(0));
    let mut leases = Vec::new();
    let got = busy
        .burst(at(0))
        .allocate_batch(&request, 9999, &mut leases)
        .unwrap();
    assert_eq!(got, 2047);
    assert!(leases.iter().all(|lease| lease.addr() != one.addr()));
    balanced(&engine);
}

#[test]
fn unissued_ports_of_a_shard_that_does_not_idle_come_with_its_next_burst() {
    let engine = engine(2, small());
    let request = Request::new(engine.pool("p").unwrap(), Protocol::Tcp);
    let (mut busy, mut lazy) = (engine.shard(0).unwrap(), engine.shard(1).unwrap());
    let _one = lazy.burst(at(0)).allocate(&request).unwrap();
    let mut leases = Vec::new();
    let got = busy
        .burst(at(0))
        .allocate_batch(&request, 9999, &mut leases)
        .unwrap();
    assert_eq!(got, 2048 - 256);
    assert_eq!(
        busy.burst(at(0)).allocate(&request),
        Err(AllocError::PoolFull)
    );
    drop(lazy.burst(at(0)));
    assert_eq!(
        busy.burst(at(0))
            .allocate_batch(&request, 9999, &mut leases),
        Ok(255)
    );
    balanced(&engine);
}

#[test]
fn f24_a_dropped_or_panicking_shard_gives_its_block_back() {
    let engine = engine(1, small());
    let request = Request::new(engine.pool("p").unwrap(), Protocol::Tcp);
    let copy = engine.clone();
    let panicked = std::thread::spawn(move || {
        let mut shard = copy.shard(0).unwrap();
        let mut burst = shard.burst(at(0));
        let _lease = burst.allocate(&request).unwrap();
        panic!("on purpose");
    })
    .join();
    assert!(panicked.is_err());
    let mut shard = engine.shard(0).unwrap();
    let mut leases = Vec::new();
    let got = shard
        .burst(at(0))
        .allocate_batch(&request, 9999, &mut leases)
        .unwrap();
    assert_eq!(got, 2047, "all but the one dropped, which rests");
    balanced(&engine);
}

#[test]
fn leases_outlive_shard_and_engine() {
    let engine = engine(1, small());
    let request = Request::new(engine.pool("p").unwrap(), Protocol::Tcp);
    let lease = |shard: &mut Shard, leases: &mut Vec<Lease>, count| {
        let had = shard.burst(at(0)).allocate_batch(&request, count, leases);
        assert_eq!(had, Ok(count));
    };
    let distinct = |leases: &[Lease]| leases.iter().map(Lease::addr).collect::<HashSet<_>>();
    let drop_on_two_threads = |mut leases: Vec<Lease>| {
        std::thread::scope(|scope| {
            let half = leases.split_off(leases.len() / 2);
            scope.spawn(move || drop(half));
            scope.spawn(move || drop(leases));
        });
    };
    // The shard goes, and the engine is there to be asked.
    let mut shard = engine.shard(0).unwrap();
    let mut leases = Vec::new();
    lease(&mut shard, &mut leases, 1000);
    drop(shard);
    let census = balanced(&engine).total;
    assert_eq!((census.leased, census.unissued), (1000, 0));
    drop_on_two_threads(leases);
    let census = balanced(&engine).total;
    // Four blocks, of which 24 ports were put back.
    assert_eq!((census.leased, census.cooling), (0, 1024));
    assert_eq!(engine.stats().dropped_leases, 1000);

    // Nobody can ask any more. What becomes of the memory is asked of the heap (`footprint`).
    let mut shard = engine.shard(0).unwrap();
    let mut leases = Vec::new();
    lease(&mut shard, &mut leases, 700);
    assert_eq!(balanced(&engine).total.leased, 700);
    drop(engine);
    lease(&mut shard, &mut leases, 300);
    let before = distinct(&leases);
    drop(shard);
    assert_eq!((distinct(&leases), before.len()), (before, 1000));
    drop_on_two_threads(leases);
}

#[test]
fn f01_overlapping_pools_share_their_blocks() {
    let config = EngineConfig::new(1)
        .pool(small())
        .pool(
            PoolConfig::new("q")
                .prefix("203.0.113.1/32".parse().unwrap())
                .ports(1500..=3000),
        )
        .pool(
            PoolConfig::new("r")
                .realm("elsewhere")
                .prefix("203.0.113.0/31".parse().unwrap())
                .ports(1024..=2047),
        );
    let engine = Engine::new(config).unwrap();
    let [p, q, r] =
        ["p", "q", "r"].map(|name| Request::new(engine.pool(name).unwrap(), Protocol::Udp));
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(at(0));
    let mut seen = HashSet::new();
    let mut leases = Vec::new();
    // In turn, so that blocks are heated by both.
    let (mut of_p, mut of_q) = (true, true);
    while of_p || of_q {
        for (request, more) in [(&p, &mut of_p), (&q, &mut of_q)] {
            match burst.allocate(request) {
                Ok(lease) => {
                    assert!(seen.insert(lease.addr()), "{lease:?} twice");
                    leases.push(lease);
                }
                Err(error) => {
                    assert_eq!(error, AllocError::PoolFull);
                    *more = false;
                }
            }
        }
    }
    assert_eq!(
        seen.len(),
        1024 + 1024 + (3000 - 2047),
        "the union, exactly"
    );
    assert_eq!(
        burst.allocate_batch(&r, 9999, &mut leases),
        Ok(2048),
        "another realm is apart"
    );
    drop(burst);
    let census = balanced(&engine);
    assert_eq!(census.pools["p"].leased, 2048);
    assert_eq!(census.pools["q"].leased, 1501);
}

#[test]
fn pools_with_split_ports_of_one_address_do_not_search_each_other() {
    let half = |name: &str, ports| {
        PoolConfig::new(name)
            .prefix("203.0.113.0/28".parse().unwrap())
            .ports(ports)
    };
    let config = EngineConfig::new(1)
        .pool(half("low", 1024..=32_767))
        .pool(half("high", 32_768..=65_535));
    let engine = Engine::new(config).unwrap();
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(at(0));
    let mut leases = Vec::new();
    let low = Request::new(engine.pool("low").unwrap(), Protocol::Tcp);
    let high = Request::new(engine.pool("high").unwrap(), Protocol::Tcp);
    assert_eq!(
        burst.allocate_batch(&low, 1 << 20, &mut leases),
        Ok(16 * (32_768 - 1024))
    );
    assert!(
        leases
            .iter()
            .all(|lease| (1024..32_768).contains(&lease.addr().port()))
    );
    assert_eq!(
        burst.allocate_batch(&high, 1 << 20, &mut leases),
        Ok(16 * 32_768)
    );
}

#[test]
fn addresses_and_ports_can_be_wished_for() {
    let engine = engine(
        1,
        PoolConfig::new("p").prefix("203.0.113.0/29".parse().unwrap()),
    );
    let request = Request::new(engine.pool("p").unwrap(), Protocol::Tcp);
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(at(0));
    let address = "203.0.113.6".parse().unwrap();
    let mut leases = Vec::new();
    let paired = request.address(address, Strictness::Strict);
    let first = burst.allocate(&paired.near_port(40_001)).unwrap();
    assert_eq!(first.addr(), "203.0.113.6:40001".parse().unwrap());
    let second = burst.allocate(&paired.near_port(40_001)).unwrap();
    assert_eq!(
        second.addr().port() % 2,
        1,
        "parity is kept (RFC 4787 REQ-4)"
    );
    assert!(second.addr().port().abs_diff(40_001) <= 2, "{second:?}");
    assert_eq!(
        burst.allocate_batch(&paired, 1 << 17, &mut leases),
        Ok(64_512 - 2)
    );
    assert!(leases.iter().all(|lease| lease.addr().ip() == address));
    assert_eq!(burst.allocate(&paired), Err(AllocError::AddressFull));
    let other = burst
        .allocate(&request.address(address, Strictness::Preferred))
        .unwrap();
    assert_ne!(other.addr().ip(), address);
    let outside = "198.51.100.1".parse().unwrap();
    let strict = request.address(outside, Strictness::Strict);
    assert_eq!(burst.allocate(&strict), Err(AllocError::OutsidePool));
    assert_eq!(
        burst.allocate(&request.family(Family::V6)),
        Err(AllocError::NoSuchFamily)
    );
    assert_eq!(
        burst
            .allocate(&request.near_port(31_337))
            .unwrap()
            .addr()
            .port(),
        31_337
    );
}

#[test]
fn linear_order_is_linear_and_random_order_is_not() {
    let steps = |order| {
        let engine =
            Engine::new(EngineConfig::new(1).seed(3).port_order(order).pool(small())).unwrap();
        let request = Request::new(engine.pool("p").unwrap(), Protocol::Tcp);
        let mut shard = engine.shard(0).unwrap();
        let mut burst = shard.burst(at(0));
        let ports: Vec<u16> = (0..256)
            .map(|_| burst.allocate(&request).unwrap().addr().port())
            .collect();
        ports
            .windows(2)
            .filter(|pair| pair[1] == pair[0].wrapping_add(1))
            .count()
    };
    assert_eq!(steps(PortOrder::Linear), 255);
    assert!(steps(PortOrder::Random) < 10);
}

#[test]
fn huge_pools_start_at_once_and_allocate() {
    for prefix in ["2001:db8::/64", "10.0.0.0/8", "0.0.0.0/0", "2001::/16"] {
        let engine = engine(2, PoolConfig::new("p").prefix(prefix.parse().unwrap()));
        let request = Request::new(engine.pool("p").unwrap(), Protocol::Tcp);
        let mut shard = engine.shard(1).unwrap();
        let mut leases = Vec::new();
        assert_eq!(
            shard
                .burst(at(0))
                .allocate_batch(&request, 200_000, &mut leases),
            Ok(200_000)
        );
        let census = balanced(&engine);
        assert_eq!(census.total.leased, 200_000, "{prefix}");
    }
}

#[test]
fn the_cap_of_cooling_ports_serves_the_longest_rested_early_and_counts() {
    let engine = Engine::new(
        EngineConfig::new(1)
            .max_cooling(100)
            .pool(PoolConfig::new("p").prefix("203.0.113.0/28".parse().unwrap())),
    )
    .unwrap();
    let request = Request::new(engine.pool("p").unwrap(), Protocol::Tcp);
    let mut shard = engine.shard(0).unwrap();
    let mut most = 0;
    for round in 0..400u64 {
        let mut burst = shard.burst(at(round * 10));
        let mut leases = Vec::new();
        burst.allocate_batch(&request, 10, &mut leases).unwrap();
        burst.release_batch(&mut leases);
        drop(burst);
        most = most.max(engine.census().total.cooling);
    }
    assert!(
        engine.stats().shards[0].served_early > 1_000,
        "{:?}",
        engine.stats()
    );
    assert!(
        most <= 100 + 2 * 256,
        "at most the blocks under way above the cap: {most}"
    );
    balanced(&engine);
}

#[test]
#[allow(clippy::reversed_empty_ranges, reason = "that is the fault")]
fn every_fault_of_a_configuration_at_once() {
    let bad = EngineConfig::new(0)
        .pool(PoolConfig::new("").realm("").ports(9..=3))
        .pool(
            PoolConfig::new("x")
                .prefix("203.0.113.1/24".parse().unwrap())
                .ports(0..=9),
        )
        .pool(
            PoolConfig::new("x")
                .prefix("198.51.100.0/24".parse().unwrap())
                .prefix("198.51.100.128/25".parse().unwrap())
                .exclude("192.0.2.1".parse().unwrap(), 1..=2),
        )
        .pool(
            PoolConfig::new("none")
                .prefix("192.0.2.0/24".parse().unwrap())
                .exclude_addresses("192.0.2.0/24".parse().unwrap()),
        );
    let faults = Engine::new(bad).unwrap_err();
    let has =
        |wanted: fn(&ConfigFault) -> bool| assert!(faults.faults().iter().any(wanted), "{faults}");
    has(|fault| matches!(fault, ConfigFault::Shards(0)));
    has(|fault| matches!(fault, ConfigFault::EmptyName(0, "name")));
    has(|fault| matches!(fault, ConfigFault::EmptyName(0, "realm")));
    has(|fault| matches!(fault, ConfigFault::NoPrefix(_)));
    has(|fault| matches!(fault, ConfigFault::EmptyRange { .. }));
    has(|fault| matches!(fault, ConfigFault::HostBits { .. }));
    has(|fault| matches!(fault, ConfigFault::PortZero(_)));
    has(|fault| matches!(fault, ConfigFault::DuplicatePool(_)));
    has(|fault| matches!(fault, ConfigFault::OverlappingPrefixes { .. }));
    has(|fault| matches!(fault, ConfigFault::ExclusionOutside { .. }));
    has(|fault| matches!(fault, ConfigFault::NothingLeft(_)));
    assert_eq!(faults.faults().len(), 11, "{faults}");
}

#[test]
fn time_backwards_is_counted_and_changes_nothing() {
    let engine = engine(1, small());
    let mut shard = engine.shard(0).unwrap();
    assert_eq!(shard.burst(at(1000)).now(), at(1000));
    assert_eq!(shard.burst(at(10)).now(), at(1000));
    assert_eq!(engine.stats().shards[0].ticks_backwards, 1);
}

#[test]
fn handles_go_where_the_contract_says() {
    fn send<T: Send + 'static>() {}
    fn sync<T: Sync>() {}
    send::<Engine>();
    sync::<Engine>();
    send::<natshard::Shard>();
    send::<natshard::Lease>();
    send::<natshard::Steering>();
    // A shard and its leases move to another thread, and outlive every engine handle there.
    let engine = engine(1, small());
    let request = Request::new(engine.pool("p").unwrap(), Protocol::Tcp);
    let mut shard = engine.shard(0).unwrap();
    let lease = shard.burst(at(0)).allocate(&request).unwrap();
    drop(engine);
    std::thread::spawn(move || {
        let mut burst = shard.burst(at(1));
        burst.release(lease);
        assert!(burst.allocate(&request).is_ok());
    })
    .join()
    .unwrap();
}

#[test]
fn owner_is_exact_for_ports_of_a_block_that_two_shards_issued() {
    let engine = Engine::new(
        EngineConfig::new(2).hold_down(Duration::ZERO).pool(
            PoolConfig::new("p")
                .realm("wan")
                .prefix("203.0.113.0/32".parse().unwrap())
                .ports(1024..=1279),
        ),
    )
    .unwrap();
    let realm = engine.realm("wan").unwrap();
    let request = Request::new(engine.pool("p").unwrap(), Protocol::Tcp);
    let (mut first, mut second) = (engine.shard(0).unwrap(), engine.shard(1).unwrap());
    let mut of_first = Vec::new();
    first
        .burst(at(0))
        .allocate_batch(&request, 256, &mut of_first)
        .unwrap();
    let mut back = of_first.split_off(100);
    first.burst(at(0)).release_batch(&mut back);
    let mut of_second = Vec::new();
    second
        .burst(at(0))
        .allocate_batch(&request, 999, &mut of_second)
        .unwrap();
    assert_eq!(of_second.len(), 156);
    let owner = |lease: &natshard::Lease| engine.owner(realm, Protocol::Tcp, lease.addr()).unwrap();
    assert!(of_first.iter().all(|lease| owner(lease).as_index() == 0));
    assert!(of_second.iter().all(|lease| owner(lease).as_index() == 1));
}
