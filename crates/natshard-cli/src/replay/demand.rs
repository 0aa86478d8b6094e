//! What the inside hosts of captures lease, for `natshard plan`: the same pipeline as a replay's,
//! asked for its tenures and not for its verdict.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow};
use natshard::{AllocError, Engine};

use super::context::Context;
use super::plan::Plan;
use super::progress::Progress;
use super::reader::WindowReader;
use super::survey;
use super::team::Team;
use crate::config::{self, Faults, plural};
use crate::exit::Coded;
use crate::terminal::{Terminal, refuse_two_of_stdin};
use crate::verify::tenure::Stay;

/// What captures show of demand.
pub(crate) struct Replayed {
    /// The captures, by name.
    pub(crate) captures: Vec<String>,
    /// Every lease; those that were alive at the end, until then.
    pub(crate) stays: Vec<Stay>,
    /// How long the captures last, in ticks.
    pub(crate) duration: u64,
    /// How long a port rests, by the configuration or by default.
    pub(crate) hold_down: Duration,
}

/// Runs captures through the NAT and says who had a lease when. What the user should know is said
/// on stderr.
///
/// # Errors
/// When a capture cannot be read, or the configuration is wrong.
pub(crate) fn replayed(
    files: &[PathBuf],
    config: Option<&Path>,
    terminal: Terminal,
) -> Result<Replayed> {
    refuse_two_of_stdin(files.iter().map(PathBuf::as_path).chain(config))?;
    let sources = super::sources(files);
    let survey = survey::survey(&sources)?;
    let plan = match config {
        Some(path) => match config::load(path) {
            Ok(loaded) => {
                terminal.say_raw(&loaded.render_warnings(terminal.colored_talk));
                Plan::of_configuration(&loaded, Some(1), None)?
            }
            Err(faults) => {
                terminal.say_raw(&faults.render(terminal.colored_talk));
                return Err(match faults {
                    Faults::Unreadable(_) => {
                        anyhow!("nothing is planned without its configuration")
                    }
                    Faults::Invalid { .. } => {
                        let what = "nothing is planned with a configuration that is wrong";
                        Coded::configuration(what).into()
                    }
                });
            }
        },
        None => Plan::without_configuration(1, None, 1, &survey)?,
    };
    let hold_down = plan.hold_down;
    let engine = Engine::new(plan.engine.clone())
        .map_err(|error| Coded::configuration(error.to_string()))?;
    let context = Context::new(plan, engine, 1, false, 0);
    let mut reader = WindowReader::new(&sources, &context.plan, 1);
    let mut bar = Progress::new(terminal.progress, survey.packets);
    let (_, ledgers) = thread::scope(|scope| -> Result<_> {
        let mut team = Team::start(scope, &context)?;
        while let Some(batch) = reader.next()? {
            team.work(&Arc::new(batch), None)?;
            bar.at(reader.frames(), team.packets);
        }
        team.rest(None)?;
        bar.finish();
        Ok(team.dismiss())
    })?;
    let duration = reader.clock() / 1_000_000;
    let (_, complaints) = reader.finish();
    for warning in &context.plan.warnings {
        terminal.say("warning", warning);
    }
    for (capture, complaint) in complaints {
        terminal.say("warning", &format!("{capture}: {complaint}"));
    }
    let refused: u64 = ledgers
        .iter()
        .flat_map(|ledger| AllocError::ALL.map(|reason| ledger.refused[reason as usize]))
        .sum();
    if refused > 0 {
        terminal.say(
            "warning",
            &format!(
                "{} refused by the pools of the configuration: the demand is larger than what is \
                 planned for; give it larger pools",
                plural(refused, "lease was", "leases were")
            ),
        );
    }
    Ok(Replayed {
        captures: sources.iter().map(ToString::to_string).collect(),
        stays: ledgers.iter().flat_map(|it| it.tenures.over()).collect(),
        duration,
        hold_down,
    })
}
