//! The book's own segment files as a reader: without the server, without a lock, also while a server writes them.
//!
//! There is no index and no snapshot here: an auditor does not ask the suspect, so everything is folded from the
//! records themselves. Personal fields stay closed unless a vault is given.

use async_trait::async_trait;
use std::path::Path;
use std::sync::Arc;
use switchbook_core::envelope::{Recorded, Subject};
use switchbook_core::extent::Extent;
use switchbook_core::id::CommandId;
use switchbook_core::position::Position;
use switchbook_journal::{EventReader, OpenError, ReadError, SegmentReader, Stretch, Vault};
use tokio::sync::watch;

/// The segments as they were durable when this was opened.
pub struct SegmentBook {
    segments: SegmentReader,
    vault: Option<Arc<Vault>>,
    tail: watch::Sender<Position>,
}

impl SegmentBook {
    /// Opens the book in a folder.
    ///
    /// # Errors
    /// When heads do not check, a segment is missing, or the book is of a newer version.
    pub fn open(folder: &Path, vault: Option<Arc<Vault>>) -> Result<Self, OpenError> {
        Ok(Self::of(SegmentReader::open(folder)?, vault))
    }

    /// The same on segments that are open already.
    #[must_use]
    pub fn of(segments: SegmentReader, vault: Option<Arc<Vault>>) -> Self {
        let (tail, _) = watch::channel(segments.tail());
        Self { segments, vault, tail }
    }

    fn records(&self, from: Position) -> impl Iterator<Item = Result<Recorded, ReadError>> + '_ {
        let tail = self.segments.tail();
        self.segments.records(from.max(Position(1)), self.vault.as_ref()).take_while(
            move |record| record.as_ref().map_or(true, |one| one.envelope.position <= tail),
        )
    }
}

#[async_trait]
impl EventReader for SegmentBook {
    fn tail(&self) -> Position {
        self.segments.tail()
    }

    fn subscribe(&self) -> watch::Receiver<Position> {
        self.tail.subscribe()
    }

    async fn read(&self, from: Position, limit: usize) -> Result<Vec<Recorded>, ReadError> {
        if from > self.segments.tail() {
            return Ok(Vec::new());
        }
        self.records(from).take(limit).collect()
    }

    async fn read_of(
        &self,
        extent: Extent,
        from: Position,
        limit: usize,
    ) -> Result<Stretch, ReadError> {
        self.segments.stretch(extent, from.max(Position(1)), limit, self.vault.as_ref())
    }

    async fn history(
        &self,
        subject: Subject,
        from: Position,
        limit: usize,
    ) -> Result<Vec<Recorded>, ReadError> {
        if from > self.segments.tail() {
            return Ok(Vec::new());
        }
        let concerns = |record: &Result<Recorded, ReadError>| {
            record.as_ref().map_or(true, |one| one.envelope.subjects.contains(&subject))
        };
        self.records(from).filter(concerns).take(limit).collect()
    }

    async fn outcome(&self, command: CommandId) -> Result<Option<(Position, Position)>, ReadError> {
        let mut found: Option<(Position, Position)> = None;
        for record in self.records(Position(1)) {
            let envelope = record?.envelope;
            if envelope.command == command {
                let first = found.map_or(envelope.position, |(first, _)| first);
                found = Some((first, envelope.position));
            }
        }
        Ok(found)
    }

    async fn snapshot(
        &self,
        _: &str,
        _: Position,
    ) -> Result<Option<(Position, Vec<u8>)>, ReadError> {
        Ok(None)
    }
}
