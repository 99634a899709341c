//! An erasure through the real server: nothing readable stays behind, every proof stays valid, and a restore from an older
//! backup does not bring anybody back.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use support::{BINARY, Server};

const WORDS: [&str; 3] = ["zebulon", "Quatermass", "zq@example.org"];

fn text(output: &Output) -> String {
    let (told, error) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{told}{error}")
}

fn good(server: &Server, folder: &Path, line: &str) -> String {
    let input = if line.contains("--password") { "a-long-password\n" } else { "" };
    let output = server.run(folder, line, input);
    assert!(output.status.success(), "switchbook {line}\n{}", text(&output));
    text(&output)
}

/// Every person's key in a vault, as docs/journal-format.md tells where it stands.
fn keys_of_people(vault: &Path) -> Vec<Vec<u8>> {
    let bytes = std::fs::read(vault).unwrap();
    let (mut at, mut keys) = (8192, Vec::new());
    while at + 8 < bytes.len() {
        let length = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        let content = &bytes[at + 8..at + 8 + length];
        if content.starts_with(&[1, 1]) {
            keys.push(content[18..].to_vec());
        }
        at += 8 + length;
    }
    keys
}

/// Files under a folder that hold these bytes.
fn holding(folder: &Path, needle: &[u8]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(holding(&path, needle));
        } else if std::fs::read(&path).is_ok_and(|b| b.windows(needle.len()).any(|p| p == needle)) {
            found.push(path);
        }
    }
    found
}

/// Files under a folder that hold one of the words, in whatever encoding a careless program would leave it.
fn leaks(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(leaks(&path));
            continue;
        }
        let Ok(bytes) = std::fs::read(&path) else { continue };
        for word in WORDS {
            let wide: Vec<u8> = word.encode_utf16().flat_map(u16::to_le_bytes).collect();
            let has = |needle: &[u8]| bytes.windows(needle.len()).any(|part| part == needle);
            if has(word.as_bytes()) || has(&wide) {
                found.push(format!("{word} in {}", path.display()));
            }
        }
    }
    found
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => copy(&entry.path(), &to),
            kind if kind.is_file() => drop(std::fs::copy(entry.path(), to).unwrap()),
            _ => {}
        }
    }
}

async fn stopped(mut server: Server) -> PathBuf {
    let pid = rustix::process::Pid::from_child(&server.process);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(server.process.wait().unwrap().success());
    server.data.clone()
}

