//! Records as lines of aligned columns, and facts in two columns.
//!
//! Decides how wide a column is and what an empty cell looks like. Which columns there are is
//! decided by the commands; printing is `say.rs`.
//!
//! **Invariant:** one record is one line of as many cells as there are columns, none of them empty,
//! so that what stands in the third column is the third thing, whoever reads it.

use std::fmt::{Display, Write as _};

use unicode_width::UnicodeWidthStr as _;

use crate::say;

/// What stands where there is nothing to say.
const NOTHING: &str = "-";

/// Between two columns.
const GAP: &str = "  ";

/// Records of `N` columns.
#[derive(Debug)]
pub(crate) struct Table<const N: usize> {
    header: [&'static str; N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// Without a record; the header names the columns.
    pub(crate) fn new(header: [&'static str; N]) -> Self {
        Self {
            header,
            rows: Vec::new(),
        }
    }

    /// Adds a record.
    pub(crate) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(|cell| shown(&cell)));
    }

    /// Whether there is no record.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The records as lines. A header only stands above them where a person reads: to a program it
    /// would be one more record.
    pub(crate) fn to_text(&self, with_header: bool) -> String {
        let header = self.header.map(str::to_owned);
        let lines: Vec<_> = with_header
            .then_some(&header)
            .into_iter()
            .chain(&self.rows)
            .collect();
        let mut widths = [0; N];
        for line in &lines {
            for (width, cell) in widths.iter_mut().zip(line.iter()) {
                *width = (*width).max(cell.width());
            }
        }
        let mut text = String::new();
        for line in lines {
            text.push_str(aligned(line, &widths).trim_end());
            text.push('\n');
        }
        text
    }
}

/// Facts: a name, and what stands behind it.
#[derive(Debug, Default)]
pub(crate) struct Facts(Vec<(&'static str, String)>);

impl Facts {
    /// Adds one.
    pub(crate) fn row(&mut self, name: &'static str, value: &dyn Display) {
        self.0.push((name, shown(&value.to_string())));
    }

    /// Adds one line for each value; the name stands before the first. Where there is no value it
    /// says so.
    pub(crate) fn rows(&mut self, name: &'static str, values: impl IntoIterator<Item = String>) {
        let mut name = name;
        for value in values {
            self.row(name, &value);
            name = "";
        }
        if !name.is_empty() {
            self.row(name, &"none");
        }
    }

    /// All of them as lines.
    pub(crate) fn to_text(&self) -> String {
        let width = self.0.iter().map(|(name, _)| name.width()).max();
        let width = width.unwrap_or(0);
        let mut text = String::new();
        for (name, value) in &self.0 {
            writeln!(text, "{name:width$}{GAP}{value}").expect("a String takes all writes");
        }
        text
    }
}

/// A cell as a terminal may see it: on one line, and never empty.
fn shown(cell: &str) -> String {
    if cell.is_empty() {
        return NOTHING.to_owned();
    }
    // A tab would move what stands behind it to a place of its own.
    say::clean_line(cell).replace('\t', " ")
}

fn aligned<const N: usize>(line: &[String; N], widths: &[usize; N]) -> String {
    let mut text = String::new();
    for (cell, width) in line.iter().zip(widths) {
        text.push_str(cell);
        // `{:width$}` counts letters; what a terminal needs are its own columns.
        let missing = width.saturating_sub(cell.width());
        text.push_str(&" ".repeat(missing));
        text.push_str(GAP);
    }
    text
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn table(rows: &[[&str; 3]]) -> Table<3> {
        let mut table = Table::new(["NAME", "TRAFFIC", "URL"]);
        for row in rows {
            table.row(row.map(str::to_owned));
        }
        table
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_on_a_terminal() {
        let table = table(&[
            ["checkout", "r8=10 r7=90", "http://a"],
            ["発注", "r1", "http://b"],
            ["c", "", "http://c"],
        ]);
        assert_snapshot!(table.to_text(true), @r"
        NAME      TRAFFIC      URL
        checkout  r8=10 r7=90  http://a
        発注      r1           http://b
        c         -            http://c
        ");
        assert!(table.to_text(false).starts_with("checkout"));
    }

    #[test]
    fn a_cell_stays_on_its_line_and_moves_no_cursor() {
        let table = table(&[["a\nb", "\x1b[2J\tx", "\u{202e}c"]]);
        assert_snapshot!(table.to_text(false), @"a�b  �[2J x  �c");
    }

    #[test]
    fn facts_stand_behind_their_names() {
        let mut facts = Facts::default();
        facts.row("url", &"http://a");
        facts.rows("routes", ["GET /a".to_owned(), "GET /b".to_owned()]);
        facts.rows("secrets", []);
        facts.row("message", &"");
        assert_snapshot!(facts.to_text(), @r"
        url      http://a
        routes   GET /a
                 GET /b
        secrets  none
        message  -
        ");
    }
}
