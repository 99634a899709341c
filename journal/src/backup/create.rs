//! Making a backup of a book that is being written.

use super::manifest::{FileSum, MANIFEST, Manifest, hex};
use super::{BackupError, source};
use crate::book::Shared;
use crate::error::ReadError;
use crate::files::{FileLike, Files, How, RealFiles, replace};
use crate::merkle::{Frontier, Hash};
use crate::segment::watermark::{self, Mark};
use crate::segment::{file_name, folder};
use crate::version::{self, Version};
use crate::{leases, vault};
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use switchbook_core::id::BookId;
use switchbook_core::position::{Moment, Position};
use zeroize::Zeroizing;

/// Bytes copied at a time.
const CHUNK: usize = 256 * 1024;

/// Everything of a book at one moment. The segments are only named: up to where they go, they never change.
pub(crate) struct Snapshot {
    book: BookId,
    mark: Mark,
    erased_keys: usize,
    vault: Zeroizing<Vec<u8>>,
    leases: Vec<u8>,
    /// First positions and lengths, in order.
    segments: Vec<(Position, u64)>,
}

impl Snapshot {
    /// Takes the durable end and, behind it, the vault: so the vault has everything that is named up to that end. What
    /// is superseded later is forgotten later, since the vault is held meanwhile.
    pub(crate) fn take(shared: &Shared) -> Self {
        let segments = &shared.segments;
        let (vault, erased_keys, (mark, lengths)) = shared.vault.capture(|| {
            let all = segments.all();
            let lengths: Vec<(Position, u64)> =
                all.iter().map(|segment| (segment.head.first, segment.valid().1)).collect();
            let (position, offset) = all.last().map_or((Position::START, 0), |last| last.valid());
            let segment = all.last().map_or(Position(1), |last| last.head.first);
            let mark = Mark { book: shared.book, position, segment, offset, clean: true };
            // The last length as the mark has it: the writer goes on meanwhile.
            let mut lengths = lengths;
            if let Some(last) = lengths.last_mut() {
                last.1 = offset;
            }
            (mark, lengths)
        });
        let (book, leases) = (shared.book, shared.leases.snapshot());
        Self { book, mark, erased_keys, vault, leases, segments: lengths }
    }

    /// Checks every record and writes all of it to a folder, or to a file whose name ends with `.tar`.
    pub(crate) fn write(
        &self,
        shared: &Shared,
        to: &Path,
        made_at: Moment,
    ) -> Result<Manifest, BackupError> {
        let segments = shared.segments.folder();
        outside(segments.parent().unwrap_or(segments), to)?;
        let root = self.check(shared)?;
        let mut shelf = shelf(to)?;
        let doing = || BackupError::io(format!("writing the backup {}", to.display()));
        let mut files = Vec::new();
        let mark = watermark::file(&self.mark);
        let by = version::text(Version::this());
        let small: [(&str, &[u8]); 4] = [
            (vault::NAME, &self.vault),
            (leases::NAME, &self.leases),
            (watermark::NAME, &mark),
            (version::NAME, &by),
        ];
        for (name, bytes) in small {
            files.push(put(&mut *shelf, name, bytes.len() as u64, bytes).map_err(doing())?);
        }
        // The first one last: as long as it is missing, a folder that is being restored is refused as a book.
        for (first, length) in self.segments.iter().rev() {
            let name = file_name(*first);
            let path = shared.segments.folder().join(&name);
            let file = shared.segments.files.open(&path, How::Read).map_err(doing())?;
            let from = Part { file: &*file, at: 0, end: *length };
            let name = format!("segments/{name}");
            files.push(put(&mut *shelf, &name, *length, from).map_err(doing())?);
        }
        let manifest = Manifest {
            format: Manifest::FORMAT,
            book: self.book,
            position: self.mark.position,
            root: Some(hex(&root)),
            made_at: Some(made_at),
            version: Version::this(),
            erased_keys: self.erased_keys,
            files,
        };
        shelf.finish(&manifest.encode()?).map_err(doing())?;
        Ok(manifest)
    }

    /// Reads all of it: a backup of a damaged book would only be found out when it is needed.
    fn check(&self, shared: &Shared) -> Result<Hash, ReadError> {
        let mut walk = shared.segments.walk(Position(1));
        let mut tree = Frontier::default();
        while walk.position() <= self.mark.position {
            let Some(raw) = walk.next()? else { break };
            tree.push(raw.frame.leaf);
        }
        Ok(tree.root())
    }
}

