//! Restoring a backup into an empty folder.

use super::BackupError;
use super::create::{FolderShelf, Shelf};
use super::manifest::{Manifest, hex};
use super::source::Source;
use crate::files::{Files, How, RealFiles};
use crate::segment::reader::SegmentReader;
use crate::vault::{self, Vault};
use std::io;
use std::path::Path;
use std::sync::Arc;
use switchbook_core::personal::KeyId;

/// What was erased, as whoever restores says it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Erased {
    /// These keys, from the list of erasures that is kept outside the backups. Those the backup still has are destroyed
    /// before anything of it can be read.
    Keys(Vec<KeyId>),
    /// Nothing since the backup was made: he takes it upon himself.
    Nothing,
}

/// What was restored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Restored {
    /// From what.
    pub manifest: Manifest,
    /// So many keys that the backup still had were destroyed.
    pub erased_again: usize,
}

/// What a backup says of itself; nothing else of it is read.
///
/// # Errors
/// When there is none, or it cannot be read.
pub fn manifest(from: &Path) -> Result<Manifest, BackupError> {
    Source::open(from).map(|source| source.manifest)
}

/// Checks that every file of a backup is there and is what it was.
///
/// # Errors
/// The first that is not.
pub fn check(from: &Path) -> Result<Manifest, BackupError> {
    let source = Source::open(from)?;
    source.each(&mut |name, _, bytes| {
        io::copy(bytes, &mut io::sink())
            .map(drop)
            .map_err(BackupError::io(format!("reading {name}")))
    })?;
    Ok(source.manifest)
}

/// Restores a backup into a folder that is empty or not there. All of the backup is checked before anything is written,
/// erasures are applied before there is a book, and what was written is read again in the end. A folder in which this
/// broke off is refused as a book.
///
/// # Errors
/// When the backup is damaged or of a newer version, the folder is not empty, or the disk fails.
pub fn restore(from: &Path, to: &Path, erased: &Erased) -> Result<Restored, BackupError> {
    check(from)?;
    let source = Source::open(from)?;
    let files: Arc<dyn Files> = Arc::new(RealFiles);
    let mut shelf = FolderShelf::begin(Arc::clone(&files), to)?;
    let doing = || BackupError::io(format!("writing {}", to.display()));
    let lock = files.open(&to.join("lock"), How::Create).map_err(doing())?;
    if !lock.try_lock().map_err(doing())? {
        return Err(BackupError::NotEmpty(to.to_path_buf()));
    }
    let mut erased_again = 0;
    source.each(&mut |name, length, bytes| {
        shelf.put(name, length, bytes).map_err(BackupError::io(format!("writing {name}")))?;
        if name == vault::NAME
            && let Erased::Keys(keys) = erased
        {
            let vault = Vault::open(Arc::clone(&files), to, source.manifest.book)?;
            erased_again = vault.destroy_all(keys)?;
        }
        Ok(())
    })?;
    files.sync_folder(&crate::segment::folder(to)).map_err(doing())?;
    files.sync_folder(to).map_err(doing())?;
    read_again(to, &source.manifest)?;
    Ok(Restored { manifest: source.manifest, erased_again })
}

fn read_again(to: &Path, manifest: &Manifest) -> Result<(), BackupError> {
    let reader = SegmentReader::open(to)?;
    let tree = reader.scrub().map_err(|error| BackupError::Restored(error.to_string()))?;
    if reader.book() != Some(manifest.book) {
        return Err(BackupError::Restored("it is another book".into()));
    }
    let Some(root) = &manifest.root else { return Ok(()) };
    if reader.tail() != manifest.position || hex(&tree.root()) != *root {
        return Err(BackupError::Restored("its records are not those that were backed up".into()));
    }
    Ok(())
}
