//! The writer's loop: one task, one enum of what can happen, one match.

mod commit;
mod repeats;

use super::Parts;
use super::answer::{Answer, DeskError, DeskHealth, Published};
use super::attempts::{Attempts, Untold};
use super::bulk::{Prepared, Refused};
use super::group::{Group, Patience, Reply, Waiting};
use super::memory::{Memory, Sender, check_id};
use super::pending::{LeaseChange, Pending, PrivateLeases};
use super::recent::Place;
use super::secrets::{forgetter, superseded};
use super::waits::{Resume, Rousing, at, landed, quiet_minute, resumed};
use crate::decide::decide;
use crate::order::{Context, Decision, LeaseRenewal, Order};
use crate::refusal::{Nature, Refusal, RefusalCode};
use arc_swap::ArcSwap;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use switchbook_core::exchange::Exchange;
use switchbook_core::id::CommandId;
use switchbook_core::personal::KeyId;
use switchbook_core::position::{Moment, Position};
use switchbook_core::refusal::AttemptRefused;
use switchbook_core::user::SecretRef;
use switchbook_journal::AppendError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

/// What comes to the writer.
pub(crate) enum Message {
    /// Decide this and carry it out.
    Order(Box<Order>, Reply),
    /// Carry this out, which was decided on a published state, if the configuration is still that one.
    Bulk(Box<Prepared>, Reply),
    /// The events of a command with this id stand there in the book: answer its sender again.
    Repeated(CommandId, Sender, Place, Reply),
    /// A line of a list was refused: tell so, and record the attempt.
    BulkRefused(Box<Refused>, Reply),
    /// Tell when everything that came before is durable and answered.
    Settle(Reply),
    /// Forget what was sealed under these keys, which are destroyed; tell when nobody can read it here any more.
    Forget(Vec<KeyId>, oneshot::Sender<()>),
}

/// The first wait before the book is tried again; it doubles up to the longest.
const FIRST_RETRY: Duration = Duration::from_millis(200);
const LONGEST_RETRY: Duration = Duration::from_secs(10);

pub(crate) struct Writer {
    parts: Parts,
    published: Arc<ArcSwap<Published>>,
    orders: mpsc::Receiver<Message>,
    reached: watch::Sender<Position>,
    health: watch::Sender<DeskHealth>,
    /// The state with everything decided, durable or not.
    private: Exchange,
    /// Being decided.
    next: Group,
    /// Ids in `next` and in flight, with their sender and his repetitions.
    repeated: HashMap<CommandId, (Sender, Vec<Reply>)>,
    memory: Memory,
    /// Leases that change with what is decided and not durable yet.
    pending: Pending,
    attempts: Attempts,
    /// Secrets that nothing names any more.
    forgotten: mpsc::Sender<Vec<SecretRef>>,
    /// When attempts that were only counted are looked at.
    untold_at: Option<Instant>,
    /// Why the book takes no writes; `None` when it does.
    stopped: Option<String>,
    retry: Duration,
    /// Keys destroyed since the group in flight took off, or since the book stopped: what comes back of that state
    /// still holds what they sealed.
    destroyed: Vec<KeyId>,
}

/// One thing that can happen to the writer.
enum Happened {
    Came(Option<Message>),
    Appended(Result<Position, AppendError>),
    Resumed(Result<Box<Exchange>, String>),
    Quiet,
    Due,
}

impl Writer {
    pub(crate) fn new(
        parts: Parts,
        published: Arc<ArcSwap<Published>>,
        memory: Memory,
        orders: mpsc::Receiver<Message>,
        reached: watch::Sender<Position>,
        health: watch::Sender<DeskHealth>,
    ) -> Self {
        let private = published.load().exchange.clone();
        let forgotten = forgetter(Arc::clone(&parts.secrets));
        Self {
            parts,
            published,
            orders,
            reached,
            health,
            private,
            next: Group::default(),
            repeated: HashMap::new(),
            memory,
            pending: Pending::default(),
            attempts: Attempts::default(),
            forgotten,
            untold_at: None,
            stopped: None,
            retry: FIRST_RETRY,
            destroyed: Vec::new(),
        }
    }

