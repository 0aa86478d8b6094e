//! Faults as text with carets, and as JSON.

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde_json::{Value, json};

use super::diagnostic::{Diagnostic, Severity, Source};
use super::is_error;
use crate::foreign;

/// Most faults shown one by one.
const MOST: usize = 500;

/// Longest line shown whole; of a longer one, the part around the fault is.
const WIDTH: usize = 120;

/// One fault as the compiler of a language would show it, coloured or not. Ends with a line break.
pub(crate) fn render(source: &Source, diagnostic: &Diagnostic, colour: bool) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let renderer = if colour {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let span = source.clamp(&diagnostic.span);
    // The text is cut to the lines concerned, so that the cost of a fault does not grow with the
    // file.
    let line = source.line(span.start);
    let window = source.line_span(line);
    let (cut, mut annotations) = {
        let end = span.end.min(window.end).max(span.start);
        let mut annotation = AnnotationKind::Primary
            .span(span.start.min(window.end) - window.start..end.min(window.end) - window.start);
        if !diagnostic.label.is_empty() {
            annotation = annotation.label(foreign::plain(&diagnostic.label));
        }
        (window.clone(), vec![annotation])
    };
    let path = foreign::path(source.path());
    let mut others = Vec::new();
    if let Some(related) = &diagnostic.related {
        let span = source.clamp(&related.span);
        let at = source.line(span.start);
        let other = source.line_span(at);
        let end = span.end.min(other.end).max(span.start.min(other.end));
        let local = span.start.min(other.end) - other.start..end - other.start;
        let annotation = AnnotationKind::Context
            .span(local)
            .label(foreign::plain(&related.value));
        if at == line {
            annotations.push(annotation);
        } else {
            others.push(
                Snippet::source(foreign::in_place(&source.text()[other]))
                    .line_start(at)
                    .path(path.as_str())
                    .annotation(annotation),
            );
        }
    }
    let mut group = level
        .primary_title(foreign::plain(&diagnostic.message))
        .element(
            Snippet::source(foreign::in_place(&source.text()[cut]))
                .line_start(line)
                .path(path.as_str())
                .annotations(annotations),
        );
    for other in others {
        group = group.element(other);
    }
    if !diagnostic.help.is_empty() {
        group = group.element(Level::HELP.message(foreign::plain(&diagnostic.help)));
    }
    let mut text = renderer.term_width(WIDTH).render(&[group]);
    text.push('\n');
    text
}

/// All faults, one below the other, and how many there are.
pub(crate) fn all(source: &Source, diagnostics: &[Diagnostic], colour: bool) -> String {
    let mut text = String::new();
    for diagnostic in diagnostics.iter().take(MOST) {
        text.push_str(&render(source, diagnostic, colour));
        text.push('\n');
    }
    if diagnostics.len() > MOST {
        text.push_str(&format!("and {} more\n\n", diagnostics.len() - MOST));
    }
    if !diagnostics.is_empty() {
        let errors = diagnostics.iter().filter(|it| is_error(it)).count();
        text.push_str(&format!(
            "{}: {}\n",
            foreign::path(source.path()),
            counted(errors, diagnostics.len() - errors)
        ));
    }
    text
}

/// `2 errors, 1 warning`.
fn counted(errors: usize, warnings: usize) -> String {
    let some = |count: usize, what: &str| {
        (count > 0).then(|| format!("{count} {what}{}", if count == 1 { "" } else { "s" }))
    };
    let parts: Vec<_> = [some(errors, "error"), some(warnings, "warning")]
        .into_iter()
        .flatten()
        .collect();
    parts.join(", ")
}

/// All faults as JSON.
pub(crate) fn all_json(source: &Source, diagnostics: &[Diagnostic]) -> Value {
    diagnostics.iter().map(|it| to_json(source, it)).collect()
}

/// The fault of a file that could not be read.
pub(crate) fn unreadable(path: &std::path::Path, why: &str, help: &str, colour: bool) -> String {
    let path = foreign::path(path);
    let mut group = annotate_snippets::Group::with_title(
        Level::ERROR.primary_title(format!("cannot read {path}: {}", foreign::plain(why))),
    );
    if !help.is_empty() {
        group = group.element(Level::HELP.message(help));
    }
    let renderer = if colour {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let mut text = renderer.render(&[group]);
    text.push('\n');
    text
}

/// One fault as JSON; `column` counts characters from 1.
pub(crate) fn to_json(source: &Source, diagnostic: &Diagnostic) -> Value {
    let span = source.clamp(&diagnostic.span);
    json!({
        "severity": diagnostic.severity.as_str(),
        "message": diagnostic.message,
        "file": source.path().display().to_string(),
        "line": source.line(span.start),
        "column": source.column(span.start),
        "help": if diagnostic.help.is_empty() { Value::Null } else { json!(diagnostic.help) },
    })
}
