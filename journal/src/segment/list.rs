//! The segments of a book, in order, and walking through them.

use super::cursor::{Cursor, Step};
use super::head::{Head, HeadError, MAX_HEAD};
use super::{file_name, first_of, folder};
use crate::error::{Damage, OpenError, ReadError};
use crate::files::{FileLike, Files, How};
use crate::frame::Frame;
use crate::merkle::Hash;
use crate::record::Outline;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use switchbook_core::id::BookId;
use switchbook_core::position::Position;

/// A place is remembered for each so many records of a segment that was walked through.
const SPARSE: u64 = 128;
/// From a known place to a record that is read from there it is fewer records than this.
const NEAR: u64 = 2 * SPARSE;

/// One segment.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) head: Head,
    /// Where its first frame begins.
    pub(crate) body: u64,
    /// Its last valid record and where its valid bytes end; moves in the segment being written.
    valid: Mutex<(Position, u64)>,
    /// Known places: (position, offset), ascending.
    places: Mutex<Vec<(Position, u64)>>,
}

impl Segment {
    pub(crate) fn new(head: Head, body: u64, last: Position, end: u64) -> Self {
        let places = Mutex::new(vec![(head.first, body)]);
        Self { head, body, valid: Mutex::new((last, end)), places }
    }

    pub(crate) fn name(&self) -> String {
        file_name(self.head.first)
    }

    /// Its last valid record, and where its valid bytes end.
    pub(crate) fn valid(&self) -> (Position, u64) {
        *self.valid.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_valid(&self, last: Position, end: u64) {
        *self.valid.lock().unwrap_or_else(PoisonError::into_inner) = (last, end);
    }

    fn place_before(&self, position: Position) -> (Position, u64) {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let behind = places.partition_point(|(at, _)| *at <= position);
        behind
            .checked_sub(1)
            .and_then(|index| places.get(index).copied())
            .unwrap_or((self.head.first, self.body))
    }

    /// Remembers where a record stands, if it is one worth remembering.
    pub(crate) fn remember(&self, position: Position, offset: u64) {
        if !position.0.is_multiple_of(SPARSE) {
            return;
        }
        self.note(position, offset);
    }

    fn note(&self, position: Position, offset: u64) {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let behind = places.partition_point(|(at, _)| *at < position);
        if places.get(behind).is_none_or(|(at, _)| *at != position) {
            places.insert(behind, (position, offset));
        }
    }

    /// Is a place known from which it is not far to this record?
    fn is_near(&self, position: Position) -> bool {
        position.0 - self.place_before(position).0.0 < NEAR
    }

    pub(crate) fn damage(&self, offset: u64, position: Position, what: &str) -> Damage {
        Damage { file: format!("segments/{}", self.name()), offset, position, what: what.into() }
    }
}

/// Where a record stands, and what it is: enough to find out later whether it is still the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Place {
    /// The first record of its segment.
    pub(crate) segment: Position,
    /// Where its frame begins.
    pub(crate) offset: u64,
    /// Its leaf hash (RFC 9162 §2.1.1).
    pub(crate) leaf: Hash,
}

/// All segments of a book.
#[derive(Debug)]
pub(crate) struct Segments {
    pub(crate) files: Arc<dyn Files>,
    folder: PathBuf,
    list: RwLock<Vec<Arc<Segment>>>,
}

impl Segments {
    /// Reads the heads of all segments in a book's folder and checks that each goes on where the one before ended.
    /// The last one's valid end is not known yet: it is taken as empty.
    pub(crate) fn load(files: Arc<dyn Files>, book: &Path) -> Result<Self, OpenError> {
        let folder = folder(book);
        let names =
            files.list(&folder).map_err(OpenError::io("listing the folder of the segments"))?;
        let mut firsts: Vec<Position> = names.iter().filter_map(|name| first_of(name)).collect();
        firsts.sort_unstable();
        let mut list: Vec<Arc<Segment>> = Vec::with_capacity(firsts.len());
        for first in firsts {
            let segment = read_head(&*files, &folder, first)?;
            let gap = |ends: Position| OpenError::Gap { after: segment.name(), first, ends };
            match list.last() {
                None if first != Position(1) => return Err(gap(Position::START)),
                None => {}
                Some(before) => {
                    if segment.head.previous != before.head.first {
                        return Err(gap(Position(before.head.first.0.saturating_sub(1))));
                    }
                    if segment.head.book != before.head.book {
                        return Err(OpenError::Foreign {
                            file: format!("segments/{}", segment.name()),
                            found: segment.head.book.to_string(),
                            expected: before.head.book.to_string(),
                        });
                    }
                    before.set_valid(Position(first.0 - 1), segment.head.previous_bytes);
                }
            }
            list.push(Arc::new(segment));
        }
        Ok(Self { files, folder, list: RwLock::new(list) })
    }

