//! Puts events into envelopes and hands them to the book's writer, large groups at a time, one group ahead.

use super::dice::Dice;
use std::sync::Arc;
use switchbook_core::envelope::{Actor, Envelope, Recorded};
use switchbook_core::event::Event;
use switchbook_core::exchange::Exchange;
use switchbook_core::id::{CommandId, CorrelationId};
use switchbook_core::personal::{KeyId, Personal};
use switchbook_core::position::{Moment, Position};
use switchbook_journal::{AppendError, Book, Commit, EventStore};
use tokio::task::JoinHandle;

/// So many records go to the writer at once.
const GROUP: usize = 8192;

/// The writing end of a book that is being made up.
pub struct Pen {
    store: Arc<Book>,
    next: Position,
    pub(super) now: Moment,
    pub(super) dice: Dice,
    /// The state, as long as somebody wants it folded.
    pub(super) exchange: Option<Exchange>,
    commits: Vec<Commit>,
    records: usize,
    ahead: Option<JoinHandle<Result<Position, AppendError>>>,
}

/// What surrounds the events of a command.
#[derive(Clone, Copy, Debug)]
pub struct From<'a> {
    /// Who issued it.
    pub actor: Actor,
    /// The address it came from.
    pub source: Option<&'a str>,
    /// The event that led to it.
    pub cause: Option<Position>,
}

impl From<'_> {
    /// Nobody but the server.
    pub const SYSTEM: Self = Self { actor: Actor::System, source: None, cause: None };
}

impl Pen {
    /// At the beginning of an empty book.
    pub fn new(store: Arc<Book>, begins: Moment, dice: Dice) -> Self {
        Self {
            store,
            next: Position(1),
            now: begins,
            dice,
            exchange: Some(Exchange::default()),
            commits: Vec::new(),
            records: 0,
            ahead: None,
        }
    }

    /// So many records were written or are on their way.
    pub fn written(&self) -> u64 {
        self.next.0 - 1
    }

    /// The key that seals what belongs to no person, now.
    pub fn period(&self) -> KeyId {
        KeyId::of_month(self.now)
    }

    /// One command's events. Gives the position of the first.
    ///
    /// # Errors
    /// The book's.
    pub async fn commit(
        &mut self,
        from: From<'_>,
        events: Vec<Event>,
    ) -> Result<Position, AppendError> {
        let first = self.next;
        let command = CommandId(self.dice.id(self.now));
        let mut source = from.source.map(|address| Personal::new(self.period(), address));
        self.store.seal(&mut source)?;
        let mut records = Vec::with_capacity(events.len());
        for mut event in events {
            self.store.seal(&mut event)?;
            let envelope = Envelope {
                position: self.next,
                recorded_at: self.now,
                moment: self.now,
                actor: from.actor,
                on_behalf_of: None,
                source: source.clone().filter(|_| !event.is_registration()),
                cause: from.cause,
                correlation: CorrelationId(command.0),
                command,
                subjects: event.subjects(),
            };
            let recorded = Recorded { envelope, event };
            if let Some(exchange) = &mut self.exchange {
                exchange.evolve(&recorded);
            }
            self.next = self.next.next();
            records.push(recorded);
        }
        self.records += records.len();
        self.commits.push(Commit { records });
        if self.records >= GROUP {
            self.send().await?;
        }
        Ok(first)
    }

    /// Hands over what is there, once the group before is durable.
    async fn send(&mut self) -> Result<(), AppendError> {
        self.settle().await?;
        let commits = std::mem::take(&mut self.commits);
        self.records = 0;
        let store = Arc::clone(&self.store);
        self.ahead = Some(tokio::spawn(async move { store.append(commits).await }));
        Ok(())
    }

    async fn settle(&mut self) -> Result<(), AppendError> {
        if let Some(ahead) = self.ahead.take() {
            ahead.await.map_err(|_| AppendError::Closed)??;
        }
        Ok(())
    }

    /// Everything is durable when this returns.
    ///
    /// # Errors
    /// The book's.
    pub async fn finish(&mut self) -> Result<(), AppendError> {
        self.send().await?;
        self.settle().await
    }
}
