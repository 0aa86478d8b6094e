//! A block assigned to subscribers: owner words, ports won by their stamps, clock and epoch.

use std::time::Duration;

use crate::block::{Block, BlockRef, Cold, Mask, Phase, Taken};
use crate::clock::Clock;
use crate::fair::titles::{Missed, Owner, Titles, Unclaimed};
use crate::fair::unit::Unit;
use crate::id::ShardId;
use crate::reclaim::{Participant, Reclaimer};
use crate::tick::Tick;

/// The first quarter of a port block, and how many it has. A quarter of a model is one port.
pub type Quarters = (usize, usize);

/// How a claim of a port block ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Claim {
    Got,
    Owned,
    Recycled,
}

/// How the taking of a port ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Take {
    Got(usize),
    Nothing,
    /// Got, and put back because the port block had gone.
    PutBack,
}

/// The block. A tick is a slice, and a port rests for [`REST`](Self::REST) of them, or not at all.
pub struct Assigned {
    block: Block,
    cold: Cold,
    titles: Titles,
    clock: Clock,
    reclaimer: Reclaimer,
}

impl Assigned {
    pub const REST: u64 = 3;

    /// Assigned, and nobody's.
    pub fn new(rests: bool) -> Self {
        let hold_down = if rests { Self::REST - 1 } else { 0 };
        let clock = Clock::new(Duration::from_millis(hold_down));
        assert_eq!(clock.rest(), if rests { Self::REST } else { 0 });
        let new = Assigned {
            block: Block::new(0),
            cold: Cold::new(),
            titles: Titles::new(),
            clock,
            reclaimer: Reclaimer::default(),
        };
        assert!(new.assign(0));
        new
    }

    fn here(&self) -> BlockRef<'_> {
        BlockRef::new(&self.block, &self.cold, 0)
    }

    fn unit((first, count): Quarters) -> Unit {
        Unit {
            block: 0,
            first,
            count,
        }
    }

    pub fn join(&self) -> Participant {
        self.reclaimer.join()
    }

    /// Brings a tick.
    pub fn bring(&self, slice: u64) {
        self.clock.bring(Tick::from_millis(slice));
    }

    pub fn slice(&self) -> u64 {
        self.clock.slice()
    }

    /// From free to assigned, cut into port blocks of one quarter; whether it was free.
    pub fn assign(&self, shard: u8) -> bool {
        let (here, shard) = (self.here(), ShardId(shard));
        let won = here.claim(shard);
        if won {
            here.take_fresh(shard, &Mask::EMPTY, &self.clock);
            self.titles.lay_out(0, 1, &Mask::FULL);
            assert!(here.assign(shard), "only the owner assigns a block");
        }
        won
    }

    /// From free to leased by a shard, all of it; whether it was free.
    pub fn heat(&self, shard: u8) -> bool {
        let (here, shard) = (self.here(), ShardId(shard));
        let won = here.claim(shard);
        if won {
            here.take_fresh(shard, &Mask::FULL, &self.clock);
        }
        won
    }

    pub fn is_assigned(&self) -> bool {
        self.here().state().phase() == Phase::Assigned
    }

    pub fn is_condemned(&self) -> bool {
        self.here().state().is_condemned()
    }

    /// The account whose a quarter is.
    pub fn owner(&self, quarter: usize) -> Option<u32> {
        self.titles.owner(0, quarter).number()
    }

    /// Whether nobody owns anything of it.
    pub fn is_unowned(&self) -> bool {
        self.titles.is_unowned(0)
    }

    /// Claims a port block. The caller is pinned if the block can be recycled.
    pub fn claim(&self, quarters: Quarters, account: u32) -> Claim {
        let owner = Owner::account(account);
        match self
            .titles
            .claim_in(Self::unit(quarters), owner, self.here())
        {
            Ok(()) => Claim::Got,
            Err(Unclaimed::Owned) => Claim::Owned,
            Err(Unclaimed::Recycled) => Claim::Recycled,
        }
    }

    /// Takes the first rested port of a port block if that is this account's. The caller is
    /// pinned if the block can be recycled.
    pub fn take(&self, shard: u8, quarters: Quarters, account: u32) -> Take {
        let unit = Self::unit(quarters);
        let taken = self.titles.take(
            unit,
            Owner::account(account),
            self.here(),
            (ShardId(shard), &self.clock),
            &unit.ports(),
            |_| 0,
        );
        match taken {
            Ok(Taken { port }) => Take::Got(port),
            Err(Missed::Nothing) => Take::Nothing,
            Err(Missed::PutBack) => Take::PutBack,
        }
    }

    /// Takes this port if it has rested, whoever owns its port block.
    pub fn take_port(&self, shard: u8, port: usize) -> bool {
        let taken = self.here().try_take(port, ShardId(shard), &self.clock);
        taken.is_some()
    }

    /// Puts back a port taken in vain.
    pub fn put_back(&self, port: usize) {
        self.here().put_back_taken(Taken { port });
    }

    /// Releases a leased port, which has to rest where ports do.
    pub fn release(&self, port: usize) {
        self.here()
            .give_back(port, self.clock.moment(), &self.clock);
    }

    /// Forgets the stamps of ports that have rested.
    pub fn refresh(&self) {
        self.here().refresh(&self.clock);
    }

    /// Whether a port is leased, or in somebody's hand.
    pub fn is_taken(&self, port: usize) -> bool {
        !self.here().nobodys().contains(port)
    }

    /// The ports that can be taken at this moment.
    pub fn at_rest(&self) -> Vec<usize> {
        self.here()
            .at_rest(&self.clock, &Mask::FULL)
            .iter()
            .collect()
    }

    /// Gives a port block back. `last` runs before anybody else can have it, and may say no.
    pub fn give_unit_back(
        &self,
        quarters: Quarters,
        account: u32,
        last: impl FnOnce() -> bool,
    ) -> bool {
        let owner = Owner::account(account);
        self.titles
            .give_back(Self::unit(quarters), owner, self.here(), &self.clock, last)
    }

    /// Condemns the block if it is at rest and nobody's.
    pub fn condemn(&self) -> bool {
        self.here().begin_deferral() && {
            let won = self
                .here()
                .condemn_unless(&self.clock, || !self.titles.is_unowned(0));
            if !won {
                self.block.deferred.set(false);
            }
            won
        }
    }

    /// Recycles a condemned block.
    pub fn recycle(&self) -> bool {
        let done = self.here().recycle();
        self.block.deferred.set(false);
        done
    }
}
