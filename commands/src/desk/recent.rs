//! Which command ids the book has to be asked for. A look-up reads a page of every run of its index, so a command would
//! get dearer with the book's age; but a new id can only stand where little was written.
//!
//! Whoever makes an id is at most [`AHEAD_SECONDS`](super::memory::AHEAD_SECONDS) ahead, so its events were recorded no
//! earlier than that before the moment in the id, and moments of recording never run backwards. What was recorded since
//! the start is in the writer's memory, until that is full; the last minutes before it are read once.

use super::memory::{self, AHEAD_SECONDS};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use switchbook_core::exchange::Exchange;
use switchbook_core::id::CommandId;
use switchbook_core::position::{Moment, Position};
use switchbook_journal::{EventReader, ReadError};
use tokio::sync::OnceCell;

/// So many records before the start are read at most; ids that may stand further back are asked of the book.
const MOST: u64 = 4096;
/// So many at a time, from the end on.
const BATCH: u64 = 256;

/// First and last position of a command's events.
pub(crate) type Place = (Position, Position);

/// What is known of ids without asking the book.
#[derive(Debug)]
pub(crate) struct Recent {
    /// The end of the book when the Desk started, and when that was recorded.
    start: (Position, Moment),
    /// Commands recorded later than this are in the writer's memory.
    remembered_after: AtomicI64,
    /// Something is not there any more, or never was.
    forgotten: AtomicBool,
    before: OnceCell<Before>,
}

/// The last minutes before the start.
#[derive(Debug)]
struct Before {
    /// Commands recorded later than this, and before the start, are here.
    after: Moment,
    places: HashMap<CommandId, Place>,
}

impl Recent {
    /// Of a Desk that starts on this state.
    pub(crate) fn new(exchange: &Exchange) -> Self {
        Self {
            start: (exchange.position, exchange.recorded_at),
            remembered_after: AtomicI64::new(exchange.recorded_at.0),
            forgotten: AtomicBool::new(false),
            before: OnceCell::new(),
        }
    }

    /// The writer's memory lacks something that was recorded then, or earlier.
    pub(crate) fn forgot(&self, at: Moment) {
        self.remembered_after.fetch_max(at.0, Ordering::AcqRel);
        self.forgotten.store(true, Ordering::Release);
    }

    /// Where the events of a command stand, unless the writer remembers it.
    pub(crate) async fn outcome(
        &self,
        store: &dyn EventReader,
        id: CommandId,
    ) -> Result<Option<Place>, ReadError> {
        let Some(earliest) = memory::made(id).map(|made| made.plus_seconds(-AHEAD_SECONDS)) else {
            return store.outcome(id).await;
        };
        let remembered = Moment(self.remembered_after.load(Ordering::Acquire));
        if earliest > remembered {
            return Ok(None);
        }
        // Once something is forgotten, the minutes before the start say nothing about what came since.
        if !self.forgotten.load(Ordering::Acquire) {
            let before = self.before.get_or_init(|| self.before_the_start(store)).await;
            if earliest > before.after {
                return Ok(before.places.get(&id).copied());
            }
        }
        store.outcome(id).await
    }

