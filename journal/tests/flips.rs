//! A bit flipped anywhere: named, never served. Every byte of a small book, one bit of each; and bits of sled's files by
//! chance, which may cost the index but no answer.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use proptest::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use support::*;
use switchbook_core::envelope::Recorded;
use switchbook_core::event::Event;
use switchbook_core::id::SecretId;
use switchbook_core::personal::{KeyId, Reading};
use switchbook_core::position::{Moment, Position};
use switchbook_core::registration::BindingId;
use switchbook_core::user::SecretRef;
use switchbook_journal::faults::SimDisk;
use switchbook_journal::files::Files;
use switchbook_journal::{
    Book, EventReader, EventStore, OpenError, Opened, Options, ReadError, SegmentReader,
};
use uuid::Uuid;

fn folder() -> &'static Path {
    Path::new("/book")
}

fn open_on(disk: &SimDisk) -> Result<Opened, OpenError> {
    let files = Arc::new(disk.clone());
    let options = Options { files, index: false, segment_bytes: 900, ..Options::default() };
    Book::open(folder(), options)
}

fn secret() -> SecretRef {
    SecretRef { id: SecretId(Uuid::from_u128(9)), version: 1 }
}

/// A small book of several segments, closed properly, with every kind of entry in vault and leases.
async fn small_book() -> (SimDisk, Vec<Recorded>) {
    let disk = SimDisk::new(1);
    {
        let opened = open_on(&disk).unwrap();
        opened.vault.put_secret(secret(), b"a hash").unwrap();
        for n in 1..=4 {
            append(&*opened.store, n, vec![user_added(n, "ada"), registered(n)]).await;
            opened.leases.renew(device(n), BindingId(1), Moment(n as i64 * 1_000_000), 1);
        }
        opened.vault.destroy(KeyId::Person(user(3))).unwrap();
        opened.leases.remove(device(4), BindingId(1));
        opened.leases.flush().unwrap();
    }
    let opened = open_on(&disk).unwrap();
    let all = opened.store.read(Position(1), 99).await.unwrap();
    assert!(opened.report.clean);
    assert!(opened.report.segments > 2 && all.len() == 8, "{:?}", opened.report);
    (disk, all)
}

fn paths(disk: &SimDisk, ending: &str) -> Vec<PathBuf> {
    disk.paths().into_iter().filter(|path| path.to_string_lossy().ends_with(ending)).collect()
}

/// For every byte of a file: the same book on a disk of its own, with one bit of that byte flipped. In the middle of long
/// stretches of zeros one byte of sixteen stands for all.
fn each_flip(good: &SimDisk, path: &Path) -> impl Iterator<Item = (usize, SimDisk)> {
    let files: Vec<(PathBuf, Vec<u8>)> = good
        .paths()
        .into_iter()
        .map(|path| (path.clone(), good.contents(&path).unwrap()))
        .collect();
    let (bytes, path) = (good.contents(path).unwrap(), path.to_path_buf());
    let places = (0..bytes.len()).filter(move |at| {
        let near = &bytes[at.saturating_sub(40)..(at + 40).min(bytes.len())];
        at % 16 == 0 || near.iter().any(|byte| *byte != 0)
    });
    places.map(move |at| {
        let disk = SimDisk::new(1);
        for (path, bytes) in &files {
            let file = disk.open(path, switchbook_journal::files::How::Create).unwrap();
            file.write_at(bytes, 0).unwrap();
        }
        disk.tamper(&path, |bytes| bytes[at] ^= 1 << (at * 5 % 8));
        (at, disk)
    })
}

#[tokio::test]
async fn any_flipped_byte_of_any_segment_is_named_by_file_and_never_served() {
    let (good, all) = small_book().await;
    for path in paths(&good, ".seg") {
        let name = path.file_name().unwrap().to_str().unwrap();
        for (at, disk) in each_flip(&good, &path) {
            let why = match open_on(&disk) {
                Err(error) => error.to_string(),
                Ok(opened) => match opened.store.read(Position(1), 99).await {
                    Err(ReadError::Damaged(damage)) => {
                        assert!(damage.offset <= at as u64, "{damage}");
                        damage.to_string()
                    }
                    other => panic!("byte {at} of {name}: {other:?}"),
                },
            };
            assert!(why.contains(name), "byte {at} of {name}: {why}");
            // The auditor's way serves the records before, and no other.
            if let Ok(reader) = SegmentReader::open_on(Arc::new(disk), folder()) {
                for (is, was) in reader.records(Position(1), None).map_while(Result::ok).zip(&all) {
                    assert_eq!(is.envelope, was.envelope, "byte {at} of {name}");
                }
            }
        }
    }
}

#[tokio::test]
async fn any_flipped_byte_of_the_watermark_changes_no_record() {
    let (good, all) = small_book().await;
    for (at, disk) in each_flip(&good, &folder().join("watermark")) {
        let opened = open_on(&disk).unwrap();
        assert_eq!(opened.store.read(Position(1), 99).await.unwrap(), all, "byte {at}");
    }
}

