//! What all pictures have in common: the plot stretches with the page while lines, points and
//! letters keep their size, so that it can be read on a telephone as well.

use std::fmt::Write as _;

use super::html::Esc;
use super::scale::Axis;

/// Height and width of a plot in its own units; the page stretches them.
pub(crate) const UNITS: f64 = 1000.0;

/// An entry of a legend.
pub(crate) struct Key {
    /// The class that colours it.
    pub(crate) class: &'static str,
    /// What it stands for.
    pub(crate) label: &'static str,
}

/// A picture with axes.
pub(crate) struct Frame<'a> {
    /// Distinguishes the picture's element ids.
    pub(crate) id: &'a str,
    /// The heading, and the title of the picture.
    pub(crate) title: &'a str,
    /// What the picture shows, in a sentence or two; also its text alternative.
    pub(crate) summary: &'a str,
    /// What the vertical axis counts.
    pub(crate) vertical: &'a str,
    /// The horizontal axis, of time.
    pub(crate) x: &'a Axis,
    /// The vertical axis.
    pub(crate) y: &'a Axis,
    /// The legend.
    pub(crate) keys: &'a [Key],
    /// SVG shapes, in plot units.
    pub(crate) shapes: &'a str,
    /// Sentences below the picture, on thinning for instance.
    pub(crate) notes: &'a [String],
    /// The table with the numbers, as HTML.
    pub(crate) table: &'a str,
}

impl Frame<'_> {
    /// The picture as an HTML section.
    pub(crate) fn write(&self, out: &mut String) {
        let (id, title) = (self.id, Esc(self.title));
        let _ = write!(
            out,
            "<section aria-labelledby=\"{id}-h\"><h2 id=\"{id}-h\">{title}</h2>\
             <p>{}</p>\n<ul class=\"legend\">",
            Esc(self.summary)
        );
        for key in self.keys {
            let _ = write!(
                out,
                "<li><span class=\"swatch {}\"></span>{}</li>",
                key.class,
                Esc(key.label)
            );
        }
        let _ = write!(
            out,
            "</ul>\n<div class=\"frame\"><p class=\"vertical\" aria-hidden=\"true\">{}</p>\
             <div class=\"y\" aria-hidden=\"true\">",
            Esc(self.vertical)
        );
        for tick in &self.y.ticks {
            let _ = write!(
                out,
                "<span style=\"bottom:{:.2}%\">{}</span>",
                tick.at * 100.0,
                Esc(&tick.label)
            );
        }
        let _ = write!(
            out,
            "</div>\n<div class=\"plot\"><svg viewBox=\"0 0 {UNITS} {UNITS}\" \
             preserveAspectRatio=\"none\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\">\
             <title id=\"{id}-t\">{title}</title><desc id=\"{id}-d\">{}</desc>\n<path class=\"grid\" d=\"",
            Esc(self.summary)
        );
        for tick in &self.y.ticks {
            let _ = write!(out, "M0 {:.1}H{UNITS}", UNITS - tick.at * UNITS);
        }
        for tick in &self.x.ticks {
            let _ = write!(out, "M{:.1} 0V{UNITS}", tick.at * UNITS);
        }
        let _ = write!(out, "\"/>\n{}", self.shapes);
        for (from, to) in self.x.folds() {
            let _ = write!(
                out,
                "<path class=\"fold\" d=\"M{:.1} 0H{:.1}V{UNITS}H{:.1}Z\"/>",
                from * UNITS,
                to * UNITS,
                from * UNITS
            );
        }
        out.push_str("</svg></div>\n<div class=\"x\" aria-hidden=\"true\">");
        for (index, tick) in self.x.ticks.iter().enumerate() {
            // Labels at the edges are turned inwards so that the page does not clip them.
            let edge = match tick.at {
                at if at < 0.03 => " first",
                at if at > 0.97 => " last",
                _ => "",
            };
            let odd = if index % 2 == 1 { "odd" } else { "even" };
            let _ = write!(
                out,
                "<span class=\"{odd}{edge}\" style=\"left:{:.2}%\">{}</span>",
                tick.at * 100.0,
                Esc(&tick.label)
            );
        }
        let _ = writeln!(
            out,
            "</div><p class=\"unit\" aria-hidden=\"true\">simulated time, {}</p></div>",
            self.x.unit
        );
        for note in self.notes {
            let _ = write!(out, "<p class=\"note\">{}</p>", Esc(note));
        }
        if !self.table.is_empty() {
            let _ = write!(
                out,
                "<details><summary>The numbers: {}</summary><div class=\"scroll\" tabindex=\"0\" \
                 role=\"region\" aria-label=\"{} as a table\">{}</div></details>",
                Esc(&self.title.to_lowercase()),
                title,
                self.table
            );
        }
        out.push_str("</section>\n");
    }
}

/// A picture that has nothing to show, and why.
pub(crate) fn empty(out: &mut String, id: &str, title: &str, why: &str) {
    let _ = writeln!(
        out,
        "<section aria-labelledby=\"{id}-h\"><h2 id=\"{id}-h\">{}</h2><p class=\"none\">{}</p></section>",
        Esc(title),
        Esc(why)
    );
}
