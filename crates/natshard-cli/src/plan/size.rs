//! How many addresses a space of ports needs.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::args::Pooling;
use super::space::Space;
use super::tail::Crowd;

/// The most addresses of a pool that the engine takes from one prefix.
const MOST_ADDRESSES: u64 = 1 << 32;

/// What a number of addresses means for the subscribers.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Risk {
    /// The probability that at the busiest moment the demand exceeds what it draws from: all of
    /// the pool, or one address of it.
    pub(crate) short: f64,
    /// The share of what is asked for that is refused: the probability that a request is.
    pub(crate) refused: f64,
    /// What the two are off by at most.
    pub(crate) error: f64,
}

/// Ports of its own for every subscriber (RFC 7422).
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Deterministic {
    /// Ports of each range.
    pub(crate) ports_each: u64,
    /// Subscribers of an address.
    pub(crate) per_address: u64,
    /// Addresses for all of them.
    pub(crate) addresses: u64,
    /// The share of the ports asked for that the range of their subscriber has not.
    pub(crate) refused: f64,
}

/// Subscribers over a space of ports.
pub(crate) struct Sizing<'s> {
    space: &'s Space,
    subscribers: u64,
    activity: f64,
    known: RefCell<BTreeMap<(bool, u64), Risk>>,
}

impl<'s> Sizing<'s> {
    /// So many subscribers, each active with that probability.
    pub(crate) fn new(space: &'s Space, subscribers: u64, activity: f64) -> Self {
        Sizing {
            space,
            subscribers,
            activity,
            known: RefCell::default(),
        }
    }

    /// The space.
    pub(crate) fn space(&self) -> &'s Space {
        self.space
    }

    /// Those who ask the same ports of the same addresses: everybody, or those of one address,
    /// with what they can have.
    pub(crate) fn crowd(&self, pooling: Pooling, addresses: u64) -> (Crowd<'s>, u64) {
        let (active, share) = match pooling {
            Pooling::Shared => (self.activity, addresses),
            // Active and bound to this address, of all there are.
            Pooling::Paired => (self.activity / addresses as f64, 1),
        };
        let crowd = Crowd::new(self.subscribers, active, &self.space.units);
        (crowd, self.space.capacity * share)
    }

    /// What so many addresses mean.
    pub(crate) fn risk(&self, pooling: Pooling, addresses: u64) -> Risk {
        let key = (pooling == Pooling::Shared, addresses);
        if let Some(risk) = self.known.borrow().get(&key) {
            return *risk;
        }
        let (crowd, capacity) = self.crowd(pooling, addresses);
        let tail = crowd.tail(capacity);
        let risk = Risk {
            short: tail.exceeds,
            refused: tail.excess / crowd.mean(),
            error: tail.error,
        };
        self.known.borrow_mut().insert(key, risk);
        risk
    }

    /// The figure that a plan bounds.
    pub(crate) fn bounded(pooling: Pooling, risk: Risk) -> f64 {
        match pooling {
            // Of few subscribers with few very large demands the second may be larger.
            Pooling::Shared => risk.short.max(risk.refused),
            Pooling::Paired => risk.refused,
        }
    }

    /// The least number of addresses that keeps the bounded figure at or below `refusal`; `None`
    /// when no number does.
    pub(crate) fn least(&self, pooling: Pooling, refusal: f64) -> Option<u64> {
        let units = &self.space.units;
        if pooling == Pooling::Paired && units.refused_by_limit(self.space.capacity) >= refusal {
            // Even alone on an address.
            return None;
        }
        let enough = |addresses: u64| {
            let risk = self.risk(pooling, addresses);
            Self::bounded(pooling, risk) + risk.error <= refusal
        };
        let mut step = 1;
        let guess = self.guess(pooling, refusal);
        let (mut too_few, mut plenty);
        if enough(guess) {
            (too_few, plenty) = (guess.saturating_sub(1), guess);
            while too_few > 0 && enough(too_few) {
                plenty = too_few;
                step *= 2;
                too_few = too_few.saturating_sub(step);
            }
        } else {
            (too_few, plenty) = (guess, guess + 1);
            while !enough(plenty) {
                too_few = plenty;
                step *= 2;
                plenty += step;
                if plenty > MOST_ADDRESSES {
                    return None;
                }
            }
        }
        while plenty - too_few > 1 {
            let between = too_few + (plenty - too_few) / 2;
            match enough(between) {
                true => plenty = between,
                false => too_few = between,
            }
        }
        Some(plenty)
    }

    /// Where to begin: what it would be if the demand were normal.
    fn guess(&self, pooling: Pooling, refusal: f64) -> u64 {
        let capacity = self.space.capacity as f64;
        let (crowd, _) = self.crowd(Pooling::Shared, 1);
        let deviations = (2.0 * (0.5 / refusal).ln()).sqrt();
        let guess = match pooling {
            Pooling::Shared => (crowd.mean() + deviations * crowd.deviation()) / capacity,
            // Mean and deviation of an address at its capacity: a quadratic equation.
            Pooling::Paired => {
                let squares =
                    self.subscribers as f64 * self.activity * self.space.units.mean_square();
                let linear = deviations * squares.sqrt();
                let root = (linear * linear + 4.0 * crowd.mean() * capacity).sqrt();
                ((linear + root) / (2.0 * capacity)).powi(2)
            }
        };
        (guess.ceil() as u64).clamp(1, MOST_ADDRESSES)
    }

    /// What the average suggests: the mean number of leased ports over the ports of an address.
    pub(crate) fn average(&self) -> u64 {
        let ports = self.subscribers as f64 * self.activity * self.space.leased.mean();
        ((ports / self.space.ports as f64).ceil() as u64).max(1)
    }

    /// Fixed ranges of that many ports, or of as few as keep what they refuse at or below
    /// `refusal`; `None` where an address has not even one such range.
    pub(crate) fn deterministic(&self, each: Option<u64>, refusal: f64) -> Option<Deterministic> {
        let allowed = &self.space.allowed;
        let refused = |ports: u64| allowed.refused_by_limit(ports);
        let ports_each = each.unwrap_or_else(|| {
            let (mut too_few, mut plenty) = (0, allowed.most().max(1));
            while plenty - too_few > 1 {
                let between = too_few + (plenty - too_few) / 2;
                match refused(between) <= refusal {
                    true => plenty = between,
                    false => too_few = between,
                }
            }
            plenty
        });
        let per_address = self.space.ports / ports_each;
        (per_address > 0).then(|| Deterministic {
            ports_each,
            per_address,
            addresses: self.subscribers.div_ceil(per_address),
            refused: refused(ports_each),
        })
    }
}

#[cfg(test)]
#[path = "size_tests.rs"]
mod tests;
