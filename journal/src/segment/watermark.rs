//! The watermark: a small file that says how far the book is durable, so that a torn end (cut) can be told from
//! damage (named). Written after every fdatasync of the book, made durable itself about once a second and at a
//! clean stop. Two slots, written in turn: one of them is always whole.

use crate::bytes::Reader;
use crate::files::{FileLike, Files, How, read_first};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use switchbook_core::id::BookId;
use switchbook_core::position::Position;

pub(crate) const NAME: &str = "watermark";
const MAGIC: [u8; 8] = *b"SWBKMRK\n";
/// Slots stand this far apart, so that no disk sector holds parts of both.
const APART: u64 = 4096;
const SLOT: usize = 64;
/// Nothing behind the second slot is read.
const LENGTH: u64 = APART + SLOT as u64;

/// How far the book is durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Mark {
    pub(crate) book: BookId,
    /// The last durable record.
    pub(crate) position: Position,
    /// The first position of the segment it stands in.
    pub(crate) segment: Position,
    /// Where that segment goes on behind it.
    pub(crate) offset: u64,
    /// Nothing was written after this: the book was closed properly.
    pub(crate) clean: bool,
}

impl Mark {
    fn encode(&self, turn: u64) -> [u8; SLOT] {
        let mut slot = Vec::with_capacity(SLOT);
        slot.extend(MAGIC);
        slot.extend(turn.to_le_bytes());
        slot.extend(self.book.bytes());
        for word in [self.position.0, self.segment.0, self.offset] {
            slot.extend(word.to_le_bytes());
        }
        slot.extend(u32::from(self.clean).to_le_bytes());
        slot.extend(crc32c::crc32c(&slot).to_le_bytes());
        let mut out = [0; SLOT];
        out.copy_from_slice(&slot);
        out
    }

    fn decode(slot: &[u8]) -> Option<(u64, Self)> {
        let slot = slot.get(..SLOT)?;
        let mut reader = Reader(slot);
        if reader.array()? != MAGIC {
            return None;
        }
        let turn = reader.u64()?;
        let book = BookId(reader.uuid()?);
        let (position, segment) = (Position(reader.u64()?), Position(reader.u64()?));
        let offset = reader.u64()?;
        let clean = reader.u32()? == 1;
        let sum = reader.u32()?;
        if sum != crc32c::crc32c(&slot[..SLOT - 4]) {
            return None;
        }
        Some((turn, Self { book, position, segment, offset, clean }))
    }
}

/// Reads the newest whole slot; `None` when there is no file, or no slot checks.
pub(crate) fn read(files: &dyn Files, folder: &Path) -> io::Result<Option<Mark>> {
    let Some(bytes) = read_first(files, &folder.join(NAME), LENGTH)? else { return Ok(None) };
    let slots = [0, APART as usize].map(|at| bytes.get(at..).and_then(Mark::decode));
    Ok(slots.into_iter().flatten().max_by_key(|(turn, _)| *turn).map(|(_, mark)| mark))
}

/// A whole file that says nothing but this.
pub(crate) fn file(mark: &Mark) -> Vec<u8> {
    let mut bytes = vec![0; APART as usize];
    bytes.extend(mark.encode(1));
    bytes
}

/// The writing end.
#[derive(Debug)]
pub(crate) struct Watermark {
    file: Box<dyn FileLike>,
    turn: AtomicU64,
    unsynced: AtomicBool,
}

impl Watermark {
    /// Begins anew with `mark`, durable at once.
    pub(crate) fn begin(files: &dyn Files, folder: &Path, mark: &Mark) -> io::Result<Self> {
        let old = read_first(files, &folder.join(NAME), LENGTH)?.unwrap_or_default();
        let turns = [0, APART as usize]
            .map(|at| old.get(at..).and_then(Mark::decode).map_or(0, |(turn, _)| turn));
        let file = files.open(&folder.join(NAME), How::Create)?;
        let turn = AtomicU64::new(turns[0].max(turns[1]));
        let watermark = Self { file, turn, unsynced: AtomicBool::new(false) };
        watermark.put(mark)?;
        watermark.file.sync()?;
        files.sync_folder(folder)?;
        Ok(watermark)
    }

    /// Says that the book is durable up to `mark`.
    pub(crate) fn put(&self, mark: &Mark) -> io::Result<()> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) + 1;
        self.file.write_at(&mark.encode(turn), turn % 2 * APART)?;
        self.unsynced.store(true, Ordering::Release);
        Ok(())
    }

    /// Makes the last mark durable, if it is not.
    pub(crate) fn sync(&self) -> io::Result<()> {
        if self.unsynced.swap(false, Ordering::AcqRel) { self.file.sync() } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::RealFiles;

    fn mark(position: u64, clean: bool) -> Mark {
        let book = BookId(uuid::Uuid::from_u128(7));
        let (position, segment) = (Position(position), Position(1));
        Mark { book, position, segment, offset: position.0 * 100, clean }
    }

    #[test]
    fn the_newest_whole_slot_counts() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(&RealFiles, folder.path()).unwrap(), None);
        let watermark = Watermark::begin(&RealFiles, folder.path(), &mark(1, false)).unwrap();
        watermark.put(&mark(2, false)).unwrap();
        watermark.put(&mark(3, true)).unwrap();
        watermark.sync().unwrap();
        assert_eq!(read(&RealFiles, folder.path()).unwrap(), Some(mark(3, true)));
        // Tear the newest one: the one before counts.
        let path = folder.path().join(NAME);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[APART as usize + 30] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(read(&RealFiles, folder.path()).unwrap(), Some(mark(2, false)));
        let again = Watermark::begin(&RealFiles, folder.path(), &mark(2, false)).unwrap();
        again.put(&mark(4, false)).unwrap();
        assert_eq!(read(&RealFiles, folder.path()).unwrap(), Some(mark(4, false)));
    }
}
