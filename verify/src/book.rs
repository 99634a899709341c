//! `switchbook-verify book`: a whole folder, byte by byte: every frame, every head, every commit, the tree, the seals that
//! stand in the book and the checkpoints that were kept outside.

use crate::frame::{self, Body, Bytes, Found};
use crate::note::{Note, notes, to_base64};
use crate::report::{Report, Unchecked, counted};
use crate::segment::{Head, watermark};
use crate::tree::Growing;
use crate::{Keys, Who};
use rustix::fs::OFlags;
use serde_json::json;
use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// `BookSealed`.
const SEALED: u16 = 0x000b;

/// Roots are kept at these sizes, for the checkpoints and for the seals in the book.
struct Walk {
    report: Report,
    tree: Growing,
    /// Sizes that somebody asks for, with the root when the walk came by.
    wanted: BTreeMap<u64, Option<[u8; 32]>>,
    /// The newest position that a record says was durable.
    durable: u64,
    recorded_at: i64,
    /// The command of a commit whose last record has not come yet.
    open: Option<[u8; 16]>,
    /// The tree as it was after each of the newest records: a seal names one of these.
    lately: VecDeque<Growing>,
    /// The seals in it: segment, record, checkpoint.
    seals: Vec<(String, u64, Note)>,
}

/// A seal is made within moments of what it seals.
const LATELY: usize = 8192;

/// Checks a folder.
pub fn check(folder: &Path, outside: &[PathBuf], keys: Keys) -> Result<Report, Unchecked> {
    let mut checkpoints: Vec<(String, Note)> = Vec::new();
    for path in outside {
        let name = path.display().to_string();
        checkpoints.extend(notes(path)?.into_iter().map(|note| (name.clone(), note)));
    }
    // Keys are followed from the oldest checkpoint to the newest.
    checkpoints.sort_by_key(|(_, note)| note.size);
    if checkpoints.is_empty() && !keys.witnesses.is_empty() {
        return Err(Unchecked::new(
            "--witness says nothing without --checkpoint: witnesses sign what is outside of the book",
            "--witness sagt ohne --checkpoint nichts: Zeugen signieren, was außerhalb des Buchs ist",
        ));
    }
    let mut keys = if checkpoints.is_empty() { keys } else { keys.needed()? };
    let mark = folder.join("watermark");
    let mark = match start(&mark) {
        Ok(bytes) => watermark(&bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        // It is what tells of a missing end: not to be able to read it is no reason to pass.
        Err(error) => return Err(Unchecked::unreadable(&mark, &error)),
    };
    let wanted = checkpoints.iter().map(|(_, note)| (note.size, None)).collect();
    let mut walk = Walk {
        report: Report::default(),
        tree: Growing::default(),
        wanted,
        durable: mark.unwrap_or(0),
        recorded_at: i64::MIN,
        open: None,
        lately: VecDeque::new(),
        seals: Vec::new(),
    };
    let segments = list(folder)?;
    walk.segments(folder, &segments)?;
    let (leaves, root) = (walk.tree.leaves(), to_base64(&walk.tree.root()));
    let durable = walk.durable;
    if walk.report.holds() && leaves < durable {
        walk.report.bad_at(
            "segments",
            None,
            Some(leaves + 1),
            &format!("the book ends here, but {durable} records were safely on disk: its end was removed"),
            &format!("hier endet das Buch, aber {durable} Einträge waren sicher geschrieben: Sein Ende wurde entfernt"),
        );
    }
    if walk.report.holds() {
        walk.signatures(&mut keys);
    }
    if walk.report.holds() {
        let (segments, seals) = (segments.len(), walk.seals.len());
        walk.report.good(
            "book",
            json!({ "records": leaves, "segments": segments, "seals": seals, "root": root }),
            format!(
                "{} in {} {} sound, and {} in the book {}",
                counted(leaves, "record", "records"),
                counted(segments as u64, "segment", "segments"),
                if leaves == 1 { "is" } else { "are" },
                counted(seals as u64, "seal", "seals"),
                if seals == 1 { "fits" } else { "fit" },
            ),
            format!(
                "{} in {} {} unversehrt, und {seals} Siegel im Buch {}",
                counted(leaves, "Eintrag", "Einträge"),
                counted(segments as u64, "Segment", "Segmenten"),
                if leaves == 1 { "ist" } else { "sind" },
                if seals == 1 { "passt" } else { "passen" },
            ),
        );
    }
    for (place, note) in &checkpoints {
        walk.checkpoint(place, note, &mut keys);
    }
    Ok(walk.report)
}

/// No segment that a server writes is longer; it is read whole.
const LARGEST: u64 = 512 * 1024 * 1024;
/// No head of a segment and no watermark is longer.
const START: u64 = 64 * 1024;

/// Opens a part of the book. A FIFO or a device in its place would hold us up for ever.
fn regular(path: &Path) -> io::Result<File> {
    let file =
        OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is no regular file")),
    }
}

