//! A small exchange told in events, in a book in memory.
#![allow(missing_docs, dead_code, clippy::unwrap_used, clippy::missing_panics_doc)]

use std::sync::Arc;
use switchbook_core::call::*;
use switchbook_core::device::*;
use switchbook_core::envelope::{Actor, Envelope, Recorded};
use switchbook_core::event::Event;
use switchbook_core::exchange::Exchange;
use switchbook_core::forwarding::*;
use switchbook_core::id::*;
use switchbook_core::number::*;
use switchbook_core::personal::{KeyId, Personal};
use switchbook_core::position::{Moment, Position, Seconds};
use switchbook_core::registration::*;
use switchbook_core::routing::{From, RoutingInput, route};
use switchbook_core::schedule::*;
use switchbook_core::settings::ExchangeFounded;
use switchbook_core::slot::*;
use switchbook_core::user::*;
use switchbook_journal::{Commit, EventStore, MemoryStore};
use switchbook_projections::readers::Opener;
use uuid::Uuid;

pub const ADA: UserId = UserId(Uuid::from_u128(0xa));
pub const BOB: UserId = UserId(Uuid::from_u128(0xb));
pub const ADA_DESK: SlotId = SlotId(Uuid::from_u128(0xa1));
pub const ADA_DECT: SlotId = SlotId(Uuid::from_u128(0xa2));
pub const BOB_DESK: SlotId = SlotId(Uuid::from_u128(0xb1));
pub const P1: DeviceId = DeviceId(Uuid::from_u128(0xd1));
pub const P2: DeviceId = DeviceId(Uuid::from_u128(0xd2));
pub const P3: DeviceId = DeviceId(Uuid::from_u128(0xd3));
pub const TRUNK: TrunkId = TrunkId(Uuid::from_u128(0x7));
pub const HOLIDAY: ProfileId = ProfileId(Uuid::from_u128(0xf1));
pub const LUNCH: ScheduleId = ScheduleId(Uuid::from_u128(0xe1));

pub fn number(text: &str) -> Number {
    text.parse().unwrap()
}

pub fn at(text: &str) -> Moment {
    Moment::from_utc(text.parse().unwrap())
}

pub fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

pub struct Story {
    pub store: Arc<MemoryStore>,
    pub exchange: Exchange,
    pub records: Vec<Recorded>,
    pub now: Moment,
    pub actor: Actor,
    pub on_behalf_of: Option<UserId>,
    written: usize,
}

impl Story {
    pub fn begun() -> Self {
        let mut story = Self {
            store: Arc::new(MemoryStore::default()),
            exchange: Exchange::default(),
            records: Vec::new(),
            now: at("2026-11-23T09:00:00Z"),
            actor: Actor::Supervisor { uid: 1000 },
            on_behalf_of: None,
            written: 0,
        };
        story.tell(ExchangeFounded {
            book: BookId(id(1)),
            realm: "pbx.test".into(),
            time_zone: chrono_tz::Europe::Berlin,
            all_users: GroupId(id(2)),
            all_hosts: GroupId(id(3)),
            admins: GroupId(id(4)),
        });
        story
    }

    /// Ada with 100 on two slots, Bob with 300 on one; a holiday profile of Ada's on 100 by a schedule at lunch.
    pub fn of_ada_and_bob() -> Self {
        let mut story = Self::begun();
        story.user(ADA, "ada");
        story.user(BOB, "bob");
        for (user, slot, kind, device) in [
            (ADA, ADA_DESK, DeviceType::Desk, P1),
            (ADA, ADA_DECT, DeviceType::Dect, P2),
            (BOB, BOB_DESK, DeviceType::Desk, P3),
        ] {
            let name = kind.to_string();
            story.tell(SlotAdded { slot, user, name, device_type: kind });
            let name = format!("p{}", device.0.as_u128() & 0xf);
            story.tell(DeviceAdded {
                device,
                name,
                device_type: kind,
                mac: None,
                service_number: None,
            });
        }
        for (user, digits, slots) in
            [(ADA, "100", vec![ADA_DESK, ADA_DECT]), (BOB, "300", vec![BOB_DESK])]
        {
            story.tell(NumberAssigned { number: number(digits), user });
            for slot in slots {
                story.tell(MatrixChanged { user, number: number(digits), slot, on: true });
            }
        }
        for (user, slot, device) in [(ADA, ADA_DESK, P1), (ADA, ADA_DECT, P2), (BOB, BOB_DESK, P3)]
        {
            story.actor = Actor::Phone(device);
            story.tell(DeviceLoggedIn { user, slot, device });
            story.register(device, 1, 3600);
        }
        story.actor = Actor::User(ADA);
        let both = [Origin::Internal, Origin::External];
        let target = Target::Number(number("300"));
        story.tell(ProfileAdded {
            profile: HOLIDAY,
            owner: ADA,
            name: Personal::new(KeyId::Person(ADA), "Urlaub"),
            rules: both
                .map(|origin| ForwardingRule { condition: Condition::Always, origin, target })
                .to_vec(),
        });
        story.actor = Actor::Admin(BOB);
        story.on_behalf_of = Some(ADA);
        story.tell(ScheduleAdded {
            schedule: LUNCH,
            number: number("100"),
            profile: HOLIDAY,
            pattern: Pattern::Weekly {
                days: Days(0b001_1111),
                from: Minute(12 * 60),
                to: Minute(13 * 60),
            },
            priority: Priority(0),
        });
        story.actor = Actor::System;
        story.on_behalf_of = None;
        story
    }

