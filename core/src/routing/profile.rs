//! Which forwarding profile is in force for a number at T (F-5): computed from the definitions, never from whether an
//! edge was processed in time.

use super::plan::{Reason, Says};
use crate::exchange::Exchange;
use crate::forwarding::{Profile, Reach};
use crate::id::ProfileId;
use crate::number::Number;
use crate::position::{Moment, Position};
use crate::schedule::Schedule;
use crate::schedule::window::{self, Window};
use std::sync::Arc;

/// The profile in force, and what made it so.
#[derive(Clone, PartialEq, Debug)]
pub struct InForce {
    /// The profile; none when no profile is in force.
    pub profile: Option<(ProfileId, Arc<Profile>)>,
    /// What made it so; none when nothing was ever set.
    pub because: Option<(Says, Position)>,
}

impl InForce {
    pub(crate) fn reasons(&self) -> impl Iterator<Item = Reason> + '_ {
        self.because.iter().map(|(says, at)| Reason::new("F-5", says.clone(), Some(*at)))
    }
}

/// The schedule entry of a number whose window holds T: the one of highest priority, then the oldest.
#[must_use]
pub fn scheduled(
    exchange: &Exchange,
    number: Number,
    at: Moment,
) -> Option<(crate::id::ScheduleId, Arc<Schedule>, Window)> {
    let state = exchange.numbers.get(&number)?;
    if state.schedules.is_empty() {
        return None;
    }
    let zone = window::zone_of(exchange, number);
    state
        .schedules
        .iter()
        .filter_map(|id| Some((*id, exchange.schedules.get(id)?.clone())))
        .filter_map(|(id, entry)| Some((id, window::in_force(&entry.pattern, zone, at)?, entry)))
        .min_by_key(|(_, _, entry)| (std::cmp::Reverse(entry.priority), entry.at))
        .map(|(id, window, entry)| (id, entry, window))
}

/// F-5: a window in force goes before the choice by hand, unless that choice was made to hold against it; else the
/// choice by hand; else none.
#[must_use]
pub fn in_force(exchange: &Exchange, number: Number, at: Moment) -> InForce {
    let manual = exchange.numbers.get(&number).and_then(|number| number.manual);
    let scheduled = scheduled(exchange, number, at);
    let holds = manual.is_some_and(|choice| match choice.value.reach {
        Reach::UnderSchedules => false,
        Reach::UntilWindowEnds(end) => at < end,
        Reach::UntilFurtherNotice => true,
    });
    let profile =
        |id: ProfileId| exchange.profiles.get(&id).map(|profile| (id, Arc::clone(profile)));
    match (scheduled, manual) {
        (Some((schedule, entry, window)), _) if !holds => InForce {
            profile: profile(entry.profile),
            because: Some((
                Says::Schedule {
                    schedule,
                    profile: entry.profile,
                    from: window.from,
                    to: window.to,
                },
                entry.at,
            )),
        },
        (scheduled, Some(choice)) => InForce {
            profile: choice.value.profile.and_then(profile),
            because: Some((
                Says::Manual { profile: choice.value.profile, over_schedule: scheduled.is_some() },
                choice.at,
            )),
        },
        (_, None) => InForce { profile: None, because: None },
    }
}
