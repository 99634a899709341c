//! The index is a cache: whatever happens to it, the answers are those of the segments.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::path::Path;
use std::time::{Duration, Instant};
use support::*;
use switchbook_core::envelope::Actor;
use switchbook_core::position::Position;
use switchbook_journal::{Book, EventReader, EventStore, MemoryStore, Opened, Options};

fn open(folder: &Path, index: bool) -> Opened {
    Book::open(folder, Options { index, ..Options::default() }).unwrap()
}

async fn fill(store: &Book, records: u64) {
    let mut commits = Vec::new();
    let first = store.tail().0 + 1;
    for n in first..first + records {
        let event = slot_added(n.into(), u128::from(n % 97));
        let by = if n % 10 == 0 { Actor::Admin(user(1)) } else { Actor::Phone(device(1)) };
        commits.push(commit(Position(n), by, command(n.into()), vec![event]));
    }
    for group in commits.chunks(1000) {
        store.append(group.to_vec()).await.unwrap();
    }
}

fn wait_for_index(store: &Book, upto: u64) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while store.indexed().is_none_or(|indexed| indexed.0 < upto) {
        assert!(Instant::now() < deadline, "the index stays at {:?}", store.indexed());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Asks everything that can be answered in more than one way.
async fn check(store: &Book) {
    let tail = store.tail().0;
    for from in [1, 127, 128, 129, 5_000, tail - 1] {
        let records = store.read(Position(from), 300).await.unwrap();
        let positions: Vec<u64> = records.iter().map(|r| r.envelope.position.0).collect();
        assert_eq!(positions, (from..=tail.min(from + 299)).collect::<Vec<_>>());
    }
    for n in [0_u64, 1, 50, 96] {
        let history = store.history(subject(n.into()), Position(100), 1_000_000).await.unwrap();
        let positions: Vec<u64> = history.iter().map(|r| r.envelope.position.0).collect();
        assert_eq!(positions, (100..=tail).filter(|p| p % 97 == n).collect::<Vec<_>>());
    }
    for n in [10, 11, 5_000, tail / 10 * 10] {
        let outcome = store.outcome(command(n.into())).await.unwrap();
        let expected = (n % 10 == 0).then_some((Position(n), Position(n)));
        assert_eq!(outcome, expected, "command {n}");
    }
}

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
async fn an_index_that_is_gone_or_damaged_is_made_anew_while_the_segments_serve() {
    let folder = tempfile::tempdir().unwrap();
    let damage: [fn(&Path); 4] = [
        |index| std::fs::remove_dir_all(index).unwrap(),
        |index| std::fs::write(index.join("db"), b"not a database").unwrap(),
        |index| flip_bytes(&index.join("db")),
        |index| std::fs::write(index.join("conf"), [0; 7]).unwrap(),
    ];
    {
        let opened = open(folder.path(), true);
        fill(&opened.store, 20_000).await;
        wait_for_index(&opened.store, 17_000);
    }
    for spoil in damage {
        let names = std::fs::read_dir(folder.path()).unwrap().flatten();
        let index = names.filter(|e| e.file_name().to_str().unwrap().starts_with("index-"));
        spoil(&index.last().unwrap().path());
        let opened = open(folder.path(), true);
        check(&opened.store).await;
        wait_for_index(&opened.store, opened.store.tail().0);
        check(&opened.store).await;
    }
}

fn flip_bytes(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    for at in (0..bytes.len()).step_by(1009) {
        bytes[at] ^= 0x55;
    }
    std::fs::write(path, bytes).unwrap();
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
