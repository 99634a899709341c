//! A small exchange told in events, for stories about routing.
#![allow(missing_docs, dead_code, clippy::unwrap_used, clippy::wrong_self_convention)]

use switchbook_core::call::{DeviceFact, Facts};
use switchbook_core::device::*;
use switchbook_core::envelope::{Actor, Envelope, Recorded};
use switchbook_core::event::Event;
use switchbook_core::exchange::Exchange;
use switchbook_core::forwarding::*;
use switchbook_core::id::*;
use switchbook_core::number::*;
use switchbook_core::personal::{KeyId, Personal};
use switchbook_core::position::{Moment, Position, Seconds};
use switchbook_core::routing::plan::{Outcome, RoutePlan, Step, StepIndex};
use switchbook_core::routing::{From, Routed, RoutingInput, route};
use switchbook_core::schedule::*;
use switchbook_core::settings::ExchangeFounded;
use switchbook_core::slot::*;
use switchbook_core::trunk::*;
use switchbook_core::user::*;
use uuid::Uuid;

pub fn number(text: &str) -> Number {
    text.parse().unwrap()
}

pub fn at(text: &str) -> Moment {
    Moment::from_utc(text.parse().unwrap())
}

pub fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

pub const A: UserId = UserId(Uuid::from_u128(0xa));
pub const S1: SlotId = SlotId(Uuid::from_u128(0x51));
pub const S2: SlotId = SlotId(Uuid::from_u128(0x52));
pub const S3: SlotId = SlotId(Uuid::from_u128(0x53));
pub const P1: DeviceId = DeviceId(Uuid::from_u128(0xd1));
pub const P2: DeviceId = DeviceId(Uuid::from_u128(0xd2));
pub const P3: DeviceId = DeviceId(Uuid::from_u128(0xd3));
pub const TRUNK: TrunkId = TrunkId(Uuid::from_u128(0x7));

pub struct World {
    pub exchange: Exchange,
    pub facts: Facts,
    pub now: Moment,
}

impl World {
    /// An empty exchange in Berlin with a trunk that is reached with 0.
    pub fn founded() -> Self {
        let mut world = Self {
            exchange: Exchange::default(),
            facts: Facts::default(),
            now: at("2026-11-23T09:00:00Z"),
        };
        world.tell(ExchangeFounded {
            book: BookId(id(1)),
            realm: "pbx.test".into(),
            time_zone: chrono_tz::Europe::Berlin,
            all_users: GroupId(id(2)),
            all_hosts: GroupId(id(3)),
            admins: GroupId(id(4)),
        });
        world.tell(TrunkAdded {
            trunk: TRUNK,
            name: "amt".into(),
            peer: "127.0.0.1:5099".parse().unwrap(),
            outbound_prefix: "0".into(),
            base_number: Some("4930555".into()),
        });
        world
    }

    /// The exchange of behaviour.md 3.7: user A with 100 → S1, S2 and 200 → S2, S3, devices on all slots, all
    /// registered; and 300, 400 of two others with a phone each.
    pub fn of_the_test_vectors() -> Self {
        let mut world = Self::founded();
        world.user(A, "ada");
        for (slot, kind, device) in [
            (S1, DeviceType::Desk, P1),
            (S2, DeviceType::Dect, P2),
            (S3, DeviceType::Softphone, P3),
        ] {
            world.phone(A, slot, kind, device);
        }
        world.number(A, "100", &[S1, S2]);
        world.number(A, "200", &[S2, S3]);
        for (n, user, digits) in [(0x300, "bob", "300"), (0x400, "cyd", "400")] {
            let (user_id, slot, device) = (UserId(id(n)), SlotId(id(n + 1)), DeviceId(id(n + 2)));
            world.user(user_id, user);
            world.phone(user_id, slot, DeviceType::Desk, device);
            world.number(user_id, digits, &[slot]);
        }
        world
    }

    pub fn tell(&mut self, event: impl Into<Event>) -> Position {
        let event = event.into();
        let position = self.exchange.position.next();
        let envelope = Envelope {
            position,
            recorded_at: self.now,
            moment: self.now,
            actor: Actor::System,
            on_behalf_of: None,
            source: None,
            cause: None,
            correlation: CorrelationId(id(9)),
            command: CommandId(id(9)),
            subjects: event.subjects(),
        };
        self.exchange.evolve(&Recorded { envelope, event });
        position
    }

    pub fn user(&mut self, user: UserId, name: &str) {
        let key = KeyId::Person(user);
        self.tell(UserAdded {
            user,
            username: Personal::new(key, name),
            display_name: Personal::new(key, &format!("{name}'s display name")),
            email: None,
            mobile: None,
            language: None,
            time_zone: None,
        });
    }

    pub fn number(&mut self, user: UserId, digits: &str, slots: &[SlotId]) {
        self.tell(NumberAssigned { number: number(digits), user });
        for &slot in slots {
            self.tell(MatrixChanged { user, number: number(digits), slot, on: true });
        }
    }

    pub fn phone(&mut self, user: UserId, slot: SlotId, device_type: DeviceType, device: DeviceId) {
        self.tell(SlotAdded { slot, user, name: device_type.to_string(), device_type });
        self.tell(DeviceAdded {
            device,
            name: format!("p{}", device.0.as_u128()),
            device_type,
            mac: None,
            service_number: None,
        });
        self.tell(DeviceLoggedIn { user, slot, device });
        self.register(device);
    }

