//! Erasures carried out: first the event, then the key. At every start and after a restore they are carried out again, and
//! months whose time has come are erased by themselves.

mod list;
mod steady;

pub use list::{Missing, beside};

use crate::failure::Failure;
use list::List;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use steady::Steady;
use switchbook_commands::Order;
use switchbook_commands::desk::DeskHandle;
use switchbook_commands::erasure::Apply;
use switchbook_core::envelope::{Actor, Subject};
use switchbook_core::erasure::Period;
use switchbook_core::event::Event;
use switchbook_core::id::{BookId, CommandId};
use switchbook_core::personal::KeyId;
use switchbook_core::position::Position;
use switchbook_core::user::SecretRef;
use switchbook_journal::backup::RestorePoints;
use switchbook_journal::{EventReader, Vault};
use switchbook_projections::readers::Readers;
use tokio::sync::watch;
use tokio::time::Instant;

/// After a disk failed, so long until the next try.
const PAUSE: Duration = Duration::from_secs(5);
/// So often it is looked whether a month's time has come.
const RETENTION: Duration = Duration::from_secs(3600);
/// Whoever erased somebody waits so long at most for the key to be gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// How far erasures are carried out.
#[derive(Clone, Default)]
struct Progress {
    position: Position,
    stuck: Option<String>,
}

/// What the restore points have.
struct InPoints {
    keys: BTreeSet<KeyId>,
    /// One of them could not be read.
    unreadable: Option<String>,
}

/// Keys that are to be gone, and the list of them.
pub struct Erasures {
    vault: Arc<Vault>,
    list: Mutex<List>,
    /// Destroyed, and perhaps open still in the memory of Desk or tables.
    open_still: Mutex<Vec<KeyId>>,
    points: RestorePoints,
    /// Keys of which a restore point has one still, erased or not; none before it was looked.
    in_points: Mutex<Option<BTreeSet<KeyId>>>,
    progress: watch::Sender<Progress>,
}

