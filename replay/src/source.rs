//! Where a fact comes from: the event, its maker, when, through which command, on whose behalf, and what led to it.

use crate::error::ReplayError;
use chrono_tz::Tz;
use serde::Serialize;
use switchbook_core::id::CommandId;
use switchbook_core::position::Position;
use switchbook_core::user::Language;
use switchbook_journal::EventReader;
use switchbook_projections::audit_trail::{self, Entry};
use switchbook_projections::text::{Text, When};
use switchbook_projections::{Naming, text};

/// One event as the origin of a fact.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Source {
    /// Where it stands.
    pub position: Position,
    /// The event's name.
    pub kind: &'static str,
    /// What happened.
    pub line: Text,
    /// Who, and on whose behalf.
    pub by: Text,
    /// When.
    pub at: When,
    /// The command it came from.
    pub command: CommandId,
    /// What led to it, nearest first (causation, habit 7).
    pub causes: Vec<Source>,
}

/// A chain of causes longer than this is cut: a book that was tampered with may hold a circle.
const DEEPEST: usize = 16;

/// The event at `position` with everything that led to it; none when nothing stands there.
///
/// # Errors
/// The reader's.
pub async fn source(
    reader: &dyn EventReader,
    position: Position,
    names: &dyn Naming,
    zone: Tz,
) -> Result<Option<Source>, ReplayError> {
    let mut chain: Vec<Source> = Vec::new();
    let mut next = Some(position);
    while let Some(position) = next.filter(|position| *position > Position::START) {
        if chain.len() == DEEPEST || chain.iter().any(|known| known.position == position) {
            break;
        }
        let records = reader.read(position, 1).await?;
        let Some(recorded) = records.first().filter(|one| one.envelope.position == position) else {
            break;
        };
        next = recorded.envelope.cause;
        chain.push(of(&audit_trail::entry(recorded, names, zone)));
    }
    if chain.is_empty() {
        return Ok(None);
    }
    let mut first = chain.remove(0);
    first.causes = chain;
    Ok(Some(first))
}

fn of(entry: &Entry) -> Source {
    Source {
        position: entry.position,
        kind: entry.kind,
        line: entry.line.clone(),
        by: entry.by.clone(),
        at: entry.recorded_at,
        command: entry.command,
        causes: Vec::new(),
    }
}

/// A maker behind "durch": only the masculine article changes.
fn accusative(nominative: &str) -> String {
    match nominative.strip_prefix("der ") {
        Some(rest) => format!("den {rest}"),
        None => nominative.to_owned(),
    }
}

/// A maker behind "von".
pub(crate) fn dative(nominative: &str) -> String {
    match nominative.split_once(' ') {
        Some(("der" | "das", rest)) => format!("dem {rest}"),
        Some(("die", rest)) => format!("der {rest}"),
        _ => nominative.to_owned(),
    }
}

impl Source {
    /// For people: the event, and a line for each cause.
    #[must_use]
    pub fn lines(&self, zone: Tz, language: Language) -> Vec<String> {
        let one = |source: &Self, led: &str| {
            let (position, when) = (source.position, source.at.local(zone));
            let (by, line, kind) = (&source.by, &source.line, source.kind);
            let command = source.command;
            let (en, de) = (&by.en, accusative(&by.de));
            let (what, was) = (&line.en, &line.de);
            let text = text!(
                "{led}{position} {kind}: {what} — by {en}, {when}, command {command}",
                "{led}{position} {kind}: {was} — durch {de}, {when}, Befehl {command}"
            );
            text.read(language).to_owned()
        };
        let because = match language {
            Language::English => "caused by ",
            Language::German => "ausgelöst durch ",
        };
        let causes = self.causes.iter().map(|cause| one(cause, because));
        std::iter::once(one(self, "")).chain(causes).collect()
    }
}
