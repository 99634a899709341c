//! What a pattern means on the time line: windows and edges in a time zone (behaviour.md F-6).
//!
//! Windows are half-open. A wall-clock time inside the gap of a spring change means the gap's end; one that comes
//! twice in an autumn change means the first pass, so that a window counts once. What lies outside chrono's years, or
//! has times of day that no clock shows, makes no window.

use super::{Edge, Minute, Pattern};
use crate::exchange::Exchange;
use crate::number::Number;
use crate::position::Moment;
use chrono::{
    Datelike, Duration, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeZone,
};
use chrono_tz::Tz;

/// A stretch of time: [from, to).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Window {
    /// First moment inside.
    pub from: Moment,
    /// First moment after.
    pub to: Moment,
}

impl Window {
    /// Is the moment inside?
    #[must_use]
    pub fn holds(&self, moment: Moment) -> bool {
        self.from <= moment && moment < self.to
    }
}

/// The time-zone data in use, as its publisher names it (`2026a`): kept with every fired edge.
pub const TZ_DATA: &str = chrono_tz::IANA_TZDB_VERSION;

/// The zone a number's schedules are evaluated in (F-6): of the first of its owner's groups (by internal name) that
/// has one, else of the owner, else of the system; UTC before the book was founded.
#[must_use]
pub fn zone_of(exchange: &Exchange, number: Number) -> Tz {
    let system = exchange.settings.as_ref().map_or(Tz::UTC, |settings| settings.time_zone.value);
    let owner = exchange.numbers.get(&number).map(|number| number.owner.value);
    let Some(user) = owner.and_then(|owner| exchange.users.get(&owner)) else { return system };
    let of_group = user
        .groups
        .iter()
        .filter_map(|id| exchange.groups.get(id))
        .filter_map(|group| Some((&group.name, group.time_zone?.value)))
        .min_by(|(a, _), (b, _)| a.cmp(b));
    match (of_group, user.time_zone) {
        (Some((_, zone)), _) => zone,
        (None, Some(zone)) => zone.value,
        (None, None) => system,
    }
}

/// The window of `pattern` that holds `moment`, if one does.
#[must_use]
pub fn in_force(pattern: &Pattern, zone: Tz, moment: Moment) -> Option<Window> {
    around(pattern, zone, moment, 2, 1).into_iter().find(|window| window.holds(moment))
}

/// The first edge after `moment`.
#[must_use]
pub fn next_edge(pattern: &Pattern, zone: Tz, moment: Moment) -> Option<(Moment, Edge)> {
    edges_of(around(pattern, zone, moment, 2, 9))
        .into_iter()
        .filter(|(due, _)| *due > moment)
        .min_by_key(|&(due, edge)| (due, rank(edge)))
}

/// So many days of a weekly pattern are looked through at most: more than a century.
const MOST_DAYS: i64 = 40_000;

/// All edges after `after` up to and with `until`, in order; an end comes before a beginning at the same moment. Of a
/// span longer than a century, only the first century is looked through.
#[must_use]
pub fn edges(pattern: &Pattern, zone: Tz, after: Moment, until: Moment) -> Vec<(Moment, Edge)> {
    let days = (until.0.saturating_sub(after.0) / 86_400_000_000).clamp(0, MOST_DAYS) + 2;
    let mut found = edges_of(around(pattern, zone, after, 2, days));
    found.retain(|(due, _)| after < *due && *due <= until);
    found.sort_unstable_by_key(|&(due, edge)| (due, rank(edge)));
    found
}

/// Do two patterns of one number ever hold at the same wall-clock time (F-5)?
#[must_use]
pub fn overlap(one: &Pattern, other: &Pattern) -> bool {
    match (one, other) {
        (Pattern::Weekly { .. }, Pattern::Weekly { .. }) => {
            let (one, other) = (minutes_of_week(one), minutes_of_week(other));
            one.iter().any(|a| other.iter().any(|b| a.0 < b.1 && b.0 < a.1))
        }
        (Pattern::Dated { from: a, to: b }, Pattern::Dated { from: c, to: d }) => a < d && c < b,
        (Pattern::Dated { from, to }, weekly) | (weekly, Pattern::Dated { from, to }) => {
            // A week from the beginning on has seen every weekly window once.
            let week = from.checked_add_signed(Duration::days(8));
            let end = week.map_or(*to, |week| (*to).min(week));
            let first = from.date().pred_opt().unwrap_or(from.date());
            std::iter::successors(Some(first), NaiveDate::succ_opt)
                .take_while(|day| *day <= end.date())
                .filter_map(|day| wall_window(weekly, day))
                .any(|(a, b)| a < end && *from < b)
        }
    }
}

