//! a refused attempt is an event, capped in rate per actor, so that nobody can fill the book by being refused. Those
//! that were not written are counted, and the count is told with the next one, after a quiet minute, or at a stop.

use crate::order::Order;
use crate::phone;
use crate::refusal::{Refusal, RefusalCode};
use std::collections::HashMap;
use switchbook_core::envelope::Actor;
use switchbook_core::position::Moment;
use switchbook_core::refusal::AttemptRefused;

/// So many attempts of one actor with one code are written one by one …
const ONE_BY_ONE: u32 = 5;
/// … within so long.
pub(crate) const WINDOW_SECONDS: u32 = 60;
/// Actors remembered at most: each costs some bytes.
const MOST: usize = 10_000;

#[derive(Debug)]
struct Count {
    since: Moment,
    written: u32,
    suppressed: u32,
    /// The last one that was not written.
    last: Option<Box<(Moment, Order, AttemptRefused)>>,
}

/// Counts attempts.
#[derive(Debug, Default)]
pub(crate) struct Attempts(HashMap<(Actor, RefusalCode), Count>);

/// Which untold attempts are told.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Untold {
    /// Those whose actor has been quiet for a minute.
    Quiet,
    /// All.
    All,
}

impl Attempts {
    /// The event for this attempt at `what` (a list names its line's command), with how many suppressed ones before it; `None` when it is only counted.
    pub(crate) fn write(
        &mut self,
        now: Moment,
        order: &Order,
        what: &str,
        refusal: &Refusal,
    ) -> Option<AttemptRefused> {
        if self.0.len() >= MOST {
            self.0.retain(|_, count| count.last.is_some() || now < end(count.since));
        }
        if self.0.len() >= MOST {
            return None;
        }
        let attempt = AttemptRefused {
            what: what.into(),
            code: refusal.code.as_str().into(),
            about: refusal.about.clone(),
            suppressed: 0,
        };
        let fresh = Count { since: now, written: 0, suppressed: 0, last: None };
        let count = self.0.entry((order.actor, refusal.code)).or_insert(fresh);
        if now >= end(count.since) {
            (count.since, count.written) = (now, 0);
        }
        if count.written >= ONE_BY_ONE {
            count.suppressed = count.suppressed.saturating_add(1);
            count.last = Some(Box::new((now, envelope_of(order), attempt)));
            return None;
        }
        count.written += 1;
        count.last = None;
        Some(AttemptRefused { suppressed: std::mem::take(&mut count.suppressed), ..attempt })
    }

    /// Takes out what was counted and not told: of each actor and code the last attempt, with how many before it.
    pub(crate) fn untold(&mut self, now: Moment, which: Untold) -> Vec<(Order, AttemptRefused)> {
        let mut told = Vec::new();
        for count in self.0.values_mut() {
            let quiet = |last: &mut Box<(Moment, Order, AttemptRefused)>| now >= end(last.0);
            let due = count.last.take_if(|last| which == Untold::All || quiet(last));
            let Some((_, order, attempt)) = due.map(|last| *last) else { continue };
            let suppressed = std::mem::take(&mut count.suppressed).saturating_sub(1);
            told.push((order, AttemptRefused { suppressed, ..attempt }));
        }
        // As they came, and not as a table of hashes has them.
        told.sort_by_key(|(order, _)| order.id);
        told
    }

    /// Is anything counted and not told?
    pub(crate) fn has_untold(&self) -> bool {
        self.0.values().any(|count| count.last.is_some())
    }
}

const fn end(since: Moment) -> Moment {
    since.plus_seconds(WINDOW_SECONDS as i64)
}

/// Everything around a command, without the command: it may be large, and hold secrets.
fn envelope_of(order: &Order) -> Order {
    let mut order = order.clone();
    order.command = phone::LogOut {}.into();
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchbook_core::id::CommandId;
    use uuid::Uuid;

    fn attempt(attempts: &mut Attempts, seconds: i64) -> Option<u32> {
        let id = CommandId(Uuid::from_u128(u128::try_from(seconds).unwrap()));
        let order = Order::new(id, Actor::System, phone::LogOut {});
        let refusal = Refusal::new(RefusalCode::RoamingDenied);
        let now = Moment(0).plus_seconds(seconds);
        attempts.write(now, &order, "phone.log_out", &refusal).map(|attempt| attempt.suppressed)
    }

    fn untold(attempts: &mut Attempts, seconds: i64, which: Untold) -> Vec<u32> {
        let told = attempts.untold(Moment(0).plus_seconds(seconds), which);
        told.into_iter().map(|(_, attempt)| attempt.suppressed).collect()
    }

    #[test]
    fn the_sixth_attempt_in_a_minute_is_counted_and_told_with_the_next_one_written() {
        let mut attempts = Attempts::default();
        for second in 0..5 {
            assert_eq!(attempt(&mut attempts, second), Some(0));
        }
        assert_eq!(attempt(&mut attempts, 5), None);
        assert_eq!(attempt(&mut attempts, 59), None);
        assert_eq!(attempt(&mut attempts, 60), Some(2));
        assert_eq!(attempt(&mut attempts, 61), Some(0));
        assert!(!attempts.has_untold());
    }

    #[test]
    fn what_was_only_counted_is_told_after_a_quiet_minute_once() {
        let mut attempts = Attempts::default();
        for second in 0..8 {
            attempt(&mut attempts, second);
        }
        assert!(attempts.has_untold());
        assert!(untold(&mut attempts, 66, Untold::Quiet).is_empty());
        // The last one is told itself, and two before it.
        assert_eq!(untold(&mut attempts, 67, Untold::Quiet), [2]);
        assert!(untold(&mut attempts, 200, Untold::All).is_empty());
    }

    #[test]
    fn at_a_stop_all_of_it_is_told() {
        let mut attempts = Attempts::default();
        for second in 0..6 {
            attempt(&mut attempts, second);
        }
        assert_eq!(untold(&mut attempts, 6, Untold::All), [0]);
    }
}
