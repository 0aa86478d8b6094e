//! Draws the stacks that `perf script` prints: stdin to an SVG on stdout. A box is as wide as the
//! part of the samples that it and what it called were in.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read as _;

const WIDTH: f64 = 1200.0;
const HEIGHT: f64 = 18.0;
/// Narrower boxes are left out.
const LEAST: f64 = 0.4;

/// A function, reached by one path.
#[derive(Default)]
struct Node {
    samples: u64,
    called: BTreeMap<String, Node>,
}

fn main() {
    let mut text = String::new();
    if let Err(error) = std::io::stdin().read_to_string(&mut text) {
        eprintln!("stdin: {error}");
        std::process::exit(1);
    }
    let root = fold(&text);
    if root.samples == 0 {
        eprintln!("no samples: give the output of `perf script`");
        std::process::exit(1);
    }
    print!("{}", draw(&root));
}

/// Samples are paragraphs: a headline, then the frames from the innermost out.
fn fold(text: &str) -> Node {
    let mut root = Node::default();
    for sample in text.split("\n\n") {
        let frames: Vec<_> = sample
            .lines()
            .filter(|line| line.starts_with(['\t', ' ']))
            .filter_map(name)
            .collect();
        if frames.is_empty() {
            continue;
        }
        root.samples += 1;
        let mut node = &mut root;
        for frame in frames.into_iter().rev() {
            node = node.called.entry(frame).or_default();
            node.samples += 1;
        }
    }
    root
}

/// `  address name+0x12 (file)`, with generic parameters shortened.
fn name(line: &str) -> Option<String> {
    let (_, rest) = line.trim().split_once(' ')?;
    let rest = rest.rsplit_once(" (").map_or(rest, |(name, _)| name);
    let rest = rest.rsplit_once("+0x").map_or(rest, |(name, _)| name);
    Some(plain(rest.trim()))
}

/// Without generic parameters, except where the name begins with them: `<T as Trait>::f`.
fn plain(name: &str) -> String {
    let (mut out, mut depth) = (String::new(), 0u32);
    for (at, letter) in name.char_indices() {
        match letter {
            '<' if at > 0 => depth += 1,
            '>' if depth > 0 => depth -= 1,
            _ if depth == 0 => out.push(letter),
            _ => {}
        }
    }
    out
}

fn depth(node: &Node) -> usize {
    1 + node.called.values().map(depth).max().unwrap_or(0)
}

fn draw(root: &Node) -> String {
    let height = HEIGHT * depth(root) as f64 + 40.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" height=\"{height}\" font-family=\"DejaVu Sans, sans-serif\" \
         font-size=\"11\">\n<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n"
    );
    boxes(&mut svg, "all", root, (0.0, height - 20.0), root.samples);
    svg.push_str("</svg>\n");
    svg
}

fn boxes(svg: &mut String, name: &str, node: &Node, (x, y): (f64, f64), all: u64) {
    let width = WIDTH * node.samples as f64 / all as f64;
    if width < LEAST {
        return;
    }
    // Colours differ so that neighbours can be told apart; they mean nothing.
    let hue = name
        .bytes()
        .fold(7u32, |sum, byte| sum.wrapping_mul(31) + u32::from(byte))
        % 40;
    let part = 100.0 * node.samples as f64 / all as f64;
    let name = name
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let _ = writeln!(
        svg,
        "<g><title>{name}: {part:.1} %</title><rect x=\"{x:.1}\" y=\"{:.1}\" width=\"{:.1}\" \
         height=\"{:.1}\" fill=\"hsl({} 75% 70%)\"/>",
        y - HEIGHT,
        (width - 0.5).max(0.3),
        HEIGHT - 1.0,
        10 + hue,
    );
    let letters = ((width - 6.0) / 6.2) as usize;
    if letters > 3 {
        let end: String = name.chars().rev().take(letters).collect();
        let end: String = end.chars().rev().collect();
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            x + 3.0,
            y - 5.5,
            whole(&end)
        );
    }
    svg.push_str("</g>\n");
    let mut at = x;
    for (name, called) in &node.called {
        boxes(svg, name, called, (at, y - HEIGHT), all);
        at += WIDTH * called.samples as f64 / all as f64;
    }
}

/// Does not begin in the middle of an escape.
fn whole(text: &str) -> &str {
    match text.split_once(';') {
        Some((before, after)) if !before.contains('&') && before.len() < 4 => after,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generic_parameters_are_left_out() {
        assert_eq!(plain("next<Share, Filter<Zip<A>, B>>"), "next");
        assert_eq!(plain("<Own as Worker>::run"), "<Own as Worker>::run");
    }

    #[test]
    fn stacks_are_folded_from_the_outermost_in() {
        let text = "p 1 cpu-clock:\n\t 1f inner+0x1 (p)\n\t 2f outer+0x20 (p)\n\n\
                    p 1 cpu-clock:\n\t 2f outer+0x24 (p)\n";
        let root = fold(text);
        assert_eq!(root.samples, 2);
        let outer = &root.called["outer"];
        assert_eq!((outer.samples, outer.called["inner"].samples), (2, 1));
    }
}
