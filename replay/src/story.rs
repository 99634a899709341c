//! `audit story`: one call as a story, in order: who called, what was decided and why, what then happened and when.

use crate::as_of;
use crate::error::ReplayError;
use crate::explain::{Options, explain};
use crate::source::dative;
use serde::Serialize;
use switchbook_core::id::CallId;
use switchbook_core::position::{Moment, Position};
use switchbook_core::user::Language;
use switchbook_journal::EventReader;
use switchbook_projections::snapshot::Open;
use switchbook_projections::text;
use switchbook_projections::text::{Text, When};

/// A call as a story.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Story {
    /// Which call.
    pub call: CallId,
    /// In order.
    pub moments: Vec<Told>,
}

/// One sentence of it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Told {
    /// When.
    pub at: When,
    /// Seconds since the call was placed.
    pub seconds: f64,
    /// The event that says so; none for what was decided.
    pub position: Option<Position>,
    /// What happened.
    pub line: Text,
}

/// Tells the story of a call.
///
/// # Errors
/// As [`explain`].
pub async fn story(
    reader: &dyn EventReader,
    call: CallId,
    open: Open<'_>,
) -> Result<Story, ReplayError> {
    let known = explain(reader, call, &Options::default(), open).await?;
    let (began, zone) = (known.at, as_of::zone(reader).await?);
    let mut moments = Vec::new();
    let mut tell = |at: When, position, line| {
        let seconds = (at.0.0.saturating_sub(began.0.0)) as f64 / 1e6;
        moments.push(Told { at, seconds, position, line });
    };
    let (caller, dialled, when) = (&known.caller, &known.dialled, began.local(zone));
    let (en, de) = (&caller.en, &caller.de);
    let line = text!("{when}: {en} called {dialled}", "{when}: {de} rief {dialled} an");
    tell(began, Some(known.placed), line);
    let mut followed = known.steps.iter();
    if let Some(first) = followed.next() {
        let (en, de) = (&first.does.en, &first.does.de);
        tell(began, None, text!("it was decided: {en}", "es wurde entschieden: {de}"));
        for why in &first.because {
            let (en, de) = (&why.says.en, &why.says.de);
            let mut line = text!("because {en}", "weil: {de}");
            if let Some(source) = &why.source {
                let (at, by) = (source.position, &source.by);
                let (when, en, de) = (source.at.local(zone), &by.en, dative(&by.de));
                line.push(&text!(" (set by {en} on {when}, {at})", " (von {de} am {when}, {at})"));
            }
            tell(began, None, line);
        }
    }
    for entry in &known.happened {
        // What was recorded late happened when it happened.
        let happened = entry.event.as_object().and_then(|event| {
            let moment = ["answered_at", "ended_at"].iter().find_map(|name| event.get(*name));
            moment?.as_i64().map(|micros| When(Moment(micros)))
        });
        let at = happened.unwrap_or(entry.moment);
        tell(at, Some(entry.position), entry.line.clone());
    }
    Ok(Story { call, moments })
}

impl Story {
    /// For people.
    #[must_use]
    pub fn lines(&self, language: Language) -> Vec<String> {
        let line = |told: &Told| {
            let at = told.position.map(|position| position.to_string()).unwrap_or_default();
            format!("{at:<7} {:>9.3} s  {}", told.seconds, told.line.read(language))
        };
        self.moments.iter().map(line).collect()
    }
}
