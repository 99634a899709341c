//! The one that writes: takes what waits, writes it with one write and one fdatasync, then answers.

use super::Shared;
use crate::codec::Codec;
use crate::error::{AppendError, VaultError};
use crate::files::{FileLike, How, replace};
use crate::frame;
use crate::merkle::{Frontier, Hash};
use crate::record::{encode_record, has_unsealed};
use crate::segment::file_name;
use crate::segment::head::Head;
use crate::segment::list::Segment;
use crate::segment::watermark::Mark;
use crate::store::{Commit, Health};
use crate::view::check_commits;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use switchbook_core::position::Position;
use tokio::sync::oneshot;

/// A batch that has so many bytes is written before more is taken in.
const BYTES: usize = 8 * 1024 * 1024;
/// Small batches are written with so many zeros behind them, if there is none yet: the batches that follow overwrite
/// bytes that the file has already, so their fdatasync writes them alone and not the file's length as well. A length
/// word of zero is the end of a segment. Never more than a sixteenth of a segment.
const AHEAD: usize = 256 * 1024;
/// More memory is not kept between batches.
const SPARE: usize = 2 * 1024 * 1024;

type Reply = oneshot::Sender<Result<Position, AppendError>>;

/// What it is asked to do.
#[derive(Debug)]
pub(super) enum Work {
    Append { commits: Vec<Commit>, reply: Reply },
    Resume { reply: Reply },
}

/// The writing end of the book.
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) file: Box<dyn FileLike>,
    pub(super) segment: Arc<Segment>,
    /// Where the next frame goes.
    pub(super) offset: u64,
    /// The file has bytes up to here.
    pub(super) reserved: u64,
    /// The last durable record, and the tree up to it.
    pub(super) tail: Position,
    pub(super) tree: Frontier,
    pub(super) segment_bytes: u64,
    pub(super) codec: Codec,
    /// Why no writes are taken.
    pub(super) stopped: Option<String>,
    /// The last batch's memory, for the next one: a large piece costs page faults each time it is asked for.
    pub(super) spare: Vec<u8>,
}

/// Commits that were encoded, and who waits for them.
struct Group {
    commits: Vec<Commit>,
    last: Position,
    reply: Reply,
}

impl Writer {
    /// Does what waits, with as few writes as it can.
    pub(super) fn do_all(&mut self, waiting: &mut Vec<Work>) {
        let mut batch = Batch::new(self);
        for work in waiting.drain(..) {
            match work {
                Work::Append { commits, reply } => {
                    if batch.bytes.len() >= BYTES {
                        self.finish(batch);
                        batch = Batch::new(self);
                    }
                    batch.add(self, commits, reply);
                }
                Work::Resume { reply } => {
                    self.finish(batch);
                    // Whoever does not wait any more is answered by `health`.
                    let _ = reply.send(self.resume());
                    batch = Batch::new(self);
                }
            }
        }
        self.finish(batch);
    }

    /// Writes a batch, makes it durable, publishes it and answers.
    fn finish(&mut self, mut batch: Batch) {
        if batch.groups.is_empty() {
            return;
        }
        if let Err(Failed { written, reason, full }) = self.write(&mut batch) {
            self.stop(&reason);
            self.make_room(full);
            for group in batch.groups {
                let reason = reason.clone();
                let _ = group.reply.send(Err(match written {
                    Written::Nothing => AppendError::Stopped { reason },
                    Written::Perhaps => AppendError::OutcomeUnknown { reason },
                }));
            }
            return;
        }
        let counted = [
            (&self.shared.groups, 1),
            (&self.shared.records, batch.tail.0 - self.tail.0),
            (&self.shared.bytes, batch.bytes.len() as u64),
        ];
        for (count, more) in counted {
            count.fetch_add(more, Ordering::Relaxed);
        }
        self.offset += batch.bytes.len() as u64;
        self.tail = batch.tail;
        batch.leaves.iter().for_each(|leaf| self.tree.push(*leaf));
        self.segment.set_valid(self.tail, self.offset);
        // The mark stands before anybody is answered: after a crash of the process it covers every answer.
        if let Err(error) = self.shared.watermark.put(&self.mark(false)) {
            tracing::warn!(%error, "the watermark could not be written; the records themselves are durable");
        }
        let mut answers = Vec::with_capacity(batch.groups.len());
        {
            let mut tail = self.shared.tail();
            for group in batch.groups {
                answers.push((group.reply, group.last));
                let records = group.commits.into_iter().flat_map(|commit| commit.records);
                records.for_each(|record| tail.push(record));
            }
        }
        *self.shared.tree.lock().unwrap_or_else(PoisonError::into_inner) = self.tree.clone();
        self.shared.durable.send_replace(self.tail);
        for (reply, last) in answers {
            let _ = reply.send(Ok(last));
        }
        if batch.bytes.capacity() <= SPARE {
            self.spare = batch.bytes;
        }
    }

