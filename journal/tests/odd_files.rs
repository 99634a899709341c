//! Files of a book's folder that are none: a FIFO in the place of one, or one as long as no disk is. Whoever opens the book
//! neither waits for ever nor needs the memory: caches are made anew, and for the rest it is said what is the matter.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::Duration;
use support::*;
use switchbook_core::position::Position;
use switchbook_journal::{Book, EventReader, EventStore, OpenReport, Options, SegmentReader};
use tempfile::TempDir;

const SEGMENT: &str = "segments/00000000000000000001.seg";
const SNAPSHOT: &str = "snapshots/00000000000000000300.names.9";

fn options() -> Options {
    Options { index: false, ..Options::default() }
}

/// A closed book of 300 records, with a snapshot and tiles.
async fn book() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let opened = Book::open(folder.path(), Options::default()).unwrap();
    let events = (1..=300).map(|number| slot_added(number, 1)).collect();
    append(&*opened.store, 1, events).await;
    opened.store.put_snapshot("names/9", Position(300), b"table".to_vec()).await.unwrap();
    drop(opened);
    // What is there when it is opened is taken in at once, and tiles are laid with it.
    let opened = Book::open(folder.path(), Options::default()).unwrap();
    for _ in 0..6_000 {
        if folder.path().join("tree").exists() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(opened);
    assert!(folder.path().join("tree").exists());
    folder
}

/// Opens the book, or says why not; and what it has of the snapshot. Whoever waits for ever is found out.
fn opened(folder: &Path) -> Result<(OpenReport, Option<Vec<u8>>), String> {
    let (done, opening) = channel();
    let folder = folder.to_path_buf();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let opened = Book::open(&folder, options()).map_err(|error| error.to_string());
        let found = opened.map(|opened| {
            let found = runtime.block_on(opened.store.snapshot("names/9", Position(300)));
            (opened.report.clone(), found.unwrap().map(|(_, bytes)| bytes))
        });
        let _ = done.send((found, SegmentReader::open(&folder).map(|reader| reader.tail())));
    });
    let waited = opening.recv_timeout(Duration::from_secs(60));
    waited.expect("whoever opens it waits for ever").0
}

fn fifo(path: &Path) {
    fs::remove_file(path).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
}

#[tokio::test]
async fn a_fifo_in_the_place_of_a_file_holds_up_nobody() {
    for name in ["leases", "watermark", "written-by", "vault", SEGMENT] {
        let folder = book().await;
        fifo(&folder.path().join(name));
        let why = opened(folder.path()).unwrap_err();
        let last = name.rsplit('/').next().unwrap();
        assert!(why.contains(last) && why.contains("no regular file"), "{name}: {why}");
    }
    for name in ["tree", SNAPSHOT] {
        let folder = book().await;
        fifo(&folder.path().join(name));
        let (report, snapshot) = opened(folder.path()).unwrap();
        assert_eq!(report.tail, Position(300), "{name}");
        assert_eq!(snapshot.is_some(), name == "tree");
    }
}

/// A file of sixty gigabytes that takes no room.
fn lengthen(path: PathBuf) {
    let file = File::options().append(true).create(true).open(path).unwrap();
    file.set_len(60 << 30).unwrap();
}

#[tokio::test]
async fn the_length_of_a_file_costs_no_memory() {
    for name in ["leases", "watermark", "written-by", "tree", SNAPSHOT] {
        let folder = book().await;
        lengthen(folder.path().join(name));
        let (report, snapshot) = opened(folder.path()).unwrap();
        assert_eq!((report.tail, report.watermark_lost), (Position(300), false), "{name}");
        assert_eq!(snapshot.is_some(), name != SNAPSHOT);
    }
    let folder = book().await;
    let length = fs::metadata(folder.path().join("vault")).unwrap().len();
    lengthen(folder.path().join("vault"));
    let why = opened(folder.path()).unwrap_err();
    assert!(why.contains("vault has 64424509440 bytes"), "{why}");
    // Nothing is destroyed: cut back to its length it is the vault.
    let vault = File::options().write(true).open(folder.path().join("vault")).unwrap();
    vault.set_len(length).unwrap();
    assert_eq!(opened(folder.path()).unwrap().0.tail, Position(300));
}
