//! The books: each figure of a census, of the counters and of a reconfiguration, against what the
//! program did.

use std::time::Duration;

use natshard::{
    AllocError, BlockCensus, Burst, Engine, EngineConfig, Lease, PoolCensus, PoolConfig, PortOrder,
    Protocol, Reason, Request, Strictness, Tick,
};

const HOLD: u64 = 16_000;
/// Blocks of an opened address.
const BLOCKS: u64 = 256;

fn at(millis: u64) -> Tick {
    Tick::from_millis(millis)
}

/// Two addresses, of four blocks each and protocol.
fn pool(name: &str) -> PoolConfig {
    PoolConfig::new(name)
        .prefix("203.0.113.0/31".parse().unwrap())
        .ports(1024..=2047)
        .identifiers(1024..=2047)
}

fn config(shards: usize) -> EngineConfig {
    EngineConfig::new(shards)
        .hold_down(Duration::from_millis(HOLD))
        .port_order(PortOrder::Linear)
        .seed(1)
}

fn engine(shards: usize, pool: PoolConfig) -> Engine {
    Engine::new(config(shards).pool(pool)).unwrap()
}

fn request(engine: &Engine, name: &str) -> Request {
    Request::new(engine.pool(name).unwrap(), Protocol::Udp)
}

/// Leases so many ports, in linear order: address by address, block by block.
fn lease(engine: &Engine, burst: &mut Burst<'_>, name: &str, count: usize) -> Vec<Lease> {
    let mut leases = Vec::new();
    let had = burst.allocate_batch(&request(engine, name), count, &mut leases);
    assert_eq!(had, Ok(count));
    leases.sort_by_key(Lease::addr);
    leases
}

/// Three blocks leased and let go of, one in hand, and of all four some ports given back.
#[test]
fn a_census_tells_phases_and_ports_apart() {
    let engine = engine(1, pool("p"));
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(at(0));
    let mut leases = lease(&engine, &mut burst, "p", 3 * 256 + 100);
    let mut returned: Vec<_> = leases.drain(200..300).chain([]).collect();
    returned.push(leases.pop().unwrap());
    burst.release_batch(&mut returned);
    drop(burst);

    let census = engine.census();
    let expected = PoolCensus {
        capacity: 3 * 2 * 1024,
        free: 3 * 2 * 1024 - 4 * 256,
        unissued: 156,
        leased: 3 * 256 + 100 - 101,
        cooling: 101,
        excluded: 0,
    };
    assert_eq!(census.total, expected);
    assert_eq!(census.pools["p"], expected);
    assert_eq!(census.draining, PoolCensus::default());
    let blocks = BlockCensus {
        free: BLOCKS - 4,
        heating: 1,
        cooling: 3,
        assigned: 0,
    };
    assert_eq!(census.blocks, blocks);
}

/// What a pool no longer holds is leased, in a hand or at rest; what merely was free is not counted.
#[test]
fn draining_ports_are_told_apart_by_what_becomes_of_them() {
    let other = PoolConfig::new("q").prefix("198.51.100.0/32".parse().unwrap());
    let both = config(1).pool(pool("p")).pool(other.clone());
    let engine = Engine::new(both).unwrap();
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(at(0));
    // The first address of `p` whole; of the other one a block, and six ports of the next.
    let mut leases = lease(&engine, &mut burst, "p", 1024 + 256 + 6);
    let kept = lease(&engine, &mut burst, "q", 1);
    let mut returned = leases.split_off(1024 + 252);
    burst.release_batch(&mut returned);
    drop(burst);
    let before = engine.census();
    assert_eq!(before.draining, PoolCensus::default());
    assert_eq!(before.pools["p"].cooling, 10);

    let done = engine.reconfigure(config(1).pool(other.clone())).unwrap();
    assert_eq!(done.removed, ["p"]);
    assert!(done.added.is_empty(), "{:?}", done.added);
    assert_eq!((done.draining_addresses, done.draining_leases), (2, 1276));
    let census = engine.census();
    let expected = PoolCensus {
        capacity: 1276 + 10 + 250,
        leased: 1276,
        cooling: 10,
        unissued: 250,
        ..PoolCensus::default()
    };
    assert_eq!(census.draining, expected);
    assert_eq!(census.total.leased, 1);

    // Of one address all leases come back: it drains no longer, though its ports still rest.
    let mut burst = shard.burst(at(1));
    burst.release_batch(&mut leases.split_off(1024));
    drop(burst);
    // A port that need not rest is free at once, and so does not drain.
    let draining = engine.census().draining;
    let mut burst = shard.burst(at(1));
    burst.release_with(leases.pop().unwrap(), Reason::Unused);
    drop(burst);
    let after = engine.census().draining;
    assert_eq!(
        (after.leased, after.cooling),
        (draining.leased - 1, draining.cooling)
    );
    let again = config(1).pool(other).pool(pool("r").realm("elsewhere"));
    let done = engine.reconfigure(again).unwrap();
    assert_eq!(done.added, ["r"]);
    assert!(done.removed.is_empty(), "{:?}", done.removed);
    assert_eq!((done.draining_addresses, done.draining_leases), (1, 1023));
    drop(kept);
}

