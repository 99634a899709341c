//! `schedules`: every entry, whether its window is in force at T, and its next edge (F-5, F-6, X-16).

use crate::names::Naming;
use crate::table::Table;
use crate::text;
use crate::text::{Text, When, either};
use chrono_tz::Tz;
use serde::Serialize;
use switchbook_core::exchange::Exchange;
use switchbook_core::id::{ScheduleId, UserId};
use switchbook_core::number::Number;
use switchbook_core::position::{Moment, Position};
use switchbook_core::routing::profile;
use switchbook_core::schedule::window::{self, TZ_DATA};
use switchbook_core::schedule::{Edge, Minute, Pattern, Priority};
use switchbook_core::user::Language;

/// The table.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct SchedulesView {
    /// True at this position.
    pub position: Position,
    /// And this moment.
    pub at: When,
    /// One row an entry: by number, then by the order they were made.
    pub schedules: Vec<ScheduleRow>,
    /// Time-zone data the edges were computed with.
    pub tz_data: &'static str,
}

/// One entry.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ScheduleRow {
    /// Its id.
    pub schedule: ScheduleId,
    /// For this number.
    pub number: Number,
    /// Whose number.
    pub owner: Option<String>,
    /// Which profile.
    pub profile: String,
    /// When.
    pub pattern: Pattern,
    /// When, in words.
    pub when: Text,
    /// On the wall clock of this zone (F-6).
    pub zone: Tz,
    /// Against overlapping ones.
    pub priority: Priority,
    /// The event that made it.
    pub set_at: Position,
    /// When it was made.
    pub made_at: When,
    /// T lies in its window.
    pub in_window: bool,
    /// And it decides: no entry of higher priority and no choice by hand stands before it.
    pub in_force: bool,
    /// The first edge after T.
    pub next: Option<NextEdge>,
}

/// An edge to come.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct NextEdge {
    /// When.
    pub due: When,
    /// Begins or ends.
    pub edge: Edge,
}

/// The entries at T: all, or those of one number or user.
#[must_use]
pub fn view(exchange: &Exchange, at: Moment, which: Which) -> SchedulesView {
    let mut schedules: Vec<ScheduleRow> = exchange
        .schedules
        .keys()
        .filter_map(|id| row(exchange, *id, at))
        .filter(|row| match which {
            Which::All => true,
            Which::Number(number) => row.number == number,
            Which::User(user) => {
                exchange.numbers.get(&row.number).is_some_and(|n| n.owner.value == user)
            }
        })
        .collect();
    schedules.sort_by_key(|row| (row.number, row.set_at));
    SchedulesView { position: exchange.position, at: When(at), schedules, tz_data: TZ_DATA }
}

/// Whose entries.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Which {
    /// Everybody's.
    #[default]
    All,
    /// Of this number.
    Number(Number),
    /// Of this user's numbers.
    User(UserId),
}

/// One entry at T; none when there is none of this id.
#[must_use]
pub fn row(exchange: &Exchange, schedule: ScheduleId, at: Moment) -> Option<ScheduleRow> {
    let entry = exchange.schedules.get(&schedule)?;
    let zone = window::zone_of(exchange, entry.number);
    let owner = exchange.numbers.get(&entry.number).map(|number| number.owner.value);
    let decides = profile::in_force(exchange, entry.number, at).because.is_some_and(|(says, _)| {
        matches!(says, switchbook_core::routing::plan::Says::Schedule { schedule: id, .. } if id == schedule)
    });
    Some(ScheduleRow {
        schedule,
        number: entry.number,
        owner: owner.map(|user| exchange.user(user)),
        profile: exchange.profile(entry.profile),
        pattern: entry.pattern,
        when: pattern(&entry.pattern),
        zone,
        priority: entry.priority,
        set_at: entry.at,
        made_at: When(entry.made_at),
        in_window: window::in_force(&entry.pattern, zone, at).is_some(),
        in_force: decides,
        next: window::next_edge(&entry.pattern, zone, at)
            .map(|(due, edge)| NextEdge { due: When(due), edge }),
    })
}

/// A pattern in words: `Mon–Fri 12:00–13:00`.
#[must_use]
pub fn pattern(pattern: &Pattern) -> Text {
    match pattern {
        Pattern::Weekly { days, from, to } => {
            let (from, to) = (clock(*from), clock(*to));
            let names = |names: [&'static str; 7]| -> String {
                let chosen = (0u32..7).zip(names).filter(|(day, _)| days.has(*day));
                chosen.map(|(_, name)| name).collect::<Vec<_>>().join(" ")
            };
            let every = days.0 & 0x7f == 0x7f;
            let en = names(["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]);
            let de = names(["Mo", "Di", "Mi", "Do", "Fr", "Sa", "So"]);
            if every {
                text!("every day {from}–{to}", "täglich {from}–{to}")
            } else {
                text!("{en} {from}–{to}", "{de} {from}–{to}")
            }
        }
        Pattern::Dated { from, to } => {
            let (from, to) = (from.format("%Y-%m-%d %H:%M"), to.format("%Y-%m-%d %H:%M"));
            text!("once, {from} to {to}", "einmal, {from} bis {to}")
        }
    }
}

fn clock(minute: Minute) -> String {
    format!("{:02}:{:02}", minute.0 / 60, minute.0 % 60)
}

/// `begins` or `ends`.
#[must_use]
pub fn edge_word(edge: Edge) -> Text {
    match edge {
        Edge::Begins => text!("begins", "beginnt"),
        Edge::Ends => text!("ends", "endet"),
    }
}

impl SchedulesView {
    /// For people.
    #[must_use]
    pub fn table(&self, language: Language) -> Table {
        let columns = [
            ("number", "Rufnummer"),
            ("owner", "Besitzer"),
            ("profile", "Profil"),
            ("when", "wann"),
            ("zone", "Zone"),
            ("priority", "Vorrang"),
            ("now", "jetzt"),
            ("next edge", "nächster Schaltzeitpunkt"),
            ("set", "gesetzt"),
            ("schedule", "Zeitsteuerung"),
        ];
        let mut table = Table::of(language, &text!("Schedules", "Zeitsteuerungen"), &columns);
        for row in &self.schedules {
            let now = match (row.in_window, row.in_force) {
                (true, true) => either(language, "in force", "in Kraft"),
                (true, false) => either(language, "overridden", "verdrängt"),
                (false, _) => "",
            };
            let next = row.next.map(|next| {
                let edge = edge_word(next.edge);
                format!("{} {}", edge.read(language), next.due.local(row.zone))
            });
            table.row([
                row.number.to_string(),
                row.owner.clone().unwrap_or_default(),
                row.profile.clone(),
                row.when.read(language).to_owned(),
                row.zone.to_string(),
                row.priority.0.to_string(),
                now.into(),
                next.unwrap_or_default(),
                row.set_at.to_string(),
                row.schedule.to_string(),
            ]);
        }
        let (position, at, data) = (self.position, self.at, self.tz_data);
        let note = text!(
            "as of {position}, {at}; time-zone data {data}",
            "nach dem Stand von {position}, {at}; Zeitzonendaten {data}"
        );
        table.note(note.read(language));
        table
    }
}
