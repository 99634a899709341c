//! Time patterns as people write them: `mon-fri 12:00-13:00`, `2026-12-24 12:00 - 2026-12-27 08:00`.

use chrono::{Datelike, NaiveDate, NaiveDateTime};
use serde::de::{Deserialize, Deserializer, Error as _};
use switchbook_core::schedule::{Days, Minute, Pattern};

/// A pattern in a command: `{"weekly":"mon-fri 12:00-13:00"}` or `{"dated":"2026-12-24 12:00 - 2026-12-27 08:00"}`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Written(pub Pattern);

/// The years a dated pattern may name.
const YEARS: std::ops::RangeInclusive<i32> = 1970..=2200;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "lowercase")]
        enum Kind {
            Weekly(String),
            Dated(String),
        }
        match Kind::deserialize(deserializer)? {
            Kind::Weekly(text) => weekly(&text),
            Kind::Dated(text) => dated(&text),
        }
        .map(Self)
        .map_err(D::Error::custom)
    }
}

/// Reads `mon-fri 12:00-13:00`, `sat,sun 00:00-24:00`, `daily 22:00-06:00` (into the next day).
///
/// # Errors
/// What is wrong, for a person.
pub fn weekly(text: &str) -> Result<Pattern, String> {
    let shape = || format!("`{text}` is no weekly pattern: write it like `mon-fri 12:00-13:00`");
    let (days, times) = text.trim().split_once(' ').ok_or_else(shape)?;
    let (from, to) = times.split_once('-').ok_or_else(shape)?;
    let (from, to) = (minute(from.trim())?, minute(to.trim())?);
    if from.0 == 1440 {
        return Err(format!(
            "`{text}`: a window cannot begin at 24:00, write 00:00 of the next day"
        ));
    }
    if from == to {
        return Err(format!("`{text}`: the window begins and ends at the same time"));
    }
    Ok(Pattern::Weekly { days: list(days)?, from, to })
}

/// Reads `2026-12-24 12:00 - 2026-12-27 08:00`.
///
/// # Errors
/// What is wrong, for a person.
pub fn dated(text: &str) -> Result<Pattern, String> {
    let shape = || {
        format!("`{text}` is no dated pattern: write it like `2026-12-24 12:00 - 2026-12-27 08:00`")
    };
    let (from, to) = text.split_once(" - ").ok_or_else(shape)?;
    let (from, to) = (instant(from.trim())?, instant(to.trim())?);
    if [from, to].iter().any(|at| !YEARS.contains(&at.year())) {
        let (first, last) = (YEARS.start(), YEARS.end());
        return Err(format!("`{text}`: a window lies in the years {first} to {last}"));
    }
    if from >= to {
        return Err(format!("`{text}`: the window ends before it begins"));
    }
    Ok(Pattern::Dated { from, to })
}

fn list(text: &str) -> Result<Days, String> {
    if text == "daily" {
        return Ok(Days(0b111_1111));
    }
    let mut days = 0;
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day(first)?, day(last)?);
        let mut current = first;
        days |= 1 << current;
        while current != last {
            current = (current + 1) % 7;
            days |= 1 << current;
        }
    }
    Ok(Days(days))
}

fn day(text: &str) -> Result<u8, String> {
    let place = DAYS.iter().position(|day| *day == text);
    place
        .and_then(|place| u8::try_from(place).ok())
        .ok_or_else(|| format!("`{text}` is no day: it is one of {}, or daily", DAYS.join(", ")))
}

fn minute(text: &str) -> Result<Minute, String> {
    let bad = || format!("`{text}` is no time of day: write it like 07:30, up to 24:00");
    let (hours, minutes) = text.split_once(':').ok_or_else(bad)?;
    let two = |part: &str| {
        let digits = part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| part.parse::<u16>().ok()).flatten()
    };
    let (hours, minutes) = (two(hours).ok_or_else(bad)?, two(minutes).ok_or_else(bad)?);
    let total = hours * 60 + minutes;
    if minutes > 59 || total > 1440 { Err(bad()) } else { Ok(Minute(total)) }
}

fn instant(text: &str) -> Result<NaiveDateTime, String> {
    let bad = || format!("`{text}` is no date with time: write it like 2026-12-24 12:00");
    let (date, time) = text.split_once(' ').ok_or_else(bad)?;
    let date = NaiveDate::parse_from_str(date, "%Y-%m-%d").map_err(|_| bad())?;
    let minute = minute(time.trim())?;
    date.and_hms_opt(0, 0, 0)
        .and_then(|day| day.checked_add_signed(chrono::Duration::minutes(i64::from(minute.0))))
        .ok_or_else(bad)
}

