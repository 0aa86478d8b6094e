//! What to simulate: how the demand is drawn so that shortages are seen, how many moments that
//! takes, and how many addresses of many equal ones.

use std::time::Duration;

use natshard::Protocol;

use super::args::Pooling;
use super::circle::Sum;
use super::size::Sizing;

/// The most leases at once; each takes 16 bytes.
const MOST_LEASES: f64 = 40e6;
/// As many as are worth it where addresses are alike and a part of them will do.
const ENOUGH_LEASES: f64 = 4e6;
/// The most addresses simulated where they are alike; each takes 150 KB.
const MOST_ADDRESSES: u64 = 1024;
/// In one moment of so many, ports that rest do so in the engine; in the others, to which it makes
/// no difference, they are leased, which spares leasing and releasing all of them each time.
pub(super) const RESTING: u64 = 64;
/// Leases moved by one run, about, and draws in the same time.
const EFFORT: f64 = 8e6;
/// The relative standard error that is enough.
const ENOUGH: f64 = 0.05;
/// Moments of a first look.
const LOOK: u64 = 16;

/// How the demand is drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Drawn {
    /// As it is.
    Plain,
    /// Heavier, with its weight put right: importance sampling.
    Weighted,
}

/// Each number of units is drawn `exp(tilt * units)` times as often as it is asked for, and
/// weighs as much less.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Weight {
    pub(super) tilt: f64,
    log: f64,
}

impl Weight {
    /// Of a demand of so many units.
    pub(super) fn of(&self, units: f64) -> f64 {
        (self.log - self.tilt * units).exp()
    }
}

/// One number of addresses, simulated in one way.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Run {
    /// Addresses of the plan.
    pub(crate) addresses: u64,
    /// Addresses of the engine: fewer where they are many and alike.
    pub(crate) simulated: u64,
    /// Pools or addresses asked at each moment.
    pub(super) sources: u64,
    /// Units of each.
    pub(super) capacity: u64,
    /// How the demand is drawn.
    pub(crate) drawn: Drawn,
    pub(super) weight: Weight,
    /// Moments drawn.
    pub(crate) moments: u64,
}

impl Run {
    /// The standard error to expect, relative to the probability of a shortage. The mean of the
    /// square of the weights is at most the largest times the mean.
    fn relative_error(&self, short: f64) -> f64 {
        (self.heaviest() / (short * self.values())).sqrt()
    }

    /// The largest weight of a shortage.
    pub(super) fn heaviest(&self) -> f64 {
        self.weight.of(self.capacity as f64 + 1.0)
    }

    /// How often a pool or an address is asked.
    pub(super) fn values(&self) -> f64 {
        (self.moments * self.sources) as f64
    }
}

/// What is simulated.
pub(crate) struct Trial<'s> {
    pub(crate) sizing: &'s Sizing<'s>,
    pub(crate) pooling: Pooling,
    pub(crate) protocol: Protocol,
    /// Where the ports of an address begin.
    pub(crate) first_port: u16,
    pub(crate) hold_down: Duration,
    /// The part of what is taken that rests; where blocks are leased none does by itself.
    pub(crate) resting: f64,
    pub(crate) seed: u64,
    pub(crate) moments: Option<u64>,
}

impl Trial<'_> {
    /// Whether the engine's leases would fit into memory.
    pub(crate) fn fits(&self, addresses: u64) -> bool {
        self.pooling == Pooling::Paired || self.leases(addresses) <= MOST_LEASES
    }

    /// The runs that confirm a plan of that many addresses: these, with one fewer, and with what
    /// the average suggests.
    pub(crate) fn runs(&self, addresses: u64, average: u64) -> Vec<Run> {
        let mut runs = Vec::new();
        let planned = self.best(addresses);
        if planned.drawn == Drawn::Weighted {
            let mut look = self.run(addresses, Drawn::Plain);
            look.moments = self.moments.unwrap_or(LOOK);
            runs.push(look);
        }
        runs.push(planned);
        for fewer in [addresses - 1, average] {
            if (1..addresses).contains(&fewer) && runs.iter().all(|it| it.addresses != fewer) {
                runs.push(self.best(fewer));
            }
        }
        runs
    }

    /// The way of drawing that shows most.
    fn best(&self, addresses: u64) -> Run {
        let short = self.sizing.risk(self.pooling, addresses).short;
        let plain = self.run(addresses, Drawn::Plain);
        if short <= 0.0 || plain.relative_error(short) <= 1.5 * ENOUGH {
            return plain;
        }
        let weighted = self.run(addresses, Drawn::Weighted);
        // One subscriber alone may ask for more than there is: then no tilt of all of them makes
        // shortages likely without making most of them far too large.
        match plain.relative_error(short) <= weighted.relative_error(short) {
            true => plain,
            false => weighted,
        }
    }

    fn run(&self, addresses: u64, drawn: Drawn) -> Run {
        let (crowd, capacity) = self.sizing.crowd(self.pooling, addresses);
        let (simulated, sources) = match self.pooling {
            Pooling::Shared => (addresses, 1),
            Pooling::Paired => {
                let affordable = (ENOUGH_LEASES / self.leases(addresses)) as u64;
                let simulated = addresses.min(affordable.clamp(1, MOST_ADDRESSES));
                (simulated, simulated)
            }
        };
        let mut run = Run {
            addresses,
            simulated,
            sources,
            capacity,
            drawn,
            weight: self.weight(addresses, drawn),
            moments: 1,
        };
        run.moments = self.moments.unwrap_or_else(|| {
            let moved = crowd.deviation() + self.resting * crowd.mean() / RESTING as f64;
            let askers = crowd.mean() / self.sizing.space().units.mean();
            let affordable = EFFORT / (sources as f64 * (2.0 * moved + 0.3 * askers + 1.0));
            let least = match drawn {
                // The addresses of one moment are not independent of each other.
                Drawn::Plain => 30.0,
                Drawn::Weighted => 10f64.max(200.0 / sources as f64),
            };
            let short = self.sizing.risk(self.pooling, addresses).short;
            let wanted = (run.relative_error(short) / ENOUGH).powi(2);
            wanted.min(affordable).max(least) as u64
        });
        run
    }

    /// Leases at once, about, of one source.
    fn leases(&self, addresses: u64) -> f64 {
        let (crowd, capacity) = self.sizing.crowd(self.pooling, addresses);
        (crowd.mean() + 4.0 * crowd.deviation()).clamp(1.0, capacity as f64)
    }

    /// The tilt under which the mean demand is just too large, and what it does to the weights.
    fn weight(&self, addresses: u64, drawn: Drawn) -> Weight {
        let (crowd, capacity) = self.sizing.crowd(self.pooling, addresses);
        let (law, needed) = (crowd.law(), capacity as f64 + 1.0);
        if drawn == Drawn::Plain || crowd.mean() >= needed {
            return Weight {
                tilt: 0.0,
                log: 0.0,
            };
        }
        let sum = Sum {
            law: &law,
            subscribers: crowd.subscribers() as f64,
            sign: 1.0,
        };
        let tilt = sum.saddle(needed, 0.0);
        Weight {
            tilt,
            log: sum.moments(tilt).log,
        }
    }
}
