//! `switchbook-verify bundle`: records with their proofs, line by line; nothing is kept but the checkpoints.

use crate::note::{Note, base64, to_base64};
use crate::proof::{consistency, not_there, path, stands};
use crate::report::{Report, Unchecked, counted};
use crate::what::What;
use crate::{Keys, Who};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// Longer lines are none of ours: a record has at most 1 MiB.
const LONGEST_LINE: u64 = 4 << 20;

struct Bundle<'a> {
    keys: &'a mut Keys,
    place: String,
    /// What the head says that it holds, if that makes sense.
    what: Option<What>,
    /// Of which book, as the head says.
    origin: Option<String>,
    /// So many checkpoints are announced.
    announced: u64,
    notes: Vec<Note>,
    records: u64,
    /// The position of the last record.
    last: u64,
    ended: Option<u64>,
    report: Report,
}

/// Checks one.
pub fn check(file: &Path, keys: &mut Keys) -> Result<Report, Unchecked> {
    let mut reader = BufReader::new(File::open(file).map_err(|e| Unchecked::unreadable(file, &e))?);
    let name = file.display();
    let not_ours = || {
        Unchecked::new(
            format!("{name} is no bundle of `switchbook audit bundle` that this version knows"),
            format!(
                "{name} ist kein Bündel von `switchbook audit bundle`, das diese Version kennt"
            ),
        )
    };
    let head = line(&mut reader).map_err(|e| Unchecked::unreadable(file, &e))?;
    let head: Value =
        head.and_then(|text| serde_json::from_str(&text).ok()).ok_or_else(not_ours)?;
    if head["switchbook_bundle"] != 1 {
        return Err(not_ours());
    }
    let mut bundle = Bundle {
        keys,
        place: file.display().to_string(),
        what: What::read(&head["what"]),
        origin: head["origin"].as_str().map(ToOwned::to_owned),
        announced: head["checkpoints"].as_u64().unwrap_or(0),
        notes: Vec::new(),
        records: 0,
        last: 0,
        ended: None,
        report: Report::default(),
    };
    let mut number = 1;
    while let Some(text) = line(&mut reader).map_err(|e| Unchecked::unreadable(file, &e))? {
        number += 1;
        bundle.take(number, &text);
    }
    Ok(bundle.end())
}

fn line(reader: &mut impl BufRead) -> std::io::Result<Option<String>> {
    let mut text = String::new();
    let read = std::io::Read::take(&mut *reader, LONGEST_LINE).read_line(&mut text)?;
    Ok((read > 0).then_some(text))
}

impl Bundle<'_> {
    fn take(&mut self, number: u64, text: &str) {
        let place = format!("{}:{number}", self.place);
        let value: Value = serde_json::from_str(text).unwrap_or(Value::Null);
        if self.ended.is_some() {
            self.report.bad(
                &place,
                "something stands behind the end",
                "hinter dem Ende steht noch etwas",
            );
        } else if value["end"] == true {
            self.ended = value["records"].as_u64();
        } else if let Some(note) = value["checkpoint"].as_str() {
            self.checkpoint(&place, note, &value["consistency"]);
        } else if let Some(position) = value["position"].as_u64() {
            self.record(&place, position, &value);
        } else {
            self.report.bad(
                &place,
                "the line is none of a bundle",
                "die Zeile gehört in kein Bündel",
            );
        }
    }

    fn checkpoint(&mut self, place: &str, note: &str, proof: &Value) {
        let Some(note) = Note::parse(note) else {
            return self.report.bad(place, "it is no checkpoint", "es ist kein Prüfpunkt");
        };
        // Everything is proved against the last one: that is the one that witnesses must have seen.
        let last = self.notes.len() as u64 + 1 == self.announced;
        // One that hands over between keys before the given one is of no use here, and claims nothing.
        if last || note.next_key().is_none() {
            let who = if last { Who::All } else { Who::Book };
            self.keys.check(&note, place, who, &mut self.report);
        } else {
            self.keys.book_signed(&note);
        }
        if let Some(before) = self.notes.last() {
            let proof = path(proof).unwrap_or_default();
            consistency(before, &note, &proof, place, &mut self.report);
        }
        self.notes.push(note);
    }

    fn record(&mut self, place: &str, position: u64, value: &Value) {
        self.records += 1;
        let body = value["body"].as_str().and_then(base64);
        let (Some(note), Some(body), Some(path)) = (self.notes.last(), body, path(&value["path"]))
        else {
            return self.report.bad(
                place,
                "the line is not whole",
                "die Zeile ist nicht vollständig",
            );
        };
        if let Err(what) = stands(note, position, &body, &path) {
            return not_there(&mut self.report, place, position, what);
        }
        let expected =
            self.what.as_ref().is_none_or(|what| what.expects(self.last, position, &body));
        self.last = position;
        if !expected {
            self.report.bad_at(
                place,
                None,
                Some(position),
                "it is not one of those that the bundle says it holds, or a record is missing before it",
                "er gehört nicht zu denen, die das Bündel zu enthalten angibt, oder davor fehlt ein Eintrag",
            );
        }
    }

    fn end(mut self) -> Report {
        let place = self.place.clone();
        if self.what.is_none() {
            self.report.bad(
                &place,
                "its head does not say which records it holds, so nobody can tell whether they are all there",
                "sein Kopf sagt nicht, welche Einträge es enthält; so kann niemand sagen, ob alle da sind",
            );
        }
        if self.origin.is_some() && self.origin != self.notes.last().map(|note| note.origin.clone())
        {
            self.report.bad(
                &place,
                "its head names another book than its checkpoints",
                "sein Kopf nennt ein anderes Buch als seine Prüfpunkte",
            );
        }
        if self.notes.is_empty() {
            self.report.bad(
                &place,
                "there is no checkpoint in it: it proves nothing",
                "es ist kein Prüfpunkt darin: Es beweist nichts",
            );
        }
        if self.ended != Some(self.records) || self.notes.len() as u64 != self.announced {
            self.report.bad(
                &place,
                "it is not whole: lines are missing",
                "es ist nicht vollständig: Zeilen fehlen",
            );
        } else if self.what.as_ref().is_some_and(|what| !what.ends(self.last)) {
            self.report.bad(
                &place,
                "records at the end of the span are missing",
                "Einträge am Ende des Bereichs fehlen",
            );
        }
        let (note, what) = (self.notes.last(), self.what);
        if let (Some(note), Some(what), true) = (note, what, self.report.holds()) {
            let (records, size, origin) = (self.records, note.size, &note.origin);
            let (root, what, claim) = (to_base64(&note.root), what.value(), what.told());
            self.report.good(
                "bundle",
                json!({ "origin": origin, "records": records, "size": size, "root": root, "what": what }),
                format!("{} in the book {origin} as it was sealed with {size} records; {}", counted(records, "record stands", "records stand"), claim.0),
                format!("{} im Buch {origin}, wie es mit {size} Einträgen versiegelt wurde; {}", counted(records, "Eintrag steht", "Einträge stehen"), claim.1),
            );
        }
        self.report
    }
}
