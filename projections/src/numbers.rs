//! `numbers`: the dial view. What happens to each number at T: whose, on which slots, who is logged in there, which
//! profile is in force (F-5), call waiting, busy-if-any, direct inward dialling.

use crate::names::Naming;
use crate::registrar::{self, Refreshes};
use crate::sentence::reason;
use crate::table::{Table, fact, maybe};
use crate::text;
use crate::text::{Text, When, either};
use serde::Serialize;
use std::collections::BTreeMap;
use switchbook_core::exchange::Exchange;
use switchbook_core::fact::Fact;
use switchbook_core::id::{DeviceId, SlotId, UserId};
use switchbook_core::number::{BusyIfAny, Number, NumberState};
use switchbook_core::position::{Moment, Position};
use switchbook_core::routing::profile;
use switchbook_core::user::Language;

/// The table.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct NumbersView {
    /// True at this position.
    pub position: Position,
    /// And this moment.
    pub at: When,
    /// One row a number, in the order of digits.
    pub numbers: Vec<NumberRow>,
}

/// One number.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct NumberRow {
    /// The digits.
    pub number: Number,
    /// Whose.
    pub owner: Fact<String>,
    /// His id.
    pub owner_id: UserId,
    /// Where it rings and calls out from: the row of the matrix.
    pub slots: Vec<SlotCell>,
    /// The profile in force at T.
    pub in_force: Option<InForce>,
    /// Call waiting.
    pub call_waiting: Fact<bool>,
    /// Busy-if-any.
    pub busy_if_any: Fact<BusyIfAny>,
    /// Digits of trunks that reach it from outside.
    pub inbound: Vec<InboundCell>,
}

/// A tick, and who can be reached there.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct SlotCell {
    /// `ada/desk`
    pub slot: Fact<String>,
    /// Its id.
    pub slot_id: SlotId,
    /// The device logged in there.
    pub device: Option<Fact<String>>,
    /// Its id.
    pub device_id: Option<DeviceId>,
    /// It has a binding.
    pub registered: bool,
}

/// What is in force for a number, and what made it so.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct InForce {
    /// `ada/Urlaub`; none: "no profile" was chosen.
    pub profile: Option<String>,
    /// Schedule or choice by hand.
    pub because: Text,
    /// The event.
    pub at: Position,
}

/// Direct inward dialling.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct InboundCell {
    /// Which trunk.
    pub trunk: String,
    /// What the network sends.
    pub dialled: Fact<String>,
}

type Inbound = BTreeMap<Number, Vec<InboundCell>>;

/// The numbers at T: all, or those of one user.
pub fn view<L: Refreshes>(
    exchange: &Exchange,
    refreshes: &L,
    at: Moment,
    owner: Option<UserId>,
) -> NumbersView {
    let mut inbound = inbound(exchange);
    let numbers = exchange
        .numbers
        .iter()
        .filter(|(_, state)| owner.is_none_or(|owner| state.owner.value == owner))
        .map(|(number, state)| {
            let inbound = inbound.remove(number).unwrap_or_default();
            row(exchange, refreshes, at, *number, state, inbound)
        })
        .collect();
    NumbersView { position: exchange.position, at: When(at), numbers }
}

/// One number at T; none when it is free.
pub fn one<L: Refreshes>(
    exchange: &Exchange,
    refreshes: &L,
    at: Moment,
    number: Number,
) -> Option<NumberRow> {
    let state = exchange.numbers.get(&number)?;
    let inbound = inbound(exchange).remove(&number).unwrap_or_default();
    Some(row(exchange, refreshes, at, number, state, inbound))
}

fn inbound(exchange: &Exchange) -> Inbound {
    let mut found = Inbound::new();
    for trunk in exchange.trunks.values() {
        for rule in &trunk.inbound {
            let dialled = Fact::new(rule.value.dialled.clone(), rule.at);
            let cell = InboundCell { trunk: trunk.name.clone(), dialled };
            found.entry(rule.value.number).or_default().push(cell);
        }
    }
    found
}

