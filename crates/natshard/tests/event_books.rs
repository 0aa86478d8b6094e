//! Books kept from events alone against what the engine says of itself.
//!
//! Claims: a stream of events replayed from empty gives exactly the census at its end, whoever
//! gave leases back and how, through reconfigurations, and with shards on threads of their own;
//! no event contradicts those before it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use natshard::{
    Burst, Deterministic, Engine, EngineConfig, EventBooks, EventConfig, Lease, PoolBooks,
    PoolConfig, PortBlocks, PortRange, Protocol, Reason, Request, Strictness, SubscriberLimit,
    Tick,
};
use proptest::prelude::*;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng as _;

const HOLD: u64 = 16_000;
const POOLS: [&str; 6] = [
    "plain", "limited", "blocks", "paired", "computed", "passing",
];

fn pool(name: &str, prefix: &str) -> PoolConfig {
    PoolConfig::new(name)
        .prefix(prefix.parse().unwrap())
        .ports(1024..=2047)
        .identifiers(0..=1023)
}

/// One pool of every kind; the last comes and goes.
fn config(shards: usize, passing: bool, leases: bool) -> EngineConfig {
    let config = EngineConfig::new(shards)
        .hold_down(Duration::from_millis(HOLD))
        .events(EventConfig::new(1 << 18).leases(leases))
        .seed(3)
        .pool(pool("plain", "192.0.2.0/31"))
        .pool(pool("limited", "192.0.2.16/31").subscriber_limit(SubscriberLimit::new().total(40)))
        .pool(pool("blocks", "192.0.2.32/30").port_blocks(PortBlocks::new(64).per_subscriber(3)))
        .pool(
            pool("paired", "192.0.2.48/30")
                .port_blocks(PortBlocks::new(128))
                .pairing(Strictness::Preferred),
        )
        .pool(
            pool("computed", "192.0.2.64/31")
                .deterministic(Deterministic::new(8, 100))
                .port_blocks(PortBlocks::new(64)),
        );
    match passing {
        true => config.pool(pool("passing", "192.0.2.80/31").port_blocks(PortBlocks::new(256))),
        false => config,
    }
}

#[derive(Clone, Debug)]
enum Doing {
    /// So many ports for a subscriber, in one go or one by one.
    Take(usize, Protocol, u64, usize, bool),
    /// A lease is given back: this one, in that way.
    Give(usize, usize),
    /// Time passes.
    Wait(u64),
    /// The shard sleeps.
    Idle,
    /// The passing pool comes or goes.
    Pass,
    /// The events are drained.
    Drain,
}

fn doing() -> impl Strategy<Value = Doing> {
    let protocol = prop::sample::select(Protocol::ALL.to_vec());
    prop_oneof![
        8 => (0..6_usize, protocol, 0..8_u64, 1..80_usize, any::<bool>())
            .prop_map(|(pool, protocol, who, ports, batch)| Doing::Take(pool, protocol, who, ports, batch)),
        8 => (any::<usize>(), 0..6_usize).prop_map(|(which, how)| Doing::Give(which, how)),
        2 => (0..3 * HOLD).prop_map(Doing::Wait),
        1 => Just(Doing::Idle),
        1 => Just(Doing::Pass),
        1 => Just(Doing::Drain),
    ]
}

fn take(
    burst: &mut Burst<'_>,
    engine: &Engine,
    doing: (usize, Protocol, u64, usize, bool),
    held: &mut Vec<Lease>,
) {
    let (pool, protocol, subscriber, ports, batch) = doing;
    let Some(pool) = engine.pool(POOLS[pool]) else {
        return;
    };
    let mut request = Request::new(pool, protocol);
    // Where a pool does not insist, some requests name nobody.
    if subscriber > 0 || pool != engine.pool("plain").unwrap() {
        request = request.subscriber(subscriber);
    }
    if batch {
        let _ = burst.allocate_batch(&request, ports, held);
        return;
    }
    for _ in 0..ports {
        match burst.allocate(&request) {
            Ok(lease) => held.push(lease),
            Err(_) => break,
        }
    }
}

fn give(burst: &mut Burst<'_>, lease: Lease, how: usize, held: &mut Vec<Lease>) {
    match how {
        0 => burst.release(lease),
        1 => burst.release_with(lease, Reason::Unused),
        2 => burst.release_with(lease, Reason::Closed),
        3 => drop(lease),
        4 => burst.release_raw(lease.into_raw()).unwrap(),
        _ => {
            held.push(lease);
            let half = held.len() / 2;
            let mut some = held.split_off(half);
            burst.release_batch(&mut some);
        }
    }
}

