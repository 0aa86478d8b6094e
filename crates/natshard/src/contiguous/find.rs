//! The search for a run: what is tried in turn, and when it is given up.

use std::ptr::NonNull;
use std::sync::Arc;

use rand_chacha::rand_core::Rng;

use super::{Effort, Outcome, Place, Search, SetRefusal, Spot};
use crate::block::{Mask, Phase};
use crate::config::PortOrder;
use crate::lease::Lease;
use crate::page::Page;
use crate::refill::Refusal;
use crate::region::Region;
use crate::worker::Work;

/// How often a search is begun anew when others were faster.
const ROUNDS: usize = 8;

/// Who is given the leases.
pub(super) type Give<'g> = &'g mut dyn FnMut(Lease);

impl Work<'_> {
    /// Leases a run as the search wishes, and hands its leases to `give`, ascending.
    pub(crate) fn find_run(
        &mut self,
        search: &mut Search<'_>,
        effort: Effort,
        give: Give<'_>,
    ) -> Outcome {
        search.draw = self.draw_place();
        search.effort = effort;
        match effort {
            Effort::Little if self.try_a_little(search, give) => Outcome::Had(search.sought.most),
            Effort::Little => Outcome::NoRun,
            Effort::All => self.find_any_run(search, give),
        }
    }

    /// A random number for the place of a run within its block.
    pub(crate) fn draw_place(&mut self) -> u32 {
        match self.inner.order {
            PortOrder::Random | PortOrder::Hardened => self.worker.random.next_u32(),
            PortOrder::Linear => 0,
        }
    }

    fn try_a_little(&mut self, search: &mut Search<'_>, give: Give<'_>) -> bool {
        if self.try_near_at_hand(search, give) {
            return true;
        }
        // An address has one place for a run at a given port, thousands for others: only for those
        // it is opened while others are open.
        let unopened = |region: &Arc<Region>| region.open.get() == 0;
        let given = matches!(search.sought.place, Place::At(_));
        (!given || search.regions().all(unopened)) && self.try_new(search, search.sought.most, give)
    }

    fn find_any_run(&mut self, search: &mut Search<'_>, give: Give<'_>) -> Outcome {
        let (mut surrendered, mut exhaustive) = (false, false);
        for _ in 0..ROUNDS {
            let before = self.watch(search.pool, search.purpose);
            if let Some(outcome) = self.known_refusal(search, before) {
                return outcome;
            }
            (search.best, search.any) = (None, false);
            if self.try_near_at_hand(search, give) {
                return Outcome::Had(search.sought.most);
            }
            let reach = search.regions().map(|region| search.reach(region)).max();
            match reach.unwrap_or(0) {
                0 => return Outcome::Never,
                // No block can ever have more.
                reach if reach < search.sought.most => {
                    search.sought.most = reach;
                    continue;
                }
                _ => {}
            }
            if self.try_new(search, search.sought.most, give)
                || self.try_all(search, exhaustive, give)
                || (surrendered && self.try_new(search, search.sought.least, give))
            {
                return Outcome::Had(search.sought.most);
            }
            if !surrendered {
                surrendered = true;
                self.surrender_searched(search);
                continue;
            }
            let unchanged = self.moment(search.pool, search.purpose) == before;
            match search.best {
                // Before less than the most is settled for: what came in between may be longer.
                Some(_) if !exhaustive && !unchanged => {}
                Some((len, spot)) if self.take_spot(search, &spot, len, self.rest(), give) => {
                    return Outcome::Had(len);
                }
                // Somebody was faster.
                Some(_) => {}
                None if exhaustive || unchanged => {
                    return self.refuse(search, before);
                }
                None => {}
            }
            exhaustive = true;
        }
        self.want(search.pool, search.purpose.protocol);
        Outcome::NoRun
    }

    fn known_refusal(&self, search: &Search<'_>, now: Refusal) -> Option<Outcome> {
        let known = (*self.worker.set_refusals.get(search.purpose.index())?)?;
        let stands = search.is_general() && self.rest() > 0 && known.covers(&search.sought, now);
        stands.then_some(known.outcome)
    }

    fn refuse(&mut self, search: &Search<'_>, moment: Refusal) -> Outcome {
        let outcome = if search.any {
            Outcome::NoRun
        } else {
            Outcome::Full
        };
        if search.is_general() && !self.is_at_the_cap() {
            let index = search.purpose.index();
            let known = &mut self.worker.set_refusals;
            if known.len() <= index {
                known.resize(index + 1, None);
            }
            known[index] = Some(SetRefusal {
                moment,
                least: search.sought.least,
                parity: search.sought.parity,
                outcome,
            });
        }
        // What is missing may lie in other hands.
        self.want(search.pool, search.purpose.protocol);
        outcome
    }

    /// Gives the blocks in this shard's hands back that the search could be served from: ports in
    /// hand and ports released since of the same block may make a run together.
    fn surrender_searched(&mut self, search: &Search<'_>) {
        let Some(page) = search.page else {
            self.surrender_shared(search.pool, search.purpose);
            return;
        };
        for allocator in 0..self.worker.allocators.len() {
            let held = self.worker.allocators[allocator].block();
            let same = |held: &Page| std::ptr::eq(held, page);
            if held
                .is_some_and(|(held, block)| same(held) && self.is_ours(search.pool, page, block))
            {
                self.surrender(allocator);
            }
        }
    }

    /// Looks at a block; says which of its ports can be leased if they have a run of `floor`.
    pub(super) fn look(
        &self,
        search: &mut Search<'_>,
        region: &Region,
        (page, block): (&Page, usize),
        rest: u64,
        floor: usize,
    ) -> Option<(Mask, Spot)> {
        let here = page.block(block);
        let wanted = region.mask(search.pool.id, block);
        let ports = match here.state().phase() {
            Phase::Free if !self.is_refused(search.pool, page.protocol) => wanted,
            Phase::Cooling if !here.is_judged() && self.is_ours(search.pool, page, block) => {
                // The rest of each port is only asked where it matters.
                if search.any && !search.sought.fits(&here.nobodys().and(&wanted), floor) {
                    return None;
                }
                let clock = &self.inner.ground.clock;
                here.rest(clock, rest).rested.and(&wanted)
            }
            _ => return None,
        };
        search.any |= !ports.is_empty();
        let spot = Spot {
            page: NonNull::from(page),
            block,
            wanted,
        };
        search.sought.fits(&ports, floor).then_some((ports, spot))
    }

    /// Takes a run of `count` ports where one was seen.
    pub(super) fn take_spot(
        &mut self,
        search: &Search<'_>,
        spot: &Spot,
        count: usize,
        rest: u64,
        give: Give<'_>,
    ) -> bool {
        // SAFETY: the page was linked when it was seen, in this burst, whose pin keeps it.
        let page = unsafe { spot.page.as_ref() };
        let sought = search.sought;
        let choose = |ports: &Mask| sought.pick(&ports.and(&spot.wanted), count, search.draw);
        let taken = self.take(page, spot.block, search.pool, rest, &choose, give);
        !taken.is_empty()
    }

    /// Looks at a block and takes all that is wished for, or remembers a run that is shorter.
    pub(super) fn try_block(
        &mut self,
        search: &mut Search<'_>,
        region: &Region,
        (page, block): (&Page, usize),
        rest: u64,
        give: Give<'_>,
    ) -> bool {
        let floor = search.best_len().max(search.sought.least - 1) + 1;
        let Some((ports, spot)) = self.look(search, region, (page, block), rest, floor) else {
            return false;
        };
        let most = search.sought.most;
        if search.sought.fits(&ports, most) {
            return self.take_spot(search, &spot, most, rest, give);
        }
        search.best = Some((search.sought.longest(&ports), spot));
        false
    }
}

#[cfg(test)]
mod tests;