fn whole(path: &Path) -> io::Result<Vec<u8>> {
    let file = regular(path)?;
    let (length, mut bytes) = (file.metadata()?.len(), Vec::new());
    if length > LARGEST {
        let what = format!("it has {length} bytes, more than a segment can have ({LARGEST})");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, what));
    }
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn start(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    regular(path)?.take(START).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// First positions and paths of the segments, in order.
fn list(folder: &Path) -> Result<Vec<(u64, PathBuf)>, Unchecked> {
    let segments = folder.join("segments");
    let entries = std::fs::read_dir(&segments).map_err(|e| Unchecked::unreadable(&segments, &e))?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| Unchecked::unreadable(&segments, &e))?.path();
        let name =
            path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let digits = name.strip_suffix(".seg").filter(|digits| digits.len() == 20);
        if let Some(first) = digits.and_then(|digits| digits.parse().ok()) {
            found.push((first, path));
        }
    }
    found.sort();
    if found.is_empty() {
        let name = segments.display();
        return Err(Unchecked::new(
            format!("there is no book in {name}"),
            format!("in {name} ist kein Buch"),
        ));
    }
    Ok(found)
}

impl Walk {
    fn segments(&mut self, folder: &Path, segments: &[(u64, PathBuf)]) -> Result<(), Unchecked> {
        let mut before: Option<Head> = None;
        for (number, (first, path)) in segments.iter().enumerate() {
            let bytes = whole(path).map_err(|e| Unchecked::unreadable(path, &e))?;
            let place = path.strip_prefix(folder).unwrap_or(path).display().to_string();
            let head = match Head::read(&bytes) {
                Ok(head) => head,
                Err((english, german)) => {
                    self.report.bad_at(&place, Some(0), Some(*first), english, german);
                    return Ok(());
                }
            };
            if !self.fits(&place, *first, &head, before.as_ref()) {
                return Ok(());
            }
            // Where this one ends is said by the next one's head; the last ends where its records do.
            let end = match segments.get(number + 1) {
                None => None,
                Some((_, next)) => {
                    let bytes = start(next).map_err(|e| Unchecked::unreadable(next, &e))?;
                    Head::read(&bytes).ok().map(|next| (next.previous_bytes, next.first))
                }
            };
            if !self.segment(&place, &bytes, &head, end) {
                return Ok(());
            }
            before = Some(head);
        }
        Ok(())
    }

    /// Does a segment go on where the one before ended?
    fn fits(&mut self, place: &str, first: u64, head: &Head, before: Option<&Head>) -> bool {
        let next = self.tree.leaves() + 1;
        let linked = before.map_or(head.previous == 0, |before| {
            before.first == head.previous && before.book == head.book
        });
        if head.first != first || head.first != next || !linked {
            self.report.bad_at(
                place,
                Some(0),
                Some(head.first),
                &format!("it does not go on where the one before ended (#{next}): a segment is missing, or of another book"),
                &format!("es setzt nicht fort, wo das davor endete (#{next}): Ein Segment fehlt oder ist von einem anderen Buch"),
            );
            return false;
        }
        if !self.tree.peaks().eq(head.peaks.iter()) {
            self.report.bad_at(
                place,
                Some(64),
                Some(head.first),
                "its head has another tree than the records before it: one of those was changed",
                "sein Kopf hat einen anderen Baum als die Einträge davor: Einer davon wurde verändert",
            );
            return false;
        }
        true
    }

