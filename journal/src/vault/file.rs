//! The vault's file: a head, then checksummed entries, appended and made durable before anything names them
//! (docs/journal-format.md). The head's two slots tell how much of it was durable: below that, what does not check
//! is damage; behind it, a torn end.

use crate::bytes::Reader;
use crate::error::VaultError;
use crate::files::{FileLike, Files, How, read_all, replace};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use switchbook_core::id::{BookId, SecretId, UserId};
use switchbook_core::personal::KeyId;
use switchbook_core::user::SecretRef;
use zeroize::Zeroizing;

pub(crate) const NAME: &str = "vault";
const MAGIC: [u8; 8] = *b"SWBKVLT\n";
const VERSION: u16 = 1;
/// Entries begin here.
const BODY: usize = 8192;
/// The two slots that say how much is durable.
const SLOTS: [usize; 2] = [2048, 4096];
const MAX_ENTRY: usize = 64 * 1024;

/// One entry.
pub(super) enum Entry {
    Key(KeyId, Zeroizing<[u8; 32]>),
    Destroyed(KeyId),
    Secret(SecretRef, Zeroizing<Vec<u8>>),
    Forgotten(SecretRef),
}

/// Kind byte, then 16 bytes of a user id or 4 bytes of a period.
pub(super) fn push_key_id(id: KeyId, out: &mut Vec<u8>) {
    match id {
        KeyId::Person(user) => {
            out.push(1);
            out.extend(user.bytes());
        }
        KeyId::Period(period) => {
            out.push(2);
            out.extend(period.to_le_bytes());
        }
    }
}

fn key_id(reader: &mut Reader<'_>) -> Option<KeyId> {
    match reader.u8()? {
        1 => Some(KeyId::Person(UserId(reader.uuid()?))),
        2 => Some(KeyId::Period(reader.u32()?)),
        _ => None,
    }
}

fn secret_ref(reader: &mut Reader<'_>) -> Option<SecretRef> {
    Some(SecretRef { id: SecretId(reader.uuid()?), version: reader.u32()? })
}

impl Entry {
    fn push(&self, out: &mut Vec<u8>) {
        let at = out.len();
        out.extend([0; 8]);
        match self {
            Self::Key(id, key) => {
                out.push(1);
                push_key_id(*id, out);
                out.extend(key.iter());
            }
            Self::Destroyed(id) => {
                out.push(2);
                push_key_id(*id, out);
            }
            Self::Secret(id, bytes) => {
                out.push(3);
                out.extend(id.id.bytes());
                out.extend(id.version.to_le_bytes());
                out.extend(bytes.iter());
            }
            Self::Forgotten(id) => {
                out.push(4);
                out.extend(id.id.bytes());
                out.extend(id.version.to_le_bytes());
            }
        }
        let length = (out.len() - at - 8) as u32;
        out[at..at + 4].copy_from_slice(&length.to_le_bytes());
        let sum = crc32c::crc32c_append(crc32c::crc32c(&out[at..at + 4]), &out[at + 8..]);
        out[at + 4..at + 8].copy_from_slice(&sum.to_le_bytes());
    }

    /// The entry at the beginning of `bytes` and its length; `None` when it does not check.
    fn read(bytes: &[u8]) -> Option<(Self, usize)> {
        let mut reader = Reader(bytes);
        let (length, sum) = (reader.u32()? as usize, reader.u32()?);
        if length == 0 || length > MAX_ENTRY {
            return None;
        }
        let body = reader.take(length)?;
        if crc32c::crc32c_append(crc32c::crc32c(&bytes[..4]), body) != sum {
            return None;
        }
        let mut reader = Reader(body);
        let entry = match reader.u8()? {
            1 => Self::Key(key_id(&mut reader)?, Zeroizing::new(reader.array()?)),
            2 => Self::Destroyed(key_id(&mut reader)?),
            3 => Self::Secret(secret_ref(&mut reader)?, Zeroizing::new(reader.0.to_vec())),
            4 => Self::Forgotten(secret_ref(&mut reader)?),
            _ => return None,
        };
        Some((entry, 8 + length))
    }
}

fn head(book: BookId) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend(VERSION.to_le_bytes());
    out.extend([0; 6]);
    out.extend(book.bytes());
    out.extend(crc32c::crc32c(&out).to_le_bytes());
    out.resize(BODY, 0);
    out
}

