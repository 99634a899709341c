//! An order: a command with the one who gives it. And what a decision about it yields.

use crate::command::Command;
use crate::refusal::fill;
use serde::Serialize;
use std::collections::BTreeMap;
use switchbook_core::envelope::Actor;
use switchbook_core::event::Event;
use switchbook_core::id::{CommandId, CorrelationId, DeviceId, UserId};
use switchbook_core::position::{Moment, Position};
use switchbook_core::registration::BindingId;
use switchbook_core::user::Language;
use uuid::Uuid;

/// A command with everything around it.
#[derive(Clone, Debug)]
pub struct Order {
    /// Named by the sender (a UUID of version 7); a repeated id gets the first answer.
    pub id: CommandId,
    /// Who gives it.
    pub actor: Actor,
    /// Whose rights are used instead of the actor's own (impersonation, console `--as`, X-25).
    pub on_behalf_of: Option<UserId>,
    /// Where it came from, when that is an address of its own (`udp 192.0.2.7:5060`).
    pub source: Option<String>,
    /// The thread it belongs to; a new one when none is named.
    pub correlation: Option<CorrelationId>,
    /// The event that led to it.
    pub cause: Option<Position>,
    /// The book as the sender saw it: refused as `STALE` if what it changes was changed after that (I-6).
    pub seen: Option<Position>,
    /// What is to be done.
    pub command: Command,
    /// What the command is told from others by, as its sender gave it. The Desk sets it.
    pub print: Option<u64>,
}

impl Order {
    /// A plain order.
    #[must_use]
    pub fn new(id: CommandId, actor: Actor, command: impl Into<Command>) -> Self {
        Self {
            id,
            actor,
            on_behalf_of: None,
            source: None,
            correlation: None,
            cause: None,
            seen: None,
            command: command.into(),
            print: None,
        }
    }

    /// The same order, from this address.
    #[must_use]
    pub fn from(mut self, source: impl std::fmt::Display) -> Self {
        self.source = Some(source.to_string());
        self
    }

    /// The same order with another user's rights.
    #[must_use]
    pub fn on_behalf_of(mut self, user: UserId) -> Self {
        self.on_behalf_of = Some(user);
        self
    }
}

/// What decisions ask about calls, which are not in the state of the book.
pub trait Calls: Send + Sync {
    /// Is a call in progress on this device? A feature code being dialled is none.
    fn in_call(&self, device: DeviceId) -> bool;
}

/// An exchange in which nobody is in a call.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCalls;

impl Calls for NoCalls {
    fn in_call(&self, _: DeviceId) -> bool {
        false
    }
}

/// What is known of a binding beyond the book: when its last refresh ends, and that refresh's CSeq (way 3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LeaseState {
    /// When it ends.
    pub expires_at: Moment,
    /// The CSeq of the last refresh; 0 when it is not known any more.
    pub cseq: u32,
}

/// What decisions ask about leases.
pub trait LeaseView: Send + Sync {
    /// The lease of a binding, if it was ever refreshed.
    fn lease(&self, device: DeviceId, binding: BindingId) -> Option<LeaseState>;
}

/// No binding was ever refreshed.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoLeases;

impl LeaseView for NoLeases {
    fn lease(&self, _: DeviceId, _: BindingId) -> Option<LeaseState> {
        None
    }
}

/// Everything a decision needs that is not the exchange: time, ids, and what changes too fast for a book.
pub struct Context<'a> {
    /// The moment T of the decision, as the clock at the edge gave it.
    pub now: Moment,
    /// A new id at every call.
    pub new_id: &'a mut dyn FnMut() -> Uuid,
    /// Who is in a call.
    pub calls: &'a dyn Calls,
    /// What the leases say.
    pub leases: &'a dyn LeaseView,
}

/// A binding that lives on without an event (architecture.md way 3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct LeaseRenewal {
    /// Whose binding.
    pub device: DeviceId,
    /// Which.
    pub binding: BindingId,
    /// When it ends now.
    pub expires_at: Moment,
    /// The CSeq of the refresh.
    pub cseq: u32,
}

/// What a decision yields: facts for the book, leases, and what the sender should know.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Decision {
    /// In order; none when everything is so already.
    pub events: Vec<Event>,
    /// Refreshes that are no events.
    pub leases: Vec<LeaseRenewal>,
    /// For a person.
    pub warnings: Vec<Warning>,
}

macro_rules! warnings {
    ($($name:ident $code:literal $english:literal $german:literal;)+) => {
        /// What a sender should know though the command was carried out.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum WarningCode {
            $(#[doc = $english] $name,)+
        }

        impl WarningCode {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The code as it stands in answers.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code),+ }
            }

            /// The sentence with `{facts}` still in braces.
            #[must_use]
            pub const fn template(self, language: Language) -> &'static str {
                match (self, language) {
                    $((Self::$name, Language::English) => $english,
                    (Self::$name, Language::German) => $german,)+
                }
            }
        }
    };
}

warnings! {
    NumberUnreachable "NUMBER_UNREACHABLE"
        "The number {number} has no tick in the matrix and cannot be reached until it has one."
        "Die Rufnummer {number} ist auf keinem Slot aktiviert und bis dahin nicht erreichbar.";
    DeviceLoggedOff "DEVICE_LOGGED_OFF"
        "Phone {device} is logged off by this."
        "Das Telefon {device} wird dadurch abgemeldet.";
    DeviceWithoutPassword "DEVICE_WITHOUT_PASSWORD"
        "Device {device} has no password yet and cannot register."
        "Das Telefon {device} hat noch kein Kennwort und kann sich nicht registrieren.";
    TargetUnknown "TARGET_UNKNOWN"
        "The forwarding target {number} belongs to nobody at present; calls sent there reach nobody."
        "Das Umleitungsziel {number} gehört zur Zeit niemandem; dorthin umgeleitete Anrufe erreichen niemanden.";
    ScheduleInForce "SCHEDULE_IN_FORCE"
        "A schedule is in force for {number} at the moment and goes before this choice until its window ends."
        "Für {number} gilt gerade ein Zeitplan; er geht dieser Einstellung vor, bis sein Zeitfenster endet.";
    ReferencesLost "REFERENCES_LOST"
        "{what} was a target of {by}; calls sent there reach nobody now."
        "{what} war Ziel von {by}; dorthin geleitete Anrufe erreichen niemanden mehr.";
    GrantsLost "GRANTS_LOST"
        "With the group, {count} permissions that named it are gone."
        "Mit der Gruppe entfallen {count} Rechte, die sie nannten.";
}

/// Something a sender should know though the command was carried out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Warning {
    /// The stable code.
    pub code: WarningCode,
    /// The facts behind it, by name.
    pub facts: BTreeMap<&'static str, String>,
}

impl Warning {
    /// A warning without facts yet.
    #[must_use]
    pub const fn new(code: WarningCode) -> Self {
        Self { code, facts: BTreeMap::new() }
    }

    /// Adds a fact.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl std::fmt::Display) -> Self {
        self.facts.insert(name, value.to_string());
        self
    }

    /// The sentence for a person, with its facts.
    #[must_use]
    pub fn sentence(&self, language: Language) -> String {
        fill(self.code.template(language), &self.facts)
    }
}
