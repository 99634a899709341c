//! Backups and restores: what is restored is what was acknowledged, or it is refused in words.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use support::*;
use switchbook_core::event::Event;
use switchbook_core::personal::{KeyId, Reading};
use switchbook_core::position::{Moment, Position};
use switchbook_journal::backup::{
    BackupError, Erased, ErasureList, Manifest, check, read_erasures, restore,
};
use switchbook_journal::{Book, EventReader, OpenError, Opened, Options, SegmentReader};
use uuid::Uuid;

fn options() -> Options {
    Options { index: false, segment_bytes: 2000, ..Options::default() }
}

fn open(folder: &Path) -> Opened {
    Book::open(folder, options()).unwrap()
}

/// Where a backup can be put: a folder, and a file.
fn places(folder: &Path) -> [PathBuf; 2] {
    [folder.join("backup"), folder.join("backup.tar")]
}

#[tokio::test]
async fn a_backup_inside_the_book_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let book = folder.path().join("book");
    let opened = open(&book);
    people(&opened, 1..=2).await;
    std::os::unix::fs::symlink(&book, folder.path().join("link")).unwrap();
    for place in [
        "book/backup",
        "book/backup.tar",
        "book/a/b",
        "link/backup.tar",
        "book",
        "no/../book/backup",
    ] {
        let made = opened.store.back_up(&folder.path().join(place), Moment(5)).await;
        assert!(matches!(made, Err(BackupError::Inside(_))), "{place}: {made:?}");
        let told = opened.store.has_room_for_backup(&folder.path().join(place)).await;
        assert!(matches!(told, Err(BackupError::Inside(_))), "{place}: {told:?}");
    }
    for place in ["backup", "backup.tar", "a", "a.tar"] {
        assert!(!book.join(place).exists(), "{place}");
    }
    for place in ["book-2", "book-2.tar"] {
        let place = folder.path().join(place);
        opened.store.has_room_for_backup(&place).await.unwrap();
        opened.store.back_up(&place, Moment(5)).await.unwrap();
        let told = opened.store.has_room_for_backup(&place).await;
        assert!(matches!(told, Err(BackupError::NotEmpty(_))), "{told:?}");
    }
}

#[tokio::test]
async fn a_backup_made_while_serving_is_restored_to_the_same_book_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let opened = open(&folder.path().join("book"));
    opened.vault.put_secret(secret(1), b"a hash").unwrap();
    people(&opened, 1..=20).await;
    for (nth, place) in places(folder.path()).iter().enumerate() {
        let store = Arc::clone(&opened.store);
        // It is written on all the while.
        let stop = Arc::new(AtomicBool::new(false));
        let writing = tokio::spawn({
            let stop = Arc::clone(&stop);
            async move {
                let mut n = u128::from(store.tail().0);
                while !stop.load(Ordering::Relaxed) {
                    n += 1;
                    append(&*store, 1000 + n, vec![user_added(1000 + n, "bob")]).await;
                }
            }
        });
        let before = opened.store.tail();
        let manifest = opened.store.back_up(place, Moment(5)).await.unwrap();
        stop.store(true, Ordering::Relaxed);
        writing.await.unwrap();
        assert!(manifest.position >= before && manifest.position <= opened.store.tail());
        assert_eq!(check(place).unwrap(), manifest);

        let target = folder.path().join(format!("restored-{nth}"));
        let restored = restore(place, &target, &Erased::Nothing).unwrap();
        assert_eq!((restored.manifest, restored.erased_again), (manifest.clone(), 0));
        let again = open(&target);
        assert!(again.report.clean && !again.report.watermark_lost);
        assert_eq!((again.report.tail, again.report.restore_point), (manifest.position, None));
        let until = manifest.position.0 as usize;
        let was = opened.store.read(Position(1), until).await.unwrap();
        assert_eq!(again.store.read(Position(1), usize::MAX).await.unwrap(), was);
        assert_eq!(again.vault.secret(secret(1)).unwrap().as_slice(), b"a hash");
        assert_eq!(again.leases.all().len(), 3);
        append(&*again.store, 7777, vec![slot_added(9, 9)]).await;
    }
}

#[tokio::test]
async fn a_backup_in_a_folder_is_read_where_it_lies() {
    let folder = tempfile::tempdir().unwrap();
    let opened = open(&folder.path().join("book"));
    people(&opened, 1..=10).await;
    let [place, _] = places(folder.path());
    opened.store.back_up(&place, Moment(5)).await.unwrap();
    let reader = SegmentReader::open(&place).unwrap();
    assert_eq!(reader.tail(), Position(20));
    assert_eq!(reader.scrub().unwrap().root(), opened.store.tree().root());
}

