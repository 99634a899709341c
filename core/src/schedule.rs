//! Schedules (Zeitsteuerung): which profile a number uses when (behaviour.md 1.8, F-5, F-6, X-16).
//!
//! What a schedule means at T is computed from its definition by [`window`]; the fired edge is recorded besides, for
//! lamps, lists and auditors.

pub mod window;

use crate::envelope::{Envelope, Subject};
use crate::event::{Evolve, nothing_personal};
use crate::exchange::{Exchange, edit};
use crate::id::{ProfileId, ScheduleId};
use crate::number::Number;
use crate::position::{Moment, Position};
use chrono::NaiveDateTime;
use serde::{Deserialize, Serialize};

/// Minutes since midnight on the wall clock, 0 to 1440 (1440: the end of the day).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Minute(pub u16);

/// Days of the week as bits: Monday is bit 0, Sunday bit 6.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Days(pub u8);

impl Days {
    /// Is this day (0 = Monday) one of them?
    #[must_use]
    pub const fn has(self, day: u32) -> bool {
        day < 7 && self.0 >> day & 1 == 1
    }
}

/// When a schedule is in force, on the wall clock of the number's zone (F-6). Half-open: [from, to).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Pattern {
    /// Every week on these days; `to` at or before `from` means the next day.
    Weekly {
        /// The days a window begins on.
        days: Days,
        /// Begins.
        from: Minute,
        /// Ends.
        to: Minute,
    },
    /// Once.
    Dated {
        /// Begins.
        from: NaiveDateTime,
        /// Ends.
        to: NaiveDateTime,
    },
}

/// Which of two schedules in force at once counts: the higher. Equal ones may not overlap (F-5).
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Priority(pub u8);

/// A schedule entry as it is now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Schedule {
    /// For this number.
    pub number: Number,
    /// This profile.
    pub profile: ProfileId,
    /// At these times.
    pub pattern: Pattern,
    /// Against overlapping ones.
    pub priority: Priority,
    /// The event that made it.
    pub at: Position,
    /// When it was made: no edge before counts as missed.
    pub made_at: Moment,
}

/// The edges of a window.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Edge {
    /// The window begins.
    Begins,
    /// The window ends.
    Ends,
}

/// A schedule entry was added.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ScheduleAdded {
    /// Its id.
    pub schedule: ScheduleId,
    /// For this number.
    pub number: Number,
    /// This profile.
    pub profile: ProfileId,
    /// At these times.
    pub pattern: Pattern,
    /// Against overlapping ones.
    pub priority: Priority,
}

/// Version 1 of [`ScheduleAdded`]: before schedules had priorities, all were equal.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ScheduleAddedV1 {
    /// Its id.
    pub schedule: ScheduleId,
    /// For this number.
    pub number: Number,
    /// This profile.
    pub profile: ProfileId,
    /// At these times.
    pub pattern: Pattern,
}

impl From<ScheduleAddedV1> for ScheduleAdded {
    fn from(old: ScheduleAddedV1) -> Self {
        Self {
            schedule: old.schedule,
            number: old.number,
            profile: old.profile,
            pattern: old.pattern,
            priority: Priority::default(),
        }
    }
}

/// A schedule entry was removed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ScheduleRemoved {
    /// Which.
    pub schedule: ScheduleId,
    /// Its number.
    pub number: Number,
}

/// The edge of a schedule's window came; once for each schedule and due time.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ScheduleFired {
    /// Which.
    pub schedule: ScheduleId,
    /// Its number.
    pub number: Number,
    /// Its profile.
    pub profile: ProfileId,
    /// Which edge.
    pub edge: Edge,
    /// When it was due.
    pub due: Moment,
    /// Offset from UTC at that moment, in seconds east.
    pub utc_offset: i32,
    /// The time-zone data this was computed with.
    pub tz_data: String,
    /// Recorded late, since the server was down when it was due.
    pub late: bool,
}

/// More edges than are worth an event each were missed while the server was down (way 5).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ScheduleEdgesMissed {
    /// After this moment.
    pub after: Moment,
    /// Up to and with this one.
    pub until: Moment,
    /// So many edges.
    pub edges: u64,
}

nothing_personal!(ScheduleAdded, ScheduleRemoved, ScheduleFired, ScheduleEdgesMissed);

impl Evolve for ScheduleAdded {
    fn subjects(&self, out: &mut Vec<Subject>) {
        let (schedule, number) = (Subject::Schedule(self.schedule), Subject::Number(self.number));
        out.extend([schedule, number, Subject::Profile(self.profile)]);
    }

    fn evolve(&self, exchange: &mut Exchange, envelope: &Envelope) {
        let schedule = Schedule {
            number: self.number,
            profile: self.profile,
            pattern: self.pattern,
            priority: self.priority,
            at: envelope.position,
            made_at: envelope.recorded_at,
        };
        exchange.schedules.insert(self.schedule, schedule.into());
        edit(&mut exchange.numbers, &self.number, |number| number.schedules.push(self.schedule));
    }
}

impl Evolve for ScheduleRemoved {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.extend([Subject::Schedule(self.schedule), Subject::Number(self.number)]);
    }

    fn evolve(&self, exchange: &mut Exchange, _: &Envelope) {
        exchange.schedules.remove(&self.schedule);
        edit(&mut exchange.numbers, &self.number, |number| {
            number.schedules.retain(|id| *id != self.schedule);
        });
    }
}

impl Evolve for ScheduleFired {
    fn subjects(&self, out: &mut Vec<Subject>) {
        let (schedule, number) = (Subject::Schedule(self.schedule), Subject::Number(self.number));
        out.extend([schedule, number, Subject::Profile(self.profile)]);
    }

    fn evolve(&self, exchange: &mut Exchange, _: &Envelope) {
        exchange.edges_until = exchange.edges_until.max(self.due);
    }
}

impl Evolve for ScheduleEdgesMissed {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.push(Subject::Exchange);
    }

    fn evolve(&self, exchange: &mut Exchange, _: &Envelope) {
        exchange.edges_until = exchange.edges_until.max(self.until);
    }
}
