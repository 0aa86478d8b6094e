//! The policies of a pool towards subscribers and tenants, as configured.

use crate::event::Limit;
use crate::protocol::Protocol;

/// How many ports one subscriber may hold of a pool, those that rest included
/// (RFC 6888 REQ-4, REQ-8). The default limits nothing beyond [`MOST`](Self::MOST).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct SubscriberLimit {
    pub(crate) each: [Option<u16>; 3],
    pub(crate) total: Option<u32>,
}

impl SubscriberLimit {
    /// The most ports of one protocol that a subscriber can hold of a pool that keeps books of
    /// subscribers, whether it limits them or not.
    pub const MOST: u16 = if crate::sync::MODEL { 3 } else { 32_767 };

    /// No limit yet.
    #[must_use]
    pub const fn new() -> Self {
        SubscriberLimit {
            each: [None; 3],
            total: None,
        }
    }

    /// At most so many ports (for ICMP: identifiers) of this protocol.
    #[must_use]
    pub const fn ports(mut self, protocol: Protocol, ports: u16) -> Self {
        self.each[protocol.as_index()] = Some(ports);
        self
    }

    /// At most so many ports and identifiers of all protocols together.
    #[must_use]
    pub const fn total(mut self, ports: u32) -> Self {
        self.total = Some(ports);
        self
    }

    /// Whether one who holds `held` may have so many more.
    pub(crate) fn allows(&self, held: [u16; 3], protocol: Protocol, ports: u16) -> bool {
        let index = protocol.as_index();
        let after = u32::from(held[index]) + u32::from(ports);
        let each = self.each[index].unwrap_or(Self::MOST).min(Self::MOST);
        let all: u32 = held.iter().copied().map(u32::from).sum();
        after <= u32::from(each)
            && self
                .total
                .is_none_or(|total| all + u32::from(ports) <= total)
    }

    /// How many more one who holds `held` may have.
    pub(crate) fn room(&self, held: [u16; 3], protocol: Protocol) -> u16 {
        let index = protocol.as_index();
        let each = self.each[index].unwrap_or(Self::MOST).min(Self::MOST);
        let all: u32 = held.iter().copied().map(u32::from).sum();
        let total = self
            .total
            .map_or(u32::MAX, |total| total.saturating_sub(all));
        each.saturating_sub(held[index])
            .min(u16::try_from(total).unwrap_or(u16::MAX))
    }

    /// The limit that one who holds `held` meets first.
    pub(crate) fn met(&self, held: [u16; 3], protocol: Protocol) -> Limit {
        let each = self.each[protocol.as_index()].unwrap_or(Self::MOST);
        let each = u32::from(each.min(Self::MOST));
        let room = each.saturating_sub(held[protocol.as_index()].into());
        let all: u32 = held.iter().copied().map(u32::from).sum();
        match self.total {
            Some(total) if total.saturating_sub(all) < room => Limit::PortsInAll(total),
            _ => Limit::Ports(each),
        }
    }

    /// Whether anything is limited.
    pub(crate) fn is_any(&self) -> bool {
        *self != SubscriberLimit::new()
    }
}

/// Port blocks of subscribers' own (RFC 6888 REQ-13, REQ-14).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PortBlocks {
    pub(crate) size: u16,
    pub(crate) total: u8,
    pub(crate) each: [Option<u8>; 3],
}

impl PortBlocks {
    /// The most port blocks that one subscriber can hold, all protocols together.
    pub const MAX: u8 = 16;

    /// Port blocks of 64, 128 or 256 consecutive ports of one address and protocol; up to four
    /// for each subscriber.
    #[must_use]
    pub const fn new(size: u16) -> Self {
        PortBlocks {
            size,
            total: 4,
            each: [None; 3],
        }
    }

    /// At most so many (1 to [`MAX`](Self::MAX)) for each subscriber, all protocols together.
    #[must_use]
    pub const fn per_subscriber(mut self, blocks: u8) -> Self {
        self.total = blocks;
        self
    }

    /// At most so many of this protocol for each subscriber.
    #[must_use]
    pub const fn of_protocol(mut self, protocol: Protocol, blocks: u8) -> Self {
        self.each[protocol.as_index()] = Some(blocks);
        self
    }

    /// The limit that one who holds `held` meets first.
    pub(crate) fn met(&self, held: [u16; 3], protocol: Protocol) -> Limit {
        let room = u16::from(self.total).saturating_sub(held.iter().sum());
        match self.each[protocol.as_index()] {
            Some(each) if u16::from(each).saturating_sub(held[protocol.as_index()]) <= room => {
                Limit::PortBlocks(each.into())
            }
            _ => Limit::PortBlocksInAll(self.total.into()),
        }
    }
}

/// A tenant's share of a pool, in blocks (256 ports) of each protocol.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TenantShare {
    pub(crate) tenant: u32,
    pub(crate) minimum: u32,
    pub(crate) maximum: u32,
}

impl TenantShare {
    /// Nothing guaranteed to this tenant, and no maximum.
    #[must_use]
    pub const fn new(tenant: u32) -> Self {
        TenantShare {
            tenant,
            minimum: 0,
            maximum: u32::MAX,
        }
    }

    /// So many blocks of each protocol are guaranteed to it, whatever others take.
    #[must_use]
    pub const fn minimum(mut self, blocks: u32) -> Self {
        self.minimum = blocks;
        self
    }

    /// It gets so many blocks of each protocol at most.
    #[must_use]
    pub const fn maximum(mut self, blocks: u32) -> Self {
        self.maximum = blocks;
        self
    }
}

/// When a pool counts as nearly full, and when no longer: percentages of its blocks of one
/// protocol that somebody holds (RFC 8158 threshold events).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Threshold {
    pub(crate) raise: u8,
    pub(crate) clear: u8,
}

impl Threshold {
    /// Raised at `raise` per cent (1 to 100), cleared at `clear` per cent (below `raise`).
    #[must_use]
    pub const fn new(raise: u8, clear: u8) -> Self {
        Threshold { raise, clear }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Protocol::{Tcp, Udp};

    #[test]
    fn the_limit_met_first_is_told_and_of_two_that_of_the_protocol() {
        let ports = SubscriberLimit::new().ports(Tcp, 10).total(25);
        assert_eq!(ports.met([10, 0, 0], Tcp), Limit::Ports(10));
        assert_eq!(ports.met([8, 15, 0], Tcp), Limit::Ports(10));
        assert_eq!(ports.met([8, 16, 0], Tcp), Limit::PortsInAll(25));
        assert_eq!(ports.met([8, 16, 0], Udp), Limit::PortsInAll(25));
        let blocks = PortBlocks::new(64).per_subscriber(4).of_protocol(Tcp, 2);
        assert_eq!(blocks.met([2, 0, 0], Tcp), Limit::PortBlocks(2));
        assert_eq!(blocks.met([1, 2, 0], Tcp), Limit::PortBlocks(2));
        assert_eq!(blocks.met([1, 3, 0], Tcp), Limit::PortBlocksInAll(4));
        assert_eq!(blocks.met([1, 3, 0], Udp), Limit::PortBlocksInAll(4));
    }
}
