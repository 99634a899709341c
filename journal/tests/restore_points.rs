//! Restore points: the way back from an upgrade, and no way back to whoever was erased.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::path::Path;
use std::sync::Arc;
use support::*;
use switchbook_core::personal::KeyId;
use switchbook_core::position::Position;
use switchbook_journal::backup::{Erased, check, restore};
use switchbook_journal::{Book, EventReader, OpenError, Opened, Options, Version};

fn options() -> Options {
    Options { index: false, segment_bytes: 2000, ..Options::default() }
}

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

fn open_as(folder: &Path, by: &str) -> Result<Opened, OpenError> {
    Book::open(folder, Options { version: version(by), ..options() })
}

#[tokio::test]
async fn an_upgrade_makes_a_restore_point_first_and_an_older_switchbook_refuses_the_book() {
    let folder = tempfile::tempdir().unwrap();
    let book = folder.path().join("book");
    {
        let opened = open_as(&book, "1.2.0").unwrap();
        assert_eq!(opened.report.restore_point, None);
        people(&opened, 1..=12).await;
    }
    // The same again, and one that differs in the last number only, which reads and writes the same.
    assert_eq!(open_as(&book, "1.2.0").unwrap().report.restore_point, None);
    let point = {
        let opened = open_as(&book, "1.3.0").unwrap();
        people(&opened, 13..=14).await;
        opened.report.restore_point.clone().unwrap()
    };
    assert!(point.ends_with("restore-points/1.2.0-24"), "{point:?}");
    let refused = open_as(&book, "1.2.9").unwrap_err();
    assert!(matches!(refused, OpenError::WrittenByNewer { .. }), "{refused}");
    assert!(refused.to_string().contains("1.3.0"), "{refused}");
    assert_eq!(open_as(&book, "1.3.0").unwrap().store.tail(), Position(28));
    // The way back.
    let back = folder.path().join("back");
    restore(&point, &back, &Erased::Nothing).unwrap();
    let opened = open_as(&back, "1.2.0").unwrap();
    assert_eq!((opened.store.tail(), opened.report.clean), (Position(24), true));
    assert_eq!(opened.store.read(Position(1), 99).await.unwrap().len(), 24);
}

/// As a folder lies after a kill: whole records behind the watermark, and room behind them.
#[tokio::test]
async fn the_restore_point_of_a_folder_that_was_never_closed_is_the_way_back_too() {
    let folder = tempfile::tempdir().unwrap();
    let book = folder.path().join("book");
    let opened = open_as(&book, "1.2.0").unwrap();
    for n in 1..=12 {
        people(&opened, n..=n).await;
        let killed = folder.path().join(format!("killed-{n}"));
        std::fs::create_dir_all(killed.join("segments")).unwrap();
        for inside in ["", "segments"] {
            for entry in std::fs::read_dir(book.join(inside)).unwrap() {
                let path = entry.unwrap().path();
                if path.is_file() {
                    let to = killed.join(inside).join(path.file_name().unwrap());
                    std::fs::copy(&path, to).unwrap();
                }
            }
        }
        let tail = Position(2 * u64::try_from(n).unwrap());
        for lost in [false, true] {
            if lost {
                std::fs::remove_file(killed.join("watermark")).unwrap();
                std::fs::write(killed.join("written-by"), "switchbook 1.1.0\n").unwrap();
            }
            let newer = open_as(&killed, "1.3.0").unwrap();
            let point = newer.report.restore_point.clone().unwrap();
            let back = folder.path().join(format!("back-{n}-{lost}"));
            restore(&point, &back, &Erased::Nothing).unwrap();
            let opened = open_as(&back, "1.2.0").unwrap();
            assert_eq!((newer.report.tail, opened.store.tail()), (tail, tail));
        }
    }
}

