//! What a person sees: aligned and coloured on a terminal, plain in a pipe; `--json` for programs.

use crate::failure::{Failure, failed};
use anstyle::{AnsiColor, Style};
use comfy_table::{ContentArrangement, presets};
use serde::Deserialize;
use serde_json::Value;
use std::io::Write;

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
    pub data: Value,
    /// For people.
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
        Ok(text) => tell!("{text}"),
        Err(error) => failure(&error),
    }
}

/// Prints one table, its notes below.
pub fn table(table: &Table) {
    if !table.title.is_empty() {
        tell!("{HEAD}{}{HEAD:#}", clean(&table.title));
    }
    if !table.rows.is_empty() {
        let mut drawn = comfy_table::Table::new();
        drawn.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        let headed = table.columns.iter().any(|name| !name.is_empty());
        if headed {
            drawn.set_header(table.columns.iter().map(|name| name.to_uppercase()));
        }
        for row in &table.rows {
            drawn.add_row(row.iter().map(|cell| clean(cell)));
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
        tell!("{DIM}{}{DIM:#}", clean(line));
    }
}

/// Something was done.
pub fn done(text: &str) {
    tell!("{GOOD}✓{GOOD:#} {}", clean(text));
}

/// Something a person should know.
pub fn warning(text: &str) {
    tell_error!("{CARE}!{CARE:#} {}", clean(text));
}

/// A heading between scenes.
pub fn heading(text: &str) {
    tell!("\n{HEAD}{text}{HEAD:#}");
}

/// A plain line.
pub fn line(text: &str) {
    tell!("{}", clean(text));
}

/// A failure, on standard error.
pub fn failure(error: &dyn std::fmt::Display) {
    tell_error!("{BAD}switchbook:{BAD:#} {error}");
}

/// Text from outside shall not steer a terminal.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '·' } else { c }).collect()
}
