//! `audit why`, `what-if` and `story` on the small exchange of the other tests.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "../../projections/tests/common/mod.rs"]
mod common;

use common::*;
use expect_test::{Expect, expect};
use switchbook_core::call::{CallAnswered, CallDiverted, CallEnded, CallOutcome, ReleaseCause};
use switchbook_core::position::Position;
use switchbook_core::user::Language;
use switchbook_journal::EventReader;
use switchbook_replay::story::story;
use switchbook_replay::what_if::what_if;
use switchbook_replay::why::why;
use switchbook_replay::{At, ReplayError, diff};

fn check(lines: &[String], expected: Expect) {
    expected.assert_eq(&format!("{}\n", lines.join("\n")));
}

async fn written() -> Story {
    let mut story = Story::of_ada_and_bob();
    story.write().await;
    story
}

#[tokio::test]
async fn every_field_names_the_event_that_set_it_and_its_maker() {
    let story = written().await;
    let open = story.opener();
    let found = why(&*story.store, "number:100", Some("owner"), At::Now, &open).await;
    check(
        &found.unwrap().lines(Language::English),
        expect![[r#"
        number:100 as of #22
          owner: ada
            ← #10 NumberAssigned: number 100 was given to ada — by the supervisor (console, uid 1000), 2026-11-23 10:00:00 CET, command 00000000-0000-0000-0000-00000000000a
    "#]],
    );
    // In German the name may be German too, and the maker stands in the right case.
    let found = why(&*story.store, "number:100", Some("besitz"), At::Now, &open).await.unwrap();
    check(
        &found.lines(Language::German),
        expect![[r#"
        number:100 nach dem Stand von #22
          Besitzer: ada
            ← #10 NumberAssigned: die Rufnummer 100 wurde ada zugewiesen — durch den Supervisor (Konsole, uid 1000), 2026-11-23 10:00:00 CET, Befehl 00000000-0000-0000-0000-00000000000a
    "#]],
    );
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(
        (&json["fields"][0]["field"], &json["fields"][0]["value"]),
        (&"owner".into(), &"ada".into())
    );
    let all = why(&*story.store, "number:100", None, At::Now, &open).await.unwrap();
    assert!(all.fields.len() >= 4, "{all:?}");
    let before = why(&*story.store, "number:100", Some("tick"), At::Position(Position(5)), &open);
    assert!(matches!(before.await, Err(ReplayError::NotThere(_) | ReplayError::NotFound(_))));
    let none = why(&*story.store, "number:100", Some("colour"), At::Now, &open).await;
    let none = none.unwrap_err();
    assert!(none.to_string().contains("owner") && none.text().de.contains("Besitzer"), "{none}");
}

#[tokio::test]
async fn a_difference_is_told_in_both_languages_and_to_programs_in_one() {
    let story = written().await;
    let (from, to) = (At::Position(Position(9)), At::Position(Position(10)));
    let found = diff(&*story.store, from, to, &story.opener()).await.unwrap();
    check(
        &found.lines(Language::German),
        expect![[r#"
        von #9 bis #10: 1 Ereignis
        number:100 (neu)
          Sammelbesetzt: – → aus  [#10 der Supervisor (Konsole, uid 1000), 2026-11-23 10:00:00 CET]
          Anklopfen: – → aus  [#10 der Supervisor (Konsole, uid 1000), 2026-11-23 10:00:00 CET]
          Besitzer: – → ada  [#10 der Supervisor (Konsole, uid 1000), 2026-11-23 10:00:00 CET]
    "#]],
    );
    check(
        &found.lines(Language::English),
        expect![[r#"
        from #9 to #10: 1 event
        number:100 (new)
          busy-if-any: – → Off  [#10 the supervisor (console, uid 1000), 2026-11-23 10:00:00 CET]
          call waiting: – → false  [#10 the supervisor (console, uid 1000), 2026-11-23 10:00:00 CET]
          owner: – → ada  [#10 the supervisor (console, uid 1000), 2026-11-23 10:00:00 CET]
    "#]],
    );
    let json = serde_json::to_value(&found.objects[0].fields[0]).unwrap();
    assert!(
        json["field"].is_string() && json["after"].is_string() && json["before"].is_null(),
        "{json}"
    );
}

#[tokio::test]
async fn commands_are_tried_on_the_past_and_nothing_is_written() {
    let story = written().await;
    let open = story.opener();
    let tail = story.store.tail();
    let commands =
        |lines: &[&str]| lines.iter().map(|l| serde_json::from_str(l).unwrap()).collect();
    let free = commands(&[
        r#"{"command":"number.call_waiting","number":"100","on":true}"#,
        r#"{"command":"user.password","user":"ada","password":"12345678"}"#,
        r#"{"command":"user.rename","user":"ada","display_name":"Countess"}"#,
    ]);
    let found = what_if(&*story.store, free, At::Now, &open).await.unwrap();
    check(
        &found.lines(Language::German),
        expect![[r#"
            versucht am Buch bis #22, für 2026-11-23T09:00:00.000000Z; nichts wird aufgezeichnet
            Zeile 1: Anklopfen wurde für 100 eingeschaltet
            Zeile 2: das Kennwort von ada wurde gesetzt
            Zeile 3: ada wird als Countess angezeigt
            user:ada  Anzeigename: ada the subscriber → Countess
            user:ada  Kennwort: – → Version 1
            number:100  Anklopfen: aus → an
        "#]],
    );
    assert_eq!(story.store.tail(), tail);
    let refused = commands(&[
        r#"{"command":"user.dnd","user":"ada","on":true}"#,
        r#"{"command":"number.add","user":"ada","number":"300"}"#,
    ]);
    let found = what_if(&*story.store, refused, At::Now, &open).await.unwrap();
    assert_eq!(
        found.refused.as_ref().map(|refused| (refused.line, refused.code.as_str())),
        Some((2, "NUMBER_TAKEN"))
    );
    assert!(
        found.changes.is_empty()
            && found.lines(Language::English).last().unwrap().contains("line 2")
    );
    // Before bob had it, it was free; ada was there already.
    let early = commands(&[r#"{"command":"number.add","user":"ada","number":"300"}"#]);
    let found = what_if(&*story.store, early, At::Position(Position(8)), &open).await.unwrap();
    assert_eq!(found.refused, None, "{:?}", found.lines(Language::English));
    let short = commands(&[r#"{"command":"user.password","user":"ada","password":"1"}"#]);
    let found = what_if(&*story.store, short, At::Now, &open).await.unwrap();
    assert_eq!(found.refused.unwrap().code, "PASSWORD_TOO_SHORT");
}

#[tokio::test]
async fn a_call_is_told_as_a_story_in_both_languages() {
    let mut told = Story::of_ada_and_bob();
    told.now = at("2026-11-23T11:30:00Z");
    let call = told.call(0xc1, P1, "100");
    told.tell(CallDiverted { call, from: number("100"), to: number("300"), status: None });
    told.pass(4);
    let (device, answered_at) = (Some(P3), told.now);
    told.tell(CallAnswered { call, device, number: Some(number("300")), answered_at });
    told.pass(60);
    told.tell(CallEnded {
        call,
        outcome: CallOutcome::HungUpByCaller,
        ended_at: told.now,
        cause: ReleaseCause::NORMAL,
        rang: vec![P3],
    });
    told.write().await;
    let found = story(&*told.store, call, &told.opener()).await.unwrap();
    check(
        &found.lines(Language::English),
        expect![[r#"
            #23         0.000 s  2026-11-23 12:30:00 CET: p1 (100) called 100
                        0.000 s  it was decided: the call to 100 goes on to 300
                        0.000 s  because a schedule has profile ada/Urlaub in force from 2026-11-23 12:00:00 CET to 2026-11-23 13:00:00 CET (set by administrator bob on behalf of ada on 2026-11-23 10:00:00 CET, #22)
                        0.000 s  because profile ada/Urlaub says: always → 300 (set by user ada on 2026-11-23 10:00:00 CET, #21)
            #24         0.000 s  forwarded from 100 to 300
            #25         4.000 s  answered at p3 (300)
            #26        64.000 s  the call ended: hung up by the caller
        "#]],
    );
    check(
        &found.lines(Language::German),
        expect![[r#"
            #23         0.000 s  2026-11-23 12:30:00 CET: p1 (100) rief 100 an
                        0.000 s  es wurde entschieden: der Ruf an 100 geht weiter an 300
                        0.000 s  weil: eine Zeitsteuerung hält das Profil ada/Urlaub von 2026-11-23 12:00:00 CET bis 2026-11-23 13:00:00 CET in Kraft (von Administrator bob im Namen von ada am 2026-11-23 10:00:00 CET, #22)
                        0.000 s  weil: das Profil ada/Urlaub sagt: sofort → 300 (von Benutzer ada am 2026-11-23 10:00:00 CET, #21)
            #24         0.000 s  umgeleitet von 100 zu 300
            #25         4.000 s  angenommen an p3 (300)
            #26        64.000 s  der Ruf endete: vom Anrufer beendet
        "#]],
    );
}
