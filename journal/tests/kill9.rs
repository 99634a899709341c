//! kill -9 at any moment: a child appends and says what was acknowledged, the parent kills it and looks.
//! `SWITCHBOOK_KILL9_ROUNDS` sets the number of rounds.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use support::*;
use switchbook_core::envelope::Actor;
use switchbook_core::event::Event;
use switchbook_core::personal::Reading;
use switchbook_core::position::{Moment, Position};
use switchbook_core::registration::BindingId;
use switchbook_journal::{Book, EventReader, EventStore, Options, SegmentReader};

const CHILD: &str = "SWITCHBOOK_KILL9_CHILD";

fn options() -> Options {
    Options { segment_bytes: 256 * 1024, index_cache: 4 * 1024 * 1024, ..Options::default() }
}

/// Not a test: the process that is killed. Without its environment it does nothing.
#[test]
fn child() {
    let Some(folder) = std::env::var_os(CHILD) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(append_until_killed(Path::new(&folder)));
}

fn say(text: String) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").unwrap();
    out.flush().unwrap();
}

async fn append_until_killed(folder: &Path) {
    let opened = Book::open(folder, options()).unwrap();
    let store = opened.store;
    say(format!("\nopen {}", store.tail().0));
    let mut next = store.tail().next();
    let mut waiting = tokio::task::JoinSet::new();
    loop {
        let number = u128::from(next.0);
        let extra = (next.0 % 5) as usize;
        let mut events = vec![user_added(number, &format!("user {number}"))];
        events.extend((0..extra).map(|_| registered(number)));
        events.iter_mut().for_each(|event| store.seal(event).unwrap());
        let commit = commit(next, Actor::Admin(user(1)), command(number), events);
        next = Position(next.0 + 1 + extra as u64);
        opened.leases.renew(device(number % 50), BindingId(1), Moment(number as i64), 1);
        // As a Desk does: the next commands are decided while those before wait for the disk.
        let store = Arc::clone(&store);
        let mut appending = Box::pin(async move {
            let position = store.append(vec![commit]).await.unwrap();
            say(format!("ack {}", position.0));
        });
        // The first poll puts it into the queue, so that order is the order of this loop.
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        if appending.as_mut().poll(&mut context).is_pending() {
            waiting.spawn(appending);
        }
        while waiting.len() >= 16 {
            waiting.join_next().await.unwrap().unwrap();
        }
    }
}

fn rounds() -> u64 {
    std::env::var("SWITCHBOOK_KILL9_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(25)
}

#[tokio::test]
async fn no_acknowledged_event_is_lost_and_every_folder_opens_again() {
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut folder = tempfile::tempdir().unwrap();
    for round in 0..rounds() {
        if round % 8 == 7 {
            folder = tempfile::tempdir().unwrap();
        }
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let acknowledged = kill_one(folder.path(), Duration::from_micros(random % 60_000));
        check(folder.path(), acknowledged, round).await;
    }
}

/// Runs a child and kills it a while after its book is open; gives the last acknowledged position.
fn kill_one(folder: &Path, after: Duration) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(CHILD, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let opened = lines.find(|line| line.starts_with("open ")).expect("the child opens the book");
    let mut acknowledged: u64 = opened[5..].parse().unwrap();
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
    // A line that was cut by the kill is no acknowledgement that anybody read.
    for line in lines {
        if let Some(Ok(position)) = line.strip_prefix("ack ").map(str::parse) {
            acknowledged = acknowledged.max(position);
        }
    }
    acknowledged
}

async fn check(folder: &Path, acknowledged: u64, round: u64) {
    // The auditor's way first, as the dead process left it.
    let reader = SegmentReader::open(folder).unwrap();
    assert!(reader.tail().0 >= acknowledged, "round {round}: the reader ends at {}", reader.tail());
    let index = round.is_multiple_of(4);
    let opened = Book::open(folder, Options { index, ..options() }).unwrap();
    let tail = opened.store.tail().0;
    assert!(tail >= acknowledged, "round {round}: told {acknowledged}, there is {tail}");
    let all = opened.store.read(Position(1), usize::MAX).await.unwrap();
    assert_eq!(all.len() as u64, tail);
    let mut expected = 0;
    for (index, record) in all.iter().enumerate() {
        assert_eq!(record.envelope.position.0, index as u64 + 1);
        match &record.event {
            Event::UserAdded(event) => {
                assert_eq!(expected, 0, "round {round}: half a commit before {}", index + 1);
                assert!(matches!(event.username.read(), Reading::Known(_)), "round {round}");
                expected = record.envelope.position.0 % 5;
            }
            Event::PhoneRegistered(event) => {
                assert!(matches!(event.binding.contact.read(), Reading::Known(_)));
                expected -= 1;
            }
            _ => panic!("not written by the child"),
        }
    }
    assert_eq!(expected, 0, "round {round}: half a commit at the end");
    // The store may keep a whole commit that nobody was told of; the reader stops at what was certainly durable.
    assert!(reader.tail() <= opened.store.tail(), "round {round}");
}
