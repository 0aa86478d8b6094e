//! A line for each series over named places, on a logarithmic axis.

use crate::chart::{Anchor, COLORS, INK, Log, QUIET, RULE, Svg, nanos};

/// A named line.
pub struct Line {
    pub name: String,
    pub values: Vec<Option<f64>>,
}

pub fn draw(title: &str, about: &str, places: &[String], lines: &[Line]) -> String {
    let (width, height) = (860.0, 400.0);
    let (left, right, top, bottom) = (74.0, 600.0, 76.0, 352.0);
    let mut svg = Svg::new(width, height, title, about);
    let values = lines
        .iter()
        .flat_map(|it| it.values.iter().flatten().copied());
    let axis = Log::around(values, bottom, top);
    let step = (right - left) / (places.len().max(2) - 1) as f64;
    for &tick in axis.ticks() {
        let y = axis.place(tick);
        svg.line((left - 8.0, y), (right + 8.0, y), RULE, 1.0);
        svg.text(
            (left - 14.0, y + 4.0),
            &nanos(tick),
            12.0,
            QUIET,
            Anchor::End,
            false,
        );
    }
    for (at, place) in places.iter().enumerate() {
        let x = left + step * at as f64;
        svg.text(
            (x, bottom + 24.0),
            place,
            12.0,
            QUIET,
            Anchor::Middle,
            false,
        );
    }
    let mut labels = Vec::new();
    for (line, color) in lines.iter().zip(COLORS.iter().cycle()) {
        let points: Vec<_> = line
            .values
            .iter()
            .enumerate()
            .filter_map(|(at, it)| Some((left + step * at as f64, axis.place((*it)?))))
            .collect();
        svg.path(&points, color);
        for point in &points {
            svg.dot(*point, 4.0, color, true);
        }
        let last = line.values.iter().flatten().last();
        if let (Some((_, y)), Some(value)) = (points.last(), last) {
            labels.push((*y, format!("{}, {}", line.name, nanos(*value)), *color));
        }
    }
    for ((_, text, color), y) in labels.iter().zip(apart(&labels)) {
        svg.text(
            (right + 18.0, y + 4.5),
            text,
            12.5,
            color,
            Anchor::Start,
            false,
        );
    }
    if lines.is_empty() {
        svg.text(
            (left, 200.0),
            "not measured",
            13.0,
            INK,
            Anchor::Start,
            false,
        );
    }
    svg.finish()
}

/// Heights of labels that do not overlap, as near to their lines as may be.
fn apart(labels: &[(f64, String, &str)]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.sort_by(|one, other| labels[*one].0.total_cmp(&labels[*other].0));
    let mut heights: Vec<f64> = labels.iter().map(|it| it.0).collect();
    // Down from the top, then up again by half of what the last ones were pushed.
    for _ in 0..50 {
        for pair in order.windows(2) {
            let gap = heights[pair[1]] - heights[pair[0]];
            if gap < 17.0 {
                heights[pair[0]] -= (17.0 - gap) / 2.0;
                heights[pair[1]] += (17.0 - gap) / 2.0;
            }
        }
    }
    heights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_keep_apart_and_in_order() {
        let labels = [100.0, 101.0, 99.0, 300.0].map(|it| (it, String::new(), ""));
        let heights = apart(&labels);
        assert!(heights[1] - heights[0] > 16.5, "{heights:?}");
        assert!(heights[0] - heights[2] > 16.5, "{heights:?}");
        assert_eq!(heights[3], 300.0);
    }
}
