//! Ids that come again: answered from memory or from the book, never decided twice.

use super::super::group::Reply;
use super::super::memory::{Kept, Sender, answer_in_book, is_remembered};
use super::super::recent::Place;
use super::Writer;
use crate::order::Order;
use std::sync::Arc;
use switchbook_core::id::CommandId;

impl Writer {
    /// A repeated id is not decided again.
    pub(super) fn seen_before(&mut self, order: &Order, reply: Reply) -> Option<Reply> {
        if !is_remembered(&order.actor) {
            return Some(reply);
        }
        let sender = Sender::of(order);
        let reply = self.remembered(order.id, sender, reply)?;
        self.repeated.insert(order.id, (sender, Vec::new()));
        Some(reply)
    }

    /// Answers again what is remembered or being decided; gives the reply back for what is neither.
    fn remembered(&mut self, id: CommandId, sender: Sender, reply: Reply) -> Option<Reply> {
        if let Some((first, kept)) = self.memory.get(id) {
            match (sender.repeats(*first), kept) {
                (Err(refusal), _) => reply.send(Err(refusal.into())),
                (Ok(()), Kept::Whole(answer)) => reply.send(Result::clone(answer)),
                (Ok(()), &Kept::InBook(first, last)) => {
                    self.answer_in_book(id, sender, (first, last), reply);
                }
            }
            return None;
        }
        if let Some((first, waiting)) = self.repeated.get_mut(&id) {
            match sender.repeats(*first) {
                Ok(()) => waiting.push(reply),
                Err(refusal) => reply.send(Err(refusal.into())),
            }
            return None;
        }
        Some(reply)
    }

    pub(super) fn repeated(&mut self, id: CommandId, sender: Sender, place: Place, reply: Reply) {
        if let Some(reply) = self.remembered(id, sender, reply) {
            self.answer_in_book(id, sender, place, reply);
        }
    }

    /// The writer does not wait for it.
    fn answer_in_book(&self, id: CommandId, sender: Sender, place: Place, reply: Reply) {
        let store = Arc::clone(&self.parts.store);
        tokio::spawn(async move {
            reply.send(answer_in_book(&*store, id, sender, place).await);
        });
    }
}
