//! Following the book: a writer sees its own write, rebuilt equals followed, readers start from snapshots.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::*;
use std::sync::Arc;
use switchbook_core::call::{CallEnded, CallOutcome, ReleaseCause};
use switchbook_core::position::Position;
use switchbook_journal::{EventReader, EventStore};
use switchbook_projections::fold::{self, Tables};
use switchbook_projections::readers::Readers;
use switchbook_projections::snapshot;

async fn followed(story: &Story) -> Readers {
    let reader: Arc<dyn EventReader> = story.store.clone();
    Readers::start(reader, story.opener()).await.unwrap()
}

#[tokio::test]
async fn a_writer_sees_its_own_write() {
    let mut story = Story::begun();
    story.write().await;
    let readers = followed(&story).await;
    let position = story.user(ADA, "ada");
    story.write().await;
    let tables = readers.wait_for(position).await.unwrap();
    assert_eq!(tables.exchange.user_named("ada"), Some(ADA));
    assert_eq!(tables.position(), tables.names.position());
    assert_eq!(tables.position(), tables.calls.position());
}

#[tokio::test]
async fn every_table_rebuilt_from_scratch_equals_the_one_followed_live() {
    let mut story = Story::of_ada_and_bob();
    story.write().await;
    let readers = followed(&story).await;
    for round in 0..50u128 {
        let call = story.call(0x1000 + round, P3, "100");
        story.pass(3);
        story.tell(CallEnded {
            call,
            outcome: CallOutcome::Cancelled,
            ended_at: story.now,
            cause: ReleaseCause::NORMAL,
            rang: vec![P1, P2],
        });
        story.write().await;
        if round == 20 {
            let position = story.exchange.position;
            let live = readers.wait_for(position).await.unwrap();
            assert_eq!(
                *live,
                fold::tables_at(&*story.store, position, &story.opener()).await.unwrap()
            );
        }
    }
    let tail = story.exchange.position;
    let live = readers.wait_for(tail).await.unwrap();
    let scratch = fold::tables_at(&*story.store, tail, &story.opener()).await.unwrap();
    assert_eq!(*live, scratch);
}

#[tokio::test]
async fn readers_start_from_snapshots_and_come_to_the_same() {
    let mut story = Story::of_ada_and_bob();
    story.write().await;
    let half = Position(story.exchange.position.0 / 2);
    let open = story.opener();
    let before = fold::tables_at(&*story.store, half, &open).await.unwrap();
    for (name, bytes) in before.snapshots() {
        story.store.put_snapshot(name, half, bytes).await.unwrap();
    }
    // A newer one that cannot be read is passed over.
    story.store.put_snapshot(snapshot::EXCHANGE, half.next(), vec![1, 2, 3]).await.unwrap();
    let tables = followed(&story).await.now();
    let mut scratch = Tables::default();
    story.records.iter().for_each(|recorded| scratch.apply(recorded));
    assert_eq!(*tables, scratch);
    assert_eq!(tables.exchange.user_named("bob"), Some(BOB));
    assert_eq!(tables.snapshots(), scratch.snapshots());
}

#[tokio::test]
async fn a_moment_is_found_by_halving() {
    let mut story = Story::begun();
    for n in 0..30 {
        story.pass(10);
        story.user(switchbook_core::id::UserId(id(0x100 + n)), &format!("u{n}"));
    }
    story.write().await;
    for recorded in &story.records {
        let moment = recorded.envelope.recorded_at;
        let at = async |moment| fold::position_at(&*story.store, moment).await.unwrap();
        assert_eq!(at(moment).await, recorded.envelope.position);
        assert_eq!(at(moment.plus_seconds(9)).await, recorded.envelope.position);
        assert_eq!(at(moment.plus_seconds(-1)).await.next(), recorded.envelope.position);
    }
}
