//! Keeps the tables as snapshots along the book, so that a start after a crash, and a look at any place of the past, folds
//! a stretch of the book and not all of it.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;
use switchbook_core::position::Position;
use switchbook_journal::{EventStore, RECORD, ReadError, SPACING};
use switchbook_projections::fold::{self, Tables};
use switchbook_projections::readers::Readers;
use switchbook_projections::snapshot::{NAMES_OF_ALL, Open};

/// So many events lie between two snapshots, at least.
pub const STRIDE: u64 = SPACING;
/// So many tables wait at most until the server has time to keep them: they share nearly all their memory.
const WAITING: usize = 4;
/// The server has time when fewer than so many events came in a [`BEAT`].
const FEW: u64 = 64;
const BEAT: Duration = Duration::from_millis(250);

/// Takes the tables up from the newest snapshots and folds them to the end of the book. Where many events lie between,
/// snapshots are kept on the way: a book that comes without any is folded once in its life. Says also where the newest are.
///
/// # Errors
/// The reader's.
pub async fn take_up(
    store: &Arc<dyn EventStore>,
    open: Open<'_>,
    stride: u64,
) -> Result<(Tables, Position), ReadError> {
    let tail = store.tail();
    let (mut tables, mut ahead) = fold::tables_near(&**store, tail, open).await?;
    let mut keeping: Option<tokio::task::JoinHandle<Option<u64>>> = None;
    let (mut apart, mut kept) = (stride, tables.position());
    while tables.position() < tail {
        let from = tables.position();
        let stop = Position(from.0.saturating_add(apart)).min(tail);
        tables = fold::tables_on(&**store, tables, &std::mem::take(&mut ahead), stop).await?;
        if tables.position() == from {
            break;
        }
        if tables.position().0 - from.0 >= apart {
            // One at a time, beside the folding.
            if let Some(before) = keeping.take() {
                apart = stride_for(stride, before.await.ok().flatten());
            }
            kept = tables.position();
            let (now, store) = (Arc::new(tables.clone()), Arc::clone(store));
            keeping = Some(tokio::spawn(async move { keep(now, &*store).await }));
        }
    }
    Ok((tables, kept))
}

fn stride_for(stride: u64, bytes: Option<u64>) -> u64 {
    stride.max(bytes.unwrap_or(0) / RECORD)
}

/// Keeps the tables whenever they have come `stride` events further, until the readers end; `kept` is where the newest
/// snapshots are. It is done when the server has time, or else when several wait.
pub async fn run(readers: Arc<Readers>, store: Arc<dyn EventStore>, kept: Position, stride: u64) {
    if let Err(error) = store.only_snapshots(&NAMES_OF_ALL).await {
        tracing::debug!(%error, "snapshots of another version stay");
    }
    let (mut seen, mut apart) = (kept, stride);
    let mut waiting: VecDeque<Arc<Tables>> = VecDeque::new();
    let mut progress = readers.subscribe();
    let mut beat = readers.now().position();
    loop {
        let rest = async {
            match waiting.is_empty() {
                true => pending().await,
                false => tokio::time::sleep(BEAT).await,
            }
        };
        // Only reads the channel of the readers: their end is the end of this.
        let mut quiet = false;
        tokio::select! {
            further = progress.wait_for(|now| now.position.0 >= seen.0.saturating_add(apart)) => {
                if further.is_err() {
                    return;
                }
                let tables = readers.now();
                seen = tables.position();
                waiting.push_back(tables);
            }
            () = rest => {
                let now = readers.now().position();
                quiet = now.0.saturating_sub(beat.0) < FEW;
                beat = now;
            }
        }
        if (quiet || waiting.len() > WAITING)
            && let Some(tables) = waiting.pop_front()
        {
            apart = stride_for(stride, keep(tables, &*store).await);
        }
    }
}

