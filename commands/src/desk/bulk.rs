//! Many commands as one: decided on a published state off the writer's task, committed whole or not at all.

use super::answer::{Answer, DeskError, Published};
use super::front::Keep;
use super::group::{Reply, record};
use super::secrets::Entry;
use super::writer::{Message, unsealed};
use super::{Ask, DeskHandle, memory};
use crate::command::Command;
use crate::decide::decide;
use crate::order::{Context, Order, Warning};
use crate::refusal::{Nature, Refusal, RefusalCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use switchbook_core::envelope::Actor;
use switchbook_core::event::Event;
use switchbook_core::exchange::Exchange;
use switchbook_core::id::{CommandId, UserId};
use switchbook_core::position::Position;
use tokio::sync::oneshot;

/// A list of commands that are carried out together.
#[derive(Clone, Debug)]
pub struct Bulk {
    /// The id of the whole; all its events carry it.
    pub id: CommandId,
    /// Who gives it.
    pub actor: Actor,
    /// Whose rights are used.
    pub on_behalf_of: Option<UserId>,
    /// In order: each sees the effect of those before it.
    pub commands: Vec<Command>,
}

/// How far a bulk is, and the wish to stop it. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<State>);

#[derive(Debug, Default)]
struct State {
    decided: AtomicUsize,
    cancelled: AtomicBool,
}

impl Progress {
    /// Commands decided so far; a retry begins anew.
    #[must_use]
    pub fn decided(&self) -> usize {
        self.0.decided.load(Ordering::Relaxed)
    }

    /// Stops it, if nothing was handed to the writer yet.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Relaxed);
    }

    fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Relaxed)
    }
}

/// A bulk that was decided.
pub(crate) struct Prepared {
    /// Who, and under which id; its command stands for the list.
    pub(crate) order: Order,
    pub(crate) events: Vec<Event>,
    pub(crate) warnings: Vec<Warning>,
    /// The configuration it was decided on.
    pub(crate) configuration: Position,
}

/// A list of which a line was refused.
pub(crate) struct Refused {
    /// Who, and under which id; its command stands for the list.
    pub(crate) order: Order,
    /// The command of the line, by its stable name.
    pub(crate) what: &'static str,
    /// The line, from 0.
    pub(crate) index: usize,
    pub(crate) refusal: Refusal,
}

/// So often it is decided anew when the configuration moved meanwhile.
const TRIES: usize = 5;

impl DeskHandle {
    /// Carries a list of commands out, all or nothing. The list is decided on a published state, so the writer goes
    /// on meanwhile; registrations and calls do not disturb it.
    ///
    /// # Errors
    /// [`DeskError::RefusedInBulk`] with the first command that was refused; `CONFIGURATION_MOVED` when others kept
    /// changing the configuration; `CANCELLED`.
    pub async fn apply(&self, mut bulk: Bulk, progress: &Progress) -> Result<Answer, DeskError> {
        let Some(first) = bulk.commands.first() else {
            return Err(Refusal::new(RefusalCode::ValueInvalid)
                .with("field", "list")
                .with("why", "it has no commands")
                .into());
        };
        let mut head = Order::new(bulk.id, bulk.actor, first.clone());
        head.on_behalf_of = bulk.on_behalf_of;
        head.print = self.print(&bulk.actor, &mut bulk.commands);
        if let Some(answer) = self.first_answer(&head, Ask::Always).await? {
            return Ok(answer);
        }
        let names: Vec<&'static str> = bulk.commands.iter().map(Command::name).collect();
        match self.try_to_apply(bulk.commands, &head, progress).await {
            // X-21 speaks of every refused attempt, not only of those that came one by one.
            Err(DeskError::RefusedInBulk { index, refusal })
                if refusal.code.nature() == Nature::Attempt =>
            {
                let what = names.get(index).copied().unwrap_or_else(|| head.command.name());
                let refused = Refused { order: head, what, index, refusal };
                self.ask(|reply| Message::BulkRefused(Box::new(refused), reply)).await
            }
            answer => answer,
        }
    }

    async fn try_to_apply(
        &self,
        commands: Vec<Command>,
        head: &Order,
        progress: &Progress,
    ) -> Result<Answer, DeskError> {
        let mut commands = self.keep_secrets(commands, head).await?;
        for _ in 0..TRIES {
            let (handle, progress, head) = (self.clone(), progress.clone(), head.clone());
            let work = move || {
                let done = handle.decide_all(&commands, &head, &progress);
                (commands, done)
            };
            let (back, done) = tokio::task::spawn_blocking(work).await.map_err(stopped)?;
            commands = back;
            let prepared = Box::new(done?);
            match self.ask(|reply| Message::Bulk(prepared, reply)).await {
                Err(error) if error.code() == Some(RefusalCode::ConfigurationMoved) => {}
                answer => return answer,
            }
        }
        Err(Refusal::new(RefusalCode::ConfigurationMoved).into())
    }

    /// Puts something into the writer's queue and waits for its answer.
    pub(super) async fn ask(
        &self,
        message: impl FnOnce(Reply) -> Message,
    ) -> Result<Answer, DeskError> {
        let (reply, answer) = oneshot::channel();
        let message = message(Reply::Waits(reply));
        self.queue.send(message).await.map_err(|_| DeskError::Closed)?;
        answer.await.map_err(|_| DeskError::Closed)?
    }

