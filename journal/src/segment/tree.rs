//! Proofs from the segments themselves: the leaf hashes of a few records, and the tiles of the rest.

use super::reader::SegmentReader;
use crate::error::ReadError;
use crate::files::{Files, RealFiles};
use crate::merkle::{Frontier, Hash};
use crate::proof::{self, Nodes};
use crate::tiles::{self, LEAVES, LEVEL};
use std::collections::BTreeMap;
use std::path::Path;
use switchbook_core::position::Position;

/// Blocks of leaves kept at a time: proofs of a row of records share them.
const KEPT: usize = 64;

/// The tree over the records of a book.
#[derive(Debug)]
pub struct Tree<'a> {
    reader: &'a SegmentReader,
    /// Complete subtrees by level above the tiles, the tiles themselves first.
    levels: Vec<Vec<Hash>>,
    blocks: BTreeMap<u64, Vec<Hash>>,
}

impl SegmentReader {
    /// The tree over the records, with the tiles of the book's folder; what is missing of them is read from the
    /// segments. `told` hears how many records were read so far, and says whether to go on.
    ///
    /// # Errors
    /// The first record that does not check; [`ReadError::Closed`] when it was told to stop.
    pub fn tree(
        &self,
        folder: Option<&Path>,
        told: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Tree<'_>, ReadError> {
        let whole = self.tail().0 / LEAVES;
        let mut tiles = match (folder, self.book()) {
            (Some(folder), Some(book)) => tiles::load(&RealFiles as &dyn Files, folder, book),
            _ => Vec::new(),
        };
        tiles.truncate(usize::try_from(whole).unwrap_or(usize::MAX));
        let mut leaves = self.leaves(Position(tiles.len() as u64 * LEAVES + 1));
        let mut read = 0;
        while (tiles.len() as u64) < whole {
            let mut tile = Frontier::default();
            while tile.leaves() < LEAVES {
                match leaves.next() {
                    Some(leaf) => tile.push(leaf?.1),
                    None => return Err(ReadError::Closed),
                }
            }
            tiles.push(tile.root());
            read += LEAVES;
            if read.is_multiple_of(LEAVES * 64) && !told(read) {
                return Err(ReadError::Closed);
            }
        }
        let mut levels = vec![tiles];
        while let Some(below) = levels.last().filter(|below| below.len() > 1) {
            let pairs = below.chunks_exact(2);
            let above = pairs.map(|pair| crate::merkle::node_hash(&pair[0], &pair[1])).collect();
            levels.push(above);
        }
        Ok(Tree { reader: self, levels, blocks: BTreeMap::new() })
    }
}

impl Tree<'_> {
    fn block(&mut self, number: u64) -> Result<&[Hash], ReadError> {
        if !self.blocks.contains_key(&number) {
            if self.blocks.len() >= KEPT {
                self.blocks.pop_first();
            }
            let first = Position(number * LEAVES + 1);
            let leaves = self.reader.leaves(first).take(LEAVES as usize);
            let block = leaves.map(|leaf| Ok(leaf?.1)).collect::<Result<Vec<_>, ReadError>>()?;
            self.blocks.insert(number, block);
        }
        Ok(self.blocks.get(&number).map_or(&[], Vec::as_slice))
    }

    /// The root over the first `size` records; `None` when the book is shorter, or `size` is 0.
    ///
    /// # Errors
    /// When a record that is needed does not check.
    pub fn root(&mut self, size: u64) -> Result<Option<Hash>, ReadError> {
        if size > self.reader.tail().0 { Ok(None) } else { proof::root(self, size) }
    }

    /// The leaf hash of a record; `None` when the book is shorter.
    ///
    /// # Errors
    /// When it does not check.
    pub fn leaf(&mut self, position: Position) -> Result<Option<Hash>, ReadError> {
        let Some(index) = position.0.checked_sub(1) else { return Ok(None) };
        if position > self.reader.tail() {
            return Ok(None);
        }
        self.node(0, index).map(Some)
    }

    /// That a record stands among the first `size`; `None` when it does not, or the book is shorter.
    ///
    /// # Errors
    /// When a record that is needed does not check.
    pub fn inclusion(
        &mut self,
        position: Position,
        size: u64,
    ) -> Result<Option<Vec<Hash>>, ReadError> {
        let Some(index) = position.0.checked_sub(1) else { return Ok(None) };
        if size > self.reader.tail().0 { Ok(None) } else { proof::inclusion(self, index, size) }
    }

    /// That the first `older` records are the beginning of the first `newer`; `None` when they cannot be, or the book
    /// is shorter.
    ///
    /// # Errors
    /// When a record that is needed does not check.
    pub fn consistency(&mut self, older: u64, newer: u64) -> Result<Option<Vec<Hash>>, ReadError> {
        if newer > self.reader.tail().0 { Ok(None) } else { proof::consistency(self, older, newer) }
    }
}

impl Nodes for Tree<'_> {
    type Error = ReadError;

    fn node(&mut self, level: u32, index: u64) -> Result<Hash, ReadError> {
        if level >= LEVEL {
            let tiles = self.levels.get((level - LEVEL) as usize);
            let found = tiles.and_then(|tiles| tiles.get(usize::try_from(index).ok()?));
            return found.copied().ok_or(ReadError::Closed);
        }
        let first = index << level;
        let block = self.block(first / LEAVES)?;
        let start = (first % LEAVES) as usize;
        let leaves = block.get(start..start + (1 << level)).ok_or(ReadError::Closed)?;
        let mut tree = Frontier::default();
        leaves.iter().for_each(|leaf| tree.push(*leaf));
        Ok(tree.root())
    }
}
