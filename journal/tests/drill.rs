//! The disaster drill: what is left when nearly everything is gone.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use support::*;
use switchbook_core::event::Event;
use switchbook_core::personal::Reading;
use switchbook_core::position::{Moment, Position};
use switchbook_journal::{Book, EventReader, EventStore, OpenError, Options};

/// Everything that can be lost is lost at once: sled and its snapshots, the end of the last segment, the vault. The book
/// says what is missing; with the vault from the backup it serves all that was acknowledged.
#[tokio::test]
async fn disaster_drill() {
    let folder = tempfile::tempdir().unwrap();
    let book = folder.path().join("book");
    let place = folder.path().join("backup");
    let indexed = || Book::open(&book, Options { segment_bytes: 2000, ..Options::default() });
    let acknowledged = {
        let opened = indexed().unwrap();
        people(&opened, 1..=20).await;
        opened.store.put_snapshot("exchange/1", Position(40), vec![1; 5000]).await.unwrap();
        opened.store.back_up(&place, Moment(5)).await.unwrap();
        // After the backup, about people it knows.
        append(&*opened.store, 21, vec![renamed(1, "Ada L.")]).await
    };
    for entry in std::fs::read_dir(&book).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        if name.starts_with("index-") || name == "snapshots" {
            std::fs::remove_dir_all(entry.path()).unwrap();
        }
    }
    assert!(!book.join("snapshots").exists());
    let segments = std::fs::read_dir(book.join("segments")).unwrap().flatten();
    let last = segments.map(|entry| entry.path()).max().unwrap();
    let mut torn = std::fs::read(&last).unwrap();
    torn.extend_from_slice(&[0x5a; 700]);
    std::fs::write(&last, torn).unwrap();
    std::fs::remove_file(book.join("vault")).unwrap();
    assert!(matches!(indexed(), Err(OpenError::VaultMissing)));
    std::fs::copy(place.join("vault"), book.join("vault")).unwrap();
    let opened = indexed().unwrap();
    assert_eq!((opened.report.tail, opened.report.cut_bytes), (acknowledged, 700));
    let all = opened.store.read(Position(1), 999).await.unwrap();
    assert_eq!(all.len() as u64, acknowledged.0);
    for record in &all {
        match &record.event {
            Event::UserAdded(event) => assert_eq!(event.username.read(), Reading::Known("ada")),
            Event::UserRenamed(event) => {
                assert_eq!(event.display_name.read(), Reading::Known("Ada L."));
            }
            _ => {}
        }
    }
    assert_eq!(opened.store.history(subject(1), Position(1), 99).await.unwrap().len(), 3);
    assert_eq!(opened.store.snapshot("exchange/1", acknowledged).await.unwrap(), None);
}
