//! What can happen, and what must and must not come of it.

use natshard::model::lifecycle::{Phase, shard};
use stateright::{Model, Property};

use crate::state::{Block, FULL, PORTS, Redeeming, SHARDS, Shard, State, Token};

pub const FREE_IS_EMPTY: &str = "a free block has every port";
pub const TOKENS: &str = "a token gives back its own lease or nothing";

/// A fault of the life cycle.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bug {
    /// A reclaimer looks whether the block is empty, and marks it afterwards.
    ReclaimerChecksThenActs,
    /// Recycling does not wait for the bursts of its moment.
    RecycleWithoutGrace,
    /// A reopened address begins with the first generation again.
    FloorForgotten,
    /// A reheated port bears the tag it had.
    ReheatKeepsTheTag,
}

/// The model.
#[derive(Clone, Copy, Default, Debug)]
pub struct Machine {
    /// Blocks are assigned to subscribers instead of being heated.
    pub assigned: bool,
    pub bug: Option<Bug>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Action {
    Pin(usize),
    Unpin(usize),
    Open,
    Claim(usize),
    Assign(usize),
    Reheat(usize),
    Issue(usize),
    /// Of an assigned block.
    Take(usize, usize),
    LetGo(usize),
    Release(usize),
    Copy(usize),
    /// A hold-down passes.
    Rest,
    LookEmpty(usize),
    Mark(usize),
    Verify(usize),
    Recycle,
    Close,
    Match(usize),
    Confirm(usize),
    Redeem(usize),
}

/// What must be possible, by bit of `State::seen`.
const POSSIBLE: [&str; 9] = [
    "a block is reheated",
    "a marked block is reheated before it is recycled",
    "a mark is taken back",
    "a block is recycled",
    "a block is handed back untouched",
    "an address is closed and opened again",
    "leases of two generations or tags of one port are met by a token",
    "a copy gives its lease back",
    "an assigned block is recycled",
];

fn see(state: &mut State, what: usize) {
    state.seen |= 1 << what;
}

impl Machine {
    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    fn step(&self, state: &mut State, action: Action) -> Option<()> {
        let pins = |state: &State| -> u8 {
            let all = state.shards.iter().enumerate();
            all.map(|(index, one)| u8::from(one.pinned) << index).sum()
        };
        match action {
            Action::Pin(s) => {
                let shard = &mut state.shards[s];
                (!shard.pinned).then(|| shard.pinned = true)
            }
            Action::Unpin(s) => {
                let shard = &mut state.shards[s];
                let busy = shard.condemning || shard.saw_empty || shard.redeeming.is_some();
                if !shard.pinned || busy {
                    return None;
                }
                shard.pinned = false;
                if let Some(waits) = state.block.as_mut().and_then(|block| block.waits.as_mut()) {
                    *waits &= !(1 << s);
                }
                Some(())
            }
            Action::Open => {
                if state.block.is_some() {
                    return None;
                }
                let floor = if self.has(Bug::FloorForgotten) {
                    0
                } else {
                    state.floor
                };
                state.block = Some(Block::fresh(floor));
                state.life += 1;
                if state.life > 1 {
                    see(state, 5);
                }
                Some(())
            }
            Action::Release(port) => {
                state.leases[port].take()?;
                let block = state.block.as_mut()?;
                block.bits |= 1 << port;
                block.rested &= !(1 << port);
                Some(())
            }
            Action::Copy(port) => {
                let token = state.leases[port]?;
                (state.copy != Some(token)).then(|| state.copy = Some(token))
            }
            Action::Rest => {
                let block = state.block.as_mut()?;
                (block.rested != block.bits).then(|| block.rested = block.bits)
            }
            Action::Recycle => {
                let block = state.block.as_mut()?;
                if block.waits? != 0 && !self.has(Bug::RecycleWithoutGrace) {
                    return None;
                }
                block.waits = None;
                block.deferred = false;
                let assigned = block.phase() == Phase::Assigned;
                if block.apply(block.state().recycle()) {
                    (block.tags, block.rested) = ([0; PORTS], block.bits);
                    see(state, if assigned { 8 } else { 3 });
                }
                Some(())
            }
            Action::Close => {
                let block = state.block.as_mut()?;
                if block.phase() != Phase::Free {
                    return None;
                }
                // Its memory stays until the bursts that could see it have ended; a claim there is
                // undone.
                state.floor = block.state().generation() + 1;
                state.block = None;
                Some(())
            }
            Action::Claim(s)
            | Action::Assign(s)
            | Action::Reheat(s)
            | Action::Issue(s)
            | Action::Take(s, _)
            | Action::LetGo(s) => self.lease(state, s, action),
            Action::LookEmpty(s) | Action::Mark(s) | Action::Verify(s) => {
                self.reclaim(state, s, action, pins(state))
            }
            Action::Match(s) | Action::Confirm(s) | Action::Redeem(s) => {
                self.redeem(state, s, action)
            }
        }
    }

