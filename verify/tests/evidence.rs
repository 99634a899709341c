//! The program on evidence from a real book: whole, and after somebody laid hands on it.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "../../replay/tests/folder/mod.rs"]
mod folder;

use folder::*;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use switchbook_core::envelope::Subject;
use switchbook_core::position::{Moment, Position};
use switchbook_journal::SegmentReader;
use switchbook_journal::note::{Checkpoint, KeyKind, SignedNote, Signer};
use switchbook_replay::evidence::What;
use switchbook_replay::evidence::bundle::bundle;
use switchbook_replay::evidence::prove::Prover;

struct Case {
    home: tempfile::TempDir,
    /// Three checkpoints, held outside.
    notes: Vec<SignedNote>,
    key: String,
    ada: switchbook_core::id::UserId,
}

async fn case() -> Case {
    let home = tempfile::tempdir().unwrap();
    let book = Written::open(&home.path().join("book")).await;
    book.people(&["ada", "bob", "cleo"]).await;
    let ada = book.user("ada");
    let mut notes = vec![book.seal().await];
    book.tell(r#"{"command":"user.dnd","user":"ada","on":true}"#).await;
    notes.push(book.seal().await);
    book.tell(r#"{"command":"user.rename","user":"ada","display_name":"Countess"}"#).await;
    notes.push(book.seal().await);
    let key = book.key();
    book.close().await;
    Case { home, notes, key, ada }
}

impl Case {
    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn bundle(&self, name: &str, what: What) -> PathBuf {
        let folder = self.path("book");
        let reader = SegmentReader::open(&folder).unwrap();
        let mut prover = Prover::open(&reader, &folder, &mut |_| true).unwrap();
        let mut out = Vec::new();
        let outside = self.notes.iter().rev().cloned().collect();
        bundle(&mut prover, &reader, what, outside, Moment(0), &mut out, &mut |_| true).unwrap();
        let path = self.path(name);
        std::fs::write(&path, out).unwrap();
        path
    }

    /// Exit code, and what was printed for programs.
    fn run(&self, line: &[&str]) -> (i32, Value) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_switchbook-verify"));
        let output = command.args(line).arg("--json").env_clear().output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.code().unwrap(), serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    fn check(&self, what: &str, path: &Path) -> (i32, Value) {
        self.run(&[what, path.to_str().unwrap(), "--key", &self.key])
    }

    /// What is found first, after some lines of a bundle were changed.
    fn changed(&self, path: &Path, change: impl FnOnce(&mut Vec<String>)) -> String {
        let text = std::fs::read_to_string(path).unwrap();
        let mut lines: Vec<String> = text.lines().map(ToOwned::to_owned).collect();
        change(&mut lines);
        let changed = self.path("changed");
        std::fs::write(&changed, lines.join("\n") + "\n").unwrap();
        let (code, found) = self.check("bundle", &changed);
        assert_eq!(code, 1, "{found}");
        found["findings"][0]["english"].as_str().unwrap().to_owned()
    }
}

fn edit(line: &mut String, change: impl FnOnce(&mut Value)) {
    let mut value = serde_json::from_str(line).unwrap();
    change(&mut value);
    *line = value.to_string();
}

#[tokio::test]
async fn a_span_holds_and_every_change_of_it_is_found() {
    let case = case().await;
    let path = case.bundle("span", What::Span(Position(3), Position(20)));
    let (code, found) = case.check("bundle", &path);
    assert_eq!((code, &found["bundle"]["records"]), (0, &json!(18)), "{found}");
    assert_eq!(found["consistent"].as_array().unwrap().len(), 2);
    // Line 0 is the head, then three checkpoints, then records, then the end.
    let told =
        case.changed(&path, |lines| edit(&mut lines[7], |v| v["body"] = v["path"][0].clone()));
    assert!(told.contains("no record"), "{told}");
    let told =
        case.changed(&path, |lines| edit(&mut lines[7], |v| v["path"][0] = v["path"][1].clone()));
    assert!(told.contains("does not stand"), "{told}");
    let told = case.changed(&path, |lines| drop(lines.remove(8)));
    assert!(told.contains("missing before it"), "{told}");
    let told = case.changed(&path, |lines| lines.truncate(12));
    assert!(told.contains("not whole"), "{told}");
    let told = case.changed(&path, |lines| {
        let last = lines.len() - 2;
        lines.remove(last);
        edit(lines.last_mut().unwrap(), |v| v["records"] = json!(17));
    });
    assert!(told.contains("end of the span"), "{told}");
    let told = case.changed(&path, |lines| edit(&mut lines[2], |v| v["consistency"] = json!([])));
    assert!(told.contains("not shown to be the beginning"), "{told}");
    let told = case.changed(&path, |lines| lines.push("{}".into()));
    assert!(told.contains("behind the end"), "{told}");
}

#[tokio::test]
async fn the_records_of_a_person_hold_and_a_stranger_among_them_is_found() {
    let case = case().await;
    let path = case.bundle("ada", What::Subject(Subject::User(case.ada)));
    let (code, found) = case.check("bundle", &path);
    assert_eq!(code, 0, "{found}");
    let all =
        std::fs::read_to_string(case.bundle("all", What::Span(Position(1), Position(2)))).unwrap();
    let stranger = all.lines().nth(5).unwrap().to_owned();
    let told = case.changed(&path, |lines| lines[4] = stranger);
    assert!(told.contains("not one of those"), "{told}");
    assert!(std::fs::read_to_string(&path).unwrap().lines().all(|line| !line.contains("Countess")));
}

#[tokio::test]
async fn a_key_that_was_not_given_from_outside_is_asked_for_and_another_one_is_told() {
    let case = case().await;
    let path = case.bundle("span", What::Span(Position(1), Position(2)));
    let path = path.to_str().unwrap();
    let (code, found) = case.run(&["bundle", path]);
    assert!(code == 2 && found["english"].as_str().unwrap().contains("--key is needed"));
    let mallory = Signer::new(ORIGIN, KeyKind::Log, &[8; 32]).unwrap().verifier().to_string();
    let (code, found) = case.run(&["bundle", path, "--key", &mallory]);
    assert!(
        code == 1
            && found["findings"][0]["english"].as_str().unwrap().contains("not of the given key")
    );
    assert_eq!(case.run(&["bundle", path, "--key", "nonsense"]).0, 2);
    assert_eq!(case.run(&["bundle", "/does/not/exist", "--key", &case.key]).0, 2);
    assert_eq!(case.run(&["nonsense"]).0, 2);
    let file = case.path("no-bundle");
    std::fs::write(&file, "{}\n").unwrap();
    assert_eq!(case.check("bundle", &file).0, 2);
}

#[tokio::test]
async fn a_witness_who_must_have_cosigned_is_looked_for() {
    let case = case().await;
    let witness = Signer::new("witness.test", KeyKind::Witness, &[9; 32]).unwrap();
    let (plain, cosigned) = (case.path("plain"), case.path("cosigned"));
    std::fs::write(&plain, case.notes[0].to_string()).unwrap();
    let note = case.notes[0].clone().cosign(&witness, 1_795_435_200);
    std::fs::write(&cosigned, note.to_string()).unwrap();
    let key = witness.verifier().to_string();
    let run = |path: &Path| {
        case.run(&["checkpoint", path.to_str().unwrap(), "--key", &case.key, "--witness", &key])
    };
    let (code, found) = run(&plain);
    assert!(
        code == 1 && found["findings"][0]["english"].as_str().unwrap().contains("has not cosigned")
    );
    let (code, found) = run(&cosigned);
    assert_eq!(code, 0, "{found}");
    assert_eq!(found["cosigned"][0]["time"], 1_795_435_200);
    // The time is part of what the witness signed.
    let later = note.to_string();
    let line = later.lines().last().unwrap().rsplit(' ').next().unwrap();
    use base64::Engine;
    let mut bytes = base64::engine::general_purpose::STANDARD.decode(line).unwrap();
    bytes[11] ^= 1;
    let forged = later.replace(line, &base64::engine::general_purpose::STANDARD.encode(bytes));
    std::fs::write(&cosigned, forged).unwrap();
    assert_eq!(run(&cosigned).0, 1);
}

/// A head that says by half what it holds was checked by half: nobody looked whether the end was there.
#[tokio::test]
async fn a_bundle_that_does_not_say_what_it_holds_is_refused_and_what_it_says_is_told() {
    let case = case().await;
    let path = case.bundle("span", What::Span(Position(3), Position(20)));
    let (_, found) = case.check("bundle", &path);
    assert_eq!(found["bundle"]["what"], json!({ "span": [3, 20] }));
    let ada = case.bundle("ada", What::Subject(Subject::User(case.ada)));
    let (_, found) = case.check("bundle", &ada);
    let named = json!({ "kind": 1, "identity": case.ada.0.to_string() });
    assert_eq!(found["bundle"]["what"]["subject"], named, "{found}");
    for what in [json!({ "span": [3] }), json!({ "span": [3, "20"] }), json!({}), json!(null)] {
        let told = case.changed(&path, |lines| edit(&mut lines[0], |v| v["what"] = what));
        assert!(told.contains("does not say which records"), "{told}");
    }
    // With [3] the records behind #10 could be taken out.
    let told = case.changed(&path, |lines| {
        edit(&mut lines[0], |v| v["what"] = json!({ "span": [3] }));
        let end = lines.len() - 1;
        lines.drain(12..end);
        edit(lines.last_mut().unwrap(), |v| v["records"] = json!(8));
    });
    assert!(told.contains("does not say which records"), "{told}");
    let other = "pbx.test/other";
    let told = case.changed(&path, |lines| edit(&mut lines[0], |v| v["origin"] = json!(other)));
    assert!(told.contains("another book"), "{told}");
}

/// C2SP: a log's key is of type 1, a cosigner's of type 4. One given for the other proves nothing that was asked.
#[tokio::test]
async fn keys_are_given_one_by_one_or_as_a_list_and_each_for_what_it_signs() {
    let case = case().await;
    let path = case.bundle("span", What::Span(Position(1), Position(2)));
    let path = path.to_str().unwrap();
    let (one, two) = (1, 2);
    let witness =
        |n: u8| Signer::new(&format!("witness-{n}.test"), KeyKind::Witness, &[n; 32]).unwrap();
    let his = witness(one).verifier().to_string();
    let (code, found) = case.run(&["bundle", path, "--key", &his]);
    assert!(code == 2 && found["english"].as_str().unwrap().contains("is a witness's"), "{found}");
    let (code, found) = case.run(&["bundle", path, "--key", &case.key, "--witness", &case.key]);
    assert!(code == 2 && found["english"].as_str().unwrap().contains("is a book's"), "{found}");
    let file = |name: &str, text: String| {
        let path = case.path(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let other = Signer::new("pbx.test/other", KeyKind::Log, &[8; 32]).unwrap().verifier();
    let keys = file("keys", format!("# books I audit\n\n{other}\n{}\n", case.key));
    assert_eq!(case.run(&["bundle", path, "--key", &keys]).0, 0);
    for wrong in [String::new(), format!("{}\n{his}\n", case.key), "nonsense\n".into()] {
        let wrong = file("wrong", wrong);
        assert_eq!(case.run(&["bundle", path, "--key", &wrong]).0, 2);
    }
    let note = case.notes[0].clone().cosign(&witness(one), 1).cosign(&witness(two), 2);
    let cosigned = file("cosigned", note.to_string());
    let all = |many: std::ops::RangeInclusive<u8>| {
        many.map(|n| format!("{}\n", witness(n).verifier())).collect::<String>()
    };
    for (many, code) in [(1..=2, 0), (1..=3, 1)] {
        let witnesses = file("witnesses", all(many));
        let line = ["checkpoint", &cosigned, "--key", &case.key, "--witness", &witnesses];
        assert_eq!(case.run(&line).0, code);
    }
}

#[tokio::test]
async fn proofs_hold_and_changed_ones_do_not() {
    let case = case().await;
    let folder = case.path("book");
    let reader = SegmentReader::open(&folder).unwrap();
    let mut prover = Prover::open(&reader, &folder, &mut |_| true).unwrap();
    let inclusion = prover.inclusion(Position(5), Some(&case.notes[1])).unwrap();
    let consistency = prover.consistency(&case.notes[0], &case.notes[2]).unwrap();
    let file = case.path("proof");
    for mut proof in
        [serde_json::to_value(inclusion).unwrap(), serde_json::to_value(consistency).unwrap()]
    {
        std::fs::write(&file, proof.to_string()).unwrap();
        let (code, found) = case.check("proof", &file);
        assert_eq!(code, 0, "{found}");
        let path = proof["path"].as_array_mut().unwrap();
        path.swap(0, 1);
        std::fs::write(&file, proof.to_string()).unwrap();
        assert_eq!(case.check("proof", &file).0, 1);
    }
}

/// Two stories with one key: neither signature is wrong, and only together they show it.
#[tokio::test]
async fn two_checkpoints_over_the_same_records_with_different_roots_are_found() {
    let case = case().await;
    let one = Signer::new(ORIGIN, KeyKind::Log, &[1; 32]).unwrap();
    let two = Signer::new(ORIGIN, KeyKind::Log, &[2; 32]).unwrap();
    let at = |size: u64, root: u8| Checkpoint { origin: ORIGIN.into(), size, root: [root; 32] };
    let key = one.verifier().to_string();
    let told = |notes: &[SignedNote]| {
        let path = case.path("list");
        std::fs::write(&path, notes.iter().map(ToString::to_string).collect::<String>()).unwrap();
        case.run(&["checkpoint", path.to_str().unwrap(), "--key", &key])
    };
    let sign = |size, root| SignedNote::sign(&at(size, root), &one);
    let handed = SignedNote::hand_over(&at(100, 7), &one, &two);
    assert_eq!(told(&[sign(100, 7), handed.clone(), sign(99, 8), sign(100, 7)]).0, 0);
    for notes in [
        [sign(100, 7), sign(200, 9), sign(100, 8)],
        [sign(100, 8), handed, SignedNote::sign(&at(200, 9), &two)],
    ] {
        let (code, found) = told(&notes);
        let findings = found["findings"].to_string();
        assert!(code == 1 && findings.contains("another root"), "{found}");
    }
    // A stranger's word against it is no second story.
    let stranger = Signer::new(ORIGIN, KeyKind::Log, &[9; 32]).unwrap();
    let (code, found) = told(&[sign(100, 7), SignedNote::sign(&at(100, 8), &stranger)]);
    assert!(code == 1 && !found["findings"].to_string().contains("another root"), "{found}");
}

/// Whoever took a key that was replaced may still sign with it; he does not become the book by that.
#[tokio::test]
async fn a_key_hands_over_once_and_whoever_took_it_cannot_do_so_again() {
    let case = case().await;
    let signer = |seed: u8| Signer::new(ORIGIN, KeyKind::Log, &[seed; 32]).unwrap();
    let (one, two, thief) = (signer(1), signer(2), signer(9));
    let at = |size: u64, root: u8| Checkpoint { origin: ORIGIN.into(), size, root: [root; 32] };
    let handed = SignedNote::hand_over(&at(100, 7), &one, &two);
    let key = one.verifier().to_string();
    let told = |notes: &[SignedNote]| {
        let path = case.path("list");
        std::fs::write(&path, notes.iter().map(ToString::to_string).collect::<String>()).unwrap();
        case.run(&["checkpoint", path.to_str().unwrap(), "--key", &key]).0
    };
    assert_eq!(told(&[handed.clone(), SignedNote::sign(&at(5000, 8), &two)]), 0);
    let again = SignedNote::hand_over(&at(100, 7), &one, &thief);
    let forged = SignedNote::sign(&at(5000, 9), &thief);
    assert_eq!(told(&[handed.clone(), again.clone(), forged.clone()]), 1);
    assert_eq!(told(&[again, handed, forged]), 1, "whoever hands over twice is found either way");
    let elsewhere = Checkpoint { origin: "pbx.test/other".into(), ..at(100, 7) };
    assert_eq!(told(&[SignedNote::sign(&elsewhere, &one)]), 1, "a book's key is no other book's");
}

#[tokio::test]
async fn a_bundle_without_a_checkpoint_proves_nothing() {
    let case = case().await;
    let path = case.path("empty");
    let empty = "{\"switchbook_bundle\":1,\"checkpoints\":0}\n{\"end\":true,\"records\":0}\n";
    std::fs::write(&path, empty).unwrap();
    let (code, found) = case.check("bundle", &path);
    assert!(code == 1 && found["findings"].to_string().contains("no checkpoint"), "{found}");
}

#[tokio::test]
async fn a_whole_folder_is_checked_to_the_byte_and_by_checkpoints_from_outside() {
    let case = case().await;
    let folder = case.path("book");
    let list = case.path("checkpoints");
    std::fs::write(&list, case.notes.iter().map(ToString::to_string).collect::<String>()).unwrap();
    let (name, outside) = (folder.to_str().unwrap(), list.to_str().unwrap());
    let run = || case.run(&["book", name, "--checkpoint", outside, "--key", &case.key]);
    let (code, found) = run();
    assert_eq!((code, &found["book"]["seals"]), (0, &json!(3)), "{found}");
    assert_eq!(found["checkpoints"].as_array().unwrap().len(), 3);

    let path = &segments(&folder)[0];
    let sound = std::fs::read(path).unwrap();
    let frames = frames(&sound);
    let named = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = sound.clone();
        change(&mut bytes);
        std::fs::write(path, bytes).unwrap();
        let (code, found) = run();
        assert_eq!(code, 1, "{found}");
        let first = &found["findings"][0];
        (
            first["byte"].as_u64(),
            first["record"].as_u64(),
            first["english"].as_str().unwrap().to_owned(),
        )
    };
    let (at, length) = frames[6];
    let found = named(&|bytes| bytes[at + 50] ^= 1);
    assert_eq!((found.0, found.1), (Some(at as u64), Some(7)), "{found:?}");
    let found = named(&|bytes| bytes[20] ^= 1);
    assert!(found.0 == Some(0) && found.2.contains("head"), "{found:?}");
    let found = named(&|bytes| {
        let record = bytes[at..at + length].to_vec();
        bytes.splice(frames[5].0..frames[5].0, record);
    });
    assert_eq!((found.0, found.1), (Some(frames[5].0 as u64), Some(6)), "{found:?}");
    let found = named(&|bytes| {
        bytes[at + 40 + 16] ^= 1;
        reseal(&mut bytes[at..at + length]);
    });
    assert!(found.2.contains("changed"), "{found:?}");
    // Cut short in the middle of a record, and between two: the first that is gone is named, and not where the file begins.
    let (at, length) = frames[3];
    for end in [at, at + 10, at + length - 1] {
        let found = named(&|bytes| bytes.truncate(end));
        assert_eq!((found.0, found.1), (Some(at as u64), Some(4)), "cut at {end}: {found:?}");
    }
    std::fs::write(path, &sound).unwrap();
    assert_eq!(run().0, 0);

    // Without a checkpoint from outside the key still says whose seals stand in the book.
    let (code, found) = case.run(&["book", name, "--key", &case.key]);
    assert_eq!((code, &found["signed"]), (0, &json!(case.notes[2].checkpoint().unwrap().size)));
    let other = Signer::new(ORIGIN, KeyKind::Log, &[9; 32]).unwrap().verifier().to_string();
    let (code, found) = case.run(&["book", name, "--key", &other]);
    assert!(code == 1 && found["findings"].to_string().contains("newest seal"), "{found}");
    let (code, found) = case.run(&["book", name]);
    assert_eq!((code, &found["unsigned"]), (0, &json!("no --key")), "{found}");
    let witness = Signer::new("witness.test", KeyKind::Witness, &[9; 32]).unwrap().verifier();
    let line = ["book", name, "--witness", &witness.to_string()];
    assert_eq!(case.run(&line).0, 2, "witnesses of what?");

    // A length word of zero is the end, but not with sound records behind it; the watermark need not be there for that.
    let mark = std::fs::read(folder.join("watermark")).unwrap();
    std::fs::remove_file(folder.join("watermark")).unwrap();
    let last = segments(&folder).pop().unwrap();
    let whole = std::fs::read(&last).unwrap();
    let mut zeroed = whole.clone();
    let (at, _) = folder::frames(&whole)[0];
    zeroed[at..at + 4].fill(0);
    std::fs::write(&last, zeroed).unwrap();
    let (code, found) = case.run(&["book", name]);
    assert_eq!((code, &found["findings"][0]["byte"]), (1, &json!(at)), "{found}");
    std::fs::write(&last, whole).unwrap();
    std::fs::write(folder.join("watermark"), mark).unwrap();

    // The end goes, as far back as the first checkpoint: nothing in the folder says so, the others do.
    let first = case.notes[0].checkpoint().unwrap().size;
    let number = |path: &Path| path.file_stem().unwrap().to_str().unwrap().parse::<u64>().unwrap();
    let all = segments(&folder);
    let gone: Vec<_> = all.iter().filter(|path| number(path) > first).collect();
    assert!(!gone.is_empty());
    gone.iter().for_each(|path| std::fs::remove_file(path).unwrap());
    let (code, found) = run();
    assert_eq!(code, 1);
    assert!(found["findings"].to_string().contains("was removed"), "{found}");
    std::fs::remove_file(folder.join("watermark")).unwrap();
    let (code, found) = run();
    assert!(code == 1 && found["findings"].to_string().contains("it seals"), "{found}");
    assert_eq!(
        case.run(&["book", name]).0,
        0,
        "what no checkpoint from outside covers cannot be missed"
    );
}

/// Whoever hands a folder over decides what stands in it.
#[tokio::test]
async fn a_fifo_in_the_place_of_a_part_of_the_book_holds_up_no_check() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let case = case().await;
    let folder = case.path("book");
    for name in ["watermark", "segments/00000000000000000001.seg"] {
        let (path, aside) = (folder.join(name), case.path("aside"));
        std::fs::rename(&path, &aside).unwrap();
        mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_switchbook-verify"));
        let mut checking = command.arg("book").arg(&folder).env_clear().spawn().unwrap();
        let mut ended = None;
        for _ in 0..1200 {
            ended = checking.try_wait().unwrap();
            if ended.is_some() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        if ended.is_none() {
            checking.kill().unwrap();
        }
        assert_eq!(ended.and_then(|ended| ended.code()), Some(2), "{name}");
        std::fs::rename(&aside, &path).unwrap();
    }
}
