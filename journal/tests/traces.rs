//! Power cuts at every write point of recorded runs. A run of the whole book (segments, watermark, vault, leases, with
//! sled beside it) is recorded once; then, for each moment at which the disk was another one, the folders that a power
//! cut there could have left are made and opened. `SWITCHBOOK_TRACES` sets the number of runs.
//!
//! Longer than 500 lines: recorder, disk and story are of no use without each other.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use support::*;
use switchbook_core::envelope::{Actor, Recorded};
use switchbook_core::event::Event;
use switchbook_core::id::SecretId;
use switchbook_core::personal::{KeyId, Reading};
use switchbook_core::position::{Moment, Position};
use switchbook_core::registration::BindingId;
use switchbook_core::user::{PasswordSet, SecretRef};
use switchbook_journal::faults::{Cut, SimDisk, Trace};
use switchbook_journal::{Book, EventReader, EventStore, Opened, Options, SegmentReader};
use uuid::Uuid;

/// What was answered to somebody, as notes in the record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Note {
    /// The book up to here was acknowledged.
    Acknowledged(u64),
    /// A lease of a device was renewed until then; nothing is promised yet.
    Renewed(u64, u64),
    /// Leases of a device until then are on disk.
    LeaseKept(u64, u64),
    /// The lease of a device is being removed.
    LeaseGoes(u64),
    /// It is gone, on disk too.
    LeaseGone(u64),
    /// A secret was forgotten.
    Forgotten(u64),
    /// The key of a person is being destroyed.
    Erasing(u64),
    /// It is destroyed.
    Erased(u64),
}

impl Note {
    fn write(self) -> u64 {
        let (kind, a, b) = match self {
            Self::Acknowledged(a) => (1, a, 0),
            Self::Renewed(a, b) => (2, a, b),
            Self::LeaseKept(a, b) => (3, a, b),
            Self::LeaseGoes(a) => (4, a, 0),
            Self::LeaseGone(a) => (5, a, 0),
            Self::Forgotten(a) => (6, a, 0),
            Self::Erasing(a) => (7, a, 0),
            Self::Erased(a) => (8, a, 0),
        };
        kind << 56 | a << 32 | b
    }

    fn read(note: u64) -> Self {
        let (a, b) = (note >> 32 & 0xff_ffff, note & 0xffff_ffff);
        match note >> 56 {
            1 => Self::Acknowledged(a),
            2 => Self::Renewed(a, b),
            3 => Self::LeaseKept(a, b),
            4 => Self::LeaseGoes(a),
            5 => Self::LeaseGone(a),
            6 => Self::Forgotten(a),
            7 => Self::Erasing(a),
            _ => Self::Erased(a),
        }
    }
}

/// xorshift64*, as in the layer.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) % below
    }
}

type Folder = BTreeMap<PathBuf, Vec<u8>>;

/// A recorded run.
struct Run {
    folder: tempfile::TempDir,
    trace: Trace,
    /// Every record that was given to the book, in order.
    given: Vec<Recorded>,
    /// How sled's folder was, and how many operations on the book's files had been done.
    index: Vec<(usize, Folder)>,
}

fn options(disk: &SimDisk, index: bool) -> Options {
    Options {
        files: Arc::new(disk.clone()),
        index,
        index_cache: 1024 * 1024,
        segment_bytes: 3000,
        beat: Duration::from_millis(1),
        ..Options::default()
    }
}

fn secret(n: u64) -> SecretRef {
    SecretRef { id: SecretId(Uuid::from_u128(n.into())), version: 1 }
}

fn content(secret: SecretRef) -> Vec<u8> {
    format!("hash of {}", secret.id).into_bytes()
}

/// The person that a record number is about.
fn person(number: u64) -> u128 {
    u128::from(number) + 1000
}

struct Recorder<'a> {
    disk: SimDisk,
    random: Random,
    run: &'a mut Run,
    /// Ends of leases, in seconds, so that they fit a note.
    clock: u64,
    secrets: Vec<SecretRef>,
}