/// What the events came to is what the engine says.
#[track_caller]
fn agree(engine: &Engine, books: &EventBooks, leases: bool) {
    assert_eq!(books.contradictions(), [], "of {} events", books.events());
    assert_eq!(books.events_lost(), 0);
    let census = engine.census();
    assert!(census.total.balances(), "{}", census.total);
    assert_eq!(census.contradictions, 0);
    let leased: u64 = books.pools().map(|(_, books)| books.leased()).sum();
    if leases {
        assert_eq!(leased, census.total.leased + census.draining.leased);
        for (name, pool) in &census.pools {
            let books = books.pool(engine.pool(name).unwrap());
            assert_eq!(books.map_or(0, |it| it.leased()), pool.leased, "{name}");
        }
    } else {
        assert_eq!(leased, 0);
    }
    let mut named: BTreeSet<(String, u64)> = BTreeSet::new();
    for subscriber in engine.subscribers() {
        let (pool, who) = (&subscriber.pool, subscriber.subscriber);
        named.insert((pool.clone(), who));
        let id = engine.pool(pool);
        // A pool that the configuration no longer has is not found by its name.
        let Some(id) = id else { continue };
        let nothing = PoolBooks::default();
        let books = books.pool(id).unwrap_or(&nothing);
        let of_it = |(ports, owner)| (owner == who).then_some(ports);
        let blocks: Vec<PortRange> = books.port_blocks().filter_map(of_it).collect();
        assert_eq!(blocks, subscriber.blocks, "{pool}: {who}");
        assert_eq!(books.address(who), subscriber.address, "{pool}: {who}");
        if leases {
            for protocol in Protocol::ALL {
                let of_it = |it: &(Protocol, _, _)| it.0 == protocol && it.2 == Some(who);
                let leased = books.leases().filter(of_it).count();
                let said = subscriber.ports[protocol.as_index()].leased;
                assert_eq!(leased, said as usize, "{pool}: {who}");
            }
        }
    }
    // Nor do the events know of anybody whom the engine does not.
    for (id, books) in books.pools() {
        let Some(pool) = engine.pool_name(id) else {
            continue;
        };
        let blocks = books.port_blocks().map(|(_, who)| who);
        let bound = books.bound().map(|(who, _)| who);
        for who in blocks.chain(bound) {
            assert!(named.contains(&(pool.clone(), who)), "{pool}: {who}");
        }
    }
}

fn replayed(doings: Vec<(usize, Doing)>, leases: bool) {
    let shards = 3;
    let engine = Engine::new(config(shards, true, leases)).unwrap();
    let mut handles: Vec<_> = (0..shards)
        .map(|shard| engine.shard(shard).unwrap())
        .collect();
    let mut reader = engine.events().unwrap();
    let mut books = EventBooks::default();
    let mut held: Vec<Lease> = Vec::new();
    let (mut now, mut passing) = (0, true);
    for (shard, doing) in doings {
        let tick = Tick::from_millis(now);
        match doing {
            Doing::Take(pool, protocol, who, ports, batch) => {
                let mut burst = handles[shard].burst(tick);
                take(
                    &mut burst,
                    &engine,
                    (pool, protocol, who, ports, batch),
                    &mut held,
                );
            }
            Doing::Give(which, how) if !held.is_empty() => {
                let which = which % held.len();
                let lease = held.swap_remove(which);
                give(&mut handles[shard].burst(tick), lease, how, &mut held);
            }
            Doing::Give(..) => {}
            Doing::Wait(millis) => now += millis,
            Doing::Idle => handles[shard].idle(tick),
            Doing::Pass => {
                passing = !passing;
                engine.reconfigure(config(shards, passing, leases)).unwrap();
            }
            Doing::Drain => {
                reader.drain(&mut books);
                agree(&engine, &books, leases);
            }
        }
    }
    reader.drain(&mut books);
    agree(&engine, &books, leases);
    // To the end: all is given back, and rests.
    handles[0]
        .burst(Tick::from_millis(now))
        .release_batch(&mut held);
    for step in 1..=40 {
        for shard in &mut handles {
            shard.idle(Tick::from_millis(now + step * HOLD / 8));
        }
    }
    reader.drain(&mut books);
    agree(&engine, &books, leases);
    for (id, books) in books.pools() {
        assert_eq!(books.leased(), 0, "{id}");
        let blocks: Vec<_> = books.port_blocks().collect();
        assert_eq!(blocks, [], "{id}");
        assert_eq!(books.bound().count(), 0, "{id}");
    }
}

