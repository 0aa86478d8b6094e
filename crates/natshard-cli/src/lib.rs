//! The `natshard` program: `replay` runs captures through the sharded NAT and verifies what it
//! did, `check` explains what is wrong with a configuration.
//!
//! This library exists for the binary and its tests; embed the crates `natshard` and
//! `natshard-nat` instead.

pub mod bench;
mod capture;
mod check;
mod cli;
mod config;
mod events;
mod exit;
mod foreign;
mod paint;
mod plan;
mod replay;
mod report;
mod stdin;
mod terminal;
mod trace;
mod verify;

use std::borrow::Cow;
use std::process::ExitCode;

use anyhow::Result;
use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory as _, Parser as _};

use cli::{Cli, Command};
use exit::Coded;
pub use exit::Exit;
use terminal::Terminal;

/// Runs the program with the arguments of the process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = error.exit_code() as u8;
            // `--help` and `--version` are among these; a reader that went away is not a failure.
            let _ = plainly(error).print();
            return ExitCode::from(code);
        }
    };
    let terminal = Terminal::new(cli.color);
    let exit = run(cli, terminal).unwrap_or_else(|error| {
        terminal.say("error", &format!("{error:#}"));
        Exit::of(&error)
    });
    exit.into()
}

/// What is wrong with the command line, which is quoted there.
fn plainly(mut error: clap::Error) -> clap::Error {
    let quoted: Vec<_> = error
        .context()
        .filter_map(|(kind, value)| match value {
            ContextValue::String(text) => match foreign::plain(text) {
                Cow::Owned(plain) => Some((kind, ContextValue::String(plain))),
                Cow::Borrowed(_) => None,
            },
            _ => None,
        })
        .collect();
    if !quoted.is_empty() {
        // The words again, among those of clap.
        error.remove(ContextKind::Suggested);
    }
    for (kind, value) in quoted {
        error.insert(kind, value);
    }
    error
}

fn run(cli: Cli, terminal: Terminal) -> Result<Exit> {
    match cli.command {
        Command::Replay(args) => replay::run(&args, terminal),
        Command::Check(args) => check::run(&args, terminal),
        Command::Trace(args) => trace::run(&args, terminal),
        Command::Plan(args) => plan::run(&args, terminal),
        Command::Bench(args) => bench::run(&args, terminal),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "natshard", &mut script);
            terminal::print(&script)?;
            Ok(Exit::Ok)
        }
        Command::Man { command } => {
            terminal::print(&manual(command.as_deref())?)?;
            Ok(Exit::Ok)
        }
    }
}

/// The manual page of the program, or of one of its commands.
fn manual(command: Option<&str>) -> Result<Vec<u8>> {
    let mut page = Cli::command();
    // Gives the commands the names under which they are called, and the global options.
    page.build();
    if let Some(name) = command {
        let names: Vec<_> = page
            .get_subcommands()
            .map(clap::Command::get_name)
            .collect();
        let known = names.join(", ");
        page = page
            .find_subcommand(name)
            .cloned()
            .ok_or_else(|| Coded::usage(format!("no command `{name}`; there are {known}")))?;
        let full = format!("natshard-{name}");
        page = page.name(full.clone()).display_name(full);
    }
    let mut text = Vec::new();
    clap_mangen::Man::new(page).render(&mut text)?;
    Ok(text)
}
