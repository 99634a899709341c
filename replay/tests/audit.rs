//! What an auditor asks of a small exchange, and what he is told.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "../../projections/tests/common/mod.rs"]
mod common;

use common::*;
use expect_test::{Expect, expect};
use switchbook_core::call::*;
use switchbook_core::envelope::{Actor, Recorded};
use switchbook_core::event::Event;
use switchbook_core::id::CallId;
use switchbook_core::number::{CallWaitingSet, NumberFreed};
use switchbook_core::outside::OutsideNumber;
use switchbook_core::personal::{KeyId, Personal};
use switchbook_core::position::Position;
use switchbook_core::routing::plan::Step;
use switchbook_core::user::{DoNotDisturbSet, Language};
use switchbook_journal::EventStore;
use switchbook_projections::fold;
use switchbook_replay::explain::{Verdict, call_at};
use switchbook_replay::*;

fn check(lines: &[String], expected: Expect) {
    expected.assert_eq(&format!("{}\n", lines.join("\n")));
}

/// At lunch, Ada's desk phone calls her 100; the schedule that Bob made for her sends the call to 300.
async fn forwarded() -> (Story, CallId) {
    let mut story = Story::of_ada_and_bob();
    story.now = at("2026-11-23T11:30:00Z");
    let call = story.call(0xc1, P1, "100");
    story.tell(CallDiverted { call, from: number("100"), to: number("300"), status: None });
    story.pass(4);
    story.tell(CallAnswered {
        call,
        device: Some(P3),
        number: Some(number("300")),
        answered_at: story.now,
    });
    story.pass(60);
    story.tell(CallEnded {
        call,
        outcome: CallOutcome::HungUpByCaller,
        ended_at: story.now,
        cause: ReleaseCause::NORMAL,
        rang: vec![P3],
    });
    story.write().await;
    (story, call)
}

async fn explained(story: &Story, call: CallId, options: Options) -> Explanation {
    explain(&*story.store, call, &options, &story.opener()).await.unwrap()
}

fn schedule_added(story: &Story) -> Position {
    let added = story.records.iter().find(|r| matches!(r.event, Event::ScheduleAdded(_)));
    added.unwrap().envelope.position
}

