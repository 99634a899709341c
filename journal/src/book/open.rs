//! Opening a book: whose it is, where it validly ends, what was torn off, what is damaged.

use super::hands::{Hands, Pen};
use super::keeper::Keeper;
use super::writer::{Writer, open_for_writing};
use super::{Book, INDEX_THREAD, Options, Shared};
use crate::backup::restore_point;
use crate::error::{Damage, OpenError};
use crate::files::{FileLike, Files, How, replace};
use crate::frame;
use crate::index::follow;
use crate::leases::{self, Leases};
use crate::merkle::Frontier;
use crate::segment::cursor::{Cursor, Step};
use crate::segment::head::Head;
use crate::segment::list::{Segment, Segments};
use crate::segment::watermark::{self, Mark, Watermark};
use crate::segment::{file_name, first_of, folder};
use crate::snapshots::{self, SnapshotFolder};
use crate::store::Health;
use crate::vault::{self, Vault};
use crate::version;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, RwLock, mpsc as channels};
use std::thread;
use std::time::Duration;
use switchbook_core::id::BookId;
use switchbook_core::position::Position;
use tokio::sync::{mpsc, watch};

/// So many callers may wait in the queue; more wait outside it.
const QUEUE: usize = 4096;

/// So many segments have room when a snapshot is kept.
const RESERVE: u64 = 4;

/// The start waits so long for the index.
const INDEX_WAIT: Duration = Duration::from_secs(10);

/// An open book and what belongs to it.
#[derive(Debug)]
pub struct Opened {
    /// The store: reading and appending.
    pub store: Arc<Book>,
    /// Keys and secrets.
    pub vault: Arc<Vault>,
    /// Refreshes of registrations.
    pub leases: Leases,
    /// What was found.
    pub report: OpenReport,
}

/// What was found when the book was opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenReport {
    /// Whose book it is.
    pub book: BookId,
    /// It was made just now.
    pub created: bool,
    /// It had been closed properly.
    pub clean: bool,
    /// The last record.
    pub tail: Position,
    /// Bytes of commits that had not become whole: cut off. Nobody had been told that they were in the book.
    pub cut_bytes: u64,
    /// Whole records behind the last one known as durable: written again, so that they certainly are now.
    pub carried: u64,
    /// Segments.
    pub segments: usize,
    /// The vault was lost and a new one was begun.
    pub vault_lost: bool,
    /// The restore point that was made, since an older Switchbook wrote the book last.
    pub restore_point: Option<PathBuf>,
    /// Entries in the file of leases that did not check: these refreshes are forgotten, and their phones register again
    /// when the end in the book has come.
    pub leases_lost: usize,
    /// The watermark was lost: where the book ends was told by its records alone, so a last group that was cut off
    /// whole could not be missed.
    pub watermark_lost: bool,
}

impl Book {
    /// Opens the book in a folder, or begins one.
    ///
    /// # Errors
    /// When another process has it, it is damaged, of a newer version, or the disk fails. Never serves what does not
    /// check.
    pub fn open(folder: &Path, options: Options) -> Result<Opened, OpenError> {
        let place = follow::Home { book_folder: folder.to_path_buf(), cache: options.index_cache };
        let (beat, index) = (options.beat, options.index);
        let (mut opened, Hands { pen, keeper }) = Self::take_up(folder, options)?;
        let shared = Arc::clone(&opened.book.shared);
        let threads = &mut opened.book.threads;
        threads.push(spawn("book-writer", move || pen.run())?);
        threads.push(spawn("book-keeper", move || keeper.run(beat))?);
        if index {
            let (opened, opening) = channels::sync_channel(1);
            let run = move || follow::run(&shared, &place, &opened);
            threads.push(spawn(INDEX_THREAD, run)?);
            // Snapshots make the start quick, so it waits for the index; not for ever, since it can do without.
            if opening.recv_timeout(INDEX_WAIT).is_err() {
                tracing::warn!("the index takes long to open: the segments serve meanwhile");
            }
        }
        Ok(opened.share())
    }

