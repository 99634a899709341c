//! A book whose work is done by hand: for whoever drives time himself.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::path::Path;
use std::sync::Arc;
use support::*;
use switchbook_core::envelope::Actor;
use switchbook_core::position::{Moment, Position};
use switchbook_core::registration::BindingId;
use switchbook_journal::faults::SimDisk;
use switchbook_journal::{Book, EventReader, EventStore, Hands, Opened, Options};

fn open(disk: &SimDisk) -> (Opened, Hands) {
    let options = Options { files: Arc::new(disk.clone()), ..Options::default() };
    Book::open_by_hand(Path::new("/book"), options).unwrap()
}

/// One record at this position.
fn append(opened: &Opened, position: u64) -> impl Future<Output = bool> + Send + 'static {
    let mut event = user_added(position.into(), "somebody");
    opened.store.seal(&mut event).unwrap();
    let by = Actor::Admin(user(1));
    let commit = commit(Position(position), by, command(position.into()), vec![event]);
    let store = Arc::clone(&opened.store);
    async move { store.append(vec![commit]).await.is_ok() }
}

/// Every other task goes on until it waits for the hands.
async fn others_run() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn nobody_is_answered_and_nothing_written_before_the_hands_do_it() {
    let disk = SimDisk::new(1);
    let (opened, mut hands) = open(&disk);
    let answer = tokio::spawn(append(&opened, 1));
    others_run().await;
    assert!(hands.is_wanted() && !answer.is_finished());
    assert_eq!(opened.store.tail(), Position::START);
    hands.write();
    assert!(answer.await.unwrap());
    assert!(!hands.is_wanted());
    drop((opened, hands));
    let (again, _hands) = open(&disk.power_cut());
    assert_eq!((again.report.tail, again.report.clean), (Position(1), false));
}

#[tokio::test]
async fn leases_wait_for_the_beat_and_a_close_writes_what_still_waits() {
    let disk = SimDisk::new(2);
    let (opened, mut hands) = open(&disk);
    opened.leases.renew(device(1), BindingId(1), Moment(1_000_000), 1);
    let disk = disk.power_cut();
    drop((opened, hands));
    let (opened, hands_again) = open(&disk);
    assert_eq!(opened.leases.get(device(1), BindingId(1)), None);
    hands = hands_again;
    opened.leases.renew(device(1), BindingId(1), Moment(2_000_000), 2);
    hands.beat();
    opened.leases.renew(device(2), BindingId(1), Moment(3_000_000), 1);
    let answer = tokio::spawn(append(&opened, 1));
    others_run().await;
    drop(opened);
    hands.close();
    assert!(answer.await.unwrap());
    let (again, _hands) = open(&disk.process_death());
    assert_eq!((again.report.tail, again.report.clean), (Position(1), true));
    assert_eq!(again.leases.all().len(), 2);
}