    fn write(&mut self, batch: &mut Batch) -> Result<(), Failed> {
        self.shared.vault.flush().map_err(|error| {
            let full = is_for_want_of_room(&error);
            Failed { written: Written::Nothing, reason: error.to_string(), full }
        })?;
        let begun = self.tail >= self.segment.head.first;
        if begun && self.offset + batch.bytes.len() as u64 > self.segment_bytes {
            self.begin_segment().map_err(|error| Failed {
                written: Written::Nothing,
                reason: format!("a new segment could not be begun: {error}"),
                full: is_full(&error),
            })?;
        }
        let written = self.write_ahead(&mut batch.bytes).and_then(|()| self.file.sync());
        written.map_err(|error| Failed {
            written: Written::Perhaps,
            reason: format!("writing segments/{} failed: {error}", self.segment.name()),
            full: is_full(&error),
        })
    }

    /// Snapshots are caches: when the disk is full, some of them make room for a segment before the book is tried again.
    fn make_room(&self, full: bool) {
        if full {
            self.shared.snapshots.give_up(self.segment_bytes);
        }
    }

    /// Writes the frames, with zeros behind them if they reach beyond what the file has. Zeros that find no room are no
    /// loss.
    fn write_ahead(&mut self, frames: &mut Vec<u8>) -> io::Result<()> {
        let length = frames.len();
        let end = self.offset + length as u64;
        let ahead = AHEAD.min(usize::try_from(self.segment_bytes / 16).unwrap_or(AHEAD));
        if end > self.reserved && length < ahead {
            frames.resize(length + ahead, 0);
            let written = self.file.write_at(frames, self.offset);
            frames.truncate(length);
            match written {
                Ok(()) => {
                    self.reserved = end + ahead as u64;
                    return Ok(());
                }
                // The zeros found no room: what was taken of it is given back before the frames are written alone.
                Err(error) if is_full(&error) => self.file.set_len(self.offset)?,
                Err(error) => return Err(error),
            }
        }
        self.file.write_at(frames, self.offset)?;
        self.reserved = self.reserved.max(end);
        Ok(())
    }

    /// Begins a segment behind the last durable record. Its head says where the present one validly ends.
    fn begin_segment(&mut self) -> io::Result<()> {
        let (previous, previous_bytes) = if self.tail < self.segment.head.first {
            // Nothing in the present segment is durable: the new one takes its place.
            (self.segment.head.previous, self.segment.head.previous_bytes)
        } else {
            (self.segment.head.first, self.offset)
        };
        let head = Head {
            book: self.shared.book,
            first: self.tail.next(),
            previous,
            previous_bytes,
            before: self.tree.clone(),
        };
        let segments = &self.shared.segments;
        let bytes = head.encode();
        let (first, length) = (head.first, bytes.len() as u64);
        let file = replace(&*segments.files, segments.folder(), &file_name(first), &bytes)?;
        self.give_back();
        let segment = Arc::new(Segment::new(head, length, self.tail, length));
        segments.push(Arc::clone(&segment));
        (self.file, self.segment, self.offset) = (file, segment, length);
        self.reserved = length;
        Ok(())
    }

    /// Cuts off the zeros that were written ahead. If they stay, they are the end of the segment all the same. A file
    /// that failed is left alone.
    fn give_back(&self) {
        if self.stopped.is_none()
            && self.reserved > self.offset
            && let Err(error) = self.file.set_len(self.offset)
        {
            tracing::warn!(%error, "zeros stay behind the last record; they do no harm");
        }
    }

    fn stop(&mut self, reason: &str) {
        tracing::error!(reason, "the book takes no writes any more");
        self.stopped = Some(reason.to_owned());
        *self.shared.health() = Health::ReadOnly { reason: reason.to_owned() };
    }

