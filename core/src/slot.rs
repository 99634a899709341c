//! Slots (Endgeräte-Slots): a place for one device of a user (behaviour.md 1.3).

use crate::envelope::{Envelope, Subject};
use crate::event::{Evolve, nothing_personal};
use crate::exchange::{Exchange, add, edit};
use crate::fact::Fact;
use crate::id::{DeviceId, SlotId, UserId};
use crate::number::Number;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What kind of device a slot takes; a phone's kind must fit the slot's (RO-10, X-18).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum DeviceType {
    /// Desk phone (Tischtelefon).
    Desk,
    /// Cordless handset (DECT-Telefon).
    Dect,
    /// Softphone or browser client.
    Softphone,
    /// Smartphone app.
    Mobile,
    /// Analogue adapter and the rest.
    Analog,
}

impl DeviceType {
    /// All of them, in the order of lists.
    pub const ALL: [Self; 5] =
        [Self::Desk, Self::Dect, Self::Softphone, Self::Mobile, Self::Analog];

    /// The word used in commands and pages.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Desk => "desk",
            Self::Dect => "dect",
            Self::Softphone => "softphone",
            Self::Mobile => "mobile",
            Self::Analog => "analog",
        }
    }
}

impl fmt::Display for DeviceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// Not one of the five words.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a device type is one of desk, dect, softphone, mobile, analog")]
pub struct NotADeviceType;

impl FromStr for DeviceType {
    type Err = NotADeviceType;

    fn from_str(text: &str) -> Result<Self, NotADeviceType> {
        Self::ALL.into_iter().find(|kind| kind.word() == text).ok_or(NotADeviceType)
    }
}

/// A slot as it is now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Slot {
    /// Whose it is.
    pub user: UserId,
    /// What people call it: unique among the user's slots.
    pub name: String,
    /// What it takes.
    pub device_type: DeviceType,
    /// The event that made it.
    pub at: crate::position::Position,
    /// The device logged in on it: at most one.
    pub device: Option<Fact<DeviceId>>,
    /// Numbers ticked for it (its column of the matrix), ascending.
    pub numbers: Vec<Number>,
    /// The number for outgoing calls when several are ticked (3.3).
    pub selected: Option<Fact<Number>>,
    /// The phone that was logged in on it last (RO-10).
    pub last_device: Option<DeviceId>,
}

/// A slot was added; it has no ticks and no device (N-3).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SlotAdded {
    /// Its id.
    pub slot: SlotId,
    /// Whose.
    pub user: UserId,
    /// What people call it.
    pub name: String,
    /// What it takes.
    pub device_type: DeviceType,
}

/// A slot was removed; a device on it was logged off before, by an event of its own (N-9).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SlotRemoved {
    /// Which.
    pub slot: SlotId,
    /// Whose it was.
    pub user: UserId,
}

/// The number for outgoing calls from a slot was selected (3.3).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NumberSelected {
    /// Which slot.
    pub slot: SlotId,
    /// One of its ticked numbers.
    pub number: Number,
}

nothing_personal!(SlotAdded, SlotRemoved, NumberSelected);

impl Evolve for SlotAdded {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.extend([Subject::Slot(self.slot), Subject::User(self.user)]);
    }

    fn evolve(&self, exchange: &mut Exchange, envelope: &Envelope) {
        let slot = Slot {
            user: self.user,
            name: self.name.clone(),
            device_type: self.device_type,
            at: envelope.position,
            device: None,
            numbers: Vec::new(),
            selected: None,
            last_device: None,
        };
        exchange.slots.insert(self.slot, slot.into());
        edit(&mut exchange.users, &self.user, |user| add(&mut user.slots, self.slot));
    }
}

impl Evolve for SlotRemoved {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.extend([Subject::Slot(self.slot), Subject::User(self.user)]);
    }

    fn evolve(&self, exchange: &mut Exchange, _: &Envelope) {
        exchange.forget_slot(self.slot);
    }
}

impl Evolve for NumberSelected {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.extend([Subject::Slot(self.slot), Subject::Number(self.number)]);
    }

    fn evolve(&self, exchange: &mut Exchange, envelope: &Envelope) {
        edit(&mut exchange.slots, &self.slot, |slot| {
            slot.selected = Some(Fact::new(self.number, envelope.position));
        });
    }
}
