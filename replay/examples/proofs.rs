//! How long proofs take over a large book: `cargo run --release -p switchbook-replay --example proofs [RECORDS]`.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::time::Instant;
use switchbook_core::envelope::{Actor, Envelope, Recorded};
use switchbook_core::event::Event;
use switchbook_core::id::{CommandId, CorrelationId, GroupId, SecretId};
use switchbook_core::position::{Moment, Position};
use switchbook_core::seal::{BookSealed, Root, SealingKeyMade};
use switchbook_core::user::SecretRef;
use switchbook_journal::note::{Checkpoint, KeyKind, SignedNote, Signer};
use switchbook_journal::{Book, Commit, EventReader, EventStore, Options, SegmentReader};
use switchbook_replay::evidence::prove::Prover;
use uuid::Uuid;

fn recorded(position: u64, event: Event) -> Recorded {
    let command = CommandId(Uuid::from_u128(u128::from(position)));
    let envelope = Envelope {
        position: Position(position),
        recorded_at: Moment(position as i64),
        moment: Moment(position as i64),
        actor: Actor::System,
        on_behalf_of: None,
        source: None,
        cause: None,
        correlation: CorrelationId(command.0),
        command,
        subjects: event.subjects(),
    };
    Recorded { envelope, event }
}

async fn write(folder: &Path, records: u64) {
    let book = Book::open(folder, Options::default()).unwrap().store;
    let group = GroupId(Uuid::from_u128(7));
    let title = "a title as long as most events are, with some words in it that say nothing";
    let event = || switchbook_core::group::GroupRetitled { group, title: title.into() }.into();
    let mut next = 1;
    while next <= records {
        let last = (next + 8191).min(records);
        let commits = (next..=last).map(|n| Commit { records: vec![recorded(n, event())] });
        book.append(commits.collect()).await.unwrap();
        next = last + 1;
    }
    let began = Instant::now();
    let tree = book.tree();
    let signer = Signer::new("pbx.example/5b", KeyKind::Log, &[1; 32]).unwrap();
    let (size, root) = (tree.leaves(), tree.root());
    let note =
        SignedNote::sign(&Checkpoint { origin: "pbx.example/5b".into(), size, root }, &signer);
    println!("sealing {size} records: {:?}", began.elapsed());
    let secret = SecretRef { id: SecretId(Uuid::from_u128(9)), version: 1 };
    let made = SealingKeyMade { secret, verifier: signer.verifier().to_string() };
    let (key, checkpoint) = (Position(next), note.to_string());
    let seal = BookSealed { size, root: Root(root), key, checkpoint };
    for (at, event) in [(next, Event::from(made)), (next + 1, Event::from(seal))] {
        book.append(vec![Commit { records: vec![recorded(at, event)] }]).await.unwrap();
    }
    let began = Instant::now();
    while book.indexed().is_none_or(|upto| upto.0 + 4096 < book.tail().0) {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    println!("the index follows: {:?}", began.elapsed());
}

fn prove(folder: &Path, records: u64, with: &str) {
    let began = Instant::now();
    let reader = SegmentReader::open(folder).unwrap();
    let opened = began.elapsed();
    let mut read = 0;
    let mut prover = Prover::open(&reader, folder, &mut |so_far| {
        read = so_far;
        true
    })
    .unwrap();
    let proof = prover.inclusion(Position(records / 3), None).unwrap();
    let (all, hashes) = (began.elapsed(), proof.path.len());
    println!(
        "{with}: reading the folder {opened:?}; with the proof {all:?}; {hashes} hashes; {read} records read for tiles"
    );
    let began = Instant::now();
    for n in 1..=100 {
        prover.inclusion(Position(records / 101 * n + 1), None).unwrap();
    }
    println!("{with}: a hundred more, all over the book: {:?}", began.elapsed());
}

fn main() {
    let records = std::env::args().nth(1).map_or(5_000_000, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let began = Instant::now();
    runtime.block_on(write(folder.path(), records));
    println!("writing: {:?}", began.elapsed());
    prove(folder.path(), records, "with the tree's cache");
    std::fs::remove_file(folder.path().join("tree")).unwrap();
    prove(folder.path(), records, "without it");
}
