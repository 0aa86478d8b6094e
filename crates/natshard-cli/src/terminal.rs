//! Where output goes and what it may look like there.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use clap::ColorChoice;

use crate::exit::Coded;
use crate::foreign;
use crate::stdin::is_stdin;

/// What the two streams can do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terminal {
    /// Whether stdout may be coloured.
    pub(crate) colored: bool,
    /// Whether stderr may be coloured.
    pub(crate) colored_talk: bool,
    /// Whether a progress bar may move on stderr.
    pub(crate) progress: bool,
}

impl Terminal {
    /// Looks at both streams and at the environment.
    pub(crate) fn new(choice: ColorChoice) -> Self {
        // https://no-color.org: present and not empty.
        let asked_not = std::env::var_os("NO_COLOR").is_some_and(|it| !it.is_empty())
            || std::env::var_os("TERM").is_some_and(|it| it == "dumb");
        let colored = |is_terminal: bool| match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => is_terminal && !asked_not,
        };
        Terminal {
            colored: colored(io::stdout().is_terminal()),
            colored_talk: colored(io::stderr().is_terminal()),
            progress: io::stderr().is_terminal(),
        }
    }

    /// A line of talk on stderr, `kind` being `warning` or `error`. It may quote foreign text.
    pub(crate) fn say(self, kind: &str, message: &str) {
        let color = if kind == "error" { 31 } else { 33 };
        let message = foreign::plain(message);
        let line = match self.colored_talk {
            true => format!("\x1b[1;{color}m{kind}\x1b[0m: {message}\n"),
            false => format!("{kind}: {message}\n"),
        };
        self.say_raw(&line);
    }

    /// Talk on stderr that is laid out already.
    pub(crate) fn say_raw(self, text: &str) {
        // Whoever closed stderr does not want to hear that it is closed.
        let _ = io::stderr().write_all(text.as_bytes());
    }
}

/// Stdin named twice: there is nothing left of it the second time.
pub(crate) fn refuse_two_of_stdin(
    inputs: impl Iterator<Item = impl AsRef<Path>>,
) -> Result<(), Coded> {
    match inputs.filter(|it| is_stdin(it.as_ref())).count() {
        0 | 1 => Ok(()),
        _ => Err(Coded::usage("`-` is named twice: stdin can be read once")),
    }
}

/// Writes data to stdout. A reader that went away (`| head`) has seen what it wanted.
///
/// # Errors
/// When stdout cannot be written to for another reason.
pub(crate) fn print(data: &[u8]) -> Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(data).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("cannot write to stdout"),
    }
}
