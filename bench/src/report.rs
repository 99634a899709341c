//! What was measured, for people and for programs.

use serde_json::{Map, Value};

/// A table: one line a measurement.
#[derive(Debug, Default)]
pub struct Report {
    title: String,
    columns: Vec<&'static str>,
    rows: Vec<Vec<Value>>,
    notes: Vec<String>,
}

impl Report {
    /// An empty table.
    #[must_use]
    pub fn new(title: impl Into<String>, columns: &[&'static str]) -> Self {
        Self { title: title.into(), columns: columns.to_vec(), ..Self::default() }
    }

    /// Adds a line.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Value>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Adds a remark.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// As JSON on one line, or in columns.
    pub fn print(&self, json: bool) {
        if json { println!("{}", self.json()) } else { println!("{}", self.text()) }
    }

    fn json(&self) -> Value {
        let named = |row: &Vec<Value>| {
            let cells = self.columns.iter().zip(row);
            Value::Object(cells.map(|(name, cell)| ((*name).into(), cell.clone())).collect())
        };
        let mut all = Map::new();
        all.insert("title".into(), self.title.clone().into());
        all.insert("rows".into(), self.rows.iter().map(named).collect());
        all.insert("notes".into(), self.notes.clone().into());
        Value::Object(all)
    }

    fn text(&self) -> String {
        let written = |cell: &Value| match cell {
            Value::String(text) => text.clone(),
            Value::Number(number) if number.is_f64() => {
                format!("{:.2}", number.as_f64().unwrap_or(0.0))
            }
            Value::Null => String::new(),
            other => other.to_string(),
        };
        let head: Vec<String> = self.columns.iter().map(|name| (*name).to_owned()).collect();
        let rows: Vec<Vec<String>> =
            self.rows.iter().map(|row| row.iter().map(written).collect()).collect();
        let width = |column: usize| {
            let cells = std::iter::once(&head).chain(&rows).filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..head.len()).map(width).collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
                // Names to the left, figures to the right.
                if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        let mut out = vec![self.title.clone(), line(&head)];
        out.extend(rows.iter().map(line));
        out.extend(self.notes.iter().cloned());
        out.join("\n")
    }
}

/// Milliseconds.
#[must_use]
pub fn ms(duration: std::time::Duration) -> Value {
    ((duration.as_secs_f64() * 1e5).round() / 1e2).into()
}
