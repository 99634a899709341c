//! `audit verify` on real folders that somebody laid hands on: each change is found, and named.
//!
//! Longer than 500 lines: every change that somebody could make to the same written folder, one test each.
#![allow(missing_docs, clippy::unwrap_used)]

mod folder;

use folder::*;
use std::path::{Path, PathBuf};
use switchbook_commands::seal::Seal;
use switchbook_core::id::SecretId;
use switchbook_core::seal::Root;
use switchbook_core::user::{Language, SecretRef};
use switchbook_journal::note::{Checkpoint, KeyKind, SignedNote, Signer, Verifier};
use switchbook_replay::verify::{Check, Finding, Index, NotVerified, Verified, verify};

const NAMES: [&str; 8] = ["ada", "bob", "cleo", "dora", "emil", "fritz", "gerd", "hanna"];

/// A book with a seal in its middle and one at its end, closed properly; the two checkpoints as they were held outside.
async fn written(folder: &Path) -> [SignedNote; 2] {
    let book = Written::open(folder).await;
    book.people(&NAMES[..5]).await;
    let first = book.seal().await;
    book.people_from(5, &NAMES[5..]).await;
    for n in 0..40 {
        book.tell(&format!(r#"{{"command":"group.retitle","group":"users","title":"{n}"}}"#)).await;
    }
    let second = book.seal().await;
    book.tell(r#"{"command":"user.dnd","user":"ada","on":true}"#).await;
    book.close().await;
    [first, second]
}

trait More {
    async fn people_from(&self, number: usize, names: &[&str]);
}

impl More for Written {
    async fn people_from(&self, number: usize, names: &[&str]) {
        for (n, name) in names.iter().enumerate() {
            let number = 100 + number + n;
            self.tell(&format!(
                r#"{{"command":"user.add","username":"{name}","display_name":"The {name}","numbers":["{number}"]}}"#
            ))
            .await;
        }
    }
}

fn check(folder: &Path, outside: &[SignedNote]) -> Verified {
    check_with(folder, outside, Vec::new())
}

fn check_with(folder: &Path, outside: &[SignedNote], keys: Vec<Verifier>) -> Verified {
    let scratch = tempfile::tempdir().unwrap();
    let check = Check {
        folder: folder.to_path_buf(),
        outside: outside.iter().map(|note| ("outside".to_owned(), note.clone())).collect(),
        keys,
        index: Index::Copied(scratch.path().join("index")),
    };
    verify(check, &mut |_| true).unwrap()
}

/// Where the first thing that was found is, and what.
fn first(found: &Verified) -> (String, Option<u64>, Option<u64>, String) {
    let first = found.findings.first().expect("nothing was found");
    let record = first.record.map(|position| position.0);
    (first.place.clone(), first.byte, record, first.what.en.clone())
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn a_book_that_nobody_touched_holds_with_everything_made_from_it() {
    let folder = tempfile::tempdir().unwrap();
    let outside = written(folder.path()).await;
    let found = check(folder.path(), &outside);
    assert_eq!(found.findings, [], "{:#?}", found.lines(Language::English));
    assert_eq!(found.unchecked, []);
    assert!(found.segments > 2, "{found:?}");
    assert_eq!((found.seals, found.checkpoints, found.snapshots), (2, 2, 3));
    assert!(found.indexed.is_some() && found.opened > 15 && found.erased == 0);
    assert!(found.lines(Language::German).last().unwrap().contains("gilt"));
    // Nothing was changed by looking: it opens, and holds again.
    Written::open(folder.path()).await.close().await;
    assert!(check(folder.path(), &outside).holds());
}

#[tokio::test]
async fn a_byte_changed_in_a_segment_is_named_with_its_record() {
    let folder = tempfile::tempdir().unwrap();
    let outside = written(folder.path()).await;
    let path = &segments(folder.path())[1];
    let record: u64 = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    let mut at = 0;
    change(path, |bytes| {
        at = frames(bytes)[2].0;
        bytes[at + 60] ^= 1;
    });
    let (place, byte, found, what) = first(&check(folder.path(), &outside));
    assert!(place.ends_with(path.file_name().unwrap().to_str().unwrap()), "{place}");
    assert_eq!((byte, found), (Some(at as u64), Some(record + 2)));
    assert!(what.contains("checksum"), "{what}");
}

#[tokio::test]
async fn a_record_rewritten_with_all_its_sums_is_found_by_the_tree() {
    let folder = tempfile::tempdir().unwrap();
    let outside = written(folder.path()).await;
    let paths = segments(folder.path());
    // "user.add" becomes another moment: the sums of the frame fit, nothing of the record is odd in itself.
    change(&paths[1], |bytes| {
        let (at, length) = *frames(bytes).last().unwrap();
        bytes[at + 40 + 16] ^= 1;
        reseal(&mut bytes[at..at + length]);
    });
    let found = check(folder.path(), &outside);
    let (place, byte, _, what) = first(&found);
    assert!(what.contains("records before it"), "{what}");
    assert!(place.ends_with(paths[2].file_name().unwrap().to_str().unwrap()), "{place}");
    assert_eq!(byte, Some(64));
}

#[tokio::test]
async fn whoever_rewrites_the_heads_too_meets_the_seal_in_the_book_and_the_checkpoint_outside() {
    let folder = tempfile::tempdir().unwrap();
    let outside = written(folder.path()).await;
    rewrite_with_heads(folder.path());
    let found = check(folder.path(), &[]);
    assert!(found.findings.iter().any(|one| one.what.en.contains("seal names another root")));
    let found = check(folder.path(), &outside);
    let of_outside = found.findings.iter().filter(|one| one.place == "outside").count();
    assert_eq!(of_outside, 2, "{:#?}", found.findings);
}

/// Changes the second record and everything in the segments that follows from it, as far as sums and trees go.
fn rewrite_with_heads(folder: &Path) {
    use switchbook_journal::merkle::Frontier;
    let mut tree = Frontier::default();
    for (n, path) in segments(folder).iter().enumerate() {
        change(path, |bytes| {
            for (peak, hash) in tree.peaks().iter().enumerate() {
                bytes[64 + 32 * peak..96 + 32 * peak].copy_from_slice(hash);
            }
            let end = 64 + 32 * tree.peaks().len();
            let sum = crc32c::crc32c(&bytes[..end]);
            bytes[end..end + 4].copy_from_slice(&sum.to_le_bytes());
            for (number, (at, length)) in frames(bytes).into_iter().enumerate() {
                if (n, number) == (0, 1) {
                    bytes[at + 40 + 16] ^= 1;
                    reseal(&mut bytes[at..at + length]);
                }
                tree.push(bytes[at + 8..at + 40].try_into().unwrap());
            }
        });
    }
}

#[tokio::test]
async fn swapped_records_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let outside = written(folder.path()).await;
    let path = &segments(folder.path())[0];
    let mut at = 0;
    change(path, |bytes| {
        let frames = frames(bytes);
        let ((a, one), (b, two)) = (frames[3], frames[4]);
        let (first, second) = (bytes[a..a + one].to_vec(), bytes[b..b + two].to_vec());
        bytes[a..a + two].copy_from_slice(&second);
        bytes[a + two..a + two + one].copy_from_slice(&first);
        at = a;
    });
    let (_, byte, record, what) = first(&check(folder.path(), &outside));
    assert_eq!((byte, record), (Some(at as u64), Some(4)));
    assert!(what.contains("says that it is record"), "{what}");
}

#[tokio::test]
async fn a_forged_checkpoint_is_told_from_a_changed_book() {
    let folder = tempfile::tempdir().unwrap();
    let [_, second] = written(folder.path()).await;
    let mallory = Signer::new(ORIGIN, KeyKind::Log, &[8; 32]).unwrap();
    let forged = SignedNote::sign(&second.checkpoint().unwrap(), &mallory);
    let (place, _, _, what) = first(&check(folder.path(), &[forged]));
    assert!(place == "outside" && what.contains("not signed with the book's key"), "{what}");
    // One that the server's own key signed over another book: the server, or who has its key, told two stories.
    let ours = Signer::new(ORIGIN, KeyKind::Log, &[7; 32]).unwrap();
    let other = Checkpoint { root: [3; 32], ..second.checkpoint().unwrap() };
    let (_, _, _, what) = first(&check(folder.path(), &[SignedNote::sign(&other, &ours)]));
    assert!(what.contains("are not those that it seals"), "{what}");
}

/// Everything behind the segment that holds a record is removed, with the watermark, the index and the snapshots: a shorter
/// book that is sound in itself. Gives the last record there is.
fn cut_end(folder: &Path, record: u64) -> u64 {
    let number = |path: &Path| path.file_stem().unwrap().to_str().unwrap().parse::<u64>().unwrap();
    let (kept, gone): (Vec<_>, Vec<_>) =
        segments(folder).into_iter().partition(|path| number(path) <= record);
    gone.iter().for_each(|path| std::fs::remove_file(path).unwrap());
    assert!(!gone.is_empty());
    std::fs::remove_file(folder.join("watermark")).unwrap();
    std::fs::remove_dir_all(folder.join("index-1")).unwrap();
    std::fs::remove_dir_all(folder.join("snapshots")).unwrap();
    let last = kept.last().unwrap();
    number(last) + frames(&std::fs::read(last).unwrap()).len() as u64 - 1
}

#[tokio::test]
async fn an_end_that_was_removed_is_found_up_to_the_last_checkpoint_held_outside() {
    let folder = tempfile::tempdir().unwrap();
    let outside = written(folder.path()).await;
    let there = cut_end(folder.path(), outside[0].checkpoint().unwrap().size);
    let sealed = outside[1].checkpoint().unwrap().size;
    assert!(there < sealed, "the second seal is in what was cut off");
    // Without a checkpoint from outside the shorter book looks like a younger one: the manual says so.
    let found = check(folder.path(), &[]);
    assert!(found.holds(), "{:#?}", found.findings);
    let found = check(folder.path(), &outside);
    let (place, _, record, what) = first(&found);
    assert_eq!((place.as_str(), record), ("outside", Some(there + 1)));
    assert!(what.contains("its end was removed"), "{what}");
    assert_eq!(found.checkpoints, 1, "the older one still holds");
}

#[tokio::test]
async fn an_end_that_was_removed_is_found_by_the_snapshots_that_were_left() {
    let folder = tempfile::tempdir().unwrap();
    let outside = written(folder.path()).await;
    let aside = tempfile::tempdir().unwrap();
    let (kept, there) = (aside.path().join("snapshots"), folder.path().join("snapshots"));
    std::fs::rename(&there, &kept).unwrap();
    std::fs::create_dir(&there).unwrap();
    cut_end(folder.path(), outside[0].checkpoint().unwrap().size);
    std::fs::rename(&kept, &there).unwrap();
    let found = check(folder.path(), &[]);
    let (place, _, _, what) = first(&found);
    assert!(place == "snapshots" && what.contains("that the book does not have"), "{what}");
    // They are all that is left to show it.
    assert!(!found.lines(Language::English).join("\n").contains("remove the folder"));
}

#[tokio::test]
async fn records_that_were_durable_are_missed_even_without_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path()).await;
    let paths = segments(folder.path());
    let last = paths.last().unwrap();
    let mut record = last.file_stem().unwrap().to_str().unwrap().parse::<u64>().unwrap();
    change(last, |bytes| {
        let frames = frames(bytes);
        let (at, _) = *frames.last().unwrap();
        record += frames.len() as u64 - 1;
        bytes.truncate(at);
    });
    let (_, _, found, what) = first(&check(folder.path(), &[]));
    assert_eq!(found, Some(record), "the watermark knows of it");
    assert!(what.contains("not there"), "{what}");
}

#[tokio::test]
async fn an_index_that_says_something_else_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let outside = written(folder.path()).await;
    // A record in the index, with sums that fit: what a reader of the server would be shown.
    edit_sled(folder.path(), b'b', |value| {
        let length = 40 + u32::from_le_bytes(value[..4].try_into().unwrap()) as usize;
        value[40 + 16] ^= 1;
        reseal(&mut value[..length]);
    });
    let (place, _, record, what) = first(&check(folder.path(), &outside));
    assert!(place.starts_with("index") && what.contains("not the book's"), "{place} {what}");
    assert_eq!(record, Some(1));
}

