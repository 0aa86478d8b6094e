//! A law from a file: how many subscribers had how many ports.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow};

use super::demand::{Demand, MOST};

/// The largest file that is read.
const MOST_BYTES: u64 = 16 << 20;

/// Reads lines of a number of ports and a number of subscribers, apart by blanks, a comma, a
/// semicolon or a tabulator; a first line of words, empty lines and what follows `#` say nothing.
///
/// # Errors
/// When the file cannot be read or a line is none of these; names file and line.
pub(crate) fn read(path: &Path) -> Result<Demand> {
    let cannot = || format!("cannot read {}", path.display());
    // Pipes and devices have no size before they are read.
    let file = File::open(path).with_context(cannot)?;
    let mut text = Vec::new();
    file.take(MOST_BYTES + 1)
        .read_to_end(&mut text)
        .with_context(cannot)?;
    if text.len() as u64 > MOST_BYTES {
        anyhow::bail!(
            "{} is larger than {MOST_BYTES} bytes: no histogram",
            path.display()
        );
    }
    let text = String::from_utf8(text).with_context(cannot)?;
    parse(&text).map_err(|error| anyhow!("{}:{error}", path.display()))
}

fn parse(text: &str) -> Result<Demand, String> {
    let mut weights: Vec<f64> = Vec::new();
    let mut lines = 0;
    for (number, line) in text.lines().enumerate() {
        let content = line.split('#').next().unwrap_or("").trim();
        if content.is_empty() {
            continue;
        }
        lines += 1;
        let mut words = content
            .split(|it: char| it.is_whitespace() || it == ',' || it == ';')
            .filter(|it| !it.is_empty());
        let (ports, subscribers) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let pair = (ports.parse::<usize>().ok())
            .zip(
                subscribers
                    .parse::<f64>()
                    .ok()
                    .filter(|it| it.is_finite() && *it >= 0.0),
            )
            .filter(|(ports, _)| *ports <= MOST && words.next().is_none());
        match pair {
            Some((ports, subscribers)) => {
                if weights.len() <= ports {
                    weights.resize(ports + 1, 0.0);
                }
                weights[ports] += subscribers;
            }
            // The names of the columns.
            None if lines == 1 && !content.starts_with(|it: char| it.is_ascii_digit()) => {}
            None => {
                return Err(format!(
                    "{}: `{content}` is not a number of ports up to {MOST} and a number of \
                     subscribers",
                    number + 1
                ));
            }
        }
    }
    Demand::new(weights).ok_or_else(|| " it names no subscriber".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_ports_and_subscribers() {
        let law = parse("ports,subscribers\n# night\n1,3\n\n4; 1 # one\n10\t4\n1 2\n").unwrap();
        assert!((law.probabilities()[1] - 0.5).abs() < 1e-15);
        assert!((law.mean() - (5.0 + 4.0 + 40.0) / 10.0).abs() < 1e-12);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, line) in [
            ("1 2\nx 3", "2:"),
            ("1 2 3", "1:"),
            ("7", "1:"),
            ("65537 1", "1:"),
            ("3 -1", "1:"),
            ("ports n\nports n", "2:"),
            ("", " it names"),
            ("5 0", " it names"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(line), "{text:?}: {error}");
        }
    }
}
