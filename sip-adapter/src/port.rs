//! What the adapter asks of the exchange, and nothing more: the published state, secrets to compare with, and a place
//! to leave errands. The Desk implements it; tests implement it in memory.
//!
//! No call blocks. An errand's outcome comes back through its [`Reply`], which wakes the event loop.

use std::ops::Deref;
use std::sync::Arc;
use switchbook_core::event::Event;
use switchbook_core::exchange::Exchange;
use switchbook_core::feature_code::FeatureCode;
use switchbook_core::id::DeviceId;
use switchbook_core::position::{Moment, Position, Seconds};
use switchbook_core::registration::BindingId;
use switchbook_core::user::SecretRef;
use switchbook_sip::digest::{Algorithm, Ha1};
use switchbook_sip::transaction::Flow;

/// The exchange as the adapter sees it.
pub trait Port: Send + Sync {
    /// The newest published state. Called once per request: it must be cheap.
    fn exchange(&self) -> Snapshot;
    /// The digest hash of a device's credential, if the vault has it.
    fn ha1(&self, secret: SecretRef, algorithm: Algorithm) -> Option<Ha1>;
    /// When the last refresh of a binding ends, if it was refreshed since the book last told of it.
    fn lease(&self, device: DeviceId, binding: BindingId) -> Option<Moment>;
    /// Leaves an errand. Errands of one caller are begun in the order they were left.
    fn submit(&self, errand: Errand, reply: Reply);
}

/// A published state; cloning it costs a pointer.
#[derive(Clone)]
pub struct Snapshot(Arc<dyn Holds>);

/// Something with an exchange inside.
pub trait Holds: Send + Sync {
    /// The exchange.
    fn exchange(&self) -> &Exchange;
}

impl Holds for Exchange {
    fn exchange(&self) -> &Exchange {
        self
    }
}

impl Holds for switchbook_commands::desk::Published {
    fn exchange(&self) -> &Exchange {
        &self.exchange
    }
}

impl Snapshot {
    /// A view of what somebody holds.
    pub fn new(holder: Arc<impl Holds + 'static>) -> Self {
        Self(holder)
    }
}

impl Deref for Snapshot {
    type Target = Exchange;

    fn deref(&self) -> &Exchange {
        self.0.exchange()
    }
}

/// Something that is not the adapter's to decide.
#[derive(Clone, PartialEq, Debug)]
pub enum Errand {
    /// An authenticated REGISTER with contacts.
    Register(Register),
    /// Bindings nobody refreshed in time.
    Expire {
        /// Whose.
        device: DeviceId,
        /// Which.
        bindings: Vec<BindingId>,
    },
    /// A feature code, dialled at an authenticated phone.
    Code {
        /// Where.
        device: DeviceId,
        /// What; it carries a PIN, which shows itself to nobody.
        code: FeatureCode,
        /// Where the INVITE came from.
        from: Flow,
    },
    /// Somebody authenticated as one phone spoke for another and was refused: for the book.
    Claim {
        /// As whom he authenticated.
        device: DeviceId,
        /// For whom he spoke, if there is such a phone.
        claimed: Option<DeviceId>,
        /// Where the request came from.
        from: Flow,
    },
    /// What a call did, for the book. Signalling never waits for it.
    Record {
        /// What.
        event: Box<Event>,
        /// Where the INVITE came from, for the event that tells of it.
        from: Option<Flow>,
        /// The event that made it do so, if one did.
        cause: Option<Position>,
    },
}

/// What a phone asked to be bound (RFC 3261 §10.3); bounds of the protocol were checked before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Register {
    /// The phone, authenticated.
    pub device: DeviceId,
    /// Hash of its Call-ID.
    pub call_id: u64,
    /// Its CSeq.
    pub cseq: u32,
    /// Its User-Agent.
    pub user_agent: Option<String>,
    /// Where the REGISTER came from.
    pub from: Flow,
    /// What it wants.
    pub wish: Wish,
}

/// What a REGISTER wants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wish {
    /// Bind these contacts; an expiry of 0 takes one back.
    Bind(Vec<WantedContact>),
    /// `Contact: *`: take everything back.
    RemoveAll,
}

/// One contact a phone wants bound.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WantedContact {
    /// The URI as the phone wrote it.
    pub uri: String,
    /// Its parameters as written, without `expires` and `+sip.instance`.
    pub parameters: String,
    /// `+sip.instance` as written, without its quotes; with `;reg-id=…` behind it if the phone keeps several flows.
    pub instance: Option<String>,
    /// The URI names another host than the packet came from (checklist 13).
    pub behind_nat: bool,
    /// Within the bounds; 0 takes it back.
    pub expires: Seconds,
}

/// The errand was done: it is as durable as it has to be, and published.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Done {
    /// So many events tell of it; none when nothing changed, or a lease was all.
    pub events: usize,
}

/// Why an errand was not done.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Trouble {
    /// A rule forbids it.
    #[error("{code}: {text}")]
    Refused {
        /// The stable code.
        code: &'static str,
        /// A sentence for the person at the phone.
        text: String,
    },
    /// The book takes no writes at present.
    #[error("the book takes no writes at present")]
    ReadOnly,
    /// Too much waits already.
    #[error("too much is waiting already")]
    Overloaded,
    /// It may have been done or not.
    #[error("the outcome is unknown")]
    Unknown,
}

/// Where an errand's outcome goes; telling it consumes it. Dropped untold, the outcome is unknown.
pub struct Reply(Option<Tell>);

type Tell = Box<dyn FnOnce(Result<Done, Trouble>) + Send>;

impl Reply {
    /// A reply that calls `tell`.
    pub fn new(tell: impl FnOnce(Result<Done, Trouble>) + Send + 'static) -> Self {
        Self(Some(Box::new(tell)))
    }

    /// Tells the outcome.
    pub fn tell(mut self, outcome: Result<Done, Trouble>) {
        if let Some(tell) = self.0.take() {
            tell(outcome);
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some(tell) = self.0.take() {
            tell(Err(Trouble::Unknown));
        }
    }
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reply")
    }
}
