//! A row for each name, a dot for each series, on a logarithmic axis.

use crate::chart::{Anchor, COLORS, INK, Log, QUIET, RULE, Svg, nanos};

/// A named row with a value in each series.
pub struct Dots {
    pub name: String,
    pub values: Vec<Option<f64>>,
    /// The project's own.
    pub own: bool,
}

pub fn draw(title: &str, about: &str, series: &[String], rows: &[Dots]) -> String {
    let (width, left, right, top) = (860.0, 230.0, 830.0, 96.0);
    let step = 34.0;
    let bottom = top + step * rows.len() as f64;
    let mut svg = Svg::new(width, bottom + 44.0, title, about);
    let values = rows
        .iter()
        .flat_map(|it| it.values.iter().flatten().copied());
    let axis = Log::around(values, left, right);
    for (at, name) in series.iter().enumerate() {
        let x = left + 110.0 * at as f64;
        svg.dot((x + 6.0, 72.0), 5.0, QUIET, at == 0);
        svg.text((x + 18.0, 76.5), name, 12.5, INK, Anchor::Start, false);
    }
    for &tick in axis.ticks() {
        let x = axis.place(tick);
        svg.line((x, top - 6.0), (x, bottom), RULE, 1.0);
        svg.text(
            (x, bottom + 20.0),
            &nanos(tick),
            12.0,
            QUIET,
            Anchor::Middle,
            false,
        );
    }
    for (at, row) in rows.iter().enumerate() {
        let y = top + step * (at as f64 + 0.5);
        let color = if row.own { COLORS[0] } else { COLORS[1] };
        svg.text(
            (left - 16.0, y + 4.5),
            &row.name,
            13.5,
            INK,
            Anchor::End,
            row.own,
        );
        let places: Vec<_> = row
            .values
            .iter()
            .flatten()
            .map(|it| axis.place(*it))
            .collect();
        if let (Some(first), Some(last)) = (places.first(), places.last()) {
            svg.line((*first, y), (*last, y), color, 2.0);
        }
        for (number, value) in row.values.iter().enumerate() {
            if let Some(value) = value {
                svg.dot((axis.place(*value), y), 5.5, color, number == 0);
            }
        }
    }
    svg.finish()
}
