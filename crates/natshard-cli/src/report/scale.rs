//! Axes: round tick values for counts and for time.

use super::fold;

/// One tick of an axis: where it stands (0 to 1) and what it says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tick {
    /// Part of the axis' length.
    pub(crate) at: f64,
    /// The label.
    pub(crate) label: String,
}

/// An axis with round ticks: linear, or of time, whose long silences are folded.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    /// Its linear pieces, ascending; between two of them lies a fold.
    pieces: Vec<Piece>,
    /// Its ticks, ascending.
    pub(crate) ticks: Vec<Tick>,
    /// What the labels are, units above all; empty for counts.
    pub(crate) unit: String,
}

/// A linear piece of an axis: these values stand between these two places (0 to 1).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    from: f64,
    to: f64,
    begin: f64,
    end: f64,
}

impl Axis {
    /// An axis of counts from 0 to at least `largest`.
    pub(crate) fn count(largest: u64) -> Self {
        let step = nice_step(largest.max(1) as f64 / 5.0).max(1.0);
        let steps = (largest.max(1) as f64 / step).ceil().max(1.0);
        let to = steps * step;
        let ticks = (0..=steps as usize)
            .map(|index| Tick {
                at: index as f64 / steps,
                label: short(index as f64 * step),
            })
            .collect();
        Axis {
            pieces: vec![Piece::whole(0.0, to)],
            ticks,
            unit: String::new(),
        }
    }

    /// An axis of simulated seconds on which these moments can be told apart: silences that would
    /// press everything else together are folded. A span of no length is shown as one second.
    pub(crate) fn time(moments: impl Iterator<Item = f64>) -> Self {
        let mut moments: Vec<f64> = moments.filter(|it| it.is_finite()).collect();
        moments.sort_by(f64::total_cmp);
        let (Some(&from), Some(&to)) = (moments.first(), moments.last()) else {
            return Self::unfolded(0.0, 0.0);
        };
        let silences = fold::silences(&moments);
        if silences.is_empty() {
            return Self::unfolded(from, to);
        }
        let pieces = fold::pieces(from, to, &silences);
        let mut ticks: Vec<Tick> = Vec::new();
        for piece in &pieces {
            // A label needs room to its right.
            if ticks.last().is_none_or(|last| piece.begin - last.at > 0.1) {
                ticks.push(Tick {
                    at: piece.begin,
                    label: seconds(piece.from),
                });
            }
        }
        let longest = silences
            .iter()
            .map(|(from, to)| to - from)
            .fold(0.0, f64::max);
        let (count, plural) = (silences.len(), if silences.len() == 1 { "" } else { "s" });
        Axis {
            pieces,
            ticks,
            unit: format!(
                "grey bands: {count} silence{plural} of up to {} left out",
                seconds(longest)
            ),
        }
    }

    /// Where the silences were that are left out, from and to (0 to 1).
    pub(crate) fn folds(&self) -> impl Iterator<Item = (f64, f64)> {
        self.pieces.windows(2).map(|it| {
            let (from, to) = (it[0].end, it[1].begin);
            // Narrower than the room it has, so that it covers no point beside it.
            let margin = (to - from) / 4.0;
            (from + margin, to - margin)
        })
    }

    fn unfolded(from: f64, to: f64) -> Self {
        let to = if to > from { to } else { from + 1.0 };
        let (unit, length) = time_unit(to - from);
        let (low, high) = (from / length, to / length);
        let step = nice_step((high - low) / 6.0);
        let mut ticks = Vec::new();
        let mut value = (low / step).ceil() * step;
        // Bounded: the step of a span far from zero may be lost to rounding.
        for _ in 0..12 {
            if value > high + step * 1e-6 {
                break;
            }
            ticks.push(Tick {
                at: ((value - low) / (high - low)).clamp(0.0, 1.0),
                label: decimal(value, step),
            });
            value += step;
        }
        Axis {
            pieces: vec![Piece::whole(from, to)],
            ticks,
            unit: unit.into(),
        }
    }

    /// An axis of ports: four quarters of the port space.
    pub(crate) fn port() -> Self {
        let ticks = [0_u32, 16384, 32768, 49152, 65535]
            .iter()
            .map(|port| Tick {
                at: f64::from(*port) / 65535.0,
                label: port.to_string(),
            })
            .collect();
        Axis {
            pieces: vec![Piece::whole(0.0, 65535.0)],
            ticks,
            unit: String::new(),
        }
    }

    /// Where a value stands, 0 to 1.
    pub(crate) fn at(&self, value: f64) -> f64 {
        let after = self.pieces.partition_point(|piece| piece.from <= value);
        let piece = self.pieces[after.saturating_sub(1)];
        let part = ((value - piece.from) / (piece.to - piece.from)).clamp(0.0, 1.0);
        piece.begin + part * (piece.end - piece.begin)
    }
}

