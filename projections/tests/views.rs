//! What people see: every table of a small exchange, told once.
//!
//! Longer than 500 lines: the tables as people read them, in both languages.
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
use switchbook_projections::registrar::{BookOnly, Which};
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
    check(
        view.table(Language::English),
        expect![[r#"
            Registrations
            device  logged in on  contact            source  until                    phone    set
            p1      ada/desk      sip:p@192.0.2.209          2026-11-23 13:00:00 CET  baresip  #16
            p2      ada/dect      not registered
            p3      bob/desk      not registered
            note: 1 of 3 devices registered, 1 binding, as of #22 at 2026-11-23 12:30:00 CET
        "#]],
    );
    let (device, bindings) = registrar::look_up(&story.exchange, "p1", &extended, lunch()).unwrap();
    assert_eq!((device, bindings.len()), (P1, 1));
    assert!(registrar::look_up(&story.exchange, "nobody", &BookOnly, lunch()).is_none());
}

#[test]
fn numbers_show_who_can_be_reached_and_the_profile_in_force() {
    let story = Story::of_ada_and_bob();
    let view = numbers::view(&story.exchange, &BookOnly, story.now, None);
    check(
        view.table(Language::English),
        expect![[r#"
        Numbers
        number  owner    slots                           profile in force  call waiting  busy-if-any  from outside
        100     ada #10  ada/desk at p1, ada/dect at p2                    off #10       off #10
        300     bob #13  bob/desk at p3                                    off #13       off #13
        note: as of #22, 2026-11-23T09:00:00.000000Z
    "#]],
    );
    let row = numbers::one(&story.exchange, &BookOnly, lunch(), number("100")).unwrap();
    let told = row.in_force.unwrap().because;
    check(
        format!("{}\n{}", told.en, told.de),
        expect![[r#"
        a schedule has profile ada/Urlaub in force from 2026-11-23 12:00:00 CET to 2026-11-23 13:00:00 CET
        eine Zeitsteuerung hält das Profil ada/Urlaub von 2026-11-23 12:00:00 CET bis 2026-11-23 13:00:00 CET in Kraft"#]],
    );
}

#[test]
fn directory_shows_users_matrix_devices_groups_and_rights() {
    let story = Story::of_ada_and_bob();
    let exchange = &story.exchange;
    let all = format!(
        "{}\n{}\n{}\n{}\n{}\n{}",
        directory::users(exchange).table(Language::English),
        directory::matrix(exchange, ADA).unwrap().table(Language::English),
        directory::devices(exchange).table(Language::English),
        directory::groups(exchange).table(Language::English),
        directory::permissions(exchange).table(Language::English),
        directory::user(exchange, ADA).unwrap().table(Language::English),
    );
    check(
        all,
        expect![[r#"
        Users
        user  name                   numbers  logged in at  dnd  admin  added
        ada   ada the subscriber #2  100      p1, p2                    #2
        bob   bob the subscriber #3  300      p3                        #3
        note: 2 users, as of #22

        Matrix of ada
        slot      type  device  selected  numbers ticked
        ada/desk  desk  p1 #15            100 #11
        ada/dect  dect  p2 #17            100 #12
        note: as of #22

        Devices
        device  type  mac  service  password  logged in     bindings  groups
        p1 #5   desk                          ada/desk #15  1
        p2 #7   dect                          ada/dect #17  1
        p3 #9   desk                          bob/desk #19  1
        note: 3 devices, as of #22

        Groups
        group      title           kind  time zone  members
        admins #1  Administrators  user
        hosts #1   All Hosts       host             all
        users #1   All Users       user             all
        note: as of #22

        Permissions
        group   right     on     granted
        admins  admin            #1
        users   roaming   hosts  #1
        users   outbound         #1
        note: as of #22

        User ada
        field           value
        id              00000000-0000-0000-0000-00000000000a
        log-in name     ada #2
        display name    ada the subscriber #2
        e-mail
        mobile
        language
        time zone
        password set
        PIN set
        do not disturb  off
        shown number
        groups
        rights          roaming → hosts #1, outbound #1
        numbers         100
        slots           ada/desk, ada/dect
        logged in at    p1, p2
        profiles        Urlaub
        note: as of #22
    "#]],
    );
}

#[test]
fn forwardings_of_all_users_say_which_are_active_and_why() {
    let story = Story::of_ada_and_bob();
    let exchange = &story.exchange;
    let all = format!(
        "{}\n{}\n{}",
        directory::forwardings(exchange, lunch()).table(Language::English),
        directory::forwardings(exchange, story.now).table(Language::English),
        directory::profiles(exchange, None).table(Language::English),
    );
    check(
        all,
        expect![[r#"
        Forwardings
        number  owner  profile     active  by hand  schedules  why
        100     ada    ada/Urlaub  active           1          a schedule has profile ada/Urlaub in force from 2026-11-23 12:00:00 CET to 2026-11-23 13:00:00 CET #22
        note: as of #22, 2026-11-23T11:30:00.000000Z

        Forwardings
        number  owner  profile     active  by hand  schedules  why
        100     ada    ada/Urlaub                   1
        note: as of #22, 2026-11-23T09:00:00.000000Z

        Forwarding profiles
        owner  no  profile     rules                                           set
        ada    1   Urlaub #21  always, internal → 300; always, external → 300  #21
        note: as of #22
    "#]],
    );
}

#[test]
fn schedules_show_the_next_edge_on_the_wall_clock_of_the_number() {
    let story = Story::of_ada_and_bob();
    let view =
        |at| schedules::view(&story.exchange, at, schedules::Which::All).table(Language::English);
    check(
        format!("{}\n{}", view(story.now), view(lunch())),
        expect![[r#"
        Schedules
        number  owner  profile     when                             zone           priority  now  next edge                       set  schedule
        100     ada    ada/Urlaub  Mon Tue Wed Thu Fri 12:00–13:00  Europe/Berlin  0              begins 2026-11-23 12:00:00 CET  #22  00000000-0000-0000-0000-0000000000e1
        note: as of #22, 2026-11-23T09:00:00.000000Z; time-zone data 2025b

        Schedules
        number  owner  profile     when                             zone           priority  now       next edge                     set  schedule
        100     ada    ada/Urlaub  Mon Tue Wed Thu Fri 12:00–13:00  Europe/Berlin  0         in force  ends 2026-11-23 13:00:00 CET  #22  00000000-0000-0000-0000-0000000000e1
        note: as of #22, 2026-11-23T11:30:00.000000Z; time-zone data 2025b
    "#]],
    );
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
        cause: ReleaseCause::NORMAL,
        rang: vec![P1, P2],
    });
    story.now = lunch();
    let missed = story.call(0xc2, P2, "100");
    story.tell(CallDiverted { call: missed, from: number("100"), to: number("300"), status: None });
    story.pass(60);
    story.tell(CallEnded {
        call: missed,
        outcome: CallOutcome::NoAnswer,
        ended_at: story.now,
        cause: ReleaseCause::ABSENT,
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
        call_log::view(&tables.calls, &tables.names, chrono_tz::Europe::Berlin, filter, 10)
            .table(Language::English)
    };
    let missed = |user| Filter { user: Some(user), missed: Missed::Only, ..Filter::default() };
    let all = format!(
        "{}\nmissed by bob\n{}\nmissed by ada\n{}",
        view(Filter::default()),
        view(missed(BOB)),
        view(missed(ADA))
    );
    check(
        all,
        expect![[r#"
        Calls
        when                     from      to   way    state                  answered by  talked  missed by  #
        2026-11-23 12:31:00 CET  p1 (100)  300         ringing                                                #29
        2026-11-23 12:30:00 CET  p2 (100)  100  → 300  no answer                                   p3         #26
        2026-11-23 10:00:00 CET  p3 (300)  100         hung up by the caller  p2           62 s               #23
        note: as of #29

        missed by bob
        Calls
        when                     from      to   way    state      answered by  talked  missed by  #
        2026-11-23 12:30:00 CET  p2 (100)  100  → 300  no answer                       p3         #26
        note: as of #29

        missed by ada
        Calls
        when  from  to  way  state  answered by  talked  missed by  #
        (none)
        note: as of #29
    "#]],
    );
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
    let names = fold::names_at(&*story.store, tail, &story.opener()).await.unwrap();
    let zone = chrono_tz::Europe::Berlin;
    let ask = async |query: Query| page(&*story.store, &names, zone, &query).await.unwrap();
    let subject = names.find("number:100").unwrap();
    let of_number = ask(Query { subject: Some(subject), ..Query::default() }).await;
    let german = of_number.table(Language::German);
    check(
        format!("{}\n{german}", of_number.table(Language::English)),
        expect![[r#"
        #    when                     who                                 what
        #10  2026-11-23 10:00:00 CET  the supervisor (console, uid 1000)  number 100 was given to ada
        #11  2026-11-23 10:00:00 CET  the supervisor (console, uid 1000)  number 100 was ticked for slot ada/desk
        #12  2026-11-23 10:00:00 CET  the supervisor (console, uid 1000)  number 100 was ticked for slot ada/dect
        #22  2026-11-23 10:00:00 CET  administrator bob on behalf of ada  a schedule for 100 was added: ada/Urlaub, Mon Tue Wed Thu Fri 12:00–13:00
        #23  2026-11-23 10:00:00 CET  the system                          p3 (300) called 100
        #24  2026-11-23 10:00:05 CET  the system                          answered at p2 (100)
        #26  2026-11-23 12:30:00 CET  the system                          p2 (100) called 100
        #27  2026-11-23 12:30:00 CET  the system                          forwarded from 100 to 300
        #29  2026-11-23 12:31:00 CET  the system                          p1 (100) called 300

        #    wann                     wer                                 was
        #10  2026-11-23 10:00:00 CET  der Supervisor (Konsole, uid 1000)  die Rufnummer 100 wurde ada zugewiesen
        #11  2026-11-23 10:00:00 CET  der Supervisor (Konsole, uid 1000)  die Rufnummer 100 wurde für den Slot ada/desk angehakt
        #12  2026-11-23 10:00:00 CET  der Supervisor (Konsole, uid 1000)  die Rufnummer 100 wurde für den Slot ada/dect angehakt
        #22  2026-11-23 10:00:00 CET  Administrator bob im Namen von ada  eine Zeitsteuerung für 100 wurde angelegt: ada/Urlaub, Mo Di Mi Do Fr 12:00–13:00
        #23  2026-11-23 10:00:00 CET  das System                          p3 (300) rief 100 an
        #24  2026-11-23 10:00:05 CET  das System                          angenommen an p2 (100)
        #26  2026-11-23 12:30:00 CET  das System                          p2 (100) rief 100 an
        #27  2026-11-23 12:30:00 CET  das System                          umgeleitet von 100 zu 300
        #29  2026-11-23 12:31:00 CET  das System                          p1 (100) rief 300 an
    "#]],
    );
    let by = By::parse("user:bob", &names).unwrap();
    let by_bob = ask(Query { actor: Some(by), ..Query::default() }).await;
    assert_eq!(
        by_bob.entries.iter().map(|entry| entry.kind).collect::<Vec<_>>(),
        ["ScheduleAdded"]
    );
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
        let names = fold::names_at(&*story.store, tail, &story.opener()).await.unwrap();
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

/// The same tables in German: every heading, every word in a cell, every note.
#[test]
fn in_german_every_table_is_german() {
    let story = calls();
    let (exchange, tables) = (&story.exchange, tables(&story));
    let german = Language::German;
    let zone = chrono_tz::Europe::Berlin;
    let log = call_log::view(&tables.calls, &tables.names, zone, Filter::default(), 10);
    let registrar = registrar::view(exchange, &BookOnly, lunch(), Which::All);
    let all = [
        directory::users(exchange).table(german),
        directory::user(exchange, ADA).unwrap().table(german),
        directory::matrix(exchange, ADA).unwrap().table(german),
        directory::devices(exchange).table(german),
        directory::groups(exchange).table(german),
        directory::permissions(exchange).table(german),
        directory::profiles(exchange, None).table(german),
        directory::forwardings(exchange, lunch()).table(german),
        directory::follow_me(exchange, None).table(german),
        directory::settings(exchange).unwrap().table(german),
        directory::trunks(exchange).table(german),
        numbers::view(exchange, &BookOnly, lunch(), None).table(german),
        schedules::view(exchange, lunch(), schedules::Which::All).table(german),
        registrar.table(german),
        log.table(german),
    ];
    let all: Vec<String> = all.iter().map(ToString::to_string).collect();
    check(
        all.join("\n"),
        expect![[r#"
            Benutzer
            Benutzer  Name                   Rufnummern  angemeldet an  Ruhe vor dem Telefon  Admin  angelegt
            ada       ada the subscriber #2  100         p1, p2                                      #2
            bob       bob the subscriber #3  300         p3                                          #3
            note: 2 Benutzer, nach dem Stand von #29

            Benutzer ada
            Feld                  Wert
            Id                    00000000-0000-0000-0000-00000000000a
            Anmeldename           ada #2
            Anzeigename           ada the subscriber #2
            E-Mail
            Mobilnummer
            Sprache
            Zeitzone
            Kennwort gesetzt
            PIN gesetzt
            Ruhe vor dem Telefon  aus
            angezeigte Rufnummer
            Gruppen
            Rechte                roaming → hosts #1, outbound #1
            Rufnummern            100
            Slots                 ada/desk, ada/dect
            angemeldet an         p1, p2
            Profile               Urlaub
            note: nach dem Stand von #29

            Rufnummernkonfiguration von ada
            Slot      Typ   Telefon  gewählt  angehakte Rufnummern
            ada/desk  desk  p1 #15            100 #11
            ada/dect  dect  p2 #17            100 #12
            note: nach dem Stand von #29

            Telefone
            Telefon  Typ   MAC  Servicenummer  Kennwort  angemeldet    Bindungen  Gruppen
            p1 #5    desk                                ada/desk #15  1
            p2 #7    dect                                ada/dect #17  1
            p3 #9    desk                                bob/desk #19  1
            note: 3 Telefone, nach dem Stand von #29

            Gruppen
            Gruppe     Titel           Art   Zeitzone  Mitglieder
            admins #1  Administrators  user
            hosts #1   All Hosts       host            alle
            users #1   All Users       user            alle
            note: nach dem Stand von #29

            Berechtigungen
            Gruppe  Recht     auf    erteilt
            admins  admin            #1
            users   roaming   hosts  #1
            users   outbound         #1
            note: nach dem Stand von #29

            Rufumleitungsprofile
            Besitzer  Nr  Profil      Regeln                                      gesetzt
            ada       1   Urlaub #21  sofort, intern → 300; sofort, extern → 300  #21
            note: nach dem Stand von #29

            Rufumleitungen
            Rufnummer  Besitzer  Profil      aktiv  von Hand  Zeitsteuerungen  warum
            100        ada       ada/Urlaub  aktiv            1                eine Zeitsteuerung hält das Profil ada/Urlaub von 2026-11-23 12:00:00 CET bis 2026-11-23 13:00:00 CET in Kraft #22
            note: nach dem Stand von #29, 2026-11-23T11:30:00.000000Z

            Warte- und Klingelzeiten
            Benutzer  Telefon  Anrufe  wartet  klingelt  gesetzt
            (none)
            note: was nicht gesetzt ist: klingelt sofort, 60 s lang
            note: nach dem Stand von #29

            Einstellungen
            Einstellung                Wert
            Buch                       00000000-0000-0000-0000-000000000001
            Realm                      pbx.test #1
            Zeitzone                   Europe/Berlin #1
            Digest                     MD5, dann SHA-256 #1
            gesperrte Umleitungsziele
            note: nach dem Stand von #29

            Ämter
            Amt  Gegenstelle  Amtsholung  Stammnummer  ankommend
            (none)
            note: nach dem Stand von #29

            Rufnummern
            Rufnummer  Besitzer  Slots                           Profil in Kraft  Anklopfen  Sammelbesetzt  von außen
            100        ada #10   ada/desk an p1, ada/dect an p2  ada/Urlaub #22   aus #10    aus #10
            300        bob #13   bob/desk an p3                                   aus #13    aus #13
            note: nach dem Stand von #29, 2026-11-23T11:30:00.000000Z

            Zeitsteuerungen
            Rufnummer  Besitzer  Profil      wann                        Zone           Vorrang  jetzt     nächster Schaltzeitpunkt       gesetzt  Zeitsteuerung
            100        ada       ada/Urlaub  Mo Di Mi Do Fr 12:00–13:00  Europe/Berlin  0        in Kraft  endet 2026-11-23 13:00:00 CET  #22      00000000-0000-0000-0000-0000000000e1
            note: nach dem Stand von #29, 2026-11-23T11:30:00.000000Z; Zeitzonendaten 2025b

            Registrierungen
            Telefon  angemeldet auf  Kontakt            Quelle  bis                      Modell   gesetzt
            p1       ada/desk        sip:p@192.0.2.209          2026-11-23 11:00:00 CET  baresip  #16
            p2       ada/dect        sip:p@192.0.2.210          2026-11-23 11:00:00 CET  baresip  #18
            p3       bob/desk        sip:p@192.0.2.211          2026-11-23 11:00:00 CET  baresip  #20
            note: 3 von 3 Telefonen registriert, 3 Bindungen, nach dem Stand von #29, 2026-11-23 12:30:00 CET
            note: Auffrischungen, die sonst nichts änderten, stehen nicht im Buch: Enden wie gewährt

            Anrufe
            wann                     von       an   Weg    Stand                angenommen von  gesprochen  verpasst von  #
            2026-11-23 12:31:00 CET  p1 (100)  300         klingelt                                                       #29
            2026-11-23 12:30:00 CET  p2 (100)  100  → 300  keine Antwort                                    p3            #26
            2026-11-23 10:00:00 CET  p3 (300)  100         vom Anrufer beendet  p2              62 s                      #23
            note: nach dem Stand von #29
        "#]],
    );
}
