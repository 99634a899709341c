//! The walk from the first record to the last: tree, commits, seals, tables, personal fields.

use super::{Check, NotVerified, Verified};
use crate::as_of::state_hash;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, Builder};
use switchbook_core::envelope::Recorded;
use switchbook_core::event::Event;
use switchbook_core::id::CommandId;
use switchbook_core::personal::{HasPersonal, KeyId};
use switchbook_core::position::{Moment, Position};
use switchbook_core::seal::{BookSealed, Root};
use switchbook_core::user::SecretRef;
use switchbook_journal::merkle::{Frontier, Hash};
use switchbook_journal::note::{Chain, SignedNote, Verifier};
use switchbook_journal::{ReadError, SegmentReader, SnapshotFolder, StoredRecord, Vault};
use switchbook_projections::fold::Tables;
use switchbook_projections::snapshot::NAMES_OF_ALL;
use switchbook_projections::text;

/// A seal is made within moments of what it seals.
const LATELY: usize = 8192;
/// So often somebody hears how far it is.
const TELL: u64 = 4096;

/// Records are read, checked and decoded on another thread while those before them are folded: so many or so many bytes at
/// once, and so often before somebody has to wait.
const BATCH: usize = 256;
const BYTES: usize = 256 * 1024;
const WAITING: usize = 4;

type Batch = Vec<Result<StoredRecord, ReadError>>;

/// Ends behind the last record or the first error, or when nobody listens any more.
fn read_ahead(reader: &SegmentReader, read: &SyncSender<Batch>) {
    let (mut batch, mut bytes) = (Batch::with_capacity(BATCH), 0);
    for record in reader.stored(Position(1)) {
        bytes += record.as_ref().map_or(0, |record| record.body.len());
        batch.push(record);
        if batch.len() >= BATCH || bytes >= BYTES {
            if read.send(std::mem::take(&mut batch)).is_err() {
                return;
            }
            bytes = 0;
        }
    }
    // Whoever listens no more needs no rest.
    let _ = read.send(batch);
}