fn slot(turn: u64, durable: u64) -> [u8; 20] {
    let mut out = [0; 20];
    out[..8].copy_from_slice(&turn.to_le_bytes());
    out[8..16].copy_from_slice(&durable.to_le_bytes());
    let sum = crc32c::crc32c(&out[..16]);
    out[16..].copy_from_slice(&sum.to_le_bytes());
    out
}

fn read_slot(bytes: &[u8]) -> Option<(u64, u64)> {
    let mut reader = Reader(bytes);
    let (turn, durable, sum) = (reader.u64()?, reader.u64()?, reader.u32()?);
    (turn > 0 && sum == crc32c::crc32c(&bytes[..16])).then_some((turn, durable))
}

struct Contents {
    book: BookId,
    entries: Vec<Entry>,
    /// Where valid entries end.
    end: usize,
    turn: u64,
}

impl Contents {
    fn is_of(&self, book: BookId) -> Result<(), VaultError> {
        if self.book == book {
            return Ok(());
        }
        let (found, expected) = (self.book.to_string(), book.to_string());
        Err(VaultError::Foreign { found, expected })
    }
}

fn parse(bytes: &[u8]) -> Result<Contents, VaultError> {
    let bad = |offset: usize, what: &str| VaultError::Damaged {
        offset: offset as u64,
        what: what.into(),
    };
    let mut reader = Reader(bytes);
    if reader.array::<8>() != Some(MAGIC) {
        return Err(bad(0, "it does not begin as a vault does"));
    }
    let version = reader.u16().unwrap_or(0);
    if version > VERSION {
        return Err(VaultError::Newer { found: version, known: VERSION });
    }
    let sum = bytes.get(32..).and_then(|rest| rest.first_chunk::<4>()).copied();
    if bytes.len() < BODY || sum != Some(crc32c::crc32c(&bytes[..32]).to_le_bytes()) {
        return Err(bad(0, "the checksum of its head is wrong"));
    }
    reader.take(6);
    let book = reader.uuid().map(BookId).ok_or_else(|| bad(0, "its head is cut off"))?;
    let slots = SLOTS.map(|at| read_slot(&bytes[at..]));
    let (turn, durable) = slots.into_iter().flatten().max().unwrap_or((0, BODY as u64));
    let mut contents = Contents { book, entries: Vec::new(), end: BODY, turn };
    while let Some((entry, length)) = Entry::read(&bytes[contents.end..]) {
        contents.entries.push(entry);
        contents.end += length;
    }
    if (contents.end as u64) < durable {
        return Err(bad(contents.end, "an entry that was durable does not check"));
    }
    Ok(contents)
}

/// What the bytes of a vault's file hold.
pub(super) fn entries(bytes: &[u8], book: BookId) -> Result<Vec<Entry>, VaultError> {
    let contents = parse(bytes)?;
    contents.is_of(book)?;
    Ok(contents.entries)
}

/// The open file.
pub(super) struct VaultFile {
    files: Arc<dyn Files>,
    folder: PathBuf,
    book: BookId,
    file: Box<dyn FileLike>,
    end: u64,
    turn: u64,
    /// The last slot was written, but not made durable.
    unsettled: bool,
    /// Set by a failure; nothing is appended until the file was written anew.
    stopped: Option<String>,
}

impl VaultFile {
    pub(super) fn open(
        files: Arc<dyn Files>,
        folder: &Path,
        book: BookId,
    ) -> Result<(Self, Vec<Entry>), VaultError> {
        let io = || VaultError::io("opening the vault");
        let there = read_all(&*files, &folder.join(NAME)).map_err(io())?;
        let (entries, fresh) = match there {
            None => (Vec::new(), true),
            Some(bytes) => {
                let contents = parse(&bytes)?;
                contents.is_of(book)?;
                // A torn end is cut by writing the file anew: nothing of it was named by any event.
                let torn = bytes[contents.end..].iter().any(|byte| *byte != 0);
                if !torn {
                    let file = files.open(&folder.join(NAME), How::Write).map_err(io())?;
                    // What was read may be in the kernel's cache only: make it durable before it is relied on.
                    file.sync().map_err(io())?;
                    let (end, turn) = (contents.end as u64, contents.turn);
                    let folder = folder.to_path_buf();
                    let (stopped, unsettled) = (None, false);
                    let vault = Self { files, folder, book, file, end, turn, unsettled, stopped };
                    return Ok((vault, contents.entries));
                }
                (contents.entries, false)
            }
        };
        let bytes = whole(book, &entries);
        let file = replace(&*files, folder, NAME, &bytes).map_err(io())?;
        tracing::info!(fresh, "the vault was written");
        let (end, folder) = (bytes.len() as u64, folder.to_path_buf());
        let (stopped, unsettled) = (None, false);
        let vault = Self { files, folder, book, file, end, turn: 1, unsettled, stopped };
        Ok((vault, entries))
    }

