//! The two pictures over time: ports in use, and blocks by phase.

use std::fmt::Write as _;

use super::data::Sample;
use super::frame::{self, Frame, Key, UNITS};
use super::html::{Grouped, plural};
use super::scale::{Axis, seconds};

/// Most moments drawn; more than that differ by less than a pixel.
const MOMENTS: usize = 800;
/// Most rows of a table.
const ROWS: usize = 200;

/// One curve: its class and what it takes from a sample.
type Curve = (&'static str, fn(&Sample) -> u64);

const PORTS: [Curve; 3] = [
    ("leased", |it| it.leased),
    ("cooling", |it| it.cooling),
    ("unissued", |it| it.unissued),
];

/// From the bottom of the pile to its top.
const BLOCKS: [Curve; 3] = [
    ("heating", |it| it.blocks_heating),
    ("cooling", |it| it.blocks_cooling),
    ("free", |it| it.blocks_free),
];

/// Both pictures.
pub(crate) fn write(out: &mut String, samples: &[Sample], x: &Axis) {
    let mut samples: Vec<Sample> = samples
        .iter()
        .copied()
        .filter(|it| it.at.is_finite())
        .collect();
    samples.sort_by(|a, b| a.at.total_cmp(&b.at));
    if samples.is_empty() {
        let why = "No sample of the engine was taken.";
        frame::empty(out, "ports", "Ports in use over time", why);
        frame::empty(out, "blocks", "Blocks by phase over time", why);
        return;
    }
    ports(out, &samples, x);
    blocks(out, &samples, x);
}

fn ports(out: &mut String, samples: &[Sample], x: &Axis) {
    let y = Axis::count(largest(samples, |it| {
        it.leased.max(it.cooling).max(it.unissued)
    }));
    let buckets = Buckets::new(samples);
    let mut shapes = String::new();
    for (class, value) in PORTS {
        // The highest of a bucket: a peak must not vanish by being drawn.
        let points = buckets.points(x, &y, |bucket| bucket.iter().map(value).max().unwrap_or(0));
        if class == "leased" {
            let _ = write!(
                shapes,
                "<path class=\"area {class}\" d=\"M0 {UNITS}{}V{UNITS}Z\"/>",
                polyline(&points, 'L')
            );
        }
        let _ = write!(
            shapes,
            "<path class=\"line {class}\" d=\"{}\"/>",
            polyline(&points, 'M')
        );
    }
    let peak = peak(samples, |it| it.leased);
    let last = samples[samples.len() - 1];
    let summary = format!(
        "At most {} in use at once, at {}; at the end {} in use and {} resting or ready to be \
         taken again.",
        plural(peak.leased, "port", "ports"),
        seconds(peak.at),
        Grouped(last.leased),
        Grouped(last.cooling),
    );
    let mut notes = buckets.note("each point is the highest of its samples");
    notes.extend(single(samples));
    Frame {
        id: "ports",
        title: "Ports in use over time",
        summary: &summary,
        vertical: "ports",
        x,
        y: &y,
        keys: &[
            Key {
                class: "leased",
                label: "leased (in use)",
            },
            Key {
                class: "cooling",
                label: "cooling (given back, resting or rested)",
            },
            Key {
                class: "unissued",
                label: "unissued (in a shard's heating block)",
            },
        ],
        shapes: &shapes,
        notes: &notes,
        table: &table(
            samples,
            &["leased", "cooling", "unissued"],
            &PORTS.map(|it| it.1),
        ),
    }
    .write(out);
}

fn blocks(out: &mut String, samples: &[Sample], x: &Axis) {
    let busy = |it: &Sample| it.blocks_heating.saturating_add(it.blocks_cooling);
    let total = |it: &Sample| busy(it).saturating_add(it.blocks_free);
    let peak = peak(samples, busy);
    let last = samples[samples.len() - 1];
    let most = largest(samples, total);
    let summary = format!(
        "A block is 256 ports of one address and protocol. At most {} heating or cooling at once, \
         at {}; at the end {} heating, {} cooling, {} free.",
        plural(busy(&peak), "block was", "blocks were"),
        seconds(peak.at),
        Grouped(last.blocks_heating),
        Grouped(last.blocks_cooling),
        Grouped(last.blocks_free),
    );
    let buckets = Buckets::new(samples);
    let mut notes = buckets.note("each point is the last of its samples");
    notes.extend(single(samples));
    notes
        .push("Only blocks of opened addresses are counted: an untouched address has none.".into());
    // Where free blocks would press the rest into a line, the rest is drawn alone.
    let crowded = busy(&peak) > 0 && busy(&peak) < most / 8;
    let (phases, y) = if crowded {
        notes.insert(
            0,
            format!(
                "The {} free at the end are not drawn: they would press heating and cooling into a \
                 line. The table has them.",
                plural(last.blocks_free, "block", "blocks")
            ),
        );
        (&BLOCKS[..2], Axis::count(busy(&peak)))
    } else {
        (&BLOCKS[..], Axis::count(most))
    };
    let keys = [
        ("free", "free"),
        ("cooling", "cooling (handed out, waiting to be reclaimed)"),
        ("heating", "heating (being allocated from)"),
    ]
    .map(|(class, label)| Key { class, label });
    Frame {
        id: "blocks",
        title: "Blocks by phase over time",
        summary: &summary,
        vertical: "blocks",
        x,
        y: &y,
        keys: &keys[usize::from(crowded)..],
        shapes: &pile(&buckets, phases, x, &y),
        notes: &notes,
        table: &table(
            samples,
            &["heating", "cooling", "free"],
            &BLOCKS.map(|it| it.1),
        ),
    }
    .write(out);
}

/// Curves piled up, the first at the bottom.
fn pile(buckets: &Buckets<'_>, curves: &[Curve], x: &Axis, y: &Axis) -> String {
    let mut shapes = String::new();
    let mut floor: Vec<(f64, f64)> = buckets.points(x, y, |_| 0);
    for (index, (class, _)) in curves.iter().enumerate() {
        // The last of a bucket for all of them, so that what is piled up belongs together.
        let ceiling = buckets.points(x, y, |bucket| {
            let sample = &bucket[bucket.len() - 1];
            curves[..=index]
                .iter()
                .fold(0_u64, |sum, (_, value)| sum.saturating_add(value(sample)))
        });
        let back: Vec<_> = floor.iter().rev().copied().collect();
        let _ = write!(
            shapes,
            "<path class=\"pile {class}\" d=\"{}{}Z\"/>",
            polyline(&ceiling, 'M'),
            polyline(&back, 'L')
        );
        floor = ceiling;
    }
    shapes
}

/// Samples gathered so that no more points are drawn than can be seen.
struct Buckets<'a> {
    samples: &'a [Sample],
    size: usize,
}

