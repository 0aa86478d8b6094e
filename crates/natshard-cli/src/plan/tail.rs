//! How the demand of many subscribers lies to a capacity: exact, up to a bound that is given.

use super::circle::{Figure, Sum};
use super::cumulant::Law;
use super::demand::Demand;

/// So many subscribers, each active with some probability.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crowd<'d> {
    subscribers: u64,
    active: f64,
    demand: &'d Demand,
}

/// How a demand lies to a capacity.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Tail {
    /// The probability that it exceeds the capacity.
    pub(crate) exceeds: f64,
    /// The mean of what it exceeds the capacity by.
    pub(crate) excess: f64,
    /// What either figure is off by at most, as a share of what it can be: 1, and the mean demand.
    pub(crate) error: f64,
}

impl<'d> Crowd<'d> {
    /// Subscribers that are active with that probability and then take `demand`.
    pub(crate) fn new(subscribers: u64, active: f64, demand: &'d Demand) -> Self {
        Crowd {
            subscribers,
            active,
            demand,
        }
    }

    /// How many there are.
    pub(crate) fn subscribers(&self) -> u64 {
        self.subscribers
    }

    /// The law of one of them.
    pub(crate) fn law(&self) -> Law {
        Law::new(self.active, self.demand)
    }

    /// The mean demand.
    pub(crate) fn mean(&self) -> f64 {
        self.subscribers as f64 * self.active * self.demand.mean()
    }

    /// The standard deviation of the demand.
    pub(crate) fn deviation(&self) -> f64 {
        let mean = self.active * self.demand.mean();
        let variance = self.active * self.demand.mean_square() - mean * mean;
        (self.subscribers as f64 * variance.max(0.0)).sqrt()
    }

    /// How the demand lies to a capacity.
    pub(crate) fn tail(&self, capacity: u64) -> Tail {
        let mut lot = 1;
        loop {
            if let Some(tail) = self.in_lots(capacity, lot) {
                return tail;
            }
            lot *= 2;
        }
    }

    /// The same with the demand of each counted in lots, so that more of it goes on a circle;
    /// `None` when it still does not.
    fn in_lots(&self, capacity: u64, lot: u64) -> Option<Tail> {
        let counted;
        let demand = match lot {
            1 => self.demand,
            _ => {
                counted = self.demand.in_lots(lot);
                &counted
            }
        };
        let law = Law::new(self.active, demand);
        let full = (capacity / lot) as i64;
        if u128::from(self.subscribers) * u128::from(law.most()) <= full as u128 {
            return Some(Tail {
                exceeds: 0.0,
                excess: 0.0,
                error: 0.0,
            });
        }
        let mean = self.mean();
        let above = capacity as f64 >= mean;
        let sum = Sum {
            law: &law,
            subscribers: self.subscribers as f64,
            sign: if above { 1.0 } else { -1.0 },
        };
        let (rest, lot) = ((capacity % lot) as f64, lot as f64);
        let (exceeds, excess) = match above {
            true => {
                let tail = sum.from(full + 1)?;
                let (more, by) = (tail.probability, tail.mean);
                (more, by.times(lot).plus(more.times(-rest)))
            }
            // What is not exceeded is the smaller part, hence the more exact one.
            false => {
                let tail = sum.from(-full)?;
                let (less, by) = (tail.probability, tail.mean);
                // `by` counts one more than the room that is left, whenever it is not exceeded.
                let room = by.plus(less.times(-1.0)).times(lot).plus(less.times(rest));
                let over = Figure {
                    value: mean - capacity as f64,
                    error: 4.0 * f64::EPSILON * mean,
                };
                (less.times(-1.0).plus(Figure::ONE), room.plus(over))
            }
        };
        Some(Tail {
            exceeds: exceeds.value.clamp(0.0, 1.0),
            excess: excess.value.clamp(0.0, mean),
            error: exceeds.error.max(excess.error / mean),
        })
    }
}

impl Figure {
    const ONE: Figure = Figure {
        value: 1.0,
        error: 0.0,
    };

    fn times(self, factor: f64) -> Self {
        Figure {
            value: self.value * factor,
            error: self.error * factor.abs(),
        }
    }

    fn plus(self, other: Self) -> Self {
        Figure {
            value: self.value + other.value,
            error: self.error + other.error,
        }
    }
}

#[cfg(test)]
#[path = "tail_tests.rs"]
mod tests;
