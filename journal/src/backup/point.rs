//! A restore point: the folder as the older Switchbook left it, before the newer one touches it (X-10, B-1). It lies on
//! the same disk and is no backup; it is the way back from an upgrade.

use super::create::{FolderShelf, Part, Shelf, put};
use super::manifest::{FileSum, Manifest, hex};
use super::source::Summed;
use super::{BackupError, changing, is_there};
use crate::files::{FileLike, Files, How, read_all};
use crate::segment::{first_of, folder, watermark};
use crate::version::{self, Version};
use crate::{leases, vault};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use switchbook_core::id::BookId;
use switchbook_core::position::Position;
use zeroize::Zeroizing;

/// Makes one in `restore-points/` of the book's folder, named by version and position. One of this name that is whole
/// stays as it is: the upgrade was begun before.
pub(crate) fn restore_point(
    files: &Arc<dyn Files>,
    book_folder: &Path,
    book: BookId,
    from: Option<Version>,
    position: Position,
) -> Result<PathBuf, BackupError> {
    let by = from.map_or("unknown".to_owned(), |version| version.to_string());
    let to = book_folder.join(super::FOLDER).join(format!("{by}-{}", position.0));
    let doing = || BackupError::io(format!("making the restore point {}", to.display()));
    if is_there(&**files, &to.join(super::MANIFEST)).map_err(doing())? {
        return Ok(to);
    }
    // Left by an upgrade that broke off while it was made.
    for inside in [folder(&to), to.clone()] {
        for name in files.list(&inside).unwrap_or_default() {
            if name != "segments" {
                files.remove(&inside.join(name)).map_err(doing())?;
            }
        }
    }
    let mut shelf = FolderShelf::again(Arc::clone(files), &to)?;
    let mut sums = Vec::new();
    for name in [vault::NAME, leases::NAME, watermark::NAME, version::NAME] {
        if is_there(&**files, &book_folder.join(name)).map_err(doing())? {
            sums.push(copy_small(&**files, &mut shelf, book_folder, name).map_err(doing())?);
        }
    }
    let listed = files.list(&folder(book_folder)).map_err(doing())?;
    let mut names: Vec<String> =
        listed.into_iter().filter(|name| first_of(name).is_some()).collect();
    names.sort_unstable();
    // The last one will be written on: it is copied. The others never change.
    let last = names.pop();
    if let Some(last) = &last {
        let name = format!("segments/{last}");
        sums.push(copy(&**files, &mut shelf, book_folder, &name).map_err(doing())?);
    }
    for name in names.iter().rev() {
        let name = format!("segments/{name}");
        sums.push(link(&**files, &mut shelf, book_folder, &name).map_err(doing())?);
    }
    let manifest = Manifest {
        format: Manifest::FORMAT,
        book,
        position,
        root: None,
        made_at: None,
        version: from.unwrap_or(Version { major: 0, minor: 0, patch: 0 }),
        erased_keys: 0,
        files: sums,
    };
    Box::new(shelf).finish(&manifest.encode()?).map_err(doing())?;
    Ok(to)
}

fn open(files: &dyn Files, book: &Path, name: &str) -> io::Result<(Box<dyn FileLike>, u64)> {
    let file = files.open(&book.join(name), How::Read)?;
    let length = file.len()?;
    Ok((file, length))
}

/// Copies a file that is read as a whole: one that is longer than any would fill the disk.
fn copy_small(
    files: &dyn Files,
    shelf: &mut FolderShelf,
    book: &Path,
    name: &str,
) -> io::Result<FileSum> {
    let bytes = Zeroizing::new(read_all(files, &book.join(name))?.ok_or(io::ErrorKind::NotFound)?);
    put(shelf, name, bytes.len() as u64, &bytes[..])
}

fn copy(
    files: &dyn Files,
    shelf: &mut FolderShelf,
    book: &Path,
    name: &str,
) -> io::Result<FileSum> {
    let (file, length) = open(files, book, name)?;
    put(shelf, name, length, Part { file: &*file, at: 0, end: length })
}

/// A second name for a file that never changes any more; a copy where the file system has no such thing.
fn link(
    files: &dyn Files,
    shelf: &mut FolderShelf,
    book: &Path,
    name: &str,
) -> io::Result<FileSum> {
    if shelf.link(&book.join(name), name).is_err() {
        return copy(files, shelf, book, name);
    }
    let (file, length) = open(files, book, name)?;
    let mut summed = Summed::new(Part { file: &*file, at: 0, end: length });
    io::copy(&mut summed, &mut io::sink())?;
    let (bytes, sum) = summed.finish();
    Ok(FileSum { name: name.into(), bytes, sha256: hex(&sum) })
}

/// Removes restore points but the newest `keep`, and what is left of one that was never finished. Says which are gone.
/// To be called when the upgrade has shown that it runs.
///
/// # Errors
/// The operating system's; what was removed before stays removed.
pub fn prune_restore_points(book_folder: &Path, keep: usize) -> Result<Vec<PathBuf>, BackupError> {
    let _changing = changing();
    let folder = book_folder.join(super::FOLDER);
    let doing = || BackupError::io(format!("removing old restore points in {}", folder.display()));
    let entries = match std::fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(doing())?,
    };
    let mut points = Vec::new();
    for entry in entries {
        let path = entry.map_err(doing())?.path();
        // What is not named like one is not ours.
        let Some(age) = path.file_name().and_then(|name| age(name.to_str()?)) else { continue };
        // What cannot be looked at is perhaps whole.
        points.push(((path.join(super::MANIFEST).try_exists().unwrap_or(true), age), path));
    }
    points.sort_unstable_by(|one, other| other.cmp(one));
    let mut gone = Vec::new();
    for (_, path) in points.into_iter().skip(keep) {
        // Without its manifest it is none any more, should this be cut short.
        match std::fs::remove_file(path.join(super::MANIFEST)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(doing()(error)),
            _ => std::fs::remove_dir_all(&path).map_err(doing())?,
        }
        gone.push(path);
    }
    Ok(gone)
}

/// How new a restore point of this name is: by position, then by version.
pub(super) fn age(name: &str) -> Option<(u64, Version)> {
    let (by, position) = name.rsplit_once('-')?;
    let version = match by {
        "unknown" => Version { major: 0, minor: 0, patch: 0 },
        by => by.parse().ok()?,
    };
    Some((position.parse().ok()?, version))
}
