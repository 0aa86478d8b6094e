//! How many blocks each class of requests holds of a pool, and how many it may.
//!
//! A class is a tenant, the headroom for control traffic, or everybody else. Its **holding** is one
//! word with the blocks it holds and its guaranteed minimum, so that "am I within my guarantee" and
//! "then one more" are one compare-and-swap. The **pot** is what may be borrowed beyond minima:
//!
//! ```text
//!   pot = total - sum over classes of max(held, minimum)
//! ```
//!
//! * **Take.** Below its minimum a class takes a block of its own: nobody else can refuse it. At or
//!   above, it takes one unit out of the pot first and counts the block second. Should the class
//!   have come below its minimum in between, the unit goes back.
//! * **Give.** The count goes down first; a unit that was borrowed goes back to the pot second.
//! * **Reconfiguring.** What shrinks the pot leaves it before the minimum rises; what fills it
//!   comes after the minimum fell.
//!
//! So the pot is never larger than the truth, and the blocks held never exceed the total: a class
//! below its minimum that takes finds a free block. What is borrowed may be refused for a moment
//! while somebody else tries to borrow and fails. A pot below zero means that more is guaranteed
//! than others leave at present: nothing can be borrowed until that many blocks have come back.

use crate::planted::{self, Bug};
use crate::segments::Segments;
use crate::sync::Word;

/// A class of requests to one pool: 0 everybody else, 1 control traffic, then the tenants.
pub(crate) type ClassNumber = u8;

/// What one class holds and is guaranteed: held in bits 0-31, minimum in bits 32-63.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Holding(u64);

/// Where the next block of a class comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    /// Out of its own guarantee.
    Guaranteed(Holding),
    /// Out of the pot.
    Borrowed(Holding),
    /// It has its maximum.
    None,
}

impl Holding {
    /// So many blocks held, so many guaranteed.
    pub(crate) const fn new(held: u32, minimum: u32) -> Self {
        Holding((minimum as u64) << 32 | held as u64)
    }

    pub(crate) const fn held(self) -> u32 {
        self.0 as u32
    }

    pub(crate) const fn minimum(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The blocks that no other class can have: held, or kept for it.
    fn reserved(self) -> u32 {
        self.held().max(self.minimum())
    }

    /// One more, if it may have so many.
    const fn take(self, maximum: u32) -> Step {
        if self.held() >= maximum {
            return Step::None;
        }
        let more = Holding(self.0 + 1);
        if self.held() < self.minimum() {
            Step::Guaranteed(more)
        } else {
            Step::Borrowed(more)
        }
    }

    /// One less, and whether it was borrowed.
    const fn give(self) -> (Self, bool) {
        (Holding(self.0 - 1), self.held() > self.minimum())
    }

    /// With another minimum.
    const fn guarantee(self, minimum: u32) -> Self {
        Holding::new(self.held(), minimum)
    }
}

/// Where a block was taken from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// The class's own guarantee.
    Own,
    /// The pot.
    Pot,
}

/// Why a class gets no further block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Short {
    /// It has its maximum.
    Maximum,
    /// It has its minimum, and there is nothing to borrow.
    Pot,
}

/// One class.
#[derive(Debug)]
struct Share {
    /// [`Holding`]; the minimum is changed by whoever reconfigures alone.
    holding: Word,
    maximum: Word,
}

impl Default for Share {
    fn default() -> Self {
        Share {
            holding: Word::new(Holding::new(0, 0).0),
            maximum: Word::new(u64::from(u32::MAX)),
        }
    }
}

/// The classes of one pool and protocol.
#[derive(Debug, Default)]
pub(crate) struct Quota {
    shares: Segments<Share, 1>,
    /// What may be borrowed; signed.
    pot: Word,
}

impl Quota {
    fn share(&self, class: ClassNumber) -> &Share {
        self.shares.get_or_grow(class as usize)
    }

