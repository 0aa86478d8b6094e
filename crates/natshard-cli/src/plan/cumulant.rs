//! The law of one subscriber, active or not, and its exponential tilt.

use super::demand::Demand;

/// Units of one subscriber that takes part with some probability, as logarithms, so that a tilt
/// by any exponent neither overflows nor underflows.
pub(crate) struct Law {
    logs: Vec<f64>,
}

/// Logarithm of the generating function at `exp(tilt)`, with its first two derivatives: the mean
/// and the variance of the tilted law.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Moments {
    pub(crate) log: f64,
    pub(crate) mean: f64,
    pub(crate) variance: f64,
}

impl Law {
    /// Of a subscriber that is active with that probability and then takes `demand`.
    pub(crate) fn new(active: f64, demand: &Demand) -> Self {
        let mut logs: Vec<f64> = demand.iter().map(|(_, it)| (active * it).ln()).collect();
        logs[0] = (1.0 - active + active * demand.probabilities()[0]).ln();
        Law { logs }
    }

    /// The most units of it.
    pub(crate) fn most(&self) -> u64 {
        self.logs.len() as u64 - 1
    }

    /// The tilted law: each number of units weighed with `exp(tilt * units)`.
    pub(crate) fn moments(&self, tilt: f64) -> Moments {
        let highest = self.highest(tilt);
        let (mut sum, mut first, mut second) = (0.0, 0.0, 0.0);
        for (units, log) in self.logs.iter().enumerate() {
            let units = units as f64;
            let weight = (log + tilt * units - highest).exp();
            sum += weight;
            first += units * weight;
            second += units * units * weight;
        }
        let mean = first / sum;
        Moments {
            log: highest + sum.ln(),
            mean,
            variance: (second / sum - mean * mean).max(0.0),
        }
    }

    /// The probabilities of the tilted law by number of units.
    pub(crate) fn tilted(&self, tilt: f64) -> Vec<f64> {
        let highest = self.highest(tilt);
        let mut weights: Vec<f64> = self
            .logs
            .iter()
            .enumerate()
            .map(|(units, log)| (log + tilt * units as f64 - highest).exp())
            .collect();
        let sum: f64 = weights.iter().sum();
        for weight in &mut weights {
            *weight /= sum;
        }
        weights
    }

    fn highest(&self, tilt: f64) -> f64 {
        let logs = self.logs.iter().enumerate();
        logs.map(|(units, log)| log + tilt * units as f64)
            .fold(f64::NEG_INFINITY, f64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_tilt_it_is_the_law_itself() {
        let demand = Demand::new(vec![0.0, 1.0, 2.0, 0.0, 1.0]).unwrap();
        let law = Law::new(0.25, &demand);
        let it = law.moments(0.0);
        let mean = 0.25 * demand.mean();
        assert!(it.log.abs() < 1e-15);
        assert!((it.mean - mean).abs() < 1e-15);
        assert!((it.variance - (0.25 * demand.mean_square() - mean * mean)).abs() < 1e-14);
        let expected = [0.75, 0.0625, 0.125, 0.0, 0.0625];
        for (left, right) in law.tilted(0.0).iter().zip(expected) {
            assert!((left - right).abs() < 1e-15);
        }
    }

    #[test]
    fn derivatives_are_those_of_the_logarithm() {
        let demand = Demand::new(vec![0.1, 1.0, 0.3, 0.0, 0.2]).unwrap();
        let law = Law::new(0.4, &demand);
        let step = 1e-5;
        for tilt in [-3.0, -0.1, 0.0, 0.7, 5.0] {
            let [below, here, above] = [-step, 0.0, step].map(|it| law.moments(tilt + it));
            assert!(((above.log - below.log) / (2.0 * step) - here.mean).abs() < 1e-8);
            assert!(((above.mean - below.mean) / (2.0 * step) - here.variance).abs() < 1e-8);
        }
    }

    #[test]
    fn the_widest_tilts_stay_finite() {
        let mut weights = vec![1e-20; 60_000];
        weights[3] = 1.0;
        let law = Law::new(1e-6, &Demand::new(weights).unwrap());
        for tilt in [-50.0, 50.0] {
            let it = law.moments(tilt);
            assert!(it.log.is_finite() && it.mean.is_finite(), "{it:?}");
        }
        assert!((law.moments(50.0).mean - law.most() as f64).abs() < 1e-6);
    }
}