#[tokio::test]
async fn any_byte_that_is_not_as_it_was_is_found_before_anything_is_restored() {
    let folder = tempfile::tempdir().unwrap();
    let opened = open(&folder.path().join("book"));
    people(&opened, 1..=2).await;
    let [place, tar] = places(folder.path());
    let manifest = opened.store.back_up(&place, Moment(5)).await.unwrap();
    opened.store.back_up(&tar, Moment(5)).await.unwrap();
    let target = folder.path().join("restored");
    let refused = |from: &Path| {
        let error = restore(from, &target, &Erased::Nothing).unwrap_err();
        assert!(!target.exists(), "{error}");
        error.to_string()
    };
    let names = manifest.files.iter().map(|file| file.name.as_str()).chain(["manifest"]);
    for name in names {
        let path = place.join(name);
        let good = std::fs::read(&path).unwrap();
        for at in [0, good.len() / 2, good.len() - 2] {
            let mut bad = good.clone();
            bad[at] ^= 4;
            std::fs::write(&path, &bad).unwrap();
            assert!(refused(&place).contains(name));
        }
        std::fs::write(&path, &good[..good.len() - 1]).unwrap();
        // The last byte of the manifest is the end of its line.
        assert!(name == "manifest" || refused(&place).contains(name));
        std::fs::remove_file(&path).unwrap();
        assert!(refused(&place).contains(name));
        std::fs::write(&path, &good).unwrap();
    }
    let good = std::fs::read(&tar).unwrap();
    for at in (0..good.len()).step_by(97) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        std::fs::write(&tar, &bad).unwrap();
        // What fills a file up to a block of 512 bytes holds nothing.
        if let Err(error) = check(&tar) {
            assert!(!error.to_string().is_empty());
        } else {
            assert_eq!(check(&tar).unwrap().files, manifest_of(&good, folder.path()).files);
        }
    }
    std::fs::write(&tar, &good[..good.len() / 2]).unwrap();
    refused(&tar);
}

fn manifest_of(tar: &[u8], folder: &Path) -> switchbook_journal::backup::Manifest {
    let path = folder.join("good.tar");
    std::fs::write(&path, tar).unwrap();
    check(&path).unwrap()
}

#[tokio::test]
async fn a_backup_that_names_other_places_writes_nothing_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("evil.tar");
    let mut tar = tar::Builder::new(std::fs::File::create(&path).unwrap());
    let line = r#"{"format":1,"book":"00000000-0000-0000-0000-000000000001","position":0,"root":null,"made_at":null,
        "version":"0.1.0","erased_keys":0,"files":[{"name":"../evil","bytes":1,"sha256":"00"}]}"#
        .replace('\n', "");
    use sha2::{Digest, Sha256};
    let sum: String = Sha256::digest(line.as_bytes()).iter().map(|b| format!("{b:02x}")).collect();
    let manifest = format!("{line}\n{sum}\n");
    let mut header = tar::Header::new_ustar();
    header.set_size(manifest.len() as u64);
    tar.append_data(&mut header, "manifest", manifest.as_bytes()).unwrap();
    tar.into_inner().unwrap();
    let error = restore(&path, &folder.path().join("to"), &Erased::Nothing).unwrap_err();
    assert!(matches!(&error, BackupError::Damaged { file, .. } if file == "../evil"), "{error}");
    assert!(!folder.path().join("evil").exists() && !folder.path().join("to").exists());
}

#[tokio::test]
async fn nothing_is_ever_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let book = folder.path().join("book");
    let opened = open(&book);
    people(&opened, 1..=2).await;
    for place in places(folder.path()) {
        opened.store.back_up(&place, Moment(5)).await.unwrap();
        let again = opened.store.back_up(&place, Moment(6)).await.unwrap_err();
        assert!(matches!(again, BackupError::NotEmpty(_)), "{again}");
        let over = restore(&place, &book, &Erased::Nothing).unwrap_err();
        assert!(matches!(over, BackupError::NotEmpty(_)), "{over}");
    }
    let unfinished = folder.path().join("unfinished");
    std::fs::create_dir(&unfinished).unwrap();
    assert!(matches!(check(&unfinished), Err(BackupError::NoManifest(_))));
}

