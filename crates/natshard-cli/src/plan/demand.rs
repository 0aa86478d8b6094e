//! What one active subscriber takes at the busiest moment, as probabilities.

/// The most units that one subscriber is counted with: the ports of an address.
pub(crate) const MOST: usize = 65_536;

/// What of a tail this improbable lies further out is left away. It cannot change the figures
/// for a thousand million subscribers by more than 1e-19.
const NEGLIGIBLE: f64 = 1e-28;

/// The probability of each number of units, which are ports or blocks of ports.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Demand {
    /// By number of units; sums to one, and the last is not zero.
    probabilities: Vec<f64>,
}

impl Demand {
    /// In proportion to these weights by number of units; what lies above [`MOST`] counts as
    /// that. `None` when there is no weight above zero, or one that is not a number.
    pub(crate) fn new(mut weights: Vec<f64>) -> Option<Self> {
        if weights.iter().any(|it| !it.is_finite() || *it < 0.0) {
            return None;
        }
        if weights.len() > MOST + 1 {
            let beyond: f64 = weights.drain(MOST + 1..).sum();
            weights[MOST] += beyond;
        }
        let total: f64 = weights.iter().sum();
        if total <= 0.0 || !total.is_finite() {
            return None;
        }
        let mut tail = 0.0;
        while let Some(last) = weights.last() {
            tail += last / total;
            if tail > NEGLIGIBLE {
                break;
            }
            weights.pop();
        }
        let total: f64 = weights.iter().sum();
        for weight in &mut weights {
            *weight /= total;
        }
        Some(Demand {
            probabilities: weights,
        })
    }

    /// The probabilities by number of units.
    pub(crate) fn probabilities(&self) -> &[f64] {
        &self.probabilities
    }

    /// The most units that can be asked for.
    pub(crate) fn most(&self) -> u64 {
        self.probabilities.len() as u64 - 1
    }