#[tokio::test]
async fn a_forwarded_call_is_walked_back_to_its_schedule_its_maker_and_its_time() {
    let (story, call) = forwarded().await;
    let told = explained(&story, call, Options::default()).await;
    assert_eq!(told.verdict, Verdict::SamePlan);
    let first = told.steps.first().unwrap();
    let source = first.because.iter().find(|why| why.rule == "F-5").unwrap().source.clone();
    let source = source.unwrap();
    assert_eq!((source.position, source.kind), (schedule_added(&story), "ScheduleAdded"));
    assert_eq!(source.by.en, "administrator bob on behalf of ada");
    check(
        &told.lines(Language::English),
        expect![[r#"
        Call 00000000-0000-0000-0000-0000000000c1, placed by #23
        p1 (100) called 100 at 2026-11-23 12:30:00 CET; decided on the book up to #22
        The book gives the same plan that was recorded with the call.
        1. the call to 100 goes on to 300
           because a schedule has profile ada/Urlaub in force from 2026-11-23 12:00:00 CET to 2026-11-23 13:00:00 CET (F-5)
             ← #22 ScheduleAdded: a schedule for 100 was added: ada/Urlaub, Mon Tue Wed Thu Fri 12:00–13:00 — by administrator bob on behalf of ada, 2026-11-23 10:00:00 CET, command 00000000-0000-0000-0000-000000000016
           because profile ada/Urlaub says: always → 300 (3.1 step 8)
             ← #21 ProfileAdded: forwarding profile ada/Urlaub was added: always, internal → 300; always, external → 300 — by user ada, 2026-11-23 10:00:00 CET, command 00000000-0000-0000-0000-000000000015
           then: step 2
        2. 300 of bob rings: p3 0–60 s; at most 60 s
           because the number is ticked for slot bob/desk, where p3 is logged in (3.1 step 11)
             ← #19 DeviceLoggedIn: bob/desk was logged in at p3 — by phone p3, 2026-11-23 10:00:00 CET, command 00000000-0000-0000-0000-000000000013
           if busy or rejected: step 3
           if nobody answers: step 4
           if no phone can be reached: step 5
        3. the call ends: busy
           because no rule says anything else (3.1 step 14)
        4. the call ends: no answer
           because no rule says anything else (3.1 step 14)
        5. the call ends: not available
           because no rule says anything else (3.1 step 14)
        What then happened:
          #24 2026-11-23 12:30:00 CET: forwarded from 100 to 300
          #25 2026-11-23 12:30:04 CET: answered at p3 (300)
          #26 2026-11-23 12:31:04 CET: the call ended: hung up by the caller
    "#]],
    );
    check(
        &told.lines(Language::German),
        expect![[r#"
        Ruf 00000000-0000-0000-0000-0000000000c1, begonnen mit #23
        p1 (100) rief 100 an, 2026-11-23 12:30:00 CET; entschieden nach dem Buch bis #22
        Aus dem Buch kommt derselbe Plan, der mit dem Ruf aufgezeichnet wurde.
        1. der Ruf an 100 geht weiter an 300
           weil: eine Zeitsteuerung hält das Profil ada/Urlaub von 2026-11-23 12:00:00 CET bis 2026-11-23 13:00:00 CET in Kraft (F-5)
             ← #22 ScheduleAdded: eine Zeitsteuerung für 100 wurde angelegt: ada/Urlaub, Mo Di Mi Do Fr 12:00–13:00 — durch Administrator bob im Namen von ada, 2026-11-23 10:00:00 CET, Befehl 00000000-0000-0000-0000-000000000016
           weil: das Profil ada/Urlaub sagt: sofort → 300 (3.1 step 8)
             ← #21 ProfileAdded: das Rufumleitungsprofil ada/Urlaub wurde angelegt: sofort, intern → 300; sofort, extern → 300 — durch Benutzer ada, 2026-11-23 10:00:00 CET, Befehl 00000000-0000-0000-0000-000000000015
           dann: Schritt 2
        2. 300 von bob klingelt: p3 0–60 s; höchstens 60 s
           weil: die Rufnummer ist für den Slot bob/desk angehakt, auf dem p3 angemeldet ist (3.1 step 11)
             ← #19 DeviceLoggedIn: bob/desk wurde an p3 angemeldet — durch Telefon p3, 2026-11-23 10:00:00 CET, Befehl 00000000-0000-0000-0000-000000000013
           wenn besetzt oder abgelehnt: Schritt 3
           wenn niemand annimmt: Schritt 4
           wenn kein Telefon erreichbar ist: Schritt 5
        3. der Ruf endet: besetzt
           weil: keine Regel sagt etwas anderes (3.1 step 14)
        4. der Ruf endet: keine Antwort
           weil: keine Regel sagt etwas anderes (3.1 step 14)
        5. der Ruf endet: nicht erreichbar
           weil: keine Regel sagt etwas anderes (3.1 step 14)
        Was dann geschah:
          #24 2026-11-23 12:30:00 CET: umgeleitet von 100 zu 300
          #25 2026-11-23 12:30:04 CET: angenommen an p3 (300)
          #26 2026-11-23 12:31:04 CET: der Ruf endete: vom Anrufer beendet
    "#]],
    );
}

#[tokio::test]
async fn with_the_stored_plan_withheld_the_book_gives_the_same_plan() {
    let (story, call) = forwarded().await;
    let stored = explained(&story, call, Options::default()).await;
    let options = Options { stored_plan: StoredPlan::Withheld, ..Options::default() };
    let alone = explained(&story, call, options).await;
    assert_eq!(alone.verdict, Verdict::FromTheBook);
    assert_eq!(alone.plan, stored.plan);
    assert_eq!(alone.steps, stored.steps);
}

#[tokio::test]
async fn without_the_event_that_defined_the_schedule_another_plan_comes_out() {
    let (story, call) = forwarded().await;
    let without = vec![schedule_added(&story)];
    let told = explained(&story, call, Options { without, ..Options::default() }).await;
    assert!(matches!(told.verdict, Verdict::AnotherPlan { .. }));
    let plan = told.plan.as_ref().unwrap();
    assert!(matches!(plan.step(plan.start), Some(Step::Ring { .. })));
    check(
        &told.lines(Language::English),
        expect![[r#"
            Call 00000000-0000-0000-0000-0000000000c1, placed by #23
            p1 (100) called 100 at 2026-11-23 12:30:00 CET; decided on the book up to #22
            Left out of the book:
              #22 ScheduleAdded: a schedule for 100 was added: ada/Urlaub, Mon Tue Wed Thu Fri 12:00–13:00 — by administrator bob on behalf of ada, 2026-11-23 10:00:00 CET, command 00000000-0000-0000-0000-000000000016
            Without it another plan comes out:
              - 1. the call to 100 goes on to 300
              - 2. 300 of bob rings: p3 0–60 s; at most 60 s
              - 3. the call ends: busy
              - 4. the call ends: no answer
              - 5. the call ends: not available
              + 1. 100 of ada rings: p1 0–60 s, p2 0–60 s; at most 60 s
              + 2. the call ends: busy
              + 3. the call ends: no answer
              + 4. the call ends: not available
            Note: p1 was not asked about then; the book has it registered, and it is taken for idle.
            Note: p2 was not asked about then; the book has it registered, and it is taken for idle.
            1. 100 of ada rings: p1 0–60 s, p2 0–60 s; at most 60 s
               because the number is ticked for slot ada/desk, where p1 is logged in (3.1 step 11)
                 ← #15 DeviceLoggedIn: ada/desk was logged in at p1 — by phone p1, 2026-11-23 10:00:00 CET, command 00000000-0000-0000-0000-00000000000f
               because the number is ticked for slot ada/dect, where p2 is logged in (3.1 step 11)
                 ← #17 DeviceLoggedIn: ada/dect was logged in at p2 — by phone p2, 2026-11-23 10:00:00 CET, command 00000000-0000-0000-0000-000000000011
               if busy or rejected: step 2
               if nobody answers: step 3
               if no phone can be reached: step 4
            2. the call ends: busy
               because no rule says anything else (3.1 step 14)
            3. the call ends: no answer
               because no rule says anything else (3.1 step 14)
            4. the call ends: not available
               because no rule says anything else (3.1 step 14)
            What then happened:
              #24 2026-11-23 12:30:00 CET: forwarded from 100 to 300
              #25 2026-11-23 12:30:04 CET: answered at p3 (300)
              #26 2026-11-23 12:31:04 CET: the call ended: hung up by the caller
        "#]],
    );
    // Registrations reach the decision as recorded facts, so leaving one out changes nothing.
    let registered = |r: &&Recorded| matches!(r.event, Event::PhoneRegistered(_));
    let without = vec![story.records.iter().find(registered).unwrap().envelope.position];
    let same = explained(&story, call, Options { without, ..Options::default() }).await;
    assert_eq!(same.verdict, Verdict::SamePlan);
}

#[tokio::test]
async fn whatever_event_is_left_out_the_fold_ends_and_the_call_is_explained() {
    let (story, call) = forwarded().await;
    for position in 1..=story.exchange.position.0 {
        let without = vec![Position(position)];
        let told = explained(&story, call, Options { without, ..Options::default() }).await;
        assert!(told.plan.is_some(), "without #{position}");
        let json = serde_json::to_value(&told).unwrap();
        assert!(json["verdict"].is_string() && json["steps"].is_array());
    }
}

#[tokio::test]
async fn a_tampered_plan_is_noticed() {
    let (mut story, _) = forwarded().await;
    story.now = at("2026-11-23T11:40:00Z");
    let call = story.call(0xc9, P1, "100");
    let Some(Event::CallPlaced(placed)) = story.records.last_mut().map(|r| &mut r.event) else {
        panic!()
    };
    placed.plan = placed.plan.replace("\"300\"", "\"100\"");
    story.write().await;
    let told = explained(&story, call, Options::default()).await;
    assert!(matches!(told.verdict, Verdict::AnotherPlan { .. }));
}

#[tokio::test]
async fn an_erased_outside_number_is_said_to_be_so() {
    let mut story = Story::of_ada_and_bob();
    let key = KeyId::Period(202_611);
    let decided_on = story.exchange.position;
    let placed = story.tell(CallPlaced {
        call: CallId(id(0xc5)),
        caller: Caller::Device { device: P1, number: Some(number("100")) },
        dialled: Dialled::Outside(OutsideNumber::new(key, "0301234567")),
        origin: switchbook_core::device::Origin::Internal,
        facts: Facts::default(),
        decided_on,
        decided_for: story.now,
        plan: "{}".into(),
    });
    story.write().await;
    story.store.vault().destroy(key).unwrap();
    let call = call_at(&*story.store, placed).await.unwrap();
    let told = explained(&story, call, Options::default()).await;
    assert_eq!(told.dialled, "03012[erased]");
    assert!(matches!(told.verdict, Verdict::NotComputed { .. }));
    assert!(told.lines(Language::English)[2].contains("was erased"));
}

/// What the exchange records of a feature code: masked, and with a plan that has no steps.
fn dials(story: &mut Story, n: u128, dialled: &str, plan: &str) -> CallId {
    let call = CallId(id(n));
    let decided_on = story.exchange.position;
    story.tell(CallPlaced {
        call,
        caller: Caller::Device { device: P1, number: Some(number("100")) },
        dialled: Dialled::Other(Personal::new(KeyId::Period(202_611), dialled)),
        origin: switchbook_core::device::Origin::Internal,
        facts: Facts::default(),
        decided_on,
        decided_for: story.now,
        plan: plan.replace("\"decided_on\":0", &format!("\"decided_on\":{}", decided_on.0)),
    });
    story.tell(CallEnded {
        call,
        outcome: CallOutcome::FeatureCode,
        ended_at: story.now,
        cause: ReleaseCause::NORMAL,
        rang: vec![],
    });
    call
}

const NO_STEPS: &str = r#"{"at":0,"decided_on":0,"origin":"Internal","start":0,"steps":[]}"#;

#[tokio::test]
async fn a_feature_code_is_said_to_have_no_route() {
    let mut story = Story::of_ada_and_bob();
    let codes =
        [(0xc6, NO_STEPS), (0xc7, "")].map(|(n, plan)| dials(&mut story, n, "*44*…*…", plan));
    let nowhere = dials(&mut story, 0xc8, "anna", NO_STEPS);
    story.write().await;
    for call in codes {
        for options in [
            Options::default(),
            Options { stored_plan: StoredPlan::Withheld, ..Options::default() },
            Options { without: vec![schedule_added(&story)], ..Options::default() },
        ] {
            let told = explained(&story, call, options).await;
            assert_eq!(told.verdict, Verdict::FeatureCode);
            assert!(told.plan.is_none() && told.steps.is_empty());
            assert_eq!(serde_json::to_value(&told).unwrap()["verdict"], "feature_code");
        }
    }
    // A plan that was emptied is no feature code.
    let told = explained(&story, nowhere, Options::default()).await;
    assert!(matches!(told.verdict, Verdict::AnotherPlan { .. }));
    let told = explained(&story, codes[0], Options::default()).await;
    check(
        &told.lines(Language::English),
        expect![[r#"
        Call 00000000-0000-0000-0000-0000000000c6, placed by #23
        p1 (100) called *44*…*… at 2026-11-23 10:00:00 CET; decided on the book up to #22
        A feature code was dialled: nobody was called, and there is no route to explain.
        What then happened:
          #24 2026-11-23 10:00:00 CET: the call ended: feature code
    "#]],
    );
    check(
        &told.lines(Language::German),
        expect![[r#"
        Ruf 00000000-0000-0000-0000-0000000000c6, begonnen mit #23
        p1 (100) rief *44*…*… an, 2026-11-23 10:00:00 CET; entschieden nach dem Buch bis #22
        Es wurde ein Funktionscode gewählt: niemand wurde angerufen, einen Weg gibt es nicht.
        Was dann geschah:
          #24 2026-11-23 10:00:00 CET: der Ruf endete: Funktionscode
    "#]],
    );
    // Nor does it need to be known which code it was.
    story.store.vault().destroy(KeyId::Period(202_611)).unwrap();
    let told = explained(&story, codes[0], Options::default()).await;
    assert_eq!(told.verdict, Verdict::FeatureCode);
}

#[tokio::test]
async fn as_of_before_and_after_shows_both_truths() {
    let (story, _) = forwarded().await;
    let added = schedule_added(&story);
    let open = story.opener();
    let state =
        async |at: &str| as_of::state(&*story.store, at.parse().unwrap(), &open).await.unwrap();
    assert!(state(&format!("#{}", added.0 - 1)).await.schedules.is_empty());
    assert_eq!(state(&added.to_string()).await.schedules.len(), 1);
    // On the wall clock of the exchange: 12:00 in Berlin is 11:00 UTC.
    assert_eq!(state("2026-11-23 12:00").await.position, added);
    assert_eq!(state("now").await, story.exchange);
    assert_eq!(state("2020-01-01").await.position, Position::START);
    let noon = "2026-11-23 12:00".parse().unwrap();
    let (_, moment) = as_of::seen(&*story.store, noon, &open).await.unwrap();
    assert_eq!(moment, at("2026-11-23T11:00:00Z"));
    let beyond = as_of::state(&*story.store, At::Position(Position(999)), &open).await;
    expect!["the book ends at #26; there is no #999 in it yet"]
        .assert_eq(&beyond.unwrap_err().to_string());
}

#[tokio::test]
async fn replayed_twice_and_from_a_snapshot_the_state_is_the_same() {
    let (story, _) = forwarded().await;
    let open = story.opener();
    let state = async || state_hash(&as_of::state(&*story.store, At::Now, &open).await.unwrap());
    let once = state().await;
    assert_eq!(once, state().await);
    let half = fold::tables_at(&*story.store, Position(12), &open).await.unwrap();
    for (name, bytes) in half.snapshots() {
        story.store.put_snapshot(name, Position(12), bytes).await.unwrap();
    }
    assert_eq!(once, state().await);
    story.store.vault().destroy(KeyId::Person(ADA)).unwrap();
    assert_eq!(once, state().await);
}

#[tokio::test]
async fn diff_says_who_changed_what() {
    let (mut story, _) = forwarded().await;
    let before = story.exchange.position;
    story.actor = Actor::User(ADA);
    story.tell(DoNotDisturbSet { user: ADA, on: true });
    story.tell(CallWaitingSet { number: number("100"), on: true });
    story.actor = Actor::Admin(BOB);
    story.tell(NumberFreed { number: number("300"), user: BOB, schedules: vec![] });
    story.write().await;
    let found = diff(&*story.store, At::Now, At::Position(before), &story.opener()).await;
    check(
        &found.unwrap().lines(Language::English),
        expect![[r#"
        from #26 to #29: 3 events
        user:ada (changed)
          do not disturb: – → true  [#27 user ada, 2026-11-23 12:31:04 CET]
        number:100 (changed)
          call waiting: false → true  [#28 user ada, 2026-11-23 12:31:04 CET]
        number:300 (gone)
          busy-if-any: Off → –  [#29 administrator bob, 2026-11-23 12:31:04 CET]
          call waiting: false → –  [#29 administrator bob, 2026-11-23 12:31:04 CET]
          owner: bob → –  [#29 administrator bob, 2026-11-23 12:31:04 CET]
          tick bob/desk: set → –  [#29 administrator bob, 2026-11-23 12:31:04 CET]
    "#]],
    );
}

#[tokio::test]
async fn show_gives_an_event_in_full() {
    let (story, _) = forwarded().await;
    let shown = show(&*story.store, schedule_added(&story), &story.opener()).await.unwrap();
    check(
        &shown.lines(Language::English),
        expect![[r##"
        #22 ScheduleAdded (tag 0x0801, version 2)
        a schedule for 100 was added: ada/Urlaub, Mon Tue Wed Thu Fri 12:00–13:00
        recorded: 2026-11-23 10:00:00 CET (2026-11-23T09:00:00.000000Z)
        decided: 2026-11-23T09:00:00.000000Z
        by: administrator bob on behalf of ada [{"Admin":"00000000-0000-0000-0000-00000000000b"}]
        on behalf of: 00000000-0000-0000-0000-00000000000a
        about: schedule:00000000-0000-0000-0000-0000000000e1, number:100, profile:ada/Urlaub
        command: 00000000-0000-0000-0000-000000000016
        thread: 00000000-0000-0000-0000-000000000016
        machine form:
          {
            "number": "100",
            "pattern": {
              "Weekly": {
                "days": 31,
                "from": 720,
                "to": 780
              }
            },
            "priority": 0,
            "profile": "00000000-0000-0000-0000-0000000000f1",
            "schedule": "00000000-0000-0000-0000-0000000000e1"
          }
    "##]],
    );
}

#[tokio::test]
async fn history_understands_what_people_type() {
    let (story, _) = forwarded().await;
    let open = story.opener();
    let ask = async |object: &str, by: Option<&str>, kinds: &[&str]| {
        let request = Request {
            object: Some(object.into()),
            by: by.map(Into::into),
            kinds: kinds.iter().map(ToString::to_string).collect(),
            ..Request::default()
        };
        let page = history(&*story.store, &request, &open).await;
        page.map(|page| page.entries.iter().map(|entry| entry.kind).collect::<Vec<_>>().join(" "))
    };
    let told = async |object: &str| ask(object, None, &[]).await.unwrap();
    assert_eq!(told("slot:bob/desk").await, "SlotAdded MatrixChanged DeviceLoggedIn");
    assert_eq!(told("profile:ada/Urlaub").await, "ProfileAdded ScheduleAdded");
    assert_eq!(told(&format!("schedule:{LUNCH}")).await, "ScheduleAdded");
    let of_number = ask("number:100", Some("user:bob"), &["schedule-added"]).await.unwrap();
    assert_eq!(of_number, "ScheduleAdded");
    assert_eq!(ask("number:100", Some("device:p1"), &[]).await.unwrap(), "");
    let wrong = ask("user:nobody", None, &[]).await.unwrap_err().to_string();
    assert!(wrong.starts_with("the book knows no user of the name `nobody`"), "{wrong}");
    assert!(ask("number:100", None, &["Nonsense"]).await.is_err());
}
