//! The tree's cache: the hash of every complete subtree of 256 leaves, in a file `tree` beside the index. With it a
//! proof over millions of records reads a few hundred of them. Never the only copy of anything: what is missing or
//! does not check is computed from the segments, and no proof is given that does not lead to the sealed root.

use crate::bytes::Reader;
use crate::files::{FileLike, Files, How, read_up_to, replace};
use crate::merkle::{Frontier, Hash};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use switchbook_core::id::BookId;
use switchbook_core::position::Position;

pub(crate) const NAME: &str = "tree";
const MAGIC: [u8; 8] = *b"SWBKTRE\n";
const VERSION: u16 = 1;
const HEAD: usize = 36;
/// An entry: a hash, and a checksum over its number and itself.
const ENTRY: usize = 36;
/// A tile stands for 2^8 leaves.
pub(crate) const LEVEL: u32 = 8;
/// So many leaves.
pub(crate) const LEAVES: u64 = 1 << LEVEL;

fn head(book: BookId) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend(VERSION.to_le_bytes());
    out.extend([0; 6]);
    out.extend(book.bytes());
    out.extend(crc32c::crc32c(&out).to_le_bytes());
    out
}

fn entry(number: u64, hash: &Hash) -> [u8; ENTRY] {
    let mut out = [0; ENTRY];
    out[..32].copy_from_slice(hash);
    out[32..].copy_from_slice(&checksum(number, hash).to_le_bytes());
    out
}

fn checksum(number: u64, hash: &Hash) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&number.to_le_bytes()), hash)
}

/// The tiles of a file, up to the first that does not check; none when there is no file of this book.
pub(crate) fn load(files: &dyn Files, folder: &Path, book: BookId) -> Vec<Hash> {
    let mut tiles = Vec::new();
    if let Err(error) = each(files, folder, book, &mut tiles) {
        tracing::debug!(%error, "the tree's cache is not read any further");
    }
    tiles
}

/// So many entries are read at once: the file may be of any length, and what is behind the first bad one is not looked at.
const PIECE: usize = 16 * 1024;

fn each(files: &dyn Files, folder: &Path, book: BookId, tiles: &mut Vec<Hash>) -> io::Result<()> {
    let file = files.open(&folder.join(NAME), How::Read)?;
    if read_up_to(&*file, 0, HEAD as u64)? != head(book) {
        return Ok(());
    }
    let mut offset = HEAD as u64;
    loop {
        let piece = read_up_to(&*file, offset, (PIECE * ENTRY) as u64)?;
        offset += piece.len() as u64;
        for chunk in piece.chunks_exact(ENTRY) {
            let mut reader = Reader(chunk);
            let (Some(hash), Some(sum)) = (reader.array::<32>(), reader.u32()) else { break };
            if sum != checksum(tiles.len() as u64, &hash) {
                return Ok(());
            }
            tiles.push(hash);
        }
        if piece.len() < PIECE * ENTRY {
            return Ok(());
        }
    }
}

/// Adds tiles as their leaves come by, in any pieces that begin at or before the next one needed.
#[derive(Debug)]
pub(crate) struct Keeper {
    files: Arc<dyn Files>,
    folder: PathBuf,
    book: BookId,
    /// Tiles in the file.
    written: u64,
    /// Whole ones that wait for it.
    waiting: Vec<Hash>,
    /// The leaves of the next one.
    begun: Frontier,
    file: Option<Box<dyn FileLike>>,
}

impl Keeper {
    /// Goes on where the file ends.
    pub(crate) fn open(files: Arc<dyn Files>, folder: &Path, book: BookId) -> Self {
        let written = load(&*files, folder, book).len() as u64;
        let (waiting, begun) = (Vec::new(), Frontier::default());
        Self { files, folder: folder.to_path_buf(), book, written, waiting, begun, file: None }
    }

    fn next(&self) -> Position {
        Position((self.written + self.waiting.len() as u64) * LEAVES + self.begun.leaves() + 1)
    }

    /// Takes a leaf, if it is the next one.
    pub(crate) fn leaf(&mut self, position: Position, leaf: Hash) {
        if position != self.next() {
            return;
        }
        self.begun.push(leaf);
        if self.begun.leaves() == LEAVES {
            self.waiting.push(std::mem::take(&mut self.begun).root());
        }
    }

    /// Writes what waits. It is a cache: what the disk refuses is computed by whoever needs it.
    pub(crate) fn flush(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        if let Err(error) = self.write() {
            tracing::debug!(%error, "the tree's cache could not be written");
            self.file = None;
        }
    }

    fn write(&mut self) -> std::io::Result<()> {
        let file = match self.file.take() {
            Some(file) => file,
            None if self.written == 0 => {
                replace(&*self.files, &self.folder, NAME, &head(self.book))?
            }
            None => self.files.open(&self.folder.join(NAME), How::Write)?,
        };
        let numbered = self.waiting.iter().enumerate();
        let bytes: Vec<u8> =
            numbered.flat_map(|(n, hash)| entry(self.written + n as u64, hash)).collect();
        file.write_at(&bytes, HEAD as u64 + self.written * ENTRY as u64)?;
        self.written += self.waiting.len() as u64;
        self.waiting.clear();
        self.file = Some(file);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::RealFiles;
    use crate::merkle::leaf_hash;

    fn leaf(n: u64) -> Hash {
        leaf_hash(&n.to_be_bytes())
    }

    #[test]
    fn tiles_are_taken_up_again_where_the_file_ends_or_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let book = BookId(uuid::Uuid::from_u128(7));
        let open = || Keeper::open(Arc::new(RealFiles), folder.path(), book);
        let mut keeper = open();
        for n in 1..=LEAVES * 3 + 5 {
            keeper.leaf(Position(n), leaf(n));
        }
        keeper.flush();
        let tiles = load(&RealFiles, folder.path(), book);
        assert_eq!(tiles.len(), 3);
        // The five are lost with the process; they come by again, with others that are not needed.
        let mut keeper = open();
        for n in LEAVES + 1..=LEAVES * 4 {
            keeper.leaf(Position(n), leaf(n));
        }
        keeper.flush();
        assert_eq!(load(&RealFiles, folder.path(), book).len(), 4);
        assert_eq!(load(&RealFiles, folder.path(), book)[..3], tiles[..]);
        let path = folder.path().join(NAME);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[HEAD + 2 * ENTRY + 7] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(load(&RealFiles, folder.path(), book), tiles[..2]);
        assert_eq!(load(&RealFiles, folder.path(), BookId(uuid::Uuid::nil())), [[0; 32]; 0]);
    }
}
