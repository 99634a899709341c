//! The book of a year is one that a server could have written, and the seed says which.
#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::BTreeMap;
use switchbook_bench::year::{self, Year};
use switchbook_core::position::{Moment, Position};
use switchbook_journal::{SegmentReader, leases};
use switchbook_projections::Tables;
use switchbook_replay::verify::{Check, verify};

const ENDS: Moment = Moment(1_795_000_000_000_000);

async fn book(seed: u64) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let year = Year::ending(ENDS, 6_000, 40, seed);
    year::write(folder.path(), &year, &mut |_| ()).await.unwrap();
    folder
}

#[tokio::test]
async fn nothing_in_it_is_wrong_and_whatever_began_has_ended() {
    let folder = book(1).await;
    let check = Check { folder: folder.path().into(), ..Check::default() };
    let verified = verify(check, &mut |_| true).unwrap();
    assert!(verified.holds(), "{:?}", verified.findings);
    assert!(verified.records >= 6_000 && verified.opened > 0);

    let reader = SegmentReader::open(folder.path()).unwrap();
    let (mut tables, mut kinds) = (Tables::default(), BTreeMap::<&str, u64>::new());
    for recorded in reader.records(Position(1), None) {
        let recorded = recorded.unwrap();
        *kinds.entry(recorded.event.name()).or_default() += 1;
        tables.apply(&recorded);
    }
    let exchange = &tables.exchange;
    assert_eq!((exchange.users.len(), exchange.open_calls.len()), (40, 0));
    assert_eq!(exchange.recorded_at, ENDS);
    assert!(exchange.registrations.values().all(|registration| registration.bindings.len() == 1));
    // Each of the registered phones has a lease that goes on behind the end.
    assert_eq!(leases::check(folder.path(), reader.book().unwrap()).unwrap(), []);
    assert!(kinds.len() > 25, "{kinds:?}");
    assert!(kinds["CallPlaced"] > 1000 && kinds["CallPlaced"] == kinds["CallEnded"], "{kinds:?}");
}

#[tokio::test]
async fn the_seed_says_what_happens() {
    let told = |folder: &tempfile::TempDir| {
        let reader = SegmentReader::open(folder.path()).unwrap();
        let envelopes = reader.records(Position(1), None).map(|recorded| {
            let recorded = recorded.unwrap();
            let envelope = recorded.envelope;
            (recorded.event.name(), envelope.recorded_at, envelope.command, envelope.subjects)
        });
        envelopes.collect::<Vec<_>>()
    };
    let (one, same, other) = (book(1).await, book(1).await, book(2).await);
    assert_eq!(told(&one), told(&same));
    assert_ne!(told(&one), told(&other));
}
