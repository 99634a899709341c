//! The index (sled): what makes reads quick. Never the only copy of anything: behind, damaged or gone, it is made
//! anew from the segments while these serve. One tree, keys told apart by their first byte:
//! `b` blocks of records, `p` pages of postings, `m` what it has taken in.

pub(crate) mod audit;
mod blocks;
pub(crate) mod follow;
mod postings;

use crate::bytes::Reader;
use crate::error::ReadError;
use crate::segment::list::{Place, Segments};
pub(crate) use postings::Looked;
use postings::Run;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use switchbook_core::id::BookId;
use switchbook_core::position::Position;

/// Changes whenever what is stored changes: an index of another version is thrown away and made anew.
const VERSION: u16 = 3;
const META: &[u8] = b"m";
/// Values stay below 64 KiB: larger ones make sled slow.
const VALUE: usize = 60 * 1024;

/// sled has one lock for all databases of a process, and a flush of it can miss its wake-up, which only the next flush
/// repeats. While a batch waits for that lock behind the flush, none comes, and both wait for ever. So batches wait
/// here, where sled's own flusher does not queue behind them.
static GATE: RwLock<()> = RwLock::new(());

/// An open index.
#[derive(Debug)]
pub(crate) struct Index {
    db: sled::Db,
    book: BookId,
    upto: AtomicU64,
    /// Where the last record that was taken in stands, and what it is: so that an index of another life of the book is known.
    last: Mutex<Place>,
    runs: RwLock<Vec<Run>>,
    /// Held by whoever merges runs, and by who must not see them merged.
    merging: Mutex<()>,
    /// Something did not check, or sled failed: nothing more is asked of it.
    failed: AtomicBool,
}

impl Index {
    /// Opens the index in a folder, or begins one. Whatever goes wrong, sled's panics included, is an error in words.
    pub(crate) fn open(folder: &Path, book: BookId, cache: u64) -> Result<Self, String> {
        let opened = catch_unwind(AssertUnwindSafe(|| {
            sled::Config::new()
                .path(folder)
                .cache_capacity(cache)
                .flush_every_ms(Some(1000))
                .open()
                .map_err(|error| error.to_string())
        }));
        let db = opened.unwrap_or_else(|_| Err("it panicked".into()))?;
        let (upto, runs) = (AtomicU64::new(0), RwLock::new(Vec::new()));
        let (last, merging, failed) = (Mutex::default(), Mutex::new(()), AtomicBool::new(false));
        let index = Self { db, book, upto, last, runs, merging, failed };
        match index.take_up() {
            Ok(()) => Ok(index),
            Err(what) => {
                Arc::new(index).abandon();
                Err(what)
            }
        }
    }

    /// Reads what the index knows of itself.
    fn take_up(&self) -> Result<(), String> {
        let meta = self.guard(|db| db.get(META)).ok_or("it cannot be read")?;
        if let Some(meta) = meta {
            let known = read_meta(&meta, self.book);
            let (upto, last, runs) = known.ok_or("it is another book's or version's")?;
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = last;
            self.upto.store(upto.0, Ordering::Release);
            *self.runs.write().unwrap_or_else(PoisonError::into_inner) = runs;
        }
        Ok(())
    }

    /// Is it an index of these segments: do they go so far, and is the last record that it has theirs? An index that was
    /// left behind in the folder when another life of the book was put there (from a backup, a copy) is not.
    ///
    /// # Errors
    /// When that record cannot be read just now: then nobody knows.
    pub(crate) fn is_of(&self, segments: &Segments) -> Result<bool, ReadError> {
        let upto = self.upto();
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if upto == Position::START { Ok(true) } else { segments.stands(upto, &last) }
    }

    /// Gives the database up without closing it, which could take for ever. Its memory is lost; damage is rare.
    fn abandon(self: Arc<Self>) {
        std::mem::forget(self);
    }

    /// Everything up to here is in the index.
    pub(crate) fn upto(&self) -> Position {
        if self.has_failed() {
            return Position::START;
        }
        Position(self.upto.load(Ordering::Acquire))
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    fn fail(&self, what: &str) {
        if !self.failed.swap(true, Ordering::AcqRel) {
            tracing::warn!(
                what,
                "the index is not used any more and will be made anew from the segments"
            );
        }
    }

    fn runs(&self) -> RwLockReadGuard<'_, Vec<Run>> {
        self.runs.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks sled something; an error or a panic means that the index is done for.
    fn guard<T>(&self, ask: impl FnOnce(&sled::Db) -> sled::Result<T>) -> Option<T> {
        let _gate = GATE.read().unwrap_or_else(PoisonError::into_inner);
        self.caught(ask)
    }

    /// Applies a batch, with nobody else inside.
    fn apply(&self, batch: sled::Batch) -> Option<()> {
        let _gate = GATE.write().unwrap_or_else(PoisonError::into_inner);
        self.caught(|db| db.apply_batch(batch))
    }

    fn caught<T>(&self, ask: impl FnOnce(&sled::Db) -> sled::Result<T>) -> Option<T> {
        match catch_unwind(AssertUnwindSafe(|| ask(&self.db))) {
            Ok(Ok(answer)) => Some(answer),
            Ok(Err(error)) => {
                self.fail(&error.to_string());
                None
            }
            Err(_) => {
                self.fail("it panicked");
                None
            }
        }
    }

    /// What the index knows of itself, for the batch that changes it.
    fn meta(&self, upto: Position, last: &Place, runs: &[Run]) -> Vec<u8> {
        let mut out = VERSION.to_le_bytes().to_vec();
        out.extend(self.book.bytes());
        out.extend(upto.0.to_le_bytes());
        out.extend(last.segment.0.to_le_bytes());
        out.extend(last.offset.to_le_bytes());
        out.extend(last.leaf);
        for run in runs {
            out.push(run.level);
            out.extend(run.first.0.to_le_bytes());
            out.extend(run.last.0.to_le_bytes());
        }
        out.extend(crc32c::crc32c(&out).to_le_bytes());
        out
    }

    /// Puts everything on disk, as well as sled can; what has failed is not worth it, and could wait for ever.
    pub(crate) fn flush(&self) {
        if !self.has_failed() {
            self.guard(|db| db.flush());
        }
    }
}

fn read_meta(bytes: &[u8], book: BookId) -> Option<(Position, Place, Vec<Run>)> {
    let (body, sum) = bytes.split_last_chunk::<4>()?;
    let mut reader = Reader(body);
    let ours = reader.u16()? == VERSION && BookId(reader.uuid()?) == book;
    if !ours || u32::from_le_bytes(*sum) != crc32c::crc32c(body) {
        return None;
    }
    let upto = Position(reader.u64()?);
    let segment = Position(reader.u64()?);
    let last = Place { segment, offset: reader.u64()?, leaf: reader.array()? };
    let mut runs = Vec::new();
    while !reader.0.is_empty() {
        let level = reader.u8()?;
        runs.push(Run { level, first: Position(reader.u64()?), last: Position(reader.u64()?) });
    }
    Some((upto, last, runs))
}
