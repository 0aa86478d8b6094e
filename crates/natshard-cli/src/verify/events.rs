//! Whether the engine's events, replayed from empty, come to what the engine says it has.

use std::collections::BTreeMap;

use natshard::{Engine, EventBooks, PortRange};

/// Says where events and census differ; nothing if they agree. Nobody may be at work, and `leases`
/// says whether leases were told.
pub(crate) fn faults(engine: &Engine, books: &EventBooks, leases: bool) -> Vec<String> {
    if books.events_lost() > 0 {
        // They cannot agree then, which the log says.
        return Vec::new();
    }
    let mut faults: Vec<String> = books
        .contradictions()
        .iter()
        .map(|it| format!("the events contradict each other: {it}"))
        .collect();
    let census = engine.census();
    let (said, told) = (
        census.total.leased + census.draining.leased,
        books.pools().map(|(_, it)| it.leased()).sum::<u64>(),
    );
    if leases && said != told {
        faults.push(format!(
            "the census has {said} ports leased, the events come to {told}"
        ));
    }
    let mut said: BTreeMap<(String, u64), Vec<PortRange>> = BTreeMap::new();
    for subscriber in engine.subscribers() {
        if !subscriber.blocks.is_empty() {
            said.insert((subscriber.pool, subscriber.subscriber), subscriber.blocks);
        }
    }
    let mut told: BTreeMap<(String, u64), Vec<PortRange>> = BTreeMap::new();
    for (pool, books) in books.pools() {
        let name = engine.pool_name(pool).unwrap_or_else(|| pool.to_string());
        for (ports, subscriber) in books.port_blocks() {
            told.entry((name.clone(), subscriber))
                .or_default()
                .push(ports);
        }
    }
    let differ = said
        .iter()
        .filter(|(who, blocks)| told.get(who) != Some(*blocks))
        .count()
        + told.keys().filter(|who| !said.contains_key(*who)).count();
    if differ > 0 {
        faults.push(format!(
            "{differ} subscribers have other port blocks by the census than by the events"
        ));
    }
    faults
}

#[cfg(test)]
mod tests {
    use natshard::{
        EngineConfig, Event, EventConfig, EventSink, PoolConfig, PortBlocks, Protocol, Request,
        Tick,
    };

    use super::*;

    /// An engine with two leases of two subscribers, and what it told.
    fn told(blocks: bool) -> (Engine, Vec<Event>, Vec<natshard::Lease>) {
        let mut pool = PoolConfig::new("p").prefix("203.0.113.0/28".parse().unwrap());
        if blocks {
            pool = pool.port_blocks(PortBlocks::new(64));
        }
        let events = EventConfig::new(100).leases(true);
        let engine = Engine::new(EngineConfig::new(1).pool(pool).events(events)).unwrap();
        let id = engine.pool("p").unwrap();
        let mut shard = engine.shard(0).unwrap();
        let mut burst = shard.burst(Tick::ZERO);
        let lease = |who| burst.allocate(&Request::new(id, Protocol::Tcp).subscriber(who));
        let leases = [1, 2].map(lease).map(Result::unwrap).into();
        let mut all = Vec::new();
        engine
            .events()
            .unwrap()
            .drain(&mut |event: &Event| all.push(*event));
        drop(burst);
        (engine, all, leases)
    }

    fn judged(engine: &Engine, events: &[Event]) -> Vec<String> {
        let mut books = EventBooks::default();
        for event in events {
            books.event(event);
        }
        faults(engine, &books, true)
    }

    #[test]
    fn an_event_that_is_missing_or_too_many_is_noticed() {
        for blocks in [false, true] {
            let (engine, events, _leases) = told(blocks);
            assert_eq!(judged(&engine, &events), Vec::<String>::new());
            for at in 0..events.len() {
                let mut less = events.clone();
                less.remove(at);
                assert_ne!(
                    judged(&engine, &less),
                    Vec::<String>::new(),
                    "{:?}",
                    events[at]
                );
                let mut more = events.clone();
                more.insert(at, events[at]);
                assert_ne!(
                    judged(&engine, &more),
                    Vec::<String>::new(),
                    "{:?}",
                    events[at]
                );
            }
        }
    }
}
