//! A walk shared by several: one after the other takes the next piece of the book, and checks and decodes it for himself.
//!
//! To find where a piece ends only the lengths of frames are looked at. What they say is not checked here: a length is
//! part of what is checked in its piece, and what comes of a wrong one stands in later pieces.

use super::cursor::{Cursor, READ, Step};
use super::list::{Segment, Segments, not_there};
use crate::error::ReadError;
use crate::files::FileLike;
use crate::frame;
use crate::record::Outline;
use std::sync::Arc;
use switchbook_core::position::Position;

/// Gives out the pieces from a position on, in order.
#[derive(Debug)]
pub(crate) struct Scout {
    segments: Arc<Segments>,
    /// The segment it is in, and where the next frame begins there.
    at: Option<(Arc<Segment>, Arc<dyn FileLike>, u64)>,
    next: Position,
    /// The last record that is wanted.
    to: Position,
    /// Buffers that were given back.
    spare: Vec<Vec<u8>>,
}

/// Records that follow one another in one segment, not checked yet.
#[derive(Debug)]
pub(crate) struct Piece {
    segment: Arc<Segment>,
    cursor: Cursor,
    records: u64,
}

impl Scout {
    pub(crate) fn new(segments: &Arc<Segments>, from: Position, to: Position) -> Self {
        let segments = Arc::clone(segments);
        Self { segments, at: None, next: from.max(Position(1)), to, spare: Vec::new() }
    }

    /// The next piece; `None` behind the last record that is wanted or durable, and behind an error.
    pub(crate) fn take(&mut self) -> Result<Option<Piece>, ReadError> {
        if self.next > self.to {
            return Ok(None);
        }
        let taken = self.go_on();
        if taken.is_err() {
            self.stop();
        }
        taken
    }

    /// Takes back what a piece was read into.
    pub(crate) fn give_back(&mut self, piece: Piece) {
        self.spare.push(piece.cursor.into_buffer());
    }

    fn stop(&mut self) {
        self.to = Position::START;
    }

    fn go_on(&mut self) -> Result<Option<Piece>, ReadError> {
        let in_segment = |(segment, ..): &(Arc<Segment>, _, _)| segment.valid().0 >= self.next;
        if !self.at.as_ref().is_some_and(in_segment) {
            let Some((segment, cursor)) = self.segments.cursor_at(self.next)? else {
                return Ok(None);
            };
            self.at = Some((segment, cursor.file(), cursor.offset()));
        }
        let Some((segment, file, offset)) = &mut self.at else { return Ok(None) };
        let (last, end) = segment.valid();
        let buffer = self.spare.pop().unwrap_or_default();
        let mut cursor =
            Cursor::with_buffer(Arc::clone(file), segment.name(), *offset, self.next, end, buffer);
        let bytes = cursor.look_ahead(READ)?;
        let most = last.min(self.to).0 - self.next.0 + 1;
        let (mut records, mut length) = frames(bytes, most);
        if records == 0 {
            // Longer than a piece, or no frame: whoever looks closer says what it is.
            records = 1;
            match frame::wants(bytes) {
                Some(whole) => length = whole,
                None => self.to = self.next,
            }
        }
        *offset += length as u64;
        self.next = Position(self.next.0 + records);
        Ok(Some(Piece { segment: Arc::clone(segment), cursor, records }))
    }
}

/// How many whole frames stand at the beginning of some bytes, at most `most`, and how long they are together.
fn frames(bytes: &[u8], most: u64) -> (u64, usize) {
    let (mut count, mut at) = (0, 0);
    while count < most {
        match bytes.get(at..).and_then(frame::length) {
            Some(length) => (count, at) = (count + 1, at + length),
            None => break,
        }
    }
    (count, at)
}

impl Piece {
    /// Shows every record of it, checked and not decoded.
    pub(crate) fn each(
        &mut self,
        mut visit: impl FnMut(Outline<'_>) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        for _ in 0..self.records {
            let (place, position) = (self.cursor.offset(), self.cursor.next());
            match self.cursor.step()? {
                Step::Record { offset, outline, .. } => {
                    self.segment.remember(outline.position, offset);
                    visit(outline)?;
                }
                Step::Bad(damage) => return Err(ReadError::Damaged(damage)),
                Step::End => return Err(not_there(&self.segment, place, position)),
            }
        }
        Ok(())
    }

    /// So many records stand in it, if they check.
    pub(crate) const fn records(&self) -> u64 {
        self.records
    }
}
