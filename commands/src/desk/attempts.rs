//! a refused attempt is an event, capped in rate per actor, so that nobody can fill the book by being refused.

use crate::refusal::RefusalCode;
use std::collections::HashMap;
use switchbook_core::envelope::Actor;
use switchbook_core::position::Moment;

/// So many attempts of one actor with one code are written one by one …
const ONE_BY_ONE: u32 = 5;
/// … within so long.
const WINDOW_SECONDS: i64 = 60;
/// Actors remembered at most: each costs some bytes.
const MOST: usize = 10_000;

#[derive(Debug)]
struct Count {
    since: Moment,
    written: u32,
    suppressed: u32,
}

/// Counts attempts.
#[derive(Debug, Default)]
pub(crate) struct Attempts(HashMap<(Actor, RefusalCode), Count>);

impl Attempts {
    /// Is this attempt written? With how many suppressed ones before it.
    pub(crate) fn write(&mut self, now: Moment, actor: Actor, code: RefusalCode) -> Option<u32> {
        if self.0.len() >= MOST {
            self.0.retain(|_, count| now < count.since.plus_seconds(WINDOW_SECONDS));
        }
        if self.0.len() >= MOST {
            return None;
        }
        let fresh = Count { since: now, written: 0, suppressed: 0 };
        let count = self.0.entry((actor, code)).or_insert(fresh);
        if now >= count.since.plus_seconds(WINDOW_SECONDS) {
            (count.since, count.written) = (now, 0);
        }
        if count.written >= ONE_BY_ONE {
            count.suppressed = count.suppressed.saturating_add(1);
            return None;
        }
        count.written += 1;
        Some(std::mem::take(&mut count.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sixth_attempt_in_a_minute_is_counted_and_told_with_the_next_one_written() {
        let (mut attempts, actor) = (Attempts::default(), Actor::System);
        let mut at = |seconds| {
            attempts.write(Moment(0).plus_seconds(seconds), actor, RefusalCode::RoamingDenied)
        };
        for second in 0..5 {
            assert_eq!(at(second), Some(0));
        }
        assert_eq!(at(5), None);
        assert_eq!(at(59), None);
        assert_eq!(at(60), Some(2));
        assert_eq!(at(61), Some(0));
    }
}
