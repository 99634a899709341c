//! The index held against the segments, for auditors: every record in it, and every posting.

use super::Index;
use super::blocks;
use super::postings::Run;
use crate::book::each_key;
use crate::error::{Damage, OpenError, ReadError};
use crate::segment::list::{Segments, Walk};
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use switchbook_core::position::Position;

/// What the index holds, compared.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Compared {
    /// It goes up to here; what is behind is read from the segments.
    pub upto: Position,
    /// The first place at which it differs from the segments.
    pub differs: Option<Damage>,
}

/// An index that nobody has open, read from a copy so that the original stays as it is.
#[derive(Debug)]
pub struct IndexCopy {
    /// Until it is put away.
    index: Option<Arc<Index>>,
    segments: Arc<Segments>,
    name: String,
    scratch: PathBuf,
}

impl Drop for IndexCopy {
    fn drop(&mut self) {
        // Before its files go; and one that failed is not closed, since that could take for ever.
        if let Some(index) = self.index.take() {
            super::follow::put_away(index);
        }
        if let Err(error) = std::fs::remove_dir_all(&self.scratch) {
            tracing::debug!(%error, "the copy of the index could not be removed");
        }
    }
}

impl IndexCopy {
    /// Copies the newest index of a book's folder to `scratch`, a folder that does not exist yet, and opens it there;
    /// `None` when the book has none.
    ///
    /// # Errors
    /// What cannot be read, in words; then it is as good as no index, and the server makes a new one.
    pub fn open(folder: &Path, scratch: &Path) -> Result<Option<Self>, String> {
        let words = |error: std::io::Error| error.to_string();
        let Some(turn) = super::follow::newest_there(folder) else { return Ok(None) };
        let name = format!("index-{turn}");
        let load = |error: OpenError| error.to_string();
        let files = Arc::new(crate::files::RealFiles);
        let segments = Segments::load(files, folder).map_err(load)?;
        let book = segments.book().ok_or("the book has no segments")?;
        copy(&folder.join(&name), scratch).map_err(|error| {
            // What was copied so far is of no use.
            let _ = std::fs::remove_dir_all(scratch);
            words(error)
        })?;
        match Index::open(scratch, book, 16 * 1024 * 1024) {
            Ok(index) => {
                let (index, segments) = (Some(Arc::new(index)), Arc::new(segments));
                let scratch = scratch.to_path_buf();
                Ok(Some(Self { index, segments, name, scratch }))
            }
            Err(what) => {
                std::fs::remove_dir_all(scratch).map_err(words)?;
                Err(what)
            }
        }
    }

    /// Compares it with the segments up to `tail`. `told` hears how far it is, and says whether to go on.
    ///
    /// # Errors
    /// The segments'; [`ReadError::Closed`] when it was told to stop.
    pub fn compare(
        &self,
        tail: Position,
        told: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Compared, ReadError> {
        // The end of the last segment was not looked for: nobody asks beyond what the reader found.
        if let Some(last) = self.segments.last() {
            last.set_valid(tail, u64::MAX);
        }
        match &self.index {
            Some(index) => compare(index, &self.segments, tail, &self.name, told),
            None => Ok(Compared::default()),
        }
    }
}

/// Copies a folder of files. A link in it would have an auditor read, as whoever he is, what it points to.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let odd = |path: &Path| {
        let what = format!("{} is no file of an index: it is not followed", path.display());
        Err(std::io::Error::other(what))
    };
    if !from.symlink_metadata()?.is_dir() {
        return odd(from);
    }
    std::fs::DirBuilder::new().mode(0o700).create(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        match entry.file_type()? {
            kind if kind.is_dir() => copy(&entry.path(), &to)?,
            kind if kind.is_file() => drop(std::fs::copy(entry.path(), to)?),
            _ => return odd(&entry.path()),
        }
    }
    Ok(())
}

/// So often somebody hears how far it is.
const TELL: u64 = 16_384;

