//! What a request could be served from, by the model's books alone.

use std::net::{IpAddr, SocketAddr};

use natshard::{PortRange, Protocol, Strictness, SubscriberCensus};

use crate::steps::Wish;
use crate::world::{Tuple, World, overlap};

impl World {
    /// Port blocks that are nobody's, or could be given back.
    pub(crate) fn free_blocks(
        &self,
        protocol: Protocol,
        at: Option<IpAddr>,
        census: &[SubscriberCensus],
    ) -> Vec<PortRange> {
        let Some(blocks) = self.policies().port_blocks else {
            return Vec::new();
        };
        let range = self.pool.range(protocol);
        let size = blocks.size();
        let mut free = Vec::new();
        for address in self.addresses() {
            if at.is_some_and(|at| at != address) {
                continue;
            }
            for unit in range.start() / size..=range.end() / size {
                let ports = PortRange {
                    protocol,
                    address,
                    first: unit * size,
                    last: unit * size + (size - 1),
                };
                let assigned = census.iter().flat_map(|one| &one.blocks);
                let mut held = assigned.filter(|block| overlap(block, &ports));
                let usable = self.tuples(ports).any(|tuple| self.is_dynamic(tuple))
                    && self.range_at_rest(ports)
                    && held.all(|block| self.range_at_rest(*block) && !self.is_fresh(*block))
                    && !self.is_fresh(ports);
                // A quarter of it may still be a reservation's or another size's.
                if usable {
                    free.push(ports);
                }
            }
        }
        free
    }

    pub(crate) fn own_blocks(
        &self,
        census: &[SubscriberCensus],
        subscriber: u64,
    ) -> Vec<PortRange> {
        let own = census.iter().find(|one| one.subscriber == subscriber);
        own.map_or_else(Vec::new, |own| own.blocks.clone())
    }

    /// What of its own port blocks a subscriber could have.
    pub(crate) fn own_ports(
        &self,
        own: &[PortRange],
        protocol: Protocol,
        at: Option<IpAddr>,
    ) -> Option<Tuple> {
        let own = own.iter().filter(|block| block.protocol == protocol);
        let own = own.filter(|block| at.is_none_or(|at| at == block.address));
        let mut tuples = own.flat_map(|block| self.tuples(*block));
        tuples.find(|tuple| self.is_dynamic(*tuple) && self.is_at_rest(tuple))
    }

    /// Whether a subscriber may have one port block more, once those that rest are given back.
    pub(crate) fn may_have_block(&self, own: &[PortRange], protocol: Protocol) -> bool {
        let blocks = self.policies().port_blocks.unwrap();
        let stay = |block: &&PortRange| !self.range_at_rest(**block);
        let all = own.iter().filter(stay).count();
        let of = own
            .iter()
            .filter(stay)
            .filter(|block| block.protocol == protocol);
        all < usize::from(blocks.most())
            && blocks
                .most_of(protocol)
                .is_none_or(|most| of.count() < most.into())
    }

    /// What there is for a subscriber out of port blocks, at one address or anywhere.
    pub(crate) fn in_blocks(
        &self,
        subscriber: u64,
        protocol: Protocol,
        at: Option<IpAddr>,
    ) -> Option<String> {
        let census = self.engine.subscribers();
        let own = self.own_blocks(&census, subscriber);
        if let Some(tuple) = self.own_ports(&own, protocol, at) {
            return Some(format!("{tuple:?} of its own {own:?}"));
        }
        if !self.may_have_block(&own, protocol) {
            return None;
        }
        let free = self.free_blocks(protocol, at, &census);
        free.first().map(|ports| format!("{ports:?} of {census:?}"))
    }

    /// What there is out of the whole pool, at one address or anywhere.
    pub(crate) fn in_pool(&self, protocol: Protocol, at: Option<IpAddr>) -> Option<String> {
        let range = self.pool.range(protocol).clone();
        let addresses = self.addresses();
        let addresses = addresses
            .into_iter()
            .filter(|&address| at.is_none_or(|at| at == address));
        let mut tuples = addresses.flat_map(|address| {
            range
                .clone()
                .map(move |port| (protocol, SocketAddr::new(address, port)))
        });
        let found = tuples.find(|&tuple| self.is_given(tuple) && self.is_at_rest(&tuple));
        found.map(|tuple| format!("{tuple:?}"))
    }

    /// What of its deterministic range a subscriber could have.
    pub(crate) fn in_range(&self, subscriber: u64, protocol: Protocol) -> Option<String> {
        let (address, range) = self.map.as_ref()?.range(subscriber, protocol)?;
        let mut tuples = range.map(|port| (protocol, SocketAddr::new(address, port)));
        let found = tuples.find(|tuple| self.is_at_rest(tuple));
        found.map(|tuple| format!("{tuple:?}"))
    }

    /// What there is at an address, or anywhere, by the pool's way.
    pub(crate) fn there(
        &self,
        subscriber: u64,
        protocol: Protocol,
        at: Option<IpAddr>,
    ) -> Option<String> {
        match self.policies().port_blocks {
            Some(_) => self.in_blocks(subscriber, protocol, at),
            None => self.in_pool(protocol, at),
        }
    }

    /// Something that a request could have been served from.
    pub(crate) fn missed(
        &self,
        subscriber: u64,
        protocol: Protocol,
        wish: Wish,
        paired: Option<IpAddr>,
    ) -> Option<String> {
        let wished = match wish {
            Wish::Address(at, strictness) => Some((self.address(at), strictness)),
            _ => None,
        };
        if let Some(map) = &self.map {
            let (own, _) = map.range(subscriber, protocol)?;
            if let Some((at, Strictness::Strict)) = wished
                && at != own
            {
                return self.in_blocks_if_any(subscriber, protocol, Some(at));
            }
            let strict = self.policies().pairing == Some(Strictness::Strict)
                || matches!(wished, Some((_, Strictness::Strict)));
            let at = strict.then_some(own);
            return self
                .in_range(subscriber, protocol)
                .or_else(|| self.in_blocks_if_any(subscriber, protocol, at));
        }
        if let Some((at, strictness)) = wished {
            let at = (strictness == Strictness::Strict).then_some(at);
            return self.there(subscriber, protocol, at);
        }
        // A pairing with an address that is the pool's no longer is given up.
        let paired = paired.filter(|&at| self.pool.contains(at));
        let at = paired.filter(|_| self.policies().pairing == Some(Strictness::Strict));
        self.there(subscriber, protocol, at)
    }

    pub(crate) fn in_blocks_if_any(
        &self,
        subscriber: u64,
        protocol: Protocol,
        at: Option<IpAddr>,
    ) -> Option<String> {
        self.policies().port_blocks?;
        self.in_blocks(subscriber, protocol, at)
    }
}
