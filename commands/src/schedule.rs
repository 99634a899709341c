//! Commands about schedules (F-3, F-5, F-6), and the server's own: a window's edge came.

use crate::command::Decide;
use crate::draft::Draft;
use crate::forwarding::of_the_owner;
use crate::lookup;
use crate::loops;
use crate::pattern::Written;
use crate::refusal::{Refusal, RefusalCode};
use crate::wire::{ProfileRef, ScheduleRef};
use serde::Deserialize;
use switchbook_core::envelope::Subject;
use switchbook_core::id::ScheduleId;
use switchbook_core::number::Number;
use switchbook_core::position::Moment;
use switchbook_core::schedule::window::{TZ_DATA, overlap, utc_offset, zone_of};
use switchbook_core::schedule::{
    Edge, Priority, ScheduleAdded, ScheduleEdgesMissed, ScheduleFired, ScheduleRemoved,
};

/// Adds a schedule entry: this profile for this number at these times.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Add {
    /// For which number.
    pub number: Number,
    /// One of its owner's profiles (F-2).
    pub profile: ProfileRef,
    /// When.
    pub pattern: Written,
    /// Against overlapping ones; the higher goes before.
    #[serde(default)]
    pub priority: u8,
}

impl Decide for Add {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let (number, pattern, priority) = (self.number, self.pattern.0, Priority(self.priority));
        let profile = lookup::profile(draft.exchange(), &self.profile)?;
        of_the_owner(draft.exchange(), number, profile)?;
        let present = &lookup::number(draft.exchange(), number)?.schedules;
        let clash = present.iter().find(|id| {
            draft.exchange().schedules.get(*id).is_some_and(|other| {
                other.priority == priority && overlap(&other.pattern, &pattern)
            })
        });
        if let Some(&other) = clash {
            return Err(Refusal::new(RefusalCode::ScheduleOverlap)
                .with("schedule", other)
                .with("number", number)
                .about(Subject::Number(number))
                .about(Subject::Schedule(other)));
        }
        let schedule = ScheduleId(draft.new_id());
        draft.tell(ScheduleAdded { schedule, number, profile, pattern, priority });
        loops::check(draft.exchange(), number, draft.now())
    }
}

/// Removes a schedule entry.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remove {
    /// Which.
    pub schedule: ScheduleRef,
}

impl Decide for Remove {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let (schedule, state) = lookup::schedule(draft.exchange(), &self.schedule)?;
        let number = state.number;
        draft.tell_last(ScheduleRemoved { schedule, number });
        Ok(())
    }
}

/// A window's edge came. Edges before the last recorded one are recorded already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fire {
    /// Whose edge.
    pub schedule: ScheduleId,
    /// Which edge.
    pub edge: Edge,
    /// When it was due.
    pub due: Moment,
    /// Whether the server was down then.
    pub late: Lateness,
}

/// Was an edge recorded when it came?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lateness {
    /// Yes.
    InTime,
    /// The server was down.
    Late,
}

impl Decide for Fire {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let exchange = draft.exchange();
        // Removed since it was computed, or recorded already: nothing to tell.
        let Some(state) = exchange.schedules.get(&self.schedule) else { return Ok(()) };
        if self.due < exchange.edges_until || self.due <= state.made_at {
            return Ok(());
        }
        let fired = ScheduleFired {
            schedule: self.schedule,
            number: state.number,
            profile: state.profile,
            edge: self.edge,
            due: self.due,
            utc_offset: utc_offset(zone_of(exchange, state.number), self.due),
            tz_data: TZ_DATA.into(),
            late: self.late == Lateness::Late,
        };
        draft.tell_last(fired);
        Ok(())
    }
}

/// So many edges were missed that they are summed up (way 5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Missed {
    /// After this moment.
    pub after: Moment,
    /// Up to and with this one.
    pub until: Moment,
    /// So many.
    pub edges: u64,
}

impl Decide for Missed {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let (after, until, edges) = (self.after, self.until, self.edges);
        draft.tell_last(ScheduleEdgesMissed { after, until, edges });
        Ok(())
    }
}
