//! The index is a cache: whatever happens to it, the answers are those of the segments.

#![allow(clippy::unwrap_used, missing_docs)]

mod questions;
mod support;

use questions::*;
use support::{append, command, user_added};

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use switchbook_core::position::Position;
use switchbook_journal::files::{FileLike, Files, How, RealFiles};
use switchbook_journal::{
    Book, EventReader, EventStore, IndexCopy, MemoryStore, Options, RECORD, ReadError, SPACING,
};

#[tokio::test]
async fn answers_are_the_same_with_and_without_an_index() {
    let folder = tempfile::tempdir().unwrap();
    {
        let opened = open(folder.path(), false);
        fill(&opened.store, 40_000).await;
        check(&opened.store).await;
    }
    let opened = open(folder.path(), true);
    check(&opened.store).await;
    wait_for_index(&opened.store, 40_000);
    check(&opened.store).await;
    // Enough for runs to be merged more than once.
    for _ in 0..9 {
        fill(&opened.store, 8_000).await;
        wait_for_index(&opened.store, opened.store.tail().0 - 3_000);
    }
    check(&opened.store).await;
}

#[tokio::test]
async fn snapshots_come_back_whole_and_the_newest_not_after_the_asked_position() {
    let folder = tempfile::tempdir().unwrap();
    let opened = open(folder.path(), true);
    fill(&opened.store, 100).await;
    let large: Vec<u8> = (0..300_000_u32).map(|n| n as u8).collect();
    opened.store.put_snapshot("exchange", Position(10), b"ten".to_vec()).await.unwrap();
    opened.store.put_snapshot("exchange", Position(20), large.clone()).await.unwrap();
    opened.store.put_snapshot("other", Position(15), Vec::new()).await.unwrap();
    let get = |name, at| opened.store.snapshot(name, Position(at));
    assert_eq!(get("exchange", 9).await.unwrap(), None);
    assert_eq!(get("exchange", 19).await.unwrap(), Some((Position(10), b"ten".to_vec())));
    assert_eq!(get("exchange", 99).await.unwrap(), Some((Position(20), large)));
    assert_eq!(get("other", 99).await.unwrap(), Some((Position(15), Vec::new())));
    assert_eq!(get("exchang", 99).await.unwrap(), None);
}

async fn keeps_what_is_needed(store: &dyn EventStore) {
    let large = vec![7; 200_000];
    let put = |name, at, bytes: &[u8]| store.put_snapshot(name, Position(at), bytes.to_vec());
    for at in [20_000, 32_768, 50_000, 65_536, 70_000, 80_000] {
        put("exchange/1", at, &large).await.unwrap();
    }
    put("names/1", 70_000, b"names").await.unwrap();
    put("names/0", 70_000, b"of an older version").await.unwrap();
    // One from between two others that are near is not kept, and drives none of them out.
    put("exchange/1", 25_000, b"late").await.unwrap();
    let mut at_most = Position(99_999);
    let mut kept = Vec::new();
    while let Some((at, bytes)) = store.snapshot("exchange/1", at_most).await.unwrap() {
        assert_eq!(bytes, large);
        kept.push(at.0);
        at_most = Position(at.0 - 1);
    }
    assert_eq!(kept, [80_000, 70_000, 65_536, 32_768]);
    store.only_snapshots(&["exchange/1", "names/1"]).await.unwrap();
    let last = Position(99_999);
    assert_eq!(store.snapshot("names/0", last).await.unwrap(), None);
    let names = store.snapshot("names/1", last).await.unwrap();
    assert_eq!(names, Some((Position(70_000), b"names".to_vec())));
}

#[tokio::test]
async fn snapshots_lie_along_the_book_and_those_that_nobody_needs_go() {
    let folder = tempfile::tempdir().unwrap();
    let opened = open(folder.path(), false);
    fill(&opened.store, 80_010).await;
    keeps_what_is_needed(&*opened.store).await;
    keeps_what_is_needed(&MemoryStore::default()).await;
}

/// An auditor verifies while the server is busy: runs that were merged meanwhile, and records that came, looked to him like
/// postings that had been removed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_that_goes_on_while_it_is_compared_is_not_suspected() {
    let folder = tempfile::tempdir().unwrap();
    let opened = open(folder.path(), true);
    fill(&opened.store, 30_000).await;
    let store = opened.store.clone();
    let comparing = tokio::spawn(async move {
        let mut compared = Vec::new();
        while store.indexed().is_none_or(|upto| upto.0 < 150_000) {
            compared.extend(store.compare_index().await.unwrap());
        }
        compared
    });
    for _ in 0..60 {
        fill(&opened.store, 2_100).await;
    }
    let compared = comparing.await.unwrap();
    assert!(compared.len() > 1);
    assert!(compared.iter().all(|one| one.differs.is_none()), "{compared:?}");
}

