//! An auditor reads the segments himself, while the server has the book open.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "../../projections/tests/common/mod.rs"]
mod common;

use common::*;
use switchbook_core::extent::Extent;
use switchbook_core::personal::{HasPersonal, Personal};
use switchbook_core::position::Position;
use switchbook_journal::{Book, Commit, EventReader, EventStore, Options};
use switchbook_projections::fold;
use switchbook_projections::snapshot::closed;
use switchbook_replay::{At, Request, SegmentBook, as_of, history, state_hash};

#[tokio::test]
async fn the_segments_give_the_same_state_as_the_server_with_personal_fields_closed() {
    let folder = tempfile::tempdir().unwrap();
    let opened = Book::open(folder.path(), Options::default()).unwrap();
    let book = opened.store;
    let story = Story::of_ada_and_bob();
    let mut commits = Vec::new();
    for mut recorded in story.records {
        // Sealed again under this book's keys.
        let mut reopened = recorded.event.clone();
        reopened.each_personal(&mut |value| {
            *value = Personal::new(value.key(), value.known().unwrap());
        });
        book.seal(&mut reopened).unwrap();
        recorded.event = reopened;
        commits.push(Commit { records: vec![recorded] });
    }
    book.append(commits).await.unwrap();

    let vault = book.vault().clone();
    let open: switchbook_projections::snapshot::Opener = vault.clone();
    let asked = as_of::state(&*book, At::Now, &open).await.unwrap();
    let segments = SegmentBook::open(folder.path(), None).unwrap();
    assert_eq!(segments.tail(), book.tail());
    let read = as_of::state(&segments, At::Now, &closed()).await.unwrap();
    assert_eq!(state_hash(&read), state_hash(&asked));
    assert!(read.user_named("ada").is_none() && asked.user_named("ada").is_some());

    for at in 1..=book.tail().0 {
        for extent in [Extent::EVERYTHING, Extent::CONFIGURATION, Extent::CALLS] {
            let asked = fold::exchange_of(extent, &*book, Position(at), &open).await.unwrap();
            let read = fold::exchange_of(extent, &segments, Position(at), &closed()).await.unwrap();
            assert_eq!(state_hash(&read), state_hash(&asked), "{extent:?} at {at}");
        }
    }

    let request = Request { object: Some("number:100".into()), ..Request::default() };
    let page = history(&segments, &request, &closed()).await.unwrap();
    let last = page.entries.last().unwrap();
    assert_eq!(last.kind, "ScheduleAdded");
    assert_eq!(last.by.en, "administrator [erased] on behalf of [erased]");
    let with_vault = SegmentBook::open(folder.path(), Some(book.vault().clone())).unwrap();
    let page = history(&with_vault, &request, &closed()).await.unwrap();
    assert_eq!(page.entries.last().unwrap().by.en, "administrator bob on behalf of ada");
}
