//! The real store on a disk that fails: power cuts at every moment, full disks, failing syncs, flipped bits.
//!
//! Longer than 500 lines: every fault is told on the same book, filled by the same hand.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use support::*;
use switchbook_core::envelope::Actor;
use switchbook_core::event::Event;
use switchbook_core::personal::Reading;
use switchbook_core::position::{Moment, Position};
use switchbook_core::registration::BindingId;
use switchbook_journal::faults::{Mutant, SimDisk};
use switchbook_journal::{
    AppendError, Book, EventReader, EventStore, Health, OpenError, Opened, Options, ReadError,
    VaultError,
};

fn folder() -> PathBuf {
    PathBuf::from("/book")
}

fn segment(first: u64) -> PathBuf {
    folder().join(format!("segments/{first:020}.seg"))
}

fn options(disk: &SimDisk) -> Options {
    let files = Arc::new(disk.clone());
    Options { files, index: false, segment_bytes: 4096, ..Options::default() }
}

fn open(disk: &SimDisk) -> Result<Opened, OpenError> {
    Book::open(&folder(), options(disk))
}

/// What the world was told: the last acknowledged position, and how many commands were acknowledged.
struct Acknowledged {
    position: Position,
    lease: Option<Moment>,
}

/// Appends until the machine dies or `rounds` are over.
async fn live(opened: &Opened, rounds: u64, seed: u64) -> Acknowledged {
    let (store, leases) = (&opened.store, &opened.leases);
    let mut told = Acknowledged { position: store.tail(), lease: None };
    for round in 0..rounds {
        let number = u128::from(store.tail().0) + 1;
        let mut events = vec![user_added(number, &format!("user {number}"))];
        for extra in 0..(seed + round) % 4 {
            events.push(slot_added(number * 10 + u128::from(extra), number));
        }
        for event in &mut events {
            if store.seal(event).is_err() {
                return told;
            }
        }
        let commit = commit(store.tail().next(), Actor::Admin(user(1)), command(number), events);
        match store.append(vec![commit]).await {
            Ok(position) => told.position = position,
            Err(_) => return told,
        }
        let end = Moment(number as i64 * 1_000_000);
        leases.renew(device(1), BindingId(1), end, 1);
        if leases.flush().is_ok() {
            told.lease = Some(end);
        }
    }
    told
}

/// Everything acknowledged is there, commits are whole, and every sealed field opens.
async fn check(opened: &Opened, told: &Acknowledged) -> Result<(), String> {
    let store = &opened.store;
    if store.tail() < told.position {
        return Err(format!("told {}, and there is {}", told.position, store.tail()));
    }
    let all = store.read(Position(1), usize::MAX).await.map_err(|error| error.to_string())?;
    if all.len() as u64 != store.tail().0 {
        return Err(format!("{} of {} records", all.len(), store.tail()));
    }
    let mut command = None;
    for record in &all {
        let first = command != Some(record.envelope.command);
        command = Some(record.envelope.command);
        // Each command begins with a user; a half commit before it would show as a missing beginning.
        let Event::UserAdded(event) = &record.event else {
            if first {
                return Err(format!("{} begins in the middle", record.envelope.position));
            }
            continue;
        };
        if event.username.read() == Reading::Erased {
            return Err(format!("the key for {} is gone", record.envelope.position));
        }
    }
    if let Some(end) = told.lease {
        let there = opened.leases.get(device(1), BindingId(1)).map(|lease| lease.expires_at);
        if there.is_none_or(|there| there < end) {
            return Err(format!("the lease until {end} is {there:?}"));
        }
    }
    Ok(())
}

