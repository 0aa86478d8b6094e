//! The same law drawn at random, leased from the real engine, and what it refused.

use anyhow::Result;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

use super::args::Pooling;
use super::cumulant::Law;
use super::draw::{Alias, successes};
use super::estimate::Estimate;
use super::outcome::Outcome;
use super::pool::{Asked, Pool};
use super::trial::{Drawn, RESTING, Run, Trial};

/// Does a run; `step` is called after each moment.
///
/// # Errors
/// When the engine does not take its configuration.
pub(crate) fn simulate(trial: &Trial<'_>, run: Run, mut step: impl FnMut()) -> Result<Outcome> {
    let (crowd, _) = trial.sizing.crowd(trial.pooling, run.addresses);
    let seed = trial.seed ^ run.addresses.rotate_left(32);
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    // An address has at least as many ports as units.
    let last = trial.first_port + (trial.sizing.space().capacity - 1) as u16;
    let mut pool = Pool::new(
        run.simulated as u32,
        trial.protocol,
        trial.first_port..=last,
        trial.pooling == Pooling::Paired,
        trial.hold_down,
        trial.seed,
    )?;
    let mut source = Source::new(&crowd.law(), run.weight.tilt);
    let mut outcome = Outcome {
        run,
        computed: trial.sizing.risk(trial.pooling, run.addresses),
        mean: crowd.mean(),
        short: Estimate::default(),
        refused: Estimate::default(),
        asked: 0,
        refusals: 0,
        inexact: 0,
        balanced: false,
    };
    for moment in 0..run.moments {
        pool.pass_time();
        let resting = match moment % RESTING {
            0 => trial.resting,
            _ => 0.0,
        };
        source.subscribers = crowd.subscribers();
        let (mut short, mut refused) = (0.0, 0.0);
        for number in 0..run.sources {
            let taken = match run.drawn {
                // Who is on one address is on no other.
                Drawn::Plain => source.draw_from_the_rest(number, &mut random),
                Drawn::Weighted => source.draw(&mut random),
            };
            let asked = Asked {
                taken,
                resting: (taken as f64 * resting).round() as u64,
            };
            let refusals = pool.ask(number as usize, asked, &mut random);
            outcome.asked += taken;
            outcome.refusals += refusals;
            outcome.inexact += u64::from(refusals != taken.saturating_sub(run.capacity));
            let weight = run.weight.of(taken as f64);
            let is_short = if refusals > 0 { weight } else { 0.0 };
            let share = weight * refusals as f64 / crowd.mean();
            match run.drawn {
                Drawn::Plain => {
                    short += is_short / run.sources as f64;
                    refused += share / run.sources as f64;
                }
                Drawn::Weighted => {
                    outcome.short.add(is_short);
                    outcome.refused.add(share);
                }
            }
        }
        if run.drawn == Drawn::Plain {
            outcome.short.add(short);
            outcome.refused.add(refused);
        }
        step();
    }
    outcome.balanced = pool.finish(&mut random);
    Ok(outcome)
}

/// A pool or an address, whose askers are drawn together.
struct Source {
    /// Those who may be among them.
    subscribers: u64,
    /// The probability of each.
    chance: f64,
    /// What one asks for.
    law: Alias,
}

impl Source {
    fn new(law: &Law, tilt: f64) -> Self {
        let mut weights = law.tilted(tilt);
        weights[0] = 0.0;
        Source {
            subscribers: 0,
            chance: weights.iter().sum(),
            law: Alias::new(&weights),
        }
    }

    /// The demand for one of several equal sources, of those who are not on one of the `before`
    /// drawn already.
    fn draw_from_the_rest(&mut self, before: u64, random: &mut Xoshiro256PlusPlus) -> u64 {
        let left = 1.0 - before as f64 * self.chance;
        let askers = successes(self.subscribers, self.chance / left, random);
        self.subscribers -= askers;
        self.demand(askers, random)
    }

    /// The demand for it, whatever that for others is.
    fn draw(&self, random: &mut Xoshiro256PlusPlus) -> u64 {
        self.demand(successes(self.subscribers, self.chance, random), random)
    }

    fn demand(&self, askers: u64, random: &mut Xoshiro256PlusPlus) -> u64 {
        (0..askers).map(|_| self.law.draw(random)).sum()
    }
}
