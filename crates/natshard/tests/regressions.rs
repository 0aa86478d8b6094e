//! One test per defect that was found and mended.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use natshard::{
    Engine, EngineConfig, PoolConfig, PortBlocks, Protocol, RawLease, Reason, ReleaseError,
    Request, TenantShare, Tick,
};

const HOLD: u64 = 120_000;

fn at(millis: u64) -> Tick {
    Tick::from_millis(millis)
}

fn pool(name: &str, prefix: &str) -> PoolConfig {
    PoolConfig::new(name)
        .prefix(prefix.parse().unwrap())
        .ports(1024..=1279)
}

/// The time was raised before the slice: a shard that found the time there already stamped its
/// releases with the slice before.
#[test]
fn a_release_after_a_tick_that_another_shard_brings_rests_from_that_tick() {
    let engine = Engine::new(EngineConfig::new(2).pool(pool("p", "203.0.113.0/32"))).unwrap();
    let request = Request::new(engine.pool("p").unwrap(), Protocol::Tcp);
    let now = AtomicU64::new(0);
    let barrier = std::sync::Barrier::new(2);
    std::thread::scope(|scope| {
        let (engine, now, barrier) = (&engine, &now, &barrier);
        scope.spawn(move || {
            let mut shard = engine.shard(1).unwrap();
            for _ in 0..3_000 {
                barrier.wait();
                drop(shard.burst(at(now.load(Ordering::SeqCst))));
                barrier.wait();
            }
        });
        let mut shard = engine.shard(0).unwrap();
        for _ in 0..3_000 {
            let mut held = Vec::new();
            let then = now.load(Ordering::SeqCst);
            shard
                .burst(at(then))
                .allocate_batch(&request, 256, &mut held)
                .unwrap();
            let next = then + HOLD;
            now.store(next, Ordering::SeqCst);
            barrier.wait();
            shard.burst(at(next)).release_batch(&mut held);
            barrier.wait();
            let early = shard.burst(at(next + HOLD / 2)).allocate(&request);
            assert!(early.is_err(), "{early:?} rested half of its hold-down");
            now.store(next + 2 * HOLD, Ordering::SeqCst);
        }
    });
}

#[test]
fn a_made_up_token_is_refused() {
    let engine = Engine::new(
        EngineConfig::new(1)
            .seed(1)
            .pool(pool("p", "203.0.113.0/32")),
    )
    .unwrap();
    let request = Request::new(engine.pool("p").unwrap(), Protocol::Tcp);
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(at(0));
    let bits = burst.allocate(&request).unwrap().into_raw().to_bits();
    for bit in 0..128 {
        let made_up = RawLease::from_bits(bits ^ 1 << bit);
        assert_eq!(
            burst.release_raw(made_up),
            Err(ReleaseError::Foreign),
            "bit {bit}"
        );
    }
    assert_eq!(burst.release_raw(RawLease::from_bits(bits)), Ok(()));
}

#[test]
fn a_refusal_is_forgotten_when_an_own_hand_takes_on_a_block() {
    let config = EngineConfig::new(1)
        .pool(pool("a", "203.0.113.0/32").ports(1024..=1100))
        .pool(pool("b", "203.0.113.0/32").ports(1090..=1279));
    let engine = Engine::new(config).unwrap();
    let [a, b] = ["a", "b"].map(|name| Request::new(engine.pool(name).unwrap(), Protocol::Tcp));
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(at(0));
    let mut held = Vec::new();
    assert_eq!(burst.allocate_batch(&a, 300, &mut held), Ok(77));
    assert!(burst.allocate(&a).is_err());
    // `b` heats the block both have ports in; a port released into a heating block is not
    // announced, since it is the owner's, who is this very shard.
    let _of_b = burst.allocate(&b).unwrap();
    burst.release_with(held.pop().unwrap(), Reason::Unused);
    assert!(burst.allocate(&a).is_ok());
}

#[test]
fn a_reserved_port_obeys_the_policy_of_the_pool_asked() {
    let config = EngineConfig::new(1)
        .pool(pool("strict", "203.0.113.0/32"))
        .pool(pool("lenient", "203.0.113.0/32").reuse_closed(true));
    let engine = Engine::new(config).unwrap();
    let (strict, lenient) = (
        engine.pool("strict").unwrap(),
        engine.pool("lenient").unwrap(),
    );
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(at(0));
    let held = burst
        .allocate(&Request::new(lenient, Protocol::Tcp))
        .unwrap();
    let other = if held.addr().port() == 1030 {
        1031
    } else {
        1030
    };
    let public = std::net::SocketAddr::new(held.addr().ip(), other);
    let lease = burst.reserve(strict, Protocol::Tcp, public).unwrap();
    burst.release_with(lease, Reason::Closed);
    assert!(
        burst.reserve(strict, Protocol::Tcp, public).is_err(),
        "it has to rest"
    );
}

