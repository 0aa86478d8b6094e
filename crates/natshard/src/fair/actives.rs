//! The active parts of accounts: lent while a subscriber holds anything.
//!
//! A part is known by its number. Parts given back are kept warm for the next subscriber, up to
//! [`WARM`] of them; the memory of further ones is freed, and their numbers are kept.

use std::ptr::{null_mut, without_provenance_mut};
use std::sync::Arc;

use crate::chunks::Chunks;
use crate::fair::account::Active;
use crate::fields::join;
use crate::lease::SendPtr;
use crate::planted::{self, Bug};
use crate::reclaim::Pin;
use crate::sync::{Counter, Link, MODEL, Word};

/// Spare parts whose memory is kept.
const WARM: u64 = if MODEL { 1 } else { 4096 };

/// The place of one part: a box, or, for a cold number, the next cold one (odd).
#[derive(Debug, Default)]
struct Place(Link<Active>);

impl Place {
    /// The caller is pinned.
    fn part(&self) -> Option<&Active> {
        let part = self.0.get();
        let lent = !part.is_null() && part.addr().is_multiple_of(2);
        // SAFETY: an even link holds a box leaked by `Actives::take`, which is freed with its
        // place, or a grace period after the place forgot it.
        lent.then(|| unsafe { &*part })
    }

    /// The place of a number that lies on this one, and one more, in the stack of cold ones.
    fn chill(&self, next: u32) {
        self.0.set(without_provenance_mut(2 * next as usize + 1));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.part().is_some() {
            // SAFETY: the place owns its part and is going away.
            drop(unsafe { Box::from_raw(self.0.get()) });
        }
    }
}

/// A stack of numbers: the top and one more (bits 0-31), changes (32-63), which tell a top that
/// went and came back.
#[derive(Debug, Default)]
struct Stack(Word);

impl Stack {
    /// Pushes a number; `link` notes which one it lies on (and one more).
    fn push(&self, number: u32, link: impl Fn(u32)) {
        loop {
            let top = self.0.get();
            link(top as u32);
            let changes = (top >> 32).wrapping_add(1) << 32;
            if self
                .0
                .exchange(top, join([changes, u64::from(number + 1)]))
                .is_ok()
            {
                return;
            }
        }
    }

    /// Pops a number; `below` says which one it lies on (and one more), if it still is on a stack.
    fn pop(&self, below: impl Fn(u32) -> Option<u32>) -> Option<u32> {
        loop {
            let top = self.0.get();
            let number = (top as u32).checked_sub(1)?;
            let Some(next) = below(number) else {
                // Somebody else popped it: the top has changed.
                continue;
            };
            let changes = (top >> 32).wrapping_add(1) << 32;
            if self
                .0
                .exchange(top, join([changes, u64::from(next)]))
                .is_ok()
            {
                return Some(number);
            }
        }
    }
}

/// All active parts of an engine. Deferred work holds on to them.
#[derive(Debug, Default)]
pub(crate) struct Actives {
    places: Chunks<Place>,
    used: Counter,
    warm: Stack,
    /// How many are warm, or about to be.
    warm_len: Word,
    cold: Stack,
}

impl Actives {
    /// How many numbers there are.
    pub(crate) fn len(&self) -> u64 {
        self.used.get()
    }

    /// A part by number; `None` while it has no memory. The caller is pinned.
    pub(super) fn get(&self, number: u32) -> Option<&Active> {
        self.places.get(number as usize)?.part()
    }

    /// The account a part is lent to.
    pub(crate) fn owner(&self, number: u32) -> Option<u32> {
        (self.get(number)?.owner.get() as u32).checked_sub(1)
    }

    /// A part that nobody else has. Takes memory when no spare one has any.
    pub(super) fn take(&self) -> (u32, &Active) {
        let below = |number| Some(self.get(number)?.next.get() as u32);
        if let Some(number) = self.warm.pop(below) {
            self.warm_len.subtract(1);
            if let Some(part) = self.get(number) {
                return (number, part);
            }
        }
        let below = |number: u32| {
            let link = self.places.get(number as usize)?.0.get().addr();
            (!link.is_multiple_of(2)).then_some((link >> 1) as u32)
        };
        let number = self.cold.pop(below);
        let number = number.unwrap_or_else(|| self.used.draw() as u32);
        let place = self.places.get_or_grow(number as usize);
        let part = Box::into_raw(Box::default());
        place.0.set(part);
        // SAFETY: just leaked; freed only after it was given back.
        (number, unsafe { &*part })
    }

    /// Gives back a part that was never lent.
    pub(super) fn give(&self, number: u32) {
        self.warm_len.add(1);
        self.push_warm(number);
    }

    /// A part is lent to nobody any more.
    pub(super) fn forsake(&self, number: u32) {
        if let Some(part) = self.get(number) {
            part.owner.set(0);
        }
    }

    /// Gives back forsaken parts that others may be looking at.
    ///
    /// A part whose memory is not kept goes out of its place first: whoever walks over all parts
    /// and is pinned too late for the grace period to wait for him must not find it.
    pub(super) fn retire(self: &Arc<Self>, numbers: &[u32], pin: &Pin<'_>) {
        let parted = numbers.iter().filter_map(|&number| {
            if planted::on(Bug::ReuseWithoutGrace) {
                self.give(number);
                return None;
            }
            let place = self.places.get(number as usize)?;
            let warm = self.warm_len.add(1) < WARM;
            if warm {
                return Some((number, SendPtr(null_mut())));
            }
            self.warm_len.subtract(1);
            let part = place.0.get();
            place.chill(0);
            Some((number, SendPtr(part)))
        });
        let parted: Vec<(u32, SendPtr<Active>)> = parted.collect();
        let actives = Arc::clone(self);
        let work = move || {
            for (number, part) in parted {
                actives.retired(number, part);
            }
        };
        // SAFETY: the closure owns what it refers to, usable from any thread; nobody looks at the
        // parts any more when it runs.
        unsafe { pin.defer(work) };
    }

    /// A grace period later: a part whose memory is kept, or the memory of one that its place
    /// forgot.
    fn retired(&self, number: u32, SendPtr(part): SendPtr<Active>) {
        if part.is_null() {
            return self.push_warm(number);
        }
        if let Some(place) = self.places.get(number as usize) {
            self.cold.push(number, |next| place.chill(next));
        }
        // SAFETY: its place forgot it, and the grace period of those who had it has passed.
        drop(unsafe { Box::from_raw(part) });
    }

    fn push_warm(&self, number: u32) {
        if let Some(part) = self.get(number) {
            self.warm.push(number, |next| part.next.set(next.into()));
        }
    }
}

#[cfg(test)]
mod tests;