fn row<L: Refreshes>(
    exchange: &Exchange,
    refreshes: &L,
    at: Moment,
    number: Number,
    state: &NumberState,
    inbound: Vec<InboundCell>,
) -> NumberRow {
    let slots = state
        .slots
        .iter()
        .map(|tick| {
            let device = exchange.slots.get(&tick.value).and_then(|slot| slot.device);
            SlotCell {
                slot: Fact::new(exchange.slot(tick.value), tick.at),
                slot_id: tick.value,
                device: device.map(|device| Fact::new(exchange.device(device.value), device.at)),
                device_id: device.map(|device| device.value),
                registered: device.is_some_and(|device| {
                    registrar::bindings(exchange, device.value, refreshes, at).next().is_some()
                }),
            }
        })
        .collect();
    NumberRow {
        number,
        owner: Fact::new(exchange.user(state.owner.value), state.owner.at),
        owner_id: state.owner.value,
        slots,
        in_force: in_force(exchange, number, at),
        call_waiting: state.call_waiting,
        busy_if_any: state.busy_if_any,
        inbound,
    }
}

/// The profile in force at T, as the routing decision sees it (F-5, X-16), with names.
#[must_use]
pub fn in_force(exchange: &Exchange, number: Number, at: Moment) -> Option<InForce> {
    let found = profile::in_force(exchange, number, at);
    let (says, position) = found.because?;
    Some(InForce {
        profile: found.profile.map(|(id, _)| exchange.profile(id)),
        because: reason(&says, exchange, crate::text::zone(exchange)),
        at: position,
    })
}

/// `calls`, `calls and team calls`, `off`.
pub fn busy_word(scope: BusyIfAny) -> Text {
    match scope {
        BusyIfAny::Off => text!("off", "aus"),
        BusyIfAny::Calls => text!("calls", "Anrufe"),
        BusyIfAny::CallsAndTeamCalls => text!("calls and team calls", "Anrufe und Teamanrufe"),
    }
}

/// `on` or `off`.
pub fn switch(on: bool) -> Text {
    if on { text!("on", "an") } else { text!("off", "aus") }
}

impl NumbersView {
    /// For people.
    #[must_use]
    pub fn table(&self, language: Language) -> Table {
        let columns = [
            ("number", "Rufnummer"),
            ("owner", "Besitzer"),
            ("slots", "Slots"),
            ("profile in force", "Profil in Kraft"),
            ("call waiting", "Anklopfen"),
            ("busy-if-any", "Sammelbesetzt"),
            ("from outside", "von außen"),
        ];
        let mut table = Table::of(language, &text!("Numbers", "Rufnummern"), &columns);
        for row in &self.numbers {
            let in_force = row.in_force.as_ref().map(|force| {
                let name = force.profile.as_deref().unwrap_or(either(language, "none", "keines"));
                format!("{name} {}", force.at)
            });
            let (waiting, busy) =
                (switch(row.call_waiting.value), busy_word(row.busy_if_any.value));
            let (waiting, busy) = (waiting.read(language), busy.read(language));
            table.row([
                row.number.to_string(),
                fact(&row.owner),
                row.slots.iter().map(|slot| cell(slot, language)).collect::<Vec<_>>().join(", "),
                maybe(in_force.as_ref()),
                format!("{waiting} {}", row.call_waiting.at),
                format!("{busy} {}", row.busy_if_any.at),
                row.inbound
                    .iter()
                    .map(|way| format!("{} ({})", way.dialled.value, way.trunk))
                    .collect::<Vec<_>>()
                    .join(", "),
            ]);
        }
        let (position, at) = (self.position, self.at);
        let note = text!("as of {position}, {at}", "nach dem Stand von {position}, {at}");
        table.note(note.read(language));
        table
    }
}

fn cell(slot: &SlotCell, language: Language) -> String {
    let name = &slot.slot.value;
    let at = either(language, "at", "an");
    match &slot.device {
        None => format!("{name} ({})", either(language, "nobody logged in", "niemand angemeldet")),
        Some(device) if slot.registered => format!("{name} {at} {}", device.value),
        Some(device) => {
            let not = either(language, "not registered", "nicht registriert");
            format!("{name} {at} {} ({not})", device.value)
        }
    }
}
