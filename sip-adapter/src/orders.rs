//! From errands to orders: whom the Desk hears, and with which words a refusal comes back.

use crate::port::{Errand, Trouble, Wish};
use std::fmt::Write;
use std::net::SocketAddr;
use switchbook_commands::{
    Command, Order, Refusal, RefusalCode, call, phone, registration, secret, wire,
};
use switchbook_core::call::{CallPlaced, Caller};
use switchbook_core::envelope::Actor;
use switchbook_core::event::Event;
use switchbook_core::exchange::Exchange;
use switchbook_core::feature_code::FeatureCode;
use switchbook_core::id::{CommandId, DeviceId};
use switchbook_core::position::{Position, Seconds};
use switchbook_core::user::Language;
use switchbook_sip::transaction::Flow;

/// What somebody asks of the Desk, before it gets its name.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Who.
    pub actor: Actor,
    /// From where, in words for the book.
    pub source: Option<String>,
    /// The event that led to it.
    pub cause: Option<Position>,
    /// What.
    pub command: Command,
}

impl Asked {
    fn by_us(command: impl Into<Command>) -> Self {
        Self { actor: Actor::System, source: None, cause: None, command: command.into() }
    }

    fn by_phone(device: DeviceId, from: Flow, command: impl Into<Command>) -> Self {
        let source = Some(source(from));
        Self { actor: Actor::Phone(device), source, cause: None, command: command.into() }
    }

    /// The order, under this name.
    #[must_use]
    pub fn order(self, id: CommandId) -> Order {
        Order { source: self.source, cause: self.cause, ..Order::new(id, self.actor, self.command) }
    }
}

/// Where a message came from, as the book has it: `udp 192.0.2.7:5060`.
fn source(from: Flow) -> String {
    let mut words = String::with_capacity(32);
    words.push_str(from.transport.as_str());
    words.make_ascii_lowercase();
    words.push(' ');
    put_address(&mut words, from.remote);
    words
}

/// As `Display` has it. Two are written for each refresh of a phone, and formatting them costs more than deciding it.
fn put_address(out: &mut String, address: SocketAddr) {
    let SocketAddr::V4(v4) = address else {
        // Writing to a string cannot fail.
        let _ = write!(out, "{address}");
        return;
    };
    for (index, octet) in v4.ip().octets().into_iter().enumerate() {
        if index > 0 {
            out.push('.');
        }
        put_number(out, u16::from(octet));
    }
    out.push(':');
    put_number(out, v4.port());
}

fn put_number(out: &mut String, number: u16) {
    let mut unit = 10_000;
    while unit > 1 && unit > number {
        unit /= 10;
    }
    while unit > 0 {
        out.push(char::from(b'0' + u8::try_from(number / unit % 10).unwrap_or_default()));
        unit /= 10;
    }
}

/// Who asks what for an errand, in order. Nothing for what is nothing.
#[must_use]
pub fn orders(errand: Errand) -> Vec<Asked> {
    match errand {
        Errand::Register(register) => {
            let mut source = String::with_capacity(24);
            put_address(&mut source, register.from.remote);
            let ask = match register.wish {
                Wish::RemoveAll => registration::Ask::RemoveAll,
                Wish::Bind(contacts) => {
                    let contact = |wanted: crate::port::WantedContact| registration::Contact {
                        uri: wanted.uri,
                        parameters: wanted.parameters,
                        instance: wanted.instance,
                        source: source.clone(),
                        behind_nat: wanted.behind_nat,
                        expires: wanted.expires,
                    };
                    registration::Ask::Contacts(contacts.into_iter().map(contact).collect())
                }
            };
            let command = registration::Register {
                device: register.device,
                ask,
                call_id: register.call_id,
                cseq: register.cseq,
                user_agent: register.user_agent,
                // The protocol's bounds were looked at before (RFC 3261 §10.3 step 7).
                bounds: (Seconds(1), Seconds(u32::MAX)),
            };
            vec![Asked::by_phone(register.device, register.from, command)]
        }
        Errand::Expire { device, bindings } => {
            let expire = |binding| registration::Expire { device, binding };
            bindings.into_iter().map(|id| Asked::by_us(expire(id))).collect()
        }
        Errand::Code { device, code, from } => feature(code)
            .map(|command| Asked::by_phone(device, from, command))
            .into_iter()
            .collect(),
        Errand::Claim { device, claimed, from } => {
            vec![Asked::by_phone(device, from, phone::Claim { device, claimed })]
        }
        Errand::Record { event, from, cause } => {
            let (actor, source) = (teller(&event), from.map(source));
            let record = entry(*event).map(|entry| call::Record { entries: vec![entry] });
            record
                .map(|record| Asked { actor, source, cause, command: record.into() })
                .into_iter()
                .collect()
        }
    }
}

