//! The command line as programs and people meet it: errors with their codes, tries that write nothing, repetitions.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use serde_json::Value;
use std::path::Path;
use std::process::Output;
use support::Server;

fn error(output: &Output, exit: i32) -> Value {
    assert_eq!(output.status.code(), Some(exit), "{output:?}");
    assert!(output.stdout.is_empty(), "an error is no answer: {output:?}");
    let error: Value = serde_json::from_slice(&output.stderr).unwrap();
    let text = |name: &str| error[name].as_str().unwrap().to_owned();
    assert!(!text("text_de").is_empty() && !text("text_en").is_empty(), "{error}");
    assert_ne!(text("text_de"), text("text_en"));
    error
}

fn good(server: &Server, folder: &Path, line: &str) -> String {
    let output = server.run(folder, line, "");
    assert!(output.status.success(), "switchbook {line}\n{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_json_an_error_is_one_object_with_a_stable_code_in_both_languages() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let no_server = support::run(&home.join("nowhere"), home, "user list --json", "");
    assert_eq!(error(&no_server, 1)["code"], "NO_SERVER");
    let misused = support::run(&home.join("nowhere"), home, "user lst --json", "");
    assert_eq!(error(&misused, 2)["code"], "USAGE");
    let server = Server::start(home).await;
    let refused = error(&server.run(home, "--json user delete eve", ""), 2);
    assert_eq!(
        (&refused["code"], &refused["facts"]["user"]),
        (&"USER_UNKNOWN".into(), &"eve".into())
    );
    let language = error(&server.run(home, "--json --language de user delete eve", ""), 2);
    assert_eq!(language, refused, "what programs read is the same in every language");
    let list = "{\"command\":\"user.add\",\"username\":\"ada\",\"display_name\":\"Ada\"}\n{\"command\":\"user.ad\"}\n";
    std::fs::write(home.join("list.jsonl"), list).unwrap();
    let of_list = error(&server.run(home, "--json apply list.jsonl", ""), 2);
    assert_eq!((&of_list["code"], &of_list["line"]), (&"COMMAND_NOT_UNDERSTOOD".into(), &2.into()));
    assert!(of_list["advice"].as_str().unwrap().contains("all or nothing"));
    let view = error(&server.run(home, "--json user show eve", ""), 1);
    assert_eq!(view["code"], "FAILED");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_try_tells_names_and_a_question_its_moment_and_zone() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let server = Server::start(home).await;
    let add = "user add ada Ada --number 100 --device p1=desk";
    let tried = good(&server, home, &format!("--dry-run {add}"));
    assert!(tried.contains("ada/desk") && tried.contains("p1"), "{tried}");
    let id = |word: &str| word.trim_matches('.').len() == 36 && word.matches('-').count() == 4;
    assert!(!tried.split_whitespace().any(id), "ids instead of names: {tried}");
    assert_eq!(good(&server, home, "--json user list").matches("\"ada\"").count(), 0);
    let done = good(&server, home, add);
    let told = |text: &str, mark: &str| -> Vec<String> {
        text.lines().map(|line| line.trim_start_matches(mark).trim().to_owned()).collect()
    };
    assert_eq!(told(&tried, "would record"), told(&done, "✓"), "what was foretold came");
    good(&server, home, "settings time-zone Europe/Berlin");
    let route = good(&server, home, "route --from p1 --to 100 --at 2026-11-28T09:00:00Z");
    let first = route.lines().next().unwrap();
    assert!(first.contains("at 2026-11-28 10:00:00 CET, Europe/Berlin"), "{first}");
    let now = good(&server, home, "route --from p1 --to 100");
    assert!(
        now.lines().next().unwrap().contains("Europe/Berlin (as phones are registered now"),
        "{now}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repetition_with_the_same_id_is_carried_out_once() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let server = Server::start(home).await;
    let list = r#"{"command":"user.add","username":"ada","display_name":"Ada","numbers":["100"]}"#;
    std::fs::write(home.join("list.jsonl"), list).unwrap();
    let id = uuid::Uuid::now_v7();
    let once = good(&server, home, &format!("--json apply list.jsonl --command-id {id}"));
    let again = good(&server, home, &format!("--json apply list.jsonl --command-id {id}"));
    // Warnings are told once; all else is the first answer again.
    let told = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    for field in ["commands", "events", "position"] {
        assert_eq!(told(&once)[field], told(&again)[field], "{once}{again}");
    }
    let afresh = error(&server.run(home, "--json apply list.jsonl", ""), 2);
    assert_eq!(afresh["code"], "USERNAME_TAKEN");
    let id = uuid::Uuid::now_v7();
    let rename = format!("--json user rename ada Lovelace --command-id {id}");
    assert_eq!(good(&server, home, &rename), good(&server, home, &rename));
    let history = good(&server, home, "audit history --kind UserRenamed --json");
    assert_eq!(history.matches("\"UserRenamed\"").count(), 1, "{history}");
    let made_up = format!("--json user rename ada A --command-id {}", uuid::Uuid::nil());
    assert_eq!(error(&server.run(home, &made_up, ""), 2)["code"], "COMMAND_ID_INVALID");
}

/// X-10: they take room and have the keys of their time; the newest stay, and what is none stays where it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_restore_points_go_at_a_start_that_succeeded() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let points = home.join("data/restore-points");
    for (name, whole) in
        [("0.1.0-9", true), ("0.1.0-10", true), ("0.2.0-200", true), ("0.1.0-300", false)]
    {
        std::fs::create_dir_all(points.join(name).join("segments")).unwrap();
        if whole {
            std::fs::write(points.join(name).join("manifest"), "{}").unwrap();
        }
    }
    std::fs::create_dir_all(points.join("by hand")).unwrap();
    let names = || {
        let mut names: Vec<String> = std::fs::read_dir(&points)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort_unstable();
        names
    };
    let server = Server::start(home).await;
    assert_eq!(names(), ["0.1.0-10", "0.2.0-200", "by hand"]);
    drop(server);
    std::fs::write(home.join("one.toml"), "restore_points = 1\n").unwrap();
    let _server = Server::start_with(home, |command| {
        command.arg("--config").arg(home.join("one.toml"));
    })
    .await;
    assert_eq!(names(), ["0.2.0-200", "by hand"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_start_it_tells_what_a_phone_has_to_enter() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let out = home.join("out");
    let _server = Server::start_with(home, |command| {
        command.stdout(std::fs::File::create(&out).unwrap());
    })
    .await;
    let began = std::time::Instant::now();
    let seen = || std::fs::read_to_string(&out).unwrap();
    while !seen().contains("/metrics") {
        assert!(began.elapsed() < support::PATIENCE, "{}", seen());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let seen = seen();
    let phones = seen.lines().find(|line| line.contains("phones: udp:127.0.0.1:")).unwrap();
    assert!(phones.contains("domain") && phones.contains("readme.test"), "{seen}");
}

/// What a person sees of a command line that may fail.
fn told(server: &Server, folder: &Path, line: &str) -> String {
    let output = server.run(folder, line, "");
    let both = [output.stdout, output.stderr].concat();
    String::from_utf8(both).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_young_book_is_told_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let server = Server::start(home).await;
    for line in ["audit key", "audit prove event 1", "audit bundle all.jsonl"] {
        let english = told(&server, home, line);
        assert!(english.contains("nothing was sealed yet"), "{line}: {english}");
        assert!(!english.contains('#'), "{line}: {english}");
        let german = told(&server, home, &format!("--language de {line}"));
        assert!(german.contains("noch nichts versiegelt"), "{line}: {german}");
    }
    let verified = told(&server, home, "--language en audit verify");
    assert!(!verified.contains("#0"), "{verified}");
    assert!(verified.contains(" in 1 segment were read"), "{verified}");
    good(&server, home, "audit seal");
    let not_yet = told(&server, home, "audit prove event 99");
    assert!(not_yet.contains("#99") && not_yet.contains("ends at #"), "{not_yet}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_closed_is_called_sealed_in_errors_too() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let server = Server::start(home).await;
    good(&server, home, "user add ada Ada --number 100 --slot desk");
    let closed = told(&server, home, "audit why number:100 nothing");
    assert!(closed.contains("[sealed]") && !closed.contains("[erased]"), "{closed}");
    let json = told(&server, home, "--json audit why number:100 nothing");
    assert!(json.contains("[sealed]") && !json.contains("[erased]"), "{json}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_is_one_and_two_are_more() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let server = Server::start(home).await;
    good(&server, home, "user add ada Ada --number 100");
    let english = |line: &str| told(&server, home, &format!("--language en {line}"));
    let german = |line: &str| told(&server, home, &format!("--language de {line}"));
    assert!(english("user list").contains("1 user, "), "{}", english("user list"));
    assert!(german("user list").contains("1 Benutzer, "), "{}", german("user list"));
    assert!(english("audit diff 1 2").contains(": 1 event"), "{}", english("audit diff 1 2"));
    assert!(!english("audit diff 1 2").contains("1 events"));
    assert!(german("audit diff 1 2").contains(": 1 Ereignis"));
    assert!(!german("audit diff 1 2").contains("1 Ereignisse"));
    assert!(english("audit diff 1 3").contains(": 2 events"));
    let audit = english("audit verify");
    assert!(audit.contains("1 segment ") && audit.contains("0 seals"), "{audit}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_takes_the_moments_that_every_question_takes() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let server = Server::start(home).await;
    good(&server, home, "user add ada Ada --number 100 --device p1=desk");
    good(&server, home, "settings time-zone Europe/Berlin");
    let route = |at: &str| {
        told(&server, home, &format!("--language en route --from p1 --to 100 --at {at}"))
    };
    let wrong = route("tomorrow");
    for form in ["#123", "2026-11-23T12:00:00Z", "2026-11-23 12:00", "now"] {
        assert!(wrong.contains(form), "{form}: {wrong}");
    }
    let first = |at: &str| route(at).lines().next().unwrap().to_owned();
    let wall = first("2026-11-28T10:00");
    assert!(wall.contains("at 2026-11-28 10:00:00 CET, Europe/Berlin (every phone"), "{wall}");
    assert!(first("2026-11-28").contains("at 2026-11-28 00:00:00 CET"));
    assert!(first("now").contains("(as phones are registered now"), "{}", first("now"));
    let of_event = told(&server, home, "--json audit show 2");
    let of_event: Value = serde_json::from_str(&of_event).unwrap();
    let recorded = of_event["recorded_at"].as_str().unwrap();
    assert_eq!(first("2"), first(recorded));
    assert!(route("9999").contains("the book ends at"), "{}", route("9999"));
}

/// What people read is German where they asked for it; what programs read is the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_german_everything_a_person_meets_is_german() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let server = Server::start(home).await;
    good(&server, home, "user add ada Ada --number 100 --device p1=desk");
    good(&server, home, "profile add ada Urlaub --rule always=100");
    let german = |line: &str| told(&server, home, &format!("--language de {line}"));
    for (line, words) in [
        ("user list", ["Benutzer", "RUFNUMMERN", "1 Benutzer, nach dem Stand von #"]),
        ("user show ada", ["Benutzer ada", "Anzeigename", "Ruhe vor dem Telefon"]),
        ("matrix show ada", ["Rufnummernkonfiguration von ada", "TELEFON", "nach dem Stand"]),
        ("number list", ["BESITZER", "SAMMELBESETZT", "an p1 (nicht registriert)"]),
        ("device list", ["Telefone", "ANGEMELDET", "1 Telefon, nach dem Stand"]),
        ("profile list", ["Rufumleitungsprofile", "REGELN", "sofort, intern → 100"]),
        ("forwarding list", ["Rufumleitungen", "VON HAND", "nach dem Stand"]),
        ("settings show", ["Einstellungen", "Zeitzone", "MD5, dann SHA-256"]),
        ("group list", ["Gruppen", "MITGLIEDER", "alle"]),
        ("call list", ["Anrufe", "nach dem Stand", "#"]),
        ("status", ["beschreibbar", "ja", "0 von 1 registriert"]),
        ("route --from p1 --to 100", ["Würde 100 angerufen", "niemand im Gespräch", ""]),
        ("user show eve", ["es gibt keinen Benutzer `eve`", "zeigt alle", ""]),
        ("route --from p1 --to 100 --at x", ["ist weder Position noch Zeitpunkt", "#123", "now"]),
        ("audit why number:100 besitzer", ["Besitzer: [sealed]", "durch den Supervisor", "Befehl"]),
        (
            "audit why number:100 farbe",
            ["hat dann kein Feld `farbe`", "Haken [sealed]/desk", "Anklopfen"],
        ),
        ("audit why number:999", ["number:999 gibt es dann nicht", "audit history number:999", ""]),
        ("audit why device:nobody", ["unter den Telefonen keinen", "`nobody`", "Schreibweise"]),
        ("audit diff 1 9999", ["das Buch endet bei #", "steht noch nicht darin", ""]),
        (
            "audit diff 1 7",
            ["von #1 bis #7: 6 Ereignisse", "Besitzer: –", "Haken [sealed]/desk: – → gesetzt"],
        ),
        (
            "audit verify",
            [
                " in 1 Segment wurden gelesen und gefaltet",
                "Prüfpunkte von außen",
                "Alles Geprüfte gilt.",
            ],
        ),
        ("audit as-of 5 number list", ["BESITZER", "nach dem Stand von #5", ""]),
        ("audit as-of 5 user show eve", ["es gibt keinen Benutzer `eve`", "", ""]),
        ("backup create copy.tar", ["die Sicherung", "ist ganz", "Merkle-Wurzel"]),
        ("backup check copy.tar", ["jeder Hashwert stimmt", "Dateien", "gemacht"]),
        ("user dnd ada off", ["", "", "nichts zu ändern: es ist schon so"]),
    ] {
        let seen = german(line);
        for word in words {
            assert!(seen.contains(word), "{line}: {word}: {seen}");
        }
        let json = |language: &str| {
            let output = server.run(home, &format!("--json --language {language} {line}"), "");
            [output.stdout, output.stderr].concat()
        };
        // What moves with the clock, and files that are there the second time, are compared in no two answers.
        let moves = ["backup", "status", "number list", "forwarding list", "audit verify"];
        let moves = moves.iter().any(|of| line.starts_with(of)) || line.ends_with("--to 100");
        if !moves {
            assert_eq!(json("de"), json("en"), "{line}: for programs nothing changes");
        }
    }
    let back = home.join("back");
    let restored =
        support::run(&back, home, "--language de backup restore copy.tar --no-erasures", "");
    let restored = String::from_utf8(restored.stdout).unwrap();
    assert!(
        restored.contains("wiederhergestellt in") && restored.contains("kein Prüfpunkt"),
        "{restored}"
    );
    let nowhere = support::run(&home.join("nowhere"), home, "--language de user list", "");
    let nowhere = String::from_utf8(nowhere.stderr).unwrap();
    assert!(
        nowhere.contains("antwortet kein Server") && nowhere.contains("Starten Sie"),
        "{nowhere}"
    );
}
