//! Snapshots of folded state: a file for each in the folder `snapshots` of the book, written once, checked whenever it
//! is read. Caches: one that is torn, flipped or of another life of the book is passed over, and its file removed.
//!
//! A snapshot says which record it stands behind: where that stands, and its leaf hash (RFC 9162 §2.1.1). So one that was
//! left behind by another book, or by this one before it was restored from a backup, is never believed. Nothing is made
//! durable here: after a power cut a file is whole, or its checksum fails.

use crate::bytes::Reader;
use crate::error::ReadError;
use crate::files::{Files, How, LARGEST, open_if_there, read_up_to};
use crate::segment::list::{Place, Segments};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use switchbook_core::id::BookId;
use switchbook_core::position::Position;

/// The folder's name.
pub(crate) const NAME: &str = "snapshots";
const MAGIC: [u8; 8] = *b"SWBKSNP\n";
const VERSION: u16 = 1;
/// What stands behind the payload, but for the name: book, position, segment, offset, leaf, length of the name, version,
/// magic, checksum.
const TRAILER: usize = 16 + 8 + 8 + 8 + 32 + 2 + 2 + 8 + 4;

/// The snapshots of a book.
#[derive(Debug)]
pub struct SnapshotFolder {
    files: Arc<dyn Files>,
    folder: PathBuf,
    book: BookId,
    there: Mutex<BTreeSet<(String, Position)>>,
}

/// What a file held.
struct Held {
    payload: Vec<u8>,
    place: Place,
}

/// Names of tables, as `exchange/4`; anything else is not a name.
fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '/';
    !name.is_empty() && name.len() < 100 && name.chars().all(plain)
}

fn file_name(name: &str, at: Position) -> String {
    format!("{:020}.{}", at.0, name.replace('/', "."))
}

fn read_file_name(file: &str) -> Option<(String, Position)> {
    let (at, name) = file.split_once('.')?;
    let at = at.parse().ok().map(Position)?;
    let name = name.replace('.', "/");
    (file_name(&name, at) == file && is_name(&name)).then_some((name, at))
}

impl SnapshotFolder {
    /// Looks which snapshots there are in a book's folder. What cannot be listed is none.
    #[must_use]
    pub fn open(files: Arc<dyn Files>, book_folder: &Path, book: BookId) -> Self {
        let there = Self::list_in(&*files, book_folder);
        Self::listed(files, book_folder, book, there)
    }

    /// Which snapshots there are in a book's folder now, whosever they are.
    #[must_use]
    pub fn list_in(files: &dyn Files, book_folder: &Path) -> BTreeSet<(String, Position)> {
        let names = files.list(&book_folder.join(NAME)).unwrap_or_default();
        names.iter().filter_map(|name| read_file_name(name)).collect()
    }

    /// Those that were found there before.
    #[must_use]
    pub fn listed(
        files: Arc<dyn Files>,
        book_folder: &Path,
        book: BookId,
        there: BTreeSet<(String, Position)>,
    ) -> Self {
        Self { files, folder: book_folder.join(NAME), book, there: Mutex::new(there) }
    }

    /// Removes what was being written when the server ended. For whoever writes here.
    pub(crate) fn tidy(&self) {
        let names = self.files.list(&self.folder).unwrap_or_default();
        for name in names.iter().filter(|name| name.ends_with(".new")) {
            self.remove(name);
        }
    }

    fn there(&self) -> MutexGuard<'_, BTreeSet<(String, Position)>> {
        self.there.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of them: names and positions, ascending.
    #[must_use]
    pub fn list(&self) -> Vec<(String, Position)> {
        self.there().iter().cloned().collect()
    }

    fn remove(&self, file: &str) {
        if let Err(error) = self.files.remove(&self.folder.join(file)) {
            tracing::debug!(%error, file, "an old snapshot could not be removed");
        }
    }

    pub(crate) fn drop_one(&self, name: &str, at: Position) {
        self.there().remove(&(name.to_owned(), at));
        self.remove(&file_name(name, at));
    }

    /// The bytes of one; `None` when the file is gone or does not check.
    #[must_use]
    pub fn read(&self, name: &str, at: Position) -> Option<Vec<u8>> {
        self.held(name, at).ok().flatten().map(|held| held.payload)
    }

    fn held(&self, name: &str, at: Position) -> io::Result<Option<Held>> {
        let path = self.folder.join(file_name(name, at));
        let Some(file) = open_if_there(&*self.files, &path)? else { return Ok(None) };
        let (length, behind) = (file.len()?, (TRAILER + name.len()) as u64);
        let Some(payload) = length.checked_sub(behind).filter(|payload| *payload <= LARGEST) else {
            return Ok(None);
        };
        // What it is stands at its end: no more is read of what is something else.
        if trailer(&read_up_to(&*file, payload, behind)?, self.book, name, at).is_none() {
            return Ok(None);
        }
        Ok(decode(read_up_to(&*file, 0, length)?, self.book, name, at))
    }

