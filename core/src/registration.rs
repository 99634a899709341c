//! Registrations: where a device can be reached (RFC 3261 §10, X-15, architecture.md way 3).
//!
//! A binding added, changed, removed or expired is an event and carries the granted expiry. A refresh that
//! changes nothing else is a lease, kept in a file of its own; the first refresh of a month is an event too, since the
//! addresses are sealed under the key of a month.

use crate::envelope::{Envelope, Subject};
use crate::event::{Evolve, nothing_personal, personal_fields};
use crate::exchange::{Exchange, edit};
use crate::id::DeviceId;
use crate::personal::Personal;
use crate::position::{Moment, Position, Seconds};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Names a binding of a device: counted up from 1, never reused within the device.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct BindingId(pub u32);

/// What a phone asked to be bound, and what it was granted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Binding {
    /// Its name within the device.
    pub binding: BindingId,
    /// The contact URI as the phone wrote it.
    pub contact: Personal,
    /// The contact's parameters as the phone wrote them (RFC 3261 §20.10, RFC 3840), without `expires` and
    /// `+sip.instance`; empty when there are none.
    pub parameters: Box<str>,
    /// Which handset it is, across restarts and addresses: `+sip.instance` (RFC 5626 §4.1), if the phone told.
    pub instance: Option<Box<str>>,
    /// The address the REGISTER came from, `ip:port`, when this was recorded.
    pub source: Personal,
    /// The contact names another host than the packet came from: requests go to `source`, so that nobody can be made
    /// to flood a third party (checklist 13). Else they go where the contact says, and `source` is for the record.
    pub behind_nat: bool,
    /// The granted expiry.
    pub granted: Seconds,
    /// When it ends unless refreshed: the moment of the decision plus `granted`.
    pub expires_at: Moment,
    /// Hash of the Call-ID the phone registers with (RFC 3261 §10.3 step 7 compares it).
    pub call_id: u64,
    /// The CSeq of the REGISTER that made or changed it.
    pub cseq: u32,
    /// The phone's User-Agent, if it told.
    pub user_agent: Option<Box<str>>,
}

/// Ends of bindings are compared with the clock to so many seconds: a restart adds one to a lease.
const SLACK_SECONDS: i64 = 5;

impl Binding {
    /// When it ends, as book and lease have it: the later of the two.
    #[must_use]
    pub fn said_to_end(&self, lease: Option<Moment>) -> Moment {
        lease.map_or(self.expires_at, |lease| lease.max(self.expires_at))
    }

    /// When it ends, seen at `now`. An end further off than what was granted was told by a clock that has been set back
    /// since: the binding lasts no longer than a new one would.
    #[must_use]
    pub fn ends(&self, lease: Option<Moment>, now: Moment) -> Moment {
        self.said_to_end(lease).min(now.plus_seconds(i64::from(self.granted.0)))
    }

    /// Is its end further off than anything that was granted, since the clock was set back? Then `now` never comes to
    /// it by itself: the next refresh is an event that sets it right, and without one the binding is over.
    #[must_use]
    pub fn is_out_of_reach(&self, lease: Option<Moment>, now: Moment) -> bool {
        let most = now.plus_seconds(i64::from(self.granted.0)).plus_seconds(SLACK_SECONDS);
        self.said_to_end(lease) > most
    }
}

/// The bindings of one device.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Registration {
    /// Present bindings, in the order they were made, each with the event that made or last changed it. A binding is the
    /// largest thing a phone leaves in memory: every state that was folded from the same event holds the same one.
    pub bindings: Vec<(Arc<Binding>, Position)>,
    /// The last name given.
    pub last: BindingId,
}

/// A phone registered: a new binding.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PhoneRegistered {
    /// Which device.
    pub device: DeviceId,
    /// The binding.
    pub binding: Arc<Binding>,
}

/// A binding was changed: another address, another Call-ID, another expiry.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RegistrationChanged {
    /// Which device.
    pub device: DeviceId,
    /// The binding from now on.
    pub binding: Arc<Binding>,
}

/// A phone took a binding back (`Expires: 0`), or it was taken from it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RegistrationRemoved {
    /// Which device.
    pub device: DeviceId,
    /// Which binding.
    pub binding: BindingId,
}

/// A binding ended because nobody refreshed it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RegistrationExpired {
    /// Which device.
    pub device: DeviceId,
    /// Which binding.
    pub binding: BindingId,
    /// When its last lease ended; when that was recorded, if the clock had been set back meanwhile.
    pub expired_at: Moment,
}

nothing_personal!(RegistrationRemoved, RegistrationExpired);
personal_fields!(Binding: contact, source);
personal_fields!(PhoneRegistered: binding);
personal_fields!(RegistrationChanged: binding);

impl Evolve for PhoneRegistered {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.push(Subject::Device(self.device));
    }

    fn evolve(&self, exchange: &mut Exchange, envelope: &Envelope) {
        let bound = (Arc::clone(&self.binding), envelope.position);
        if exchange.registrations.contains_key(&self.device) {
            edit(&mut exchange.registrations, &self.device, |registration| {
                registration.last = registration.last.max(self.binding.binding);
                registration.bindings.push(bound);
            });
        } else {
            let first = Registration { last: self.binding.binding, bindings: vec![bound] };
            exchange.registrations.insert(self.device, first.into());
        }
    }
}

impl Evolve for RegistrationChanged {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.push(Subject::Device(self.device));
    }

    fn evolve(&self, exchange: &mut Exchange, envelope: &Envelope) {
        edit(&mut exchange.registrations, &self.device, |registration| {
            for (binding, at) in &mut registration.bindings {
                if binding.binding == self.binding.binding {
                    *binding = Arc::clone(&self.binding);
                    *at = envelope.position;
                }
            }
        });
    }
}

fn unbind(exchange: &mut Exchange, device: DeviceId, gone: BindingId) {
    edit(&mut exchange.registrations, &device, |registration| {
        registration.bindings.retain(|(binding, _)| binding.binding != gone);
    });
}

impl Evolve for RegistrationRemoved {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.push(Subject::Device(self.device));
    }

    fn evolve(&self, exchange: &mut Exchange, _: &Envelope) {
        unbind(exchange, self.device, self.binding);
    }
}

impl Evolve for RegistrationExpired {
    fn subjects(&self, out: &mut Vec<Subject>) {
        out.push(Subject::Device(self.device));
    }

    fn evolve(&self, exchange: &mut Exchange, _: &Envelope) {
        unbind(exchange, self.device, self.binding);
    }
}
