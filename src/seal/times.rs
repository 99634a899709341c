//! When a book seals itself: every so many minutes, or at times of the day.

use chrono::{Duration, NaiveTime, TimeZone};
use chrono_tz::Tz;
use switchbook_core::position::Moment;

/// Set times.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Times {
    /// Minutes from one seal to the next.
    pub every: Option<u32>,
    /// Times of the day on the wall clock of the exchange.
    pub at: Vec<NaiveTime>,
}

impl Times {
    /// The next moment after `now`; none when nothing is set. A time that a day does not have (clocks go forward) falls
    /// out that day; of one that comes twice, the first counts.
    pub fn next(&self, now: Moment, zone: Tz) -> Option<Moment> {
        let every = self.every.map(|minutes| now.plus_seconds(i64::from(minutes.max(1)) * 60));
        let today = now.utc().with_timezone(&zone).date_naive();
        let days = (0..=2).filter_map(|day| today.checked_add_signed(Duration::days(day)));
        let at = days.flat_map(|day| self.at.iter().map(move |time| day.and_time(*time)));
        let at = at.filter_map(|wall| zone.from_local_datetime(&wall).earliest());
        let at = at.map(|time| Moment::from_utc(time.to_utc())).filter(|moment| *moment > now);
        at.chain(every).min()
    }
}

/// `06:30`.
pub fn time(text: &str) -> Result<NaiveTime, String> {
    NaiveTime::parse_from_str(text, "%H:%M")
        .map_err(|_| format!("`{text}` is no time of day: write it like 06:30"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(text: &str) -> Moment {
        Moment::from_utc(text.parse().unwrap())
    }

    #[test]
    fn the_next_seal_is_at_the_nearest_of_all_set_times() {
        let berlin = chrono_tz::Europe::Berlin;
        let at = vec![time("06:00").unwrap(), time("18:00").unwrap()];
        let times = Times { every: None, at };
        let next = |now: &str| times.next(moment(now), berlin).unwrap();
        assert_eq!(next("2026-11-24T04:59:59Z"), moment("2026-11-24T05:00:00Z"));
        assert_eq!(next("2026-11-24T05:00:00Z"), moment("2026-11-24T17:00:00Z"));
        assert_eq!(next("2026-11-24T20:00:00Z"), moment("2026-11-25T05:00:00Z"));
        // Summer time.
        assert_eq!(next("2026-07-01T03:00:00Z"), moment("2026-07-01T04:00:00Z"));
        let often = Times { every: Some(30), ..times };
        let now = moment("2026-11-24T16:00:00Z");
        assert_eq!(often.next(now, berlin), Some(moment("2026-11-24T16:30:00Z")));
        assert_eq!(
            often.next(moment("2026-11-24T16:45:00Z"), berlin),
            Some(moment("2026-11-24T17:00:00Z"))
        );
        assert_eq!(Times::default().next(now, berlin), None);
    }

    #[test]
    fn a_time_that_the_day_does_not_have_waits_for_the_next_day() {
        // 2026-03-29 in Berlin: 02:30 does not exist.
        let times = Times { every: None, at: vec![time("02:30").unwrap()] };
        let next = times.next(moment("2026-03-29T00:00:00Z"), chrono_tz::Europe::Berlin);
        assert_eq!(next, Some(moment("2026-03-30T00:30:00Z")));
        assert!(time("25:00").is_err() && time("6").is_err());
    }
}
