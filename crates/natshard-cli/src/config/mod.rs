//! The configuration file: TOML in the words of RFC 8512, every fault found at once.
//!
//! Reading goes on after a fault. The text is parsed with recovery, the tables are walked key by
//! key ([`section`], [`schema`]) into a [`model`] in which every value has its place, the model is
//! checked against itself ([`lint`]) and made into what engine and NAT function are built from
//! ([`convert`], [`peer`]); what only their builders find gets its place back in [`faults`].

mod behaviour;
mod convert;
mod diagnostic;
mod fair;
mod faults;
mod lint;
mod loaded;
mod model;
mod peer;
mod read;
mod render;
mod schema;
mod section;
mod syntax;
#[cfg(test)]
mod tests;
mod value;
mod word;

use std::fmt;
use std::path::{Path, PathBuf};

use natshard::Engine;
use serde_json::{Value, json};
use toml::de::DeTable;

use diagnostic::{Diagnostic, Severity, Sink, Source};
pub(crate) use loaded::{Loaded, Vpc};
pub(crate) use word::{grouped, plural};

/// A file that could not be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Unreadable {
    path: PathBuf,
    why: String,
    help: String,
}

/// Why there is no configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Faults {
    /// The file could not be read.
    Unreadable(Unreadable),
    /// It was read and is wrong: everything found, warnings included.
    Invalid {
        /// The text.
        source: Source,
        /// What is wrong with it, in its order.
        diagnostics: Vec<Diagnostic>,
    },
}

impl Faults {
    fn one(source: Source, diagnostic: Diagnostic) -> Self {
        Faults::Invalid {
            source,
            diagnostics: vec![diagnostic],
        }
    }

    /// The faults as text with carets.
    pub(crate) fn render(&self, colour: bool) -> String {
        match self {
            Faults::Unreadable(it) => render::unreadable(&it.path, &it.why, &it.help, colour),
            Faults::Invalid {
                source,
                diagnostics,
            } => render::all(source, diagnostics, colour),
        }
    }

    /// The faults as JSON: a list of `severity`, `message`, `file`, `line`, `column`, `help`.
    pub(crate) fn to_json(&self) -> Value {
        match self {
            Faults::Unreadable(it) => json!([{
                "severity": "error",
                "message": format!("cannot read the configuration: {}", it.why),
                "file": it.path.display().to_string(),
                "line": null,
                "column": null,
                "help": it.help,
            }]),
            Faults::Invalid {
                source,
                diagnostics,
            } => render::all_json(source, diagnostics),
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render(false).trim_end())
    }
}

impl std::error::Error for Faults {}

/// Reads a configuration.
///
/// # Errors
/// When the file cannot be read, or all faults it has.
pub(crate) fn load(path: &Path) -> Result<Loaded, Faults> {
    parse(read::read(path)?)
}

/// Understands the bytes of a file.
#[cfg(any(test, fuzzing))]
pub(crate) fn from_bytes(path: &Path, bytes: Vec<u8>) -> Result<Loaded, Faults> {
    parse(read::decode(path, bytes)?)
}

/// Understands a text, or finds all its faults.
pub(crate) fn parse(source: Source) -> Result<Loaded, Faults> {
    let mut sink = Sink::default();
    let (document, document_faults) = DeTable::parse_recoverable(source.text());
    syntax::faults(&source, &document_faults, &mut sink);
    let judged = sink.len();
    let mut model = schema::file(document.get_ref(), &mut sink);
    lint::check(&mut model, &mut sink);
    let converted = convert::convert(&mut model, &mut sink);
    fair::lint::check(&model, &converted.pools, &mut sink);
    let nat = convert::nat(&model, &converted).build();
    if let Err(error) = &nat {
        for fault in error.faults() {
            if let Some(diagnostic) = faults::nat(fault, &model, &converted, &sink) {
                sink.push(diagnostic);
            }
        }
    }
    // What the engine alone finds: it is built, without a packet, and dropped again.
    if let Err(error) = Engine::new(convert::engine(&model, &converted)) {
        for fault in error.faults() {
            if let Some(diagnostic) = faults::engine(fault, &model, &sink) {
                sink.push(diagnostic);
            }
        }
    }
    sink.forgive_broken_lines(&source, judged);
    let has_errors = sink.has_errors();
    let diagnostics = sink.into_sorted();
    match nat {
        Ok(nat) if !has_errors => Ok(Loaded::new(source, &model, converted, nat, diagnostics)),
        _ => Err(Faults::Invalid {
            source,
            diagnostics,
        }),
    }
}

/// Whether anything keeps the configuration from being used.
pub(crate) fn is_error(diagnostic: &Diagnostic) -> bool {
    diagnostic.severity == Severity::Error
}
