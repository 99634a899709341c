//! Which records concern what: runs of postings sorted by key, in pages, merged eight by eight into longer runs. A
//! key for each posting would be a write to sled for each; a run costs a few for thousands. A look-up reads one page
//! of each run, and there are at most seven runs of a level: so it stays the same however old the book is.

use super::{Index, META, VALUE};
use crate::book::Key;
use crate::error::ReadError;
use std::sync::atomic::Ordering;
use std::sync::{PoisonError, TryLockError};
use switchbook_core::position::Position;

const PREFIX: u8 = b'p';
/// A page is closed at this size: small, since a look-up reads one of each run.
const PAGE: usize = 8 * 1024;
/// So many runs of a level become one of the next.
const FAN: usize = 8;

/// A run: postings of a span of the book.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Run {
    pub(super) level: u8,
    pub(super) first: Position,
    pub(super) last: Position,
}

/// A posting: the key of a subject or command, and a record that concerns it.
pub(super) type Posting = (Key, Position);

/// How a look-up ended.
pub(crate) enum Looked {
    /// Everything up to where the index goes was shown.
    Through,
    /// `visit` had enough.
    Enough,
    /// The index failed; what stands at `from` and behind was not shown.
    Failed { from: Position },
}

fn run_prefix(run: &Run) -> [u8; 10] {
    let mut key = [PREFIX; 10];
    key[1] = run.level;
    key[2..].copy_from_slice(&run.first.0.to_be_bytes());
    key
}

fn page_key(run: &Run, (key, position): Posting) -> Vec<u8> {
    let mut out = run_prefix(run).to_vec();
    out.extend(key.to_be_bytes());
    out.extend(position.0.to_be_bytes());
    out
}

fn push_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Builds the pages of a run from postings in ascending order.
struct Pages<'a> {
    run: &'a Run,
    key: Vec<u8>,
    bytes: Vec<u8>,
    last: Posting,
}

impl<'a> Pages<'a> {
    const fn new(run: &'a Run) -> Self {
        Self { run, key: Vec::new(), bytes: Vec::new(), last: (0, Position::START) }
    }

    fn push(&mut self, posting: Posting, batch: &mut sled::Batch) {
        if self.bytes.is_empty() {
            self.key = page_key(self.run, posting);
            self.last = (0, Position::START);
        }
        let (key, position) = posting;
        let step = key - self.last.0;
        push_varint(step, &mut self.bytes);
        let base =
            if step == 0 && self.last.1 >= self.run.first { self.last.1 } else { self.run.first };
        push_varint(position.0 - base.0, &mut self.bytes);
        self.last = posting;
        if self.bytes.len() >= PAGE {
            self.finish(batch);
        }
    }

    fn finish(&mut self, batch: &mut sled::Batch) {
        if !self.bytes.is_empty() {
            let mut value = sum(&self.key, &self.bytes).to_le_bytes().to_vec();
            value.append(&mut self.bytes);
            batch.insert(std::mem::take(&mut self.key), value);
        }
    }
}

/// Over key and page, so that no page passes for another.
fn sum(key: &[u8], page: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(key), page)
}

/// The postings of a page; `None` when it does not check.
fn read_page(run: &Run, key: &[u8], value: &[u8]) -> Option<Vec<Posting>> {
    let (found, mut bytes) = value.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*found) != sum(key, bytes) {
        return None;
    }
    let mut out = Vec::with_capacity(bytes.len() / 4);
    let mut last = (0_u64, Position::START);
    while !bytes.is_empty() {
        let step = varint(&mut bytes)?;
        let base = if step == 0 && last.1 >= run.first { last.1 } else { run.first };
        last = (last.0.checked_add(step)?, Position(base.0.checked_add(varint(&mut bytes)?)?));
        out.push(last);
    }
    Some(out)
}

impl Index {
    /// Writes the pages of a new run into a batch.
    pub(super) fn add_run(&self, run: &Run, mut postings: Vec<Posting>, batch: &mut sled::Batch) {
        postings.sort_unstable();
        postings.dedup();
        let mut pages = Pages::new(run);
        for posting in postings {
            pages.push(posting, batch);
        }
        pages.finish(batch);
    }

    /// Shows `visit` the positions that a key was posted at, from `from` to `upto`, ascending, until it says stop.
    ///
    /// # Errors
    /// What `visit` gave.
    pub(crate) fn positions(
        &self,
        key: Key,
        from: Position,
        upto: Position,
        visit: &mut dyn FnMut(Position) -> Result<bool, ReadError>,
    ) -> Result<Looked, ReadError> {
        let mut next = from;
        while next <= upto {
            // The lock is held for one run only, so that a merge waits for no reader's decoding; a run that was
            // merged meanwhile is found again as a part of the longer one.
            let found = {
                let runs = self.runs();
                let Some(run) = runs.iter().find(|run| run.last >= next) else { break };
                self.in_run(run, key, next).map(|positions| (run.last, positions))
            };
            let Some((last, positions)) = found else { return Ok(Looked::Failed { from: next }) };
            for position in positions.into_iter().take_while(|position| *position <= upto) {
                if !visit(position)? {
                    return Ok(Looked::Enough);
                }
            }
            next = last.next();
        }
        Ok(Looked::Through)
    }