    pub(crate) fn book(&self) -> Option<BookId> {
        self.last().map(|segment| segment.head.book)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn last(&self) -> Option<Arc<Segment>> {
        self.list.read().unwrap_or_else(PoisonError::into_inner).last().cloned()
    }

    /// First and last valid position of each, in order.
    pub(crate) fn spans(&self) -> Vec<(Position, Position)> {
        let list = self.list.read().unwrap_or_else(PoisonError::into_inner);
        list.iter().map(|segment| (segment.head.first, segment.valid().0)).collect()
    }

    /// All of them, in order.
    pub(crate) fn all(&self) -> Vec<Arc<Segment>> {
        self.list.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.list.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Adds a segment at the end; one that begins where the last one does takes its place.
    pub(crate) fn push(&self, segment: Arc<Segment>) {
        let mut list = self.list.write().unwrap_or_else(PoisonError::into_inner);
        if list.last().is_some_and(|last| last.head.first == segment.head.first) {
            list.pop();
        }
        list.push(segment);
    }

    /// The head of the segment that begins at a position.
    pub(crate) fn head_of(&self, first: Position) -> Option<Head> {
        self.holding(first).filter(|segment| segment.head.first == first).map(|s| s.head.clone())
    }

    fn holding(&self, position: Position) -> Option<Arc<Segment>> {
        let list = self.list.read().unwrap_or_else(PoisonError::into_inner);
        let behind = list.partition_point(|segment| segment.head.first <= position);
        behind.checked_sub(1).and_then(|index| list.get(index).cloned())
    }

    pub(crate) fn open_file(&self, segment: &Segment) -> Result<Arc<dyn FileLike>, ReadError> {
        let path = self.folder.join(segment.name());
        let failed = ReadError::io(format!("opening segments/{}", segment.name()));
        Ok(Arc::from(self.files.open(&path, How::Read).map_err(failed)?))
    }

    /// Where the record at a position stands; `None` when there is none.
    pub(crate) fn place(self: &Arc<Self>, position: Position) -> Result<Option<Place>, ReadError> {
        if position == Position::START {
            return Ok(None);
        }
        let mut walk = self.walk(position);
        let place =
            |raw: Raw<'_>| Place { segment: raw.segment, offset: raw.offset, leaf: raw.frame.leaf };
        Ok(walk.next()?.map(place))
    }

    /// Does this very record still stand in its place? Takes one read, however long the book is.
    pub(crate) fn stands(&self, position: Position, place: &Place) -> Result<bool, ReadError> {
        let Some(segment) = self.holding(position) else { return Ok(false) };
        let (last, end) = segment.valid();
        if segment.head.first != place.segment || position > last || place.offset >= end {
            return Ok(false);
        }
        let file = self.open_file(&segment)?;
        let mut cursor = Cursor::new(file, segment.name(), place.offset, position, end);
        Ok(match cursor.step()? {
            Step::Record { frame, .. } if frame.leaf == place.leaf => {
                segment.note(position, place.offset);
                true
            }
            // No frame begins there, or another record's does.
            Step::Record { .. } | Step::Bad(_) | Step::End => false,
        })
    }

    /// Can records from here on be read without going far through their segment first?
    pub(crate) fn is_near(&self, position: Position) -> bool {
        self.holding(position).is_some_and(|segment| segment.is_near(position))
    }

    /// The segment that holds the record at a position, and a cursor that has come to it; `None` behind the durable tail.
    pub(crate) fn cursor_at(
        &self,
        position: Position,
    ) -> Result<Option<(Arc<Segment>, Cursor)>, ReadError> {
        let Some(segment) = self.holding(position) else { return Ok(None) };
        let (last, end) = segment.valid();
        if position > last {
            return Ok(None);
        }
        let file = self.open_file(&segment)?;
        let (near, offset) = segment.place_before(position);
        let mut cursor = Cursor::new(file, segment.name(), offset, near, end);
        while cursor.next() < position {
            match cursor.step()? {
                Step::Record { offset, outline, .. } => segment.remember(outline.position, offset),
                Step::Bad(damage) => return Err(ReadError::Damaged(damage)),
                Step::End => return Err(not_there(&segment, cursor.offset(), cursor.next())),
            }
        }
        Ok(Some((segment, cursor)))
    }

    /// Begins a walk at a position.
    pub(crate) fn walk(self: &Arc<Self>, from: Position) -> Walk {
        Walk { segments: Arc::clone(self), at: None, next: from.max(Position(1)) }
    }
}

fn read_head(files: &dyn Files, folder: &Path, first: Position) -> Result<Segment, OpenError> {
    let name = file_name(first);
    let doing = || OpenError::io(format!("reading segments/{name}"));
    let file = files.open(&folder.join(&name), How::Read).map_err(doing())?;
    let mut bytes = vec![0; MAX_HEAD];
    let read = file.read_at(&mut bytes, 0).map_err(doing())?;
    bytes.truncate(read);
    let full = format!("segments/{name}");
    let bad = |what: &str| {
        let (file, what) = (full.clone(), what.into());
        OpenError::Damaged(Damage { file, offset: 0, position: first, what })
    };
    let (head, body) = Head::decode(&full, &bytes).map_err(|error| match error {
        HeadError::Newer(error) => error,
        HeadError::Bad(what) => bad(what),
    })?;
    if head.first != first {
        return Err(bad("its head tells another first position than its name"));
    }
    let body = body as u64;
    Ok(Segment::new(head, body, Position(first.0.saturating_sub(1)), body))
}

/// A walk through the book, from segment to segment, up to the durable tail.
#[derive(Debug)]
pub(crate) struct Walk {
    segments: Arc<Segments>,
    at: Option<(Arc<Segment>, Cursor)>,
    next: Position,
}

/// A record on the walk: checked, not decoded.
pub(crate) struct Raw<'a> {
    pub(crate) segment: Position,
    pub(crate) offset: u64,
    pub(crate) frame: Frame<'a>,
    pub(crate) outline: Outline<'a>,
}

impl Walk {
    /// The position that comes next.
    pub(crate) const fn position(&self) -> Position {
        self.next
    }

