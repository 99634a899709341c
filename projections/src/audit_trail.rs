//! `audit_trail`: who did what, when, on whose behalf; by object, by actor, by time, by kind.
//!
//! Keeps nothing: it answers from the store's history, page by page, with the names of everything that ever was.

use crate::fold;
use crate::names::{NameBook, Naming, NotFound};
use crate::payload;
use crate::sentence;
use crate::table::Table;
use crate::text::{Text, When};
use chrono_tz::Tz;
use serde::Serialize;
use std::collections::VecDeque;
use switchbook_core::envelope::{Actor, Envelope, Recorded, Subject};
use switchbook_core::event::Event;
use switchbook_core::id::{CommandId, CorrelationId, DeviceId, ScheduleId, UserId};
use switchbook_core::position::{Moment, Position};
use switchbook_core::user::Language;
use switchbook_journal::{EventReader, ReadError};

/// What is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Query {
    /// Only what concerns this object.
    pub subject: Option<Subject>,
    /// Only what this actor did.
    pub actor: Option<By>,
    /// Not recorded before.
    pub from: Option<Moment>,
    /// Not recorded after.
    pub to: Option<Moment>,
    /// Only events of these names; all when empty.
    pub kinds: Vec<String>,
    /// Only of this thread: a command and everything it led to.
    pub correlation: Option<CorrelationId>,
    /// Behind this position; for the next page, the last one's [`Page::next`].
    pub after: Position,
    /// Up to this position: as of then.
    pub up_to: Option<Position>,
    /// Which first.
    pub order: Order,
    /// At most so many.
    pub limit: usize,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            subject: None,
            actor: None,
            from: None,
            to: None,
            kinds: Vec::new(),
            correlation: None,
            after: Position::START,
            up_to: None,
            order: Order::OldestFirst,
            limit: 200,
        }
    }
}

/// Which entries come first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Order {
    /// As in the book; pages go on with [`Page::next`].
    #[default]
    OldestFirst,
    /// The latest entries, newest first; one page goes on with `up_to` set below its last entry.
    NewestFirst,
}

/// Whose deeds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum By {
    /// The server itself.
    System,
    /// The local console.
    Supervisor,
    /// This person: as administrator, user or auditor, or somebody on his behalf.
    User(UserId),
    /// This phone.
    Phone(DeviceId),
    /// This schedule.
    Schedule(ScheduleId),
}

impl By {
    /// `system`, `console`, `user:ada`, `device:desk-1`, `schedule:ID`.
    ///
    /// # Errors
    /// [`NotFound`], with what to do.
    pub fn parse(text: &str, names: &NameBook) -> Result<Self, NotFound> {
        match text {
            "system" => return Ok(Self::System),
            "console" | "supervisor" => return Ok(Self::Supervisor),
            _ => {}
        }
        match names.find(text)? {
            Subject::User(user) => Ok(Self::User(user)),
            Subject::Device(device) => Ok(Self::Phone(device)),
            Subject::Schedule(schedule) => Ok(Self::Schedule(schedule)),
            _ => Err(NotFound::Form(text.into())),
        }
    }

    fn is(self, envelope: &Envelope) -> bool {
        match (self, envelope.actor) {
            (Self::System, Actor::System) | (Self::Supervisor, Actor::Supervisor { .. }) => true,
            (Self::User(user), Actor::Admin(by) | Actor::User(by) | Actor::Auditor(by))
                if user == by =>
            {
                true
            }
            (Self::User(user), _) => envelope.on_behalf_of == Some(user),
            (Self::Phone(device), Actor::Phone(by)) => device == by,
            (Self::Schedule(schedule), Actor::Schedule(by)) => schedule == by,
            _ => false,
        }
    }
}

/// A name that no kind of event has.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "there is no kind of event named `{0}`: kinds are named as in the history and in docs/journal-format.md, such as ScheduleAdded"
)]
pub struct NotAKind(pub String);