    /// One block more for a class. Refused only when the class had its minimum, or its maximum, at
    /// some moment of the call.
    pub(crate) fn take(&self, class: ClassNumber) -> Result<Source, Short> {
        let share = self.share(class);
        let mut lent = false;
        let mut old = Holding(share.holding.get());
        let result = loop {
            let new = match old.take(share.maximum.get() as u32) {
                Step::None => break Err(Short::Maximum),
                Step::Guaranteed(new) => new,
                Step::Borrowed(new) => {
                    if !lent && !self.borrow() {
                        break Err(Short::Pot);
                    }
                    lent = true;
                    new
                }
            };
            if planted::on(Bug::QuotaTrustsTheFirstLook) {
                share.holding.add(1);
                return Ok(Source::Own);
            }
            match share.holding.exchange(old.0, new.0) {
                Ok(()) if matches!(old.take(u32::MAX), Step::Borrowed(_)) => {
                    return Ok(Source::Pot);
                }
                Ok(()) => break Ok(Source::Own),
                Err(found) => old = Holding(found),
            }
        };
        if lent {
            self.pot.add(1);
        }
        result
    }

    /// A unit of the pot, if there is one.
    fn borrow(&self) -> bool {
        let mut pot = self.pot.get();
        while pot as i64 > 0 {
            match self.pot.exchange(pot, pot - 1) {
                Ok(()) => return true,
                Err(found) => pot = found,
            }
        }
        false
    }

    /// What [`take`](Self::take) would say at this moment.
    pub(crate) fn peek(&self, class: ClassNumber) -> Result<(), Short> {
        let share = self.share(class);
        match Holding(share.holding.get()).take(share.maximum.get() as u32) {
            Step::None => Err(Short::Maximum),
            Step::Borrowed(_) if self.pot.get() as i64 <= 0 => Err(Short::Pot),
            _ => Ok(()),
        }
    }

    /// Counts a block that a class holds already, whatever it may have: the pot may fall below
    /// zero.
    pub(crate) fn force(&self, class: ClassNumber) {
        if planted::on(Bug::QuotaForcesWithinThePot) {
            self.borrow();
        } else {
            self.pot.subtract(1);
        }
        let share = self.share(class);
        let mut old = Holding(share.holding.get());
        while let Err(found) = share.holding.exchange(old.0, old.0 + 1) {
            old = Holding(found);
        }
        if matches!(old.take(u32::MAX), Step::Guaranteed(_)) {
            self.pot.add(1);
        }
    }

    /// A block of a class is free again.
    pub(crate) fn give(&self, class: ClassNumber) {
        let share = self.share(class);
        let mut old = Holding(share.holding.get());
        loop {
            debug_assert!(old.held() > 0, "class {class} gives back what it has not");
            let (new, borrowed) = old.give();
            if planted::on(Bug::QuotaLendsBeforeItCounts) && borrowed {
                self.pot.add(1);
                share.holding.subtract(1);
                return;
            }
            match share.holding.exchange(old.0, new.0) {
                Ok(()) if borrowed => {
                    self.pot.add(1);
                    return;
                }
                Ok(()) => return,
                Err(found) => old = Holding(found),
            }
        }
    }

    /// Guarantees so many blocks to a class. One caller at a time.
    pub(crate) fn guarantee(&self, class: ClassNumber, minimum: u32) {
        let share = self.share(class);
        let mut old = Holding(share.holding.get());
        // As much as the pot can lose by it, before anybody relies on the guarantee.
        let ahead = u64::from(minimum.saturating_sub(old.minimum()));
        if !planted::on(Bug::QuotaGuaranteesAheadOfThePot) {
            self.pot.subtract(ahead);
        }
        while let Err(found) = share.holding.exchange(old.0, old.guarantee(minimum).0) {
            old = Holding(found);
        }
        if planted::on(Bug::QuotaGuaranteesAheadOfThePot) {
            self.pot.subtract(ahead);
        }
        let lost = i64::from(old.guarantee(minimum).reserved()) - i64::from(old.reserved());
        // Never negative: at most `ahead` was lost.
        let back = ahead.wrapping_add_signed(-lost);
        if back > 0 {
            self.pot.add(back);
        }
    }

