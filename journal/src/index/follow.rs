//! The thread that keeps the index: follows the segments in batches, makes the index anew when it is damaged, and
//! scrubs the segments when there is nothing else to do.

use super::blocks::Blocks;
use super::postings::Run;
use super::{Index, META};
use crate::book::{Shared, each_key};
use crate::error::{Damage, ReadError};
use crate::merkle::Frontier;
use crate::segment::list::{Place, Walk};
use crate::tiles::Keeper;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, channel};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::Duration;
use switchbook_core::position::Position;

/// So many records are taken in at once, at most and (when the server is not just starting) at least.
const MOST: usize = 8192;
const LEAST: u64 = 2048;
/// The index may take so long to be closed.
const CLOSE_WAIT: Duration = Duration::from_secs(10);
const BEAT: Duration = Duration::from_millis(250);
/// Bytes scrubbed in a beat.
const SCRUB: usize = 4 * 1024 * 1024;

/// Where the index of a book is, and its cache.
pub(crate) struct Home {
    pub(crate) book_folder: PathBuf,
    pub(crate) cache: u64,
}

impl Home {
    fn fresh(&self, turn: u32) -> PathBuf {
        self.book_folder.join(format!("index-{turn}"))
    }
}

/// Follows until the book is closed. Says when the index was opened for the first time, or could not be.
pub(crate) fn run(shared: &Arc<Shared>, place: &Home, opened: &SyncSender<()>) {
    let mut scrub = Scrub::new(shared, &place.book_folder);
    let mut turn = newest(&place.book_folder);
    while !shared.is_closing() {
        let found = Index::open(&place.fresh(turn), shared.book, place.cache);
        match found.map(|index| (index.is_of(&shared.segments), index)) {
            Ok((Ok(true), index)) => {
                let index = Arc::new(index);
                shared.set_index(Some(Arc::clone(&index)));
                let _ = opened.try_send(());
                follow(shared, &index, &mut scrub);
                scrub.tiles.flush();
                shared.set_index(None);
                put_away(index);
            }
            Ok((Err(error), index)) => {
                // The disk may be well again in a moment. What was made from the whole book is not thrown away for that.
                tracing::warn!(%error, "whose the index is cannot be found out just now: the segments serve meanwhile");
                let _ = opened.try_send(());
                put_away(Arc::new(index));
                thread::park_timeout(BEAT * 4);
                continue;
            }
            Ok((Ok(false), _)) => {
                tracing::warn!(
                    "the index is ahead of the book, or of another life of it: it is made anew"
                );
            }
            Err(what) => tracing::warn!(what, "the index could not be opened: it is made anew"),
        }
        let _ = opened.try_send(());
        if !shared.is_closing() {
            // Another folder: the old one may still be held by readers on their way out.
            remove(&place.fresh(turn));
            turn = turn.wrapping_add(1);
            thread::park_timeout(BEAT);
        }
    }
}

/// Flushes and closes. Sled can wait for ever when it closes a damaged database, and a cache must hold up no stop and no
/// rebuilding: one that failed is never closed, and one that takes too long is left as it is.
pub(super) fn put_away(index: Arc<Index>) {
    if index.has_failed() {
        return index.abandon();
    }
    let (closed, closing) = channel();
    let close = move || {
        index.flush();
        match index.has_failed() {
            true => index.abandon(),
            false => drop(index),
        }
        // Nobody waits any more when it took too long.
        let _ = closed.send(());
    };
    let begun = thread::Builder::new().name("book-index-close".into()).spawn(close);
    if begun.is_err() || closing.recv_timeout(CLOSE_WAIT).is_err() {
        tracing::warn!("the index could not be closed in time: it is left as it is");
    }
}

fn turns(book: &Path) -> Vec<u32> {
    let entries = std::fs::read_dir(book).into_iter().flatten().flatten();
    let mut turns: Vec<u32> = entries
        .filter_map(|entry| entry.file_name().to_str()?.strip_prefix("index-")?.parse().ok())
        .collect();
    turns.sort_unstable();
    turns
}

/// The newest index folder, if there is one.
pub(super) fn newest_there(book: &Path) -> Option<u32> {
    turns(book).pop()
}

/// The newest index folder; older ones are removed.
fn newest(book: &Path) -> u32 {
    let mut turns = turns(book);
    let newest = turns.pop().unwrap_or(1);
    for old in turns {
        remove(&book.join(format!("index-{old}")));
    }
    newest
}

fn remove(folder: &Path) {
    if let Err(error) = std::fs::remove_dir_all(folder) {
        tracing::debug!(%error, "an old index could not be removed");
    }
}