pub(crate) fn compare(
    index: &Index,
    segments: &Arc<Segments>,
    tail: Position,
    name: &str,
    told: &mut dyn FnMut(u64) -> bool,
) -> Result<Compared, ReadError> {
    // Runs stay as they are meanwhile; those that come are not looked at.
    let _still = index.merging.lock().unwrap_or_else(PoisonError::into_inner);
    let upto = index.upto();
    let runs: Vec<Run> = index.runs().iter().filter(|run| run.last <= upto).copied().collect();
    let differs = |position: Position, what: &str| {
        let damage = Damage { file: name.into(), offset: 0, position, what: what.into() };
        Ok(Compared { upto, differs: Some(damage) })
    };
    if upto > tail {
        return differs(tail.next(), "the index holds records that the book does not have");
    }
    let mut walk = segments.walk(Position(1));
    let mut expected = Sums::new(&runs);
    while walk.position() <= upto {
        let position = walk.position();
        if let Err(what) = block(index, &mut walk, position, upto, &mut expected)? {
            return differs(Position(walk.position().0 - 1).max(position), what);
        }
        if position.0 / TELL != walk.position().0 / TELL && !told(walk.position().0) {
            return Err(ReadError::Closed);
        }
    }
    let mut found = Sums { hasher: expected.hasher.clone(), ..Sums::new(&runs) };
    for (number, run) in runs.iter().enumerate() {
        if !told(upto.0) {
            return Err(ReadError::Closed);
        }
        let whole = index.each_posting(run, &mut |key, position| {
            found.sums[number] =
                found.sums[number].wrapping_add(found.hasher.hash_one((key, position.0)));
        });
        if whole.is_none() {
            return differs(run.first, "postings in it cannot be read");
        }
        if found.sums[number] != expected.sums[number] {
            let what = format!("postings of the records from here to {} are not theirs", run.last);
            return differs(run.first, &what);
        }
    }
    let covered = runs.last().map_or(Position::START, |run| run.last);
    if covered != upto && upto > Position::START {
        return differs(covered.next(), "postings are missing");
    }
    Ok(Compared { upto, differs: None })
}

/// Compares the block that begins at `position` with the records of the walk.
fn block(
    index: &Index,
    walk: &mut Walk,
    position: Position,
    upto: Position,
    expected: &mut Sums<'_>,
) -> Result<Result<(), &'static str>, ReadError> {
    let Some(found) = index.guard(|db| db.get(blocks::key(position))) else {
        return Ok(Err("it cannot be read"));
    };
    let Some(bytes) = found else { return Ok(Err("a block of records is missing")) };
    let mut rest: &[u8] = &bytes;
    loop {
        let Some(mut raw) = walk.next()? else { return Ok(Err("the book ends before it")) };
        let frame = raw.frame.whole;
        // An empty block stands for a record that is too long for the index.
        let same = rest.strip_prefix(frame).or_else(|| bytes.is_empty().then_some(rest));
        let Some(behind) = same else { return Ok(Err("the record in it is not the book's")) };
        rest = behind;
        expected.add(&mut raw.outline);
        if rest.is_empty() || walk.position() > upto {
            return Ok(if rest.is_empty() {
                Ok(())
            } else {
                Err("something stands behind its end")
            });
        }
    }
}

/// A sum over the postings of each run, in any order; keyed, so that nobody can make two sets with one sum.
struct Sums<'a> {
    runs: &'a [Run],
    sums: Vec<u64>,
    at: usize,
    hasher: RandomState,
}

impl<'a> Sums<'a> {
    fn new(runs: &'a [Run]) -> Self {
        Self { runs, sums: vec![0; runs.len()], at: 0, hasher: RandomState::new() }
    }

    fn add(&mut self, outline: &mut crate::record::Outline<'_>) {
        let position = outline.position;
        while self.runs.get(self.at).is_some_and(|run| run.last < position) {
            self.at += 1;
        }
        let mut keys = Vec::with_capacity(4);
        each_key(outline, &mut |key| keys.push(key));
        keys.sort_unstable();
        keys.dedup();
        if let Some(sum) = self.sums.get_mut(self.at) {
            for key in keys {
                *sum = sum.wrapping_add(self.hasher.hash_one((key, position.0)));
            }
        }
    }
}