    /// Until every handle is gone and everything decided is answered.
    pub(crate) async fn run(mut self) {
        let mut flight: Option<(Rousing, Group)> = None;
        let mut resume: Option<Resume> = None;
        let mut open = true;
        let mut patience = Patience::default();
        while open || flight.is_some() || !self.next.is_empty() {
            let mut due = None;
            if flight.is_none() && !self.next.is_empty() {
                let now = Instant::now();
                due = patience.keeps(&self.next, now).filter(|_| open);
                if due.is_none() {
                    patience.leaves(now, self.next.commits.len());
                    flight = self.take_off();
                    continue;
                }
            }
            if self.stopped.is_some() && resume.is_none() {
                resume = Some(self.try_again());
            }
            let happened = tokio::select! {
                biased;
                done = landed(&mut flight) => Happened::Appended(done),
                () = at(due) => Happened::Due,
                () = at(self.untold_at) => Happened::Quiet,
                message = self.orders.recv(), if open && !self.next.is_full() => Happened::Came(message),
                state = resumed(&mut resume) => Happened::Resumed(state),
            };
            match happened {
                Happened::Came(None) => open = false,
                Happened::Came(Some(message)) => {
                    self.take(message).await;
                    // What waits already goes into the same group.
                    while !self.next.is_full()
                        && let Ok(message) = self.orders.try_recv()
                    {
                        self.take(message).await;
                    }
                }
                Happened::Appended(result) => {
                    if let Some((_, group)) = flight.take() {
                        self.land(group, result);
                    }
                }
                Happened::Resumed(state) => {
                    resume = None;
                    self.resume(state);
                }
                Happened::Quiet => self.tell_untold(Untold::Quiet),
                Happened::Due => {}
            }
        }
    }

    /// Closes the group and begins to append it. A group without commits is answered at once.
    fn take_off(&mut self) -> Option<(Rousing, Group)> {
        let mut group = std::mem::take(&mut self.next);
        if self.stopped.is_none() {
            self.destroyed.clear();
        }
        group.after = Some(self.private.clone());
        if group.commits.is_empty() {
            self.land(group, Ok(self.private.position));
            return None;
        }
        let commits = std::mem::take(&mut group.commits);
        let store = Arc::clone(&self.parts.store);
        let append = Box::pin(async move { store.append(commits).await });
        Some((Rousing::new(append, Arc::clone(&self.parts.rouse)), group))
    }

    /// Durable, or not.
    fn land(&mut self, group: Group, result: Result<Position, AppendError>) {
        match result {
            Ok(_) => {
                if let Some(mut exchange) = group.after {
                    self.destroyed.iter().for_each(|key| exchange.forget(*key));
                    let answers = group.waiting.iter().filter_map(|one| one.answer.as_ref().ok());
                    let records = answers.flat_map(|answer| answer.records.iter());
                    let gone = superseded(&self.published.load().exchange, &exchange, records);
                    self.publish(exchange);
                    // With a full queue the next start forgets them.
                    let _ = (!gone.is_empty()).then(|| self.forgotten.try_send(gone));
                }
                for waiting in group.waiting {
                    for change in waiting.leases {
                        self.pending.landed(change, &*self.parts.leases);
                    }
                    self.answer(waiting.command, waiting.reply, waiting.answer);
                }
            }
            Err(error) => {
                tracing::error!(%error, "the book cannot be written; calls go on");
                let unknown = matches!(error, AppendError::OutcomeUnknown { .. });
                let why = error.to_string();
                let in_flight = match unknown {
                    true => Refusal::new(RefusalCode::OutcomeUnknown),
                    false => read_only(&why),
                };
                self.fail(group, &in_flight);
                // Decided on a state that is not in the book: nothing of it was written.
                let next = std::mem::take(&mut self.next);
                self.fail(next, &read_only(&why));
                self.pending.clear();
                self.private = self.published.load().exchange.clone();
                self.stop(why);
            }
        }
    }

    fn publish(&mut self, exchange: Exchange) {
        let position = exchange.position;
        self.published.store(Arc::new(Published { exchange, position }));
        self.reached.send_if_modified(|at| {
            let moved = *at != position;
            *at = position;
            moved
        });
    }

    fn fail(&mut self, group: Group, refusal: &Refusal) {
        for waiting in group.waiting {
            // A lost answer is not remembered: the sender may repeat.
            self.forget_and(waiting.command, waiting.reply, refusal);
        }
    }

