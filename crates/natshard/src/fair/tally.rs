//! The shares of one pool and protocol: the quota of its classes, and what is told of it.

use crate::event::{EventKind, Limit};
use crate::fair::policy::Threshold;
use crate::fair::quota::{ClassNumber, Holding, Quota, Short};
use crate::fields::join;
use crate::protocol::Protocol;
use crate::segments::Segments;
use crate::sync::{Flag, Word};

/// Raised in bit 0; a count of changes above, so that a late change is not taken for a new one.
const RAISED: u64 = 1;

/// The shares of one pool and protocol. Lives as long as the engine.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    quota: Quota,
    /// Blocks held by all classes.
    held: Word,
    /// Blocks there are.
    blocks: Word,
    /// Counts what may have lifted a refusal.
    version: Word,
    /// Per cent to raise at in bits 8-15, to clear at in bits 0-7; zero where nobody is told.
    threshold: Word,
    alarm: Word,
    /// By class: whether it was told that its share is used up.
    told: Segments<Flag, 1>,
}

impl Tally {
    /// One block more for a class.
    pub(crate) fn take(&self, class: ClassNumber) -> Result<(), Short> {
        self.quota.take(class)?;
        self.held.add(1);
        let told = self.told.get_or_grow(class.into());
        if told.get() {
            told.set(false);
        }
        Ok(())
    }

    /// Counts a block that is held already, whatever the class may have.
    pub(crate) fn force(&self, class: ClassNumber) {
        self.quota.force(class);
        self.held.add(1);
    }

    /// A block of a class is free, and can be found.
    pub(crate) fn give(&self, class: ClassNumber) {
        self.quota.give(class);
        self.held.subtract(1);
        self.version.add(1);
    }

    /// What [`take`](Self::take) would say; a class that is refused although every block is held
    /// would find none in any case, and is not short.
    pub(crate) fn short(&self, class: ClassNumber) -> Option<Short> {
        let short = self.quota.peek(class).err()?;
        let full = short == Short::Pot && self.held.get() >= self.blocks.get();
        (!full).then_some(short)
    }

    /// Whether the class would be refused at this moment.
    pub(crate) fn refuses(&self, class: ClassNumber) -> bool {
        self.quota.peek(class).is_err()
    }

    /// What must not have changed for a refusal to stand.
    pub(crate) fn version(&self) -> u64 {
        self.version.get()
    }

    /// Whether this is the first refusal since the class last took a block.
    pub(crate) fn tell_once(&self, class: ClassNumber) -> bool {
        let told = self.told.get_or_grow(class.into());
        !told.get() && told.raise()
    }

    /// The limit that keeps a class from a further block.
    pub(crate) fn met(&self, class: ClassNumber) -> Limit {
        let (held, maximum) = (self.holding(class).held(), self.maximum(class));
        if held >= maximum {
            Limit::Blocks(maximum)
        } else {
            Limit::Unguaranteed(held)
        }
    }

    pub(crate) fn holding(&self, class: ClassNumber) -> Holding {
        self.quota.holding(class)
    }

    pub(crate) fn maximum(&self, class: ClassNumber) -> u32 {
        self.quota.maximum(class)
    }

    /// How many blocks there are.
    pub(crate) fn blocks(&self) -> u64 {
        self.blocks.get()
    }

    /// What is left to borrow.
    pub(crate) fn pot(&self) -> i64 {
        self.quota.pot()
    }

    /// Whether the threshold is raised, and how often it was.
    pub(crate) fn alarm(&self) -> (bool, u64) {
        let alarm = self.alarm.get();
        (alarm & RAISED != 0, alarm.div_ceil(2))
    }

    /// Changes how many blocks there are.
    pub(crate) fn resize(&self, blocks: u64) {
        let before = self.blocks.get();
        self.quota.resize(blocks.wrapping_sub(before) as i64);
        self.blocks.set(blocks);
        self.version.add(1);
    }

    /// Changes the minimum of a class.
    pub(crate) fn guarantee(&self, class: ClassNumber, minimum: u32) {
        self.quota.guarantee(class, minimum);
        self.version.add(1);
    }

    /// Changes the maximum of a class.
    pub(crate) fn limit(&self, class: ClassNumber, maximum: u32) {
        self.quota.limit(class, maximum);
        // Made here, so that no allocation has to.
        self.told.get_or_grow(class.into());
        self.version.add(1);
    }

