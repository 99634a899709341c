//! One suite for every store: what the rest of Switchbook relies on, asked of each.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::sync::Arc;
use std::time::Duration;
use support::*;
use switchbook_core::envelope::{Actor, Subject};
use switchbook_core::event::Event;
use switchbook_core::extent::Extent;
use switchbook_core::id::CommandId;
use switchbook_core::personal::{KeyId, Reading};
use switchbook_core::position::Position;
use switchbook_journal::{
    AppendError, Book, EventStore, Health, MemoryStore, Options, Stretch, Vault,
};

/// A store under test, and what must live as long as it.
struct Case<S> {
    store: Arc<S>,
    vault: Arc<Vault>,
    _folder: Option<tempfile::TempDir>,
}

fn memory() -> Case<MemoryStore> {
    let store = Arc::new(MemoryStore::default());
    let vault = Arc::clone(store.vault());
    Case { store, vault, _folder: None }
}

fn book(index: bool) -> Case<Book> {
    let folder = tempfile::tempdir().unwrap();
    let opened = Book::open(folder.path(), Options { index, ..Options::default() }).unwrap();
    assert!(opened.report.created && opened.report.clean);
    Case { store: opened.store, vault: opened.vault, _folder: Some(folder) }
}

/// Runs each behaviour on each store.
macro_rules! conformance {
    ($($name:ident),+ $(,)?) => {
        mod in_memory { $(#[tokio::test] async fn $name() { super::$name(super::memory()).await; })+ }
        mod on_disk { $(#[tokio::test] async fn $name() { super::$name(super::book(true)).await; })+ }
        mod on_disk_without_index {
            $(#[tokio::test] async fn $name() { super::$name(super::book(false)).await; })+
        }
    };
}

conformance!(
    an_empty_book_has_nothing_to_read,
    positions_are_gapless_and_in_order,
    a_wrong_first_position_is_refused_and_changes_nothing,
    a_commit_of_two_commands_or_none_is_refused,
    one_bad_commit_keeps_its_whole_group_out,
    a_personal_field_that_was_not_sealed_is_refused,
    outcome_finds_the_commands_of_people_and_not_those_of_phones,
    history_lists_what_concerns_a_subject,
    reads_begin_and_end_where_asked,
    a_stretch_has_what_was_wanted_and_says_how_far_it_goes,
    subscribers_hear_of_every_new_tail,
    personal_fields_are_known_until_their_key_is_destroyed,
    nothing_can_be_sealed_under_a_destroyed_key,
    envelopes_come_back_as_they_were_given,
    a_healthy_store_is_writable_and_resumes_at_its_tail,
    many_appends_without_waiting_keep_their_order,
);

async fn an_empty_book_has_nothing_to_read<S: EventStore>(t: Case<S>) {
    assert_eq!(t.store.tail(), Position::START);
    assert_eq!(t.store.read(Position::START, 10).await.unwrap(), []);
    assert_eq!(t.store.history(subject(1), Position(1), 10).await.unwrap(), []);
    assert_eq!(t.store.outcome(command(1)).await.unwrap(), None);
    assert_eq!(t.store.snapshot("exchange", Position(9)).await.unwrap(), None);
}

async fn positions_are_gapless_and_in_order<S: EventStore>(t: Case<S>) {
    for n in 1..=50 {
        append(&*t.store, n, vec![slot_added(n, 1), slot_added(n + 100, 1)]).await;
    }
    let all = t.store.read(Position::START, 1000).await.unwrap();
    let positions: Vec<u64> = all.iter().map(|record| record.envelope.position.0).collect();
    assert_eq!(positions, (1..=100).collect::<Vec<_>>());
    assert_eq!(t.store.tail(), Position(100));
}

async fn a_wrong_first_position_is_refused_and_changes_nothing<S: EventStore>(t: Case<S>) {
    append(&*t.store, 1, vec![slot_added(1, 1)]).await;
    for wrong in [Position(0), Position(1), Position(3)] {
        let commit = commit(wrong, Actor::System, command(2), vec![slot_added(2, 1)]);
        let refused = t.store.append(vec![commit]).await.unwrap_err();
        assert_eq!(refused, AppendError::WrongPosition { expected: Position(2), found: wrong });
    }
    let mut gap = commit(Position(2), Actor::System, command(2), vec![slot_added(2, 1); 2]);
    gap.records[1].envelope.position = Position(4);
    assert!(t.store.append(vec![gap]).await.is_err());
    assert_eq!(t.store.tail(), Position(1));
    assert_eq!(append(&*t.store, 3, vec![slot_added(3, 1)]).await, Position(2));
}

async fn a_commit_of_two_commands_or_none_is_refused<S: EventStore>(t: Case<S>) {
    let mut two = commit(Position(1), Actor::System, command(1), vec![slot_added(1, 1); 2]);
    two.records[1].envelope.command = command(2);
    assert_eq!(t.store.append(vec![two]).await.unwrap_err(), AppendError::NotOneCommand);
    let none = switchbook_journal::Commit { records: Vec::new() };
    assert_eq!(t.store.append(vec![none]).await.unwrap_err(), AppendError::NotOneCommand);
    assert_eq!(t.store.tail(), Position::START);
}

async fn one_bad_commit_keeps_its_whole_group_out<S: EventStore>(t: Case<S>) {
    let good = commit(Position(1), Actor::System, command(1), vec![slot_added(1, 1)]);
    let bad = commit(Position(2), Actor::System, command(2), vec![user_added(2, "ada")]);
    let refused = t.store.append(vec![good.clone(), bad]).await.unwrap_err();
    assert_eq!(refused, AppendError::Unsealed(Position(2)));
    assert_eq!(t.store.tail(), Position::START);
    assert_eq!(t.store.append(vec![good]).await.unwrap(), Position(1));
}

async fn a_personal_field_that_was_not_sealed_is_refused<S: EventStore>(t: Case<S>) {
    let unsealed = commit(Position(1), Actor::System, command(1), vec![renamed(1, "Ada")]);
    let refused = t.store.append(vec![unsealed]).await.unwrap_err();
    assert_eq!(refused, AppendError::Unsealed(Position(1)));
}

async fn outcome_finds_the_commands_of_people_and_not_those_of_phones<S: EventStore>(t: Case<S>) {
    append(&*t.store, 1, vec![slot_added(1, 1)]).await;
    append(&*t.store, 2, vec![slot_added(2, 1), slot_added(3, 1), slot_added(4, 1)]).await;
    let by_phone = Actor::Phone(device(1));
    let commit = commit(Position(5), by_phone, command(3), vec![slot_added(5, 1)]);
    t.store.append(vec![commit]).await.unwrap();
    let outcome = |n| t.store.outcome(command(n));
    assert_eq!(outcome(1).await.unwrap(), Some((Position(1), Position(1))));
    assert_eq!(outcome(2).await.unwrap(), Some((Position(2), Position(4))));
    assert_eq!(outcome(3).await.unwrap(), None);
    assert_eq!(outcome(4).await.unwrap(), None);
}

async fn history_lists_what_concerns_a_subject<S: EventStore>(t: Case<S>) {
    for n in 0..300 {
        append(&*t.store, n + 1, vec![slot_added(n, n % 3)]).await;
    }
    let history = |from, limit| t.store.history(subject(1), Position(from), limit);
    let positions = |records: Vec<switchbook_core::envelope::Recorded>| -> Vec<u64> {
        records.iter().map(|record| record.envelope.position.0).collect()
    };
    let expected: Vec<u64> = (0..100).map(|n| 3 * n + 2).collect();
    assert_eq!(positions(history(0, 1000).await.unwrap()), expected);
    assert_eq!(positions(history(150, 3).await.unwrap()), [152, 155, 158]);
    assert_eq!(positions(history(300, 3).await.unwrap()), [0_u64; 0]);
    assert_eq!(t.store.history(Subject::Exchange, Position(1), 9).await.unwrap(), []);
}

async fn reads_begin_and_end_where_asked<S: EventStore>(t: Case<S>) {
    append(&*t.store, 1, (1..=20).map(|n| slot_added(n, 1)).collect()).await;
    let some = t.store.read(Position(7), 3).await.unwrap();
    let positions: Vec<u64> = some.iter().map(|record| record.envelope.position.0).collect();
    assert_eq!(positions, [7, 8, 9]);
    assert_eq!(t.store.read(Position(19), 10).await.unwrap().len(), 2);
    assert_eq!(t.store.read(Position(21), 10).await.unwrap(), []);
    assert_eq!(t.store.read(Position(u64::MAX), 10).await.unwrap(), []);
    assert_eq!(t.store.read(Position(1), 0).await.unwrap(), []);
}

async fn a_stretch_has_what_was_wanted_and_says_how_far_it_goes<S: EventStore>(t: Case<S>) {
    let none = t.store.read_of(Extent::CONFIGURATION, Position(1), 10).await.unwrap();
    assert_eq!(none, Stretch::default());
    for n in 1..=200 {
        let mut event = if n % 3 == 0 { slot_added(n, 1) } else { registered(n) };
        t.store.seal(&mut event).unwrap();
        append(&*t.store, n, vec![event]).await;
    }
    for extent in [Extent::EVERYTHING, Extent::CONFIGURATION, Extent::CALLS] {
        for (from, limit) in [(0, 1000), (1, 7), (2, 1), (3, 1), (150, 300), (200, 9), (201, 9)] {
            let mut read = t.store.read(Position(from), limit).await.unwrap();
            let last = read.last().map(|one| (one.envelope.position, one.envelope.recorded_at));
            read.retain(|one| extent == Extent::EVERYTHING || !one.event.is_registration());
            let stretch = t.store.read_of(extent, Position(from), limit).await.unwrap();
            assert_eq!(stretch, Stretch { records: read, last }, "{extent:?} {from} {limit}");
        }
    }
    let all = t.store.read_of(Extent::CONFIGURATION, Position(1), 1000).await.unwrap();
    assert_eq!(all.records.len(), 66);
}

async fn subscribers_hear_of_every_new_tail<S: EventStore + 'static>(t: Case<S>) {
    let mut tail = t.store.subscribe();
    assert_eq!(*tail.borrow_and_update(), Position::START);
    let store = Arc::clone(&t.store);
    let writing = tokio::spawn(async move { append(&*store, 1, vec![slot_added(1, 1)]).await });
    let heard = tokio::time::timeout(Duration::from_secs(5), tail.changed()).await;
    heard.expect("the new tail is told").unwrap();
    assert_eq!(*tail.borrow(), Position(1));
    // Whoever hears of a position can read it.
    assert_eq!(t.store.read(Position(1), 1).await.unwrap().len(), 1);
    assert_eq!(writing.await.unwrap(), Position(1));
}

fn name_of(event: &Event) -> Reading<'_> {
    match event {
        Event::UserAdded(event) => event.username.read(),
        Event::UserRenamed(event) => event.display_name.read(),
        _ => panic!("not about a name"),
    }
}

async fn personal_fields_are_known_until_their_key_is_destroyed<S: EventStore>(t: Case<S>) {
    append(&*t.store, 1, vec![user_added(1, "ada"), user_added(2, "bob"), registered(1)]).await;
    let records = t.store.read(Position(1), 3).await.unwrap();
    assert_eq!(name_of(&records[0].event), Reading::Known("ada"));
    assert_eq!(name_of(&records[1].event), Reading::Known("bob"));
    t.vault.destroy(KeyId::Person(user(1))).unwrap();
    let after = t.store.read(Position(1), 3).await.unwrap();
    assert_eq!(name_of(&after[0].event), Reading::Erased);
    assert_eq!(name_of(&after[1].event), Reading::Known("bob"));
    // Equal books stay equal whatever was erased.
    assert_eq!(records, after);
    assert_eq!(t.store.history(subject(1), Position(1), 9).await.unwrap().len(), 1);
}

async fn nothing_can_be_sealed_under_a_destroyed_key<S: EventStore>(t: Case<S>) {
    t.vault.destroy(KeyId::Person(user(1))).unwrap();
    let refused = t.store.seal(&mut renamed(1, "Ada")).unwrap_err();
    assert!(matches!(refused, AppendError::KeyDestroyed(_)), "{refused}");
}

async fn envelopes_come_back_as_they_were_given<S: EventStore>(t: Case<S>) {
    let actors = [
        Actor::System,
        Actor::Supervisor { uid: 1000 },
        Actor::Admin(user(1)),
        Actor::User(user(2)),
        Actor::Phone(device(3)),
        Actor::Schedule(switchbook_core::id::ScheduleId(uuid::Uuid::from_u128(4))),
        Actor::Auditor(user(5)),
    ];
    let mut given = Vec::new();
    for (index, actor) in actors.into_iter().enumerate() {
        let first = Position(index as u64 + 1);
        let mut commit = commit(first, actor, command(index as u128), vec![slot_added(1, 1)]);
        let envelope = &mut commit.records[0].envelope;
        envelope.on_behalf_of = (index % 2 == 0).then(|| user(77));
        envelope.cause = (index % 3 == 0).then_some(Position(index as u64));
        if index % 2 == 1 {
            envelope.correlation = switchbook_core::id::CorrelationId(uuid::Uuid::from_u128(8));
        }
        given.extend(commit.records.clone());
        t.store.append(vec![commit]).await.unwrap();
    }
    assert_eq!(t.store.read(Position(1), 100).await.unwrap(), given);
}

async fn a_healthy_store_is_writable_and_resumes_at_its_tail<S: EventStore>(t: Case<S>) {
    append(&*t.store, 1, vec![slot_added(1, 1)]).await;
    assert_eq!(t.store.health(), Health::Writable);
    assert_eq!(t.store.resume().await.unwrap(), Position(1));
    assert_eq!(append(&*t.store, 2, vec![slot_added(2, 1)]).await, Position(2));
}

async fn many_appends_without_waiting_keep_their_order<S: EventStore + 'static>(t: Case<S>) {
    let mut waiting = Vec::new();
    for n in 1..=500_u64 {
        let id = CommandId(uuid::Uuid::from_u128(n.into()));
        let commit = commit(Position(n), Actor::System, id, vec![slot_added(n.into(), 1)]);
        let store = Arc::clone(&t.store);
        waiting.push(Box::pin(async move { store.append(vec![commit]).await }));
        // The first poll puts it into the queue: order is the order of first polls.
        let last = waiting.last_mut().unwrap();
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        if let std::task::Poll::Ready(answer) = last.as_mut().poll(&mut context) {
            assert_eq!(answer.unwrap(), Position(n));
            waiting.pop();
        }
    }
    for append in waiting {
        append.await.unwrap();
    }
    assert_eq!(t.store.tail(), Position(500));
}
