//! A line for each series over named places, on a logarithmic axis; dashed over places at which it was not
//! measured and another was.

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
    let (mut labels, mut gaps) = (Vec::new(), false);
    for (line, color) in lines.iter().zip(COLORS.iter().cycle()) {
        let points: Vec<_> = line
            .values
            .iter()
            .enumerate()
            .filter_map(|(at, it)| Some((at, axis.place((*it)?))))
            .collect();
        let place = |&(at, y): &(usize, f64)| (left + step * at as f64, y);
        let runs: Vec<&[_]> = runs(&points).collect();
        for run in runs.iter().filter(|run| run.len() > 1) {
            let run: Vec<_> = run.iter().map(place).collect();
            svg.path(&run, color, false);
        }
        for pair in runs.windows(2) {
            if let (Some(from), Some(to)) = (pair[0].last(), pair[1].first()) {
                svg.path(&[place(from), place(to)], color, true);
                gaps = true;
            }
        }
        for point in &points {
            svg.dot(place(point), 4.0, color, true);
        }
        let last = line.values.iter().flatten().last();
        if let (Some((_, y)), Some(value)) = (points.last(), last) {
            labels.push((*y, format!("{}, {}", line.name, nanos(*value)), *color));
        }
    }
    if gaps {
        svg.text(
            (left - 8.0, height - 6.0),
            "dashed: not measured in between",
            11.5,
            QUIET,
            Anchor::Start,
            false,
        );
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

/// Points by the number of their place, as runs without a place left out.
fn runs(points: &[(usize, f64)]) -> impl Iterator<Item = &[(usize, f64)]> {
    points.chunk_by(|one, next| next.0 == one.0 + 1)
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
    fn a_line_is_dashed_over_places_left_out() {
        let points = [(0, 1.0), (1, 2.0), (4, 3.0)];
        let lengths: Vec<_> = runs(&points).map(<[_]>::len).collect();
        assert_eq!(lengths, [2, 1]);
        let line = |values: [Option<f64>; 3]| Line {
            name: String::new(),
            values: values.to_vec(),
        };
        let places = ["a", "b", "c"].map(String::from);
        let whole = line([Some(1.0), Some(2.0), Some(3.0)]);
        let drawn = draw("", "", &places, &[whole]);
        assert!(!drawn.contains("dash"), "{drawn}");
        let with_a_gap = line([Some(1.0), None, Some(3.0)]);
        let drawn = draw("", "", &places, &[with_a_gap]);
        assert_eq!(drawn.matches("stroke-dasharray").count(), 1, "{drawn}");
    }

    #[test]
    fn labels_keep_apart_and_in_order() {
        let labels = [100.0, 101.0, 99.0, 300.0].map(|it| (it, String::new(), ""));
        let heights = apart(&labels);
        assert!(heights[1] - heights[0] > 16.5, "{heights:?}");
        assert!(heights[0] - heights[2] > 16.5, "{heights:?}");
        assert_eq!(heights[3], 300.0);
    }
}
