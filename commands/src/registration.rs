//! Registrations: RFC 3261 §10.3, step 7 and after, on what the phones' room has parsed and authenticated.

use crate::command::Decide;
use crate::draft::Draft;
use crate::lookup;
use crate::order::LeaseRenewal;
use crate::refusal::{Refusal, RefusalCode};
use std::sync::Arc;
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
    /// Its parameters as written, without `expires` and `+sip.instance`.
    pub parameters: String,
    /// Which handset it is (RFC 5626 §4.1), with the flow behind it if it keeps several (`reg-id`).
    pub instance: Option<String>,
    /// The address the packet came from, `ip:port`.
    pub source: String,
    /// The contact names another host than that.
    pub behind_nat: bool,
    /// What was asked for; 0 removes.
    pub expires: Seconds,
}

/// A present binding with what its lease says.
#[derive(Clone, Debug)]
struct Bound {
    binding: Arc<Binding>,
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
                    expires_at: binding.said_to_end(lease.map(|lease| lease.expires_at)),
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
                    if let Some(place) = self.place(&bound, contact)
                        && let Some(old) = bound.get(place)
                    {
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

impl Register {
    /// §10.3 step 7: within one Call-ID only a higher CSeq may change a binding.
    fn in_order(&self, old: &Bound) -> Result<(), Refusal> {
        if old.binding.call_id == self.call_id && self.cseq <= old.cseq {
            return Err(Refusal::new(RefusalCode::RegistrationOutOfOrder)
                .about(Subject::Device(self.device)));
        }
        Ok(())
    }

    /// The binding a contact is about: the one with its URI, else the one of the same handset, which has moved to
    /// another address (RFC 5626 §6). One whose address was erased is known by its Call-ID.
    fn place(&self, bound: &[Bound], contact: &Contact) -> Option<usize> {
        let same_uri = |old: &Bound| old.binding.contact.known() == Some(&contact.uri);
        bound.iter().position(same_uri).or_else(|| {
            self.only_one_new()?;
            let same_handset = |old: &Bound| {
                contact.instance.is_some()
                    && old.binding.instance.as_deref() == contact.instance.as_deref()
            };
            let erased = |old: &Bound| {
                old.binding.contact.known().is_none() && old.binding.call_id == self.call_id
            };
            bound.iter().position(same_handset).or_else(|| bound.iter().position(erased))
        })
    }

    /// The contact, if this REGISTER brings just one: two at once are two on purpose.
    fn only_one_new(&self) -> Option<&Contact> {
        match &self.ask {
            Ask::Contacts(contacts) => match contacts.as_slice() {
                [one] if one.expires.0 > 0 => Some(one),
                _ => None,
            },
            Ask::RemoveAll => None,
        }
    }

    /// addresses beyond the limit are refused. Those whose time is over do not count, and go; so does one that
    /// the same phone left behind when it came back at another port without saying good-bye.
    fn make_room(
        &self,
        draft: &mut Draft<'_, '_>,
        phone: &Device,
        bound: &mut Vec<Bound>,
        contacts: &[Contact],
    ) -> Result<(), Refusal> {
        let named: Vec<usize> = contacts.iter().filter_map(|c| self.place(bound, c)).collect();
        // The same contact twice in one REGISTER is one.
        let mut news: Vec<&str> = Vec::new();
        let mut gone: Vec<usize> = Vec::new();
        for contact in contacts {
            match self.place(bound, contact) {
                Some(place) if contact.expires.0 == 0 => gone.push(place),
                None if contact.expires.0 > 0 => news.push(&contact.uri),
                _ => {}
            }
        }
        gone.sort_unstable();
        gone.dedup();
        news.sort_unstable();
        news.dedup();
        let after = (bound.len() + news.len()).saturating_sub(gone.len());
        if after <= CONTACT_LIMIT {
            return Ok(());
        }
        let now = draft.now();
        let unnamed = |place: &usize| !named.contains(place);
        let expired = |place: &usize| bound.get(*place).is_some_and(|old| old.expires_at <= now);
        let mut leaving: Vec<usize> = (0..bound.len()).filter(unnamed).filter(expired).collect();
        if after - leaving.len() == CONTACT_LIMIT + 1 {
            leaving.extend(self.left_behind(bound).filter(unnamed));
        }
        // Ends that a clock which was ahead has told: as many of them go as are needed, the oldest first. Whoever lives on
        // comes back with his next refresh, as he would have to anyway.
        let out_of_reach = |place: &usize| {
            let old = bound.get(*place);
            old.is_some_and(|old| old.binding.is_out_of_reach(Some(old.expires_at), now))
        };
        let staying = |place: &usize| unnamed(place) && !leaving.contains(place);
        let over = (after - leaving.len()).saturating_sub(CONTACT_LIMIT);
        let unreachable: Vec<usize> =
            (0..bound.len()).filter(staying).filter(out_of_reach).take(over).collect();
        leaving.extend(&unreachable);
        if after - leaving.len() > CONTACT_LIMIT {
            return Err(Refusal::new(RefusalCode::ContactLimit)
                .with("device", &phone.name)
                .with("limit", CONTACT_LIMIT)
                .about(Subject::Device(self.device)));
        }
        let device = self.device;
        let mut place = 0..;
        bound.retain(|old| {
            let leaves = place.next().is_some_and(|place| leaving.contains(&place));
            let (binding, expired_at) = (old.binding.binding, old.expires_at.min(now));
            let over =
                old.expires_at <= now || old.binding.is_out_of_reach(Some(old.expires_at), now);
            match leaves {
                true if over => {
                    draft.tell_last(RegistrationExpired { device, binding, expired_at });
                }
                true => draft.tell_last(RegistrationRemoved { device, binding }),
                false => {}
            }
            !leaves
        });
        Ok(())
    }

    /// The binding that a phone without an instance id left behind: the oldest with its Call-ID, else the oldest of
    /// the same make from the same host.
    fn left_behind(&self, bound: &[Bound]) -> Option<usize> {
        let contact = self.only_one_new()?;
        let host = |source: &str| source.rsplit_once(':').map(|(host, _)| host.to_owned());
        let here = host(&contact.source);
        let same_make = |old: &Bound| {
            old.binding.user_agent.as_deref() == self.user_agent.as_deref()
                && here.is_some()
                && old.binding.source.known().and_then(host) == here
        };
        bound
            .iter()
            .position(|old| old.binding.call_id == self.call_id)
            .or_else(|| bound.iter().position(same_make))
    }

    fn bind(
        &self,
        draft: &mut Draft<'_, '_>,
        contact: &Contact,
        bound: &mut Vec<Bound>,
        last: &mut BindingId,
    ) {
        let device = self.device;
        let place = self.place(bound, contact);
        if contact.expires.0 == 0 {
            if let Some(place) = place {
                let binding = bound.remove(place).binding.binding;
                draft.tell_last(RegistrationRemoved { device, binding });
            }
            return;
        }
        let granted = contact.expires.clamp(self.bounds.0, self.bounds.1.max(self.bounds.0));
        let expires_at = draft.now().plus_seconds(i64::from(granted.0));
        // The first refresh of a month is an event: what the book says last of a living binding is sealed under a key
        // that no erasure may touch yet.
        let (erasures, now) = (&draft.exchange().erasures, draft.now());
        let old = place.and_then(|place| bound.get(place));
        let key = match old.map(|old| old.binding.contact.key()) {
            Some(before) => erasures.key_of_month_after(before, now),
            None => erasures.key_of_month(now),
        };
        if let Some(old) = old
            && old.binding.contact.key() == key
            && self.only_refreshes(&old.binding, contact, granted)
            && !old.binding.is_out_of_reach(Some(old.expires_at), draft.now())
        {
            let binding = old.binding.binding;
            draft.renew(LeaseRenewal { device, binding, expires_at, cseq: self.cseq });
            return;
        }
        let name = old.map(|old| old.binding.binding);
        let binding = Binding {
            binding: name.unwrap_or(BindingId(last.0.saturating_add(1))),
            contact: Personal::new(key, &contact.uri),
            parameters: contact.parameters.as_str().into(),
            instance: contact.instance.as_deref().map(Into::into),
            source: Personal::new(key, &contact.source),
            behind_nat: contact.behind_nat,
            granted,
            expires_at,
            call_id: self.call_id,
            cseq: self.cseq,
            user_agent: self.user_agent.as_deref().map(Into::into),
        };
        let binding = Arc::new(binding);
        let now = Bound { binding: Arc::clone(&binding), expires_at, cseq: self.cseq };
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
            && old.user_agent.as_deref() == self.user_agent.as_deref()
            && old.contact.known() == Some(&contact.uri)
            && *old.parameters == *contact.parameters
            && old.instance.as_deref() == contact.instance.as_deref()
            && old.behind_nat == contact.behind_nat
            && (!contact.behind_nat || old.source.known() == Some(&contact.source))
    }
}

/// A binding's time is over: nobody refreshed it. With an end that is out of reach, since the clock was set back, this is
/// asked when nobody has refreshed it for as long as was granted.
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
            .map(|(binding, _)| binding);
        // Gone, or refreshed in the meantime: nothing happened.
        let Some(binding) = present else { return Ok(()) };
        let lease = draft.leases().lease(self.device, self.binding).map(|lease| lease.expires_at);
        let (ends, now) = (binding.said_to_end(lease), draft.now());
        // Whoever asks has waited as long as was granted, whatever the clock says by now.
        if ends <= now || binding.is_out_of_reach(lease, now) {
            let (device, binding, expired_at) = (self.device, self.binding, ends.min(now));
            draft.tell_last(RegistrationExpired { device, binding, expired_at });
        }
        Ok(())
    }
}

/// The bindings that live on and are sealed under the key of a month that is over: told again, sealed under the key of
/// the running one, so that an erasure of that month takes no phone's address away.
pub(crate) fn reseal(draft: &mut Draft<'_, '_>, month: KeyId) {
    let (now, key) = (draft.now(), draft.exchange().erasures.key_of_month(draft.now()));
    let mut again = Vec::new();
    for (device, registration) in &draft.exchange().registrations {
        for (old, _) in &registration.bindings {
            if old.contact.key() != month && old.source.key() != month {
                continue;
            }
            let lease = draft.leases().lease(*device, old.binding);
            let expires_at = lease.map_or(old.expires_at, |l| l.expires_at.max(old.expires_at));
            let (Some(contact), Some(source)) = (old.contact.known(), old.source.known()) else {
                continue;
            };
            if expires_at > now {
                let binding = Binding {
                    contact: Personal::new(key, contact),
                    source: Personal::new(key, source),
                    expires_at,
                    cseq: lease.map_or(old.cseq, |l| l.cseq.max(old.cseq)),
                    ..Binding::clone(old)
                };
                again.push(RegistrationChanged { device: *device, binding: binding.into() });
            }
        }
    }
    again.into_iter().for_each(|changed| draft.tell_last(changed));
}
