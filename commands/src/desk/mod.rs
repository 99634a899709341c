//! The Desk: the single writer (architecture.md way 1).
//!
//! Whoever wants something changed [`submit`](DeskHandle::submit)s an [`Order`]. One task takes orders one by one,
//! authorises, decides and evolves its private state at once; what it decided is appended in groups, one fdatasync
//! each, while the next group is being decided; when a group is durable it is published to readers and answered. If
//! the disk fails, the private state is thrown away.

mod answer;
mod attempts;
mod bulk;
mod clock;
mod front;
mod group;
mod login_guard;
mod memory;
mod pending;
mod recent;
mod secrets;
mod waits;
mod writer;

pub use answer::{Answer, DeskError, DeskHealth, Published};
pub use bulk::{Bulk, Progress};
pub use clock::{Clock, SystemClock};
pub(crate) use secrets::apart;
pub use secrets::{Entry, Secrets, unnamed};

use crate::command::Command;
use crate::decide::decide;
use crate::order::{Calls, Context, Decision, LeaseRenewal, LeaseState, LeaseView, Order};
use crate::refusal::{Refusal, RefusalCode};
use arc_swap::ArcSwap;
use front::{Front, Keep};
use group::Reply;
use login_guard::LoginGuard;
use memory::{Memory, Sender};
use recent::Recent;
use std::hash::RandomState;
use std::sync::Arc;
use switchbook_core::envelope::Actor;
use switchbook_core::exchange::Exchange;
use switchbook_core::id::DeviceId;
use switchbook_core::personal::KeyId;
use switchbook_core::position::Position;
use switchbook_core::registration::BindingId;
use switchbook_journal::{EventStore, Leases};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use writer::{Message, Writer};

/// Leases as the Desk renews and forgets them.
pub trait LeaseBook: LeaseView {
    /// A binding lives on.
    fn renew(&self, lease: LeaseRenewal);
    /// A binding is gone, or has a new end of its own.
    fn forget(&self, device: DeviceId, binding: BindingId);
}

impl LeaseView for Leases {
    fn lease(&self, device: DeviceId, binding: BindingId) -> Option<LeaseState> {
        let lease = self.get(device, binding)?;
        Some(LeaseState { expires_at: lease.expires_at, cseq: lease.cseq })
    }
}

impl LeaseBook for Leases {
    fn renew(&self, lease: LeaseRenewal) {
        Leases::renew(self, lease.device, lease.binding, lease.expires_at, lease.cseq);
    }

    fn forget(&self, device: DeviceId, binding: BindingId) {
        self.remove(device, binding);
    }
}

/// Ends a moment in which the Desk's thread looks away; called from any thread.
pub type Rouse = Arc<dyn Fn() + Send + Sync>;

/// What a Desk works with.
#[derive(Clone)]
pub struct Parts {
    /// The book.
    pub store: Arc<dyn EventStore>,
    /// Hashes of passwords and PINs.
    pub secrets: Arc<dyn Secrets>,
    /// Who is in a call.
    pub calls: Arc<dyn Calls>,
    /// Refreshes that are no events.
    pub leases: Arc<dyn LeaseBook>,
    /// Time and ids.
    pub clock: Arc<dyn Clock>,
    /// Told when a group is in the book, for a thread that looks away now and then (decision 010).
    pub rouse: Rouse,
}

/// How long the queue may grow before senders wait.
const QUEUE: usize = 4096;

/// The Desk.
#[derive(Debug)]
pub struct Desk;