/// Two shards that do different things, and each thing as often as nothing else.
#[test]
fn counters_tell_each_thing_apart() {
    let engine = Engine::new(config(2).pool(pool("p")).pool(pool("q").realm("other"))).unwrap();
    let [p, q] = ["p", "q"].map(|name| request(&engine, name));
    let mut first = engine.shard(0).unwrap();
    let mut second = engine.shard(1).unwrap();
    let mut burst = first.burst(at(1_000));
    // Every port there is, and seven more.
    let mut leases = lease(&engine, &mut burst, "p", 2048);
    for _ in 0..7 {
        assert_eq!(burst.allocate(&p), Err(AllocError::PoolFull));
    }
    let elsewhere = "192.0.2.9".parse().unwrap();
    let strictly = p.address(elsewhere, Strictness::Strict);
    for _ in 0..3 {
        assert_eq!(burst.allocate(&strictly), Err(AllocError::OutsidePool));
    }
    drop(burst);
    for _ in 0..5 {
        drop(first.burst(at(500)));
    }
    let mut burst = second.burst(at(1_000));
    let mut others = lease(&engine, &mut burst, "q", 300);
    for _ in 0..11 {
        let preferred = q.address(elsewhere, Strictness::Preferred);
        others.push(burst.allocate(&preferred).unwrap());
    }
    burst.release_batch(&mut others.split_off(301));
    for lease in leases.drain(..2) {
        burst.release(lease);
    }
    drop(burst);
    drop(leases.drain(..13));

    let stats = engine.stats();
    let [first, second] = [stats.shards[0], stats.shards[1]];
    assert_eq!((first.bursts, second.bursts), (6, 1));
    assert_eq!((first.allocated, second.allocated), (2048, 311));
    assert_eq!((first.released, second.released), (0, 12));
    assert_eq!((first.blocks_claimed, second.blocks_claimed), (8, 2));
    assert_eq!((first.addresses_opened, second.addresses_opened), (2, 1));
    assert_eq!((first.wishes_departed, second.wishes_departed), (0, 11));
    assert_eq!((first.ticks_backwards, second.ticks_backwards), (5, 0));
    for (reason, count) in [(AllocError::PoolFull, 7), (AllocError::OutsidePool, 3)] {
        assert_eq!((first.refused(reason), second.refused(reason)), (count, 0));
        assert_eq!(stats.refused(reason), count);
        assert_eq!(stats.pools["p"].refused[reason as usize], count);
        assert_eq!(stats.pools["q"].refused[reason as usize], 0);
    }
    assert_eq!(first.refused.iter().sum::<u64>(), 10);
    assert_eq!(stats.pools["p"].allocated, 2048);
    assert_eq!(stats.pools["q"].allocated, 311);
    assert_eq!((stats.allocated(), stats.dropped_leases), (2048 + 311, 13));
    assert_eq!(stats.released(), 12 + 13);
    assert_eq!(stats.open_addresses, 3);
    assert_eq!(stats.awaiting_grace, 0);
}

/// What was leased and released is recycled: batches are given to the epoch, and addresses closed.
#[test]
fn counters_tell_what_housekeeping_did() {
    let engine = engine(1, pool("p"));
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(at(0));
    let mut leases = lease(&engine, &mut burst, "p", 2048);
    burst.release_batch(&mut leases);
    drop(burst);
    assert_eq!(engine.stats().shards[0].epoch_batches, 0);
    for step in 1..64 {
        shard.idle(at(step * HOLD / 8));
    }
    let stats = engine.stats();
    let shard = stats.shards[0];
    assert_eq!((shard.blocks_claimed, shard.blocks_recycled), (8, 8));
    assert_eq!((shard.addresses_opened, shard.addresses_closed), (2, 1));
    assert_eq!((shard.blocks_reheated, shard.served_early), (0, 0));
    assert!((1..=8).contains(&shard.epoch_batches), "{shard:?}");
    assert_eq!((stats.open_addresses, stats.awaiting_grace), (1, 0));
}
