//! A census of subscribers.

use std::net::IpAddr;

use crate::event::PortRange;
use crate::fair::unit::PortBlock;
use crate::inner::Inner;
use crate::protocol::Protocol;
use crate::reclaim::Pin;

/// What one subscriber holds of one protocol.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct SubscriberPorts {
    /// Ports leased.
    pub leased: u32,
    /// Ports given back that rest, and count against the limit.
    pub resting: u32,
}

/// What one subscriber holds of one pool. Subscribers that hold nothing, not even a pairing, are
/// left out.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SubscriberCensus {
    /// The pool's name; its number when the current configuration does not have it.
    pub pool: String,
    /// The subscriber.
    pub subscriber: u64,
    /// By protocol, in the order of [`Protocol::ALL`].
    pub ports: [SubscriberPorts; 3],
    /// The port blocks assigned to it, ascending.
    pub blocks: Vec<PortRange>,
    /// The address it is paired with, until housekeeping finds that its last port has rested.
    pub address: Option<IpAddr>,
}

/// Every subscriber that holds something, by pool and subscriber.
pub(crate) fn census(inner: &Inner, pin: &Pin<'_>) -> Vec<SubscriberCensus> {
    let layout = inner.latest.load_full();
    let accounts = &inner.ground.accounts;
    let owners =
        (0..accounts.actives().len()).filter_map(|active| accounts.actives().owner(active as u32));
    let books = owners.filter_map(|owner| inner.ground.books(owner, pin));
    let mut all: Vec<SubscriberCensus> = books
        .map(|books| {
            let pool = crate::id::PoolId(books.pool());
            let (held, leased) = (books.held(), books.leased());
            let mut blocks: Vec<PortRange> = books
                .blocks()
                .map(|bits| inner.port_range(&layout, PortBlock::from_bits(bits)))
                .collect();
            blocks.sort_unstable();
            SubscriberCensus {
                pool: layout
                    .pool(pool)
                    .map_or_else(|| pool.to_string(), |pool| pool.name.clone()),
                subscriber: books.subscriber(),
                ports: Protocol::ALL.map(|protocol| {
                    let index = protocol.as_index();
                    SubscriberPorts {
                        leased: leased[index].into(),
                        resting: held[index].saturating_sub(leased[index]).into(),
                    }
                }),
                blocks,
                address: books
                    .pairing()
                    .map(|paired| inner.address_of(&layout, paired)),
            }
        })
        .filter(|one| {
            let ports = one.ports != [SubscriberPorts::default(); 3];
            ports || !one.blocks.is_empty() || one.address.is_some()
        })
        .collect();
    all.sort_unstable();
    all
}
