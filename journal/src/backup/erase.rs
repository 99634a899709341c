//! Erasures reach the restore points beside a book: whoever is erased there is erased in them too.

use super::manifest::{FileSum, MANIFEST, Manifest, hex};
use super::point::age;
use super::{BackupError, FOLDER, changing, is_there};
use crate::files::{FileLike, Files, How, put_in_place, read_all, replace, write_beside};
use crate::vault;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use switchbook_core::id::BookId;
use switchbook_core::personal::KeyId;
use switchbook_core::user::SecretRef;
use zeroize::Zeroizing;

/// The restore points beside a book.
#[derive(Clone, Debug)]
pub struct RestorePoints {
    files: Arc<dyn Files>,
    folder: PathBuf,
    book: BookId,
}

impl RestorePoints {
    pub(crate) fn beside(files: Arc<dyn Files>, book_folder: &Path, book: BookId) -> Self {
        Self { files, folder: book_folder.join(FOLDER), book }
    }

    /// Keys that one of them still has, and the first that cannot be read, by name: what that one has is not known.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub fn keys(&self) -> Result<(BTreeSet<KeyId>, Option<BackupError>), BackupError> {
        let (mut all, mut unreadable) = (BTreeSet::new(), None);
        for point in self.all()? {
            match self.keys_in(&point) {
                Ok(keys) => all.extend(keys),
                Err(error) => drop(unreadable.get_or_insert(missed(&point)(error))),
            }
        }
        Ok((all, unreadable))
    }

    fn keys_in(&self, point: &Path) -> Result<Vec<KeyId>, BackupError> {
        match read(&*self.files, &point.join(vault::NAME))? {
            Some(bytes) => Ok(vault::keys_in(&bytes, self.book)?),
            None => Ok(Vec::new()),
        }
    }

    /// Destroys a key and removes these secrets in every one of them, durably. One that cannot be reached does not keep
    /// the others from it. To do it twice is no error.
    ///
    /// # Errors
    /// The first that was not reached; it is named.
    pub fn erase(&self, key: KeyId, secrets: &[SecretRef]) -> Result<(), BackupError> {
        let _changing = changing();
        let mut failed = None;
        for point in self.all()? {
            if let Err(error) = self.erase_in(&point, key, secrets) {
                failed.get_or_insert(missed(&point)(error));
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// What is named like one, finished or not.
    fn all(&self) -> Result<Vec<PathBuf>, BackupError> {
        let names = match self.files.list(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            names => {
                let doing = format!("listing the restore points in {}", self.folder.display());
                names.map_err(BackupError::io(doing))?
            }
        };
        let named = names.into_iter().filter(|name| age(name).is_some());
        Ok(named.map(|name| self.folder.join(name)).collect())
    }

    /// The new vault beside the old one, then the manifest that names it, then its place: wherever this is cut short, the
    /// manifest says which of the two counts.
    fn erase_in(&self, point: &Path, key: KeyId, secrets: &[SecretRef]) -> Result<(), BackupError> {
        let doing = || BackupError::io("writing its vault anew");
        let files = &*self.files;
        if !is_there(files, &point.join(MANIFEST)).map_err(doing())? {
            // An upgrade broke off while it was made, and makes it anew. Nobody restores it.
            return remove_vaults(files, point).map_err(doing());
        }
        let manifest = read_all(files, &point.join(MANIFEST)).map_err(doing())?;
        let mut manifest = Manifest::decode(point, manifest)?;
        let Some(sum) = manifest.files.iter_mut().find(|file| file.name == vault::NAME) else {
            return Ok(());
        };
        settle(files, point, sum).map_err(doing())?;
        let there = read(files, &point.join(vault::NAME))?;
        let there = there.ok_or_else(|| BackupError::damaged(vault::NAME, "it is missing"))?;
        if hex(&Sha256::digest(&there)) != sum.sha256 {
            return Err(BackupError::damaged(vault::NAME, "its hash is another one"));
        }
        let Some(fresh) = vault::erased_in(&there, self.book, key, secrets)? else {
            return Ok(());
        };
        write_beside(files, point, vault::NAME, &fresh.bytes).map_err(doing())?;
        (sum.bytes, sum.sha256) = (fresh.bytes.len() as u64, hex(&Sha256::digest(&fresh.bytes)));
        manifest.erased_keys = fresh.destroyed;
        replace(files, point, MANIFEST, &manifest.encode()?).map_err(doing())?;
        let old = files.open(&point.join(vault::NAME), How::Write).map_err(doing())?;
        put_in_place(files, point, vault::NAME).map_err(doing())?;
        blank(&*old);
        Ok(())
    }
}

fn missed(point: &Path) -> impl Fn(BackupError) -> BackupError {
    let point = point.to_path_buf();
    move |why| BackupError::Unerased { point: point.clone(), why: Box::new(why) }
}

fn read(files: &dyn Files, path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, BackupError> {
    let doing = || BackupError::io("reading its vault");
    if !is_there(files, path).map_err(doing())? {
        return Ok(None);
    }
    let bytes = read_all(files, path).map_err(doing())?;
    Ok(bytes.map(Zeroizing::new))
}

/// An erasure that was cut short: the new vault is the one that the manifest names, or it is none.
fn settle(files: &dyn Files, point: &Path, sum: &FileSum) -> io::Result<()> {
    let fresh = point.join(format!("{}.new", vault::NAME));
    let Some(bytes) = read_all(files, &fresh)?.map(Zeroizing::new) else { return Ok(()) };
    if hex(&Sha256::digest(&bytes)) != sum.sha256 {
        return files.remove(&fresh);
    }
    let old = files.open(&point.join(vault::NAME), How::Write);
    put_in_place(files, point, vault::NAME)?;
    if let Ok(old) = old {
        blank(&*old);
    }
    Ok(())
}

fn remove_vaults(files: &dyn Files, point: &Path) -> io::Result<()> {
    for name in files.list(point)?.into_iter().filter(|name| name.starts_with(vault::NAME)) {
        let path = point.join(name);
        let old = files.open(&path, How::Write)?;
        files.remove(&path)?;
        files.sync_folder(point)?;
        blank(&*old);
    }
    Ok(())
}

/// The name is gone; that the old blocks are blank is a best effort on any file system.
fn blank(old: &dyn FileLike) {
    let length = old.len().map(|length| usize::try_from(length).unwrap_or(0));
    let blanked = length.and_then(|length| old.write_at(&vec![0; length], 0));
    if let Err(error) = blanked.and_then(|()| old.sync()) {
        tracing::warn!(%error, "the blocks of a restore point's old vault could not be blanked");
    }
}
