//! What came of a simulation, and whether it agrees with what was computed.

use super::estimate::{Estimate, Verdict};
use super::size::Risk;
use super::trial::{Drawn, Run};

/// What came of one run.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Outcome {
    pub(crate) run: Run,
    /// What was computed.
    pub(crate) computed: Risk,
    /// The mean demand of a source.
    pub(super) mean: f64,
    /// The share of moments in which the pool, or an address, was short.
    pub(crate) short: Estimate,
    /// The share of what was asked for that was refused.
    pub(crate) refused: Estimate,
    /// Units asked for and refused, as they were counted, weights aside.
    pub(crate) asked: u64,
    /// Refusals, likewise.
    pub(crate) refusals: u64,
    /// How often the engine refused more or less of a demand than there was not room for.
    pub(crate) inexact: u64,
    /// Whether the engine's books balanced.
    pub(crate) balanced: bool,
}

impl Outcome {
    /// Whether the engine did what it should at every moment.
    pub(crate) fn is_exact(&self) -> bool {
        self.inexact == 0 && self.balanced
    }

    /// Whether what was computed may be the mean of what was seen: neither figure may differ.
    pub(crate) fn verdict(&self) -> Verdict {
        let Risk { short, refused, .. } = self.computed;
        let [least_short, least_refused] = self.least_errors();
        let expected = match self.run.drawn {
            Drawn::Plain => short * self.run.values(),
            // In what is drawn shortages are common.
            Drawn::Weighted => f64::INFINITY,
        };
        let short = self.short.verdict(short, expected, least_short);
        short.max(self.refused.verdict(refused, expected, least_refused))
    }

    /// Standard errors below which no sample is believed: few heavy values are easily missed, and
    /// then a sample looks narrower than it is.
    fn least_errors(&self) -> [f64; 2] {
        let Risk { short, refused, .. } = self.computed;
        let values = self.run.values();
        match self.run.drawn {
            // A share of so many; and refusals that were all alike.
            Drawn::Plain => [
                (short * (1.0 - short) / values).sqrt() + 1.0 / values,
                refused / (short * values).sqrt().max(1.0),
            ],
            // The mean of the square is at most the largest value times the mean. What weighs
            // exp(-tilt x), x above the capacity, refuses x: at most 1 / (e tilt) of that.
            Drawn::Weighted => {
                let heaviest = self.run.heaviest();
                let most = heaviest / (std::f64::consts::E * self.run.weight.tilt * self.mean);
                [heaviest * short, most * refused].map(|it| (it / values).sqrt())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use natshard::Protocol;

    use super::super::args::Pooling;
    use super::super::demand::Demand;
    use super::super::simulate::simulate;
    use super::super::size::Sizing;
    use super::super::space::Space;
    use super::super::trial::Trial;
    use super::*;

    /// Runs of 40 subscribers over addresses of eight ports.
    fn outcomes(pooling: Pooling, addresses: u64, resting: f64) -> Vec<Outcome> {
        let demand = Demand::new(vec![0.0, 0.5, 0.3, 0.1, 0.1]).unwrap();
        let space = Space {
            which: None,
            leased: demand.clone(),
            taken: demand.clone(),
            allowed: demand.clone(),
            units: demand,
            ports: 8,
            capacity: 8,
            refused_by_limit: 0.0,
        };
        let sizing = Sizing::new(&space, 40, 0.5);
        let trial = Trial {
            sizing: &sizing,
            pooling,
            protocol: Protocol::Udp,
            first_port: 5000,
            hold_down: Duration::from_secs(60),
            resting,
            seed: 3,
            moments: Some(2000),
        };
        let runs = trial.runs(addresses, 1);
        let outcomes = runs
            .into_iter()
            .map(|run| simulate(&trial, run, || ()).unwrap());
        outcomes.collect()
    }

    #[test]
    fn what_is_computed_right_agrees_and_what_is_not_does_not() {
        let (mut weighted, mut plain) = (0, 0);
        for (pooling, addresses) in [
            (Pooling::Shared, 8),
            (Pooling::Shared, 9),
            (Pooling::Paired, 20),
        ] {
            for resting in [0.0, 0.7] {
                for outcome in outcomes(pooling, addresses, resting) {
                    match outcome.run.drawn {
                        Drawn::Weighted => weighted += 1,
                        Drawn::Plain => plain += 1,
                    }
                    assert!(outcome.is_exact(), "{outcome:?}");
                    assert_ne!(outcome.verdict(), Verdict::Differs, "{outcome:?}");
                    if outcome.verdict() == Verdict::TooFew {
                        continue;
                    }
                    for wrong in [0.6, 1.6] {
                        let mut false_short = outcome;
                        false_short.computed.short = (outcome.computed.short * wrong).min(1.0);
                        let mut false_share = outcome;
                        false_share.computed.refused *= wrong;
                        let both = [false_short, false_share].map(|it| it.verdict());
                        // A certainty cannot be made more certain.
                        let certain = outcome.computed.short > 0.99 && wrong > 1.0;
                        assert!(certain || both[0] == Verdict::Differs, "{outcome:?}");
                        assert_eq!(both[1], Verdict::Differs, "{outcome:?}");
                    }
                }
            }
        }
        assert!(
            weighted > 0 && plain > 0,
            "{weighted} weighted, {plain} plain"
        );
    }

    #[test]
    fn an_engine_that_refuses_otherwise_is_not_exact() {
        let mut outcome = outcomes(Pooling::Paired, 20, 0.0)[0];
        outcome.inexact = 1;
        assert!(!outcome.is_exact());
        outcome.inexact = 0;
        outcome.balanced = false;
        assert!(!outcome.is_exact());
    }
}