/// Gives a finished file a name that nobody has. Where the file system has no second names, it looks before it renames.
///
/// # Errors
/// When the name is taken, or the disk's.
pub fn put_in_place(fresh: &Path, name: &Path) -> io::Result<()> {
    match std::fs::hard_link(fresh, name) {
        Ok(()) => std::fs::remove_file(fresh),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        Err(_) if name.symlink_metadata().is_ok() => Err(io::ErrorKind::AlreadyExists.into()),
        Err(_) => std::fs::rename(fresh, name),
    }
}

/// Bytes of an open file as a stream.
pub(super) struct Part<'a> {
    pub(super) file: &'a dyn FileLike,
    pub(super) at: u64,
    pub(super) end: u64,
}

impl Read for Part<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let most = into.len().min(left);
        let read = self.file.read_at(&mut into[..most], self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// Where a backup is put.
pub(super) trait Shelf {
    /// Takes a file of this length.
    fn put(&mut self, name: &str, length: u64, from: &mut dyn Read) -> io::Result<()>;
    /// Makes everything durable, then the manifest, by which it counts.
    fn finish(self: Box<Self>, manifest: &[u8]) -> io::Result<()>;
}

/// Puts a file and gives its sum.
pub(super) fn put(
    shelf: &mut dyn Shelf,
    name: &str,
    length: u64,
    from: impl Read,
) -> io::Result<FileSum> {
    let mut summed = source::Summed::new(from);
    shelf.put(name, length, &mut summed)?;
    let (bytes, sum) = summed.finish();
    if bytes != length {
        return Err(io::Error::other(format!("{name} has {bytes} bytes, not {length}")));
    }
    Ok(FileSum { name: name.into(), bytes, sha256: hex(&sum) })
}

/// May a backup of the book whose segments lie there be put here? Nothing is made.
pub(crate) fn is_free(segments: &Path, to: &Path) -> Result<(), BackupError> {
    outside(segments.parent().unwrap_or(segments), to)?;
    let doing = || BackupError::io(format!("finding the place {}", to.display()));
    let missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    match to.symlink_metadata() {
        // A link to a folder is a folder.
        Ok(_) if !is_tar(to) && to.is_dir() => {
            match std::fs::read_dir(to).map_err(doing())?.next() {
                None => Ok(()),
                Some(_) => Err(BackupError::NotEmpty(to.to_path_buf())),
            }
        }
        Ok(_) => Err(BackupError::NotEmpty(to.to_path_buf())),
        Err(error) if missing(&error) => {
            // Folders are made on the way to a folder, but not to a file.
            let mut above = to.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty());
            let nearest = match is_tar(to) {
                true => above.next(),
                false => above.find(|above| above.exists()),
            };
            match nearest.map(std::fs::metadata).transpose().map_err(doing())? {
                Some(there) if !there.is_dir() => Err(doing()(io::ErrorKind::NotADirectory.into())),
                _ => Ok(()),
            }
        }
        Err(error) => Err(doing()(error)),
    }
}

/// Is a place outside a book's folder? A copy inside the folder it is made of is none, and whatever else is written there can
/// end the book. Links are followed as far as the way is there; the rest is taken as it is written.
///
/// # Errors
/// [`BackupError::Inside`]; or when the place cannot be told.
pub fn outside(book: &Path, to: &Path) -> Result<(), BackupError> {
    let doing = || BackupError::io(format!("finding the place {}", to.display()));
    let Ok(book) = book.canonicalize() else { return Ok(()) };
    let mut place = PathBuf::new();
    for part in std::path::absolute(to).map_err(doing())?.components() {
        match part {
            Component::ParentDir => drop(place.pop()),
            part => place.push(part),
        }
        if let Ok(real) = place.canonicalize() {
            place = real;
        }
    }
    if place.starts_with(&book) { Err(BackupError::Inside(to.to_path_buf())) } else { Ok(()) }
}

fn is_tar(to: &Path) -> bool {
    to.extension().is_some_and(|extension| extension == "tar")
}

fn shelf(to: &Path) -> Result<Box<dyn Shelf>, BackupError> {
    if is_tar(to) {
        return TarShelf::begin(to).map(|shelf| Box::new(shelf) as Box<dyn Shelf>);
    }
    FolderShelf::begin(Arc::new(RealFiles), to).map(|shelf| Box::new(shelf) as Box<dyn Shelf>)
}

