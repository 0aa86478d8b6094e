//! What is said about right and wrong configurations.

mod fair;
mod faults;
mod peerings;
mod property;
mod syntax;
mod understood;

use std::path::Path;

use super::diagnostic::{Diagnostic, Source};
use super::{Faults, Loaded, parse};

const MINIMAL: &str = include_str!("../../../examples-config/minimal.toml");
const CARRIER_GRADE: &str = include_str!("../../../examples-config/carrier-grade.toml");
const TWO_TENANTS: &str = include_str!("../../../examples-config/two-tenants.toml");
const PORT_SETS: &str = include_str!("../../../examples-config/port-sets.toml");
const DETERMINISTIC: &str = include_str!("../../../examples-config/deterministic.toml");
const TENANTS: &str = include_str!("../../../examples-config/tenants.toml");
const FAULTY: &str = include_str!("../../../examples-config/faulty.toml");
const FAULTY_SAYS: &str = include_str!("../../../examples-config/faulty.txt");

/// A pool, to which a test adds what it is about.
const POOL: &str = "\
[[external-ip-address-pool]]
name = \"internet\"
external-ip-pool = [\"203.0.113.0/28\"]
";

fn understand(text: &str) -> Result<Loaded, Faults> {
    parse(Source::new(Path::new("test.toml"), text.into()))
}

fn diagnostics(text: &str) -> (Source, Vec<Diagnostic>) {
    match understand(text) {
        Ok(loaded) => (
            Source::new(Path::new("test.toml"), text.into()),
            loaded.warnings().to_vec(),
        ),
        Err(Faults::Invalid {
            source,
            diagnostics,
        }) => (source, diagnostics),
        Err(unreadable) => panic!("{unreadable}"),
    }
}

/// What is said: `severity line:column message | help`, one line each.
fn said(text: &str) -> Vec<String> {
    let (source, diagnostics) = diagnostics(text);
    diagnostics
        .iter()
        .map(|it| {
            format!(
                "{} {}:{} {} | {}",
                it.severity.as_str(),
                source.line(it.span.start),
                source.column(it.span.start),
                it.message,
                it.help
            )
        })
        .collect()
}

/// Asserts that exactly these are said, each begun and ended as given (`begin ... end`).
fn assert_said(text: &str, expected: &[&str]) {
    let said = said(text);
    assert_eq!(said.len(), expected.len(), "{said:#?}");
    for (said, expected) in said.iter().zip(expected) {
        let expected = expected.strip_suffix("...").unwrap_or(expected);
        let (begin, end) = expected.split_once(" ... ").unwrap_or((expected, ""));
        assert!(
            said.starts_with(begin) && said.ends_with(end),
            "expected: {expected}\n    said: {said}"
        );
    }
}
