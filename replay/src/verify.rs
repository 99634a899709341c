//! `audit verify`: the whole book read again, and everything that was made from it made again and compared: the tree, the
//! seals, the tables, the index, the vault. Names the first byte that is wrong, and its record.

mod walk;

use crate::as_of::StateHash;
use serde::Serialize;
use std::path::PathBuf;
use std::sync::Arc;
use switchbook_core::position::Position;
use switchbook_core::user::Language;
use switchbook_journal::files::RealFiles;
use switchbook_journal::note::{SignedNote, Verifier};
use switchbook_journal::{
    Compared, Damage, IndexCopy, OpenError, ReadError, SegmentReader, SnapshotFolder, Vault,
    VaultError, leases,
};
use switchbook_projections::text;
use switchbook_projections::text::{Text, counted};
use walk::Walk;

/// What is compared with the book.
#[derive(Debug, Default)]
pub struct Check {
    /// The book's folder.
    pub folder: PathBuf,
    /// Checkpoints held outside, each with the place it came from.
    pub outside: Vec<(String, SignedNote)>,
    /// Keys that those must be signed with; the book's own when there are none.
    pub keys: Vec<Verifier>,
    /// Where the index comes from.
    pub index: Index,
}

/// Where the index to compare comes from.
#[derive(Debug, Default)]
pub enum Index {
    /// From a copy in this folder, which does not exist yet: nobody has the book open.
    Copied(PathBuf),
    /// From the running server, which compared it itself and found this.
    Served(Option<Compared>),
    /// Nowhere.
    #[default]
    Nowhere,
}

/// Something that is not as it must be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    /// The file, or the checkpoint.
    pub place: String,
    /// The first wrong byte in it, if that is known.
    pub byte: Option<u64>,
    /// The record that is concerned.
    pub record: Option<Position>,
    /// What is wrong.
    pub what: Text,
}

/// What was found.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Verified {
    /// Records read and folded.
    pub records: u64,
    /// Segments.
    pub segments: usize,
    /// The root of the tree over all of them, hexadecimal.
    pub root: String,
    /// Hash of the state they fold to.
    pub state: Option<StateHash>,
    /// Seals in the book that were compared with the records before them.
    pub seals: u64,
    /// Checkpoints from outside that hold.
    pub checkpoints: u64,
    /// The index was compared up to here.
    pub indexed: Option<Position>,
    /// Snapshots that were computed again and are the same.
    pub snapshots: u64,
    /// Personal fields that open under their keys.
    pub opened: u64,
    /// Personal fields whose key was destroyed, as the book says.
    pub erased: u64,
    /// What could not be compared, and why.
    pub unchecked: Vec<Text>,
    /// What is wrong; the first is where it begins.
    pub findings: Vec<Finding>,
}

impl Verified {
    /// Is everything as it must be?
    #[must_use]
    pub fn holds(&self) -> bool {
        self.findings.is_empty()
    }

    fn found(&mut self, place: &str, byte: Option<u64>, record: Option<Position>, what: Text) {
        self.findings.push(Finding { place: place.into(), byte, record, what });
    }

    fn damaged(&mut self, damage: &Damage) {
        let record = Some(damage.position).filter(|position| *position > Position::START);
        self.found(&damage.file, Some(damage.offset), record, Text::same(damage.what.clone()));
    }

    fn unreadable(&mut self, place: &str, error: &ReadError) {
        match error {
            ReadError::Damaged(damage) => self.damaged(damage),
            ReadError::Undecodable { position, what } => {
                let what = text!("it cannot be read: {what}", "er ist nicht lesbar: {what}");
                self.found(place, None, Some(*position), what);
            }
            other => self.found(place, None, None, Text::same(other.to_string())),
        }
    }
}