/// The same text back: what [`weekly`] and [`dated`] read.
#[must_use]
pub fn written(pattern: &Pattern) -> String {
    match pattern {
        Pattern::Weekly { days, from, to } => {
            let on = |day: u32| days.has(day);
            let mut parts = Vec::new();
            let mut day = 0;
            while day < 7 {
                if !on(day) {
                    day += 1;
                    continue;
                }
                let first = day;
                while day + 1 < 7 && on(day + 1) {
                    day += 1;
                }
                let name = |day: u32| DAYS.get(day as usize).copied().unwrap_or_default();
                parts.push(if first == day {
                    name(first).to_owned()
                } else {
                    format!("{}-{}", name(first), name(day))
                });
                day += 1;
            }
            let days = if days.0 == 0b111_1111 { "daily".into() } else { parts.join(",") };
            let time = |m: &Minute| format!("{:02}:{:02}", m.0 / 60, m.0 % 60);
            format!("{days} {}-{}", time(from), time(to))
        }
        Pattern::Dated { from, to } => {
            format!("{} - {}", from.format("%Y-%m-%d %H:%M"), to.format("%Y-%m-%d %H:%M"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns_are_read_as_people_write_them() {
        let lunch = weekly("mon-fri 12:00-13:00").unwrap();
        let (from, to) = (Minute(720), Minute(780));
        assert_eq!(lunch, Pattern::Weekly { days: Days(0b001_1111), from, to });
        let weekend = weekly("sat,sun 00:00-24:00").unwrap();
        let Pattern::Weekly { days, .. } = weekend else { panic!() };
        assert_eq!(days, Days(0b110_0000));
        let Pattern::Weekly { days, .. } = weekly("fri-mon 22:00-06:00").unwrap() else { panic!() };
        assert_eq!(days, Days(0b111_0001));
        assert!(dated("2026-12-24 12:00 - 2026-12-27 08:00").is_ok());
    }

    #[test]
    fn errors_say_what_to_write() {
        let errors = [
            weekly("lunch").unwrap_err(),
            weekly("mo-fr 12:00-13:00").unwrap_err(),
            weekly("mon 12:00-12:00").unwrap_err(),
            weekly("mon 12-13").unwrap_err(),
            weekly("mon 24:00-25:00").unwrap_err(),
            dated("2026-12-24").unwrap_err(),
            dated("2026-12-24 12:00 - 2026-12-23 12:00").unwrap_err(),
            dated("1969-12-31 00:00 - 2026-12-24 12:00").unwrap_err(),
            dated("2026-12-24 12:00 - 2201-01-01 00:00").unwrap_err(),
            dated("+262142-12-31 00:00 - +262142-12-31 12:00").unwrap_err(),
            dated("24.12.2026 12:00 - 27.12.2026 08:00").unwrap_err(),
        ];
        expect_test::expect![[r#"
            `lunch` is no weekly pattern: write it like `mon-fri 12:00-13:00`
            `mo` is no day: it is one of mon, tue, wed, thu, fri, sat, sun, or daily
            `mon 12:00-12:00`: the window begins and ends at the same time
            `12` is no time of day: write it like 07:30, up to 24:00
            `25:00` is no time of day: write it like 07:30, up to 24:00
            `2026-12-24` is no dated pattern: write it like `2026-12-24 12:00 - 2026-12-27 08:00`
            `2026-12-24 12:00 - 2026-12-23 12:00`: the window ends before it begins
            `1969-12-31 00:00 - 2026-12-24 12:00`: a window lies in the years 1970 to 2200
            `2026-12-24 12:00 - 2201-01-01 00:00`: a window lies in the years 1970 to 2200
            `+262142-12-31 00:00 - +262142-12-31 12:00`: a window lies in the years 1970 to 2200
            `24.12.2026 12:00` is no date with time: write it like 2026-12-24 12:00"#]]
        .assert_eq(&errors.join("\n"));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(days in 1u8..128, from in 0u16..1440, to in 0u16..=1440) {
            prop_assume!(from != to);
            let pattern = Pattern::Weekly { days: Days(days), from: Minute(from), to: Minute(to) };
            prop_assert_eq!(weekly(&written(&pattern)), Ok(pattern));
        }

        #[test]
        fn nothing_written_panics(text in "[a-z0-9:, -]{0,40}") {
            let _ = (weekly(&text), dated(&text));
        }
    }
}
