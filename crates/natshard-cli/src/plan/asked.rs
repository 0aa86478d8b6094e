//! What the command line asks for: subscribers, activity, and a law for each space of ports.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};

use super::args::{Law, PlanArgs};
use super::demand::{Demand, MOST};
use super::histogram;
use super::law;
use super::observed::observed;
use super::space::{Rules, Space};
use super::value::Figures;
use crate::config::plural;
use crate::exit::Coded;
use crate::replay::demand::replayed;
use crate::terminal::Terminal;

/// RFC 6888 REQ-8.
pub(crate) const HOLD_DOWN: Duration = Duration::from_secs(120);

/// Fewer hosts than this say little about one in ten thousand.
const FEW: u64 = 1000;

/// What is planned for.
pub(crate) struct Asked {
    pub(crate) subscribers: u64,
    pub(crate) activity: f64,
    pub(crate) spaces: Vec<Space>,
    pub(crate) hold_down: Duration,
    /// Where the law is from, in words.
    pub(crate) law: String,
    /// What captures showed, where it is from those.
    pub(crate) observed: Option<Capture>,
}

/// What captures showed.
pub(crate) struct Capture {
    pub(crate) files: Vec<String>,
    pub(crate) hosts: u64,
    pub(crate) activity: f64,
    pub(crate) duration: Duration,
    /// Seconds from the beginning.
    pub(crate) busiest: (f64, f64),
}

impl Asked {
    /// What the options say.
    ///
    /// # Errors
    /// When they contradict each other, or a file cannot be read.
    pub(crate) fn of(args: &PlanArgs, rules: &Rules, terminal: Terminal) -> Result<Self> {
        // Clap lets these pass where another member of the group of laws is given.
        let alone = [
            (
                "--config",
                args.config.is_some(),
                "--from-replay",
                args.from_replay.is_some(),
            ),
            (
                "--ports-p99",
                args.ports_p99.is_some(),
                "--ports",
                args.ports.is_some(),
            ),
            (
                "--distribution",
                args.distribution.is_some(),
                "--ports",
                args.ports.is_some(),
            ),
        ];
        for (option, given, other, with) in alone {
            if given && !with {
                return Err(Coded::usage(format!("{option} is for {other}")).into());
            }
        }
        let rests = args.session_rate.is_some() || args.from_replay.is_some();
        if args.hold_down.is_some() && !rests {
            let said = "--hold-down is for --session-rate or --from-replay: without either no port \
                        rests";
            return Err(Coded::usage(said).into());
        }
        if let Some(files) = &args.from_replay {
            return Self::replayed(args, files, rules, terminal);
        }
        let hold_down = args.hold_down.unwrap_or(HOLD_DOWN);
        let (laws, law) = match (&args.ports, &args.histogram) {
            (Some(ports), _) => (laws(args, ports)?, law_name(args).into()),
            (None, Some(path)) => (
                vec![(None, histogram::read(path)?)],
                path.display().to_string(),
            ),
            (None, None) => return Err(Coded::usage("no demand: give --ports").into()),
        };
        if let Some(rates) = &args.session_rate {
            let spaces: Vec<_> = laws.iter().map(|(which, _)| *which).collect();
            same_spaces("--session-rate", rates, &spaces)?;
        }
        let mut spaces = Vec::new();
        for (which, leased) in laws {
            let rate = args.session_rate.as_ref().and_then(|it| it.of(which));
            // Little's law: a rate times a time is a number.
            let resting = rate.unwrap_or(0.0) * hold_down.as_secs_f64();
            if leased.mean() > 0.0 && resting / leased.mean() > 1e4 {
                return Err(Coded::usage(format!(
                    "--session-rate: {resting:.0} ports would rest for {:.1} leased: is it sessions \
                     per second of one subscriber?",
                    leased.mean()
                ))
                .into());
            }
            let taken = leased.with_resting(resting / leased.mean().max(f64::MIN_POSITIVE));
            spaces.push(Space::new(which, leased, taken, rules)?);
        }
        Ok(Asked {
            subscribers: args.subscribers.unwrap_or(1),
            activity: args.activity.unwrap_or(1.0),
            spaces,
            hold_down,
            law,
            observed: None,
        })
    }