/// Several lives on one disk, each ended by a power cut after a random number of operations.
async fn lives(seed: u64, mutant: Option<Mutant>) -> Result<(), String> {
    let mut disk = SimDisk::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut told = Acknowledged { position: Position::START, lease: None };
    for life in 0..5 {
        if let Some(mutant) = mutant {
            disk.mutate(mutant);
        }
        // Some lives die while opening.
        disk.die_after(3 + (seed * 7 + life * 13) % 90);
        if let Ok(opened) = open(&disk) {
            let now = live(&opened, 40, seed).await;
            told.position = told.position.max(now.position);
            told.lease = now.lease.or(told.lease);
            disk = disk.power_cut();
            drop(opened);
        } else {
            disk = disk.power_cut();
        }
        let opened = open(&disk).map_err(|error| format!("life {life}: {error}"))?;
        check(&opened, &told).await.map_err(|what| format!("life {life}: {what}"))?;
        told.position = opened.store.tail();
        disk = disk.power_cut();
    }
    Ok(())
}

#[tokio::test]
async fn no_power_cut_at_any_moment_loses_what_was_acknowledged() {
    for seed in 0..200 {
        if let Err(what) = lives(seed, None).await {
            panic!("seed {seed}: {what}");
        }
    }
}

#[tokio::test]
async fn a_build_without_fdatasync_is_seen_to_lose_what_was_acknowledged() {
    let mut lost = 0;
    for seed in 0..20 {
        lost += u32::from(lives(seed, Some(Mutant::NoSync)).await.is_err());
    }
    assert!(lost > 10, "only {lost} of 20 seeds saw that nothing is synced");
}

#[tokio::test]
async fn a_build_without_the_folder_sync_is_seen_to_lose_segments() {
    let mut lost = 0;
    for seed in 0..60 {
        lost += u32::from(lives(seed, Some(Mutant::NoFolderSync)).await.is_err());
    }
    assert!(lost > 10, "only {lost} of 60 seeds saw that no folder is synced");
}

#[tokio::test]
async fn a_failed_sync_stops_writes_is_never_tried_again_and_can_be_resumed_from() {
    let disk = SimDisk::new(1);
    let opened = open(&disk).unwrap();
    let store = &opened.store;
    append(&**store, 1, vec![user_added(1, "ada")]).await;
    disk.fail_sync(Some(".seg"));
    let two = commit(Position(2), Actor::Admin(user(1)), command(2), vec![slot_added(2, 1)]);
    let unknown = store.append(vec![two.clone()]).await.unwrap_err();
    assert!(matches!(unknown, AppendError::OutcomeUnknown { .. }), "{unknown}");
    assert!(matches!(store.health(), Health::ReadOnly { .. }));
    let syncs = disk.syncs(&segment(1));
    let stopped = store.append(vec![two.clone()]).await.unwrap_err();
    assert!(matches!(stopped, AppendError::Stopped { .. }), "{stopped}");
    assert_eq!(store.read(Position(1), 9).await.unwrap().len(), 1);
    // While the disk is ill, resuming says so and changes nothing.
    assert!(store.resume().await.is_err());
    assert_eq!(disk.syncs(&segment(1)), syncs);
    disk.fail_sync(None);
    assert_eq!(store.resume().await.unwrap(), Position(1));
    assert_eq!(store.health(), Health::Writable);
    assert_eq!(store.append(vec![two]).await.unwrap(), Position(2));
    assert_eq!(disk.syncs(&segment(1)), syncs, "the file whose sync failed is left alone");
    let disk = disk.power_cut();
    let opened = open(&disk).unwrap();
    assert_eq!(opened.store.tail(), Position(2));
    assert_eq!(opened.store.outcome(command(2)).await.unwrap(), Some((Position(2), Position(2))));
}

#[tokio::test]
async fn a_failed_write_in_the_first_group_of_a_segment_leaves_a_book_that_goes_on() {
    let disk = SimDisk::new(2);
    let opened = open(&disk).unwrap();
    disk.fail_write(Some(".seg"));
    let one = commit(Position(1), Actor::System, command(1), vec![slot_added(1, 1)]);
    let unknown = opened.store.append(vec![one.clone()]).await.unwrap_err();
    assert!(matches!(unknown, AppendError::OutcomeUnknown { .. }), "{unknown}");
    disk.fail_write(None);
    assert_eq!(opened.store.resume().await.unwrap(), Position::START);
    assert_eq!(opened.store.append(vec![one]).await.unwrap(), Position(1));
    let disk = disk.power_cut();
    assert_eq!(open(&disk).unwrap().store.tail(), Position(1));
}