    pub fn register(&mut self, device: DeviceId) {
        self.facts.devices.push(DeviceFact { device, registered: true, calls: vec![] });
        self.facts.devices.sort();
    }

    pub fn unregister(&mut self, device: DeviceId) {
        self.facts.devices.retain(|fact| fact.device != device);
    }

    /// The device is in a call over this number.
    pub fn busy(&mut self, device: DeviceId, digits: &str) {
        let over = number(digits);
        let fact = self.facts.devices.iter_mut().find(|fact| fact.device == device).unwrap();
        fact.calls.push(Some(over));
        self.facts.numbers_in_use.push(over);
        self.facts.numbers_in_use.sort();
    }

    pub fn profile(&mut self, owner: UserId, n: u128, rules: Vec<ForwardingRule>) -> ProfileId {
        let profile = ProfileId(id(n));
        let name = Personal::new(KeyId::Person(owner), "Urlaub");
        self.tell(ProfileAdded { profile, owner, name, rules });
        profile
    }

    pub fn activate(&mut self, digits: &str, profile: ProfileId, reach: Reach) {
        self.tell(ProfileActivated { number: number(digits), profile, reach });
    }

    pub fn schedule(&mut self, n: u128, digits: &str, profile: ProfileId, pattern: Pattern) {
        self.tell(ScheduleAdded {
            schedule: ScheduleId(id(n)),
            number: number(digits),
            profile,
            pattern,
            priority: Priority(0),
        });
    }

    pub fn ring_times(&mut self, device: DeviceId, origin: Origin, wait: u32, ring: u32) {
        let (wait, ring) = (Seconds(wait), Seconds(ring));
        self.tell(FollowMeSet {
            user: A,
            entry: FollowMe { device, origin, enabled: true, wait, ring },
        });
    }

    pub fn call(&self, from: From, dialled: &str) -> Routed {
        let (exchange, volatile) = (&self.exchange, &self.facts);
        let routed = route(RoutingInput { exchange, volatile, from, dialled, at: self.now });
        // Way 4: from the recorded facts the same plan comes out.
        let volatile = &routed.facts;
        let again = route(RoutingInput { exchange, volatile, from, dialled, at: self.now });
        assert_eq!(again, routed);
        routed
    }

    /// A call from outside, told in one line per step.
    pub fn from_outside(&mut self, digits: &str) -> String {
        let rule = Inbound { dialled: format!("4930555{digits}"), number: number(digits) };
        self.tell(InboundNumberAssigned { trunk: TRUNK, rule });
        tell(&self.call(From::Trunk(TRUNK), &format!("4930555{digits}")).plan)
    }

    pub fn from_inside(&self, device: DeviceId, dialled: &str) -> String {
        tell(&self.call(From::Device(device), dialled).plan)
    }
}

pub const BOB: DeviceId = DeviceId(Uuid::from_u128(0x302));
pub const CYD: DeviceId = DeviceId(Uuid::from_u128(0x402));

pub fn rules(cells: &[(Condition, Target)]) -> Vec<ForwardingRule> {
    let both = [Origin::Internal, Origin::External];
    cells
        .iter()
        .flat_map(|&(condition, target)| {
            both.map(|origin| ForwardingRule { condition, origin, target })
        })
        .collect()
}

fn name(device: DeviceId) -> &'static str {
    match device.0.as_u128() {
        0xd1 => "S1",
        0xd2 => "S2",
        0xd3 => "S3",
        0x302 => "bob",
        0x402 => "cyd",
        _ => "?",
    }
}

/// The plan in one line: what happens first, and after " | " what follows when nobody answers.
pub fn tell(plan: &RoutePlan) -> String {
    tell_step(plan, plan.start)
}

fn tell_step(plan: &RoutePlan, index: StepIndex) -> String {
    match plan.step(index).unwrap() {
        Step::Ring { legs, on_no_answer, .. } => {
            let legs: Vec<String> = legs
                .iter()
                .map(|leg| {
                    let tone = if leg.call_waiting { " (call waiting)" } else { "" };
                    format!("{} {}-{}{tone}", name(leg.device), leg.from.0, leg.to.0)
                })
                .collect();
            format!("ring {} | {}", legs.join(", "), tell_step(plan, *on_no_answer))
        }
        Step::Forward { to, then, .. } => format!("forward to {to}: {}", tell_step(plan, *then)),
        Step::Dial { trunk, strip, emergency, otherwise, .. } => {
            let kind = if *emergency { " (emergency)" } else { "" };
            let through = if *trunk == TRUNK { "" } else { " through another trunk" };
            let next = otherwise.map(|next| {
                format!(" | silent {} or refused: {}", next.silent, tell_step(plan, next.then))
            });
            format!("dial out{through}{kind}, strip {strip}{}", next.unwrap_or_default())
        }
        Step::Voicemail { number, .. } => format!("voicemail of {number}"),
        Step::Refuse { outcome, .. } => match outcome {
            Outcome::NoAnswer => "no answer".into(),
            other => format!("{other:?}").to_lowercase(),
        },
    }
}
