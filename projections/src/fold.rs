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
use switchbook_core::extent::Extent;
use switchbook_core::position::{Moment, Position};
use switchbook_journal::{EventReader, ReadError, Stretch};
use tokio::sync::mpsc;

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

    /// The last event taken in by each, in the order of [`snapshots`](Self::snapshots).
    #[must_use]
    pub fn positions(&self) -> [Position; 3] {
        [self.exchange.position, self.names.position(), self.calls.position()]
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
    let mut from = from.max(Position(1));
    if from > to {
        return Ok(());
    }
    if let Some(mut ahead) = reader.ahead(Extent::EVERYTHING, from, to) {
        while let Some(batch) = ahead.next().await.transpose()? {
            if batch.stretch().records.iter().any(|recorded| visit(recorded).is_break()) {
                return Ok(());
            }
            from = batch.stretch().last.map_or(from, |(last, _)| last.next());
            drop(batch);
            tokio::task::yield_now().await;
        }
        if from > to {
            return Ok(());
        }
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
    decoded(reader, found, Extent::EVERYTHING, open).await
}

/// A snapshot that was found, decoded where it holds up nobody; the one before when it cannot be, and it is dropped then.
async fn decoded<S: Snapshot + Default + Send + 'static>(
    reader: &dyn EventReader,
    mut found: Option<(Position, Vec<u8>)>,
    extent: Extent,
    open: Open<'_>,
) -> Result<S, ReadError> {
    while let Some((at, bytes)) = found {
        let open = Arc::clone(open);
        let work = move || snapshot::decode_of::<S>(extent, &bytes, &open).ok();
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
    /// What is not folded went by up to here.
    fn pass(&mut self, position: Position, recorded_at: Moment);

    fn take_in(&mut self, stretch: &Stretch) {
        for recorded in &stretch.records {
            self.take(recorded);
        }
        if let Some((last, recorded_at)) = stretch.last {
            self.pass(last, recorded_at);
        }
    }
}

impl Folded for Exchange {
    fn position(&self) -> Position {
        self.position
    }

    fn take(&mut self, recorded: &Recorded) {
        self.evolve(recorded);
    }

    fn pass(&mut self, position: Position, recorded_at: Moment) {
        Self::pass(self, position, recorded_at);
    }
}

impl Folded for NameBook {
    fn position(&self) -> Position {
        Self::position(self)
    }

    fn take(&mut self, recorded: &Recorded) {
        self.apply(recorded);
    }

    fn pass(&mut self, position: Position, _: Moment) {
        Self::pass(self, position);
    }
}

impl Folded for Tables {
    fn position(&self) -> Position {
        Self::position(self)
    }

    fn take(&mut self, recorded: &Recorded) {
        self.apply(recorded);
    }

    fn pass(&mut self, position: Position, recorded_at: Moment) {
        self.exchange.pass(position, recorded_at);
        self.names.pass(position);
        self.calls.pass(position);
    }
}

/// So many records of a stretch are read at once, and so many stretches wait for whoever folds them.
const STRETCH: u64 = 2_048;
const WAITING: usize = 8;

/// Takes in everything up to `to` behind a table that stands at `behind`, as far as an extent goes. While the table is
/// decoded, and while a stretch is folded, the next ones are read and decoded on another thread.
async fn behind<F: Folded>(
    reader: &dyn EventReader,
    extent: Extent,
    behind: Position,
    to: Position,
    table: impl Future<Output = Result<F, ReadError>>,
) -> Result<F, ReadError> {
    let (read, mut come) = mpsc::channel(WAITING);
    let reading = async move {
        let mut next = behind.next();
        while next <= to {
            let limit = STRETCH.min((to.0 - next.0).saturating_add(1));
            let stretch = reader.read_of(extent, next, limit as usize).await;
            let last = stretch.as_ref().ok().and_then(|stretch| stretch.last);
            // Nobody waits for it when the table is another one than was thought.
            let (Ok(()), Some((last, _))) = (read.send(stretch).await, last) else { return };
            next = last.next();
        }
    };
    let folding = async move {
        let mut folded = table.await?;
        if folded.position() != behind {
            return Ok((folded, false));
        }
        while let Some(stretch) = come.recv().await {
            folded.take_in(&stretch?);
            tokio::task::yield_now().await;
        }
        Ok((folded, true))
    };
    let ((), folded) = tokio::join!(reading, folding);
    match folded? {
        (folded, true) => Ok(folded),
        // Its snapshot did not decode, so it stands at an earlier one.
        (folded, false) => {
            let at = folded.position();
            let again = self::behind(reader, extent, at, to, std::future::ready(Ok(folded)));
            Box::pin(again).await
        }
    }
}

/// One table as of `position`, as far as an extent goes.
async fn one_at<S: Snapshot + Folded + Default + Send + 'static>(
    reader: &dyn EventReader,
    position: Position,
    extent: Extent,
    open: Open<'_>,
) -> Result<S, ReadError> {
    let found = reader.snapshot(S::NAME, position).await?;
    let at = found.as_ref().map_or(Position::START, |(at, _)| *at);
    behind(reader, extent, at, position, decoded::<S>(reader, found, extent, open)).await
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
    exchange_of(Extent::EVERYTHING, reader, position, open).await
}

