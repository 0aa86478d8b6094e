//! `natshard trace`: which subscriber had a public tuple at a time.
//!
//! ```text
//! lines ──> runs: clock, gaps, records of the tuple ──> tenures ──> candidates, doubts, notes
//! ```
//!
//! A log is not believed beyond what it says. A tenure whose beginning or end is not on record has
//! an unknown one; where events were lost or lines are missing, whatever they could have changed is
//! called uncertain; and all who are possible are named.

mod answer;
#[cfg(test)]
mod changes_tests;
mod computed;
mod notes;
mod output;
mod progress;
mod question;
mod ranges;
mod read;
mod run;
mod tenure;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use clap::{Args, ValueHint};

use crate::cli::Format;
use crate::config;
use crate::events::{Asked, LoggedPool};
use crate::exit::{Coded, Exit};
use crate::terminal::{Terminal, print, refuse_two_of_stdin};
use progress::Progress;
use question::{Question, Word};
use read::LogReader;
use run::Run;

/// What `natshard trace` takes.
#[derive(Args, Debug)]
#[command(override_usage = "\
natshard trace [OPTIONS] LOG... PUBLIC:PORT --at TIME
       natshard trace [OPTIONS] --config C.toml PUBLIC:PORT [--at TIME]
       natshard trace [OPTIONS] --config C.toml --subscriber WHO")]
pub(crate) struct TraceArgs {
    /// Event logs, in any order, `-` for stdin; then the public address and port, as
    /// 203.0.113.7:40000 or [2001:db8::7]:40000
    #[arg(value_name = "LOG... PUBLIC:PORT", value_hint = ValueHint::FilePath)]
    words: Vec<String>,

    /// When, with a zone: 2026-01-05T10:00:00Z or 2026-01-05T11:00:00.25+01:00. Whole seconds mean
    /// any moment of the second
    #[arg(long, value_name = "TIME")]
    at: Option<String>,

    /// Whose port: of TCP, of UDP, or the identifier of ICMP queries. Without it, all three
    #[arg(long, value_name = "PROTOCOL")]
    protocol: Option<Word>,

    /// Name also who had it so many seconds before or after: the clock that read TIME may be wrong
    #[arg(long, value_name = "SECONDS", default_value = "10")]
    within: String,

    /// Compute deterministic pools of this configuration where no log covers the time
    #[arg(long, value_name = "C.toml", value_hint = ValueHint::FilePath)]
    config: Option<PathBuf>,

    /// The other way round: the address and ports of a subscriber of the deterministic pools
    #[arg(long, value_name = "WHO", conflicts_with_all = ["at", "within"])]
    subscriber: Option<String>,

    /// How results are written to stdout
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: Format,
}

/// Runs `natshard trace`.
///
/// # Errors
/// When a log cannot be read or is none, or the question is none.
pub(crate) fn run(args: &TraceArgs, terminal: Terminal) -> Result<Exit> {
    let (logs, question) = match args.subscriber {
        Some(_) => (args.words.iter().map(PathBuf::from).collect(), None),
        None => {
            let (logs, question) = question(args)?;
            (logs, Some(question))
        }
    };
    refuse_two_of_stdin(logs.iter().chain(&args.config))?;
    if logs.is_empty() && args.config.is_none() {
        return Err(Coded::usage("name a log, or a configuration with --config").into());
    }
    let configured = match &args.config {
        None => None,
        Some(path) => match config::load(path) {
            Ok(loaded) => Some((loaded.path().display().to_string(), pools(&loaded))),
            Err(faults) => {
                terminal.say_raw(&faults.render(terminal.colored_talk));
                return Ok(match faults {
                    config::Faults::Unreadable(_) => Exit::Failed,
                    config::Faults::Invalid { .. } => Exit::Configuration,
                });
            }
        },
    };
    let configured = configured
        .as_ref()
        .map(|(path, it)| (path.as_str(), it.as_slice()));
    let runs = read(&logs, question.as_ref(), terminal)?;
    let (text, found) = match (&question, &args.subscriber) {
        (Some(question), _) => {
            let answer = answer::answer(question, &runs, configured);
            let text = match args.format {
                Format::Json => output::json(question, &answer)?,
                Format::Table => output::table(question, &answer, terminal.colored),
            };
            (text, !answer.candidates.is_empty())
        }
        (None, who) => {
            let who = who.as_deref().unwrap_or_default();
            let ranges = ranges_of(who, args, &runs, configured)?;
            let text = match args.format {
                Format::Json => output::ranges_json(who, &ranges)?,
                Format::Table => output::ranges_table(who, &ranges, terminal.colored),
            };
            (text, !ranges.is_empty())
        }
    };
    print(text.as_bytes())?;
    Ok(match found {
        true => Exit::Ok,
        false => Exit::Failed,
    })
}