impl<'a> Buckets<'a> {
    fn new(samples: &'a [Sample]) -> Self {
        Buckets {
            samples,
            size: samples.len().div_ceil(MOMENTS).max(1),
        }
    }

    /// One point per bucket; a single one becomes a line across the picture.
    fn points(&self, x: &Axis, y: &Axis, value: impl Fn(&[Sample]) -> u64) -> Vec<(f64, f64)> {
        let mut points: Vec<_> = self
            .samples
            .chunks(self.size)
            .map(|bucket| {
                let at = bucket[bucket.len() - 1].at;
                (x.at(at) * UNITS, UNITS - y.at(value(bucket) as f64) * UNITS)
            })
            .collect();
        if let (Some(first), Some(last)) = (points.first().copied(), points.last().copied()) {
            points.insert(0, (0.0, first.1));
            points.push((UNITS, last.1));
        }
        points
    }

    fn note(&self, how: &str) -> Vec<String> {
        if self.size == 1 {
            return Vec::new();
        }
        vec![format!(
            "{} samples drawn as {} points: {how}.",
            Grouped(self.samples.len() as u64),
            Grouped(self.samples.len().div_ceil(self.size) as u64),
        )]
    }
}

fn polyline(points: &[(f64, f64)], begin: char) -> String {
    let mut path = String::new();
    for (index, (x, y)) in points.iter().enumerate() {
        let letter = if index == 0 { begin } else { 'L' };
        let _ = write!(path, "{letter}{x:.1} {y:.1}");
    }
    path
}

/// The first sample with the largest value.
fn peak(samples: &[Sample], value: impl Fn(&Sample) -> u64) -> Sample {
    let mut best = samples[0];
    for sample in samples {
        if value(sample) > value(&best) {
            best = *sample;
        }
    }
    best
}

fn largest(samples: &[Sample], value: impl Fn(&Sample) -> u64) -> u64 {
    samples.iter().map(value).max().unwrap_or(0)
}

fn single(samples: &[Sample]) -> Option<String> {
    (samples[0].at == samples[samples.len() - 1].at).then(|| {
        format!(
            "All samples were taken at {}: the picture is one moment drawn wide.",
            seconds(samples[0].at)
        )
    })
}

fn table(samples: &[Sample], names: &[&str], values: &[fn(&Sample) -> u64]) -> String {
    let mut out = String::new();
    let size = samples.len().div_ceil(ROWS).max(1);
    if size > 1 {
        let _ = write!(
            out,
            "<p class=\"note\">Every {size}th of {} samples, and the last.</p>",
            Grouped(samples.len() as u64)
        );
    }
    out.push_str("<table><thead><tr><th scope=\"col\">simulated time</th>");
    for name in names {
        let _ = write!(out, "<th scope=\"col\">{name}</th>");
    }
    out.push_str("</tr></thead><tbody>\n");
    let last = samples.len() - 1;
    for (index, sample) in samples.iter().enumerate() {
        if index % size != 0 && index != last {
            continue;
        }
        let _ = write!(out, "<tr><th scope=\"row\">{:.3} s</th>", sample.at);
        for value in values {
            let _ = write!(out, "<td>{}</td>", Grouped(value(sample)));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table>");
    out
}
