//! What a person sees: aligned and coloured on a terminal, plain in a pipe; `--json` for programs.

use crate::failure::{Failure, failed};
use anstyle::{AnsiColor, Style};
use comfy_table::{ContentArrangement, presets};
use serde::Deserialize;
use serde_json::Value;
use std::io::Write;
use switchbook_projections::text::{plain, steers};

/// How to print.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// For people.
    Table,
    /// For programs: one JSON value on standard output.
    Json,
}

/// A view as the server sends it.
#[derive(Debug, Deserialize)]
pub struct View {
    /// For programs.
    #[serde(default)]
    pub data: Value,
    /// For people.
    #[serde(default)]
    pub tables: Vec<Table>,
}

/// A table as the server sends it.
#[derive(Debug, Deserialize)]
pub struct Table {
    /// What it shows.
    pub title: String,
    /// Headings.
    pub columns: Vec<String>,
    /// One text a column.
    pub rows: Vec<Vec<String>>,
    /// What a reader should know besides.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// Prints a line. A reader that has gone (`| head`), or a full disk behind it, is no reason to break off.
macro_rules! tell {
    ($($what:tt)*) => {{
        let _ = writeln!(anstream::stdout(), $($what)*);
    }};
}

/// The same on standard error.
macro_rules! tell_error {
    ($($what:tt)*) => {{
        let _ = writeln!(anstream::stderr(), $($what)*);
    }};
}

const HEAD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const CARE: Style = AnsiColor::Yellow.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// Prints a view.
pub fn view(view: &View, form: Form) {
    if form == Form::Json {
        return json(&view.data);
    }
    for (index, one) in view.tables.iter().enumerate() {
        if index > 0 {
            tell!();
        }
        table(one);
    }
}

/// Prints an answer of the auditor's room: lines, or tables.
pub fn answer(value: &Value) -> Result<(), Failure> {
    if let Some(lines) = value.get("lines").and_then(Value::as_array) {
        for told in lines.iter().filter_map(Value::as_str) {
            line(told);
        }
        return Ok(());
    }
    let shown: View =
        serde_json::from_value(value.clone()).map_err(failed("the answer makes no sense"))?;
    view(&shown, Form::Table);
    Ok(())
}

/// Prints one JSON value.
pub fn json(value: &Value) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => tell!("{}", escaped(&text)),
        Err(error) => failure(&error),
    }
}

/// Prints one table, its notes below.
pub fn table(table: &Table) {
    if !table.title.is_empty() {
        tell!("{HEAD}{}{HEAD:#}", plain(&table.title));
    }
    if !table.rows.is_empty() {
        let mut drawn = comfy_table::Table::new();
        drawn.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        let headed = table.columns.iter().any(|name| !name.is_empty());
        if headed {
            drawn.set_header(table.columns.iter().map(|name| plain(name).to_uppercase()));
        }
        for row in &table.rows {
            drawn.add_row(row.iter().map(|cell| plain(cell)));
        }
        for column in drawn.column_iter_mut() {
            column.set_padding((0, 2));
        }
        for (index, line) in drawn.lines().enumerate() {
            let line = line.trim_end();
            if headed && index == 0 {
                tell!("{DIM}{line}{DIM:#}");
            } else {
                tell!("{line}");
            }
        }
    }
    for line in &table.notes {
        tell!("{DIM}{}{DIM:#}", plain(line));
    }
}

/// Something was done.
pub fn done(text: &str) {
    tell!("{GOOD}✓{GOOD:#} {}", plain(text));
}

/// What was done and is to be told beside the answer, which goes into a file as it is.
pub fn remark(text: &str) {
    tell_error!("{GOOD}✓{GOOD:#} {}", plain(text));
}

/// Something a person should know.
pub fn warning(text: &str) {
    tell_error!("{CARE}!{CARE:#} {}", plain(text));
}

/// A heading between scenes.
pub fn heading(text: &str) {
    tell!("\n{HEAD}{}{HEAD:#}", plain(text));
}

/// A plain line.
pub fn line(text: &str) {
    tell!("{}", plain(text));
}

/// A failure, on standard error.
pub fn failure(error: &dyn std::fmt::Display) {
    tell_error!("{BAD}switchbook:{BAD:#} {}", plain_lines(&error.to_string()));
}

/// JSON as a terminal may have it. What would steer it stands only in strings, where an escape says the same.
fn escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        // All of them are below U+10000.
        if steers(c) && c != '\n' {
            out.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

/// A failure for a program: one JSON object on standard error.
pub fn json_failure(value: &Value) {
    tell_error!("{}", escaped(&value.to_string()));
}

/// Several lines of text from outside.
fn plain_lines(text: &str) -> String {
    text.split('\n').map(plain).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_steers_no_terminal_and_means_the_same() {
        let value =
            serde_json::json!({ "name": "bob\u{202e}ada\u{9b}31m\u{7f}\u{1b}", "ü": ["ä"] });
        let text = escaped(&serde_json::to_string_pretty(&value).unwrap());
        assert!(
            text.contains(r"bob\u202eada\u009b31m\u007f\u001b") && text.contains("\"ä\""),
            "{text}"
        );
        assert!(!text.chars().any(|c| steers(c) && c != '\n'));
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }

    #[test]
    fn a_failure_keeps_its_lines_and_nothing_else_that_steers() {
        assert_eq!(plain_lines("no \u{1b}[2J\u{2067}x\n  advice"), "no ·[2J·x\n  advice");
    }
}
