//! Results for people.

use std::fmt::Write as _;

use comfy_table::{Attribute, Cell, CellAlignment, LineStyle, Table, TableStyle};

use super::Results;
use super::case::Case;
use super::measure::Measured;
use crate::config::grouped;

/// A rule below the header and nothing else.
const RULED: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// Text is wrapped to this.
const WIDTH: usize = 96;

/// Everything.
pub(super) fn render(results: &Results, colored: bool) -> String {
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
        let name = match colored {
            true => format!("\x1b[1m{}\x1b[0m", case.name),
            false => case.name.into(),
        };
        let _ = writeln!(out, "\n{name}");
        let _ = writeln!(out, "{}", wrap(&case.about, "  "));
        let _ = writeln!(out, "{}", wrap(&case.switches, "  "));
        let _ = writeln!(out, "{}", rows(case, measured, colored));
    }
    out
}

fn rows(case: &Case, measured: &[Measured], colored: bool) -> String {
    let mut table = Table::new();
    table.load_style(RULED);
    match colored {
        true => table.enforce_styling(),
        false => table.force_no_tty(),
    };
    let several = measured.iter().any(|it| it.threads > 1);
    let refusing = measured.iter().any(|it| it.refused > 0);
    let baseline = format!("x {}", case.baseline);
    let mut header = vec!["ns per operation", "median", "min", "p99", &baseline];
    if several {
        header.insert(1, "threads");
        header.push("x itself on 1");
    }
    if refusing {
        header.push("refused");
    }
    let header = header.iter().enumerate().map(|(at, text)| {
        let cell = Cell::new(text).add_attribute(Attribute::Bold);
        match at {
            0 => cell,
            _ => cell.set_alignment(CellAlignment::Right),
        }
    });
    table.set_header(header);
    for it in measured {
        let name = match it.setting {
            Some(setting) => format!("{}, {setting}", it.implementation),
            None => it.implementation.into(),
        };
        let name = match colored && it.implementation.starts_with("natshard") {
            true => Cell::new(name).add_attribute(Attribute::Bold),
            false => Cell::new(name),
        };
        let spread = it.ns_per_op;
        let mut cells = vec![
            name,
            right(time(spread.median)),
            right(time(spread.min)),
            right(time(spread.p99)),
            right(it.ratio.map_or_else(String::new, ratio)),
        ];
        if several {
            cells.insert(1, right(it.threads.to_string()));
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

fn right(text: String) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
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
        it if it < 9.995 => format!("{it:.2}"),
        it if it < 99.95 => format!("{it:.1}"),
        it => grouped(it.round() as u128),
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