    /// What a list would lead to now, command by command. Nothing is changed.
    ///
    /// # Errors
    /// As [`apply`](Self::apply) would.
    pub async fn dry_apply(
        &self,
        bulk: Bulk,
        progress: &Progress,
    ) -> Result<(Vec<Event>, Vec<Warning>), DeskError> {
        let published = self.published();
        let mut commands = bulk.commands;
        for (index, command) in commands.iter_mut().enumerate() {
            let replaced =
                self.front.replace(&published.exchange, command, Keep::No, &mut Vec::new());
            replaced.map_err(|refusal| DeskError::RefusedInBulk { index, refusal })?;
        }
        let Some(first) = commands.first() else { return Ok((Vec::new(), Vec::new())) };
        let mut head = Order::new(bulk.id, bulk.actor, first.clone());
        head.on_behalf_of = bulk.on_behalf_of;
        let (handle, progress) = (self.clone(), progress.clone());
        let work = move || handle.decide_on(&published, &commands, &head, &progress);
        let done = tokio::task::spawn_blocking(work).await.map_err(stopped)??;
        Ok((done.events, done.warnings))
    }

    /// Every secret of the list is hashed, on all cores, and kept before anything is decided.
    async fn keep_secrets(
        &self,
        mut commands: Vec<Command>,
        head: &Order,
    ) -> Result<Vec<Command>, DeskError> {
        let (handle, head) = (self.clone(), head.clone());
        let work = move || {
            let published = handle.published();
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            let share = commands.len().div_ceil(cores).max(1);
            let hashed: Vec<Result<Vec<Entry>, DeskError>> = std::thread::scope(|scope| {
                let shares = commands.chunks_mut(share).enumerate().map(|(nth, share_of)| {
                    let (handle, head, exchange) = (&handle, &head, &published.exchange);
                    scope.spawn(move || handle.hash(exchange, share_of, nth * share, head))
                });
                let running: Vec<_> = shares.collect();
                running.into_iter().map(|job| job.join().map_err(|_| DeskError::Closed)?).collect()
            });
            let mut entries = Vec::new();
            for done in hashed {
                entries.extend(done?);
            }
            handle.front.keep(&entries)?;
            Ok(commands)
        };
        tokio::task::spawn_blocking(work).await.map_err(stopped)?
    }

    /// Hashes the secrets of a part of the list, which begins at `first`.
    fn hash(
        &self,
        exchange: &Exchange,
        commands: &mut [Command],
        first: usize,
        head: &Order,
    ) -> Result<Vec<Entry>, DeskError> {
        let mut entries = Vec::new();
        for (nth, command) in commands.iter_mut().enumerate() {
            let in_bulk = |refusal| DeskError::RefusedInBulk { index: first + nth, refusal };
            let order = Order { command: command.clone(), ..head.clone() };
            // Who may not give an order costs nobody a hash; what is unknown yet may come earlier in the list.
            if let Err(refusal) = crate::authorise::authorise(exchange, &order)
                && refusal.code == RefusalCode::Forbidden
            {
                return Err(in_bulk(refusal));
            }
            self.front.replace(exchange, command, Keep::Yes, &mut entries).map_err(in_bulk)?;
        }
        Ok(entries)
    }

    fn decide_all(
        &self,
        commands: &[Command],
        head: &Order,
        progress: &Progress,
    ) -> Result<Prepared, DeskError> {
        let mut prepared = self.decide_on(&self.published(), commands, head, progress)?;
        for event in &mut prepared.events {
            self.parts.store.seal(event).map_err(|error| unsealed(&error))?;
        }
        Ok(prepared)
    }

    fn decide_on(
        &self,
        published: &Published,
        commands: &[Command],
        head: &Order,
        progress: &Progress,
    ) -> Result<Prepared, DeskError> {
        let clock = &self.parts.clock;
        memory::check_id(head.id, &head.actor, clock.now())?;
        let mut exchange = published.exchange.clone();
        let (mut events, mut warnings) = (Vec::new(), Vec::new());
        progress.0.decided.store(0, Ordering::Relaxed);
        for (index, command) in commands.iter().enumerate() {
            if progress.is_cancelled() {
                return Err(Refusal::new(RefusalCode::Cancelled).into());
            }
            let order = Order { command: command.clone(), ..head.clone() };
            let now = clock.now();
            let mut new_id = || clock.new_id();
            let mut context = Context {
                now,
                new_id: &mut new_id,
                calls: &*self.parts.calls,
                leases: &*self.parts.leases,
            };
            let decision = decide(&exchange, &order, &mut context)
                .map_err(|refusal| DeskError::RefusedInBulk { index, refusal })?;
            let records = record(&mut exchange, &order, None, decision.events, now);
            events.extend(records.into_iter().map(|recorded| recorded.event));
            warnings.extend(decision.warnings);
            progress.0.decided.store(index + 1, Ordering::Relaxed);
        }
        let configuration = published.exchange.configuration;
        Ok(Prepared { order: head.clone(), events, warnings, configuration })
    }
}

fn stopped(_: tokio::task::JoinError) -> DeskError {
    DeskError::Closed
}
