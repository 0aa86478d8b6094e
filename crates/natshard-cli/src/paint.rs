//! How results for people look: emphasis, and tables with a rule below their header.

use comfy_table::{Attribute, Cell, CellAlignment, LineStyle, Table, TableStyle};

use crate::config::grouped;
use crate::foreign::plain;

/// A rule below the header and nothing else.
const RULED: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

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
        let mut table = Table::new();
        table.load_style(RULED);
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
