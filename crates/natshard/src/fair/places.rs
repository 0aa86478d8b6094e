//! Where the addresses and port blocks are that accounts remember.
//!
//! An account names a space by its number. A shard that still works by an earlier layout, which
//! does not have that space yet, meets what another shard noted by a later one.

use std::net::IpAddr;

use crate::event::PortRange;
use crate::fair::account::Pairing;
use crate::fair::unit::PortBlock;
use crate::inner::Inner;
use crate::layout::Layout;
use crate::space::Space;

impl Inner {
    fn with_space<T>(&self, layout: &Layout, number: u16, look: impl FnOnce(&Space) -> T) -> T {
        if let Some(space) = layout.spaces.get(usize::from(number)) {
            return look(space);
        }
        // Whoever noted it works by a published layout, and the latest has all of its spaces.
        look(&self.latest.load().spaces[usize::from(number)])
    }

    /// The address an account remembers.
    pub(crate) fn address_of(&self, layout: &Layout, pairing: Pairing) -> IpAddr {
        self.with_space(layout, pairing.space, |space| {
            space.window.address(pairing.key)
        })
    }

    /// The public ports of a port block.
    pub(super) fn port_range(&self, layout: &Layout, block: PortBlock) -> PortRange {
        let (first, last) = block.unit.range();
        self.with_space(layout, block.at.space, |space| PortRange {
            protocol: space.protocol,
            address: space.window.address(block.at.key),
            first,
            last,
        })
    }
}
