//! Reading ahead shows the same as reading batch by batch, and the same first error: whatever is wrong, and wherever.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use support::*;
use switchbook_core::envelope::{Actor, Recorded};
use switchbook_core::event::Event;
use switchbook_core::extent::Extent;
use switchbook_core::personal::KeyId;
use switchbook_core::position::Position;
use switchbook_journal::{Book, EventReader, EventStore, Options};

/// Several segments, each of several pieces.
const RECORDS: u64 = 9_000;
/// A record that is longer than a piece.
const LONG: u64 = 5_000;

type Runtime = tokio::runtime::Runtime;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap()
}

fn options() -> Options {
    Options { index: false, segment_bytes: 1024 * 1024, ..Options::default() }
}

fn event(n: u64) -> Event {
    match n % 7 {
        _ if n == LONG => renamed(1, &"x".repeat(300 * 1024)),
        0 => user_added(u128::from(n), "Ada Lovelace"),
        1 | 2 => slot_added(u128::from(n), 7),
        _ => registered(u128::from(n)),
    }
}

/// A book, written and closed, so that nothing of it is read from memory.
fn written() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let store = Book::open(folder.path(), options()).unwrap().store;
    let commits = (1..=RECORDS).map(|n| {
        let mut event = event(n);
        store.seal(&mut event).unwrap();
        commit(Position(n), Actor::Phone(device(1)), command(u128::from(n)), vec![event])
    });
    let commits: Vec<_> = commits.collect();
    for group in commits.chunks(500) {
        runtime().block_on(store.append(group.to_vec())).unwrap();
    }
    drop(store);
    folder
}

/// What was read until the end or the first error, and that.
type Seen = (Vec<Recorded>, Option<String>);

/// The slow statement: batch by batch.
async fn batches(book: &Book, from: u64, to: u64) -> Seen {
    let (mut seen, mut next) = (Vec::new(), from);
    while next <= to {
        match book.read(Position(next), 1.max(256.min(to - next + 1) as usize)).await {
            Ok(records) if records.is_empty() => break,
            Ok(records) => {
                next += records.len() as u64;
                seen.extend(records);
            }
            Err(error) => return (seen, Some(error.to_string())),
        }
    }
    (seen, None)
}

async fn ahead(book: &Book, extent: Extent, from: u64, to: u64) -> Seen {
    let mut ahead = book.ahead(extent, Position(from), Position(to)).unwrap();
    let mut seen = Vec::new();
    let mut error = None;
    while let Some(batch) = ahead.next().await {
        assert!(error.is_none(), "something came behind {error:?}");
        match batch {
            Ok(batch) => seen.extend(batch.stretch().records.iter().cloned()),
            Err(failed) => error = Some(failed.to_string()),
        }
    }
    (seen, error)
}

#[test]
fn ahead_is_what_batches_are() {
    let folder = written();
    let book = Book::open(folder.path(), options()).unwrap().store;
    runtime().block_on(async {
        let whole = batches(&book, 1, u64::MAX).await;
        assert_eq!((whole.0.len() as u64, &whole.1), (RECORDS, &None));
        // From a place in the middle, known by now, to the end, to nobody's end, and to one in the middle.
        for (from, to) in [(1, RECORDS), (1, u64::MAX), (700, 8_321), (1_025, 5_200)] {
            let until = to.min(RECORDS) as usize;
            let read = ahead(&book, Extent::EVERYTHING, from, to).await;
            assert_eq!(read, (whole.0[from as usize - 1..until].to_vec(), None), "{from} to {to}");
        }
        let mut without = whole.0.clone();
        without.retain(|recorded| Extent::CONFIGURATION.takes(recorded.event.tag()));
        assert_eq!(ahead(&book, Extent::CONFIGURATION, 1, RECORDS).await, (without, None));
        assert!(book.ahead(Extent::EVERYTHING, Position(1), Position(1_000)).is_none());
    });
}

#[test]
fn what_was_read_ahead_is_opened_by_the_vault_as_it_is_then() {
    let folder = written();
    let book = Book::open(folder.path(), options()).unwrap().store;
    let (seen, _) = runtime().block_on(ahead(&book, Extent::EVERYTHING, 1, RECORDS));
    let name = |n: u64| match &seen[n as usize - 1].event {
        Event::UserAdded(added) => added.username.known().map(ToOwned::to_owned),
        other => panic!("{other:?}"),
    };
    book.vault().destroy(KeyId::Person(user(14))).unwrap();
    assert_eq!((name(7), name(14)), (Some("Ada Lovelace".into()), None));
}