    fn lease(&self, state: &mut State, s: usize, action: Action) -> Option<()> {
        let block = state.block.as_mut()?;
        let me = &mut state.shards[s];
        if !me.pinned {
            return None;
        }
        let token = |block: &Block, port: usize| Token {
            port,
            generation: block.state().generation(),
            tag: block.tags[port],
        };
        match action {
            Action::Claim(_) => {
                if me.hand.is_some() || !block.apply(block.state().claim(shard(s as u8))) {
                    return None;
                }
                me.hand = Some((block.bits, true));
                (block.bits, block.rested) = (0, 0);
            }
            Action::Assign(_) => {
                let untouched = me.hand == Some((FULL, true));
                if !untouched || !block.apply(block.state().assign(shard(s as u8))) {
                    return None;
                }
                me.hand = None;
                (block.bits, block.rested) = (FULL, FULL);
            }
            Action::Reheat(_) => {
                let rested = block.bits & block.rested;
                let marked = block.state().is_condemned();
                if me.hand.is_some()
                    || rested == 0
                    || !block.apply(block.state().reheat(shard(s as u8)))
                {
                    return None;
                }
                for port in 0..PORTS {
                    if rested >> port & 1 == 1 && !self.has(Bug::ReheatKeepsTheTag) {
                        block.tags[port] += 1;
                    }
                }
                me.hand = Some((rested, false));
                block.bits &= !rested;
                block.rested &= !rested;
                see(state, usize::from(marked));
                state.seen |= 1;
            }
            Action::Issue(_) => {
                let (left, _) = me.hand?;
                let port = left.trailing_zeros() as usize;
                if left == 0 {
                    return None;
                }
                me.hand = Some((left & !(1 << port), false));
                state.leases[port] = Some(token(block, port));
            }
            Action::Take(_, port) => {
                let free = block.bits & block.rested & 1 << port;
                if block.phase() != Phase::Assigned || free == 0 {
                    return None;
                }
                if block.apply(block.state().pardon()) {
                    state.seen |= 1 << 2;
                }
                block.tags[port] += 1;
                block.bits &= !free;
                block.rested &= !free;
                state.leases[port] = Some(token(block, port));
            }
            _ => {
                let (left, untouched) = me.hand.take()?;
                block.bits |= left;
                block.rested |= left;
                let by = shard(s as u8);
                let done = if untouched && left == FULL {
                    block.apply(block.state().abandon(by))
                } else {
                    block.apply(block.state().cool(by))
                };
                assert!(done, "who heats a block can let go of it");
                if untouched {
                    see(state, 4);
                }
            }
        }
        Some(())
    }

    fn reclaim(&self, state: &mut State, s: usize, action: Action, pins: u8) -> Option<()> {
        let block = state.block.as_mut()?;
        let me = &mut state.shards[s];
        let first = self.has(Bug::ReclaimerChecksThenActs);
        match action {
            Action::LookEmpty(_) => {
                let worth = first && me.pinned && !me.saw_empty && !block.deferred;
                if !worth || !block.is_at_rest() {
                    return None;
                }
                block.deferred = true;
                me.saw_empty = true;
            }
            Action::Mark(_) if first => {
                if !std::mem::take(&mut me.saw_empty) {
                    return None;
                }
                block.deferred = block.apply(block.state().condemn());
                block.waits = block.deferred.then_some(pins);
            }
            Action::Mark(_) => {
                if !me.pinned || block.deferred || !block.apply(block.state().condemn()) {
                    return None;
                }
                block.deferred = true;
                me.condemning = true;
            }
            _ => {
                if !std::mem::take(&mut me.condemning) {
                    return None;
                }
                let empty = block.is_at_rest();
                if !empty && block.apply(block.state().pardon()) {
                    state.seen |= 1 << 2;
                }
                // Reheated meanwhile, it bears the mark no longer.
                block.deferred = empty && block.state().is_condemned();
                block.waits = block.deferred.then_some(pins);
            }
        }
        Some(())
    }

