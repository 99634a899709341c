//! Events, envelopes and commits for the tests of the book.
#![allow(dead_code, missing_docs, clippy::unwrap_used)]

use switchbook_core::envelope::{Actor, Envelope, Recorded, Subject};
use switchbook_core::event::Event;
use switchbook_core::id::{CommandId, CorrelationId, DeviceId, SecretId, SlotId, UserId};
use switchbook_core::personal::{KeyId, Personal};
use switchbook_core::position::{Moment, Position, Seconds};
use switchbook_core::registration::{Binding, BindingId, PhoneRegistered};
use switchbook_core::slot::{DeviceType, SlotAdded};
use switchbook_core::user::{SecretRef, UserAdded, UserRenamed};
use switchbook_journal::{Commit, EventStore, Opened};
use uuid::Uuid;

pub fn user(n: u128) -> UserId {
    UserId(Uuid::from_u128(n))
}

pub fn device(n: u128) -> DeviceId {
    DeviceId(Uuid::from_u128(n))
}

pub fn command(n: u128) -> CommandId {
    CommandId(Uuid::from_u128(n))
}

pub fn user_added(n: u128, name: &str) -> Event {
    let key = KeyId::Person(user(n));
    UserAdded {
        user: user(n),
        username: Personal::new(key, name),
        display_name: Personal::new(key, &name.to_uppercase()),
        email: None,
        mobile: None,
        language: None,
        time_zone: None,
    }
    .into()
}

pub fn renamed(n: u128, name: &str) -> Event {
    let display_name = Personal::new(KeyId::Person(user(n)), name);
    UserRenamed { user: user(n), display_name }.into()
}

pub fn slot_added(n: u128, of: u128) -> Event {
    let (slot, user) = (SlotId(Uuid::from_u128(n)), user(of));
    SlotAdded { slot, user, name: format!("desk {n}"), device_type: DeviceType::Desk }.into()
}

pub fn registered(n: u128) -> Event {
    let key = KeyId::Period(202_611);
    let binding = Binding {
        binding: BindingId(1),
        contact: Personal::new(key, "sip:ada@192.0.2.7:5060;transport=udp"),
        parameters: ";q=0.5".into(),
        instance: Some("<urn:uuid:00000000-0000-1000-8000-0004f2000001>".into()),
        source: Personal::new(key, "192.0.2.7:5060"),
        behind_nat: false,
        granted: Seconds(300),
        expires_at: Moment(1_795_435_200_000_000),
        call_id: 0x1234_5678_9abc_def0,
        cseq: 17,
        user_agent: Some("Example Phone 1.0".into()),
    };
    PhoneRegistered { device: device(n), binding: binding.into() }.into()
}

/// Puts events into envelopes, as the Desk does.
pub fn commit(first: Position, by: Actor, command: CommandId, events: Vec<Event>) -> Commit {
    let records = events.into_iter().enumerate().map(|(index, event)| {
        let position = Position(first.0 + index as u64);
        let envelope = Envelope {
            position,
            recorded_at: Moment(1_795_435_200_000_000 + position.0 as i64),
            moment: Moment(1_795_435_200_000_000 + position.0 as i64),
            actor: by,
            on_behalf_of: None,
            source: None,
            cause: None,
            correlation: CorrelationId(command.0),
            command,
            subjects: event.subjects(),
        };
        Recorded { envelope, event }
    });
    Commit { records: records.collect() }
}

/// Seals and appends the events of one command behind the tail.
pub async fn append<S: EventStore + ?Sized>(
    store: &S,
    command_number: u128,
    mut events: Vec<Event>,
) -> Position {
    events.iter_mut().for_each(|event| store.seal(event).unwrap());
    let by = Actor::Admin(user(1));
    let commit = commit(store.tail().next(), by, command(command_number), events);
    store.append(vec![commit]).await.unwrap()
}

pub fn subject(n: u128) -> Subject {
    Subject::User(user(n))
}

/// A command each that adds a user and a slot of his, with a refresh of a phone beside it.
pub async fn people(opened: &Opened, commands: std::ops::RangeInclusive<u128>) {
    for n in commands {
        append(&*opened.store, n, vec![user_added(n, "ada"), slot_added(n, n)]).await;
        opened.leases.renew(device(n % 3), BindingId(1), Moment(n as i64 * 1_000_000), 1);
    }
}

pub fn secret(n: u128) -> SecretRef {
    SecretRef { id: SecretId(Uuid::from_u128(n)), version: 1 }
}
