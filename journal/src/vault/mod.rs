//! The vault: keys of personal fields, and secrets (password, PIN and digest hashes). Events name its entries and
//! never hold them. A small file of its own with a backup of its own; lookups are answered from memory.

mod cipher;
mod file;

use crate::error::VaultError;
use crate::files::Files;
use cipher::Nonces;
use file::{Entry, VaultFile};
use rustc_hash::{FxHashMap, FxHashSet};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use switchbook_core::id::BookId;
use switchbook_core::personal::{KeyId, Keys};
use switchbook_core::user::SecretRef;
use zeroize::Zeroizing;

pub(crate) use file::NAME;

/// Keys that are there in the bytes of a vault's file.
pub(crate) fn keys_in(bytes: &[u8], book: BookId) -> Result<Vec<KeyId>, VaultError> {
    Ok(Vault::new(book, None, file::entries(bytes, book)?).keys())
}

/// A vault's file as it is to be written: its bytes, and how many keys are destroyed in it.
pub(crate) struct Written {
    pub(crate) bytes: Zeroizing<Vec<u8>>,
    pub(crate) destroyed: usize,
}

/// A vault's file with this key destroyed and these secrets forgotten. `None`: none of them is in it.
pub(crate) fn erased_in(
    bytes: &[u8],
    book: BookId,
    key: KeyId,
    secrets: &[SecretRef],
) -> Result<Option<Written>, VaultError> {
    let vault = Vault::new(book, None, file::entries(bytes, book)?);
    if !vault.has_key(key) && !secrets.iter().any(|secret| vault.secret(*secret).is_some()) {
        return Ok(None);
    }
    vault.destroy(key)?;
    vault.forget_secrets(secrets)?;
    let (bytes, destroyed, ()) = vault.capture(|| ());
    Ok(Some(Written { bytes, destroyed }))
}

type KeyBytes = Zeroizing<[u8; 32]>;

/// Keys and secrets. Who needs both locks takes `disk` first: so what is shown and what is on disk change in one order.
pub struct Vault {
    book: BookId,
    /// Held for moments only: readers never wait for the disk.
    maps: Mutex<Maps>,
    /// Held while writing. `None` in memory only (tests).
    disk: Mutex<Option<VaultFile>>,
    /// Counts destroyed keys, so that what was opened before can be told to be stale.
    erasures: AtomicU64,
    nonces: Nonces,
}

#[derive(Default)]
struct Maps {
    /// `None`: destroyed.
    keys: FxHashMap<KeyId, Option<KeyBytes>>,
    secrets: FxHashMap<SecretRef, Zeroizing<Vec<u8>>>,
    /// Made, but not on disk yet.
    pending: Vec<KeyId>,
}

/// What sealing came to.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The key was destroyed by an erasure.
    #[error("the key {0:?} was destroyed by an erasure")]
    Destroyed(KeyId),
    /// No random bytes for a key or nonce.
    #[error("the operating system gives no random bytes: {0}")]
    Random(String),
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vault(…)")
    }
}

impl Vault {
    /// A vault without a file, for tests.
    #[must_use]
    pub fn in_memory(book: BookId) -> Self {
        Self::new(book, None, Vec::new())
    }

    /// Opens the vault in a folder, or begins one.
    pub(crate) fn open(
        files: std::sync::Arc<dyn Files>,
        folder: &Path,
        book: BookId,
    ) -> Result<Self, VaultError> {
        let (file, entries) = VaultFile::open(files, folder, book)?;
        Ok(Self::new(book, Some(file), entries))
    }

    /// Reads the vault of a folder without writing anything, for auditors' tools on a copy.
    ///
    /// # Errors
    /// When it does not check, or is not there.
    pub fn read_only(folder: &Path) -> Result<Self, VaultError> {
        let (book, entries) = VaultFile::read(&crate::files::RealFiles, folder)?;
        Ok(Self::new(book, None, entries))
    }

