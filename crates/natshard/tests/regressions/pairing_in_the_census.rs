//! A subscriber whose last port has rested stays paired until housekeeping comes by.

use std::collections::BTreeSet;
use std::net::IpAddr;

use natshard::{EventBooks, Protocol, Strictness, SubscriberLimit};

use crate::subscribers::{SLICE, at, engine, pool, request};

#[test]
fn a_pairing_is_in_the_census_as_long_as_it_is_in_the_books_of_events() {
    let limit = SubscriberLimit::new().total(20);
    let pool = pool("192.0.2.0/30")
        .pairing(Strictness::Strict)
        .subscriber_limit(limit);
    let engine = engine(pool);
    let mut shard = engine.shard(0).unwrap();
    let mut reader = engine.events().unwrap();
    let mut books = EventBooks::default();
    for round in 0..20 {
        let mut burst = shard.burst(at(round * SLICE * 3));
        for subscriber in 0..30 {
            if (subscriber + round) % 7 < 2 {
                let tcp = request(&engine, Protocol::Tcp, subscriber);
                let lease = burst.allocate(&tcp).unwrap();
                burst.release(lease);
            }
        }
        drop(burst);
        reader.drain(&mut books);
        let told: BTreeSet<(u64, IpAddr)> =
            books.pools().flat_map(|(_, pool)| pool.bound()).collect();
        let census = engine.subscribers();
        let census = census
            .iter()
            .filter_map(|one| Some((one.subscriber, one.address?)));
        assert_eq!(census.collect::<BTreeSet<_>>(), told, "round {round}");
        assert_eq!(books.contradictions(), []);
    }
}