impl NotAKind {
    /// For people.
    #[must_use]
    pub fn text(&self) -> Text {
        let name = &self.0;
        let de = format!(
            "es gibt keine Art von Ereignis namens `{name}`: Arten heißen wie in der Historie und in docs/journal-format.md, etwa ScheduleAdded"
        );
        Text { en: self.to_string(), de }
    }
}

/// The exact name of a kind of event, however it was typed (`schedule-added`, `scheduleadded`).
///
/// # Errors
/// [`NotAKind`].
pub fn kind(text: &str) -> Result<&'static str, NotAKind> {
    let plain = |text: &str| -> String {
        text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
    };
    let wanted = plain(text);
    Event::REGISTER
        .iter()
        .map(|(_, _, name)| *name)
        .find(|name| plain(name) == wanted)
        .ok_or_else(|| NotAKind(text.into()))
}

/// One line of the trail, for people and machines.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Entry {
    /// Where it stands.
    pub position: Position,
    /// When it was recorded.
    pub recorded_at: When,
    /// The moment the decision was made at.
    pub moment: When,
    /// The event's name.
    pub kind: &'static str,
    /// What happened.
    pub line: Text,
    /// Who, and on whose behalf.
    pub by: Text,
    /// Who, for machines.
    pub actor: Actor,
    /// Whose rights were used.
    pub on_behalf_of: Option<UserId>,
    /// Where the command came from, `[erased]` when its key is gone; none for the console and the server itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The event that led to it.
    pub cause: Option<Position>,
    /// The thread it belongs to.
    pub correlation: CorrelationId,
    /// The command it came from.
    pub command: CommandId,
    /// What it concerns.
    pub subjects: Vec<String>,
    /// The payload, personal values clear or `[erased]`.
    pub event: serde_json::Value,
}

/// One event as an entry.
#[must_use]
pub fn entry(recorded: &Recorded, names: &dyn Naming, zone: Tz) -> Entry {
    let envelope = &recorded.envelope;
    Entry {
        position: envelope.position,
        recorded_at: When(envelope.recorded_at),
        moment: When(envelope.moment),
        kind: recorded.event.name(),
        line: sentence::event(&recorded.event, names, zone),
        by: names.maker(envelope),
        actor: envelope.actor,
        on_behalf_of: envelope.on_behalf_of,
        source: envelope.source.as_ref().map(ToString::to_string),
        cause: envelope.cause,
        correlation: envelope.correlation,
        command: envelope.command,
        subjects: envelope.subjects.iter().map(|subject| names.subject(*subject)).collect(),
        event: payload::readable(&recorded.event),
    }
}

/// A page of the trail.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Page {
    /// What was found.
    pub entries: Vec<Entry>,
    /// Where the next page goes on; none when there is no more. A page may have fewer entries than asked for, and
    /// still a next one: no page reads more than [`MOST_READ`] records.
    pub next: Option<Position>,
    #[serde(skip)]
    zone: Tz,
}

/// So many records are read for one page at most, so that a rare kind does not hold everybody up.
pub const MOST_READ: usize = 200_000;

/// Answers a query.
///
/// # Errors
/// The reader's.
pub async fn page(
    reader: &dyn EventReader,
    names: &NameBook,
    zone: Tz,
    query: &Query,
) -> Result<Page, ReadError> {
    let end = query.up_to.unwrap_or(Position(u64::MAX)).min(reader.tail());
    let first = match query.from {
        Some(from) => fold::position_at(reader, Moment(from.0.saturating_sub(1))).await?.next(),
        None => Position(1),
    };
    let first = first.max(query.after.next());
    let found = match query.order {
        Order::OldestFirst => forward(reader, query, first, end).await?,
        Order::NewestFirst => backward(reader, query, first, end).await?,
    };
    let entries = found.0.iter().map(|recorded| entry(recorded, names, zone)).collect();
    Ok(Page { entries, next: found.1, zone })
}