impl Run {
    async fn record(seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (trace, given, index) = Default::default();
        let mut run = Self { folder, trace, given, index };
        let path = run.folder.path().to_path_buf();
        let disk = SimDisk::new(seed);
        disk.record();
        let random = Random::new(seed);
        let mut recorder = Recorder { disk, random, run: &mut run, clock: 1, secrets: Vec::new() };
        for life in 0..3 {
            let index = life != 1;
            let opened = Book::open(&path, options(&recorder.disk, index)).unwrap();
            recorder.live(&opened).await;
            if index {
                // What it has not taken in yet, it may be in the middle of.
                recorder.look_at_index();
            }
            if recorder.random.below(2) == 0 {
                recorder.disk = recorder.disk.process_death();
            }
            drop(opened);
            recorder.look_at_index();
        }
        let trace = recorder.disk.trace();
        run.trace = trace;
        run
    }
}

impl Recorder<'_> {
    fn note(&self, note: Note) {
        self.disk.note(note.write());
    }

    fn look_at_index(&mut self) {
        let folder = index_folder(self.run.folder.path());
        self.run.index.push((self.disk.recorded(), folder));
    }

    async fn live(&mut self, opened: &Opened) {
        for _ in 0..4 {
            self.append(opened).await;
            match self.random.below(8) {
                0 => self.supersede(opened).await,
                1 => self.erase(opened),
                2 => self.remove_lease(opened),
                _ => self.renew_lease(opened),
            }
        }
    }

    /// One to three commands at once, which share a write.
    async fn append(&mut self, opened: &Opened) {
        let store = &opened.store;
        let mut waiting = Vec::new();
        for _ in 0..=self.random.below(3) {
            let first = Position(self.run.given.len() as u64 + 1);
            let mut events = vec![user_added(person(first.0), &format!("user {first}"))];
            events.extend((0..self.random.below(3)).map(|_| registered(first.0.into())));
            events.iter_mut().for_each(|event| store.seal(event).unwrap());
            let commit = commit(first, Actor::Admin(user(1)), command(first.0.into()), events);
            self.run.given.extend(commit.records.iter().cloned());
            let mut append = store.append(vec![commit]);
            // The first poll puts it into the queue, so that they stand in this order.
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            match append.as_mut().poll(&mut context) {
                std::task::Poll::Ready(position) => self.acknowledged(position.unwrap()),
                std::task::Poll::Pending => waiting.push(append),
            }
        }
        for append in waiting {
            let position = append.await.unwrap();
            self.acknowledged(position);
        }
    }

    fn acknowledged(&self, position: Position) {
        self.note(Note::Acknowledged(position.0));
    }

    /// A new password: on disk before the event that names it, the one before forgotten after it.
    async fn supersede(&mut self, opened: &Opened) {
        let first = self.run.given.len() as u64 + 1;
        let new = secret(first);
        opened.vault.put_secret(new, &content(new)).unwrap();
        let set = PasswordSet { user: user(1), secret: new };
        let id = command(first.into());
        let commit = commit(Position(first), Actor::Admin(user(1)), id, vec![set.into()]);
        self.run.given.extend(commit.records.iter().cloned());
        let position = opened.store.append(vec![commit]).await.unwrap();
        self.acknowledged(position);
        if let Some(old) = self.secrets.last() {
            opened.vault.forget_secrets(&[*old]).unwrap();
            self.note(Note::Forgotten(old.id.0.as_u128() as u64));
        }
        self.secrets.push(new);
    }

    fn erase(&mut self, opened: &Opened) {
        let of = person(1);
        self.note(Note::Erasing(of as u64));
        opened.vault.destroy(KeyId::Person(user(of))).unwrap();
        self.note(Note::Erased(of as u64));
    }

    fn renew_lease(&mut self, opened: &Opened) {
        let of = self.random.below(3);
        self.clock += 10;
        self.note(Note::Renewed(of, self.clock));
        let end = Moment(0).plus_seconds(self.clock as i64);
        opened.leases.renew(device(of.into()), BindingId(1), end, 1);
        // Otherwise the book's own thread does it, at a moment of its own.
        if self.random.below(2) == 0 {
            opened.leases.flush().unwrap();
            self.note(Note::LeaseKept(of, self.clock));
        }
    }

    fn remove_lease(&mut self, opened: &Opened) {
        let of = self.random.below(3);
        self.note(Note::LeaseGoes(of));
        opened.leases.remove(device(of.into()), BindingId(1));
        opened.leases.flush().unwrap();
        self.note(Note::LeaseGone(of));
    }
}