proptest! {
    #[test]
    fn events_replayed_from_empty_give_the_census_at_their_end(
        doings in prop::collection::vec((0..3_usize, doing()), 1..120),
        leases in any::<bool>(),
    ) {
        replayed(doings, leases);
    }
}

/// Shards on threads, leases given back by another shard than the one that leased them.
#[test]
fn events_of_shards_at_work_give_the_census_at_their_end() {
    let shards = 3;
    let engine = Engine::new(config(shards, true, true)).unwrap();
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..shards).map(|_| mpsc::channel()).unzip();
    let left: Vec<Vec<Lease>> = thread::scope(|scope| {
        let workers: Vec<_> = receivers
            .into_iter()
            .enumerate()
            .map(|(index, receiver)| {
                let (engine, next) = (&engine, senders[(index + 1) % shards].clone());
                scope.spawn(move || {
                    let mut shard = engine.shard(index).unwrap();
                    let mut random = Xoshiro256PlusPlus::seed_from_u64(index as u64);
                    let mut draw = move |below: u64| random.next_u64() % below;
                    let mut held: Vec<Lease> = Vec::new();
                    for step in 0..3000_u64 {
                        let mut burst = shard.burst(Tick::from_millis(step * 20));
                        let doing = (
                            draw(POOLS.len() as u64) as usize,
                            Protocol::ALL[draw(3) as usize],
                            draw(8),
                            draw(12) as usize,
                            draw(2) == 0,
                        );
                        take(&mut burst, engine, doing, &mut held);
                        held.extend(receiver.try_iter());
                        for _ in 0..draw(14).min(held.len() as u64) {
                            let lease = held.swap_remove(draw(held.len() as u64) as usize);
                            match draw(4) {
                                0 => next.send(lease).unwrap(),
                                how => give(&mut burst, lease, how as usize, &mut held),
                            }
                        }
                        drop(burst);
                        if step % 500 == 499 {
                            shard.idle(Tick::from_millis(step * 20));
                        }
                    }
                    (held, receiver)
                })
            })
            .collect();
        // What is still on its way is held by whoever would have received it.
        let ended: Vec<_> = workers.into_iter().map(|it| it.join().unwrap()).collect();
        let all = ended.into_iter();
        all.map(|(mut held, receiver)| {
            held.extend(receiver.try_iter());
            held
        })
        .collect()
    });
    let mut books = EventBooks::default();
    engine.events().unwrap().drain(&mut books);
    assert!(books.events() > 10_000, "{}", books.events());
    let held: usize = left.iter().map(Vec::len).sum();
    let leased: u64 = books.pools().map(|(_, books)| books.leased()).sum();
    assert_eq!(leased, held as u64);
    agree(&engine, &books, true);
    let mut by_pool: BTreeMap<_, u64> = BTreeMap::new();
    for (id, books) in books.pools() {
        *by_pool.entry(id).or_default() += books.port_blocks().count() as u64;
    }
    assert!(
        by_pool.values().sum::<u64>() > 0,
        "no port block was assigned at the end"
    );
}

/// A log names whoever asked, even where a pool keeps no books of subscribers.
#[test]
fn a_lease_is_told_for_whom_it_was_asked() {
    let engine = Engine::new(config(1, false, true)).unwrap();
    assert!(engine.tells_leases());
    let pool = engine.pool("plain").unwrap();
    let mut shard = engine.shard(0).unwrap();
    let request = Request::new(pool, Protocol::Tcp);
    let mut burst = shard.burst(Tick::ZERO);
    let named = burst.allocate(&request.subscriber(77)).unwrap();
    let unnamed = burst.allocate(&request).unwrap();
    let mut books = EventBooks::default();
    let mut reader = engine.events().unwrap();
    reader.drain(&mut books);
    let told: BTreeMap<_, _> = books
        .pool(pool)
        .unwrap()
        .leases()
        .map(|(_, public, subscriber)| (public, subscriber))
        .collect();
    assert_eq!(told[&named.addr()], Some(77));
    assert_eq!(told[&unnamed.addr()], None);
    burst.release(named);
    drop(unnamed);
    drop(burst);
    reader.drain(&mut books);
    agree(&engine, &books, true);
}
