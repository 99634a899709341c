//! The server as a process: what it survives, and how it ends.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::process::Stdio;
use support::{PATIENCE, Server};
use switchbook_sip_adapter::phone::{Phone, PhoneEvent};

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

/// X-10, B-1: a copy while serving, into an empty folder, only with a word about erasures; and the book says who took it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_taken_while_serving_and_brought_back() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    let add = "user add ada Ada --number 100 --device p1=desk";
    assert!(server.run(folder.path(), add, "").status.success());
    let refused = server.run(folder.path(), "backup create copy.tar --as ada", "");
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    for place in ["copy.tar", "copy"] {
        let made = server.run(folder.path(), &format!("backup create {place}"), "");
        assert!(made.status.success(), "{made:?}");
        assert!(server.run(folder.path(), &format!("backup check {place}"), "").status.success());
    }
    let history = server.run(folder.path(), "audit history --json", "");
    let history = String::from_utf8(history.stdout).unwrap();
    assert!(
        history.contains("AttemptRefused") && !history.contains("PersonalFieldsOpened"),
        "{history}"
    );
    let taken = server.run(folder.path(), "audit history --kind BackupTaken", "");
    let taken = String::from_utf8(taken.stdout).unwrap();
    assert!(taken.contains("`copy.tar`") && taken.contains("`copy`"), "{taken}");
    let place = folder.path().to_str().unwrap();
    assert!(!taken.contains(place), "the name alone, not where it is: {taken}");
    let back = folder.path().join("back");
    let silent = support::run(&back, folder.path(), "backup restore copy.tar", "");
    let why = String::from_utf8(silent.stderr).unwrap();
    assert!(!silent.status.success() && why.contains("--erasures"), "{why}");
    std::fs::write(folder.path().join("list"), "# nobody yet\n").unwrap();
    let line = "backup restore copy.tar --erasures list";
    let unread = support::run(&back, folder.path(), line, "");
    let why = String::from_utf8(unread.stderr).unwrap();
    assert!(!unread.status.success() && why.contains("line 1"), "{why}");
    std::fs::copy(folder.path().join("data.erasures"), folder.path().join("list")).unwrap();
    let line = "backup restore copy.tar --erasures list";
    let restored = support::run(&back, folder.path(), line, "");
    assert!(restored.status.success(), "{restored:?}");
    drop(server);
    // Without a server too; and what was restored is served.
    let data = folder.path().join("data");
    let made = support::run(&data, folder.path(), "backup create copy-2.tar", "");
    assert!(made.status.success(), "{made:?}");
    let line = "backup restore copy-2.tar --no-erasures";
    std::fs::remove_dir_all(&data).unwrap();
    assert!(support::run(&data, folder.path(), line, "").status.success());
    let server = Server::start(folder.path()).await;
    let matrix = server.run(folder.path(), "matrix show ada", "");
    assert!(String::from_utf8(matrix.stdout).unwrap().contains("ada/desk"));
}

/// The first try once founded the book for ever with a realm that was a mistake.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_start_that_cannot_serve_founds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    let also_taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let http = also_taken.local_addr().unwrap();
    for doors in [format!("--sip {taken} --http none"), format!("--sip 127.0.0.1:0 --http {http}")]
    {
        let line = format!("serve {doors} --realm mistake.test --time-zone UTC");
        let failed = support::run(&folder.path().join("data"), folder.path(), &line, "");
        assert!(!failed.status.success());
    }
    let server = Server::start(folder.path()).await;
    let history = server.run(folder.path(), "audit history --json", "");
    let history = String::from_utf8(history.stdout).unwrap();
    assert!(history.contains("readme.test") && !history.contains("mistake.test"), "{history}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_whose_segments_are_gone_is_refused_and_a_lost_watermark_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path()).await;
    server.process.kill().unwrap();
    server.process.wait().unwrap();
    let data = server.data.clone();
    std::fs::remove_file(data.join("watermark")).unwrap();
    let told = folder.path().join("told");
    let out = std::fs::File::create(&told).unwrap();
    let mut server = Server::start_with(folder.path(), |command| {
        command.stdout(out.try_clone().unwrap()).stderr(out);
    })
    .await;
    server.process.kill().unwrap();
    server.process.wait().unwrap();
    let told = std::fs::read_to_string(told).unwrap();
    assert!(told.contains("the watermark was lost"), "{told}");
    std::fs::remove_dir_all(data.join("segments")).unwrap();
    let refused = server.run(folder.path(), "serve --sip 127.0.0.1:0 --http none", "");
    assert!(!refused.status.success());
    let why = String::from_utf8(refused.stderr).unwrap();
    assert!(why.contains("no segments") && why.contains("`vault`"), "{why}");
    assert!(!data.join("segments").exists(), "nothing was begun");
}

