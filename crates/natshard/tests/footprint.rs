//! What the engine costs: memory and time at the start, the heap in the steady state (I7), and
//! what a stalled shard takes from the others (I5). One test, because the allocator that counts is
//! the whole process's.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use natshard::{Engine, EngineConfig, PoolConfig, Protocol, Request, TenantShare, Threshold, Tick};

struct Counting;

static LIVE: AtomicU64 = AtomicU64::new(0);
static CALLS: AtomicU64 = AtomicU64::new(0);

// SAFETY: passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size() as u64, Ordering::Relaxed);
        CALLS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size() as u64, Ordering::Relaxed);
        CALLS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn huge_pools_start_small_and_at_once() {
    for prefix in ["2001:db8::/64", "10.0.0.0/8"] {
        // Keeping shares costs no more.
        let pool = PoolConfig::new("p").prefix(prefix.parse().unwrap());
        let pool = pool
            .tenant(TenantShare::new(1).minimum(1 << 16))
            .headroom(8);
        let config = EngineConfig::new(2).pool(pool);
        let (before, started) = (LIVE.load(Ordering::Relaxed), Instant::now());
        let engine = Engine::new(config).unwrap();
        let (took, used) = (started.elapsed(), LIVE.load(Ordering::Relaxed) - before);
        assert!(used < 1 << 20, "{prefix}: {used} bytes");
        // Generous: a debug build on a loaded machine. Release builds take microseconds.
        assert!(took < Duration::from_millis(100), "{prefix}: {took:?}");
        let request = Request::new(engine.pool("p").unwrap(), Protocol::Tcp);
        let mut shard = engine.shard(0).unwrap();
        let lease = shard.burst(Tick::ZERO).allocate(&request).unwrap();
        let used = LIVE.load(Ordering::Relaxed) - before;
        assert!(used < 1 << 20, "{prefix}, one address open: {used} bytes");
        drop(lease);
    }
}

fn the_steady_state_takes_nothing_from_the_heap_but_the_epochs_bags(pool: PoolConfig) {
    let pool = pool.prefix("203.0.113.0/30".parse().unwrap());
    let config = EngineConfig::new(1)
        .hold_down(Duration::from_millis(200))
        .pool(pool);
    let engine = Engine::new(config).unwrap();
    let request = Request::new(engine.pool("p").unwrap(), Protocol::Tcp);
    let mut shard = engine.shard(0).unwrap();
    let mut window = std::collections::VecDeque::with_capacity(2048);
    let mut set = Vec::with_capacity(512);
    let mut now = 0;
    let mut run = |bursts: u64| {
        for _ in 0..bursts {
            now += 1;
            let mut burst = shard.burst(Tick::from_millis(now));
            // Pools without tenants and headroom do not tell them apart.
            for request in [
                request,
                request.tenant(1),
                request.tenant(2),
                request.control(),
            ] {
                for _ in 0..8 {
                    window.push_back(burst.allocate(&request).unwrap());
                    if window.len() > 1000 {
                        burst.release(window.pop_front().unwrap());
                    }
                }
            }
            // Paired pooling and reservations, too.
            let address = window[0].addr().ip();
            let paired = request.address(address, natshard::Strictness::Preferred);
            let lease = burst.allocate(&paired.near_port(4000)).unwrap();
            let (pool, public) = (request.pool(), lease.addr());
            burst.release_with(lease, natshard::Reason::Unused);
            if let Ok(lease) = burst.reserve(pool, Protocol::Tcp, public) {
                burst.release_with(lease, natshard::Reason::Unused);
            }
            // Sets, had and refused.
            for count in [2, 64, 256]
                .into_iter()
                .skip(if now % 64 == 0 { 0 } else { 2 })
            {
                let _ = burst.allocate_set(&request, count, &mut set);
                let _ = burst.allocate_set_up_to(&paired, count, 1, &mut set);
                burst.release_batch(&mut set);
            }
        }
    };
    run(20_000);
    let before = CALLS.load(Ordering::Relaxed);
    let stats = engine.stats();
    run(20_000);
    let calls = CALLS.load(Ordering::Relaxed) - before;
    let after = engine.stats();
    let recycled = after.shards[0].blocks_recycled - stats.shards[0].blocks_recycled;
    assert!(recycled > 1_000, "blocks really go round: {recycled}");
    let batches = after.shards[0].epoch_batches - stats.shards[0].epoch_batches;
    // 640,000 leases. The epoch allocates a bag when it seals one: at most with each batch
    // deferred, and with each of its own collections, one in 128 pins.
    let allowed = batches + 20_000 / 64 + 20;
    assert!(
        calls <= allowed,
        "{calls} allocations, {allowed} allowed ({batches} batches)"
    );
}

