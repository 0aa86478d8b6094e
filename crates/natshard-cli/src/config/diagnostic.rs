//! What is wrong with a configuration, and where.

use std::ops::Range;
use std::path::{Path, PathBuf};

/// Bytes of the configuration text.
pub(crate) type Span = Range<usize>;

/// A value and where it was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct At<T> {
    /// The value.
    pub(crate) value: T,
    /// Where it was written; for a default, the header of its table.
    pub(crate) span: Span,
}

impl<T> At<T> {
    /// A value and its place.
    pub(crate) fn new(value: T, span: Span) -> Self {
        At { value, span }
    }
}

/// Whether the configuration can be used all the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Severity {
    /// It cannot.
    Error,
    /// It can, but probably is not what was meant.
    Warning,
}

impl Severity {
    /// The word for it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// One fault: what, where, and what to write instead.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Diagnostic {
    /// How bad it is.
    pub(crate) severity: Severity,
    /// What is wrong, in one line.
    pub(crate) message: String,
    /// Where.
    pub(crate) span: Span,
    /// A word beside the caret; may be empty.
    pub(crate) label: String,
    /// Another place that has to do with it.
    pub(crate) related: Option<At<String>>,
    /// What to write instead; may be empty.
    pub(crate) help: String,
}

impl Diagnostic {
    /// An error at a place.
    pub(crate) fn error(span: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, span, message.into())
    }

    /// A warning at a place.
    pub(crate) fn warning(span: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, span, message.into())
    }

    fn new(severity: Severity, span: Span, message: String) -> Self {
        Diagnostic {
            severity,
            message,
            span,
            label: String::new(),
            related: None,
            help: String::new(),
        }
    }

    /// Puts a word beside the caret.
    pub(crate) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Points at another place as well.
    pub(crate) fn related(mut self, span: Span, label: impl Into<String>) -> Self {
        self.related = Some(At::new(label.into(), span));
        self
    }

    /// Says what to write instead.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }
}

/// A configuration text and the name of its file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Source {
    path: PathBuf,
    text: String,
    line_starts: Vec<usize>,
}

impl Source {
    /// A text that was read from `path`.
    pub(crate) fn new(path: &Path, text: String) -> Self {
        let line_starts = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        Source {
            path: path.to_path_buf(),
            text,
            line_starts,
        }
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What it says.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The line (from 1) that a byte is in.
    pub(crate) fn line(&self, byte: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= byte)
    }

    /// The column (from 1, in characters) of a byte.
    pub(crate) fn column(&self, byte: usize) -> usize {
        let start = self.line_starts[self.line(byte) - 1];
        let end = self.floor(byte);
        self.text[start..end].chars().count() + 1
    }

    /// The bytes of a line (from 1), without its line break.
    pub(crate) fn line_span(&self, line: usize) -> Span {
        let start = self.line_starts[line - 1];
        let end = match self.line_starts.get(line) {
            Some(next) => next - 1,
            None => self.text.len(),
        };
        start..end
    }

    /// The span with both ends inside the text and between characters.
    pub(crate) fn clamp(&self, span: &Span) -> Span {
        let start = self.floor(span.start);
        start..self.floor(span.end.max(span.start)).max(start)
    }

    fn floor(&self, byte: usize) -> usize {
        let mut byte = byte.min(self.text.len());
        while !self.text.is_char_boundary(byte) {
            byte -= 1;
        }
        byte
    }
}

/// Where faults are gathered while a configuration is read.
#[derive(Debug, Default)]
pub(crate) struct Sink {
    found: Vec<Diagnostic>,
    /// Lines the parser could not read. What it made up for them must not be judged.
    broken_lines: Vec<usize>,
    /// The line from which on nothing was read rightly.
    broken_from: Option<usize>,
}

impl Sink {
    /// Adds a fault.
    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        self.found.push(diagnostic);
    }

    /// Adds a fault that consists in something not being there. After a syntax error it is left
    /// out: what is missing may stand in the lines that could not be read.
    pub(crate) fn push_absence(&mut self, diagnostic: Diagnostic) {
        if self.broken_lines.is_empty() {
            self.found.push(diagnostic);
        }
    }

    /// Notes a line that could not be read.
    pub(crate) fn line_is_broken(&mut self, line: usize) {
        self.broken_lines.push(line);
    }

    /// Notes that nothing from this line on was read rightly.
    pub(crate) fn broken_from(&mut self, line: usize) {
        self.broken_from = Some(line);
    }

    /// How many faults were found so far.
    pub(crate) fn len(&self) -> usize {
        self.found.len()
    }

    /// Whether an error was found so far.
    pub(crate) fn has_errors(&self) -> bool {
        self.found.iter().any(|it| it.severity == Severity::Error)
    }

    /// Everything found, in the order of the text, each fault once.
    pub(crate) fn into_sorted(mut self) -> Vec<Diagnostic> {
        self.found.sort_by(|a, b| {
            (a.span.start, a.severity, a.span.end, &a.message).cmp(&(
                b.span.start,
                b.severity,
                b.span.end,
                &b.message,
            ))
        });
        self.found.dedup();
        self.found
    }

    /// Drops what was found in lines that could not be read, except the first `keep`.
    pub(crate) fn forgive_broken_lines(&mut self, source: &Source, keep: usize) {
        if self.broken_lines.is_empty() {
            return;
        }
        self.broken_lines.sort_unstable();
        let broken = std::mem::take(&mut self.broken_lines);
        let mut index = 0;
        self.found.retain(|it| {
            index += 1;
            let line = source.line(it.span.start);
            index <= keep
                || (broken.binary_search(&line).is_err()
                    && self.broken_from.is_none_or(|from| line < from))
        });
        self.broken_lines = broken;
    }
}
