//! `audit what-if`: commands on a past or present state, decided as the Desk would, and folded; nothing is appended.

use crate::as_of::{self, At};
use crate::diff::{changed, differing};
use crate::error::ReplayError;
use crate::facts::{english, english_if, facts, value};
use serde::Serialize;
use std::collections::BTreeMap;
use switchbook_commands::secret::{NewSecret, check_form};
use switchbook_commands::{Command, Context, NoCalls, NoLeases, Order, Refusal, decide};
use switchbook_core::envelope::{Actor, Envelope, Recorded};
use switchbook_core::event::Event;
use switchbook_core::exchange::Exchange;
use switchbook_core::id::{CommandId, CorrelationId, SecretId};
use switchbook_core::position::{Moment, Position};
use switchbook_core::user::{Language, SecretRef};
use switchbook_journal::EventReader;
use switchbook_projections::fold;
use switchbook_projections::names::{NameBook, Naming};
use switchbook_projections::sentence;
use switchbook_projections::snapshot::Open;
use switchbook_projections::text;
use switchbook_projections::text::Text;
use uuid::Uuid;

/// What would have happened.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct WhatIf {
    /// The state the commands were tried on.
    pub position: Position,
    /// The moment they were decided for.
    pub moment: Moment,
    /// Events they would lead to, in order, with the line of the command, from 1.
    pub events: Vec<Would>,
    /// What the sender would be told besides.
    pub warnings: Vec<Text>,
    /// Facts that would be others: object, field, before, after.
    pub changes: Vec<Change>,
    /// The command that would be refused; then nothing of all this would happen.
    pub refused: Option<Refused>,
}

/// An event that would be recorded.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Would {
    /// The line of its command.
    pub line: usize,
    /// Its name.
    pub kind: &'static str,
    /// What it says.
    pub says: Text,
}

/// A fact that would be another.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Change {
    /// `user:ada`
    pub object: String,
    /// Which, English for programs.
    #[serde(serialize_with = "english")]
    pub field: Text,
    /// Now.
    #[serde(serialize_with = "english_if")]
    pub before: Option<Text>,
    /// Then.
    #[serde(serialize_with = "english_if")]
    pub after: Option<Text>,
}

/// A refusal.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Refused {
    /// The line of the command.
    pub line: usize,
    /// Its stable code.
    pub code: String,
    /// In words.
    pub why: Text,
}

/// Ids that would be made: recognisable as none that ever was.
const IDS: u128 = 0x7776_6861_7469_6600_0000_0000_0000_0000;

/// Tries commands as the console would give them, each seeing the effect of those before it.
///
/// # Errors
/// As [`as_of::position`].
pub async fn what_if(
    reader: &dyn EventReader,
    commands: Vec<Command>,
    at: At,
    open: Open<'_>,
) -> Result<WhatIf, ReplayError> {
    let position = as_of::position(reader, at).await?;
    let (before, moment) = as_of::seen(reader, at, open).await?;
    let mut names = fold::names_at(reader, position, open).await?;
    let zone = as_of::zone(reader).await?;
    let mut trial = Trial { after: before.clone(), moment, ids: 0 };
    let mut out = WhatIf {
        position,
        moment,
        events: Vec::new(),
        warnings: Vec::new(),
        changes: Vec::new(),
        refused: None,
    };
    for (index, command) in commands.into_iter().enumerate() {
        let line = index + 1;
        match trial.carry_out(command, &mut names) {
            Ok((events, warnings)) => {
                out.warnings.extend(warnings);
                for event in events {
                    let says = sentence::event(&event, &names, zone);
                    out.events.push(Would { line, kind: event.name(), says });
                }
            }
            Err(refusal) => {
                let (code, why) = (refusal.code.as_str().into(), both(|l| refusal.sentence(l)));
                out.refused = Some(Refused { line, code, why });
                break;
            }
        }
    }
    if out.refused.is_none() {
        out.changes = changes(&before, &trial.after, &names);
    }
    Ok(out)
}

fn both(sentence: impl Fn(Language) -> String) -> Text {
    Text { en: sentence(Language::English), de: sentence(Language::German) }
}

