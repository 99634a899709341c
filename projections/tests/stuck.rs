//! When the book cannot be read, views stay at what they were and say so; afterwards they go on by themselves.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use async_trait::async_trait;
use common::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use switchbook_core::envelope::{Recorded, Subject};
use switchbook_core::id::CommandId;
use switchbook_core::position::Position;
use switchbook_journal::{EventReader, MemoryStore, ReadError};
use switchbook_projections::readers::{Behind, Readers};
use tokio::sync::watch;

/// A book whose disk can be pulled out.
struct Fragile {
    store: Arc<MemoryStore>,
    gone: AtomicBool,
}

impl Fragile {
    fn check(&self) -> Result<(), ReadError> {
        if !self.gone.load(Ordering::SeqCst) {
            return Ok(());
        }
        let doing = "reading the book".to_owned();
        Err(ReadError::Io { doing, source: std::io::Error::other("no disk") })
    }
}

#[async_trait]
impl EventReader for Fragile {
    fn tail(&self) -> Position {
        self.store.tail()
    }

    fn subscribe(&self) -> watch::Receiver<Position> {
        self.store.subscribe()
    }

    async fn read(&self, from: Position, limit: usize) -> Result<Vec<Recorded>, ReadError> {
        self.check()?;
        self.store.read(from, limit).await
    }

    async fn history(
        &self,
        subject: Subject,
        from: Position,
        limit: usize,
    ) -> Result<Vec<Recorded>, ReadError> {
        self.check()?;
        self.store.history(subject, from, limit).await
    }

    async fn outcome(&self, command: CommandId) -> Result<Option<(Position, Position)>, ReadError> {
        self.store.outcome(command).await
    }

    async fn snapshot(
        &self,
        name: &str,
        at_most: Position,
    ) -> Result<Option<(Position, Vec<u8>)>, ReadError> {
        self.store.snapshot(name, at_most).await
    }
}

#[tokio::test(start_paused = true)]
async fn views_say_that_they_are_behind_and_go_on_when_the_disk_is_back() {
    let mut story = Story::begun();
    story.write().await;
    let book = Arc::new(Fragile { store: story.store.clone(), gone: AtomicBool::new(false) });
    let readers = Readers::start(book.clone(), story.opener()).await.unwrap();
    book.gone.store(true, Ordering::SeqCst);
    let position = story.user(ADA, "ada");
    story.write().await;
    let behind = readers.wait_for(position).await.unwrap_err();
    assert!(matches!(behind, Behind::Stuck { at: Position(1), .. }), "{behind}");
    assert_eq!(readers.now().position(), Position(1));
    assert!(readers.wait_for(Position(1)).await.is_ok());
    book.gone.store(false, Ordering::SeqCst);
    let mut progress = readers.subscribe();
    progress.wait_for(|now| now.position == position && now.stuck.is_none()).await.unwrap();
    assert_eq!(readers.wait_for(position).await.unwrap().exchange.user_named("ada"), Some(ADA));
}