    /// Opens the book as [`open`](Self::open) does, but starts no thread: whoever holds the [`Hands`] does their work,
    /// when he wants it done. There is no index then.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_by_hand(folder: &Path, options: Options) -> Result<(Opened, Hands), OpenError> {
        let (opened, hands) = Self::take_up(folder, options)?;
        Ok((opened.share(), hands))
    }

    fn take_up(folder: &Path, options: Options) -> Result<(TakenUp, Hands), OpenError> {
        let files = Arc::clone(&options.files);
        check_segments(&*files, folder)?;
        files
            .create_folder(&super::open::folder(folder))
            .map_err(OpenError::io("making the folder"))?;
        let lock = lock(&options, folder)?;
        remove_leftovers(&options, folder)?;
        let mut segments = Segments::load(Arc::clone(&files), folder)?;
        let created = segments.last().is_none();
        if created {
            begin(&options, folder)?;
            segments = Segments::load(Arc::clone(&files), folder)?;
        }
        let book = segments.book().unwrap_or(BookId(uuid::Uuid::nil()));
        let mark =
            watermark::read(&*files, folder).map_err(OpenError::io("reading the watermark"))?;
        if let Some(mark) = mark
            && mark.book != book
        {
            return Err(OpenError::Foreign {
                file: watermark::NAME.into(),
                found: mark.book.to_string(),
                expected: book.to_string(),
            });
        }
        let end = End::find(&segments, mark)?;
        let by = version::read(&*files, folder)
            .map_err(OpenError::io("reading who wrote the book last"))?;
        if let Some(found) = by
            && !options.version.understands(found)
        {
            return Err(OpenError::WrittenByNewer { found, this: options.version });
        }
        let older = !created && by.is_none_or(|by| by < options.version);
        let restore_point = match older && end.whole.position > Position::START {
            true => {
                let made = restore_point(&files, folder, book, by, end.whole.position);
                Some(made.map_err(|error| OpenError::RestorePoint(Box::new(error)))?)
            }
            false => None,
        };
        let vault_there = files.exists(&folder.join(vault::NAME));
        let empty = end.whole.position == Position::START;
        if !vault_there && !empty && !options.accept_lost_vault {
            return Err(OpenError::VaultMissing);
        }
        let vault = Arc::new(Vault::open(Arc::clone(&files), folder, book)?);
        let (leases, leases_lost) = Leases::open(Arc::clone(&files), folder, book)?;
        let clean = created || end.clean;
        let (carried, cut_bytes) = (end.carried(), end.cut_bytes);
        let tail = end.whole.position;
        let tree = end.whole_tree.clone();
        let segments = Arc::new(segments);
        let (segment, offset) = end.take_up(&segments, clean)?;
        let now = Mark { book, position: tail, segment: segment.head.first, offset, clean: false };
        let watermark = Watermark::begin(&*files, folder, &now)
            .map_err(OpenError::io("writing the watermark"))?;
        if by != Some(options.version) {
            version::write(&*files, folder, options.version)
                .map_err(OpenError::io("writing who wrote the book last"))?;
        }
        let report = OpenReport {
            book,
            created,
            clean,
            tail,
            cut_bytes,
            carried,
            segments: segments.count(),
            vault_lost: !vault_there && !empty,
            restore_point,
            leases_lost,
            watermark_lost: mark.is_none() && !empty,
        };
        let snapshots = SnapshotFolder::open(Arc::clone(&files), folder, book);
        snapshots.tidy();
        let shared = Arc::new(Shared {
            book,
            segments,
            vault: Arc::clone(&vault),
            snapshots,
            reserve: options.segment_bytes.saturating_mul(RESERVE),
            index: RwLock::new(None),
            damage: Mutex::new(None),
            watermark,
            leases: leases.clone(),
            tail: Mutex::new(super::Tail::new(tail)),
            tree: Mutex::new(tree.clone()),
            durable: watch::Sender::new(tail),
            health: Mutex::new(Health::Writable),
            closing: AtomicBool::new(false),
            groups: AtomicU64::new(0),
            records: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        });
        let file = open_for_writing(&shared, &segment)
            .map_err(OpenError::io("opening the last segment"))?;
        let writer = Writer {
            shared: Arc::clone(&shared),
            file,
            segment,
            offset,
            reserved: offset,
            tail,
            tree,
            segment_bytes: options.segment_bytes,
            codec: options.codec,
            stopped: None,
            spare: Vec::new(),
        };
        let (work, queue) = mpsc::channel(QUEUE);
        let hands = Hands { pen: Pen { writer, queue }, keeper: Keeper::new(Arc::clone(&shared)) };
        let book = Self { shared, work: Some(work), threads: Vec::new(), _lock: lock };
        Ok((TakenUp { book, vault, leases, report }, hands))
    }
}

/// A book that nobody else has yet.
struct TakenUp {
    book: Book,
    vault: Arc<Vault>,
    leases: Leases,
    report: OpenReport,
}

impl TakenUp {
    fn share(self) -> Opened {
        let Self { book, vault, leases, report } = self;
        Opened { store: Arc::new(book), vault, leases, report }
    }
}