#[tokio::test]
async fn postings_that_hide_a_record_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let outside = written(folder.path()).await;
    edit_sled(folder.path(), b'p', |value| {
        // The last posting of the page is left out.
        value.pop();
        value.pop();
        let sum = crc32c::crc32c(&value[4..]);
        value[..4].copy_from_slice(&sum.to_le_bytes());
    });
    let found = check(folder.path(), &outside);
    let (place, _, _, what) = first(&found);
    assert!(place.starts_with("index") && what.contains("postings"), "{what}");
}

#[tokio::test]
async fn a_snapshot_that_the_records_do_not_fold_to_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let outside = written(folder.path()).await;
    let entries = std::fs::read_dir(folder.path().join("snapshots")).unwrap().flatten();
    let files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    let exchange = |path: &&PathBuf| path.to_str().unwrap().contains(".exchange.");
    let file = files.iter().find(exchange).unwrap();
    let mut bytes = std::fs::read(file).unwrap();
    bytes[40] ^= 1;
    std::fs::write(file, &bytes).unwrap();
    // As an accident leaves it, it is no snapshot at all: the server passes over it.
    let found = check(folder.path(), &outside);
    assert!(found.holds() && found.snapshots == 2, "{:#?}", found.findings);
    assert!(found.unchecked.iter().any(|what| what.en.contains("its checksum fails")));
    // As somebody makes it who knows the format, the server would believe it.
    let body = bytes.len() - 4;
    let sum = crc32c::crc32c(&bytes[..body]);
    bytes[body..].copy_from_slice(&sum.to_le_bytes());
    std::fs::write(file, &bytes).unwrap();
    let (place, _, record, what) = first(&check(folder.path(), &outside));
    assert!(place == "snapshots" && what.contains("is not what the records"), "{what}");
    assert!(record.is_some());
    // The book itself holds, and what is wrong is made anew when it is not there: so it is said, and only then.
    let told = |found: &Verified| found.lines(Language::English).join("\n");
    assert!(told(&check(folder.path(), &outside)).contains("remove the folder `snapshots`"));
    let mut more = check(folder.path(), &outside);
    let segment = Finding { place: "segments/1".into(), ..more.findings[0].clone() };
    more.findings.push(segment);
    assert!(!told(&more).contains("remove the folder"));
    std::fs::remove_dir_all(folder.path().join("snapshots")).unwrap();
    assert!(check(folder.path(), &outside).holds());
}

