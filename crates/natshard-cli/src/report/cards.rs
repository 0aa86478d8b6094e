//! The head of the page: the verdict, the headline figures, the pools.

use std::fmt::Write as _;

use super::data::{Figure, FigureValue, Report, Verify};
use super::html::{Esc, Grouped, plural};
use super::scale::seconds;

/// What the verifier's figures come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// Something was checked and nothing was wrong.
    Verified,
    /// Nothing was wrong, but no packet came back either.
    NothingToVerify,
    /// So many faults.
    Faults(u64),
}

impl Verdict {
    /// The verdict on a run.
    pub(crate) fn of(verify: &Verify) -> Self {
        let faults = figures(verify)
            .iter()
            .fold(0_u64, |sum, (_, count)| sum.saturating_add(*count));
        match (faults, verify.round_trips) {
            (0, 0) => Verdict::NothingToVerify,
            (0, _) => Verdict::Verified,
            (faults, _) => Verdict::Faults(faults),
        }
    }
}

fn figures(verify: &Verify) -> [(&'static str, u64); 5] {
    [
        (
            "round trips that came back changed",
            verify.round_trip_mismatches,
        ),
        (
            "checksums right before and wrong after",
            verify.bad_checksums,
        ),
        (
            "public tuples with two owners at once",
            verify.duplicate_tuples,
        ),
        (
            "ports leased again within the hold-down",
            verify.hold_down_violations,
        ),
        ("censuses that did not balance", verify.census_errors),
    ]
}

/// The verdict and the summary cards.
pub(crate) fn summary(out: &mut String, report: &Report) {
    let trips = plural(report.verify.round_trips, "round trip", "round trips");
    let (class, mark, text) = match Verdict::of(&report.verify) {
        Verdict::Verified => (
            "good",
            "\u{2713}",
            format!("Verified: {trips} byte for byte, no fault"),
        ),
        Verdict::NothingToVerify => (
            "unknown",
            "?",
            "No fault found, but no reply was seen, so no round trip could be verified".into(),
        ),
        Verdict::Faults(faults) => (
            "bad",
            "\u{2717}",
            format!(
                "{} found: {}",
                plural(faults, "fault", "faults"),
                figures(&report.verify)
                    .iter()
                    .filter(|(_, count)| *count > 0)
                    .map(|(what, count)| format!("{} {what}", Grouped(*count)))
                    .collect::<Vec<_>>()
                    .join("; ")
            ),
        ),
    };
    let _ = write!(
        out,
        "<section aria-labelledby=\"summary-h\"><h2 id=\"summary-h\" class=\"hidden\">Summary</h2>\n\
         <div class=\"verdict {class}\"><span class=\"mark\" aria-hidden=\"true\">{mark}</span>\
         <strong>{text}</strong></div>\n<div class=\"cards\">"
    );
    for figure in report.summary.iter().chain(&simulated_time(report)) {
        let text = match &figure.value {
            FigureValue::Count(count) => Grouped(*count).to_string(),
            FigureValue::Text(text) => text.clone(),
        };
        let (value, small) = (Esc(&text), text.chars().count() > 9);
        let _ = write!(
            out,
            "<div class=\"card\"><p class=\"label\">{}</p><p class=\"value{}\">{value}</p>",
            Esc(&figure.label),
            if small { " small" } else { "" },
        );
        if !figure.detail.is_empty() {
            let _ = write!(out, "<p class=\"detail\">{}</p>", Esc(&figure.detail));
        }
        out.push_str("</div>\n");
    }
    out.push_str("</div></section>\n");
}

/// The time that the samples span, which is not the time that the run took.
fn simulated_time(report: &Report) -> Option<Figure> {
    let times = report.samples.iter().map(|it| it.at);
    let times = times.filter(|it| it.is_finite());
    let from = times.clone().reduce(f64::min)?;
    let to = times.reduce(f64::max)?;
    Some(Figure {
        label: "simulated time".into(),
        value: FigureValue::Text(seconds(to - from)),
        detail: plural(report.samples.len() as u64, "sample", "samples"),
    })
}

/// What was verified, figure by figure.
pub(crate) fn verify(out: &mut String, verify: &Verify) {
    let _ = writeln!(
        out,
        "<section aria-labelledby=\"verify-h\"><h2 id=\"verify-h\">Verification</h2>\
         <p>Made from the frames alone, never from the engine's books.</p>\
         <div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Verification as a table\">\
         <table><thead><tr><th scope=\"col\">checked</th><th scope=\"col\">count</th>\
         <th scope=\"col\">verdict</th></tr></thead><tbody>\n<tr><th scope=\"row\">round trips byte for \
         byte</th><td>{}</td><td></td></tr>",
        Grouped(verify.round_trips)
    );
    for (what, count) in figures(verify) {
        let verdict = if count == 0 {
            "<span class=\"ok\">\u{2713} none</span>"
        } else {
            "<span class=\"fault\">\u{2717} fault</span>"
        };
        let _ = writeln!(
            out,
            "<tr><th scope=\"row\">{what}</th><td>{}</td><td>{verdict}</td></tr>",
            Grouped(count)
        );
    }
    out.push_str("</tbody></table></div></section>\n");
}

/// The pools used.
pub(crate) fn pools(out: &mut String, report: &Report) {
    out.push_str("<section aria-labelledby=\"pools-h\"><h2 id=\"pools-h\">Pools used</h2>\n");
    if report.pools.is_empty() {
        out.push_str("<p class=\"none\">No pool was used.</p></section>\n");
        return;
    }
    out.push_str(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Pools as a table\">\
         <table class=\"pools\"><thead><tr><th scope=\"col\">pool</th><th scope=\"col\">realm</th>\
         <th scope=\"col\">prefixes</th><th scope=\"col\">ports</th><th scope=\"col\">identifiers</th>\
         <th scope=\"col\">capacity</th><th scope=\"col\">peak in use</th></tr></thead><tbody>\n",
    );
    for pool in &report.pools {
        let prefixes: Vec<_> = pool.prefixes.iter().map(|it| Esc(it).to_string()).collect();
        let peak = match pool.peak_leased {
            Some(peak) => Grouped(peak).to_string(),
            None => "not recorded".into(),
        };
        let _ = writeln!(
            out,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>\
             <td>{peak}</td></tr>",
            Esc(&pool.name),
            Esc(&pool.realm),
            prefixes.join("<br>"),
            Esc(&pool.ports),
            Esc(&pool.identifiers),
            Grouped(pool.capacity),
        );
    }
    out.push_str("</tbody></table></div></section>\n");
}
