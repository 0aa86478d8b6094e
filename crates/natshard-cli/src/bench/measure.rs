//! Rounds: each has every implementation of a case once, one after the other, so that whatever
//! the machine does besides meets all of them alike.

use std::time::{Duration, Instant};

use super::case::{Case, Contestant};
use super::crew::Crew;

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Rounds of a case.
    pub rounds: usize,
    /// What a round of one implementation should take.
    pub round: Duration,
    /// Cases whose rounds take longer than that have fewer of them: about so much is spent on each
    /// implementation.
    pub each: Duration,
    /// At least so many rounds, an odd number.
    pub least: usize,
}

impl Effort {
    /// For a first look, or for a figure to quote.
    #[must_use]
    pub const fn new(quick: bool) -> Self {
        let (rounds, micros, millis, least) = match quick {
            true => (31, 400, 40, 3),
            false => (201, 1_000, 250, 5),
        };
        Effort {
            rounds,
            round: Duration::from_micros(micros),
            each: Duration::from_millis(millis),
            least,
        }
    }
}

/// The distribution of the rounds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Spread {
    /// The least.
    pub min: f64,
    /// The middle.
    pub median: f64,
    /// The 99th percentile (nearest rank).
    pub p99: f64,
}

impl Spread {
    /// Of these numbers, of which there is at least one.
    #[must_use]
    pub fn of(mut numbers: Vec<f64>) -> Self {
        numbers.sort_by(f64::total_cmp);
        let rank = |part: f64| numbers[((numbers.len() as f64 * part).ceil() as usize).max(1) - 1];
        Spread {
            min: numbers[0],
            median: rank(0.5),
            p99: rank(0.99),
        }
    }
}

/// What was measured of one implementation in one case.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The case, with its setting.
    pub case: String,
    /// The setting alone.
    pub setting: Option<&'static str>,
    /// The implementation.
    pub implementation: &'static str,
    /// On so many threads.
    pub threads: usize,
    /// Nanoseconds per operation: what a thread took, over its operations.
    pub ns_per_op: Spread,
    /// The median over the rounds of its time over that of the case's baseline on as many
    /// threads in the same round.
    pub ratio: Option<f64>,
    /// The same over its own time on one thread.
    pub ratio_to_one_thread: Option<f64>,
    /// Rounds.
    pub rounds: usize,
    /// Operations of a thread in a round.
    pub operations: u64,
    /// Operations refused, of all rounds.
    pub refused: u64,
    /// Whether the case expects refusals.
    pub may_refuse: bool,
    /// What each round took, in nanoseconds per operation.
    pub samples: Vec<f64>,
}

/// Measures a case. `step` is told how much of it is done, between 0 and 1.
pub fn case(case: &Case, effort: Effort, crew: &Crew, mut step: impl FnMut(f64)) -> Vec<Measured> {
    let mut contestants = (case.build)();
    step(0.1);
    let operations: Vec<u64> = contestants
        .iter_mut()
        .map(|it| calibrate(crew, it, effort.round))
        .collect();
    step(0.2);
    let mut samples = vec![Vec::with_capacity(effort.rounds); contestants.len()];
    let mut refused = vec![0; contestants.len()];
    let budget = effort.each * contestants.len() as u32;
    let started = Instant::now();
    for round in 0..effort.rounds {
        for (at, contestant) in contestants.iter_mut().enumerate() {
            let free = contestant.workers.iter().all(|it| it.fixed().is_none());
            let run_in = if free {
                operations[at] / 8 / 32 * 32
            } else {
                0
            };
            let result = crew.round(contestant, operations[at], run_in);
            samples[at].push(result.took.as_nanos() as f64 / operations[at] as f64);
            refused[at] += result.refused;
        }
        let part = started.elapsed().as_secs_f64() / budget.as_secs_f64();
        step(0.2 + 0.8 * part.max(round as f64 / effort.rounds as f64).min(1.0));
        // An odd number of rounds has a middle.
        if part > 1.0 && round + 1 >= effort.least && round % 2 == 0 {
            break;
        }
    }
    let find = |name: &str, threads: usize, setting: Option<&str>| {
        let same = |it: &Contestant| it.implementation == name && it.threads == threads;
        let here = |it: &Contestant| same(it) && it.setting == setting;
        let place = contestants.iter().position(here);
        place.or_else(|| contestants.iter().position(same))
    };
    let paired = |at: usize, to: Option<usize>| {
        let to = to?;
        let ratios = samples[at].iter().zip(&samples[to]).map(|(it, to)| it / to);
        Some(Spread::of(ratios.collect()).median)
    };
    let measured = contestants.iter().enumerate().map(|(at, it)| Measured {
        case: it.setting.map_or_else(
            || case.name.into(),
            |setting| format!("{}, {setting}", case.name),
        ),
        setting: it.setting,
        implementation: it.implementation,
        threads: it.threads,
        ns_per_op: Spread::of(samples[at].clone()),
        ratio: paired(
            at,
            find(
                case.baseline,
                it.threads,
                case.baseline_setting.or(it.setting),
            ),
        ),
        ratio_to_one_thread: paired(
            at,
            find(it.implementation, 1, it.setting)
                .filter(|one| contestants[*one].threads != it.threads),
        ),
        rounds: samples[at].len(),
        operations: operations[at],
        refused: refused[at],
        may_refuse: it.may_refuse,
        samples: samples[at].clone(),
    });
    measured.collect()
}

/// How many operations take about as long as a round should, a multiple of a burst.
fn calibrate(crew: &Crew, contestant: &mut Contestant, round: Duration) -> u64 {
    if let Some(fixed) = contestant.workers.iter().find_map(|it| it.fixed()) {
        crew.round(contestant, fixed, 0);
        return fixed;
    }
    // The quickest of a few runs: one that was interrupted says nothing.
    let mut quickest = |operations, runs| {
        let runs = (0..runs).map(|_| crew.round(contestant, operations, 0).took);
        runs.min().unwrap_or_default().max(Duration::from_nanos(1))
    };
    let mut operations = 32;
    while operations < 1 << 28 && quickest(operations, 2) * 4 < round {
        operations *= 2;
    }
    let exact = operations as f64 * round.as_secs_f64() / quickest(operations, 3).as_secs_f64();
    ((exact / 32.0).round() as u64).max(1) * 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_has_the_nearest_ranks() {
        let numbers = (1..=201).rev().map(f64::from).collect();
        let spread = Spread::of(numbers);
        assert_eq!((spread.min, spread.median, spread.p99), (1.0, 101.0, 199.0));
        let spread = Spread::of(vec![7.0]);
        assert_eq!((spread.min, spread.median, spread.p99), (7.0, 7.0, 7.0));
    }
}
