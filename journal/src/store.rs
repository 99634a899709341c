//! The two sides of the book: [`EventReader`] reads, [`EventStore`] appends. Whoever is handed the first cannot
//! append.

use crate::book::Ahead;
use crate::error::{AppendError, ReadError};
use async_trait::async_trait;
use switchbook_core::envelope::{Recorded, Subject};
use switchbook_core::extent::Extent;
use switchbook_core::id::CommandId;
use switchbook_core::personal::HasPersonal;
use switchbook_core::position::{Moment, Position};
use tokio::sync::watch;

/// One command's events, in their envelopes, at contiguous positions: in the book whole or not at all.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Commit {
    /// The events in order; at least one.
    pub records: Vec<Recorded>,
}

/// Does the book take writes?
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Health {
    /// Yes.
    Writable,
    /// No, since the disk failed; reads go on.
    ReadOnly {
        /// What failed, in words for a person.
        reason: String,
    },
}

/// A stretch of the book, of which only some events were wanted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Stretch {
    /// The records that were.
    pub records: Vec<Recorded>,
    /// The last record of the stretch, wanted or not, and when it was recorded; none when the book does not go so far.
    pub last: Option<(Position, Moment)>,
}

/// Reading the book.
#[async_trait]
pub trait EventReader: Send + Sync {
    /// The last durable position; [`Position::START`] for an empty book.
    fn tail(&self) -> Position;

    /// Follows the tail: changes whenever something became durable.
    fn subscribe(&self) -> watch::Receiver<Position>;

    /// Records at `from` and behind, in order, at most `limit`.
    async fn read(&self, from: Position, limit: usize) -> Result<Vec<Recorded>, ReadError>;

    /// Of the records at `from` and behind, at most `limit`, those whose event is in this extent. The others are checked
    /// as they are by [`read`](Self::read), and not decoded where the book can do without.
    async fn read_of(
        &self,
        extent: Extent,
        from: Position,
        limit: usize,
    ) -> Result<Stretch, ReadError> {
        let mut records = self.read(from, limit).await?;
        let last = records.last().map(|last| (last.envelope.position, last.envelope.recorded_at));
        records.retain(|recorded| extent.takes(recorded.event.tag()));
        Ok(Stretch { records, last })
    }

    /// Reads ahead from `from` to `to` what is in this extent, where the book has threads for that and the stretch is worth
    /// it; else it is for the caller to [`read`](Self::read) on. Of what comes, records are the same, and so is the first
    /// error.
    fn ahead(&self, _: Extent, _from: Position, _to: Position) -> Option<Ahead> {
        None
    }

    /// Records that concern `subject`, at `from` and behind, in order, at most `limit`.
    async fn history(
        &self,
        subject: Subject,
        from: Position,
        limit: usize,
    ) -> Result<Vec<Recorded>, ReadError>;

    /// First and last position of a command's events, if it is in the book. Only commands of supervisors, admins,
    /// users and auditors are remembered.
    async fn outcome(&self, command: CommandId) -> Result<Option<(Position, Position)>, ReadError>;

    /// The newest snapshot of this name at `at_most` or before.
    async fn snapshot(
        &self,
        name: &str,
        at_most: Position,
    ) -> Result<Option<(Position, Vec<u8>)>, ReadError>;

    /// Drops a snapshot that its reader could not decode, so that nobody tries it again. Does nothing where what is read
    /// is not ours to change.
    async fn drop_snapshot(&self, _name: &str, _at: Position) {}
}

/// Appending to the book. There is one writer.
#[async_trait]
pub trait EventStore: EventReader {
    /// Seals every personal field of an event, or a field by itself; keys are made as needed and are on disk before the record.
    ///
    /// # Errors
    /// When a key was destroyed, or the operating system has no random bytes.
    fn seal(&self, fields: &mut dyn HasPersonal) -> Result<(), AppendError>;

    /// Appends a group of commits; answers when all of it is durable, with the last position. Groups of several
    /// callers share one write and one fdatasync. Each commit's first position must follow what was given before.
    ///
    /// # Errors
    /// Nothing was written, except with [`AppendError::OutcomeUnknown`].
    async fn append(&self, commits: Vec<Commit>) -> Result<Position, AppendError>;

    /// Keeps a snapshot of the state behind the record at `at`, and drops those of the same name that stand between two
    /// others nearer than [`spacing`](crate::spacing) records. Snapshots are caches: they may be gone at any time.
    ///
    /// # Errors
    /// When the disk does not take it, or the book does not go so far; nothing else is concerned.
    async fn put_snapshot(
        &self,
        name: &str,
        at: Position,
        bytes: Vec<u8>,
    ) -> Result<(), AppendError>;

    /// Drops all snapshots of other names: their shape is of another version, and nobody reads them any more.
    async fn only_snapshots(&self, names: &[&str]) -> Result<(), AppendError>;

    /// Does it take writes?
    fn health(&self) -> Health;

    /// After a disk failure: begins a new segment and takes writes again. Says where the book validly ended; what
    /// was answered with [`AppendError::OutcomeUnknown`] before is now certainly not in it.
    ///
    /// # Errors
    /// When the disk is not well yet.
    async fn resume(&self) -> Result<Position, AppendError>;
}
