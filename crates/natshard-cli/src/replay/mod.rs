//! `natshard replay`: captures through the NAT, every packet verified.
//!
//! ```text
//!             windows of frames            round trips, checksums, tenures
//! captures ──> reader ──┬──> worker 0: facts, NAT function, shard ──┬──> verdict, counts
//!                       └──> worker 1: facts, NAT function, shard ──┘
//! ```
//!
//! The reader cuts the captures into windows that all happen at one moment of simulated time, and
//! begins a window when every worker is done with the one before: engine time is the same for all
//! shards. A host's packets, its replies included, all go to one worker, which thus has seen what
//! a reply answers. With a seed the workers take turns within a window, so that the shards draw
//! blocks from the common queue in an order that can be repeated.

mod amplify;
mod batch;
mod context;
mod counts;
pub(crate) mod demand;
mod facts;
mod leases;
mod ledger;
mod output;
mod packets;
mod plan;
mod progress;
mod reader;
mod renumber;
mod run;
mod sampler;
mod shares;
mod summary;
mod survey;
mod tap;
mod team;
mod worker;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::capture::Source;
use crate::cli::{Format, ReplayArgs};
use crate::config;
use crate::exit::{Coded, Exit};
use crate::stdin::is_stdin;
use crate::terminal::{Terminal, print, refuse_two_of_stdin};
use plan::Plan;

/// The capture that is part of the program.
const SAMPLE: &[u8] = include_bytes!("../../sample/sample.pcapng");

/// Runs `natshard replay`.
///
/// # Errors
/// When a capture cannot be read, an output cannot be written, or options contradict each other.
pub(crate) fn run(args: &ReplayArgs, terminal: Terminal) -> Result<Exit> {
    let sources = sources(&args.files);
    let outputs: Vec<&Path> = [&args.out, &args.report, &args.events]
        .into_iter()
        .filter_map(Option::as_deref)
        .collect();
    refuse_two_of_stdin(args.files.iter().chain(&args.config))?;
    refuse_stdout(args)?;
    for (at, output) in outputs.iter().enumerate() {
        refuse_overwriting(output, &args.files)?;
        refuse_sharing(output, &outputs[..at])?;
    }
    let loaded = match &args.config {
        None => None,
        Some(path) => match config::load(path) {
            Ok(loaded) => {
                terminal.say_raw(&loaded.render_warnings(terminal.colored_talk));
                Some(loaded)
            }
            Err(faults) => {
                terminal.say_raw(&faults.render(terminal.colored_talk));
                return Ok(match faults {
                    config::Faults::Unreadable(_) => Exit::Failed,
                    config::Faults::Invalid { .. } => Exit::Configuration,
                });
            }
        },
    };
    let survey = survey::survey(&sources)?;
    let shards = args.shards.map(usize::from);
    let plan = match &loaded {
        Some(loaded) => Plan::of_configuration(loaded, shards, args.seed)?,
        None => Plan::without_configuration(shards.unwrap_or(1), args.seed, args.amplify, &survey)?,
    };
    let summary = run::replay(plan, &sources, &survey, args, terminal)?;
    for note in &summary.warnings {
        terminal.say("warning", note);
    }
    if let Some(path) = &args.report {
        let page = crate::report::render(&summary.report(&command_line()));
        write_whole(path, page.as_bytes())?;
    }
    let text = match args.format {
        Format::Json => output::json(&summary)?,
        Format::Table => output::table(&summary, terminal.colored),
    };
    print(text.as_bytes())?;
    for fault in &summary.faults {
        terminal.say("error", fault);
    }
    Ok(match summary.pass() {
        true => Exit::Ok,
        false => Exit::Violated,
    })
}

fn sources(files: &[PathBuf]) -> Vec<Source> {
    if files.is_empty() {
        return vec![Source::Embedded {
            name: "sample capture",
            bytes: SAMPLE,
        }];
    }
    let source = |path: &PathBuf| match is_stdin(path) {
        true => Source::Stdin,
        false => Source::File(path.clone()),
    };
    files.iter().map(source).collect()
}

/// An output that stands where an input is would destroy a recording.
fn refuse_overwriting(output: &Path, files: &[PathBuf]) -> Result<()> {
    let Ok(output_is) = output.canonicalize() else {
        return Ok(());
    };
    let is_output = |it: &PathBuf| {
        let input = if is_stdin(it) {
            Path::new("/dev/stdin")
        } else {
            it
        };
        input.canonicalize().is_ok_and(|it| it == output_is)
    };
    if output_is.is_file() && files.iter().any(is_output) {
        return Err(Coded::usage(format!(
            "{} is one of the captures to replay: it would be overwritten; name another file",
            output.display()
        ))
        .into());
    }
    Ok(())
}

/// The result goes to stdout, and another output among it would be of no use to anybody.
fn refuse_stdout(args: &ReplayArgs) -> Result<()> {
    let outputs = [
        ("--events", &args.events, "jq ."),
        ("--out", &args.out, "tcpdump -r -"),
        ("--report", &args.report, "gzip >report.html.gz"),
    ];
    for (option, path, reader) in outputs {
        let names = ["-", "/dev/stdout", "/dev/fd/1"];
        if path
            .as_ref()
            .is_some_and(|it| names.iter().any(|name| it == Path::new(name)))
        {
            return Err(Coded::usage(format!(
                "the result of the replay goes to stdout already: name a file for {option}, or a \
                 pipe such as >({reader})"
            ))
            .into());
        }
    }
    Ok(())
}

/// Two outputs under one name: the last would be all that is left.
fn refuse_sharing(output: &Path, others: &[&Path]) -> Result<()> {
    let is_file = |path: &Path| !path.exists() || path.is_file();
    if is_file(output) && others.contains(&output) {
        return Err(Coded::usage(format!(
            "{} is named for two outputs: give each a file of its own",
            output.display()
        ))
        .into());
    }
    Ok(())
}

/// Writes a file so that no half of it ever stands under its name; devices and pipes directly.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    use std::io::Write as _;
    let write = || -> Result<()> {
        let mut target = crate::capture::Target::open(path)?;
        target.write_all(bytes)?;
        target.finish()
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// The command line of this process, as a shell would take it.
fn command_line() -> String {
    let quoted = std::env::args().enumerate().map(|(at, word)| {
        let word = match at {
            0 => "natshard".into(),
            _ => word,
        };
        let plain = |it: char| it.is_alphanumeric() || "-_./:=,+@%".contains(it);
        match !word.is_empty() && word.chars().all(plain) {
            true => word,
            false => format!("'{}'", word.replace('\'', r"'\''")),
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}
