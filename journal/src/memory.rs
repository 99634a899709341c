//! The book in memory, for tests: the same traits, the same record bytes, no disk.

use crate::codec::Codec;
use crate::error::{AppendError, ReadError};
use crate::record::{decode_record, encode_record, has_unsealed, outcome_is_kept};
use crate::snapshots::superfluous;
use crate::store::{Commit, EventReader, EventStore, Health};
use crate::vault::Vault;
use crate::view::{check_commits, open_personal, seal_all};
use async_trait::async_trait;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use switchbook_core::envelope::{Recorded, Subject};
use switchbook_core::id::{BookId, CommandId};
use switchbook_core::personal::HasPersonal;
use switchbook_core::position::Position;
use tokio::sync::watch;

/// A book that is gone when it is dropped. Records are kept as the bytes that the real book would hold, so what a
/// test reads has been through the codec and the vault.
#[derive(Debug)]
pub struct MemoryStore {
    state: Mutex<State>,
    vault: Arc<Vault>,
    tail: watch::Sender<Position>,
}

#[derive(Debug, Default)]
struct State {
    bodies: Vec<Vec<u8>>,
    postings: FxHashMap<Subject, Vec<Position>>,
    outcomes: FxHashMap<CommandId, (Position, Position)>,
    snapshots: BTreeMap<(String, Position), Vec<u8>>,
    health: Option<String>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new(BookId(uuid::Uuid::from_u128(1)))
    }
}

impl MemoryStore {
    /// An empty book of this id.
    #[must_use]
    pub fn new(book: BookId) -> Self {
        let (tail, _) = watch::channel(Position::START);
        Self { state: Mutex::default(), vault: Arc::new(Vault::in_memory(book)), tail }
    }

    /// Its vault.
    #[must_use]
    pub const fn vault(&self) -> &Arc<Vault> {
        &self.vault
    }

    /// Refuses writes from now on, as a book does whose disk failed; [`EventStore::resume`] ends it.
    pub fn stop(&self, reason: &str) {
        self.state().health = Some(reason.into());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn decode(&self, state: &State, position: Position) -> Result<Recorded, ReadError> {
        let body = &state.bodies[position.0 as usize - 1];
        let undecodable = |what: String| ReadError::Undecodable { position, what };
        let mut record = decode_record(body).map_err(|error| undecodable(error.to_string()))?;
        open_personal(&self.vault, &mut record.recorded);
        Ok(record.recorded)
    }
}

#[async_trait]
impl EventReader for MemoryStore {
    fn tail(&self) -> Position {
        *self.tail.borrow()
    }

    fn subscribe(&self) -> watch::Receiver<Position> {
        self.tail.subscribe()
    }

    async fn read(&self, from: Position, limit: usize) -> Result<Vec<Recorded>, ReadError> {
        let state = self.state();
        let first = from.0.max(1);
        let last = (state.bodies.len() as u64).min((first - 1).saturating_add(limit as u64));
        (first..=last).map(|position| self.decode(&state, Position(position))).collect()
    }

    async fn history(
        &self,
        subject: Subject,
        from: Position,
        limit: usize,
    ) -> Result<Vec<Recorded>, ReadError> {
        let state = self.state();
        let positions = state.postings.get(&subject).map_or(&[][..], Vec::as_slice);
        let behind = positions.iter().filter(|position| **position >= from);
        behind.take(limit).map(|position| self.decode(&state, *position)).collect()
    }

    async fn outcome(&self, command: CommandId) -> Result<Option<(Position, Position)>, ReadError> {
        Ok(self.state().outcomes.get(&command).copied())
    }

    async fn snapshot(
        &self,
        name: &str,
        at_most: Position,
    ) -> Result<Option<(Position, Vec<u8>)>, ReadError> {
        let state = self.state();
        let range = (name.to_owned(), Position::START)..=(name.to_owned(), at_most);
        let newest = state.snapshots.range(range).next_back();
        Ok(newest.map(|((_, at), bytes)| (*at, bytes.clone())))
    }

    async fn drop_snapshot(&self, name: &str, at: Position) {
        self.state().snapshots.remove(&(name.to_owned(), at));
    }
}

#[async_trait]
impl EventStore for MemoryStore {
    fn seal(&self, fields: &mut dyn HasPersonal) -> Result<(), AppendError> {
        seal_all(&self.vault, fields)
    }

    async fn append(&self, commits: Vec<Commit>) -> Result<Position, AppendError> {
        let mut state = self.state();
        if let Some(reason) = &state.health {
            return Err(AppendError::Stopped { reason: reason.clone() });
        }
        let tail = Position(state.bodies.len() as u64);
        check_commits(&commits, tail)?;
        let mut bodies = Vec::new();
        for commit in &commits {
            let count = commit.records.len();
            for (index, record) in commit.records.iter().enumerate() {
                let position = record.envelope.position;
                if has_unsealed(record) {
                    return Err(AppendError::Unsealed(position));
                }
                let mut body = Vec::new();
                encode_record(record, index + 1 == count, tail, Codec::Bincode, &mut body)
                    .map_err(|e| AppendError::Unwritable { position, what: e.to_string() })?;
                bodies.push(body);
            }
        }
        state.bodies.extend(bodies);
        for record in commits.iter().flat_map(|commit| &commit.records) {
            let envelope = &record.envelope;
            for subject in &envelope.subjects {
                let positions = state.postings.entry(*subject).or_default();
                if positions.last() != Some(&envelope.position) {
                    positions.push(envelope.position);
                }
            }
            if outcome_is_kept(&envelope.actor) {
                let at = envelope.position;
                state.outcomes.entry(envelope.command).or_insert((at, at)).1 = at;
            }
        }
        let tail = Position(state.bodies.len() as u64);
        self.tail.send_replace(tail);
        Ok(tail)
    }

    async fn put_snapshot(
        &self,
        name: &str,
        at: Position,
        bytes: Vec<u8>,
    ) -> Result<(), AppendError> {
        let mut state = self.state();
        state.snapshots.insert((name.into(), at), bytes);
        let all = (name.to_owned(), Position::START)..=(name.to_owned(), Position(u64::MAX));
        let kept: Vec<_> = state.snapshots.range(all).map(|((_, at), _)| *at).collect();
        for at in superfluous(&kept) {
            state.snapshots.remove(&(name.to_owned(), at));
        }
        Ok(())
    }

    async fn only_snapshots(&self, names: &[&str]) -> Result<(), AppendError> {
        self.state().snapshots.retain(|(name, _), _| names.contains(&name.as_str()));
        Ok(())
    }

    fn health(&self) -> Health {
        match &self.state().health {
            None => Health::Writable,
            Some(reason) => Health::ReadOnly { reason: reason.clone() },
        }
    }

    async fn resume(&self) -> Result<Position, AppendError> {
        self.state().health = None;
        Ok(self.tail())
    }
}