    /// Lets a class have so many blocks. It keeps those beyond until they come back.
    pub(crate) fn limit(&self, class: ClassNumber, maximum: u32) {
        self.share(class).maximum.set(u64::from(maximum));
    }

    /// There are so many blocks more, or fewer, than before.
    pub(crate) fn resize(&self, change: i64) {
        self.pot.add(change as u64);
    }

    /// What a class holds and is guaranteed.
    pub(crate) fn holding(&self, class: ClassNumber) -> Holding {
        self.shares
            .get(class as usize)
            .map_or(Holding::new(0, 0), |share| Holding(share.holding.get()))
    }

    /// How many blocks a class may have.
    pub(crate) fn maximum(&self, class: ClassNumber) -> u32 {
        self.shares
            .get(class as usize)
            .map_or(u32::MAX, |share| share.maximum.get() as u32)
    }

    /// What may be borrowed at this moment; below zero where more is guaranteed than is there.
    pub(crate) fn pot(&self) -> i64 {
        self.pot.get() as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMIT: u32 = 4;

    #[test]
    fn a_step_changes_one_block_and_says_whose() {
        for held in 0..=LIMIT {
            for minimum in 0..=LIMIT {
                let here = Holding::new(held, minimum);
                assert_eq!((here.held(), here.minimum()), (held, minimum));
                assert_eq!(here.reserved(), held.max(minimum));
                for maximum in 0..=LIMIT {
                    let more = Holding::new(held + 1, minimum);
                    let expected = if held >= maximum {
                        Step::None
                    } else if held < minimum {
                        Step::Guaranteed(more)
                    } else {
                        Step::Borrowed(more)
                    };
                    assert_eq!(here.take(maximum), expected);
                }
                if held > 0 {
                    let less = Holding::new(held - 1, minimum);
                    assert_eq!(here.give(), (less, held > minimum));
                    // What is taken and given changes what is reserved by what was borrowed.
                    let borrowed = u32::from(held > minimum);
                    assert_eq!(here.reserved() - less.reserved(), borrowed);
                }
                for other in 0..=LIMIT {
                    assert_eq!(here.guarantee(other), Holding::new(held, other));
                }
            }
        }
        let largest = Holding::new(u32::MAX, u32::MAX);
        assert_eq!(largest.take(u32::MAX), Step::None);
        assert_eq!(largest.give().0, Holding::new(u32::MAX - 1, u32::MAX));
    }

    #[derive(Clone, Copy, Debug)]
    enum Op {
        Take(u8),
        Give(u8),
        Force(u8),
        Guarantee(u8, u32),
        Limit(u8, u32),
        Resize(i64),
    }

    fn op() -> impl Strategy<Value = Op> {
        let class = 0u8..4;
        prop_oneof![
            6 => class.clone().prop_map(Op::Take),
            4 => class.clone().prop_map(Op::Give),
            1 => class.clone().prop_map(Op::Force),
            1 => (class.clone(), 0u32..6).prop_map(|(class, minimum)| Op::Guarantee(class, minimum)),
            1 => (class, 0u32..12).prop_map(|(class, maximum)| Op::Limit(class, maximum)),
            1 => (-6i64..7).prop_map(Op::Resize),
        ]
    }

    /// What the words say, as plain numbers.
    #[derive(Default, Debug)]
    struct Model {
        held: [u32; 4],
        minimum: [u32; 4],
        maximum: [u32; 4],
        total: i64,
    }

    impl Model {
        fn pot(&self) -> i64 {
            let reserved = self.held.iter().zip(&self.minimum);
            self.total
                - reserved
                    .map(|(&held, &minimum)| i64::from(held.max(minimum)))
                    .sum::<i64>()
        }

        fn take(&mut self, class: usize) -> Result<(), Short> {
            if self.held[class] >= self.maximum[class] {
                return Err(Short::Maximum);
            }
            if self.held[class] >= self.minimum[class] && self.pot() <= 0 {
                return Err(Short::Pot);
            }
            self.held[class] += 1;
            Ok(())
        }
    }

    proptest! {
        #[test]
        fn a_quota_does_what_its_model_does(
            total in 0i64..20,
            ops in prop::collection::vec(op(), 1..200),
        ) {
            let quota = Quota::default();
            quota.resize(total);
            let mut model = Model { total, maximum: [u32::MAX; 4], ..Model::default() };
            for op in ops {
                match op {
                    Op::Take(class) => {
                        let index = class as usize;
                        let own = model.held[index] < model.minimum[index];
                        let source = if own { Source::Own } else { Source::Pot };
                        let expected = model.take(index);
                        prop_assert_eq!(quota.peek(class), expected);
                        prop_assert_eq!(quota.take(class), expected.map(|()| source));
                    }
                    Op::Give(class) if model.held[class as usize] > 0 => {
                        quota.give(class);
                        model.held[class as usize] -= 1;
                    }
                    Op::Give(_) => {}
                    Op::Force(class) => {
                        quota.force(class);
                        model.held[class as usize] += 1;
                    }
                    Op::Guarantee(class, minimum) => {
                        quota.guarantee(class, minimum);
                        model.minimum[class as usize] = minimum;
                    }
                    Op::Limit(class, maximum) => {
                        quota.limit(class, maximum);
                        model.maximum[class as usize] = maximum;
                    }
                    Op::Resize(change) => {
                        quota.resize(change);
                        model.total += change;
                    }
                }
                prop_assert_eq!(quota.pot(), model.pot());
                for class in 0..4u8 {
                    let index = class as usize;
                    let expected = Holding::new(model.held[index], model.minimum[index]);
                    prop_assert_eq!(quota.holding(class), expected);
                    prop_assert_eq!(quota.maximum(class), model.maximum[index]);
                }
            }
        }
    }

    #[test]
    fn threads_neither_exceed_the_total_nor_a_maximum_nor_fall_short_of_a_guarantee() {
        const TOTAL: i64 = 12;
        let quota = Quota::default();
        quota.resize(TOTAL);
        quota.guarantee(2, 3);
        quota.guarantee(3, 2);
        quota.limit(3, 5);
        // What is really there, taken after the quota allows it and given back before.
        let free = Word::new(TOTAL as u64);
        let allowed = Word::new(0);
        std::thread::scope(|scope| {
            for class in [0u8, 0, 2, 3, 3] {
                let (quota, free, allowed) = (&quota, &free, &allowed);
                scope.spawn(move || {
                    let mut held = 0u64;
                    let mut random = u64::from(class) + 7;
                    for _ in 0..40_000 {
                        random = random
                            .wrapping_mul(6364136223846793005)
                            .wrapping_add(1442695040888963407);
                        if random >> 62 != 0 {
                            let took = quota.take(class);
                            if took.is_ok() {
                                assert_ne!(free.subtract(1), 0, "more held than there is");
                                allowed.add(1);
                                held += 1;
                            }
                            // One thread of class 2: nobody else can have used its guarantee.
                            assert!(class != 2 || held >= 3 || took.is_ok());
                            let of_class = quota.holding(class).held();
                            assert!(class != 3 || of_class <= 5, "{of_class} beyond the maximum");
                        } else if held > 0 {
                            free.add(1);
                            quota.give(class);
                            held -= 1;
                        }
                    }
                    for _ in 0..held {
                        free.add(1);
                        quota.give(class);
                    }
                });
            }
        });
        assert!(allowed.get() > 1_000);
        assert_eq!(quota.pot(), TOTAL - 5);
        assert!((0..4).all(|class| quota.holding(class).held() == 0));
    }
}