/// `audit verify --json` on a folder that nobody has open.
fn verified(data: &Path, checkpoint: &Path) -> Value {
    let output = Command::new(BINARY)
        .args(["audit", "verify", "--json", "--data"])
        .arg(data)
        .arg("--checkpoint")
        .arg(checkpoint)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn with_people(folder: &Path) -> Server {
    let server = Server::start(folder).await;
    for line in [
        "user add zebulon Quatermass --number 100 --device p1=desk --email zq@example.org",
        "user add bob Bob --number 200",
        "user password zebulon --password",
        "profile add zebulon zebulonUrlaub --rule always=200",
    ] {
        good(&server, folder, line);
    }
    server
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_an_erasure_nothing_readable_is_left_and_every_proof_holds() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let server = with_people(home).await;
    let seal: Value = serde_json::from_str(&good(&server, home, "--json audit seal")).unwrap();
    let (key, checkpoint) = (seal["key"].as_str().unwrap(), home.join("checkpoint"));
    // What goes into a file is the checkpoint alone.
    let kept = String::from_utf8(server.run(home, "audit seal", "").stdout).unwrap();
    let origin = |note: &str| note.lines().next().unwrap().to_owned();
    assert_eq!(origin(&kept), origin(seal["checkpoint"].as_str().unwrap()), "{kept}");
    std::fs::write(&checkpoint, kept).unwrap();
    good(&server, home, "audit bundle before.jsonl");
    // What is only sealed is called erased neither to people nor to programs.
    for line in ["audit history", "--json audit history"] {
        let told = good(&server, home, line);
        assert!(told.contains("[sealed]") && !told.contains("[erased]"), "{told}");
    }
    // Snapshots with the person in them: a stop writes them.
    let data = stopped(server).await;
    let vault = data.join("vault");
    let keys = keys_of_people(&vault);
    assert_eq!(keys.len(), 2);
    let vault_alone = [vault.clone()];
    assert!(keys.iter().all(|key| holding(&data, key) == vault_alone));
    assert_eq!(holding(&data, b"$argon2id$"), vault_alone, "the hash of the password");
    let server = Server::start(home).await;
    let export = good(&server, home, "--json person export zebulon");
    assert!(WORDS.iter().all(|word| export.contains(word)), "{export}");
    let users: Value = serde_json::from_str(&good(&server, home, "--json user list")).unwrap();
    let then = users["position"].as_u64().unwrap();
    let looks = || {
        ["user list", "profile list", "forwarding list"]
            .map(|view| good(&server, home, &format!("{view} --as-of {then}")))
    };
    assert!(looks().iter().all(|seen| seen.contains("zebulon") && !seen.contains("[erased]")));

    let told = good(&server, home, "person erase zebulon --confirm");
    assert!(told.contains("was erased"), "{told}");
    for seen in looks() {
        assert!(!WORDS.iter().any(|word| seen.contains(word)), "as of before: {seen}");
        assert!(seen.contains("[erased]"), "{seen}");
    }
    let again = server.run(home, "person erase zebulon --confirm", "");
    assert!(text(&again).contains("USER_UNKNOWN"), "nobody knows the name any more");
    let history = good(&server, home, "audit history --open --kind PersonalFieldsOpened");
    assert!(history.contains("person export"), "{history}");
    let view = good(&server, home, "audit history --open --limit 1000");
    assert!(
        !WORDS.iter().any(|word| view.contains(word)),
        "the running server still shows it: {view}"
    );
    good(&server, home, "audit bundle after.jsonl --checkpoint checkpoint");
    let data = stopped(server).await;

    assert_eq!(leaks(home), [] as [String; 0]);
    let left = keys_of_people(&vault);
    assert_eq!(left.len(), 1, "bob's");
    let gone = keys.iter().find(|key| !left.contains(key)).unwrap();
    assert_eq!(holding(home, gone), [] as [PathBuf; 0], "the key is nowhere");
    assert_eq!(holding(home, b"$argon2id$"), [] as [PathBuf; 0]);
    for bundle in ["before.jsonl", "after.jsonl"] {
        let path = home.join(bundle);
        let line = ["switchbook-verify", "bundle", path.to_str().unwrap(), "--key", key];
        assert_eq!(switchbook_verify::run(line), 0);
    }
    let found = verified(&data, &checkpoint);
    assert!(found["erased"].as_u64().unwrap() >= 4 && found["checkpoints"] == 1, "{found}");
    let list = std::fs::read_to_string(home.join("data.erasures")).unwrap();
    assert!(list.lines().nth(1).unwrap().starts_with("person "), "{list}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_from_an_older_backup_asks_for_the_list_and_erases_again() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let server = with_people(home).await;
    let data = stopped(server).await;
    let backup = home.join("backup");
    copy(&data, &backup);
    let server = Server::start(home).await;
    good(&server, home, "person erase zebulon --confirm");
    stopped(server).await;

    // The disk is lost, the backup is put into a new folder: without the list the server does not start.
    let restored = home.join("restored");
    copy(&backup, &restored.join("data"));
    let serve = |more: &[&str]| {
        let mut command = Command::new(BINARY);
        command.args(["serve", "--sip", "127.0.0.1:0", "--http", "none", "--data"]);
        command.arg(restored.join("data")).args(more);
        command
    };
    let refused = serve(&[]).output().unwrap();
    assert!(!refused.status.success());
    assert!(text(&refused).contains("list of erasures") && text(&refused).contains("--erasures"));
    let list = home.join("data.erasures");
    let server = Server::start_with(&restored, |command| {
        command.arg("--erasures").arg(&list);
    })
    .await;
    let told = good(&server, &restored, "audit history --kind PersonErased");
    assert!(told.contains("erased") && told.contains("system"), "{told}");
    let users = good(&server, &restored, "user list");
    assert!(users.contains("bob") && !users.contains("zebulon"), "{users}");
    stopped(server).await;
    assert_eq!(leaks(&restored), [] as [String; 0]);
}

/// An upgrade leaves its restore point beside the book, with the vault of then. Who is erased later is erased there too, and
/// whoever asked is told so only then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_reaches_the_restore_points_or_names_the_one_it_does_not_reach() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let data = stopped(with_people(home).await).await;
    let keys = keys_of_people(&data.join("vault"));
    // As if an older Switchbook had written it last.
    std::fs::write(data.join("written-by"), "switchbook 0.0.1\n").unwrap();
    let server = Server::start(home).await;
    let point = std::fs::read_dir(data.join("restore-points")).unwrap().next().unwrap();
    let point = point.unwrap().path();
    assert_eq!(keys_of_people(&point.join("vault")).len(), 2);
    let sound = std::fs::read(point.join("vault")).unwrap();

    std::fs::write(point.join("vault"), &sound[..8300]).unwrap();
    let refused = server.run(home, "person erase zebulon --confirm", "");
    let told = text(&refused);
    assert!(!refused.status.success() && told.contains(point.to_str().unwrap()), "{told}");
    assert!(good(&server, home, "status").contains(point.to_str().unwrap()), "it is a notice");
    let gone = keys_of_people(&data.join("vault"));
    assert_eq!(gone.len(), 1, "the server's own vault does not wait for it");

    std::fs::write(point.join("vault"), sound).unwrap();
    stopped(server).await;
    let server = Server::start(home).await;
    let began = std::time::Instant::now();
    while keys_of_people(&point.join("vault")).len() > 1 {
        assert!(began.elapsed() < support::PATIENCE, "the restore point keeps the key");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    good(&server, home, "person erase bob --confirm");
    assert_eq!(keys_of_people(&point.join("vault")).len(), 0);
    stopped(server).await;
    assert!(keys.iter().all(|key| holding(home, key).is_empty()), "the keys are nowhere");
    assert_eq!(holding(home, b"$argon2id$"), [] as [PathBuf; 0]);
    switchbook_journal::backup::check(&point).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_that_a_crash_cut_short_is_carried_out_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let server = with_people(home).await;
    let data = stopped(server).await;
    // The vault as it was before: as if the power went between the event and the key.
    let vault = std::fs::read(data.join("vault")).unwrap();
    let server = Server::start(home).await;
    good(&server, home, "person erase zebulon --confirm");
    stopped(server).await;
    std::fs::write(data.join("vault"), vault).unwrap();
    let list = home.join("data.erasures");
    let text = std::fs::read_to_string(&list).unwrap();
    std::fs::write(&list, format!("{}\n", text.lines().next().unwrap())).unwrap();
    let output =
        Command::new(BINARY).args(["audit", "verify", "--data"]).arg(&data).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!output.status.success() && told.contains("the key is still there"), "{told}");
    let server = Server::start(home).await;
    let began = std::time::Instant::now();
    while std::fs::read_to_string(&list).unwrap().lines().count() < 2 {
        assert!(began.elapsed() < support::PATIENCE, "the list does not get its line");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    good(&server, home, "status");
    stopped(server).await;
    let output =
        Command::new(BINARY).args(["audit", "verify", "--data"]).arg(&data).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn months_whose_time_has_come_are_erased_by_themselves_an_event_each() {
    use switchbook_core::personal::KeyId;
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let data = stopped(Server::start(home).await).await;
    {
        let opened = switchbook_journal::Book::open(&data, switchbook_journal::Options::default());
        let vault = opened.unwrap().vault;
        for period in [202_501, 202_502] {
            vault.seal(KeyId::Period(period), "+49 30 1").unwrap();
        }
        vault.flush().unwrap();
    }
    let server = Server::start(home).await;
    assert!(!good(&server, home, "audit history --kind PeriodErased").contains("2025-01"));
    good(&server, home, "settings retention --months 6");
    let began = std::time::Instant::now();
    loop {
        let told = good(&server, home, "audit history --kind PeriodErased");
        if told.contains("2025-01") && told.contains("2025-02") {
            break;
        }
        assert!(began.elapsed() < support::PATIENCE, "{told}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let refused = server.run(home, "period erase 2099-01", "");
    assert!(text(&refused).contains("PERIOD_OPEN"));
    // First the event, then the key: whoever looks in between sees it still.
    let gone = || {
        let vault = switchbook_journal::Vault::read_only(&data).unwrap();
        [202_501, 202_502].iter().all(|period| vault.is_destroyed(KeyId::Period(*period)))
    };
    while !gone() {
        assert!(began.elapsed() < support::PATIENCE, "their keys are still there");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    stopped(server).await;
    assert!(gone());
}