fn edit_sled(folder: &Path, prefix: u8, edit: impl FnOnce(&mut Vec<u8>)) {
    let db = sled::open(folder.join("index-1")).unwrap();
    let (key, value) = db.scan_prefix([prefix]).next().unwrap().unwrap();
    let mut bytes = value.to_vec();
    edit(&mut bytes);
    db.insert(key, bytes).unwrap();
    db.flush().unwrap();
}

#[tokio::test]
async fn a_vault_and_leases_with_a_changed_byte_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let book = Written::open(folder.path()).await;
    book.people(&NAMES[..2]).await;
    for n in 0..4 {
        let device = switchbook_core::id::DeviceId(uuid::Uuid::from_u128(n));
        let binding = switchbook_core::registration::BindingId(1);
        book.leases.renew(device, binding, switchbook_core::position::Moment(1), 1);
    }
    book.close().await;
    assert!(check(folder.path(), &[]).holds());
    change(&folder.path().join("leases"), |bytes| bytes[36 + 37 + 5] ^= 1);
    let (place, byte, record, _) = first(&check(folder.path(), &[]));
    assert_eq!((place.as_str(), byte, record), ("leases", Some(36 + 37), None));
    change(&folder.path().join("vault"), |bytes| bytes[8192 + 20] ^= 1);
    let (place, byte, _, _) = first(&check(folder.path(), &[]));
    assert_eq!((place.as_str(), byte), ("vault", Some(8192)));
}