impl Piece {
    const fn whole(from: f64, to: f64) -> Self {
        Piece {
            from,
            to,
            begin: 0.0,
            end: 1.0,
        }
    }

    /// A piece of an axis that is folded elsewhere.
    pub(super) const fn new(from: f64, to: f64, begin: f64, end: f64) -> Self {
        Piece {
            from,
            to,
            begin,
            end,
        }
    }
}

/// 1, 2 or 5 times a power of ten, not below `least`.
fn nice_step(least: f64) -> f64 {
    if !least.is_finite() || least <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(least.log10().floor());
    let factor = [1.0, 2.0, 5.0]
        .into_iter()
        .find(|factor| power * factor >= least * (1.0 - 1e-9))
        .unwrap_or(10.0);
    power * factor
}

/// The unit in which a span of seconds reads best, and its length in seconds.
fn time_unit(span: f64) -> (&'static str, f64) {
    match span {
        span if span < 0.002 => ("microseconds", 1e-6),
        span if span < 2.0 => ("milliseconds", 1e-3),
        span if span < 300.0 => ("seconds", 1.0),
        span if span < 3.0 * 3600.0 => ("minutes", 60.0),
        span if span < 4.0 * 86400.0 => ("hours", 3600.0),
        _ => ("days", 86400.0),
    }
}

/// A value with as many decimals as its step needs.
fn decimal(value: f64, step: f64) -> String {
    let places = if step >= 1.0 {
        0
    } else {
        (-step.log10()).ceil().clamp(0.0, 6.0) as usize
    };
    // Adding zero turns a negative zero into a plain one.
    let text = format!("{:.places$}", value + 0.0);
    if text.starts_with("-0") && text.trim_matches(['-', '0', '.']).is_empty() {
        text.trim_start_matches('-').into()
    } else {
        text
    }
}

/// A count for an axis label: `900`, `12 k`, `1.5 M`.
fn short(value: f64) -> String {
    const UNITS: [(f64, &str); 6] = [
        (1e18, "E"),
        (1e15, "P"),
        (1e12, "T"),
        (1e9, "G"),
        (1e6, "M"),
        (1e3, "k"),
    ];
    match UNITS.iter().find(|(size, _)| value >= *size) {
        Some((size, unit)) if value >= 10_000.0 => {
            let scaled = value / size;
            if (scaled - scaled.round()).abs() < 0.05 {
                format!("{scaled:.0} {unit}")
            } else {
                format!("{scaled:.1} {unit}")
            }
        }
        _ => format!("{value:.0}"),
    }
}

/// Simulated seconds for a sentence or a table.
pub(crate) fn seconds(value: f64) -> String {
    match value.abs() {
        0.0 => "0 s".into(),
        size if size < 10.0 => format!("{value:.3} s"),
        size if size < 1000.0 => format!("{value:.1} s"),
        size if size < 36_000.0 => format!("{:.1} min", value / 60.0),
        size if size < 864_000.0 => format!("{:.1} h", value / 3600.0),
        _ => format!("{:.1} days", value / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_axis_is_round_and_reaches_the_largest_value() {
        for largest in [0, 1, 3, 7, 99, 100, 101, 4096, 1_032_192, u64::MAX] {
            let axis = Axis::count(largest);
            assert!(axis.pieces[0].to >= largest as f64, "{largest}");
            assert!((2..=7).contains(&axis.ticks.len()), "{largest}: {axis:?}");
            assert_eq!(axis.ticks[0].label, "0");
            let labels: std::collections::HashSet<_> =
                axis.ticks.iter().map(|tick| &tick.label).collect();
            assert_eq!(labels.len(), axis.ticks.len(), "{largest}: {axis:?}");
        }
    }

    #[test]
    fn a_time_axis_has_ticks_for_any_span() {
        for (from, to) in [
            (0.0, 0.0),
            (5.0, 5.0),
            (0.0, 1e-5),
            (0.0, 0.5),
            (0.0, 61.0),
            (0.0, 5_000.0),
            (1e9, 1e9 + 0.001),
            (0.0, 1e12),
            (-3.0, 4.0),
        ] {
            let axis = Axis::time([from, to].into_iter());
            assert!(!axis.ticks.is_empty(), "{from}..{to}");
            assert!(axis.ticks.len() <= 12, "{from}..{to}: {axis:?}");
            assert!(axis.ticks.iter().all(|it| (0.0..=1.0).contains(&it.at)));
        }
    }

    #[test]
    fn a_negative_zero_is_not_shown() {
        assert_eq!(decimal(-0.0, 0.5), "0.0");
        assert_eq!(decimal(-0.5, 0.5), "-0.5");
    }
}