    /// All records of a segment; `false` when it makes no sense to go on.
    fn segment(&mut self, place: &str, bytes: &[u8], head: &Head, end: Option<(u64, u64)>) -> bool {
        let limit = end.map_or(bytes.len(), |(end, _)| usize::try_from(end).unwrap_or(usize::MAX));
        // When it was cut short, its records tell which one is gone.
        let valid = bytes.get(..limit).unwrap_or(bytes);
        let mut at = head.length;
        // A torn end is cut at the last whole commit: what stands behind was never acknowledged.
        let mut sound = self.tree.clone();
        while at < valid.len() {
            let record = self.tree.leaves() + 1;
            let offset = Some(at as u64);
            match frame::read(&valid[at..]) {
                Found::Frame(length, body, leaf) => {
                    let Some(body) = Body::read(body) else {
                        self.report.bad_at(
                            place,
                            offset,
                            Some(record),
                            "its body cannot be read",
                            "sein Inhalt ist nicht lesbar",
                        );
                        return false;
                    };
                    if !self.record(place, offset, record, &body) {
                        return false;
                    }
                    self.tree.push(leaf);
                    self.came_by();
                    if body.last {
                        sound = self.tree.clone();
                    }
                    at += length;
                }
                // The end of the book: zeros, or a tail that nobody was told of.
                Found::End | Found::Bad(..)
                    if end.is_none() && !self.was_durable(&valid[at..], record) =>
                {
                    break;
                }
                Found::End => {
                    self.report.bad_at(
                        place,
                        offset,
                        Some(record),
                        "a record is missing",
                        "ein Eintrag fehlt",
                    );
                    return false;
                }
                Found::Bad(english, german) => {
                    self.report.bad_at(place, offset, Some(record), english, german);
                    return false;
                }
            }
        }
        if let Some((_, next)) = end
            && self.tree.leaves() + 1 != next
        {
            let record = Some(self.tree.leaves() + 1);
            self.report.bad_at(
                place,
                Some(at as u64),
                record,
                "records are missing at its end",
                "an seinem Ende fehlen Einträge",
            );
            return false;
        }
        if bytes.len() < limit && end.is_some() {
            self.report.bad_at(
                place,
                Some(at as u64),
                Some(self.tree.leaves()),
                "it is shorter than the next one says",
                "es ist kürzer, als das nächste sagt",
            );
            return false;
        }
        if end.is_none() {
            self.tree = sound;
        }
        true
    }

    /// Is what stands here known to have been durable: by the watermark, by a record before, or by a sound one behind it?
    fn was_durable(&self, bytes: &[u8], record: u64) -> bool {
        record <= self.durable
            || (1..bytes.len()).any(|at| match frame::position(&bytes[at..]) {
                // A checksum over a mebibyte for each byte would never end: only where such a record can stand.
                Some(position) if position > record && position - record <= bytes.len() as u64 => {
                    let Found::Frame(_, body, _) = frame::read(&bytes[at..]) else { return false };
                    Body::read(body).is_some_and(|body| body.durable >= record)
                }
                _ => false,
            })
    }

    fn record(&mut self, place: &str, offset: Option<u64>, record: u64, body: &Body<'_>) -> bool {
        if body.position != record {
            self.report.bad_at(
                place,
                offset,
                Some(record),
                &format!(
                    "here stands record #{}: records were swapped, added or removed",
                    body.position
                ),
                &format!(
                    "hier steht Eintrag #{}: Einträge wurden vertauscht, eingefügt oder entfernt",
                    body.position
                ),
            );
            return false;
        }
        if body.recorded_at < self.recorded_at {
            self.report.bad_at(
                place,
                offset,
                Some(record),
                "it was recorded before the one before it",
                "er wurde vor dem Eintrag davor aufgezeichnet",
            );
            return false;
        }
        self.recorded_at = body.recorded_at;
        self.durable = self.durable.max(body.durable);
        if self.open.is_some_and(|command| command != body.command) {
            self.report.bad_at(
                place,
                offset,
                Some(record),
                "the commit before it is not whole",
                "der Befehl davor ist nicht vollständig",
            );
            return false;
        }
        self.open = (!body.last).then_some(body.command);
        if body.tag == SEALED && body.version == 1 && body.codec == 1 {
            self.seal(place, offset, record, body.payload);
        }
        true
    }