#[tokio::test]
async fn a_vault_with_another_key_for_somebody_is_found() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path()).await;
    // The entry checks, the key is another one.
    change(&folder.path().join("vault"), |bytes| {
        let mut at = 8192;
        loop {
            let length = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
            if bytes[at + 8] == 1 {
                bytes[at + 8 + length - 1] ^= 1;
                let sum = crc32c::crc32c_append(
                    crc32c::crc32c(&bytes[at..at + 4]),
                    &bytes[at + 8..at + 8 + length],
                );
                bytes[at + 4..at + 8].copy_from_slice(&sum.to_le_bytes());
                return;
            }
            at += 8 + length;
        }
    });
    let (_, _, record, what) = first(&check(folder.path(), &[]));
    assert!(record.is_some() && what.contains("that key was exchanged"), "{what}");
}

#[tokio::test]
async fn who_stops_it_is_told_that_nothing_is_proved() {
    let folder = tempfile::tempdir().unwrap();
    let book = Written::open(folder.path()).await;
    let many: String = (0..4200)
        .map(|n| format!(r#"{{"command":"group.retitle","group":"users","title":"{n}"}}"#))
        .collect::<Vec<_>>()
        .join("\n");
    let commands = many.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let bulk = switchbook_commands::desk::Bulk {
        id: switchbook_core::id::CommandId(uuid::Uuid::now_v7()),
        actor: CONSOLE,
        on_behalf_of: None,
        commands,
    };
    book.desk.apply(bulk, &switchbook_commands::desk::Progress::default()).await.unwrap();
    book.close().await;
    let check = Check { folder: folder.path().to_path_buf(), ..Check::default() };
    assert!(matches!(verify(check, &mut |_| false), Err(NotVerified::Stopped)));
    let none = Check { folder: folder.path().join("none"), ..Check::default() };
    assert!(verify(none, &mut |_| true).is_err());
}

/// A book that was written anew is sealed as well, with another key.
#[tokio::test]
async fn a_key_that_was_given_from_outside_must_have_signed_the_newest_seal() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("book");
    let book = Written::open(&folder).await;
    book.people(&NAMES[..2]).await;
    book.seal().await;
    let right = book.signer.verifier();
    book.close().await;
    assert!(check_with(&folder, &[], vec![right]).holds());
    let other = Signer::new(ORIGIN, KeyKind::Log, &[9; 32]).unwrap().verifier();
    let found = check_with(&folder, &[], vec![other]);
    assert!(first(&found).3.contains("newest seal"), "{:?}", found.findings);
}

/// A second key would speak for the first, which has said nothing.
#[tokio::test]
async fn a_key_that_was_never_replaced_in_its_own_name_is_found_behind_another_one() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("book");
    let book = Written::open(&folder).await;
    book.people(&NAMES[..2]).await;
    book.seal().await;
    let mut before = [7; 32];
    for (number, seed) in [(1, [8; 32]), (2, [9; 32])] {
        let (tree, next) = (book.store.tree(), Signer::new(ORIGIN, KeyKind::Log, &seed).unwrap());
        let size = tree.leaves();
        let checkpoint = Checkpoint { origin: ORIGIN.into(), size, root: tree.root() };
        let note = match number {
            1 => SignedNote::sign(&checkpoint, &next),
            _ => {
                let before = Signer::new(ORIGIN, KeyKind::Log, &before).unwrap();
                SignedNote::hand_over(&checkpoint, &before, &next)
            }
        };
        let secret = SecretRef { id: SecretId(uuid::Uuid::from_u128(number)), version: 1 };
        book.store.vault().put_secret(secret, &seed).unwrap();
        book.order(Seal {
            size,
            root: Root(checkpoint.root),
            checkpoint: note.to_string(),
            new_key: Some((secret, next.verifier().to_string())),
            replaces: book.desk.published().exchange.seals.key.as_ref().map(|key| key.at),
        })
        .await;
        before = seed;
    }
    book.close().await;
    let found = check(&folder, &[]);
    assert!(!found.holds());
}

