//! Backups: a consistent copy of segments, vault and leases, made while the book is written; with a list of hashes, so
//! that whoever restores it knows that it is whole. A backup in a folder is a closed book itself: every reader of the
//! book can read it where it lies.
//!
//! The vault is in it: whoever has a backup can read everything that was not erased before it was made.

mod create;
mod erase;
mod erasures;
mod manifest;
mod point;
mod restore;
mod source;

pub(crate) use create::{Snapshot, is_free};
pub use create::{outside, put_in_place};
pub use erase::RestorePoints;
pub use erasures::{ErasureList, read_erasures};
pub use manifest::{FileSum, MANIFEST, Manifest};
pub use point::prune_restore_points;
pub(crate) use point::restore_point;
pub use restore::{Accept, Erased, Restored, check, manifest, restore, restore_if};

use crate::error::{OpenError, ReadError, VaultError};
use crate::files::{Files, How};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Where the restore points are, in the folder of the book.
const FOLDER: &str = "restore-points";

/// Why a backup was not made, or not restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The place is taken.
    #[error(
        "{0} is there already and not empty. A backup never overwrites anything: choose another name, or empty it first"
    )]
    NotEmpty(PathBuf),
    /// The place is in the book's own folder.
    #[error(
        "{0} is in the folder of the book itself: it would be lost with it. Choose a place elsewhere, best on another disk"
    )]
    Inside(PathBuf),
    /// There is no backup, or it was not finished.
    #[error("{0} is no backup: it has no `manifest`, which is written last when a backup is whole")]
    NoManifest(PathBuf),
    /// Made by a newer Switchbook.
    #[error(
        "the backup has format {found}; this Switchbook knows up to {known}: restore it with the newer Switchbook that made it"
    )]
    Newer {
        /// Its format.
        found: u16,
        /// The newest known.
        known: u16,
    },
    /// Something in it is not as it was made.
    #[error("the backup is damaged: {file}: {what}. Nothing was restored; use another backup")]
    Damaged {
        /// Which file of it.
        file: String,
        /// What does not check.
        what: String,
    },
    /// The list of erasures cannot be read.
    #[error(
        "line {line} of the list of erasures does not check: `{text}`. Whoever it names, or a line before it that is gone, would be readable again, so nothing was restored: put the list back from a copy, or take out a last line that was never finished"
    )]
    Erasures {
        /// Which line, from 1.
        line: usize,
        /// What stands there.
        text: String,
    },
    /// The list was written by a newer Switchbook.
    #[error(
        "the list of erasures has format {found}; this Switchbook knows up to {known}: use the newer Switchbook that wrote it"
    )]
    NewerErasures {
        /// Its format.
        found: u32,
        /// The newest known.
        known: u32,
    },
    /// The list is another book's.
    #[error(
        "the list of erasures is of the book {found}, and the backup of the book {expected}. Nothing was restored: name the list of this book"
    )]
    ErasuresOfAnother {
        /// Whose list it is.
        found: String,
        /// Whose backup it is.
        expected: String,
    },
    /// The book does not check: a backup of it would be damaged.
    #[error("the book cannot be backed up: {0}")]
    Read(#[from] ReadError),
    /// What was restored is not what was backed up.
    #[error("what was restored does not check: {0}. Empty the folder and use another backup")]
    Restored(String),
    /// Whoever restores it does not want it as it is.
    #[error(
        "{0}. What was restored is no book and cannot be served: empty the folder and use another backup"
    )]
    Unwanted(String),
    /// The restored folder cannot be read.
    #[error("the restored book cannot be read: {0}")]
    Open(#[from] OpenError),
    /// The restored vault cannot be written.
    #[error("erasures cannot be applied: {0}")]
    Vault(#[from] VaultError),
    /// An erasure does not reach a restore point.
    #[error(
        "the erasure does not reach the restore point {}: {why}. Remove that folder, and nothing is left there", point.display()
    )]
    Unerased {
        /// Which one.
        point: PathBuf,
        /// Why.
        #[source]
        why: Box<BackupError>,
    },
    /// The task was stopped: the server is going down.
    #[error("the book is being closed: the backup was given up")]
    Closed,
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

/// Only one at a time changes restore points: a manifest is not written into one that is just being removed.
static CHANGING: Mutex<()> = Mutex::new(());

fn changing() -> MutexGuard<'static, ()> {
    CHANGING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Is a file there? One that cannot be looked at is not gone: on that word nothing may be removed.
fn is_there(files: &dyn Files, path: &Path) -> io::Result<bool> {
    match files.open(path, How::Read) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

impl BackupError {
    fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }

    fn damaged(file: &str, what: impl Into<String>) -> Self {
        Self::Damaged { file: file.into(), what: what.into() }
    }
}
