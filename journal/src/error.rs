//! What can go wrong with the book, in words that say what happened, what it means and what to do.

use crate::backup::BackupError;
use crate::version::Version;
use std::io;
use std::path::PathBuf;
use switchbook_core::position::Position;

/// A place in the book that does not check: named, never served.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Damage {
    /// The file, by its name in the book's folder.
    pub file: String,
    /// Where in it, in bytes from its beginning.
    pub offset: u64,
    /// The record that stood there.
    pub position: Position,
    /// What does not check.
    pub what: String,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { file, offset, position, what } = self;
        write!(f, "{file} is damaged at byte {offset}, record {position}: {what}")
    }
}

/// Why the book could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A record that was durable does not check any more.
    #[error(
        "{0}. This record was safely on disk before, so this is no torn end but damage, and nothing behind it is served. Stop the server, put the segment back from a backup (the file under `segments/` of the same name), and start again"
    )]
    Damaged(Damage),
    /// Written by a newer Switchbook.
    #[error(
        "{file} has format version {found}; this Switchbook knows up to {known}. The book was written by a newer Switchbook: use that one, or a newer one still"
    )]
    Newer {
        /// Which file.
        file: String,
        /// Its version.
        found: u16,
        /// The newest known.
        known: u16,
    },
    /// A newer Switchbook wrote it last.
    #[error(
        "the book was last written by Switchbook {found}, and this is {this}: an older one would not understand it. Use {found} or a newer one; the way back from an upgrade is to restore its restore point (`switchbook backup restore`), or a backup from before"
    )]
    WrittenByNewer {
        /// Who wrote it.
        found: Version,
        /// Who wants to open it.
        this: Version,
    },
    /// No restore point could be made before an upgrade.
    #[error(
        "the book is of an older Switchbook, and its restore point could not be made: {0}. Nothing was changed; make room, and start again"
    )]
    RestorePoint(#[source] Box<BackupError>),
    /// Another process has the book.
    #[error(
        "another Switchbook has the book in {0} open for writing. Two writers would destroy it: stop the other one first, or choose another folder with --data"
    )]
    Locked(PathBuf),
    /// Files of two books in one folder.
    #[error(
        "{file} belongs to another book ({found}, expected {expected}). Files of different books were mixed in one folder: put the right file back from a backup"
    )]
    Foreign {
        /// Which file.
        file: String,
        /// Whose it is.
        found: String,
        /// Whose it should be.
        expected: String,
    },
    /// A segment is missing between two others.
    #[error(
        "the book has a gap: {after} begins at {first}, but what stands before it ends at {ends}. A segment file is missing: put it back from a backup"
    )]
    Gap {
        /// The segment behind the gap.
        after: String,
        /// Where it begins.
        first: Position,
        /// Where the ones before end.
        ends: Position,
    },
    /// No segment is there, but other files of a book are.
    #[error(
        "the book in {folder} has no segments, but {there} of a book stands there. Its events are missing: put the folder `segments` back from a backup, or choose an empty folder with --data for a new book. Nothing was changed"
    )]
    SegmentsMissing {
        /// The book's folder.
        folder: PathBuf,
        /// What of a book is there, by name.
        there: String,
    },
    /// The vault is gone while the book is there.
    #[error(
        "the vault is missing, but the book is not empty. Without it every personal field and every password is lost. Restore the file `vault` from its backup; only if there is none, start once with --accept-lost-vault"
    )]
    VaultMissing,
    /// The vault does not check.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The operating system refused.
    #[error("{doing} failed: {source}")]
    Io {
        /// What was tried.
        doing: String,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}

/// Why a read did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A record does not check; it is not served.
    #[error("{0}. It is not served. Restore the file from a backup")]
    Damaged(Damage),
    /// The record checks, but this Switchbook cannot read what it says.
    #[error("record {position} cannot be read: {what}")]
    Undecodable {
        /// Which record.
        position: Position,
        /// Why not.
        what: String,
    },
    /// The operating system refused.
    #[error("{doing} failed: {source}")]
    Io {
        /// What was tried.
        doing: String,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The reading task was stopped: the server is going down.
    #[error("the book is being closed: reading was given up")]
    Closed,
}