pub(super) struct Walk<'a> {
    reader: &'a SegmentReader,
    vault: Option<&'a Vault>,
    out: &'a mut Verified,
    tree: Frontier,
    /// The tree as it was after each of the newest records.
    lately: VecDeque<Frontier>,
    /// Roots at the sizes of the checkpoints from outside.
    wanted: BTreeMap<u64, Option<Hash>>,
    folder: Option<SnapshotFolder>,
    /// Which snapshots there are where. Each is read when the walk comes by: all of them are larger than the memory.
    snapshots: BTreeMap<Position, Vec<String>>,
    tables: Tables,
    recorded_at: Moment,
    /// The command of a commit whose last record has not come yet.
    open: Option<CommandId>,
    /// Keys that personal fields name and the vault does not know, with the first record that does.
    lost: BTreeMap<KeyId, Position>,
    /// The book's first key, and the checkpoints with which one handed over to the next.
    first_key: Option<Verifier>,
    hand_overs: Vec<SignedNote>,
    /// The newest seal: it covers what those before it do.
    newest: Option<(String, Position, SignedNote)>,
    /// A key that was replaced, as long as the checkpoint that hands over has not come.
    former: Option<(Position, String)>,
    /// A record was wrong: what stands behind it was not read.
    broken: bool,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        reader: &'a SegmentReader,
        vault: Option<&'a Vault>,
        folder: Option<SnapshotFolder>,
        outside: &[(String, SignedNote)],
        out: &'a mut Verified,
    ) -> Self {
        let mut by_position: BTreeMap<Position, Vec<String>> = BTreeMap::new();
        for (name, at) in folder.iter().flat_map(SnapshotFolder::list) {
            if NAMES_OF_ALL.contains(&name.as_str()) {
                by_position.entry(at).or_default().push(name);
            } else {
                out.unchecked.push(text!(
                    "the snapshot {name} at {at} is of another version: nobody reads it",
                    "das Abbild {name} bei {at} ist von einer anderen Version: Niemand liest es"
                ));
            }
        }
        let sizes = outside.iter().filter_map(|(_, note)| note.checkpoint().ok());
        Self {
            reader,
            vault,
            out,
            tree: Frontier::default(),
            lately: VecDeque::new(),
            wanted: sizes.map(|checkpoint| (checkpoint.size, None)).collect(),
            folder,
            snapshots: by_position,
            tables: Tables::default(),
            recorded_at: Moment(i64::MIN),
            open: None,
            lost: BTreeMap::new(),
            first_key: None,
            hand_overs: Vec::new(),
            newest: None,
            former: None,
            broken: false,
        }
    }

    /// Reads everything, or up to the first record that is wrong: what stands behind that proves nothing.
    pub(super) fn run(&mut self, told: &mut dyn FnMut(u64) -> bool) -> Result<(), NotVerified> {
        self.out.segments = self.reader.spans().len();
        let reader = self.reader;
        let (read, coming) = sync_channel(WAITING);
        thread::scope(|scope| {
            let reading = Builder::new().name("verify-reads".into());
            match reading.spawn_scoped(scope, move || read_ahead(reader, &read)) {
                Ok(_) => self.over(coming.into_iter().flatten(), told),
                Err(_) => self.over(reader.stored(Position(1)), told),
            }
        })
    }

    fn over(
        &mut self,
        records: impl Iterator<Item = Result<StoredRecord, ReadError>>,
        told: &mut dyn FnMut(u64) -> bool,
    ) -> Result<(), NotVerified> {
        for stored in records {
            match stored {
                Ok(stored) => {
                    if !self.record(stored) {
                        self.broken = true;
                        return Ok(());
                    }
                }
                Err(ReadError::Closed) => return Err(NotVerified::Stopped),
                Err(error) => {
                    self.out.unreadable("segments", &error);
                    self.broken = true;
                    return Ok(());
                }
            }
            if self.tree.leaves().is_multiple_of(TELL) && !told(self.tree.leaves()) {
                return Err(NotVerified::Stopped);
            }
        }
        if let Some(damage) = self.reader.damage() {
            self.out.damaged(damage);
            self.broken = true;
        }
        Ok(())
    }

    /// One record; `false` when it makes no sense to go on.
    fn record(&mut self, stored: StoredRecord) -> bool {
        let StoredRecord { decoded, segment, offset, leaf, .. } = stored;
        let file = format!("segments/{:020}.seg", segment.0);
        let envelope = &decoded.recorded.envelope;
        let position = envelope.position;
        let wrong = |out: &mut Verified, byte: u64, what| {
            out.found(&file, Some(byte), Some(position), what);
            false
        };
        if segment == position
            && self.reader.tree_before(segment).is_some_and(|before| before != self.tree)
        {
            let what = text!(
                "the records before it are not those that this segment was begun behind",
                "die Einträge davor sind nicht die, nach denen dieses Segment begonnen wurde"
            );
            return wrong(self.out, 64, what);
        }
        if envelope.recorded_at < self.recorded_at {
            let what = text!(
                "it was recorded before the record before it",
                "er wurde vor dem Eintrag davor aufgezeichnet"
            );
            return wrong(self.out, offset, what);
        }
        if self.open.is_some_and(|command| command != envelope.command) {
            let what = text!(
                "the commit before it is not whole",
                "der Befehl davor ist nicht vollständig"
            );
            return wrong(self.out, offset, what);
        }
        if decoded.recorded.event.subjects() != envelope.subjects {
            let what = text!(
                "it names other objects than its event concerns",
                "er nennt andere Objekte, als sein Ereignis betrifft"
            );
            return wrong(self.out, offset, what);
        }
        self.recorded_at = envelope.recorded_at;
        self.open = (!decoded.last_of_commit).then_some(envelope.command);
        match &decoded.recorded.event {
            Event::BookSealed(seal) => self.seal(&file, offset, position, seal),
            Event::SealingKeyMade(made) => {
                let there = self.tables.exchange.seals.key.as_ref();
                // The oldest one whose word has not come: a key that follows cannot speak for it.
                if self.former.is_none() {
                    self.former = there.map(|key| (position, key.value.verifier.clone()));
                }
                if there.is_none() {
                    self.first_key = made.verifier.parse().ok();
                }
            }
            _ => {}
        }
        let mut recorded = decoded.recorded;
        self.personal(&file, offset, position, &mut recorded);
        self.tables.apply(&recorded);
        self.tree.push(leaf);
        self.out.records = self.tree.leaves();
        self.came_by(position);
        true
    }

    fn came_by(&mut self, position: Position) {
        if self.lately.len() == LATELY {
            self.lately.pop_front();
        }
        self.lately.push_back(self.tree.clone());
        if let Some(wanted) = self.wanted.get_mut(&self.tree.leaves()) {
            *wanted = Some(self.tree.root());
        }
        let Some(kept) = self.snapshots.remove(&position) else { return };
        // Made when one is there to be compared: encoding thousands of users for every odd file would take for ever.
        let mut computed = None;
        for name in kept {
            let read = self.folder.as_ref().and_then(|folder| folder.read(&name, position));
            let Some(bytes) = read else {
                self.out.unchecked.push(text!(
                    "the snapshot {name} at {position} was removed meanwhile, or its checksum fails: nobody believes it",
                    "das Abbild {name} bei {position} wurde inzwischen entfernt, oder seine Prüfsumme stimmt nicht: Niemand glaubt ihm"
                ));
                continue;
            };
            let computed = computed.get_or_insert_with(|| self.tables.snapshots());
            if computed.iter().any(|(same, now)| *same == name && *now == bytes) {
                self.out.snapshots += 1;
            } else {
                let what = text!(
                    "the snapshot {name} is not what the records up to here fold to",
                    "das Abbild {name} ist nicht, was die Einträge bis hierher ergeben"
                );
                self.out.found("snapshots", None, Some(position), what);
            }
        }
    }

    /// A seal in the book must fit the records before it, and be signed with the key that the book says.
    fn seal(&mut self, file: &str, offset: u64, position: Position, seal: &BookSealed) {
        let first = self.lately.front().map_or(0, Frontier::leaves);
        let there = seal.size.checked_sub(first);
        let there = there.and_then(|n| self.lately.get(usize::try_from(n).ok()?));
        let root = there.map(|tree| Root(tree.root()));
        let key = self.tables.exchange.seals.key.as_ref();
        let signed = key.is_some_and(|key| signs(&key.value.verifier, &seal.checkpoint, seal));
        // A key that takes another's place needs its word.
        let former = self.former.take().map(|(_, former)| former);
        let note = seal.checkpoint.parse::<SignedNote>().ok();
        let next = note.as_ref().and_then(SignedNote::next_key).map(|next| next.to_string());
        let handed = former.is_none_or(|former| {
            signs(&former, &seal.checkpoint, seal)
                && next.as_ref() == key.map(|key| &key.value.verifier)
        });
        let signed = signed && handed;
        self.newest = note.clone().map(|note| (file.to_owned(), position, note));
        self.hand_overs.extend(note.filter(|_| next.is_some()));
        if root == Some(seal.root) && signed {
            self.out.seals += 1;
            return;
        }
        let size = seal.size;
        let what = if signed {
            text!(
                "this seal names another root for the first {size} records: one of them was changed",
                "dieses Siegel nennt eine andere Wurzel für die ersten {size} Einträge: Einer davon wurde verändert"
            )
        } else {
            text!(
                "this seal is not signed with the book's key: it is forged",
                "dieses Siegel ist nicht mit dem Schlüssel des Buchs signiert: Es ist gefälscht"
            )
        };
        self.out.found(file, Some(offset), Some(position), what);
    }

    /// Every sealed field opens under the key that the vault has for it.
    fn personal(&mut self, file: &str, offset: u64, position: Position, recorded: &mut Recorded) {
        let Some(vault) = self.vault else { return };
        let (out, lost) = (&mut *self.out, &mut self.lost);
        recorded.each_personal(&mut |field| {
            let key = field.key();
            if vault.is_destroyed(key) {
                out.erased += 1;
            } else if !vault.has_key(key) {
                lost.entry(key).or_insert(position);
            } else if vault.open_sealed(key, field.sealed()).is_some() {
                out.opened += 1;
            } else {
                let what = text!(
                    "a personal field does not open under the vault's key: that key was exchanged",
                    "ein personenbezogenes Feld öffnet sich nicht mit dem Schlüssel im Tresor: Der wurde ausgetauscht"
                );
                if out.findings.iter().all(|found| found.what != what) {
                    out.found(file, Some(offset), Some(position), what);
                }
            }
        });
    }

    /// What is compared when all records are read.
    pub(super) fn end(mut self, check: &Check) {
        self.out.root = Root(self.tree.root()).to_string();
        self.out.state = Some(state_hash(&self.tables.exchange));
        if self.broken {
            self.out.unchecked.push(text!(
                "everything behind the wrong record: it proves nothing as long as that stands there",
                "alles hinter dem falschen Eintrag: Es beweist nichts, solange der dort steht"
            ));
            return;
        }
        for (at, kept) in std::mem::take(&mut self.snapshots) {
            for name in kept {
                let what = text!(
                    "the snapshot {name} is of a place that the book does not have",
                    "das Abbild {name} ist von einer Stelle, die das Buch nicht hat"
                );
                self.out.found("snapshots", None, Some(at), what);
            }
        }
        if let Some((at, _)) = self.former.take() {
            let what = text!(
                "a key took another's place here, and no seal says so in its name",
                "ein Schlüssel trat hier an die Stelle eines anderen, und kein Siegel sagt es in dessen Namen"
            );
            self.out.found("segments", None, Some(at), what);
        }
        self.keys();
        self.secrets();
        let mut chain = match check.keys.is_empty() {
            true => Chain::of(self.first_key.clone()),
            false => Chain::of(check.keys.clone()),
        };
        for note in &std::mem::take(&mut self.hand_overs) {
            chain.accepts(note);
        }
        if let Some((file, position, note)) = self.newest.take()
            && !check.keys.is_empty()
            && !chain.accepts(&note)
        {
            let what = text!(
                "the newest seal is not signed with the given key, nor with one that it handed over to: it is forged, or of another book",
                "das neueste Siegel ist nicht mit dem angegebenen Schlüssel signiert und mit keinem, an den er übergeben hat: gefälscht oder von einem anderen Buch"
            );
            self.out.found(&file, None, Some(position), what);
        }
        for (place, note) in &check.outside {
            self.checkpoint(place, note, &mut chain);
        }
    }

    /// The vault destroyed what the book says, and nothing else.
    fn keys(&mut self) {
        let Some(vault) = self.vault else { return };
        let told: BTreeMap<KeyId, Position> = self.tables.exchange.erasures.keys().collect();
        for (key, position) in &self.lost {
            let key = name(*key);
            let what = text!(
                "the key of {key} is missing, and no erasure says why",
                "der Schlüssel {key} fehlt, und keine Löschung sagt, warum"
            );
            self.out.found("vault", None, Some(*position), what);
        }
        for key in vault.destroyed().into_iter().filter(|key| !told.contains_key(key)) {
            let key = name(key);
            let what = text!(
                "the key of {key} was destroyed, and the book does not say so",
                "der Schlüssel {key} wurde vernichtet, und das Buch sagt es nicht"
            );
            self.out.found("vault", None, None, what);
        }
        for (key, position) in told.into_iter().filter(|(key, _)| vault.has_key(*key)) {
            let key = name(key);
            let what = text!(
                "the book says that {key} was erased, and the key is still there: start the server once",
                "das Buch sagt, dass {key} gelöscht wurde, und der Schlüssel ist noch da: Starten Sie den Server einmal"
            );
            self.out.found("vault", None, Some(position), what);
        }
    }

    /// Every secret that the state names is there.
    fn secrets(&mut self) {
        let Some(vault) = self.vault else { return };
        let exchange = &self.tables.exchange;
        let users = exchange.users.values().flat_map(|user| [user.password, user.pin]).flatten();
        let devices = exchange.devices.values().filter_map(|device| device.credential);
        let facts = users.chain(devices).map(|fact| (fact.value, fact.at));
        let key = exchange.seals.key.as_ref().map(|key| (key.value.secret, key.at));
        let named: Vec<(SecretRef, Position)> = facts.chain(key).collect();
        for (secret, at) in named {
            if vault.secret(secret).is_none() {
                let what = text!(
                    "a secret that this record names is missing",
                    "ein Geheimnis, das dieser Eintrag nennt, fehlt"
                );
                self.out.found("vault", None, Some(at), what);
            }
        }
    }

    fn checkpoint(&mut self, place: &str, note: &SignedNote, chain: &mut Chain) {
        if !chain.accepts(note) {
            let what = text!(
                "the checkpoint is not signed with the book's key: it is forged, or of another book",
                "der Prüfpunkt ist nicht mit dem Schlüssel des Buchs signiert: gefälscht oder von einem anderen Buch"
            );
            return self.out.found(place, None, None, what);
        }
        let Ok(checkpoint) = note.checkpoint() else { return };
        let size = checkpoint.size;
        match self.wanted.get(&size).copied().flatten() {
            Some(root) if root == checkpoint.root => self.out.checkpoints += 1,
            Some(_) => {
                let what = text!(
                    "the first {size} records are not those that it seals: one of them was changed",
                    "die ersten {size} Einträge sind nicht die, die er versiegelt: Einer davon wurde verändert"
                );
                self.out.found(place, None, Some(Position(size)), what);
            }
            None => {
                let there = Position(self.tree.leaves());
                let what = text!(
                    "it seals {size} records, and the book ends behind {there}: its end was removed",
                    "er versiegelt {size} Einträge, und das Buch endet nach {there}: Sein Ende wurde entfernt"
                );
                self.out.found(place, None, Some(there.next()), what);
            }
        }
    }
}

fn signs(verifier: &str, checkpoint: &str, seal: &BookSealed) -> bool {
    let read = || {
        let (key, note) =
            (verifier.parse::<Verifier>().ok()?, checkpoint.parse::<SignedNote>().ok()?);
        note.verify(&key).ok()?;
        let said = note.checkpoint().ok()?;
        Some(said.size == seal.size && said.root == seal.root.0)
    };
    read().unwrap_or(false)
}

fn name(key: KeyId) -> Arc<str> {
    match key {
        KeyId::Person(user) => format!("user:{user}").into(),
        KeyId::Period(period) => format!("{:04}-{:02}", period / 100, period % 100).into(),
    }
}
