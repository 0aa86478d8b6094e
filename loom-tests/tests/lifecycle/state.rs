//! What the model remembers.

use natshard::model::lifecycle::{BlockState, Phase};

pub const SHARDS: usize = 2;
pub const PORTS: usize = 2;
/// All ports of a block.
pub const FULL: u8 = (1 << PORTS) - 1;

/// A copy of a lease's token.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Token {
    pub port: usize,
    pub generation: u32,
    pub tag: u8,
}

/// The block of the address, in the words of the engine.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Block {
    /// The state word.
    pub word: u64,
    /// Ports that are nobody's.
    pub bits: u8,
    /// Those of them that have rested.
    pub rested: u8,
    pub tags: [u8; PORTS],
    /// Whether somebody reclaims it: at most one does.
    pub deferred: bool,
    /// Recycling waits for the bursts of these shards.
    pub waits: Option<u8>,
}

impl Block {
    pub fn fresh(generation: u32) -> Self {
        Block {
            word: BlockState::free(generation).to_bits(),
            bits: FULL,
            rested: FULL,
            tags: [0; PORTS],
            deferred: false,
            waits: None,
        }
    }

    pub fn state(&self) -> BlockState {
        BlockState::from_bits(self.word)
    }

    pub fn phase(&self) -> Phase {
        self.state().phase()
    }

    /// Applies a transition, if it may be; whether it was.
    pub fn apply(&mut self, next: Option<BlockState>) -> bool {
        if let Some(next) = next {
            self.word = next.to_bits();
        }
        next.is_some()
    }

    pub fn is_at_rest(&self) -> bool {
        self.bits == FULL && self.rested == FULL
    }
}

/// How far the giving back of a token has come.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Redeeming {
    /// Generation and port matched, in this life of the address.
    Matched(Token, u8),
    /// The generation matched again.
    Confirmed(Token, u8),
}

/// What a shard is about.
#[derive(Clone, Default, PartialEq, Eq, Hash, Debug)]
pub struct Shard {
    pub pinned: bool,
    /// Unissued ports, and whether nothing was issued of a block just claimed.
    pub hand: Option<(u8, bool)>,
    /// It won the mark of the block, and has yet to look whether that is empty.
    pub condemning: bool,
    /// With the bug: it looked, and has yet to mark.
    pub saw_empty: bool,
    pub redeeming: Option<Redeeming>,
}

/// A state of the model.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct State {
    /// The block, while the address is open.
    pub block: Option<Block>,
    /// How often the address was opened.
    pub life: u8,
    /// The first generation of the next life.
    pub floor: u32,
    pub shards: [Shard; SHARDS],
    /// Who has each port, by the token of the lease.
    pub leases: [Option<Token>; PORTS],
    /// A copy of some token, of a lease that lives or does not.
    pub copy: Option<Token>,
    /// A token gave back what was not its own.
    pub robbed: bool,
    /// What the last step brought about, for what must be possible.
    pub seen: u16,
}