/// What is asked, and of which logs.
fn question(args: &TraceArgs) -> Result<(Vec<PathBuf>, Question)> {
    let usage = |said: String| anyhow!(Coded::usage(said));
    let Some((public, logs)) = args.words.split_last() else {
        let said = "name the public address and port, such as 203.0.113.7:40000";
        return Err(usage(said.into()));
    };
    let public = question::tuple(public).map_err(usage)?;
    let at = match &args.at {
        Some(text) => {
            let asked: Result<Asked, String> = text.parse();
            Some(asked.map_err(|said| usage(format!("--at: {said}")))?)
        }
        None if logs.is_empty() => None,
        None => {
            let said = "name the time with --at TIME: ports have many holders, one after the other";
            return Err(usage(said.into()));
        }
    };
    let within = question::seconds(&args.within);
    let question = Question {
        public,
        protocol: args.protocol.map(Word::protocol),
        at,
        within: within.map_err(|said| usage(format!("--within: {said}")))?,
    };
    Ok((logs.iter().map(PathBuf::from).collect(), question))
}

fn read(logs: &[PathBuf], question: Option<&Question>, terminal: Terminal) -> Result<Vec<Run>> {
    let size = |path: &PathBuf| {
        let meta = path.metadata().ok()?;
        meta.is_file().then_some(meta.len())
    };
    let total = logs.iter().map(size).sum();
    let mut reader = LogReader::new(question, Progress::new(terminal.progress, total));
    for log in logs {
        reader.read(log)?;
    }
    Ok(reader.finish())
}

/// The ranges of a subscriber, by the configuration or else by the logs.
fn ranges_of(
    who: &str,
    args: &TraceArgs,
    runs: &[Run],
    configured: Option<(&str, &[LoggedPool])>,
) -> Result<Vec<ranges::Range>> {
    let protocol = args.protocol.map(Word::protocol);
    let mut sources: Vec<(String, Vec<&LoggedPool>)> = Vec::new();
    if let Some((path, pools)) = configured {
        sources.push((path.into(), pools.iter().collect()));
    }
    for run in runs {
        sources.push((run.log.clone(), run.first_pools().collect()));
        for change in &run.changes {
            if let run::Configured::So(pool) = &change.now {
                let since = format!("{}, from {}", run.log, change.time);
                sources.push((since, vec![&**pool]));
            }
        }
    }
    let mut all = sources.iter().flat_map(|it| &it.1);
    if !all.any(|it| it.deterministic.is_some()) {
        return Err(anyhow!(
            "there is no deterministic pool: of others, only the log of a time says who has what"
        ));
    }
    let mut found: Vec<ranges::Range> = Vec::new();
    for (source, pools) in &sources {
        for range in ranges::ranges(who, protocol, source, pools.iter().copied()) {
            let same = |it: &ranges::Range| {
                ranges::Range {
                    source: String::new(),
                    ..it.clone()
                } == ranges::Range {
                    source: String::new(),
                    ..range.clone()
                }
            };
            if !found.iter().any(same) {
                found.push(range);
            }
        }
    }
    Ok(found)
}

/// The pools of a configuration as a log would have them.
fn pools(loaded: &config::Loaded) -> Vec<LoggedPool> {
    loaded.nat().pools().iter().map(LoggedPool::of).collect()
}