/// A backup still has the keys of whoever was erased after it was made: the list says which are to go, and they go
/// before there is a book to read them with.
#[tokio::test]
async fn a_restore_destroys_again_what_was_erased_since() {
    let folder = tempfile::tempdir().unwrap();
    let opened = open(&folder.path().join("book"));
    people(&opened, 1..=3).await;
    let [place, _] = places(folder.path());
    opened.store.back_up(&place, Moment(5)).await.unwrap();
    opened.vault.destroy(KeyId::Person(user(2))).unwrap();
    let book = opened.report.book;
    let head = format!("# switchbook erasures 1 {book}");
    let person = format!("person {} #17 2026-11-24", user(2).0);
    let list = [head.as_str(), &person, "month 2026-10 #18"].map(summed).concat();
    // This one is of an older Switchbook; the next ones' sums go over all lines.
    let keys = read_erasures(&list, book).unwrap();
    assert_eq!(keys, [KeyId::Person(user(2)), KeyId::Period(202_610)]);
    let target = folder.path().join("restored");
    let restored = restore(&place, &target, &Erased::Keys(keys)).unwrap();
    assert_eq!(restored.erased_again, 1);
    let again = open(&target);
    assert!(again.vault.is_destroyed(KeyId::Person(user(2))));
    let all = again.store.read(Position(1), 99).await.unwrap();
    let names: Vec<_> = all
        .iter()
        .filter_map(|record| match &record.event {
            Event::UserAdded(event) => Some(event.username.read()),
            _ => None,
        })
        .collect();
    assert_eq!(names, [Reading::Known("ada"), Reading::Erased, Reading::Known("ada")]);
    let wrong = |text: &str, at: usize| {
        let error = read_erasures(text, book).unwrap_err();
        assert!(
            matches!(error, BackupError::Erasures { line, .. } if line == at),
            "{text}: {error}"
        );
    };
    for what in ["person somebody", "month 2026-13", "user 1", "month 2026"] {
        wrong(&[&head, "month 2026-01 #3", what].map(summed).concat(), 3);
    }
    // A line that was changed, one that was cut off, one that somebody wrote, a list that is none.
    wrong(&list.replace("#17", "#18"), 2);
    for cut in 1..summed("month 2026-10 #18").len() {
        wrong(&list[..list.len() - cut], 3);
    }
    wrong(&format!("{}month 2026-01\n", summed(&head)), 2);
    wrong("", 1);
    wrong(&summed(&person), 1);
    let other = read_erasures(&list, switchbook_core::id::BookId(Uuid::from_u128(9))).unwrap_err();
    assert!(other.to_string().contains(&book.to_string()), "{other}");
    // A line that begins otherwise is none, and would hide whom it names.
    wrong(&format!("{list}# looked at by the data protection officer\n"), 4);
    wrong(&list.replace("person", "#person"), 2);
    wrong(&list.replace("month", "\nmonth"), 3);
    let newer = summed(&format!("# switchbook erasures 3 {book}"));
    let newer = read_erasures(&newer, book).unwrap_err();
    assert!(matches!(newer, BackupError::NewerErasures { found: 3, known: 2 }), "{newer}");
}

/// The list is kept for as long as the book is: these bytes are read for ever.
#[test]
fn the_list_of_erasures_is_written_as_it_always_was() {
    let book = switchbook_core::id::BookId(Uuid::from_u128(5));
    let (mut list, mut text) = ErasureList::begin(book);
    for (key, at) in [(KeyId::Person(user(1)), 3), (KeyId::Period(202_605), 4)] {
        let line = list.line(key, Position(at), Moment(1_800_000_000_000));
        list.take(key, &line);
        text += &line;
    }
    assert_eq!(text, GOLDEN);
    assert_eq!(ErasureList::read(GOLDEN, book).unwrap().unwrap(), list);
}

const GOLDEN: &str = "\
# switchbook erasures 2 00000000-0000-0000-0000-000000000005 84de88e7
person 00000000-0000-0000-0000-000000000001 #3 1970-01-21T20:00:00.000000Z e6fae6c7
month 2026-05 #4 1970-01-21T20:00:00.000000Z 3e55a48b
";

/// A line of an older list of erasures.
fn summed(text: &str) -> String {
    format!("{text} {:08x}\n", crc32c::crc32c(text.as_bytes()))
}

