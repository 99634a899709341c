//! Registrations: RFC 3261 §10.3, step 7 and after, on what the phones' room has parsed and authenticated.

use crate::command::Decide;
use crate::draft::Draft;
use crate::lookup;
use crate::order::LeaseRenewal;
use crate::refusal::{Refusal, RefusalCode};
use chrono::Datelike;
use switchbook_core::device::Device;
use switchbook_core::envelope::Subject;
use switchbook_core::id::DeviceId;
use switchbook_core::personal::{KeyId, Personal};
use switchbook_core::position::{Moment, Seconds};
use switchbook_core::registration::{
    Binding, BindingId, PhoneRegistered, RegistrationChanged, RegistrationExpired,
    RegistrationRemoved,
};

/// How many addresses one device may have.
pub const CONTACT_LIMIT: usize = 5;

/// A REGISTER that was authenticated as this device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Register {
    /// Which device.
    pub device: DeviceId,
    /// What it asks for.
    pub ask: Ask,
    /// Hash of the Call-ID.
    pub call_id: u64,
    /// CSeq.
    pub cseq: u32,
    /// The phone's User-Agent, if it told.
    pub user_agent: Option<String>,
    /// Shortest and longest expiry granted; what is asked for is brought inside.
    pub bounds: (Seconds, Seconds),
}

/// What a REGISTER asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ask {
    /// Add, refresh or remove these.
    Contacts(Vec<Contact>),
    /// `Contact: *` with `Expires: 0`: remove all.
    RemoveAll,
}

/// One address a phone wants to be reached at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Contact {
    /// The contact URI as the phone wrote it.
    pub uri: String,
    /// The address the packet came from, if it differs from the contact's.
    pub source: Option<String>,
    /// What was asked for; 0 removes.
    pub expires: Seconds,
}

/// A present binding with what its lease says.
#[derive(Clone, Debug)]
struct Bound {
    binding: Binding,
    expires_at: Moment,
    cseq: u32,
}

impl Decide for Register {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let exchange = draft.exchange();
        let phone = lookup::device_state(exchange, self.device)?.clone();
        let registration = exchange.registrations.get(&self.device).cloned();
        let mut last = registration.as_ref().map_or(BindingId(0), |r| r.last);
        let mut bound: Vec<Bound> = registration
            .iter()
            .flat_map(|registration| &registration.bindings)
            .map(|(binding, _)| {
                let lease = draft.leases().lease(self.device, binding.binding);
                Bound {
                    expires_at: lease
                        .map_or(binding.expires_at, |l| l.expires_at.max(binding.expires_at)),
                    cseq: lease.map_or(binding.cseq, |l| l.cseq.max(binding.cseq)),
                    binding: binding.clone(),
                }
            })
            .collect();
        match &self.ask {
            Ask::RemoveAll => {
                for old in &bound {
                    self.in_order(old)?;
                }
                for old in bound {
                    let binding = old.binding.binding;
                    draft.tell_last(RegistrationRemoved { device: self.device, binding });
                }
            }
            Ask::Contacts(contacts) => {
                // All or nothing: every contact is looked at before anything is told.
                for contact in contacts {
                    if let Some(old) = find(&bound, contact) {
                        self.in_order(old)?;
                    }
                }
                self.make_room(draft, &phone, &mut bound, contacts)?;
                for contact in contacts {
                    self.bind(draft, contact, &mut bound, &mut last);
                }
            }
        }
        Ok(())
    }
}

fn find<'b>(bound: &'b [Bound], contact: &Contact) -> Option<&'b Bound> {
    bound.iter().find(|old| old.binding.contact.known() == Some(&contact.uri))
}

impl Register {
    /// §10.3 step 7: within one Call-ID only a higher CSeq may change a binding.
    fn in_order(&self, old: &Bound) -> Result<(), Refusal> {
        if old.binding.call_id == self.call_id && self.cseq <= old.cseq {
            return Err(Refusal::new(RefusalCode::RegistrationOutOfOrder)
                .about(Subject::Device(self.device)));
        }
        Ok(())
    }