impl Desk {
    /// Starts the writer on the exchange that the book folds to. It stops when the last handle is dropped.
    #[must_use]
    pub fn start(parts: Parts, exchange: Exchange) -> (DeskHandle, JoinHandle<()>) {
        let position = exchange.position;
        let recent = Arc::new(Recent::new(&exchange));
        let published = Arc::new(ArcSwap::from_pointee(Published { exchange, position }));
        let (queue, orders) = mpsc::channel(QUEUE);
        let (reached, watch_reached) = watch::channel(position);
        let (health, watch_health) = watch::channel(DeskHealth::Writable);
        let memory = Memory::new(Arc::clone(&recent));
        let writer =
            Writer::new(parts.clone(), Arc::clone(&published), memory, orders, reached, health);
        let task = tokio::spawn(writer.run());
        let front = Front {
            secrets: Arc::clone(&parts.secrets),
            clock: Arc::clone(&parts.clock),
            guard: Arc::new(LoginGuard::default()),
            hashing: Arc::new(tokio::sync::Semaphore::new(front::HASHES_AT_A_TIME)),
        };
        let handle = DeskHandle {
            queue,
            published,
            reached: watch_reached,
            health: watch_health,
            front,
            recent,
            prints: RandomState::new(),
            parts: Arc::new(parts),
        };
        (handle, task)
    }
}

/// When is the book asked for a command id?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ask {
    /// Before work that a repetition must not do again: hashing a secret, deciding a list.
    Always,
    /// Only for what the writer, who is asked next, cannot remember.
    UnlessRemembered,
}

/// A way to the Desk; clones lead to the same one.
#[derive(Clone)]
pub struct DeskHandle {
    queue: mpsc::Sender<Message>,
    published: Arc<ArcSwap<Published>>,
    reached: watch::Receiver<Position>,
    health: watch::Receiver<DeskHealth>,
    front: Front,
    recent: Arc<Recent>,
    /// Keys of the prints of commands.
    prints: RandomState,
    parts: Arc<Parts>,
}

impl DeskHandle {
    /// Carries an order out. Answered when it is durable; a repeated command id gets the first answer.
    ///
    /// # Errors
    /// [`DeskError::Refused`] with the reason, [`DeskError::Closed`] when the server stops.
    pub async fn submit(&self, mut order: Order) -> Result<Answer, DeskError> {
        order.print = self.print(&order.actor, std::slice::from_mut(&mut order.command));
        let ask = match front::has_secret(&mut order.command) {
            true => Ask::Always,
            false => Ask::UnlessRemembered,
        };
        if let Some(first) = self.first_answer(&order, ask).await? {
            return Ok(first);
        }
        let published = self.published();
        let order = self.front.prepare(&published.exchange, order, Keep::Yes).await?;
        let (reply, answer) = oneshot::channel();
        let message = Message::Order(Box::new(order), Reply::Waits(reply));
        self.queue.send(message).await.map_err(|_| DeskError::Closed)?;
        answer.await.map_err(|_| DeskError::Closed)?
    }

    /// Puts an order without secrets straight into the writer's queue and comes back at once: for the phones' event
    /// loop. Orders are decided in the order they are put in. `tell` runs on the writer's task when the order is
    /// durable or refused, and must not block; with a full queue it is told `BUSY` here and now.
    ///
    /// Ids of phones and of the server are not looked up in the book: their repetitions were absorbed before.
    pub fn enqueue(
        &self,
        mut order: Order,
        tell: impl FnOnce(Result<Answer, DeskError>) + Send + 'static,
    ) {
        order.print = self.print(&order.actor, std::slice::from_mut(&mut order.command));
        let message = Message::Order(Box::new(order), Reply::Told(Box::new(tell)));
        let (message, why) = match self.queue.try_send(message) {
            Ok(()) => return,
            Err(mpsc::error::TrySendError::Full(message)) => {
                (message, Refusal::new(RefusalCode::Busy).into())
            }
            Err(mpsc::error::TrySendError::Closed(message)) => (message, DeskError::Closed),
        };
        if let Message::Order(_, reply) = message {
            reply.send(Err(why));
        }
    }

