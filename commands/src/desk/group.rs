//! A group: what was decided since the last append, and who waits for it.

use super::answer::{Answer, DeskError};
use super::pending::LeaseChange;
use crate::order::Order;
use crate::refusal::{Refusal, RefusalCode};
use std::time::Duration;
use switchbook_core::envelope::{Envelope, Recorded};
use switchbook_core::event::Event;
use switchbook_core::exchange::Exchange;
use switchbook_core::id::{CommandId, CorrelationId};
use switchbook_core::personal::Personal;
use switchbook_core::position::Moment;
use switchbook_journal::Commit;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Where an answer goes.
pub(crate) enum Reply {
    /// To a task that waits; it may be gone.
    Waits(oneshot::Sender<Result<Answer, DeskError>>),
    /// To a function that must not block: it runs on the writer's task.
    Told(Box<dyn FnOnce(Result<Answer, DeskError>) + Send>),
}

impl Reply {
    pub(crate) fn send(self, answer: Result<Answer, DeskError>) {
        match self {
            Self::Waits(task) => drop(task.send(answer)),
            Self::Told(tell) => tell(answer),
        }
    }
}

/// Somebody who waits for a group to be durable.
pub(crate) struct Waiting {
    pub(crate) command: CommandId,
    pub(crate) reply: Reply,
    pub(crate) answer: Result<Answer, DeskError>,
    /// Leases that change when it is durable.
    pub(crate) leases: Vec<LeaseChange>,
}

/// Decided together, appended together.
#[derive(Default)]
pub(crate) struct Group {
    pub(crate) commits: Vec<Commit>,
    pub(crate) waiting: Vec<Waiting>,
    /// The private state after the last of them; set when the group is closed.
    pub(crate) after: Option<Exchange>,
}

impl Group {
    /// So many commits make a group at most.
    pub(crate) const LIMIT: usize = 512;
    /// So many are worth an fdatasync of their own.
    const WORTHWHILE: usize = 16;

    /// Does somebody wait who is not a phone, is it large enough, or is there nothing to write?
    fn hurries(&self) -> bool {
        self.commits.is_empty()
            || self.commits.len() >= Self::WORTHWHILE
            || self.waiting.iter().any(|one| matches!(one.reply, Reply::Waits(_)))
    }

    pub(crate) fn is_full(&self) -> bool {
        self.commits.len() >= Self::LIMIT
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.commits.is_empty() && self.waiting.is_empty()
    }
}

/// How long small groups are gathered. An fdatasync costs more than deciding what it saves, so a busy Desk gathers phones'
/// commits; at a quiet one each group leaves at once. Whoever waits at a console is not kept waiting; a phone is for
/// [`LONGEST`](Self::LONGEST) at most (T1 of RFC 3261 is 500 ms).
#[derive(Debug, Default)]
pub(crate) struct Patience {
    /// When the last group left.
    left: Option<Instant>,
    /// Since when commits are counted.
    window: Option<Instant>,
    commits: u128,
    busy: bool,
}

impl Patience {
    /// A small group of a busy Desk leaves so long after the one before.
    pub(crate) const LONGEST: Duration = Duration::from_millis(20);
    const WINDOW: Duration = Duration::from_millis(100);
    /// Busy is who had so many commits a second.
    const BUSY: u128 = 150;

    /// When this group may leave, if that is not now.
    pub(crate) fn keeps(&self, group: &Group, now: Instant) -> Option<Instant> {
        let due = self.left? + Self::LONGEST;
        (self.busy && due > now && !group.hurries()).then_some(due)
    }

    /// A group of so many commits leaves.
    pub(crate) fn leaves(&mut self, now: Instant, commits: usize) {
        self.left = Some(now);
        self.commits += commits as u128;
        let passed = now - *self.window.get_or_insert(now);
        if passed >= Self::WINDOW {
            self.busy = self.commits * 1000 >= Self::BUSY * passed.as_millis();
            (self.window, self.commits) = (Some(now), 0);
        }
    }
}

/// Puts events into their envelopes, at the positions that follow the state, and folds them into it.
pub(crate) fn record(
    private: &mut Exchange,
    order: &Order,
    source: Option<&Personal>,
    events: Vec<Event>,
    moment: Moment,
) -> Vec<Recorded> {
    let recorded_at = private.recorded_at.max(moment);
    let correlation = order.correlation.unwrap_or(CorrelationId(order.id.0));
    let mut records = Vec::with_capacity(events.len());
    for event in events {
        let envelope = Envelope {
            position: private.position.next(),
            recorded_at,
            moment,
            actor: order.actor,
            on_behalf_of: order.on_behalf_of,
            source: source.cloned(),
            cause: order.cause,
            correlation,
            command: order.id,
            subjects: event.subjects(),
        };
        let recorded = Recorded { envelope, event };
        private.evolve(&recorded);
        records.push(recorded);
    }
    records
}

/// The refusal that a book's record tells of, if it tells of one: code and subjects, the facts are not kept.
pub(crate) fn refusal_of(records: &[Recorded]) -> Option<Refusal> {
    let [Recorded { event: Event::AttemptRefused(attempt), .. }] = records else { return None };
    let code = RefusalCode::ALL.iter().copied().find(|code| code.as_str() == attempt.code)?;
    let refusal = Refusal::new(code);
    Some(attempt.about.iter().fold(refusal, |refusal, subject| refusal.about(*subject)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Commits of phones that come evenly for a second: how many groups leave, and how long the last one was kept.
    fn a_second_of(per_second: u32) -> (usize, Duration) {
        let began = Instant::now();
        let (mut patience, mut group) = (Patience::default(), Group::default());
        let (mut groups, mut kept) = (0, Duration::ZERO);
        for n in 0..per_second {
            let mut now = began + Duration::from_secs(1) * n / per_second;
            group.commits.push(Commit { records: Vec::new() });
            let next = began + Duration::from_secs(1) * (n + 1) / per_second;
            kept = Duration::ZERO;
            if let Some(due) = patience.keeps(&group, now) {
                if due > next {
                    continue;
                }
                (kept, now) = (due - now, due);
            }
            patience.leaves(now, std::mem::take(&mut group).commits.len());
            groups += 1;
        }
        (groups, kept)
    }

    #[test]
    fn at_a_quiet_desk_every_group_leaves_at_once() {
        assert_eq!(a_second_of(100), (100, Duration::ZERO));
    }

    #[test]
    fn a_busy_one_gathers_and_keeps_nobody_longer_than_it_says() {
        let (groups, kept) = a_second_of(600);
        assert!(groups < 150, "{groups}");
        assert!(kept <= Patience::LONGEST);
    }

    #[test]
    fn full_groups_leave_at_once_and_so_does_whoever_waits_at_a_console() {
        let now = Instant::now();
        let patience = Patience { left: Some(now), busy: true, ..Patience::default() };
        let mut group = Group::default();
        group.commits.push(Commit { records: Vec::new() });
        assert_eq!(patience.keeps(&group, now), Some(now + Patience::LONGEST));
        let (reply, _answer) = oneshot::channel();
        let answer = Err(DeskError::Closed);
        let command = CommandId(uuid::Uuid::nil());
        let reply = Reply::Waits(reply);
        group.waiting.push(Waiting { command, reply, answer, leases: Vec::new() });
        assert_eq!(patience.keeps(&group, now), None);
        group.waiting.clear();
        group.commits.resize_with(Group::WORTHWHILE, || Commit { records: Vec::new() });
        assert_eq!(patience.keeps(&group, now), None);
    }
}
