//! The index is a cache: whatever happens to it, the answers are those of the segments.

#![allow(clippy::unwrap_used, missing_docs)]

mod questions;
mod support;

use questions::*;

use switchbook_core::position::Position;
use switchbook_journal::{EventReader, EventStore, MemoryStore};

#[tokio::test]
async fn answers_are_the_same_with_and_without_an_index() {
    let folder = tempfile::tempdir().unwrap();
    {
        let opened = open(folder.path(), false);
        fill(&opened.store, 40_000).await;
        check(&opened.store).await;
    }
    let opened = open(folder.path(), true);
    check(&opened.store).await;
    wait_for_index(&opened.store, 40_000);
    check(&opened.store).await;
    // Enough for runs to be merged more than once.
    for _ in 0..9 {
        fill(&opened.store, 8_000).await;
        wait_for_index(&opened.store, opened.store.tail().0 - 3_000);
    }
    check(&opened.store).await;
}

#[tokio::test]
async fn snapshots_come_back_whole_and_the_newest_not_after_the_asked_position() {
    let folder = tempfile::tempdir().unwrap();
    let opened = open(folder.path(), true);
    fill(&opened.store, 100).await;
    let large: Vec<u8> = (0..300_000_u32).map(|n| n as u8).collect();
    opened.store.put_snapshot("exchange", Position(10), b"ten".to_vec()).await.unwrap();
    opened.store.put_snapshot("exchange", Position(20), large.clone()).await.unwrap();
    opened.store.put_snapshot("other", Position(15), Vec::new()).await.unwrap();
    let get = |name, at| opened.store.snapshot(name, Position(at));
    assert_eq!(get("exchange", 9).await.unwrap(), None);
    assert_eq!(get("exchange", 19).await.unwrap(), Some((Position(10), b"ten".to_vec())));
    assert_eq!(get("exchange", 99).await.unwrap(), Some((Position(20), large)));
    assert_eq!(get("other", 99).await.unwrap(), Some((Position(15), Vec::new())));
    assert_eq!(get("exchang", 99).await.unwrap(), None);
}

async fn keeps_the_newest_three_of_each_name(store: &dyn EventStore) {
    let large = vec![7; 200_000];
    for at in 1..=6 {
        store.put_snapshot("exchange/1", Position(at * 10), large.clone()).await.unwrap();
        store.put_snapshot("names/1", Position(at), vec![at as u8]).await.unwrap();
    }
    // One from before those that are kept is not kept, and drives none of them out.
    store.put_snapshot("exchange/1", Position(5), b"late".to_vec()).await.unwrap();
    let mut at_most = Position(99);
    let mut kept = Vec::new();
    while let Some((at, bytes)) = store.snapshot("exchange/1", at_most).await.unwrap() {
        assert_eq!(bytes, large);
        kept.push(at.0);
        at_most = Position(at.0 - 1);
    }
    assert_eq!(kept, [60, 50, 40]);
    assert_eq!(store.snapshot("names/1", Position(3)).await.unwrap(), None);
    let fourth = store.snapshot("names/1", Position(4)).await.unwrap();
    assert_eq!(fourth, Some((Position(4), vec![4])));
}

#[tokio::test]
async fn old_snapshots_go_when_new_ones_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let opened = open(folder.path(), true);
    fill(&opened.store, 100).await;
    keeps_the_newest_three_of_each_name(&*opened.store).await;
    keeps_the_newest_three_of_each_name(&MemoryStore::default()).await;
}
