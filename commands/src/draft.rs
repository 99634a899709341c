//! A decision in the making: the exchange as it would be, the events so far, and who asks.

use crate::authorise::Standing;
use crate::order::{Context, Decision, LeaseRenewal, Order, Warning, WarningCode};
use crate::refusal::{Refusal, RefusalCode};
use std::borrow::Cow;
use switchbook_core::device::{DeviceLoggedOut, LogoutReason};
use switchbook_core::envelope::{Envelope, Recorded, Subject};
use switchbook_core::event::Event;
use switchbook_core::exchange::Exchange;
use switchbook_core::id::{CorrelationId, DeviceId};
use switchbook_core::position::Moment;
use switchbook_core::settings::Settings;
use uuid::Uuid;

/// Collects what a command leads to. Commands that make several events see the effect of the earlier ones.
pub struct Draft<'a, 'c> {
    exchange: Cow<'a, Exchange>,
    order: &'a Order,
    context: &'a mut Context<'c>,
    /// Whose rights count.
    pub standing: Standing,
    decision: Decision,
}

impl<'a, 'c> Draft<'a, 'c> {
    pub(crate) fn new(
        exchange: &'a Exchange,
        order: &'a Order,
        standing: Standing,
        context: &'a mut Context<'c>,
    ) -> Self {
        let decision = Decision::default();
        Self { exchange: Cow::Borrowed(exchange), order, context, standing, decision }
    }

    /// The exchange with the effect of every event told so far.
    pub fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    /// The settings; refused before the book was founded.
    pub fn settings(&self) -> Result<&Settings, Refusal> {
        self.exchange.settings.as_deref().ok_or(Refusal::new(RefusalCode::NotFounded))
    }

    /// The moment T.
    pub fn now(&self) -> Moment {
        self.context.now
    }

    /// A new id.
    pub fn new_id(&mut self) -> Uuid {
        (self.context.new_id)()
    }

    /// What the leases say.
    pub fn leases(&self) -> &dyn crate::order::LeaseView {
        self.context.leases
    }

    /// Tells an event and folds it, so that what follows sees it.
    pub fn tell(&mut self, event: impl Into<Event>) {
        let event = event.into();
        let order = self.order;
        let envelope = Envelope {
            position: self.exchange.position.next(),
            recorded_at: self.context.now,
            moment: self.context.now,
            actor: order.actor,
            on_behalf_of: order.on_behalf_of,
            source: None,
            cause: order.cause,
            correlation: order.correlation.unwrap_or(CorrelationId(order.id.0)),
            command: order.id,
            subjects: Vec::new(),
        };
        let recorded = Recorded { envelope, event };
        self.exchange.to_mut().evolve(&recorded);
        self.decision.events.push(recorded.event);
    }

    /// Tells a last event, whose effect nothing in this decision looks at: spares the copy of the exchange.
    pub fn tell_last(&mut self, event: impl Into<Event>) {
        self.decision.events.push(event.into());
    }

    /// Lets a binding live on without an event.
    pub fn renew(&mut self, lease: LeaseRenewal) {
        self.decision.leases.push(lease);
    }

    /// Tells the sender something.
    pub fn warn(&mut self, warning: Warning) {
        self.decision.warnings.push(warning);
    }

    pub(crate) fn finish(self) -> Decision {
        self.decision
    }

    /// RO-14: a log-off never touches a call in progress, unless an administrator forces it.
    pub fn not_in_call(&self, device: DeviceId, force: Force) -> Result<(), Refusal> {
        let forced = force == Force::Yes && self.standing.administers();
        if forced || !self.context.calls.in_call(device) {
            return Ok(());
        }
        Err(Refusal::new(RefusalCode::InCall)
            .with("device", crate::lookup::device_name(self.exchange(), device))
            .about(Subject::Device(device)))
    }

    /// Logs a device off, if somebody is logged in there; who may, was asked before.
    pub fn log_out(
        &mut self,
        device: DeviceId,
        reason: LogoutReason,
        force: Force,
    ) -> Result<(), Refusal> {
        let login = self.exchange.devices.get(&device).and_then(|state| state.login);
        let Some(slot) = login.map(|login| login.value) else { return Ok(()) };
        let Some(user) = self.exchange.slots.get(&slot).map(|slot| slot.user) else {
            return Ok(());
        };
        self.not_in_call(device, force)?;
        let name = crate::lookup::device_name(self.exchange(), device);
        self.tell(DeviceLoggedOut { user, slot, device, reason });
        self.warn(Warning::new(WarningCode::DeviceLoggedOff).with("device", name));
        Ok(())
    }
}

/// May a call in progress be touched (RO-14)? Counts for administrators only.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Force {
    /// No: refuse.
    #[default]
    No,
    /// Yes.
    Yes,
}

impl<'de> serde::Deserialize<'de> for Force {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(if bool::deserialize(deserializer)? { Self::Yes } else { Self::No })
    }
}

/// Has the sender seen what else is affected, and means it (U-5, F-7)?
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Confirm {
    /// No: refuse, and list it.
    #[default]
    No,
    /// Yes.
    Yes,
}

impl<'de> serde::Deserialize<'de> for Confirm {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(if bool::deserialize(deserializer)? { Self::Yes } else { Self::No })
    }
}
