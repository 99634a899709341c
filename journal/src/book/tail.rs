//! What was appended last, in memory: followers read it from here, without the disk and without opening seals again.

use crate::record::outcome_is_kept;
use crate::vault::Vault;
use crate::view::open_personal;
use std::collections::VecDeque;
use std::sync::Arc;
use switchbook_core::envelope::{Recorded, Subject};
use switchbook_core::id::CommandId;
use switchbook_core::position::Position;

/// So many records are kept.
const RECORDS: usize = 4096;
/// So many postings at most, should the index not follow.
const POSTINGS: usize = 1 << 20;

/// What a posting is found by: a hash of subject or command. Collisions are told apart by the record itself.
pub(crate) type Key = u64;

/// The key of a subject: its kind, length and identity as they stand in the body, put together without asking for memory,
/// since the thread that writes does this for every record.
pub(crate) fn subject_key(subject: &Subject) -> Key {
    let identity = subject.bytes();
    let mut bytes = [0; 18];
    (bytes[0], bytes[1]) = (subject.kind(), identity.len() as u8);
    let end = 2 + identity.len().min(16);
    bytes[2..end].copy_from_slice(&identity[..end - 2]);
    key_of(&bytes[..end])
}

/// The key of a subject's kind, length and identity bytes: FNV-1a with a final mix, of our own since the index keeps
/// it; 40 bits of it, since every record found is looked at anyway.
pub(crate) fn key_of(bytes: &[u8]) -> Key {
    let fnv = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mixed = (fnv ^ fnv >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    (mixed ^ mixed >> 33) >> 24
}

/// The key of a command.
pub(crate) fn command_key(command: CommandId) -> Key {
    let mut bytes = [0_u8; 17];
    bytes[1..].copy_from_slice(command.bytes());
    key_of(&bytes)
}

/// The buffer.
#[derive(Debug)]
pub(crate) struct Tail {
    records: VecDeque<Recorded>,
    /// The last record.
    last: Position,
    /// (key, position), ascending by position.
    postings: VecDeque<(Key, Position)>,
    /// Postings of everything behind this are here.
    posted_after: Position,
    /// Erasures of the vault that the records know of.
    erasures: u64,
}

impl Tail {
    /// An empty buffer behind `last`.
    pub(crate) fn new(last: Position) -> Self {
        let (records, postings) = (VecDeque::new(), VecDeque::new());
        Self { records, last, postings, posted_after: last, erasures: 0 }
    }

    /// The first record in the buffer, or what will be.
    pub(crate) fn first(&self) -> Position {
        Position(self.last.0 + 1 - self.records.len() as u64)
    }

    /// Adds what became durable.
    pub(crate) fn push(&mut self, recorded: Recorded) {
        let position = recorded.envelope.position;
        for subject in &recorded.envelope.subjects {
            self.postings.push_back((subject_key(subject), position));
        }
        if outcome_is_kept(&recorded.envelope.actor) {
            self.postings.push_back((command_key(recorded.envelope.command), position));
        }
        self.last = position;
        // Room first: one entry more would double the queue's memory.
        if self.records.len() >= RECORDS {
            self.records.pop_front();
        }
        self.records.push_back(recorded);
        while self.postings.len() > POSTINGS {
            self.posted_after = self.postings.pop_front().map_or(position, |(_, at)| at);
        }
    }

    /// Records from `from` on, if all of them are here.
    pub(crate) fn read(
        &mut self,
        from: Position,
        limit: usize,
        vault: &Arc<Vault>,
    ) -> Option<Vec<Recorded>> {
        let skip = usize::try_from(from.0.checked_sub(self.first().0)?).ok()?;
        let erasures = vault.erasures();
        if self.erasures != erasures {
            // A key was destroyed since: nothing opened before may be shown from memory.
            self.records.iter_mut().for_each(|recorded| open_personal(vault, recorded));
            self.erasures = erasures;
        }
        Some(self.records.iter().skip(skip).take(limit).cloned().collect())
    }

    /// Positions behind `after` under a key, as far as they are here, and behind which position that is complete.
    pub(crate) fn positions(&self, key: Key, after: Position) -> (Position, Vec<Position>) {
        let complete = self.posted_after.max(after);
        let start = self.postings.partition_point(|(_, at)| *at <= complete);
        let mut found: Vec<Position> =
            self.postings.range(start..).filter(|(k, _)| *k == key).map(|(_, at)| *at).collect();
        found.dedup();
        (complete, found)
    }

    /// The index has everything up to `position`.
    pub(crate) fn indexed(&mut self, position: Position) {
        while self.postings.front().is_some_and(|(_, at)| *at <= position) {
            self.postings.pop_front();
        }
        self.posted_after = self.posted_after.max(position).min(self.last);
    }
}
