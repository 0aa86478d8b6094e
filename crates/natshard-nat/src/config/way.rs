//! Where a packet in plain form goes that leaves a VPC, if nothing about its way is out of the
//! ordinary.

use super::{NatConfig, PeeringIndex, PoolIndex, Route, Selection, Share};
use crate::packet::PlainPacket;
use crate::tuple::VpcId;

/// The way of a packet whose source is leased from a pool, and whose destination stays.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    pub(crate) peering: PeeringIndex,
    pub(crate) outside: VpcId,
    pub(crate) pool: PoolIndex,
    pub(crate) share: Share,
}

impl Way {
    /// What the peering says about the packet.
    #[inline]
    pub(crate) const fn selection(&self) -> Selection {
        Selection {
            source: Some(self.pool),
            privileged: None,
            share: self.share,
            destination: None,
        }
    }
}

impl NatConfig {
    /// The way of such a packet; `None` for all others: local ones, those to a public address of
    /// ours on either side, those of a source or to a destination with a rule of its own.
    #[inline]
    pub(crate) fn plain_way(&self, vpc: VpcId, packet: &PlainPacket) -> Option<Way> {
        let (source, destination) = (packet.source(), packet.destination());
        let Some(Route::Peering(peering)) = self.route(vpc, destination) else {
            return None;
        };
        let table = &self.peerings[peering.as_index()];
        let outside = table.peering.outside_vpc();
        let pools = table.sources[packet.protocol.as_index()].get(source)?;
        let is_odd = self.public_pool(vpc, destination).is_some()
            || self.public_pool(outside, destination).is_some()
            || table.destinations.get(destination).is_some()
            || pools.privileged.is_some() && packet.source_port().is_well_known();
        if is_odd {
            return None;
        }
        Some(Way {
            peering,
            outside,
            pool: pools.pool,
            share: pools.share,
        })
    }
}
