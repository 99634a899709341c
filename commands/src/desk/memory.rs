//! Repeated command ids: the first answer again, for a day, to the same sender (architecture.md way 1).

use super::answer::{Answer, DeskError};
use super::group::refusal_of;
use super::recent::Recent;
use crate::order::Order;
use crate::refusal::{Refusal, RefusalCode};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use switchbook_core::envelope::{Actor, Envelope, Recorded};
use switchbook_core::id::{CommandId, UserId};
use switchbook_core::position::{Moment, Position};
use switchbook_journal::{EventReader, ReadError};

/// How long a command's id is remembered.
pub(crate) const REMEMBERED_SECONDS: i64 = 24 * 3600;
/// A sender's clock may be this much ahead.
pub(crate) const AHEAD_SECONDS: i64 = 300;
/// More are not kept in memory; what they changed stands in the book anyway, and is found there.
const MOST: usize = 100_000;
/// So many are kept on when they are told as forgotten: a sender who was told before that the writer remembers his id may
/// wait in the queue meanwhile.
const PARTING: usize = 2 * super::QUEUE;

/// Are this actor's ids remembered? Phones repeat by transaction, the server itself does not repeat.
pub(crate) const fn is_remembered(actor: &Actor) -> bool {
    matches!(actor, Actor::Supervisor { .. } | Actor::Admin(_) | Actor::User(_) | Actor::Auditor(_))
}

/// Ids of people's commands are UUIDs of version 7, from the last day.
pub(crate) fn check_id(id: CommandId, actor: &Actor, now: Moment) -> Result<(), Refusal> {
    if !is_remembered(actor) {
        return Ok(());
    }
    let invalid = || Refusal::new(RefusalCode::CommandIdInvalid);
    let made = made(id).ok_or_else(invalid)?;
    let now = Moment(now.0 - now.0.rem_euclid(1_000_000));
    if made > now.plus_seconds(AHEAD_SECONDS) {
        return Err(invalid());
    }
    if made < now.plus_seconds(-REMEMBERED_SECONDS) {
        return Err(Refusal::new(RefusalCode::CommandTooOld));
    }
    Ok(())
}

/// The second in which an id of version 7 was made.
pub(crate) fn made(id: CommandId) -> Option<Moment> {
    let made = id.0.get_timestamp().filter(|_| id.0.get_version_num() == 7)?;
    Some(Moment(0).plus_seconds(i64::try_from(made.to_unix().0).ok()?))
}

/// Who sent which command, with whose rights. Only he gets its answer again, and only for the same command.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sender {
    actor: Actor,
    on_behalf_of: Option<UserId>,
    /// Which command, by its print; that of one that only the book knows is not known any more.
    print: Option<u64>,
}

impl Sender {
    /// Of an order.
    pub(crate) const fn of(order: &Order) -> Self {
        Self { actor: order.actor, on_behalf_of: order.on_behalf_of, print: order.print }
    }

    /// Of what stands in the book.
    pub(crate) const fn in_book(envelope: &Envelope) -> Self {
        Self { actor: envelope.actor, on_behalf_of: envelope.on_behalf_of, print: None }
    }

    /// Refuses an id that somebody else used first, or he himself for another command.
    pub(crate) fn repeats(self, first: Self) -> Result<(), Refusal> {
        let same = match (self.print, first.print) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        };
        match same && (self.actor, self.on_behalf_of) == (first.actor, first.on_behalf_of) {
            true => Ok(()),
            false => Err(Refusal::new(RefusalCode::CommandIdInvalid)),
        }
    }
}

/// What was answered.
#[derive(Clone, Debug)]
pub(crate) enum Kept {
    /// A refusal, or an answer that left no events.
    Whole(Box<Result<Answer, DeskError>>),
    /// Its events stand in the book, from the first to the last, and are read there.
    InBook(Position, Position),
}

impl Kept {
    fn of(answer: &Result<Answer, DeskError>) -> Self {
        match answer.as_ref().ok().and_then(Answer::positions) {
            Some((first, last)) => Self::InBook(first, last),
            None => Self::Whole(Box::new(answer.clone())),
        }
    }
}

