//! Records in blocks: up to 128 frames, as they stand in the segments, under the position of the first.

use super::{Index, VALUE};
use crate::error::ReadError;
use crate::frame::{self, Found};
use crate::record::Outline;
use switchbook_core::position::Position;

/// So many records at most stand in a block.
const RECORDS: usize = 128;
const PREFIX: u8 = b'b';

pub(super) fn key(first: Position) -> [u8; 9] {
    let mut key = [PREFIX; 9];
    key[1..].copy_from_slice(&first.0.to_be_bytes());
    key
}

/// Collects frames into blocks.
#[derive(Default)]
pub(super) struct Blocks {
    first: Position,
    count: usize,
    bytes: Vec<u8>,
}

impl Blocks {
    /// Adds a frame. One that is too long for sled leaves a block that is empty: it is read from its segment.
    pub(super) fn push(&mut self, position: Position, frame: &[u8], batch: &mut sled::Batch) {
        if self.count == RECORDS || self.bytes.len() + frame.len() > VALUE {
            self.finish(batch);
        }
        if frame.len() > VALUE {
            batch.insert(&key(position), &[][..]);
            return;
        }
        if self.count == 0 {
            self.first = position;
        }
        self.count += 1;
        self.bytes.extend(frame);
    }

    pub(super) fn finish(&mut self, batch: &mut sled::Batch) {
        if self.count > 0 {
            batch.insert(&key(self.first), self.bytes.as_slice());
            self.count = 0;
            self.bytes.clear();
        }
    }
}

impl Index {
    /// Shows `visit` the records of the block that holds `position`, from that on, each checked. `None`: the block
    /// does not have it, the segments do.
    pub(crate) fn with_block(
        &self,
        position: Position,
        mut visit: impl FnMut(Outline<'_>) -> Result<(), ReadError>,
    ) -> Option<Result<(), ReadError>> {
        let found = self
            .guard(|db| db.range(key(Position::START)..=key(position)).next_back().transpose())??;
        let first = found.0.get(1..)?.first_chunk::<8>()?;
        let mut next = Position(u64::from_be_bytes(*first));
        let mut bytes: &[u8] = &found.1;
        let mut seen = false;
        while !bytes.is_empty() {
            let Found::Frame(frame) = frame::read(bytes) else {
                self.fail("a record in it does not check");
                return None;
            };
            let outline = Outline::read(frame.body).ok().filter(|found| found.position == next);
            let Some(outline) = outline else {
                self.fail("a record in it stands in a wrong place");
                return None;
            };
            if next >= position {
                seen = true;
                if let Err(error) = visit(outline) {
                    return Some(Err(error));
                }
            }
            next = next.next();
            bytes = &bytes[frame.whole.len()..];
        }
        seen.then_some(Ok(()))
    }
}
