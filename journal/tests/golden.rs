//! The format is for ever: these bytes were written once and must be read by every later Switchbook.
//! docs/journal-format.md explains them.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::path::{Path, PathBuf};
use support::*;
use switchbook_core::envelope::Actor;
use switchbook_core::event::Event;
use switchbook_core::id::{BookId, CorrelationId, ProfileId, ScheduleId, SecretId};
use switchbook_core::personal::{KeyId, Personal, Reading};
use switchbook_core::position::{Moment, Position};
use switchbook_core::registration::BindingId;
use switchbook_core::schedule::{Days, Minute, Pattern, Priority, ScheduleAdded};
use switchbook_core::user::SecretRef;
use switchbook_journal::codec::Codec;
use switchbook_journal::merkle::leaf_hash;
use switchbook_journal::record::{decode_record, encode_record};
use switchbook_journal::{Book, EventReader, Options, SegmentReader, Vault};
use uuid::Uuid;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn schedule_added() -> Event {
    ScheduleAdded {
        schedule: ScheduleId(Uuid::from_u128(0x51)),
        number: "416".parse().unwrap(),
        profile: ProfileId(Uuid::from_u128(0x52)),
        pattern: Pattern::Weekly { days: Days(0b10_0000), from: Minute(540), to: Minute(720) },
        priority: Priority(3),
    }
    .into()
}

/// Version 1 of the payload is that of version 2 without its last byte, the priority.
fn as_version_1(mut body: Vec<u8>) -> Vec<u8> {
    assert_eq!(body.pop(), Some(3));
    assert_eq!(std::mem::replace(&mut body[34], 1), 2);
    body
}

fn body_of(commit: &switchbook_journal::Commit, durable: u64) -> Vec<u8> {
    let mut body = Vec::new();
    let record = &commit.records[0];
    encode_record(record, true, Position(durable), Codec::Bincode, &mut body).unwrap();
    body
}

#[test]
fn a_record_has_these_bytes() {
    let mut commit =
        commit(Position(0x0102), Actor::Admin(user(0xa1)), command(0xc1), vec![schedule_added()]);
    let envelope = &mut commit.records[0].envelope;
    envelope.recorded_at = Moment(0x0006_5000_0000_0001);
    envelope.moment = Moment(-2);
    envelope.on_behalf_of = Some(user(0xb1));
    envelope.cause = Some(Position(0x0100));
    envelope.correlation = CorrelationId(Uuid::from_u128(0xd1));
    envelope.source = Some(Personal::sealed_under(KeyId::Period(202_611), &[0x5e; 41]));
    let body = body_of(&commit, 0x0101);
    let expected = [
        "0201000000000000",                     // position
        "0100000000500600",                     // recorded at
        "feffffffffffffff",                     // moment T
        "0101000000000000",                     // known to be durable
        "0108",                                 // tag 0x0801
        "02",                                   // version
        "01",                                   // codec: bincode
        "1f",   // flags: last, on behalf of, cause, correlation, source
        "02",   // actor: admin
        "0300", // subjects
        "000000000000000000000000000000c1", // command
        "000000000000000000000000000000a1", // the admin
        "000000000000000000000000000000b1", // on behalf of
        "0001000000000000", // cause
        "000000000000000000000000000000d1", // correlation
        "0273170300", // source: key of November 2026,
        "29",   // so many sealed bytes,
        &"5e".repeat(41), // and these
        "071000000000000000000000000000000051", // a schedule
        "0203343136", // number 416
        "061000000000000000000000000000000052", // a profile
        "00000000000000000000000000000051", // payload: schedule id
        "03343136", // number
        "00000000000000000000000000000052", // profile id
        "00",   // weekly
        "20",   // on Saturdays
        "fb1c02", // from minute 540
        "fbd002", // to minute 720
        "03",   // priority
    ];
    assert_eq!(hex(&body), expected.concat());
    assert_eq!(decode_record(&body).unwrap().recorded, commit.records[0]);
}

#[test]
fn version_1_of_a_schedule_is_upcast() {
    let commit = commit(Position(1), Actor::System, command(1), vec![schedule_added()]);
    let decoded = decode_record(&as_version_1(body_of(&commit, 0))).unwrap();
    let Event::ScheduleAdded(event) = decoded.recorded.event else { panic!("another event") };
    assert_eq!(event.priority, Priority(0));
    assert_eq!(event.number.as_str(), "416");
}

#[test]
fn what_a_newer_switchbook_wrote_is_refused_in_words() {
    let commit = commit(Position(1), Actor::System, command(1), vec![schedule_added()]);
    for (at, byte) in [(34, 99), (33, 0x7f), (35, 77), (36, 0x80), (37, 200)] {
        let mut body = body_of(&commit, 0);
        body[at] = byte;
        let refused = decode_record(&body).unwrap_err().to_string();
        assert!(refused.contains("newer"), "byte {at}: {refused}");
    }
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/book-1")
}

const BOOK: BookId = BookId(Uuid::from_u128(0x5b00));

