//! The census, the books of the events and the model say the same.

use std::collections::BTreeSet;

use natshard::{PortRange, Tick};

use crate::steps::How;
use crate::world::{HOLD, World, overlap};

impl World {
    /// Everybody says the same.
    pub(crate) fn agree(&mut self) {
        self.drain();
        let census = self.engine.census();
        assert!(census.total.balances(), "{}", census.total);
        assert_eq!(census.contradictions, 0);
        let leased = census.total.leased + census.draining.leased;
        assert_eq!(leased, self.held.len() as u64);
        let said = self.engine.subscribers();
        for who in 0..5 {
            let subscriber = self.subscriber(who);
            let one = said.iter().find(|one| one.subscriber == subscriber);
            let ports = one.map_or([(0, 0); 3], |one| {
                one.ports.map(|ports| (ports.leased, ports.resting))
            });
            assert_eq!(
                ports,
                self.account(subscriber),
                "of {subscriber} at {}",
                self.now
            );
        }
        let blocks = said.iter();
        let blocks = blocks.flat_map(|one| one.blocks.iter().map(|&ports| (ports, one.subscriber)));
        let told = self
            .books
            .pools()
            .flat_map(|(_, books)| books.port_blocks());
        assert_eq!(
            blocks.collect::<BTreeSet<_>>(),
            told.collect::<BTreeSet<_>>()
        );
        let bound = said
            .iter()
            .filter_map(|one| Some((one.subscriber, one.address?)));
        let told = self.books.pools().flat_map(|(_, books)| books.bound());
        assert_eq!(
            bound.collect::<BTreeSet<_>>(),
            told.collect::<BTreeSet<_>>()
        );
        let told = self.books.pools().flat_map(|(_, books)| books.leases());
        let told: BTreeSet<_> = told.collect();
        let held = self.held.iter();
        let held = held.map(|held| (held.tuple.0, held.tuple.1, held.subscriber));
        assert_eq!(told, held.collect::<BTreeSet<_>>());
        // An assigned port block has a port that is not at rest, or rests until it is noticed.
        let mut seen: Vec<PortRange> = said.iter().flat_map(|one| one.blocks.clone()).collect();
        seen.sort_unstable();
        assert!(
            seen.windows(2).all(|two| !overlap(&two[0], &two[1])),
            "{seen:?}"
        );
    }

    pub(crate) fn finish(&mut self) {
        while !self.held.is_empty() {
            self.release(0, 0, How::Ended);
        }
        for _ in 0..4 {
            self.now += 2 * HOLD;
            for shard in &mut self.shards {
                shard.idle(Tick::from_millis(self.now));
            }
        }
        self.agree();
        assert_eq!(self.engine.subscribers(), []);
        let census = self.engine.census();
        assert_eq!(
            census.total.free + census.total.excluded,
            census.total.capacity
        );
    }
}