    /// Waits with the group that is being decided, behind everything that came before.
    fn settle(&mut self, reply: Reply) {
        self.tell_untold(Untold::All);
        let command = CommandId(uuid::Uuid::nil());
        let answer = Answer {
            command,
            position: self.private.position,
            records: Arc::from([]),
            leases: Vec::new(),
            warnings: Vec::new(),
        };
        self.next.waiting.push(Waiting { command, reply, answer: Ok(answer), leases: Vec::new() });
    }

    fn answer(&mut self, id: CommandId, reply: Reply, answer: Result<Answer, DeskError>) {
        if let Some((sender, repeated)) = self.repeated.remove(&id) {
            for reply in repeated {
                reply.send(answer.clone());
            }
            self.memory.keep(self.parts.clock.now(), id, sender, &answer);
        }
        reply.send(answer);
    }

    fn stop(&mut self, why: String) {
        let _ = self.health.send(DeskHealth::ReadOnly { why: why.clone() });
        self.stopped = Some(why);
        self.retry = FIRST_RETRY;
    }

    /// Waits, asks the book whether it takes writes again, and reads what it holds beyond the published state.
    fn try_again(&mut self) -> Resume {
        let wait = self.retry;
        self.retry = (self.retry * 2).min(LONGEST_RETRY);
        let store = Arc::clone(&self.parts.store);
        let mut exchange = self.published.load().exchange.clone();
        Box::pin(async move {
            tokio::time::sleep(wait).await;
            let tail = store.resume().await.map_err(|error| error.to_string())?;
            while exchange.position < tail {
                let read = store.read(exchange.position.next(), 1024).await;
                let records = read.map_err(|error| error.to_string())?;
                if records.is_empty() {
                    return Err("the book is shorter than it says".into());
                }
                records.iter().for_each(|recorded| exchange.evolve(recorded));
            }
            Ok(Box::new(exchange))
        })
    }

    fn resume(&mut self, state: Result<Box<Exchange>, String>) {
        match state {
            Ok(mut exchange) => {
                tracing::warn!(position = %exchange.position, "the book is written again");
                self.destroyed.iter().for_each(|key| exchange.forget(*key));
                // What was answered as unknown, and is in the book after all, was not remembered.
                self.memory.lacks(exchange.recorded_at);
                self.private = Exchange::clone(&exchange);
                self.publish(*exchange);
                self.stopped = None;
                let _ = self.health.send(DeskHealth::Writable);
            }
            Err(why) => tracing::warn!(%why, "the book still cannot be written"),
        }
    }

    async fn take(&mut self, message: Message) {
        match message {
            Message::Order(order, reply) => self.order(&order, reply),
            Message::Bulk(prepared, reply) => self.bulk(*prepared, reply).await,
            Message::Repeated(id, sender, place, reply) => self.repeated(id, sender, place, reply),
            Message::BulkRefused(refused, reply) => self.bulk_refused(*refused, reply),
            Message::Settle(reply) => self.settle(reply),
            Message::Forget(keys, done) => {
                self.forget_sealed(keys);
                let _ = done.send(());
            }
        }
    }

    /// Both states let go of the clear text; that of the group in flight does when it lands.
    fn forget_sealed(&mut self, keys: Vec<KeyId>) {
        let mut published = self.published.load().exchange.clone();
        for key in &keys {
            self.private.forget(*key);
            published.forget(*key);
        }
        self.publish(published);
        self.destroyed.extend(keys);
    }

    fn order(&mut self, order: &Order, reply: Reply) {
        let now = self.parts.clock.now();
        if let Err(refusal) = check_id(order.id, &order.actor, now) {
            reply.send(Err(refusal.into()));
            return;
        }
        let Some(reply) = self.seen_before(order, reply) else { return };
        let parts = &self.parts;
        let mut new_id = || parts.clock.new_id();
        let leases = PrivateLeases { pending: &self.pending, durable: &*parts.leases };
        let mut context =
            Context { now, new_id: &mut new_id, calls: &*parts.calls, leases: &leases };
        match decide(&self.private, order, &mut context) {
            Ok(decision) => self.carry_out(order, decision, now, reply),
            Err(refusal) => self.refuse(order, refusal, now, reply),
        }
    }

