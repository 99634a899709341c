//! The README's commands, run as they stand there: a reader can type them one after the other.
#![allow(missing_docs, clippy::unwrap_used)]

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use switchbook_sip_adapter::phone::{OnCall, Phone, PhoneConfig, PhoneEvent};

const BINARY: &str = env!("CARGO_BIN_EXE_switchbook");
const PATIENCE: Duration = Duration::from_secs(30);

struct Server {
    process: Child,
    data: PathBuf,
    sip: SocketAddr,
}

impl Server {
    async fn start(folder: &Path) -> Self {
        let data = folder.join("data");
        let process = Command::new(BINARY)
            .args([
                "serve",
                "--sip",
                "127.0.0.1:0",
                "--http",
                "127.0.0.1:0",
                "--realm",
                "readme.test",
            ])
            .args(["--time-zone", "Europe/Berlin"])
            .arg("--data")
            .arg(&data)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Self { process, data, sip: ([127, 0, 0, 1], 0).into() };
        let began = Instant::now();
        loop {
            let status = server.run(folder, "status --json", "");
            if status.status.success() {
                let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
                server.sip = status["sip"].as_str().unwrap().parse().unwrap();
                return server;
            }
            assert!(began.elapsed() < PATIENCE, "the server does not answer");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn run(&self, folder: &Path, line: &str, input: &str) -> Output {
        let mut child = Command::new(BINARY)
            .args(words(line))
            .arg("--data")
            .arg(&self.data)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    async fn phone(&self, name: &str) -> Phone {
        let mut phone = Phone::start(PhoneConfig {
            name: name.into(),
            password: "a-long-password".into(),
            domain: "readme.test".into(),
            server: self.sip,
            ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            tone: 440,
            on_call: OnCall::Answer(Duration::ZERO),
        })
        .await
        .unwrap();
        phone.register(600);
        let registered = |event: &PhoneEvent| matches!(event, PhoneEvent::Registered(_));
        phone.wait_for(PATIENCE, registered).await.unwrap();
        phone
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// As a shell would split it: words, double quotes, a comment at the end.
fn words(line: &str) -> Vec<String> {
    let (mut found, mut word, mut quoted, mut any) = (Vec::new(), String::new(), false, false);
    for c in line.chars() {
        match c {
            '"' => (quoted, any) = (!quoted, true),
            '#' if !quoted && word.is_empty() => break,
            ' ' if !quoted => {
                if any || !word.is_empty() {
                    found.push(std::mem::take(&mut word));
                }
                any = false;
            }
            c => word.push(c),
        }
    }
    if any || !word.is_empty() {
        found.push(word);
    }
    found
}

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
            call(&server).await;
        }
        let input = if line.contains("--password") { "a-long-password\n" } else { "" };
        let output = server.run(folder.path(), line, input);
        let (told, error) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "switchbook {line}\n{told}{error}");
        assert!(!told.trim().is_empty(), "switchbook {line} says nothing");
    }
}

/// p2 calls 100, so that there is a call to explain.
async fn call(server: &Server) {
    let (_p1, mut p2) = (server.phone("p1").await, server.phone("p2").await);
    p2.call("100");
    p2.wait_for(PATIENCE, |event| *event == PhoneEvent::Talks).await.unwrap();
    p2.hang_up();
    p2.wait_for(PATIENCE, |event| *event == PhoneEvent::Ended).await.unwrap();
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