#[test]
fn who_has_seen_enough_lets_go_of_the_threads() {
    let folder = written();
    let book = Book::open(folder.path(), options()).unwrap().store;
    let runtime = runtime();
    runtime.block_on(async {
        let mut ahead = book.ahead(Extent::EVERYTHING, Position(1), Position(RECORDS)).unwrap();
        assert!(ahead.next().await.unwrap().is_ok());
    });
    // Ends only when its threads have.
    drop(runtime);
}

/// The frames of a book: file, and where they begin and end there.
fn frames(folder: &Path) -> Vec<(PathBuf, u64, u64)> {
    let reader = switchbook_journal::SegmentReader::open(folder).unwrap();
    let stored = reader.stored(Position(1)).map(|record| {
        let record = record.unwrap();
        let file = folder.join("segments").join(format!("{:020}.seg", record.segment.0));
        (file, record.offset, record.offset + 40 + record.body.len() as u64)
    });
    stored.collect()
}

struct Fixture {
    folder: tempfile::TempDir,
    book: std::sync::Arc<Book>,
    frames: Vec<(PathBuf, u64, u64)>,
    runtime: Runtime,
}

fn fixture() -> &'static Fixture {
    static FIXTURE: OnceLock<Fixture> = OnceLock::new();
    FIXTURE.get_or_init(|| {
        let folder = written();
        let frames = frames(folder.path());
        let book = Book::open(folder.path(), options()).unwrap().store;
        Fixture { folder, book, frames, runtime: runtime() }
    })
}

/// One thing that is wrong with a record.
#[derive(Clone, Copy, Debug)]
enum Wrong {
    /// A bit of its frame.
    Bit(usize, u8),
    /// Its length.
    Length(u32),
    /// A bit of its body, and its checksum with it.
    Checked(usize, u8),
}

fn wrongs() -> impl Strategy<Value = (usize, Wrong)> {
    let bit = (any::<usize>(), 0..8_u8);
    let wrong = prop_oneof![
        bit.clone().prop_map(|(at, bit)| Wrong::Bit(at, bit)),
        prop_oneof![Just(0), Just(u32::MAX), 1..2_000_u32, any::<u32>(), 260_000..1_100_000_u32]
            .prop_map(Wrong::Length),
        bit.prop_map(|(at, bit)| Wrong::Checked(at, bit)),
    ];
    (0..RECORDS as usize, wrong)
}

fn spoil(frame: &mut [u8], wrong: Wrong) {
    match wrong {
        Wrong::Bit(at, bit) => frame[at % frame.len()] ^= 1 << bit,
        Wrong::Length(length) => frame[..4].copy_from_slice(&length.to_le_bytes()),
        Wrong::Checked(at, bit) => {
            let body = frame.len() - 40;
            frame[40 + at % body] ^= 1 << bit;
            let sum = crc32c::crc32c_append(crc32c::crc32c(&frame[..4]), &frame[8..]);
            frame[4..8].copy_from_slice(&sum.to_le_bytes());
        }
    }
}

/// Spoils some records as long as `look` looks.
fn spoilt<T>(fixture: &Fixture, wrong: &BTreeMap<usize, Wrong>, look: impl FnOnce() -> T) -> T {
    let open =
        |path: &Path| -> File { OpenOptions::new().read(true).write(true).open(path).unwrap() };
    let mut before = Vec::new();
    for (record, wrong) in wrong {
        let (path, begins, ends) = &fixture.frames[*record];
        let (file, mut frame) = (open(path), vec![0; (ends - begins) as usize]);
        file.read_exact_at(&mut frame, *begins).unwrap();
        before.push((path, *begins, frame.clone()));
        spoil(&mut frame, *wrong);
        file.write_all_at(&frame, *begins).unwrap();
    }
    let seen = look();
    for (path, begins, frame) in before {
        open(path).write_all_at(&frame, begins).unwrap();
    }
    seen
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 40, ..ProptestConfig::default() })]

    #[test]
    fn the_first_error_is_the_same(wrong in proptest::collection::vec(wrongs(), 1..4)) {
        let fixture = fixture();
        assert!(fixture.folder.path().exists());
        let wrong: BTreeMap<usize, Wrong> = wrong.into_iter().collect();
        let (slow, fast) = spoilt(fixture, &wrong, || {
            fixture.runtime.block_on(async {
                let slow = batches(&fixture.book, 1, RECORDS).await;
                (slow, ahead(&fixture.book, Extent::EVERYTHING, 1, RECORDS).await)
            })
        });
        prop_assert_eq!(&slow.1, &fast.1);
        // Batches end at other places, so of what stands before the error one has seen more than the other.
        let seen = slow.0.len().min(fast.0.len());
        prop_assert_eq!(&slow.0[..seen], &fast.0[..seen]);
        let first = *wrong.keys().next().unwrap();
        prop_assert!(slow.0.len() <= first || slow.1.is_none());
    }
}
