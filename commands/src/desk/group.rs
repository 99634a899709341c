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
    /// A group of phones leaves so long after the one before, when it is small.
    const PATIENCE: Duration = Duration::from_millis(20);

    /// When it may leave, if the one before left at `before`. An fdatasync costs more than deciding what it saves, so
    /// under load small groups are gathered; at a quiet Desk each leaves at once. Whoever waits at a console is not kept
    /// waiting; a phone is for [`PATIENCE`](Self::PATIENCE) at most (T1 of RFC 3261 is 500 ms).
    pub(crate) fn leaves(&self, before: Option<Instant>) -> Option<Instant> {
        let hurry = self.commits.is_empty()
            || self.commits.len() >= Self::WORTHWHILE
            || self.waiting.iter().any(|one| matches!(one.reply, Reply::Waits(_)));
        before.filter(|_| !hurry).map(|before| before + Self::PATIENCE)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.commits.len() >= Self::LIMIT
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.commits.is_empty() && self.waiting.is_empty()
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