fn spawn(
    name: &str,
    run: impl FnOnce() + Send + 'static,
) -> Result<thread::JoinHandle<()>, OpenError> {
    thread::Builder::new().name(name.into()).spawn(run).map_err(OpenError::io("starting a thread"))
}

/// A program that has just closed the book may have been starting another one, which holds the lock until it is that
/// other program: a moment, and no second server.
const LOCK_TRIES: u32 = 20;
const LOCK_STEP: std::time::Duration = std::time::Duration::from_millis(10);

fn lock(options: &Options, folder: &Path) -> Result<Box<dyn FileLike>, OpenError> {
    let doing = || OpenError::io("locking the book");
    let lock = options.files.open(&folder.join("lock"), How::Create).map_err(doing())?;
    for _ in 0..LOCK_TRIES {
        if lock.try_lock().map_err(doing())? {
            return Ok(lock);
        }
        thread::sleep(LOCK_STEP);
    }
    Err(OpenError::Locked(folder.to_path_buf()))
}

/// A folder with other files of a book and no segment is not an empty one: its book is missing, and a new one in its
/// place would be taken for it. Looks only, writes nothing.
fn check_segments(files: &dyn Files, book: &Path) -> Result<(), OpenError> {
    let list = |folder: &Path| match files.list(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other.map_err(OpenError::io("listing the folder of the book")),
    };
    // This folder first: a book that another process founds meanwhile has its segment before anything else.
    let mut there: Vec<String> = list(book)?
        .into_iter()
        .filter(|name| {
            let name = name.strip_suffix(".new").unwrap_or(name);
            [vault::NAME, leases::NAME, watermark::NAME, version::NAME].contains(&name)
                || name == snapshots::NAME
                || name.starts_with("index-")
        })
        .map(|name| format!("`{name}`"))
        .collect();
    if there.is_empty() || list(&folder(book))?.iter().any(|name| first_of(name).is_some()) {
        return Ok(());
    }
    there.sort_unstable();
    Err(OpenError::SegmentsMissing { folder: book.to_path_buf(), there: there.join(", ") })
}

/// Files that were being written when the power went are not part of the book.
fn remove_leftovers(options: &Options, book: &Path) -> Result<(), OpenError> {
    for folder in [book.to_path_buf(), folder(book)] {
        let names = options.files.list(&folder).map_err(OpenError::io("listing the folder"))?;
        for name in names.iter().filter(|name| name.ends_with(".new")) {
            options
                .files
                .remove(&folder.join(name))
                .map_err(OpenError::io(format!("removing {name}")))?;
        }
    }
    Ok(())
}

/// Begins a new book: the first segment with its head.
fn begin(options: &Options, folder: &Path) -> Result<(), OpenError> {
    let doing = || OpenError::io("beginning the book");
    let book = match options.book {
        Some(book) => book,
        None => {
            let mut bytes = [0; 16];
            getrandom::fill(&mut bytes)
                .map_err(|error| doing()(std::io::Error::other(error.to_string())))?;
            BookId(uuid::Builder::from_random_bytes(bytes).into_uuid())
        }
    };
    let head = Head {
        book,
        first: Position(1),
        previous: Position::START,
        previous_bytes: 0,
        before: Frontier::default(),
    };
    let segments = super::open::folder(folder);
    replace(&*options.files, &segments, &file_name(head.first), &head.encode()).map_err(doing())?;
    options.files.sync_folder(folder).map_err(doing())?;
    if let Some(above) = folder.parent().filter(|above| !above.as_os_str().is_empty()) {
        // The folder's own name; on some mounts the one above cannot be opened, and it need not be ours.
        if let Err(error) = options.files.sync_folder(above) {
            tracing::debug!(%error, "the folder above the book could not be made durable");
        }
    }
    Ok(())
}

/// A place behind a record.
#[derive(Clone, Copy, Debug)]
struct Place {
    position: Position,
    offset: u64,
}

/// Where the book ends, as the last segment shows it.
struct End {
    segment: Option<Arc<Segment>>,
    /// Behind the last record known as durable.
    durable: Place,
    /// Behind the last whole commit.
    whole: Place,
    durable_tree: Frontier,
    whole_tree: Frontier,
    /// Frames between the two.
    carry: Vec<u8>,
    cut_bytes: u64,
    clean: bool,
}