    fn in_run(&self, run: &Run, key: Key, from: Position) -> Option<Vec<Position>> {
        let prefix = run_prefix(run);
        let start = page_key(run, (key, Position::START));
        // The last page that begins before the key, and those that begin with it.
        let before =
            self.guard(|db| db.range(&prefix[..]..start.as_slice()).next_back().transpose())?;
        let end = page_key(run, (key, Position(u64::MAX)));
        let pages = self.guard(|db| {
            db.range(start.as_slice()..=end.as_slice()).collect::<sled::Result<Vec<_>>>()
        })?;
        let mut positions = Vec::new();
        for (page, value) in before.into_iter().chain(pages) {
            let Some(postings) = read_page(run, &page, &value) else {
                self.fail("a page of postings does not check");
                return None;
            };
            let start = postings.partition_point(|posting| *posting < (key, from));
            let ours = postings[start..].iter().take_while(|(posted, _)| *posted == key);
            positions.extend(ours.map(|(_, position)| *position));
        }
        Some(positions)
    }

    /// Merges eight runs of a level, if there are so many and nobody compares them. Says whether it did.
    pub(super) fn merge(&self) -> Option<bool> {
        let _one = match self.merging.try_lock() {
            Ok(one) => one,
            Err(TryLockError::Poisoned(one)) => one.into_inner(),
            Err(TryLockError::WouldBlock) => return Some(false),
        };
        let runs = self.runs().clone();
        let level = |run: &Run| run.level;
        let Some(start) = (0..runs.len().saturating_sub(FAN - 1))
            .find(|at| runs[*at..at + FAN].iter().all(|run| level(run) == level(&runs[*at])))
        else {
            return Some(false);
        };
        let parts = &runs[start..start + FAN];
        let merged = Run {
            level: parts[0].level.saturating_add(1),
            first: parts[0].first,
            last: parts[FAN - 1].last,
        };
        // What a crash in the middle of an earlier merge left would be found among the new pages.
        self.remove_pages(&merged)?;
        self.write_merged(parts, &merged)?;
        let mut after = runs.clone();
        after.splice(start..start + FAN, [merged]);
        {
            let mut current = self.runs.write().unwrap_or_else(PoisonError::into_inner);
            let upto = Position(self.upto.load(Ordering::Acquire));
            let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
            let meta = self.meta(upto, &last, &after);
            self.guard(|db| db.insert(META, meta))?;
            *current = after;
        }
        // Nobody looks into these any more.
        parts.iter().try_for_each(|run| self.remove_pages(run))?;
        Some(true)
    }

    /// Shows every posting of a run, in order. `None`: a page does not check, or they are not in order.
    pub(super) fn each_posting(
        &self,
        run: &Run,
        visit: &mut dyn FnMut(Key, Position),
    ) -> Option<()> {
        let mut stream = Stream::new(self, run);
        let mut last = (0, Position::START);
        while let Some(posting) = stream.peek()? {
            stream.at += 1;
            if posting < last {
                return None;
            }
            last = posting;
            visit(posting.0, posting.1);
        }
        Some(())
    }

    fn remove_pages(&self, run: &Run) -> Option<()> {
        let mut batch = sled::Batch::default();
        self.guard(|db| {
            for key in db.scan_prefix(run_prefix(run)).keys() {
                batch.remove(key?);
            }
            Ok(())
        })?;
        self.apply(batch)
    }

    fn write_merged(&self, parts: &[Run], merged: &Run) -> Option<()> {
        let mut streams: Vec<Stream<'_>> = parts.iter().map(|run| Stream::new(self, run)).collect();
        let mut pages = Pages::new(merged);
        let mut batch = sled::Batch::default();
        let mut written = 0;
        loop {
            let mut least: Option<(usize, Posting)> = None;
            for (index, stream) in streams.iter_mut().enumerate() {
                if let Some(posting) = stream.peek()?
                    && least.is_none_or(|(_, least)| posting < least)
                {
                    least = Some((index, posting));
                }
            }
            let Some((index, posting)) = least else { break };
            streams[index].at += 1;
            pages.push(posting, &mut batch);
            written += 1;
            if written % (VALUE * 4) == 0 {
                let full = std::mem::take(&mut batch);
                self.apply(full)?;
            }
        }
        pages.finish(&mut batch);
        self.apply(batch)
    }
}

/// The postings of a run, page by page.
struct Stream<'a> {
    index: &'a Index,
    run: &'a Run,
    pages: sled::Iter,
    page: Vec<Posting>,
    at: usize,
}

impl<'a> Stream<'a> {
    fn new(index: &'a Index, run: &'a Run) -> Self {
        let pages = index.db.scan_prefix(run_prefix(run));
        Self { index, run, pages, page: Vec::new(), at: 0 }
    }

    /// The next posting without taking it; the outer `None` says that the index failed.
    fn peek(&mut self) -> Option<Option<Posting>> {
        while self.at >= self.page.len() {
            let pages = &mut self.pages;
            let Some((key, value)) = self.index.guard(|_| pages.next().transpose())? else {
                return Some(None);
            };
            let Some(page) = read_page(self.run, &key, &value) else {
                self.index.fail("a page of postings does not check");
                return None;
            };
            (self.page, self.at) = (page, 0);
        }
        Some(self.page.get(self.at).copied())
    }
}
