//! Which silences of a time axis to leave out, and how wide what remains is drawn.

use super::scale::Piece;

/// Shortest silence left out, in seconds.
const SHORTEST: f64 = 600.0;
/// Most silences left out.
const MOST: usize = 24;
/// Width of a fold, as a part of the axis.
const FOLD: f64 = 0.012;
/// Least width of what lies between two folds.
const LEAST: f64 = 0.02;

/// The silences between these ascending moments that take a fifth of the axis or more, as long as
/// there are any; in order of time.
pub(crate) fn silences(moments: &[f64]) -> Vec<(f64, f64)> {
    let mut gaps: Vec<(f64, f64)> = moments.windows(2).map(|it| (it[0], it[1])).collect();
    let length = |gap: &(f64, f64)| gap.1 - gap.0;
    gaps.sort_by(|a, b| length(b).total_cmp(&length(a)));
    let mut rest: f64 = gaps.iter().map(length).sum();
    let mut folded = Vec::new();
    for (index, gap) in gaps.iter().enumerate().take(MOST) {
        let others = gaps.len() - index - 1;
        if others == 0 {
            break;
        }
        let usual = (rest - length(gap)) / others as f64;
        if length(gap) < SHORTEST || length(gap) < rest / 5.0 || length(gap) < 20.0 * usual {
            break;
        }
        rest -= length(gap);
        folded.push(*gap);
    }
    folded.sort_by(|a, b| a.0.total_cmp(&b.0));
    folded
}

/// What remains of an axis between its folds: as wide as it is long, none too narrow to be seen.
pub(crate) fn pieces(from: f64, to: f64, silences: &[(f64, f64)]) -> Vec<Piece> {
    let begins = std::iter::once(from).chain(silences.iter().map(|it| it.1));
    let ends = silences.iter().map(|it| it.0).chain(std::iter::once(to));
    let spans: Vec<(f64, f64)> = begins.zip(ends).collect();
    let total: f64 = spans
        .iter()
        .map(|it| it.1 - it.0)
        .sum::<f64>()
        .max(f64::MIN_POSITIVE);
    let room = 1.0 - silences.len() as f64 * FOLD;
    let free = room - spans.len() as f64 * LEAST;
    let mut at = 0.0;
    let mut pieces = Vec::with_capacity(spans.len());
    for (from, to) in spans {
        let width = LEAST + free * ((to - from) / total);
        // A single moment stands at the beginning of its piece.
        let to = if to > from { to } else { from + 1.0 };
        pieces.push(Piece::new(from, to, at, at + width));
        at += width + FOLD;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::super::scale::Axis;
    use super::*;

    #[test]
    fn moments_evenly_apart_have_no_silence() {
        for count in [2, 3, 10, 1000] {
            let moments: Vec<f64> = (0..count).map(|it| f64::from(it) * 1e6).collect();
            assert_eq!(silences(&moments), [], "{count}");
        }
    }

    #[test]
    fn years_between_two_captures_are_left_out() {
        let year = 3.0e7;
        let moments: Vec<f64> = [0.0, year, 3.0 * year]
            .iter()
            .flat_map(|start| (0..50).map(move |it| start + f64::from(it)))
            .collect();
        assert_eq!(
            silences(&moments),
            [(49.0, year), (year + 49.0, 3.0 * year)]
        );
        let axis = Axis::time(moments.iter().copied());
        assert_eq!(axis.folds().count(), 2);
        assert!(
            axis.unit
                .starts_with("grey bands: 2 silences of up to 694.4 days")
        );
        let places: Vec<f64> = moments.iter().map(|it| axis.at(*it)).collect();
        assert!(places.is_sorted());
        assert!(places[0] == 0.0 && (places[149] - 1.0).abs() < 1e-9);
        assert!(
            places[49] - places[0] > 0.3,
            "each capture has a third of the axis"
        );
        // A moment within a silence stands at its fold.
        assert!((axis.at(year / 2.0) - places[49]).abs() < 1e-9);
    }
}