#[tokio::test]
async fn an_upgrade_after_a_crash_has_its_restore_point_too_and_one_that_broke_off_makes_it_again()
{
    use switchbook_journal::faults::{Fault, SimDisk};
    let on = |disk: &SimDisk, by: &str| {
        let files = Arc::new(disk.clone());
        Book::open(Path::new("/book"), Options { files, version: version(by), ..options() })
    };
    for after in 0..40 {
        let disk = SimDisk::new(after);
        let opened = on(&disk, "1.2.0").unwrap();
        people(&opened, 1..=12).await;
        let disk = disk.process_death();
        drop(opened);
        disk.fail_after(after, Fault::NoSpace);
        let opened = match on(&disk, "1.3.0") {
            Ok(opened) => opened,
            Err(error) => {
                let told = matches!(
                    error,
                    OpenError::RestorePoint(_) | OpenError::Io { .. } | OpenError::Vault(_)
                );
                assert!(told, "{after}: {error}");
                on(&disk, "1.3.0").unwrap()
            }
        };
        assert!(opened.report.restore_point.is_some(), "{after}");
        assert_eq!(opened.store.tail(), Position(24));
    }
}

/// The operator erased somebody, and the restore point of the last upgrade could still read him.
#[tokio::test]
async fn an_erasure_reaches_every_restore_point_and_each_stays_whole() {
    let folder = tempfile::tempdir().unwrap();
    let book = folder.path().join("book");
    let key = KeyId::Person(user(2));
    let mut points = Vec::new();
    for by in ["1.2.0", "1.3.0", "1.4.0"] {
        let opened = open_as(&book, by).unwrap();
        if points.is_empty() {
            people(&opened, 1..=12).await;
            opened.vault.put_secret(secret(900), b"hash of two").unwrap();
            opened.vault.put_secret(secret(901), b"hash of one").unwrap();
        }
        points.extend(opened.report.restore_point.clone());
    }
    assert_eq!(points.len(), 2);
    let opened = open_as(&book, "1.4.0").unwrap();
    let beside = opened.store.restore_points();
    assert!(beside.keys().unwrap().0.contains(&key));
    for _ in 0..2 {
        beside.erase(key, &[secret(900)]).unwrap();
        assert!(!beside.keys().unwrap().0.contains(&key));
    }
    for (number, point) in points.iter().enumerate() {
        let manifest = check(point).unwrap();
        assert_eq!(manifest.erased_keys, 1);
        let back = folder.path().join(format!("back-{number}"));
        restore(point, &back, &Erased::Nothing).unwrap();
        let vault = switchbook_journal::Vault::read_only(&back).unwrap();
        assert!(vault.is_destroyed(key) && vault.has_key(KeyId::Person(user(1))));
        assert!(vault.secret(secret(900)).is_none() && vault.secret(secret(901)).is_some());
    }
    // One that cannot be read is named, and keeps no other from it.
    std::fs::write(points[0].join("vault"), b"torn").unwrap();
    let other = KeyId::Person(user(3));
    let (there, unreadable) = beside.keys().unwrap();
    assert!(there.contains(&other) && unreadable.is_some());
    let error = beside.erase(other, &[]).unwrap_err().to_string();
    assert!(error.contains(points[0].to_str().unwrap()), "{error}");
    let vault = switchbook_journal::Vault::read_only(&points[1]).unwrap();
    assert!(vault.is_destroyed(other));
    std::fs::remove_dir_all(&points[0]).unwrap();
    beside.erase(other, &[]).unwrap();
}

/// Between the manifest and the vault's place in it: the manifest names the new vault, which is there under another name.
#[tokio::test]
async fn a_restore_point_in_which_an_erasure_was_cut_short_is_whole_as_it_lies() {
    let folder = tempfile::tempdir().unwrap();
    let book = folder.path().join("book");
    people(&open_as(&book, "1.2.0").unwrap(), 1..=3).await;
    let opened = open_as(&book, "1.3.0").unwrap();
    let point = opened.report.restore_point.clone().unwrap();
    let key = KeyId::Person(user(2));
    let before = std::fs::read(point.join("vault")).unwrap();
    opened.store.restore_points().erase(key, &[]).unwrap();
    let after = std::fs::read(point.join("vault")).unwrap();
    std::fs::write(point.join("vault.new"), &after).unwrap();
    for vault in [Some(&before), None] {
        match vault {
            Some(vault) => std::fs::write(point.join("vault"), vault).unwrap(),
            None => std::fs::remove_file(point.join("vault")).unwrap(),
        }
        assert_eq!(check(&point).unwrap().erased_keys, 1);
        let back = folder.path().join(format!("back-{}", vault.is_some()));
        restore(&point, &back, &Erased::Nothing).unwrap();
        assert!(switchbook_journal::Vault::read_only(&back).unwrap().is_destroyed(key));
        assert_eq!(open_as(&back, "1.2.0").unwrap().store.tail(), Position(6));
    }
    // Neither is the one that the manifest names.
    std::fs::write(point.join("vault"), &before).unwrap();
    std::fs::write(point.join("vault.new"), &before).unwrap();
    assert!(check(&point).unwrap_err().to_string().contains("vault"));
}