    fn new(book: BookId, file: Option<VaultFile>, entries: Vec<Entry>) -> Self {
        let mut maps = Maps::default();
        for entry in entries {
            match entry {
                Entry::Key(id, key) => {
                    // A tombstone is final, also when entries were merged in another order.
                    maps.keys.entry(id).or_insert(Some(key));
                }
                Entry::Destroyed(id) => {
                    maps.keys.insert(id, None);
                }
                Entry::Secret(id, bytes) => {
                    maps.secrets.insert(id, bytes);
                }
                Entry::Forgotten(id) => {
                    maps.secrets.remove(&id);
                }
            }
        }
        let (maps, disk) = (Mutex::new(maps), Mutex::new(file));
        Self { book, maps, disk, erasures: AtomicU64::new(0), nonces: Nonces::default() }
    }

    fn maps(&self) -> MutexGuard<'_, Maps> {
        self.maps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn disk(&self) -> MutexGuard<'_, Option<VaultFile>> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The book this vault belongs to.
    #[must_use]
    pub const fn book(&self) -> BookId {
        self.book
    }

    /// Seals a text under a key, which is made when it is not there: nonce, then ciphertext with its tag. A key made
    /// here is put on disk before the next segment write (or by [`Vault::flush`]).
    ///
    /// # Errors
    /// When the key was destroyed, or there are no random bytes.
    pub fn seal(&self, id: KeyId, clear: &str) -> Result<Vec<u8>, SealError> {
        let random = |error: getrandom::Error| SealError::Random(error.to_string());
        let key = {
            let mut maps = self.maps();
            match maps.keys.get(&id) {
                Some(Some(key)) => key.clone(),
                Some(None) => return Err(SealError::Destroyed(id)),
                None => {
                    let mut key = Zeroizing::new([0; 32]);
                    getrandom::fill(&mut *key).map_err(random)?;
                    maps.keys.insert(id, Some(key.clone()));
                    maps.pending.push(id);
                    key
                }
            }
        };
        let aad = self.associated(id);
        let nonce = self.nonces.next(&aad, clear.as_bytes()).map_err(random)?;
        cipher::seal(&key, nonce, &aad, clear.as_bytes())
            .ok_or_else(|| SealError::Random("the text is too long to seal".into()))
    }

    /// Opens sealed bytes. `None`: the key is gone, or the bytes were not sealed under it for this book.
    #[must_use]
    pub fn open_sealed(&self, id: KeyId, sealed: &[u8]) -> Option<String> {
        let key = self.maps().keys.get(&id)?.clone()?;
        let clear = cipher::open(&key, &self.associated(id), sealed)?;
        String::from_utf8(clear).ok()
    }

    /// Is there a key of this id?
    #[must_use]
    pub fn has_key(&self, id: KeyId) -> bool {
        matches!(self.maps().keys.get(&id), Some(Some(_)))
    }

    /// Was the key of this id destroyed?
    #[must_use]
    pub fn is_destroyed(&self, id: KeyId) -> bool {
        matches!(self.maps().keys.get(&id), Some(None))
    }

    /// Destroys a key for ever, durably, and removes it from the file. To do it twice is no error.
    ///
    /// # Errors
    /// When the disk fails; the key is gone from memory even then, and the file must be mended.
    pub fn destroy(&self, id: KeyId) -> Result<(), VaultError> {
        let mut disk = self.disk();
        let known = {
            let mut maps = self.maps();
            maps.pending.retain(|pending| *pending != id);
            maps.keys.insert(id, None)
        };
        self.erasures.fetch_add(1, Ordering::AcqRel);
        if matches!(known, Some(None)) {
            return self.catch_up(&mut disk);
        }
        self.catch_up(&mut disk)?;
        // The tombstone first, so that a crash in the rewrite below cannot bring the key back.
        write(&mut disk, &[Entry::Destroyed(id)])?;
        self.rewrite(&mut disk)
    }

    /// Keys that are there.
    #[must_use]
    pub fn keys(&self) -> Vec<KeyId> {
        let maps = self.maps();
        let there = maps.keys.iter().filter(|(_, key)| key.is_some());
        let mut there: Vec<KeyId> = there.map(|(id, _)| *id).collect();
        there.sort_unstable();
        there
    }

