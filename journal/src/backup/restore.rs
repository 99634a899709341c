//! Restoring a backup into an empty folder.

use super::BackupError;
use super::create::{FolderShelf, Shelf};
use super::manifest::{FileSum, Manifest, first_segment, hex};
use super::source::Source;
use crate::files::{Files, How, RealFiles};
use crate::segment::reader::SegmentReader;
use crate::segment::{self, watermark};
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

/// Checks that every file of a backup is there and is what it was, and that there are all that make a book.
///
/// # Errors
/// The first that is not.
pub fn check(from: &Path) -> Result<Manifest, BackupError> {
    let source = Source::open(from)?;
    source.manifest.check_complete()?;
    source.each(&mut |name, _, bytes| {
        io::copy(bytes, &mut io::sink())
            .map(drop)
            .map_err(BackupError::io(format!("reading {name}")))
    })?;
    Ok(source.manifest)
}

/// Restores a backup into a folder that is empty or not there. All of the backup is checked before anything is written,
/// erasures are applied before there is a book, and what was written is read again before there is one. A folder in which
/// this broke off is refused as a book.
///
/// # Errors
/// When the backup is damaged or of a newer version, the folder is not empty, or the disk fails.
pub fn restore(from: &Path, to: &Path, erased: &Erased) -> Result<Restored, BackupError> {
    restore_if(from, to, erased, &mut |_| Ok(()))
}

/// What whoever restores says to the records as they were restored: why he does not want them.
pub type Accept<'a> = &'a mut dyn FnMut(&SegmentReader) -> Result<(), String>;

/// As [`restore`]; there is only a book in the end when `accept` wants it.
///
/// # Errors
/// As [`restore`], and [`BackupError::Unwanted`].
pub fn restore_if(
    from: &Path,
    to: &Path,
    erased: &Erased,
    accept: Accept<'_>,
) -> Result<Restored, BackupError> {
    check(from)?;
    let source = Source::open(from)?;
    let files: Arc<dyn Files> = Arc::new(RealFiles);
    let mut shelf = FolderShelf::begin(Arc::clone(&files), to)?;
    let doing = || BackupError::io(format!("writing {}", to.display()));
    let lock = files.open(&to.join("lock"), How::Create).map_err(doing())?;
    if !lock.try_lock().map_err(doing())? {
        return Err(BackupError::NotEmpty(to.to_path_buf()));
    }
    let aside = to.join(ASIDE);
    let mut shelf_aside = FolderShelf::begin(Arc::clone(&files), &aside)?;
    let mut erased_again = 0;
    source.each(&mut |name, length, bytes| {
        let shelf = if name == vault::NAME { &mut shelf } else { &mut shelf_aside };
        shelf.put(name, length, bytes).map_err(BackupError::io(format!("writing {name}")))?;
        if name == vault::NAME
            && let Erased::Keys(keys) = erased
        {
            let vault = Vault::open(Arc::clone(&files), to, source.manifest.book)?;
            erased_again = vault.destroy_all(keys)?;
        }
        Ok(())
    })?;
    let reader = read_again(&*files, &aside, &source.manifest)?;
    accept(&reader).map_err(BackupError::Unwanted)?;
    drop(reader);
    put_in_place(&*files, &aside, to, &source.manifest).map_err(doing())?;
    Ok(Restored { manifest: source.manifest, erased_again })
}

/// Where everything but the vault is until it was read again: with a vault and no segment, the folder is refused as a book.
const ASIDE: &str = "restoring";

/// Whatever is durable under its name, the first segment is after everything else.
fn put_in_place(files: &dyn Files, aside: &Path, to: &Path, manifest: &Manifest) -> io::Result<()> {
    let sync = || files.sync_folder(&segment::folder(to)).and_then(|()| files.sync_folder(to));
    let first = first_segment();
    for FileSum { name, .. } in &manifest.files {
        if name != vault::NAME && *name != first {
            files.rename(&aside.join(name), &to.join(name))?;
        }
    }
    sync()?;
    files.rename(&aside.join(&first), &to.join(&first))?;
    std::fs::remove_dir_all(aside)?;
    sync()
}

fn read_again(
    files: &dyn Files,
    aside: &Path,
    manifest: &Manifest,
) -> Result<SegmentReader, BackupError> {
    let wrong = |what: &str| Err(BackupError::Restored(what.into()));
    let reader = SegmentReader::open(aside)?;
    if let Some(damage) = reader.damage() {
        return wrong(&damage.to_string());
    }
    let tree = reader.scrub().map_err(|error| BackupError::Restored(error.to_string()))?;
    if reader.book() != Some(manifest.book) {
        return wrong("it is another book");
    }
    let other = "its records are not those that were backed up";
    match &manifest.root {
        Some(root) if reader.tail() == manifest.position && hex(&tree.root()) == *root => {
            Ok(reader)
        }
        Some(_) => wrong(other),
        // What is behind the watermark of a folder that was never closed is looked at when it is opened as a book.
        None if reader.tail() < manifest.position
            && !files.exists(&aside.join(watermark::NAME)) =>
        {
            wrong(other)
        }
        None => Ok(reader),
    }
}