#[tokio::test]
async fn a_full_disk_refuses_writes_and_service_returns_when_there_is_room() {
    let disk = SimDisk::new(3);
    let opened = open(&disk).unwrap();
    let store = &opened.store;
    append(&**store, 1, vec![user_added(1, "ada")]).await;
    disk.limit(Some(disk.used() + 100));
    // What the file has already, zeros written ahead, needs no room; a commit beyond that finds none.
    let many = (0..4_000).map(|slot| slot_added(2 + slot, 1)).collect();
    let two = commit(Position(2), Actor::System, command(2), many);
    assert!(store.append(vec![two.clone()]).await.is_err());
    let Health::ReadOnly { reason } = store.health() else { panic!("writable") };
    assert!(reason.contains("space"), "{reason}");
    assert!(store.resume().await.is_err());
    disk.limit(None);
    assert_eq!(store.resume().await.unwrap(), Position(1));
    assert_eq!(store.append(vec![two]).await.unwrap(), Position(4_001));
}

#[tokio::test]
async fn zeros_written_ahead_are_no_end_of_the_service_when_they_find_no_room() {
    let disk = SimDisk::new(5);
    let files = Arc::new(disk.clone());
    let opened =
        Book::open(&folder(), Options { files, index: false, ..Options::default() }).unwrap();
    disk.limit(Some(64 * 1024));
    append(&*opened.store, 1, vec![user_added(1, "ada")]).await;
    append(&*opened.store, 2, vec![slot_added(1, 1)]).await;
    let cut = open(&disk.power_cut()).unwrap();
    assert_eq!(cut.store.tail(), Position(2));
    assert_eq!(cut.report.cut_bytes, 0);
}

#[tokio::test]
async fn a_closed_book_has_no_zeros_behind_its_last_record() {
    let disk = SimDisk::new(6);
    let files = Arc::new(disk.clone());
    let opened =
        Book::open(&folder(), Options { files, index: false, ..Options::default() }).unwrap();
    let empty = disk.used();
    append(&*opened.store, 1, vec![user_added(1, "ada")]).await;
    assert!(disk.used() > empty + 128 * 1024, "nothing is written ahead");
    drop(opened);
    assert!(disk.used() < empty + 8 * 1024, "{} bytes", disk.used() - empty);
    assert!(open(&disk).unwrap().report.clean);
}

#[tokio::test]
async fn a_vault_that_cannot_be_written_stops_the_book_before_the_record() {
    let disk = SimDisk::new(4);
    let opened = open(&disk).unwrap();
    disk.fail_sync(Some("vault"));
    let mut event = user_added(1, "ada");
    opened.store.seal(&mut event).unwrap();
    let one = commit(Position(1), Actor::System, command(1), vec![event]);
    let stopped = opened.store.append(vec![one.clone()]).await.unwrap_err();
    assert!(matches!(stopped, AppendError::Stopped { .. }), "{stopped}");
    disk.fail_sync(None);
    opened.store.resume().await.unwrap();
    opened.store.append(vec![one]).await.unwrap();
    let disk = disk.power_cut();
    let told = Acknowledged { position: Position(1), lease: None };
    check(&open(&disk).unwrap(), &told).await.unwrap();
}

/// A book of so many commands, closed properly.
async fn closed_book(disk: &SimDisk, commands: u128) {
    let opened = open(disk).unwrap();
    for n in 1..=commands {
        append(&*opened.store, n, vec![user_added(n, "ada"), slot_added(n, n)]).await;
    }
}

