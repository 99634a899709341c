//! `Readers`: the tables as everybody reads them, following the book.
//!
//! One task takes records in and publishes the whole set of tables at once, so that a reader never sees two of them
//! at different positions. Reading is one atomic load; readers hold no lock and never make the writer wait.

use crate::fold::{self, Tables};
use arc_swap::ArcSwap;
use std::sync::Arc;
use std::time::Duration;
use switchbook_core::position::Position;
use switchbook_journal::{EventReader, ReadError};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

pub use crate::snapshot::Opener;

/// Why the tables cannot say what was asked.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Behind {
    /// The book could not be read; what is served is old.
    #[error(
        "the tables stand at {at} and do not go on: {reason}. What was written is safe in the book; views show the state of {at} until the book can be read again"
    )]
    Stuck {
        /// How far they got.
        at: Position,
        /// What failed.
        reason: String,
    },
    /// The server is going down.
    #[error("the tables are no longer kept: the server is stopping")]
    Stopped,
}

/// How far the tables are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Progress {
    /// The last event taken in and published.
    pub position: Position,
    /// Why they do not go on, if they do not.
    pub stuck: Option<String>,
}

/// Open all personal values anew, and tell when it is done.
struct Reopen(oneshot::Sender<()>);

/// The tables, and the task that follows the book.
pub struct Readers {
    reader: Arc<dyn EventReader>,
    open: Opener,
    now: Arc<ArcSwap<Tables>>,
    progress: watch::Receiver<Progress>,
    orders: mpsc::Sender<Reopen>,
    hurry: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Readers {
    /// Reads the tables up to the end of the book, from the newest snapshots on, and follows the book from there.
    ///
    /// # Errors
    /// The reader's: when the book cannot be read at all.
    pub async fn start(reader: Arc<dyn EventReader>, open: Opener) -> Result<Self, ReadError> {
        let mut tables = fold::tables_at(reader.as_ref(), reader.tail(), &open).await?;
        tables.exchange.index();
        Ok(Self::follow(reader, open, tables))
    }

    /// Follows the book from these tables on.
    #[must_use]
    pub fn follow(reader: Arc<dyn EventReader>, open: Opener, tables: Tables) -> Self {
        let progress = Progress { position: tables.position(), stuck: None };
        let (told, progress) = watch::channel(progress);
        let (orders, inbox) = mpsc::channel(8);
        let now = Arc::new(ArcSwap::from_pointee(tables.clone()));
        let hurry = Arc::new(Notify::new());
        let follower = Follower {
            reader: Arc::clone(&reader),
            open: Arc::clone(&open),
            tables,
            now: Arc::clone(&now),
            told,
            inbox,
            hurry: Arc::clone(&hurry),
        };
        let task = tokio::spawn(follower.run());
        Self { reader, open, now, progress, orders, hurry, task }
    }

    /// All tables at one position. Cheap: hold it for as long as one answer takes.
    #[must_use]
    pub fn now(&self) -> Arc<Tables> {
        self.now.load_full()
    }

    /// How far the tables are.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.progress.borrow().clone()
    }

    /// Changes whenever tables were published.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Waits until `position` is in the tables, so that a writer sees its own write.
    ///
    /// # Errors
    /// [`Behind`] when the book cannot be read, or the server stops.
    pub async fn wait_for(&self, position: Position) -> Result<Arc<Tables>, Behind> {
        let mut progress = self.progress.clone();
        if progress.borrow().position < position {
            self.hurry.notify_one();
        }
        let reached = progress
            .wait_for(|now| now.position >= position || now.stuck.is_some())
            .await
            .map_err(|_| Behind::Stopped)?
            .clone();
        match reached.stuck {
            Some(reason) if reached.position < position => {
                Err(Behind::Stuck { at: reached.position, reason })
            }
            _ => Ok(self.now()),
        }
    }

    /// Opens all personal values anew: to be called after keys were destroyed by an erasure.
    ///
    /// # Errors
    /// [`Behind::Stopped`] when the server stops.
    pub async fn reopen(&self) -> Result<(), Behind> {
        let (done, answer) = oneshot::channel();
        self.orders.send(Reopen(done)).await.map_err(|_| Behind::Stopped)?;
        answer.await.map_err(|_| Behind::Stopped)
    }

    /// The book the tables follow.
    #[must_use]
    pub fn book(&self) -> &Arc<dyn EventReader> {
        &self.reader
    }

    /// What opens sealed values.
    #[must_use]
    pub fn opener(&self) -> &Opener {
        &self.open
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// After a failed read, so long until the next try.
const PAUSE: Duration = Duration::from_secs(1);
/// So long the tables may be behind the book when nobody waits for them.
const BREATH: Duration = Duration::from_millis(20);

struct Follower {
    reader: Arc<dyn EventReader>,
    open: Opener,
    tables: Tables,
    now: Arc<ArcSwap<Tables>>,
    told: watch::Sender<Progress>,
    inbox: mpsc::Receiver<Reopen>,
    /// Somebody waits for what he has just written.
    hurry: Arc<Notify>,
}

impl Follower {
    async fn run(mut self) {
        let mut tail = self.reader.subscribe();
        loop {
            tail.mark_unchanged();
            let pause = match self.catch_up().await {
                Ok(()) => None,
                Err(error) => {
                    let (position, stuck) = (self.tables.position(), Some(error.to_string()));
                    self.told.send_replace(Progress { position, stuck });
                    Some(PAUSE)
                }
            };
            let again = async {
                match pause {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = tail.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.breathe().await;
                }
                order = self.inbox.recv() => match order {
                    Some(order) => self.reopen(order),
                    None => return,
                },
                () = again => {}
            }
        }
    }

    /// Under load the tables are folded in batches and not group by group; whoever waits for his own write does not
    /// wait for that.
    async fn breathe(&self) {
        tokio::select! {
            () = self.hurry.notified() => {}
            () = tokio::time::sleep(BREATH) => {}
        }
    }

    /// Takes in whatever is there, a batch at a time, publishing each.
    async fn catch_up(&mut self) -> Result<(), ReadError> {
        while self.tables.position() < self.reader.tail() {
            let records = self.reader.read(self.tables.position().next(), fold::BATCH).await?;
            if records.is_empty() {
                return Ok(());
            }
            for recorded in &records {
                self.tables.apply(recorded);
            }
            self.publish();
            tokio::task::yield_now().await;
        }
        if self.told.borrow().stuck.is_some() {
            self.publish();
        }
        Ok(())
    }

    fn publish(&self) {
        self.now.store(Arc::new(self.tables.clone()));
        let position = self.tables.position();
        self.told.send_replace(Progress { position, stuck: None });
    }

    fn reopen(&mut self, Reopen(done): Reopen) {
        self.tables.reopen(&self.open);
        self.publish();
        let _ = done.send(());
    }
}