fn index_folder(book: &Path) -> Folder {
    fn walk(at: &Path, below: &Path, into: &mut Folder) {
        for entry in std::fs::read_dir(at).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, below, into);
            } else if let Ok(bytes) = std::fs::read(&path) {
                into.insert(path.strip_prefix(below).unwrap().to_path_buf(), bytes);
            }
        }
    }
    let mut folder = Folder::new();
    for entry in std::fs::read_dir(book).unwrap().flatten() {
        if entry.file_name().to_str().unwrap().starts_with("index-") {
            walk(&entry.path(), book, &mut folder);
        }
    }
    folder
}

/// Sled's folder after a power cut: each page of each file from one of the looks before, files missing or short. Its
/// flush is not an fsync, so nothing of it is certain.
fn blend(looks: &[&Folder], random: &mut Random) -> Folder {
    const PAGE: usize = 4096;
    let mut out = Folder::new();
    for name in looks.iter().flat_map(|folder| folder.keys()) {
        let versions: Vec<&Vec<u8>> = looks.iter().filter_map(|folder| folder.get(name)).collect();
        if out.contains_key(name) || random.below(12) == 0 {
            continue;
        }
        let mut pick = || versions[random.below(versions.len() as u64) as usize];
        let length = pick().len();
        let mut bytes = Vec::with_capacity(length);
        while bytes.len() < length {
            let at = bytes.len();
            let page = pick().get(at..).unwrap_or_default();
            let take = page.len().min(PAGE).min(length - at);
            bytes.extend_from_slice(&page[..take]);
            bytes.resize((at + PAGE).min(length), 0);
        }
        out.insert(name.clone(), bytes);
    }
    out
}

fn put_index(book: &Path, folder: &Folder) {
    for entry in std::fs::read_dir(book).unwrap().flatten() {
        std::fs::remove_dir_all(entry.path()).unwrap();
    }
    for (name, bytes) in folder {
        std::fs::create_dir_all(book.join(name).parent().unwrap()).unwrap();
        std::fs::write(book.join(name), bytes).unwrap();
    }
}

/// What the world was told before a moment of the run.
#[derive(Default)]
struct Told {
    position: u64,
    /// Per device: kept at least until then; and at most, if it is there.
    leases: BTreeMap<u64, (Option<u64>, u64)>,
    gone: Vec<u64>,
    forgotten: Vec<u64>,
    erasing: Vec<u64>,
    erased: Vec<u64>,
}

impl Told {
    fn before(trace: &Trace, point: usize) -> Self {
        let mut told = Self::default();
        for note in trace.notes(point).map(Note::read) {
            match note {
                Note::Acknowledged(position) => told.position = told.position.max(position),
                Note::Renewed(device, end) => {
                    told.leases.entry(device).or_default().1 = end;
                    told.gone.retain(|gone| *gone != device);
                }
                Note::LeaseKept(device, end) => {
                    told.leases.entry(device).or_default().0 = Some(end)
                }
                Note::LeaseGoes(device) => told.leases.entry(device).or_default().0 = None,
                Note::LeaseGone(device) => told.gone.push(device),
                Note::Forgotten(secret) => told.forgotten.push(secret),
                Note::Erasing(user) => told.erasing.push(user),
                Note::Erased(user) => told.erased.push(user),
            }
        }
        told
    }
}

fn fail<T>(what: String) -> Result<T, String> {
    Err(what)
}