    /// What captures say.
    fn replayed(
        args: &PlanArgs,
        files: &[PathBuf],
        rules: &Rules,
        terminal: Terminal,
    ) -> Result<Self> {
        let replayed = replayed(files, args.config.as_deref(), terminal)?;
        let hold_down = args.hold_down.unwrap_or(replayed.hold_down);
        let files = replayed.captures;
        let Some(seen) = observed(replayed.stays, replayed.duration, hold_down) else {
            bail!(
                "no inside host of {} leased a port: inside are private addresses, or what \
                 --config says",
                files.join(", ")
            );
        };
        if seen.hosts < FEW {
            terminal.say(
                "warning",
                &format!(
                    "the law is that of {}: what heavier users need, and how seldom they are, \
                     does not show",
                    plural(seen.hosts, "host", "hosts")
                ),
            );
        }
        let spaces = seen.spaces.into_iter();
        let spaces = spaces
            .map(|(protocol, leased, taken)| Space::new(Some(protocol), leased, taken, rules));
        Ok(Asked {
            subscribers: args.subscribers.unwrap_or(seen.hosts),
            activity: args.activity.unwrap_or(seen.activity),
            spaces: spaces.collect::<Result<_, _>>()?,
            hold_down,
            law: "observed".into(),
            observed: Some(Capture {
                files,
                hosts: seen.hosts,
                activity: seen.activity,
                duration: Duration::from_millis(replayed.duration),
                busiest: seen.busiest,
            }),
        })
    }
}

fn law_name(args: &PlanArgs) -> &'static str {
    match law_of(args) {
        Law::Geometric => "geometric",
        Law::LogNormal => "log-normal",
        Law::Poisson => "Poisson",
        Law::Fixed => "fixed",
    }
}

fn law_of(args: &PlanArgs) -> Law {
    args.distribution.unwrap_or(match args.ports_p99 {
        Some(_) => Law::LogNormal,
        None => Law::Geometric,
    })
}

/// The law of each space of ports that has a mean.
fn laws(
    args: &PlanArgs,
    means: &Figures,
) -> Result<Vec<(Option<natshard::Protocol>, Demand)>, Coded> {
    let spaces = means.spaces();
    let law = law_of(args);
    match (&args.ports_p99, law) {
        (Some(p99), Law::LogNormal) => same_spaces("--ports-p99", p99, &spaces)?,
        (None, Law::LogNormal) => {
            return Err(Coded::usage(
                "--distribution log-normal needs --ports-p99: how wide it spreads",
            ));
        }
        (Some(_), _) => {
            return Err(Coded::usage(
                "--ports-p99 is for --distribution log-normal: the others follow from the mean",
            ));
        }
        (None, _) => {}
    }
    let mut laws = Vec::new();
    for which in spaces {
        let mean = means.of(which).unwrap_or_default();
        if mean > MOST as f64 {
            return Err(Coded::usage(format!(
                "--ports {mean}: an address has {MOST} at most"
            )));
        }
        let p99 = args.ports_p99.as_ref().and_then(|it| it.of(which));
        let found = match (law, p99) {
            (Law::Fixed, _) => law::fixed(mean),
            (Law::Poisson, _) => law::poisson(mean),
            (Law::LogNormal, Some(p99)) => law::log_normal(mean, p99),
            // Below one port on average most have none, and the others are few enough to be
            // independent of each other.
            _ if mean < 1.0 => law::poisson(mean),
            _ => law::geometric(mean),
        };
        laws.push((which, found.ok_or_else(|| no_such_law(mean))?));
    }
    Ok(laws)
}

fn no_such_law(mean: f64) -> Coded {
    Coded::usage(format!(
        "no log-normal law has a mean of {mean} ports and that 99th percentile: the mean must be at \
         least 1, and the percentile above {mean} and at most {:.0}; for others use --histogram",
        mean * law::MOST_SPREAD
    ))
}

/// Figures of an option must be given as those of `--ports` are.
fn same_spaces(
    option: &str,
    figures: &Figures,
    spaces: &[Option<natshard::Protocol>],
) -> Result<(), Coded> {
    let given = figures.spaces();
    if let Some(odd) = given.iter().find(|it| !spaces.contains(it)) {
        let what = match odd {
            Some(protocol) => format!("{protocol} has no figure in --ports"),
            None => "--ports is by protocol, so name them here too, as in tcp=0.5,udp=1".into(),
        };
        return Err(Coded::usage(format!("{option} {figures}: {what}")));
    }
    Ok(())
}