#[tokio::test]
async fn a_book_that_was_closed_properly_opens_clean_and_goes_on_in_the_same_segment() {
    let disk = SimDisk::new(5);
    closed_book(&disk, 3).await;
    let opened = open(&disk).unwrap();
    assert!(opened.report.clean);
    assert_eq!((opened.report.tail, opened.report.segments), (Position(6), 1));
    append(&*opened.store, 4, vec![slot_added(9, 1)]).await;
    assert_eq!(opened.store.read(Position(6), 9).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_flipped_bit_in_a_durable_record_is_named_and_never_served() {
    for flip in [80, 120, 700] {
        let disk = SimDisk::new(6);
        closed_book(&disk, 3).await;
        disk.tamper(&segment(1), |bytes| bytes[flip] ^= 1);
        let Err(OpenError::Damaged(damage)) = open(&disk) else { panic!("opened") };
        assert_eq!(damage.file, format!("segments/{:020}.seg", 1));
        assert!(damage.offset <= flip as u64 && damage.offset + 400 > flip as u64, "{damage}");
    }
}

#[tokio::test]
async fn a_flipped_bit_in_an_older_segment_is_named_when_it_is_read() {
    let disk = SimDisk::new(7);
    closed_book(&disk, 40).await;
    disk.tamper(&segment(1), |bytes| bytes[1000] ^= 1);
    let opened = open(&disk).unwrap();
    let Err(ReadError::Damaged(damage)) = opened.store.read(Position(1), 100).await else {
        panic!("served")
    };
    assert!(damage.offset <= 1000 && damage.offset > 500, "{damage}");
    // What does not need that place is served.
    assert_eq!(opened.store.read(Position(60), 100).await.unwrap().len(), 21);
}

#[tokio::test]
async fn a_flipped_bit_is_damage_even_when_the_watermark_is_lost() {
    let disk = SimDisk::new(8);
    closed_book(&disk, 3).await;
    disk.tamper(&folder().join("watermark"), Vec::clear);
    disk.tamper(&segment(1), |bytes| bytes[120] ^= 1);
    assert!(matches!(open(&disk), Err(OpenError::Damaged(_))));
}

#[tokio::test]
async fn a_cut_or_zeroed_end_below_the_watermark_is_damage() {
    let spoil: [fn(&mut Vec<u8>); 3] = [
        |bytes| bytes.truncate(bytes.len() - 1),
        |bytes| bytes.truncate(bytes.len() - 400),
        |bytes| {
            let from = bytes.len() - 100;
            bytes[from..].fill(0);
        },
    ];
    for spoil in spoil {
        let disk = SimDisk::new(9);
        closed_book(&disk, 3).await;
        disk.tamper(&segment(1), spoil);
        assert!(matches!(open(&disk), Err(OpenError::Damaged(_))));
    }
}

#[tokio::test]
async fn a_torn_end_behind_the_watermark_is_cut_and_reported() {
    let disk = SimDisk::new(10);
    closed_book(&disk, 3).await;
    for garbage in [&[7_u8; 3][..], &[200, 1, 0, 0, 9, 9, 9, 9, 9, 9], &[255; 2000]] {
        let newest = disk
            .paths()
            .into_iter()
            .rfind(|path| path.ends_with("seg") || path.extension().is_some_and(|e| e == "seg"));
        disk.tamper(&newest.unwrap(), |bytes| bytes.extend(garbage));
        let opened = open(&disk).unwrap();
        assert!(!opened.report.clean);
        assert_eq!(opened.report.cut_bytes, garbage.len() as u64);
        assert_eq!(opened.report.tail, Position(6));
        assert_eq!(opened.store.read(Position(1), 99).await.unwrap().len(), 6);
    }
}

#[tokio::test]
async fn half_a_commit_at_the_end_is_cut_whole() {
    let disk = SimDisk::new(11);
    closed_book(&disk, 2).await;
    let before = disk.contents(&segment(1)).unwrap();
    {
        let opened = open(&disk).unwrap();
        append(&*opened.store, 3, vec![slot_added(1, 1), slot_added(2, 1), slot_added(3, 1)]).await;
    }
    let after = disk.contents(&segment(1)).unwrap();
    // The last record of the commit never reached the disk, nor did any later watermark.
    disk.tamper(&segment(1), |bytes| {
        bytes.truncate(before.len() + (after.len() - before.len()) * 2 / 3)
    });
    disk.tamper(&folder().join("watermark"), Vec::clear);
    let opened = open(&disk).unwrap();
    assert_eq!(opened.report.tail, Position(4));
    assert!(opened.report.cut_bytes > 0);
    assert_eq!(opened.store.outcome(command(3)).await.unwrap(), None);
}

#[tokio::test]
async fn bytes_behind_a_cut_stay_void_even_when_they_come_back() {
    let disk = SimDisk::new(12);
    closed_book(&disk, 2).await;
    let cut = disk.contents(&segment(1)).unwrap();
    {
        let opened = open(&disk).unwrap();
        append(&*opened.store, 3, vec![slot_added(1, 1)]).await;
    }
    let with_third = disk.contents(&segment(1)).unwrap();
    disk.tamper(&segment(1), |bytes| *bytes = cut[..].to_vec());
    disk.tamper(&folder().join("watermark"), Vec::clear);
    {
        let opened = open(&disk).unwrap();
        assert_eq!(opened.report.tail, Position(4));
        append(&*opened.store, 77, vec![slot_added(7, 7)]).await;
    }
    disk.tamper(&segment(1), |bytes| *bytes = with_third);
    let opened = open(&disk).unwrap();
    assert_eq!(opened.store.outcome(command(3)).await.unwrap(), None);
    let all = opened.store.read(Position(1), 99).await.unwrap();
    assert_eq!(all.last().unwrap().envelope.command, command(77));
}

#[tokio::test]
async fn a_missing_segment_is_named() {
    let disk = SimDisk::new(13);
    closed_book(&disk, 40).await;
    let firsts: Vec<PathBuf> = disk
        .paths()
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "seg"))
        .collect();
    assert!(firsts.len() > 3);
    use switchbook_journal::files::Files;
    let middle = firsts[1].clone();
    let kept = disk.contents(&middle).unwrap();
    disk.remove(&middle).unwrap();
    assert!(matches!(open(&disk), Err(OpenError::Gap { .. })));
    let put = disk.open(&middle, switchbook_journal::files::How::Create).unwrap();
    put.write_at(&kept, 0).unwrap();
    assert!(open(&disk).is_ok());
    disk.remove(firsts.last().unwrap()).unwrap();
    assert!(matches!(open(&disk), Err(OpenError::Damaged(_))));
}

