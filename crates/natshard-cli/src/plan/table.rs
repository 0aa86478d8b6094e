//! A plan for people.

use std::fmt::Write as _;

use comfy_table::{Attribute, Cell, CellAlignment, Color};

use super::Plan;
use super::answer::Needs;
use super::args::Pooling;
use super::demand::Demand;
use super::estimate::Verdict;
use super::size::{Risk, Sizing};
use super::space::Space;
use super::trial::{Drawn, Run};
use crate::config::{grouped, plural};
use crate::foreign::plain;
use crate::paint::{Paint, number, right};

/// The whole plan.
pub(super) fn render(plan: &Plan<'_>, colored: bool) -> String {
    let paint = Paint { colored };
    let mut out = String::new();
    let asked = plan.asked;
    let _ = writeln!(
        out,
        "{}, {} of them active at the busiest moment; refusal probability at most {}\n",
        paint.bold(&plural(asked.subscribers, "subscriber", "subscribers")),
        percent(asked.activity),
        odds(plan.args.refusal),
    );
    if let Some(seen) = &asked.observed {
        let (from, to) = seen.busiest;
        let _ = writeln!(
            out,
            "{}: {} in {:.0} s, {} of them active on average from second {from} to {to}\n",
            plain(&seen.files.join(", ")),
            plural(seen.hosts, "inside host", "inside hosts"),
            seen.duration.as_secs_f64(),
            percent(seen.activity),
        );
    }
    for (sizing, needs) in plan.sizings.iter().zip(&plan.needs) {
        let space = sizing.space();
        let _ = writeln!(out, "{}\n", demand(plan, space, paint));
        if space.refused_by_limit > 0.0 {
            let limit = plan.rules.limit.unwrap_or_default();
            let _ = writeln!(
                out,
                " the limit of {} ports per subscriber refuses {} of them, whatever the addresses\n",
                grouped(limit.into()),
                odds(space.refused_by_limit),
            );
        }
        let _ = writeln!(out, "{}\n", addresses(plan, sizing, needs, paint));
    }
    let _ = writeln!(out, "{}\n", curve(plan, paint));
    if !plan.outcomes.is_empty() {
        let _ = writeln!(out, "{}\n", simulation(plan, paint));
    }
    let _ = writeln!(out, "{}", verdict(plan, paint));
    out
}

/// A probability: two digits are more than the law is known to.
pub(super) fn odds(value: f64) -> String {
    match value {
        0.0 => "0".into(),
        it if it < 1e-15 => "< 1e-15".into(),
        it if it < 0.000_995 => format!("{it:.1e}"),
        it if it < 0.0995 => format!("{:.2} %", 100.0 * it),
        it if it < 0.9995 => format!("{:.1} %", 100.0 * it),
        _ => "100 %".into(),
    }
}

fn percent(value: f64) -> String {
    let text = format!("{:.2}", 100.0 * value);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text} %")
}

fn demand(plan: &Plan<'_>, space: &Space, paint: Paint) -> String {
    let law = plain(&plan.asked.law);
    let title = match space.which {
        Some(protocol) => format!("{protocol}: an active subscriber has ({law})"),
        None => format!("an active subscriber has ({law})"),
    };
    let mut table = paint.table(&[&title, "mean", "median", "99 %", "99.9 %", "99.99 %"]);
    let mut row = |label: &str, demand: &Demand| {
        let quantiles = [0.5, 0.99, 0.999, 0.9999].map(|it| number(demand.quantile(it)));
        let mean = right(format!("{:.1}", demand.mean()));
        table.add_row([Cell::new(label), mean].into_iter().chain(quantiles));
    };
    row("ports leased", &space.leased);
    if space.taken != space.leased {
        let hold_down = plan.asked.hold_down.as_secs_f64();
        row(
            &format!("ports leased or resting ({hold_down} s)"),
            &space.taken,
        );
    }
    if let Some(size) = plan.rules.block_size {
        let most = plan
            .rules
            .limit
            .map(|it| format!(", {} ports at most", grouped(it.into())));
        let label = format!("blocks of {size}{}", most.unwrap_or_default());
        row(&label, &space.units);
    } else if let Some(limit) = plan.rules.limit {
        row(
            &format!("at most {} of them", grouped(limit.into())),
            &space.units,
        );
    }
    table.to_string()
}

fn addresses(plan: &Plan<'_>, sizing: &Sizing<'_>, needs: &Needs, paint: Paint) -> String {
    let space = sizing.space();
    let has = match plan.rules.block_size {
        Some(size) => format!("{} blocks of {size}", grouped(space.capacity.into())),
        None => format!("{} ports", grouped(space.capacity.into())),
    };
    let title = match space.which {
        Some(protocol) => format!("{protocol}: an address has {has}"),
        None => format!("an address has {has}"),
    };
    let columns = [
        "addresses",
        "subscribers each",
        "shortage",
        "requests refused",
    ];
    let mut table = paint.table(&[&[title.as_str()], &columns[..]].concat());
    let row = |label: String, addresses: u64, risk: Risk, chosen: bool| {
        let mut cells = [
            Cell::new(label),
            number(addresses),
            right(each(plan, addresses)),
            right(odds(risk.short)),
            right(odds(risk.refused)),
        ];
        if chosen {
            cells = cells.map(|it| it.add_attribute(Attribute::Bold));
        }
        cells
    };
    for (name, pooling) in [("shared", Pooling::Shared), ("paired", Pooling::Paired)] {
        let risk = sizing.risk(pooling, needs.average);
        table.add_row(row(
            format!("for the average demand, {name}"),
            needs.average,
            risk,
            false,
        ));
    }
    for (name, pooling) in [
        ("shared pooling", Pooling::Shared),
        ("paired pooling", Pooling::Paired),
    ] {
        let chosen = pooling == plan.args.pooling && needs.with(pooling) == Some(plan.addresses);
        match needs.with(pooling) {
            Some(least) => {
                let risk = sizing.risk(pooling, least);
                table.add_row(row(name.into(), least, risk, chosen));
            }
            None => {
                table.add_row([Cell::new(name), right("none is enough")]);
            }
        }
    }
    if let Some(fixed) = needs.deterministic {
        table.add_row([
            Cell::new(format!(
                "{} ports for each (RFC 7422)",
                grouped(fixed.ports_each.into())
            )),
            number(fixed.addresses),
            number(fixed.per_address),
            right(""),
            right(odds(fixed.refused)),
        ]);
    }
    table.to_string()
}