/// What was answered to whom.
#[derive(Debug)]
pub(crate) struct Memory {
    answers: HashMap<CommandId, (Sender, Kept)>,
    order: VecDeque<(Moment, CommandId)>,
    /// Told as forgotten, and here still.
    parting: VecDeque<CommandId>,
    /// Knows what is not here any more.
    recent: Arc<Recent>,
}

/// The answer to a command that stands in the book. Its warnings were told once and are not kept; of a refused attempt
/// the code is.
pub(crate) async fn answer_in_book(
    store: &dyn EventReader,
    id: CommandId,
    sender: Sender,
    (first, last): (Position, Position),
) -> Result<Answer, DeskError> {
    let many = usize::try_from(last.0.saturating_sub(first.0)).unwrap_or(usize::MAX);
    let read = store.read(first, many.saturating_add(1)).await;
    let records: Arc<[Recorded]> = read.map_err(unreadable)?.into();
    if let Some(recorded) = records.first() {
        sender.repeats(Sender::in_book(&recorded.envelope))?;
    }
    if let Some(refusal) = refusal_of(&records) {
        return Err(refusal.into());
    }
    let (leases, warnings) = (Vec::new(), Vec::new());
    Ok(Answer { command: id, position: last, records, leases, warnings })
}

/// The book could not be asked for a command id.
pub(crate) fn unreadable(error: ReadError) -> Refusal {
    tracing::error!(%error, "the book cannot be asked for a command id");
    Refusal::new(RefusalCode::BookReadOnly).with("why", error)
}

impl Memory {
    /// An empty one.
    pub(crate) fn new(recent: Arc<Recent>) -> Self {
        Self { answers: HashMap::new(), order: VecDeque::new(), parting: VecDeque::new(), recent }
    }

    /// Something that was recorded then, or earlier, was never put here.
    pub(crate) fn lacks(&self, at: Moment) {
        self.recent.forgot(at);
    }

    pub(crate) fn get(&self, id: CommandId) -> Option<&(Sender, Kept)> {
        self.answers.get(&id)
    }

    pub(crate) fn keep(
        &mut self,
        now: Moment,
        id: CommandId,
        sender: Sender,
        answer: &Result<Answer, DeskError>,
    ) {
        let oldest = now.plus_seconds(-REMEMBERED_SECONDS);
        while let Some(&(at, old)) = self.order.front()
            && (at < oldest || self.order.len() >= MOST)
        {
            self.order.pop_front();
            self.parting.push_back(old);
            self.recent.forgot(at);
        }
        while self.parting.len() > PARTING
            && let Some(old) = self.parting.pop_front()
        {
            self.answers.remove(&old);
        }
        if self.answers.insert(id, (sender, Kept::of(answer))).is_none() {
            self.order.push_back((now, id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchbook_core::exchange::Exchange;
    use uuid::Uuid;

    /// Whoever was told by it that the writer remembers an id may wait in the queue while others are remembered.
    #[test]
    fn what_is_forgotten_is_still_there_while_an_order_waits() {
        let recent = Arc::new(Recent::new(&Exchange::default()));
        let mut memory = Memory::new(Arc::clone(&recent));
        let id = |n: usize| CommandId(Uuid::from_u128(n as u128));
        let sender =
            Sender { actor: Actor::Supervisor { uid: 0 }, on_behalf_of: None, print: None };
        let answer = Err(DeskError::Closed);
        let keep = |memory: &mut Memory, n: usize| {
            memory.keep(Moment(n as i64), id(n), sender, &answer);
        };
        (0..=MOST).for_each(|n| keep(&mut memory, n));
        assert!(memory.get(id(0)).is_some(), "an order that was asked for before is decided twice");
        (MOST + 1..=MOST + 2 * super::super::QUEUE).for_each(|n| keep(&mut memory, n));
        assert!(memory.get(id(0)).is_none());
        assert!(memory.answers.len() <= MOST + 2 * super::super::QUEUE);
    }
}
