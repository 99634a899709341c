//! From errands to orders: whom the Desk hears, and with which words a refusal comes back.

use crate::port::{Errand, Trouble, Wish};
use switchbook_commands::{
    Command, Order, Refusal, RefusalCode, call, phone, registration, secret, wire,
};
use switchbook_core::call::{CallPlaced, Caller};
use switchbook_core::envelope::Actor;
use switchbook_core::event::Event;
use switchbook_core::exchange::Exchange;
use switchbook_core::feature_code::FeatureCode;
use switchbook_core::id::{CommandId, DeviceId};
use switchbook_core::position::Seconds;
use switchbook_core::user::Language;

/// The orders that make up an errand, in their order, each with an id of its own. None for what is nothing.
pub fn orders(errand: Errand, mut new_id: impl FnMut() -> CommandId) -> Vec<Order> {
    let cause = match &errand {
        Errand::Record(_, cause) => *cause,
        _ => None,
    };
    let given = commands(errand).into_iter();
    given.map(|(by, what)| Order { cause, ..Order::new(new_id(), by, what) }).collect()
}

/// Who gives which commands.
fn commands(errand: Errand) -> Vec<(Actor, Command)> {
    match errand {
        Errand::Register(register) => {
            let ask = match register.wish {
                Wish::RemoveAll => registration::Ask::RemoveAll,
                Wish::Bind(contacts) => {
                    let contact = |wanted: crate::port::WantedContact| registration::Contact {
                        uri: wanted.uri,
                        source: wanted.source.map(|source| source.to_string()),
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
            vec![(Actor::Phone(register.device), command.into())]
        }
        Errand::Expire { device, bindings } => {
            let expire = |binding| registration::Expire { device, binding };
            bindings.into_iter().map(|id| (Actor::System, expire(id).into())).collect()
        }
        Errand::Code { device, code } => {
            feature(code).map(|command| (Actor::Phone(device), command)).into_iter().collect()
        }
        Errand::Claim { device, claimed } => {
            vec![(Actor::Phone(device), phone::Claim { device, claimed }.into())]
        }
        Errand::Record(event, _) => {
            let told_by = teller(&event);
            let record = entry(*event).map(|entry| call::Record { entries: vec![entry] });
            record.map(|record| (told_by, record.into())).into_iter().collect()
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
        RefusalCode::BookReadOnly | RefusalCode::NotFounded => Trouble::ReadOnly,
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