    pub fn tell(&mut self, event: impl Into<Event>) -> Position {
        let mut event = event.into();
        self.store.seal(&mut event).unwrap();
        let position = self.exchange.position.next();
        let envelope = Envelope {
            position,
            recorded_at: self.now,
            moment: self.now,
            actor: self.actor,
            on_behalf_of: self.on_behalf_of,
            source: None,
            cause: None,
            correlation: CorrelationId(id(u128::from(position.0))),
            command: CommandId(id(u128::from(position.0))),
            subjects: event.subjects(),
        };
        let recorded = Recorded { envelope, event };
        self.exchange.evolve(&recorded);
        self.records.push(recorded);
        position
    }

    pub async fn write(&mut self) {
        let fresh = self.records[self.written..].iter().cloned();
        let commits = fresh.map(|recorded| Commit { records: vec![recorded] }).collect::<Vec<_>>();
        if !commits.is_empty() {
            self.store.append(commits).await.unwrap();
        }
        self.written = self.records.len();
    }

    pub fn opener(&self) -> Opener {
        Arc::clone(self.store.vault()) as _
    }

    pub fn user(&mut self, user: UserId, name: &str) -> Position {
        let key = KeyId::Person(user);
        self.tell(UserAdded {
            user,
            username: Personal::new(key, name),
            display_name: Personal::new(key, &format!("{name} the subscriber")),
            email: None,
            mobile: None,
            language: None,
            time_zone: None,
        })
    }

    pub fn binding(&self, device: DeviceId, binding: u32, granted: u32) -> Binding {
        let contact = format!("sip:p@192.0.2.{}", device.0.as_u128() & 0xff);
        Binding {
            binding: BindingId(binding),
            contact: Personal::new(KeyId::Period(202_611), &contact),
            parameters: "".into(),
            instance: None,
            source: Personal::new(KeyId::Period(202_611), "192.0.2.200:5060"),
            behind_nat: false,
            granted: Seconds(granted),
            expires_at: self.now.plus_seconds(i64::from(granted)),
            call_id: 7,
            cseq: 1,
            user_agent: Some("baresip".into()),
        }
    }

    pub fn register(&mut self, device: DeviceId, binding: u32, granted: u32) -> Position {
        let binding = self.binding(device, binding, granted);
        self.tell(PhoneRegistered { device, binding: binding.into() })
    }

    /// A call from a phone, decided on the book as it is, everybody registered and idle.
    pub fn call(&mut self, n: u128, device: DeviceId, dialled: &str) -> CallId {
        let devices = [P1, P2, P3]
            .map(|device| DeviceFact { device, registered: true, calls: vec![] })
            .to_vec();
        let facts = Facts { devices, numbers_in_use: vec![] };
        let exchange = &self.exchange;
        let routed = route(RoutingInput {
            exchange,
            volatile: &facts,
            from: From::Device(device),
            dialled,
            at: self.now,
        });
        let call = CallId(id(n));
        let decided_on = self.exchange.position;
        let calling = switchbook_core::routing::outbound::number_in_use(exchange, device);
        self.tell(CallPlaced {
            call,
            caller: Caller::Device { device, number: calling.map(|number| number.value) },
            dialled: Dialled::Inside(number(dialled)),
            origin: Origin::Internal,
            facts: routed.facts,
            decided_on,
            decided_for: self.now,
            plan: serde_json::to_string(&routed.plan).unwrap(),
        });
        call
    }

    pub fn pass(&mut self, seconds: i64) {
        self.now = self.now.plus_seconds(seconds);
    }
}
