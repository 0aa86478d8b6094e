//! What a caller asks an allocation for.

use std::net::IpAddr;

use crate::id::PoolId;
use crate::protocol::Protocol;

/// The address family a lease must be of, where a pool has both.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        }
    }
}

/// Whether a wish may be departed from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Strictness {
    /// Refuse rather than depart from it.
    Strict,
    /// Fall back to what can be had, and count that.
    #[default]
    Preferred,
}

/// Whether a port is even or odd.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Parity {
    /// 0, 2, 4, ...: RTP by custom.
    Even,
    /// 1, 3, 5, ...: RTCP by custom.
    Odd,
}

impl Parity {
    /// The parity of a port.
    #[must_use]
    pub const fn of(port: u16) -> Self {
        if port.is_multiple_of(2) {
            Parity::Even
        } else {
            Parity::Odd
        }
    }

    /// Whether a port within its block has it; blocks begin with an even port.
    pub(crate) const fn is_of(self, port: usize) -> bool {
        port.is_multiple_of(2) == matches!(self, Parity::Even)
    }
}

/// A request for one lease, for a batch of them, or for consecutive ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request {
    pub(crate) pool: PoolId,
    pub(crate) protocol: Protocol,
    pub(crate) family: Option<Family>,
    pub(crate) address: Option<(IpAddr, Strictness)>,
    pub(crate) near_port: Option<u16>,
    pub(crate) parity: Option<Parity>,
    pub(crate) subscriber: Option<u64>,
    pub(crate) tenant: Option<u32>,
    pub(crate) control: bool,
    /// The place of what it asks for among those of its kind (see `Purpose::index`), if it asks for
    /// nothing but a pool, a protocol and perhaps a family: what the fast path serves.
    pub(crate) slot: u32,
}

/// The slot of a request that asks for more.
const PARTICULAR: u32 = u32::MAX;

/// How many slots a number (of a pool, or of a class of one) has.
const SLOTS: usize = 9;

/// The slot of a number, a protocol and a family.
#[inline]
pub(crate) const fn slot(number: usize, protocol: Protocol, family: Option<Family>) -> usize {
    let family = match family {
        None => 0,
        Some(Family::V4) => 1,
        Some(Family::V6) => 2,
    };
    number * SLOTS + protocol.as_index() * 3 + family
}

impl Request {
    /// Any port of any address of `pool`.
    #[must_use]
    pub const fn new(pool: PoolId, protocol: Protocol) -> Self {
        Request {
            pool,
            protocol,
            family: None,
            address: None,
            near_port: None,
            parity: None,
            subscriber: None,
            tenant: None,
            control: false,
            slot: slot(2 * pool.as_index(), protocol, None) as u32,
        }
    }

    /// Only addresses of this family.
    #[must_use]
    pub const fn family(mut self, family: Family) -> Self {
        self.family = Some(family);
        if self.slot != PARTICULAR {
            self.slot = slot(2 * self.pool.as_index(), self.protocol, self.family) as u32;
        }
        self
    }

    /// A port of this address: paired pooling (RFC 4787 REQ-2). Strict refuses with
    /// `AddressFull` when the address has none left; preferred falls back to the whole pool.
    #[must_use]
    pub const fn address(mut self, address: IpAddr, strictness: Strictness) -> Self {
        self.address = Some((address, strictness));
        self.slot = PARTICULAR;
        self
    }

    /// This port where it can be had, else one of its parity (RFC 4787 REQ-4) and of its class:
    /// below 1024, or from 1024 on (REQ-3 a), where the pool has both; else any: a preference,
    /// never a reason to refuse. A lease without the parity or the class is counted in
    /// [`ShardStats::wishes_departed`](crate::ShardStats::wishes_departed).
    ///
    /// Of a set it is the first port (RFC 7753: the suggested external port).
    #[must_use]
    pub const fn near_port(mut self, port: u16) -> Self {
        self.near_port = Some(port);
        self.slot = PARTICULAR;
        self
    }

    /// An even or an odd port.
    ///
    /// [`allocate`](crate::Burst::allocate) prefers it, and counts when it departs from it.
    /// [`allocate_set`](crate::Burst::allocate_set) keeps it, for the first port of the set, and
    /// refuses otherwise; a set of one is a single port whose parity is kept. It comes before the
    /// parity of [`near_port`](Self::near_port).
    #[must_use]
    pub const fn parity(mut self, parity: Parity) -> Self {
        self.parity = Some(parity);
        self.slot = PARTICULAR;
        self
    }

    /// On behalf of this subscriber (RFC 6888): the pool's limits, port blocks, pairing and
    /// deterministic ranges apply to it. Pools without any of these ignore it.
    #[must_use]
    pub const fn subscriber(mut self, subscriber: u64) -> Self {
        self.subscriber = Some(subscriber);
        self.slot = PARTICULAR;
        self
    }

    /// On behalf of this tenant: the pool's guarantees and maxima apply to it. Tenants the pool
    /// does not name share what is nobody's. Pools without tenants ignore it.
    #[must_use]
    pub const fn tenant(mut self, tenant: u32) -> Self {
        self.tenant = Some(tenant);
        self.slot = PARTICULAR;
        self
    }

    /// For control traffic: may use the pool's headroom.
    #[must_use]
    pub const fn control(mut self) -> Self {
        self.control = true;
        self.slot = PARTICULAR;
        self
    }

    /// Whether it asks for more than any port of its pool, protocol and family, on whoever's
    /// behalf; subscribers matter where the pool keeps books of them.
    pub(crate) fn is_particular(&self, books: bool) -> bool {
        self.address.is_some()
            || self.near_port.is_some()
            || self.parity.is_some()
            || books && self.subscriber.is_some()
    }

    /// Whether it asks for anything beside a pool, a protocol and a family.
    pub(crate) const fn is_plain(&self) -> bool {
        self.slot != PARTICULAR
    }

    /// The pool asked.
    #[must_use]
    pub const fn pool(&self) -> PoolId {
        self.pool
    }

    /// The protocol asked for.
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        self.protocol
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_the_slot_of_what_it_asks_for_or_none() {
        let protocols = Protocol::ALL;
        for pool in [0, 1, 3, 4095] {
            for protocol in protocols {
                let plain = Request::new(PoolId(pool), protocol);
                let number = 2 * usize::from(pool);
                for family in [None, Some(Family::V4), Some(Family::V6)] {
                    let asked = family.map_or(plain, |family| plain.family(family));
                    assert_eq!(asked.slot as usize, slot(number, protocol, family));
                    assert!(asked.is_plain() && !asked.is_particular(true));
                }
            }
        }
        let plain = Request::new(PoolId(1), Protocol::Tcp);
        let address = "192.0.2.1".parse().unwrap();
        for particular in [
            plain.near_port(1024),
            plain.parity(Parity::Odd),
            plain.address(address, Strictness::Strict),
        ] {
            for asked in [particular, particular.family(Family::V4)] {
                assert!(!asked.is_plain(), "{asked:?}");
                assert!(asked.is_particular(false));
            }
        }
        // On somebody's behalf it is general, unless books are kept of him.
        for (asked, with_books) in [
            (plain.subscriber(5), true),
            (plain.tenant(5), false),
            (plain.control(), false),
        ] {
            assert!(!asked.is_plain() && !asked.family(Family::V6).is_plain());
            assert_eq!(
                (asked.is_particular(false), asked.is_particular(true)),
                (false, with_books)
            );
        }
    }
}
