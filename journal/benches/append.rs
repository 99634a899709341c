//! Durable append with 1, 64 and 1,024 waiting writers, beside a bare program that writes and syncs the same bytes in
//! the same groups, turn by turn; and how fast records are checked and decoded.

#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../tests/support/mod.rs"]
mod support;

use criterion::{Criterion, Throughput};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};
use support::{command, commit, registered};
use switchbook_core::envelope::Actor;
use switchbook_core::event::Event;
use switchbook_core::position::Position;
use switchbook_journal::codec::Codec;
use switchbook_journal::record::encode_record;
use switchbook_journal::{
    Book, EventReader, EventStore, Options, SegmentReader, Written, decode_record,
};

/// So many writers append one event each, again and again, until so many are durable.
async fn append(store: &Arc<Book>, event: &Event, writers: u64, each: u64) -> Duration {
    let next = Arc::new(std::sync::Mutex::new(store.tail().next()));
    let start = Instant::now();
    let tasks: Vec<_> = (0..writers)
        .map(|_| {
            let (store, event, next) = (Arc::clone(store), event.clone(), Arc::clone(&next));
            tokio::spawn(async move {
                for _ in 0..each {
                    let (mut appending, at_once) = {
                        // Position and place in the queue are taken together, as by the Desk.
                        let mut next = next.lock().unwrap();
                        let id = command(u128::from(next.0));
                        let by = Actor::Phone(support::device(1));
                        let commit = commit(*next, by, id, vec![event.clone()]);
                        *next = next.next();
                        let mut appending = store.append(vec![commit]);
                        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
                        let polled = appending.as_mut().poll(&mut context);
                        (appending, polled)
                    };
                    match at_once {
                        Poll::Ready(position) => position.unwrap(),
                        Poll::Pending => {
                            std::future::poll_fn(|context| appending.as_mut().poll(context))
                                .await
                                .unwrap()
                        }
                    };
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    start.elapsed()
}

/// Writes and syncs so many bytes in so many groups.
fn bare(file: &File, offset: &mut u64, bytes: u64, groups: u64) -> Duration {
    let group = vec![0x5a; (bytes / groups) as usize];
    let start = Instant::now();
    for _ in 0..groups {
        file.write_all_at(&group, *offset).unwrap();
        file.sync_data().unwrap();
        *offset += group.len() as u64;
    }
    start.elapsed()
}

fn since(before: Written, after: Written) -> Written {
    Written {
        groups: after.groups - before.groups,
        records: after.records - before.records,
        bytes: after.bytes - before.bytes,
    }
}

fn beside_bare() {
    let folder = tempfile::tempdir_in(".").unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    println!("writers   events/s  groups  events/group   bare events/s   ratio");
    for writers in [1, 64, 1024] {
        let path = folder.path().join(format!("book-{writers}"));
        let store = Book::open(&path, Options::default()).unwrap().store;
        let file = File::create_new(folder.path().join(format!("bare-{writers}"))).unwrap();
        let mut offset = 0;
        let mut event = registered(1);
        store.seal(&mut event).unwrap();
        let (mut ours, mut theirs, mut written) = (Duration::ZERO, Duration::ZERO, store.written());
        let begin = written;
        for _ in 0..12 {
            let each = (6000 / writers).clamp(20, 1000);
            ours += runtime.block_on(append(&store, &event, writers, each));
            let now = store.written();
            let turn = since(written, now);
            written = now;
            theirs += bare(&file, &mut offset, turn.bytes, turn.groups);
        }
        let all = since(begin, written);
        println!(
            "{writers:7} {:10.0} {:7} {:13.1} {:15.0} {:7.2}",
            all.records as f64 / ours.as_secs_f64(),
            all.groups,
            all.records as f64 / all.groups as f64,
            all.records as f64 / theirs.as_secs_f64(),
            theirs.as_secs_f64() / ours.as_secs_f64(),
        );
    }
}

fn decoding(criterion: &mut Criterion) {
    let mut event = registered(1);
    let store = switchbook_journal::MemoryStore::default();
    store.seal(&mut event).unwrap();
    let one = commit(Position(1), Actor::Phone(support::device(1)), command(1), vec![event]);
    let mut body = Vec::new();
    encode_record(&one.records[0], true, Position(0), Codec::Bincode, &mut body).unwrap();
    let mut group = criterion.benchmark_group("record");
    group.throughput(Throughput::Elements(1));
    group.bench_function("decode", |bench| bench.iter(|| decode_record(&body).unwrap()));
    group.bench_function("encode", |bench| {
        let mut out = Vec::new();
        bench.iter(|| {
            out.clear();
            encode_record(&one.records[0], true, Position(0), Codec::Bincode, &mut out).unwrap();
        });
    });
    group.finish();
}

fn replaying(criterion: &mut Criterion) {
    const RECORDS: u64 = 200_000;
    let folder = tempfile::tempdir_in(".").unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let opened = Book::open(folder.path(), Options { index: false, ..Options::default() }).unwrap();
    let mut event = registered(1);
    opened.store.seal(&mut event).unwrap();
    runtime.block_on(append(&opened.store, &event, 1000, RECORDS / 1000));
    let reader = SegmentReader::open(folder.path()).unwrap();
    let mut group = criterion.benchmark_group("replay");
    group.throughput(Throughput::Elements(RECORDS)).sample_size(10);
    group.bench_function("check and hash only", |bench| bench.iter(|| reader.scrub().unwrap()));
    group.bench_function("check, hash, decode", |bench| {
        bench.iter(|| reader.records(Position(1), None).map(Result::unwrap).count());
    });
    group.bench_function("check, hash, decode, open seals", |bench| {
        bench.iter(|| reader.records(Position(1), Some(&opened.vault)).map(Result::unwrap).count());
    });
    group.finish();
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or("");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or(0) / 1024
}

/// A large book: what the index costs, how long it takes to open, and what a question costs then.
fn large(events: u64) {
    let folder = tempfile::tempdir_in(".").unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let seconds = |start: Instant| start.elapsed().as_secs_f64();
    {
        let options = Options { index: false, ..Options::default() };
        let store = Book::open(folder.path(), options).unwrap().store;
        let mut kinds: Vec<Event> = (0..10_000).map(registered).collect();
        kinds.iter_mut().for_each(|event| store.seal(event).unwrap());
        let start = Instant::now();
        let by = Actor::Phone(support::device(1));
        while store.tail().0 < events {
            let first = store.tail().0 + 1;
            let group = (first..first + 4096).map(|n| {
                let event = kinds[(n % 10_000) as usize].clone();
                commit(Position(n), by, command(u128::from(n)), vec![event])
            });
            runtime.block_on(store.append(group.collect())).unwrap();
        }
        println!("wrote {events} events in {:.1} s, {} MiB resident", seconds(start), resident());
    }
    let mut tail = 0;
    for turn in ["without index", "indexed", "again"] {
        let start = Instant::now();
        let store = Book::open(folder.path(), Options::default()).unwrap().store;
        println!("{turn}: open in {:.3} s, {} MiB resident", seconds(start), resident());
        while store.indexed().is_none_or(|indexed| indexed < store.tail()) && seconds(start) < 120.0
        {
            if store.indexed().is_some_and(|indexed| indexed.0 + 4096 > store.tail().0) {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        println!("{turn}: index there after {:.1} s, {} MiB resident", seconds(start), resident());
        tail = store.tail().0;
        for from in [1, tail / 2, tail - 100_000] {
            let start = Instant::now();
            let subject = switchbook_core::envelope::Subject::Device(support::device(77));
            let found = runtime.block_on(store.history(subject, Position(from), 5)).unwrap();
            let history = start.elapsed();
            let start = Instant::now();
            let read = runtime.block_on(store.read(Position(from), 100)).unwrap().len();
            let reading = start.elapsed();
            println!(
                "  from {from}: {} of a history in {history:?}, {read} records in {reading:?}",
                found.len()
            );
        }
    }
    println!("{tail} events");
}

fn main() {
    if let Some(events) = std::env::var("SWITCHBOOK_BENCH_EVENTS").ok().and_then(|n| n.parse().ok())
    {
        return large(events);
    }
    beside_bare();
    let mut criterion = Criterion::default().configure_from_args();
    decoding(&mut criterion);
    replaying(&mut criterion);
    criterion.final_summary();
}
