//! Erasures carried out: first the event, then the key. At every start and after a restore they are carried out again, and
//! months whose time has come are erased by themselves.

mod list;
mod steady;

pub use list::{Missing, beside};

use crate::failure::Failure;
use list::List;
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
use switchbook_core::id::{BookId, CommandId, UserId};
use switchbook_core::personal::KeyId;
use switchbook_core::position::Position;
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

/// Keys that are to be gone, and the list of them.
pub struct Erasures {
    vault: Arc<Vault>,
    list: Mutex<List>,
    progress: watch::Sender<Progress>,
}

impl Erasures {
    /// Opens the list, and destroys every key in it before anything is opened with it.
    pub fn open(
        path: &Path,
        book: BookId,
        missing: Missing,
        vault: Arc<Vault>,
    ) -> Result<Self, Failure> {
        let list = List::open(path, book, missing)?;
        for key in list.known() {
            let gone = vault.destroy(key);
            gone.map_err(|error| {
                Failure::new(format!("an erasure cannot be carried out: {error}"))
            })?;
        }
        let progress = watch::Sender::new(Progress::default());
        Ok(Self { vault, list: Mutex::new(list), progress })
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
        let mut asked = false;
        loop {
            let position = *reached.borrow_and_update();
            let now = desk.published().exchange.erasures.retention;
            if std::mem::replace(&mut set, now) != now {
                asked = true;
                retention.reset_immediately();
            }
            let stuck =
                self.carry_out(&desk, &readers).await.err().map(|failure| failure.to_string());
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

    async fn carry_out(&self, desk: &DeskHandle, readers: &Readers) -> Result<(), Failure> {
        let published = desk.published();
        let due: Vec<(KeyId, Position)> = {
            let list = self.list();
            let known: Vec<KeyId> = list.known().collect();
            let told = published.exchange.erasures.keys();
            told.filter(|(key, _)| !known.contains(key) || !self.vault.is_destroyed(*key)).collect()
        };
        if due.is_empty() {
            return Ok(());
        }
        let keys: Vec<KeyId> = due.iter().map(|(key, _)| *key).collect();
        for (key, at) in due {
            if let KeyId::Person(user) = key {
                self.forget_secrets(&*desk.book(), user).await?;
            }
            let vault = Arc::clone(&self.vault);
            let gone = tokio::task::spawn_blocking(move || vault.destroy(key)).await;
            let gone = gone.map_err(|error| Failure::new(error.to_string()))?;
            gone.map_err(|error| Failure::new(error.to_string()))?;
            self.list().add(key, at, desk.clock().now())?;
        }
        // What was opened before is closed again everywhere.
        desk.forget(keys).await.map_err(|error| Failure::new(error.to_string()))?;
        readers.reopen().await.map_err(|error| Failure::new(error.to_string()))
    }

    /// Hashes of the passwords and PINs he ever had.
    async fn forget_secrets(&self, book: &dyn EventReader, user: UserId) -> Result<(), Failure> {
        let (mut from, mut secrets) = (Position(1), Vec::new());
        loop {
            let records = book.history(Subject::User(user), from, 256).await;
            let records = records.map_err(|error| Failure::new(error.to_string()))?;
            let Some(last) = records.last() else { break };
            from = last.envelope.position.next();
            secrets.extend(records.iter().filter_map(|recorded| match &recorded.event {
                Event::PasswordSet(event) => Some(event.secret),
                Event::PinSet(event) => Some(event.secret),
                _ => None,
            }));
        }
        let vault = Arc::clone(&self.vault);
        let gone = tokio::task::spawn_blocking(move || vault.forget_secrets(&secrets)).await;
        let gone = gone.map_err(|error| Failure::new(error.to_string()))?;
        gone.map_err(|error| Failure::new(error.to_string()))
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

/// Is it an erasure, whose key must be gone before anybody is told that it is?
pub fn is_erasure(event: &Event) -> bool {
    matches!(event, Event::PersonErased(_) | Event::PeriodErased(_))
}