    /// Changes when the threshold is raised and cleared.
    pub(crate) fn watch(&self, threshold: Option<Threshold>) {
        let packed = threshold.map_or(0, |Threshold { raise, clear }| {
            join([u64::from(raise) << 8, u64::from(clear)])
        });
        self.threshold.set(packed);
    }

    /// Raises or clears the threshold if what is held says so. `draw` gives an event its number
    /// before the change, `tell` tells it afterwards: so numbers agree with the order of changes.
    pub(crate) fn mind<T>(
        &self,
        protocol: Protocol,
        draw: impl Fn() -> T,
        tell: impl Fn(T, EventKind),
    ) {
        loop {
            let threshold = self.threshold.get();
            let alarm = self.alarm.get();
            let raised = alarm & RAISED != 0;
            if threshold == 0 && !raised {
                return;
            }
            let (raise, clear) = (threshold >> 8 & 0xff, threshold & 0xff);
            let (held, blocks) = (self.held.get(), self.blocks.get());
            let percent = u128::from(held) * 100;
            let at = |limit: u64| u128::from(limit) * u128::from(blocks);
            let change = if raised {
                threshold == 0 || percent <= at(clear)
            } else {
                held > 0 && percent >= at(raise)
            };
            if !change {
                return;
            }
            let number = draw();
            if self.alarm.exchange(alarm, alarm.wrapping_add(1)).is_err() {
                continue;
            }
            let kind = if raised {
                EventKind::ThresholdCleared {
                    protocol,
                    held,
                    blocks,
                }
            } else {
                EventKind::ThresholdRaised {
                    protocol,
                    held,
                    blocks,
                }
            };
            tell(number, kind);
            // What is held may have changed before the alarm did: whoever changed it then did not
            // see the alarm.
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    fn tally(blocks: u64, threshold: Option<Threshold>) -> Tally {
        let tally = Tally::default();
        tally.resize(blocks);
        tally.limit(0, u32::MAX);
        tally.watch(threshold);
        tally
    }

    fn mind(tally: &Tally) -> Vec<EventKind> {
        let told = RefCell::new(vec![]);
        tally.mind(
            Protocol::Udp,
            || (),
            |(), kind| told.borrow_mut().push(kind),
        );
        told.into_inner()
    }

    #[test]
    fn a_threshold_is_raised_and_cleared_apart() {
        let tally = tally(10, Some(Threshold::new(80, 50)));
        let protocol = Protocol::Udp;
        for held in 1..=10 {
            tally.take(0).unwrap();
            let expected = (held == 8).then_some(EventKind::ThresholdRaised {
                protocol,
                held,
                blocks: 10,
            });
            assert_eq!(mind(&tally), Vec::from_iter(expected));
        }
        for held in (0..10).rev() {
            tally.give(0);
            let expected = (held == 5).then_some(EventKind::ThresholdCleared {
                protocol,
                held,
                blocks: 10,
            });
            assert_eq!(mind(&tally), Vec::from_iter(expected));
        }
    }

    #[test]
    fn a_threshold_follows_what_there_is_and_goes_with_its_policy() {
        let tally = tally(10, Some(Threshold::new(100, 99)));
        (0..5).for_each(|_| tally.take(0).unwrap());
        assert_eq!(mind(&tally), []);
        tally.resize(5);
        assert!(matches!(
            mind(&tally)[..],
            [EventKind::ThresholdRaised { .. }]
        ));
        tally.watch(None);
        assert!(matches!(
            mind(&tally)[..],
            [EventKind::ThresholdCleared { .. }]
        ));
        assert_eq!(mind(&tally), []);
    }

    #[test]
    fn a_class_is_short_only_of_what_somebody_could_have() {
        let tally = tally(2, None);
        tally.guarantee(2, 1);
        tally.take(0).unwrap();
        assert_eq!(tally.short(0), Some(Short::Pot), "one is kept for class 2");
        tally.take(2).unwrap();
        assert!(tally.refuses(0));
        assert_eq!(tally.short(0), None, "every block is held");
        tally.limit(2, 1);
        assert_eq!(tally.short(2), Some(Short::Maximum));
    }

    #[test]
    fn a_share_used_up_is_told_once_until_something_is_had_again() {
        let tally = tally(1, None);
        tally.take(0).unwrap();
        assert!(tally.tell_once(0));
        assert!(!tally.tell_once(0));
        tally.give(0);
        assert!(!tally.tell_once(0));
        tally.take(0).unwrap();
        assert!(tally.tell_once(0));
    }
}
