//! A pool's policies towards subscribers, and their books.

use crate::config::PoolConfig;
use crate::event::{EventKind, Holder, Limit};
use crate::fair::{Books, DeterministicMap, PortBlocks, SubscriberLimit};
use crate::id::PoolId;
use crate::layout::PoolLayout;
use crate::protocol::Protocol;
use crate::request::Strictness;
use crate::worker::Work;

/// A pool's policies towards subscribers, as a layout has them.
#[derive(Clone, Debug, Default)]
pub(crate) struct SubscriberPolicy {
    pub(crate) limit: SubscriberLimit,
    pub(crate) blocks: Option<PortBlocks>,
    pub(crate) pairing: Option<Strictness>,
    pub(crate) ranges: Option<DeterministicMap>,
}

impl SubscriberPolicy {
    pub(crate) fn of(pool: &PoolConfig) -> Self {
        SubscriberPolicy {
            limit: pool.limit,
            blocks: pool.port_blocks,
            pairing: pool.pairing,
            ranges: pool.deterministic_map(),
        }
    }

    /// Whether books of subscribers are kept.
    pub(crate) fn keeps_books(&self) -> bool {
        self.limit.is_any() || self.is_exclusive() || self.pairing.is_some()
    }

    /// Whether ports belong to subscribers before they are leased, so that a request must name
    /// one.
    pub(crate) fn is_exclusive(&self) -> bool {
        self.blocks.is_some() || self.ranges.is_some()
    }
}

impl<'a> Work<'a> {
    /// The books of a subscriber; `None` when the table is full.
    pub(super) fn books_of(&self, pool: PoolId, subscriber: u64) -> Option<Books<'a>> {
        let ground = &self.inner.ground;
        let number = ground.accounts.find_or_insert(pool.0, subscriber)?;
        ground.books(number, self.pin)
    }

    /// Tells that a subscriber met its limit, once an episode. `charged` says whether it was not
    /// the limit of ports.
    pub(super) fn tell_quota(
        &self,
        pool: &PoolLayout,
        protocol: Protocol,
        books: &Books<'_>,
        charged: bool,
    ) {
        if self.inner.ground.events.is_some() && books.tell_once(protocol) {
            let holder = Holder::Subscriber(books.subscriber());
            let kind = EventKind::QuotaExceeded {
                protocol,
                holder,
                limit: limit_met(&pool.policy, protocol, books, charged),
            };
            self.tell(pool.id, kind);
        }
    }
}

/// The limit that a subscriber met.
fn limit_met(
    policy: &SubscriberPolicy,
    protocol: Protocol,
    books: &Books<'_>,
    charged: bool,
) -> Limit {
    if !charged {
        return policy.limit.met(books.held(), protocol);
    }
    let overflows = |ranges: &DeterministicMap| !ranges.overflow(protocol).is_empty();
    match (&policy.ranges, &policy.blocks) {
        (Some(ranges), blocks) if blocks.is_none() || !overflows(ranges) => {
            Limit::Range(ranges.ports_each().into())
        }
        (_, Some(blocks)) => blocks.met(books.port_blocks(), protocol),
        (_, None) => policy.limit.met(books.held(), protocol),
    }
}