fn i5_a_stalled_shard_delays_memory_and_takes_no_port_away() {
    let pool = PoolConfig::new("p")
        .prefix("203.0.113.0/32".parse().unwrap())
        .ports(1024..=5119);
    let engine = Engine::new(EngineConfig::new(2).pool(pool)).unwrap();
    let request = Request::new(engine.pool("p").unwrap(), Protocol::Tcp);
    let (mut stalled, mut busy) = (engine.shard(0).unwrap(), engine.shard(1).unwrap());
    // Inside its burst for the whole test, with nothing in its hands.
    let held = stalled.burst(Tick::ZERO);
    let mut leases = Vec::new();
    for round in 0..10u64 {
        let now = Tick::from_millis(round * 135_000);
        assert_eq!(
            busy.burst(now).allocate_batch(&request, 9999, &mut leases),
            Ok(4096)
        );
        busy.burst(now).release_batch(&mut leases);
        busy.idle(now);
    }
    assert!(
        engine.stats().awaiting_grace > 0,
        "memory waits: {:?}",
        engine.stats()
    );
    drop(held);
    for step in 0..40 {
        busy.idle(Tick::from_millis(10 * 135_000 + step * 15_000));
    }
    assert_eq!(engine.stats().awaiting_grace, 0);
    assert_eq!(engine.census().total.free, engine.census().total.capacity);
}

fn an_engine_that_is_gone_leaves_nothing_behind() {
    let before = LIVE.load(Ordering::Relaxed);
    for _ in 0..10 {
        let pool = PoolConfig::new("p").prefix("203.0.113.0/29".parse().unwrap());
        let engine = Engine::new(EngineConfig::new(2).pool(pool.clone())).unwrap();
        let request = Request::new(engine.pool("p").unwrap(), Protocol::Tcp);
        let mut leases = Vec::new();
        let mut shard = engine.shard(0).unwrap();
        shard
            .burst(Tick::ZERO)
            .allocate_batch(&request, 100_000, &mut leases)
            .unwrap();
        let half = leases.split_off(50_000);
        drop(half);
        engine
            .reconfigure(EngineConfig::new(2).pool(pool.exclude_ports(2000..=3000)))
            .unwrap();
        drop(engine);
        drop(shard);
        std::thread::spawn(move || drop(leases)).join().unwrap();
    }
    let left = LIVE.load(Ordering::Relaxed).saturating_sub(before);
    // Ten engines held some ten megabytes.
    assert!(left < 100_000, "{left} bytes left");
    // Nor do engines without any lease, whatever they had opened.
    let before = LIVE.load(Ordering::Relaxed);
    for _ in 0..3 {
        let pool = PoolConfig::new("p")
            .prefix("10.0.0.0/16".parse().unwrap())
            .preopen(300);
        drop(Engine::new(EngineConfig::new(1).pool(pool)).unwrap());
    }
    let left = LIVE.load(Ordering::Relaxed).saturating_sub(before);
    assert!(left < 100_000, "{left} bytes left");
}

#[test]
fn footprint() {
    huge_pools_start_small_and_at_once();
    the_steady_state_takes_nothing_from_the_heap_but_the_epochs_bags(PoolConfig::new("p"));
    let tenants = PoolConfig::new("p")
        .tenant(TenantShare::new(1).minimum(100).maximum(200))
        .tenant(TenantShare::new(2).minimum(100))
        .headroom(50)
        .threshold(Threshold::new(90, 80));
    the_steady_state_takes_nothing_from_the_heap_but_the_epochs_bags(tenants);
    i5_a_stalled_shard_delays_memory_and_takes_no_port_away();
    an_engine_that_is_gone_leaves_nothing_behind();
}
