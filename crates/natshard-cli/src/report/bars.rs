//! Counts by reason as horizontal bars. The picture is its own table.

use std::fmt::Write as _;

use super::data::{Count, Report};
use super::html::{Esc, Grouped, plural};

/// All three kinds on one scale each: a packet dropped and a packet passed are not compared.
pub(crate) fn write(out: &mut String, report: &Report) {
    out.push_str(
        "<section aria-labelledby=\"reasons-h\"><h2 id=\"reasons-h\">Drops and untouched packets \
         by reason</h2>\n",
    );
    group(out, "dropped", "Dropped packets", &report.dropped);
    group(
        out,
        "untouched",
        "Packets passed untouched",
        &report.untouched,
    );
    group(out, "refused", "Leases refused", &report.refused);
    out.push_str("</section>\n");
}

fn group(out: &mut String, class: &str, title: &str, counts: &[Count]) {
    let mut counts: Vec<&Count> = counts.iter().filter(|it| it.count > 0).collect();
    counts.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.reason.cmp(&b.reason)));
    let Some(largest) = counts.first().map(|it| it.count) else {
        let _ = writeln!(out, "<h3>{title}</h3><p class=\"none\">None.</p>");
        return;
    };
    let total: u64 = counts
        .iter()
        .fold(0, |sum, it| sum.saturating_add(it.count));
    let _ = writeln!(
        out,
        "<h3>{title}: {}</h3><table class=\"bars {class}\"><caption>{title} by reason, {} and {} \
         in all</caption>\
         <colgroup><col class=\"reason\"><col><col class=\"count\"></colgroup><thead class=\"hidden\"><tr><th scope=\"col\">reason</th><th scope=\"col\">bar</th>\
         <th scope=\"col\">count</th></tr></thead><tbody>",
        Grouped(total),
        plural(counts.len() as u64, "reason", "reasons"),
        Grouped(total),
    );
    for count in counts {
        let share = count.count as f64 / largest as f64 * 100.0;
        let _ = writeln!(
            out,
            "<tr><th scope=\"row\">{}</th><td class=\"bar\"><svg aria-hidden=\"true\" width=\"100%\" \
             height=\"16\"><rect width=\"{share:.2}%\" height=\"16\" rx=\"2\"/>\
             <rect width=\"2\" height=\"16\"/></svg></td><td>{}</td></tr>",
            Esc(&words(&count.reason)),
            Grouped(count.count),
        );
    }
    out.push_str("</tbody></table>\n");
}

/// A reason as the JSON spells it, in words.
fn words(reason: &str) -> String {
    reason.replace('_', " ")
}
