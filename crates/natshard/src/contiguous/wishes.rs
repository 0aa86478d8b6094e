//! Single ports with a parity or a class that can be departed from (RFC 4787 REQ-3 a, REQ-4).

use super::{Effort, Place, Search, Sought};
use crate::layout::{Class, PoolLayout};
use crate::lease::Lease;
use crate::page::Page;
use crate::request::{Parity, Request};
use crate::worker::{Purpose, Work};

impl<'s> Search<'s> {
    /// For single ports of a pool, or of one address of it.
    pub(crate) fn single(
        pool: &'s PoolLayout,
        purpose: Purpose,
        at: Option<(&'s Page, &'s Class)>,
    ) -> Self {
        let sought = Sought {
            most: 1,
            least: 1,
            parity: None,
            place: Place::Anywhere,
        };
        match at {
            Some((page, class)) => Search::address(pool, purpose, sought, page, class),
            None => Search::pool(pool, purpose, sought),
        }
    }
}

impl Work<'_> {
    /// A port with the parity and the class that the request wishes for, of those this allocator
    /// holds, else of a few other blocks. Failing that one of the class, of the parity, or any
    /// that the allocator holds, which the caller has loaded.
    pub(crate) fn pop_wished(
        &mut self,
        allocator: usize,
        mut search: Search<'_>,
        request: &Request,
    ) -> Option<Lease> {
        let near = request.near_port;
        let parity = request.parity.or(near.map(Parity::of));
        let class = near.map_or(Place::Anywhere, |near| search.class_of(near));
        let wishes = [(parity, class), (None, class), (parity, Place::Anywhere)];
        // Two wishes can be departed from one by one.
        let count = match (parity, class) {
            (Some(_), Place::ClassOf(_)) => 3,
            _ => 1,
        };
        for (departures, &(parity, place)) in wishes[..count].iter().enumerate() {
            search.seek(Sought {
                parity,
                place,
                ..search.sought
            });
            let lease = self.pop_or_find(allocator, &mut search);
            if lease.is_some() {
                self.count_departed(departures > 0);
                return lease;
            }
        }
        self.count_departed(true);
        self.pop(allocator)
    }

    fn pop_or_find(&mut self, allocator: usize, search: &mut Search<'_>) -> Option<Lease> {
        let parity = search.sought.parity;
        let hand = &mut self.worker.allocators[allocator];
        if hand
            .block()
            .is_some_and(|(_, block)| search.blocks.contains(block))
        {
            let lease = hand.pop_where(|port| parity.is_none_or(|parity| parity.is_of(port)));
            if lease.is_some() {
                self.retire_if_spent(allocator);
                return lease;
            }
        }
        let mut lease = None;
        self.find_run(search, Effort::Little, &mut |one| lease = Some(one));
        lease
    }

    pub(crate) fn count_departed(&self, departed: bool) {
        self.shard.stats.wishes_departed.bump(u64::from(departed));
    }
}