/// A folder, which is a closed book when it is whole.
pub(super) struct FolderShelf {
    files: Arc<dyn Files>,
    folder: PathBuf,
}

impl FolderShelf {
    pub(super) fn begin(files: Arc<dyn Files>, to: &Path) -> Result<Self, BackupError> {
        let doing = || BackupError::io(format!("making the folder {}", to.display()));
        files.create_folder(to).map_err(doing())?;
        if !files.list(to).map_err(doing())?.is_empty() {
            return Err(BackupError::NotEmpty(to.to_path_buf()));
        }
        Self::again(files, to)
    }

    /// As [`begin`](Self::begin), where something was begun before and emptied.
    pub(super) fn again(files: Arc<dyn Files>, to: &Path) -> Result<Self, BackupError> {
        let doing = BackupError::io(format!("making the folder {}", to.display()));
        files.create_folder(&folder(to)).map_err(doing)?;
        Ok(Self { files, folder: to.to_path_buf() })
    }

    /// Gives a file that never changes any more a name in the backup too, where the file system can.
    pub(super) fn link(&self, from: &Path, name: &str) -> io::Result<()> {
        self.files.link(from, &self.folder.join(name))
    }
}

impl Shelf for FolderShelf {
    fn put(&mut self, name: &str, _: u64, from: &mut dyn Read) -> io::Result<()> {
        let file = self.files.open(&self.folder.join(name), How::Truncate)?;
        let (mut chunk, mut at) = (vec![0; CHUNK], 0);
        loop {
            let read = from.read(&mut chunk)?;
            if read == 0 {
                return file.sync();
            }
            file.write_at(&chunk[..read], at)?;
            at += read as u64;
        }
    }

    fn finish(self: Box<Self>, manifest: &[u8]) -> io::Result<()> {
        self.files.sync_folder(&folder(&self.folder))?;
        self.files.sync_folder(&self.folder)?;
        replace(&*self.files, &self.folder, MANIFEST, manifest)?;
        match self.folder.parent().filter(|above| !above.as_os_str().is_empty()) {
            Some(above) => self.files.sync_folder(above),
            None => Ok(()),
        }
    }
}

/// One file, in the form of tar (POSIX ustar). Beside its place first, under a name that nobody else has.
struct TarShelf {
    tar: tar::Builder<std::fs::File>,
    path: PathBuf,
    fresh: Fresh,
}

/// A file that is not finished: it goes when it is not given its name.
struct Fresh(PathBuf);

impl Drop for Fresh {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl TarShelf {
    fn begin(to: &Path) -> Result<Self, BackupError> {
        use std::os::unix::fs::OpenOptionsExt;
        if to.symlink_metadata().is_ok() {
            return Err(BackupError::NotEmpty(to.to_path_buf()));
        }
        let mut fresh = to.as_os_str().to_owned();
        fresh.push(format!(".{}.new", uuid::Uuid::now_v7()));
        let fresh = PathBuf::from(fresh);
        let mut options = std::fs::OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(&fresh);
        let file = file.map_err(BackupError::io(format!("making the file {}", fresh.display())))?;
        let fresh = Fresh(fresh);
        Ok(Self { tar: tar::Builder::new(file), path: to.to_path_buf(), fresh })
    }
}

impl Shelf for TarShelf {
    fn put(&mut self, name: &str, length: u64, from: &mut dyn Read) -> io::Result<()> {
        let mut header = tar::Header::new_ustar();
        header.set_size(length);
        header.set_mode(0o600);
        header.set_entry_type(tar::EntryType::Regular);
        self.tar.append_data(&mut header, name, from)
    }

    fn finish(mut self: Box<Self>, manifest: &[u8]) -> io::Result<()> {
        self.put(MANIFEST, manifest.len() as u64, &mut &manifest[..])?;
        let mut file = self.tar.into_inner()?;
        file.flush()?;
        file.sync_all()?;
        put_in_place(&self.fresh.0, &self.path)?;
        match self.path.parent().filter(|above| !above.as_os_str().is_empty()) {
            Some(above) => RealFiles.sync_folder(above),
            None => RealFiles.sync_folder(Path::new(".")),
        }
    }
}