    fn carry_out(&mut self, order: &Order, decision: Decision, now: Moment, reply: Reply) {
        let Decision { events, leases, warnings } = decision;
        if !events.is_empty()
            && let Some(why) = &self.stopped
        {
            let refusal = read_only(why);
            return self.forget_and(order.id, reply, &refusal);
        }
        let records = match self.commit(order, events, now) {
            Ok(records) => records,
            Err(error) => {
                tracing::error!(%error, "an event could not be sealed");
                return self.forget_and(order.id, reply, &unsealed(&error));
            }
        };
        let (command, position) = (order.id, self.private.position);
        let changes = LeaseChange::of(&leases, &records);
        let only_leases = records.is_empty() && !leases.is_empty();
        let at_once = only_leases && leases.iter().all(|lease| self.is_durable(lease));
        let answer = Ok(Answer { command, position, records, leases, warnings });
        if at_once {
            changes.into_iter().for_each(|change| change.apply(&*self.parts.leases));
            self.answer(command, reply, answer);
        } else {
            self.wait(Waiting { command, reply, answer, leases: changes });
        }
    }

    /// Does the binding that is refreshed stand in the book as the decision saw it? Then it need not wait for a group.
    fn is_durable(&self, lease: &LeaseRenewal) -> bool {
        let published = self.published.load();
        let durable = published.exchange.registrations.get(&lease.device);
        match (durable, self.private.registrations.get(&lease.device)) {
            (Some(durable), Some(private)) => Arc::ptr_eq(durable, private) || durable == private,
            _ => false,
        }
    }

    fn wait(&mut self, waiting: Waiting) {
        waiting.leases.iter().for_each(|change| self.pending.add(*change));
        self.next.waiting.push(waiting);
    }

    fn refuse(&mut self, order: &Order, refusal: Refusal, now: Moment, reply: Reply) {
        self.record_attempt(order, order.command.name(), &refusal, now);
        self.answer(order.id, reply, Err(refusal.into()));
    }

    /// who was refused for right or state, leaves a trace; the answer waits for nothing.
    fn record_attempt(&mut self, order: &Order, what: &str, refusal: &Refusal, now: Moment) {
        if refusal.code.nature() == Nature::Attempt && self.stopped.is_none() {
            match self.attempts.write(now, order, what, refusal) {
                Some(attempt) => self.tell_attempt(order, attempt, now),
                None => drop(self.untold_at.get_or_insert_with(quiet_minute)),
            }
        }
    }

    fn bulk_refused(&mut self, refused: Refused, reply: Reply) {
        let now = self.parts.clock.now();
        let Refused { order, what, index, refusal } = refused;
        let Some(reply) = self.seen_before(&order, reply) else { return };
        self.record_attempt(&order, what, &refusal, now);
        self.answer(order.id, reply, Err(DeskError::RefusedInBulk { index, refusal }));
    }

    fn tell_attempt(&mut self, order: &Order, attempt: AttemptRefused, now: Moment) {
        if let Err(error) = self.commit(order, vec![attempt.into()], now) {
            tracing::error!(%error, "a refused attempt could not be sealed");
        }
    }

    /// Attempts that were only counted, once nobody adds to them any more. While the book takes no writes they wait.
    fn tell_untold(&mut self, which: Untold) {
        let now = self.parts.clock.now();
        if self.stopped.is_none() {
            for (order, attempt) in self.attempts.untold(now, which) {
                self.tell_attempt(&order, attempt, now);
            }
        }
        self.untold_at = self.attempts.has_untold().then(quiet_minute);
    }

    /// Answers without remembering: nothing happened, and a repetition may succeed.
    fn forget_and(&mut self, id: CommandId, reply: Reply, refusal: &Refusal) {
        let repeated = self.repeated.remove(&id).map(|(_, repeated)| repeated).unwrap_or_default();
        for reply in repeated.into_iter().chain([reply]) {
            reply.send(Err(refusal.clone().into()));
        }
    }
}

/// Why something personal could not be sealed.
pub(super) fn unsealed(error: &AppendError) -> Refusal {
    match error {
        AppendError::KeyDestroyed(key) => Refusal::new(RefusalCode::KeyDestroyed).with("key", key),
        error => read_only(&error.to_string()),
    }
}

fn read_only(why: &str) -> Refusal {
    Refusal::new(RefusalCode::BookReadOnly).with("why", why)
}