/// Whoever has the machine has no word of the key before: a key that takes its place without it is found.
#[tokio::test]
async fn a_key_that_takes_anothers_place_needs_its_word() {
    for forged in [false, true] {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("book");
        let book = Written::open(&folder).await;
        book.people(&NAMES[..2]).await;
        let first = book.seal().await;
        book.people_from(2, &NAMES[2..4]).await;
        let (tree, thief) = (book.store.tree(), [9; 32]);
        let checkpoint =
            Checkpoint { origin: ORIGIN.into(), size: tree.leaves(), root: tree.root() };
        let next = Signer::new(ORIGIN, KeyKind::Log, &thief).unwrap();
        let note = match forged {
            false => SignedNote::hand_over(&checkpoint, &book.signer, &next),
            true => SignedNote::sign(&checkpoint, &next),
        };
        let secret = SecretRef { id: SecretId(uuid::Uuid::from_u128(0x5ea2)), version: 1 };
        book.store.vault().put_secret(secret, &thief).unwrap();
        book.order(Seal {
            size: checkpoint.size,
            root: Root(checkpoint.root),
            checkpoint: note.to_string(),
            new_key: Some((secret, next.verifier().to_string())),
            replaces: book.desk.published().exchange.seals.key.as_ref().map(|key| key.at),
        })
        .await;
        book.close().await;
        let found = check(&folder, &[first, note]);
        assert_eq!(found.holds(), !forged, "{:?}", found.findings);
        if forged {
            let whats: Vec<_> = found.findings.iter().map(|one| one.what.en.as_str()).collect();
            assert!(whats.iter().any(|what| what.contains("it is forged")), "{whats:?}");
        } else {
            assert_eq!((found.seals, found.checkpoints), (2, 2));
        }
    }
}

/// What a running server keeps while an auditor verifies was taken for the trace of an end that had been removed.
#[tokio::test]
async fn a_snapshot_that_is_kept_meanwhile_is_no_trace_of_a_removed_end() {
    let folder = tempfile::tempdir().unwrap();
    drop(written(folder.path()).await);
    let (mut times, scratch) = (0, tempfile::tempdir().unwrap());
    let goes_on = || {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async { Written::open(folder.path()).await.close().await });
    };
    let check = Check {
        folder: folder.path().to_path_buf(),
        outside: Vec::new(),
        keys: Vec::new(),
        index: Index::Copied(scratch.path().join("index")),
    };
    let verified = verify(check, &mut |_| {
        times += 1;
        if times == 1 {
            std::thread::scope(|scope| scope.spawn(goes_on).join().unwrap());
        }
        true
    });
    let verified = verified.unwrap();
    assert!(times > 0);
    assert!(verified.findings.is_empty(), "{:?}", verified.findings);
}
