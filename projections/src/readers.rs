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

/// A table that can be rebuilt by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// Behind registrar, numbers, directory and schedules.
    Exchange,
    /// The names of everything that ever was.
    Names,
    /// The call log.
    CallLog,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Exchange, Self::Names, Self::CallLog];

    /// The part that the table of this name is read from.
    ///
    /// # Errors
    /// [`NoSuchTable`], with the names there are.
    pub fn of(table: &str) -> Result<Self, NoSuchTable> {
        match table {
            "registrar" | "numbers" | "directory" | "schedules" | "exchange" => Ok(Self::Exchange),
            "names" | "audit_trail" => Ok(Self::Names),
            "call_log" => Ok(Self::CallLog),
            other => Err(NoSuchTable(other.into())),
        }
    }
}

/// Not a table.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "there is no table `{0}`: the tables are registrar, numbers, directory, schedules, audit_trail, call_log"
)]
pub struct NoSuchTable(pub String);

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

/// What a rebuild found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rebuilt {
    /// The position at which the new table took the old one's place.
    pub at: Position,
    /// Old and new were equal, as they should be.
    pub equal: bool,
}

enum Order {
    Swap(Part, Box<Tables>, oneshot::Sender<Result<Rebuilt, Behind>>),
    Reopen(oneshot::Sender<()>),
}

/// The tables, and the task that follows the book.
pub struct Readers {
    reader: Arc<dyn EventReader>,
    open: Opener,
    now: Arc<ArcSwap<Tables>>,
    progress: watch::Receiver<Progress>,
    orders: mpsc::Sender<Order>,
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

    /// Folds one table anew from the beginning of the book, while the old one is served; puts the new one in its
    /// place once it has caught up, and says whether the two were equal.
    ///
    /// # Errors
    /// [`Behind`] when the book cannot be read, or the server stops.
    pub async fn rebuild(&self, part: Part) -> Result<Rebuilt, Behind> {
        let mut fresh = Tables::default();
        fold_on(self.reader.as_ref(), &mut fresh, self.reader.tail())
            .await
            .map_err(|error| stuck(self.progress().position, &error))?;
        let (done, answer) = oneshot::channel();
        let order = Order::Swap(part, Box::new(fresh), done);
        self.orders.send(order).await.map_err(|_| Behind::Stopped)?;
        answer.await.map_err(|_| Behind::Stopped)?
    }

    /// Opens all personal values anew: to be called after keys were destroyed by an erasure.
    ///
    /// # Errors
    /// [`Behind::Stopped`] when the server stops.
    pub async fn reopen(&self) -> Result<(), Behind> {
        let (done, answer) = oneshot::channel();
        self.orders.send(Order::Reopen(done)).await.map_err(|_| Behind::Stopped)?;
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

async fn fold_on(
    reader: &dyn EventReader,
    tables: &mut Tables,
    to: Position,
) -> Result<(), ReadError> {
    let from = tables.position().next();
    fold::each(reader, from, to, |recorded| {
        tables.apply(recorded);
        std::ops::ControlFlow::Continue(())
    })
    .await
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
    inbox: mpsc::Receiver<Order>,
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
                    Some(order) => self.carry_out(order).await,
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

    async fn carry_out(&mut self, order: Order) {
        match order {
            Order::Swap(part, fresh, done) => {
                let rebuilt = self.swap(part, *fresh).await;
                let _ = done.send(rebuilt.map_err(|error| stuck(self.tables.position(), &error)));
            }
            Order::Reopen(done) => {
                self.tables.reopen(&self.open);
                self.publish();
                let _ = done.send(());
            }
        }
    }

    /// Puts the new table in the old one's place, both at the same position. When the book cannot be read, the old
    /// one stays.
    async fn swap(&mut self, part: Part, mut new: Tables) -> Result<Rebuilt, ReadError> {
        let (here, there) = (self.tables.position(), new.position());
        fold_on(self.reader.as_ref(), &mut new, here).await?;
        fold_on(self.reader.as_ref(), &mut self.tables, there).await?;
        let old = &mut self.tables;
        let equal = match part {
            Part::Exchange => replace(&mut old.exchange, new.exchange),
            Part::Names => replace(&mut old.names, new.names),
            Part::CallLog => replace(&mut old.calls, new.calls),
        };
        self.publish();
        Ok(Rebuilt { at: self.tables.position(), equal })
    }
}

/// Were they equal?
fn replace<T: PartialEq>(old: &mut T, new: T) -> bool {
    std::mem::replace(old, new) == *old
}

fn stuck(at: Position, error: &ReadError) -> Behind {
    Behind::Stuck { at, reason: error.to_string() }
}
