//! Folding: tables from a prefix of the book, the nearest snapshot first (architecture.md way 6).

use crate::call_log::CallLog;
use crate::names::NameBook;
use crate::snapshot::{self, Open, Snapshot};
use std::future::poll_fn;
use std::ops::ControlFlow;
use std::task::Poll;
use switchbook_core::envelope::Recorded;
use switchbook_core::exchange::Exchange;
use switchbook_core::position::{Moment, Position};
use switchbook_journal::{EventReader, ReadError};

/// So many records are read at once.
pub const BATCH: usize = 1_024;

/// What readers follow: the exchange (behind registrar, numbers, directory and schedules), all names, and the calls.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Tables {
    /// The state of everything.
    pub exchange: Exchange,
    /// The names of everything that ever was.
    pub names: NameBook,
    /// The calls.
    pub calls: CallLog,
}

impl Tables {
    /// The last event taken in by all of them.
    #[must_use]
    pub fn position(&self) -> Position {
        self.exchange.position
    }

    /// Takes an event in.
    pub fn apply(&mut self, recorded: &Recorded) {
        self.exchange.evolve(recorded);
        self.names.apply(recorded);
        self.calls.apply(recorded, &self.exchange);
    }

    /// All of it as snapshots, to be kept by whoever may write to the store.
    #[must_use]
    pub fn snapshots(&self) -> [(&'static str, Vec<u8>); 3] {
        [
            (snapshot::EXCHANGE, snapshot::encode(&self.exchange)),
            (snapshot::NAMES, snapshot::encode(&self.names)),
            (snapshot::CALL_LOG, snapshot::encode(&self.calls)),
        ]
    }

    /// Opens all personal values again, after keys were destroyed: what was erased is then erased here too.
    pub fn reopen(&mut self, open: Open<'_>) {
        snapshot::reopen(&mut self.exchange, open);
        snapshot::reopen(&mut self.names, open);
        snapshot::reopen(&mut self.calls, open);
    }
}

/// Shows every record from `from` to `to`, in order, until `visit` has seen enough. Other tasks get their turn
/// between batches.
///
/// # Errors
/// The reader's.
pub async fn each(
    reader: &dyn EventReader,
    from: Position,
    to: Position,
    mut visit: impl FnMut(&Recorded) -> ControlFlow<()>,
) -> Result<(), ReadError> {
    let from = from.max(Position(1));
    if from > to {
        return Ok(());
    }
    let mut records = reader.read(from, BATCH).await?;
    while let Some(last) = records.last() {
        let next = last.envelope.position.next();
        // The next batch is read and decoded on another thread while this one is folded here.
        let mut ahead = (next <= to).then(|| reader.read(next, BATCH));
        let mut early = Poll::Pending;
        if let Some(ahead) = &mut ahead {
            early = poll_fn(|context| Poll::Ready(ahead.as_mut().poll(context))).await;
        }
        for recorded in &records {
            if recorded.envelope.position > to || visit(recorded).is_break() {
                return Ok(());
            }
        }
        tokio::task::yield_now().await;
        records = match (early, ahead) {
            (Poll::Ready(read), _) => read?,
            (Poll::Pending, Some(ahead)) => ahead.await?,
            (Poll::Pending, None) => return Ok(()),
        };
    }
    Ok(())
}

/// The newest snapshot of a table at `at_most` or before that can be read; an empty table when there is none.
///
/// # Errors
/// The reader's; a snapshot that cannot be read is passed over.
pub async fn newest<S: Snapshot + Default>(
    reader: &dyn EventReader,
    at_most: Position,
    open: Open<'_>,
) -> Result<S, ReadError> {
    let mut limit = at_most;
    while let Some((at, bytes)) = reader.snapshot(S::NAME, limit).await? {
        if let Ok(table) = snapshot::decode(&bytes, open) {
            return Ok(table);
        }
        if at == Position::START || at > limit {
            break;
        }
        limit = Position(at.0.saturating_sub(1));
    }
    Ok(S::default())
}

/// The exchange as of `position` (or as of the end of the book, if that comes before).
///
/// # Errors
/// The reader's.
pub async fn exchange_at(
    reader: &dyn EventReader,
    position: Position,
    open: Open<'_>,
) -> Result<Exchange, ReadError> {
    let mut exchange: Exchange = newest(reader, position, open).await?;
    each(reader, exchange.position.next(), position, |recorded| {
        exchange.evolve(recorded);
        ControlFlow::Continue(())
    })
    .await?;
    Ok(exchange)
}

/// The names of everything up to `position`.
///
/// # Errors
/// The reader's.
pub async fn names_at(
    reader: &dyn EventReader,
    position: Position,
    open: Open<'_>,
) -> Result<NameBook, ReadError> {
    let mut names: NameBook = newest(reader, position, open).await?;
    each(reader, names.position().next(), position, |recorded| {
        names.apply(recorded);
        ControlFlow::Continue(())
    })
    .await?;
    Ok(names)
}

/// All tables as of `position`.
///
/// # Errors
/// The reader's.
pub async fn tables_at(
    reader: &dyn EventReader,
    position: Position,
    open: Open<'_>,
) -> Result<Tables, ReadError> {
    let names: NameBook = newest(reader, position, open).await?;
    let calls: CallLog = newest(reader, position, open).await?;
    // The call log needs the exchange beside it, so the exchange begins no later than the others.
    let from = names.position().min(calls.position());
    let mut tables = Tables { exchange: newest(reader, from, open).await?, names, calls };
    each(reader, tables.position().next(), position, |recorded| {
        tables.apply(recorded);
        ControlFlow::Continue(())
    })
    .await?;
    Ok(tables)
}

/// The last position recorded at or before `moment`: moments of recording never run backwards, so halving finds it.
///
/// # Errors
/// The reader's.
pub async fn position_at(reader: &dyn EventReader, moment: Moment) -> Result<Position, ReadError> {
    let (mut known, mut beyond) = (0, reader.tail().0.saturating_add(1));
    while beyond - known > 1 {
        let middle = known + (beyond - known) / 2;
        let record = reader.read(Position(middle), 1).await?;
        match record.first() {
            Some(recorded) if recorded.envelope.recorded_at <= moment => known = middle,
            _ => beyond = middle,
        }
    }
    Ok(Position(known))
}
