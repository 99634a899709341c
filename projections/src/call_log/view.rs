//! The call log as people and machines see it: filters, names, a table.

use super::{Call, CallLog, Share, State};
use crate::names::Naming;
use crate::sentence;
use crate::table::Table;
use crate::text;
use crate::text::{Text, When, counted, either};
use chrono_tz::Tz;
use serde::Serialize;
use switchbook_core::call::{Caller, Dialled};
use switchbook_core::device::Origin;
use switchbook_core::id::{CallId, UserId};
use switchbook_core::number::Number;
use switchbook_core::position::Position;
use switchbook_core::user::Language;

/// Which calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Filter {
    /// Of this user: he called, answered, or was rung.
    pub user: Option<UserId>,
    /// Over this number: called with it, dialled, forwarded from or to it.
    pub number: Option<Number>,
    /// Only those missed (by `user`, or by anybody).
    pub missed: Missed,
    /// In progress only, or all.
    pub which: Which,
}

/// Calls in progress only, or all.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Which {
    /// All.
    #[default]
    All,
    /// In progress.
    Open,
}

/// Missed calls only, or all.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Missed {
    /// All.
    #[default]
    Any,
    /// Missed.
    Only,
}

impl Filter {
    fn takes(&self, call: &Call) -> bool {
        let missed = || match self.user {
            Some(user) => call.missed_by(user),
            None => call.shares().any(|(.., share)| share == Share::Missed),
        };
        self.user.is_none_or(|user| call.concerns(user))
            && self.number.is_none_or(|number| has_number(call, number))
            && (self.missed == Missed::Any || missed())
            && (self.which == Which::All || call.end.is_none())
    }
}

fn has_number(call: &Call, number: Number) -> bool {
    matches!(call.caller, Caller::Device { number: Some(with), .. } if with == number)
        || matches!(call.dialled, Dialled::Inside(dialled) if dialled == number)
        || call.hops.iter().any(|hop| hop.from == number || hop.to == number)
}

/// The table.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct CallLogView {
    /// True at this position.
    pub position: Position,
    /// Newest first.
    pub calls: Vec<CallRow>,
    /// Call records the book could not take.
    pub missing: u64,
    #[serde(skip)]
    zone: Tz,
}

/// One call, with names.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct CallRow {
    /// Its id.
    pub call: CallId,
    /// The event that placed it.
    pub placed: Position,
    /// T.
    pub at: When,
    /// Who called.
    pub caller: Text,
    /// The user logged in there.
    pub caller_user: Option<String>,
    /// What was dialled.
    pub dialled: String,
    /// Internal or external.
    pub origin: Origin,
    /// The numbers it was forwarded to, each with why.
    pub path: Vec<Text>,
    /// Where it stands.
    pub state: State,
    /// How it ended.
    pub outcome: Option<Text>,
    /// The phone or number that answered.
    pub answered_by: Option<String>,
    /// Seconds talked.
    pub seconds: Option<i64>,
    /// What it was for each phone that rang.
    pub phones: Vec<PhoneShare>,
}

/// What a call was for one phone.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PhoneShare {
    /// Which.
    pub device: String,
    /// Who was logged in there.
    pub user: Option<String>,
    /// Answered, answered elsewhere, missed.
    pub share: Share,
}

/// The latest calls that pass the filter, at most `limit`.
#[must_use]
pub fn view(
    log: &CallLog,
    names: &dyn Naming,
    zone: Tz,
    filter: Filter,
    limit: usize,
) -> CallLogView {
    let calls = log.calls().filter(|call| filter.takes(call));
    let calls = calls.take(limit).map(|call| row(call, names)).collect();
    CallLogView { position: log.position, calls, missing: log.missing, zone }
}

/// One call with names.
#[must_use]
pub fn row(call: &Call, names: &dyn Naming) -> CallRow {
    let path = call.hops.iter().map(|hop| {
        let to = hop.to;
        match hop.status.map(sentence::status) {
            None => Text::same(format!("→ {to}")),
            Some(Text { en, de }) => text!("→ {to} ({en})", "→ {to} ({de})"),
        }
    });
    let answered_by = call.answered.map(|answer| match (answer.device, answer.number) {
        (Some(device), _) => names.device(device),
        (None, Some(number)) => number.to_string(),
        (None, None) => "outside".into(),
    });
    CallRow {
        call: call.call,
        placed: call.placed,
        at: When(call.at),
        caller: sentence::caller(&call.caller, names),
        caller_user: call.caller_user.map(|user| names.user(user)),
        dialled: sentence::dialled(&call.dialled),
        origin: call.origin,
        path: path.collect(),
        state: call.state(),
        outcome: call.end.as_ref().and_then(|end| end.outcome).map(sentence::outcome),
        answered_by,
        seconds: call.seconds(),
        phones: call
            .shares()
            .map(|(device, user, share)| PhoneShare {
                device: names.device(device),
                user: user.map(|user| names.user(user)),
                share,
            })
            .collect(),
    }
}

impl CallLogView {
    /// For people.
    #[must_use]
    pub fn table(&self, language: Language) -> Table {
        let columns = [
            ("when", "wann"),
            ("from", "von"),
            ("to", "an"),
            ("way", "Weg"),
            ("state", "Stand"),
            ("answered by", "angenommen von"),
            ("talked", "gesprochen"),
            ("missed by", "verpasst von"),
            ("#", "#"),
        ];
        let mut table = Table::of(language, &text!("Calls", "Anrufe"), &columns);
        for row in &self.calls {
            let state = match (row.state, &row.outcome) {
                (State::Ringing, _) => either(language, "ringing", "klingelt"),
                (State::Talking, _) => either(language, "talking", "im Gespräch"),
                (State::Lost, _) => {
                    either(language, "lost: the server stopped", "verloren: der Server hielt an")
                }
                (_, Some(outcome)) => outcome.read(language),
                (_, None) => "",
            };
            let missed = row.phones.iter().filter(|phone| phone.share == Share::Missed);
            let path: Vec<&str> = row.path.iter().map(|hop| hop.read(language)).collect();
            table.row([
                row.at.local(self.zone),
                row.caller.read(language).to_owned(),
                row.dialled.clone(),
                path.join(" "),
                state.into(),
                row.answered_by.clone().unwrap_or_default(),
                row.seconds.map(|seconds| format!("{seconds} s")).unwrap_or_default(),
                missed.map(|phone| phone.device.as_str()).collect::<Vec<_>>().join(", "),
                row.placed.to_string(),
            ]);
        }
        if self.missing > 0 {
            let en = counted(self.missing, "call record is", "call records are");
            let de = counted(self.missing, "Anrufdatensatz fehlt", "Anrufdatensätze fehlen");
            let note = text!(
                "{en} missing: the book could not be written at the time",
                "{de}: Das Buch ließ sich damals nicht schreiben"
            );
            table.note(note.read(language));
        }
        table.as_of(language, self.position);
        table
    }
}