/// Subscribers of an address, on average.
fn each(plan: &Plan<'_>, addresses: u64) -> String {
    let ratio = plan.asked.subscribers as f64 / addresses as f64;
    match ratio < 99.5 {
        true => format!("{ratio:.1}"),
        false => grouped(ratio.round() as u128),
    }
}

fn curve(plan: &Plan<'_>, paint: Paint) -> String {
    let mut table = paint.table(&[
        "addresses",
        "mean load",
        "shared: shortage",
        "requests refused",
        "paired: shortage",
        "requests refused",
    ]);
    for point in &plan.curve {
        let mut cells = [
            number(point.addresses).set_alignment(CellAlignment::Left),
            right(format!("{:.1} %", 100.0 * point.load)),
            right(odds(point.shared.short)),
            right(odds(point.shared.refused)),
            right(odds(point.paired.short)),
            right(odds(point.paired.refused)),
        ];
        if point.addresses == plan.addresses {
            cells = cells.map(|it| it.add_attribute(Attribute::Bold));
        }
        table.add_row(cells);
    }
    table.to_string()
}

fn simulation(plan: &Plan<'_>, paint: Paint) -> String {
    let title = format!("leased from the engine, seed {}", plan.args.seed);
    let mut table = paint.table(&[
        &title,
        "moments",
        "asked",
        "refused",
        "computed",
        "simulated (95 %)",
        "",
    ]);
    for outcome in &plan.outcomes {
        let (computed, seen) = match plan.args.pooling {
            Pooling::Shared => (outcome.computed.short, outcome.short),
            Pooling::Paired => (outcome.computed.refused, outcome.refused),
        };
        let (low, high) = seen.interval();
        let seen = match seen.hits {
            0 => "none".into(),
            _ => format!("{} to {}", odds(low), odds(high)),
        };
        let red = |text: &str| {
            Cell::new(text)
                .fg(Color::Red)
                .add_attribute(Attribute::Bold)
        };
        let verdict = match (outcome.is_exact(), outcome.verdict()) {
            (false, _) => red("engine inexact"),
            (true, Verdict::Agrees) => Cell::new("agrees"),
            (true, Verdict::TooFew) => Cell::new("too few to tell"),
            (true, Verdict::Differs) => red("differs"),
        };
        table.add_row([
            Cell::new(label(&outcome.run)),
            number(outcome.run.moments),
            number(outcome.asked),
            number(outcome.refusals),
            right(odds(computed)),
            right(seen),
            verdict,
        ]);
    }
    table.to_string()
}

fn label(run: &Run) -> String {
    let mut text = plural(run.addresses, "address", "addresses");
    if run.simulated < run.addresses {
        let _ = write!(text, " ({} of them)", grouped(run.simulated.into()));
    }
    text.push_str(match run.drawn {
        Drawn::Plain => ", demand as it comes",
        Drawn::Weighted => ", heavy demand, weighted",
    });
    text
}

fn verdict(plan: &Plan<'_>, paint: Paint) -> String {
    let pooling = match plan.args.pooling {
        Pooling::Shared => "shared",
        Pooling::Paired => "paired",
    };
    let protocol = match plan.asked.spaces[plan.deciding].which {
        Some(protocol) if plan.asked.spaces.len() > 1 => {
            format!(" for {protocol}, which needs most")
        }
        _ => String::new(),
    };
    let answer = format!(
        "{}, {pooling}{protocol}: {} subscribers each",
        plural(plan.addresses, "address", "addresses"),
        each(plan, plan.addresses),
    );
    let computed = || paint.bold("COMPUTED");
    match (plan.verdict(), &plan.not_simulated) {
        (Some(Verdict::Agrees), _) => format!("{}  {answer}", paint.color("CONFIRMED", 32)),
        (Some(Verdict::Differs), _) => format!("{}  {answer}", paint.color("NOT CONFIRMED", 31)),
        (Some(Verdict::TooFew), _) => format!(
            "{}  {answer}; the simulation agrees, but saw too few refusals to confirm it: \
             give it more --moments",
            computed()
        ),
        (None, Some(why)) => format!("{}  {answer}; not simulated: {why}", computed()),
        (None, None) => format!("{}  {answer}", computed()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_written_as_one_reads_them() {
        for (value, text) in [
            (0.0, "0"),
            (1e-20, "< 1e-15"),
            (3.14e-7, "3.1e-7"),
            (0.00099, "9.9e-4"),
            (0.001, "0.10 %"),
            (0.0123, "1.23 %"),
            (0.5, "50.0 %"),
            (0.99999, "100 %"),
        ] {
            assert_eq!(odds(value), text);
        }
        assert_eq!(
            (percent(0.3), percent(1.0), percent(0.1234)),
            ("30 %".into(), "100 %".into(), "12.34 %".into())
        );
    }
}