#[test]
fn the_golden_book_of_format_1_is_read_from_its_segments() {
    let vault = std::sync::Arc::new(Vault::read_only(&golden()).unwrap());
    assert_eq!(vault.book(), BOOK);
    let secret = SecretRef { id: SecretId(Uuid::from_u128(0x5e)), version: 1 };
    assert_eq!(vault.secret(secret).unwrap().as_slice(), b"not a hash");
    let reader = SegmentReader::open(&golden()).unwrap();
    assert_eq!((reader.book(), reader.tail()), (Some(BOOK), Position(14)));
    assert_eq!(hex(&reader.scrub().unwrap().root()), include_str!("golden/book-1.root").trim());
    let story: Vec<String> = reader
        .records(Position(1), Some(&vault))
        .map(|record| {
            let record = record.unwrap();
            let name = match &record.event {
                Event::UserAdded(event) => format!(" {}", event.username),
                Event::ScheduleAdded(event) => format!(" priority {}", event.priority.0),
                Event::PhoneRegistered(event) => format!(" {}", event.binding.contact),
                _ => String::new(),
            };
            format!("{} {}{name}", record.envelope.position, record.event.name())
        })
        .collect();
    let expected = [
        "#1 UserAdded ada",
        "#2 SlotAdded",
        "#3 UserAdded [erased]",
        "#4 PhoneRegistered sip:ada@192.0.2.7:5060;transport=udp",
        "#5 ScheduleAdded priority 0",
        "#6 ScheduleAdded priority 3",
        "#7 SlotAdded",
        "#8 SlotAdded",
        "#9 SlotAdded",
        "#10 SlotAdded",
        "#11 SlotAdded",
        "#12 SlotAdded",
        "#13 SlotAdded",
        "#14 SlotAdded",
    ];
    assert_eq!(story, expected);
    let segments: std::collections::BTreeSet<_> =
        reader.stored(Position(1)).map(|stored| stored.unwrap().segment).collect();
    assert!(segments.len() >= 3, "{segments:?}");
}

#[tokio::test]
async fn the_golden_book_of_format_1_opens_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    copy(&golden(), folder.path());
    let opened = Book::open(folder.path(), Options::default()).unwrap();
    assert_eq!((opened.report.tail, opened.report.clean), (Position(14), true));
    assert_eq!(append(&*opened.store, 99, vec![user_added(9, "zoe")]).await, Position(15));
    let lease = opened.leases.get(device(1), BindingId(1)).unwrap();
    assert_eq!((lease.expires_at, lease.cseq), (Moment(1_795_435_260_000_000), 18));
    let all = opened.store.read(Position(1), 99).await.unwrap();
    let Event::UserAdded(bob) = &all[2].event else { panic!("another event") };
    assert_eq!(bob.username.read(), Reading::Erased);
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test]
async fn a_book_made_today_as_the_golden_one_was_has_the_same_story() {
    let folder = tempfile::tempdir().unwrap();
    make(&folder.path().join("book-1")).await;
    let names = |reader: &SegmentReader| {
        let records = reader.records(Position(1), None).map(|record| record.unwrap());
        records.map(|record| record.event.name()).collect::<Vec<_>>()
    };
    let made = SegmentReader::open(&folder.path().join("book-1")).unwrap();
    assert_eq!(names(&made), names(&SegmentReader::open(&golden()).unwrap()));
}

/// Made the golden book once. A released format's golden book is never written again: a new format gets a new folder.
async fn make(folder: &Path) {
    let options =
        || Options { book: Some(BOOK), index: false, segment_bytes: 1024, ..Options::default() };
    {
        let opened = Book::open(folder, options()).unwrap();
        let secret = SecretRef { id: SecretId(Uuid::from_u128(0x5e)), version: 1 };
        opened.vault.put_secret(secret, b"not a hash").unwrap();
        append(&*opened.store, 1, vec![user_added(1, "ada"), slot_added(1, 1)]).await;
        append(&*opened.store, 2, vec![user_added(2, "bob")]).await;
        append(&*opened.store, 3, vec![registered(1)]).await;
    }
    // A record as the version before wrote it, put behind the end by hand: it is carried into the next segment.
    let last =
        std::fs::read_dir(folder.join("segments")).unwrap().flatten().map(|e| e.path()).max();
    let commit = commit(Position(5), Actor::Admin(user(1)), command(4), vec![schedule_added()]);
    let body = as_version_1(body_of(&commit, 4));
    let leaf = leaf_hash(&body);
    let length = (body.len() as u32).to_le_bytes();
    let sum = crc32c::crc32c(&[&length[..], &leaf, &body].concat()).to_le_bytes();
    let mut bytes = std::fs::read(last.as_ref().unwrap()).unwrap();
    bytes.extend([&length[..], &sum, &leaf, &body].concat());
    std::fs::write(last.unwrap(), bytes).unwrap();
    let opened = Book::open(folder, options()).unwrap();
    assert_eq!(opened.report.carried, 1);
    append(&*opened.store, 5, vec![schedule_added()]).await;
    for n in 7..=14 {
        append(&*opened.store, n, vec![slot_added(n, 1)]).await;
    }
    opened.vault.destroy(KeyId::Person(user(2))).unwrap();
    opened.leases.renew(device(1), BindingId(1), Moment(1_795_435_260_000_000), 18);
    let root = hex(&opened.store.tree().root());
    drop(opened);
    std::fs::remove_file(folder.join("lock")).unwrap();
    std::fs::write(folder.with_extension("root"), root + "\n").unwrap();
}