/// Seconds east of UTC in this zone at this moment.
#[must_use]
pub fn utc_offset(zone: Tz, moment: Moment) -> i32 {
    zone.offset_from_utc_datetime(&moment.utc().naive_utc()).fix().local_minus_utc()
}

fn rank(edge: Edge) -> u8 {
    match edge {
        Edge::Ends => 0,
        Edge::Begins => 1,
    }
}

fn edges_of(windows: Vec<Window>) -> Vec<(Moment, Edge)> {
    windows.iter().flat_map(|w| [(w.from, Edge::Begins), (w.to, Edge::Ends)]).collect()
}

/// Windows that begin on the days around a moment, empty ones left out.
fn around(pattern: &Pattern, zone: Tz, moment: Moment, back: i64, ahead: i64) -> Vec<Window> {
    let window = |(from, to)| {
        let window = Window { from: instant(zone, from)?, to: instant(zone, to)? };
        (window.from < window.to).then_some(window)
    };
    match pattern {
        Pattern::Dated { from, to } => window((*from, *to)).into_iter().collect(),
        Pattern::Weekly { .. } => {
            let today = wall_date(zone, moment);
            (-back..=ahead)
                .filter_map(|days| today.checked_add_signed(Duration::days(days)))
                .filter_map(|day| wall_window(pattern, day))
                .filter_map(window)
                .collect()
        }
    }
}

/// The date on the wall at a moment; at chrono's ends, where the wall is beyond them, the date in UTC.
fn wall_date(zone: Tz, moment: Moment) -> NaiveDate {
    let utc = moment.utc().naive_utc();
    let east = Duration::seconds(i64::from(utc_offset(zone, moment)));
    utc.checked_add_signed(east).unwrap_or(utc).date()
}

/// The window of a weekly pattern that begins on this day, on the wall clock.
fn wall_window(pattern: &Pattern, day: NaiveDate) -> Option<(NaiveDateTime, NaiveDateTime)> {
    let Pattern::Weekly { days, from, to } = pattern else { return None };
    if !days.has(day.weekday().num_days_from_monday()) {
        return None;
    }
    let end = if to > from { day } else { day.succ_opt()? };
    Some((at_minute(day, *from)?, at_minute(end, *to)?))
}

/// The end of the day.
const LAST_MINUTE: Minute = Minute(1440);

fn at_minute(day: NaiveDate, minute: Minute) -> Option<NaiveDateTime> {
    if minute > LAST_MINUTE {
        return None;
    }
    day.and_time(NaiveTime::MIN).checked_add_signed(Duration::minutes(i64::from(minute.0)))
}

/// The moment of a wall-clock time; none beyond chrono's years.
fn instant(zone: Tz, wall: NaiveDateTime) -> Option<Moment> {
    let mut probe = wall;
    // The longest gap in the data is a whole day (Samoa 2011); patterns have whole minutes.
    for _ in 0..=1500 {
        match zone.from_local_datetime(&probe) {
            LocalResult::Single(time) | LocalResult::Ambiguous(time, _) => {
                return Some(Moment::from_utc(time.to_utc()));
            }
            LocalResult::None => probe = probe.checked_add_signed(Duration::minutes(1))?,
        }
    }
    None
}

