//! Erasures: what was made unreadable for ever by destroying its key, and when numbers of outside parties have to be.
//! No byte of the book changes by it, so every proof stays valid (architecture.md way 7).

use crate::envelope::{Envelope, Subject};
use crate::event::{Evolve, nothing_personal};
use crate::exchange::Exchange;
use crate::fact::Fact;
use crate::id::UserId;
use crate::personal::KeyId;
use crate::position::{Moment, Position};
use chrono::Datelike;
use imbl::OrdMap;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// A retention period: one month in UTC, `year * 100 + month`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Period(pub u32);

impl Period {
    /// The month that a moment falls into.
    #[must_use]
    pub fn of(moment: Moment) -> Self {
        let date = moment.utc();
        Self(u32::try_from(date.year()).unwrap_or(0) * 100 + date.month())
    }

    /// The month so many months earlier.
    #[must_use]
    pub const fn before(self, months: u32) -> Self {
        let count = (self.0 / 100 * 12 + self.0 % 100).saturating_sub(1 + months);
        Self(count / 12 * 100 + count % 12 + 1)
    }

    /// The month after it.
    #[must_use]
    pub const fn next(self) -> Self {
        match self.0 % 100 {
            12 => Self((self.0 / 100 + 1) * 100 + 1),
            _ => Self(self.0 + 1),
        }
    }

    /// Is it a month that a calendar has?
    #[must_use]
    pub const fn is_month(self) -> bool {
        matches!(self.0 % 100, 1..=12) && self.0 / 100 >= 1970
    }

    /// The key that seals what falls into it.
    #[must_use]
    pub const fn key(self) -> KeyId {
        KeyId::Period(self.0)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.0 / 100, self.0 % 100)
    }
}

impl std::str::FromStr for Period {
    type Err = NotAPeriod;

    fn from_str(text: &str) -> Result<Self, NotAPeriod> {
        let read = || {
            let (year, month) = text.split_once('-')?;
            let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
            let right = year.len() == 4 && month.len() == 2 && digits(year) && digits(month);
            let period = Self(year.parse::<u32>().ok()? * 100 + month.parse::<u32>().ok()?);
            (right && period.is_month()).then_some(period)
        };
        read().ok_or_else(|| NotAPeriod(text.into()))
    }
}

/// A text that names no month.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{0}` is no month: write it like 2026-11")]
pub struct NotAPeriod(pub String);

/// What is known of erasures.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Erasures {
    /// Everybody who was a user once and is none any more.
    pub former: OrdMap<UserId, Former>,
    /// Months whose key is to be gone, each with the event that said so.
    pub periods: OrdMap<Period, Position>,
    /// For how many whole months numbers of outside parties stay readable; for ever when not set.
    pub retention: Option<Fact<u32>>,
}

/// Somebody who was a user.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Former {
    /// The event that deleted him.
    pub deleted: Position,
    /// The event after which his key is gone.
    pub erased: Option<Position>,
}

impl Erasures {
    /// The key for what is recorded now: the running month's. Was that one erased, by a clock that was ahead and has been
    /// set back since, it is the next one's that was not: under a key that was destroyed nothing can be sealed.
    #[must_use]
    pub fn key_of_month(&self, now: Moment) -> KeyId {
        self.open(now).key()
    }

    fn open(&self, now: Moment) -> Period {
        let mut period = Period::of(now);
        while self.periods.contains_key(&period) {
            period = period.next();
        }
        period
    }

    /// The same for what is sealed under a key already and is told again. It keeps the month after the running one, since a
    /// clock may be set back a little around the end of a month; one that is further off, told by a clock that was far
    /// ahead, it does not keep.
    #[must_use]
    pub fn key_of_month_after(&self, before: KeyId, now: Moment) -> KeyId {
        let running = self.open(now);
        let next = running.next();
        match before == next.key() && !self.periods.contains_key(&next) {
            true => before,
            false => running.key(),
        }
    }

