//! Snapshots of folded state, in chunks that sled likes, closed by a trailer with length and SHA-256.

use super::{Index, VALUE};
use crate::bytes::Reader;
use crate::store::SNAPSHOTS_KEPT;
use sha2::{Digest, Sha256};
use switchbook_core::position::Position;

const PREFIX: u8 = b's';
const TRAILER: u32 = u32::MAX;

fn key(name: &str, at: Position, chunk: u32) -> Vec<u8> {
    let mut key = vec![PREFIX, name.len().min(255) as u8];
    key.extend(name.as_bytes());
    key.extend(at.0.to_be_bytes());
    key.extend(chunk.to_be_bytes());
    key
}

/// Removes what stands before the newest few of this name that have a trailer.
fn prune(db: &sled::Db, name: &str) -> sled::Result<()> {
    let start = key(name, Position::START, 0);
    let mut until = key(name, Position(u64::MAX), TRAILER);
    let mut whole = 0;
    while whole < SNAPSHOTS_KEPT {
        let last = db.range(start.as_slice()..=until.as_slice()).next_back().transpose()?;
        let Some((found, _)) = last else { return Ok(()) };
        whole += usize::from(found.ends_with(&TRAILER.to_be_bytes()));
        // Everything before this position's first chunk.
        until = found[..found.len() - 4].to_vec();
    }
    for old in db.range(start..until).keys() {
        db.remove(old?)?;
    }
    Ok(())
}

impl Index {
    pub(crate) fn put_snapshot(
        &self,
        name: &str,
        at: Position,
        bytes: &[u8],
    ) -> Result<(), String> {
        let failed = || "the index failed and is being made anew".to_owned();
        for (number, chunk) in bytes.chunks(VALUE).enumerate() {
            let key = key(name, at, number as u32);
            self.guard(|db| db.insert(key, chunk)).ok_or_else(failed)?;
        }
        let mut trailer = (bytes.len() as u64).to_le_bytes().to_vec();
        trailer.extend(Sha256::digest(bytes));
        self.guard(|db| db.insert(key(name, at, TRAILER), trailer)).ok_or_else(failed)?;
        self.guard(|db| prune(db, name)).ok_or_else(failed)
    }

    /// The newest snapshot of this name at `at_most` or before that checks.
    pub(crate) fn snapshot(&self, name: &str, at_most: Position) -> Option<(Position, Vec<u8>)> {
        let mut until = key(name, at_most, TRAILER);
        loop {
            let start = key(name, Position::START, 0);
            let (found, trailer) = self.guard(|db| {
                db.range(start.as_slice()..=until.as_slice()).next_back().transpose()
            })??;
            let mut end = Reader(found.get(found.len().checked_sub(12)?..)?);
            let at = Position(u64::from_be_bytes(end.array()?));
            if u32::from_be_bytes(end.array()?) == TRAILER
                && let Some(bytes) = self.whole(name, at, &trailer)
            {
                return Some((at, bytes));
            }
            // One that is not whole: the one before.
            until = key(name, Position(at.0.checked_sub(1)?), TRAILER);
        }
    }

    /// All snapshots that are whole, by name.
    pub(crate) fn snapshots(&self) -> super::audit::Snapshots {
        let mut found = Vec::new();
        let keys = self.guard(|db| {
            let trailers = db.scan_prefix([PREFIX]).filter(|entry| {
                entry.as_ref().map_or(true, |(key, _)| key.ends_with(&TRAILER.to_be_bytes()))
            });
            trailers.collect::<sled::Result<Vec<_>>>()
        });
        for (key, trailer) in keys.unwrap_or_default() {
            let read = || {
                let length = usize::from(*key.get(1)?);
                let name = std::str::from_utf8(key.get(2..2 + length)?).ok()?;
                let at = Position(u64::from_be_bytes(*key.get(2 + length..)?.first_chunk()?));
                Some((name.to_owned(), at, self.whole(name, at, &trailer)?))
            };
            found.extend(read());
        }
        found
    }

    fn whole(&self, name: &str, at: Position, trailer: &[u8]) -> Option<Vec<u8>> {
        let (length, sum) = trailer.split_first_chunk::<8>()?;
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        let mut bytes = Vec::new();
        let range = key(name, at, 0)..key(name, at, TRAILER);
        self.guard(|db| {
            for chunk in db.range(range).values() {
                bytes.extend_from_slice(&chunk?);
            }
            Ok(())
        })?;
        (bytes.len() == length && Sha256::digest(&bytes).as_slice() == sum).then_some(bytes)
    }
}