/// A new book in the place of a lost one would once have been founded before the refusal came.
#[tokio::test]
async fn a_book_whose_segments_are_gone_is_refused_before_anything_is_written() {
    use switchbook_journal::files::Files;
    for kept in ["vault", "leases", "watermark"] {
        let disk = SimDisk::new(17);
        closed_book(&disk, 2).await;
        for path in disk.paths() {
            if path != folder().join(kept) {
                disk.remove(&path).unwrap();
            }
        }
        let before = disk.contents(&folder().join(kept)).unwrap();
        let error = open(&disk).unwrap_err();
        assert!(matches!(error, OpenError::SegmentsMissing { .. }), "{error}");
        assert!(error.to_string().contains(&format!("`{kept}`")), "{error}");
        assert_eq!(disk.paths(), [folder().join(kept)]);
        assert_eq!(disk.contents(&folder().join(kept)).unwrap(), before);
    }
    let real = tempfile::tempdir().unwrap();
    std::fs::create_dir(real.path().join("index-3")).unwrap();
    let error = Book::open(real.path(), Options::default()).unwrap_err();
    assert!(error.to_string().contains("`index-3`"), "{error}");
    assert_eq!(std::fs::read_dir(real.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn a_lost_watermark_is_told() {
    use switchbook_journal::files::Files;
    let disk = SimDisk::new(18);
    closed_book(&disk, 2).await;
    assert!(!open(&disk).unwrap().report.watermark_lost);
    let lost: [fn(&SimDisk); 2] = [
        |disk| disk.remove(&folder().join("watermark")).unwrap(),
        |disk| disk.tamper(&folder().join("watermark"), |bytes| bytes.fill(0)),
    ];
    for lose in lost {
        lose(&disk);
        let report = open(&disk).unwrap().report;
        assert!(report.watermark_lost && !report.clean);
        assert_eq!(report.tail, Position(4));
    }
    assert!(!open(&SimDisk::new(19)).unwrap().report.watermark_lost, "a new book has lost none");
}

#[tokio::test]
async fn a_vault_that_is_lost_damaged_or_foreign_is_told_before_anything_is_served() {
    let disk = SimDisk::new(14);
    let vault = folder().join("vault");
    closed_book(&disk, 2).await;
    let good = disk.contents(&vault).unwrap();
    disk.tamper(&vault, |bytes| bytes[8200] ^= 1);
    assert!(matches!(open(&disk), Err(OpenError::Vault(VaultError::Damaged { .. }))));
    let last = good.len() - 3;
    disk.tamper(&vault, |bytes| {
        *bytes = good.clone();
        bytes[last] ^= 1;
    });
    assert!(matches!(open(&disk), Err(OpenError::Vault(VaultError::Damaged { .. }))));
    disk.tamper(&vault, |bytes| {
        *bytes = good.clone();
        bytes.extend([1, 2, 3]);
    });
    assert!(open(&disk).is_ok());
    use switchbook_journal::files::Files;
    disk.remove(&vault).unwrap();
    assert!(matches!(open(&disk), Err(OpenError::VaultMissing)));
    let accepted = Options { accept_lost_vault: true, ..options(&disk) };
    assert!(Book::open(&folder(), accepted).unwrap().report.vault_lost);
}

#[tokio::test]
async fn a_book_of_a_newer_version_is_refused() {
    let disk = SimDisk::new(15);
    closed_book(&disk, 1).await;
    disk.tamper(&segment(1), |bytes| bytes[8] = 2);
    let Err(OpenError::Newer { found: 2, known: 1, .. }) = open(&disk) else { panic!("opened") };
}

#[tokio::test]
async fn a_second_server_on_the_same_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let options = || Options { index: false, ..Options::default() };
    let first = Book::open(folder.path(), options()).unwrap();
    assert!(matches!(Book::open(folder.path(), options()), Err(OpenError::Locked(_))));
    drop(first);
    assert!(Book::open(Path::new(folder.path()), options()).is_ok());
}

#[tokio::test]
async fn a_destroyed_key_stays_destroyed_and_leaves_no_copy_in_the_file() {
    use switchbook_core::personal::KeyId;
    let disk = SimDisk::new(16);
    {
        let opened = open(&disk).unwrap();
        append(&*opened.store, 1, vec![user_added(1, "ada"), user_added(2, "bob")]).await;
        let before = disk.contents(&folder().join("vault")).unwrap().len();
        opened.vault.destroy(KeyId::Person(user(1))).unwrap();
        let after = disk.contents(&folder().join("vault")).unwrap().len();
        assert_eq!(before - after, 32, "the tombstone stands where the key stood");
    }
    let disk = disk.power_cut();
    let opened = open(&disk).unwrap();
    assert!(opened.vault.is_destroyed(KeyId::Person(user(1))));
    let all = opened.store.read(Position(1), 9).await.unwrap();
    let Event::UserAdded(ada) = &all[0].event else { panic!() };
    let Event::UserAdded(bob) = &all[1].event else { panic!() };
    assert_eq!(
        (ada.username.read(), bob.username.read()),
        (Reading::Erased, Reading::Known("bob"))
    );
}