#[tokio::test]
async fn any_flipped_byte_of_the_vault_is_named_or_without_effect() {
    let (good, all) = small_book().await;
    let mut named = 0;
    for (at, disk) in each_flip(&good, &folder().join("vault")) {
        match open_on(&disk) {
            Err(OpenError::Vault(_)) => named += 1,
            Err(other) => panic!("byte {at}: {other}"),
            Ok(opened) => {
                assert_eq!(opened.vault.secret(secret()).unwrap().as_slice(), b"a hash");
                assert!(opened.vault.is_destroyed(KeyId::Person(user(3))));
                assert_eq!(opened.store.read(Position(1), 99).await.unwrap(), all, "byte {at}");
            }
        }
    }
    // Head and entries; what lies between is zeros and two slots.
    assert!(named > 300, "{named}");
}

#[tokio::test]
async fn any_flipped_byte_of_the_leases_loses_one_at_most_and_shows_no_other() {
    let (good, _) = small_book().await;
    let whole = open_on(&good).unwrap().leases.all().len();
    assert_eq!(whole, 3);
    let (good, _) = small_book().await;
    for (at, disk) in each_flip(&good, &folder().join("leases")) {
        let opened = match open_on(&disk) {
            Ok(opened) => opened,
            Err(OpenError::Newer { .. }) => continue,
            Err(other) => panic!("byte {at}: {other}"),
        };
        let all = opened.leases.all();
        assert!(opened.report.leases_lost > 0, "byte {at} is not told");
        // Without the mark of a proper close a second is added.
        for (of, _, lease) in &all {
            let end = i64::try_from(of.0.as_u128()).unwrap() * 1_000_000;
            let right = [end, end + 1_000_000].contains(&lease.expires_at.0);
            assert!(right, "byte {at}: {lease:?}");
        }
        assert!(at < 36 || all.len() + 1 >= whole, "byte {at}");
    }
}

/// Whoever changes a record and its checksum is found by the leaf hash, which the Merkle tree is made of.
#[tokio::test]
async fn a_record_changed_with_its_checksum_is_named_too() {
    let (good, _) = small_book().await;
    let path = paths(&good, ".seg")[0].clone();
    let head = 64 + 4;
    good.tamper(&path, |bytes| {
        bytes[head + 40 + 60] ^= 1;
        let length = u32::from_le_bytes(bytes[head..head + 4].try_into().unwrap()) as usize;
        let sum = crc32c::crc32c(&bytes[head..head + 4]);
        let sum = crc32c::crc32c_append(sum, &bytes[head + 8..head + 40 + length]);
        bytes[head + 4..head + 8].copy_from_slice(&sum.to_le_bytes());
    });
    let opened = open_on(&good).unwrap();
    let Err(ReadError::Damaged(damage)) = opened.store.read(Position(1), 99).await else {
        panic!("served")
    };
    assert!(damage.what.contains("leaf hash"), "{damage}");
}

/// After a crash of the process the watermark covers every answer: damage at the end is no torn end.
#[tokio::test]
async fn a_damaged_last_record_is_named_also_after_a_crash() {
    let disk = SimDisk::new(3);
    let opened = open_on(&disk).unwrap();
    append(&*opened.store, 1, vec![user_added(1, "ada")]).await;
    append(&*opened.store, 2, vec![slot_added(1, 1)]).await;
    let disk = disk.process_death();
    drop(opened);
    let path = paths(&disk, ".seg").pop().unwrap();
    // Behind it stand zeros, written ahead.
    disk.tamper(&path, |bytes| *bytes.iter_mut().rfind(|byte| **byte != 0).unwrap() ^= 1);
    assert!(matches!(open_on(&disk), Err(OpenError::Damaged(_))));
}

/// Within a beat the watermark is durable by itself, and so is how much of the vault is: after a power cut too, damage
/// is told from a torn end.
#[tokio::test]
async fn a_beat_later_damage_is_named_also_after_a_power_cut() {
    use switchbook_journal::faults::Cut;
    for damaged in ["00000000000000000001.seg", "vault"] {
        let disk = SimDisk::new(4);
        let files = Arc::new(disk.clone());
        let beat = std::time::Duration::from_millis(1);
        let opened =
            Book::open(folder(), Options { files, beat, index: false, ..Options::default() })
                .unwrap();
        let syncs = || ["watermark", "vault"].map(|name| disk.syncs(&folder().join(name)));
        let [_, vaults] = syncs();
        append(&*opened.store, 1, vec![user_added(1, "ada")]).await;
        let [marks, _] = syncs();
        let mut number = 2;
        // Two more of the watermark: the second began when the first record was in the mark. Two of the vault: the key's
        // own, and that of how much is durable.
        while syncs()[0] < marks + 2 || syncs()[1] < vaults + 2 {
            assert!(number < 20_000, "{damaged} is not made durable by itself");
            append(&*opened.store, number, vec![slot_added(number, 1)]).await;
            number += 1;
        }
        let disk = disk.cut(Cut::Nothing);
        drop(opened);
        let path = disk.paths().into_iter().find(|path| path.ends_with(damaged)).unwrap();
        // In the first record, and at the end of the vault's last entry.
        disk.tamper(&path, |bytes| {
            let last = bytes.len() - 1;
            let at = if damaged == "vault" { last } else { 400 };
            bytes[at] ^= 1;
        });
        let error = open_on(&disk).unwrap_err();
        assert!(matches!(error, OpenError::Damaged(_) | OpenError::Vault(_)), "{damaged}: {error}");
    }
}

