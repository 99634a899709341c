//! Where and when an event stands in the book.

use chrono::{DateTime, Datelike, TimeZone, Timelike, Utc};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The place of an event in the book: 1 for the first, gapless, in the order of commits. 0 is "before the first".
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Position(pub u64);

impl Position {
    /// Before the first event: the position of an empty book.
    pub const START: Self = Self(0);

    /// The position after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// A point in time: microseconds since 1970-01-01T00:00:00Z (UTC, leap seconds ignored, as POSIX does).
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Moment(pub i64);

impl Moment {
    /// The same instant as chrono's UTC time; moments outside chrono's years become its ends.
    #[must_use]
    pub fn utc(self) -> DateTime<Utc> {
        match Utc.timestamp_micros(self.0).single() {
            Some(time) => time,
            None if self.0 < 0 => DateTime::<Utc>::MIN_UTC,
            None => DateTime::<Utc>::MAX_UTC,
        }
    }

    /// From chrono's UTC time.
    #[must_use]
    pub fn from_utc(time: DateTime<Utc>) -> Self {
        Self(time.timestamp_micros())
    }

    /// This moment so many whole seconds later (or earlier, when negative).
    #[must_use]
    pub const fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1_000_000)))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = self.utc();
        if !(0..10_000).contains(&time.year()) {
            return write!(f, "{}", time.format("%Y-%m-%dT%H:%M:%S%.6fZ"));
        }
        // By hand: lists have ten thousand of them, and a pattern is read anew for each.
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        let mut digits = |place: std::ops::Range<usize>, mut value: u32| {
            for digit in text[place].iter_mut().rev() {
                *digit = b'0' + (value % 10) as u8;
                value /= 10;
            }
        };
        digits(0..4, time.year().unsigned_abs());
        digits(5..7, time.month());
        digits(8..10, time.day());
        digits(11..13, time.hour());
        digits(14..16, time.minute());
        digits(17..19, time.second());
        digits(20..26, time.timestamp_subsec_micros());
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

/// A span of whole seconds: waiting, ringing, expiry.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Seconds(pub u32);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_moment_is_written_as_chrono_writes_it(
            micros in prop_oneof![any::<i64>(), 0..4_102_444_800_000_000_i64, -70_000_000_000_000_000..260_000_000_000_000_000_i64],
        ) {
            let moment = Moment(micros);
            let pattern = moment.utc().format("%Y-%m-%dT%H:%M:%S%.6fZ");
            prop_assert_eq!(moment.to_string(), pattern.to_string());
        }
    }
}
