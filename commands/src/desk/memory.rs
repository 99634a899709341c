//! Repeated command ids: the first answer again, for a day, to the same sender (architecture.md way 1).

use super::answer::{Answer, DeskError};
use crate::order::Order;
use crate::refusal::{Refusal, RefusalCode};
use std::collections::{HashMap, VecDeque};
use switchbook_core::envelope::{Actor, Envelope};
use switchbook_core::id::{CommandId, UserId};
use switchbook_core::position::Moment;

/// How long a command's id is remembered.
pub(crate) const REMEMBERED_SECONDS: i64 = 24 * 3600;
/// A sender's clock may be this much ahead.
const AHEAD_SECONDS: i64 = 300;
/// More are not kept in memory; what they changed stands in the book anyway, and is found there.
const MOST: usize = 100_000;

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
    let made = id.0.get_timestamp().filter(|_| id.0.get_version_num() == 7).ok_or_else(invalid)?;
    let made = i64::try_from(made.to_unix().0).map_err(|_| invalid())?;
    let now = now.0.div_euclid(1_000_000);
    if made > now + AHEAD_SECONDS {
        return Err(invalid());
    }
    if made < now - REMEMBERED_SECONDS {
        return Err(Refusal::new(RefusalCode::CommandTooOld));
    }
    Ok(())
}

/// Who sent a command, with whose rights. Only he gets its answer again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Sender {
    actor: Actor,
    on_behalf_of: Option<UserId>,
}

impl Sender {
    /// Of an order.
    pub(crate) const fn of(order: &Order) -> Self {
        Self { actor: order.actor, on_behalf_of: order.on_behalf_of }
    }

    /// Of what stands in the book.
    pub(crate) const fn in_book(envelope: &Envelope) -> Self {
        Self { actor: envelope.actor, on_behalf_of: envelope.on_behalf_of }
    }

    /// Refuses an id that somebody else used first.
    pub(crate) fn repeats(self, first: Self) -> Result<(), Refusal> {
        if self == first { Ok(()) } else { Err(Refusal::new(RefusalCode::CommandIdInvalid)) }
    }
}

/// What was answered to whom.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    answers: HashMap<CommandId, (Sender, Result<Answer, DeskError>)>,
    order: VecDeque<(Moment, CommandId)>,
}

impl Memory {
    pub(crate) fn get(&self, id: CommandId) -> Option<&(Sender, Result<Answer, DeskError>)> {
        self.answers.get(&id)
    }

    pub(crate) fn keep(
        &mut self,
        now: Moment,
        id: CommandId,
        sender: Sender,
        answer: Result<Answer, DeskError>,
    ) {
        let oldest = now.plus_seconds(-REMEMBERED_SECONDS);
        while let Some(&(at, old)) = self.order.front()
            && (at < oldest || self.order.len() >= MOST)
        {
            self.order.pop_front();
            self.answers.remove(&old);
        }
        if self.answers.insert(id, (sender, answer)).is_none() {
            self.order.push_back((now, id));
        }
    }
}