    fn redeem(&self, state: &mut State, s: usize, action: Action) -> Option<()> {
        let me = &mut state.shards[s];
        let life = state.life;
        let here = state.block.as_mut();
        match (action, me.redeeming) {
            (Action::Match(_), None) if me.pinned => {
                let (token, block) = (state.copy?, here?);
                let leased = block.bits >> token.port & 1 == 0;
                if block.state().generation() != token.generation || !leased {
                    return None;
                }
                me.redeeming = Some(Redeeming::Matched(token, life));
            }
            (Action::Confirm(_), Some(Redeeming::Matched(token, then))) => {
                let same = here.is_some_and(|block| {
                    then == life && block.state().generation() == token.generation
                });
                me.redeeming = same.then_some(Redeeming::Confirmed(token, life));
            }
            (Action::Redeem(_), Some(Redeeming::Confirmed(token, then))) => {
                me.redeeming = None;
                // In an earlier life of the address all ports have come back.
                let Some(block) = here.filter(|_| then == life) else {
                    return Some(());
                };
                let port = token.port;
                let leased = block.bits >> port & 1 == 0;
                if !leased || block.tags[port] != token.tag {
                    state.seen |= u16::from(leased) << 6;
                    return Some(());
                }
                if state.leases[port] == Some(token) {
                    state.seen |= 1 << 7;
                    state.leases[port] = None;
                } else {
                    state.robbed = true;
                }
                block.bits |= 1 << port;
                block.rested &= !(1 << port);
            }
            _ => return None,
        }
        Some(())
    }
}

impl Model for Machine {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            block: None,
            life: 0,
            floor: 0,
            shards: std::array::from_fn(|_| Shard::default()),
            leases: [None; PORTS],
            copy: None,
            robbed: false,
            seen: 0,
        }]
    }

    fn actions(&self, _: &State, actions: &mut Vec<Action>) {
        use Action::*;
        actions.extend([Open, Rest, Recycle, Close]);
        for s in 0..SHARDS {
            actions.extend([Pin(s), Unpin(s), Claim(s), LetGo(s), LookEmpty(s)]);
            actions.extend([Mark(s), Verify(s)]);
            if self.assigned {
                actions.extend((0..PORTS).map(|port| Take(s, port)));
                actions.push(Assign(s));
            } else {
                actions.extend([Reheat(s), Issue(s)]);
            }
        }
        actions.extend((0..PORTS).map(Release));
        // Ports are alike and so are shards: one of each will do for tokens.
        actions.extend([Copy(0), Match(1), Confirm(1), Redeem(1)]);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut next = last.clone();
        next.seen = 0;
        self.step(&mut next, action)?;
        Some(next)
    }

    /// Two lives, two generations, three tags: what comes after repeats it.
    fn within_boundary(&self, state: &State) -> bool {
        state.life <= 2
            && state.block.as_ref().is_none_or(|block| {
                block.state().generation() <= 1 && block.tags.iter().all(|&tag| tag <= 2)
            })
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut all = vec![
            Property::always(
                "each port is nobody's, in one hand, or in one lease",
                conserved,
            ),
            Property::always(FREE_IS_EMPTY, |_, state: &State| {
                state.block.as_ref().is_none_or(|block| {
                    let free = block.phase() == Phase::Free;
                    !free || block.bits == FULL && state.leases == [None; PORTS]
                })
            }),
            Property::always(TOKENS, |_, state: &State| !state.robbed),
            Property::always("who heats a block has it in hand", |_, state: &State| {
                let heating = |block: &Block| block.phase() == Phase::Heating;
                let hands = state.shards.iter().filter(|one| one.hand.is_some());
                let block = state.block.as_ref();
                hands.count() == usize::from(block.is_some_and(heating))
            }),
            Property::always("a mark waits for somebody", |_, state: &State| {
                state
                    .block
                    .as_ref()
                    .is_none_or(|block| !block.state().is_condemned() || block.deferred)
            }),
        ];
        type Condition = fn(&Machine, &State) -> bool;
        let conditions: [Condition; 9] = [
            |_, state| state.seen & 1 != 0,
            |_, state| state.seen & 1 << 1 != 0,
            |_, state| state.seen & 1 << 2 != 0,
            |_, state| state.seen & 1 << 3 != 0,
            |_, state| state.seen & 1 << 4 != 0,
            |_, state| state.seen & 1 << 5 != 0,
            |_, state| state.seen & 1 << 6 != 0,
            |_, state| state.seen & 1 << 7 != 0,
            |_, state| state.seen & 1 << 8 != 0,
        ];
        let here = |what: usize| match what {
            0 | 1 | 3 => !self.assigned,
            8 => self.assigned,
            _ => true,
        };
        for (what, condition) in conditions.into_iter().enumerate() {
            if here(what) {
                all.push(Property::sometimes(POSSIBLE[what], condition));
            }
        }
        all.push(Property::sometimes(
            "in its second life the block was used and is at rest",
            |_: &Machine, state: &State| {
                let block = state.block.as_ref().filter(|_| state.life == 2);
                block.is_some_and(|block| block.state().is_handed_out() && block.is_at_rest())
            },
        ));
        all
    }
}

/// I1 and I2 in one: each port is somewhere once.
fn conserved(_: &Machine, state: &State) -> bool {
    let Some(block) = &state.block else {
        return state.leases == [None; PORTS];
    };
    (0..PORTS).all(|port| {
        let hands = state.shards.iter().filter_map(|one| one.hand);
        let in_hands: u32 = hands.map(|(left, _)| u32::from(left >> port & 1)).sum();
        let nobodys = u32::from(block.bits >> port & 1);
        in_hands + nobodys + u32::from(state.leases[port].is_some()) == 1
    })
}