/// Everything that was promised holds in the folder that is left.
async fn check(run: &Run, told: &Told, opened: &Opened) -> Result<(), String> {
    let store = &opened.store;
    let tail = store.tail().0;
    if tail < told.position || tail > run.given.len() as u64 {
        return fail(format!("told {}, and there is {tail}", told.position));
    }
    let all = store.read(Position(1), usize::MAX).await.map_err(|error| error.to_string())?;
    let given = &run.given[..tail as usize];
    if all.len() != given.len() {
        return fail(format!("{} of {tail} records", all.len()));
    }
    let mut in_force = None;
    for (is, was) in all.iter().zip(given) {
        if is.envelope != was.envelope || !same(&is.event, &was.event) {
            return fail(format!("record {} is another one", was.envelope.position));
        }
        match &is.event {
            Event::UserAdded(event) if event.username.read() == Reading::Erased => {
                let known = told.erasing.iter().any(|of| user((*of).into()) == event.user);
                if !known {
                    return fail(format!("the key of {} is not in the vault", event.user));
                }
            }
            Event::PasswordSet(event) => in_force = Some(event.secret),
            _ => {}
        }
    }
    let next = run.given.get(tail as usize);
    if tail > 0
        && next.is_some_and(|next| next.envelope.command == all[tail as usize - 1].envelope.command)
    {
        return fail("the last commit is not whole".into());
    }
    if let Some(secret) = in_force
        && opened.vault.secret(secret).is_none_or(|there| *there != content(secret))
    {
        return fail(format!("the secret {} is named and not in the vault", secret.id));
    }
    for forgotten in &told.forgotten {
        if opened.vault.secret(secret(*forgotten)).is_some() {
            return fail(format!("the secret {forgotten} came back"));
        }
    }
    for erased in &told.erased {
        if !opened.vault.is_destroyed(KeyId::Person(user((*erased).into()))) {
            return fail(format!("the key of {erased} came back"));
        }
    }
    check_leases(told, opened)
}

fn check_leases(told: &Told, opened: &Opened) -> Result<(), String> {
    for (of, (least, most)) in &told.leases {
        let there = opened.leases.get(device((*of).into()), BindingId(1));
        let there = there.map(|lease| lease.expires_at.0 / 1_000_000);
        if let Some(least) = least
            && there.is_none_or(|there| there < *least as i64)
        {
            return fail(format!("the lease of {of} until {least} is {there:?}"));
        }
        // A second is added at each unclean start, and there were at most four.
        if there.is_some_and(|there| there > *most as i64 + 4) {
            return fail(format!("the lease of {of}, at most until {most}, is {there:?}"));
        }
        if told.gone.contains(of) && there.is_some() {
            return fail(format!("the lease of {of} came back"));
        }
    }
    Ok(())
}

/// The same event, whatever of it can be opened.
fn same(one: &Event, other: &Event) -> bool {
    use switchbook_journal::codec::Codec;
    let bytes = |event: &Event| {
        let mut out = Vec::new();
        Codec::Bincode.encode(event, &mut out).unwrap();
        out
    };
    bytes(one) == bytes(other)
}

/// Auditors read the folder as it lies there, before any server mends it.
fn check_reader(run: &Run, disk: &SimDisk) -> Result<(), String> {
    let there = disk.paths().iter().any(|path| path.extension().is_some_and(|e| e == "seg"));
    if !there {
        return Ok(());
    }
    let reader = SegmentReader::open_on(Arc::new(disk.clone()), run.folder.path());
    let reader = reader.map_err(|error| format!("the reader: {error}"))?;
    for (stored, was) in reader.stored(Position(1)).zip(&run.given) {
        let is = stored.map_err(|error| format!("the reader: {error}"))?.decoded.recorded;
        if is.envelope != was.envelope || !same(&is.event, &was.event) {
            return fail(format!("the reader shows another record {}", was.envelope.position));
        }
    }
    Ok(())
}

/// The book goes on: what is appended now survives the next power cut.
async fn check_going_on(run: &Run, disk: &SimDisk, opened: Opened) -> Result<(), String> {
    let tail = opened.store.tail();
    let told =
        append(&*opened.store, 1_000_000, vec![user_added(77, "after"), slot_added(5, 77)]).await;
    let disk = disk.cut(Cut::Nothing);
    drop(opened);
    let opened = Book::open(run.folder.path(), options(&disk, false)).map_err(|e| e.to_string())?;
    let last = opened.store.read(tail.next(), 9).await.map_err(|error| error.to_string())?;
    let whole = opened.store.tail() == told && last.len() == 2;
    if whole { Ok(()) } else { fail(format!("what went on at {tail} is gone")) }
}

