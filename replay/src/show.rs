//! `audit show`: one event in full, with its envelope, the names as of then, and its payload.

use crate::as_of;
use crate::error::ReplayError;
use crate::source::{Source, source};
use chrono_tz::Tz;
use serde::Serialize;
use switchbook_core::envelope::{Actor, Recorded};
use switchbook_core::position::Position;
use switchbook_core::user::Language;
use switchbook_journal::EventReader;
use switchbook_projections::audit_trail::{self, Entry};
use switchbook_projections::fold;
use switchbook_projections::snapshot::Open;

/// An event in full.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Shown {
    /// The event.
    #[serde(flatten)]
    pub entry: Entry,
    /// Its stable tag and the version it is read as.
    pub tag: (u16, u8),
    /// The other events of the same command: in the book whole or not at all.
    pub same_command: Vec<Position>,
    /// What led to it, nearest first.
    pub causes: Vec<Source>,
    #[serde(skip)]
    zone: Tz,
}

/// The event at `position`.
///
/// # Errors
/// [`ReplayError::NotYet`] behind the end of the book; else the reader's.
pub async fn show(
    reader: &dyn EventReader,
    position: Position,
    open: Open<'_>,
) -> Result<Shown, ReplayError> {
    let tail = reader.tail();
    let records = reader.read(position, 1).await?;
    let Some(recorded) = records.first().filter(|one| one.envelope.position == position) else {
        return Err(ReplayError::NotYet { position, tail });
    };
    let names = fold::names_at(reader, position, open).await?;
    let zone = as_of::zone(reader).await?;
    let causes = source(reader, position, &names, zone).await?;
    Ok(Shown {
        entry: audit_trail::entry(recorded, &names, zone),
        tag: (recorded.event.tag(), recorded.event.version()),
        same_command: same_command(reader, recorded).await?,
        causes: causes.map(|source| source.causes).unwrap_or_default(),
        zone,
    })
}

/// A command's events stand side by side.
async fn same_command(
    reader: &dyn EventReader,
    recorded: &Recorded,
) -> Result<Vec<Position>, ReplayError> {
    const AROUND: usize = 64;
    let (here, command) = (recorded.envelope.position, recorded.envelope.command);
    let from = Position(here.0.saturating_sub(AROUND as u64).max(1));
    let records = reader.read(from, 2 * AROUND).await?;
    let same = records.iter().filter(|one| one.envelope.command == command);
    Ok(same.map(|one| one.envelope.position).filter(|position| *position != here).collect())
}

impl Shown {
    /// For people.
    #[must_use]
    pub fn lines(&self, language: Language) -> Vec<String> {
        let entry = &self.entry;
        let words = match language {
            Language::English => [
                "recorded",
                "decided",
                "by",
                "on behalf of",
                "from",
                "about",
                "command",
                "thread",
                "same command",
                "machine form",
            ],
            Language::German => [
                "aufgezeichnet",
                "entschieden",
                "durch",
                "im Namen von",
                "von",
                "betrifft",
                "Befehl",
                "Vorgang",
                "derselbe Befehl",
                "Maschinenform",
            ],
        };
        let [recorded, decided, by, behalf, from, about, command, thread, same, machine] = words;
        let (tag, version) = self.tag;
        let mut lines = vec![
            format!("{} {} (tag {tag:#06x}, version {version})", entry.position, entry.kind),
            entry.line.read(language).to_owned(),
            format!("{recorded}: {} ({})", entry.recorded_at.local(self.zone), entry.recorded_at),
            format!("{decided}: {}", entry.moment),
            format!("{by}: {} [{}]", entry.by.read(language), actor_form(entry.actor)),
        ];
        if let Some(user) = entry.on_behalf_of {
            lines.push(format!("{behalf}: {user}"));
        }
        if let Some(source) = &entry.source {
            lines.push(format!("{from}: {source}"));
        }
        lines.push(format!("{about}: {}", entry.subjects.join(", ")));
        lines.push(format!("{command}: {}", entry.command));
        lines.push(format!("{thread}: {}", entry.correlation));
        if !self.same_command.is_empty() {
            let positions: Vec<String> =
                self.same_command.iter().map(ToString::to_string).collect();
            lines.push(format!("{same}: {}", positions.join(" ")));
        }
        for cause in &self.causes {
            lines.extend(cause.lines(self.zone, language));
        }
        lines.push(format!("{machine}:"));
        let pretty = serde_json::to_string_pretty(&entry.event).unwrap_or_default();
        lines.extend(pretty.lines().map(|line| format!("  {line}")));
        lines
    }
}

fn actor_form(actor: Actor) -> String {
    serde_json::to_string(&actor).unwrap_or_default()
}
