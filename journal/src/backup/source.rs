//! Reading a backup: from a folder, or from a file.

use super::BackupError;
use super::manifest::{FileSum, MANIFEST, Manifest, hex, is_ours};
use crate::files::open_to_read;
use crate::vault;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// A manifest is not longer.
const LONGEST_MANIFEST: u64 = 64 * 1024 * 1024;

/// Sums what is read through it.
pub(super) struct Summed<R> {
    from: R,
    bytes: u64,
    sum: Sha256,
}

impl<R: Read> Summed<R> {
    pub(super) fn new(from: R) -> Self {
        Self { from, bytes: 0, sum: Sha256::new() }
    }

    pub(super) fn finish(self) -> (u64, [u8; 32]) {
        (self.bytes, self.sum.finalize().into())
    }
}

impl<R: Read> Read for Summed<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(into)?;
        self.bytes += read as u64;
        self.sum.update(&into[..read]);
        Ok(read)
    }
}

/// What is done with a file: its name, its length, and what it holds.
pub(super) type Visit<'v> = &'v mut dyn FnMut(&str, u64, &mut dyn Read) -> Result<(), BackupError>;

/// A backup that is there.
pub(super) struct Source {
    place: PathBuf,
    pub(super) manifest: Manifest,
}

impl Source {
    pub(super) fn open(place: &Path) -> Result<Self, BackupError> {
        let doing = || BackupError::io(format!("reading the backup {}", place.display()));
        let manifest = if place.is_dir() {
            match open_to_read(&place.join(MANIFEST)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                opened => Some(read_whole(opened.map_err(doing())?).map_err(doing())?),
            }
        } else {
            let mut archive = tar::Archive::new(open_to_read(place).map_err(doing())?);
            let mut found = None;
            for entry in archive.entries().map_err(doing())? {
                let entry = entry.map_err(doing())?;
                if entry.path().is_ok_and(|path| path == Path::new(MANIFEST)) {
                    found = Some(read_whole(entry).map_err(doing())?);
                }
            }
            found
        };
        let place = place.to_path_buf();
        Ok(Self { manifest: Manifest::decode(&place, manifest)?, place })
    }

    /// Where a file is in a folder. An erasure that was cut short has left the vault that the manifest of a restore point
    /// names beside the older one.
    fn path_of(&self, file: &FileSum) -> PathBuf {
        let (there, fresh) =
            (self.place.join(&file.name), self.place.join(format!("{}.new", file.name)));
        match file.name == vault::NAME && !is(file, &there) && is(file, &fresh) {
            true => fresh,
            false => there,
        }
    }

    /// Shows every file, each once, in the order they are restored in, and checks that it is what the manifest says.
    pub(super) fn each(&self, visit: Visit<'_>) -> Result<(), BackupError> {
        let doing = || BackupError::io(format!("reading the backup {}", self.place.display()));
        if self.place.is_dir() {
            for file in &self.manifest.files {
                let missing = |error: io::Error| match error.kind() {
                    io::ErrorKind::NotFound => BackupError::damaged(&file.name, "it is missing"),
                    _ => BackupError::damaged(&file.name, error.to_string()),
                };
                let opened = open_to_read(&self.path_of(file)).map_err(missing)?;
                let length = opened.metadata().map_err(doing())?.len();
                one(file, length, opened, visit)?;
            }
            return Ok(());
        }
        let mut left: BTreeMap<&str, &FileSum> =
            self.manifest.files.iter().map(|file| (file.name.as_str(), file)).collect();
        let mut archive = tar::Archive::new(open_to_read(&self.place).map_err(doing())?);
        for entry in archive.entries().map_err(doing())? {
            let entry = entry.map_err(doing())?;
            let path = entry.path().map_err(doing())?.into_owned();
            let name = path.to_string_lossy();
            if name == MANIFEST {
                continue;
            }
            let file = left.remove(&*name).filter(|_| is_ours(&name));
            let file =
                file.ok_or_else(|| BackupError::damaged(&name, "it does not belong here"))?;
            one(file, entry.size(), entry, visit)?;
        }
        match left.keys().next() {
            Some(name) => Err(BackupError::damaged(name, "it is missing")),
            None => Ok(()),
        }
    }
}

fn is(file: &FileSum, path: &Path) -> bool {
    let summed = || {
        let mut summed = Summed::new(open_to_read(path)?.take(file.bytes.saturating_add(1)));
        io::copy(&mut summed, &mut io::sink())?;
        Ok::<_, io::Error>(summed.finish())
    };
    summed().is_ok_and(|(bytes, sum)| bytes == file.bytes && hex(&sum) == file.sha256)
}

fn read_whole(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(LONGEST_MANIFEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn one(file: &FileSum, length: u64, from: impl Read, visit: Visit<'_>) -> Result<(), BackupError> {
    if length != file.bytes {
        let what = format!("it has {length} bytes, and should have {}", file.bytes);
        return Err(BackupError::damaged(&file.name, what));
    }
    let mut summed = Summed::new(from);
    visit(&file.name, length, &mut summed)?;
    let (bytes, sum) = summed.finish();
    if bytes != file.bytes || hex(&sum) != file.sha256 {
        return Err(BackupError::damaged(&file.name, "its hash is another one"));
    }
    Ok(())
}