/// Keeps these tables and says how many bytes they are. What cannot be kept is told and no reason to stop: the next start,
/// and looks at that time, fold more.
pub async fn keep(tables: Arc<Tables>, store: &dyn EventStore) -> Option<u64> {
    let at = tables.position();
    let stands = tables.positions();
    // Some megabytes with thousands of users: not on a task that serves others.
    let encoded = tokio::task::spawn_blocking(move || tables.snapshots()).await;
    let Ok(encoded) = encoded else {
        tracing::warn!("the tables could not be encoded; the next start folds more");
        return None;
    };
    let mut bytes = 0;
    for ((name, table), stands) in encoded.into_iter().zip(stands) {
        bytes += table.len() as u64;
        // One whose snapshots were not lost is farther than one whose were: it has a sound one here, or needs none.
        if stands != at {
            continue;
        }
        if let Err(error) = store.put_snapshot(name, at, table).await {
            tracing::warn!(%error, name, "a snapshot was not kept; the next start folds more");
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchbook_core::envelope::{Actor, Envelope, Recorded};
    use switchbook_core::exchange::Exchange;
    use switchbook_core::id::{CommandId, CorrelationId};
    use switchbook_core::position::Moment;
    use switchbook_core::settings::ServerStarted;
    use switchbook_journal::{Commit, EventReader, MemoryStore};
    use switchbook_projections::NameBook;
    use switchbook_projections::call_log::CallLog;
    use switchbook_projections::snapshot::{self, Snapshot};

    async fn append(store: &MemoryStore, many: u64) {
        for _ in 0..many {
            let position = store.tail().next();
            let command = uuid::Uuid::from_u128(u128::from(position.0));
            let started = ServerStarted { version: "0.1.0".into(), clean: true };
            let event = switchbook_core::event::Event::from(started);
            let envelope = Envelope {
                position,
                recorded_at: Moment(1),
                moment: Moment(1),
                actor: Actor::System,
                on_behalf_of: None,
                source: None,
                cause: None,
                correlation: CorrelationId(command),
                command: CommandId(command),
                subjects: event.subjects(),
            };
            let records = vec![Recorded { envelope, event }];
            store.append(vec![Commit { records }]).await.unwrap();
        }
    }

    /// A book of 5 million events was folded from the beginning, twice, when the server had been killed: snapshots were
    /// kept at a proper stop only.
    #[tokio::test(start_paused = true)]
    async fn tables_are_kept_while_the_server_runs() {
        let store = Arc::new(MemoryStore::default());
        append(&store, 10).await;
        let readers = Readers::start(store.clone(), snapshot::closed()).await.unwrap();
        let readers = Arc::new(readers);
        let keeping = tokio::spawn(run(readers.clone(), store.clone(), Position::START, 10));
        let kept = |from: u64| {
            let store = store.clone();
            async move {
                loop {
                    // The call log is the last of them.
                    let found = store.snapshot(snapshot::CALL_LOG, Position(99)).await.unwrap();
                    if let Some((at, _)) = found.filter(|(at, _)| at.0 >= from) {
                        return at;
                    }
                    tokio::time::sleep(BEAT).await;
                }
            }
        };
        assert_eq!(kept(1).await, Position(10));
        append(&store, 9).await;
        readers.wait_for(Position(19)).await.unwrap();
        let exchange = store.snapshot(snapshot::EXCHANGE, Position(99)).await.unwrap();
        assert_eq!(exchange.map(|(at, _)| at), Some(Position(10)), "nine are not worth one");
        append(&store, 1).await;
        assert_eq!(kept(11).await, Position(20));
        keeping.abort();
    }

    /// Looks at the far past of a book of 5 million events took up to 21 seconds: only the three newest snapshots were kept.
    #[tokio::test]
    async fn a_book_without_snapshots_gets_them_all_along_when_it_is_taken_up() {
        let memory = Arc::new(MemoryStore::default());
        append(&memory, SPACING * 3 + 100).await;
        let store: Arc<dyn EventStore> = memory.clone();
        let (tables, kept) = take_up(&store, &snapshot::closed(), STRIDE).await.unwrap();
        assert_eq!(tables.position(), memory.tail());
        assert_eq!(kept, Position(SPACING * 3));
        for asked in [SPACING, SPACING * 2 - 1, SPACING * 2, SPACING * 3 + 99] {
            // The last one may be on its way still.
            let wanted = Position((asked / SPACING * SPACING).min(SPACING * 2));
            for name in NAMES_OF_ALL {
                let found = memory.snapshot(name, Position(asked)).await.unwrap();
                assert!(found.is_some_and(|(at, _)| at >= wanted), "{name} at {asked}");
            }
        }
        let again = take_up(&store, &snapshot::closed(), STRIDE).await.unwrap();
        assert_eq!(again.0, tables, "from the snapshots it is the same");
    }

    /// A table whose snapshots were lost begins earlier than the others: those were kept over sound ones, as of too early a place.
    #[tokio::test]
    async fn a_table_is_kept_where_it_stands_and_nowhere_else() {
        let memory = Arc::new(MemoryStore::default());
        append(&memory, SPACING * 3 + 100).await;
        let store: Arc<dyn EventStore> = memory.clone();
        take_up(&store, &snapshot::closed(), STRIDE).await.unwrap();
        let places = [1, 2, 3].map(|n| Position(SPACING * n));
        for at in places {
            memory.drop_snapshot(snapshot::EXCHANGE, at).await;
        }
        let lost = memory.snapshot(snapshot::EXCHANGE, memory.tail()).await.unwrap();
        assert_eq!(lost, None);
        take_up(&store, &snapshot::closed(), STRIDE).await.unwrap();
        fn stands<S: Snapshot>(bytes: &[u8]) -> Position {
            snapshot::decode::<S>(bytes, &snapshot::closed()).unwrap().position()
        }
        for asked in places {
            let found = |name| memory.snapshot(name, asked);
            let (at, bytes) = found(snapshot::NAMES).await.unwrap().unwrap();
            assert_eq!(stands::<NameBook>(&bytes), at, "names");
            let (at, bytes) = found(snapshot::CALL_LOG).await.unwrap().unwrap();
            assert_eq!(stands::<CallLog>(&bytes), at, "calls");
        }
        let (at, bytes) = memory.snapshot(snapshot::EXCHANGE, places[1]).await.unwrap().unwrap();
        assert!(at >= places[0] && stands::<Exchange>(&bytes) == at, "laid again");
    }

    /// Encoding the tables of ten thousand users is work for a tenth of a second: it waits until there is time for it.
    #[tokio::test(start_paused = true)]
    async fn under_load_tables_wait_and_are_kept_when_there_is_time() {
        let store = Arc::new(MemoryStore::default());
        let readers = Arc::new(Readers::start(store.clone(), snapshot::closed()).await.unwrap());
        let keeping = tokio::spawn(run(readers.clone(), store.clone(), Position::START, 200));
        tokio::time::sleep(BEAT).await;
        let there = || async { store.snapshot(snapshot::EXCHANGE, Position(9_999)).await.unwrap() };
        for _ in 0..3 {
            append(&store, 200).await;
            readers.wait_for(store.tail()).await.unwrap();
            tokio::time::sleep(BEAT).await;
            assert_eq!(there().await, None, "nothing under load");
        }
        tokio::time::sleep(BEAT * 8).await;
        assert_eq!(there().await.map(|(at, _)| at), Some(Position(600)));
        keeping.abort();
    }
}
