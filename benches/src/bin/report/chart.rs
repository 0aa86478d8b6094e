//! What every picture has: a frame, text, axes.

use std::fmt::Write as _;

pub const INK: &str = "#1f2933";
pub const QUIET: &str = "#5b6875";
pub const RULE: &str = "#dde3e8";
/// The project's own, then the others.
pub const COLORS: [&str; 7] = [
    "#e8590c", "#1971c2", "#2f9e44", "#7048e8", "#c2255c", "#0c8599", "#5b6875",
];

/// A picture that is being drawn.
pub struct Svg(String);

/// Where text is anchored.
#[derive(Clone, Copy)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

impl Svg {
    pub fn new(width: f64, height: f64, title: &str, about: &str) -> Self {
        let mut svg = Svg(String::new());
        let _ = write!(
            svg.0,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
             width=\"{width}\" height=\"{height}\" font-family=\"system-ui, 'Segoe UI', \
             'DejaVu Sans', sans-serif\" role=\"img\" aria-labelledby=\"t d\">\n\
             <title id=\"t\">{}</title>\n<desc id=\"d\">{}</desc>\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n",
            escape(title),
            escape(about)
        );
        svg.text((24.0, 30.0), title, 16.0, INK, Anchor::Start, true);
        svg.text((24.0, 50.0), about, 12.5, QUIET, Anchor::Start, false);
        svg
    }

    pub fn text(
        &mut self,
        (x, y): (f64, f64),
        text: &str,
        size: f64,
        color: &str,
        anchor: Anchor,
        bold: bool,
    ) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let weight = if bold { 600 } else { 400 };
        let _ = writeln!(
            self.0,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" fill=\"{color}\" \
             text-anchor=\"{anchor}\" font-weight=\"{weight}\">{}</text>",
            escape(text)
        );
    }

    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), color: &str, width: f64) {
        let _ = writeln!(
            self.0,
            "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{color}\" \
             stroke-width=\"{width}\" stroke-linecap=\"round\"/>",
            from.0, from.1, to.0, to.1
        );
    }

    pub fn path(&mut self, points: &[(f64, f64)], color: &str, dashed: bool) {
        let dashes = match dashed {
            true => " stroke-dasharray=\"2 6\" stroke-linecap=\"round\"",
            false => "",
        };
        let points: Vec<_> = points
            .iter()
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        let _ = writeln!(
            self.0,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2.2\" \
             stroke-linejoin=\"round\"{dashes}/>",
            points.join(" ")
        );
    }

    pub fn dot(&mut self, (x, y): (f64, f64), radius: f64, color: &str, filled: bool) {
        let fill = if filled { color } else { "#ffffff" };
        let _ = writeln!(
            self.0,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" fill=\"{fill}\" \
             stroke=\"{color}\" stroke-width=\"2\"/>"
        );
    }

    pub fn finish(mut self) -> String {
        self.0.push_str("</svg>\n");
        self.0
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// A logarithmic axis from one round number to another.
pub struct Log {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    ticks: Vec<f64>,
}

impl Log {
    /// Around these values, drawn between two places.
    pub fn around(values: impl IntoIterator<Item = f64>, from: f64, to: f64) -> Self {
        let (mut low, mut high) = (f64::MAX, f64::MIN);
        for value in values {
            (low, high) = (low.min(value), high.max(value));
        }
        // Few lines over a wide range, more over a narrow one.
        let digits: &[f64] = if high / low > 20.0 {
            &[1.0, 3.0]
        } else {
            &[1.0, 2.0, 5.0]
        };
        let steps =
            || (-1..9).flat_map(|power| digits.iter().map(move |it| it * 10f64.powi(power)));
        let mut down = steps().take_while(|it| *it <= low).last().unwrap_or(0.1);
        let up = steps().find(|it| *it >= high).unwrap_or(1e9);
        if up / down < 9.0 {
            // Small differences are to look small.
            down = steps().take_while(|it| *it < down).last().unwrap_or(down);
        }
        Log {
            low: down.ln(),
            high: up.ln(),
            from,
            to,
            ticks: steps().filter(|it| (down..=up).contains(it)).collect(),
        }
    }

    pub fn place(&self, value: f64) -> f64 {
        self.from + (self.to - self.from) * (value.ln() - self.low) / (self.high - self.low)
    }

    /// Where lines are drawn.
    pub fn ticks(&self) -> &[f64] {
        &self.ticks
    }
}

/// Nanoseconds in the largest unit that fits.
pub fn nanos(value: f64) -> String {
    let (value, unit) = match value {
        it if it >= 999_500.0 => (it / 1e6, "ms"),
        it if it >= 999.5 => (it / 1e3, "µs"),
        it => (it, "ns"),
    };
    match value {
        it if it < 9.95 && it.fract() > 0.04 => format!("{it:.1} {unit}"),
        it => format!("{it:.0} {unit}"),
    }
}
