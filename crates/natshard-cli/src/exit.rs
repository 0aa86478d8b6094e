//! Exit codes, and errors that carry one.

use std::fmt;
use std::process::ExitCode;

/// What the program ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All is well.
    Ok = 0,
    /// It failed, or something was not found.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The configuration is wrong.
    Configuration = 3,
    /// An invariant of the NAT was violated.
    Violated = 4,
    /// A privilege or a feature of the kernel is missing.
    Privilege = 5,
}

impl Exit {
    /// What a failed command ends with: what some cause of the error asks for, else
    /// [`Failed`](Self::Failed).
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        error
            .downcast_ref::<Coded>()
            .map_or(Exit::Failed, |coded| coded.exit)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// An error message with the exit code that belongs to it.
#[derive(Debug)]
pub(crate) struct Coded {
    exit: Exit,
    message: String,
}

impl Coded {
    /// The command line asks for something that cannot be.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Coded {
            exit: Exit::Usage,
            message: message.into(),
        }
    }

    /// The configuration asks for something that cannot be.
    pub(crate) fn configuration(message: impl Into<String>) -> Self {
        Coded {
            exit: Exit::Configuration,
            message: message.into(),
        }
    }
}

impl fmt::Display for Coded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Coded {}
