//! Reading the segments directly, without a lock, also while a server writes them: for auditors and verifiers.

use super::cursor::{Cursor, Step};
use super::list::{Raw, Segments, Walk};
use super::watermark;
use crate::error::{Damage, OpenError, ReadError};
use crate::files::{Files, RealFiles};
use crate::frame;
use crate::merkle::{Frontier, Hash};
use crate::record::{Decoded, Outline, RecordError, decode_record};
use crate::store::Stretch;
use crate::vault::Vault;
use crate::view::open_personal;
use std::path::Path;
use std::sync::Arc;
use switchbook_core::envelope::{Recorded, Subject};
use switchbook_core::extent::Extent;
use switchbook_core::id::BookId;
use switchbook_core::position::Position;

/// A read-only view of a book's segments, as far as they were durable when it was opened.
#[derive(Debug)]
pub struct SegmentReader {
    pub(super) segments: Arc<Segments>,
    tail: Position,
    /// A record that was durable and does not check, or is not there, at the end of the book.
    damage: Option<Damage>,
}

/// A checked record as it stands in the book.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredRecord {
    /// What it says.
    pub decoded: Decoded,
    /// The first position of the segment it stands in.
    pub segment: Position,
    /// Where its frame begins in that segment.
    pub offset: u64,
    /// Its leaf hash.
    pub leaf: Hash,
    /// Its body: what the leaf hash covers.
    pub body: Vec<u8>,
}

