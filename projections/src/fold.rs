//! Folding: tables from a prefix of the book, the nearest snapshot first (architecture.md way 6).

use crate::call_log::CallLog;
use crate::names::NameBook;
use crate::snapshot::{self, Open, Snapshot};
use std::future::poll_fn;
use std::ops::ControlFlow;
use std::sync::Arc;
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
        self.exchange.index();
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
pub async fn newest<S: Snapshot + Default + Send + 'static>(
    reader: &dyn EventReader,
    at_most: Position,
    open: Open<'_>,
) -> Result<S, ReadError> {
    let found = reader.snapshot(S::NAME, at_most).await?;
    decoded(reader, found, open).await
}

/// A snapshot that was found, decoded where it holds up nobody; the one before when it cannot be, and it is dropped then.
async fn decoded<S: Snapshot + Default + Send + 'static>(
    reader: &dyn EventReader,
    mut found: Option<(Position, Vec<u8>)>,
    open: Open<'_>,
) -> Result<S, ReadError> {
    while let Some((at, bytes)) = found {
        let open = Arc::clone(open);
        let work = move || snapshot::decode::<S>(&bytes, &open).ok();
        let table = match tokio::task::spawn_blocking(work).await {
            Ok(table) => table,
            // Whatever a decoder dies of, there is no snapshot.
            Err(died) if died.is_panic() => None,
            Err(_) => return Err(ReadError::Closed),
        };
        if let Some(table) = table.filter(|table| table.position() == at) {
            return Ok(table);
        }
        reader.drop_snapshot(S::NAME, at).await;
        let Some(before) = at.0.checked_sub(1) else { break };
        found = reader.snapshot(S::NAME, Position(before)).await?;
    }
    Ok(S::default())
}

/// So many batches are read while a snapshot is decoded.
const AHEAD: usize = 16;

/// Records behind a snapshot, read while that is decoded.
async fn ahead(
    reader: &dyn EventReader,
    behind: Position,
    to: Position,
) -> Result<Vec<Recorded>, ReadError> {
    let (mut records, mut next) = (Vec::new(), behind.next());
    for _ in 0..AHEAD {
        if next > to {
            break;
        }
        let batch = reader.read(next, BATCH).await?;
        let Some(last) = batch.last() else { break };
        next = last.envelope.position.next();
        records.extend(batch);
    }
    Ok(records)
}

/// Something that takes in records one after the other.
trait Folded {
    fn position(&self) -> Position;
    fn take(&mut self, recorded: &Recorded);
}

impl Folded for Exchange {
    fn position(&self) -> Position {
        self.position
    }

    fn take(&mut self, recorded: &Recorded) {
        self.evolve(recorded);
    }
}

impl Folded for NameBook {
    fn position(&self) -> Position {
        Self::position(self)
    }

    fn take(&mut self, recorded: &Recorded) {
        self.apply(recorded);
    }
}

impl Folded for Tables {
    fn position(&self) -> Position {
        Self::position(self)
    }

    fn take(&mut self, recorded: &Recorded) {
        self.apply(recorded);
    }
}

/// Takes in everything behind a snapshot, first what was read ahead.
async fn on<F: Folded>(
    reader: &dyn EventReader,
    mut folded: F,
    ahead: &[Recorded],
    to: Position,
) -> Result<F, ReadError> {
    for recorded in ahead {
        let at = recorded.envelope.position;
        if at == folded.position().next() && at <= to {
            folded.take(recorded);
        }
    }
    each(reader, folded.position().next(), to, |recorded| {
        folded.take(recorded);
        ControlFlow::Continue(())
    })
    .await?;
    Ok(folded)
}

/// One table as of `position`: its snapshot is decoded and the records behind it are read at the same time.
async fn one_at<S: Snapshot + Folded + Default + Send + 'static>(
    reader: &dyn EventReader,
    position: Position,
    open: Open<'_>,
) -> Result<S, ReadError> {
    let found = reader.snapshot(S::NAME, position).await?;
    let behind = found.as_ref().map_or(Position::START, |(at, _)| *at);
    let (table, records) =
        tokio::join!(decoded::<S>(reader, found, open), ahead(reader, behind, position));
    on(reader, table?, &records?, position).await
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
    one_at(reader, position, open).await
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
    one_at(reader, position, open).await
}

/// All tables from the newest snapshots at `position` or before, and records behind them that were read meanwhile.
///
/// # Errors
/// The reader's.
pub async fn tables_near(
    reader: &dyn EventReader,
    position: Position,
    open: Open<'_>,
) -> Result<(Tables, Vec<Recorded>), ReadError> {
    let (exchange, names, calls) = tokio::join!(
        reader.snapshot(snapshot::EXCHANGE, position),
        reader.snapshot(snapshot::NAMES, position),
        reader.snapshot(snapshot::CALL_LOG, position)
    );
    let (exchange, names, calls) = (exchange?, names?, calls?);
    let behind = exchange.as_ref().map_or(Position::START, |(at, _)| *at);
    let (exchange, names, calls, records) = tokio::join!(
        decoded::<Exchange>(reader, exchange, open),
        decoded::<NameBook>(reader, names, open),
        decoded::<CallLog>(reader, calls, open),
        ahead(reader, behind, position)
    );
    let (mut exchange, names, calls) = (exchange?, names?, calls?);
    // The call log needs the exchange beside it, so the exchange begins no later than the others.
    let from = names.position().min(calls.position());
    if exchange.position > from {
        exchange = newest(reader, from, open).await?;
    }
    Ok((Tables { exchange, names, calls }, records?))
}

/// Takes into tables everything up to `to`, first the records of `ahead` that come next.
///
/// # Errors
/// The reader's.
pub async fn tables_on(
    reader: &dyn EventReader,
    tables: Tables,
    ahead: &[Recorded],
    to: Position,
) -> Result<Tables, ReadError> {
    on(reader, tables, ahead, to).await
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
    let (tables, records) = tables_near(reader, position, open).await?;
    on(reader, tables, &records, position).await
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
