//! A Desk in memory: the real decisions on a real exchange, without a book behind it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};
use switchbook_commands::secret::{DigestHashes, NewSecret, PinEntry, SecretFor};
use switchbook_commands::{
    Calls, Command, Context, LeaseState, LeaseView, NoCalls, Order, Refusal, decide, settings,
};
use switchbook_core::envelope::{Actor, Envelope, Recorded};
use switchbook_core::event::Event;
use switchbook_core::exchange::Exchange;
use switchbook_core::id::{CommandId, CorrelationId, DeviceId, SecretId};
use switchbook_core::position::Moment;
use switchbook_core::registration::BindingId;
use switchbook_core::user::SecretRef;
use switchbook_sip::digest::{Algorithm, Ha1};
use switchbook_sip_adapter::endpoint::LiveCalls;
use switchbook_sip_adapter::orders::{language_at, orders, trouble};
use switchbook_sip_adapter::port::{Done, Errand, Port, Reply, Snapshot, Trouble};
use uuid::Uuid;

pub const REALM: &str = "pbx.test";

#[derive(Default)]
struct Leases(Mutex<HashMap<(DeviceId, BindingId), LeaseState>>);

impl LeaseView for Leases {
    fn lease(&self, device: DeviceId, binding: BindingId) -> Option<LeaseState> {
        self.0.lock().unwrap().get(&(device, binding)).copied()
    }
}

struct Live(Arc<LiveCalls>);

impl Calls for Live {
    fn in_call(&self, device: DeviceId) -> bool {
        self.0.in_call(device)
    }
}

#[derive(Default)]
struct Secrets {
    digests: HashMap<SecretRef, DigestHashes>,
    pins: HashMap<SecretRef, String>,
}

pub struct MemoryDesk {
    exchange: Mutex<Arc<Exchange>>,
    leases: Leases,
    secrets: Mutex<Secrets>,
    ids: Mutex<u128>,
    pub now: Mutex<Moment>,
    /// Everything told, in order.
    pub book: Mutex<Vec<Recorded>>,
    /// Every refusal, with the command it refused, in order.
    pub refusals: Mutex<Vec<(&'static str, Refusal)>>,
    pub keeps_book: AtomicBool,
    pub read_only: AtomicBool,
    /// What is asked is done, and nobody learns that it was.
    pub mute: AtomicBool,
    pub live: OnceLock<Arc<LiveCalls>>,
}

impl MemoryDesk {
    pub fn new(now: Moment) -> Arc<Self> {
        let desk = Self {
            exchange: Mutex::default(),
            leases: Leases::default(),
            secrets: Mutex::default(),
            ids: Mutex::new(1),
            now: Mutex::new(now),
            book: Mutex::default(),
            refusals: Mutex::default(),
            keeps_book: AtomicBool::new(true),
            read_only: AtomicBool::new(false),
            mute: AtomicBool::new(false),
            live: OnceLock::new(),
        };
        let book = switchbook_core::id::BookId(Uuid::from_u128(7));
        let time_zone = chrono_tz::Europe::Berlin;
        let found = settings::Found { book, realm: REALM.into(), time_zone };
        desk.carry_out(Actor::System, found.into()).unwrap();
        Arc::new(desk)
    }

    pub fn state(&self) -> Arc<Exchange> {
        self.exchange.lock().unwrap().clone()
    }

    fn new_id(&self) -> Uuid {
        let mut ids = self.ids.lock().unwrap();
        *ids += 1;
        Uuid::from_u128(*ids)
    }

    /// A command as an administrator types it.
    pub fn tell(&self, json: &str) {
        let command: Command = serde_json::from_str(json).unwrap_or_else(|e| panic!("{json}: {e}"));
        let done = self.carry_out(Actor::Supervisor { uid: 0 }, command);
        done.unwrap_or_else(|refusal| panic!("{json}: {refusal}"));
    }

    /// Carries a command out; how many events it left.
    pub fn carry_out(&self, actor: Actor, command: Command) -> Result<usize, Refusal> {
        self.decide(Order::new(CommandId(self.new_id()), actor, command))
    }