/// Why nothing was found out.
#[derive(Debug, thiserror::Error)]
pub enum NotVerified {
    /// It was told to stop.
    #[error("it was stopped before the end: nothing is proved either way")]
    Stopped,
    /// There is no book.
    #[error("there is no book in {}", .0.display())]
    NoBook(PathBuf),
    /// A file cannot be read.
    #[error("{0}")]
    Open(#[from] OpenError),
}

impl NotVerified {
    /// For people.
    #[must_use]
    pub fn text(&self) -> Text {
        let en = self.to_string();
        let de = match self {
            Self::Stopped => {
                "es wurde vor dem Ende angehalten: Weder das eine noch das andere ist bewiesen"
                    .into()
            }
            Self::NoBook(folder) => format!("in {} ist kein Buch", folder.display()),
            Self::Open(error) => error.to_string(),
        };
        Text { en, de }
    }
}

/// Verifies a book. `told` hears how many records were read, and says whether to go on.
///
/// # Errors
/// [`NotVerified`]; whatever is wrong with the book itself is a finding.
pub fn verify(check: Check, told: &mut dyn FnMut(u64) -> bool) -> Result<Verified, NotVerified> {
    let mut out = Verified::default();
    // Before the end of the book is looked for: a server that runs keeps snapshots of places that come later.
    let snapshots = SnapshotFolder::list_in(&RealFiles, &check.folder);
    let reader = match SegmentReader::open(&check.folder) {
        Ok(reader) if reader.book().is_some() => reader,
        Ok(_) => return Err(NotVerified::NoBook(check.folder)),
        Err(OpenError::Damaged(damage)) => {
            out.damaged(&damage);
            return Ok(out);
        }
        Err(error @ (OpenError::Gap { .. } | OpenError::Foreign { .. })) => {
            out.found("segments", None, None, Text::same(error.to_string()));
            return Ok(out);
        }
        Err(error) => return Err(error.into()),
    };
    let vault = vault(&check, &mut out);
    let compared = index(&check, &reader, &mut out, told)?;
    let snapshots = reader
        .book()
        .map(|book| SnapshotFolder::listed(Arc::new(RealFiles), &check.folder, book, snapshots));
    let mut walk = Walk::new(&reader, vault.as_ref(), snapshots, &check.outside, &mut out);
    walk.run(told)?;
    walk.end(&check);
    compared_with(compared, &mut out);
    leases_of(&check, &reader, &mut out);
    Ok(out)
}

fn vault(check: &Check, out: &mut Verified) -> Option<Vault> {
    match Vault::read_only(&check.folder) {
        Ok(vault) => Some(vault),
        Err(VaultError::Damaged { offset, what }) => {
            out.found("vault", Some(offset), None, Text::same(what));
            None
        }
        Err(error) => {
            let why = error.to_string();
            out.unchecked.push(text!(
                "personal fields and secrets were not compared with the vault: {why}",
                "personenbezogene Felder und Geheimnisse wurden nicht mit dem Tresor verglichen: {why}"
            ));
            None
        }
    }
}

/// The index held against the segments.
fn index(
    check: &Check,
    reader: &SegmentReader,
    out: &mut Verified,
    told: &mut dyn FnMut(u64) -> bool,
) -> Result<Option<Compared>, NotVerified> {
    let scratch = match &check.index {
        Index::Copied(scratch) => scratch,
        Index::Served(compared) => return Ok(compared.clone()),
        Index::Nowhere => {
            out.unchecked
                .push(text!("the index was not compared", "der Index wurde nicht verglichen"));
            return Ok(None);
        }
    };
    let copy = match IndexCopy::open(&check.folder, scratch) {
        Ok(Some(copy)) => copy,
        Ok(None) => {
            out.unchecked.push(text!(
                "there is no index: nothing but the segments says anything here",
                "es gibt keinen Index: Nichts als die Segmente sagt hier etwas"
            ));
            return Ok(None);
        }
        Err(why) => {
            let what = text!(
                "the index cannot be read ({why}): the server makes it anew",
                "der Index ist nicht lesbar ({why}): Der Server legt ihn neu an"
            );
            out.found("index", None, None, what);
            return Ok(None);
        }
    };
    match copy.compare(reader.tail(), told) {
        Ok(compared) => Ok(Some(compared)),
        Err(ReadError::Closed) => Err(NotVerified::Stopped),
        // The walk meets the same place, and names it.
        Err(_) => Ok(None),
    }
}

fn compared_with(compared: Option<Compared>, out: &mut Verified) {
    let Some(compared) = compared else { return };
    match compared.differs {
        None => out.indexed = Some(compared.upto),
        Some(damage) => {
            let what = damage.what;
            let told = text!(
                "{what}: the segments are right, the server makes the index anew when the folder is removed",
                "{what}: Die Segmente gelten, der Server legt den Index neu an, wenn der Ordner entfernt wird"
            );
            out.found(&damage.file, None, Some(damage.position), told);
        }
    }
}

fn leases_of(check: &Check, reader: &SegmentReader, out: &mut Verified) {
    let Some(book) = reader.book() else { return };
    match leases::check(&check.folder, book) {
        Ok(bad) => bad.iter().for_each(|damage| out.damaged(damage)),
        Err(error) => {
            let why = error.to_string();
            out.unchecked.push(text!(
                "the leases were not looked at: {why}",
                "die Leases wurden nicht angesehen: {why}"
            ));
        }
    }
}

impl Verified {
    /// Is nothing wrong but what is made anew when it is removed? A snapshot from behind the end says that the end is gone.
    fn only_snapshots_differ(&self) -> bool {
        let of_a_record = |at: Position| at.0 <= self.records;
        let differs = |finding: &Finding| {
            finding.place == "snapshots" && finding.record.is_some_and(of_a_record)
        };
        self.findings.iter().all(differs)
    }

