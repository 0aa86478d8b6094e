//! The blocks a shard comes back for, by itself and in order.
//!
//! Which blocks are due for a visit the marks tell, to every shard alike. This is what a shard knows
//! beside them: the blocks it let go of last, and when each of them is due. It visits those first,
//! so that their cache lines stay where they are. Nothing depends on it: a block that is missing here
//! is found by its mark, one slice later, and one that somebody else visited meanwhile no longer has
//! the mark.

use std::collections::VecDeque;
use std::ptr::NonNull;

use crate::hints::Hint;
use crate::page::Page;
use crate::space::Record;
use crate::worker::Work;

/// Blocks remembered at most, 24 bytes each: 33 million ports that rest.
const MOST: usize = 1 << 17;
/// How many blocks ahead their memory is asked for.
const AHEAD: usize = 3;
/// A mark so many slices old is told apart from a new one in any case.
const TOLD_APART: u64 = crate::hints::BUCKETS as u64 - 2;

/// A block, and the slice under which it was marked.
#[derive(Clone, Copy, Debug)]
struct Due {
    record: NonNull<Record>,
    block: u8,
    slice: u64,
}

// SAFETY: records live as long as the engine, which the shard keeps alive, and are `Sync`.
unsafe impl Send for Due {}

/// What a shard has to come back for.
#[derive(Debug, Default)]
pub(crate) struct Rounds {
    /// Blocks that it let go of.
    first: VecDeque<Due>,
    /// Those that were visited already, and are due again.
    again: VecDeque<Due>,
}

impl Rounds {
    /// A block was let go of that stands marked under this slice.
    pub(crate) fn add(&mut self, page: &Page, block: usize, slice: u64) {
        add(&mut self.first, page, block, slice);
    }
}

fn add(queue: &mut VecDeque<Due>, page: &Page, block: usize, slice: u64) {
    if queue.len() < MOST {
        queue.push_back(Due {
            record: page.record().into(),
            block: block as u8,
            slice,
        });
    }
}

impl Due {
    fn page(&self) -> Option<&Page> {
        // SAFETY: records live as long as the engine.
        unsafe { self.record.as_ref() }.page()
    }
}

impl Work<'_> {
    /// Visits the blocks of this shard that are due, so many at most; says how many more it might
    /// have visited.
    pub(crate) fn make_rounds(&mut self, budget: usize) -> usize {
        let mut rounds = std::mem::take(&mut self.worker.rounds);
        let budget = self.visit_due(&mut rounds.again, None, budget);
        let budget = self.visit_due(&mut rounds.first, Some(&mut rounds.again), budget);
        self.worker.rounds = rounds;
        budget
    }

    fn visit_due(
        &mut self,
        queue: &mut VecDeque<Due>,
        mut again: Option<&mut VecDeque<Due>>,
        mut budget: usize,
    ) -> usize {
        let now = self.inner.ground.clock.slice();
        while let Some(&due) = queue.front()
            && now >= due.slice.saturating_add(self.rest())
            && budget > 0
        {
            queue.pop_front();
            if let Some(page) = queue.get(AHEAD).and_then(Due::page) {
                page.block(queue[AHEAD].block.into()).prefetch();
            }
            let (block, hint) = (due.block as usize, Hint::resting(due.slice));
            let Some(page) = due.page() else { continue };
            if !page.hints.contains(hint, block) {
                // Somebody was here before.
                continue;
            }
            budget -= 1;
            let told_apart = (now - due.slice < TOLD_APART).then_some(now);
            let marked = self.visit(page, block, hint, told_apart);
            if let (Some(slice), Some(again)) = (marked, &mut again) {
                add(again, page, block, slice);
            }
        }
        budget
    }
}
