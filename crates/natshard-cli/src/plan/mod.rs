//! `natshard plan`: how many public addresses so many subscribers need.
//!
//! ```text
//! options ─┐
//! file ────┼─> law of one subscriber ─> tail of all of them ─> least number of addresses
//! captures ┘          │                                                 │
//!                     └─> draws ─> the real engine leases and refuses ──┴─> confirmed or not
//! ```
//!
//! The law of the sum is computed from generating functions (`circle`), not approximated; the
//! simulation knows nothing of that and counts what an engine of the computed size refuses.

mod answer;
pub(crate) mod args;
mod asked;
mod circle;
mod cumulant;
mod demand;
mod draw;
mod estimate;
mod fft;
mod histogram;
mod json;
mod law;
mod observed;
mod outcome;
mod pool;
mod progress;
mod simulate;
mod size;
mod space;
mod table;
mod tail;
mod trial;
mod value;

use anyhow::{Result, anyhow};
use natshard::Protocol;

pub(crate) use args::PlanArgs;

use crate::cli::Format;
use crate::config::grouped;
use crate::exit::Exit;
use crate::terminal::{Terminal, print};
use answer::{Needs, Point, curve};
use asked::Asked;
use estimate::Verdict;
use outcome::Outcome;
use progress::Progress;
use simulate::simulate;
use size::Sizing;
use space::{Rules, Space};
use trial::Trial;

/// Everything that is shown.
struct Plan<'a> {
    args: &'a PlanArgs,
    rules: Rules,
    asked: &'a Asked,
    /// Each space of ports with the subscribers over it.
    sizings: &'a [Sizing<'a>],
    /// What each space of ports needs.
    needs: Vec<Needs>,
    /// The space that needs most, and how refusals fall there.
    deciding: usize,
    curve: Vec<Point>,
    /// Addresses that are enough for every space.
    addresses: u64,
    outcomes: Vec<Outcome>,
    /// Why nothing was simulated, if nothing was.
    not_simulated: Option<String>,
}

/// Runs `natshard plan`.
///
/// # Errors
/// When options contradict each other, a file cannot be read, or no number of addresses will do.
pub(crate) fn run(args: &PlanArgs, terminal: Terminal) -> Result<Exit> {
    let rules = Rules::of(args)?;
    let asked = Asked::of(args, &rules, terminal)?;
    let sizings: Vec<Sizing<'_>> = asked
        .spaces
        .iter()
        .map(|space| Sizing::new(space, asked.subscribers, asked.activity))
        .collect();
    let each = args.ports_each.map(u64::from);
    let needs: Vec<Needs> = sizings
        .iter()
        .map(|sizing| Needs::of(sizing, args.refusal, each))
        .collect();
    let wanted = needs.iter().zip(&asked.spaces).map(|(needs, space)| {
        let most = needs.with(args.pooling);
        most.ok_or_else(|| anyhow!(unattainable(space, args)))
    });
    let wanted = wanted.collect::<Result<Vec<u64>>>()?;
    let addresses = wanted.iter().max().copied().unwrap_or(1);
    let deciding = wanted.iter().position(|it| *it == addresses).unwrap_or(0);
    let sizing = &sizings[deciding];
    let mut plan = Plan {
        curve: curve(sizing, &needs[deciding]),
        args,
        asked: &asked,
        sizings: &sizings,
        needs,
        deciding,
        addresses,
        outcomes: Vec::new(),
        not_simulated: args.no_simulate.then(|| "as asked".into()),
        rules,
    };
    if !args.no_simulate {
        plan.simulate(sizing, terminal)?;
    }
    let text = match args.format {
        Format::Json => json::render(&plan)?,
        Format::Table => table::render(&plan, terminal.colored),
    };
    print(text.as_bytes())?;
    Ok(plan.judge(terminal))
}

impl Plan<'_> {
    /// Draws the demand and has the engine lease it: with the planned addresses, with one fewer,
    /// and with what the average suggests.
    fn simulate(&mut self, sizing: &Sizing<'_>, terminal: Terminal) -> Result<()> {
        let space = sizing.space();
        let resting = match self.rules.block_size {
            // A block is one whole, whatever of it rests.
            Some(_) => 0.0,
            None => 1.0 - space.leased.mean() / space.taken.mean(),
        };
        let trial = Trial {
            sizing,
            pooling: self.args.pooling,
            protocol: space.which.unwrap_or(Protocol::Tcp),
            first_port: *self.rules.range(space.which).start(),
            hold_down: self.asked.hold_down,
            resting,
            seed: self.args.seed,
            moments: self.args.moments.map(u64::from),
        };
        if !trial.fits(self.addresses) {
            self.not_simulated = Some(format!(
                "{} addresses shared by all take more leases than fit into memory here",
                grouped(self.addresses.into())
            ));
            return Ok(());
        }
        let runs = trial.runs(self.addresses, self.needs[self.deciding].average);
        let moments = runs.iter().map(|it| it.moments).sum();
        let mut bar = Progress::new(terminal.progress, moments);
        for run in runs {
            let outcome = simulate(&trial, run, || bar.step(run.addresses))?;
            self.outcomes.push(outcome);
        }
        bar.finish();
        Ok(())
    }

    /// What the simulation says of the computation: nothing where nothing was simulated; no worse
    /// than that too few refusals were seen, unless with the planned addresses or one fewer enough
    /// were.
    fn verdict(&self) -> Option<Verdict> {
        let verdicts = || self.outcomes.iter().map(Outcome::verdict);
        let near = self
            .outcomes
            .iter()
            .filter(|it| it.run.addresses + 1 >= self.addresses);
        let seen = near.map(Outcome::verdict).min()?;
        match verdicts().any(|it| it == Verdict::Differs) {
            true => Some(Verdict::Differs),
            false => Some(seen),
        }
    }

    /// What the program ends with, and why if it is not well.
    fn judge(&self, terminal: Terminal) -> Exit {
        let inexact: u64 = self.outcomes.iter().map(|it| it.inexact).sum();
        if self.outcomes.iter().any(|it| !it.is_exact()) {
            terminal.say(
                "error",
                &format!(
                    "the engine refused otherwise than the room it had, {inexact} times, or its \
                     books do not balance: please report this command line"
                ),
            );
            return Exit::Violated;
        }
        if self.verdict() == Some(Verdict::Differs) {
            terminal.say(
                "error",
                "the simulation does not agree with the computation: see whether it does with \
                 more --moments or another --seed, and report this command line if not",
            );
            return Exit::Failed;
        }
        Exit::Ok
    }
}

fn unattainable(space: &Space, args: &PlanArgs) -> String {
    let units = match args.block_size {
        Some(size) => format!("blocks of {size} ports"),
        None => "ports".into(),
    };
    let most = grouped(space.units.most().into());
    let alone = space.units.refused_by_limit(space.capacity);
    match alone >= args.refusal {
        true => format!(
            "no number of addresses keeps refusals below {}: a subscriber asks for up to {most} \
             {units} and an address has {}, which alone refuses {alone:.1e} of them; limit what a \
             subscriber may have with --max-ports, or share addresses with --pooling shared",
            args.refusal,
            grouped(space.capacity.into()),
        ),
        false => format!(
            "no pool of up to 2^32 addresses keeps refusals below {}",
            args.refusal
        ),
    }
}
