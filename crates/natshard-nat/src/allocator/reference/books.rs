//! Who holds what, in lists that are read from end to end.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use natshard::{PortBlocks, Protocol, SubscriberLimit, Tick};

use crate::config::{NatPool, Subscriber};

/// A public tuple with its realm.
pub(super) type Key = (String, Protocol, SocketAddr);

/// A subscriber of a pool.
pub(super) type Holder = (String, Subscriber);

/// An address and the number of a port block there.
type Block = (IpAddr, u16);

/// The books of a reference allocator.
#[derive(Debug, Default)]
pub(super) struct Books {
    pub(super) now: Tick,
    hold_down: Duration,
    /// Tuples leased, and for whom.
    leased: BTreeMap<Key, Option<Holder>>,
    /// Tuples given back, until when they rest and who had them.
    resting: BTreeMap<Key, (Tick, Option<Holder>)>,
    /// The addresses that subscribers are paired with.
    paired: BTreeMap<Holder, IpAddr>,
}

impl Books {
    pub(super) fn new(hold_down: Duration) -> Self {
        Books {
            hold_down,
            ..Books::default()
        }
    }

    pub(super) fn leased(&self) -> usize {
        self.leased.len()
    }

    pub(super) fn is_leasable(&self, key: &Key) -> bool {
        let rests = |(until, _): &(Tick, _)| *until > self.now;
        !self.leased.contains_key(key) && !self.resting.get(key).is_some_and(rests)
    }

    pub(super) fn take(&mut self, key: Key, holder: Option<Holder>) {
        if let Some(holder) = &holder {
            let address = key.2.ip();
            self.paired.entry(holder.clone()).or_insert(address);
        }
        self.resting.remove(&key);
        self.leased.insert(key, holder);
    }

    pub(super) fn give_back(&mut self, key: &Key, rests: bool) {
        let Some(holder) = self.leased.remove(key) else {
            panic!("{key:?} was not leased");
        };
        if rests {
            let until = self.now.saturating_add(self.hold_down);
            self.resting.insert(key.clone(), (until, holder));
        }
    }

    pub(super) fn forget_rested(&mut self) {
        let now = self.now;
        self.resting.retain(|_, (until, _)| *until > now);
    }

    /// Tuples that are somebody's, and whose: leased, or still resting.
    fn held(&self) -> impl Iterator<Item = (&Key, &Holder)> {
        let now = self.now;
        let resting = self.resting.iter().filter(move |(_, it)| it.0 > now);
        let resting = resting.map(|(key, (_, holder))| (key, holder));
        let all = self.leased.iter().chain(resting);
        all.filter_map(|(key, holder)| Some((key, holder.as_ref()?)))
    }

    /// Whether a limit leaves the subscriber one more port.
    pub(super) fn has_quota(
        &self,
        holder: &Holder,
        protocol: Protocol,
        limit: &SubscriberLimit,
    ) -> bool {
        let own = || self.held().filter(|(_, of)| *of == holder);
        let of_protocol = own().filter(|(key, _)| key.1 == protocol).count();
        let each = limit.of(protocol).unwrap_or(SubscriberLimit::MOST);
        let each = each.min(SubscriberLimit::MOST);
        of_protocol < usize::from(each)
            && limit
                .of_all()
                .is_none_or(|most| own().count() < most as usize)
    }

    /// The address a subscriber is paired with, as long as it holds something.
    pub(super) fn pairing(&mut self, holder: &Holder) -> Option<IpAddr> {
        if !self.held().any(|(_, of)| of == holder) {
            self.paired.remove(holder);
        }
        self.paired.get(holder).copied()
    }

    /// The port blocks of a pool and protocol that are somebody's.
    pub(super) fn blocks(
        &self,
        pool: &NatPool,
        protocol: Protocol,
        blocks: PortBlocks,
    ) -> BTreeMap<Block, Subscriber> {
        let ranges = pool.as_engine().deterministic_map();
        let dynamic = ranges.map(|ranges| ranges.overflow(protocol));
        let is_dynamic = |port| dynamic.as_ref().is_none_or(|ports| ports.contains(&port));
        let here = self.held().filter(|(key, of)| {
            of.0 == pool.name() && key.1 == protocol && is_dynamic(key.2.port())
        });
        here.map(|(key, of)| ((key.2.ip(), key.2.port() / blocks.size()), of.1))
            .collect()
    }

    /// Whether a subscriber may have one more port block.
    pub(super) fn may_have_block(
        &self,
        holder: &Holder,
        pool: &NatPool,
        protocol: Protocol,
        blocks: PortBlocks,
    ) -> bool {
        let own = |protocol| {
            let all = self.blocks(pool, protocol, blocks);
            all.values().filter(|of| **of == holder.1).count()
        };
        let total: usize = Protocol::ALL.into_iter().map(own).sum();
        let each = blocks.most_of(protocol).unwrap_or(blocks.most());
        total < usize::from(blocks.most()) && own(protocol) < usize::from(each)
    }
}
