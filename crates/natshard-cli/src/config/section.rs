//! A table of the configuration, read key by key: every fault is noted and reading goes on.

use toml::de::{DeTable, DeValue};

use super::diagnostic::{At, Diagnostic, Sink, Span};
use super::word;

/// A table whose keys are taken one by one; what nobody took is unknown.
pub(crate) struct Section<'t> {
    table: &'t DeTable<'t>,
    span: Span,
    name: &'static str,
    asked: Vec<&'static str>,
}

impl<'t> Section<'t> {
    /// A table; `name` is what messages call it, `span` its header.
    pub(crate) fn new(table: &'t DeTable<'t>, span: Span, name: &'static str) -> Self {
        Section {
            table,
            span,
            name,
            asked: Vec::new(),
        }
    }

    /// Its header, or all of an inline table.
    pub(crate) fn span(&self) -> Span {
        self.span.clone()
    }

    /// Whether it has no key at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// The value of a key, which is thereby known.
    pub(crate) fn take(&mut self, key: &'static str) -> Option<Entry<'t>> {
        self.asked.push(key);
        let (name, value) = self
            .table
            .iter()
            .find(|(name, _)| name.get_ref().as_ref() == key)?;
        Some(Entry {
            key,
            key_span: name.span(),
            span: value.span(),
            value: value.get_ref(),
        })
    }

    /// The value of a key that must be there; `example` shows how to write it.
    pub(crate) fn require(
        &mut self,
        key: &'static str,
        example: &str,
        sink: &mut Sink,
    ) -> Option<Entry<'t>> {
        let entry = self.take(key);
        if entry.is_none() {
            sink.push_absence(
                Diagnostic::error(self.span(), format!("{} has no `{key}`", self.name))
                    .label(format!("`{key}` belongs in this table"))
                    .help(format!("add `{key} = {example}`")),
            );
        }
        entry
    }

    /// The tables under a key: `[[key]]` any number of times, or `[key]` once.
    pub(crate) fn tables(
        &mut self,
        key: &'static str,
        name: &'static str,
        sink: &mut Sink,
    ) -> Vec<Section<'t>> {
        let Some(entry) = self.take(key) else {
            return Vec::new();
        };
        let items = match entry.value {
            DeValue::Table(table) => return vec![Section::new(table, entry.span, name)],
            DeValue::Array(items) => items,
            _ => {
                sink.push(entry.wrong_type(&format!("tables, each begun by `[[{key}]]`")));
                return Vec::new();
            }
        };
        let mut sections = Vec::new();
        for item in items.iter() {
            match item.get_ref() {
                DeValue::Table(table) => sections.push(Section::new(table, item.span(), name)),
                _ => sink.push(entry.item(item).wrong_type("a table in braces")),
            }
        }
        sections
    }

    /// The one table under a key.
    pub(crate) fn table(
        &mut self,
        key: &'static str,
        name: &'static str,
        sink: &mut Sink,
    ) -> Option<Section<'t>> {
        let entry = self.take(key)?;
        match entry.value {
            DeValue::Table(table) => Some(Section::new(table, entry.span, name)),
            _ => {
                sink.push(entry.wrong_type(&format!("a table, begun by `[{key}]`")));
                None
            }
        }
    }

    /// Ends the reading of this table: a key nobody asked for is a fault.
    pub(crate) fn finish(self, sink: &mut Sink) {
        for (key, _) in self.table.iter() {
            let text = key.get_ref().as_ref();
            if self.asked.contains(&text) {
                continue;
            }
            let help = match word::meant(text, &self.asked) {
                Some(help) => help,
                None => format!("{} takes {}", self.name, word::list(&self.asked)),
            };
            sink.push(
                Diagnostic::error(
                    key.span(),
                    format!("unknown key `{}` in {}", word::shown(text), self.name),
                )
                .label("not a key of this table")
                .help(help),
            );
        }
    }
}

/// One value of the configuration with its key.
pub(crate) struct Entry<'t> {
    key: &'static str,
    key_span: Span,
    span: Span,
    value: &'t DeValue<'t>,
}

