//! The Desk as the phones' room sees it: errands become orders, answers become replies.

use std::sync::Arc;
use switchbook_commands::desk::{Answer, DeskError, DeskHandle};
use switchbook_commands::registration::{Ask, Contact, Expire, Register};
use switchbook_commands::secret::PinEntry;
use switchbook_commands::{Command, Order, RefusalCode, call, phone};
use switchbook_core::call::CallPlaced;
use switchbook_core::envelope::Actor;
use switchbook_core::event::Event;
use switchbook_core::exchange::Exchange;
use switchbook_core::feature_code::FeatureCode;
use switchbook_core::id::{CommandId, DeviceId};
use switchbook_core::position::{Moment, Seconds};
use switchbook_core::registration::BindingId;
use switchbook_core::user::{Language, SecretRef};
use switchbook_journal::Leases;
use switchbook_sip::digest::{Algorithm, Ha1};
use switchbook_sip_adapter::port::{self, Done, Errand, Port, Reply, Trouble, Wish};

/// The Desk, the leases and the secrets, as one port.
pub struct DeskPort {
    desk: DeskHandle,
    leases: Leases,
    bounds: (Seconds, Seconds),
    runtime: tokio::runtime::Handle,
}

impl DeskPort {
    /// A port whose registrations last between `bounds`. Must be made inside the runtime.
    pub fn new(desk: DeskHandle, leases: Leases, bounds: (Seconds, Seconds)) -> Self {
        Self { desk, leases, bounds, runtime: tokio::runtime::Handle::current() }
    }

    fn order(actor: Actor, command: impl Into<Command>) -> Order {
        Order::new(CommandId(uuid::Uuid::now_v7()), actor, command)
    }

    /// Orders without a secret go straight into the writer's queue, in the order they come.
    fn enqueue(&self, order: Order, reply: Reply) {
        let told = self.desk.enqueue(order, |answer| reply.tell(outcome(answer)));
        if let Err(full) = told {
            tracing::debug!(%full, "an errand was not taken");
        }
    }
}

impl Port for DeskPort {
    fn exchange(&self) -> Arc<Exchange> {
        Arc::clone(&self.desk.published().exchange)
    }

    fn ha1(&self, secret: SecretRef, algorithm: Algorithm) -> Option<Ha1> {
        let hashes = self.desk.secrets().digest(secret)?;
        let hash: &[u8] = match algorithm {
            Algorithm::Md5 => &hashes.md5,
            Algorithm::Sha256 => &hashes.sha256,
        };
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut hex = [0; 64];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(hash) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        Ha1::from_hex(algorithm, std::str::from_utf8(&hex[..hash.len() * 2]).ok()?)
    }

    fn lease(&self, device: DeviceId, binding: BindingId) -> Option<Moment> {
        self.leases.get(device, binding).map(|lease| lease.expires_at)
    }

    fn submit(&self, errand: Errand, reply: Reply) {
        match errand {
            Errand::Register(wanted) => {
                let (actor, bounds) = (Actor::Phone(wanted.device), self.bounds);
                self.enqueue(Self::order(actor, register(wanted, bounds)), reply);
            }
            Errand::Expire { device, bindings } => {
                for binding in bindings {
                    let order = Self::order(Actor::System, Expire { device, binding });
                    self.enqueue(order, Reply::new(|_| ()));
                }
                reply.tell(Ok(Done));
            }
            Errand::Code { device, code } => self.code(device, code, reply),
            Errand::Record(event) => match entry(*event) {
                Some((actor, entry)) => {
                    let record = call::Record { entries: vec![entry] };
                    self.enqueue(Self::order(actor, record), reply);
                }
                None => reply.tell(Err(Trouble::Unknown)),
            },
        }
    }
}

impl DeskPort {
    /// A code may bring a PIN, whose check is slow on purpose: it waits on a task of its own.
    fn code(&self, device: DeviceId, code: FeatureCode, reply: Reply) {
        let command: Command = match code {
            FeatureCode::LogIn { extension, pin } => {
                phone::LogIn { extension, pin: PinEntry::clear(pin.digits()) }.into()
            }
            FeatureCode::LogOut => phone::LogOut {}.into(),
            FeatureCode::DoNotDisturbOn => phone::Dnd { on: true }.into(),
            FeatureCode::DoNotDisturbOff => phone::Dnd { on: false }.into(),
            FeatureCode::ProfileOn { profile } => {
                phone::Forward { profile: Some(profile), until: Default::default() }.into()
            }
            FeatureCode::ProfileOff => {
                phone::Forward { profile: None, until: Default::default() }.into()
            }
            FeatureCode::Unknown => {
                let text = "this code is not known".into();
                return reply.tell(Err(Trouble::Refused { code: "CODE_UNKNOWN", text }));
            }
        };
        let (desk, order) = (self.desk.clone(), Self::order(Actor::Phone(device), command));
        self.runtime.spawn(async move { reply.tell(outcome(desk.submit(order).await)) });
    }
}

fn register(wanted: port::Register, bounds: (Seconds, Seconds)) -> Register {
    let ask = match wanted.wish {
        Wish::RemoveAll => Ask::RemoveAll,
        Wish::Bind(contacts) => Ask::Contacts(
            contacts
                .into_iter()
                .map(|contact| Contact {
                    uri: contact.uri,
                    source: contact.source.map(|source| source.to_string()),
                    expires: contact.expires,
                })
                .collect(),
        ),
    };
    Register {
        device: wanted.device,
        ask,
        call_id: wanted.call_id,
        cseq: wanted.cseq,
        user_agent: wanted.user_agent,
        bounds,
    }
}

/// A call's event as the Desk takes it, and who it is told by: the phone that placed it, else the server.
fn entry(event: Event) -> Option<(Actor, call::Entry)> {
    let actor = match &event {
        Event::CallPlaced(CallPlaced {
            caller: switchbook_core::call::Caller::Device { device, .. },
            ..
        }) => Actor::Phone(*device),
        _ => Actor::System,
    };
    let entry = match event {
        Event::CallPlaced(placed) => call::Entry::Placed(Box::new(placed)),
        Event::CallAnswered(answered) => call::Entry::Answered(answered),
        Event::CallDiverted(diverted) => call::Entry::Diverted(diverted),
        Event::CallEnded(ended) => call::Entry::Ended(ended),
        Event::CallLost(lost) => call::Entry::Lost(lost),
        Event::CallRecordsMissed(missed) => call::Entry::Missed(missed),
        _ => return None,
    };
    Some((actor, entry))
}

fn outcome(answer: Result<Answer, DeskError>) -> Result<Done, Trouble> {
    match answer {
        Ok(_) => Ok(Done),
        Err(DeskError::Refused(refusal) | DeskError::RefusedInBulk { refusal, .. }) => {
            Err(match refusal.code {
                RefusalCode::BookReadOnly => Trouble::ReadOnly,
                RefusalCode::OutcomeUnknown => Trouble::Unknown,
                code => Trouble::Refused {
                    code: code.as_str(),
                    text: refusal.sentence(Language::English),
                },
            })
        }
        Err(DeskError::Closed) => Err(Trouble::ReadOnly),
    }
}