/// What cannot be looked at just now is not gone: a sound restore point lost its vault, or was removed as an unfinished one.
#[tokio::test]
async fn a_restore_point_whose_manifest_cannot_be_looked_at_is_left_as_it_is_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let book = folder.path().join("book");
    people(&open_as(&book, "1.2.0").unwrap(), 1..=3).await;
    let opened = open_as(&book, "1.3.0").unwrap();
    let point = opened.report.restore_point.clone().unwrap();
    let whole = std::fs::read(point.join("manifest")).unwrap();
    // It leads to itself: neither is it there, nor is it not.
    let unreadable = |name: &str| {
        std::fs::remove_file(point.join(name)).unwrap();
        std::os::unix::fs::symlink(name, point.join(name)).unwrap();
    };
    unreadable("manifest");
    let points = opened.store.restore_points();
    let error = points.erase(KeyId::Person(user(2)), &[]).unwrap_err().to_string();
    assert!(error.contains(point.to_str().unwrap()), "{error}");
    assert!(point.join("vault").exists(), "the vault of a sound restore point is gone");
    let older = point.with_file_name("1.1.0-2");
    std::fs::create_dir(&older).unwrap();
    std::fs::write(older.join("manifest"), &whole).unwrap();
    let gone = switchbook_journal::backup::prune_restore_points(&book, 1).unwrap();
    assert_eq!(gone, [older]);
    drop((points, opened));
    std::fs::write(book.join("written-by"), "switchbook 1.2.0\n").unwrap();
    assert!(matches!(open_as(&book, "1.3.0").unwrap_err(), OpenError::RestorePoint(_)));
    assert!(point.join("vault").exists());
    std::fs::remove_file(point.join("manifest")).unwrap();
    std::fs::write(point.join("manifest"), &whole).unwrap();
    check(&point).unwrap();
    // A vault that cannot be looked at has perhaps every key.
    let opened = open_as(&book, "1.3.0").unwrap();
    unreadable("vault");
    let (_, unreadable) = opened.store.restore_points().keys().unwrap();
    assert!(unreadable.is_some());
}

/// Wherever the power goes, the restore point is whole and the erasure can be carried out again.
#[tokio::test]
async fn an_erasure_in_a_restore_point_that_was_cut_short_is_carried_out_again() {
    use switchbook_journal::faults::SimDisk;
    let key = KeyId::Person(user(2));
    let mut cut_short = 0;
    for after in 0..16 {
        let disk = SimDisk::new(after);
        let on = |disk: &SimDisk, by: &str| {
            let files = Arc::new(disk.clone());
            let options = Options { files, version: version(by), ..options() };
            Book::open(Path::new("/book"), options).unwrap()
        };
        people(&on(&disk, "1.2.0"), 1..=3).await;
        let opened = on(&disk, "1.3.0");
        assert!(opened.report.restore_point.is_some());
        disk.die_after(after);
        cut_short += u32::from(opened.store.restore_points().erase(key, &[]).is_err());
        let disk = disk.power_cut();
        drop(opened);
        let opened = on(&disk, "1.3.0");
        let points = opened.store.restore_points();
        points.erase(key, &[]).unwrap();
        let (left, unreadable) = points.keys().unwrap();
        assert!(unreadable.is_none());
        assert!(!left.contains(&key) && left.contains(&KeyId::Person(user(1))), "{after}");
    }
    assert!(cut_short >= 4, "{cut_short}");
}
