//! A disk that fails while the machine runs on: one operation at a time, at every place; reads that come short; syncs
//! that hang.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::path::Path;
use std::sync::Arc;
use support::*;
use switchbook_core::envelope::Actor;
use switchbook_core::position::{Moment, Position};
use switchbook_core::registration::BindingId;
use switchbook_journal::faults::{Cut, Fault, SimDisk};
use switchbook_journal::{AppendError, Book, EventReader, EventStore, Health, Opened, Options};

const FOLDER: &str = "/book";

fn open(disk: &SimDisk) -> Result<Opened, switchbook_journal::OpenError> {
    let files = Arc::new(disk.clone());
    // The book's own thread writes nothing between, so that the operations come in the same order every time.
    let beat = std::time::Duration::from_secs(3600);
    let options = Options { files, beat, index: false, segment_bytes: 2000, ..Options::default() };
    Book::open(Path::new(FOLDER), options)
}

/// Appends one command until it is acknowledged, as the Desk does after a disk failure.
async fn insist(opened: &Opened, number: u128) {
    let store = &opened.store;
    let mut tries = 0;
    loop {
        tries += 1;
        assert!(tries < 10, "the book does not come back");
        let mut event = user_added(number, "ada");
        store.seal(&mut event).unwrap();
        let events = vec![event, slot_added(number, number)];
        let one = commit(store.tail().next(), Actor::Admin(user(1)), command(number), events);
        match store.append(vec![one]).await {
            Ok(_) => return,
            Err(AppendError::OutcomeUnknown { .. } | AppendError::Stopped { .. }) => {
                assert!(matches!(store.health(), Health::ReadOnly { .. }));
                if store.resume().await.is_ok() {
                    // What was left open is certainly not in the book now, so nothing is done twice.
                    assert_eq!(store.outcome(command(number)).await.unwrap(), None);
                }
            }
            Err(other) => panic!("{other}"),
        }
    }
}

/// A life in which one operation fails. Gives whether there was so late an operation.
async fn live_with(after: u64, fault: Fault) -> bool {
    let disk = SimDisk::new(after);
    disk.fail_after(after, fault);
    let mut opened = None;
    for _ in 0..3 {
        opened = open(&disk).ok();
        if opened.is_some() {
            break;
        }
    }
    let opened = opened.expect("one failure only");
    for number in 1..=8 {
        insist(&opened, number).await;
        let end = Moment(0).plus_seconds(number as i64);
        opened.leases.renew(device(1), BindingId(1), end, 1);
        if opened.leases.flush().is_err() {
            opened.leases.flush().expect("one failure only");
        }
    }
    let happened = disk.has_failed();
    let cut = if after.is_multiple_of(2) { Cut::Nothing } else { Cut::Some };
    let disk = disk.cut(cut);
    drop(opened);
    let opened = open(&disk).unwrap();
    assert_eq!(opened.store.tail(), Position(16), "{fault:?} at {after}");
    let all = opened.store.read(Position(1), 99).await.unwrap();
    for (index, record) in all.iter().enumerate() {
        assert_eq!(record.envelope.command, command(index as u128 / 2 + 1));
        if let switchbook_core::event::Event::UserAdded(event) = &record.event {
            assert_eq!(event.username.read(), switchbook_core::personal::Reading::Known("ada"));
        }
    }
    let lease = opened.leases.get(device(1), BindingId(1)).unwrap();
    assert!(lease.expires_at >= Moment(0).plus_seconds(8));
    happened
}

#[tokio::test]
async fn one_failure_at_any_operation_costs_nothing_that_was_acknowledged() {
    for fault in [Fault::Io, Fault::NoSpace] {
        let mut after = 0;
        while live_with(after, fault).await {
            after += 1;
        }
        assert!(after > 60, "only {after} operations could fail");
    }
}

/// A short read must not look like the end of the file: a whole book could be cut back as a torn end.
#[tokio::test]
async fn reads_that_come_short_change_no_answer() {
    for seed in 0..50 {
        let disk = SimDisk::new(seed);
        {
            let opened = open(&disk).unwrap();
            for number in 1..=20 {
                insist(&opened, number).await;
            }
            opened.leases.renew(device(1), BindingId(1), Moment(5_000_000), 1);
        }
        // Closed properly in half the cases; the other half is checked to the end when it is opened.
        let disk = if seed % 2 == 0 { disk } else { disk.cut(Cut::Some) };
        disk.read_short();
        let opened = open(&disk).unwrap();
        assert_eq!((opened.report.tail, opened.report.cut_bytes), (Position(40), 0));
        assert_eq!(opened.store.read(Position(1), 99).await.unwrap().len(), 40);
        assert!(opened.vault.has_key(switchbook_core::personal::KeyId::Person(user(20))));
        assert!(opened.leases.get(device(1), BindingId(1)).is_some());
    }
}

#[tokio::test]
async fn a_slow_disk_holds_up_only_who_waits_for_it() {
    let disk = SimDisk::new(1);
    let opened = open(&disk).unwrap();
    insist(&opened, 1).await;
    let store = Arc::clone(&opened.store);
    disk.hang(Some(".seg"));
    let slow = tokio::spawn(async move {
        append(&*store, 2, vec![slot_added(2, 1)]).await;
    });
    let hangs = disk.clone();
    tokio::task::spawn_blocking(move || hangs.until_something_hangs()).await.unwrap();
    // Reading, refreshing and sealing go on; nothing of what hangs is shown.
    assert_eq!(opened.store.tail(), Position(2));
    assert_eq!(opened.store.read(Position(1), 9).await.unwrap().len(), 2);
    assert_eq!(opened.store.history(subject(1), Position(1), 9).await.unwrap().len(), 2);
    opened.leases.renew(device(1), BindingId(1), Moment(5_000_000), 1);
    opened.leases.flush().unwrap();
    opened.store.seal(&mut user_added(9, "bob")).unwrap();
    assert_eq!(opened.store.health(), Health::Writable, "slow is not broken");
    assert!(!slow.is_finished(), "answered before it is on disk");
    disk.hang(None);
    slow.await.unwrap();
    assert_eq!(opened.store.tail(), Position(3));
}

/// Snapshots are caches, and made the book read-only on a disk that was nearly full.
#[tokio::test]
async fn snapshots_take_no_room_from_the_book() {
    let disk = SimDisk::new(1);
    let opened = open(&disk).unwrap();
    let store = &opened.store;
    for number in 1..=6 {
        insist(&opened, number).await;
        store.put_snapshot("names/9", Position(2 * number as u64), vec![1; 40_000]).await.unwrap();
        store.put_snapshot("exchange/9", Position(2 * number as u64), vec![1; 500]).await.unwrap();
    }
    // Room for this one, and not for the book's next segments.
    disk.limit(Some(disk.used() + 9000));
    let refused = store.put_snapshot("names/9", Position(12), vec![1; 6000]).await.unwrap_err();
    assert!(refused.to_string().contains("8000 stay free"), "{refused}");
    // Somebody else fills the disk: the book takes back what the snapshots have.
    disk.limit(Some(disk.used()));
    for number in 7..=8 {
        insist(&opened, number).await;
    }
    let newest = store.snapshot("names/9", Position(99)).await.unwrap();
    assert_eq!(newest.map(|(at, _)| at), Some(Position(12)), "the earliest went first");
    assert!(disk.refusals() > 0);
}