    /// What the book says of a command id that somebody's command had before, perhaps before a restart.
    async fn first_answer(&self, order: &Order, ask: Ask) -> Result<Option<Answer>, DeskError> {
        if !memory::is_remembered(&order.actor) {
            return Ok(None);
        }
        memory::check_id(order.id, &order.actor, self.parts.clock.now())?;
        let store = &self.parts.store;
        let found = match ask {
            Ask::Always => store.outcome(order.id).await,
            Ask::UnlessRemembered => self.recent.outcome(&**store, order.id).await,
        };
        let found = found.map_err(memory::unreadable)?;
        let Some(place) = found else { return Ok(None) };
        // The writer may remember which command it was.
        let (id, sender) = (order.id, Sender::of(order));
        let answer = self.ask(|reply| Message::Repeated(id, sender, place, reply)).await?;
        self.wait_for(answer.position).await?;
        Ok(Some(answer))
    }

    /// What a person's commands are told from others by; ids of others are not remembered.
    fn print(&self, actor: &Actor, commands: &mut [Command]) -> Option<u64> {
        memory::is_remembered(actor).then(|| front::print(&self.prints, commands))
    }

    /// Waits until everything that was put into the queue before is durable and answered: for a stop that loses
    /// nothing.
    ///
    /// # Errors
    /// [`DeskError::Closed`]; or the book's refusal, when it cannot be written.
    pub async fn settled(&self) -> Result<(), DeskError> {
        let (reply, answer) = oneshot::channel();
        let message = Message::Settle(Reply::Waits(reply));
        self.queue.send(message).await.map_err(|_| DeskError::Closed)?;
        answer.await.map_err(|_| DeskError::Closed)?.map(|_| ())
    }

    /// Lets the published state and the Desk's own forget what was sealed under keys that are destroyed. Comes back when
    /// whoever asks for the published state from now on cannot read it there.
    ///
    /// # Errors
    /// [`DeskError::Closed`].
    pub async fn forget(&self, keys: Vec<KeyId>) -> Result<(), DeskError> {
        let (reply, done) = oneshot::channel();
        let message = Message::Forget(keys, reply);
        self.queue.send(message).await.map_err(|_| DeskError::Closed)?;
        done.await.map_err(|_| DeskError::Closed)
    }

    /// What an order would lead to now. Nothing is changed, nothing is recorded, no secret is kept.
    ///
    /// # Errors
    /// As [`submit`](Self::submit) would.
    pub async fn dry_run(&self, order: Order) -> Result<Decision, DeskError> {
        let published = self.published();
        let order = self.front.prepare(&published.exchange, order, Keep::No).await?;
        let clock = &self.parts.clock;
        let mut new_id = || clock.new_id();
        let mut context = Context {
            now: clock.now(),
            new_id: &mut new_id,
            calls: &*self.parts.calls,
            leases: &*self.parts.leases,
        };
        Ok(decide(&published.exchange, &order, &mut context)?)
    }

    /// The exchange as of now; everything in it is durable. Costs a pointer.
    #[must_use]
    pub fn published(&self) -> Arc<Published> {
        self.published.load_full()
    }

    /// Waits until `position` is published, so that a writer sees his own write.
    ///
    /// # Errors
    /// [`DeskError::Closed`].
    pub async fn wait_for(&self, position: Position) -> Result<(), DeskError> {
        let mut reached = self.reached.clone();
        let waited = reached.wait_for(|at| *at >= position).await;
        waited.map(|_| ()).map_err(|_| DeskError::Closed)
    }

    /// Follows the published position.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Position> {
        self.reached.clone()
    }

    /// Does it take commands that change something?
    #[must_use]
    pub fn health(&self) -> DeskHealth {
        self.health.borrow().clone()
    }

    /// Where hashes of passwords and PINs are kept.
    #[must_use]
    pub fn secrets(&self) -> &Arc<dyn Secrets> {
        &self.parts.secrets
    }

    /// Refreshes that are no events.
    #[must_use]
    pub fn leases(&self) -> &Arc<dyn LeaseBook> {
        &self.parts.leases
    }

    /// The book, for reading.
    #[must_use]
    pub fn book(&self) -> Arc<dyn switchbook_journal::EventReader> {
        Arc::clone(&self.parts.store) as Arc<dyn switchbook_journal::EventReader>
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.parts.clock
    }
}

impl std::fmt::Debug for DeskHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DeskHandle(at {})", *self.reached.borrow())
    }
}
