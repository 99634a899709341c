//! Questions of auditors, answered the same way from the segments alone or by the running server.

use crate::console::protocol::{For, Language};
use crate::console::views;
use crate::failure::{Failure, failed};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use switchbook_core::position::Position;
use switchbook_journal::EventReader;
use switchbook_projections::audit_trail::Order;
use switchbook_projections::registrar::BookOnly;
use switchbook_projections::snapshot::Open;
use switchbook_projections::text;
use switchbook_replay::{
    At, Options, ReplayError, Request, StoredPlan, as_of, explain, person, story, what_if, why,
};

/// What an auditor asks.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case", deny_unknown_fields)]
pub enum Question {
    /// The events of an object, an actor, a stretch of time, a kind.
    History {
        /// `number:100`, `device:p1`, …; everything when none.
        object: Option<String>,
        /// Whose commands.
        by: Option<String>,
        /// From here on.
        from: Option<String>,
        /// Up to here.
        to: Option<String>,
        /// Names of events.
        kinds: Vec<String>,
        /// Behind this position.
        after: u64,
        /// Newest first.
        newest: bool,
        /// At most so many.
        limit: usize,
    },
    /// One event in full.
    Show {
        /// Where it stands.
        position: u64,
    },
    /// A view as of then.
    AsOf {
        /// A position or a moment.
        when: String,
        /// Its name (`matrix.show`).
        view: String,
        /// Its arguments.
        arguments: Map<String, Value>,
    },
    /// What differs between two places in time.
    Diff {
        /// One.
        one: String,
        /// The other.
        other: String,
    },
    /// Which event set a field of an object.
    Why {
        /// `number:100`
        object: String,
        /// Its name, perhaps shortened; all fields without one.
        field: Option<String>,
        /// As of then; now when none.
        when: Option<String>,
    },
    /// What commands would lead to.
    WhatIf {
        /// As in a file for `apply`.
        commands: Vec<Value>,
        /// On the state of then; now when none.
        when: Option<String>,
    },
    /// A call as a story.
    Story {
        /// Its id, the position of its CallPlaced, or `last`.
        call: String,
    },
    /// Everything about one person.
    Export {
        /// Log-in name, also a former one, or id.
        user: String,
    },
    /// Why a call went where it went.
    Explain {
        /// Its id, the position of its CallPlaced, or `last`.
        call: String,
        /// Compute from the book alone.
        withhold_plan: bool,
        /// Leave these events out.
        without: Vec<u64>,
    },
}

impl Question {
    /// The name it has in the book when personal fields are opened for it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::History { .. } => "audit history",
            Self::Show { .. } => "audit show",
            Self::AsOf { .. } => "audit as-of",
            Self::Diff { .. } => "audit diff",
            Self::Explain { .. } => "audit explain",
            Self::Export { .. } => "person export",
            Self::Why { .. } => "audit why",
            Self::WhatIf { .. } => "audit what-if",
            Self::Story { .. } => "audit story",
        }
    }
}

fn told(error: &ReplayError) -> Failure {
    Failure::new(error.text())
}

fn at(text: &str) -> Result<At, Failure> {
    text.parse().map_err(|error: ReplayError| told(&error))
}

fn lines(data: &impl Serialize, lines: &[String]) -> Result<Value, Failure> {
    let broken = |error| Failure::new(format!("the answer cannot be written: {error}"));
    Ok(json!({ "data": serde_json::to_value(data).map_err(broken)?, "lines": lines }))
}

