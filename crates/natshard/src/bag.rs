//! Many hands in place of one, for the hardened order: the next port is any of thousands.
//!
//! A shard that leases out of one block tells who sees its ports that the next one is among those
//! left of that block. Here it holds ports of many blocks at once, and each of them is the next with
//! the same probability: a hand is drawn evenly, and kept if a draw out of 256 is below the number of
//! ports it has left. Blocks are taken on as long as all of their ports fit in, so that between
//! [`LEAST`] and [`MOST`] ports are in hand where there are so many.

use rand_chacha::rand_core::Rng;

use crate::block::PORTS;
use crate::worker::{Purpose, Work};

/// Ports in hand at most.
const MOST: usize = 16 * PORTS;
/// Ports in hand at least, where there are so many.
const LEAST: usize = MOST - PORTS;
/// Hands at most. A block that was drawn from for so long that all others came after it has four or
/// five ports left, which are given back.
const HANDS: usize = 64;
/// Draws before hands are weighed instead.
const DRAWS: usize = 32;
/// Leases before it is tried again to fill a bag up, where there is too little to fill it.
const PATIENCE: usize = 32;

/// The hands of one purpose.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bag {
    /// Numbers of allocators.
    hands: Vec<u32>,
    /// Leases until it is filled up again.
    lasts: usize,
}

impl Work<'_> {
    /// A hand with a port that is anybody's, each port with the same probability; `None` when the
    /// pool has none.
    pub(crate) fn draw_hand(&mut self, purpose: Purpose) -> Option<usize> {
        let first = self.worker.allocator_index(self.shard, purpose);
        let bags = &mut self.worker.bags;
        if bags.len() <= purpose.index() {
            bags.resize(purpose.index() + 1, Bag::default());
        }
        let mut bag = std::mem::take(&mut bags[purpose.index()]);
        if bag.hands.is_empty() {
            bag.hands.push(first as u32);
        }
        if bag.lasts == 0 {
            self.fill(&mut bag, purpose);
        }
        let mut drawn = self.draw_of(&bag);
        if drawn.is_none() {
            // Given back meanwhile, for others asked.
            self.fill(&mut bag, purpose);
            drawn = self.draw_of(&bag);
        }
        bag.lasts = bag.lasts.saturating_sub(1);
        self.worker.bags[purpose.index()] = bag;
        drawn
    }

    fn left(&self, hand: u32) -> usize {
        self.worker.allocators[hand as usize].left()
    }

    fn draw_of(&mut self, bag: &Bag) -> Option<usize> {
        for _ in 0..DRAWS {
            let draw = self.worker.random.next_u32() as usize;
            // The bias is below 2^-10 of a hand's probability.
            let hand = bag.hands[((draw >> 16) * bag.hands.len()) >> 16];
            if draw % PORTS < self.left(hand) {
                return Some(hand as usize);
            }
        }
        // Few are left of many hands.
        let all: usize = bag.hands.iter().map(|&hand| self.left(hand)).sum();
        let mut place = self.worker.random.next_u32() as usize % all.max(1);
        let hand = bag.hands.iter().find(|&&hand| {
            let left = self.left(hand);
            let here = place < left;
            place = place.saturating_sub(left);
            here
        });
        hand.map(|&hand| hand as usize)
    }

    /// Takes on blocks until no further one fits in, or there is none; so many at most, for those
    /// that were reheated may have little to give.
    fn fill(&mut self, bag: &mut Bag, purpose: Purpose) {
        let mut all: usize = bag.hands.iter().map(|&hand| self.left(hand)).sum();
        for _ in 0..HANDS {
            if all + PORTS > MOST {
                break;
            }
            let hand = self.empty_hand(bag);
            all -= self.left(hand);
            // What lies in the other hands is had by drawing, and not by giving it back.
            if !self.refill(hand as usize, purpose, all == 0) {
                break;
            }
            all += self.left(hand);
        }
        bag.lasts = all.saturating_sub(LEAST).max(PATIENCE);
    }

    /// An empty hand; if there is none, a further one, or the one that has least.
    fn empty_hand(&mut self, bag: &mut Bag) -> u32 {
        let least = bag.hands.iter().min_by_key(|&&hand| self.left(hand));
        match least {
            Some(&hand) if self.left(hand) == 0 || bag.hands.len() == HANDS => hand,
            _ => {
                let hand = self.worker.new_allocator(self.shard) as u32;
                bag.hands.push(hand);
                hand
            }
        }
    }
}

#[cfg(test)]
mod tests;