/// A comparison kept the book open: a stop while an auditor verified waited for it, or left the book unclosed.
#[tokio::test]
async fn a_comparison_is_given_up_when_the_book_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let opened = open(folder.path(), true);
    fill(&opened.store, 40_000).await;
    wait_for_index(&opened.store, 38_000);
    let comparing = opened.store.compare_index();
    drop(opened);
    assert!(matches!(comparing.await, Err(ReadError::Closed)));
    assert!(open(folder.path(), false).report.clean);
}

/// A disk that could not be read for a moment emptied the whole folder: each snapshot was taken for damaged, and removed.
#[tokio::test]
async fn a_snapshot_that_cannot_be_read_just_now_is_passed_over_and_not_removed() {
    let folder = tempfile::tempdir().unwrap();
    let opened = open(folder.path(), false);
    fill(&opened.store, 100).await;
    for at in [10, 20] {
        opened.store.put_snapshot("exchange/1", Position(at), vec![at as u8]).await.unwrap();
    }
    let get = || opened.store.snapshot("exchange/1", Position(99));
    let file = folder.path().join("snapshots/00000000000000000020.exchange.1");
    let aside = folder.path().join("aside");
    // A folder opens like a file, and its reading fails.
    std::fs::rename(&file, &aside).unwrap();
    std::fs::create_dir(&file).unwrap();
    assert_eq!(get().await.unwrap(), Some((Position(10), vec![10])));
    std::fs::remove_dir(&file).unwrap();
    std::fs::rename(&aside, &file).unwrap();
    assert_eq!(get().await.unwrap(), Some((Position(20), vec![20])));
    // One that does not check is removed.
    std::fs::write(&file, b"torn").unwrap();
    assert_eq!(get().await.unwrap(), Some((Position(10), vec![10])));
    assert!(!file.exists());
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

/// Segments, vault, leases and watermark of one life of a book are laid over a folder whose index and snapshots are of
/// another, as long or longer: both were believed, and the server decided on a state that never was.
#[tokio::test]
async fn index_and_snapshots_of_another_life_of_the_book_are_not_believed() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fill(&open(here.path(), true).store, 100).await;
    copy(here.path(), there.path());
    // Here it goes on in one way, and index and snapshots follow.
    {
        let opened = open(here.path(), true);
        for n in 1..=50 {
            append(&*opened.store, 900_000 + n, vec![user_added(n, "eve")]).await;
        }
        opened.store.put_snapshot("exchange/1", Position(100), b"of both".to_vec()).await.unwrap();
        opened.store.put_snapshot("exchange/1", Position(150), b"of eve".to_vec()).await.unwrap();
        drop(opened);
        // An index that is behind by less than some thousand records follows at the next start.
        wait_for_index(&open(here.path(), true).store, 150);
    }
    // There it goes on in another.
    {
        let opened = open(there.path(), false);
        for n in 1..=60 {
            append(&*opened.store, 800_000 + n, vec![user_added(n, "ada")]).await;
        }
    }
    for name in ["segments", "vault", "leases", "watermark"] {
        let (from, to) = (there.path().join(name), here.path().join(name));
        if from.is_dir() {
            std::fs::remove_dir_all(&to).unwrap();
            copy(&from, &to);
        } else if from.exists() {
            std::fs::copy(&from, &to).unwrap();
        }
    }
    let opened = open(here.path(), true);
    let found = opened.store.snapshot("exchange/1", Position(160)).await.unwrap();
    assert_eq!(found, Some((Position(100), b"of both".to_vec())));
    wait_for_index(&opened.store, 160);
    let straight = open(there.path(), false);
    let (mine, theirs) =
        (opened.store.read(Position(1), 999), straight.store.read(Position(1), 999));
    assert_eq!(mine.await.unwrap(), theirs.await.unwrap());
    for n in [800_001, 800_060, 900_001] {
        let (mine, theirs) = (opened.store.outcome(command(n)), straight.store.outcome(command(n)));
        assert_eq!(mine.await.unwrap(), theirs.await.unwrap());
    }
}

