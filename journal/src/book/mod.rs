//! The real book: segments written by one thread, read from memory, index or segments.

mod ahead;
mod hands;
mod keeper;
mod open;
mod read;
mod tail;
mod writer;

pub(crate) use read::each_key;
pub(crate) use tail::{Key, command_key, key_of, subject_key};

use crate::backup::{BackupError, Manifest, RestorePoints, Snapshot, is_free};
use crate::codec::Codec;
use crate::error::{AppendError, Damage, ReadError};
use crate::files::{Files, RealFiles};
use crate::index::Index;
use crate::index::audit::{self, Compared};
use crate::leases::Leases;
use crate::merkle::Frontier;
use crate::segment::list::Segments;
use crate::segment::watermark::Watermark;
use crate::snapshots::SnapshotFolder;
use crate::store::{Commit, EventReader, EventStore, Health, Stretch};
use crate::vault::Vault;
use crate::version::Version;
use crate::view::seal_all;
use async_trait::async_trait;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;
use switchbook_core::envelope::{Recorded, Subject};
use switchbook_core::extent::Extent;
use switchbook_core::id::{BookId, CommandId};
use switchbook_core::personal::HasPersonal;
use switchbook_core::position::{Moment, Position};
use tail::Tail;
use tokio::sync::{mpsc, oneshot, watch};
use writer::Work;

pub use ahead::{Ahead, Batch};
pub use hands::Hands;
pub use open::{OpenReport, Opened};

/// How a book is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// The id a new book gets; random when `None`. An existing book keeps its own.
    pub book: Option<BookId>,
    /// A segment of so many bytes is closed and a new one begun.
    pub segment_bytes: u64,
    /// Memory for the index's cache.
    pub index_cache: u64,
    /// Keep an index (sled). Without one everything is answered from the segments: for tests and rescue.
    pub index: bool,
    /// Begin with an empty vault although the book is not empty: everything personal stays unreadable for ever.
    pub accept_lost_vault: bool,
    /// How payloads are written.
    pub codec: Codec,
    /// So often leases are put on disk and the watermark is made durable: a refresh waits at most twice this for a slow
    /// disk, and the second that is added to leases after an unclean stop must cover it.
    pub beat: Duration,
    /// Which Switchbook opens it: a book of a newer one is refused, one of an older one gets a restore point first.
    pub version: Version,
    /// The disk.
    pub files: Arc<dyn Files>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            book: None,
            segment_bytes: 64 * 1024 * 1024,
            index_cache: 64 * 1024 * 1024,
            index: true,
            accept_lost_vault: false,
            codec: Codec::default(),
            beat: Duration::from_millis(500),
            version: Version::this(),
            files: Arc::new(RealFiles),
        }
    }
}

/// What threads and readers of one book share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) book: BookId,
    pub(crate) segments: Arc<Segments>,
    pub(crate) vault: Arc<Vault>,
    pub(crate) snapshots: SnapshotFolder,
    /// So many bytes no snapshot takes from the book.
    reserve: u64,
    index: RwLock<Option<Arc<Index>>>,
    damage: Mutex<Option<Damage>>,
    pub(crate) watermark: Watermark,
    pub(crate) leases: Leases,
    tail: Mutex<Tail>,
    tree: Mutex<Frontier>,
    durable: watch::Sender<Position>,
    health: Mutex<Health>,
    pub(crate) closing: AtomicBool,
    groups: AtomicU64,
    records: AtomicU64,
    bytes: AtomicU64,
}

/// Counts since the book was opened, for metrics.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Written {
    /// Writes, each with one fdatasync.
    pub groups: u64,
    /// Records.
    pub records: u64,
    /// Bytes of their frames.
    pub bytes: u64,
}