    /// When the last minutes cannot be read, nothing is known of them: the book is asked.
    async fn before_the_start(&self, store: &dyn EventReader) -> Before {
        self.read_back(store).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the last commands before the start cannot be read: the book is asked for each");
            Before { after: Moment(i64::MAX), places: HashMap::new() }
        })
    }

    /// Reads from the start backwards, as far as ids made since then may stand.
    async fn read_back(&self, store: &dyn EventReader) -> Result<Before, ReadError> {
        let (start, recorded_at) = self.start;
        let enough = recorded_at.plus_seconds(-AHEAD_SECONDS - 1);
        let mut before = Before { after: Moment(i64::MIN), places: HashMap::new() };
        let mut end = start.0;
        while end > 0 {
            let many = end.min(BATCH);
            let records = store.read(Position(end - many + 1), many as usize).await?;
            for recorded in records.iter().rev() {
                let envelope = &recorded.envelope;
                if envelope.recorded_at <= enough || envelope.position.0 + MOST <= start.0 {
                    before.after = envelope.recorded_at;
                    return Ok(before);
                }
                if memory::is_remembered(&envelope.actor) {
                    let at = envelope.position;
                    before.places.entry(envelope.command).or_insert((at, at)).0 = at;
                }
            }
            end -= many;
        }
        Ok(before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchbook_core::envelope::{Actor, Envelope, Recorded};
    use switchbook_core::event::Event;
    use switchbook_core::id::CorrelationId;
    use switchbook_core::settings::ServerStarted;
    use switchbook_journal::{Commit, EventStore, MemoryStore};
    use uuid::{NoContext, Timestamp, Uuid};

    const CONSOLE: Actor = Actor::Supervisor { uid: 0 };

    /// An id made at this second of the day.
    fn id(second: u64) -> CommandId {
        CommandId(Uuid::new_v7(Timestamp::from_unix(NoContext, 1_700_000_000 + second, 0)))
    }

    fn at(second: i64) -> Moment {
        Moment(0).plus_seconds(1_700_000_000 + second)
    }

    async fn append(store: &MemoryStore, command: CommandId, recorded_at: Moment) {
        let position = store.tail().next();
        let event = Event::from(ServerStarted { version: "0.1.0".into(), clean: true });
        let envelope = Envelope {
            position,
            recorded_at,
            moment: recorded_at,
            actor: CONSOLE,
            on_behalf_of: None,
            source: None,
            cause: None,
            correlation: CorrelationId(command.0),
            command,
            subjects: event.subjects(),
        };
        let records = vec![Recorded { envelope, event }];
        store.append(vec![Commit { records }]).await.unwrap();
    }

    fn recent(position: Position, recorded_at: Moment) -> Recent {
        Recent::new(&Exchange { position, recorded_at, ..Exchange::default() })
    }

    /// Whatever stands in the book from before the start is found, by whichever way, also when its maker's clock was
    /// ahead as far as it may be; and nothing else is.
    #[tokio::test]
    async fn every_command_from_before_the_start_is_found() {
        let (store, mut made) = (MemoryStore::default(), Vec::new());
        for second in (0..3_000_u64).step_by(7) {
            let ahead = [0, 150, AHEAD_SECONDS as u64][second as usize % 3];
            let id = id(second + ahead);
            append(&store, id, at(second as i64)).await;
            made.push((id, store.tail()));
        }
        let recent = recent(store.tail(), at(2_996));
        for (command, place) in made {
            let found = recent.outcome(&store, command).await.unwrap();
            assert_eq!(found, Some((place, place)), "{place}");
        }
        for second in (0..3_600).step_by(5) {
            assert_eq!(recent.outcome(&store, id(second)).await.unwrap(), None);
        }
    }

    #[tokio::test]
    async fn no_more_is_read_back_than_is_allowed_and_the_book_is_asked_for_the_rest() {
        let (store, first) = (MemoryStore::default(), id(0));
        append(&store, first, at(0)).await;
        for _ in 0..MOST {
            append(&store, id(1), at(1)).await;
        }
        let recent = recent(store.tail(), at(1));
        assert_eq!(recent.outcome(&store, first).await.unwrap(), Some((Position(1), Position(1))));
        assert_eq!(recent.before.get().unwrap().after, at(0));
    }

    #[tokio::test]
    async fn what_the_writer_forgot_is_asked_of_the_book() {
        let (store, recent) = (MemoryStore::default(), recent(Position::START, at(0)));
        let command = id(1_000);
        append(&store, command, at(1_000)).await;
        assert_eq!(recent.outcome(&store, command).await.unwrap(), None, "the writer remembers it");
        recent.forgot(at(1_000));
        let place = Some((Position(1), Position(1)));
        assert_eq!(recent.outcome(&store, command).await.unwrap(), place);
    }

    /// The clock stands behind the book: what is recorded has the book's last moment, and what is forgotten is older.
    #[tokio::test]
    async fn what_was_forgotten_under_a_clock_that_is_behind_is_asked_of_the_book() {
        let (store, recent) = (MemoryStore::default(), recent(Position::START, at(1_000)));
        let command = id(500);
        append(&store, command, at(1_000)).await;
        recent.forgot(at(500));
        let place = Some((Position(1), Position(1)));
        assert_eq!(recent.outcome(&store, command).await.unwrap(), place);
    }

    /// A record that cannot be read, in a book that knows its commands all the same.
    struct Damaged(MemoryStore);

    #[async_trait::async_trait]
    impl EventReader for Damaged {
        fn tail(&self) -> Position {
            self.0.tail()
        }
        fn subscribe(&self) -> tokio::sync::watch::Receiver<Position> {
            self.0.subscribe()
        }
        async fn read(&self, at: Position, _: usize) -> Result<Vec<Recorded>, ReadError> {
            Err(ReadError::Undecodable { position: at, what: "test".into() })
        }
        async fn history(
            &self,
            subject: switchbook_core::envelope::Subject,
            from: Position,
            limit: usize,
        ) -> Result<Vec<Recorded>, ReadError> {
            self.0.history(subject, from, limit).await
        }
        async fn outcome(&self, command: CommandId) -> Result<Option<Place>, ReadError> {
            self.0.outcome(command).await
        }
        async fn snapshot(
            &self,
            name: &str,
            at_most: Position,
        ) -> Result<Option<(Position, Vec<u8>)>, ReadError> {
            self.0.snapshot(name, at_most).await
        }
    }

    #[tokio::test]
    async fn the_book_is_asked_when_the_last_minutes_before_the_start_cannot_be_read() {
        let (store, command) = (MemoryStore::default(), id(1_000));
        append(&store, command, at(1_000)).await;
        let store = Damaged(store);
        let recent = recent(store.tail(), at(1_000));
        let place = Some((Position(1), Position(1)));
        assert_eq!(recent.outcome(&store, command).await.unwrap(), place);
        assert_eq!(recent.outcome(&store, id(1_001)).await.unwrap(), None);
    }
}