    /// Destroys keys as [`destroy`](Self::destroy) does, with one write for all. Gives how many were there.
    ///
    /// # Errors
    /// As there.
    pub fn destroy_all(&self, ids: &[KeyId]) -> Result<usize, VaultError> {
        let mut disk = self.disk();
        let (mut tombstones, mut there) = (Vec::new(), 0);
        {
            let mut maps = self.maps();
            maps.pending.retain(|pending| !ids.contains(pending));
            for id in ids {
                let known = maps.keys.insert(*id, None);
                there += usize::from(matches!(known, Some(Some(_))));
                if !matches!(known, Some(None)) {
                    tombstones.push(Entry::Destroyed(*id));
                }
            }
        }
        self.erasures.fetch_add(1, Ordering::AcqRel);
        self.catch_up(&mut disk)?;
        if tombstones.is_empty() {
            return Ok(0);
        }
        write(&mut disk, &tombstones)?;
        self.rewrite(&mut disk)?;
        Ok(there)
    }

    /// The whole file as it would be written anew now, how many keys are destroyed, and what `also` sees while nothing
    /// can be put into the vault or forgotten.
    pub(crate) fn capture<T>(&self, also: impl FnOnce() -> T) -> (Zeroizing<Vec<u8>>, usize, T) {
        let _held = self.disk();
        let seen = also();
        let entries = self.maps().entries();
        let destroyed = entries.iter().filter(|entry| matches!(entry, Entry::Destroyed(_))).count();
        (Zeroizing::new(file::whole(self.book, &entries)), destroyed, seen)
    }

    /// Destroyed keys, for the list of erasures that is kept outside the backups.
    #[must_use]
    pub fn destroyed(&self) -> Vec<KeyId> {
        let maps = self.maps();
        let gone = maps.keys.iter().filter(|(_, key)| key.is_none());
        let mut gone: Vec<KeyId> = gone.map(|(id, _)| *id).collect();
        gone.sort_unstable();
        gone
    }

    /// Keeps a secret, durably before this returns. Events may name it from now on.
    ///
    /// # Errors
    /// When the id and version is taken by other content, or the disk fails.
    pub fn put_secret(&self, id: SecretRef, bytes: &[u8]) -> Result<(), VaultError> {
        self.put_secrets(&[(id, bytes)])
    }

    /// Keeps several secrets with one write (imports).
    ///
    /// # Errors
    /// As [`Vault::put_secret`]; then none of them is kept.
    pub fn put_secrets(&self, secrets: &[(SecretRef, &[u8])]) -> Result<(), VaultError> {
        let mut disk = self.disk();
        let mut entries = Vec::with_capacity(secrets.len());
        {
            let maps = self.maps();
            for (id, bytes) in secrets {
                match maps.secrets.get(id) {
                    Some(there) if there.as_slice() == *bytes => {}
                    Some(_) => return Err(VaultError::Taken),
                    None => entries.push(Entry::Secret(*id, Zeroizing::new(bytes.to_vec()))),
                }
            }
        }
        self.catch_up(&mut disk)?;
        write(&mut disk, &entries)?;
        // Shown only now; and before the disk is given free, so that no rewrite leaves them out.
        let mut maps = self.maps();
        for entry in entries {
            if let Entry::Secret(id, bytes) = entry {
                maps.secrets.insert(id, bytes);
            }
        }
        Ok(())
    }

    /// The content of a secret.
    #[must_use]
    pub fn secret(&self, id: SecretRef) -> Option<Zeroizing<Vec<u8>>> {
        self.maps().secrets.get(&id).cloned()
    }

    /// Names of all secrets, in order.
    #[must_use]
    pub fn secrets(&self) -> Vec<SecretRef> {
        let mut all: Vec<SecretRef> = self.maps().secrets.keys().copied().collect();
        all.sort_unstable();
        all
    }

