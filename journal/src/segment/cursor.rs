//! Walking through the frames of one segment, front to back, in large reads; every frame is checked.

use crate::error::{Damage, ReadError};
use crate::files::{FileLike, LARGEST, read_up_to};
use crate::frame::{self, Found, Frame, MAX_BODY};
use crate::record::Outline;
use std::io;
use std::sync::Arc;
use switchbook_core::position::Position;

/// So many bytes are read at once.
pub(crate) const READ: usize = 256 * 1024;

/// A place in a segment.
#[derive(Debug)]
pub(crate) struct Cursor {
    file: Arc<dyn FileLike>,
    name: String,
    /// The offset of the next frame.
    offset: u64,
    /// The position it must have.
    next: Position,
    /// Nothing at or behind this offset is valid.
    end: u64,
    buffer: Vec<u8>,
    /// So much of the buffer holds bytes of the file.
    filled: usize,
    /// Where in the file the buffer begins.
    buffered_at: u64,
}

/// What the cursor came upon.
pub(crate) enum Step<'a> {
    /// A record; its outline is read already.
    Record { offset: u64, frame: Frame<'a>, outline: Outline<'a> },
    /// No more records.
    End,
    /// Something that does not check.
    Bad(Damage),
}

impl Cursor {
    /// Begins at `offset`, where the record `next` must stand; reads nothing at or behind `end`.
    pub(crate) fn new(
        file: Arc<dyn FileLike>,
        name: String,
        offset: u64,
        next: Position,
        end: u64,
    ) -> Self {
        Self::with_buffer(file, name, offset, next, end, Vec::new())
    }

    /// The same, reading into a buffer that was used before.
    pub(crate) fn with_buffer(
        file: Arc<dyn FileLike>,
        name: String,
        offset: u64,
        next: Position,
        end: u64,
        buffer: Vec<u8>,
    ) -> Self {
        Self { file, name, offset, next, end, buffer, filled: 0, buffered_at: offset }
    }

    /// The buffer, to be used again.
    pub(crate) fn into_buffer(self) -> Vec<u8> {
        self.buffer
    }

    /// The file it walks through.
    pub(crate) fn file(&self) -> Arc<dyn FileLike> {
        Arc::clone(&self.file)
    }

