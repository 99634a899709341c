//! A small exchange that obeys orders, for stories about decisions.
#![allow(missing_docs, dead_code, clippy::unwrap_used, clippy::panic)]

use std::cell::RefCell;
use std::collections::HashSet;
use switchbook_commands::settings::Found;
use switchbook_commands::{
    Calls, Command, Context, Decision, NoLeases, Order, Refusal, RefusalCode, decide,
};
use switchbook_core::envelope::{Actor, Envelope, Recorded};
use switchbook_core::event::Event;
use switchbook_core::exchange::Exchange;
use switchbook_core::id::*;
use switchbook_core::number::Number;
use switchbook_core::position::Moment;
use switchbook_core::user::SecretRef;
use uuid::Uuid;

pub fn number(text: &str) -> Number {
    text.parse().unwrap()
}

pub fn at(text: &str) -> Moment {
    Moment::from_utc(text.parse().unwrap())
}

/// A command from its JSON; secrets are taken as kept already.
pub fn command(json: &str) -> Command {
    let mut command: Command = serde_json::from_str(json).unwrap();
    command.each_secret(&mut |secret, _| {
        *secret = switchbook_commands::secret::NewSecret::Stored(SecretRef {
            id: SecretId(Uuid::from_u128(1)),
            version: 1,
        });
    });
    command
}

#[derive(Default)]
pub struct Busy(pub HashSet<DeviceId>);

impl Calls for Busy {
    fn in_call(&self, device: DeviceId) -> bool {
        self.0.contains(&device)
    }
}

pub struct World {
    pub exchange: Exchange,
    pub now: Moment,
    pub calls: Busy,
    next: RefCell<u128>,
}

pub const CONSOLE: Actor = Actor::Supervisor { uid: 0 };

impl World {
    pub fn founded() -> Self {
        let mut world = Self {
            exchange: Exchange::default(),
            now: at("2026-11-23T09:00:00Z"),
            calls: Busy::default(),
            next: RefCell::new(0x1000),
        };
        let found = Found {
            book: BookId(Uuid::from_u128(1)),
            realm: "pbx.test".into(),
            time_zone: "Europe/Berlin".parse().unwrap(),
        };
        world.obey(Actor::System, found.into()).unwrap();
        world
    }

    /// The user of the test vectors (3.7): numbers 100 and 200, slots S1 desk, S2 DECT, S3 softphone, all used.
    pub fn with_ada() -> Self {
        let mut world = Self::founded();
        world.console(
            r#"{"command":"user.add","username":"ada","display_name":"Ada","pin":"4711",
                "numbers":["100","200"],"tick":"none",
                "devices":[{"name":"p1","type":"desk","slot":"S1"},{"name":"p2","type":"dect","slot":"S2"},
                           {"name":"p3","type":"softphone","slot":"S3"}]}"#,
        );
        for (number, slot) in [("100", "S1"), ("100", "S2"), ("200", "S2"), ("200", "S3")] {
            world.console(&format!(
                r#"{{"command":"number.tick","number":"{number}","slot":"ada/{slot}"}}"#
            ));
        }
        world.console(r#"{"command":"device.add","name":"q1","type":"desk"}"#);
        world
    }

    /// Takes the right to log off from everybody.
    pub fn without_roaming(mut self) -> Self {
        self.console(
            r#"{"command":"permission.withdraw","group":"users","permission":"roaming","on":"hosts"}"#,
        );
        self
    }

    pub fn order(&self, actor: Actor, command: Command) -> Order {
        Order::new(CommandId(self.new_id()), actor, command)
    }

    pub fn new_id(&self) -> Uuid {
        *self.next.borrow_mut() += 1;
        Uuid::from_u128(*self.next.borrow())
    }

    pub fn decide(&self, order: &Order) -> Result<Decision, Refusal> {
        let mut new_id = || self.new_id();
        let mut context =
            Context { now: self.now, new_id: &mut new_id, calls: &self.calls, leases: &NoLeases };
        decide(&self.exchange, order, &mut context)
    }

    /// Decides and folds.
    pub fn carry_out(&mut self, order: &Order) -> Result<Decision, Refusal> {
        let decision = self.decide(order)?;
        for event in &decision.events {
            let envelope = Envelope {
                position: self.exchange.position.next(),
                recorded_at: self.now,
                moment: self.now,
                actor: order.actor,
                on_behalf_of: order.on_behalf_of,
                source: None,
                cause: order.cause,
                correlation: CorrelationId(order.id.0),
                command: order.id,
                subjects: event.subjects(),
            };
            self.exchange.evolve(&Recorded { envelope, event: event.clone() });
        }
        Ok(decision)
    }

    pub fn obey(&mut self, actor: Actor, command: Command) -> Result<Decision, Refusal> {
        let order = self.order(actor, command);
        self.carry_out(&order)
    }

    pub fn console(&mut self, json: &str) -> Decision {
        self.obey(CONSOLE, command(json)).unwrap_or_else(|refusal| panic!("{json}: {refusal}"))
    }

    /// What somebody is told: `ok` with the names of events, or the code. A refusal changes nothing.
    pub fn tries(&mut self, actor: Actor, json: &str) -> String {
        self.tries_command(actor, command(json))
    }

    pub fn tries_command(&mut self, actor: Actor, command: Command) -> String {
        let before = self.exchange.clone();
        match self.obey(actor, command) {
            Ok(decision) => {
                let names: Vec<_> = decision.events.iter().map(Event::name).collect();
                names.join(" ")
            }
            Err(refusal) => {
                assert_eq!(self.exchange, before, "a refusal changes nothing");
                refusal.code.as_str().into()
            }
        }
    }

    pub fn user(&self, name: &str) -> UserId {
        self.exchange.user_named(name).unwrap()
    }

    pub fn as_user(&self, name: &str) -> Actor {
        Actor::User(self.user(name))
    }

    pub fn device(&self, name: &str) -> DeviceId {
        self.exchange.device_named(name).unwrap()
    }

    pub fn phone(&self, name: &str) -> Actor {
        Actor::Phone(self.device(name))
    }

    /// Who is where: `p1: ada/S1, q1: -`.
    pub fn log_ins(&self, devices: &[&str]) -> String {
        let one = |name: &&str| {
            let login = self.exchange.devices[&self.device(name)].login;
            let place = login.map_or("-".to_owned(), |slot| {
                let slot = &self.exchange.slots[&slot.value];
                let user = &self.exchange.users[&slot.user];
                format!("{}/{}", user.username.value, slot.name)
            });
            format!("{name}: {place}")
        };
        devices.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    pub fn numbers_on(&self, slot: &str) -> String {
        let slot = switchbook_commands::lookup::slot(&self.exchange, &slot.into()).unwrap();
        let numbers = &self.exchange.slots[&slot].numbers;
        numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    }
}

pub fn code(result: Result<Decision, Refusal>) -> RefusalCode {
    result.unwrap_err().code
}

/// `phone.log_in` as the front hands it on after a right PIN.
pub fn logs_in(user: UserId, extension: &str) -> Command {
    switchbook_commands::phone::LogIn {
        extension: number(extension),
        pin: switchbook_commands::secret::PinEntry::Right(user),
    }
    .into()
}