/// The same as far as an extent goes: the rest is left empty.
///
/// # Errors
/// The reader's.
pub async fn exchange_of(
    extent: Extent,
    reader: &dyn EventReader,
    position: Position,
    open: Open<'_>,
) -> Result<Exchange, ReadError> {
    one_at(reader, position, extent, open).await
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
    one_at(reader, position, Extent::CONFIGURATION, open).await
}

/// The newest snapshots at `position` or before, of which the exchange's is the oldest: it is beside the others when they
/// are folded.
type Found = Option<(Position, Vec<u8>)>;

async fn found(reader: &dyn EventReader, position: Position) -> Result<[Found; 3], ReadError> {
    let (exchange, names, calls) = tokio::join!(
        reader.snapshot(snapshot::EXCHANGE, position),
        reader.snapshot(snapshot::NAMES, position),
        reader.snapshot(snapshot::CALL_LOG, position)
    );
    Ok([exchange?, names?, calls?])
}

async fn all_decoded(
    reader: &dyn EventReader,
    [exchange, names, calls]: [Found; 3],
    extent: Extent,
    open: Open<'_>,
) -> Result<Tables, ReadError> {
    let (exchange, names, calls) = tokio::join!(
        decoded::<Exchange>(reader, exchange, extent, open),
        decoded::<NameBook>(reader, names, extent, open),
        decoded::<CallLog>(reader, calls, extent, open),
    );
    let (mut exchange, names, calls) = (exchange?, names?, calls?);
    // The call log needs the exchange beside it, so the exchange begins no later than the others.
    let from = names.position().min(calls.position());
    if exchange.position > from {
        let found = reader.snapshot(snapshot::EXCHANGE, from).await?;
        exchange = decoded(reader, found, extent, open).await?;
    }
    Ok(Tables { exchange, names, calls })
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
    let found = found(reader, position).await?;
    let behind = stands_at(&found);
    let (tables, records) = tokio::join!(
        all_decoded(reader, found, Extent::EVERYTHING, open),
        ahead(reader, behind, position)
    );
    Ok((tables?, records?))
}

fn stands_at([exchange, ..]: &[Found; 3]) -> Position {
    exchange.as_ref().map_or(Position::START, |(at, _)| *at)
}

/// Takes into tables everything up to `to`, first the records of `ahead` that come next.
///
/// # Errors
/// The reader's.
pub async fn tables_on(
    reader: &dyn EventReader,
    mut tables: Tables,
    ahead: &[Recorded],
    to: Position,
) -> Result<Tables, ReadError> {
    for recorded in ahead {
        let at = recorded.envelope.position;
        if at == tables.position().next() && at <= to {
            tables.apply(recorded);
        }
    }
    each(reader, tables.position().next(), to, |recorded| {
        tables.apply(recorded);
        ControlFlow::Continue(())
    })
    .await?;
    Ok(tables)
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
    tables_of(Extent::EVERYTHING, reader, position, open).await
}

/// The same without registrations: what a list of calls is made from.
///
/// # Errors
/// The reader's.
pub async fn calls_at(
    reader: &dyn EventReader,
    position: Position,
    open: Open<'_>,
) -> Result<Tables, ReadError> {
    tables_of(Extent::CALLS, reader, position, open).await
}

async fn tables_of(
    extent: Extent,
    reader: &dyn EventReader,
    position: Position,
    open: Open<'_>,
) -> Result<Tables, ReadError> {
    let found = found(reader, position).await?;
    let at = stands_at(&found);
    behind(reader, extent, at, position, all_decoded(reader, found, extent, open)).await
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