fn feature(code: FeatureCode) -> Option<Command> {
    let forward = |profile| phone::Forward { profile, until: wire::Word::default() };
    Some(match code {
        FeatureCode::LogIn { extension, pin } => {
            phone::LogIn { extension, pin: secret::PinEntry::clear(pin.digits()) }.into()
        }
        FeatureCode::LogOut => phone::LogOut {}.into(),
        FeatureCode::DoNotDisturbOn => phone::Dnd { on: true }.into(),
        FeatureCode::DoNotDisturbOff => phone::Dnd { on: false }.into(),
        FeatureCode::ProfileOn { profile } => forward(Some(profile)).into(),
        FeatureCode::ProfileOff => forward(None).into(),
        FeatureCode::Unknown => return None,
    })
}

/// A call is placed by its phone; what becomes of it, the server tells.
fn teller(event: &Event) -> Actor {
    match event {
        Event::CallPlaced(CallPlaced { caller: Caller::Device { device, .. }, .. }) => {
            Actor::Phone(*device)
        }
        _ => Actor::System,
    }
}

fn entry(event: Event) -> Option<call::Entry> {
    Some(match event {
        Event::CallPlaced(placed) => call::Entry::Placed(Box::new(placed)),
        Event::CallAnswered(answered) => call::Entry::Answered(answered),
        Event::CallDiverted(diverted) => call::Entry::Diverted(diverted),
        Event::CallEnded(ended) => call::Entry::Ended(ended),
        Event::CallLost(lost) => call::Entry::Lost(lost),
        Event::CallRecordsMissed(missed) => call::Entry::Missed(missed),
        _ => return None,
    })
}

/// What a refusal is for a phone: in the language of whoever is logged in there.
#[must_use]
pub fn trouble(refusal: &Refusal, language: Language) -> Trouble {
    match refusal.code {
        RefusalCode::BookReadOnly | RefusalCode::NotFounded | RefusalCode::KeyDestroyed => {
            Trouble::ReadOnly
        }
        RefusalCode::Busy | RefusalCode::SecretsUnavailable => Trouble::Overloaded,
        RefusalCode::OutcomeUnknown => Trouble::Unknown,
        code => Trouble::Refused { code: code.as_str(), text: refusal.sentence(language) },
    }
}

/// The language of whoever is logged in at a phone; English when nobody is, or he chose none.
#[must_use]
pub fn language_at(exchange: &Exchange, device: DeviceId) -> Language {
    let slot = exchange.devices.get(&device).and_then(|device| device.login);
    let user = slot.and_then(|slot| exchange.slots.get(&slot.value)).map(|slot| slot.user);
    let chosen = user.and_then(|user| exchange.users.get(&user)?.language);
    chosen.map_or(Language::English, |chosen| chosen.value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::IpAddr;
    use switchbook_sip::transaction::Transport;

    proptest! {
        #[test]
        fn a_source_is_written_as_the_standard_library_writes_addresses(v4: [u8; 4], v6: [u16; 8], port: u16) {
            for ip in [IpAddr::from(v4), IpAddr::from(v6)] {
                let remote = SocketAddr::new(ip, port);
                let from = Flow { remote, local: remote, transport: Transport::Udp };
                prop_assert_eq!(source(from), format!("udp {remote}"));
            }
        }
    }
}