impl Erasures {
    /// Opens the list, and destroys every key in it before anything is opened with it.
    pub fn open(
        path: &Path,
        book: BookId,
        missing: Missing,
        vault: Arc<Vault>,
        points: RestorePoints,
    ) -> Result<Self, Failure> {
        let list = List::open(path, book, missing)?;
        for key in list.known() {
            let gone = vault.destroy(key);
            gone.map_err(|error| {
                Failure::new(format!("an erasure cannot be carried out: {error}"))
            })?;
        }
        let progress = watch::Sender::new(Progress::default());
        let (list, open_still, in_points) = (Mutex::new(list), Mutex::default(), Mutex::default());
        Ok(Self { vault, list, open_still, points, in_points, progress })
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the list knows and the book does not: it was restored from an older backup. Recorded, so that the book knows
    /// it too; whoever is a user there is deleted with it.
    pub async fn record_restored(&self, desk: &DeskHandle) -> Result<usize, Failure> {
        let told: Vec<KeyId> =
            desk.published().exchange.erasures.keys().map(|(key, _)| key).collect();
        let unknown: Vec<KeyId> = self.list().known().filter(|key| !told.contains(key)).collect();
        for key in &unknown {
            let apply = match *key {
                KeyId::Person(user) => Apply::Person(user),
                KeyId::Period(period) => Apply::Period(Period(period)),
            };
            let order = Order::new(CommandId(desk.clock().new_id()), Actor::System, apply);
            desk.submit(order).await.map_err(|error| {
                Failure::new(format!("an erasure of the list cannot be recorded: {error}"))
            })?;
        }
        Ok(unknown.len())
    }

    /// Carries out what the book says, now and whenever it says more, until the Desk is gone.
    pub async fn run(self: Arc<Self>, desk: DeskHandle, readers: Arc<Readers>) {
        let mut reached = desk.subscribe();
        let mut retention = tokio::time::interval(RETENTION);
        retention.reset();
        let mut steady = Steady::since(desk.clock().now(), Instant::now());
        let mut set = desk.published().exchange.erasures.retention;
        // Somebody has just set it, and looks at what comes of it.
        let (mut asked, mut carried_out) = (false, None);
        loop {
            let position = *reached.borrow_and_update();
            let now = desk.published().exchange.erasures.retention;
            if std::mem::replace(&mut set, now) != now {
                asked = true;
                retention.reset_immediately();
            }
            // The same as when all of it was carried out: most events erase nobody.
            let told = Arc::clone(&desk.published().exchange.erasures);
            let stuck = match &carried_out {
                Some(done) if Arc::ptr_eq(done, &told) => None,
                _ => self.carry_out(&desk, &readers).await.err(),
            };
            let stuck = stuck.map(|failure| failure.to_string());
            carried_out = stuck.is_none().then_some(told);
            if let Some(why) = &stuck {
                tracing::error!(why, "an erasure is recorded, and its key is not gone yet");
            }
            let again = stuck.is_some();
            self.progress.send_replace(Progress { position, stuck });
            tokio::select! {
                changed = reached.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(PAUSE), if again => {}
                _ = retention.tick() => {
                    let steady = steady.agrees(desk.clock().now(), Instant::now());
                    if std::mem::take(&mut asked) || steady {
                        self.expire(&desk).await;
                    } else {
                        tracing::warn!("the clock was set: months whose time has come are erased once it has been steady for an hour");
                    }
                }
            }
        }
    }

    /// Here first, then in the restore points: one that cannot be reached keeps nothing else from it, and is named.
    async fn carry_out(&self, desk: &DeskHandle, readers: &Readers) -> Result<(), Failure> {
        let published = desk.published();
        let told = || published.exchange.erasures.keys();
        let here: Vec<(KeyId, Position)> = {
            let list = self.list();
            told().filter(|(key, _)| !list.knows(*key) || !self.vault.is_destroyed(*key)).collect()
        };
        let mut failed = None;
        for (key, at) in here {
            if let Err(failure) = self.carry_out_here(desk, key, at).await {
                failed.get_or_insert(failure);
            }
        }
        self.close_everywhere(desk, readers).await?;
        if told().next().is_none() {
            return Ok(());
        }
        let InPoints { keys, unreadable } = self.look_into_points().await?;
        let left: Vec<KeyId> =
            told().map(|(key, _)| key).filter(|key| keys.contains(key)).collect();
        let unreached = self.erase_in_points(&*desk.book(), &left).await?.or(unreadable);
        let failed = failed.or(unreached.map(Failure::new));
        failed.map_or(Ok(()), Err)
    }

    async fn carry_out_here(
        &self,
        desk: &DeskHandle,
        key: KeyId,
        at: Position,
    ) -> Result<(), Failure> {
        self.destroy(&*desk.book(), key).await?;
        self.open_still().push(key);
        self.list().add(key, at, desk.clock().now())
    }

    /// What was opened before is closed again everywhere; what could not be, at the next try.
    async fn close_everywhere(&self, desk: &DeskHandle, readers: &Readers) -> Result<(), Failure> {
        let keys = self.open_still().clone();
        if keys.is_empty() {
            return Ok(());
        }
        let many = keys.len();
        desk.forget(keys).await.map_err(|error| Failure::new(error.to_string()))?;
        readers.reopen().await.map_err(|error| Failure::new(error.to_string()))?;
        self.open_still().drain(..many);
        Ok(())
    }

    fn open_still(&self) -> MutexGuard<'_, Vec<KeyId>> {
        self.open_still.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key, after the hashes of a person's passwords and PINs.
    async fn destroy(&self, book: &dyn EventReader, key: KeyId) -> Result<(), Failure> {
        let secrets = secrets_of(book, key).await?;
        let vault = Arc::clone(&self.vault);
        aside(move || vault.forget_secrets(&secrets).and_then(|()| vault.destroy(key))).await
    }

    /// What the restore points have; looked at once, since nobody adds to them while the server runs.
    async fn look_into_points(&self) -> Result<InPoints, Failure> {
        if let Some(keys) = self.in_points().clone() {
            return Ok(InPoints { keys, unreadable: None });
        }
        let points = self.points.clone();
        let (keys, unreadable) = aside(move || points.keys()).await?;
        let unreadable = unreadable.map(|error| error.to_string());
        if unreadable.is_none() {
            *self.in_points() = Some(keys.clone());
        }
        Ok(InPoints { keys, unreadable })
    }

    /// Gives why one was not reached.
    async fn erase_in_points(
        &self,
        book: &dyn EventReader,
        keys: &[KeyId],
    ) -> Result<Option<String>, Failure> {
        let mut unreached = None;
        for key in keys.iter().copied() {
            let (points, secrets) = (self.points.clone(), secrets_of(book, key).await?);
            match aside(move || points.erase(key, &secrets)).await {
                Ok(()) => {
                    self.in_points().as_mut().map(|there| there.remove(&key));
                }
                Err(failure) => drop(unreached.get_or_insert(failure.to_string())),
            }
        }
        Ok(unreached)
    }

    fn in_points(&self) -> MutexGuard<'_, Option<BTreeSet<KeyId>>> {
        self.in_points.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Erases the months whose time has come, an event each. What is erased does not come back: nothing is at the start,
    /// when a clock may be years ahead until it is set, nor after it was set.
    async fn expire(&self, desk: &DeskHandle) {
        let exchange = desk.published();
        let Some(months) = exchange.exchange.erasures.retention.map(|fact| fact.value) else {
            return;
        };
        let oldest = Period::of(desk.clock().now()).before(months);
        for key in self.vault.keys() {
            let KeyId::Period(period) = key else { continue };
            if Period(period) >= oldest {
                continue;
            }
            let apply = Apply::Period(Period(period));
            let order = Order::new(CommandId(desk.clock().new_id()), Actor::System, apply);
            if let Err(error) = desk.submit(order).await {
                tracing::warn!(%error, period, "a month could not be erased; it is tried again");
            }
        }
    }

    /// Waits until every erasure recorded up to `position` is carried out.
    pub async fn carried_out(&self, position: Position) -> Result<(), Failure> {
        let mut progress = self.progress.subscribe();
        let done = progress.wait_for(|now| now.position >= position && now.stuck.is_none());
        if tokio::time::timeout(PATIENCE, done).await.is_ok_and(|done| done.is_ok()) {
            return Ok(());
        }
        let why = self.notice().unwrap_or_else(|| "the disk is slow".into());
        Err(Failure::new(format!(
            "the erasure is recorded, but its key is not gone yet: {why}. It is tried again by itself, and at every start"
        )))
    }

    /// What keeps an erasure from being carried out.
    pub fn notice(&self) -> Option<String> {
        self.progress.borrow().stuck.clone()
    }
}

/// Hashes of the passwords and PINs that a person ever had; a month has none.
async fn secrets_of(book: &dyn EventReader, key: KeyId) -> Result<Vec<SecretRef>, Failure> {
    let KeyId::Person(user) = key else { return Ok(Vec::new()) };
    let (mut from, mut secrets) = (Position(1), Vec::new());
    loop {
        let records = book.history(Subject::User(user), from, 256).await;
        let records = records.map_err(|error| Failure::new(error.to_string()))?;
        let Some(last) = records.last() else { return Ok(secrets) };
        from = last.envelope.position.next();
        secrets.extend(records.iter().filter_map(|recorded| match &recorded.event {
            Event::PasswordSet(event) => Some(event.secret),
            Event::PinSet(event) => Some(event.secret),
            _ => None,
        }));
    }
}

/// Does what waits for the disk where it holds up nobody.
async fn aside<T: Send + 'static, E: std::fmt::Display + Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.map_err(|error| Failure::new(error.to_string()))?;
    done.map_err(|error| Failure::new(error.to_string()))
}

/// Is it an erasure, whose key must be gone before anybody is told that it is?
pub fn is_erasure(event: &Event) -> bool {
    matches!(event, Event::PersonErased(_) | Event::PeriodErased(_))
}