/// A manifest is not signed, and whoever writes one may leave something out: without its vault or watermark a folder would
/// be opened all the same, and what it lacks would never be missed.
#[tokio::test]
async fn a_backup_that_does_not_name_all_of_a_book_is_not_restored() {
    let folder = tempfile::tempdir().unwrap();
    let opened = open(&folder.path().join("book"));
    people(&opened, 1..=12).await;
    let [place, _] = places(folder.path());
    let manifest = opened.store.back_up(&place, Moment(5)).await.unwrap();
    let mut nth = 0;
    let mut refused = |manifest: &Manifest| {
        nth += 1;
        std::fs::write(place.join("manifest"), encoded(manifest)).unwrap();
        let target = folder.path().join(format!("target-{nth}"));
        let error = restore(&place, &target, &Erased::Nothing).unwrap_err().to_string();
        if target.exists() {
            Book::open(&target, options()).unwrap_err();
        }
        (error, target.exists())
    };
    for left_out in 0..manifest.files.len() {
        let mut less = manifest.clone();
        let file = less.files.remove(left_out);
        let (error, begun) = refused(&less);
        let at_once = !file.name.starts_with("segments/") || file.name.ends_with("01.seg");
        assert_eq!(begun, !at_once, "{}: {error}", file.name);
        assert!(!at_once || error.contains(&file.name), "{}: {error}", file.name);
        // As a restore point, which has no root, and was perhaps made of a folder without these.
        less.root = None;
        if !["leases", "written-by", "watermark"].contains(&file.name.as_str()) {
            refused(&less);
        }
    }
    let mut twice = manifest.clone();
    twice.files.push(twice.files[0].clone());
    assert!(refused(&twice).0.contains("vault"));
    let mut nothing = manifest.clone();
    (nothing.files, nothing.root, nothing.position) = (Vec::new(), None, Position::START);
    assert!(!refused(&nothing).1);
    // What it is too short for: the watermark, or the position.
    let mut short = manifest.clone();
    short.root = None;
    short.files.retain(|file| file.name != "watermark");
    let last = short.files.iter().position(|file| file.name.starts_with("segments/")).unwrap();
    short.files.remove(last);
    refused(&short);
}

fn encoded(manifest: &Manifest) -> String {
    use sha2::{Digest, Sha256};
    let line = serde_json::to_string(manifest).unwrap();
    let sum: String = Sha256::digest(line.as_bytes()).iter().map(|b| format!("{b:02x}")).collect();
    format!("{line}\n{sum}\n")
}

/// The last segment of a folder in which a restore broke off is there first, the first one last: no part of it passes
/// for a book.
#[tokio::test]
async fn a_restore_that_broke_off_is_no_book() {
    let folder = tempfile::tempdir().unwrap();
    let opened = open(&folder.path().join("book"));
    people(&opened, 1..=12).await;
    let [place, _] = places(folder.path());
    let manifest = opened.store.back_up(&place, Moment(5)).await.unwrap();
    assert!(manifest.files.len() > 6);
    for done in 1..manifest.files.len() {
        let target = folder.path().join(format!("half-{done}"));
        std::fs::create_dir_all(target.join("segments")).unwrap();
        for file in &manifest.files[..done] {
            std::fs::copy(place.join(&file.name), target.join(&file.name)).unwrap();
        }
        let error = Book::open(&target, options()).unwrap_err();
        let named = matches!(error, OpenError::SegmentsMissing { .. } | OpenError::Gap { .. });
        assert!(named, "{done}: {error}");
    }
}

/// A secret that is superseded while the backup is made is in it when the book up to there names it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_book_names_is_in_the_vault_of_the_same_backup() {
    use switchbook_core::user::PasswordSet;
    let folder = tempfile::tempdir().unwrap();
    let opened = open(&folder.path().join("book"));
    people(&opened, 1..=1).await;
    let (store, vault) = (Arc::clone(&opened.store), Arc::clone(&opened.vault));
    let stop = Arc::new(AtomicBool::new(false));
    let changing = tokio::spawn({
        let stop = Arc::clone(&stop);
        async move {
            let mut n = 100;
            while !stop.load(Ordering::Relaxed) {
                n += 1;
                vault.put_secret(secret(n), b"a hash").unwrap();
                let set = PasswordSet { user: user(1), secret: secret(n) };
                append(&*store, n, vec![set.into()]).await;
                vault.forget_secrets(&[secret(n - 1)]).unwrap();
            }
        }
    });
    for round in 0..20 {
        let place = folder.path().join(format!("backup-{round}"));
        opened.store.back_up(&place, Moment(5)).await.unwrap();
        let vault = switchbook_journal::Vault::read_only(&place).unwrap();
        let reader = SegmentReader::open(&place).unwrap();
        let last =
            reader.records(Position(1), None).filter_map(|record| match record.unwrap().event {
                Event::PasswordSet(set) => Some(set.secret),
                _ => None,
            });
        if let Some(named) = last.last() {
            assert!(vault.secret(named).is_some(), "round {round}");
        }
    }
    stop.store(true, Ordering::Relaxed);
    changing.await.unwrap();
}
