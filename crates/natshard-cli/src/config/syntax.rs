//! Faults of the parser, said again for people who do not know its grammar.

use super::diagnostic::{Diagnostic, Sink, Source, Span};
use super::word;

/// Most faults of syntax shown one by one.
const MOST: usize = 200;

/// Puts what the parser found into the sink: one fault a line, and nothing of what follows an
/// array that is not closed, for all of that was read as its elements.
pub(crate) fn faults(source: &Source, errors: &[toml::de::Error], sink: &mut Sink) {
    let mut last_line = 0;
    let mut shown = 0;
    // The parser finds faults of structure first and those of values in a second round.
    let mut errors: Vec<_> = errors
        .iter()
        .map(|error| (source.clamp(&error.span().unwrap_or(0..0)), error))
        .collect();
    errors.sort_by_key(|(span, _)| (span.start, span.end));
    for (span, error) in errors {
        let line = source.line(span.start);
        sink.line_is_broken(line);
        if line == last_line {
            continue;
        }
        last_line = line;
        shown += 1;
        if shown == MOST {
            let text = "more faults of syntax follow";
            sink.push(Diagnostic::error(span, text).help("mend those above first"));
            sink.broken_from(line);
            return;
        }
        if is_after_open_array(source, error.message(), &span) {
            sink.push(
                Diagnostic::error(span, "the array above is not closed")
                    .label("read as an element of it")
                    .help("write `]` where it ends; what follows was not read"),
            );
            sink.broken_from(line);
            return;
        }
        sink.push(fault(source, error.message(), span));
    }
}

/// Whether a line that is no element is taken for one.
fn is_after_open_array(source: &Source, message: &str, span: &Span) -> bool {
    let line = source.line_span(source.line(span.start));
    let text = source.text()[line.clone()].trim();
    let begins = source.text()[line.start..span.start.min(line.end)]
        .trim()
        .is_empty();
    let is_header = text.starts_with('[') && !text.contains(',');
    let is_pair = text
        .split_once('=')
        .is_some_and(|(key, _)| key.trim().chars().all(|it| is_bare(it) || it == ' '));
    message.contains("missing comma between array") && begins && (is_header || is_pair)
}

/// One fault that the parser found.
fn fault(source: &Source, message: &str, span: Span) -> Diagnostic {
    let line = source.line_span(source.line(span.start));
    let text = &source.text()[line.clone()];
    let at = span.start.min(line.end) - line.start;
    // The parser points into the middle of an address that has no quotes.
    let begin = text[..at].trim_end_matches(is_bare).len();
    let (before, rest) = (text[..begin].trim_end(), &text[begin..]);
    let value: String = rest
        .chars()
        .take_while(|it| !matches!(it, ',' | ']' | '}' | '#'))
        .collect();
    let value = value.trim();
    let at_value = before.ends_with('=');
    let fault = |text: &str| Diagnostic::error(span.clone(), text);
    if at_value && value.is_empty() {
        return fault("a value is missing")
            .label("nothing after `=`")
            .help("write the value, or drop the line");
    }
    if is_bare_word(value) && (at_value || before.ends_with(['[', ','])) {
        let text = word::shown(value);
        let start = line.start + begin;
        return Diagnostic::error(start..start + value.len(), "text must be in quotes")
            .label("not a number, `true` or `false`")
            .help(format!("write `\"{text}\"`"));
    }
    if message.contains("duplicate key") {
        return fault("this key was given before")
            .label("given again")
            .help("give each key once; several tables of a kind begin with `[[...]]`");
    }
    if message.contains("basic string") || message.contains("literal string") {
        return fault("a string does not end on its line")
            .label("the closing quote is missing")
            .help("end it with the quote it begins with");
    }
    for (what, bracket) in [("array", "]"), ("inline table", "}"), ("table", "]")] {
        if message.contains(&format!("unclosed {what}")) {
            return fault(&format!("a closing `{bracket}` is missing"))
                .label(format!("the {what} is not closed"))
                .help(format!("write `{bracket}` where it ends"));
        }
    }
    Diagnostic::error(
        span,
        format!("not TOML: {}", message.trim().replace('\n', ", ")),
    )
    .help("each line is `key = value`, `[table]` or `[[table of a kind]]`; see https://toml.io")
}

/// Whether somebody forgot the quotes.
fn is_bare_word(text: &str) -> bool {
    text.starts_with(|it: char| it.is_ascii_alphanumeric() || matches!(it, ':' | '.'))
        && text.parse::<f64>().is_err()
        && text.chars().all(|it| is_bare(it) || it == ' ')
}

/// What names and addresses consist of.
fn is_bare(it: char) -> bool {
    it.is_alphanumeric() || matches!(it, '-' | '_' | '.' | '/' | ':')
}
