//! Answering reads: from the index, from the segments where the index has not come to, from memory for the end.

use super::{Key, Shared, command_key, key_of, subject_key};
use crate::error::ReadError;
use crate::index::Looked;
use crate::record::{Outline, outcome_is_kept};
use crate::store::Stretch;
use crate::view::open_by;
use std::sync::Arc;
use switchbook_core::envelope::{Recorded, Subject};
use switchbook_core::extent::Extent;
use switchbook_core::id::CommandId;
use switchbook_core::personal::Keys;
use switchbook_core::position::Position;

/// So many records at once are read from the segment itself where its place is known.
const STRAIGHT: usize = 256;

impl Shared {
    /// The whole record; its personal fields are opened by `keys` when they are read.
    pub(super) fn decode(
        &self,
        outline: Outline<'_>,
        keys: &Arc<dyn Keys>,
    ) -> Result<Recorded, ReadError> {
        let position = outline.position;
        let undecodable = |what: String| ReadError::Undecodable { position, what };
        let mut recorded = outline.recorded().map_err(|error| undecodable(error.to_string()))?;
        open_by(keys, &mut recorded);
        Ok(recorded)
    }

    fn keys(&self) -> Arc<dyn Keys> {
        Arc::clone(&self.vault) as _
    }

    /// Records from `from` on.
    pub(super) fn read(&self, from: Position, limit: usize) -> Result<Vec<Recorded>, ReadError> {
        let (mut out, keys) = (Vec::with_capacity(self.room(from, limit)), self.keys());
        self.each(from, limit, |outline| {
            out.push(self.decode(outline, &keys)?);
            Ok(())
        })?;
        Ok(out)
    }

    /// The same, of which only those in this extent are decoded.
    pub(super) fn read_of(
        &self,
        extent: Extent,
        from: Position,
        limit: usize,
    ) -> Result<Stretch, ReadError> {
        let (mut stretch, keys) = (Stretch::default(), self.keys());
        self.each(from, limit, |outline| {
            stretch.last = Some((outline.position, outline.recorded_at));
            if extent.takes(outline.tag()) {
                stretch.records.push(self.decode(outline, &keys)?);
            }
            Ok(())
        })?;
        Ok(stretch)
    }

    /// Shows at most `limit` records from `from` on, checked and not decoded.
    fn each(
        &self,
        from: Position,
        limit: usize,
        mut visit: impl FnMut(Outline<'_>) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        let (mut next, mut left) = (from, limit);
        // Whoever reads on from a known place needs no index: one large read of the segment gives more than blocks do.
        let straight = limit >= STRAIGHT && self.segments.is_near(from);
        if let Some(index) = self.index().filter(|_| !straight) {
            while left > 0 && next <= index.upto() {
                let before = next;
                let taken = index.with_block(next, |outline| {
                    let position = outline.position;
                    if position < next || left == 0 {
                        return Ok(());
                    }
                    visit(outline)?;
                    left -= 1;
                    next = position.next();
                    Ok(())
                });
                if taken.transpose()?.is_none() || next == before {
                    break;
                }
            }
        }
        let mut walk = self.segments.walk(next);
        while left > 0 {
            let Some(raw) = walk.next()? else { break };
            visit(raw.outline)?;
            left -= 1;
        }
        Ok(())
    }

    /// Room for what a read gives at most, as long as that is not too much to ask for at once.
    fn room(&self, from: Position, limit: usize) -> usize {
        let there = (self.durable().0 + 1).saturating_sub(from.0);
        limit.min(usize::try_from(there).unwrap_or(usize::MAX)).min(4096)
    }

    /// One record.
    fn one(&self, position: Position) -> Result<Option<Recorded>, ReadError> {
        if let Some(mut records) = self.tail().read(position, 1, &self.vault) {
            return Ok(records.pop());
        }
        let mut records = self.read(position, 1)?;
        Ok(records.pop())
    }

    /// Calls `visit` with the positions from `from` on that a key was posted at, ascending, until it says stop.
    /// Collisions of the key are possible.
    fn positions(
        &self,
        key: Key,
        from: Position,
        visit: &mut dyn FnMut(Position) -> Result<bool, ReadError>,
    ) -> Result<(), ReadError> {
        let index = self.index();
        let upto = index.as_ref().map_or(Position::START, |index| index.upto());
        let (complete_after, recent) = self.tail().positions(key, upto);
        let rest = match index.map(|index| index.positions(key, from, upto, visit)).transpose()? {
            Some(Looked::Enough) => return Ok(()),
            Some(Looked::Through) => from.max(upto.next()),
            // No index, or none that can be read: the segments have everything.
            Some(Looked::Failed { from }) => from,
            None => from,
        };
        self.scan(key, rest, complete_after, recent, visit)
    }

    /// The positions of a key from `from` on by reading the segments up to `until`, then the given ones.
    fn scan(
        &self,
        key: Key,
        from: Position,
        until: Position,
        recent: Vec<Position>,
        visit: &mut dyn FnMut(Position) -> Result<bool, ReadError>,
    ) -> Result<(), ReadError> {
        if from <= until {
            let mut walk = self.segments.walk(from);
            while walk.position() <= until {
                let Some(mut raw) = walk.next()? else { break };
                let position = raw.outline.position;
                let mut found = false;
                each_key(&mut raw.outline, &mut |posted| found |= posted == key);
                if found && !visit(position)? {
                    return Ok(());
                }
            }
        }
        for position in recent.into_iter().filter(|position| *position >= from) {
            if !visit(position)? {
                break;
            }
        }
        Ok(())
    }

    /// Records that concern a subject.
    pub(super) fn history(
        &self,
        subject: Subject,
        from: Position,
        limit: usize,
    ) -> Result<Vec<Recorded>, ReadError> {
        let mut out = Vec::new();
        if limit == 0 {
            return Ok(out);
        }
        self.positions(subject_key(&subject), from, &mut |position| {
            if let Some(recorded) = self.one(position)?
                && recorded.envelope.subjects.contains(&subject)
            {
                out.push(recorded);
            }
            Ok(out.len() < limit)
        })?;
        Ok(out)
    }

    /// First and last position of a command's events.
    pub(super) fn outcome(
        &self,
        command: CommandId,
    ) -> Result<Option<(Position, Position)>, ReadError> {
        let mut found: Option<(Position, Position)> = None;
        self.positions(command_key(command), Position(1), &mut |position| {
            // The first and every later one of a commit are posted; a check of the first is enough.
            if found.is_none() {
                let same = self.one(position)?.is_some_and(|recorded| {
                    let envelope = &recorded.envelope;
                    envelope.command == command && outcome_is_kept(&envelope.actor)
                });
                if !same {
                    return Ok(true);
                }
            }
            match &mut found {
                None => found = Some((position, position)),
                Some((_, last)) if last.next() == position => *last = position,
                Some(_) => {}
            }
            Ok(true)
        })?;
        Ok(found)
    }
}

/// The keys that a record is posted under.
pub(crate) fn each_key(outline: &mut Outline<'_>, visit: &mut dyn FnMut(Key)) {
    let mut bytes = Vec::with_capacity(20);
    // Subjects were checked when the record was written; one that is cut off ends the list.
    while let Ok(Some(subject)) = outline.next_subject() {
        bytes.clear();
        bytes.extend([subject.kind, subject.bytes.len() as u8]);
        bytes.extend(subject.bytes);
        visit(key_of(&bytes));
    }
    if outcome_is_kept(&outline.actor) {
        visit(command_key(outline.command));
    }
}
