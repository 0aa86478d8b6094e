//! The port blocks that a subscriber holds.

use super::Books;
use crate::fair::counts::Counts;
use crate::protocol::Protocol;
use crate::sync::{MODEL, Word};

/// Port blocks one subscriber can hold.
pub(crate) const BLOCKS: usize = if MODEL { 2 } else { 16 };

impl<'a> Books<'a> {
    /// Charges a port block; `false` at the limit. The caller has charged a port, which keeps the
    /// active part.
    pub(crate) fn charge_block(&self, protocol: Protocol, each: u16, total: u16) -> bool {
        let Some(active) = self.active() else {
            return false;
        };
        loop {
            let held = Counts(active.blocks_held.get());
            let by = held.since(Counts::default());
            if by[protocol.as_index()] >= each || by.iter().sum::<u16>() >= total {
                return false;
            }
            let more = held.plus(protocol, 1);
            if active.blocks_held.exchange(held.0, more.0).is_ok() {
                return true;
            }
        }
    }

    /// Takes the charge of a port block back.
    pub(crate) fn uncharge_block(&self, protocol: Protocol) {
        let Some(active) = self.active() else { return };
        loop {
            let held = Counts(active.blocks_held.get());
            let less = held.minus(protocol, 1);
            if active.blocks_held.exchange(held.0, less.0).is_ok() {
                return;
            }
        }
    }

    /// How many port blocks are charged, by protocol.
    pub(crate) fn port_blocks(&self) -> [u16; 3] {
        let active = self.active();
        active.map_or([0; 3], |active| {
            Counts(active.blocks_held.get()).since(Counts::default())
        })
    }

    /// Remembers a port block that was charged.
    pub(crate) fn note_block(&self, bits: u64) {
        let Some(active) = self.active() else { return };
        // There are as many places as blocks can be charged.
        let place = active
            .blocks
            .iter()
            .find(|place| place.exchange(0, bits).is_ok());
        debug_assert!(place.is_some(), "a charged block has a place");
    }

    /// Forgets a port block; whether it was remembered.
    pub(crate) fn forget_block(&self, bits: u64) -> bool {
        self.active().is_some_and(|active| {
            let mut places = active.blocks.iter();
            places.any(|place| place.exchange(bits, 0).is_ok())
        })
    }

    /// The places of port blocks as they are now, to tell later whether they changed.
    pub(crate) fn blocks_now(&self) -> [u64; BLOCKS] {
        let active = self.active();
        std::array::from_fn(|place| active.map_or(0, |active| active.blocks[place].get()))
    }

    /// The port blocks remembered.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = u64> + use<'a> {
        let active = self.active();
        let places = active.into_iter().flat_map(|active| &active.blocks);
        places.map(Word::get).filter(|&bits| bits != 0)
    }
}
