//! The README's commands, run as they stand there: a reader can type them one after the other.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::process::Command;
use support::{BINARY, PATIENCE, Server};
use switchbook_sip_adapter::phone::PhoneEvent;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_readme_can_be_typed_from_top_to_bottom() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    let more =
        r#"{"command":"user.add","username":"cleo","display_name":"Cleo","numbers":["300"]}"#;
    std::fs::write(folder.path().join("users.jsonl"), more).unwrap();
    let readme = include_str!("../README.md");
    let lines: Vec<&str> =
        readme.lines().filter_map(|line| line.strip_prefix("switchbook ")).collect();
    assert!(lines.len() >= 10, "the README has lost its commands: {lines:?}");
    for line in lines {
        if line.starts_with("serve") {
            continue;
        }
        if line.starts_with("audit explain") {
            call(&server, folder.path()).await;
        }
        let input = if line.contains("--password") { "a-long-password\n" } else { "" };
        let output = server.run(folder.path(), line, input);
        let (told, error) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "switchbook {line}\n{told}{error}");
        assert!(!told.trim().is_empty(), "switchbook {line} says nothing");
    }
}

/// p1 calls 200, so that there is a call to explain: at noon of a working day 100 is forwarded, 200 never is.
async fn call(server: &Server, folder: &Path) {
    let (mut p1, _p2) = (server.phone("p1").await, server.phone("p2").await);
    p1.call("200");
    p1.wait_for(PATIENCE, |event| *event == PhoneEvent::Talks).await.unwrap();
    p1.hang_up();
    p1.wait_for(PATIENCE, |event| *event == PhoneEvent::Ended).await.unwrap();
    server.calls(folder, "", 1).await;
}

#[test]
fn what_is_typed_wrong_is_answered_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let output =
        Command::new(BINARY).args(["user", "list", "--data"]).arg(folder.path()).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(error.contains("no server answers") && error.contains("switchbook serve"), "{error}");
}