impl<'t> Entry<'t> {
    /// The key.
    pub(crate) fn key(&self) -> &'static str {
        self.key
    }

    /// Where the value is; where the key is if the value has no text of its own.
    pub(crate) fn span(&self) -> Span {
        if self.span.is_empty() {
            self.key_span.clone()
        } else {
            self.span.clone()
        }
    }

    /// The parsed value.
    pub(crate) fn value(&self) -> &'t DeValue<'t> {
        self.value
    }

    /// A fault at this value.
    pub(crate) fn error(&self, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(self.span(), message)
    }

    /// A warning at this value.
    pub(crate) fn warning(&self, message: impl Into<String>) -> Diagnostic {
        Diagnostic::warning(self.span(), message)
    }

    /// The fault of a value of another type than `expected`.
    pub(crate) fn wrong_type(&self, expected: &str) -> Diagnostic {
        self.error(format!(
            "`{}` must be {expected}, not {}",
            self.key,
            describe(self.value)
        ))
        .label(format!("expected {expected}"))
    }

    /// An element of this array.
    fn item(&self, item: &'t toml::Spanned<DeValue<'t>>) -> Entry<'t> {
        Entry {
            key: self.key,
            key_span: self.key_span.clone(),
            span: item.span(),
            value: item.get_ref(),
        }
    }

    /// The elements of an array, or the value itself where it is none: `x = "a"` is `x = ["a"]`.
    pub(crate) fn items(&self) -> Vec<Entry<'t>> {
        match self.value {
            DeValue::Array(items) => items.iter().map(|item| self.item(item)).collect(),
            _ => vec![Entry {
                key: self.key,
                key_span: self.key_span.clone(),
                span: self.span.clone(),
                value: self.value,
            }],
        }
    }

    /// A string.
    pub(crate) fn string(&self, sink: &mut Sink) -> Option<At<&'t str>> {
        match self.value {
            DeValue::String(text) => Some(At::new(text.as_ref(), self.span())),
            other => {
                let mut fault = self.wrong_type("a string");
                if let DeValue::Integer(number) = other {
                    fault = fault.help(format!("write it in quotes: `\"{number}\"`"));
                }
                sink.push(fault);
                None
            }
        }
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&self, sink: &mut Sink) -> Option<bool> {
        match self.value {
            DeValue::Boolean(yes) => Some(*yes),
            other => {
                let mut fault = self.wrong_type("`true` or `false`");
                if let DeValue::String(text) = other
                    && matches!(text.as_ref(), "true" | "false")
                {
                    fault = fault.help(format!("write it without quotes: `{text}`"));
                }
                sink.push(fault);
                None
            }
        }
    }

    /// A whole number between two bounds.
    pub(crate) fn number(&self, from: u64, to: u64, sink: &mut Sink) -> Option<At<u64>> {
        let DeValue::Integer(number) = self.value else {
            let mut fault = self.wrong_type("a whole number");
            if let DeValue::String(text) = self.value
                && text.parse::<u64>().is_ok()
            {
                fault = fault.help(format!("write it without quotes: `{text}`"));
            }
            sink.push(fault);
            return None;
        };
        match u64::from_str_radix(number.as_str(), number.radix()) {
            Ok(value) if (from..=to).contains(&value) => Some(At::new(value, self.span())),
            _ => {
                sink.push(
                    self.error(format!("`{}` is out of range: {number}", self.key))
                        .label("out of range")
                        .help(format!("give {from} to {to}")),
                );
                None
            }
        }
    }

    /// One of a set of words.
    pub(crate) fn word<T: Copy>(&self, words: &[(&'static str, T)], sink: &mut Sink) -> Option<T> {
        let names: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        let DeValue::String(text) = self.value else {
            let fault = self.wrong_type("a word in quotes");
            sink.push(fault.help(word::choice(&names)));
            return None;
        };
        let text = text.as_ref();
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let help = match word::closest(text, names.iter().copied()) {
            Some(near) => format!("did you mean `\"{near}\"`?"),
            None => word::choice(&names),
        };
        sink.push(
            self.error(format!("`{}` cannot be `{}`", self.key, word::shown(text)))
                .label("unknown word")
                .help(help),
        );
        None
    }
}

/// What a value is, in words.
fn describe(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}
