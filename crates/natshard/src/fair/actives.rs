//! The active parts of accounts: lent while a subscriber holds anything.
//!
//! A part is known by its number. Parts given back are kept warm for the next subscriber, up to
//! [`WARM`] of them; the memory of further ones is freed, and their numbers are kept.

use std::ptr::without_provenance_mut;
use std::sync::Arc;

use crate::chunks::Chunks;
use crate::fair::account::Active;
use crate::reclaim::Pin;
use crate::sync::{Counter, Link, MODEL, Word};

/// Spare parts whose memory is kept.
const WARM: u64 = if MODEL { 1 } else { 4096 };

/// The place of one part: a box, or, for a cold number, the next cold one (odd).
#[derive(Debug, Default)]
struct Place(Link<Active>);

impl Place {
    fn part(&self) -> Option<&Active> {
        let part = self.0.get();
        let lent = !part.is_null() && part.addr().is_multiple_of(2);
        // SAFETY: an even link holds a box leaked by `Actives::take`, which is freed a grace
        // period after the part was given back, or with its place.
        lent.then(|| unsafe { &*part })
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
                .exchange(top, changes | u64::from(number + 1))
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
            if self.0.exchange(top, changes | u64::from(next)).is_ok() {
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
        if let Some(part) = self.get(number) {
            self.warm_len.add(1);
            self.warm.push(number, |next| part.next.set(next.into()));
        }
    }

    /// A part is lent to nobody any more.
    pub(super) fn forsake(&self, number: u32) {
        if let Some(part) = self.get(number) {
            part.owner.set(0);
        }
    }

    /// Gives back forsaken parts that others may be looking at.
    pub(super) fn retire(self: &Arc<Self>, numbers: Vec<u32>, pin: &Pin<'_>) {
        let actives = Arc::clone(self);
        let work = move || {
            for number in numbers {
                actives.retired(number);
            }
        };
        // SAFETY: the closure owns what it refers to, usable from any thread; nobody looks at the
        // parts any more when it runs.
        unsafe { pin.defer(work) };
    }

    /// A grace period later.
    fn retired(&self, number: u32) {
        let Some(place) = self.places.get(number as usize) else {
            return;
        };
        if self.warm_len.get() < WARM {
            return self.give(number);
        }
        let part = place.0.get();
        self.cold.push(number, |next| {
            place
                .0
                .set(without_provenance_mut((next as usize) << 1 | 1));
        });
        // SAFETY: its place forgot it, and the grace period of those who had it has passed.
        drop(unsafe { Box::from_raw(part) });
    }
}
