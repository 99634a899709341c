//! Erasing: people, and months of outside numbers. Here it is decided and recorded; the key goes after that.

use crate::command::Decide;
use crate::draft::{Confirm, Draft, Force};
use crate::lookup;
use crate::refusal::{Refusal, RefusalCode};
use crate::registration;
use crate::user;
use crate::wire::UserRef;
use serde::{Deserialize, Deserializer, de::Error as _};
use switchbook_core::envelope::Subject;
use switchbook_core::erasure::{Period, PeriodErased, PersonErased, RetentionSet};
use switchbook_core::id::UserId;

/// Erases a person: whoever is still a user is deleted with it (U-4 to U-7).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErasePerson {
    /// Log-in name or id; who was deleted before is named by his id.
    pub user: UserRef,
    /// It is meant: there is no way back, and others may forward to the freed numbers (U-5).
    #[serde(default)]
    pub confirm: Confirm,
    /// Even during a call of his (RO-14).
    #[serde(default)]
    pub force: Force,
}

impl Decide for ErasePerson {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let user = match lookup::user(draft.exchange(), &self.user) {
            Ok(user) => user,
            Err(unknown) => former(draft, &self.user).ok_or(unknown)?,
        };
        erase(draft, user, self.confirm, self.force)
    }
}

/// Somebody who was a user once, by id.
fn former(draft: &Draft<'_, '_>, reference: &UserRef) -> Option<UserId> {
    let id = reference.as_str().parse().ok()?;
    draft.exchange().erasures.former.contains_key(&id).then_some(id)
}

fn erase(
    draft: &mut Draft<'_, '_>,
    user: UserId,
    confirm: Confirm,
    force: Force,
) -> Result<(), Refusal> {
    let known = draft.exchange().erasures.former.get(&user);
    let erased = known.is_some_and(|former| former.erased.is_some());
    let mut deleted = Ok(());
    if draft.exchange().users.contains_key(&user) {
        deleted = user::Delete { user: UserRef::from(user), confirm, force }.decide(draft);
    }
    if confirm == Confirm::No && !erased {
        // Whoever confirms what else is affected must not have confirmed an erasure with it unasked: both are said at once.
        let by = match deleted {
            Ok(()) => "–".to_owned(),
            Err(refusal) if refusal.code == RefusalCode::Referenced => {
                refusal.facts.get("by").cloned().unwrap_or_default()
            }
            Err(refusal) => return Err(refusal),
        };
        let asked = Refusal::new(RefusalCode::ErasureUnconfirmed).with("by", by);
        return Err(asked.about(Subject::User(user)));
    }
    deleted?;
    if !erased {
        draft.tell(PersonErased { user });
    }
    Ok(())
}

/// Makes numbers of outside parties and addresses of phones of a past month unreadable.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErasePeriod {
    /// `2026-05`.
    pub period: Month,
}

impl Decide for ErasePeriod {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        erase_period(draft, self.period.0)
    }
}

fn erase_period(draft: &mut Draft<'_, '_>, period: Period) -> Result<(), Refusal> {
    if period >= Period::of(draft.now()) {
        return Err(Refusal::new(RefusalCode::PeriodOpen)
            .with("period", period)
            .about(Subject::Exchange));
    }
    if !draft.exchange().erasures.periods.contains_key(&period) {
        draft.tell_last(PeriodErased { period });
        registration::reseal(draft, period.key());
    }
    Ok(())
}

/// Sets for how many whole months, besides the running one, outside numbers stay readable.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// None: for ever.
    #[serde(default)]
    pub months: Option<u32>,
}

/// More months than a book can have.
const MOST_MONTHS: u32 = 1200;

impl Decide for Retention {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        draft.settings()?;
        if self.months.is_some_and(|months| !(1..=MOST_MONTHS).contains(&months)) {
            return Err(Refusal::new(RefusalCode::ValueInvalid)
                .with("field", "months")
                .with("why", "it is 1 to 1200"));
        }
        if draft.exchange().erasures.retention.map(|fact| fact.value) != self.months {
            draft.tell_last(RetentionSet { months: self.months });
        }
        Ok(())
    }
}

/// What the server erases by itself: a month whose time has come, or what the list of erasures says of a book that was
/// restored from an older backup.
#[derive(Clone, Debug)]
pub enum Apply {
    /// A month.
    Period(Period),
    /// A person; in an older book he may still be a user, and is deleted then.
    Person(UserId),
}

impl Decide for Apply {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        match *self {
            Self::Period(period) => erase_period(draft, period),
            Self::Person(user) => erase(draft, user, Confirm::Yes, Force::Yes),
        }
    }
}

/// A month as it is written in commands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Month(pub Period);

impl<'de> Deserialize<'de> for Month {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Self).map_err(D::Error::custom)
    }
}
