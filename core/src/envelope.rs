//! What surrounds every event in the book: who, when, why, and whom it concerns.

use crate::event::Event;
use crate::id::{
    CallId, CommandId, CorrelationId, DeviceId, GroupId, ProfileId, ScheduleId, SlotId, TrunkId,
    UserId,
};
use crate::number::Number;
use crate::personal::{HasPersonal, Personal, ShowsPersonal};
use crate::position::{Moment, Position};
use serde::{Deserialize, Serialize};

/// Who issued the command that an event came from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Actor {
    /// The server itself: expiry, recovery, reactions.
    System,
    /// The local console, by operating-system user id.
    Supervisor {
        /// The peer's uid as the operating system vouched for it.
        uid: u32,
    },
    /// A user acting in the admin client.
    Admin(UserId),
    /// A user acting in his own client.
    User(UserId),
    /// A phone, authenticated by its own credentials.
    Phone(DeviceId),
    /// A schedule whose edge came.
    Schedule(ScheduleId),
    /// A user reading with the right `audit`.
    Auditor(UserId),
}

/// What an event concerns, for per-object history. Kind bytes are part of the book's format: never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Subject {
    /// Kind 1.
    User(UserId),
    /// Kind 2; the digits as ASCII.
    Number(Number),
    /// Kind 3.
    Slot(SlotId),
    /// Kind 4.
    Device(DeviceId),
    /// Kind 5.
    Group(GroupId),
    /// Kind 6.
    Profile(ProfileId),
    /// Kind 7.
    Schedule(ScheduleId),
    /// Kind 8.
    Trunk(TrunkId),
    /// Kind 9.
    Call(CallId),
    /// Kind 10: the exchange as a whole (settings, permissions, start and stop).
    Exchange,
}

impl Subject {
    /// The kind byte in the book.
    #[must_use]
    pub const fn kind(&self) -> u8 {
        match self {
            Self::User(_) => 1,
            Self::Number(_) => 2,
            Self::Slot(_) => 3,
            Self::Device(_) => 4,
            Self::Group(_) => 5,
            Self::Profile(_) => 6,
            Self::Schedule(_) => 7,
            Self::Trunk(_) => 8,
            Self::Call(_) => 9,
            Self::Exchange => 10,
        }
    }

    /// The identity bytes in the book: 16 for an id, 1 to 15 ASCII digits for a number, none for the exchange.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::User(id) => id.bytes(),
            Self::Number(number) => number.as_str().as_bytes(),
            Self::Slot(id) => id.bytes(),
            Self::Device(id) => id.bytes(),
            Self::Group(id) => id.bytes(),
            Self::Profile(id) => id.bytes(),
            Self::Schedule(id) => id.bytes(),
            Self::Trunk(id) => id.bytes(),
            Self::Call(id) => id.bytes(),
            Self::Exchange => &[],
        }
    }

    /// The reverse of [`kind`](Self::kind) and [`bytes`](Self::bytes); `None` for a kind this version does not know.
    #[must_use]
    pub fn from_bytes(kind: u8, bytes: &[u8]) -> Option<Self> {
        let id = || uuid::Uuid::from_slice(bytes).ok();
        Some(match kind {
            1 => Self::User(UserId(id()?)),
            2 => Self::Number(std::str::from_utf8(bytes).ok()?.parse().ok()?),
            3 => Self::Slot(SlotId(id()?)),
            4 => Self::Device(DeviceId(id()?)),
            5 => Self::Group(GroupId(id()?)),
            6 => Self::Profile(ProfileId(id()?)),
            7 => Self::Schedule(ScheduleId(id()?)),
            8 => Self::Trunk(TrunkId(id()?)),
            9 => Self::Call(CallId(id()?)),
            10 if bytes.is_empty() => Self::Exchange,
            _ => return None,
        })
    }
}

/// Everything the book says about an event besides the event itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Envelope {
    /// Its place in the book.
    pub position: Position,
    /// When it was recorded; never earlier than the event before it.
    pub recorded_at: Moment,
    /// The raw moment T that the decision was made at, as the clock gave it.
    pub moment: Moment,
    /// Who issued the command.
    pub actor: Actor,
    /// Whose rights were used, when not the actor's own (impersonation, console `--as`).
    pub on_behalf_of: Option<UserId>,
    /// Where the command came from, when that is an address of its own (`udp 192.0.2.7:5060`): sealed under the
    /// period's key. The console has none: its actor says it all. Bindings hold their address themselves.
    pub source: Option<Personal>,
    /// The event that led to this one, if one did.
    pub cause: Option<Position>,
    /// The thread it belongs to.
    pub correlation: CorrelationId,
    /// The command it came from; all events of a command stand in the book whole or not at all.
    pub command: CommandId,
    /// What it concerns.
    pub subjects: Vec<Subject>,
}

/// An event as it stands in the book.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recorded {
    /// Who, when, why.
    pub envelope: Envelope,
    /// What.
    pub event: Event,
}

/// The event's personal fields, then the envelope's.
impl HasPersonal for Recorded {
    fn each_personal(&mut self, visit: &mut dyn FnMut(&mut Personal)) {
        self.event.each_personal(visit);
        self.envelope.source.each_personal(visit);
    }
}

impl ShowsPersonal for Recorded {
    fn any_personal(&self, is: &dyn Fn(&Personal) -> bool) -> bool {
        self.event.any_personal(is) || self.envelope.source.any_personal(is)
    }
}