    /// Removes secrets, durably, from the file too; those that are not there are no error. The event after which
    /// nothing names them any more must be durable before.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn forget_secrets(&self, secrets: &[SecretRef]) -> Result<(), VaultError> {
        let mut disk = self.disk();
        let gone: Vec<Entry> = {
            let mut maps = self.maps();
            let gone = secrets.iter().filter(|id| maps.secrets.remove(id).is_some());
            gone.map(|id| Entry::Forgotten(*id)).collect()
        };
        self.catch_up(&mut disk)?;
        if gone.is_empty() {
            return Ok(());
        }
        write(&mut disk, &gone)?;
        self.rewrite(&mut disk)
    }

    /// Puts keys on disk that were made since the last time. The book does this before each segment write.
    ///
    /// # Errors
    /// When the disk fails. Nothing more is written then until [`Vault::mend`].
    pub fn flush(&self) -> Result<(), VaultError> {
        // A key stays pending until it is durable, so there is nothing to wait for without one.
        if self.maps().pending.is_empty() {
            return Ok(());
        }
        let mut disk = self.disk();
        let entries = {
            let maps = self.maps();
            let key = |id: &KeyId| Some(Entry::Key(*id, maps.keys.get(id)?.clone()?));
            maps.pending.iter().filter_map(key).collect::<Vec<_>>()
        };
        write(&mut disk, &entries)?;
        self.written(&entries);
        Ok(())
    }

    /// Makes durable how much of the file is: at every beat of the book, and when it is closed.
    pub(crate) fn settle(&self) -> Result<(), VaultError> {
        self.disk().as_mut().map_or(Ok(()), VaultFile::settle)
    }

    /// After a disk failure: writes the whole file anew.
    ///
    /// # Errors
    /// When the disk is not well yet.
    pub fn mend(&self) -> Result<(), VaultError> {
        self.rewrite(&mut self.disk())
    }

    /// After a failed write memory is ahead of the file: what was to be gone may still stand there. So before anything
    /// else is answered, the file is written anew.
    fn catch_up(&self, disk: &mut Option<VaultFile>) -> Result<(), VaultError> {
        if disk.as_ref().is_some_and(VaultFile::has_stopped) {
            return self.rewrite(disk);
        }
        Ok(())
    }

    /// Writes the whole file anew, as the maps are now.
    fn rewrite(&self, disk: &mut Option<VaultFile>) -> Result<(), VaultError> {
        let Some(file) = disk else { return Ok(()) };
        let entries = self.maps().entries();
        file.rewrite(&entries)?;
        self.written(&entries);
        Ok(())
    }

    /// These keys are durable. Others may have been made meanwhile: they wait for the next write.
    fn written(&self, entries: &[Entry]) {
        let keys = entries.iter().filter_map(|entry| match entry {
            Entry::Key(id, _) => Some(*id),
            _ => None,
        });
        let keys: FxHashSet<KeyId> = keys.collect();
        self.maps().pending.retain(|id| !keys.contains(id));
    }

    /// Counts destructions of keys: who holds opened values looks here whether they may still be shown.
    pub(crate) fn erasures(&self) -> u64 {
        self.erasures.load(Ordering::Acquire)
    }

    /// Book id and key id: sealed bytes cannot be moved to another person or book.
    fn associated(&self, id: KeyId) -> Vec<u8> {
        let mut aad = self.book.bytes().to_vec();
        file::push_key_id(id, &mut aad);
        aad
    }
}

impl Keys for Vault {
    fn open(&self, key: KeyId, sealed: &[u8]) -> Option<String> {
        self.open_sealed(key, sealed)
    }
}

impl Maps {
    fn entries(&self) -> Vec<Entry> {
        let keys = self.keys.iter().map(|(id, key)| match key {
            Some(key) => Entry::Key(*id, key.clone()),
            None => Entry::Destroyed(*id),
        });
        let secrets = self.secrets.iter().map(|(id, bytes)| Entry::Secret(*id, bytes.clone()));
        keys.chain(secrets).collect()
    }
}

fn write(disk: &mut Option<VaultFile>, entries: &[Entry]) -> Result<(), VaultError> {
    match disk {
        Some(file) if !entries.is_empty() => file.append(entries),
        _ => Ok(()),
    }
}
