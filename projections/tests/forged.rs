//! A checksum is no signature: whatever a snapshot holds, the tables are those of the book, and nobody dies of it.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::*;
use switchbook_core::exchange::Exchange;
use switchbook_core::extent::Extent;
use switchbook_core::position::Position;
use switchbook_journal::{EventReader, EventStore};
use switchbook_projections::call_log::CallLog;
use switchbook_projections::fold::tables_at;
use switchbook_projections::snapshot::{self, Snapshot, closed};
use switchbook_projections::{NameBook, Tables};

/// bincode's varint of a length.
fn length(of: u64) -> Vec<u8> {
    let mut bytes = vec![0xfd];
    bytes.extend(of.to_le_bytes());
    bytes
}

/// More than any memory, more than any address, more than any count.
const HUGE: [u64; 3] = [1 << 41, 1 << 62, u64::MAX];

async fn story() -> (Story, Tables) {
    let mut story = Story::of_ada_and_bob();
    story.register(P1, 1, 3600);
    story.call(1, P1, "2001");
    story.write().await;
    let tables = tables_at(&*story.store, story.store.tail(), &closed()).await.unwrap();
    (story, tables)
}

#[tokio::test]
async fn snapshots_whose_lengths_are_forged_are_passed_over() {
    let (story, expected) = story().await;
    let at = story.store.tail();
    for huge in HUGE {
        for name in snapshot::NAMES_OF_ALL {
            story.store.put_snapshot(name, at, length(huge).repeat(40)).await.unwrap();
            let tables = tables_at(&*story.store, at, &closed()).await.unwrap();
            assert_eq!(tables, expected, "{name} with {huge}");
        }
    }
}

#[tokio::test]
async fn no_length_in_any_place_of_a_snapshot_is_believed() {
    let (_, tables) = story().await;
    let [exchange, names, calls] = tables.snapshots().map(|(_, bytes)| bytes);
    fn forged_everywhere<S: Snapshot>(bytes: &[u8]) {
        assert!(snapshot::decode::<S>(bytes, &closed()).is_ok());
        for place in 0..bytes.len() {
            for huge in HUGE {
                let mut forged = bytes.to_vec();
                forged.splice(place..=place, length(huge));
                // What is read over is no more believed than what is kept.
                let _ = snapshot::decode_of::<S>(Extent::CONFIGURATION, &forged, &closed());
                // Most are refused; a number that is no length may be anything.
                if let Ok(table) = snapshot::decode::<S>(&forged, &closed()) {
                    assert_eq!(snapshot::encode(&table).len(), forged.len(), "at {place}");
                }
            }
        }
    }
    forged_everywhere::<Exchange>(&exchange);
    forged_everywhere::<NameBook>(&names);
    forged_everywhere::<CallLog>(&calls);
}

#[tokio::test]
async fn a_snapshot_that_does_not_decode_or_stands_elsewhere_is_dropped() {
    let (story, expected) = story().await;
    let (end, before) = (story.store.tail(), Position(story.store.tail().0 - 1));
    let elsewhere = snapshot::encode(&expected.exchange);
    for (at, bytes) in [(end, b"none".to_vec()), (before, elsewhere)] {
        story.store.put_snapshot(snapshot::EXCHANGE, at, bytes).await.unwrap();
    }
    assert_eq!(tables_at(&*story.store, end, &closed()).await.unwrap(), expected);
    let left = story.store.snapshot(snapshot::EXCHANGE, end).await.unwrap();
    assert_eq!(left, None, "both are gone");
}