#[test]
fn the_cap_counts_dropped_leases_and_prefers_what_has_rested() {
    let config = |cap| {
        EngineConfig::new(1)
            .max_cooling(cap)
            .hold_down(Duration::from_secs(120))
            .pool(PoolConfig::new("p").prefix("203.0.113.0/28".parse().unwrap()))
    };
    let engine = Engine::new(config(1000)).unwrap();
    let request = Request::new(engine.pool("p").unwrap(), Protocol::Tcp);
    let mut shard = engine.shard(0).unwrap();
    for round in 0..300 {
        let mut burst = shard.burst(at(round));
        let mut held = Vec::new();
        burst.allocate_batch(&request, 50, &mut held).unwrap();
    }
    let cooling = engine.census().total.cooling;
    assert!(cooling < 2_000, "{cooling} of 15,000 dropped leases cool");
    assert!(engine.stats().shards[0].served_early > 0);
    // A block pinned by one lease: what has rested of it is served, nothing early.
    let engine = Engine::new(config(300)).unwrap();
    let request = Request::new(engine.pool("p").unwrap(), Protocol::Tcp);
    let mut shard = engine.shard(0).unwrap();
    let mut held = Vec::new();
    shard
        .burst(at(0))
        .allocate_batch(&request, 256, &mut held)
        .unwrap();
    let pin = held.pop();
    shard.burst(at(0)).release_batch(&mut held);
    shard
        .burst(at(2 * HOLD))
        .allocate_batch(&request, 50, &mut held)
        .unwrap();
    shard.burst(at(2 * HOLD)).release_batch(&mut held);
    shard
        .burst(at(2 * HOLD))
        .allocate_batch(&request, 100, &mut held)
        .unwrap();
    assert_eq!(engine.stats().shards[0].served_early, 0);
    drop(pin);
}

#[test]
fn reconfiguring_without_a_change_opens_nothing_more() {
    let config = EngineConfig::new(1).pool(pool("p", "10.0.0.0/16").preopen(4));
    let engine = Engine::new(config.clone()).unwrap();
    assert_eq!(engine.stats().open_addresses, 12);
    for _ in 0..10 {
        engine.reconfigure(config.clone()).unwrap();
    }
    assert_eq!(engine.stats().open_addresses, 12);
}

#[test]
fn addresses_of_pools_that_moved_on_come_back_to_the_last() {
    let config = |step: usize| EngineConfig::new(1).pool(pool("p", &format!("10.0.{step}.0/24")));
    let engine = Engine::new(config(0)).unwrap();
    let request = Request::new(engine.pool("p").unwrap(), Protocol::Tcp);
    let mut shard = engine.shard(0).unwrap();
    let mut now = 0;
    for step in 1..20 {
        let lease = shard.burst(at(now)).allocate(&request).unwrap();
        engine.reconfigure(config(step)).unwrap();
        shard.burst(at(now)).release(lease);
        for _ in 0..60 {
            now += HOLD / 8;
            shard.idle(at(now));
        }
    }
    assert!(
        engine.stats().open_addresses <= 1,
        "{:?}",
        engine.stats().open_addresses
    );
}

#[test]
fn numbers_that_would_wrap_are_refused() {
    let windows = |round: u32| {
        let mut pool = PoolConfig::new("p").ports(5000..=5000);
        for window in 0..4_000u32 {
            let prefix = format!("2001:db8:{round:x}:{window:x}::/96");
            pool = pool.prefix(prefix.parse().unwrap());
        }
        EngineConfig::new(1).pool(pool)
    };
    let engine = Engine::new(windows(0)).unwrap();
    let mut refused = None;
    for round in 1..8 {
        if let Err(error) = engine.reconfigure(windows(round)) {
            refused = Some((round, error.to_string()));
            break;
        }
    }
    let (round, error) = refused.expect("65,535 spaces are the most");
    assert_eq!(round, 5, "{error}");
    assert!(error.contains("address windows"), "{error}");
}

/// Everything of a pool is leased by one, and given back unused at some moment: whether another
/// shard has it for another in the same slice, once the grace period is over.
fn unused_is_had_by_another(pool: PoolConfig, by: impl Fn(Request, u32) -> Request, start: u64) {
    let engine = Engine::new(EngineConfig::new(2).seed(1).pool(pool)).unwrap();
    let request = Request::new(engine.pool("p").unwrap(), Protocol::Tcp);
    let mut shards = [0, 1].map(|shard| engine.shard(shard).unwrap());
    let mut burst = shards[0].burst(at(start));
    let mut leases = Vec::new();
    while let Ok(lease) = burst.allocate(&by(request, 1)) {
        leases.push(lease);
    }
    assert_eq!(leases.len(), 256);
    for lease in leases {
        burst.release_with(lease, Reason::Unused);
    }
    drop(burst);
    shards[1].idle(at(start));
    let had = shards[1].burst(at(start)).allocate(&by(request, 2));
    assert!(had.is_ok(), "{had:?} at {start}");
}

/// A block that had to be visited by a sweep was marked with the slice zero as long as there was
/// no slice a hold-down ago, and the sweeps of those slices do not visit that.
#[test]
fn what_need_not_rest_is_had_by_others_before_the_first_hold_down_has_passed() {
    for slice in [0, 1, 5, 16, 17, 18, 1_600] {
        let start = slice * HOLD / 16;
        let pool = || pool("p", "203.0.113.0/32");
        unused_is_had_by_another(
            pool().port_blocks(PortBlocks::new(64)),
            |request, who| request.subscriber(who.into()),
            start,
        );
        let tenant = |number| TenantShare::new(number).maximum(1);
        unused_is_had_by_another(
            pool().tenant(tenant(1)).tenant(tenant(2)),
            |request, who| request.tenant(who),
            start,
        );
    }
}