/// Why an append did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The store takes no writes; nothing of this group was written.
    #[error(
        "the book takes no writes: {reason}. Nothing was changed. Calls go on; mend the disk, and the book is taken up again by itself"
    )]
    Stopped {
        /// Why.
        reason: String,
    },
    /// The disk failed while this group was being written: after a restart it stands in the book whole, or not at all.
    #[error(
        "the disk failed while this was being written: {reason}. Whether it is in the book shows at the next start; ask again with the same command id"
    )]
    OutcomeUnknown {
        /// Why.
        reason: String,
    },
    /// Positions must follow the tail without a gap.
    #[error(
        "the group begins or goes on at {found}, but the book goes on at {expected}: nothing was written"
    )]
    WrongPosition {
        /// Where the book goes on.
        expected: Position,
        /// What was given.
        found: Position,
    },
    /// A commit without events, or with events of several commands.
    #[error("a commit holds the events of one command, and at least one: nothing was written")]
    NotOneCommand,
    /// A personal field was not sealed; nothing clear ever reaches the disk.
    #[error("record {0} has a personal field that was not sealed: nothing was written")]
    Unsealed(Position),
    /// The record cannot be written.
    #[error("record {position} cannot be written: {what}. Nothing was written")]
    Unwritable {
        /// Which record.
        position: Position,
        /// Why not.
        what: String,
    },
    /// No random bytes for a key or nonce.
    #[error("the operating system gives no random bytes: {0}. Nothing was sealed")]
    Random(String),
    /// The key that should seal was destroyed.
    #[error("the key {0} was destroyed by an erasure: nothing new can be sealed under it")]
    KeyDestroyed(String),
    /// A snapshot could not be kept; snapshots are caches, the book is not concerned.
    #[error("the snapshot was not kept: {0}. The book is not concerned")]
    Snapshot(String),
    /// The store is being closed.
    #[error("the book is being closed: nothing was written")]
    Closed,
}

/// Why the vault did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// An entry that was durable does not check any more.
    #[error(
        "the vault is damaged at byte {offset}: {what}. Keys or secrets behind that place are unreadable: restore the file `vault` from its backup"
    )]
    Damaged {
        /// Where.
        offset: u64,
        /// What does not check.
        what: String,
    },
    /// Written by a newer Switchbook.
    #[error(
        "the vault has format version {found}; this Switchbook knows up to {known}: use the newer Switchbook that wrote it"
    )]
    Newer {
        /// Its version.
        found: u16,
        /// The newest known.
        known: u16,
    },
    /// The vault of another book.
    #[error(
        "the vault belongs to another book ({found}, expected {expected}): put the right one back from its backup"
    )]
    Foreign {
        /// Whose it is.
        found: String,
        /// Whose it should be.
        expected: String,
    },
    /// A secret of this id and version is already there with other content.
    #[error("a secret is never overwritten: this id and version is taken; use the next version")]
    Taken,
    /// No random bytes.
    #[error("the operating system gives no random bytes: {0}")]
    Random(String),
    /// The vault's file failed before; nothing more is written through this handle.
    #[error(
        "the vault takes no writes since its disk failed: {0}. Mend the disk and resume the book"
    )]
    Stopped(String),
    /// The operating system refused.
    #[error("{doing} failed: {source}")]
    Io {
        /// What was tried.
        doing: String,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}

/// Why leases could not be put on disk.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// The operating system refused; all leases stay in memory, and the next flush writes the whole file anew.
    #[error(
        "leases could not be written ({0}): refreshes since the last second would be forgotten by a crash now"
    )]
    Io(#[from] io::Error),
}

macro_rules! io_context {
    ($($name:ident),+) => {$(
        impl $name {
            pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
                let doing = doing.into();
                move |source| Self::Io { doing, source }
            }
        }
    )+};
}

io_context!(OpenError, ReadError, VaultError);

impl From<ReadError> for OpenError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Damaged(damage) => Self::Damaged(damage),
            ReadError::Io { doing, source } => Self::Io { doing, source },
            other => Self::Io { doing: "reading the book".into(), source: io::Error::other(other) },
        }
    }
}
