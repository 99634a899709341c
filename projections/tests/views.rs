//! What people see: every table of a small exchange, told once.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::*;
use expect_test::{Expect, expect};
use std::fmt::Display;
use switchbook_core::call::*;
use switchbook_core::envelope::Subject;
use switchbook_core::position::Moment;
use switchbook_core::user::{Language, UserDeleted};
use switchbook_projections::audit_trail::{By, Order, Query, page};
use switchbook_projections::call_log::{self, Filter, Missed};
use switchbook_projections::fold::{self, Tables};
use switchbook_projections::registrar::{NoLeases, Which};
use switchbook_projections::{directory, numbers, registrar, schedules};

fn check(actual: impl Display, expected: Expect) {
    expected.assert_eq(&actual.to_string());
}

fn tables(story: &Story) -> Tables {
    let mut tables = Tables::default();
    story.records.iter().for_each(|recorded| tables.apply(recorded));
    tables
}

fn lunch() -> Moment {
    at("2026-11-23T11:30:00Z")
}

#[test]
fn registrar_shows_bindings_with_their_effective_end() {
    let story = Story::of_ada_and_bob();
    let extended = |device, _| (device == P1).then(|| at("2026-11-23T12:00:00Z"));
    let view = registrar::view(&story.exchange, &extended, lunch(), Which::All);
    check(view.table(), expect![[""]]);
    let (device, bindings) =
        registrar::look_up(&story.exchange, "p1", &extended, lunch()).unwrap();
    assert_eq!((device, bindings.len()), (P1, 1));
    assert!(registrar::look_up(&story.exchange, "nobody", &NoLeases, lunch()).is_none());
}

#[test]
fn numbers_show_who_can_be_reached_and_the_profile_in_force() {
    let story = Story::of_ada_and_bob();
    let view = numbers::view(&story.exchange, &NoLeases, story.now, None);
    check(view.table(), expect![[""]]);
    let row = numbers::one(&story.exchange, &NoLeases, lunch(), number("100")).unwrap();
    let told = row.in_force.unwrap().because;
    check(format!("{}\n{}", told.en, told.de), expect![[""]]);
}

#[test]
fn directory_shows_users_matrix_devices_groups_and_rights() {
    let story = Story::of_ada_and_bob();
    let exchange = &story.exchange;
    let all = format!(
        "{}\n{}\n{}\n{}\n{}\n{}",
        directory::users(exchange).table(),
        directory::matrix(exchange, ADA).unwrap().table(),
        directory::devices(exchange).table(),
        directory::groups(exchange).table(),
        directory::permissions(exchange).table(),
        directory::user(exchange, ADA).unwrap().table(),
    );
    check(all, expect![[""]]);
}

#[test]
fn forwardings_of_all_users_say_which_are_active_and_why() {
    let story = Story::of_ada_and_bob();
    let exchange = &story.exchange;
    let all = format!(
        "{}\n{}\n{}",
        directory::forwardings(exchange, lunch()).table(),
        directory::forwardings(exchange, story.now).table(),
        directory::profiles(exchange, None).table(),
    );
    check(all, expect![[""]]);
}

#[test]
fn schedules_show_the_next_edge_on_the_wall_clock_of_the_number() {
    let story = Story::of_ada_and_bob();
    let view = |at| schedules::view(&story.exchange, at, schedules::Which::All).table();
    check(format!("{}\n{}", view(story.now), view(lunch())), expect![[""]]);
}

fn calls() -> Story {
    let mut story = Story::of_ada_and_bob();
    let answered = story.call(0xc1, P3, "100");
    story.pass(5);
    story.tell(CallAnswered {
        call: answered,
        device: Some(P2),
        number: Some(number("100")),
        answered_at: story.now,
    });
    story.pass(62);
    story.tell(CallEnded {
        call: answered,
        outcome: CallOutcome::HungUpByCaller,
        ended_at: story.now,
        sip_status: 0,
        rang: vec![P1, P2],
    });
    story.now = lunch();
    let missed = story.call(0xc2, P2, "100");
    story.tell(CallDiverted {
        call: missed,
        from: number("100"),
        to: number("300"),
        status: None,
    });
    story.pass(60);
    story.tell(CallEnded {
        call: missed,
        outcome: CallOutcome::NoAnswer,
        ended_at: story.now,
        sip_status: 480,
        rang: vec![P3],
    });
    story.call(0xc3, P1, "300");
    story
}