/// Whoever can write to the folder of a book could have an auditor, who may read more than he, read it for him.
#[tokio::test]
async fn a_copy_of_the_index_follows_no_link_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let book = folder.path().join("book");
    {
        let opened = open(&book, true);
        fill(&opened.store, 100).await;
    }
    let names = std::fs::read_dir(&book).unwrap().flatten();
    let is_index = |path: &std::path::PathBuf| {
        path.file_name().unwrap().to_str().unwrap().starts_with("index-")
    };
    let index = names.map(|entry| entry.path()).find(is_index).unwrap();
    let scratch = folder.path().join("scratch");
    let copy = IndexCopy::open(&book, &scratch).unwrap().unwrap();
    let compared = copy.compare(Position(100), &mut |_| true).unwrap();
    assert!(compared.differs.is_none() && scratch.exists());
    drop(copy);
    assert!(!scratch.exists());
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "of somebody else").unwrap();
    std::os::unix::fs::symlink(&secret, index.join("blob")).unwrap();
    let told = IndexCopy::open(&book, &scratch).unwrap_err();
    assert!(told.contains("not followed"), "{told}");
    assert!(!scratch.exists());
    let moved = folder.path().join("elsewhere");
    std::fs::remove_file(index.join("blob")).unwrap();
    std::fs::rename(&index, &moved).unwrap();
    std::os::unix::fs::symlink(&moved, &index).unwrap();
    let told = IndexCopy::open(&book, &scratch).unwrap_err();
    assert!(told.contains("not followed"), "{told}");
}

/// A disk on which the segments cannot be read once, by the thread that keeps the index.
#[derive(Debug, Default)]
struct Unwell {
    well: AtomicBool,
}

impl Files for Unwell {
    fn open(&self, path: &Path, how: How) -> std::io::Result<Box<dyn FileLike>> {
        let segment = path.extension().is_some_and(|is| is == "seg");
        let index = std::thread::current().name() == Some("book-index");
        if segment && index && !self.well.swap(true, Ordering::SeqCst) {
            return Err(std::io::Error::from_raw_os_error(5));
        }
        RealFiles.open(path, how)
    }

    fn list(&self, folder: &Path) -> std::io::Result<Vec<String>> {
        RealFiles.list(folder)
    }

    fn create_folder(&self, folder: &Path) -> std::io::Result<()> {
        RealFiles.create_folder(folder)
    }

    fn sync_folder(&self, folder: &Path) -> std::io::Result<()> {
        RealFiles.sync_folder(folder)
    }

    fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        RealFiles.rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        RealFiles.link(from, to)
    }

    fn remove(&self, path: &Path) -> std::io::Result<()> {
        RealFiles.remove(path)
    }

    fn exists(&self, path: &Path) -> bool {
        RealFiles.exists(path)
    }

    fn free(&self, folder: &Path) -> std::io::Result<u64> {
        RealFiles.free(folder)
    }
}

/// One failed read threw away what takes minutes to make.
#[tokio::test]
async fn an_index_whose_book_cannot_be_read_just_now_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    {
        let opened = open(folder.path(), false);
        fill(&opened.store, 3_000).await;
        drop(opened);
        wait_for_index(&open(folder.path(), true).store, 3_000);
    }
    let indexes = || {
        let names = std::fs::read_dir(folder.path()).unwrap().flatten();
        let names = names.map(|entry| entry.file_name().into_string().unwrap());
        names.filter(|name| name.starts_with("index-")).collect::<Vec<_>>()
    };
    let before = indexes();
    let disk = Arc::new(Unwell::default());
    let files: Arc<dyn Files> = disk.clone();
    let opened = Book::open(folder.path(), Options { files, ..Options::default() }).unwrap();
    wait_for_index(&opened.store, 3_000);
    assert!(disk.well.load(Ordering::SeqCst), "it could be read all the time");
    assert_eq!(indexes(), before);
}

/// Snapshots of a large exchange lay as near to each other as small ones once the server had been stopped.
#[tokio::test]
async fn large_snapshots_lie_farther_apart() {
    let store = MemoryStore::default();
    let large = vec![0; (2 * SPACING * RECORD) as usize];
    for n in 1..=7 {
        store.put_snapshot("exchange/1", Position(n * SPACING), large.clone()).await.unwrap();
        store.put_snapshot("names/1", Position(n * SPACING), vec![0]).await.unwrap();
    }
    for (name, expected) in [("exchange/1", 2 * SPACING), ("names/1", 3 * SPACING)] {
        let found = store.snapshot(name, Position(3 * SPACING)).await.unwrap();
        assert_eq!(found.map(|(at, _)| at), Some(Position(expected)), "{name}");
    }
}
