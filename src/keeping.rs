//! Keeps the tables as snapshots while the server runs, so that a start after a crash folds a stretch of the book and not
//! all of it.

use std::sync::Arc;
use switchbook_core::position::Position;
use switchbook_journal::EventStore;
use switchbook_projections::fold::Tables;
use switchbook_projections::readers::Readers;
use switchbook_projections::snapshot;

/// So many events lie between two snapshots: a start folds no more than these, and writing them costs more than the
/// snapshot does.
pub const STRIDE: u64 = 65_536;

/// Keeps the tables whenever they have come `stride` events further, until the readers end. A book without a snapshot, or
/// with an old one, gets one at once.
pub async fn run(readers: Arc<Readers>, store: Arc<dyn EventStore>, stride: u64) {
    let newest = store.snapshot(snapshot::EXCHANGE, store.tail()).await;
    let mut kept = newest.ok().flatten().map_or(Position::START, |(at, _)| at);
    let mut progress = readers.subscribe();
    // Only reads the channel of the readers: their end is the end of this.
    while progress.wait_for(|now| now.position.0 >= kept.0.saturating_add(stride)).await.is_ok() {
        let tables = readers.now();
        kept = tables.position();
        keep(tables, &*store).await;
    }
}

/// Keeps these tables. What cannot be kept is told and no reason to stop: the next start folds more.
pub async fn keep(tables: Arc<Tables>, store: &dyn EventStore) {
    let at = tables.position();
    // Some megabytes with thousands of users: not on a task that serves others.
    let encoded = tokio::task::spawn_blocking(move || tables.snapshots()).await;
    let Ok(encoded) = encoded else {
        tracing::warn!("the tables could not be encoded; the next start folds more");
        return;
    };
    for (name, bytes) in encoded {
        if let Err(error) = store.put_snapshot(name, at, bytes).await {
            tracing::warn!(%error, name, "a snapshot was not kept; the next start folds more");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchbook_core::envelope::{Actor, Envelope, Recorded};
    use switchbook_core::id::{CommandId, CorrelationId};
    use switchbook_core::position::Moment;
    use switchbook_core::settings::ServerStarted;
    use switchbook_journal::{Commit, EventReader, MemoryStore};

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
    #[tokio::test]
    async fn tables_are_kept_while_the_server_runs() {
        let store = Arc::new(MemoryStore::default());
        append(&store, 10).await;
        let readers = Readers::start(store.clone(), Arc::new(|_, _| None)).await.unwrap();
        let readers = Arc::new(readers);
        let keeping = tokio::spawn(run(readers.clone(), store.clone(), 10));
        let kept = |from: u64| {
            let store = store.clone();
            async move {
                loop {
                    // The call log is the last of them.
                    let found = store.snapshot(snapshot::CALL_LOG, Position(99)).await.unwrap();
                    if let Some((at, _)) = found.filter(|(at, _)| at.0 >= from) {
                        return at;
                    }
                    tokio::task::yield_now().await;
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
}