async fn every_cut(seed: u64, run: &Run, cut: Cut) -> Result<u64, String> {
    let mut opens = 0;
    for (point, disk) in run.trace.cuts(cut, seed) {
        let place = |what: String| format!("seed {seed}, {cut:?} left at {point}: {what}");
        let told = Told::before(&run.trace, point);
        check_reader(run, &disk).map_err(place)?;
        let opened = Book::open(run.folder.path(), options(&disk, false));
        let opened = opened.map_err(|error| place(error.to_string()))?;
        check(run, &told, &opened).await.map_err(place)?;
        opens += 1;
        if point % 7 == 0 {
            check_going_on(run, &disk, opened).await.map_err(place)?;
        }
    }
    Ok(opens)
}

/// Sled's folder as any mixture of what it was: the answers are those of the segments.
async fn cuts_with_index(seed: u64, run: &Run) -> Result<(), String> {
    let mut random = Random::new(seed + 77);
    let points: Vec<usize> =
        (0..3).map(|_| random.below(run.trace.ops().len() as u64) as usize).collect();
    for (point, disk) in run.trace.cuts(Cut::Some, seed).filter(|(point, _)| points.contains(point))
    {
        let place = |what: String| format!("seed {seed}, with sled at {point}: {what}");
        let before = run.index.iter().filter(|(at, _)| *at <= point).map(|(_, folder)| folder);
        put_index(run.folder.path(), &blend(&before.collect::<Vec<_>>(), &mut random));
        let told = Told::before(&run.trace, point);
        let opened = Book::open(run.folder.path(), options(&disk, true));
        let opened = opened.map_err(|error| place(error.to_string()))?;
        // While it is taken up, and when it has everything.
        check(run, &told, &opened).await.map_err(place)?;
        check_index(run, &opened).await.map_err(place)?;
        until_indexed(&opened);
        check(run, &told, &opened).await.map_err(place)?;
        check_index(run, &opened).await.map_err(place)?;
    }
    Ok(())
}

fn until_indexed(opened: &Opened) {
    let began = std::time::Instant::now();
    while opened.store.indexed().is_none_or(|indexed| indexed < opened.store.tail()) {
        assert!(began.elapsed() < Duration::from_secs(60), "the index does not follow");
        std::thread::yield_now();
    }
}

async fn check_index(run: &Run, opened: &Opened) -> Result<(), String> {
    let tail = opened.store.tail().0;
    let Some(last) = tail.checked_sub(1).map(|last| &run.given[last as usize]) else {
        return Ok(());
    };
    let subject = last.envelope.subjects[0];
    let found =
        opened.store.history(subject, Position(1), 1000).await.map_err(|e| e.to_string())?;
    let naive =
        run.given[..tail as usize].iter().filter(|r| r.envelope.subjects.contains(&subject));
    let naive: Vec<Position> = naive.map(|r| r.envelope.position).collect();
    let found: Vec<Position> = found.iter().map(|r| r.envelope.position).collect();
    let outcome = opened.store.outcome(last.envelope.command).await.map_err(|e| e.to_string())?;
    let ours = |r: &&Recorded| r.envelope.command == last.envelope.command;
    let first = run.given.iter().find(ours).map(|r| r.envelope.position);
    let expected = first.map(|first| (first, Position(tail)));
    if found != naive || outcome != expected {
        return fail(format!(
            "history {found:?} for {naive:?}, outcome {outcome:?} for {expected:?}"
        ));
    }
    Ok(())
}

fn traces() -> u64 {
    std::env::var("SWITCHBOOK_TRACES").ok().and_then(|n| n.parse().ok()).unwrap_or(4)
}

#[tokio::test]
async fn no_power_cut_at_any_write_point_breaks_a_promise() {
    let (mut opens, mut points) = (0, 0);
    for seed in 0..traces() {
        let run = Run::record(seed).await;
        points += run.trace.ops().len();
        for cut in [Cut::Nothing, Cut::Everything, Cut::Some] {
            match every_cut(seed, &run, cut).await {
                Ok(many) => opens += many,
                Err(what) => panic!("{what}"),
            }
        }
        if let Err(what) = cuts_with_index(seed, &run).await {
            panic!("{what}");
        }
    }
    println!("{} runs, {points} write points, {opens} folders opened", traces());
}