    /// Numbers of units with their probabilities.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (f64, f64)> + '_ {
        let numbered = self.probabilities.iter().enumerate();
        numbered.map(|(units, probability)| (units as f64, *probability))
    }

    /// The mean number of units.
    pub(crate) fn mean(&self) -> f64 {
        self.iter().map(|(units, it)| units * it).sum()
    }

    /// The mean of the square of the number of units.
    pub(crate) fn mean_square(&self) -> f64 {
        self.iter().map(|(units, it)| units * units * it).sum()
    }

    /// The least number of units that is not exceeded with that probability.
    pub(crate) fn quantile(&self, probability: f64) -> u64 {
        let mut beyond = 1.0;
        for (units, it) in self.iter() {
            beyond -= it;
            // Sums of many figures do not come out even.
            if beyond <= 1.0 - probability + 1e-12 {
                return units as u64;
            }
        }
        self.most()
    }

    /// The mean number of units above a limit.
    pub(crate) fn mean_above(&self, limit: u64) -> f64 {
        let limit = limit as f64;
        let above = self.iter().rev().take_while(|(units, _)| *units > limit);
        above.map(|(units, it)| (units - limit) * it).sum()
    }

    /// The share of the units asked for that a limit per subscriber refuses.
    pub(crate) fn refused_by_limit(&self, limit: u64) -> f64 {
        match self.mean() {
            0.0 => 0.0,
            mean => self.mean_above(limit) / mean,
        }
    }

    /// What is left of it under a limit per subscriber.
    pub(crate) fn limited(&self, limit: u64) -> Self {
        self.map(|units| units.min(limit))
    }

    /// Blocks of that many ports, where this is ports: as few as hold them.
    pub(crate) fn in_blocks(&self, size: u64) -> Self {
        self.map(|units| units.div_ceil(size))
    }

    fn map(&self, becomes: impl Fn(u64) -> u64) -> Self {
        let mut weights = vec![0.0; self.probabilities.len()];
        for (units, it) in self.probabilities.iter().enumerate() {
            weights[becomes(units as u64) as usize] += it;
        }
        Demand::new(weights).expect("as much weight as before")
    }

    /// With the ports that rest: a subscriber that holds `n` ports has so many times `n` resting
    /// on average, and their number is Poisson's, as sessions end independently of each other.
    pub(crate) fn with_resting(&self, ratio: f64) -> Self {
        if ratio <= 0.0 {
            return self.clone();
        }
        let mut weights = vec![0.0; MOST + 1];
        for (held, it) in self.probabilities.iter().enumerate() {
            // What is less probable than this would be left away anyway.
            if *it < NEGLIGIBLE / MOST as f64 {
                continue;
            }
            super::law::poisson_terms(ratio * held as f64, |resting, probability| {
                weights[(held + resting).min(MOST)] += it * probability;
            });
        }
        Demand::new(weights).expect("as much weight as before")
    }

    /// Counted in lots of so many units, by splitting between the two nearest numbers so that the
    /// mean stays: larger in convex order, hence never with a smaller refusal of requests.
    pub(crate) fn in_lots(&self, lot: u64) -> Self {
        let mut weights = vec![0.0; self.probabilities.len() / lot as usize + 2];
        for (units, it) in self.probabilities.iter().enumerate() {
            let (below, over) = (units / lot as usize, units as u64 % lot);
            let up = over as f64 / lot as f64;
            weights[below] += it * (1.0 - up);
            weights[below + 1] += it * up;
        }
        Demand::new(weights).expect("as much weight as before")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demand(weights: &[f64]) -> Demand {
        Demand::new(weights.to_vec()).unwrap()
    }

    fn near(left: f64, right: f64) {
        assert!(
            (left - right).abs() < 1e-12 * right.abs().max(1.0),
            "{left} {right}"
        );
    }

    #[test]
    fn weights_become_probabilities_and_what_is_no_weight_is_refused() {
        let it = demand(&[1.0, 0.0, 3.0, 0.0, 0.0]);
        assert_eq!(it.probabilities(), &[0.25, 0.0, 0.75]);
        assert_eq!(it.most(), 2);
        near(it.mean(), 1.5);
        near(it.mean_square(), 3.0);
        for weights in [
            vec![],
            vec![0.0],
            vec![-1.0, 2.0],
            vec![f64::NAN],
            vec![f64::INFINITY],
        ] {
            assert_eq!(Demand::new(weights), None);
        }
    }

    #[test]
    fn no_subscriber_counts_with_more_than_an_address_has() {
        let mut weights = vec![0.0; MOST + 100];
        weights[MOST + 50] = 1.0;
        weights[0] = 1.0;
        let it = Demand::new(weights).unwrap();
        assert_eq!(it.most(), MOST as u64);
        near(it.mean(), MOST as f64 / 2.0);
    }

    #[test]
    fn quantiles_are_the_least_numbers_not_exceeded() {
        let it = demand(&[0.5, 0.25, 0.0, 0.25]);
        assert_eq!(
            [0.0, 0.5, 0.51, 0.75, 0.76, 1.0].map(|q| it.quantile(q)),
            [0, 0, 1, 1, 3, 3]
        );
    }

    #[test]
    fn limits_and_blocks_keep_the_weight() {
        let it = demand(&[0.1, 0.2, 0.3, 0.2, 0.2]);
        near(it.mean_above(2), 0.2 + 2.0 * 0.2);
        near(it.refused_by_limit(2), 0.6 / it.mean());
        let limited = it.limited(2);
        near(limited.mean(), it.mean() - it.mean_above(2));
        let blocks = it.in_blocks(2);
        for (left, right) in blocks.probabilities().iter().zip([0.1, 0.5, 0.4]) {
            near(*left, right);
        }
    }

    #[test]
    fn resting_ports_come_on_top_in_proportion() {
        let it = demand(&[0.2, 0.3, 0.0, 0.5]);
        let with = it.with_resting(2.5);
        near(with.mean(), 3.5 * it.mean());
        // Variance of a Poisson's mixture: that of its mean, and its mean.
        let variance = |it: &Demand| it.mean_square() - it.mean().powi(2);
        near(variance(&with), 3.5 * 3.5 * variance(&it) + 2.5 * it.mean());
        near(with.probabilities()[0], 0.2);
        near(with.probabilities()[1], 0.3 * (-2.5f64).exp());
    }

    #[test]
    fn lots_keep_the_mean_and_never_make_the_excess_smaller() {
        let it = demand(&[0.1, 0.2, 0.05, 0.3, 0.15, 0.0, 0.2]);
        let lots = it.in_lots(4);
        near(4.0 * lots.mean(), it.mean());
        for limit in 0..3 {
            assert!(4.0 * lots.mean_above(limit) >= it.mean_above(4 * limit) - 1e-15);
        }
    }
}
