//! A snapshot's name tells its shape and its fold: when the bytes of a fixed fold change, the number in the name must.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "../../journal/tests/samples/mod.rs"]
mod samples;
#[path = "../../journal/tests/support/mod.rs"]
mod support;

use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use switchbook_core::envelope::Actor;
use switchbook_core::event::Event;
use switchbook_core::exchange::Exchange;
use switchbook_core::position::Position;
use switchbook_journal::{EventStore, MemoryStore};
use switchbook_projections::fold::{Tables, exchange_at};
use switchbook_projections::snapshot::{self, closed};

/// Add a row under the new name; a row that was released is never changed.
const ROWS: &[(&str, &str)] = &[
    ("exchange/2", "82e64f767bd0f13676c9e51d18bc0a3556581c1fb6b47e9c6fb1dd5f924fe2f1"),
    ("names/2", "1f834c4cce9f53ca9df7209438111c7e4ba03b8e6f75d9dd1280a8f1971e53fd"),
    ("call_log/2", "d46bdd7b0a8657888a94c6218a7985e66011e22b52ba9a748da42fda85777b8c"),
    ("exchange/3", "e3071ee83ba30af37786b6c76a9022cc3370044ef4889abd4388135d0ddedb45"),
    ("names/3", "20518b091fb4f23f8e326e2ba9a8e3ea575808ce4d3a61aee89ad7edaed12016"),
    ("call_log/3", "0283551ae7265068e58bbf2698c61790042639e651da1cedee5eed72273278ca"),
    ("exchange, canonical", "e3071ee83ba30af37786b6c76a9022cc3370044ef4889abd4388135d0ddedb45"),
    ("exchange/4", "f37e976783ac02c80b24a365b549ec961e6d77d6b0a04768a39640d71ad988ad"),
];

/// What makes things, then what changes them, then what takes them away, last made first; then all of it by tag.
fn fixed() -> Vec<Event> {
    const MAKE: [&str; 5] = ["Founded", "Added", "NumberAssigned", "PhoneRegistered", "Placed"];
    const TAKE: [&str; 9] = [
        "Deleted",
        "Removed",
        "Freed",
        "Withdrawn",
        "LoggedOut",
        "Unblocked",
        "Expired",
        "Ended",
        "Lost",
    ];
    let of = |ends: &[&str], event: &Event| ends.iter().any(|end| event.name().ends_with(end));
    let (make, rest): (Vec<_>, Vec<_>) =
        samples::samples().into_iter().partition(|event| of(&MAKE, event));
    let (take, change): (Vec<_>, Vec<_>) = rest.into_iter().partition(|event| of(&TAKE, event));
    let again = samples::samples();
    make.into_iter().chain(change).chain(take.into_iter().rev()).chain(again).collect()
}

#[test]
fn the_name_of_a_snapshot_changes_with_its_shape_and_its_fold() {
    let by = Actor::Admin(samples::USER);
    let commit = support::commit(Position(1), by, support::command(1), fixed());
    let mut tables = Tables::default();
    let mut sums: BTreeMap<&str, Sha256> = BTreeMap::new();
    // Every step counts: what is made and taken away again is seen in between.
    for recorded in &commit.records {
        tables.apply(recorded);
        for (name, bytes) in tables.snapshots() {
            sums.entry(name).or_default().update(&bytes);
        }
        // What state hashes are taken of, which auditors write down.
        let canonical = snapshot::canonical(&tables.exchange);
        sums.entry("exchange, canonical").or_default().update(&canonical);
    }
    let found = sums.into_iter().map(|(name, sum)| {
        let sum = sum.finalize();
        (name, sum.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    });
    let wrong: Vec<_> =
        found.filter(|(name, sum)| !ROWS.contains(&(*name, sum.as_str()))).collect();
    assert!(
        wrong.is_empty(),
        "shape or fold has changed, or an event is new: give these the next number in \
         projections/src/snapshot.rs, and rows under it here: {wrong:#?}"
    );
}

#[tokio::test]
async fn a_snapshot_under_another_name_is_not_found() {
    let store = MemoryStore::default();
    support::append(&store, 1, vec![samples::samples()[0].clone()]).await;
    let other = Exchange { position: Position(1), ..Exchange::default() };
    let other = snapshot::encode(&other);
    for name in ["exchange", "exchange/3", "exchange/5"] {
        store.put_snapshot(name, Position(1), other.clone()).await.unwrap();
    }
    let exchange = exchange_at(&store, Position(1), &closed()).await.unwrap();
    assert!(exchange.settings.is_some(), "it was taken from a snapshot of another shape");
}
