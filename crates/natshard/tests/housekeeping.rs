//! What a burst does beside what it is asked for.
//!
//! Claims:
//! * I9: it visits four blocks while sweeps keep up with the time, and more as they lag; `idle`
//!   does the rest.
//! * A block is visited by the shard that let go of it; others take up what has been due for a slice,
//!   and before memory grows whatever is due.
//! * A refill takes a cooling block of which half has rested before it opens an address, and one
//!   of which less has rested after.

use std::time::Duration;

use natshard::{
    Engine, EngineConfig, Lease, PoolConfig, PortBlocks, Protocol, Request, Shard, Tick,
};

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
    let config = EngineConfig::new(2)
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

/// Four blocks that the first shard leased and released, both shards having had a burst at each
/// tick until they have rested.
fn four_due(prefix: &str, blocks: u16) -> (Engine, Request, [Shard; 2]) {
    let (engine, request, mut first) = engine(prefix, blocks);
    let mut second = engine.shard(1).unwrap();
    let mut leases = lease(&mut first, &request, 4 * PORTS);
    first.burst(at(0)).release_batch(&mut leases);
    for tick in 1..REST {
        drop((first.burst(at(tick)), second.burst(at(tick))));
    }
    (engine, request, [first, second])
}

#[test]
fn a_block_is_visited_by_the_shard_that_let_go_of_it() {
    let (engine, _, [mut first, mut second]) = four_due("192.0.2.1/32", 200);
    for _ in 0..10 {
        drop(second.burst(at(REST)));
    }
    assert_eq!(condemned(&engine), 0, "not its own");
    drop(first.burst(at(REST)));
    assert_eq!(condemned(&engine), 4);
}

#[test]
fn a_block_that_its_shard_does_not_visit_is_visited_a_slice_later() {
    let (engine, _, [_first, mut second]) = four_due("192.0.2.1/32", 200);
    drop(second.burst(at(REST)));
    assert_eq!(condemned(&engine), 0);
    drop(second.burst(at(REST + 1)));
    let stats = engine.stats();
    assert_eq!(stats.awaiting_grace + stats.shards[1].blocks_recycled, 4);
}

#[test]
fn before_an_address_is_opened_whatever_is_due_is_visited() {
    let (engine, request, [_first, mut second]) = four_due("192.0.2.0/31", 4);
    let lease = second.burst(at(REST)).allocate(&request).unwrap();
    assert_eq!(engine.stats().open_addresses, 1);
    second.burst(at(REST)).release(lease);
}

#[test]
fn blocks_are_recycled_by_their_shard_or_when_it_is_away() {
    let (engine, _, [mut first, mut second]) = four_due("192.0.2.1/32", 200);
    let recycled = |engine: &Engine| engine.stats().shards[0].blocks_recycled;
    // One burst visits them, the next one hands them to the epoch.
    drop(first.burst(at(REST)));
    drop(first.burst(at(REST)));
    // The grace period ends, and the shard does not come by.
    for _ in 0..1_000 {
        drop(second.burst(at(REST)));
    }
    assert_eq!([engine.stats().awaiting_grace, recycled(&engine)], [4, 0]);
    drop(first.burst(at(REST)));
    assert_eq!([engine.stats().awaiting_grace, recycled(&engine)], [0, 4]);

    let (engine, _, [mut first, mut second]) = four_due("192.0.2.1/32", 200);
    drop(first.burst(at(REST)));
    first.idle(at(REST));
    for _ in 0..1_000 {
        drop(second.burst(at(REST)));
    }
    assert_eq!([engine.stats().awaiting_grace, recycled(&engine)], [0, 4]);
}

#[test]
fn port_blocks_are_given_back_in_the_slice_in_which_they_have_rested() {
    let pool = PoolConfig::new("pool")
        .prefix("192.0.2.1/32".parse().unwrap())
        .port_blocks(PortBlocks::new(64));
    let config = EngineConfig::new(2).hold_down(Duration::from_millis(HOLD_DOWN));
    let engine = Engine::new(config.pool(pool)).unwrap();
    let request = Request::new(engine.pool("pool").unwrap(), Protocol::Tcp).subscriber(7);
    let [mut first, mut second] = [0, 1].map(|shard| engine.shard(shard).unwrap());
    let lease = first.burst(at(0)).allocate(&request).unwrap();
    first.burst(at(0)).release(lease);
    for tick in 1..REST {
        drop((first.burst(at(tick)), second.burst(at(tick))));
    }
    let released = || engine.stats().pools["pool"].port_blocks_released;
    assert_eq!(released(), 0);
    drop(second.burst(at(REST)));
    assert_eq!(released(), 1, "by whoever comes first");
}
