//! How fast a book is read, best of several turns: bytes alone, checked, decoded, and through the store as readers do it.
//!
//!     cargo run --release -p switchbook-journal --example replay -- 200000 [scrub|decode|store]

#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};
use support::{command, commit, registered, slot_added, user_added};
use switchbook_core::envelope::Actor;
use switchbook_core::event::Event;
use switchbook_core::position::Position;
use switchbook_journal::{Book, EventReader, EventStore, Options, SegmentReader};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let events: u64 = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(200_000);
    let only = arguments.next();
    let folder = tempfile::tempdir_in(".").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let options = || Options { index: false, ..Options::default() };
    {
        let store = Book::open(folder.path(), options()).unwrap().store;
        let mut kinds: Vec<Event> = (0..1000).map(registered).collect();
        kinds.extend((0..100).map(|n| slot_added(n, n)));
        kinds.extend((0..100).map(|n| user_added(n, "Ada Lovelace")));
        kinds.iter_mut().for_each(|event| store.seal(event).unwrap());
        while store.tail().0 < events {
            let first = store.tail().0 + 1;
            let group = (first..(first + 4096).min(events + 1)).map(|n| {
                let event = kinds[(n % 1200) as usize].clone();
                let by = Actor::Phone(support::device(1));
                commit(Position(n), by, command(u128::from(n)), vec![event])
            });
            runtime.block_on(store.append(group.collect())).unwrap();
        }
    }
    let reader = SegmentReader::open(folder.path()).unwrap();
    let store = Book::open(folder.path(), options()).unwrap().store;
    let bytes = || {
        let segments = std::fs::read_dir(folder.path().join("segments")).unwrap().flatten();
        segments.map(|entry| std::fs::read(entry.path()).unwrap().len()).sum::<usize>() as u64
    };
    println!("{events} events, {} bytes each", bytes() / events);
    let turn = |name: &str, work: &mut dyn FnMut() -> u64| {
        if only.as_deref().is_some_and(|only| only != name) {
            return;
        }
        let one = |work: &mut dyn FnMut() -> u64| {
            let start = Instant::now();
            assert!(work() > 0);
            start.elapsed()
        };
        let best = (0..9).map(|_| one(work)).min().unwrap_or(Duration::MAX);
        let each = best.as_nanos() as u64 / events;
        println!("{name:8} {each:5} ns an event, {:.2} million/s", 1000.0 / each as f64);
    };
    turn("bytes", &mut || bytes());
    turn("scrub", &mut || reader.scrub().unwrap().leaves());
    turn("decode", &mut || reader.records(Position(1), None).map(Result::unwrap).count() as u64);
    let through = |store: &Book| {
        let mut next = Position(1);
        loop {
            let records = runtime.block_on(store.read(next, 1024)).unwrap();
            let Some(last) = records.last() else { return next.0 };
            next = last.envelope.position.next();
        }
    };
    turn("store", &mut || through(&store));
    drop(store);
    let store = Book::open(folder.path(), Options::default()).unwrap().store;
    while store.indexed().is_none_or(|upto| upto.0 + 4096 < events) {
        std::thread::sleep(Duration::from_millis(50));
    }
    turn("index", &mut || through(&store));
}