/// A book with an index on a real disk, and everything that it can be asked.
struct Indexed {
    folder: tempfile::TempDir,
    index: PathBuf,
    good: Vec<(PathBuf, Vec<u8>)>,
}

const RECORDS: u64 = 600;

impl Indexed {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        {
            let opened = Self::open(folder.path());
            for n in 1..=RECORDS {
                let event = if n % 5 == 0 {
                    user_added(n.into(), "ada")
                } else {
                    slot_added(n.into(), u128::from(n % 7))
                };
                append(&*opened.store, n.into(), vec![event]).await;
            }
            opened
                .store
                .put_snapshot("exchange/1", Position(RECORDS), vec![7; 100_000])
                .await
                .unwrap();
        }
        {
            let opened = Self::open(folder.path());
            while opened.store.indexed().is_none_or(|upto| upto.0 < RECORDS) {
                std::thread::yield_now();
            }
        }
        let index = folder.path().join("index-1");
        let good = files(&index);
        Self { folder, index, good }
    }

    fn open(folder: &Path) -> Opened {
        Book::open(folder, Options { index_cache: 1024 * 1024, ..Options::default() }).unwrap()
    }

    /// Puts sled's files back as they were, with bits flipped in them.
    fn spoil(&self, flips: &[(usize, usize, u8)]) {
        for entry in std::fs::read_dir(self.folder.path()).unwrap().flatten() {
            if entry.file_name().to_str().unwrap().starts_with("index-") {
                std::fs::remove_dir_all(entry.path()).unwrap();
            }
        }
        std::fs::create_dir_all(&self.index).unwrap();
        let mut all = self.good.clone();
        for (file, at, bit) in flips {
            let count = all.len();
            let bytes = &mut all[file % count].1;
            if let Some(last) = bytes.iter().rposition(|byte| *byte != 0) {
                bytes[at % (last + 1)] ^= 1 << (bit % 8);
            }
        }
        for (path, bytes) in all {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
    }

    async fn check(&self) {
        let opened = Self::open(self.folder.path());
        for round in 0..2 {
            let all = opened.store.read(Position(1), 10_000).await.unwrap();
            assert_eq!(all.len() as u64, RECORDS);
            for (index, record) in all.iter().enumerate() {
                let n = index as u64 + 1;
                assert_eq!(
                    (record.envelope.position.0, record.envelope.command),
                    (n, command(n.into()))
                );
                if let Event::UserAdded(event) = &record.event {
                    assert_eq!(event.username.read(), Reading::Known("ada"));
                }
            }
            for n in 0..7_u64 {
                let found =
                    opened.store.history(subject(n.into()), Position(1), 10_000).await.unwrap();
                let found: Vec<u64> = found.iter().map(|r| r.envelope.position.0).collect();
                let naive = all.iter().filter(|r| r.envelope.subjects.contains(&subject(n.into())));
                assert_eq!(found, naive.map(|r| r.envelope.position.0).collect::<Vec<_>>());
            }
            for n in [1, 128, 129, RECORDS] {
                let found = opened.store.outcome(command(n.into())).await.unwrap();
                assert_eq!(found, Some((Position(n), Position(n))));
            }
            if let Some((at, bytes)) =
                opened.store.snapshot("exchange/1", Position(RECORDS)).await.unwrap()
            {
                assert_eq!((at, bytes), (Position(RECORDS), vec![7; 100_000]));
            }
            let began = std::time::Instant::now();
            while round == 0 && opened.store.indexed().is_none_or(|upto| upto.0 < RECORDS) {
                assert!(
                    began.elapsed() < std::time::Duration::from_secs(60),
                    "it is not made anew"
                );
                std::thread::yield_now();
            }
        }
    }
}

fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => out.extend(files(&path)),
            false => out.push((path.clone(), std::fs::read(&path).unwrap())),
        }
    }
    out.sort();
    out
}

#[test]
fn bits_flipped_in_sleds_files_cost_the_index_and_no_answer() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let book = runtime.block_on(Indexed::new());
    runtime.block_on(book.check());
    let flips = prop::collection::vec((any::<usize>(), any::<usize>(), any::<u8>()), 1..6);
    // Each case opens sled twice: few by day, as many as the environment says by night.
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { 500 } else { 16 };
    let config = ProptestConfig { cases, max_shrink_iters: 50, ..ProptestConfig::default() };
    proptest!(config, |(flips in flips)| {
        book.spoil(&flips);
        runtime.block_on(book.check());
    });
}