    fn decide(&self, mut order: Order) -> Result<usize, Refusal> {
        let exchange = self.state();
        self.keep_secrets(&mut order.command);
        if let Command::PhoneLogIn(login) = &mut order.command
            && let PinEntry::Clear(pin) = &login.pin
        {
            let owner = exchange.numbers.get(&login.extension).map(|number| number.owner.value);
            let secret = owner.and_then(|owner| exchange.users.get(&owner)?.pin);
            let secrets = self.secrets.lock().unwrap();
            let right =
                secret.and_then(|s| secrets.pins.get(&s.value)).is_some_and(|p| *p == **pin);
            login.pin = match owner.filter(|_| right) {
                Some(owner) => PinEntry::Right(owner),
                None => PinEntry::Wrong,
            };
        }
        let now = *self.now.lock().unwrap();
        let mut new_id = || self.new_id();
        let live = self.live.get().map(|live| Live(live.clone()));
        let calls: &dyn Calls = match &live {
            Some(live) => live,
            None => &NoCalls,
        };
        let mut context = Context { now, new_id: &mut new_id, calls, leases: &self.leases };
        let decision = decide(&exchange, &order, &mut context).inspect_err(|refusal| {
            self.refusals.lock().unwrap().push((order.command.name(), refusal.clone()));
        })?;
        let (mut next, events) = (None, decision.events.len());
        for event in decision.events {
            let next = next.get_or_insert_with(|| Exchange::clone(&exchange));
            self.record(next, &order, now, event);
        }
        if let Some(next) = next {
            *self.exchange.lock().unwrap() = Arc::new(next);
        }
        for lease in decision.leases {
            let state = LeaseState { expires_at: lease.expires_at, cseq: lease.cseq };
            self.leases.0.lock().unwrap().insert((lease.device, lease.binding), state);
        }
        Ok(events)
    }

    fn record(&self, next: &mut Exchange, order: &Order, now: Moment, event: Event) {
        let envelope = Envelope {
            position: next.position.next(),
            recorded_at: now,
            moment: now,
            actor: order.actor,
            on_behalf_of: order.on_behalf_of,
            source: None,
            cause: order.cause,
            correlation: CorrelationId(order.id.0),
            command: order.id,
            subjects: Vec::new(),
        };
        let recorded = Recorded { envelope, event };
        next.evolve(&recorded);
        // As the Desk does: a binding that is gone, or has an end of its own, has no lease.
        let gone = match &recorded.event {
            Event::RegistrationChanged(e) => Some((e.device, e.binding.binding)),
            Event::RegistrationRemoved(e) => Some((e.device, e.binding)),
            Event::RegistrationExpired(e) => Some((e.device, e.binding)),
            _ => None,
        };
        if let Some(gone) = gone {
            self.leases.0.lock().unwrap().remove(&gone);
        }
        if self.keeps_book.load(Relaxed) {
            self.book.lock().unwrap().push(recorded);
        }
    }

    fn keep_secrets(&self, command: &mut Command) {
        let exchange = self.state();
        command.each_secret(&mut |new, usage| {
            let NewSecret::Clear(clear) = &*new else { return };
            let name = SecretRef { id: SecretId(self.new_id()), version: 1 };
            let mut secrets = self.secrets.lock().unwrap();
            let name_of = match &usage {
                SecretFor::NewDevice(device) => Some(device.clone()),
                SecretFor::Device(device) => {
                    let id = switchbook_commands::lookup::device(&exchange, device).unwrap();
                    Some(exchange.devices[&id].name.clone())
                }
                SecretFor::UserPin | SecretFor::UserPassword => None,
            };
            match name_of {
                Some(device) => {
                    secrets.digests.insert(name, DigestHashes::of(&device, REALM, clear));
                }
                None => drop(secrets.pins.insert(name, clear.to_string())),
            }
            *new = NewSecret::Stored(name);
        });
    }

    /// The names of the events about calls since the last look, oldest first.
    pub fn events(&self) -> Vec<Event> {
        self.book.lock().unwrap().iter().map(|recorded| recorded.event.clone()).collect()
    }
}

impl Port for MemoryDesk {
    fn exchange(&self) -> Snapshot {
        Snapshot::new(self.state())
    }

    fn ha1(&self, secret: SecretRef, algorithm: Algorithm) -> Option<Ha1> {
        let secrets = self.secrets.lock().unwrap();
        let hashes = secrets.digests.get(&secret)?;
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        match algorithm {
            Algorithm::Md5 => Ha1::from_hex(algorithm, &hex(&hashes.md5)),
            Algorithm::Sha256 => Ha1::from_hex(algorithm, &hex(&hashes.sha256)),
        }
    }

    fn lease(&self, device: DeviceId, binding: BindingId) -> Option<Moment> {
        LeaseView::lease(&self.leases, device, binding).map(|lease| lease.expires_at)
    }

    fn submit(&self, errand: Errand, reply: Reply) {
        if self.read_only.load(Relaxed) {
            return reply.tell(Err(Trouble::ReadOnly));
        }
        let language = match &errand {
            Errand::Code { device, .. } => language_at(&self.state(), *device),
            _ => switchbook_core::user::Language::English,
        };
        let mut done = Done { events: 0 };
        for asked in orders(errand) {
            match self.decide(asked.order(CommandId(self.new_id()))) {
                Ok(events) => done.events += events,
                Err(_) if self.mute.load(Relaxed) => {}
                Err(refusal) => return reply.tell(Err(trouble(&refusal, language))),
            }
        }
        reply.tell(if self.mute.load(Relaxed) { Err(Trouble::Unknown) } else { Ok(done) });
    }
}
