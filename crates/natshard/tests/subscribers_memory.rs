//! What subscribers cost: memory when inactive, and nothing for those who use none of it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, Ordering};
use std::time::Duration;

use natshard::{
    Engine, EngineConfig, Lease, PoolConfig, PortBlocks, Protocol, Request, Strictness,
    SubscriberLimit, Tick,
};

struct Counting;

static BYTES: AtomicIsize = AtomicIsize::new(0);

// SAFETY: passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: passed on.
        unsafe { System.alloc_zeroed(layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn bytes() -> isize {
    BYTES.load(Ordering::Relaxed)
}

/// Leases a port to each of so many subscribers, `at_once` of them at a time, takes all back, waits,
/// and says what an inactive subscriber costs.
fn cost(pool: PoolConfig, subscribers: u64, at_once: u64) -> f64 {
    let config = EngineConfig::new(1).hold_down(Duration::from_secs(2));
    let engine = Engine::new(config.pool(pool)).unwrap();
    let id = engine.pool("pool").unwrap();
    let mut shard = engine.shard(0).unwrap();
    let mut held: Vec<Lease> = Vec::with_capacity(at_once as usize);
    let mut now = 0;
    let before = bytes();
    let mut met = 0;
    while met < subscribers {
        let end = (met + at_once).min(subscribers);
        let mut burst = shard.burst(Tick::from_millis(now));
        for subscriber in met..end {
            let request = Request::new(id, Protocol::Udp).subscriber(subscriber);
            held.push(burst.allocate(&request).expect("there is room"));
        }
        met = end;
        burst.release_batch(&mut held);
        drop(burst);
        // Blocks are recycled, and subscribers retired, some hundreds at a time.
        while !engine.subscribers().is_empty() {
            now += 200;
            shard.idle(Tick::from_millis(now));
        }
    }
    let mut steps = at_once / 4096 + 8;
    while steps > 0 || engine.stats().open_addresses > 1 {
        now += 200;
        shard.idle(Tick::from_millis(now));
        steps = steps.saturating_sub(1);
        assert!(now < 10_000_000, "{:?}", engine.census());
    }
    (bytes() - before) as f64 / subscribers as f64
}

#[test]
fn an_inactive_subscriber_costs_at_most_64_bytes() {
    let base = || PoolConfig::new("pool").subscriber_limit(SubscriberLimit::new().total(100));
    for (what, pool, subscribers, at_once) in [
        (
            "limited, a million at once",
            base().prefix("192.0.2.0/27".parse().unwrap()),
            1_000_000,
            1_000_000,
        ),
        (
            "with port blocks and an address of their own, in turns",
            base()
                .prefix("192.0.2.0/26".parse().unwrap())
                .pairing(Strictness::Preferred)
                .port_blocks(PortBlocks::new(64)),
            1_000_000,
            40_000,
        ),
    ] {
        let per = cost(pool, subscribers, at_once);
        println!("{what}: {per:.1} bytes each, spare parts and one open address included");
        assert!(per <= 64.0, "{what}: {per}");
        assert!(
            per >= 48.0,
            "{what}: what is measured is not the books: {per}"
        );
    }
}