fn takes(query: &Query, recorded: &Recorded) -> bool {
    let Recorded { envelope, event } = recorded;
    query.subject.is_none_or(|subject| envelope.subjects.contains(&subject))
        && query.actor.is_none_or(|by| by.is(envelope))
        && query.from.is_none_or(|from| envelope.recorded_at >= from)
        && query.to.is_none_or(|to| envelope.recorded_at <= to)
        && query.correlation.is_none_or(|thread| envelope.correlation == thread)
        && (query.kinds.is_empty() || query.kinds.iter().any(|kind| kind == event.name()))
}

async fn batch(
    reader: &dyn EventReader,
    query: &Query,
    from: Position,
    limit: usize,
) -> Result<Vec<Recorded>, ReadError> {
    match query.subject {
        Some(subject) => reader.history(subject, from, limit).await,
        None => reader.read(from, limit).await,
    }
}

async fn forward(
    reader: &dyn EventReader,
    query: &Query,
    first: Position,
    end: Position,
) -> Result<(Vec<Recorded>, Option<Position>), ReadError> {
    let (mut found, mut next, mut read) = (Vec::new(), first, 0);
    while next <= end {
        let records = batch(reader, query, next, fold::BATCH).await?;
        if records.is_empty() {
            break;
        }
        for recorded in records {
            let at = recorded.envelope.position;
            let late = query.to.is_some_and(|to| recorded.envelope.recorded_at > to);
            if at > end || late {
                return Ok((found, None));
            }
            if found.len() == query.limit || read == MOST_READ {
                return Ok((found, Some(Position(at.0.saturating_sub(1)))));
            }
            read += 1;
            next = at.next();
            if takes(query, &recorded) {
                found.push(recorded);
            }
        }
        tokio::task::yield_now().await;
    }
    Ok((found, None))
}

async fn backward(
    reader: &dyn EventReader,
    query: &Query,
    first: Position,
    end: Position,
) -> Result<(Vec<Recorded>, Option<Position>), ReadError> {
    let mut found: VecDeque<Recorded> = VecDeque::new();
    if query.subject.is_some() {
        // An object's history is short; it can only be read forwards, and its end is kept.
        let mut next = first;
        loop {
            let records = batch(reader, query, next, fold::BATCH).await?;
            let Some(last) = records.last() else { break };
            next = last.envelope.position.next();
            let wanted = records
                .into_iter()
                .filter(|recorded| recorded.envelope.position <= end && takes(query, recorded));
            found.extend(wanted);
            found.drain(..found.len().saturating_sub(query.limit));
            if next > end {
                break;
            }
        }
        return Ok((found.into_iter().rev().collect(), None));
    }
    let (mut beyond, mut read, mut newest_first) = (end.next(), 0, Vec::new());
    while beyond > first && newest_first.len() < query.limit && read < MOST_READ {
        let from = Position(beyond.0.saturating_sub(fold::BATCH as u64)).max(first);
        let width = usize::try_from(beyond.0 - from.0).unwrap_or(fold::BATCH);
        let records = reader.read(from, width).await?;
        read += width;
        let wanted = records
            .into_iter()
            .rev()
            .filter(|recorded| recorded.envelope.position < beyond && takes(query, recorded));
        newest_first.extend(wanted);
        beyond = from;
        tokio::task::yield_now().await;
    }
    newest_first.truncate(query.limit);
    Ok((newest_first, None))
}

impl Page {
    /// For people, in one language.
    #[must_use]
    pub fn table(&self, language: Language) -> Table {
        let columns = match language {
            Language::English => ["#", "when", "who", "what"],
            Language::German => ["#", "wann", "wer", "was"],
        };
        let mut table = Table::new("", &columns);
        for entry in &self.entries {
            table.row([
                entry.position.to_string(),
                entry.recorded_at.local(self.zone),
                entry.by.read(language).to_owned(),
                entry.line.read(language).to_owned(),
            ]);
        }
        if let Some(next) = self.next {
            table.note(match language {
                Language::English => format!("there is more: go on after {next}"),
                Language::German => format!("es gibt mehr: weiter nach {next}"),
            });
        }
        table
    }
}
