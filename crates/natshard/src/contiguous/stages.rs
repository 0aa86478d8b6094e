//! The places where a run is looked for.

use std::ptr::NonNull;
use std::sync::Arc;

use super::find::Give;
use super::{Effort, Search, Spot, Walk};
use crate::hints::Hint;
use crate::region::Region;
use crate::sweep::PER_REFILL;
use crate::worker::Work;

/// Torn blocks looked at before a free one is taken.
const LOOKS: usize = 8;
/// The same for what can be departed from, where the first that serves is taken.
const LOOKS_FOR_ANY: usize = 192;
/// Addresses looked at for what can be departed from.
const WALK: usize = 1024;

impl Work<'_> {
    /// The places that are cheap to look at, in the order that tears least.
    pub(super) fn try_near_at_hand(&mut self, search: &mut Search<'_>, give: Give<'_>) -> bool {
        self.try_hands(search, give) || self.try_torn(search, give) || self.try_free(search, give)
    }

    /// The block in hand; of a single address, also the one in the hand for that address.
    fn try_hands(&mut self, search: &mut Search<'_>, give: Give<'_>) -> bool {
        let paired = search
            .page
            .and_then(|page| self.worker.address_index(search.purpose, page.address));
        let general = self.worker.general_index(search.purpose);
        paired.into_iter().chain(general).any(|allocator| {
            let hand = &self.worker.allocators[allocator];
            let Some((page, block)) = hand.block() else {
                return false;
            };
            let there = search.page.is_none_or(|only| std::ptr::eq(only, page));
            if !there || !search.blocks.contains(block) {
                return false;
            }
            let wanted = hand.unissued();
            let most = search.sought.most;
            let spot = Spot {
                page: NonNull::from(page),
                block,
                wanted,
            };
            search.sought.fits(&wanted, most)
                && self.take_spot(search, &spot, most, self.rest(), give)
        })
    }

    /// Of a few torn blocks, the one whose longest run is the shortest that will do. At the cap of
    /// cooling ports, failing that, one that has rested longest of those that have not yet.
    fn try_torn(&mut self, search: &mut Search<'_>, give: Give<'_>) -> bool {
        let (most, rest) = (search.sought.most, self.rest());
        let torn = self.tightest(search, &[Hint::HALF, Hint::RIPE], rest);
        if torn.is_some_and(|spot| self.take_spot(search, &spot, most, rest, give)) {
            return true;
        }
        let now = self.inner.ground.clock.slice();
        self.is_at_the_cap()
            && (0..rest).rev().any(|age| {
                let hint = Hint::resting(now.saturating_sub(age));
                let spot = self.tightest(search, &[hint], age);
                spot.is_some_and(|spot| self.take_spot(search, &spot, most, age, give))
            })
    }

    fn tightest(&mut self, search: &mut Search<'_>, hints: &[Hint], rest: u64) -> Option<Spot> {
        let (sought, most) = (search.sought, search.sought.most);
        let mut found: Option<(usize, Spot)> = None;
        // For a sought that can be departed from the first will do.
        let any = search.effort == Effort::Little;
        let mut looks = if any { LOOKS_FOR_ANY } else { LOOKS };
        let mut walk = self.walk(Effort::Little);
        for &hint in hints {
            for region in search.regions() {
                let done = search.walk_hinted(region, hint, &mut walk, |search, page, block| {
                    if let Some((ports, spot)) =
                        self.look(search, region, (page, block), rest, most)
                        && found.is_none_or(|(len, _)| !sought.fits(&ports, len))
                    {
                        found = Some((sought.longest(&ports), spot));
                    }
                    looks -= 1;
                    looks == 0 || found.is_some_and(|(len, _)| any || len == most)
                });
                if done {
                    self.worker.set_cursor = walk.cursor;
                    return found.map(|(_, spot)| spot);
                }
            }
        }
        found.map(|(_, spot)| spot)
    }

    /// Free blocks, until one serves or whoever asks turns out to have no share left.
    fn try_free(&mut self, search: &mut Search<'_>, give: Give<'_>) -> bool {
        if self.is_refused(search.pool, search.purpose.protocol) {
            return false;
        }
        self.worker.short = false;
        let mut walk = self.walk(search.effort);
        let (rest, mut had) = (self.rest(), false);
        for region in search.regions() {
            search.walk_hinted(region, Hint::FREE, &mut walk, |search, page, block| {
                had = self.try_block(search, region, (page, block), rest, give);
                had || self.worker.short
            });
            if had || self.worker.short {
                break;
            }
        }
        self.worker.set_cursor = walk.cursor;
        had
    }

    fn walk(&mut self, effort: Effort) -> Walk {
        Walk {
            cursor: self.worker.set_cursor,
            spin: self.worker.spin(),
            budget: match effort {
                Effort::Little => WALK,
                Effort::All => usize::MAX,
            },
        }
    }

    /// Blocks of addresses that are not open yet, in regions that have runs of `least` ports.
    pub(super) fn try_new(
        &mut self,
        search: &mut Search<'_>,
        least: usize,
        give: Give<'_>,
    ) -> bool {
        if search.page.is_some() || self.is_refused(search.pool, search.purpose.protocol) {
            return false;
        }
        let mut swept = false;
        for region in search.regions() {
            if region.closed_address().is_none() && region.next_address().is_none() {
                continue;
            }
            let reach = search.reach(region);
            if reach < least || reach <= search.best_len() {
                continue;
            }
            if !swept {
                // Before memory grows: what awaits its grace period could be free soon, and blocks
                // that nobody has looked at since they rested can be had.
                swept = true;
                self.seal();
                self.sweep(PER_REFILL);
                if self.try_near_at_hand(search, give) {
                    return true;
                }
            }
            if self.open_for(search, region, give) {
                return true;
            }
        }
        false
    }

    fn open_for(&mut self, search: &mut Search<'_>, region: &Arc<Region>, give: Give<'_>) -> bool {
        let layout = self.layout;
        let reach = search.reach(region);
        self.worker.short = false;
        while reach > search.best_len() {
            let record = match region.closed_address() {
                Some(record) => record,
                None => {
                    // Another shard's half-done enlisting is completed here, not waited for.
                    let Some((number, key)) = region.next_address() else {
                        return self.try_free(search, give);
                    };
                    let record = region.space.record(key);
                    self.inner.enlist(self.pin, &region.space, record, layout);
                    region.enlisted(number);
                    record
                }
            };
            let page = self.open(&region.space, record);
            let free = page.hinted(Hint::FREE, &search.blocks(region));
            let spin = self.worker.spin();
            let rest = self.rest();
            for block in free.iter_from(spin) {
                if self.try_block(search, region, (page, block), rest, give) {
                    return true;
                }
                if self.worker.short {
                    return false;
                }
            }
        }
        false
    }

    /// Every block that hints lead to or, `exhaustive`, every block there is.
    pub(super) fn try_all(
        &mut self,
        search: &mut Search<'_>,
        exhaustive: bool,
        give: Give<'_>,
    ) -> bool {
        let (now, rest) = (self.inner.ground.clock.slice(), self.rest());
        let had = search.regions().any(|region| {
            if exhaustive {
                return search.walk_all(region, |search, page, block| {
                    self.try_block(search, region, (page, block), rest, give)
                });
            }
            let rested = Hint::rested(now, rest, region.swept.get());
            let mut hints = [Hint::HALF, Hint::RIPE].into_iter().chain(rested);
            let mut walk = self.walk(Effort::All);
            hints.any(|hint| {
                search.walk_hinted(region, hint, &mut walk, |search, page, block| {
                    self.try_block(search, region, (page, block), rest, give)
                })
            })
        });
        had || self.is_at_the_cap() && self.try_all_early(search, give)
    }

    /// Every block, before its time, in four steps: the longer it has rested the sooner.
    fn try_all_early(&mut self, search: &mut Search<'_>, give: Give<'_>) -> bool {
        let rests = [3, 2, 1, 0].map(|quarters| self.rest() * quarters / 4);
        rests.into_iter().any(|rest| {
            search.regions().any(|region| {
                search.walk_all(region, |search, page, block| {
                    self.try_block(search, region, (page, block), rest, give)
                })
            })
        })
    }
}
