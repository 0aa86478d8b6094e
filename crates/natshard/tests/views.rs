//! What can be asked of an engine beside ports: names, time, and whose a tuple is.

use std::net::SocketAddr;
use std::time::Duration;

use natshard::{
    Engine, EngineConfig, EventConfig, PoolCensus, PoolConfig, Protocol, Request, ShardId, Tick,
};

fn at(millis: u64) -> Tick {
    Tick::from_millis(millis)
}

fn config(pools: &[&str]) -> EngineConfig {
    let mut prefixes = ["203.0.113.0/32", "198.51.100.0/32"].into_iter();
    let config = EngineConfig::new(2)
        .hold_down(Duration::from_secs(8))
        .seed(1);
    pools.iter().fold(config, |config, name| {
        let prefix = prefixes.next().unwrap().parse().unwrap();
        config.pool(PoolConfig::new(*name).prefix(prefix))
    })
}

#[test]
fn pools_are_known_by_number_and_name_for_as_long_as_they_are_there() {
    let engine = Engine::new(config(&["p", "q"])).unwrap();
    let [p, q] = ["p", "q"].map(|name| engine.pool(name).unwrap());
    assert_eq!(engine.pool_name(p).as_deref(), Some("p"));
    assert_eq!(engine.pool_name(q).as_deref(), Some("q"));
    engine.reconfigure(config(&["p"])).unwrap();
    assert_eq!(engine.pool_name(p).as_deref(), Some("p"));
    assert_eq!(engine.pool_name(q), None);
}

#[test]
fn the_time_of_an_engine_is_the_latest_that_any_shard_brought() {
    let engine = Engine::new(config(&["p"])).unwrap();
    assert_eq!(engine.now(), at(0));
    drop(engine.shard(0).unwrap().burst(at(5_000)));
    assert_eq!(engine.now(), at(5_000));
    drop(engine.shard(1).unwrap().burst(at(4_000)));
    assert_eq!(engine.now(), at(5_000));
}

#[test]
fn an_engine_says_whether_it_tells_each_lease() {
    let silent = Engine::new(config(&["p"])).unwrap();
    assert!(!silent.tells_leases());
    let events = EventConfig::new(16);
    let some = Engine::new(config(&["p"]).events(events)).unwrap();
    assert!(!some.tells_leases());
    let all = Engine::new(config(&["p"]).events(events.leases(true))).unwrap();
    assert!(all.tells_leases());
}

/// A tuple is a shard's while it is in the shard's hand, and while its lease lives: not before, nor at
/// rest.
#[test]
fn a_dispatcher_knows_whose_a_tuple_is() {
    let engine = Engine::new(config(&["p"])).unwrap();
    let steering = engine.steering();
    let realm = engine.realm("default").unwrap();
    let owner = |public: SocketAddr| {
        let owner = steering.owner(realm, Protocol::Udp, public);
        assert_eq!(engine.owner(realm, Protocol::Udp, public), owner);
        owner.map(ShardId::as_index)
    };
    let public = |port: u16| SocketAddr::new("203.0.113.0".parse().unwrap(), port);
    let request = Request::new(engine.pool("p").unwrap(), Protocol::Udp);
    let mut shard = engine.shard(1).unwrap();
    let mut burst = shard.burst(at(0));
    assert_eq!(owner(public(1024)), None);
    let lease = burst.allocate(&request).unwrap();
    let its = lease.addr();
    assert_eq!(owner(its), Some(1));
    // The others of its block are in the shard's hand.
    let ports = || (0..=u16::MAX).filter(|&port| owner(public(port)) == Some(1));
    let block = its.port() / 256 * 256..=its.port() / 256 * 256 + 255;
    assert!(ports().eq(block.clone()));
    burst.release(lease);
    assert!(ports().eq(block.filter(|&port| port != its.port())));
    drop(burst);
    shard.idle(at(1));
    assert_eq!(ports().count(), 0);
}

#[test]
fn a_census_is_written_as_the_sum_it_is() {
    let census = PoolCensus {
        capacity: 21,
        free: 1,
        unissued: 2,
        leased: 3,
        cooling: 4,
        excluded: 11,
    };
    assert_eq!(
        census.to_string(),
        "capacity 21 = free 1 + unissued 2 + leased 3 + cooling 4 + excluded 11"
    );
    assert!(census.balances());
    for other in [
        PoolCensus { free: 2, ..census },
        PoolCensus {
            excluded: 10,
            ..census
        },
        PoolCensus::default(),
    ] {
        let sum = other.free + other.unissued + other.leased + other.cooling + other.excluded;
        assert_eq!(other.balances(), sum == other.capacity);
    }
}

#[test]
fn the_faults_of_a_configuration_are_listed_in_a_row() {
    let no_prefix = |name| PoolConfig::new(name);
    let one = Engine::new(EngineConfig::new(1).pool(no_prefix("p"))).unwrap_err();
    let both = EngineConfig::new(1)
        .pool(no_prefix("p"))
        .pool(no_prefix("q"));
    let two = Engine::new(both).unwrap_err();
    let faults: Vec<_> = two.faults().iter().map(ToString::to_string).collect();
    assert_eq!((one.faults().len(), two.faults().len()), (1, 2));
    assert_eq!(one.to_string(), faults[0]);
    assert_eq!(two.to_string(), faults.join("; "));
    assert!(faults.iter().all(|fault| !fault.is_empty()));
}

#[test]
fn a_tick_is_written_in_milliseconds_and_does_not_wrap() {
    assert_eq!(at(1_500).to_string(), "1500ms");
    assert_eq!(at(1_500).saturating_add(Duration::from_secs(2)), at(3_500));
    let last = at(u64::MAX);
    assert_eq!(last.saturating_add(Duration::from_millis(1)), last);
    assert_eq!(at(7).saturating_add(Duration::MAX), last);
    // Of a duration of more milliseconds than a tick has no part is taken for the whole.
    let long = Duration::from_secs(u64::MAX / 1000 + 5);
    assert_eq!(at(7).saturating_add(long), last);
}

#[test]
fn every_refusal_has_a_name_and_a_sentence_of_its_own() {
    use std::collections::BTreeSet;
    let all = natshard::AllocError::ALL;
    let names: BTreeSet<_> = all.iter().map(|error| error.name()).collect();
    let sentences: BTreeSet<_> = all.iter().map(ToString::to_string).collect();
    assert_eq!((names.len(), sentences.len()), (all.len(), all.len()));
    for error in all {
        // As it is called in the code, in the words of counters.
        let expected: String = format!("{error:?}")
            .char_indices()
            .flat_map(|(at, letter)| {
                let gap = (letter.is_uppercase() && at > 0).then_some('_');
                gap.into_iter().chain(letter.to_lowercase())
            })
            .collect();
        assert_eq!(error.name(), expected);
    }
    let exhausted = all.into_iter().filter(|error| error.is_exhaustion());
    let names: Vec<_> = exhausted.map(natshard::AllocError::name).collect();
    assert_eq!(names, ["pool_full", "address_full"]);
}