    /// Every key that is to be gone, with the event that said so.
    pub fn keys(&self) -> impl Iterator<Item = (KeyId, Position)> + '_ {
        let people = self.former.iter();
        let people = people.filter_map(|(user, who)| Some((KeyId::Person(*user), who.erased?)));
        people.chain(self.periods.iter().map(|(period, at)| (period.key(), *at)))
    }
}

/// A person was erased: from now on nobody can read what was sealed under his key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PersonErased {
    /// Who.
    pub user: UserId,
}

/// A month was erased: numbers of outside parties and addresses of phones from it are unreadable from now on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PeriodErased {
    /// Which.
    pub period: Period,
}

/// How long numbers of outside parties stay readable was set.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RetentionSet {
    /// Whole months besides the running one; none for ever.
    pub months: Option<u32>,
}

nothing_personal!(PersonErased, PeriodErased, RetentionSet);

impl Evolve for PersonErased {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.push(Subject::User(self.user));
    }

    fn evolve(&self, exchange: &mut Exchange, envelope: &Envelope) {
        let (at, erasures) = (envelope.position, Arc::make_mut(&mut exchange.erasures));
        erasures.former.entry(self.user).or_insert(Former { deleted: at, erased: None }).erased =
            Some(at);
    }
}

impl Evolve for PeriodErased {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.push(Subject::Exchange);
    }

    fn evolve(&self, exchange: &mut Exchange, envelope: &Envelope) {
        let erasures = Arc::make_mut(&mut exchange.erasures);
        erasures.periods.insert(self.period, envelope.position);
    }
}

impl Evolve for RetentionSet {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.push(Subject::Exchange);
    }

    fn evolve(&self, exchange: &mut Exchange, envelope: &Envelope) {
        let months = self.months.map(|months| Fact::new(months, envelope.position));
        Arc::make_mut(&mut exchange.erasures).retention = months;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_counted_back_over_the_year() {
        assert_eq!(Period(202_611).before(1), Period(202_610));
        assert_eq!(Period(202_611).before(11), Period(202_512));
        assert_eq!(Period(202_601).before(1), Period(202_512));
        assert_eq!(Period(202_601).before(25), Period(202_312));
        assert_eq!(Period(202_601).before(0), Period(202_601));
    }

    #[test]
    fn a_month_is_written_as_people_write_it() {
        assert_eq!("2026-11".parse(), Ok(Period(202_611)));
        assert_eq!(Period(202_603).to_string(), "2026-03");
        for wrong in ["2026-13", "2026-1", "11-2026", "2026", "+026-11", "2026-00", ""] {
            assert!(wrong.parse::<Period>().is_err(), "{wrong}");
        }
        let moment = Moment::from_utc("2026-11-30T23:59:59Z".parse().unwrap());
        assert_eq!(Period::of(moment), Period(202_611));
    }

    #[test]
    fn what_is_recorded_after_a_clock_was_set_back_is_sealed_under_a_month_that_was_not_erased() {
        let now = Moment::from_utc("2026-11-24T12:00:00Z".parse().unwrap());
        let mut erasures = Erasures::default();
        assert_eq!(erasures.key_of_month(now), KeyId::Period(202_611));
        for period in [202_611, 202_612] {
            erasures.periods.insert(Period(period), Position(9));
        }
        assert_eq!(erasures.key_of_month(now), KeyId::Period(202_701));
        assert_eq!(Period(202_612).next(), Period(202_701));
        // What is sealed already keeps the next month, and none that is years away.
        let again = |key| Erasures::default().key_of_month_after(KeyId::Period(key), now);
        let keys = [202_610, 202_611, 202_612, 202_701, 209_901].map(again);
        assert_eq!(keys, [202_611, 202_611, 202_612, 202_611, 202_611].map(KeyId::Period));
        let again = erasures.key_of_month_after(KeyId::Period(202_612), now);
        assert_eq!(again, KeyId::Period(202_701), "under an erased one nothing can be sealed");
    }
}