    /// One that can be believed; `None` when it never can be.
    fn believed(
        &self,
        segments: &Segments,
        name: &str,
        at: Position,
    ) -> Result<Option<Vec<u8>>, ReadError> {
        let reading = ReadError::io(format!("reading the snapshot {name} at {at}"));
        let Some(held) = self.held(name, at).map_err(reading)? else {
            tracing::warn!(name, %at, "a snapshot does not check: it is removed");
            return Ok(None);
        };
        if !segments.stands(at, &held.place)? {
            tracing::warn!(name, %at, "a snapshot is of another life of the book: it is removed");
            return Ok(None);
        }
        Ok(Some(held.payload))
    }

    /// The newest snapshot of this name at `at_most` or before that checks and stands behind a record of these segments.
    pub(crate) fn newest(
        &self,
        segments: &Segments,
        name: &str,
        mut at_most: Position,
    ) -> Option<(Position, Vec<u8>)> {
        loop {
            let range = (name.to_owned(), Position::START)..=(name.to_owned(), at_most);
            let at = self.there().range(range).next_back()?.1;
            match self.believed(segments, name, at) {
                Ok(Some(payload)) => return Some((at, payload)),
                Ok(None) => self.drop_one(name, at),
                // The disk may be well again in a moment: an older one does meanwhile.
                Err(error) => {
                    tracing::warn!(name, %at, %error, "a snapshot cannot be read just now");
                    at_most = Position(at.0.checked_sub(1)?);
                }
            }
        }
    }

    /// Keeps a snapshot that stands behind the record at `at`, and removes those of its name that nobody needs any more.
    /// So many bytes as `reserve` must be free afterwards: the book needs them, and it is no cache.
    pub(crate) fn put(
        &self,
        segments: &Arc<Segments>,
        name: &str,
        at: Position,
        bytes: Vec<u8>,
        reserve: u64,
    ) -> Result<(), String> {
        if !is_name(name) {
            return Err(format!("`{name}` is no name of a table"));
        }
        if bytes.len() as u64 > LARGEST {
            return Err(format!("{} bytes are more than one may have", bytes.len()));
        }
        self.is_room(bytes.len() as u64, reserve)?;
        let place = segments.place(at).map_err(|error| error.to_string())?;
        let place = place.ok_or("the book does not go so far")?;
        let file = file_name(name, at);
        let length = bytes.len() as u64;
        let written = self.write(&file, &encode(bytes, self.book, name, at, &place));
        if let Err(error) = written {
            self.remove(&format!("{file}.new"));
            return Err(error.to_string());
        }
        self.there().insert((name.to_owned(), at));
        for at in superfluous(&self.positions(name), spacing(length)) {
            self.drop_one(name, at);
        }
        Ok(())
    }

    fn is_room(&self, bytes: u64, reserve: u64) -> Result<(), String> {
        let above = self.folder.parent().unwrap_or(&self.folder);
        let free = self.files.free(above).map_err(|error| error.to_string())?;
        match free.checked_sub(bytes).is_some_and(|left| left >= reserve) {
            true => Ok(()),
            false => Err(format!(
                "{free} bytes are free on the disk, and {reserve} stay free for the book itself"
            )),
        }
    }

    /// Gives up snapshots of the earliest places until so many bytes are free again, or none is left.
    pub(crate) fn give_up(&self, bytes: u64) {
        let mut all = self.list();
        all.sort_by_key(|(_, at)| *at);
        let (mut freed, mut many) = (0, 0_usize);
        for (name, at) in all {
            if freed >= bytes {
                break;
            }
            let path = self.folder.join(file_name(&name, at));
            freed += self.files.open(&path, How::Read).and_then(|file| file.len()).unwrap_or(0);
            self.drop_one(&name, at);
            many += 1;
        }
        if many > 0 {
            tracing::warn!(
                many,
                freed,
                "snapshots were given up: the disk is full, and the book needs the room"
            );
        }
    }

    fn positions(&self, name: &str) -> Vec<Position> {
        let range = (name.to_owned(), Position::START)..=(name.to_owned(), Position(u64::MAX));
        self.there().range(range).map(|(_, at)| *at).collect()
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.files.create_folder(&self.folder)?;
        let fresh = self.folder.join(format!("{name}.new"));
        self.files.open(&fresh, How::Truncate)?.write_at(bytes, 0)?;
        self.files.rename(&fresh, &self.folder.join(name))
    }