    /// What stands behind the present place, unchecked: as much as is wanted, if the segment has it.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn look_ahead(&mut self, wanted: usize) -> Result<&[u8], ReadError> {
        self.fill(wanted)?;
        let skip = (self.offset - self.buffered_at) as usize;
        Ok(self.buffer.get(skip..self.filled).unwrap_or_default())
    }

    /// The offset of the next frame.
    pub(crate) const fn offset(&self) -> u64 {
        self.offset
    }

    /// The position the next frame must have.
    pub(crate) const fn next(&self) -> Position {
        self.next
    }

    /// Valid bytes end here now: the writer got further.
    pub(crate) const fn extend(&mut self, end: u64) {
        self.end = end;
    }

    fn damage(&self, what: &str) -> Damage {
        Damage {
            file: format!("segments/{}", self.name),
            offset: self.offset,
            position: self.next,
            what: what.into(),
        }
    }

    /// Reads the next frame.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn step(&mut self) -> Result<Step<'_>, ReadError> {
        let mut wanted = frame::FRAME_HEAD;
        let skip = loop {
            self.fill(wanted)?;
            let skip = (self.offset - self.buffered_at) as usize;
            match frame::wants(&self.buffer[skip..self.filled]) {
                Some(more) if self.offset + more as u64 > self.end || wanted >= more => {
                    return Ok(Step::Bad(self.damage("it is cut off")));
                }
                Some(more) => wanted = more,
                None => break skip,
            }
        };
        let frame = match frame::read(&self.buffer[skip..self.filled]) {
            Found::Frame(frame) => frame,
            Found::End | Found::More => return Ok(Step::End),
            Found::Bad(what) => return Ok(Step::Bad(self.damage(what))),
        };
        let outline = match Outline::read(frame.body) {
            Ok(outline) => outline,
            Err(error) => return Ok(Step::Bad(self.damage(&error.to_string()))),
        };
        if outline.position != self.next {
            let what = format!("it says that it is record {}", outline.position);
            return Ok(Step::Bad(self.damage(&what)));
        }
        let offset = self.offset;
        self.offset += frame.whole.len() as u64;
        self.next = self.next.next();
        Ok(Step::Record { offset, frame, outline })
    }

    /// Everything from the present place to the end, for the search behind a bad record: but for zeros at the end that are
    /// too many to belong to a record, since the file's length may be anything.
    ///
    /// # Errors
    /// When the file cannot be read, or more stands there than ever does.
    pub(crate) fn rest(&self) -> Result<Vec<u8>, ReadError> {
        let length = self.file.len().map_err(self.failed())?.min(self.end);
        let (mut bytes, mut at) = (Vec::new(), self.offset);
        // So much of it is no zeros at the end.
        let mut written = 0;
        while at < length {
            let piece = read_up_to(&*self.file, at, (length - at).min(READ as u64));
            let piece = piece.map_err(self.failed())?;
            if piece.is_empty() {
                break;
            }
            at += piece.len() as u64;
            let before = (at - piece.len() as u64 - self.offset) as usize;
            if let Some(last) = piece.iter().rposition(|byte| *byte != 0) {
                if before > LARGEST as usize {
                    return Err(self.failed()(io::ErrorKind::FileTooLarge.into()));
                }
                written = before + last + 1;
                bytes.resize(before, 0);
            }
            if before < written + MAX_BODY {
                bytes.extend(piece);
            }
        }
        Ok(bytes)
    }

    fn failed(&self) -> impl FnOnce(std::io::Error) -> ReadError + use<> {
        ReadError::io(format!("reading segments/{}", self.name))
    }

    /// Has at least `wanted` bytes from the present place in the buffer, if the segment has them.
    fn fill(&mut self, wanted: usize) -> Result<(), ReadError> {
        let skip = (self.offset - self.buffered_at) as usize;
        if self.filled >= skip + wanted {
            return Ok(());
        }
        self.buffer.copy_within(skip.min(self.filled)..self.filled, 0);
        self.buffered_at = self.offset;
        let have = self.filled.saturating_sub(skip);
        let left = self.end.saturating_sub(self.offset + have as u64);
        let take = (wanted.max(READ) - have).min(usize::try_from(left).unwrap_or(usize::MAX));
        // Grown once, and written over from then on.
        if self.buffer.len() < have + take {
            self.buffer.resize(have + take, 0);
        }
        let read = self
            .file
            .read_at(&mut self.buffer[have..have + take], self.offset + have as u64)
            .map_err(self.failed())?;
        self.filled = have + read;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::{Files, How, RealFiles};

    #[test]
    fn the_rest_is_all_but_zeros_that_no_record_needs() {
        let folder = tempfile::tempdir().unwrap();
        let file = RealFiles.open(&folder.path().join("segment"), How::Create).unwrap();
        // A hole in which a record could stand, something behind it, and a hole that nobody wrote.
        let mut bytes = vec![0; 3 * MAX_BODY];
        bytes[..4].copy_from_slice(b"torn");
        *bytes.last_mut().unwrap() = 1;
        file.write_at(&bytes, 100).unwrap();
        file.set_len(100 + 10 * bytes.len() as u64).unwrap();
        let cursor = Cursor::new(Arc::from(file), "segment".into(), 100, Position(1), u64::MAX);
        let rest = cursor.rest().unwrap();
        assert!(rest.starts_with(&bytes));
        assert!(rest[bytes.len()..].iter().all(|byte| *byte == 0));
        assert!((bytes.len() + MAX_BODY - 1..bytes.len() + 2 * MAX_BODY).contains(&rest.len()));
    }
}