    /// Tries the disk again: everything behind the last durable record is void, a new segment begins there.
    fn resume(&mut self) -> Result<Position, AppendError> {
        if self.stopped.is_none() {
            return Ok(self.tail);
        }
        let mut full = false;
        let tried = self.shared.vault.mend().map_err(|error| {
            full = is_for_want_of_room(&error);
            error.to_string()
        });
        let tried = tried.and_then(|()| self.check_end());
        let tried = tried.and_then(|()| {
            self.begin_segment().map_err(|error| {
                full = is_full(&error);
                error.to_string()
            })
        });
        let tried = tried.and_then(|()| {
            self.shared.watermark.put(&self.mark(false)).map_err(|error| error.to_string())
        });
        if let Err(reason) = tried {
            self.stop(&reason);
            self.make_room(full);
            return Err(AppendError::Stopped { reason });
        }
        self.stopped = None;
        *self.shared.health() = Health::Writable;
        tracing::info!(tail = %self.tail, "the book takes writes again");
        Ok(self.tail)
    }

    /// Reads the last durable record back before anything is built on it.
    fn check_end(&self) -> Result<(), String> {
        if self.tail < self.segment.head.first {
            return Ok(());
        }
        let mut walk = self.shared.segments.walk(self.tail);
        match walk.next() {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err("the last record cannot be found any more".into()),
            Err(error) => Err(error.to_string()),
        }
    }

    pub(super) fn mark(&self, clean: bool) -> Mark {
        Mark {
            book: self.shared.book,
            position: self.tail,
            segment: self.segment.head.first,
            offset: self.offset,
            clean,
        }
    }

    pub(super) fn close(&mut self) {
        let vault = &self.shared.vault;
        let flushed = vault.flush().and_then(|()| vault.settle());
        if self.stopped.is_some() || flushed.is_err() {
            return;
        }
        self.give_back();
        let closed =
            self.shared.watermark.put(&self.mark(true)).and_then(|()| self.shared.watermark.sync());
        if let Err(error) = closed {
            tracing::warn!(%error, "the book was not marked as closed properly: the next start checks its end");
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

fn is_for_want_of_room(error: &VaultError) -> bool {
    matches!(error, VaultError::Io { source, .. } if is_full(source))
}

/// A write that did not succeed.
struct Failed {
    written: Written,
    reason: String,
    /// There was no room for it.
    full: bool,
}

/// How far a failed write can have come.
#[derive(Clone, Copy)]
enum Written {
    Nothing,
    Perhaps,
}

/// Frames to be written with one write.
struct Batch {
    bytes: Vec<u8>,
    groups: Vec<Group>,
    tail: Position,
    leaves: Vec<Hash>,
}

impl Batch {
    fn new(writer: &mut Writer) -> Self {
        let mut bytes = std::mem::take(&mut writer.spare);
        bytes.clear();
        let (groups, leaves) = Default::default();
        Self { bytes, groups, tail: writer.tail, leaves }
    }

    /// Encodes a group behind the ones before, or answers at once why not.
    fn add(&mut self, writer: &Writer, commits: Vec<Commit>, reply: Reply) {
        match self.encode(writer, &commits) {
            Ok(last) => self.groups.push(Group { commits, last, reply }),
            Err(error) => {
                let _ = reply.send(Err(error));
            }
        }
    }

    fn encode(&mut self, writer: &Writer, commits: &[Commit]) -> Result<Position, AppendError> {
        if let Some(reason) = &writer.stopped {
            return Err(AppendError::Stopped { reason: reason.clone() });
        }
        let last = check_commits(commits, self.tail)?;
        let (start, leaves) = (self.bytes.len(), self.leaves.len());
        for commit in commits {
            let count = commit.records.len();
            for (index, record) in commit.records.iter().enumerate() {
                if let Err(error) = self.encode_one(writer, record, index + 1 == count) {
                    self.bytes.truncate(start);
                    self.leaves.truncate(leaves);
                    return Err(error);
                }
            }
        }
        self.tail = last;
        Ok(last)
    }

    fn encode_one(
        &mut self,
        writer: &Writer,
        record: &switchbook_core::envelope::Recorded,
        last_of_commit: bool,
    ) -> Result<(), AppendError> {
        let position = record.envelope.position;
        if has_unsealed(record) {
            return Err(AppendError::Unsealed(position));
        }
        let at = frame::begin(&mut self.bytes);
        encode_record(record, last_of_commit, writer.tail, writer.codec, &mut self.bytes)
            .map_err(|error| AppendError::Unwritable { position, what: error.to_string() })?;
        self.leaves.push(frame::close(&mut self.bytes, at));
        Ok(())
    }
}

/// Opens the file of a segment for writing on.
pub(super) fn open_for_writing(
    shared: &Shared,
    segment: &Segment,
) -> io::Result<Box<dyn FileLike>> {
    let segments = &shared.segments;
    segments.files.open(&segments.folder().join(segment.name()), How::Write)
}
