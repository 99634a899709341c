//! A book that can be asked everything, with and without its index.
#![allow(clippy::unwrap_used, missing_docs)]

use crate::support::*;
use std::path::Path;
use std::time::{Duration, Instant};
use switchbook_core::envelope::Actor;
use switchbook_core::position::Position;
use switchbook_journal::{Book, EventReader, EventStore, Opened, Options};

pub fn open(folder: &Path, index: bool) -> Opened {
    Book::open(folder, Options { index, ..Options::default() }).unwrap()
}

pub async fn fill(store: &Book, records: u64) {
    let mut commits = Vec::new();
    let first = store.tail().0 + 1;
    for n in first..first + records {
        let event = slot_added(n.into(), u128::from(n % 97));
        let by = if n % 10 == 0 { Actor::Admin(user(1)) } else { Actor::Phone(device(1)) };
        commits.push(commit(Position(n), by, command(n.into()), vec![event]));
    }
    for group in commits.chunks(1000) {
        store.append(group.to_vec()).await.unwrap();
    }
}

pub fn wait_for_index(store: &Book, upto: u64) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while store.indexed().is_none_or(|indexed| indexed.0 < upto) {
        assert!(Instant::now() < deadline, "the index stays at {:?}", store.indexed());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Asks everything that can be answered in more than one way.
pub async fn check(store: &Book) {
    let tail = store.tail().0;
    for from in [1, 127, 128, 129, 5_000, tail - 1] {
        let records = store.read(Position(from), 300).await.unwrap();
        let positions: Vec<u64> = records.iter().map(|r| r.envelope.position.0).collect();
        assert_eq!(positions, (from..=tail.min(from + 299)).collect::<Vec<_>>());
    }
    for n in [0_u64, 1, 50, 96] {
        let history = store.history(subject(n.into()), Position(100), 1_000_000).await.unwrap();
        let positions: Vec<u64> = history.iter().map(|r| r.envelope.position.0).collect();
        assert_eq!(positions, (100..=tail).filter(|p| p % 97 == n).collect::<Vec<_>>());
    }
    for n in [10, 11, 5_000, tail / 10 * 10] {
        let outcome = store.outcome(command(n.into())).await.unwrap();
        let expected = (n % 10 == 0).then_some((Position(n), Position(n)));
        assert_eq!(outcome, expected, "command {n}");
    }
}