/// Ada's p1 calls Bob's p2, who answers; both are returned, talking.
async fn a_call(server: &Server, folder: &std::path::Path) -> (Phone, Phone) {
    for add in [
        "user add ada Ada --number 100 --device p1=desk",
        "user add bob Bob --number 200 --device p2=desk",
    ] {
        assert!(server.run(folder, add, "").status.success());
    }
    for phone in ["p1", "p2"] {
        let password = format!("device password {phone} --password");
        assert!(server.run(folder, &password, "a-long-password\n").status.success());
    }
    let (mut p1, mut p2) = (server.phone("p1").await, server.phone("p2").await);
    p1.call("200");
    for phone in [&mut p1, &mut p2] {
        phone.wait_for(PATIENCE, |event| *event == PhoneEvent::Talks).await.unwrap();
    }
    (p1, p2)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_supervisor_hangs_up_a_call_and_the_book_says_who() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    let (mut p1, mut p2) = a_call(&server, folder.path()).await;
    let json = |line: &str| -> serde_json::Value {
        let output = server.run(folder.path(), line, "");
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let error = |line: &str| {
        let output = server.run(folder.path(), line, "");
        assert!(!output.status.success(), "{line}");
        String::from_utf8(output.stderr).unwrap()
    };
    let open = server.calls(folder.path(), "--open", 1).await;
    let placed = open["calls"][0]["placed"].as_u64().unwrap();
    assert_eq!(open["calls"].as_array().unwrap().len(), 1);
    // Only whoever administers may, and only a call that is there.
    let forbidden = error(&format!("--as bob call hang-up {placed}"));
    assert!(forbidden.contains("FORBIDDEN"), "{forbidden}");
    assert!(error("call hang-up 1").contains("CALL_UNKNOWN"));
    let dry = server.run(folder.path(), &format!("--dry-run call hang-up {placed}"), "");
    assert!(dry.status.success());
    assert_eq!(json("--json call list --open")["calls"].as_array().unwrap().len(), 1);

    let told = json(&format!("--json call hang-up {placed}"));
    assert_eq!(told["kinds"], serde_json::json!(["HangUpOrdered"]));
    for phone in [&mut p1, &mut p2] {
        phone.wait_for(PATIENCE, |event| *event == PhoneEvent::Ended).await.unwrap();
    }
    let began = std::time::Instant::now();
    let history = loop {
        if json("--json call list --open")["calls"].as_array().unwrap().is_empty() {
            let call = open["calls"][0]["call"].as_str().unwrap();
            break json(&format!("--json audit history call:{call}"));
        }
        assert!(began.elapsed() < PATIENCE, "the call has no end");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    let entry = |kind: &str| {
        let entries = history["entries"].as_array().unwrap();
        entries.iter().find(|entry| entry["kind"] == kind).unwrap_or_else(|| panic!("{history:#}"))
    };
    let ordered = entry("HangUpOrdered");
    assert!(ordered["actor"].to_string().to_lowercase().contains("supervisor"), "{ordered:#}");
    assert_eq!(entry("CallEnded")["cause"], ordered["position"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c15_no_file_holds_a_password_or_a_pin_in_the_clear() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    let told = |line: &str, input: &str| {
        let output = server.run(folder.path(), line, input);
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    };
    told("user add ada Ada --number 100 --device p1=desk", "");
    told("device password p1 --password", "a-long-password\n");
    told("user password ada --password", "another-password\n");
    told("user pin ada --pin", "86420975\n");
    let _phone = server.phone("p1").await;
    let mut folders = vec![server.data.clone()];
    let mut files = 0;
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else if entry.file_type().unwrap().is_file() {
                files += 1;
                let bytes = std::fs::read(entry.path()).unwrap();
                for secret in ["a-long-password", "another-password", "86420975"] {
                    let found = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
                    assert!(!found, "{} holds {secret}", entry.path().display());
                }
            }
        }
    }
    assert!(files >= 3, "the folder is elsewhere");
}

/// The signal came between the first answer and the moment at which somebody listened for it: the server died of it, and its
/// book was not closed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_that_comes_while_it_starts_is_heard() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut process = std::process::Command::new(support::BINARY)
        .args(["serve", "--sip", "127.0.0.1:0", "--http", "none", "--realm", "pbx.test"])
        .args(["--time-zone", "UTC", "--data"])
        .arg(&data)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let began = std::time::Instant::now();
    // The first thing that is made.
    while !data.exists() {
        assert!(began.elapsed() < support::PATIENCE, "the server does not begin");
        tokio::task::yield_now().await;
    }
    let pid = rustix::process::Pid::from_child(&process);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let status = process.wait().unwrap();
    assert!(status.success(), "{status}");
    let server = Server::start(folder.path()).await;
    assert!(server.run(folder.path(), "status", "").status.success());
}
