//! What a burst does beside what it is asked for.
//!
//! Claims:
//! * I9: it visits four blocks while sweeps keep up with the time, and more as they lag; `idle`
//!   does the rest.
//! * A refill takes a cooling block of which half has rested before it opens an address, and one
//!   of which less has rested after.

use std::time::Duration;

use natshard::{Engine, EngineConfig, Lease, PoolConfig, Protocol, Request, Shard, Tick};

/// Milliseconds, and so many slices.
const HOLD_DOWN: u64 = 16;
/// Slices that a port rests.
const REST: u64 = HOLD_DOWN + 1;
const PORTS: usize = 256;

fn at(millis: u64) -> Tick {
    Tick::from_millis(millis)
}

/// So many blocks of each address of a prefix.
fn engine(prefix: &str, blocks: u16) -> (Engine, Request, Shard) {
    let pool = PoolConfig::new("pool")
        .prefix(prefix.parse().unwrap())
        .ports(1024..=1023 + blocks * 256);
    let config = EngineConfig::new(1)
        .seed(1)
        .hold_down(Duration::from_millis(HOLD_DOWN))
        .pool(pool);
    let engine = Engine::new(config).unwrap();
    let request = Request::new(engine.pool("pool").unwrap(), Protocol::Tcp);
    let shard = engine.shard(0).unwrap();
    (engine, request, shard)
}

fn lease(shard: &mut Shard, request: &Request, count: usize) -> Vec<Lease> {
    let mut leases = Vec::new();
    let had = shard
        .burst(at(0))
        .allocate_batch(request, count, &mut leases);
    assert_eq!(had, Ok(count));
    leases
}

/// Blocks found empty so far.
fn condemned(engine: &Engine) -> u64 {
    let stats = engine.stats();
    stats.awaiting_grace + stats.shards[0].blocks_recycled
}

/// Leases and releases so many blocks at once; then a burst at each of these ticks. How many
/// blocks each of ten bursts at the tick at which they have rested finds empty.
fn visited_per_burst(blocks: u16, ticks: std::ops::Range<u64>) -> (Vec<u64>, Engine, Shard) {
    let (engine, request, mut shard) = engine("192.0.2.1/32", blocks);
    let mut leases = lease(&mut shard, &request, usize::from(blocks) * PORTS);
    shard.burst(at(0)).release_batch(&mut leases);
    for tick in ticks {
        drop(shard.burst(at(tick)));
    }
    let mut seen = condemned(&engine);
    assert_eq!(seen, 0, "none has rested");
    let visited = (0..10).map(|_| {
        drop(shard.burst(at(REST)));
        let before = std::mem::replace(&mut seen, condemned(&engine));
        seen - before
    });
    (visited.collect(), engine, shard)
}

#[test]
fn a_burst_visits_four_blocks_while_sweeps_keep_up() {
    let (visited, engine, mut shard) = visited_per_burst(200, 1..REST);
    assert_eq!(visited, [4; 10]);
    for _ in 0..3 {
        shard.idle(at(REST));
    }
    assert_eq!(condemned(&engine), 200, "idle does all the rest");
    let census = engine.census().total;
    assert_eq!(census.free, census.capacity);
}

#[test]
fn a_burst_visits_more_blocks_as_sweeps_lag() {
    // A slice behind, then two: twice as many for each.
    let (visited, ..) = visited_per_burst(200, 1..REST - 1);
    assert_eq!(visited[..4], [8; 4]);
    let (visited, ..) = visited_per_burst(200, 1..REST - 2);
    assert_eq!(visited[..4], [16; 4]);
    // Seventeen behind, as after a leap.
    let (visited, ..) = visited_per_burst(200, 0..0);
    assert_eq!(visited[..2], [200, 0]);
}

#[test]
fn a_block_half_of_which_has_rested_comes_before_a_new_address() {
    for (released, opened, reheated) in [(PORTS / 2, 1, 1), (PORTS / 2 - 1, 2, 0)] {
        let (engine, request, mut shard) = engine("192.0.2.0/31", 1);
        let mut leases = lease(&mut shard, &request, PORTS);
        let mut some = leases.split_off(PORTS - released);
        shard.burst(at(0)).release_batch(&mut some);
        for tick in 1..REST {
            drop(shard.burst(at(tick)));
        }
        let lease = shard.burst(at(REST)).allocate(&request).unwrap();
        let stats = engine.stats();
        assert_eq!(stats.open_addresses, opened, "{released} released");
        assert_eq!(
            stats.shards[0].blocks_reheated, reheated,
            "{released} released"
        );
        let mut burst = shard.burst(at(REST));
        burst.release(lease);
        burst.release_batch(&mut leases);
    }
}
