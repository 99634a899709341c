//! Whether the clock on the wall goes as time does.

use std::time::Duration;
use switchbook_core::position::Moment;
use tokio::time::Instant;

/// So far the two may drift apart between two looks.
const DRIFT: Duration = Duration::from_secs(300);

/// The clock on the wall as it was looked at last, beside one that nobody can set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Steady {
    wall: Moment,
    at: Instant,
}

impl Steady {
    /// The first look.
    pub(super) const fn since(wall: Moment, at: Instant) -> Self {
        Self { wall, at }
    }

    /// Has the wall's clock gone like the other since the last look? A clock that was set is believed from the next look on.
    pub(super) fn agrees(&mut self, wall: Moment, at: Instant) -> bool {
        let passed = i128::try_from(at.saturating_duration_since(self.at).as_micros());
        let told = i128::from(wall.0) - i128::from(self.wall.0);
        *self = Self { wall, at };
        passed.is_ok_and(|passed| (told - passed).unsigned_abs() <= DRIFT.as_micros())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_is_believed_after_it_has_gone_steadily() {
        const HOUR: Duration = Duration::from_secs(3600);
        let years = 2 * 365 * 24 * 3600 * 1_000_000;
        let began = Instant::now();
        let right = |hours: u32| Moment(1_800_000_000_000_000 + i64::from(hours) * 3_600_000_000);
        // It starts two years ahead, and is set within the first hour.
        let mut steady = Steady::since(Moment(right(0).0 + years), began);
        assert!(!steady.agrees(right(1), began + HOUR));
        assert!(steady.agrees(right(2), began + 2 * HOUR));
        // A second in an hour is no setting; a day is.
        assert!(steady.agrees(Moment(right(3).0 + 1_000_000), began + 3 * HOUR));
        assert!(!steady.agrees(right(28), began + 4 * HOUR));
    }
}
