//! The first tuple that may be given out.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use ipnet::IpNet;
use natshard::{AllocError, PortBlocks, Protocol, Strictness};

use super::books::{Books, Holder, Key};
use crate::allocator::NatRequest;
use crate::config::NatPool;

/// A search of one pool.
pub(super) struct Search<'a> {
    pub(super) books: &'a Books,
    pub(super) pool: &'a NatPool,
    pub(super) request: &'a NatRequest,
}

impl Search<'_> {
    /// A tuple that is anybody's.
    pub(super) fn anybodys(&self) -> Result<SocketAddr, AllocError> {
        let first = self.request.address;
        self.first(self.addresses(first), |_, _| true)
            .ok_or(AllocError::PoolFull)
    }

    /// A tuple for a subscriber that is paired with that address, if any.
    pub(super) fn of_subscriber(
        &self,
        holder: &Holder,
        paired: Option<IpAddr>,
    ) -> Result<SocketAddr, AllocError> {
        let policies = self.pool.policies();
        let ranges = self.pool.as_engine().deterministic_map();
        if let Some(ranges) = &ranges {
            let (address, ports) = ranges
                .range(holder.1.number(), self.protocol())
                .ok_or(AllocError::SubscriberMissing)?;
            if address.is_ipv4() != self.request.tuple.source.is_ipv4() {
                return Err(AllocError::NoSuchFamily);
            }
            let own = self.first(std::iter::once(address), |_, port| ports.contains(&port));
            if let Some(own) = own {
                return Ok(own);
            }
            if policies.port_blocks.is_none() {
                return Err(AllocError::SubscriberQuota);
            }
        }
        let dynamic = |port| match &ranges {
            Some(ranges) => ranges.overflow(self.protocol()).contains(&port),
            None => true,
        };
        let strict = policies.pairing == Some(Strictness::Strict) && ranges.is_none();
        let (first, full) = match (paired, policies.pairing) {
            (Some(address), Some(_)) if ranges.is_none() => {
                (Some(address), AllocError::AddressFull)
            }
            _ => (self.request.address, AllocError::PoolFull),
        };
        let addresses = || {
            let only = strict.then_some(first).flatten();
            self.addresses(first)
                .filter(move |address| only.is_none_or(|only| only == *address))
        };
        match policies.port_blocks {
            None => self.first(addresses(), |_, _| true).ok_or(full),
            Some(blocks) => self.in_blocks(holder, blocks, addresses, dynamic, full),
        }
    }

    /// A tuple of a port block of the subscriber's own, or of one that becomes its own.
    fn in_blocks<A: Iterator<Item = IpAddr>>(
        &self,
        holder: &Holder,
        blocks: PortBlocks,
        addresses: impl Fn() -> A,
        dynamic: impl Fn(u16) -> bool,
        full: AllocError,
    ) -> Result<SocketAddr, AllocError> {
        let owners = self.books.blocks(self.pool, self.protocol(), blocks);
        let owner = |address, port: u16| owners.get(&(address, port / blocks.size()));
        let own = self.first(addresses(), |address, port| {
            dynamic(port) && owner(address, port) == Some(&holder.1)
        });
        if let Some(own) = own {
            return Ok(own);
        }
        if !self
            .books
            .may_have_block(holder, self.pool, self.protocol(), blocks)
        {
            return Err(AllocError::SubscriberQuota);
        }
        self.first(addresses(), |address, port| {
            dynamic(port) && owner(address, port).is_none()
        })
        .ok_or(full)
    }

    fn protocol(&self) -> Protocol {
        self.request.tuple.protocol
    }

    /// The first leasable tuple that is one of those.
    fn first(
        &self,
        addresses: impl Iterator<Item = IpAddr>,
        is: impl Fn(IpAddr, u16) -> bool,
    ) -> Option<SocketAddr> {
        let protocol = self.protocol();
        let ports = Ports::of(self.pool.range(protocol), self.request.near_port);
        addresses
            .flat_map(|address| ports.iter().map(move |port| SocketAddr::new(address, port)))
            .filter(|public| {
                self.pool.gives(protocol, public.ip(), public.port())
                    && is(public.ip(), public.port())
            })
            .find(|public| self.books.is_leasable(&key(self.pool, protocol, *public)))
    }

    /// Every address of the pool's prefixes of the request's family: the one wished for first.
    fn addresses(&self, wish: Option<IpAddr>) -> impl Iterator<Item = IpAddr> {
        let v4 = self.request.tuple.source.is_ipv4();
        let wish = wish.filter(|address| self.pool.contains(*address));
        let prefixes = self.pool.prefixes().iter();
        let others = prefixes
            .filter(move |net| net.addr().is_ipv4() == v4)
            .flat_map(hosts);
        let others = others.filter(move |address| Some(*address) != wish);
        wish.into_iter().chain(others)
    }
}

/// Every port of a range, in order.
enum Ports {
    /// Ascending.
    All(RangeInclusive<u16>),
    /// First the wish, then its parity by distance, then all others.
    Near(Vec<u16>),
}

impl Ports {
    fn of(range: &RangeInclusive<u16>, near: Option<u16>) -> Self {
        let Some(near) = near else {
            return Ports::All(range.clone());
        };
        let mut ports: Vec<u16> = range.clone().collect();
        ports.sort_by_key(|port| ((port ^ near) & 1, port.abs_diff(near)));
        Ports::Near(ports)
    }

    fn iter(&self) -> impl Iterator<Item = u16> {
        let (all, near) = match self {
            Ports::All(range) => (Some(range.clone()), None),
            Ports::Near(ports) => (None, Some(ports.iter().copied())),
        };
        all.into_iter().flatten().chain(near.into_iter().flatten())
    }
}

/// Every address of a prefix.
fn hosts(net: &IpNet) -> impl Iterator<Item = IpAddr> + use<> {
    let (v4, first, last) = match net {
        IpNet::V4(net) => (
            true,
            net.network().to_bits().into(),
            net.broadcast().to_bits().into(),
        ),
        IpNet::V6(net) => (false, net.network().to_bits(), net.broadcast().to_bits()),
    };
    (first..=last).map(move |bits: u128| match v4 {
        true => IpAddr::V4((bits as u32).into()),
        false => IpAddr::V6(bits.into()),
    })
}

/// What the books know a tuple of a pool by.
pub(super) fn key(pool: &NatPool, protocol: Protocol, public: SocketAddr) -> Key {
    (pool.realm_name().to_owned(), protocol, public)
}