    /// For people.
    #[must_use]
    pub fn lines(&self, language: Language) -> Vec<String> {
        let mut lines: Vec<Text> = Vec::new();
        let (records, segments, seals) = (self.records, self.segments, self.seals);
        let were = if records == 1 { "was" } else { "were" };
        let wurden = if records == 1 { "wurde" } else { "wurden" };
        let of_records = counted(records, "Eintrag", "Einträge");
        let in_segments = counted(segments, "Segment", "Segmenten");
        let (records, segments) =
            (counted(records, "record", "records"), counted(segments, "segment", "segments"));
        lines.push(text!(
            "{records} in {segments} {were} read and folded",
            "{of_records} in {in_segments} {wurden} gelesen und gefaltet"
        ));
        if self.holds() {
            let (root, checkpoints, snapshots) = (&self.root, self.checkpoints, self.snapshots);
            lines.push(text!("root of the tree: {root}", "Wurzel des Baums: {root}"));
            let outside = counted(checkpoints, "Prüfpunkt", "Prüfpunkte");
            let checkpoints = counted(checkpoints, "checkpoint", "checkpoints");
            let sealed = counted(seals, "seal", "seals");
            lines.push(text!(
                "{sealed} in the book and {checkpoints} from outside hold",
                "{seals} Siegel im Buch und {outside} von außen gelten"
            ));
            let abbilder = counted(snapshots, "Abbild ist", "Abbilder sind");
            let snapshots = counted(snapshots, "snapshot is", "snapshots are");
            match self.indexed {
                Some(Position::START) => lines.push(text!(
                    "the index holds nothing yet, which is right for a young book: what is asked is read from the segments; {snapshots} what the records fold to",
                    "der Index enthält noch nichts, wie es bei einem jungen Buch ist: Gefragtes wird aus den Segmenten gelesen; {abbilder}, was die Einträge ergeben"
                )),
                Some(upto) => lines.push(text!(
                    "the index is the same up to {upto}, and {snapshots} what the records fold to",
                    "der Index ist bis {upto} gleich, und {abbilder}, was die Einträge ergeben"
                )),
                None => {}
            }
            let (opened, erased) = (self.opened, self.erased);
            let felder = counted(
                opened,
                "personenbezogenes Feld öffnet sich mit seinem Schlüssel",
                "personenbezogene Felder öffnen sich mit ihren Schlüsseln",
            );
            let opened = counted(
                opened,
                "personal field opens under its key",
                "personal fields open under their keys",
            );
            let gone = counted(erased, "wurde gelöscht", "wurden gelöscht");
            let erased = counted(erased, "was erased", "were erased");
            lines.push(text!("{opened}, {erased}", "{felder}, {gone}"));
        }
        for not in &self.unchecked {
            let mut line = text!("not checked: ", "nicht geprüft: ");
            line.push(not);
            lines.push(line);
        }
        for finding in &self.findings {
            lines.push(finding.line());
        }
        lines.push(if self.holds() {
            text!("Everything that was checked holds.", "Alles Geprüfte gilt.")
        } else if self.only_snapshots_differ() {
            text!(
                "The records hold, and only snapshots do not: a server that started on them shows what they say. Stop it, put this folder by if you want to know who changed it, and remove the folder `snapshots`: it is made anew from the records.",
                "Die Einträge gelten, nur Abbilder nicht: Ein Server, der mit ihnen gestartet ist, zeigt, was sie sagen. Halten Sie ihn an, heben Sie eine Kopie dieses Ordners auf, wenn Sie wissen wollen, wer ihn geändert hat, und entfernen Sie den Ordner `snapshots`: Er wird aus den Einträgen neu angelegt."
            )
        } else {
            text!(
                "The book does NOT hold: keep this folder as it is, and compare it with a backup and with checkpoints held outside.",
                "Das Buch gilt NICHT: Lassen Sie diesen Ordner, wie er ist, und vergleichen Sie ihn mit einer Sicherung und mit Prüfpunkten von außerhalb."
            )
        });
        lines.into_iter().map(|line| line.read(language).to_owned()).collect()
    }
}

impl Finding {
    fn line(&self) -> Text {
        let place = &self.place;
        let mut line = text!("✗ {place}", "✗ {place}");
        if let Some(byte) = self.byte {
            line.push(&text!(", byte {byte}", ", Byte {byte}"));
        }
        if let Some(record) = self.record {
            line.push(&text!(", record {record}", ", Eintrag {record}"));
        }
        line.push(&Text::same(": "));
        line.push(&self.what);
        line
    }
}