    /// Removes all snapshots of other names: their shape is of another version, and nobody reads them any more.
    pub(crate) fn only(&self, names: &[&str]) {
        for (name, at) in self.list() {
            if !names.contains(&name.as_str()) {
                self.drop_one(&name, at);
            }
        }
    }
}

/// No two snapshots of a name need be nearer to each other than so many records, but for the newest.
pub const SPACING: u64 = 32_768;
/// Bytes of a record, about: snapshots lie so far apart that they take no more room than the records between them.
pub const RECORD: u64 = 400;

/// So far apart lie snapshots of so many bytes.
#[must_use]
pub fn spacing(bytes: u64) -> u64 {
    SPACING.max(bytes / RECORD)
}

/// Which of these positions, ascending, nobody needs: without them there is still one at most `spacing` records before
/// wherever there was one. The newest two always stay, since the newest may not be whole.
pub(crate) fn superfluous(positions: &[Position], spacing: u64) -> Vec<Position> {
    let mut kept = Position::START;
    let mut out = Vec::new();
    for window in positions.windows(3) {
        let &[at, next, _] = window else { continue };
        if next.0.saturating_sub(kept.0) <= spacing {
            out.push(at);
        } else {
            kept = at;
        }
    }
    out
}

fn encode(mut out: Vec<u8>, book: BookId, name: &str, at: Position, place: &Place) -> Vec<u8> {
    out.reserve_exact(name.len() + TRAILER);
    out.extend(name.as_bytes());
    out.extend(book.bytes());
    out.extend(at.0.to_le_bytes());
    out.extend(place.segment.0.to_le_bytes());
    out.extend(place.offset.to_le_bytes());
    out.extend(place.leaf);
    out.extend((name.len() as u16).to_le_bytes());
    out.extend(VERSION.to_le_bytes());
    out.extend(MAGIC);
    out.extend(crc32c::crc32c(&out).to_le_bytes());
    out
}

fn decode(mut bytes: Vec<u8>, book: BookId, name: &str, at: Position) -> Option<Held> {
    let (body, sum) = bytes.split_last_chunk::<4>()?;
    if u32::from_le_bytes(*sum) != crc32c::crc32c(body) {
        return None;
    }
    let payload = bytes.len().checked_sub(TRAILER + name.len())?;
    let place = trailer(bytes.get(payload..)?, book, name, at)?;
    bytes.truncate(payload);
    Some(Held { payload: bytes, place })
}

/// Where the snapshot stands, if what stands behind the payload is of this one. The checksum is left alone.
fn trailer(bytes: &[u8], book: BookId, name: &str, at: Position) -> Option<Place> {
    let mut reader = Reader(bytes);
    let named = reader.take(name.len())? == name.as_bytes();
    let ours = BookId(reader.uuid()?) == book && Position(reader.u64()?) == at;
    let (segment, offset, leaf) = (Position(reader.u64()?), reader.u64()?, reader.array()?);
    let rest = usize::from(reader.u16()?) == name.len() && reader.u16()? == VERSION;
    (named && ours && rest && reader.array()? == MAGIC).then_some(Place { segment, offset, leaf })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn file_names_lead_back_and_strangers_are_none() {
        let file = file_name("call_log/3", Position(32_768));
        assert_eq!(file, "00000000000000032768.call_log.3");
        assert_eq!(read_file_name(&file), Some(("call_log/3".into(), Position(32_768))));
        for stranger in ["7.exchange.3", "00000000000000032768.exchange.3.new~", "notes.txt", ""] {
            assert_eq!(read_file_name(stranger), None, "{stranger}");
        }
    }

    proptest! {
        /// Whatever was put in whatever order: from any place on, the nearest one before it is hardly farther than it was.
        #[test]
        fn what_is_removed_was_near_another(mut at in proptest::collection::btree_set(1..1_000_000_u64, 0..60)) {
            let all: Vec<Position> = at.iter().map(|at| Position(*at)).collect();
            for gone in superfluous(&all, SPACING) {
                at.remove(&gone.0);
            }
            let newest: Vec<_> = all.iter().rev().take(2).collect();
            prop_assert!(newest.iter().all(|newest| at.contains(&newest.0)));
            for asked in &all {
                let nearest = at.range(..=asked.0).next_back().copied().unwrap_or(0);
                prop_assert!(asked.0 - nearest <= SPACING);
            }
            // And none of them stands so near between two others that it could go as well.
            let left: Vec<Position> = at.iter().map(|at| Position(*at)).collect();
            prop_assert_eq!(superfluous(&left, SPACING), []);
        }
    }
}
