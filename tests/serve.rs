//! The server as a process: what it survives, and how it ends.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::process::Stdio;
use support::{PATIENCE, Server};
use switchbook_sip_adapter::phone::PhoneEvent;

/// Nobody reads its log any more (or the disk under it is full): the telephony goes on all the same. It once ended with
/// the first line that could not be written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_cannot_be_written_ends_no_telephony() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start_with(folder.path(), |command| {
        command.env("SWITCHBOOK_LOG", "trace").stderr(Stdio::piped());
    })
    .await;
    drop(server.process.stderr.take());
    let add = "user add ada Ada --number 100 --device p1=desk";
    assert!(server.run(folder.path(), add, "").status.success());
    let password = "device password p1 --password";
    assert!(server.run(folder.path(), password, "a-long-password\n").status.success());
    // Wrong passwords are what it writes about.
    let mut guesser = server.plug_in("somebody", "wrong").await;
    for _ in 0..6 {
        guesser.register(600);
        let refused = |event: &PhoneEvent| matches!(event, PhoneEvent::NotRegistered(_));
        guesser.wait_for(PATIENCE, refused).await.unwrap();
    }
    let _phone = server.phone("p1").await;
    let status = server.run(folder.path(), "status --json", "");
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["registered"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_server_on_one_folder_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    let second = server.run(folder.path(), "serve --sip 127.0.0.1:0 --http none", "");
    let error = String::from_utf8(second.stderr).unwrap();
    assert!(!second.status.success());
    assert!(error.contains("cannot be opened"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_there_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path()).await;
    let add = "user add ada Ada --number 100 --device p1=desk";
    assert!(server.run(folder.path(), add, "").status.success());
    server.process.kill().unwrap();
    server.process.wait().unwrap();
    let server = Server::start(folder.path()).await;
    let matrix = server.run(folder.path(), "matrix show ada", "");
    let told = String::from_utf8(matrix.stdout).unwrap();
    assert!(told.contains("ada/desk") && told.contains("100"), "{told}");
}