#[test]
fn call_log_tells_answered_elsewhere_from_missed() {
    let story = calls();
    let tables = tables(&story);
    let view = |filter| {
        call_log::view(&tables.calls, &tables.names, chrono_tz::Europe::Berlin, filter, 10).table()
    };
    let missed = |user| Filter { user: Some(user), missed: Missed::Only, number: None };
    let all = format!(
        "{}\nmissed by bob\n{}\nmissed by ada\n{}",
        view(Filter::default()),
        view(missed(BOB)),
        view(missed(ADA))
    );
    check(all, expect![[""]]);
    let first = tables.calls.get(switchbook_core::id::CallId(id(0xc1))).unwrap();
    let shares: Vec<call_log::Share> = first.shares().map(|(.., share)| share).collect();
    assert_eq!(shares, [call_log::Share::AnsweredElsewhere, call_log::Share::Answered]);
    assert_eq!(first.seconds(), Some(62));
}

#[tokio::test]
async fn audit_trail_answers_by_object_actor_time_and_kind() {
    let mut story = calls();
    story.write().await;
    let tail = story.exchange.position;
    let names = fold::names_at(&*story.store, tail, story.opener().as_ref()).await.unwrap();
    let zone = chrono_tz::Europe::Berlin;
    let ask = async |query: Query| page(&*story.store, &names, zone, &query).await.unwrap();
    let subject = names.find("number:100").unwrap();
    let of_number = ask(Query { subject: Some(subject), ..Query::default() }).await;
    let german = of_number.table(Language::German);
    check(format!("{}\n{german}", of_number.table(Language::English)), expect![[""]]);
    let by = By::parse("user:bob", &names).unwrap();
    let by_bob = ask(Query { actor: Some(by), ..Query::default() }).await;
    assert_eq!(by_bob.entries.iter().map(|entry| entry.kind).collect::<Vec<_>>(), ["ScheduleAdded"]);
    let kinds = vec!["CallPlaced".to_owned()];
    let from = Some(lunch());
    let late = ask(Query { kinds: kinds.clone(), from, ..Query::default() }).await;
    assert_eq!(late.entries.len(), 2);
    let first = ask(Query { kinds: kinds.clone(), limit: 1, ..Query::default() }).await;
    let after = first.next.unwrap();
    let rest = ask(Query { kinds: kinds.clone(), after, ..Query::default() }).await;
    assert_eq!((first.entries.len(), rest.entries.len(), rest.next), (1, 2, None));
    let order = Order::NewestFirst;
    let newest = ask(Query { kinds, order, limit: 2, ..Query::default() }).await;
    assert!(newest.entries[0].position > newest.entries[1].position);
    let of_call = Some(Subject::Call(switchbook_core::id::CallId(id(0xc2))));
    let backwards = ask(Query { subject: of_call, order, ..Query::default() }).await;
    assert_eq!(backwards.entries.first().unwrap().kind, "CallEnded");
}

#[tokio::test]
async fn a_deleted_user_keeps_his_name_in_the_trail_until_he_is_erased() {
    let mut story = Story::of_ada_and_bob();
    story.tell(UserDeleted {
        user: BOB,
        numbers_freed: vec![number("300")],
        profiles_deleted: vec![],
        schedules_removed: vec![],
        slots_removed: vec![BOB_DESK],
        devices_logged_out: vec![P3],
        groups_left: vec![],
    });
    story.write().await;
    let tail = story.exchange.position;
    let last = async || {
        let names = fold::names_at(&*story.store, tail, story.opener().as_ref()).await.unwrap();
        let query = Query { order: Order::NewestFirst, limit: 1, ..Query::default() };
        let found = page(&*story.store, &names, chrono_tz::Tz::UTC, &query).await.unwrap();
        format!("{}, found: {}", found.entries[0].line, names.find("user:bob").is_ok())
    };
    let before = last().await;
    assert_eq!(before, "user bob was deleted; free again: 300; logged out: p3, found: true");
    story.store.vault().destroy(switchbook_core::personal::KeyId::Person(BOB)).unwrap();
    let after = last().await;
    assert_eq!(after, "user [erased] was deleted; free again: 300; logged out: p3, found: false");
}
