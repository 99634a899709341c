//! The neutral form of every view: a title, columns, rows, notes. Whoever prints it decides on colours.

use crate::text;
use crate::text::{Text, either, plain};
use serde::Serialize;
use std::fmt;
use switchbook_core::fact::Fact;
use switchbook_core::position::Position;
use switchbook_core::user::Language;

/// A table for people.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Table {
    /// What it shows.
    pub title: String,
    /// Headings.
    pub columns: Vec<&'static str>,
    /// One text a column.
    pub rows: Vec<Vec<String>>,
    /// What a reader should know besides.
    pub notes: Vec<String>,
}

impl Table {
    /// An empty table.
    #[must_use]
    pub fn new(title: impl Into<String>, columns: &[&'static str]) -> Self {
        Self { title: title.into(), columns: columns.to_vec(), ..Self::default() }
    }

    /// An empty table in one language: each heading in English and German.
    #[must_use]
    pub fn of(language: Language, title: &Text, columns: &[(&'static str, &'static str)]) -> Self {
        let columns = columns.iter().map(|(en, de)| either(language, en, de)).collect();
        Self { title: title.read(language).to_owned(), columns, ..Self::default() }
    }

    /// Notes which place in the book it shows.
    pub(crate) fn as_of(&mut self, language: Language, position: Position) {
        self.note(text!("as of {position}", "nach dem Stand von {position}").read(language));
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Adds a note.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }
}

/// A value with its provenance, as one cell: `yes #12` (architecture.md way 8).
pub(crate) fn fact<T: fmt::Display>(fact: &Fact<T>) -> String {
    format!("{} {}", fact.value, fact.at)
}

/// An optional value as one cell.
pub(crate) fn maybe<T: fmt::Display>(value: Option<&T>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}

/// Aligned columns of plain text, two spaces between.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.title.is_empty() {
            writeln!(f, "{}", plain(&self.title))?;
        }
        let rows: Vec<Vec<String>> =
            self.rows.iter().map(|row| row.iter().map(|cell| plain(cell)).collect()).collect();
        let width = |column: usize| {
            let heading = self.columns.get(column).map_or(0, |name| name.chars().count());
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0).max(heading)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let line = |cells: Vec<&str>| {
            let padded: Vec<String> = cells
                .iter()
                .zip(&widths)
                .map(|(cell, width)| {
                    format!("{cell}{}", " ".repeat(width.saturating_sub(cell.chars().count())))
                })
                .collect();
            padded.join("  ").trim_end().to_owned()
        };
        if !self.columns.is_empty() {
            writeln!(f, "{}", line(self.columns.clone()))?;
        }
        for row in &rows {
            writeln!(f, "{}", line(row.iter().map(String::as_str).collect()))?;
        }
        if rows.is_empty() && !self.columns.is_empty() {
            writeln!(f, "(none)")?;
        }
        for note in &self.notes {
            writeln!(f, "note: {}", plain(note))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_control_characters_shown_as_dots() {
        let mut table = Table::new("devices", &["name", "user"]);
        table.row(["desk-1".into(), "ada".into()]);
        table.row(["x\u{1b}[2J".into(), "jürgen".into()]);
        table.row(["bob\u{202e}ada".into(), "\u{2066}x\u{2069}".into()]);
        table.note("as of #3");
        expect_test::expect![[r#"
            devices
            name     user
            desk-1   ada
            x·[2J    jürgen
            bob·ada  ·x·
            note: as of #3
        "#]]
        .assert_eq(&table.to_string());
    }
}