/// A weekly pattern as stretches of minutes in a week; a stretch over Sunday midnight is split.
fn minutes_of_week(pattern: &Pattern) -> Vec<(u32, u32)> {
    const WEEK: u32 = 7 * 1440;
    let Pattern::Weekly { days, from, to } = pattern else { return Vec::new() };
    if *from > LAST_MINUTE || *to > LAST_MINUTE {
        return Vec::new();
    }
    let mut stretches = Vec::new();
    for day in (0..7).filter(|day| days.has(*day)) {
        let begin = day * 1440 + u32::from(from.0);
        let length = if to > from { to.0 - from.0 } else { 1440 - from.0 + to.0 };
        let end = begin + u32::from(length);
        stretches.push((begin, end.min(WEEK)));
        if end > WEEK {
            stretches.push((0, end - WEEK));
        }
    }
    stretches
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::Days;
    use chrono_tz::Europe::Berlin;
    use proptest::prelude::*;

    fn moment(text: &str) -> Moment {
        Moment::from_utc(text.parse().unwrap())
    }

    fn weekly(days: u8, from: u16, to: u16) -> Pattern {
        Pattern::Weekly { days: Days(days), from: Minute(from), to: Minute(to) }
    }

    #[test]
    fn a_lunch_window_is_half_open() {
        let lunch = weekly(0b001_1111, 12 * 60, 13 * 60);
        // Monday 2026-11-23, Berlin is UTC+1.
        assert_eq!(in_force(&lunch, Berlin, moment("2026-11-23T10:59:59Z")), None);
        assert!(in_force(&lunch, Berlin, moment("2026-11-23T11:00:00Z")).is_some());
        assert!(in_force(&lunch, Berlin, moment("2026-11-23T11:59:59Z")).is_some());
        assert_eq!(in_force(&lunch, Berlin, moment("2026-11-23T12:00:00Z")), None);
        // Saturday.
        assert_eq!(in_force(&lunch, Berlin, moment("2026-11-28T11:30:00Z")), None);
    }

    #[test]
    fn a_night_window_reaches_into_the_next_day() {
        let friday_night = weekly(0b001_0000, 22 * 60, 6 * 60);
        assert!(in_force(&friday_night, Berlin, moment("2026-11-28T04:59:00Z")).is_some());
        assert_eq!(in_force(&friday_night, Berlin, moment("2026-11-28T05:00:00Z")), None);
    }

    #[test]
    fn a_start_inside_the_spring_gap_moves_to_the_gaps_end() {
        // Berlin 2026-03-29: 02:00 becomes 03:00, that is 01:00Z.
        let early = weekly(0b100_0000, 2 * 60 + 30, 5 * 60);
        let window = in_force(&early, Berlin, moment("2026-03-29T02:00:00Z")).unwrap();
        assert_eq!(window.from, moment("2026-03-29T01:00:00Z"));
        assert_eq!(window.to, moment("2026-03-29T03:00:00Z"));
        let inside = weekly(0b100_0000, 2 * 60 + 10, 2 * 60 + 50);
        assert_eq!(next_edge(&inside, Berlin, moment("2026-03-28T12:00:00Z")).unwrap().0, {
            moment("2026-04-05T00:10:00Z")
        });
    }

    #[test]
    fn a_repeated_hour_counts_once() {
        // Berlin 2026-10-25: 03:00 becomes 02:00 at 01:00Z; 02:00 to 02:30 comes at 00:00Z and again at 01:00Z.
        let once = weekly(0b100_0000, 2 * 60, 2 * 60 + 30);
        assert!(in_force(&once, Berlin, moment("2026-10-25T00:10:00Z")).is_some());
        assert_eq!(in_force(&once, Berlin, moment("2026-10-25T01:10:00Z")), None);
    }

    #[test]
    fn edges_come_in_order_and_an_end_before_a_beginning() {
        let whole_days = weekly(0b111_1111, 0, 1440);
        let found = edges(
            &whole_days,
            Tz::UTC,
            moment("2026-11-22T12:00:00Z"),
            moment("2026-11-24T12:00:00Z"),
        );
        let kinds: Vec<Edge> = found.iter().map(|(_, edge)| *edge).collect();
        assert_eq!(kinds, [Edge::Ends, Edge::Begins, Edge::Ends, Edge::Begins]);
    }

    #[test]
    fn overlaps_are_seen_across_midnight_and_between_kinds() {
        let night = weekly(0b100_0000, 22 * 60, 6 * 60);
        assert!(overlap(&night, &weekly(0b000_0001, 5 * 60, 7 * 60)));
        assert!(!overlap(&night, &weekly(0b000_0001, 6 * 60, 7 * 60)));
        let at = |text: &str| text.parse::<NaiveDateTime>().unwrap();
        let dated = |from, to| Pattern::Dated { from: at(from), to: at(to) };
        let sunday = dated("2026-11-29T23:00:00", "2026-11-29T23:30:00");
        assert!(overlap(&night, &sunday));
        assert!(!overlap(&night, &dated("2026-11-28T23:00:00", "2026-11-28T23:30:00")));
        assert!(overlap(&dated("2026-01-01T00:00:00", "2027-01-01T00:00:00"), &night));
    }

    fn any_wall() -> impl Strategy<Value = NaiveDateTime> {
        let near = -100_000i64..100_000;
        prop_oneof![
            near.clone().prop_map(|minutes| {
                let from = if minutes < 0 { NaiveDateTime::MAX } else { NaiveDateTime::MIN };
                from.checked_add_signed(Duration::minutes(minutes)).unwrap_or(from)
            }),
            any::<i64>().prop_map(|micros| Moment(micros).utc().naive_utc()),
            near.prop_map(|hours| Moment(0).plus_seconds(hours * 3600).utc().naive_utc()),
        ]
    }

    /// Whatever a book can be read as, sensible or not.
    fn any_pattern() -> impl Strategy<Value = Pattern> {
        let minute = || prop_oneof![any::<u16>(), 0u16..=1441].prop_map(Minute);
        prop_oneof![
            (any_wall(), any_wall()).prop_map(|(from, to)| Pattern::Dated { from, to }),
            (any::<u8>(), minute(), minute()).prop_map(|(days, from, to)| Pattern::Weekly {
                days: Days(days),
                from,
                to
            }),
        ]
    }

    fn any_moment() -> impl Strategy<Value = Moment> {
        let fixed = [i64::MIN, i64::MAX, 0];
        prop_oneof![
            prop::sample::select(fixed.to_vec()).prop_map(Moment),
            any::<i64>().prop_map(Moment),
            any_wall().prop_map(|wall| Moment::from_utc(wall.and_utc())),
        ]
    }

    fn any_zone() -> impl Strategy<Value = Tz> {
        prop::sample::select(vec![
            Tz::UTC,
            Berlin,
            chrono_tz::America::New_York,
            chrono_tz::Pacific::Apia,
            chrono_tz::Pacific::Kiritimati,
            chrono_tz::Asia::Kathmandu,
        ])
    }

    #[test]
    fn at_the_ends_of_chronos_years_there_is_no_window() {
        let last = Pattern::Dated { from: NaiveDateTime::MIN, to: NaiveDateTime::MAX };
        let daily = weekly(127, 0, 1440);
        for zone in [Tz::UTC, Berlin, chrono_tz::America::New_York] {
            for moment in [Moment(i64::MIN), Moment(0), Moment(i64::MAX)] {
                for pattern in [last, daily] {
                    let _ = (in_force(&pattern, zone, moment), next_edge(&pattern, zone, moment));
                    let _ = utc_offset(zone, moment);
                }
            }
            let all = edges(&daily, zone, Moment(i64::MIN), Moment(i64::MAX));
            assert!(all.len() <= 100_000, "the work is bounded");
        }
        assert!(overlap(&last, &daily) && overlap(&daily, &last));
        assert_eq!(in_force(&last, chrono_tz::America::New_York, Moment(0)), None);
        let no_clock = weekly(127, 1441, 65_535);
        assert_eq!(next_edge(&no_clock, Tz::UTC, Moment(0)), None);
        assert!(!overlap(&no_clock, &daily));
    }

    proptest! {
        /// A book can hold anything that decodes; nothing of it stops the exchange.
        #[test]
        fn no_pattern_in_no_zone_at_no_moment_panics(
            pattern in any_pattern(), other in any_pattern(), zone in any_zone(), moment in any_moment(),
            later in any_moment(),
        ) {
            let _ = (in_force(&pattern, zone, moment), next_edge(&pattern, zone, moment));
            let _ = (overlap(&pattern, &other), utc_offset(zone, moment));
            let near = moment.plus_seconds(20 * 86_400);
            for until in [near, later.min(Moment(moment.0.saturating_add(1 << 55)))] {
                let found = edges(&pattern, zone, moment, until);
                prop_assert!(found.iter().all(|(due, _)| moment < *due && *due <= until));
            }
        }

        /// what is in force at T is what the edges up to T say.
        #[test]
        fn the_window_in_force_agrees_with_the_edges(
            days in 0u8..128, from in 0u16..1440, to in 1u16..=1440, start in 1_700_000_000i64..1_900_000_000,
            ahead in 0i64..1_300_000,
        ) {
            let pattern = weekly(days, from, to);
            let (begin, at) = (Moment(start * 1_000_000), Moment((start + ahead) * 1_000_000));
            let mut open = in_force(&pattern, Berlin, begin).map_or(0, |_| 1);
            for (_, edge) in edges(&pattern, Berlin, begin, at) {
                open += match edge { Edge::Begins => 1, Edge::Ends => -1 };
            }
            prop_assert_eq!(open > 0, in_force(&pattern, Berlin, at).is_some());
        }

        #[test]
        fn the_next_edge_is_the_first_of_all_edges(
            days in 1u8..128, from in 0u16..1440, to in 1u16..=1440, start in 1_700_000_000i64..1_900_000_000,
        ) {
            let (pattern, now) = (weekly(days, from, to), Moment(start * 1_000_000));
            let all = edges(&pattern, Berlin, now, now.plus_seconds(9 * 86_400));
            prop_assert_eq!(next_edge(&pattern, Berlin, now), all.first().copied());
        }
    }
}
