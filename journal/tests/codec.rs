//! The record codec under chosen and arbitrary bytes.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use proptest::prelude::*;
use support::*;
use switchbook_core::envelope::{Actor, Envelope, Recorded, Subject};
use switchbook_core::event::Event;
use switchbook_core::id::{CorrelationId, ScheduleId};
use switchbook_core::personal::{HasPersonal, KeyId, Personal};
use switchbook_core::position::{Moment, Position};
use switchbook_journal::codec::Codec;
use switchbook_journal::record::{decode_record, encode_record};

fn actors() -> impl Strategy<Value = Actor> {
    (0..7, any::<u128>(), any::<u32>()).prop_map(|(kind, id, uid)| match kind {
        0 => Actor::System,
        1 => Actor::Supervisor { uid },
        2 => Actor::Admin(user(id)),
        3 => Actor::User(user(id)),
        4 => Actor::Phone(device(id)),
        5 => Actor::Schedule(ScheduleId(uuid::Uuid::from_u128(id))),
        _ => Actor::Auditor(user(id)),
    })
}

fn subjects() -> impl Strategy<Value = Subject> {
    prop_oneof![
        any::<u128>().prop_map(|id| Subject::User(user(id))),
        any::<u128>().prop_map(|id| Subject::Device(device(id))),
        "[0-9]{1,15}".prop_map(|digits| Subject::Number(digits.parse().unwrap())),
        Just(Subject::Exchange),
    ]
}

fn events() -> impl Strategy<Value = Event> {
    let sealed = proptest::collection::vec(any::<u8>(), 1..80);
    (0..4, any::<u128>(), sealed).prop_map(|(kind, id, sealed)| {
        let mut event = match kind {
            0 => user_added(id, "ada"),
            1 => slot_added(id, 7),
            2 => registered(id),
            _ => renamed(id, "Ada"),
        };
        event.each_personal(&mut |field| {
            field.seal_with(|_, _| sealed.clone());
            field.open_with(|_, _| None);
        });
        event
    })
}

/// Where a command came from, sealed.
fn source() -> impl Strategy<Value = Option<Personal>> {
    let key = (any::<bool>(), any::<u128>(), any::<u32>()).prop_map(|(person, id, period)| {
        if person { KeyId::Person(user(id)) } else { KeyId::Period(period) }
    });
    let sealed = proptest::collection::vec(any::<u8>(), 1..=255);
    proptest::option::of(
        (key, sealed).prop_map(|(key, sealed)| Personal::sealed_under(key, &sealed)),
    )
}

fn recorded() -> impl Strategy<Value = Recorded> {
    let place = (any::<u64>(), any::<i64>(), any::<i64>());
    let thread = (any::<u128>(), proptest::option::of(any::<u128>()));
    let who = (actors(), proptest::option::of(any::<u128>()), proptest::option::of(any::<u64>()));
    let what = (proptest::collection::vec(subjects(), 0..9), events());
    (place, thread, who, what, source()).prop_map(|(place, thread, who, what, source)| {
        let (subjects, event) = what;
        let envelope = Envelope {
            position: Position(place.0),
            recorded_at: Moment(place.1),
            moment: Moment(place.2),
            actor: who.0,
            on_behalf_of: who.1.map(user),
            source,
            cause: who.2.map(Position),
            correlation: CorrelationId(uuid::Uuid::from_u128(thread.1.unwrap_or(thread.0))),
            command: command(thread.0),
            subjects,
        };
        Recorded { envelope, event }
    })
}

fn encoded(recorded: &Recorded, last: bool, durable: u64, codec: Codec) -> Vec<u8> {
    let mut body = Vec::new();
    encode_record(recorded, last, Position(durable), codec, &mut body).unwrap();
    body
}

/// Ids are read as floating-point numbers, of which some are none: signalling, quiet, of both signs, infinite.
#[test]
fn an_id_comes_back_whatever_number_its_bits_make() {
    let odd =
        [0x7ff0_0000_0000_0001, 0x7ff8_0000_0000_0000, 0xfff0_0000_0000_0001, u64::MAX, 1 << 63];
    for (front, back) in odd.iter().flat_map(|front| odd.map(|back| (*front, back))) {
        let bytes = (u128::from(back) << 64 | u128::from(front)).to_le_bytes();
        let id = u128::from_be_bytes(bytes);
        let command = commit(Position(1), Actor::System, command(id), vec![slot_added(id, id)]);
        let recorded = &command.records[0];
        let body = encoded(recorded, true, 0, Codec::Bincode);
        assert_eq!(&decode_record(&body).unwrap().recorded, recorded);
    }
}

proptest! {
    #[test]
    fn a_record_comes_back_as_it_was_written(
        recorded in recorded(), last in any::<bool>(), durable in any::<u64>(), json in any::<bool>(),
    ) {
        let codec = if json { Codec::Json } else { Codec::Bincode };
        let body = encoded(&recorded, last, durable, codec);
        let back = decode_record(&body).unwrap();
        prop_assert_eq!(&back.recorded, &recorded);
        prop_assert_eq!((back.last_of_commit, back.durable), (last, Position(durable)));
        prop_assert_eq!(encoded(&back.recorded, last, durable, codec), body);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode_record(&bytes);
    }

    #[test]
    fn a_record_with_changed_bytes_never_panics(
        recorded in recorded(), changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..6),
        cut in any::<usize>(),
    ) {
        let mut body = encoded(&recorded, true, 0, Codec::Bincode);
        for (at, byte) in changes {
            let length = body.len();
            body[at % length] = byte;
        }
        let _ = decode_record(&body);
        body.truncate(cut % body.len());
        let _ = decode_record(&body);
    }
}

#[test]
fn lengths_inside_a_payload_cannot_make_the_reader_allocate() {
    let mut body = encoded(
        &commit(Position(1), Actor::System, command(1), vec![slot_added(1, 1)]).records[0],
        true,
        0,
        Codec::Bincode,
    );
    // The name's length is the byte before "desk 1": say that it is eight times an exabyte.
    let at = body.windows(6).position(|w| w == b"desk 1").unwrap() - 1;
    body.splice(at..=at, [253, 255, 255, 255, 255, 255, 255, 255, 255]);
    let refused = decode_record(&body).unwrap_err().to_string();
    assert!(refused.contains("SlotAdded") || refused.contains("tag 0x0301"), "{refused}");
}