/// The state as it would be.
struct Trial {
    after: Exchange,
    moment: Moment,
    ids: u128,
}

impl Trial {
    fn new_id(&mut self) -> Uuid {
        self.ids += 1;
        Uuid::from_u128(IDS + self.ids)
    }

    fn carry_out(
        &mut self,
        mut command: Command,
        names: &mut NameBook,
    ) -> Result<(Vec<Event>, Vec<Text>), Refusal> {
        // A secret is looked at for its form, and nobody keeps it.
        let mut formed = Ok(());
        let stored = SecretRef { id: SecretId(self.new_id()), version: 1 };
        command.each_secret(&mut |secret, usage| {
            if let NewSecret::Clear(clear) = &*secret {
                let fits = check_form(clear, &usage);
                formed = std::mem::replace(&mut formed, Ok(())).and(fits);
                *secret = NewSecret::Stored(stored);
            }
        });
        formed?;
        let actor = Actor::Supervisor { uid: 0 };
        let order = Order::new(CommandId(self.new_id()), actor, command);
        let mut ids = self.ids;
        let mut new_id = || {
            ids += 1;
            Uuid::from_u128(IDS + ids)
        };
        let mut context =
            Context { now: self.moment, new_id: &mut new_id, calls: &NoCalls, leases: &NoLeases };
        let decision = decide(&self.after, &order, &mut context)?;
        self.ids = ids;
        for event in &decision.events {
            let envelope = Envelope {
                position: self.after.position.next(),
                recorded_at: self.after.recorded_at.max(self.moment),
                moment: self.moment,
                actor,
                on_behalf_of: None,
                source: None,
                cause: None,
                correlation: CorrelationId(order.id.0),
                command: order.id,
                subjects: event.subjects(),
            };
            let recorded = Recorded { envelope, event: event.clone() };
            self.after.evolve(&recorded);
            names.apply(&recorded);
        }
        let warnings = decision.warnings.iter().map(|warning| both(|l| warning.sentence(l)));
        Ok((decision.events, warnings.collect()))
    }
}

fn changes(before: &Exchange, after: &Exchange, names: &NameBook) -> Vec<Change> {
    let mut changes = Vec::new();
    for subject in differing(before, after, &BTreeMap::new()) {
        let (old, new) = (facts(before, subject, names), facts(after, subject, names));
        for (field, before, after, _) in changed(&old, &new) {
            changes.push(Change { object: names.subject(subject), field, before, after });
        }
    }
    changes
}

impl WhatIf {
    /// For people.
    #[must_use]
    pub fn lines(&self, language: Language) -> Vec<String> {
        let (position, moment) = (self.position, self.moment);
        let mut lines = vec![text!(
            "tried on the book up to {position}, for {moment}; nothing is recorded",
            "versucht am Buch bis {position}, für {moment}; nichts wird aufgezeichnet"
        )];
        for would in &self.events {
            let (line, en, de) = (would.line, &would.says.en, &would.says.de);
            lines.push(text!("line {line}: {en}", "Zeile {line}: {de}"));
        }
        for warning in &self.warnings {
            let (en, de) = (&warning.en, &warning.de);
            lines.push(text!("! {en}", "! {de}"));
        }
        for Change { object, field, before, after } in &self.changes {
            let told = |language| {
                let (before, after) =
                    (value(before.as_ref(), language), value(after.as_ref(), language));
                format!("{object}  {}: {before} → {after}", field.read(language))
            };
            lines.push(both(told));
        }
        match &self.refused {
            Some(refused) => {
                let (line, code) = (refused.line, &refused.code);
                let (en, de) = (&refused.why.en, &refused.why.de);
                lines.push(text!(
                    "line {line} would be refused, and nothing of all this done: {code}: {en}",
                    "Zeile {line} würde abgewiesen und nichts davon ausgeführt: {code}: {de}"
                ));
            }
            None if self.events.is_empty() => {
                lines.push(text!("nothing would change", "nichts würde sich ändern"));
            }
            None => {}
        }
        lines.into_iter().map(|line| line.read(language).to_owned()).collect()
    }
}
