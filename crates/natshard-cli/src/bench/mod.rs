//! `natshard bench`: what the allocator costs, beside references, measured in one run.
//!
//! The criterion benches and the instruction counts of this repository use the same cases.

pub(crate) mod args;
pub mod case;
pub mod cases;
pub mod counted;
pub mod crew;
pub mod frames;
pub mod heap;
mod json;
pub mod latency;
pub mod machine;
pub mod measure;
pub mod memory;
pub mod own;
pub mod pools;
mod progress;
pub mod references;
mod table;
pub mod window;

use std::time::Instant;

use anyhow::Result;

use crate::Exit;
use crate::cli::Format;
use crate::exit::Coded;
use crate::terminal::{self, Terminal};

use self::args::BenchArgs;
use self::case::{Case, Settings};
use self::crew::Crew;
use self::latency::Tail;
use self::machine::Machine;
use self::measure::{Effort, Measured};
use self::memory::Amount;
use self::progress::Progress;

/// Everything that was found out.
struct Results {
    machine: Machine,
    settings: Settings,
    effort: Effort,
    pinned: bool,
    seconds: f64,
    cases: Vec<(Case, Vec<Measured>)>,
    tails: Vec<Tail>,
    amounts: Vec<Amount>,
}

/// What is measured in other ways than by rounds.
const LATENCY: &str = "latency";
const MEMORY: &str = "memory";

/// The command.
pub(crate) fn run(args: &BenchArgs, terminal: Terminal) -> Result<Exit> {
    let machine = Machine::look();
    let threads = args.threads.map_or(machine.cores.min(8), usize::from);
    let settings = Settings {
        threads,
        quick: args.quick,
    };
    let chosen = choose(cases::all(settings), &args.only)?;
    if cfg!(debug_assertions) {
        terminal.say("warning", "this is a debug build: its figures mean nothing");
    }
    let started = Instant::now();
    let crew = Crew::new(threads.max(2));
    if threads > machine.cores {
        let cores = machine.cores;
        let message = format!("{threads} threads share {cores} cores: they wait for each other");
        terminal.say("warning", &message);
    }
    let effort = Effort::new(args.quick);
    let progress = Progress::new(terminal.progress, chosen.len() + 2);
    let wanted = |name| args.only.is_empty() || args.only.iter().any(|it| name == it.as_str());
    let (mut measured, mut tails, mut amounts) = (Vec::new(), Vec::new(), Vec::new());
    let last = chosen.len();
    for (at, case) in chosen.into_iter().enumerate() {
        let results = measure::case(&case, effort, &crew, |part| {
            progress.at(at, part, case.name);
        });
        measured.push((case, results));
    }
    if wanted(LATENCY) {
        progress.at(last, 0.0, LATENCY);
        let operations = if args.quick { 1_000_000 } else { 5_000_000 };
        tails = crew::on_first_core(|| latency::measure(operations));
    }
    if wanted(MEMORY) {
        progress.at(last + 1, 0.0, MEMORY);
        amounts = memory::measure(args.quick);
    }
    progress.finish();
    let results = Results {
        machine,
        settings,
        effort,
        pinned: crew.pinned,
        seconds: started.elapsed().as_secs_f64(),
        cases: measured,
        tails,
        amounts,
    };
    let text = match args.format {
        Format::Table => table::render(&results, terminal.colored),
        Format::Json => json::render(&results)?,
    };
    terminal::print(text.as_bytes())?;
    Ok(judge(&results, terminal))
}

fn choose(cases: Vec<Case>, only: &[String]) -> Result<Vec<Case>> {
    for name in only {
        if [LATENCY, MEMORY].contains(&name.as_str()) {
            continue;
        }
        if !cases.iter().any(|it| it.name.contains(name.as_str())) {
            let known = cases.iter().map(|it| it.name);
            let known: Vec<_> = known.chain([LATENCY, MEMORY]).collect();
            let known = known.join("; ");
            return Err(Coded::usage(format!("no case has `{name}` in its name: {known}")).into());
        }
    }
    let chosen = cases
        .into_iter()
        .filter(|it| only.is_empty() || only.iter().any(|name| it.name.contains(name.as_str())));
    Ok(chosen.collect())
}

/// A refusal where the pool was large enough makes the figures worthless.
fn judge(results: &Results, terminal: Terminal) -> Exit {
    let mut exit = Exit::Ok;
    for it in results.cases.iter().flat_map(|(_, measured)| measured) {
        if it.refused > 0 && !it.may_refuse {
            let message = format!(
                "{}: {} refused {} times although there was room",
                it.case, it.implementation, it.refused
            );
            terminal.say("error", &message);
            exit = Exit::Failed;
        }
    }
    exit
}
