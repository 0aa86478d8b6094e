//! How results for people look: emphasis, and tables with a rule below their header.

use std::fmt;
use std::ops::{Deref, DerefMut};

use comfy_table::{Attribute, Cell, CellAlignment, LineStyle, TableStyle};

use crate::config::grouped;
use crate::foreign::plain;

/// A rule below the header and nothing else.
const RULED: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// A table whose lines end with what is in them: the blanks that fill up the last column are left
/// out.
pub(crate) struct Table(comfy_table::Table);

impl Table {
    /// An empty table of that style.
    pub(crate) fn new(style: TableStyle) -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(style);
        Table(table)
    }
}

impl Deref for Table {
    type Target = comfy_table::Table;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Table {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.lines().map(|it| without_end(&it)).collect();
        f.write_str(&lines.join("\n"))
    }
}

/// The line without the blanks at its end, those before and between escape sequences included.
fn without_end(line: &str) -> String {
    let mut escapes = Vec::new();
    let mut line = line.trim_end();
    while let Some(at) = line.rfind('\x1b')
        && line[at..].find('m') == Some(line.len() - at - 1)
    {
        escapes.push(&line[at..]);
        line = line[..at].trim_end();
    }
    escapes.push(line);
    escapes.into_iter().rev().collect()
}

/// Whether escape sequences may be used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint {
    pub(crate) colored: bool,
}

impl Paint {
    pub(crate) fn bold(self, text: &str) -> String {
        self.escape(text, "1")
    }

    /// Bold and in a colour, by its number among those of a terminal (31 is red).
    pub(crate) fn color(self, text: &str, code: u8) -> String {
        self.escape(text, &format!("1;{code}"))
    }

    fn escape(self, text: &str, how: &str) -> String {
        match self.colored {
            true => format!("\x1b[{how}m{text}\x1b[0m"),
            false => text.into(),
        }
    }

    /// A table without a header.
    pub(crate) fn bare_table(self) -> Table {
        let mut table = Table::new(RULED);
        match self.colored {
            true => table.enforce_styling(),
            false => table.force_no_tty(),
        };
        table
    }

    /// A table of numbers, with names in its first column.
    pub(crate) fn table(self, header: &[&str]) -> Table {
        let mut table = self.bare_table();
        let header = header.iter().enumerate().map(|(at, text)| {
            let cell = Cell::new(text).add_attribute(Attribute::Bold);
            match at {
                0 => cell,
                _ => cell.set_alignment(CellAlignment::Right),
            }
        });
        table.set_header(header);
        table
    }
}

/// A cell with text that is not the program's own.
pub(crate) fn foreign(text: &str) -> Cell {
    Cell::new(plain(text))
}

/// A cell of a column of numbers.
pub(crate) fn right(text: impl Into<String>) -> Cell {
    Cell::new(text.into()).set_alignment(CellAlignment::Right)
}

/// A count, in groups of three digits.
pub(crate) fn number(value: u64) -> Cell {
    right(grouped(value.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_of_a_table_ends_with_blanks() {
        for colored in [false, true] {
            let mut table = Paint { colored }.table(&["what", "how much, in words"]);
            table.add_row([Cell::new("one"), Cell::new("a")]);
            table.add_row([
                Cell::new("two"),
                Cell::new("").add_attribute(Attribute::Bold),
            ]);
            table.add_row([
                Cell::new("three"),
                Cell::new("b").add_attribute(Attribute::Bold),
            ]);
            let text = table.to_string();
            assert_eq!(text.contains('\x1b'), colored);
            let mut visible = text.clone();
            while let Some(at) = visible.find('\x1b') {
                let end = at + visible[at..].find('m').unwrap();
                visible.replace_range(at..=end, "");
            }
            assert_eq!(visible.lines().count(), 5, "{text}");
            assert!(visible.lines().all(|it| it.trim_end() == it), "{text:?}");
            assert!(
                visible.contains(" one     a\n two\n three   b"),
                "{visible}"
            );
        }
    }
}
