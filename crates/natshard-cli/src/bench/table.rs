//! Results for people.

use std::fmt::Write as _;

use comfy_table::{Attribute, Cell};

use super::Results;
use super::case::Case;
use super::latency;
use super::measure::Measured;
use crate::config::grouped;
use crate::paint::{Paint, right};

/// Text is wrapped to this.
const WIDTH: usize = 96;

/// Everything.
pub(super) fn render(results: &Results, colored: bool) -> String {
    let paint = Paint { colored };
    let mut out = String::new();
    let pinned = match results.pinned {
        true => "each thread pinned to a core of its own",
        false => "threads NOT pinned",
    };
    let quick = match results.settings.quick {
        true => "; a quick look, not to be quoted",
        false => "",
    };
    let head = format!(
        "{}; {pinned}; {:.0} s{quick}",
        results.machine.line(),
        results.seconds
    );
    let _ = writeln!(out, "{}", wrap(&head, ""));
    for (case, measured) in &results.cases {
        let _ = writeln!(out, "\n{}", paint.bold(case.name));
        let _ = writeln!(out, "{}", wrap(&case.about, "  "));
        let _ = writeln!(out, "{}", wrap(&case.switches, "  "));
        if measured.len() > 1 {
            let _ = writeln!(out, "{}", wrap(&against(case, measured), "  "));
        }
        let _ = writeln!(out, "\n{}", rows(measured, paint));
    }
    if !results.tails.is_empty() {
        let _ = writeln!(out, "\n{}", tails(results, paint));
    }
    if !results.amounts.is_empty() {
        let _ = writeln!(out, "\n{}", amounts(results, paint));
    }
    out
}

fn tails(results: &Results, paint: Paint) -> String {
    let columns = latency::QUANTILES.map(|(name, _)| name);
    let header: Vec<_> = std::iter::once("latency, ns").chain(columns).collect();
    let mut table = paint.table(&header);
    for it in &results.tails {
        let name = match it.setting {
            "" => it.operation.into(),
            setting => format!("{}, {setting}", it.operation),
        };
        let nanos = it.nanos.map(|it| right(grouped(it.round() as u128)));
        table.add_row([Cell::new(name)].into_iter().chain(nanos));
    }
    table.to_string()
}

fn amounts(results: &Results, paint: Paint) -> String {
    let mut table = paint.table(&["memory", "bytes", "per"]);
    for it in &results.amounts {
        let bytes = match it.bytes {
            few if few < 100.0 && few.fract() > 0.0 => format!("{few:.2}"),
            many => grouped(many.round() as u128),
        };
        table.add_row([Cell::new(it.what), right(bytes), right(it.per)]);
    }
    table.to_string()
}

/// What the ratios are to.
fn against(case: &Case, measured: &[Measured]) -> String {
    let mut text = format!("ratio: to {}", case.baseline);
    if let Some(setting) = case.baseline_setting {
        let _ = write!(text, ", {setting}");
    }
    if measured.iter().any(|it| it.threads > 1) && measured.iter().any(|it| it.threads == 1) {
        text.push_str(" on as many threads");
    }
    text
}

fn rows(measured: &[Measured], paint: Paint) -> String {
    let several = measured.iter().any(|it| it.threads > 1);
    let refusing = measured.iter().any(|it| it.refused > 0);
    let to_one = measured.iter().any(|it| it.ratio_to_one_thread.is_some());
    let compared = measured.len() > 1;
    let mut names = vec!["ns per operation", "median", "min", "p99"];
    if compared {
        names.push("ratio");
    }
    if several {
        names.insert(1, "threads");
    }
    if to_one {
        names.push("to 1 thread");
    }
    if refusing {
        names.push("refused");
    }
    let mut table = paint.table(&names);
    for it in measured {
        let name = match it.setting {
            Some(setting) => format!("{}, {setting}", it.implementation),
            None => it.implementation.into(),
        };
        let name = match paint.colored && it.implementation.starts_with("natshard") {
            true => Cell::new(name).add_attribute(Attribute::Bold),
            false => Cell::new(name),
        };
        let spread = it.ns_per_op;
        let mut cells = vec![
            name,
            right(time(spread.median)),
            right(time(spread.min)),
            right(time(spread.p99)),
        ];
        if compared {
            cells.push(right(it.ratio.map_or_else(String::new, ratio)));
        }
        if several {
            cells.insert(1, right(it.threads.to_string()));
        }
        if to_one {
            cells.push(right(
                it.ratio_to_one_thread.map_or_else(String::new, ratio),
            ));
        }
        if refusing {
            let all = it.rounds as u64 * it.operations * it.threads as u64;
            cells.push(right(share(it.refused, all)));
        }
        table.add_row(cells);
    }
    table.to_string()
}

/// Nanoseconds, to three digits or so.
pub(super) fn time(nanos: f64) -> String {
    match nanos {
        it if it < 9.995 => format!("{it:.2}"),
        it if it < 99.95 => format!("{it:.1}"),
        it => grouped(it.round() as u128),
    }
}

fn ratio(value: f64) -> String {
    match value {
        it if it < 0.0095 => "< 0.01".into(),
        it => time(it),
    }
}

fn share(refused: u64, all: u64) -> String {
    match 100.0 * refused as f64 / all as f64 {
        0.0 => "0".into(),
        it if it < 0.01 => "< 0.01 %".into(),
        it if it < 9.95 => format!("{it:.2} %"),
        it => format!("{it:.0} %"),
    }
}

/// Breaks text into lines with an indent.
fn wrap(text: &str, indent: &str) -> String {
    let (mut out, mut length) = (String::from(indent), indent.len());
    for word in text.split(' ') {
        if length > indent.len() && length + 1 + word.len() > WIDTH {
            let _ = write!(out, "\n{indent}");
            length = indent.len();
        } else if length > indent.len() {
            out.push(' ');
            length += 1;
        }
        out.push_str(word);
        length += word.chars().count();
    }
    out
}
