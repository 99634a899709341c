//! A server under test: the real binary, a folder and ports of its own.
#![allow(missing_docs, clippy::unwrap_used, dead_code)]

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use switchbook_sip_adapter::phone::{OnCall, Phone, PhoneConfig, PhoneEvent};

pub const BINARY: &str = env!("CARGO_BIN_EXE_switchbook");
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct Server {
    pub process: Child,
    pub data: PathBuf,
    pub sip: SocketAddr,
}

impl Server {
    pub async fn start(folder: &Path) -> Self {
        Self::start_with(folder, |_| ()).await
    }

    pub async fn start_with(folder: &Path, change: impl FnOnce(&mut Command)) -> Self {
        let data = folder.join("data");
        let mut command = Command::new(BINARY);
        command
            .args([
                "serve",
                "--sip",
                "127.0.0.1:0",
                "--http",
                "127.0.0.1:0",
                "--realm",
                "readme.test",
            ])
            .args(["--time-zone", not_at_noon()])
            .arg("--data")
            .arg(&data)
            .stdout(Stdio::null());
        change(&mut command);
        let process = command.spawn().unwrap();
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

    pub fn run(&self, folder: &Path, line: &str, input: &str) -> Output {
        run(&self.data, folder, line, input)
    }

    /// Waits until `call list` with these options shows so many calls, and gives the answer. Signalling never waits for the
    /// disk: phones may talk, or be done, before the book knows.
    pub async fn calls(&self, folder: &Path, options: &str, many: usize) -> serde_json::Value {
        let began = Instant::now();
        loop {
            let list = self.run(folder, &format!("--json call list {options}"), "");
            let list: serde_json::Value = serde_json::from_slice(&list.stdout).unwrap();
            if list["calls"].as_array().is_some_and(|calls| calls.len() == many) {
                return list;
            }
            assert!(began.elapsed() < PATIENCE, "the book shows other calls: {list}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A phone that is plugged in and does nothing yet.
    pub async fn plug_in(&self, name: &str, password: &str) -> Phone {
        Phone::start(PhoneConfig {
            name: name.into(),
            password: password.into(),
            domain: "readme.test".into(),
            server: self.sip,
            ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            tone: 440,
            on_call: OnCall::Answer(Duration::ZERO),
        })
        .await
        .unwrap()
    }

    /// A phone that is registered.
    pub async fn phone(&self, name: &str) -> Phone {
        let mut phone = self.plug_in(name, "a-long-password").await;
        phone.register(600);
        let registered = |event: &PhoneEvent| matches!(event, PhoneEvent::Registered(_));
        phone.wait_for(PATIENCE, registered).await.unwrap();
        phone
    }
}

/// A zone in which it is not about noon now: the README's schedule is in force from twelve to one.
fn not_at_noon() -> &'static str {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    match since.as_secs() / 3600 % 24 {
        9..=12 => "America/New_York",
        _ => "Europe/Berlin",
    }
}

/// One command line, about the book in `data`.
pub fn run(data: &Path, folder: &Path, line: &str, input: &str) -> Output {
    let mut child = Command::new(BINARY)
        .args(words(line))
        .arg("--data")
        .arg(data)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// As a shell would split it: words, double quotes, a comment at the end.
pub fn words(line: &str) -> Vec<String> {
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
