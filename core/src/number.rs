//! Numbers (Rufnummern): what is dialled inside the exchange, and what belongs to a user.

use crate::envelope::{Envelope, Subject};
use crate::event::{Evolve, nothing_personal};
use crate::exchange::{Exchange, add, edit};
use crate::fact::Fact;
use crate::forwarding::ManualChoice;
use crate::id::{ScheduleId, SlotId, UserId};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::fmt;
use std::str::FromStr;

/// One to fifteen digits (E.164's longest). Kept inline: sixteen bytes, `Copy`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number {
    digits: [u8; 15],
    length: u8,
}

/// Why a text is no number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a number has 1 to 15 digits 0-9 and nothing else")]
pub struct NotANumber;

impl Number {
    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.digits[..usize::from(self.length)]).unwrap_or("")
    }
}

impl FromStr for Number {
    type Err = NotANumber;

    fn from_str(text: &str) -> Result<Self, NotANumber> {
        let bytes = text.as_bytes();
        if bytes.is_empty() || bytes.len() > 15 || !bytes.iter().all(u8::is_ascii_digit) {
            return Err(NotANumber);
        }
        let mut digits = [0; 15];
        digits[..bytes.len()].copy_from_slice(bytes);
        Ok(Self { digits, length: bytes.len() as u8 })
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Number({})", self.as_str())
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Number;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("1 to 15 digits")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Number, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Visitor).map_err(D::Error::custom)
    }
}

/// What busy-if-any (Sammelbesetzt) covers for a number (behaviour.md step 10, X-17).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum BusyIfAny {
    /// Off: other free devices ring on.
    #[default]
    Off,
    /// A call over this number makes the number busy; team calls are offered all the same.
    Calls,
    /// Team calls are held back too (wish 13).
    CallsAndTeamCalls,
}

/// A number that belongs to a user. A number not in the table is free.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NumberState {
    /// Whose it is.
    pub owner: Fact<UserId>,
    /// The ticks of its row in the matrix: slots it rings on and calls out from, in the order of slot ids.
    pub slots: Vec<Fact<SlotId>>,
    /// Call waiting (Anklopfen): a busy device rings with a tone.
    pub call_waiting: Fact<bool>,
    /// Busy-if-any (Sammelbesetzt).
    pub busy_if_any: Fact<BusyIfAny>,
    /// The forwarding profile chosen by hand, if a choice was ever made (F-1).
    pub manual: Option<Fact<ManualChoice>>,
    /// Schedule entries of this number.
    pub schedules: Vec<ScheduleId>,
}

impl NumberState {
    /// The tick for `slot`, with the position of the event that set it.
    #[must_use]
    pub fn tick(&self, slot: SlotId) -> Option<Fact<SlotId>> {
        self.slots.iter().find(|tick| tick.value == slot).copied()
    }
}

/// A number was given to a user; it has no ticks yet and cannot be reached (N-1, N-2).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NumberAssigned {
    /// The number.
    pub number: Number,
    /// Its new owner.
    pub user: UserId,
}

/// A number was taken from its user; its profile setting and schedules vanish with it (N-9).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NumberFreed {
    /// The number, free from now on.
    pub number: Number,
    /// Who had it.
    pub user: UserId,
    /// The schedule entries that vanished with it.
    pub schedules: Vec<ScheduleId>,
}

/// A tick in the number×slot matrix was set or cleared (N-4).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MatrixChanged {
    /// The owner of both.
    pub user: UserId,
    /// The row.
    pub number: Number,
    /// The column.
    pub slot: SlotId,
    /// Set or cleared.
    pub on: bool,
}

/// Call waiting was switched for a number.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CallWaitingSet {
    /// The number.
    pub number: Number,
    /// On or off.
    pub on: bool,
}

/// Busy-if-any was set for a number.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BusyIfAnySet {
    /// The number.
    pub number: Number,
    /// What it covers from now on.
    pub scope: BusyIfAny,
}

nothing_personal!(NumberAssigned, NumberFreed, MatrixChanged, CallWaitingSet, BusyIfAnySet);

impl Evolve for NumberAssigned {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.extend([Subject::Number(self.number), Subject::User(self.user)]);
    }

    fn evolve(&self, exchange: &mut Exchange, envelope: &Envelope) {
        let at = envelope.position;
        let number = NumberState {
            owner: Fact::new(self.user, at),
            slots: Vec::new(),
            call_waiting: Fact::new(false, at),
            busy_if_any: Fact::new(BusyIfAny::Off, at),
            manual: None,
            schedules: Vec::new(),
        };
        exchange.numbers.insert(self.number, number.into());
        edit(&mut exchange.users, &self.user, |user| add(&mut user.numbers, self.number));
    }
}

impl Evolve for NumberFreed {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.extend([Subject::Number(self.number), Subject::User(self.user)]);
        out.extend(self.schedules.iter().copied().map(Subject::Schedule));
    }

    fn evolve(&self, exchange: &mut Exchange, _: &Envelope) {
        exchange.forget_number(self.number);
    }
}

impl Evolve for MatrixChanged {
    fn subjects(&self, out: &mut Vec<Subject>) {
        let (number, slot) = (Subject::Number(self.number), Subject::Slot(self.slot));
        out.extend([number, slot, Subject::User(self.user)]);
    }

    fn evolve(&self, exchange: &mut Exchange, envelope: &Envelope) {
        let tick = Fact::new(self.slot, envelope.position);
        edit(&mut exchange.numbers, &self.number, |number| {
            number.slots.retain(|old| old.value != self.slot);
            if self.on {
                let place = number.slots.partition_point(|old| old.value < self.slot);
                number.slots.reserve_exact(1);
                number.slots.insert(place, tick);
            }
        });
        edit(&mut exchange.slots, &self.slot, |slot| {
            slot.numbers.retain(|old| *old != self.number);
            if self.on {
                add(&mut slot.numbers, self.number);
                slot.numbers.sort_unstable();
            } else if slot.selected.is_some_and(|chosen| chosen.value == self.number) {
                slot.selected = None;
            }
        });
    }
}

impl Evolve for CallWaitingSet {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.push(Subject::Number(self.number));
    }

    fn evolve(&self, exchange: &mut Exchange, envelope: &Envelope) {
        edit(&mut exchange.numbers, &self.number, |number| {
            number.call_waiting = Fact::new(self.on, envelope.position);
        });
    }
}

impl Evolve for BusyIfAnySet {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.push(Subject::Number(self.number));
    }

    fn evolve(&self, exchange: &mut Exchange, envelope: &Envelope) {
        edit(&mut exchange.numbers, &self.number, |number| {
            number.busy_if_any = Fact::new(self.scope, envelope.position);
        });
    }
}
