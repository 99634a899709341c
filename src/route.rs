//! `switchbook route`: the routing decision asked by a person, for now or another moment.

use crate::console::views;
use crate::failure::Failure;
use serde_json::{Map, Value};
use switchbook_core::exchange::Exchange;
use switchbook_core::id::{DeviceId, UserId};
use switchbook_core::number::Number;
use switchbook_core::position::Moment;
use switchbook_core::routing::plan::RoutePlan;
use switchbook_core::routing::{From, RoutingInput, Volatile, route};
use switchbook_projections::registrar::{self, Refreshes};
use switchbook_projections::text;
use switchbook_projections::text::Text;

/// What a person asks.
pub struct Asked {
    /// Who calls.
    pub from: From,
    /// What is dialled.
    pub to: String,
    /// When; now if none.
    pub at: Option<Moment>,
}

impl Asked {
    /// From the arguments of the command line, and the moment that they name.
    pub fn read(
        exchange: &Exchange,
        arguments: &Map<String, Value>,
        at: Option<Moment>,
    ) -> Result<Self, Failure> {
        let text = |name: &str| arguments.get(name).and_then(Value::as_str);
        let from = text("from").ok_or_else(|| {
            Failure::new(text!(
                "who calls? Name a phone with --from",
                "wer ruft an? Nennen Sie ein Telefon mit --from"
            ))
        })?;
        let to = text("to").ok_or_else(|| {
            Failure::new(text!(
                "what is dialled? Name it with --to",
                "was wird gewählt? Nennen Sie es mit --to"
            ))
        })?;
        Ok(Self { from: caller(exchange, from)?, to: to.into(), at })
    }
}

/// A phone by its name, a user's first phone, or `trunk:NAME`.
fn caller(exchange: &Exchange, name: &str) -> Result<From, Failure> {
    if let Some(trunk) = name.strip_prefix("trunk:") {
        let found = exchange.trunks.iter().find(|(_, state)| state.name == trunk);
        return found.map(|(id, _)| From::Trunk(*id)).ok_or_else(|| {
            Failure::new(text!("there is no trunk `{trunk}`", "es gibt kein Amt `{trunk}`"))
        });
    }
    if let Some(device) = exchange.device_named(name) {
        return Ok(From::Device(device));
    }
    let user = views::user(exchange, name).map_err(|_| {
        Failure::new(text!(
            "there is no phone and no user `{name}`",
            "es gibt weder ein Telefon noch einen Benutzer `{name}`"
        ))
        .advice(text!(
            "`switchbook device list` shows all phones; a trunk is trunk:NAME.",
            "`switchbook device list` zeigt alle Telefone; ein Amt ist trunk:NAME."
        ))
    })?;
    phone_of(exchange, user).map(From::Device).ok_or_else(|| {
        Failure::new(text!(
            "{name} is logged in at no phone",
            "{name} ist an keinem Telefon angemeldet"
        ))
    })
}

fn phone_of(exchange: &Exchange, user: UserId) -> Option<DeviceId> {
    let slots = &exchange.users.get(&user)?.slots;
    slots.iter().find_map(|slot| exchange.slots.get(slot)?.device).map(|login| login.value)
}

/// The plan for a call now: phones as they are registered, nobody in a call.
pub fn now<R: Refreshes>(
    exchange: &Exchange,
    refreshes: &R,
    now: Moment,
    asked: &Asked,
) -> RoutePlan {
    let registered =
        |device| registrar::bindings(exchange, device, refreshes, now).next().is_some();
    plan(exchange, &Idle(registered), now, asked)
}

/// The plan for a call at another moment: every phone somebody is logged in at is taken as registered and idle.
pub fn then(exchange: &Exchange, at: Moment, asked: &Asked) -> RoutePlan {
    plan(exchange, &Idle(|_| true), at, asked)
}

fn plan(exchange: &Exchange, volatile: &dyn Volatile, at: Moment, asked: &Asked) -> RoutePlan {
    let (from, dialled) = (asked.from, asked.to.as_str());
    route(RoutingInput { exchange, volatile, from, dialled, at }).plan
}

/// What is said of a plan's assumptions.
pub fn assumption(asked: &Asked) -> Text {
    match asked.at {
        None => text!(
            "as phones are registered now, nobody in a call",
            "mit den Registrierungen von jetzt, niemand im Gespräch"
        ),
        Some(_) => text!(
            "every phone somebody is logged in at taken as registered and idle",
            "jedes Telefon, an dem jemand angemeldet ist, gilt als registriert und frei"
        ),
    }
}

struct Idle<F: Fn(DeviceId) -> bool>(F);

impl<F: Fn(DeviceId) -> bool> Volatile for Idle<F> {
    fn registered(&self, device: DeviceId) -> bool {
        (self.0)(device)
    }

    fn calls_on(&self, _: DeviceId) -> Vec<Option<Number>> {
        Vec::new()
    }

    fn in_use(&self, _: Number) -> bool {
        false
    }
}
