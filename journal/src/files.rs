//! Everything the book puts on a disk goes through [`Files`]: the real one here, and one that loses, tears and
//! refuses in `faults`. Production and tests meet at the same seam.

use rustix::fs::OFlags;
use std::fmt::Debug;
use std::fs;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// How a file is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    /// It must exist; nothing is ever written through this handle.
    Read,
    /// It must exist.
    Write,
    /// Made when it is not there.
    Create,
    /// Made anew: what stood there is gone.
    Truncate,
}

/// A disk, as far as the book needs one.
pub trait Files: Send + Sync + Debug {
    /// Opens a file.
    ///
    /// # Errors
    /// The operating system's.
    fn open(&self, path: &Path, how: How) -> io::Result<Box<dyn FileLike>>;
    /// Names of the entries of a folder, in no order.
    ///
    /// # Errors
    /// The operating system's.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;
    /// Makes a folder and those above it; nothing to do when it is there.
    ///
    /// # Errors
    /// The operating system's.
    fn create_folder(&self, folder: &Path) -> io::Result<()>;
    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// The operating system's. Never tried again: the names may be lost although a second try would succeed.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
    /// Gives a file another name, replacing what has it.
    ///
    /// # Errors
    /// The operating system's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file a second name.
    ///
    /// # Errors
    /// The operating system's; not every file system can.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    ///
    /// # Errors
    /// The operating system's.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Does a file of this name exist?
    fn exists(&self, path: &Path) -> bool;
}

/// An open file.
#[allow(clippy::len_without_is_empty)]
pub trait FileLike: Send + Sync + Debug {
    /// Its length.
    ///
    /// # Errors
    /// The operating system's.
    fn len(&self) -> io::Result<u64>;
    /// Reads at an offset, as the operating system does it: perhaps fewer bytes than asked for; none only at the end
    /// of the file.
    ///
    /// # Errors
    /// The operating system's.
    fn read_some_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Reads at an offset; fewer bytes than asked for only at the end of the file. A read that came short must not be
    /// taken for the end of the book.
    ///
    /// # Errors
    /// The operating system's.
    fn read_at(&self, mut into: &mut [u8], mut offset: u64) -> io::Result<usize> {
        let mut total = 0;
        while !into.is_empty() {
            match self.read_some_at(into, offset) {
                Ok(0) => break,
                Ok(read) => {
                    total += read;
                    offset += read as u64;
                    into = &mut into[read..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(total)
    }
    /// Writes all of it at an offset.
    ///
    /// # Errors
    /// The operating system's; some of the bytes may have been written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes what was written durable (fdatasync).
    ///
    /// # Errors
    /// The operating system's. Never tried again: after a failure the kernel may have dropped what it could not
    /// write, and a second try would claim success.
    fn sync(&self) -> io::Result<()>;
    /// Cuts or lengthens the file.
    ///
    /// # Errors
    /// The operating system's.
    fn set_len(&self, length: u64) -> io::Result<()>;
    /// Takes the lock of the file until it is closed; `false` when another process has it.
    ///
    /// # Errors
    /// The operating system's.
    fn try_lock(&self) -> io::Result<bool>;
}

/// The operating system's files.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealFiles;

impl Files for RealFiles {
    fn open(&self, path: &Path, how: How) -> io::Result<Box<dyn FileLike>> {
        let mut options = fs::OpenOptions::new();
        options.read(true).mode(0o600);
        match how {
            How::Read => {}
            How::Write => {
                options.write(true);
            }
            How::Create => {
                options.write(true).create(true).truncate(false);
            }
            How::Truncate => {
                options.write(true).create(true).truncate(true);
            }
        }
        Ok(Box::new(RealFile(open_regular(&mut options, path)?)))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(folder)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        Ok(names)
    }

    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        use std::os::unix::fs::DirBuilderExt;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let flags = (OFlags::NONBLOCK | OFlags::DIRECTORY).bits() as i32;
        fs::OpenOptions::new().read(true).custom_flags(flags).open(folder)?.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }
}

#[derive(Debug)]
struct RealFile(fs::File);

impl FileLike for RealFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_some_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(into, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn try_lock(&self) -> io::Result<bool> {
        match self.0.try_lock() {
            Ok(()) => Ok(true),
            Err(fs::TryLockError::WouldBlock) => Ok(false),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }
}

/// Opens a file that must be a regular one. A FIFO would have whoever opens it wait for ever, a device may give no end.
///
/// # Errors
/// The operating system's; and when it is something else.
pub fn open_regular(options: &mut fs::OpenOptions, path: &Path) -> io::Result<fs::File> {
    let file = options.custom_flags(OFlags::NONBLOCK.bits() as i32).open(path)?;
    if !file.metadata()?.is_file() {
        let what = format!("{} is no regular file", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    Ok(file)
}

/// No file that is read as a whole is larger.
pub(crate) const LARGEST: u64 = 512 * 1024 * 1024;

/// Reads a whole file; `None` when it is not there.
///
/// # Errors
/// The operating system's; and when it is larger than any of its kind ([`LARGEST`]): a length costs whoever writes it
/// nothing.
pub(crate) fn read_all(files: &dyn Files, path: &Path) -> io::Result<Option<Vec<u8>>> {
    let Some(file) = open_if_there(files, path)? else { return Ok(None) };
    let length = file.len()?;
    if length > LARGEST {
        let what = format!("{} has {length} bytes, and no such file has so many", path.display());
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, what));
    }
    read_up_to(&*file, 0, length).map(Some)
}

/// Reads the beginning of a file that needs no more of it; `None` when it is not there.
pub(crate) fn read_first(files: &dyn Files, path: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
    let Some(file) = open_if_there(files, path)? else { return Ok(None) };
    read_up_to(&*file, 0, file.len()?.min(most)).map(Some)
}

/// Opens a file for reading; `None` when it is not there.
pub(crate) fn open_if_there(
    files: &dyn Files,
    path: &Path,
) -> io::Result<Option<Box<dyn FileLike>>> {
    match files.open(path, How::Read) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// So many bytes from an offset on, fewer only at the end of the file.
pub(crate) fn read_up_to(file: &dyn FileLike, offset: u64, length: u64) -> io::Result<Vec<u8>> {
    let too_many = |_| io::Error::from(io::ErrorKind::OutOfMemory);
    let length = usize::try_from(length).map_err(|_| io::ErrorKind::OutOfMemory)?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length).map_err(too_many)?;
    bytes.resize(length, 0);
    let read = file.read_at(&mut bytes, offset)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Writes a whole file under another name, makes it durable and puts it in place of the old one: after a power cut
/// there is the old file or the new one, never half of either.
pub(crate) fn replace(
    files: &dyn Files,
    folder: &Path,
    name: &str,
    bytes: &[u8],
) -> io::Result<Box<dyn FileLike>> {
    let file = write_beside(files, folder, name, bytes)?;
    put_in_place(files, folder, name)?;
    Ok(file)
}

/// The first half of [`replace`]: the new file is durable, under another name.
pub(crate) fn write_beside(
    files: &dyn Files,
    folder: &Path,
    name: &str,
    bytes: &[u8],
) -> io::Result<Box<dyn FileLike>> {
    let file = files.open(&folder.join(format!("{name}.new")), How::Truncate)?;
    file.write_at(bytes, 0)?;
    file.sync()?;
    Ok(file)
}

/// The second half.
pub(crate) fn put_in_place(files: &dyn Files, folder: &Path, name: &str) -> io::Result<()> {
    files.rename(&folder.join(format!("{name}.new")), &folder.join(name))?;
    files.sync_folder(folder)
}
