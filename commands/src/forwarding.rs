//! Choosing a forwarding profile for a number by hand (F-1 to F-5).

use crate::command::Decide;
use crate::draft::Draft;
use crate::lookup;
use crate::loops;
use crate::order::{Warning, WarningCode};
use crate::refusal::{Refusal, RefusalCode};
use crate::wire::{ProfileRef, Until, Word};
use serde::Deserialize;
use switchbook_core::envelope::Subject;
use switchbook_core::exchange::Exchange;
use switchbook_core::forwarding::{ManualChoice, ProfileActivated, ProfileDeactivated, Reach};
use switchbook_core::id::ProfileId;
use switchbook_core::number::Number;
use switchbook_core::routing::profile::scheduled;

/// Sets a profile for a number.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Set {
    /// Which number.
    pub number: Number,
    /// One of its owner's profiles (F-2).
    pub profile: ProfileRef,
    /// How far the choice reaches over schedules (F-5).
    #[serde(default)]
    pub until: Word<Until>,
}

impl Decide for Set {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let profile = lookup::profile(draft.exchange(), &self.profile)?;
        choose(draft, self.number, Some(profile), self.until.0)
    }
}

/// Chooses "no profile" for a number.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clear {
    /// Which number.
    pub number: Number,
    /// How far the choice reaches over schedules (F-5).
    #[serde(default)]
    pub until: Word<Until>,
}

impl Decide for Clear {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        choose(draft, self.number, None, self.until.0)
    }
}

/// The choice by hand, whoever makes it; nobody is logged off by it (RO-15).
pub(crate) fn choose(
    draft: &mut Draft<'_, '_>,
    number: Number,
    profile: Option<ProfileId>,
    until: Until,
) -> Result<(), Refusal> {
    let now = draft.now();
    let state = lookup::number(draft.exchange(), number)?.clone();
    if let Some(profile) = profile {
        of_the_owner(draft.exchange(), number, profile)?;
    }
    let open = scheduled(draft.exchange(), number, now).map(|(_, _, window)| window);
    let reach = match (until, open) {
        (Until::FurtherNotice, _) => Reach::UntilFurtherNotice,
        (Until::Default | Until::WindowEnd, Some(window)) => Reach::UntilWindowEnds(window.to),
        (Until::UnderSchedules, Some(_)) => {
            let warning = Warning::new(WarningCode::ScheduleInForce);
            draft.warn(warning.with("number", number));
            Reach::UnderSchedules
        }
        (_, None) => Reach::UnderSchedules,
    };
    let choice = ManualChoice { profile, reach };
    let same = match state.manual {
        Some(made) => made.value == choice,
        None => choice == ManualChoice { profile: None, reach: Reach::UnderSchedules },
    };
    if same {
        return Ok(());
    }
    match profile {
        Some(profile) => {
            draft.tell(ProfileActivated { number, profile, reach });
            loops::check(draft.exchange(), number, now)
        }
        None => {
            draft.tell_last(ProfileDeactivated { number, reach });
            Ok(())
        }
    }
}

/// F-2: a profile is used on its owner's numbers only.
pub(crate) fn of_the_owner(
    exchange: &Exchange,
    number: Number,
    profile: ProfileId,
) -> Result<(), Refusal> {
    let owner = lookup::number(exchange, number)?.owner.value;
    if lookup::profile_state(exchange, profile)?.owner != owner {
        return Err(Refusal::new(RefusalCode::WrongOwner)
            .with("what", number)
            .with("other", lookup::profile_name(exchange, profile))
            .about(Subject::Number(number))
            .about(Subject::Profile(profile)));
    }
    Ok(())
}