impl End {
    fn find(segments: &Segments, mark: Option<Mark>) -> Result<Self, OpenError> {
        let Some(segment) = segments.last() else {
            let start = Place { position: Position::START, offset: 0 };
            return Ok(Self {
                segment: None,
                durable: start,
                whole: start,
                durable_tree: Frontier::default(),
                whole_tree: Frontier::default(),
                carry: Vec::new(),
                cut_bytes: 0,
                clean: true,
            });
        };
        let before = Position(segment.head.first.0.saturating_sub(1));
        let marked = mark.map_or(Position::START, |mark| mark.position);
        if let Some(mark) = mark
            && mark.segment > segment.head.first
        {
            let what = "the watermark says that this segment exists, and it does not";
            let file = format!("segments/{}", file_name(mark.segment));
            let (position, what) = (mark.segment, what.into());
            return Err(OpenError::Damaged(Damage { file, offset: 0, position, what }));
        }
        let file = segments.open_file(&segment)?;
        let mut cursor = Cursor::new(
            Arc::clone(&file),
            segment.name(),
            segment.body,
            segment.head.first,
            u64::MAX,
        );
        let mut leaves = Vec::new();
        let mut durable = before.max(marked);
        let mut whole = Place { position: before, offset: segment.body };
        let bad = loop {
            match cursor.step()? {
                Step::Record { offset, frame, outline } => {
                    segment.remember(outline.position, offset);
                    durable = durable.max(outline.durable);
                    let end = offset + frame.whole.len() as u64;
                    leaves.push((end, frame.leaf));
                    if outline.last_of_commit {
                        whole = Place { position: outline.position, offset: end };
                    }
                }
                Step::End => break None,
                Step::Bad(damage) => break Some(damage),
            }
        };
        let rest = cursor.rest()?;
        let named = |what: &str| segment.damage(cursor.offset(), cursor.next(), what);
        if cursor.next() <= durable || frame::was_durable(&rest, cursor.next()) {
            let missing = || named("a record that was durable is not there");
            return Err(OpenError::Damaged(bad.unwrap_or_else(missing)));
        }
        let torn = rest.iter().any(|byte| *byte != 0);
        if whole.position < durable {
            return Err(OpenError::Damaged(named("a durable commit is not whole")));
        }
        let length = file.len().map_err(OpenError::io("reading the last segment"))?;
        let at = |position: Position| {
            let count = (position.0 - before.0) as usize;
            let offset = count.checked_sub(1).map_or(segment.body, |index| leaves[index].0);
            let mut tree = segment.head.before.clone();
            leaves[..count].iter().for_each(|(_, leaf)| tree.push(*leaf));
            (Place { position, offset }, tree)
        };
        let (durable, durable_tree) = at(durable);
        let (whole, whole_tree) = at(whole.position);
        let mut carry = vec![0; (whole.offset - durable.offset) as usize];
        file.read_at(&mut carry, durable.offset)
            .map_err(OpenError::io("reading the last segment"))?;
        let clean = !torn
            && length == whole.offset
            && mark.is_some_and(|mark| mark.clean && mark.position == whole.position);
        // Zeros are space that was never written; anything else behind the last whole commit is cut.
        let written = if torn { length } else { cursor.offset() };
        let cut_bytes = written.saturating_sub(whole.offset);
        segment.set_valid(whole.position, whole.offset);
        let segment = Some(segment);
        Ok(Self { segment, durable, whole, durable_tree, whole_tree, carry, cut_bytes, clean })
    }

    fn carried(&self) -> u64 {
        self.whole.position.0 - self.durable.position.0
    }

    /// The segment to go on in, and where. After an unclean stop that is a new one: its head fixes for ever where the
    /// one before validly ends, and what was not certainly durable is written again into it, since a page that the
    /// kernel shows need not be one that the disk has.
    fn take_up(
        self,
        segments: &Arc<Segments>,
        clean: bool,
    ) -> Result<(Arc<Segment>, u64), OpenError> {
        let doing = || OpenError::io("beginning a segment");
        let Some(last) = self.segment else {
            return Err(doing()(std::io::Error::other("there is none to go on from")));
        };
        if clean {
            return Ok((last, self.whole.offset));
        }
        let (previous, previous_bytes) = if self.durable.position < last.head.first {
            (last.head.previous, last.head.previous_bytes)
        } else {
            (last.head.first, self.durable.offset)
        };
        let head = Head {
            book: last.head.book,
            first: self.durable.position.next(),
            previous,
            previous_bytes,
            before: self.durable_tree,
        };
        let mut bytes = head.encode();
        let body = bytes.len() as u64;
        bytes.extend(&self.carry);
        last.set_valid(self.durable.position, self.durable.offset);
        replace(&*segments.files, segments.folder(), &file_name(head.first), &bytes)
            .map_err(doing())?;
        let offset = bytes.len() as u64;
        let segment = Arc::new(Segment::new(head, body, self.whole.position, offset));
        segments.push(Arc::clone(&segment));
        Ok((segment, offset))
    }
}