fn follow(shared: &Arc<Shared>, index: &Index, scrub: &mut Scrub) {
    let mut walk = shared.segments.walk(index.upto().next());
    let mut least = 1;
    loop {
        let (durable, upto) = (shared.durable(), index.upto());
        if index.has_failed() || shared.is_closing() {
            return;
        }
        if durable.0 >= upto.0 + least {
            match take_in(shared, index, &mut walk, &mut scrub.tiles) {
                Ok(Some(())) => continue,
                Ok(None) => return,
                Err(error) => {
                    // Named here, and to whoever reads there; the index stays as far as it is.
                    tracing::error!(%error, "the index cannot follow the book");
                    if let ReadError::Damaged(damage) = error {
                        shared.note_damage(damage);
                    }
                    walk = shared.segments.walk(index.upto().next());
                    thread::park_timeout(BEAT * 20);
                }
            }
        } else {
            least = LEAST;
            match index.merge() {
                None => return,
                Some(true) => continue,
                Some(false) => {}
            }
            scrub.some(shared);
            scrub.tiles.flush();
            thread::park_timeout(BEAT);
        }
    }
}

/// Takes in the next records: blocks, a run of postings, and how far it is, in one batch. `None`: the index failed.
fn take_in(
    shared: &Shared,
    index: &Index,
    walk: &mut Walk,
    tiles: &mut Keeper,
) -> Result<Option<()>, ReadError> {
    let mut batch = sled::Batch::default();
    let mut blocks = Blocks::default();
    let mut postings = Vec::with_capacity(MOST * 3);
    let (first, mut stands) = (walk.position(), Place::default());
    for _ in 0..MOST {
        let Some(mut raw) = walk.next()? else { break };
        let position = raw.outline.position;
        blocks.push(position, raw.frame.whole, &mut batch);
        let (segment, offset, leaf) = (raw.segment, raw.offset, raw.frame.leaf);
        stands = Place { segment, offset, leaf };
        tiles.leaf(position, leaf);
        each_key(&mut raw.outline, &mut |key| postings.push((key, position)));
    }
    blocks.finish(&mut batch);
    let last = Position(walk.position().0 - 1);
    if last < first {
        return Ok(Some(()));
    }
    let run = Run { level: 0, first, last };
    index.add_run(&run, postings, &mut batch);
    let mut runs = index.runs().clone();
    runs.push(run);
    batch.insert(META, index.meta(last, &stands, &runs));
    let applied = index.apply(batch);
    if applied.is_some() {
        *index.runs.write().unwrap_or_else(PoisonError::into_inner) = runs;
        *index.last.lock().unwrap_or_else(PoisonError::into_inner) = stands;
        index.upto.store(last.0, Ordering::Release);
        shared.indexed(last);
        // Runs are merged while catching up too, or a rebuild would leave hundreds of them.
        if index.merge().is_none() {
            return Ok(None);
        }
    }
    Ok(applied)
}

/// Reads all segments once after the start, a little at a time, and checks every record and every head's tree. What the
/// tree's cache lacks is filled in on the way.
struct Scrub {
    walk: Walk,
    tree: Frontier,
    tiles: Keeper,
    done: bool,
}

impl Scrub {
    fn new(shared: &Arc<Shared>, folder: &Path) -> Self {
        let walk = shared.segments.walk(Position(1));
        let tiles = Keeper::open(Arc::clone(&shared.segments.files), folder, shared.book);
        Self { walk, tree: Frontier::default(), tiles, done: false }
    }

    fn some(&mut self, shared: &Shared) {
        let mut bytes = 0;
        while !self.done && bytes < SCRUB {
            match self.walk.next() {
                Ok(Some(raw)) => {
                    bytes += raw.frame.whole.len();
                    let (segment, position) = (raw.segment, raw.outline.position);
                    let leaf = raw.frame.leaf;
                    if segment == position
                        && let Some(head) = shared.segments.head_of(segment)
                        && head.before != self.tree
                    {
                        self.found(shared, tree_damage(segment));
                        return;
                    }
                    self.tree.push(leaf);
                    self.tiles.leaf(position, leaf);
                }
                Ok(None) => {
                    self.done = true;
                    tracing::info!(records = self.tree.leaves(), "all segments were checked");
                }
                Err(ReadError::Damaged(damage)) => self.found(shared, damage),
                Err(error) => {
                    self.done = true;
                    tracing::error!(%error, "checking the segments was given up");
                }
            }
        }
    }

    fn found(&mut self, shared: &Shared, damage: Damage) {
        self.done = true;
        tracing::error!(%damage, "the book is damaged; restore this file from a backup");
        shared.note_damage(damage);
    }
}

fn tree_damage(first: Position) -> Damage {
    let what = "the records before it are not those it was begun behind";
    let file = format!("segments/{}", crate::segment::file_name(first));
    Damage { file, offset: 0, position: first, what: what.into() }
}
