//! Evidence through the real programs: sealed by the server, witnessed elsewhere, checked by whoever has the keys.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};
use support::{BINARY, Server};
use switchbook_journal::{Book, Options};

fn text(output: &Output) -> String {
    let (told, error) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{told}{error}")
}

fn good(server: &Server, folder: &Path, line: &str) -> String {
    let output = server.run(folder, line, "");
    assert!(output.status.success(), "switchbook {line}\n{}", text(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Seals, and keeps the checkpoint outside. Gives the book's public key.
fn seal(server: &Server, folder: &Path, name: &str) -> String {
    let sealed: Value = serde_json::from_str(&good(server, folder, "--json audit seal")).unwrap();
    std::fs::write(folder.join(name), sealed["checkpoint"].as_str().unwrap()).unwrap();
    sealed["key"].as_str().unwrap().to_owned()
}

/// The witness's machine: it has no book.
fn witness(folder: &Path, line: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    command.args(["audit", "cosign", "--witness", "witness", "--data", "nowhere"]).args(line);
    command.current_dir(folder).output().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_witness_signs_what_continues_what_he_saw_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let server = Server::start(home).await;
    good(&server, home, "user add ada Ada --number 100");
    let key = seal(&server, home, "first");
    good(&server, home, "user add bob Bob --number 200");
    assert_eq!(seal(&server, home, "second"), key);

    let refused = witness(home, &["first"]);
    assert!(text(&refused).contains("--name"), "{}", text(&refused));
    let refused = witness(home, &["first", "--name", "witness.test"]);
    assert!(text(&refused).contains("never seen before"), "{}", text(&refused));
    let signed = witness(home, &["first", "--key", &key, "--json"]);
    assert!(signed.status.success(), "{}", text(&signed));
    let signed: Value = serde_json::from_slice(&signed.stdout).unwrap();
    let his = signed["witness"].as_str().unwrap();
    let verify = |name: &str| {
        let path = home.join(name);
        let line = ["switchbook-verify", "checkpoint", path.to_str().unwrap(), "--key", &key];
        switchbook_verify::run(line.iter().chain(&["--witness", his]))
    };
    assert_eq!((verify("first"), verify("second")), (0, 1));

    let refused = witness(home, &["second"]);
    assert!(text(&refused).contains("--proof"), "{}", text(&refused));
    let proof = good(&server, home, "--json audit prove consistency first second");
    std::fs::write(home.join("proof"), &proof).unwrap();
    let mut forged: Value = serde_json::from_str(&proof).unwrap();
    let hash = forged["path"][0].as_str().unwrap();
    let other = if hash.starts_with('A') { "B" } else { "A" };
    forged["path"][0] = format!("{other}{}", &hash[1..]).into();
    std::fs::write(home.join("forged"), forged.to_string()).unwrap();
    let refused = witness(home, &["second", "--proof", "forged"]);
    assert!(text(&refused).contains("NOT signed"), "{}", text(&refused));
    assert_eq!(verify("second"), 1);
    let signed = witness(home, &["second", "--proof", "proof"]);
    assert!(signed.status.success(), "{}", text(&signed));
    assert_eq!(verify("second"), 0);

    // Back to the shorter one: a book whose end was taken away would look like this.
    let refused = witness(home, &["first", "--proof", "proof"]);
    assert!(text(&refused).contains("was seen before"), "{}", text(&refused));
    // What he signed serves as evidence where the book is.
    good(&server, home, "audit verify --checkpoint second");
    let bundle = good(&server, home, "audit bundle all.jsonl --checkpoint second");
    assert!(bundle.contains("switchbook-verify"), "{bundle}");
    let path = home.join("all.jsonl");
    let line = ["switchbook-verify", "bundle", path.to_str().unwrap(), "--key", &key];
    let witnessed = || switchbook_verify::run(line.iter().chain(&["--witness", his]));
    assert_eq!(witnessed(), 0);
    let before = std::fs::read(&path).unwrap();
    let refused = server.run(home, "audit bundle all.jsonl", "");
    assert!(!refused.status.success() && text(&refused).contains("there already"));
    assert_eq!(std::fs::read(&path).unwrap(), before, "evidence is never overwritten");
    // Nor is anything put into the book, or made of what is not wanted; and a list is no checkpoint, though it reads as one.
    let in_book = format!("audit bundle {}/segments/x", server.data.display());
    for (line, why) in [
        (in_book.as_str(), "in the folder of the book"),
        ("--dry-run audit bundle no.jsonl", "no dry run"),
        ("audit bundle no.jsonl --from 9 --to 3", "nothing from"),
        ("audit prove consistency first both", "holds 2 checkpoints"),
        ("audit prove event 3 --checkpoint both", "holds 2 checkpoints"),
    ] {
        let both =
            ["first", "second"].map(|name| std::fs::read_to_string(home.join(name)).unwrap());
        std::fs::write(home.join("both"), both.concat()).unwrap();
        let refused = server.run(home, line, "");
        assert!(!refused.status.success() && text(&refused).contains(why), "{}", text(&refused));
        assert!(!home.join("no.jsonl").exists(), "{line}");
    }
    // As far as the checkpoints go that are held outside, though the book is sealed further; and of a list all.
    for (name, checkpoints) in [("by-first.jsonl", "first"), ("by-both.jsonl", "both")] {
        good(&server, home, &format!("audit bundle {name} --checkpoint {checkpoints}"));
        let path = home.join(name);
        let line = ["switchbook-verify", "bundle", path.to_str().unwrap(), "--key", &key];
        assert_eq!(switchbook_verify::run(line), 0, "{name}");
    }
    let left = std::fs::read_dir(home).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(!left.into_iter().any(|name| name.to_string_lossy().ends_with(".part")));
    good(&server, home, "audit bundle plain.jsonl");
    let path = home.join("plain.jsonl");
    let line = ["switchbook-verify", "bundle", path.to_str().unwrap(), "--key", &key];
    let witnessed = switchbook_verify::run(line.iter().chain(&["--witness", his]));
    assert_eq!(witnessed, 1, "the book itself does not know that he signed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_book_seals_itself_and_the_list_of_checkpoints_verifies_it() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let list = home.join("checkpoints");
    let config = home.join("config.toml");
    std::fs::write(&config, format!("[seal]\nfile = {:?}\n", list)).unwrap();
    let server = Server::start_with(home, |command| {
        command.arg("--config").arg(&config);
    })
    .await;
    seal(&server, home, "first");
    good(&server, home, "user add ada Ada --number 100");
    let key = seal(&server, home, "second");
    let began = std::time::Instant::now();
    while !std::fs::read_to_string(&list).is_ok_and(|list| {
        std::fs::read_to_string(home.join("second")).is_ok_and(|second| list.contains(&second))
    }) {
        assert!(began.elapsed() < support::PATIENCE, "the checkpoint does not get out");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    good(&server, home, "audit verify --checkpoint checkpoints");
    let line = ["switchbook-verify", "book", server.data.to_str().unwrap(), "--key", &key];
    let line =
        line.iter().chain(&["--checkpoint", list.to_str().unwrap()]).copied().collect::<Vec<_>>();
    assert_eq!(switchbook_verify::run(line), 0);
}

/// A key that signs for years can leak: it hands over to the next one, and whoever holds the old public key follows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_rotated_and_whoever_holds_an_old_one_follows_to_the_newest() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let server = Server::start(home).await;
    good(&server, home, "user add ada Ada --number 100");
    let first_key = seal(&server, home, "first");
    let rotate = |name: &str| {
        let told = good(&server, home, "--json audit rotate-key");
        let told: Value = serde_json::from_str(&told).unwrap();
        std::fs::write(home.join(name), told["checkpoint"].as_str().unwrap()).unwrap();
        told["key"].as_str().unwrap().to_owned()
    };
    let second_key = rotate("handed");
    assert_ne!(first_key, second_key);
    good(&server, home, "user add bob Bob --number 200");
    assert_eq!(seal(&server, home, "second"), second_key);
    let third_key = rotate("handed again");
    assert_eq!(good(&server, home, "audit key").trim(), third_key);
    good(&server, home, "user add cleo Cleo --number 300");
    assert_eq!(seal(&server, home, "third"), third_key);

    let verify = |line: &[&str], key: &str| {
        switchbook_verify::run(["switchbook-verify"].iter().chain(line).chain(&["--key", key]))
    };
    // A checkpoint by itself needs those that hand over beside it.
    let read = |name: &str| std::fs::read_to_string(home.join(name)).unwrap();
    let (list, alone) = (home.join("list"), home.join("third"));
    let all = ["third", "handed again", "first", "handed", "second"];
    std::fs::write(&list, all.map(read).concat()).unwrap();
    let (list, alone) = (list.to_str().unwrap(), alone.to_str().unwrap());
    assert_eq!(verify(&["checkpoint", list], &first_key), 0);
    assert_eq!(verify(&["checkpoint", alone], &first_key), 1);
    assert_eq!(verify(&["checkpoint", alone], &third_key), 0);
    assert_eq!(verify(&["checkpoint", list], &third_key), 1, "a new key says nothing of the old");
    let without = ["first", "second", "third"].map(read).concat();
    std::fs::write(home.join("without"), without).unwrap();
    assert_eq!(verify(&["checkpoint", home.join("without").to_str().unwrap()], &first_key), 1);

    // Bundles and proofs bring them along; the book has them.
    good(&server, home, "audit bundle all.jsonl");
    let bundle = home.join("all.jsonl");
    for key in [&first_key, &third_key] {
        assert_eq!(verify(&["bundle", bundle.to_str().unwrap()], key), 0, "{key}");
    }
    let proof = home.join("proof");
    std::fs::write(&proof, good(&server, home, "--json audit prove event 2")).unwrap();
    for key in [&first_key, &second_key, &third_key] {
        assert_eq!(verify(&["proof", proof.to_str().unwrap()], key), 0, "{key}");
    }
    let other = "pbx.test/x+11111111+AAAA";
    assert_ne!(verify(&["proof", proof.to_str().unwrap()], other), 0);
    let book = server.data.to_str().unwrap().to_owned();
    assert_eq!(verify(&["book", &book, "--checkpoint", list], &first_key), 0);
    good(&server, home, "audit verify --checkpoint list");
    good(&server, home, &format!("audit verify --checkpoint list --key {first_key}"));

    // A witness who knows the first key hears of the next from the checkpoint that hands over.
    let line = ["first", "--name", "witness.test", "--key", &first_key];
    assert!(witness(home, &line).status.success());
    let cosign = |older: &str, newer: &str| {
        let prove = format!("--json audit prove consistency {older} {newer}");
        std::fs::write(home.join("proof"), good(&server, home, &prove)).unwrap();
        witness(home, &[newer, "--proof", "proof"])
    };
    let too_early = cosign("first", "second");
    assert!(text(&too_early).contains("rotation"), "{}", text(&too_early));
    for (older, newer) in [("first", "handed"), ("handed", "second")] {
        let signed = cosign(older, newer);
        assert!(signed.status.success(), "{newer}: {}", text(&signed));
    }

    // The private half of a key that has handed over is destroyed.
    drop(server);
    let vault = switchbook_journal::Vault::read_only(&home.join("data")).unwrap();
    assert_eq!(vault.secrets().len(), 1);
}

/// A place that did not take checkpoints, a rotation meanwhile, a restart: nobody could follow to the new key any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_not_got_out_before_a_restart_gets_out_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let list = home.join("away").join("checkpoints");
    let config = home.join("config.toml");
    std::fs::write(&config, format!("[seal]\nfile = {list:?}\n")).unwrap();
    let start = || {
        Server::start_with(home, |command| {
            command.arg("--config").arg(&config);
        })
    };
    let mut server = start().await;
    good(&server, home, "user add ada Ada --number 100");
    let first_key = seal(&server, home, "first");
    for number in [200, 300] {
        good(&server, home, &format!("user add u{number} Bob --number {number}"));
        good(&server, home, "audit rotate-key");
    }
    server.process.kill().unwrap();
    server.process.wait().unwrap();
    drop(server);
    std::fs::create_dir(home.join("away")).unwrap();
    let server = start().await;
    let notes = || {
        let text = std::fs::read_to_string(&list).unwrap_or_default();
        switchbook_journal::note::SignedNote::list(&text).unwrap_or_default().len()
    };
    let began = std::time::Instant::now();
    while notes() < 2 {
        assert!(began.elapsed() < support::PATIENCE, "the checkpoints do not get out");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let newest = seal(&server, home, "newest");
    while notes() < 3 {
        assert!(began.elapsed() < support::PATIENCE, "the checkpoints do not get out");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_ne!(first_key, newest);
    let line = ["switchbook-verify", "checkpoint", list.to_str().unwrap(), "--key", &first_key];
    assert_eq!(switchbook_verify::run(line), 0, "whoever holds the first key follows");
}

/// A manifest is not signed: whoever can write to the place of the backups can make one that checks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_is_held_against_a_checkpoint_from_outside() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let server = Server::start(home).await;
    good(&server, home, "user add ada Ada --number 100");
    let key = seal(&server, home, "first");
    good(&server, home, "backup create copy.tar");
    // What is refused for its place is not said to have been taken.
    for place in ["copy.tar", "data/copy", "data/no/../copy.tar", "no/x.tar", "copy.tar/x"] {
        let refused = server.run(home, &format!("backup create {place}"), "");
        assert!(!refused.status.success(), "{place}: {}", text(&refused));
    }
    let left = std::fs::read_dir(home).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(!left.into_iter().any(|name| name.to_string_lossy().ends_with(".new")));
    let taken = good(&server, home, "--json audit history --kind BackupTaken");
    assert_eq!(taken.matches("BackupTaken").count(), 1, "{taken}");
    good(&server, home, "user add bob Bob --number 200");
    seal(&server, home, "second");
    let read = |name: &str| std::fs::read_to_string(home.join(name)).unwrap();
    std::fs::write(home.join("both"), ["first", "second"].map(read).concat()).unwrap();
    std::fs::create_dir(home.join("other")).unwrap();
    let other = Server::start(&home.join("other")).await;
    let mallorys = seal(&other, home, "mallorys");
    good(&other, home, "backup create mallorys.tar");
    let restore = |backup: &str, more: &str| {
        let data = home.join("back");
        let _ = std::fs::remove_dir_all(&data);
        support::run(&data, home, &format!("backup restore {backup} --no-erasures {more}"), "")
    };
    let told = text(&restore("copy.tar", ""));
    assert!(told.contains("No checkpoint was given"), "{told}");
    let restored = restore("copy.tar", &format!("--checkpoint first --key {key}"));
    assert!(restored.status.success(), "{}", text(&restored));
    assert!(text(&restored).contains("those that were sealed"), "{}", text(&restored));
    let restored = restore("copy.tar", &format!("--checkpoint both --key {key}"));
    assert!(restored.status.success() && text(&restored).contains("the backup is older"));
    let json = restore("copy.tar", &format!("--checkpoint both --key {key} --json"));
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert!(json["sealed"].as_u64() < json["newest_checkpoint"].as_u64(), "{json}");
    for (backup, more, why) in [
        ("copy.tar", format!("--checkpoint second --key {key}"), "has only"),
        ("copy.tar", format!("--checkpoint first --key {mallorys}"), "not signed"),
        ("copy.tar", format!("--checkpoint mallorys --key {mallorys}"), "is it the right folder"),
        ("mallorys.tar", format!("--checkpoint first --key {key}"), "is it the right folder"),
        ("copy.tar", "--checkpoint first".into(), "--key"),
    ] {
        let refused = restore(backup, &more);
        assert!(!refused.status.success() && text(&refused).contains(why), "{}", text(&refused));
        let back = home.join("back");
        let served = back.exists() && Book::open(&back, Options::default()).is_ok();
        assert!(!served, "{backup} {more}: what was refused can be served");
    }
    // Whoever names a list wants it held: an empty one shows nothing, and another text is no false checkpoint.
    std::fs::write(home.join("empty"), "\n").unwrap();
    let first = read("first");
    let (_, signatures) = first.split_once("\n\n").unwrap();
    std::fs::write(home.join("letter"), format!("Dear auditor\n\n{signatures}")).unwrap();
    for (more, why) in [
        ("--checkpoint empty", "empty"),
        ("--checkpoint first --checkpoint empty", "empty"),
        ("--checkpoint letter", "no list of checkpoints"),
        ("--checkpoint first --checkpoint letter", "no list of checkpoints"),
    ] {
        let refused = restore("copy.tar", &format!("{more} --key {key}"));
        assert!(!refused.status.success() && text(&refused).contains(why), "{}", text(&refused));
        assert!(!home.join("back").exists());
        let refused = server.run(home, &format!("audit verify {more} --key {key}"), "");
        assert!(!refused.status.success() && text(&refused).contains(why), "{}", text(&refused));
    }
    let refused = server.run(home, "audit bundle with-letter.jsonl --checkpoint letter", "");
    assert!(!refused.status.success() && text(&refused).contains("no list of checkpoints"));
    assert!(!home.join("with-letter.jsonl").exists());
}

/// The README's first command, up to its end.
#[test]
fn the_demo_goes_through_to_evidence_that_holds_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(BINARY);
    command.args(["demo", "--once", "--sip", "127.0.0.1:0", "--http", "none"]);
    let output = command.env("TMPDIR", folder.path()).output().unwrap();
    let told = text(&output);
    assert!(output.status.success(), "{told}");
    assert_eq!(told.matches("It holds.").count(), 2, "the bundle and the whole folder: {told}");
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}
