//! `audit bundle`: records of a subject or of a span with their proofs, the checkpoints, the public key and how to
//! verify, in one file of JSON lines (docs/evidence.md).

use super::prove::Prover;
use super::{EvidenceError, base64, hashes};
use serde_json::{Value, json};
use std::io::Write;
use switchbook_core::envelope::Subject;
use switchbook_core::position::{Moment, Position};
use switchbook_journal::note::{Checkpoint, SignedNote};
use switchbook_journal::{SegmentReader, StoredRecord};

/// What a bundle holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// Every record that concerns a subject, as far as the seal goes.
    Subject(Subject),
    /// Every record from the first to the last of these.
    Span(Position, Position),
}

/// How to check a bundle by hand; each bundle begins with it.
const README: &[&str] = &[
    "Evidence from a Switchbook book. Every line of this file is one JSON value (RFC 8259); bytes are base64 (RFC 4648, section 4).",
    "Check it with: switchbook-verify bundle FILE --key KEY, where KEY was given to you by another way than this file.",
    "By hand, with nothing but the RFCs:",
    "1. Each line with \"checkpoint\" is a C2SP signed note. The text is everything up to the empty line, its last newline included. After the name, each signature line has base64 of 4 bytes key hash and 64 bytes Ed25519 signature (RFC 8032) of the text. KEY is name+hash+base64 of one byte 01 and the 32 bytes of the public key.",
    "2. The text's lines are: whose book; its number of records; the root of the RFC 9162 Merkle tree (SHA-256) over them.",
    "2b. A checkpoint whose text has a line next-key and a KEY, signed by the key before and by that one, hands over: the one before signs nothing longer.",
    "3. \"consistency\" shows that this checkpoint continues the one before it (RFC 9162, section 2.1.4.2).",
    "4. Each line with \"position\" is a record: its leaf is SHA-256 of one byte 00 and the bytes of \"body\", its index is position minus 1, and \"path\" leads from it to the root of the LAST checkpoint (RFC 9162, section 2.1.3.2).",
    "5. What a body says, byte for byte, tells docs/journal-format.md of Switchbook. Names and outside numbers in it are encrypted: whoever holds the vault can read them.",
    "What this proves: these records stood in the book, at these positions, when it was sealed. For a span, that nothing between them is missing. For a subject, not that there are no others: for that, ask for the span.",
    "Deutsch: Prüfen mit switchbook-verify bundle DATEI --key SCHLÜSSEL; der Schlüssel muss auf anderem Weg gekommen sein als diese Datei. Das Handbuch ist docs/evidence.md.",
];

/// How many there are of what was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Bundled {
    /// Records.
    pub records: u64,
    /// The records that the last checkpoint seals.
    pub sealed: u64,
}

/// Writes a bundle. Everything is proved against the given checkpoint (held outside, perhaps cosigned) that seals most;
/// without one, against the newest in the book. `told` hears how many records were written, and says whether to go on.
///
/// # Errors
/// [`EvidenceError`]; what was written then is no bundle: it lacks its last line.
pub fn bundle(
    prover: &mut Prover<'_>,
    reader: &SegmentReader,
    what: What,
    outside: Vec<SignedNote>,
    made: Moment,
    out: &mut dyn Write,
    told: &mut dyn FnMut(u64) -> bool,
) -> Result<Bundled, EvidenceError> {
    let notes = checkpoints(prover, outside)?;
    let Some((_, newest)) = notes.last().cloned() else {
        return Err(EvidenceError::NothingSealed);
    };
    if let What::Span(_, last) = what
        && last.0 > newest.size
    {
        return Err(EvidenceError::NotSealed { position: last, sealed: newest.size });
    }
    line(out, &head(prover, &newest, what, made, notes.len()))?;
    let mut before: Option<Checkpoint> = None;
    for (note, checkpoint) in notes {
        let mut value = json!({ "checkpoint": note.to_string() });
        if let Some(before) = &before {
            value["consistency"] = json!(hashes(&prover.between(before, &checkpoint)?));
        }
        line(out, &value)?;
        before = Some(checkpoint);
    }
    let mut records = 0;
    for record in records_of(reader, what, newest.size) {
        let record = record?;
        let position = record.decoded.recorded.envelope.position;
        let path = hashes(&prover.path(position, &newest)?);
        let value = json!({ "position": position, "body": base64(&record.body), "path": path });
        line(out, &value)?;
        records += 1;
        if !told(records) {
            return Err(switchbook_journal::ReadError::Closed.into());
        }
    }
    line(out, &json!({ "end": true, "records": records }))?;
    out.flush()?;
    Ok(Bundled { records, sealed: newest.size })
}

fn line(out: &mut dyn Write, value: &Value) -> std::io::Result<()> {
    writeln!(out, "{value}")
}

fn head(
    prover: &Prover<'_>,
    newest: &Checkpoint,
    what: What,
    made: Moment,
    checkpoints: usize,
) -> Value {
    let what = match what {
        What::Span(first, last) => json!({ "span": [first, last] }),
        What::Subject(subject) => {
            json!({ "subject": { "kind": subject.kind(), "bytes": base64(subject.bytes()) } })
        }
    };
    json!({
        "switchbook_bundle": 1, "origin": newest.origin, "key": prover.sealed.key.to_string(),
        "what": what, "made": made.to_string(), "checkpoints": checkpoints, "readme": README,
    })
}

/// Each once, checked, from the oldest to the newest.
fn checkpoints(
    prover: &mut Prover<'_>,
    outside: Vec<SignedNote>,
) -> Result<Vec<(SignedNote, Checkpoint)>, EvidenceError> {
    let mut notes: Vec<(SignedNote, Checkpoint)> = Vec::new();
    for note in outside {
        let checkpoint = note.checkpoint()?;
        prover.check(&checkpoint)?;
        notes.push((note, checkpoint));
    }
    if notes.is_empty() {
        let own = (prover.sealed.note.clone(), prover.sealed.checkpoint.clone());
        prover.check(&own.1)?;
        notes.push(own);
    }
    // Whoever holds an older key follows it from one to the next, up to the checkpoint that everything is proved against.
    let upto = notes.iter().map(|(_, checkpoint)| checkpoint.size).max().unwrap_or(0);
    let mut all = Vec::new();
    for note in &prover.hand_overs.clone() {
        let checkpoint = note.checkpoint()?;
        if checkpoint.size <= upto && notes.iter().all(|(known, _)| known != note) {
            prover.check(&checkpoint)?;
            all.push((note.clone(), checkpoint));
        }
    }
    all.extend(notes);
    all.sort_by_key(|(_, checkpoint)| checkpoint.size);
    Ok(all)
}

type Records = Box<dyn Iterator<Item = Result<StoredRecord, switchbook_journal::ReadError>>>;

fn records_of(reader: &SegmentReader, what: What, sealed: u64) -> Records {
    let upto = |last: u64| {
        move |record: &Result<StoredRecord, switchbook_journal::ReadError>| {
            record.as_ref().map_or(true, |r| r.decoded.recorded.envelope.position.0 <= last)
        }
    };
    match what {
        What::Subject(subject) => Box::new(reader.concerning(subject).take_while(upto(sealed))),
        What::Span(first, last) => {
            Box::new(reader.stored(first.max(Position(1))).take_while(upto(last.0)))
        }
    }
}
