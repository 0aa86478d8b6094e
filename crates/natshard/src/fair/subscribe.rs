//! A pool's policies towards subscribers, and their books.

use crate::config::PoolConfig;
use crate::event::{EventKind, Holder};
use crate::fair::{Books, DeterministicMap, PortBlocks, SubscriberLimit};
use crate::id::PoolId;
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

    /// Tells that a subscriber met its limit, once an episode.
    pub(super) fn tell_quota(&self, pool: PoolId, protocol: Protocol, books: &Books<'_>) {
        if books.tell_once(protocol) {
            let holder = Holder::Subscriber(books.subscriber());
            self.tell(pool, EventKind::QuotaExceeded { protocol, holder });
        }
    }
}