    /// Is there a next record now? Goes to its segment and up to its place.
    fn arrive(&mut self) -> Result<bool, ReadError> {
        if let Some((segment, cursor)) = &mut self.at {
            let (last, end) = segment.valid();
            if self.next <= last {
                cursor.extend(end);
                return Ok(true);
            }
        }
        self.at = self.segments.cursor_at(self.next)?;
        Ok(self.at.is_some())
    }

    /// The next record; `None` at the durable tail (ask again later).
    ///
    /// # Errors
    /// When it does not check, or cannot be read.
    pub(crate) fn next(&mut self) -> Result<Option<Raw<'_>>, ReadError> {
        if !self.arrive()? {
            return Ok(None);
        }
        let Some((segment, cursor)) = &mut self.at else { return Ok(None) };
        let (place, position) = (cursor.offset(), cursor.next());
        match cursor.step()? {
            Step::Record { offset, frame, outline } => {
                segment.remember(outline.position, offset);
                self.next = self.next.next();
                Ok(Some(Raw { segment: segment.head.first, offset, frame, outline }))
            }
            Step::Bad(damage) => Err(ReadError::Damaged(damage)),
            Step::End => Err(not_there(segment, place, position)),
        }
    }
}

/// A record that was durable ends where it begins.
pub(crate) fn not_there(segment: &Segment, offset: u64, position: Position) -> ReadError {
    let what = "a record that was durable is not there";
    ReadError::Damaged(segment.damage(offset, position, what))
}