impl SegmentReader {
    /// Opens the book in a folder for reading.
    ///
    /// # Errors
    /// When heads do not check, a segment is missing, or the book is of a newer version.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        Self::open_on(Arc::new(RealFiles), folder)
    }

    /// As [`open`](Self::open), on other files than the operating system's.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_on(files: Arc<dyn Files>, folder: &Path) -> Result<Self, OpenError> {
        let read_mark =
            || watermark::read(&*files, folder).map_err(OpenError::io("reading the watermark"));
        let mut segments = Segments::load(Arc::clone(&files), folder)?;
        let mut mark = read_mark()?;
        // The server may have begun a segment between the two.
        while let (Some(newer), Some(last)) = (mark, segments.last()) {
            if newer.segment <= last.head.first {
                break;
            }
            segments = Segments::load(Arc::clone(&files), folder)?;
            if segments.last().is_some_and(|again| again.head.first == last.head.first) {
                break;
            }
            mark = read_mark()?;
        }
        let segments = Arc::new(segments);
        let (mut tail, mut damage) = (Position::START, None);
        if let Some(last) = segments.last() {
            let (_, mut end) = last.valid();
            tail = last.valid().0;
            let file = segments.open_file(&last)?;
            let mut cursor =
                Cursor::new(Arc::clone(&file), last.name(), end, last.head.first, u64::MAX);
            // Whole commits only, and not beyond the watermark while there is one for this segment.
            let limit = mark
                .filter(|mark| mark.segment == last.head.first)
                .map_or(Position(u64::MAX), |mark| mark.position);
            let mut durable = mark.map_or(Position::START, |mark| mark.position);
            let mut stopped = None;
            while cursor.next() <= limit {
                match cursor.step()? {
                    Step::Record { offset, frame, outline } => {
                        last.remember(outline.position, offset);
                        durable = durable.max(outline.durable);
                        if outline.last_of_commit {
                            (tail, end) = (outline.position, offset + frame.whole.len() as u64);
                        }
                    }
                    Step::Bad(damage) if limit < Position(u64::MAX) => {
                        // Served up to here; who reads on meets the damage by name.
                        tracing::warn!(%damage, "the end of the book does not check");
                        (tail, end) = (limit, u64::MAX);
                        stopped = Some(damage);
                        break;
                    }
                    Step::Bad(damage) => {
                        stopped = Some(damage);
                        break;
                    }
                    Step::End => break,
                }
            }
            let next = cursor.next();
            if next <= durable || frame::was_durable(&cursor.rest()?, next) {
                let missing = "a record that was durable is not there";
                damage =
                    Some(stopped.unwrap_or_else(|| last.damage(cursor.offset(), next, missing)));
            }
            last.set_valid(tail, end);
        }
        Ok(Self { segments, tail, damage })
    }

    /// The last durable record when it was opened.
    #[must_use]
    pub const fn tail(&self) -> Position {
        self.tail
    }

    /// Damage at the end of the book: what was durable and is not there any more, or does not check. Everything before is
    /// checked when it is read.
    #[must_use]
    pub const fn damage(&self) -> Option<&Damage> {
        self.damage.as_ref()
    }

    /// The tree that the head of the segment beginning at `first` names for everything before; `None` when no segment
    /// begins there.
    #[must_use]
    pub fn tree_before(&self, first: Position) -> Option<Frontier> {
        self.segments.head_of(first).map(|head| head.before)
    }

    /// First and last position of each segment.
    #[must_use]
    pub fn spans(&self) -> Vec<(Position, Position)> {
        self.segments.spans()
    }

    /// Whose book it is; `None` without any segment.
    #[must_use]
    pub fn book(&self) -> Option<BookId> {
        self.segments.book()
    }

    /// All records at `from` and behind, checked, decoded, personal fields not opened, with their place and hash.
    #[must_use]
    pub fn stored(&self, from: Position) -> StoredRecords {
        StoredRecords { walk: self.segments.walk(from), failed: false }
    }

    /// All records at `from` and behind, checked in full, each decoded once and not kept as bytes: for folding. Personal
    /// fields are opened if there is a vault. Ends after the first error.
    pub fn records<'a>(
        &self,
        from: Position,
        vault: Option<&'a Arc<Vault>>,
    ) -> impl Iterator<Item = Result<Recorded, ReadError>> + use<'a> {
        let mut walk = self.segments.walk(from);
        let mut failed = false;
        std::iter::from_fn(move || {
            if failed {
                return None;
            }
            let next = walk.next().transpose()?;
            let next = next.and_then(|raw| recorded(raw.outline, vault));
            failed = next.is_err();
            Some(next)
        })
    }

    /// Of the records at `from` and behind, at most `limit`, those whose event is in this extent: the others are checked, and
    /// not decoded. Personal fields are opened if there is a vault.
    ///
    /// # Errors
    /// The first record that does not check, or of those that are wanted, decode.
    pub fn stretch(
        &self,
        extent: Extent,
        from: Position,
        limit: usize,
        vault: Option<&Arc<Vault>>,
    ) -> Result<Stretch, ReadError> {
        let (mut walk, mut stretch) = (self.segments.walk(from), Stretch::default());
        for _ in 0..limit {
            let Some(raw) = walk.next()? else { break };
            let position = raw.outline.position;
            if position > self.tail {
                break;
            }
            stretch.last = Some((position, raw.outline.recorded_at));
            if extent.takes(raw.outline.tag()) {
                stretch.records.push(recorded(raw.outline, vault)?);
            }
        }
        Ok(stretch)
    }

    /// The last record with an event of this tag at `upto` or before. The end of the book is looked at first, so what
    /// happened lately is found quickly however old the book is.
    ///
    /// # Errors
    /// The first record that does not check on the way.
    pub fn last_of(&self, tag: u16, upto: Position) -> Result<Option<StoredRecord>, ReadError> {
        for (first, last) in self.segments.spans().into_iter().rev() {
            let (mut walk, mut found) = (self.segments.walk(first), None);
            while walk.position() <= last.min(upto) {
                let Some(raw) = walk.next()? else { break };
                if raw.outline.tag() == tag {
                    found = Some(stored(raw)?);
                }
            }
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// All records that concern `subject`, in order; the others are checked and not decoded.
    pub fn concerning(
        &self,
        subject: Subject,
    ) -> impl Iterator<Item = Result<StoredRecord, ReadError>> + use<> {
        let (mut walk, mut failed) = (self.segments.walk(Position(1)), false);
        std::iter::from_fn(move || {
            while !failed {
                let next = match walk.next() {
                    Ok(None) => return None,
                    Ok(Some(mut raw)) => match raw.outline.concerns(&subject) {
                        false => continue,
                        true => stored(raw),
                    },
                    Err(error) => Err(error),
                };
                failed = next.is_err();
                return Some(next);
            }
            None
        })
    }

    /// Positions and leaf hashes from `from` on, each record checked and not decoded; ends at the tail, or after the
    /// first error.
    pub fn leaves(
        &self,
        from: Position,
    ) -> impl Iterator<Item = Result<(Position, Hash), ReadError>> + use<> {
        let (mut walk, mut failed) = (self.segments.walk(from), false);
        std::iter::from_fn(move || {
            if failed {
                return None;
            }
            let next = walk.next();
            failed = next.is_err();
            let raw = next.transpose()?;
            Some(raw.map(|raw| (raw.outline.position, raw.frame.leaf)))
        })
    }

    /// Reads and checks every record, and gives the Merkle tree over all of them.
    ///
    /// # Errors
    /// The first record that does not check.
    pub fn scrub(&self) -> Result<Frontier, ReadError> {
        let mut walk = self.segments.walk(Position(1));
        let mut tree = Frontier::default();
        while let Some(raw) = walk.next()? {
            tree.push(raw.frame.leaf);
        }
        Ok(tree)
    }
}

/// The iterator of [`SegmentReader::stored`]; ends after the first error.
#[derive(Debug)]
pub struct StoredRecords {
    walk: Walk,
    failed: bool,
}

impl Iterator for StoredRecords {
    type Item = Result<StoredRecord, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let stored = match self.walk.next() {
            Ok(None) => return None,
            Err(error) => Err(error),
            Ok(Some(raw)) => stored(raw),
        };
        self.failed = stored.is_err();
        Some(stored)
    }
}

fn recorded(outline: Outline<'_>, vault: Option<&Arc<Vault>>) -> Result<Recorded, ReadError> {
    let position = outline.position;
    let mut recorded = outline.recorded().map_err(|error| undecodable(position, &error))?;
    if let Some(vault) = vault {
        open_personal(vault, &mut recorded);
    }
    Ok(recorded)
}

fn stored(raw: Raw<'_>) -> Result<StoredRecord, ReadError> {
    let position = raw.outline.position;
    Ok(StoredRecord {
        // From the body: whoever asked what the record concerns has read the subjects off the outline.
        decoded: decode_record(raw.frame.body).map_err(|error| undecodable(position, &error))?,
        segment: raw.segment,
        offset: raw.offset,
        leaf: raw.frame.leaf,
        body: raw.frame.body.to_vec(),
    })
}

fn undecodable(position: Position, error: &RecordError) -> ReadError {
    ReadError::Undecodable { position, what: error.to_string() }
}
