//! One self-contained HTML page about a run: no script, nothing fetched from anywhere.

mod bars;
mod cards;
pub(crate) mod data;
mod fold;
mod frame;
mod html;
mod scale;
mod scatter;
mod series;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use data::Report;
use html::Esc;
use scale::Axis;

const STYLE: &str = include_str!("style.css");

/// The page. The policy in its head forbids the browser to fetch or run anything.
pub(crate) fn render(report: &Report) -> String {
    let title = if report.title.trim().is_empty() {
        "natshard replay"
    } else {
        &report.title
    };
    let mut out = String::with_capacity(64 * 1024);
    let _ = writeln!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\">\
         <meta name=\"generator\" content=\"natshard {version}\">\
         <title>{title} - natshard</title>\n<style>{STYLE}</style></head>\n<body><header>\
         <p class=\"brand\">natshard replay</p><h1>{title}</h1></header>\n<main>",
        title = Esc(title),
        version = Esc(&report.version),
    );
    cards::summary(&mut out, report);
    if !report.notes.is_empty() {
        out.push_str("<ul class=\"notes\">");
        for note in &report.notes {
            let _ = write!(out, "<li>{}</li>", Esc(note));
        }
        out.push_str("</ul>\n");
    }
    // One time axis for all pictures, so that they can be compared.
    let samples = report.samples.iter().map(|it| it.at);
    let time = Axis::time(samples.chain(report.flows.iter().map(|it| it.at)));
    series::write(&mut out, &report.samples, &time);
    scatter::write(&mut out, report, &time);
    bars::write(&mut out, report);
    cards::verify(&mut out, &report.verify);
    cards::pools(&mut out, report);
    let _ = writeln!(
        out,
        "</main>\n<footer><p>Made by natshard {} with</p><pre><code>{}</code></pre></footer></body></html>",
        Esc(&report.version),
        Esc(&report.command)
    );
    out
}