    /// addresses beyond the limit are refused; those whose time is over do not count, and go.
    fn make_room(
        &self,
        draft: &mut Draft<'_, '_>,
        phone: &Device,
        bound: &mut Vec<Bound>,
        contacts: &[Contact],
    ) -> Result<(), Refusal> {
        let mut after: Vec<&str> = bound.iter().filter_map(|b| b.binding.contact.known()).collect();
        let erased = bound.len() - after.len();
        for contact in contacts {
            after.retain(|uri| *uri != contact.uri);
            if contact.expires.0 > 0 {
                after.push(&contact.uri);
            }
        }
        if after.len() + erased <= CONTACT_LIMIT {
            return Ok(());
        }
        let now = draft.now();
        let over = |b: &Bound| b.expires_at <= now && !contacts.iter().any(|c| same(b, c));
        let expired = bound.iter().filter(|b| over(b)).count();
        if after.len() + erased - expired > CONTACT_LIMIT {
            return Err(Refusal::new(RefusalCode::ContactLimit)
                .with("device", &phone.name)
                .with("limit", CONTACT_LIMIT)
                .about(Subject::Device(self.device)));
        }
        let (gone, kept) = std::mem::take(bound).into_iter().partition::<Vec<_>, _>(over);
        *bound = kept;
        for old in gone {
            draft.tell_last(RegistrationExpired {
                device: self.device,
                binding: old.binding.binding,
                expired_at: old.expires_at,
            });
        }
        Ok(())
    }

    fn bind(
        &self,
        draft: &mut Draft<'_, '_>,
        contact: &Contact,
        bound: &mut Vec<Bound>,
        last: &mut BindingId,
    ) {
        let device = self.device;
        let place = bound.iter().position(|old| same(old, contact));
        if contact.expires.0 == 0 {
            if let Some(place) = place {
                let binding = bound.remove(place).binding.binding;
                draft.tell_last(RegistrationRemoved { device, binding });
            }
            return;
        }
        let granted = contact.expires.clamp(self.bounds.0, self.bounds.1.max(self.bounds.0));
        let expires_at = draft.now().plus_seconds(i64::from(granted.0));
        if let Some(old) = place.and_then(|place| bound.get(place))
            && self.only_refreshes(&old.binding, contact, granted)
        {
            let binding = old.binding.binding;
            draft.renew(LeaseRenewal { device, binding, expires_at, cseq: self.cseq });
            return;
        }
        let key = KeyId::Period(period(draft.now()));
        let name = place.and_then(|place| bound.get(place)).map(|old| old.binding.binding);
        let binding = Binding {
            binding: name.unwrap_or(BindingId(last.0.saturating_add(1))),
            contact: Personal::new(key, &contact.uri),
            source: contact.source.as_ref().map(|source| Personal::new(key, source)),
            granted,
            expires_at,
            call_id: self.call_id,
            cseq: self.cseq,
            user_agent: self.user_agent.clone(),
        };
        let now = Bound { binding: binding.clone(), expires_at, cseq: self.cseq };
        match place.and_then(|place| bound.get_mut(place)) {
            Some(old) => {
                *old = now;
                draft.tell_last(RegistrationChanged { device, binding });
            }
            None => {
                *last = binding.binding;
                bound.push(now);
                draft.tell_last(PhoneRegistered { device, binding });
            }
        }
    }

    /// Way 3: the same phone, from the same address, for as long as before.
    fn only_refreshes(&self, old: &Binding, contact: &Contact, granted: Seconds) -> bool {
        old.granted == granted
            && old.call_id == self.call_id
            && old.user_agent == self.user_agent
            && old.source.as_ref().and_then(Personal::known) == contact.source.as_deref()
    }
}

fn same(bound: &Bound, contact: &Contact) -> bool {
    bound.binding.contact.known() == Some(&contact.uri)
}

/// The retention period a moment falls into, as keys name it.
fn period(now: Moment) -> u32 {
    let date = now.utc();
    u32::try_from(date.year()).unwrap_or(0) * 100 + date.month()
}

/// A binding's time is over: nobody refreshed it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Expire {
    /// Whose.
    pub device: DeviceId,
    /// Which.
    pub binding: BindingId,
}

impl Decide for Expire {
    fn decide(&self, draft: &mut Draft<'_, '_>) -> Result<(), Refusal> {
        let registration = draft.exchange().registrations.get(&self.device);
        let present = registration
            .and_then(|r| r.bindings.iter().find(|(b, _)| b.binding == self.binding))
            .map(|(binding, _)| binding.expires_at);
        // Gone, or refreshed in the meantime: nothing happened.
        let Some(granted_until) = present else { return Ok(()) };
        let lease = draft.leases().lease(self.device, self.binding);
        let expired_at = lease.map_or(granted_until, |l| l.expires_at.max(granted_until));
        if expired_at <= draft.now() {
            let (device, binding) = (self.device, self.binding);
            draft.tell_last(RegistrationExpired { device, binding, expired_at });
        }
        Ok(())
    }
}
