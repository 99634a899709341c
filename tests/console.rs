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