/// Answers a question from a book; `open` opens personal fields, or nothing.
pub async fn answer(
    book: &dyn EventReader,
    open: Open<'_>,
    question: &Question,
    language: Language,
) -> Result<Value, Failure> {
    match question {
        Question::History { .. } => history(book, open, question, language).await,
        Question::Show { position } => {
            let shown = switchbook_replay::show(book, Position(*position), open).await;
            let shown = shown.map_err(|error| told(&error))?;
            lines(&shown, &shown.lines(language.into()))
        }
        Question::AsOf { when, view, arguments } => {
            let when = at(when)?;
            let position = as_of::position(book, when).await.map_err(|error| told(&error))?;
            let moment = as_of::moment(book, when).await.map_err(|error| told(&error))?;
            let tables = views::tables(view, book, position, open).await;
            let tables = tables.map_err(|error| Failure::new(error.to_string()))?;
            let at = moment.unwrap_or(tables.exchange.recorded_at);
            let seen = views::Seen { tables: &tables, refreshes: &BookOnly, at, today: None };
            let shown = views::show(&seen, view, arguments, For::Both, language)?;
            serde_json::from_str(&shown).map_err(failed("the view cannot be read back"))
        }
        Question::Diff { one, other } => {
            let found = switchbook_replay::diff(book, at(one)?, at(other)?, open).await;
            let found = found.map_err(|error| told(&error))?;
            lines(&found, &found.lines(language.into()))
        }
        Question::Why { object, field, when } => {
            let when = when.as_deref().map(at).transpose()?.unwrap_or_default();
            let found = why::why(book, object, field.as_deref(), when, open).await;
            let found = found.map_err(|error| told(&error))?;
            lines(&found, &found.lines(language.into()))
        }
        Question::WhatIf { commands, when } => {
            let when = when.as_deref().map(at).transpose()?.unwrap_or_default();
            let read = |(line, command): (usize, &Value)| {
                serde_json::from_value(command.clone())
                    .map_err(|error| Failure::new(format!("line {}: {error}", line + 1)))
            };
            let commands = commands.iter().enumerate().map(read).collect::<Result<Vec<_>, _>>()?;
            let found = what_if::what_if(book, commands, when, open).await;
            let found = found.map_err(|error| told(&error))?;
            lines(&found, &found.lines(language.into()))
        }
        Question::Story { call } => {
            let call = call_named(book, open, call).await?;
            let found = story::story(book, call, open).await.map_err(|error| told(&error))?;
            lines(&found, &found.lines(language.into()))
        }
        Question::Export { user } => {
            let user = person::find(book, user, open).await.map_err(|error| told(&error))?;
            let all = person::export(book, user, open).await.map_err(|error| told(&error))?;
            lines(&all, &all.lines(language.into()))
        }
        Question::Explain { call, withhold_plan, without } => {
            let call = call_named(book, open, call).await?;
            let stored_plan =
                if *withhold_plan { StoredPlan::Withheld } else { StoredPlan::Compared };
            let without = without.iter().copied().map(Position).collect();
            let options = Options { stored_plan, without };
            let told_all = explain::explain(book, call, &options, open).await;
            let told_all = told_all.map_err(|error| told(&error))?;
            lines(&told_all, &told_all.lines(language.into()))
        }
    }
}

async fn history(
    book: &dyn EventReader,
    open: Open<'_>,
    question: &Question,
    language: Language,
) -> Result<Value, Failure> {
    let Question::History { object, by, from, to, kinds, after, newest, limit } = question else {
        return Err(Failure::new("that is no question about history"));
    };
    let request = Request {
        object: object.clone(),
        by: by.clone(),
        from: from.as_deref().map(at).transpose()?,
        to: to.as_deref().map(at).transpose()?,
        kinds: kinds.clone(),
        after: Position(*after),
        order: if *newest { Order::NewestFirst } else { Order::OldestFirst },
        limit: *limit,
        ..Request::default()
    };
    let page = switchbook_replay::history(book, &request, open).await;
    let page = page.map_err(|error| told(&error))?;
    let broken = |error| Failure::new(format!("the answer cannot be written: {error}"));
    let data = serde_json::to_value(&page).map_err(broken)?;
    Ok(json!({ "data": data, "tables": [page.table(language.into())] }))
}

/// A call by its id, the position of its CallPlaced, or `last`.
async fn call_named(
    book: &dyn EventReader,
    open: Open<'_>,
    name: &str,
) -> Result<switchbook_core::id::CallId, Failure> {
    if let Ok(call) = name.parse() {
        return Ok(call);
    }
    let position = match name.strip_prefix('#').unwrap_or(name).parse() {
        Ok(position) => Position(position),
        Err(_) if name == "last" => last_call(book, open).await?,
        Err(_) => {
            return Err(Failure::new(text!(
                "`{name}` names no call",
                "`{name}` benennt keinen Ruf"
            ))
            .advice(text!(
                "Give its id, the position of its CallPlaced (#123), or last.",
                "Nennen Sie seine Id, die Position seines CallPlaced (#123) oder last."
            )));
        }
    };
    explain::call_at(book, position).await.map_err(|error| told(&error))
}

async fn last_call(book: &dyn EventReader, open: Open<'_>) -> Result<Position, Failure> {
    let request = Request {
        kinds: vec!["CallPlaced".into()],
        order: Order::NewestFirst,
        limit: 1,
        ..Request::default()
    };
    let page = switchbook_replay::history(book, &request, open).await;
    let page = page.map_err(|error| told(&error))?;
    let last = page.entries.first().map(|entry| entry.position);
    last.ok_or_else(|| {
        Failure::new(text!("the book has no call yet", "das Buch hat noch keinen Ruf"))
    })
}