impl Shared {
    fn tail(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn durable(&self) -> Position {
        *self.durable.borrow()
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// The index has taken everything up to here.
    pub(crate) fn indexed(&self, upto: Position) {
        self.tail().indexed(upto);
    }

    pub(crate) fn index(&self) -> Option<Arc<Index>> {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner).clone();
        index.filter(|index| !index.has_failed())
    }

    pub(crate) fn set_index(&self, index: Option<Arc<Index>>) {
        *self.index.write().unwrap_or_else(PoisonError::into_inner) = index;
    }

    /// Remembers damage found while nobody was reading.
    pub(crate) fn note_damage(&self, damage: Damage) {
        *self.damage.lock().unwrap_or_else(PoisonError::into_inner) = Some(damage);
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Position> {
        self.durable.subscribe()
    }
}

/// An open book. Dropping the last handle closes it properly: everything accepted is written first.
#[derive(Debug)]
pub struct Book {
    shared: Arc<Shared>,
    work: Option<mpsc::Sender<Work>>,
    threads: Vec<JoinHandle<()>>,
    /// Held as long as the book is open.
    _lock: Box<dyn crate::files::FileLike>,
}

impl Book {
    /// The book's own id.
    #[must_use]
    pub fn id(&self) -> BookId {
        self.shared.book
    }

    /// The Merkle tree over all durable records (RFC 9162).
    #[must_use]
    pub fn tree(&self) -> Frontier {
        self.shared.tree.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How far the index follows; `None` while it is not open.
    #[must_use]
    pub fn indexed(&self) -> Option<Position> {
        self.shared.index().map(|index| index.upto())
    }

    /// Damage that was found in the background since the book was opened, by name.
    #[must_use]
    pub fn damage(&self) -> Option<Damage> {
        self.shared.damage.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the writing thread has done so far.
    #[must_use]
    pub fn written(&self) -> Written {
        let [groups, records, bytes] =
            [&self.shared.groups, &self.shared.records, &self.shared.bytes]
                .map(|count| count.load(Ordering::Relaxed));
        Written { groups, records, bytes }
    }

    /// Holds the index against the segments, for auditors; `None` while there is none. Takes as long as reading the book,
    /// and does not keep it open: when it is closed meanwhile, the comparison is given up.
    ///
    /// # Errors
    /// The segments'; [`ReadError::Closed`].
    pub fn compare_index(
        &self,
    ) -> impl Future<Output = Result<Option<Compared>, ReadError>> + Send + use<> {
        let (shared, index) = (Arc::clone(&self.shared), self.shared.index());
        async move {
            let Some(index) = index else { return Ok(None) };
            let comparing = tokio::task::spawn_blocking(move || {
                let (segments, tail) = (&shared.segments, shared.durable());
                audit::compare(&index, segments, tail, "index", &mut |_| !shared.is_closing())
            });
            comparing.await.map_err(|_| ReadError::Closed)?.map(Some)
        }
    }

    /// May a backup be put there? For whoever records that one is taken before it is made.
    ///
    /// # Errors
    /// When the place is taken, or in the book's own folder.
    pub async fn has_room_for_backup(&self, to: &Path) -> Result<(), BackupError> {
        let (shared, to) = (Arc::clone(&self.shared), to.to_path_buf());
        let looking = tokio::task::spawn_blocking(move || is_free(shared.segments.folder(), &to));
        looking.await.map_err(|_| BackupError::Closed)?
    }

    /// Makes a consistent copy of the book as it is durable now, its vault and its leases, in a folder that is empty or
    /// not there, or in a file whose name ends with `.tar`. The book is written meanwhile.
    ///
    /// # Errors
    /// When the place is taken, a record does not check, or the disk fails. What was begun is no backup then: it has no
    /// manifest.
    pub async fn back_up(&self, to: &Path, made_at: Moment) -> Result<Manifest, BackupError> {
        let (shared, to) = (Arc::clone(&self.shared), to.to_path_buf());
        let copying = tokio::task::spawn_blocking(move || {
            Snapshot::take(&shared).write(&shared, &to, made_at)
        });
        copying.await.map_err(|_| BackupError::Closed)?
    }

    /// The restore points beside it, which have keys of their own.
    #[must_use]
    pub fn restore_points(&self) -> RestorePoints {
        let segments = &self.shared.segments;
        let folder = segments.folder().parent().unwrap_or(segments.folder());
        RestorePoints::beside(Arc::clone(&segments.files), folder, self.shared.book)
    }

    /// The vault.
    #[must_use]
    pub fn vault(&self) -> &Arc<Vault> {
        &self.shared.vault
    }

    async fn send(&self, work: Work) -> Result<(), AppendError> {
        match &self.work {
            Some(sender) => sender.send(work).await.map_err(|_| AppendError::Closed),
            None => Err(AppendError::Closed),
        }
    }

    /// Runs a read that may wait for the disk where it holds up nobody.
    async fn aside<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Shared) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let shared = Arc::clone(&self.shared);
        tokio::task::spawn_blocking(move || read(&shared)).await.map_err(|_| ReadError::Closed)?
    }
}

/// The thread that keeps the index.
pub(crate) const INDEX_THREAD: &str = "book-index";
/// How long a stop waits for the index, in steps of a hundredth of a second. What sled does there is not ours.
const INDEX_PATIENCE: u32 = 500;

/// Has the thread ended, or does it within the patience?
fn ends(thread: &JoinHandle<()>) -> bool {
    (0..INDEX_PATIENCE).any(|_| {
        if !thread.is_finished() {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        thread.is_finished()
    })
}

impl Drop for Book {
    fn drop(&mut self) {
        self.work = None;
        self.shared.closing.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            thread.thread().unpark();
            if thread.thread().name() == Some(INDEX_THREAD) && !ends(&thread) {
                tracing::error!(
                    "the index does not close; it is left as it is, since it is no copy of anything"
                );
                continue;
            }
            if thread.join().is_err() {
                tracing::error!(
                    "a thread of the book panicked; the next start checks the end of the book"
                );
            }
        }
    }
}

#[async_trait]
impl EventReader for Book {
    fn tail(&self) -> Position {
        self.shared.durable()
    }

    fn subscribe(&self) -> watch::Receiver<Position> {
        self.shared.subscribe()
    }

    async fn read(&self, from: Position, limit: usize) -> Result<Vec<Recorded>, ReadError> {
        let from = from.max(Position(1));
        if let Some(records) = self.shared.tail().read(from, limit, &self.shared.vault) {
            return Ok(records);
        }
        self.aside(move |shared| shared.read(from, limit)).await
    }

    async fn read_of(
        &self,
        extent: Extent,
        from: Position,
        limit: usize,
    ) -> Result<Stretch, ReadError> {
        self.aside(move |shared| shared.read_of(extent, from.max(Position(1)), limit)).await
    }

    fn ahead(&self, extent: Extent, from: Position, to: Position) -> Option<Ahead> {
        self.shared.ahead(extent, from.max(Position(1)), to)
    }

    async fn history(
        &self,
        subject: Subject,
        from: Position,
        limit: usize,
    ) -> Result<Vec<Recorded>, ReadError> {
        self.aside(move |shared| shared.history(subject, from, limit)).await
    }

    async fn outcome(&self, command: CommandId) -> Result<Option<(Position, Position)>, ReadError> {
        self.aside(move |shared| shared.outcome(command)).await
    }

    async fn snapshot(
        &self,
        name: &str,
        at_most: Position,
    ) -> Result<Option<(Position, Vec<u8>)>, ReadError> {
        let name = name.to_owned();
        self.aside(move |shared| {
            // A snapshot from beyond the durable end (of another life of the book) is none.
            let at_most = at_most.min(shared.durable());
            Ok(shared.snapshots.newest(&shared.segments, &name, at_most))
        })
        .await
    }

    async fn drop_snapshot(&self, name: &str, at: Position) {
        let name = name.to_owned();
        let dropping = self.aside(move |shared| {
            tracing::warn!(name, %at, "a snapshot checks but does not decode: it is removed");
            shared.snapshots.drop_one(&name, at);
            Ok(())
        });
        if let Err(error) = dropping.await {
            tracing::debug!(%error, "it is removed by the next one who cannot decode it");
        }
    }
}

#[async_trait]
impl EventStore for Book {
    fn seal(&self, fields: &mut dyn HasPersonal) -> Result<(), AppendError> {
        seal_all(&self.shared.vault, fields)
    }

    async fn append(&self, commits: Vec<Commit>) -> Result<Position, AppendError> {
        let (reply, answer) = oneshot::channel();
        self.send(Work::Append { commits, reply }).await?;
        answer.await.map_err(|_| AppendError::OutcomeUnknown {
            reason: "the writing thread is gone".into(),
        })?
    }

    async fn put_snapshot(
        &self,
        name: &str,
        at: Position,
        bytes: Vec<u8>,
    ) -> Result<(), AppendError> {
        let name = name.to_owned();
        let shared = Arc::clone(&self.shared);
        let kept = tokio::task::spawn_blocking(move || {
            shared.snapshots.put(&shared.segments, &name, at, bytes, shared.reserve)
        });
        kept.await.map_err(|_| AppendError::Closed)?.map_err(AppendError::Snapshot)
    }

    async fn only_snapshots(&self, names: &[&str]) -> Result<(), AppendError> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let shared = Arc::clone(&self.shared);
        let gone = tokio::task::spawn_blocking(move || {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            shared.snapshots.only(&names);
        });
        gone.await.map_err(|_| AppendError::Closed)
    }

    fn health(&self) -> Health {
        self.shared.health().clone()
    }

    async fn resume(&self) -> Result<Position, AppendError> {
        let (reply, answer) = oneshot::channel();
        self.send(Work::Resume { reply }).await?;
        answer.await.map_err(|_| AppendError::Closed)?
    }
}
