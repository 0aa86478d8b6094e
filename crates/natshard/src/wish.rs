//! What a request wishes of a port, from the strongest wish to none.

use crate::block::{Mask, PORTS};
use crate::request::{Parity, Request};

/// A wish about a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wish {
    /// This very port.
    Port(u16),
    /// Of this parity.
    Parity(Parity),
    /// Any.
    Any,
}

impl Wish {
    /// The ports of a block that it allows.
    pub(crate) fn ports(self, block: usize) -> Mask {
        match self {
            Wish::Port(port) if usize::from(port) / PORTS == block => {
                [usize::from(port) % PORTS].into_iter().collect()
            }
            Wish::Port(_) => Mask::EMPTY,
            Wish::Parity(parity) => Mask::FULL.of_parity(parity),
            Wish::Any => Mask::FULL,
        }
    }
}

impl Request {
    /// Its wishes, the strongest first; the last is for any port.
    pub(crate) fn wishes(&self) -> impl Iterator<Item = Wish> + use<> {
        let near = self.near_port.map(Wish::Port);
        let parity = self.parity.or(self.near_port.map(Parity::of));
        let wishes = [near, parity.map(Wish::Parity), Some(Wish::Any)];
        wishes.into_iter().flatten()
    }

    /// Whether a lease by this wish departs from what was asked.
    pub(crate) fn departs(&self, wish: Wish) -> bool {
        wish == Wish::Any && (self.near_port.is_some() || self.parity.is_some())
    }
}