    pub(super) fn read(
        files: &dyn Files,
        folder: &Path,
    ) -> Result<(BookId, Vec<Entry>), VaultError> {
        let io = || VaultError::io("reading the vault");
        let bytes = read_all(files, &folder.join(NAME)).map_err(io())?;
        let missing = || io()(std::io::ErrorKind::NotFound.into());
        let contents = parse(&bytes.ok_or_else(missing)?)?;
        Ok((contents.book, contents.entries))
    }

    /// Something could not be written: memory is ahead of the file until it is written anew.
    pub(super) const fn has_stopped(&self) -> bool {
        self.stopped.is_some()
    }

    /// Appends entries and makes them durable.
    pub(super) fn append(&mut self, entries: &[Entry]) -> Result<(), VaultError> {
        if let Some(reason) = &self.stopped {
            return Err(VaultError::Stopped(reason.clone()));
        }
        let mut bytes = Zeroizing::new(Vec::new());
        for entry in entries {
            entry.push(&mut bytes);
        }
        let written = self.file.write_at(&bytes, self.end).and_then(|()| self.file.sync());
        let written = written.and_then(|()| {
            self.end += bytes.len() as u64;
            self.turn += 1;
            // Durable at the next beat; until then the torn-end rule covers it.
            self.unsettled = true;
            let at = SLOTS[(self.turn % 2) as usize] as u64;
            self.file.write_at(&slot(self.turn, self.end), at)
        });
        written.map_err(|source| {
            self.stopped = Some(source.to_string());
            VaultError::Io { doing: "writing the vault".into(), source }
        })
    }

    /// Makes durable what says how much is durable, so that damage is not taken for a torn end.
    pub(super) fn settle(&mut self) -> Result<(), VaultError> {
        if !self.unsettled || self.stopped.is_some() {
            return Ok(());
        }
        self.unsettled = false;
        self.file.sync().map_err(|source| {
            self.stopped = Some(source.to_string());
            VaultError::Io { doing: "writing the vault".into(), source }
        })
    }

    /// Writes the whole file anew, and overwrites the old one so that no destroyed key stays on the disk.
    pub(super) fn rewrite(&mut self, entries: &[Entry]) -> Result<(), VaultError> {
        let bytes = Zeroizing::new(whole(self.book, entries));
        let fresh = replace(&*self.files, &self.folder, NAME, &bytes);
        let fresh = fresh.inspect_err(|error| self.stopped = Some(error.to_string()));
        let fresh = fresh.map_err(VaultError::io("writing the vault anew"))?;
        let old = std::mem::replace(&mut self.file, fresh);
        let length = (self.end as usize).saturating_sub(BODY);
        // The new file is in place; that the old blocks are blank is a best effort on any file system.
        if let Err(error) = old.write_at(&vec![0; length], BODY as u64).and_then(|()| old.sync()) {
            tracing::warn!(%error, "the old vault's blocks could not be blanked");
        }
        (self.end, self.turn, self.stopped) = (bytes.len() as u64, 1, None);
        self.unsettled = false;
        Ok(())
    }
}

pub(super) fn whole(book: BookId, entries: &[Entry]) -> Vec<u8> {
    let mut bytes = head(book);
    for entry in entries {
        entry.push(&mut bytes);
    }
    let durable = slot(1, bytes.len() as u64);
    bytes[SLOTS[1]..SLOTS[1] + durable.len()].copy_from_slice(&durable);
    bytes
}