    /// Keeps the tree at this size, if anybody wants it or a seal may name it.
    fn came_by(&mut self) {
        if self.lately.len() == LATELY {
            self.lately.pop_front();
        }
        self.lately.push_back(self.tree.clone());
        if let Some(wanted) = self.wanted.get_mut(&self.tree.leaves()) {
            *wanted = Some(self.tree.root());
        }
    }

    /// A seal in the book says which root the records before it have.
    fn seal(&mut self, place: &str, offset: Option<u64>, record: u64, payload: &[u8]) {
        let mut rest = Bytes(payload);
        let (Some(size), Some(root)) = (rest.variable(), rest.hash()) else { return };
        let first = self.lately.front().map_or(0, Growing::leaves);
        let there = size.checked_sub(first).and_then(|n| self.lately.get(usize::try_from(n).ok()?));
        // Behind the root the position of the key's event, then the text.
        let text = rest.variable().and_then(|_| rest.variable());
        let text = text.and_then(|length| rest.take(usize::try_from(length).ok()?));
        let note = text.and_then(|text| Note::parse(std::str::from_utf8(text).ok()?));
        match note.filter(|note| (note.size, note.root) == (size, root)) {
            Some(note) => self.seals.push((place.to_owned(), record, note)),
            None => self.report.bad_at(
                place,
                offset,
                Some(record),
                "this seal and the checkpoint in it say different things",
                "dieses Siegel und der Prüfpunkt darin sagen Verschiedenes",
            ),
        }
        if there.is_none_or(|there| there.root() != root) {
            self.report.bad_at(
                place,
                offset,
                Some(record),
                &format!("this seal names another root for the first {size} records: one of them was changed"),
                &format!("dieses Siegel nennt eine andere Wurzel für die ersten {size} Einträge: Einer davon wurde verändert"),
            );
        }
    }

    /// The newest seal covers what those before it do, so it is the one that must be signed; those before it bring the keys
    /// that were handed over to.
    fn signatures(&mut self, keys: &mut Keys) {
        let Some((place, record, newest)) = self.seals.last() else { return };
        let size = newest.size;
        if keys.book.is_empty() {
            return self.report.good(
                "unsigned",
                json!("no --key"),
                "without --key no signature of the seals in the book was checked: who can write the book can write them".into(),
                "ohne --key wurde keine Signatur der Siegel im Buch geprüft: Wer das Buch schreiben kann, kann auch sie schreiben".into(),
            );
        }
        let signed = self.seals.iter().fold(false, |_, (.., note)| keys.book_signed(note));
        if signed {
            return self.report.good(
                "signed",
                json!(size),
                format!("the first {size} records are sealed with the given key, or one that it handed over to"),
                format!("die ersten {size} Einträge sind mit dem angegebenen Schlüssel versiegelt oder mit einem, an den er übergeben hat"),
            );
        }
        self.report.bad_at(
            place,
            None,
            Some(*record),
            "the newest seal in the book is not signed with the given key, nor with one that it handed over to: it is forged, or of another book",
            "das neueste Siegel im Buch ist nicht mit dem angegebenen Schlüssel signiert und mit keinem, an den er übergeben hat: gefälscht oder von einem anderen Buch",
        );
    }

    fn checkpoint(&mut self, place: &str, note: &Note, keys: &mut Keys) {
        let size = note.size;
        if !keys.check(note, place, Who::All, &mut self.report) {
            return;
        }
        match self.wanted.get(&size).copied().flatten() {
            Some(root) if root == note.root => self.report.good(
                "checkpoints",
                json!({ "place": place, "size": size }),
                format!("the checkpoint over {size} records holds"),
                format!("der Prüfpunkt über {size} Einträge gilt"),
            ),
            Some(_) => self.report.bad(
                place,
                &format!("the first {size} records are not those that were sealed: one of them was changed"),
                &format!("die ersten {size} Einträge sind nicht die versiegelten: Einer davon wurde verändert"),
            ),
            None => {
                let there = self.tree.leaves();
                self.report.bad_at(
                    place,
                    None,
                    Some(there + 1),
                    &format!("it seals {size} records, and the book ends behind #{there}: its end was removed"),
                    &format!("er versiegelt {size} Einträge, und das Buch endet nach #{there}: Sein Ende wurde entfernt"),
                );
            }
        }
    }
}
